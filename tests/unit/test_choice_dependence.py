"""On what the best method depends: planted truths are found, and pools choose as one."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest

from compute_optimal.analyse.accuracy import OUTCOMES
from compute_optimal.analyse.choice_dependence import LEFT_OUT, examine_dependence
from compute_optimal.analyse.differences import Resampling, differences, limits
from compute_optimal.analyse.statistics.intervals import bootstrap_weights
from compute_optimal.analyse.statistics.pooled_choice import choose_together
from compute_optimal.analyse.statistics.prediction import Splits, choose_held_out

METHODS = ("best_of_n", "beam_search", "dvts")
POLICIES, PRMS, BUCKETS = ("p1", "p2"), ("a", "b"), ("easy", "medium", "hard")
N_PROBLEMS = 60


def splits_of(n_problems: int, seed: int = 0) -> Splits:
    return Splits.of(bootstrap_weights(n_problems, 20, seed), 5, 3, seed)


@pytest.mark.parametrize("seed", range(5))
def test_pools_of_one_choose_as_each_alone(seed: int) -> None:
    random = np.random.default_rng(seed)
    outcomes, groups = random.random((4, 3, 40)), random.integers(0, 3, 40)
    splits = splits_of(40, seed)
    alone = choose_held_out(outcomes, groups, splits)
    together = choose_together(outcomes, np.tile(groups, (4, 1)), np.arange(4), splits)
    for name in ("accuracy", "once", "share", "replicates"):
        np.testing.assert_allclose(getattr(together, name), getattr(alone, name), atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_pool_of_equals_chooses_as_each_of_them(seed: int) -> None:
    """One that is counted twice is no more evidence than once: also where few problems train."""
    random = np.random.default_rng(seed)
    outcomes, groups = random.random((1, 3, 40)), np.where(np.arange(40) < 4, 1, 0)
    splits = splits_of(40, seed)
    alone = choose_held_out(outcomes, groups, splits)
    pooled = choose_together(
        np.tile(outcomes, (3, 1, 1)), np.tile(groups, (3, 1)), np.zeros(3), splits
    )
    for member in range(3):
        np.testing.assert_allclose(pooled.accuracy[member], alone.accuracy[0], atol=1e-12)
        np.testing.assert_allclose(pooled.replicates[:, member], alone.replicates[:, 0], atol=1e-12)


def test_a_pool_chooses_by_the_sum_of_its_members() -> None:
    """The first gains 0.4 by the first strategy, the second loses 0.1: together they take it."""
    outcomes = np.zeros((2, 2, 30))
    outcomes[0, 0], outcomes[0, 1] = 0.9, 0.5
    outcomes[1, 0], outcomes[1, 1] = 0.4, 0.5
    chosen = choose_together(outcomes, np.zeros((2, 30)), np.zeros(2), splits_of(30))
    np.testing.assert_allclose(chosen.accuracy.mean(axis=1), [0.9, 0.4])
    np.testing.assert_allclose(chosen.replicates, np.tile([0.9, 0.4], (20, 1)))
    np.testing.assert_allclose(chosen.share.sum(axis=1), 1.0)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        choose_together(np.zeros((2, 2, 30)), np.zeros(30), np.zeros(2), splits_of(30))


def planted(best: dict[tuple[str, str, str], str], noise: float = 0.0, seed: int = 0):
    """Outcomes where ``best[policy, prm, bucket]`` gives 0.8 and any other method 0.6."""
    random = np.random.default_rng(seed)
    rows = []
    for policy, prm, method, problem in product(POLICIES, PRMS, METHODS, range(N_PROBLEMS)):
        bucket = BUCKETS[max(0, problem % 4 - 1)]
        accuracy = 0.8 if best[policy, prm, bucket] == method else 0.6
        accuracy = float(np.clip(accuracy + noise * random.standard_normal(), 0, 1))
        for budget in (4, 64) if prm == "a" or method == "best_of_n" else (64,):
            rows.append((policy, prm, method, budget, f"{problem:03}", bucket, accuracy))
    columns = ["policy", "prm", "method", "budget", "problem_id", "bucket", "accuracy"]
    outcomes = pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        task=pl.lit("t"), scoring=pl.lit("prm_last"), voting=pl.lit("prm_vote")
    )
    assert set(columns) <= {"policy", *OUTCOMES}
    problems = pl.DataFrame({"task": "t", "problem_id": [f"{i:03}" for i in range(N_PROBLEMS)]})
    return outcomes, problems


def examined(best: dict[tuple[str, str, str], str], **planting: float) -> pl.DataFrame:
    outcomes, problems = planted(best, **planting)
    return examine_dependence(outcomes, problems, scoring="prm_last", voting="prm_vote", seed=1)


EVERY = [*product(POLICIES, PRMS, BUCKETS)]
PLANTED = {
    "policy": {key: METHODS[POLICIES.index(key[0])] for key in EVERY},
    "prm": {key: METHODS[PRMS.index(key[1])] for key in EVERY},
    "difficulty": {key: METHODS[BUCKETS.index(key[2])] for key in EVERY},
}


@pytest.mark.parametrize("depends_on", LEFT_OUT)
def test_what_the_best_method_depends_on_is_found_and_nothing_else(depends_on: str) -> None:
    found = examined(PLANTED[depends_on])
    assert sorted(set(found["left_out"])) == sorted(LEFT_OUT)
    assert set(found["budget"]) == {64}, "the largest at which the most pairs ran every method"
    assert found.height == 3 * len(POLICIES) * len(PRMS)
    for left_out in LEFT_OUT:
        differences_of = found.filter(left_out=left_out)["difference"].to_numpy()
        # One method for both of two that are equally many is right for one of them (equals share),
        # and one for all difficulties for half of the problems: as many are easy.
        expected = 0.1 if left_out == depends_on else 0.0
        np.testing.assert_allclose(differences_of.mean(), expected, atol=0.02)
    for informed, uninformed, difference in found.select(
        "informed", "uninformed", "difference"
    ).iter_rows():
        assert np.mean(informed) - np.mean(uninformed) == pytest.approx(difference)


@pytest.mark.parametrize("left_out", LEFT_OUT)
def test_what_there_is_but_one_of_is_not_left_out(left_out: str) -> None:
    outcomes, problems = planted(PLANTED["prm"])
    one = {"policy": "p1", "prm": "a", "difficulty": "easy"}[left_out]
    column = "bucket" if left_out == "difficulty" else left_out
    found = examine_dependence(
        outcomes.filter(pl.col(column) == one),
        problems,
        scoring="prm_last",
        voting="prm_vote",
        seed=1,
    )
    assert left_out not in set(found["left_out"])
    assert len(set(found["left_out"])) == 2


def test_methods_that_some_pairs_did_not_run_are_no_difference_between_choices() -> None:
    """A pair without one of the methods would be given less to choose from: it is left out."""
    outcomes, problems = planted(PLANTED["prm"])
    lacking = outcomes.filter(~((pl.col("policy") == "p1") & (pl.col("method") == "dvts")))
    found = examine_dependence(lacking, problems, scoring="prm_last", voting="prm_vote", seed=1)
    assert set(found["policy"]) == {"p2"}
    assert set(found["left_out"]) == {"prm", "difficulty"}


@pytest.mark.parametrize(
    "reduce",
    [
        lambda outcomes: outcomes.head(0),
        lambda outcomes: outcomes.filter(method="best_of_n"),
        lambda outcomes: outcomes.with_columns(bucket=pl.lit(None, dtype=pl.String)),
        lambda outcomes: outcomes.filter(pl.col("problem_id") < "009"),
    ],
    ids=["nothing", "one method", "no difficulty", "few problems"],
)
def test_a_study_without_a_choice_has_no_rows(reduce) -> None:
    outcomes, problems = planted(PLANTED["prm"])
    found = examine_dependence(
        reduce(outcomes), problems, scoring="prm_last", voting="prm_vote", seed=1
    )
    assert found.is_empty()


def covered(
    repetitions: int,
    n_problems: int,
    spread: float,
    n_policies: int = 6,
    n_prms: int = 9,
) -> dict[str, float]:
    """How often the 95% interval of the mean over pairs holds what new problems give on average, by
    what is left out. ``spread``: how far methods differ, by policy, PRM and difficulty."""
    truth = np.random.default_rng(7).standard_normal((n_policies, n_prms, 3, 3)) * spread
    found: dict[str, list[tuple[float, float, float]]] = {left_out: [] for left_out in LEFT_OUT}
    for repetition in range(repetitions):
        for left_out, estimate in drawn(truth, n_problems, repetition).items():
            found[left_out].append(estimate)
    shares = {}
    for left_out, estimates in found.items():
        means, low, high = np.array(estimates).T
        shares[left_out] = float(np.mean((low <= means.mean()) & (means.mean() <= high)))
    return shares


def drawn(truth: np.ndarray, n_problems: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Estimate and limits (points) of one sample of problems, by what is left out.

    ``truth`` [policies, PRMs, methods, difficulties]: what a method adds. Accuracies of a problem
    go together over methods, and its difficulties over policies.
    """
    n_policies, n_prms, n_methods, _ = truth.shape
    random = np.random.default_rng([seed, n_problems])
    ease = random.standard_normal(n_problems) + 0.3 * random.standard_normal(
        (n_policies, n_problems)
    )
    ease += np.linspace(-0.7, 0.7, n_policies)[:, None]
    bucket = np.where(ease > 0.5, 0, np.where(ease > -0.7, 1, 2))
    added = np.take_along_axis(truth, bucket[:, None, None, :], axis=3)
    for shape, size in (
        ((1, 1, n_methods, n_problems), 0.1),
        ((n_policies, 1, n_methods, n_problems), 0.1),
        ((n_policies, n_prms, n_methods, n_problems), 0.15),
    ):
        added = added + size * random.standard_normal(shape)
    accuracy = np.clip(1 / (1 + np.exp(-2 * ease))[:, None, None] + added, 0, 1)
    names = [f"{i:03}" for i in range(n_problems)]
    outcomes = pl.DataFrame(
        [
            ("t", f"p{i}", f"r{j}", METHODS[k], "prm_last", "prm_vote", 64, name, BUCKETS[b], value)
            for i, j, k in product(range(n_policies), range(n_prms), range(n_methods))
            for name, b, value in zip(names, bucket[i], accuracy[i, j, k].tolist(), strict=True)
        ],
        schema=["task", "policy", *OUTCOMES],
        orient="row",
    )
    examined_pairs = examine_dependence(
        outcomes, pl.DataFrame({"task": "t", "problem_id": names}),
        scoring="prm_last", voting="prm_vote", seed=seed,
    )  # fmt: skip
    estimates = {}
    for left_out in LEFT_OUT:
        rows = [
            {**row, "value": row["informed"], "reference": row["uninformed"]}
            for row in examined_pairs.filter(left_out=left_out).iter_rows(named=True)
        ]
        means, replicates = differences(rows, Resampling(1000, 0.95, seed), relative=False)
        low, high = limits(means.mean()[None], replicates.mean(axis=1)[:, None], [n_problems], 0.95)
        estimates[left_out] = float(means.mean()), float(low[0]), float(high[0])
    return estimates


def test_intervals_hold_what_new_problems_give() -> None:
    """With more repetitions: benchmarks/coverage.py."""
    shares = covered(24, 40, 0.05, n_policies=3, n_prms=3)
    assert min(shares.values()) >= 0.85


def test_what_is_always_right_is_right_in_every_repeat() -> None:
    """Shares of a problem add up to 1, and not to the next number."""
    random = np.random.default_rng(0)
    for n_repeats, n_equal in product((3, 5, 7), (1, 3, 6)):
        splits = Splits.of(np.ones((1, 40)), 5, n_repeats, n_repeats)
        outcomes = np.ones((2, 7, 40))
        # Alike on some of the splits alone.
        outcomes[:, n_equal:, ::7] = 0.999
        groups = random.integers(0, 3, 40)
        apart = choose_held_out(outcomes, groups, splits)
        together = choose_together(outcomes, np.stack([groups, groups]), [0, 0], splits)
        for held_out in (apart, together):
            assert held_out.accuracy.max() <= 1.0
            assert held_out.accuracy.min() > 0.99
