"""A data set and an extractor so small that scores come at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gan_lightning.data.sources import TensorImages
from gan_lightning.metrics.base import Extractor


class TinyData:
    """Random images in the place of a data module; `closed` makes every look at an image fail."""

    name, num_classes, image_shape, num_workers = "tiny", 3, (1, 4, 4), 0

    def __init__(self, count: int = 90, seed: int = 0, transform: str = "none") -> None:
        stream = torch.Generator().manual_seed(seed)
        images = torch.randint(256, (count, *self.image_shape), generator=stream, dtype=torch.uint8)
        self.images = TensorImages(images, torch.arange(count) % 3)
        self.transform = transform
        self.closed = False

    def reference(self, split: str) -> TensorImages:
        return Closed(self.images.images) if self.closed else self.images

    def fingerprint(self, split: str) -> str:
        return f"{self.images.fingerprint}/{self.transform}/{split}"


class Closed(TensorImages):
    """A set whose images must not be read."""

    def __getitem__(self, index: int) -> Any:
        raise AssertionError("the real data was read")


class LinearExtractor(Extractor):
    """Fixed random projections; counts the images it has seen."""

    name, suffix, feature_dim, num_classes, fingerprint, chunk = "linear", "[linear]", 6, 5, "linear", 7

    def __init__(self) -> None:
        self.seen = 0

    def check(self, data: Any) -> None:
        """Any images will do."""

    def prepare(self, data: Any, device: torch.device | str) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = nn.Linear(16, self.feature_dim + self.num_classes).requires_grad_(False).to(device)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.seen += len(images)
        rows = self.network(images.flatten(1).float() / 32)
        return rows[:, : self.feature_dim], rows[:, self.feature_dim :]
