"""InfoGAN's codes: the part of the latents that its network Q predicts from the images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from gan_lightning.errors import UserError

STAY = math.nan  # marks a code that keeps its drawn value


@dataclass(frozen=True)
class LatentCodes:
    """The last `size` latents are codes: one-hot categories first, then continuous ones. Chen et al. 2016, 1606.03657.

    The generator does not use this class; its `latent_dim` counts noise and codes.

    categories: how many values each discrete code has, drawn uniformly.
    continuous: how many codes are drawn from U(-1, 1).
    """

    categories: tuple[int, ...]
    continuous: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(self.categories))
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (*self.categories, self.continuous))
        if not whole or min(self.categories, default=2) < 2 or self.continuous < 0 or not self.count:
            raise UserError(
                f"codes with categories={list(self.categories)} and continuous={self.continuous} cannot be drawn: each "
                "category has at least 2 values, continuous is at least 0, and there is at least one code."
            )

    @property
    def count(self) -> int:
        """Return how many codes there are."""
        return len(self.categories) + self.continuous

    @property
    def size(self) -> int:
        """Return how many latents the codes take."""
        return sum(self.categories) + self.continuous

    def plain(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain containers."""
        return {**asdict(self), "categories": list(self.categories)}

    def check(self, latent_dim: int) -> None:
        """Raise UserError if no noise is left among `latent_dim` latents."""
        if latent_dim <= self.size:
            raise UserError(
                f"The codes take {self.size} of the generator's latent_dim={latent_dim} and leave no noise: raise "
                "model.generator.latent_dim, or ask for fewer codes."
            )

    def draw(self, count: int, stream: torch.Generator) -> Tensor:
        """Return values `(count, codes)`: the numbers of the categories, then U(-1, 1)."""
        device = stream.device
        discrete = [torch.randint(n, (count, 1), generator=stream, device=device) for n in self.categories]
        continuous = torch.rand(count, self.continuous, generator=stream, device=device) * 2 - 1
        return torch.cat([*discrete, continuous], dim=1)

    def split(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return the noise and the codes in latents `(N, latent_dim)`, as they are drawn."""
        return latents[:, : -self.size], latents[:, -self.size :]

    def write(self, latents: Tensor, values: Tensor) -> Tensor:
        """Return latents `(N, latent_dim)` with codes of `values` `(N, codes)`; NaN leaves a code unchanged."""
        noise, before = self.split(latents)[0], self.read(latents)
        values = torch.where(values.isnan(), before, values)
        categories = [one_hot(values[:, i].long(), n) for i, n in enumerate(self.categories)]
        return torch.cat([noise, *categories, values[:, len(self.categories) :]], dim=1).to(latents.dtype)

    def read(self, latents: Tensor) -> Tensor:
        """Return the values `(N, codes)` of the codes in latents `(N, latent_dim)`."""
        *categories, continuous = self.split(latents)[1].split([*self.categories, self.continuous], dim=1)
        return torch.cat([*(c.argmax(1, keepdim=True).to(latents.dtype) for c in categories), continuous], dim=1)

    def values(self, chosen: Sequence[float | None] | float, count: int) -> Tensor:
        """Return values `(count, codes)` from a user's choice: a number for each code, in order; None leaves it as
        drawn.

        Missing numbers at the end count as None. Raises UserError for too many numbers or an unknown category.
        """
        row = [chosen] if isinstance(chosen, int | float | str) else list(chosen)
        if len(row) > self.count:
            raise UserError(f"There are {len(row)} values for {self.count} codes, {self._told()}: leave some out.")
        for value, categories in zip(row, self.categories, strict=False):
            if value is not None and value not in range(categories):
                raise UserError(f"code={value} is no category: it is a whole number from 0 to {categories - 1}.")
        if not all(value is None or (isinstance(value, int | float) and math.isfinite(value)) for value in row):
            raise UserError(f"code={row} cannot be read: give a number for each code, {self._told()}, or null.")
        filled = [STAY if value is None else float(value) for value in row]
        return torch.tensor([filled + [STAY] * (self.count - len(row))] * count)

    def sweep(self, columns: int) -> Tensor:
        """Return values `(codes * columns, codes)`: in each row of `columns` one code takes all of its values.

        Categories count from 0 and repeat if there are fewer than columns; continuous codes go from -1 to 1.
        """
        values = torch.full((self.count, columns, self.count), STAY)
        for index, categories in enumerate(self.categories):
            values[index, :, index] = (torch.arange(columns) % categories).float()
        for index in range(len(self.categories), self.count):
            values[index, :, index] = torch.linspace(-1, 1, columns)
        return values.flatten(0, 1)

    def _told(self) -> str:
        return f"categories of {list(self.categories)} values and {self.continuous} continuous"
