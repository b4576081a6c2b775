"""How each number was made: what decides the bytes of every cell, and what wrote them."""

from __future__ import annotations

from collections.abc import Sequence

from compute_optimal.present import style
from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import Cell, Column, Table

_REVISION_LENGTH = 12
_SEVERAL = "; "
"""Between the versions of a cell; the query ``provenance`` puts it there."""
_SHOWN = 10
"""Digests of cells that a note lists."""


def cells(rows: Sequence[Row], title: str) -> Table:
    """A row per cell that was generated, in the order of the study."""
    columns = [
        Column("task", "Task"),
        Column("policy", "Policy"),
        Column("prm", "PRM"),
        Column("what", "What"),
        Column("units", "Units", "number", digits=0),
        Column("digest", "Digest"),
        Column("policy_revision", "Policy revision"),
        Column("prm_revision", "PRM revision"),
        Column("seed", "Seed", "number", digits=0),
        Column("temperature", "Temperature", "number"),
        Column("dtype", "Number format"),
        Column("engine", "Engine"),
        Column("package", "Package"),
        Column("machine", "Machine"),
    ]
    return Table(
        title,
        columns,
        [_cell(row) for row in rows],
        [
            *_mixed(rows),
            "Units: samples, scored samples, beam searches or subtrees of DVTS in the store, also "
            "beyond this study's budgets. Digest: of the specification, in the name of the cell's "
            "folder. Revisions: first digits of a commit or a content hash.",
        ],
    )


def _mixed(rows: Sequence[Row]) -> list[str]:
    """What to say of cells with units of several versions of an engine; nothing without any."""
    mixed = [row["digest"] for row in rows if _SEVERAL in (row["engines"] or "")]
    if not mixed:
        return []
    return [
        f"Of {len(rows)} cells, {len(mixed)} hold units of more than one version of the engine, "
        f"as their column Engine says: {', '.join(mixed[:_SHOWN])}"
        + (f" and {len(mixed) - _SHOWN} more." if len(mixed) > _SHOWN else ".")
    ]


def _cell(row: Row) -> list[Cell]:
    method = style.METHODS.get(row["method"])
    name = method.short if method else row["method"]
    what = {"samples": f"samples for {name}", "step_scores": "step scores"}.get(row["kind"], name)
    return [
        row["task_title"],
        row["policy_title"],
        row["prm_title"] or "none",
        what if row["budget"] is None else f"{what}, N = {row['budget']:,}",
        row["n_units"],
        row["digest"],
        _revision(row["policy_revision"]),
        _revision(row["prm_revision"]) if row["prm"] else "none",
        "not recorded" if row["seed"] is None else row["seed"],
        "not recorded" if row["temperature"] is None else row["temperature"],
        row["dtype"] or "not recorded",
        row["engines"] or "not recorded",
        row["packages"] or "not recorded",
        row["machines"] or "not recorded",
    ]


def _revision(text: str | None) -> str:
    if not text:
        return "not recorded"
    kind, colon, value = text.rpartition(":")
    return f"{kind}{colon}{value[:_REVISION_LENGTH]}"
