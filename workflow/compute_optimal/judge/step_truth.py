"""The truth about steps, for tasks of which every step can be checked exactly.

One row per sample of the evaluation pool: its steps, which of them are right, and whether it ends
in an answer. What a PRM says about them is compared in ``prm_ability``.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.judge.answers import of_cell, stored_rows
from compute_optimal.judge.pruning import Check, pruned_paths
from compute_optimal.policies.steps import split_steps
from compute_optimal.store.partitions import write_result
from compute_optimal.store.places import partition
from compute_optimal.store.storage import Storage
from compute_optimal.study.requests import ChecksRequest
from compute_optimal.tasks import Problem, step_checker

CHECKED: dict[str, pl.DataType] = {
    "problem_id": pl.String(),
    "sample_index": pl.Int64(),
    "problem": pl.String(),
    "gold": pl.String(),
    "steps": pl.List(pl.String()),
    "correct": pl.List(pl.Boolean()),
    "finished": pl.Boolean(),
}
"""Columns of a checked solution. ``steps`` and ``correct`` have one item a step."""


def check_steps(request: ChecksRequest, storage: Storage, steps: Path, pruning: Path) -> None:
    """The rule of this name: the checked steps of one (task, policy), and what searches pruned."""
    for frame, path in (
        (check_solutions(request, storage), steps),
        (check_searches(request, storage), pruning),
    ):
        write_result(of_cell(frame, request.task_name, request.policy), path)


def check_solutions(request: ChecksRequest, storage: Storage) -> pl.DataFrame:
    """Check every step of a pool: a table of ``CHECKED``.

    Raises ``StudyError`` for a task without an exact check, and where the store has lost rows that
    were there when the job was planned.
    """
    problems, check = _checkable(request, storage)
    facts = pl.DataFrame(
        {
            "problem_id": [p.problem_id for p in problems],
            "problem_hash": [p.problem_hash for p in problems],
            "problem": [p.problem for p in problems],
            "gold": [p.answer for p in problems],
        }
    )
    cell = partition(storage.store, request.samples)
    rows = (
        stored_rows(cell.read("samples", ["text"]), cell.directory)
        .filter(pl.col("sample_index") < request.n)
        .join(facts, on="problem_hash")
    )
    # Policies write the same solution many times.
    different = rows.select("problem_id", "problem", "text").unique(maintain_order=True)
    steps = [split_steps(text) for text in different["text"]]
    checks = [check(problem, s) for problem, s in zip(different["problem"], steps, strict=True)]
    checked = different.select("problem_id", "text").with_columns(
        pl.Series("steps", steps, CHECKED["steps"]),
        pl.Series("correct", [c.correct for c in checks], CHECKED["correct"]),
        pl.Series("finished", [c.finished for c in checks], CHECKED["finished"]),
    )
    order = pl.DataFrame({"problem_id": facts["problem_id"]}).with_row_index("position")
    return (
        rows.join(checked, on=["problem_id", "text"])
        .join(order, on="problem_id")
        .sort("position", "sample_index")
        .select(*CHECKED)
    )


def check_searches(request: ChecksRequest, storage: Storage) -> pl.DataFrame:
    """What became of the right paths of all searches of a policy: a table of ``PRUNING``.

    Raises ``StudyError`` as ``check_solutions`` does.
    """
    return pruned_paths(request.searches, storage, *_checkable(request, storage))


def _checkable(request: ChecksRequest, storage: Storage) -> tuple[list[Problem], Check]:
    check = step_checker(request.task["kind"])
    if check is None:
        raise StudyError(
            "the steps of this task cannot be checked exactly",
            where=request.task_name,
            cure="take arithmetic-chains; for other tasks abilities are taken from ProcessBench",
        )
    return storage.generated_problems(request.task, request.problems), check
