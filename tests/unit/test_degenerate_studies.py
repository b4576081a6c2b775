"""Studies with hardly anything in them: every figure and table shows what is known, and says what
is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_study import POLICIES, PRMS, ROLLOUTS, SyntheticStudy

from compute_optimal.present import render
from compute_optimal.present.catalogue import ITEMS
from compute_optimal.present.charts.grid import Panel
from compute_optimal.present.charts.prediction import regret
from compute_optimal.present.query import opened
from compute_optimal.present.render import draw, rows_of, tabulate
from compute_optimal.present.tables import Column, Compared, Estimate, Printed, Table

TINY = (("t", "Tiny", 1),)
STUDIES = {
    "one problem": SyntheticStudy(
        tasks=TINY, policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,), published=()
    ),
    "one sample, no PRM": SyntheticStudy(
        tasks=(("t", "Tiny", 3),), policies=POLICIES[:1], prms=(), budgets=(1,)
    ),
    "all wrong": SyntheticStudy(
        tasks=(("t", "Tiny", 4),), policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,),
        all_wrong=True,
    ),
    "what others ran, all wrong": SyntheticStudy(
        tasks=(("t", "Tiny", 4),), policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,),
        all_wrong=True, adopted=(POLICIES[0][0],),
    ),
    "what others ran, one sample, no PRM": SyntheticStudy(
        tasks=TINY, policies=POLICIES[:2], prms=(), budgets=(1,), adopted=(POLICIES[0][0],)
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=STUDIES)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return STUDIES[request.param].write(tmp_path_factory.mktemp("tiny") / "study.duckdb")


def test_every_item_shows_or_says_something(database: Path) -> None:
    with opened(database):
        for item in ITEMS:
            if item.kind == "table":
                table = tabulate(item.name, database)
                assert table.markdown()
                fields = [field for line in table.csv().splitlines() for field in line.split(",")]
                assert "nan" not in {field.lower() for field in fields}, item.name
                assert table.latex()
                continue
            drawing = draw(item.name, database)
            panels = [panel for block in drawing.grid.blocks for panel in block.panels]
            assert len(drawing.sheet.axes) == len(panels) > 0, item.name
            for panel, axes in zip(panels, drawing.sheet.axes, strict=True):
                drawn = [*axes.get_lines(), *axes.patches, *axes.collections]
                said = " ".join(text.get_text() for text in axes.texts).split()
                # Lines of an empty panel are of its axes, and say nothing.
                assert said or (drawn and panel.paint), f"{item.name}: {panel.name} is blank"


def test_a_figure_without_rows_says_of_what_there_is_nothing(database: Path) -> None:
    """No chart is made of no rows: its axes would be of nothing."""
    n_empty = 0
    with opened(database):
        for item in ITEMS:
            if item.kind == "table" or rows_of(item, database):
                continue
            n_empty += 1
            (axes,) = draw(item.name, database).sheet.axes
            said = " ".join(" ".join(text.get_text() for text in axes.texts).split())
            reason, _, of_what = said.partition(": ")
            assert reason, item.name
            assert len(of_what) > 10, f"{item.name}: {said!r}"
            assert not axes.get_xlabel() + axes.get_ylabel(), item.name
            assert not len(axes.get_xticks()), item.name
    assert n_empty


def test_an_absent_panel_never_goes_without_a_reason() -> None:
    assert Panel("p", "", None).absent.strip()
    with pytest.raises(ValueError, match="reason"):
        Panel("p", "", None, absent=" ")


@pytest.mark.parametrize(("n_problems", "ran"), [(1, True), (9, True), (9, False), (10, True)])
def test_gains_of_too_few_problems_are_not_said_to_be_not_run(
    n_problems: int, ran: bool, tmp_path: Path
) -> None:
    study = SyntheticStudy(
        tasks=(("t", "Tiny", n_problems),), policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,),
        missing=[] if ran else [(None, None, None)], abilities={PRMS[0][0]: 50.0},
    )  # fmt: skip
    path = study.write(tmp_path / "study.duckdb")
    absent = "not run" if not ran else "too few problems" if n_problems < 10 else ""
    for item in ITEMS:
        if item.query != "prm_gains":
            continue
        if item.kind == "table":
            table = tabulate(item.name, path)
            words = {word for word in ("not run", "too few problems") if word in table.csv()}
            assert words == {absent} - {""}, item.name
            said = table.title
        else:
            texts = [t.get_text() for axes in draw(item.name, path).sheet.axes for t in axes.texts]
            said = " ".join(texts).replace("\n", " ")
            assert said.startswith(absent), item.name
        assert ("10 problems at least" in said) == (absent == "too few problems"), item.name


def test_what_is_only_printed_is_of_no_real_models(tmp_path: Path) -> None:
    """Without a PRM, Table 1 has the paper's numbers alone, and they are no rollouts."""
    study = SyntheticStudy(tasks=TINY, policies=POLICIES[:1], prms=(), budgets=(4,))
    table = tabulate("table_1", study.write(tmp_path / "study.duckdb"))
    assert table.rows
    assert "public rollouts" not in table.title


