"""Generation with the real engine, through the commands that the rules call."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest
import yaml
from micro_study import (
    POLICY,
    ROOT,
    arguments,
    command,
    main,
    pool,
    scores,
    study,
    succeed,
)
from stored_units import said

pytest.importorskip("vllm", reason="no CPU engine in this environment: make engine")
pytestmark = pytest.mark.engine


def same_samples(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    """Equal to the token. A sum of log-probabilities depends on the batch in its last digits."""
    one, other = said(one), said(other)
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
    assert sorted(both.group_by("run").len()["len"]) == [6 * 2, 6 * 4]

    at_once = study(tmp_path / "other", budgets=[6])
    succeed("draw-samples", at_once, tmp_path)
    assert same_samples(pool(at_once).read("samples"), both)


def test_killed_in_the_middle_and_given_again_the_rows_are_those_of_an_undisturbed_run(
    tmp_path: Path,
) -> None:
    of = study(tmp_path, problems=24, budgets=[8])
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
    assert 0 < kept.height < 24 * 8
    assert not (tmp_path / "draw-samples.json").exists()

    succeed("draw-samples", of, tmp_path)
    resumed = evaluation.read("samples")
    undisturbed = study(tmp_path / "other", problems=24, budgets=[8])
    succeed("draw-samples", undisturbed, tmp_path)
    assert same_samples(resumed, pool(undisturbed).read("samples"))
    # What was finished before says what it cost, and only the rest was drawn.
    assert resumed.join(kept, on=kept.columns, how="semi", nulls_equal=True).height == kept.height
    assert resumed["sample_requests"].to_list() == [1] * (24 * 8)


def test_scores_and_searches_are_made_once_and_then_read(tmp_path: Path) -> None:
    keys = {
        "problems": 3,
        "methods": ["majority", "best_of_n", "beam_search", "dvts"],
        "budgets": [4, 8],
    }
    of = study(tmp_path, **keys)
    verbs = ("draw-samples", "score-steps", "search-trees")
    for verb in verbs:
        succeed(verb, of, tmp_path)
    scored = scores(of).read("step_scores")
    assert scored.height == 3 * 8
    steps = pool(of).read("samples").join(scored, on=["problem_hash", "sample_index"])
    for text, margins, status in steps.select("text", "margins", "status").iter_rows():
        assert status == "scored"
        assert len(margins) == len([s for s in text.split("\n\n") if s.strip()])
    written = sorted((tmp_path / "store").rglob("*.parquet"))
    never = study(tmp_path, generate="never", **keys)
    for verb in verbs:
        succeed(verb, never, tmp_path)
        receipt = json.loads((tmp_path / f"{verb}.json").read_text())
        assert receipt["partitions"]
    assert sorted((tmp_path / "store").rglob("*.parquet")) == written


def test_never_means_never(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    never = study(tmp_path, generate="never")
    assert main(arguments("draw-samples", never, tmp_path)) == 1
    assert "generate: never" in capsys.readouterr().err


@pytest.mark.parametrize("lost", ["tokenizer.json", "model.safetensors", "config.json"])
def test_a_model_folder_that_is_not_whole_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
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
    assert main(arguments("draw-samples", of, tmp_path)) == 1
    message = capsys.readouterr().err
    assert lost.removeprefix("model") in message
    assert str(folder) in message
