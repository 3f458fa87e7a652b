"""Weights & Biases: online with a login and a network, else offline, with the command to upload."""

from __future__ import annotations

import netrc
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from lightning.pytorch.loggers import WandbLogger as LightningWandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from gan_lightning.errors import UserError
from gan_lightning.loggers.base import StartsWithModule
from gan_lightning.paths import write_atomically
from gan_lightning.scores import better, kind

if TYPE_CHECKING:
    from gan_lightning.modules.game import Game

ID_FILE = "wandb_id"


class WandbLogger(StartsWithModule, LightningWandbLogger):
    """Log scalars over images seen, sample grids, the resolved config, and the best score of each kind as summary.

    The scores' `protocol` is added to the config with the first scores.

    save_dir: the run folder; it gets `wandb/` and the run's id in `wandb_id`, so that a resumed run continues the same
        W&B run.
    offline: True or False; None is offline if there is no login or no network, and prints the reason.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        project: str = "gan-lightning",
        name: str | None = None,
        entity: str | None = None,
        group: str | None = None,
        tags: list[str] | None = None,
        notes: str | None = None,
        offline: bool | None = None,
    ) -> None:
        options: dict[str, Any] = {"entity": entity, "group": group, "tags": tags, "notes": notes}
        LightningWandbLogger.__init__(self, save_dir=Path(save_dir), project=project, name=name, **options)
        self._wish = offline
        self._best: dict[str, float] = {}
        self._own_run = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Return the W&B run, started at the first call; on other ranks an object that does nothing."""
        if self._experiment is None:
            self._experiment = self._begin()
        return self._experiment

    def start(self, module: Game) -> None:
        """Record the resolved config, and load the best scores so far."""
        config = getattr(module, "config", None)
        self.experiment.config.update(dict(config or {}), allow_val_change=True)
        for name, value in getattr(module, "best", {}).items():
            self._keep_best(name, value)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one row; its x-axis value is `images_seen`, or `step` if `metrics` does not contain it."""
        self.experiment.log(metrics if step is None else {"images_seen": step, **metrics})
        if protocol := self.protocol(metrics):
            self.experiment.config.update({"protocol": protocol}, allow_val_change=True)
        for name, value in metrics.items():
            if kind(name) and better(name, value, self._best.get(name)):
                self._keep_best(name, value)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Finish the run at the end of training; it failed unless `status` is "success"."""
        self.finish(failed=status != "success")

    @rank_zero_only
    def finish(self, failed: bool = False) -> None:
        """End the W&B run and print how to upload it if it is offline; safe to call twice."""
        run, self._experiment = self._experiment, None
        if run is None or not self._own_run:
            return
        run.finish(exit_code=int(failed))
        if run.offline:
            print(f"W&B: the run is on this disk only; upload it with\n  {self.sync_command(run.id)}")

    def sync_command(self, run_id: str) -> str:
        """Return the shell command that uploads all offline parts, one per resume, of run `run_id`."""
        parts = sorted(Path(self.save_dir or ".").resolve().glob(f"wandb/offline-run-*-{run_id}*"))
        return " ".join(["wandb sync", *(f"'{part}'" if " " in str(part) else str(part) for part in parts)])

    def _keep_best(self, name: str, value: float) -> None:
        self._best[name] = value
        self.experiment.summary[f"best/{name}"] = value

    def _begin(self) -> Any:
        import wandb

        run = wandb.run or self._init()  # an existing run belongs to the user (a W&B sweep) and is not finished here
        run.define_metric("images_seen", hidden=True)
        run.define_metric("*", step_metric="images_seen", step_sync=True)
        return run

    def _init(self) -> Any:
        import wandb

        reason = "as configured" if self._wish else offline_reason()
        if self._wish is False and reason:
            raise UserError(f"logger.wandb.offline=false, but W&B is {reason}; offline=null trains all the same.")
        known = Path(self.save_dir or ".") / ID_FILE
        known.parent.mkdir(parents=True, exist_ok=True)
        options = {name: value for name, value in self._wandb_init.items() if value is not None}
        if known.exists():
            options["id"] = known.read_text().strip()
        settings = wandb.Settings(console="off", silent=bool(reason))  # keeps the progress bar out of the log
        try:
            run = wandb.init(**options, mode="offline" if reason else None, settings=settings)
        except wandb.errors.Error as error:
            raise UserError(f"W&B did not start the run: {error}; offline=true goes on without.") from error
        self._own_run = True
        write_atomically(known, lambda path: path.write_text(run.id))
        if reason:
            print(f"W&B: offline ({reason}); upload with\n  {self.sync_command(run.id)}")
        return run


def offline_reason() -> str | None:
    """Return the reason why W&B cannot be reached, or None if there is a login and a network."""
    mode = os.environ.get("WANDB_MODE")
    if mode in ("online", "disabled", "shared"):
        return None
    if mode in ("offline", "dryrun"):
        return f"WANDB_MODE={mode}"
    server = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai")
    host = server.hostname or ""
    if not _logged_in(host):
        return "not logged in: run `wandb login` or set WANDB_API_KEY"
    if not _reachable(host, server.port or (80 if server.scheme == "http" else 443)):
        return f"no network: {host} can't be reached"
    return None


def _logged_in(host: str) -> bool:
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        logins = netrc.netrc(os.environ.get("NETRC")).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    return host in logins


def _reachable(host: str, port: int, seconds: float = 3.0) -> bool:
    """Return whether a connection opens; behind a proxy, whether the proxy answers."""
    proxy = urlsplit(getproxies().get("https", ""))
    try:
        socket.create_connection((proxy.hostname or host, proxy.port or port), timeout=seconds).close()
    except OSError:
        return False
    return True