@pytest.mark.parametrize("n_parameters", [700_000, 7_000_000_000])
def test_what_a_scale_model_made_says_so_wherever_it_is_shown(
    n_parameters: int, tmp_path: Path
) -> None:
    """A figure or table leaves its page, and is no evidence about large models."""
    policy = (*POLICIES[0][:3], n_parameters)
    study = SyntheticStudy(
        tasks=(("t", "Tiny", 12),), policies=(policy,), prms=PRMS[:1], budgets=(4,),
        rollouts=ROLLOUTS,
    )  # fmt: skip
    path = study.write(tmp_path / "study.duckdb")
    with opened(path):
        for item in ITEMS:
            # The schematic is no evidence at all.
            if item.name == "figure_2" or not rows_of(item, path):
                continue
            if item.kind == "table":
                said = tabulate(item.name, path).title
            else:
                grid = draw(item.name, path).grid
                if not any(panel.paint for block in grid.blocks for panel in block.panels):
                    continue
                said = grid.subtitle
            expected = item.scale == "study" and n_parameters < 1e7
            assert ("scale model" in said) == expected, item.name
            assert ("real models, public rollouts" in said) == (item.scale == "public"), item.name


def test_the_rule_of_voting_is_named_where_results_depend_on_it_and_as_it_is(
    tmp_path: Path,
) -> None:
    """Scores alone have no votes, and some items show the best-scored answer whatever is asked."""
    study = SyntheticStudy(rollouts=ROLLOUTS)
    path = study.write(tmp_path / "study.duckdb")
    fixed: dict[str, str] = {}
    with opened(path):
        for item in ITEMS:
            (by_score, said), (voted, of_votes) = (
                (rows, words)
                for rule in ("prm_max", "prm_vote")
                for rows, words, _ in [render._shown(item, path, None, None, rule)]
            )
            if item.scale == "printed" or not by_score:
                continue
            if by_score != voted:
                assert "vote: best-scored answer" in said, item.name
                assert "vote: answers voted by score" in of_votes, item.name
            else:
                assert said == of_votes, item.name
                fixed[item.name] = said
    of_best = {name for name, said in fixed.items() if "vote: best-scored answer" in said}
    assert of_best == {"over_optimisation", "public_over_optimisation", "run_to_run"} & {*fixed}
    assert {"calibration", "score_quality", "table_1", "run_to_run"} <= {*fixed}


def test_a_reason_stands_alone_in_its_panel() -> None:
    """Of one problem nothing is predicted: no axis crosses the words that say so."""
    row = {
        "policy": "p", "policy_title": "P", "n_parameters": 1, "prm": None, "budget": None,
        "reason": "1 problem with 4 samples",
    }  # fmt: skip
    (axes,) = regret([row], "title", "subtitle").sheet().figure.axes
    assert [text.get_text() for text in axes.texts] == ["1 problem with 4 samples"]
    assert not axes.get_lines()
    assert not len(axes.get_xticks())


def test_what_rounds_to_zero_has_no_sign_but_where_an_interval_tells_it() -> None:
    columns = [
        Column("a", "A", "estimate"), Column("b", "B", "number", digits=0),
        Column("c", "C", "compared"),
    ]  # fmt: skip
    compared = Compared(Estimate(1.0, -0.01, 2.0), Printed(1.001))
    text = Table("T", columns, [[Estimate(-0.04, -1.0, -0.01), -0.3, compared]]).markdown()
    assert "| −0.04 [−1.0, −0.01] | 0 | 1.0 [−0.01, 2.0] |" in text
    none = Table("T", columns, [[Estimate(-0.04, -1.0, 0.5), -0.3, -1e-17]]).markdown()
    assert "| 0.0 [−1.0, 0.5] | 0 | 0.0 |" in none
