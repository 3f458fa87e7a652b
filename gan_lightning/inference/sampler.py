"""Sampling with options; every sample depends only on the seed and its index, as in plain sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.inference.rebuild import check_finite, logits
from gan_lightning.inference.refinements import (
    Rejection,
    has_statistics,
    truncate_latents,
    truncate_styles,
    walk,
    with_standing_statistics,
)
from gan_lightning.inference.sampling import CHUNK, Batch, batches, evaluating, latents, rows
from gan_lightning.networks.base import Generator
from gan_lightning.networks.styles import StyleGenerator
from gan_lightning.streams import UNIFORM_BOUND, key
from gan_lightning.streams import generator as random_stream


@dataclass(frozen=True)
class Options:
    """Options of sampling; raises UserError for invalid values.

    truncation: StyleGAN's psi, 1 for none; for other generators the bound on |z|, for latents of unit variance.
    truncation_layers: number of first layers to which psi is applied; None for all.
    mix_seed: the later layers of a style generator get the styles of the sample with this seed.
    mix_layer: the first of these layers; None for the middle.
    standing_batches: number of batches of 64 from which batch norm's statistics are computed; 0 keeps those of
        training.
    rejection: accept samples by the discriminator's density ratio (see Rejection).
    rejection_percentile: percentile of the log-odds that is accepted with probability 1/2; None: the exact
        distribution.
    langevin_steps: number of steps of discriminator-driven Langevin sampling (see refinements.walk).
    langevin_step_size: size of a step, as a variance of the latents; None for 0.01.
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
        """Raise UserError for an option that belongs to another option that is off."""
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
        """Whether the options need a discriminator."""
        return self.rejection or self.langevin_steps > 0

    def check(self, network: Generator) -> None:
        """Raise UserError for options that `network` does not support."""
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


BURN_IN = 1024  # number of samples from which rejection takes the largest logit
MOST_ATTEMPTS = 10_000
STEP_SIZE = 0.01  # of a Langevin step; its noise has standard deviation 0.1


