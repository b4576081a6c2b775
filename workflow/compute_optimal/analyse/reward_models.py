"""What reward models are worth on solutions whose truth is known, whoever wrote them.

Each problem has some solutions, right and wrong ones, and a reward model that scored all of them.
That shows whether it tells right from wrong and whether its score is a chance of being right, and
nothing about an accuracy over N: the solutions are no random sample of one policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import polars as pl

from compute_optimal.analyse.score_quality import N_BINS, Bins, discrimination, ratio_interval
from compute_optimal.analyse.statistics.estimators import FloatArray, IntArray
from compute_optimal.analyse.statistics.intervals import problem_weights
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common

LEAST_IN_BIN = 100
"""Solutions that each bin of a reliability diagram holds at least."""

_SCORED = {
    **common("collection", "task"),
    "prm": Column(TEXT, "Reward model, as the registry names it"),
    "scoring": Column(
        TEXT, "From step scores to one: prm_min, prm_last or prm_avg; null for whole solutions"
    ),
}
_VALUE = {"value": Column(REAL, "Its value; shares are 0 to 1"), **common("ci_low", "ci_high")}
TABLES: dict[str, Columns] = {
    "reward_model_quality": Columns(
        "What reward models are worth on solutions of known truth",
        {
            **_SCORED,
            "measure": Column(TEXT, "What is measured: discrimination, ranked_first and others"),
            **_VALUE,
            **common("n_problems"),
            "n_solutions": Column(COUNT, "Number of solutions that the model has scored"),
        },
    ),
    "reward_model_reliability": Columns(
        "Scores and shares that are right, by bins of equally many solutions of known truth",
        {
            **_SCORED,
            "bin": Column(COUNT, "Number of the bin, from 0, by rising score"),
            "n_solutions": Column(COUNT, "Number of solutions in the bin"),
            "score": Column(REAL, "Mean score of the bin's solutions, 0 to 1"),
            **_VALUE,
        },
    ),
}
"""Tables of ``examine_solutions``; intervals are bootstraps over problems.

``scoring``: how step scores make the score of a solution; null for a model of whole solutions.
``reward_model_quality``: measures are discrimination (share of pairs of a right and a wrong
solution of one problem whose right one scores higher, ties half, each problem counting the same),
tied_pairs (share of such pairs that tie), ranked_first (share of problems whose best score is the
right solution's; where k share it, 1/k of a problem each), first_by_chance (the same of random
scores), calibration_error (mean distance of score and share right over the bins) and overconfidence
(mean score minus share right); the last two of process reward models only, whose scores are
chances. ``ranked_first`` leaves out problems of which the model has not scored every solution:
n_problems says of how many it is. ``n_solutions``: those scored, of all problems.
``reward_model_reliability``: bins of equally many solutions (``equal_counts``): their mean score,
and as value the share of them that is right.
"""

SCORINGS = {"prm_min": "min", "prm_last": "last", "prm_avg": "mean"}
"""Scoring -> what it makes of a solution's step scores."""


def examine_solutions(
    solutions: pl.DataFrame, replicates: int, confidence: float, seed: int
) -> dict[str, pl.DataFrame]:
    """``TABLES`` for all reward models; ``solutions``: ``adopt.SOLUTIONS`` with collection."""
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in TABLES}
    for (collection, task), scored in solutions.group_by("collection", "task", maintain_order=True):
        ids = scored["problem_id"].unique().sort().to_list()
        weights = problem_weights(ids, replicates, seed)
        known = scored.select("problem_id", "solution", "correct").unique()
        grid = _Grid(ids, int(known["solution"].max()) + 1)  # type: ignore[arg-type]
        correct = grid.of(known, pl.col("correct").cast(pl.Float64))
        for (prm,), of_prm in scored.group_by("prm", maintain_order=True):
            for scoring, score in _scores(of_prm):
                key = collection, task, prm, scoring
                given = grid.of(of_prm, score)
                quality, bins = _quality(given, correct, is_chance=scoring is not None)
                n_solutions = int(np.count_nonzero(~np.isnan(given)))
                for measure, sums in quality.items():
                    if row := ratio_interval(measure, sums, weights, confidence):
                        rows["reward_model_quality"].append((*key, measure, *row, n_solutions))
                if bins is not None:
                    rows["reward_model_reliability"] += [
                        (*key, *row) for row in bins.rows(weights, confidence)
                    ]
                    if row := bins.error(weights, confidence):
                        rows["reward_model_quality"].append(
                            (*key, "calibration_error", *row, n_solutions)
                        )
    return {
        name: pl.DataFrame(rows[name], schema=schema, orient="row").fill_nan(None)
        for name, schema in TABLES.items()
    }


