"""What the rollouts of others carry: outcomes of whole pools, of halves, and what is chosen from.

A pool of many samples is split, one half for difficulty and one for evaluation, both ways round, so
that no sample says both how hard a problem is and how well it is solved. Whatever is not about
difficulty uses the whole pool. Budgets are those that a pool carries, not the study's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute_optimal.analyse import accuracy
from compute_optimal.analyse.accuracy import CURVES, OUTCOMES, Tokens
from compute_optimal.analyse.predicted_difficulty import Way
from compute_optimal.analyse.selection import FOLDS, REPEATS, REPLICATES, RULES, SELECTION
from compute_optimal.analyse.statistics.estimators import FloatArray, mean_of_known
from compute_optimal.analyse.statistics.intervals import (
    bootstrap_means,
    mean_interval,
    percentile_interval,
    problem_weights,
    unseen_limits,
)
from compute_optimal.analyse.statistics.selection import Choice, choose, fit, select_oracle
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common
from compute_optimal.study.buckets import BUCKETS
from compute_optimal.study.requests import EstimateSettings

SPLIT_FROM = 16
"""ASSUME: a pool is split if each problem has so many samples: half of them tell a problem that is
solved in less than a tenth of the tries from one that is solved in half of them."""

LACKING = 0.05
"""ASSUME: share of problems that may lack samples for a budget that a pool carries. They are left
out there: copies are no samples, and a problem of one short solution has many."""

WHOLE, HALVES, BOTH = "whole", ("first half", "second half"), "both halves"

_STRATEGY = common("prm", "method", "scoring", "voting")
_PART = Column(
    TEXT, "Samples behind the row: whole, first half, second half, both halves, or run 0, 1, ..."
)
_SELECTED = {
    "part": _PART,
    "problems": Column(TEXT, "all, or searched: those that a search has too"),
    **common("budget"),
    "rule": Column(TEXT, f"Rule of selection: {', '.join(RULES)}"),
}
TABLES: dict[str, Columns] = {
    "pool_outcomes": Columns(
        "What each strategy gives on each problem of an adopted pool, by part of the pool",
        {"part": _PART, **OUTCOMES.described},
    ),
    "pool_selection": Columns(
        "Accuracy of choosing among all strategies that an adopted pool allows, by each rule",
        {
            **_SELECTED,
            "accuracy": SELECTION.described["accuracy"],
            **common("ci_low", "ci_high"),
            "widening": Column(
                REAL, "Factor by which choosing anew widens the interval; null where none does"
            ),
            "n_strategies": Column(COUNT, "Number of strategies to choose from"),
            **common("n_problems"),
        },
    ),
    "pool_choices": Columns(
        "Strategies that are chosen for the problems of a difficulty of an adopted pool",
        {
            **_SELECTED,
            **common("bucket"),
            **_STRATEGY,
            "share": Column(REAL, "Share of the problems that are given this strategy, 0 to 1"),
        },
    ),
    "pool_chosen": Columns(
        "What the chosen strategies give on each problem of an adopted pool",
        {**_SELECTED, **common("problem_id", "accuracy")},
    ),
}
"""Tables of ``examine_pools``; fractions.

``pool_outcomes``: expected correctness of every strategy on every problem. ``part``: the whole pool
(``bucket`` is null); "first half" or "second half", the half that is evaluated, where ``bucket`` is
the difficulty by the other half; or "run 0", "run 1", ... of a search that was repeated.
``pool_selection``: what choosing among all strategies of one budget gives, by the rules of
``selection.RULES``. ``part``: "whole", one choice for all problems; or "both halves", a choice for
each difficulty, the mean of both ways round. ``problems``: "all", or "searched" for those that a
search has too, whose strategies are candidates then. ``widening`` as in ``selection.SELECTION``.
``pool_choices``: what is chosen for a bucket's problems, by its share; ``part`` names the half that
is evaluated. ``pool_chosen``: what the choices give on each problem.
"""


def is_split(answers: pl.DataFrame) -> bool:
    """Whether the evaluation pool is large enough to be halved, and there is none for
    difficulty."""
    has_difficulty = "difficulty" in set(answers["pool"].drop_nulls())
    return not has_difficulty and carried(answers.filter(pool="evaluation")) >= SPLIT_FROM


def carried(samples: pl.DataFrame) -> int:
    """Number of samples that all problems but a share of ``LACKING`` have at least; 0 of none."""
    sizes: list[int] = sorted(samples.group_by("problem_id").len()["len"].to_list())
    return sizes[int(LACKING * len(sizes))] if sizes else 0


def halved(answers: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The samples of the evaluation pool by half, of the problems that have enough.

    The order is that of the files, so that one file at most lies in both halves: samples of one
    file of a search may begin alike, and such must not lie on both sides.
    """
    pool = answers.filter(pool="evaluation")
    pool = pool.filter(pl.len().over("problem_id") >= SPLIT_FROM)
    place = pl.col("sample_index").rank("ordinal").over("problem_id") - 1
    is_first = place < pl.len().over("problem_id") // 2
    first, second = HALVES
    return {first: pool.filter(is_first), second: pool.filter(~is_first)}


