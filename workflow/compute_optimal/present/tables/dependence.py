"""On what the best method depends: policy, PRM and difficulty, each left out of the choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from compute_optimal.analyse.quantities import compared_on_one_task
from compute_optimal.present.query import Row
from compute_optimal.present.style import counted
from compute_optimal.present.tables.model import Cell, Column, Estimate, Table

LEFT_OUT = {"policy": "the policy", "prm": "the PRM", "difficulty": "the difficulty"}
"""What a choice may not know, in words."""

NOTHING = "not run with two of it, two methods and a known difficulty on 10 problems"
"""Why nothing was left out."""


class Gain(NamedTuple):
    """What knowing it adds (points), as a mean over pairs: all, those of one policy, or of one PRM.

    ``row`` is the first of them, None stands for all; ``kind``: "all", "policy" or "prm".
    """

    left_out: str
    kind: str
    row: Row
    difference: Estimate
    informed: float
    uninformed: float
    n_pairs: int

    @property
    def title(self) -> str:
        if self.kind == "all":
            return f"all {counted(self.n_pairs, 'pair')}"
        return str(self.row[f"{self.kind}_title"])


def gains(rows: Sequence[Row]) -> list[Gain]:
    """For each thing left out, the mean over all pairs, over each policy's and over each PRM's.

    ``rows``: of the query ``choice_dependence``, all of one task and the same problems.
    """
    groups = [
        (left_out, kind, members)
        for left_out, group in groupby(
            (row for row in rows if row["policy"] is not None), key=lambda row: row["left_out"]
        )
        for kind, members in _groups([*group])
    ]
    means = [_mean(members) for _, _, members in groups]
    return [
        Gain(
            left_out, kind, members[0], difference,
            100 * float(np.mean(mean["value"])), 100 * float(np.mean(mean["reference"])),
            len(members),
        )
        for (left_out, kind, members), mean, difference in zip(
            groups, means, compared_on_one_task(means), strict=True
        )
    ]  # fmt: skip


def _groups(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    yield "all", [*rows]
    by_size = sorted(rows, key=lambda row: (row["family"], row["n_parameters"], row["policy"]))
    for kind, ordered in (("policy", by_size), ("prm", rows)):
        for name in dict.fromkeys(row[kind] for row in ordered):
            yield kind, [row for row in rows if row[kind] == name]


def _mean(rows: Sequence[Row]) -> dict[str, Any]:
    """One row whose lists are the means of theirs, of the same problems and resamplings."""
    lists = ("value", "reference", "choice_deviations")
    means = {name: np.mean([row[name] for row in rows], axis=0).tolist() for name in lists}
    return {**rows[0], **means}


def table(rows: Sequence[Row], title: str) -> Table:
    """A row per thing left out and group of pairs: all, each policy's and each PRM's."""
    columns = [
        Column("left_out", "Not known"),
        Column("of", "Mean over"),
        Column("budget_samples", "N", "number", 0),
        Column("informed_percent", "Chosen for each (%)", "number"),
        Column("uninformed_percent", "Chosen for all (%)", "number"),
        Column("difference_points", "Difference (points)", "estimate"),
        Column("n_pairs", "Pairs", "number", 0),
        Column("n_problems", "Problems", "number", 0),
    ]
    body: list[list[Cell]] = []
    known = gains(rows)
    for left_out, words in LEFT_OUT.items():
        of_it = [gain for gain in known if gain.left_out == left_out]
        body += [
            [
                words,
                gain.title,
                gain.row["budget"],
                gain.informed,
                gain.uninformed,
                gain.difference,
                gain.n_pairs,
                len(gain.row["problem_ids"]),
            ]
            for gain in of_it
        ]
        if not of_it:
            body.append([words, NOTHING, *[None] * 6])
    notes = [
        "Best-of-N or a search, chosen for each policy, PRM and (true) difficulty, and again "
        "without knowing one of them: by what does best for all policies, all PRMs or all "
        "difficulties together. Both are chosen on other problems. Pairs of policy and PRM that "
        "ran every method, at the largest N where the most did. In brackets: intervals over "
        "problems, paired, that allow for choosing on other problems."
    ]
    return Table(title, columns, body, notes)
