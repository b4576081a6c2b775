"""What a check leaves behind: a page for a reader, the same for a terminal, and a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from compute_optimal.errors import StudyError
from compute_optimal.present.pages.page import page as page_of
from compute_optimal.store.partitions import atomic_write

_FOLDER = Path(__file__).parent


class Report(Protocol):
    """What was looked at, and whether all of it is as it should be."""

    @property
    def passed(self) -> bool: ...

    @property
    def html(self) -> str: ...

    @property
    def text(self) -> str: ...


def report_page(template: str, *, title: str, **context: Any) -> str:
    """The page that the file ``template`` beside this one makes of ``context``."""
    style = (_FOLDER / "report.css").read_text(encoding="utf-8")
    return page_of(_FOLDER / template, title=title, styles=[style], **context)


def hand_over(report: Report, page: Path, *, failure: str, cure: str) -> Iterator[str]:
    """Write ``page``, and yield what a person should read.

    Raises ``StudyError`` with ``failure`` and ``cure`` where the report has not passed.
    """
    with atomic_write(page) as file:
        file.write(report.html.encode())
    yield f"{report.text}\npage: {page}"
    if not report.passed:
        raise StudyError(failure, where=str(page), cure=cure)
