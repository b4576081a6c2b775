"""Several commands on one store: two runs at once, and the shards of a cell."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from default_study import POLICIES, ROOT, TASK
from fake_engines import FakePolicy, prompt_ids
from stand_in_gpus import install, use
from stored_units import said

from compute_optimal.engines import devices
from compute_optimal.engines.requests import Completion, FinishReason, SampleRequest
from compute_optimal.generate import jobs as generate
from compute_optimal.generate import loading, parts
from compute_optimal.ship.verify import Check, engine_versions
from compute_optimal.store import places
from compute_optimal.store.sharing import publish
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import Study, load_study
from compute_optimal.study.plan import StudyPlan
from compute_optimal.study.requests import SamplesRequest, Shard

POLICY = POLICIES[0]
N_PROBLEMS, DIFFICULTY, N = 5, 3, 4


def respond(_: str, chance: random.Random, __: SampleRequest) -> tuple[str, FinishReason]:
    return f"the answer is {chance.randrange(1000)}", "eos"


@dataclass
class Fakes:
    """Engines that the commands open in turn; ``meanwhile`` happens in the first one's work."""

    opened: list[FakePolicy]
    meanwhile: Any = None

    @contextmanager
    def open(self, *_: object) -> Iterator[SimpleNamespace]:
        fakes = self

        class Engine(FakePolicy):
            def collect(self) -> list[Completion]:
                if (then := fakes.meanwhile) is not None:
                    fakes.meanwhile = None
                    then()
                return super().collect()

        engine = Engine(respond)
        self.opened.append(engine)
        yield SimpleNamespace(engine=engine, prompt_ids=prompt_ids, slots=256)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    monkeypatch.chdir(ROOT)
    fakes = Fakes([])
    monkeypatch.setattr(generate, "open_policy", fakes.open)
    return fakes


def study(folder: Path) -> Study:
    return load_study(
        ROOT / "config/config.yaml",
        {
            "generate": "missing",
            "tasks": [TASK],
            "policies": [POLICY],
            "adopted": [],
            "problems": N_PROBLEMS,
            "methods": ["cot", "majority"],
            "prms": [],
            "budgets": [N],
            "search_budgets": None,
            "difficulty": {"n_samples": DIFFICULTY},
            "store": {"writable": str(folder / "store"), "shipped": str(folder / "none")},
        },
    )


def draw(of: Study, **keys: Any) -> Mapping[str, Any]:
    wildcards = SimpleNamespace(task=TASK, policy=POLICY)
    asked = StudyPlan(of).samples(wildcards)  # type: ignore[arg-type]
    request = SamplesRequest.model_validate_json(asked).model_copy(update=keys)
    return generate.draw_samples(request, Storage.of(of))


def pools(of: Study) -> dict[str, pl.DataFrame]:
    store = Storage.of(of).store
    return {
        pool: said(
            places.partition(store, cells.sample_spec(of, TASK, POLICY, pool)).read("samples")
        )
        for cell in cells.Grid(of).of("samples", TASK, POLICY)
        for pool in (cell.pool,)
        if pool is not None
    }


def test_a_run_draws_nothing_that_another_has_finished_beyond_the_cell_both_are_in(
    fakes: Fakes, tmp_path: Path
) -> None:
    of = study(tmp_path)
    fakes.meanwhile = lambda: draw(of)
    draw(of)
    first, second = (len(engine.log) for engine in fakes.opened)
    assert second == N_PROBLEMS * (DIFFICULTY + 1 + N), "the second run found nothing finished"
    assert first == N_PROBLEMS * DIFFICULTY, "the first was in its first pool, and drew no other"
    alone = study(tmp_path / "alone")
    draw(alone)
    for pool, rows in pools(alone).items():
        assert rows.equals(pools(of)[pool])


@pytest.mark.parametrize("problems_of_shards", [(3, 2), (2, 2, 1), (1, 1, 1, 1, 1)])
def test_shards_make_together_what_one_job_makes_and_each_problem_once(
    problems_of_shards: tuple[int, ...], fakes: Fakes, tmp_path: Path
) -> None:
    of, whole = study(tmp_path), study(tmp_path / "whole")
    n_shards = len(problems_of_shards)
    for number in range(1, n_shards + 1):
        draw(of, shard=Shard(number=number, of=n_shards))
    n_drawn = [len(engine.log) for engine in fakes.opened]
    assert n_drawn == [problems * (DIFFICULTY + 1 + N) for problems in problems_of_shards]
    receipt = draw(of)
    assert len(fakes.opened) == n_shards, "the job that gathers the shards opened an engine"
    assert receipt == draw(whole)
    for pool, rows in pools(whole).items():
        assert rows.equals(pools(of)[pool])


def test_a_job_takes_its_gpu_before_an_engine_opens_and_gives_it_back(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(install(tmp_path / "machine", 2), monkeypatch)
    monkeypatch.setattr(loading, "runs_on_gpus", lambda: True)
    seen: list[str | None] = []

    def meanwhile() -> None:
        seen.append(os.environ.pop(devices.VISIBLE))
        # A second job at the same time, of the other half of the problems.
        fakes.meanwhile = lambda: seen.append(os.environ.get(devices.VISIBLE))
        draw(of, shard=Shard(number=2, of=2))

    of = study(tmp_path)
    fakes.meanwhile = meanwhile
    draw(of, shard=Shard(number=1, of=2))
    assert seen == ["0", "1"]
    assert devices.VISIBLE not in os.environ


def test_a_cell_that_two_versions_of_an_engine_made_says_so(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fakes.opened == []
    of = study(tmp_path)

    def verified(folder: str) -> Check:
        publish(cells.all_partitions(of, Storage.of(of).store), str(tmp_path / folder))
        published = of.store.model_copy(update={"shipped": tmp_path / folder})
        return engine_versions(of.model_copy(update={"store": published}))

    for number, version in ((1, "vllm 1.0"), (2, "vllm 2.0")):
        monkeypatch.setattr(parts, "engine_version", lambda version=version: version)
        draw(of, shard=Shard(number=number, of=2))
        if number == 1:
            assert verified("one").subject == "engine of 3 cells: one version each"
    check = verified("both")
    assert check.subject == "engine of 3 cells: 3 hold units of more than one version"
    n_first, n_second = 3 * N, 2 * N
    assert any(
        f"{n_first} units of vllm 1.0, {n_second} units of vllm 2.0" in remark
        for remark in check.remarks
    )
