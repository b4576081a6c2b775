"""Strategy selection: brute force, the null simulation of optimism, and hand-computed gains."""

import numpy as np
import pytest
from numpy.typing import ArrayLike

from compute_optimal.analyse.differences import Resampling
from compute_optimal.analyse.paper_rule import paper_rule
from compute_optimal.analyse.policy_gains import efficiency_gain_of, performance_gain_of
from compute_optimal.analyse.selection import FOLDS, REPEATS, REPLICATES
from compute_optimal.analyse.statistics.estimators import FloatArray
from compute_optimal.analyse.statistics.intervals import bootstrap_weights, mean_interval
from compute_optimal.analyse.statistics.selection import (
    Choice,
    choose,
    efficiency_gain,
    fit,
    select_fixed,
    select_oracle,
)

pytestmark = pytest.mark.filterwarnings("error")
NAN = float("nan")
RANDOM = np.random.default_rng(0)
OUTCOMES = RANDOM.random((4, 30))
LABELS = np.array(["easy", "medium", "hard"])[RANDOM.integers(0, 3, 30)]


def chosen(outcomes: ArrayLike, buckets: ArrayLike, **options: int) -> Choice:
    """What is chosen among the strategies of one PRM; with replicates too few for an interval."""
    weights = bootstrap_weights(len(np.asarray(buckets)), 1, 0)
    return choose([fit(outcomes, buckets, weights, **options)])


def test_in_sample_takes_the_best_mean_of_each_bucket() -> None:
    selection = chosen(OUTCOMES, LABELS).in_sample
    for bucket in np.unique(LABELS):
        rows = bucket == LABELS
        best = int(np.argmax(OUTCOMES[:, rows].mean(axis=1)))
        np.testing.assert_array_equal(selection.accuracy[rows], OUTCOMES[best, rows])
        assert np.all(selection.share[0, best, rows] == 1)


def test_oracle_takes_the_best_of_each_problem() -> None:
    np.testing.assert_array_equal(select_oracle(OUTCOMES, LABELS).accuracy, OUTCOMES.max(axis=0))


def test_leave_one_out_agrees_with_brute_force() -> None:
    """With more folds than problems every fold is one problem, whatever the seed."""
    outcomes = RANDOM.integers(0, 2, (3, 30)).astype(float)
    selection = chosen(outcomes, LABELS, folds=30, repeats=2, seed=4).cross_fitted
    for problem in range(30):
        train = (LABELS[problem] == LABELS) & (np.arange(30) != problem)
        means = outcomes[:, train].mean(axis=1)
        leaders = np.flatnonzero(np.isclose(means, means.max()))
        assert selection.accuracy[problem] == pytest.approx(outcomes[leaders, problem].mean())


def test_cross_fitting_is_deterministic_and_never_trains_on_the_held_out_problem() -> None:
    def share(outcomes: FloatArray, seed: int) -> FloatArray:
        return chosen(outcomes, LABELS, seed=seed).cross_fitted.share[0]

    first = share(OUTCOMES, 1)
    np.testing.assert_array_equal(first, share(OUTCOMES, 1))
    assert not np.array_equal(first, share(OUTCOMES, 2))
    np.testing.assert_allclose(first.sum(axis=0), 1)
    changed = OUTCOMES.copy()
    changed[:, 7] = [0, 100, 0, 0]
    np.testing.assert_allclose(share(changed, 1)[:, 7], first[:, 7])


def test_equally_good_strategies_share() -> None:
    outcomes = np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    in_sample = chosen(outcomes, ["easy"] * 4).in_sample
    for share in (in_sample.share[0], select_oracle(outcomes, ["easy"] * 4).share):
        np.testing.assert_array_equal(share.sum(axis=0), 1)
    np.testing.assert_array_equal(in_sample.accuracy, 0.5)


def test_missing_strategies_are_left_out_of_their_bucket() -> None:
    outcomes = np.array([[1.0, 1.0, NAN, 1.0], [0.5, 0.5, 0.5, 0.5], [NAN, NAN, NAN, NAN]])
    buckets = ["easy", "easy", "hard", "hard"]
    np.testing.assert_array_equal(select_oracle(outcomes, buckets).accuracy, [1, 1, 0.5, 0.5])
    fixed = select_fixed(outcomes, buckets, {"easy": 0, "hard": 0})
    np.testing.assert_array_equal(fixed.accuracy, [1, 1, NAN, NAN])
    choice = choose([fit(outcomes, buckets, bootstrap_weights(4, 20, 0))])
    np.testing.assert_array_equal(choice.in_sample.accuracy, [1, 1, 0.5, 0.5])
    np.testing.assert_allclose(choice.cross_fitted.accuracy, [1, 1, 0.5, 0.5])
    assert choice.optimism_gap.value == 0


