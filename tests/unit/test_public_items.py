"""Figures and tables of what others ran: their numbers, their marks, and what they leave out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from synthetic_study import OUTSIDE, POLICIES, PRMS, ROLLOUTS, TASKS, SyntheticStudy

from compute_optimal.present.catalogue import ITEMS
from compute_optimal.present.query import opened, run_query
from compute_optimal.present.render import _doubtful_buckets, draw, tabulate
from compute_optimal.present.tables.model import Estimate, Table

OWN, OTHERS = POLICIES[0], POLICIES[1:3]
STUDY: dict[str, Any] = {"tasks": TASKS[:1], "policies": POLICIES[:3], "budgets": (4, 16)}
ADOPTED = tuple(name for name, *_ in OTHERS)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One policy is the study's own, two are adopted."""
    study = SyntheticStudy(**STUDY, prms=PRMS[:2], adopted=ADOPTED, processbench={PRMS[0][0]: 29.5})
    return study.write(tmp_path_factory.mktemp("public") / "study.duckdb")


def column(table: Table, name: str) -> list[Any]:
    place = [column.name for column in table.columns].index(name)
    return [row[place] for row in table.rows]


def names_of(figure: str, database: Path) -> str:
    sheet = draw(figure, database).sheet
    texts = [*sheet.texts, *(t for legend in sheet.legends for t in legend.get_texts())]
    labels = [line.get_label() for axes in sheet.axes for line in axes.get_lines()]
    return " ".join([*(text.get_text() for text in texts), *map(str, labels)])


@pytest.mark.parametrize("name", ["calibration", "over_optimisation", "score_quality"])
def test_no_figure_of_one_task_mixes_what_others_ran_with_the_study(
    database: Path, name: str
) -> None:
    if name == "score_quality":
        own, others = ([*column(tabulate(x, database), "policy")] for x in (name, f"public_{name}"))
        assert {*own} == {OWN[1]}
        assert {*others} == {title for _, title, *_ in OTHERS}
        assert {*column(tabulate(f"public_{name}", database), "collection")} == {*ADOPTED}
        return
    own_names, others_names = names_of(name, database), names_of(f"public_{name}", database)
    assert OWN[1][:12] in own_names
    assert not any(title[:12] in own_names for _, title, *_ in OTHERS)
    assert OWN[1][:12] not in others_names
    assert all(title[:12] in others_names for _, title, *_ in OTHERS)
    assert "public rollouts" in others_names
    assert "public rollouts" not in own_names


def test_where_nothing_is_its_own_a_study_shows_what_others_ran_once(tmp_path: Path) -> None:
    study = SyntheticStudy(
        tasks=TASKS[:1], policies=OTHERS, prms=PRMS[:1], budgets=(4,), adopted=ADOPTED
    )
    database = study.write(tmp_path / "s.duckdb")
    assert not tabulate("score_quality", database).rows
    assert "public_score_quality" in tabulate("score_quality", database).title
    assert {*column(tabulate("public_score_quality", database), "policy")} == {
        title for _, title, *_ in OTHERS
    }


def test_buckets_that_are_often_wrong_are_said_to_be_wherever_they_are_shown(
    tmp_path: Path,
) -> None:
    study = SyntheticStudy(**STUDY, prms=PRMS[:2], adopted=ADOPTED)
    path = study.write(tmp_path / "s.duckdb")
    policy, parameters = OWN[0], {"task": TASKS[0][0], "scoring": "prm_last", "voting": "prm_max"}
    for wrong, is_said in ((0.45, True), (0.05, False)):
        with duckdb.connect(path) as database:
            database.execute("UPDATE rated SET wrong_bucket = ? WHERE policy = ?", [wrong, policy])
        for name in ("figure_3", "figure_8"):
            if any(row["policy"] == policy for row in run_query(name, path, parameters)):
                sentence = f"problems expected in the wrong bucket: {100 * wrong:.0f}% of"
                assert (sentence in " ".join(names_of(name, path).split())) is is_said, name


