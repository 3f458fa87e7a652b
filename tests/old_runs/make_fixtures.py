"""The script that made the runs in `fixtures` and what they are held against: by hand, at commit 568080b.

They stand for the runs that users have on disk, so they are never made anew: later code must read them as they are.
The folders were made on one thread of a CPU, in a place that is no one's own, since a run writes down where it lies.
"""

from __future__ import annotations

import json
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import gan_lightning
from gan_lightning.cli.evaluate import evaluate
from gan_lightning.cli.train import train
from gan_lightning.inference.export import export_generator
from gan_lightning.loggers.csv import read_rows

FIXTURES = Path(__file__).parent / "fixtures"
MADE_IN = Path("/tmp/old_runs")
SHORT = [
    *("trainer.accelerator=cpu", "trainer.devices=1", "callbacks.sample_grid.rows=2"),
    *("callbacks.sample_grid.columns=2", "callbacks.sample_grid.gif_frames=0"),
]
MLP2D = [
    *("model=mlp2d", "data=ring", "schedule=linear_decay", "max_epochs=14", "log_every=24"),
    *("model.generator.width=32", "model.discriminator.backbone.width=32", "model.ema_kimg=0.5"),
    *("data.num_points=2048", "data.batch_size=64", "callbacks.sample_grid.every_epochs=8"),
    *("evaluation.num_fakes=500", "evaluation.every_epochs=4"),
]
STYLEGAN2_ADA = [
    *("model=stylegan2", "data=digits", "conditioning=mapped_projection", "max_epochs=2", "log_every=4"),
    *("model.generator.latent_dim=8", "model.generator.style_dim=8", "model.generator.mapping_layers=3"),
    *("model.generator.channel_base=64", "model.generator.channel_max=8"),
    *("model.discriminator.backbone.channel_base=64", "model.discriminator.backbone.channel_max=8"),
    *("model.ema_kimg=0.2", "augment=ada", "augment.kimg=2", "augment.interval=2"),
    *("data.image_size=16", "data.batch_size=32", "trainer.limit_train_batches=24"),
    *("metrics=[swd,kid]", "metrics.swd.images=128", "metrics.swd.patches=8", "metrics.swd.directions=32"),
    *("metrics.kid.subsets=10", "metrics.kid.subset_size=64", "extractor.epochs=1"),
    *("evaluation.num_fakes=128", "callbacks.checkpoint.monitor=kid"),
]
RESUMED = {"mlp2d": [], "stylegan2_ada": ["max_kimg=null"]}  # words beside resume=FOLDER, with which it goes on
KEPT = ("config.yaml", ".hydra/config.yaml", "metrics.csv", "checkpoints", "generator.safetensors", "generator.json")


def make(name: str) -> Path:
    """Train the run and stop it in the middle of an epoch; keep what is resumed and what is loaded, no pictures."""
    folder = MADE_IN / name
    shutil.rmtree(folder, ignore_errors=True)
    if name == "mlp2d":
        interrupted([*MLP2D, *SHORT, f"run_dir={folder}"], 399)
        loaded = gan_lightning.load(folder / "checkpoints/last.ckpt")  # an interrupted run exports no generator
        export_generator(loaded.network, folder, torch.load(loaded.path, weights_only=True)["gan_lightning"])
    else:
        train([*STYLEGAN2_ADA, *SHORT, f"run_dir={folder}", "max_kimg=1.28"])
    shutil.rmtree(FIXTURES / name, ignore_errors=True)
    for kept in KEPT:
        source, target = folder / kept, FIXTURES / name / kept
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    return folder


def interrupted(words: list[str], iteration: int) -> None:
    """Train, and press Ctrl-C in the iteration of this number."""
    play = gan_lightning.GAN.training_step

    def training_step(module: Any, *arguments: Any) -> None:
        if module.iteration == iteration:
            signal.raise_signal(signal.SIGINT)
        play(module, *arguments)

    gan_lightning.GAN.training_step = training_step
    with suppress(KeyboardInterrupt, SystemExit):
        train(words)
    gan_lightning.GAN.training_step = play


def record(name: str, folder: Path) -> None:
    """Write down what the run made as it was stopped, then its history and what it came to at its end."""
    tensors = samples(folder, "best") | samples(folder, "last") | {"last/logits": logits(folder)}
    told = {"scores": evaluate([f"ckpt={folder}", "device=cpu"])["scores"]}
    ended = train([f"resume={folder}", *RESUMED[name]])
    tensors |= samples(folder, "last", "resumed/") | (weights(folder) if name == "mlp2d" else {})
    told |= {"images_seen": ended["images_seen"], "resumed_scores": ended["scores"]}
    told["rows"] = read_rows(folder / "metrics.csv")[1]
    (FIXTURES / name / "expected.json").write_text(json.dumps(told, indent=1) + "\n")
    tensors = {key: value.clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    save_file(tensors, FIXTURES / name / "expected.safetensors")


def samples(folder: Path, which: str, prefix: str = "") -> dict[str, torch.Tensor]:
    """Return 16 samples of seed 0, by the averaged weights and by the raw ones of a checkpoint."""
    path = folder / f"checkpoints/{which}.ckpt"
    both = {"averaged": False, "raw": True}
    return {f"{prefix}{which}/{name}": gan_lightning.load(path, raw=raw).sample(16) for name, raw in both.items()}


def logits(folder: Path) -> torch.Tensor:
    """Return what the last checkpoint's discriminator thinks of 16 samples, shown as the classes 0, 1, ..."""
    loaded = gan_lightning.load(folder / "checkpoints/last.ckpt")
    labels = torch.arange(16) % loaded.num_classes if loaded.num_classes else None
    return loaded.discriminator()(loaded.generate(0, 16), labels).logits


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return all weights of the last checkpoint by the names of its networks."""
    path = folder / "checkpoints/last.ckpt"
    raw = gan_lightning.load(path, raw=True)
    networks = {"averaged": gan_lightning.load(path).network, "raw": raw.network, "discriminator": raw.discriminator()}
    return {f"weights/{name}/{key}": v for name, network in networks.items() for key, v in network.state_dict().items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    for run in RESUMED:
        record(run, make(run))
