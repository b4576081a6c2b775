"""What a PRM says about steps, against the truth: by hand, by brute force, with known errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_optimal.analyse.prm_ability import (
    MEASURES,
    RATES,
    Solutions,
    Verdicts,
    examine,
    harmonic_mean,
    verdicts_of,
)
from compute_optimal.errors import StudyError
from compute_optimal.judge.step_truth import CHECKED
from compute_optimal.study.requests import AbilitySettings
from compute_optimal.tasks.arithmetic_chains import check_steps, generate, parse, solution_steps

SETTINGS = AbilitySettings(replicates=200, confidence=0.95, seed=0)
Solution = tuple[str, list[str], list[bool], bool, list[float]]
"""Problem, steps, whether each is right, whether it ends in an answer, margins."""

BY_HAND: list[Solution] = [
    ("p0", ["1", "22", "end"], [True, True, True], True, [2.0, 1.0, 3.0]),  # accepted
    ("p0", ["1", "22", "end"], [True, True, True], True, [2.0, -1.0, 3.0]),  # over-criticised
    ("p1", ["1", "22", "end"], [True, False, True], True, [1.0, -0.5, 2.0]),  # located
    ("p1", ["1", "22", "end"], [True, False, False], True, [-1.0, 1.0, 2.0]),  # too early
    ("p2", ["1", "22", "end"], [False, True, True], True, [1.0, 1.0, -1.0]),  # too late
    ("p2", ["1", "22", "end"], [True, True, False], True, [0.0, 0.5, 0.0]),  # not flagged
    ("p2", ["1", "22"], [True, True], False, [-1.0, 1.0]),  # unfinished: neither right nor wrong
]


def tables(solutions: list[Solution], policy: str = "a") -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = [
        {
            "problem_id": problem, "sample_index": i, "problem": problem, "gold": "1",
            "steps": steps, "correct": correct, "finished": finished, "margins": margins,
        }
        for i, (problem, steps, correct, finished, margins) in enumerate(solutions)
    ]  # fmt: skip
    schema = {**CHECKED, "margins": pl.List(pl.Float32())}
    table = pl.DataFrame(rows, schema=schema).with_columns(
        task=pl.lit("chains"), policy=pl.lit(policy)
    )
    return table.drop("margins"), table.select("problem_id", "sample_index", "margins")


def measured(solutions: list[Solution]) -> dict[str, dict[str, Any]]:
    checked, scores = tables(solutions)
    ids = sorted({problem for problem, *_ in solutions})
    verdicts = verdicts_of(checked, {"prm": {"a": scores}}, ids)
    rates = examine(verdicts, "chains", len(ids), SETTINGS)
    assert rates.schema == RATES
    assert set(rates["measure"]) == set(MEASURES)
    return {row["measure"]: row for row in rates.filter(pl.col("policy").is_null()).to_dicts()}


def test_measures_by_hand() -> None:
    measures = measured(BY_HAND)
    expected = {
        "error_accuracy": (1 / 4, 4), "correct_accuracy": (1 / 2, 2), "f1": (1 / 3, 6),
        "flagged_early": (1 / 4, 4), "flagged_late": (1 / 4, 4), "unflagged": (1 / 4, 4),
        "localisation_bias": (1 / 2, 4), "error_neglect": (3 / 4, 4),
        # Right steps up to the first error: 3, 3, 1, 1, 0, 2.
        "over_criticism": (2 / 10, 10),
    }  # fmt: skip
    for name, (value, n) in expected.items():
        row = measures[name]
        assert row["value"] == pytest.approx(value), name
        assert row["n"] == n, name
        assert row["ci_low"] <= row["value"] <= row["ci_high"], name


def test_f1_of_a_known_confusion() -> None:
    assert harmonic_mean(np.array(0.6), np.array(0.3)) == pytest.approx(0.4)
    assert harmonic_mean(np.array(0.0), np.array(0.0)) == 0
    assert math.isnan(harmonic_mean(np.array(np.nan), np.array(1.0)))


solution = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.sampled_from(["p0", "p1", "p2"]),
        st.lists(st.sampled_from(["x", "xx", "xxx"]), min_size=n, max_size=n),
        st.lists(st.booleans(), min_size=n, max_size=n),
        st.booleans(),
        st.lists(st.sampled_from([-2.0, -0.5, 0.0, 1.0]), min_size=n, max_size=n),
    )
)


@given(st.lists(solution, min_size=1, max_size=20))
def test_measures_against_a_loop(solutions: list[Solution]) -> None:
    counts: dict[str, list[bool]] = {name: [] for name in MEASURES}
    by_position: dict[int, list[tuple[int, float]]] = {}
    for _, steps, correct, finished, margins in solutions:
        error = next((i for i, right in enumerate(correct) if not right), None)
        named = next((i for i, margin in enumerate(margins) if margin < 0), None)
        if error is None and not finished:
            continue
        end = len(steps) if error is None else error
        for i in range(end):
            counts["over_criticism"].append(margins[i] < 0)
            if i < len(steps) - finished:
                by_position.setdefault(i, []).append((len(steps[i]), margins[i]))
        if error is None:
            counts["correct_accuracy"].append(named is None)
            continue
        counts["error_accuracy"].append(named == error)
        counts["error_neglect"].append(margins[error] >= 0)
        counts["unflagged"].append(named is None)
        counts["flagged_early"].append(named is not None and named < error)
        counts["flagged_late"].append(named is not None and named > error)
        counts["localisation_bias"].append(named not in (None, error))
    measures = measured(solutions)
    for name, values in counts.items():
        if name in ("f1", "length_bias"):
            continue
        mean = float(np.mean(values)) if values else None
        assert measures[name]["value"] == pytest.approx(mean), name
        assert measures[name]["n"] == len(values)
    pairs = np.array(
        [np.subtract(pair, np.mean(cell, axis=0)) for cell in by_position.values() for pair in cell]
    ).reshape(-1, 2)
    spread = (pairs**2).sum(axis=0)
    if spread.min() < 1e-6:
        assert measures["length_bias"]["value"] is None
    else:
        expected = (pairs[:, 0] @ pairs[:, 1]) / np.sqrt(spread[0] * spread[1])
        assert measures["length_bias"]["value"] == pytest.approx(expected)


def test_what_cannot_be_measured_has_no_value() -> None:
    measures = measured(BY_HAND[:2])
    assert measures["f1"]["value"] is measures["error_accuracy"]["value"] is None
    assert measures["error_accuracy"]["n"] == 0
    assert measures["correct_accuracy"]["value"] == 0.5
    flat = measured([(*solution[:4], [0.3] * len(solution[1])) for solution in BY_HAND])
    assert flat["f1"]["value"] == flat["error_accuracy"]["value"] == 0
    assert flat["correct_accuracy"]["value"] == flat["unflagged"]["value"] == 1
    assert flat["length_bias"]["value"] is None
    # Three problems without a located error do not prove that there is none.
    assert flat["error_accuracy"]["ci_high"] > 0.5
    assert 0 == flat["f1"]["ci_low"] < flat["f1"]["ci_high"] < 1


def test_all_policies_count_together_and_apart() -> None:
    one, two = tables(BY_HAND[:4], "a"), tables(BY_HAND[4:], "b")
    scores = {"prm": {"a": one[1], "b": two[1]}}
    verdicts = verdicts_of(pl.concat([one[0], two[0]]), scores, ["p0", "p1", "p2"])
    rates = examine(verdicts, "chains", 3, SETTINGS)
    whole = measured(BY_HAND)
    for row in rates.to_dicts():
        if row["policy"] is None and row["measure"] != "length_bias":
            assert row["value"] == pytest.approx(whole[row["measure"]]["value"])
    located = {
        row["policy"]: row["value"] for row in rates.filter(measure="error_accuracy").to_dicts()
    }
    assert located == {None: 0.25, "a": 0.5, "b": 0}


def test_steps_and_scores_must_agree() -> None:
    checked, scores = tables(BY_HAND[:1])
    scores = scores.with_columns(margins=pl.Series([[1.0]], dtype=pl.List(pl.Float32)))
    with pytest.raises(StudyError, match="3 steps, but 1 scores"):
        Verdicts.of(Solutions.of(checked, ["p0"]), scores)


PROBLEMS = generate(40, 7)


@given(
    st.sampled_from(PROBLEMS), st.sampled_from(["numbered", "plain"]), st.data(), st.integers(1, 30)
)
def test_a_perfect_prm_finds_every_injected_error(
    problem: Any, style: Any, data: st.DataObject, slip: int
) -> None:
    """A wrong result at a known step, with or without what follows from it, is found there."""
    steps = solution_steps(problem.problem, style)
    position = data.draw(st.integers(0, len(parse(problem.problem).operations) - 1))
    before, _, result = steps[position].rpartition("=")
    steps[position] = f"{before}={int(result) + slip}"
    check = check_steps(problem.problem, steps)
    assert check.first_error == position
    assert check.finished
    margins = [1.0 if i < position else -1.0 for i in range(len(steps))]
    measures = measured(
        [
            ("p0", steps, list(check.correct), check.finished, margins),
            ("p0", steps[:1], [True], True, [1.0]),
        ]
    )
    assert measures["f1"]["value"] == measures["error_accuracy"]["value"] == 1


def test_intervals_grow_with_the_likeness_of_solutions() -> None:
    """64 equal solutions of a problem tell as much as one."""
    rng = np.random.default_rng(0)
    once = [
        (f"p{i:02d}", ["1"], [True], True, [float(margin)])
        for i, margin in enumerate(rng.normal(size=40))
    ]
    widths = [
        measures["correct_accuracy"]["ci_high"] - measures["correct_accuracy"]["ci_low"]
        for measures in (measured(once), measured([s for s in once for _ in range(64)]))
    ]
    assert widths[0] == widths[1] > 0.2


def test_one_failure_in_many_solutions_leaves_no_more_certain_than_none() -> None:
    """As many problems may hide others that are unlike them, whether one solution failed or not."""
    right = ["1", "22", "end"], [True, True, True], True
    accepted: list[Solution] = [
        (f"p{i}", *right, [2.0, 1.0, 3.0]) for i in range(30) for _ in range(40)
    ]
    failed = [*accepted[:-1], (*accepted[-1][:4], [2.0, -1.0, 3.0])]
    for name in ("correct_accuracy", "over_criticism"):
        none, one = (measured(solutions)[name] for solutions in (accepted, failed))
        widths = [row["ci_high"] - row["ci_low"] for row in (none, one)]
        assert widths[1] >= 0.99 * widths[0] > 0.1
        assert one["ci_low"] <= one["value"] <= one["ci_high"]
