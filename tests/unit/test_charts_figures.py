"""Figures: what is drawn is what the database holds, legibly, in the same bytes each time."""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import math
import operator
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import STEP_LOOKUP_MAP
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path as MplPath
from matplotlib.text import Text
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from synthetic_study import POLICIES, PRMS, ROLLOUTS, SyntheticStudy

from compute_optimal.errors import StudyError
from compute_optimal.present import style
from compute_optimal.present.catalogue import ITEMS, item_named
from compute_optimal.present.charts import accuracy, failures, numbers, public, scores
from compute_optimal.present.charts import grid as grid_module
from compute_optimal.present.charts.ability import accuracy_by_ability
from compute_optimal.present.charts.comparison import small_against_large
from compute_optimal.present.charts.gains import exceptions_text
from compute_optimal.present.charts.grid import PAGE_HEIGHT, WIDTH, Block, Grid, Panel
from compute_optimal.present.query import Row, opened, run_query
from compute_optimal.present.render import Drawing, draw, draw_figures
from compute_optimal.present.tables.gains import gains_of

pytestmark = pytest.mark.filterwarnings("ignore:Glyph:UserWarning")

TASKS = (("math500", "MATH-500", 20), ("aime24", "AIME24", 8))
PARAMETERS = {"task": "math500", "scoring": "prm_last", "voting": "prm_max"}
FIGURES = [item.name for item in ITEMS if item.kind == "figure"]
MEASURED = [name for name in FIGURES if name != "figure_2"]
"""All but the schematic."""

HOSTILE = (
    "a_b$c$ & <script>x</script> | \\textbf{#%^~} \u202e\x00中文 with-a-very-long-name-Instruct"
)
STUDIES = {
    "usual": SyntheticStudy(
        tasks=TASKS,
        policies=(*POLICIES[:2], POLICIES[5]),
        prms=PRMS[:2],
        missing=[
            ("llama-3.2-1b", "rlhflow-mistral-8b", None),
            ("llama-3.2-3b", "math-shepherd-7b", "dvts"),
            ("llama-3.2-3b", None, "pass_at_1"),
        ],
        abilities={"math-shepherd-7b": 29.5, "rlhflow-mistral-8b": 33.4},
    ),
    "adopted": SyntheticStudy(
        tasks=TASKS[:1],
        policies=((POLICIES[0][0], HOSTILE, "Llama", 10**9), POLICIES[1]),
        prms=((PRMS[0][0], HOSTILE, "f", 10**9), PRMS[1]),
        budgets=(4, 16),
        adopted=(POLICIES[0][0],),
        rollouts=ROLLOUTS,
    ),
    "hostile": SyntheticStudy(
        tasks=(("t", f"Ta$k {HOSTILE}", 6),),
        policies=(("p", HOSTILE, "f", 10**9), POLICIES[0]),
        prms=(("r", HOSTILE, "f", 10**9), PRMS[0]),
        budgets=(4, 16),
        abilities={"r": 50.0, "math-shepherd-7b": 52.0},
    ),
    "wide": SyntheticStudy(
        tasks=(("math500", "数学问题" * 20, 6), ("aime24", "W" * 80, 4)),
        policies=(("p", "大型语言模型" * 8, "数学", 10**9), ("q", "W" * 60, "W" * 30, 2 * 10**9)),
        prms=(("r", "奖励模型" * 12, "f", 10**9), ("s", "M" * 60, "f", 10**9)),
        budgets=(4, 16),
        abilities={"r": 50.0, "s": 52.0},
        adopted=("p",),
        rollouts=ROLLOUTS,
    ),
    "one of each": SyntheticStudy(
        tasks=(("t", "Tiny", 1),), policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,)
    ),
    "no PRM": SyntheticStudy(tasks=TASKS[:1], policies=POLICIES[:2], prms=()),
    "all wrong": SyntheticStudy(
        tasks=TASKS[1:], policies=POLICIES[:1], prms=PRMS[:2], all_wrong=True
    ),
    "nothing run": SyntheticStudy(
        tasks=TASKS[1:], policies=POLICIES[:2], prms=PRMS[:2], missing=[(None, None, None)]
    ),
}


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """All studies, open for as long as they are looked at; what changes one changes a copy."""
    folder = tmp_path_factory.mktemp("studies")
    paths = {name: study.write(folder / f"{name}.duckdb") for name, study in STUDIES.items()}
    with ExitStack() as stack:
        for path in paths.values():
            stack.enter_context(opened(path))
        yield paths


Drawn = Callable[..., Drawing]


@pytest.fixture(scope="module")
def drawn(databases: dict[str, Path]) -> Drawn:
    """Each figure of each study, laid out once."""

    @cache
    def get(name: str, study: str = "usual") -> Drawing:
        return draw(name, databases[study])

    return get


@pytest.fixture(scope="module")
def database(databases: dict[str, Path]) -> Path:
    return databases["usual"]


def panel(figure: Figure, name: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_label() == name)


def texts(artist: Any) -> list[str]:
    return [text.get_text() for text in artist.findobj(Text) if text.get_text()]


