"""How far a mean over problems can be trusted.

Two readings, two functions.

*Other problems of the same kind* (what ``mean_interval`` answers): bootstrap over problems. An
observed value is a problem's true accuracy plus the noise of its pool, so the spread between
problems already holds both levels, also at k = n, where the value is a single draw. There is no
second level of resampling: for k < n it would count the noise of the pools twice, and at k = n a
resampled pool repeats samples, so its best of n is the best of about 0.63 n. In a simulation (500
problems, 16 samples, a useful score; 300 repetitions) such intervals lie 3 points too low and hold
the truth in 63% of the cases, those over problems alone in 92%, for a nominal 95%.

*The same problems run again with other seeds* (``pool_standard_error``): pools only. It is the
smaller of the two, and the one that matters when a number is compared with another run of the
same benchmark.

Values are [problems, columns]; a column is a budget or a strategy. Bootstrap weights are shared
by all columns, so differences are paired, and by all that is said of a task's problems
(``problem_weights``), so a number has one interval wherever it is worked out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from compute_optimal.analyse.statistics.estimators import FloatArray, IntArray, mean_of_known

_NORMAL = NormalDist()

_LEAST_WEIGHT = 1e-12
"""Weights that add up to less are none."""

_COLUMNS = 256
"""Columns that are resampled at once: 2 MB for 1000 replicates."""


class Interval(NamedTuple):
    """Means [columns] with their limits; NaN and ``n_problems`` 0 where a column has no value."""

    estimate: FloatArray
    low: FloatArray
    high: FloatArray
    n_problems: IntArray


@lru_cache(maxsize=4)
def bootstrap_weights(n_problems: int, replicates: int, seed: int) -> FloatArray:
    """How often each replicate draws each problem: [replicates, problems], rows sum to problems.

    The weights of a subset of the problems (a bucket) are the columns of that subset. They are
    drawn once for all that asks for the same, so they must not be written to.
    """
    weights = np.zeros((replicates, n_problems))
    if n_problems:
        random = np.random.default_rng([seed, n_problems])
        chances = np.full(n_problems, 1 / n_problems)
        weights[:] = random.multinomial(n_problems, chances, size=replicates)
    weights.flags.writeable = False
    return weights


def problem_weights(problem_ids: Sequence[str], replicates: int, seed: int) -> FloatArray:
    """``bootstrap_weights`` of named problems: the same for each, in whatever order they are."""
    return _problem_weights(tuple(problem_ids), replicates, seed)


@lru_cache(maxsize=4)
def _problem_weights(problem_ids: tuple[str, ...], replicates: int, seed: int) -> FloatArray:
    weights = bootstrap_weights(len(problem_ids), replicates, seed)
    order = sorted(range(len(problem_ids)), key=problem_ids.__getitem__)
    if order == [*range(len(order))]:
        return weights
    columns = np.empty(len(order), dtype=np.int64)
    columns[order] = np.arange(len(order))
    weights = weights[:, columns]
    weights.flags.writeable = False
    return weights


def bootstrap_means(values: ArrayLike, weights: FloatArray) -> FloatArray:
    """Weighted means [replicates, columns] over the problems whose value is not NaN.

    NaN where a replicate drew none of them. The building block for statistics of whole curves.
    """
    value = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(value)
    sums = weights @ np.where(known, value, 0.0)
    # Where no value is missing, one column of totals serves all.
    counted = known[:, :1] if known.all() else known
    totals = weights @ counted.astype(np.float64)
    # A replicate that drew none of them has a sum of 0: 0 / 0 is NaN.
    with np.errstate(invalid="ignore"):
        means: FloatArray = sums / totals
    return means


def percentile_interval(
    replicates: FloatArray, n_problems: ArrayLike, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Limits [columns] from bootstrap replicates [replicates, columns], NaN replicates left out.

    The percentiles are widened for few problems (Hesterberg 2015, arXiv 1411.5279, the expanded
    percentile interval): the plain ones are about as narrow as a normal interval with variance
    over n instead of a t interval with n - 1, which at 30 problems is 5% too narrow.
    """
    # A copy whose rows lie in one piece is sorted in a third of the time.
    ordered = replicates.T.copy()
    ordered.sort(axis=1)
    last = np.full(len(ordered), ordered.shape[1] - 1)
    # NaN is sorted to the end.
    if np.isnan(ordered[:, -1:]).any():
        last = np.count_nonzero(~np.isnan(ordered), axis=1) - 1
    sizes = np.broadcast_to(n_problems, last.shape).tolist()
    tail = np.array([expanded_tail(size, confidence) for size in sizes])
    return _order_statistic(ordered, tail * last), _order_statistic(ordered, (1 - tail) * last)


