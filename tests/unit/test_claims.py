"""Verdicts: every kind of rule with data that make it hold, fail and stay open."""

from __future__ import annotations

import csv
import io
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from synthetic_study import POLICIES, PRMS, ROLLOUTS, SyntheticStudy, with_the_papers_numbers

from compute_optimal.analyse.descriptions import extend
from compute_optimal.errors import StudyError
from compute_optimal.present.catalogue import ITEMS
from compute_optimal.present.claims import claims_page, claims_table, judge_claims
from compute_optimal.present.claims import judge as judging
from compute_optimal.present.claims import page as page_of_claims
from compute_optimal.present.claims.judge import Judgement
from compute_optimal.present.claims.price import prices
from compute_optimal.present.claims.records import records
from compute_optimal.present.query import run_query
from compute_optimal.study.config import (
    Claim,
    ClaimRule,
    hardware_named,
    load_claims,
    load_study,
)
from compute_optimal.study.cost import plan

ROOT = Path(__file__).parents[2]
CLAIMS = load_claims(ROOT / "config/claims.yaml")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    study = SyntheticStudy(
        policies=(*POLICIES[:2], *POLICIES[4:]),
        prms=(PRMS[0], PRMS[2], PRMS[3]),
        budgets=(4, 256),
        abilities={"math-shepherd-7b": 47.0, "qwen-math-7b": 73.5},
    )
    return with_the_papers_numbers(study.write(folder / "study.duckdb"))


@pytest.fixture(scope="module")
def verdicts(database: Path) -> Mapping[str, judging.Judgement]:
    return {verdict.claim.name: verdict for verdict in judge_claims(CLAIMS, database)}


def claim(scale: str, **rule: Any) -> Claim:
    return Claim(
        name="c", statement="s", where="w", scale=scale, query="averages", rule=ClaimRule(**rule)
    )


def judged(
    claim: Claim,
    cases: Sequence[Mapping[str, Any]],
    confidence: float = 0.95,
    seed: int = 0,
) -> judging.Judgement:
    return judging._judged(claim, cases, judging.Resampling(1000, confidence, seed))


def rows(
    *differences: float, n: int = 200, noise: float = 0.2, x: Sequence[float] = ()
) -> list[dict[str, Any]]:
    """Cases whose values exceed their references by ``differences`` on average."""
    rng = np.random.default_rng(0)
    cases = []
    for i, difference in enumerate(differences):
        reference = rng.uniform(0.3, 0.5, n)
        spread = rng.normal(0, noise, n)
        cases.append(
            {
                "case_name": f"case {i}",
                "task": "t",
                "problem_ids": [str(j) for j in range(n)],
                "value": (reference + difference + spread - spread.mean()).tolist(),
                "reference": reference.tolist(),
                "x": x[i] if x else None,
                "x_unit": "tenfold",
                "trend": "",
            }
        )
    return cases


# --- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "differences", "verdict", "reason"),
    [
        ({}, [0.1, 0.1], "reproduced", "on its side"),
        ({}, [-0.1, -0.1], "not reproduced", "contradicted"),
        ({}, [0.01, 0.0], "not reproduced", "undecided"),
        # One strong case carries the mean, but not a claim about each.
        ({}, [0.3, -0.05], "reproduced", "on its side"),
        ({"across": "each"}, [0.3, -0.05], "not reproduced", "contradicted in 1 of 2"),
        ({"across": "each"}, [0.3, 0.1], "reproduced", "holds in all 2"),
        ({"across": "each"}, [0.3, 0.0], "not reproduced", "undecided in 1 of 2"),
        ({"margin": 5}, [0.1], "reproduced", "on its side"),
        ({"margin": 15}, [0.1], "not reproduced", "contradicted"),
        ({"expect": "equal", "margin": 5}, [0.01], "reproduced", "on its side"),
        ({"expect": "equal", "margin": 5}, [0.2], "not reproduced", "contradicted"),
        ({"expect": "equal", "margin": 1}, [0.0], "not reproduced", "undecided"),
        ({"measure": "relative", "margin": 10}, [0.1], "reproduced", "on its side"),
    ],
)
def test_a_difference_is_judged_by_its_interval(
    rule: dict[str, Any], differences: list[float], verdict: str, reason: str
) -> None:
    outcome = judged(claim("study", **rule), rows(*differences))
    assert outcome.verdict == verdict
    assert reason in outcome.reason
    if rule.get("across") != "each":
        assert outcome.low < outcome.estimate < outcome.high


@pytest.mark.parametrize(
    ("expect", "differences", "verdict", "reason"),
    [
        ("falls", [0.3, 0.2, 0.1], "reproduced", "on its side"),
        ("rises", [0.3, 0.2, 0.1], "not reproduced", "contradicted"),
        ("falls", [0.1, 0.1, 0.1], "not reproduced", "undecided"),
    ],
)
def test_a_trend_is_judged_by_the_interval_of_its_slope(
    expect: str, differences: list[float], verdict: str, reason: str
) -> None:
    outcome = judged(claim("study", expect=expect), rows(*differences, x=[0, 1, 2]))
    assert (outcome.verdict, reason in outcome.reason) == (verdict, True)
    slope = 100 * (differences[-1] - differences[0]) / 2
    assert outcome.estimate == pytest.approx(slope)
    assert outcome.unit == "points per tenfold"


def test_each_trend_has_a_level_of_its_own() -> None:
    cases = rows(0.3, 0.2, 0.6, 0.5, x=[0, 1, 5, 6])
    for row, trend in zip(cases, "aabb", strict=True):
        row["trend"] = trend
    assert judged(claim("study", expect="falls"), cases).estimate == pytest.approx(-10)
    lonely = judged(claim("study", expect="falls"), rows(0.1, x=[0]))
    assert lonely.verdict == "untested"


def test_pairs_narrow_the_interval() -> None:
    """If every problem gains the same, resampling problems cannot change the gain much."""
    paired, noisy = (judged(claim("study"), rows(0.1, noise=noise)) for noise in (0, 0.5))
    assert paired.high - paired.low < 0.5 * (noisy.high - noisy.low)


def test_what_other_problems_chose_is_as_uncertain_as_the_choice() -> None:
    """Resampled problems keep the choice; by how much it adds is told beside the values."""
    kept = [{**row, "reference": [0.4] * 200, "widening": None} for row in rows(0.1)]
    again = [{**row, "widening": 1.5} for row in kept]
    one, other = (judged(claim("study"), cases) for cases in (kept, again))
    assert one.estimate == other.estimate
    for case, wider in ((one, other), *zip(one.cases, other.cases, strict=True)):
        assert wider.high - wider.low == pytest.approx(1.5 * (case.high - case.low))


def test_intervals_are_the_studys() -> None:
    usual, narrow, other = (
        judged(claim("study"), rows(0.1), confidence, seed)
        for confidence, seed in ((0.95, 0), (0.6, 0), (0.95, 1))
    )
    assert narrow.high - narrow.low < 0.6 * (usual.high - usual.low)
    assert other.low != usual.low
    assert other.low == pytest.approx(usual.low, abs=0.5)


def test_the_settings_come_from_the_database(database: Path, tmp_path: Path) -> None:
    """At 60% the intervals are less than half as wide as at 95%, and the table says so."""
    path = Path(shutil.copy(database, tmp_path / "study.duckdb"))
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE settings SET confidence = 0.6")
    asked = [claim for claim in CLAIMS if claim.name == "optimal_above_cot"]
    (usual,), (narrow,) = (judge_claims(asked, p) for p in (database, path))
    assert narrow.high - narrow.low < 0.6 * (usual.high - usual.low)
    assert "the whole 60% interval" in claims_table([narrow]).markdown()
    assert "Problems: the most that a case has" in claims_table([narrow]).markdown()


