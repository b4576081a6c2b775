"""What a study needs, what is stored of it, and what the rest would cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.store import units
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import Study
from compute_optimal.study.spec import Spec

POOL_METHODS = {"greedy": "cot", "evaluation": "majority", "difficulty": "difficulty"}


@dataclass(frozen=True)
class Need:
    """One cell of a study: the units of ``table`` that it needs for each problem, their spec."""

    task: str
    policy: str
    prm: str | None
    method: str
    budget: int
    spec: Spec
    table: str
    per_problem: int


def needs(study: Study) -> Iterator[Need]:
    """Every cell of a study, in the order of ``coverage``."""
    top = max(study.budgets)
    for task in study.tasks:
        for policy in study.policies:
            for pool, size in cells.pool_sizes(study).items():
                spec = cells.sample_spec(study, task, policy, pool)
                yield Need(task, policy, None, POOL_METHODS[pool], size, spec, "samples", size)
            for prm in study.prms:
                if "best_of_n" in study.methods:
                    spec = cells.score_spec(study, task, policy, prm)
                    yield Need(task, policy, prm, "best_of_n", top, spec, "step_scores", top)
                for search in cells.searches(study, task, policy, prm):
                    yield Need(
                        task,
                        policy,
                        prm,
                        search.method,
                        search.budget,
                        search.spec,
                        "searches",
                        search.subtrees,
                    )


COVERAGE = Columns(
    "What a study needs and what is stored of it, one row a cell; costs are estimates",
    {
        **common("task", "policy", "prm"),
        "method": Column(TEXT, "Method; difficulty is the pool of samples that decides buckets"),
        **common("budget"),
        "status": Column(TEXT, "stored, partial or missing"),
        "n_stored": Column(COUNT, "Number of units stored: samples, scored samples or searches"),
        "n_needed": Column(COUNT, "Number of units that the study needs"),
        "row_tokens": Column(
            REAL, "Tokens to generate (to score, for best_of_n) for one unit, as is estimated"
        ),
        "tokens_needed": Column(COUNT, "Tokens of all units that are missing, as is estimated"),
    },
)


def coverage(study: Study, storage: Storage | None = None) -> pl.DataFrame:
    """A table of ``COVERAGE``; tokens are estimated from what is stored of the same policy.

    Reads keys, no texts; needs no network and no model.
    """
    storage = storage or Storage.of(study)
    facts = {name: storage.stored_facts(study.task(name), study.problems) for name in study.tasks}
    rows = []
    solution_tokens: dict[tuple[str, str], float] = {}
    for need in needs(study):
        known = facts[need.task]
        limit = study.problems or study.task(need.task).n_problems
        n_problems = limit if known is None else known.height
        counted = ["n_tokens"] if need.table == "samples" else []
        found = units.stored(storage.store, need.spec, counted)
        stored, tokens = 0, None
        if not found.is_empty():
            found = found.filter(pl.col(units.NUMBERS[need.table]) < need.per_problem)
            if known is not None:
                found = found.filter(pl.col("problem_hash").is_in(known["problem_hash"].implode()))
            stored = found.height
            tokens = found["n_tokens"].mean() if counted else None
        if need.table == "samples" and isinstance(tokens, float):
            solution_tokens[need.task, need.policy] = tokens
        needed = n_problems * need.per_problem
        each = solution_tokens.get(
            (need.task, need.policy), float(study.policy(need.policy).solution_tokens)
        )
        missing = max(0, needed - stored)
        if need.table == "searches":
            # ASSUME: a search generates about what N independent samples would.
            each *= need.budget / need.per_problem
        rows.append(
            (
                need.task,
                need.policy,
                need.prm,
                need.method,
                need.budget,
                "missing" if stored == 0 else "partial" if missing else "stored",
                stored,
                needed,
                each,
                round(missing * each),
            )
        )
    return pl.DataFrame(
        rows,
        orient="row",
        schema=COVERAGE,
    )


def missing_cells(covered: pl.DataFrame) -> StudyError | None:
    """The error that lists and prices what ``coverage`` found missing, or None if all is stored."""
    missing = covered.filter(pl.col("status") != "stored")
    if missing.is_empty():
        return None
    lines = [
        f"{row['task']} / {row['policy']}"
        + (f" / {row['prm']}" if row["prm"] else "")
        + f" / {row['method']} N={row['budget']}: {row['n_stored']:,} of {row['n_needed']:,} stored"
        + f", about {row['tokens_needed']:,} tokens to "
        + ("score" if row["method"] == "best_of_n" else "generate")
        for row in missing.iter_rows(named=True)
    ]
    total = missing["tokens_needed"].sum()
    return StudyError(
        f"{missing.height} cells are not in the store, about {total:,} tokens if each runs alone, "
        "and this study may not generate:\n    " + "\n    ".join(lines),
        where="generate: never",
        cure="set `generate: missing` and use an environment with an engine "
        "(make run CONFIG=...), or fetch a store that has them; make plan says what they cost "
        "together",
    )
