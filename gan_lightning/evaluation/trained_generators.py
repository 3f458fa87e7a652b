"""Scores of several trained generators with one protocol; data, extractor and real statistics are loaded once."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluation_callback import Published
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.evaluation.selection import built
from gan_lightning.evaluation.statistics import NoImages, Statistics
from gan_lightning.inference.load import LoadedGenerator, load
from gan_lightning.inference.read import GENERATOR
from gan_lightning.metrics.base import Extractor, MetricFactory
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.inception import Inception
from gan_lightning.metrics.inception_score import InceptionScore
from gan_lightning.metrics.preset import Preset
from gan_lightning.networks.registry import Factory

METRICS: dict[str, MetricFactory] = {"fid": FID, "is": InceptionScore}  # if neither caller nor checkpoint names metrics


class TrainedGenerators:
    """Measures checkpoints. Arguments that are None come from the training configuration of the first checkpoint.

    metrics, data, extractor, num_fakes, split, seed, batch_size, raw: see Evaluator.
    trusted, device, network: see inference.load; a checkpoint's configuration may also contain trusted names.
    statistics: precomputed ones that stand for the real images; only the FID is measured.

        generators = TrainedGenerators(num_fakes=10_000)
        generators.load("outputs/RUN")
        scores = generators.measure()

    loaded: the generator that was loaded last. evaluator: its Evaluator.
    """

    loaded: LoadedGenerator
    evaluator: Evaluator

    def __init__(
        self,
        metrics: Mapping[str, MetricFactory | Preset] | None = None,
        data: Any = None,
        extractor: Extractor | None = None,
        *,
        num_fakes: int | None = None,
        split: str | None = None,
        seed: int | None = None,
        batch_size: int = 256,
        raw: bool = False,
        trusted: Iterable[Factory | str] = (),
        device: str | torch.device = "cpu",
        network: str = GENERATOR,
        statistics: Statistics | None = None,
    ) -> None:
        self._metrics, self._data, self._extractor, self.statistics = metrics, data, extractor, statistics
        self._chosen = {"num_fakes": num_fakes, "split": split, "seed": seed}
        self._options: dict[str, Any] = {"batch_size": batch_size, "raw": raw}
        self.raw, self.trusted, self.device, self.network = raw, list(trusted), device, network
        self._first: Saved | None = None
        self._evaluators: dict[tuple[bool, ...], Evaluator] = {}

    def load(self, path: Path | str) -> LoadedGenerator:
        """Return the generator at `path`; UserError if it does not fit the data, or the first one."""
        loaded = load(path, self.trusted, self.raw, self.device, self.network)
        saved = Saved(loaded, self.trusted)
        if self._first is None:
            self._take(saved, loaded)
        else:
            self._check_data(saved)
        self._check_classes(loaded)
        if tuple(self.data.image_shape) != loaded.image_shape:
            raise UserError(
                f"The generator in {loaded.path} makes images of shape {loaded.image_shape}, and data={self.data.name} "
                f"has {tuple(self.data.image_shape)}: set data.image_size and data.channels to fit, or choose its own "
                "data set."
            )
        self.loaded, self.evaluator = loaded, self._evaluator(loaded)
        self._warn_of_classes(loaded)
        return loaded

    def measure(self, folder: Path | None = None) -> dict[str, float]:
        """Return the scores of the generator that was loaded last; metrics may write pictures to `folder`."""
        producer = self.evaluator.producer
        assert producer is not None
        return self.evaluator.evaluate(producer, folder, self.loaded.images_seen or 0)

    def published(self, scores: dict[str, float]) -> list[str]:
        """Return lines that compare `scores` with the published ones in the training's configuration."""
        assert self._first is not None
        told = self._first.config.get("published")
        return Published(told).lines(scores, self.data.name) if told else []

    def _take(self, saved: Saved, loaded: LoadedGenerator) -> None:
        """Take arguments that were not given from the first checkpoint."""
        training = saved.part("evaluation") or {}
        nameless = self.statistics is not None and saved.part("data") is None
        self._first, self.data = saved, self._data
        if self.data is None:
            self.data = NoImages(loaded.image_shape, loaded.num_classes) if nameless else saved.data()
        self._classes = loaded.class_names
        if self._classes and hasattr(self.data, "follow_classes"):  # so that a class is the same on both sides
            self.data.follow_classes(self._classes)
        own = {"fid": FID} if self.statistics is not None else saved.build("metrics") or METRICS
        self._metrics = self._metrics or own
        self._extractor = self._extractor or saved.build("extractor") or Inception()
        chosen = {key: training.get(key) if value is None else value for key, value in self._chosen.items()}
        self._options |= {"num_fakes": chosen["num_fakes"]}
        self._options |= {"split": chosen["split"] or "train", "seed": chosen["seed"] or 0}

    def _check_data(self, saved: Saved) -> None:
        assert self._first is not None
        node, first = saved.part("data"), self._first.part("data")
        if self._data is not None or node is None or node == first:
            return
        data, split = saved.data(), self._options["split"]
        if data.image_shape != self.data.image_shape or data.fingerprint(split) != self.data.fingerprint(split):
            what = f"on {data.name}, " if data.name != self.data.name else f"on other images of {data.name} "
            raise UserError(
                f"{saved.path} was trained {what}and {self._first.path} on {self.data.name}: one table compares scores "
                "on the same images; evaluate them apart, or choose data=... for all."
            )

    def _check_classes(self, loaded: LoadedGenerator) -> None:
        """Refuse a generator whose classes are the data's in another order, so that a class would be another one."""
        there, made = getattr(self.data, "class_names", None) or self._classes, loaded.class_names
        if there and made and sorted(there) == sorted(made) and list(there) != list(made):
            raise UserError(
                f"The generator in {loaded.path} numbers the same classes in another order than the first one: "
                "evaluate them apart."
            )

    def _warn_of_classes(self, loaded: LoadedGenerator) -> None:
        """Warn of data with other classes, once they are known: scores by class have no meaning then, the FID has."""
        there, made = getattr(self.data, "class_names", None), loaded.class_names
        if there and made and list(there) != list(made):
            only = ", ".join(sorted(set(made) ^ set(there))[:5])
            warnings.warn(
                f"the generator in {loaded.path} was trained with other classes than data={self.data.name} has (on one "
                f"side alone: {only}): scores by class compare different classes.",
                stacklevel=2,
            )

    def _evaluator(self, loaded: LoadedGenerator) -> Evaluator:
        """Return the evaluator for the generator; generators of the same kind share one."""
        assert self._metrics is not None
        made = Evaluator(self._metrics, self.data, self._extractor, **self._options)
        if self.statistics is not None:
            made.compare_with(self.statistics)
        judge = loaded.discriminator() if made.selection.measures_generator else None
        kind = (loaded.averaged, bool(loaded.num_classes), judge is not None)
        evaluator = self._evaluators.setdefault(kind, made)
        evaluator.attach(loaded.producer(evaluator.seed), judge)
        evaluator.prepare(loaded.device)
        return evaluator


