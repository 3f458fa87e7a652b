"""Consistency: the discriminator's logits should not change under a weak augmentation of its input."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_lightning.augment import Augment, FlipAndShift
from gan_lightning.contracts import Duel, DuelStep, Role
from gan_lightning.errors import UserError, check_range
from gan_lightning.regularizers.base import Regularizer


class Consistency(Regularizer, nn.Module):
    """weight * E (D(x) - D(T(x)))^2 on real images, CR-GAN. Zhang et al. 2019, arXiv 1910.12027.

    augment: T, by default a flip and a shift. It is applied in addition to `augment=` of the training.
    """

    def __init__(self, weight: float = 10.0, augment: Augment | None = None, every: int = 1) -> None:
        nn.Module.__init__(self)
        Regularizer.__init__(self, weight, every)
        self.augment = augment or FlipAndShift()

    def check(self, name: str, duel: Duel) -> None:
        """Raise UserError if the samples are not images."""
        super().check(name, duel)
        if self.augment.images_only and duel.makes_points:
            raise UserError(
                f"regularizer={name} compares images with moved ones, and model=mlp2d makes points in the plane: drop "
                "the regulariser."
            )

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the mean squared change of the logits of real images."""
        return self.change(step, "real")

    def change(self, step: DuelStep, which: str) -> Tensor:
        """Return the mean squared change of the logits of "real" or "fake" images."""
        images = (step.real if which == "real" else step.fake).detach().float()
        if self.augment.images_only and images.ndim != 4:
            raise UserError(
                f"{type(self).__name__} compares images with flipped and shifted ones, and these are points in the "
                "plane: drop the regulariser."
            )
        with torch.autocast(images.device.type, enabled=False):
            changed = self.augment(images, step.numbers(f"consistency/{which}"))
        logits = step.real_logits if which == "real" else step.fake_logits
        return (logits - step.judge(changed, which).logits).square().mean()


class BalancedConsistency(Consistency):
    """Consistency on real images and on fakes: bCR-GAN. Zhao et al. 2020, arXiv 2002.04724.

    weight, fake_weight: the paper's lambda for real images and for fakes.
    """

    def __init__(
        self, weight: float = 10.0, fake_weight: float = 10.0, augment: Augment | None = None, every: int = 1
    ) -> None:
        super().__init__(weight, augment, every)
        check_range("regularizer.balanced_consistency", 0, fake_weight=fake_weight)
        self.fake_weight = fake_weight

    def __call__(self, step: DuelStep) -> Tensor:
        """Return the sum of the two weighted penalties."""
        return super().__call__(step) + self.fake_weight * self.change(step, "fake")


class LatentConsistency(Regularizer):
    """weight * E (D(G(z)) - D(G(z + delta)))^2 with delta ~ N(0, std^2), zCR-GAN. Zhao et al. 2020, arXiv 2002.04724.

    LatentDiversity is the generator's part.
    """

    def __init__(self, weight: float = 5.0, std: float = 0.03, every: int = 1) -> None:
        super().__init__(weight, every)
        check_range("regularizer.latent_consistency", 0, std=std)
        self.std = std

    def penalty(self, step: DuelStep) -> Tensor:
        """Return the mean squared change of the fakes' logits."""
        with torch.no_grad():
            moved = step.generate(disturbed(step, self.std), step.fake_labels)
        return (step.fake_logits - step.judge(moved, "fake").logits).square().mean()


class LatentDiversity(Regularizer):
    """-weight * E (G(z) - G(z + delta))^2, a mean over pixels: the generator's part of zCR. Zhao et al. 2020."""

    role: ClassVar[Role] = "generator"

    def __init__(self, weight: float = 0.5, std: float = 0.03, every: int = 1) -> None:
        super().__init__(weight, every)
        check_range("regularizer.latent_diversity", 0, std=std)
        self.std = std

    def penalty(self, step: DuelStep) -> Tensor:
        """Return minus the mean squared change of the images."""
        moved = step.generate(disturbed(step, self.std), step.fake_labels)
        return -(step.fake - moved).float().square().mean()


def disturbed(step: DuelStep, std: float) -> Tensor:
    """Return the step's latents plus N(0, std^2)."""
    return step.latents + std * step.normal("latent disturbance", step.latents.shape[1])
