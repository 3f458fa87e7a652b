"""A command: Hydra composes its configuration, a task runs, and a user's mistake gives one sentence.

This module does not import torch, so that `--help`, completion and mistakes in the command line answer at once.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from gan_lightning import tracebacks
from gan_lightning.cli.sentences import check_groups, sentence
from gan_lightning.data import resolvers
from gan_lightning.errors import UserError
from hydra_plugins import gan_lightning_processes

CONFIG_MODULE = "gan_lightning.conf"
Task = Callable[[DictConfig], Any]


def command(name: str) -> Callable[[Task], Command]:
    """Decorate a function of a configuration as a command with the configuration `conf/<name>.yaml`."""
    return lambda task: Command(name, task)


class Command:
    """Callable with a composed configuration or with a list of overrides; `main` is the command line.

    From Python it raises UserError; on the command line it prints the sentence and exits with status 1.
    """

    def __init__(self, name: str, task: Task) -> None:
        self.name, self.task = name, task
        self.__doc__ = task.__doc__

    def __call__(self, config: DictConfig | Sequence[str]) -> Any:
        """Run in this process and return what the task returns."""
        if isinstance(config, DictConfig):
            return self.task(config)
        _given[:] = config
        try:
            return self.task(self.compose(config))
        finally:
            _given.clear()

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the configuration composed with `overrides`; raises UserError for an invalid one."""
        _register()
        check_groups(overrides)
        with hydra.initialize_config_module(CONFIG_MODULE, version_base="1.3"):
            try:
                return hydra.compose(self.name, [*overrides])
            except (HydraException, OmegaConfBaseException, OSError) as error:
                raise UserError(sentence(error, self.name)) from error

    def main(self) -> None:
        """Run the command line."""
        _register()
        with _one_sentence(self.name):
            check_groups(sys.argv[1:])
            hydra.main(version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name=self.name)(self._job)()

    def _job(self, config: DictConfig) -> Any:
        tracebacks.give_back()
        with _one_sentence(self.name):
            if "run_dir" in config:
                with open_dict(config):
                    config.run_dir = HydraConfig.get().runtime.output_dir
            return self.task(config)


_given: list[str] = []


def overrides() -> list[str]:
    """Return the overrides of the running command, from the command line or from Python."""
    if not HydraConfig.initialized():
        return list(_given)
    return OmegaConf.to_container(HydraConfig.get().overrides.task)  # type: ignore[return-value]


def _register() -> None:
    resolvers.register()
    gan_lightning_processes.register()


def first_process() -> bool:
    """Return whether this is the process that the user started, not one that Lightning starts."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    """Print a user's mistake as one sentence and exit with status 1; the traceback comes with HYDRA_FULL_ERROR=1.

    Ctrl-C prints one word and exits with status 130.
    """
    tracebacks.borrow()
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if tracebacks.wanted():
            traceback.print_exc()
        if first_process():
            print(f"gan-{name}: {sentence(error, name)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        if first_process():
            print(f"gan-{name}: interrupted.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    finally:
        tracebacks.give_back()
