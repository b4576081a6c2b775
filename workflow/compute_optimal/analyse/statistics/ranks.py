"""Ranks: within problems, and whether two quantities of a handful of things rise together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from compute_optimal.analyse.statistics.estimators import FloatArray, mean_over_ties

_MOST_PERMUTATIONS = 50_000


class RankCorrelation(NamedTuple):
    """Spearman's rho, -1 to 1, and its two-sided p-value under exchangeability."""

    rho: float
    p_value: float


def rank_correlation(x: ArrayLike, y: ArrayLike, seed: int = 0) -> RankCorrelation | None:
    """Spearman's rank correlation of ``x`` and ``y`` [n]; None without spread in either.

    The p-value is the share of the orders of ``y`` (all of them up to n = 8, 50,000 random ones
    beyond) whose rho is as far from 0. It is asked of the distance: of rho itself, SciPy's
    two-sided test doubles the smaller tail, and ties make the tails unequal.
    """
    from scipy import stats

    one, two = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len({*one.tolist()}) < 2 or len({*two.tolist()}) < 2:
        return None
    centred = stats.rankdata(one) - (len(one) + 1) / 2

    def distance(orders: FloatArray, axis: int) -> FloatArray:
        # Within 1, as the ranks of one order are those of every other.
        return np.abs(np.tensordot(orders, centred, axes=([axis], [0])))

    test = stats.permutation_test(
        (stats.rankdata(two),),
        distance,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=_MOST_PERMUTATIONS,
        alternative="greater",
        rng=seed,
    )
    return RankCorrelation(float(stats.spearmanr(one, two).statistic), float(test.pvalue))


def ranks_with_ties(scores: FloatArray) -> FloatArray:
    """Rank [problems, n] of each score in its row, from 1; ties share the mean, NaN stays NaN."""
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    positions = np.broadcast_to(np.arange(1.0, scores.shape[1] + 1), scores.shape)
    ranks = np.full(scores.shape, np.nan)
    np.put_along_axis(ranks, order, mean_over_ties(ordered, positions), axis=1)
    return np.where(np.isnan(scores), np.nan, ranks)
