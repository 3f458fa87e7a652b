"""One split of a data set, without augmentation, in fixed order: tensors in memory, or files read on demand."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from gan_lightning.data.fields import Batch, Field, mirror
from gan_lightning.data.listing import Place, Root, mark
from gan_lightning.errors import UserError

Sample = dict[str, Tensor | int]
Transform = Callable[[Place], Tensor]  # its repr, as of a frozen dataclass, says what it does
IMAGE, POINTS, LABEL = Field("image"), Field("image", "points"), Field("label", "label")


def digest(*parts: object) -> str:
    """Return a hash of `parts` (bytes, or anything else by its text) as 16 hex digits."""
    total = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


class Source(Dataset):
    """A map-style data set of dicts: `image`, `label` (an int) if there are labels, and further fields.

    All fields of a sample are read, mirrored and shuffled together.

    labels: int64 `(N,)` or None. further: the fields other than image and label.
    """

    labels: Tensor | None
    further: Mapping[Field, Any] = MappingProxyType({})

    @cached_property
    def fingerprint(self) -> str:
        """What identifies content and transform."""
        raise NotImplementedError

    @cached_property
    def order(self) -> str:
        """What identifies which sample has which index; for files their names, so that a copied folder has the same."""
        return self.fingerprint

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a sample consists of."""
        return (IMAGE, *self.further) if self.labels is None else (IMAGE, LABEL, *self.further)

    @property
    def nbytes(self) -> int | None:
        """Bytes in memory, None where samples are read on demand."""
        return None

    def __len__(self) -> int:
        raise NotImplementedError

    def image(self, index: int) -> Tensor:
        """Return image `index`: uint8 `(C, H, W)`, or float32 `(2,)` of a mixture."""
        raise NotImplementedError

    def read(self, index: int) -> dict[str, Tensor]:
        """Return all fields but the label of sample `index`."""
        return {"image": self.image(index)}

    def __getitem__(self, index: int) -> Sample:
        sample: Sample = {**self.read(index)}
        if self.labels is not None:
            sample["label"] = int(self.labels[index])
        return sample

    def gather(self, rows: Tensor, mirrored: bool) -> Batch:
        """Return the batch of samples `rows` `(N,)`; index i + len(self) is the mirrored sample i."""
        samples = [self._sample(row) for row in rows.tolist()]
        batch = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
        for field in self.further:
            field.check(batch[field.name])
        return batch if self.labels is None else {**batch, "label": self.labels[rows % len(self)]}

    def to(self, device: torch.device | str) -> Source:
        """Return a copy in the memory of `device`; only for sources in memory."""
        raise NotImplementedError

    def _sample(self, row: int) -> dict[str, Tensor]:
        turned, index = divmod(row, len(self))
        sample = self.read(index)
        return mirror(sample, self.fields) if turned else sample


class TensorImages(Source):
    """Images in memory: uint8 `(N, C, H, W)` or float32 `(N, 2)`, labels `(N,)`, and `further` fields `(N, ...)`.

    fingerprint: identifies the images if known; else it is computed from their bytes.
    further: tensors by field; see `Field` for their types.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        fingerprint: str | None = None,
        further: Mapping[Field, Tensor] | None = None,
    ) -> None:
        self.images, self.labels, self.further = images, labels, dict(further or {})
        if fingerprint is not None:
            self.fingerprint = fingerprint
        for field, values in self.further.items():
            _check_count(field.name, len(values), len(images))
            field.check(values)

    @cached_property
    def fingerprint(self) -> str:
        """Identify all fields by their bytes."""
        arrays = [self.images] if self.labels is None else [self.images, self.labels]
        arrays += self.further.values()
        parts = (part for a in arrays for part in (a.dtype, tuple(a.shape), a.contiguous().numpy().tobytes()))
        return digest(*parts, *self.further)

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a sample consists of; vectors are points."""
        image, *others = super().fields
        return (POINTS if self.images.ndim == 2 else image, *others)

    @property
    def nbytes(self) -> int:
        """Bytes in memory, without the labels."""
        return self.images.nbytes + sum(values.nbytes for values in self.further.values())

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> Tensor:
        """Return image `index` as stored."""
        return self.images[index]

    def read(self, index: int) -> dict[str, Tensor]:
        """Return all fields but the label of sample `index`, as stored."""
        return {"image": self.image(index), **{field.name: values[index] for field, values in self.further.items()}}

    def gather(self, rows: Tensor, mirrored: bool) -> Batch:
        """Return the batch of samples `rows` `(N,)`, with one indexing operation for each field, on its device."""
        chosen = rows % len(self)
        batch = {"image": self.images[chosen], **{field.name: v[chosen] for field, v in self.further.items()}}
        if self.labels is not None:
            batch["label"] = self.labels[chosen]
        return mirror(batch, self.fields, rows >= len(self)) if mirrored else batch

    def to(self, device: torch.device | str) -> TensorImages:
        """Return the same in the memory of `device`."""
        moved = copy.copy(self)
        moved.images = self.images.to(device)
        moved.labels = None if self.labels is None else self.labels.to(device)
        moved.further = {field: values.to(device) for field, values in self.further.items()}
        return moved


