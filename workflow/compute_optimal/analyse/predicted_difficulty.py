"""Compute-optimal selection on problems whose answers nobody knows: difficulty is predicted.

The paper's buckets need the truth, so its choice cannot be made for a new problem. Here the first
``PROBES`` samples of the pool are looked at: the share of the commonest answer, what a PRM gives
them (the mean of prm_last and of prm_min), and how long they are. From these, Pass@1 is predicted,
and from Pass@1 the bucket; both the prediction and what a bucket is given are fitted on other
problems (``statistics.prediction``). The choice is among majority voting, best-of-N and the
searches with one PRM under one scoring and voting, at one budget N; whatever draws from the pool
uses the first N samples, so the probes are among them, and a search costs them in addition.

Beside it, from the same candidates and held out in the same folds: one strategy for all problems,
and one for each true difficulty (the paper's buckets, by samples that nothing else uses). What
these and majority voting give is their mean over all samples of the pool (table ``outcomes``).

An adopted pool has no samples for difficulty: it is halved, one half is looked at, evaluated and
chosen for, the other tells the truth, and both ways round are averaged.

The rules above, and those of the claims on them, were written before any result was seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute_optimal.analyse.accuracy import Tokens
from compute_optimal.analyse.answer_grid import SCORINGS, AnswerGrid, in_order_of
from compute_optimal.analyse.selection import METHODS
from compute_optimal.analyse.statistics.choosing_anew import (
    choice_deviations,
    widening_of_means,
)
from compute_optimal.analyse.statistics.estimators import (
    FloatArray,
    IntArray,
    best_of_k,
    weighted_vote_at_k,
)
from compute_optimal.analyse.statistics.intervals import mean_interval, problem_weights
from compute_optimal.analyse.statistics.prediction import (
    HeldOut,
    Splits,
    bucket_numbers,
    choose_held_out,
    predicted_pass_at_1,
)
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common
from compute_optimal.study.buckets import BUCKETS
from compute_optimal.study.requests import EstimateSettings

PROBES = 4
"""Samples that are looked at: the paper's smallest budget."""

REPLICATES, FOLDS, REPEATS = 50, 5, 3
"""Of cross-fitting: resamplings that fit and choose anew, folds, and repeats of the split."""

RULES = ("predicted", "true_difficulty", "one_strategy")
"""What a strategy is chosen for; the column ``rule`` of ``predicted_selection`` says more."""

CANDIDATES = ("majority", *METHODS)
"""Methods that are chosen among."""

