"""The archive of the study: unpacked anywhere, it has all that the default study asks for."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from clones import Clone
from default_study import ROOT

from compute_optimal import cli
from compute_optimal.errors import StudyError
from compute_optimal.ship import archive
from compute_optimal.ship.archive import PREFIX, write_archive

in_a_clone = pytest.mark.skipif(
    not (ROOT / ".git").exists() or shutil.which("git") is None,
    reason="an archive is made from a clone, and this is none",
)


@in_a_clone
def test_unpacked_it_finds_everything_in_its_store(tmp_path: Path) -> None:
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    write_archive(ROOT, first, wheels=False)
    write_archive(ROOT, second, wheels=False)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as zipped:
        zipped.extractall(tmp_path)
    unpacked = Clone(tmp_path / PREFIX)
    assert {"Makefile", "Snakefile", "data", "requirements"} <= {
        path.name for path in unpacked.folder.iterdir()
    }
    # Also by the entry that the catalogue of workflows deploys.
    for entry in ("Snakefile", "workflow/Snakefile"):
        done = unpacked.run(
            *("snakemake", "--snakefile", entry, "--dry-run", "--quiet", "rules", "--cores", "2")
        )
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        assert "draw_figures" in output
        assert not {"draw_samples", "score_steps", "search_trees"} & set(output.split()), output


@in_a_clone
def test_its_packages_are_all_that_the_environment_is_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what those are built with that are published as source alone: an index is not asked."""
    asked: list[list[str]] = []

    def run(command: list[str], folder: Path, cure: str) -> str:
        del folder, cure
        asked.append(command)
        if "pip" in command:
            target = Path(command[command.index("--dest") + 1])
            target.mkdir(exist_ok=True)
        else:
            target = Path(next(one for one in command if "--output=" in one).partition("=")[2])
            zipfile.ZipFile(target, "w").close()
        return ""

    monkeypatch.setattr(archive, "_run", run)
    write_archive(ROOT, tmp_path / "archive.zip", wheels=True)
    locked, builds = (command for command in asked if "pip" in command)
    assert str((ROOT / "requirements/core.lock").absolute()) in locked
    assert str((ROOT / "requirements/build.lock").absolute()) in builds
    assert "--require-hashes" in locked
    assert "--require-hashes" in builds
    assert "wheel==" in (ROOT / "requirements/build.lock").read_text()


def test_what_is_not_committed_is_named_for_it_is_not_archived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def git(*arguments: str) -> None:
        of_someone = ("-c", "user.name=one", "-c", "user.email=one@example.org")
        subprocess.run(["git", *of_someone, *arguments], check=True, capture_output=True)

    (tmp_path / "clone").mkdir()
    monkeypatch.chdir(tmp_path / "clone")
    git("init")
    for name in ("changed.yaml", "removed.yaml", "kept.yaml"):
        Path(name).write_text("as committed")
    git("add", ".")
    git("commit", "-m", "all")
    command = ["archive", "--wheels", "no", "--output"]
    assert cli.main([*command, str(tmp_path / "clean.zip")]) == 0
    assert "note:" not in capsys.readouterr().out
    Path("changed.yaml").write_text("changed")
    Path("removed.yaml").unlink()
    Path("größer neu.yaml").write_text("new")
    assert cli.main([*command, "inside.zip"]) == 0
    size, note, *named = capsys.readouterr().out.splitlines()
    assert size.startswith("inside.zip (")
    assert note.startswith("note: ")
    assert [line.strip(' "') for line in named] == [
        "changed.yaml",
        "removed.yaml",
        "größer neu.yaml",
    ]
    with zipfile.ZipFile("inside.zip") as file:
        assert file.read(f"{PREFIX}/changed.yaml") == b"as committed"


def test_what_is_no_clone_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="git"):
        write_archive(tmp_path, tmp_path / "archive.zip", wheels=False)
    assert not (tmp_path / "archive.zip").exists()


def test_make_asks_no_index_where_the_packages_are_at_hand(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "show.mk").write_text(
        "include Makefile\nshow:\n\t@echo $$PIP_NO_INDEX $$PIP_FIND_LINKS\n"
    )

    def shown() -> str:
        command = ["make", "-s", "-f", "show.mk", "show"]
        plain = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
        done = subprocess.run(command, cwd=folder, env=plain, capture_output=True, text=True)
        return done.stdout

    assert "wheels" not in shown()
    (folder / "wheels").mkdir()
    # pip takes a blank in a path for the end of it.
    no_index, *found = shown().split()
    assert (no_index, [(folder / path).resolve() for path in found]) == ("1", [folder / "wheels"])
