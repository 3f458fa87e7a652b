"""Instance noise: Sønderby et al. 2016, arXiv 1610.04490; Arjovsky and Bottou 2017, arXiv 1701.04862."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from gan_lightning.augment.base import Augment
from gan_lightning.errors import UserError
from gan_lightning.streams import Draw


class InstanceNoise(Augment):
    """Adds N(0, sigma^2) noise to every pixel, so that real and fake distributions overlap; sigma decreases linearly to
    0.

    std: initial sigma, for images in [-1, 1].
    kimg: thousands of images after which sigma is 0; None takes the length of the run. Raises UserError if the length
        is unknown too.
    """

    images_only: ClassVar[bool] = False
    sigma: Tensor

    def __init__(self, std: float = 0.1, kimg: float | None = None) -> None:
        super().__init__()
        if std < 0 or (kimg is not None and kimg <= 0):
            raise UserError(f"augment got std={std} and kimg={kimg}: std is at least 0, and kimg above 0 or null.")
        self.std, self.kimg = std, kimg
        self.register_buffer("sigma", torch.tensor(float(std)), persistent=False)  # follows from images_seen

    def begin(self, images_seen: int, total_images: float) -> None:
        """Set sigma for `images_seen`."""
        length = total_images if self.kimg is None else self.kimg * 1000
        if math.isinf(length):
            raise UserError("Instance noise fades over the run: set max_kimg or max_epochs, or augment.kimg.")
        self.sigma.fill_(self.std * max(0.0, 1 - images_seen / length))

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return the noisy images."""
        return images + self.sigma * draw.normal("noise", *images.shape[1:])

    def scalars(self) -> dict[str, Tensor]:
        """Return sigma."""
        return {"augment/sigma": self.sigma}