class Saved:
    """The configuration in a checkpoint. It is untrusted, so only classes that our groups name are built from it."""

    def __init__(self, loaded: LoadedGenerator, trusted: Iterable[Factory | str]) -> None:
        self.path, self.config = loaded.path, loaded.config or {}
        self.trusted = {one for one in trusted if isinstance(one, str)}

    def part(self, group: str) -> dict[str, Any] | None:
        """Return a node of the configuration; UserError if it names a foreign class."""
        node = self.config.get(group)
        for name in sorted(_targets(node) - _named(group) - self.trusted):
            raise UserError(
                f"{self.path} asks for {name}, which is not one of gan_lightning's: if you trust it, add "
                f"trusted=[{name}], or choose {group}=... yourself."
            )
        return node

    def build(self, group: str) -> Any:
        """Return the object that a node describes; UserError if a class refuses its arguments."""
        try:
            return built(self.part(group))
        except UserError:
            raise
        except Exception as error:  # untrusted data: a constructor may raise anything
            reason = str(error).partition("\n")[0].rstrip(".")
            raise UserError(
                f"The {group} that {self.path} tells of cannot be built ({type(error).__name__}: {reason}): choose "
                f"{group}=... yourself."
            ) from error

    def data(self) -> Any:
        """Return the data set of the training."""
        if self.part("data") is None:
            raise UserError(f"{self.path} does not say what it was trained on: choose the data set by data=...")
        return self.build("data")


def _named(group: str) -> set[str]:
    """Return every class that our files of a group name."""
    folder = files("gan_lightning.conf") / group
    if not folder.is_dir():
        return set()
    nodes = [OmegaConf.create(file.read_text()) for file in folder.iterdir() if file.name.endswith(".yaml")]
    return set().union(*[_targets(OmegaConf.to_container(node)) for node in nodes])


def _targets(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {str(node["_target_"])} if "_target_" in node else set()
        return own.union(*map(_targets, node.values()))
    return set().union(*map(_targets, node)) if isinstance(node, list) else set()
