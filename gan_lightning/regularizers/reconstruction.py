"""Self-supervision of a discriminator: its feature maps have to hold what the image shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.regularizers.base import Regularizer

if TYPE_CHECKING:
    from gan_lightning.training.step import Step


class Reconstruction(Regularizer):
    """weight * E |decoded - true| over the pixels of real images, whole ones and random quadrants.

    Liu et al. 2021, arXiv 2101.04775, whose released code measures the distance by LPIPS instead.

    needs_decoders: a discriminator without them is refused before training.
    """

    needs_decoders: ClassVar[bool] = True

    def __init__(self, weight: float = 1.0, every: int = 1) -> None:
        super().__init__(weight, every)

    def penalty(self, step: Step) -> Tensor:
        """Return the sum of the two mean distances."""
        reconstruct = getattr(step.discriminator, "reconstruct", None)
        if reconstruct is None:
            raise UserError(
                f"regularizer=reconstruction needs a discriminator with decoders, which "
                f"{type(step.discriminator).__name__} has not: use model=fastgan, or drop the regulariser."
            )
        (whole, true), (part, true_part) = reconstruct(step.real_output, (step.uniform("quadrant") * 4).long())
        return (whole - true).abs().mean() + (part - true_part).abs().mean()