def test_only_problem_of_a_bucket_borrows_from_the_other_buckets() -> None:
    outcomes = np.array([[0.0, 1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    buckets = ["hard", "easy", "easy", "easy"]
    choice = chosen(outcomes, buckets, repeats=3)
    assert choice.in_sample.accuracy[0] == 1
    assert choice.cross_fitted.accuracy[0] == 0


def test_nothing_to_choose_from_gives_nan() -> None:
    choice = choose([fit([[1.0], [0.0]], ["easy"], bootstrap_weights(1, 20, 0))])
    assert choice.in_sample.accuracy == 1
    assert np.isnan([*choice.cross_fitted.accuracy, choice.optimism_gap.value]).all()
    absent = choose([fit(np.full((2, 5), NAN), ["easy"] * 5, bootstrap_weights(5, 20, 0))])
    accuracies = [*absent.in_sample.accuracy, *absent.cross_fitted.accuracy]
    assert np.isnan([*accuracies, absent.optimism_gap.value]).all()
    empty = choose([fit(np.zeros((2, 0)), [], bootstrap_weights(0, 20, 0))])
    assert len(empty.in_sample.accuracy) == 0
    with pytest.raises(ValueError, match="problems"):
        chosen([[1.0, 0.0]], ["easy"])
    with pytest.raises(ValueError, match="folds"):
        chosen([[1.0, 0.0]], ["easy"] * 2, folds=1)


@pytest.mark.parametrize(
    ("n_strategies", "n_problems", "expected_gap"),
    [(3, 500, 0.034), (18, 500, 0.071), (3, 30, 0.13)],
)
def test_selecting_among_equals_is_optimistic_in_sample_and_honest_cross_fitted(
    n_strategies: int, n_problems: int, expected_gap: float
) -> None:
    random = np.random.default_rng(n_strategies * n_problems)
    in_sample, cross_fitted = [], []
    for seed in range(80):
        outcomes = (random.random((n_strategies, n_problems)) < 0.5).astype(float)
        buckets = random.integers(0, 3, n_problems)
        choice = chosen(outcomes, buckets, repeats=3, seed=seed)
        in_sample.append(choice.in_sample.accuracy.mean() - 0.5)
        cross_fitted.append(choice.cross_fitted.accuracy.mean() - 0.5)
    error = np.std(cross_fitted) / np.sqrt(80)
    assert np.mean(in_sample) == pytest.approx(expected_gap, rel=0.2)
    assert abs(np.mean(cross_fitted)) < 3 * error


def test_the_gap_is_what_choosing_on_the_same_problems_adds() -> None:
    choice = choose([fit(OUTCOMES, LABELS, bootstrap_weights(30, 50, 0), repeats=4, seed=5)])
    assert choice.optimism_gap.value == pytest.approx(
        choice.in_sample.accuracy.mean() - choice.cross_fitted.accuracy.mean()
    )


def test_choosing_the_prm_too_agrees_with_brute_force() -> None:
    """With many folds every fold is one problem of each bucket; PRMs have three methods each."""
    random = np.random.default_rng(8)
    prms = random.integers(0, 2, (4, 3, 24)).astype(float)
    buckets = np.repeat(["easy", "hard"], 12)
    weights = bootstrap_weights(24, 2, 0)
    fits = [fit(prm, buckets, weights, folds=24, repeats=1) for prm in prms]
    choice, (fold,) = choose(fits), fits[0].fold

    def chosen(train: np.ndarray, problem: int) -> float:
        """What the PRM and method that are best on ``train`` give a problem, ties shared."""
        totals = [
            sum(prm[:, train & (buckets == b)].sum(axis=1).max() for b in np.unique(buckets))
            for prm in prms
        ]
        values = []
        for prm in prms[np.isclose(totals, max(totals))]:
            sums = prm[:, train & (buckets == buckets[problem])].sum(axis=1)
            values.append(prm[np.isclose(sums, sums.max()), problem].mean())
        return float(np.mean(values))

    everything = np.ones(24, dtype=bool)
    for problem in range(24):
        assert choice.in_sample.accuracy[problem] == pytest.approx(chosen(everything, problem))
        others = fold != fold[problem]
        assert choice.cross_fitted.accuracy[problem] == pytest.approx(chosen(others, problem))


def test_a_prm_that_lacks_a_bucket_is_no_candidate() -> None:
    whole, part = np.full((1, 8), 0.2), np.array([[1.0] * 4 + [NAN] * 4])
    buckets, weights = ["easy"] * 4 + ["hard"] * 4, bootstrap_weights(8, 20, 0)
    fits = [fit(outcome, buckets, weights) for outcome in (part, whole)]
    np.testing.assert_allclose(choose(fits).in_sample.accuracy, 0.2)
    np.testing.assert_allclose(choose(fits).cross_fitted.accuracy, 0.2)
    # Alone it is taken as far as it goes.
    np.testing.assert_array_equal(choose(fits[:1]).in_sample.accuracy, [1] * 4 + [NAN] * 4)


def test_another_budget_may_decide_on_the_prm() -> None:
    buckets, weights = ["easy"] * 6, bootstrap_weights(6, 20, 0)
    low, high = (fit(np.full((1, 6), x), buckets, weights) for x in (0.1, 0.9))
    np.testing.assert_allclose(choose([low, high]).in_sample.accuracy, 0.9)
    choice = choose([low, high], deciding=[high, low])
    np.testing.assert_allclose(choice.in_sample.accuracy, 0.1)
    np.testing.assert_allclose(choice.cross_fitted.accuracy, 0.1)


def test_choosing_among_equal_prms_is_optimistic_in_sample_and_honest_cross_fitted() -> None:
    random = np.random.default_rng(9)
    in_sample, cross_fitted = [], []
    for seed in range(60):
        buckets = random.integers(0, 3, 120)
        outcomes = (random.random((6, 3, 120)) < 0.5).astype(float)
        weights = np.zeros((0, 120))
        choice = choose([fit(x, buckets, weights, repeats=3, seed=seed) for x in outcomes])
        in_sample.append(choice.in_sample.accuracy.mean() - 0.5)
        cross_fitted.append(choice.cross_fitted.accuracy.mean() - 0.5)
    assert np.mean(in_sample) > 0.08
    assert abs(np.mean(cross_fitted)) < 3 * np.std(cross_fitted) / np.sqrt(60)


METHODS_DIFFER = np.array(
    [[0.0, 0.0, 0.0], [-0.02, 0.02, 0.05], [-0.1, 0.05, 0.02], [0.0, -0.05, 0.1]]
)
"""How far each of four methods is from the first in three buckets."""


def covered(
    n_repetitions: int, n_problems: int = 150, n_prms: int = 2, differ: float = 1.0
) -> dict[str, float]:
    """How often intervals of what is chosen hold its mean over all repetitions: in-sample, held
    out, and the gap. PRMs are equally good, and their methods differ ``differ`` times as far as
    above: much of what varies is the choice."""
    random = np.random.default_rng(1)
    truth = np.array([0.8, 0.5, 0.2]) + differ * METHODS_DIFFER
    drawn: dict[str, list[tuple[float, float, float]]] = {"gap": [], "in": [], "out": []}
    for seed in range(n_repetitions):
        buckets = random.integers(0, 3, n_problems)
        outcomes = (random.random((n_prms, 4, n_problems)) < truth[:, buckets]).astype(float)
        weights = bootstrap_weights(n_problems, 400, seed)
        nested = weights[:REPLICATES]
        fits = [
            fit(outcome, buckets, nested, folds=FOLDS, repeats=REPEATS, seed=seed)
            for outcome in outcomes
        ]
        choice = choose(fits)
        drawn["gap"].append(choice.optimism_gap)
        for name, selection in (("in", choice.in_sample), ("out", choice.cross_fitted)):
            ratio = choice.widening if name == "out" else 1
            interval = mean_interval(selection.accuracy[:, None], weights, widening=ratio)
            mean, low, high = (float(part[0]) for part in interval[:3])
            drawn[name].append((mean, low, high))
    shares = {}
    for name, estimates in drawn.items():
        value, lows, highs = np.array(estimates).T
        shares[name] = float(np.mean((lows <= value.mean()) & (value.mean() <= highs)))
    return shares


def test_intervals_of_a_choice_cover() -> None:
    # 150 repetitions tell a coverage to 1.8 points; benchmarks/coverage.py has more.
    shares = covered(150)
    assert 0.93 - 0.036 <= shares["out"] <= 0.97 + 0.03, shares
    assert shares["in"] > 0.9, shares
    assert shares["gap"] > 0.9, shares


def test_without_a_choice_nothing_is_widened() -> None:
    """One strategy, or one that is best by far: replicates that choose again choose the same."""
    weights = bootstrap_weights(30, 50, 0)
    for outcomes in (OUTCOMES[:1], np.vstack([OUTCOMES[0], OUTCOMES[0] - 0.9])):
        assert choose([fit(outcomes, LABELS, weights)]).widening == pytest.approx(1)


def test_replicates_select_again_as_if_problems_were_repeated() -> None:
    """A replicate's in-sample sum is that of a study with these problems repeated."""
    weights = bootstrap_weights(30, 2, seed=6)
    selection = fit(OUTCOMES, LABELS, weights)
    for weight, best in zip(weights, selection.best[1:], strict=True):
        rows = np.repeat(np.arange(30), weight.astype(int))
        again = chosen(OUTCOMES[:, rows], LABELS[rows]).in_sample.accuracy
        assert best == pytest.approx(again.sum())


@pytest.mark.parametrize(
    ("task", "billions", "buckets"),
    [
        ("MATH-500", 3.2, ["beam_search", "beam_search", "beam_search"]),
        ("MATH-500", 7.6, ["dvts", "dvts", "beam_search"]),
        ("MATH-500", 32.8, ["dvts", "dvts", "beam_search"]),
        ("MATH-500", 72.7, ["best_of_n"] * 3),
        ("AIME24", 8.0, ["dvts"] * 3),
        ("AIME24", 14.7, ["best_of_n"] * 3),
    ],
)
def test_paper_rule(task: str, billions: float, buckets: list[str]) -> None:
    rule = [paper_rule(task, billions * 1e9, bucket) for bucket in ("easy", "medium", "hard")]
    assert rule == buckets
    assert paper_rule(task, billions * 1e9, "hard", is_reasoning=True) == "best_of_n"


def test_paper_rule_is_silent_on_other_tasks() -> None:
    with pytest.raises(ValueError, match="AMC23"):
        paper_rule("AMC23", 1e9, "easy")


BUDGETS = [4, 16, 64, 256]


def test_efficiency_gain_interpolates_linearly_between_budgets() -> None:
    # 0.7 lies two thirds of the way from 0.6 (N = 4) to 0.75 (N = 16): N = 12, and 256 / 12.
    gain = efficiency_gain(BUDGETS, [0.5, 0.6, 0.65, 0.7], BUDGETS, [0.6, 0.75, 0.8, 0.85])
    assert gain.gain == pytest.approx(256 / 12)
    assert gain.kind == "exact"


def test_efficiency_gain_below_one_needs_a_peak_inside_the_grid() -> None:
    # Majority peaks at 64; the other curve is there at 80 = 64 + 192 / 12: 64 / 80.
    gain = efficiency_gain(BUDGETS, [0.8, 0.85, 0.87, 0.86], BUDGETS, [0.8, 0.84, 0.869, 0.881])
    assert (gain.gain, gain.kind) == (pytest.approx(0.8), "exact")


def test_efficiency_gain_flags_what_it_cannot_see() -> None:
    above = efficiency_gain(BUDGETS, [0.3, 0.4, 0.45, 0.5], BUDGETS, [0.6, 0.7, 0.7, 0.7])
    assert (above.gain, above.kind) == (64, "lower_bound")
    with_one = efficiency_gain(BUDGETS, [0.3, 0.4, 0.45, 0.5], [1, *BUDGETS], [0.6, 0.6, 1, 1, 1])
    assert (with_one.gain, with_one.kind) == (256, "lower_bound")
    never = efficiency_gain(BUDGETS, [0.3, 0.4, 0.45, 0.5], BUDGETS, [0.1, 0.2, 0.3, 0.4])
    assert (never.gain, never.kind) == (1, "upper_bound")
    # There at the smallest budget: a smaller one might have done as well, unless it is one sample.
    touching = efficiency_gain([4, 16], [0.4, 0.5], [4, 16], [0.5, 0.6])
    assert (touching.gain, touching.kind) == (4, "lower_bound")
    single = efficiency_gain([1, 4], [0.5, 0.4], [1, 4], [0.5, 0.7])
    assert (single.gain, single.kind) == (1, "exact")
    rounded = efficiency_gain([4, 16], [0.1 + 0.2, 0.3], [4, 16], [0.3, 0.6])
    assert (rounded.gain, rounded.kind) == (1, "lower_bound")


def test_efficiency_gain_takes_the_first_peak_and_skips_gaps() -> None:
    gain = efficiency_gain([256, 16, 64, 4], [0.7, 0.7, 0.7, 0.5], BUDGETS, [0.6, NAN, 0.9, NAN])
    assert gain.gain == pytest.approx(16 / 24)
    with pytest.raises(ValueError, match="no points"):
        efficiency_gain([4], [NAN], [4], [0.5])
    with pytest.raises(ValueError, match="no points"):
        efficiency_gain([4], [0.5], [4], [NAN])


def test_performance_gain_is_relative_to_cot() -> None:
    # Table 5, Llama-3.2-1B: 26.0 to 66.2 is +154.6%.
    cot, optimal = ({"problem_ids": ["a"], "accuracies": [value]} for value in (0.26, 0.662))
    gain = performance_gain_of(cot, optimal, Resampling(20, 0.95, 0))
    assert gain is not None
    assert gain.value == pytest.approx(154.6, abs=0.05)
    assert (
        performance_gain_of({**cot, "accuracies": [0.0]}, optimal, Resampling(20, 0.95, 0)) is None
    )


def test_a_gain_that_no_resampled_problem_changes_is_not_known_exactly() -> None:
    """Nor that of two that are equally often wrong on all problems: unseen ones may differ."""
    same = {"problem_ids": [f"p{i}" for i in range(30)], "accuracies": [0.25] * 30}
    gain = performance_gain_of(same, same, Resampling(200, 0.95, 0))
    assert gain is not None
    unseen = 4 * 100 * (1 - 0.025 ** (1 / 30))
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.0, -unseen, unseen))


def gains_covered(repetitions: int, n_problems: int, seed: int = 0) -> dict[str, float]:
    """Share of the intervals of Table 5's gains that hold the truth. Log odds of problems spread by
    1.5; greedy answers and chosen ones are right or wrong, points of curves means of 8."""
    random = np.random.default_rng(seed)
    budgets = (1, 4, 16, 64)

    def curves(n: int) -> tuple[FloatArray, FloatArray]:
        """Chances of a right answer [problems, budgets]: by majority voting, and as chosen."""
        odds = random.normal(0, 1.5, n)[:, None]
        voted = odds * np.array([1, 1.6, 2.2, 2.6]) + np.array([0, 0, 0.1, 0.1])
        chosen_from = odds + np.array([0, 1, 1.9, 2.6])
        return 1 / (1 + np.exp(-voted)), 1 / (1 + np.exp(-chosen_from))

    def rows(values: FloatArray) -> dict[int, dict[str, list[object]]]:
        names = [f"p{i:03d}" for i in range(n_problems)]
        columns = zip(budgets, values.T.tolist(), strict=True)
        return {n: {"problem_ids": names, "accuracies": of} for n, of in columns}

    voted, optimal = (of.mean(axis=0) for of in curves(1_000_000))
    truth = {
        "performance": 100 * (optimal[-1] / voted[0] - 1),
        "efficiency": efficiency_gain(budgets, voted, budgets, optimal).gain,
    }
    held = dict.fromkeys(truth, 0)
    for i in range(repetitions):
        chances = curves(n_problems)
        one = [rows(random.binomial(1, of).astype(float)) for of in chances]
        many = [rows(random.binomial(8, of) / 8) for of in chances]
        found = {
            "performance": performance_gain_of(one[0][1], one[1][64], Resampling(800, 0.95, i)),
            "efficiency": efficiency_gain_of(*many, Resampling(200, 0.95, i)),
        }
        for name, gain in found.items():
            # A gain over nothing right is undefined, and any.
            held[name] += gain is None or gain.low <= truth[name] <= gain.high
    return {name: n / repetitions for name, n in held.items()}


@pytest.mark.parametrize("n_problems", [10, 30])
def test_intervals_of_a_policys_gains_hold_the_truth(n_problems: int) -> None:
    """In 93% at least, as far as 200 repetitions tell (three standard errors)."""
    held = gains_covered(200, n_problems)
    assert min(held.values()) > 0.93 - 3 * (0.93 * 0.07 / 200) ** 0.5, held
