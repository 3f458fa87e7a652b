"""A command: Hydra composes its configuration, a task runs, and a user's mistake gives one sentence.

This module does not import torch, so that `--help`, completion and mistakes in the command line answer at once.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from gan_lightning import tracebacks
from gan_lightning.cli.sentences import check_groups, sentence
from gan_lightning.cli.words import apart, prepared
from gan_lightning.data import resolvers
from gan_lightning.errors import UserError
from hydra_plugins import gan_lightning_processes

CONFIG_MODULE = "gan_lightning.conf"
NO_FOLDER = (PermissionError, NotADirectoryError, FileExistsError)
Task = Callable[[DictConfig], Any]
Words = Callable[[list[str]], list[str]]


def command(name: str, composed_from: Words = list) -> Callable[[Task], Command]:
    """Decorate a function of a configuration as a command with the configuration `conf/<name>.yaml`.

    composed_from: returns those words of a command line from which Hydra composes; the task applies the others.
    """
    return lambda task: Command(name, task, composed_from)


class Command:
    """Callable with a composed configuration or with a list of overrides; `main` is the command line.

    From Python it raises UserError; on the command line it prints the sentence and exits with status 1.
    running: whether the task runs on the command line, where Hydra knows where its configuration lies.
    """

    running: ClassVar[bool] = False

    def __init__(self, name: str, task: Task, composed_from: Words = list) -> None:
        self.name, self.task, self.composed_from = name, task, composed_from
        self._typed: list[str] | None = None  # the command line until the task begins, which is Hydra's end
        self.__doc__ = task.__doc__

    def __call__(self, config: DictConfig | Sequence[str]) -> Any:
        """Run in this process and return what the task returns."""
        if isinstance(config, DictConfig):
            return self.task(config)
        _given[:] = prepared(config)
        try:
            return self.task(self.compose(config))
        finally:
            _given.clear()

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """Return the configuration composed with `overrides`; raises UserError for an invalid one."""
        _register()
        words = prepared(overrides)
        check_groups(words)
        return composed(self.name, self.composed_from(words))

    def main(self) -> None:
        """Run the command line."""
        _register()
        with _one_sentence(self.name):
            self._typed = sys.argv[1:] = prepared(sys.argv[1:])
            check_groups(self._typed)
            sys.argv[1:] = self.composed_from(self._typed)
            run = hydra.main(version_base="1.3", config_path=f"pkg://{CONFIG_MODULE}", config_name=self.name)(self._job)
            try:
                run()
            except NO_FOLDER as error:  # Hydra makes the run's folder before the task begins
                raise error if self._typed is None else _cannot_write(error) from error
            finally:
                sys.stdout.flush()  # here, where a closed pipe ends quietly, not at the interpreter's end

    def _job(self, config: DictConfig) -> Any:
        tracebacks.give_back()
        with _one_sentence(self.name), _plain_warnings():
            if self._typed is not None:
                sys.argv[1:] = self._typed  # for processes that are started again from it
                if self.composed_from(self._typed) != self._typed:
                    _set_overrides(apart(self._typed)[0])
            self._typed, Command.running = None, True
            if "run_dir" in config:
                with open_dict(config):
                    config.run_dir = HydraConfig.get().runtime.output_dir
            try:
                return self.task(config)
            finally:
                Command.running = False


def composed(name: str, words: Sequence[str]) -> DictConfig:
    """Return `conf/<name>.yaml` composed with `words`, also within a task; raises UserError for invalid ones."""
    with nullcontext() if Command.running else hydra.initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        try:
            return hydra.compose(name, [*words])
        except (HydraException, OmegaConfBaseException, OSError) as error:
            raise UserError(sentence(error, name, words)) from error


def _cannot_write(error: OSError) -> UserError:
    return UserError(f"{error.filename} cannot be written ({error.strerror}): choose another folder by run_dir=FOLDER.")


def _set_overrides(words: list[str]) -> None:
    """Let Hydra's record of the command line hold all of its overrides."""
    node: Any = HydraConfig.get().overrides
    own = [word for word in words if not word.startswith("hydra")]
    with read_write(node), open_dict(node):
        node.task = own


_given: list[str] = []


def overrides() -> list[str]:
    """Return the overrides of the running command, from the command line or from Python."""
    if _given or not HydraConfig.initialized():  # Hydra keeps its record where it could not make the run's folder
        return list(_given)
    return OmegaConf.to_container(HydraConfig.get().overrides.task)  # type: ignore[return-value]


def _register() -> None:
    resolvers.register()
    gan_lightning_processes.register()


def first_process() -> bool:
    """Return whether this is the process that the user started, not one that Lightning starts."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print our own warnings without the place in the code, which says nothing to a user."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], filename: str, *place: Any, **more: Any) -> None:
        if "gan_lightning" in Path(filename).parts:
            print(f"warning: {message}", file=sys.stderr, flush=True)
        else:
            before(message, category, filename, *place, **more)

    warnings.showwarning = show  # type: ignore[assignment]
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    """Print a user's mistake as one sentence and exit with status 1; the traceback comes with HYDRA_FULL_ERROR=1.

    Ctrl-C prints one word and exits with status 130; a closed pipe ends quietly with status 141.
    """
    tracebacks.borrow()
    try:
        yield
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if tracebacks.wanted():
            traceback.print_exc()
        if first_process():
            print(f"gan-{name}: {sentence(error, name, sys.argv[1:])}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # `train.py | head`: whoever read the output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the interpreter's end
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        if first_process():
            print(f"gan-{name}: interrupted.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    finally:
        tracebacks.give_back()
