"""Estimators over a pool, against enumeration of all subsets, exact integers and simulation."""

import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce
from itertools import combinations
from math import comb
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compute_optimal.analyse.statistics import estimators
from compute_optimal.analyse.statistics.combinatorics import MAX_POOL
from compute_optimal.analyse.statistics.estimators import (
    best_of_k,
    best_of_k_units,
    pass_at_k,
    plurality_at_k,
    trajectory_scores,
    vote_of_k_units,
    weighted_vote_at_k,
)

pytestmark = pytest.mark.filterwarnings("error")
NAN = float("nan")
small = settings(max_examples=60, deadline=None, derandomize=True)


def over_subsets(n: int, k: int, value: Callable[[tuple[int, ...]], float]) -> float:
    subsets = list(combinations(range(n), k))
    return sum(value(subset) for subset in subsets) / len(subsets)


def vote(labels: Sequence[int], worth: dict[int, float], weights: Sequence[float]) -> float:
    """Worth of the winner; the members of ``labels`` and ``weights`` belong together."""
    sums: dict[int, float] = {}
    for label, weight in zip(labels, weights, strict=True):
        if label >= 0:
            sums[label] = sums.get(label, 0) + weight
    leaders = [label for label in sums if sums[label] == max(sums.values())]
    return sum(worth[label] for label in leaders) / len(leaders) if leaders else 0.0


def class_worth(labels: Sequence[int], correct: Sequence[float]) -> dict[int, float]:
    return {
        label: float(np.mean([c for m, c in zip(labels, correct, strict=True) if m == label]))
        for label in set(labels)
    }


def vote_over_subsets(
    labels: Sequence[int], correct: Sequence[float], weights: Sequence[float], k: int
) -> float:
    worth = class_worth(labels, correct)
    return over_subsets(
        len(labels), k, lambda s: vote([labels[i] for i in s], worth, [weights[i] for i in s])
    )


@pytest.mark.parametrize(("n", "c"), [(1, 0), (1, 1), (7, 0), (7, 3), (7, 7)])
def test_pass_at_k_counts_subsets_with_a_correct_sample(n: int, c: int) -> None:
    ks = range(1, n + 1)
    expected = [over_subsets(n, k, lambda s: float(any(i < c for i in s))) for k in ks]
    np.testing.assert_allclose(pass_at_k([c], n, list(ks))[0], expected, atol=1e-14)


def test_pass_at_k_of_large_and_ragged_pools() -> None:
    result = pass_at_k([1, 700, 2], [1024, 1024, 8], [1, 512, 1024])
    exact = 1 - Fraction(comb(324, 1), comb(1024, 1))
    assert result[1, 0] == pytest.approx(float(exact), abs=1e-12)
    assert result[0, 1] == pytest.approx(0.5, abs=1e-12)
    assert result[0, 2] == result[1, 2] == 1
    assert result[2, 0] == pytest.approx(0.25)
    assert np.isnan(result[2, 1:]).all()
    with pytest.raises(ValueError, match="n_correct"):
        pass_at_k([3], 2, [1])
    with pytest.raises(ValueError, match="at least 1"):
        pass_at_k([1], 2, [0])


@small
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 1.0, 0.5]), st.sampled_from([-1.0, 0.5, 2.0, NAN])),
        min_size=1,
        max_size=8,
    )
)
def test_best_of_k_is_the_mean_over_subsets_with_ties_and_unscored(
    samples: list[tuple[float, float]],
) -> None:
    correct, scores = zip(*samples, strict=True)

    def best(subset: tuple[int, ...]) -> float:
        score = [-np.inf if np.isnan(scores[i]) else scores[i] for i in subset]
        leaders = [i for i, s in zip(subset, score, strict=True) if s == max(score)]
        return float(np.mean([correct[i] for i in leaders]))

    n = len(samples)
    expected = [over_subsets(n, k, best) for k in range(1, n + 1)]
    result = best_of_k([correct], [scores], np.arange(1, n + 1))[0]
    np.testing.assert_allclose(result, expected, atol=1e-12)


