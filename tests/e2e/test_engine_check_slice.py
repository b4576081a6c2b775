"""What a GPU's owner starts first, on the CPU engine: a slice of it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed here (make engine)")

from default_study import ROOT

from compute_optimal import cli

pytestmark = pytest.mark.engine


def test_everything_is_within_its_expected_range_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    page = tmp_path / "page.html"
    status = cli.main(["check-engine", "--quick", "--page", str(page)])
    said = capsys.readouterr().out
    assert status == 0, said
    for subject in (
        "devices", "a kill and a resume", "both engines in one process",
        "against a plain forward in float32", "against a plain forward in bfloat16",
        "same seeds twice", "same seeds in other batches", "prefix cache",
        "tokens a second against the limit of memory",
    ):  # fmt: skip
        assert subject in said
        assert subject in page.read_text(encoding="utf-8")
    assert "0 of them lost, 12 after the resume" in said
    # A share is rounded, a count is not: 199 of 200 is not all.
    assert "same seeds twice: 12 of 12 texts equal" in said
    assert "expected: all texts equal" in said
    # Neither a terminal nor this page renders marks of a README.
    assert "`" not in said + page.read_text(encoding="utf-8")
