"""Calls hooks that Lightning does not have: after scalars were fetched, during and after an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import lightning as L

AnyCallback = TypeVar("AnyCallback")


def callbacks_of(trainer: L.Trainer, kind: type[AnyCallback]) -> list[AnyCallback]:
    """Return the trainer's callbacks of class `kind`, in order."""
    return [callback for callback in getattr(trainer, "callbacks", []) if isinstance(callback, kind)]


def call(trainer: L.Trainer, hook: str, *arguments: object) -> None:
    """Call `hook(trainer, module, *arguments)` of every callback that has it, in the trainer's order.

    The hooks are those of `callbacks.base.Callback`; they are found by name, so that games do not import callbacks.
    """
    for callback in callbacks_of(trainer, object):
        if method := getattr(callback, hook, None):
            method(trainer, trainer.lightning_module, *arguments)
