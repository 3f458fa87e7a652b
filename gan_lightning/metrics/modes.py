"""How much of a Gaussian mixture a generator covers: the protocol of VEEGAN and PacGAN."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import LOCAL, SampleMetric, Setting


class Modes(SampleMetric):
    """Modes captured, share of high-quality samples, and reverse KL of the mode histogram.

    A sample has high quality if it lies within `radius` standard deviations (Euclidean) of its nearest mode. A mode is
    captured if it is the nearest mode of at least one such sample (Srivastava et al. 2017, arXiv 1705.07761). Reverse
    KL, in nats, compares the histogram of all samples over their nearest modes with the uniform one (Lin et al. 2017,
    arXiv 1712.04086). A perfect sampler in two dimensions has 1 - exp(-9/2) = 98.889% high quality; more means that the
    modes are too narrow. Takes points `(N, D)`.
    """

    consumes: ClassVar[tuple[str, ...]] = ("points",)
    names: ClassVar[tuple[str, ...]] = ("modes", "high_quality", "reverse_kl")
    protocol: ClassVar[str] = ""
    marked: ClassVar[bool] = False
    full_state_update = False

    samples: Tensor  # (M,) number of samples nearest to each mode
    good: Tensor  # (M,) number of them with high quality

    def __init__(self, setting: Setting, radius: float = 3.0) -> None:
        super().__init__(**LOCAL)
        if setting.modes is None or setting.std is None:
            raise UserError(
                "metrics=[modes] counts the modes of a Gaussian mixture, and this data set is none: choose data=ring "
                "or data=grid, or metrics=[fid,is]."
            )
        self.centres = setting.modes
        self.radius = radius * setting.std
        self.add_state("samples", torch.zeros(len(self.centres), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("good", torch.zeros(len(self.centres), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, points: Tensor, real: bool = False) -> None:
        """Count points `(N, D)`; real points are ignored."""
        if real:
            return
        centres = self.centres.to(points)
        # Not cdist's matrix product: far from the origin it rounds away distances of one standard deviation.
        distance, nearest = (points[:, None] - centres).norm(dim=2).min(dim=1)
        self.samples += nearest.bincount(minlength=len(centres))
        self.good += nearest[distance <= self.radius].bincount(minlength=len(centres))

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the number of modes captured, the high-quality share in [0, 1], and the reverse KL in nats."""
        share = self.samples.double() / self.samples.sum()
        reverse_kl = torch.xlogy(share, share * len(share)).sum()
        return (self.good > 0).sum(), self.good.sum().double() / self.samples.sum(), reverse_kl
