"""MS-SSIM of generated images with one another: high where a generator repeats itself."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as ms_ssim

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Setting
from gan_lightning.metrics.image_pairs import PairMetric

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 11  # pixels, sigma 1.5
SMALLEST = 4


class MSSSIMDiversity(PairMetric):
    """Mean multi-scale structural similarity of random pairs of samples (Odena et al. 2016, arXiv 1610.09585).

    Lower means more diverse, 1 that all are the same; compare with the same on real images. torchmetrics' function
    (Wang et al. 2003) takes five levels of images of 176 pixels or more. Smaller ones have fewer levels, whose weights
    are then divided by their sum: 4 from 99 pixels on, 3 from 44, 2 from 12, else one, below 11 pixels with a smaller
    window. Scores of different sizes do not compare.

    pairs: at most so many; ProGAN takes 5,000 of 10,000 samples.
    """

    names: ClassVar[tuple[str, ...]] = ("ms_ssim",)

    def __init__(self, setting: Setting, pairs: int = 5000) -> None:
        super().__init__(setting, pairs)
        side = min(setting.image_shape[1:], default=0)
        if side < SMALLEST:
            raise UserError(
                f"metrics=[{self.names[0]}] needs images of {SMALLEST} pixels at least, and these have {side}: "
                "leave it out."
            )
        self.options = options(side)

    def measure(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the similarity `(n,)` of each pair of uint8 images `(n, C, H, W)`."""
        return ms_ssim(first.float(), second.float(), data_range=255.0, reduction="none", **self.options)


class IntraMSSSIM(MSSSIMDiversity):
    """The same of pairs within classes, for samples that have classes."""

    consumes: ClassVar[tuple[str, ...]] = ("images", "labels")
    names: ClassVar[tuple[str, ...]] = ("intra_ms_ssim",)


def options(side: int) -> dict[str, Any]:
    """Return how images with this shorter side are compared: the levels' weights, and the window."""
    # torchmetrics asks for side // (levels - 1)^2 >= 11; the window reaches 5 pixels over the edge, by reflection.
    levels = next((n for n in (5, 4, 3, 2) if side // (n - 1) ** 2 >= WINDOW and side >> (n - 1) > WINDOW // 2), 1)
    if levels == len(WEIGHTS):
        return {"betas": WEIGHTS}
    total = sum(WEIGHTS[:levels])
    chosen: dict[str, Any] = {"betas": tuple(weight / total for weight in WEIGHTS[:levels])}
    if side < WINDOW:
        size = side if side % 2 else side - 1
        chosen |= {"kernel_size": size, "sigma": 1.5 * size / WINDOW}  # as TensorFlow's code shrinks it
    return chosen
