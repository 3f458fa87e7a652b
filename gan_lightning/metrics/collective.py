"""Measuring with several processes: rows are gathered in sample order, and rank zero computes the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from gan_lightning.errors import UserError

T = TypeVar("T")


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process."""
    return dist.get_rank() if world_size() > 1 else 0


def from_rank_zero(compute: Callable[[], T]) -> T:
    """Run `compute` on rank zero and return its result, or raise its UserError, on every process."""
    if world_size() == 1:
        return compute()
    answer: list[object] = [None]
    if rank() == 0:
        try:
            answer = [compute()]
        except UserError as error:
            answer = [error]
    dist.broadcast_object_list(answer, src=0)
    if isinstance(answer[0], UserError):
        raise answer[0]
    return answer[0]  # type: ignore[return-value]


def gather_rows(rows: Tensor, share: int) -> Tensor:
    """Return the rows of all processes, those of rank 0 first; each process holds at most `share` rows `(n, ...)`.

    Every process but the last ones with rows holds exactly `share`, so padding comes at the end and the caller cuts it.
    """
    if world_size() == 1:
        return rows
    if dist.get_backend() == "gloo":
        rows = rows.cpu()
    padded = rows.new_zeros(share, *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(world_size())]
    dist.all_gather(parts, padded)
    return torch.cat(parts)
