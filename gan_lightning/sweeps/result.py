"""The result of a run, for comparisons: `result.json` in its folder."""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_lightning.errors import UserError
from gan_lightning.paths import write_atomically

FILE = "result.json"
HYDRAS = {".hydra", *(f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides"))}  # written before a task
Task = Callable[[DictConfig], dict[str, Any]]


@dataclass
class Result:
    """How a run ended.

    status: "done" or "failed". scores: the last ones. best: the best value of each. images_seen: by the discriminator.
    error: one sentence, if the run failed.
    """

    status: str
    overrides: list[str]
    scores: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    images_seen: int | None = None
    seconds: float | None = None
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether the run was completed."""
        return self.status == "done"

    def write(self, folder: Path) -> None:
        """Write to `folder`/result.json."""
        values = asdict(self) | {"scores": _finite(self.scores), "best": _finite(self.best)}
        write_atomically(folder / FILE, lambda path: path.write_text(json.dumps(values, indent=2) + "\n"))


def read(folder: Path) -> Result | None:
    """Return the result in `folder`, None if there is none or it cannot be read."""
    try:
        return Result(**json.loads((folder / FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def leaves_result(task: Task) -> Task:
    """Make a training task write `result.json` to its run folder, also if it fails.

    The task returns run_dir, images_seen, scores and best. A failure never overwrites an earlier result. A run that is
    refused before it begins leaves no folder, unless it is a job of a sweep, whose table says why.
    """

    @functools.wraps(task)
    def wrapper(config: DictConfig) -> dict[str, Any]:
        start, ours = time.monotonic(), _ours(config)
        overrides = _overrides()
        try:
            outcome = task(config)
        except BaseException as error:
            failed = Result("failed", overrides, seconds=_since(start), error=reason(error))
            _leave_failure(failed, config, refused=isinstance(error, UserError) and ours)
            raise
        if _first_process():
            kept = {name: outcome[name] for name in ("scores", "best", "images_seen")}
            Result("done", overrides, **kept, seconds=_since(start)).write(Path(outcome["run_dir"]))
        return outcome

    return wrapper


def reason(error: BaseException) -> str:
    """Return one sentence that says why a run ended with `error`."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UserError):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, KeyboardInterrupt | SystemExit | BrokenPipeError):
        return "Interrupted."
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _overrides() -> list[str]:
    """Return the overrides as written, without resolving interpolations."""
    return OmegaConf.to_container(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []  # type: ignore


def _leave_failure(result: Result, config: DictConfig, refused: bool) -> None:
    try:
        folder = Path(config.run_dir)
        if not _first_process() or not folder.is_dir():
            return
        if refused and {str(path.relative_to(folder)) for path in folder.rglob("*")} <= HYDRAS:
            _remove(folder)
        elif not (folder / FILE).exists():
            result.write(folder)
    except (OmegaConfBaseException, OSError):
        return  # no folder to write to; the error that is being raised says more


def _remove(folder: Path) -> None:
    """Remove a folder with nothing but Hydra's files, and those above it, in the present one, that are empty then."""
    shutil.rmtree(folder / ".hydra", ignore_errors=True)
    folder.rmdir()
    for parent in folder.absolute().parents:
        if not parent.is_relative_to(Path.cwd()) or parent == Path.cwd() or any(parent.iterdir()):
            return
        parent.rmdir()


def _ours(config: DictConfig) -> bool:
    """Return whether the run's folder is made for this run alone: by Hydra, not for a job of a sweep, or later."""
    if HydraConfig.initialized():
        hydra = HydraConfig.get()
        return hydra.mode is not RunMode.MULTIRUN and OmegaConf.is_missing(hydra.job, "num")
    try:
        return not Path(config.run_dir).exists()
    except OmegaConfBaseException:  # it is only named in the task
        return True


def _first_process() -> bool:
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def _since(start: float) -> float:
    return round(time.monotonic() - start, 1)


def _finite(scores: Mapping[str, float]) -> dict[str, float]:
    """Remove values that JSON cannot express."""
    return {name: float(value) for name, value in scores.items() if math.isfinite(value)}
