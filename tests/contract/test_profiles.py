"""Profiles: the same graph on every kind of machine, and what its jobs ask for there."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from clones import Clone, fresh_clone
from stand_in_gpus import install, use

from compute_optimal.engines.devices import VISIBLE
from compute_optimal.study.config import load_study
from compute_optimal.study.schedule import shard_counts

ROOT = Path(__file__).parents[2]
PLUGIN = {
    "slurm": "snakemake_executor_plugin_slurm",
    "kubernetes": "snakemake_executor_plugin_cluster_generic",
}


@pytest.mark.parametrize("profile", ["gpu", "slurm", "kubernetes"])
def test_jobs_ask_for_what_their_models_need(profile: str, asked_for: Asked) -> None:
    output, asked = asked_for(profile)
    # 321 samples of each of 500 problems, in jobs of at most 64,000.
    assert output.count("rule draw_samples_of_shard:") == 3
    assert asked["draw_samples_of_shard"]["gpu"] == "4"
    assert asked["score_steps_of_shard"]["gpu"] == "1"
    assert int(asked["search_trees_of_shard"]["mem_mb"]) > 145_000
    assert asked["draw_samples"]["gpu"] == "0", "its shards have left it nothing to generate"


@pytest.mark.parametrize("profile", ["gpu", "slurm", "kubernetes"])
def test_another_attempt_asks_for_more_memory_and_time(profile: str, asked_for: Asked) -> None:
    _, first = asked_for(profile)
    _, second = asked_for(profile, "--attempt", "2")
    rules = {"draw_samples_of_shard", "score_steps_of_shard", "search_trees_of_shard"}
    if profile != "gpu":
        rules |= {"build_database", "estimate_accuracy"}
    for rule in rules:
        assert int(second[rule]["mem_mb"]) == 2 * int(first[rule]["mem_mb"]), rule
        runtime = int(first[rule]["runtime"])
        assert int(second[rule]["runtime"]) == max(runtime, min(24 * 60, 2 * runtime)), rule
        assert second[rule].get("gpu") == first[rule].get("gpu"), rule
        assert (first[rule]["attempt"], second[rule]["attempt"]) == ("1", "2"), rule


LARGE = {
    "name": "large",
    "generate": "missing",
    "tasks": ["MATH-500"],
    "policies": ["Qwen2.5-72B-Instruct"],
    "prms": ["Skywork-PRM-1.5B"],
    "methods": ["cot", "majority", "best_of_n", "beam_search", "dvts"],
    "budgets": [4, 16, 64, 256],
    "samples_per_job": 64_000,
}

Asked = Callable[..., tuple[str, dict[str, dict[str, str]]]]


@pytest.fixture(scope="module")
def asked_for(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    """The output of a dry run of a large study with a profile (and options), and rule -> resource
    -> what its last job asks; each is made once."""
    clone = fresh_clone(tmp_path_factory.mktemp("planned"))
    (clone.folder / "large.yaml").write_text(yaml.safe_dump(LARGE))
    return cache(partial(_asked_for, clone))


def _asked_for(clone: Clone, profile: str, *options: str) -> tuple[str, dict[str, dict[str, str]]]:
    plugin = find_spec(PLUGIN.get(profile, "snakemake"))
    if plugin is None or plugin.origin is None:
        pytest.skip("the plugins of requirements/cluster.lock are absent")
    done = clone.run(
        *("snakemake", "analysis", "--dry-run", "--workflow-profile", f"profiles/{profile}"),
        *options,
        *("--configfile", "large.yaml"),
        pythonpath=str(Path(plugin.origin).parents[1]),
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    asked: dict[str, dict[str, str]] = {}
    for block in re.split(r"\n(?=(?:local)?rule \w+:)", output)[1:]:
        rule = block.split("rule ")[1].split(":")[0]
        match = re.search(r"\n    resources: (.*)", block)
        asked[rule] = (
            dict(re.findall(r"\b(gpu|mem_mb|runtime|attempt)=(\d+)", match[1])) if match else {}
        )
    return output, asked


def test_the_gpu_profile_runs_as_many_jobs_as_gpus_are_left_and_splits_for_them(
    clone: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = use(install(tmp_path / "machine", 4), monkeypatch)
    done = clone.run(
        *("snakemake", "analysis", "--dry-run", "--workflow-profile", "profiles/gpu"),
        *("--configfile", "config/one-gpu.yaml"),
        **{**machine.environment, VISIBLE: "0,2"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.chdir(ROOT)
    counts = shard_counts(load_study(ROOT / "config/one-gpu.yaml"), 2)
    assert max(counts.values()) > 1
    planned = len(re.findall(r"rule \w+_of_shard:", done.stdout + done.stderr))
    assert planned == sum(n for n in counts.values() if n > 1)


def profile_of(name: str) -> Any:
    return yaml.safe_load((ROOT / f"profiles/{name}/profile.yaml").read_text())


@pytest.mark.parametrize("profile", ["gpu", "slurm", "kubernetes"])
def test_profiles_keep_what_the_default_one_sets(profile: str) -> None:
    # A workflow profile replaces the default one; it does not extend it.
    kept = {key: value for key, value in profile_of("default").items() if key != "resources"}
    assert kept.items() <= profile_of(profile).items()


KUBECTL = """#!/bin/sh
# Stands in for kubectl: keeps the manifest, and runs the job as the cluster would.
cd "$(dirname "$0")"
case $1 in
create) name=job-$$; cat > $name.yaml
  folder=$(sed -n 's/ *workingDir: //p' $name.yaml)
  script=$(sed -n 's/ *command: .sh, "\\(.*\\)"./\\1/p' $name.yaml)
  (cd "$folder" && sh "$script") > $name.log 2>&1 && echo Complete > $name || echo Failed > $name
  echo $name ;;
