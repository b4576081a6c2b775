"""One zip of the study as it is committed, for an archive such as Zenodo or the hub."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from compute_optimal.errors import StudyError
from compute_optimal.store.partitions import atomic_write, require_writable

PREFIX = "compute-optimal"
WHEELS = "wheels"
"""Folder of the environment's packages: where it is, ``make`` asks no index."""

LOCKS = ("core.lock", "build.lock")
"""What ``make`` needs, and what a package that is published as source alone asks for to be built:
pip then takes it from the folder, too."""

_SHOWN = 10
"""Names that are shown of many."""

_LONG_AGO = (1980, 1, 1, 0, 0, 0)


def archive_study(output: Path, wheels: str) -> Iterator[str]:
    """Archive the repository at hand; ``wheels``: "yes" or "no". What is there and not committed is
    named, for it is not in it.

    Raises ``StudyError`` as ``write_archive`` does, and before anything is fetched where ``output``
    cannot be written.
    """
    require_writable(output)
    not_committed = _not_committed(Path())
    write_archive(Path(), output, wheels=wheels == "yes")
    yield f"{output} ({output.stat().st_size:,} bytes)"
    if not_committed:
        yield "note: not as it is here but as it was last committed, or not in it if it never was:"
        yield from (f"  {name}" for name in not_committed[:_SHOWN])
        if len(not_committed) > _SHOWN:
            yield f"  and {len(not_committed) - _SHOWN:,} more (git status)"


def write_archive(repository: Path, output: Path, *, wheels: bool) -> None:
    """Write every committed file of ``repository`` into the zip ``output``.

    With ``wheels`` also the packages of ``requirements/core.lock``, for this platform and Python.
    Equal commits (and packages) give equal bytes. Raises ``StudyError`` where this is no repository
    or packages cannot be had.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "archive.zip"
        _git(
            repository,
            *("archive", "--format=zip", f"--prefix={PREFIX}/", f"--output={archive}", "HEAD"),
        )
        if wheels:
            target = Path(folder) / WHEELS
            for lock in LOCKS:
                _run(
                    [
                        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                        *("--require-hashes", "--requirement"),
                        str((repository / "requirements" / lock).absolute()),
                        *("--dest", str(target)),
                    ],
                    repository,
                    "with a network, or without the packages: WHEELS=no",
                )
            with zipfile.ZipFile(archive, "a", zipfile.ZIP_STORED) as file:
                for path in sorted(target.iterdir()):
                    name = zipfile.ZipInfo(f"{PREFIX}/{WHEELS}/{path.name}", _LONG_AGO)
                    name.external_attr = 0o644 << 16
                    file.writestr(name, path.read_bytes())
        with atomic_write(output) as written:
            written.write(archive.read_bytes())


def _not_committed(repository: Path) -> list[str]:
    """Files and folders that differ from what was committed last, as git names them."""
    said = _git(repository, "-c", "core.quotePath=false", "status", "--porcelain", "--no-renames")
    return [line[3:] for line in said.splitlines()]


def _git(repository: Path, *arguments: str) -> str:
    """What git prints. Raises ``StudyError`` where this is no repository."""
    cure = "archive from a clone: only what is committed is archived"
    return _run(["git", *arguments], repository, cure)


def _run(command: list[str], folder: Path, cure: str) -> str:
    """What a program prints. Raises ``StudyError`` with its last words where it fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise StudyError(f"{command[0]} is not installed", where=str(folder), cure=cure) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason is given"]
        raise StudyError(
            f"{command[0]} failed: {lines[-1]}", where=str(folder.absolute()), cure=cure
        )
    return done.stdout
