"""How good a PRM must be, as tables: its gains, and the ability at which they begin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from compute_optimal.present.query import Row
from compute_optimal.present.style import METHODS
from compute_optimal.present.tables.model import Cell, Column, Estimate, Relation, Table

_METHODS = ("best_of_n", "beam_search", "dvts", "compute_optimal")
_ABILITIES = {"f1": "F1", "discrimination": "discrimination"}
_MEAN = "mean of {}"


def thresholds(rows: Sequence[Row], title: str) -> Table:
    """The ability [%] from which gains over majority voting are above 0: a row per policy,
    difficulty and kind of ability, a pair of columns (N and ability) per method."""
    body: list[list[Cell]] = []
    for _, group in groupby(_over_majority(rows), key=lambda row: (row["policy"], row["bucket"])):
        of_group = [*group]
        of_method = {row["method"]: row for row in of_group}
        for ability, name in _ABILITIES.items():
            cells: list[Cell] = []
            for row in map(of_method.get, _METHODS):
                cells += [None if row is None else row["budget"], _threshold(row, ability)]
            body.append([*_names(of_group[0]), name, *cells])
    columns = [
        Column("policy", "Policy"),
        Column("difficulty", "Difficulty"),
        Column("ability", "Ability"),
        *_of_each_method("from_percent", "pays from (%)", bounds=True),
    ]
    notes = [
        "The ability of a PRM (F1 of finding the first wrong step, over all policies; share of "
        "right samples that score above wrong ones, on the policy) at which a non-decreasing fit "
        "of the gain over majority voting passes 0. In brackets: intervals, refitted over "
        "resampled problems at the abilities as measured. <: below the poorest PRM here, so every "
        "one pays; >: above the ablest, so none does; without brackets where every resampling says "
        "the same. Compute-optimal: the method chosen for each "
        "difficulty on other problems. Mean: over the policies that ran with every PRM.",
    ]
    return Table(title, columns, body, notes)


def gains(rows: Sequence[Row], title: str) -> Table:
    """Gains over majority voting, in points: a row per policy, difficulty and PRM, a pair of
    columns (N and gain) per method. By difficulty for the first policy alone, which is the mean
    over those that ran with every PRM, where there is one."""
    shown = _over_majority(rows)
    first = shown[0]["policy"] if shown else None
    body: list[list[Cell]] = []
    for _, group in groupby(
        (row for row in shown if row["bucket"] == "all" or row["policy"] == first),
        key=lambda row: (row["policy"], row["bucket"]),
    ):
        of_group = [*group]
        for prm in dict.fromkeys(row["prm"] for row in sorted(of_group, key=_by_ability)):
            of_prm = {row["method"]: row for row in of_group if row["prm"] == prm}
            first_row = next(iter(of_prm.values()))
            abilities = [first_row[name] for name in _ABILITIES]
            body.append(
                [
                    *_names(first_row),
                    first_row["prm_title"],
                    *("unknown" if ability is None else ability for ability in abilities),
                    *(cell for method in _METHODS for cell in _gain(of_prm.get(method))),
                ]
            )
    columns = [
        Column("policy", "Policy"),
        Column("difficulty", "Difficulty"),
        Column("prm", "PRM"),
        Column("f1_percent", "F1 (%)", "number"),
        Column("discrimination_percent", "Discrimination (%)", "number"),
        *_of_each_method("gain_points", "(points)"),
    ]
    notes = [
        "Accuracy minus that of majority voting at the same N on the same problems, with "
        "intervals over problems. F1: over the solutions of all policies; discrimination: on the "
        "policy, or the mean over those that are compared."
    ]
    return Table(title, columns, body, notes)


def _over_majority(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["against"] == "majority"]


def _by_ability(row: Row) -> tuple[float, str]:
    return (math.inf if row["f1"] is None else row["f1"], row["prm"])


def _names(row: Row) -> list[Cell]:
    policy = row["policy_title"] or _MEAN.format(row["n_policies"])
    return [policy, row["bucket"]]


def _of_each_method(name: str, unit: str, *, bounds: bool = False) -> Iterator[Column]:
    """Two columns of every method: N, and its estimate."""
    for method in _METHODS:
        label = METHODS[method].label
        yield Column(f"{method}_budget_samples", "N", "number", digits=0)
        yield Column(f"{method}_{name}", f"{label} {unit}", "estimate", bounds=bounds)


def _gain(row: Row | None) -> tuple[Cell, Cell]:
    if row is None:
        return None, None
    return row["budget"], Estimate(row["gain"], row["ci_low"], row["ci_high"])


def _threshold(row: Row | None, ability: str) -> Cell:
    if row is None:
        return None
    if row[f"{ability}_threshold"] is None:
        return "fewer than 3 PRMs"
    least, most = row[f"{ability}_least"], row[f"{ability}_most"]

    def bounded(end: float) -> tuple[float, Relation]:
        if math.isinf(end):
            return (least, "<") if end < 0 else (most, ">")
        return end, "="

    value, low, high = (bounded(row[f"{ability}_{end}"]) for end in ("threshold", "low", "high"))
    if low == high != (value[0], "="):
        # Every resampling says the same.
        return Estimate(value[0], relation=value[1])
    return Estimate(value[0], low[0], high[0], value[1], low[1], high[1])
