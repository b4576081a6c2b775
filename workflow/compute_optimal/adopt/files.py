"""The files of a collection: in a mirror, kept from before, or fetched from their commit.

Whatever a file comes from, its bytes are those that the registry's sha256 names, or it is refused.
A fetch that was cut off goes on where it stopped, and what was fetched is kept.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from compute_optimal.adopt.archives import Member, read_file, read_members
from compute_optimal.adopt.records import GivenFile
from compute_optimal.errors import NotAtHandError, StudyError
from compute_optimal.store.partitions import sha256_of
from compute_optimal.study.config import AdoptedEntry

DOWNLOADS = Path("resources/rollouts")
"""Where fetched files are kept, a folder for each collection's repository."""

_ENDINGS = ("", ".tar.xz", ".tar.gz", ".tgz", ".zip")
_LARGEST = 256 << 20
"""No file of a collection is larger [bytes]."""

_SHOWN = 10
"""Files that cannot be had are named up to this number."""

_ATTEMPTS = 3
_TIMEOUT = 30.0
"""Without a byte for so long, an attempt ends [s]."""

_PAUSE = 1.0
"""Before the second attempt, and that much longer before each further one [s]."""

_SLOWEST = 4096
"""An attempt that brings less than this on average ends, after ``_TIMEOUT`` [bytes/s]."""


def rollout_files(
    entry: AdoptedEntry,
    mirror: Path | None,
    source: Path | None,
    downloads: Path | None = None,
) -> list[GivenFile]:
    """All files of a collection, in the order of the registry.

    Looked for in ``source`` (an archive or a folder, and then nowhere else), else in the mirror
    (``archive_in``), in ``downloads`` (by default ``DOWNLOADS``), and at their address. Raises one
    ``StudyError`` that counts the files that cannot be had or have other bytes and names the first
    ten, ``NotAtHandError`` where none has other bytes; and another where the archive itself cannot
    be read.
    """
    contents = _contents(
        entry, {file.path: file.sha256 for file in entry.files}, mirror, source, downloads
    )
    return [GivenFile(file, contents[file.path]) for file in entry.files]


def listed_files(
    entry: AdoptedEntry,
    mirror: Path | None,
    source: Path | None,
    downloads: Path | None = None,
) -> Iterator[Member]:
    """The files of a listing, in its order and under its names; else as ``rollout_files``."""
    folder = f"{entry.folder}/" if entry.folder else ""
    listing = read_listing(Path(str(entry.listing)))
    paths = {name: folder + name.removeprefix("./") for name in listing}
    wanted = {path: listing[name] for name, path in paths.items()}
    contents = _contents(entry, wanted, mirror, source, downloads)
    for name, path in paths.items():
        yield Member(name, contents[path])


_LISTED = re.compile(r"([0-9a-f]{64}) [ *]([^\\].*)")


def read_listing(path: Path) -> dict[str, str]:
    """Name -> sha256, from a file as sha256sum writes it; raises ``StudyError`` for another."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(
            f"cannot read the listing: {error}",
            where=str(path),
            cure="name a file beside adopted.yaml that sha256sum wrote",
        ) from None
    listing: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = _LISTED.fullmatch(line)
        if match is None or match[2] in listing or ".." in match[2].split("/"):
            raise StudyError(
                "not a line of sha256sum, or a name that stands twice or leads out",
                where=f"{path}, line {number}",
                cure="write it anew: sha256sum $(find . -type f) in the folder of the files",
            )
        listing[match[2]] = match[1]
    return listing


def _contents(
    entry: AdoptedEntry,
    wanted: Mapping[str, str],
    mirror: Path | None,
    source: Path | None,
    downloads: Path | None,
) -> dict[str, bytes]:
    """Path -> bytes of ``wanted``, path -> sha256; see ``rollout_files``."""
    downloads = downloads or DOWNLOADS
    contents: dict[str, bytes] = {}
    failures: dict[str, str] = {}
    others = False
    place = source or archive_in(mirror, entry)
    if place is not None:
        for path, content in _stored(place, wanted, entry.folder):
            if isinstance(content, bytes):
                contents[path] = content
            else:
                failures[path] = content.message
                others = True
    n_unasked = 0
    for path, sha256 in wanted.items():
        if path in contents or path in failures:
            continue
        if source is not None:
            failures[path] = f"not in {source}"
            continue
        # A repository that gives nothing is not asked for each of a thousand files.
        if not contents and len(failures) >= _SHOWN:
            n_unasked += 1
            continue
        try:
            contents[path] = _kept_or_fetched(
                entry, path, sha256, downloads / collection_stem(entry)
            )
        except _FetchError as error:
            failures[path] = str(error)
            others |= error.other_bytes
    if failures:
        shown = [f"{path}: {why}" for path, why in [*failures.items()][:_SHOWN]]
        if rest := len(failures) - len(shown):
            shown.append(f"and {rest} more")
        if n_unasked:
            shown.append(f"and {n_unasked} that were not asked for any more")
        first = place if source else entry.address_of(next(iter(failures)))
        raise (StudyError if others else NotAtHandError)(
            f"{len(failures) + n_unasked} of {len(wanted)} files cannot be had:\n    "
            + "\n    ".join(shown),
            where=f"adopted collection {entry.name}, {entry.source} at {entry.commit}; the first "
            f"at {first}",
            cure="check the network and give the command again, which keeps what came before; or "
            f"name a mirror folder (MIRROR) that holds "
            f"{entry.file or collection_stem(entry) + '.tar.xz'}. A file with another sha256 is "
            "not the registered one",
        )
    return contents


def collection_stem(entry: AdoptedEntry) -> str:
    """Name of a repository's archive or folder in a mirror: owner--repository-commit."""
    return f"{entry.repository.replace('/', '--')}-{str(entry.commit)[:7]}"


