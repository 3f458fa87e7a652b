"""Going on from a checkpoint: its place in the data, what has changed there since, and Lightning's counters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from gan_lightning.data.place import Place
from gan_lightning.errors import UserError

SHOWN = 6  # class names in a sentence


def saved_place(entry: dict[str, Any], data: dict[str, Any] | None) -> Place:
    """Return the place that a checkpoint's entry holds; in older ones it follows from the number of iterations.

    data: description of the present data, None if it does not describe itself.
    """
    if "place" in entry:
        return Place(**entry["place"])
    iteration, per_epoch = entry["iteration"], entry["batches_per_epoch"] or None
    place = Place().in_epochs(iteration, per_epoch)
    size = batch_size(entry, data)
    if data is None or not size or longest(data) < size:
        return Place(iteration, *place)
    return Place(iteration, *place, *Place().in_passes(iteration, longest(data), size), iteration * size)


def place_now(entry: dict[str, Any], data: dict[str, Any] | None, limit: int | float | None) -> Place:
    """Return the place from which to go on in the present data: the same one, or a new pass over a changed data set.

    limit: Lightning's limit_train_batches.
    """
    place = saved_place(entry, data)
    if data is None:
        return place
    if changed(entry, data):
        return place.of_new_pass()
    now, whole = data["batch_size"], longest(data) // data["batch_size"]
    most = whole if limit is None else limit if isinstance(limit, int) else int(whole * limit)
    return place.with_batches(longest(data), batch_size(entry, data), now, most)


def changed(entry: dict[str, Any], data: dict[str, Any]) -> str:
    """Return what has changed in the data since the checkpoint: "80 images, 40 ...", or "" if its order is the same."""
    before = entry["data"]
    if "num_images" not in before:
        return ""
    then, now = _counts(before), _counts(data)
    if then != now:
        return f"{now} images, {then} when the run was saved"
    same = before["order"] == data["order"]
    return "" if same else f"{now} images as before, but other ones or in another order than when the run was saved"


def told(entry: dict[str, Any], data: dict[str, Any] | None, place: Place) -> str:
    """Return one line that says what has changed in the data and how training goes on, "" if nothing has."""
    what = changed(entry, data) if data else ""
    if not what:
        return ""
    begins = "begins anew" if saved_place(entry, data).images else "begins"
    return (
        f"resume: the data set has {what}: epoch {place.epochs + 1} {begins} with them, after "
        f"{entry['images_seen']:,} images."
    )


def check_classes(entry: dict[str, Any], data: dict[str, Any] | None, networks: Iterable[Any]) -> None:
    """Refuse other class names, or another order, than those that a network with classes was trained with."""
    takes = any(getattr(network, "num_classes", 0) or getattr(network, "needs_labels", False) for network in networks)
    before, now = entry["data"].get("class_names"), (data or {}).get("class_names")
    if takes and before and now and list(before) != list(now):
        raise UserError(
            f"The run was trained with the classes {_named(before, now)}, and the data set has {_named(now, before)}: "
            "give the classes their former names and order, or begin a new run with these weights by init_from."
        )


def go_on_from(checkpoint: dict[str, Any], epochs: int, batches: int) -> None:
    """Set Lightning's loop counters in `checkpoint` to the state after `epochs` and `batches` of the next.

    Lightning counts an interrupted epoch as finished, and its restart depends on the hook in which the state was saved.
    """
    loops = checkpoint["loops"]["fit_loop"]
    begun = epochs + (batches > 0)
    _set(loops["epoch_progress"], ready=begun, started=begun, processed=epochs, completed=epochs)
    # As in `on_train_batch_end`, where the batch that was just processed does not count as completed yet.
    completed = max(batches - 1, 0)
    progress = loops["epoch_loop.batch_progress"]
    _set(progress, ready=batches, started=batches, processed=batches, completed=completed)
    progress["is_last_batch"] = False


def plain(place: Place) -> dict[str, int]:
    """Return `place` as an entry of a checkpoint."""
    return asdict(place)


def longest(data: dict[str, Any]) -> int:
    """Return the number of images of the source that sets the epoch."""
    return max(data["num_images"].values())


def batch_size(entry: dict[str, Any], data: dict[str, Any] | None) -> int:
    """Return the batch size of a checkpoint's training; of an older one from its configuration, else the present."""
    config = entry["config"] or {}
    known = entry["data"].get("batch_size") or config.get("data", {}).get("batch_size")
    return int(known or (data or {}).get("batch_size") or 0)


def _counts(data: dict[str, Any]) -> str:
    return " and ".join(f"{count:,}" for count in data["num_images"].values())


def _named(names: list[str], others: list[str]) -> str:
    """Return `names`; of many those from the first that differs from `others`, which may be past the shorter's end."""
    end = min(len(names), len(others))
    first = next((i for i, (a, b) in enumerate(zip(names, others, strict=False)) if a != b), end)
    start = max(0, min(first, len(names) - SHOWN)) if len(names) > SHOWN else 0
    shown = ", ".join(names[start : start + SHOWN])
    return f"{'..., ' * (start > 0)}{shown}{', ...' * (start + SHOWN < len(names))}"


def _set(progress: dict[str, Any], **counts: int) -> None:
    for part in ("total", "current"):
        progress[part] = {**progress[part], **counts}
