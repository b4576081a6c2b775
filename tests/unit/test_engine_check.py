"""The page of the first five minutes: what is outside says what to do, and nothing is markup."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from compute_optimal.errors import StudyError
from compute_optimal.ship.engine_check import (
    Check,
    Report,
    apart,
    models_to_look_at,
    stored_twice,
)
from compute_optimal.store.partitions import Store
from compute_optimal.study.config.registry import load_registry

REGISTRY = Path(__file__).parents[2] / "config/registry"
EVIL = "</td><script>alert(1)</script>"


def check(*, within: bool, found: str = "7 of 8") -> Check:
    return Check("same seeds twice", "all of them", found, within, "see the driver", 1.0)


def test_a_report_passes_where_all_is_within_and_says_what_was_expected() -> None:
    report = Report({"engine": "vllm 1.0"}, [check(within=True)])
    assert report.passed
    assert "ok      same seeds twice: 7 of 8" in report.text
    assert "expected: all of them" in report.text
    assert "do:" not in report.text
    assert "All 1 checks are within" in report.html
    assert "vllm 1.0" in report.html


def test_what_is_outside_is_counted_and_says_what_to_do() -> None:
    report = Report(checks=[check(within=True), check(within=False)])
    assert not report.passed
    assert "OUTSIDE same seeds twice" in report.text
    assert "do: see the driver" in report.text
    assert "1 of 2 checks are outside" in report.html


def test_what_a_driver_or_an_engine_says_is_escaped() -> None:
    report = Report({EVIL: EVIL}, [check(within=False, found=EVIL)])
    assert "<script" not in report.html


@pytest.mark.parametrize(("one", "other"), [(math.nan, 9.0), (9.0, math.nan), (math.nan, math.nan)])
def test_a_score_that_is_no_number_is_as_far_off_as_can_be(one: float, other: float) -> None:
    assert apart([1.0, one, 2.0], [1.0, other, 2.0]) == math.inf
    assert apart([one], [other]) == math.inf


def test_what_is_stored_twice_is_counted_in_the_parts(tmp_path: Path) -> None:
    """Read together they give each key once, so that nothing stored twice could be seen."""

    def samples(*indices: int) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "problem_hash": ["a"] * len(indices),
                "sample_index": list(indices),
                "run": [str(indices)] * len(indices),
            }
        )

    cell = Store(tmp_path / "store").partition("samples", "task.policy", {"seed": 0})
    assert stored_twice(cell, "samples") == 0
    cell.append("samples", samples(0, 1))
    cell.append("samples", samples(2))
    assert stored_twice(cell, "samples") == 0
    cell.append("samples", samples(1, 2, 3))
    assert stored_twice(cell, "samples") == 2


def test_scores_are_compared_as_probabilities() -> None:
    assert apart([0.0, 1000.0], [0.0, 800.0]) == 0
    assert apart([0.0, 0.0], [0.0, -1000.0]) == 0.5


@pytest.mark.parametrize("kind", ["policies", "prms"])
def test_a_registry_without_models_that_ship_is_one_message(kind: str) -> None:
    registry = replace(load_registry(REGISTRY), **{kind: {}})
    with pytest.raises(StudyError, match="nothing to look at"):
        models_to_look_at(registry, on_gpu=False)
