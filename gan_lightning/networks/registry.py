"""Exact names of the classes that a checkpoint may name; add each new network that should be loadable.

Module prefixes are not used, because a prefix would allow everything that the module imports.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any

from gan_lightning.errors import UserError

LOADABLE = (
    "gan_lightning.networks.biggan.BigGANGenerator",
    "gan_lightning.networks.biggan_deep.BigGANDeepGenerator",
    "gan_lightning.networks.dcgan.DCGANGenerator",
    "gan_lightning.networks.fastgan.FastGANGenerator",
    "gan_lightning.networks.mlp.MLPGenerator",
    "gan_lightning.networks.mlp2d.MLP2dGenerator",
    "gan_lightning.networks.progan.ProGANGenerator",
    "gan_lightning.networks.r3gan.R3GANGenerator",
    "gan_lightning.networks.resnet.ResNetGenerator",
    "gan_lightning.networks.stylegan.StyleGANGenerator",
    "gan_lightning.networks.stylegan2.StyleGAN2Generator",
)

DISCRIMINATOR_PARTS = (  # further names that are allowed when the discriminator is loaded too
    "gan_lightning.networks.biggan_deep.BigGANDeepBackbone",
    "gan_lightning.networks.dcgan.DCGANBackbone",
    "gan_lightning.networks.discriminator.Discriminator",
    "gan_lightning.networks.fastgan.FastGANBackbone",
    "gan_lightning.networks.fastgan.FastGANDiscriminator",
    "gan_lightning.networks.fastgan.PatchHead",
    "gan_lightning.networks.heads.base.LinearHead",
    "gan_lightning.networks.heads.classifiers.AuxiliaryClassifierHead",
    "gan_lightning.networks.heads.classifiers.DiscriminativeClassifierHead",
    "gan_lightning.networks.heads.classifiers.TwinAuxiliaryClassifierHead",
    "gan_lightning.networks.heads.contrastive.ContraHead",
    "gan_lightning.networks.heads.contrastive.ReACHead",
    "gan_lightning.networks.heads.infogan.InfoHead",
    "gan_lightning.networks.heads.logits.MultiHead",
    "gan_lightning.networks.heads.logits.MultiHingeHead",
    "gan_lightning.networks.heads.logits.ProjectionHead",
    "gan_lightning.networks.mlp.MLPBackbone",
    "gan_lightning.networks.mlp2d.MLP2dBackbone",
    "gan_lightning.networks.progan.ProGANBackbone",
    "gan_lightning.networks.projected.PanelHead",
    "gan_lightning.networks.projected.ProjectedBackbone",
    "gan_lightning.networks.projected.ProjectedDiscriminator",
    "gan_lightning.networks.r3gan.EmbeddedClassHead",
    "gan_lightning.networks.r3gan.R3GANBackbone",
    "gan_lightning.networks.resnet.ResNetBackbone",
    "gan_lightning.networks.stylegan2.MappedProjectionHead",
    "gan_lightning.networks.stylegan2.StyleGAN2Backbone",
)

FORMER_PARTS = (  # names in checkpoints that are older than the modules of heads
    "gan_lightning.networks.heads.LinearHead",
    "gan_lightning.networks.heads.ProjectionHead",
)

Factory = Callable[..., Any]


def full_name(factory: Factory) -> str:
    """Return "package.module.Class" as a checkpoint records it."""
    return f"{factory.__module__}.{factory.__qualname__}"


def trust(items: Iterable[Factory | str]) -> dict[str, Factory]:
    """Return name -> class of what the user trusts; dotted names come from the user, so they are imported."""
    known = {}
    for item in [items] if isinstance(items, str) or callable(items) else items:
        factory = _import(item) if isinstance(item, str) else item
        known[full_name(factory)] = factory
        if isinstance(item, str):
            known[item] = factory  # a package may export a class under a shorter name than its own
    return known


def resolve(name: str, trusted: dict[str, Factory]) -> Factory:
    """Return the class called `name` if it is trusted or one of ours; raise UserError before importing any other."""
    if name in trusted:
        return trusted[name]
    if name not in LOADABLE:
        raise UserError(
            f"The file asks for the class {name}, which is not one of gan_lightning's: if you trust it, load with "
            f"trusted=[{str(name).rpartition('.')[2]}] in Python or trusted=[{name}] on the command line."
        )
    return _import(name)


def _import(name: str) -> Factory:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(
            f"The class {name} cannot be imported ({error}): give its full dotted name, and put its package's folder "
            f"on PYTHONPATH."
        ) from error
