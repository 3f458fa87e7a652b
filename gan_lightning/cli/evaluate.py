"""`python evaluate.py ckpt=PATH` or `real=FOLDER fake=FOLDER`: scores of a trained generator, or of a folder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from gan_lightning.cli.app import command
from gan_lightning.cli.values import check_numbers
from gan_lightning.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gan_lightning.evaluation.evaluator import Evaluator
    from gan_lightning.inference.load import LoadedGenerator

NUMBERS = {
    "num_fakes": (int, 2),
    "seed": (int, -math.inf),
    "batch_size": (int, 1),
    "num_workers": (int, 0),
    "image_size": (int, 1),
    "raw": (bool, 0),
}
METRICS = {
    "fid": {"_target_": "gan_lightning.metrics.fid.FID", "_partial_": True},
    "is": {"_target_": "gan_lightning.metrics.inception_score.InceptionScore", "_partial_": True},
}
INCEPTION = {"_target_": "gan_lightning.metrics.inception.Inception"}


@command("evaluate")
def evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Measure what `cfg` (conf/evaluate.yaml) names, print a table, and return {"scores", "floor", "protocol"}."""
    check_numbers(cfg, NUMBERS, ("raw", "batch_size", "num_workers"))
    if (cfg.real is None) != (cfg.fake is None):
        raise UserError("Two folders are compared: give both real=FOLDER and fake=FOLDER.")
    if (cfg.ckpt is None) == (cfg.real is None):
        raise UserError("Say what to evaluate: ckpt=PATH of a trained generator, or real=FOLDER fake=FOLDER.")
    scores, evaluator = _generator(cfg) if cfg.ckpt is not None else _folders(cfg)
    _print(scores, evaluator)
    return {"scores": scores, "floor": evaluator.floor, "protocol": evaluator.protocol}


def main() -> None:
    """Run the command line."""
    evaluate.main()


def _folders(cfg: DictConfig) -> tuple[dict[str, float], Evaluator]:
    from gan_lightning.evaluation.images import from_folder, score
    from gan_lightning.inference.load import choose_device

    real, fake = (from_folder(folder, cfg.image_size, cfg.num_workers) for folder in (cfg.real, cfg.fake))
    metrics, extractor = _metrics(cfg, METRICS), _extractor(cfg, INCEPTION)
    return score(real, fake, metrics, extractor, batch_size=cfg.batch_size, device=choose_device(cfg.device))


def _generator(cfg: DictConfig) -> tuple[dict[str, float], Evaluator]:
    from gan_lightning.evaluation.evaluator import Evaluator
    from gan_lightning.inference.load import load

    trusted = [cfg.trusted] if isinstance(cfg.trusted, str) else list(cfg.trusted)
    loaded = load(cfg.ckpt, trusted, cfg.raw, cfg.device)
    saved = _Saved(loaded, trusted)
    data = _build(cfg.data) if cfg.data is not None else saved.data()
    if tuple(data.image_shape) != loaded.image_shape:
        raise UserError(
            f"The generator in {loaded.path} makes images of shape {loaded.image_shape}, and data={data.name} has "
            f"{tuple(data.image_shape)}: set data.image_size and data.channels to fit, or choose its own data set."
        )
    training = saved.part("evaluation") or {}
    options = {key: _first(cfg[key], training.get(key)) for key in ("num_fakes", "split", "seed")}
    evaluator = Evaluator(
        _metrics(cfg, saved.part("metrics") or METRICS),
        data,
        _extractor(cfg, saved.part("extractor") or INCEPTION),
        num_fakes=options["num_fakes"],
        split=options["split"] or "train",
        seed=options["seed"] or 0,
        batch_size=cfg.batch_size,
        raw=cfg.raw,
    )
    if not saved.averaged:
        evaluator.samples = "raw samples"
    evaluator.attach(loaded.network, _discriminator(loaded, evaluator))
    evaluator.prepare(loaded.device)
    print(loaded)

    def sample(start: int, stop: int, labels: Tensor | None = None) -> Tensor:
        return loaded.generate(start, stop, evaluator.seed, labels)

    return evaluator.evaluate(sample, images_seen=loaded.images_seen or 0), evaluator


def _discriminator(loaded: LoadedGenerator, evaluator: Evaluator) -> nn.Module | None:
    return loaded.discriminator() if evaluator.measures_generator else None


class _Saved:
    """The configuration inside a checkpoint: it is data, so only classes that our own groups name are built from it."""

    def __init__(self, loaded: LoadedGenerator, trusted: list[str]) -> None:
        self.path, self.config, self.trusted = loaded.path, loaded.config or {}, trusted

    @property
    def averaged(self) -> bool:
        """Whether training kept a moving average of the weights; taken for granted where the file does not say."""
        return bool(self.config.get("model", {}).get("ema_kimg", True))

    def part(self, group: str) -> dict[str, Any] | None:
        """Return a node of the configuration; UserError if it names a class that is not one of ours."""
        node = self.config.get(group)
        allowed = _named(group) | set(self.trusted)
        for name in sorted(_targets(node) - allowed):
            raise UserError(
                f"{self.path} asks for {name}, which is not one of gan_lightning's: if you trust it, add "
                f"trusted=[{name}], or choose {group}=... yourself."
            )
        return node

    def data(self) -> Any:
        """Return the data set of the training."""
        node = self.part("data")
        if node is None:
            raise UserError(f"{self.path} does not say what it was trained on: choose the data set by data=...")
        return _build(node)


def _named(group: str) -> set[str]:
    """Return every class that the shipped files of a group name."""
    from importlib.resources import files

    folder = files("gan_lightning.conf") / group
    if not folder.is_dir():
        return set()
    nodes = [OmegaConf.create(file.read_text()) for file in folder.iterdir() if file.name.endswith(".yaml")]
    return set().union(*[_targets(OmegaConf.to_container(node)) for node in nodes])


def _targets(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {str(node["_target_"])} if "_target_" in node else set()
        return own.union(*map(_targets, node.values()))
    return set().union(*map(_targets, node)) if isinstance(node, list) else set()


def _metrics(cfg: DictConfig, otherwise: dict[str, Any]) -> dict[str, Any]:
    return {name: _build(node) for name, node in (cfg.metrics or otherwise).items()}


def _extractor(cfg: DictConfig, otherwise: dict[str, Any]) -> Any:
    return _build(otherwise if cfg.extractor is None else cfg.extractor)


def _build(node: Any) -> Any:
    from gan_lightning.cli.objects import build

    return build(node)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _print(scores: dict[str, float], evaluator: Evaluator) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from gan_lightning.evaluation.report import number

    table = Table("score", "value", "real images")
    for name, value in scores.items():
        floor = number(evaluator.floor[name]) if name in evaluator.floor else ""
        table.add_row(Text(name), number(value), floor)  # Text: fid[classifier] is no markup
    console = Console(highlight=False)
    console.print(table)
    print(evaluator.protocol)
    if evaluator.floor:
        print(f"real images: {evaluator.floor_protocol}")
