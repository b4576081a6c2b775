"""The store: content-addressed, append-only intermediate results that are costly to make.

Layout of one root::

    <kind>/<readable-slug>-<digest of the spec>/spec.json
                                               /<table>-<sha256, 16 digits>.parquet
                                               /.joined.json (writable root only: see below)
    manifest*.json       (published roots only: sha256, bytes and rows of every part)

A part's name carries the hash of its bytes, so damage is seen on every read. Parts are written
under a temporary name and moved, so a crash loses at most the part in flight, and two writers of
one partition lose nothing: rows are keyed, and seeds are hashed from the key. Temporary names begin
with a dot: what a killed command left under one is read by nobody, nor listed, nor sent.

A run writes many small parts, lest a crash cost much; at its end they become one, which is there
before they go. Who looks meanwhile finds a row twice, which is the same, or a part gone, and looks
again. ``.joined.json`` says which parts a part stands for, so that nothing is sent or fetched for
its new name; it is this machine's own, and where it is lost some parts are sent again.

Rows that an engine made are units: a sample, the scores of a sample, a search. Engines in half
precision are no function of the seed, so two runs of one unit differ. A unit is one row and names
its run; of two with one key the one of the earliest run counts, whole, whoever reads and wherever
it lies: see ``Partition.read``.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import time
import uuid
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TypeVar

import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.store import packing
from compute_optimal.store.schemas import SCHEMAS
from compute_optimal.study.spec import Spec, canonical, digest

KEYS: dict[str, tuple[str, ...]] = {
    "problems": ("problem_id",),
    "samples": ("problem_hash", "sample_index"),
    "step_scores": ("problem_hash", "sample_index", "text_hash"),
    "searches": ("problem_hash", "subtree"),
    "draws": ("history", "attempt", "number"),
    "adopted_samples": ("method", "problem_id", "sample_index"),
    "adopted_paths": ("method", "budget", "problem_id", "repetition", "subtree", "path"),
    "adopted_solutions": ("prm", "problem_id", "solution"),
    "adopted_tokens": (
        "kind", "method", "budget", "problem_id", "repetition", "subtree", "path", "sample_index",
    ),
    "adopted_files": ("path",),
    "adopted_findings": ("path", "reason", "adopted"),
    "verdicts": ("grader", "problem_id", "answer"),
}  # fmt: skip
"""Columns that identify a row, for every table the store may hold.

Scores of other texts than the sample's are other rows: they do not stand in the way of its own.
"""

UNITS = ("samples", "step_scores", "searches")
"""Tables whose rows are units: they have a column ``run``."""

WHOLE = ("adopted",)
"""Kinds of partitions whose tables mean something only together (``Partition.whole``)."""

LAYOUT = 3
"""Version of the layout of a root, as manifests name it. In the first, which they do not name, a
search was rows of several tables and costs lay in a table of their own; in the second, paths of
searches were written out in all parts (``packing``)."""

LAYOUTS = (2, LAYOUT)
"""Those that are read. Parts of both may lie side by side."""

MOST_PARTS = 8
"""Parts of one table that a run leaves beside each other: opened one by one, those of a large study
take longer than whatever is asked of them."""

_JOINED_PARTS = ".joined.json"

MANIFESTS = "manifest*.json"
"""Files of a published root that list its parts; together they are its manifest."""

PART = re.compile(r"^(?P<table>[a-z_]+)-(?P<sha>[0-9a-f]{16})\.parquet$")
"""Name of a part: its table and the first digits of the sha256 of its bytes."""

_LISTED = re.compile(r"[\w-]+/[\w.-]+-[0-9a-f]{12}/[a-z_]+-[0-9a-f]{16}\.parquet")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_JOINED = re.compile(r"[0-9a-f]{16}")

Manifest = dict[str, dict[str, Any]]
"""Part (path relative to its root) -> sha256, bytes, rows and, where it holds the rows of other
parts of the publisher's own store, ``joins``: the first digits of their sha256."""


Answer = TypeVar("Answer")


def new_run() -> str:
    """An id for one run of a command: 12 hexadecimal digits of its start [ms], 8 at random.

    Ids sort by their start, and two that start at once differ.
    """
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(4)}"