def test_doubts_about_buckets_are_those_of_the_samples_that_made_the_buckets(
    tmp_path: Path,
) -> None:
    """Halves of a pool sort problems for accuracies by difficulty, the whole pool where problems
    are counted: 21% of buckets that 15% are expected wrong of were said to be."""
    path = SyntheticStudy(**STUDY, prms=PRMS[:2], adopted=ADOPTED).write(tmp_path / "s.duckdb")
    policy, title = OWN[:2]
    with duckdb.connect(path) as database:
        database.execute("UPDATE rated SET wrong_bucket = 0.3, n_samples = 19")
        database.execute(
            "INSERT INTO rated SELECT * REPLACE ('first half' AS pool, 0.6 AS wrong_bucket,"
            " 10 AS n_samples) FROM rated WHERE policy = ? AND pool = bucket_pool",
            [policy],
        )

    def said(**row: object) -> str:
        return " ".join(_doubtful_buckets([{"policy": policy, **row}], path))

    of_halves, of_all = f"60% of {title} (of 10 samples)", f"30% of {title} (of 19 samples)"
    assert said(bucket="easy").endswith(f": {of_halves}")
    assert said(part="both halves").endswith(f": {of_halves}")
    assert said(n_easy=3).endswith(f": {of_all}")
    assert said(bucket="all") == ""
    assert of_all in tabulate("overview", path).title


def test_rollouts_on_a_task_that_the_study_does_not_run_are_shown(tmp_path: Path) -> None:
    study = SyntheticStudy(**STUDY, prms=PRMS[:2], rollouts=ROLLOUTS)
    database = study.write(tmp_path / "s.duckdb")
    pools = {rollouts.model for rollouts in ROLLOUTS if rollouts.n_samples}
    assert {*column(tabulate("public_score_quality", database), "policy")} == pools
    assert {*column(tabulate("score_quality", database), "policy")} == {
        title for _, title, *_ in STUDY["policies"]
    }
    voting = tabulate("public_voting", database)
    assert OUTSIDE[1] in voting.title
    # What a pool carries, whatever budgets the study has.
    carried = {(str(row[0]), row[3]) for row in voting.rows}
    assert {budget for model, budget in carried if model == "Small-1B-AWQ"} == {4, 8, 16}
    for item in ITEMS:
        if item.scale == "public" and item.name.startswith("public_"):
            shown = tabulate(item.name, database).title if item.table else names_of(
                item.name, database
            )  # fmt: skip
            assert "no adopted rollouts" not in shown, item.name


def test_what_is_not_scored_by_others_is_nothing_to_run(tmp_path: Path) -> None:
    study = SyntheticStudy(
        **STUDY, prms=PRMS[:2], adopted=ADOPTED, missing=[(None, PRMS[1][0], "best_of_n")]
    )
    database = study.write(tmp_path / "s.duckdb")
    assert {*column(tabulate("public_score_quality", database), "prm")} == {PRMS[0][1]}
    assert {*column(tabulate("score_quality", database), "prm")} == {PRMS[0][1], PRMS[1][1]}
    assert "not run" not in names_of("public_calibration", database)


def test_public_items_say_their_scale(tmp_path: Path) -> None:
    study = SyntheticStudy(**STUDY, prms=PRMS[:2], adopted=ADOPTED, rollouts=ROLLOUTS)
    database = study.write(tmp_path / "s.duckdb")
    public = [item for item in ITEMS if item.scale != "study"]
    assert len(public) >= 10
    parameters = {"task": TASKS[0][0], "scoring": "prm_last", "voting": "prm_max"}
    with opened(database):
        for item in public:
            if not run_query(item.query, database, parameters):
                continue
            mark = "public rollouts" if item.scale == "public" else "another paper prints"
            if item.kind == "table":
                assert mark in tabulate(item.name, database).title
            else:
                assert mark in names_of(item.name, database)


def test_rules_are_compared_with_majority_on_the_same_problems(database: Path) -> None:
    rows = run_query("public_voting", database, {"task": TASKS[0][0]})
    assert {row["policy"] for row in rows} == {*ADOPTED}
    assert {row["budget"] for row in rows} == {4, 16}
    per_cell = 1 + 6
    assert len(rows) == len(OTHERS) * 2 * 2 * per_cell
    table = tabulate("public_voting", database)
    shown = zip(rows, column(table, "accuracy_percent"), column(table, "difference_points"),
                strict=True)  # fmt: skip
    for row, accuracy, difference in shown:
        assert accuracy.value == pytest.approx(100 * np.mean(row["value"]))
        if row["rule"] == "majority":
            assert difference == "reference"
            continue
        pairs = np.array(row["value"]) - np.array(row["reference"])
        assert isinstance(difference, Estimate)
        assert difference.value == pytest.approx(100 * pairs.mean())
        assert difference.low is not None
        assert difference.high is not None
        # Paired: as wide as the differences vary, not as the accuracies do.
        half = 1.96 * 100 * pairs.std(ddof=1) / np.sqrt(len(pairs))
        assert difference.high - difference.low == pytest.approx(2 * half, rel=0.35)


