"""Accuracies by difficulty that is uncertain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from compute_optimal.analyse.statistics.difficulty import (
    bucket_of,
    bucket_probabilities,
    means_in_buckets,
)
from compute_optimal.study.buckets import BUCKETS


def test_difficulty_that_is_certain_gives_the_plain_means() -> None:
    values = np.array([[0.9], [0.7], [0.2], [0.4], [0.0], [0.1]])
    chances = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    mean, low, high = means_in_buckets(values, chances)
    assert mean[:, 0] == pytest.approx([0.8, 0.3, 0.05])
    assert (low <= mean).all()
    assert (mean <= high).all()


def test_unknown_values_are_left_out_and_empty_buckets_say_nothing() -> None:
    values = np.array([[np.nan], [0.5], [0.7]])
    mean, low, high = means_in_buckets(values, np.eye(3)[[0, 0, 0]])
    assert mean[0, 0] == pytest.approx(0.6)
    assert np.isnan(np.stack([mean, low, high])[:, 1:]).all()


def covered(
    repetitions: int,
    seed: int = 0,
    n_problems: int = 200,
    all_or_nothing: bool = False,
    start: float = -2.5,
) -> tuple[dict[str, float], dict[str, float]]:
    """How often the interval holds the mean accuracy of all problems that are truly of a bucket, by
    bucket; and how far, in points, the estimate is off on average. ``all_or_nothing``: one answer
    a problem, right or wrong, instead of what is expected of the pool. ``start``: log odds of a
    right answer to a problem that no sample solves."""
    rng = np.random.default_rng(seed)

    def drawn(n: int) -> tuple[np.ndarray, np.ndarray]:
        chance = rng.random(n)
        return chance, 1 / (1 + np.exp(-(5 * chance + start)))

    chance, gain = drawn(200_000)
    truth = [gain[bucket_of(chance) == bucket].mean() for bucket in BUCKETS]
    hits, off = np.zeros(3), np.zeros(3)
    for _ in range(repetitions):
        chance, gain = drawn(n_problems)
        n_correct = rng.binomial(96, chance)
        # What the pool gives is known with the pool.
        seen = 1 / (1 + np.exp(-(5 * n_correct / 96 + start)))
        if all_or_nothing:
            seen = (rng.random(n_problems) < gain).astype(float)
        chances = bucket_probabilities(n_correct, np.full(n_problems, 96))
        mean, low, high = (part[:, 0] for part in means_in_buckets(seen[:, None], chances))
        hits += (low <= truth) & (truth <= high)
        off += 100 * (mean - truth)
    return (
        dict(zip(BUCKETS, hits / repetitions, strict=True)),
        dict(zip(BUCKETS, off / repetitions, strict=True)),
    )


def test_intervals_by_difficulty_cover() -> None:
    # 300 repetitions tell a coverage to 1.3 points: 93 to 97% with two of these to either side.
    # benchmarks/coverage.py has more.
    coverage, off = covered(300)
    for bucket in BUCKETS:
        assert 0.93 - 0.026 <= coverage[bucket] <= 0.97 + 0.026, bucket
    assert max(map(abs, off.values())) < 1.0


def test_of_few_problems_that_are_all_wrong_more_may_be_right() -> None:
    """Of 20 hard problems with one answer each often none is right: the interval then is as wide as
    unseen ones leave possible, and more than 95% of such intervals hold."""
    coverage, _ = covered(300, all_or_nothing=True)
    assert coverage["hard"] >= 0.93 - 0.026
    alike = means_in_buckets(np.zeros((20, 1)), np.eye(3)[[2] * 20])
    assert [part[2, 0] for part in alike] == pytest.approx([0, 0, 0.161], abs=1e-3)


@pytest.mark.parametrize("n_expected", [2.04, 2.17, 2.45, 3.149])
def test_students_t_is_that_of_as_many_problems_as_are_expected(n_expected: float) -> None:
    """Between one and two degrees of freedom it falls from 12.7 to 4.3: a tenth of one matters."""
    chances = np.zeros((50, 3))
    chances[:, 0] = n_expected / 50
    values = 0.5 + 0.01 * np.linspace(-1, 1, 50)[:, None]
    mean, low, high = means_in_buckets(values, chances)
    away = chances[:, 0] @ np.square(values[:, 0] - 0.5) * n_expected / 50
    error = np.sqrt(away / (n_expected * (n_expected - 1)))
    t = stats.t.ppf(0.975, n_expected - 1)
    ends = mean[0, 0] - t * error, mean[0, 0] + t * error
    assert (low[0, 0], high[0, 0]) == pytest.approx(ends, rel=1e-6)
