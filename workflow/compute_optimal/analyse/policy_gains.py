"""What test-time scaling gains a policy: Table 5's two gains, with paired intervals. The efficiency
gain is defined in the authors' answer in issue 11 of their repository.

Intervals resample the problems and keep the choice of a strategy, so they do not show its optimism.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from compute_optimal.analyse.differences import MOST_POINTS, Resampling, are_equal, limits
from compute_optimal.analyse.quantities import Estimate, Relation, Row
from compute_optimal.analyse.statistics.estimators import FloatArray
from compute_optimal.analyse.statistics.intervals import (
    bootstrap_means,
    bootstrap_weights,
    expanded_tail,
)
from compute_optimal.analyse.statistics.selection import efficiency_gain

_Bounded = tuple[float, Relation]

_RELATIONS: dict[str, Relation] = {"exact": "=", "lower_bound": ">", "upper_bound": "<"}


def performance_gain_of(cot: Row, optimal: Row, resampling: Resampling) -> Estimate | None:
    """(compute-optimal - CoT) / CoT in %, on the problems that both have; None where CoT is 0.

    Rows have ``problem_ids`` and ``accuracies`` (0 to 1), lists of one order.
    """
    pair = _aligned([cot, optimal])
    before, after = pair.mean(axis=0)
    if before == 0:
        return None
    means = _resampled_means(pair, resampling)
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = 100 * (means[:, 1] - means[:, 0]) / means[:, 0]
    # A replicate in which CoT solves nothing is a gain without bound.
    replicates = np.where(np.isnan(gains), np.inf, gains)
    gain = float(100 * (after - before) / before)
    reach = MOST_POINTS / before
    if np.isfinite(replicates).all() and are_equal(replicates, reach):
        (low,), (high,) = limits(
            np.array([gain]), replicates[:, None], [len(pair)], resampling.confidence, reach=reach
        )
        return Estimate(gain, float(low), float(high))
    return _estimate(
        (gain, "="),
        [(float(one), "=") for one in replicates],
        len(pair),
        resampling.confidence,
    )


def efficiency_gain_of(
    majority: Mapping[int, Row], optimal: Mapping[int, Row], resampling: Resampling
) -> Estimate | None:
    """Samples that majority voting needs for its best accuracy, as a multiple of those that
    compute-optimal scaling needs for the same; None where majority voting solves nothing.

    Both are rows by budget, with ``problem_ids`` and ``accuracies``.
    """
    budgets = sorted(majority), sorted(optimal)
    rows = [*(majority[n] for n in budgets[0]), *(optimal[n] for n in budgets[1])]
    values = _aligned(rows)
    split = len(budgets[0])
    if not values[:, :split].any():
        return None

    def gain(means: FloatArray) -> _Bounded:
        efficiency = efficiency_gain(budgets[0], means[:split], budgets[1], means[split:])
        return efficiency.gain, _RELATIONS[efficiency.kind]

    return _estimate(
        gain(values.mean(axis=0)),
        [gain(means) for means in _resampled_means(values, resampling)],
        len(values),
        resampling.confidence,
    )


def _aligned(rows: Sequence[Row]) -> FloatArray:
    """Accuracies [problems, rows] of the problems that all rows have."""
    shared: set[Any] = reduce(set.intersection, (set(row["problem_ids"]) for row in rows))
    of_rows = [dict(zip(row["problem_ids"], row["accuracies"], strict=True)) for row in rows]
    return np.array([[of_row[problem] for of_row in of_rows] for problem in sorted(shared)])


def _resampled_means(values: FloatArray, resampling: Resampling) -> FloatArray:
    """Means [replicates, columns] over problems drawn with replacement, shared by all columns."""
    return bootstrap_means(
        values, bootstrap_weights(len(values), resampling.replicates, resampling.seed)
    )


def _estimate(
    value: _Bounded, replicates: Sequence[_Bounded], n_problems: int, confidence: float
) -> Estimate:
    """Percentile interval, widened for few problems as all are (``expanded_tail``), whose ends are
    replicates, not interpolated: so a bound stays recognisable, and infinity has no middle."""
    ordered = sorted(replicates)
    tail = int(expanded_tail(n_problems, confidence) * (len(ordered) - 1))
    low, high = ordered[tail], ordered[-1 - tail]
    return Estimate(value[0], low[0], high[0], value[1], low[1], high[1])
