"""Evaluates during training, every few epochs or images, and compares the scores with published ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from gan_lightning.callbacks.base import Callback
from gan_lightning.callbacks.every import EveryKimg
from gan_lightning.errors import UserError, suggest
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.evaluation.protocol import describe, number
from gan_lightning.hooks import call
from gan_lightning.inference.producers import chosen
from gan_lightning.scores import LOWER_IS_BETTER, Name, better, kind, parse

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game


class EvaluationCallback(Callback):
    """Score the module's samples, tell loggers and callbacks, and print a line that names the protocol.

    every_epochs: epochs between two evaluations; None: not by epochs.
    every_kimg: thousand images between two evaluations; if given, it replaces every_epochs. The last state of a run is
        always evaluated.

    producer: name of the game's producer that is evaluated; None: the first.

    It sets `module.scores`, `module.best` and `module.protocol`. Ctrl-C during an evaluation skips only the evaluation.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        every_epochs: int | None = 1,
        every_kimg: float | None = None,
        producer: str | None = None,
    ) -> None:
        for name, value in (("every_epochs", every_epochs), ("every_kimg", every_kimg)):
            if value is not None and value <= 0:
                raise UserError(f"evaluation.{name}={value} is not possible: give a number above 0, or null for never.")
        self.evaluator, self.producer = evaluator, producer
        self.every_epochs = None if every_kimg else every_epochs
        self._kimg = EveryKimg(every_kimg)
        self._evaluated_at: int | None = None
        self._epoch = 0
        self._shown_floor = False

    def on_train_start(self, trainer: L.Trainer, module: Game) -> None:
        """Check the metrics and prepare the extractor, before the first step."""
        attach(self.evaluator, module, self.producer)
        self.evaluator.advance = partial(call, trainer, "on_evaluating")
        if self.evaluator.metrics:
            self.evaluator.prepare(module.device)
            module.protocol = self.evaluator.protocol
        self._kimg.start(module.images_seen)
        self._epoch = trainer.current_epoch
        self._evaluated_at = module.images_seen

    def on_train_batch_end(self, trainer: L.Trainer, module: Game, *_: Any) -> None:
        """Evaluate if an evaluation by images is due."""
        self._epoch = trainer.current_epoch + 1  # trainer.current_epoch increases before training ends
        if self._kimg.due(module.images_seen):
            self.evaluate(trainer, module)

    def on_train_epoch_end(self, trainer: L.Trainer, module: Game) -> None:
        """Evaluate if an evaluation by epochs is due."""
        if self.every_epochs and (trainer.current_epoch + 1) % self.every_epochs == 0:
            self.evaluate(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: Game) -> None:
        """Evaluate the last state if it was not evaluated."""
        self.evaluate(trainer, module)

    def evaluate(self, trainer: L.Trainer, module: Game) -> None:
        """Evaluate now, unless this state was evaluated already; all processes call this together."""
        if not self.evaluator.metrics or self._evaluated_at == module.images_seen:
            return
        self._evaluated_at = module.images_seen
        try:
            scores = self._scores(trainer, module)
        except KeyboardInterrupt:
            if trainer.world_size > 1:  # the other processes wait for this one's samples and must fail with it
                raise
            print(
                "Interrupted the evaluation: this state has no scores. Press Ctrl-C again to end the run.", flush=True
            )
            return
        if scores:
            _take(module, scores)
            self._print(module)
            module.report(scores)
            call(trainer, "on_scores", scores)

    def _scores(self, trainer: L.Trainer, module: Game) -> dict[str, float]:
        module.synchronise_buffers()
        evaluator = self.evaluator
        assert evaluator.producer is not None
        return evaluator.evaluate(evaluator.producer, Path(trainer.default_root_dir), module.images_seen)

    @rank_zero_only
    def _print(self, module: Game) -> None:
        first, self._shown_floor = not self._shown_floor, True
        parts = [f"epoch {self._epoch}", f"{module.images_seen / 1000:.1f} kimg"]
        parts += [describe(module.scores, self.evaluator.floor, self.evaluator.baseline), self.evaluator.protocol]
        if first and self.evaluator.floor:
            parts.append(f"real against real: {self.evaluator.floor_protocol}")
        print(" · ".join(parts), flush=True)


