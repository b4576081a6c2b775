"""Rules that turn scores and votes into an answer, against majority voting (as in Table 2)."""

from __future__ import annotations

from collections.abc import Sequence

from compute_optimal.analyse.quantities import compared
from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import Cell, Column, Table, percent_of

_WORDS = {
    "prm_min": "Min", "prm_last": "Last", "prm_avg": "Avg", "prm_max": "Max", "prm_vote": "Vote",
}  # fmt: skip


def against_majority(rows: Sequence[Row], title: str) -> Table:
    """A row per policy, PRM, N and rule: its accuracy, and its paired difference from majority
    voting at the same N."""
    columns = [
        Column("policy", "Policy"),
        Column("prm", "PRM"),
        Column("collection", "Collection"),
        Column("budget_samples", "N", "number", 0),
        Column("rule", "Rule"),
        Column("accuracy_percent", "Accuracy (%)", "estimate"),
        Column("difference_points", "Minus majority (points)", "estimate"),
        Column("monte_carlo_error_points", "Monte-Carlo error (points)", "number", 2),
        Column("n_problems", "Problems", "number", 0),
    ]
    body: list[list[Cell]] = []
    for row in rows:
        is_majority = row["rule"] == "majority"
        error: Cell = "exact"
        if row["monte_carlo_error"] is not None:
            error = 100 * row["monte_carlo_error"]
        body.append(
            [
                row["policy_title"],
                row["prm_title"],
                row["collection"],
                row["budget"],
                "Majority" if is_majority else "-".join(_WORDS[x] for x in row["rule"].split(" ")),
                percent_of(row),
                "reference" if is_majority else compared(row).difference,
                error,
                row["n_problems"],
            ]
        )
    notes = [
        "Min, Last and Avg score a solution by its lowest, last or mean step; Max takes the answer "
        "of the best-scored solution, Vote the answer whose solutions score most in sum. In "
        "brackets: intervals over problems; differences are paired by problem. Accuracies are "
        "expected values over all subsets of N of a policy's samples; where there are too many for "
        "Vote, over random ones, and the Monte-Carlo error says how far that may be off."
    ]
    return Table(title, columns, body, notes)
