"""Pages of one file: nothing is loaded, no script runs but the package's own, and what is long is
packed.

A browser shows no frame whose address is longer than about two million characters, and a frame's
address is how a report holds a page. So scripts and data are compressed here, and unpacked where
they are opened.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

_POLICY = re.compile(r"<[^<>]*Content-Security-Policy[^>]*>")

_RELATIVE = re.compile(r'\bhref="(?![#/]|[a-z]+:)')

_FOLDER = Path(__file__).parent


def page(
    template: Path,
    *,
    title: str,
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
    data: str | None = None,
    **context: Any,
) -> str:
    """The page that ``template``, which extends ``page.html``, makes of ``context``.

    ``styles`` follow the common one. ``scripts`` are the sources of what runs, in this order, once
    ``data`` (``packed``, of ``json_block``) is the text of the element ``data``. All else is
    escaped. The page's Content-Security-Policy runs and shows nothing but these.
    """
    shared = (_FOLDER / "page.css").read_text(encoding="utf-8")
    loader = (_FOLDER / "unpack.js").read_text(encoding="utf-8") if scripts else ""
    style = "".join([shared, *styles])
    # These must reach the file as they are: the package's own style and scripts, whose hashes the
    # policy holds, and letters and digits.
    compiled = _templates(template.parent).get_template(template.name)
    content: str = compiled.render(
        title=title,
        style=Markup(style),
        style_hash=_hash(style),
        script_hashes=[_hash(text) for text in (loader, *scripts) if text],
        loader=Markup(loader),
        scripts=[Markup(packed(text)) for text in scripts],
        data=None if data is None else Markup(data),
        **context,
    )
    return content


def without_policy(content: str) -> str:
    """``content``, which holds a whole page of ours, without that page's Content-Security-Policy:
    browsers ignore it within another page and warn of it. Its quotes may be escaped as in a string
    of JavaScript."""
    return _POLICY.sub("", content)


def seen_from_elsewhere(page: Path | str) -> str:
    """A page of ours as a page in another folder shows it: its links to other files lead from
    there, along the path that the page is named by."""
    folder = Path(page).parent.as_posix()
    return _RELATIVE.sub(rf"\g<0>{folder}/", Path(page).read_text(encoding="utf-8"))


@cache
def _templates(folder: Path) -> jinja2.Environment:
    """Templates of ``folder`` and what they share: each is compiled once in a process."""
    # Named here in full, so that rules that use this module are found to depend on the file.
    common = {"page.html": (_FOLDER / "page.html").read_text(encoding="utf-8")}
    return jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.DictLoader(common), jinja2.FileSystemLoader([folder, _FOLDER])]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def sorting_script() -> str:
    """The script that lets tables of the class "sortable" be sorted, filtered and saved."""
    return (_FOLDER / "tables.js").read_text(encoding="utf-8")


def number_script() -> str:
    """The script that writes numbers as tables have them."""
    return (_FOLDER / "numbers.js").read_text(encoding="utf-8")


def packed(text: str) -> str:
    """Text compressed (zlib), in base64: what ``unpack.js`` reads."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def json_block(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON in plain ASCII without <, > and &: nothing in it can end a script element.

    Raises ``ValueError`` for NaN and infinities.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _hash(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
