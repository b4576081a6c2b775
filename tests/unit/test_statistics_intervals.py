"""Intervals and difficulty: coverage by simulation with known truth, and identities."""

from math import comb

import numpy as np
import pytest

from compute_optimal.analyse.statistics.difficulty import bucket_of, bucket_probabilities
from compute_optimal.analyse.statistics.estimators import (
    FloatArray,
    IntArray,
    best_of_k,
    pass_at_k,
    plurality_at_k,
)
from compute_optimal.analyse.statistics.intervals import (
    bootstrap_means,
    bootstrap_weights,
    difference_interval,
    mean_interval,
    percentile_interval,
    pool_standard_error,
    problem_weights,
    unseen_limits,
    wilson_interval,
)
from compute_optimal.study.buckets import BUCKETS

pytestmark = pytest.mark.filterwarnings("error")
NAN = float("nan")
Z = 1.959963984540054


def test_bootstrap_weights_are_resampled_problems() -> None:
    weights = bootstrap_weights(40, 500, seed=1)
    assert weights.shape == (500, 40)
    np.testing.assert_array_equal(weights.sum(axis=1), 40)
    np.testing.assert_array_equal(weights, bootstrap_weights(40, 500, seed=1))
    assert not np.array_equal(weights, bootstrap_weights(40, 500, seed=2))
    assert weights.var() == pytest.approx(1 - 1 / 40, rel=0.05)


def test_bootstrap_means_equal_means_of_the_resampled_rows() -> None:
    random = np.random.default_rng(0)
    values = random.random((12, 3))
    values[4, 1] = NAN
    weights = bootstrap_weights(12, 20, seed=3)
    for replicate, weight in zip(bootstrap_means(values, weights), weights, strict=True):
        rows = np.repeat(values, weight.astype(int), axis=0)
        np.testing.assert_allclose(replicate, np.nanmean(rows, axis=0))


@pytest.fixture(scope="module")
def population() -> FloatArray:
    """Majority voting at k on 10,000 problems with a pool of 12 each: the columns go from a
    statistic of the whole pool (k = 1) to a single draw (k = n)."""
    random = np.random.default_rng(0)
    chances = random.dirichlet([0.7, 0.5, 0.3], size=10_000)
    uniform = random.random((10_000, 12, 1))
    classes = (uniform > np.cumsum(chances, axis=1)[:, None, :-1]).sum(axis=-1)
    return plurality_at_k(classes, classes == 0, [1, 6, 12])


@pytest.mark.parametrize("n_problems", [12, 30, 150])
def test_coverage_holds_also_where_the_pool_is_exhausted(
    population: FloatArray, n_problems: int
) -> None:
    random = np.random.default_rng(n_problems)
    truth, repetitions = population.mean(axis=0), 600
    weights, covered = bootstrap_weights(n_problems, 400, 0), np.zeros(3)
    for _ in range(repetitions):
        values = population[random.integers(0, len(population), n_problems)]
        interval = mean_interval(values, weights)
        covered += (interval.low <= truth) & (truth <= interval.high)
    assert np.all(np.abs(covered / repetitions - 0.95) < 0.035), covered / repetitions