class Listener(RendererBase):
    """Hears the texts that are drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def draw_path(self, *_arguments: Any) -> None:
        pass

    def draw_text(self, _gc: Any, _x: float, _y: float, s: str, *_how: Any) -> None:
        self.heard.append(s)


def words(page: Figure) -> list[str]:
    """Lines of text on a page, which is drawn by what drew the sheet and has no texts itself."""
    listener = Listener()
    page.draw(listener)
    return listener.heard


def band_of(axes: Axes, method: str) -> Any:
    return next(band for band in axes.collections if band.get_label() == method)


# --- what is drawn ------------------------------------------------------------------------------


def test_lines_and_bands_are_the_numbers_of_the_database(drawn: Drawn, database: Path) -> None:
    figure = drawn("figure_10").sheet
    rows = run_query("figure_10", database, PARAMETERS)
    checked = 0
    for axes in figure.axes:
        policy, prm = str(axes.get_label()).split("|")
        for line in axes.get_lines():
            points = [
                row
                for row in rows
                if (row["policy"], row["prm"], row["method"]) == (policy, prm, line.get_label())
                and row["budget"] is not None
            ]
            assert list(line.get_xdata()) == [row["budget"] for row in points]
            assert list(line.get_ydata()) == [100 * row["accuracy"] for row in points]
            outline = band_of(axes, str(line.get_label())).get_paths()[0].vertices
            corners = {(round(x, 6), round(y, 6)) for x, y in outline}
            for row in points:
                for end in (row["ci_low"], row["ci_high"]):
                    assert (round(row["budget"], 6), round(100 * end, 6)) in corners
            marked = [row["budget"] for row in points if row["at_study_budget"]]
            assert [points[i]["budget"] for i in line.get_markevery()] == marked
            checked += 1
    assert checked == 5 * 5 - 1


def test_every_axis_says_what_it_measures(drawn: Drawn) -> None:
    for name in MEASURED:
        study = "usual" if item_named(name).scale == "study" else "adopted"
        figure = drawn(name, study).sheet
        titles = {axes.get_xlabel() for axes in figure.axes} | {
            axes.get_ylabel() for axes in figure.axes
        }
        units = ("(%)", "(± points)", "(points)")
        assert any(unit in title for title in titles for unit in units), name
        if name in ("figure_10", "figure_7", "figure_8"):
            assert "budget N (samples)" in titles


def test_budgets_lie_on_a_binary_logarithmic_axis(drawn: Drawn) -> None:
    axes = panel(drawn("figure_10").sheet, "llama-3.2-3b|math-shepherd-7b")
    assert axes.get_xscale() == "log"
    assert list(axes.get_xticks()) == [1, 4, 16, 64, 256]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4", "16", "64", "256"]


def test_the_end_of_a_smaller_pool_has_a_tick_and_a_mark(database: Path) -> None:
    rows = [
        row
        for row in run_query("figure_10", database, PARAMETERS)
        if row["method"] not in ("best_of_n", "majority") or (row["budget"] or 0) <= 2
    ]
    figure = accuracy.by_prm(rows, "title", "subtitle").sheet().figure
    axes = panel(figure, "llama-3.2-3b|math-shepherd-7b")
    assert 2 in axes.get_xticks()
    line = next(line for line in axes.get_lines() if line.get_label() == "best_of_n")
    budgets = list(line.get_xdata())
    assert budgets[-1] == 2
    assert [budgets[i] for i in line.get_markevery()] == [1, 2]


def test_what_has_not_been_run_says_so(drawn: Drawn) -> None:
    figure = drawn("figure_10").sheet
    absent = panel(figure, "llama-3.2-1b|rlhflow-mistral-8b")
    # Three methods at 4 + 16 + 64 + 256 samples of 320 tokens for each of 20 problems.
    assert texts(absent)[0] == f"not run (about {3 * 340 * 20 * 320 / 1e6:.3g}M tokens)"
    assert not absent.get_lines()
    assert any("not run: DVTS (about" in text for text in texts(figure))
    assert "not run" in texts(panel(drawn("figure_3").sheet, "llama-3.2-3b"))
    for name in MEASURED:
        figure = drawn(name, "nothing run").sheet
        for axes in figure.axes:
            assert any(text.startswith("not run") for text in texts(axes)), name
            assert not axes.get_lines()
            assert not axes.patches


def test_a_study_without_searches_says_once_that_nothing_was_pruned() -> None:
    rows = [{"policy": policy, "prm": prm, "method": None} for policy in "ab" for prm in "cd"]
    grid = failures.pruned_paths(rows, "pruning", "")
    assert [panel.paint for block in grid.blocks for panel in block.panels] == [None]


def test_a_panel_on_some_problems_says_how_many(tmp_path: Path) -> None:
    import duckdb

    path = SyntheticStudy(tasks=TASKS[:1], policies=POLICIES[:1], prms=PRMS[:1]).write(
        tmp_path / "s.duckdb"
    )
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE curve_points SET n_problems = 15 WHERE method = 'dvts'")
    assert "on 15 of 20 problems" in texts(draw("figure_10", path).sheet)


def test_the_second_task_has_a_figure_of_its_own(drawn: Drawn, databases: dict[str, Path]) -> None:
    assert any(text.startswith("AIME24") for text in texts(drawn("figure_11").sheet))
    first, second = (
        run_query("figure_10", databases["usual"], PARAMETERS | {"task": task})
        for task in ("math500", "aime24")
    )
    heights = {
        float(y)
        for axes in drawn("figure_11").sheet.axes
        for line in axes.get_lines()
        for y in line.get_ydata()
    }
    assert heights <= {100 * row["accuracy"] for row in second if row["budget"]}
    assert not heights <= {100 * row["accuracy"] for row in first if row["budget"]}
    assert any("no second task" in text for text in texts(drawn("figure_11", "no PRM").sheet))


def test_another_rule_draws_other_numbers(databases: dict[str, Path]) -> None:
    lines = []
    for voting in ("prm_max", "prm_vote"):
        (axes,) = draw("figure_10", databases["one of each"], voting=voting).sheet.axes
        lines += [line for line in axes.get_lines() if line.get_label() == "best_of_n"]
    assert list(lines[0].get_ydata()) != list(lines[1].get_ydata())


def test_bars_and_thresholds_of_pass_at_1(drawn: Drawn, database: Path) -> None:
    figure = drawn("figure_3").sheet
    rows = run_query("figure_3", database, PARAMETERS)
    for policy in ("llama-3.2-1b", "qwen2.5-72b"):
        axes = panel(figure, policy)
        expected = [row for row in rows if row["policy"] == policy]
        assert [bar.get_height() for bar in axes.patches] == pytest.approx(
            [100 * (row["share"] or 0) for row in expected]
        )
        assert [line.get_xdata()[0] for line in axes.get_lines()] == [10, 50]
        for row in expected:
            label = f"{row['n']}\n{100 * row['share']:.0f}%" if row["n"] else "0"
            assert label in texts(axes)
    assert any("paper 76.2%" in text.replace("\n", " ") for text in texts(figure))


def test_bars_of_figure_1_are_those_of_table_5(drawn: Drawn, database: Path) -> None:
    figure = drawn("figure_1").sheet
    rows = run_query("table_5", database, PARAMETERS)
    axes = panel(figure, "math500")
    by_size = ["llama-3.2-1b", "llama-3.2-3b", "qwen2.5-72b"]
    gains = [gains_of([row for row in rows if row["policy"] == name]) for name in by_size]
    expected = [e.value for g in gains for e in (g.cot, g.compute_optimal) if e is not None]
    printed_only = [74.6]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(expected + printed_only)
    dashed = next(line for line in axes.get_lines() if line.get_linestyle() == "--")
    assert gains[-1].cot is not None
    assert dashed.get_xdata()[0] == pytest.approx(gains[-1].cot.value)
    assert "GPT-4o†" in [label.get_text() for label in axes.get_yticklabels()]


def test_difficulty_has_a_panel_per_bucket(drawn: Drawn, database: Path) -> None:
    shown = (("figure_8", "llama-3.2-1b"), ("figure_9", "qwen2.5-72b"))
    for (name, policy), bucket in itertools.product(shown, ("easy", "hard")):
        rows = run_query(name, database, PARAMETERS)
        axes = panel(drawn(name).sheet, f"{policy}|{bucket}")
        expected = [
            100 * row["accuracy"]
            for row in rows
            if (row["policy"], row["bucket"], row["method"]) == (policy, bucket, "best_of_n")
            and row["budget"] is not None
        ]
        curves = [line for line in axes.get_lines() if line.get_label() == "best_of_n"]
        assert [list(line.get_ydata()) for line in curves] == ([expected] if expected else [])


def test_two_policies_stand_for_their_families(drawn: Drawn) -> None:
    policies = {axes.get_label().split("|")[0] for axes in drawn("figure_4").sheet.axes}
    assert policies == {"llama-3.2-3b", "qwen2.5-72b"}


def test_selections_are_those_of_the_analysis(drawn: Drawn, database: Path) -> None:
    axes = panel(drawn("optimism_gap").sheet, "qwen2.5-72b")
    drawn_points = {line.get_label(): line.get_xdata()[0] for line in axes.get_lines()}
    expected = {
        f"{row['rule']}|{row['prm']}": 100 * row["accuracy"]
        for row in run_query("optimism_gap", database, PARAMETERS)
        if row["policy"] == "qwen2.5-72b" and row["rule"] not in (None, "optimism_gap")
    }
    assert drawn_points == pytest.approx(expected)
    assert len(expected) == 3 * 3 + 2


def test_what_knowing_gains_is_drawn_as_the_means_of_the_pairs(
    drawn: Drawn, database: Path
) -> None:
    rows = run_query("choice_dependence", database, PARAMETERS)
    for left_out in ("policy", "prm", "difficulty"):
        of_panel = [row for row in rows if row["left_out"] == left_out]
        axes = panel(drawn("choice_dependence").sheet, left_out)
        points = {line.get_label(): line.get_xdata()[0] for line in axes.get_lines()}
        expected = {
            label: 100 * np.mean([np.subtract(row["value"], row["reference"]) for row in members])
            for label, members in (
                (f"all|all {len(of_panel)} pairs", of_panel),
                *(
                    (f"{kind}|{title}", [r for r in of_panel if r[f"{kind}_title"] == title])
                    for kind in ("policy", "prm")
                    for title in {row[f"{kind}_title"] for row in of_panel}
                ),
            )
        }
        assert {name: points[name] for name in expected} == pytest.approx(expected)
        assert len(expected) == 1 + 3 + 2


def test_scores_are_drawn_beside_the_truth(drawn: Drawn, database: Path) -> None:
    axes = panel(drawn("over_optimisation").sheet, "qwen2.5-72b|math-shepherd-7b")
    rows = [
        row
        for row in run_query("over_optimisation", database, PARAMETERS)
        if (row["policy"], row["prm"]) == ("qwen2.5-72b", "math-shepherd-7b")
    ]
    heights = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    for name in ("accuracy", "score"):
        assert heights[name] == pytest.approx([100 * row[name] for row in rows])
    bins = panel(drawn("calibration").sheet, "math-shepherd-7b").get_lines()
    assert {line.get_label() for line in bins} >= {"llama-3.2-1b", "qwen2.5-72b"}
    lines = panel(drawn("run_to_run").sheet, "llama-3.2-1b").get_lines()
    again = next(line for line in lines if line.get_label() == "majority|0")
    assert list(again.get_ydata()) == pytest.approx([100 * 1.959964 * 0.3 / 20**0.5] * 4)


def test_flops_are_those_of_the_query(drawn: Drawn, database: Path) -> None:
    figure = drawn("accuracy_against_flops").sheet
    rows = run_query("accuracy_against_flops", database, PARAMETERS)
    lines = {line.get_label(): line for line in panel(figure, "qwen2.5-72b").get_lines()}
    of_policy = [row for row in rows if row["policy"] == "qwen2.5-72b" and row["flops"]]
    expected = [
        row["flops"] for row in of_policy if row["method"] == "majority" and row["at_study_budget"]
    ]
    assert sorted(lines["majority"].get_xdata()) == pytest.approx(sorted(expected))
    # The front: what is dearer is better, and no point is cheaper and better than one of it.
    front = [*zip(lines["front"].get_xdata(), lines["front"].get_ydata(), strict=True)]
    assert front == sorted(front)
    assert [y for _, y in front] == sorted({y for _, y in front})
    for row in of_policy:
        if row["at_study_budget"] or row["method"] == "cot":
            assert any(x <= row["flops"] and y >= 100 * row["accuracy"] - 1e-9 for x, y in front)


def test_unrecorded_prm_tokens_are_not_taken_for_none(tmp_path: Path) -> None:
    import duckdb

    path = SyntheticStudy(tasks=TASKS[:1], policies=POLICIES[:1], prms=PRMS[:1]).write(
        tmp_path / "s.duckdb"
    )
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE bucket_costs SET prm_tokens_computed = NULL")
    figure = draw("accuracy_against_flops", path).sheet
    assert any("no record of the tokens" in text.get_text() for text in figure.texts)
    labels = {line.get_label() for line in panel(figure, POLICIES[0][0]).get_lines()}
    assert "majority" in labels
    assert "dvts" not in labels


def test_ability_has_a_fit_from_three_prms_on(tmp_path: Path) -> None:
    abilities = {"math-shepherd-7b": 29.5, "rlhflow-mistral-8b": 33.4, "skywork-1.5b": 48.0}
    path = SyntheticStudy(
        tasks=TASKS[:1], policies=POLICIES[:1], prms=PRMS[:3], abilities=abilities
    ).write(tmp_path / "s.duckdb")
    rows = run_query("figure_6", path, PARAMETERS)
    axes = panel(draw("figure_6", path).sheet, "ability")
    marks = [mark for mark in axes.collections if isinstance(mark, PathCollection)]
    points = sorted(tuple(mark.get_offsets()[0]) for mark in marks)
    # The smallest can be seen, so areas are not in proportion to parameters, and do not say so.
    areas = {mark.get_label(): mark.get_sizes()[0] for mark in marks}
    sizes = {row["prm"]: row["prm_n_parameters"] for row in rows}
    assert min(areas.values()) >= 25
    assert sorted(areas, key=areas.__getitem__) == sorted(sizes, key=lambda prm: sizes[prm])
    assert "areas grow with parameters" in " ".join(
        text.get_text().replace("\n", " ") for text in draw("figure_6", path).sheet.texts
    )
    expected = sorted((row["ability"], 100 * row["accuracy"]) for row in rows)
    assert np.allclose(points, expected)
    bars = [bar for bar in axes.collections if isinstance(bar, LineCollection)]
    spans = sorted(tuple(np.ptp(bar.get_segments()[0], axis=0)) for bar in bars)
    assert [span for span in spans if not span[1]] == [(7, 0)] * 3
    assert len([span for span in spans if span[1]]) == 3
    (about_fit,) = (label for _, label in draw("figure_6", path).grid.legend if "fit" in label)
    assert "Spearman's ρ" in about_fit
    (fit,) = (line for line in axes.get_lines() if line.get_label() == "fit")
    x, y = np.array(expected).T
    design = np.stack([np.log(x), np.ones(3)], axis=1)
    slope, intercept = np.linalg.solve(design.T @ design, design.T @ y)
    assert np.allclose(fit.get_ydata(), slope * np.log(fit.get_xdata()) + intercept)


def test_prms_of_other_tasks_are_not_missed(tmp_path: Path) -> None:
    """Those that only adopted collections of other tasks know are of another scale of evidence."""
    path = SyntheticStudy(
        tasks=TASKS[:1], policies=POLICIES[:1], abilities={prm: 50.0 for prm, *_ in PRMS}
    ).write(tmp_path / "s.duckdb")
    of_task = {row["prm"] for row in run_query("figure_6", path, PARAMETERS)}
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO prms"
            " SELECT * REPLACE ('outside' AS prm, 'Outside' AS title) FROM prms LIMIT 1"
        )
    assert {row["prm"] for row in run_query("figure_6", path, PARAMETERS)} == of_task
    assert not any(
        "Outside" in text for text in texts(panel(draw("figure_6", path).sheet, "ability"))
    )


def test_runs_that_never_differ_are_no_certainty_and_say_on_how_few_problems() -> None:
    def row(budget: int, again: float | None) -> Row:
        return {
            "policy": "p", "policy_title": "P", "n_parameters": 10**6, "prm_title": None,
            "method": "majority", "budget": budget, "run_to_run": again, "half_interval": 0.1,
            "n_problems": 30, "confidence": 0.95,
        }  # fmt: skip

    grid = scores.run_to_run([row(4, 0.01), row(256, None)], "t", "s")
    assert grid.blocks[0].panels[0].note == "no two runs of 30 problems differ: majority 256"
    (axes,) = grid.sheet().figure.axes
    lines = {line.get_label(): list(line.get_xdata()) for line in axes.get_lines()}
    assert lines == {"majority|0": [4], "majority|1": [4, 256]}


def test_pale_areas_are_seen_in_pictures_of_few_colours(drawn: Drawn) -> None:
    """What has not been run has another ground than the paper, in the PNG too."""
    figure = drawn("figure_10")
    box = panel(figure.sheet, "llama-3.2-1b|rlhflow-mistral-8b").get_position()
    pixels = image.imread(io.BytesIO(figure.encoded("png")))
    height, width = pixels.shape[:2]
    inside = pixels[round((1 - box.y1 + 0.1 * box.height) * height), round(box.x0 * width) + 20]
    assert np.ptp([inside[0], pixels[0, 0, 0]]) > 0.04


def test_the_papers_line_and_names_stand_beside_the_points(tmp_path: Path) -> None:
    printed = [
        ("Figure 6", "", "", "all", "MATH", f"fit_{name}", value)
        for name, value in (("slope", "7.5"), ("intercept", "44.0"))
    ]
    study = SyntheticStudy(
        tasks=TASKS[:1],
        policies=POLICIES[:1],
        abilities={prm: 20.0 + 15 * i for i, (prm, *_) in enumerate(PRMS)},
        published=printed,
    )
    axes = panel(draw("figure_6", study.write(tmp_path / "s.duckdb")).sheet, "ability")
    (line,) = (line for line in axes.get_lines() if line.get_label() == "printed")
    assert np.allclose(line.get_ydata(), 7.5 * np.log(line.get_xdata()) + 44)
    names = [text for text in axes.texts if text.get_text() in {prm[1] for prm in PRMS}]
    assert names
    renderer = laid_out(axes.figure)
    boxes = [text.get_window_extent(renderer) for text in names]
    assert not any(one.overlaps(two) for one, two in itertools.combinations(boxes, 2))
    assert all(axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 for box in boxes)


@pytest.mark.parametrize(
    ("n_prms_run", "accuracy", "ability", "said"),
    [
        (0, None, 40.0, "not run"),
        (2, None, 40.0, "no policy ran with every PRM by one method"),
        (2, 0.5, None, "no PRM has both a known ability and results"),
    ],
)
def test_a_figure_without_points_says_what_it_lacks(
    n_prms_run: int, accuracy: float | None, ability: float | None, said: str
) -> None:
    """Figure 6 of real models, with published abilities and results, was "not run"."""
    row = {"prm": "p", "prm_title": "P", "prm_n_parameters": 10**6, "ability": ability,
           "accuracy": accuracy, "n_prms_run": n_prms_run, "source": None,
           "budget": None}  # fmt: skip
    (block,) = accuracy_by_ability([row], "t", "s").blocks
    (panel,) = block.panels
    assert panel.absent == said


@pytest.mark.parametrize("seed", range(5))
def test_a_number_leads_to_its_point_and_name_and_no_line_crosses_another(seed: int) -> None:
    """Also where points are close to each other, as those of able PRMs are."""
    random = np.random.default_rng(seed)
    known = np.round([*random.uniform(2, 90, 4), *random.uniform(92, 99, 5)], 1)
    rows = [
        {
            "prm": f"p{i}", "prm_title": f"PRM {i}", "prm_n_parameters": 10**6, "ability": value,
            "ability_low": None, "ability_high": None, "accuracy": random.uniform(0.3, 0.95),
            "accuracies": [0.5, 1.0], "source": None, "budget": 4, "printed_slope": None,
            "printed_intercept": None, "confidence": 0.95, "replicates": 10, "seed": 0,
        }
        for i, value in enumerate(random.permutation(known).tolist())
    ]  # fmt: skip
    (axes,) = accuracy_by_ability(rows, "t", "s").sheet().figure.axes
    leaders = [line for line in axes.get_lines() if line.get_label() != "fit"]
    assert len(leaders) == len(rows)
    paths = [line.get_transform().transform_path(line.get_path()) for line in leaders]
    for one, two in itertools.combinations(paths, 2):
        assert not one.intersects_path(two, filled=False)
    points = {(row["ability"], 100 * row["accuracy"]): row["prm_title"] for row in rows}
    said = {(text.get_text(), text.get_position()) for text in axes.texts}
    names = {text.get_position()[1]: text.get_text() for text in axes.texts
             if text.get_text().startswith("PRM")}  # fmt: skip
    ranked = sorted(rows, key=lambda row: row["ability"])
    for line in leaders:
        start, *_, end = map(tuple, line.get_xydata())
        (number,) = (text for text, place in said if place == end)
        (height,) = (place[1] for text, place in said if text == number and place != end)
        assert names[height] == points[start] == ranked[int(number) - 1]["prm_title"]


def test_gains_are_drawn_over_both_abilities_with_their_threshold(
    drawn: Drawn, database: Path
) -> None:
    rows = [
        row
        for row in run_query("prm_gains", database, PARAMETERS)
        if (row["against"], row["bucket"], row["method"]) == ("majority", "all", "best_of_n")
    ]
    for ability in ("f1", "discrimination"):
        axes = panel(drawn("prm_gains").sheet, f"best_of_n|{ability}")
        lines = {line.get_label(): line for line in axes.get_lines()}
        for policy in {row["policy"] for row in rows}:
            mine = sorted(
                (row[ability], row["gain"])
                for row in rows
                if row["policy"] == policy and row[ability] is not None
            )
            assert mine
            assert np.allclose(lines[str(policy)].get_xydata(), mine)
    assert "None" in lines, "the mean over policies"


def test_prms_that_lose_where_gains_have_begun_are_counted() -> None:
    def text(begin: float | None) -> str:
        gains = {9.0: -20.0, 32.0: 21.0, 44.0: -6.0, 71.0: 10.0}
        return exceptions_text(
            [{"f1": f1, "gain": gain, "f1_threshold": begin} for f1, gain in gains.items()], "f1"
        )

    assert text(26.3) == "1 of 3 PRMs there loses"
    assert text(-math.inf) == "2 of 4 PRMs there lose"
    assert text(50.0) == text(math.inf) == text(None) == ""


def test_bars_of_an_example_are_its_scores(drawn: Drawn, database: Path) -> None:
    rows = run_query("prm_cases", database, PARAMETERS)
    figure = drawn("figure_14").sheet
    axes = panel(figure, "math-shepherd-7b|error_neglect")
    steps = [r for r in rows if (r["prm"], r["failure"]) == ("math-shepherd-7b", "error_neglect")]
    assert [bar.get_width() for bar in axes.patches] == [row["score"] for row in steps]
    assert steps[1]["score"] == pytest.approx(100 / (1 + np.exp(0.5)))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[1] == "$x^{2$ <script>\N{REPLACEMENT CHARACTER}_a & \\frac{"
    for example in figure.axes:
        if n_steps := len(example.patches):
            height = example.get_position().height * figure.get_figheight()
            assert height == pytest.approx(0.165 * (n_steps + 0.2))
            assert np.ptp(example.get_ylim()) == pytest.approx(n_steps + 0.2)
    other = panel(figure, "rlhflow-mistral-8b|error_neglect")
    assert "no such case in 40 solutions" in texts(other)
    assert len(drawn("figure_17").sheet.axes) == 4


def test_failures_are_drawn_with_their_intervals(drawn: Drawn, database: Path) -> None:
    rows = run_query("prm_failures", database, PARAMETERS)
    axes = panel(drawn("prm_failures").sheet, "over_criticism")
    expected = [100 * row["value"] for row in rows if row["measure"] == "over_criticism"]
    assert [line.get_xdata()[0] for line in axes.get_lines()] == pytest.approx(expected)
    spans = [bar.get_segments()[0][:, 0].tolist() for bar in axes.collections]
    assert spans == [[0.0, 50.0]] * len(expected)
    abilities = {row["prm_title"]: row["prm_ability"] for row in rows}
    assert list(abilities.values()) == sorted(abilities.values())
    names = [label.get_text().replace("\n", "") for label in axes.get_yticklabels()]
    assert names == [f"{name}{style.ability_text(one)}" for name, one in abilities.items()]
    flat = panel(drawn("prm_failures").sheet, "length_bias")
    assert not [line for line in flat.get_lines() if "rlhflow" in str(line.get_label())]


# --- how it looks -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("study", "name"),
    dict.fromkeys(
        [
            *itertools.product(("usual", "hostile", "wide"), FIGURES),
            *itertools.product(STUDIES, ("figure_1", "figure_3", "figure_10", "figure_6")),
        ]
    ),
)
def test_text_is_legible_inside_the_sheet_and_apart(drawn: Drawn, study: str, name: str) -> None:
    figure = drawn(name, study).sheet
    renderer = laid_out(figure)
    width, height = figure.bbox.width, figure.bbox.height
    boxes = []
    for text in visible_texts(figure):
        assert text.get_fontsize() >= 7, text
        box = text.get_window_extent(renderer)
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside, f"{text.get_text()!r} leaves the sheet"
        if text in figure.texts:
            boxes.append((text.get_text(), box))
    for (one, box), (two, other) in itertools.combinations(boxes, 2):
        assert not box.padded(-1).overlaps(other.padded(-1)), f"{one!r} and {two!r} overlap"


@pytest.mark.parametrize("study", ["usual", "adopted"])
@pytest.mark.parametrize("name", FIGURES)
def test_no_text_in_a_panel_lies_over_a_line_or_another_text(
    drawn: Drawn, study: str, name: str
) -> None:
    figure = drawn(name, study).sheet
    renderer = laid_out(figure)
    for axes in figure.axes:
        lines = [*lines_of(axes)]
        boxes = []
        for text in axes.texts:
            if not text.get_text().strip():
                continue
            box = Text.get_window_extent(text, renderer).padded(-1)
            ground = text.get_bbox_patch()
            covers = ground is not None and ground.get_alpha() in (None, 1)
            for line, height in lines:
                crossed = line.intersects_bbox(box, filled=False)
                hidden = covers and text.get_zorder() > height
                assert hidden or not crossed, f"a line crosses {text.get_text()!r}"
            boxes.append((text.get_text(), box))
        for (one, box), (two, other) in itertools.combinations(boxes, 2):
            assert not box.overlaps(other), f"{one!r} and {two!r} overlap"


def lines_of(axes: Axes) -> Iterator[tuple[MplPath, float]]:
    """Lines and bars of a panel where they are on the sheet, with their height in the pile."""
    for line in axes.get_lines():
        if line.get_linestyle() != "None":
            step = STEP_LOOKUP_MAP[line.get_drawstyle()]
            path = MplPath(np.array(step(*line.get_xydata().T)).T)
            yield line.get_transform().transform_path(path), line.get_zorder()
    for bars in axes.collections:
        if isinstance(bars, LineCollection):
            for path in bars.get_paths():
                yield bars.get_transform().transform_path(path), bars.get_zorder()


def test_points_of_a_curve_over_costs_say_their_n_where_there_is_room(drawn: Drawn) -> None:
    """The last of each curve at least, where nothing else is drawn there."""
    shown = [text.get_text() for axes in drawn("accuracy_against_flops").sheet.axes
             for text in axes.texts]  # fmt: skip
    assert {"1", "4", "256"} <= {*shown}
    with mpl.rc_context(style.RC):
        figure = Figure()
        axes = figure.add_subplot()
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.plot([0.5], [0.5], marker="o")
        place = numbers.Number(0.5, 0.5, "256", style.INK)
        numbers.number_points(axes, [place])
        assert [text.get_text() for text in axes.texts] == ["256"]
        # As many as there are sides, and no more.
        numbers.number_points(axes, [place] * 9)
        assert len(axes.texts) < 9


@pytest.mark.parametrize("n_budgets", [1, 2, 3, 4, 6])
def test_points_of_one_line_are_closer_to_each_other_than_to_those_of_the_next(
    n_budgets: int,
) -> None:
    places = [public._offset(place, n_budgets) for place in range(n_budgets)]
    places.append(places[-1] + public._BESIDE)
    gaps = np.diff(places)
    assert gaps.max() < 1 + places[0] - places[-1]
    assert places[0] == pytest.approx(-places[-1])


@pytest.mark.parametrize("name", ["figure_3", "figure_10", "figure_8", "accuracy_against_flops"])
def test_tick_labels_of_neighbouring_panels_do_not_meet(drawn: Drawn, name: str) -> None:
    figure = drawn(name).sheet
    renderer = laid_out(figure)
    labels = [
        text.get_window_extent(renderer).padded(-1)
        for axes in figure.axes
        for text in shown_labels(axes.xaxis)
    ]
    assert labels
    assert not any(one.overlaps(two) for one, two in itertools.combinations(labels, 2))


def laid_out(figure: Figure) -> Any:
    """The renderer of a figure that has been drawn, so that extents are known."""
    with mpl.rc_context(style.RC):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return canvas.get_renderer()


def visible_texts(figure: Figure) -> Iterator[Text]:
    """Texts that can be seen: matplotlib keeps labels of ticks beyond the limits."""
    axes_parts = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    of_ticks = {text for axis in axes_parts for text in axis.findobj(Text)}
    shown = {text for axis in axes_parts for text in [*shown_labels(axis), axis.label]}
    for text in figure.findobj(Text):
        if (
            text.get_text().strip()
            and text.get_visible()
            and (text not in of_ticks or text in shown)
        ):
            yield text


def shown_labels(axis: Any) -> list[Text]:
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high
            and tick.label1.get_visible() and tick.label1.get_text()]  # fmt: skip


def test_colours_come_from_one_module_and_those_of_methods_mean_methods_only() -> None:
    folder = Path(style.__file__).parent / "charts"
    for file in folder.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"#[0-9A-Fa-f]{6}\b|colormaps", text), file.name
    others = {*style.OTHER_COLOURS, style.INK, style.MUTED, style.FAINT, style.LIGHT, style.EMPTY}
    assert not others & {look.colour for look in style.METHODS.values()}


@pytest.mark.parametrize("name", [item.name for item in ITEMS if item.kind == "figure"])
def test_a_legend_gives_a_methods_colour_to_nothing_else(name: str, drawn: Drawn) -> None:
    names = {
        look.colour: {look.label.lower(), look.short.lower()} for look in style.METHODS.values()
    }
    for handle, label in drawn(name).grid.legend:
        *_, mark = handle if isinstance(handle, tuple) else (handle,)
        colour = mark.get_color() if isinstance(mark, Line2D) else mark.get_facecolor()
        for of_method, called in names.items():
            if to_hex(colour) == of_method.lower():
                assert any(word.split(" (")[0] in label.lower() for word in called), label


def test_a_policy_has_one_look_in_every_figure(database: Path) -> None:
    looks: dict[str, set[tuple[str, str]]] = {}
    for name in ("calibration", "prm_failures", "prm_gains"):
        for row in run_query(name, database, PARAMETERS):
            if row["policy"] is not None:
                look = style.policy_look(row["policy"], row)
                looks.setdefault(row["policy"], set()).add((look.colour, look.marker))
    assert len(looks) > 1
    assert all(len(of_policy) == 1 for of_policy in looks.values())
    assert len({look for of_policy in looks.values() for look in of_policy}) == len(looks)


def test_no_figure_is_taller_than_5000_pixels() -> None:
    def panels(n: int) -> list[Panel]:
        return [Panel(str(i), "t", lambda _: None, note="n") for i in range(n)]

    blocks = [Block(f"policy {i}", panels(9), lambda _: None) for i in range(6)]
    grid = Grid("t", "s", "x", "y", blocks)
    assert 24 < grid.height < 25
    assert 200 * grid.height <= 5000
    assert grid.height > Grid("t", "s", "x", "y", blocks[:3]).height


def test_methods_differ_in_colour_and_in_mark_or_dash() -> None:
    looks = list(style.METHODS.values())
    assert len({look.colour for look in looks}) == len(looks)
    assert len({(look.marker, str(look.dash)) for look in looks}) == len(looks)


def test_names_are_drawn_as_they_are(drawn: Drawn) -> None:
    drawing = drawn("figure_10", "hostile")
    shown = " ".join(text.replace("\n", " ") for text in texts(drawing.sheet))
    assert "a_b$c$ & <script>" in shown
    assert "\u202e" not in shown
    svg = drawing.encoded("svg")
    ET.fromstring(svg)
    assert b"<script" not in svg


def test_no_line_ends_at_a_no_break_space() -> None:
    kept = "hard\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}10%"
    lines = style.fit(f"wide   text that\nends {kept}", 1.5, style.TEXT, lines=9).splitlines()
    assert len(lines) > 1
    assert kept in lines[-1]
    assert " ".join(lines) == f"wide text that ends {kept}"


@pytest.mark.parametrize(
    "text", ["W" * 300, "数学" * 100, f"{'W' * 90} and {'数' * 90}", "i" * 900]
)
def test_no_line_is_wider_than_its_room_whatever_its_characters_are(text: str) -> None:
    for width, lines, room in ((1.5, 2, None), (8.0, 3, 7.1), (0.2, 1, None)):
        drawn = style.fit(text, width, style.TEXT, lines, room).split("\n")
        assert len(drawn) <= lines
        assert max(style.inches(line, style.TEXT) for line in drawn) <= (room or width)


def test_labels_are_wrapped_and_cut() -> None:
    assert style.fit("short", 2, 7) == "short"
    cut = style.fit("word " * 50, 1.5, 7)
    assert cut.count("\n") == 1
    assert cut.endswith("…")
    assert style.one_line("a\x00b\u202ec\n d") == "a\ufffdb\ufffdc d"


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (490_000_000, "490M"),
        (72_700_000_000, "72.7B"),
        (850_000, "850k"),
        (12, "12"),
        (None, "size unknown"),
    ],
)
def test_sizes_are_written_as_people_do(n: int | None, text: str) -> None:
    assert style.parameters_text(n) == text


# --- pages and bytes ----------------------------------------------------------------------------


@pytest.mark.parametrize(("n_blocks", "n_panels"), [(3, 7), (1, 29), (3, 1), (1, 1)])
def test_pages_hold_every_panel_once(n_blocks: int, n_panels: int) -> None:
    blocks = [
        Block(
            f"block {b}",
            [Panel(f"{b}/{p}", f"panel {p}", None) for p in range(n_panels)],
            lambda _axes: None,
        )
        for b in range(n_blocks)
    ]
    grid = Grid("title", "subtitle", "x", "y", blocks)
    expected = [f"{b}/{p}" for b in range(n_blocks) for p in range(n_panels)]
    drawing = Drawing("title", lambda: grid)
    sheet = drawing.sheet
    assert [axes.get_label() for axes in sheet.axes] == expected
    assert sheet.get_size_inches() == pytest.approx((WIDTH, grid.height))
    shown = texts(sheet)
    said = [words(page) for page in drawing.pages]
    # What says that a panel shows nothing is in its axes, so no page's axes are lost.
    assert sum(page.count("not run") for page in said) == len(expected)
    assert [text for page in said for text in page if text.startswith("panel")] == [
        text for text in shown if text.startswith("panel")
    ]
    assert all({"title", "subtitle"} <= {*page} for page in said)
    assert all(page.get_size_inches()[1] <= PAGE_HEIGHT + 1e-9 for page in drawing.pages)
    assert (len(said) == 1) == (grid.height <= PAGE_HEIGHT)
    if len(said) > 1 and n_blocks == 1:
        assert "block 0 (continued)" in said[1]


def test_what_was_recorded_draws_what_was_drawn(drawn: Drawn) -> None:
    """Every kind of call, at another scale: no curve, marker, band, bar or text lies elsewhere."""

    def pixels(figure: Figure) -> NDArray[np.float64]:
        with mpl.rc_context(style.RC):
            figure.set_dpi(72)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
        return np.asarray(canvas.buffer_rgba(), dtype=np.float64)

    for name in ("figure_1", "figure_6", "figure_12", "calibration", "public_reliability"):
        drawing = Drawing("title", lambda name=name: drawn(name).grid)
        replayed, sheet = pixels(drawing._recording.sheet()), pixels(drawing.sheet)
        # Texts are laid out by pixels of another size, so their edges may differ a little.
        blurred = [uniform_filter(shown, (4, 4, 0)) for shown in (replayed, sheet)]
        assert np.abs(blurred[0] - blurred[1]).max() < 60, name


def test_a_page_shows_what_the_sheet_shows(drawn: Drawn) -> None:
    drawing = Drawing("title", lambda: drawn("figure_10").grid)
    sheet = words(drawing._recording.sheet())
    pages = [text for page in drawing.pages for text in words(page)]
    assert {*sheet} <= {*pages}


def test_a_layout_does_not_depend_on_how_python_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Since 3.12 the built-in sum compensates for rounding, and a length may end in another bit."""

    def heights() -> list[float]:
        pixels = []
        for n_blocks, n_panels in itertools.product(range(1, 12), (1, 4, 7)):
            panels = [Panel(str(p), f"panel {p}", None, note="a note") for p in range(n_panels)]
            blocks = [Block(f"block {b}", panels, lambda _axes: None) for b in range(n_blocks)]
            grid = Grid("title", "subtitle", "x", "y", blocks)
            pixels.append(grid.height)
        return pixels

    def one_after_the_other(terms, start=0):
        return functools.reduce(operator.add, terms, start)

    def compensated(terms, start=0):
        return math.fsum([start, *terms])

    by_sum = []
    for way in (one_after_the_other, compensated):
        monkeypatch.setattr(grid_module, "sum", way, raising=False)
        by_sum.append(heights())
    assert by_sum[0] == by_sum[1]


