"""The launcher `processes`: every job of a sweep is a single run in a separate process, with a table at the end.

In one process jobs would share device memory, environment and loggers. If a job had several processes, each would run
the whole sweep again, and with Optuna with other parameters.
"""

# No `from __future__ import annotations`: dataclasses look in sys.modules, where Hydra's scan puts this file late.

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

NOT_A_JOBS = (
    *("hydra.mode", "hydra.run", "hydra.sweep", "hydra.launcher", "hydra/launcher", "hydra/sweeper", "sweep="),
    "run_dir=",  # the sweep's; each job has its own below it
)
SINGLE_RUN = ("hydra.mode=RUN", "hydra/launcher=basic", "hydra/sweeper=basic")


@dataclass
class ProcessesConf:
    """n_jobs: number of jobs at a time. gpus: names of the GPUs to distribute (null: all visible ones)."""

    _target_: str = "hydra_plugins.gan_lightning_processes.launcher.ProcessLauncher"
    n_jobs: int = 1
    gpus: list[str] | None = None


ConfigStore.instance().store(group="hydra/launcher", name="processes", node=ProcessesConf, provider="gan_lightning")


class ProcessLauncher(Launcher):
    """Runs jobs as processes, `n_jobs` at a time; a job that fails does not affect the others."""

    context: HydraContext
    config: DictConfig

    def __init__(self, n_jobs: int = 1, gpus: Sequence[str] | None = None) -> None:
        from gan_lightning.errors import UserError

        if n_jobs < 1:
            raise UserError(f"hydra.launcher.n_jobs={n_jobs} is out of range: at least 1 job at a time.")
        self.n_jobs, self.gpus = n_jobs, gpus

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store the arguments that compose a job."""
        from gan_lightning.errors import UserError

        if config.hydra.sweeper.get("max_batch_size") is not None:
            raise UserError("hydra.sweeper.max_batch_size ends a sweep at a failed job: use hydra.launcher.n_jobs.")
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs, then write and print the table; UserError if any failed."""
        from gan_lightning.errors import UserError
        from gan_lightning.sweeps.sweep_table import report

        complete, returns = self.run(job_overrides, initial_job_idx)
        report(self.folder)
        if not complete:
            sys.exit(130)
        failed = sum(job.status is JobStatus.FAILED for job in returns)
        if failed:
            raise UserError(f"{failed} of {len(returns)} jobs failed: {self.folder}/results.md says why.")
        return returns

    def run(self, job_overrides: Sequence[Sequence[str]], first: int) -> tuple[bool, list[JobReturn]]:
        """Run jobs numbered from `first`; return False if the user interrupted, and each job's outcome."""
        from gan_lightning.sweeps.processes import run_all, visible_gpus
        from gan_lightning.tracebacks import users_environment

        environment = users_environment()
        gpus = self.gpus if self.gpus is not None else visible_gpus(environment) if self.n_jobs > 1 else []
        jobs = [self._job(first + index, list(words)) for index, words in enumerate(job_overrides)]
        due = [job for job in jobs if not _done_before(job)]
        complete = run_all(due, environment, self.n_jobs, [str(gpu) for gpu in gpus])
        return complete, [_outcome(job.folder, job.overrides) for job in jobs]

    @property
    def folder(self) -> Path:
        """The sweep's folder."""
        return Path(str(self.config.hydra.sweep.dir)).resolve()

    def _job(self, number: int, overrides: list[str]) -> Any:
        from gan_lightning.sweeps.processes import Job

        own = [word for word in overrides if not word.lstrip("+~").startswith((*NOT_A_JOBS, "hydra."))]
        composed = self.context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(composed):
            composed.hydra.job.num, composed.hydra.job.id = number, str(number)
        folder = self.folder / str(composed.hydra.sweep.subdir)
        given = OmegaConf.to_container(self.config.hydra.overrides)  # unresolved: interpolations belong to the job
        assert isinstance(given, dict)
        shared = [word for word in given["hydra"] if not word.startswith(NOT_A_JOBS)]
        place = [f"hydra.run.dir={_quoted(str(folder))}", f"hydra.job.num={number}", *SINGLE_RUN]
        if (folder / "checkpoints" / "last.ckpt").is_file():  # an earlier start of this sweep was interrupted in it
            place += [f"resume={_quoted(str(folder))}", "hydra.output_subdir=null"]
        command = [*program(), *config_flags(sys.argv[1:]), *own, *shared, *place]
        return Job(number, own, folder, command, " ".join(word for word in own if word not in given["task"]))


def program() -> list[str]:
    """Return the command that starts the running program again: a module, a script or a console script."""
    import __main__

    module = getattr(__main__, "__spec__", None)
    if module is not None:
        return [sys.executable, "-m", module.name]
    return [sys.executable, os.path.abspath(sys.argv[0])]


def config_flags(arguments: Sequence[str]) -> list[str]:
    """Return the command line's flags that locate its configuration."""
    parser = argparse.ArgumentParser(add_help=False)
    for name, letters in (("--config-dir", "-cd"), ("--config-path", "-cp"), ("--config-name", "-cn")):
        parser.add_argument(name, letters)
    found = vars(parser.parse_known_args(list(arguments))[0])
    return [f"--{name.replace('_', '-')}={value}" for name, value in found.items() if value is not None]


def _quoted(text: str) -> str:
    """Return `text` as a quoted string of Hydra's override grammar."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def _done_before(job: Any) -> bool:
    """Return whether an earlier start of this sweep finished the job; UserError if its folder holds another run."""
    from gan_lightning.errors import UserError
    from gan_lightning.sweeps.result import read

    result = read(job.folder)
    if result is None or not result.done:
        return False
    if result.overrides != job.overrides:
        raise UserError(f"{job.folder} holds a run of another sweep: choose another run_dir.")
    print(f"job {job.number}: done before")
    return True


def _outcome(folder: Path, overrides: list[str]) -> JobReturn:
    """Return the job's result; for a failed job, reading the value raises the reason."""
    from gan_lightning.errors import UserError
    from gan_lightning.sweeps.result import read

    result = read(folder)
    outcome = JobReturn(overrides=overrides, working_dir=str(folder))
    if result is not None and result.done:
        outcome.status, outcome.return_value = JobStatus.COMPLETED, result
    else:
        outcome.status = JobStatus.FAILED
        outcome.return_value = UserError((result and result.error) or "The job was not started.")
    return outcome
