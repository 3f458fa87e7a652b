"""Plain sets of images, a folder or a tensor, in the place of a data module; and one scored against another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan_lightning.data.images import ENDINGS, SquareImage, eight_bit, unreadable
from gan_lightning.data.sources import FileImages, Source, TensorImages, digest
from gan_lightning.errors import UserError
from gan_lightning.evaluation.blocks import shares
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.evaluation.reals import batches
from gan_lightning.metrics.base import Extractor, MetricFactory


@dataclass
class ImageSet:
    """Images without classes or splits, with what the evaluator asks of a data module."""

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
        return digest("images", self.image_shape, self.source.fingerprint)


@dataclass(frozen=True)
class NativeImage:
    """Read a file as uint8 RGB `(3, height, width)`, as it is; UserError if it has another size."""

    height: int
    width: int

    def __call__(self, path: Path) -> Tensor:
        """Return the tensor of a file; UserError names one that cannot be read."""
        try:
            with Image.open(path) as image:
                pixels = np.array(eight_bit(image, channels=3))
        except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error...
            raise unreadable(path, error) from error
        return torch.from_numpy(pixels).permute(2, 0, 1)


def from_folder(folder: Path | str, image_size: int | None = None, num_workers: int = 0) -> ImageSet:
    """Return all images under `folder`, in the order of their names.

    image_size: None keeps their size, which must be one and the same; a number crops and resizes them to that square.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise UserError(f"There is no folder {root}: give two folders of images, real=FOLDER fake=FOLDER.")
    names = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
    if not names:
        raise UserError(f"There are no images under {root}: looked for {', '.join(ENDINGS)}.")
    height, width = (image_size, image_size) if image_size else _one_size(root, names)
    transform = SquareImage(image_size, channels=3) if image_size else NativeImage(height, width)
    return ImageSet(root.name, FileImages(root, names, None, transform), (3, height, width), num_workers)


def from_tensor(images: Tensor, name: str = "images") -> ImageSet:
    """Return uint8 images `(N, C, H, W)` as a set."""
    if images.dtype != torch.uint8 or images.dim() != 4:
        raise UserError(
            f"Images are a uint8 tensor (N, C, H, W), and {name} is {images.dtype} of shape {tuple(images.shape)}."
        )
    return ImageSet(name, TensorImages(images), tuple(images.shape[1:]))


def score(
    real: Any,
    fake: ImageSet | Tensor,
    metrics: Mapping[str, MetricFactory],
    extractor: Extractor,
    *,
    batch_size: int = 256,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, float], Evaluator]:
    """Score `fake` against `real`; return the scores and the evaluator, which tells protocol and floor.

    real: an ImageSet, uint8 images `(N, C, H, W)`, or a data module (its training split). fake: an ImageSet or images.
    """
    real = from_tensor(real, "real") if isinstance(real, Tensor) else real
    fake = from_tensor(fake, "fake") if isinstance(fake, Tensor) else fake
    evaluator = Evaluator(metrics, real, extractor, num_fakes=len(fake.source), batch_size=batch_size)
    evaluator.samples, evaluator.given = f"images of {fake.name}", True
    if isinstance(real, ImageSet):
        evaluator.reals = f"images of {real.name}"
    evaluator.prepare(device)
    images = batches(fake, "train", [share for _, share in shares(len(fake.source), batch_size)])
    return evaluator.evaluate(lambda start, stop: next(images)[0]), evaluator


def _one_size(root: Path, names: list[str]) -> tuple[int, int]:
    """Return (height, width) of all the files, read from their headers."""
    first = _size(root / names[0])
    for name in names[1:]:
        size = _size(root / name)
        if size != first:
            raise UserError(
                f"The images under {root} differ in size ({names[0]} is {first[1]}x{first[0]}, {name} is "
                f"{size[1]}x{size[0]}): say image_size=N to crop and resize them to N x N."
            )
    return first


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception as error:  # as above
        raise unreadable(path, error) from error
