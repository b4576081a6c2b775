"""Which of many cases are run: those that differ in kind, and a sample of the rest.

``ALL_CASES=1`` in the environment runs every one of them.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from typing import TypeVar

ALL_CASES = bool(os.environ.get("ALL_CASES"))

_Value = TypeVar("_Value")


def drawn(kinds: Sequence[Hashable], *, every: int = 7) -> list[int]:
    """Places in ``kinds``: of each kind one, and of all every so-manyth, from first to last.

    Of a kind that comes several times another one is taken than of the kind before it, so that
    early and late ones are among them.
    """
    if ALL_CASES:
        return [*range(len(kinds))]
    places: dict[Hashable, list[int]] = {}
    for place, kind in enumerate(kinds):
        places.setdefault(kind, []).append(place)
    of_each_kind = {same[number % len(same)] for number, same in enumerate(places.values())}
    return sorted(of_each_kind | {*range(0, len(kinds), every), len(kinds) - 1})


def every_third(values: Sequence[_Value], number: int) -> list[_Value]:
    """A third of values that many tests try in turn. ``number`` of the test: one has the first,
    fourth and so on, the next the second: each value is tried in every third test."""
    return [*values] if ALL_CASES else [*values[number % 3 :: 3]]