def equal_counts(scores: FloatArray, n_bins: int, least: int) -> IntArray:
    """Bin of each score [n], from 0 by rising score, with about equally many scores in each.

    Equal scores are never parted. A bin holds at least ``least`` scores, so there are fewer bins
    where there are fewer scores or many are equal; the last takes what is too little for one more.
    """
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    wanted = max(least, -(-len(scores) // n_bins))
    bin_of = np.zeros(len(values), dtype=np.int64)
    current = n_inside = 0
    n_left = len(scores)
    for position, count in enumerate(counts.tolist()):
        if n_inside >= wanted and n_left >= least:
            current, n_inside = current + 1, 0
        bin_of[position] = current
        n_inside, n_left = n_inside + count, n_left - count
    bins: IntArray = bin_of[inverse]
    return bins


class _Grid:
    """Makes arrays [problems, solutions] of solutions' values, NaN where there is none."""

    def __init__(self, ids: Sequence[str], width: int) -> None:
        self._places = pl.DataFrame({"problem_id": ids}).with_row_index("row")
        self._shape = len(ids), width

    def of(self, solutions: pl.DataFrame, value: pl.Expr) -> FloatArray:
        placed = solutions.join(self._places, on="problem_id").select(
            "row", "solution", value=value
        )
        values = np.full(self._shape, np.nan)
        values[placed["row"].to_numpy(), placed["solution"].to_numpy()] = placed["value"].to_numpy()
        return values


def _scores(solutions: pl.DataFrame) -> Iterator[tuple[str | None, pl.Expr]]:
    if solutions["outcome_score"].count():
        yield None, pl.col("outcome_score").cast(pl.Float64)
    if solutions["step_scores"].count():
        steps = pl.col("step_scores").cast(pl.List(pl.Float64))
        for scoring, aggregation in SCORINGS.items():
            yield scoring, getattr(steps.list, aggregation)()


def _quality(
    given: FloatArray, correct: FloatArray, *, is_chance: bool
) -> tuple[dict[str, tuple[FloatArray, ...]], Bins | None]:
    """Sums [problems] over the solutions of each problem, by measure, for ``ratio_interval``; and
    bins of the scores, None where these are no chances or too few."""
    every = ~np.isnan(correct)
    right, wrong = (~np.isnan(given) & (correct == truth) for truth in (1, 0))
    pairs = right[:, :, None] & wrong[:, None, :]
    n_pairs = pairs.sum(axis=(1, 2)).astype(np.float64)
    tied = (pairs & (given[:, :, None] == given[:, None, :])).sum(axis=(1, 2))
    mixed = n_pairs > 0
    whole = mixed & ((right | wrong) == every).all(axis=1)
    best = np.nanmax(np.where(np.isnan(given), -np.inf, given), axis=1, initial=-np.inf)
    first = (right | wrong) & (given == best[:, None])
    n_first = np.maximum(first.sum(axis=1), 1)
    n_solutions = np.maximum(every.sum(axis=1), 1)
    quality: dict[str, tuple[FloatArray, ...]] = {
        "discrimination": discrimination(given, correct),
        "tied_pairs": (np.where(mixed, tied / np.maximum(n_pairs, 1), 0.0), mixed.astype(float)),
        "ranked_first": (
            np.where(whole, (first & right).sum(axis=1) / n_first, 0.0),
            whole.astype(np.float64),
        ),
        "first_by_chance": (
            np.where(whole, right.sum(axis=1) / n_solutions, 0.0),
            whole.astype(np.float64),
        ),
    }
    if not is_chance or np.count_nonzero(right | wrong) < LEAST_IN_BIN:
        return quality, None
    bins = Bins.of(given, correct, partial(equal_counts, n_bins=N_BINS, least=LEAST_IN_BIN))
    return {**quality, "overconfidence": bins.overconfidence}, bins
