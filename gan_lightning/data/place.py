"""Where a training stands in its data, in images, so that it can go on with another batch size or another data set."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Place:
    """A point of a training, from which later ones are counted.

    iteration: finished iterations. epochs, batches: completed epochs, and iterations in the present one.
    passes, images: completed passes over the longest source, and images consumed of the present one. An epoch is a pass
        without its last incomplete batch, unless the trainer limits an epoch to fewer batches.
    consumed: images of all passes, those of dropped batches not counted: the position in shorter sources.
    """

    iteration: int = 0
    epochs: int = 0
    batches: int = 0
    passes: int = 0
    images: int = 0
    consumed: int = 0

    def in_passes(self, iteration: int, num_images: int, batch_size: int) -> tuple[int, int]:
        """Return the pass at `iteration`, and the images consumed of it; a pass that fills no further batch is over."""
        steps, left = iteration - self.iteration, self.batches_left(num_images, batch_size)
        if steps < left:
            return self.passes, self.images + steps * batch_size
        more, offset = divmod(steps - left, num_images // batch_size)
        return self.passes + 1 + more, offset * batch_size

    def batches_left(self, num_images: int, batch_size: int) -> int:
        """Return the number of batches that the present pass still fills."""
        return max(num_images - self.images, 0) // batch_size

    def in_epochs(self, iteration: int, per_epoch: int | None) -> tuple[int, int]:
        """Return the epoch at `iteration`, and its finished batches; per_epoch: None for an endless epoch."""
        steps = self.batches + iteration - self.iteration
        more, batches = divmod(steps, per_epoch) if per_epoch else (0, steps)
        return self.epochs + more, batches

    def at(self, iteration: int, num_images: int, batch_size: int, per_epoch: int | None) -> Place:
        """Return the place at a later `iteration`.

        num_images: of the longest source. per_epoch: batches of an epoch, None for an endless one.
        """
        consumed = self.consumed + (iteration - self.iteration) * batch_size
        in_passes = self.in_passes(iteration, num_images, batch_size)
        return Place(iteration, *self.in_epochs(iteration, per_epoch), *in_passes, consumed)

    def with_batches(self, num_images: int, before: int, now: int, limit: int | None = None) -> Place:
        """Return the same place for batches of `now` images, not of `before`: the pass goes on with its unseen images.

        limit: batches to which the trainer limits an epoch, None for none.
        """
        whole = num_images // now
        if limit is not None and limit < whole:
            return replace(self, batches=min(self.batches * before // now, limit - 1))
        left = self.batches_left(num_images, now)
        if left == 0:  # what is left fills none of the new batches
            return self.of_new_pass(1)
        return replace(self, batches=whole - left)

    def of_new_pass(self, more: int = 0) -> Place:
        """Return the start of the present pass and epoch, or of one that comes `more` later."""
        return replace(self, epochs=self.epochs + more, batches=0, passes=self.passes + more, images=0)
