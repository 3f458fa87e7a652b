"""Heads turn a discriminator's features into logits and define the loss terms for class labels.

A new way to condition a discriminator is one new head; backbones do not change.
"""

from gan_lightning.networks.heads.base import Head, LinearHead, WeightedHead
from gan_lightning.networks.heads.classifiers import (
    AuxiliaryClassifierHead,
    DiscriminativeClassifierHead,
    TwinAuxiliaryClassifierHead,
)
from gan_lightning.networks.heads.contrastive import ContraHead, EmbeddingHead, ReACHead
from gan_lightning.networks.heads.infogan import InfoHead
from gan_lightning.networks.heads.logits import MultiHead, MultiHingeHead, ProjectionHead

__all__ = [
    "AuxiliaryClassifierHead", "ContraHead", "DiscriminativeClassifierHead", "EmbeddingHead", "Head", "InfoHead",
    "LinearHead", "MultiHead", "MultiHingeHead", "ProjectionHead", "ReACHead", "TwinAuxiliaryClassifierHead",
    "WeightedHead",
]  # fmt: skip
