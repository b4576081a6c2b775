"""What it saves to stop drawing early: accuracy against the samples that are drawn on average.

Majority voting stops where its answer is certain, or where one answer leads with confidence;
best-of-N stops at the first sample whose score reaches a threshold. The threshold is chosen on
other problems: of ``REACHED`` the one that draws the fewest samples there and loses no more than
``LOSS`` of accuracy against all N; what is said is what those thresholds give on problems like
these. Fixed budgets stand beside them. The rules were written before any result was seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from compute_optimal.analyse.adopted_pools import carried
from compute_optimal.analyse.answer_grid import AnswerGrid, in_order_of, scored_parts
from compute_optimal.analyse.predicted_difficulty import FOLDS, REPEATS, REPLICATES
from compute_optimal.analyse.statistics.estimators import (
    EQUALLY_GOOD,
    FloatArray,
    IntArray,
    mean_of_known,
    plurality_at_k,
)
from compute_optimal.analyse.statistics.intervals import (
    few_differences_interval,
    mean_interval,
    problem_weights,
)
from compute_optimal.analyse.statistics.prediction import Splits
from compute_optimal.analyse.statistics.stopping import best_stopped, majority_stopped
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common
from compute_optimal.study.requests import EstimateSettings

REACHED = (0.75, 0.5, 0.35, 0.25, 0.15, 0.1, 0.05, 0.02, 0.01)
"""Thresholds, as the shares of all samples' scores that reach them (0 to 1); ``thresholds_of`` adds
one that no score reaches, which never stops."""

LOSS = 0.005
"""Loss of accuracy (0 to 1) that a threshold may cost. ASSUME: half a point is not worth more
samples."""

ADAPTIVE = Columns(
    "Accuracy of voting and best-of-N that stop early, and of those that do not",
    {
        **common("prm", "method", "scoring"),
        "rule": Column(
            TEXT,
            "fixed: all N samples; certain: until no answer can reach the leading one; confident: "
            "until one of the two answers ahead is the more frequent one with a chance of 95%; "
            "threshold: until a score reaches one that was chosen on other problems",
        ),
        "budget": Column(COUNT, "Budget N: samples at most"),
        **common("accuracy", "ci_low", "ci_high"),
        "samples": Column(REAL, "Number of samples that are drawn per problem, on average"),
        "samples_low": Column(REAL, "Lower end of the interval of samples over problems"),
        "samples_high": Column(REAL, "Upper end of the interval of samples over problems"),
        "chosen_low": Column(
            REAL,
            "Where problems are resampled and thresholds chosen again: samples that all but 2.5% "
            f"of {REPLICATES} resamplings reach; NULL where nothing is chosen",
        ),
        "chosen_high": Column(REAL, "Samples that 2.5% of these resamplings exceed"),
        "tokens": Column(
            REAL,
            "Tokens that the policy generates per problem, on average, each problem's samples "
            "counted by their own mean; null where unknown",
        ),
        "change": Column(REAL, "Accuracy minus that of all N samples, -1 to 1"),
        "change_low": Column(REAL, "Lower end of the paired interval of change over problems"),
        "change_high": Column(REAL, "Upper end of the paired interval of change over problems"),
        "monte_carlo_error": Column(
            REAL, "Standard error of samples from random orders; 0 where it is exact"
        ),
        **common("n_problems"),
    },
)

MOST_ORDERS = 50
"""Random orders of a pool at most: with 200 problems, means are known to half a sample."""

_ROUNDING = 1e-12


def examine_stopping(
    answers: pl.DataFrame,
    scores: Mapping[str, pl.DataFrame],
    problem_ids: Sequence[str],
    settings: EstimateSettings,
    scored: Mapping[str, int] = MappingProxyType({}),
) -> pl.DataFrame:
    """``ADAPTIVE`` of the evaluation pool, at each budget of the study above 1 that 95% of its
    problems have the samples for.

    Only of problems that have as many samples as the largest such budget: a curve is over the same
    problems everywhere. Of each, its whole pool counts, or all of it that a PRM read, so that all N
    samples are worth what they are everywhere else. Arguments as for ``accuracy.estimate``.
    """
    rows: list[tuple[Any, ...]] = []
    pool = answers.filter(pool="evaluation")
    if pool.height:
        whole = _Pool.of(pool, problem_ids, settings)
        if whole is not None:
            rows += _of_majority(whole, settings)
        for part, of_prms in scored_parts(pool, scores, scored):
            read = whole if part is pool else _Pool.of(part, problem_ids, settings)
            if read is not None:
                rows += _of_best(read, of_prms, settings)
    return pl.DataFrame(rows, schema=ADAPTIVE, orient="row").fill_nan(None)


@dataclass(frozen=True, slots=True)
class _Pool:
    """Samples of the problems that have ``enough`` for the largest of ``budgets``.

    ``correct`` and ``classes`` [problems, n] and ``lengths`` [problems], mean tokens of a sample,
    NaN where unknown; ``weights`` and ``nested`` [replicates, problems]: bootstrap weights.
    """

    pool: pl.DataFrame
    grid: AnswerGrid
    enough: IntArray
    budgets: IntArray
    correct: FloatArray
    classes: IntArray
    lengths: FloatArray
    weights: FloatArray
    nested: FloatArray

    @classmethod
    def of(
        cls, pool: pl.DataFrame, problem_ids: Sequence[str], settings: EstimateSettings
    ) -> _Pool | None:
        """None where the problems have the samples for no budget."""
        place = (pl.col("sample_index").rank("ordinal").over("problem_id") - 1).cast(pl.Int64)
        pool = pool.with_columns(position=place)
        grid = AnswerGrid.of(pool, problem_ids)
        sizes = np.count_nonzero(~np.isnan(grid.correct), axis=1)
        # Of a pool of a part of the task's problems these alone count.
        most = carried(pool)
        budgets = np.array([n for n in settings.budgets if 1 < n <= most], dtype=np.int64)
        if not len(budgets):
            return None
        enough = np.flatnonzero(sizes >= budgets[-1])
        lengths, _ = mean_of_known(grid.n_tokens[enough].T)
        weights, nested = (
            problem_weights(problem_ids, replicates, settings.seed)[:, enough]
            for replicates in (settings.bootstrap_replicates, REPLICATES)
        )
        return cls(
            pool, grid, enough, budgets, grid.correct[enough], grid.classes[enough], lengths,
            weights, nested,
        )  # fmt: skip


def _of_majority(pool: _Pool, settings: EstimateSettings) -> Iterator[tuple[Any, ...]]:
    classes, correct, budgets = pool.classes, pool.correct, pool.budgets
    exact = plurality_at_k(classes, correct, budgets)
    fixed = np.broadcast_to(budgets.astype(np.float64), exact.shape)
    none = np.zeros_like(exact)
    n_orders = min(settings.vote_subsets, MOST_ORDERS)
    stopped = majority_stopped(classes, correct, budgets, n_orders, settings.seed)
    certain, confident = stopped["certain"], stopped["confident"]
    key = (None, "majority", None)
    of_rule = {
        "fixed": (exact, fixed, none),
        # It ends as all N samples would, so what these give is exact for it too.
        "certain": (exact, certain.samples, certain.error),
        # The same orders without stopping: what chance makes of orders is no change, and where
        # nothing changes it is the same number.
        "confident": (exact + (confident.correct - certain.correct), confident.samples,
                      confident.error),
    }  # fmt: skip
    for rule, (right, drawn, error) in of_rule.items():
        yield from _summary((*key, rule), pool, right, drawn, error, exact, None, settings)


def _of_best(
    pool: _Pool, scores: Mapping[str, pl.DataFrame], settings: EstimateSettings
) -> Iterator[tuple[Any, ...]]:
    correct, budgets = pool.correct, pool.budgets
    if len(correct) < 2 * FOLDS:
        return
    none = np.zeros((len(correct), len(budgets)))
    fixed = none + budgets
    splits = Splits.of(pool.nested, FOLDS, REPEATS, settings.seed)
    for prm, of_prm in scores.items():
        for scoring, of_pool, _ in pool.grid.scores(in_order_of(pool.pool, of_prm)):
            # A mean of steps that are all certain has no finite logit.
            ranking = np.clip(of_pool[pool.enough], -1e300, 1e300)
            known = ranking[~np.isnan(ranking)]
            if not len(known):
                continue
            right, drawn = best_stopped(correct, ranking, thresholds_of(known), budgets)
            key = prm, "best_of_n", scoring
            all_of_n = right[-1]
            yield from _summary(
                (*key, "fixed"), pool, all_of_n, fixed, none, all_of_n, None, settings
            )
            chosen = choose_thresholds(right, drawn, splits)
            right_chosen = (chosen.share * right).sum(axis=0)
            drawn_chosen = (chosen.share * drawn).sum(axis=0)
            tail = (1 - settings.confidence) / 2
            again = np.quantile(chosen.samples_again, [tail, 1 - tail], axis=0)
            yield from _summary(
                (*key, "threshold"), pool, right_chosen, drawn_chosen, none, all_of_n, again,
                settings,
            )  # fmt: skip


def thresholds_of(scores: FloatArray) -> FloatArray:
    """The thresholds that best-of-N can stop at [thresholds]: those of ``REACHED``, and
    infinity."""
    return np.append(np.quantile(scores, 1 - np.array(REACHED), method="inverted_cdf"), np.inf)


@dataclass(frozen=True, slots=True)
class ChosenThresholds:
    """``share`` [thresholds, problems, budgets]: how often other problems chose each;
    ``samples_again`` [replicates, budgets]: mean samples where resampled problems choose again."""

    share: FloatArray
    samples_again: FloatArray


def choose_thresholds(right: FloatArray, drawn: FloatArray, splits: Splits) -> ChosenThresholds:
    """The thresholds that draw least on the training problems of each split, and lose no more than
    ``LOSS`` there, on the held-out ones.

    ``right``, ``drawn``: [thresholds, problems, budgets]; the last threshold never stops.
    """
    n_thresholds, n_problems, n_budgets = right.shape
    flat_right = right.transpose(1, 0, 2).reshape(n_problems, -1)
    flat_drawn = drawn.transpose(1, 0, 2).reshape(n_problems, -1)
    totals = splits.train.sum(axis=1)[:, None, None]
    shape = len(splits.train), n_thresholds, n_budgets
    mean = (splits.train @ flat_right).reshape(shape) / totals
    cost = (splits.train @ flat_drawn).reshape(shape) / totals
    # Of thresholds that draw as many, the lowest.
    is_worth = mean >= mean[:, -1:] - LOSS - EQUALLY_GOOD
    cost = np.where(is_worth, cost, np.inf)
    choice = (cost <= cost.min(axis=1, keepdims=True) + EQUALLY_GOOD).argmax(axis=1)
    picked = np.arange(n_thresholds)[None, :, None] == choice[:, None]
    of_sample = splits.held_out[: splits.n_of_sample] / splits.repeats
    share = np.einsum("stb,sp->tpb", picked[: splits.n_of_sample].astype(np.float64), of_sample)
    held_out = splits.held_out[splits.n_of_sample :].sum(axis=1).reshape(-1, splits.folds)
    spent = ((splits.held_out @ flat_drawn).reshape(shape) * picked).sum(axis=1)
    of_replicates = spent[splits.n_of_sample :].reshape(-1, splits.folds, n_budgets).sum(axis=1)
    return ChosenThresholds(share, of_replicates / held_out.sum(axis=1, keepdims=True))


def _summary(
    key: tuple[Any, ...],
    pool: _Pool,
    right: FloatArray,
    drawn: FloatArray,
    error: FloatArray,
    all_of_n: FloatArray,
    samples_again: FloatArray | None,
    settings: EstimateSettings,
) -> Iterator[tuple[Any, ...]]:
    """Rows of ``ADAPTIVE``, one a budget; arrays are [problems, budgets]. No change has an interval
    where ``right`` is ``all_of_n`` itself or all N samples are drawn. ``samples_again`` [2,
    budgets]: between which means most resamplings draw that choose a threshold again.

    Of a threshold that was chosen, all three are of those that were, on problems like these, as
    intervals of a cross-validated error are of what was fitted (Bayle et al. 2020, arXiv
    2007.12671). Another choice is one of ten thresholds: how many samples it draws jumps, which no
    resampling repeats well (of 95% intervals with it, 82 to 88% hold), and how much it loses is
    held by the limit on the loss where it is, so resampled choices vary by more than new ones.
    Where resampled choices lead stands beside the samples.
    """
    budgets = pool.budgets
    share = drawn / budgets
    change = right - all_of_n
    # What two ways to the same number leave of it.
    change[np.abs(change) < _ROUNDING] = 0.0
    n_budgets = len(budgets)
    n_problems = len(right)
    # Problems that take many samples take long ones: the means do not multiply.
    tokens, _ = mean_of_known(drawn * pool.lengths[:, None])
    mean, *ends, _ = mean_interval(np.hstack([right, share]), pool.weights, settings.confidence)
    mean_change, low, high, _ = few_differences_interval(change, settings.confidence)
    is_same = (drawn == budgets).all(axis=0) | (right is all_of_n)
    low, high = np.where(is_same, mean_change, low), np.where(is_same, mean_change, high)
    for i, n in enumerate(budgets.tolist()):
        of_samples = n_budgets + i
        again = (None, None) if samples_again is None else map(float, samples_again[:, i])
        yield (
            *key,
            n,
            float(mean[i]),
            *(float(end[i]) for end in ends),
            *(float(n * part[of_samples]) for part in (mean, *ends)),
            *again,
            float(tokens[i]),
            float(mean_change[i]),
            float(low[i]),
            float(high[i]),
            float(np.sqrt((error[:, i] ** 2).sum()) / n_problems),
            n_problems,
        )
