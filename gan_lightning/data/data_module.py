"""The base class of data modules: training batches that can be resumed at any point, and reference data for metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import lightning as L
import torch

from gan_lightning.data.fields import Batch, Field, by_name
from gan_lightning.data.fitting import Fit, check_fit
from gan_lightning.data.loaders import FileLoader, TensorLoader
from gan_lightning.data.order import GlobalBatches, JointBatches, joint
from gan_lightning.data.place import Place
from gan_lightning.data.sources import SideBySide, Source, digest
from gan_lightning.errors import UserError
from gan_lightning.sizes import Size, height_width, simplest

DEVICE_LIMIT = 2**30  # bytes; `on_device: auto` keeps smaller data sets in a GPU's memory


@dataclass(kw_only=True, eq=False, repr=False)
class GANData(L.LightningDataModule):
    """Base class of all data modules; a subclass names its splits and loads them.

    image_size: pixels of a side, or (height, width). channels: 1 or 3. num_classes: 0 = no labels.
    batch_size: images of one batch over all processes.
    num_workers: processes that decode files (not used for data in memory).
    seed: of the order and of mirroring. mirror: flip each training image left to right with probability 1/2.
    on_device: keep data in memory on the trainer's device; "auto" = if it is a GPU and the data set is < 1 GiB.
    """

    image_size: Size
    channels: int
    num_classes: int = 0
    batch_size: int = 64
    num_workers: int = 0
    seed: int = 0
    mirror: bool = False
    on_device: bool | Literal["auto"] = "auto"

    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    licence: ClassVar[str] = ""  # what must be said beside such pictures; a run keeps it as LICENCE-DATA.txt

    def __post_init__(self) -> None:
        super().__init__()
        self.class_names: list[str] | None = None
        self._sources: dict[str, dict[str, Source]] = {}
        self.check()
        if self.image_size is not None:  # as it is of points
            self.image_size = simplest(self.image_size)  # caches know a set by what is said of its images

    def check(self) -> None:
        """Raise UserError for an option out of range."""
        height_width(self.image_size, "data.image_size", least=1)
        _at_least(1, batch_size=self.batch_size)
        _at_least(0, num_workers=self.num_workers, num_classes=self.num_classes)
        if self.channels not in (1, 3):
            raise UserError(f"data.channels={self.channels} is not possible; take 1 (grey) or 3 (colour).")
        if self.on_device not in (True, False, "auto"):
            raise UserError(f"data.on_device={self.on_device} is not possible; take auto, true or false.")

    def load(self, split: str) -> Source:
        """Return `split`, downloaded if missing; UserError if that fails. Subclasses implement this."""
        raise NotImplementedError

    def load_others(self, split: str) -> dict[str, Source]:
        """Return further sources by name, such as a second domain; each has its own order.

        Their fields must have different names, see `Renamed`. The order depends on the source's name, so it must not
        change between runs.
        """
        return {}

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return (self.channels, *height_width(self.image_size))

    @property
    def num_images(self) -> int:
        """Number of images of the training split."""
        return len(self.source("train"))

    @property
    def fields(self) -> dict[str, Field]:
        """The fields of a training batch, by name."""
        return by_name(field for source in self.sources("train").values() for field in source.fields)

    def source(self, split: str) -> Source:
        """Return the first source of `split`, loaded once; UserError if there is no such split."""
        return self.sources(split)[""]

    def sources(self, split: str) -> dict[str, Source]:
        """Return the first source of `split`, called "", and the others by name, loaded once; see `source`."""
        if split not in self.splits:
            there_are = ", ".join(repr(name) for name in self.splits)
            raise UserError(f"data={self.name} has no split '{split}'; there are: {there_are}.")
        if split not in self._sources:
            found = {"": self._checked(self.load(split)), **self.load_others(split)}
            by_name(field for source in found.values() for field in source.fields)  # refuses equal names
            self._sources[split] = found
        return self._sources[split]

    def follow_classes(self, names: Sequence[str]) -> None:
        """Number the classes in the order of `names`, those of a run, where a data set has no fixed order of its own.

        Only if they are the same classes; a run that began with another order so goes on with it.
        """

    def reference(self, split: str = "train") -> Source:
        """Return `split` without augmentation in fixed order: a map-style data set of dicts `image`, `label`..."""
        return self.source(split)

    def fingerprint(self, split: str = "train") -> str:
        """Return 16 hex digits that change with the content or the transform of `split`; a key for caches."""
        return digest(self.name, split, self.image_shape, self.source(split).fingerprint)

    def described(self) -> dict[str, Any]:
        """Return what tells a resumed run whether this is still its data: sizes, order, classes, batch size."""
        sources = self.sources("train")
        return {
            "name": self.name,
            "class_names": self.class_names,
            "num_images": {name: len(source) for name, source in sources.items()},
            "order": digest(*(source.order for source in sources.values())),
            "batch_size": self.batch_size,
        }

    def prepare_data(self) -> None:
        """Load the training split in one process per machine, which downloads and decodes for all."""
        self.source("train")

    def setup(self, stage: str | None = None) -> None:
        """Load the training split; UserError if it is missing or smaller than a batch."""
        self.batches()

    def batches(self) -> GlobalBatches | JointBatches:
        """Return the order for this process; it continues at the module's `iteration`."""
        counts = {name: len(source) for name, source in self.sources("train").items()}
        rank, world = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        process = {"rank": rank, "world_size": world, "position": self._iteration, "place": self._place}
        return joint(counts, self.batch_size, self.seed, self.mirror, **process)

    def train_dataloader(self) -> Iterable[Batch]:
        """Return the loader for this process; its length is the number of batches in a whole epoch."""
        source, *others = self.sources("train").values()
        together = SideBySide([source, *others]) if others else source
        if together.nbytes is None:
            return FileLoader(together, self.batches(), self.num_workers, pin_memory=torch.cuda.is_available())
        return TensorLoader(together, self.batches(), self._device_for(together.nbytes))

    def _iteration(self) -> int:
        return int(getattr(self.trainer.lightning_module, "iteration", 0)) if self.trainer else 0

    def _place(self) -> Place:
        return getattr(self.trainer.lightning_module, "place", Place()) if self.trainer else Place()

    def _device_for(self, nbytes: int) -> torch.device:
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        fits = device.type != "cpu" and nbytes < DEVICE_LIMIT
        wanted = fits if self.on_device == "auto" else self.on_device
        return device if wanted else torch.device("cpu")

    def _checked(self, source: Source) -> Source:
        if self.num_classes == 0:
            source.labels = None
        elif source.labels is not None and len(source) and int(source.labels.max()) >= self.num_classes:
            found = int(source.labels.max()) + 1
            raise UserError(
                f"data={self.name} has {found} classes; set data.num_classes to that, not {self.num_classes}."
            )
        return source


@dataclass(kw_only=True, eq=False, repr=False)
class ResizedData(GANData):
    """Base class of data sets whose pictures are resized to `image_size`.

    fit: what happens to pictures of another shape: "crop" keeps the middle, "pad" keeps all, on black, and "stretch"
    changes the shape. A mask is 0 where it is padded, a label map of class 0.
    """

    fit: Fit = "crop"

    def check(self) -> None:
        """Raise UserError for an option out of range."""
        super().check()
        check_fit(self.fit)


def _at_least(least: int, **options: int) -> None:
    for name, value in options.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"data.{name}={value} is not possible; it is a whole number of at least {least}.")
