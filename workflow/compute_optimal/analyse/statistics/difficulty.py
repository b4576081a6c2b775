"""Difficulty of a problem for a policy: absolute thresholds on the policy's own Pass@1.

Paper section 3.2. Pass@1 must come from samples that the evaluation does not use: binned on the
evaluated samples, the hard bucket collects unlucky pools and the easy one lucky ones, and both
regress to the mean when the same samples are scored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute_optimal.analyse.statistics.estimators import FloatArray, binomials

BUCKETS = ("easy", "medium", "hard")


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
    true_pass_at_1: ArrayLike, n_samples: int, easy: float = 0.5, medium: float = 0.1
) -> FloatArray:
    """Chances [problems, 3] that problems land in ``BUCKETS`` when Pass@1 has ``n_samples``.

    How far the estimate of difficulty itself can be trusted: the number of correct samples is
    binomial around ``true_pass_at_1`` [problems].
    """
    n_correct = np.arange(n_samples + 1)
    buckets = bucket_of(n_correct / n_samples, easy, medium)
    true = np.asarray(true_pass_at_1, dtype=np.float64)[:, None]
    chances = binomials(n_samples)[-1] * true**n_correct * (1 - true) ** (n_samples - n_correct)
    return np.stack([chances[:, buckets == bucket].sum(axis=1) for bucket in BUCKETS], axis=1)