def test_verdicts_do_not_rest_on_optimism(database: Path, tmp_path: Path) -> None:
    """Right wherever problems choose for themselves, never where others choose for them."""
    path = Path(shutil.copy(database, tmp_path / "study.duckdb"))
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE outcomes SET accuracy = (prm IS NOT NULL)::INTEGER")
        connection.execute("UPDATE chosen_outcomes SET accuracy = (rule = 'in_sample')::INTEGER")
        connection.execute("UPDATE outcomes SET accuracy = 0.5 WHERE method IN ('cot', 'majority')")
    names = ("small_beats_large", "optimal_above_cot", "optimal_above_majority")
    asked = [claim for claim in CLAIMS if claim.name in (*names, "optimal_saves_budget")]
    for outcome in judge_claims(asked, path):
        assert "contradicted" in outcome.reason
        assert (outcome.estimate, outcome.in_sample) == pytest.approx((-50, 50))
        assert {(case.value, case.in_sample) for case in outcome.cases} == {(0, 100)}
    (row,) = csv.DictReader(io.StringIO(claims_table([outcome]).csv()))
    assert (float(row["measured"]), float(row["in_sample"])) == (-50, 50)
    assert "in-sample (Equation 3): +50" in claims_page([outcome])


def test_policies_of_about_one_size_are_not_a_small_and_a_large_one(
    database: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(database, tmp_path / "study.duckdb"))
    asked = [claim for claim in CLAIMS if claim.name == "small_beats_large"]
    (usual,) = judge_claims(asked, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE policies SET n_parameters = 1000 + length(policy)")
    (alike,) = judge_claims(asked, path)
    assert (usual.verdict == "untested", alike.verdict) == (False, "untested")


def test_data_without_spread_prove_little() -> None:
    """Nothing solved by anyone: no difference was seen, but 20 problems could have hidden one."""
    blank = rows(0.0, n=20)
    for row in blank:
        row["value"] = row["reference"] = [0.0] * 20
    outcome = judged(claim("study", expect="equal", margin=5), blank)
    assert (outcome.verdict, outcome.estimate) == ("not reproduced", 0)
    assert "undecided" in outcome.reason
    relative = judged(claim("study", measure="relative"), blank)
    assert (relative.verdict, relative.cases[0].n_problems) == ("untested", 20)


def test_data_with_next_to_no_spread_prove_as_little() -> None:
    """A chance of one in a million that anyone solves one of the problems is no evidence."""
    blank = rows(0.0, n=20)
    for row in blank:
        row["value"], row["reference"] = [0.0] * 20, [0.0] * 19 + [1e-6]
    outcome = judged(claim("study"), blank)
    assert outcome.reason == "undecided: the interval holds 0"
    assert outcome.low < -10
    assert outcome.high > 10


def test_an_end_that_is_0_but_for_rounding_is_on_no_side() -> None:
    case = rows(0.0, n=200)[0]
    case["reference"] = [1.0] * 200
    case["value"] = [0.5] + [1.0 - 1e-15] * 199
    outcome = judged(claim("study", across="each"), [case])
    (judged_case,) = outcome.cases
    assert judged_case.high == pytest.approx(0, abs=1e-9)
    assert judged_case.high < 0
    assert judged_case.holds is None


def test_what_a_small_task_adds_is_as_uncertain_as_its_few_problems_leave_it() -> None:
    """However many problems another task has on which nothing differs."""
    for value in (rows(0.1, n=30)[0]["value"], [0.5] * 30):
        few = {**rows(0.1, n=30)[0], "task": "few", "value": value, "reference": [0.4] * 30}
        many = {**rows(0.1, n=200)[0], "value": [0.5] * 200, "reference": [0.4] * 200}
        alone, both = (judged(claim("study"), cases) for cases in ([few], [few, many]))
        for one, half in ((alone, both), (alone.strict, both.strict)):
            assert half.high - half.low == pytest.approx((one.high - one.low) / 2, rel=0.05)


def test_without_enough_problems_nothing_is_tested() -> None:
    assert judged(claim("study"), []).verdict == "untested"
    few = judged(claim("study"), rows(0.5, n=9))
    assert (few.verdict, few.estimate) == ("untested", None)
    assert "no case has 10 problems or more" in few.reason
    half = judged(claim("paper", least_cases=2), rows(0.5))
    assert (half.verdict, "1 of 2 cases" in half.reason) == ("untested", True)


@pytest.mark.parametrize(
    ("rule", "values", "verdict"),
    [
        ({"expect": "above"}, [(2, 1), (3, 1)], "consistent"),
        ({"expect": "above"}, [(2, 1), (1, 1)], "inconsistent"),
        ({"expect": "at_least"}, [(2, 1), (1, 1)], "consistent"),
        ({"expect": "equal", "margin": 0.1}, [(1.05, 1)], "consistent"),
        ({"expect": "equal", "margin": 0.1}, [(1.2, 1)], "inconsistent"),
        ({"expect": "above", "measure": "relative", "margin": 50}, [(2, 1)], "consistent"),
        ({"expect": "above", "measure": "relative"}, [(2, 1), (1, 0)], "untested"),
    ],
)
def test_printed_numbers_are_checked_one_by_one(
    rule: dict[str, Any], values: list[tuple[float, float]], verdict: str
) -> None:
    cases = [{"case_name": "x", "value": a, "reference": b} for a, b in values]
    assert judged(claim("printed", **rule), cases).verdict == verdict
    assert judged(claim("printed", **rule), []).verdict == "untested"


@pytest.mark.parametrize("expect", ["above", "at_least", "equal", "rises", "falls"])
def test_an_interval_that_ends_on_its_margin_holds_where_the_rule_includes_it(expect: str) -> None:
    one = claim("study", expect=expect, margin=2)
    on, far = (-2.0, -9.0) if expect == "falls" else (2.0, 9.0)
    side = {"equal": (0.0, on)}.get(expect, (on, far))
    includes = expect in ("at_least", "equal")
    assert judging._holds(one, *sorted(side)) is (True if includes else None)
    assert judging._holds(one, *sorted((-far, on))) is None


# --- the stricter verdict ------------------------------------------------------------------------


def of_models(
    *differences: float, kind: str = "policy", noise: float = 0.2
) -> list[dict[str, Any]]:
    return [{**row, kind: f"m{i}"} for i, row in enumerate(rows(*differences, noise=noise))]


def test_models_that_disagree_say_little_about_models_in_general() -> None:
    general = claim("study", general=["policies"])
    agreeing, split = (
        judging._corrected([judged(general, of_models(*gains, noise=0.05))])[0]
        for gains in ([0.1, 0.11, 0.09, 0.1], [0.4, 0.0, 0.1, -0.1])
    )
    assert (agreeing.verdict, split.verdict) == ("reproduced", "reproduced")
    assert (agreeing.strict.verdict, split.strict.verdict) == ("reproduced", "not reproduced")
    assert "4 policies resampled too" in split.strict.reason
    assert split.strict.low < 0 < split.low
    assert agreeing.strict.low > 0


def test_one_model_is_no_test_of_a_claim_about_models() -> None:
    general = claim("study", general=["policies", "prms"])
    cases = [{**row, "prm": "the same"} for row in of_models(0.1, 0.1)]
    (outcome,) = judging._corrected([judged(general, cases)])
    assert (outcome.verdict, outcome.strict.verdict) == ("reproduced", "untested")
    assert "one PRM says nothing about PRMs in general" in outcome.strict.reason
    assert outcome.strict.corrected is None


def test_the_database_holds_the_verdicts_and_what_each_was_judged_on(
    verdicts: Mapping[str, judging.Judgement], database: Path, tmp_path: Path
) -> None:
    output = tmp_path / "study.duckdb"
    extend(database, records([*verdicts.values()]), output)
    with duckdb.connect(str(output), read_only=True) as connection:
        rows = connection.execute(
            "SELECT claim, verdict, estimate, n_cases, strict_verdict FROM claims"
        ).fetchall()
        assert rows == [
            (
                *(name, outcome.verdict, outcome.estimate, len(outcome.cases)),
                outcome.strict.verdict if outcome.strict else None,
            )
            for name, outcome in verdicts.items()
        ]
        differing = connection.execute(
            "SELECT claim FROM claims LEFT JOIN claim_cases USING (claim)"
            " GROUP BY claim, n_cases HAVING count(case_name) <> n_cases"
        ).fetchall()
        assert differing == []
        assert connection.execute("SELECT count(*) FROM main_curves").fetchone() != (0,)
        undescribed = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns()"
            " WHERE table_name IN ('claims', 'claim_cases') AND comment IS NULL"
        ).fetchall()
        assert undescribed == []


