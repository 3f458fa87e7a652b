"""Ratios of gan-lightning to plain loops, measured in one run: python experiments/speed/measure.py [--blocks 15]

Contenders take turns in blocks of a few steps, so that all see the same machine; a ratio is the median over the
blocks. Lightning keeps its loop: the rivals play while it waits for its next batch.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator

import lightning as L
import torch
from rivals import Block, TutorialDiscriminator, TutorialGenerator, bare, tutorial
from torch import Tensor, nn

from gan_lightning import GAN
from gan_lightning.networks import DCGANBackbone, DCGANGenerator, Discriminator, MLP2dBackbone, MLP2dGenerator

Networks = Callable[[], tuple[nn.Module, nn.Module]]


class TakingTurns(L.LightningDataModule):
    """Serves the same batch in blocks; between two blocks the rivals play theirs against the clock."""

    def __init__(self, batch: Tensor, rivals: dict[str, Block], steps: int, blocks: int) -> None:
        super().__init__()
        self.batch, self.rivals, self.steps, self.blocks = batch, rivals, steps, blocks
        self.batch_size = len(batch)
        self.seconds: dict[str, list[float]] = {name: [] for name in ("lightning", *rivals)}

    def train_dataloader(self) -> TakingTurns:
        return self

    def __len__(self) -> int:
        return self.steps * (self.blocks + 1)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for _ in range(self.blocks + 1):  # the first block warms up
            start = time.perf_counter()
            for _ in range(self.steps):
                yield {"image": self.batch}
            self.seconds["lightning"].append(time.perf_counter() - start)
            for name, play in self.rivals.items():
                start = time.perf_counter()
                play(self.steps)
                self.seconds[name].append(time.perf_counter() - start)


def compare(title: str, networks: Networks, batch: Tensor, steps: int, blocks: int, rivals: dict[str, Block]) -> None:
    """Print the median ratio of each rival's time to gan-lightning's, with quartiles."""
    turns = TakingTurns(batch, rivals, steps, blocks)
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    ema_kimg = 10.0 if "bare" in rivals else None  # the tutorial keeps no average of the weights, the bare loop does
    trainer.fit(GAN(*networks(), ema_kimg=ema_kimg), datamodule=turns)
    ours = turns.seconds["lightning"][1:]
    print(f"{title}: {1000 * statistics.median(ours) / steps:.2f} ms a step, {blocks} blocks of {steps}")
    for name in rivals:
        ratios = [theirs / mine for theirs, mine in zip(turns.seconds[name][1:], ours, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"  {name:<22} takes {middle:.3f} of our time (quartiles {low:.3f} to {high:.3f})", flush=True)


def images(size: int, channels: int, batch_size: int) -> Tensor:
    return torch.randint(0, 256, (batch_size, channels, size, size), dtype=torch.uint8)


def dcgan(size: int, channels: int) -> Networks:
    return lambda: (DCGANGenerator(size, channels), Discriminator(DCGANBackbone(size, channels)))


def points() -> tuple[nn.Module, nn.Module]:
    return MLP2dGenerator(), Discriminator(MLP2dBackbone())


def rival(name: str, size: int, batch: Tensor) -> Block:
    """Return a DCGAN loop: a tutorial's with the networks as it writes them, or the bare step with ours."""
    if name == "tutorial":
        return tutorial(TutorialGenerator(size, 3), TutorialDiscriminator(size, 3), batch)
    return bare(*dcgan(size, 3)(), batch, channels_last=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, lightning {L.__version__}, {options.threads} threads")
    for name in ("tutorial", "bare"):
        for size, steps in ((32, 8), (64, 3)):
            batch = images(size, 3, 64)
            rivals = {name: rival(name, size, batch)}
            compare(f"DCGAN {size}x{size}, batch 64", dcgan(size, 3), batch, steps, options.blocks, rivals)
    batch = torch.randn(512, 2)
    compare("MLP on 2-D mixtures, batch 512", points, batch, 100, options.blocks, {"bare": bare(*points(), batch)})


if __name__ == "__main__":
    main()
