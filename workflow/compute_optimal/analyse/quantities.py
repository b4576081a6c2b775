"""Numbers with their intervals, of rows that a query finds by the reader's choice.

Figures and tables may be asked for by another task, score or vote than the study's own, so these
numbers are in no table of the database. Accuracies are fractions, an entry a problem, in lists of
the same order; what is said of them is in percent, and of differences in percentage points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from compute_optimal.analyse.differences import MOST_POINTS, Resampling, differences, limits
from compute_optimal.analyse.statistics.estimators import FloatArray
from compute_optimal.analyse.statistics.intervals import (
    Interval,
    bootstrap_weights,
    difference_interval,
    mean_interval,
    wilson_interval,
)

Row = Mapping[str, Any]
Relation = Literal["=", ">", "<"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval; the unit is the caller's. A relation other than = says that the
    value or an end is only a bound."""

    value: float
    low: float | None = None
    high: float | None = None
    relation: Relation = "="
    low_relation: Relation = "="
    high_relation: Relation = "="

    @property
    def ends(self) -> tuple[float, float]:
        """Of the interval; the value itself where an end is unknown."""
        low, high = self.low, self.high
        return self.value if low is None else low, self.value if high is None else high


@dataclass(frozen=True, slots=True)
class Comparison:
    """A difference of accuracies in points, paired over ``n_problems``, and the two accuracies in
    %; None where there are no problems."""

    difference: Estimate | None
    value: float | None
    reference: float | None
    n_problems: int


def resampling_of(row: Row) -> Resampling:
    """The study's settings of intervals, which a row carries."""
    return Resampling(row["replicates"], row["confidence"], row["seed"])


def mean_percent(accuracies: Sequence[float]) -> float:
    """Mean over problems in %, without an interval."""
    return 100 * float(np.mean(accuracies))


def mean_accuracy(accuracies: Sequence[float | None], resampling: Resampling) -> Estimate:
    """Mean in % over all problems of a task, which are in the order of their names.

    None for problems that it does not count: these are resampled with the others, as everywhere.
    """
    weights = bootstrap_weights(len(accuracies), resampling.replicates, resampling.seed)
    return _in_percent(mean_interval(_column(accuracies), weights, resampling.confidence))


def mean_difference(
    accuracies: Sequence[float | None],
    reference: Sequence[float | None],
    resampling: Resampling,
) -> Estimate:
    """Mean of ``accuracies`` minus ``reference``, paired by problem, in points; as
    ``mean_accuracy``."""
    weights = bootstrap_weights(len(accuracies), resampling.replicates, resampling.seed)
    pair = _column(accuracies), _column(reference)
    return _in_percent(difference_interval(*pair, weights, resampling.confidence))


def share(n_successes: int, n_trials: int, confidence: float) -> Estimate:
    """A share of single outcomes in %, with Wilson's interval."""
    low, high = wilson_interval(n_successes, n_trials, confidence)
    return Estimate(100 * n_successes / n_trials, 100 * low, 100 * high)


def margin(standard_error: float, confidence: float) -> float:
    """Half the interval of a normal distribution, in the unit of its standard error."""
    return NormalDist().inv_cdf(0.5 + confidence / 2) * standard_error


def compared(row: Row) -> Comparison:
    """Mean of ``value`` minus ``reference`` (lists, 0 to 1) over a row's ``problem_ids``, with the
    interval of the verdicts."""
    return _comparisons(row, [[*range(len(row["problem_ids"]))]])[0]


def compared_both_ways(row: Row) -> tuple[Comparison, Comparison]:
    """``compared`` on all problems, and on those where ``has_answer`` (a list) is true."""
    answered = [i for i, has_answer in enumerate(row["has_answer"]) if has_answer]
    on_all, on_answered = _comparisons(row, [[*range(len(row["problem_ids"]))], answered])
    return on_all, on_answered


def compared_on_one_task(rows: Sequence[Row]) -> list[Estimate]:
    """Mean of ``value`` minus ``reference`` of each row, in points; rows share the resampled
    problems of their task, which are those of the verdicts."""
    return _differences(rows, resampling_of(rows[0])) if rows else []


def _comparisons(row: Row, parts: Sequence[Sequence[int]]) -> list[Comparison]:
    """One for each part of the problems; they share the resampled problems."""
    shared: dict[str, Any] = {"task": row["task"]}
    shared |= {name: row.get(name) for name in ("problems_of_task", "widening")}
    lists = ("problem_ids", "value", "reference")
    cases = [{**shared, **{name: [row[name][i] for i in part] for name in lists}} for part in parts]
    known = [case for case in cases if case["problem_ids"]]
    estimates = iter(_differences(known, resampling_of(row)))
    return [
        Comparison(
            next(estimates),
            mean_percent(case["value"]),
            mean_percent(case["reference"]),
            len(case["problem_ids"]),
        )
        if case["problem_ids"]
        else Comparison(None, None, None, 0)
        for case in cases
    ]


def _differences(cases: Sequence[Row], resampling: Resampling) -> list[Estimate]:
    means, replicates = differences(cases, resampling, relative=False)
    sizes = [len(case["problem_ids"]) for case in cases]
    low, high = limits(means, replicates, sizes, resampling.confidence, MOST_POINTS)
    return [*map(Estimate, means.tolist(), low.tolist(), high.tolist())]


def _column(values: Sequence[float | None]) -> FloatArray:
    return np.array(values, dtype=np.float64)[:, None]


def _in_percent(interval: Interval) -> Estimate:
    value, low, high = (100 * float(ends[0]) for ends in interval[:3])
    return Estimate(value, low, high)
