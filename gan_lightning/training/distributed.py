"""Several processes: each has a replica, and the engine averages the gradients of the player that steps.

Lightning's DDP wrapper expects every parameter in every backward, which is never the case in a GAN: it raises an error,
or with `find_unused_parameters` sends everything twice. Here Lightning only starts the processes.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Sequence

import torch
from lightning.pytorch.overrides.distributed import _sync_module_states
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor, nn
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

PARENT = "GAN_LIGHTNING_PARENT"  # the process that started the other ranks of this machine


class ReplicaStrategy(DDPStrategy):
    """DDP's process handling without its wrapper: parameters are broadcast once, and the engine reduces gradients."""

    def _configure_launcher(self) -> None:
        """Tell the processes that this one starts to exit when it exits."""
        if self.local_rank == 0:
            os.environ[PARENT] = str(os.getpid())
        super()._configure_launcher()

    def setup_environment(self) -> None:
        """Join the other processes; a started process exits with its parent instead of waiting for ever."""
        if self.local_rank > 0:
            end_with_parent()
        super().setup_environment()
        atexit.register(leave)

    def configure_ddp(self) -> None:
        """Broadcast the parameters and buffers of rank zero; do not wrap the module."""
        assert self.lightning_module is not None
        _sync_module_states(self.lightning_module)


def leave() -> None:
    """Leave the process group: gloo's threads abort the process (code 134) if they outlive the interpreter."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def end_with_parent(every_seconds: float = 1.0) -> None:
    """Watch the process that started this one, and exit when it has ended, even before this call."""
    parent = int(os.environ.get(PARENT, os.getppid()))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every_seconds)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace gradients by their means over all processes, in one all-reduce of a flat tensor."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = _flatten_dense_tensors(gradients)
    mean_over_processes(flat)
    torch._foreach_copy_(gradients, list(_unflatten_dense_tensors(flat, gradients)))


def mean_over_processes(values: Tensor) -> Tensor:
    """Average `values` over all processes, in place."""
    torch.distributed.all_reduce(values)
    return values.div_(torch.distributed.get_world_size())


def broadcast_buffers(module: nn.Module) -> None:
    """Broadcast the buffers of rank zero: batch-norm statistics differ, since each process has its own rows."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, src=0)
