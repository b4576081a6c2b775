"""Classes of equivalent answers to one problem: what a vote counts.

Answers whose values have one normal form are one class; that is an equivalence relation, and costs
nothing. The others need algebra, which is not: math-verify may find a = b, b = c, and a different
from c. So each of them joins one class at most, the first whose founder it equals in both orders:
a partition whatever algebra says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from compute_optimal.judge.grading.equivalence import (
    Fingerprint,
    equivalent,
    fingerprint,
    may_equal,
)

MAX_FORMS = 200
"""Answers of each sort, readable or not, that algebra looks at, the most frequent first."""

MAX_COMPARISONS = 400
"""Comparisons by algebra among a problem's right or wrong answers; ``MAX_FOUNDERS`` for one."""

MAX_FOUNDERS = 8
BATCH = 8
PROBLEM_SECONDS = 20.0
"""Processor time of algebra [s] among a problem's right or wrong answers; no more is begun then."""

Task = tuple[Callable[[Any], Any], Any]
Outcome = tuple[Any, float] | None
"""What a task gave and the seconds it took; None if it was not finished."""

Merging = Generator[list[Task], list[Outcome], tuple[dict[str, str], int]]


def timed(task: Task) -> tuple[Any, float]:
    """The result of a task and the processor time that it took [s]."""
    function, item = task
    began = time.process_time()
    return function(item), time.process_time() - began


def merged(known: Mapping[str, int], unknown: Mapping[str, int], seconds: float) -> Merging:
    """Find the class of each unknown form, as a generator that asks for ``Task`` results.

    ``known``, ``unknown``: number of samples by canonical form; known forms differ in value from
    each other. ``seconds``: what an unfinished task counts for. Returns the founder by unknown
    form, and how many forms were left apart because the limits of this module were reached: the
    fallback is a class of one's own, which splits votes and never joins what differs.
    """
    founders = _most_frequent(known)[:MAX_FORMS]
    ranked = _most_frequent(unknown)
    class_of = {form: form for form in ranked}
    spent, compared, left_apart = 0.0, 0, max(0, len(ranked) - MAX_FORMS)
    prints: dict[str, Fingerprint] = {}
    wanted = [*ranked[:MAX_FORMS], *founders]
    for start in range(0, len(wanted), BATCH):
        if spent > PROBLEM_SECONDS:
            break
        batch = wanted[start : start + BATCH]
        for form, outcome in zip(
            batch, (yield [(fingerprint, form) for form in batch]), strict=True
        ):
            spent += seconds if outcome is None else outcome[1]
            if outcome is not None:
                prints[form] = outcome[0]
    founders = [form for form in founders if form in prints]
    for form in ranked[:MAX_FORMS]:
        if form not in prints or spent > PROBLEM_SECONDS or compared >= MAX_COMPARISONS:
            left_apart += 1
            continue
        similar = [other for other in founders if may_equal(prints[other], prints[form])]
        left_apart += len(similar) > MAX_FOUNDERS
        batch = similar[:MAX_FOUNDERS]
        if batch:
            compared += len(batch)
            outcomes = yield [(equivalent, (founder, form)) for founder in batch]
            spent += sum(seconds if outcome is None else outcome[1] for outcome in outcomes)
            equal = [
                f for f, outcome in zip(batch, outcomes, strict=True) if outcome and outcome[0]
            ]
            if equal:
                class_of[form] = equal[0]
                continue
        founders.append(form)
    return class_of, left_apart


def _most_frequent(counts: Mapping[str, int]) -> Sequence[str]:
    return sorted(counts, key=lambda form: (-counts[form], form))
