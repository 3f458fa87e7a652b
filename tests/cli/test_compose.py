"""Every option of every group composes with every model, runs where it makes sense, and precedence is what we say."""

from __future__ import annotations

import copy
import inspect
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

import gan_lightning
from gan_lightning.cli import build, preflight
from gan_lightning.cli.train import train
from gan_lightning.errors import UserError
from tests.cli.compositions import choose, compose, exchange, options

POINTS = ("grid", "ring")
OF_A_GAME = ("regularizer", "conditioning", "augment", "generator_loss")
ALONE = ("metrics", "extractor", "trainer", "callbacks", "logger")
SMALL: dict[str, Any] = {
    "channel_max": 8,
    "style_dim": 8,
    "mapping_layers": 1,
    "width": 4,
    "max_width": 8,
    "hidden": [8],
    "pieces": 2,
    "depth": 1,
    "latent_dim": 24,
}


def targets(config: DictConfig) -> dict[str, str]:
    nodes = {name: config[name] for name in ("loss", "data", "schedule")}
    return {name: node._target_.rpartition(".")[2] for name, node in nodes.items() if node is not None}


def basis(model: str) -> list[str]:
    """Return the model with data that it can make."""
    return [f"model={model}", "data=ring" if model == "mlp2d" else "data=digits"]


def refusal(config: DictConfig, folder: Path) -> str:
    """Return what the pre-flight or the built game says of `config`, "" where all is well."""
    config.run_dir = str(folder)
    try:
        preflight.check(config)
        _shrink(config.model)
        if config.data.image_size:
            config.data.image_size = 32  # which sizes a model can make is not asked here
        build.module(config).check(facts(config.data), build.processes(config.trainer))
    except UserError as error:
        return str(error)
    return ""


