"""MS-SSIM between generated images: high if a generator repeats itself."""

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

    Lower means more diverse, 1 means that all are the same; compare it with the value of real images. torchmetrics'
    function (Wang et al. 2003) uses five levels for images of 176 pixels or more. Smaller images have fewer levels: 4
    from 99 pixels on, 3 from 44, 2 from 12, else 1. The remaining weights are divided by their sum. Below 11 pixels the
    window is smaller. Scores of different image sizes do not compare.

    pairs: largest number of pairs; ProGAN takes 5,000 pairs of 10,000 samples.
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
    """Mean MS-SSIM of pairs within classes, for samples with class labels."""

    consumes: ClassVar[tuple[str, ...]] = ("images", "labels")
    names: ClassVar[tuple[str, ...]] = ("intra_ms_ssim",)


def options(side: int) -> dict[str, Any]:
    """Return torchmetrics' options for images with this shorter side: the levels' weights, and the window."""
    # torchmetrics asks for side // (levels - 1)^2 >= 11; the window extends 5 pixels over the edge (reflected).
    levels = next((n for n in (5, 4, 3, 2) if side // (n - 1) ** 2 >= WINDOW and side >> (n - 1) > WINDOW // 2), 1)
    if levels == len(WEIGHTS):
        return {"betas": WEIGHTS}
    total = sum(WEIGHTS[:levels])
    chosen: dict[str, Any] = {"betas": tuple(weight / total for weight in WEIGHTS[:levels])}
    if side < WINDOW:
        size = side if side % 2 else side - 1
        chosen |= {"kernel_size": size, "sigma": 1.5 * size / WINDOW}  # as TensorFlow's code shrinks it
    return chosen
