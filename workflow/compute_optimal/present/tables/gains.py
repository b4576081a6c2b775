"""What test-time scaling gains a policy: Table 5's quantities, with paired intervals.

The choice of a strategy per difficulty, and the accuracies with their intervals, are those of the
analysis (rule in_sample of the tables ``choices`` and ``selection``): made on the same problems
that it is scored on, as in the paper. Intervals of the gains resample the problems and keep that
choice, so they do not show its optimism.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compute_optimal.analyse.policy_gains import efficiency_gain_of, performance_gain_of
from compute_optimal.analyse.quantities import mean_percent, resampling_of
from compute_optimal.present.query import Row
from compute_optimal.present.style import percent
from compute_optimal.present.tables.model import Estimate, Printed
from compute_optimal.present.tables.printed import is_part, unlike

_UNDEFINED = "undefined ({} is 0)"


@dataclass(frozen=True)
class Gains:
    """One policy on one task. Accuracies and the performance gain are in %, the efficiency gain is
    a ratio of budgets; None: not run, a text: why it is undefined. ``is_adopted``: others ran it.

    Accuracies are at ``majority_budget`` and ``budget``, the largest N. ``chosen`` maps difficulty
    to methods, several where they tie; ``printed`` a measure to what the paper prints for it.
    """

    policy: str
    policy_title: str
    n_parameters: int | None
    is_adopted: bool
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
        """In what a measure (a key of ``printed``) is unlike the printed one, in words; empty if in
        nothing (``printed.unlike``)."""
        scaled: tuple[Any, ...] = (self.budget, self.prm_title)
        of_measure = {"cot": (), "majority": (self.majority_budget,)}.get(measure, scaled)
        return unlike(self.n_problems, self.n_problems_of_task, *of_measure)

    @property
    def is_of_a_part(self) -> bool:
        """Whether it has answered some problems of the task alone."""
        return is_part(self.n_problems, self.n_problems_of_task)

    @property
    def is_tied(self) -> bool:
        """Whether PRMs or methods do equally well."""
        return self.n_tied_prms > 1 or any(len(methods) > 1 for methods in self.chosen.values())


def gains_of(rows: Sequence[Row]) -> Gains:
    """The gains of one (task, policy) from its rows of ``gain_series`` (macros.sql), one or
    more."""
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
    resampling = resampling_of(first)
    printed = {
        measure: value
        for measure, text in (first["printed"] or {}).items()
        if (value := Printed.parse(text)) is not None
    }
    return Gains(
        policy=first["policy"],
        policy_title=first["policy_title"],
        n_parameters=first["n_parameters"],
        is_adopted=first["origin"] == "adopted",
        prm_title=top["prm_title"] if top else None,
        n_problems=max((len(row["problem_ids"]) for row in known), default=None),
        n_problems_of_task=first["n_problems_of_task"],
        cot=_accuracy(cot),
        majority=_accuracy(voted),
        majority_budget=voted["budget"] if voted else None,
        compute_optimal=_accuracy(top),
        budget=top["budget"] if top else None,
        performance_gain=performance_gain_of(cot, top, resampling) or _UNDEFINED.format("CoT")
        if cot and top
        else None,
        efficiency_gain=efficiency_gain_of(majority, optimal, resampling)
        or _UNDEFINED.format("majority")
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
    value = mean_percent(row["accuracies"])
    return Estimate(value, percent(row["ci_low"]), percent(row["ci_high"]))
