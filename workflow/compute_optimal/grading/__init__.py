"""Grading: which answers are right, and which are the same."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from compute_optimal.errors import StudyError
from compute_optimal.grading.classes import Pair, candidate_pairs, components
from compute_optimal.grading.equivalence import (
    LONGEST_ANSWER,
    canonical,
    equal_to_gold,
    equivalent,
    fingerprint,
    is_integer,
)
from compute_optimal.grading.extraction import extract_answer
from compute_optimal.grading.workers import WorkerPool

if TYPE_CHECKING:  # workers import this package, and polars starts threads
    import polars as pl

__all__ = ["GRADER", "Status", "extract_answer", "grade"]

GRADER = "math-verify-0.9.0/1"
"""Version of the verdicts: math-verify's, and that of the rules around it."""

Status = Literal["graded", "timeout", "no_answer"]

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

    An answer that timed out is a class of its own. The result depends on neither ``workers`` nor
    the order of rows. Raises ``StudyError`` for a problem without a gold.
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
    unique = table["answer"].drop_nulls().unique()
    form_of = {answer: canonical(answer) for answer in unique}
    golds = {problem: canonical(gold_by_problem[problem]) for problem in set(table["problem_id"])}
    counts: dict[str, Counter[str]] = {problem: Counter() for problem in golds}
    spellings: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for problem, answer, count in table.iter_rows():
        if form := form_of.get(answer):
            counts[problem][form] += count
            spellings[problem, form][answer] += count

    with WorkerPool(workers=workers, seconds=seconds) as pool:
        verdicts = _verdicts(golds, counts, pool)
        class_of = _classes(counts, verdicts, pool)

    names: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (problem, form), spelled in spellings.items():
        names[problem, class_of[problem, form]].update(spelled)

    rows: list[tuple[str, str | None, str | None, bool | None, Status]] = []
    for problem, answer, _ in table.iter_rows():
        if not (form := form_of.get(answer)):
            rows.append((problem, answer, None, False, "no_answer"))
            continue
        spelled = names[problem, class_of[problem, form]]
        name = min(spelled, key=lambda text: (-spelled[text], text))
        correct = verdicts[problem, form]
        rows.append((problem, answer, name, correct, "timeout" if correct is None else "graded"))
    text = pl.String()
    schema = {"problem_id": text, "answer": text, "answer_class": text}
    return pl.DataFrame(rows, {**schema, "correct": pl.Boolean(), "status": text}, orient="row")


def _verdicts(
    golds: Mapping[str, str], counts: Mapping[str, Iterable[str]], pool: WorkerPool
) -> dict[tuple[str, str], bool | None]:
    """Right, wrong or None (undecided), by (problem, form); each different pair is graded once."""
    known: dict[Pair, bool | None] = {}
    for problem, forms in counts.items():
        gold = golds[problem]
        for form in forms:
            if form == gold:
                known[gold, form] = True
            elif (is_integer(gold) and is_integer(form)) or len(form) > LONGEST_ANSWER:
                known[gold, form] = False
            else:
                known.setdefault((gold, form), None)
    open_pairs = sorted(pair for pair, verdict in known.items() if verdict is None)
    for pair, decided in zip(open_pairs, pool.map(equal_to_gold, open_pairs), strict=True):
        known[pair] = decided.value if decided else None
    return {
        (problem, form): known[golds[problem], form]
        for problem, forms in counts.items()
        for form in forms
    }


def _classes(
    counts: Mapping[str, Counter[str]],
    verdicts: Mapping[tuple[str, str], bool | None],
    pool: WorkerPool,
) -> dict[tuple[str, str], str]:
    """The class of each (problem, form), named by one of its forms."""
    comparable = {
        problem: [
            form
            for form in forms
            if verdicts[problem, form] is not None and len(form) <= LONGEST_ANSWER
        ]
        for problem, forms in counts.items()
    }
    # Integers among themselves need no comparison.
    mixed = {
        problem: forms
        for problem, forms in comparable.items()
        if len(forms) > 1 and not all(map(is_integer, forms))
    }
    unmarked = sorted({form for forms in mixed.values() for form in forms})
    prints = {
        form: mark.value
        for form, mark in zip(unmarked, pool.map(fingerprint, unmarked), strict=True)
        if mark
    }
    pairs: dict[str, list[Pair]] = {}
    left_out = 0
    for problem, forms in mixed.items():
        marked = {form: prints[form] for form in forms if form in prints}
        pairs[problem], n_more = candidate_pairs(marked, counts[problem])
        left_out += n_more
    if left_out:
        _log.warning("%d pairs of rare answers were not compared: votes may be split", left_out)
    different = sorted({pair for found in pairs.values() for pair in found})
    compared = zip(different, pool.map(equivalent, different), strict=True)
    equal = {pair for pair, decided in compared if decided and decided.value}
    return {
        (problem, form): name
        for problem, forms in counts.items()
        for form, name in components(
            forms, [pair for pair in pairs.get(problem, []) if pair in equal]
        ).items()
    }
