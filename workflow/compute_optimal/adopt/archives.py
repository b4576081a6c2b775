"""Read the files of a folder, or of an archive that strangers made, without unpacking it.

Nothing is written and no link is followed: contents are handed over as bytes, and what is not a
plain file with a harmless name and a sane size is handed over as a refusal with its reason.
"""

from __future__ import annotations

import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute_optimal.errors import StudyError
from compute_optimal.store.partitions import sha256_of

_END_OF_TAR = bytes(tarfile.BLOCKSIZE)
_HEADER_BYTES = 16 << 10
_XZ = b"\xfd7zXZ\x00"
_XZ_MEMORY = 256 << 20  # xz -9 takes 65 MB
# What the libraries raise on bytes that are not what their headers say.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    RecursionError,
    IndexError,  # of a name without a letter, in the index of a zip archive
    NotImplementedError,  # of a version that nobody has, there
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that an honest collection stays far below. Sizes are in bytes, unpacked."""

    file_bytes: int = 256 << 20
    total_bytes: int = 64 << 30
    files: int = 5_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """One file: its name, and either its bytes or the reason why they were not read."""

    name: str
    content: bytes | None
    refusal: str | None = None


def archive_sha256(source: Path) -> str | None:
    """Hexadecimal sha256 of a file; None for a folder.

    Raises ``StudyError`` where it cannot be read.
    """
    if source.is_dir():
        return None
    try:
        return sha256_of(source)
    except OSError as error:
        raise _unreadable(source, error) from error


def read_members(
    source: Path, limits: Limits | None = None, *, only: Container[str] | None = None
) -> Iterator[Member]:
    """Every entry of ``source`` that is not a directory: of an archive in its order, of a folder
    sorted.

    With ``only``, entries of other names are passed over; a leading ./ is no part of a name there.

    Raises ``StudyError`` where the source cannot be read, is neither a folder nor a .tar.gz nor
    a .tar.xz nor a .zip (told by content), is damaged or cut short, or exceeds the limits as a
    whole.
    """
    limits = limits or Limits()
    total = 0
    try:
        for number, (member, size) in enumerate(_members(source, limits, only), start=1):
            total += size
            if total > limits.total_bytes or number > limits.files:
                raise StudyError(
                    f"the collection is larger than {limits.files} files or "
                    f"{limits.total_bytes} bytes unpacked",
                    where=f"{source}, at {member.name!r}",
                    cure="split it into several archives and adopt them one by one",
                )
            yield member
    except _DAMAGE as error:
        raise StudyError(
            f"the archive is damaged or cut short: {error}",
            where=str(source),
            cure="fetch it again and compare its sha256 with its publisher's",
        ) from error
    except OSError as error:
        raise _unreadable(source, error) from error


def read_file(folder: Path, name: str, limits: Limits | None = None) -> Member | None:
    """One file of a folder, as ``read_members`` would hand it over; None where there is none.

    Raises ``StudyError`` where it cannot be read.
    """
    path, limits = folder / name, limits or Limits()
    try:
        if not path.exists():
            return None
        status = path.lstat()
        leads_out = not path.resolve().is_relative_to(folder.resolve())
        refusal = _refusal(name, status.st_mode, status.st_size, limits)
        if leads_out and refusal is None:
            refusal = "a link"
        return _member(name, refusal or path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error) from error


def _members(
    source: Path, limits: Limits, only: Container[str] | None
) -> Iterator[tuple[Member, int]]:
    if source.is_dir():
        return _from_folder(source, limits, only)
    # A pipe would be waited for.
    magic = b""
    if source.is_file() or not source.exists():
        with source.open("rb") as file:
            magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return _from_tar(_BoundedGzip(source, "rb"), limits, only)
    if magic == _XZ:
        return _from_tar(_BoundedXz(_XzStreams(source)), limits, only)
    if magic.startswith(b"PK"):
        return _from_zip(source, limits, only)
    raise StudyError(
        "not a collection of rollouts",
        where=str(source),
        cure="give a folder, a .tar.gz (.tgz), a .tar.xz or a .zip",
    )


def _is_wanted(name: str, only: Container[str] | None) -> bool:
    return only is None or name.removeprefix("./") in only


def _from_folder(
    folder: Path, limits: Limits, only: Container[str] | None
) -> Iterator[tuple[Member, int]]:
    def refuse(error: OSError) -> None:
        raise error

    for root, subfolders, files in os.walk(folder, onerror=refuse):
        subfolders.sort()
        # os.walk does not enter links to folders; they are named here like any other link.
        links = [name for name in subfolders if Path(root, name).is_symlink()]
        for name in sorted(files + links):
            path = Path(root, name)
            shown = path.relative_to(folder).as_posix()
            if not _is_wanted(shown, only):
                continue
            status = path.lstat()
            refusal = _refusal(shown, status.st_mode, status.st_size, limits)
            yield _member(shown, refusal or path.read_bytes()), status.st_size


class _Bounded(io.BufferedIOBase):
    """Unpacked stream that refuses long reads, for tarfile.

    tarfile reads an extended header whole, whatever size it states, and searches it in quadratic
    time; honest ones are shorter than a path may be.
    """

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _HEADER_BYTES:
            raise tarfile.ReadError(f"a header states {size} bytes")
        return super().read(size)

    def content(self, entry: tarfile.TarInfo) -> bytes:
        self.seek(entry.offset_data)
        data = super().read(entry.size)
        if len(data) < entry.size:
            raise EOFError(f"{entry.name!r} is cut short")
        return data


class _BoundedGzip(_Bounded, gzip.GzipFile):
    """Of a .tar.gz."""


class _XzStreams(io.RawIOBase):
    """The streams of an .xz file, one after another, each of which must do with ``_XZ_MEMORY``.

    ``lzma.LZMAFile`` takes no limit, and a decompressor with one reads a single stream.
    """

    def __init__(self, source: Path) -> None:
        self._file = source.open("rb")
        self._begin()

    def _begin(self) -> None:
        self._file.seek(0)
        self._position, self._is_at_end = 0, False
        self._stream = _unpacker()

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with memoryview(buffer) as view, view.cast("B") as wanted:
            data = self._some(len(wanted))
            wanted[: len(data)] = data
        return len(data)

    def _some(self, size: int) -> bytes:
        """At least one byte and at most ``size``, or none at the end."""
        while size and not self._is_at_end:
            packed = b""
            if self._stream.eof:
                packed = self._next_stream()
                if not packed:
                    break
            elif self._stream.needs_input:
                packed = self._file.read(io.DEFAULT_BUFFER_SIZE)
                if not packed:
                    raise EOFError("the last stream has no end")
            if data := self._stream.decompress(packed, max_length=size):
                self._position += len(data)
                return data
        return b""

    def _next_stream(self) -> bytes:
        """The beginning of the next stream; none at the end, as before what is no stream."""
        # Zeros may stand between streams.
        packed = self._stream.unused_data.lstrip(b"\0")
        while len(packed) < len(_XZ) and (more := self._file.read(io.DEFAULT_BUFFER_SIZE)):
            packed = (packed + more).lstrip(b"\0")
        if not packed.startswith(_XZ):
            self._is_at_end = True
            return b""
        self._stream = _unpacker()
        return packed

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end is not known")
        if offset < self._position:
            self._begin()
        while self._position < offset and self._some(
            min(offset - self._position, io.DEFAULT_BUFFER_SIZE)
        ):
            pass
        return self._position


def _unpacker() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


class _BoundedXz(_Bounded, io.BufferedReader):
    """Of a .tar.xz."""


def _from_tar(
    opened: _BoundedGzip | _BoundedXz,
    limits: Limits,
    only: Container[str] | None,
) -> Iterator[tuple[Member, int]]:
    with (
        opened as stream,
        tarfile.open(fileobj=stream, mode="r:") as archive,
    ):
        while (entry := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # or every header is kept
            if entry.size < 0:  # would send tarfile back, in a circle
                raise tarfile.ReadError("a header states a negative size")
            if entry.isdir() or not _is_wanted(entry.name, only):
                continue
            is_link, is_plain = entry.issym() or entry.islnk(), entry.isreg()
            mode = stat.S_IFLNK if is_link else stat.S_IFREG if is_plain else 0
            refusal = _refusal(entry.name, mode, entry.size, limits)
            if refusal is None and entry.issparse():
                refusal = "a sparse file"
            yield _member(entry.name, refusal or stream.content(entry)), entry.size
        # tarfile takes a broken header for the end of the archive; the mark tells them apart.
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != _END_OF_TAR:
            raise tarfile.ReadError("the end mark is missing")
        while stream.read(_HEADER_BYTES):  # to the checksum of the stream
            pass


def _from_zip(
    source: Path, limits: Limits, only: Container[str] | None
) -> Iterator[tuple[Member, int]]:
    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            if entry.is_dir() or not _is_wanted(entry.filename, only):
                continue
            # The upper half holds Unix mode bits, which other systems leave at zero.
            mode = stat.S_IFMT(entry.external_attr >> 16) or stat.S_IFREG
            refusal = _refusal(entry.filename, mode, entry.file_size, limits)
            if refusal is None and entry.flag_bits & 1:
                refusal = "encrypted"
            try:
                yield _member(entry.filename, refusal or archive.read(entry)), entry.file_size
            except NotImplementedError as error:
                yield _member(entry.filename, str(error)), entry.file_size


def _member(name: str, content: bytes | str) -> Member:
    # Names need not be UTF-8; the facts must be.
    shown = name.encode("utf-8", "backslashreplace").decode()
    return Member(shown, None, content) if isinstance(content, str) else Member(shown, content)


def _refusal(name: str, mode: int, size: int, limits: Limits) -> str | None:
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or parts[0].endswith(":"):
        return "its path leads out of the collection"
    if stat.S_ISLNK(mode):
        return "a link"
    if not stat.S_ISREG(mode):
        return "not a regular file"
    if size > limits.file_bytes:
        return f"larger than {limits.file_bytes} bytes"
    return None


def _unreadable(source: Path, error: OSError) -> StudyError:
    return StudyError(
        f"cannot read: {error.strerror or error}",
        where=str(error.filename or source),
        cure="check the path and its permissions",
    )
