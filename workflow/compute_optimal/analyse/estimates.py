"""The rule ``estimate_accuracy``: from answers and scores to the tables of a (task, policy)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from compute_optimal.analyse import accuracy, adopted_pools, predicted_difficulty
from compute_optimal.analyse.adaptive_budgets import examine_stopping
from compute_optimal.analyse.answer_grid import in_order_of
from compute_optimal.analyse.score_quality import examine_scores
from compute_optimal.analyse.selection import select_strategies
from compute_optimal.analyse.uncertain_buckets import examine_buckets
from compute_optimal.judge.answers import of_cell, scores_of, scores_of_adopted
from compute_optimal.store.partitions import read_table, write_result
from compute_optimal.store.storage import Storage
from compute_optimal.study.requests import (
    AdoptedEstimatesRequest,
    Estimated,
    EstimatesRequest,
    PolicyPart,
    RunEstimatesRequest,
)


def estimate_accuracy(
    request: EstimatesRequest,
    storage: Storage,
    problems: Path,
    answers: Path,
    outputs: Sequence[Path],
) -> None:
    """Write each table of ``analysed`` to the output named <table>-<anything>.

    Raises ``StudyError`` where the store has lost scores.
    """
    facts, graded = read_table(problems), read_table(answers)
    tables: dict[str, list[pl.DataFrame]] = {}
    for policy, scores in _with_scores(request, storage, facts):
        estimated = analysed(policy, request, facts, graded.filter(policy=policy.policy), scores)
        for name, table in estimated.items():
            tables.setdefault(name, []).append(table)
    for path in outputs:
        write_result(pl.concat(tables[path.name.rsplit("-", 1)[0]]), path)


def _with_scores(
    request: EstimatesRequest, storage: Storage, facts: pl.DataFrame
) -> Iterator[tuple[PolicyPart, dict[str, pl.DataFrame]]]:
    """Policies one at a time: scores of all that is adopted on a task are large together."""
    if isinstance(request, AdoptedEstimatesRequest):
        for policy in request.collections:
            yield policy, scores_of_adopted(policy.adopted, storage)
    else:
        yield request, scores_of(request.scores, storage, facts)


def analysed(
    policy: PolicyPart,
    request: Estimated,
    problems: pl.DataFrame,
    answers: pl.DataFrame,
    scores: Mapping[str, pl.DataFrame],
) -> dict[str, pl.DataFrame]:
    """Everything that is estimated of one (task, policy), by the name of its table.

    ``problems``: facts about the task's problems; ``answers``: graded answers of the policy;
    ``scores``: PRM -> (problem_id, sample_index, margins) of the evaluation pool.
    """
    settings, task = request.settings, request.task
    # Several analyses ask for the scores by sample: they are worked out once.
    pool = answers.filter(pool="evaluation")
    scores = {prm: in_order_of(pool, of_prm) for prm, of_prm in scores.items()}
    ids = problems["problem_id"].to_list()
    rated = accuracy.difficulty(answers, ids, settings)
    # No sample may say both how hard a problem is and how well it is solved: what a pool of others
    # says of difficulty is used where it is split, and nowhere else.
    by_others = rated.filter(bucket_pool="difficulty")
    buckets = dict(by_others.select("problem_id", "bucket").unique().iter_rows())
    is_adopted = isinstance(request, AdoptedEstimatesRequest)
    is_split = is_adopted and adopted_pools.is_split(answers)
    if is_split:
        halves = adopted_pools.difficulty_of_halves(answers, ids, settings)
        rated = pl.concat([rated, halves])
    scored = request.scored if isinstance(request, RunEstimatesRequest) else {}
    curves, outcomes, repeated, tokens = accuracy.estimate(
        answers, scores, buckets, ids, settings, scored
    )
    selected = select_strategies(
        outcomes,
        ids,
        task=task,
        n_parameters=policy.n_parameters,
        is_reasoning=policy.is_reasoning,
        # One sample is a budget too: where curves of compute-optimal scaling begin.
        budgets=sorted({1, *settings.budgets}),
        replicates=settings.bootstrap_replicates,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    examined = examine_scores(answers, scores, ids, settings, scored)
    examined["run_to_run"] = pl.concat([examined["run_to_run"], repeated])
    carried = {name: pl.DataFrame(schema=schema) for name, schema in adopted_pools.TABLES.items()}
    if is_adopted:
        carried = adopted_pools.examine_pools(answers, scores, ids, settings)
    if is_split:
        by_difficulty = adopted_pools.curves_by_difficulty(
            carried["pool_outcomes"], tokens, ids, settings
        )
        curves = pl.concat([curves, by_difficulty])
    ways = (
        adopted_pools.ways_round(answers, carried["pool_outcomes"], ids, settings)
        if is_adopted
        else predicted_difficulty.ways_of_run(answers, rated, outcomes)
    )
    predicted = predicted_difficulty.examine_predictions(ways, scores, tokens, ids, settings)
    tables = {
        "difficulty": rated,
        "curves": curves,
        "outcomes": outcomes,
        **selected,
        **examined,
        **carried,
        **predicted,
        "adaptive": examine_stopping(answers, scores, ids, settings, scored),
        "bucket_accuracy": examine_buckets(answers, outcomes, ids, settings),
    }
    return {name: of_cell(table, task, policy.policy) for name, table in tables.items()}
