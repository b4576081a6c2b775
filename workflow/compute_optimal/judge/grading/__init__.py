"""Grading: which answers are right, and which are the same."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from compute_optimal.errors import StudyError
from compute_optimal.judge.grading.classes import Merging, Outcome, Task, merged, timed
from compute_optimal.judge.grading.equivalence import LONGEST_ANSWER, canonical, equal_to_gold
from compute_optimal.judge.grading.extraction import extract_answer, visible
from compute_optimal.judge.grading.values import Key, read, right
from compute_optimal.judge.grading.workers import WorkerPool

if TYPE_CHECKING:  # workers import this package, and polars starts threads
    import polars as pl

__all__ = ["GRADER", "Status", "extract_answer", "grade"]

GRADER = "math-verify-0.9.0/4"
"""Version of the verdicts: math-verify's, and that of the rules around it."""

Status = Literal["graded", "timeout", "no_answer"]
Verdict = bool | None

_log = logging.getLogger(__name__)


def grade(
    gold_by_problem: Mapping[str, str],
    answers: pl.DataFrame,
    *,
    seconds: float = 10,
    workers: int = 2,
) -> pl.DataFrame:
    """Grade answers and group those of each problem into classes of equivalent ones.

    ``answers``: problem_id, answer (as ``extract_answer`` gives it, null for none), count (samples
    that gave it). Returns one row per (problem_id, answer), sorted, with

    - ``answer_class``: the most frequent answer of the class, of equals the first in
      lexicographic order; null for no answer;
    - ``correct``: null if undecided, false for no answer;
    - ``status``: "no_answer" (null or blank), "timeout" (a worker needed more than ``seconds`` of
      processor time or its memory limit, or died twice), else "graded".

    Verdict and class follow from the normal forms of ``values``, and from math-verify where those
    do not decide. A class never holds answers with different verdicts: where two are one value and
    yet only one is right (10% and 0.1 for 10; 2,1 and 1,2 for (2,1)), they are two classes. Else
    the gold plays no part in the classes. An answer that timed out is a class of its own. The
    result depends on neither ``workers`` nor the order of rows. Raises ``StudyError`` for a
    problem without a gold.
    """
    import polars as pl

    table = (
        answers.group_by("problem_id", "answer")
        .agg(pl.col("count").sum())
        .sort("problem_id", "answer")
    )
    if stray := sorted(set(table["problem_id"]) - gold_by_problem.keys()):
        raise StudyError(
            f"{len(stray)} problems have answers but no gold answer, such as {stray[0]}",
            where="grade",
            cure="give the gold answer of every problem",
        )
    given = [
        (problem, _Reading(answer), count)
        for problem, answer, count in table.iter_rows()
        if answer is not None
    ]
    given = [item for item in given if item[1].form]
    golds = {problem: _Reading(gold_by_problem[problem]) for problem, _, _ in given}
    with WorkerPool(workers=workers, seconds=seconds) as pool:
        verdicts = _verdicts(golds, [(problem, reading) for problem, reading, _ in given], pool)
        class_of = _classes(given, verdicts, pool, seconds)

    names: dict[tuple[str, object], Counter[str]] = defaultdict(Counter)
    for problem, reading, count in given:
        names[problem, class_of[problem, reading.answer]][reading.answer] += count
    rows: list[tuple[str, str | None, str | None, bool | None, Status]] = []
    for problem, answer, _ in table.iter_rows():
        if (problem, answer) not in class_of:
            rows.append((problem, answer, None, False, "no_answer"))
            continue
        spelled = names[problem, class_of[problem, answer]]
        name = min(spelled, key=lambda text: (-spelled[text], text))
        correct = verdicts[problem, answer]
        rows.append((problem, answer, name, correct, "timeout" if correct is None else "graded"))
    text = pl.String()
    schema = {"problem_id": text, "answer": text, "answer_class": text}
    return pl.DataFrame(rows, {**schema, "correct": pl.Boolean(), "status": text}, orient="row")


