"""Adaptive pseudo augmentation: Jiang et al. 2021, arXiv 2111.06849."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_lightning.augment.adaptive import Adaptive
from gan_lightning.augment.moves import per_sample
from gan_lightning.contracts import DuelStep
from gan_lightning.streams import Draw


class APA(Adaptive):
    """Replaces real images by generated ones with probability p, against overfitting of the discriminator.

    They have their own latents and other inputs of the generator, and the labels of the images that they replace. Jiang
    et al. 2021, arXiv 2111.06849. Arguments: see Adaptive.
    """

    images_only = False

    def forward(self, images: Tensor, draw: Draw) -> Tensor:
        """Return the images unchanged: this augmentation only replaces real images."""
        return images

    def real(self, step: DuelStep) -> Tensor:
        """Return the batch's images, some of them replaced by generated ones."""
        images = step.batch_images
        deceive = per_sample(step.uniform("deception") < self.p, images)
        with torch.no_grad():
            latents, inputs = step.fresh_latents("pseudo latents"), step.fresh_inputs("pseudo inputs")
            pseudo = step.generate(latents, step.labels, inputs)
        return torch.where(deceive, pseudo.to(images.dtype), images)