def test_unscored_samples_rank_below_minus_infinity() -> None:
    assert best_of_k([[0.0, 1.0]], [[-np.inf, NAN]], [2])[0, 0] == 0


@small
@given(
    st.lists(st.integers(-1, 3), min_size=1, max_size=9),
    st.lists(st.sampled_from([0.0, 0.0, 1.0, 0.25]), min_size=4, max_size=4),
)
def test_plurality_is_the_mean_over_subsets(labels: list[int], worths: list[float]) -> None:
    correct = [worths[label] if label >= 0 else 0.0 for label in labels]
    n = len(labels)
    expected = [vote_over_subsets(labels, correct, [1] * n, k) for k in range(1, n + 1)]
    result = plurality_at_k([labels], [correct], np.arange(1, n + 1))[0]
    np.testing.assert_allclose(result, expected, atol=1e-12)


def exact_plurality(own: int, others: list[int], no_answer: int, k: int) -> Fraction:
    """Share of the win of a class, in integers: classes are added one by one to a table of
    (drawn so far, largest draw, how many reach it, does the class in question reach it)."""
    states = {(0, 0, 0, False): 1}
    for index, size in enumerate([own, *others]):
        added: dict[tuple[int, int, int, bool], int] = {}
        for (drawn, top, ties, mine), ways in states.items():
            for t in range(min(size, k - drawn) + 1):
                if t > top:
                    key = (drawn + t, t, 1, index == 0)
                elif t == top and t:
                    key = (drawn + t, top, ties + 1, mine)
                else:
                    key = (drawn + t, top, ties, mine)
                added[key] = added.get(key, 0) + ways * comb(size, t)
        states = added
    total = sum(
        (
            Fraction(ways * comb(no_answer, k - drawn), ties)
            for (drawn, _, ties, mine), ways in states.items()
            if mine
        ),
        Fraction(0),
    )
    return total / comb(own + sum(others) + no_answer, k)


