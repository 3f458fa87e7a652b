"""`gan_lightning.metrics.evaluate(real, fake, ["fid", "kid"])`: scores of images at hand, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from gan_lightning.errors import UserError
from gan_lightning.evaluation import named
from gan_lightning.evaluation.images import as_images, score
from gan_lightning.inference.load import choose_device
from gan_lightning.metrics.base import Extractor, MetricFactory, metric_class

Images = str | Path | Tensor | Any


def evaluate(
    real: Images,
    fake: Images,
    metrics: str | Sequence[str | MetricFactory] | Mapping[str, MetricFactory] = ("fid",),
    extractor: str | Extractor = "inception",
    *,
    split: str = "train",
    image_size: int | None = None,
    batch_size: int = 256,
    num_workers: int = 0,
    device: str | torch.device = "auto",
) -> dict[str, float]:
    """Return the scores of `fake` images against `real` ones by their full names, such as "fid5000".

    real, fake: a folder of images, a uint8 tensor `(N, C, H, W)`, or a data module, of which the `split` is taken.
    metrics: names as in conf/metrics, `metrics="full"` among them, or metrics of your own: a class that is built from a
    `gan_lightning.metrics.base.Setting`, or a functools.partial of one with options.
    extractor: a name as in conf/extractor, or an Extractor such as `Inception(weights="FILE")`.
    image_size: crops and resizes the images of folders to this square; None keeps their size.
    device: where the extractor runs; "auto" is the fastest there is.

    Statistics of the real images are cached, the extractor sees every image once, and the global random state is not
    touched. Raises UserError for what cannot be measured.
    """
    real, fake = (as_images(images, name, image_size, num_workers) for images, name in ((real, "real"), (fake, "fake")))
    chosen = named.extractor(extractor) if isinstance(extractor, str) else extractor
    place = choose_device(device)
    return score(real, fake, _chosen(metrics), chosen, split=split, batch_size=batch_size, device=place)[0]


def _chosen(metrics: Any) -> dict[str, Any]:
    if isinstance(metrics, str):
        return named.metrics(metrics)
    found: dict[str, Any] = {}
    for entry in metrics.items() if isinstance(metrics, Mapping) else metrics:
        if isinstance(entry, str):
            found |= named.metrics(entry)
        else:
            name, factory = entry if isinstance(entry, tuple) else (None, entry)
            _check(factory)
            found[name or metric_class(factory).names[0]] = factory
    if not found:
        raise UserError('There is no metric to measure: name one at least, such as ["fid"].')
    return found


def _check(factory: Any) -> None:
    if isinstance(factory, Metric) or not hasattr(metric_class(factory), "names"):
        raise UserError(
            f"{factory!r} is no metric that can be built: give a name such as 'fid', a class such as "
            "gan_lightning.metrics.kid.KID, or functools.partial(KID, subsets=10)."
        )
