"""math-verify as it comes: what many other studies report, for the table of graders."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from compute_optimal.judge.grading.equivalence import (
    LONGEST_ANSWER,
    canonical,
    is_integer,
    math_verify,
)
from compute_optimal.judge.grading.workers import WorkerPool

if TYPE_CHECKING:
    import polars as pl

PLAIN_GRADER = "math-verify-0.9.0"


def plainly_verified(pair: tuple[str, str]) -> bool:
    """math-verify's verdict on (gold, answer), with its default settings. To be run in a worker."""
    gold, answer = pair
    library = math_verify()
    given = library.parse(rf"$\boxed{{{answer}}}$", parsing_timeout=None)
    return bool(library.verify(_gold(gold), given, timeout_seconds=None))


@functools.lru_cache(maxsize=64)
def _gold(text: str) -> Any:
    return math_verify().parse(f"${text}$", parsing_timeout=None)


def grade_plainly(
    gold_by_problem: Mapping[str, str],
    answers: pl.DataFrame,
    *,
    seconds: float = 10,
    workers: int = 2,
) -> pl.DataFrame:
    """``correct`` for each (problem_id, answer) of ``answers``: null if undecided in time.

    No answer is wrong, and so is one that is longer than ``LONGEST_ANSWER``.
    """
    import polars as pl

    keys = answers.select("problem_id", "answer").unique().sort("problem_id", "answer").rows()
    decided: dict[tuple[str, str], bool | None] = {}
    for problem, answer in keys:
        if answer is not None:
            gold = gold_by_problem[problem]
            if is_integer(gold) and is_integer(answer):
                # Not int(), which refuses the digits that a model in a loop writes.
                decided[gold, answer] = canonical(gold) == canonical(answer)
            else:
                decided[gold, answer] = False if len(answer) > LONGEST_ANSWER else None
    open_pairs = sorted(pair for pair, verdict in decided.items() if verdict is None)
    with WorkerPool(workers=workers, seconds=seconds) as pool:
        for pair, verdict in zip(open_pairs, pool.map(plainly_verified, open_pairs), strict=True):
            decided[pair] = verdict.value if verdict else None
    rows = [
        (problem, answer, answer is not None and decided[gold_by_problem[problem], answer])
        for problem, answer in keys
    ]
    schema = {"problem_id": pl.String(), "answer": pl.String(), "correct": pl.Boolean()}
    return pl.DataFrame(rows, schema, orient="row")
