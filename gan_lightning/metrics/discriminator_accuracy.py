"""How much the discriminator over-fits: its accuracy on training images, held-out images and samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.inference.sampling import evaluating, random_labels
from gan_lightning.metrics import reading
from gan_lightning.metrics.base import LOCAL, GeneratorMetric, Setting, Subject
from gan_lightning.networks.base import as_output

BATCH = 256
Batch = tuple[Tensor, Tensor | None]


class DiscriminatorAccuracy(GeneratorMetric):
    """Accuracy of the discriminator (real or fake) on training images, held-out images and samples.

    A discriminator that accepts training images and rejects held-out ones has over-fitted. The gap is d_accuracy_train
    - d_accuracy_test (compare Karras et al. 2020, arXiv 2006.06676). Data without a held-out split have no
    d_accuracy_test. Of each kind, at most as many images are used as there are samples. There is no augmentation, and
    the discriminator is in evaluation mode.

    held_out: the split that was not trained on.
    border: the logit that separates real from fake. None takes the midpoint between the mean logits of training images
        and samples, for critics and relativistic losses, which define no border.
    """

    names: ClassVar[tuple[str, ...]] = ("d_accuracy_train", "d_accuracy_test", "d_accuracy_fake")
    protocol: ClassVar[str] = ""

    def __init__(self, setting: Setting, held_out: str = "test", border: float | None = 0.0) -> None:
        super().__init__(**LOCAL)
        if not setting.has_discriminator:
            raise UserError(
                "metrics=[discriminator_accuracy] needs the discriminator, which only a run and its full checkpoints "
                "have: evaluate one of those, or leave it out."
            )
        self.held_out, self.border = held_out, border
        self.add_state("shares", torch.zeros(0, dtype=torch.float64), dist_reduce_fx=None)

    def update(self, subject: Subject) -> None:
        """Compute the discriminator's logits for the images of `subject`."""
        judge = subject.discriminator
        if judge is None:
            raise UserError("metrics=[discriminator_accuracy] needs a discriminator, and there is none: leave it out.")
        splits = ["train"]
        if self.held_out in getattr(subject.data, "splits", ()) and self.held_out != "train":
            splits.append(self.held_out)
        sets = {"train" if split == "train" else "test": _real(subject, split) for split in splits}
        with torch.no_grad(), evaluating(judge):
            logits = {name: _logits(judge, images) for name, images in {**sets, "fake": _fake(subject)}.items()}
        border = self.border
        if border is None:
            border = float(logits["train"].mean() + logits["fake"].mean()) / 2
        right = {name: values < border if name == "fake" else values > border for name, values in logits.items()}
        self.names = tuple(f"d_accuracy_{name}" for name in logits)  # type: ignore[misc]
        # A logit that is not finite counts as neither real nor fake; it makes the accuracy NaN.
        self.shares = torch.stack([share.double().mean() + 0 * logits[name].sum() for name, share in right.items()])

    def compute(self) -> tuple[Tensor, ...]:
        """Return the accuracies, in the order of `names`."""
        return tuple(self.shares)


def _real(subject: Subject, split: str) -> Iterator[Batch]:
    indices = reading.some(subject.data, split, subject.num_fakes, "d_accuracy")  # shuffled: packs judge neighbours
    for batch in reading.batches(subject.data, split, indices, BATCH):
        images = batch["image"]
        yield images if images.is_floating_point() else images.float() / 127.5 - 1, batch.get("label")


def _fake(subject: Subject) -> Iterator[Batch]:
    classes = getattr(subject.generator, "num_classes", 0)
    for start in range(0, subject.num_fakes, BATCH):
        stop = min(start + BATCH, subject.num_fakes)
        if classes:
            labels = random_labels(classes, start, stop, subject.seed)
            yield subject.sample(start, stop, labels), labels
        else:
            yield subject.sample(start, stop), None


def _logits(judge: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """Return the logits on the CPU, `(N,)`, or one for each whole pack; logits of patches are averaged."""
    device, pack = next(judge.parameters()).device, getattr(judge, "pack", 1)
    labelled, found = getattr(judge, "needs_labels", False), []
    for images, labels in batches:
        count = len(images) // pack * pack
        inputs = [images[:count].to(device)] + ([labels[:count].to(device)] if labelled and labels is not None else [])
        if count:
            found.append(as_output(judge(*inputs)).logits.float().reshape(count // pack, -1).mean(1).cpu())
    return torch.cat(found)
