"""How parts hold searches in little room: paths without what follows from their nodes.

The text of a path is the stripped texts of its nodes, joined; its margins are theirs. Together they
would be a quarter of a part, so a part holds them only where they do not follow: of a node that
says several steps the margin is that of the last. Whoever writes derives them and compares; whoever
reads derives them again, and sees what was written.

In a part the paths are the column ``ends`` instead of ``paths``, so that an older version, which
would take them for paths without a text, finds no paths and says so. Parts that older versions
wrote hold ``paths``, and are read as they are.
"""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.policies.steps import STEP_DELIMITER

Integers = npt.NDArray[np.int64]

_WHITE_SPACE = " \t\n\r\v\f"
"""What is stripped here. Named, since what Unicode counts as such differs between versions: a path
whose steps were stripped of more is stored as it was written."""

_NO_NODE = -1

_STATEMENTS = Path(__file__).parents[2] / "sql" / "store"


class Extent(NamedTuple):
    """What a part unpacks to, by its footer."""

    n_rows: int
    n_bytes: int


def packed(searches: pl.DataFrame) -> pl.DataFrame:
    """Searches as a part holds them: ``ends`` in place of ``paths``, their text and margins null
    where they follow from ``nodes``. As they are, where a path came without them."""
    if not {"nodes", "paths"} <= set(searches.columns):
        return searches
    paths = _flat(searches["paths"]).struct.unnest()
    if paths["text"].null_count() or paths["margins"].null_count():
        return searches
    text, margins = derived(searches["nodes"], searches["paths"])
    ends = paths.with_columns(
        text=pl.when(paths["text"].ne_missing(text)).then(paths["text"]),
        margins=pl.when(~_same_bits(paths["margins"], margins)).then(paths["margins"]),
    )
    return _in_place(searches, "paths", "ends", ends)


def unpacked(searches: pl.DataFrame) -> pl.DataFrame:
    """Searches as they were written, from their ``nodes`` and ``ends``.

    Raises ``ComputeError`` where a path neither says its text nor ends at a node.
    """
    ends = _flat(searches["ends"]).struct.unnest()
    if ends["text"].null_count() or ends["margins"].null_count():
        text, margins = derived(searches["nodes"], searches["ends"])
        ends = ends.with_columns(
            text=ends["text"].fill_null(text),
            margins=pl.select(pl.coalesce(ends["margins"], margins)).to_series(),
        )
        if ends["text"].null_count() or ends["margins"].null_count():
            raise pl.exceptions.ComputeError("a path neither says its text nor ends at a node")
    return _in_place(searches, "ends", "paths", ends)


def read(part: Path, columns: Sequence[str] | None) -> pl.DataFrame:
    """Columns of a part (all if None), as they were written.

    ``ends`` in place of ``paths``: as they lie in the part, without what follows from the nodes,
    which takes longer to derive than to read.
    """
    if columns is None:
        searches = pl.read_parquet(part, glob=False)
        return unpacked(searches) if "ends" in searches.columns else searches
    if not {"paths", "ends"} & set(columns):
        return pl.read_parquet(part, columns=list(columns), glob=False)
    is_packed = "ends" in pl.scan_parquet(part, glob=False).collect_schema()
    if "paths" in columns and is_packed:
        others = [name for name in columns if name not in ("paths", "nodes")]
        return unpacked(
            pl.read_parquet(part, columns=[*others, "nodes", "ends"], glob=False)
        ).select(columns)
    if "ends" in columns and not is_packed:
        written = ["paths" if name == "ends" else name for name in columns]
        return pl.read_parquet(part, columns=written, glob=False).rename({"paths": "ends"})
    return pl.read_parquet(part, columns=list(columns), glob=False)


def write(searches: pl.DataFrame, file: Path) -> None:
    """Write searches in as little room as they take. Equal ones give equal bytes.

    By DuckDB's writer, since that of polars takes 5% more room at the same level of zstd; in
    several times the seconds of a part that is written while models run.
    """
    import duckdb

    plain = file.with_name(f"{file.name}-plain")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Not into the file: of a full disk polars says that parquet is out of specification.
        content = io.BytesIO()
        packed(searches).write_parquet(content, compression="uncompressed")
        plain.write_bytes(content.getbuffer())
        with duckdb.connect(config={"threads": 1}) as connection:
            places = {"source": glob.escape(str(plain)), "target": str(file)}
            connection.execute(_statement("pack"), places)
    except (duckdb.Error, OSError) as error:
        raise StudyError(
            f"cannot write: {getattr(error, 'strerror', None) or str(error).partition(chr(10))[0]}",
            where=str(file),
            cure="free some space or mend the permissions, then give the same command again",
        ) from error
    finally:
        plain.unlink(missing_ok=True)


def is_smallest(part: Path) -> bool:
    """Whether a part is as ``write`` would write it, by what its footer says."""
    with part.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        footer = file.read(length)
    return (
        b"DuckDB version" in footer and "ends" in pl.scan_parquet(part, glob=False).collect_schema()
    )


def extent(part: Path) -> Extent | None:
    """How much a part is once it is read, without reading it; None of what is no parquet file."""
    import duckdb

    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            found = connection.execute(_statement("extent"), {"source": glob.escape(str(part))})
            row = found.fetchone()
    except duckdb.Error:
        return None
    return None if row is None or row[0] is None else Extent(int(row[0]), int(row[1] or 0))


def _statement(name: str) -> str:
    return (_STATEMENTS / f"{name}.sql").read_text(encoding="utf-8")


