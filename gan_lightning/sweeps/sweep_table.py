"""The table at the end of a sweep: best run first, on screen and as results.csv, results.md and results.png."""

from __future__ import annotations

import csv
import math
import statistics
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gan_lightning.paths import write_atomically
from gan_lightning.scores import LOWER_IS_BETTER, first, kind
from gan_lightning.sweeps.result import FILE, Result, read

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont


RANKING = ("fid", "kid", "high_quality", "modes", "is", "reverse_kl")
SHOWN = (*RANKING, *(name for name in LOWER_IS_BETTER if name not in RANKING))
Table = tuple[list[str], list[list[str]]]


@dataclass
class Run:
    """The folder of a run, its name in the sweep, and its result."""

    folder: Path
    name: str
    result: Result

    @property
    def settings(self) -> dict[str, str]:
        """The run's overrides."""
        return {key: value for key, _, value in (word.partition("=") for word in self.result.overrides)}

    @property
    def ranked_by(self) -> str | None:
        """The score that ranks the run: FID, else the first of RANKING that it has, else any."""
        return first(self.result.best, SHOWN)


def collect(folder: Path) -> list[Run]:
    """Return the runs below `folder`, best first, failed ones last; scores of different extractors are not mixed."""
    found = ((path.parent, read(path.parent)) for path in folder.rglob(FILE))
    runs = [Run(path, str(path.relative_to(folder)), result) for path, result in found if result is not None]
    return sorted(runs, key=lambda run: (not run.result.done, *_place(run), _natural(run.name)))


def report(folder: Path) -> list[Run]:
    """Write results.csv, results.md and results.png to `folder`, print the table, and return the runs."""

    runs = collect(folder)
    every, groups = table(runs), grouped(runs)
    write_atomically(folder / "results.csv", lambda path: _csv(path, runs))
    drawn = side_by_side([(run.folder / "samples.png", label(run, runs)) for run in runs], folder / "results.png")
    text = _markdown_page(runs, every, groups, drawn)
    write_atomically(folder / "results.md", lambda path: path.write_text(text))
    _print(folder.name, every)
    if len(groups[1]) < len(runs):
        _print("over seeds", groups)
    print(f"results: {folder}/results.md, results.csv{', results.png' if drawn else ''}")
    return runs


def table(runs: Sequence[Run]) -> Table:
    """Return header and rows: the overrides that differ, the best scores, the length, and why a run failed."""
    keys, names = varied(runs), _scores(runs)
    rows = []
    for run in runs:
        best, seen = run.result.best, run.result.images_seen
        cells = [run.name, *(run.settings.get(key, "") for key in keys), *(number(best.get(name)) for name in names)]
        length = "" if seen is None else f"{seen / 1000:.4g}"
        rows.append([*map(short, cells), length, _duration(run.result.seconds), run.result.error or run.result.status])
    return ["run", *keys, *names, "kimg", "time", "status"], rows


def grouped(runs: Sequence[Run]) -> Table:
    """Return header and rows over seeds: mean and sample standard deviation of runs that differ only by `seed`."""
    groups: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        settings = {key: value for key, value in run.settings.items() if key != "seed"}
        groups.setdefault(tuple(sorted(settings.items())), []).append(run)
    keys, names = [key for key in varied(runs) if key != "seed"], _scores(runs)
    rows = []
    for members in sorted(groups.values(), key=_mean_place):
        done = [run.result.best for run in members if run.result.done]
        given = [short(members[0].settings.get(key, "")) for key in keys]
        spread = [mean_and_deviation([best[name] for best in done if name in best]) for name in names]
        rows.append([*given, f"{len(done)} of {len(members)}", *spread])
    return [*keys, "runs", *names], rows


def varied(runs: Sequence[Run]) -> list[str]:
    """Return the overrides with different values between runs, in the given order."""
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    return [key for key in keys if len({run.settings.get(key) for run in runs}) > 1]


def label(run: Run, runs: Sequence[Run]) -> str:
    """Return the text above a run's picture."""
    what = " ".join(f"{key}={short(run.settings.get(key, ''))}" for key in varied(runs)) or run.name
    by = run.ranked_by
    return f"{what}\n{by} {number(run.result.best[by])}" if by else f"{what}\n{run.result.status}"


def mean_and_deviation(values: Sequence[float]) -> str:
    """Return "mean ± sample standard deviation"; only the mean for one value, "" for none."""
    if len(values) < 2:
        return number(values[0]) if values else ""
    return f"{number(statistics.mean(values))} ± {number(statistics.stdev(values))}"


def number(value: float | None) -> str:
    """Return the number with four digits, "" for None."""
    return "" if value is None else f"{value:.4g}"


