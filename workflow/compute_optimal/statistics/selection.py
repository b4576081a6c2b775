"""Which strategy to use where: compute-optimal selection and what it gains (paper sections 2.3, 5).

The paper picks the best strategy per difficulty on the very problems it reports (equation 2 with
the test set as the expectation). Best-of-many on the same data is optimistic, so the selection is
reported four ways: in-sample, the paper's fixed rule by model size, cross-fitted (chosen on some
problems, scored on others) and oracle (best strategy of each problem, an upper bound).

``outcomes`` is [strategies, problems]: expected correctness 0..1 at one budget, NaN where missing.
``buckets`` [problems] are labels of any kind. A strategy with a missing outcome in a bucket cannot
be compared there and is left out of it; ``Selection.excluded`` says so. Strategies that are equally
good share a choice equally.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute_optimal.statistics.estimators import FloatArray, IntArray
from compute_optimal.statistics.intervals import wilson_interval

_EQUALLY_GOOD = 1e-9
"""Means that differ by less differ by rounding: they are sums of the same numbers."""


class Exclusion(NamedTuple):
    """A strategy (row of ``outcomes``) that misses ``n_missing`` problems of a bucket."""

    strategy: int
    bucket: str
    n_missing: int


@dataclass(frozen=True, slots=True)
class Selection:
    """``share`` [strategies, problems]: how often each strategy answers each problem, adding up to
    1 (0 where none can); ``accuracy`` [problems]: what that gives, NaN where none can."""

    share: FloatArray
    accuracy: FloatArray
    excluded: tuple[Exclusion, ...]


class Estimate(NamedTuple):
    """A number with its confidence limits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """The selections side by side. ``optimism_gap`` = in-sample minus cross-fitted, paired."""

    in_sample: Estimate
    fixed_rule: Estimate | None
    cross_fitted: Estimate
    oracle: Estimate
    optimism_gap: Estimate
    excluded: tuple[Exclusion, ...]


@dataclass(frozen=True, slots=True)
class EfficiencyGain:
    """Budget of majority voting's highest point over the budget that buys the same accuracy.

    ``kind``: "exact"; "lower_bound" if the compute-optimal curve is there at its smallest budget
    already (unless that is one sample); "upper_bound" if it never gets there: the gain is less
    than the one at its largest budget, and ``optimal_budget`` is NaN.
    """

    gain: float
    kind: Literal["exact", "lower_bound", "upper_bound"]
    majority_budget: float
    optimal_budget: float
    accuracy: float

    def __str__(self) -> str:
        sign = {"exact": "", "lower_bound": ">", "upper_bound": "<"}[self.kind]
        return f"{sign}{self.gain:.1f}x"