get) cat $2 ;;
esac
"""


def test_the_kubernetes_profile_makes_jobs_that_run(clone: Clone) -> None:
    pytest.importorskip(PLUGIN["kubernetes"], reason="requirements/cluster.lock is not installed")
    tools = clone.folder / "tools"
    tools.mkdir()
    (tools / "kubectl").write_text(KUBECTL)
    (tools / "kubectl").chmod(0o755)
    plugins = Path(str(find_spec(PLUGIN["kubernetes"]).origin)).parents[1]  # type: ignore[union-attr]
    done = clone.run(
        *("snakemake", "--configfile", "tiny.yaml", "--workflow-profile", "profiles/kubernetes"),
        *("--seconds-between-status-checks", "1", "--latency-wait", "1"),
        *("--until", "prepare_problems", "--", "analysis"),
        pythonpath=str(plugins),
        PATH=f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        COMPUTE_OPTIMAL_IMAGE="elsewhere/study:1",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (job,) = [yaml.safe_load(path.read_text()) for path in tools.glob("*.yaml")]
    assert list((clone.folder / "results/problems").glob("*.parquet"))
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"memory": "4000M", "nvidia.com/gpu": 0}
    # A job's time begins when it is made, a pod's on its node: waiting takes none of it.
    assert "activeDeadlineSeconds" not in job["spec"]
    assert pod["activeDeadlineSeconds"] == 60 * 60
    documents = yaml.safe_load_all((ROOT / "profiles/kubernetes/study.yaml").read_text())
    driver = {document["kind"]: document for document in documents}
    theirs = driver["Job"]["spec"]["template"]["spec"]
    assert pod["volumes"][0] == theirs["volumes"][0]
    assert container["volumeMounts"][0] == theirs["containers"][0]["volumeMounts"][0]
    assert container["image"] == "elsewhere/study:1"
    (their_container,) = theirs["containers"]
    given = {entry["name"]: entry["value"] for entry in their_container["env"]}
    assert given["COMPUTE_OPTIMAL_IMAGE"] == their_container["image"]
    claim = theirs["volumes"][0]["persistentVolumeClaim"]["claimName"]
    assert given["COMPUTE_OPTIMAL_CLAIM"] == claim
    # Models lie on the volume, below the clone, for driver and jobs; both have the secret.
    of_job = {entry["name"]: entry["value"] for entry in container["env"]}
    below = Path(given["HF_HOME"]).relative_to(their_container["workingDir"])
    assert of_job["HF_HOME"] == str(clone.folder / below)
    assert container["envFrom"] == their_container["envFrom"]
    assert driver["PersistentVolumeClaim"]["metadata"]["name"] == claim


def test_a_job_that_ended_in_an_error_of_its_own_is_not_run_again(clone: Clone) -> None:
    mirror = clone.folder / "mirror"
    mirror.mkdir()
    tasks = yaml.safe_load((ROOT / "config/registry/tasks.yaml").read_text())["tasks"]
    (mirror / tasks["AMC23"]["file"]).write_text("another file")
    clone.edit("tiny.yaml", lambda study: study.update(tasks=["AMC23"], mirror="mirror"))
    done = clone.snakemake("--retries", "2", "--until", "prepare_problems")
    assert done.returncode == 1
    assert (done.stdout + done.stderr).count("Trying to restart job") == 2
    (log,) = clone.folder.glob("logs/tiny/prepare_problems/*.log")
    assert "the file has sha256" in log.read_text()
    assert "not tried again" in log.read_text()