_CELL = {
    "prm": Column(TEXT, "PRM of the candidates, whose scores are looked at too"),
    **common("scoring", "voting", "budget"),
}
_RULE = {
    "rule": Column(
        TEXT,
        "What is chosen for, on other problems: predicted, the predicted difficulty; "
        "true_difficulty, the paper's buckets; one_strategy, all problems alike",
    ),
}
_WIDENING = Column(REAL, "Factor by which fitting and choosing anew widens the interval")
TABLES: dict[str, Columns] = {
    "predictions": Columns(
        "Pass@1 that is predicted of each problem from its first samples, fitted on other problems",
        {
            "prm": Column(TEXT, "PRM whose scores are looked at; null where only answers are"),
            **common("problem_id"),
            "predicted": Column(REAL, "Predicted Pass@1, 0 to 1"),
            "pass_at_1": Column(REAL, "Pass@1 by the samples that tell the difficulty, 0 to 1"),
            "right_bucket": Column(
                REAL, "How often the predicted bucket is that of pass_at_1, 0 to 1"
            ),
            "n_probes": Column(COUNT, "Number of samples that are looked at"),
        },
    ),
    "predicted_selection": Columns(
        "What choosing by predicted difficulty gives on other problems, and what it costs",
        {
            **_CELL,
            **_RULE,
            "bucket": Column(
                TEXT, "Predicted difficulty of the problems: all, easy, medium or hard"
            ),
            **common("accuracy", "ci_low", "ci_high"),
            "widening": _WIDENING,
            "samples": Column(REAL, "Budget that a problem takes on average, probes included"),
            "n_probes": Column(COUNT, "Number of samples that are looked at"),
            "n_problems": Column(REAL, "Number of problems behind the row, on average over splits"),
        },
    ),
    "predicted_choices": Columns(
        "Strategies that problems are given by predicted difficulty, chosen on other problems",
        {
            **_CELL,
            **_RULE,
            "bucket": Column(
                TEXT, "Predicted difficulty of the problems: all, easy, medium or hard"
            ),
            "method": Column(TEXT, "Method of the strategy"),
            "share": Column(REAL, "Share of the bucket's problems that are given it, 0 to 1"),
            "tokens": Column(
                REAL,
                "Tokens that the policy generates per such problem, on average, without what is "
                "looked at beforehand; null where not known",
            ),
            "probe_tokens": Column(
                REAL,
                "Tokens of the samples that are looked at, per such problem, on average; null "
                "where not known",
            ),
        },
    ),
    "predicted_outcomes": Columns(
        "What each problem is answered with by predicted difficulty, and by what it is compared to",
        {
            **_CELL,
            "rule": Column(TEXT, f"{', '.join(RULES)}, or majority: majority voting"),
            "accuracies": Column(
                pl.List(pl.Float64()),
                "Chance of a right answer to each problem of predictions, in their order by "
                "problem_id, 0 to 1",
            ),
        },
    ),
    "predicted_gaps": Columns(
        "How predicted difficulty differs from other ways to choose, and what choosing anew adds",
        {
            **_CELL,
            "against": Column(TEXT, "true_difficulty, one_strategy or majority"),
            "difference": Column(REAL, "Accuracy by predicted difficulty minus that, -1 to 1"),
            "choice_deviations": Column(
                pl.List(pl.Float64()),
                "How it moves where resampled problems fit and choose again, -1 to 1, one a "
                "resampling, the same ones in every row of a task",
            ),
        },
    ),
    "unpredicted": Columns(
        "Pools with which difficulty cannot be predicted and tried, and why",
        {"reason": Column(TEXT, "What the pool lacks")},
    ),
}
"""Tables of ``examine_predictions``; accuracies and shares are 0 to 1."""


class Way(NamedTuple):
    """One way round: what is looked at and evaluated, and what tells the true difficulty.

    ``pool``: samples of ``problem_ids`` in their order; ``rated``: rows of ``accuracy.RATED`` of
    samples that ``pool`` has not; ``outcomes``: as ``accuracy.OUTCOMES``, of ``pool``.
    """

    pool: pl.DataFrame
    rated: pl.DataFrame
    outcomes: pl.DataFrame


def ways_of_run(
    answers: pl.DataFrame, rated: pl.DataFrame, outcomes: pl.DataFrame
) -> tuple[Way, ...]:
    """The one way round of a run: it has a pool for evaluation and one for difficulty."""
    return (Way(answers.filter(pool="evaluation"), rated.filter(pool="difficulty"), outcomes),)


class _Cell(NamedTuple):
    prm: str
    scoring: str
    voting: str
    budget: int


class _Tried(NamedTuple):
    """One way round at one budget with one PRM, of all its aggregations at once [aggregations, ...]

    ``held_out`` by rule, of ``candidates``; ``majority`` [problems]; ``numbers`` [splits,
    problems]: places of the predicted buckets.
    """

    aggregations: tuple[tuple[str, str], ...]
    candidates: tuple[str, ...]
    held_out: dict[str, HeldOut]
    majority: FloatArray
    numbers: IntArray


def examine_predictions(
    ways: Sequence[Way],
    scores: Mapping[str, pl.DataFrame],
    tokens: Tokens,
    problem_ids: Sequence[str],
    settings: EstimateSettings,
) -> dict[str, pl.DataFrame]:
    """``TABLES`` of one (task, policy). ``ways``: one, or both halves of a pool.

    ``scores``: PRM -> (problem_id, sample_index, margins); ``tokens``: what the methods take. A
    pool that is too small, lacks a PRM or has no samples that tell the difficulty says so in
    ``unpredicted``.
    """
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
    reason = _reason(ways)
    if reason is None:
        reason = _examine(ways, scores, tokens, problem_ids, settings, rows)
    if reason is not None:
        rows["unpredicted"].append((reason,))
    return {
        name: pl.DataFrame(rows[name], schema=schema, orient="row").fill_nan(None)
        for name, schema in TABLES.items()
    }


