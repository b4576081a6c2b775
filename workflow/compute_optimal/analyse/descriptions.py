"""DuckDB files whose tables and columns say what they mean."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from compute_optimal.analyse.statements import statement
from compute_optimal.store.columns import Columns
from compute_optimal.store.partitions import write_parquet

FORMAT: dict[str, str | bool | int | float | list[str]] = {
    "storage_compatibility_version": "v1.0.0"
}
"""Settings with which every DuckDB since 1.1 opens the file (1.0 cannot read how 2.0 writes some
columns).

The same tables give the same rows in the same order, yet not the same bytes: DuckDB writes the
unused rest of a block as it was in memory, and no setting makes it write zeros (2.0.0; tried with
one thread, and in all formats).
"""


def extend(
    database: Path, tables: Mapping[str, tuple[Columns, pl.DataFrame]], output: Path
) -> None:
    """Write to ``output`` a copy of a database with more ``tables``, name -> (columns, rows), and
    their descriptions, atomically."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        scratch = Path(folder) / output.name
        shutil.copyfile(database, scratch)
        with duckdb.connect(str(scratch), config=FORMAT) as connection:
            connection.begin()
            for name, (_, frame) in tables.items():
                file = Path(folder) / f"{name}.parquet"
                write_parquet(frame, file)
                connection.read_parquet(glob.escape(str(file))).create(name)
            describe(connection, {name: columns for name, (columns, _) in tables.items()})
            connection.commit()
        scratch.replace(output)


def describe(database: duckdb.DuckDBPyConnection, tables: Mapping[str, Columns]) -> None:
    """Write the descriptions of tables and of their columns into the database."""
    texts: dict[tuple[str, str | None], str] = {
        (table, name): text
        for table, columns in tables.items()
        for name, text in [
            (None, columns.about),
            *((name, column.meaning) for name, column in columns.described.items()),
        ]
    }
    comment(database, texts)


def comment(
    database: duckdb.DuckDBPyConnection, texts: Mapping[tuple[str, str | None], str]
) -> None:
    """Write what tables (column None) and columns mean into the database."""
    tables, columns = zip(*texts, strict=True) if texts else ((), ())
    parameters = {"tables": [*tables], "columns": [*columns], "texts": [*texts.values()]}
    for (written,) in database.execute(statement("database/comments.sql"), parameters).fetchall():
        database.execute(written)
