"""The final answer of a solution: what stands in its last box."""

from __future__ import annotations

import re
import unicodedata

_TOKEN = re.compile(
    r"(?P<box>\\(?:boxed|fbox)\s*\{)"
    r"|\\(?:boxed|fbox)(?:\s*(?P<number>[-+]?(?:[0-9][0-9.,/]*|\.[0-9]+))"
    r"|\s+(?P<letter>[A-Za-z])(?![A-Za-z]))"
    r"|\\.|(?P<open>\{)|(?P<close>\})",
    re.DOTALL,
)
r"""What can begin or end a box. ``\\.`` swallows escaped braces, which do not nest."""


def extract_answer(text: str) -> str | None:
    r"""Content of the last balanced ``\boxed{...}`` or ``\fbox{...}``, stripped; else None.

    Of nested boxes the inner one counts. Without braces (``\boxed 5``), a number or a single letter
    is taken. A box that is never closed is passed over; a blank one is no answer. Linear in the
    length of ``text``, for any text.
    """
    answer, start = "", -1
    open_braces: list[re.Match[str]] = []
    for token in _TOKEN.finditer(text):
        if token["box"] or token["open"]:
            open_braces.append(token)
        elif token["close"]:
            if open_braces and (box := open_braces.pop())["box"] and box.start() > start:
                answer, start = text[box.end() : token.start()], box.start()
        elif (bare := token["number"] or token["letter"]) and token.start() > start:
            answer, start = bare.rstrip(".,/"), token.start()
    return answer.strip() if visible(answer).strip() else None


def visible(text: str) -> str:
    """``text`` without characters that print nothing: NUL, text direction, zero width."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf"))
