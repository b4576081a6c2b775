"""What Snakemake plans, and when: each test is a way in which such workflows are known to fail."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest
import yaml
from clones import GENERATE, TASK, TINY, Clone, Job

from compute_optimal.store.partitions import slug

POLICY = TINY["policies"][1]
NEW = "micro-new"
SHARDS = ("draw_samples_of_shard", "score_steps_of_shard", "search_trees_of_shard")


def generation(jobs: list[Job]) -> list[Job]:
    return [job for job in jobs if job.rule in GENERATE]


def test_a_fresh_clone_plans_work_but_no_generation(clone: Clone) -> None:
    jobs = clone.plan()
    assert {job.rule for job in jobs} >= {"grade_answers", "estimate_accuracy", "examine_prms"}
    assert generation(jobs) == []


@pytest.mark.parametrize("study", ["config.yaml", "public.yaml"])
def test_the_shipped_studies_are_all_in_the_shipped_store(clone: Clone, study: str) -> None:
    (clone.folder / "tiny.yaml").write_bytes((clone.folder / "config" / study).read_bytes())
    jobs = clone.plan()
    assert len(jobs) > 0
    assert generation(jobs) == []


def test_the_plan_is_made_without_torch_vllm_and_transformers(clone: Clone) -> None:
    blocked = clone.folder / "blocked"
    for name in ("torch", "vllm", "transformers", "tokenizers"):
        (blocked / name).mkdir(parents=True)
        (blocked / name / "__init__.py").write_text("raise ImportError('not in this environment')")
    assert clone.plan(pythonpath=str(blocked))


def test_the_papers_whole_grid_is_planned(clone: Clone) -> None:
    (clone.folder / "tiny.yaml").write_bytes((clone.folder / "config/paper.yaml").read_bytes())
    jobs = generation(clone.plan())
    # 2 tasks x 12 policies: ten with 7 PRMs, R1-Distill's two with one and without searches.
    counts = {rule: sum(job.rule == rule for job in jobs) for rule in GENERATE}
    assert counts == {"draw_samples": 24, "score_steps": 144, "search_trees": 140}
    assert all(job.engine == 1 for job in jobs)


def test_a_second_run_does_nothing(finished: Clone) -> None:
    done = finished.snakemake("analysis")
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_cells_that_came_in_during_a_run_are_not_made_again(clone: Clone) -> None:
    published = clone.run("compute_optimal", "publish", "--config", "tiny.yaml", "--to", "there")
    assert published.returncode == 0, published.stdout + published.stderr
    store = {"shipped": "none", "remotes": [str(clone.folder / "there")]}
    small = TINY["policies"][:1]
    clone.edit("tiny.yaml", lambda c: c.update(store=store, policies=small, problems=2))
    assert {job.rule for job in generation(clone.plan())} == {"draw_samples", "score_steps"}
    done = clone.snakemake("analysis")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "parts fetched" in done.stdout + done.stderr
    assert list(clone.folder.glob("results/run/*/*/samples-*.json"))
    assert clone.plan() == []
    # The cells are stored by now: only their receipts keep what later jobs wait for as it was.
    shutil.rmtree(clone.folder / ".snakemake")
    assert clone.plan() == []


def test_studies_published_together_are_both_whole(clone: Clone) -> None:
    other = {**TINY, "name": "other", "policies": TINY["policies"][:1], "budgets": [2]}
    (clone.folder / "other.yaml").write_text(yaml.safe_dump(other))
    done = clone.run(
        *("compute_optimal", "publish", "--prune", "--to", "there"),
        *("--config", "other.yaml", "tiny.yaml"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    clone.edit("tiny.yaml", lambda c: c.update(store={"shipped": "there"}))
    assert generation(clone.plan()) == []
    clone.edit("tiny.yaml", lambda c: c.update(other, store={"shipped": "there"}))
    assert generation(clone.plan()) == []


def test_touching_every_file_of_the_workflow_plans_nothing(finished: Clone) -> None:
    for path in (finished.folder / "workflow").rglob("*"):
        if path.is_file():
            os.utime(path)
    os.utime(finished.folder / "Snakefile")
    assert finished.plan() == []


def test_editing_the_library_plans_analysis_and_no_generation(finished: Clone) -> None:
    for path in (finished.folder / "workflow/compute_optimal").rglob("*.py"):
        with path.open("a") as file:
            file.write("\n# a remark\n")
    jobs = finished.plan()
    assert "estimate_accuracy" in {job.rule for job in jobs}
    assert generation(jobs) == []


def test_adding_a_policy_plans_its_jobs_and_the_aggregates(finished: Clone) -> None:
    shutil.copytree(
        finished.folder / f"data/models/{POLICY}", finished.folder / f"data/models/{NEW}"
    )

    def register(content: dict[str, Any]) -> None:
        entry = content["policies"][POLICY]
        content["policies"][NEW] = {**entry, "path": f"data/models/{NEW}"}

    finished.edit("config/registry/policies.yaml", register)
    finished.edit("tiny.yaml", lambda content: content["policies"].append(NEW))
    locked = finished.run("compute_optimal", "lock", "--config", "tiny.yaml")
    assert locked.returncode == 0, locked.stderr
    jobs = finished.plan()
    own = [job for job in jobs if job.wildcards.get("policy") == NEW]
    assert sorted(job.rule for job in own) == [
        "check_steps",
        "draw_samples",
        "estimate_accuracy",
        "grade_answers",
        "score_steps",
    ]
    assert all(job.engine == 1 for job in generation(own))
    assert {job.rule for job in jobs if job not in own} == {
        "describe_study",
        "examine_prms",
        "build_database",
        "analysis",
    }


def test_a_large_cell_is_split_by_problems_into_jobs_of_their_own(finished: Clone) -> None:
    # 5 problems: 4 + 4 + 1 samples each in the pools, 4 to be scored. A cell that was finished
    # whole is not made again.
    finished.edit("tiny.yaml", lambda c: c.update(samples_per_job=20))
    assert finished.plan() == []
    finished.edit(
        "tiny.yaml",
        lambda c: c.update(seed=1, samples_per_job=10, policies=TINY["policies"][:1]),
    )
    jobs = [job for job in finished.plan() if job.rule in {*GENERATE, *SHARDS}]
    shards = [job for job in jobs if job.rule in SHARDS]
    assert sorted(job.wildcards["shard"] for job in shards if job.rule == SHARDS[0]) == [
        f"{number}-of-5" for number in range(1, 6)
    ]
    assert [job.wildcards["shard"] for job in shards if job.rule == SHARDS[1]] != []
    assert all(job.engine == 1 for job in shards)
    assert all(job.engine == 0 for job in jobs if job.rule in GENERATE)


def swap(content: dict[str, Any]) -> None:
    content["policies"][POLICY]["sampling"] |= {"temperature": 0.9, "top_p": 0.8}


def swap_back(content: dict[str, Any]) -> None:
    content["policies"][POLICY]["sampling"] |= {"temperature": 0.8, "top_p": 0.9}


@pytest.mark.parametrize("without_records", [False, True], ids=["", "without .snakemake"])
def test_swapping_two_numbers_of_a_spec_is_seen(finished: Clone, without_records: bool) -> None:
    finished.edit("config/registry/policies.yaml", swap)
    if without_records:
        shutil.rmtree(finished.folder / ".snakemake")
    first = finished.plan()
    assert {job.wildcards["policy"] for job in generation(first)} == {POLICY}
    assert all(job.engine == 1 for job in generation(first))
    finished.edit("config/registry/policies.yaml", swap_back)
    second = finished.plan()
    digests = [
        {job.wildcards["digest"] for job in generation(jobs) if job.rule == "draw_samples"}
        for jobs in (first, second)
    ]
    assert digests[0] != digests[1]


def test_a_changed_setting_of_the_analysis_is_seen_without_records_and_back_again(
    finished: Clone,
) -> None:
    shutil.rmtree(finished.folder / ".snakemake")

    def thresholds(easy: float) -> None:
        finished.edit("tiny.yaml", lambda c: c["difficulty"].update(easy=easy))

    thresholds(0.6)
    done = finished.snakemake("analysis")
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(finished.folder / ".snakemake")
    thresholds(0.5)
    rules = {job.rule for job in finished.plan()}
    assert rules == {"estimate_accuracy", "describe_study", "build_database", "analysis"}


def test_changed_code_is_seen_without_records_and_back_again(finished: Clone) -> None:
    module = finished.folder / "workflow/compute_optimal/analyse/prm_examination.py"
    before = module.read_text()
    for text in (f"{before}\n# a remark\n", before):
        shutil.rmtree(finished.folder / ".snakemake")
        assert finished.plan() == []
        module.write_text(text)
        jobs = finished.plan()
        assert [job.wildcards for job in jobs if job.rule == "examine_prms"]
        assert {job.rule for job in jobs} == {
            "record_code",
            "examine_prms",
            "build_database",
            "analysis",
        }
        done = finished.snakemake("analysis")
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_miss_under_generate_never_is_listed_and_priced_before_anything_runs(
    clone: Clone,
) -> None:
    clone.edit("tiny.yaml", lambda c: c.update(generate="never", budgets=[4, 512], problems=2))
    done = clone.snakemake("analysis")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    for policy in TINY["policies"]:
        assert f"{TASK} / {policy} / majority N=512" in output
    assert "tokens to generate" in output
    assert "generate: missing" in output
    assert not (clone.folder / "results").exists()


def test_a_flipped_byte_in_the_shipped_store_is_named_and_refused(clone: Clone) -> None:
    folder = clone.folder / "data/store/samples"
    part = next(folder.glob(f"{slug(TASK)}.{slug(POLICY)}.evaluation*/samples-*.parquet"))
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    done = clone.snakemake("analysis")
    assert done.returncode != 0
    assert part.name in done.stdout + done.stderr
    assert "damaged" in done.stdout + done.stderr
