"""Measures one trained generator after another by one protocol: data, extractor and real statistics are had once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from gan_lightning.cli.objects import build
from gan_lightning.cli.saved import Saved
from gan_lightning.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from gan_lightning.evaluation.evaluator import Evaluator
    from gan_lightning.inference.load import LoadedGenerator

METRICS = {
    "fid": {"_target_": "gan_lightning.metrics.fid.FID", "_partial_": True},
    "is": {"_target_": "gan_lightning.metrics.inception_score.InceptionScore", "_partial_": True},
}
INCEPTION = {"_target_": "gan_lightning.metrics.inception.Inception"}


class Generators:
    """Measures checkpoints as `cfg` (conf/evaluate.yaml) says; what it leaves open, the first checkpoint decides.

    evaluator: that of the checkpoint measured last; loaded: its generator.
    """

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg
        self.trusted = [cfg.trusted] if isinstance(cfg.trusted, str) else list(cfg.trusted)
        self._first: Saved | None = None
        self._evaluators: dict[tuple[bool, ...], Evaluator] = {}

    def load(self, path: Path) -> LoadedGenerator:
        """Return the generator at `path`; UserError where it does not go with the data, or with the first one's."""
        from gan_lightning.inference.load import load

        loaded = load(path, self.trusted, self.cfg.raw, self.cfg.device)
        saved = Saved(loaded, self.trusted)
        if self._first is None:
            self._take(saved)
        else:
            self._check_data(saved)
        if tuple(self.data.image_shape) != loaded.image_shape:
            raise UserError(
                f"The generator in {loaded.path} makes images of shape {loaded.image_shape}, and data={self.data.name} "
                f"has {tuple(self.data.image_shape)}: set data.image_size and data.channels to fit, or choose its own "
                "data set."
            )
        self.loaded, self.evaluator = loaded, self._evaluator(loaded, saved)
        return loaded

    def measure(self, folder: Path | None) -> dict[str, float]:
        """Return the scores of the generator that was loaded last; `folder` is where metrics may leave pictures."""
        loaded, evaluator = self.loaded, self.evaluator

        def sample(start: int, stop: int, labels: Tensor | None = None) -> Tensor:
            return loaded.generate(start, stop, evaluator.seed, labels)

        return evaluator.evaluate(sample, folder, loaded.images_seen or 0)

    def published(self, scores: dict[str, float]) -> list[str]:
        """Return lines that hold `scores` against the published ones that the training had beside it."""
        from gan_lightning.evaluation.evaluation_callback import Published

        assert self._first is not None
        told = self._first.config.get("published")
        return Published(told).lines(scores, self.data.name) if told else []

    def _take(self, saved: Saved) -> None:
        """Take from the first checkpoint what was not asked for otherwise."""
        cfg, training = self.cfg, saved.part("evaluation") or {}
        self._first, self.data = saved, build(cfg.data) if cfg.data is not None else saved.data()
        metrics = cfg.metrics or saved.part("metrics") or METRICS
        self._metrics = {name: build(node) for name, node in metrics.items()}
        self._extractor = build((saved.part("extractor") or INCEPTION) if cfg.extractor is None else cfg.extractor)
        chosen = {key: _first(cfg[key], training.get(key)) for key in ("num_fakes", "split", "seed")}
        self._options = {
            "num_fakes": chosen["num_fakes"],
            "split": chosen["split"] or "train",
            "seed": chosen["seed"] or 0,
            "batch_size": cfg.batch_size,
            "raw": cfg.raw,
        }

    def _check_data(self, saved: Saved) -> None:
        assert self._first is not None
        node, first = saved.part("data"), self._first.part("data")
        if self.cfg.data is not None or node is None or node == first:
            return
        data, split = saved.data(), self._options["split"]
        if data.image_shape != self.data.image_shape or data.fingerprint(split) != self.data.fingerprint(split):
            what = f"on {data.name}, " if data.name != self.data.name else f"on other images of {data.name} "
            raise UserError(
                f"{saved.path} was trained {what}and {self._first.path} on {self.data.name}: one table compares scores "
                "on the same images; evaluate them apart, or choose data=... for all."
            )

    def _evaluator(self, loaded: LoadedGenerator, saved: Saved) -> Evaluator:
        """Return an evaluator that knows the generator, the same one for generators of the same kind."""
        from gan_lightning.evaluation.evaluator import Evaluator

        made = Evaluator(self._metrics, self.data, self._extractor, **self._options)
        judge = loaded.discriminator() if made.measures_generator else None
        kind = (saved.averaged, bool(loaded.num_classes), judge is not None)
        evaluator = self._evaluators.setdefault(kind, made)
        if not saved.averaged:
            evaluator.samples = "raw samples"
        evaluator.attach(loaded.network, judge)
        evaluator.prepare(loaded.device)
        return evaluator


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
