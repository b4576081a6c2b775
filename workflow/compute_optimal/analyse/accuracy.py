"""From answers and step scores to accuracies: every strategy of one (task, policy).

Each strategy gives one matrix of expected correctness, problems by budgets. Its mean is a curve,
with an interval from bootstrap weights that all strategies share, so differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute_optimal.analyse.answer_grid import (
    SCORINGS,
    AnswerGrid,
    in_order_of,
    scored_parts,
    with_scores,
)
from compute_optimal.analyse.statistics.difficulty import bucket_of, bucket_probabilities
from compute_optimal.analyse.statistics.estimators import (
    FloatArray,
    IntArray,
    Scoring,
    best_of_k,
    best_of_k_units,
    mean_of_known,
    pass_at_k,
    plurality_at_k,
    vote_of_k_units,
    weighted_vote_at_k,
)
from compute_optimal.analyse.statistics.intervals import mean_interval, problem_weights
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common
from compute_optimal.study.buckets import BUCKETS
from compute_optimal.study.requests import EstimateSettings


@dataclass(frozen=True)
class _Curve:
    """One strategy: values and tokens per problem [problems, budgets]."""

    prm: str | None
    method: str
    scoring: str | None
    voting: str | None
    budgets: Sequence[int]
    values: FloatArray
    tokens: FloatArray
    errors: FloatArray | None = None
    run_variances: FloatArray | None = None
    """Of the values, had the same searches been run with other seeds; NaN where only one was."""


def difficulty(
    answers: pl.DataFrame, problem_ids: Sequence[str], settings: EstimateSettings
) -> pl.DataFrame:
    """Pass@1 of every pool and problem, a table of ``RATED``, from graded answers (``GRADED``).

    The bucket is that of the problem by the difficulty pool; where there is none (adopted
    rollouts), by the evaluation pool itself, which ``bucket_pool`` tells.
    """
    counts = (
        answers.filter(pl.col("pool").is_not_null())
        .group_by("pool", "problem_id")
        .agg(n_samples=pl.len().cast(pl.Int64), n_correct=pl.sum("correct").cast(pl.Int64))
        .with_columns(pass_at_1=pl.col("n_correct") / pl.col("n_samples"))
    )
    pools = set(counts["pool"])
    source = "difficulty" if "difficulty" in pools else "evaluation"
    rated = counts.filter(pool=source)
    thresholds = settings.easy, settings.medium
    bucket = bucket_of(rated["pass_at_1"].to_numpy(), *thresholds)
    chances = bucket_probabilities(rated["n_correct"], rated["n_samples"], *thresholds)
    wrong = np.where(np.array(BUCKETS) == bucket[:, None], 0.0, chances).sum(axis=1)
    buckets = pl.DataFrame(
        {"problem_id": rated["problem_id"], "bucket": bucket, "wrong_bucket": wrong},
        schema={name: kind for name, kind in RATED.items() if name in ("problem_id", *_BUCKET)},
    )
    order = pl.DataFrame({"problem_id": problem_ids}).with_row_index("position")
    return (
        counts.join(buckets, on="problem_id", how="left")
        .with_columns(bucket_pool=pl.lit(source))
        .join(order, on="problem_id")
        .sort("pool", "position")
        .drop("position")
    )


def estimate(
    answers: pl.DataFrame,
    scores: Mapping[str, pl.DataFrame],
    buckets: Mapping[str, str],
    problem_ids: Sequence[str],
    settings: EstimateSettings,
    scored: Mapping[str, int] = MappingProxyType({}),
) -> Estimates:
    """All curves and, at the study's budgets and at 1, the outcomes per problem.

    ``answers``: graded answers; ``scores``: PRM -> (problem_id, sample_index, margins) of the
    evaluation pool; ``buckets``: problem_id -> difficulty; ``scored``: PRM -> samples of each
    problem that it read, of PRMs that read less than the whole pool. Accuracies are 0 to 1.
    """
    weights = problem_weights(problem_ids, settings.bootstrap_replicates, settings.seed)
    labels = np.array([buckets.get(name, "unknown") for name in problem_ids])
    groups = {"all": np.arange(len(labels))} | {
        bucket: np.flatnonzero(labels == bucket) for bucket in BUCKETS
    }
    parts = {bucket: (rows, weights[:, rows]) for bucket, rows in groups.items()}
    curves = [*_curves(answers, scores, problem_ids, settings, scored)]
    return Estimates(
        _summaries(curves, parts, settings),
        _outcomes(curves, labels, problem_ids, settings),
        pl.DataFrame(
            [row for curve in curves for row in _spread_of_runs(curve)],
            schema=RUN_TO_RUN,
            orient="row",
        ),
        {
            (curve.prm, curve.method, budget): curve.tokens[:, place]
            for curve in curves
            for place, budget in enumerate(map(int, curve.budgets))
        },
    )


def outcomes(
    answers: pl.DataFrame,
    scores: Mapping[str, pl.DataFrame],
    buckets: Mapping[str, str],
    problem_ids: Sequence[str],
    settings: EstimateSettings,
) -> pl.DataFrame:
    """Only the outcomes per problem of ``estimate``; arguments as there."""
    labels = np.array([buckets.get(name, "unknown") for name in problem_ids])
    curves = [*_curves(answers, scores, problem_ids, settings, {})]
    return _outcomes(curves, labels, problem_ids, settings)


_STRATEGY = common("prm", "method", "scoring", "voting")
_BUCKET = {
    **common("bucket"),
    "wrong_bucket": Column(
        REAL, "Chance that the true Pass@1 lies in another bucket, by the pool that decides, 0 to 1"
    ),
}
RATED = Columns(
    "Pass@1 of each problem by each pool, and the difficulty that follows",
    {
        **common("pool", "problem_id", "n_samples"),
        "n_correct": Column(COUNT, "Number of right samples"),
        "pass_at_1": Column(REAL, "Pass@1: share of right samples, 0 to 1"),
        **_BUCKET,
        "bucket_pool": Column(
            TEXT, "Pool by which the bucket is decided: difficulty; evaluation where there is none"
        ),
    },
)
CURVES = Columns(
    "Accuracy of each strategy by budget and difficulty",
    {
        **_STRATEGY,
        "bucket": Column(TEXT, "Difficulty of the problems: all, easy, medium or hard"),
        **common("budget", "accuracy", "ci_low", "ci_high"),
        "monte_carlo_error": Column(
            REAL, "Standard error of the accuracy from sampling subsets; 0 where it is exact"
        ),
        **common("n_problems"),
        "tokens": Column(REAL, "Tokens that the policy generates per problem, on average"),
    },
)
OUTCOMES = Columns(
    "What each strategy gives on each problem",
    {
        **_STRATEGY,
        **common("budget", "problem_id", "bucket"),
        "accuracy": Column(REAL, "Chance of a right answer, 0 to 1"),
    },
)


RUN_TO_RUN = Columns(
    "How far an accuracy would differ on the same problems with other seeds: of a whole pool, or "
    "of the mean over the runs of a search",
    {
        **_STRATEGY,
        **common("budget"),
        "standard_error": Column(
            REAL,
            "Standard error of the accuracy, 0 to 1; null where no two runs or halves of a pool "
            "differed, which says nothing of others",
        ),
    },
)


Tokens = Mapping[tuple[str | None, str, int], FloatArray]
"""Tokens that the policy generates for each problem [problems], NaN where not known, by PRM, method
and budget."""


class Estimates(NamedTuple):
    """Tables of ``CURVES``, ``OUTCOMES`` and, of searches that were repeated, ``RUN_TO_RUN``."""

    curves: pl.DataFrame
    outcomes: pl.DataFrame
    run_to_run: pl.DataFrame
    tokens: Tokens


def _curves(
    answers: pl.DataFrame,
    scores: Mapping[str, pl.DataFrame],
    problem_ids: Sequence[str],
    settings: EstimateSettings,
    scored: Mapping[str, int],
) -> Iterator[_Curve]:
    greedy = answers.filter(pool="greedy").with_columns(position=pl.col("sample_index"))
    if greedy.height:
        group = AnswerGrid.of(greedy, problem_ids)
        yield _Curve(None, "cot", None, None, [1], group.correct, group.n_tokens)
    pool = answers.filter(pool="evaluation").with_columns(position=pl.col("sample_index"))
    if pool.height:
        yield from _pool_curves(pool, scores, problem_ids, settings, scored)
    searched = answers.filter(pl.col("method").is_not_null())
    searched = with_scores(searched) if searched.height else searched
    for (prm, method), paths in searched.group_by("prm", "method", maintain_order=True):
        parts = [paths] if method == "dvts" else paths.partition_by("budget")
        for part in parts:
            yield from _search_curves(part, str(prm), str(method), problem_ids, settings)


def _pool_curves(
    pool: pl.DataFrame,
    scores: Mapping[str, pl.DataFrame],
    problem_ids: Sequence[str],
    settings: EstimateSettings,
    scored: Mapping[str, int],
) -> Iterator[_Curve]:
    group = AnswerGrid.of(pool, problem_ids)
    budgets = _budgets(group, settings)
    # Adopted samples may not say what they cost: the mean is over those that do.
    tokens = mean_of_known(group.n_tokens.T)[0][:, None]
    n_correct = np.nansum(group.correct, axis=1).astype(np.int64)
    n_samples = np.count_nonzero(~np.isnan(group.correct), axis=1)
    solved = pass_at_k(n_correct, n_samples, budgets)
    yield _Curve(None, "pass_at_k", None, None, list(budgets), solved, tokens * budgets)
    plurality = plurality_at_k(group.classes, group.correct, budgets)
    yield _Curve(None, "majority", None, "majority", list(budgets), plurality, tokens * budgets)
    for part, of_prms in scored_parts(pool, scores, scored):
        of_part = group if part is pool else AnswerGrid.of(part, problem_ids)
        yield from _scored_curves(part, of_part, of_prms, tokens, settings)


def _scored_curves(
    pool: pl.DataFrame,
    group: AnswerGrid,
    scores: Mapping[str, pl.DataFrame],
    tokens: FloatArray,
    settings: EstimateSettings,
) -> Iterator[_Curve]:
    """Best-of-N of PRMs that read all of ``pool``; ``tokens`` of a sample [problems, 1]."""
    budgets = _budgets(group, settings)
    by_scoring = {
        (prm, scoring): (ranking, weight)
        for prm, of_prm in scores.items()
        for scoring, ranking, weight in group.scores(in_order_of(pool, of_prm))
    }
    means, errors = weighted_vote_at_k(
        group.classes,
        group.correct,
        np.stack([weight for _, weight in by_scoring.values()]),
        budgets,
        settings.vote_subsets,
        settings.seed,
    )
    for (prm, scoring), mean, error in zip(by_scoring, means, errors, strict=True):
        best = best_of_k(group.correct, by_scoring[prm, scoring][0], budgets)
        yield _Curve(prm, "best_of_n", scoring, "prm_max", list(budgets), best, tokens * budgets)
        yield _Curve(
            prm, "best_of_n", scoring, "prm_vote", list(budgets), mean, tokens * budgets, error
        )


def _budgets(pool: AnswerGrid, settings: EstimateSettings) -> IntArray:
    """Budgets of a pool's curves: powers of two, those of the study, and the whole pool.

    At others nothing is shown, and a curve of every N is nine times as large.
    """
    size = pool.correct.shape[1]
    shown = {2**i for i in range(size.bit_length())} | {*settings.budgets, size}
    return np.array(sorted(n for n in shown if n <= size), dtype=np.int64)


def _search_curves(
    paths: pl.DataFrame,
    prm: str,
    method: str,
    problem_ids: Sequence[str],
    settings: EstimateSettings,
) -> Iterator[_Curve]:
    """One search at one budget, or DVTS at all; repetitions are averaged.

    A beam search is one draw at its budget; DVTS is as many as it has sets of whole subtrees,
    however many answers a subtree gives.
    """
    budgets = [int(paths["budget"][0] or 0)]
    width = settings.beam_width
    if method == "dvts":
        largest = int(paths["subtree"].max()) + 1  # type: ignore[arg-type]
        budgets = [n for n in settings.budgets if n <= largest * width and n % width == 0]
    units = np.array([n // width if method == "dvts" else 1 for n in budgets], dtype=np.int64)
    runs = [
        _search_values(run, units, problem_ids, settings)
        for _, run in sorted(paths.group_by("repetition"))
    ]
    # A problem that a run lacks is averaged over those that have it; NaN where none has.
    values, n_runs = mean_of_known(np.stack([run.values for run in runs]))
    tokens, _ = mean_of_known(np.stack([run.tokens for run in runs]))
    squares, _ = mean_of_known((np.stack([run.values for run in runs]) - values) ** 2)
    # The mean's variance over seeds, of problems that were run more than once.
    variances = np.divide(squares, n_runs - 1, out=np.full_like(squares, np.nan), where=n_runs > 1)
    for i, (scoring, voting) in enumerate(_SEARCH_VOTES):
        yield _Curve(
            prm, method, scoring, voting, budgets, values[i], tokens, run_variances=variances[i]
        )


_SEARCH_VOTES: list[tuple[Scoring | None, str]] = [
    (None, "majority"),
    *((scoring, voting) for scoring in SCORINGS for voting in ("prm_max", "prm_vote")),
]
"""Scoring and voting of each answer to a search."""


class _SearchRun(NamedTuple):
    """``values`` [votes of ``_SEARCH_VOTES``, problems, budgets] and ``tokens`` [problems, budgets]
    of one run."""

    values: FloatArray
    tokens: FloatArray


def _search_values(
    paths: pl.DataFrame, units: IntArray, problem_ids: Sequence[str], settings: EstimateSettings
) -> _SearchRun:
    """``units``: how many whole subtrees, or beam searches, each budget takes."""
    n_answers = int(paths["sample_index"].max()) + 1  # type: ignore[arg-type]
    # Subtrees that a problem lacks leave no gap, and their number may differ between problems.
    unit = pl.col("subtree").rank("dense").over("problem_id").cast(pl.Int64) - 1
    paths = paths.with_columns(position=unit * n_answers + pl.col("sample_index"))
    grid = AnswerGrid.of(paths, problem_ids)
    trees = paths.group_by("problem_id", "subtree").agg(pl.first("n_tokens_tree"))
    of_problem = dict(trees.group_by("problem_id").agg(pl.mean("n_tokens_tree")).iter_rows())
    tokens = np.array([of_problem.get(name, np.nan) for name in problem_ids], dtype=np.float64)
    scores = [(ranking, weight) for _, ranking, weight in grid.scores(paths)]
    majority, *weighted = vote_of_k_units(
        grid.classes,
        grid.correct,
        np.stack([np.ones_like(grid.correct), *(weight for _, weight in scores)]),
        n_answers,
        units,
        settings.vote_subsets,
        settings.seed,
    )
    values = [majority]
    for (ranking, _), vote in zip(scores, weighted, strict=True):
        values += [best_of_k_units(grid.correct, ranking, n_answers, units), vote]
    return _SearchRun(np.stack(values), tokens[:, None] * units)


def _summaries(
    curves: Sequence[_Curve],
    parts: Mapping[str, tuple[IntArray, FloatArray]],
    settings: EstimateSettings,
) -> pl.DataFrame:
    """A table of ``CURVES``, by curve, bucket and budget; ``parts``: the problems of each bucket
    and their weights [replicates, problems].

    All curves at once: most of the time of a single one goes into reading the weights.
    """
    if not curves:
        return pl.DataFrame(schema=CURVES)
    sizes = [len(curve.budgets) for curve in curves]
    values, tokens = (
        np.hstack([points[:, :n] for points, n in zip(of_curves, sizes, strict=True)])
        for of_curves in ([c.values for c in curves], [c.tokens for c in curves])
    )
    sampled = np.repeat([curve.errors is not None for curve in curves], sizes)
    # Rows of a point lie in one piece, so its sum does not depend on what else is summed.
    variances = np.hstack(
        [np.empty((len(values), 0)), *(c.errors**2 for c in curves if c.errors is not None)]
    ).T.copy()
    points = _strategies(curves).with_row_index("curve")[np.repeat(np.arange(len(curves)), sizes)]
    points = points.with_columns(budget=np.concatenate([curve.budgets for curve in curves]))
    tables = []
    for bucket, (chosen, weights) in parts.items():
        of_bucket = values[chosen]
        interval = mean_interval(of_bucket, weights, settings.confidence)
        spent, _ = mean_of_known(np.where(np.isnan(of_bucket), np.nan, tokens[chosen]))
        error = np.full(len(sampled), np.nan)
        error[sampled] = np.sqrt(np.nansum(np.take(variances, chosen, axis=1), axis=1))
        tables.append(
            points.with_columns(
                bucket=pl.lit(bucket),
                accuracy=interval.estimate,
                ci_low=interval.low,
                ci_high=interval.high,
                monte_carlo_error=error / np.maximum(interval.n_problems, 1),
                n_problems=interval.n_problems,
                # Adopted rollouts may not say what they cost.
                tokens=spent,
            )
        )
    return (
        pl.concat(tables)
        .filter(pl.col("n_problems") > 0)
        .sort("curve", maintain_order=True)
        .with_columns(pl.col("monte_carlo_error", "tokens").fill_nan(None))
        .select(pl.col(name).cast(kind) for name, kind in CURVES.items())
    )


def _strategies(curves: Sequence[_Curve]) -> pl.DataFrame:
    return pl.DataFrame(
        [(curve.prm, curve.method, curve.scoring, curve.voting) for curve in curves],
        schema=Columns("", _STRATEGY),
        orient="row",
    )


def _spread_of_runs(curve: _Curve) -> Iterator[tuple[Any, ...]]:
    """Rows of ``RUN_TO_RUN``: how far repetitions of a search differ on the same problems.

    Problems that were run once are taken to vary as those that were run repeatedly do.
    """
    if curve.run_variances is None:
        return
    for i, budget in enumerate(curve.budgets):
        known, n_problems = curve.run_variances[:, i], int((~np.isnan(curve.values[:, i])).sum())
        if not np.isnan(known).all():
            error = float(np.sqrt(np.nanmean(known) / n_problems)) or None
            yield curve.prm, curve.method, curve.scoring, curve.voting, int(budget), error


def _outcomes(
    curves: Sequence[_Curve],
    labels: NDArray[np.str_],
    problem_ids: Sequence[str],
    settings: EstimateSettings,
) -> pl.DataFrame:
    points = [
        (curve, i, int(k))
        for curve in curves
        for i, k in enumerate(curve.budgets)
        if k == 1 or k in settings.budgets
    ]
    keys = [(c.prm, c.method, c.scoring, c.voting, k) for c, _, k in points]
    problems = pl.DataFrame({"problem_id": problem_ids, "bucket": labels})
    return by_problem(keys, problems, [curve.values[:, i] for curve, i, _ in points], OUTCOMES)


def by_problem(
    keys: Sequence[tuple[Any, ...]],
    problems: pl.DataFrame,
    values: Sequence[FloatArray],
    schema: Columns,
) -> pl.DataFrame:
    """A table with a row for each of ``keys`` and each of ``problems`` that has an accuracy there.

    ``keys``: of the columns that are not those of ``problems``; ``values``: accuracies of each key
    [problems], NaN where there is none.
    """
    named = {name: kind for name, kind in schema.items() if name not in problems.columns}
    del named["accuracy"]
    return (
        pl.DataFrame(keys, schema=named, orient="row")
        .join(problems, how="cross", maintain_order="left_right")
        .with_columns(accuracy=np.concatenate([np.empty(0), *values]))
        .select(pl.col(name).cast(kind) for name, kind in schema.items())
        .filter(pl.col("accuracy").is_not_nan())
    )
