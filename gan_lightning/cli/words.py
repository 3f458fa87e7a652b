"""Words of a command line before Hydra reads them: paths are taken literally, and flags may stand anywhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException

PATHS = re.compile(  # keys whose values are paths
    r"ckpt|ckpt_path|init_from|resume|run_dir|real|fake|out|save_stats|hydra\.(run|sweep)\.dir|data\.labels|"
    r"(.+\.)?(root|weights|save_dir|default_root_dir)"
)
FLAGS_WITH_VALUE = {
    *("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--package", "-p", "--cfg", "-c"),
    *("--info", "-i"),
}
OF_INFO = {"all", "config", "defaults", "defaults-tree", "plugins", "searchpath"}
MULTIRUN = {"-m", "--multirun", "hydra.mode=MULTIRUN"}


def prepared(words: Sequence[str]) -> list[str]:
    """Return a command line that Hydra reads as it was meant: overrides first, then flags; paths quoted as needed."""
    given, flags = apart(words)
    several = not MULTIRUN.isdisjoint(words)
    return [*(literal(word, several) for word in given), *flags]


def apart(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return overrides, and flags with their values: argparse takes no override after a flag in their midst."""
    given, flags = list[str](), list[str]()
    for word in words:
        before = flags[-1] if flags else ""
        is_value = before in FLAGS_WITH_VALUE and words[words.index(word) - 1] == before
        if word.startswith("-") or (is_value and (before not in ("--info", "-i") or word in OF_INFO)):
            flags.append(word)
        else:
            given.append(word)
    return given, flags


def literal(word: str, several: bool = False) -> str:
    """Return `word`; where its key is a path and Hydra would not read the path as it is, with quotes.

    Lists such as ckpt=[A,B] and values in quotes stay as they are. several: commas separate values of a sweep.
    """
    key, equals, value = word.partition("=")
    if not equals or not value or value[0] in "'\"" or not PATHS.fullmatch(key.lstrip("+")):
        return word
    if value[0] + value[-1] == "[]" and not Path(value).exists():
        elements = [element.strip() for element in value[1:-1].split(",")]
        return word if _read(word) else f"{key}=[{','.join(map(_element, elements))}]"
    if several and "," in value:
        return word if _read(word) else f"{key}={','.join(map(_element, value.split(',')))}"
    return word if _as_it_is(word, value, several) else f"{key}={quoted(value)}"


def _as_it_is(word: str, value: str, several: bool) -> bool:
    """Return whether Hydra reads the path in `word` as it is, or as what only Hydra's own grammar can mean."""
    override = _read(word)
    if override is None:
        return False
    if override.is_sweep_override():
        found = override.value()
        return several or not (isinstance(found, ChoiceSweep) and found.simple_form)
    found = override.value()
    return found is None or str(found) == value or ("\\" in value and isinstance(found, str))


def _element(text: str) -> str:
    return text if text[:1] in ("'", '"') else quoted(text)


def quoted(text: str) -> str:
    """Return `text` as a quoted string of Hydra's grammar."""
    return QuotedString(text, Quote.single).with_quotes()


def unquoted(value: str) -> str:
    """Return the text that Hydra reads from a path's value."""
    override = _read(literal(f"run_dir={value}"))
    found: Any = override.value() if override is not None else value
    return found.text if isinstance(found, QuotedString) else value if found is None else str(found)


def pasteable(word: str) -> str:
    """Return `word` corrected for a shell and for Hydra: its value in quotes, twice; "" where that is no way."""
    key, equals, value = word.partition("=")
    corrected = f"{key}={quoted(value)}"
    if not equals or value[:1] in ("[", "{", "'", '"') or _read(corrected) is None:
        return ""
    return shlex.quote(corrected) if re.search(r'["$`!\\]', corrected) else f'"{corrected}"'


def unreadable(words: Sequence[str]) -> str | None:
    """Return the first of `words` that Hydra's grammar does not read, None if there is none."""
    return next((word for word in apart(words)[0] if _read(word) is None), None)


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _read(word: str) -> Override | None:
    try:
        return _parser().parse_override(word)
    except HydraException:
        return None
