"""Peak memory of training DCGAN-64, each contender in a process of its own: python experiments/speed/memory.py"""

from __future__ import annotations

import resource
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

STEPS = 6


def peak(contender: str) -> float:
    """Train a few steps as `contender` and return by how many MiB the process's peak memory grew."""
    from measure import dcgan, images, points, rival
    from torch import randn

    fit(points(), randn(8, 2))  # both load all that Lightning loads when it trains, so that only training differs
    batch = images(64, 3, 64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if contender == "tutorial":
        rival("tutorial", 64, batch)(STEPS)
    else:
        fit(dcgan(64, 3)(), batch)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def fit(networks: tuple[nn.Module, nn.Module], batch: Tensor) -> None:
    """Train a few steps with Lightning; without a weight average, since the tutorial keeps none."""
    import lightning as L
    from measure import TakingTurns

    from gan_lightning import GAN

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet)
    trainer.fit(GAN(*networks, ema_kimg=None), datamodule=TakingTurns(batch, {}, STEPS, 0))


def main() -> None:
    """Print the growth of each, and their ratio, for five pairs of runs."""
    if len(sys.argv) > 1:
        warnings.simplefilter("ignore")
        print(peak(sys.argv[1]))
        return
    for _ in range(5):
        run = [sys.executable, __file__]
        ours, theirs = (
            float(subprocess.run([*run, name], capture_output=True, text=True, check=True).stdout.split()[-1])
            for name in ("gan-lightning", "tutorial")
        )
        print(f"gan-lightning {ours:.0f} MiB, tutorial {theirs:.0f} MiB: {ours / theirs:.2f} of the tutorial's")


if __name__ == "__main__":
    main()
