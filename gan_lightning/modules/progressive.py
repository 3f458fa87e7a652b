"""Progressive growing: Karras et al. 2017, arXiv 1710.10196."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gan_lightning.data.prepare import prepare
from gan_lightning.errors import UserError
from gan_lightning.modules.gan import GAN
from gan_lightning.networks.growing import Growing
from gan_lightning.networks.layers.resample import average_pool, nearest_upsample
from gan_lightning.training.growth import Growth


class ProgressiveGAN(GAN):
    """A GAN whose networks start with small images and grow; the stage depends only on `images_seen`.

    Images always have the full size. Real images lose the detail that the stage cannot show, with the networks'
    fade-in. Both optimisers reset their moments at each new stage.

    growth: when the networks grow.
    options: see GAN.
    """

    def __init__(self, *networks: Any, growth: Growth | None = None, **options: Any) -> None:
        super().__init__(*networks, **options)
        self.growth = growth or Growth()
        if not self._growing():
            raise UserError("ProgressiveGAN needs networks that grow: use model=progan or model=stylegan.")
        self.grow()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Grow if due, then run one iteration on images at the stage's level of detail."""
        self.grow()
        batch = prepare(batch, self.batch_fields, self.options.memory_format)
        super().training_step({**batch, "image": self.shown(batch["image"])}, batch_idx)

    def grow(self) -> None:
        """Set all networks to the stage for `images_seen`."""
        networks = self._growing()
        stage, alpha = self.growth.at(self.images_seen, networks[0].num_stages)
        if stage != networks[0].level:
            for player in self.players.values():
                player.optimizer.state.clear()
        for network in networks:
            network.grow(stage, alpha)

    @torch.no_grad()
    def shown(self, images: Tensor) -> Tensor:
        """Return full-size images `(N, C, H, W)` without the detail that the present stage cannot show."""
        network = self._growing()[0]
        factor = network.hidden_factor
        now = average_pool(images, factor)
        if network.fading:
            now = network.blend(nearest_upsample(average_pool(now)), now)
        return nearest_upsample(now, factor)

    def _growing(self) -> list[Growing]:
        return [network for network in self.modules() if isinstance(network, Growing)]