@dataclass(frozen=True)
class Files:
    """Files under `root`, a folder or archive, one for each sample; `transform` converts them to tensors."""

    root: Root
    names: Sequence[str]
    transform: Transform

    def read(self, index: int) -> Tensor:
        """Return the tensor of file `index`; UserError names a file that cannot be read."""
        return self.transform(self.root / self.names[index])

    @property
    def content(self) -> str:
        """Identify the files by relative name, size and time of modification: reading 200,000 files takes minutes."""
        return digest([(name, *mark(self.root / name)) for name in self.names], self.transform)

    def at(self, indices: Sequence[int]) -> Files:
        """Return only the files of the samples `indices`."""
        return Files(self.root, [self.names[index] for index in indices], self.transform)


class FileImages(Source):
    """Image files under `root`, a folder or archive, decoded on demand; `transform` converts each to a uint8 tensor.

    further: files of other fields, such as masks, in the order of `names`.
    """

    further: Mapping[Field, Files]

    def __init__(
        self,
        root: Root,
        names: Sequence[str],
        labels: Sequence[int] | None,
        transform: Transform,
        further: Mapping[Field, Files] | None = None,
    ) -> None:
        self.root, self.names, self.transform, self.further = root, list(names), transform, dict(further or {})
        self.labels = torch.tensor(labels, dtype=torch.int64) if labels is not None else None
        for field, files in self.further.items():
            _check_count(field.name, len(files.names), len(self.names))

    @cached_property
    def fingerprint(self) -> str:
        """Identify the files, their transform and their labels."""
        return digest(self.content, None if self.labels is None else self.labels.tolist())

    @cached_property
    def order(self) -> str:
        """Identify the files by their names."""
        return digest(*self.names)

    @cached_property
    def content(self) -> str:
        """Identify the files of all fields, and their transforms."""
        images = Files(self.root, self.names, self.transform).content
        others = [(field, files.content) for field, files in self.further.items()]
        return digest(images, others) if others else images

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> Tensor:
        """Return uint8 `(C, height, width)`; UserError names a file that cannot be read."""
        return self.transform(self.root / self.names[index])

    def read(self, index: int) -> dict[str, Tensor]:
        """Return all fields but the label of sample `index`; UserError names a file that cannot be read."""
        return {"image": self.image(index), **{field.name: files.read(index) for field, files in self.further.items()}}

    def paths(self, index: int) -> list[Place]:
        """Return the files of sample `index`, the image first."""
        others = [files.root / files.names[index] for files in self.further.values()]
        return [self.root / self.names[index], *others]

    def through(self, transform: Transform) -> FileImages:
        """Return the same files with another transform of the images."""
        return FileImages(self.root, self.names, _listed(self.labels), transform, self.further)

    def without(self, unreadable: set[str]) -> FileImages:
        """Return the samples without those whose image is named in `unreadable`."""
        kept = [i for i, name in enumerate(self.names) if name not in unreadable]
        labels = None if self.labels is None else self.labels[kept].tolist()
        further = {field: files.at(kept) for field, files in self.further.items()}
        return FileImages(self.root, [self.names[i] for i in kept], labels, self.transform, further)


class Renamed(Source):
    """A source whose fields are renamed, as needed for a second domain.

    names: old name -> new name, such as {"image": "image_b"}; other fields keep their names.
    """

    def __init__(self, source: Source, names: Mapping[str, str]) -> None:
        self.source, self.names, self.labels = source, dict(names), source.labels

    @cached_property
    def fingerprint(self) -> str:
        """What identifies content and transform, without the names."""
        return self.source.fingerprint

    @cached_property
    def order(self) -> str:
        """What identifies which sample has which index."""
        return self.source.order

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of a sample, under the new names."""
        return tuple(Field(self._name(field.name), field.kind, field.classes) for field in self.source.fields)

    @property
    def nbytes(self) -> int | None:
        """Bytes in memory, None where samples are read on demand."""
        return self.source.nbytes

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        return {self._name(name): value for name, value in self.source[index].items()}

    def gather(self, rows: Tensor, mirrored: bool) -> Batch:
        """Return the batch of samples `rows`, as the source does."""
        return {self._name(name): values for name, values in self.source.gather(rows, mirrored).items()}

    def to(self, device: torch.device | str) -> Renamed:
        """Return the same in the memory of `device`."""
        return Renamed(self.source.to(device), self.names)

    def _name(self, name: str) -> str:
        return self.names.get(name, name)


class SideBySide:
    """Several independent sources, such as two domains; a batch has the fields of all.

    Rows of a batch are `(N, sources)`, one sample index for each source. So there is no sample number i and no length.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = list(sources)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of all sources."""
        return tuple(field for source in self.sources for field in source.fields)

    @property
    def nbytes(self) -> int | None:
        """Bytes in memory, None where a source reads its samples on demand."""
        sizes = [source.nbytes for source in self.sources]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def gather(self, rows: Tensor, mirrored: bool) -> Batch:
        """Return the batch of samples `rows` `(N, sources)`."""
        batch: Batch = {}
        for source, chosen in zip(self.sources, rows.unbind(1), strict=True):
            batch |= source.gather(chosen, mirrored)
        return batch

    def to(self, device: torch.device | str) -> SideBySide:
        """Return the same in the memory of `device`."""
        return SideBySide([source.to(device) for source in self.sources])


def _listed(labels: Tensor | None) -> list[int] | None:
    return None if labels is None else labels.tolist()


def _check_count(name: str, count: int, wanted: int) -> None:
    if count != wanted:
        raise UserError(f"Field '{name}' has {count} entries for {wanted} images; give one for each, in their order.")
