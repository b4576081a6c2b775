"""What differences between stored and redrawn units prove, with stated error rates.

Two tests. How many units differ: the same model, seed and engine draw the same text and give the
same scores, but for last digits and for ties, which another order of summation breaks otherwise.
Where more differ than that explains, what is stored was not made as it says. And how likely the
differing texts are: where arithmetic is another, they are another draw from the same distribution,
no more and no less likely than a fresh one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from compute_optimal.engines.likelihood import Likelihood

ERROR_RATE = 0.01
"""Chance that an honest store fails an audit: half of it for either test, over all it tests."""

ARITHMETIC = 0.0005
"""ASSUME: share of units that another machine may draw or score otherwise in float32. Of 23,000
that were made anew in other batches and on another kind of processor one had another score, and
none another text; engines in half precision have no such bound, and are not audited so."""

_RESAMPLES = 20_000
_TINY = 1e-30


def at_least(count: int, n: int, share: float) -> float:
    """Chance that ``count`` or more of ``n`` have what each has with the chance ``share``."""
    from scipy import stats

    return float(stats.binom.sf(count - 1, n, share))


def too_many(n: int, n_tests: int) -> int:
    """How many differing units of ``n`` arithmetic does not excuse, in one of ``n_tests`` tests."""
    limit = ERROR_RATE / 2 / max(1, n_tests)
    return next(count for count in range(1, n + 2) if at_least(count, n, ARITHMETIC) < limit)


def chance_to_find(n_replaced: int, n_shipped: int, n_drawn: int, count: int) -> float:
    """Chance that ``count`` or more of ``n_drawn`` units are replaced ones, drawn at random and
    without return from ``n_shipped`` of which ``n_replaced`` are: whichever these are, one of each
    cell or all of one."""
    from scipy import stats

    return float(stats.hypergeom.sf(count - 1, n_shipped, n_replaced, n_drawn))


def implausibility(
    stored: Sequence[Likelihood],
    fresh: Sequence[Likelihood],
    n_slice: int,
    rng: np.random.Generator,
) -> float:
    """p-value of "what is stored of these units was drawn as what was drawn anew".

    ``stored`` and ``fresh``: the units of a cell that differ, in one order; ``n_slice`` units were
    looked at. Which of the two runs of a differing unit is which, is then no matter: signs of the
    difference within each pair are flipped at random. By ``excess``, two-sided (another
    temperature, another policy), and by the rarest token (edited answers); few pairs prove little.
    One token alone proves enough if it is rarer than chance makes any in the whole slice. 0 where a
    token is impossible.
    """
    if any(unit.impossible for unit in stored):
        return 0.0
    if not stored:
        return 1.0
    signs = rng.choice((-1.0, 1.0), size=(_RESAMPLES, len(stored)))
    pairs = list(zip(stored, fresh, strict=True))
    excess = _flipped(np.array([a.excess - b.excess for a, b in pairs]), signs, two_sided=True)
    rarity = np.array([np.log(b.rarest + _TINY) - np.log(a.rarest + _TINY) for a, b in pairs])
    alone = min(unit.rarest * unit.n_tokens for unit in stored) * n_slice
    p_values = (excess, _flipped(rarity, signs, two_sided=False), alone)
    return min(1.0, len(p_values) * min(p_values))


def _flipped(differences: np.ndarray, signs: np.ndarray, *, two_sided: bool) -> float:
    """p-value of the sum of ``differences`` among all that flipped signs give."""
    value, flipped = differences.sum(), signs @ differences
    if two_sided:
        value, flipped = abs(value), np.abs(flipped)
    # Rounding must not set apart what is the same.
    return float((1 + (flipped >= value - 1e-9).sum()) / (len(flipped) + 1))


def joined(texts: Sequence[Likelihood]) -> Likelihood:
    """Of a unit that several texts make up, such as a tree of its nodes."""
    return Likelihood(
        math.fsum(text.excess for text in texts),
        min((text.rarest for text in texts), default=1.0),
        sum(text.n_tokens for text in texts),
        sum(text.impossible for text in texts),
    )