def attach(evaluator: Evaluator, module: Game, producer: str | None = None) -> None:
    """Attach a game's producer to the evaluator: the one called `producer`, None for the first.

    Raises UserError if there is no such producer.
    """
    made = chosen(module.producers(evaluator.seed, evaluator.raw), producer)
    evaluator.attach(made, None if made.network is None else module.judge_of(made.network))


def _take(module: Game, scores: dict[str, float]) -> None:
    module.scores, module.scored_at = dict(scores), module.images_seen
    for name, value in scores.items():
        if kind(name) and better(name, value, module.best.get(name)):
            module.best[name] = value


class Published(Callback):
    """Print, after the first evaluation, published scores beside those of the run, or why they do not compare.

    scores: by names with the protocol, such as {"fid50k_train": 2.84}; the key "data" names their data set. Scores of a
    kind that the run does not measure are not printed.
    """

    def __init__(self, scores: Mapping[str, Any]) -> None:
        if not isinstance(scores, Mapping):
            raise UserError(f"published={scores} is no list of scores by their names: write {{fid50k_train: 2.84}}.")
        self.scores = {str(name): value for name, value in scores.items()}
        self.data = self.scores.pop("data", None)
        self._done = False
        for name, value in self.scores.items():
            if parse(name) is None:
                raise UserError(
                    f"published.{name} is no score: a name is a kind, the number of samples and the split, such as "
                    f"fid50k_train, and the kinds are {suggest(name, LOWER_IS_BETTER)}."
                )
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise UserError(f"published.{name}={value} is no score: give a number.")

    def on_scores(self, trainer: L.Trainer, module: Game, scores: dict[str, float]) -> None:
        """Print a line for each published score, once."""
        done, self._done = self._done, True
        if trainer.is_global_zero and not done:
            trained_on = getattr(getattr(trainer, "datamodule", None), "name", None)
            for line in self.lines(scores, trained_on):
                print(line, flush=True)

    def lines(self, scores: Mapping[str, float], data: str | None = None) -> list[str]:
        """Return the lines that compare `scores`, measured on the data set called `data`, with the published ones."""
        found = []
        for name, value in self.scores.items():
            own, stated = _counterpart(name, scores), f"published {name} {number(value)}"
            if own is None:
                continue
            differ = [f"data={data}, not {self.data}"] if self.data not in (None, data) else []
            differ += _differences(parse(name), parse(own))
            if differ:
                found.append(
                    f"{stated} does not compare with this run's {own} {number(scores[own])}: {'; '.join(differ)}."
                )
            else:
                found.append(f"{stated}, this run {number(scores[own])}")
        return found


def _counterpart(name: str, scores: Mapping[str, float]) -> str | None:
    """Return the score with the protocol of `name`, else the first of its kind."""
    wanted = parse(name)
    alike = [own for own in scores if _kind(parse(own)) == _kind(wanted)]
    return name if name in scores else next(iter(alike), None)


def _kind(name: Name | None) -> tuple[str, bool] | None:
    return None if name is None else (name.kind, name.spread)


def _differences(published: Name | None, own: Name | None) -> list[str]:
    assert published is not None and own is not None
    differ = []
    if published.samples != own.samples:
        differ.append(f"{own.samples or 'another number of'} samples, not {published.samples or 'so many'}")
    if published.split != own.split:
        differ.append(f"against the split {own.split or 'of given images'}, not {published.split or 'another'}")
    if published.raw != own.raw:
        differ.append("weights as trained" if own.raw else "averaged weights, not those as trained")
    if published.suffix != own.suffix:
        shown = {"": "verified Inception", "[unverified]": "unverified Inception"}
        features = [shown.get(name.suffix, name.suffix.strip("[]")) for name in (own, published)]
        differ.append(f"features of {features[0]}, not {features[1]}")
    return differ
