"""Precomputed statistics: mean and covariance of real images' features in a file, which the FID compares samples with.

Read are `mu` and `sigma` of an .npz (pytorch-fid, clean-fid, EDM) and of torch-fidelity's .pt. What we write is such an
.npz, with further arrays that say how many images were measured, and by what.
"""

from __future__ import annotations

import pickle
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from gan_lightning import __version__
from gan_lightning.errors import UserError
from gan_lightning.evaluation.reference import Reference
from gan_lightning.evaluation.sample_rows import bar, summing_place
from gan_lightning.evaluation.selection import setting_of
from gan_lightning.metrics.base import Extractor, SampleMetric, set_state
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.frechet import factor
from gan_lightning.paths import write_atomically

ENDINGS = (".npz", ".pt")
ORIGIN = (
    "extractor",
    "fingerprint",
    "resize",
)  # further arrays of the files that we write, beside the number of images
ASYMMETRY, NEGATIVE = 1e-4, 1e-3  # allowed parts of the covariance: files may have been rounded to float32
READING = (OSError, ValueError, EOFError, KeyError, RuntimeError, BadZipFile, pickle.UnpicklingError)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean `(F,)` and covariance `(F, F)` of real images' features, float64, from the file `path`.

    count: number of images, 0 if the file does not say. extractor, fingerprint: the extractor's name and identity,
    which contains its weights and its resizing; "" if the file does not say, and scores are then marked [unverified].
    """

    path: Path
    mean: Tensor
    covariance: Tensor
    count: int = 0
    extractor: str = ""
    fingerprint: str = ""
    resize: str = ""

    @cached_property
    def factor(self) -> Tensor:
        """Return A `(F, rank)` with A A^T = covariance; UserError if there is none."""
        found = factor(self.covariance)
        if abs(found.square().sum() - self.covariance.trace()) > NEGATIVE * self.covariance.trace().abs():
            raise UserError(
                f"{self.path}: sigma is no covariance, as it has negative eigenvalues: measure the images again by "
                "save_stats."
            )
        return found

    def check(self, extractor: Extractor) -> None:
        """Raise UserError if the features of `extractor` are others than those in the file, as far as can be known."""
        if len(self.mean) != extractor.feature_dim:
            raise UserError(
                f"{self.path} has statistics of {len(self.mean):,} features, and extractor={extractor.name} has "
                f"{extractor.feature_dim:,}: choose the extractor of which they are; those of Inception are 2,048."
            )
        known = getattr(extractor, "fingerprint", "")  # after `prepare`
        if self.fingerprint and known and self.fingerprint != known:
            raise UserError(
                f"{self.path} was measured by {self.extractor} ({self.fingerprint}), and samples would be by "
                f"{extractor.name} ({known}): choose the same extractor and weights."
            )

    def suffix(self, extractor: Extractor) -> str:
        """Return the suffix of scores: that of the extractor, marked as unverified if the file does not say its own."""
        if self.fingerprint or "unverified" in extractor.suffix:
            return extractor.suffix
        return f"{extractor.suffix[:-1]}-unverified]" if extractor.suffix else "[unverified]"


class KnownReference:
    """Statistics in the place of an evaluation's Reference: they have no rows and no floor.

    metrics: names of the metrics. device: of the extractor.
    """

    def __init__(self, statistics: Statistics, metrics: Mapping[str, Any], device: torch.device) -> None:
        self.metrics, self.floors = dict(metrics), dict[str, dict[str, float]]()
        there = summing_place(device)
        moved = Statistics(statistics.path, statistics.mean, statistics.covariance.to(there))
        count = torch.tensor(float(statistics.count), dtype=torch.float64)
        self._state = {"real_count": count, "real_mean": statistics.mean, "real_factor": moved.factor.cpu()}

    def load(self, metric: SampleMetric, name: str) -> None:
        """Set the state of the real images in `metric`."""
        metric.real_rows = {}
        set_state(metric, self._state)


@dataclass(frozen=True)
class NoImages:
    """Stands in for the data set of a generator whose file does not name one: only its images' shape is known."""

    image_shape: tuple[int, ...]
    num_classes: int
    name: str = "no data"


def is_statistics(images: Any) -> TypeGuard[str | Path]:
    """Return whether `images` is the path of a file of statistics, by its ending."""
    path = Path(images).expanduser() if isinstance(images, str | Path) else None
    return path is not None and path.suffix.lower() in ENDINGS and not path.is_dir()


