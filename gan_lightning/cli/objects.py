"""Builds an object from a node of the configuration; errors of its constructor are reported with the node's key."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate

from gan_lightning.cli.sentences import causes
from gan_lightning.errors import UserError


def build(node: Any, **further: Any) -> Any:
    """Instantiate `node`; raise UserError if a constructor refuses its arguments or fails."""
    try:
        return instantiate(node, **further, _convert_="all")
    except InstantiationException as error:
        raise _told(error) from error


def located(path: str, name: str) -> Callable[..., Any]:
    """Return the class or function called `name`, the `_target_` at `path`; raise UserError if it does not exist."""
    try:
        return get_object(name)
    except (ImportError, ValueError) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise UserError(f"{path}._target_={name} cannot be imported: {reason}") from error


def _told(error: InstantiationException) -> UserError:
    for cause in causes(error):
        if isinstance(cause, UserError):
            return UserError(str(cause))
    key = re.search(r"full_key: (\S+)", str(error))
    cause = error.__cause__ or error
    reason = (str(cause).splitlines() or [""])[0].rstrip(".")
    return UserError(
        f"{key[1] if key else 'A part of the configuration'} cannot be built: {type(cause).__name__}: {reason} "
        "(HYDRA_FULL_ERROR=1 shows where)."
    )
