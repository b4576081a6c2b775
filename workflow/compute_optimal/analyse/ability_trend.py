"""Figure 6: how accuracy goes with the ability of PRMs: the paper's line, and a test of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from compute_optimal.analyse.statistics.ranks import RankCorrelation as RankCorrelation
from compute_optimal.analyse.statistics.ranks import rank_correlation

_LEAST_FOR_FIT = 3
"""Different abilities that a fit needs at least."""


class AbilityTrend(NamedTuple):
    """Least squares of Y = slope ln(X) + intercept, X and Y in percent, and Spearman's rho (None
    without spread)."""

    slope: float
    intercept: float
    ranks: RankCorrelation | None


def ability_trend(abilities: Sequence[float], accuracies: Sequence[float]) -> AbilityTrend | None:
    """The trend over PRMs, ``abilities`` and ``accuracies`` [n] in percent; None of fewer than
    three different abilities, which are positive."""
    if len({*abilities}) < _LEAST_FOR_FIT:
        return None
    ranks = rank_correlation(abilities, accuracies)
    return AbilityTrend(*logarithmic_fit(abilities, accuracies), ranks)


def logarithmic_fit(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Slope and intercept of Y = slope ln(X) + intercept by least squares; ``x`` is positive."""
    slope, intercept = np.polyfit(np.log(x), y, 1)
    return float(slope), float(intercept)
