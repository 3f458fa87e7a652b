"""The terminal's output: a progress bar for the whole run, or one line per epoch if the output is no terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from rich import get_console
from rich.console import Group, RenderableType
from rich.progress import BarColumn, ProgressColumn, Task
from rich.table import Column, Table
from rich.text import Text

from gan_lightning.callbacks.base import Callback
from gan_lightning.callbacks.limit import Limit
from gan_lightning.errors import check_range
from gan_lightning.hooks import callbacks_of
from gan_lightning.scores import kind

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game

SHOWN = {
    "loss/discriminator": "loss D",
    "loss/generator": "loss G",
    "D(x)": "D(x)",
    "D(G(z))": "D(G(z))",
}


class Progress(Callback, RichProgressBar):
    """Show losses, D(x), D(G(z)), images/s, kimg, the last score, and the time left of the whole run.

    It uses the values that were fetched for the loggers, and reads the clock once per iteration. It draws
    `refresh_per_second` times a second, in a thread of Lightning's RichProgressBar. The time left includes evaluations,
    since it is estimated from the whole time of this run so far.
    """

    def __init__(self, refresh_per_second: int = 4) -> None:
        check_range("callbacks.progress", 0, refresh_per_second=refresh_per_second)
        RichProgressBar.__init__(self, refresh_rate=refresh_per_second)
        self._plain = False
        self._drawn = self._begun = 0.0
        self._fraction_at_start: float | None = None
        self._scores: dict[str, float] = {}
        self.headline, self.details = "", ""
        self.fraction: float | None = None

    def on_train_start(self, trainer: L.Trainer, module: Game) -> None:
        """Show the bar, or print lines if there is no terminal."""
        self._begun = time.monotonic()
        self._scores = dict(module.scores)
        self._fraction_at_start = run_fraction(trainer, module)
        self._plain = not get_console().is_terminal
        if self._plain or self.is_disabled:
            return
        self._init_progress(trainer)
        self.train_progress_bar_id = self._add_task(1.0, "")
        self._show(trainer, module)

    def on_train_epoch_start(self, trainer: L.Trainer, module: Game) -> None:
        """Show the epoch's number."""
        self._show(trainer, module)

    def on_train_batch_end(self, trainer: L.Trainer, module: Game, *_: object) -> None:
        """Update the figures if it is time."""
        if self.refresh_rate and time.monotonic() - self._drawn >= 1 / self.refresh_rate:
            self._show(trainer, module)

    def on_evaluating(self, trainer: L.Trainer, module: Game, what: str, done: int, total: int) -> None:
        """Show the progress of an evaluation instead of the figures."""
        if self.refresh_rate and time.monotonic() - self._drawn >= 1 / self.refresh_rate:
            self._show(trainer, module, evaluating=f"evaluating: {done:,} of {total:,} {what}")

    def on_scores(self, trainer: L.Trainer, module: Game, scores: dict[str, float]) -> None:
        """Store the scores for display."""
        self._scores.update(scores)

    def on_train_epoch_end(self, trainer: L.Trainer, module: Game) -> None:
        """Print the epoch's line if there is no bar."""
        if self._plain and self.is_enabled:
            self._renew(trainer, module)
            print(" · ".join(filter(None, (self.headline, self.details, self.times()))), flush=True)
        else:
            self._show(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: Game) -> None:
        """Leave the finished bar on the screen."""
        self._show(trainer, module, hard=True)
        self._stop_progress()

    def configure_columns(self, trainer: L.Trainer) -> list[ProgressColumn]:
        """Return the only column, which draws the line with the bar and the line with the figures."""
        return [RunColumn(self)]

    def _update_metrics(self, trainer: L.Trainer, module: Game) -> None:
        """Leave Lightning's own list (v_num and what was given to self.log) empty."""

    def _show(self, trainer: L.Trainer, module: Game, hard: bool = False, evaluating: str = "") -> None:
        task = self.train_progress_bar_id
        if self.is_disabled or self._plain or self.progress is None or task is None:
            return
        self._drawn = time.monotonic()
        self._renew(trainer, module)
        self.details = evaluating or self.details
        self.progress.update(task, completed=self.fraction or 0.0)
        self.refresh(hard=hard)

    def _renew(self, trainer: L.Trainer, module: Game) -> None:
        self.fraction = run_fraction(trainer, module)
        self.headline = f"{_epoch(trainer)} · {_kimg(module, self.fraction)}"
        self.details = describe(module.latest, self._scores)

    def times(self) -> str:
        """Return the time since the start and the time left, as "0:01:10 elapsed, 0:02:20 left"."""
        elapsed = time.monotonic() - self._begun
        left = time_left(elapsed, self._fraction_at_start, self.fraction)
        return f"{clock(elapsed)} elapsed, {'?' if left is None else clock(left)} left"


