"""Rejection and Langevin sampling take discriminators whose logits are log density ratios, and no others."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_lightning import losses
from gan_lightning.cli.generate import generate
from gan_lightning.errors import UserError
from gan_lightning.inference.load import load
from gan_lightning.networks.dcgan import DCGANBackbone, DCGANGenerator
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.heads.logits import MultiHingeHead

Make = Callable[..., Any]
Save = Callable[..., Path]
TELL_NONE = ("Hinge", "LeastSquares", "RelativisticAverage", "RelativisticAverageHinge", "Wasserstein")
TELL = ("NonSaturating", "Minimax", "Relativistic", "DualContrastive")


@pytest.fixture
def trained_by(network: DCGANGenerator, saved: Save, judged: Make) -> Callable[[Any], Path]:
    """Return a function of a configuration's `loss` -> path of a checkpoint with a discriminator."""
    content = judged(network, Discriminator(DCGANBackbone(8, 1, width=4)))

    def save(loss: Any) -> Path:
        content["gan_lightning"]["config"] = {"seed": 1, "loss": loss}
        return saved(content)

    return save


@pytest.mark.parametrize("options", [{"rejection": True}, {"langevin_steps": 2}])
@pytest.mark.parametrize("loss", TELL_NONE)
def test_a_loss_without_density_ratio_is_refused_by_name(trained_by: Make, loss: str, options: dict[str, Any]) -> None:
    path = trained_by({"_target_": f"gan_lightning.losses.{loss}"})
    with pytest.raises(UserError, match=rf"last\.ckpt was trained by the loss {loss}, so its logits are no log dens"):
        load(path).sample(1, **options)
    assert load(path).sample(1).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("loss", TELL)
def test_a_loss_with_density_ratio_is_taken_in_silence(trained_by: Make, loss: str) -> None:
    loaded = load(trained_by({"_target_": f"gan_lightning.losses.adversarial.{loss}", "real_label": 1.0}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded.sample(1, rejection=True)
        loaded.sample(1, langevin_steps=1)


def test_the_command_line_names_the_loss_and_writes_nothing(trained_by: Make, tmp_path: Path) -> None:
    path = trained_by({"_target_": "gan_lightning.losses.Wasserstein"})
    with pytest.raises(UserError, match=r"the loss Wasserstein.*leave them out, or train with loss=nonsaturating"):
        generate([f"ckpt={path}", "rejection=true", f"out={tmp_path}/images", "device=cpu"])
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize("loss", [None, "Hinge", {"_target_": None}, {"_target_": ["os.system"]}, {}])
def test_a_file_that_does_not_say_is_taken_with_a_word(trained_by: Make, loss: Any) -> None:
    with pytest.warns(UserWarning, match=r"last\.ckpt does not say by which loss it was trained: .* for log-odds"):
        load(trained_by(loss)).sample(1, rejection=True)


class MyCritic(losses.Wasserstein):
    """A user's loss."""


def test_a_foreign_loss_is_not_imported_and_a_trusted_one_is_asked(trained_by: Make) -> None:
    with pytest.warns(UserWarning, match=r"names the loss os\.system, which is unknown here"):
        load(trained_by({"_target_": "os.system", "command": "false"})).sample(1, rejection=True)
    path = trained_by({"_target_": f"{__name__}.MyCritic"})
    with pytest.warns(UserWarning, match="MyCritic, which is unknown here"):
        load(path).sample(1, rejection=True)
    with pytest.raises(UserError, match="the loss MyCritic"):
        load(path, trusted=[MyCritic]).sample(1, rejection=True)


def test_a_head_that_plays_alone_by_a_hinge_is_refused(network: DCGANGenerator, saved: Save, judged: Make) -> None:
    torch.manual_seed(0)
    judge = Discriminator(DCGANBackbone(8, 1, width=4), head=partial(MultiHingeHead, num_classes=3))
    with pytest.raises(UserError, match="was trained by its head MultiHingeHead alone, so its logits are no"):
        load(saved(judged(network, judge))).sample(1, rejection=True)
