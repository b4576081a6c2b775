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
from compute_optimal.engines.gguf import _move as move
from compute_optimal.engines.gguf import convert_gguf
from compute_optimal.errors import StudyError
from compute_optimal.generate import parts
from compute_optimal.search.records import Ledger
from compute_optimal.ship.report import hand_over
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


WORK = {
    "audit": ("compute_optimal.ship.audit.audit", "--page"),
    "verify": ("compute_optimal.ship.verify.verify", "--page"),
    "check-engine": ("compute_optimal.ship.engine_check.looked_at", "--page"),
    "archive": ("compute_optimal.ship.archive.write_archive", "--output"),
    "plan": ("compute_optimal.study.schedule.plan", "--output"),
}
"""Command -> what it does for minutes, and the option that names the file of what comes of it."""


@pytest.mark.parametrize("place", ["a folder", "a pipe", "below a file"])
@pytest.mark.parametrize("verb", WORK)
def test_no_work_is_begun_whose_file_cannot_be_written(
    verb: str,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A pipe stands for /dev/null, in whose place root would put a file."""
    monkeypatch.chdir(ROOT)
    work, option = WORK[verb]
    begun: list[str] = []
    monkeypatch.setattr(work, lambda *_, **__: begun.append(verb))
    (tmp_path / "a folder").mkdir()
    (tmp_path / "file").write_text("kept")
    os.mkfifo(tmp_path / "a pipe")
    path = tmp_path / ("file/page" if place == "below a file" else place)
    assert cli.main([verb, option, str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: cannot write: ")
    assert str(path) in said
    assert not begun
    assert (tmp_path / "a folder").is_dir()
    assert (tmp_path / "a pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a folder", "a pipe", "file"]


def test_what_a_check_found_is_told_where_its_page_can_be_written_no_more(tmp_path: Path) -> None:
    def look() -> Any:
        (tmp_path / "page.html").mkdir()
        return SimpleNamespace(passed=True, text="all is well", html="<p>all is well")

    told = hand_over(look, tmp_path / "page.html", failure="failed", cure="mend it")
    assert next(told) == "all is well"
    with pytest.raises(StudyError, match="this is a folder"):
        next(told)


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "--config", ""],
        ["plan", "--output", " "],
        ["archive", "--output", ""],
        ["import-gguf", "--output", ""],
        ["publish", "--config", "config/config.yaml", "", "--to", "there"],
    ],
)
def test_an_empty_path_is_not_the_working_directory(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As comes of a variable that is not set: --output "$OUTPUT"."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "is empty: give a path" in capsys.readouterr().err


def test_results_that_are_not_there_are_made_of_the_study_that_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """make alone makes those of the default study."""
    monkeypatch.chdir(ROOT)
    settings = yaml.safe_load((ROOT / "config/candidates.yaml").read_text(encoding="utf-8"))
    content = settings | {"results": str(tmp_path / "results")}
    (tmp_path / "study.yaml").write_text(json.dumps(content))
    for command in (
        ["choose-problems", "--hard", "--n-problems", "3"],
        ["recommend", "--budget", "4"],
    ):
        assert cli.main([*command, "--config", str(tmp_path / "study.yaml")]) == 1
        assert "make CONFIG=" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--package", ""], "the package '' is not installed"),
        (["--package", "nobody"], "the package 'nobody' is not installed"),
        (["--package", "polars"], "the package 'polars' holds no GGUF file"),
    ],
)
def test_a_package_without_a_model(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["import-gguf", *options, "--output", str(tmp_path / "model")]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert " ".join(options).strip() in error
    assert "  do:" in error
    assert not (tmp_path / "model").exists()


def test_a_model_is_not_made_of_a_file(tmp_path: Path) -> None:
    """Its library remarked upon the file, after a minute, and saved nothing."""
    (tmp_path / "file").write_text("kept")
    with pytest.raises(StudyError, match="a folder is to be made") as caught:
        convert_gguf(tmp_path / "model.gguf", tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_model_that_was_made_can_be_read_by_whom_its_folder_is_for(tmp_path: Path) -> None:
    """safetensors writes files that nobody else may read; a team shares them."""
    folder, saved = tmp_path / "model", tmp_path / "saved"
    for place in (folder, saved):
        place.mkdir()
    for name, mode in (("config.json", 0o644), ("model.safetensors", 0o600), ("z.json", 0o640)):
        (saved / name).write_text(name)
        (saved / name).chmod(mode)
    (folder / "config.json").write_text("of a conversion that was killed")
    move(saved, folder)
    for name in ("config.json", "model.safetensors", "z.json"):
        assert (folder / name).read_text() == name
        assert (folder / name).stat().st_mode & 0o777 == 0o644
    assert not list(saved.iterdir())


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "nan", "", "²", "9" * 30])
@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--cores"],
        ["ship", "--cores"],
        ["choose-problems", "--hard", "--n-problems"],
        ["choose-problems", "--n-problems", "10", "--of-each-bucket"],
    ],
    ids=" ".join,
)
def test_a_number_of_things_is_one(
    arguments: list[str], number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """No problems of each bucket were chosen, and all was well."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, number])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert arguments[-1] in said
    assert "is no whole number from 1" in said


@pytest.mark.parametrize("arguments", [["publish", "--to", " "], ["fetch", "--from", " "]])
def test_a_blank_address_is_none(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main(arguments) == 1
    assert "no address is given" in capsys.readouterr().err