def test_many_claims_are_corrected_for() -> None:
    """What is just so settled alone is not among many; other scales do not count."""
    barely = judged(claim("study"), rows(0.032))
    assert barely.verdict == "reproduced"
    (alone,) = judging._corrected([barely])
    assert alone.strict.verdict == "reproduced"
    others = [judged(claim("study"), rows(0.0)) for _ in range(30)]
    elsewhere = [judged(claim("public"), rows(0.0)) for _ in range(30)]
    assert judging._corrected([barely, *elsewhere])[0].strict == alone.strict
    among = judging._corrected([barely, *others])[0].strict
    assert (among.p, among.verdict) == (alone.strict.p, "not reproduced")
    assert among.corrected == pytest.approx(31 * alone.strict.p)
    assert "undecided" in among.reason


def test_the_verdicts_of_a_study_are_corrected(verdicts: Mapping[str, judging.Judgement]) -> None:
    strict = [outcome.strict for outcome in verdicts.values() if outcome.strict]
    tested = [one for one in strict if one.p is not None]
    assert tested
    for one in tested:
        assert one.corrected is not None
        assert one.corrected >= one.p


@pytest.mark.parametrize(
    ("rule", "differences", "verdict", "reason"),
    [
        ({"expect": "equal", "margin": 5}, [0.01], "reproduced", "on its side"),
        ({"expect": "equal", "margin": 5}, [0.3], "not reproduced", "contradicted"),
        ({"expect": "equal", "margin": 5}, [-0.3], "not reproduced", "contradicted"),
        ({"margin": 15}, [0.1], "not reproduced", "contradicted"),
        ({"across": "each"}, [0.3, 0.2], "reproduced", "on its side"),
        ({"across": "each"}, [0.3, -0.2], "not reproduced", "contradicted"),
        ({"across": "first"}, [0.3, -0.2], "reproduced", "on its side"),
    ],
)
def test_the_stricter_verdict_knows_every_rule(
    rule: dict[str, Any], differences: list[float], verdict: str, reason: str
) -> None:
    (outcome,) = judging._corrected([judged(claim("study", **rule), rows(*differences))])
    assert outcome.strict.verdict == verdict
    assert reason in outcome.strict.reason


def test_a_trend_is_resampled_with_its_models() -> None:
    falls = claim("study", expect="falls", general=["policies"])
    cases = [
        {**row, "policy": f"m{i}"}
        for i, row in enumerate(rows(0.4, 0.31, 0.19, 0.1, x=[0, 1, 2, 3], noise=0.05))
    ]
    (outcome,) = judging._corrected([judged(falls, cases)])
    assert outcome.strict.verdict == "reproduced"
    assert outcome.strict.low < outcome.estimate < outcome.strict.high < 0
    assert outcome.strict.high - outcome.strict.low > outcome.high - outcome.low


def moves(standard_error: float) -> list[float]:
    """What 50 resamplings that choose again move a difference by."""
    values = np.random.default_rng(0).permutation(
        [NormalDist().inv_cdf((i + 0.5) / 50) for i in range(50)]
    )
    return (standard_error * values / values.std()).tolist()


def test_a_difference_of_two_choices_is_as_uncertain_as_both() -> None:
    kept = rows(0.1)
    again = [{**row, "choice_deviations": moves(0.05)} for row in kept]
    one, other = (judged(claim("study"), cases) for cases in (kept, again))
    assert one.estimate == other.estimate
    # Standard errors of independent causes add up in squares: 95% lies within 1.96 of them.
    half, wider = ((case.high - case.low) / 2 for case in (one, other))
    assert wider == pytest.approx(math.hypot(half, 1.96 * 5), rel=0.1)


def test_no_limit_of_a_difference_is_beyond_100_points() -> None:
    always = [
        {**row, "value": [1.0] * 200, "reference": [0.0] * 199 + [0.1], "widening": 3.0}
        for row in rows(0.1)
    ]
    chosen = [{**row, "choice_deviations": moves(0.4)} for row in always]
    for cases in (always, chosen):
        outcome = judged(claim("study"), cases)
        assert 95 < outcome.estimate <= outcome.high <= 100
        (case,) = outcome.cases
        assert case.low < case.high <= 100


def test_two_choices_that_hardly_differ_are_as_uncertain_as_choosing_makes_them() -> None:
    """A spread of next to nothing is no measure of what choosing anew adds."""
    alike = [
        {
            **row,
            "reference": [*row["value"][:-1], row["value"][-1] - 1e-7],
            "choice_deviations": moves(0.01),
        }
        for row in rows(0.1)
    ]
    one = judged(claim("study"), alike)
    assert one.estimate == pytest.approx(0, abs=1e-4)
    assert (one.high - one.low) / 2 == pytest.approx(1.96, rel=0.1)


def test_choices_that_move_together_are_as_uncertain_together() -> None:
    """The mean of two cases, whose choices move alike, against each other, or apart."""
    alike, against = moves(0.05), [-move for move in moves(0.05)]
    first, second = rows(0.1, 0.1)
    halves = {}
    for name, (one, other) in {
        "kept": ([], []), "alike": (alike, alike), "against": (alike, against), "one": (alike, []),
    }.items():  # fmt: skip
        cases = [{**first, "choice_deviations": one}, {**second, "choice_deviations": other}]
        outcome = judged(claim("study"), cases)
        halves[name] = (outcome.high - outcome.low) / 2
    assert halves["against"] == pytest.approx(halves["kept"])
    for name, error in (("alike", 5), ("one", 2.5)):
        expected = math.hypot(halves["kept"], 1.96 * error)
        assert halves[name] == pytest.approx(expected, rel=0.1)


# --- the paper against itself --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "failing"),
    [
        (
            "printed_twice",
            [
                "Llama-3.2-3B-Instruct, MATH-500, compute-optimal TTS: Figure 1 against Table 3",
                "Llama-3.2-3B-Inst., MATH-500, compute-optimal TTS: Table 3 against Table 5",
                "Qwen2.5-1.5B-Inst., MATH-500, compute-optimal TTS: Table 3 against Table 5",
            ],
        ),
        ("averages", ["Table 6: Qwen2.5-7B-Inst. w/ 7B PRM (Ours)"]),
        ("efficiency_bounds", ["Llama-3.2-1B-Inst.: >256.0", "Qwen2.5-1.5B-Inst.: >256.0"]),
        (
            "efficiency_below_one",
            [
                "Qwen2.5-32B-Inst."
                " (majority voting is best at N = 204 at most, as the grid ends at N = 256)"
            ],
        ),
        ("flops_reduction", ["DeepSeek-R1 / DeepSeek-R1-Distill-7B: at least 100"]),
        ("larger_budget", ["Llama-3.2-1B-Inst. (N=512) on AIME24"]),
        ("printed_r1_distill_1_5b", ["o1-mini on AIME24"]),
        ("printed_r1_distill_7b", ["DeepSeek-R1 on MATH-500"]),
        ("inference_flops_with_prm", ["Llama-3.1-405B-Inst. against Llama-3.2-3B-Inst."]),
        ("inference_flops_active", ["DeepSeek-R1 against DeepSeek-R1-Distill-7B"]),
    ],
)
def test_the_papers_inconsistencies_come_out(
    verdicts: Mapping[str, judging.Judgement], name: str, failing: list[str]
) -> None:
    outcome = verdicts[name]
    assert outcome.verdict == "inconsistent"
    assert sorted(case.name for case in outcome.cases if not case.holds) == sorted(failing)


