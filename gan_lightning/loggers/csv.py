"""metrics.csv: the history of a run; resumed runs append to it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from gan_lightning.loggers.base import StartsWithModule
from gan_lightning.paths import write_atomically

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game

Row = dict[str, str]
FIRST_COLUMNS = ["images_seen", "epoch"]
PROTOCOL = "protocol"  # the only column with text


class CSVLogger(StartsWithModule):
    """Append each report as a row of `save_dir/metrics.csv`: `images_seen`, `epoch`, then a column per scalar.

    Rows with scores have their protocol in the column `protocol`.

    A new scalar adds a column to the whole file, atomically; a cell without a value is empty. A run that continues from
    a checkpoint deletes only the rows after the checkpoint's `images_seen`.
    """

    def __init__(self, save_dir: str | os.PathLike[str], file: str = "metrics.csv") -> None:
        super().__init__()
        self.path = Path(save_dir) / file
        self._columns: list[str] = []  # of the file; empty before the first row

    @property
    def name(self) -> str:
        """Return "csv"."""
        return "csv"

    @property
    def version(self) -> str:
        """Return "": a run folder has one history."""
        return ""

    @property
    def save_dir(self) -> str:
        """Return the run folder."""
        return str(self.path.parent)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one row; `step` is the number of images seen if `metrics` does not contain it."""
        row = {name: _text(value) for name, value in metrics.items()}
        if protocol := self.protocol(metrics):
            row[PROTOCOL] = protocol
        if step is not None:
            row["images_seen"] = _text(step)
        self._add_columns(row)
        with self.path.open("a", newline="") as file:  # closed, so flushed, at once
            csv.DictWriter(file, self._columns, restval="").writerow(row)

    def log_hyperparams(self, params: object, *args: object, **kwargs: object) -> None:
        """Do nothing: the config is in config.yaml."""

    @rank_zero_only
    def start(self, module: Game) -> None:
        """Delete the rows after the module's `images_seen`, which the return to a checkpoint has undone."""
        columns, rows = read_rows(self.path)
        kept = [row for row in rows if _number(row.get("images_seen")) <= module.images_seen]
        if len(kept) < len(rows):
            self._write(columns, kept)

    def _add_columns(self, row: Row) -> None:
        """Make sure that the file exists, is complete, and has all columns of `row`."""
        if not self._columns or not self.path.exists():
            columns, rows = read_rows(self.path)
            self._write(_ordered([*columns, *row]), rows)
        elif not row.keys() <= set(self._columns):
            self._write(_ordered([*self._columns, *row]), read_rows(self.path)[1])

    def _write(self, columns: list[str], rows: list[Row]) -> None:
        def write(path: Path) -> None:
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(rows)

        write_atomically(self.path, write)
        self._columns = columns


def read_rows(path: Path) -> tuple[list[str], list[Row]]:
    """Return the columns and rows of a history; a missing file has none; an incomplete last line is ignored."""
    text = path.read_text() if path.exists() else ""
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    return list(reader.fieldnames or []), list(reader)


def _ordered(columns: list[str]) -> list[str]:
    return list(dict.fromkeys([*FIRST_COLUMNS, *columns]))


def _text(value: float) -> str:
    """Return a number that reads back as the same number; whole numbers without a decimal point."""
    value = float(value)
    return str(int(value)) if value.is_integer() else repr(value)


def _number(text: str | None) -> float:
    return float(text) if text else 0.0
