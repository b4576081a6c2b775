"""Curves that another paper prints, beside this study's own."""

from __future__ import annotations

from collections.abc import Sequence

from compute_optimal.present.query import Row
from compute_optimal.present.style import METHODS
from compute_optimal.present.tables.model import (
    MARK,
    Cell,
    Column,
    Compared,
    Printed,
    Table,
    percent_of,
)

_BUDGETS = (1, 2, 4, 8, 16, 32, 64)


def curves(rows: Sequence[Row], title: str) -> Table:
    """A row per task, method and N that is printed, at powers of two up to 64."""
    columns = [
        Column("task", "Task"),
        Column("policy", "Policy"),
        Column("prm", "PRM"),
        Column("method", "Method"),
        Column("budget_samples", "N", "number", 0),
        Column("accuracy_percent", "Accuracy (%)", "compared"),
        Column("tokens", "Tokens per problem, printed", "number", 0),
        Column("file", "File of the repository"),
    ]
    own = {_key(row): row for row in rows if row["series"] != "printed"}
    body: list[list[Cell]] = []
    for row in rows:
        if row["series"] != "printed" or row["budget"] not in _BUDGETS:
            continue
        body.append(
            [
                row["task"],
                row["policy"],
                row["prm"] if row["method"] == "best_of_n" else "none",
                METHODS[row["method"]].label,
                row["budget"],
                Compared(percent_of(own.get(_key(row))), Printed(100 * row["accuracy"])),
                row["tokens"],
                row["source"],
            ]
        )
    notes = [
        f"{MARK} as another paper prints it: OptScale (arXiv 2506.22376), repository "
        "Albertwyk/OptScale at a7dd91429262f48afcb0b758a4e27ec83ad358f0; one draw a point, the "
        "first N of 64 samples, no interval. Not run: this study holds no samples of that "
        "policy on that task."
    ]
    return Table(title, columns, body, notes)


def _key(row: Row) -> tuple[object, ...]:
    return row["task"], row["policy"], row["method"], row["budget"]
