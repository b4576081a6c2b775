"""A real pretrained model on real problems, through the commands that the rules call."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from compute_optimal.store import places
from compute_optimal.store.partitions import Store
from compute_optimal.study import cells
from compute_optimal.study.config import load_study
from compute_optimal.study.plan import StudyPlan

pytest.importorskip("vllm", reason="no CPU engine in this environment: make engine")
pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
POLICY = "SmolLM2-135M-Instruct-Q4_1"


class Wildcards:
    origin, task, policy, prm = "run", "MATH-500", POLICY, ""


def compute_optimal(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "compute_optimal", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_smollm2_solves_math_problems_in_earnest(tmp_path: Path) -> None:
    if "MIRROR" not in os.environ:
        pytest.skip(
            "needs the problems of MATH-500: set MIRROR to a folder that holds test500.jsonl"
        )
    folder = tmp_path / "model"
    compute_optimal("import-gguf", "--output", str(folder))

    registry = tmp_path / "registry"
    shutil.copytree(ROOT / "config/registry", registry)
    policies = yaml.safe_load((registry / "policies.yaml").read_text())
    entry = policies["policies"][POLICY]
    entry["path"] = str(folder)
    entry["sampling"] = {"max_tokens": 96, "max_step_tokens": 96}
    (registry / "policies.yaml").write_text(yaml.safe_dump(policies))
    (tmp_path / "lock.json").write_text("{}")
    config = yaml.safe_load((ROOT / "config/smollm2.yaml").read_text()) | {
        "problems": 2,
        "budgets": [2],
        "difficulty": {"n_samples": 1},
        "registry": str(registry),
        "lock_file": str(tmp_path / "lock.json"),
        "store": {"writable": str(tmp_path / "store"), "shipped": str(tmp_path / "none")},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    compute_optimal("lock", "--config", str(tmp_path / "study.yaml"))

    study = load_study(tmp_path / "study.yaml")
    plan = StudyPlan(study)
    spec = plan.samples(Wildcards())  # type: ignore[arg-type]
    receipt = tmp_path / "samples.json"
    compute_optimal("draw-samples", "--spec", spec, "--output", str(receipt), *plan.storage.split())
    store = Store(study.store.writable)
    rows = places.partition(store, cells.sample_spec(study, "MATH-500", POLICY, "evaluation")).read(
        "samples"
    )
    assert rows.height == 2 * 2
    assert rows["n_tokens"].min() > 1
    assert rows["n_tokens"].max() <= 96
    # A language model, not noise: English words about the problem.
    words = rows.select(pl.col("text").str.to_lowercase().str.extract_all(r"\b(the|is|to|we|of)\b"))
    assert words["text"].list.len().sum() >= 4