def facts(data: DictConfig) -> SimpleNamespace:
    """Return what a game asks of a data set, without one: a download would be looked for."""
    shape = (data.channels, data.image_size, data.image_size) if data.image_size else (2,)
    return SimpleNamespace(
        name=data._target_, image_shape=shape, num_classes=data.num_classes, batch_size=data.batch_size
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", options("model"))
def test_losses_optimisers_schedules_and_data_go_with_every_model(model: str, tmp_path: Path) -> None:
    points = model == "mlp2d"
    choices = {group: options(group) for group in ("loss", "optim", "schedule")}
    choices["data"] = [name for name in options("data") if (name in POINTS) == points]
    for number in range(max(map(len, choices.values()))):
        words = {group: names[number % len(names)] for group, names in choices.items()}
        assert not refusal(pairs(model, words), tmp_path), words
    for data in ("digits",) if points else POINTS:
        said = refusal(pairs(model, {"data": data}), tmp_path)
        assert "model=" in said and data in said.lower() and "points in the plane" in said


def pairs(model: str, words: dict[str, str]) -> DictConfig:
    """Return the model's own configuration with an option of each group in `words`."""
    if f"{model}_{words.get('data')}" in options("tuned"):
        return compose(f"model={model}", *(choose(group, option) for group, option in words.items()))
    config = compose(f"model={model}", "data=folder")
    for group, option in words.items():
        exchange(config, group, option)
    return config


@pytest.mark.slow
@pytest.mark.parametrize("model", options("model"))
def test_every_other_option_goes_with_a_model_or_is_refused_by_both_names(model: str, tmp_path: Path) -> None:
    for group in OF_A_GAME:
        passed = 0
        for option in options(group):
            config = exchange(compose(*basis(model)), group, option)
            if model == "mlp2d" and group == "conditioning":
                config.data.num_classes = 8
            said = refusal(config, tmp_path)
            assert not said or ((option in said or group in said) and "model" in said), (group, option, said)
            passed += not said
        assert passed, group


SAMPLE = [(group, option) for group in ("loss", "optim", "schedule", "data", *OF_A_GAME) for option in options(group)]


@pytest.mark.parametrize(("choice", "model"), zip(islice(SAMPLE, 0, None, 3), cycle(options("model"))))
def test_an_exchanged_option_is_what_hydra_composes(choice: tuple[str, str], model: str) -> None:
    data = "folder" if model != "mlp2d" else "ring"
    ours = exchange(compose(f"model={model}", f"data={data}"), *choice)
    words = {"data": data, choice[0]: choice[1]}
    hydras = compose(f"model={model}", *(choose(*word) for word in words.items()))
    assert OmegaConf.to_container(ours) == OmegaConf.to_container(hydras)


REFUSED = {
    "model=dcgan regularizer=[gradient_penalty]": "set model.discriminator.backbone.norm=layer (or none)",
    "model=wgan regularizer=[weight_clipping,gradient_penalty]": "or drop the regulariser",
    "model=dcgan data=ring": "use model=mlp2d",
    "model=mlp2d data=digits": "use model=dcgan",
    "conditioning=projection data=celeba": "use conditioning=none, or a labelled data set",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_does_not_go_together_is_refused_with_a_way_out(line: str, tmp_path: Path) -> None:
    said = refusal(compose(*line.split()), tmp_path)
    assert REFUSED[line] in said


@pytest.mark.parametrize("group", ALONE)
def test_every_option_of_the_other_groups_passes_the_checks(group: str, tmp_path: Path) -> None:
    for option in options(group):
        said = refusal(compose(choose(group, option)), tmp_path)
        no_gpu = option == "gpu" and not torch.cuda.is_available()
        assert ("no GPU" in said) if no_gpu else not said, (group, option, said)


def tiny(*overrides: str, exchanged: tuple[str, str] | None = None) -> DictConfig:
    """Return a configuration with small networks, for two iterations."""
    further = ["metrics=[]", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.limit_train_batches=2"]
    config = compose(*overrides, *further, "max_epochs=1", "data.batch_size=8")
    if exchanged is not None:
        exchange(config, *exchanged)
    if config.data.image_size is not None:
        config.data.image_size = 16
    _shrink(config.model)
    return config


def _shrink(node: DictConfig) -> None:
    for name in node:
        if OmegaConf.is_interpolation(node, name):
            continue
        if OmegaConf.is_dict(node[name]):
            _shrink(node[name])
        elif name in SMALL and isinstance(node[name], type(OmegaConf.create({"x": SMALL[name]}).x)):
            node[name] = SMALL[name]


def run(config: DictConfig, folder: Path) -> gan_lightning.inference.load.LoadedGenerator:
    config.run_dir = str(folder)
    assert train(config)["images_seen"] == 2 * config.data.batch_size
    loaded = gan_lightning.load(folder)
    assert loaded.sample(3).isfinite().all()
    return loaded


@pytest.mark.parametrize("model", options("model"))
def test_every_model_runs(model: str, run_folder: Path) -> None:
    loaded = run(tiny(*basis(model)), run_folder)
    assert loaded.image_shape == ((2,) if model == "mlp2d" else (1, 16, 16))
    assert (run_folder / "samples.png").exists() and (run_folder / "metrics.csv").exists()


CHOICES = [(group, option) for group in ("loss", "optim", "schedule", *OF_A_GAME) for option in options(group)]


@pytest.mark.parametrize(("group", "option"), CHOICES)
def test_every_choice_of_a_game_runs(group: str, option: str, run_folder: Path) -> None:
    model = {"path_length": "stylegan2", "reconstruction": "fastgan"}.get(option, "dcgan")
    config = tiny(f"model={model}", "data=digits", "callbacks=[nan_guard]", "logger=[]", exchanged=(group, option))
    if group == "regularizer" and model == "dcgan":
        config.model.discriminator.backbone.norm = "layer"
    said = refusal(copy.deepcopy(config), run_folder)
    if said:  # another model's: the test above knows
        assert option in said
    else:
        assert run(config, run_folder).image_shape == (1, 16, 16)


def test_the_trainer_has_every_argument_of_lightnings() -> None:
    arguments = set(inspect.signature(L.Trainer).parameters) - {"logger", "callbacks"}
    assert set(compose().trainer) - {"_target_"} == arguments
    for option in options("trainer"):
        assert set(compose(f"trainer={option}").trainer) - {"_target_"} == arguments


def test_the_command_line_comes_before_the_model() -> None:
    assert targets(compose())["loss"] == "NonSaturating"
    recipe, mixed = compose("model=wgan"), compose("model=wgan", "loss=hinge")
    assert targets(recipe)["loss"] == "Wasserstein" and targets(mixed)["loss"] == "Hinge"
    assert mixed.model == recipe.model and mixed.optim == recipe.optim and mixed.regularizer == recipe.regularizer
    assert mixed.model.d_steps == 5 and list(mixed.regularizer) == ["weight_clipping"]
    assert compose("model=wgan", "regularizer=[]", "optim=adam").optim == compose().optim
    assert compose("model.d_steps=3", "model=wgan").model.d_steps == 3


def test_the_experiment_comes_before_model_and_defaults_and_after_the_command_line(tmp_path: Path) -> None:
    published = compose("experiment=wgan_gp_cifar10")
    assert published.max_kimg == 32000 and published.model.d_steps == 5
    assert targets(published) == {"loss": "Wasserstein", "data": "TorchvisionData", "schedule": "LinearDecay"}
    other = compose("experiment=wgan_gp_cifar10", "model=dcgan", "max_kimg=1")
    assert targets(other) == {"loss": "NonSaturating", "data": "TorchvisionData", "schedule": "LinearDecay"}
    assert other.model == compose("model=dcgan", "data=cifar10", "model.ema_kimg=null").model and other.max_kimg == 1
    text = "defaults:\n  - override /model: wgan\nmodel: {generator: {width: 24}}\nmax_epochs: 7"
    own_run = [own(tmp_path, text), "experiment=own"]
    assert compose("model=wgan").model.generator.width != 24 and compose(*own_run).model.generator.width == 24
    assert compose(*own_run, "model.generator.width=16").model.generator.width == 16
    assert compose().max_epochs is None and compose(*own_run).max_epochs == 7
    assert compose(*own_run, "max_epochs=3").max_epochs == 3


def test_the_data_selects_what_fits_it_and_the_command_line_decides(tmp_path: Path) -> None:
    ring = compose("data=ring")
    assert ring.model.generator._target_.endswith("MLP2dGenerator") and list(ring.metrics) == ["modes"]
    assert ring.regularizer == compose("data=ring", "model=mlp2d").regularizer
    assert list(compose("data=ring", "regularizer=[]").regularizer) == []
    said = refusal(compose("data=ring", "model=dcgan"), tmp_path)
    assert said == "The model makes images, but data Ring holds points in the plane: use model=mlp2d."


OWN = {
    "max_epoch: 3": r"max_epoch in a configuration file has no effect.*: the nearest are max_epochs",
    "evaluation: {num_fake: 3}": r"evaluation\.num_fake .*nearest are evaluation\.num_fakes",
    "optim: {lrr: 1.0}": r"optim\.lrr .*nearest are optim\.lr,",
    "model: {generator: {widht: 3}}": r"model\.generator has no option widht: DCGANGenerator takes width",
    "model: {discrimnator: {}}": r"model has no option discrimnator: GAN takes discriminator",
    "callbacks: {chekpoint: {every_minutes: 1}}": r"callbacks\.chekpoint .*nearest are checkpoint",
    "loss: {real_lable: 0.9}": r"loss has no option real_lable: NonSaturating takes real_label",
    "trainer: {max_epoch: 1}": r"trainer has no option max_epoch: Trainer takes max_epochs",
    "mine: {deep: {number: 1}}": r"mine\.deep\.number .*has no effect",
}


def own(folder: Path, text: str) -> str:
    (folder / "experiment").mkdir(exist_ok=True)
    (folder / "experiment" / "own.yaml").write_text(f"# @package _global_\n{text}\n")
    return f"hydra.searchpath=[file://{folder}]"


@pytest.mark.parametrize("text", OWN)
def test_a_key_that_nothing_reads_is_refused_with_the_nearest(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=OWN[text]):
        train([own(tmp_path, text), "experiment=own", f"run_dir={tmp_path}/run"])
    assert not (tmp_path / "run").exists()


def test_keys_of_ones_own_are_fine_where_something_reads_them(tmp_path: Path) -> None:
    text = "size: {wide: 8}\nmodel: {generator: {width: '${size.wide}'}, ema_kimg: '${oc.select:half,3.0}'}\nhalf: 2.0"
    config = compose(own(tmp_path, text), "experiment=own")
    assert not refusal(config, tmp_path / "run") and config.model.generator.width == 8 and config.model.ema_kimg == 2


def test_an_own_experiment_may_override_what_its_model_selects(tmp_path: Path) -> None:
    text = "defaults:\n  - override /model: wgan\n  - override /loss: hinge\n  - override /regularizer: [r1]"
    config = compose(own(tmp_path, text), "experiment=own")
    assert targets(config)["loss"] == "Hinge" and list(config.regularizer) == ["r1"] and config.model.d_steps == 5
    again = compose(own(tmp_path, text), "experiment=own", "loss=least_squares")
    assert targets(again)["loss"] == "LeastSquares"
