"""Weighted votes of small pools, exact for every k: subsets are counted, not drawn.

A class of equivalent answers wins if the weights of its drawn samples add up to more than any other
class's. For one choice of its samples, with sum s, the subsets of the others' samples that leave it
ahead factor by class: of each other class those count whose sum is below s. So it is enough to know
the sums of the subsets of each class by themselves, 2**m of m samples, and to multiply generating
functions in the number of samples; the 2**n subsets of the whole pool are never listed. Ties are
marked by a second variable y, whose integral over 0..1 turns y**j into the share 1 / (j + 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from compute_optimal.analyse.statistics.combinatorics import binomials, unit_legendre

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_NO_TIE = np.zeros(1), np.ones(1)


def winning_subsets(
    own: FloatArray, others: Sequence[FloatArray], n_absent: int, slack: float
) -> FloatArray:
    """Number of subsets [n] of 1, 2, ..., n samples in which a class wins, a tie by its share.

    ``own``: weights of its samples; ``others``: those of each other class; ``n_absent``: samples
    without an answer. Sums that differ by no more than ``slack`` tie. A class of which nothing is
    drawn cannot win, whatever the weights. All weights are whole numbers that float64 can add.
    """
    return _winning_subsets(own.tobytes(), tuple(o.tobytes() for o in others), n_absent, slack)


# A pool is asked more than once: for curves, and for what is chosen from it.
@lru_cache(maxsize=4096)
def _winning_subsets(
    own_bytes: bytes, others_bytes: tuple[bytes, ...], n_absent: int, slack: float
) -> FloatArray:
    own, others = np.frombuffer(own_bytes), [np.frombuffer(other) for other in others_bytes]
    sums, drawn = _subset_sums(own)[1:], _sizes(len(own))[1:]
    single = np.array([other[0] for other in others if len(other) == 1])
    several = [(_subset_sums(o)[1:], len(o)) for o in others if len(o) > 1]
    # Own sums between the same sums of other classes are alike: one of each kind is enough.
    theirs = np.concatenate([single, *(of_class for of_class, _ in several)])
    beyond = slack + 0.5
    cuts = np.sort(np.concatenate([theirs - beyond, theirs + beyond]))
    _, first, kind = np.unique(np.searchsorted(cuts, sums), return_index=True, return_inverse=True)
    level = sums[first]
    below, tied = _below_and_tied(np.sort(single), np.zeros(len(single), int), level, beyond, 0)
    factors = [
        _below_and_tied(of_class, _sizes(size)[1:], level, beyond, size)
        for of_class, size in several
    ]
    n_ties = int(tied.max(initial=0)) + sum(bool(ties.any()) for _, ties in factors)
    y, share = unit_legendre(n_ties // 2 + 1) if n_ties else _NO_TIE
    # ways[kind, y, i]: subsets of i samples of the others that leave this class ahead.
    choose = binomials(len(single) + n_absent)
    n_rest = n_absent + sum(map(len, others))
    ways = np.zeros((len(level), len(y), n_rest + 1))
    degree = len(single) + n_absent
    ways[:, :, : degree + 1] = choose[below[:, 0].astype(int) + n_absent][:, None]
    if tied.any():
        of_ties = choose[tied[:, 0].astype(int)][:, None, : int(tied.max()) + 1]
        ways = _times(ways, of_ties * y[:, None] ** np.arange(of_ties.shape[2]), degree)
    for fewer, ties in factors:
        fewer[:, 0] = 1  # nothing of that class
        ways = _times(ways, fewer[:, None] + y[:, None] * ties[:, None], degree)
        degree += fewer.shape[1] - 1
    of_own = _counts(kind, drawn, len(level), len(own))
    products = of_own.T @ np.tensordot(share, ways, axes=(0, 1))
    won = np.zeros(len(own) + n_rest + 1)
    for i, product in enumerate(products):
        won[i : i + n_rest + 1] += product
    return won[1:]


def _times(ways: FloatArray, factor: FloatArray, degree: int) -> FloatArray:
    """Product of polynomials [..., coefficients]; ``ways`` has none above ``degree``."""
    product = np.zeros_like(ways)
    for i in range(factor.shape[2]):
        width = min(degree + 1, ways.shape[2] - i)
        product[:, :, i : i + width] += factor[:, :, i : i + 1] * ways[:, :, :width]
    return product


def _below_and_tied(
    sums: FloatArray, sizes: IntArray, level: FloatArray, beyond: float, size: int
) -> tuple[FloatArray, FloatArray]:
    """Of ``sums``, by ``sizes``: how many lie below each level, and tie with it [levels, size+1].

    ``level`` ascends."""
    n = len(level) + 1
    below = np.searchsorted(level - beyond, sums, side="right")
    up_to = np.searchsorted(level + beyond, sums, side="left")
    fewer, most = (_counts(place, sizes, n, size)[:-1].cumsum(axis=0) for place in (below, up_to))
    return fewer, most - fewer


def _counts(place: IntArray, size: IntArray, n_places: int, largest: int) -> FloatArray:
    """How often each place and size occur together [places, largest + 1]."""
    both = place * (largest + 1) + size
    counted = np.bincount(both, minlength=n_places * (largest + 1))
    return counted.reshape(n_places, largest + 1).astype(np.float64)


def _subset_sums(weights: FloatArray) -> FloatArray:
    """Sums of all subsets [2**m], that of none first."""
    sums = np.zeros(1)
    for weight in weights:
        sums = np.concatenate([sums, sums + weight])
    return sums


@cache
def _sizes(m: int) -> IntArray:
    """Sizes of the subsets in ``_subset_sums``."""
    sizes = np.zeros(1, dtype=np.int64)
    for _ in range(m):
        sizes = np.concatenate([sizes, sizes + 1])
    return sizes
