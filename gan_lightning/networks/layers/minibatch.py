"""Layers that let a discriminator compare the samples of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError, check_range
from gan_lightning.networks.base import BatchSize


def minibatch_stddev(group_size: int) -> nn.Module:
    """Return the layer, or a layer that appends nothing if `group_size` is 0; UserError if it is negative."""
    check_range("model.discriminator.backbone", 0, group_size=group_size)
    return MinibatchStddev(group_size) if group_size else nn.Identity()


class MinibatchStddev(nn.Module):
    """Append the mean standard deviation over a group of samples as further maps.

    Karras et al. 2017, arXiv 1710.10196. Groups are strided: sample i is in one group with i + N / group_size. If the
    batch is not divisible by the group size, the next smaller size that divides it is used. With several processes,
    each groups its own rows.

    group_size: samples in a group.
    channels: the input's channels are split in this many equal parts, and a map is appended for each.
    """

    def __init__(self, group_size: int = 4, channels: int = 1) -> None:
        super().__init__()
        self.group_size, self.channels = group_size, channels

    def check_batch(self, batch: BatchSize) -> None:
        """Raise UserError for numbers of samples that form no groups, since the standard deviation would be 0."""
        if self.group_size == 1 or any(batch.rows % group == 0 for group in range(2, self.group_size + 1)):
            return
        raise UserError(
            f"The discriminator's minibatch standard deviation compares groups of 2 to {self.group_size} samples, into "
            f"which the {batch.rows} that data.batch_size={batch.total} lets through at a time cannot be divided: take "
            f"data.batch_size={(batch.rows + 1) * batch.pack * batch.parts}, or "
            "model.discriminator.backbone.group_size=0 to go without."
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to `(N, C + channels, H, W)`."""
        count, _, height, width = images.shape
        size = max(divisor for divisor in range(1, min(self.group_size, count) + 1) if count % divisor == 0)
        groups = images.reshape(size, count // size, self.channels, -1).float()
        deviation = (groups.var(0, unbiased=False) + 1e-8).sqrt().mean(2)  # 1e-4 for identical samples, not 0
        maps = deviation.repeat(size, 1)[:, :, None, None].expand(-1, -1, height, width)
        return torch.cat([images, maps.to(images.dtype)], dim=1)
