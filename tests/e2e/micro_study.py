"""A small study of the scale model, and the commands that its rules call."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from default_study import POLICIES, PRM, ROOT, TASK

from compute_optimal.cli import main
from compute_optimal.store import places
from compute_optimal.store.partitions import Partition, Store
from compute_optimal.study import cells
from compute_optimal.study.config import Study, load_study
from compute_optimal.study.plan import StudyPlan

POLICY = POLICIES[-1]


def study(tmp_path: Path, **keys: Any) -> Study:
    """One policy and one PRM on a few problems, with a store of its own below ``tmp_path``."""
    return load_study(
        ROOT / "config/config.yaml",
        {
            "generate": "missing",
            "tasks": [TASK],
            "policies": [POLICY],
            "prms": [PRM],
            "adopted": [],
            "problems": 6,
            "methods": ["majority", "best_of_n"],
            "budgets": [2, 4],
            "search_budgets": None,
            "difficulty": {"n_samples": 2},
            "store": {"writable": str(tmp_path / "store"), "shipped": str(tmp_path / "none")},
            **keys,
        },
    )


def arguments(verb: str, of: Study, tmp_path: Path, *options: str, prm: str = PRM) -> list[str]:
    """What the rule of this verb hands to the command; its receipt is ``tmp_path/VERB.json``."""
    plan = StudyPlan(of)
    job: Any = SimpleNamespace(origin="run", task=TASK, policy=POLICY, prm=prm)
    spec = {
        "draw-samples": plan.samples,
        "score-steps": plan.scores,
        "search-trees": plan.searches,
    }[verb](job)
    output = tmp_path / f"{verb}.json"
    return [verb, "--spec", spec, "--output", str(output), *plan.storage.split(), *options]


def command(verb: str, of: Study, tmp_path: Path, *options: str) -> list[str]:
    """The same as a process that can be killed."""
    return [sys.executable, "-m", "compute_optimal", *arguments(verb, of, tmp_path, *options)]


def succeed(verb: str, of: Study, tmp_path: Path, *, prm: str = PRM) -> None:
    """Run a command in this process, where vLLM is imported only once."""
    assert main(arguments(verb, of, tmp_path, prm=prm)) == 0


def pool(of: Study) -> Partition:
    """The evaluation pool of the study's policy."""
    return places.partition(_store(of), cells.sample_spec(of, TASK, POLICY, "evaluation"))


def scores(of: Study) -> Partition:
    """The PRM's scores of that pool."""
    return places.partition(_store(of), cells.score_spec(of, TASK, POLICY, PRM))


def searches(of: Study, prm: str = PRM) -> Iterator[tuple[cells.Cell, Partition]]:
    """All searches of the study with a PRM, with what is stored of them."""
    for search in cells.searches(of, TASK, POLICY, prm):
        yield search, places.partition(_store(of), search.spec)


def _store(of: Study) -> Store:
    return Store(of.store.writable, [of.store.shipped])
