"""Choices that do not go together: each refusal names both, and a way out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gan_lightning.cli.objects import build, located
from gan_lightning.cli.values import parameters_of
from gan_lightning.errors import UserError

# What a regulariser says that it needs: whose, the method that shows it, in words, and a model that has it.
PARTNERS = {
    "needs_styles": ("generator", "styles", "styles", "stylegan2"),
    "needs_decoders": ("discriminator", "reconstruct", "decoders", "fastgan"),
}


def check(config: DictConfig) -> None:
    """Raise UserError for the first pair of choices in `config` that cannot work."""
    check_labels(config)
    check_injection(config)
    check_batch_norm(config)
    check_partners(config)
    check_images_only(config)
    check_sign(config)
    check_head_alone(config)


def check_points(config: DictConfig) -> None:
    """Refuse networks for images on points in the plane, and the other way round."""
    generator = config.model.get("generator") or {}
    points, name = _makes_points(config), _data(config)
    if points and "image_size" in generator:
        raise UserError(f"The model makes images, but data {name} holds points in the plane: use model=mlp2d.")
    if not points and str(generator.get("_target_", "")).endswith(".MLP2dGenerator"):
        raise UserError(f"model=mlp2d makes points in the plane, but data {name} holds images: use model=dcgan, say.")


def check_labels(config: DictConfig) -> None:
    """Refuse labels where the data set has none, and networks for another number of classes than it has."""
    conditioning, classes = config.conditioning, config.data.num_classes
    if conditioning.get("needs_labels") and not classes:
        raise UserError(
            f"conditioning with labels (data.num_classes={classes}) cannot train on {_data(config)}, which is "
            "unlabelled here: use conditioning=none, or a labelled data set (a folder: data.labels=folders)."
        )
    for name in ("generator_classes", "label_maps"):
        if conditioning.get(name) not in (None, 0, classes):
            raise UserError(
                f"conditioning.{name}={conditioning[name]} does not fit data.num_classes={classes}: it is that, or 0 "
                "for none."
            )


def check_injection(config: DictConfig) -> None:
    """Refuse conditional batch norm where a network of ours has none; how its classes enter is then its own way."""
    target = OmegaConf.select(config, "model.generator._target_")
    if config.conditioning.get("generator_injection") != "batch_norm" or not str(target).startswith("gan_lightning."):
        return
    network = located("model.generator", target)
    if "conditioning" not in parameters_of(network) and not getattr(network, "conditional_batch_norm", False):
        raise UserError(
            f"conditioning.generator_injection=batch_norm sets a generator's batch norm by class, which "
            f"{network.__name__} does not offer: use conditioning=projection or concat, or model=sngan."
        )


def check_batch_norm(config: DictConfig) -> None:
    """Refuse batch norm in a critic whose input gradients are penalised: it couples the samples of a batch."""
    if OmegaConf.select(config, "model.discriminator.backbone.norm") != "batch":
        return
    for name, penalty in _regularizers(config):
        if getattr(penalty, "forbids_batch_norm", False):
            raise UserError(
                f"regularizer={name} takes each image's own gradient, which batch norm in the discriminator mixes with "
                "the others: set model.discriminator.backbone.norm=layer (or none), or drop the regulariser."
            )


def check_partners(config: DictConfig) -> None:
    """Refuse a regulariser whose network has not what it works on."""
    for name, penalty in _regularizers(config):
        for need, (player, method, words, model) in PARTNERS.items():
            target = OmegaConf.select(config, f"model.{player}._target_")
            if target is None or not getattr(penalty, need, False):
                continue
            network = located(f"model.{player}", target)
            if not hasattr(network, method):
                raise UserError(
                    f"regularizer={name} needs a {player} with {words}, which {network.__name__} has not: use "
                    f"model={model}, or drop the regulariser."
                )


def check_images_only(config: DictConfig) -> None:
    """Refuse to move, mirror or colour points in the plane."""
    if not _makes_points(config):
        return
    model = "and model=mlp2d makes points in the plane"
    augment = config.get("augment")
    if augment is not None and getattr(located("augment", augment._target_), "images_only", False):
        name = augment._target_.rpartition(".")[2].lower()
        raise UserError(f"augment={name} changes images, {model}: use augment=none or augment=instance_noise.")
    for name, node in config.regularizer.items():
        moves = node.get("augment")
        if moves is not None and getattr(located(f"regularizer.{name}.augment", moves._target_), "images_only", False):
            raise UserError(f"regularizer={name} compares images with moved ones, {model}: drop the regulariser.")


def check_sign(config: DictConfig) -> None:
    """Refuse a p that follows the sign of D(x) under a loss that gives the sign no meaning."""
    augment, loss = config.get("augment"), config.loss._target_
    if augment is None or augment.get("target") is None or getattr(build(config.loss), "decides_at_zero", True):
        return
    name = augment._target_.rpartition(".")[2].lower()
    raise UserError(
        f"augment={name} moves p by the sign of D(x), which says nothing under loss {loss.rpartition('.')[2]}: use "
        "augment.target=null with augment.p or augment.schedule, or a loss of any model that decides at zero: "
        "nonsaturating, hinge, least_squares_pearson."
    )


def check_head_alone(config: DictConfig) -> None:
    """Refuse options of the adversarial loss where a head's own terms take its place."""
    target = OmegaConf.select(config, "model.discriminator.head._target_")
    if target is None or not getattr(located("model.discriminator.head", target), "plays_alone", False):
        return
    for name in ("adversarial", "top_k"):
        value = OmegaConf.select(config, f"generator_loss.{name}")
        if value not in (None, 1):
            raise UserError(
                f"generator_loss.{name}={value} is about the adversarial loss, and the terms of "
                f"{target.rpartition('.')[2]} take its place: set it to 1, or choose another conditioning."
            )


def _makes_points(config: DictConfig) -> bool:
    return hasattr(located("data", config.data._target_), "modes")


def _data(config: DictConfig) -> str:
    return config.data._target_.rpartition(".")[2]


def _regularizers(config: DictConfig) -> Iterator[tuple[str, Any]]:
    """Yield the name and the class of each regulariser."""
    for name, node in config.regularizer.items():
        yield name, located(f"regularizer.{name}", node._target_)