def test_a_second_level_of_resampling_is_wrong_also_where_the_pool_is_exhausted() -> None:
    """Pools resampled on top of problems, against ``mean_interval``, at k = 1 and at k = n.

    At k = 1 the noise of the pools is counted twice and the interval too wide. At k = n a resampled
    pool holds two thirds of the samples, some of them repeatedly: its best is the best of fewer, so
    with a useful score the interval lies too low and misses the truth.
    """
    random = np.random.default_rng(5)
    n_problems, n, replicates, repetitions = 400, 8, 100, 150

    def draw(size: int) -> tuple[FloatArray, FloatArray]:
        correct = (random.random((size, n)) < random.beta(0.7, 0.7, (size, 1))).astype(np.float64)
        return correct, 1.5 * correct + random.normal(size=(size, n))

    def mean_and_best(correct: FloatArray, score: FloatArray) -> FloatArray:
        best = np.take_along_axis(correct, score.argmax(axis=-1)[..., None], axis=-1)[..., 0]
        return np.stack([correct.mean(axis=-1), best], axis=-1)

    sample = draw(50)
    np.testing.assert_allclose(mean_and_best(*sample), best_of_k(*sample, [1, n]))
    truth = mean_and_best(*draw(200_000)).mean(axis=0)
    weights = bootstrap_weights(n_problems, replicates, 0)
    covered, width = np.zeros((2, 2)), np.zeros((2, 2))
    for _ in range(repetitions):
        correct, score = draw(n_problems)
        one = mean_interval(mean_and_best(correct, score), weights)
        chosen = random.integers(0, n_problems, (replicates, n_problems))[..., None]
        again = chosen, random.integers(0, n, (replicates, n_problems, n))
        resampled = mean_and_best(correct[again], score[again]).mean(axis=1)
        two = percentile_interval(resampled, n_problems)
        for level, (low, high) in enumerate(((one.low, one.high), two)):
            covered[level] += (low <= truth) & (truth <= high)
            width[level] += high - low
    assert np.all(covered[0] / repetitions > 0.89), covered / repetitions
    assert covered[1, 1] / repetitions < 0.7, covered / repetitions
    assert np.all(width[1] / width[0] > 1.03)


def test_paired_differences_cover_and_are_narrower_than_unpaired() -> None:
    random = np.random.default_rng(8)
    covered, paired, unpaired = 0, 0.0, 0.0
    for seed in range(300):
        level = random.random(60)
        baseline = np.clip(level + random.normal(0, 0.05, 60), 0, 1)[:, None]
        values = baseline + 0.02 + random.normal(0, 0.05, (60, 1))
        weights = bootstrap_weights(60, 300, seed)
        interval = difference_interval(values, baseline, weights)
        covered += bool(interval.low[0] <= 0.02 <= interval.high[0])
        paired += float(interval.high[0] - interval.low[0])
        ends = mean_interval(values, weights)
        unpaired += float(ends.high[0] - ends.low[0])
    assert 0.91 < covered / 300 < 0.985
    assert paired < 0.3 * unpaired


def test_missing_problems_are_left_out_of_their_column_only() -> None:
    values = np.random.default_rng(1).random((20, 3))
    values[3:, 1] = NAN
    values[:, 2] = NAN
    weights = bootstrap_weights(20, 400, seed=0)
    interval = mean_interval(values, weights)
    np.testing.assert_array_equal(interval.n_problems, [20, 3, 0])
    assert interval.estimate[1] == pytest.approx(values[:3, 1].mean())
    assert interval.low[1] < interval.estimate[1] < interval.high[1]
    assert np.isnan([interval.estimate[2], interval.low[2], interval.high[2]]).all()
    alone = mean_interval(values[:, :1], weights)
    assert [alone.low[0], alone.high[0]] == pytest.approx([interval.low[0], interval.high[0]])
    gap = difference_interval(values[:, [0]], values[:, [1]], weights)
    assert gap.n_problems[0] == 3
    assert gap.estimate[0] == pytest.approx((values[:3, 0] - values[:3, 1]).mean())


def test_named_problems_are_resampled_alike_in_any_order() -> None:
    names = [f"p{number}" for number in (3, 0, 2, 1)]
    listed, sorted_ = problem_weights(names, 50, 7), problem_weights(sorted(names), 50, 7)
    np.testing.assert_array_equal(sorted_, bootstrap_weights(4, 50, 7))
    for column, name in enumerate(names):
        np.testing.assert_array_equal(listed[:, column], sorted_[:, int(name[1])])


