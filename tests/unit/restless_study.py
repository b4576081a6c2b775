"""A study whose engines are no functions of the seed, and what must hold of its store all the same.

As in half precision, what an engine says depends on what else it was doing: here, on which one it
is. Every step quotes what was said before it and every margin what it was given for, so a store
that mixes runs shows it.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import fake_engines
import pytest
from default_study import POLICIES, PRM, ROOT, STUDY, TASK

from compute_optimal.analyse import database
from compute_optimal.engines.requests import FinishReason, SampleRequest
from compute_optimal.generate import jobs as generate
from compute_optimal.generate import parts
from compute_optimal.policies.steps import STEP_DELIMITER, split_steps
from compute_optimal.store import partitions, places, units
from compute_optimal.store.schemas import ORIGIN
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import Study, load_study
from compute_optimal.study.coverage import Stock, coverage
from compute_optimal.study.plan import StudyPlan
from compute_optimal.study.requests import parsed
from compute_optimal.study.spec import text_hash

POLICY, N_PROBLEMS, N = POLICIES[0], 2, 8
OTHER = next(name for name in STUDY.prms if name != PRM)
VERBS = ("samples", "scores", "searches")
COMMANDS: dict[str, tuple[str, Callable[..., Any]]] = {
    "samples": ("draw-samples", generate.draw_samples),
    "scores": ("score-steps", generate.score_steps),
    "searches": ("search-trees", generate.search_trees),
}


def quoted(before: str) -> str:
    """What a step says of what was said before it."""
    return f"{zlib.crc32(before.strip().encode()):08x}"


@dataclass
class Restless:
    """Engines that commands open in turn; each says something else. ``meanwhile`` is called
    whenever one of them is asked for answers."""

    opened: int = 0
    meanwhile: Callable[[], None] = lambda: None
    dice: random.Random = field(default_factory=lambda: random.Random(0))

    def respond(
        self, so_far: str, _: random.Random, request: SampleRequest
    ) -> tuple[str, FinishReason]:
        steps: list[str] = []
        while True:
            before = so_far + "".join(step + STEP_DELIMITER for step in steps)
            n_before = before.count(STEP_DELIMITER)
            steps.append(f"{quoted(before)} {self.dice.randrange(3)}")
            if n_before >= 1 and self.dice.random() < 0.7:
                return STEP_DELIMITER.join(steps) + " \\boxed{1}", "eos"
            if request.stop:
                return steps[0] + STEP_DELIMITER, "stop"

    @contextmanager
    def policy(self, *_: object) -> Iterator[Any]:
        yield SimpleNamespace(
            engine=self._interrupted(fake_engines.FakePolicy)(self.respond),
            prompt_ids=fake_engines.prompt_ids,
            slots=256,
        )

    @contextmanager
    def prm(self, *_: object) -> Iterator[Any]:
        self.opened += 1
        number = self.opened

        def margin(steps: tuple[str, ...]) -> float:
            return number + int(quoted(STEP_DELIMITER.join(steps)), 16) % 1000 / 1000

        engine = self._interrupted(fake_engines.FakePrm)(margin)
        yield SimpleNamespace(engine=engine, encode=fake_engines.encode, context=100_000, slots=256)

    def _interrupted(self, engine: Any) -> Any:
        restless = self

        class Interrupted(engine):  # type: ignore[misc]
            def collect(self) -> Any:
                restless.meanwhile()
                return super().collect()

        return Interrupted


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> Restless:
    """The engines that all commands of a test open."""
    engines = Restless()
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(generate, "open_policy", engines.policy)
    monkeypatch.setattr(generate, "open_prm", engines.prm)
    monkeypatch.setattr(parts, "tqdm", lambda **_: Silent())
    # So that a run of few units joins its parts.
    monkeypatch.setattr(partitions, "MOST_PARTS", 1)
    return engines


class Silent:
    """No progress is shown."""

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_, **__: None


def study(folder: Path, **keys: Any) -> Study:
    """One task, policy and PRM, every method, N = 4 and 8."""
    content = {
        "generate": "missing",
        "tasks": [TASK],
        "policies": [POLICY],
        "prms": [PRM],
        "adopted": [],
        "problems": N_PROBLEMS,
        "methods": ["majority", "best_of_n", "beam_search", "dvts"],
        "budgets": [4, N],
        "search_budgets": None,
        "difficulty": {"n_samples": 2},
        "store": {"writable": str(folder / "store"), "shipped": str(folder / "none")},
    }
    return load_study(ROOT / "config/config.yaml", content | keys)


def give(of: Study, verb: str) -> None:
    """Give one of the commands; each unit is written as soon as it is finished."""
    cell: Any = SimpleNamespace(task=TASK, policy=POLICY, prm=of.prms[0])
    command, make = COMMANDS[verb]
    request = parsed(command, getattr(StudyPlan(of), verb)(cell))
    make(request, replace(Storage.of(of), part_seconds=0.0))


def is_complete(of: Study) -> bool:
    """Whether nothing of the study is missing."""
    return set(coverage(of)["status"]) == {"stored"}


def check(of: Study) -> None:
    """What must hold of a store at any time: units are whole, and scores are of their texts."""
    store = Storage.of(of).store
    for search in cells.searches(of, TASK, POLICY, PRM):
        for row in places.partition(store, search.spec).read("searches").iter_rows(named=True):
            check_tree(row, search, of.beam_width)
    if not any(cell.pool == "evaluation" for cell in cells.Grid(of)):
        return
    pool = cells.sample_spec(of, TASK, POLICY, "evaluation")
    texts = {}
    for row in places.partition(store, pool).read("samples").iter_rows(named=True):
        texts[row["problem_hash"], row["sample_index"]] = row["text"]
        assert row["text_hash"] == text_hash(row["text"])
        assert row["generated_tokens"] == row["n_tokens"]
        assert row["sample_requests"] == 1
    scored = cells.score_spec(of, TASK, POLICY, PRM)
    for row in places.partition(store, scored).read("step_scores").iter_rows(named=True):
        text = texts.get((row["problem_hash"], row["sample_index"]))
        if text is not None and row["text_hash"] == text_hash(text):
            of_one_engine(split_steps(text), row["margins"])


def of_one_engine(steps: list[str], margins: list[float]) -> None:
    """The margins are of these steps, and one engine gave all."""
    assert len(steps) == len(margins)
    assert len({int(margin) for margin in margins}) <= 1
    for i, margin in enumerate(margins):
        given = int(quoted(STEP_DELIMITER.join(steps[: i + 1])), 16) % 1000 / 1000
        assert margin % 1 == pytest.approx(given, abs=1e-4)


def check_tree(row: dict[str, Any], search: cells.Cell, width: int) -> None:
    """A unit of a search: every node under the parent that said so, every path along its nodes."""
    nodes = {node["node"]: node for node in row["nodes"]}
    assert [*nodes] == [*range(len(nodes))]

    def steps(number: int | None) -> list[str]:
        if number is None:
            return []
        return [*steps(nodes[number]["parent"]), *split_steps(nodes[number]["text"])]

    engines = set()
    for node in nodes.values():
        before = "".join(step + STEP_DELIMITER for step in steps(node["parent"]))
        assert node["text"].startswith(quoted(before))
        if node["margin"] is not None:
            engines.add(int(node["margin"]))
    assert len(engines) == 1
    n_paths = search.budget // width if search.method == "beam_search" else 1
    assert 1 <= len(row["paths"]) <= n_paths
    used = set()
    for path in row["paths"]:
        assert split_steps(path["text"]) == steps(path["leaf"])
        of_one_engine(split_steps(path["text"]), path["margins"])
        leaf = path["leaf"]
        while leaf is not None:
            used.add(leaf)
            leaf = nodes[leaf]["parent"]
    assert row["sample_requests"] == len(nodes)
    assert row["generated_tokens"] == sum(node["n_tokens"] for node in nodes.values())
    kept = sum(nodes[number]["n_tokens"] for number in used)
    assert row["discarded_tokens"] == row["generated_tokens"] - kept


_COSTS: dict[tuple[tuple[Any, ...], ...], dict[tuple[Any, ...], tuple[Any, ...]]] = {}


def unit_costs(of: Study, folder: Path) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What each method costs, by the study's own tables; of one ledger reckoned once."""
    ledger = database._spent(of, Stock(Storage.of(of)))["ledger"]
    if (rows := tuple(ledger.rows())) not in _COSTS:
        file = folder / "ledger.parquet"
        ledger.write_parquet(file)
        with duckdb.connect() as connection:
            database.fill(connection, {"ledger": [str(file)]}, folder)
            costs = connection.execute("FROM unit_costs").fetchall()
        _COSTS[rows] = {row[:5]: row[5:] for row in costs}
    return _COSTS[rows]


