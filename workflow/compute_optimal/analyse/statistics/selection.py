"""Which strategy to use where: compute-optimal selection and what it gains (paper sections 2.3, 5).

The paper's equations 2 and 3 pick the best strategy per difficulty, here with the very problems
that are scored as the expectation, for each PRM, and the PRM that does best; its tables follow a
fixed rule by model size, which was read off the same problems. Best-of-many on the same data is
optimistic, so the selection is reported four ways: in-sample, the paper's fixed rule, cross-fitted
(all that is chosen, the PRM too, is chosen on some problems and scored on others) and oracle (best
strategy of each problem, an upper bound).

``outcomes`` is [strategies, problems]: expected correctness 0..1 with one PRM at one budget, NaN
where missing. ``buckets`` [problems] are labels of any kind. A strategy with a missing outcome in a
bucket cannot be compared there and is left out of it. Strategies that are equally good share a
choice equally, and so do PRMs. Arrays of other shapes raise ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute_optimal.analyse.statistics.choosing_anew import (
    standard_error_of_means,
    widening_of_means,
)
from compute_optimal.analyse.statistics.estimators import EQUALLY_GOOD, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Selection:
    """``share`` [strategies, problems]: how often each strategy answers each problem, adding up to
    1 (0 where none can); ``accuracy`` [problems]: what that gives, NaN where none can."""

    share: FloatArray
    accuracy: FloatArray


class Estimate(NamedTuple):
    """A number with its confidence limits."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The strategies of one PRM at one budget, chosen among in every fold and replicate (``fit``).

    The first of the replicates, ``weights`` [replicates, problems], is the sample: ``in_sample``
    [strategies, problems] and ``cross_fitted`` [repeats, strategies, problems] are the shares of
    the choice in it. ``fold`` [repeats, problems]. In each replicate, sums over problems: ``best``
    and ``scored`` [replicates], the outcomes in-sample and the problems that have one;
    ``trained``, ``gained`` and ``held_out`` [repeats, replicates, folds], the outcomes of a fold's
    choice on the problems that chose it and on those of the fold, and how many the latter are.
    """

    outcome: FloatArray
    weights: FloatArray
    fold: IntArray
    in_sample: FloatArray
    cross_fitted: FloatArray
    best: FloatArray
    scored: FloatArray
    trained: FloatArray
    gained: FloatArray
    held_out: FloatArray
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """What is chosen among the strategies of PRMs, the PRM too (``choose``).

    Shares are [prms, strategies, problems]. ``optimism_gap``: mean in-sample accuracy minus the
    cross-fitted one. ``widening``: how many times as far the mean cross-fitted accuracy spreads
    as replicates of it that keep the choice, at least 1 (``choosing_anew.widening_of_means``).
    """

    in_sample: Selection
    cross_fitted: Selection
    optimism_gap: Estimate
    widening: float


@dataclass(frozen=True, slots=True)
class EfficiencyGain:
    """Budget of majority voting's highest point over the budget that buys the same accuracy.

    ``kind``: "exact"; "lower_bound" if the compute-optimal curve is there at its smallest budget
    already (unless that is one sample); "upper_bound" if it never gets there: the gain is less
    than ``gain``, the one at its largest budget.
    """

    gain: float
    kind: Literal["exact", "lower_bound", "upper_bound"]


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


def select_oracle(outcomes: ArrayLike, buckets: ArrayLike) -> Selection:
    """Best strategy of every single problem: an upper bound that no selection can reach.

    With single runs per problem it is a maximum over noise too.
    """
    table = _Table.of(outcomes, buckets)
    share = np.zeros_like(table.outcome)
    for group in table.groups:
        share[:, group.rows] = _best(table.outcome[:, group.rows].T, group.allowed).T
    return table.selection(share)


def fit(
    outcomes: ArrayLike,
    buckets: ArrayLike,
    weights: FloatArray,
    *,
    folds: int = 5,
    repeats: int = 20,
    seed: int = 0,
) -> Fit:
    """Choose among one PRM's strategies, in-sample and in every fold, in every replicate.

    ``weights`` [replicates, problems] are bootstrap weights (``intervals.bootstrap_weights``; 200
    replicates do). Every replicate selects again; a problem drawn twice stays in one fold.

    In-sample, a bucket's best strategy is that of the problems it is scored on (equation 3);
    cross-fitted, that of the other folds, in ``repeats`` random splits. Folds are stratified by
    bucket; buckets smaller than ``folds`` leave one problem out. The only problem of a bucket is
    given the strategy that is best in the other buckets. Raises ``ValueError`` for fewer than two
    folds.
    """
    table = _Table.of(outcomes, buckets)
    every = np.vstack([np.ones((1, table.n_problems)), weights])
    fold = table.fold_assignments(folds, repeats, seed)
    in_sample = np.zeros_like(table.outcome)
    cross_fitted = np.zeros((repeats, *table.outcome.shape))
    best, scored = np.zeros((2, len(every)))
    trained, gained, held_out = np.zeros((3, folds, len(every), repeats))
    for group in table.groups:
        sums = every[:, group.rows] @ table.outcome[:, group.rows].T
        choice = _best(sums, group.allowed)
        in_sample[:, group.rows] = choice[0][:, None]
        best += (choice * sums).sum(axis=1)
        scored += every[:, group.rows].sum(axis=1) * group.allowed.any()
        fitted = table.cross_fit(group, fold[:, group.rows], every, folds)
        trained += (fitted.choice * fitted.train).sum(axis=0)
        gained += (fitted.choice * fitted.sums).sum(axis=0)
        held_out += fitted.totals * fitted.choice.any(axis=0)
        for repeat, of_fold in enumerate(fold[:, group.rows]):
            cross_fitted[repeat][:, group.rows] = fitted.choice[:, of_fold, 0, repeat]
    return Fit(
        table.outcome,
        every,
        fold,
        in_sample,
        cross_fitted,
        best,
        scored,
        np.ascontiguousarray(trained.T),
        np.ascontiguousarray(gained.T),
        np.ascontiguousarray(held_out.T),
        all(group.allowed.any() for group in table.groups),
    )


def choose(
    fits: Sequence[Fit], deciding: Sequence[Fit] | None = None, confidence: float = 0.95
) -> Choice:
    """The PRM that does best with its own choices, and these; in-sample and cross-fitted.

    ``fits``: one a PRM, of the same problems, folds and replicates. ``deciding``: those of the
    budget that decides on the PRM, by default the same. One that has no strategy for some bucket
    there cannot be compared and is no candidate, unless it is the only one. Cross-fitted, a fold's
    PRM and strategies are those that do best on all problems outside it.

    Limits of the gap are the estimate -+ z standard errors, since the replicates themselves are
    shifted: a maximum over resampled data is optimistic once more.
    """
    deciders = fits if deciding is None else deciding
    complete = np.array([decider.is_complete or len(fits) == 1 for decider in deciders])
    in_sample_prms = _best(np.stack([decider.best for decider in deciders], axis=-1), complete)
    cross_fitted_prms = _best(
        np.stack([decider.trained for decider in deciders], axis=-1), complete
    )

    def taken(parts: list[FloatArray], shares: FloatArray) -> FloatArray:
        total: FloatArray = (np.stack(parts, axis=-1) * shares).sum(axis=-1)
        return total

    in_sample = _ratio(
        taken([one.best for one in fits], in_sample_prms),
        taken([one.scored for one in fits], in_sample_prms),
    )
    held_out = taken([one.held_out for one in fits], cross_fitted_prms).sum(axis=(0, 2))
    gained = taken([one.gained for one in fits], cross_fitted_prms).sum(axis=(0, 2))
    outcome = np.stack([one.outcome for one in fits])
    share = np.stack([one.in_sample for one in fits]) * in_sample_prms[0][:, None, None]
    crossed = np.zeros_like(share)
    for repeat, fold in enumerate(fits[0].fold):
        of_problem = cross_fitted_prms[repeat, 0][fold].T[:, None]
        crossed += np.stack([one.cross_fitted[repeat] for one in fits]) * of_problem
    crossed /= len(fits[0].fold)
    cross_fitted_means, cross_fitted = _ratio(gained, held_out), _chosen(crossed, outcome)
    best = _chosen(share, outcome)
    of_choosing = _Replicated.of(cross_fitted.accuracy, cross_fitted_means, fits[0].weights)
    of_gap = _Replicated.of(
        best.accuracy - cross_fitted.accuracy, in_sample - cross_fitted_means, fits[0].weights
    )
    gap = float(in_sample[0] - cross_fitted_means[0])
    half = NormalDist().inv_cdf(0.5 + confidence / 2) * of_gap.standard_error
    return Choice(
        in_sample=best,
        cross_fitted=cross_fitted,
        optimism_gap=Estimate(gap, gap - half, gap + half),
        widening=of_choosing.widening,
    )


class _Replicated(NamedTuple):
    """One mean of what was chosen, by the problems and the replicates that have one: ``means``
    [replicates, 1], ``kept`` [1, problems], ``weights`` [replicates, problems]."""

    means: FloatArray
    kept: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, kept: FloatArray, means: FloatArray, weights: FloatArray) -> _Replicated:
        """``kept`` [problems]; of ``means`` and ``weights`` the first is that of the sample."""
        known, drawn = ~np.isnan(kept), ~np.isnan(means[1:])
        return cls(means[1:][drawn, None], kept[None, known], weights[1:][drawn][:, known])

    @property
    def _is_enough(self) -> bool:
        return bool(min(self.weights.shape) > 1)

    @property
    def standard_error(self) -> float:
        if not self._is_enough:
            return float("nan")
        return float(standard_error_of_means(self.means, self.kept, self.weights)[0])

    @property
    def widening(self) -> float:
        if not self._is_enough:
            return 1.0
        return float(widening_of_means(self.means, self.kept, self.weights, self.kept)[0])


def _chosen(share: FloatArray, outcome: FloatArray) -> Selection:
    """``share`` and ``outcome``: [prms, strategies, problems]. Problems that the choice does not
    answer in full, in every repeat, have no accuracy."""
    answered = share.sum(axis=(0, 1)) > 1 - EQUALLY_GOOD
    # Shares of the repeats add up to 1 but for rounding.
    accuracy = np.where(answered, np.minimum((share * outcome).sum(axis=(0, 1)), 1.0), np.nan)
    return Selection(share, accuracy)


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
        return EfficiencyGain(peak_budget / float(optimal_budget[-1]), "upper_bound")
    after = int(reached[0])
    needed = float(optimal_budget[after])
    if after:
        step = (target - optimal[after - 1]) / (optimal[after] - optimal[after - 1])
        start = float(optimal_budget[after - 1])
        needed = start + float(step) * (needed - start)
    is_bound = after == 0 and (optimal[0] > target or needed > 1)
    kind: Literal["lower_bound", "exact"] = "lower_bound" if is_bound else "exact"
    return EfficiencyGain(peak_budget / needed, kind)


class _Group(NamedTuple):
    """The problems of a bucket, and the strategies [strategies] with an outcome for all of them."""

    bucket: str
    rows: IntArray
    allowed: NDArray[np.bool_]


class _CrossFit(NamedTuple):
    """One bucket's strategies chosen for every fold on the other folds.

    ``choice``: shares of the strategies; ``train`` and ``sums``: weighted sums of their outcomes on
    the other folds and on the fold, all [strategies, folds, replicates, repeats]; ``totals``:
    weight of each fold [folds, replicates, repeats]. Whatever is summed over is ahead: along a
    short last axis, numpy takes ten times as long.
    """

    choice: FloatArray
    train: FloatArray
    sums: FloatArray
    totals: FloatArray


@dataclass(frozen=True, slots=True)
class _Table:
    """Outcomes [strategies, problems] with 0 where they are not ``known``, grouped by bucket."""

    outcome: FloatArray
    known: NDArray[np.bool_]
    groups: tuple[_Group, ...]

    @classmethod
    def of(cls, outcomes: ArrayLike, buckets: ArrayLike) -> _Table:
        outcome, labels = np.asarray(outcomes, dtype=np.float64), np.asarray(buckets).astype(str)
        if outcome.ndim != 2 or labels.shape != (outcome.shape[1],):
            raise ValueError(
                f"outcomes {outcome.shape} must be [strategies, problems], "
                f"buckets {labels.shape} [problems]"
            )
        known = ~np.isnan(outcome)
        groups = []
        for bucket in np.unique(labels).tolist():
            rows = np.flatnonzero(labels == bucket)
            n_missing = np.count_nonzero(~known[:, rows], axis=1)
            groups.append(_Group(bucket, rows, n_missing == 0))
        return cls(np.where(known, outcome, 0.0), known, tuple(groups))

    @property
    def n_problems(self) -> int:
        return len(self.outcome.T)

    def selection(self, share: FloatArray) -> Selection:
        answered = share.sum(axis=0) > 0
        accuracy = np.where(answered, (share * self.outcome).sum(axis=0), np.nan)
        return Selection(share, accuracy)

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
        self, group: _Group, fold: IntArray, weights: FloatArray, n_folds: int
    ) -> _CrossFit:
        """``fold`` is [repeats, problems of the bucket], ``weights`` [replicates, all problems]."""
        repeats = len(fold)
        in_fold: FloatArray = np.eye(n_folds)[fold.T].reshape(-1, repeats * n_folds)
        split = self.outcome[:, group.rows].T[:, :, None] * in_fold[:, None, :]
        weight = weights[:, group.rows]
        shape = len(weight), len(self.outcome), repeats, n_folds
        sums = (weight @ split.reshape(len(split), -1)).reshape(shape)
        sums = np.ascontiguousarray(sums.transpose(1, 3, 0, 2))
        totals = (weight @ in_fold).reshape(-1, repeats, n_folds).transpose(2, 0, 1)
        train = sums.sum(axis=1, keepdims=True) - sums
        means = train
        untrained = totals.sum(axis=0, keepdims=True) - totals == 0
        if untrained.any():
            elsewhere = weights.copy()
            elsewhere[:, group.rows] = 0
            counts = elsewhere @ self.known.T
            others = np.divide(
                elsewhere @ self.outcome.T, counts, out=np.full_like(counts, -np.inf),
                where=counts > 0,
            )  # fmt: skip
            means = np.where(untrained, others.T[:, None, :, None], train)
        choice = _best(means, group.allowed, axis=0)
        return _CrossFit(choice, train, sums, totals)


def _best(values: FloatArray, allowed: NDArray[np.bool_], axis: int = -1) -> FloatArray:
    """Equal shares for the largest of the allowed values along the axis of strategies; 0 if there
    is none."""
    places = [1] * values.ndim
    places[axis] = -1
    candidates = np.where(allowed.reshape(places), values, -np.inf)
    top = candidates.max(axis=axis, keepdims=True, initial=-np.inf)
    leads = (candidates >= top - EQUALLY_GOOD) & np.isfinite(candidates)
    shares: FloatArray = leads / np.maximum(leads.sum(axis=axis, keepdims=True), 1)
    return shares


def _ratio(sums: FloatArray, totals: FloatArray) -> FloatArray:
    result: FloatArray = np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)
    return result


def _curve(budgets: ArrayLike, accuracy: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Points in order of budget, without NaN, to 12 digits: rounding is no difference."""
    budget, height = np.asarray(budgets, dtype=np.float64), np.asarray(accuracy, dtype=np.float64)
    order = np.argsort(budget, kind="stable")
    order = order[~np.isnan(height[order])]
    return budget[order], np.round(height[order], 12)
