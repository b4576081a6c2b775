"""What PRMs get right and wrong, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import Cell, Column, Estimate, Table

_SHARES = {
    "f1": "F1 (%)",
    "error_accuracy": "First error found (%)",
    "correct_accuracy": "Right solutions accepted (%)",
    "over_criticism": "Right steps flagged (%)",
    "error_neglect": "First errors not flagged (%)",
    "flagged_early": "Flagged too early (%)",
    "flagged_late": "Flagged too late (%)",
    "unflagged": "Wrong, nothing flagged (%)",
}
UNDEFINED = "undefined"


def failures(rows: Sequence[Row], title: str) -> Table:
    """A row per PRM for all policies together, and one for each of them: shares in %, the length
    bias a correlation."""
    columns = [
        Column("prm", "PRM"),
        Column("policy", "Policy"),
        Column("wrong_solutions", "Wrong", "number", digits=0),
        Column("right_solutions", "Right", "number", digits=0),
        *(Column(f"{name}_percent", heading, "estimate") for name, heading in _SHARES.items()),
        Column("length_bias_correlation", "Length bias (r)", "estimate", digits=2),
    ]
    body = [
        _row({row["measure"]: row for row in group})
        for _, group in groupby(rows, key=lambda row: (row["prm"], row["policy"]))
    ]
    return Table(
        title,
        columns,
        body,
        [
            "Wrong: solutions with a wrong step; right: all steps are right and an answer is "
            "given. A PRM flags a step that it scores below 0.5, and names the first flagged step "
            "as the first error. F1: harmonic mean of the next two columns, as in ProcessBench. "
            "Right and wrong steps are counted up to the first error. Found, too early, too late "
            "and nothing flagged sum to 100%. Length bias: correlation of logit margin and length "
            "in characters of right steps, within policy and position. In brackets: intervals "
            "over problems.",
            f"{UNDEFINED.capitalize()}: nothing to count, or all scores or lengths are equal.",
        ],
    )


def _row(measures: Mapping[str | None, Row]) -> list[Cell]:
    first = next(iter(measures.values()))
    names: list[Cell] = [first["prm_title"], first["policy_title"] or "all"]
    if None in measures:
        return [first["prm_title"], *[None] * (len(_SHARES) + 4)]
    return [
        *names,
        measures["error_accuracy"]["n"],
        measures["correct_accuracy"]["n"],
        *(_estimate(measures[name], 100) for name in _SHARES),
        _estimate(measures["length_bias"], 1),
    ]


def _estimate(row: Row, scale: float) -> Estimate | str:
    if row["value"] is None:
        return UNDEFINED
    low, high = (None if row[end] is None else scale * row[end] for end in ("ci_low", "ci_high"))
    return Estimate(scale * row["value"], low, high)
