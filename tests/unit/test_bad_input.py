"""What a user's machine and files can do wrong: one clear message, status 1, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from default_study import POLICIES, ROOT, TASK

from compute_optimal import cli
from compute_optimal.errors import StudyError
from compute_optimal.generate import parts
from compute_optimal.search.records import Ledger
from compute_optimal.store import partitions as store
from compute_optimal.store import partitions as store_module
from compute_optimal.store.partitions import Store
from compute_optimal.study.config import load_study
from compute_optimal.study.models import folder_sha256
from compute_optimal.study.plan import StudyPlan

MODEL = POLICIES[0]
Run = Callable[..., str]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of a shipped model, which the test may spoil."""
    return shutil.copytree(ROOT / "data/models" / MODEL, tmp_path / "model")


@pytest.fixture
def sampling(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Draw samples of that model for one problem; gives the error, which must be the only one."""
    monkeypatch.chdir(ROOT)
    registry, lock = tmp_path / "registry", tmp_path / "lock.json"
    shutil.copytree("config/registry", registry)
    policies = yaml.safe_load((registry / "policies.yaml").read_text())
    policies["policies"][MODEL]["path"] = str(model)
    (registry / "policies.yaml").write_text(yaml.safe_dump(policies))
    lock.write_text(json.dumps({MODEL: {"path": str(model), "sha256": folder_sha256(model)}}))
    config = {
        "name": "bad-input",
        "tasks": [TASK],
        "problems": 1,
        "policies": [MODEL],
        "methods": ["majority"],
        "registry": str(registry),
        "lock_file": str(lock),
        "store": {"writable": str(tmp_path / "store"), "shipped": str(tmp_path / "none")},
    }
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    plan = StudyPlan(load_study(tmp_path / "study.yaml"))
    place: Any = SimpleNamespace(task=TASK, policy=MODEL)

    def run(**changes: str) -> str:
        options = {
            "store": str(tmp_path / "store"),
            "shipped": str(tmp_path / "none"),
            "registry": str(registry),
            "lock-file": str(lock),
            "generate": "missing",
        } | changes
        arguments = [f"--{name}={value}" for name, value in options.items()]
        output = tmp_path / "receipt-000000000000.json"
        spec = plan.samples(place)
        status = cli.main(["draw-samples", "--spec", spec, "--output", str(output), *arguments])
        assert status == 1
        assert not output.exists()
        return one_error(capsys)

    return run


def one_error(capsys: pytest.CaptureFixture[str]) -> str:
    printed = capsys.readouterr().err
    assert printed.count("error: ") == 1
    assert "Traceback" not in printed
    for part in ("  where: ", "  do:    "):
        assert part in printed
    return printed


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        (None, "no whole model: *.safetensors, config.json, tokenizer.json missing"),
        ("model.safetensors", "no whole model: *.safetensors missing"),
        ("tokenizer.json", "no whole model: tokenizer.json missing"),
        ("config.json", "no whole model: config.json missing"),
    ],
)
def test_a_model_that_is_not_there_or_not_whole(
    sampling: Run, model: Path, absent: str | None, message: str
) -> None:
    if absent is None:
        shutil.rmtree(model)
    else:
        (model / absent).unlink()
    error = sampling()
    assert message in error
    assert str(model) in error


def test_a_model_that_was_changed(sampling: Run, model: Path) -> None:
    with (model / "config.json").open("a") as file:
        file.write("\n")
    assert "has changed: its sha256 is" in sampling()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_a_store_that_cannot_be_written(
    sampling: Run, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(code, os.strerror(code))

    # As root every folder can be written, so the system is made to say it.
    monkeypatch.setattr(os, "fsync", refuse)
    error = sampling()
    assert f"cannot write: {os.strerror(code)}" in error
    assert str(tmp_path / "store") in error


def test_a_store_that_is_a_file(sampling: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    assert "cannot write" in sampling(store=str(tmp_path / "taken"))


def test_results_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "results/study.json")

    monkeypatch.setattr(store, "write_json", refuse)
    spec = '{"study": {}, "entries": [], "tables": []}'
    assert cli.main(["describe-study", "--spec", spec, "--output", "results/study.json"]) == 1
    error = one_error(capsys)
    assert "Read-only file system" in error
    assert "results/study.json" in error


def test_a_mirror_file_with_another_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    study = load_study("config/paper.yaml")
    task = study.task("MATH-500")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / str(task.file)).write_text("{}\n")
    spec = StudyPlan(study).problems(SimpleNamespace(task="MATH-500"))  # type: ignore[arg-type]
    options = [f"--mirror={mirror}", f"--store={tmp_path}/store", f"--shipped={tmp_path}/none"]
    output = f"--output={tmp_path}/MATH-500-000000000000.parquet"
    assert cli.main(["prepare-problems", "--spec", spec, output, *options]) == 1
    error = one_error(capsys)
    for part in (str(task.sha256), store_module.sha256_of(mirror / str(task.file)), str(mirror)):
        assert part in error


def test_a_disk_that_fills_costs_nothing_that_was_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"kind": "samples", "seed": 0}
    cell = Store(tmp_path).partition("samples", "task.policy", spec)
    job: Any = SimpleNamespace(spec=spec, kind="samples", partition=cell, n_missing=6)

    def rows(index: int) -> list[dict[str, Any]]:
        empty = dict.fromkeys(parts.SCHEMAS["samples"])
        return [{**empty, "problem_hash": "a", "sample_index": index}]

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ledger = Ledger(generated_tokens=5)
    with parts.Parts([job], seconds=0) as kept:
        kept.keep(job, rows(0), [ledger])
        with monkeypatch.context() as patch:
            patch.setattr(store_module.os, "fsync", full)
            with pytest.raises(StudyError, match="No space left on device") as caught:
                kept.keep(job, rows(1), [ledger])
        assert str(tmp_path) in str(caught.value)
        assert cell.read("samples")["sample_index"].to_list() == [0]
    # There was room again when the run ended.
    samples = cell.read("samples")
    assert samples["sample_index"].to_list() == [0, 1]
    assert samples["generated_tokens"].to_list() == [5, 5]
    assert (samples["seconds"] > 0).all()


def test_a_folder_without_trained_models_replaces_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    lock = Path("config/models.lock.json").read_bytes()
    for folder in (tmp_path, tmp_path / "absent"):
        assert cli.main(["install-models", str(folder)]) == 1
        assert "there is no model of micro here" in (error := capsys.readouterr().err)
        assert str(folder) in error
    assert Path("config/models.lock.json").read_bytes() == lock
