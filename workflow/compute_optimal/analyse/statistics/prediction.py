"""Difficulty of a problem that nobody has solved, and what is chosen by it, on held-out problems.

A few samples are drawn first. How far their answers agree, what a PRM thinks of them and how long
they are is turned into a predicted Pass@1 by a logistic regression, and that into a bucket by the
thresholds of ``difficulty``. The regression and the strategy of each bucket are fitted on other
problems than those that they are scored on (K-fold, repeated), where the truth is known.

The rules here were fixed before any outcome of them was seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from compute_optimal.analyse.statistics.estimators import EQUALLY_GOOD, FloatArray, IntArray
from compute_optimal.study.buckets import BUCKETS

PENALTY = 1.0
"""ASSUME: of the squared coefficients of standardised features, as is usual (scikit-learn's C = 1):
it keeps them finite where the features tell right from wrong without error."""

LEAST_TRAINED = 5
"""ASSUME: a bucket of fewer training problems is given what does best on all of them."""

_STEPS = 8


@dataclass(frozen=True, slots=True)
class Splits:
    """Which problems train and which are held out: [splits, problems], weights.

    The first ``repeats`` x ``folds`` splits are of the sample itself; then come ``folds`` of each
    bootstrap replicate, with the folds of the first repeat, so that a problem drawn twice stays on
    one side.
    """

    train: FloatArray
    held_out: FloatArray
    folds: int
    repeats: int

    @classmethod
    def of(cls, weights: FloatArray, folds: int = 5, repeats: int = 3, seed: int = 0) -> Splits:
        """``weights``: bootstrap weights [replicates, problems]. Raises ``ValueError`` for fewer
        problems than folds."""
        n_problems = weights.shape[1]
        if n_problems < folds:
            raise ValueError(f"{n_problems} problems cannot be split in {folds} folds")
        random = np.random.default_rng([seed, n_problems])
        fold = np.stack([random.permutation(n_problems) % folds for _ in range(repeats)])
        inside = fold[:, None] == np.arange(folds)[:, None]
        of_sample = inside.reshape(-1, n_problems).astype(np.float64)
        of_replicates = (weights[:, None] * inside[0]).reshape(-1, n_problems)
        held_out = np.vstack([of_sample, of_replicates])
        every = np.vstack([np.ones_like(of_sample), np.repeat(weights, folds, axis=0)])
        return cls(every - held_out, held_out, folds, repeats)

    @property
    def n_of_sample(self) -> int:
        return self.folds * self.repeats


def predicted_pass_at_1(features: ArrayLike, pass_at_1: ArrayLike, splits: Splits) -> FloatArray:
    """Predicted Pass@1 [splits, problems] by the regression of each split's training problems.

    ``features`` [problems, features], without a constant, known for all; ``pass_at_1`` [problems],
    a fraction, from samples that the features do not know. Features are standardised over the
    problems that train a split of the sample. A replicate takes one Newton step from the solution
    of the sample's split with the same fold.
    """
    designs = _designs(np.asarray(features, dtype=np.float64), splits.train[: splits.n_of_sample])
    target = np.asarray(pass_at_1, dtype=np.float64)
    of_sample = splits.train[: splits.n_of_sample, None]
    at = np.zeros((*of_sample.shape[:2], designs.shape[2]))
    for _ in range(_STEPS):
        at = _newton(designs, target, of_sample, at)
    predicted = _chance(at @ designs.mT)
    # The replicates' splits by fold: [folds, replicates, problems].
    of_replicates = splits.train[splits.n_of_sample :].reshape(-1, splits.folds, len(target))
    of_replicates = of_replicates.swapaxes(0, 1)
    designs, at = designs[: splits.folds], at[: splits.folds]
    again = _newton(designs, target, of_replicates, at.repeat(of_replicates.shape[1], axis=1))
    predicted_again = _chance(again @ designs.mT).swapaxes(0, 1).reshape(-1, len(target))
    return np.vstack([predicted[:, 0], predicted_again])


def _designs(features: FloatArray, train: FloatArray) -> FloatArray:
    """A constant and the features as each split standardises them, [splits, problems, columns].

    ``train`` [splits, problems]. A feature that is the same for all problems that train (scores
    that are all equal) says nothing.
    """
    totals = train.sum(axis=1)[:, None]
    mean = train @ features / totals
    off = features - mean[:, None, :]
    spread = np.sqrt((train[:, None, :] @ off**2)[:, 0] / totals)[:, None, :]
    told = spread > EQUALLY_GOOD
    scaled = np.where(told, off / np.where(told, spread, 1.0), 0.0)
    return np.concatenate([np.ones((*scaled.shape[:2], 1)), scaled], axis=2)


def _newton(
    designs: FloatArray, target: FloatArray, weights: FloatArray, at: FloatArray
) -> FloatArray:
    """One step of every fit; ``designs`` [splits, problems, coefficients], ``weights`` [splits,
    fits, problems], ``at`` [splits, fits, coefficients]."""
    n_splits, n_problems, n = designs.shape
    penalty = np.full(n, PENALTY)
    penalty[0] = 1e-6
    chance = _chance(at @ designs.mT)
    gradient = (weights * (target - chance)) @ designs - penalty * at
    products = (designs[..., :, None] * designs[..., None, :]).reshape(n_splits, n_problems, -1)
    curvature = ((weights * chance * (1 - chance)) @ products).reshape(*at.shape, n)
    step: FloatArray = np.linalg.solve(curvature + np.diag(penalty), gradient[..., None])[..., 0]
    return at + np.clip(step, -5, 5)


def _chance(logits: FloatArray) -> FloatArray:
    chance: FloatArray = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    return chance


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What is chosen on other problems.

    ``accuracy`` [choosers, problems]: mean over the repeats; ``once``: of the first repeat alone,
    which is what replicates repeat. ``share`` [choosers, strategies,
    problems]: how often each strategy answers a problem. ``replicates`` [replicates, choosers]:
    mean accuracy where resampled problems fit and choose again. Of the buckets that were asked for,
    ``share_within`` [buckets, choosers, strategies, problems]: how often a problem is in one and
    answered by a strategy; ``right_within`` [buckets, choosers, problems]: and answered right.
    """

    accuracy: FloatArray
    once: FloatArray
    share: FloatArray
    replicates: FloatArray
    share_within: FloatArray
    right_within: FloatArray


def choose_held_out(
    outcomes: ArrayLike, groups: ArrayLike, splits: Splits, buckets: IntArray | None = None
) -> HeldOut:
    """The strategy that does best on the training problems of each group, on the held-out ones.

    ``outcomes`` [choosers, strategies, problems], without NaN, of strategies that one chooser can
    choose from; ``groups``: numbers from 0 of the problems' groups, [problems] or, where they
    depend on the split, [splits, problems]. ``buckets`` [splits, problems]: places in ``BUCKETS``
    to tell of, none by default. Strategies that are equally good share.
    """
    outcome = np.asarray(outcomes, dtype=np.float64)
    group = np.asarray(groups, dtype=np.int64)
    n_choosers, n_strategies, n_problems = outcome.shape
    n_splits = len(splits.train)
    flat = np.ascontiguousarray(outcome.reshape(-1, n_problems).T)
    shape = n_splits, n_choosers, n_strategies
    on_all = (splits.train @ flat).reshape(shape)
    gained = np.zeros((n_splits, n_choosers))
    share, once = np.zeros((2, n_choosers, n_strategies, n_problems))
    told = np.zeros((0, splits.n_of_sample, n_problems))
    if buckets is not None:
        places = np.arange(len(BUCKETS))[:, None, None]
        told = (buckets[: splits.n_of_sample] == places).astype(np.float64)
    within = np.zeros((len(told), *share.shape))
    for number in range(int(group.max(initial=0)) + 1):
        inside = (group == number).astype(np.float64)
        train = splits.train * inside
        sums = (train @ flat).reshape(shape)
        sums = np.where(train.sum(axis=1)[:, None, None] < LEAST_TRAINED, on_all, sums)
        leads = sums >= sums.max(axis=2, keepdims=True) - EQUALLY_GOOD
        choice = leads / leads.sum(axis=2, keepdims=True)
        held_out = splits.held_out * inside
        gained += (choice * (held_out @ flat).reshape(shape)).sum(axis=2)
        of_sample = held_out[: splits.n_of_sample] / splits.repeats
        chosen = choice[: splits.n_of_sample].reshape(splits.n_of_sample, -1).T
        share += (chosen @ of_sample).reshape(share.shape)
        within += (chosen @ (of_sample * told)).reshape(within.shape)
        in_first = held_out[: splits.folds]
        once += (choice[: splits.folds].reshape(splits.folds, -1).T @ in_first).reshape(share.shape)
    totals = splits.held_out.sum(axis=1)
    of_replicates = gained[splits.n_of_sample :].reshape(-1, splits.folds, n_choosers).sum(axis=1)
    n_drawn = totals[splits.n_of_sample :].reshape(-1, splits.folds).sum(axis=1)
    return HeldOut(
        # Thirds of a problem, one a repeat, add up to 1 but for rounding.
        np.minimum((share * outcome).sum(axis=1), 1.0),
        (once * outcome).sum(axis=1),
        share,
        of_replicates / n_drawn[:, None],
        within,
        (within * outcome).sum(axis=2),
    )


def bucket_numbers(pass_at_1: FloatArray, easy: float, medium: float) -> IntArray:
    """Places in ``BUCKETS`` of Pass@1 of any shape."""
    numbers: IntArray = np.where(pass_at_1 >= easy, 0, np.where(pass_at_1 >= medium, 1, 2))
    return numbers
