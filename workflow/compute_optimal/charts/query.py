"""The named queries of the study, run on its database without changing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compute_optimal.errors import StudyError

Row = Mapping[str, Any]

SQL_FOLDER = Path(__file__).parents[2] / "sql"


def run_query(
    name: str, database: Path, parameters: Mapping[str, str | float] | None = None
) -> tuple[Row, ...]:
    """Rows of ``workflow/sql/<name>.sql`` on the DuckDB file ``database``, opened read-only.

    ``parameters`` fill the ``$name`` places of the query; those it does not use are left out. The
    order of the rows is part of the query. Raises ``StudyError`` for a missing file and for a
    database that lacks what the query needs.
    """
    import duckdb

    query = (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    used = {key: value for key, value in (parameters or {}).items() if f"${key}" in query}
    if not database.is_file():
        raise StudyError(
            "there is no database of results", where=str(database), cure="build it: make"
        )
    try:
        with duckdb.connect(str(database), read_only=True) as connection:
            # Sums in parallel depend on scheduling in their last digits.
            connection.execute("SET threads = 1")
            connection.execute((SQL_FOLDER / "macros.sql").read_text(encoding="utf-8"))
            result = connection.execute(query, used)
            columns = [column[0] for column in result.description or ()]
            return tuple(dict(zip(columns, row, strict=True)) for row in result.fetchall())
    except (duckdb.BinderException, duckdb.CatalogException, duckdb.IOException) as error:
        raise StudyError(
            f"the database does not fit the query {name}: {str(error).splitlines()[0]}",
            where=str(database),
            cure="build it again with this version of the study: make",
        ) from error


def has_tables(database: Path, tables: Sequence[str]) -> bool:
    """Whether the database has all of these tables."""
    found = {row["name"] for row in run_query("tables", database)}
    return found >= set(tables)
