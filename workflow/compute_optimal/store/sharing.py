"""Publish the cells of a study to a folder or any address that fsspec knows, and fetch them.

An address holds a store in the layout of ``partitions``, so a published folder can also be a
study's shipped store. Parts are content-addressed and never overwritten. Units that several people
made are there several times, and all who hold them take the same, by the rule of
``Partition.read``.

``manifest-<sha256>.json`` lists the parts; a publisher writes one of its own, with all that it
found listed, before it removes those that it took over. So two publishers at once lose nothing, and
after an interruption at any point the same command goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal, TypeVar

from tqdm import tqdm

from compute_optimal.errors import StudyError
from compute_optimal.store.packing import extent, is_smallest
from compute_optimal.store.partitions import (
    KEYS,
    LAYOUT,
    MANIFESTS,
    PART,
    UNITS,
    WHOLE,
    Manifest,
    OtherLayoutError,
    Partition,
    parse_manifest,
    sha256_of,
    write_part,
)

Cells = Iterable[tuple[Partition, Sequence[str]]]
"""Partitions, each with the tables that it may hold (``cells.all_partitions``)."""

_Wanted = tuple[Partition, str, dict[str, Any]]
"""A part to fetch: its partition, its name at the address, its entry of a manifest."""

_PACKED = ("searches",)
"""Tables whose parts are written anew before they are sent, in the least room."""

_N_TRANSFERS = 8
"""Transfers at the same time: enough to hide the latency of an object store."""

_MOST_ROWS, _MOST_BYTES = 10_000_000, 8 << 30
"""ASSUME: no part of a study is more than this once it is unpacked. The pool of one policy on 500
problems, 256 samples each, is 128,000 rows; a file of some kilobytes can be of 10^8 equal ones,
which end whoever reads it."""

_CHUNK = 4 << 20
_ATTEMPTS = 5
_STORE_FILE = re.compile(
    r"[\w-]+/[\w.-]+-[0-9a-f]{12}/(?:spec\.json|[a-z_]+-[0-9a-f]{16}\.parquet)"
)

Item = TypeVar("Item")
Result = TypeVar("Result")


class NothingPublishedError(StudyError):
    """Nobody has published to an address."""


@dataclass(frozen=True)
class Transfer:
    """What was sent or received: parts and their bytes, what needed no transfer, and the rest."""

    address: str
    n_parts: int
    n_bytes: int
    n_present: int
    removed: tuple[str, ...] = ()
    """Files that were removed from the address."""
    absent: tuple[str, ...] = ()
    """Partitions of which the address holds nothing, nor got anything."""

    def summary(self, done: Literal["sent", "fetched"]) -> str:
        """What happened, for people; ``done`` says what was done to the parts."""
        nowhere = {"sent": "neither here nor there", "fetched": "not there"}[done]
        lines = [
            f"{self.address}: {self.n_parts} parts {done} ({self.n_bytes / 1e6:,.1f} MB), "
            f"{self.n_present} were there already"
        ]
        lines += [f"  removed {name}" for name in self.removed]
        lines += [f"  {nowhere}: {name}" for name in self.absent]
        return "\n".join(lines)


def folder_of(address: str) -> Path | None:
    """The folder of this machine that an address names, links followed; None of one elsewhere."""
    return _Remote(address).folder()


def publish(cells: Cells, address: str, *, prune: bool = False) -> Transfer:
    """Send what the address lacks of ``cells``, and list it there.

    What is new of a table goes as one part, searches in the least room (``packing.write``). Rows
    that the address has are not sent again, unless only some of the parts were sent that a run has
    joined since; nor are units that do not count here, because an earlier run made them too. With
    ``prune`` everything else that a store has there is removed, so that manifest and folder hold
    these cells only; nobody else may publish there meanwhile.

    Raises ``StudyError`` where the address cannot be written or has another layout; what was sent
    by then is used when the command is given again.
    """
    remote = _Remote(address)
    # Before parts are packed, which may take minutes.
    remote.make_folder()
    manifests = remote.manifests(damaged_too=True)
    sizes = remote.sizes()
    # An entry whose file is gone is stale, and what it stood for is sent again.
    listed = {
        name: entry
        for parts in manifests.values()
        for name, entry in parts.items()
        if sizes.get(name) == entry["bytes"]
    }
    cells, kept, added = list(cells), Manifest(), Manifest()
    with tempfile.TemporaryDirectory(prefix="publish-") as scratch:
        parts = []
        for cell, tables in cells:
            for table in tables:
                of_table = _listed_parts(listed, cell, table)
                kept |= of_table
                if new := _new_part(cell, table, of_table, Path(scratch)):
                    name, part, entry = new
                    added[name] = entry
                    # What an interrupted upload has brought is there, but not listed.
                    if sizes.get(name) != entry["bytes"]:
                        parts.append((name, part))
        specs = {Path(name).parent.as_posix() for name in added}
        for cell, _ in cells:
            if cell.directory in specs:
                remote.write(f"{cell.directory}/spec.json", _json(cell.spec))
        n_bytes = [added[name]["bytes"] for name, _ in parts]
        for _ in _concurrently(lambda part: remote.send(*part), parts, n_bytes, "publish"):
            pass
    remote.list_parts(kept | added if prune else listed | added, manifests)
    there = {Path(name).parent.as_posix() for name in kept | added}
    return Transfer(
        address,
        len(parts),
        sum(n_bytes),
        len(kept) + len(added) - len(parts),
        removed=remote.prune({cell.directory for cell, _ in cells}, kept | added) if prune else (),
        absent=tuple(cell.directory for cell, _ in cells if cell.directory not in there),
    )


def fetch(cells: Cells, address: str) -> Transfer:
    """Bring what the writable store lacks of ``cells``; every byte is checked before it is kept.

    Raises ``NothingPublishedError`` where nothing is published there, ``StudyError`` where it has
    another layout, a part is missing or is not what the manifest says, or the disk is too small;
    parts that came before are kept.
    """
    remote = _Remote(address)
    listed: Manifest = {}
    for parts in remote.manifests().values():
        listed |= parts
    if not listed:
        raise NothingPublishedError(
            "no store is published there: there is no manifest",
            where=address,
            cure="correct the address, or publish to it first",
        )
    wanted: list[_Wanted] = []
    absent, n_present = [], 0
    for cell, tables in cells:
        n_listed = 0
        for table in tables:
            stored = _digests_within(cell, cell.parts(table))
            of_table = _listed_parts(listed, cell, table)
            lacking = {
                name: entry
                for name, entry in of_table.items()
                if not (
                    _digests([Path(name)]) <= stored or set(entry.get("joins", ["?"])) <= stored
                )
            }
            wanted += [(cell, name, entry) for name, entry in lacking.items()]
            n_present += len(of_table) - len(lacking)
            n_listed += len(of_table)
        if not n_listed:
            absent.append(cell.directory)
    sizes = [entry["bytes"] for _, _, entry in wanted]
    if wanted:
        wanted[0][0].require_room(sum(sizes))
    together = [[*some] for _, some in groupby(wanted, _received_with)]
    n_bytes = [sum(entry["bytes"] for _, _, entry in some) for some in together]
    for _ in _concurrently(remote.receive_together, together, n_bytes, "fetch"):
        pass
    return Transfer(address, len(wanted), sum(sizes), n_present, absent=tuple(absent))


def _received_with(part: _Wanted) -> str:
    """What is the same of parts that are kept at once: of a collection all, else each its own."""
    cell, name, _ = part
    return cell.directory if cell.kind in WHOLE else name


def _listed_parts(listed: Manifest, cell: Partition, table: str) -> Manifest:
    """Entries of one table of a partition; names that are no part's do not count."""
    return {
        name: entry
        for name, entry in listed.items()
        if name.startswith(f"{cell.directory}/{table}-")
        and PART.match(name.removeprefix(f"{cell.directory}/"))
    }


