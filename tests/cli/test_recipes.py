"""Every recipe of conf/experiment: its page, its checks, its full-size networks, and two iterations of small ones."""

from __future__ import annotations

import csv
import math
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from gan_lightning.cli import build as cli_build
from gan_lightning.cli import train as cli_train
from gan_lightning.cli.objects import build
from tests.cli.compositions import CONF, compose, options
from tests.cli.test_compose import refusal, tiny

RECIPES = options("experiment")
PAGE = (CONF.parent / "docs" / "recipes.md").read_text()
COMMANDS = {
    name: shlex.split(line)
    for line, name in re.findall(
        r"^\| [^|]+ \| `python train\.py ([^`]*?experiment=(\w+)[^`]*)` \|", PAGE, re.MULTILINE
    )
}
POINTS = ("mode_coverage", "pacgan")
IMAGENET = ["data.num_classes=1000"]
AT_64_PIXELS = ["model.generator.attention=64", "model.discriminator.backbone.attention=64"]
MAPPED = ["conditioning=mapped_projection"]
COUNTS = [  # trainable parameters of the authors' code, or of PyTorch-StudioGAN's
    ("dcgan_celeba", [], 3_576_704, 2_765_568),
    ("wgan_lsun", [], 3_576_704, 2_765_568),
    ("lsgan_celeba", [], 12_658_432, 11_036_160),
    ("cgan_mnist", ["conditioning=none"], 2_503_984, 1_231_441),
    ("wgan_gp_cifar10", [], 1_204_483, 1_053_825),
    ("sngan_cifar10", [], 4_276_739, 1_053_825),
    ("cgan_pd_cifar10", [], 4_304_387, 1_055_105),
    ("sagan_imagenet128", [*IMAGENET, *AT_64_PIXELS], 42_017_412, 39_448_258),
    ("biggan_cifar10", [], 9_416_196, 2_415_170),
    ("biggan_imagenet128", IMAGENET, 70_433_988, 87_982_370),
    ("biggan_deep_imagenet128", IMAGENET, 50_244_484, 34_590_210),
    ("progan_celebahq", [], 23_079_115, 23_087_249),
    ("stylegan_ffhq", [], 26_219_627, 23_087_249),
    ("stylegan2_ffhq", [], 30_370_060, 29_012_513),
    ("stylegan2_ada_cifar10", [], 19_947_539, 20_720_641),
    ("stylegan2_ada_cifar10", MAPPED, 20_215_315, 23_089_664),
    ("r3gan_cifar10", [], 20_781_952, 21_280_512),
    ("r3gan_ffhq64", [], 22_429_824, 22_381_440),
    ("r3gan_ffhq256", [], 23_057_952, 23_009_568),
]

GENERATOR_STEPS = {
    "lsgan_celeba": 100_000,
    "wgan_gp_cifar10": 100_000,
    "sngan_cifar10": 50_000,
    "sagan_imagenet128": 1_000_000,
    "biggan_cifar10": 100_000,
    "reacgan_cifar10": 100_000,
    "fastgan_few_shot": 50_000,
}
AVERAGES = {  # what is kept of the generator's average in one of its steps
    "biggan_cifar10": 0.9999,
    "reacgan_cifar10": 0.9999,
    "biggan_diffaugment_cifar10": 0.9999,
    "biggan_imagenet128": 0.9999,
    "progan_celebahq": 0.999,
    "fastgan_few_shot": 0.999,
    "projected_gan_lsun": 0.9977844,
}


@cache
def full_size(recipe: str, *further: str) -> tuple[nn.Module, nn.Module]:
    config = compose(f"experiment={recipe}", *further)
    with torch.device("meta"):
        return build(config.model.generator), build(config.model.discriminator)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def test_the_page_lists_exactly_the_recipes_that_there_are() -> None:
    assert sorted(COMMANDS) == RECIPES
    assert PAGE.count("experiment=") == len(RECIPES) + PAGE.partition("|")[0].count("experiment=")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_names_its_paper_and_passes_all_checks_as_the_page_calls_it(recipe: str, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / "images" / name).mkdir(parents=True)
    words = [word.replace("=FOLDER", f"={tmp_path}/images") for word in COMMANDS[recipe]]
    assert not refusal(compose(*words), tmp_path / "run")
    header, *comment = (CONF / "experiment" / f"{recipe}.yaml").read_text().split("\ndefaults:")[0].splitlines()
    assert header == "# @package _global_" and comment and all(line.startswith("# ") for line in comment)
    if recipe != "quickstart":
        assert "arXiv" in comment[0] + comment[1] and re.search(r"FID|[Ss]core|[Pp]ublished", " ".join(comment))


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_of_a_recipe_stays_behind_when_its_parts_are_swapped(recipe: str, tmp_path: Path) -> None:
    words = ["loss=nonsaturating", "regularizer=[]", "augment=none", "optim=adam", "schedule=constant", "latents=drawn"]
    words += ["conditioning=none", "callbacks=[]", f"data={'grid' if recipe in POINTS else 'digits'}"]
    config = compose(f"experiment={recipe}", *words)
    assert not refusal(config, tmp_path / "run")
    plain = compose(*words)
    for group in ("loss", "regularizer", "optim", "schedule", "conditioning", "callbacks"):
        assert config[group] == plain[group], group
    assert config.augment is None and config.latents is None


