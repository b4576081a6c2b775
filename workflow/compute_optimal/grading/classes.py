"""Classes of equivalent answers to one problem: what a vote counts.

Works on canonical forms. The gold plays no part: a vote must not know it.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from compute_optimal.grading.equivalence import Fingerprint, is_integer

Pair = tuple[str, str]

MAX_PAIRS = 2000
"""Comparisons by algebra for one problem; pairs of frequent answers come first."""


def candidate_pairs(
    prints: Mapping[str, Fingerprint], counts: Mapping[str, int]
) -> tuple[list[Pair], int]:
    """Pairs that only algebra can tell apart, at most ``MAX_PAIRS``, and how many were left out.

    ``prints``: fingerprints by canonical form; ``counts``: number of samples by form. Pairs are in
    lexicographic order within, and never two integers.
    """
    found = {
        (min(pair), max(pair))
        for pair in itertools.chain(
            _same_text(prints), _close_numbers(prints), _relations(prints), _unknown(prints)
        )
        if not (is_integer(pair[0]) and is_integer(pair[1]))
    }
    ranked = sorted(found, key=lambda pair: (-counts[pair[0]] - counts[pair[1]], pair))
    return ranked[:MAX_PAIRS], max(0, len(ranked) - MAX_PAIRS)


def components(forms: Iterable[str], equal: Iterable[Pair]) -> dict[str, str]:
    """Each form's class, named by one of its forms: connected components of the ``equal`` pairs."""
    parent = {form: form for form in forms}

    def root(form: str) -> str:
        while parent[form] != form:
            parent[form] = form = parent[parent[form]]
        return form

    for one, other in equal:
        parent[root(one)] = root(other)
    return {form: root(form) for form in parent}


def _same_text(prints: Mapping[str, Fingerprint]) -> Iterator[Pair]:
    by_text: dict[str, list[str]] = defaultdict(list)
    for form, mark in prints.items():
        by_text[mark.text].append(form)
    for forms in by_text.values():
        yield from itertools.combinations(forms, 2)


def _close_numbers(prints: Mapping[str, Fingerprint]) -> Iterator[Pair]:
    known = [(mark.numbers, form) for form, mark in prints.items() if mark.numbers]
    known = sorted(item for item in known if item[0].size)
    for place, (numbers, form) in enumerate(known):
        for others, other in itertools.islice(known, place + 1, None):
            if others.size > numbers.size:
                break
            if others.real - numbers.real > numbers.tolerance(numbers):
                break
            if numbers.may_equal(others):
                yield form, other


def _relations(prints: Mapping[str, Fingerprint]) -> Iterator[Pair]:
    # Two assignments to one variable differ if their numbers do; other relations are to be solved.
    relations = [
        (form, mark.relation) for form, mark in prints.items() if mark.relation is not None
    ]
    for (one, left), (other, right) in itertools.combinations(relations, 2):
        if not left or left != right:
            yield one, other


def _unknown(prints: Mapping[str, Fingerprint]) -> Iterator[Pair]:
    # ASSUME: no integer is written as a formula that has no numeric value.
    others = [form for form in prints if not is_integer(form)]
    for form, mark in prints.items():
        if mark.numbers is None:
            yield from ((form, other) for other in others if other != form)
