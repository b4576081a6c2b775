"""What readers get besides figures: captions of the report, and the notebook."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docutils.core
import duckdb
import jinja2
import nbformat
import pytest
from synthetic_study import POLICIES, PRMS, SyntheticStudy

from compute_optimal.analyse.adopted_pools import LACKING
from compute_optimal.analyse.descriptions import extend
from compute_optimal.analyse.differences import LEAST_PROBLEMS
from compute_optimal.analyse.predicted_difficulty import PROBES
from compute_optimal.analyse.prm_gains import LEAST_PRMS
from compute_optimal.analyse.reward_models import LEAST_IN_BIN
from compute_optimal.analyse.statistics.ranks import MOST_EXACT
from compute_optimal.errors import StudyError
from compute_optimal.present import sentences
from compute_optimal.present.catalogue import ITEMS, NOTEBOOKS
from compute_optimal.present.charts import scores
from compute_optimal.present.charts.reward_models import LEAST_FOR_FIT
from compute_optimal.present.claims import judge_claims
from compute_optimal.present.claims.records import records
from compute_optimal.present.notebooks import run_notebooks
from compute_optimal.present.pages.page import seen_from_elsewhere
from compute_optimal.present.query import run_query
from compute_optimal.present.sentences import SENTENCES, what_came_out
from compute_optimal.study.config import load_claims

NUMBERS = {3: "three", 4: "four", 10: "ten", 20: "twenty", 100: "hundred"}
CLAIMS = load_claims(Path(__file__).parents[2] / "config/claims.yaml")
NOTEBOOK_FOLDER = Path(__file__).parents[2] / "notebooks"
WORKFLOW = Path(__file__).parents[2] / "workflow"
REPORT_FOLDER = WORKFLOW / "report"
CONFIGS: list[dict[str, Any]] = [
    {},
    {"name": "micro_", "tasks": ["t"], "policies": ["p"], "prms": ["r"], "budgets": [4, 16]},
]


def render(caption: Path, config: dict[str, Any]) -> str:
    """A caption as Snakemake's report renders it, with its links between pages."""
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    snakemake = SimpleNamespace(config=config, wildcards=SimpleNamespace())
    links = "\n\n.. _Workflow: javascript:show_panel('workflow')\n"
    source = environment.from_string(caption.read_text(encoding="utf-8") + links)
    text = source.render(snakemake=snakemake, categories={}, files=[])
    # Level 2 and above: any warning is an error.
    settings = {"halt_level": 2, "report_level": 2}
    html: str = docutils.core.publish_parts(text, writer="html", settings_overrides=settings)[
        "body"
    ]
    return html


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("name", ["workflow", *(item.name for item in ITEMS)])
def test_captions_render(
    name: str, config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    Path("results/index.html").write_text("<p>verdicts</p>")
    html = render(REPORT_FOLDER / f"{name}.rst", config)
    assert len(re.sub("<[^>]*>", "", html)) > 200
    assert "problematic" not in html
    if name == "workflow" and config:
        assert "1 policy, 1 PRM and budgets up to 16 on 1 task." in " ".join(html.split())


def test_the_caption_of_figure_4_says_which_budgets_searches_have() -> None:
    shown = REPORT_FOLDER / "figure_4.rst"
    own = {"budgets": [4, 16, 64], "search_budgets": [4, 16], "prm_search_budgets": {"r": [4, 64]}}
    assert "at the budgets 4, 16, with some PRMs at others." in " ".join(render(shown, own).split())
    alike = " ".join(render(shown, {"budgets": [4, 16], "search_budgets": None}).split())
    assert "at the budgets 4, 16. All panels" in alike


def test_every_item_has_a_caption_and_every_caption_an_item() -> None:
    assert {path.stem for path in REPORT_FOLDER.glob("*.rst")} == {
        "workflow",
        "browser",
        "explorer",
        *(item.name for item in ITEMS),
    }
    for item in ITEMS:
        assert (REPORT_FOLDER / f"{item.name}.rst").is_file()
        assert (item.chart is None) != (item.table is None)
    assert len({item.name for item in ITEMS}) == len(ITEMS)


def test_captions_cite_the_item_they_describe() -> None:
    for item in ITEMS:
        if item.reference:
            caption = (REPORT_FOLDER / f"{item.name}.rst").read_text(encoding="utf-8")
            assert item.reference in " ".join(caption.split())


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (
            ("calibration", "public_calibration"),
            f"fewer than {scores._LEAST_SAMPLES} samples, or with intervals over "
            f"{100 * scores._WIDEST_INTERVAL:.0f} points, are left out",
        ),
        (("public_over_optimisation",), f"all problems but one in {NUMBERS[round(1 / LACKING)]}"),
        (("public_reliability",), f"none smaller than a {NUMBERS[LEAST_IN_BIN]}"),
        (("public_ability",), f"no line through fewer than {NUMBERS[LEAST_FOR_FIT]} PRMs"),
        (("public_ability",), "points of one F1 stand side by side"),
        (("prm_gains_by_difficulty",), f"fewer than {LEAST_PROBLEMS} problems is left out"),
        (("prm_thresholds",), f"needs {NUMBERS[LEAST_PRMS]} PRMs"),
        (("figure_6",), f"exact of up to {NUMBERS[MOST_EXACT]} PRMs"),
        (
            ("predicted_difficulty", "public_predicted_difficulty"),
            f"from the first {NUMBERS[PROBES]} samples",
        ),
    ],
)
def test_captions_say_what_figures_leave_out_or_move(names: tuple[str, ...], sentence: str) -> None:
    """Half of the tenths of the calibration were left out for their intervals, unsaid."""
    for name in names:
        caption = (REPORT_FOLDER / f"{name}.rst").read_text(encoding="utf-8")
        assert sentence in " ".join(caption.split()), name


