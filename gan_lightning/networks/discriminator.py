"""A discriminator made of a backbone (images to features) and a head (features to logits)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.networks.base import Backbone, BatchSize, DiscriminatorOutput, Network, concatenate_labels
from gan_lightning.networks.heads import Head, LinearHead
from gan_lightning.networks.layers.minibatch_discrimination import WithMinibatchDiscrimination


class Discriminator(Network):
    """A discriminator with any backbone and any head.

    head: a function of feature_dim and bias that builds the head. Labels enter in the head, or are concatenated to the
        image if the backbone has label maps (Mirza and Osindero 2014, arXiv 1411.1784).
    pack: number of images that are judged together, concatenated on the channel axis (PacGAN: Lin et al. 2017, arXiv
        1712.04086). The backbone is rebuilt for more channels. N images give N / pack logits. Only without labels and
        codes, since a pack has no class.
    minibatch_features: number of minibatch discrimination's features, appended to the backbone's; 0 for none.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: Callable[..., Head] = LinearHead,
        pack: int = 1,
        minibatch_features: int = 0,
    ) -> None:
        super().__init__()
        backbone = backbone.packed(pack) if pack > 1 else backbone
        if minibatch_features:
            backbone = WithMinibatchDiscrimination(backbone, minibatch_features)
        self.pack = pack
        self.backbone = backbone
        self.head = head(feature_dim=backbone.feature_dim, bias=backbone.head_bias)
        backbone.initialise_head(self.head)
        if pack > 1 and (self.needs_labels or self.head.codes is not None):
            raise UserError(
                f"model.discriminator.pack={pack} puts images of any classes and codes together: set it to 1, or use "
                "conditioning=none."
            )

    @property
    def needs_labels(self) -> bool:
        """Whether `forward` needs labels."""
        return self.head.needs_labels or self.backbone.label_maps > 0

    def check_batch(self, batch: BatchSize) -> None:
        """Raise UserError for a batch that cannot be divided into packs."""
        parts = self.pack * batch.parts
        if self.pack > 1 and batch.total % parts:
            raise UserError(
                f"data.batch_size={batch.total} cannot be divided into packs of {self.pack} "
                f"(model.discriminator.pack) in {batch.parts} equal parts (processes times model.accumulate): take "
                f"{max(batch.total // parts, 1) * parts}."
            )

    def forward(
        self, images: Tensor, labels: Tensor | None = None, condition: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Score images `(N, C, H, W)` in [-1, 1] (or points `(N, 2)`) of classes `(N,)`: logits `(N,)`.

        condition: what the images should match, such as a source image; UserError if the backbone takes none.
        """
        images = packed(images, self.pack)
        if self.backbone.label_maps:
            images = concatenate_labels(images, labels, self.backbone.label_maps)
        return self.head(self.backbone(images, *conditions(self.backbone, condition)), labels)


def conditions(backbone: Backbone, condition: Tensor | None) -> tuple[Tensor, ...]:
    """Return the backbone's further arguments; raise UserError for a condition that it would ignore."""
    if condition is None:
        return ()
    if not backbone.takes_condition:
        raise UserError(
            f"{type(backbone).__name__} was given a condition and judges images alone: take a backbone whose forward "
            "has an argument for it, and set its takes_condition."
        )
    return (condition,)


def packed(images: Tensor, pack: int) -> Tensor:
    """Put each `pack` successive samples together: `(N, C, ...)` -> `(N / pack, pack * C, ...)`.

    Raises UserError if N is not divisible.
    """
    if pack == 1:
        return images
    if len(images) % pack:
        raise UserError(
            f"A batch of {len(images)} images cannot be divided into packs of {pack}: set data.batch_size to a "
            "multiple of pack times the processes times model.accumulate."
        )
    return images.unflatten(0, (-1, pack)).flatten(1, 2)