class Sampler:
    """Samples from `network` with `options`; raises UserError if the network does not support them.

    Sample i of a seed is the same for any batches: each index has its own random numbers, and values that all samples
    share (standing statistics, rejection's ceiling) do not depend on the seed.

    discriminator: images `(N, *image_shape)` and labels -> logits, if the options need one.
    """

    def __init__(self, network: Generator, options: Options, discriminator: nn.Module | None = None) -> None:
        options.check(network)
        self.options, self.discriminator, self.network = options, discriminator, network
        if options.standing_batches:
            self.network = with_standing_statistics(
                network, (self._truncated(batch).inputs for batch in self._own_batches(options.standing_batches))
            )

    @torch.no_grad()
    def generate(
        self, start: int, stop: int, seed: int, batch_size: int, labels: Tensor | None, codes: Tensor | None
    ) -> Tensor:
        """Return images `(stop - start, *image_shape)`; see sampling.generate."""
        if stop <= start:
            return torch.empty(0, *self.network.image_shape)
        with evaluating(self.network):
            drawn = batches(self.network, start, stop, seed, batch_size, labels, codes)
            return torch.cat([self._sample(self._truncated(batch)) for batch in drawn])

    def _sample(self, batch: Batch) -> Tensor:
        if self.options.rejection:
            return self._accepted(batch)
        if self.options.langevin_steps:
            return self._images(self._walked(batch))
        return self._images(batch)

    def _own_batches(self, count: int) -> list[Batch]:
        """Return batches that do not depend on the user's seed."""
        return list(batches(self.network, 0, count * CHUNK, key(0, "statistics"), CHUNK))

    def _truncated(self, batch: Batch) -> Batch:
        """Truncate the noise of a plain generator; codes do not change."""
        bound = self._bound_of_truncation
        if bound is None:
            return batch
        noise, codes = self._split(batch.z)
        noise = truncate_latents(noise, bound, self._distribution, batch.start, batch.seed)
        return batch._replace(z=torch.cat([noise, codes], 1))

    @property
    def _bound_of_truncation(self) -> float | None:
        return None if isinstance(self.network, StyleGenerator) else self.options.truncation

    @property
    def _distribution(self) -> str:
        return getattr(self.network, "latent_distribution", "normal")

    def _split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Split latents into noise and codes."""
        codes = getattr(self.network, "codes", None)
        free = z.shape[1] - (codes.size if codes is not None else 0)
        return z[:, :free], z[:, free:]

    def _images(self, batch: Batch) -> Tensor:
        if not isinstance(self.network, StyleGenerator):
            return self.network(*batch.inputs)
        options, second, crossover = self.options, None, None
        if options.mix_seed is not None:
            second = latents(self.network, batch.start, batch.stop, options.mix_seed).to(batch.z.device)
            layer = options.mix_layer or self.network.num_styles // 2
            crossover = torch.full((len(second),), layer, device=second.device)
        styles = self.network.styles(batch.z, batch.labels, second, crossover)
        if options.truncation is not None:
            average = self.network.mapping.w_avg
            styles = truncate_styles(styles, average, options.truncation, options.truncation_layers)
        return self.network.synthesis(styles)

    def _logits(self, images: Tensor, labels: Tensor | None) -> Tensor:
        assert self.discriminator is not None
        return logits(self.discriminator, images, labels)

    def _walked(self, batch: Batch) -> Batch:
        """Update the noise by Langevin steps; codes do not change."""
        start, codes = self._split(batch.z)
        uniform = self._distribution == "uniform"
        bounds = [self._bound_of_truncation, UNIFORM_BOUND if uniform else None]

        def log_density(noise: Tensor) -> Tensor:
            images = self._images(batch._replace(z=torch.cat([noise, codes], 1)))
            return self._logits(images, batch.labels) - (0 if uniform else noise.square().sum(1) / 2)

        def noise(step: int) -> Tensor:
            def draw(block: int) -> Tensor:
                return torch.randn(CHUNK, start.shape[1], generator=random_stream(batch.seed, "walk", step, block))

            return rows(batch.start, batch.stop, draw).to(start.device)

        bound = min((bound for bound in bounds if bound is not None), default=None)
        step_size = self.options.langevin_step_size or STEP_SIZE
        end = walk(start, log_density, self.options.langevin_steps, step_size, noise, bound)
        if not torch.isfinite(end).all():
            raise UserError(f"The Langevin walk diverged: set langevin_step_size below {step_size}.")
        return batch._replace(z=torch.cat([end, codes], 1))

    @cached_property
    def _rejection(self) -> Rejection:
        drawn = (self._truncated(batch) for batch in self._own_batches(BURN_IN // CHUNK))
        values = torch.cat([self._logits(self._images(batch), batch.labels) for batch in drawn])
        return Rejection(check_finite(values), self.options.rejection_percentile)

    def _accepted(self, batch: Batch) -> Tensor:
        """Draw each sample of the batch until it is accepted; its class and codes do not change."""
        images = torch.empty(len(batch.z), *self.network.image_shape, device=batch.z.device)
        left = torch.arange(len(images), device=images.device)
        for attempt in range(MOST_ATTEMPTS):
            tried = self._attempt(batch, attempt)
            labels = tried.labels[left] if tried.labels is not None else None
            found = self._images(tried._replace(z=tried.z[left], labels=labels))
            accepted = self._chances(tried)[left] < self._rejection.probability(self._logits(found, labels))
            images[left[accepted]] = found[accepted].to(images.dtype)
            left = left[~accepted]
            if not len(left):
                return images
        raise UserError(
            f"Rejection found no sample number {batch.start + int(left[0])} in {MOST_ATTEMPTS} attempts: the "
            "discriminator accepts too few, so set rejection_percentile (80), or leave rejection out."
        )

    def _attempt(self, batch: Batch, attempt: int) -> Batch:
        """Return the batch with new noise for each attempt; the first attempt keeps the noise."""
        if not attempt:
            return batch
        seed = key(batch.seed, "attempt", attempt)
        noise, _ = self._split(latents(self.network, batch.start, batch.stop, seed).to(batch.z.device))
        z = torch.cat([noise, self._split(batch.z)[1]], 1)
        return self._truncated(batch._replace(seed=seed, z=z))

    def _chances(self, batch: Batch) -> Tensor:
        def draw(block: int) -> Tensor:
            return torch.rand(CHUNK, 1, generator=random_stream(batch.seed, "accept", block))

        return rows(batch.start, batch.stop, draw)[:, 0].to(batch.z.device)
