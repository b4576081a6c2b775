"""The stored solutions of the scale model, checked step by step."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from compute_optimal.errors import StudyError
from compute_optimal.judge.step_truth import CHECKED, check_solutions
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import load_study
from compute_optimal.study.requests import ChecksRequest

ROOT = Path(__file__).parents[2]


def test_a_solution_is_right_where_its_answer_is_and_no_step_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is right by its steps has the right answer; the reverse need not hold."""
    monkeypatch.chdir(ROOT)
    study = load_study(Path("config/config.yaml"))
    task, policy = study.task(study.tasks[0]), study.policies[0]
    request = ChecksRequest(
        task=cells.task_spec(task)["task"],
        problems=10,
        policy=policy,
        n=8,
        samples=cells.sample_spec(study, task.name, policy, "evaluation"),
        searches=(),
    )
    checked = check_solutions(request, Storage.of(study))
    assert checked.schema == CHECKED
    assert checked.height == 80
    rows = checked.with_columns(
        all_right=pl.col("correct").list.all() & pl.col("finished"),
        boxed=pl.col("steps").list.last().str.extract(r"\\boxed\{(-?\d+)\}"),
    )
    assert rows["all_right"].any()
    assert not rows["all_right"].all()
    right = rows.filter("all_right")
    assert (right["boxed"] == right["gold"]).all()
    outside = cells.task_spec(study.task("MATH-500"))["task"]
    other = request.model_copy(update={"task": outside})
    with pytest.raises(StudyError, match="cannot be checked exactly"):
        check_solutions(other, Storage.of(study))