@pytest.mark.parametrize("recipe", GENERATOR_STEPS)
def test_lengths_are_generator_steps_in_images_that_the_discriminator_sees(recipe: str) -> None:
    config = compose(f"experiment={recipe}")
    assert config.max_kimg * 1000 == GENERATOR_STEPS[recipe] * config.model.d_steps * config.data.batch_size


@pytest.mark.parametrize("recipe", AVERAGES)
def test_half_lives_are_the_papers_averages(recipe: str) -> None:
    config = compose(f"experiment={recipe}")
    images = config.model.d_steps * config.data.batch_size
    assert 0.5 ** (images / (config.model.ema_kimg * 1000)) == pytest.approx(AVERAGES[recipe], abs=1e-5)


@pytest.mark.parametrize(("recipe", "further", "generator", "discriminator"), COUNTS)
def test_full_size_networks_have_the_published_counts(
    recipe: str, further: list[str], generator: int, discriminator: int
) -> None:
    assert tuple(map(count, full_size(recipe, *further))) == (generator, discriminator)


@pytest.mark.parametrize("recipe", RECIPES)
def test_full_size_networks_fit_together(recipe: str) -> None:
    words = IMAGENET if recipe.endswith("imagenet128") else []
    config, (generator, discriminator) = compose(f"experiment={recipe}", *words), full_size(recipe, *words)
    classes = generator.num_classes
    assert classes == (config.data.num_classes if config.conditioning.needs_labels else 0)
    with torch.device("meta"):
        labels = torch.empty(4, dtype=torch.long) if classes else None
        images = generator(torch.empty(4, generator.latent_dim), labels)
        logits = discriminator(images, labels).logits
    size, channels = config.data.image_size, config.data.channels
    assert images.shape == ((4, 2) if recipe in POINTS else (4, channels, size, size))
    assert len(logits) == 4 // getattr(discriminator, "pack", 1)


def small(recipe: str) -> DictConfig:
    """Return the recipe with small networks on small data, whose every turn comes within two iterations."""
    data = "ring" if recipe in POINTS else "digits"
    colours = compose(f"experiment={recipe}").data.channels
    words = [f"data={data}", *([] if recipe in POINTS else [f"data.channels={colours}"])]
    words += ["callbacks=[nan_guard,checkpoint]", "logger=[csv]", "log_every=1"]
    words += ["seed=1"]  # with 0 an untrained discriminator satisfies the hinge, and has nothing to learn
    config = tiny(f"experiment={recipe}", *words)
    config.model.d_steps = min(config.model.d_steps, 2)
    for penalty in config.regularizer.values():
        if "every" in penalty:
            penalty.every = min(penalty.every, 2)
    return config


def rows(folder: Path) -> dict[str, float]:
    with open(folder / "metrics.csv", newline="") as file:
        return {name: float(value) for row in csv.DictReader(file) for name, value in row.items() if value}


def moved(before: dict[str, Tensor], after: dict[str, Any], network: str) -> bool:
    return any(not torch.equal(value, after[name]) for name, value in before.items() if name.startswith(f"{network}."))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains(recipe: str, run_folder: Path) -> None:
    config = small(recipe)
    config.run_dir = str(run_folder)
    before = dict(cli_build.module(config).named_parameters())
    assert cli_train.train(config)["images_seen"] == 2 * config.data.batch_size
    state = torch.load(run_folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert moved(before, state, "generator") and moved(before, state, "discriminator")
    found = rows(run_folder)
    penalties = {f"loss/{name}" for name, node in config.regularizer.items() if "weight" in node}
    assert penalties <= found.keys() and all(math.isfinite(value) for value in found.values())
