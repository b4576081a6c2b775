"""Where a command finds things: the store, the mirror, downloads; and whether it may generate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from compute_optimal.store.columns import COUNT, TEXT, Column, Columns, common
from compute_optimal.store.partitions import Store
from compute_optimal.study.cells import partition, task_spec
from compute_optimal.study.config import (
    LockEntry,
    Registry,
    Study,
    TaskEntry,
    load_lock,
    load_registry,
)
from compute_optimal.tasks import Problem, load_problems

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


@dataclass(frozen=True)
class Storage:
    """Run-time surroundings of a command; nothing here may change a result."""

    store: Store
    registry: Registry
    lock: Mapping[str, LockEntry]
    generate: Literal["never", "missing"] = "never"
    mirror: Path | None = None
    verdicts: Literal["stored", "anew"] = "stored"
    """Whether the verdicts on adopted answers are taken as they are stored, or made again."""
    part_seconds: float = 30.0
    """A part is written about this often: the most that a crash can cost."""

    @classmethod
    def of(cls, study: Study) -> Storage:
        """The surroundings that a study names."""
        store = Store(study.store.writable, [study.store.shipped])
        registry, lock = load_registry(study.registry), load_lock(study.lock_file)
        return cls(store, registry, lock, study.generate, study.mirror, study.verdicts)

    def problems(self, task: TaskEntry, limit: int | None) -> list[Problem]:
        """The first ``limit`` problems of a task, with texts: from a mirror or the network.

        Raises ``StudyError`` as ``tasks.load_problems`` does.
        """
        facts = self.stored_facts(task, None)
        hashes = None if facts is None else facts["problem_hash"].to_list()
        problems = load_problems(task, mirror=self.mirror, downloads=DOWNLOADS, hashes=hashes)
        return problems[:limit]

    def stored_facts(self, task: TaskEntry, limit: int | None) -> pl.DataFrame | None:
        """Facts about the first ``limit`` problems, or None where the store holds none."""
        rows = partition(self.store, task_spec(task)).read("problems")
        if rows.is_empty():
            return None
        return rows.sort("position").select(*FACTS).head(limit or rows.height)

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
        partition(self.store, task_spec(task)).append("problems", rows)
        return rows.select(*FACTS).head(limit or rows.height)
