"""Ranks: within problems, and whether two quantities of a handful of things rise together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute_optimal.analyse.statistics.estimators import FloatArray, mean_over_ties

Integers = NDArray[np.int64]

MOST_EXACT = 10
"""Values up to which the p-value of a rank correlation is that of all of their orders."""

_N_RANDOM = 200_000


class RankCorrelation(NamedTuple):
    """Spearman's rho, -1 to 1, and its two-sided p-value under exchangeability."""

    rho: float
    p_value: float


def rank_correlation(x: ArrayLike, y: ArrayLike, seed: int = 0) -> RankCorrelation | None:
    """Spearman's rank correlation of ``x`` and ``y`` [n]; None without spread in either.

    The p-value is the share of the orders of ``y`` (all of them up to n = 10, 200,000 random ones
    beyond) whose rho is as far from 0, on either side: ties make the tails unequal.
    """
    from scipy import stats

    one, two = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len({*one.tolist()}) < 2 or len({*two.tolist()}) < 2:
        return None
    # Of twice the ranks, which are whole numbers where values tie, too.
    first, second = ((2 * stats.rankdata(values)).astype(np.int64) for values in (one, two))
    middle = len(one) * (len(one) + 1) ** 2
    observed = abs(int(first @ second) - middle)
    if len(one) <= MOST_EXACT:
        counts = _orders_by_sum(first, second)
        distances = np.abs(np.arange(len(counts)) - middle)
        p_value = counts[distances >= observed].sum() / counts.sum()
    else:
        orders = np.tile(second, (_N_RANDOM, 1))
        np.random.default_rng(seed).permuted(orders, axis=1, out=orders)
        # The order at hand is one of them.
        p_value = (1 + (np.abs(orders @ first - middle) >= observed).sum()) / (1 + _N_RANDOM)
    return RankCorrelation(float(stats.spearmanr(one, two).statistic), float(p_value))


def _orders_by_sum(first: Integers, second: Integers) -> Integers:
    """How many orders of ``second`` [n] have which sum of products with ``first`` [n], by the sum.

    By the sets of those that stand beside the first few: some thousands of steps, not n! of them.
    """
    n = len(first)
    most = int(np.sort(first) @ np.sort(second))
    counts = np.zeros((1 << n, most + 1), dtype=np.int64)
    counts[0, 0] = 1
    for taken in range(1 << n):
        place = taken.bit_count()
        for j in range(n):
            if not taken >> j & 1:
                product = int(first[place] * second[j])
                counts[taken | 1 << j, product:] += counts[taken, : most + 1 - product]
    of_all: Integers = counts[-1]
    return of_all


def ranks_with_ties(scores: FloatArray) -> FloatArray:
    """Rank [problems, n] of each score in its row, from 1; ties share the mean, NaN stays NaN."""
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    positions = np.broadcast_to(np.arange(1.0, scores.shape[1] + 1), scores.shape)
    ranks = np.full(scores.shape, np.nan)
    np.put_along_axis(ranks, order, mean_over_ties(ordered, positions), axis=1)
    return np.where(np.isnan(scores), np.nan, ranks)
