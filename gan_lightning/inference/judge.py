"""The discriminator of a checkpoint as a judge of single samples."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.inference.build import build
from gan_lightning.inference.read import read_discriminator
from gan_lightning.networks.base import as_output
from gan_lightning.networks.layers.minibatch import MinibatchStddev
from gan_lightning.networks.layers.minibatch_discrimination import MinibatchDiscrimination
from gan_lightning.networks.registry import DISCRIMINATOR_PARTS, FORMER_PARTS, Factory, trust


def load_discriminator(path: Path, trusted: dict[str, Factory]) -> nn.Module:
    """Return the discriminator in the checkpoint at `path`, in evaluation mode.

    As for generators, the file can name only our own classes and those in `trusted`. Raises UserError where there is
    none, and for one whose logits hang on a sample's neighbours.
    """
    discriminator = build_discriminator(path, trusted)
    neighbours = any(isinstance(part, MinibatchStddev | MinibatchDiscrimination) for part in discriminator.modules())
    if neighbours or getattr(discriminator, "pack", 1) > 1:
        raise UserError(
            f"The discriminator in {path} judges several samples together, and rejection and langevin_steps need the "
            "logit of each: leave them out."
        )
    return discriminator


def build_discriminator(path: Path, trusted: dict[str, Factory]) -> nn.Module:
    """Return the discriminator in the checkpoint at `path`, of whatever kind, in evaluation mode."""
    return build(read_discriminator(path), {**trust(DISCRIMINATOR_PARTS + FORMER_PARTS), **trusted})


def logits(discriminator: nn.Module, images: Tensor, labels: Tensor | None) -> Tensor:
    """Return float32 logits `(N,)` of images `(N, *image_shape)`, the mean of those of patches."""
    answer = as_output(discriminator(images) if labels is None else discriminator(images, labels)).logits
    return answer.float().reshape(len(images), -1).mean(1)


def check_finite(values: Tensor) -> Tensor:
    """Return `values`; raise UserError where they are not finite."""
    if not torch.isfinite(values).all():
        raise UserError("The discriminator's logits are not finite, so it cannot judge samples: leave rejection out.")
    return values
