"""Searches in little room: what follows from their nodes is not stored, and nothing is lost."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compute_optimal.errors import StudyError
from compute_optimal.policies.steps import STEP_DELIMITER, split_steps
from compute_optimal.store import packing, partitions
from compute_optimal.store.partitions import Partition, Store, verify
from compute_optimal.store.schemas import COUNTS_OF, ORIGIN, SCHEMAS, SECONDS
from compute_optimal.store.sharing import publish

Row = dict[str, Any]

TEXTS = st.one_of(
    st.sampled_from(
        [
            "1 + 2 = 3",
            " 3\n\n",
            "a\n\nb",
            "a\n\n\nb",
            "",
            " \n",
            "\u00a0x\u2003",
            "\x1cx\x1f",
            "\u200b",
        ]
    ),
    st.text(max_size=6),
)
MARGINS = st.one_of(
    st.none(), st.floats(width=32), st.sampled_from([0.0, -0.0, math.nan, math.inf, 0.1])
)


@st.composite
def trees(draw: st.DrawFn) -> Row:
    """A tree as a search leaves it: a margin a step, parents first; some paths end at no node."""
    nodes: list[Row] = []
    margins: list[tuple[float, ...]] = []
    for number in range(draw(st.integers(0, 9))):
        parent = draw(st.one_of(st.none(), st.integers(0, number - 1))) if number else None
        text = draw(TEXTS)
        steps = split_steps(text)
        scores = [draw(MARGINS) for _ in steps]
        margins.append(() if None in scores else tuple(s for s in scores if s is not None))
        nodes.append(
            {
                "depth": 1 if parent is None else nodes[parent]["depth"] + 1,
                "node": number,
                "parent": parent,
                "text": text,
                "margin": margins[-1][-1] if margins[-1] else None,
                "n_tokens": draw(st.integers(0, 50)),
                "fate": draw(st.sampled_from(["kept", "pruned", "duplicate", "truncated"])),
                "finished": draw(st.booleans()),
                "finish_reason": "stop",
            }
        )
    leaves = st.one_of(st.none(), st.integers(0, len(nodes) - 1)) if nodes else st.none()
    return {
        "nodes": nodes,
        "paths": [
            path(i, leaf, nodes, margins)
            for i, leaf in enumerate(draw(st.lists(leaves, max_size=4)))
        ],
    }


def path(number: int, leaf: int | None, nodes: list[Row], margins: list[tuple[float, ...]]) -> Row:
    lineage: list[int] = []
    at = leaf
    while at is not None:
        lineage.insert(0, at)
        at = nodes[at]["parent"]
    return {
        "path": number,
        "leaf": leaf,
        "text": STEP_DELIMITER.join(
            step for n in lineage for step in split_steps(nodes[n]["text"])
        ),
        "margins": [margin for n in lineage for margin in margins[n]],
        "n_tokens": sum(nodes[n]["n_tokens"] for n in lineage),
        "ended_by": "stuck" if leaf is None else "eos",
    }


SOMETHING_ELSE: dict[str, Any] = {
    "text": "another text",
    "margins": [0.5, None],
    "leaf": 99,
    "n_tokens": 7,
}


@st.composite
def damaged(draw: st.DrawFn) -> Row:
    """A tree that no search leaves: something of it does not follow, or cannot."""
    tree = draw(trees().filter(lambda tree: tree["paths"]))
    one = draw(st.sampled_from(tree["paths"]))
    name = draw(st.sampled_from([*SOMETHING_ELSE, "parents", "numbers"]))
    if name in SOMETHING_ELSE:
        one[name] = SOMETHING_ELSE[name]
    elif name == "parents":
        for node in tree["nodes"]:
            node["parent"] = draw(st.one_of(st.none(), st.integers(-2, 12)))
    else:
        for node in tree["nodes"]:
            node["node"] = draw(st.integers(-1, 12))
    return tree


def rows(of: list[Row], first: int = 0, run: str = "run") -> pl.DataFrame:
    schema = SCHEMAS["searches"]
    filled = {
        "problem_id": "p", "run": run, **dict.fromkeys(COUNTS_OF["searches"], 1),
        **dict.fromkeys(SECONDS, 0.5), **dict.fromkeys(ORIGIN, "x"),
    }  # fmt: skip
    return pl.DataFrame(
        [filled | {"problem_hash": "h", "subtree": first + i} | tree for i, tree in enumerate(of)],
        schema=schema,
    )


def bits(frame: pl.DataFrame) -> list[Any]:
    """Every value of a frame; floats by their bits, as 0 equals -0 and NaN nothing."""

    def of(value: Any) -> Any:
        if isinstance(value, float):
            return np.float32(value).tobytes()
        if isinstance(value, dict):
            return {name: of(inner) for name, inner in value.items()}
        return [of(inner) for inner in value] if isinstance(value, list) else value

    return [of(row) for row in frame.to_dicts()]


@given(st.lists(st.one_of(trees(), damaged()), max_size=5))
@settings(max_examples=80, deadline=None)
def test_whatever_is_packed_is_unpacked_to_the_bit(of: list[Row]) -> None:
    frame = rows(of)
    small = packing.packed(frame)
    assert ("ends" in small.columns) != ("paths" in small.columns)
    back = packing.unpacked(small) if "ends" in small.columns else small
    assert back.schema == frame.schema
    assert bits(back) == bits(frame)


@given(st.lists(trees(), max_size=5))
@settings(max_examples=60, deadline=None)
def test_what_follows_is_not_stored(of: list[Row]) -> None:
    ends = packing.packed(rows(of))["ends"].to_list()
    for tree, stored in zip(of, ends, strict=True):
        for written, end in zip(tree["paths"], stored, strict=True):
            lineage, at = [], written["leaf"]
            while at is not None:
                lineage.append(tree["nodes"][at])
                at = lineage[-1]["parent"]
            texts = [node["text"] for node in lineage]
            if all(text.isascii() and text.isprintable() for text in texts):
                assert end["text"] is None
                assert end["margins"] is None
            if len(written["margins"]) > len(lineage):
                assert end["margins"] is not None


@pytest.fixture
def cell(tmp_path: Path) -> Partition:
    return Store(tmp_path / "store", [tmp_path / "shipped"]).partition(
        "search", "task.policy", {"kind": "search"}
    )


def test_searches_lie_in_a_folder_whose_name_is_a_pattern(tmp_path: Path) -> None:
    tree = {"nodes": [], "paths": []}
    for n_trees, name in enumerate(("store1", "store[1]"), 1):
        part = tmp_path / name / "part"
        packing.write(rows([tree] * n_trees), part)
        part.with_name("part-plain").write_bytes(part.read_bytes())
    assert packing.is_smallest(part)
    assert packing.read(part, None).height == packing.read(part, ["ends"]).height == 2


def as_older_versions_did(cell: Partition, frame: pl.DataFrame) -> Path:
    part = cell.append("searches", frame)
    part.unlink()
    staged = part.parent / "staged"
    partitions.write_parquet(frame, staged)
    return staged.rename(part.parent / f"searches-{partitions.sha256_of(staged)[:16]}.parquet")


@given(st.lists(st.one_of(trees(), damaged()), min_size=1, max_size=4), st.data())
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_old_and_new_parts_of_one_cell_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, of: list[Row], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cell")
    store = Store(folder / "store", [folder / "shipped"])
    cell = store.partition("search", "task.policy", {"kind": "search"})
    n_old = data.draw(st.integers(0, len(of)))
    if n_old:
        as_older_versions_did(cell, rows(of[:n_old]))
    if n_old < len(of):
        cell.append("searches", rows(of[n_old:], first=n_old))
    written = rows(of)
    columns = data.draw(
        st.lists(st.sampled_from(["paths", "nodes", "generated_tokens"]), unique=True)
    )
    for how in (cell.read, cell.look):
        found = how("searches", columns).sort("subtree")
        assert found.columns == ["problem_hash", "subtree", *columns]
        assert bits(found) == bits(written.select(found.columns))
        others = [name for name in columns if name != "paths"]
        ends = how("searches", ["ends", *others]).sort("subtree")
        assert bits(ends.select(others)) == bits(found.select(others))
        assert where_paths_end(ends["ends"]) == where_paths_end(written["paths"])
    publish([(cell, ["searches"])], str(folder / "shipped"))
    assert verify(folder / "shipped") == []
    for part in cell.parts("searches"):
        if part.is_relative_to(folder / "store"):
            part.unlink()
    found = cell.read("searches")
    assert bits(found) == bits(written.select(found.columns))
    (shipped,) = cell.parts("searches")
    assert publish([(cell, ["searches"])], str(folder / "shipped")).n_parts == 0
    assert cell.parts("searches") == [shipped]


def where_paths_end(paths: pl.Series) -> list[Any]:
    return paths.explode().struct.unnest().select("path", "leaf", "n_tokens", "ended_by").rows()


TREE: Row = {
    "nodes": [
        {"depth": 1, "node": 0, "parent": None, "text": "a\n", "margin": 1.0, "n_tokens": 2,
         "fate": "kept", "finished": False, "finish_reason": "stop"},
        {"depth": 2, "node": 1, "parent": 0, "text": "b", "margin": 2.0, "n_tokens": 2,
         "fate": "kept", "finished": True, "finish_reason": "stop"},
    ],
    "paths": [
        {"path": 0, "leaf": 1, "text": "a\n\nb", "margins": [1.0, 2.0], "n_tokens": 4,
         "ended_by": "eos"},
    ],
}  # fmt: skip


def test_an_older_version_finds_no_paths(cell: Partition) -> None:
    part = cell.append("searches", rows([TREE]))
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        pl.read_parquet(part, columns=["problem_hash", "subtree", "paths"])
    (end,) = pl.read_parquet(part)["ends"].explode()
    assert end == {
        "path": 0,
        "leaf": 1,
        "text": None,
        "margins": None,
        "n_tokens": 4,
        "ended_by": "eos",
    }


def test_ends_that_no_node_explains_are_named_and_refused(cell: Partition) -> None:
    lost = TREE | {"paths": [TREE["paths"][0] | {"leaf": 5, "text": "x", "margins": [0.0]}]}
    frame = packing.packed(rows([lost])).with_columns(
        ends=pl.col("ends").list.eval(
            pl.struct(
                pl.element().struct.field("path", "leaf"),
                pl.lit(None, dtype=pl.String()).alias("text"),
                pl.element().struct.field("margins", "n_tokens", "ended_by"),
            )
        )
    )
    part = as_older_versions_did(cell, frame)
    with pytest.raises(StudyError, match="whole, but not what this study reads") as caught:
        cell.read("searches")
    assert part.name in str(caught.value)


WRONG: dict[str, tuple[str, pl.Expr]] = {
    "a number as text": ("leaf", pl.lit("x")),
    "a number as another": ("leaf", pl.lit(0.5)),
    "a list as text": ("margins", pl.lit(["x"])),
    "bytes as text": ("text", pl.lit(b"\xff")),
    "a leaf beyond all numbers": ("leaf", pl.lit(2**63 - 1)),
    "a leaf below all numbers": ("leaf", pl.lit(-(2**63))),
    "a parent that is its child": ("parent", pl.lit(1)),
    "a parent beyond all numbers": ("parent", pl.lit(2**63 - 1)),
    "nodes that are one": ("node", pl.lit(0)),
    "a node as text": ("node", pl.lit("x")),
    "a margin as text": ("margin", pl.lit("x")),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_values_that_no_writer_leaves_are_named_and_refused(cell: Partition, wrong: str) -> None:
    """Each of them in the place of all values of one name, in a part whose hash is right."""
    name, value = WRONG[wrong]
    column = "ends" if name in ("leaf", "margins", "text") else "nodes"
    frame = packing.packed(rows([TREE, TREE])).with_columns(
        pl.col(column).list.eval(pl.element().struct.with_fields(value.alias(name)))
    )
    part = as_older_versions_did(cell, frame)
    for how in (cell.read, cell.look):
        with pytest.raises(StudyError, match="whole, but not what this study reads") as caught:
            how("searches", ["nodes", "paths"])
        assert part.name in str(caught.value)


def test_equal_searches_give_equal_bytes_in_less_room(tmp_path: Path) -> None:
    many = [TREE for _ in range(400)]
    for name in ("one", "other"):
        packing.write(rows(many), tmp_path / name)
    content = (tmp_path / "one").read_bytes()
    assert (tmp_path / "other").read_bytes() == content
    partitions.write_parquet(rows(many), tmp_path / "plain", level=19)
    assert len(content) < (tmp_path / "plain").stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other", "plain"]
    assert bits(packing.read(tmp_path / "one", None)) == bits(rows(many))


def test_what_is_packed_is_sent_as_it_is(cell: Partition, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(cell.append("searches", rows([TREE]))).parents[2]
    for address, may_write in (("first", True), ("second", False)):
        if not may_write:
            cell.parts("searches")[0].unlink()
            monkeypatch.setattr(packing, "write", None)
        publish([(cell, ["searches"])], str(root.parent / address))
        cell = Store(root, [root.parent / address]).like(cell)
    parts = [set((root.parent / at).rglob("*.parquet")) for at in ("first", "second")]
    ((first,), (second,)) = parts
    assert first.name == second.name
    assert packing.is_smallest(second)


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise duckdb.IOException("No space left on device")

    monkeypatch.setattr(duckdb, "connect", full)
    with pytest.raises(StudyError, match="cannot write: No space left") as caught:
        packing.write(rows([TREE]), tmp_path / "part")
    assert str(tmp_path / "part") in str(caught.value)
    assert not list(tmp_path.iterdir())