def _reason(ways: Sequence[Way]) -> str | None:
    if not ways:
        return "too few samples to predict the difficulty from some and to know it from others"
    for way in ways:
        if not way.pool.height:
            return "no samples"
        if not way.rated.height:
            return "no samples that tell the difficulty beside those that are evaluated"
    return None


class _Pool:
    """The samples of one way round as arrays, of the problems that have all that is needed."""

    def __init__(self, way: Way, problem_ids: Sequence[str]) -> None:
        place = (pl.col("sample_index").rank("ordinal").over("problem_id") - 1).cast(pl.Int64)
        self.pool = way.pool.with_columns(position=place)
        grid = AnswerGrid.of(self.pool, problem_ids)
        self.grid = grid
        truth = dict(way.rated.select("problem_id", "pass_at_1").iter_rows())
        self.truth = np.array([truth.get(name, np.nan) for name in problem_ids], dtype=np.float64)
        self.size = grid.correct.shape[1]
        self.n_samples = np.count_nonzero(~np.isnan(grid.correct), axis=1)
        self.weights: dict[tuple[str, str], FloatArray] = {}
        self.rankings: dict[tuple[str, str], FloatArray] = {}

    def score(self, prm: str, scores: pl.DataFrame) -> None:
        for scoring, ranking, weight in self.grid.scores(in_order_of(self.pool, scores)):
            self.rankings[prm, scoring], self.weights[prm, scoring] = ranking, weight

    def features(self, prm: str | None) -> FloatArray:
        """[problems, features] of the first ``PROBES`` samples."""
        first = slice(0, PROBES)
        labels = self.grid.classes[:, first]
        same = (labels[:, :, None] == labels[:, None, :]) & (labels[:, :, None] >= 0)
        # No answer at all agrees no more than answers that all differ: a parabola must not be asked
        # where no other problem lies.
        agreement = np.maximum(same.sum(axis=2).max(axis=1), 1) / PROBES
        spent = self.grid.n_tokens[:, first]
        known = ~np.isnan(spent)
        # Adopted samples may not say how long they are.
        mean = np.nansum(spent, axis=1) / np.maximum(known.sum(axis=1), 1)
        length = np.log1p(np.where(known.any(axis=1), mean, mean[known.any(axis=1)].mean()
                                   if known.any() else 0.0))  # fmt: skip
        columns = [agreement, agreement**2, length]
        if prm is not None:
            for scoring in ("prm_last", "prm_min"):
                given = self.weights[prm, scoring][:, first]
                n = np.count_nonzero(~np.isnan(given), axis=1)
                # A sample that could not be scored says nothing of the problem.
                columns.append(np.where(n > 0, np.nansum(given, axis=1) / np.maximum(n, 1), 0.5))
        return np.stack(columns, axis=1)


_VOTINGS = ("prm_max", "prm_vote")


