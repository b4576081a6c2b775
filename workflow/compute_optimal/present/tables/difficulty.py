"""How far the difficulty of problems can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compute_optimal.present.query import Row, run_query
from compute_optimal.present.tables.model import (
    NOT_APPLICABLE,
    Cell,
    Column,
    Estimate,
    Table,
    percent_of,
)
from compute_optimal.present.tables.public import method_name
from compute_optimal.study.buckets import BUCKETS


def wrong_buckets(database: Path | str) -> Table:
    """Problems of each bucket, and how many of them are expected to belong into another; a row per
    task and policy. Raises ``StudyError`` as ``run_query`` does."""
    columns = [
        Column("task", "Task"),
        Column("policy", "Policy"),
        Column("samples", "Samples per problem", "number", digits=0),
        *(Column(name, name.capitalize(), "number", digits=0) for name in BUCKETS),
        *(Column(f"wrong_{name}", f"wrongly {name}", "number", digits=1) for name in BUCKETS),
        Column("wrong_percent", "In the wrong bucket (%)", "number", digits=1),
    ]
    rows = [
        [
            row["task_title"],
            row["policy_title"],
            row["n_samples"],
            *(row[f"n_{name}"] for name in BUCKETS),
            *(row[f"wrong_{name}"] or 0.0 for name in BUCKETS),
            100 * row["wrong"] / row["n_problems"],
        ]
        for row in run_query("wrong_buckets", Path(database))
    ]
    note = (
        "Wrongly: how many of the bucket's problems are expected to have their true Pass@1 in "
        "another, given their right samples; before them, every Pass@1 is as likely as any other."
    )
    return Table("Problems in the wrong bucket of difficulty", columns, rows, [note])


def by_bucket(rows: Sequence[Row], title: str) -> Table:
    """A row per task, policy, difficulty and method: its accuracy where the difficulty is taken as
    measured, and where it is uncertain."""
    columns = [
        Column("task", "Task"),
        Column("policy", "Policy"),
        Column("difficulty", "Difficulty"),
        Column("method", "Method"),
        Column("prm", "PRM"),
        Column("budget_samples", "N", "number", 0),
        Column("accuracy_percent", "Accuracy (%), as sorted", "estimate"),
        Column("n_problems", "Problems, as sorted", "number", 0),
        Column("uncertain_percent", "Accuracy (%), uncertain difficulty", "estimate"),
        Column("n_expected", "Problems expected", "number", 1),
    ]
    body: list[list[Cell]] = []
    for row in rows:
        uncertain = [
            100 * row[name] for name in ("expected_accuracy", "expected_low", "expected_high")
        ]
        body.append(
            [
                row["task_title"],
                row["policy_title"],
                row["bucket"],
                method_name(row["method"]),
                row["prm_title"] or NOT_APPLICABLE,
                row["budget"],
                NOT_APPLICABLE if row["accuracy"] is None else percent_of(row),
                row["n_problems"] or 0,
                Estimate(*uncertain),
                row["n_expected"],
            ]
        )
    notes = [
        "As sorted: by Pass@1 of the samples for difficulty. Uncertain: each problem counts in "
        "every bucket by its chance of being in it, given all samples of it. In brackets: "
        "intervals over problems."
    ]
    return Table(title, columns, body, notes)
