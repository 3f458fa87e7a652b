"""Every recipe resolves to the numbers that it had before the options that it selects were renamed and merged."""

from __future__ import annotations

import pytest

from tests.cli.resolved import kept, recipes, resolved

KEPT = kept()


def test_the_file_has_every_recipe() -> None:
    assert sorted(KEPT) == sorted(recipes())


@pytest.mark.parametrize("recipe", KEPT)
def test_a_recipe_resolves_to_its_numbers(recipe: str) -> None:
    now = resolved(recipe)
    for section, numbers in KEPT[recipe].items():
        assert now[section] == numbers, section