def test_no_prm_is_counted_for_what_the_paper_ran_by_majority_voting(
    verdicts: Mapping[str, judging.Judgement],
) -> None:
    alone, with_prm = (
        {case.name: case.reference for case in verdicts[name].cases}
        for name in ("inference_flops", "inference_flops_with_prm")
    )
    ratios = {name: with_prm[name] / alone[name] for name in alone}
    assert ratios == {
        "DeepSeek-R1 against DeepSeek-R1-Distill-7B": 1,
        "Llama-3.1-405B-Inst. against Llama-3.2-3B-Inst.": pytest.approx(1 + 7 / 3),
    }


def test_the_rest_of_the_paper_agrees_with_itself(
    verdicts: Mapping[str, judging.Judgement],
) -> None:
    consistent = {name for name, outcome in verdicts.items() if outcome.verdict == "consistent"}
    assert consistent == {
        "performance_gains", "headline_numbers", "flops_totals", "inference_flops",
        "printed_gains_by_size", "printed_1b_405b", "printed_3b_405b", "printed_half_b_gpt_4o",
        "printed_r1_distill_7b_average", "printed_long_cot", "printed_long_cot_distilled",
        "printed_prm_data", "printed_voting_skywork", "printed_voting_qwen",
    }  # fmt: skip
    assert len(verdicts["performance_gains"].cases) == 10


# --- the file, and what is written ---------------------------------------------------------------


def test_every_claim_of_the_file_is_judged(verdicts: Mapping[str, judging.Judgement]) -> None:
    assert list(verdicts) == [claim.name for claim in CLAIMS]
    for outcome in verdicts.values():
        if outcome.claim.scale == "printed":
            assert outcome.verdict in ("consistent", "inconsistent")
        else:
            assert outcome.verdict in ("reproduced", "not reproduced", "untested")
    untested = {name for name, outcome in verdicts.items() if outcome.verdict == "untested"}
    # The made-up study has no R1-Distill models.
    assert {name for name in untested if "r1_distill" in name} == {
        "paper_r1_distill_1_5b",
        "paper_r1_distill_7b",
    }


def test_a_measured_claim_is_what_plain_python_finds(
    database: Path, verdicts: Mapping[str, judging.Judgement]
) -> None:
    with duckdb.connect(str(database), read_only=True) as connection:
        outcomes = connection.execute(
            "SELECT task, policy, prm, method, problem_id, accuracy FROM outcomes WHERE bucket ="
            " 'easy' AND budget = 256 AND scoring = 'prm_last' AND voting = 'prm_max'"
        ).fetchall()
    means: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for task, policy, prm, method, _, accuracy in outcomes:
        means.setdefault((task, policy, prm), {}).setdefault(method, []).append(accuracy)
    differences = [
        100 * (np.mean(of["best_of_n"]) - np.mean(of["beam_search"]))
        for of in means.values()
        if len(of["best_of_n"]) >= judging.MINIMUM_PROBLEMS
    ]
    outcome = verdicts["best_of_n_on_easy"]
    assert len(outcome.cases) == len(differences)
    assert outcome.estimate == pytest.approx(np.mean(differences))


def test_the_papers_models_are_judged_by_what_the_paper_says_and_ran(tmp_path: Path) -> None:
    """R1-Distill was run by majority voting, and of 1B the abstract speaks on MATH-500 alone."""
    study = SyntheticStudy(
        policies=(*POLICIES[:1], ("r1", "DeepSeek-R1-Distill-Qwen-7B", "R1", 7_620_000_000)),
        prms=PRMS[:1],
        budgets=(4, 512),
    )
    path = with_the_papers_numbers(study.write(tmp_path / "study.duckdb"))
    names = ("paper_1b_405b", "paper_r1_distill_7b")
    small, reasoning = judge_claims([c for c in CLAIMS if c.name in names], path)
    assert [case.name.partition(" on ")[2] for case in small.cases] == ["MATH-500 (as printed)"]
    assert small.verdict != "untested"
    with duckdb.connect(str(path), read_only=True) as connection:
        voted = dict(
            connection.execute(
                "SELECT title, 100 * avg(accuracy) FROM outcomes INNER JOIN tasks USING (task)"
                " WHERE policy = 'r1' AND method = 'majority' AND budget = 512 GROUP BY title"
            ).fetchall()
        )
    assert len(reasoning.cases) == 4
    for case in reasoning.cases:
        (task,) = (title for title in voted if f" on {title}" in case.name)
        assert case.value == pytest.approx(voted[task])


def test_a_number_that_is_measured_again_on_the_same_problems_can_be_found_equal(
    tmp_path: Path,
) -> None:
    """The problems are the paper's own: what resampling them shows is no difference of two runs.
    On a part of them it is."""
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 500),), policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,)
    )
    path = with_the_papers_numbers(study.write(tmp_path / "study.duckdb"))
    asked = [c for c in CLAIMS if c.name == "paper_cot"]
    verdicts = []
    for right, n in ((135, 500), (160, 500), (70, 250)):
        with duckdb.connect(str(path)) as connection:
            connection.execute(
                "UPDATE outcomes SET accuracy = (place <= ?)::INTEGER FROM (SELECT problem_id AS"
                " name, row_number() OVER (ORDER BY problem_id) AS place FROM outcomes"
                " WHERE method = 'cot') WHERE name = problem_id AND method = 'cot'",
                [right],
            )
            connection.execute(
                "DELETE FROM outcomes WHERE method = 'cot' AND problem_id NOT IN (SELECT problem_id"
                " FROM outcomes WHERE method = 'cot' ORDER BY problem_id LIMIT ?)",
                [n],
            )
        (outcome,) = judge_claims(asked, path)
        (case,) = outcome.cases
        assert (case.value, case.reference) == pytest.approx((100 * right / n, 26.0))
        verdicts.append(outcome.reason.partition(":")[0])
    assert verdicts == ["the interval is on its side", "contradicted", "undecided"]


def test_what_table_5_prints_is_all_that_its_claims_are_about(tmp_path: Path) -> None:
    """Table 3 prints other models and tasks, R1-Distill by majority voting: not Table 5's."""
    asked = load_study(ROOT / "config/paper.yaml")
    policies = [asked.policy(name) for name in asked.policies]
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 30), ("aime24", "AIME24", 30)),
        policies=tuple((p.name, p.title, p.family, p.n_parameters) for p in policies),
        prms=PRMS[:1],
        budgets=(4, 512),
    )
    path = with_the_papers_numbers(study.write(tmp_path / "study.duckdb"))
    with duckdb.connect(str(path), read_only=True) as connection:
        rows = connection.execute(
            "SELECT method, model, value FROM published"
            " WHERE item = 'Table 5' AND metric = 'accuracy'"
        ).fetchall()
    for name, method in (
        ("paper_cot", "CoT"),
        ("paper_majority", "Majority voting"),
        ("paper_optimal", "compute-optimal TTS"),
    ):
        (outcome,) = judge_claims([c for c in CLAIMS if c.name == name], path)
        printed = {
            model.replace("Inst.", "Instruct"): float(value)
            for of, model, value in rows
            if of == method
        }
        assert len(printed) == 10
        found = {case.name.partition(", MATH-500, ")[0]: case.reference for case in outcome.cases}
        assert found == pytest.approx(printed)
        assert len(outcome.cases) == 10


