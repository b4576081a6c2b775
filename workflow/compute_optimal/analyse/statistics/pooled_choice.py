"""One choice for several that could each have their own: what it loses on held-out problems.

Whoever may not tell two policies, PRMs or difficulties apart chooses for all of them together. What
that gives is compared, on problems that did not choose, with what each one's own choice gives.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from compute_optimal.analyse.statistics.estimators import EQUALLY_GOOD, FloatArray, IntArray
from compute_optimal.analyse.statistics.prediction import LEAST_TRAINED, HeldOut, Splits


def choose_together(
    outcomes: ArrayLike, groups: ArrayLike, pools: ArrayLike, splits: Splits
) -> HeldOut:
    """The strategy that does best on the training problems of a group, for a whole pool at once.

    ``outcomes`` [choosers, strategies, problems], without NaN; ``groups`` [choosers, problems]:
    numbers from 0 of the groups that each chooser sorts the problems into; ``pools`` [choosers]:
    numbers from 0, choosers of one number choose together, by the sum of their outcomes. Strategies
    that are equally good share. Where fewer than ``LEAST_TRAINED`` problems train for a group, the
    pool takes what does best on all of them. Raises ``ValueError`` for arrays of other shapes.
    """
    outcome = np.asarray(outcomes, dtype=np.float64)
    group = np.asarray(groups, dtype=np.int64)
    pool: IntArray = np.asarray(pools, dtype=np.int64)
    n_choosers, n_strategies, n_problems = outcome.shape
    if group.shape != (n_choosers, n_problems) or pool.shape != (n_choosers,):
        raise ValueError(
            f"groups {group.shape} must be [choosers, problems] and pools {pool.shape} [choosers] "
            f"of outcomes {outcome.shape}"
        )
    belongs = np.eye(int(pool.max(initial=0)) + 1)[pool]
    n_sample, shape = splits.n_of_sample, (len(splits.train), n_choosers, n_strategies)

    def summed(weights: FloatArray, values: FloatArray) -> FloatArray:
        """[splits, choosers, strategies]"""
        sums: FloatArray = (weights @ values.reshape(-1, n_problems).T).reshape(shape)
        return sums

    def of_pools(sums: FloatArray) -> FloatArray:
        """[splits, pools, strategies]"""
        total: FloatArray = belongs.T @ sums
        return total

    on_all = of_pools(summed(splits.train, outcome))
    gained = np.zeros((len(splits.train), n_choosers))
    share, once = np.zeros((2, *outcome.shape))
    for number in range(int(group.max(initial=0)) + 1):
        inside = (group == number).astype(np.float64)
        taken = outcome * inside[:, None]
        # A problem of several choosers is one problem.
        trained = splits.train @ (belongs.T @ inside > 0).T
        sums = np.where(
            trained[:, :, None] < LEAST_TRAINED, on_all, of_pools(summed(splits.train, taken))
        )
        leads = sums >= sums.max(axis=2, keepdims=True) - EQUALLY_GOOD
        choice = (leads / leads.sum(axis=2, keepdims=True))[:, pool]
        gained += (choice * summed(splits.held_out, taken)).sum(axis=2)
        held_out = splits.held_out[:n_sample]
        each = choice[:n_sample].transpose(1, 2, 0)
        share += each @ held_out / splits.repeats * inside[:, None]
        once += each[:, :, : splits.folds] @ held_out[: splits.folds] * inside[:, None]
    n_drawn = splits.held_out[n_sample:].sum(axis=1).reshape(-1, splits.folds).sum(axis=1)
    of_replicates = gained[n_sample:].reshape(-1, splits.folds, n_choosers).sum(axis=1)
    return HeldOut(
        # Fifths of a problem, one a repeat, add up to 1 but for rounding.
        np.minimum((share * outcome).sum(axis=1), 1.0),
        (once * outcome).sum(axis=1),
        share,
        of_replicates / n_drawn[:, None],
        np.zeros((0, *share.shape)),
        np.zeros((0, n_choosers, n_problems)),
    )