def test_notebooks_are_committed_without_outputs() -> None:
    assert {path.stem for path in NOTEBOOK_FOLDER.glob("*.ipynb")} == set(NOTEBOOKS)
    for name in NOTEBOOKS:
        path = NOTEBOOK_FOLDER / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(cell.execution_count is None and not cell.outputs for cell in code)
        tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
        names = {cell.source.partition(" = ")[0] for cell in tagged}
        assert len(tagged) == 1
        assert names <= {"database", "claims", "figures"}
        # No logic of its own: nothing but imports and calls.
        for cell in code:
            assert not re.search(r"^\s*(def|class|for|while|if)\b", cell.source, re.MULTILINE)


def test_notebooks_run_on_any_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 8), ("aime24", "AIME24", 4)),
        policies=POLICIES[:2],
        prms=PRMS[:1],
        budgets=(4, 16),
    )
    database = study.write(tmp_path / "analysis.duckdb")
    study_database = tmp_path / "study.duckdb"
    extend(database, records(judge_claims(CLAIMS, database)), study_database)
    claims = tmp_path / "index.html"
    claims.write_text("<p>verdicts</p>")
    paths = [str(WORKFLOW), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    run_notebooks(
        [NOTEBOOK_FOLDER / f"{name}.ipynb" for name in NOTEBOOKS],
        {"database": study_database, "claims": claims},
        tmp_path,
    )
    executed = [nbformat.read(tmp_path / f"{name}.ipynb", as_version=4) for name in NOTEBOOKS]
    kinds = [
        kind
        for notebook in executed
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for kind in output.get("data", {})
    ]
    calls = [cell.source for notebook in executed for cell in notebook.cells]
    shown = {
        "image/png": ("draw(",),
        "text/markdown": ("tabulate(", "wrong_buckets(", "from compute_optimal.present.sentences"),
    }
    for kind, call in shown.items():
        assert kinds.count(kind) == sum(source.startswith(call) for source in calls) > 1
    for name in NOTEBOOKS:
        page = (tmp_path / f"{name}.html").read_text()
        assert not re.search(r"<(script|link)[^>]+(src|href)=.https?:", page)
        assert f"<title>{name}</title>" not in page
        assert all(" alt=" in image for image in re.findall(r"<img[^>]*>", page))
        # An executed one names no folder of this machine, and leads to its neighbours.
        text = (tmp_path / f"{name}.ipynb").read_text()
        assert f'"{tmp_path}' not in text
        assert str(tmp_path) not in "".join(c.source for c in nbformat.reads(text, 4).cells)
    for before, after in pairwise(NOTEBOOKS):
        assert f'href="{after}.html"' in (tmp_path / f"{before}.html").read_text()
        assert f'href="{before}.html"' in (tmp_path / f"{after}.html").read_text()
    assert "<p>verdicts</p>" in page
    assert not [
        output
        for notebook in executed
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type in ("stream", "error")
    ]


def test_each_notebook_says_what_came_out(tmp_path: Path) -> None:
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 8),), policies=POLICIES[:2], prms=PRMS[:1], budgets=(4, 16)
    )
    without = SyntheticStudy(
        tasks=(("math500", "MATH-500", 8),), policies=POLICIES[:1], prms=(),
        missing=[(None, None, None)],
    )  # fmt: skip
    said = {}
    for name, made in (("run", study), ("not run", without)):
        analysis = made.write(tmp_path / f"{name}.duckdb")
        database = tmp_path / f"{name} and judged.duckdb"
        extend(analysis, records(judge_claims(CLAIMS, analysis)), database)
        said[name] = {of: what_came_out(of, database).text for of in SENTENCES}
    assert set(SENTENCES) == set(NOTEBOOKS)
    with duckdb.connect(str(tmp_path / "run.duckdb"), read_only=True) as connection:
        (mean,) = connection.execute(
            "SELECT avg(accuracy) FROM main_curves WHERE method = 'cot' AND task = 'math500'"
        ).fetchone()
    assert f"CoT (greedy) {100 * mean:.1f}%" in said["run"]["03_scaling"]
    # Another number is that of the PRM that does best over all policies.
    assert "PRM that does best on these problems for each policy" in said["run"]["03_scaling"]
    assert f"{100 * mean:.1f}% with one greedy answer" in said["run"]["05_compute_optimal"]
    # Tokens count for each unit, but no second was spent twice.
    assert "PRMs, each unit on its own. What units have in common" in said["run"]["06_costs"]
    assert "untested" in said["run"]["07_verdicts"]
    assert said["not run"]["03_scaling"].startswith("This study ran nothing of this itself")
    assert all(said["not run"].values())


