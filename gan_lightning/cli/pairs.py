"""Names that do not go together whatever is built of them: each refusal has both, and a way out."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from gan_lightning.cli.objects import located
from gan_lightning.cli.values import parameters_of
from gan_lightning.errors import UserError


def check(config: DictConfig) -> None:
    """Raise UserError for the first pair of names in `config` that do not go together."""
    check_labels(config)
    check_injection(config)


def check_points(config: DictConfig) -> None:
    """Refuse networks for images on points in the plane, and the other way round."""
    generator = config.model.get("generator") or {}
    points, name = _makes_points(config), _data(config)
    if points and "image_size" in generator:
        raise UserError(f"The model makes images, but data {name} holds points in the plane: use model=mlp2d.")
    if not points and str(generator.get("_target_", "")).endswith(".MLP2dGenerator"):
        raise UserError(f"model=mlp2d makes points in the plane, but data {name} holds images: use model=dcgan, say.")


def check_labels(config: DictConfig) -> None:
    """Refuse labels where the data set has none."""
    conditioning, classes = config.conditioning, config.data.num_classes
    if conditioning.get("needs_labels") and not classes:
        raise UserError(
            f"conditioning with labels (data.num_classes={classes}) cannot train on {_data(config)}, which is "
            "unlabelled here: use conditioning=none, or a labelled data set (a folder: data.labels=folders)."
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


def _makes_points(config: DictConfig) -> bool:
    return hasattr(located("data", config.data._target_), "modes")


def _data(config: DictConfig) -> str:
    return config.data._target_.rpartition(".")[2]
