"""Tasks that others published: found by sha256 in a mirror, or fetched from a pinned address."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compute_optimal.errors import NotAtHandError, StudyError
from compute_optimal.tasks import Problem

if TYPE_CHECKING:
    from compute_optimal.study.config import TaskEntry

_ATTEMPTS = 3
_LARGEST = 64 * 2**20
"""Files over this size [bytes] in a mirror are hashed only if their name is the wanted one."""


def load(task: TaskEntry, *, mirror: Path | None, downloads: Path) -> list[Problem]:
    """All problems of a fetched task, in the order of its file.

    Raises ``StudyError`` where the file cannot be had, its sha256 is another, a line cannot be
    read, a problem stands twice, or the number of problems is not the registry's.
    """
    content = fetch(task, mirror=mirror, downloads=downloads)
    read = _READERS[task.kind]
    problems = []
    # Not str.splitlines(), which also cuts at characters that JSON strings may hold as they are.
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            problems.append(read(json.loads(line, object_pairs_hook=single_keys)))
        except (ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
            raise StudyError(
                f"a line cannot be read as a problem of kind {task.kind}: "
                f"{type(error).__name__}: {error}",
                where=f"{task.file}, line {number}",
                cure=f"check kind, url and sha256 of {task.name} in the registry"
                if task.url
                else "mend the line, and write the file's new sha256 into the registry",
            ) from None
    _check(task, problems)
    return problems


class RepeatedKeyError(ValueError):
    """JSON in which an object has a key twice."""


def single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of ``pairs``, for a reader of JSON (``object_pairs_hook``).

    Raises ``RepeatedKeyError`` where a key stands twice: readers take the last and say nothing,
    though nobody can tell which was meant.
    """
    keys = dict(pairs)
    if len(keys) < len(pairs):
        raise RepeatedKeyError("a key stands twice in one object")
    return keys


def mirror_folder(mirror: Path | None) -> Path | None:
    """``mirror``, else the folder that the environment variable MIRROR names.

    Raises ``StudyError`` where it is none: whoever mistypes it would be served from the network, or
    told that what is here is not what it should be.
    """
    named = os.environ.get("MIRROR")
    mirror = Path(named) if mirror is None and named else mirror
    if mirror is not None and not mirror.is_dir():
        raise StudyError(
            "the mirror is not a folder",
            where=f"mirror: {mirror}",
            cure="correct `mirror` in the configuration or the environment variable MIRROR, "
            "or take it out to download",
        )
    return mirror


def fetch(task: TaskEntry, *, mirror: Path | None, downloads: Path) -> bytes:
    """The bytes of a task's file, whose sha256 is the registry's.

    Looked for in the mirror folder, first under its own name and then under any; then in
    ``downloads``; then at its address, if it has one. Raises ``StudyError`` where it cannot be had,
    or only with another sha256.
    """
    assert task.file is not None
    mirror = mirror_folder(mirror)
    if mirror is not None and (mirrored := _from_mirror(task, mirror)) is not None:
        return mirrored
    kept = downloads / task.file
    if kept.is_file() and _sha256(content := kept.read_bytes()) == task.sha256:
        return content
    if task.url is None:
        raise NotAtHandError(
            f"the file of {task.name} is not at hand, and the registry has no address of it",
            where=f"{task.file} in {'no mirror' if mirror is None else mirror}",
            cure="put it into a folder and name that folder as `mirror` or MIRROR; it is known by "
            f"its sha256 {task.sha256}",
        )
    return _download(task, downloads)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _from_mirror(task: TaskEntry, mirror: Path) -> bytes | None:
    differing = None
    own_name_first = sorted(mirror.iterdir(), key=lambda path: (path.name != task.file, path.name))
    for path in own_name_first:
        own_name = path.name == task.file
        if not path.is_file() or (path.stat().st_size > _LARGEST and not own_name):
            continue
        content = path.read_bytes()
        if (actual := _sha256(content)) == task.sha256:
            return content
        if own_name:
            differing = actual
    if differing is not None:
        raise StudyError(
            f"the file has sha256 {differing}, expected {task.sha256}",
            where=str(mirror / str(task.file)),
            cure=f"put the file of {task.url} in its place, or remove it to download"
            if task.url
            else "if this is the file that is meant, write its sha256 into the registry",
        )
    return None


