"""One split of a data set, unaugmented and in fixed order: in memory as a tensor, or as files read on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

Sample = dict[str, Tensor | int]
Transform = Callable[[Path], Tensor]  # its text, as in a frozen dataclass, says what it does


def digest(*parts: object) -> str:
    """Return 16 hex digits that identify `parts`: bytes, or anything else by its text."""
    total = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


class Source(Dataset):
    """A map-style data set of dicts `image` (and `label`, an int, where there are labels).

    labels: int64 `(N,)` or None.
    """

    labels: Tensor | None

    @cached_property
    def fingerprint(self) -> str:
        """What identifies content and transform."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def image(self, index: int) -> Tensor:
        """Return image `index`: uint8 `(C, H, W)`, or float32 `(2,)` of a mixture."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> Sample:
        sample: Sample = {"image": self.image(index)}
        if self.labels is not None:
            sample["label"] = int(self.labels[index])
        return sample


class TensorImages(Source):
    """Images in memory: uint8 `(N, C, H, W)` or float32 `(N, 2)`, and labels `(N,)`.

    fingerprint: what identifies the images if it is known already; otherwise their bytes do.
    """

    def __init__(self, images: Tensor, labels: Tensor | None = None, fingerprint: str | None = None) -> None:
        self.images, self.labels = images, labels
        if fingerprint is not None:
            self.fingerprint = fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """Identify the images and labels by their bytes."""
        arrays = [self.images] if self.labels is None else [self.images, self.labels]
        return digest(*(part for a in arrays for part in (a.dtype, tuple(a.shape), a.contiguous().numpy().tobytes())))

    def __len__(self) -> int:
        return len(self.images)

    def image(self, index: int) -> Tensor:
        """Return image `index` as it lies in memory."""
        return self.images[index]


class FileImages(Source):
    """Image files under `root`, decoded when asked for; `transform` makes each a uint8 tensor."""

    def __init__(self, root: Path, names: Sequence[str], labels: Sequence[int] | None, transform: Transform) -> None:
        self.root, self.names, self.transform = root, list(names), transform
        self.labels = torch.tensor(labels, dtype=torch.int64) if labels is not None else None

    @cached_property
    def fingerprint(self) -> str:
        """Identify the files, their transform and their labels."""
        return digest(self.content, None if self.labels is None else self.labels.tolist())

    @cached_property
    def content(self) -> str:
        """Identify the files by relative name, size and time of change: reading 200,000 files would take minutes."""
        stats = [(self.root / name).stat() for name in self.names]
        files = [(name, s.st_size, s.st_mtime_ns) for name, s in zip(self.names, stats, strict=True)]
        return digest(files, self.transform)

    def __len__(self) -> int:
        return len(self.names)

    def image(self, index: int) -> Tensor:
        """Return uint8 `(C, size, size)`; UserError names a file that cannot be read."""
        return self.transform(self.root / self.names[index])

    def without(self, unreadable: set[str]) -> FileImages:
        """Return the same files less those named in `unreadable`."""
        kept = [i for i, name in enumerate(self.names) if name not in unreadable]
        labels = None if self.labels is None else self.labels[kept].tolist()
        return FileImages(self.root, [self.names[i] for i in kept], labels, self.transform)