def test_a_curve_has_no_step_where_its_points_become_equal() -> None:
    """Pass@k of few problems: the last sample makes the last problem certain."""
    chances = np.array([3, 1, *[64] * 25])
    ks = np.arange(1, 65)
    values = pass_at_k(chances, 64, ks)
    assert values[:, -2].min() < 1
    interval = mean_interval(values, bootstrap_weights(27, 1000, 0))
    np.testing.assert_allclose(interval.low[-1], wilson_interval(27, 27)[0])
    # The curve itself rises by at most 1/64 of a problem from one k to the next.
    for ends in (interval.low, interval.high):
        assert np.abs(np.diff(ends)[4:]).max() < 0.012


def test_intervals_are_continuous_in_the_values() -> None:
    """Along a line from any values to equal ones, no end moves faster than the values do."""
    random = np.random.default_rng(1)
    weights = bootstrap_weights(30, 400, 0)
    for goal in (0.0, 0.5, 1.0):
        start = random.random(30)
        steps = np.linspace(0, 1, 401)
        interval = mean_interval(start[:, None] * (1 - steps) + goal * steps, weights)
        for ends in (interval.low, interval.high):
            assert np.abs(np.diff(ends)).max() < 0.005


@pytest.mark.parametrize("n_problems", [10, 30, 200])
def test_coverage_near_certainty(n_problems: int) -> None:
    """Rare failures among certain problems, where a bootstrap of the sample sees none or one."""
    random, weights = np.random.default_rng(n_problems), bootstrap_weights(n_problems, 200, 0)
    for rate in (0.001, 0.01, 0.03, 0.1):
        for worth in (0.0, 0.5):
            fails = random.random((n_problems, 1000)) < rate
            interval = mean_interval(np.where(fails, worth, 1.0), weights)
            truth = 1 - rate * (1 - worth)
            covered = np.mean((interval.low <= truth) & (truth <= interval.high))
            assert covered > 0.9, (rate, worth, covered)


def test_columns_without_spread_are_limited_by_the_unseen_and_their_differences_have_no_width() -> (
    None
):
    weights = bootstrap_weights(30, 200, seed=0)
    values = np.tile([0.0, 1.0, 0.5], (30, 1))
    interval = mean_interval(values, weights)
    low, high = zip(*(wilson_interval(n_right, 30) for n_right in (0, 30)), strict=True)
    np.testing.assert_allclose(interval.low[:2], low)
    np.testing.assert_allclose(interval.high[:2], high)
    half = high[0] / 2
    np.testing.assert_allclose([interval.low[2], interval.high[2]], [0.5 - half, 0.5 + half])
    gap = difference_interval(values, values, weights)
    np.testing.assert_array_equal([gap.estimate, gap.low, gap.high], 0)
    single = mean_interval([[1.0]], bootstrap_weights(1, 50, seed=0))
    assert single.low[0] < 0.3
    assert single.high[0] == 1
    empty = mean_interval(np.zeros((0, 2)), bootstrap_weights(0, 50, seed=0))
    assert np.isnan(empty.estimate).all()
    assert np.isnan(empty.low).all()
    assert empty.n_problems.tolist() == [0, 0]


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (7, 30), (15, 30), (30, 30)])
def test_wilson_limits_solve_the_score_equation(successes: int, trials: int) -> None:
    low, high = wilson_interval(successes, trials)
    for limit in (low, high):
        distance = (successes / trials - limit) ** 2
        variance = limit * (1 - limit) / trials
        assert distance == pytest.approx(Z**2 * variance, abs=1e-12) or limit in (0.0, 1.0)
    assert 0 <= low <= successes / trials <= high <= 1


def test_wilson_covers_small_tasks() -> None:
    low, high = np.array([wilson_interval(n_right, 30) for n_right in range(31)]).T
    for truth in (0.05, 0.1, 0.3, 0.5, 0.8):
        mass = [comb(30, x) * truth**x * (1 - truth) ** (30 - x) for x in range(31)]
        assert 0.92 < np.dot(mass, (low <= truth) & (truth <= high)) < 0.985
    with pytest.raises(ValueError, match="n"):
        wilson_interval(0, 0)


