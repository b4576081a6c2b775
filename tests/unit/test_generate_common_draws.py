"""Search jobs of one policy find in the store what others have drawn, and grow the same trees."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_engines
import polars as pl
import pytest
from default_study import POLICIES, PRM, ROOT, TASK
from searched_study import SENTENCES, margin, respond
from stored_units import said, trees

from compute_optimal.generate import jobs as generate
from compute_optimal.search import SearchSettings
from compute_optimal.store import places
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.cells import all_partitions, draw_spec, sample_spec
from compute_optimal.study.config import Study, load_study
from compute_optimal.study.plan import StudyPlan
from compute_optimal.study.requests import SamplesRequest, ScoresRequest, SearchesRequest, Shard

POLICY, N_PROBLEMS = POLICIES[0], 5
OTHER = next(name for name in load_study(ROOT / "config/config.yaml").prms if name != PRM)


@pytest.fixture
def policies(monkeypatch: pytest.MonkeyPatch) -> list[fake_engines.FakePolicy]:
    """The policies that the commands open, in turn; two PRMs that do not agree."""
    opened: list[fake_engines.FakePolicy] = []

    @contextmanager
    def policy(*_: object) -> Iterator[Any]:
        opened.append(fake_engines.FakePolicy(lambda *request: respond(SENTENCES, *request)))
        yield SimpleNamespace(engine=opened[-1], prompt_ids=fake_engines.prompt_ids, slots=256)

    @contextmanager
    def prm(_: Storage, spec: Any, *__: object) -> Iterator[Any]:
        sign = 1 if spec["prm"]["name"] == PRM else -1
        engine = fake_engines.FakePrm(lambda steps: sign * margin(steps))
        yield SimpleNamespace(engine=engine, encode=fake_engines.encode, context=100_000, slots=256)

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(generate, "open_policy", policy)
    monkeypatch.setattr(generate, "open_prm", prm)
    return opened


def study(folder: Path, **keys: Any) -> Study:
    content = {
        "generate": "missing",
        "tasks": [TASK],
        "policies": [POLICY],
        "prms": [PRM, OTHER],
        "adopted": [],
        "problems": N_PROBLEMS,
        "methods": ["beam_search", "dvts"],
        "budgets": [4, 16],
        "search_budgets": None,
        "store": {"writable": str(folder / "store"), "shipped": str(folder / "none")},
    }
    return load_study(ROOT / "config/config.yaml", content | keys)


def search(of: Study, prm: str, **keys: Any) -> None:
    cell: Any = SimpleNamespace(task=TASK, policy=POLICY, prm=prm)
    request = SearchesRequest.model_validate_json(StudyPlan(of).searches(cell))
    generate.search_trees(request.model_copy(update=keys), Storage.of(of))


def tables(of: Study, prm: str, *names: str) -> list[pl.DataFrame]:
    by_search = [trees(of, search) for search in cells.searches(of, TASK, POLICY, prm)]
    return [of_cell[name] for of_cell in by_search for name in names]


def same_trees(one: Study, other: Study, prm: str) -> bool:
    both = (tables(of, prm, "nodes", "paths") for of in (one, other))
    return all(a.equals(b) for a, b in zip(*both, strict=True))


def spent(of: Study, prm: str, name: str) -> int:
    return sum(int(costs[name].sum()) for costs in tables(of, prm, "costs"))


def test_the_second_prm_shares_with_the_first_and_its_trees_are_those_of_a_cold_run(
    policies: list[fake_engines.FakePolicy], tmp_path: Path
) -> None:
    warm, cold = study(tmp_path / "warm"), study(tmp_path / "cold")
    for of, prm in ((warm, PRM), (warm, OTHER), (cold, OTHER)):
        search(of, prm)
    assert same_trees(warm, cold, OTHER)
    assert not any(
        a.equals(b)
        for a, b in zip(tables(warm, PRM, "nodes"), tables(warm, OTHER, "nodes"), strict=True)
    )
    assert spent(warm, OTHER, "generated_tokens") == spent(cold, OTHER, "generated_tokens")
    assert spent(warm, OTHER, "shared_tokens") > spent(cold, OTHER, "shared_tokens") > 0
    # Over all cells, what was not shared is what the policy generated.
    generated = sum(spent(warm, prm, "generated_tokens") for prm in (PRM, OTHER))
    shared = sum(spent(warm, prm, "shared_tokens") for prm in (PRM, OTHER))
    asked = [policy._answer(request) for policy in policies[:2] for request in policy.log]
    assert generated - shared == sum(len(answer.token_ids) for answer in asked)


def test_without_the_draws_searches_are_drawn_again_and_are_the_same(
    policies: list[fake_engines.FakePolicy], tmp_path: Path
) -> None:
    of, whole = study(tmp_path), study(tmp_path / "whole")
    search(of, PRM)
    shutil.rmtree(tmp_path / "store/draws")
    search(of, OTHER)
    search(whole, OTHER)
    assert same_trees(of, whole, OTHER)
    # Lost cells, with the draws there: nothing is left to draw.
    for cell in cells.searches(of, TASK, POLICY, OTHER):
        directory = places.partition(Storage.of(of).store, cell.spec).directory
        shutil.rmtree(tmp_path / "store" / directory)
    search(of, OTHER)
    assert same_trees(of, whole, OTHER)
    assert not policies[-1].log


def test_shards_and_larger_budgets_use_what_is_there(
    policies: list[fake_engines.FakePolicy], tmp_path: Path
) -> None:
    of, whole = study(tmp_path), study(tmp_path / "whole", budgets=[4, 16, 32])
    for number in (1, 2):
        search(of, PRM, shard=Shard(number=number, of=2))
    larger = study(tmp_path, budgets=[4, 16, 32])
    search(larger, PRM)
    n_more = len(policies[-1].log)
    search(whole, PRM)
    assert same_trees(larger, whole, PRM)
    assert n_more < 0.7 * len(policies[-1].log)


@pytest.mark.parametrize("n_shards", [3])
def test_shards_of_searches_make_together_what_one_job_makes(
    n_shards: int, policies: list[fake_engines.FakePolicy], tmp_path: Path
) -> None:
    of, whole = study(tmp_path), study(tmp_path / "whole")
    for number in range(1, n_shards + 1):
        search(of, PRM, shard=Shard(number=number, of=n_shards))
    n_opened = len(policies)
    search(of, PRM)
    assert len(policies) == n_opened, "the job that gathers the shards opened an engine"
    search(whole, PRM)
    assert same_trees(of, whole, PRM)
    assert spent(of, PRM, "generated_tokens") == spent(whole, PRM, "generated_tokens")


@pytest.mark.usefixtures("policies")
@pytest.mark.parametrize("n_shards", [3])
def test_shards_of_scores_make_together_what_one_job_makes(n_shards: int, tmp_path: Path) -> None:
    def scored(folder: Path, shards: int) -> pl.DataFrame:
        of = study(folder, methods=["best_of_n"], prms=[PRM])
        place: Any = SimpleNamespace(task=TASK, policy=POLICY, prm=PRM)
        plan, storage = StudyPlan(of), Storage.of(of)
        generate.draw_samples(SamplesRequest.model_validate_json(plan.samples(place)), storage)
        request = ScoresRequest.model_validate_json(plan.scores(place))
        for number in range(1, shards + 1):
            shard = Shard(number=number, of=shards)
            generate.score_steps(request.model_copy(update={"shard": shard}), storage)
        generate.score_steps(request, storage)
        spec = cells.score_spec(of, TASK, POLICY, PRM)
        return said(places.partition(storage.store, spec).read("step_scores"))

    together, whole = scored(tmp_path / "shards", n_shards), scored(tmp_path / "whole", 0)
    assert whole.height == N_PROBLEMS * 16
    assert together.equals(whole)


def test_draws_depend_on_the_policy_alone_and_are_never_published(tmp_path: Path) -> None:
    of = study(tmp_path)
    specs = [cell.spec for prm in (PRM, OTHER) for cell in cells.searches(of, TASK, POLICY, prm)]
    assert len({json.dumps(draw_spec(spec), sort_keys=True) for spec in specs}) == 1
    # Whatever a policy is sampled by is in it.
    for key in ("task", "policy", "prompt", "dtype", "seed", "context", "version"):
        assert key in draw_spec(specs[0])
    assert sample_spec(of, TASK, POLICY, "difficulty").keys() - {"kind", "pool"} <= set(
        draw_spec(specs[0])
    )
    settings = set(SearchSettings.__dataclass_fields__)
    assert settings - {"spec_digest", "beam_width", "prm_context"} <= set(draw_spec(specs[0]))
    kinds = {cell.kind for cell, _ in all_partitions(of, Storage.of(of).store)}
    assert "search" in kinds
    assert "draws" not in kinds
