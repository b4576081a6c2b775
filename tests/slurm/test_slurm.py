"""A slice of the micro study through sbatch, disturbed in the ways that clusters disturb jobs.

SLURM runs on this machine (``one_node_cluster``), with the profile that users run. Each
disturbance strikes while samples are being drawn; the same command, given again, must end in what
an undisturbed run ends in. ``make test-slurm`` runs these tests.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
import yaml
from clones import TINY, Clone, fresh_clone
from one_node_cluster import OneNodeCluster, absent
from polars.testing import assert_frame_equal

from compute_optimal.store.schemas import SECONDS

pytest.importorskip("vllm", reason="no CPU engine in this environment: make engine")
plugin = pytest.importorskip(
    "snakemake_executor_plugin_slurm", reason="the plugins of requirements/cluster.lock are absent"
)
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(absent() is not None, reason=f"no SLURM here: {absent()}"),
]

# Its pools are drawn one after the other: the first is stored while the largest is being drawn.
SLICE = TINY | {
    "problems": 10,
    "policies": ["micro-qwen-0.1M"],
    "prms": [],
    "methods": ["cot", "majority"],
    "budgets": [4, 64],
    "store": {"writable": "store", "shipped": "none"},
}
QUICK = (  # a cluster of one answers at once
    *("--slurm-init-seconds-before-status-checks", "1"),
    *("--seconds-between-status-checks", "1", "--latency-wait", "5"),
    # There is no accounting database that sacct, the default, could ask.
    *("--slurm-status-command", "squeue"),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNodeCluster]:
    with OneNodeCluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running
        for process in started:
            process.kill()


started: list[subprocess.Popen[bytes]] = []
"""Snakemake's processes; a test that fails leaves one behind."""


