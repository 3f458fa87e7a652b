"""Networks that grow: of several resolutions only the first ones are in use. Karras et al. 2017, arXiv 1710.10196."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_lightning.networks.base import halvings, map_sizes
from gan_lightning.sizes import Size


class Growing(nn.Module):
    """Base of networks with a stage for each resolution: 0 is 4x4, k is 4 * 2^k; all stages are in use at first.

    Where images are not square, these are the shorter sides, and both sides double.

    Images always have the full size; at an earlier stage each pixel is repeated.

    level: number of the last stage in use. num_stages: number of all stages.
    alpha: 0-d, weight of the newest resolution; the one before it has 1 - alpha.
    """

    alpha: Tensor
    stage: Tensor

    def add_stages(self, image_size: Size, network: str, largest: int = 1024) -> list[tuple[int, int]]:
        """Start fully grown; return height and width at each stage. UserError for a size `network` does not support."""
        self.num_stages = halvings(image_size, network, largest=largest) + 1
        self.level, self.fading = self.num_stages - 1, False
        # Level and alpha are buffers, so that a saved generator is loaded at the size that it had reached.
        self.register_buffer("stage", torch.tensor(self.level))
        self.register_buffer("alpha", torch.tensor(1.0))
        self.register_load_state_dict_post_hook(_read_state)
        return map_sizes(image_size, self.num_stages)

    def grow(self, level: int, alpha: float = 1.0) -> None:
        """Use the stages up to `level`, the newest with weight `alpha` in [0, 1]."""
        self.level, self.fading = level, alpha < 1 and level > 0
        self.stage.fill_(level)
        self.alpha.fill_(alpha)

    def blend(self, old: Tensor, new: Tensor) -> Tensor:
        """Return (1 - alpha) old + alpha new: exactly old at 0, exactly new at 1."""
        return (1 - self.alpha) * old + self.alpha * new

    @property
    def hidden_factor(self) -> int:
        """The full size divided by the size of the stage in use."""
        return 2 ** (self.num_stages - 1 - self.level)


def _read_state(network: nn.Module, incompatible_keys: object) -> None:
    assert isinstance(network, Growing)
    if not network.stage.is_meta:
        network.grow(int(network.stage), float(network.alpha))


def channels_at(resolution: int, base: int, largest: int) -> int:
    """Return base / resolution channels, at most `largest`."""
    return max(min(base // resolution, largest), 1)
