"""How far the difficulty of problems can be trusted."""

from __future__ import annotations

from pathlib import Path

from compute_optimal.present.query import run_query
from compute_optimal.present.tables.model import Column, Table

_BUCKETS = ("easy", "medium", "hard")


def wrong_buckets(database: Path | str) -> Table:
    """Problems of each bucket, and how many of them are expected to belong into another."""
    columns = [
        Column("task", "Task"),
        Column("policy", "Policy"),
        Column("samples", "Samples per problem", "number", digits=0),
        *(Column(name, name.capitalize(), "number", digits=0) for name in _BUCKETS),
        *(Column(f"wrong_{name}", f"wrongly {name}", "number", digits=1) for name in _BUCKETS),
        Column("wrong_percent", "In the wrong bucket (%)", "number", digits=1),
    ]
    rows = [
        [
            row["task_title"],
            row["policy_title"],
            row["n_samples"],
            *(row[f"n_{name}"] for name in _BUCKETS),
            *(row[f"wrong_{name}"] or 0.0 for name in _BUCKETS),
            100 * row["wrong"] / row["n_problems"],
        ]
        for row in run_query("wrong_buckets", Path(database))
    ]
    note = (
        "Wrongly: how many of the bucket's problems are expected to have their true Pass@1 in "
        "another, given their right samples; before them, every Pass@1 is as likely as any other."
    )
    return Table("Problems in the wrong bucket of difficulty", columns, rows, [note])
