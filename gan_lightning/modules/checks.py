"""Checks of a game as a whole: its duels side by side, what it saves, and how a batch is divided."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from gan_lightning.contracts import Duel
from gan_lightning.errors import UserError


def check_duels(duels: Sequence[Duel], saved: set[nn.Module]) -> None:
    """Refuse duels that share a name or running values, or a state that is not in `saved`, the game's modules."""
    check_names(duels)
    check_apart(duels)
    for duel in duels:
        check_saved(duel, saved)


def check_names(duels: Sequence[Duel]) -> None:
    """Refuse two duels of one name, which would share values, random numbers and curves."""
    names = [duel.name for duel in duels]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{names.count(twice[0])} duels are called '{twice[0]}': give each a name of its own.")


def check_apart(duels: Sequence[Duel]) -> None:
    """Refuse a stateful regulariser in two duels: its running values would mix what both see."""
    owned = [part for duel in duels for part in duel.regularizers.values() if isinstance(part, nn.Module)]
    for part in owned:
        if owned.count(part) > 1:
            raise UserError(
                f"{type(part).__name__} keeps running values and is in two duels: give each one of its own."
            )


def check_saved(duel: Duel, saved: set[nn.Module]) -> None:
    """Refuse a part with a state that is no submodule of the game: a checkpoint would not have it, nor the device."""
    parts = (duel.generator, duel.discriminator, duel.augment, *duel.regularizers.values())
    for part in parts:
        if isinstance(part, nn.Module) and part not in saved and part.state_dict():
            raise UserError(
                f"{type(part).__name__} of {duel.name or 'the duel'} has a state, which the game would not save: "
                "assign it to an attribute of the game in its constructor (several: in an nn.ModuleDict)."
            )


def check_pieces(size: int, processes: int, pieces: int) -> None:
    """Refuse a batch that cannot be divided among the processes or into model.accumulate pieces."""
    if size % processes:
        raise UserError(
            f"data.batch_size={size} is the batch of all processes and cannot be divided among {processes}: take "
            f"{max(size // processes, 1) * processes}."
        )
    if pieces > size // processes:
        raise UserError(
            f"model.accumulate={pieces} is more than a process has images in a batch: at most {size // processes}."
        )
    if size // processes % pieces:
        raise UserError(
            f"model.accumulate={pieces} does not cut a process's {size // processes} images into equal pieces: take "
            f"data.batch_size={max(size // processes // pieces, 1) * pieces * processes}, say."
        )
