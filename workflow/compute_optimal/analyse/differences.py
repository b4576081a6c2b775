"""Differences between two ways to answer the same problems, with their paired intervals.

The verdicts and the tables of comparisons ask for them here, so a number has one interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute_optimal.analyse.statistics.estimators import FloatArray as FloatArray
from compute_optimal.analyse.statistics.intervals import (
    bootstrap_means,
    bootstrap_weights,
    percentile_interval,
)
from compute_optimal.study.spec import seed_for

ROUNDING = 1e-9
"""Points up to which a spread is rounding and no uncertainty, and a difference none."""

UNSEEN_SPREAD = 0.001
"""Spread up to which replicates are as good as equal, as a share of how far the value reaches: of a
difference of accuracies 0.1 points, and tables print no smaller ones. A policy whose majority is
right in one of 10^9 draws leaves as much to problems that were not seen as one whose majority never
is."""

LEAST_PROBLEMS = 10
"""ASSUME: problems that the gain of a PRM needs, for intervals over fewer are far too short."""

MOST_POINTS = 100.0
"""No two accuracies differ by more percentage points."""


class Resampling(NamedTuple):
    """The study's settings of intervals (table ``settings``); ``confidence`` is 0 to 1."""

    replicates: int
    confidence: float
    seed: int


def differences(
    rows: Sequence[Mapping[str, Any]], resampling: Resampling, *, relative: bool
) -> tuple[FloatArray, FloatArray]:
    """Mean difference of every case [cases], and its replicates [replicates, cases].

    ``rows``, one a case: task, and lists of one order with problem_ids, value and reference (0 to
    1). Cases of one task share the resampled problems, so they and their differences are paired;
    with ``problems_of_task``, all of its problems, these are resampled whichever of them a case is
    about, so its interval does not depend on the cases beside it.
    Differences are in percentage points or, ``relative``, in % of the reference. What was chosen on
    these problems varies further than its resampled mean, for that keeps the choice: ``widening``
    says how much further the value does; ``choice_deviations`` are how the difference of two that
    both were chosen moves (-1 to 1) in resamplings that choose again, the same of all rows of a
    task, so what is chosen alike moves together.
    """
    problems: dict[str, list[str]] = {}
    for row in rows:
        of_task = problems.setdefault(row["task"], [])
        of_task.extend([*(row.get("problems_of_task") or ()), *row["problem_ids"]])
    index = {
        task: {name: i for i, name in enumerate(dict.fromkeys(ids))}
        for task, ids in problems.items()
    }
    weights = {
        task: bootstrap_weights(
            len(names), resampling.replicates, seed_for("claims", resampling.seed, task)
        )
        for task, names in index.items()
    }
    estimates, replicates = [], []
    for row in rows:
        columns = [index[row["task"]][name] for name in row["problem_ids"]]
        pair = np.array([row["value"], row["reference"]], dtype=np.float64).T
        all_weights = np.vstack([np.ones(len(columns)), weights[row["task"]][:, columns]])
        value, reference = bootstrap_means(pair, all_weights).T
        if row.get("widening"):
            value = np.clip(value[0] + row["widening"] * (value - value[0]), 0.0, 1.0)
        difference = 100 * (value - reference)
        if row.get("choice_deviations"):
            moves = np.array(row["choice_deviations"])
            normal = _normal(len(moves), row["task"], resampling)
            difference[1:] += 100 * normal @ moves / np.sqrt(max(len(moves) - 1, 1))
        if relative:
            with np.errstate(divide="ignore", invalid="ignore"):
                difference = difference / reference
        estimates.append(difference[0])
        replicates.append(difference[1:])
    return np.array(estimates), np.array(replicates).T


@lru_cache(maxsize=8)
def _normal(n: int, task: str, resampling: Resampling) -> FloatArray:
    """Standard normal numbers [replicates, n], the same for all rows of a task.

    Sums of ``n`` deviations times these are normal, with the variances of the deviations and the
    covariances of those of different rows, however few resamplings moved at all.
    """
    random = np.random.default_rng(seed_for("choice", resampling.seed, task))
    values: FloatArray = random.standard_normal((resampling.replicates, n))
    return values


def reaches(rows: Sequence[Mapping[str, Any]], *, relative: bool) -> FloatArray:
    """How far each case's difference moves where the values of all problems do, from none right to
    all [cases]: by 100 points, and in % of a reference by as much more as that is smaller. In % of
    nothing there is no difference, and the 100 stand."""
    means = np.array([np.mean(row["reference"]) if relative else 1.0 for row in rows])
    farthest: FloatArray = MOST_POINTS / np.where(means > 0, means, 1.0)
    return farthest


def are_equal(replicates: FloatArray, reach: ArrayLike = MOST_POINTS) -> NDArray[np.bool_]:
    """Whether replicates [replicates, ...] of what ``reach`` says hardly differ
    (``UNSEEN_SPREAD``)."""
    equal: NDArray[np.bool_] = np.ptp(replicates, axis=0) < UNSEEN_SPREAD * np.asarray(reach)
    return equal


def limits(
    estimates: FloatArray,
    replicates: FloatArray,
    n_problems: Sequence[int],
    confidence: float,
    most: float = np.inf,
    reach: ArrayLike = MOST_POINTS,
) -> tuple[FloatArray, FloatArray]:
    """Limits [columns] of an interval from replicates [replicates, columns].

    ``estimates`` [columns] and replicates are in points or in %; ``most``: what no value exceeds,
    on either side of 0 (``MOST_POINTS``); ``reach`` [columns]: how far one moves where the values
    of all problems do (``reaches``; of a weighted sum of cases, that of its weights' sizes).

    Where replicates hardly differ (``are_equal``) the bootstrap knows no uncertainty. There the
    limits allow for the largest share of unseen problems that n equal ones leave possible, each off
    by all that it can be.
    """
    finite = np.where(np.isfinite(replicates), replicates, np.nan)
    low, high = percentile_interval(finite, n_problems, confidence)
    flat = are_equal(np.nan_to_num(finite), reach)
    unseen = np.asarray(reach) * (1 - ((1 - confidence) / 2) ** (1 / np.asarray(n_problems)))
    ends = np.where(flat, estimates - unseen, low), np.where(flat, estimates + unseen, high)
    return np.clip(ends[0], -most, most), np.clip(ends[1], -most, most)