def _digests(parts: Iterable[Path]) -> set[str]:
    return {match["sha"] for part in parts if (match := PART.match(part.name))}


def _digests_within(cell: Partition, parts: Sequence[Path]) -> set[str]:
    """Digests of parts of the own store, and of those that were joined in them."""
    return _digests(parts).union(*map(cell.joined_in, parts))


def _new_part(
    cell: Partition, table: str, listed: Manifest, scratch: Path
) -> tuple[str, Path, dict[str, Any]] | None:
    """What the listed parts lack of a table: the part's name, its file and its manifest entry."""
    joined = (entry.get("joins", ()) for entry in listed.values())
    published = _digests(map(Path, listed)).union(*joined)
    parts = cell.parts(table, listed_only=True)
    new = [
        part
        for part in parts
        if not _digests([part]) <= published and not set() < cell.joined_in(part) <= published
    ]
    if not new:
        return None
    common = [part for part in parts if f"{cell.directory}/{part.name}" in listed]
    with cell.reading(new):
        pack = table in _PACKED and not all(map(is_smallest, new))
    if len(new) == 1 and not common and not pack:
        # As it is: to write it anew would cost time and change nothing but its name.
        frame, part = cell.read(table, [], parts=new), new[0]
    else:
        frame = cell.read(table, parts=new)
        if common:
            # By key and run: where another run of a unit is there and the own one counts, it goes.
            run = ["run"] if table in UNITS else []
            same = [*KEYS[table], *run]
            frame = frame.join(cell.read(table, run, parts=[*common, *new]), on=same, how="semi")
            frame = frame.join(cell.read(table, run, parts=common), on=same, how="anti")
        if frame.is_empty():
            return None
        part = write_part(
            scratch / cell.directory, table, frame.sort(KEYS[table]), smallest=table in _PACKED
        )
    entry: dict[str, Any] = {
        "sha256": sha256_of(part),
        "bytes": part.stat().st_size,
        "rows": frame.height,
    }
    if joins := sorted(_digests_within(cell, new) - _digests([part])):
        entry["joins"] = joins
    return f"{cell.directory}/{part.name}", part, entry


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _concurrently(
    transfer: Callable[[Item], Result], items: Sequence[Item], sizes: Sequence[int], what: str
) -> Iterator[Result]:
    """Results in order. The first error ends it; transfers that had begun are let finish."""
    total = sum(sizes)
    with (
        ThreadPoolExecutor(_N_TRANSFERS) as pool,
        tqdm(total=total, unit="B", unit_scale=True, desc=what, disable=None, ascii=True) as bar,
    ):
        futures = [pool.submit(transfer, item) for item in items]
        try:
            for future, size in zip(futures, sizes, strict=True):
                yield future.result()
                bar.update(size)
        finally:
            for future in futures:
                future.cancel()