def difficulty_of_halves(
    answers: pl.DataFrame, problem_ids: Sequence[str], settings: EstimateSettings
) -> pl.DataFrame:
    """Rows of ``accuracy.RATED`` for both halves of a pool, each rated by itself."""
    return pl.concat(
        accuracy.difficulty(half, problem_ids, settings).with_columns(pool=pl.lit(name))
        for name, half in halved(answers).items()
    )


def ways_round(
    answers: pl.DataFrame,
    outcomes: pl.DataFrame,
    problem_ids: Sequence[str],
    settings: EstimateSettings,
) -> tuple[Way, ...]:
    """Each half of a pool with the true difficulty by the other; none where the pool is too small.

    ``outcomes``: table ``pool_outcomes``.
    """
    if not is_split(answers):
        return ()
    halves = halved(answers)
    return tuple(
        Way(
            halves[name],
            accuracy.difficulty(halves[other], problem_ids, settings),
            outcomes.filter(part=name),
        )
        for name, other in zip(HALVES, HALVES[::-1], strict=True)
    )


def examine_pools(
    answers: pl.DataFrame,
    scores: Mapping[str, pl.DataFrame],
    problem_ids: Sequence[str],
    settings: EstimateSettings,
) -> dict[str, pl.DataFrame]:
    """``TABLES`` of one adopted (task, policy); arguments as for ``accuracy.estimate``."""
    largest = max(carried(answers.filter(pool="evaluation")), 1)
    powers = [2**i for i in range(largest.bit_length())]
    searched = answers.filter(pl.col("method").is_not_null())
    of_searches = searched["budget"].drop_nulls().unique().to_list()
    own = replace(settings, budgets=sorted({*powers, *settings.budgets, *of_searches}))
    others = answers.filter((pl.col("pool") != "evaluation") | pl.col("pool").is_null())
    whole = accuracy.outcomes(answers, scores, {}, problem_ids, own)
    # Beyond what the pool carries a number is about other problems.
    whole = whole.filter(pl.col("budget").is_in(powers) | ~pl.col("method").is_in(_POOLED))
    parts = {WHOLE: whole.with_columns(bucket=pl.lit(None, dtype=pl.String()))}
    if is_split(answers):
        halves = halved(answers)
        for name, other in zip(HALVES, HALVES[::-1], strict=True):
            rated = accuracy.difficulty(halves[other], problem_ids, settings)
            buckets = dict(rated.select("problem_id", "bucket").iter_rows())
            evaluated = pl.concat([halves[name], others])
            of_half = accuracy.outcomes(evaluated, scores, buckets, problem_ids, own)
            of_pool = [k for k in powers if k <= carried(halves[name])]
            parts[name] = of_half.filter(
                pl.col("budget").is_in(of_pool) | ~pl.col("method").is_in(_POOLED)
            )
    repetitions = searched["repetition"].unique().sort()
    for run in repetitions.to_list() if len(repetitions) > 1 else []:
        of_run = searched.filter(repetition=run)
        outcomes_of_run = accuracy.outcomes(of_run, {}, {}, problem_ids, own)
        parts[f"run {run}"] = outcomes_of_run.with_columns(bucket=pl.lit(None, dtype=pl.String()))
    outcomes = pl.concat(
        part.select(pl.lit(name).alias("part"), pl.all()) for name, part in parts.items()
    )
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    ways = [(WHOLE, (WHOLE,)), *([(BOTH, HALVES)] if HALVES[0] in parts else [])]
    for part, names in ways:
        _select(part, {name: parts[name] for name in names}, problem_ids, settings, rows)
    return {
        name: outcomes.cast(schema)  # type: ignore[arg-type]
        if name == "pool_outcomes"
        else pl.DataFrame(rows[name], schema=schema, orient="row")
        for name, schema in TABLES.items()
    }


