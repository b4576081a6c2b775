"""Tasks: problem sets with checkable answers.

A problem's text may be fetched (``datasets``) or generated (``arithmetic_chains``); everything
after this room sees only ``Problem``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compute_optimal.study.config import TaskEntry
    from compute_optimal.study.spec import Spec
    from compute_optimal.tasks.arithmetic_chains import StepCheck

TASK_VERSION = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem and its gold answer.

    ``problem_id`` is unique within its task; ``level`` (1 = easiest) and ``subject`` are None
    where the task has none.
    """

    problem_id: str
    problem: str
    answer: str
    level: int | None
    subject: str | None

    @property
    def problem_hash(self) -> str:
        """First 16 hexadecimal digits of the sha256 of the problem text (UTF-8)."""
        return hashlib.sha256(self.problem.encode()).hexdigest()[:16]


def load_problems(
    task: TaskEntry, *, mirror: Path | None, downloads: Path, hashes: Sequence[str] | None = None
) -> list[Problem]:
    """All problems of a task, in the order of its source.

    A fetched task is looked up by sha256 in ``mirror``, then in ``downloads``, then at its
    address; a generated task needs neither folder, and less time where the ``hashes`` of its
    problems are known.

    Raises ``StudyError`` where the file cannot be had, has another sha256, cannot be read, holds a
    problem twice or not the number of problems that the registry states.
    """
    from compute_optimal.tasks import datasets

    if task.kind == "arithmetic_chains":
        return generated_problems(task_identity(task), hashes)
    return datasets.load(task, mirror=mirror, downloads=downloads)


def generated_problems(task: Spec, hashes: Sequence[str] | None = None) -> list[Problem]:
    """All problems of a generated task (``task_identity``), in less time where their ``hashes`` are
    known.

    Raises ``StudyError`` as ``load_problems`` does.
    """
    known = None if hashes is None else tuple(hashes)
    # As they come from JSON: lists are no key.
    parameters = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in task["parameters"].items()
    }
    return list(_chains(known, **parameters))


@lru_cache(maxsize=1)
def _chains(hashes: tuple[str, ...] | None, **parameters: Any) -> tuple[Problem, ...]:
    from compute_optimal.tasks import arithmetic_chains

    return tuple(arithmetic_chains.generate(**parameters, hashes=hashes))


def step_checker(kind: str) -> Callable[[str, Sequence[str]], StepCheck] | None:
    """The exact check of a problem's (text, steps), None for a kind of task that has no such check.

    Tasks that have one are generated.
    """
    from compute_optimal.tasks import arithmetic_chains

    return arithmetic_chains.check_steps if kind == "arithmetic_chains" else None


def task_identity(task: TaskEntry) -> dict[str, Any]:
    """What determines a task's problems, known before any file is read: part of specs.

    ``version`` is raised when the readers or the generator change what they return.
    """
    source = (
        {"sha256": task.sha256}
        if task.parameters is None
        else {"parameters": task.parameters.model_dump()}
    )
    return {"name": task.name, "kind": task.kind, "version": TASK_VERSION, **source}