def mean_interval(
    values: ArrayLike,
    weights: FloatArray,
    confidence: float = 0.95,
    *,
    parts: FloatArray | None = None,
    widening: ArrayLike = 1.0,
) -> Interval:
    """Mean accuracy per column with its interval over problems.

    ``values`` [problems, columns] in 0..1, NaN problems left out of their column; ``weights`` from
    ``bootstrap_weights``. The interval is the percentile bootstrap's, widened where it is shorter
    than what problems that were not seen leave possible (``unseen_limits``): near 0 and 1 the
    bootstrap knows only the few problems that differ, and of equal ones nothing. It is one rule
    for all columns, continuous in the values, so a curve has no step where its points become equal.

    ``parts`` [problems], 0..1: how far each problem counts, if it is not all or nothing. What they
    know is what so many whole ones do as the weights are worth, (sum of parts)^2 / sum of squares
    (Kish 1965, section 11.7): a whole problem and ten that count by a fifteenth are 2.7, not 11.
    ``widening`` [columns]: how many times as far a mean spreads as resampled values do, of which
    something was chosen. It is of the bootstrap's interval alone: unseen problems leave no more
    possible for it.

    Of few values that are nearly all 0 or 1 far more than 95% of intervals hold. Their mean takes
    few values, so the coverage of any rule jumps with the truth: one that never holds less often
    than it says holds more often on average (Brown, Cai and DasGupta 2001).
    """
    value = np.asarray(values, dtype=np.float64)
    sizes = None
    if parts is not None:
        value, weights = np.where(parts[:, None] > 0, value, np.nan), weights * parts
        known = ~np.isnan(value)
        sizes = (parts @ known) ** 2 / np.maximum(parts**2 @ known, _LEAST_WEIGHT)
    interval = _bootstrap_interval(value, weights, confidence, sizes)
    mean = interval.estimate if parts is None else bootstrap_means(value, parts[None])[0]
    mean = np.clip(mean, 0.0, 1.0)
    low, high = unseen_limits(mean, interval.n_problems if sizes is None else sizes, confidence)
    # A factor of 1 leaves the limits as they are, to the last digit.
    more = np.asarray(widening, dtype=np.float64) - 1
    return Interval(
        mean,
        np.fmin(np.maximum(interval.low - more * (mean - interval.low), 0.0), low),
        np.fmax(np.minimum(interval.high + more * (interval.high - mean), 1.0), high),
        interval.n_problems,
    )


