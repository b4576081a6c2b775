"""The files of a collection: in a mirror, kept from before, or fetched from their commit.

Whatever a file comes from, its bytes are those that the registry's sha256 names, or it is refused.
A fetch that was cut off goes on where it stopped, and what was fetched is kept.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from compute_optimal.adopt.archives import read_file, read_members
from compute_optimal.adopt.records import GivenFile
from compute_optimal.errors import StudyError
from compute_optimal.store.partitions import sha256_of
from compute_optimal.study.config import AdoptedEntry, RolloutFile

DOWNLOADS = Path("resources/rollouts")

_GITHUB = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
_ENDINGS = ("", ".tar.xz", ".tar.gz", ".tgz", ".zip")
_LARGEST = 256 << 20
"""No file of a collection is larger [bytes]."""

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
    (``archive_in``), in ``downloads``, and at their address. Raises one ``StudyError`` that names
    every file that cannot be had, or has other bytes.
    """
    downloads = downloads or DOWNLOADS
    wanted = {file.path: file for file in entry.files}
    contents: dict[str, bytes] = {}
    problems: list[str] = []
    place = source or archive_in(mirror, entry)
    if place is not None:
        for path, content in _stored(place, wanted):
            if isinstance(content, bytes):
                contents[path] = content
            else:
                problems.append(f"{path}: {content.message}")
    for path, file in wanted.items():
        if path in contents or any(problem.startswith(f"{path}: ") for problem in problems):
            continue
        if source is not None:
            problems.append(f"{path}: not in {source}")
            continue
        try:
            contents[path] = _kept_or_fetched(entry, file, downloads / collection_stem(entry))
        except _FetchError as error:
            problems.append(f"{path}: {error}")
    if problems:
        raise StudyError(
            f"{len(problems)} of {len(wanted)} files cannot be had:\n    "
            + "\n    ".join(problems),
            where=f"adopted collection {entry.name}, {entry.source} at {entry.commit}",
            cure="check the network and give the command again, which keeps what came before; or "
            f"name a mirror folder (MIRROR) that holds {collection_stem(entry)}.tar.xz",
        )
    return [GivenFile(file, contents[file.path]) for file in entry.files]


def collection_stem(entry: AdoptedEntry) -> str:
    """Name of a repository's archive or folder in a mirror: owner--repository-commit."""
    owner, repository = _repository(entry)
    return f"{owner}--{repository}-{str(entry.commit)[:7]}"


def archive_in(mirror: Path | None, entry: AdoptedEntry) -> Path | None:
    """The archive or folder of an entry's repository, in the mirror or its folder rollouts."""
    for folder in [] if mirror is None else [mirror, mirror / "rollouts"]:
        for ending in _ENDINGS:
            if (place := folder / f"{collection_stem(entry)}{ending}").exists():
                return place
    return None


def address_of(entry: AdoptedEntry, path: str) -> str:
    """Where one file of a collection is to be had."""
    template = entry.address or _GITHUB
    repository = "/".join(_repository(entry))
    return template.format(repository=repository, commit=entry.commit, path=quote(path))


def _repository(entry: AdoptedEntry) -> tuple[str, str]:
    owner, repository = str(entry.source).rstrip("/").removesuffix(".git").split("/")[-2:]
    return owner, repository


class _FetchError(Exception):
    """Why one file could not be had; ``is_final``: asking again is in vain."""

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class _OtherBytes:
    """A file whose bytes are not those of the registry."""

    def __init__(self, reason: str) -> None:
        self.message = reason


def _stored(
    place: Path, wanted: dict[str, RolloutFile]
) -> Iterator[tuple[str, bytes | _OtherBytes]]:
    missing = set(wanted)
    members = (
        filter(None, (read_file(place, path) for path in wanted))
        if place.is_dir()
        else read_members(place, only=wanted)
    )
    for member in members:
        path = member.name.removeprefix("./")
        if path not in missing:
            continue
        missing.discard(path)
        if member.content is None:
            yield path, _OtherBytes(f"refused in {place}: {member.refusal}")
        elif (actual := _sha256(member.content)) != wanted[path].sha256:
            yield path, _OtherBytes(_differs(actual, wanted[path], str(place)))
        else:
            yield path, member.content
        if not missing:
            return


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _differs(actual: str, file: RolloutFile, where: str) -> str:
    return f"in {where} its sha256 is {actual}, the registry says {file.sha256}"


def _kept_or_fetched(entry: AdoptedEntry, file: RolloutFile, folder: Path) -> bytes:
    kept = folder / file.path
    if kept.is_file() and kept.stat().st_size <= _LARGEST and sha256_of(kept) == file.sha256:
        return kept.read_bytes()
    address, part = address_of(entry, file.path), kept.with_name(kept.name + ".part")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        is_half = part.exists()
        _fetch(address, part)
        if is_half and sha256_of(part) != file.sha256:
            part.unlink()  # the half was one of something else
            _fetch(address, part)
        if (actual := sha256_of(part)) != file.sha256:
            part.unlink()
            raise _FetchError(_differs(actual, file, address))
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
    """Bring ``part`` to its end. Raises ``_FetchError``; what came is kept."""
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
                is_final = answer.status_code < 500
                raise _FetchError(f"{address} answers {answer.status_code}", is_final=is_final)
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
                        raise _FetchError(f"{address} is larger than {_LARGEST} bytes")
                    if seconds > _TIMEOUT and came / seconds < _SLOWEST:
                        raise _FetchError(
                            f"{address} is too slow: {have + came} bytes so far, which are kept"
                        )
            if 0 <= came < stated:
                raise _FetchError(f"{address} broke off; {have + came} bytes are kept")
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        kept = f"; {have + came} bytes are kept" if have + came else ""
        raise _FetchError(f"{address}: {type(error).__name__}{kept}") from None
