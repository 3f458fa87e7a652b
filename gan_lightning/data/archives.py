"""Zip and tar files read in place, with the part of `pathlib.Path` that reading a folder of images needs.

`archive / name` is a `Member`, which opens as a file does. Names are only names: nothing is written, and a name or a
link that leads out of the archive leads nowhere. An archive may be read by several threads, and by processes forked
from the one that opened it, since no position in a file is shared. This module does not import torch.
"""

from __future__ import annotations

import io
import os
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gan_lightning.data.names import left_out
from gan_lightning.errors import UserError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, struct.error)
LARGEST = 2**30  # bytes of one file in an archive
HELD = 2**31  # bytes of a tar.gz's images, which are held in memory


@dataclass(frozen=True)
class Entry:
    """A file in an archive. size: in bytes. mark: changes when the content does. read: returns the content."""

    name: str
    size: int
    mark: int
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Member:
    """A file in an archive, with the interface of a `Path` as far as images need it."""

    archive: Archive
    name: str

    def __str__(self) -> str:
        entry = self.archive.entries.get(self.name)
        return f"{self.archive}/{entry.name if entry else self.name}"

    def open(self, mode: str = "rb") -> BinaryIO:
        """Return the content as an open file; OSError if there is none, or more than `LARGEST` bytes."""
        return io.BytesIO(self.archive.content(self.name))

    def mark(self) -> tuple[int, int]:
        """Return two numbers that change with the content, and are not those of a file; OSError if it is not there."""
        entry = self.archive.entry(self.name)
        return entry.size, ~entry.mark  # negative: what is refused in an archive may be read once it is unpacked


class Archive:
    """The files of an archive: `entries` by name. Links to files in it are files, all other links lead nowhere.

    The one folder in which all folders of images are (`images/cat/1.png`, `images/dog/1.png`), which appears where a
    folder is packed, is left out of the names, so that class folders are at the top.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, Entry] = {}
        self.links: dict[str, str] = {}  # that lead nowhere
        entries, links = self._index()
        self._follow(entries, links)
        top = _common_top(name for name in entries if not left_out(name))
        self.entries = {name.removeprefix(top): entry for name, entry in entries.items()}
        self.links = {name.removeprefix(top): target for name, target in links.items()}

    def __truediv__(self, name: str) -> Member:
        return Member(self, name)

    def __str__(self) -> str:
        return str(self.path)

    def __reduce__(self) -> tuple[Callable[[Path], Archive], tuple[Path]]:
        return type(self), (self.path,)

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def names(self) -> list[str]:
        """The sorted names of all files, with those of links that lead nowhere."""
        return sorted([*self.entries, *self.links])

    def entry(self, name: str) -> Entry:
        """Return a file; OSError if there is none of this name."""
        if name in self.links:
            raise FileNotFoundError(f"it is a link to {self.links[name]}, which is no file of the archive")
        if name not in self.entries:
            raise FileNotFoundError("the archive has no such file")
        return self.entries[name]

    def content(self, name: str) -> bytes:
        """Return the bytes of a file; OSError if there are more than `LARGEST`, or fewer or more than announced."""
        entry = self.entry(name)
        if entry.size > LARGEST:
            raise OSError(f"it has {entry.size / 2**30:.1f} GiB, and of a file in an archive at most "
                          f"{LARGEST / 2**30:.0f} GiB is read; unpack the archive and give its folder")  # fmt: skip
        content = entry.read()
        if len(content) != entry.size:
            raise OSError(f"it should have {entry.size} bytes and has {len(content)}")
        return content

    def _index(self) -> tuple[dict[str, Entry], dict[str, str]]:
        """Return the files, and the targets of links, by name."""
        raise NotImplementedError

    def _follow(self, entries: dict[str, Entry], links: dict[str, str]) -> None:
        """Make files of links to files, and drop links to folders of the archive, whose files are there anyway."""
        folders = {name[:at] for name in entries for at, letter in enumerate(name) if letter == "/"}
        for name in list(links):
            target = links[name]
            for _ in range(40):  # links to links
                target = links.get(target, target)
            if target in entries:
                entries[name] = entries[target]
            if target in entries or target in folders:
                del links[name]


class Zip(Archive):
    """A zip file. Encrypted ones are refused."""

    def _index(self) -> tuple[dict[str, Entry], dict[str, str]]:
        file = zipfile.ZipFile(Positioned(self.path))
        entries, links = {}, {}
        for info in file.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                raise UserError(f"{self.path} is encrypted ({info.filename}); unpack it and give the folder.")
            name = tidy(info.filename)
            if stat.S_ISLNK(info.external_attr >> 16) and info.file_size < 4096:
                links[name] = beside(name, file.read(info).decode(errors="replace"))
            else:
                entries[name] = Entry(info.filename, info.file_size, info.CRC, _zip_reader(file, info))
        return entries, links


class Tar(Archive):
    """A tar file without compression."""

    def _index(self) -> tuple[dict[str, Entry], dict[str, str]]:
        file, entries, links = Positioned(self.path), {}, {}
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for info in tar:
                if info.isreg():
                    read = _in_pieces if info.issparse() else _slice_reader(file, info.offset_data, info.size)
                    entries[tidy(info.name)] = Entry(info.name, info.size, int(info.mtime * 10**9), read)
                elif info.islnk() or info.issym():
                    links[tidy(info.name)] = _target(info)
        return entries, links


class TarGz(Archive):
    """A tar file compressed by gzip. It cannot be read out of order, so all its files are held in memory."""

    def _index(self) -> tuple[dict[str, Entry], dict[str, str]]:
        entries, links, held = {}, {}, 0
        with tarfile.open(self.path, mode="r|gz") as tar:
            for info in tar:
                if info.isreg():
                    held += info.size
                    self._check_held(held)
                    content = _of(tar, info)
                    entries[tidy(info.name)] = Entry(info.name, info.size, int(info.mtime * 10**9), _held(content))
                elif info.islnk() or info.issym():
                    links[tidy(info.name)] = _target(info)
        return entries, links

    def _check_held(self, held: int) -> None:
        if held > HELD:
            raise UserError(
                f"{self.path} holds more than {HELD / 2**30:.0f} GiB, and a compressed tar can only be read from "
                "memory; gunzip it, since a tar without compression is read in place, or unpack it."
            )


class Positioned(io.RawIOBase):
    """A file that is open for reading, and whose position belongs to this object alone, also after a fork."""

    def __init__(self, path: Path) -> None:
        self._file, self._at = path.open("rb", buffering=0), 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position; return it."""
        end = os.fstat(self._file.fileno()).st_size if whence == os.SEEK_END else 0
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: end}[whence]
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into `buffer`; return the number of bytes."""
        read = self.at(self._at, len(buffer))
        buffer[: len(read)] = read
        self._at += len(read)
        return len(read)

    def at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset` on, or fewer at the end; the position stays."""
        return os.pread(self._file.fileno(), count, offset)


