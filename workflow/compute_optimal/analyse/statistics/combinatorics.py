"""Binomial coefficients, and the integral over 0..1 that shares a win among ties."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MAX_POOL = 1024
"""Binomial coefficients of larger pools leave the range of float64."""


def binomials(size: int) -> FloatArray:
    """C(m, k) for m, k in 0..size, 0 where k > m; relative error below 1e-12.

    Raises ``ValueError`` for more than ``MAX_POOL``.
    """
    if size > MAX_POOL:
        raise ValueError(f"pools of more than {MAX_POOL} samples are not supported: {size}")
    return _pascal(int(max(size - 1, 1)).bit_length())[: size + 1, : size + 1]


@cache
def _pascal(size_bits: int) -> FloatArray:
    size = 1 << size_bits
    table = np.zeros((size + 1, size + 1))
    table[:, 0] = 1
    for row in range(1, size + 1):
        table[row, 1:] = table[row - 1, 1:] + table[row - 1, :-1]
    table.flags.writeable = False
    return table


@cache
def unit_legendre(n_nodes: int) -> FloatArray:
    """Nodes and weights [2, n_nodes] on 0..1, exact for polynomials of degree 2 n_nodes - 1."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return np.stack([(nodes + 1) / 2, weights / 2])
