"""Drawing samples one by one, and stopping when more of them cannot change the answer or are not
worth it.

Majority voting with at most N samples stops

- *certain*: when no answer can still reach the leading one, so it ends as it would after all N;
- *confident*: when the leading answer is the more frequent one of the two ahead with a chance of
  95%, by the beta distribution of their counts (Aggarwal et al. 2023, arXiv 2305.11860).

Best-of-N stops at the first sample whose score reaches a threshold. No score can be reached only
by chance again, so there is nothing certain here; what is worth it is decided on other problems.

Samples come in every order of the pool alike. Best-of-N is exact over all of them; majority voting
is the mean over random orders that all problems of one pool size share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from compute_optimal.analyse.statistics.combinatorics import binomials
from compute_optimal.analyse.statistics.estimators import FloatArray, IntArray, mean_over_ties

CONFIDENCE = 0.95
"""ASSUME: as in the paper named above."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """``correct``: expected correctness, ``samples``: how many are drawn on average, and ``error``:
    the latter's Monte-Carlo error (0 where exact); all [problems, budgets], NaN beyond a pool."""

    correct: FloatArray
    samples: FloatArray
    error: FloatArray


def majority_stopped(
    classes: ArrayLike, correct: ArrayLike, budgets: ArrayLike, n_orders: int, seed: int
) -> dict[str, Stopped]:
    """Majority voting that stops "certain" and "confident".

    ``classes``, ``correct`` [problems, n] as in ``estimators.plurality_at_k``: no answer never
    votes, answers that tie at N share. What "certain" gives is that of all N samples, of the same
    orders; ``plurality_at_k`` is its exact value.
    """
    labels, truth = np.asarray(classes, dtype=np.int64), np.asarray(correct, dtype=np.float64)
    caps = np.atleast_1d(np.asarray(budgets, dtype=np.int64))
    shape = len(truth), len(caps)
    stopped = {
        rule: Stopped(*(np.full(shape, np.nan) for _ in range(3)))
        for rule in ("certain", "confident")
    }
    for rows, columns in _pools_of_a_size(truth):
        size = columns.shape[1]
        reachable = np.flatnonzero(caps <= size)
        if not len(reachable):
            continue
        pool = rows[:, None], columns
        orders = np.argsort(np.random.default_rng([seed, size]).random((n_orders, size)), axis=1)[
            :, : int(caps[reachable].max())
        ]
        part = _drawn(labels[pool], truth[pool], caps[reachable], orders)
        for rule, (right, drawn) in part.items():
            at = np.ix_(rows, reachable)
            stopped[rule].correct[at] = right.mean(axis=1)
            stopped[rule].samples[at] = drawn.mean(axis=1)
            stopped[rule].error[at] = drawn.std(axis=1) / np.sqrt(n_orders)
    return stopped