def test_pool_standard_error_is_the_spread_of_reruns_on_the_same_problems() -> None:
    random = np.random.default_rng(3)
    n, n_problems, ks = 32, 200, [1, 8, 16, 24, 32]
    chances = random.beta(0.7, 0.7, n_problems)

    def draw() -> tuple[FloatArray, FloatArray]:
        correct = (random.random((n_problems, n)) < chances[:, None]).astype(np.float64)
        return correct, correct + random.normal(size=(n_problems, n))

    def error(seed: int) -> FloatArray:
        correct, scores = draw()

        def estimate(columns: IntArray, budgets: IntArray) -> FloatArray:
            kept, score = (np.take_along_axis(pool, columns, axis=1) for pool in (correct, scores))
            return best_of_k(kept, score, budgets)

        return pool_standard_error(estimate, ~np.isnan(correct), ks, splits=4, seed=seed)

    reruns = np.std([best_of_k(*draw(), ks).mean(axis=0) for _ in range(200)], axis=0)
    squares = np.mean([error(seed) ** 2 for seed in range(10)], axis=0)
    ratio = np.sqrt(squares) / reruns
    assert np.all((ratio > 0.85) & (ratio < 1.4)), ratio
    total = best_of_k(*draw(), ks).std(axis=0) / np.sqrt(n_problems)
    assert np.all(reruns < total)
    nothing = pool_standard_error(
        lambda columns, _: columns.astype(np.float64), np.ones((3, 1)), [1], 2, 0
    )
    assert np.isnan(nothing).all()


@pytest.mark.parametrize("n_short", [1, 40])
def test_pool_standard_error_of_pools_some_of_which_are_smaller(n_short: int) -> None:
    """One problem with a sample less than others left nothing known of any."""
    random = np.random.default_rng(n_short)
    n, n_problems, ks = 19, 300, [1, 2, 4, 8, 16]
    chances = random.beta(0.7, 0.7, n_problems)
    sizes = np.where(np.arange(n_problems) < n_short, random.integers(2, n, n_problems), n)

    def draw() -> FloatArray:
        correct = (random.random((n_problems, n)) < chances[:, None]).astype(np.float64)
        # Gaps are anywhere in a pool.
        ranks = np.argsort(np.argsort(random.random(correct.shape), axis=1), axis=1)
        return np.where(ranks < sizes[:, None], correct, NAN)

    def error(seed: int) -> FloatArray:
        correct = draw()
        scores = random.normal(size=correct.shape) + np.nan_to_num(correct)

        def estimate(columns: IntArray, budgets: IntArray) -> FloatArray:
            kept, score = (np.take_along_axis(pool, columns, axis=1) for pool in (correct, scores))
            return best_of_k(kept, score, budgets)

        return pool_standard_error(estimate, ~np.isnan(correct), ks, splits=4, seed=seed)

    def rerun() -> FloatArray:
        correct = draw()
        scores = random.normal(size=correct.shape) + np.nan_to_num(correct)
        return np.nanmean(best_of_k(correct, scores, ks), axis=0)

    reruns = np.std([rerun() for _ in range(200)], axis=0)
    ratio = np.sqrt(np.mean([error(seed) ** 2 for seed in range(10)], axis=0)) / reruns
    assert np.all((ratio > 0.8) & (ratio < 1.45)), ratio


def test_buckets_have_closed_lower_ends() -> None:
    values = [0.0, 0.0999, 0.1, 6 / 60, 0.4999, 0.5, 1.0, NAN]
    expected = ["hard", "hard", "medium", "medium", "medium", "easy", "easy", "unknown"]
    assert bucket_of(values).tolist() == expected
    assert bucket_of(0.3, easy=0.3, medium=0.2) == "easy"
    assert bucket_of([]).shape == (0,)
    for easy, medium in ((0.1, 0.5), (0.5, 0.5), (0.5, 0.0), (1.1, 0.5)):
        with pytest.raises(ValueError, match="thresholds"):
            bucket_of([0.5], easy, medium)


