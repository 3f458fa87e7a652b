"""Self-supervision of a discriminator: decoders reconstruct the image from its feature maps."""

from __future__ import annotations

from torch import Tensor

from gan_lightning.contracts import Duel, DuelStep
from gan_lightning.errors import UserError
from gan_lightning.regularizers.base import Regularizer


class Reconstruction(Regularizer):
    """weight * E |decoded - true| over the pixels of real images, both whole images and random quadrants.

    Liu et al. 2021, arXiv 2101.04775, whose released code uses LPIPS as the distance.
    """

    def __init__(self, weight: float = 1.0, every: int = 1) -> None:
        super().__init__(weight, every)

    def check(self, name: str, duel: Duel) -> None:
        """Raise UserError if the discriminator has no decoders."""
        super().check(name, duel)
        if not hasattr(duel.discriminator, "reconstruct"):
            raise UserError(
                f"regularizer={name} needs a discriminator with decoders, which {type(duel.discriminator).__name__} "
                "has not: use model=fastgan, or drop the regulariser."
            )

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the sum of the two mean distances."""
        quadrants = (step.uniform("quadrant") * 4).long()
        pairs = step.run(step.discriminator, step.real_output, quadrants, method="reconstruct")
        (whole, true), (part, true_part) = pairs
        return (whole - true).abs().mean() + (part - true_part).abs().mean()
