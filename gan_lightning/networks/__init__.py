"""Generators, discriminator backbones and heads."""

from gan_lightning.networks.base import Backbone, DiscriminatorOutput, Generator, Network
from gan_lightning.networks.biggan import BigGANGenerator
from gan_lightning.networks.biggan_deep import BigGANDeepBackbone, BigGANDeepGenerator
from gan_lightning.networks.dcgan import DCGANBackbone, DCGANGenerator
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.fastgan import FastGANBackbone, FastGANDiscriminator, FastGANGenerator
from gan_lightning.networks.heads import Head, LinearHead, ProjectionHead
from gan_lightning.networks.mlp import MLPBackbone, MLPGenerator
from gan_lightning.networks.mlp2d import MLP2dBackbone, MLP2dGenerator
from gan_lightning.networks.progan import ProGANBackbone, ProGANGenerator
from gan_lightning.networks.projected import ProjectedBackbone, ProjectedDiscriminator
from gan_lightning.networks.r3gan import EmbeddedClassHead, R3GANBackbone, R3GANGenerator
from gan_lightning.networks.resnet import ResNetBackbone, ResNetGenerator
from gan_lightning.networks.stylegan import StyleGANGenerator
from gan_lightning.networks.stylegan2 import MappedProjectionHead, StyleGAN2Backbone, StyleGAN2Generator

__all__ = [
    "Backbone", "BigGANDeepBackbone", "BigGANDeepGenerator", "BigGANGenerator", "DCGANBackbone", "DCGANGenerator",
    "Discriminator", "DiscriminatorOutput", "EmbeddedClassHead", "FastGANBackbone", "FastGANDiscriminator",
    "FastGANGenerator", "Generator", "Head", "LinearHead", "MLP2dBackbone", "MLP2dGenerator", "MLPBackbone",
    "MLPGenerator", "MappedProjectionHead", "Network", "ProGANBackbone", "ProGANGenerator", "ProjectedBackbone",
    "ProjectedDiscriminator", "ProjectionHead", "R3GANBackbone", "R3GANGenerator", "ResNetBackbone", "ResNetGenerator",
    "StyleGAN2Backbone", "StyleGAN2Generator", "StyleGANGenerator",
]  # fmt: skip
