"""Every image network of conf/model with its recipe on the digits: python experiments/zoo_digits/run.py [MODEL ...]

Each run has a process of its own with one thread, one after the other; a run that is there with the same overrides is
not repeated. Table and picture are written anew after each run.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "outputs" / "zoo_digits"
KIMG = 100.0  # thousands of real images that each discriminator sees
COLUMNS = 20  # samples of each network in the picture
FIELDS = {  # of results.csv, and their titles in results.md
    "model": "model",
    "labels": "labels",
    "fid1797_train[classifier]": "FID[classifier]",
    "is1797[classifier]": "IS[classifier]",
    "rarest_class": "rarest class",
    "spread": "spread",
    "cpu_seconds": "seconds",
    "steps": "steps of D",
    "generator_parameters": "parameters of G",
    "discriminator_parameters": "of D",
    "error": "error",
}

COMMON = [
    "data=digits",
    "trainer=cpu",
    "metrics=[]",  # measured after the run, so that the seconds are those of training
    "callbacks=[nan_guard,limit,checkpoint]",
    "logger=[csv]",
]
LABELS = "conditioning=conditional_batch_norm_projection"  # as SAGAN and both BigGANs are published
GENERATOR, BACKBONE = "model.generator", "model.discriminator.backbone"


def both(generator: int, discriminator: int, option: str = "width") -> list[str]:
    """Return the overrides that set an option of generator and discriminator."""
    return [f"{GENERATOR}.{option}={generator}", f"{BACKBONE}.{option}={discriminator}"]


def batch(size: int) -> str:
    return f"data.batch_size={size}"


def grow(kimg: int) -> list[str]:
    """Return the overrides that let each resolution fade in and stay for `kimg` thousand images."""
    return [f"model.growth.fade_kimg={kimg}", f"model.growth.stable_kimg={kimg}"]


# 32 channels up to 16 pixels and 16 at 32; styles and latents of 64.
NARROW = [*both(512, 512, "channel_base"), *both(32, 32, "channel_max"), f"{GENERATOR}.latent_dim=64"]
# Two layers and no mixing, as StyleGAN2-ADA has them for CIFAR-10: eight learn too slowly for 3,125 steps.
STYLES = [*NARROW, f"{GENERATOR}.style_dim=64", f"{GENERATOR}.mapping_layers=2", f"{GENERATOR}.mixing=0"]

# What a run has besides COMMON: widths and batches within the budget, and what is said beside it.
RUNS: dict[str, list[str]] = {
    "mlp": [batch(32)],
    "dcgan": [],  # conf/tuned/dcgan_digits.yaml: the discriminator's width 16, batches of 16
    "lsgan": [*both(64, 16), batch(16)],
    "wgan": [*both(64, 32), batch(16)],
    "wgan_gp_dcgan": [*both(64, 32), batch(16)],
    "wgan_gp": [*both(32, 16), batch(16)],
    "sngan": [*both(8, 16), batch(16)],
    "sagan": [LABELS, *both(8, 8), batch(32)],
    "biggan": [LABELS, *both(8, 8), batch(32), "optim.lr=2e-4"],  # the generator's rate is for batches of 2048
    "biggan_deep": [LABELS, *both(8, 32), *both(1, 1, "depth"), batch(16), "optim.lr=4e-4"],
    "progan": [*NARROW, batch(32), *grow(10)],  # 32 pixels from 60 kimg on
    "stylegan": [*STYLES, batch(32), *grow(10)],  # with the published weight of R1: with 0.1 it goes from mode to mode
    "stylegan2": [*STYLES, batch(32), "regularizer.r1.weight=0.1"],
    "r3gan": [
        *both(32, 32),
        *both(8, 8, "full_width_size"),  # half as wide at 16 pixels, a quarter at 32
        *both(1, 1, "blocks"),
        *both(8, 8, "group_width"),
        batch(16),
        "optim.lr=5e-4",  # narrow networks bear more than wide ones
        "model.ema_kimg=10",
    ],
    "fastgan": [*both(4, 4), batch(16)],
}


def work(name: str) -> None:
    """Train one network, measure it, and leave result.json and samples.pt in its folder."""
    import gan_lightning.cli.build  # noqa: F401  now, so that the clock runs for training alone
    from gan_lightning.cli.train import train
    from gan_lightning.errors import UserError

    run = FOLDER / name
    shutil.rmtree(run, ignore_errors=True)  # what a killed run left
    row: dict[str, Any] = {"model": name, "overrides": " ".join(RUNS[name])}
    start = time.process_time()
    try:
        train([f"model={name}", *COMMON, *RUNS[name], f"max_kimg={KIMG}", f"run_dir='{run}'"])
    except UserError as error:
        row["error"] = str(error)
    row["cpu_seconds"] = time.process_time() - start
    row |= {} if "error" in row else measured(run)
    run.mkdir(parents=True, exist_ok=True)
    (run / "result.json").write_text(json.dumps(row, indent=2))


def measured(run: Path) -> dict[str, Any]:
    """Return scores, counts and signs of collapse of a finished run; write its samples."""
    import torch

    import gan_lightning
    from gan_lightning.cli.evaluate import evaluate
    from gan_lightning.inference.rebuild import build_discriminator

    checkpoint = run / "checkpoints" / "last.ckpt"
    found = evaluate([f"ckpt='{checkpoint}'", "device=cpu"])
    loaded = gan_lightning.load(checkpoint)
    labels = [column % 10 for column in range(COLUMNS)] if loaded.num_classes else None
    torch.save(loaded.sample(COLUMNS, seed=1, labels=labels), run / "samples.pt")
    networks = {"generator": loaded.network, "discriminator": build_discriminator(checkpoint, {})}
    counts = {f"{name}_parameters": sum(p.numel() for p in net.parameters()) for name, net in networks.items()}
    steps = torch.load(checkpoint, weights_only=True)["gan_lightning"]["iteration"]
    return {**found["scores"], **variety(loaded), **counts, "steps": steps, "floor": found["floor"]}


def variety(loaded: Any) -> dict[str, float]:
    """Return two signs of collapse over as many samples as there are digits.

    rarest_class: the share of samples that the classifier gives its rarest class; the digits' is 0.097.
    spread: the mean distance between two samples' pixels, divided by that of the digits.
    """
    import torch

    from gan_lightning.data import Digits
    from gan_lightning.metrics.classifier import Classifier
    from gan_lightning.pixels import to_uint8

    data, judge = Digits(), Classifier()
    judge.prepare(data, "cpu")
    reals = torch.stack([row["image"] for row in data.reference("train")])
    fakes = to_uint8(loaded.generate(0, len(reals)))
    distance = [torch.pdist(images.flatten(1).float()).mean() for images in (fakes, reals)]
    classes = judge(fakes)["logits"].argmax(1).bincount(minlength=10)
    return {"rarest_class": float(classes.min() / len(fakes)), "spread": float(distance[0] / distance[1])}


def tabulate(rows: list[dict[str, Any]]) -> None:
    """Write results.csv and results.md."""
    rows = [{"labels": "yes" if LABELS in row["overrides"] else "no", **row} for row in rows]
    fields = {field: title for field, title in FIELDS.items() if any(field in row for row in rows)}
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*fields, "overrides"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    floors = [{"model": "*the digits, one half against the other*", **row["floor"]} for row in rows if "floor" in row]
    lines = [[*fields.values()], ["---"] * len(fields)]
    lines += [[shown(row.get(field, "")) for field in fields] for row in [*rows, *floors[:1]]]
    (HERE / "results.md").write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))


def shown(value: Any) -> str:
    """Return whole numbers with commas, others with two digits after the point, words as they are."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}" if isinstance(value, float) else value


