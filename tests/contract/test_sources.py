"""What a rule depends on, found in the sources, is what its command imports and reads."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from clones import Clone
from default_study import ROOT

from compute_optimal.commands import FUNCTIONS
from compute_optimal.study.sources import sources_of

PLUMBING = {
    "compute_optimal.cli",
    "compute_optimal.commands",
    "compute_optimal.__main__",
    "compute_optimal.study.buckets",
    "compute_optimal.store.refusals",
}
"""What finds and calls a function, the names that its options take, and where its error is left; no
result depends on it."""


@pytest.fixture
def finished(whole: Clone, tmp_path: Path) -> Clone:
    shutil.copytree(whole.folder, tmp_path / "clone")
    return Clone(tmp_path / "clone")


@pytest.mark.parametrize("verb", FUNCTIONS)
def test_all_that_a_command_imports_and_reads_is_found(whole: Clone, verb: str) -> None:
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb")) if verb == "run-notebooks" else []
    sources = {
        path.relative_to(ROOT / "workflow").as_posix() for path in sources_of(verb, notebooks)
    }
    used: set[str] = set()
    for line in set((whole.folder / "records" / verb).read_text().splitlines()):
        if line.startswith("/"):
            used.add(line.split("/workflow/")[1])
        elif line not in PLUMBING:
            path = Path("workflow").joinpath(*line.split("."))
            file = path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")
            # Names that were looked for and are none.
            if (ROOT / file).is_file():
                used.add(file.relative_to("workflow").as_posix())
    assert used - sources == set()
    # And little more: modules that only some studies need.
    modules = {name for name in sources if name.endswith(".py")}
    assert len(modules - used) <= 12, sorted(modules - used)


def test_the_database_is_made_by_its_statements_and_by_no_query() -> None:
    statements = {path for path in sources_of("build-database") if path.suffix == ".sql"}
    folder = ROOT / "workflow/sql/database"
    assert statements == {*folder.glob("*.sql")}
    assert not statements & {*sources_of("draw-figures")}
    # Verdicts are written into a copy of it, and described as all else is.
    assert statements & {*sources_of("judge-claims")} == {folder / "comments.sql"}


def planned_after(clone: Clone, *files: str) -> set[str]:
    for file in files:
        path = clone.folder / "workflow" / file
        with path.open("a") as stream:
            stream.write("\n-- a remark\n" if path.suffix == ".sql" else "\n# a remark\n")
    return {job.rule for job in clone.plan("all")}


def test_nothing_is_left_to_do(finished: Clone) -> None:
    assert finished.plan("all") == []


PRESENTED = {"record_code", "draw_figures", "run_notebooks", "describe_provenance", "all"}


def test_a_chart_is_drawn_anew_and_nothing_is_estimated(finished: Clone) -> None:
    """Verdicts name the figures that show them, so they read the catalogue, and it the charts."""
    rules = planned_after(finished, "compute_optimal/present/charts/distribution.py")
    assert rules == {*PRESENTED, "render_tables", "judge_claims"}


def test_a_changed_query_of_a_figure_redraws_that_figure_alone(finished: Clone) -> None:
    figures = finished.folder / "results/figures"
    before = {path.name: path.read_bytes() for path in figures.glob("figure_*")}
    kept = {path.name for path in figures.glob(".drawn/*")}
    changed = finished.folder / "workflow/sql/figure_7.sql"
    changed.write_text(changed.read_text().replace("ORDER BY", "AND method <> 'majority' ORDER BY"))
    done = finished.snakemake("results/figures/figure_7.svg")
    assert done.returncode == 0, done.stdout + done.stderr
    after = {path.name: path.read_bytes() for path in figures.glob("figure_*")}
    new = {path.name for path in figures.glob(".drawn/*")} - kept
    assert after.keys() == before.keys()
    redrawn = {name for name in after if after[name] != before[name]}
    assert redrawn == {f"figure_7.{suffix}" for suffix in ("svg", "pdf", "png")}
    assert {name.split("-")[0] for name in new} == {"figure_7"}


def test_a_query_of_a_claim_is_judged_anew(finished: Clone) -> None:
    rules = planned_after(finished, "sql/claims/methods.sql")
    assert {"judge_claims", "run_notebooks"} <= rules
    assert not rules & {"draw_figures", "render_tables", "build_database"}


@pytest.mark.parametrize(
    ("file", "first"),
    [
        ("compute_optimal/analyse/estimates.py", "estimate_accuracy"),
        ("compute_optimal/analyse/answer_grid.py", "estimate_accuracy"),
        ("compute_optimal/analyse/prm_examination.py", "examine_prms"),
        ("compute_optimal/judge/grading/extraction.py", "grade_answers"),
        ("compute_optimal/judge/pruning.py", "check_steps"),
        ("sql/database/unit_costs.sql", "build_database"),
    ],
)
def test_a_zone_and_what_follows_is_made_anew(finished: Clone, file: str, first: str) -> None:
    rules = planned_after(finished, file)
    assert {first, "build_database", "judge_claims", "draw_figures"} <= rules
    before = {"analyse.py", "answer_grid.py", "examine.py"}
    if Path(file).name in before:
        assert not rules & {"grade_answers", "check_steps"}


def test_parsing_is_no_science(finished: Clone) -> None:
    assert planned_after(finished, "compute_optimal/cli.py", "compute_optimal/commands.py") == set()


def test_another_aggregation_of_the_figures_is_judged_anew(finished: Clone) -> None:
    finished.edit("tiny.yaml", lambda content: content.update(aggregation={"scoring": "prm_min"}))
    rules = {job.rule for job in finished.plan("all")}
    assert {"judge_claims", "render_tables", "draw_figures"} <= rules
    assert not rules & {"grade_answers", "estimate_accuracy", "examine_prms"}


def test_every_rule_after_the_expensive_zone_has_its_sources() -> None:
    """A rule's command and the code that it names are the same verb."""
    named: dict[str, set[str]] = defaultdict(set)
    for file in (ROOT / "workflow/rules").glob("*.smk"):
        for rule in file.read_text().split("\nrule ")[1:]:
            verbs = {
                word for word in FUNCTIONS if f"compute_optimal {word}" in rule.replace('"', "")
            }
            for verb in verbs:
                named[verb].add(str(f'plan.code("{verb}")' in rule))
    assert json.dumps(sorted(named)) == json.dumps(sorted(FUNCTIONS))
    assert all(answers == {"True"} for answers in named.values())
