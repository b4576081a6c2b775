"""Compute-optimal selection of one (task, policy), four ways side by side, from its outcomes.

The choice is made here and nowhere else: which PRM, and with it which method for each difficulty.
Tables, figures, claims and notebooks read it, its accuracies and their intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute_optimal.analyse.accuracy import by_problem
from compute_optimal.analyse.paper_rule import methods_of_paper
from compute_optimal.analyse.statistics.estimators import FloatArray
from compute_optimal.analyse.statistics.intervals import mean_interval, problem_weights
from compute_optimal.analyse.statistics.selection import (
    Choice,
    Fit,
    Selection,
    choose,
    fit,
    select_fixed,
    select_oracle,
)
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common

METHODS = ("best_of_n", "beam_search", "dvts")
"""What a strategy is chosen from: the paper's methods that use a PRM."""

RULES = ("in_sample", "fixed_rule", "cross_fitted", "oracle", "optimism_gap")
"""Rules of selection; optimism_gap is in_sample minus cross_fitted."""

# Every replicate selects again in every fold: 200 replicates give a standard deviation to 5%.
REPLICATES, FOLDS, REPEATS = 200, 5, 5

_RULE = {
    **common("scoring", "voting", "budget"),
    "rule": Column(TEXT, f"Rule of selection: {', '.join(RULES)}"),
}
SELECTION = Columns(
    "Accuracy of compute-optimal selection, by each rule",
    {
        "prm": Column(TEXT, "PRM of the strategies; null where the PRM is chosen too"),
        **_RULE,
        "accuracy": Column(REAL, "Accuracy, 0 to 1; of optimism_gap in-sample minus cross-fitted"),
        **common("ci_low", "ci_high"),
        "n_strategies": Column(COUNT, "Number of strategies to choose from"),
        **common("n_problems"),
        "widening": Column(
            REAL, "Of cross_fitted: factor by which choosing anew widens the interval; else null"
        ),
    },
)
"""``widening`` of ``cross_fitted``: how many times as far its mean spreads, of problems that choose
anew, as resampled ones do when the choice is kept; its interval is wider by it, and so must be
whatever else is resampled of it."""

CHOICES = Columns(
    "What is chosen where the PRM is chosen too: one row a strategy that a bucket is given",
    {
        **_RULE,
        **common("bucket"),
        "prm": Column(TEXT, "PRM of the strategy"),
        "method": Column(TEXT, "Method of the strategy"),
        "share": Column(REAL, "Share of the bucket's problems that are given it, 0 to 1"),
        "n_problems": Column(COUNT, "Number of problems in the bucket"),
    },
)
"""``rule``: in_sample or cross_fitted. ``share`` adds up to 1 a bucket; in-sample it is 1 but for
ties, which share, cross-fitted it is the mean over folds and their repeats."""

CHOSEN_OUTCOMES = Columns(
    "What the choices give on each problem; their mean is the accuracy of selection",
    {
        **_RULE,
        **common("problem_id"),
        "accuracy": Column(REAL, "Chance of a right answer, 0 to 1"),
    },
)

HELD_OUT = Columns(
    "What the cross-fitted choice of methods gives on each problem, with each PRM",
    {
        "prm": Column(TEXT, "PRM of the strategies"),
        **common("scoring", "voting", "budget", "problem_id"),
        "accuracy": Column(REAL, "Chance of a right answer, 0 to 1"),
    },
)

TABLES = {
    "selection": SELECTION,
    "choices": CHOICES,
    "chosen_outcomes": CHOSEN_OUTCOMES,
    "held_out_outcomes": HELD_OUT,
}


class _Key(NamedTuple):
    prm: str
    method: str
    scoring: str
    voting: str
    budget: int


class _Cell(NamedTuple):
    """The strategies of one PRM under one aggregation at one budget."""

    outcome: FloatArray
    fit: Fit

    @property
    def n_strategies(self) -> int:
        return int((~np.isnan(self.outcome)).any(axis=1).sum())


