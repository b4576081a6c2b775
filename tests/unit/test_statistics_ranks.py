from __future__ import annotations

import pytest

from compute_optimal.analyse.statistics.ranks import rank_correlation


def test_rank_correlation_by_hand() -> None:
    rising = rank_correlation([1, 2, 3, 4], [10, 20, 30, 1000])
    assert rising is not None
    assert rising.rho == pytest.approx(1)
    # Of 24 orders one rises and one falls throughout.
    assert rising.p_value == pytest.approx(2 / 24)
    # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
    tied = rank_correlation([1, 2, 2, 4], [1, 2, 3, 4])
    assert tied is not None
    assert tied.rho == pytest.approx(4.5 / (4.5 * 5) ** 0.5)


def test_no_spread_has_no_correlation() -> None:
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([], []) is None


def test_many_values_are_judged_by_random_orders() -> None:
    correlation = rank_correlation(range(12), range(12))
    assert correlation is not None
    assert correlation.p_value < 1e-3