@pytest.mark.parametrize("name", ["paper_cot", "paper_1b_405b", "paper_mostly_easy"])
def test_a_part_of_a_task_that_others_chose_does_not_stand_beside_numbers_printed_of_all_of_it(
    name: str, tmp_path: Path
) -> None:
    """ZeroEval answered the problems of the hardest level alone: no sample of the task's."""
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 60),),
        policies=POLICIES[5:] if name == "paper_mostly_easy" else POLICIES[:1],
        prms=PRMS[:1],
        budgets=(4, 512),
    )
    path = with_the_papers_numbers(study.write(tmp_path / "study.duckdb"))
    asked = [c for c in CLAIMS if c.name == name]
    judged = []
    for change in (
        "SELECT 1",
        "UPDATE tasks SET n_problems = 500",
        "UPDATE policies SET origin = 'adopted'",
        "UPDATE tasks SET n_problems = 60",
    ):
        with duckdb.connect(str(path)) as connection:
            connection.execute(change)
        (outcome,) = judge_claims(asked, path)
        judged.append((len(outcome.cases), outcome.verdict == "untested"))
    tested, untested = (1, False), (0, True)
    assert judged == [tested, tested, untested, tested]


def test_a_share_of_problems_that_is_measured_again_is_compared_with_the_printed_one(
    tmp_path: Path,
) -> None:
    """Above 80% of 64 samples is 52 of them and more."""
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 500),), policies=POLICIES[5:], prms=PRMS[:1], budgets=(4,)
    )
    path = with_the_papers_numbers(study.write(tmp_path / "study.duckdb"))
    asked = [c for c in CLAIMS if c.name == "paper_mostly_easy"]
    reasons = []
    for above, right in ((390, 52), (390, 51), (300, 52)):
        with duckdb.connect(str(path)) as connection:
            connection.execute(
                "UPDATE rated SET n_correct = if(place <= ?, ?, 0), pass_at_1 = if(place <= ?,"
                " ?, 0) / 64 FROM (SELECT problem_id AS name, row_number() OVER (ORDER BY"
                " problem_id) AS place FROM rated) WHERE name = problem_id",
                [above, right, above, right],
            )
        (outcome,) = judge_claims(asked, path)
        (case,) = outcome.cases
        share = above / 5 if right == 52 else 0
        assert (case.value, case.reference) == pytest.approx((share, 76.2))
        reasons.append(outcome.reason.partition(":")[0])
    assert reasons == ["the interval is on its side", "contradicted", "contradicted"]


def test_tokens_of_two_prms_are_compared_at_the_largest_budget_of_both(tmp_path: Path) -> None:
    mistral = PRMS[1]
    deepseek = ("rlhflow-deepseek-8b", "RLHFlow-PRM-Deepseek-8B", "rlhflow", 8_030_000_000)
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 40),),
        policies=POLICIES[4:5],
        prms=(mistral, deepseek),
        budgets=(4, 16),
    )
    path = with_the_papers_numbers(study.write(tmp_path / "study.duckdb"))
    asked = [c for c in CLAIMS if c.name == "paper_prm_tokens"]
    reasons = []
    for factor in (2.0, 1.0):
        with duckdb.connect(str(path)) as connection:
            connection.execute(
                "UPDATE problem_costs SET generated_tokens = n_units * unit_budget * if(prm = ?,"
                " 100, 100 * ?) * if(problem_hash LIKE '%0', 1.5, 1) * if(budget = 4, 7, 1)",
                [mistral[0], factor],
            )
        (outcome,) = judge_claims(asked, path)
        assert [case.name for case in outcome.cases] == [
            f"Qwen2.5-7B-Instruct, {method}, RLHFlow-PRM-Deepseek-8B against"
            f" RLHFlow-PRM-Mistral-8B, MATH-500{n}, tokens"
            for method, n in (("beam_search", ", N = 16"), ("dvts", ""))
        ]
        for case in outcome.cases:
            assert case.reference == pytest.approx(100 * (37 + 3 * 1.5) / 40)
            assert case.value == pytest.approx(factor * case.reference)
            assert case.difference == pytest.approx(100 * (factor - 1))
        assert outcome.unit == "%"
        reasons.append(outcome.reason.partition(":")[0])
    assert reasons == ["the interval is on its side", "contradicted"]


@pytest.mark.parametrize("left_out", ["policy", "prm", "difficulty"])
def test_what_a_choice_depends_on_is_judged_by_what_was_examined(
    database: Path, verdicts: Mapping[str, judging.Judgement], left_out: str
) -> None:
    outcome = verdicts[f"depends_on_{left_out}"]
    with duckdb.connect(str(database), read_only=True) as connection:
        differences = connection.execute(
            "SELECT difference FROM choice_dependence WHERE left_out = ?", [left_out]
        ).fetchall()
    assert len(outcome.cases) == len(differences) > 1
    assert outcome.estimate == pytest.approx(100 * np.mean(differences))
    assert outcome.strict is not None
    assert outcome.strict.models == "4 policies and 3 PRMs"


def test_a_study_that_ran_nothing_tests_nothing(tmp_path: Path) -> None:
    study = SyntheticStudy(policies=POLICIES[:1], prms=PRMS[:1], missing=[(None, None, None)])
    path = study.write(tmp_path / "s.duckdb")
    measured = [claim for claim in CLAIMS if claim.scale != "printed"]
    for outcome in judge_claims(measured, path):
        assert outcome.verdict == "untested"
        assert outcome.claim.needs in outcome.reason


def test_a_parameter_that_is_wrong_is_named(database: Path) -> None:
    (right,) = (claim for claim in CLAIMS if claim.name == "beam_on_hard")
    lacking = right.model_copy(update={"parameters": {"first": "dvts"}})
    with pytest.raises(StudyError, match="second needs a value"):
        judge_claims([lacking], database)
    unknown = right.model_copy(update={"parameters": {**right.parameters, "prm": "x"}})
    with pytest.raises(StudyError, match="prm is no parameter"):
        judge_claims([unknown], database)


def test_an_unknown_query_is_named(database: Path) -> None:
    wrong = CLAIMS[0].model_copy(update={"query": "avrages"})
    with pytest.raises(StudyError, match="no query called avrages") as error:
        judge_claims([wrong], database)
    assert "did you mean averages" in str(error.value.cure)


def test_the_file_of_claims_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(
        "claims:\n  a: {statement: s, where: w, scale: papr, query: q, rule: {expect: more}}\n"
    )
    with pytest.raises(StudyError, match="2 things are wrong"):
        load_claims(path)


def test_the_table_and_the_page_show_every_claim(
    verdicts: Mapping[str, judging.Judgement],
) -> None:
    outcomes = [*verdicts.values()]
    read = [*csv.DictReader(io.StringIO(claims_table(outcomes).csv()))]
    assert [(row["claim"], row["statement"], row["verdict"]) for row in read] == [
        (one.claim.name, one.claim.statement, one.verdict) for one in outcomes
    ]
    page = claims_page(outcomes)
    assert page.count("<section") == len(outcomes)
    assert "<script" not in page
    assert "http:" not in page
    assert "https:" not in page
    for row in read:
        assert f'id="claim-{row["claim"]}"' in page


