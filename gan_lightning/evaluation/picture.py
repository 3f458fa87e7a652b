"""Scores over images seen, a panel for each, a line for each run, and the scores of real images as a dashed one."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from gan_lightning.scores import LOWER_IS_BETTER, kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gan_lightning.evaluation.table import Row, Table

MOST_IN_LEGEND = 10


def draw(table: Table, target: Path) -> None:
    """Draw the scores of `table` to `target`; rows that do not say how many images were seen are left out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = table.stated
    wide = min(3, len(names))
    high = math.ceil(len(names) / wide)
    figure = Figure(figsize=(5.2 * wide, 3.4 * high), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names, start=1):
        _panel(figure.add_subplot(high, wide, place), table, name)
    figure.savefig(target, dpi=120)


def _panel(axes: Axes, table: Table, name: str) -> None:
    runs: dict[str, list[Row]] = {}
    for row in table.rows:
        if row.images_seen is not None and name in row.scores:
            runs.setdefault(row.run, []).append(row)
    for run, rows in runs.items():
        rows.sort(key=lambda row: row.images_seen or 0)
        kimg = [(row.images_seen or 0) / 1000 for row in rows]
        label = run if 1 < len(runs) <= MOST_IN_LEGEND else None
        axes.plot(kimg, [row.scores[name] for row in rows], marker="o", markersize=4, linewidth=1.5, label=label)
    if name in table.floor:
        axes.axhline(table.floor[name], color="#777777", linestyle="--", linewidth=1, label="real images")
    lower = LOWER_IS_BETTER.get(kind(name) or "", True)
    axes.set_title(f"{name}, {'lower' if lower else 'higher'} is better", fontsize=10, loc="left")
    axes.set_xlabel("thousand images seen (kimg)", fontsize=9)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, edgecolor="none", framealpha=0.7)
