"""What stored units say, apart from what making them took."""

from __future__ import annotations

import polars as pl

from compute_optimal.store import units
from compute_optimal.store.schemas import ORIGIN, SECONDS
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import Study

MEASURED = (
    *("run", *SECONDS, *ORIGIN),
    *(f"{kind}_tokens_{how}" for kind in ("prompt", "prm") for how in ("computed", "cached")),
    *("shared_tokens", "prm_tokens_shared"),
)
"""Columns that differ from run to run even where engines are functions of the seed."""


def said(frame: pl.DataFrame) -> pl.DataFrame:
    """Units without what was measured while they were made."""
    return frame.drop(MEASURED, strict=False)


def trees(of: Study, search: cells.Cell) -> dict[str, pl.DataFrame]:
    """Nodes and paths of a cell of searches, and what its units cost."""
    store = Storage.of(of).store
    return {
        "nodes": units.nodes(store, search.spec),
        "paths": units.paths(store, search.spec),
        "costs": next(units.costs(store, [search.spec])),
    }
