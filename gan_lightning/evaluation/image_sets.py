"""`gan_lightning.metrics.evaluate(real, fake, ["fid", "kid"])`: scores of given images, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchmetrics import Metric

from gan_lightning.data.download import say
from gan_lightning.data.image_data import LATER, Described, SquareImage, decoded, upright
from gan_lightning.data.listing import Listing, Place, Root, listed
from gan_lightning.data.names import endings
from gan_lightning.data.sources import FileImages, Source, TensorImages, digest
from gan_lightning.data.trial import check_once, refuse
from gan_lightning.data.white import settled
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.evaluation.reference import batches
from gan_lightning.evaluation.sample_rows import shares
from gan_lightning.evaluation.selection import extractor_named, metrics_named
from gan_lightning.evaluation.statistics import Statistics, is_statistics, read_statistics
from gan_lightning.inference.load import choose_device
from gan_lightning.inference.producers import Producer, Rows
from gan_lightning.metrics.base import Extractor, MetricFactory, metric_class
from gan_lightning.metrics.preset import Preset
from gan_lightning.sizes import Size, height_width

Images = str | Path | Tensor | Any


def evaluate(
    real: Images,
    fake: Images,
    metrics: str | Sequence[str | MetricFactory] | Mapping[str, MetricFactory] = ("fid",),
    extractor: str | Extractor = "inception",
    *,
    split: str = "train",
    image_size: Size | None = None,
    white: float | None = None,
    batch_size: int = 256,
    num_workers: int = 0,
    device: str | torch.device = "auto",
) -> dict[str, float]:
    """Return the scores of `fake` images against `real` ones by their full names, such as "fid5000".

    real, fake: a folder of images, a zip or tar file of them, a uint8 tensor `(N, C, H, W)`, or a data module, whose
    `split` is used. real may also be a file of precomputed statistics, for the FID alone, see `evaluation.statistics`.
    metrics: names as in conf/metrics, also "full", or your own metrics: a class that is built from a
    `gan_lightning.metrics.base.Setting`, or a functools.partial of it with options.
    extractor: a name as in conf/extractor, or an Extractor such as `Inception(weights="FILE")`.
    image_size: crops and resizes the images of folders to this square, or (height, width); None keeps their size.
    white: the value that becomes white in files of more than 8 bits; None finds it out for each folder.
    device: of the extractor; "auto" is the fastest available one.

    Statistics of the real images are cached, the extractor processes every image once, and the global random state does
    not change. Raises UserError for metrics that cannot be measured.
    """
    fake = as_images(fake, "fake", image_size, num_workers, white)
    real = read_statistics(real) if is_statistics(real) else as_images(real, "real", image_size, num_workers, white)
    chosen = extractor_named(extractor) if isinstance(extractor, str) else extractor
    place = choose_device(device)
    return score(real, fake, _chosen(metrics), chosen, split=split, batch_size=batch_size, device=place)[0]


def _chosen(metrics: Any) -> dict[str, Any]:
    if isinstance(metrics, str):
        return metrics_named(metrics)
    found: dict[str, Any] = {}
    for entry in metrics.items() if isinstance(metrics, Mapping) else metrics:
        if isinstance(entry, str):
            found |= metrics_named(entry)
        else:
            name, factory = entry if isinstance(entry, tuple) else (None, entry)
            _check_metric(factory)
            found[name or metric_class(factory).names[0]] = factory
    if not found:
        raise UserError('There is no metric to measure: name one at least, such as ["fid"].')
    return found


def _check_metric(factory: Any) -> None:
    if isinstance(factory, Metric) or not hasattr(metric_class(factory), "names"):
        raise UserError(
            f"{factory!r} is no metric that can be built: give a name such as 'fid', a class such as "
            "gan_lightning.metrics.kid.KID, or functools.partial(KID, subsets=10)."
        )


@dataclass
class ImageSet:
    """Images without classes or splits, with the interface of a data module that the evaluator needs."""

    name: str
    source: Source
    image_shape: tuple[int, ...]
    num_workers: int = 0
    num_classes: int = field(default=0, init=False)

    def reference(self, split: str) -> Source:
        """Return the images."""
        return self.source

    def fingerprint(self, split: str) -> str:
        """Return a hash of the content and of the transform."""
        return digest("upright images", self.image_shape, self.source.fingerprint)


@dataclass(frozen=True, repr=False)
class NativeImage(Described):
    """Read a file as uint8 RGB `(3, height, width)`, upright and without resizing; see SquareImage for `white`."""

    white: float | None = field(default=None, metadata=LATER)

    def __call__(self, path: Place) -> Tensor:
        """Return the tensor of a file; UserError names one that cannot be read."""
        return decoded(path, self.convert)

    def convert(self, image: Image.Image) -> Tensor:
        """Return the tensor of an image opened by Pillow."""
        return torch.from_numpy(np.array(upright(image, 3, self.white))).permute(2, 0, 1)


def from_folder(
    folder: Path | str, image_size: Size | None = None, num_workers: int = 0, white: float | None = None
) -> ImageSet:
    """Return all images in a folder or archive, in the order of their names; listed and decoded as for training.

    image_size: None keeps their size, which must be the same for all; else they are cropped and resized to this
    square, or (height, width).
    white: the value that becomes white in files of more than 8 bits, see SquareImage; None finds it out.
    """
    there = _listed(folder)
    if image_size is not None:
        height_width(image_size, "image_size", least=1)
    transform = NativeImage(white) if image_size is None else SquareImage(image_size, 3, white=white)
    files = settled(FileImages(there.root, there.names, None, transform), there.root.name, "white")
    key = digest("tried", files.content)
    trial = check_once(files, key, keep=False)
    if trial.bad:
        refuse(trial.bad, len(files), key)
    return ImageSet(there.root.name, files, _one_shape(there.root, trial.shapes), num_workers)


def _listed(folder: Path | str) -> Listing:
    if not Path(folder).expanduser().exists():
        raise UserError(f"There is no folder {folder}: give two folders of images, real=FOLDER fake=FOLDER.")
    there = listed(folder, "real=FOLDER fake=FOLDER: ")
    there.check_closed()
    if not there.names:
        raise UserError(f"There are no images under {there.root}: looked for {', '.join(endings())}.")
    say(there.line(there.root.name))
    return there


def _one_shape(root: Root, shapes: list[tuple[str, list[int]]]) -> tuple[int, ...]:
    """Return the shape (C, H, W) of all images, turned upright."""
    if len(shapes) > 1:
        (first, (_, height, width)), (name, (_, other_height, other_width)) = shapes
        raise UserError(
            f"The images under {root} differ in size ({first} is {width}x{height}, {name} is "
            f"{other_width}x{other_height}): say image_size=N to crop and resize them to N x N."
        )
    return tuple(shapes[0][1])


def from_tensor(images: Tensor, name: str = "images") -> ImageSet:
    """Return uint8 images `(N, C, H, W)` as a set."""
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise UserError(
            f"Images are a uint8 tensor (N, C, H, W), and {name} is {images.dtype} of shape {tuple(images.shape)}."
        )
    return ImageSet(name, TensorImages(images), tuple(images.shape[1:]))


def as_images(
    images: Any, name: str, image_size: Size | None = None, num_workers: int = 0, white: float | None = None
) -> Any:
    """Return a folder or archive (its path), a uint8 tensor `(N, C, H, W)`, or a data module, as a set of images.

    name: for a tensor. image_size, num_workers, white: for a folder, see `from_folder`.
    """
    if isinstance(images, str | Path):
        return from_folder(images, image_size, num_workers, white)
    if isinstance(images, Tensor):
        return from_tensor(images, name)
    if not (hasattr(images, "reference") and hasattr(images, "image_shape")):
        raise UserError(
            f"Images are a folder, a uint8 tensor (N, C, H, W), or a data module, and {name} is a "
            f"{type(images).__name__}."
        )
    return images


def score(
    real: Any,
    fake: Any,
    metrics: Mapping[str, MetricFactory | Preset],
    extractor: Extractor,
    *,
    split: str = "train",
    batch_size: int = 256,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, float], Evaluator]:
    """Score `fake` against `real`; return the scores and the evaluator, which has protocol and floor.

    real, fake: a folder, uint8 images `(N, C, H, W)`, an ImageSet, or a data module, whose `split` is used. real may be
        Statistics.
    """
    known, fake = real if isinstance(real, Statistics) else None, as_images(fake, "fake")
    real, given = fake if known else as_images(real, "real"), Given(fake, split, batch_size)
    _check(real, len(real.reference(split)), fake, given.count)
    evaluator = Evaluator(metrics, real, extractor, num_fakes=given.count, split=split, batch_size=batch_size)
    evaluator.samples, evaluator.given = f"images of {fake.name}", True
    if known:
        evaluator.compare_with(known)
    elif isinstance(real, ImageSet):
        evaluator.reals = f"images of {real.name}"
    evaluator.attach(given)
    evaluator.prepare(device)
    return evaluator.evaluate(given), evaluator


class Given(Producer):
    """Given images instead of a generator's: (start, stop) -> the images with these indices.

    They are read in advance in the order in which an evaluator needs them; others are read on demand.
    """

    def __init__(self, images: Any, split: str, batch_size: int) -> None:
        self.images, self.split = images, split
        self.count: int = len(images.reference(split))
        parts = [share for _, share in shares(self.count, batch_size) if share]
        self._expected = iter([(share.start, share.stop) for share in parts])
        self._ahead = batches(images, split, parts) if parts else iter(())
        self._next = next(self._expected, None)

    @property
    def fields(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of an image."""
        return {"images": tuple(self.images.image_shape)}

    def __call__(self, start: int, stop: int, labels: Tensor | None = None) -> Rows:
        """Return images number [start, stop), `(stop - start, C, H, W)`; classes cannot be requested."""
        if (start, stop) != self._next:
            return {"images": next(batches(self.images, self.split, [range(start, stop)]))[0]}
        self._next = next(self._expected, None)
        return {"images": next(self._ahead)[0]}


def _check(real: Any, reals: int, fake: Any, fakes: int) -> None:
    for images, count in ((real, reals), (fake, fakes)):
        if count < 2:
            things = "1 image" if count else "no image"
            raise UserError(f"There is {things} in {images.name}, and scores need at least 2: add images.")
    if tuple(real.image_shape) != tuple(fake.image_shape):
        raise UserError(
            f"The images of {fake.name} have the shape {tuple(fake.image_shape)} and those of {real.name} "
            f"{tuple(real.image_shape)}: bring them to one, folders by image_size=N or [height,width]."
        )