def unseen_limits(
    estimate: ArrayLike, n_problems: ArrayLike, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """How far a mean of values in 0..1 may be off for problems that none of the n is like.

    The share of such problems may be up to u = z^2 / (n + z^2), the end of Wilson's interval of 0
    among n; were all of them wrong, the mean would be (1 - u) of the one that was found, were all
    right, it would be u of the rest higher. For n equal values 0 or 1 this is Wilson's interval.
    """
    mean = np.asarray(estimate, dtype=np.float64)
    z_squared = _NORMAL.inv_cdf(0.5 + confidence / 2) ** 2
    unseen = z_squared / (np.asarray(n_problems, dtype=np.float64) + z_squared)
    return mean * (1 - unseen), mean + unseen * (1 - mean)


def difference_interval(
    values: ArrayLike, baseline: ArrayLike, weights: FloatArray, confidence: float = 0.95
) -> Interval:
    """Mean of ``values - baseline`` with its paired interval; a NaN on either side drops both.

    Columns without spread get an interval of no width: identical values are no evidence for a
    difference, and without spread there is no scale for it.
    """
    difference = np.asarray(values, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    return _bootstrap_interval(difference, weights, confidence)


def few_differences_interval(differences: ArrayLike, confidence: float = 0.95) -> Interval:
    """Mean of ``differences`` [problems, columns], of which only a few problems have any.

    Of few, a resampled spread is too often too small. These are limits of Student's t with as many
    degrees of freedom as the spread is known by (Satterthwaite 1946): two over the relative
    variance of the sum of squares. Columns without spread allow for the largest share of unseen
    problems that n equal ones leave possible, each off by all of 1.
    """
    from scipy import special

    difference = np.asarray(differences, dtype=np.float64)
    n_problems, n_columns = difference.shape
    mean = difference.mean(axis=0)
    squares = (difference - mean) ** 2
    total = squares.sum(axis=0)
    # 1 over how many problems make up the spread.
    concentration = np.divide(
        (squares**2).sum(axis=0), total**2, out=np.ones(n_columns), where=total > 0
    )
    last = max(n_problems - 1, 1)
    degrees = 2 / np.maximum(concentration - 1 / n_problems, 2 / last)
    t = special.stdtrit(np.maximum(degrees, 1.0), 0.5 + confidence / 2)
    unseen = 1 - ((1 - confidence) / 2) ** (1 / n_problems)
    half = np.where(total > 0, t * np.sqrt(total / (n_problems * last)), unseen)
    return Interval(mean, mean - half, mean + half, np.full(n_columns, n_problems))


@lru_cache(maxsize=4096)
def wilson_interval(
    n_successes: int, n_trials: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Wilson's score interval (1927) of a proportion of single outcomes, 0 to 1.

    For 0/1 outcomes of a small task, such as the 30 problems of AIME24. Raises ``ValueError`` for
    no trials, or for fewer than successes.
    """
    from scipy import stats

    # The interval does not depend on what is tested; of the share itself, the p-value is 1 at once.
    test = stats.binomtest(n_successes, n_trials, n_successes / max(n_trials, 1))
    interval = test.proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def pool_standard_error(
    estimate: Callable[[IntArray, IntArray], FloatArray],
    present: ArrayLike,
    budgets: ArrayLike,
    splits: int,
    seed: int,
) -> FloatArray:
    """Standard error [budgets] of a mean over these very problems if all pools were drawn anew.

    ``present`` [problems, n]: which samples there are. ``estimate(columns, budgets)`` must return
    [problems, budgets] for the pool reduced to ``columns`` [problems, m], NaN where that has fewer
    samples than a budget takes; use ``numpy.take_along_axis``. Each of ``splits`` random splits
    makes two independent pools of n/2, whose squared difference shows their variance v:
    for k <= n/2 the full pool has at most v/2 (a U-statistic gains at least like a mean of the
    two halves), and for k > n/2, where halves cannot go, v at k/2 stands in, the budget that
    exhausts half a pool as far as k exhausts the whole one. Problems with fewer samples than others
    are dealt to both halves alike, and v is the mean over those whose halves go as far as that. NaN
    for pools of one sample, and where no halves do.
    """
    there = np.asarray(present, dtype=np.bool_)
    n_problems, n_samples = there.shape
    ks = np.atleast_1d(np.asarray(budgets, dtype=np.int64))
    half = n_samples // 2
    if half == 0 or not there.any():
        return np.full(len(ks), np.nan)
    has_gaps = not there.all()
    fits = ks <= half
    reduced = np.where(fits, ks, np.minimum((ks + 1) // 2, half))
    asked, back = np.unique(reduced, return_inverse=True)
    squares = np.zeros(len(asked))
    for order in _orders(n_problems, n_samples, splits, seed):
        # What there is of a problem first, in turn to one and to the other.
        dealt = order
        if has_gaps:
            absent = ~np.take_along_axis(there, order, axis=1)
            dealt = np.take_along_axis(order, np.argsort(absent, axis=1, kind="stable"), axis=1)
        one, other = dealt[:, : 2 * half : 2], dealt[:, 1 : 2 * half : 2]
        difference = estimate(one, asked) - estimate(other, asked)
        squares += mean_of_known(difference**2)[0] / 2
    variance = np.where(fits, 0.5, 1.0) * (squares / splits)[back]
    error: FloatArray = np.sqrt(variance / np.count_nonzero(there.any(axis=1)))
    return error


@lru_cache(maxsize=1)
def _orders(n_problems: int, n_samples: int, splits: int, seed: int) -> tuple[IntArray, ...]:
    """Random orders of all pools [problems, samples], one a split; the same for all that asks."""
    random = np.random.default_rng([seed, n_samples])
    shape = n_problems, n_samples
    return tuple(np.argsort(random.random(shape), axis=1) for _ in range(splits))


def _bootstrap_interval(
    values: ArrayLike, weights: FloatArray, confidence: float, sizes: FloatArray | None = None
) -> Interval:
    """``sizes`` [columns]: how many whole problems the values of a column amount to."""
    value = np.asarray(values, dtype=np.float64)
    mean, n_problems = mean_of_known(value)
    low, high = np.empty_like(mean), np.empty_like(mean)
    for start in range(0, len(mean), _COLUMNS):
        some = slice(start, start + _COLUMNS)
        low[some], high[some] = percentile_interval(
            bootstrap_means(value[:, some], weights),
            (n_problems if sizes is None else sizes)[some],
            confidence,
        )
    return Interval(mean, low, high, n_problems)


def _order_statistic(ordered: FloatArray, position: FloatArray) -> FloatArray:
    """Row-wise value at a fractional position, interpolated; NaN for a position below 0."""
    valid = np.maximum(position, 0)
    below = np.floor(valid).astype(np.int64)
    above = np.ceil(valid).astype(np.int64)
    rows = np.arange(len(ordered))
    lower, upper = ordered[rows, below], ordered[rows, above]
    result: FloatArray = lower + (valid - below) * (upper - lower)
    return result


@cache
def expanded_tail(n: float, confidence: float) -> float:
    """Share of replicates left out on each side so that the width is that of a t interval.

    The expanded percentile interval of Hesterberg (2015): a mean of ``n`` resampled problems
    spreads too little, by sqrt((n - 1) / n), and that spread is known by n - 1 degrees of freedom.
    Of one problem or less of it the plain share.
    """
    from scipy import special

    quantile = 0.5 + confidence / 2
    if n <= 1:
        return 1 - quantile
    t = float(special.stdtrit(n - 1, quantile))
    return _NORMAL.cdf(-t * math.sqrt(n / (n - 1)))
