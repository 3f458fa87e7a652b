"""Runs each job in a separate process, with its own device, environment and random state; a crash affects one job."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from gan_lightning.sweeps.result import FILE, Result, read

LOG = "job.log"
GRACE = 30.0  # seconds that an interrupted job has to save its state, before a stronger signal
KINDNESS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
OF_ANOTHER_RUN = ("LOCAL_RANK", "RANK", "WORLD_SIZE", "NODE_RANK", "GROUP_RANK", "PL_GLOBAL_SEED")


@dataclass
class Job:
    """One run: its number in the sweep, its overrides, its folder, its command line.

    title: what distinguishes it from the other jobs.
    """

    number: int
    overrides: list[str]
    folder: Path
    command: list[str]
    title: str = ""


def run_all(jobs: Sequence[Job], environment: Mapping[str, str], parallel: int = 1, gpus: Sequence[str] = ()) -> bool:
    """Run `jobs`, `parallel` at a time; return False if the user interrupted. Each leaves a result in its folder.

    One at a time shows its output; several write theirs to `job.log` in their folders.
    """
    waiting, running = deque(jobs), dict[int, _Child]()
    with _Stop.listening() as stop:
        while running or (waiting and not stop.level):
            for slot in set(range(parallel)) - running.keys():
                if waiting and not stop.level:
                    place = environment_of(slot, environment, parallel, gpus)
                    running[slot] = _Child(waiting.popleft(), place, show=parallel == 1)
            time.sleep(0.05)
            stop.pass_on(running.values())
            for slot in [slot for slot, child in running.items() if child.ended(bool(stop.level))]:
                del running[slot]
    return not stop.level


def environment_of(slot: int, environment: Mapping[str, str], parallel: int, gpus: Sequence[str]) -> dict[str, str]:
    """Return the environment of a job in `slot` of `parallel`: its share of GPUs and cores, nothing of other runs."""
    own = {name: value for name, value in environment.items() if name not in OF_ANOTHER_RUN and name[:7] != "MASTER_"}
    if parallel > 1:
        if gpus:
            own["CUDA_VISIBLE_DEVICES"] = ",".join(gpus[slot::parallel] or [gpus[slot % len(gpus)]])
        own.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // parallel)))
    return own


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Return this machine's GPUs as named in CUDA_VISIBLE_DEVICES, without torch, whose import takes seconds."""
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    listed = subprocess.run([program, "-L"], capture_output=True, text=True, check=False).stdout
    return [str(i) for i, _ in enumerate(re.findall(r"^GPU \d+", listed, re.MULTILINE))]


class _Child:
    """A job's process in a new session, so that a signal reaches its ranks and loaders but not the sweep."""

    def __init__(self, job: Job, environment: Mapping[str, str], show: bool) -> None:
        job.folder.mkdir(parents=True, exist_ok=True)
        (job.folder / FILE).unlink(missing_ok=True)
        self.job, self.show, self.start = job, show, time.monotonic()
        print(f"job {job.number}: {job.title}  ->  {_shown(job.folder)}", flush=True)
        with open(job.folder / LOG, "wb") as log:
            self.process = subprocess.Popen(
                job.command,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=None if show else log,
                stderr=log,
                start_new_session=True,
            )
        self._log = open(job.folder / LOG, "rb") if show else None  # noqa: SIM115

    def ended(self, interrupted: bool) -> bool:
        """Return whether the job has ended; then its folder contains a result."""
        status = self.process.poll()
        if self._log is not None:
            sys.stderr.write(self._log.read().decode(errors="replace"))
            sys.stderr.flush()
        if status is None:
            return False
        if self._log is not None:
            self._log.close()
        self._conclude(status, interrupted)
        return True

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the job and its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def _conclude(self, status: int, interrupted: bool) -> None:
        result = read(self.job.folder)
        if status != 0 and interrupted:
            result = result or Result("failed", self.job.overrides)
            result.status, result.error = "failed", "Interrupted."
        elif result is None or (status != 0 and result.done):
            error = f"{_how(status)}{_last_line(self.job.folder / LOG)}"
            result = Result("failed", self.job.overrides, seconds=round(time.monotonic() - self.start, 1), error=error)
        result.overrides = self.job.overrides
        result.write(self.job.folder)
        if not self.show or not result.done:
            print(f"job {self.job.number}: {result.status}{f': {result.error}' if result.error else ''}", flush=True)


class _Stop:
    """Level of the user's request to stop: 0 for none, plus 1 for each Ctrl-C or GRACE seconds of waiting."""

    def __init__(self) -> None:
        self.level, self._since, self._sent = 0, 0.0, 0

    @classmethod
    @contextmanager
    def listening(cls) -> Iterator[_Stop]:
        """Handle the signals that end a program, unless they are ignored on purpose (nohup)."""
        stop, before = cls(), {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, stop._press)
        try:
            yield stop
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pass_on(self, children: Iterable[_Child]) -> None:
        """Send a signal to the children, once for each level."""
        if self.level and time.monotonic() - self._since > GRACE:
            self._press()
        if self._sent < self.level:
            self._sent = self.level
            for child in children:
                child.send(KINDNESS[min(self.level, len(KINDNESS)) - 1])

    def _press(self, number: int = 0, frame: FrameType | None = None) -> None:
        self.level, self._since = self.level + 1, time.monotonic()


def _shown(folder: Path) -> str:
    """Return the folder relative to the current one, if it is inside."""
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def _how(status: int) -> str:
    if status >= 0:
        return f"The process ended with status {status}"
    name = signal.Signals(-status).name
    return f"The process was killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _last_line(log: Path) -> str:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", log.read_text(errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f": {lines[-1][:500]}" if lines else "."
