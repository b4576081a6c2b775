"""A study as its database and pages read it: written by a rule of its own, before all of them."""

from __future__ import annotations

from pathlib import Path

from compute_optimal.store.partitions import write_description
from compute_optimal.study.requests import StudyDescription


def describe_study(request: StudyDescription, output: Path) -> None:
    """The rule of this name: its request as JSON. ``config.described_study`` reads what it writes.

    Raises ``StudyError`` where the file cannot be written.
    """
    write_description(request.model_dump(), output)
