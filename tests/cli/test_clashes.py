"""Choices that do not go together end in one sentence that names both, before the run's folder has a configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gan_lightning.cli.generate import generate
from gan_lightning.cli.train import main, train
from gan_lightning.errors import UserError

CONF = Path(__file__).parents[2] / "conf"
SMALL = [
    "metrics=[]",
    "callbacks=[nan_guard,limit,checkpoint]",
    "logger=[csv]",
    "trainer=cpu",
    "trainer.limit_train_batches=1",
    "max_epochs=1",
]
TINY = ["data.image_size=8", "data.batch_size=8", "model.generator.width=2", "model.discriminator.backbone.width=2"]
LABELLED = [p.stem for p in CONF.glob("conditioning/*.yaml") if p.stem not in ("none", "infogan")]
SIZED = {
    "biggan": "16, 32, 48, 64, 96, 128, 192 or 256",
    "biggan_deep": "16, 32, 48, 64, 96, 128, 192 or 256",
    "dcgan": "8 to 256",
    "fastgan": "16 to 1024",
    "lsgan": "8 to 256",
    "progan": "8 to 1024",
    "projected_gan": "16 to 1024",
    "r3gan": "8 to 1024",
    "sagan": "16, 32, 48, 64, 96, 128, 192 or 256",
    "sngan": "16, 32, 48, 64, 96, 128, 192 or 256",
    "stylegan": "8 to 1024",
    "stylegan2": "8 to 1024",
    "wgan": "8 to 256",
    "wgan_gp": "16, 32, 48, 64, 96, 128, 192 or 256",
    "wgan_gp_dcgan": "8 to 256",
}
RING = "data=ring data.num_points=1000"
PENALTIES = ("gradient_penalty", "gradient_penalty_one_sided", "max_gradient_penalty")
SMOOTHED = "loss.real_label is not an option of the loss that is chosen, but of loss=minimax, loss=nonsaturating"
UNSMOOTHED = [p.stem for p in CONF.glob("loss/*.yaml") if "real_label" not in OmegaConf.load(p)]
ADAPTIVE = ("ada", "apa")
SIGNLESS = ("least_squares", "wasserstein", "relativistic", "relativistic_average_hinge", "dual_contrastive")
REFUSED = {
    **{f"regularizer=[{name}]": "backbone.norm=layer (or none), or drop the regulariser" for name in PENALTIES},
    "model=fastgan data.image_size=16 regularizer=[gradient_penalty]": "which batch norm in the discriminator mixes",
    **{f"loss={name} loss.real_label=0.9": SMOOTHED for name in UNSMOOTHED},
    "model=wgan loss.real_label=0.9": SMOOTHED,
    "loss=wasserstein +loss.real_label=0.9": "loss has no option real_label: Wasserstein takes none.",
    **{f"conditioning={name} data.num_classes=0": "cannot train on Digits, which is unlabelled" for name in LABELLED},
    "conditioning=projection data=ring": "cannot train on Ring, which is unlabelled here: use conditioning=none",
    "conditioning.label_maps=3": "conditioning.label_maps=3 does not fit data.num_classes=10",
    "conditioning=projection conditioning.generator_classes=20": "generator_classes=20 does not fit",
    **{f"model={m} data.image_size={s}": f"images of {sizes} pixels" for m, sizes in SIZED.items() for s in (7, 20)},
    "model.discriminator.pack=3": "data.batch_size=16 cannot be divided into packs of 3",
    "model.discriminator.pack=4 data.batch_size=64 model.accumulate=32": "in 32 equal parts (processes times",
    "data.batch_size=5 model.accumulate=2": "5 images into equal pieces: take data.batch_size=4, say",
    **{
        f"augment={name} model=r3gan": "the sign of D(x), which says nothing under loss Relativistic"
        for name in ADAPTIVE
    },
    **{f"augment=ada loss={name}": "use augment.target=null with augment.p" for name in SIGNLESS},
    "experiment=pacgan data.batch_size=511": "packs of 2 (model.discriminator.pack) in 1 equal parts",
    "model.discriminator.pack=2 trainer.devices=2 data.batch_size=6": "in 2 equal parts",
    "model.discriminator.pack=2 conditioning=infogan": "puts images of any classes and codes together",
    "model.discriminator.pack=2 conditioning=acgan": "puts images of any classes and codes together",
    "conditioning=infogan data.batch_size=4 model.accumulate=4": "only one goes through at a time: take at least 8",
    f"{RING} model.generator.norm=batch data.batch_size=1": "data.batch_size=1 only one goes through",
    "generator_loss.top_k=1.5": "generator_loss got top_k=1.5",
    "generator_loss=top_k generator_loss.top_k=0": "generator_loss got top_k=0",
    "generator_loss=top_k generator_loss.top_k_decay=1.1": "both are shares above 0, at most 1",
    "generator_loss.feature_matching=-1": "feature_matching=-1: weights are at least 0",
    "generator_loss.adversarial=0": "weights are at least 0, and one of them is more",
    "generator_loss=top_k conditioning=multi_hinge": "the terms of MultiHingeHead take its place: set it to 1",
    "generator_loss=feature_matching conditioning=multi_hinge": "generator_loss.adversarial=0.0 is about",
    "model=stylegan2 conditioning=conditional_batch_norm": "which StyleGAN2Generator does not offer",
    "model=mlp conditioning=conditional_batch_norm_projection": "or model=sngan",
    "conditioning=projection conditioning.generator_injection=style": "choose concat or batch_norm",
    "conditioning=conditional_batch_norm model.generator.norm=layer": "needs norm=batch in the generator, not layer",
    "model=mlp model.generator.hidden=[8,0]": "model.generator.hidden=[8,0] is out of range: it is at least 1",
    "model.generator.latent_distribution=cauchy": "choose normal or uniform",
    f"{RING} augment=ada": "augment=ada changes images, and model=mlp2d makes points in the plane",
    f"{RING} augment=diffaugment": "use augment=none or augment=instance_noise",
    f"{RING} regularizer=[consistency]": "and model=mlp2d makes points in the plane: drop the regulariser",
    f"{RING} regularizer=[balanced_consistency]": "regularizer=balanced_consistency compares images",
    f"{RING} data.image_size=20": "leave data.image_size and data.channels null",
    "regularizer=[path_length]": "needs a generator with styles, which DCGANGenerator has not: use model=stylegan2",
    "regularizer=[reconstruction]": "a discriminator with decoders, which Discriminator has not: use model=fastgan",
    "model=progan model.growth.fade_kimg=-1": "fade_kimg=-1",
    "model=progan model.growth.start_resolution=6": "start_resolution=6 is no power of two",
    "model=progan model.growth.start_resolution=64": "is larger than the images: set it to 32 or below",
    "model.growth.fade_kimg=3": "is not an option of the model that is chosen, but of model=progan",
    "regularizer.r1.weight=3": "regularizer.r1.weight is not an option of the regularizer that is chosen, but of regu",
    "augment=null": "augment=null names no option of the group augment: leave it out, or write augment=none",
    "regularizer=[r1_lazy,r1]": "regularizer=r1 and r1_lazy are one term, regularizer.r1: choose one of them",
    "regularizer=[r2,r1_r2_w0.3]": "are one term, regularizer.r2: choose one",
    "regularizer=null": "or write regularizer=[]",
    "loss=null": "loss=null names no option of the group loss: leave it out.",
}


@pytest.mark.parametrize("line", REFUSED)
def test_a_pair_that_does_not_go_together_is_one_sentence(line: str, tmp_path: Path) -> None:
    words, folder = line.split(), tmp_path / "run"
    chosen = {word.partition("=")[0] for word in words}
    small = [word for word in SMALL if word.partition("=")[0] not in chosen]
    with pytest.raises(UserError) as caught:
        train([*small, f"run_dir={folder}", *words])
    said = str(caught.value)
    assert REFUSED[line] in said and "\n" not in said and said.endswith((".", "(HYDRA_FULL_ERROR=1 shows where)")), said
    assert not folder.exists() or [path.name for path in folder.iterdir()] == ["result.json"]  # which says it, too


def test_each_model_for_images_has_sizes_that_it_cannot_make() -> None:
    models = {path.stem for path in CONF.glob("model/*.yaml")}
    assert models - set(SIZED) == {"mlp", "mlp2d"}  # an MLP makes any size, the other one no images


NO_PAIRS = [
    f"{RING} augment=apa",
    f"{RING} latents=optimized",
    "regularizer=[dragan]",
    "conditioning=infogan conditioning.head.continuous=0",
    "conditioning=infogan conditioning.head.categories=[]",
]


@pytest.mark.parametrize("line", NO_PAIRS)
def test_what_looks_like_such_a_pair_and_is_none_runs(line: str, run_folder: Path) -> None:
    tiny = [] if RING in line else TINY
    assert train([*SMALL, *tiny, *line.split(), f"run_dir={run_folder}"])["images_seen"]


CRITIC = """
from torch import nn