def start(clone: Clone, cluster: OneNodeCluster, *arguments: str) -> subprocess.Popen[bytes]:
    """Snakemake with the slice and the SLURM profile."""
    plugins = Path(plugin.__file__).parents[1]
    with (clone.folder / "snakemake.out").open("ab") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "snakemake", "--workflow-profile", "profiles/slurm"),
                *("--configfile", "tiny.yaml", *QUICK, *arguments),
            ],
            cwd=clone.folder,
            env=cluster.environment
            | {
                "PATH": f"{Path(sys.executable).parent}:{cluster.environment['PATH']}",
                "PYTHONPATH": f"{clone.folder}/workflow:{plugins}",
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    started.append(process)
    return process


def finish(clone: Clone, cluster: OneNodeCluster, *arguments: str) -> None:
    status = start(clone, cluster, *arguments).wait(600)
    assert status == 0, (clone.folder / "snakemake.out").read_text()[-5000:]


@pytest.fixture(scope="module")
def undisturbed(cluster: OneNodeCluster, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = fresh_clone(tmp_path_factory.mktemp("undisturbed"))
    (clone.folder / "tiny.yaml").write_text(yaml.safe_dump(SLICE))
    finish(clone, cluster, "analysis", "--until", "grade_answers")
    return clone


def with_problems_only(undisturbed: Clone, folder: Path) -> Clone:
    """The undisturbed run's clone as it was before anything was generated."""
    shutil.copytree(undisturbed.folder, folder)
    shutil.rmtree(folder / "results" / "run")
    shutil.rmtree(folder / "store" / "samples")
    return Clone(folder)


def samples(clone: Clone) -> pl.DataFrame:
    """All samples in the store, each as often as it was drawn, without what a disturbance changes:
    which run drew them, how long that took, and whose prompts the engine still had in its cache."""
    parts = (clone.folder / "store" / "samples").glob("*/samples-*.parquet")
    frames = [pl.read_parquet(part).with_columns(cell=pl.lit(part.parent.name)) for part in parts]
    cache = ("prompt_tokens_computed", "prompt_tokens_cached")
    drawn = pl.concat(frames).with_columns(prompt_tokens=pl.sum_horizontal(cache))
    return drawn.drop("run", *SECONDS, *cache).sort("cell", "problem_hash", "sample_index")


def until(ready: Callable[[], object], what: str, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"no {what} within {seconds:.0f} s"
        time.sleep(0.05)


LEASING = """\
import os, sys, time
from pathlib import Path
from compute_optimal.engines.devices import leased_devices
with leased_devices(int(sys.argv[1]), "a job"):
    mine = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    for name in mine:
        Path(f"held-{name}").mkdir()
    Path(sys.argv[2]).write_text(" ".join(mine))
    while not Path("end").exists():
        time.sleep(0.1)
    for name in mine:
        Path(f"held-{name}").rmdir()
"""
"""A job that takes its GPUs as the study's jobs do. Who makes a folder twice ends in an error."""


def test_two_jobs_share_the_gpus_of_a_node_and_a_third_waits(
    cluster: OneNodeCluster, tmp_path: Path
) -> None:
    (tmp_path / "job.py").write_text(LEASING)
    workflow = Path(__file__).parents[2] / "workflow"

    def submit(n_gpus: int, name: str) -> str:
        command = f"PYTHONPATH={workflow} {sys.executable} job.py {n_gpus} {name}"
        options = (f"--gres=gpu:{n_gpus}", f"--chdir={tmp_path}", "--ntasks=1", "--mem=100")
        return cluster.run("sbatch", "--parsable", *options, "--wrap", command).strip()

    both = [submit(1, "first"), submit(1, "second")]
    given = [tmp_path / "first", tmp_path / "second"]
    until(lambda: all(path.exists() and path.read_text() for path in given), "two jobs at once")
    assert {path.read_text() for path in given} == {"0", "1"}
    third = submit(2, "third")
    until(lambda: third in jobs(cluster, "PENDING"), "job that waits for both GPUs")
    assert not (tmp_path / "third").exists()
    (tmp_path / "end").touch()
    for job in (*both, third):
        await_end(cluster, job, "COMPLETED")
    assert set((tmp_path / "third").read_text().split()) == {"0", "1"}


def jobs(cluster: OneNodeCluster, state: str, rule: str = "") -> list[str]:
    """Ids of the jobs in a state, of one rule; the plugin writes the rule into the comment."""
    lines = cluster.run("squeue", "-h", "-t", state, "-o", "%A %k").splitlines()
    return [line.split()[0] for line in lines if rule in line]


def await_end(cluster: OneNodeCluster, job: str, state: str) -> None:
    until(lambda: job in jobs(cluster, state), f"end of job {job} as {state}")


def cancel(cluster: OneNodeCluster, job: str) -> None:
    cluster.run("scancel", job)
    await_end(cluster, job, "CANCELLED")


def exceed_the_time_limit(cluster: OneNodeCluster, job: str) -> None:
    # Limits are whole minutes: the job holds still until it is found to be over its own.
    cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    cluster.run("scancel", "--signal=STOP", job)
    await_end(cluster, job, "TIMEOUT")


def drain_the_node(cluster: OneNodeCluster, job: str) -> None:
    # The job that the node has may end; the next waits for the node, until someone gives it up.
    cluster.run("scontrol", "update", f"NodeName={cluster.node}", "State=DRAIN", "Reason=test")
    await_end(cluster, job, "COMPLETED")
    reasons = ("squeue", "-h", "-t", "PENDING", "-o", "%r")
    until(lambda: "DRAINED" in cluster.run(*reasons), "job that waits for the node")
    cluster.run("scancel", *jobs(cluster, "PENDING"))
    cluster.run("scontrol", "update", f"NodeName={cluster.node}", "State=RESUME")


@pytest.mark.parametrize("disturb", [cancel, exceed_the_time_limit, drain_the_node])
def test_a_disturbed_run_given_again_ends_like_an_undisturbed_one(
    disturb: Callable[[OneNodeCluster, str], None],
    cluster: OneNodeCluster,
    undisturbed: Clone,
    tmp_path: Path,
) -> None:
    (expected,) = (undisturbed.folder / "results").rglob("answers-*.parquet")
    target = expected.relative_to(undisturbed.folder).as_posix()
    clone = with_problems_only(undisturbed, tmp_path / "clone")
    process = start(clone, cluster, target, "--retries", "0")
    until(lambda: list((clone.folder / "store").glob("samples/*/samples-*.parquet")), "first part")
    (job,) = jobs(cluster, "RUNNING", "draw_samples")
    disturb(cluster, job)
    assert process.wait(300) != 0  # the plugin looks ever more rarely
    assert not (clone.folder / target).exists()
    kept = samples(clone).height
    assert kept > 0
    assert kept < samples(undisturbed).height or disturb is drain_the_node

    finish(clone, cluster, target)
    # Rows that were lost, drawn twice or drawn otherwise would show; sums of floats depend on the
    # batch in their last digits.
    assert_frame_equal(samples(clone), samples(undisturbed), abs_tol=1e-3)
    assert_frame_equal(pl.read_parquet(clone.folder / target), pl.read_parquet(expected))
