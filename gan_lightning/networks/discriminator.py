"""A discriminator is a backbone (images to features) and a head (features to logits)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gan_lightning.networks.base import Backbone, DiscriminatorOutput, Network, concatenate_labels
from gan_lightning.networks.heads import Head, LinearHead


class Discriminator(Network):
    """Any backbone under any head.

    head: builds the head, called with feature_dim and bias; how labels enter is its choice, or concatenation with
        the image where the backbone has label maps (Mirza and Osindero 2014, arXiv 1411.1784).
    """

    def __init__(self, backbone: Backbone, head: Callable[..., Head] = LinearHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head(feature_dim=backbone.feature_dim, bias=backbone.head_bias)
        backbone.initialise_head(self.head)

    @property
    def needs_labels(self) -> bool:
        """Whether `forward` cannot do without labels."""
        return self.head.needs_labels or self.backbone.label_maps > 0

    def forward(
        self, images: Tensor, labels: Tensor | None = None, condition: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Score images `(N, C, H, W)` in [-1, 1] (or points `(N, 2)`) of classes `(N,)`: logits `(N,)`."""
        if self.backbone.label_maps:
            images = concatenate_labels(images, labels, self.backbone.label_maps)
        return self.head(self.backbone(images), labels)
