"""What a unit of a cell can be, whatever a model said: told without one.

``verify`` looks at every shipped unit of a study, ``audit`` at those of its slice and, of these, at
their trees path by path as well, which takes too long for all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from compute_optimal.policies.steps import split_steps
from compute_optimal.store.places import Kind
from compute_optimal.store.schemas import COUNTS_OF, SECONDS
from compute_optimal.store.units import NUMBERS
from compute_optimal.study.cells import Cell
from compute_optimal.study.spec import text_hash

_SAID: dict[Kind, tuple[str, ...]] = {
    "samples": ("text", "text_hash", "n_tokens", "n_prompt_tokens"),
    "step_scores": ("status", "margins"),
    "searches": ("nodes",),
}

LOOKED_AT: dict[Kind, tuple[str, ...]] = {
    kind: ("problem_id", *columns, *COUNTS_OF[kind], *SECONDS) for kind, columns in _SAID.items()
}
"""The columns of a kind of unit by which ``impossible`` tells, and the problem's name."""


def impossible(cell: Cell, rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """What is wrong with units of a cell, in words -> those of ``rows`` of which it is true.

    ``rows``: units with the columns ``LOOKED_AT`` of their kind and their number.
    """
    # All at once: nearly always nothing is wrong, and no row need be looked for.
    holds = rows.select(so.alias(what) for what, so in _all_are(cell).items())
    return {so.name: rows.filter(~so) for so in holds.iter_columns() if not so.all()}


def _all_are(cell: Cell) -> dict[str, pl.Expr]:
    """What no unit of a cell is -> the opposite, true of all that an engine makes."""
    so = {
        f"with {name} that are no cost": (
            pl.col(name).cast(pl.Float64).is_between(0, math.inf, closed="left").fill_null(False)
        )
        for name in (*COUNTS_OF[cell.kind], *SECONDS)
    }
    so["with a number below 0"] = pl.col(NUMBERS[cell.kind]) >= 0
    if cell.method == "beam_search":
        so["with the number of a second search"] = pl.col("subtree") == 0
    if cell.kind == "samples":
        digests = pl.col("text").map_batches(_hashes, return_dtype=pl.String)
        so["with the hash of another text"] = digests == pl.col("text_hash")
        so["with tokens that do not add up"] = (
            pl.col("generated_tokens") == pl.col("n_tokens")
        ) & (
            pl.col("prompt_tokens_computed") + pl.col("prompt_tokens_cached")
            == pl.col("n_prompt_tokens") * pl.col("sample_requests")
        )
    if cell.kind == "searches":
        nodes, node = pl.col("nodes"), pl.element().struct
        so["with scores that are no numbers"] = nodes.list.eval(
            node.field("margin").is_finite().fill_null(True)
        ).list.all()
        so["with tokens that do not add up"] = (
            nodes.list.eval(node.field("n_tokens")).list.sum() == pl.col("generated_tokens")
        ) & (nodes.list.len() == pl.col("sample_requests"))
    if cell.kind == "step_scores":
        margins = pl.col("margins")
        so["with scores that are no numbers"] = margins.list.eval(
            pl.element().is_finite().fill_null(False)
        ).list.all()
        so["with scores and without, by their status"] = (margins.list.len() > 0) == (
            pl.col("status") == "scored"
        )
    return so


def _hashes(texts: pl.Series) -> pl.Series:
    """``text_hash`` of each; pools repeat themselves."""
    known: dict[str, str] = {}
    return pl.Series(
        [known.get(t) or known.setdefault(t, text_hash(t)) for t in texts], dtype=pl.String
    )


def histories(tree: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Of each node of a tree, the texts from the first step to its own."""
    texts: dict[int, tuple[str, ...]] = {}
    for node in tree["nodes"]:
        before = () if node["parent"] is None else texts.get(node["parent"], ())
        texts[node["node"]] = (*before, node["text"])
    return [texts[node["node"]] for node in tree["nodes"]]


def impossible_paths(tree: Mapping[str, Any]) -> Iterator[str]:
    """In words, the paths of a search that its own nodes contradict."""
    texts = dict(zip((node["node"] for node in tree["nodes"]), histories(tree), strict=True))
    for path in tree["paths"]:
        steps = [step for text in texts.get(path["leaf"], ()) for step in split_steps(text)]
        if split_steps(path["text"]) != steps:
            yield f"path {path['path']} is not what its nodes say"
        elif len(path["margins"]) != len(steps):
            yield f"path {path['path']} has not one score a step"
