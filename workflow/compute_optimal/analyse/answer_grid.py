"""Answers of a pool or a search as arrays: a row a problem, a column a sample or path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute_optimal.analyse.statistics.estimators import (
    FloatArray,
    IntArray,
    Scoring,
    trajectory_scores,
)

SCORINGS: tuple[Scoring, ...] = get_args(Scoring)

_SAMPLE = ["problem_id", "sample_index"]


@dataclass(frozen=True)
class AnswerGrid:
    """Answers of a pool or a search as arrays [problems, n]: ``correct`` 1 or 0 and ``n_tokens``,
    NaN where there is none, and vote ``classes``, -1 where there is none. ``rows`` and ``columns``
    are the places of the answers in the order of their table."""

    correct: FloatArray
    classes: IntArray
    n_tokens: FloatArray
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]

    @classmethod
    def of(cls, answers: pl.DataFrame, problem_ids: Sequence[str]) -> AnswerGrid:
        """``answers``: problem_id, position (0, 1, ... within a problem), correct, answer_class,
        n_tokens.

        Raises ``KeyError`` for a problem that is not among ``problem_ids``.
        """
        index = {name: row for row, name in enumerate(problem_ids)}
        rows = np.array([index[name] for name in answers["problem_id"]], dtype=np.int64)
        columns = answers["position"].to_numpy()
        shape = len(problem_ids), int(columns.max(initial=-1)) + 1
        correct, n_tokens = np.full(shape, np.nan), np.full(shape, np.nan)
        classes = np.full(shape, -1, dtype=np.int64)
        # ASSUME: an answer that could not be graded in time counts as wrong; the table of answers
        # keeps it apart, and its number is reported.
        correct[rows, columns] = answers["correct"].fill_null(False).to_numpy()
        n_tokens[rows, columns] = answers["n_tokens"].cast(pl.Float64).to_numpy()
        labels = answers["answer_class"].rank("dense").fill_null(0).cast(pl.Int64) - 1
        classes[rows, columns] = labels.to_numpy()
        return cls(correct, classes, n_tokens, rows, columns)

    def scores(self, scored: pl.DataFrame) -> Iterator[tuple[Scoring, FloatArray, FloatArray]]:
        """Each scoring with its ranking scores (logits) and vote weights (0 to 1) [problems, n],
        NaN where there is none, from the answers ``with_scores``, in their order."""
        for scoring in SCORINGS:
            ranking, weight = (np.full(self.correct.shape, np.nan) for _ in range(2))
            ranking[self.rows, self.columns] = scored[f"{scoring}_ranking"].to_numpy()
            weight[self.rows, self.columns] = scored[f"{scoring}_weight"].to_numpy()
            yield scoring, ranking, weight


def with_scores(answers: pl.DataFrame) -> pl.DataFrame:
    """Answers with the ranking score and the vote weight that their step ``margins`` give by each
    scoring, NaN where there are none; as they are if they have these."""
    if f"{SCORINGS[0]}_ranking" in answers.columns:
        return answers
    margins = answers["margins"]
    n_steps = margins.list.len().fill_null(0).to_numpy()
    flat = margins.explode(empty_as_null=False, keep_nulls=False).cast(pl.Float64).to_numpy()
    columns: dict[str, FloatArray] = {}
    for scoring in SCORINGS:
        trajectories = trajectory_scores(flat, n_steps, scoring)
        columns[f"{scoring}_ranking"] = trajectories.ranking
        columns[f"{scoring}_weight"] = trajectories.vote_weight
    return answers.with_columns(**columns)


def scores_of_solutions(
    solutions: Sequence[Sequence[float]],
) -> list[tuple[tuple[float, float], ...]]:
    """Ranking score (logit) and vote weight (0 to 1) of each solution under each of ``SCORINGS``,
    from the step margins of each."""
    flat, n_steps = [*chain.from_iterable(solutions)], [*map(len, solutions)]
    by_scoring = (trajectory_scores(flat, n_steps, scoring) for scoring in SCORINGS)
    pairs = (zip(one.ranking.tolist(), one.vote_weight.tolist(), strict=True) for one in by_scoring)
    return [*zip(*pairs, strict=True)]


def scored_parts(
    pool: pl.DataFrame, scores: Mapping[str, pl.DataFrame], scored: Mapping[str, int]
) -> Iterator[tuple[pl.DataFrame, dict[str, pl.DataFrame]]]:
    """A pool with the scores of the PRMs that read all of it, and of each smaller number of
    samples a problem the first of the pool with the scores of the PRMs that read no more.

    ``scores``: by PRM; ``scored``: PRM -> samples of each problem that it read, of those that read
    less than the whole.
    """
    sizes = dict.fromkeys(scored.get(prm) for prm in scores)
    for size in sizes:
        part = pool if size is None else pool.filter(pl.col("sample_index") < size)
        yield part, {prm: rows for prm, rows in scores.items() if scored.get(prm) == size}


def in_order_of(pool: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """The samples of a pool ``with_scores``, in its order; null where one was not scored.

    ``pool`` and ``scores``: problem_id, sample_index; the latter with margins.
    """
    # Most that ask have them in this order.
    if not pool.select(_SAMPLE).equals(scores.select(_SAMPLE)):
        scores = pool.select(_SAMPLE).join(scores, on=_SAMPLE, how="left", maintain_order="left")
    return with_scores(scores)