def _drawn(
    labels: IntArray, truth: FloatArray, caps: IntArray, orders: IntArray
) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Correctness and samples [problems, orders, caps] of each rule."""
    n_problems, n_orders = len(labels), len(orders)
    dense = np.empty_like(labels)
    for row, of_problem in enumerate(labels):
        dense[row] = np.unique(of_problem, return_inverse=True)[1]
    n_classes = int(dense.max()) + 1
    answers = labels >= 0
    worth = np.zeros((n_problems, n_classes))
    count = np.zeros((n_problems, n_classes))
    row_of = np.broadcast_to(np.arange(n_problems)[:, None], labels.shape)
    np.add.at(worth, (row_of[answers], dense[answers]), truth[answers])
    np.add.at(count, (row_of[answers], dense[answers]), 1.0)
    worth /= np.maximum(count, 1)
    votes = np.zeros((n_problems, n_orders, n_classes), dtype=np.int64)
    flat = votes.reshape(-1)
    place = (np.arange(n_problems)[:, None] * n_orders + np.arange(n_orders)) * n_classes
    leader = np.zeros((n_problems, n_orders), dtype=np.int64)
    first, second = np.zeros_like(leader), np.zeros_like(leader)
    is_confident = _is_confident(orders.shape[1])
    shape = n_problems, n_orders, len(caps)
    right = {rule: np.zeros(shape) for rule in ("certain", "confident")}
    drawn = {rule: np.zeros(shape) for rule in right}
    open_ = {rule: np.ones(shape, dtype=bool) for rule in right}
    rows = np.arange(n_problems)[:, None]
    for t, sample in enumerate(orders.T, start=1):
        label, has_answer = dense[:, sample], answers[:, sample]
        at = (place + label).ravel()
        flat[at] += has_answer.ravel()
        now = flat[at].reshape(leader.shape) * has_answer
        is_leader = has_answer & (label == leader) & (first > 0)
        overtakes = has_answer & ~is_leader & (now > first)
        second = np.where(
            overtakes, first, np.where(has_answer & ~is_leader, np.maximum(second, now), second)
        )
        leader = np.where(overtakes, label, leader)
        first = np.where(is_leader | overtakes, np.maximum(first, now), first)
        of_leader = worth[rows, leader] * (first > 0)
        lead, sure = first - second, is_confident[first, second]
        for i, cap in enumerate(caps.tolist()):
            if t > cap:
                continue
            ends = {"certain": lead > cap - t, "confident": sure}
            value = of_leader
            if t == cap:
                # Answers that tie share the win.
                ties = (votes == first[..., None]) & (first > 0)[..., None]
                value = (ties * worth[:, None]).sum(axis=2) / np.maximum(ties.sum(axis=2), 1)
            for rule, stops in ends.items():
                ended = open_[rule][..., i] & (stops | (t == cap))
                right[rule][..., i][ended] = value[ended]
                drawn[rule][..., i][ended] = t
                open_[rule][..., i] &= ~ended
    return {rule: (right[rule], drawn[rule]) for rule in right}


@cache
def _is_confident(size: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """[first + 1, second + 1]: whether so many votes for the two ahead settle which is the more
    frequent: the beta distribution of (first + 1, second + 1) above a half, as a binomial tail."""
    sure = np.zeros((size + 1, size + 1), dtype=bool)
    for n, ways in enumerate(binomials(2 * size + 1)[1 : 2 * size + 2], start=1):
        # Of n = first + second + 1 fair coins, at most ``first`` show heads.
        first = np.arange((n + 1) // 2, min(n - 1, size) + 1)
        first = first[first > n - 1 - first]
        chance = np.cumsum(ways)[first] * 0.5**n
        sure[first, n - 1 - first] = chance >= CONFIDENCE
    return sure


def best_stopped(
    correct: ArrayLike, scores: ArrayLike, thresholds: ArrayLike, budgets: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Best-of-N that stops at the first score that reaches a threshold, exact over all orders.

    ``correct``, ``scores`` [problems, n]; a sample whose correctness is NaN is missing, a NaN score
    of another reaches nothing. ``thresholds``: infinity stops never. Correctness and samples drawn,
    both [thresholds, problems, budgets], NaN beyond a pool. Of h samples that reach it the first to
    come is any of them alike; if none of N does, the best of those below is taken, as without a
    threshold.
    """
    truth, score = np.asarray(correct, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    levels = np.asarray(thresholds, dtype=np.float64)
    caps = np.atleast_1d(np.asarray(budgets, dtype=np.int64))
    right = np.full((len(levels), len(truth), len(caps)), np.nan)
    drawn = np.full_like(right, np.nan)
    for rows, columns in _pools_of_a_size(truth):
        reachable = np.flatnonzero(caps <= columns.shape[1])
        pool = rows[:, None], columns
        at = np.ix_(np.arange(len(levels)), rows, reachable)
        right[at], drawn[at] = _best_of_whole(truth[pool], score[pool], levels, caps[reachable])
    return right, drawn


def _pools_of_a_size(truth: FloatArray) -> Iterator[tuple[IntArray, IntArray]]:
    """For each size of pool above 0: its problems, and the columns [problems, size] of theirs."""
    sizes = np.count_nonzero(~np.isnan(truth), axis=1)
    for size in np.unique(sizes[sizes > 0]).tolist():
        rows = np.flatnonzero(sizes == size)
        yield rows, np.argsort(np.isnan(truth[rows]), axis=1, kind="stable")[:, :size]


def _best_of_whole(
    truth: FloatArray, score: FloatArray, levels: FloatArray, caps: IntArray
) -> tuple[FloatArray, FloatArray]:
    """``best_stopped`` of problems with equally many samples, none missing, and caps within."""
    size = truth.shape[1]
    order = np.argsort(-score, axis=1)
    ordered = np.take_along_axis(score, order, axis=1)
    value = mean_over_ties(ordered, np.take_along_axis(truth, order, axis=1))
    choose = binomials(size)
    reaches = (score[None] >= levels[:, None, None]).sum(axis=2)
    before = np.concatenate([np.zeros((len(truth), 1)), np.cumsum(value, axis=1)], axis=1)
    of_reaching = np.take_along_axis(before, reaches.T, axis=1).T / np.maximum(reaches, 1)
    right = np.empty((*reaches.shape, len(caps)))
    drawn = np.empty_like(right)
    hits = np.arange(size + 1)
    for i, k in enumerate(caps.tolist()):
        # The sample at rank i is the best of k if the other k - 1 come from those below it.
        is_best = choose[np.arange(size - 1, -1, -1), k - 1] / choose[size, k]
        below = np.concatenate(
            [np.cumsum((value * is_best)[:, ::-1], axis=1)[:, ::-1], np.zeros((len(truth), 1))],
            axis=1,
        )
        none = choose[size - hits, k] / choose[size, k]
        tail = np.take_along_axis(below, reaches.T, axis=1).T
        right[..., i] = (1 - none[reaches]) * of_reaching + tail
        first = np.arange(k)
        n_drawn = (choose[size - hits[:, None], first] / choose[size, first]).sum(axis=1)
        drawn[..., i] = n_drawn[reaches]
    return right, drawn
