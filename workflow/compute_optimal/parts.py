"""Tables that the generate zone writes into the store, column by column."""

from __future__ import annotations

from dataclasses import fields

import polars as pl

from compute_optimal.search.records import Ledger

ENGINE_SECONDS = ("policy_seconds", "prm_seconds")

COUNTS = [field.name for field in fields(Ledger) if field.name != "subtree"]

_INT, _REAL, _TEXT = pl.Int64(), pl.Float64(), pl.String()
_PROBLEM: dict[str, pl.DataType] = {"problem_id": _TEXT, "problem_hash": _TEXT}
SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "samples": {
        **_PROBLEM,
        "sample_index": _INT,
        "text": _TEXT,
        "n_tokens": _INT,
        "n_prompt_tokens": _INT,
        "finish_reason": _TEXT,
        "seed": _INT,
        "logprob_sum": _REAL,
    },
    "step_scores": {
        **_PROBLEM,
        "sample_index": _INT,
        "margins": pl.List(pl.Float32()),
        "status": _TEXT,
    },
    "nodes": {
        **_PROBLEM,
        "subtree": _INT,
        "depth": _INT,
        "node": _INT,
        "parent": _INT,
        "text": _TEXT,
        "margin": pl.Float32(),
        "n_tokens": _INT,
        "fate": _TEXT,
        "finished": pl.Boolean(),
        "finish_reason": _TEXT,
    },
    "paths": {
        **_PROBLEM,
        "subtree": _INT,
        "path": _INT,
        "leaf": _INT,
        "text": _TEXT,
        "margins": pl.List(pl.Float32()),
        "n_tokens": _INT,
        "ended_by": _TEXT,
    },
    "draws": {
        "history": _TEXT,
        "attempt": _INT,
        "number": _INT,
        "text": _TEXT,
        "token_ids": pl.List(pl.UInt32()),
        "finish_reason": _TEXT,
    },
    "ledger": {
        "run": _TEXT,
        "part": _INT,
        "seconds": _REAL,
        **dict.fromkeys(ENGINE_SECONDS, _REAL),
        **dict.fromkeys(COUNTS, _INT),
        "engine": _TEXT,
        "machine": _TEXT,
        "package": _TEXT,
    },
}
"""Columns of the parts that this zone writes. Margins are logits; token columns are counts.

In the ledger, ``seconds`` is wall time without loading, ``policy_seconds`` and ``prm_seconds`` what
of it each engine took. Parts written before these two were recorded lack them, and so do older ones
the counts of what was shared.
"""
