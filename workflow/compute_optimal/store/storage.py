"""Where a command finds things: the store, the mirror, downloads; and whether it may generate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import polars as pl

from compute_optimal.store.columns import COUNT, TEXT, Column, Columns, common
from compute_optimal.store.partitions import Store
from compute_optimal.store.places import partition
from compute_optimal.study.spec import Spec, problems_spec
from compute_optimal.tasks import Problem, generated_problems, load_problems, task_identity

if TYPE_CHECKING:  # judging and estimating need no configuration, which takes longest to import
    from compute_optimal.study.config import LockEntry, Registry, Study, TaskEntry

DOWNLOADS = Path("resources/tasks")

FACTS = Columns(
    "Problems, one a row; texts of outside tasks are no part of it",
    {
        **common("problem_id", "problem_hash"),
        "answer": Column(TEXT, "Right answer"),
        "level": Column(COUNT, "Level of difficulty that the task gives, 1 the easiest; else null"),
        "subject": Column(TEXT, "Subject that the task gives; else null"),
    },
)
"""What judging needs of a problem."""


def shipped_store(study: Study) -> Store:
    """What ships with a study, without what else is stored here."""
    return Store(study.store.writable / "nothing", [study.store.shipped])


@dataclass(frozen=True)
class Storage:
    """Run-time surroundings of a command; nothing here may change a result."""

    store: Store
    read_registry: Callable[[], Registry]
    """Asked when an entry is first needed; judging and estimating need none."""
    read_lock: Callable[[], Mapping[str, LockEntry]]
    generate: Literal["never", "missing"] = "never"
    mirror: Path | None = None
    verdicts: Literal["stored", "anew"] = "stored"
    """Whether the verdicts on adopted answers are taken as they are stored, or made again."""
    part_seconds: float = 30.0
    """A part is written about this often: the most that a crash can cost."""

    @classmethod
    def of(cls, study: Study, store: Store | None = None) -> Storage:
        """The surroundings that a study names, with another ``store`` if one is given."""
        return cls(
            store or Store(study.store.writable, [study.store.shipped]),
            study.read_registry,
            study.read_lock,
            study.generate,
            study.mirror,
            study.verdicts,
        )

    @cached_property
    def registry(self) -> Registry:
        """What is known of tasks and models. Raises ``StudyError`` for a bad file."""
        return self.read_registry()

    @cached_property
    def lock(self) -> Mapping[str, LockEntry]:
        """What pins each model. Raises ``StudyError`` for a bad file."""
        return self.read_lock()

    def problems(self, task: TaskEntry, limit: int | None) -> list[Problem]:
        """The first ``limit`` problems of a task, with texts: from a mirror or the network.

        Raises ``StudyError`` as ``tasks.load_problems`` does.
        """
        hashes = self._stored_hashes(task_identity(task))
        problems = load_problems(task, mirror=self.mirror, downloads=DOWNLOADS, hashes=hashes)
        return problems[:limit]

    def generated_problems(self, task: Spec, limit: int | None) -> list[Problem]:
        """The same of a task that is generated (``tasks.task_identity``): no file is read."""
        return generated_problems(task, self._stored_hashes(task))[:limit]

    def _stored_hashes(self, task: Spec) -> list[str] | None:
        facts = self._stored_facts(task)
        return None if facts is None else facts["problem_hash"].to_list()

    def stored_facts(self, task: TaskEntry, limit: int | None) -> pl.DataFrame | None:
        """Facts about the first ``limit`` problems, or None where the store holds none."""
        facts = self._stored_facts(task_identity(task))
        return None if facts is None else facts.head(limit or facts.height)

    def _stored_facts(self, task: Spec) -> pl.DataFrame | None:
        rows = partition(self.store, problems_spec(task)).read("problems")
        return None if rows.is_empty() else rows.sort("position").select(*FACTS)

    def facts(self, task: TaskEntry, limit: int | None) -> pl.DataFrame:
        """Facts about the first ``limit`` problems; loaded and stored if they were not yet.

        Raises ``StudyError`` where they cannot be loaded, or the disk is full.
        """
        stored = self.stored_facts(task, limit)
        if stored is not None:
            return stored
        problems = self.problems(task, None)
        rows = pl.DataFrame(
            {
                "position": range(len(problems)),
                "problem_id": [p.problem_id for p in problems],
                "problem_hash": [p.problem_hash for p in problems],
                "answer": [p.answer for p in problems],
                "level": [p.level for p in problems],
                "subject": [p.subject for p in problems],
            },
            schema={"position": pl.Int64(), **FACTS},
        )
        partition(self.store, problems_spec(task_identity(task))).append("problems", rows)
        return rows.select(*FACTS).head(limit or rows.height)