class Critic(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
"""


def test_batch_norm_in_a_critic_of_ones_own_is_seen_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "normalising.py").write_text(CRITIC)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "conf/model").mkdir(parents=True)
    text = (
        "# @package _global_\nmodel:\n  _target_: gan_lightning.GAN\n  discriminator: {_target_: normalising.Critic}\n"
    )
    generator = "{_target_: gan_lightning.networks.MLPGenerator, image_size: 8, channels: 1, hidden: [8]}"
    (tmp_path / "conf/model/own.yaml").write_text(f"{text}  generator: {generator}\n")
    words = [*SMALL, f"hydra.searchpath=[file://{tmp_path}/conf]", "model=own", "data.image_size=8"]
    with pytest.raises(UserError, match=r"regularizer=gradient_penalty takes .* batch norm in Critic mixes"):
        train([*words, "regularizer=[gradient_penalty]", f"run_dir={tmp_path}/run"])
    assert train([*words, "regularizer=[r1]", f"run_dir={tmp_path}/run"])["images_seen"]


def test_the_command_line_ends_with_a_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    for word in ("augment=null", "loss=wasserstein loss.real_label=0.9", "model.discriminator.pack=3"):
        monkeypatch.setattr(sys, "argv", ["train.py", *word.split(), *SMALL, f"hydra.run.dir={tmp_path}/run"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1 and len(capsys.readouterr().err.splitlines()) == 1
        assert not (tmp_path / "run/config.yaml").exists()


def test_an_export_takes_no_class_and_no_code(run_folder: Path) -> None:
    train([*SMALL, *TINY, "conditioning=concat", f"run_dir={run_folder}"])
    for word in ("label=3", "code=1"):
        with pytest.raises(UserError, match=f"writes the generator as it is: leave out {word[:-2]}"):
            generate([f"ckpt={run_folder}", "export=safetensors", f"out={run_folder}/out.safetensors", word])
    assert not (run_folder / "out.safetensors").exists()
