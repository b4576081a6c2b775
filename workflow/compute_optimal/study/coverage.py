"""What a study needs, what is stored of it, and what the rest would cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.store import units
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common
from compute_optimal.store.partitions import Store
from compute_optimal.store.places import Kind, partition
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import ADOPTED_TABLES, Cell, Collection, Grid
from compute_optimal.study.config import Study
from compute_optimal.study.spec import digest

COVERAGE = Columns(
    "What a study needs and what is stored of it, one row a cell; costs are estimates",
    {
        **common("task", "policy", "prm"),
        "method": Column(TEXT, "Method; difficulty is the pool of samples that decides buckets"),
        **common("budget"),
        "status": Column(TEXT, "stored, partial or missing"),
        "n_stored": Column(COUNT, "Number of units stored: samples, scored samples or searches"),
        "n_needed": Column(COUNT, "Number of units that the study needs"),
        "row_tokens": Column(
            REAL, "Tokens to generate (to score, for best_of_n) for one unit, as is estimated"
        ),
        "tokens_needed": Column(COUNT, "Tokens of all units that are missing, as is estimated"),
    },
)


class Stock:
    """What is stored of each spec, looked up once.

    Its methods raise ``StudyError`` where stored parts cannot be read or are not those of their
    manifest.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._present: dict[str, pl.DataFrame] = {}

    def of(self, cell: Cell) -> pl.DataFrame:
        """Keys of the stored units of a cell's spec, of samples with ``n_tokens``; one row a
        unit."""
        key = digest(cell.spec)
        if key not in self._present:
            self._present[key] = units.stored(self._storage.store, cell.spec, _counted(cell.kind))
        return self._present[key]

    def look(self, cells: Iterable[Cell]) -> None:
        """Look the searches of ``cells`` up together, which takes less time than one by one."""
        specs = {digest(cell.spec): cell.spec for cell in cells if cell.kind == "searches"}
        new = {key: spec for key, spec in specs.items() if key not in self._present}
        found = units.stored_of_each(self._storage.store, [*new.values()])
        self._present |= zip(new, found, strict=True)

    def costs(self, cells: Iterable[Cell]) -> Iterator[tuple[Cell, pl.DataFrame]]:
        """Each cell with what each stored unit of its spec cost (``units.costs``), every byte
        checked.

        Raises ``StudyError`` for any damaged byte too.
        """
        for kind, some in groupby(cells, lambda cell: cell.kind):
            of_kind, counted = [*some], _counted(kind)
            specs = [cell.spec for cell in of_kind]
            found = units.costs(self._storage.store, specs, also=counted)
            # The keys were read as well.
            keys = ["problem_hash", units.NUMBERS[kind], *counted]
            for cell, rows in zip(of_kind, found, strict=True):
                self._present[digest(cell.spec)] = rows if rows.is_empty() else rows.select(keys)
                yield cell, rows


def _counted(kind: str) -> list[str]:
    return ["n_tokens"] if kind == "samples" else []


def coverage(
    study: Study,
    storage: Storage | None = None,
    grid: Iterable[Cell] | None = None,
    stock: Stock | None = None,
) -> pl.DataFrame:
    """A table of ``COVERAGE`` for the cells of the ``grid`` (default: the study's), in its order.

    Tokens of a solution are the mean of the stored samples of the same task and policy, else those
    that the registry says. Reads keys, no texts; needs no network and no model. ``stock`` spares
    reading the same again for other cells of a study. Raises ``StudyError`` as ``Stock`` does, and
    where the facts about problems are damaged.
    """
    storage = storage or Storage.of(study)
    stock = stock or Stock(storage)
    facts = {name: storage.stored_facts(study.task(name), study.problems) for name in study.tasks}
    cells = [*(grid or Grid(study))]
    stock.look(cells)
    rows = []
    solution_tokens: dict[tuple[str, str], float] = {}
    for cell, (stored, tokens) in zip(cells, _stored(cells, stock, facts), strict=True):
        problems = facts[cell.task]
        limit = study.problems or study.task(cell.task).n_problems
        n_problems = limit if problems is None else problems.height
        if tokens is not None:
            solution_tokens[cell.task, cell.policy] = tokens
        needed = n_problems * cell.n_units
        row_tokens = solution_tokens.get(
            (cell.task, cell.policy), float(study.policy(cell.policy).solution_tokens)
        )
        missing = max(0, needed - stored)
        if cell.kind == "searches":
            # ASSUME: a search generates about what N independent samples would.
            row_tokens *= cell.budget / cell.n_units
        rows.append(
            (
                cell.task,
                cell.policy,
                cell.prm,
                cell.method,
                cell.budget,
                "missing" if stored == 0 else "partial" if missing else "stored",
                stored,
                needed,
                row_tokens,
                round(missing * row_tokens),
            )
        )
    return pl.DataFrame(
        rows,
        orient="row",
        schema=COVERAGE,
    )