def test_the_table_and_the_database_call_a_claim_and_its_scale_alike(
    verdicts: Mapping[str, judging.Judgement],
) -> None:
    """``claim`` was the sentence in one and the name in the other, and scales were words here and
    names there."""
    outcomes = [*verdicts.values()]
    table = claims_table(outcomes)
    read = [*csv.DictReader(io.StringIO(table.csv()))]
    _, stored = records(outcomes)["claims"]
    alike = ["claim", "statement", "conditions", "made_in", "scale", "query", "verdict", "reason"]
    assert [[row[name] for name in alike] for row in read] == [
        list(row) for row in stored.select(alike).rows()
    ]
    assert {row["scale"] for row in read} == set(page_of_claims.CHECKED_ON)
    assert " | the paper&#39;s models | " in table.markdown().replace("'", "&#39;")


def said(claim: Claim) -> str:
    return f"{claim.statement}; {claim.conditions}"


def test_a_claim_on_real_models_says_its_conditions() -> None:
    """config/README.md says so: which model, with which PRM, to which N, on which problems."""
    for one in CLAIMS:
        if one.scale == "public":
            for condition in (r"Llama.* (in 4 bits|of 1B)", r"RLHFlow-Deepseek", "MATH-500",
                              r"\d+ (level-5 )?problems",
                              r"N = \d+|best-of-\d+|N \((1B: 2, )?3B: 4"):  # fmt: skip
                assert re.search(condition, said(one)), (one.name, condition)


def test_a_sentence_says_what_another_reading_would_decide_otherwise() -> None:
    """Of the shipped results DVTS alone beats best-of-N with strong PRMs where the mean of both
    searches does not, and gains in points fall where relative ones do not, or the other way."""
    for one in CLAIMS:
        methods = (one.parameters.get("first"), one.parameters.get("second"))
        if "beam_search|dvts" in methods:
            assert "the mean of beam search and DVTS" in said(one), one.name
        if one.rule.expect in ("rises", "falls") and one.rule.measure == "relative":
            assert "relative gain" in said(one), one.name
            assert "by a straight line" in said(one), one.name
        if one.query == "voting":
            assert "mean over three scorings" in said(one), one.name


def test_verdicts_of_different_scales_are_never_counted_together(
    verdicts: Mapping[str, judging.Judgement],
) -> None:
    """What holds for miniatures alone was counted with what holds for real models."""
    of_scale: dict[str, list[judging.Judgement]] = {}
    for one in verdicts.values():
        of_scale.setdefault(one.claim.scale, []).append(one)
    assert len(of_scale) > 1
    tally = claims_page([*verdicts.values()]).partition('claims-tally">')[2].partition("</dl>")[0]
    lines = dict(re.findall(r'<dt><a href="#scale-(\w+)">.*?</dt>\s*<dd>(.*?)</dd>', tally, re.S))
    assert lines.keys() == of_scale.keys()
    for scale, ones in of_scale.items():
        shown = dict(re.findall(r"claims-(\w+)\">\S (\d+) \1<", lines[scale]))
        badges = [page_of_claims._badge(one) for one in ones]
        assert shown == {badge: str(badges.count(badge)) for badge in badges}


def test_the_page_says_whose_models_are_resampled_and_what_is_untested() -> None:
    """No plot without a word on what is missing from it; nothing named that a link does not lead
    to; the correction stands once."""
    named, general = (
        judging._corrected([judged(claim(scale, **rule), of_models(0.1, 0.1, noise=0.05))])[0]
        for scale, rule in (("public", {}), ("study", {"general": ["policies"]}))
    )
    printed = judged(claim("printed"), [{"case_name": "x", "value": 2, "reference": 1}])
    by = "<b>Corrected for the number of claims (Holm):</b> reproduced: on its side: p = "
    page = claims_page([named])
    assert by in page
    assert page.count("(Holm)") == 1
    assert "Models resampled too, and corrected" not in page
    assert "untested;" not in page
    assert f'"#claim-{printed.claim.name}">its cases below' in claims_page([printed])
    page = claims_page([general, judged(claim("study"), [])])
    assert "<b>Models resampled too, and corrected for the number of claims (Holm):</b>" in page
    assert page.count("1 more is untested; what each needs stands below.") == 1
    assert "before the results were seen" not in page


def test_the_first_list_says_of_how_many_problems_a_number_is_and_where_stricter_is_otherwise() -> (
    None
):
    """A general claim stood there as reproduced by models of which few agree, and its number
    without one word on what it is a mean of."""
    general = claim("study", general=["policies"])
    agreeing, split = (
        judging._corrected([judged(general, of_models(*gains, noise=0.05))])[0]
        for gains in ([0.1, 0.11, 0.09, 0.1], [0.4, 0.0, 0.1, -0.1])
    )
    other = replace(split, claim=split.claim.model_copy(update={"name": "other"}))
    page = claims_page([agreeing, other])
    tally, _, rest = page.partition('claims-tally">')[2].partition("</dl>")
    assert "<small>stricter: 1 reproduced, 1 undecided</small>" in tally
    assert "Stricter: with policies and PRMs resampled too where a claim is general" in rest
    effects = re.findall(r'<span class="effect">(.*?)</span>', rest)
    assert all('<small class="muted">4 cases of 200 problems</small>' in one for one in effects)
    assert [one.count("stricter: ? undecided") for one in effects] == [0, 1]
    assert "stricter:" not in claims_page([agreeing])
    first = judged(claim("public", across="first"), rows(0.1, 0.2))
    assert ">200 problems</small>" in claims_page([first])


def test_the_list_says_how_it_is_drawn_and_each_rule_its_margin() -> None:
    """That differences "reach from −10 to +10" was said of some that are all on one side."""
    page = claims_page([judged(claim("public"), rows(-0.1, noise=0.01))])
    assert "Differences in points are drawn to one scale, 10 on either side of 0" in page
    printed = [{"case_name": "one", "value": 3.0, "reference": 1.0}]
    for expect, said in {
        "above": "the value exceeds its reference by more than 2",
        "at_least": "the value is at least 2 above its reference",
        "equal": "value and reference differ by at most 2",
    }.items():
        page = claims_page([judged(claim("printed", expect=expect, margin=2), printed)])
        assert f"{said}, in each case" in page
    page = claims_page([judged(claim("printed", expect="at_least"), printed)])
    assert "the value is at least its reference, in each case" in page


def test_a_case_leads_to_the_specs_of_each_of_its_models() -> None:
    """No row of the table of specs names two policies, so these are alternatives."""
    makers = [
        {"policy_title": policy, "prm_title": prm, "engines": "e", "packages": "0", "seed": 0}
        for policy, prm in (("Small", "Judge"), ("Large (4 bits)", None))
    ]
    asked = {"Small, N = 4, on t": "Small", "Small, Judge, N = 4": "Small+Judge"}
    asked["Small, N = 4, against Large (4 bits) on t"] = "Large%7CSmall"
    for name, words in asked.items():
        case = {**rows(0.1)[0], "case_name": name}
        page = claims_page([judged(claim("study"), [case])], makers=makers)
        assert f'href="tables/provenance.html#rows={words}"' in page, name


def test_names_cannot_act_on_the_page() -> None:
    hostile = rows(0.1)
    hostile[0]["case_name"] = "<script>x</script>\u202e<img src=x onerror=y>"
    page = claims_page([judged(claim("study"), hostile)])
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "&lt;script&gt;" in page


