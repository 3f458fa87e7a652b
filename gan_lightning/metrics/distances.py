"""Decides which points lie within given distances of others, as exactly as float64 and as fast as float32.

Distances from float32 matrix products are wrong for points that are close together and far from the origin, and for
equal points they are not 0. So every comparison that the rounding error could change is computed again: pair by pair if
there are few, with float64 products if there are many (samples of a collapsed generator, images that occur many times).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

BLOCK = 2**24  # distances in memory at a time, 64 MB in float32, for any number of points
SPARE = 8  # further candidates after the k-th neighbour whose distances are computed exactly
FEW = 1 / 256  # largest share of uncertain comparisons in a block for which pairs are computed one by one


class Block:
    """Squared distances of points `(n, F)` from others `(M, F)`."""

    def __init__(self, points: Tensor, others: Tensor) -> None:
        self.points, self.others = points, others
        self._measure(torch.float32)

    def _measure(self, dtype: torch.dtype) -> None:
        points, others = self.points.to(dtype), self.others.to(dtype)
        self.norms = _squared_norms(points)[:, None] + _squared_norms(others)
        with full_precision():
            self.squared = torch.addmm(self.norms, points, others.T, alpha=-2)

    def _rounding(self, dtype: torch.dtype) -> float:
        """Return the largest error of a squared distance from matrix products, relative to the points' squared norms.

        The error of a sum of F terms grows with the square root of F; the other additions contribute a little more.
        """
        return torch.finfo(dtype).eps * (4 + math.sqrt(self.points.shape[1]))

    def within(self, squared_radii: Tensor, closed: bool) -> Tensor:
        """Return bool `(n, M)`: whether the distance is less than the radius or, if `closed`, equal to it.

        squared_radii: float64, `(M,)` for balls around the others, or `(n, 1)` for balls around the points.
        """
        margin = self.squared - squared_radii.to(self.squared.dtype)
        if margin.dtype == torch.float32:
            is_open = margin.abs() <= self.norms * self._rounding(torch.float32)
            if is_open.sum() > FEW * is_open.numel():
                self._measure(torch.float64)
                return self.within(squared_radii, closed)
            rows, columns = is_open.nonzero(as_tuple=True)
            exact = self._pairs(rows, columns) - squared_radii.expand(margin.shape)[rows, columns]
            margin[rows, columns] = exact.float()
        tie = self.norms * self._rounding(torch.float64)
        return margin <= tie if closed else margin < -tie

    def smallest(self, rank: int) -> Tensor:
        """Return the squared distance `(n,)` to the neighbour of this rank (0: the nearest), in float64."""
        count = min(rank + 1 + SPARE, len(self.others))
        nearest, columns = self.squared.topk(count, largest=False)
        if nearest.dtype == torch.float64:
            return nearest[:, rank].clamp_min(0)
        rows = torch.arange(len(columns), device=columns.device).repeat_interleave(count)
        squared = self._pairs(rows, columns.flatten()).view(-1, count).sort().values[:, rank]
        surely_further = nearest[:, -1] - self.norms.amax(dim=1) * self._rounding(torch.float32) > squared
        if count < len(self.others) and not surely_further.all():
            self._measure(torch.float64)
            return self.smallest(rank)
        return squared

    def _pairs(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the squared distances `(P,)` of pairs of a point and another; exactly 0 for equal points."""
        squared = rows.new_empty(len(rows), dtype=torch.float64)
        size = max(1, BLOCK // 16 // self.points.shape[1])
        parts = zip(squared.split(size), rows.split(size), columns.split(size), strict=True)
        for result, row, column in parts:
            difference = self.points[row].double().sub_(self.others[column])
            torch.sum(difference.square_(), dim=1, out=result)
        return squared


def blocks(points: Tensor, others: Tensor) -> Iterator[tuple[slice, Block]]:
    """Yield (slice of the points, distances of these points from all others), at most BLOCK distances at a time."""
    size = max(1, BLOCK // len(others))
    for start in range(0, len(points), size):
        place = slice(start, start + size)
        yield place, Block(points[place], others)


def squared_radii(points: Tensor, k: int) -> Tensor:
    """Return the squared distance `(N,)` of each point `(N, F)` to its k-th nearest neighbour; NaN if there is none."""
    if len(points) <= k:
        return torch.full((len(points),), math.nan, dtype=torch.float64, device=points.device)
    return torch.cat([block.smallest(k) for _, block in blocks(points, points)])  # rank 0 is the point itself


def _squared_norms(points: Tensor) -> Tensor:
    return torch.linalg.vector_norm(points, dim=1).square()


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute matrix products in full float32, whatever precision the user allows in training."""
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "ieee"
    try:
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
