"""Difficulty of a problem for a policy: absolute thresholds on the policy's own Pass@1.

Paper section 3.2. Pass@1 must come from samples that the evaluation does not use: binned on the
evaluated samples, the hard bucket collects unlucky pools and the easy one lucky ones, and both
regress to the mean when the same samples are scored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute_optimal.analyse.statistics.estimators import FloatArray

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
    n_correct: ArrayLike, n_samples: ArrayLike, easy: float = 0.5, medium: float = 0.1
) -> FloatArray:
    """Chances [problems, 3] that the true Pass@1 of problems lies in each of ``BUCKETS``.

    ``n_correct`` of ``n_samples`` [problems] were right, and no more is known: before them every
    Pass@1 was as likely as any other. How far difficulty from few samples can be trusted.
    """
    # ASSUME: a uniform prior. One fitted to all problems would be sharper, and would have a
    # problem's bucket depend on which others the task has.
    pairs = np.stack([np.asarray(n_correct, np.int64), np.asarray(n_samples, np.int64)])
    different, places = np.unique(pairs, axis=1, return_inverse=True)
    below = np.array([[_below(x, c, n) for x in (medium, easy)] for c, n in different.T.tolist()])
    below = below.reshape(-1, 2)[places.reshape(-1)]
    return np.stack([1 - below[:, 1], below[:, 1] - below[:, 0], below[:, 0]], axis=1)


def _below(share: float, n_correct: int, n_samples: int) -> float:
    """The beta distribution's share below ``share``, as a tail of the binomial one.

    Of n + 1 numbers drawn uniformly, the (c + 1)-th smallest has the distribution of Pass@1 given c
    of n; it lies below where more than c of them do.
    """
    if share >= 1:
        return 1.0
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n_samples + 2)))])
    k = np.arange(n_correct + 1, n_samples + 2)
    choices = logs[-1] - logs[k] - logs[n_samples + 1 - k]
    chances = np.exp(choices + k * np.log(share) + (n_samples + 1 - k) * np.log1p(-share))
    return min(1.0, float(chances.sum()))
