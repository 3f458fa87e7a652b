"""`python generate.py ckpt=PATH n=64 seed=0 out=FOLDER_or_PNG`: samples, or an export, from a trained generator."""

from __future__ import annotations

import math
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from gan_lightning.cli.app import command
from gan_lightning.cli.values import check_numbers
from gan_lightning.errors import UserError, suggest

if TYPE_CHECKING:
    from gan_lightning.inference.load import LoadedGenerator

NUMBERS: dict[str, tuple[type, float]] = {"raw": (bool, 0), "overwrite": (bool, 0), "by_class": (bool, 0)}
OPTIONS: dict[str, tuple[type, float]] = {  # options of sampling; null is off
    "truncation": (float, -math.inf),
    "truncation_layers": (int, 1),
    "mix_seed": (int, -math.inf),
    "mix_layer": (int, 1),
    "standing_batches": (int, 0),
    "rejection": (bool, 0),
    "rejection_percentile": (float, -math.inf),
    "langevin_steps": (int, 0),
    "langevin_step_size": (float, 0),
}
EXPORTS = {"onnx": "generator.onnx", "safetensors": "generator.safetensors"}


@command("generate")
def generate(cfg: DictConfig) -> Path:
    """Write the samples or the export that `cfg` (conf/generate.yaml) describes, print the path, and return it."""
    from gan_lightning.inference.load import load

    check_numbers(cfg, NUMBERS, NUMBERS)
    check_numbers(cfg, OPTIONS)
    if not cfg.ckpt:
        raise UserError("ckpt is missing: say ckpt=PATH, a checkpoint, a run's folder or a generator.safetensors.")
    if cfg.export and cfg.export not in EXPORTS:
        raise UserError(f"export={cfg.export} is not known: choose one of {suggest(cfg.export, EXPORTS)}.")
    if cfg.export and (
        asked := [*(name for name in ("label", "code") if cfg[name] is not None), *_by_class(cfg), *_options(cfg)]
    ):
        raise UserError(f"export={cfg.export} writes the generator as it is: leave out {', '.join(asked)}.")
    trusted = [cfg.trusted] if isinstance(cfg.trusted, str) else list(cfg.trusted or ())
    network = None if cfg.network is None else str(cfg.network)
    loaded = load(cfg.ckpt, trusted, cfg.raw, "cpu" if cfg.export else cfg.device, network)
    print(loaded)
    return _export(cfg, loaded) if cfg.export else _samples(cfg, loaded)


def _samples(cfg: DictConfig, loaded: LoadedGenerator) -> Path:
    from gan_lightning.inference.save import check_seeds, save_samples

    out = cfg.out or _next_free("generated", "" if len(loaded.image_shape) == 3 else ".csv")
    seed, label, codes = _plain(cfg.seed), _words(_plain(cfg.label), loaded), _plain(cfg.code)
    _, count = check_seeds(seed, cfg.n)
    options = {"by_class": cfg.by_class, **_options(cfg)}
    path = save_samples(loaded, out, cfg.n, seed, label, cfg.batch_size, cfg.overwrite, codes, **options)
    print(f"{count} sample{'s' * (count != 1)}{_drawn(label, loaded)}: {path.resolve()}")
    return path


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, ListConfig) else value


def _words(label: Any, loaded: LoadedGenerator) -> Any:
    """Return `label` with the names of classes that YAML reads as something else: true, 1e3."""
    if isinstance(label, list):
        return [_words(one, loaded) for one in label]
    if not isinstance(label, bool | float):
        return label
    meant = [name for name in loaded.class_names or () if _read(name) == label and isinstance(_read(name), type(label))]
    return meant[0] if len(meant) == 1 else label


def _read(name: str) -> Any:
    """Return what the command line makes of a word: true is a bool, 1e3 a number."""
    if name.lower() in ("true", "false"):
        return name.lower() == "true"
    try:
        return float(name)
    except ValueError:
        return name


def _drawn(label: Any, loaded: LoadedGenerator) -> str:
    """Return which class was asked for, "" if it is not a single one."""
    if label is None or isinstance(label, list) or (label == "all" and "all" not in (loaded.class_names or ())):
        return ""
    return f" of {loaded.class_text(loaded.class_number(label))}"


def _by_class(cfg: DictConfig) -> list[str]:
    return ["by_class"] if cfg.by_class else []


def _options(cfg: DictConfig) -> dict[str, Any]:
    """Return the options of sampling that are on."""
    return {name: cfg[name] for name in OPTIONS if cfg[name] is not None and cfg[name] is not False}


def _next_free(stem: str, suffix: str) -> Path:
    """Return ./stem.suffix, or the first of stem-2, stem-3, ... that does not exist."""
    names = (f"{stem}{'' if number == 1 else f'-{number}'}{suffix}" for number in count(1))
    return next(path for path in map(Path, names) if not path.exists())


def _export(cfg: DictConfig, loaded: LoadedGenerator) -> Path:
    from gan_lightning.inference.export import export_onnx, export_safetensors
    from gan_lightning.inference.save import make_room, writing

    name = EXPORTS[cfg.export]
    out = Path(cfg.out or name).expanduser()
    out = out if out.suffix == Path(name).suffix else out / name
    make_room(out, cfg.overwrite)
    with writing(out):
        if cfg.export == "onnx":
            export_onnx(loaded, out)
        else:
            export_safetensors(loaded.network, out, loaded.description)
    print(f"{cfg.export}: {out.resolve()}")
    return out


main = generate.main
