"""`python train.py`: compose, check, build, fit, export."""

from __future__ import annotations

import logging
import os
import shlex
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from gan_lightning.cli import resume
from gan_lightning.cli.absolute import make_absolute
from gan_lightning.cli.app import Command, command, first_process, overrides
from gan_lightning.cli.words import quoted
from gan_lightning.errors import UserError
from gan_lightning.paths import write_atomically
from gan_lightning.sweeps.result import leaves_result

OF_A_RUN = ("checkpoints/last.ckpt", "metrics.csv", "generator.safetensors")

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game


@command("train", resume.composed_from)
@leaves_result
def train(config: DictConfig) -> dict[str, Any]:
    """Train with `config`; return the run's folder, its last and its best scores.

    Raises UserError for mistakes before the training starts.
    """
    from gan_lightning.cli import build, preflight
    from gan_lightning.cli.run_data import keep_class_order
    from gan_lightning.inference.read import read_state

    _quiet_lightning()
    config = _settled(config)
    preflight.check(config)
    build.settle_extractor(config)
    folder = Path(config.run_dir)
    checkpoint = _checkpoint(config, folder)
    data, module = build.data(config), build.module(config)
    keep_class_order(data, checkpoint or config.init_from)
    measure = build.evaluator(config, data)
    saved = None if checkpoint is None else read_state(checkpoint)
    _check_together(config, data, module, measure, saved)
    start = _start(module, checkpoint, saved, config.strict)
    if checkpoint is None and config.init_from is not None:
        _begin_with(module, config.init_from)
    _check_length(build.epochs(config), start)
    trainer = build.trainer(config, build.callbacks(config, measure), build.loggers(config))
    if first_process():
        _write_config(config, folder)
        if licence := getattr(data, "licence", ""):
            write_atomically(folder / "LICENCE-DATA.txt", partial(_write, f"{licence}\n"))
    _fit(trainer, module, data, checkpoint, start)
    if trainer.is_global_zero:
        _finish(module, folder)
    return {"run_dir": str(folder), "images_seen": module.images_seen, "scores": module.scores, "best": module.best}


