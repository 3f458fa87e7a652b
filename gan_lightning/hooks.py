"""Moments of a run that Lightning knows nothing of: scalars were read, an evaluation goes on, an evaluation ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import lightning as L

AnyCallback = TypeVar("AnyCallback")


def callbacks_of(trainer: L.Trainer, kind: type[AnyCallback]) -> list[AnyCallback]:
    """Return the trainer's callbacks of class `kind`, in its order."""
    return [callback for callback in getattr(trainer, "callbacks", []) if isinstance(callback, kind)]


def call(trainer: L.Trainer, hook: str, *arguments: object) -> None:
    """Call `hook(trainer, module, *arguments)` of every callback that has it, in the trainer's order.

    The hooks are those of `callbacks.base.Callback`; they are found by name, so that a game can call them without
    knowing any callback.
    """
    for callback in callbacks_of(trainer, object):
        if method := getattr(callback, hook, None):
            method(trainer, trainer.lightning_module, *arguments)
