"""Beam search and DVTS with a real policy and a real PRM, through the command of their rule."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
from default_study import STUDY
from micro_study import PRM, ROOT, TASK, command, searches, study, succeed
from stored_units import trees

from compute_optimal.engines import open_scoring_engine
from compute_optimal.policies.prompts import load_tokenizer
from compute_optimal.policies.steps import split_steps
from compute_optimal.prms import prm_format
from compute_optimal.search import ScoresResult, run, score_samples
from compute_optimal.store.storage import Storage
from compute_optimal.study.config import Study

pytest.importorskip("vllm", reason="no CPU engine in this environment: make engine")
pytestmark = pytest.mark.engine

N_PROBLEMS, M = 5, 4
SECOND = next(name for name in STUDY.prms if name != PRM)
KEYS = {
    "problems": N_PROBLEMS,
    "methods": ["beam_search", "dvts"],
    "budgets": [4, 16],
    "search_budgets": [4, 16],
    "prms": [PRM, SECOND],
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("undisturbed")
    of = study(folder, **KEYS)
    succeed("search-trees", of, folder)
    return of


def test_trees_are_whole_and_give_n_over_m_answers(undisturbed: Study) -> None:
    for search, _ in searches(undisturbed):
        nodes, paths, costs = trees(undisturbed, search).values()
        tree = ["problem_hash", "subtree"]
        parents = nodes.select(*tree, parent="node", of="depth", fate_of="fate", ended="finished")
        grown = nodes.join(parents, on=[*tree, "parent"], how="left", validate="m:1")
        later = grown.filter(pl.col("depth") > 1)
        assert nodes.filter(pl.col("depth") == 1)["parent"].null_count() == len(grown) - len(later)
        assert (later["of"] + 1 == later["depth"]).all()
        assert set(later["fate_of"]) == {"kept"}
        assert not later["ended"].any()
        width = search.budget if search.method == "beam_search" else M
        first = nodes.filter(pl.col("depth") == 1).group_by(tree).len()["len"]
        assert set(first) == {width}
        assert set(later.group_by(*tree, "parent").len()["len"] % M) == {0}

        n_answers = paths.group_by("problem_hash").len()["len"]
        assert len(n_answers) == N_PROBLEMS
        assert n_answers.max() == search.budget // M
        if search.method == "dvts":
            assert n_answers.min() == search.budget // M
        for row in paths.iter_rows(named=True):
            assert len(split_steps(row["text"])) == len(row["margins"])
        assert nodes["n_tokens"].sum() == costs["generated_tokens"].sum()
        assert costs["prompt_tokens_cached"].sum() > 0
        assert costs["prm_tokens_computed"].sum() > 0
        engines = costs["policy_seconds"] + costs["prm_seconds"]
        assert (engines > 0).any()
        assert (engines <= costs["seconds"] + 1e-9).all()


def test_scores_gathered_step_by_step_are_those_of_the_whole_paths(undisturbed: Study) -> None:
    storage = Storage.of(undisturbed)
    problems = {
        problem.problem_hash: problem
        for problem in storage.problems(undisturbed.task(TASK), N_PROBLEMS)
    }
    folder, prm = ROOT / f"data/models/{PRM}", undisturbed.prm(PRM)
    tokenizer, form = load_tokenizer(folder), prm_format(prm.format)
    paths = [trees(undisturbed, search)["paths"] for search, _ in searches(undisturbed)]
    rows = pl.concat(paths).with_row_index()
    whole: list[ScoresResult] = []
    with open_scoring_engine(folder, prm.format, context=prm.context, dtype=prm.dtype) as engine:
        run(
            (
                score_samples(
                    problems[key],
                    dict(group.select("index", "text").iter_rows()),
                    lambda question, steps: form.encode(tokenizer, question, steps),
                    prm_context=prm.context,
                )
                for (key,), group in rows.group_by("problem_hash")
            ),
            scoring=engine,
            on_finished=whole.append,
            max_in_flight=64,
        )
    at_once = {score.sample_index: score.margins for result in whole for score in result.scores}
    assert len(at_once) == rows.height
    for index, margins in rows.select("index", "margins").iter_rows():
        assert margins == pytest.approx(at_once[index], abs=1e-3)


def test_killed_and_given_again_a_search_grows_the_same_trees(
    undisturbed: Study, tmp_path: Path
) -> None:
    of = study(tmp_path, **KEYS)
    process = subprocess.Popen(
        command("search-trees", of, tmp_path, "--part-seconds=0"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not any(cell.parts("searches") for _, cell in searches(of)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = sum(cell.read("searches", []).height for _, cell in searches(of))
    assert not (tmp_path / "search-trees.json").exists()

    succeed("search-trees", of, tmp_path)
    require_same_trees(of, undisturbed, PRM)
    assert 0 < kept < sum(cell.read("searches", []).height for _, cell in searches(of))


def test_the_second_prm_shares_what_the_first_made_the_policy_say(
    undisturbed: Study, tmp_path: Path
) -> None:
    cold = study(tmp_path, **KEYS)
    succeed("search-trees", cold, tmp_path, prm=SECOND)
    succeed("search-trees", undisturbed, tmp_path, prm=SECOND)
    require_same_trees(undisturbed, cold, SECOND)
    generated, shared = (
        {
            of.store.writable: sum(
                trees(of, search)["costs"][name].sum() for search, _ in searches(of, SECOND)
            )
            for of in (undisturbed, cold)
        }
        for name in ("generated_tokens", "shared_tokens")
    )
    warm, alone = undisturbed.store.writable, cold.store.writable
    assert generated[warm] == generated[alone]
    assert shared[warm] > shared[alone] > 0


def require_same_trees(one: Study, other: Study, prm: str) -> None:
    """Scores depend in their last digits on what else the engine was doing."""
    for search, _ in searches(one, prm):
        first, second = trees(one, search), trees(other, search)
        for table, inexact in (("nodes", "margin"), ("paths", "margins")):
            frames = first[table], second[table]
            assert frames[0].drop(inexact).equals(frames[1].drop(inexact)), search
            values = [frame[inexact].explode().to_list() for frame in frames]
            assert values[0] == pytest.approx(values[1], abs=1e-3)
