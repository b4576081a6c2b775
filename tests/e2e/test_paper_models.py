"""The study for one GPU from nothing to the report, on a CPU with tiny models of the same make.

``tests/paper_grid`` does the same with the paper's whole grid. Jobs that open engines run one after
the other in a process that keeps them open (``warm_engines``), which halves the time. That each is
a process of its own elsewhere the scale model tests (``test_generate``, ``test_commands``).
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
        reason="needs the problems of MATH-500: set MIRROR to a folder that holds test500.jsonl",
    ),
]


def test_one_gpu_from_nothing_to_the_report(tmp_path: Path) -> None:
    run_in_tiny("one-gpu", tmp_path)