def test_links_of_a_page_lead_from_where_it_is_shown(tmp_path: Path) -> None:
    """The notebook of verdicts stands in a folder of its own."""
    page = tmp_path / "index.html"
    page.write_text('<a href="tables/a.html#x">a</a> <a href="#b">b</a> <a href="https://c">c</a>')
    assert seen_from_elsewhere(page) == (
        f'<a href="{tmp_path.as_posix()}/tables/a.html#x">a</a> '
        '<a href="#b">b</a> <a href="https://c">c</a>'
    )
    notebook = nbformat.read(NOTEBOOK_FOLDER / "07_verdicts.ipynb", as_version=4)
    assert any("seen_from_elsewhere(claims)" in cell.source for cell in notebook.cells)


def test_little_is_neither_nothing_nor_a_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One PRM has no best and worst, and small costs are not 0.0 million."""
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 30),), policies=POLICIES[:1], prms=PRMS[:1], budgets=(4, 16),
        abilities={PRMS[0][0]: 50.0},
    )  # fmt: skip
    prms = what_came_out("04_prms", study.write(tmp_path / "study.duckdb")).text
    assert prms.count(PRMS[0][1]) == 1
    costs = {"generated_tokens": 41_000, "prm_tokens_computed": 0, "seconds": 1.2}
    monkeypatch.setattr(sentences, "run_query", lambda *_: [{**costs, "discarded_tokens": 0}])
    said = sentences.SENTENCES["06_costs"](tmp_path)
    assert "41,000 tokens of the policies" in said
    assert "none of the PRMs" in said
    assert "took 1.2 seconds" in said
    assert sentences._duration(7300) == "2.0 hours"
    assert sentences._points(-0.04) == "−0.04 points"


def test_means_of_other_problems_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """One greedy answer to 74 problems that somebody chose, and samples of all 500."""
    row = {"task_title": "T", "policy": "p", "policy_title": "P", "is_beyond": False}
    series = [
        {**row, "series": name, "accuracy": accuracy, "n_problems": 500}
        for name, accuracy in (("cot", 0.5), ("in_sample", 0.8), ("cross_fitted", 0.7))
    ]
    monkeypatch.setattr(sentences, "_parameters", lambda _: {})
    monkeypatch.setattr(sentences, "run_query", lambda *_: series)
    assert sentences._compute_optimal(Path()) == (
        "On T, P: 50.0% with one greedy answer, 70.0% with compute-optimal TTS chosen on other "
        "problems; choosing on the same problems adds +10.0 points."
    )
    series[0]["n_problems"] = 74
    assert not sentences._compute_optimal(Path())


def test_policies_that_are_right_alike_have_no_least_and_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [
        {"task_title": "T", "policy_title": title, "sampled": sampled}
        for title, sampled in (("A", 0.0), ("B", 0.0001), ("C", 0.5))
    ]
    shown: list[dict[str, object]] = []
    monkeypatch.setattr(sentences, "run_query", lambda *_: shown)
    said = []
    for n in (1, 2, 3):
        shown[:] = rows[:n]
        said.append(sentences.SENTENCES["01_setting"](Path()))
    assert said == [
        "On T, 0.0% (A) of single samples are right.",
        "On T, 0.0% of single samples are right for each of 2 policies.",
        "On T, 0.0% (A) to 50.0% (C) of single samples are right.",
    ]


def test_means_of_other_policies_are_not_compared(tmp_path: Path) -> None:
    """The second policy drew no samples: its greedy answers say nothing of what a budget adds."""
    made = {
        "all": (),
        "one": [(POLICIES[1][0], None, "majority"), (POLICIES[1][0], None, "best_of_n")],
        "none": [(POLICIES[0][0], None, "majority"), (POLICIES[1][0], None, "best_of_n")],
    }
    said, means = {}, {}
    for name, missing in made.items():
        study = SyntheticStudy(
            tasks=(("math500", "MATH-500", 8),), policies=POLICIES[:2], prms=PRMS[:1],
            budgets=(4, 16), missing=missing,
        )  # fmt: skip
        database = study.write(tmp_path / f"{name}.duckdb")
        said[name] = what_came_out("03_scaling", database).text
        with duckdb.connect(str(database), read_only=True) as connection:
            means[name] = connection.execute(
                "SELECT avg(accuracy), avg(accuracy) FILTER (policy = ?) FROM main_curves "
                "WHERE method = 'cot'",
                [POLICIES[0][0]],
            ).fetchone()
    greedy = {name: said[name].partition(", Maj")[0] for name in made}
    assert greedy["all"] == (
        f"On MATH-500, the mean over 2 policies: CoT (greedy) {100 * means['all'][0]:.1f}%"
    )
    assert greedy["one"] == (
        f"On MATH-500, one policy of 2: CoT (greedy) {100 * means['one'][1]:.1f}%"
    )
    assert said["none"] == "On MATH-500, no policy has every method at the largest N."


@pytest.mark.parametrize(
    ("n_policies", "of"), [(1, POLICIES[0][1]), (2, "the mean over 2 policies")]
)
def test_what_prms_gain_is_said_of_each_task_and_of_its_policies(
    tmp_path: Path, n_policies: int, of: str
) -> None:
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 30), ("amc23", "AMC23", 40)),
        policies=POLICIES[:n_policies], prms=PRMS[:2], budgets=(4, 16),
        abilities={prm[0]: 50.0 for prm in PRMS[:2]},
    )  # fmt: skip
    database = study.write(tmp_path / "study.duckdb")
    said = what_came_out("04_prms", database).text
    for task in ("math500", "amc23"):
        gains = [
            row
            for row in run_query(
                "prm_gains", database, {"task": task, "scoring": "prm_last", "voting": "prm_max"}
            )
            if (row["method"], row["bucket"], row["against"]) == ("best_of_n", "all", "majority")
            and row["n_policies"] == n_policies
        ]
        assert len(gains) == 2
        title = {"math500": "MATH-500", "amc23": "AMC23"}[task]
        part = said.partition(f"On {title}, {of}: at N = 16, ")[2].partition(" On ")[0]
        for row in gains:
            gain = f"{row['gain']:+.1f} points".replace("-", "−")
            assert f"{gain} with {row['prm_title']}" in part


def test_a_cell_that_fails_is_named(tmp_path: Path) -> None:
    notebook, out = tmp_path / "bad.ipynb", tmp_path / "out"

    def run(code: str) -> None:
        bad = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        nbformat.write(bad, notebook)
        run_notebooks([notebook], {}, out)

    for code, what in (
        ("1 / 0", "ZeroDivisionError: division by zero"),
        # As where memory runs out.
        ("import os\nos.kill(os.getpid(), 9)", "Kernel died"),
    ):
        with pytest.raises(StudyError, match=what) as error:
            run(code)
        assert "bad.ipynb, cell 1" in str(error.value.where)
        # Snakemake removes the outputs of a rule that failed, and this must be there to be seen.
        assert not (out / "bad.ipynb").exists()
        kept = Path(str(error.value.cure).removeprefix("look at "))
        assert nbformat.read(kept, as_version=4).cells[0].source == code
    run("1")
    assert {path.name for path in out.iterdir()} == {"bad.ipynb", "bad.html"}


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"cells": 1}', '{"nbformat": 4, "cells": [1]}']
)
def test_what_is_no_notebook_is_named(content: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.ipynb"
    bad.write_text(content)
    with pytest.raises(StudyError, match="no notebook that can be read") as error:
        run_notebooks([bad], {}, tmp_path / "out")
    assert error.value.where == str(bad)
