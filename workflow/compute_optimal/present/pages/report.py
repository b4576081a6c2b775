"""Snakemake's report, finished: what its page cannot do by itself (``report.js``) put into it."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from compute_optimal.errors import StudyError
from compute_optimal.present.pages.page import without_policy

_FOLDER = Path(__file__).parent


def finish_report(report: Path) -> None:
    """Put the package's script and style at the end of the page ``report``, in place.

    Raises ``StudyError`` where the page does not end as Snakemake's does.
    """
    text = report.read_text(encoding="utf-8")
    template = (_FOLDER / "report.html").read_text(encoding="utf-8")
    # What the template ends in stands at the end of every page.
    before, end, after = text.rpartition(template.split()[-1])
    if not end:
        raise StudyError(
            "this is no report of Snakemake's", where=str(report), cure="make the report anew: make"
        )
    script = (_FOLDER / "report.js").read_text(encoding="utf-8")
    style = (_FOLDER / "report.css").read_text(encoding="utf-8")
    finish = jinja2.Template(template).render(style=Markup(style), script=Markup(script))
    unfinished = report.with_name(f"{report.name}.part")
    unfinished.write_text(
        "".join((without_policy(before), finish, after)), encoding="utf-8", newline="\n"
    )
    unfinished.replace(report)