def select_strategies(
    outcomes: pl.DataFrame,
    problem_ids: Sequence[str],
    *,
    task: str,
    n_parameters: int | None,
    is_reasoning: bool,
    budgets: Sequence[int],
    replicates: int,
    confidence: float,
    seed: int,
) -> dict[str, pl.DataFrame]:
    """``TABLES`` for every scoring, voting and budget, with each PRM and with the chosen one.

    ``outcomes``: as ``accuracy.OUTCOMES``. A method that was not run at a budget, or lacks
    problems of a difficulty, is no candidate there. The PRM is chosen at the largest budget and
    stays for the smaller ones, as in a curve of the paper; a budget that only some of the PRMs were
    run at is none of theirs, and decides for those alone. ``replicates``, ``confidence``,
    ``seed``: of the intervals, which are those of every other accuracy of these problems.
    """
    index = {name: row for row, name in enumerate(problem_ids)}
    buckets = np.full(len(index), "unknown", dtype="<U16")
    candidates = outcomes.filter(
        pl.col("method").is_in(METHODS),
        pl.col("scoring").is_not_null(),
        pl.col("budget").is_in(budgets),
    )
    places = np.array([index[name] for name in candidates["problem_id"]], dtype=np.int64)
    buckets[places] = candidates["bucket"].fill_null("unknown").to_numpy()
    accuracies = candidates["accuracy"].to_numpy()
    values: dict[_Key, FloatArray] = {}
    grouped = candidates.with_row_index("row").group_by(_Key._fields, maintain_order=True)
    for *key, rows in grouped.agg("row").iter_rows():
        values[_Key(*key)] = column = np.full(len(index), np.nan)
        column[places[rows]] = accuracies[rows]
    fixed = methods_of_paper(task, n_parameters, is_reasoning=is_reasoning)
    rows_of: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    chosen_of: dict[str, list[FloatArray]] = {"chosen_outcomes": [], "held_out_outcomes": []}
    for scoring, voting in dict.fromkeys((key.scoring, key.voting) for key in values):
        of_rule = {k: v for k, v in values.items() if (k.scoring, k.voting) == (scoring, voting)}
        known = np.logical_or.reduce([~np.isnan(column) for column in of_rule.values()])
        weights = problem_weights(problem_ids, replicates, seed)[:, known]
        nested = problem_weights(problem_ids, REPLICATES, seed)[:, known]
        labels = buckets[known]
        prms = list(dict.fromkeys(key.prm for key in of_rule))
        cells = {
            (budget, prm): _cell(of_rule, prm, budget, known, labels, nested, seed)
            for budget, prm in product(sorted({key.budget for key in of_rule}), prms)
        }
        run_at: dict[int, list[str]] = {}
        for (budget, name), cell in cells.items():
            run_at.setdefault(budget, []).extend([name] if cell.n_strategies else [])
        for budget, run in run_at.items():
            cell_of_prm = {prm: cells[budget, prm] for prm in run}
            last = max(other for other, at_other in run_at.items() if at_other == run)
            deciding = [cells[last, prm].fit for prm in run]
            of_budget = scoring, voting, budget
            by_prm: list[tuple[str | None, list[_Cell], Choice]] = [
                (prm, [cell], choose([cell.fit], confidence=confidence))
                for prm, cell in cell_of_prm.items()
            ]
            all_cells = [*cell_of_prm.values()]
            chosen = choose([cell.fit for cell in all_cells], deciding, confidence)
            for prm, available, choice in (*by_prm, (None, all_cells, chosen)):
                of_all = _selections(prm, available, choice, labels, fixed)
                n_strategies = sum(cell.n_strategies for cell in available)
                rows_of["selection"] += [
                    (
                        *(prm, *of_budget, rule, *estimate, n_strategies, n_problems),
                        choice.widening if rule == "cross_fitted" else None,
                    )
                    for rule, estimate, n_problems in _estimates(
                        of_all, choice, weights, confidence
                    )
                ]
            for prm, _, choice in by_prm:
                rows_of["held_out_outcomes"].append((prm, *of_budget))
                chosen_of["held_out_outcomes"].append(_of_all(choice.cross_fitted, known))
            for rule in ("in_sample", "cross_fitted"):
                selection: Selection = getattr(chosen, rule)
                rows_of["choices"] += [
                    (*of_budget, rule, *row) for row in _shares(selection, labels, run)
                ]
                rows_of["chosen_outcomes"].append((*of_budget, rule))
                chosen_of["chosen_outcomes"].append(_of_all(selection, known))
    problems = pl.DataFrame({"problem_id": problem_ids})
    return {
        name: by_problem(rows_of[name], problems, chosen_of[name], schema)
        if name in chosen_of
        else pl.DataFrame(rows_of[name], schema=schema, orient="row").fill_nan(None)
        for name, schema in TABLES.items()
    }


