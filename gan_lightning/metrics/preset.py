"""A list of metrics under one name, of which each setting takes what it can give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gan_lightning.metrics.base import MetricFactory


@dataclass(frozen=True)
class Preset:
    """Names of metrics that nobody asked for one by one: where one cannot be measured, it is left out with a line.

    It stands among the metrics of an `Evaluator`, beside those that it names.
    """

    names: Sequence[str]


def divided(entries: Mapping[str, Any]) -> tuple[dict[str, MetricFactory], set[str]]:
    """Return the metrics among `entries`, and the names of those that a preset brought."""
    presets = [entry for entry in entries.values() if isinstance(entry, Preset)]
    metrics = {name: entry for name, entry in entries.items() if not isinstance(entry, Preset)}
    return metrics, {name for preset in presets for name in preset.names}
