"""The size of a picture: the side of a square, or height and width."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from numbers import Integral

from gan_lightning.errors import UserError

Size = int | tuple[int, int]  # in pixels: the side of a square, or (height, width); a list will do, too


def height_width(size: Size, key: str = "data.image_size", least: int = 0) -> tuple[int, int]:
    """Return height and width; raise UserError, which names `key`, unless they are whole numbers from `least` on."""
    sides = list(size) if isinstance(size, Sequence) and not isinstance(size, str) else [size, size]
    whole = all(isinstance(side, Integral) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or min(sides) < least:
        raise UserError(
            f"{key}={shown(size)} is not possible; it is a whole number of at least {least}, or two of them as "
            "[height,width]."
        )
    return int(sides[0]), int(sides[1])


def simplest(size: Size) -> Size:
    """Return the side of a square, or (height, width), so that equal sizes are equal values."""
    height, width = height_width(size)
    return height if height == width else (height, width)


def halved(size: Size, times: int) -> tuple[int, int]:
    """Return height and width after `times` halvings."""
    height, width = height_width(size)
    return height >> times, width >> times


def shown(size: Size) -> str:
    """Return the size as typed on the command line: `32`, or `[32,64]`."""
    return f"[{','.join(map(str, size))}]" if isinstance(size, Sequence) and not isinstance(size, str) else str(size)


def check_sides(size: Size, maker: str, sides: Collection[int], words: str, unit: Callable[[int], int]) -> None:
    """Raise UserError, with the nearest sizes, if `maker` cannot make images of this size.

    sides: what a square's side and the shorter side of others can be; `words` says it. unit: from the shorter side to
        the number of pixels of which the longer one is a multiple.
    """
    height, width = height_width(size)
    short, long = sorted((height, width))
    if short in sides and long % unit(short) == 0:
        return
    near = min(sides, key=lambda side: abs(side - short))
    able, possible = f"makes images of {words}", str(near)
    if height != width:
        longer = _multiples(long, unit(near), near)
        able = f"makes images whose shorter side has {words}, and whose longer side is a multiple of {unit(near)} "
        able += f"beside {near}"
        possible = " or ".join(shown((near, side) if height < width else (side, near)) for side in longer)
    raise UserError(f"{maker} {able}, not {shown(size)}: set data.image_size={possible}, or choose another model.")


def _multiples(number: int, unit: int, least: int) -> list[int]:
    """Return the multiples of `unit` next to `number`, below and above, from `least` on."""
    return sorted({max(least, number // unit * unit), max(least, -(-number // unit) * unit)})