def _of_all(selection: Selection, known: NDArray[np.bool_]) -> FloatArray:
    """Accuracy of each problem, NaN of those that are not ``known``."""
    accuracy = np.full(len(known), np.nan)
    accuracy[known] = selection.accuracy
    return accuracy


def _cell(
    values: Mapping[_Key, FloatArray],
    prm: str,
    budget: int,
    known: NDArray[np.bool_],
    labels: NDArray[np.str_],
    nested: FloatArray,
    seed: int,
) -> _Cell:
    of_method = {k.method: v for k, v in values.items() if (k.prm, k.budget) == (prm, budget)}
    absent = np.full(len(known), np.nan)
    outcome = np.stack([of_method.get(method, absent) for method in METHODS])[:, known]
    return _Cell(outcome, fit(outcome, labels, nested, folds=FOLDS, repeats=REPEATS, seed=seed))


def _selections(
    prm: str | None,
    cells: Sequence[_Cell],
    choice: Choice,
    labels: NDArray[np.str_],
    fixed: Mapping[str, str],
) -> dict[str, FloatArray]:
    """Accuracies [problems] by rule. A PRM is no part of the paper's: that needs a given one."""
    selections = {
        "in_sample": choice.in_sample.accuracy,
        "cross_fitted": choice.cross_fitted.accuracy,
        "oracle": select_oracle(np.vstack([cell.outcome for cell in cells]), labels).accuracy,
    }
    if prm is not None and fixed:
        (cell,) = cells
        strategy_of = {bucket: METHODS.index(method) for bucket, method in fixed.items()}
        by_rule = select_fixed(cell.outcome, labels, strategy_of).accuracy
        if not np.isnan(by_rule).any():
            selections["fixed_rule"] = by_rule
    return selections


def _estimates(
    selections: Mapping[str, FloatArray], choice: Choice, weights: FloatArray, confidence: float
) -> Iterator[tuple[str, tuple[float, float, float], int]]:
    """Rule, accuracy with its interval, and problems; in the order of ``RULES``."""
    known = [rule for rule in RULES if rule in selections]
    # All at once: most of the time goes into reading the weights.
    interval = mean_interval(
        np.stack([selections[rule] for rule in known], axis=1),
        weights,
        confidence,
        # Other problems would have chosen otherwise: of few that are nearly equal, the choice is
        # most of what varies.
        widening=[choice.widening if rule == "cross_fitted" else 1.0 for rule in known],
    )
    for rule in RULES:
        if rule in selections:
            column = known.index(rule)
            mean, low, high = (float(part[column]) for part in interval[:3])
            ends = mean, low, high
            n_problems = int(interval.n_problems[column])
        elif rule == "optimism_gap":
            ends = (*choice.optimism_gap,)
            n_problems = int(np.count_nonzero(~np.isnan(choice.cross_fitted.accuracy)))
        else:
            continue
        if not np.isnan(ends[0]):
            yield rule, ends, n_problems


def _shares(
    selection: Selection, labels: NDArray[np.str_], prms: Sequence[str]
) -> Iterator[tuple[str, str, str, float, int]]:
    """Rows of ``CHOICES`` from bucket on."""
    for bucket in np.unique(labels).tolist():
        rows = labels == bucket
        shares = selection.share[:, :, rows].mean(axis=2)
        for (i, prm), (j, method) in product(enumerate(prms), enumerate(METHODS)):
            if shares[i, j] > 0:
                yield bucket, prm, method, float(shares[i, j]), int(rows.sum())