def _quiet_lightning() -> None:
    """Show only Lightning's warnings, and of these only those that concern a GAN."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for text in ("isinstance.treespec", "not have many workers", "ended before the epoch", "module.s. in eval mode"):
        warnings.filterwarnings("ignore", f".*{text}.*")


def _check_together(config: DictConfig, data: Any, module: Game, measure: Any, saved: dict[str, Any] | None) -> None:
    """Prepare the data, and check the game on them, in the first process; the others start after these checks.

    saved: the training state to go on from, None for a new training.
    """
    from gan_lightning.cli import build
    from gan_lightning.cli.run_data import fall_to_images
    from gan_lightning.evaluation.evaluation_callback import attach

    if first_process():
        module.check()  # checks without data, before any is downloaded
        data.prepare_data()  # now, to report missing or unreadable files
    fall_to_images(config, data, module)
    if first_process():
        data.setup("fit")
        if saved is not None and hasattr(data, "described"):  # before networks built for other classes are blamed
            module.check_classes(saved["gan_lightning"], data.described())
        module.check(data, build.processes(config.trainer))
        if measure is not None:
            attach(measure, module)
            measure.check()


def _settled(config: DictConfig) -> DictConfig:
    """Return the configuration with its run folder set, merged with that of a resumed run."""
    with open_dict(config):
        if OmegaConf.is_interpolation(config, "run_dir") and not HydraConfig.initialized():
            config.run_dir = time.strftime("outputs/%Y-%m-%d/%H-%M-%S") + f"-{time.time_ns() % 10**9 // 1000:06d}"
        config.run_dir = str(Path(config.run_dir).expanduser().resolve())
    if config.resume is not None:
        folder = resume.run_folder([f"resume={quoted(str(config.resume))}"])
        assert folder is not None
        config = resume.merge(config, overrides(), folder)
    make_absolute(config)
    return config


def _checkpoint(config: DictConfig, folder: Path) -> Path | None:
    if config.resume is not None:
        return resume.last_checkpoint(folder)
    if first_process() and any((folder / name).exists() for name in OF_A_RUN):
        raise UserError(f"{folder} holds a run already: resume={folder} continues it, run_dir=... starts another.")
    if config.ckpt_path is None:
        return None
    if config.init_from is not None:
        raise UserError(
            "ckpt_path and init_from exclude each other: the first takes up a training with its optimisers and "
            "counters, the second only weights."
        )
    path = Path(str(config.ckpt_path)).expanduser()
    if not path.exists():
        raise UserError(f"ckpt_path={path} is not there: give a checkpoint, or the folder of a run.")
    return resume.last_checkpoint(path) if path.is_dir() else path


def _write_config(config: DictConfig, folder: Path) -> None:
    """Write the configuration, resolved and as composed, and the options of groups that it is composed of."""
    before = resume.saved_choices(folder) if config.resume is not None else _chosen()
    texts = {
        "config.yaml": OmegaConf.to_yaml(config, resolve=True),
        resume.SAVED: OmegaConf.to_yaml(config),
        resume.CHOICES: OmegaConf.to_yaml(OmegaConf.create(resume.choices(overrides(), before))),
    }
    for name, text in texts.items():
        write_atomically(folder / name, partial(_write, text))


def _write(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _chosen() -> dict[str, Any]:
    """Return the options of groups that Hydra composed the configuration of, as far as it says so."""
    return resume.of_groups(dict(HydraConfig.get().runtime.choices)) if Command.running else {}


def _start(module: Game, checkpoint: Path | None, saved: dict[str, Any] | None, strict: bool) -> dict[str, Any] | None:
    """Return the training state to start from, None for a new training; raise UserError if it does not fit.

    With strict=false, the tensors that fit a changed architecture are loaded here, and optimisers start fresh.
    """
    if saved is None:
        return None
    changed = module.changes(saved)
    if changed and strict:
        raise UserError(
            f"{checkpoint} was trained with another architecture: {changed} differ; configure the model as it was, "
            "or take over what fits, with fresh optimisers, by strict=false."
        )
    if changed:
        module.take_over(saved)
        return None
    return saved


def _begin_with(module: Game, path: str) -> None:
    """Start a new training with the weights at `path` that fit, and print which did not."""
    from gan_lightning.inference.read import read_weights

    lines = module.begin_with(read_weights(str(path)))
    if first_process():
        print("\n".join(lines), flush=True)


def _check_length(epochs: int, start: dict[str, Any] | None) -> None:
    """Refuse fewer epochs than the training state has; with equally many there is nothing to do."""
    from gan_lightning.modules.going_on import saved_place

    entry = start["gan_lightning"] if start else {}
    done = saved_place(entry, None).epochs if entry.get("batches_per_epoch") else 0
    if 0 < epochs < done:
        raise UserError(f"max_epochs={epochs} is less than the {done} epochs that are trained already: give more.")


def _fit(trainer: Any, module: Game, data: Any, checkpoint: Path | None, start: dict[str, Any] | None) -> None:
    from lightning.pytorch.utilities.exceptions import MisconfigurationException

    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint if start else None, weights_only=True)
    except MisconfigurationException as error:
        raise UserError(f"Lightning cannot train as asked: {' '.join(str(error).split())}") from error
    if start and module.images_seen == start["gan_lightning"]["images_seen"] and first_process():
        print(f"Nothing was left to train after {module.images_seen:,} images: for more give max_epochs or max_kimg.")


def _finish(module: Game, folder: Path) -> None:
    """Export the generator, if there is one, and print where the files are."""
    from gan_lightning.inference.export import export_generator

    made = next(iter(module.producers().values()), None)
    best: Any = None if made is None else made.network
    name = "generator" if best is None else module.name_of(best) or "generator"
    if hasattr(best, "latent_dim"):  # a generator of noise
        export_generator(best, folder, module.network_description(), name)
    shown = os.path.relpath(folder)
    shown = shown if not shown.startswith("..") else str(folder)
    pictures = ("samples.png", "samples.gif", "samples", "codes.png", "curves.png")
    for file in (*pictures, "metrics.csv", "config.yaml", "checkpoints", "generator.safetensors"):
        if (folder / file).exists():
            print(f"{file:<22}{shown}/{file}")
    if made is None:
        return
    ending = "csv" if len(getattr(best, "image_shape", ())) == 1 else "png"  # 2-D points are not a picture
    taken = shlex.quote(f"ckpt={shown}") + f" network={name}" * (name != "generator")
    print(f"more samples:         {_program('generate')} {taken} n=64 seed=1 out=samples.{ending}")


def _program(name: str) -> str:
    """Return the command line for another of our commands."""
    return f"python {name}.py" if sys.argv[0].endswith(".py") else f"gan-{name}"


def main() -> None:
    """Run the command line; a resumed run writes to its folder."""
    try:
        folder = resume.run_folder(sys.argv[1:])
    except UserError as error:
        sys.exit(f"gan-train: {error}")
    if folder is not None and not any(word.startswith("hydra.run.dir=") for word in sys.argv):
        sys.argv += [f"hydra.run.dir='{folder}'", "hydra.output_subdir=null"]
    assert isinstance(train, Command)
    train.main()


if __name__ == "__main__":
    main()
