"""Rewrites Lightning's counters in a checkpoint, so that a resumed run continues at `iteration`.

Lightning counts an interrupted epoch as finished, and its restart depends on the hook in which the state was saved. Our
position in the data depends only on the iteration, so Lightning's counters are set to match it.
"""

from __future__ import annotations

from typing import Any


def go_on_from(checkpoint: dict[str, Any], iteration: int, batches_per_epoch: int) -> None:
    """Set the loop counters of `checkpoint` to the state after `iteration` batches."""
    epochs, batches = divmod(iteration, batches_per_epoch)
    loops = checkpoint["loops"]["fit_loop"]
    begun = epochs + (batches > 0)
    _set(loops["epoch_progress"], ready=begun, started=begun, processed=epochs, completed=epochs)
    # As in `on_train_batch_end`, where the batch that was just processed does not count as completed yet.
    completed = max(batches - 1, 0)
    progress = loops["epoch_loop.batch_progress"]
    _set(progress, ready=batches, started=batches, processed=batches, completed=completed)
    progress["is_last_batch"] = False


def _set(progress: dict[str, Any], **counts: int) -> None:
    for part in ("total", "current"):
        progress[part] = {**progress[part], **counts}