class _Reading:
    """An answer with its form for algebra and, where it has one, its value."""

    __slots__ = ("answer", "form", "value")

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.form = canonical(answer)
        self.value = read(visible(answer))

    @property
    def identity(self) -> Key | str:
        """Answers with one identity are equal."""
        return self.value.key if self.value else self.form

    @property
    def is_settled(self) -> bool:
        """Whether answers with other settled identities differ."""
        return self.value is not None and self.value.closed


def _verdicts(
    golds: Mapping[str, _Reading], given: list[tuple[str, _Reading]], pool: WorkerPool
) -> dict[tuple[str, str], Verdict]:
    """Right, wrong or None (undecided), by (problem, answer); algebra sees each pair once."""
    known: dict[tuple[str, str], Verdict] = {}
    pairs: dict[tuple[str, str], tuple[str, str]] = {}
    for problem, reading in given:
        gold = golds[problem]
        verdict = None
        if gold.value is not None and reading.value is not None:
            verdict = right(gold.value, reading.value)
        if verdict is None and gold.form == reading.form:
            verdict = True
        elif verdict is None and len(reading.form) > LONGEST_ANSWER:
            verdict = False
        known[problem, reading.answer] = verdict
        if verdict is None:
            pairs[problem, reading.answer] = gold.form, reading.form
    open_pairs = sorted(set(pairs.values()))
    results = pool.map(equal_to_gold, open_pairs)
    decided = {
        pair: result.value if result else None
        for pair, result in zip(open_pairs, results, strict=True)
    }
    return known | {key: decided[pair] for key, pair in pairs.items()}


def _classes(
    given: list[tuple[str, _Reading, int]],
    verdicts: Mapping[tuple[str, str], Verdict],
    pool: WorkerPool,
    seconds: float,
) -> dict[tuple[str, str], tuple[Verdict, str]]:
    """The class of each (problem, answer), named by its verdict and one of its forms."""
    class_of: dict[tuple[str, str], tuple[Verdict, str]] = {}
    # By problem and verdict: classes by identity, with the form that stands for them.
    forms: dict[tuple[str, bool], dict[Key | str, str]] = defaultdict(dict)
    settled: dict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
    unsettled: dict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
    for problem, reading, count in given:
        verdict = verdicts[problem, reading.answer]
        if verdict is None:
            class_of[problem, reading.answer] = None, reading.form
            continue
        form = forms[problem, verdict].setdefault(reading.identity, reading.form)
        class_of[problem, reading.answer] = verdict, form
        if len(form) <= LONGEST_ANSWER:
            (settled if reading.is_settled else unsettled)[problem, verdict][form] += count
    merging = {
        group: merged(settled[group], counts, seconds)
        for group, counts in unsettled.items()
        if len(counts) + len(settled[group]) > 1
    }
    founders, left_apart = _driven(merging, pool)
    if left_apart:
        _log.warning("%d rare answers were not compared with all others: votes may be split",
                     left_apart)  # fmt: skip
    return {
        (problem, answer): (
            verdict,
            form if verdict is None else founders.get((problem, verdict), {}).get(form, form),
        )
        for (problem, answer), (verdict, form) in class_of.items()
    }


def _driven(
    merging: Mapping[tuple[str, bool], Merging], pool: WorkerPool
) -> tuple[dict[tuple[str, bool], dict[str, str]], int]:
    """Run all of ``merging`` side by side: founders by form for each, and forms left apart."""
    founders: dict[tuple[str, bool], dict[str, str]] = {}
    left_apart = 0
    waiting: dict[tuple[str, bool], list[Outcome] | None] = dict.fromkeys(merging)
    while waiting:
        asked: dict[tuple[str, bool], list[Task]] = {}
        for group, outcomes in waiting.items():
            try:
                machine = merging[group]
                asked[group] = next(machine) if outcomes is None else machine.send(outcomes)
            except StopIteration as finished:
                founders[group], n_more = finished.value
                left_apart += n_more
        results = iter(pool.map(timed, [task for tasks in asked.values() for task in tasks]))
        waiting = {
            group: [result.value if (result := next(results)) else None for _ in tasks]
            for group, tasks in asked.items()
        }
    return founders, left_apart
