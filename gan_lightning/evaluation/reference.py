"""Statistics of real images: every image is read and extracted once, for all metrics and all later runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gan_lightning.errors import UserError
from gan_lightning.evaluation.sample_rows import (
    EXTRACTED,
    FINE,
    STATE,
    Advance,
    RowMaker,
    Rows,
    blocks,
    count_states,
    shares,
    summing_place,
    update,
)
from gan_lightning.metrics import cache
from gan_lightning.metrics.base import (
    Extractor,
    MetricFactory,
    SampleMetric,
    Setting,
    kinds,
    metric_class,
    named_values,
    real_state,
    set_state,
)
from gan_lightning.metrics.collective import from_rank_zero, rank
from gan_lightning.networks.registry import full_name
from gan_lightning.streams import generator

FORMAT = 2  # part of the key of states and floors; increase it when the meaning of the stored values changes
UNKEPT = "images"  # not stored unless a metric keeps them, since photographs may fill a disk


class Reference:
    """The metrics' states for the real images of a split, the rows that they keep, and their floors.

    metrics: those that compare samples with images. setting: from which they are built. extractor: prepared; None if
    not needed. advance: gets the progress. All processes call `prepare` together; only rank zero gets states and rows.
    """

    def __init__(
        self,
        metrics: Mapping[str, MetricFactory],
        setting: Setting,
        data: Any,
        split: str,
        extractor: Extractor | None,
        batch_size: int,
        device: torch.device,
        advance: Advance,
    ) -> None:
        self.metrics, self.setting, self.data, self.split = dict(metrics), setting, data, split
        self.extractor, self.batch_size, self.device, self.advance = extractor, batch_size, device, advance
        self.held_out = held_out_count(setting.num_reals, setting.num_fakes)
        self.states: dict[str, dict[str, Tensor]] = {}
        self.floors: dict[str, dict[str, float]] = {}
        self.rows: Rows = {}
        self._kept = {kind for factory in self.metrics.values() for kind in _class(factory).keeps}

    def prepare(self) -> None:
        """Read everything from the cache, or measure and cache it."""
        stateless, floorless = from_rank_zero(self._look_up)
        unknown = {kind for name in {*stateless, *floorless} for kind in kinds(self.metrics[name])}
        self._store(self._kept | (unknown - {UNKEPT}))
        self._measure_states(stateless)
        self._measure_floors(floorless)

    def features(self) -> Tensor:
        """Return the features `(N, F)` of all real images, read from the cache or measured and cached; one process."""
        self._store({"features"})
        return self.rows["features"]

    def load(self, metric: SampleMetric, name: str) -> None:
        """Set the states and rows of real data in `metric`, called `name`."""
        metric.real_rows = {kind: self.rows[kind] for kind in metric.keeps}
        set_state(metric, self.states[name])

    def _look_up(self) -> tuple[list[str], list[str]]:
        """Read the cache; return the names of the metrics with missing states, and with missing floors."""
        for name, factory in self.metrics.items():
            state, expected = read_state(self._state_path(name)), set(real_state(self._build(factory)))
            if state is not None and state.keys() == expected:
                self.states[name] = state
            floor = read_floor(self._floor_path(name)) if self.held_out else {}
            if floor is not None:
                self.floors[name] = floor
        return [n for n in self.metrics if n not in self.states], [n for n in self.metrics if n not in self.floors]

    def _measure_states(self, names: list[str]) -> None:
        metrics = {name: self._build(self.metrics[name]) for name in names if rank() == 0}
        everything = torch.arange(self.setting.num_reals)
        self._show(names, everything, metrics.values(), real=True)

        def finish() -> None:
            for name, metric in metrics.items():
                self._finish_real(metric, self.rows)
                self.states[name] = real_state(metric)
                cache.write(self._state_path(name), self.states[name])

        from_rank_zero(finish)

    def _measure_floors(self, names: list[str]) -> None:
        """Measure held-out real images as samples; a metric has no floor if there are too few images."""
        mask = held_out_mask(self.setting.num_reals, self.held_out)
        held_out, rest = mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]
        metrics = self._floor_metrics(names) if rank() == 0 else {}
        names = from_rank_zero(lambda: list(metrics))
        self._show(names, rest, metrics.values(), real=True)
        kept = {kind: self.rows[kind][rest] for metric in metrics.values() for kind in metric.keeps}

        def finish() -> None:
            for metric in metrics.values():
                self._finish_real(metric, kept)

        from_rank_zero(finish)
        self._show(names, held_out, metrics.values(), real=False)
        for name, metric in metrics.items():
            values = named_values(metric)
            self.floors[name] = {key: value for key, value in values.items() if math.isfinite(value)}
        for name in names if rank() == 0 else []:
            write_floor(self._floor_path(name), self.floors[name])

    def _finish_real(self, metric: SampleMetric, rows: Rows) -> None:
        metric.real_rows = {kind: rows[kind] for kind in metric.keeps}
        metric.to(summing_place(self.device)).finish_real()

    def _floor_metrics(self, names: list[str]) -> dict[str, SampleMetric]:
        labelled = self.setting.labels > 0
        rest = self.setting.num_reals - self.held_out
        setting = replace(self.setting, num_reals=rest, num_fakes=self.held_out, fakes_labelled=labelled)
        metrics = {}
        for name in names:
            try:
                metrics[name] = self._build(self.metrics[name], setting)
            except UserError:  # fewer images than it needs: scores without a floor
                self.floors[name] = {}
        return metrics

    def _show(self, names: Iterable[str], indices: Tensor, metrics: Iterable[SampleMetric], real: bool) -> None:
        """Pass the real rows at `indices` to the metrics called `names`, on rank zero."""
        consumed = {kind for name in names for kind in _class(self.metrics[name]).consumes}
        if consumed:
            for rows in self._blocks(indices, consumed):
                update(metrics, rows, real)

    def _blocks(self, indices: Tensor, wanted: set[str]) -> Iterator[Rows]:
        """Yield the rows of `wanted` kinds at `indices`, on rank zero; for stored kinds no images are read."""
        read = wanted & {UNKEPT} - self._kept
        stored = wanted - read
        if not read:
            for part in indices.split(self.batch_size) if rank() == 0 else ():
                yield {kind: self.rows[kind][part].to(self.device) for kind in stored}
            return
        for low, rows in self._read(indices, read):
            if rank() == 0:
                part = indices[low : low + len(rows[STATE])]
                yield rows | {kind: self.rows[kind][part].to(self.device) for kind in stored}

    def _read(self, indices: Tensor, wanted: set[str]) -> Iterator[tuple[int, Rows]]:
        """Yield rows computed from the images at `indices`; all processes share the work."""
        maker = RowMaker(wanted, self.data, self.extractor, self.device)
        parts = [indices[share.start : share.stop].tolist() for _, share in shares(len(indices), self.batch_size)]
        images = batches(self.data, self.split, parts)
        return blocks(len(indices), self.batch_size, maker.empty, lambda share: maker(*next(images)))

    def _store(self, wanted: set[str]) -> None:
        """Map the real rows of the `wanted` kinds from the cache, on rank zero; one pass computes missing ones."""
        if rank() == 0:
            found = {kind: cache.read(self._rows_path(kind)) for kind in wanted}
            self.rows |= {kind: tensors["rows"] for kind, tensors in found.items() if tensors is not None}
        missing = from_rank_zero(lambda: sorted(wanted - self.rows.keys()))
        if not missing:
            return
        for kind, values in self._pass(set(missing)).items():
            cache.write(self._rows_path(kind), {"rows": values})
            self.rows[kind] = (cache.read(self._rows_path(kind)) or {"rows": values})["rows"]

    def _pass(self, wanted: set[str]) -> Rows:
        """Read all images once, compute the `wanted` rows, and return all of them on rank zero, {} elsewhere."""
        count, made = self.setting.num_reals, cast(Rows, {})
        states = torch.zeros(3, dtype=torch.int64, device=self.device)
        if rank() == 0 and set(EXTRACTED) & wanted:
            print(f"Measuring {count:,} real images with {self.setting.extractor}, once for all runs.", flush=True)
        for low, rows in self._read(torch.arange(count), wanted):
            if rank() == 0:
                states += count_states(rows)
                for kind in wanted:
                    whole = made.setdefault(kind, torch.empty(count, *rows[kind].shape[1:], dtype=rows[kind].dtype))
                    whole[low : low + len(rows[kind])] = rows[kind]
                self.advance("real images", low + len(rows[STATE]), count)
        from_rank_zero(lambda: self._refuse(count - int(states[FINE])))
        return made

    def _refuse(self, broken: int) -> None:
        if broken:
            raise UserError(
                f"The {self.setting.extractor} features of {broken:,} of {self.setting.num_reals:,} real images are "
                "not finite: its weights are damaged; give others by extractor.weights=PATH, or use metrics=[]."
            )

    def _build(self, factory: MetricFactory, setting: Setting | None = None) -> SampleMetric:
        return cast(SampleMetric, factory(setting or self.setting))

    def _state_path(self, name: str) -> Any:
        return state_path(self.metrics[name], *self._fingerprints(kinds(self.metrics[name])))

    def _floor_path(self, name: str) -> Any:
        return floor_path(self.metrics[name], self.held_out, *self._fingerprints(kinds(self.metrics[name])))

    def _rows_path(self, kind: str) -> Any:
        return cache.rows_place(kind, *self._fingerprints({kind}))

    def _fingerprints(self, wanted: set[str]) -> list[str]:
        """Return fingerprints for rows of the `wanted` kinds: of the data, and of the extractor if it is used."""
        extracted = [self.extractor.fingerprint] if self.extractor is not None and set(EXTRACTED) & wanted else []
        return [self.data.fingerprint(self.split), *extracted]


def _class(factory: MetricFactory) -> type[SampleMetric]:
    return cast(type[SampleMetric], metric_class(factory))


def read_state(path: Path) -> dict[str, Tensor] | None:
    """Return the `real_` states of a metric; None if they are not cached."""
    return cache.read(path)


def read_floor(path: Path) -> dict[str, float] | None:
    """Return a metric's scores of real images, by its own names; {} for no floor, None if it is not cached."""
    tensors = cache.read(path)
    return None if tensors is None else {name: float(value) for name, value in tensors.items()}


