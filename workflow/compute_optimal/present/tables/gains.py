"""What test-time scaling gains a policy: Table 5's quantities, with paired intervals.

The choice of a strategy per difficulty, and the accuracies with their intervals, are those of the
analysis (rule in_sample of the tables ``choices`` and ``selection``): made on the same problems
that it is scored on, as in the paper. Intervals of the gains resample the problems and keep that
choice, so they do not show its optimism.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from compute_optimal.analyse.statistics.intervals import bootstrap_means, bootstrap_weights
from compute_optimal.analyse.statistics.selection import efficiency_gain
from compute_optimal.present.query import Row
from compute_optimal.present.style import percent
from compute_optimal.present.tables.model import Estimate, Printed, Relation
from compute_optimal.present.tables.printed import unlike

Bounded = tuple[float, Relation]

_RELATIONS: dict[str, Relation] = {"exact": "=", "lower_bound": ">", "upper_bound": "<"}


class _Settings(NamedTuple):
    """The study's own settings of intervals."""

    replicates: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Gains:
    """One policy on one task. Accuracies and the performance gain are in %; None: not run.

    ``chosen`` maps difficulty to methods, several where they tie; ``printed`` a measure to what the
    paper prints for it.
    """

    policy: str
    policy_title: str
    n_parameters: int | None
    prm_title: str | None
    n_problems: int | None
    n_problems_of_task: int | None
    cot: Estimate | None
    majority: Estimate | None
    majority_budget: int | None
    compute_optimal: Estimate | None
    budget: int | None
    performance_gain: Estimate | str | None
    efficiency_gain: Estimate | str | None
    chosen: Mapping[str, Sequence[str]]
    n_tied_prms: int
    printed: Mapping[str, Printed]

    def unlike(self, measure: str) -> str:
        """In what a measure is unlike the one that is printed, in words; empty in nothing."""
        scaled: tuple[Any, ...] = (self.budget, self.prm_title)
        of_measure = {"cot": (), "majority": (self.majority_budget,)}.get(measure, scaled)
        return unlike(self.n_problems, self.n_problems_of_task, *of_measure)

    @property
    def is_tied(self) -> bool:
        """Whether PRMs or methods do equally well."""
        return self.n_tied_prms > 1 or any(len(methods) > 1 for methods in self.chosen.values())


def gains_of(rows: Sequence[Row]) -> Gains:
    """The gains of one (task, policy) from its rows of ``gain_series``."""
    first = rows[0]
    known = [row for row in rows if row["series"] is not None]
    series = {
        name: {row["budget"]: row for row in known if row["series"] == name}
        for name in ("cot", "majority", "compute_optimal")
    }
    cot = series["cot"].get(1)
    majority, optimal = series["majority"], series["compute_optimal"]
    top = optimal[max(optimal)] if optimal else None
    voted = majority[max(majority)] if majority else None
    settings = _Settings(first["replicates"], first["confidence"], first["seed"])
    printed = {
        measure: value
        for measure, text in (first["printed"] or {}).items()
        if (value := Printed.parse(text)) is not None
    }
    return Gains(
        policy=first["policy"],
        policy_title=first["policy_title"],
        n_parameters=first["n_parameters"],
        prm_title=top["prm_title"] if top else None,
        n_problems=max((len(row["problem_ids"]) for row in known), default=None),
        n_problems_of_task=first["n_problems_of_task"],
        cot=_accuracy(cot),
        majority=_accuracy(voted),
        majority_budget=voted["budget"] if voted else None,
        compute_optimal=_accuracy(top),
        budget=top["budget"] if top else None,
        performance_gain=_performance_gain(cot, top, settings) if cot and top else None,
        efficiency_gain=_efficiency_gain(majority, optimal, settings)
        if majority and optimal
        else None,
        chosen=dict(top["chosen"] or {}) if top else {},
        n_tied_prms=top["n_tied_prms"] or 1 if top else 1,
        printed=printed,
    )


def _accuracy(row: Row | None) -> Estimate | None:
    """Mean accuracy in %, with the interval of the analysis."""
    if row is None:
        return None
    value = 100 * float(np.mean(row["accuracies"]))
    return Estimate(value, percent(row["ci_low"]), percent(row["ci_high"]))


def _performance_gain(cot: Row, top: Row, settings: _Settings) -> Estimate | str:
    """(TTS - CoT) / CoT in %, on the problems that both have."""
    pair = _aligned([cot, top])
    before, after = pair.mean(axis=0)
    if before == 0:
        return "undefined (CoT is 0)"
    means = _resampled_means(pair, settings)
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = 100 * (means[:, 1] - means[:, 0]) / means[:, 0]
    # A replicate in which CoT solves nothing is a gain without bound.
    replicates = np.where(np.isnan(gains), np.inf, gains)
    return _estimate(
        (float(100 * (after - before) / before), "="),
        [(float(gain), "=") for gain in replicates],
        settings.confidence,
    )


def _efficiency_gain(
    majority: Mapping[int, Row], optimal: Mapping[int, Row], settings: _Settings
) -> Estimate | str:
    """Samples that majority voting needs for its best accuracy, as a multiple of TTS's."""
    budgets = sorted(majority), sorted(optimal)
    rows = [*(majority[n] for n in budgets[0]), *(optimal[n] for n in budgets[1])]
    values = _aligned(rows)
    split = len(budgets[0])

    if not values[:, :split].any():
        return "undefined (majority is 0)"

    def gain(means: NDArray[np.float64]) -> Bounded:
        efficiency = efficiency_gain(budgets[0], means[:split], budgets[1], means[split:])
        return efficiency.gain, _RELATIONS[efficiency.kind]

    return _estimate(
        gain(values.mean(axis=0)),
        [gain(means) for means in _resampled_means(values, settings)],
        settings.confidence,
    )


def _aligned(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Accuracies [problems, rows] of the problems that all rows have."""
    shared: set[Any] = reduce(set.intersection, (set(row["problem_ids"]) for row in rows))
    of_rows = [dict(zip(row["problem_ids"], row["accuracies"], strict=True)) for row in rows]
    return np.array([[of_row[problem] for of_row in of_rows] for problem in sorted(shared)])


def _resampled_means(values: NDArray[np.float64], settings: _Settings) -> NDArray[np.float64]:
    """Means [replicates, columns] over problems drawn with replacement, shared by all columns."""
    return bootstrap_means(
        values, bootstrap_weights(len(values), settings.replicates, settings.seed)
    )


def _estimate(value: Bounded, replicates: Sequence[Bounded], confidence: float) -> Estimate:
    """Percentile interval whose ends are replicates, so that a bound stays recognisable."""
    ordered = sorted(replicates)
    tail = (1 - confidence) / 2
    low = ordered[int(tail * len(ordered))]
    high = ordered[-1 - int(tail * len(ordered))]
    return Estimate(value[0], low[0], high[0], value[1], low[1], high[1])
