"""What the scores of a PRM are worth, on the evaluation pool of one (task, policy).

Accuracies say what comes out of a method; this says why. Does a score mean the chance of being
right (calibration)? Do right samples score higher than wrong ones of the same problem
(discrimination), or do they tie? Does the PRM favour long or short solutions? And what happens to
the picked solution as N grows, when the score goes up whether or not it is right?
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute_optimal.analyse.accuracy import RUN_TO_RUN
from compute_optimal.analyse.answer_grid import (
    AnswerGrid,
    in_order_of,
    scored_parts,
)
from compute_optimal.analyse.statistics.estimators import (
    FloatArray,
    IntArray,
    best_of_k,
    best_values,
    plurality_at_k,
)
from compute_optimal.analyse.statistics.intervals import (
    difference_interval,
    mean_interval,
    percentile_interval,
    pool_standard_error,
    problem_weights,
    unseen_limits,
)
from compute_optimal.analyse.statistics.ranks import ranks_with_ties
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common
from compute_optimal.study.requests import EstimateSettings

N_BINS = 10
"""Bins of the score."""

HALVED = 500
"""Pools that are split in halves at random for each run-to-run error: where problems are fewer,
each is split several times, eight at most."""

MEASURES: Mapping[str, str] = {
    "discrimination": "chance that a right sample outscores a wrong one of its problem, ties half",
    "calibration_error": "mean distance of score and share right over tenths of the score",
    "overconfidence": "mean score minus share right",
    "tied_pairs": "share of pairs of a problem's samples with the same score",
    "tied_top": "share of problems whose best score is shared",
    "unscored": "share of samples without a score",
    "length_correlation": "correlation of the score's logit with the logarithm of tokens",
    "step_correlation": "correlation of the score's logit with the number of steps",
}
"""Both correlations are within a problem and among samples that are equally right."""

SIGNED = frozenset({"overconfidence", "length_correlation", "step_correlation"})
"""Measures from -1 to 1; the others are shares, from 0 to 1."""

_ROUNDING = 1e-9
"""Differences up to which numbers are equal but for rounding."""

_SCORED = {"prm": Column(TEXT, "PRM that gave the scores"), **common("scoring")}
_INTERVAL = common("ci_low", "ci_high")
_LOW = _INTERVAL["ci_low"].meaning
TABLES: dict[str, Columns] = {
    "picks": Columns(
        "The solution that best-of-N picks, on average",
        {
            **_SCORED,
            "measure": Column(TEXT, "What of it: score (0 to 1), tokens or steps (numbers)"),
            **common("budget"),
            "value": Column(REAL, "Mean over problems, in the unit of the measure"),
            "ci_low": Column(
                REAL, f"{_LOW}; null for numbers that are all equal, or of one problem"
            ),
            "ci_high": Column(REAL, "Upper end, likewise"),
            **common("n_problems"),
        },
    ),
    "calibration": Columns(
        "Samples whose score lies in each tenth of 0 to 1",
        {
            **_SCORED,
            "bin": Column(COUNT, "Number of the tenth, from 0"),
            **common("n_samples"),
            "score": Column(REAL, "Mean score, 0 to 1"),
            "value": Column(REAL, "Share of the samples that is right, 0 to 1"),
            **_INTERVAL,
        },
    ),
    "score_quality": Columns(
        "How good the scores of a PRM are",
        {
            **_SCORED,
            "measure": Column(
                TEXT, "; ".join(f"{name}: {text}" for name, text in MEASURES.items())
            ),
            "value": Column(
                REAL, "Value of the measure: a fraction, or a correlation from -1 to 1"
            ),
            **_INTERVAL,
            **common("n_problems"),
        },
    ),
    "run_to_run": RUN_TO_RUN,
}
"""Tables of ``examine_scores``; intervals are bootstraps over problems. ``run_to_run``: what
``estimate`` says of repeated searches, of the pool."""


def examine_scores(
    answers: pl.DataFrame,
    scores: Mapping[str, pl.DataFrame],
    problem_ids: Sequence[str],
    settings: EstimateSettings,
    scored: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, pl.DataFrame]:
    """``TABLES`` for all PRMs of one (task, policy); arguments as for ``estimate``."""
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in TABLES}
    pool = answers.filter(pool="evaluation").with_columns(position=pl.col("sample_index"))
    if pool.height:
        whole = AnswerGrid.of(pool, problem_ids)
        weights = problem_weights(problem_ids, settings.bootstrap_replicates, settings.seed)
        rows["run_to_run"] += [
            (None, "majority", None, "majority", *row)
            for row in _run_to_run(
                _majority(whole), whole, _study_budgets(whole, settings), settings
            )
        ]
        for part, of_prms in scored_parts(pool, scores, scored):
            grid = whole if part is pool else AnswerGrid.of(part, problem_ids)
            for prm, of_prm in of_prms.items():
                for table, row in _examined(part, grid, of_prm, weights, settings):
                    rows[table].append((prm, *row))
    return {
        name: pl.DataFrame(rows[name], schema=schema, orient="row").fill_nan(None)
        for name, schema in TABLES.items()
    }


def _study_budgets(grid: AnswerGrid, settings: EstimateSettings) -> IntArray:
    """Budgets of the study that the pool has samples for."""
    return np.array([k for k in settings.budgets if k <= grid.correct.shape[1]], dtype=np.int64)


def _examined(
    pool: pl.DataFrame,
    grid: AnswerGrid,
    scores: pl.DataFrame,
    weights: FloatArray,
    settings: EstimateSettings,
) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Tables, each with a row of it without its PRM, of one that read all of ``pool``."""
    size = grid.correct.shape[1]
    powers = {2**i for i in range(size.bit_length())} | {*settings.budgets}
    budgets = np.array(sorted(k for k in powers if k <= size))
    study_budgets = _study_budgets(grid, settings)
    samples = in_order_of(pool, scores)
    steps = np.full(grid.correct.shape, np.nan)
    steps[grid.rows, grid.columns] = samples["margins"].list.len().fill_null(0).to_numpy()
    for scoring, ranking, score in grid.scores(samples):
        measured = {"score": score, "tokens": grid.n_tokens, "steps": steps}
        for row in _picks(measured, ranking, grid, budgets, weights, settings):
            yield "picks", (scoring, *row)
        bins = Bins.of(score, grid.correct, tenths)
        for row in bins.rows(weights, settings.confidence):
            yield "calibration", (scoring, *row)
        quality: dict[str, tuple[FloatArray, ...]] = {
            "discrimination": discrimination(ranking, grid.correct),
            "overconfidence": bins.overconfidence,
            **_ties(ranking, grid.correct),
            "unscored": _unscored(ranking, grid.correct),
            "length_correlation": _correlation(ranking, grid, np.log(grid.n_tokens + 1)),
            "step_correlation": _correlation(ranking, grid, steps),
        }
        for measure, sums in quality.items():
            interval = ratio_interval(measure, sums, weights, settings.confidence)
            if interval is not None:
                yield "score_quality", (scoring, measure, *interval)
        if (error := bins.error(weights, settings.confidence)) is not None:
            yield "score_quality", (scoring, "calibration_error", *error)
        for row in _run_to_run(_best(grid, ranking), grid, study_budgets, settings):
            yield "run_to_run", ("best_of_n", scoring, "prm_max", *row)


