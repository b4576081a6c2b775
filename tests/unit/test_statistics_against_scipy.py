"""What stands here for arrays, or is asked for in every process, against SciPy."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from compute_optimal.analyse.statistics.difficulty import bucket_probabilities
from compute_optimal.analyse.statistics.intervals import expanded_tail, unseen_limits
from compute_optimal.analyse.statistics.ranks import rank_correlation, ranks_with_ties

CONFIDENCES = (0.8, 0.9, 0.95, 0.99)


@given(st.integers(1, 2000), st.floats(0, 1), st.sampled_from(CONFIDENCES))
def test_unseen_problems_are_as_many_as_wilsons_interval_of_none_or_all_allows(
    n: int, share: float, confidence: float
) -> None:
    none, every = (stats.binomtest(k, n).proportion_ci(confidence, method="wilson") for k in (0, n))
    low, high = unseen_limits(share, n, confidence)
    assert float(low) == pytest.approx(share * every.low, abs=1e-12)
    assert float(high) == pytest.approx(share + none.high * (1 - share), abs=1e-12)


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_intervals_are_as_wide_as_students(confidence: float) -> None:
    for n in (*range(2, 60), 100, 500, 10_000):
        exact = float(stats.t.ppf(0.5 + confidence / 2, n - 1))
        tail = expanded_tail(n, confidence)
        if exact > 5:  # so far out the normal distribution has few digits left, or none
            assert 0 <= tail < 1e-7
        else:
            width = -NormalDist().inv_cdf(tail) / math.sqrt(n / (n - 1))
            assert width == pytest.approx(exact, rel=1e-6), n


small = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=6)


@given(small)
@settings(deadline=None)
def test_rank_correlation_and_its_permutations(pairs: list[tuple[int, int]]) -> None:
    x, y = (list(column) for column in zip(*pairs, strict=True))
    correlation = rank_correlation(x, y)
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert correlation is None
        return
    ranks = stats.rankdata(x)

    def rho(order: np.ndarray) -> float:
        return float(np.corrcoef(ranks, stats.rankdata(order))[0, 1])

    assert correlation is not None
    assert correlation.rho == pytest.approx(float(stats.spearmanr(x, y).statistic))
    # Two-sided as here: as far from 0. SciPy doubles the smaller tail, which ties make asymmetric.
    test = stats.permutation_test(
        (y,), lambda order: abs(rho(order)), permutation_type="pairings", alternative="greater"
    )
    assert correlation.p_value == pytest.approx(test.pvalue)


@given(st.lists(st.one_of(st.integers(0, 5), st.just(math.nan)), min_size=1, max_size=12))
def test_ranks_with_ties(scores: list[float]) -> None:
    expected = stats.rankdata(scores, nan_policy="omit")
    (ranks,) = ranks_with_ties(np.array([scores], dtype=np.float64))
    np.testing.assert_array_equal(ranks, expected)


@given(st.integers(0, 600), st.floats(0, 1), st.floats(0.01, 0.5), st.floats(0.51, 0.99))
def test_chances_of_buckets(n: int, share: float, medium: float, easy: float) -> None:
    c = round(n * share)
    low, high = stats.beta.cdf([medium, easy], c + 1, n - c + 1)
    (chances,) = bucket_probabilities([c], [n], easy, medium)
    np.testing.assert_allclose(chances, [1 - high, high - low, low], atol=1e-9)
