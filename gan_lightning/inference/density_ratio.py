"""Which discriminators tell the density ratio of real to fake images, which rejection and Langevin sampling need."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from gan_lightning import losses
from gan_lightning.errors import UserError
from gan_lightning.losses import AdversarialLoss
from gan_lightning.networks.heads.base import Head
from gan_lightning.networks.registry import Factory, full_name

OPTIONS = "rejection and langevin_steps"


def check_ratio(discriminator: nn.Module, config: Any, trusted: Mapping[str, Factory], path: Path) -> None:
    """Raise UserError if the discriminator was trained by a loss, or a head, whose logits are no log density ratio.

    config: of its training, as the file at `path` tells it: data that may be anything. The loss is looked up among ours
    and in `trusted`, and never imported. Warns if the file names no loss, or a foreign one.
    """
    head = getattr(discriminator, "head", None)
    if isinstance(head, Head) and head.plays_alone:  # then the loss was not used
        if not head.logits_are_log_odds:
            raise _no_ratio(path, f"its head {type(head).__name__} alone")
        return
    name = _target(config)
    loss = {**_known(), **trusted}.get(name or "")
    if isinstance(loss, type) and issubclass(loss, AdversarialLoss):
        if not (loss.logits_are_log_odds or loss.log_odds_up_to_constant):
            raise _no_ratio(path, f"the loss {loss.__name__}")
        return
    told = f"names the loss {name}, which is unknown here" if name else "does not say by which loss it was trained"
    warnings.warn(
        f"{path} {told}: {OPTIONS} take the discriminator's logits for log-odds, as after nonsaturating or minimax.",
        stacklevel=4,
    )


def _target(config: Any) -> str | None:
    node = config.get("loss") if isinstance(config, dict) else None
    name = node.get("_target_") if isinstance(node, dict) else None
    return name if isinstance(name, str) else None


def _known() -> dict[str, type[AdversarialLoss]]:
    """Return our losses by the names that configurations give them."""
    kinds = [kind for kind in map(vars(losses).get, losses.__all__) if isinstance(kind, type)]
    ours = [kind for kind in kinds if issubclass(kind, AdversarialLoss)]
    return {name: kind for kind in ours for name in (full_name(kind), f"{losses.__name__}.{kind.__name__}")}


def _no_ratio(path: Path, how: str) -> UserError:
    return UserError(
        f"The discriminator in {path} was trained by {how}, so its logits are no log density ratio of real to fake "
        f"images, which {OPTIONS} need: leave them out, or train with loss=nonsaturating."
    )
