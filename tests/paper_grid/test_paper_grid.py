"""The paper's whole grid from nothing to the report: 12 policies, 7 PRMs, both tasks, in tiny.

The rules and their commands are the study's own; only, jobs that open engines run one after the
other in a process that keeps them open (``warm_engines``): 360 jobs open 19 models.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="no CPU engine in this environment: make engine")

from paper_clone import run_in_tiny

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        "MIRROR" not in os.environ,
        reason="needs the problems of MATH-500 and AIME24: set MIRROR to a folder that holds them",
    ),
]


def test_the_papers_grid_from_nothing_to_the_report(tmp_path: Path) -> None:
    run_in_tiny("paper", tmp_path)