def test_files_are_the_same_bytes_again_and_bear_no_date(database: Path, tmp_path: Path) -> None:
    formats = ("svg", "pdf", "png")
    for folder in ("one", "two"):
        draw("figure_7", database).save({s: tmp_path / folder / f"x.{s}" for s in formats})
    for suffix in formats:
        one, two = ((tmp_path / folder / f"x.{suffix}").read_bytes() for folder in ("one", "two"))
        assert one == two, suffix
        assert b"Date" not in one, suffix
        assert b"atplotlib" not in one.split(b"<defs>")[0] or suffix != "svg"
    assert b"<title>Figure 7" in (tmp_path / "one" / "x.svg").read_bytes()


def test_bytes_do_not_depend_on_the_process(drawn: Drawn, database: Path) -> None:
    program = (
        "import hashlib, sys; from compute_optimal.present.render import draw;"
        "print(hashlib.sha256(draw('figure_3', sys.argv[1]).encoded('svg')).hexdigest())"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(database)], capture_output=True, text=True, check=True
    )
    digest = hashlib.sha256(drawn("figure_3").encoded("svg")).hexdigest()
    assert result.stdout.strip() == digest


def test_a_notebook_gets_a_picture_with_a_description(drawn: Drawn) -> None:
    picture, metadata = drawn("figure_3")._repr_png_()
    assert picture.startswith(b"\x89PNG")
    assert str(metadata["alt"]).startswith("Figure 3")


