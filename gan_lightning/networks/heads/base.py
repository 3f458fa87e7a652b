"""The base class of heads, and the head without classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.networks.base import DiscriminatorOutput
from gan_lightning.networks.codes import LatentCodes


class Head(nn.Module):
    """Base of all heads.

    forward: features `(N, feature_dim)`, labels `(N,)` or None -> DiscriminatorOutput.

    outputs: number of outputs of the layer `linear`.
    num_classes: number of classes that it knows.
    needs_labels: whether `forward` or `loss` needs labels.
    plays_alone: whether the head's terms replace the adversarial loss.
    logits_are_log_odds: of a head that plays alone, whether sigmoid(logit) is the probability that an image is real.
    codes: the part of the latents that the head predicts from fakes, None for none.
    """

    needs_labels: ClassVar[bool] = False
    plays_alone: ClassVar[bool] = False
    logits_are_log_odds: ClassVar[bool] = True
    codes: LatentCodes | None = None

    def __init__(self, feature_dim: int, num_classes: int = 0, bias: bool = True, outputs: int = 1) -> None:
        super().__init__()
        if self.needs_labels and num_classes < 2:
            raise UserError(
                f"{type(self).__name__} tells classes apart and got num_classes={num_classes}: it needs at least 2."
            )
        self.num_classes = num_classes
        self.linear = nn.Linear(feature_dim, outputs, bias=bias)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)` of real against fake."""
        return DiscriminatorOutput(self.linear(features).squeeze(1), features)

    def loss(self, output: DiscriminatorOutput, labels: Tensor | None, role: str, real: bool) -> dict[str, Tensor]:
        """Return named scalars that `role` adds to its loss for this output of real or fake images.

        role: "generator" or "discriminator"; for the generator there are only fakes. For fakes,
        `output.extras["latents"]` holds their latents.
        """
        return {}

    @property
    def has_terms(self) -> bool:
        """Whether the head adds anything to the two roles' losses."""
        return type(self).loss is not Head.loss

    def generator_parameters(self) -> Iterable[nn.Parameter]:
        """Return the parameters that are updated in the generator's step as well as in the discriminator's."""
        return ()


class LinearHead(Head):
    """One linear layer to one logit: the unconditional discriminator."""


class WeightedHead(Head):
    """A head with a weight for each role.

    discriminator_weight, generator_weight: factors on the head's terms in the losses of the two roles.
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int = 0,
        bias: bool = True,
        discriminator_weight: float = 1.0,
        generator_weight: float = 1.0,
    ) -> None:
        super().__init__(feature_dim, num_classes, bias)
        if discriminator_weight < 0 or generator_weight < 0:
            raise UserError(
                f"conditioning.head got discriminator_weight={discriminator_weight} and generator_weight="
                f"{generator_weight}: weights are at least 0."
            )
        self.weights = {"discriminator": discriminator_weight, "generator": generator_weight}

    def loss(self, output: DiscriminatorOutput, labels: Tensor | None, role: str, real: bool) -> dict[str, Tensor]:
        """Return the terms, each times the role's weight."""
        terms = self.terms(output, labels, role, real)
        return {name: self.weights[role] * value for name, value in terms.items()}

    def terms(self, output: DiscriminatorOutput, labels: Tensor | None, role: str, real: bool) -> dict[str, Tensor]:
        """Return the terms without their weight."""
        raise NotImplementedError
