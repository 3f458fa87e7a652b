"""This checkout's training step against another's, in alternating processes: python versions.py OTHER [--pairs 12]

OTHER: the folder of another checkout, such as that of a former commit. Each process trains DCGAN (32x32, batch 64) and
an MLP on points (batch 512) with the library of one checkout. It tells its median time of a step and its peak memory.
Times are CPU seconds of one thread, so that other programs on the machine count little. A ratio is the median over the
pairs, ours to theirs; the interval has 95% or more of the medians of such pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from math import comb
from pathlib import Path

GAMES = {"dcgan": (4, 8), "mlp2d": (100, 12)}  # steps of a block, and blocks
HERE = Path(__file__).resolve()


def times(name: str) -> float:
    """Return the median seconds of a step of the library that is imported."""
    import lightning as L
    import torch

    from gan_lightning import GAN
    from gan_lightning.networks import DCGANBackbone, DCGANGenerator, Discriminator, MLP2dBackbone, MLP2dGenerator

    steps, blocks = GAMES[name]
    seconds: list[float] = []

    class Blocks(L.LightningDataModule):
        batch_size = 64 if name == "dcgan" else 512

        def train_dataloader(self) -> Blocks:
            return self

        def __len__(self) -> int:
            return steps * (blocks + 1)

        def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
            shape = (64, 3, 32, 32)
            batch = torch.randint(0, 256, shape, dtype=torch.uint8) if name == "dcgan" else torch.randn(512, 2)
            for _ in range(blocks + 1):
                start = time.process_time()
                for _ in range(steps):
                    yield {"image": batch}
                seconds.append((time.process_time() - start) / steps)

    if name == "dcgan":
        networks = DCGANGenerator(32, 3), Discriminator(DCGANBackbone(32, 3))
    else:
        networks = MLP2dGenerator(), Discriminator(MLP2dBackbone())
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet)
    trainer.fit(GAN(*networks), datamodule=Blocks())
    return statistics.median(seconds[1:])  # the first one warms up


def one(checkout: Path) -> dict[str, float]:
    """Return the times of a process of its own that uses the library of `checkout`, and its peak memory in MiB."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE), "--worker"]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert Path(told.pop("library")).is_relative_to(checkout), "the library is another checkout's"
    return told


def interval(ratios: list[float]) -> tuple[float, float]:
    """Return the order statistics between which the median lies with a probability of at least 95%."""
    ordered, count = sorted(ratios), len(ratios)
    left_out = 0
    while 2 * sum(comb(count, k) for k in range(left_out + 2)) / 2**count <= 0.05:
        left_out += 1
    return ordered[left_out], ordered[-1 - left_out]


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--worker", action="store_true")
    options = parser.parse_args()
    if options.worker:
        warnings.simplefilter("ignore")
        import gan_lightning

        told = {name: times(name) for name in GAMES}
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**told, "memory": memory, "library": gan_lightning.__file__}))
        return
    checkouts = [HERE.parents[2], options.other.resolve()]
    ratios: dict[str, list[float]] = {}
    for pair in range(options.pairs):
        order = checkouts if pair % 2 else checkouts[::-1]
        told = {checkout: one(checkout) for checkout in order}
        for name in (*GAMES, "memory"):
            ours, theirs = (told[checkout][name] for checkout in checkouts)
            ratios.setdefault(name, []).append(ours / theirs)
        print(", ".join(f"{name} {values[-1]:.3f}" for name, values in ratios.items()), flush=True)
    for name, values in ratios.items():
        low, high = interval(values)
        told = f"{statistics.median(values):.3f} of theirs ({low:.3f} to {high:.3f})"
        print(f"{name}: ours takes {told}, {len(values)} pairs")


if __name__ == "__main__":
    main()
