"""The generated side of an evaluation: samples by their indices, shared among the processes, through all metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from gan_lightning.evaluation.blocks import Rows, blocks, update
from gan_lightning.evaluation.reference import Advance
from gan_lightning.evaluation.rows import STATE, RowMaker, count_states
from gan_lightning.inference.sampling import random_labels
from gan_lightning.metrics.base import SampleMetric
from gan_lightning.metrics.collective import rank

Sampler = Callable[..., Tensor]  # (start, stop), or (start, stop, labels) -> samples


class Watched:
    """A sampler that notes whether all its samples are finite: a metric that rounds them to pixels cannot tell."""

    def __init__(self, sample: Sampler) -> None:
        self.sample, self.finite = sample, True

    def __call__(self, *which: Any) -> Tensor:
        """Return what the sampler returns."""
        images = self.sample(*which)
        self.finite = self.finite and bool(images.isfinite().all())
        return images


def sample_blocks(
    sample: Sampler, maker: RowMaker, count: int, batch_size: int, seed: int, classes: int
) -> Iterator[tuple[int, Rows]]:
    """Yield (first index, rows) of the samples [0, count), the same on every process.

    classes: 0 leaves classes to `sample`; otherwise it is given those that stream `seed` has at these indices.
    """

    def produce(share: range) -> Rows:
        if not classes:
            return maker(sample(share.start, share.stop))
        labels = random_labels(classes, share.start, share.stop, seed)
        return maker(sample(share.start, share.stop, labels), labels)

    return blocks(count, batch_size, maker.empty, produce)


def show(found: Iterator[tuple[int, Rows]], metrics: Sequence[SampleMetric], count: int, advance: Advance) -> Tensor:
    """Give the rows of `count` samples to `metrics`, which rank zero has; return there how many are in each state."""
    states = torch.zeros(3, dtype=torch.int64)
    for low, rows in found:
        if rank() == 0:
            states = states.to(rows[STATE].device) + count_states(rows)
            update(metrics, rows, real=False)
            advance("samples", low + len(rows[STATE]), count)
    return states
