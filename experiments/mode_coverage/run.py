"""Which modes does each method find? python experiments/mode_coverage/run.py

Two processes of one thread. A run that has ended is not repeated, one that was broken off starts again; the tables and
the figure are written anew after each run.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "outputs" / "mode_coverage"
SEEDS = (1, 2, 3, 4, 5)
MODES = {"grid": 25, "ring": 8}
KIMG = 3072  # 12,000 iterations of 256

COMMON = [  # and the networks, learning rate and betas of model=mlp2d
    "model=mlp2d",
    "schedule=linear_decay",
    "data.batch_size=256",
    "trainer=cpu",
    "callbacks=[nan_guard,limit]",
    "logger=[csv]",
    "evaluation.num_fakes=2500",
    "evaluation.every_epochs=null",
    f"evaluation.every_kimg={10 * KIMG}",  # once, at the end
]
PLAIN = ["loss=nonsaturating", "regularizer=[]"]
PENALTY = ["regularizer=[gradient_penalty]", "regularizer.gradient_penalty.weight=0.1"]
METHODS: dict[str, list[str]] = {
    "non-saturating": PLAIN,
    "Wasserstein + gradient penalty": ["loss=wasserstein", *PENALTY],
    "PacGAN2 (non-saturating)": [*PLAIN, "model.discriminator.pack=2"],
    "relativistic + R1 + R2": ["loss=relativistic", "regularizer=[r1_r2_w0.3]"],  # experiment=mode_coverage
}
COLUMNS = ("method", "data", "seed", "modes", "high_quality", "reverse_kl", "seconds", "cpu_seconds", "images")
Job = tuple[str, str, int]
Row = dict[str, Any]


def words(job: Job, kimg: float) -> list[str]:
    """Return the overrides of one run."""
    method, data, seed = job
    return [*COMMON, *METHODS[method], f"data={data}", f"seed={seed}", f"max_kimg={kimg:g}"]


def place(job: Job, folder: Path) -> Path:
    name = "-".join(map(str, job)).lower()
    return folder / "".join(letter if letter.isalnum() or letter == "-" else "_" for letter in name)


def finished(job: Job, folder: Path, kimg: float) -> Row | None:
    """Return the row of a run that has ended; None where there is none, or one of other settings."""
    try:
        row = json.loads((place(job, folder) / "row.json").read_text())
    except (OSError, ValueError):
        return None
    return row if row.pop("words") == words(job, kimg) else None


def work(job: Job, folder: Path, kimg: float) -> None:
    """Train one run in this process and leave its row and final samples in its folder."""
    import torch

    import gan_lightning
    from gan_lightning.cli import build, preflight  # noqa: F401  now, so that the clocks run for training alone
    from gan_lightning.cli.train import train
    from gan_lightning.paths import write_atomically

    torch.set_num_threads(1)
    run = place(job, folder)
    shutil.rmtree(run, ignore_errors=True)  # what a killed run left
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = train([*words(job, kimg), f"run_dir='{run}'"])
    row: Row = dict(zip(COLUMNS, job, strict=False)) | outcome["scores"] | {"images": outcome["images_seen"]}
    row |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    torch.save(gan_lightning.load(run).sample(2500, seed=1), run / "samples.pt")
    text = json.dumps(row | {"words": words(job, kimg)}, indent=2)
    write_atomically(run / "row.json", lambda path: path.write_text(text))


def report(rows: Sequence[Row], jobs: Sequence[Job], folder: Path, out: Path) -> None:
    """Write results.csv, results.md and figure.png from the runs that have ended."""
    rows = sorted(rows, key=lambda row: jobs.index((row["method"], row["data"], row["seed"])))
    with (out / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({name: rounded(row[name]) for name in COLUMNS} for row in rows)
    groups = {(d, m): [r for r in rows if (r["data"], r["method"]) == (d, m)] for d, m in product(MODES, METHODS)}
    header = (
        "| data | method | modes | runs with all | high quality, % | reverse KL | CPU seconds |\n" + "|---" * 7 + "|\n"
    )
    lines = (line(data, method, group) for (data, method), group in groups.items() if group)
    (out / "results.md").write_text(header + "".join(lines))
    draw(groups, folder, out / "figure.png")


def rounded(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value


def line(data: str, method: str, group: Sequence[Row]) -> str:
    """Return a row of results.md: mean and standard deviation over the seeds."""
    full = sum(row["modes"] == MODES[data] for row in group)
    cells = [
        spread([row["modes"] for row in group], 1),
        f"{full} of {len(group)}",
        spread([100 * row["high_quality"] for row in group], 1),
        spread([row["reverse_kl"] for row in group], 3),
        f"{statistics.mean(row['cpu_seconds'] for row in group):.0f}",
    ]
    return f"| {data} | {method} | {' | '.join(cells)} |\n"


def spread(values: Sequence[float], digits: int) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else float("nan")
    return f"{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}"


def draw(groups: dict[tuple[str, str], list[Row]], folder: Path, path: Path) -> None:
    """Scatter the final samples of the median run (by high-quality share) of each method over the true modes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import torch

    from gan_lightning.data import Grid, Ring

    figure, axes = plt.subplots(2, len(METHODS), figsize=(3.2 * len(METHODS), 7), layout="constrained")
    for axis, ((data, method), group) in zip(axes.flat, groups.items(), strict=True):
        modes = (Grid if data == "grid" else Ring)().modes()
        reach = 1.25 * float(modes.abs().max())
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
        axis.scatter(*modes.T, s=130, facecolors="none", edgecolors="tab:orange", linewidths=1)
        if not group:
            continue
        row = sorted(group, key=lambda one: one["high_quality"])[len(group) // 2]
        points = torch.load(place((method, data, row["seed"]), folder) / "samples.pt", weights_only=True)
        axis.scatter(*points.T, s=1.5, alpha=0.5, linewidths=0)
        axis.set_title(
            f"{method}\n{row['modes']:.0f} modes, {100 * row['high_quality']:.1f}% (seed {row['seed']})", fontsize=9
        )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Run what is missing, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kimg", type=float, default=KIMG, help="thousands of images that each run sees")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of the runs")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the tables and the figure")
    given = parser.parse_args()
    jobs = [(method, data, seed) for seed, data, method in product(given.seeds, MODES, METHODS)]
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # the processes inherit it

    def ended() -> list[Row]:
        return [row for job in jobs if (row := finished(job, given.folder, given.kimg))]

    missing = [job for job in jobs if finished(job, given.folder, given.kimg) is None]
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        for run in as_completed([pool.submit(work, job, given.folder, given.kimg) for job in missing]):
            run.result()
            report(ended(), jobs, given.folder, given.out)
    report(ended(), jobs, given.folder, given.out)


if __name__ == "__main__":
    main()
