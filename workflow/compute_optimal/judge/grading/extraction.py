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

_SPACES = frozenset(["\\ ", "\\,", "\\;", "\\:", "\\!"])


def extract_answer(text: str) -> str | None:
    r"""Content of the last balanced ``\boxed{...}`` or ``\fbox{...}``, stripped; else None.

    Of nested boxes the inner one counts. Without braces (``\boxed 5``), a number or a single letter
    is taken. A box that is never closed or holds nothing is passed over. Linear in the length of
    ``text``, for any text.
    """
    answer, start = None, -1
    # With each brace, how much had been written when it was opened.
    open_braces: list[tuple[re.Match[str], int]] = []
    written = place = 0
    for token in _TOKEN.finditer(text):
        written += not _is_blank(text[place : token.start()])
        place = token.end()
        if token["box"] or token["open"]:
            open_braces.append((token, written))
        elif token["close"]:
            if open_braces:
                box, before = open_braces.pop()
                if box["box"] and box.start() > start and written > before:
                    answer, start = text[box.end() : token.start()].strip(), box.start()
        elif bare := token["number"] or token["letter"]:
            if token.start() > start:
                answer, start = bare.rstrip(".,/"), token.start()
        else:
            written += token[0] not in _SPACES
    return answer


def _is_blank(text: str) -> bool:
    return not text or not visible(text).strip()


def visible(text: str) -> str:
    """``text`` without characters that print nothing: NUL, text direction, zero width."""
    if text.isascii():
        return text.translate(_ASCII_UNSEEN)
    return "".join(c for c in text if _is_visible(c))


def _is_visible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in ("Cc", "Cf")


_ASCII_UNSEEN = {code: None for code in range(128) if not _is_visible(chr(code))}