def test_strong_and_weak_prms_are_told_by_their_measured_ability(tmp_path: Path) -> None:
    """Whatever their formats: the boundary is halfway between the paper's own."""
    path = SyntheticStudy(
        tasks=(("math500", "MATH-500", 40),),
        policies=POLICIES[:1],
        budgets=(4, 16),
        abilities={"math-shepherd-7b": 41.0, "skywork-1.5b": 40.8, "qwen-math-7b": 12.0},
    ).write(tmp_path / "study.duckdb")
    asked = [c for c in CLAIMS if c.name in ("search_above_best_of_n", "best_of_n_above_search")]
    assert {outcome.verdict for outcome in judge_claims(asked, path)} == {"untested"}
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO processbench SELECT prm, subset, f1, NULL, NULL, source FROM read_csv(?)",
            [str(ROOT / "data/published/processbench.csv")],
        )
    strong, weak = judge_claims(asked, path)
    named = {
        outcome.claim.name: [case.name for case in outcome.cases] for outcome in (strong, weak)
    }
    assert named == {
        "search_above_best_of_n": [
            "Llama-3.2-1B-Instruct, Math-Shepherd-PRM-7B (F1 41.0), MATH-500, N = 16"
        ],
        "best_of_n_above_search": [
            "Llama-3.2-1B-Instruct, Qwen2.5-Math-PRM-7B (F1 12.0), MATH-500, N = 16",
            "Llama-3.2-1B-Instruct, Skywork-PRM-1.5B (F1 40.8), MATH-500, N = 16",
        ],
    }
    boundary = f"{(33.8 + 48.0) / 2:.1f}%"
    assert all(boundary in outcome.claim.conditions for outcome in (strong, weak))


def test_a_prm_is_one_model_on_every_task_whatever_its_ability_there(tmp_path: Path) -> None:
    """Models are what the stricter verdict resamples: two tasks make no two PRMs of one."""
    path = SyntheticStudy(
        policies=POLICIES[:2], prms=PRMS[:2], budgets=(4, 16),
        abilities={"math-shepherd-7b": 80.0, "rlhflow-mistral-8b": 70.0},
    ).write(tmp_path / "study.duckdb")  # fmt: skip
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO processbench SELECT prm, subset, f1, NULL, NULL, source FROM read_csv(?)",
            [str(ROOT / "data/published/processbench.csv")],
        )
        connection.execute(
            "INSERT INTO prm_rates BY NAME SELECT 'aime24' AS task, prm, 'f1' AS measure,"
            " f1 / 200 AS value FROM (FROM VALUES ('math-shepherd-7b', 130.0),"
            " ('rlhflow-mistral-8b', 120.0)) AS measured (prm, f1)"
        )
    asked = [c for c in CLAIMS if c.name == "search_above_best_of_n"]
    (outcome,) = judge_claims(asked, path)
    assert {name for case in outcome.cases for name in re.findall(r"F1 [0-9.]+", case.name)} == {
        "F1 80.0", "F1 70.0", "F1 65.0", "F1 60.0",
    }  # fmt: skip
    assert outcome.strict.models == "2 policies and 2 PRMs"


def test_a_home_family_is_whose_solutions_a_prm_was_taught_on(tmp_path: Path) -> None:
    """Not its format, and not the base that it grew from."""
    path = SyntheticStudy(
        tasks=(("math500", "MATH-500", 40),),
        policies=(*POLICIES[:1], *POLICIES[4:5]),
        budgets=(4, 16),
        families={"skywork-1.5b": "Llama"},
    ).write(tmp_path / "study.duckdb")
    (outcome,) = judge_claims([c for c in CLAIMS if c.name == "home_family"], path)
    # What is compared is no accuracy, so its unit is said.
    assert [case.name for case in outcome.cases] == [
        "Skywork-PRM-1.5B, MATH-500, gain over majority voting in points"
    ]
    with duckdb.connect(str(path), read_only=True) as connection:
        gains = dict(
            connection.execute(
                "SELECT family, 100 * (avg(accuracy) FILTER (method = 'best_of_n')"
                " - avg(accuracy) FILTER (method = 'majority'))"
                " FROM outcomes INNER JOIN policies USING (policy)"
                " WHERE budget = 16 AND (method = 'majority' OR (method = 'best_of_n'"
                " AND prm = 'skywork-1.5b' AND scoring = 'prm_last' AND voting = 'prm_max'))"
                " GROUP BY family"
            ).fetchall()
        )
    assert outcome.cases[0].value == pytest.approx(gains["Llama"])
    assert outcome.cases[0].reference == pytest.approx(gains["Qwen2.5"])


def test_no_claim_costs_more_than_the_items_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    study = Path("config/paper.yaml")
    untested = [Judgement(claim, "untested", "") for claim in CLAIMS if claim.scale == "paper"]
    texts = prices(untested, study)
    assert texts.keys() == {one.claim.name for one in untested}
    entry = load_study(study)
    alone = plan(entry, *hardware_named(entry)).items
    for one in untested:
        text = texts[one.claim.name]
        numbers = re.findall(r"(\d[\d,]*) (?:GPU|of)", text)
        hours, of_items = (float(number.replace(",", "")) for number in numbers)
        assert hours <= of_items
        if len(one.claim.items) == 1:
            (said,) = alone.filter(pl.col("item") == one.claim.items[0])["gpu_hours"]
            assert of_items == pytest.approx(said, abs=0.5)
        assert f'CONFIG={study} ITEMS="{", ".join(one.claim.items)}"' in text


@pytest.mark.parametrize("expect", ["rises", "falls"])
def test_a_trend_of_printed_numbers_is_refused_with_what_to_expect_instead(expect: str) -> None:
    with pytest.raises(ValueError, match=r"printed numbers have no trend.*at_least or equal"):
        claim("printed", expect=expect)


def test_a_margin_has_the_unit_of_what_is_judged() -> None:
    expected = {
        "above, margin 5 %: mean over the cases, relative": claim(
            "study", measure="relative", margin=5
        ),
        "above, margin 5 points: mean over the cases": claim("study", margin=5),
        "above, margin 5: each case": claim("printed", margin=5),
        "equal, margin 1 point: first case": claim(
            "public", expect="equal", margin=1, across="first"
        ),
        "falls: slope of a straight line, relative": claim(
            "study", expect="falls", measure="relative"
        ),
    }
    table = claims_table([Judgement(one, "untested", "") for one in expected.values()])
    written = csv.DictReader(io.StringIO(table.csv()))
    assert [row["rule"] for row in written] == [*expected]


def test_on_which_side_of_its_margin_a_verdict_is_can_be_seen() -> None:
    below = judged(claim("study"), rows(-0.1))
    shifted = replace(below, estimate=-0.8, low=-1.6, high=-0.02)
    assert "−0.8 [−1.6, −0.02] points" in claims_page([shifted])
    equal = claim("study", expect="equal", margin=1)
    assert "−1.9 [−2.7, −1.04] points" in claims_page(
        [replace(shifted, claim=equal, estimate=-1.9, low=-2.7, high=-1.04)]
    )
    (case,) = below.cases
    # By the rule of every table and figure: of two that are equally near the one further from 0.
    case = replace(case, value=97.25)
    page = claims_page([replace(below, cases=(replace(case, difference=-9.7, high=-2.1e-4),))])
    assert ">97.3<" in page
    assert ", −0.0002]" in page


def test_every_margin_of_the_forest_plot_lies_within_it() -> None:
    """One beyond all intervals was drawn at the edge, as if the plot ended there."""
    page = claims_page([judged(claim("study", margin=60), rows(0.1))])
    ((line, interval),) = zip(
        re.findall(r'class="margin" x1="([\d.]+)"', page),
        re.findall(r'class="interval of-\w+" x1="[\d.]+" x2="([\d.]+)"', page),
        strict=True,
    )
    assert float(interval) < float(line) < 199


