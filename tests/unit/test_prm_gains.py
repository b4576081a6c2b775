"""What PRMs gain over their ability, against plain sums and against SciPy's isotonic regression."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy.optimize import isotonic_regression

from compute_optimal.analyse.prm_gains import GainSettings, examine_gains, thresholds

SETTINGS = GainSettings(200, 0.95, 0, "prm_last", "prm_max")
IDS = [f"p{i:02d}" for i in range(40)]
F1 = {"poor": 10.0, "middling": 50.0, "able": 90.0}


def crossing(x: np.ndarray, gains: np.ndarray) -> float:
    """Where SciPy's fit, with straight lines between its points, passes 0."""
    fit = isotonic_regression(gains).x
    if fit[0] > 1e-12:
        return -math.inf
    if fit[-1] <= 1e-12:
        return math.inf
    above = int(np.argmax(fit > 1e-12))
    share = -fit[above - 1] / (fit[above] - fit[above - 1])
    return float(x[above - 1] + share * (x[above] - x[above - 1]))


@pytest.mark.parametrize("n_prms", [3, 9])
def test_thresholds_are_those_of_the_isotonic_fit(n_prms: int) -> None:
    random = np.random.default_rng(n_prms)
    x = np.sort(random.uniform(0, 100, n_prms))
    gains = random.normal(0.05 * (x - 50), 3, (300, n_prms))
    expected = [crossing(x, row) for row in gains]
    assert {math.inf, -math.inf} < {*expected}
    assert thresholds(x, gains) == pytest.approx(np.array(expected))


def test_sums_that_only_rounding_tells_apart_are_equal() -> None:
    """Gains of 30 problems, whole numbers of them: many add up to nothing."""
    random = np.random.default_rng(0)
    x = np.sort(random.uniform(0, 100, 9))
    whole = random.integers(-11, 12, (3000, 9))
    gains = 100 * whole / 30
    sums = np.cumsum(gains, axis=1)
    assert np.any((np.cumsum(whole, axis=1) == 0) & (sums != 0))
    # Whole numbers are summed without rounding.
    assert thresholds(x, gains) == pytest.approx(thresholds(x, whole.astype(float)))
    seen = [-26.67, -16.67, -10, 3.33, 3.33, 23.33, 6.67, -36.67, 23.33]
    of_thirtieths = 100 * np.rint(0.3 * np.array([seen])) / 30
    assert thresholds(x, of_thirtieths)[0] == pytest.approx(x[7])


def outcomes(gain_of: dict[str, float], policies: tuple[str, ...] = ("p",)) -> pl.DataFrame:
    """Majority voting at N = 4 and 16, and best-of-N that is better by a PRM's gain at 16."""
    schema = {
        "task": pl.String(), "policy": pl.String(), "prm": pl.String(), "method": pl.String(),
        "scoring": pl.String(), "voting": pl.String(), "budget": pl.Int64(),
        "problem_id": pl.String(), "bucket": pl.String(), "accuracy": pl.Float64(),
    }  # fmt: skip
    random = np.random.default_rng(0)
    rows = []
    for policy in policies:
        base = random.uniform(0.3, 0.6, len(IDS))
        for i, problem in enumerate(IDS):
            bucket = "hard" if i < 8 else "easy"
            for budget in (4, 16):
                of_problem = (budget, problem, bucket)
                rows.append(("t", policy, None, "majority", None, "majority", *of_problem, base[i]))
                rows += [
                    ("t", policy, prm, "best_of_n", "prm_last", "prm_max", *of_problem,
                     base[i] + (gain + 0.1 * (i % 2) - 0.05) * (budget == 16))
                    for prm, gain in gain_of.items()
                ]  # fmt: skip
    return pl.DataFrame(rows, schema, orient="row")


def examined(
    outcomes: pl.DataFrame,
    chosen: pl.DataFrame | None = None,
    unmeasured: tuple[str, ...] = (),
) -> dict[str, pl.DataFrame]:
    held_out = (outcomes.clear() if chosen is None else chosen).drop("method", "bucket")
    measured = pl.when(~pl.col("prm").is_in(unmeasured))
    abilities = pl.DataFrame({"task": "t", "prm": [*F1], "f1": [*F1.values()]}).with_columns(
        measured.then("f1").alias("f1")
    )
    discriminations = pl.DataFrame(
        {
            "task": "t",
            "policy": [policy for policy in ("p", "q", "r") for _ in F1],
            "prm": [*F1] * 3,
            "discrimination": [60.0, 70.0, 80.0, 62.0, 72.0, 82.0, 90.0, 91.0, 92.0],
        }
    ).with_columns(measured.then("discrimination").alias("discrimination"))
    return examine_gains(
        outcomes,
        held_out,
        pl.DataFrame(
            schema={n: pl.String() for n in ("task", "policy", "prm", "budget", "widening")}
        ),
        abilities,
        discriminations,
        pl.DataFrame({"task": "t", "problem_id": IDS}),
        SETTINGS,
    )


