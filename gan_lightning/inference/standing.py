"""Standing statistics: batch norm's means and variances of the very weights and latents that are sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from gan_lightning.inference.options import has_statistics
from gan_lightning.networks.base import Generator


@torch.no_grad()
def with_standing_statistics(network: Generator, batches: Iterable[tuple[Tensor, ...]]) -> Generator:
    """Return a copy of `network` whose batch norms hold the mean of the statistics of `batches` of its inputs.

    Brock et al. 2018, arXiv 1809.11096: the moving averages of training lag behind the weights, those of averaged
    weights still more.
    """
    standing = deepcopy(network).eval()
    for module in standing.modules():
        if has_statistics(module):
            assert isinstance(module, _BatchNorm)
            module.reset_running_stats()
            module.momentum = None  # the plain mean over all batches
            module.train()
    run: Callable[..., Tensor] = standing
    for inputs in batches:
        run(*inputs)
    return standing.eval()