def _examine(
    ways: Sequence[Way],
    scores: Mapping[str, pl.DataFrame],
    tokens: Tokens,
    problem_ids: Sequence[str],
    settings: EstimateSettings,
    rows: Mapping[str, list[tuple[Any, ...]]],
) -> str | None:
    """Add to ``rows``; returns in words what is lacking, None if nothing is."""
    pools = [_Pool(way, problem_ids) for way in ways]
    enough = np.logical_and.reduce(
        [(pool.n_samples >= PROBES) & ~np.isnan(pool.truth) for pool in pools]
    )
    n_enough = np.count_nonzero(enough)
    if n_enough < 2 * FOLDS:
        return (
            f"{n_enough} problem{'' if n_enough == 1 else 's'} with {PROBES} samples and a known "
            f"difficulty; {2 * FOLDS} are needed to fit on some and to try on others"
        )
    for pool in pools:
        for prm, of_prm in scores.items():
            pool.score(prm, of_prm)
    weights = problem_weights(problem_ids, settings.bootstrap_replicates, settings.seed)
    nested = problem_weights(problem_ids, REPLICATES, settings.seed)
    splits = Splits.of(nested[:, enough], FOLDS, REPEATS, settings.seed)
    names = [problem_ids[i] for i in np.flatnonzero(enough)]
    numbers_of: dict[str | None, list[IntArray]] = {}
    asked: list[str | None] = [None, *scores]
    for looked_at in asked:
        predicted = [
            predicted_pass_at_1(pool.features(looked_at)[enough], pool.truth[enough], splits)
            for pool in pools
        ]
        numbers_of[looked_at] = [
            bucket_numbers(chances, settings.easy, settings.medium) for chances in predicted
        ]
        rows["predictions"].extend(
            _predictions(
                looked_at, names, pools, predicted, numbers_of[looked_at], enough, splits, settings
            )
        )
    if not scores:
        return "no PRM: difficulty is predicted from answers alone, and there is nothing to choose"
    outcomes = [_Outcomes(way.outcomes, problem_ids) for way in ways]
    n_tried = 0
    for budget in _budgets(ways, pools):
        fits = np.logical_and.reduce([pool.n_samples >= budget for pool in pools])
        # Problems that the pool does not carry would be about other problems.
        if not fits[enough].all():
            continue
        votes = [_first(pool, budget, [*scores], settings.seed) for pool in pools]
        for prm in scores:
            tried = [
                _try(outcome, pool, vote, prm, budget, enough, numbers, splits, settings)
                for outcome, pool, vote, numbers in zip(
                    outcomes, pools, votes, numbers_of[prm], strict=True
                )
            ]
            if any(one is None for one in tried):
                continue
            n_tried += 1
            of_known = {
                key: of_problems[enough]
                for key, of_problems in tokens.items()
                if key[0] in (prm, None) and key[2] in (budget, PROBES)
            }
            _report(
                [one for one in tried if one is not None],
                prm, budget, names, of_known, weights[:, enough], nested[:, enough], settings, rows,
            )  # fmt: skip
    if not n_tried:
        return f"no budget above {PROBES} samples that the pool carries with a choice of methods"
    return None


def _budgets(ways: Sequence[Way], pools: Sequence[_Pool]) -> list[int]:
    """Budgets above the probes that every way round has outcomes of best-of-N for."""
    budgets = [set(way.outcomes.filter(method="best_of_n")["budget"].to_list()) for way in ways]
    largest = min(pool.size for pool in pools)
    return sorted(n for n in set.intersection(*budgets) if PROBES < n <= largest)


def _predictions(
    prm: str | None,
    names: Sequence[str],
    pools: Sequence[_Pool],
    predicted: Sequence[FloatArray],
    numbers: Sequence[IntArray],
    enough: NDArray[np.bool_],
    splits: Splits,
    settings: EstimateSettings,
) -> Iterator[tuple[Any, ...]]:
    held_out = splits.held_out[: splits.n_of_sample] / splits.repeats
    truth = np.mean([pool.truth[enough] for pool in pools], axis=0)
    chance = np.mean([(held_out * one[: splits.n_of_sample]).sum(axis=0) for one in predicted], 0)
    right = np.mean(
        [
            (held_out * (
                number[: splits.n_of_sample]
                == bucket_numbers(pool.truth[enough], settings.easy, settings.medium)
            )).sum(axis=0)
            for pool, number in zip(pools, numbers, strict=True)
        ],
        axis=0,
    )  # fmt: skip
    for name, one, true, share in zip(names, chance, truth, right, strict=True):
        yield prm, name, float(one), float(true), float(share), PROBES


def _first(pool: _Pool, budget: int, prms: Sequence[str], seed: int) -> dict[Any, FloatArray]:
    """What voting and best-of-N make of the first N samples [problems], by (prm, scoring, voting);
    majority voting by None."""
    classes, correct = pool.grid.classes[:, :budget], pool.grid.correct[:, :budget]
    keys = [(prm, scoring) for prm in prms for scoring in SCORINGS]
    weights = [np.ones_like(correct), *(pool.weights[key][:, :budget] for key in keys)]
    # All samples at once: one subset, nothing is drawn.
    votes, _ = weighted_vote_at_k(classes, correct, np.stack(weights), [budget], 2, seed)
    correctness: dict[Any, FloatArray] = {None: votes[0, :, 0]}
    for key, vote in zip(keys, votes[1:], strict=True):
        correctness[*key, "prm_vote"] = vote[:, 0]
        best = best_of_k(correct, pool.rankings[key][:, :budget], [budget])
        correctness[*key, "prm_max"] = best[:, 0]
    return correctness