def _download(task: TaskEntry, downloads: Path) -> bytes:
    import pooch
    import requests

    assert task.url is not None
    assert task.file is not None
    base_url, _, _ = task.url.rpartition("/")
    fetcher = pooch.create(
        path=downloads,
        base_url=f"{base_url}/",
        registry={task.file: f"sha256:{task.sha256}"},
        urls={task.file: task.url},
        retry_if_failed=_ATTEMPTS - 1,
    )
    progress = sys.stderr.isatty()
    try:
        path = fetcher.fetch(
            task.file, downloader=pooch.HTTPDownloader(timeout=30, progressbar=progress)
        )
    except requests.exceptions.RequestException as error:
        raise NotAtHandError(
            f"cannot download {task.name}: {type(error).__name__}",
            where=task.url,
            cure="connect to the network, or put the file into a folder and name that folder "
            f"as `mirror` or MIRROR; it is known by its sha256 {task.sha256}",
        ) from None
    except ValueError as error:
        # pooch deletes what it got; its message is the only place that still has the hash.
        hashes = set(re.findall(r"\b[0-9a-f]{64}\b", str(error))) - {task.sha256}
        raise StudyError(
            f"the download has sha256 {', '.join(hashes) or 'unknown'}, expected {task.sha256}",
            where=task.url,
            cure="a proxy or the publisher changed the file; get the right one elsewhere and "
            "name its folder as `mirror`",
        ) from None
    except OSError as error:
        raise StudyError(
            f"cannot keep the download: {error.strerror or error}",
            where=str(downloads),
            cure="free some space or mend the permissions of the folder",
        ) from None
    return Path(path).read_bytes()


def _text(row: Mapping[str, Any], key: str) -> str:
    """What a problem cannot be without: a text that is not blank. Raises ``ValueError``."""
    value = row[key]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} is blank or no text")
    value.encode()  # JSON has halves of characters, which no file takes
    return value


def _math500(row: Mapping[str, Any]) -> Problem:
    name, problem, answer = (_text(row, key) for key in ("unique_id", "problem", "answer"))
    level, subject = None, None
    if row.get("level") is not None:
        match = re.fullmatch(r"Level (\d)", str(row["level"]))
        if match is None:
            raise ValueError(f"level {row['level']!r}, and not as in 'Level 3'")
        level = int(match[1])
    if row.get("subject") is not None:
        subject = _text(row, "subject")
    return Problem(name, problem, answer, level, subject)


def _aime(row: Mapping[str, Any]) -> Problem:
    # The file writes 025 where a solver writes 25.
    answer = str(int(str(row["extracted_groundtruth"])))
    return Problem(_contest_id(row["url"]), _text(row, "problem"), answer, None, None)


def _amc(row: Mapping[str, Any]) -> Problem:
    # The file writes 27.0 where a solver writes 27.
    answer = Decimal(str(row["extracted_groundtruth"]))
    text = str(int(answer)) if answer == answer.to_integral_value() else str(answer)
    return Problem(_contest_id(row["url"]), _text(row, "problem"), text, None, None)


def _contest_id(url: str) -> str:
    """Such as 2024-AIME-I-15, from the address of the problem's wiki page."""
    match = re.search(r"/(\d{4})_(\w+)_Problems/Problem_(\d+)$", url)
    if match is None:
        raise ValueError(f"no contest in the address {url!r}")
    year, contest, number = match.groups()
    return "-".join([year, *contest.split("_"), number])


_READERS: dict[str, Callable[[Mapping[str, Any]], Problem]] = {
    "math500": _math500,
    "aime": _aime,
    "amc": _amc,
}


def _check(task: TaskEntry, problems: list[Problem]) -> None:
    if len(problems) != task.n_problems:
        raise StudyError(
            f"the file holds {len(problems)} problems, the registry says {task.n_problems}",
            where=f"{task.file}, task {task.name}",
            cure="correct n_problems in the registry, or the file that it names",
        )
    for what, counts in (
        ("problem id", Counter(problem.problem_id for problem in problems)),
        ("problem text with hash", Counter(problem.problem_hash for problem in problems)),
    ):
        value, count = counts.most_common(1)[0]
        if count > 1:
            raise StudyError(
                f"{what} {value} stands {count} times; results are keyed by it",
                where=f"{task.file}, task {task.name}",
                cure="remove the repetitions from the file",
            )
