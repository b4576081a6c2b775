"""After SIGKILL of Snakemake, the README's lines are all it takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml
from clones import TINY, Clone


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