def _try(
    outcomes: _Outcomes,
    pool: _Pool,
    first: Mapping[Any, FloatArray],
    prm: str,
    budget: int,
    enough: NDArray[np.bool_],
    numbers: IntArray,
    splits: Splits,
    settings: EstimateSettings,
) -> _Tried | None:
    aggregations, means, of_first = [], [], []
    searches: tuple[str, ...] | None = None
    for scoring in SCORINGS:
        for voting in _VOTINGS:
            candidates = {
                method: outcomes.of(prm, method, scoring, voting, budget) for method in CANDIDATES
            }
            known = {
                method: values[enough]
                for method, values in candidates.items()
                if values is not None and not np.isnan(values[enough]).any()
            }
            if "best_of_n" not in known or "majority" not in known:
                continue
            names = tuple(known)
            if searches is not None and names != searches:
                continue
            searches = names
            aggregations.append((scoring, voting))
            means.append(np.stack([*known.values()]))
            drawn = {**known, "majority": first[None][enough]}
            drawn["best_of_n"] = first[prm, scoring, voting][enough]
            of_first.append(np.stack([drawn[name] for name in names]))
    if searches is None:
        return None
    true = bucket_numbers(pool.truth[enough], settings.easy, settings.medium)
    mean = np.stack(means)
    held_out = {
        "predicted": choose_held_out(np.stack(of_first), numbers, splits, numbers),
        "true_difficulty": choose_held_out(mean, true, splits, numbers),
        "one_strategy": choose_held_out(mean, np.zeros_like(true), splits, numbers),
    }
    majority = mean[0, searches.index("majority")]
    return _Tried(tuple(aggregations), searches, held_out, majority, numbers)


_KEY = ("prm", "method", "scoring", "voting", "budget")

_LEAST = 1e-12
"""Problems that count for less are in no bucket."""

_DIGITS = 9
"""Of sums of problems; what is beyond is rounding."""


class _Outcomes:
    """Accuracies of one way round [problems] by strategy and budget, NaN where there is none."""

    def __init__(self, outcomes: pl.DataFrame, problem_ids: Sequence[str]) -> None:
        outcomes = outcomes.filter(pl.col("method").is_in(CANDIDATES))
        keys = outcomes.select(_KEY).unique(maintain_order=True).with_row_index("column")
        rows = pl.DataFrame({"problem_id": problem_ids}).with_row_index("row")
        placed = outcomes.join(keys, on=_KEY, nulls_equal=True).join(rows, on="problem_id")
        self._values = np.full((keys.height, len(problem_ids)), np.nan)
        self._values[placed["column"].to_numpy(), placed["row"].to_numpy()] = placed[
            "accuracy"
        ].to_numpy()
        self._column = {tuple(key): column for column, *key in keys.iter_rows()}

    def of(
        self, prm: str, method: str, scoring: str, voting: str, budget: int
    ) -> FloatArray | None:
        key: tuple[Any, ...] = (prm, method, scoring, voting, budget)
        if method == "majority":
            key = (None, method, None, "majority", budget)
        column = self._column.get(key)
        return None if column is None else self._values[column]