def derived(nodes: pl.Series, ends: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Text and margins of all paths, one tree's after the other's, as they follow from the nodes.

    ``nodes`` and ``ends``: of each tree a list. Both are null for a path whose leaf is no node of
    its tree, and for all of a tree whose nodes are not numbered from 0 on, parents first.
    """
    of_nodes, of_ends = _flat(nodes).struct.unnest(), _flat(ends).struct.unnest()
    n_nodes, tree = _lengths(nodes), np.repeat(np.arange(len(ends)), _lengths(ends))
    start = np.cumsum(n_nodes) - n_nodes
    tree_of_node = np.repeat(np.arange(len(nodes)), n_nodes)
    place = np.arange(len(of_nodes)) - start[tree_of_node]
    parent, leaf = _numbers(of_nodes["parent"]), _numbers(of_ends["leaf"])
    in_order = (_numbers(of_nodes["node"]) == place) & (parent < place) & (parent >= _NO_NODE)
    broken = np.bincount(tree_of_node[~in_order], minlength=len(nodes)) > 0
    known = ~broken[tree] & (leaf >= _NO_NODE) & (leaf < n_nodes[tree])

    lineage = [_at(start[tree], np.where(known, leaf, _NO_NODE))]
    above = np.append(_at(start[tree_of_node], parent), _NO_NODE)  # of none there is none
    while (higher := above[lineage[-1]]).max(initial=_NO_NODE) >= 0:
        lineage.append(higher)
    path = np.stack(lineage[::-1], axis=1)
    return _texts(of_nodes["text"], path, known), _margins(of_nodes["margin"], path, known)


def _at(start: Integers, number: Integers) -> Integers:
    """Places of nodes among all, from those in their trees; none stays none."""
    return np.where(number >= 0, start + number, _NO_NODE)


def _texts(of_nodes: pl.Series, path: Integers, known: npt.NDArray[np.bool_]) -> pl.Series:
    used = np.zeros(len(of_nodes) + 1, dtype=bool)
    used[path] = True
    used[_NO_NODE] = False
    steps = of_nodes.filter(pl.Series(used[:-1])).str.strip_chars(_WHITE_SPACE)
    if (steps == "").any():
        steps = steps.set(steps == "", None)  # white space alone is no step
    steps = steps.extend_constant(None, 1)
    rank = np.where(used, np.cumsum(used) - 1, len(steps) - 1)
    # In one query: polars takes longer to begin one than for the rest of it.
    columns = [pl.lit(steps).gather(pl.Series(rank[column])) for column in path.T]
    joined = pl.concat_str(columns, separator=STEP_DELIMITER, ignore_nulls=True)
    return pl.select(text=pl.when(pl.Series(known)).then(joined)).to_series()


def _margins(of_nodes: pl.Series, path: Integers, known: npt.NDArray[np.bool_]) -> pl.Series:
    scored = np.append(of_nodes.is_not_null().to_numpy(), False)[path]
    margin = np.append(of_nodes.fill_null(0.0).to_numpy(), np.float32(0.0))[path]
    if (scored[:, :-1] > scored[:, 1:]).any():
        # Those that count to the right, in their order.
        margin = np.take_along_axis(margin, np.argsort(scored, axis=1, kind="stable"), axis=1)
    rows = pl.Series(margin, dtype=pl.Array(pl.Float32(), margin.shape[1])).arr.to_list()
    table = pl.DataFrame({"row": rows, "n": scored.sum(axis=1), "known": known})
    counting = pl.when("known").then(pl.col("row").list.tail("n"))
    return table.select(margins=counting).to_series()


def _same_bits(one: pl.Series, other: pl.Series) -> pl.Series:
    """Whether two lists of 32-bit floats are the same, to the bit; not where one holds a null."""
    lengths = [
        series.list.len().fill_null(_NO_NODE).to_numpy().astype(np.int64) for series in (one, other)
    ]
    same = lengths[0] == lengths[1]
    flat = [_flat(series.filter(pl.Series(same))) for series in (one, other)]
    bits = [series.cast(pl.Float32).to_numpy().view(np.uint32) for series in flat]
    differ = (bits[0] != bits[1]) | (flat[0].is_null() | flat[1].is_null()).to_numpy()
    row = np.repeat(np.flatnonzero(same), lengths[0][same])
    same &= np.bincount(row[differ], minlength=len(same)) == 0
    return pl.Series(same)


def _in_place(searches: pl.DataFrame, old: str, new: str, rows: pl.DataFrame) -> pl.DataFrame:
    """``rows``, one tree's after the other's, as the column ``new`` where ``old`` was."""
    lists = searches[old]
    tree = np.repeat(np.arange(len(lists)), _lengths(lists))
    of_trees = (
        rows.to_struct(new)
        .to_frame()
        .group_by(pl.Series("tree", tree), maintain_order=True)
        .agg(new)
    )
    if of_trees.height < len(lists):
        every = pl.DataFrame({"tree": np.arange(len(lists)), "is_null": lists.is_null()})
        filled = every.join(of_trees, on="tree", how="left", maintain_order="left")
        none = pl.lit([], dtype=of_trees.schema[new])
        of_trees = filled.with_columns(
            pl.when(~pl.col("is_null")).then(pl.col(new).fill_null(none))
        )
    names = [new if name == old else name for name in searches.columns]
    return searches.with_columns(of_trees[new]).select(names)


def _flat(lists: pl.Series) -> pl.Series:
    return lists.explode(empty_as_null=False, keep_nulls=False)


def _lengths(lists: pl.Series) -> Integers:
    return lists.list.len().fill_null(0).to_numpy().astype(np.int64)


def _numbers(series: pl.Series) -> Integers:
    return series.fill_null(_NO_NODE).to_numpy().astype(np.int64)