def short(value: str) -> str:
    """Return a sampled value such as 0.00032911873 with four digits; other values are not changed."""
    try:
        return f"{float(value):.4g}" if len(value) > 8 else value
    except ValueError:
        return value


def _place(run: Run) -> tuple[float, str, float]:
    """Return a sort key: the kind of score, its extractor, then the better value first."""
    by = run.ranked_by
    if by is None:
        return math.inf, "", 0.0
    score = kind(by) or ""
    value = run.result.best[by]
    return SHOWN.index(score), by, value if LOWER_IS_BETTER[score] else -value


def _mean_place(members: Sequence[Run]) -> tuple[float, str, float]:
    places = [_place(run) for run in members if run.result.done] or [(math.inf, "~", 0.0)]
    return places[0][0], places[0][1], statistics.mean(place[2] for place in places)


def _scores(runs: Iterable[Run]) -> list[str]:
    names = dict.fromkeys(name for run in runs for name in run.result.best if kind(name))
    return sorted(names, key=lambda name: SHOWN.index(kind(name) or ""))


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (sys.maxsize, name)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _csv(path: Path, runs: Sequence[Run]) -> None:
    """Write one row for each run, in full precision."""
    keys, names = dict.fromkeys(key for run in runs for key in run.settings), _scores(runs)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["run", "status", *keys, *names, *(f"last {name}" for name in names), "images_seen", "seconds", "error"]
        )
        for run in runs:
            result, settings = run.result, run.settings
            given = [settings.get(key) for key in keys]
            scores = [part.get(name) for part in (result.best, result.scores) for name in names]
            end = [result.images_seen, result.seconds, result.error]
            writer.writerow([run.name, result.status, *given, *scores, *end])


def _markdown_page(runs: Sequence[Run], every: Table, groups: Table, drawn: bool) -> str:
    parts = ["# Results", _conclusion(runs)]
    if len(groups[1]) < len(runs):
        parts += ["Best of each score, over seeds (mean ± sample standard deviation):", _markdown(groups)]
    parts += ["Best of each score, every run:", _markdown(every)]
    if drawn:
        parts.append("![the last samples of every run](results.png)")
    return "\n\n".join(parts) + "\n"


def _conclusion(runs: Sequence[Run]) -> str:
    done = [run for run in runs if run.result.done]
    said = f"{len(done)} of {len(runs)} runs came to their end."
    if done and (by := done[0].ranked_by):
        said += f" The best {by} is {number(done[0].result.best[by])}: run {done[0].name}"
        said += f" (`{' '.join(done[0].result.overrides)}`)." if done[0].result.overrides else "."
    return said


def _markdown(rows: Table) -> str:
    header, body = rows
    lines = [header, ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _print(title: str, rows: Table) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    header, body = rows
    shown = RichTable(title=Text(title))
    for name in header:
        shown.add_column(Text(name))
    for line in body:
        shown.add_row(*map(Text, line))
    console = Console()
    Console(width=None if console.is_terminal else 200).print(shown)


SIDE, MARGIN, TEXT = 320, 12, 14  # pixels: side of a picture, margin around it, height of letters
MOST = 24  # number of pictures, of the best runs


def side_by_side(pictures: Sequence[tuple[Path, str]], target: Path) -> bool:
    """Write the existing pictures, each below its label, to `target`; return whether there was any."""
    there = [(path, label) for path, label in pictures if path.is_file()][:MOST]
    if not there:
        return False
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(TEXT)
    labels = [_wrap(label, font) for _, label in there]
    head = (TEXT + 4) * max(label.count("\n") + 1 for label in labels) + 4
    columns = min(len(there), 4 if len(there) <= 8 else math.ceil(math.sqrt(len(there))))
    rows = math.ceil(len(there) / columns)
    sheet = Image.new("RGB", (columns * (SIDE + MARGIN) + MARGIN, rows * (SIDE + head + MARGIN) + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for index, ((path, _), label) in enumerate(zip(there, labels, strict=True)):
        x = MARGIN + index % columns * (SIDE + MARGIN)
        y = MARGIN + index // columns * (SIDE + head + MARGIN)
        draw.text((x, y), label, fill="black", font=font, spacing=4)
        sheet.paste(_fit(path), (x, y + head))
    write_atomically(target, sheet.save)
    return True


def _fit(path: Path) -> Image:
    """Return the picture with SIDE pixels; small ones are enlarged with sharp pixels."""
    from PIL import Image

    with Image.open(path) as image:
        scale = SIDE / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        return image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def _wrap(label: str, font: FreeTypeFont | ImageFont) -> str:
    letters = int(SIDE / font.getlength("x" * 20) * 20)
    return "\n".join(line for text in label.splitlines() for line in textwrap.wrap(text, letters) or [""])
