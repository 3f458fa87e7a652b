"""Generators, discriminator backbones and heads."""

from gan_lightning.networks.base import Backbone, DiscriminatorOutput, Generator, Network
from gan_lightning.networks.dcgan import DCGANBackbone, DCGANGenerator
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.heads import Head, LinearHead, ProjectionHead
from gan_lightning.networks.mlp import MLPBackbone, MLPGenerator
from gan_lightning.networks.mlp2d import MLP2dBackbone, MLP2dGenerator

__all__ = [
    "Backbone", "DCGANBackbone", "DCGANGenerator", "Discriminator", "DiscriminatorOutput", "Generator", "Head",
    "LinearHead", "MLP2dBackbone", "MLP2dGenerator", "MLPBackbone", "MLPGenerator", "Network", "ProjectionHead",
]  # fmt: skip
