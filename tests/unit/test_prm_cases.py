"""Examples of failures are the ones that the rules in their captions name."""

from __future__ import annotations

import polars as pl
from test_prm_ability import BY_HAND, Solution, tables

from compute_optimal.analyse.prm_ability import verdicts_of
from compute_optimal.analyse.prm_cases import CASES, choose

IDS = ["p0", "p1", "p2"]


def chosen(solutions: list[Solution]) -> pl.DataFrame:
    checked, scores = tables(solutions)
    return choose(verdicts_of(checked, {"prm": {"a": scores}}, IDS), "chains")


def marked(cases: pl.DataFrame, failure: str) -> tuple[int, dict[str, int]]:
    """The sample that was chosen, and the positions of its marks."""
    rows = cases.filter(failure=failure)
    marks = rows.filter(pl.col("mark").is_not_null())
    (sample,) = set(rows["sample_index"])
    return sample, dict(marks.select("mark", "position").iter_rows())


def test_the_rules_by_hand() -> None:
    cases = chosen(BY_HAND)
    assert cases.schema == CASES
    assert marked(cases, "over_criticism") == (1, {"right, but scored low": 2})
    assert marked(cases, "error_neglect") == (5, {"first error, not flagged": 3})
    # Both misplaced ones have a gap of 2 between the error and the flagged step: the first counts.
    assert marked(cases, "localisation_bias") == (3, {"first flagged": 1, "first error": 2})
    # "22" gets less than "1" before it; nowhere does the longer of two get more.
    assert marked(cases, "prefers_shorter") == (1, {"shorter": 1, "longer": 2})
    assert cases.filter(failure="prefers_longer").is_empty()
    truths = cases.filter(failure="localisation_bias")["truth"].to_list()
    assert truths == ["right", "wrong", "after"]


def test_the_worst_case_is_chosen_and_the_first_of_equals() -> None:
    mild = ("p0", ["1", "end"], [True, True], True, [-0.1, 1.0])
    severe = ("p1", ["1", "end"], [True, True], True, [-3.0, 1.0])
    assert marked(chosen([mild, severe, severe]), "over_criticism")[0] == 1


def test_a_faultless_prm_has_no_cases() -> None:
    perfect = ("p0", ["1", "1", "end"], [True, False, True], True, [1.0, -1.0, -1.0])
    assert chosen([(*BY_HAND[0][:4], [1.0, 1.0, 1.0]), perfect]).is_empty()


def test_two_prms_that_choose_differently() -> None:
    right = ("p0", ["1", "end"], [True, True], True, [1.0, 2.0])
    wrong = ("p0", ["2", "end"], [False, True], True, [1.0, 1.0])
    checked, good = tables([right, wrong])
    bad = good.with_columns(margins=pl.Series([[1.0, 0.5], [1.0, 4.0]], dtype=pl.List(pl.Float32)))
    both = {"good": {"a": good}, "bad": {"a": bad}}
    cases = choose(verdicts_of(checked, both, IDS), "chains")
    disagreements = cases.filter(failure="disagreement")
    assert disagreements.select("prm", "sample_index", "mark").rows() == [
        ("good", 0, None),
        ("good", 0, "right choice"),
        ("bad", 1, None),
        ("bad", 1, "wrong choice"),
    ]
    # As many samples are not the same samples: the bad PRM has not scored what the good one chose.
    checked, scores = tables([right, wrong, wrong])
    other = scores.with_columns(margins=pl.Series([[1.0, 2.0], [1.0, 0.5], [1.0, 4.0]]))
    unlike = {
        "good": {"a": scores.filter(pl.col("sample_index") != 2)},
        "bad": {"a": other.filter(pl.col("sample_index") != 0)},
    }
    cases_unlike = choose(verdicts_of(checked, unlike, IDS), "chains")
    assert cases_unlike.filter(failure="disagreement").is_empty()
    same = {"good": {"a": good}, "too": {"a": good}}
    alike = choose(verdicts_of(checked, same, IDS), "chains")
    assert alike.filter(failure="disagreement").is_empty()


def test_a_prm_that_has_read_no_solution_has_no_cases() -> None:
    """All of a policy's were too long for it; the other PRM's cases stand."""
    right = ("p0", ["1", "end"], [True, True], True, [-3.0, 2.0])
    checked, scores = tables([right])
    for none in (
        scores.clear(),
        scores.with_columns(margins=pl.Series([[]], dtype=pl.List(pl.Float32))),
    ):
        assert choose(verdicts_of(checked, {"prm": {"a": none}}, IDS), "chains").is_empty()
        beside = choose(
            verdicts_of(checked, {"none": {"a": none}, "prm": {"a": scores}}, IDS), "chains"
        )
        assert beside.equals(chosen([right]))
        assert not beside.is_empty()
