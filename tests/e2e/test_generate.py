"""Generation with the real engine, through the commands that the rules call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from compute_optimal import cells
from compute_optimal.config import Study, load_study
from compute_optimal.store import Partition, Store
from compute_optimal.study_plan import StudyPlan

pytest.importorskip("vllm", reason="no CPU engine in this environment: make engine")
pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
POLICY, PRM = "micro-qwen-0.1M", "micro-qwen-math-prm-0.2M"


def study(tmp_path: Path, **keys: Any) -> Study:
    return load_study(
        ROOT / "config/config.yaml",
        {
            "generate": "missing",
            "policies": [POLICY],
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


class Wildcards:
    origin, task, policy, prm = "run", "arithmetic-chains", POLICY, PRM


def command(verb: str, of: Study, tmp_path: Path, *options: str) -> list[str]:
    plan = StudyPlan(of)
    spec = {
        "draw-samples": plan.samples,
        "score-steps": plan.scores,
        "search-trees": plan.searches,
    }[verb](Wildcards())  # type: ignore[arg-type]
    output = tmp_path / f"{verb}.json"
    return [
        *(sys.executable, "-m", "compute_optimal", verb, "--spec", spec),
        *("--output", str(output), *plan.storage.split(), *options),
    ]


def run(verb: str, of: Study, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(verb, of, tmp_path, *options),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def succeed(verb: str, of: Study, tmp_path: Path, *options: str) -> None:
    done = run(verb, of, tmp_path, *options)
    assert done.returncode == 0, done.stderr[-3000:]


def pool(of: Study, name: cells.Pool = "evaluation") -> Partition:
    store = Store(of.store.writable, [of.store.shipped])
    return cells.partition(store, cells.sample_spec(of, "arithmetic-chains", POLICY, name))


def same_samples(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Equal to the token. A sum of log-probabilities depends on the batch in its last digits."""
    close = (one["logprob_sum"] - other["logprob_sum"]).abs().max()
    return one.drop("logprob_sum").equals(other.drop("logprob_sum")) and close < 1e-3


def test_a_larger_pool_draws_only_the_additional_samples(tmp_path: Path) -> None:
    small, large = study(tmp_path, budgets=[2]), study(tmp_path, budgets=[2, 6])
    succeed("draw-samples", small, tmp_path)
    first = pool(small).read("samples")
    succeed("draw-samples", large, tmp_path)
    both = pool(large).read("samples")
    assert both.height == 6 * 6
    assert same_samples(both.filter(pl.col("sample_index") < 2), first)
    assert sorted(pool(large).read("ledger")["sample_requests"]) == [6 * 2, 6 * 4]

    at_once = study(tmp_path / "other", budgets=[6])
    succeed("draw-samples", at_once, tmp_path)
    assert same_samples(pool(at_once).read("samples"), both)


def test_killed_in_the_middle_and_given_again_the_rows_are_those_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    of = study(tmp_path, problems=40, budgets=[16])
    process = subprocess.Popen(
        command("draw-samples", of, tmp_path, "--part-seconds=0"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    evaluation = pool(of)
    deadline = time.monotonic() + 300
    while not evaluation.parts("samples"):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = evaluation.read("samples")
    assert 0 < kept.height < 40 * 16
    assert not (tmp_path / "draw-samples.json").exists()

    succeed("draw-samples", of, tmp_path)
    resumed = evaluation.read("samples")
    undisturbed = study(tmp_path / "other", problems=40, budgets=[16])
    succeed("draw-samples", undisturbed, tmp_path)
    assert same_samples(resumed, pool(undisturbed).read("samples"))
    spent = evaluation.read("ledger")["sample_requests"].sum()
    assert spent == 40 * 16


def test_scores_and_searches_are_made_once_and_then_read(tmp_path: Path) -> None:
    of = study(
        tmp_path,
        problems=3,
        methods=["majority", "best_of_n", "beam_search", "dvts"],
        budgets=[4, 8],
    )
    for verb in ("draw-samples", "score-steps", "search-trees"):
        succeed(verb, of, tmp_path)
    store = Store(of.store.writable, [of.store.shipped])
    scores = cells.partition(store, cells.score_spec(of, "arithmetic-chains", POLICY, PRM)).read(
        "step_scores"
    )
    assert scores.height == 3 * 8
    steps = pool(of).read("samples").join(scores, on=["problem_hash", "sample_index"])
    for text, margins, status in steps.select("text", "margins", "status").iter_rows():
        assert status == "scored"
        assert len(margins) == len([s for s in text.split("\n\n") if s.strip()])
    for search in cells.searches(of, "arithmetic-chains", POLICY, PRM):
        cell = cells.partition(store, search.spec)
        paths, nodes = cell.read("paths"), cell.read("nodes")
        assert paths["problem_hash"].n_unique() == 3
        if search.method == "dvts":
            assert paths.group_by("problem_hash").len()["len"].to_list() == [2, 2, 2]
        else:
            assert paths.group_by("problem_hash").len()["len"].max() <= search.budget // 4
        assert set(nodes["fate"]) <= {"kept", "pruned", "duplicate", "truncated", "empty"}
        assert nodes["n_tokens"].sum() == cell.read("ledger")["generated_tokens"].sum()

    never = study(
        tmp_path,
        generate="never",
        problems=3,
        methods=["majority", "best_of_n", "beam_search", "dvts"],
        budgets=[4, 8],
    )
    for verb in ("draw-samples", "score-steps", "search-trees"):
        succeed(verb, never, tmp_path)
        receipt = json.loads((tmp_path / f"{verb}.json").read_text())
        assert receipt["partitions"]


def test_never_means_never(tmp_path: Path) -> None:
    done = run("draw-samples", study(tmp_path, generate="never"), tmp_path)
    assert done.returncode == 1
    assert "generate: never" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("lost", ["tokenizer.json", "model.safetensors", "config.json"])
def test_a_model_folder_that_is_not_whole_is_named(tmp_path: Path, lost: str) -> None:
    import shutil

    import yaml

    folder = tmp_path / "model"
    shutil.copytree(ROOT / f"data/models/{POLICY}", folder)
    (folder / lost).unlink()
    registry = tmp_path / "registry"
    shutil.copytree(ROOT / "config/registry", registry)
    policies = yaml.safe_load((registry / "policies.yaml").read_text())
    policies["policies"][POLICY]["path"] = str(folder)
    (registry / "policies.yaml").write_text(yaml.safe_dump(policies))
    lock = json.loads((ROOT / "config/models.lock.json").read_text())
    lock[POLICY]["path"] = str(folder)
    (tmp_path / "lock.json").write_text(json.dumps(lock))
    of = study(tmp_path, registry=str(registry), lock_file=str(tmp_path / "lock.json"))
    done = run("draw-samples", of, tmp_path)
    assert done.returncode == 1
    assert lost in done.stderr
    assert str(folder) in done.stderr
    assert "Traceback" not in done.stderr
