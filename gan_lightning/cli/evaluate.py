"""`python evaluate.py ckpt=PATH` or `real=FOLDER fake=FOLDER`: scores of trained generators, or of a folder.

`real=` may be a file of precomputed statistics, which `real=FOLDER save_stats=FILE` writes.
"""

from __future__ import annotations

import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from gan_lightning.cli.app import command
from gan_lightning.cli.objects import build
from gan_lightning.cli.values import check_numbers
from gan_lightning.errors import UserError
from gan_lightning.sizes import height_width

if TYPE_CHECKING:
    from gan_lightning.evaluation.evaluator import Evaluator
    from gan_lightning.evaluation.score_table import Table
    from gan_lightning.evaluation.trained_generators import TrainedGenerators
    from gan_lightning.inference.checkpoint_files import Found

NUMBERS = {
    "num_fakes": (int, 2),
    "seed": (int, -math.inf),
    "batch_size": (int, 1),
    "num_workers": (int, 0),
    "white": (float, 0),
    "raw": (bool, 0),
}
OF_GENERATORS = ("num_fakes", "split", "seed", "raw", "data", "network")
OF_FOLDERS = ("image_size", "white")


@command("evaluate")
def evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Measure what `cfg` (conf/evaluate.yaml) names, print a table, and return {"scores", "floor", "protocol"}.

    For several checkpoints "scores" is a dict of their scores by name. The table is also written to `out`, if it is
    given or there are several checkpoints.
    """
    check_numbers(cfg, NUMBERS, ("raw", "batch_size", "num_workers"))
    if cfg.image_size is not None:
        height_width(cfg.image_size, "image_size", least=1)
    _check_sides(cfg)
    _check_together(cfg)
    if cfg.save_stats is not None:
        return _save_statistics(cfg)
    if cfg.ckpt is None:
        return _folders(cfg)
    from gan_lightning.inference.checkpoint_files import find

    given = OmegaConf.to_container(cfg.ckpt) if OmegaConf.is_list(cfg.ckpt) else cfg.ckpt
    found = find(given, cfg.checkpoints)
    return _one(cfg, found[0]) if len(found) == 1 else _several(cfg, given, found)


def main() -> None:
    """Run the command line."""
    evaluate.main()


def _check_sides(cfg: DictConfig) -> None:
    """Refuse a command that does not say what is compared with what."""
    if cfg.save_stats is not None:
        if cfg.real is None:
            raise UserError("Say what to measure: real=FOLDER save_stats=FILE.npz.")
        return
    if cfg.ckpt is not None and cfg.real is not None and cfg.fake is None:
        if not _is_statistics(cfg.real):
            raise UserError(
                f"real={cfg.real} beside ckpt=... is no file of statistics (.npz, .pt): a generator is compared with "
                "its data set, or with data=folder data.root=FOLDER."
            )
        return
    if (cfg.real is None) != (cfg.fake is None):
        raise UserError("Two folders are compared: give both real=FOLDER and fake=FOLDER.")
    if (cfg.ckpt is None) == (cfg.real is None):
        raise UserError("Say what to evaluate: ckpt=PATH of a trained generator, or real=FOLDER fake=FOLDER.")


def _check_together(cfg: DictConfig) -> None:
    """Refuse options that would have no effect."""
    for key in OF_GENERATORS if cfg.ckpt is None else OF_FOLDERS:
        if cfg[key] is not None and cfg[key] is not False:  # a seed of 0 counts as given
            what = "a trained generator, ckpt=PATH" if cfg.ckpt is None else "two folders, real=FOLDER fake=FOLDER"
            raise UserError(f"{key}=... is for {what}: here it has no effect, leave it out.")


def _folders(cfg: DictConfig) -> dict[str, Any]:
    from gan_lightning.evaluation.image_sets import from_folder, score
    from gan_lightning.evaluation.trained_generators import METRICS
    from gan_lightning.inference.load import choose_device
    from gan_lightning.metrics.fid import FID
    from gan_lightning.metrics.inception import Inception

    out, known, options = _writable(cfg.out), _statistics(cfg), _of_folders(cfg)
    real = known or from_folder(str(cfg.real), *options)
    fake = from_folder(str(cfg.fake), *options)
    metrics = _metrics(cfg) or ({"fid": FID} if known else METRICS)
    extractor, device = _extractor(cfg) or Inception(), choose_device(cfg.device)
    scores, evaluator = score(real, fake, metrics, extractor, batch_size=cfg.batch_size, device=device)
    return _report(str(cfg.fake), scores, evaluator, out)


def _of_folders(cfg: DictConfig) -> tuple[Any, int, float | None]:
    """Return image_size, num_workers and white, in the order of `from_folder`."""
    size = tuple(cfg.image_size) if OmegaConf.is_list(cfg.image_size) else cfg.image_size
    return size, cfg.num_workers, cfg.white


def _is_statistics(path: Any) -> bool:
    from gan_lightning.evaluation.statistics import is_statistics

    return is_statistics(str(path))


def _statistics(cfg: DictConfig) -> Any:
    """Return the statistics that `real` names, None if it names none."""
    if cfg.real is None or not _is_statistics(cfg.real):
        return None
    from gan_lightning.evaluation.statistics import read_statistics

    return read_statistics(str(cfg.real))


def _save_statistics(cfg: DictConfig) -> dict[str, Any]:
    """Write the statistics of a folder of images; return {"statistics": the file, "images": their number}."""
    from gan_lightning.evaluation.image_sets import from_folder
    from gan_lightning.evaluation.statistics import check_target, measure_statistics, write_statistics
    from gan_lightning.inference.load import choose_device
    from gan_lightning.metrics.inception import Inception

    for key in ("ckpt", "fake", "out"):
        if cfg[key] is not None:
            raise UserError(f"save_stats=... measures the images in real=FOLDER alone: leave {key}=... out.")
    if cfg.metrics or _is_statistics(cfg.real):
        raise UserError("save_stats=... writes a mean and a covariance of images: give real=FOLDER, and no metrics=...")
    target = check_target(str(cfg.save_stats))
    real = from_folder(str(cfg.real), *_of_folders(cfg))
    extractor, device = _extractor(cfg) or Inception(), choose_device(cfg.device)
    found = measure_statistics(real, extractor, target, batch_size=cfg.batch_size, device=device)
    print(f"written: {write_statistics(found)}, {len(found.mean):,} features of {found.count:,} images of {real.name}")
    return {"statistics": str(target), "images": found.count}


def _metrics(cfg: DictConfig) -> dict[str, Any]:
    return {name: build(node) for name, node in cfg.metrics.items()}


def _extractor(cfg: DictConfig) -> Any:
    return None if cfg.extractor is None else build(cfg.extractor)


def _generators(cfg: DictConfig) -> TrainedGenerators:
    from gan_lightning.evaluation.trained_generators import TrainedGenerators

    options = {name: cfg[name] for name in ("num_fakes", "split", "seed", "batch_size", "raw", "device")}
    trusted = [cfg.trusted] if isinstance(cfg.trusted, str) else list(cfg.trusted)
    data = None if cfg.data is None else build(cfg.data)
    options |= {"trusted": trusted, "statistics": _statistics(cfg)}
    options |= {} if cfg.network is None else {"network": str(cfg.network)}
    return TrainedGenerators(_metrics(cfg), data, _extractor(cfg), **options)


def _one(cfg: DictConfig, found: Found) -> dict[str, Any]:
    generators, out = _generators(cfg), _writable(cfg.out)
    print(generators.load(found.path))
    scores, seen = generators.measure(out), generators.loaded.images_seen
    reported = _report(str(found.path), scores, generators.evaluator, out, seen)
    print("".join(f"{line}\n" for line in generators.published(scores)), end="")
    return reported


def _report(
    name: str, scores: dict[str, float], evaluator: Evaluator, out: Path | None, images_seen: int | None = None
) -> dict[str, Any]:
    """Print the scores, one per line, and write them to `out`."""
    from gan_lightning.evaluation.score_table import Row, show

    table = _table([Row(name, scores, images_seen)], evaluator)
    show(table)
    if out is not None:
        _write(table, out)
    return {"scores": scores, "floor": evaluator.floor, "protocol": evaluator.protocol}


def _several(cfg: DictConfig, given: Any, found: list[Found]) -> dict[str, Any]:
    """Measure checkpoints one after another; each result is written at once, and kept if a later one fails."""
    from gan_lightning.evaluation.protocol import describe
    from gan_lightning.evaluation.score_table import Row, Table

    out = _writable(cfg.out or _beside(given))
    assert out is not None
    generators, table, seen = _generators(cfg), Table([]), set()
    runs = [os.path.dirname(name) for _, _, name in found]
    for number, (path, run, name) in enumerate(found, start=1):
        loaded = generators.load(path)
        if loaded.images_seen is not None and (run, loaded.images_seen) in seen:
            continue  # the best checkpoint is also the last one
        seen.add((run, loaded.images_seen))
        try:
            scores = generators.measure(out / Path(name).with_suffix(""))
        except KeyboardInterrupt:
            print(f"Interrupted at {name}: the table has what was measured before.", flush=True)
            break
        print(f"{number}/{len(found)} {name} · {describe(scores)}", flush=True)
        table.rows.append(Row(name, scores, loaded.images_seen, os.path.dirname(name)))
        table.rows.sort(key=lambda row: (runs.index(row.run), row.images_seen or 0))
        table.floor |= generators.evaluator.floor
        table.baseline |= generators.evaluator.baseline
        table.notes = list(dict.fromkeys([*table.notes, *_notes(generators.evaluator)]))
        table.write(out)
    if not table.rows:
        raise UserError("Interrupted before the first checkpoint was measured: there is no table.")
    table.show()
    _write(table, out)
    scores_by_name = {row.name: row.scores for row in table.rows}
    return {"scores": scores_by_name, "floor": table.floor, "protocol": generators.evaluator.protocol}


def _table(rows: list[Any], evaluator: Evaluator) -> Table:
    from gan_lightning.evaluation.score_table import Table

    return Table(rows, evaluator.floor, _notes(evaluator), evaluator.baseline)


def _notes(evaluator: Evaluator) -> list[str]:
    notes = [evaluator.protocol]
    return [*notes, f"real images: {evaluator.floor_protocol}"] if evaluator.floor else notes


def _write(table: Table, out: Path) -> None:
    first, *others = table.write(out)
    print(f"written: {', '.join([str(first), *(path.name for path in others)])}")


def _beside(given: Any) -> Path:
    """Return the default folder of a table: the given folder, else the current one."""
    folder = Path(given).expanduser() if isinstance(given, str) else Path()
    return folder / "evaluation"


def _writable(folder: Any) -> Path | None:
    """Create and return the folder; raise a UserError, before anything is measured, if it cannot be written."""
    if folder is None:
        return None
    path = Path(str(folder)).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        raise UserError(f"out={path} cannot be written ({error.strerror}): choose another folder.") from error
