"""Holds a run's first scores against published ones, and says where the two do not compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import lightning as L

from gan_lightning.callbacks.base import Callback
from gan_lightning.errors import UserError, suggest
from gan_lightning.evaluation.report import number
from gan_lightning.scores import LOWER_IS_BETTER, Name, parse

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game


class Published(Callback):
    """Print, after the first evaluation, published scores beside the run's own, or why they do not compare.

    scores: by names that say how they were measured, such as {"fid50k_train": 2.84}; "data" among them names the data
    set that they belong to. A run that does not measure a score of that kind says nothing of it.
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
        """Return what there is to say of `scores`, measured on the set called `data`."""
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
    """Return the score that is measured as `name` says, else the first one of its kind."""
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
