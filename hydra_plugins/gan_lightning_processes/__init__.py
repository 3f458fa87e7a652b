"""Hydra's `processes` launcher and `study` sweeper; imported whenever a command starts, so nothing heavy here."""

from __future__ import annotations


def register() -> None:
    """Register both in Hydra, also if its scan of installed plugins does not find them (an editable install)."""
    from hydra.core.plugins import Plugins

    from hydra_plugins.gan_lightning_processes.launcher import ProcessLauncher
    from hydra_plugins.gan_lightning_processes.sweeper import StudySweeper

    for plugin in (ProcessLauncher, StudySweeper):
        Plugins.instance().register(plugin)