def archive_in(mirror: Path | None, entry: AdoptedEntry) -> Path | None:
    """The archive or folder of an entry's repository, in the mirror or its folder rollouts."""
    names = [entry.file] if entry.file else []
    names += [f"{collection_stem(entry)}{ending}" for ending in _ENDINGS]
    for folder in [] if mirror is None else [mirror, mirror / "rollouts"]:
        for name in names:
            if (place := folder / name).exists():
                return place
    return None


class _FetchError(Exception):
    """Why one file could not be fetched; ``is_final``: another try cannot succeed;
    ``other_bytes``: it was, and is another one than the registry's."""

    def __init__(self, reason: str, *, is_final: bool = False, other_bytes: bool = False) -> None:
        super().__init__(reason)
        self.is_final, self.other_bytes = is_final, other_bytes


class _OtherBytes:
    """A file whose bytes are not those of the registry."""

    def __init__(self, reason: str) -> None:
        self.message = reason


def _stored(
    place: Path, wanted: Mapping[str, str], folder: str | None
) -> Iterator[tuple[str, bytes | _OtherBytes]]:
    """(path, bytes or why not) of ``wanted`` files in an archive or folder, where their names are
    paths of the repository, or paths within its ``folder``."""
    path_of = {path: path for path in wanted}
    if folder:
        path_of |= {path.removeprefix(f"{folder}/"): path for path in wanted}
    members = (
        filter(None, (read_file(place, name) for name in [*path_of]))
        if place.is_dir()
        else read_members(place, only={*path_of})
    )
    given_paths: set[str] = set()
    for member in members:
        path = path_of.get(member.name.removeprefix("./"))
        if path is None or path in given_paths:
            continue
        given_paths.add(path)
        if member.content is None:
            yield path, _OtherBytes(f"refused in {place}: {member.refusal}")
        elif (actual := _sha256(member.content)) != wanted[path]:
            yield path, _OtherBytes(_differs(actual, wanted[path], str(place)))
        else:
            yield path, member.content
        if len(given_paths) == len(wanted):
            return


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _differs(actual: str, expected: str, where: str) -> str:
    return f"in {where} its sha256 is {actual}, the registry says {expected}"


def _kept_or_fetched(entry: AdoptedEntry, path: str, sha256: str, folder: Path) -> bytes:
    kept = folder / path
    if kept.is_file() and kept.stat().st_size <= _LARGEST and sha256_of(kept) == sha256:
        return kept.read_bytes()
    address, part = entry.address_of(path), kept.with_name(kept.name + ".part")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        is_half = part.exists()
        _fetch(address, part)
        if is_half and sha256_of(part) != sha256:
            part.unlink()  # the part that was kept was of another file
            _fetch(address, part)
        if (actual := sha256_of(part)) != sha256:
            part.unlink()
            differs = _differs(actual, sha256, "what the server gives")
            raise _FetchError(differs, other_bytes=True)
        part.replace(kept)
        return kept.read_bytes()
    except OSError as error:
        raise _FetchError(f"cannot keep it in {folder}: {error.strerror or error}") from None


def _fetch(address: str, part: Path) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _download(address, part)
            return
        except _FetchError as error:
            if error.is_final or attempt == _ATTEMPTS:
                raise
            time.sleep(attempt * _PAUSE)


def _download(address: str, part: Path) -> None:
    """Download what ``part`` lacks. Raises ``_FetchError``; what arrived is kept."""
    import requests
    import urllib3

    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    started, came = time.monotonic(), 0
    try:
        with requests.get(address, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code == 416:  # nothing is left, or the file has become another
                return
            if answer.status_code >= 400:
                # 429: asked for too much at once.
                is_final = answer.status_code < 500 and answer.status_code != 429
                raise _FetchError(f"the server answers {answer.status_code}", is_final=is_final)
            goes_on = answer.status_code == 206
            have = have if goes_on else 0
            stated = int(answer.headers.get("Content-Length", -1))
            with part.open("ab" if goes_on else "wb") as file:
                # As it arrives: what came before a break is kept.
                while chunk := answer.raw.read1(1 << 16, decode_content=False):
                    file.write(chunk)
                    came += len(chunk)
                    seconds = time.monotonic() - started
                    if have + came > _LARGEST:
                        raise _FetchError(f"larger than {_LARGEST} bytes")
                    if seconds > _TIMEOUT and came / seconds < _SLOWEST:
                        raise _FetchError(f"too slow: {have + came} bytes so far, which are kept")
            if 0 <= came < stated:
                raise _FetchError(f"the server broke off; {have + came} bytes are kept")
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        kept = f"; {have + came} bytes are kept" if have + came else ""
        raise _FetchError(f"no connection: {type(error).__name__}{kept}") from None
