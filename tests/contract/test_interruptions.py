"""After SIGKILL of Snakemake, the README's lines are all it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from clones import TINY, Clone
from default_study import ROOT


def killed_in_the_middle(clone: Clone) -> None:
    """Start the study, and kill Snakemake and all its jobs once the first result is there."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "snakemake",
            "--configfile",
            "tiny.yaml",
            "--cores",
            "1",
            "analysis",
        ],
        cwd=clone.folder,
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(clone.folder / "workflow"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not list(clone.folder.glob("results/problems/*.parquet")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_after_sigkill_unlocking_and_the_same_command_resume_the_study(clone: Clone) -> None:
    small = TINY | {"policies": TINY["policies"][:1], "problems": 2}
    (clone.folder / "tiny.yaml").write_text(yaml.safe_dump(small))
    killed_in_the_middle(clone)
    refused = clone.snakemake("analysis")
    assert refused.returncode != 0
    assert "--unlock" in refused.stdout + refused.stderr
    assert clone.snakemake("--unlock").returncode == 0
    again = clone.snakemake("analysis", "--until", "grade_answers")
    assert again.returncode == 0, again.stdout + again.stderr
    assert list(clone.folder.glob("results/run/*/*/answers-*.parquet"))


_ENDLESS = """
import os, signal, sys, threading
import duckdb
from compute_optimal import cli

def endless(options):
    threading.Timer(0.3, os.kill, (os.getpid(), getattr(signal, sys.argv[1]))).start()
    # As the study's queries run; with more threads DuckDB may look for signals at the end only.
    connection = duckdb.connect(config={"threads": 1})
    connection.sql("SELECT sum(hash(range)) FROM range(10000000000000)").fetchall()

cli._call = endless
sys.exit(cli.main(["plan"]))
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_query_that_is_interrupted_ends_in_a_sentence(name: str) -> None:
    """DuckDB raises an error of its own in place of the interruption."""
    ended = subprocess.run(
        [sys.executable, "-c", _ENDLESS, name],
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 130
    assert ended.stderr == "interrupted: what was finished is kept; give the same command again\n"
