"""Heads whose logit depends on the class: projection, one logit for each class, and K+1 classes under a hinge."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from gan_lightning.networks.base import DiscriminatorOutput, required
from gan_lightning.networks.heads.base import Head


class ProjectionHead(Head):
    """D(x, y) = linear(features) + <embedding of y, features>.

    Miyato and Koyama 2018, arXiv 1802.05637. The embedding starts at zero, so that D ignores labels at first.
    """

    needs_labels = True

    def __init__(self, feature_dim: int, num_classes: int = 0, bias: bool = True) -> None:
        super().__init__(feature_dim, num_classes, bias)
        self.embedding = nn.Embedding(num_classes, feature_dim)
        nn.init.zeros_(self.embedding.weight)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)` for "real and of class `labels`"."""
        output = super().forward(features)
        output.logits = output.logits + (self.embedding(required(labels)) * features).sum(1)
        return output


class MultiHead(Head):
    """One logit for each class; that of the label is used. In effect K discriminators share a backbone.

    Mescheder et al. 2018, arXiv 1801.04406; Liu et al. 2019 (FUNIT), arXiv 1905.01723.
    """

    needs_labels = True

    def __init__(self, feature_dim: int, num_classes: int = 0, bias: bool = True) -> None:
        super().__init__(feature_dim, num_classes, bias, outputs=num_classes)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)` of the classes `labels`."""
        logits = self.linear(features)
        return DiscriminatorOutput(logits.gather(1, required(labels)[:, None]).squeeze(1), features)


class MultiHingeHead(Head):
    """A classifier of K classes and "fake", trained only by Crammer and Singer's hinge. Kavalerov et al. 2019.

    arXiv 1912.04216. The discriminator assigns real images to their class and fakes to "fake". The generator wants
    fakes to be assigned to their label. The logits, used by regularisers and logs, are score(label) - score(fake).
    """

    needs_labels, plays_alone, logits_are_log_odds = True, True, False

    def __init__(self, feature_dim: int, num_classes: int = 0, bias: bool = True) -> None:
        super().__init__(feature_dim, num_classes, bias, outputs=num_classes + 1)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)`, and in extras "scores", those of all classes `(N, K + 1)`, "fake" last."""
        scores = self.linear(features)
        own = scores.gather(1, required(labels)[:, None]).squeeze(1)
        return DiscriminatorOutput(own - scores[:, -1], features, {"scores": scores})

    def loss(self, output: DiscriminatorOutput, labels: Tensor | None, role: str, real: bool) -> dict[str, Tensor]:
        """Return the hinge loss for the class to which `role` wants these images to be assigned."""
        scores, wanted = output.extras["scores"], required(labels)
        if role == "discriminator" and not real:
            wanted = torch.full_like(wanted, scores.shape[1] - 1)
        return {"multi_hinge": multi_hinge(scores, wanted)}


def multi_hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of relu(1 - s_y + max of the other scores), scores `(N, K)`. Crammer and Singer 2001."""
    own = scores.gather(1, labels[:, None]).squeeze(1)
    others = scores.scatter(1, labels[:, None], -torch.inf).amax(1)
    return relu(1 - own + others).mean()
