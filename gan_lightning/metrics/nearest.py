"""The training images that are nearest to the samples: does the generator copy its training data?"""

from __future__ import annotations

from typing import ClassVar

import torch
from PIL import Image
from torch import Tensor

from gan_lightning.errors import UserError, check_range
from gan_lightning.metrics import cache, reading
from gan_lightning.metrics.base import LOCAL, GeneratorMetric, Setting, Subject
from gan_lightning.metrics.distances import BLOCK, full_precision
from gan_lightning.paths import write_atomically
from gan_lightning.pixels import grid, to_uint8

BATCH = 256
SPARE = 8  # further candidates whose distances are computed exactly
AT_LEAST = 512  # pixels: small images are enlarged so that the picture is about this wide
FILE = "nearest_training_images.png"


class NearestTrainingImages(GeneratorMetric):
    """Distance of samples to the training images, in feature space, and a picture of the nearest ones.

    nearest_ratio: the mean distance of samples to the nearest training image, divided by the mean distance of training
    images to the nearest other one. 0 means copies; 1 means that samples are as far from the training images as these
    are from one another. `nearest_training_images.png` is written if there is a folder for pictures. Each row shows a
    sample and, after a gap, its nearest training images. The rows are the samples with the smallest distances, so
    copies appear here.

    samples: number of samples and of training images that are looked up. rows: of the picture. neighbours: in a row.
    """

    names: ClassVar[tuple[str, ...]] = ("nearest_ratio",)
    protocol: ClassVar[str] = ""
    marked: ClassVar[bool] = True

    def __init__(self, setting: Setting, samples: int = 1000, rows: int = 10, neighbours: int = 5) -> None:
        super().__init__(**LOCAL)
        check_range("metrics.nearest", 1, samples=samples, rows=rows, neighbours=neighbours)
        if len(setting.image_shape) != 3:
            raise UserError(f"metrics=[nearest] shows images, and data={setting.data} holds points: leave it out.")
        if setting.num_reals == 1:
            raise UserError(
                f"metrics=[nearest] compares training images with one another, and data={setting.data} has a single "
                "one: add images, or leave it out."
            )
        self.samples, self.rows, self.neighbours = samples, rows, neighbours
        self.add_state("ratio", torch.tensor(torch.nan, dtype=torch.float64), dist_reduce_fx=None)

    def update(self, subject: Subject) -> None:
        """Find the nearest training images of samples of `subject`, and write the picture."""
        images, features = _fakes(subject, min(self.samples, subject.num_fakes))
        reals = _reals(subject)
        distances, places = nearest(features, reals, min(self.neighbours, len(reals)))
        some = reading.some(subject.data, "train", self.samples, "nearest")
        apart = nearest(reals[some], reals, 2)[0][:, 1]  # the first is the image itself
        self.ratio = distances[:, 0].mean() / apart.mean()
        if subject.folder is not None:
            order = distances[:, 0].argsort(stable=True)[: self.rows]
            found = [batch["image"] for batch in reading.batches(subject.data, "train", places[order].flatten())]
            drawn = picture(images[order], torch.cat(found))
            write_atomically(subject.folder / FILE, lambda path: drawn.save(path))

    def compute(self) -> Tensor:
        """Return the ratio."""
        return self.ratio


def nearest(points: Tensor, others: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return distances, float64, and indices of the `count` others `(M, F)` nearest to each point `(N, F)`.

    Both are `(N, count)`, the nearest first.
    """
    centre, found = others.mean(dim=0), []
    for part in points.split(max(1, BLOCK // len(others))):
        with full_precision():
            about = torch.cdist(part - centre, others - centre)  # a matrix product: fast, with rounding errors
        places = about.topk(min(count + SPARE, len(others)), largest=False).indices
        distances = (part[:, None].double() - others[places].double()).norm(dim=2)
        order = distances.argsort(dim=1, stable=True)[:, :count]
        found.append((distances.gather(1, order), places.gather(1, order)))
    return torch.cat([one for one, _ in found]), torch.cat([one for _, one in found])


def picture(samples: Tensor, neighbours: Tensor) -> Image.Image:
    """Return a picture with a row for each sample `(N, C, H, W)`: it and its K neighbours, of `(N * K, C, H, W)`."""
    columns = len(neighbours) // len(samples)
    left, right = grid(samples, 1), grid(neighbours, columns)
    gap = left.width // 2
    whole = Image.new(right.mode, (left.width + gap + right.width, left.height), "white")
    whole.paste(left, (0, 0))
    whole.paste(right, (left.width + gap, 0))
    factor = max(1, round(AT_LEAST / whole.width))
    return whole.resize((whole.width * factor, whole.height * factor), Image.Resampling.NEAREST)


def _fakes(subject: Subject, count: int) -> tuple[Tensor, Tensor]:
    """Return samples, uint8 `(N, C, H, W)`, and their features `(N, F)`, on the CPU."""
    images = []
    for start in range(0, count, BATCH):
        made = subject.sample(start, min(start + BATCH, count))
        images.append((to_uint8(made) if made.is_floating_point() else made).cpu())
    return torch.cat(images), torch.cat([_features(subject, part) for part in images])


def _reals(subject: Subject) -> Tensor:
    """Return the features `(N, F)` of all training images, computed once and cached for all runs."""
    assert subject.extractor is not None
    path = cache.rows_place("features", subject.data.fingerprint("train"), subject.extractor.fingerprint)
    known = cache.read(path)
    if known is None:
        parts = [_features(subject, batch["image"]) for batch in reading.batches(subject.data, "train")]
        known = {"rows": torch.cat(parts)}
        cache.write(path, known)
    return known["rows"]


def _features(subject: Subject, images: Tensor) -> Tensor:
    assert subject.extractor is not None
    return subject.extractor(images)["features"].cpu()
