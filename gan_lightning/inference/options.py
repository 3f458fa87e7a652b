"""What may be asked of a sampler beyond seed, class and codes; all off by default."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_lightning.errors import UserError
from gan_lightning.networks.base import Generator
from gan_lightning.networks.styles import StyleGenerator


@dataclass(frozen=True)
class Options:
    """How to sample; raises UserError for values that no generator can take.

    truncation: StyleGAN's psi, 1 for none; for other generators the bound on |z|, of latents of unit variance.
    truncation_layers: the first layers, to which psi is confined; None for all.
    mix_seed: a style generator's later layers take the styles of the sample of this seed.
    mix_layer: the first layer to do so; None for the middle.
    standing_batches: batches of 64 over which batch norm's statistics are accumulated anew; 0 keeps those of training.
    rejection: accept samples by the discriminator's density ratio (see Rejection).
    rejection_percentile: of the log-odds, which are accepted by half; None for the exact law.
    langevin_steps: of discriminator-driven Langevin sampling (see langevin.walk).
    langevin_step_size: of each, in the latents' variance; None for 0.01.
    """

    truncation: float | None = None
    truncation_layers: int | None = None
    mix_seed: int | None = None
    mix_layer: int | None = None
    standing_batches: int = 0
    rejection: bool = False
    rejection_percentile: float | None = None
    langevin_steps: int = 0
    langevin_step_size: float | None = None

    def __post_init__(self) -> None:
        for name in ("standing_batches", "langevin_steps"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 0:
                raise UserError(f"{name}={getattr(self, name)} is no count: give a whole number from 0.")
        if self.langevin_step_size is not None and not 0 < self.langevin_step_size < math.inf:
            raise UserError(f"langevin_step_size={self.langevin_step_size} is out of range: it is above 0.")
        if self.rejection_percentile is not None and not 0 <= self.rejection_percentile <= 100:
            raise UserError(f"rejection_percentile={self.rejection_percentile} is out of range: it is 0 to 100.")
        self._check_companions()
        if (self.mix_seed is not None) + self.rejection + (self.langevin_steps > 0) > 1:
            raise UserError("Only one of mix_seed, rejection and langevin_steps is possible at a time: choose one.")

    def _check_companions(self) -> None:
        """Raise UserError for what refines an option that is off."""
        companions = {
            "truncation_layers": ("truncation", self.truncation is not None),
            "mix_layer": ("mix_seed", self.mix_seed is not None),
            "rejection_percentile": ("rejection", self.rejection),
            "langevin_step_size": ("langevin_steps", self.langevin_steps > 0),
        }
        for name, (option, on) in companions.items():
            if getattr(self, name) is not None and not on:
                raise UserError(f"{name} does nothing without {option}: give both, or neither.")

    @property
    def needs_discriminator(self) -> bool:
        """Whether samples are judged."""
        return self.rejection or self.langevin_steps > 0

    def check(self, network: Generator) -> None:
        """Raise UserError for what `network` cannot do."""
        if isinstance(network, StyleGenerator):
            self._check_layers(network.num_styles)
        else:
            self._check_plain(network)
        if self.standing_batches and not any(map(has_statistics, network.modules())):
            raise UserError(f"{type(network).__name__} has no batch-norm statistics: leave standing_batches out.")

    def _check_layers(self, count: int) -> None:
        if self.truncation is not None and not math.isfinite(self.truncation):
            raise UserError(f"truncation={self.truncation} is no number: give 1 for none, 0 for the mean style.")
        for name, most in (("truncation_layers", count), ("mix_layer", count - 1)):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= most:
                raise UserError(f"{name}={value} is out of range: this generator takes 1 to {most}.")

    def _check_plain(self, network: Generator) -> None:
        if self.truncation is not None and not 0 < self.truncation < math.inf:
            raise UserError(f"truncation={self.truncation} is out of range: it bounds |z|, so it is above 0.")
        for name in ("truncation_layers", "mix_seed"):
            if getattr(self, name) is not None:
                raise UserError(f"{type(network).__name__} has no styles: leave {name} out, or take a StyleGAN.")


def has_statistics(module: nn.Module) -> bool:
    """Return whether `module` is a batch norm that keeps running statistics."""
    return isinstance(module, _BatchNorm) and module.running_mean is not None
