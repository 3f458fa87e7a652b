"""Heads turn a discriminator's features into logits and own the loss terms that class labels bring.

A new way to condition a discriminator is one new head; backbones do not change.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gan_lightning.networks.base import DiscriminatorOutput


class Head(nn.Module):
    """Base of all heads.

    forward: features `(N, feature_dim)`, labels `(N,)` or None -> DiscriminatorOutput.
    """

    needs_labels: ClassVar[bool] = False

    def __init__(self, feature_dim: int, num_classes: int = 0, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(feature_dim, 1, bias=bias)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)` of real against fake."""
        return DiscriminatorOutput(self.linear(features).squeeze(1), features)

    def loss(self, output: DiscriminatorOutput, labels: Tensor | None, player: str, real: bool) -> dict[str, Tensor]:
        """Return named scalars that `player` adds to its loss for this output of real or fake images."""
        return {}


class LinearHead(Head):
    """One linear layer to one logit: the unconditional discriminator."""


class ProjectionHead(Head):
    """D(x, y) = linear(features) + <embedding of y, features>.

    Miyato and Koyama 2018, arXiv 1802.05637. The embedding starts at zero, so that D starts blind to labels.
    """

    needs_labels = True

    def __init__(self, feature_dim: int, num_classes: int = 0, bias: bool = True) -> None:
        super().__init__(feature_dim, num_classes, bias)
        self.embedding = nn.Embedding(num_classes, feature_dim)
        nn.init.zeros_(self.embedding.weight)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)` of real and of class `labels` against not."""
        output = super().forward(features)
        output.logits = output.logits + (self.embedding(labels) * features).sum(1)
        return output
