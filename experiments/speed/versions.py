"""This checkout's training step against another's: python experiments/speed/versions.py OTHER [--pairs 12]

OTHER: the folder of another checkout, such as that of a former commit. Of each pair one process trains with the library
of this checkout, one with the other's: DCGAN (32x32, batch 64) or an MLP on points (batch 512). They take turns in
blocks of some tenths of a second, so that both see the same machine, and the order of a block's two turns alternates.
A pair's ratio is the median over its blocks, ours to theirs; what is printed last is the median over the pairs with an
interval that holds it with a probability of at least 95%. Times are CPU seconds of one thread.
"""

from __future__ import annotations

import argparse
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

STEPS = {"dcgan": 4, "mlp2d": 100}  # of a block
BLOCKS = 30
HERE = Path(__file__).resolve()


def work(name: str) -> None:
    """Train a block for each line of the input, and answer with its seconds; in the end with the peak memory in MiB."""
    import lightning as L
    import torch

    from gan_lightning import GAN
    from gan_lightning.networks import DCGANBackbone, DCGANGenerator, Discriminator, MLP2dBackbone, MLP2dGenerator

    torch.manual_seed(0)
    small = name == "mlp2d"

    class Blocks(L.LightningDataModule):
        batch_size = 512 if small else 64

        def train_dataloader(self) -> Blocks:
            return self

        def __len__(self) -> int:
            return STEPS[name] * (BLOCKS + 1) + 1

        def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
            batch = torch.randn(512, 2) if small else torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
            for _ in range(BLOCKS + 1):
                sys.stdin.readline()
                start = time.process_time()
                for _ in range(STEPS[name]):
                    yield {"image": batch}
                print(time.process_time() - start, flush=True)
            yield {"image": batch}  # one more, so that the last block ends here

    if small:
        networks = MLP2dGenerator(), Discriminator(MLP2dBackbone())
    else:
        networks = DCGANGenerator(32, 3), Discriminator(DCGANBackbone(32, 3))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet)
    trainer.fit(GAN(*networks), datamodule=Blocks())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


class Worker:
    """A process that trains with the library of `checkout`."""

    def __init__(self, checkout: Path, name: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        code = f"import gan_lightning; assert gan_lightning.__file__.startswith('{checkout}/'), gan_lightning.__file__"
        subprocess.run([sys.executable, "-c", code], cwd=checkout, env=environment, check=True)
        command = [sys.executable, str(HERE), "--work", name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, cwd=checkout, env=environment, text=True, **pipes)

    def block(self) -> float:
        """Let it train a block; return the seconds."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.told()

    def told(self) -> float:
        """Return the next number that it prints."""
        return float(self.process.stdout.readline())


def pair(ours: Path, theirs: Path, name: str) -> tuple[float, float]:
    """Return the ratio of times, ours to theirs, and that of the peaks of memory."""
    workers, ratios = (Worker(ours, name), Worker(theirs, name)), []
    for number in range(BLOCKS + 1):
        order = workers if number % 2 else workers[::-1]
        seconds = {worker: worker.block() for worker in order}
        if number:  # the first one warms up
            ratios.append(seconds[workers[0]] / seconds[workers[1]])
    memory = workers[0].told() / workers[1].told()
    return statistics.median(ratios), memory


def interval(ratios: list[float]) -> tuple[float, float]:
    """Return the order statistics between which the median lies with a probability of at least 95%."""
    ordered, count, left_out = sorted(ratios), len(ratios), 0
    while 2 * sum(comb(count, k) for k in range(left_out + 2)) / 2**count <= 0.05:
        left_out += 1
    return ordered[left_out], ordered[-1 - left_out]


def report(what: str, ratios: list[float]) -> None:
    """Print the median and its interval."""
    low, high = interval(ratios)
    print(f"{what}: ours is {statistics.median(ratios):.3f} of theirs ({low:.3f} to {high:.3f}), {len(ratios)} pairs")


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", nargs="?", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--work", choices=STEPS)
    options = parser.parse_args()
    if options.work:
        warnings.simplefilter("ignore")
        work(options.work)
        return
    for name in STEPS:
        found = [pair(HERE.parents[2], options.other.resolve(), name) for _ in range(options.pairs)]
        report(f"{name}, time", [time for time, _ in found])
        report(f"{name}, memory", [memory for _, memory in found])


if __name__ == "__main__":
    main()
