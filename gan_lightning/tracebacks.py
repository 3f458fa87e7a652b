"""HYDRA_FULL_ERROR, by which a user asks for tracebacks: borrowed while Hydra composes, and given back.

With it set Hydra raises its errors of composition, which a command tells in a sentence, instead of printing them.
"""

from __future__ import annotations

import os

VARIABLE = "HYDRA_FULL_ERROR"
_users_choice: list[str | None] = []  # one item while borrowed


def wanted() -> bool:
    """Return whether the user asked for tracebacks."""
    return (_users_choice[0] if _users_choice else os.environ.get(VARIABLE)) == "1"


def users_environment() -> dict[str, str]:
    """Return the environment as the user has it: what a process of its own should see."""
    others = {name: value for name, value in os.environ.items() if name != VARIABLE or not _users_choice}
    choice = _users_choice[0] if _users_choice else None
    return others if choice is None else others | {VARIABLE: choice}


def borrow() -> None:
    """Have Hydra raise its errors, until `give_back`."""
    if not _users_choice:
        _users_choice.append(os.environ.get(VARIABLE))
        os.environ[VARIABLE] = "1"


def give_back() -> None:
    """Give the variable its value back: what runs from here on, child processes too, sees the user's choice."""
    if _users_choice:
        before = _users_choice.pop()
        os.environ.pop(VARIABLE, None) if before is None else os.environ.update({VARIABLE: before})
