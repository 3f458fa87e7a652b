"""Scores of several generators beside one another: on the terminal, as CSV, as Markdown, and over images seen."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

from gan_lightning.evaluation.report import number
from gan_lightning.paths import write_atomically
from gan_lightning.scores import better, kind, spread_of

REAL = "real images"


@dataclass
class Row:
    """The scores of one generator: how it is called, of which run it is, and how many images it had seen by then."""

    name: str
    scores: dict[str, float]
    images_seen: int | None = None
    run: str = ""


@dataclass
class Table:
    """Rows of scores that compare, with the floor, the scores of real images, as the last one.

    notes: what the scores compare, in lines.
    """

    rows: list[Row]
    floor: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The names of all scores, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row.scores))

    @property
    def stated(self) -> list[str]:
        """The names of scores that stand in a column of their own: a spread stands beside its mean."""
        spreads = {spread_of(name) for name in self.names}
        return [name for name in self.names if name not in spreads]

    def cells(self, mark: str = "") -> list[list[str]]:
        """Return header and rows in words; the best of each score stands between `mark`s."""
        lines, best = [["checkpoint", "kimg", *self.stated]], self._best() if len(self.rows) > 1 else {}
        for row in self.rows:
            cells = [_cell(row.scores, name) for name in self.stated]
            marks = [mark if name in best and row.scores.get(name) == best[name] else "" for name in self.stated]
            marked = [f"{sign}{cell}{sign}" for sign, cell in zip(marks, cells, strict=True)]
            lines.append([row.name, "" if row.images_seen is None else f"{row.images_seen / 1000:.4g}", *marked])
        floor = [[REAL, "", *(_cell(self.floor, name) for name in self.stated)]]
        return lines + (floor if any(floor[0][2:]) else [])

    def write(self, folder: Path) -> list[Path]:
        """Write scores.csv in full precision and scores.md, and scores.png where it is known after how many images."""
        from gan_lightning.evaluation.picture import draw

        paths = [folder / "scores.csv", folder / "scores.md"]
        write_atomically(paths[0], self._write_csv)
        write_atomically(paths[1], lambda path: path.write_text(self._markdown(), encoding="utf-8"))
        if len({row.images_seen for row in self.rows} - {None}) > 1 and self.stated:
            paths.append(folder / "scores.png")
            write_atomically(paths[2], lambda path: draw(self, path))
        return paths

    def show(self) -> None:
        """Print it."""
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
            if self.floor.keys() & set(self.names):
                writer.writerow([REAL, None, *(self.floor.get(name) for name in self.names)])

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


def show(scores: dict[str, float], floor: dict[str, float], notes: list[str]) -> None:
    """Print the scores of one generator below one another."""
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable("score", "value", REAL)
    for name, value in scores.items():
        shown.add_row(Text(name), number(value), number(floor[name]) if name in floor else "")
    Console(highlight=False).print(shown)
    print("\n".join(notes))