@pytest.mark.parametrize(
    ("own", "others", "no_answer"),
    [
        (9, [12, 8, 5, 2, 2, 1, 1, 1], 4),
        (1, [1] * 20, 3),
        (2, [2] * 8 + [1] * 6, 0),
        (20, [20], 0),
        (5, [5] * 6, 2),
        (30, [3, 1], 1),
    ],
)
def test_plurality_agrees_with_integer_arithmetic(
    own: int, others: list[int], no_answer: int
) -> None:
    labels = np.repeat(np.arange(-1, len(others) + 1), [no_answer, own, *others])
    ks = np.arange(1, len(labels) + 1)
    expected = [float(exact_plurality(own, others, no_answer, int(k))) for k in ks]
    result = plurality_at_k([labels], [labels == 0], ks)[0]
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("n", [256, 1024])
def test_shares_of_all_classes_add_up_to_the_chance_of_an_answer(n: int) -> None:
    random = np.random.default_rng(n)
    sizes = [n // 4, n // 5, n // 5, n // 16, n // 16, 9, 9, 9, 4, 4, 2, 2, 2, 1, 1, 1, 1]
    labels = np.repeat(np.arange(len(sizes)), sizes)
    labels = random.permutation(np.append(labels, np.full(n - len(labels), -1)))
    ks = np.array([1, 2, 3, 7, 16, 64, n // 2, n - 1, n])
    no_answer = int((labels < 0).sum())
    expected = [1 - comb(no_answer, int(k)) / comb(n, int(k)) for k in ks]
    classes = np.tile(labels, (len(sizes), 1))
    shares = plurality_at_k(classes, classes == np.arange(len(sizes))[:, None], ks)
    np.testing.assert_allclose(shares.sum(axis=0), expected, rtol=1e-11)
    assert np.all((shares >= 0) & (shares <= 1))


def test_the_largest_pool_is_estimated_at_every_budget_in_seconds() -> None:
    n, ks = MAX_POOL, [1, 4, 16, 64, 256, 512, MAX_POOL]
    random = np.random.default_rng(n)
    classes = random.choice(40, size=(6, n), p=np.arange(40, 0, -1) / 820) - 1
    correct = (classes % 7 == 3).astype(float)
    ranking = random.normal(size=(6, n)) + correct
    weight = 1 / (1 + np.exp(-ranking))
    start = time.process_time()
    reached = pass_at_k(correct.sum(axis=1), np.full(6, n), ks)
    best = best_of_k(correct, ranking, ks)
    plurality = plurality_at_k(classes, correct, ks)
    [votes], [errors] = weighted_vote_at_k(classes, correct, weight[None], ks, 100, 0)
    assert time.process_time() - start < 20
    for estimate in (reached, best, plurality, votes):
        assert np.isfinite(estimate).all()
        assert ((estimate >= -1e-12) & (estimate <= 1 + 1e-12)).all()
        # One sample: Pass@1, but for the error of drawing subsets.
        near = np.abs(estimate[:, 0] - correct.mean(axis=1))
        assert (near <= 5 * errors[:, 0] + 1e-12).all()
    assert (reached >= np.maximum(best, plurality) - 1e-12).all()
    # The whole pool is one subset: the best sample, the largest class and the heaviest.
    top = np.take_along_axis(correct, ranking.argmax(axis=1)[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(best[:, -1], top)
    for row in range(6):
        held = classes[row] >= 0
        counts = np.bincount(classes[row][held])
        leads = np.flatnonzero(counts == counts.max())
        assert plurality[row, -1] == pytest.approx((leads % 7 == 3).mean())
        sums = np.bincount(classes[row][held], weights=weight[row][held])
        assert votes[row, -1] == pytest.approx(float(sums.argmax() % 7 == 3))
    np.testing.assert_allclose(errors[:, -1], 0, atol=1e-12)


def test_plurality_of_a_large_pool_agrees_with_simulation() -> None:
    random = np.random.default_rng(5)
    labels = random.choice(30, size=256, p=np.arange(30, 0, -1) / 465) - 1
    right = np.isin(labels, [0, 2, 25])
    n_draws = 4000
    for k in (4, 16, 64, 200):
        order = np.argsort(random.random((n_draws, 256)), axis=1)[:, :k]
        counts = np.stack([(labels[order] == label).sum(axis=1) for label in range(29)], axis=1)
        leads = counts == counts.max(axis=1, keepdims=True)
        wins = leads[:, [0, 2, 25]].sum(axis=1) / leads.sum(axis=1)
        error = wins.std() / np.sqrt(n_draws)
        result = plurality_at_k([labels], [right], [k])[0, 0]
        assert abs(result - wins.mean()) < 4 * error


def test_ragged_pools_equal_their_own_pools_wherever_the_gaps_are() -> None:
    random = np.random.default_rng(7)
    classes, scores = random.integers(-1, 3, (5, 10)), random.normal(size=(5, 10))
    correct = (classes == 0).astype(float)
    correct[1, [0, 4, 9]] = NAN
    correct[2, 1:] = NAN
    correct[3] = NAN
    ks = np.array([1, 2, 7, 8, 10])
    ragged = [
        best_of_k(correct, scores, ks),
        plurality_at_k(classes, correct, ks),
        *weighted_vote_at_k(classes, correct, np.exp(scores)[None], ks, 50, 0),
    ]
    for row in range(5):
        kept = ~np.isnan(correct[row])
        alone = classes[row, kept][None], correct[row, kept][None], scores[row, kept][None]
        reachable = ks <= kept.sum()
        expected = [
            best_of_k(alone[1], alone[2], ks),
            plurality_at_k(alone[0], alone[1], ks),
            *weighted_vote_at_k(alone[0], alone[1], np.exp(alone[2])[None], ks, 50, 0),
        ]
        for together, single in zip(ragged, expected, strict=True):
            whole = together[0, row] if together.ndim == 3 else together[row]
            np.testing.assert_array_equal(whole, single.reshape(-1))
            assert np.array_equal(np.isnan(whole), ~reachable)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_degenerate_pools_give_plain_numbers(value: float) -> None:
    ks = [1, 2, 3]
    same = np.full((2, 3), value)
    classes = np.zeros((2, 3), dtype=int)
    silent = np.full((2, 3), -1)
    np.testing.assert_allclose(best_of_k(same, np.zeros((2, 3)), ks), value)
    np.testing.assert_allclose(best_of_k(same, np.full((2, 3), NAN), ks), value)
    np.testing.assert_allclose(plurality_at_k(classes, same, ks), value)
    np.testing.assert_allclose(plurality_at_k(silent, np.zeros((2, 3)), ks), 0)
    for weights in (np.zeros((1, 2, 3)), np.full((1, 2, 3), NAN)):
        mean, error = weighted_vote_at_k(classes, same, weights, ks, 10, 0)
        np.testing.assert_allclose(mean, value)
        np.testing.assert_array_equal(error, 0)
    np.testing.assert_array_equal(
        weighted_vote_at_k(silent, np.zeros((2, 3)), np.ones((1, 2, 3)), ks, 10, 0), 0
    )
    assert best_of_k([[value]], [[0.0]], [1, 2])[0, 0] == value
    assert plurality_at_k(np.zeros((0, 4)), np.zeros((0, 4)), [1]).shape == (0, 1)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="scores"):
        best_of_k(np.ones((2, 3)), np.ones((2, 4)), [1])
    with pytest.raises(ValueError, match="classes"):
        plurality_at_k([0, 1], [0, 1], [1])
    with pytest.raises(ValueError, match="strategies"):
        weighted_vote_at_k([[0]], [[1]], [[1.0]], [1], 10, 0)
    with pytest.raises(ValueError, match="negative"):
        weighted_vote_at_k([[0]], [[1]], [[[-1.0]]], [1], 10, 0)
    with pytest.raises(ValueError, match="two subsets"):
        weighted_vote_at_k([[0]], [[1]], [[[1.0]]], [1], 1, 0)
    with pytest.raises(ValueError, match="1024"):
        best_of_k(np.ones((1, 1025)), np.ones((1, 1025)), [1])


def votes_of(
    random: np.random.Generator, n_problems: int, n: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Classes, correctness and weights: with ties, zero and missing weights, several right."""
    classes = random.integers(-1, 4, (n_problems, n))
    correct = np.where(classes >= 0, random.choice([0.0, 1.0], (n_problems, 4))[
        np.arange(n_problems)[:, None], np.maximum(classes, 0)], 0.0)  # fmt: skip
    weights = np.stack([
        random.choice([0.0, 0.5, 1.0, NAN], (n_problems, n)),
        random.random((n_problems, n)),
    ])  # fmt: skip
    return classes, correct, weights


@pytest.mark.parametrize("n_listed", [0, 20, 10_000])
@pytest.mark.parametrize("n", [2, 5, 9])
def test_weighted_votes_of_small_pools_are_exact(
    n: int, n_listed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against every subset one by one, whether the subsets are listed or counted by their sums."""
    monkeypatch.setattr(estimators, "_LISTED", n_listed)
    classes, correct, weights = votes_of(np.random.default_rng(n), 30, n)
    ks = np.arange(1, n + 1)
    mean, error = weighted_vote_at_k(classes, correct, weights, ks, 2, 3)
    expected = np.array([
        [
            [vote_over_subsets(labels, truth, weight, int(k)) for k in ks]
            for labels, truth, weight in zip(classes, correct, np.nan_to_num(each), strict=True)
        ]
        for each in weights
    ])  # fmt: skip
    np.testing.assert_allclose(mean, expected, atol=1e-12)
    assert np.all(error == 0)


def test_one_answer_against_many_and_whole_pools_of_the_largest_exact_size() -> None:
    """The two ways to count agree where the subsets are too many to be listed one by one here."""
    random, n = np.random.default_rng(4), estimators.EXACT_POOL
    classes = np.stack([np.arange(n), np.arange(n) // (n - 1), np.arange(n) % 2])
    correct = (classes == 0).astype(float)
    weights = random.choice([0.25, 0.5, 0.75, 1.0], (1, 3, n))
    mean, error = weighted_vote_at_k(classes, correct, weights, range(1, n + 1), 2, 0)
    assert np.all(error == 0)
    drawn = np.array([random.permutation(n)[:10] for _ in range(4000)])
    for problem in range(3):
        labels, truth, weight = classes[problem], correct[problem], weights[0, problem]
        votes = [
            vote(
                labels[some].tolist(),
                class_worth(labels.tolist(), truth.tolist()),
                weight[some].tolist(),
            )
            for some in drawn
        ]
        assert abs(mean[0, problem, 9] - np.mean(votes)) <= 5 * np.std(votes) / np.sqrt(4000)


def test_weighted_votes_of_large_pools_are_within_the_error_they_state() -> None:
    n, n_problems, ks = estimators.EXACT_POOL + 1, 30, np.array([1, 3, 9, 18, 21])
    classes, correct, weights = votes_of(np.random.default_rng(11), n_problems, n)
    mean, error = weighted_vote_at_k(classes, correct, weights, ks, 400, 3)
    again, _ = weighted_vote_at_k(classes, correct, weights, ks, 400, 4)
    assert np.all(error[..., [0, -1]] == 0)
    certain = error == 0
    np.testing.assert_allclose(mean[certain], again[certain], atol=0.02)
    deviation = (mean - again)[~certain] / error[~certain] / np.sqrt(2)
    assert np.abs(deviation).max() < 5
    # Normal deviates have a root mean square of 1: the stated error is the true one.
    assert 0.85 < np.sqrt(np.mean(deviation**2)) < 1.15


def test_vote_with_equal_weights_is_plurality_and_sums_tie_in_any_order() -> None:
    random = np.random.default_rng(2)
    classes = random.integers(-1, 6, (40, 64))
    correct = (classes == 0).astype(float)
    ks = [1, 4, 16, 64]
    mean, error = weighted_vote_at_k(classes, correct, np.full((1, 40, 64), 0.1), ks, 300, 1)
    exact = plurality_at_k(classes, correct, ks)
    np.testing.assert_allclose(mean[0, :, [0, 3]], exact[:, [0, 3]].T, atol=1e-12)
    assert np.all(np.abs(mean[0] - exact) <= 5 * error[0] + 1e-12)
    one, other = [0.1, 0.2, 0.3], [0.3, 0.2, 0.1]
    # One after the other: the sum of newer Pythons makes good what is lost.
    assert reduce(add, one) != reduce(add, other)
    tied, _ = weighted_vote_at_k(
        [[0] * 3 + [1] * 3], [[1] * 3 + [0] * 3], [[one + other]], [6], 2, 0
    )
    assert tied[0, 0, 0] == 0.5
    # Without any weight every class that was drawn leads, however often it was drawn.
    for labels in ([0, 0, 1], [1, 0, 0], [0, 1, 0]):
        silent, _ = weighted_vote_at_k([labels], [labels], np.zeros((1, 1, 3)), [3], 2, 0)
        assert silent[0, 0, 0] == 0.5


@given(
    parts=st.lists(st.integers(1, 24), min_size=2, max_size=8),
    split=st.lists(st.integers(1, 24), min_size=1, max_size=7),
    denominator=st.integers(1, 720),
)
@small
def test_sums_that_are_equal_in_exact_arithmetic_tie_whatever_their_scale(
    parts: list[int], split: list[int], denominator: int
) -> None:
    """Two answers get the same total in different summands, a third of them a little less."""
    total = sum(parts)
    cuts = sorted({cut % total for cut in split} - {0})
    other = [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]
    exact = [Fraction(part, denominator) for part in [*parts, *other, total]]
    assert sum(exact[: len(parts)]) == sum(exact[len(parts) : -1]) == exact[-1]
    labels = [0] * len(parts) + [1] * len(other) + [2]
    for factor in (1.0, 0.9, 1 / 3, 1e-9, 1e9):
        weights = [float(part) * factor for part in exact]
        every = len(weights)
        tied, _ = weighted_vote_at_k([labels], [[x == 1 for x in labels]], [[weights]], every, 2, 0)
        assert tied[0, 0, 0] == pytest.approx(1 / 3)
        # What is less by a millionth is less.
        weights[-1] *= 1 - 1e-6
        less, _ = weighted_vote_at_k([labels], [[x == 2 for x in labels]], [[weights]], every, 2, 0)
        assert less[0, 0, 0] == 0


def test_halves_tie_with_quarters_beside_any_largest_weight() -> None:
    labels, right = [0, 0, 1, 1, 2], [1.0, 1.0, 0, 0, 0]
    for largest in np.random.default_rng(0).uniform(0.76, 0.99, 200).tolist():
        weights = [0.5, 0.5, 0.75, 0.25, largest]
        tied, _ = weighted_vote_at_k([labels], [right], [[weights]], [5], 2, 0)
        assert tied[0, 0, 0] == 0.5, largest


# --- units of several answers ---------------------------------------------------------------------


def units_of(seed: int, width: int) -> tuple[list[list[int]], list[list[float]], list[list[float]]]:
    """Labels, correctness and scores of six units with one to ``width`` answers each."""
    random = np.random.default_rng(seed)
    labels = [random.integers(-1, 3, random.integers(1, width + 1)).tolist() for _ in range(6)]
    scores = [np.round(random.random(len(unit)), 1).tolist() for unit in labels]
    return labels, [[float(x == 0) for x in unit] for unit in labels], scores


def side_by_side(units: list[list[float]] | list[list[int]], width: int, gap: float) -> list[float]:
    return [x for unit in units for x in [*unit, *[gap] * (width - len(unit))]]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("width", [1, 3])
def test_votes_and_bests_of_units_are_means_over_sets_of_whole_units(seed: int, width: int) -> None:
    labels, correct, scores = units_of(seed, width)
    ks = [1, 2, 3, 6, 7]
    truth = [side_by_side(correct, width, NAN)]
    score = [side_by_side(scores, width, NAN)]
    classes = [side_by_side(labels, width, -1)]
    ones = np.ones((1, 1, 6 * width))
    voted = vote_of_k_units(classes, truth, np.vstack([ones, [score]]), width, ks, 64, 0)
    best = best_of_k_units(truth, score, width, ks)
    worth = {0: 1.0, 1: 0.0, 2: 0.0}
    for column, k in enumerate(ks):
        if k > 6:
            assert np.isnan([*voted[:, 0, column], best[0, column]]).all()
            continue

        def flat(units: list[list[float]] | list[list[int]], some: tuple[int, ...]) -> list[float]:
            return [x for unit in some for x in units[unit]]

        def weighted(some: tuple[int, ...]) -> float:
            names = [int(x) for x in flat(labels, some)]
            # In hundredths, so that no sum is rounded.
            return vote(names, worth, [round(100 * x) for x in flat(scores, some)])

        def counted(some: tuple[int, ...]) -> float:
            names = [int(x) for x in flat(labels, some)]
            return vote(names, worth, [1.0] * len(names))

        def highest(some: tuple[int, ...]) -> float:
            top = max(flat(scores, some))
            leading = [unit for unit in some if top in scores[unit]]
            of_units = [
                np.mean([c for c, s in zip(correct[u], scores[u], strict=True) if s == top])
                for u in leading
            ]
            return float(np.mean(of_units))

        assert voted[0, 0, column] == pytest.approx(over_subsets(6, k, counted))
        if width > 1 or k in (1, 6):
            assert voted[1, 0, column] == pytest.approx(over_subsets(6, k, weighted))
        assert best[0, column] == pytest.approx(over_subsets(6, k, highest))


def test_more_sets_of_units_than_are_asked_for_are_sampled() -> None:
    random = np.random.default_rng(3)
    labels = random.integers(0, 3, (40, 16 * 2))
    truth = (labels == 0).astype(float)
    every, some = (
        vote_of_k_units(labels, truth, np.ones((1, 40, 32)), 2, [4], n_subsets, 1)[0, :, 0]
        for n_subsets in (2000, 400)
    )
    assert not np.array_equal(every, some)
    assert some.mean() == pytest.approx(every.mean(), abs=0.02)


def test_subsets_are_common_to_strategies_and_the_error_of_a_mean_is_right() -> None:
    random = np.random.default_rng(4)
    classes = random.integers(0, 5, (50, 32))
    correct, weights = (classes == 0).astype(float), random.random((2, 50, 32))
    together, error = weighted_vote_at_k(classes, correct, weights, [4, 16], 50, 9)
    alone, _ = weighted_vote_at_k(classes, correct, weights[1:], [16], 50, 9)
    np.testing.assert_array_equal(together[1, :, 1], alone[0, :, 0])
    stated = np.sqrt((error[0] ** 2).sum(axis=0)) / 50
    means = [
        weighted_vote_at_k(classes, correct, weights[:1], [4, 16], 50, seed)[0][0].mean(axis=0)
        for seed in range(40)
    ]
    ratio = np.std(means, axis=0, ddof=1) / stated
    assert np.all((ratio > 0.7) & (ratio < 1.4))


def test_trajectory_scores_follow_their_definitions() -> None:
    steps = [[0.3, -1.2, 2.0], [], [4.0], [-0.5, NAN]]
    flat, n_steps = [m for margins in steps for m in margins], [len(margins) for margins in steps]

    def probability(margin: float) -> float:
        return float(1 / (1 + np.exp(-margin)))

    first = [probability(m) for m in steps[0]]
    expected = {"prm_min": min(first), "prm_last": first[-1], "prm_avg": sum(first) / 3}
    for scoring, value in expected.items():
        scores = trajectory_scores(flat, n_steps, scoring)  # type: ignore[arg-type]
        assert scores.vote_weight[0] == pytest.approx(value, rel=1e-14)
        assert scores.ranking[0] == pytest.approx(np.log(value / (1 - value)), rel=1e-12)
        assert scores.vote_weight[2] == pytest.approx(probability(4.0), rel=1e-14)
        assert np.isnan([scores.ranking[[1, 3]], scores.vote_weight[[1, 3]]]).all()
    assert np.isnan(trajectory_scores([], [0, 0], "prm_avg").ranking).all()
    with pytest.raises(ValueError, match="n_steps"):
        trajectory_scores([1.0], [2], "prm_min")


def test_means_of_the_same_steps_rank_the_same_in_any_order_and_number() -> None:
    """As of scores with few digits, that are often equal in exact arithmetic."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        steps = rng.integers(1, 256, 7) / 256
        given = [*(rng.permutation(steps) for _ in range(5)), np.repeat(steps, 2), steps + 2e-7]
        flat = np.concatenate(given)
        margins = np.log(flat) - np.log1p(-flat)
        ranking = trajectory_scores(margins, [len(one) for one in given], "prm_avg").ranking
        assert len({*ranking[:-1]}) == 1
        assert ranking[-1] > ranking[0]
    # What has no finite logit keeps its place.
    ends = trajectory_scores([np.inf, np.inf, -np.inf, 0.0, NAN], [1] * 5, "prm_avg").ranking
    assert ends[:4].tolist() == [np.inf, np.inf, -np.inf, 0.0]
    assert np.isnan(ends[4])


@pytest.mark.parametrize("scoring", ["prm_min", "prm_last", "prm_avg"])
def test_saturated_scores_stay_apart_in_the_ranking(scoring: str) -> None:
    margins = [40.0, 50.0, 45.0, 50.0, -60.0, -50.0, -55.0, -50.0]
    scores = trajectory_scores(margins, [2, 2, 2, 2], scoring)  # type: ignore[arg-type]
    assert scores.vote_weight[0] == scores.vote_weight[1] == 1
    assert np.all(np.isfinite(scores.ranking))
    top, next_to_top = scores.ranking[1], scores.ranking[0]
    assert top > next_to_top or (scoring == "prm_last" and top == next_to_top == 50)
    assert np.all(scores.ranking[2:] < next_to_top)
    assert scores.ranking[3] > scores.ranking[2] or scoring == "prm_last"


def test_a_chance_is_never_above_1() -> None:
    """Of samples that are all right, their chances add up to 1 and not to the next number."""
    rng = np.random.default_rng(0)
    for size in (3, 7, 15, 16, 40, 256):
        scores = rng.normal(size=(20, size))
        best = best_of_k(np.ones_like(scores), scores, np.arange(1, size + 1))
        assert best.max() <= 1.0
        assert best.min() == pytest.approx(1.0)
