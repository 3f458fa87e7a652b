"""Hydra's `processes` launcher and `study` sweeper; imported whenever a command starts, so nothing heavy here."""

from __future__ import annotations


def register() -> None:
    """Make both known to Hydra also where its scan of installed plugins misses them (an editable install)."""
    from hydra.core.plugins import Plugins

    from hydra_plugins.gan_lightning_processes.launcher import ProcessLauncher
    from hydra_plugins.gan_lightning_processes.sweeper import StudySweeper

    for plugin in (ProcessLauncher, StudySweeper):
        Plugins.instance().register(plugin)
