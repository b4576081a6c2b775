"""Ranks: within problems, and whether two quantities of a handful of things rise together."""

from __future__ import annotations

import itertools
import math
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
    beyond) whose rho is as far from 0. SciPy's two-sided permutation test doubles the smaller tail
    instead, and ties make the tails unequal.
    """
    one, two = _centred_ranks(x), _centred_ranks(y)
    scale = math.sqrt(float(one @ one) * float(two @ two))
    if scale == 0:
        return None
    n = len(two)
    if math.factorial(n) <= _MOST_PERMUTATIONS:
        orders = np.array([*itertools.permutations(range(n))])
    else:
        shuffled = np.tile(np.arange(n), (_MOST_PERMUTATIONS, 1))
        orders = np.random.default_rng(seed).permuted(shuffled, axis=1)
    observed = float(one @ two)
    as_extreme = np.abs(two[orders] @ one) >= abs(observed) - 1e-9
    return RankCorrelation(observed / scale, float(as_extreme.mean()))


def ranks_with_ties(scores: FloatArray) -> FloatArray:
    """Rank [problems, n] of each score in its row, from 1; ties share the mean, NaN stays NaN."""
    order = np.argsort(scores, axis=1)
    ordered = np.take_along_axis(scores, order, axis=1)
    positions = np.broadcast_to(np.arange(1.0, scores.shape[1] + 1), scores.shape)
    ranks = np.full(scores.shape, np.nan)
    np.put_along_axis(ranks, order, mean_over_ties(ordered, positions), axis=1)
    return np.where(np.isnan(scores), np.nan, ranks)


def _centred_ranks(values: ArrayLike) -> FloatArray:
    """Ranks about their mean; equal values share the mean of their ranks."""
    (ranks,) = ranks_with_ties(np.asarray(values, dtype=np.float64)[None])
    centred: FloatArray = ranks - (len(ranks) + 1) / 2
    return centred
