"""A small study with pools and searches: the study's own commands on made-up engines."""

from __future__ import annotations

import base64
import json
import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_engines
import pytest
from default_study import POLICIES, PRM, ROOT, TASK

from compute_optimal.cli import main
from compute_optimal.engines.requests import FinishReason, SampleRequest
from compute_optimal.generate import jobs as generate
from compute_optimal.study.config import parse_study
from compute_optimal.study.plan import StudyPlan

POLICY = POLICIES[0]
SENTENCES = ("Add them.", "Take the first two.", "Start with the last.", "Carry on from there.")


def respond(
    sentences: tuple[str, ...], so_far: str, generator: random.Random, request: SampleRequest
) -> tuple[str, FinishReason]:
    """One step, or a whole solution where the request stops at no step."""
    steps = []
    n_steps = so_far.count("\n\n")
    while True:
        if n_steps + len(steps) >= 2 and generator.random() < 0.5:
            return "\n\n".join([*steps, f"So \\boxed{{{generator.choice((18, 21, 25))}}}"]), "eos"
        steps.append(f"{generator.choice(sentences)} ({generator.randint(1, 9)})")
        if request.stop:
            return steps[0] + "\n\n", "stop"


def margin(steps: tuple[str, ...]) -> float:
    """Anything between -4 and 4 that depends on all steps."""
    return random.Random("".join(steps)).uniform(-4, 4)


def content_of(folder: Path) -> dict[str, Any]:
    """The study's configuration, with all that it writes in ``folder``."""
    return {
        "name": "searched",
        "generate": "missing",
        "tasks": [TASK],
        "policies": [POLICY],
        "prms": [PRM],
        "problems": 4,
        "budgets": [4, 16],
        "difficulty": {"n_samples": 4},
        "statistics": {"bootstrap_replicates": 100, "vote_subsets": 10},
        "results": str(folder / "results"),
        "store": {"writable": str(folder / "store"), "shipped": str(folder / "none")},
    }


def run_study(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    sentences: tuple[str, ...] = SENTENCES,
    **settings: Any,
) -> tuple[list[str], Path]:
    """Run it in ``folder``; returns the options that say where things lie, and the database."""

    @contextmanager
    def policy(*_: object) -> Iterator[Any]:
        engine = fake_engines.FakePolicy(lambda *request: respond(sentences, *request))
        yield SimpleNamespace(engine=engine, prompt_ids=fake_engines.prompt_ids, slots=256)

    @contextmanager
    def prm(*_: object) -> Iterator[Any]:
        engine = fake_engines.FakePrm(margin)
        yield SimpleNamespace(engine=engine, encode=fake_engines.encode, context=100_000, slots=256)

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(generate, "open_policy", policy)
    monkeypatch.setattr(generate, "open_prm", prm)
    content = content_of(folder)
    plan = StudyPlan(parse_study(content | settings))
    cell: Any = SimpleNamespace(origin="run", task=TASK, policy=POLICY, prm=PRM)
    storage = plan.storage.split()

    def command(verb: str, *options: str, spec: str | None = None, stored: bool = True) -> None:
        given = ["--spec", spec] if spec else []
        assert main([verb, *given, *options, *(storage if stored else ())]) == 0

    problems, answers = plan.task_table(cell), plan.answer_table(cell)
    command("prepare-problems", "--output", problems, spec=plan.problems(cell))
    for verb, spec in (
        ("draw-samples", plan.samples(cell)),
        ("score-steps", plan.scores(cell)),
        ("search-trees", plan.searches(cell)),
    ):
        command(verb, "--output", str(folder / f"{verb}-0.json"), spec=spec)
    options = ["--problems", problems, "--output", answers]
    command("grade-answers", *options, spec=plan.answers(cell))
    estimates = [file for file in plan.estimate_tables if file != answers]
    options = ["--problems", problems, "--answers", answers]
    command("estimate-accuracy", *options, "--outputs", *estimates, spec=plan.estimates(cell))
    command("describe-study", "--output", plan.description, spec=plan.database(), stored=False)
    database = folder / "results" / "study.duckdb"
    command(
        "build-database",
        *("--study", plan.description, "--tables", *plan.problem_tables, *plan.estimate_tables),
        *("--published", "data/published/paper.csv"),
        *("--pretraining", "data/published/pretraining.csv"),
        *("--processbench", "data/published/processbench.csv"),
        *("--optscale", "data/published/optscale.csv"),
        *("--output", str(database)),
    )
    return [*storage, "--study", plan.description], database


def browser_page(options: list[str], database: Path) -> str:
    """The rollout browser of a study that was run."""
    page = database.with_name("browser.html")
    command = ["build-browser", *options, "--database", str(database), "--output", str(page)]
    assert main(command) == 0
    return page.read_text(encoding="utf-8")


def data_of(page: str) -> dict[str, Any]:
    """What the page's script reads."""
    start = page.index('id="data">')
    content: dict[str, Any] = json.loads(unpacked(page[page.index(">", start) + 1 :]))
    return content


def unpacked(block: str) -> str:
    """The text of a packed element, given from its content on."""
    return zlib.decompress(base64.b64decode(block.partition("<")[0])).decode()