def _picks(
    measured: Mapping[str, FloatArray],
    ranking: FloatArray,
    grid: AnswerGrid,
    budgets: IntArray,
    weights: FloatArray,
    settings: EstimateSettings,
) -> Iterator[tuple[object, ...]]:
    present = ~np.isnan(grid.correct)
    known = np.where(present, np.nan_to_num(np.stack([*measured.values()])), np.nan)
    unscored = ~(present & ~np.isnan(ranking)).any(axis=1)
    for measure, picked in zip(measured, best_values(known, ranking, budgets), strict=True):
        # Not scored at all: nothing is picked by score.
        picked[unscored] = np.nan
        if measure == "score":
            mean, low, high, counts = mean_interval(picked, weights, settings.confidence)
        else:
            mean, low, high, counts = difference_interval(
                picked, np.zeros_like(picked), weights, settings.confidence
            )
            # Numbers have no largest one: where nothing varies, nothing bounds what was not seen.
            low, high = (np.where(high - low > _ROUNDING, end, np.nan) for end in (low, high))
        for i, budget in enumerate(budgets.tolist()):
            if counts[i]:
                interval = (float(part[i]) for part in (mean, low, high))
                yield measure, budget, *interval, int(counts[i])


def tenths(scores: FloatArray) -> IntArray:
    """Which tenth of 0 to 1 each score [n] lies in, from 0; a score of 1 is in the last."""
    bins: IntArray = np.minimum((scores * N_BINS).astype(np.int64), N_BINS - 1)
    return bins