KINDS: dict[str, type[Archive]] = {".zip": Zip, ".tar": Tar, ".tar.gz": TarGz, ".tgz": TarGz}


def is_archive(path: Path) -> bool:
    """Return whether `path` is a file with the ending of an archive."""
    return path.name.lower().endswith(ARCHIVES) and path.is_file()


def archive(path: Path) -> Archive:
    """Return the archive in file `path`; UserError if it cannot be read, or is encrypted."""
    kind = next(KINDS[ending] for ending in ARCHIVES if path.name.lower().endswith(ending))
    try:
        return kind(path)
    except (OSError, EOFError, ValueError, NotImplementedError, *DAMAGE) as error:
        why = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} cannot be read as a {kind.__name__.lower()} file ({why}); is it complete?") from error


def tidy(name: str) -> str:
    """Return a name in an archive with "/" between its parts and no empty ones."""
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def beside(name: str, target: str) -> str:
    """Return the target of the link `name`, seen from the top of the archive; it may lead out of it."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target))


def _target(info: tarfile.TarInfo) -> str:
    return tidy(info.linkname) if info.islnk() else beside(tidy(info.name), info.linkname)


def _common_top(names: Iterable[str]) -> str:
    """Return "top/" if all images are in folders of one folder `top`, else ""."""
    parts = [name.split("/") for name in names]
    one = len({part[0] for part in parts}) == 1 and all(len(part) > 2 for part in parts)
    return f"{parts[0][0]}/" if one else ""


def _zip_reader(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    return lambda: file.read(info)


def _slice_reader(file: Positioned, offset: int, count: int) -> Callable[[], bytes]:
    return lambda: file.at(offset, count)


def _in_pieces() -> bytes:
    raise OSError("it is stored in pieces, as a sparse file; unpack the archive and give its folder")


def _held(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def _of(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(info)
    return b"" if file is None else file.read()