def test_a_notebook_shows_the_picture_that_was_drawn_before(database: Path, tmp_path: Path) -> None:
    (tmp_path / "figure_3.png").write_bytes(b"as it was drawn")
    assert draw("figure_3", database, drawn=tmp_path)._repr_png_()[0] == b"as it was drawn"


def test_the_catalogue_is_read_without_plotting_libraries() -> None:
    program = (
        "import sys, compute_optimal.present.charts;"
        "print(sorted({'matplotlib', 'duckdb', 'torch'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_wrong_requests_are_explained(database: Path, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is a table"):
        draw("table_5", database)
    with pytest.raises(StudyError, match="table_5 is a table"):
        draw_figures(database, [tmp_path / "table_5.svg"], workers=1)
    with pytest.raises(StudyError, match="no figure or table"):
        draw("figure_99", database)
    with pytest.raises(StudyError, match="no task called"):
        draw("figure_10", database, task="absent")
    with pytest.raises(StudyError, match="unknown format"):
        draw("figure_3", database).save({"gif": tmp_path / "x.gif"})


def test_calibration_draws_no_share_that_is_hardly_known_and_no_line_over_it() -> None:
    def row(bin_: int, accuracy: float, low: float, high: float) -> Row:
        return {
            "policy": "p",
            "policy_title": "p",
            "n_parameters": 1e6,
            "policy_place": 0,
            "n_places": 1,
            "prm": "r",
            "prm_title": "r",
            "prm_ability": 95.87,
            "bin": bin_,
            "n_samples": 900,
            "score": bin_ / 10 + 0.05,
            "accuracy": accuracy,
            "ci_low": low,
            "ci_high": high,
        }

    rows = [
        row(0, 0.1, 0.0, 0.2),
        row(1, 0.2, 0.1, 0.3),
        row(5, 0.9, 0.3, 1.0),
        row(8, 0.8, 0.7, 0.9),
        row(9, 1.0, 0.9, 1.0),
    ]
    figure = scores.calibration(rows, "t", "s").sheet().figure
    lines = [line for line in panel(figure, "r").get_lines() if line.get_label() == "p"]
    assert [[round(x) for x in line.get_xdata()] for line in lines] == [[5, 15], [85, 95]]
    assert "F1 95.9" in [text.get_text() for text in figure.texts]
    assert "areas grow with samples" in " ".join(
        text.get_text().replace("\n", " ") for text in figure.texts
    )


