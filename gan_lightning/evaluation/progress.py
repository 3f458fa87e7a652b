"""A bar while a long evaluation goes on, where someone is watching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import get_console

from gan_lightning.metrics.collective import rank


@contextmanager
def bar() -> Iterator[Callable[[str, int, int], None]]:
    """Give a callable (of what, how many are done, of how many); it draws on a terminal and says nothing elsewhere."""
    console = get_console()
    if rank() != 0 or not console.is_interactive:
        yield lambda what, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        tasks = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = shown.add_task(what)
            shown.update(tasks[what], completed=done, total=total)

        yield advance
