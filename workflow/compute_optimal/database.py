"""One DuckDB file of everything that is known of a study; figures and tables are queries on it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from compute_optimal import cells
from compute_optimal.config import Study
from compute_optimal.coverage import coverage
from compute_optimal.parts import SCHEMAS
from compute_optimal.prm_ability import RATES
from compute_optimal.published import load_processbench
from compute_optimal.storage import Storage

FILES = ("problems", "answers", "difficulty", "curves", "outcomes", "selection")
"""Kinds of parquet files that go in; each file carries its task, policy and origin."""

STEP_FILES = {"prm_rates": RATES}
"""Kinds that only tasks with checkable steps have, with their columns."""

_LEDGER_KEYS: dict[str, pl.DataType] = {
    **dict.fromkeys(("task", "policy", "prm", "what", "kind"), pl.String()),
    "n_units": pl.Int64(),
}

_TEXT, _COUNT = pl.String(), pl.Int64()
_ENTRIES: dict[str, dict[str, pl.DataType]] = {
    "policies": {
        "policy": _TEXT,
        "title": _TEXT,
        "family": _TEXT,
        "n_parameters": _COUNT,
        "origin": _TEXT,
    },
    "prms": {"prm": _TEXT, "title": _TEXT, "format": _TEXT, "n_parameters": _COUNT},
    "tasks": {"task": _TEXT, "title": _TEXT, "n_problems": _COUNT},
    "study_budgets": {"budget": _COUNT},
    "settings": {
        "confidence": pl.Float64(),
        "replicates": _COUNT,
        "vote_subsets": _COUNT,
        "seed": _COUNT,
        "beam_width": _COUNT,
    },
}

_VIEWS = {
    "pools": """
        SELECT task, policy, pool, problem_id, sample_index, answer, answer_class, correct, status,
               n_tokens, finish_reason
        FROM answers WHERE pool IS NOT NULL""",
    "search_paths": """
        SELECT task, policy, prm, method, budget, problem_id, subtree, sample_index AS path, answer,
               answer_class, correct, status, n_tokens, n_tokens_tree, finish_reason, margins
        FROM answers WHERE method IS NOT NULL""",
    "pass_at_1": """
        SELECT task, policy, pool, problem_id, n_samples, n_correct, pass_at_1
        FROM rated""",
    "difficulty": """
        SELECT task, policy, problem_id, pass_at_1, n_samples, bucket, pool
        FROM rated WHERE pool = bucket_pool""",
    "curves": """
        SELECT c.*, c.budget * s.prm_tokens AS prm_tokens
        FROM curve_points c LEFT JOIN prm_costs s USING (task, policy, prm)""",
    # Ability to find the first error: F1, in %. Measured rows have a task and, unless they are over
    # all policies, a policy; published ones have neither. Figure 6 of the paper is about MATH.
    "prm_ability": """
        SELECT prm, 100 * value AS ability, 100 * ci_low AS ci_low, 100 * ci_high AS ci_high,
               'exact check of the steps' AS source, task, policy
        FROM prm_rates WHERE measure = 'f1'
        UNION ALL
        SELECT registry_prm, f1, NULL, NULL, 'ProcessBench ' || subset, NULL, NULL
        FROM processbench WHERE subset = 'MATH'""",
}


def build(
    study: Study,
    storage: Storage,
    files: Sequence[Path],
    published: Path,
    processbench: Path,
    output: Path,
) -> None:
    """Write the database of ``study`` from its parquet files, atomically."""
    by_kind = {
        kind: [str(f) for f in files if f.name.startswith(f"{kind}-")]
        for kind in (*FILES, *STEP_FILES)
    }
    by_kind["problems"] = [str(f) for f in files if f.parent.name == "problems"]
    frames: dict[str, pl.DataFrame] = {
        "cells": coverage(study, storage),
        "ledger": _ledger(study, storage),
        **_entries(study),
        "published": pl.read_csv(published),
        "processbench": load_processbench(processbench),
        **{
            kind: pl.DataFrame(schema=columns)
            for kind, columns in STEP_FILES.items()
            if not by_kind[kind]
        },
    }
    by_kind = {kind: paths for kind, paths in by_kind.items() if kind not in frames}
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        scratch = Path(folder) / output.name
        with duckdb.connect(str(scratch)) as database:
            names = {"difficulty": "rated", "curves": "curve_points"}
            for kind, paths in by_kind.items():
                database.execute(
                    f"CREATE TABLE {names.get(kind, kind)} AS "
                    "SELECT * FROM read_parquet(?, union_by_name = true)",
                    [paths],
                )
            for name, frame in frames.items():
                # By way of a file: DuckDB reads frames through pyarrow, which is not installed.
                file = Path(folder) / f"{name}.parquet"
                frame.write_parquet(file)
                database.execute(
                    f"CREATE TABLE {name} AS SELECT * FROM read_parquet(?)", [str(file)]
                )
            database.execute(
                "CREATE TABLE prm_costs AS SELECT task, policy, prm, "
                "sum(prm_tokens_computed + prm_tokens_cached) / nullif(any_value(n_units), 0) "
                "AS prm_tokens FROM ledger WHERE kind = 'step_scores' GROUP BY ALL"
            )
            for name, query in _VIEWS.items():
                database.execute(f"CREATE VIEW {name} AS {query}")
        scratch.replace(output)


def _entries(study: Study) -> dict[str, pl.DataFrame]:
    adopted = [study.adopted_collection(name) for name in study.adopted]
    origins = dict.fromkeys(study.policies, "run")
    origins |= {entry.policy: "adopted" for entry in adopted if entry.policy not in origins}
    prms = dict.fromkeys([*study.prms, *(entry.prm for entry in adopted)])
    tasks = dict.fromkeys([*study.tasks, *(entry.task for entry in adopted)])
    rows: dict[str, list[tuple[Any, ...]]] = {
        "policies": [
            (p.name, p.title, p.family, p.n_parameters, origins[p.name])
            for p in map(study.policy, origins)
        ],
        "prms": [(p.name, p.title, p.format, p.n_parameters) for p in map(study.prm, prms)],
        "tasks": [(task.name, task.title, task.n_problems) for task in map(study.task, tasks)],
        "study_budgets": [(budget,) for budget in study.budgets],
        "settings": [
            (
                study.statistics.confidence,
                study.statistics.bootstrap_replicates,
                study.statistics.vote_subsets,
                study.seed,
                study.beam_width,
            )
        ],
    }
    return {
        name: pl.DataFrame(rows[name], schema=_ENTRIES[name], orient="row") for name in _ENTRIES
    }


def _ledger(study: Study, storage: Storage) -> pl.DataFrame:
    """What the cells cost: one row a run of an engine, in the order of the study."""
    frames = []
    for task in study.tasks:
        for policy in study.policies:
            jobs: list[tuple[str | None, str, str, Any]] = [
                (None, pool, "samples", cells.sample_spec(study, task, policy, pool))
                for pool in cells.pool_sizes(study)
            ]
            for prm in study.prms:
                if "best_of_n" in study.methods:
                    spec = cells.score_spec(study, task, policy, prm)
                    jobs.append((prm, "best_of_n", "step_scores", spec))
                jobs += [
                    (prm, f"{search.method} N={search.budget}", "paths", search.spec)
                    for search in cells.searches(study, task, policy, prm)
                ]
            for of_prm, what, table, spec in jobs:
                cell = cells.partition(storage.store, spec)
                rows = cell.read("ledger")
                if rows.height:
                    frames.append(
                        rows.with_columns(
                            task=pl.lit(task),
                            policy=pl.lit(policy),
                            prm=pl.lit(of_prm, dtype=pl.String),
                            what=pl.lit(what),
                            kind=pl.lit(table),
                            n_units=pl.lit(cell.read(table, []).height),
                        )
                    )
    empty = pl.DataFrame(schema={**SCHEMAS["ledger"], **_LEDGER_KEYS})
    return pl.concat([empty, *frames], how="diagonal_relaxed")
