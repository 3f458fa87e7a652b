"""Several processes: each holds a replica, and the engine averages the gradients of the player that steps.

Lightning's DDP wrapper expects every parameter in every backward, which no GAN gives: it raises, or with
`find_unused_parameters` sends everything twice. Here Lightning only starts the processes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.pytorch.overrides.distributed import _sync_module_states
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors


class ReplicaStrategy(DDPStrategy):
    """DDP's process handling without its wrapper: parameters are broadcast once, gradients reduced by the engine."""

    def configure_ddp(self) -> None:
        """Give every process the parameters and buffers of rank zero; wrap nothing."""
        assert self.lightning_module is not None
        _sync_module_states(self.lightning_module)


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace the gradients by their means over all processes, in one all-reduce of one flat tensor."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = _flatten_dense_tensors(gradients)
    mean_over_processes(flat)
    torch._foreach_copy_(gradients, list(_unflatten_dense_tensors(flat, gradients)))


def mean_over_processes(values: Tensor) -> Tensor:
    """Average `values` over all processes, in place."""
    torch.distributed.all_reduce(values)
    return values.div_(torch.distributed.get_world_size())


def broadcast_buffers(module: nn.Module) -> None:
    """Give every process rank zero's buffers: batch-norm statistics differ, since each saw its own rows."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, src=0)
