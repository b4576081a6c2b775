"""What a budget of k samples is worth, from one pool of n >= k samples of each problem.

Every estimator averages over all subsets of k samples, so each is unbiased for fresh draws of k
and a curve over k uses the whole pool everywhere. The prefix of the pool would be one subset.
At k = n one subset is left and the number is a single draw: see ``intervals``.

Arrays are [problems, n]. ``correct`` holds 0..1, and NaN where a problem has no such sample (a
ragged pool); budgets beyond a problem's pool give NaN. The units of DVTS are whole subtrees, and
k = N / M of them; each gives one answer or several (``vote_of_k_units``, ``best_of_k_units``).

Arrays whose shapes do not agree, budgets below 1 and pools above ``combinatorics.MAX_POOL`` raise
``ValueError``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compute_optimal.analyse.statistics.combinatorics import binomials, unit_legendre
from compute_optimal.analyse.statistics.small_pools import winning_subsets

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Scoring = Literal["prm_min", "prm_last", "prm_avg"]

EXACT_POOL = 20
"""Votes of pools up to this size are exact for every k: their subsets can be counted."""

EQUALLY_GOOD = 1e-9
"""Means and sums of accuracies (0 to 1), and spreads of them, differ by rounding up to here."""

_ROUNDING = 2.0**-47
"""Relative distance of two logits of means, of 1 at least, that is not told from rounding."""

_LISTED = 2000
"""As many subsets of a small pool take less time to list than to count by the sums of classes."""

_CACHED_CELLS = 1 << 15
"""Numbers that are worked on at once where problems are many: 256 kB."""

_CACHED_SUMS = 1 << 17
"""Sums of weights that are worked on at once where subsets are many: 1 MB."""


def pass_at_k(n_correct: ArrayLike, n_samples: ArrayLike, budgets: ArrayLike) -> FloatArray:
    """Chance [problems, budgets] that k samples hold a correct one: 1 - C(n-c, k) / C(n, k).

    ``n_correct`` [problems], ``n_samples`` [problems] or one number for all. Chen et al. 2021
    (arXiv 2107.03374), equation 1. Raises ``ValueError`` unless 0 <= n_correct <= n_samples.
    """
    correct, samples = np.broadcast_arrays(
        np.asarray(n_correct, dtype=np.int64), np.asarray(n_samples, dtype=np.int64)
    )
    if np.any(correct < 0) or np.any(correct > samples):
        raise ValueError("n_correct must lie between 0 and n_samples")
    ks = _budgets(budgets)
    choose = binomials(int(max(samples.max(initial=1), ks.max(initial=1))))
    among_all, among_wrong = choose[samples[:, None], ks], choose[(samples - correct)[:, None], ks]
    reachable = among_all > 0
    missed: FloatArray = np.divide(
        among_wrong, among_all, out=np.full_like(among_all, np.nan), where=reachable
    )
    return 1.0 - missed


def best_of_k(correct: ArrayLike, scores: ArrayLike, budgets: ArrayLike) -> FloatArray:
    """Expected correctness [problems, budgets] of the top-scored of k samples, exact.

    ``correct`` and ``scores`` are [problems, n]. Samples that tie for the top share it equally;
    a NaN score (the sample could not be scored) ranks below every number.
    """
    truth = _floats(correct)
    (expected,) = best_values(truth[None], scores, budgets)
    # Chances of the samples add up to 1 but for rounding.
    return np.minimum(np.asarray(expected, dtype=np.float64), 1.0)


def best_values(values: ArrayLike, scores: ArrayLike, budgets: ArrayLike) -> FloatArray:
    """``best_of_k`` of any values of the samples: [measures, problems, budgets].

    ``values`` [measures, problems, n] are NaN in the same places.
    """
    value, score, ks = _floats(values), _floats(scores), _budgets(budgets)
    _check_shape(value[0], scores=score)
    result = np.full((*value.shape[:2], len(ks)), np.nan)
    for rows, columns in _pools(value[0]):
        size = columns.shape[1]
        reachable = np.flatnonzero(ks <= size)
        pool = rows[:, None], columns
        # argsort puts NaN last, and so below every number.
        order = np.argsort(-score[pool], axis=1)
        ordered = np.take_along_axis(score[pool], order, axis=1)
        choose, k = binomials(size), ks[reachable]
        # The sample at rank i is the best of k if the other k - 1 come from the n - 1 - i below.
        is_best = choose[np.arange(size - 1, -1, -1)[:, None], k - 1] / choose[size, k]
        for of_measure, measure in zip(result, value, strict=True):
            shared = mean_over_ties(ordered, np.take_along_axis(measure[pool], order, axis=1))
            of_measure[np.ix_(rows, reachable)] = shared @ is_best
    return result


def plurality_at_k(classes: ArrayLike, correct: ArrayLike, budgets: ArrayLike) -> FloatArray:
    """Expected correctness [problems, budgets] of the most frequent answer of k samples, exact.

    ``classes`` [problems, n] are labels of equivalent answers, -1 for no answer; labels of
    different problems are unrelated. Answers that tie share the win equally. No answer never
    wins against an answer; when all k have none, the vote is wrong. A class is worth the mean of
    ``correct`` over its samples, so any number of classes may be right, also in part.

    A class that is drawn t times wins if no other class is drawn more often, and gets 1/(s+1) of
    the win if s others are drawn as often. The subsets are counted by generating functions; see
    ``_win_probability``.
    """
    labels, truth, ks = np.asarray(classes, dtype=np.int64), _floats(correct), _budgets(budgets)
    _check_shape(truth, classes=labels)
    result = np.full((len(truth), len(ks)), np.nan)
    for rows, columns in _pools(truth):
        size = columns.shape[1]
        reachable = np.flatnonzero(ks <= size)
        k = ks[reachable]
        pool = rows[:, None], columns
        groups, asked = _Classes.of(labels[pool], truth[pool]), tuple(k.tolist())
        expected = np.zeros((len(rows), len(k)))
        for problem, right in np.argwhere(groups.worth > 0):
            counts = groups.counts[problem]
            class_sizes = tuple(np.sort(counts[counts > 0]).tolist())
            won = _win_probability(class_sizes, int(counts[right]), size, asked)
            expected[problem] += groups.worth[problem, right] * won
        result[np.ix_(rows, reachable)] = expected
    return result


def weighted_vote_at_k(
    classes: ArrayLike,
    correct: ArrayLike,
    weights: ArrayLike,
    budgets: ArrayLike,
    n_subsets: int,
    seed: int,
) -> tuple[FloatArray, FloatArray]:
    """Expected correctness when k samples vote with weights (PRM-vote), and its Monte-Carlo error.

    Exact for every k where n is at most ``EXACT_POOL``, else from random subsets.

    ``classes``, ``correct``: [problems, n] as in ``plurality_at_k``. ``weights``:
    [strategies, problems, n], >= 0; NaN counts as 0. The answer with the largest sum of weights
    wins, ties share equally, no answer never wins. Returns the mean and its standard error, both
    [strategies, problems, budgets].

    The subsets are the prefixes of ``n_subsets`` random orders of the pool that depend on
    (seed, n) only, so strategies and problems share them and differences between strategies are
    sharper than either error says. For one k the subsets are independent; for two they are
    nested, so a curve's errors go together. What is exact has the error 0: small pools, k = 1,
    k = n, and problems whose answers are all worth the same. The error of a mean over problems is
    sqrt(sum of squares) / problems.

    Weights are rounded to 2**-45 (n = 256) of a problem's largest weight, and sums of k weights
    that differ by no more than k such units tie: whatever the scale of the weights, sums that are
    equal in exact arithmetic are told apart by no rounding. Raises ``ValueError`` for a weight that
    is negative or infinite, or fewer than two subsets.
    """
    # ASSUME: the samples of a pool are in random order, as drawn. Were they sorted (say by score),
    # shared subsets would correlate the errors of problems.
    labels, truth, ks = np.asarray(classes, dtype=np.int64), _floats(correct), _budgets(budgets)
    weight = _floats(weights)
    if weight.ndim != 3:
        raise ValueError(f"weights must be [strategies, problems, n], not {weight.shape}")
    _check_shape(truth, classes=labels, weights=weight[0] if len(weight) else truth)
    weight = np.where(np.isnan(weight), 0.0, weight)
    if np.any(weight < 0) or np.any(np.isinf(weight)):
        raise ValueError("weights of votes must be finite and not negative")
    if n_subsets < 2:
        raise ValueError("a Monte-Carlo error needs at least two subsets")
    mean = np.full((len(weight), len(truth), len(ks)), np.nan)
    error = np.full_like(mean, np.nan)
    for rows, columns in _pools(truth):
        size = columns.shape[1]
        reachable = np.flatnonzero(ks <= size)
        k = ks[reachable]
        choose = binomials(size)
        between = np.flatnonzero((k > 1) & (k < size))
        exact, sampled = (between, between[:0]) if size <= EXACT_POOL else (between[:0], between)
        longest = int(k[sampled].max(initial=0))
        random_orders = np.random.default_rng([seed, size]).random((n_subsets, size))
        # The place of each sample in each order.
        places = np.argsort(np.argsort(random_orders, axis=1), axis=1)
        drawn_first = (places.T[:, :, None] < k[sampled]).astype(np.float64)
        whole_pool = np.arange(size)[None, :]
        pool = rows[:, None], columns
        groups, drawn = _Classes.of(labels[pool], truth[pool]), weight[:, *pool]
        value = np.zeros((len(weight), len(rows), len(k)))
        spread = np.zeros_like(value)
        # Where all answers are worth the same, all that matters is whether there is one.
        n_absent = np.count_nonzero(groups.labels < 0, axis=1)[:, None]
        some_answer = 1 - choose[n_absent, k] / choose[size, k]
        value[:] = some_answer * groups.worth.max(axis=1, keepdims=True, initial=0.0)
        for some in _chunks(
            np.flatnonzero(groups.differ_in_worth), max(groups.worth.shape[1], size)
        ):
            part, weights_of_part, at = groups.of_rows(some), drawn[:, some], some[:, None]
            value[:, at, k == 1] = part.worth_of_samples.mean(axis=1)[:, None]
            if np.any(k == size):
                votes = _votes(part, weights_of_part, whole_pool, k[k == size])
                value[:, at, k == size] = votes[:, :, 0]
            if len(exact):
                value[:, at, exact] = _exact_votes(part, weights_of_part, k[exact])
            if len(sampled):
                whole = _whole_numbers(weights_of_part, longest)
                votes = _winners(part, whole, drawn_first, longest)
                value[:, at, sampled] = votes.mean(axis=2)
                spread[:, at, sampled] = votes.std(axis=2, ddof=1) / np.sqrt(n_subsets)
        mean[:, rows[:, None], reachable] = value
        error[:, rows[:, None], reachable] = spread
    return mean, error


def best_of_k_units(
    correct: ArrayLike, scores: ArrayLike, n_answers: int, budgets: ArrayLike
) -> FloatArray:
    """Expected correctness [problems, budgets] of the top-scored answer of k units, exact.

    ``correct`` and ``scores``: [problems, units * n_answers], the answers of a unit side by side,
    NaN where it has fewer. Units that tie for the top share it equally, as do the answers of a
    unit that tie for its own top.
    """
    truth, score = (
        _floats(values).reshape(len(_floats(values)), -1, n_answers) for values in (correct, scores)
    )
    present = ~np.isnan(truth)
    scored = np.where(present & ~np.isnan(score), score, -np.inf)
    top = scored.max(axis=2, initial=-np.inf)
    leads = present & (scored == top[..., None])
    n_leaders = leads.sum(axis=2)
    worth = np.divide(
        np.where(leads, truth, 0).sum(axis=2), n_leaders, out=np.full(top.shape, np.nan),
        where=n_leaders > 0,
    )  # fmt: skip
    return best_of_k(worth, np.where(top == -np.inf, np.nan, top), budgets)


def vote_of_k_units(
    classes: ArrayLike,
    correct: ArrayLike,
    weights: ArrayLike,
    n_answers: int,
    budgets: ArrayLike,
    n_subsets: int,
    seed: int,
) -> FloatArray:
    """Expected correctness [strategies, problems, budgets] of the vote of all answers of k units.

    ``classes`` and ``correct``: [problems, units * n_answers], the answers of a unit side by side,
    NaN where it has fewer; ``weights``: [strategies, problems, units * n_answers], as in
    ``weighted_vote_at_k``. Exact where all subsets of k units are no more than ``n_subsets``, else
    the mean over ``n_subsets`` random ones. Units of one answer are samples: their votes are those
    of ``weighted_vote_at_k`` and, where all weights are equal, of ``plurality_at_k``.
    """
    labels, truth, ks = np.asarray(classes, dtype=np.int64), _floats(correct), _budgets(budgets)
    weight = _floats(weights)
    if n_answers == 1:
        equal = (weight == weight[:, :1, :1]).all(axis=(1, 2))
        votes = np.empty((len(weight), len(truth), len(ks)))
        votes[equal] = plurality_at_k(labels, truth, ks)
        votes[~equal] = weighted_vote_at_k(labels, truth, weight[~equal], ks, n_subsets, seed)[0]
        return votes
    present = ~np.isnan(truth)
    # An answer that a unit lacks is like one that says nothing.
    labels, truth = np.where(present, labels, -1), np.where(present, truth, 0.0)
    weight = np.where(present & ~np.isnan(weight), weight, 0.0)
    has_unit = present.reshape(len(truth), -1, n_answers).any(axis=2)
    mean = np.full((len(weight), len(truth), len(ks)), np.nan)
    for rows, units in _pools(np.where(has_unit, 1.0, np.nan)):
        columns = (units[..., None] * n_answers + np.arange(n_answers)).reshape(len(rows), -1)
        pool = rows[:, None], columns
        groups, drawn = _Classes.of(labels[pool], truth[pool]), weight[:, *pool]
        size = units.shape[1]
        for i in np.flatnonzero(ks <= size):
            subsets = _subsets(size, int(ks[i]), n_subsets, seed)
            orders = (subsets[..., None] * n_answers + np.arange(n_answers)).reshape(
                len(subsets), -1
            )
            cells = groups.worth.shape[1] * len(orders)
            for some in _chunks(np.arange(len(rows)), cells):
                votes = _votes(
                    groups.of_rows(some), drawn[:, some], orders, np.array([orders.shape[1]])
                )
                mean[:, rows[some], i] = votes.mean(axis=2)[..., 0]
    return mean


def _subsets(size: int, k: int, n_subsets: int, seed: int) -> IntArray:
    """All subsets [subsets, k] of so many units, or random ones where there are more."""
    if math.comb(size, k) <= n_subsets:
        return np.array([*combinations(range(size), k)], dtype=np.int64)
    orders = np.random.default_rng([seed, size]).random((n_subsets, size))
    return np.argsort(orders, axis=1)[:, :k]


@dataclass(frozen=True, slots=True)
class TrajectoryScores:
    """Scores of whole trajectories [trajectories]; NaN where there is no step or a NaN margin.

    ``ranking`` is the logit of the score and decides who is on top (``best_of_k``): scores that
    saturate at 0 or 1 stay apart. ``vote_weight`` is the score itself, a probability, and is what
    votes are summed from (``weighted_vote_at_k``).
    """

    ranking: FloatArray
    vote_weight: FloatArray


def trajectory_scores(margins: ArrayLike, n_steps: ArrayLike, scoring: Scoring) -> TrajectoryScores:
    """One score per trajectory from the logit margins of its steps (paper section 2.2).

    ``margins`` is flat: the steps of all trajectories one after the other; ``n_steps``
    [trajectories] says how many belong to each. prm_min is the least step probability, prm_last
    that of the last step, prm_avg their mean; probability = sigmoid(margin), in float64. Means that
    rounding alone may tell apart, as by the order of the steps, rank the same, and so do means with
    others between them from each of which rounding alone may tell the next.
    """
    margin, steps = _floats(margins), np.asarray(n_steps, dtype=np.int64)
    if steps.sum() != len(margin):
        raise ValueError(f"n_steps adds up to {steps.sum()}, but there are {len(margin)} margins")
    scored = steps > 0
    ends = np.cumsum(steps)[scored]
    starts = ends - steps[scored]
    ranking, vote_weight = np.full(len(steps), np.nan), np.full(len(steps), np.nan)
    if not scored.any():
        return TrajectoryScores(ranking, vote_weight)
    if scoring == "prm_avg":
        good, bad = _sigmoids(margin)
        vote_weight[scored] = np.add.reduceat(good, starts) / steps[scored]
        mean_bad = np.add.reduceat(bad, starts) / steps[scored]
        with np.errstate(divide="ignore"):
            ranking[scored] = _tied(np.log(vote_weight[scored]) - np.log(mean_bad))
    else:
        ranking[scored] = (
            np.minimum.reduceat(margin, starts) if scoring == "prm_min" else margin[ends - 1]
        )
        vote_weight = _sigmoids(ranking)[0]
    return TrajectoryScores(ranking, vote_weight)


def _tied(logits: FloatArray) -> FloatArray:
    """``logits`` [n] with one value for all that no more than rounding keeps apart."""
    order = np.argsort(logits, kind="stable")
    ordered = logits[order]
    with np.errstate(invalid="ignore"):
        gaps = np.diff(ordered) > _ROUNDING * np.maximum(np.abs(ordered[1:]), 1.0)
    starts = np.where(gaps | ~np.isfinite(ordered[1:]), np.arange(1, len(ordered)), 0)
    first = np.concatenate([[0], starts])
    tied = np.empty_like(logits)
    tied[order] = ordered[np.maximum.accumulate(first)]
    return tied


def _check_shape(correct: FloatArray, **others: FloatArray | IntArray) -> None:
    for name, values in others.items():
        if values.shape != correct.shape or correct.ndim != 2:
            raise ValueError(f"{name} {values.shape} and correct {correct.shape} must agree")


def _floats(values: ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _budgets(budgets: ArrayLike) -> IntArray:
    ks = np.atleast_1d(np.asarray(budgets, dtype=np.int64))
    if np.any(ks < 1):
        raise ValueError("budgets must be at least 1")
    return ks


def _pools(correct: FloatArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows with equally many samples, and the columns [rows, size] that hold them."""
    present = ~np.isnan(correct)
    if present.all() and present.size:
        yield np.arange(len(correct)), np.broadcast_to(np.arange(correct.shape[1]), correct.shape)
        return
    sizes = present.sum(axis=1)
    columns = np.argsort(~present, axis=1, kind="stable")
    for size in np.unique(sizes[sizes > 0]):
        rows = np.flatnonzero(sizes == size)
        yield rows, columns[rows, :size]


