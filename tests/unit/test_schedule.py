"""Jobs on several GPUs: how large ones are split, and how busy the GPUs are by simulation."""

from __future__ import annotations

from pathlib import Path

import pytest
from default_study import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_optimal.store.places import Kind
from compute_optimal.study.cells import Job
from compute_optimal.study.config import load_study
from compute_optimal.study.schedule import (
    LEAST_LOADS,
    LOAD_HOURS,
    Price,
    busy_lines,
    shard_counts,
    simulated,
    split,
)

LIMITS = {"T": 500}


def job(kind: Kind, name: str, prm: str | None = None) -> Job:
    return Job(kind, "T", name, prm)


def searches(*hours: float, gpus: int = 1) -> dict[Job, Price]:
    return {job("searches", f"p{i}", "prm"): Price(h, gpus) for i, h in enumerate(hours)}


def test_a_chain_takes_its_length_and_equal_jobs_fill_their_gpus() -> None:
    chain = {job("samples", "p"): Price(2, 1), job("step_scores", "p", "prm"): Price(1, 1)}
    run = simulated(chain, {}, 4)
    assert run.hours == pytest.approx(3 + 2 * LOAD_HOURS)
    assert run.busy == run.least_busy == pytest.approx(3 / (4 * run.hours))
    run = simulated(searches(1, 1, 1, 1), {}, 4)
    assert run.hours == pytest.approx(1 + LOAD_HOURS)
    assert run.busy == pytest.approx(1 / (1 + LOAD_HOURS))


def test_scores_wait_for_every_shard_of_their_samples_and_for_no_other() -> None:
    samples, scores = job("samples", "p"), job("step_scores", "p", "prm")
    run = simulated({samples: Price(4, 1), scores: Price(1, 1)}, {samples: 2}, 2)
    assert run.hours == pytest.approx(2 + 1 + 2 * LOAD_HOURS)
    other = {job("samples", "q"): Price(9, 1), samples: Price(1, 1), scores: Price(1, 1)}
    assert simulated(other, {}, 2).hours == pytest.approx(9 + LOAD_HOURS)


def test_a_job_that_needs_more_gpus_than_there_are_is_counted_and_left_out() -> None:
    run = simulated(searches(1) | {job("searches", "large", "prm"): Price(5, 4)}, {}, 2)
    assert (run.n_jobs, run.too_large) == (1, 1)
    assert run.hours == pytest.approx(1 + LOAD_HOURS)


def test_scores_of_samples_that_no_job_draws_are_left_out_with_it() -> None:
    """A small PRM of a large policy: on one GPU there is nothing that it could read."""
    of_large = {
        job("samples", "large"): Price(5, 4),
        job("step_scores", "large", "prm"): Price(1, 1),
    }
    of_small = {job("samples", "p"): Price(2, 1), job("step_scores", "p", "prm"): Price(1, 1)}
    run = simulated(of_large | of_small, {}, 1)
    assert (run.n_jobs, run.too_large) == (2, 2)
    assert run.hours == pytest.approx(3 + 2 * LOAD_HOURS)
    # Where the samples are stored, nothing draws them and the scores wait for nothing.
    stored = simulated({job("step_scores", "large", "prm"): Price(1, 1)}, {}, 1)
    assert (stored.n_jobs, stored.too_large) == (1, 0)


def test_a_plan_says_of_a_machine_on_which_no_job_fits_that_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It said: 0.0 hours in 0 jobs, GPUs busy 0% of the time."""
    from compute_optimal.study.config import hardware_named
    from compute_optimal.study.cost import plan

    monkeypatch.chdir(ROOT)
    study = load_study(ROOT / "config/paper.yaml", {"items": "Figure 3"})
    one, four, _ = busy_lines(study, plan(study, *hardware_named(study)))
    assert one == "1 GPU:     left out: 1 job, for want of GPUs or of samples that want them"
    assert "left out" not in four


hours = st.floats(0.01, 100)
priced = st.lists(st.tuples(hours, st.sampled_from((1, 2, 4))), min_size=1, max_size=12).map(
    lambda jobs: {job("searches", f"p{i}", "prm"): Price(*one) for i, one in enumerate(jobs)}
)


@settings(max_examples=30)
@given(priced, st.sampled_from((4, 8)))
def test_a_schedule_is_between_what_no_schedule_beats_and_one_job_at_a_time(
    jobs: dict[Job, Price], n_gpus: int
) -> None:
    shards = split(jobs, n_gpus, LIMITS)
    run = simulated(jobs, shards, n_gpus, n_orders=2)
    work = sum(price.hours * price.gpus for price in jobs.values())
    longest = max(price.hours / shards[of] for of, price in jobs.items())
    one_at_a_time = sum(price.hours + LOAD_HOURS * shards[of] for of, price in jobs.items())
    # Sums in another order differ in their last bits.
    assert run.hours * n_gpus >= work * (1 - 1e-9)
    assert longest * (1 - 1e-9) <= run.hours <= one_at_a_time * (1 + 1e-9)
    assert run.busy == pytest.approx(work / (n_gpus * run.hours), rel=0.3)
    assert 0 < run.least_busy <= run.busy <= 1


@settings(max_examples=30)
@given(priced, st.integers(1, 16))
def test_shards_are_neither_shorter_than_worth_a_load_nor_more_than_problems(
    jobs: dict[Job, Price], n_gpus: int
) -> None:
    shards = split(jobs, n_gpus, {"T": 7})
    for of, price in jobs.items():
        assert 1 <= shards[of] <= 7
        # A job a little over the bound becomes two of a little over half of it.
        assert shards[of] == 1 or price.hours / shards[of] >= LEAST_LOADS * LOAD_HOURS / 2
        assert n_gpus > 1 or shards[of] == 1


def test_one_large_job_gets_all_gpus_to_work() -> None:
    jobs = searches(80)
    assert simulated(jobs, {}, 8).busy < 0.13
    assert simulated(jobs, split(jobs, 8, LIMITS), 8).busy > 0.94


def test_shards_do_not_change_while_results_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    config = ROOT / "config/one-gpu.yaml"
    empty = load_study(config, {"store": {"writable": str(tmp_path)}})
    counts = shard_counts(empty, 4)
    assert max(counts.values()) > 1
    assert set(shard_counts(empty, 1).values()) == {1}
    # The default study's cells are all stored and measured; neither counts.
    shipped = load_study(ROOT / "config/config.yaml")
    stored = load_study(ROOT / "config/config.yaml", {"store": {"shipped": str(tmp_path)}})
    assert shard_counts(shipped, 4) == shard_counts(stored, 4)


def test_a_plan_says_how_busy_the_gpus_of_several_machines_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from compute_optimal.study.config import hardware_named
    from compute_optimal.study.cost import plan

    monkeypatch.chdir(ROOT)
    study = load_study(ROOT / "config/one-gpu.yaml")
    lines = busy_lines(study, plan(study, *hardware_named(study)))
    assert [line.split(":")[0] for line in lines] == ["1 GPU", "4 GPUs", "8 GPUs"]
    assert "left out" not in "".join(lines)