def test_prms_stand_in_the_order_of_their_ability(database: Path) -> None:
    for name in (
        "figure_4", "figure_10", "over_optimisation", "pruning", "calibration", "optimism_gap",
        "predicted_difficulty",
    ):  # fmt: skip
        of_policy: dict[str, list[float]] = {}
        for row in run_query(name, database, PARAMETERS):
            if row["prm_ability"] is not None:
                of_policy.setdefault(row["policy"], []).append(row["prm_ability"])
        assert any(len({*abilities}) > 1 for abilities in of_policy.values()), name
        assert all(abilities == sorted(abilities) for abilities in of_policy.values()), name


def test_searches_to_other_budgets_are_told_apart_and_all_say_what_was_not_written() -> None:
    def row(prm: str, method: str, budget: int) -> Row:
        return {
            "policy": "p",
            "policy_title": "p",
            "n_parameters": 1e6,
            "prm": prm,
            "prm_title": prm,
            "prm_ability": None,
            "method": method,
            "budget": budget,
            "depth": 1,
            "n_problems": 50,
            "n_pruned": 5,
            "n_not_written": budget // 4,
            "confidence": 0.95,
        }

    rows = [
        row(prm, method, budget)
        for prm, largest in (("far", 256), ("near", 64))
        for method, budget in (("beam_search", 4), ("beam_search", largest), ("dvts", largest))
    ]
    grid = failures.pruned_paths(rows, "t", "s")
    lines = {label: handle[1] for handle, label in grid.legend}
    assert len(lines) == 5
    assert len({(line.get_color(), line.get_marker()) for line in lines.values()}) == 5
    assert [panel_.note for panel_ in grid.blocks[0].panels] == [
        "not written: beam search 128%, DVTS 128%",
        "not written: beam search 32%, DVTS 32%",
    ]


