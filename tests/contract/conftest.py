"""Working copies of the repository, fresh ones and one in which a tiny study has been run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from clones import Clone, fresh_clone, install_environments, shell
from recorded import RECORDER


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh clone; nothing has been run in it."""
    return fresh_clone(tmp_path)


@pytest.fixture(scope="session")
def finished_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run once: the tiny study up to its database."""
    folder = tmp_path_factory.mktemp("finished")
    done = fresh_clone(folder).snakemake("analysis")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def finished(finished_folder: Path, tmp_path: Path) -> Clone:
    """A clone of its own in which the tiny study has been run."""
    shutil.copytree(finished_folder, tmp_path / "clone")
    return Clone(tmp_path / "clone")


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Run once, by ``make``, from nothing to the report: a study with a search and rollouts of
    others. What every command imported and read is recorded in its folder ``records``."""
    clone = fresh_clone(tmp_path_factory.mktemp("whole"))
    clone.edit(
        "tiny.yaml",
        lambda content: content.update(methods=["cot", "majority", "best_of_n", "dvts"],
                                       budgets=[4], adopted=["qwen2.5-1.5b-math-shepherd"]),
    )  # fmt: skip
    install_environments(clone, sitecustomize=RECORDER)
    records = clone.folder / "records"
    records.mkdir()
    status, output = shell(clone, f"RECORDED={records} make CONFIG=tiny.yaml")
    assert status == 0, output
    assert "report: results/report.html" in output
    return clone
