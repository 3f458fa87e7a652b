"""curves.png: losses, the discriminator's answers and scores of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import lightning as L

from gan_lightning.callbacks.base import Callback
from gan_lightning.callbacks.every import EverySeconds
from gan_lightning.errors import check_range
from gan_lightning.hooks import callbacks_of
from gan_lightning.loggers.csv import PROTOCOL, Row, read_rows
from gan_lightning.paths import write_atomically
from gan_lightning.scores import LOWER_IS_BETTER, kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gan_lightning.modules.game import Game

Points = list[tuple[float, float]]
PLAYER_COLOURS = {"loss/discriminator": "#d6543c", "loss/generator": "#2663a6", "D(x)": "#d6543c", "D(G(z))": "#2663a6"}
SCORE_COLOURS = ["#2a7f62", "#8a4fa3", "#c28a1b", "#2663a6"]
TITLES = {
    "fid": "FID, lower is better",
    "kid": "KID, lower is better",
    "is": "Inception Score, higher is better",
    "modes": "Modes captured",
    "high_quality": "Share of high-quality samples",
    "reverse_kl": "Reverse KL over modes, lower is better",
}
TITLES_OF_SEVERAL = {  # by the beginning of the names
    "swd": "Sliced Wasserstein distance, lower is better",
    "d_accuracy_": "Discriminator's accuracy",
    "gan_": "Accuracy of classifiers, higher is better",
}
FROM_ZERO = ("modes", "high_quality", "reverse_kl")


class Curves(Callback):
    """Redraw `curves.png` from `metrics.csv` after evaluations, at most every `every_seconds`, and at the end."""

    def __init__(self, every_seconds: float = 30.0) -> None:
        check_range("callbacks.curves", 0, every_seconds=every_seconds)
        self._clock = EverySeconds(every_seconds)

    def on_scores(self, trainer: L.Trainer, module: Game, scores: dict[str, float]) -> None:
        """Redraw if `every_seconds` have passed since the last drawing."""
        if self._clock.due():
            self._draw(trainer)

    def on_train_end(self, trainer: L.Trainer, module: Game) -> None:
        """Draw the whole history."""
        module.flush()
        self._draw(trainer)

    def _draw(self, trainer: L.Trainer) -> None:
        history = Path(trainer.default_root_dir) / "metrics.csv"
        if trainer.is_global_zero and history.exists():
            floors = _floors(trainer)
            write_atomically(history.with_name("curves.png"), lambda path: draw(history, path, floors))
        self._clock.restart()


def _floors(trainer: L.Trainer) -> dict[str, float]:
    """Return the scores of real images, if there is an evaluation."""
    evaluators = [getattr(callback, "evaluator", None) for callback in callbacks_of(trainer, L.Callback)]
    return next((dict(floor) for floor in (getattr(one, "floor", None) for one in evaluators) if floor), {})


def draw(history: Path, target: Path, floors: Mapping[str, float] | None = None) -> None:
    """Draw the columns of `history`, a metrics.csv, as curves over kimg to `target`.

    floors: scores of real images against real ones by name, drawn as lines.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns, rows = read_rows(history)
    curves = {name: points for name in columns if name != PROTOCOL and (points := _points(rows, name))}
    panels = _panels(curves)
    wide = min(2, len(panels)) or 1
    high = math.ceil(len(panels) / wide) or 1
    figure = Figure(figsize=(6.4 * wide, 3.4 * high), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, names) in enumerate(panels.items(), start=1):
        _panel(figure.add_subplot(high, wide, place), title, {name: curves[name] for name in names}, floors or {})
    figure.savefig(target, dpi=120)


def _points(rows: list[Row], name: str) -> Points:
    cells = [(float(row["images_seen"]) / 1000, float(row[name])) for row in rows if row.get(name)]
    return [(kimg, value) for kimg, value in cells if math.isfinite(value)]


def _panels(curves: dict[str, Points]) -> dict[str, list[str]]:
    """Return for each panel's title the names of its curves: losses, D's answers, and one panel for each score."""
    losses = [name for name in curves if name.startswith("loss/")]
    answers: list[str] = [name for name in ("D(x)", "D(G(z))") if name in curves]
    panels: dict[str, list[str]] = {"Loss": losses, "Discriminator's answer": answers}
    for name in curves:
        if base := kind(name):
            panels.setdefault(_title(base), []).append(name)
    return {title: names for title, names in panels.items() if names}


def _title(base: str) -> str:
    """Return the title of the panel for a kind of score."""
    of_several = next((title for start, title in TITLES_OF_SEVERAL.items() if base.startswith(start)), None)
    return TITLES.get(base) or of_several or f"{base}, {'lower' if LOWER_IS_BETTER[base] else 'higher'} is better"


def _panel(axes: Axes, title: str, curves: dict[str, Points], floors: Mapping[str, float]) -> None:
    colours = iter(SCORE_COLOURS * len(curves))
    for name, points in curves.items():
        x, y = zip(*points, strict=True)
        colour = PLAYER_COLOURS.get(name) or next(colours)
        crowded = len(points) > 60
        axes.plot(x, y, color=colour, linewidth=0.6 if crowded else 1.5, alpha=0.35 if crowded else 1.0)
        smooth = _smoothed(y) if crowded else y
        axes.plot(x, smooth, color=colour, linewidth=1.6, label=_label(name, y))
        if name in floors:
            label = f"real against real: {floors[name]:.3g}"
            axes.axhline(floors[name], color="#777777", linestyle="--", linewidth=1, label=label)
    positive = [value for points in curves.values() for _, value in points]
    if kind(next(iter(curves))) == "fid" and min(positive) > 0 and max(positive) > 20 * min(positive):
        axes.set_yscale("log")
    if kind(next(iter(curves))) in FROM_ZERO:
        axes.set_ylim(0, 1.1 * max(positive) or 1.0)
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_xlabel("thousand images seen (kimg)", fontsize=9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, edgecolor="none", framealpha=0.7)


def _label(name: str, values: tuple[float, ...]) -> str:
    return f"{name}: {values[-1]:.3g}" if kind(name) else name.removeprefix("loss/")


def _smoothed(values: tuple[float, ...]) -> list[float]:
    """Return the running mean over a thirtieth of the curve on either side."""
    reach = max(1, len(values) // 30)
    windows = [values[max(0, index - reach) : index + reach + 1] for index in range(len(values))]
    return [sum(window) / len(window) for window in windows]