def test_reward_models_are_traced_to_their_files(database: Path) -> None:
    table = tabulate("public_reward_models", database)
    assert {*column(table, "file")} == {f"scores/{prm}.json" for prm, *_ in PRMS[:2]}
    assert {*column(table, "commit")} == {"c" * 40}
    assert len(table.rows) == 2 * 3
    assert "20 is chance" in table.notes[0]
    rows = run_query("public_reward_models", database)
    of_pairs = {(r["prm_title"], r["scoring"]): r for r in rows if r["measure"] == "discrimination"}
    drawn = {
        str(line.get_label()): float(line.get_xdata()[0])
        for line in draw("public_discrimination", database).sheet.axes[0].get_lines()
        if "|" in str(line.get_label())
    }
    assert len(drawn) == len(of_pairs) == 6
    for row in of_pairs.values():
        assert drawn[f"{row['prm']}|{row['scoring']}|discrimination"] == 100 * row["value"]


@pytest.mark.parametrize("n_printed", [1, 3, 4])
def test_a_line_needs_four_prms(tmp_path: Path, n_printed: int) -> None:
    study = SyntheticStudy(
        **STUDY, prms=PRMS[:4], adopted=ADOPTED,
        processbench={prm: 30.0 + 10 * i for i, (prm, *_) in enumerate(PRMS[:n_printed])},
    )  # fmt: skip
    figure = draw("public_ability", study.write(tmp_path / "s.duckdb")).sheet
    for axes in figure.axes:
        assert any(line.get_linestyle() == "--" for line in axes.get_lines()) == (n_printed == 4)
    text = " ".join(t.get_text() for t in figure.texts)
    assert ("too few" in " ".join(text.split())) == (n_printed < 4)


def test_printed_curves_stand_beside_the_study_s_own(database: Path) -> None:
    rows = run_query("printed_optscale", database, {"scoring": "prm_last", "voting": "prm_max"})
    own = [row for row in rows if row["series"] != "printed"]
    assert {row["task"] for row in own} == {TASKS[0][1]}
    assert {row["method"] for row in own} == {"best_of_n", "majority"}
    table = tabulate("printed_optscale", database)
    cells = column(table, "accuracy_percent")
    assert all(cell.printed for cell in cells)
    assert {cell.estimate is not None for cell in cells} == {True, False}
    assert "not run" in table.csv()


def test_collections_say_what_was_left_out_and_why(database: Path) -> None:
    table = tabulate("public_collections", database)
    assert column(table, "collection") == [*ADOPTED]
    assert {*column(table, "left_out")} == {"copy 4; unmatched 2"}
    assert {*column(table, "kept_in_part")} == {"header 1"}
    assert {*column(table, "n_answers_used")} == {20}
    assert "<script" not in table.markdown()
    sources = tabulate("public_sources", database)
    assert column(sources, "file") == [f"rollouts/{name}.jsonl" for name in sorted(ADOPTED)]
    assert {*column(sources, "sha256")} == {"f" * 64}


def test_what_a_study_of_rollouts_lacks_it_is_said_to_run_none_of(tmp_path: Path) -> None:
    """A table without rows was "not run", which reads as if it were to come."""
    study = SyntheticStudy(tasks=(), policies=(), prms=PRMS[:1], budgets=(4,), rollouts=ROLLOUTS)
    path = study.write(tmp_path / "study.duckdb")
    with opened(path):
        tables = {
            item.name: tabulate(item.name, path)
            for item in ITEMS
            if item.table is not None and item.scale == "study" and not item.checks_steps
        }
    lacking = {name for name, table in tables.items() if not table.rows}
    assert {"provenance", "cost_ledger", "grader_sensitivity", "prm_gains_numbers"} <= lacking
    for name in lacking:
        assert "the study runs no models itself" in tables[name].title, name
    others = {name: table.title for name, table in tables.items() if name not in lacking}
    assert not any("runs no models" in title for title in others.values())