def test_gains_are_paired_and_begin_between_two_prms() -> None:
    tables = examined(outcomes({"able": 0.2, "poor": -0.1, "middling": -0.1}, ("p", "q")))
    at_16 = tables["prm_gains"].filter(budget=16, bucket="all", against="majority")
    for policy in ("p", "q", None):
        mine = at_16.filter(pl.col("policy").eq_missing(pl.lit(policy, pl.String)))
        gains = dict(zip(mine["prm"], mine["gain"], strict=True))
        assert gains == pytest.approx({"able": 20, "poor": -10, "middling": -10})
        # Paired: majority voting differs by tens of points between problems, the gain by 10.
        assert (mine["ci_high"] - mine["ci_low"]).to_list() == pytest.approx([3.2] * 3, abs=0.6)
    of_mean = at_16.filter(pl.col("policy").is_null())
    assert dict(zip(of_mean["prm"], of_mean["discrimination"], strict=True)) == pytest.approx(
        {"poor": 61, "middling": 71, "able": 81}
    )
    thresholds = tables["prm_thresholds"].filter(
        policy="p", budget=16, bucket="all", against="majority"
    )
    places = {row["ability"]: row for row in thresholds.iter_rows(named=True)}
    assert places["f1"]["threshold"] == pytest.approx(50 + 40 / 3)
    assert places["discrimination"]["threshold"] == pytest.approx(70 + 10 / 3)
    assert places["f1"]["ci_low"] < places["f1"]["threshold"] < places["f1"]["ci_high"]
    assert (places["f1"]["least"], places["f1"]["most"], places["f1"]["n_prms"]) == (10, 90, 3)
    # As many points from the smallest budget, where nothing was gained.
    fewest = tables["prm_gains"].filter(policy="p", budget=16, bucket="all", against="fewest")
    assert fewest["gain"].to_list() == pytest.approx([20, -10, -10])


def test_ends_are_infinite_where_all_prms_gain_or_none() -> None:
    for gain, end in ((0.2, -math.inf), (-0.2, math.inf)):
        tables = examined(outcomes(dict.fromkeys(F1, gain)))
        row = tables["prm_thresholds"].row(
            by_predicate=(pl.col("budget") == 16)
            & (pl.col("bucket") == "all")
            & (pl.col("against") == "majority")
            & (pl.col("ability") == "f1"),
            named=True,
        )
        assert (row["threshold"], row["ci_low"], row["ci_high"]) == (end, end, end)


def test_few_problems_and_few_prms_say_nothing() -> None:
    tables = examined(outcomes({"able": 0.2, "poor": -0.1}))
    assert tables["prm_thresholds"].is_empty()
    # Of the 40 problems, 8 are hard.
    assert set(tables["prm_gains"]["bucket"]) == {"all", "easy"}


@pytest.mark.parametrize("unmeasured", [("poor",), tuple(F1)])
def test_prms_whose_ability_nobody_measured_are_compared_all_the_same(
    unmeasured: tuple[str, ...],
) -> None:
    """As one's own PRM on a task whose steps cannot be checked."""
    gain_of = {"able": 0.2, "poor": -0.1, "middling": -0.1}
    tables, known = (examined(outcomes(gain_of), unmeasured=names) for names in (unmeasured, ()))
    gains = tables["prm_gains"]
    unknown = pl.col("prm").is_in(unmeasured)
    for ability in ("f1", "discrimination"):
        assert (gains[ability].is_null() == gains.select(unknown).to_series()).all()
    assert gains.drop("f1", "discrimination").equals(
        known["prm_gains"].drop("f1", "discrimination")
    )
    assert tables["prm_thresholds"].is_empty()


def test_choices_among_fewer_methods_are_not_compared() -> None:
    """Searches at 16 with two of three PRMs: the third chooses among fewer strategies."""
    scored = outcomes({"able": 0.2, "poor": -0.1, "middling": 0.1})
    searched = scored.filter(
        pl.col("prm").is_in(["able", "poor"]), method="best_of_n", budget=16
    ).with_columns(method=pl.lit("dvts"))
    # What was chosen, held out: here always best-of-N.
    chosen = scored.filter(method="best_of_n")

    def compared(outcomes_: pl.DataFrame) -> dict[int, set[str]]:
        gains = examined(outcomes_, chosen)["prm_gains"].filter(
            method="compute_optimal", policy="p", bucket="all", against="majority"
        )
        return {budget: {*gains.filter(budget=budget)["prm"]} for budget in (4, 16)}

    assert compared(scored) == {4: {*F1}, 16: {*F1}}
    assert compared(pl.concat([scored, searched])) == {4: {*F1}, 16: {"able", "poor"}}


def test_abilities_are_of_the_policies_whose_gains_they_stand_beside() -> None:
    """One of three policies was searched with two of the PRMs: its choices are not compared."""
    scored = outcomes({"able": 0.2, "poor": -0.1, "middling": 0.1}, ("p", "q", "r"))
    searched = scored.filter(
        pl.col("prm").is_in(["able", "poor"]), policy="r", method="best_of_n", budget=16
    ).with_columns(method=pl.lit("dvts"))
    gains = examined(pl.concat([scored, searched]), scored.filter(method="best_of_n"))["prm_gains"]
    of_mean = gains.filter(
        pl.col("policy").is_null(), method="compute_optimal", budget=16, against="majority",
        bucket="all",
    )  # fmt: skip
    assert of_mean["n_policies"].to_list() == [2, 2, 2]
    assert dict(zip(of_mean["prm"], of_mean["discrimination"], strict=True)) == pytest.approx(
        {"poor": 61, "middling": 71, "able": 81}
    )
