"""One set of samples under this study's grader and others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compute_optimal.analyse.quantities import mean_accuracy, mean_difference, resampling_of
from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import Cell, Column, Table

_RULES = (
    "its rules, re-implemented (its parser of formulas is another), on the answers that these "
    "rules extract: without a box, what follows 'the answer is', or the last number"
)


def own(rows: Sequence[Row], title: str) -> Table:
    """Of pools that the study drew: ``_sensitivity``."""
    return _sensitivity(rows, title, _RULES)


def adopted(rows: Sequence[Row], title: str) -> Table:
    """Of pools that others drew: ``_sensitivity``. Rollouts that are no pool have no row."""
    table = _sensitivity(rows, title, f"the verdicts that it recorded of a run, else {_RULES}")
    notes = [*table.notes, "Rollouts of others that are no pool of samples are not in it."]
    return replace(table, notes=notes)


def _sensitivity(rows: Sequence[Row], title: str, official: str) -> Table:
    """Verdicts that differ, and accuracy of one sample, per task, policy and other grader.

    ``official``: what stands for the paper's official code.
    """
    columns = [
        Column("task", "Task"),
        Column("policy", "Policy"),
        Column("grader", "Other grader"),
        Column("answers", "Different answers", "number", digits=0),
        Column("judged_differently", "Judged differently", "number", digits=0),
        Column("right_here_only", "right here only", "number", digits=0),
        Column("right_there_only", "right there only", "number", digits=0),
        Column("accuracy_percent", "Accuracy here (%)", "estimate"),
        Column("other_accuracy_percent", "Accuracy there (%)", "estimate"),
        Column("difference_points", "Difference (points)", "estimate", digits=2),
    ]
    notes = [
        "Of the evaluation samples, each different answer of a problem counted once, the lack of "
        "one too. Here: the grader of this study. There: the paper's official code, that is, "
        f"{official}; or math-verify as it comes, on the answers that this study extracts. "
        "Accuracy: mean over all samples; difference: there minus here. In brackets: intervals "
        "over problems, paired for the difference. No difference has no width."
    ]
    return Table(title, columns, [_row(row) for row in rows], notes)


def _row(row: Row) -> list[Cell]:
    names: list[Cell] = [row["task_title"], row["policy_title"], row["grader_title"]]
    if row["n_pairs"] is None:
        return [*names, *[None] * 7]
    own, other, resampling = row["accuracies"], row["other_accuracies"], resampling_of(row)
    estimates = (
        mean_accuracy(own, resampling),
        mean_accuracy(other, resampling),
        mean_difference(other, own, resampling),
    )
    counts = row["n_right_by_ours_only"], row["n_right_by_other_only"]
    return [*names, row["n_pairs"], sum(counts), *counts, *estimates]
