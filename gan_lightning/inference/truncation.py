"""Truncation: less variety for more quality, in the latents or in the styles."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gan_lightning.inference.sampling import CHUNK, rows
from gan_lightning.streams import generator as random_stream


def truncate_latents(z: Tensor, bound: float, distribution: str, start: int, seed: int) -> Tensor:
    """Return latents `(N, dim)` of the samples from `start` on with those beyond +-bound drawn anew within it.

    Brock et al. 2018, arXiv 1809.11096. The new value comes from the truncated law at once (inverse of its
    distribution function), which is the law of drawing until it fits. distribution: "normal" or "uniform".
    """

    def draw(block: int) -> Tensor:
        stream = random_stream(seed, "truncation", block)
        return torch.rand(CHUNK, z.shape[1], generator=stream, dtype=torch.float64) * 2 - 1

    unit = rows(start, start + len(z), draw)  # on the CPU: not every device has float64
    within = unit * bound
    if distribution == "normal":
        within = torch.erfinv(unit * math.erf(bound / math.sqrt(2))) * math.sqrt(2)
    return torch.where(z.abs() <= bound, z, within.to(z.dtype).clamp(-bound, bound).to(z.device))


def truncate_styles(styles: Tensor, average: Tensor, psi: float, layers: int | None = None) -> Tensor:
    """Return styles `(N, num_styles, style_dim)`, the first `layers` of them (None: all) at average + psi * distance.

    Karras et al. 2018, arXiv 1812.04948. average: `(style_dim,)`.
    """
    truncated = average + psi * (styles - average) if psi != 1 else styles
    if layers is None:
        return truncated
    return torch.cat([truncated[:, :layers], styles[:, layers:]], 1)