_POOLED = ("pass_at_k", "majority", "best_of_n")
"""Methods that draw from a pool; a search has its own budget."""


def curves_by_difficulty(
    outcomes: pl.DataFrame,
    tokens: Tokens,
    problem_ids: Sequence[str],
    settings: EstimateSettings,
) -> pl.DataFrame:
    """Rows of ``accuracy.CURVES`` for the buckets of a pool that was split: means of both ways.

    ``outcomes``: table ``pool_outcomes`` of the pool; ``tokens``: what all of it took.
    ``n_problems`` is the fewer of both ways.
    """
    weights = problem_weights(problem_ids, settings.bootstrap_replicates, settings.seed)
    names = [*_STRATEGY, "budget"]
    keys = outcomes.filter(pl.col("part").is_in(HALVES)).select(names).unique(maintain_order=True)
    values, labels = [], []
    for half in HALVES:
        values.append(_matrix(outcomes.filter(part=half), keys, problem_ids))
        of_half = dict(outcomes.filter(part=half).select("problem_id", "bucket").iter_rows())
        labels.append(np.array([of_half.get(name, "unknown") for name in problem_ids]))
    unknown = np.full(len(problem_ids), np.nan)
    spent = np.stack(
        [tokens.get((prm, method, n), unknown) for prm, method, _, _, n in keys.iter_rows()], axis=1
    )
    rows = []
    for bucket in BUCKETS:
        inside = [label == bucket for label in labels]
        ways = [
            np.where(rows_[:, None], value, np.nan)
            for rows_, value in zip(inside, values, strict=True)
        ]
        sizes = np.min([np.count_nonzero(~np.isnan(way), axis=0) for way in ways], axis=0)
        means = [mean_of_known(way)[0] for way in ways]
        replicates = np.mean([bootstrap_means(way, weights) for way in ways], axis=0)
        costs = np.mean(
            [mean_of_known(np.where(np.isnan(way), np.nan, spent))[0] for way in ways], axis=0
        )
        mean = np.mean(means, axis=0)
        low, high = percentile_interval(replicates, sizes, settings.confidence)
        least, most = unseen_limits(mean, sizes, settings.confidence)
        for i, key in enumerate(keys.iter_rows()):
            if sizes[i]:
                *strategy, budget = key
                ends = float(np.fmin(low[i], least[i])), float(np.fmax(high[i], most[i]))
                at_budget = float(mean[i]), *ends, None, int(sizes[i]), _or_none(costs[i])
                rows.append((*strategy, bucket, budget, *at_budget))
    return pl.DataFrame(rows, schema=CURVES, orient="row")


def _matrix(outcomes: pl.DataFrame, keys: pl.DataFrame, problem_ids: Sequence[str]) -> FloatArray:
    """Accuracies [problems, keys], NaN where there is none."""
    names = keys.columns
    columns = keys.with_row_index("column")
    rows = pl.DataFrame({"problem_id": problem_ids}).with_row_index("row")
    placed = outcomes.join(columns, on=names, nulls_equal=True).join(rows, on="problem_id")
    matrix = np.full((len(problem_ids), keys.height), np.nan)
    matrix[placed["row"].to_numpy(), placed["column"].to_numpy()] = placed["accuracy"].to_numpy()
    return matrix


class _Way(NamedTuple):
    """One way round: outcomes [strategies, problems] and the difficulty of each problem."""

    name: str
    outcome: FloatArray
    labels: NDArray[np.str_]
    choice: Choice


@dataclass(frozen=True)
class _Candidates:
    """The strategies of one budget (``keys``), and the problems (``known``) that each of them
    has."""

    problems: str
    budget: int
    keys: pl.DataFrame
    known: NDArray[np.bool_]
    outcomes: Mapping[str, FloatArray]