def test_what_others_ran_of_a_part_says_so_and_what_nobody_means_to_run_is_left_out() -> None:
    """CoT of 74 problems stood beside that of 500, and of a model of unknown size as "largest"."""

    def row(policy: str, size: int | None, origin: str, values: list[float] | None) -> Row:
        return {
            "task": "t", "task_title": "T", "series": None if values is None else "cot",
            "policy": policy, "policy_title": policy, "n_parameters": size, "origin": origin,
            "printed": None, "problem_ids": list(map(str, range(len(values or ())))),
            "accuracies": values, "n_problems_of_task": 10, "ci_low": 0.1, "ci_high": 0.9,
            "budget": 1, "prm_title": None, "n_tied_prms": None, "chosen": None,
            "replicates": 10, "confidence": 0.95, "seed": 0,
        }  # fmt: skip

    rows = [
        row("own", 1_000_000_000, "run", None),
        row("whole", 8_000_000_000, "adopted", [1.0, 0.0] * 5),
        row("part", 405_000_000_000, "adopted", [1.0, 1.0, 1.0, 0.0]),
        row("closed", None, "adopted", [1.0] * 9 + [0.0]),
        row("elsewhere", 7_000_000_000, "adopted", None),
    ]
    figure = small_against_large(rows, "title", "subtitle").sheet().figure
    axes = panel(figure, "t")
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert [name.split(" ")[0] for name in names] == ["own", "whole", "part", "closed"]
    written = texts(axes)
    assert written.count("not run") == 2
    assert {"50.0", "75.0 (n = 4)", "90.0"} <= {*written}
    (dashed,) = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert dashed.get_xdata()[0] == pytest.approx(50.0)
    assert any("n: problems, where not all" in text for text in texts(figure))
    unsized = small_against_large(rows[3:4], "title", "subtitle").sheet().figure
    assert not [one for one in panel(unsized, "t").get_lines() if one.get_linestyle() == "--"]
    assert "CoT of the largest" not in texts(unsized)
