"""Handwritten digits that are part of scikit-learn: real images without a download."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from gan_lightning.data.data_module import GANData
from gan_lightning.data.image_data import set_channels
from gan_lightning.data.sources import TensorImages


@dataclass(kw_only=True, eq=False, repr=False)
class Digits(GANData):
    """UCI's optical digits (Alpaydin and Kaynak, 1998), the 1,797 of scikit-learn: 8x8, values 0..16, 10 classes.

    They are resized to `image_size` with bicubic interpolation. The only split is "train".
    """

    image_size: int = 32
    channels: int = 1
    num_classes: int = 10

    name = "digits"
    splits = ("train",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.class_names = [str(digit) for digit in range(10)]

    def load(self, split: str) -> TensorImages:
        """Return all digits, uint8 `(1797, channels, image_size, image_size)`."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
        size = (self.image_size, self.image_size)
        images = functional.interpolate(images, size, mode="bicubic", antialias=True).round().clamp(0, 255).byte()
        return TensorImages(set_channels(images, self.channels), torch.from_numpy(digits.target).long())
