"""Difficulty that is predicted, and budgets that end early, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from compute_optimal.analyse.quantities import compared_on_one_task, mean_percent
from compute_optimal.present.query import Row
from compute_optimal.present.style import fixed
from compute_optimal.present.tables.model import (
    NOT_APPLICABLE,
    Cell,
    Column,
    Estimate,
    Table,
    percent_of,
)

_AGAINST = {
    "true_difficulty": "true difficulty",
    "one_strategy": "one strategy for all",
    "majority": "majority voting",
}
_RULES = {
    "fixed": "all N",
    "certain": "until certain",
    "confident": "until one answer leads with 95%",
    "threshold": "until a score is high enough",
}


def gaps(rows: Sequence[Row]) -> list[tuple[Row, Estimate]]:
    """Each row of ``predicted_difficulty`` that compares something, with its difference in points,
    paired over problems."""
    comparing = [row for row in rows if row["against"] is not None]
    return [*zip(comparing, compared_on_one_task(comparing), strict=True)]


def predicted(rows: Sequence[Row], title: str) -> Table:
    """A row per policy, PRM, N and other way to choose; policies that lack something say what."""
    columns = [
        Column("policy", "Policy"),
        Column("prm", "PRM"),
        Column("budget_samples", "N", "number", 0),
        Column("right_bucket_percent", "Right difficulty (%)", "number"),
        Column("without_prm_percent", "by answers alone (%)", "number"),
        Column("accuracy_percent", "Accuracy by predicted difficulty (%)", "number"),
        Column("cost_samples", "Cost (N)", "number"),
        Column("against", "Against"),
        Column("other_percent", "Its accuracy (%)", "number"),
        Column("other_cost_samples", "Its cost (N)", "number"),
        Column("difference_points", "Difference (points)", "estimate"),
        Column("n_problems", "Problems", "number", 0),
    ]
    body: list[list[Cell]] = []
    for row, difference in gaps(rows):
        n = len(row["problem_ids"])
        body.append(
            [
                row["policy_title"],
                row["prm_title"],
                row["budget"],
                100 * row["right_bucket"],
                _percent(row["right_without"]),
                mean_percent(row["value"]),
                row["samples"],
                _AGAINST[row["against"]],
                mean_percent(row["reference"]),
                row["other_samples"],
                difference,
                n,
            ]
        )
    for row in rows:
        if row["reason"] is not None:
            right = _percent(row["right_without"])
            nothing = [NOT_APPLICABLE] * 4
            body.append(
                [row["policy_title"], *nothing[:3], right, *nothing[:2], row["reason"], *nothing]
            )
    notes = [
        "Difficulty is predicted from the first samples, which count: they are among the N of "
        "majority voting and best-of-N, and a search costs them in addition. The prediction, and "
        "what a difficulty is given, are fitted on other problems, as are the two ways to choose "
        "that it is compared to. In brackets: intervals over problems, paired, that allow "
        "for fitting and choosing on other problems."
    ]
    return Table(title, columns, body, notes)


def stopping(rows: Sequence[Row], title: str) -> Table:
    """A row per policy, method, PRM, N and rule to stop drawing."""
    columns = [
        Column("policy", "Policy"),
        Column("method", "Method"),
        Column("prm", "PRM"),
        Column("budget_samples", "N at most", "number", 0),
        Column("rule", "Draws"),
        Column("accuracy_percent", "Accuracy (%)", "estimate"),
        Column("samples", "Samples drawn", "estimate"),
        Column("chosen_samples", "Samples, chosen again"),
        Column("saved_percent", "Saved (%)", "estimate"),
        Column("change_points", "Minus all N (points)", "estimate"),
        Column("monte_carlo_error_samples", "Monte-Carlo error (samples)", "number", 3),
        Column("n_problems", "Problems", "number", 0),
    ]
    body: list[list[Cell]] = []
    for row in rows:
        drawn = [row[name] for name in ("samples", "samples_low", "samples_high")]
        saved, most, least = (100 * (1 - samples / row["budget"]) for samples in drawn)
        change = [100 * row[name] for name in ("change", "change_low", "change_high")]
        is_fixed = row["rule"] == "fixed"
        body.append(
            [
                row["policy_title"],
                "majority voting" if row["method"] == "majority" else "best-of-N",
                row["prm_title"] or NOT_APPLICABLE,
                row["budget"],
                _RULES[row["rule"]],
                percent_of(row),
                row["budget"] if is_fixed else Estimate(*drawn),
                _chosen_again(row),
                NOT_APPLICABLE if is_fixed else Estimate(saved, least, most),
                "reference" if is_fixed else Estimate(*change),
                row["monte_carlo_error"],
                row["n_problems"],
            ]
        )
    notes = [
        "Until certain: no answer can reach the leading one any more, so the answer is that of all "
        "N. Until one answer leads with 95%: the chance that of the two answers ahead it is the "
        "more frequent one. Until a score is high enough: a threshold that other problems chose, "
        "the one that draws the fewest samples there and loses no more than half a point. Over all "
        "orders of the pool, of majority voting over random ones. In brackets: intervals over "
        "problems; where thresholds were chosen, of those. Samples, chosen again: where resampled "
        "problems choose thresholds again, as many of the resamplings draw so many."
    ]
    return Table(title, columns, body, notes)


def _chosen_again(row: Row) -> Cell:
    low, high = row["chosen_low"], row["chosen_high"]
    return NOT_APPLICABLE if low is None else f"{fixed(low)} to {fixed(high)}"


def _percent(share: float | None) -> Cell:
    return NOT_APPLICABLE if share is None else 100 * share
