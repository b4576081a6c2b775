"""What a comparison of a few models says of models in general, and of many claims at once.

Problems are a sample, and so are the policies and PRMs of a study. The variance of an estimate is
that over resampled problems plus what resampled models add to it; few models are few, so limits are
those of Student's t with degrees of freedom by Satterthwaite (1946). ``holm`` corrects for claims
being many (Holm 1979).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from compute_optimal.analyse.differences import MOST_POINTS, are_equal
from compute_optimal.analyse.statistics.estimators import FloatArray, IntArray

RESAMPLINGS = 4000
"""Draws of models behind what each kind of model adds to the variance: with another seed a p of
0.003 moves by about a tenth of itself."""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """An estimate with its standard error, in its unit, and degrees of freedom."""

    estimate: float
    error: float
    degrees: float

    def limits(self, confidence: float) -> tuple[float, float]:
        """Ends of the interval of Student's t; ``confidence`` is 0 to 1."""
        from scipy import special

        half = float(special.stdtrit(self.degrees, 0.5 + confidence / 2)) * self.error
        return self.estimate - half, self.estimate + half

    def p_above(self, bound: float) -> float:
        """Two-sided p of the estimate not being above ``bound``; 1 where it is not."""
        if self.estimate <= bound:
            return 1.0
        if self.error == 0:
            return 0.0
        from scipy import special

        t = (bound - self.estimate) / self.error
        return min(1.0, 2 * float(special.stdtr(self.degrees, t)))

    def p_of_its_side(
        self, side: Literal["above", "below", "within"], margin: float
    ) -> tuple[float, bool]:
        """Two-sided p of the side that the estimate lies on, and whether that is ``side``.

        "above": more than ``margin``; "below": less than -``margin``; "within": no further from 0.
        """
        mirrored = replace(self, estimate=-self.estimate)
        if side == "within":
            if abs(self.estimate) <= margin:
                return max(self.p_above(-margin), mirrored.p_above(-margin)), True
            outside = self if self.estimate > 0 else mirrored
            return outside.p_above(margin), False
        one, other = (mirrored, self) if side == "below" else (self, mirrored)
        if one.estimate > margin:
            return one.p_above(margin), True
        return other.p_above(-margin), False


def in_general(
    cases: ArrayLike,
    replicates: FloatArray,
    n_problems: int,
    factors: Mapping[str, Sequence[str]],
    x: ArrayLike | None = None,
    trends: Sequence[str] = (),
    seed: int = 0,
    reach: ArrayLike = MOST_POINTS,
) -> Uncertain:
    """The mean of cases, or their slope over ``x``, as a statement about models in general.

    ``cases`` [cases]: an estimate each, in points or %; ``replicates`` [replicates, cases]: over
    resampled problems; ``factors``: name of a kind of model -> the one of each case, at least two
    different. ``x`` [cases] and ``trends``, which has a level of its own each: as for
    ``slope_weights``.

    A kind of model adds n / (n - 1) times the variance of the estimate over its resampled models,
    less what the noise of problems alone would make of that. Where resampled problems hardly differ
    (``are_equal``), these leave as much open as problems that were not seen: ``reach`` [cases] is
    how far a case's value moves with all of them. Raises ``ValueError`` for a kind of which there
    is one.
    """
    value = np.asarray(cases, dtype=np.float64)
    # A relative difference has no replicate where the resampled reference is 0.
    replicates = replicates[np.isfinite(replicates).all(axis=1)]
    place = None if x is None else np.asarray(x, dtype=np.float64)
    whole = _weights(np.ones((1, len(value))), place, trends)[0]
    if len(replicates) < 2:
        return Uncertain(float(value @ whole), math.inf, 1.0)
    resampled = replicates @ whole
    of_problems = float(resampled.var(ddof=1))
    farthest = float(np.broadcast_to(reach, whole.shape) @ np.abs(whole))
    if are_equal(resampled, farthest):
        # As uncertain as unseen problems leave it (``limits``), at 95%: a stricter interval is no
        # narrower.
        of_problems = (farthest * (1 - 0.025 ** (1 / n_problems)) / 1.96) ** 2
    variance, uncertain = of_problems, of_problems**2 / max(n_problems - 1, 1)
    noise = replicates - value
    # Of every two cases: the mean product of what resampled problems make of them.
    products = noise.T @ noise / len(noise)
    for number, (name, models) in enumerate(sorted(factors.items())):
        kinds, index = np.unique(np.asarray(models), return_inverse=True)
        n = len(kinds)
        if n < 2:
            raise ValueError(f"one {name} says nothing about others")
        random = np.random.default_rng([seed, number, n])
        drawn = random.multinomial(n, np.full(n, 1 / n), size=RESAMPLINGS)
        weights = _weights(drawn[:, index].astype(np.float64), place, trends)
        # A slope needs two places: a resampling without is none.
        weights = weights[np.isfinite(weights).all(axis=1)]
        covariance = np.atleast_2d(np.cov(weights, rowvar=False))
        spread = float(value @ covariance @ value)
        by_chance = float((covariance * products).sum())
        variance += max(spread - by_chance, 0.0) * n / (n - 1)
        # What is taken off makes the rest no more certain.
        uncertain += (spread * n / (n - 1)) ** 2 / (n - 1)
    return Uncertain(float(value @ whole), math.sqrt(variance), variance**2 / uncertain)


def _weights(drawn: FloatArray, x: FloatArray | None, trends: Sequence[str]) -> FloatArray:
    """Weights [resamplings, cases] that make the mean or the slope of cases drawn so often."""
    if x is None:
        shares: FloatArray = drawn / drawn.sum(axis=1, keepdims=True)
        return shares
    return slope_weights(drawn, x, trends)


def slope_weights(drawn: FloatArray, x: FloatArray, trends: Sequence[str]) -> FloatArray:
    """Weights [resamplings, cases] of the least-squares slope over ``x`` [cases].

    Cases are drawn ``drawn`` [resamplings, cases] times; each trend has a level of its own. NaN
    where no two different x of one trend were drawn.
    """
    deviation = np.zeros_like(drawn)
    for trend in set(trends):
        inside = np.array([one == trend for one in trends])
        total = drawn[:, inside].sum(axis=1, keepdims=True)
        mean = np.divide(
            (drawn[:, inside] * x[inside]).sum(axis=1, keepdims=True), total,
            out=np.zeros_like(total), where=total > 0,
        )  # fmt: skip
        deviation[:, inside] = x[inside] - mean
    spread = (drawn * deviation**2).sum(axis=1, keepdims=True)
    weights: FloatArray = np.divide(
        drawn * deviation, spread, out=np.full_like(drawn, np.nan), where=spread > 1e-12
    )
    return weights


def holm(p_values: ArrayLike) -> FloatArray:
    """Holm's corrected p-values, in the order of ``p_values``."""
    p = np.asarray(p_values, dtype=np.float64)
    order: IntArray = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected
