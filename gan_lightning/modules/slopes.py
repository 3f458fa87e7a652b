"""Whether something bounds how steep a discriminator is, as some losses need."""

from __future__ import annotations

from lightning.pytorch.utilities.rank_zero import rank_zero_warn

from gan_lightning.contracts import Duel
from gan_lightning.networks.layers.spectral import is_normalised
from gan_lightning.regularizers.base import Constraint, layers


def check(duel: Duel) -> None:
    """Warn in one line of a loss without a bound, such as Wasserstein's, where nothing bounds the critic's slope."""
    if not getattr(duel.loss, "needs_bounded_slope", False) or bounded(duel):
        return
    rank_zero_warn(
        f"loss {type(duel.loss).__name__} has no least value unless something bounds the critic's slope, and nothing "
        "does: add regularizer=[gradient_penalty] or [weight_clipping], or spectral norm in the discriminator."
    )


def bounded(duel: Duel) -> bool:
    """Return whether a penalty, a constraint or spectral norm bounds the discriminator's slope."""
    parts = [part for part in duel.regularizers.values() if part.role == "discriminator"]
    if any(isinstance(part, Constraint) or part.bounds_slope for part in parts):
        return True
    return any(is_normalised(layer) for layer in layers(duel.discriminator))
