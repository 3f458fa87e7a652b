"""A table of scores of several generators: on the terminal, as CSV, as Markdown, and as curves over images seen."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gan_lightning.evaluation.protocol import number
from gan_lightning.paths import write_atomically
from gan_lightning.scores import LOWER_IS_BETTER, better, kind, spread_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REAL, BASELINE = "real images", "baseline"
MOST_IN_LEGEND = 10  # runs


@dataclass
class Row:
    """The scores of one generator, with its name, its run, and the number of images seen."""

    name: str
    scores: dict[str, float]
    images_seen: int | None = None
    run: str = ""


@dataclass
class Table:
    """Rows of comparable scores, with the floor and the baseline below.

    floor: the scores of real images; baseline: those of a trivial baseline. notes: lines that say what the scores
        compare.
    """

    rows: list[Row]
    floor: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    baseline: dict[str, float] = field(default_factory=dict)

    @property
    def yardsticks(self) -> dict[str, dict[str, float]]:
        """The floor and the baseline by name, if they have one of the rows' scores."""
        known = {REAL: self.floor, BASELINE: self.baseline}
        return {name: scores for name, scores in known.items() if scores.keys() & {*self.names}}

    @property
    def names(self) -> list[str]:
        """The names of all scores, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row.scores))

    @property
    def stated(self) -> list[str]:
        """The names of scores with their own column; a standard deviation is shown beside its mean."""
        spreads = {spread_of(name) for name in self.names}
        return [name for name in self.names if name not in spreads]

    def cells(self, mark: str = "") -> list[list[str]]:
        """Return header and rows as text; the best value of each score is between `mark`s."""
        lines, best = [["checkpoint", "kimg", *self.stated]], self._best() if len(self.rows) > 1 else {}
        for row in self.rows:
            cells = [_cell(row.scores, name) for name in self.stated]
            marks = [mark if name in best and row.scores.get(name) == best[name] else "" for name in self.stated]
            marked = [f"{sign}{cell}{sign}" for sign, cell in zip(marks, cells, strict=True)]
            lines.append([row.name, "" if row.images_seen is None else f"{row.images_seen / 1000:.4g}", *marked])
        held = self.yardsticks.items()
        return lines + [[name, "", *(_cell(scores, key) for key in self.stated)] for name, scores in held]

    def write(self, folder: Path) -> list[Path]:
        """Write scores.csv in full precision and scores.md, and scores.png if the numbers of images seen are known."""
        paths = [folder / "scores.csv", folder / "scores.md"]
        write_atomically(paths[0], self._write_csv)
        write_atomically(paths[1], lambda path: path.write_text(self._markdown(), encoding="utf-8"))
        if len({row.images_seen for row in self.rows} - {None}) > 1 and self.stated:
            paths.append(folder / "scores.png")
            write_atomically(paths[2], lambda path: draw(self, path))
        return paths

    def show(self) -> None:
        """Print the table."""
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        lines = self.cells()
        if len(self.stated) > len(self.rows):  # a terminal is narrow
            lines = [list(column) for column in zip(*lines, strict=True)]
        shown = RichTable()
        for name in lines[0]:
            shown.add_column(Text(name), overflow="fold")  # Text: fid[classifier] is no markup
        for line in lines[1:]:
            shown.add_row(*map(Text, line))
        console = Console(highlight=False)
        Console(width=None if console.is_terminal else 200, highlight=False).print(shown)
        print("\n".join(self.notes))

    def _best(self) -> dict[str, float]:
        best: dict[str, float] = {}
        for row in self.rows:
            for name, value in row.scores.items():
                if kind(name) and better(name, value, best.get(name)):
                    best[name] = value
        return best

    def _write_csv(self, path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["checkpoint", "images_seen", *self.names])
            for row in self.rows:
                writer.writerow([row.name, row.images_seen, *(row.scores.get(name) for name in self.names)])
            for name, scores in self.yardsticks.items():
                writer.writerow([name, None, *(scores.get(key) for key in self.names)])

    def _markdown(self) -> str:
        header, *lines = self.cells(mark="**")
        rows = [header, ["---", *["---:"] * (len(header) - 1)], *lines]
        table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in rows)
        return "\n\n".join(["# Scores", table, *self.notes]) + "\n"


def _cell(scores: dict[str, float], name: str) -> str:
    if name not in scores:
        return ""
    spread = scores.get(spread_of(name) or "")
    return number(scores[name]) + (f" ± {spread:.2g}" if spread is not None else "")


def show(table: Table) -> None:
    """Print the scores of a table with one generator, one per line."""
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    held = {REAL: table.floor} | table.yardsticks
    shown = RichTable("score", "value", *held)
    for name, value in table.rows[0].scores.items():
        beside = [number(known[name]) if name in known else "" for known in held.values()]
        shown.add_row(Text(name), number(value), *beside)
    Console(highlight=False).print(shown)
    print("\n".join(table.notes))


def draw(table: Table, target: Path) -> None:
    """Draw the scores of `table` over images seen to `target`: a panel for each score with a line for each run.

    The scores of real images are a dashed line; rows without a number of images are left out.
    """
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
