"""How far a mean varies of which something was chosen, on these very problems.

A resampled mean that keeps the choice varies too little, and one that chooses again too much: it
varies around what the sample happens to favour, which varies around the truth itself.
"""

from __future__ import annotations

import numpy as np

from compute_optimal.analyse.statistics.estimators import EQUALLY_GOOD, FloatArray
from compute_optimal.analyse.statistics.intervals import bootstrap_means


def standard_error_of_means(
    replicates: FloatArray, kept: FloatArray, weights: FloatArray
) -> FloatArray:
    """Standard error of means of which something was chosen [columns].

    ``weights`` [replicates, problems]: bootstrap weights. ``replicates`` [replicates, columns]:
    means where the problems so drawn choose again. ``kept`` [columns, problems]: what these repeat,
    with the choice of the sample.

    Between strategies that are equally good, replicates vary around what the sample favours as that
    varies around the truth, so over samples and replicates together the mean has twice its
    variance V. Of this, the mean over replicates (the bagged estimate, Bühlmann and Yu 2002,
    doi:10.1214/aos/1031689014) has some variance B, and the replicates' own variance is the rest:
    2 V - B. The infinitesimal jackknife tells B from the same replicates (Efron 2014,
    doi:10.1080/01621459.2013.823775; without the noise of few replicates: Wager, Hastie and Efron
    2014, arXiv 1311.4555), so V is half of the two together. Where nothing depends on the choice
    all three are the same.
    """
    both = replicates.var(axis=0, ddof=1) + _bagged_variance(replicates, kept, weights)
    error: FloatArray = np.sqrt(np.maximum(both / 2, 0.0))
    return error


def widening_of_means(
    replicates: FloatArray, kept: FloatArray, weights: FloatArray, values: FloatArray
) -> FloatArray:
    """How many times as far the means of ``values`` [columns, problems] spread as resampled ones
    that keep the choice, at least 1, where each problem is given what does best on others.

    Other arguments, and why: ``standard_error_of_means``. Where ``values`` are of several splits
    and ``kept`` of one of them, the variance is a little more than theirs. Each of its halves is
    compared with what the same resampling makes of kept choices.
    """
    again = replicates.var(axis=0, ddof=1)
    spread = bootstrap_means(values.T, weights).var(axis=0, ddof=1)
    plain = values.var(axis=1) / values.shape[1]
    bagged = _bagged_variance(replicates, kept, weights)
    known = (np.minimum(spread, plain) > EQUALLY_GOOD**2) & (again > EQUALLY_GOOD**2)
    ones = np.ones_like(again)
    of_replicates = np.divide(again, spread, out=ones.copy(), where=known)
    of_bagged = np.divide(bagged, plain, out=ones, where=known)
    factors: FloatArray = np.sqrt(np.maximum((of_replicates + of_bagged) / 2, 1.0))
    return factors


def _bagged_variance(replicates: FloatArray, kept: FloatArray, weights: FloatArray) -> FloatArray:
    """Variance of the mean over replicates [columns], by the infinitesimal jackknife."""
    n_replicates, n_problems = weights.shape
    # What follows from the kept values is known without the noise of few replicates.
    influence = (kept - kept.mean(axis=1, keepdims=True)).T / n_problems
    rest = replicates - weights @ influence
    centred = weights - weights.mean(axis=0)
    slope = influence + centred.T @ (rest - rest.mean(axis=0)) / (n_replicates - 1)
    noise = (n_problems - 1) / (n_replicates - 1) * rest.var(axis=0, ddof=1)
    variance: FloatArray = (slope**2).sum(axis=0) - noise
    return variance


def choice_deviations(
    replicates: FloatArray,
    once: FloatArray,
    kept: FloatArray,
    weights: FloatArray,
    *,
    halved: bool = False,
) -> FloatArray:
    """How the mean of ``kept`` moves where resampled problems choose again [replicates, columns].

    ``replicates`` [replicates, columns]: means where they do, in the first repeat; ``once`` and
    ``kept`` [columns, problems]: values where its choice is kept, and their mean over the repeats.
    The deviations are those of the replicates from means of ``once``, so what is chosen on the same
    problems moves together as it does there. Their standard deviation is the standard error that
    choosing adds: of the replicates' variance so much counts as averaging over the repeats leaves
    of that of kept choices, and all where these do not vary: where two ways mostly choose alike,
    hardly a problem differs, and a ratio to its spread has no bound.

    ``halved``: the variance is half of this and half of the bagged mean's, as of other means of
    which something was chosen (``standard_error_of_means``). That is for two ways that both choose
    for each difficulty. Against one for all problems it is too little (benchmarks/README.md):
    in most samples both happen to choose alike, and the jackknife knows those alone.
    """
    of_once, of_kept = (bootstrap_means(one.T, weights) for one in (once, kept))
    again, before, own = (one.var(axis=0, ddof=1) for one in (replicates, of_once, of_kept))
    left = np.divide(own, before, out=np.ones_like(own), where=before > EQUALLY_GOOD**2)
    variance = again * np.minimum(left, 1.0)
    if halved:
        bagged = _bagged_variance(replicates, once, weights)
        variance = (variance + np.maximum(bagged, own)) / 2
    error = np.sqrt(np.maximum(variance - own, 0.0))
    moves = replicates - of_once
    moves -= moves.mean(axis=0)
    spread = moves.std(axis=0, ddof=1)
    known = (error > EQUALLY_GOOD) & (spread > EQUALLY_GOOD)
    scaled: FloatArray = moves * np.divide(error, spread, out=np.zeros_like(error), where=known)
    return scaled