def paper_rule(task: str, n_parameters: float, bucket: str, *, is_reasoning: bool = False) -> str:
    """The method of the paper's fixed rule (the authors' answer in issue 4 of their repository).

    MATH-500: below 7B beam search; 7B to 32B DVTS, on hard problems beam search; above best-of-N.
    AIME24: below 14B DVTS, from there best-of-N. Reasoning models (R1-Distill): best-of-N
    (issues 1 and 3). A scale model passes the task and size that it stands for. Raises
    ``ValueError`` for other tasks: the rule says nothing about them.
    """
    if task not in ("MATH-500", "AIME24"):
        raise ValueError(f"the paper's rule covers MATH-500 and AIME24, not {task}")
    if is_reasoning:
        return "best_of_n"
    # ASSUME: the rule means the sizes in model names: Qwen2.5-32B (32.8e9) counts as 32.
    billions = int(n_parameters // 1e9)
    if task == "AIME24":
        return "dvts" if billions < 14 else "best_of_n"
    if billions < 7:
        return "beam_search"
    if billions > 32:
        return "best_of_n"
    return "beam_search" if bucket == "hard" else "dvts"


def select_in_sample(outcomes: ArrayLike, buckets: ArrayLike) -> Selection:
    """Best strategy of each bucket on the problems it is scored on, as the paper does it."""
    table = _Table.of(outcomes, buckets)
    share = np.zeros_like(table.outcome)
    for group in table.groups:
        sums = table.outcome[:, group.rows].sum(axis=1)
        share[:, group.rows] = _best(sums[None], group.allowed)[0][:, None]
    return table.selection(share)


def select_fixed(
    outcomes: ArrayLike, buckets: ArrayLike, strategy_of: Mapping[str, int]
) -> Selection:
    """The strategy that a rule names for each bucket label, whatever the outcomes.

    Buckets that the rule does not name, or whose strategy has missing outcomes, stay NaN.
    """
    table = _Table.of(outcomes, buckets)
    share = np.zeros_like(table.outcome)
    for group in table.groups:
        strategy = strategy_of.get(group.bucket, -1)
        if strategy >= 0 and group.allowed[strategy]:
            share[strategy, group.rows] = 1.0
    return table.selection(share)


def select_cross_fitted(
    outcomes: ArrayLike, buckets: ArrayLike, folds: int = 5, repeats: int = 20, seed: int = 0
) -> Selection:
    """Best strategy of each bucket on the other folds, averaged over repeated splits.

    Folds are stratified by bucket; buckets smaller than ``folds`` leave one problem out. The only
    problem of a bucket is given the strategy that is best in the other buckets.
    """
    table = _Table.of(outcomes, buckets)
    ones = np.ones((1, table.n_problems))
    share = np.zeros_like(table.outcome)
    assigned = table.fold_assignments(folds, repeats, seed)
    for group in table.groups:
        choices, _, _ = table.cross_fit(group, assigned[:, group.rows], ones)
        for choice, fold in zip(choices[:, 0], assigned[:, group.rows], strict=True):
            share[:, group.rows] += choice[:, fold] / repeats
    return table.selection(share)


def select_oracle(outcomes: ArrayLike, buckets: ArrayLike) -> Selection:
    """Best strategy of every single problem: an upper bound that no selection can reach.

    With single runs per problem it is a maximum over noise too.
    """
    table = _Table.of(outcomes, buckets)
    share = np.zeros_like(table.outcome)
    for group in table.groups:
        share[:, group.rows] = _best(table.outcome[:, group.rows].T, group.allowed).T
    return table.selection(share)


def selection_report(
    outcomes: ArrayLike,
    buckets: ArrayLike,
    weights: FloatArray,
    *,
    strategy_of: Mapping[str, int] | None = None,
    folds: int = 5,
    repeats: int = 20,
    seed: int = 0,
    confidence: float = 0.95,
) -> SelectionReport:
    """Mean accuracy of each selection over all problems, with intervals by nested bootstrap.

    ``weights`` [replicates, problems] are bootstrap weights (``intervals.bootstrap_weights``; 200
    replicates do). Every replicate selects again, in-sample and in every fold; a problem drawn
    twice stays in one fold. Limits are the estimate -+ z standard deviations of the replicates,
    since the replicates themselves are shifted: a maximum over resampled data is optimistic once
    more. They are about 10% too wide for cross-fitted, more for the gap: replicates hold fewer
    distinct problems, so their selection is noisier. Without spread an accuracy gets the Wilson
    interval.
    """
    table = _Table.of(outcomes, buckets)
    # The first row is the sample itself, the others are its replicates.
    every = np.vstack([np.ones((1, table.n_problems)), weights])

    def of(selection: Selection) -> FloatArray:
        known = ~np.isnan(selection.accuracy)
        return _ratio(every[:, known] @ selection.accuracy[known], every[:, known].sum(axis=1))

    in_sample_sums, scored, held_out = (np.zeros(len(every)) for _ in range(3))
    for group in table.groups:
        if group.allowed.any():
            sums = every[:, group.rows] @ table.outcome[:, group.rows].T
            in_sample_sums += (_best(sums, group.allowed) * sums).sum(axis=1)
            scored += every[:, group.rows].sum(axis=1)
    assigned = table.fold_assignments(folds, repeats, seed)
    gained = []
    for group in table.groups:
        choice, sums, totals = table.cross_fit(group, assigned[:, group.rows], every)
        gained.append((choice * sums).sum(axis=(2, 3)))
        held_out += (totals * (choice.sum(axis=2) > 0)).sum(axis=(0, 2))
    in_sample = _ratio(in_sample_sums, scored)
    # Summed over the buckets of a repeat, then over repeats.
    held_out_sums = np.stack([np.zeros((repeats, len(every))), *gained], axis=1)
    cross_fitted = _ratio(held_out_sums.reshape(-1, len(every)).sum(axis=0), held_out)

    def estimate(values: FloatArray, *, is_accuracy: bool = True) -> Estimate:
        return _estimate(values, table.n_problems if is_accuracy else 0, confidence)

    return SelectionReport(
        in_sample=estimate(in_sample),
        fixed_rule=None
        if strategy_of is None
        else estimate(of(select_fixed(outcomes, buckets, strategy_of))),
        cross_fitted=estimate(cross_fitted),
        oracle=estimate(of(select_oracle(outcomes, buckets))),
        optimism_gap=estimate(in_sample - cross_fitted, is_accuracy=False),
        excluded=table.excluded,
    )


def efficiency_gain(
    majority_budgets: ArrayLike,
    majority_accuracy: ArrayLike,
    optimal_budgets: ArrayLike,
    optimal_accuracy: ArrayLike,
) -> EfficiencyGain:
    """How many times less budget compute-optimal scaling needs than majority voting (Table 5).

    The definition of issue 11 of the official repository: the budget of majority's highest point
    (the smallest if it is reached more than once) divided by the budget where the optimal curve,
    linear between its budgets, first reaches that accuracy. NaN points are left out. Raises
    ``ValueError`` if a curve has no point.
    """
    budget, accuracy = _curve(majority_budgets, majority_accuracy)
    optimal_budget, optimal = _curve(optimal_budgets, optimal_accuracy)
    if not len(budget) or not len(optimal_budget):
        raise ValueError("a curve has no points")
    peak = int(np.argmax(accuracy))
    target, peak_budget = float(accuracy[peak]), float(budget[peak])
    reached = np.flatnonzero(optimal >= target)
    if not len(reached):
        bound = peak_budget / float(optimal_budget[-1])
        return EfficiencyGain(bound, "upper_bound", peak_budget, np.nan, target)
    after = int(reached[0])
    needed = float(optimal_budget[after])
    if after:
        step = (target - optimal[after - 1]) / (optimal[after] - optimal[after - 1])
        start = float(optimal_budget[after - 1])
        needed = start + float(step) * (needed - start)
    is_bound = after == 0 and (optimal[0] > target or needed > 1)
    kind: Literal["lower_bound", "exact"] = "lower_bound" if is_bound else "exact"
    return EfficiencyGain(peak_budget / needed, kind, peak_budget, needed, target)


def performance_gain(accuracy: float, cot_accuracy: float) -> float:
    """Relative gain over CoT, as a fraction (Table 5); infinite over 0, NaN for 0 over 0."""
    if cot_accuracy == 0:
        return float("nan") if accuracy == 0 else float("inf")
    return (accuracy - cot_accuracy) / cot_accuracy


class _Group(NamedTuple):
    """The problems of a bucket, and the strategies [strategies] with an outcome for all of them."""

    bucket: str
    rows: IntArray
    allowed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Table:
    """Outcomes [strategies, problems] with 0 where they are not ``known``, grouped by bucket."""

    outcome: FloatArray
    known: NDArray[np.bool_]
    groups: tuple[_Group, ...]
    excluded: tuple[Exclusion, ...]

    @classmethod
    def of(cls, outcomes: ArrayLike, buckets: ArrayLike) -> _Table:
        outcome, labels = np.asarray(outcomes, dtype=np.float64), np.asarray(buckets).astype(str)
        if outcome.ndim != 2 or labels.shape != (outcome.shape[1],):
            raise ValueError(
                f"outcomes {outcome.shape} must be [strategies, problems], "
                f"buckets {labels.shape} [problems]"
            )
        known = ~np.isnan(outcome)
        groups, excluded = [], []
        for bucket in np.unique(labels).tolist():
            rows = np.flatnonzero(labels == bucket)
            n_missing = np.count_nonzero(~known[:, rows], axis=1)
            groups.append(_Group(bucket, rows, n_missing == 0))
            excluded += [
                Exclusion(strategy, bucket, int(n_missing[strategy]))
                for strategy in np.flatnonzero(n_missing).tolist()
            ]
        return cls(np.where(known, outcome, 0.0), known, tuple(groups), tuple(excluded))

    @property
    def n_problems(self) -> int:
        return len(self.outcome.T)

    def selection(self, share: FloatArray) -> Selection:
        answered = share.sum(axis=0) > 0
        accuracy = np.where(answered, (share * self.outcome).sum(axis=0), np.nan)
        return Selection(share, accuracy, self.excluded)

    def fold_assignments(self, folds: int, repeats: int, seed: int) -> IntArray:
        """The fold of each problem [repeats, problems], stratified by bucket."""
        if folds < 2 or repeats < 1:
            raise ValueError("cross-fitting needs at least two folds and one repeat")
        random = np.random.default_rng([seed, self.n_problems])
        fold = np.zeros((repeats, self.n_problems), dtype=np.int64)
        for repeat in fold:
            for group in self.groups:
                n_rows = len(group.rows)
                repeat[group.rows] = random.permutation(n_rows) % min(folds, n_rows)
        return fold

    def cross_fit(
        self, group: _Group, fold: IntArray, weights: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Choices for every fold of a bucket, made on its other folds.

        ``fold`` is [repeats, problems of the bucket], ``weights`` [replicates, all problems].
        Returns the share of each strategy [repeats, replicates, strategies, folds], the weighted
        sums of outcomes in each fold (same shape), and the weight of each fold [repeats,
        replicates, folds].
        """
        repeats, n_folds = len(fold), int(fold.max()) + 1
        in_fold: FloatArray = np.eye(n_folds)[fold.T].reshape(-1, repeats * n_folds)
        split = self.outcome[:, group.rows].T[:, :, None] * in_fold[:, None, :]
        weight = weights[:, group.rows]
        shape = len(weight), len(self.outcome), repeats, n_folds
        sums = (weight @ split.reshape(len(split), -1)).reshape(shape)
        sums = np.ascontiguousarray(np.moveaxis(sums, 2, 0))
        totals = np.moveaxis((weight @ in_fold).reshape(-1, repeats, n_folds), 1, 0)
        train = sums.sum(axis=3, keepdims=True) - sums
        untrained = totals.sum(axis=2, keepdims=True) - totals == 0
        if untrained.any():
            elsewhere = weights.copy()
            elsewhere[:, group.rows] = 0
            counts = elsewhere @ self.known.T
            means = np.divide(
                elsewhere @ self.outcome.T, counts, out=np.full_like(counts, -np.inf),
                where=counts > 0,
            )  # fmt: skip
            train = np.where(untrained[:, :, None, :], means[:, :, None], train)
        return _best(train.swapaxes(2, 3), group.allowed).swapaxes(2, 3), sums, totals


def _best(values: FloatArray, allowed: NDArray[np.bool_]) -> FloatArray:
    """Equal shares [..., strategies] for the largest of the allowed values; 0 if there is none."""
    candidates = np.where(allowed, values, -np.inf)
    top = candidates.max(axis=-1, keepdims=True, initial=-np.inf)
    leads = (candidates >= top - _EQUALLY_GOOD) & np.isfinite(candidates)
    shares: FloatArray = leads / np.maximum(leads.sum(axis=-1, keepdims=True), 1)
    return shares


def _ratio(sums: FloatArray, totals: FloatArray) -> FloatArray:
    result: FloatArray = np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)
    return result


def _estimate(values: FloatArray, n_problems: int, confidence: float) -> Estimate:
    """First value with limits from the others; ``n_problems`` > 0 says that it is an accuracy."""
    value, replicates = float(values[0]), values[1:][~np.isnan(values[1:])]
    if np.isnan(value) or len(replicates) < 2:
        return Estimate(value, np.nan, np.nan)
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * float(replicates.std(ddof=1))
    if not n_problems:
        return Estimate(value, value - half, value + half)
    if half < _EQUALLY_GOOD:
        low, high = wilson_interval(value * n_problems, n_problems, confidence)
        return Estimate(value, float(low), float(high))
    return Estimate(value, max(value - half, 0.0), min(value + half, 1.0))


def _curve(budgets: ArrayLike, accuracy: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Points in order of budget, without NaN, to 12 digits: rounding is no difference."""
    budget, height = np.asarray(budgets, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    order = np.argsort(budget, kind="stable")
    order = order[~np.isnan(height[order])]
    return budget[order], np.round(height[order], 12)
