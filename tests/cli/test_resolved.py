"""Every recipe resolves to the numbers that it had before the options that it selects were renamed and merged."""

from __future__ import annotations

import json

import pytest

from tests.cli.resolved import Numbers, kept, recipes, resolved

KEPT = kept()


def test_the_file_has_every_recipe() -> None:
    assert sorted(KEPT) == sorted(recipes())


def written(numbers: Numbers) -> dict[str, str]:
    """Return the values as JSON, in which 0 is not 0.0."""
    return {path: json.dumps(value) for path, value in numbers.items()}


@pytest.mark.parametrize("recipe", KEPT)
def test_a_recipe_resolves_to_its_numbers(recipe: str) -> None:
    now = resolved(recipe)
    assert list(now["regularizer"]) == list(KEPT[recipe]["regularizer"])  # in this order the terms are added up
    for section, numbers in KEPT[recipe].items():
        assert written(now[section]) == written(numbers), section
