"""Difficulty of a problem for a policy: absolute thresholds on the policy's own Pass@1.

Paper section 3.2. Pass@1 must come from samples that the evaluation does not use: binned on the
evaluated samples, the hard bucket collects unlucky pools and the easy one lucky ones, and both
regress to the mean when the same samples are scored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute_optimal.analyse.statistics.estimators import FloatArray
from compute_optimal.analyse.statistics.intervals import unseen_limits
from compute_optimal.study.buckets import BUCKETS

_EQUAL = 1e-4
"""A variance that is as good as none: outcomes that are all equal count as all or nothing."""

LEAST_EXPECTED = 2.0
"""ASSUME: a bucket that expects fewer problems says nothing."""


def bucket_of(pass_at_1: ArrayLike, easy: float = 0.5, medium: float = 0.1) -> NDArray[np.str_]:
    """The bucket of each Pass@1 (a fraction, any shape): "easy", "medium" or "hard".

    Lower ends are closed: easy from ``easy`` up, medium from ``medium`` up, hard below. A NaN
    (no samples) is "unknown", which belongs to no bucket. Raises ``ValueError`` unless
    0 < medium < easy <= 1.
    """
    if not 0 < medium < easy <= 1:
        raise ValueError(f"thresholds must satisfy 0 < medium < easy <= 1: {medium}, {easy}")
    values = np.asarray(pass_at_1, dtype=np.float64)
    # ASSUME: the paper does not say which ends are closed; the lower ones are.
    conditions = [values >= easy, values >= medium, values < medium]
    return np.select(conditions, BUCKETS, default="unknown")


def bucket_probabilities(
    n_correct: ArrayLike, n_samples: ArrayLike, easy: float = 0.5, medium: float = 0.1
) -> FloatArray:
    """Chances [problems, 3] that the true Pass@1 of problems lies in each of ``BUCKETS``.

    ``n_correct`` of ``n_samples`` [problems] were right, and no more is known: before them every
    Pass@1 was as likely as any other. How far difficulty from few samples can be trusted.
    """
    # ASSUME: a uniform prior. One fitted to all problems would be sharper, and would have a
    # problem's bucket depend on which others the task has.
    from scipy import special

    correct, samples = np.asarray(n_correct, np.int64), np.asarray(n_samples, np.int64)
    # Of n + 1 numbers drawn uniformly, the (c + 1)-th smallest has the distribution of Pass@1 given
    # c of n: the beta distribution of c + 1 and n - c + 1.
    thresholds = np.array([medium, easy])
    below = special.betainc(correct[:, None] + 1, (samples - correct)[:, None] + 1, thresholds)
    return np.stack([1 - below[:, 1], below[:, 1] - below[:, 0], below[:, 0]], axis=1)


def means_in_buckets(
    values: ArrayLike, chances: ArrayLike, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means of ``values`` [problems, columns] in each of ``BUCKETS``, with limits: [3, columns].

    A problem counts in each bucket by its chance of being in it, ``chances`` [problems, 3], so that
    the few of which nobody knows do not move a whole bucket. The values must be known where the
    chances come from (given what was seen of a problem, both are numbers): then the mean is right
    on average, as that of problems sorted by a noisy difficulty is not. NaN values are left out,
    and buckets that expect less than two problems have no mean.

    The interval is that of a ratio of means (Cochran 1977, section 2.11), with Student's t for as
    many problems as the chances add up to, and no narrower than unseen problems leave possible:
    as far off as ``unseen_limits`` where outcomes are all or nothing, and less by as much as the
    variance of those that were seen is below what it then would be.
    """
    from scipy import special

    value, chance = np.asarray(values, dtype=np.float64), np.asarray(chances, dtype=np.float64)
    known = ~np.isnan(value)
    filled = np.where(known, value, 0.0)
    total = chance.T @ known
    enough = total >= LEAST_EXPECTED
    mean = np.divide(chance.T @ filled, total, out=np.full(total.shape, np.nan), where=enough)
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    for bucket in range(chance.shape[1]):
        away = np.where(known, chance[:, bucket, None] * (value - mean[bucket]), 0.0)
        n = np.maximum(total[bucket], LEAST_EXPECTED)
        error = np.sqrt((away**2).sum(axis=0) * n / (n - 1)) / n
        # Most columns have the same problems, but for the rounding of their sums.
        degrees, places = np.unique(np.round(n - 1, 9), return_inverse=True)
        t = special.stdtrit(degrees, 0.5 + confidence / 2)[places]
        variance = chance[:, bucket] @ np.where(known, (value - mean[bucket]) ** 2, 0.0) / n
        largest = mean[bucket] * (1 - mean[bucket])
        extremity = np.minimum((variance + _EQUAL) / (largest + _EQUAL), 1.0)
        least, most = unseen_limits(mean[bucket], n, confidence)
        below = np.maximum(t * error, extremity * (mean[bucket] - least))
        above = np.maximum(t * error, extremity * (most - mean[bucket]))
        low[bucket] = np.maximum(mean[bucket] - below, 0.0)
        high[bucket] = np.minimum(mean[bucket] + above, 1.0)
    return mean, low, high