class RunColumn(ProgressColumn):
    """Draws a Progress: two lines, wrapped on a narrow terminal."""

    max_refresh = 0.2  # seconds

    def __init__(self, owner: Progress) -> None:
        super().__init__()
        self._owner = owner
        self._bar = BarColumn()

    def render(self, task: Task) -> RenderableType:
        """Return the two lines."""
        owner = self._owner
        share = "" if owner.fraction is None else f"{owner.fraction:4.0%}"
        self._bar.bar_width = 24 if get_console().width >= 96 else 10
        line = Table.grid(*(Column(no_wrap=True) for _ in range(4)), padding=(0, 1))
        line.add_row(Text(owner.headline), self._bar(task), Text(share), Text(owner.times(), style="dim"))
        return Group(line, Text(owner.details, style="cyan"))


def describe(latest: Mapping[str, float], scores: Mapping[str, float]) -> str:
    """Return the figures in one line: losses, D's answers, speed, and the last scores without their spread."""
    parts = [f"{label} {latest[name]:.3f}" for name, label in SHOWN.items() if name in latest]
    if "images_per_second" in latest:
        parts.append(f"{latest['images_per_second']:,.0f} images/s")
    parts += [f"{_title(name)} {value:.4g}" for name, value in scores.items() if kind(name)]
    return " · ".join(parts)


def _title(name: str) -> str:
    """Return "FID10k_train[classifier]" for "fid10k_train[classifier]", "high quality" for "high_quality"."""
    base = kind(name) or ""
    shown = base.upper() if base in ("fid", "kid", "is") else base.replace("_", " ")
    return shown + name.removeprefix(base)


def run_fraction(trainer: L.Trainer, module: Game) -> float | None:
    """Return the finished share of the run, in [0, 1], by epochs or images, whichever ends first; None if endless."""
    fractions = [module.images_seen / limit.max_images for limit in callbacks_of(trainer, Limit) if limit.max_images]
    epochs, batches = trainer.max_epochs, trainer.num_training_batches
    if epochs and epochs > 0 and 0 < batches < float("inf"):
        done, begun = module.epoch
        fractions.append((done * batches + begun) / (epochs * batches))
    return min(1.0, max(fractions)) if fractions else None


def time_left(elapsed: float, before: float | None, now: float | None) -> float | None:
    """Return the estimated seconds left, from the speed since the start at fraction `before`; None while unknown."""
    if now is None or before is None or now <= before:
        return None
    return elapsed * (1 - now) / (now - before)


def clock(seconds: float) -> str:
    """Return seconds as h:mm:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _epoch(trainer: L.Trainer) -> str:
    number, last = trainer.current_epoch + 1, trainer.max_epochs
    return f"Epoch {min(number, last)}/{last}" if last and last > 0 else f"Epoch {number}"


def _kimg(module: Game, fraction: float | None) -> str:
    """Return "12.3/107.5 kimg"; the end is known once some part of the run is done."""
    seen = module.images_seen / 1000
    return f"{seen:.1f}/{seen / fraction:.1f} kimg" if fraction else f"{seen:.1f} kimg"