def mean_of_known(values: FloatArray) -> tuple[FloatArray, IntArray]:
    """Mean over the first axis without NaN, NaN of nothing, and over how many."""
    n_known = np.count_nonzero(~np.isnan(values), axis=0)
    mean = np.divide(
        np.nansum(values, axis=0), n_known, out=np.full(values.shape[1:], np.nan), where=n_known > 0
    )
    return mean, n_known


def mean_over_ties(scores: FloatArray, values: FloatArray) -> FloatArray:
    """``values`` averaged over runs of equal scores; rows are sorted by score, NaN equals NaN."""
    starts = np.ones(scores.shape, dtype=bool)
    left, right = scores[:, :-1], scores[:, 1:]
    starts[:, 1:] = (left != right) & ~(np.isnan(left) & np.isnan(right))
    if starts.all():
        return values
    run = np.cumsum(starts.ravel()) - 1
    means: FloatArray = (np.bincount(run, values.ravel()) / np.bincount(run))[run]
    return means.reshape(scores.shape)


@dataclass(frozen=True, slots=True)
class _Classes:
    """Classes of equivalent answers of problems with equally many samples.

    ``labels`` [problems, n]: 0, 1, ... within a problem, -1 for no answer. ``counts`` and ``worth``
    [problems, classes]: the size of a class and the mean of ``correct`` over it; both are 0 where
    a problem has fewer classes than another.
    """

    labels: IntArray
    counts: IntArray
    worth: FloatArray

    @classmethod
    def of(cls, labels: IntArray, truth: FloatArray) -> _Classes:
        """``labels``, ``truth``: [problems, n] as in ``plurality_at_k``."""
        order = np.argsort(labels, axis=1)
        ordered = np.take_along_axis(labels, order, axis=1)
        is_first = ordered >= 0
        is_first[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
        dense = np.empty_like(labels)
        np.put_along_axis(dense, order, np.cumsum(is_first, axis=1) - 1, axis=1)
        # One more class collects samples without an answer.
        shape = len(labels), int(dense.max(initial=-1)) + 2
        place = (np.arange(len(labels))[:, None] * shape[1] + dense + 1).ravel()
        counts, right = (
            np.bincount(place, values, shape[0] * shape[1]).reshape(shape)[:, 1:]
            for values in (None, truth.ravel())
        )
        return cls(dense, counts, right / np.maximum(counts, 1))

    @property
    def differ_in_worth(self) -> NDArray[np.bool_]:
        """Whether it matters which answer is taken [problems]."""
        has = self.counts > 0
        highest = np.where(has, self.worth, -np.inf).max(axis=1, initial=-np.inf)
        lowest = np.where(has, self.worth, np.inf).min(axis=1, initial=np.inf)
        differs: NDArray[np.bool_] = lowest < highest
        return differs

    @property
    def worth_of_samples(self) -> FloatArray:
        """What each sample's class is worth [problems, n], 0 for no answer."""
        worth = np.take_along_axis(self.worth, np.maximum(self.labels, 0), axis=1)
        return np.where(self.labels < 0, 0.0, worth)

    def of_rows(self, rows: IntArray) -> _Classes:
        return _Classes(self.labels[rows], self.counts[rows], self.worth[rows])


# Pools of a policy and its PRMs' searches often have classes of the same sizes.
@lru_cache(maxsize=4096)
def _win_probability(
    class_sizes: tuple[int, ...], class_size: int, size: int, ks: tuple[int, ...]
) -> FloatArray:
    """Expected share [ks] of the win of one class with ``class_size`` of ``size`` samples.

    ``class_sizes`` (ascending) lists all classes of answers, this one included; the rest of the
    pool has no answer. With n_j the sizes of the other classes, the number of subsets of k samples
    in which the class is drawn t times, s others as often and none more often, weighted by
    1/(s+1), is

        C(class_size, t) [x^(k-t)] (1+x)^r  integral_0^1  prod_j (sum_(i<t) C(n_j, i) x^i
                                                                 + y C(n_j, t) x^t) dy

    where the product runs over n_j >= t and r counts all other samples. Few classes reach t (at
    most n/t), and Gauss-Legendre nodes integrate the polynomial in y exactly. Every term is
    positive and at most C(n, k): nothing cancels or overflows.
    """
    budgets = np.array(ks)
    place = class_sizes.index(class_size)
    others = np.array((class_sizes[:place] + class_sizes[place + 1 :])[::-1], dtype=np.int64)
    share = np.zeros(len(budgets))
    largest = int(others.max(initial=0))
    if class_size >= largest:
        share[budgets == size] = 1 / (1 + np.count_nonzero(others == class_size))
    partial = np.flatnonzero(budgets < size)
    if not len(partial):
        return share
    degree = int(min(budgets[partial].max() - 1, size - class_size))
    choose = binomials(size)
    # ways[t] holds the coefficients of x^0..x^degree when the class is drawn t times.
    ways = np.zeros((class_size + 1, degree + 1))
    ways[largest + 1 :] = choose[size - class_size, : degree + 1]
    if largest:
        ways[1] = _ways_drawn_once(others, size - class_size, degree)
        contested = np.arange(2, min(class_size, largest) + 1)
        ways[contested] = _ways_drawn(contested, others, size - class_size, degree)
    ways *= choose[class_size, : class_size + 1, None]
    # Rows one cell longer than read shift row t by t: column sums then collect x^t ways[t].
    length = class_size + degree + 1
    skewed = np.zeros((class_size + 1, length + 1))
    skewed[:, : degree + 1] = ways
    subsets = skewed.ravel()[: (class_size + 1) * length].reshape(-1, length).sum(axis=0)
    share[partial] = subsets[budgets[partial]] / choose[size, budgets[partial]]
    return np.minimum(share, 1.0)


def _ways_drawn_once(others: IntArray, n_rest: int, degree: int) -> FloatArray:
    """t = 1: the other classes are drawn once or never, so the degree is the number of ties."""
    n_single = np.count_nonzero(others == 1)
    ties = np.zeros(degree + 1)
    ties[: n_single + 1] = binomials(n_rest)[n_single, : degree + 1][: n_single + 1]
    for other in others[others > 1]:
        ties[1:] += other * ties[:-1]
    ties /= np.arange(1, degree + 2)
    no_answer = binomials(n_rest)[n_rest - others.sum(), : degree + 1]
    ways: FloatArray = np.convolve(ties, no_answer).astype(np.float64)[: degree + 1]
    return ways


def _ways_drawn(drawn: IntArray, others: IntArray, n_rest: int, degree: int) -> FloatArray:
    """Coefficients [drawn, degree + 1] of the integral in ``_win_probability``, all t >= 2."""
    if not len(drawn) or not degree:
        return np.ones((len(drawn), degree + 1))
    choose = binomials(n_rest)
    reaches = others[:, None] >= drawn
    n_ties = np.minimum(reaches.sum(axis=0), degree // drawn)
    nodes = [unit_legendre(ties // 2 + 1) for ties in n_ties.tolist()]
    tie, node_weight = np.concatenate(nodes, axis=1)
    n_nodes = [part.shape[1] for part in nodes]
    t = np.repeat(drawn, n_nodes)
    free = n_rest - others @ reaches
    state = choose[np.repeat(free, n_nodes), : degree + 1]
    most = min(int(drawn[-1]), degree)
    first_row = np.searchsorted(t, np.arange(int(drawn[-1]) + 2))
    first_of = first_row.tolist()
    # To draw i of another class is a tie where i is t, which counts y [i, rows].
    tied = np.where(t == np.arange(most + 1)[:, None], tie, 1.0)
    before, product = np.empty_like(state), np.empty_like(state)
    # Small classes first: no power of x is then above the number of samples so far.
    n_before = n_rest - int(others[others >= 2].sum())
    for other in np.sort(others[others >= 2]).tolist():
        last_row, n_drawn = first_of[min(other, int(drawn[-1])) + 1], min(other, most)
        np.copyto(before[:last_row], state[:last_row])
        factors = choose[other, : n_drawn + 1, None, None] * tied[: n_drawn + 1, :last_row, None]
        for i in range(1, n_drawn + 1):
            rows, width = slice(first_of[i], last_row), min(n_before, degree - i) + 1
            # Written in place: to allocate each product takes longer than to compute it.
            of_rows, shifted = product[rows, :width], state[rows, i : i + width]
            np.multiply(factors[i, rows], before[rows, :width], out=of_rows)
            np.add(shifted, of_rows, out=shifted)
        n_before += other
    return np.add.reduceat(state * node_weight[:, None], first_row[drawn], axis=0)


def _chunks(rows: IntArray, cells_per_row: int) -> Iterator[IntArray]:
    """``rows`` in turn, as many at once as keep their cells in the processor's cache."""
    at_once = max(_CACHED_CELLS // max(cells_per_row, 1), 1)
    for start in range(0, len(rows), at_once):
        yield rows[start : start + at_once]


def _exact_votes(classes: _Classes, weights: FloatArray, budgets: IntArray) -> FloatArray:
    """Worth of the winner [strategies, problems, budgets], mean over all subsets of k samples.

    Arguments as for ``_votes``, of problems with at most ``EXACT_POOL`` samples.
    """
    n = weights.shape[2]
    ways, whole = binomials(n)[n, budgets], _whole_numbers(weights, n)
    is_listed = ways <= _LISTED
    counted = budgets[~is_listed]
    mean = np.zeros((*weights.shape[:2], len(budgets)))
    for i in np.flatnonzero(is_listed):
        drawn = _drawn(n, int(budgets[i]))
        mean[:, :, i] = _winners(classes, whole, drawn, n).mean(axis=2)
    for problem, labels in enumerate(classes.labels) if len(counted) else ():
        of_class = labels[:, None] == np.arange(labels.max(initial=-1) + 1)
        worth = classes.worth[problem, : of_class.shape[1]]
        absent = int(np.count_nonzero(labels < 0))
        for right in np.flatnonzero(worth > 0):
            for strategy, weight in enumerate(whole[:, problem]):
                others = [weight[of_class[:, i]] for i in range(len(worth)) if i != right]
                won = winning_subsets(weight[of_class[:, right]], others, absent, n)
                share = won[counted - 1] / ways[~is_listed]
                mean[strategy, problem, ~is_listed] += worth[right] * share
    return mean


@lru_cache(maxsize=32)
def _drawn(size: int, k: int) -> FloatArray:
    """All subsets of k samples [size, subsets]: 1 where a sample is drawn, else 0."""
    subsets = np.array([*combinations(range(size), k)], dtype=np.int64)
    drawn = np.zeros((size, len(subsets)))
    np.put_along_axis(drawn, subsets.T, 1.0, axis=0)
    return drawn


def _winners(classes: _Classes, weights: FloatArray, drawn: FloatArray, slack: int) -> FloatArray:
    """Worth of the winner [strategies, problems, ...] among the samples that are drawn.

    ``weights`` [strategies, problems, n] are whole numbers, and sums tie that differ by no more
    than ``slack``. ``drawn`` [n, ...]: 1 for the samples of a subset, else 0. The samples of a
    class are one block of a matrix product, whose last row counts them.
    """
    subsets = drawn.reshape(len(drawn), -1)
    n_strategies, n_problems = weights.shape[:2]
    n_classes = classes.worth.shape[1]
    order = np.argsort(classes.labels, axis=1, kind="stable")
    counted = np.concatenate([weights, np.ones((1, *weights.shape[1:]))])
    ends = np.count_nonzero(classes.labels < 0, axis=1)[:, None] + np.hstack(
        [np.zeros((n_problems, 1), dtype=np.int64), np.cumsum(classes.counts, axis=1)]
    )
    values = np.stack([classes.worth, np.ones_like(classes.worth)], axis=1)
    winner = np.empty((n_strategies, n_problems, subsets.shape[1]))
    at_once = max(_CACHED_SUMS // (n_classes * len(counted)), 1)
    sums = np.empty((n_classes, len(counted), min(at_once, subsets.shape[1])))
    for problem, of_problem in enumerate(order):
        weight = counted[:, problem, of_problem]
        bounds = ends[problem].tolist()
        for start in range(0, subsets.shape[1], at_once):
            some = subsets[of_problem, start : start + at_once]
            summed = sums[:, :, : some.shape[1]]
            for of_class, first, last in zip(summed, bounds, bounds[1:], strict=False):
                np.matmul(weight[:, first:last], some[first:last], out=of_class)
            # Each of the weights may be half a unit off.
            leads = summed[:, :-1] >= summed[:, :-1].max(axis=0, initial=0) - slack
            # A class that was not drawn cannot lead, whereas one without weight can.
            leads &= summed[:, -1:] > 0
            total, n_leaders = values[problem] @ leads.reshape(n_classes, -1).astype(np.float64)
            share = total / np.maximum(n_leaders, 1)
            winner[:, problem, start : start + at_once] = share.reshape(n_strategies, -1)
    return winner.reshape(n_strategies, n_problems, *drawn.shape[1:])


def _whole_numbers(weights: FloatArray, length: int) -> FloatArray:
    """Weights [..., n] as whole numbers: ``length`` of them add up in float64 without rounding."""
    largest = weights.max(axis=-1, keepdims=True)
    bits = 53 - length.bit_length()
    whole: FloatArray = np.rint(weights * 2.0**bits / np.where(largest > 0, largest, 1))
    return whole


def _votes(
    classes: _Classes, weights: FloatArray, orders: IntArray, budgets: IntArray
) -> FloatArray:
    """Worth of the winner [strategies, problems, orders, budgets] after k samples of each order.

    ``weights`` [strategies, problems, n], ``orders`` [orders, length] of the samples of every
    problem. Sums are taken over the samples between one budget and the next, then over budgets.
    Weights become integers that are small enough for float64 to add without rounding.
    """
    ends, asked = np.unique(budgets, return_inverse=True)
    drawn = orders[:, : ends[-1]]
    n_orders, length = drawn.shape
    n_problems, n_classes = classes.worth.shape
    # Class 0 collects samples without an answer.
    shape = n_problems, len(ends), n_classes + 1, n_orders
    part = np.searchsorted(ends, np.arange(length), side="right")
    first = np.arange(n_problems)[:, None, None] * len(ends) + part
    place = (first * (n_classes + 1) + classes.labels[:, drawn] + 1) * n_orders
    places = (place + np.arange(n_orders)[:, None]).ravel()
    samples = drawn.ravel()

    def by_class(values: FloatArray | None) -> FloatArray:
        sums = np.bincount(places, values, math.prod(shape)).reshape(shape)[:, :, 1:]
        for i in range(1, len(ends)):
            sums[:, i] += sums[:, i - 1]
        return sums

    absent = by_class(None) == 0
    of_class = np.stack([classes.worth, np.ones_like(classes.worth)], axis=1)[:, None]
    winner = np.empty((len(weights), n_problems, n_orders, len(budgets)))
    for strategy, weight in enumerate(_whole_numbers(weights, length)):
        sums = by_class(np.take(weight, samples, axis=1).ravel())
        # A class that was not drawn cannot lead, whereas one without weight can.
        np.copyto(sums, -np.inf, where=absent)
        # Each of the weights may be half a unit off.
        level = sums.max(axis=2, keepdims=True, initial=0) - length
        leads = (sums >= level).astype(np.float64)
        total, n_leaders = np.moveaxis(of_class @ leads, 2, 0)
        winner[strategy] = (total / np.maximum(n_leaders, 1))[:, asked].swapaxes(1, 2)
    return winner


def _sigmoids(margins: FloatArray) -> tuple[FloatArray, FloatArray]:
    """sigmoid(margin) and sigmoid(-margin), both to full relative precision."""
    small = np.exp(-np.abs(margins))
    positive = margins >= 0
    good = np.where(positive, 1.0, small) / (1.0 + small)
    return good, np.where(positive, small, 1.0) / (1.0 + small)
