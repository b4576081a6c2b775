"""Tables that the generate zone writes into the store, column by column."""

from __future__ import annotations

from dataclasses import fields

import polars as pl

from compute_optimal.search.records import Ledger

SECONDS = ("seconds", "policy_seconds", "prm_seconds")

COUNTS = tuple(field.name for field in fields(Ledger) if field.name != "subtree")

COUNTS_OF: dict[str, tuple[str, ...]] = {
    "samples": (
        "sample_requests",
        "generated_tokens",
        "prompt_tokens_computed",
        "prompt_tokens_cached",
    ),
    "step_scores": (
        "score_requests",
        "prm_tokens_computed",
        "prm_tokens_cached",
        "prm_tokens_shared",
        "over_context",
    ),
    "searches": COUNTS,
}
"""The counts that a unit of each table has; the others are 0 for it."""

ORIGIN = ("engine", "machine", "package")

_INT, _REAL, _TEXT = pl.Int64(), pl.Float64(), pl.String()
_PROBLEM: dict[str, pl.DataType] = {"problem_id": _TEXT, "problem_hash": _TEXT}


def _unit(table: str, content: dict[str, pl.DataType]) -> dict[str, pl.DataType]:
    return {
        **_PROBLEM,
        **content,
        "run": _TEXT,
        **dict.fromkeys(COUNTS_OF[table], _INT),
        **dict.fromkeys(SECONDS, _REAL),
        **dict.fromkeys(ORIGIN, _TEXT),
    }


NODE: dict[str, pl.DataType] = {
    "depth": _INT,
    "node": _INT,
    "parent": _INT,
    "text": _TEXT,
    "margin": pl.Float32(),
    "n_tokens": _INT,
    "fate": _TEXT,
    "finished": pl.Boolean(),
    "finish_reason": _TEXT,
}

PATH: dict[str, pl.DataType] = {
    "path": _INT,
    "leaf": _INT,
    "text": _TEXT,
    "margins": pl.List(pl.Float32()),
    "n_tokens": _INT,
    "ended_by": _TEXT,
}

SCHEMAS: dict[str, dict[str, pl.DataType]] = {
    "samples": _unit(
        "samples",
        {
            "sample_index": _INT,
            "text": _TEXT,
            "text_hash": _TEXT,
            "n_tokens": _INT,
            "n_prompt_tokens": _INT,
            "finish_reason": _TEXT,
            "logprob_sum": _REAL,
        },
    ),
    "step_scores": _unit(
        "step_scores",
        {
            "sample_index": _INT,
            "text_hash": _TEXT,
            "margins": pl.List(pl.Float32()),
            "status": _TEXT,
        },
    ),
    "searches": _unit(
        "searches",
        {
            "subtree": _INT,
            "nodes": pl.List(pl.Struct(NODE)),
            "paths": pl.List(pl.Struct(PATH)),
        },
    ),
    "draws": {
        "history": _TEXT,
        "attempt": _INT,
        "number": _INT,
        "text": _TEXT,
        "token_ids": pl.List(pl.UInt32()),
        "finish_reason": _TEXT,
    },
}
"""Columns of the parts that the generate zone writes. Margins are logits; token columns are counts.

A row of samples, step_scores and searches is a unit: it is written whole, by one ``run`` (see
``partitions.new_run``), and holds what it cost, in the counts of ``search.records.Ledger``.
``seconds`` is its share of the run's wall time without loading, ``policy_seconds`` and
``prm_seconds`` what of it each engine took; ``engine``, ``machine`` and ``package`` say what made
it. ``text_hash`` is ``spec.text_hash`` of a sample's text, in step_scores of the text that was
scored. The seed of a sample is not stored, it follows from its key (``spec.seed_of_sample``).
A search is one subtree of DVTS, or a whole beam search (subtree 0): ``nodes`` are all that
it drew, parents first, ``paths`` its answers, as ``search.records`` describes them. In a part they
are ``ends``, without what follows from the nodes (``packing``).
"""