def check_costs(of: Study) -> None:
    """Costs are those of the units that count, each once, whichever study asks."""
    store, spent_of = Storage.of(of).store, database._spent(of, Stock(Storage.of(of)))
    ledger, by_problem = spent_of["ledger"], spent_of["problem_costs"]
    for cell in cells.Grid(of):
        (spent,) = units.costs(store, [cell.spec])
        assert spent.height == units.stored(store, cell.spec).height
        mine = ledger.filter(spec=database.canonical(cell.spec))
        assert mine["n_units"].sum() == spent.height
        assert mine["run"].n_unique() == mine.height
        for name in ("generated_tokens", "prm_tokens_computed", "sample_requests"):
            assert mine[name].sum() == spent[name].sum()
        assert not spent.select(*ORIGIN, "seconds").null_count().sum_horizontal().item()
    for name in ("n_units", "generated_tokens", "prm_tokens_computed", "sample_requests"):
        assert by_problem[name].sum() == ledger[name].sum()
    # All that is reckoned of costs is reckoned from these rows.
    for other in (of.model_copy(update={"budgets": (4,)}), of.model_copy(update={"problems": 1})):
        rows = database._spent(other, Stock(Storage.of(other)))["ledger"].rows()
        assert rows
        assert set(rows) <= set(ledger.rows())