class Bins:
    """Sums over samples by bin of the score: counts, scores and right ones, [problems, bins]."""

    def __init__(self, counts: FloatArray, scores: FloatArray, right: FloatArray) -> None:
        self.counts, self.scores, self.right = counts, scores, right

    @classmethod
    def of(
        cls, score: FloatArray, correct: FloatArray, bins: Callable[[FloatArray], IntArray]
    ) -> Bins:
        """``bins`` says which of ``N_BINS`` bins each of the scores is in, from 0."""
        scored = ~np.isnan(score) & ~np.isnan(correct)
        rows = np.nonzero(scored)[0]
        bin_of = bins(score[scored])
        n_problems = len(score)
        place = rows * N_BINS + bin_of

        def sums(values: FloatArray | None) -> FloatArray:
            summed = np.bincount(place, values, minlength=n_problems * N_BINS)
            return summed.reshape(n_problems, N_BINS).astype(np.float64)

        return cls(sums(None), sums(score[scored]), sums(correct[scored]))

    @property
    def overconfidence(self) -> tuple[FloatArray, FloatArray]:
        return (self.scores - self.right).sum(axis=1), self.counts.sum(axis=1)

    def rows(self, weights: FloatArray, confidence: float) -> Iterator[tuple[object, ...]]:
        """Of each bin that is not empty: its number, its samples, their mean score, and the share
        that is right with its interval (0 to 1)."""
        counts, scores, right = (x.sum(axis=0) for x in (self.counts, self.scores, self.right))
        with np.errstate(invalid="ignore"):
            replicates = (weights @ self.right) / (weights @ self.counts)
        n_problems = np.count_nonzero(self.counts, axis=0)
        low, high = percentile_interval(replicates, n_problems, confidence)
        with np.errstate(invalid="ignore"):
            share = right / counts
        # Few problems are no certainty, and where they agree the bootstrap sees no spread.
        least, most = unseen_limits(share, n_problems, confidence)
        low, high = np.fmin(low, least), np.fmax(high, most)
        for i in np.flatnonzero(counts).tolist():
            shares = share[i], low[i], high[i]
            yield i, int(counts[i]), float(scores[i] / counts[i]), *map(float, shares)

    def error(
        self, weights: FloatArray, confidence: float
    ) -> tuple[float, float, float, int] | None:
        """Expected calibration error (0 to 1): mean distance of score and share right over the
        bins, the ends of its interval, and the number of problems; None of no scores.

        Distances of samples are larger than true ones, those of resampled problems larger still.
        So the interval reaches from the percentiles to their mirror image about the estimate, and
        down to 0 where more than 2.5% of calibrated scores would show as large an error.
        In a simulation (477 problems, ten solutions, 10 bins; 200 repetitions; overconfident,
        nearly calibrated and calibrated scores) such intervals hold the truth in 94% to 98% of the
        cases, percentiles alone in 94%, 82% and none, for a nominal 95%.
        """
        all_weights = np.vstack([np.ones((1, len(self.counts))), weights])
        with np.errstate(invalid="ignore"):
            total = (all_weights @ self.counts).sum(axis=1)
            distances = all_weights @ self.scores - all_weights @ self.right
            distances /= total[:, None]
        n_problems = int(np.count_nonzero(self.counts.sum(axis=1)))
        if not n_problems:
            return None
        value = float(np.abs(distances[0]).sum())
        replicates, noise = (
            np.abs(of_bins).sum(axis=1)[:, None]
            for of_bins in (distances[1:], distances[1:] - distances[0])
        )
        (low,), (high,) = percentile_interval(replicates, n_problems, confidence)
        _, (of_calibrated,) = percentile_interval(noise, n_problems, confidence)
        least = 0.0 if value <= of_calibrated else max(0.0, min(low, 2 * value - high))
        return value, float(least), float(max(high, 2 * value - low)), n_problems


