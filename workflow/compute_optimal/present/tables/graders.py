"""One set of samples under this study's grader and others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from compute_optimal.analyse.statistics.intervals import (
    Interval,
    bootstrap_weights,
    difference_interval,
    mean_interval,
)
from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import Cell, Column, Estimate, Table


def sensitivity(rows: Sequence[Row], title: str) -> Table:
    """Verdicts that differ, and accuracy of one sample, per policy and other grader."""
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
        "Of the evaluation samples, each different answer of a problem counted once. Here: the "
        "grader of this study. There: the paper's official code, that is, the verdicts that it "
        "recorded of an adopted run, else its rules, re-implemented (its parser of formulas is "
        "another), on the answers that these rules extract; or math-verify as it comes, on the "
        "answers that this study extracts. Accuracy: mean over all samples; difference: there "
        "minus here. In brackets: 95% intervals over problems, paired for the difference. No "
        "difference has no width."
    ]
    return Table(title, columns, [_row(row) for row in rows], notes)


def _row(row: Row) -> list[Cell]:
    names: list[Cell] = [row["task_title"], row["policy_title"], row["grader_title"]]
    if row["n_pairs"] is None:
        return [*names, *[None] * 7]
    here, there = (np.array(row[name])[:, None] for name in ("accuracies", "other_accuracies"))
    weights = bootstrap_weights(len(here), row["replicates"], row["seed"])
    estimates = (
        mean_interval(here, weights, row["confidence"]),
        mean_interval(there, weights, row["confidence"]),
        difference_interval(there, here, weights, row["confidence"]),
    )
    counts = row["n_right_here_only"], row["n_right_there_only"]
    return [*names, row["n_pairs"], sum(counts), *counts, *map(_in_percent, estimates)]


def _in_percent(interval: Interval) -> Estimate:
    value, low, high = (
        100 * float(ends[0]) for ends in (interval.estimate, interval.low, interval.high)
    )
    return Estimate(value, low, high)
