"""A score's name is its protocol, and whatever looks for a score by its kind finds it."""

from __future__ import annotations

import pytest

from gan_lightning.scores import Name, better, find, first, kind, mean_of, parse, short_count, spread_of


@pytest.mark.parametrize(
    "name, parts",
    [
        ("fid10k_train[classifier]", Name("fid", "10k", "train", suffix="[classifier]")),
        ("kid1797_test_raw_std", Name("kid", "1797", "test", raw=True, spread=True)),
        ("is10k_std[a]", Name("is", "10k", spread=True, suffix="[a]")),
        ("is10k_raw", Name("is", "10k", raw=True)),
        ("high_quality", Name("high_quality")),
        ("modes_raw", Name("modes", raw=True)),
        ("fid", Name("fid")),
    ],
)
def test_a_name_is_taken_apart_and_put_together(name: str, parts: Name) -> None:
    assert parse(name) == parts and str(parts) == name


@pytest.mark.parametrize("name", ["loss/generator", "D(x)", "fidd", "fid_train", "images_seen", "", "fid10k_"])
def test_what_is_no_score_has_no_kind(name: str) -> None:
    assert parse(name) is None and kind(name) is None


def test_a_spread_is_no_score_but_knows_whose_it_is() -> None:
    assert kind("is10k_std[x]") is None and mean_of("is10k_std[x]") == "is10k[x]"
    assert kind("is10k[x]") == "is" and spread_of("is10k[x]") == "is10k_std[x]" and mean_of("is10k[x]") is None


def test_a_score_is_found_by_as_much_of_its_name_as_is_given() -> None:
    scores = {"is10k_std[a]": 0.1, "is10k[a]": 2.0, "fid1797_train[a]": 3.0, "fid10k_test_raw[b]": 4.0}
    assert find(scores, "fid") == "fid1797_train[a]" == find(scores, "fid[a]") == find(scores, "fid1797")
    assert find(scores, "fid[b]") == find(scores, "fid_raw") == find(scores, "fid10k_test") == "fid10k_test_raw[b]"
    assert find(scores, "is") == "is10k[a]" and find(scores, "is_std") == "is10k_std[a]"
    assert find(scores, "fid[c]") is find(scores, "kid") is find(scores, "nothing") is None
    assert first(scores, ["kid", "is", "fid"]) == "is10k[a]"


def test_what_is_better_hangs_on_the_kind_alone() -> None:
    assert better("fid10k_train", 1.0, 2.0) and not better("is10k[a]", 1.0, 2.0)
    assert not better("fid10k_train", float("nan"), None)


@pytest.mark.parametrize(
    "number, text", [(10_000, "10k"), (1797, "1797"), (2500, "2500"), (1000, "1k"), (50_000, "50k")]
)
def test_thousands_are_k(number: int, text: str) -> None:
    assert short_count(number) == text
