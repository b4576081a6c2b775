"""What the rules of this zone call: ensure what a request asks for, and write the rule's output.

That is a table of facts for ``prepare_problems``, and for the others a receipt (``jobs.Receipt``).
All raise ``StudyError`` as the functions of ``jobs`` do.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from compute_optimal.generate import jobs
from compute_optimal.store.partitions import write_description, write_result
from compute_optimal.store.storage import Storage
from compute_optimal.study.requests import (
    ProblemsRequest,
    SamplesRequest,
    ScoresRequest,
    SearchesRequest,
)


def prepare_problems(request: ProblemsRequest, storage: Storage, output: Path) -> None:
    """Facts about the problems of a task (``storage.FACTS``), with its name in front."""
    task = storage.registry.task(request.task_name)
    facts = storage.facts(task, request.problems)
    write_result(facts.select(pl.lit(task.name).alias("task"), pl.all()), output)


def draw_samples(request: SamplesRequest, storage: Storage, output: Path) -> None:
    """The pools of one (task, policy)."""
    write_description(jobs.draw_samples(request, storage), output)


def score_steps(request: ScoresRequest, storage: Storage, output: Path) -> None:
    """One PRM's scores of a pool."""
    write_description(jobs.score_steps(request, storage), output)


def search_trees(request: SearchesRequest, storage: Storage, output: Path) -> None:
    """All searches of one (task, policy, PRM)."""
    write_description(jobs.search_trees(request, storage), output)
