"""HYDRA_FULL_ERROR, which a user sets to see tracebacks; it is set while Hydra composes, then restored.

If it is set, Hydra raises its errors of composition and does not print them; a command then prints one sentence.
"""

from __future__ import annotations

import os

VARIABLE = "HYDRA_FULL_ERROR"
_users_choice: list[str | None] = []  # one item while we have set it


def wanted() -> bool:
    """Return whether the user wants tracebacks."""
    return (_users_choice[0] if _users_choice else os.environ.get(VARIABLE)) == "1"


def users_environment() -> dict[str, str]:
    """Return the environment with the user's value, for child processes."""
    others = {name: value for name, value in os.environ.items() if name != VARIABLE or not _users_choice}
    choice = _users_choice[0] if _users_choice else None
    return others if choice is None else others | {VARIABLE: choice}


def borrow() -> None:
    """Let Hydra raise its errors, until `give_back`."""
    if not _users_choice:
        _users_choice.append(os.environ.get(VARIABLE))
        os.environ[VARIABLE] = "1"


def give_back() -> None:
    """Restore the variable, so that later code and child processes see the user's value."""
    if _users_choice:
        before = _users_choice.pop()
        os.environ.pop(VARIABLE, None) if before is None else os.environ.update({VARIABLE: before})