class OtherLayoutError(StudyError):
    """What lies at ``where`` was stored in another layout than ``LAYOUTS``."""

    def __init__(self, where: str) -> None:
        super().__init__(
            "this was stored in another layout, by another version of this repository",
            where=where,
            cure="move it away, and fetch or generate its cells anew; or use the version that "
            "wrote it",
        )


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def slug(*names: str) -> str:
    """Names joined to a directory name that any file system takes."""
    return ".".join(re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") for name in names)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that appears under ``path`` only when it is complete and on disk.

    Raises ``StudyError`` where the disk is full or the folder cannot be written, and where what is
    there is no file: whoever may would put one in the place of /dev/null.
    """
    temporary: Path | None = None
    try:
        with _writing(path):
            _refuse_what_is_no_file(path)
            staged = _staged(path)
            with staged.open("xb") as file:
                temporary = staged
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """Find out whether a file can be written, before the work whose result it shall hold.

    Raises ``StudyError`` as ``atomic_write`` would. What is there stays as it is.
    """
    with _writing(path):
        _refuse_what_is_no_file(path)
        staged = _staged(path)
        staged.touch(exist_ok=False)
        staged.unlink()


def _staged(path: Path) -> Path:
    """A name that nobody has, beside that of a file, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by tempfile, which makes private files: a store is shared with whoever the umask lets
    # in, and a umask can only be read by setting it, for all threads of the process.
    return path.parent / f".part-{uuid.uuid4().hex}"


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StudyError(
            f"cannot write: {error.strerror or error}",
            where=str(path),
            cure="free some space or mend the permissions, then give the same command again; "
            "everything that was finished before is kept",
        ) from error


def _refuse_what_is_no_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise StudyError(
            "cannot write: a file is meant, and this is "
            + ("a folder" if path.is_dir() else "neither file nor folder"),
            where=str(path),
            cure="name a file",
        )


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented, sorted JSON, atomically."""
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def write_parquet(frame: pl.DataFrame, path: Path, *, level: int = 10) -> None:
    """Write a parquet file, atomically, at a level of zstd. Equal frames give equal bytes.

    Without statistics of columns: files are read whole.
    """
    # Not into the file: of a full disk polars says that parquet is out of specification.
    content = io.BytesIO()
    frame.write_parquet(content, compression="zstd", compression_level=level, statistics=False)
    with atomic_write(path) as file:
        file.write(content.getbuffer())


UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a file that is no parquet, or another, ends in."""


def read_table(path: Path) -> pl.DataFrame:
    """A parquet file among the results. Raises ``StudyError`` where it is damaged or absent."""
    try:
        return pl.read_parquet(path, glob=False)
    except UNREADABLE as error:
        raise StudyError(
            f"a table cannot be read: {_first_line(error)}",
            where=str(path),
            cure="remove the file and run again: it is made anew",
        ) from None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def write_result(frame: pl.DataFrame, path: Path) -> None:
    """Write a result of a study, a parquet file that replaces those of other requests."""
    write_parquet(frame, path)
    _supersede(path)


def write_description(content: Any, path: Path) -> None:
    """Write what a result of a study is, or was made of, as JSON that replaces those of others."""
    write_json(path, content)
    _supersede(path)


def _supersede(path: Path) -> None:
    """Remove the files beside ``path`` that differ from it in the digest of their name only.

    A result whose name carries the digest of its request is current as long as it exists. Were an
    older one kept, going back to its request would find a file that is older than what was made
    from its successor, and nothing would be remade.
    """
    stem, _, _ = path.stem.rpartition("-")
    name = re.compile(re.escape(stem) + "-[0-9a-f]{12}" + re.escape(path.suffix))
    for other in path.parent.iterdir():
        if other != path and name.fullmatch(other.name):
            other.unlink(missing_ok=True)


@dataclass(frozen=True)
class Root:
    """One folder of partitions; only the writable one has no manifest."""

    path: Path
    writable: bool

    def manifest(self) -> Manifest:
        """All that the manifests of a published root list."""
        return self._listed[0]

    def listed(self, directory: str) -> frozenset[str]:
        """Names of the parts that the manifests list in one folder."""
        return self._listed[1].get(directory, frozenset())

    @property
    def _listed(self) -> tuple[Manifest, Mapping[str, frozenset[str]]]:
        if self.writable:
            return {}, {}
        stats = [(file, file.stat()) for file in sorted(self.path.glob(MANIFESTS))]
        return _read_manifests(
            tuple((file, stat.st_mtime_ns, stat.st_size, stat.st_ino) for file, stat in stats)
        )


@lru_cache(maxsize=4)
def _read_manifests(
    files: tuple[tuple[Path, int, int, int], ...],
) -> tuple[Manifest, Mapping[str, frozenset[str]]]:
    """All that manifests list, as a whole and by folder. ``files``: with what tells a new version.

    Every look into a partition asks for it, and it is as long as the store has partitions.
    """
    parts: Manifest = {}
    for file, *_ in files:
        parts |= parse_manifest(file.read_bytes(), str(file))
    folders: dict[str, set[str]] = {}
    for part in parts:
        folder, _, name = part.rpartition("/")
        folders.setdefault(folder, set()).add(name)
    return parts, {folder: frozenset(names) for folder, names in folders.items()}


def parse_manifest(content: bytes, where: str) -> Manifest:
    """The parts that one manifest file lists. Raises ``StudyError`` where it is not whole.

    A file called ``manifest-<digits>.json`` carries the first digits of its own sha256.
    """
    own = re.search(r"manifest-([0-9a-f]{16})\.json$", where)
    layout = LAYOUT
    try:
        manifest = json.loads(content)
        parts, layout = manifest["parts"], manifest.get("layout", 1)
        whole = own is None or hashlib.sha256(content).hexdigest().startswith(own[1])
        whole &= all(isinstance(entry, dict) for entry in parts.values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if whole and layout not in LAYOUTS:
        raise OtherLayoutError(where)
    wrong = next((n for n, entry in parts.items() if not _is_part(n, entry)), None) if whole else ""
    if wrong is None:
        return dict(parts)
    raise StudyError(
        f"an entry of a manifest is not that of a part: {wrong[:100]!a}"
        if whole
        else "a manifest is damaged, or was cut short when it was written",
        where=where,
        cure="publish again, which replaces it; the shipped one is in version control",
    )


def _is_part(name: str, entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a manifest, which strangers may have written, is one of ``Manifest``: a
    name below the root, and values of their types."""
    sha256, size, joins = entry.get("sha256"), entry.get("bytes"), entry.get("joins", [])
    return (
        _LISTED.fullmatch(name) is not None
        and isinstance(sha256, str)
        and _SHA256.fullmatch(sha256) is not None
        and type(size) is int
        and size >= 0
        and isinstance(joins, list)
        and all(isinstance(part, str) and _JOINED.fullmatch(part) for part in joins)
    )


_RESTORE = (
    "restore the file from its source; a part of your own store can be deleted, and its rows are "
    "drawn again"
)


class Partition:
    """All rows of one spec, over every root of the store."""

    def __init__(self, roots: Sequence[Root], kind: str, name: str, spec: Spec) -> None:
        self.kind, self.name, self.spec = kind, name, spec
        self.directory = f"{kind}/{name}-{digest(spec)}"
        self._roots = roots

    def parts(self, table: str, *, listed_only: bool = False) -> list[Path]:
        """Files that hold rows of ``table``: writable root first, then shipped ones.

        Raises ``StudyError`` where a shipped folder and its manifest disagree; with
        ``listed_only`` the parts in which they agree are returned instead.
        """
        files: list[Path] = []
        for root in self._roots:
            folder = root.path / self.directory
            named = {
                path.name: (path, match["table"])
                for path in (folder.iterdir() if folder.is_dir() else ())
                if (match := PART.match(path.name))
            }
            if any(of not in KEYS for _, of in named.values()):
                raise OtherLayoutError(str(folder))
            paths = {name: path for name, (path, of) in named.items() if of == table}
            if paths:
                self._check_spec(folder)
            if not root.writable:
                listed = {
                    name for name in root.listed(self.directory) if name.startswith(f"{table}-")
                }
                if listed_only:
                    paths = {name: paths[name] for name in listed & paths.keys()}
                    listed &= paths.keys()
                if lost := sorted(listed - paths.keys()):
                    raise StudyError(
                        f"a shipped part is missing: {lost[0]}",
                        where=str(folder),
                        cure="restore it from version control, or fetch the store again",
                    )
                if foreign := sorted(paths.keys() - listed):
                    raise StudyError(
                        f"a part is not in the manifest: {foreign[0]}",
                        where=str(folder),
                        cure=f"publish to {root.path} again, which lists it, or remove it",
                    )
            files += [paths[name] for name in sorted(paths)]
        return files

    def _check_spec(self, folder: Path) -> None:
        file = folder / "spec.json"
        try:
            stored = json.loads(file.read_bytes())
        except (OSError, ValueError):
            stored = None
        if stored is None or canonical(stored) != canonical(self.spec):
            raise StudyError(
                "spec.json is missing or does not belong to its folder",
                where=str(file),
                cure="restore it, or remove the folder: what it held is drawn again",
            )

    def _verified(self, path: Path) -> Path:
        match = PART.match(path.name)
        assert match is not None
        try:
            actual = sha256_of(path)
        except OSError as error:
            raise StudyError(
                f"a stored part cannot be read: {error.strerror}",
                where=str(path),
                cure=_RESTORE,
            ) from None
        listed = next(
            (
                root.manifest().get(f"{self.directory}/{path.name}", {}).get("sha256")
                for root in self._roots
                if not root.writable and path.is_relative_to(root.path)
            ),
            None,
        )
        expected = listed or match["sha"]
        if not actual.startswith(expected):
            raise StudyError(
                f"a stored part is damaged: its sha256 is {actual}, expected {expected}",
                where=str(path),
                cure=_RESTORE,
            )
        return path

    def check(self, parts: Iterable[Path]) -> None:
        """Raise ``StudyError`` for the first of its ``parts`` that is not as it was written."""
        for part in parts:
            self._verified(part)

    @contextlib.contextmanager
    def reading(self, parts: Sequence[Path]) -> Iterator[None]:
        """Whatever reads ``parts`` without checking each byte first, goes here.

        Raises ``StudyError`` that names the damaged part, or says what is wrong with the parts.
        """
        try:
            yield
        except UNREADABLE as error:
            self.check(parts)
            raise StudyError(
                f"stored parts are whole, but not what this study reads: {_first_line(error)}",
                where=", ".join(map(str, parts)),
                cure=_RESTORE,
            ) from None

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        parts: Sequence[Path] | None = None,
    ) -> pl.DataFrame:
        """Rows of ``table``, each key once, sorted by key. Empty (no columns) if there are none.

        ``parts`` are those to read, all by default. Of two units with one key, that of the
        earliest run (the smallest id) is taken. So none is displaced by a later one, such as a
        sample that scores were given for, and all who hold both take the same. Every byte read is
        checked: raises ``StudyError`` for a damaged part, and as ``parts`` does.
        """

        def read(parts: Sequence[Path]) -> pl.DataFrame:
            with self.reading(parts):
                return _sorted(_taken(table, map(self._verified, parts), columns), KEYS[table])

        return self._of_parts(table, read) if parts is None else read(parts)

    def look(
        self, table: str, columns: Sequence[str] = (), *, besides: Container[Path] = ()
    ) -> pl.DataFrame:
        """The same, quickly: keys and ``columns``, in any order, of bytes that are not checked.

        For what is missing, and what the rest costs; results are made from ``read``. Parts that are
        in ``besides`` are left out.
        """

        def look(parts: Sequence[Path]) -> pl.DataFrame:
            others = [part for part in parts if part not in besides]
            with self.reading(others):
                return _taken(table, others, columns)

        return self._of_parts(table, look)

    def _of_parts(self, table: str, ask: Callable[[list[Path]], Answer]) -> Answer:
        """What ``ask`` makes of the parts; again where one of them went meanwhile."""
        before: list[Path] = []
        while True:
            parts = self.parts(table)
            try:
                return ask(parts)
            except (StudyError, FileNotFoundError):
                # A link to nothing is listed and does not exist, however often one asks.
                if parts == before or all(part.exists() for part in parts):
                    raise
                before = parts

    def state(self, table: str) -> list[tuple[object, ...]]:
        """What changes whenever a part of ``table`` does."""

        def ask(parts: Sequence[Path]) -> list[tuple[object, ...]]:
            stats = [(part, part.stat()) for part in parts]
            return [(path, s.st_mtime_ns, s.st_size, s.st_ino) for path, s in stats]

        return self._of_parts(table, ask)

    def append(self, table: str, frame: pl.DataFrame, *, quickly: bool = False) -> Path:
        """Write ``frame`` as one more part of the writable root; returns the part.

        ``quickly``: in a tenth of the time, and in more room, as what ``join`` writes anew.
        Raises ``StudyError`` on a full disk; parts that were written before stay.
        """
        return write_part(self._writable_folder(), table, frame, quickly=quickly)

    def join(self, table: str) -> None:
        """Write more than ``MOST_PARTS`` parts of the writable root as one, in their place.

        At every moment each row is there; two that join at once lose nothing. Raises ``StudyError``
        as ``append`` does, or where a part is damaged; the parts then stay as they are.
        """
        folder = self._writable_root / self.directory
        parts = [part for part in self.parts(table) if part.parent == folder]
        if len(parts) <= MOST_PARTS:
            return
        try:
            frame = self.read(table, parts=parts)
        except StudyError:
            if all(part.exists() for part in parts):
                raise
            return  # Another run is doing it.
        joined = write_part(folder, table, frame)
        within = {_digest(part) for part in parts}.union(*map(self.joined_in, parts))
        noted = self._joined_parts | {_digest(joined): sorted(within - {_digest(joined)})}
        write_json(folder / _JOINED_PARTS, noted)
        for part in parts:
            if part != joined:
                part.unlink(missing_ok=True)

    def joined_in(self, part: Path) -> set[str]:
        """Digests, as in their names, of the parts that were joined in one; none of most."""
        return set(self._joined_parts.get(_digest(part), ()))

    @property
    def _joined_parts(self) -> dict[str, list[str]]:
        """By the digest of a part, those of parts that were joined in it; none where the file is
        missing or damaged."""
        try:
            noted = json.loads((self._writable_root / self.directory / _JOINED_PARTS).read_bytes())
            return {name: [*map(str, parts)] for name, parts in noted.items()}
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            return {}

    @contextlib.contextmanager
    def whole(self) -> Iterator[Partition]:
        """This partition, empty and elsewhere, for parts that mean something only together.

        What is written there is here when the block ends; an error within leaves nothing. Where
        nothing was here it appears at once, so that who is killed leaves all of it or none.
        """
        root = self._writable_root
        staged = root / f".staged-{uuid.uuid4().hex}"
        try:
            yield Partition([Root(staged, True)], self.kind, self.name, self.spec)
            source, target = staged / self.directory, root / self.directory
            if source.is_dir():
                with _writing(target):
                    _move_together(source, target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    @contextlib.contextmanager
    def receive(self, name: str) -> Iterator[IO[bytes]]:
        """Open a part of the writable root that was made elsewhere, under its own name.

        It appears when the block ends; an error within leaves nothing.
        """
        with atomic_write(self._writable_folder() / name) as file:
            yield file

    def require_room(self, n_bytes: int) -> None:
        """Raise ``StudyError`` where the writable root has no room for so much more."""
        folder = self._writable_root
        present = next(f for f in (folder, *folder.absolute().parents) if f.is_dir())
        if n_bytes > (free := shutil.disk_usage(present).free):
            raise StudyError(
                f"{n_bytes / 1e6:,.1f} MB are needed, and {free / 1e6:,.1f} MB are free",
                where=str(folder),
                cure="free some space, or name a folder on a larger disk as store.writable",
            )

    @property
    def _writable_root(self) -> Path:
        return next(root.path for root in self._roots if root.writable)

    def _writable_folder(self) -> Path:
        folder = self._writable_root / self.directory
        if not (spec_file := folder / "spec.json").exists():
            write_json(spec_file, self.spec)
        return folder


def _digest(part: Path) -> str:
    match = PART.match(part.name)
    assert match is not None
    return match["sha"]


def _move_together(source: Path, target: Path) -> None:
    """Move a folder to ``target``, or its files into what is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):
        # Succeeds where nothing is there, or an empty folder.
        source.rename(target)
        return
    for file in sorted(source.iterdir()):
        file.replace(target / file.name)


def _taken(table: str, parts: Iterable[Path], columns: Sequence[str] | None) -> pl.DataFrame:
    """Of the rows of ``parts``, one a key: keys and ``columns`` (all if None), in any order."""
    required = _required(table)
    wanted = None if columns is None else list(dict.fromkeys([*KEYS[table], *columns]))
    read = None if wanted is None else list(dict.fromkeys([*wanted, *required]))
    frames = [_rows(table, part, read, required) for part in parts]
    return _one_a_key(table, frames, wanted)


def _required(table: str) -> list[str]:
    """Columns without which rows cannot be told apart."""
    return [*KEYS[table], *(["run"] if table in UNITS else [])]


def _one_a_key(
    table: str, frames: Sequence[pl.DataFrame], wanted: Sequence[str] | None
) -> pl.DataFrame:
    if not frames:
        return pl.DataFrame()
    frame = frames[0]
    if len(frames) > 1:  # one part holds each key once
        order = _required(table)
        frame = pl.concat(frames, how="diagonal_relaxed").sort(order, maintain_order=True)
        frame = frame.unique(KEYS[table], keep="first", maintain_order=True)
    return frame if wanted is None else frame.select(wanted)


_TOGETHER = 32
"""Partitions that are read together: more take more memory and hardly less time."""


def each(
    cells: Sequence[Partition], table: str, columns: Sequence[str], *, checked: bool
) -> Iterator[pl.DataFrame]:
    """``Partition.read`` of many units' partitions, ``look`` unless ``checked``.

    Their parts are opened together, which takes a fifth of the time where they are small; so none
    of the ``columns`` is one that ``packing`` derives. Raises ``StudyError`` as these do.
    """
    for start in range(0, len(cells), _TOGETHER):
        some = cells[start : start + _TOGETHER]
        parts = [cell.parts(table) for cell in some]
        files = [part for of_cell in parts for part in of_cell]
        if not files:
            yield from (pl.DataFrame() for _ in some)
            continue
        try:
            if checked:
                for cell, of_cell in zip(some, parts, strict=True):
                    cell.check(of_cell)
            rows = _together(table, files, columns)
        except (*UNREADABLE, StudyError):
            # One after the other, the part at fault is named, and one that went is not missed.
            for cell in some:
                yield cell.read(table, columns) if checked else cell.look(table, columns)
            continue
        wanted = list(dict.fromkeys([*KEYS[table], *columns]))
        # Nearly always there is one part of each cell, in order: that is asked of all at once.
        is_taken = all(len(of_cell) <= 1 for of_cell in parts)
        is_sorted = is_taken and (not checked or _ascends(rows, KEYS[table]))
        if is_taken:
            rows = rows.select("part", *wanted)
        found = rows.partition_by("part", include_key=False, as_dict=True, maintain_order=True)
        none = rows.clear().drop("part")
        of_part = {part: found.get((str(part),), none) for part in files}
        for cell, of_cell in zip(some, parts, strict=True):
            frames = [of_part[part] for part in of_cell]
            frame = frames[0] if frames and is_taken else _one_a_key(table, frames, wanted)
            if checked and not is_sorted:
                with cell.reading(of_cell):
                    frame = _sorted(frame, KEYS[table])
            yield frame


def _together(table: str, parts: Sequence[Path], columns: Sequence[str]) -> pl.DataFrame:
    """Keys, runs and ``columns`` of all parts, one after the other, each row with its ``part``."""
    # A folder in the place of a part would be searched for others.
    for part in parts:
        if part.is_dir():
            raise IsADirectoryError(part)
    names = dict.fromkeys([*_required(table), *columns])
    return pl.scan_parquet(
        list(parts),
        glob=False,
        schema={name: SCHEMAS[table][name] for name in names},
        extra_columns="ignore",
        include_file_paths="part",
    ).collect()


def _ascends(rows: pl.DataFrame, keys: Sequence[str]) -> bool:
    """Whether the keys of each ``part`` ascend, none twice and none null."""
    ascends = pl.lit(False)
    for key in reversed(keys):
        before = pl.col(key).shift()
        ascends = (pl.col(key) > before) | ((pl.col(key) == before) & ascends)
    first = pl.col("part").ne_missing(pl.col("part").shift())
    return bool(rows.select((first | ascends.fill_null(False)).all()).item())


def _sorted(rows: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """``rows`` in the order of their keys. Raises ``ComputeError`` where one stands twice: as no
    part is written, so that one reader would take the first and another the last or both."""
    # Most parts were written in order; to sort trees anew copies all of their nodes.
    if not (rows.is_empty() or rows.select(keys).to_struct().is_sorted()):
        rows = rows.sort(keys)
    # Of the last key first, which nearly always tells two rows apart.
    as_before = [pl.col(key).eq_missing(pl.col(key).shift()) for key in reversed(keys)]
    if not rows.is_empty() and rows.select(pl.all_horizontal(as_before).slice(1).any()).item():
        raise pl.exceptions.ComputeError(f"a key ({', '.join(keys)}) occurs twice")
    return rows


def _rows(table: str, part: Path, columns: list[str] | None, required: list[str]) -> pl.DataFrame:
    _check_types(table, part)
    try:
        frame = packing.read(part, columns)
    except pl.exceptions.ColumnNotFoundError as error:
        raise OtherLayoutError(str(part)) from error
    if not set(required) <= set(frame.columns):
        raise OtherLayoutError(str(part))
    return frame


def _check_types(table: str, part: Path) -> None:
    """Raises ``SchemaError`` for a column of another type than is written, which polars would
    read, and which would end far from here or be taken for what it is not."""
    written = SCHEMAS.get(table, {})
    for name, stored in pl.scan_parquet(part, glob=False).collect_schema().items():
        if stored != written.get("paths" if name == "ends" else name, stored):
            raise pl.exceptions.SchemaError(f"{name} of {part.name} is of another type")


def write_part(
    folder: Path, table: str, frame: pl.DataFrame, *, smallest: bool = False, quickly: bool = False
) -> Path:
    """Write ``frame`` into ``folder`` under a name that carries its hash; returns the file.

    ``smallest``: in the room that ``packing.write`` takes, and in its time. ``quickly``: as what is
    written anew soon.
    """
    needed = [*KEYS[table], *(["run"] if table in UNITS else [])]
    missing = [key for key in needed if key not in frame.columns]
    assert not missing, f"rows of {table} lack the key columns {missing}"
    assert not frame.select(KEYS[table]).is_duplicated().any(), f"a key of {table} occurs twice"
    # Jobs on two machines of a cluster may have one process id and write here at once.
    staged = folder / f".staged-{uuid.uuid4().hex}"
    try:
        if smallest:
            packing.write(frame, staged)
        else:
            # Kept for years, written once.
            write_parquet(packing.packed(frame), staged, level=3 if quickly else 19)
        part = folder / f"{table}-{sha256_of(staged)[:16]}.parquet"
        staged.replace(part)
    finally:
        staged.unlink(missing_ok=True)
    return part


class Store:
    """The writable root and, behind it, the shipped read-only roots."""

    def __init__(self, writable: Path, shipped: Sequence[Path] = ()) -> None:
        self.roots = (Root(writable, True), *(Root(path, False) for path in shipped))

    def partition(self, kind: str, name: str, spec: Spec) -> Partition:
        """The partition of ``spec``, whether or not anything is stored in it."""
        return Partition(self.roots, kind, name, spec)

    def like(self, partition: Partition) -> Partition:
        """The partition of another store, in this one."""
        return Partition(self.roots, partition.kind, partition.name, partition.spec)

    def own_partition(self, kind: str, name: str, spec: Spec) -> Partition:
        """The same of what is never shipped: it is looked for in the writable root only."""
        return Partition(self.roots[:1], kind, name, spec)


def verify(shipped: Path) -> list[str]:
    """Every difference between a shipped root and its manifest, one sentence each."""
    manifest = Root(shipped, False).manifest()
    findings = []
    for name, entry in sorted(manifest.items()):
        path = shipped / name
        try:
            actual = sha256_of(path)
        except FileNotFoundError:
            findings.append(f"{path} is missing")
            continue
        except OSError as error:
            findings.append(f"{path} cannot be read: {error.strerror}")
            continue
        if actual != entry["sha256"]:
            findings.append(f"{path} has sha256 {actual}, the manifest says {entry['sha256']}")
    for folder in sorted({(shipped / name).parent for name in manifest}):
        if not _spec_is_of(folder):
            findings.append(f"{folder / 'spec.json'} is missing or does not belong to its folder")
    on_disk = {p.relative_to(shipped).as_posix() for p in shipped.rglob("*.parquet")}
    findings += [
        f"{shipped / name} is not in the manifest"
        for name in sorted(on_disk - manifest.keys())
        if "/." not in f"/{name}"
    ]
    return findings


def _spec_is_of(folder: Path) -> bool:
    try:
        return folder.name.endswith(f"-{digest(json.loads((folder / 'spec.json').read_bytes()))}")
    except (OSError, ValueError):
        return False
