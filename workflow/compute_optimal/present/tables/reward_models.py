"""Reward models on solutions whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from compute_optimal.present.query import Row
from compute_optimal.present.style import fixed
from compute_optimal.present.tables.model import MARK, Cell, Column, Printed, Table, percent_of

SCORINGS = {
    "prm_min": "lowest step",
    "prm_last": "last step",
    "prm_avg": "mean of steps",
    None: "whole solution",
}
_MEASURES = {
    "discrimination": "Right above wrong (% of pairs)",
    "ranked_first": "Right ranked first (% of problems)",
    "tied_pairs": "Tied pairs (%)",
    "calibration_error": "Calibration error (points)",
    "overconfidence": "Overconfidence (points)",
}


def quality(rows: Sequence[Row], title: str) -> Table:
    """A row per reward model and way to score a solution, a column per measure."""
    columns = [
        Column("reward_model", "Reward model"),
        Column("kind", "Kind"),
        Column("score", "Score of a solution"),
        Column("n_problems", "Problems", "number", 0),
        Column("n_solutions", "Solutions", "number", 0),
        *(Column(f"{name}_percent", heading, "estimate") for name, heading in _MEASURES.items()),
        Column("processbench_f1_percent", "ProcessBench F1, MATH (%)", "compared"),
        Column("collection", "Collection"),
        Column("source", "Repository"),
        Column("commit", "Commit"),
        Column("file", "File"),
    ]
    body: list[list[Cell]] = []
    by_chance = sorted({row["value"] for row in rows if row["measure"] == "first_by_chance"})
    for _, group in groupby(rows, key=lambda row: (row["collection"], row["prm"], row["scoring"])):
        of_model = [*group]
        first = of_model[0]
        measured = {row["measure"]: row for row in of_model}
        f1: Cell = "not printed" if first["f1"] is None else Printed(first["f1"])
        body.append(
            [
                first["prm_title"],
                first["kind"],
                SCORINGS[first["scoring"]],
                max(row["n_problems"] for row in of_model),
                first["n_solutions"],
                *(percent_of(measured.get(x), "value") or "undefined" for x in _MEASURES),
                f1,
                first["collection_title"],
                first["source"],
                first["commit"],
                first["path"],
            ]
        )
    notes = [
        "In brackets: intervals over problems. Right above wrong: pairs of a right and a wrong "
        "solution of one problem whose right one scores higher, ties half (50 is a coin)."
        + "".join(f" Ranked first: {fixed(100 * value, 0)} is chance;" for value in by_chance)
        + " where k solutions share the best score, 1/k of a problem each, and only problems of "
        "which the model scored every solution. Calibration error: mean distance between score and "
        "share of right solutions over bins of equally many; overconfidence: mean score minus "
        "share of right solutions. One solution in ten is right here, which no policy's samples "
        "need be: calibration is that of this mixture. Outcome reward models give no chances: no "
        "calibration."
    ]
    if sources := sorted({row["f1_source"] for row in rows if row["f1_source"]}):
        notes.append(
            f"{MARK} F1 of finding the first wrong step, as printed: {'; '.join(sources)}."
        )
    return Table(title, columns, body, notes)
