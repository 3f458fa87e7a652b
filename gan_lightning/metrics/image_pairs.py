"""Similarity of generated images to one another: the mean of a measure over random pairs."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from gan_lightning.errors import UserError, check_range
from gan_lightning.metrics.base import LOCAL, SampleMetric, Setting
from gan_lightning.metrics.subset import RandomSubset


class PairMetric(SampleMetric):
    """Base class of metrics over pairs of samples; each sample is in at most one pair.

    A subclass that consumes labels forms pairs within classes. Pairs of different classes always differ, so collapse is
    visible only within classes (Odena et al. 2016, arXiv 1610.09585).

    pairs: largest number of pairs; samples are chosen at random. Twice as many images are kept, as uint8. Takes uint8
    images `(N, C, H, W)`, and labels `(N,)` if it consumes them.
    """

    consumes: ClassVar[tuple[str, ...]] = ("images",)
    protocol: ClassVar[str] = "count"
    marked: ClassVar[bool] = False
    full_state_update = False
    at_once = 64  # pairs

    def __init__(self, setting: Setting, pairs: int) -> None:
        super().__init__(**LOCAL)
        (name,) = self.names
        check_range(f"metrics.{name}", 1, pairs=pairs)
        least = setting.labels + 1 if "labels" in self.consumes else 2  # this many always contain a pair
        if setting.num_fakes < least:
            raise UserError(
                f"metrics=[{name}] compares pairs of one class, and {setting.num_fakes} samples of "
                f"{setting.labels} classes may hold none: set evaluation.num_fakes to {least} at least."
            )
        self.pairs = pairs
        self.place = torch.device("cpu")  # device of the images; they are compared there
        self.reset()

    def measure(self, first: Tensor, second: Tensor) -> Tensor:
        """Return a number `(n,)` for each pair of uint8 images `(n, C, H, W)`, on their device."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._images = RandomSubset(2 * self.pairs, "pairs")

    def update(self, images: Tensor, labels: Tensor | None = None, real: bool = False) -> None:
        """Take uint8 images `(N, C, H, W)` and their labels `(N,)`; real images are ignored."""
        if not real:
            self.place = images.device
            self._images.add(images, torch.zeros(len(images), dtype=torch.long) if labels is None else labels)

    def compute(self) -> Tensor:
        """Return the mean over the pairs."""
        images, labels = self._images.rows()
        first, second = pairs_within(labels)
        values = []
        for a, b in zip(first.split(self.at_once), second.split(self.at_once), strict=True):
            values.append(self.measure(images[a].to(self.place), images[b].to(self.place)))
        return torch.cat(values).double().mean().cpu()


def pairs_within(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return indices `(P,)` and `(P,)` of pairs of rows with equal labels `(N,)`; no row is used twice."""
    first, second = [], []
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        half = len(members) // 2
        first.append(members[:half])
        second.append(members[half : 2 * half])
    return torch.cat(first), torch.cat(second)
