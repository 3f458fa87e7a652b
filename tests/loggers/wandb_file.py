"""Reads what an offline W&B run left on disk: records in LevelDB's log format, each a protocol buffer."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, FILE_HEADER, CHUNK_HEADER = 32768, 7, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """A run as W&B's server would see it."""

    id: str = ""
    exit_code: int | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> OfflineRun:
    """Return the run in a `.wandb` file."""
    from wandb.proto.wandb_internal_pb2 import Record

    run = OfflineRun()
    for data in _records(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.id = record.run.run_id
            run.config |= _items(record.run.config.update)
        elif kind == "history":
            run.history.append(_items(record.history.item))
        elif kind in ("config", "summary"):
            getattr(run, kind).update(_items(getattr(record, kind).update))
        elif kind == "metric":
            run.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(data: bytes) -> Iterator[bytes]:
    """Join the chunks of each record; a chunk never crosses a block."""
    assert data[:4] == b":W&B"
    place, record = FILE_HEADER, b""
    while place + CHUNK_HEADER <= len(data):
        if BLOCK - place % BLOCK < CHUNK_HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        place += CHUNK_HEADER
        chunk, place = data[place : place + length], place + length
        record = chunk if kind in (FULL, FIRST) else record + chunk
        if kind in (FULL, LAST):
            yield record
