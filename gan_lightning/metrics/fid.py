"""Frechet Inception distance: torchmetrics' class, fed with features that are already extracted."""

from __future__ import annotations

from typing import ClassVar

from torchmetrics.image.fid import FrechetInceptionDistance

from gan_lightning.metrics.base import LOCAL, Identity, SampleMetric, Setting


class FID(FrechetInceptionDistance, SampleMetric):
    """Frechet distance between Gaussians fitted to real and generated features (Heusel et al. 2017, arXiv 1706.08500).

    Statistics and result are float64. Takes features `(N, F)`; needs two samples of each kind.
    """

    consumes: ClassVar[tuple[str, ...]] = ("features",)
    names: ClassVar[tuple[str, ...]] = ("fid",)

    def __init__(self, setting: Setting) -> None:
        super().__init__(feature=Identity(setting.feature_dim), **LOCAL)
