"""One DuckDB file of everything that is known of a study; figures and tables are queries on it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from compute_optimal import cells, units
from compute_optimal.adopt import FILES as ADOPTED_FILES
from compute_optimal.adopt import SOLUTIONS
from compute_optimal.config import PolicyEntry, Study
from compute_optimal.coverage import coverage, needs
from compute_optimal.parts import COUNTS, ORIGIN, SECONDS
from compute_optimal.prm_ability import RATES
from compute_optimal.prm_cases import CASES
from compute_optimal.pruning import PRUNING
from compute_optimal.published import load_optscale, load_processbench
from compute_optimal.reward_models import examine_solutions
from compute_optimal.spec import canonical
from compute_optimal.storage import Storage

FILES = (
    "problems", "answers", "difficulty", "curves", "outcomes", "selection", "choices",
    "chosen_outcomes", "picks", "calibration", "score_quality", "run_to_run",
)  # fmt: skip
"""Kinds of parquet files that go in; each file carries its task, policy and origin."""

STEP_FILES = {
    "prm_rates": RATES,
    "prm_cases": CASES,
    "pruning": {"task": pl.String(), "policy": pl.String(), **PRUNING},
}
"""Kinds that only tasks with checkable steps have, with their columns."""

FORMAT: dict[str, str | bool | int | float | list[str]] = {
    "storage_compatibility_version": "v1.0.0"
}
"""So that the file opens in every DuckDB since 1.1 (1.0 cannot read 2.0's way with some columns).

The same tables give the same rows in the same order, yet not the same bytes: DuckDB writes the
unused rest of a block as it was in memory, and no setting makes it write zeros (2.0.0; tried with
one thread, and in all formats).
"""

_CELL = {
    **dict.fromkeys(("task", "policy", "prm", "method", "kind", "spec"), pl.String()),
    **dict.fromkeys(("budget", "unit_budget"), pl.Int64()),
}

LEDGER: dict[str, pl.DataType] = {
    **_CELL,
    "n_units": pl.Int64(),
    "run": pl.String(),
    **dict.fromkeys(ORIGIN, pl.String()),
    **dict.fromkeys(SECONDS, pl.Float64()),
    **dict.fromkeys(COUNTS, pl.Int64()),
}
"""Columns of the table ``ledger``: what each run spent on the units of a cell that are its own.

Over all stored units that count, whether this study uses them or not, so that studies agree on what
a cell cost. ``spec`` is the cell's, as canonical JSON; ``kind`` the table of its units, of which
each makes up ``unit_budget`` of N. Only beam search has a ``budget``: the others' units serve any.
"""

_SPENT = (
    "seconds", "generated_tokens", "discarded_tokens", "prompt_tokens_computed",
    "prompt_tokens_cached", "prm_tokens_computed", "prm_tokens_cached",
)  # fmt: skip

_TEXT, _COUNT = pl.String(), pl.Int64()
_ENTRIES: dict[str, dict[str, pl.DataType]] = {
    "policies": {
        "policy": _TEXT,
        "title": _TEXT,
        "family": _TEXT,
        "n_parameters": _COUNT,
        "is_reasoning": pl.Boolean(),
        "origin": _TEXT,
        "model": _TEXT,
        "weights": _TEXT,
        "collection": _TEXT,
    },
    "prms": {"prm": _TEXT, "title": _TEXT, "format": _TEXT, "n_parameters": _COUNT},
    "tasks": {"task": _TEXT, "title": _TEXT, "n_problems": _COUNT},
    "study_budgets": {"budget": _COUNT},
    "prompts": {
        "prompt": _TEXT,
        "policies": _TEXT,
        "system": _TEXT,
        "user_suffix": _TEXT,
        "template_arguments": _TEXT,
        "source": _TEXT,
    },
    "settings": {
        "confidence": pl.Float64(),
        "replicates": _COUNT,
        "vote_subsets": _COUNT,
        "seed": _COUNT,
        "beam_width": _COUNT,
        "scoring": _TEXT,
        "voting": _TEXT,
    },
}

VIEWS = {
    "pools": """
        SELECT task, policy, pool, problem_id, sample_index, answer, answer_class, correct,
               official_correct, plain_correct, status, n_tokens, finish_reason
        FROM answers WHERE pool IS NOT NULL""",
    "search_paths": """
        SELECT task, policy, prm, method, budget, problem_id, repetition, subtree,
               sample_index AS path, answer, answer_class, correct, status, n_tokens, n_tokens_tree,
               finish_reason, margins
        FROM answers WHERE method IS NOT NULL""",
    "pass_at_1": """
        SELECT task, policy, pool, problem_id, n_samples, n_correct, pass_at_1
        FROM rated""",
    "difficulty": """
        SELECT task, policy, problem_id, pass_at_1, n_samples, bucket, pool
        FROM rated WHERE pool = bucket_pool""",
    "curves": """
        SELECT
            c.*,
            c.budget * (r.prm_tokens_computed + r.prm_tokens_cached) AS prm_tokens,
            c.budget * r.seconds AS seconds
        FROM curve_points c
        LEFT JOIN unit_costs r
            ON r.task = c.task AND r.policy = c.policy AND r.prm IS NOT DISTINCT FROM c.prm
            AND r.method = c.method AND coalesce(r.budget, c.budget) = c.budget""",
    # What each cell cost, over all runs that made it. Seconds are wall time without loading.
    "cell_costs": f"""
        SELECT task, policy, prm, method, budget, kind, sum(n_units)::BIGINT AS n_units,
               {", ".join(f"sum({name})::BIGINT AS {name}" for name in COUNTS)},
               {", ".join(f"sum({name}) AS {name}" for name in SECONDS)}
        FROM ledger GROUP BY ALL""",
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

UNIT_COSTS = f"""
    WITH counted AS (
        SELECT
            task, policy, prm, method, budget,
            sum(n_units * unit_budget) AS n,
            {", ".join(f"sum({name}) AS {name}" for name in (*COUNTS, *SECONDS))}
        FROM ledger
        GROUP BY task, policy, prm, method, budget
    ),
    alone AS (
        SELECT
            * REPLACE (CASE
                WHEN shared_tokens + prm_tokens_shared = 0 THEN seconds
                WHEN generated_tokens > shared_tokens AND prm_tokens_computed > prm_tokens_shared
                THEN policy_seconds * generated_tokens / (generated_tokens - shared_tokens)
                    + prm_seconds * prm_tokens_computed / (prm_tokens_computed - prm_tokens_shared)
                    + (seconds - policy_seconds - prm_seconds)
                    * (generated_tokens + prm_tokens_computed) / (
                        generated_tokens - shared_tokens + prm_tokens_computed - prm_tokens_shared)
                ELSE seconds * (generated_tokens + prm_tokens_computed) / nullif(
                    generated_tokens - shared_tokens + prm_tokens_computed - prm_tokens_shared, 0)
            END AS seconds)
        FROM counted
    ),
    spent AS (
        SELECT task, policy, prm, method, budget, {", ".join(f"{x} / n AS {x}" for x in _SPENT)}
        FROM alone
    )
    SELECT
        s.task, s.policy, s.prm, s.method, s.budget,
        {", ".join(f"s.{x} + if(s.method = 'best_of_n', p.{x}, 0) AS {x}" for x in _SPENT)}
    FROM spent s
    LEFT JOIN spent p ON p.task = s.task AND p.policy = s.policy AND p.method = 'majority'"""
"""What a method costs per problem and unit of budget; ``budget`` is null where this holds for all.

Means over all units of a cell that are stored, by what each makes up of N: a sample 1, a subtree of
DVTS M, a beam search its N. So they depend neither on the study that asks nor on its largest N.

Best-of-N pays for its samples too. All is what the method costs on its own: tokens that units had
in common count for each, and a cell that shared any is given the seconds that they would have
taken: each engine's at the rate of the tokens that it computed for the cell, the rest at that of
both. Where only one engine computed any, its rate is that of all; where none did, NULL.
"""


def build_database(
    study: Study,
    storage: Storage,
    tables: Sequence[Path],
    published: Path,
    processbench: Path,
    optscale: Path,
    pretraining: Path,
    output: Path,
) -> None:
    """The rule of this name: ``build`` with the files of published numbers."""
    printed = {
        "published": pl.read_csv(published),
        "pretraining": pl.read_csv(pretraining),
        "processbench": load_processbench(processbench),
        "optscale": load_optscale(optscale),
    }
    build(study, storage, tables, printed, output)


def build(
    study: Study,
    storage: Storage,
    files: Sequence[Path],
    printed: Mapping[str, pl.DataFrame],
    output: Path,
) -> None:
    """Write the database of ``study`` from its parquet files, atomically.

    ``printed``: tables of numbers that others published.
    """
    by_kind = {
        kind: [str(f) for f in files if f.name.startswith(f"{kind}-")]
        for kind in (*FILES, *STEP_FILES)
    }
    by_kind["problems"] = [str(f) for f in files if f.parent.name == "problems"]
    adopted = _adopted(study, storage)
    frames: dict[str, pl.DataFrame] = {
        "cells": coverage(study, storage),
        "ledger": _ledger(study, storage),
        **_entries(study),
        **adopted,
        **examine_solutions(
            adopted["scored_solutions"],
            study.statistics.bootstrap_replicates,
            study.statistics.confidence,
            study.seed,
        ),
        **printed,
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
        with duckdb.connect(str(scratch), config=FORMAT) as database:
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
            database.execute(f"CREATE TABLE unit_costs AS {UNIT_COSTS}")
            for name, query in VIEWS.items():
                database.execute(f"CREATE VIEW {name} AS {query}")
        scratch.replace(output)


def _entries(study: Study) -> dict[str, pl.DataFrame]:
    adopted = [study.adopted_collection(name) for name in study.adopted]
    prms = dict.fromkeys([*study.prms, *(prm for entry in adopted for prm in entry.prms)])
    tasks = dict.fromkeys([*study.tasks, *(entry.task for entry in adopted)])
    asked = [*map(study.policy, study.policies)]
    rows: dict[str, list[tuple[Any, ...]]] = {
        "policies": [
            *(
                (
                    *(p.name, p.title, p.family, p.n_parameters, p.is_reasoning),
                    *("run", p.name, p.dtype, None),
                )
                for p in asked
            ),
            *_adopted_policies(study),
        ],
        "prms": [(p.name, p.title, p.format, p.n_parameters) for p in map(study.prm_facts, prms)],
        "tasks": [(task.name, task.title, task.n_problems) for task in map(study.task, tasks)],
        "study_budgets": [(budget,) for budget in study.budgets],
        "prompts": [
            (
                prompt.name,
                ", ".join(p.title for p in asked if p.prompt == prompt.name),
                prompt.system,
                prompt.user_suffix,
                ", ".join(f"{name} = {value}" for name, value in prompt.template_arguments.items()),
                prompt.source,
            )
            for prompt in study.prompts
        ],
        "settings": [
            (
                study.statistics.confidence,
                study.statistics.bootstrap_replicates,
                study.statistics.vote_subsets,
                study.seed,
                study.beam_width,
                study.aggregation.scoring,
                study.aggregation.voting,
            )
        ],
    }
    return {
        name: pl.DataFrame(rows[name], schema=_ENTRIES[name], orient="row") for name in _ENTRIES
    }


def _adopted_policies(study: Study) -> Iterator[tuple[Any, ...]]:
    """A policy once a source: what it is called here, which model it is, and whose rollouts."""
    seen = set(study.policies)
    for (_, name), collection in cells.adopted_names(study).items():
        if name in seen:
            continue
        seen.add(name)
        entry = study.adopted_collection(collection)
        model = study.policy_facts(str(entry.policy))
        title = model.title if name == model.name else f"{model.title} ({entry.title})"
        weights = model.dtype if isinstance(model, PolicyEntry) else model.weights
        yield (
            name, title, model.family, model.n_parameters, model.is_reasoning, "adopted",
            model.name, weights, collection,
        )  # fmt: skip


ADOPTED: dict[str, dict[str, pl.DataType]] = {
    "collections": {
        **dict.fromkeys(
            (
                "collection", "title", "task", "policy", "prm", "variant", "source", "commit",
                "licence", "caveats", "files_left_out", "file", "sha256",
            ),
            _TEXT,
        )
    },
    "adopted_files": {"collection": _TEXT, **ADOPTED_FILES},
    "adopted_findings": {
        "collection": _TEXT,
        "path": _TEXT,
        "reason": _TEXT,
        "adopted": pl.Boolean(),
        "n": _COUNT,
        "detail": _TEXT,
    },
    "scored_solutions": {"collection": _TEXT, **SOLUTIONS},
}  # fmt: skip
"""Tables about adopted collections: what each is, what its files held, what was found wrong in
them, and solutions of known truth with reward models' scores."""


def _adopted(study: Study, storage: Storage) -> dict[str, pl.DataFrame]:
    names = {collection: name for (_, name), collection in cells.adopted_names(study).items()}
    frames = {name: [pl.DataFrame(schema=schema)] for name, schema in ADOPTED.items()}
    stored = {
        "adopted_files": "adopted_files",
        "adopted_findings": "adopted_findings",
        "scored_solutions": "adopted_solutions",
    }
    for entry in map(study.adopted_collection, study.adopted):
        described = {
            **{key: getattr(entry, key, None) for key in ADOPTED["collections"]},
            "collection": entry.name,
            "policy": names.get(entry.name),
            # Of a collection on the hub, each of its repositories and revisions.
            "source": entry.source or " ".join(hub.hub_id for hub in entry.hub),
            "commit": entry.commit or " ".join(hub.revision for hub in entry.hub),
            "caveats": "\n".join(entry.caveats),
            "files_left_out": "\n".join(f"{x}: {why}" for x, why in entry.left_out.items()),
        }
        frames["collections"].append(pl.DataFrame([described], schema=ADOPTED["collections"]))
        cell = cells.partition(storage.store, cells.adopted_spec(entry))
        for name, table in stored.items():
            if (rows := cell.read(table)).height:
                found = rows.with_columns(collection=pl.lit(entry.name))
                frames[name].append(found.select(list(ADOPTED[name])))
    return {name: pl.concat(parts) for name, parts in frames.items()}


def _ledger(study: Study, storage: Storage) -> pl.DataFrame:
    """What the cells cost: one row a cell and run, in the order of the study."""
    frames = [pl.DataFrame(schema=LEDGER)]
    for need in needs(study):
        spent = units.costs(storage.store, need.spec)
        if spent.is_empty():
            continue
        cell = {
            "task": need.task,
            "policy": need.policy,
            "prm": need.prm,
            "method": need.method,
            "kind": need.table,
            "spec": canonical(need.spec),
            "budget": need.spec.get("budget"),
            "unit_budget": units.budget(need.spec),
        }
        of_runs = spent.group_by("run", *ORIGIN, maintain_order=True).agg(
            pl.len().alias("n_units"), pl.col(*SECONDS, *COUNTS).sum()
        )
        of_cell = [pl.lit(cell[name], dtype=kind).alias(name) for name, kind in _CELL.items()]
        frames.append(
            of_runs.with_columns(of_cell).select(pl.col(x).cast(kind) for x, kind in LEDGER.items())
        )
    return pl.concat(frames)
