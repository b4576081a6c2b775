"""What PRM scores are worth, and how long the solutions are that they pick (Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import (
    MARK,
    Cell,
    Column,
    Estimate,
    Printed,
    Table,
    percent_of,
)

_MEASURES = {
    "discrimination": "Discrimination (%)",
    "calibration_error": "Calibration error (points)",
    "overconfidence": "Overconfidence (points)",
    "tied_pairs": "Tied pairs (%)",
    "tied_top": "Best score shared (%)",
    "unscored": "Not scored (%)",
    "length_correlation": "Correlation with tokens (%)",
    "step_correlation": "with steps (%)",
}


def score_quality(rows: Sequence[Row], title: str) -> Table:
    """A row per policy and PRM, a column per measure with its interval."""
    adopted = any(row["collection"] for row in rows)
    columns = [
        Column("policy", "Policy"),
        Column("prm", "PRM"),
        *([Column("collection", "Collection")] if adopted else []),
        *(Column(f"{name}_percent", heading, "estimate") for name, heading in _MEASURES.items()),
    ]
    body: list[list[Cell]] = []
    for _, group in groupby(rows, key=lambda row: (row["policy"], row["prm"])):
        of_pair = [*group]
        measured = {row["measure"]: row for row in of_pair}
        ran = any(row["measure"] is not None for row in of_pair)
        body.append(
            [
                of_pair[0]["policy_title"],
                of_pair[0]["prm_title"],
                *([of_pair[0]["collection"]] if adopted else []),
                *(
                    percent_of(measured.get(name), "value") or ("undefined" if ran else None)
                    for name in _MEASURES
                ),
            ]
        )
    notes = [
        "In brackets: 95% intervals over problems. Discrimination: chance that a right sample "
        "outscores a wrong one of the same problem (50 is a coin). Calibration error: mean "
        "distance between score and share of right samples, over tenths of the score; "
        "overconfidence: mean score minus share of right samples. Tied pairs: samples of a problem "
        "with the same score; best score shared: problems whose best score is not unique. "
        "Correlations are with the score's logit, among equally right samples of a problem: a PRM "
        "without bias for length has 0. Undefined: no problem has both kinds, or nothing varies."
    ]
    return Table(title, columns, body, notes)


def lengths(rows: Sequence[Row], title: str) -> Table:
    """Table 1: tokens per response and step, of all samples and of those that a PRM picks."""
    columns = [
        Column("policy", "Policy"),
        Column("prm", "PRM"),
        Column("budget_samples", "N"),
        Column("sample_tokens", "Tokens per response, all", "estimate"),
        Column("pick_tokens", "picked", "estimate"),
        Column("sample_step_tokens", "Tokens per step, all", "estimate"),
        Column("pick_step_tokens", "picked", "estimate"),
    ]
    body: list[list[Cell]] = []
    for row in rows:
        if row["policy"] is None:
            printed = [Printed.parse(row[name] or "") for name in ("per_response", "per_step")]
            numbers = [value or "not printed" for value in printed]
            none: Cell = "not printed"
            body.append(
                [f"training data{MARK}", row["prm_title"], none, numbers[0], none, numbers[1], none]
            )
            continue
        kinds = ("of_sample", "of_pick")
        body.append(
            [
                row["policy_title"],
                row["prm_title"],
                None if row["budget"] is None else f"{row['budget']:,}",
                *(_tokens(row, kind) for kind in kinds),
                *(_per_step(row, kind) for kind in kinds),
            ]
        )
    notes = [
        "All: the mean over the samples that the PRM scored; picked: over those that best-of-N "
        "picks at this N. In brackets: 95% intervals over problems. A PRM without bias for length "
        "picks right answers, not long ones: compare with the correlations of the score.",
    ]
    if any(row["policy"] is None for row in rows):
        notes.append(f"{MARK} as the paper's Table 1 prints it: what the PRM was trained on.")
    return Table(title, columns, body, notes)


def _tokens(row: Row, kind: str) -> Cell:
    value = row[f"tokens_{kind}"]
    if value is None:
        return None
    return Estimate(value, row[f"tokens_{kind}_low"], row[f"tokens_{kind}_high"])


def _per_step(row: Row, kind: str) -> Cell:
    tokens, steps = row[f"tokens_{kind}"], row[f"steps_{kind}"]
    return Estimate(tokens / steps) if tokens is not None and steps else None
