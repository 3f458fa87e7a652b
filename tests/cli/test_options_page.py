"""docs/options.md names every option of every group, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/options.md").read_text()
GROUPS = sorted(folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir() and list(folder.glob("*.yaml")))
NAME = r"(?:[\w-]|\.(?=\d))+"  # r1_lazy_w0.1 is an option, regularizer.r1 a key
ELSEWHERE = ("experiment", "tuned")  # docs/recipes.md; chosen by model and data


def options(group: str) -> set[str]:
    return {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}


@pytest.mark.parametrize("group", [group for group in GROUPS if group not in ELSEWHERE])
def test_every_option_is_named(group: str) -> None:
    named = set(re.findall(rf"`({NAME})`", PAGE))
    assert f"`{group}" in PAGE and options(group) - named == set()


def test_what_is_named_is_there() -> None:
    known = {*GROUPS}.union(*map(options, GROUPS)) | {"GROUP", "max_kimg"}
    assert set(re.findall(rf"`({NAME})(?:=\[[\w.,]+\])?`", PAGE)) - known == set()
    for key in ("real_label", "role"):  # those that a table sets
        assert f"{key}=" in PAGE and any(f"{key}:" in path.read_text() for path in (ROOT / "conf").rglob("*.yaml"))


def test_the_readme_names_no_option_that_is_not_there() -> None:
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(rows) > 8
    for groups, names in rows:
        chosen = re.findall(r"`(\w+)(?:=\[\.\.\.\])?`", groups)
        there = set().union(*map(options, chosen)) | {"every"}
        assert set(re.findall(rf"`({NAME})`", names)) - there == set(), groups
