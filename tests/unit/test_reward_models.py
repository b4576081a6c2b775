"""What reward models are worth on solutions of known truth, against counting by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_optimal.adopt import SOLUTIONS
from compute_optimal.analyse.reward_models import (
    LEAST_IN_BIN,
    TABLES,
    equal_counts,
    examine_solutions,
)
from compute_optimal.analyse.score_quality import Bins
from compute_optimal.analyse.statistics.estimators import FloatArray
from compute_optimal.analyse.statistics.intervals import bootstrap_weights

SCHEMA = pl.Schema({"collection": pl.String(), **SOLUTIONS})
N_PROBLEMS, N_SOLUTIONS = 40, 4
AGGREGATIONS: dict[str, Callable[[list[float]], Any]] = {
    "prm_min": min,
    "prm_last": lambda s: s[-1],
    "prm_avg": np.mean,
}


def solutions(seed: int = 0) -> pl.DataFrame:
    """The first of each is right. One model is a PRM whose scores tie and that lacks a wrong one of
    problem 0, the other is of whole solutions."""
    random = np.random.default_rng(seed)
    rows = []
    for problem in range(N_PROBLEMS):
        for solution in range(N_SOLUTIONS):
            about = {
                "collection": "c", "task": "t", "problem_id": f"{problem:03d}",
                "solution": solution, "correct": solution == 0,
            }  # fmt: skip
            steps = (
                random.integers(0, 4, random.integers(1, 4)) / 4 + 0.1 * (solution == 0)
            ).tolist()
            if (problem, solution) != (0, 2):
                rows.append(
                    {**about, "prm": "process", "step_scores": steps, "n_steps": len(steps)}
                )
            rows.append({**about, "prm": "outcome", "outcome_score": float(random.normal(-3, 9))})
    return pl.DataFrame(rows, schema=SCHEMA)


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return examine_solutions(solutions(), 300, 0.95, 0)


def measured(
    tables: dict[str, pl.DataFrame], prm: str, scoring: str | None, measure: str
) -> dict[str, Any]:
    of_prm = tables["reward_model_quality"].filter(prm=prm, measure=measure)
    return of_prm.row(
        by_predicate=pl.col("scoring").eq_missing(pl.lit(scoring, dtype=pl.String)), named=True
    )


def by_problem(prm: str, scoring: str | None) -> list[list[tuple[float, bool]]]:
    rows = solutions().filter(prm=prm).iter_rows(named=True)
    return [
        [
            (
                row["outcome_score"]
                if scoring is None
                else AGGREGATIONS[scoring]([*map(float, row["step_scores"])]),
                row["correct"],
            )
            for row in group
        ]
        for _, group in groupby(rows, key=lambda row: row["problem_id"])
    ]


@pytest.mark.parametrize(
    ("prm", "scoring"), [("outcome", None), *(("process", s) for s in AGGREGATIONS)]
)
def test_pairs_and_first_places_are_counts(
    tables: dict[str, pl.DataFrame], prm: str, scoring: str | None
) -> None:
    won, tied, first = [], [], []
    for scored in by_problem(prm, scoring):
        right = [s for s, is_right in scored if is_right]
        wrong = [s for s, is_right in scored if not is_right]
        pairs = [(r, w) for r in right for w in wrong]
        won.append(np.mean([(r > w) + 0.5 * (r == w) for r, w in pairs]))
        tied.append(np.mean([r == w for r, w in pairs]))
        if len(scored) == N_SOLUTIONS:
            best = [is_right for s, is_right in scored if s == max(s for s, _ in scored)]
            first.append(np.mean(best))
    value = {name: measured(tables, prm, scoring, name) for name in
             ("discrimination", "tied_pairs", "ranked_first", "first_by_chance")}  # fmt: skip
    assert value["discrimination"]["value"] == pytest.approx(np.mean(won))
    assert value["tied_pairs"]["value"] == pytest.approx(np.mean(tied))
    assert value["ranked_first"]["value"] == pytest.approx(np.mean(first))
    assert value["ranked_first"]["n_problems"] == len(first)
    assert value["first_by_chance"]["value"] == pytest.approx(1 / N_SOLUTIONS)
    for row in value.values():
        assert row["ci_low"] - 1e-12 <= row["value"] <= row["ci_high"] + 1e-12


def test_reliability_is_the_share_that_is_right_by_bins_of_one_size(
    tables: dict[str, pl.DataFrame],
) -> None:
    bins = tables["reward_model_reliability"].filter(scoring="prm_last")
    scored = sorted(x for problem in by_problem("process", "prm_last") for x in problem)
    assert bins["n_solutions"].sum() == len(scored) == N_PROBLEMS * N_SOLUTIONS - 1
    error = 0.0
    for row in bins.iter_rows(named=True):
        mine, scored = scored[: row["n_solutions"]], scored[row["n_solutions"] :]
        assert row["n_solutions"] >= LEAST_IN_BIN
        assert row["score"] == pytest.approx(np.mean([s for s, _ in mine]))
        assert row["value"] == pytest.approx(np.mean([is_right for _, is_right in mine]))
        error += row["n_solutions"] * abs(row["score"] - row["value"])
    row = measured(tables, "process", "prm_last", "calibration_error")
    assert row["value"] == pytest.approx(error / row["n_solutions"])


def test_scores_of_whole_solutions_are_no_chances(tables: dict[str, pl.DataFrame]) -> None:
    assert set(tables["reward_model_reliability"]["prm"]) == {"process"}
    measures = tables["reward_model_quality"].filter(prm="outcome")["measure"]
    assert not {"calibration_error", "overconfidence"} & {*measures}


@given(
    scores=st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.5001, 1.0]), min_size=1, max_size=60),
    n_bins=st.integers(1, 10),
    least=st.integers(1, 20),
)
def test_bins_are_in_order_keep_equal_scores_together_and_are_no_smaller_than_asked(
    scores: list[float], n_bins: int, least: int
) -> None:
    bin_of = equal_counts(np.array(scores), n_bins, least)
    pairs = sorted(zip(scores, bin_of.tolist(), strict=True))
    numbers = [number for _, number in pairs]
    assert numbers == sorted(numbers)
    assert {*numbers} == {*range(max(numbers) + 1)}
    assert len({*numbers}) <= n_bins
    assert len({*pairs}) == len({*scores})
    if len(scores) >= least:
        assert min(numbers.count(number) for number in numbers) >= least


def test_distinct_scores_fall_into_bins_of_one_size() -> None:
    counts = np.bincount(equal_counts(np.random.default_rng(0).random(1000), 10, 100))
    assert counts.tolist() == [100] * 10


@pytest.mark.parametrize(
    ("truth", "n_held"),
    [(lambda s: s / 3, 54), (lambda s: 0.05 + 0.8 * s, 54), (lambda s: s, 54)],
    ids=["overconfident", "nearly calibrated", "calibrated"],
)
def test_the_interval_of_the_calibration_error_holds_the_truth(
    truth: Callable[[FloatArray], FloatArray], n_held: int
) -> None:
    def drawn(random: np.random.Generator, n_problems: int) -> tuple[FloatArray, FloatArray]:
        height = random.normal(-1, 1.2, (n_problems, 10)) + random.normal(0, 1, (n_problems, 1))
        score = 1 / (1 + np.exp(-height))
        return score, (random.random(score.shape) < truth(score)).astype(np.float64)

    bins = partial(equal_counts, n_bins=10, least=100)
    score, _ = drawn(np.random.default_rng(1), 40_000)
    distance = np.bincount(bins(score.ravel()), (score - truth(score)).ravel())
    expected = np.abs(distance).sum() / score.size
    held = 0
    for repetition in range(60):
        of_sample = Bins.of(*drawn(np.random.default_rng([2, repetition]), 300), bins)
        interval = of_sample.error(bootstrap_weights(300, 300, repetition), 0.95)
        assert interval is not None
        held += interval[1] <= expected <= interval[2]
    # Of 60 at 95%, fewer than 54 would be seen once in a hundred times.
    assert held >= n_held


def test_no_solutions_give_empty_tables() -> None:
    one = solutions().filter(problem_id="001", solution=0)
    for frame in (solutions().clear(), one):
        tables = examine_solutions(frame, 50, 0.95, 0)
        assert {name: table.schema for name, table in tables.items()} == {
            name: pl.Schema(columns) for name, columns in TABLES.items()
        }
        assert "ranked_first" not in set(tables["reward_model_quality"]["measure"])
