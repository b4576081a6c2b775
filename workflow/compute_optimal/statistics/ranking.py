"""Ranks within problems."""

from __future__ import annotations

import numpy as np

from compute_optimal.statistics.estimators import FloatArray, mean_over_ties


def ranks_with_ties(scores: FloatArray) -> FloatArray:
    """Rank [problems, n] of each score in its row, from 1; ties share the mean, NaN stays NaN."""
    order = np.argsort(scores, axis=1, kind="stable")
    ordered = np.take_along_axis(scores, order, axis=1)
    positions = np.broadcast_to(np.arange(1.0, scores.shape[1] + 1), scores.shape)
    ranks = np.full(scores.shape, np.nan)
    np.put_along_axis(ranks, order, mean_over_ties(ordered, positions), axis=1)
    return np.where(np.isnan(scores), np.nan, ranks)