def test_the_rule_of_a_trend_says_that_it_is_one() -> None:
    """It said that a difference falls "on the mean over the cases", of which there is none."""
    falls = judged(claim("study", expect="falls", measure="relative"), rows(0.2, 0.1, x=[0, 1]))
    page = claims_page([falls])
    assert "the straight line that fits the differences (in % of the reference)" in page
    assert "falls with x (tenfold)" in page
    assert "the mean over the cases" not in page


def test_one_of_anything_is_singular() -> None:
    alone = judged(claim("printed"), [{"case_name": "a", "value": 2, "reference": 1}])
    assert alone.reason == "holds in the one case"
    page = claims_page([judged(claim("study", expect="equal", margin=1), rows(0.1))])
    assert "differ by at most 1 point," in page


def test_the_largest_n_of_real_models_is_one_that_nearly_all_problems_have(tmp_path: Path) -> None:
    """Curves go on to the largest pool of a problem. The page said that rollouts reach to N = 19,
    where 101 of 500 problems have fewer samples and nothing is shown."""
    path = SyntheticStudy(
        policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,), rollouts=ROLLOUTS
    ).write(tmp_path / "s.duckdb")
    (before,) = run_query("evidence", path)
    assert before["public_largest_budget"] == 17
    with duckdb.connect(str(path)) as database:
        database.execute(
            "INSERT INTO curve_points SELECT one.* REPLACE (999 AS budget,"
            " (0.8 * one.n_problems)::BIGINT AS n_problems)"
            " FROM curve_points AS one INNER JOIN policies USING (policy)"
            " WHERE origin = 'adopted' AND method IN ('pass_at_k', 'majority', 'best_of_n')"
        )
    (after,) = run_query("evidence", path)
    assert after == before


def test_the_page_links_to_what_the_study_has_and_says_where_nothing_is_tested(
    tmp_path: Path,
) -> None:
    """Items of real models are made only where rollouts are adopted."""
    for adopted in ((), (POLICIES[0][0],)):
        path = SyntheticStudy(
            policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,), adopted=adopted
        ).write(tmp_path / f"{len(adopted)}.duckdb")
        (evidence,) = run_query("evidence", path)
        page = claims_page(judge_claims(CLAIMS, path), evidence)
        shown = {item.name for item in ITEMS if item.scale != "public" or adopted}
        linked = set(re.findall(r'href="(?:figures|tables)/(\w+)\.', page))
        assert linked <= shown
        assert bool(adopted) == ("public_sources" in linked)
        for of_scale in ("explorer", "browser"):
            assert bool(adopted) == (f"{of_scale}.html#scale=public" in page)
            assert f"{of_scale}.html#scale=study" in page
        assert bool(adopted) or "None of them is tested by this study" in page


def test_the_box_of_real_models_says_what_ran_to_which_n_with_which_prm() -> None:
    """The largest N of all stood before the PRMs, none of which reached it."""
    models = [
        {"model": "Llama-3.2-1B-Instruct-AWQ", "is_scaled": True, "is_cot": False},
        {"model": "Qwen2.5-7B-Instruct", "is_scaled": True, "is_cot": True},
        {"model": "Qwen2.5-72B-Instruct", "is_scaled": False, "is_cot": True},
        {"model": "o1-mini-2024-09-12", "is_scaled": False, "is_cot": True},
        {"model": "only-stored", "is_scaled": False, "is_cot": False},
    ]
    evidence = {
        "n_printed": 1, "n_printed_items": 1, "is_miniature": False, "n_policies": 0,
        "n_collections": 5, "public_policies": models, "public_tasks": ["MATH-500"],
        "public_largest_budget": 40,
        "public_prms": [{"title": "A", "budget": 16}, {"title": "B", "budget": None}],
    }  # fmt: skip
    page = claims_page([judged(claim("study"), rows(1.0))], evidence)
    lines = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", page))
    assert lines["Largest N"] == "40 without a PRM, 16 with A, none with B"
    assert lines["With TTS"] == "2 models: Llama-3.2-Instruct-AWQ 1B; Qwen2.5-Instruct 7B"
    assert lines["One answer"] == "3 models: Qwen2.5-Instruct 7B, 72B; o1-mini-2024-09-12"
    assert lines["Neither"] == "only-stored"
    assert lines["Runs"].startswith("5 collections")
    assert lines["Models"] == "none: this study runs no models of its own"


@pytest.mark.parametrize("is_miniature", [False, True])
def test_claims_on_miniatures_are_said_to_be_so(is_miniature: bool) -> None:
    evidence = {
        "n_printed": 1, "n_printed_items": 1, "is_miniature": is_miniature, "n_policies": 1,
        "own_prms": None, "smallest": 7e5, "largest": 7e5, "smallest_prm": None,
        "largest_prm": None, "largest_budget": 1, "own_tasks": ["T"], "n_collections": 0,
        "public_policies": None, "public_tasks": None, "public_largest_budget": None,
        "public_prms": None,
    }  # fmt: skip
    page = claims_page([judged(claim("study"), rows(1.0))], evidence)
    headings = re.findall(r'<h3 id="scale-study">([^<]*)</h3>\s*<p>([^<]*)</p>', page)
    assert len(headings) == 1
    assert all(("the scale model" in one) == is_miniature for one in headings[0][:1])
    assert ("no evidence about large models" in headings[0][1]) == is_miniature
    # By size alone: whose they are and what they solve is not known here.
    assert "trained here" not in headings[0][1]


def test_what_rollouts_reach_is_told_by_prm(tmp_path: Path) -> None:
    path = SyntheticStudy(
        policies=POLICIES[:1], prms=PRMS[:2], budgets=(4,), rollouts=ROLLOUTS
    ).write(tmp_path / "study.duckdb")
    with duckdb.connect(str(path)) as connection:
        # One that scored searches, and one that scored nothing that was judged.
        for policy, (prm, *_) in zip((ROLLOUTS[0].policy, ROLLOUTS[1].policy), PRMS, strict=False):
            connection.execute("UPDATE collections SET prm = ? WHERE policy = ?", [prm, policy])
    (evidence,) = run_query("evidence", path)
    names = {one.model for one in ROLLOUTS}
    assert {row["model"] for row in evidence["public_policies"]} == names
    greedy = {one.model for one in ROLLOUTS if one.is_greedy}
    assert {row["model"] for row in evidence["public_policies"] if row["is_cot"]} == greedy
    scaled = {one.model for one in ROLLOUTS if one.n_samples > 1 or one.searched}
    assert {row["model"] for row in evidence["public_policies"] if row["is_scaled"]} == scaled
    with duckdb.connect(str(path), read_only=True) as connection:
        largest = connection.execute(
            "SELECT prm, max(budget) FROM curves WHERE policy IN"
            " (SELECT policy FROM policies WHERE origin = 'adopted') GROUP BY prm"
        ).fetchall()
    expected: dict[str | None, int] = dict(largest)
    titles = {title: prm for prm, title, *_ in PRMS}
    assert evidence["public_largest_budget"] == expected[None]
    assert len(evidence["public_prms"]) == 2
    for row in evidence["public_prms"]:
        assert row["budget"] == expected.get(titles[row["title"]])
    assert evidence["public_prms"][-1]["budget"] is None


def test_samples_that_tell_difficulty_are_no_budget(tmp_path: Path) -> None:
    path = SyntheticStudy(policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,)).write(
        tmp_path / "study.duckdb"
    )
    with duckdb.connect(str(path)) as connection:
        columns = [name for name, *_ in connection.execute("DESCRIBE cells").fetchall()]
        values = {"method": "difficulty", "budget": 512, "status": "stored"}
        connection.execute(
            f"INSERT INTO cells VALUES ({', '.join('?' for _ in columns)})",
            [values.get(name) for name in columns],
        )
    assert run_query("evidence", path)[0]["largest_budget"] != 512
