"""Small data sets that torchvision downloads: one class and a table."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gan_lightning.data.data_module import ResizedData
from gan_lightning.data.download import data_root, fetch
from gan_lightning.data.image_data import resize, set_channels
from gan_lightning.data.resolvers import EMNIST_CLASSES
from gan_lightning.data.sources import TensorImages
from gan_lightning.errors import UserError, suggest

TRAIN_OR_NOT = {"train": {"train": True}, "test": {"train": False}}
SPLITS = {"train": {"split": "train"}, "test": {"split": "test"}}
DIGITS = list(string.digits)
STL10_CLASSES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]


@dataclass(frozen=True)
class Entry:
    """How torchvision names and stores a data set."""

    cls: str  # of torchvision.datasets
    place: str  # what torchvision looks for under the root
    url: str  # where users find it
    layout: str = "NHW"  # of the attribute `data`: "NHW", "NHWC" or "NCHW"
    labels: str = "targets"  # the attribute with the labels
    arguments: dict[str, dict[str, Any]] = field(default_factory=lambda: TRAIN_OR_NOT)  # arguments that choose a split
    classes: list[str] | None = None  # None: the attribute `classes`
    subsets: tuple[str, ...] = ()


MNIST = "MNIST", "MNIST/raw", "https://ossci-datasets.s3.amazonaws.com/mnist/"
FASHION = "FashionMNIST", "FashionMNIST/raw", "https://github.com/zalandoresearch/fashion-mnist"
KMNIST = "KMNIST", "KMNIST/raw", "http://codh.rois.ac.jp/kmnist/"
EMNIST = "EMNIST", "EMNIST/raw", "https://www.nist.gov/itl/products-and-services/emnist-dataset"
CIFAR10 = "CIFAR10", "cifar-10-batches-py", "https://www.cs.toronto.edu/~kriz/cifar.html"
CIFAR100 = "CIFAR100", "cifar-100-python", "https://www.cs.toronto.edu/~kriz/cifar.html"
SVHN = "SVHN", "train_32x32.mat and test_32x32.mat", "http://ufldl.stanford.edu/housenumbers/"
STL10 = "STL10", "stl10_binary", "https://cs.stanford.edu/~acoates/stl10/"

SETS = {
    "mnist": Entry(*MNIST, classes=DIGITS),
    "fashion_mnist": Entry(*FASHION),
    "kmnist": Entry(*KMNIST),
    "emnist": Entry(*EMNIST, subsets=tuple(EMNIST_CLASSES)),
    "cifar10": Entry(*CIFAR10, layout="NHWC"),
    "cifar100": Entry(*CIFAR100, layout="NHWC"),
    "svhn": Entry(*SVHN, layout="NCHW", labels="labels", arguments=SPLITS, classes=DIGITS),
    "stl10": Entry(
        *STL10, "NCHW", "labels", SPLITS, classes=STL10_CLASSES, subsets=("train", "unlabeled", "train+unlabeled")
    ),
}


@dataclass(kw_only=True, eq=False, repr=False)
class TorchvisionData(ResizedData):
    """A data set of `SETS`, downloaded on first use, resized once and kept in memory as uint8.

    name: "mnist", "fashion_mnist", "kmnist", "emnist", "cifar10", "cifar100", "svhn" or "stl10".
    root: the folder with torchvision's sets; None = $GAN_LIGHTNING_DATA, else ./data.
    subset: of emnist "byclass", "bymerge", "balanced", "letters", "digits" or "mnist"; of stl10 "train" (5,000 with
    labels), "unlabeled" (100,000) or "train+unlabeled"; other sets have none.
    """

    name: str  # type: ignore[misc]
    root: str | None = None
    subset: str | None = None

    def check(self) -> None:
        """Raise UserError for a set or subset that is not there, or an option out of range."""
        super().check()
        if self.name not in SETS:
            raise UserError(f"data.name={self.name} is not known; there are: {suggest(str(self.name), SETS)}.")
        subsets = SETS[self.name].subsets
        if self.subset not in (subsets or (None,)):
            there_are = suggest(str(self.subset), subsets) if subsets else "none, leave it null"
            raise UserError(f"data.subset={self.subset} of {self.name} does not exist; there are: {there_are}.")
        if self.name == "stl10" and self.subset != "train" and self.num_classes:
            raise UserError(f"data.subset={self.subset} of stl10 is unlabelled; set data.num_classes=0.")

    def load(self, split: str) -> TensorImages:
        """Return `split`, uint8 `(N, channels, height, width)`, with its labels."""
        entry, found = SETS[self.name], self._found(split)
        images = _channels_first(torch.as_tensor(found.data), entry.layout)
        labels = torch.as_tensor(getattr(found, entry.labels)).long()
        if self.name == "emnist":
            images = images.transpose(-1, -2)  # rows and columns are exchanged in the files
            labels = labels - int(self.subset == "letters")  # and count letters from 1
        if self.num_classes:
            self.class_names = EMNIST_CLASSES.get(self.subset or "", entry.classes or list(found.classes))
        images = resize(images, self.image_size, self.fit)
        return TensorImages(set_channels(images, self.channels).contiguous(), labels)

    def _found(self, split: str) -> Any:
        """Return torchvision's set, which is downloaded first if it is missing."""
        from torchvision import datasets

        entry, root = SETS[self.name], data_root(self.root)
        make, arguments = getattr(datasets, entry.cls), self._arguments(split)
        try:
            return make(str(root), **arguments)
        except RuntimeError as error:
            if "not found" not in str(error):
                raise self._damaged(error) from error
        except Exception as error:  # a damaged file ends in any of the readers' exceptions
            raise self._damaged(error) from error
        advice = f"get it from {entry.url}, place it at {root}/{entry.place}, or set data.root to where it is."
        fetch(self.name, root, lambda folder: make(str(folder), download=True, **arguments), advice)
        return make(str(root), **arguments)

    def _arguments(self, split: str) -> dict[str, Any]:
        arguments = SETS[self.name].arguments[split]
        if self.subset is None or (self.name == "stl10" and split == "test"):
            return arguments
        return {**arguments, "split": self.subset}

    def _damaged(self, error: Exception) -> UserError:
        place = f"{data_root(self.root)}/{SETS[self.name].place}"
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return UserError(f"data={self.name} at {place} is damaged ({reason}); remove it to download it again.")


def _channels_first(images: Tensor, layout: str) -> Tensor:
    if layout == "NHW":
        return images[:, None]
    return images.permute(0, 3, 1, 2) if layout == "NHWC" else images