def _select(
    part: str,
    ways: Mapping[str, pl.DataFrame],
    problem_ids: Sequence[str],
    settings: EstimateSettings,
    rows: Mapping[str, list[tuple[Any, ...]]],
) -> None:
    """Add what is chosen to ``rows`` of the tables on selection."""
    weights = problem_weights(problem_ids, settings.bootstrap_replicates, settings.seed)
    nested = problem_weights(problem_ids, REPLICATES, settings.seed)
    for among in _candidates(ways, problem_ids):
        names = [problem_ids[i] for i in np.flatnonzero(among.known)]
        key = part, among.problems, among.budget
        selections = []
        for name, outcome in among.outcomes.items():
            labels = _labels(ways[name], names)
            fitted = fit(
                outcome, labels, nested[:, among.known],
                folds=FOLDS, repeats=REPEATS, seed=settings.seed,
            )  # fmt: skip
            choice = choose([fitted], confidence=settings.confidence)
            selections.append(_Way(name, outcome, labels, choice))
        accuracies = dict(_accuracies(selections))
        of_choice = float(np.mean([way.choice.widening for way in selections]))
        interval = mean_interval(
            np.stack([*accuracies.values()], axis=1),
            weights[:, among.known],
            settings.confidence,
            widening=[of_choice if rule == "cross_fitted" else 1.0 for rule in accuracies],
        )
        for column, (rule, of_problems) in enumerate(accuracies.items()):
            at = (*key, rule)
            widening = of_choice if rule == "cross_fitted" else None
            mean, low, high, n_problems = (part[column] for part in interval)
            rows["pool_selection"].append(
                (*at, float(mean), float(low), float(high), widening, among.keys.height,
                 int(n_problems))
            )  # fmt: skip
            rows["pool_chosen"] += [
                (*at, name, float(value))
                for name, value in zip(names, of_problems, strict=True)
                if not np.isnan(value)
            ]
        gaps = np.array([way.choice.optimism_gap for way in selections])
        rows["pool_selection"].append(
            (*key, "optimism_gap", *map(_or_none, gaps.mean(axis=0)), None, among.keys.height,
             len(names))
        )  # fmt: skip
        for way in selections:
            for rule in ("in_sample", "cross_fitted"):
                at = (way.name, among.problems, among.budget, rule)
                rows["pool_choices"] += _chosen(at, way, rule, among.keys)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _labels(outcomes: pl.DataFrame, names: Sequence[str]) -> NDArray[np.str_]:
    of_problem = dict(outcomes.select("problem_id", "bucket").iter_rows())
    return np.array([of_problem.get(name) or "all" for name in names])


def _accuracies(ways: Sequence[_Way]) -> Iterator[tuple[str, FloatArray]]:
    """Rule and accuracy [problems], the mean over the ways round; in the order of ``RULES``."""
    for rule in RULES:
        if rule in ("in_sample", "cross_fitted"):
            yield rule, np.mean([getattr(way.choice, rule).accuracy for way in ways], axis=0)
        elif rule == "oracle":
            yield (
                rule,
                np.mean([select_oracle(way.outcome, way.labels).accuracy for way in ways], axis=0),
            )


def _chosen(
    at: tuple[Any, ...], way: _Way, rule: str, keys: pl.DataFrame
) -> Iterator[tuple[Any, ...]]:
    share = getattr(way.choice, rule).share[0]
    for bucket in np.unique(way.labels).tolist():
        of_bucket = share[:, way.labels == bucket].mean(axis=1)
        for strategy, part in zip(keys.iter_rows(), of_bucket, strict=True):
            if part > 0:
                yield (*at, bucket, *strategy, float(part))


def _candidates(
    ways: Mapping[str, pl.DataFrame], problem_ids: Sequence[str]
) -> Iterator[_Candidates]:
    """Candidates of every budget above 1 of best-of-N: those of the pool, and those with the
    searches."""
    first = next(iter(ways.values()))
    chosen = first.filter(~pl.col("method").is_in(["pass_at_k", "cot"]), pl.col("budget") > 1)
    for budget in chosen.filter(method="best_of_n")["budget"].unique().sort().to_list():
        at_budget = chosen.filter(budget=budget)
        pooled = at_budget.filter(pl.col("method").is_in(_POOLED))
        for problems, part in (("all", pooled), ("searched", at_budget)):
            if problems == "searched" and part.height == pooled.height:
                continue
            keys = part.select(*_STRATEGY).unique(maintain_order=True)
            outcomes = {
                name: _matrix(way.filter(budget=budget), keys, problem_ids).T
                for name, way in ways.items()
            }
            known = np.logical_and.reduce(
                [~np.isnan(outcome).any(axis=0) for outcome in outcomes.values()]
            )
            if known.any():
                of_known = {name: outcome[:, known] for name, outcome in outcomes.items()}
                yield _Candidates(problems, budget, keys, known, of_known)
