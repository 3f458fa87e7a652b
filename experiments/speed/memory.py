"""Peak memory of training DCGAN-64, each contender in a process of its own: python experiments/speed/memory.py"""

from __future__ import annotations

import resource
import subprocess
import sys
import warnings

STEPS = 6


def peak(contender: str) -> float:
    """Train a few steps as `contender` and return by how many MiB the process's peak memory grew."""
    import lightning as L  # both import the same, so that only training differs
    from measure import TakingTurns, dcgan, images
    from rivals import tutorial

    from gan_lightning import GAN

    batch, networks = images(64, 3, 64), dcgan(64, 3)()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if contender == "tutorial":
        tutorial(*networks, batch)(STEPS)
    else:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        module = GAN(*networks, ema_kimg=None)  # the tutorial keeps no average
        trainer = L.Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet)
        trainer.fit(module, datamodule=TakingTurns(batch, {}, STEPS, 0))
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def main() -> None:
    """Print the growth of each, and their ratio, for three pairs of runs."""
    if len(sys.argv) > 1:
        warnings.simplefilter("ignore")
        print(peak(sys.argv[1]))
        return
    for _ in range(3):
        run = [sys.executable, __file__]
        ours, theirs = (
            float(subprocess.run([*run, name], capture_output=True, text=True, check=True).stdout.split()[-1])
            for name in ("gan-lightning", "tutorial")
        )
        print(f"gan-lightning {ours:.0f} MiB, tutorial {theirs:.0f} MiB: {ours / theirs:.2f} of the tutorial's")


if __name__ == "__main__":
    main()
