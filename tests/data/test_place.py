"""The place in the data: images that a pass has seen, whatever the batch size was and becomes."""

from __future__ import annotations

import pytest

from gan_lightning.data.order import GlobalBatches, joint
from gan_lightning.data.place import Place

SIZES = [(40, 8, 16, 3), (40, 16, 8, 1), (43, 4, 8, 7), (40, 8, 16, 4), (37, 5, 6, 15)]  # images, before, after, steps


def began(images: int, before: int, after: int, steps: int) -> Place:
    """Return the place after `steps` batches of `before` images, taken up with batches of `after`."""
    return Place().at(steps, images, before, images // before).with_batches(images, before, after)


@pytest.mark.parametrize(("images", "before", "after", "steps"), SIZES)
def test_a_pass_goes_on_with_the_images_it_has_not_seen(images: int, before: int, after: int, steps: int) -> None:
    passes, done = divmod(steps, images // before)
    seen = GlobalBatches(images, before, seed=3).epoch(passes)[:done].flatten().tolist()
    place = began(images, before, after, steps)
    rest = GlobalBatches(images, after, seed=3, position=lambda: steps, place=lambda: place).rest().flatten().tolist()
    if place.passes == passes:
        assert len({*seen, *rest}) == len(seen) + len(rest) > images - after
    else:  # what was left filled none of the new batches
        assert images - len(seen) < after and place.passes == passes + 1
        assert rest == GlobalBatches(images, after, seed=3).epoch(passes + 1).flatten().tolist()


@pytest.mark.parametrize(("images", "before", "after", "steps"), SIZES)
def test_epochs_end_with_passes(images: int, before: int, after: int, steps: int) -> None:
    place, whole = began(images, before, after, steps), images // after
    assert place.epochs == place.passes and whole - place.batches == place.batches_left(images, after)
    ended = place.at(steps + place.batches_left(images, after) + 2 * whole, images, after, whole)
    assert (ended.epochs, ended.batches, ended.passes, ended.images) == (place.epochs + 3, 0, place.epochs + 3, 0)


@pytest.mark.parametrize("steps", [0, 3, 5, 9])
def test_with_the_same_batches_nothing_changes(steps: int) -> None:
    place = began(40, 8, 8, steps)
    for later in range(steps, steps + 12):
        resumed = GlobalBatches(40, 8, seed=1, mirror=True, position=lambda now=later: now, place=lambda: place)
        assert resumed.rest().equal(GlobalBatches(40, 8, seed=1, mirror=True, position=lambda now=later: now).rest())
        assert place.at(later, 40, 8, 5) == Place().at(later, 40, 8, 5)


def test_a_shorter_source_goes_on_where_it_was() -> None:
    counts = {"": 40, "b": 13}
    before = joint(counts, 8, seed=2, position=lambda: 0).rest()[:3, :, 1].flatten().tolist()
    place = began(40, 8, 16, 3)
    (batch,) = joint(counts, 16, seed=2, position=lambda: 3, place=lambda: place).rest()[..., 1].tolist()
    assert sorted([*before, *batch][:39]) == sorted([*range(13)] * 3)
