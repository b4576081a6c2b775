"""The named queries of the study, run on its database without changing it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compute_optimal.analyse.statements import IN_ORDER, statement
from compute_optimal.errors import StudyError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Row = Mapping[str, Any]
"""Values by column."""


@dataclass(frozen=True)
class _Open:
    """An open database: the connection to it, and the macros that this connection has."""

    connection: DuckDBPyConnection
    macros: set[str] = field(default_factory=set)


_OPEN: dict[Path, _Open] = {}
_ANSWERED: dict[Path, dict[tuple[str, str], tuple[Row, ...]]] = {}
"""Rows by query and parameters, of each database that is ``answering_once``."""


@contextmanager
def answering_once(database: Path) -> Iterator[DuckDBPyConnection]:
    """As ``opened``; within the block a query that is asked again with the same parameters is not
    run again.

    For what shows many items: most ask for the same settings, and several show the same rows.
    """
    with opened(database) as connection:
        _ANSWERED[database] = {}
        try:
            yield connection
        finally:
            del _ANSWERED[database]


@contextmanager
def opened(database: Path) -> Iterator[DuckDBPyConnection]:
    """The DuckDB file ``database``, opened read-only.

    Queries within the block share the connection: opening one takes longer than most queries.
    Raises ``StudyError`` for a missing file, and for one that is no DuckDB file.
    """
    if database in _OPEN:
        yield _OPEN[database].connection
        return
    import duckdb

    if not database.is_file():
        raise StudyError(
            "there is no database of results",
            where=str(database),
            cure="build it: make, or make CONFIG=... of a study that is not the default one",
        )
    try:
        connection = duckdb.connect(str(database), read_only=True, config=IN_ORDER)
    except duckdb.IOException as error:
        raise _misfit(database, "the queries", error) from error
    _OPEN[database] = _Open(connection)
    try:
        with connection:
            yield connection
    finally:
        del _OPEN[database]


def run_query(
    name: str, database: Path, parameters: Mapping[str, str | float] | None = None
) -> tuple[Row, ...]:
    """Rows of ``workflow/sql/<name>.sql`` on the DuckDB file ``database``, opened read-only.

    ``parameters`` fill the ``$name`` places of the query, all of which must be given; those it does
    not use are left out. The order of the rows is part of the query. Raises ``StudyError`` as
    ``opened`` does, and for a database that lacks what the query and its macros need.
    """
    import duckdb

    query = statement(f"{name}.sql")
    used = {key: value for key, value in (parameters or {}).items() if f"${key}" in query}
    key = name, repr(sorted(used.items()))
    if key in (kept := _ANSWERED.get(database, {})):
        return kept[key]
    try:
        with opened(database) as connection:
            _define(_named_in(query), database)
            result = connection.execute(query, used)
            columns = [column[0] for column in result.description or ()]
            rows = tuple(dict(zip(columns, row, strict=True)) for row in result.fetchall())
    except (duckdb.BinderException, duckdb.CatalogException) as error:
        raise _misfit(database, f"the query {name}", error) from error
    kept[key] = rows
    return rows


@cache
def _macros() -> Mapping[str, tuple[str, frozenset[str]]]:
    """Statements of the macros by name, each with the names of those that it stands on, which come
    before it."""
    macros: dict[str, tuple[str, frozenset[str]]] = {}
    for definition in re.split(r"^(?=CREATE )", statement("macros.sql"), flags=re.MULTILINE)[1:]:
        name = definition.partition("(")[0].split()[-1]
        used = macros.keys() & _words(definition)
        needed = frozenset(used.union(*(macros[other][1] for other in used)))
        macros[name] = definition, needed
    return macros


@cache
def _named_in(query: str) -> frozenset[str]:
    """The macros that a query needs."""
    named = _macros().keys() & _words(query)
    return frozenset(named.union(*(_macros()[name][1] for name in named)))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def _define(names: frozenset[str], database: Path) -> None:
    """Define those of the macros that the open database does not have yet: all of them would take
    longer than most queries."""
    known = _OPEN[database]
    missing = names - known.macros
    for name, (definition, _) in _macros().items():
        if name in missing:
            known.connection.execute(definition)
            known.macros.add(name)


def _misfit(database: Path, what: str, error: Exception) -> StudyError:
    return StudyError(
        f"the database does not fit {what}: {str(error).splitlines()[0]}",
        where=str(database),
        cure="build it again with this version of the study: make, or make CONFIG=...",
    )
