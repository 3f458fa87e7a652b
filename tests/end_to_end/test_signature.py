"""The product in one line: `python train.py model=dcgan data=celeba trainer.devices=2`."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT, run
from PIL import Image

import gan_lightning

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
IMAGES = 16

NOTES = '''
import json
from pathlib import Path
from lightning import Callback

class Notes(Callback):
    """Writes what this process saw and what it ended with."""

    seen = []

    def on_train_batch_start(self, trainer, module, batch, index):
        self.seen.append(batch["image"].float().mean((1, 2, 3)).tolist())

    def on_train_end(self, trainer, module):
        weights = {name: float(value.double().sum()) for name, value in module.named_parameters()}
        told = {"world": trainer.world_size, "seen": self.seen, "weights": weights}
        Path(trainer.default_root_dir, f"process{trainer.global_rank}.json").write_text(json.dumps(told))
'''


def celeba(root: Path) -> None:
    """Write a small CelebA as its authors lay it out: faces of 178x218, attributes, partition."""
    folder = root / "celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(1, IMAGES + 9)]
    for number, name in enumerate(names):
        noise = np.random.default_rng(number).integers(0, 256, (5, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((178, 218), Image.Resampling.BICUBIC).save(folder / name)
    parts = [f"{name} {0 if number < IMAGES else 2}" for number, name in enumerate(names)]
    (root / "celeba/list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    rows = [f"{name} {1 - 2 * (number % 2)} -1" for number, name in enumerate(names)]
    (root / "celeba/list_attr_celeba.txt").write_text("\n".join([str(len(names)), "Smiling Male", *rows]) + "\n")


@pytest.mark.slow
def test_dcgan_on_celeba_with_two_processes(tmp_path: Path, inception_weights: Path) -> None:
    celeba(tmp_path / "data")
    (tmp_path / "torch/hub/checkpoints").mkdir(parents=True)
    shutil.copy(inception_weights, tmp_path / "torch/hub/checkpoints" / WEIGHTS)
    (tmp_path / "notes.py").write_text(NOTES)
    small = ["data.image_size=16", "data.batch_size=8"]
    small += ["model.generator.width=4", "model.discriminator.backbone.width=4"]
    small += ["max_kimg=0.016", "evaluation.num_fakes=8", "log_every=1", "run_dir=run"]
    words = ["model=dcgan", "data=celeba", "trainer.devices=2", "trainer.accelerator=cpu", *small]
    words.append("+callbacks.notes._target_=notes.Notes")
    ended = run(
        [str(ROOT / "train.py"), *words],
        tmp_path,
        TORCH_HOME=str(tmp_path / "torch"),
        GAN_LIGHTNING_CACHE=str(tmp_path / "cache"),
        PYTHONPATH=str(tmp_path),
    )
    folder = tmp_path / "run"
    first, second = (json.loads((folder / f"process{rank}.json").read_text()) for rank in (0, 1))
    assert first["world"] == second["world"] == 2 and first["weights"] == second["weights"]
    shown = [value for told in (first, second) for batch in told["seen"] for value in batch]
    assert len(shown) == IMAGES and [len(batch) for batch in first["seen"]] == [4, 4]
    assert len(set(shown)) > IMAGES // 2 and not set(first["seen"][0]) & set(second["seen"][0])

    with open(folder / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    name = "fid8_train[unverified]"
    scores = [float(row[name]) for row in rows if row.get(name)]
    assert scores and all(math.isfinite(score) and score > 0 for score in scores)
    assert "fid8_train" not in rows[0] and rows[-1]["images_seen"] == str(IMAGES)
    for name in ("samples.png", "samples.gif", "curves.png", "config.yaml", "generator.json", "checkpoints/best.ckpt"):
        assert (folder / name).stat().st_size > 0, name
    assert list((folder / "samples").iterdir())
    assert gan_lightning.load(folder).image_shape == (3, 16, 16)
    assert "generate.py ckpt=run n=64" in ended.stdout and "8 EMA samples (seed 0) vs 16 train images" in ended.stdout
    assert "Traceback" not in ended.stderr and ended.stdout.count("more samples:") == 1  # by one process
