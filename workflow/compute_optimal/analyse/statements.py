"""Statements of SQL, by name: files of ``workflow/sql``, the only place where SQL is written."""

from __future__ import annotations

from pathlib import Path

IN_ORDER: dict[str, str | bool | int | float | list[str]] = {"threads": 1}
"""Settings of DuckDB: several threads add numbers in an order that depends on scheduling."""

SQL_FOLDER = Path(__file__).parents[2] / "sql"


def statement(name: str) -> str:
    """The text of ``workflow/sql/<name>``, a path with its suffix."""
    return (SQL_FOLDER / name).read_text(encoding="utf-8")