def write_floor(path: Path, floor: dict[str, float]) -> None:
    """Write the scores that `read_floor` reads."""
    cache.write(path, {name: torch.tensor(value, dtype=torch.float64) for name, value in floor.items()})


def state_path(metric: MetricFactory, *fingerprints: str) -> Path:
    """Return the file of a metric's `real_` states; its name depends on everything that they depend on."""
    return cache.place("statistics", _identity(metric, *fingerprints))


def floor_path(metric: MetricFactory, held_out: int, *fingerprints: str) -> Path:
    """Return the file of a metric's floor, measured with `held_out` images."""
    return cache.place("floors", _identity(metric, held_out, *fingerprints))


def _identity(metric: MetricFactory, *parts: object) -> str:
    name, options = full_name(metric_class(metric)), getattr(metric, "keywords", {})
    return "\n".join(map(str, (FORMAT, name, sorted(options.items()), *parts)))


def held_out_count(num_reals: int, num_fakes: int) -> int:
    """Return the number of real images that the floor uses as samples; 0 if there are too few for a floor.

    It is the number of samples if the rest is at least as large, else half of the images. Halves of a small set give a
    floor that is too high (the bias of FID is proportional to 1 / number of images), but overlapping sets would give a
    floor that is too low.
    """
    count = min(num_fakes, num_reals // 2)
    return count if count >= 2 else 0


def held_out_mask(num_reals: int, count: int) -> Tensor:
    """Return a bool mask `(num_reals,)` of `count` images; always the same ones."""
    mask = torch.zeros(num_reals, dtype=torch.bool)
    mask[torch.randperm(num_reals, generator=generator(0, "floor"))[:count]] = True
    return mask


def batches(data: Any, split: str, shares: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Yield images `(n, ...)` and labels `(n,)` (None without labels) of each share that is not empty."""
    loader = DataLoader(
        data.reference(split),
        batch_sampler=[list(share) for share in shares if share],
        num_workers=getattr(data, "num_workers", 0),
        collate_fn=_collate,
        generator=generator(0, "workers"),  # the default one is the global random state
    )
    return iter(loader)


def _collate(samples: list[dict[str, Any]]) -> tuple[Tensor, Tensor | None]:
    labels = torch.tensor([sample["label"] for sample in samples]) if "label" in samples[0] else None
    return torch.stack([sample["image"] for sample in samples]), labels
