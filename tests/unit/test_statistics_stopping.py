"""Stopping early, against every order of small pools."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from compute_optimal.analyse.statistics.estimators import best_of_k, plurality_at_k
from compute_optimal.analyse.statistics.stopping import (
    CONFIDENCE,
    _is_confident,
    best_stopped,
    majority_stopped,
)


def by_hand(labels: list[int], truth: list[float], cap: int, rule: str) -> tuple[float, float]:
    """Mean correctness and samples of majority voting over every order."""
    worth = {
        label: float(np.mean([t for x, t in zip(labels, truth, strict=True) if x == label]))
        for label in set(labels)
    }
    sure = _is_confident(cap)
    right, drawn = [], []
    for order in permutations(range(len(labels))):
        votes: dict[int, int] = {}
        for t, sample in enumerate(order[:cap], start=1):
            if labels[sample] >= 0:
                votes[labels[sample]] = votes.get(labels[sample], 0) + 1
            first, second = [*sorted(votes.values(), reverse=True), 0, 0][:2]
            stops = first - second > cap - t if rule == "certain" else sure[first, second]
            if stops or t == cap:
                leaders = [x for x, n in votes.items() if n == first]
                right.append(float(np.mean([worth[x] for x in leaders])) if leaders else 0.0)
                drawn.append(t)
                break
    return float(np.mean(right)), float(np.mean(drawn))


@pytest.mark.parametrize("rule", ["certain", "confident"])
@pytest.mark.parametrize(
    ("labels", "truth"),
    [
        ([0, 0, 0, 1, 2, -1], [1, 1, 1, 0, 0, 0]),
        ([0, 0, 1, 1, 1, 2], [1, 1, 0, 0, 0, 0]),
        ([-1] * 6, [0] * 6),
        ([4] * 6, [1] * 6),
    ],
)
def test_majority_voting_stops_as_in_every_order(
    labels: list[int], truth: list[float], rule: str
) -> None:
    caps = [2, 5, 6]
    stopped = majority_stopped([labels], np.array([truth], dtype=float), caps, 4000, 0)[rule]
    for i, cap in enumerate(caps):
        right, drawn = by_hand(labels, truth, cap, rule)
        assert stopped.correct[0, i] == pytest.approx(right, abs=0.03)
        assert stopped.samples[0, i] == pytest.approx(drawn, abs=4 * stopped.error[0, i] + 1e-9)


def test_what_is_certain_is_the_vote_of_all() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 4, (20, 12))
    truth = (labels == 1).astype(float)
    stopped = majority_stopped(labels, truth, [4, 12], 2000, 1)["certain"]
    exact = plurality_at_k(labels, truth, [4, 12])
    assert stopped.correct[:, 1] == pytest.approx(exact[:, 1])
    assert stopped.correct[:, 0] == pytest.approx(exact[:, 0], abs=0.05)
    assert (stopped.samples <= [4, 12]).all()
    assert (stopped.samples[:, 1] < 12).any()


def test_ragged_pools_are_counted_by_what_they_have() -> None:
    truth = np.array([[1, 1, np.nan, 0.0], [1, 0, 1, 1.0]])
    stopped = majority_stopped(np.zeros((2, 4), dtype=int), truth, [4], 10, 0)["certain"]
    assert np.isnan(stopped.correct[0, 0])
    assert stopped.samples[1, 0] == 3


def test_confidence_is_that_of_the_beta_distribution() -> None:
    stats = pytest.importorskip("scipy.stats")
    sure = _is_confident(20)
    for first in range(21):
        for second in range(first):
            chance = stats.beta(first + 1, second + 1).sf(0.5)
            assert sure[first, second] == (chance >= CONFIDENCE)


def test_best_of_n_stops_as_in_every_order() -> None:
    score = np.array([[0.9, 0.5, 0.5, 0.1, np.nan]])
    truth = np.array([[0.0, 1.0, 0.0, 1.0, 1.0]])
    for threshold in (0.95, 0.9, 0.5, 0.05):
        right, drawn = best_stopped(truth, score, [threshold], [3])
        rights, draws = [], []
        for order in permutations(range(5)):
            for t, sample in enumerate(order[:3], start=1):
                if score[0, sample] >= threshold or t == 3:
                    seen = np.nan_to_num(score[0, list(order[:t])], nan=-1.0)
                    top = seen == seen.max()
                    if score[0, sample] >= threshold:
                        top = np.arange(t) == t - 1
                    rights.append(truth[0, list(order[:t])][top].mean())
                    draws.append(t)
                    break
        assert right[0, 0, 0] == pytest.approx(np.mean(rights)), threshold
        assert drawn[0, 0, 0] == pytest.approx(np.mean(draws))


def test_best_of_n_of_ragged_pools_is_that_of_each_pool() -> None:
    score = np.array([[0.9, np.nan, 0.5, 0.1], [0.2, 0.4, 0.6, np.nan], [0.3, 0.1, 0.2, 0.7]])
    truth = np.array([[1, np.nan, 0, 1.0], [0, 1, 0, 1.0], [1, 1, np.nan, np.nan]])
    right, drawn = best_stopped(truth, score, [0.5, np.inf], [2, 3])
    for row, columns in enumerate(([0, 2, 3], [0, 1, 2, 3])):
        alone = best_stopped(
            truth[[row]][:, columns], score[[row]][:, columns], [0.5, np.inf], [2, 3]
        )
        assert right[:, row] == pytest.approx(alone[0][:, 0])
        assert drawn[:, row] == pytest.approx(alone[1][:, 0])
    assert np.isnan(right[:, 2, 1]).all()
    assert right[1] == pytest.approx(best_of_k(truth, score, [2, 3]), nan_ok=True)


def test_without_a_threshold_it_is_best_of_n() -> None:
    rng = np.random.default_rng(2)
    score, truth = rng.normal(size=(7, 9)), rng.random((7, 9))
    right, drawn = best_stopped(truth, score, [np.inf], [1, 4, 9])
    assert right[0] == pytest.approx(best_of_k(truth, score, [1, 4, 9]))
    assert drawn[0] == pytest.approx(np.tile([1, 4, 9], (7, 1)))
    # Scores that are all equal stop at once, and then any sample is as good as another.
    equal, once = best_stopped(truth, np.zeros((7, 9)), [0.0], [4])
    assert equal[0, :, 0] == pytest.approx(truth.mean(axis=1))
    assert (once == 1).all()
