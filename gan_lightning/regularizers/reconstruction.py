"""Self-supervision of a discriminator: its feature maps have to hold what the image shows."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from gan_lightning.contracts import DuelStep
from gan_lightning.errors import UserError
from gan_lightning.regularizers.base import Regularizer


class Reconstruction(Regularizer):
    """weight * E |decoded - true| over the pixels of real images, whole ones and random quadrants.

    Liu et al. 2021, arXiv 2101.04775, whose released code measures the distance by LPIPS instead.

    needs_decoders: a discriminator without them is refused before training.
    """

    needs_decoders: ClassVar[bool] = True

    def __init__(self, weight: float = 1.0, every: int = 1) -> None:
        super().__init__(weight, every)

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the sum of the two mean distances."""
        if not hasattr(step.discriminator, "reconstruct"):
            raise UserError(
                f"regularizer=reconstruction needs a discriminator with decoders, which "
                f"{type(step.discriminator).__name__} has not: use model=fastgan, or drop the regulariser."
            )
        quadrants = (step.uniform("quadrant") * 4).long()
        pairs = step.run(step.discriminator, step.real_output, quadrants, method="reconstruct")
        (whole, true), (part, true_part) = pairs
        return (whole - true).abs().mean() + (part - true_part).abs().mean()
