"""Accuracy of classifiers that are trained on generated images and tested on real ones, and the reverse."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError, check_range
from gan_lightning.metrics import classifier
from gan_lightning.metrics.base import LOCAL, GeneratorMetric, Setting, Subject
from gan_lightning.pixels import to_uint8

BATCH = 256


class ClassificationAccuracy(GeneratorMetric):
    """Accuracy of small classifiers that are trained on generated images, on real ones, or on both.

    gan_train: trained on generated images and tested on real ones, the classification accuracy score (Ravuri and
    Vinyals 2019, arXiv 1905.10887). gan_test: trained on real images and tested on generated ones (Shmelkov et al.
    2018, arXiv 1807.09499): high if samples look like their class, even if there is little variety. gan_base: trained
    and tested on real images; compare the others with it. gan_augmented: trained on both and tested on real ones. If it
    is above gan_base, it helps to add generated images to the real ones.

    The classifier, its recipe and its training images are those of extractor=classifier: 80% of the training split.
    There are as many generated images, with the same classes. Tests use the split "test" if the data has one, else the
    other 20%, which the generator was trained on and the classifier was not.

    epochs: passes over the training images. seed: of the classifiers. augmented: also train a classifier on real and
        generated images together.
    """

    names: ClassVar[tuple[str, ...]] = ("gan_train", "gan_test", "gan_base")
    protocol: ClassVar[str] = ""

    def __init__(self, setting: Setting, epochs: int = 15, seed: int = 0, augmented: bool = False) -> None:
        super().__init__(**LOCAL)
        check_range("metrics.classification_accuracy", 1, epochs=epochs)
        if not (setting.labels and setting.fakes_labelled):
            lacking = f"data={setting.data} has none" if not setting.labels else "the generator makes none to order"
            raise UserError(
                f"metrics=[classification_accuracy] teaches classes, and {lacking}: choose labelled data and "
                "conditioning, or leave it out."
            )
        self.recipe, self.seed, self.augmented = classifier.Classifier(epochs, seed), seed, augmented
        if augmented:
            self.names = (*self.names, "gan_augmented")  # type: ignore[misc]
        self.add_state("accuracies", torch.zeros(0, dtype=torch.float64), dist_reduce_fx=None)

    def update(self, subject: Subject) -> None:
        """Train the classifiers and test them."""
        data, device = subject.data, torch.device(subject.device)
        images, labels, tests = self._reals(data)
        fakes = torch.cat([_samples(subject, labels, start) for start in range(0, len(labels), BATCH)])
        on_real, on_fake = self._on_real(data, device), self._trained(data, device, fakes, labels)
        found = [_accuracy(on_fake, *tests), _accuracy(on_real, fakes, labels), _accuracy(on_real, *tests)]
        if self.augmented:
            both = self._trained(data, device, torch.cat([images, fakes]), labels.repeat(2))
            found.append(_accuracy(both, *tests))
        self.accuracies = torch.tensor(found, dtype=torch.float64)

    def compute(self) -> tuple[Tensor, ...]:
        """Return the accuracies, in the order of `names`."""
        return tuple(self.accuracies)

    def _reals(self, data: Any) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Return images and labels to train on, and (images, labels) to test on."""
        images, labels = classifier.load(data, "train", self.seed)
        held_out = len(images) // 5
        tests = images[:held_out], labels[:held_out]
        if "test" in getattr(data, "splits", ()):
            tests = classifier.load(data, "test", self.seed)
        return images[held_out:], labels[held_out:], tests

    def _on_real(self, data: Any, device: torch.device) -> nn.Module:
        state = self.recipe.trained(data, device)
        state.pop("accuracy")
        network = classifier.build(data.image_shape[0], data.num_classes, self.seed)
        network.load_state_dict(state)
        return network.to(device)

    def _trained(self, data: Any, device: torch.device, images: Tensor, labels: Tensor) -> nn.Module:
        network = classifier.build(data.image_shape[0], data.num_classes, self.seed).to(device)
        classifier.fit(network, images.to(device), labels.to(device), self.recipe.epochs, self.seed)
        return network


def _samples(subject: Subject, labels: Tensor, start: int) -> Tensor:
    """Return uint8 samples of the classes `labels[start : start + BATCH]`, at most 32 x 32 pixels, on the CPU."""
    stop = min(start + BATCH, len(labels))
    images = subject.sample(start, stop, labels[start:stop])
    return classifier.shrink(to_uint8(images) if images.is_floating_point() else images).cpu()


def _accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    device = next(network.parameters()).device
    return classifier.share_right(network, images.to(device), labels.to(device))
