"""CONTRIBUTING.md names files that are there, and names that stand in them."""

from __future__ import annotations

import re

import pytest
from default_study import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACEHOLDERS = ("NAME", "STUDY")


def path_of(text: str) -> str:
    return re.sub(r"^compute_optimal/", "workflow/compute_optimal/", text)


def steps() -> list[list[str]]:
    """What each step and paragraph puts into code marks."""
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.M | re.S)
    return [re.findall(r"`([^`\n]+)`", step) for step in re.split(r"\n(?=\d\. |- |\n)", prose)]


FILES = sorted(
    {path_of(name) for step in steps() for name in step if re.fullmatch(r"[\w./-]*/[\w./-]*", name)}
)


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_there(name: str) -> None:
    if any(placeholder in name for placeholder in PLACEHOLDERS):
        assert (ROOT / name).parent.is_dir()
    else:
        assert (ROOT / name).exists()


@pytest.mark.parametrize("step", [step for step in steps() if len(step) > 1], ids=" ".join)
def test_every_name_stands_in_a_file_of_its_step(step: list[str]) -> None:
    files = [ROOT / path_of(name) for name in step if re.fullmatch(r"[\w./-]+\.(py|yaml)", name)]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    if not texts:
        return
    for name in step:
        if re.fullmatch(r"[A-Za-z_]\w*|\w+:", name) and name not in ("name", *PLACEHOLDERS):
            assert any(re.search(rf"\b{re.escape(name)}", text) for text in texts), name
