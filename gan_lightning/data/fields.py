"""The fields of a batch. A field has a name and a kind, which says how it is stored, mirrored and prepared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from gan_lightning.errors import UserError

Kind = Literal["picture", "mask", "label", "label_map", "points"]
Batch = dict[str, Tensor]
ON_A_GRID = ("picture", "mask", "label_map")  # kinds whose last dimension runs from left to right


@dataclass(frozen=True)
class Field:
    """One entry of a batch: its name and its kind.

    | kind | in the data set, N samples | ready for a network |
    |---|---|---|
    | picture | uint8 `(N, C, H, W)` | float32 in [-1, 1] |
    | mask | bool or uint8 `(N, 1, H, W)`, 0 = no, all else = yes (a hole) | float32, 0 or 1 |
    | label | int64 `(N,)` | as it is |
    | label_map | whole numbers below `classes`, `(N, H, W)`, uint8 or int64 | float32 one-hot `(N, classes, H, W)` |
    | points | float32 `(N, ...)` | as they are |

    classes: number of classes of a label map.
    """

    name: str
    kind: Kind = "picture"
    classes: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            there_are = ", ".join(get_args(Kind))
            raise UserError(f"Field '{self.name}' cannot be of the kind '{self.kind}'; there are: {there_are}.")
        if (self.kind == "label_map") != (self.classes > 0):
            raise UserError(
                f"Field '{self.name}' of the kind {self.kind} has classes={self.classes}; a label_map has the number "
                "of its classes there, at least 1, and any other kind 0."
            )

    @property
    def mirrors(self) -> bool:
        """Whether this field is mirrored with the sample."""
        return self.kind in ON_A_GRID

    def check(self, values: Tensor) -> None:
        """Raise UserError where stored `values` have a class that is not below `classes`."""
        if self.kind != "label_map" or not values.numel():
            return
        least, most = int(values.min()), int(values.max())
        if least < 0 or most >= self.classes:
            wrong = most if least >= 0 else least
            raise UserError(
                f"Label map '{self.name}' has the class {wrong}, but its classes are 0 to {self.classes - 1}; give "
                "Field the right number of classes, or correct the map."
            )


def by_name(fields: Iterable[Field]) -> dict[str, Field]:
    """Return `fields` by name; UserError if two have the same name."""
    found: dict[str, Field] = {}
    for field in fields:
        if field.name in found:
            raise UserError(
                f"Two fields of a batch are called '{field.name}'; give one of them another name, see "
                "gan_lightning.data.sources.Renamed."
            )
        found[field.name] = field
    return found


def mirror(batch: Batch, fields: Iterable[Field], which: Tensor | None = None) -> Batch:
    """Return a batch with the samples `which` (bool `(N,)`) flipped left to right in all fields; None: one sample."""
    flips = {field.name for field in fields if field.mirrors}
    return {name: _flip(values, which) if name in flips else values for name, values in batch.items()}


def _flip(values: Tensor, which: Tensor | None) -> Tensor:
    flipped = values.flip(-1)
    return flipped if which is None else torch.where(which.view(-1, *[1] * (values.ndim - 1)), flipped, values)
