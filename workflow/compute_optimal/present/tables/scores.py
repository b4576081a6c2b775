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
    """A row per policy and PRM, a column per measure (in % or points) with its interval."""
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
        "In brackets: intervals over problems. Discrimination: chance that a right sample "
        "outscores a wrong one of the same problem (50 is a coin). Calibration error: mean "
        "distance between score and share of right samples, over tenths of the score; "
        "overconfidence: mean score minus share of right samples. Tied pairs: samples of a problem "
        "with the same score; best score shared: problems whose best score is not unique. "
        "Correlations are with the score's logit, among equally right samples of a problem: a PRM "
        "without bias for length has 0. Undefined: no problem has both kinds, or nothing varies."
    ]
    return Table(title, columns, body, notes)


def lengths(rows: Sequence[Row], title: str) -> Table:
    """Table 1: tokens per response and step, a row per policy: of all samples, and of those that
    best-of-N picks with the PRMs whose picks are the shortest and the longest; then what the paper
    prints of training data."""
    columns = [
        Column("policy", "Policy"),
        Column("budget_samples", "N", "number", digits=0),
        Column("sample_tokens", "Tokens per response, all", "estimate"),
        Column("shortest_pick_tokens", "picked, shortest", "estimate"),
        Column("shortest_prm", "by"),
        Column("longest_pick_tokens", "picked, longest", "estimate"),
        Column("longest_prm", "by"),
        Column("sample_step_tokens", "Tokens per step, all", "number"),
        Column("least_pick_step_tokens", "picked, least", "number"),
        Column("most_pick_step_tokens", "picked, most", "number"),
    ]
    body: list[list[Cell]] = []
    studied = [row for row in rows if row["policy"] is not None]
    for _, group in groupby(studied, key=lambda row: row["policy"]):
        of_policy = [*group]
        scored = [row for row in of_policy if row["tokens_of_pick"] is not None]
        if not scored:
            body.append([of_policy[0]["policy_title"], *[None] * (len(columns) - 1)])
            continue
        ends = [choose(scored, key=lambda row: row["tokens_of_pick"]) for choose in (min, max)]
        steps = sorted(
            row["tokens_of_pick"] / row["steps_of_pick"] for row in scored if row["steps_of_pick"]
        )
        body.append(
            [
                of_policy[0]["policy_title"],
                ends[0]["budget"],
                _tokens(ends[0], "of_sample"),
                *(cell for row in ends for cell in (_tokens(row, "of_pick"), row["prm_title"])),
                _per_step(ends[0], "of_sample"),
                *(steps[place] if steps else None for place in (0, -1)),
            ]
        )
    for row in rows:
        if row["policy"] is None:
            response, step = (
                Printed.parse(row[name] or "") for name in ("per_response", "per_step")
            )
            none: Cell = "not printed"
            body.append(
                [
                    f"training data of {row['prm_title']}{MARK}",
                    none,
                    response or none,
                    *[none] * 4,
                    step or none,
                    none,
                    none,
                ]
            )
    notes = [
        "All: the mean over the samples that the PRM scored; picked: over those that best-of-N "
        "picks at this N, with the PRM whose picks are the shortest and the longest. In brackets: "
        "intervals over problems. A PRM without bias for length picks right answers, not long "
        "ones: compare with the correlations of the score.",
    ]
    if len(studied) < len(rows):
        notes.append(f"{MARK} as the paper's Table 1 prints it: what the PRM was trained on.")
    return Table(title, columns, body, notes)


def _tokens(row: Row, kind: str) -> Cell:
    value = row[f"tokens_{kind}"]
    if value is None:
        return None
    return Estimate(value, row[f"tokens_{kind}_low"], row[f"tokens_{kind}_high"])


def _per_step(row: Row, kind: str) -> Cell:
    tokens, steps = row[f"tokens_{kind}"], row[f"steps_{kind}"]
    return tokens / steps if tokens is not None and steps else None