def test_a_bucket_is_as_often_wrong_as_is_said() -> None:
    random = np.random.default_rng(0)
    for n in (4, 64):
        true = random.random(40_000)
        n_correct = random.binomial(n, true)
        chances = bucket_probabilities(n_correct, np.full(len(true), n))
        np.testing.assert_allclose(chances.sum(axis=1), 1)
        truly, seen = bucket_of(true), bucket_of(n_correct / n)
        for i, bucket in enumerate(BUCKETS):
            np.testing.assert_allclose(chances[:, i].mean(), np.mean(truly == bucket), atol=0.01)
            # Of those that are seen in one bucket, too.
            in_bucket = seen == bucket
            assert chances[in_bucket, i].mean() == pytest.approx(
                np.mean(truly[in_bucket] == bucket), abs=0.02
            )
    assert bucket_probabilities([], []).shape == (0, 3)
    np.testing.assert_allclose(bucket_probabilities([3], [5], easy=1.0, medium=0.5)[0, 0], 0)


def test_problems_count_by_their_parts() -> None:
    """Whole parts are those problems alone, and half a part of each is as much as all of each."""
    values, weights = np.random.default_rng(2).random((40, 2)), bootstrap_weights(40, 200, 0)
    whole = mean_interval(values[:25], weights[:, :25])
    parts = mean_interval(values, weights, parts=(np.arange(40) < 25).astype(float))
    halves = mean_interval(values, weights, parts=np.full(40, 0.5))
    for one, other in ((whole, parts), (mean_interval(values, weights), halves)):
        for end, same in zip(one, other, strict=True):
            np.testing.assert_allclose(end, same)
    first = mean_interval([[1.0], [0.0]], weights[:, :2], parts=np.array([1.0, 0.25]))
    assert first.estimate[0] == pytest.approx(0.8)


def test_problems_that_hardly_count_add_little_certainty() -> None:
    """One problem and ten that count by a fifteenth each know as much as 2.7, and not as 11."""
    weights = bootstrap_weights(11, 200, 0)
    parts = np.array([1.0, *[1 / 15] * 10])
    n = (1 + 10 / 15) ** 2 / (1 + 10 / 15**2)
    low, _ = unseen_limits(1.0, n)
    interval = mean_interval(np.ones((11, 1)), weights, parts=parts)
    assert interval.low[0] == pytest.approx(low)
    # Of none that counts nothing is known.
    nothing = mean_interval([[np.nan]], weights[:, :1], parts=np.array([1.0]))
    assert np.isnan([nothing.estimate[0], nothing.low[0], nothing.high[0]]).all()


def test_only_what_is_resampled_is_widened() -> None:
    random = np.random.default_rng(4)
    weights = bootstrap_weights(40, 400, 0)
    spread = random.random(40)
    values = np.stack([spread, spread, np.ones(40)], axis=1)
    plain = mean_interval(values, weights)
    wider = mean_interval(values, weights, widening=[1.0, 2.0, 2.0])
    for end, other in ((plain.low, wider.low), (plain.high, wider.high)):
        away = other - plain.estimate
        # Of problems that are all right, the choice leaves no more unseen ones.
        np.testing.assert_allclose(away, (end - plain.estimate) * [1, 2, 1], atol=0.02)
    assert plain.low[0] == wider.low[0]
    extreme = mean_interval(values, weights, widening=100)
    assert (extreme.low >= 0).all()
    assert (extreme.high <= 1).all()


def test_a_mean_of_parts_is_never_above_1() -> None:
    """Parts of problems that are all solved are solved."""
    rng = np.random.default_rng(0)
    parts = rng.integers(1, 4, size=(40, 12)) / 3
    values = np.ones((12, 3))
    for part in parts:
        interval = mean_interval(values, bootstrap_weights(12, 50, 0), parts=part)
        assert interval.estimate.max() <= 1.0
        assert interval.high.max() <= 1.0
