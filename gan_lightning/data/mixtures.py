"""Two-dimensional Gaussian mixtures with known modes: the protocol of PacGAN."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_lightning.data.data_module import GANData
from gan_lightning.data.sources import TensorImages
from gan_lightning.errors import UserError
from gan_lightning.streams import generator as random_stream


@dataclass(kw_only=True, eq=False, repr=False)
class Mixture(GANData):
    """Equally likely Gaussians of standard deviation `std`; batches hold float32 points `(N, 2)` under `image`.

    num_points: size of each split, drawn once from `seed`; "test" is an independent draw.
    `image_size` and `channels` are not used and are None.
    """

    image_size: None = None  # type: ignore[assignment]
    channels: None = None  # type: ignore[assignment]
    batch_size: int = 512
    num_points: int = 100_000
    std: float

    def modes(self) -> Tensor:
        """Return the means of the Gaussians, `(K, 2)`."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise UserError for an option out of range, or one that is only for images."""
        if self.image_size is not None or self.channels is not None or self.num_classes or self.mirror:
            raise UserError(
                f"data={self.name} holds unlabelled points in the plane; leave data.image_size and data.channels null, "
                "data.num_classes 0 and data.mirror false."
            )
        if self.num_points < 1 or self.batch_size < 1 or self.std <= 0:
            raise UserError("data.num_points and data.batch_size must be at least 1, and data.std above 0.")

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one point."""
        return (2,)

    def load(self, split: str) -> TensorImages:
        """Return `num_points` points, float32 `(num_points, 2)`."""
        modes, stream = self.modes(), random_stream(self.seed, self.name, split)
        chosen = modes[torch.randint(len(modes), (self.num_points,), generator=stream)]
        return TensorImages(chosen + self.std * torch.randn(self.num_points, 2, generator=stream))


@dataclass(kw_only=True, eq=False, repr=False)
class Ring(Mixture):
    """8 Gaussians on the unit circle, standard deviation 0.01 (Lin et al. 2017, 1712.04086)."""

    std: float = 0.01
    name = "ring"

    def modes(self) -> Tensor:
        """Return the means, `(8, 2)`."""
        angles = torch.arange(8) * (2 * math.pi / 8)
        return torch.stack([angles.cos(), angles.sin()], dim=1)


@dataclass(kw_only=True, eq=False, repr=False)
class Grid(Mixture):
    """25 Gaussians on the grid {-4, -2, 0, 2, 4} squared, standard deviation 0.05 (Lin et al. 2017, 1712.04086)."""

    std: float = 0.05
    name = "grid"

    def modes(self) -> Tensor:
        """Return the means, `(25, 2)`."""
        ticks = torch.arange(-4.0, 5.0, 2.0)
        return torch.cartesian_prod(ticks, ticks)
