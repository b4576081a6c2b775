"""What finds and cites this study: the citation file, and the entry of the workflow catalogue."""

from __future__ import annotations

import re

import yaml
from default_study import ROOT

from compute_optimal import __version__
from compute_optimal.study.config import load_registry

README = (ROOT / "README.md").read_text(encoding="utf-8")
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_paper_and_every_source_of_data_is_cited() -> None:
    cited = {reference["url"] for reference in CITATION["references"]}
    registry = load_registry(ROOT / "config/registry")
    used = {task.url for task in registry.tasks.values() if task.url}
    used |= {entry.source for entry in registry.adopted.values() if entry.source}
    assert used <= cited, used - cited
    assert "https://arxiv.org/abs/2502.06703" in cited
    assert CITATION["version"] == __version__


def test_every_reference_has_what_the_format_asks_for() -> None:
    for reference in CITATION["references"]:
        assert reference.keys() >= {"type", "title", "authors"}
        assert reference["type"] in ("article", "data")
        assert all(author.get("name") or author["family-names"] for author in reference["authors"])


def test_the_catalogue_finds_its_entry_and_the_instructions() -> None:
    entry = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))
    usage = entry["usage"]
    assert usage["report"] is True
    assert usage["mandatory-flags"].keys() == {"desc", "flags"}
    deployed = usage["software-stack-deployment"]
    container = re.search(r"^container:", (ROOT / "Snakefile").read_text(), re.MULTILINE)
    assert deployed["apptainer"] is bool(container)
    assert not deployed["conda"]
    # What it searches repositories for.
    assert {"snakemake", "workflow"} <= set(re.findall(r"\w+", README.lower()))
    for name in (
        "config/README.md",
        "config/config.yaml",
        "README.md",
        "LICENSE",
        "workflow/Snakefile",
    ):
        assert (ROOT / name).is_file()