def fid(row: dict[str, Any]) -> float:
    return row.get("fid1797_train[classifier]", float("inf"))


def draw(rows: list[dict[str, Any]]) -> None:
    """Write samples.png: a strip of each network's samples with its name and FID; real digits last."""
    import torch
    from PIL import Image, ImageDraw

    from gan_lightning.data import Digits
    from gan_lightning.pixels import grid, to_uint8

    reference = Digits().reference("train")
    strips = {"digits": torch.stack([reference[index]["image"] for index in range(COLUMNS)])}
    for row in reversed([row for row in rows if "error" not in row]):
        images = torch.load(FOLDER / row["model"] / "samples.pt", weights_only=True)
        strips = {f"{row['model']}\nFID {fid(row):.1f}": to_uint8(2 * images - 1), **strips}
    canvas = Image.new("L", (90 + 34 * COLUMNS + 2, 36 * len(strips)), 255)
    for index, (text, images) in enumerate(strips.items()):
        canvas.paste(grid(images, COLUMNS), (90, 36 * index))
        ImageDraw.Draw(canvas).multiline_text((4, 36 * index + 4), text, 0)
    canvas.resize((2 * canvas.width, 2 * canvas.height)).save(HERE / "samples.png")


def finished() -> list[dict[str, Any]]:
    """Return the results that are there, the best FID first."""
    paths = [path for path in FOLDER.glob("*/result.json") if path.parent.name in RUNS]
    return sorted((json.loads(path.read_text()) for path in paths), key=fid)


def main() -> None:
    """Run what is missing, one process after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(RUNS)}; none: all")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        return work(given.models[0])
    for name in given.models or RUNS:
        if (name, " ".join(RUNS[name])) not in [(row["model"], row["overrides"]) for row in finished()]:
            one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
            subprocess.run([sys.executable, __file__, "--work", name], env=one_thread, check=True)
        tabulate(finished())
        draw(finished())


if __name__ == "__main__":
    main()