class _Remote:
    """A published store, through fsspec; its drivers' errors in words of this study."""

    def __init__(self, address: str) -> None:
        from fsspec.core import url_to_fs

        self._address = address
        with self._errors_in_words("open", ""):
            self._fs, self._root = url_to_fs(address)

    def folder(self) -> Path | None:
        """The store's folder, links followed, if it is one of this machine."""
        with self._errors_in_words("open", ""):
            return Path(self._root).resolve() if "file" in self._fs.protocol else None

    def make_folder(self) -> None:
        """Make the store's own folder on this machine; elsewhere it comes with its files, and who
        may write them need not be allowed to make a bucket."""
        if "file" in self._fs.protocol:
            with self._errors_in_words("write", ""):
                self._fs.makedirs(self._root, exist_ok=True)

    def manifests(self, *, damaged_too: bool = False) -> dict[str, Manifest]:
        """Manifest file -> what it lists. A damaged one is an error, or, if allowed, empty."""
        for _ in range(_ATTEMPTS):
            with self._errors_in_words("list", ""):
                self._fs.invalidate_cache()
                try:
                    names = [Path(p).name for p in self._fs.ls(self._root, detail=False)]
                except FileNotFoundError:
                    return {}
            manifests: dict[str, Manifest] = {}
            for name in sorted(n for n in names if fnmatchcase(n, MANIFESTS)):
                with self._errors_in_words("read", name):
                    try:
                        content = self._fs.cat_file(self._path(name))
                    except FileNotFoundError:
                        break  # another publisher has just taken it over
                try:
                    manifests[name] = parse_manifest(content, self._shown(name))
                except OtherLayoutError:
                    raise
                except StudyError:
                    if not damaged_too:
                        raise
                    manifests[name] = {}
            else:
                return manifests
        raise StudyError(
            "its manifests change all the time",
            where=self._address,
            cure="let the other publishers finish, then give the command again",
        )

    def write(self, name: str, content: bytes) -> None:
        """Write a small file whose name or place determines its content."""
        with self._errors_in_words("write", name):
            path = self._path(name)
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(path, content)

    def sizes(self) -> dict[str, int]:
        """Every file of a store that is there, with its size in bytes."""
        with self._errors_in_words("list", ""):
            self._fs.invalidate_cache()
            files = self._fs.find(self._root, detail=True)
        start = len(self._root.rstrip("/")) + 1
        named = ((path[start:], int(info["size"] or 0)) for path, info in files.items())
        return {name: size for name, size in named if _STORE_FILE.fullmatch(name)}

    def send(self, name: str, file: Path) -> None:
        """Upload a part; its folder exists, because its spec was written."""
        with self._errors_in_words("write", name):
            self._fs.put_file(str(file), self._path(name))

    def receive_together(self, parts: Sequence[_Wanted]) -> None:
        """Receive parts of one partition: where these are several, all of them or none."""
        if len(parts) == 1:
            self.receive(*parts[0])
            return
        with parts[0][0].whole() as staged:
            for _, name, entry in parts:
                self.receive(staged, name, entry)

    def receive(self, cell: Partition, name: str, entry: dict[str, Any]) -> None:
        """Download a part into the writable store, and keep it only if its hash is the listed."""
        part, expected = Path(name).name, str(entry["sha256"])
        with cell.receive(part) as file:
            hashing, n_bytes = hashlib.sha256(), 0
            for chunk in self._chunks(name):
                n_bytes += len(chunk)
                if n_bytes > entry["bytes"]:
                    raise StudyError(
                        f"a published part is larger than its manifest says: {entry['bytes']:,} "
                        "bytes are listed",
                        where=self._shown(name),
                        cure="let its publisher remove that file and publish again; nothing of it "
                        "was kept",
                    )
                hashing.update(chunk)
                file.write(chunk)
            actual, match = hashing.hexdigest(), PART.match(part)
            if actual != expected or not (match and expected.startswith(match["sha"])):
                raise StudyError(
                    f"a published part is not what its manifest says: its sha256 is {actual}, "
                    f"listed is {expected}",
                    where=self._shown(name),
                    cure="let its publisher remove that file and publish again; nothing of it was "
                    "kept",
                )
            file.flush()
            found = extent(Path(file.name))
            if found is None or found.n_rows > _MOST_ROWS or found.n_bytes > _MOST_BYTES:
                what = "no parquet file"
                if found is not None:
                    what = f"{found.n_bytes / 1e6:,.1f} MB when unpacked, rows: {found.n_rows:,}"
                raise StudyError(
                    f"a published part cannot be a study's: it is {what}",
                    where=self._shown(name),
                    cure="ask its publisher for what it is; nothing of it was kept",
                )

    def _chunks(self, name: str) -> Iterator[bytes]:
        with self._errors_in_words("read", name):
            stream = self._fs.open(self._path(name), "rb")
        with stream:
            while True:
                with self._errors_in_words("read", name):
                    chunk = stream.read(_CHUNK)
                if not chunk:
                    return
                yield chunk

    def list_parts(self, parts: Manifest, taken_over: dict[str, Manifest]) -> None:
        """Make ``parts`` the manifest, in place of those that were taken over."""
        content = _json({"layout": LAYOUT, "parts": parts})
        name = f"manifest-{hashlib.sha256(content).hexdigest()[:16]}.json"
        if taken_over.get(name) != parts:
            self.write(name, content)
        for old in taken_over.keys() - {name}:
            self._remove(old)

    def prune(self, directories: set[str], listed: Manifest) -> tuple[str, ...]:
        """Remove what a store consists of and is not listed, nor the spec of a directory."""
        kept = {*listed, *(f"{directory}/spec.json" for directory in directories)}
        removed = sorted(self.sizes().keys() - kept)
        for name in removed:
            self._remove(name)
        return tuple(removed)

    def _remove(self, name: str) -> None:
        with self._errors_in_words("remove", name), suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def _shown(self, name: str) -> str:
        return f"{self._address.rstrip('/')}/{name}" if name else self._address

    @contextmanager
    def _errors_in_words(self, verb: str, name: str) -> Iterator[None]:
        try:
            yield
        except StudyError:
            raise
        except ImportError as error:
            raise StudyError(
                f"the driver of this kind of address is not installed: {error}",
                where=self._address,
                cure="install it: requirements/sharing.in names those of S3 and GCS",
            ) from None
        # Every driver has exceptions of its own, many of them children of Exception only.
        except Exception as error:
            reason = shorten(str(error) or "no reason given", width=200)
            raise StudyError(
                f"cannot {verb}: {type(error).__name__}: {reason}",
                where=self._shown(name),
                cure="check the address, your permissions and the network, then give the same "
                "command again: it goes on where it stopped",
            ) from None
