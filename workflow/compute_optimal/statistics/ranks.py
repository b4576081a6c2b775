"""Whether two quantities of a handful of things, such as PRMs, rise together."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from compute_optimal.statistics.estimators import FloatArray

_MOST_PERMUTATIONS = 50_000


class RankCorrelation(NamedTuple):
    """Spearman's rho, -1 to 1, and its two-sided p-value under exchangeability."""

    rho: float
    p_value: float


def rank_correlation(x: ArrayLike, y: ArrayLike, seed: int = 0) -> RankCorrelation | None:
    """Spearman's rank correlation of ``x`` and ``y`` [n]; None without spread in either.

    The p-value counts all orders of ``y`` up to n = 8, and as many random ones beyond.
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


def _centred_ranks(values: ArrayLike) -> FloatArray:
    """Ranks about their mean; equal values share the mean of their ranks."""
    value = np.asarray(values, dtype=np.float64)
    below = (value[:, None] > value).sum(axis=1)
    up_to = (value[:, None] >= value).sum(axis=1)
    ranks: FloatArray = (below + up_to) / 2 - len(value) / 2
    return ranks