def _stored(
    cells: Sequence[Cell], stock: Stock, facts: Mapping[str, pl.DataFrame | None]
) -> list[tuple[int, float | None]]:
    """Of each cell, how many of its units are stored, and the mean tokens of those that are
    samples. Units beyond the cell's number do not count, nor those of other problems than ``facts``
    (task -> problems; all count if None)."""
    # Of hundreds of cells at once: to begin a query for each takes longer than all that is counted.
    alike: dict[tuple[Kind, str], list[int]] = {}
    for place, cell in enumerate(cells):
        alike.setdefault((cell.kind, cell.task), []).append(place)
    limits = np.array([cell.n_units for cell in cells])
    found: list[tuple[int, float | None]] = [(0, None)] * len(cells)
    for (kind, task), places in alike.items():
        rows = {place: of_cell for place in places if (of_cell := stock.of(cells[place])).height}
        if not rows:
            continue
        of = np.repeat([*rows], [of_cell.height for of_cell in rows.values()])
        counts = _column(rows, units.NUMBERS[kind]).to_numpy() < limits[of]
        if (problems := facts[task]) is not None:
            hashes = problems["problem_hash"].implode()
            counts &= _column(rows, "problem_hash").is_in(hashes).to_numpy()
        n_stored = np.bincount(of[counts], minlength=len(cells)).tolist()
        n_tokens = None
        if kind == "samples":
            of_samples = _column(rows, "n_tokens").to_numpy()[counts]
            n_tokens = np.bincount(of[counts], of_samples, minlength=len(cells)).tolist()
        for place in rows:
            n = n_stored[place]
            found[place] = n, n_tokens[place] / n if n_tokens and n else None
    return found


def _column(rows: Mapping[int, pl.DataFrame], name: str) -> pl.Series:
    return pl.concat([of_cell[name] for of_cell in rows.values()])


def missing_cells(covered: pl.DataFrame) -> StudyError | None:
    """The error that lists and prices what ``coverage`` found missing, or None if all is stored."""
    missing = covered.filter(pl.col("status") != "stored")
    if missing.is_empty():
        return None
    lines = [
        f"{row['task']} / {row['policy']}"
        + (f" / {row['prm']}" if row["prm"] else "")
        + f" / {row['method']} N={row['budget']}: {row['n_stored']:,} of {row['n_needed']:,} stored"
        + f", about {row['tokens_needed']:,} tokens to "
        + ("score" if row["method"] == "best_of_n" else "generate")
        for row in missing.iter_rows(named=True)
    ]
    total = missing["tokens_needed"].sum()
    return StudyError(
        f"{missing.height} cells are not in the store, about {total:,} tokens if each runs alone, "
        "and this study may not generate:\n    " + "\n    ".join(lines),
        where="generate: never",
        cure="set `generate: missing` and use an environment with an engine "
        "(make run CONFIG=...), or fetch a store that has them; make plan says what they cost "
        "together",
    )


def unreadable_problems(
    study: Study, covered: pl.DataFrame, storage: Storage
) -> Iterator[tuple[str, StudyError]]:
    """Tasks that something is missing of and whose problems are a file of one's own that cannot be
    had, or not read: each with its error. What others published is left to its first use."""
    for name in covered.filter(pl.col("status") != "stored")["task"].unique(maintain_order=True):
        task = study.task(name)
        if task.file is None or task.url is not None:
            continue
        try:
            storage.problems(task, None)
        except StudyError as error:
            yield name, error


def not_adopted(collections: Iterable[Collection], store: Store) -> tuple[str, ...]:
    """Names of the adopted ``collections`` of which ``store`` holds nothing."""
    return tuple(
        collection.name
        for collection in collections
        if not any(partition(store, collection.spec).parts(table) for table in ADOPTED_TABLES)
    )


def missing_collections(collections: Iterable[Collection], store: Store) -> StudyError | None:
    """The error that names adopted ``collections`` of which ``store`` holds nothing, or None.

    No model can make them, so whether a study may generate does not matter.
    """
    missing = not_adopted(collections, store)
    if not missing:
        return None
    return StudyError(
        f"adopted collections are not in the store: {', '.join(missing)}",
        where="adopted",
        cure="take them in first: make adopt CONFIG=... (MIRROR=folder without a network), or "
        "fetch a store that has them",
    )
