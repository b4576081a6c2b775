"""Units of a cell, as the zones read them: which are there, what they say, what they cost.

A unit is a sample, the scores of a sample, or a search (a subtree of DVTS, a whole beam search).
``Partition.read`` says which of two runs of one unit counts; here is what else must hold: scores
count for the text that they were given for, and for no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Literal

import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.store.partitions import Partition, Store, each
from compute_optimal.store.places import kind_of, partition, samples_of
from compute_optimal.store.schemas import COUNTS, COUNTS_OF, NODE, ORIGIN, PATH, SECONDS
from compute_optimal.study.spec import Spec

NUMBERS = {"samples": "sample_index", "step_scores": "sample_index", "searches": "subtree"}
"""Table -> the column that tells the units of one problem apart."""

_Read = Callable[[Partition, str, Sequence[str]], pl.DataFrame]

_SCORED = ["problem_hash", "sample_index", "text_hash"]


def stored(store: Store, spec: Spec, columns: Sequence[str] = ()) -> pl.DataFrame:
    """Units of a cell that count: problem_hash, their number and ``columns``; empty if none do.

    A quick look, which reads no texts and checks no bytes.
    """
    return next(stored_of_each(store, [spec], columns))


def stored_of_each(
    store: Store, specs: Sequence[Spec], columns: Sequence[str] = ()
) -> Iterator[pl.DataFrame]:
    """``stored`` of many cells, in less time."""
    return _counting(store, specs, lambda _: columns, checked=False)


def _counting(
    store: Store,
    specs: Sequence[Spec],
    columns_of: Callable[[str], Sequence[str]],
    *,
    checked: bool,
) -> Iterator[pl.DataFrame]:
    how = Partition.read if checked else Partition.look
    for kind, of_kind in groupby(specs, kind_of):
        columns = columns_of(kind)
        if kind == "searches":
            # They lie in many small partitions.
            cells = [partition(store, spec) for spec in of_kind]
            yield from each(cells, kind, columns, checked=checked)
            continue
        for spec in of_kind:
            rows = how(partition(store, spec), kind, columns)
            if kind == "step_scores" and not rows.is_empty():
                texts = _texts(store, spec, how)
                rows = _of_texts(rows, texts)
                if rows.height == texts.height:
                    _keep_in_order_of(rows)
            yield rows


def _texts(store: Store, spec: Spec, how: _Read) -> pl.DataFrame:
    """Hashes of the texts of the samples that a cell of scores is about, in any order.

    The last ones are kept: a pool is read by one PRM after the other.
    """
    cell = partition(store, samples_of(spec))
    key = how, *cell.state("samples")
    if key not in _LAST_TEXTS:
        texts = how(cell, "samples", ["text_hash"])
        _LAST_TEXTS.clear()
        _LAST_TEXTS[key] = texts
    return _LAST_TEXTS[key]


_LAST_TEXTS: dict[tuple[object, ...], pl.DataFrame] = {}
"""By what was read and how: the texts of one cell, or of none."""


def _keep_in_order_of(scores: pl.DataFrame) -> None:
    """Put the texts that are kept into the order of ``scores``, which are of each of them.

    Parts of several PRMs have their rows in one order, often not that of samples; those that come
    next are then compared with these texts as they are (``_of_texts``).
    """
    for key in _LAST_TEXTS:
        _LAST_TEXTS[key] = scores.select(_SCORED)


def scores(store: Store, spec: Spec) -> pl.DataFrame:
    """Step scores of a cell: problem_hash, sample_index, margins; empty if there are none.

    Raises ``StudyError`` where a sample has scores, but none of its own text.
    """
    cell = partition(store, spec)
    rows = cell.read("step_scores", ["margins"])
    if rows.is_empty():
        return rows
    own = _of_texts(rows, _texts(store, spec, Partition.read))
    if own.height == rows.height:
        return own
    n_foreign = rows.select(_SCORED[:2]).n_unique() - own.height
    if n_foreign:
        raise StudyError(
            f"{n_foreign:,} samples have scores, but of other texts: they came from another run",
            where=cell.directory,
            cure="give the command again with --forcerun score_steps, which scores them anew, or "
            "fetch a store that has their scores",
        )
    return own


def _of_texts(scores: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Those of the ``scores`` that were given for the text of their sample."""
    if samples.is_empty():
        return scores.clear()
    # Most PRMs read the whole pool, in its order: to join them took ten times as long.
    if scores.select(_SCORED).equals(samples.select(_SCORED)):
        return scores
    return scores.join(samples.select(_SCORED), on=_SCORED, how="semi", maintain_order="left")


def nodes(store: Store, spec: Spec, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Every node of a cell's searches, a row each, sorted by problem, subtree and node."""
    return _rows(store, spec, "nodes", columns or [*NODE])


def paths(store: Store, spec: Spec, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Every answer of a cell's searches, a row each, sorted by problem, subtree and path."""
    return _rows(store, spec, "paths", columns or [*PATH])


def trees(
    store: Store, spec: Spec, problems: Sequence[str], columns: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``columns`` of the nodes of a cell's searches, and the ``leaf`` of each path, of some
    problems, by their hashes: as ``nodes`` and ``paths`` give them, in a third of the time."""
    searches = partition(store, spec).read("searches", ["nodes", "ends"])
    if not searches.is_empty():
        searches = searches.filter(pl.col("problem_hash").is_in(problems))
    return _each(searches, "nodes", columns), _each(searches, "ends", ["leaf"])


def _rows(
    store: Store, spec: Spec, kind: Literal["nodes", "paths"], columns: Sequence[str]
) -> pl.DataFrame:
    """``columns`` of the units and what they hold, beside those that name it; none if empty."""
    inner = {"nodes": NODE, "paths": PATH}[kind]
    outer = [name for name in columns if name not in inner]
    return _each(partition(store, spec).read("searches", [kind, *outer]), kind, columns)


def _each(
    searches: pl.DataFrame, kind: Literal["nodes", "paths", "ends"], columns: Sequence[str]
) -> pl.DataFrame:
    """What searches hold of a kind, a row each; as they are if there are none."""
    if searches.is_empty():
        return searches
    number = {"nodes": "node", "paths": "path", "ends": "path"}[kind]
    return (
        searches.explode(kind, empty_as_null=False, keep_nulls=False)
        .unnest(kind)
        .select(list(dict.fromkeys(["problem_hash", "subtree", number, *columns])))
    )


def costs(
    store: Store, specs: Sequence[Spec], *, checked: bool = True, also: Sequence[str] = ()
) -> Iterator[pl.DataFrame]:
    """Of each cell, what its units cost, all counts of it; their run, engine, machine and package,
    and the columns that are asked for ``also``.

    Of all units that are stored and count, whoever asks. Unless ``checked``, bytes are not.
    """

    def columns_of(kind: str) -> list[str]:
        return ["run", *COUNTS_OF[kind], *SECONDS, *ORIGIN, *also]

    for spec, rows in zip(specs, _counting(store, specs, columns_of, checked=checked), strict=True):
        counts = COUNTS_OF[kind_of(spec)]
        none = [pl.lit(0).alias(name) for name in COUNTS if name not in counts]
        yield rows if rows.is_empty() else rows.with_columns(none)
