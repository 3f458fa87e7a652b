"""A list of metrics under one name; metrics that do not fit the setting are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gan_lightning.metrics.base import MetricFactory


@dataclass(frozen=True)
class Preset:
    """Names of metrics that are measured if possible; one that cannot be measured is left out, with a message.

    It is given to an `Evaluator` as one of the metrics, together with those that it names.
    """

    names: Sequence[str]


def divided(entries: Mapping[str, Any]) -> tuple[dict[str, MetricFactory], set[str]]:
    """Return the metrics in `entries`, and the names of those that come from a preset."""
    presets = [entry for entry in entries.values() if isinstance(entry, Preset)]
    metrics = {name: entry for name, entry in entries.items() if not isinstance(entry, Preset)}
    return metrics, {name for preset in presets for name in preset.names}