def discrimination(ranking: FloatArray, correct: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share of the pairs of a right and a wrong sample of each problem in which the right one
    scores higher, ties half (Mann-Whitney's U), 0 where there are none; and whether there are any.

    ``ranking``, ``correct``: [problems, n]; both results [problems], for ``ratio_interval``.
    """
    ranks = ranks_with_ties(np.where(np.isnan(correct), np.nan, ranking))
    scored = ~np.isnan(ranks)
    right = scored & (correct == 1)
    n_right = right.sum(axis=1).astype(np.float64)
    n_wrong = scored.sum(axis=1) - n_right
    won = np.where(right, ranks, 0).sum(axis=1) - n_right * (n_right + 1) / 2
    # Every problem counts the same, however many pairs it has.
    pairs = n_right * n_wrong
    mixed = pairs > 0
    return np.where(mixed, won / np.where(mixed, pairs, 1), 0.0), mixed.astype(np.float64)


def _ties(ranking: FloatArray, correct: FloatArray) -> dict[str, tuple[FloatArray, FloatArray]]:
    scores = np.sort(np.where(np.isnan(correct), np.nan, ranking), axis=1)
    n_scored = np.count_nonzero(~np.isnan(scores), axis=1).astype(np.float64)
    starts = np.ones(scores.shape, dtype=bool)
    starts[:, 1:] = scores[:, 1:] != scores[:, :-1]
    run = np.cumsum(starts.ravel()) - 1
    others = (np.bincount(run)[run] - 1).reshape(scores.shape)
    tied = np.where(np.isnan(scores), 0, others).sum(axis=1) / 2
    top = np.nanmax(np.where(np.isnan(scores), -np.inf, scores), axis=1, initial=-np.inf)
    n_top = np.count_nonzero(scores == top[:, None], axis=1)
    several = n_scored > 1
    pairs = np.where(several, n_scored * (n_scored - 1) / 2, 0.0)
    return {
        "tied_pairs": (tied / np.maximum(pairs, 1), several.astype(np.float64)),
        "tied_top": (((n_top > 1) & several).astype(np.float64), several.astype(np.float64)),
    }


def _unscored(ranking: FloatArray, correct: FloatArray) -> tuple[FloatArray, FloatArray]:
    present = ~np.isnan(correct)
    missing = (present & np.isnan(ranking)).sum(axis=1).astype(np.float64)
    return missing, present.sum(axis=1).astype(np.float64)


def _correlation(
    ranking: FloatArray, grid: AnswerGrid, length: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sums of products and squares [problems] around the means of equally right samples.

    So neither hard problems, which take long and score low, nor errors make a correlation.
    """
    # Probabilities of 0 and 1 have no finite logit.
    height = np.clip(ranking, -30, 30)
    sums = [np.zeros(len(ranking)) for _ in range(3)]
    for is_right in (0.0, 1.0):
        mask = (grid.correct == is_right) & ~np.isnan(height) & ~np.isnan(length)
        x, y = (_deviations(values, mask) for values in (length, height))
        for total, products in zip(sums, (x * y, x * x, y * y), strict=True):
            total += products.sum(axis=1)
    return sums[0], sums[1], sums[2]


def _deviations(values: FloatArray, mask: NDArray[np.bool_]) -> FloatArray:
    """From the mean of each problem's masked values [problems, n]; 0 elsewhere.

    Equal values deviate by exactly 0: all are measured from one of their own. A mean of 256 equal
    logarithms is off by rounding, which would count as a spread.
    """
    first = np.take_along_axis(values, mask.argmax(axis=1)[:, None], axis=1)
    moved = np.where(mask, values - first, 0.0)
    n = np.maximum(mask.sum(axis=1, keepdims=True), 1)
    return np.where(mask, moved - moved.sum(axis=1, keepdims=True) / n, 0.0)


def ratio_interval(
    measure: str, sums: tuple[FloatArray, ...], weights: FloatArray, confidence: float
) -> tuple[float, float, float, int] | None:
    """A quotient of sums over problems, the ends of its interval, and the number of problems; of
    three sums xy, xx and yy, the correlation. None where nothing was measured.

    ``measure`` says whether it is ``SIGNED``; ``sums``: arrays [problems]; ``weights`` [replicates,
    problems]. As of means, an interval is no shorter than what unseen problems leave possible.
    """
    n_problems = int(np.count_nonzero(sums[1]))
    all_weights = np.vstack([np.ones((1, len(sums[0]))), weights])
    above, *below = (all_weights @ part for part in sums)
    scale = below[0] if len(below) == 1 else np.sqrt(below[0] * below[1])
    values = np.divide(above, scale, out=np.full_like(above, np.nan), where=scale > 0)
    if np.isnan(values[0]):
        return None
    low, high = percentile_interval(values[1:, None], n_problems, confidence)
    least = -1.0 if measure in SIGNED else 0.0
    share = (values[0] - least) / (1 - least)
    fewest, most = (
        least + (1 - least) * end for end in unseen_limits(share, n_problems, confidence)
    )
    return (
        float(values[0]),
        float(np.fmin(low[0], fewest)),
        float(np.fmax(high[0], most)),
        n_problems,
    )


def _run_to_run(
    estimate: Callable[[IntArray, IntArray], FloatArray],
    grid: AnswerGrid,
    budgets: IntArray,
    settings: EstimateSettings,
) -> Iterator[tuple[int, float]]:
    if not len(budgets):
        return
    splits = min(8, -(-HALVED // len(grid.correct)))
    present = ~np.isnan(grid.correct)
    errors = pool_standard_error(estimate, present, budgets, splits, settings.seed)
    # Halves that never differ are no evidence that other samples would not.
    errors = np.where(errors > _ROUNDING, errors, np.nan)
    yield from zip(budgets.tolist(), errors.tolist(), strict=True)


def _majority(grid: AnswerGrid) -> Callable[[IntArray, IntArray], FloatArray]:
    def estimate(columns: IntArray, budgets: IntArray) -> FloatArray:
        classes, correct = (
            np.take_along_axis(array, columns, axis=1) for array in (grid.classes, grid.correct)
        )
        return plurality_at_k(classes, correct, budgets)

    return estimate


def _best(grid: AnswerGrid, ranking: FloatArray) -> Callable[[IntArray, IntArray], FloatArray]:
    def estimate(columns: IntArray, budgets: IntArray) -> FloatArray:
        correct, scores = (
            np.take_along_axis(array, columns, axis=1) for array in (grid.correct, ranking)
        )
        return best_of_k(correct, scores, budgets)

    return estimate
