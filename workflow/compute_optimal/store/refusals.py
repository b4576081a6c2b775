"""Errors that a job's first attempt ended in, so that a second is not made where it ends the same.

Snakemake's ``retries`` tell no error from another, and a job that a scheduler ended is worth one
more. What one run left says nothing of the next: files may have been mended between them, and a
first attempt that a machine ended before it began has removed nothing. So a run begins by
forgetting all (``forget``). Where two runs share a store this costs the other at most an attempt.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from compute_optimal.errors import StudyError

_FOLDER = "refused"


@dataclass(frozen=True)
class Refusal:
    """Where the error of one job is left."""

    file: Path

    @classmethod
    def of(cls, store: Path, job: Mapping[str, object]) -> Refusal:
        """That of a job, known by all its options, whichever attempt it is."""
        text = json.dumps({key: str(value) for key, value in job.items()}, sort_keys=True)
        return cls(store / _FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.txt")

    def read(self) -> str | None:
        """The error, for people; None where none was left, or it cannot be read."""
        try:
            return self.file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def write(self, problem: StudyError) -> None:
        """Leave an error, where the store can be written."""
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(str(problem), encoding="utf-8")

    def remove(self) -> None:
        """Take back what an earlier attempt left, if it did."""
        with suppress(OSError):
            self.file.unlink()
            self.file.parent.rmdir()


def forget(store: Path) -> None:
    """Remove every error that jobs of earlier runs left in a writable store."""
    shutil.rmtree(store / _FOLDER, ignore_errors=True)
