"""What a check leaves behind: a page for a reader, the same for a terminal, and a verdict."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from compute_optimal.errors import StudyError
from compute_optimal.present.pages.page import page as page_of
from compute_optimal.store.partitions import atomic_write, require_writable

_FOLDER = Path(__file__).parent


class Report(Protocol):
    """What was looked at, and whether all of it is as it should be."""

    @property
    def passed(self) -> bool: ...

    @property
    def html(self) -> str: ...

    @property
    def text(self) -> str: ...


AnyReport = TypeVar("AnyReport", bound=Report)


def report_page(template: str, *, title: str, **context: Any) -> str:
    """The page that the file ``template`` beside this one makes of ``context``."""
    style = (_FOLDER / "report.css").read_text(encoding="utf-8")
    return page_of(_FOLDER / template, title=title, styles=[style], **context)


def made() -> str:
    """When, on what commit and where a check was made, in a sentence."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    kind = f" ({name})" if (name := _processor()) else ""
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores{kind}"
    return f"Checked {when} at commit {_commit()} on {machine}, Python {platform.python_version()}."


def _commit() -> str:
    """The commit at hand. An unpacked archive has none, nor that of a repository around it."""
    try:
        if _git("rev-parse", "--show-prefix"):
            return "not known"
        return _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return "not known"


def _git(*arguments: str) -> str:
    asked = ["git", *arguments]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    """The name of this machine's kind of processor, of which last digits may be; "" if unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")[:100]


def hand_over(
    look: Callable[[], AnyReport], page: Path, *, failure: str, cure: str
) -> Generator[str, None, AnyReport]:
    """``look``, yield what a person should read of the report, write ``page``; returns the report.

    A page that cannot be written is refused before minutes of work; one that can be no more, after
    what was found is told. Raises ``StudyError`` with ``failure`` and ``cure`` where the report has
    not passed.
    """
    require_writable(page)
    report = look()
    yield report.text
    with atomic_write(page) as file:
        file.write(report.html.encode())
    yield f"page: {page}"
    if not report.passed:
        raise StudyError(failure, where=str(page), cure=cure)
    return report
