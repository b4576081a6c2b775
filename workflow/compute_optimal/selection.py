"""Compute-optimal selection of one (task, policy), four ways side by side, from its outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl

from compute_optimal.statistics.difficulty import BUCKETS
from compute_optimal.statistics.estimators import FloatArray
from compute_optimal.statistics.intervals import bootstrap_weights
from compute_optimal.statistics.selection import (
    paper_rule,
    select_cross_fitted,
    selection_report,
)

METHODS = ("best_of_n", "beam_search", "dvts")
"""What a strategy is chosen from: the paper's methods that use a PRM."""

RULES = ("in_sample", "fixed_rule", "cross_fitted", "oracle", "optimism_gap")

# Every replicate selects again in every fold: 200 replicates give a standard deviation to 5%.
REPLICATES, FOLDS, REPEATS = 200, 5, 5

SELECTION: dict[str, pl.DataType] = {
    "prm": pl.String(),
    "scoring": pl.String(),
    "voting": pl.String(),
    "budget": pl.Int64(),
    "rule": pl.String(),
    "accuracy": pl.Float64(),
    "ci_low": pl.Float64(),
    "ci_high": pl.Float64(),
    "n_strategies": pl.Int64(),
    "n_problems": pl.Int64(),
}
"""``prm`` is null where the PRM is chosen too. ``rule``: one of ``RULES``; the accuracy of
``optimism_gap`` is in-sample minus cross-fitted. Fractions."""

HELD_OUT: dict[str, pl.DataType] = {
    "scoring": pl.String(),
    "voting": pl.String(),
    "budget": pl.Int64(),
    "problem_id": pl.String(),
    "accuracy": pl.Float64(),
}
"""What the strategies give that other problems chose, PRM and all: the single problems behind the
rule ``cross_fitted``. Fractions."""


class _Key(NamedTuple):
    prm: str
    method: str
    scoring: str
    voting: str
    budget: int


def select_strategies(
    outcomes: pl.DataFrame,
    problem_ids: Sequence[str],
    *,
    task: str,
    n_parameters: int | None,
    is_reasoning: bool,
    budgets: Sequence[int],
    confidence: float,
    seed: int,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``SELECTION`` for every scoring, voting, budget and PRM, and for the choice of the PRM too;
    and ``HELD_OUT`` for the latter.

    ``outcomes``: as ``estimate.OUTCOMES``. A method that was not run at a budget, or lacks
    problems of a difficulty, is no candidate there.
    """
    index = {name: row for row, name in enumerate(problem_ids)}
    buckets = np.full(len(index), "unknown", dtype="<U16")
    candidates = outcomes.filter(
        pl.col("method").is_in(METHODS),
        pl.col("scoring").is_not_null(),
        pl.col("budget").is_in(budgets),
    )
    values: dict[_Key, FloatArray] = {}
    for key, part in candidates.group_by(_Key._fields, maintain_order=True):
        rows = [index[name] for name in part["problem_id"]]
        buckets[rows] = part["bucket"].to_numpy()
        values[_Key(*key)] = column = np.full(len(index), np.nan)
        column[rows] = part["accuracy"].to_numpy()
    weights = bootstrap_weights(len(index), REPLICATES, seed)
    fixed = _fixed_rule(task, n_parameters, is_reasoning)
    prms = list(dict.fromkeys(key.prm for key in values))
    rules = list(dict.fromkeys((key.scoring, key.voting) for key in values))
    found: list[tuple[object, ...]] = []
    held_out: list[tuple[object, ...]] = []
    for (scoring, voting), budget in product(rules, budgets):
        here = {k: v for k, v in values.items() if k[2:] == (scoring, voting, budget)}
        for prm in (*prms, None) if len(prms) > 1 else prms:
            chosen = {k: v for k, v in here.items() if prm in (None, k.prm)}
            if not chosen:
                continue
            methods = [key.method for key in chosen]
            outcome = np.stack([*chosen.values()])
            known = ~np.isnan(outcome).all(axis=0)
            # A PRM is not part of the paper's rule, so the rule needs one that is given.
            strategy_of = {
                bucket: methods.index(method)
                for bucket, method in fixed.items()
                if prm is not None and method in methods
            }
            report = selection_report(
                outcome[:, known],
                buckets[known],
                weights[:, known],
                strategy_of=strategy_of if len(strategy_of) == len(fixed) else None,
                folds=FOLDS,
                repeats=REPEATS,
                seed=seed,
                confidence=confidence,
            )
            sizes = len(chosen), int(known.sum())
            for rule in RULES:
                estimate = getattr(report, rule)
                if estimate is not None and not np.isnan(estimate.value):
                    row = (scoring, voting, budget, rule, *estimate, *sizes)
                    found.append((prm, *row))
                    if len(prms) == 1:
                        found.append((None, *row))
            if prm is None or len(prms) == 1:
                apart = select_cross_fitted(
                    outcome[:, known], buckets[known], FOLDS, REPEATS, seed
                ).accuracy
                names = (problem_ids[row] for row in np.flatnonzero(known))
                held_out += [
                    (scoring, voting, budget, name, accuracy)
                    for name, accuracy in zip(names, apart.tolist(), strict=True)
                    if not np.isnan(accuracy)
                ]
    return (
        pl.DataFrame(found, schema=SELECTION, orient="row").fill_nan(None),
        pl.DataFrame(held_out, schema=HELD_OUT, orient="row"),
    )


def _fixed_rule(task: str, n_parameters: int | None, is_reasoning: bool) -> Mapping[str, str]:
    if n_parameters is None:
        return {}
    # ASSUME: on tasks that the paper does not have, its rule for MATH-500 holds.
    known = task if task in ("MATH-500", "AIME24") else "MATH-500"
    return {
        bucket: paper_rule(known, n_parameters, bucket, is_reasoning=is_reasoning)
        for bucket in BUCKETS
    }