def _report(
    tried: Sequence[_Tried],
    prm: str,
    budget: int,
    names: Sequence[str],
    tokens: Tokens,
    weights: FloatArray,
    nested: FloatArray,
    settings: EstimateSettings,
    rows: Mapping[str, list[tuple[Any, ...]]],
) -> None:
    """Rows of one PRM and budget; ``weights`` and ``nested``: bootstrap weights of ``names``."""
    first = tried[0]
    if any(one[:2] != first[:2] for one in tried):
        return

    def mean(quantity: str) -> dict[str, FloatArray]:
        """Of both ways round, by rule."""
        return {
            rule: np.mean([getattr(one.held_out[rule], quantity) for one in tried], axis=0)
            for rule in RULES
        }

    accuracy, replicates, once = mean("accuracy"), mean("replicates"), mean("once")
    majority = np.mean([one.majority for one in tried], axis=0)
    factors = np.concatenate(
        [widening_of_means(replicates[rule], once[rule], nested, accuracy[rule]) for rule in RULES]
    )
    # A problem whose predicted difficulty varies with the split counts in part, by what it was
    # given in the splits that held it out.
    given = _by_bucket(mean("share"), mean("share_within"))
    right = _by_bucket(accuracy, mean("right_within"))
    # Every rule and aggregation is told of the same buckets.
    parts = {"all": np.ones(len(names))} | {
        bucket: given[bucket]["predicted"][0].sum(axis=0) for bucket in BUCKETS
    }
    # Thirds of problems, one a repeat, add up to whole ones, but for rounding.
    sizes = {bucket: round(float(part.sum()), _DIGITS) for bucket, part in parts.items()}
    known = {bucket: part for bucket, part in parts.items() if sizes[bucket] >= 1}
    # Of all aggregations at once: most of the time goes into reading the weights.
    intervals = {
        bucket: mean_interval(
            (np.concatenate([right[bucket][rule] for rule in RULES]) / np.maximum(part, _LEAST)).T,
            weights,
            settings.confidence,
            parts=part,
            widening=factors,
        )
        for bucket, part in known.items()
    }
    is_search = np.array([method not in ("majority", "best_of_n") for method in first.candidates])
    costs = [
        tokens.get((None if method == "majority" else prm, method, budget))
        for method in first.candidates
    ]
    of_probes = tokens.get((None, "majority", PROBES))
    order = sorted(range(len(names)), key=names.__getitem__)
    for place, (scoring, voting) in enumerate(first.aggregations):
        cell = _Cell(prm, scoring, voting, budget)
        for bucket, part in known.items():
            interval = intervals[bucket]
            for number, rule in enumerate(RULES):
                column = number * len(first.aggregations) + place
                estimate, low, high = (float(one[column]) for one in interval[:3])
                searched = given[bucket][rule][place][is_search].sum() / part.sum()
                probes = PROBES if rule == "predicted" else 0
                rows["predicted_selection"].append(
                    (*cell, rule, bucket, estimate, low, high, float(factors[column]),
                     budget + probes * float(searched), probes, sizes[bucket])
                )  # fmt: skip
            rows["predicted_choices"] += [
                (*cell, rule, bucket, method, min(float(of_method.sum() / part.sum()), 1.0),
                 _spent(cost, of_method), _spent(of_probes, of_method))
                for rule in ("predicted", "one_strategy")
                for method, cost, of_method in zip(
                    first.candidates, costs, given[bucket][rule][place], strict=True
                )
                if of_method.any()
            ]  # fmt: skip
        rows["predicted_outcomes"] += [
            (*cell, rule, values[order].tolist())
            for rule, values in (
                *((rule, accuracy[rule][place]) for rule in RULES),
                ("majority", majority),
            )
        ]
        by_prediction = accuracy["predicted"][place]
        for against in ("true_difficulty", "one_strategy", "majority"):
            if against == "majority":
                other, other_replicates = majority, nested @ majority / nested.sum(axis=1)
                other_once = majority
            else:
                other = accuracy[against][place]
                other_replicates = replicates[against][:, place]
                other_once = once[against][place]
            difference = by_prediction - other
            of_once = once["predicted"][place] - other_once
            moves = choice_deviations(
                (replicates["predicted"][:, place] - other_replicates)[:, None],
                of_once[None],
                difference[None],
                nested,
                halved=against == "true_difficulty",
            )
            rows["predicted_gaps"].append(
                (*cell, against, float(difference.mean()), moves[:, 0].tolist())
            )


def _by_bucket(
    of_all: Mapping[str, FloatArray], within: Mapping[str, FloatArray]
) -> dict[str, Mapping[str, FloatArray]]:
    """What there is of all problems, by rule, and ``within`` each bucket [buckets, ...]."""
    of_buckets = {
        bucket: {rule: values[place] for rule, values in within.items()}
        for place, bucket in enumerate(BUCKETS)
    }
    return {"all": of_all, **of_buckets}


def _spent(tokens: FloatArray | None, shares: FloatArray) -> float | None:
    """Mean of ``tokens`` [problems] by how far each of them counts, of those where it is known."""
    if tokens is None:
        return None
    known = ~np.isnan(tokens) & (shares > 0)
    return float(np.average(tokens[known], weights=shares[known])) if known.any() else None
