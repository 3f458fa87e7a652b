"""Handwritten digits that are part of scikit-learn: real images without a download."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from gan_lightning.data.data_module import ResizedData
from gan_lightning.data.image_data import resize, set_channels
from gan_lightning.data.sources import TensorImages
from gan_lightning.sizes import Size


@dataclass(kw_only=True, eq=False, repr=False)
class Digits(ResizedData):
    """UCI's optical digits (Alpaydin and Kaynak, 1998), the 1,797 of scikit-learn: 8x8, values 0..16, 10 classes.

    They are resized to `image_size` with bicubic interpolation. The only split is "train".
    """

    image_size: Size = 32
    channels: int = 1
    num_classes: int = 10

    name = "digits"
    splits = ("train",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.class_names = [str(digit) for digit in range(10)]

    def load(self, split: str) -> TensorImages:
        """Return all digits, uint8 `(1797, channels, height, width)`."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = torch.from_numpy(digits.images).float()[:, None] * (255 / 16)
        images = resize(images, self.image_size, self.fit).round().clamp(0, 255).byte()
        return TensorImages(set_channels(images, self.channels), torch.from_numpy(digits.target).long())
