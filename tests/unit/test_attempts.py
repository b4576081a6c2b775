"""A job that ended with an error of its own is not tried again; one that a machine ended is."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from default_study import ROOT

from compute_optimal import cli
from compute_optimal.cli import main
from compute_optimal.errors import StudyError, ends_the_same_way
from compute_optimal.generate import jobs
from compute_optimal.study.config import load_study
from compute_optimal.study.plan import StudyPlan

Attempt = Callable[..., int]


@pytest.fixture
def attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempt:
    """An attempt at one job that does as it is told; the job counts its own runs."""

    def attempt(number: int, ending: BaseException | None, *, n: int = 4) -> int:
        def job(*_: Any) -> dict[str, str]:
            attempt.runs += 1  # type: ignore[attr-defined]
            if ending is not None:
                raise ending
            return {}

        monkeypatch.setattr(jobs, "draw_samples", job)
        spec = {"task": {"name": "AMC23"}, "problems": n, "pools": {}}
        return main(
            [
                *("draw-samples", "--spec", json.dumps(spec)),
                *(f"--output={tmp_path / 'receipt-000000000000.json'}", f"--attempt={number}"),
                *(f"--store={tmp_path / 'store'}", f"--registry={ROOT / 'config/registry'}"),
                f"--lock-file={ROOT / 'config/models.lock.json'}",
            ]
        )

    attempt.runs = 0  # type: ignore[attr-defined]
    return attempt


WRONG = StudyError("the model has no tokenizer", where="model.yaml", cure="give it one")


def test_an_error_of_the_study_is_said_again_and_not_made_again(
    attempt: Attempt, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attempt(1, WRONG) == 1
    first = capsys.readouterr().err
    for number in (2, 3):
        assert attempt(number, None) == 1
        assert capsys.readouterr().err.startswith(first)
    assert attempt.runs == 1  # type: ignore[attr-defined]
    # Another job is not concerned, and the same command given anew is a first attempt again.
    assert attempt(2, None, n=8) == 0
    assert attempt(1, None) == 0
    assert attempt(2, None) == 0


def left_in(store: Path) -> list[Path]:
    return sorted((store / "refused").glob("*"))


def test_what_an_earlier_run_left_says_nothing_of_a_new_one(
    attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that fails before a first attempt begins leaves the errors of a run before."""
    monkeypatch.chdir(ROOT)
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    store = {"store": {"writable": str(tmp_path / "store")}}
    (tmp_path / "study.yaml").write_text(json.dumps(settings | store))
    assert attempt(1, WRONG, n=4) == attempt(1, WRONG, n=8) == 1
    assert len(left_in(tmp_path / "store")) == 2
    StudyPlan(load_study(tmp_path / "study.yaml")).announce()
    assert not (tmp_path / "store/refused").exists()
    assert attempt(2, None, n=4) == 0


def test_nothing_is_left_of_a_refusal_once_its_job_has_been_done(
    attempt: Attempt, tmp_path: Path
) -> None:
    assert attempt(1, WRONG) == 1
    assert attempt(1, None) == 0
    assert not (tmp_path / "store/refused").exists()


def full_disk() -> StudyError:
    try:
        raise OSError(28, "No space left on device")
    except OSError as error:
        raised = StudyError("cannot write: no space")
        raised.__cause__ = error
        return raised


@pytest.mark.parametrize("ending", [full_disk(), MemoryError(), OSError(5, "I/O error")], ids=repr)
def test_what_the_machine_ended_is_tried_again(attempt: Attempt, ending: BaseException) -> None:
    assert attempt(1, ending) == 1
    assert attempt(2, None) == 0
    assert attempt.runs == 2  # type: ignore[attr-defined]


def test_a_killed_attempt_is_no_error_of_before(attempt: Attempt) -> None:
    assert attempt(1, WRONG) == 1
    # Mended; the next first attempt is ended by a scheduler.
    assert attempt(1, KeyboardInterrupt()) == 130
    assert attempt(2, None) == 0


def test_a_bug_says_nothing_of_the_next_attempt() -> None:
    assert not ends_the_same_way(ValueError("a bug"))
    assert ends_the_same_way(WRONG)


def test_only_clusters_retry_and_only_what_ends_by_itself() -> None:
    """Every rule of a study says which attempt it is, or is not retried at all."""
    for profile in sorted((ROOT / "profiles").glob("*/profile.yaml")):
        retries = yaml.safe_load(profile.read_text()).get("retries", 0)
        assert (retries > 0) == (profile.parent.name in ("slurm", "kubernetes")), profile
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in file.read_text().split("\nrule ")[1:]:
            if file.name == "micro.smk":
                continue
            tells = "storage=plan.storage_at" in rule and "{resources.storage}" in rule
            assert tells or "retries: 0" in rule, rule.split(":")[0]
            assert "retries: " not in rule.replace("retries: 0", ""), rule.split(":")[0]


class Ended:
    """What a scheduler ends while it is being removed: as often as it has been told to."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __del__(self) -> None:
        if self.times:
            Ended(self.times - 1)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)  # the handler is called here, in a destructor


@pytest.mark.parametrize("times", [1, 3])
def test_an_interruption_that_strikes_in_a_destructor_is_none_that_is_lost(
    times: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python drops what is raised there, and the work went on until it was killed."""
    went_on = []

    def work(_: object) -> None:
        Ended(times)
        time.sleep(10)
        went_on.append(True)

    monkeypatch.setattr(cli, "_call", work)
    hook = sys.unraisablehook
    assert cli.main(["results-folder"]) == 130
    assert not went_on
    assert capsys.readouterr().err.startswith("interrupted: what was finished is kept")
    assert sys.unraisablehook is hook
