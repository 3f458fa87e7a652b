"""A command that takes no time: it notes what it saw, and does or fails as told."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from PIL import Image

import hydra_plugins.gan_lightning_processes
from gan_lightning.errors import UserError
from gan_lightning.sweeps.result import leaves_result

hydra_plugins.gan_lightning_processes.register()


@hydra.main(version_base="1.3", config_path=".", config_name="stub")
@leaves_result
def main(config: DictConfig) -> dict:
    folder = Path(config.run_dir)
    seen = {"config": OmegaConf.to_container(config, resolve=True), "environment": dict(os.environ), "pid": os.getpid()}
    seen |= {"mode": HydraConfig.get().mode.name, "number": HydraConfig.get().job.num}
    (folder / "seen.json").write_text(json.dumps(seen))
    if config.behaviour == "fail":
        raise UserError("The stub was told to fail.")
    if config.behaviour == "die":
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if config.behaviour == "wait":
        signal.signal(signal.SIGINT, signal.default_int_handler)
        (folder / "waiting").touch()
        time.sleep(60)
    Image.new("RGB", (64, 64), (255, 0, 0) if config.lr < 0.01 else (0, 0, 255)).save(folder / "samples.png")
    fid = 10 * (math.log10(config.lr) + 3) ** 2 + config.seed
    scores = {"fid": fid, "is": 2.0}
    return {"run_dir": str(folder), "images_seen": 1000, "scores": scores, "best": scores}


if __name__ == "__main__":
    main()