def read_statistics(path: Path | str) -> Statistics:
    """Return the statistics in a file; nothing in it is executed. Raises UserError for a file that has none."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"There is no file {path}: give statistics (.npz, .pt), or a folder of images.")
    try:
        found = _read_npz(path) if path.suffix.lower() == ".npz" else _read_pt(path)
    except READING as error:
        raise UserError(
            f"{path} cannot be read as statistics ({type(error).__name__}): it is damaged, or holds more than arrays."
        ) from error
    mean, covariance = (_array(path, found, name) for name in ("mu", "sigma"))
    _check_shapes(path, mean, covariance)
    count = str(found.get("num_images", 0))
    told = {name: str(found.get(name, "")) for name in ORIGIN}
    return Statistics(path, mean, _symmetric(path, covariance), int(count) if count.isdecimal() else 0, **told)


def check_target(path: Path | str) -> Path:
    """Return the path of an .npz to write; UserError if it has another ending, or its folder cannot be written."""
    path = Path(path).expanduser()
    if path.suffix.lower() != ".npz" or path.is_dir():
        raise UserError(f"save_stats={path} is no file of statistics: give one that ends in .npz.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise UserError(f"save_stats={path} cannot be written ({error.strerror}): choose another folder.") from error


def measure_statistics(
    real: Any, extractor: Extractor, path: Path, *, split: str = "train", batch_size: int = 256, device: Any = "cpu"
) -> Statistics:
    """Return the statistics of a set of images with the interface of a data module, such as an ImageSet.

    They are those with which an Evaluator compares samples, to the last digit. path: where they will be written.
    """
    extractor.check(real)
    extractor.prepare(real, device)
    setting = setting_of(real, extractor, None, None, (len(real.reference(split)), 0), ("images",))
    place = torch.device(device)
    with bar() as advance:
        rows = Reference({"fid": FID}, setting, real, split, extractor, batch_size, place, advance).features()
    metric = FID(setting).to(summing_place(place))
    for doubt in metric.doubts():
        warnings.warn(doubt, stacklevel=2)
    for part in rows.split(batch_size):
        metric.update(part.to(summing_place(place)), real=True)
    covariance = metric.scatter / (metric.real_count - 1)
    identity = {"extractor": extractor.name, "fingerprint": extractor.fingerprint, "resize": extractor.resize}
    return Statistics(path, metric.real_mean.cpu(), covariance.cpu(), len(rows), **identity)


def write_statistics(statistics: Statistics) -> Path:
    """Write `mu`, `sigma` and where they come from to the .npz `statistics.path`; return it."""
    told: dict[str, Any] = {name: np.array(getattr(statistics, name)) for name in ORIGIN}
    told |= {"num_images": np.array(statistics.count), "gan_lightning": np.array(__version__)}
    mean, covariance = statistics.mean.numpy(), statistics.covariance.numpy()
    return write_atomically(statistics.path, lambda to: np.savez(to, mu=mean, sigma=covariance, **told))


def _read_npz(path: Path) -> dict[str, Any]:
    file = np.load(path, allow_pickle=False)
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError("a single array")
    with file:
        return {name: file[name] for name in ("mu", "sigma", "num_images", *ORIGIN) if name in file}


def _read_pt(path: Path) -> dict[str, Any]:
    with _numpy_allowed():
        found = torch.load(path, map_location="cpu", weights_only=True)
    return {name: found[name] for name in ("mu", "sigma") if name in found} if isinstance(found, dict) else {}


def _numpy_allowed() -> AbstractContextManager[None]:
    """Let torch.load read arrays of numbers, under the names of NumPy 1 and 2; their pickles run no foreign code."""
    from numpy._core import multiarray

    build = multiarray._reconstruct
    kinds = [type(np.dtype(kind)) for kind in (np.float32, np.float64)]
    names = [(build, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    return torch.serialization.safe_globals([*names, np.ndarray, np.dtype, *kinds])  # type: ignore[list-item]


def _array(path: Path, found: Mapping[str, Any], name: str) -> Tensor:
    """Return the array `name` as float64; UserError if it is none of finite numbers."""
    value = found.get(name)
    if value is None:
        raise UserError(
            f"{path} has no {name}: statistics are the mean mu and the covariance sigma, as pytorch-fid, clean-fid and "
            "torch-fidelity write them."
        )
    numbers = value.double().numpy() if isinstance(value, Tensor) else np.asarray(value)
    tensor = torch.from_numpy(numbers.astype(np.float64)) if numbers.dtype.kind == "f" else torch.tensor(torch.nan)
    if not tensor.isfinite().all():
        raise UserError(f"{path}: {name} does not hold finite numbers: it is damaged; measure the images again.")
    return tensor


def _check_shapes(path: Path, mean: Tensor, covariance: Tensor) -> None:
    if mean.dim() != 1 or tuple(covariance.shape) != (len(mean), len(mean)):
        raise UserError(
            f"{path}: mu of shape {tuple(mean.shape)} and sigma of shape {tuple(covariance.shape)} are no mean (F,) "
            "and covariance (F, F) of features."
        )


def _symmetric(path: Path, covariance: Tensor) -> Tensor:
    """Return the covariance, symmetric to the last digit."""
    if (covariance - covariance.T).abs().max() > ASYMMETRY * covariance.abs().max():
        raise UserError(f"{path}: sigma is not symmetric, so it is no covariance: measure the images again.")
    return (covariance + covariance.T) / 2
