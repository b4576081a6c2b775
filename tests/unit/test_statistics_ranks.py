from __future__ import annotations

from itertools import permutations

import numpy as np
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


def test_the_p_value_of_a_handful_is_that_of_all_orders() -> None:
    """50,000 random ones of the 362,880 of nine PRMs gave 0.029."""
    abilities = [71.3, 92.8, 92.4, 95.9, 43.8, 8.9, 72.7, 95.1, 31.5]
    accuracies = [82.8, 89.1, 90.53, 90.35, 75.2, 62.7, 84.1, 90.64, 90.2]
    order = np.argsort(np.argsort(accuracies))
    orders = np.array([*permutations(range(9))], dtype=np.int8)
    distances = np.abs((orders - 4) @ (np.argsort(np.argsort(abilities)) - 4))
    observed = abs((order - 4) @ (np.argsort(np.argsort(abilities)) - 4))
    found = rank_correlation(abilities, accuracies)
    assert found is not None
    assert found.rho == pytest.approx(observed / 60)
    assert found.p_value == pytest.approx((distances >= observed).mean(), abs=1e-12)
    assert found.p_value == pytest.approx(0.0311, abs=5e-5)


def test_many_values_are_judged_by_random_orders() -> None:
    correlation = rank_correlation(range(12), range(12))
    assert correlation is not None
    assert correlation.p_value < 1e-3
