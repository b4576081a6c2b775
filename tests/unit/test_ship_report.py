"""What a check says of where it was made."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from compute_optimal.ship.report import made


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_commit_is_that_of_the_study_and_of_no_repository_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive may be unpacked in a folder that somebody keeps under version control."""

    def git(*arguments: str) -> str:
        of_someone = ("-c", "user.name=one", "-c", "user.email=one@example.org")
        done = subprocess.run(
            ["git", *of_someone, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "unpacked").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "at commit not known on" in made()
    git("init")
    Path("file").write_text("one")
    git("add", "file")
    git("commit", "-m", "one")
    commit = git("rev-parse", "--short=12", "HEAD")
    assert f"at commit {commit} on" in made()
    Path("file").write_text("another")
    assert f"at commit {commit}-dirty on" in made()
    monkeypatch.chdir(tmp_path / "unpacked")
    assert re.search(r"^Checked \d{4}-\d\d-\d\d \d\d:\d\d UTC at commit not known on ", made())
