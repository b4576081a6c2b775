"""Tables: numbers against brute force, and text that nothing interprets."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_study import POLICIES, PRMS, ROLLOUTS, SyntheticStudy, with_the_papers_numbers

from compute_optimal.analyse.published import POLICY_NAMES, load_paper
from compute_optimal.analyse.statements import SQL_FOLDER
from compute_optimal.analyse.statistics.selection import efficiency_gain
from compute_optimal.errors import StudyError
from compute_optimal.present.catalogue import ITEMS, item_named
from compute_optimal.present.query import opened, run_query
from compute_optimal.present.render import draw, tabulate, write_table
from compute_optimal.present.style import fixed, p_text, signed, signed_interval
from compute_optimal.present.tables import Column, Compared, Estimate, Printed, Table
from compute_optimal.present.tables.difficulty import wrong_buckets
from compute_optimal.present.tables.frontier import against_large_models
from compute_optimal.present.tables.gains import gains_of
from compute_optimal.present.tables.model import (
    NOT_APPLICABLE,
    NOTE,
    csv_names,
    escape_latex,
    escape_markdown,
)
from compute_optimal.present.tables.printed import unlike
from compute_optimal.study.spec import digest

TASKS = (("math500", "MATH-500", 20), ("aime24", "AIME24", 8))
PARAMETERS = {"task": "math500", "scoring": "prm_last", "voting": "prm_max"}
NEITHER_RUN_NOR_CHECKED = {
    *("cost_ledger", "provenance", "prm_ability", "table_7"),
    *("prm_gains_numbers", "prm_thresholds", "choice_dependence_numbers"),
}
"""Of a study whose steps are not checked, on few problems."""
EXPECTED = Path(__file__).parents[2] / "data/expected"
TABLES = [item.name for item in ITEMS if item.kind == "table"]
HOSTILE = "a_b$c$ | <script>x</script> \\input{/etc/passwd} #%&~^ [x](y) `z` \u202e\x00\n end"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SyntheticStudy(
        tasks=TASKS,
        policies=(*POLICIES[:2], POLICIES[4]),
        prms=PRMS[:2],
        missing=[("qwen2.5-7b", None, "dvts"), ("qwen2.5-7b", None, "cot")],
        abilities={prm[0]: 40.0 for prm in PRMS[:2]},
    ).write(tmp_path_factory.mktemp("study") / "study.duckdb")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = SyntheticStudy(
        tasks=TASKS, policies=POLICIES[:2], prms=PRMS[:1], missing=[(None, None, None)]
    )
    return study.write(tmp_path_factory.mktemp("study") / "study.duckdb")


@pytest.fixture(scope="module")
def tables(database: Path) -> dict[str, Table]:
    """Every table, made once for the tests that look at all of them."""
    with opened(database):
        return {name: tabulate(name, database) for name in TABLES}


def records(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.csv())))


# --- PRMs and prompts -----------------------------------------------------------------------------


def test_abilities_of_prms_are_those_of_the_query(database: Path) -> None:
    rows = run_query("prm_failures", database, PARAMETERS)
    records_of = records(tabulate("prm_ability", database))
    assert [(row["prm"], row["policy"]) for row in records_of] == [
        (prm[1], policy)
        for prm in PRMS[:2]
        for policy in ("all", *(POLICIES[i][1] for i in (0, 1, 4)))
    ]
    f1 = [100 * row["value"] for row in rows if row["measure"] == "f1"]
    assert [float(row["f1_percent"]) for row in records_of] == pytest.approx(f1)
    assert {row["length_bias_correlation"] for row in records_of[4:]} == {""}
    assert all("undefined: length_bias_correlation" in row["note"] for row in records_of[4:])


def test_wrong_buckets_add_up(database: Path) -> None:
    for row in records(wrong_buckets(database)):
        buckets = ("easy", "medium", "hard")
        n = sum(int(row[name]) for name in buckets)
        wrong = [float(row[f"wrong_{name}"]) for name in buckets]
        assert wrong == pytest.approx([int(row[name]) / 8 for name in buckets])
        assert float(row["wrong_percent"]) == pytest.approx(100 * sum(wrong) / n) == 12.5


def test_prompts_keep_their_lines_and_their_characters(database: Path) -> None:
    table = tabulate("table_7", database)
    text = [row for row in records(table) if (row["prompt"], row["part"]) == ("a", "system")]
    assert [(row["line"], row["text"]) for row in text] == [
        ("1", "Solve:"), ("3", "## Step 1: [a_b]"), ("4", r"$\boxed{x}$ | <b> #1 100%"),
    ]  # fmt: skip
    assert r"\#\# Step 1: [a\_b] \\" in table.latex()
    assert r"\$\textbackslash{}boxed\{x\}\$ \textbar{}" in table.latex()
    assert "&#36;&#92;boxed&#123;x&#125;&#36; &#124; &#60;b&#62;" in table.markdown()
    assert [
        row["text"] for row in records(table)
        if row["prompt"] == "b" and row["part"] in ("system", "user")
    ] == ["none", "{problem}", r"use \boxed{}."]  # fmt: skip


# --- numbers ------------------------------------------------------------------------------------


def dense_efficiency(voted: dict[int, float], scaled: dict[int, float]) -> tuple[float, str]:
    """The definition of issue 11 by walking along the curve in small steps."""
    target = max(voted.values())
    at_best = min(n for n, value in voted.items() if value == target)
    budgets = sorted(scaled)
    grid = np.arange(500 * budgets[0], 500 * budgets[-1] + 1) / 500
    reached = np.flatnonzero(np.interp(grid, budgets, [scaled[n] for n in budgets]) >= target)
    if not len(reached):
        return at_best / budgets[-1], "<"
    return at_best / float(grid[reached[0]]), "=" if reached[0] else ">"


@given(
    voted=st.lists(st.integers(0, 100), min_size=4, max_size=4),
    scaled=st.lists(st.integers(0, 100), min_size=4, max_size=4),
)
def test_efficiency_gain_matches_a_walk_along_the_curve(
    voted: list[int], scaled: list[int]
) -> None:
    budgets = [4, 16, 64, 256]
    gain = efficiency_gain(budgets, voted, budgets, scaled)
    expected, expected_relation = dense_efficiency(
        dict(zip(budgets, map(float, voted), strict=True)),
        dict(zip(budgets, map(float, scaled), strict=True)),
    )
    assert {"exact": "=", "lower_bound": ">", "upper_bound": "<"}[gain.kind] == expected_relation
    assert gain.gain == pytest.approx(expected, rel=1e-3)


def test_gains_are_those_of_the_definition(database: Path) -> None:
    rows = [
        row for row in run_query("table_5", database, PARAMETERS) if row["policy"] == "llama-3.2-1b"
    ]
    gains = gains_of(rows)
    means = {(row["series"], row["budget"]): np.mean(row["accuracies"]) for row in rows}
    cot, best = means["cot", 1], means["compute_optimal", 256]
    assert gains.cot is not None
    assert gains.cot.value == pytest.approx(100 * cot)
    assert isinstance(gains.performance_gain, Estimate)
    assert gains.performance_gain.value == pytest.approx(100 * (best - cot) / cot)
    assert isinstance(gains.efficiency_gain, Estimate)
    expected, _ = dense_efficiency(
        {n: v for (name, n), v in means.items() if name == "majority"},
        {n: v for (name, n), v in means.items() if name == "compute_optimal"},
    )
    assert gains.efficiency_gain.value == pytest.approx(expected, rel=1e-3)
    for estimate in (gains.cot, gains.compute_optimal, gains.performance_gain):
        assert estimate is not None
        assert estimate.low < estimate.value < estimate.high
    assert gains == gains_of(rows)


def test_the_interval_of_a_gain_is_paired(database: Path) -> None:
    """If every problem gains nearly the same share, resampling the problems hardly changes it."""
    first = run_query("table_5", database, PARAMETERS)[0]
    values = np.linspace(0.1, 0.6, 12).tolist()
    ids = [str(i) for i in range(12)]
    base = {**first, "printed": None, "problem_ids": ids, "ci_low": 0.2, "ci_high": 0.5}
    shuffled = np.random.default_rng(0).permutation(12)
    better = {
        "problem_ids": [ids[i] for i in shuffled],
        "accuracies": [1.5 * values[i] + 0.01 * (-1) ** i for i in shuffled],
    }
    gains = gains_of(
        [
            {**base, "series": "cot", "budget": 1, "accuracies": values},
            {**base, "series": "compute_optimal", "budget": 4, **better},
        ]
    )
    gain = gains.performance_gain
    assert isinstance(gain, Estimate)
    assert gain.value == pytest.approx(50)
    assert 46 < gain.low < 50 < gain.high < 54
    assert gains.majority is gains.efficiency_gain is None
    assert gains.cot is not None
    # Accuracies have the interval of the analysis.
    assert (gains.cot.low, gains.cot.high) == (20, 50)


def test_table_5_shows_printed_values_beside_its_own(database: Path) -> None:
    table = tabulate("table_5", database)
    row = records(table)[0]
    assert row["policy"] == "Llama-3.2-1B-Instruct"
    ours, theirs = float(row["cot_percent"]), 26.0
    assert float(row["cot_percent_printed"]) == theirs
    assert float(row["cot_percent_difference"]) == pytest.approx(ours - theirs)
    inside = float(row["cot_percent_low"]) <= theirs <= float(row["cot_percent_high"])
    assert row["cot_percent_printed_inside_interval"] == ("yes" if inside else "no")
    assert row["efficiency_gain_times_printed"] == "256"
    assert row["efficiency_gain_times_printed_relation"] == ">"
    assert row["efficiency_gain_times_difference"] == ""
    below = table.markdown().splitlines()[5]
    assert below.startswith("| printed† |")
    assert (
        f"26.0 ({ours - theirs:+.1f}, {'inside' if inside else 'outside'})".replace("-", "−")
        in below
    )


def test_what_has_not_been_run_says_so(database: Path, empty: Path) -> None:
    row = records(tabulate("table_5", database))[2]
    assert row["policy"] == "Qwen2.5-7B-Instruct"
    assert row["cot_percent"] == row["performance_gain_percent"] == ""
    assert row["note"].startswith("not run: cot_percent, performance_gain_percent")
    assert float(row["compute_optimal_percent"]) > 0
    with opened(empty):
        tables = {name: records(tabulate(name, empty)) for name in TABLES}
    for name in TABLES:
        for record in tables[name]:
            # Rows that only repeat what is printed have nothing that could be run.
            nothing = f"{item_named(name).nothing}|printed"
            assert re.search(nothing, record.get(NOTE) or " ".join(record.values()))
            for field, value in record.items():
                assert value != "0", f"{name}: {field} is 0"


def test_what_cannot_be_checked_is_not_said_to_be_not_run(tmp_path: Path) -> None:
    """Searches and scores of a task without an exact check of its steps were "not run" wherever the
    truth about steps is shown."""
    study = SyntheticStudy(tasks=TASKS[:1], policies=POLICIES[:2], prms=PRMS[:2],
                           processbench={PRMS[0][0]: 40.0}, has_step_check=False)  # fmt: skip
    path = study.write(tmp_path / "study.duckdb")
    tables = re.compile(r"\b(FROM|JOIN) \(?(SELECT[^)]* FROM )?(prm_rates|prm_cases|pruning)\b")
    for item in ITEMS:
        asks = tables.search((SQL_FOLDER / f"{item.query}.sql").read_text(encoding="utf-8"))
        assert item.checks_steps == (asks is not None), item.name
        if item.checks_steps and item.table is not None:
            table = tabulate(item.name, path)
            assert {cell for row in table._text_rows(str, str) for cell in row} == {
                "steps cannot be checked"
            }
            assert records(table)[0][NOTE].startswith("steps cannot be checked: ")
        elif item.checks_steps:
            (block,) = draw(item.name, path).grid.blocks
            (panel,) = block.panels
            assert panel.absent.startswith("steps cannot be checked: MATH-500, 20 problems")
    assert "| none | none | none | none |" in tabulate("table_7", path).markdown()


def test_the_level_of_intervals_is_the_studys(database: Path, tmp_path: Path) -> None:
    other = tmp_path / "study.duckdb"
    shutil.copyfile(database, other)
    with duckdb.connect(str(other)) as connection:
        connection.execute("UPDATE settings SET confidence = 0.8")
    with opened(other):
        tables = [tabulate(item.name, other) for item in ITEMS if item.table is not None]
    named = [table for table in tables if "80% intervals" in table.title]
    assert len(named) > 10
    assert all(table.has_intervals == (table in named) for table in tables)
    # How far one answer must lead for majority voting to stop is no setting.
    texts = " ".join([table.markdown() for table in tables]).replace("leads with 95%", "")
    assert "95%" not in texts


def test_a_cell_is_never_blank_for_people(tables: dict[str, Table]) -> None:
    for table in tables.values():
        for text in table._text_rows(str, str):
            assert text[0] == "printed†" or all(text)


def test_a_field_of_a_column_of_numbers_is_a_number_or_empty_and_the_note_says_why(
    tables: dict[str, Table],
) -> None:
    for name, table in tables.items():
        words = {
            *(column.name for column in table.columns if column.kind == "text"),
            *(
                field
                for column in table.columns
                for field in csv_names(column)
                if field.endswith(("_relation", "_printed_inside_interval"))
            ),
        }
        for record in records(table):
            for field, value in record.items():
                where = f"{name}, {field}: {value!r}"
                if field in words:
                    assert value or field.endswith("_relation"), where
                elif value:
                    assert field == NOTE or float(value) is not None, where
            for column in table.columns:
                if not record[column.name]:
                    assert re.search(rf"[:,] {re.escape(column.name)}\b", record[NOTE])


NAMES = re.compile(r"digest|commit|.*revision|sha256|version")
"""Columns of names that may look like numbers."""


@pytest.mark.parametrize(
    "file", sorted(EXPECTED.glob("*/tables/*.csv")), ids=lambda f: f"{f.parts[-3]}-{f.stem}"
)
def test_no_column_of_a_shipped_table_mixes_numbers_and_words(file: Path) -> None:
    def is_number(text: str) -> bool:
        try:
            return bool(float(text)) or True
        except ValueError:
            return False

    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows
    for name in rows[0]:
        kinds = {is_number(row[name]) for row in rows if row[name]}
        if not NAMES.fullmatch(name) and name not in ("answer", "text"):
            assert len(kinds) < 2, f"{name}: {sorted({row[name] for row in rows})[:5]}"


def test_without_prms_there_is_no_table_2(tmp_path: Path) -> None:
    study = SyntheticStudy(tasks=TASKS[:1], policies=POLICIES[:1], prms=())
    table = tabulate("table_2", study.write(tmp_path / "s.duckdb"))
    assert "not run" in table.markdown()
    assert "not run" in table.csv()


def test_undefined_gains_are_named(tmp_path: Path) -> None:
    study = SyntheticStudy(tasks=TASKS[:1], policies=POLICIES[:1], prms=PRMS[:1], all_wrong=True)
    row = records(tabulate("table_5", study.write(tmp_path / "s.duckdb")))[0]
    assert row["performance_gain_percent"] == row["efficiency_gain_times"] == ""
    assert "undefined (CoT is 0): performance_gain_percent" in row["note"]
    assert "undefined (majority is 0): efficiency_gain_times" in row["note"]


def test_table_2_has_every_rule_and_the_papers_rows(database: Path) -> None:
    rows = records(tabulate("table_2", database))
    expected = {
        (row["method"], row["rule"], row["prm"]): row["accuracy"]
        for row in run_query("table_2", database, PARAMETERS)
        if row["policy"] == "llama-3.2-1b" and row["accuracy"] is not None
    }
    first = next(
        row for row in rows if row["method"] == "best-of-N" and row["rule"] == "PRM-Avg-Vote"
    )
    key = ("best_of_n", "prm_avg prm_vote", "math-shepherd-7b")
    assert float(first["math-shepherd-7b_percent"]) == pytest.approx(100 * expected[key])
    absent = [
        row for row in rows if row["policy"] == "Qwen2.5-7B-Instruct" and row["method"] == "DVTS"
    ]
    assert len(absent) == 7
    assert all(row["math-shepherd-7b_percent"] == "" for row in absent)
    assert all("not run: budget_samples, math-shepherd-7b_percent" in row["note"] for row in absent)


@pytest.fixture(scope="module")
def uneven(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Searches with the second PRM end at 16, with the first at 256."""
    path = tmp_path_factory.mktemp("uneven") / "study.duckdb"
    shutil.copyfile(database, path)
    with duckdb.connect(str(path)) as connection:
        beyond = f"prm = '{PRMS[1][0]}' AND budget > 16"
        connection.execute(
            f"DELETE FROM curve_points WHERE {beyond} AND method IN ('beam_search', 'dvts')"
        )
        connection.execute(f"UPDATE selection SET n_strategies = 1 WHERE {beyond}")
    return path


def test_what_ran_at_a_budget_is_not_said_to_be_not_run(uneven: Path) -> None:
    rows = run_query("table_2", uneven, PARAMETERS)
    shown = {(row["prm"], row["budget"]) for row in rows if row["method"] == "beam_search"}
    one, other = PRMS[0][0], PRMS[1][0]
    assert {(one, 16), (one, 256), (other, 16)} == shown - {(None, None)}
    with duckdb.connect(str(uneven), read_only=True) as connection:
        ran = connection.execute(
            "SELECT DISTINCT policies.title, prm, method, budget FROM curves"
            " INNER JOIN policies USING (policy) WHERE task = 'math500' AND bucket = 'all'"
        ).fetchall()
    methods = {"beam search": "beam_search", "DVTS": "dvts", "best-of-N": "best_of_n"}
    studied = [row for row in records(tabulate("table_2", uneven)) if row["budget_samples"]]
    assert len(studied) > 21
    for row in studied:
        if row["policy"] == "the paper":
            continue
        for prm in (one, other):
            cell = row["policy"], prm, methods[row["method"]], int(row["budget_samples"])
            assert (row[f"{prm}_percent"] != "") == (cell in ran), cell


def test_a_prm_is_compared_where_there_is_something_to_choose(uneven: Path, database: Path) -> None:
    def budgets(of: Path) -> dict[str, set[int]]:
        chosen: dict[str, set[int]] = {}
        for row in run_query("table_6", of, {"scoring": "prm_last", "voting": "prm_max"}):
            if row["series"] == "in_sample":
                chosen.setdefault(row["prm"], set()).add(row["budget"])
        return chosen

    one, other = PRMS[0][0], PRMS[1][0]
    assert budgets(database) == {one: {256}, other: {256}}
    # Synthetic studies choose at both ends of their budgets alone.
    assert budgets(uneven) == {one: {4}, other: {4}}


def test_overview_counts_difficulties(database: Path) -> None:
    for row in records(tabulate("overview", database)):
        n = sum(int(row[f"{name}_problems"]) for name in ("easy", "medium", "hard"))
        assert n == int(row["problems"])


def test_another_grader_moves_accuracy_by_the_answers_that_it_judges_differently(
    database: Path,
) -> None:
    """The made-up official verdicts of one policy are laxer in one problem."""
    measured = [row for row in records(tabulate("grader_sensitivity", database))
                if row["answers"]]  # fmt: skip
    assert {row["right_here_only"] for row in measured} == {"0"}
    assert {(row["grader"], row["right_there_only"]) for row in measured} == {
        ("official code", "0"), ("official code", "1"), ("math-verify", "0"),
    }  # fmt: skip
    for row in measured:
        keys = "difference_points", "accuracy_percent", "other_accuracy_percent"
        difference, ours, other = (float(row[key]) for key in keys)
        assert difference == pytest.approx(other - ours, abs=1e-6)
        assert (difference > 0) == (row["judged_differently"] == "1")
        assert float(row["difference_points_low"]) <= difference


@pytest.mark.parametrize(("origin", "has_row"), [("adopted", False), ("run", True)])
def test_rollouts_of_others_without_a_pool_have_no_row_among_the_graders(
    origin: str, has_row: bool, database: Path, tmp_path: Path
) -> None:
    """Nobody here can run them, so "not run" would be no answer."""
    one = POLICIES[0][0]
    shutil.copy(database, tmp_path / "study.duckdb")
    with duckdb.connect(str(tmp_path / "study.duckdb")) as connection:
        connection.execute("UPDATE policies SET origin = ? WHERE policy = ?", [origin, one])
        connection.execute("DELETE FROM answers WHERE policy = ? AND pool = 'evaluation'", [one])
    queries = ("grader_sensitivity", "public_graders")
    own, public = (run_query(name, tmp_path / "study.duckdb", PARAMETERS) for name in queries)
    assert any(row["policy"] == one for row in own) is has_row
    assert {row["policy"] for row in own} - {one}
    assert one not in {row["policy"] for row in public}


def test_graders_of_pools_that_others_drew_stand_apart(database: Path, tmp_path: Path) -> None:
    one = POLICIES[0][0]
    told = {
        (row["task"], row["grader"]): row
        for row in run_query("grader_sensitivity", database, PARAMETERS)
        if row["policy"] == one
    }
    shutil.copy(database, tmp_path / "study.duckdb")
    with duckdb.connect(str(tmp_path / "study.duckdb")) as connection:
        connection.execute("UPDATE policies SET origin = 'adopted' WHERE policy = ?", [one])
    own, public = (
        [row for row in run_query(name, tmp_path / "study.duckdb", PARAMETERS)
         if row["policy"] == one]
        for name in ("grader_sensitivity", "public_graders")
    )  # fmt: skip
    assert own == []
    assert public
    for row in public:
        assert row == told[row["task"], row["grader"]]


def test_every_cell_says_how_it_was_made(database: Path) -> None:
    rows = records(tabulate("provenance", database))
    (sampled,) = (
        row for row in rows
        if (row["policy"], row["task"]) == ("Llama-3.2-1B-Instruct", "MATH-500")
        and row["what"] == "samples for CoT"
    )  # fmt: skip
    assert sampled["policy_revision"] == "sha256:aaaaaaaaaaaa"
    assert (sampled["seed"], sampled["temperature"]) == ("7", "")
    assert sampled["note"] == "not recorded: temperature"
    assert sampled["engine"] == "vllm 1; vllm 2"
    (note,) = (note for note in tabulate("provenance", database).notes if "more than one" in note)
    assert sampled["digest"] in note
    with duckdb.connect(str(database), read_only=True) as connection:
        (spec,) = connection.execute(
            "SELECT DISTINCT spec FROM ledger WHERE task = 'math500' AND method = 'cot'"
            " AND policy = 'llama-3.2-1b'"
        ).fetchone()
    assert sampled["digest"] == digest(json.loads(spec))
    searched = [row for row in rows if row["prm"] != "none"]
    assert {row["prm_revision"] for row in searched} == {"b" * 12}
    searches = {"DVTS", *(f"beam search, N = {n}" for n in (4, 16, 64, 256))}
    assert {row["what"] for row in searched} == {"step scores", *searches}


def test_partial_coverage_is_visible() -> None:
    from compute_optimal.present.tables.paper import overview

    row = dict.fromkeys(
        ["task_title", "policy_title", "n_parameters", "origin", "n_easy", "n_medium", "n_hard",
         "greedy", "greedy_low", "greedy_high", "sampled", "sampled_low", "sampled_high",
         "samples_per_problem", "tokens_per_sample", "cut_short", "without_answer", "timed_out"]
    )  # fmt: skip
    row |= {"task_title": "T", "policy_title": "P", "origin": "run"}
    row |= {"easy_from": 0.6, "medium_from": 0.125}
    table = overview([{**row, "n_problems": 350, "n_problems_of_task": 500}], "title")
    assert "| 350 | 500 |" in table.markdown()
    assert "(from 60%, from 12.5%, below)" in table.markdown()


def test_table_4_recounts_what_the_paper_prints() -> None:
    """6ND of the shipped sizes and tokens gives every printed number."""
    folder = Path(__file__).parents[2] / "data/published"
    with (folder / "pretraining.csv").open(encoding="utf-8") as stream:
        trained = {row["model"]: row for row in csv.DictReader(stream)}
    paper = load_paper(folder / "paper.csv")
    paper = paper.filter(item="Table 4", metric="pretraining_FLOPS")
    assert paper.height == 4
    for model, value in paper.select("model", "value").iter_rows():
        row = trained[POLICY_NAMES.get(model) or model.replace("-Inst.", "-Instruct")]
        flops = 6 * float(row["parameters"]) * float(row["training_tokens"])
        assert f"{flops:.2e}" == f"{float(value):.2e}"


def test_table_4_knows_the_training_of_what_others_ran_and_of_what_was_not_run(
    tmp_path: Path,
) -> None:
    """It went by the name of the collection, and "not run" stood of what models were trained
    with."""
    study = SyntheticStudy(policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,), rollouts=ROLLOUTS)
    path = study.write(tmp_path / "s.duckdb")
    with duckdb.connect(str(path)) as database:
        database.execute("UPDATE policies SET title = concat(title, ' (of others)')")
        database.execute("UPDATE policies SET model = 'Qwen2.5-7B-Instruct-AWQ', policy = policy")
        database.execute("DELETE FROM curve_points")
        database.execute("DELETE FROM choices")
        database.execute(
            "INSERT INTO pretraining BY NAME (SELECT 'Qwen2.5-7B-Instruct' AS model,"
            " 7e9 AS parameters, 18e12 AS training_tokens"
            " WHERE 'Qwen2.5-7B-Instruct' NOT IN (SELECT model FROM pretraining))"
        )
    rows = [
        row for row in records(tabulate("table_4", path)) if row["model"].endswith("(of others)")
    ]
    assert rows
    for row in rows:
        assert float(row["pretraining_flops"]) == pytest.approx(6 * 7e9 * 18e12)
        assert row["method"] == "not run"
        assert "not run: budget_samples, problems, inference_flops" in row["note"]


def test_table_4_knows_the_training_of_the_models_that_were_trained_here() -> None:
    root = Path(__file__).parents[2]
    with (root / "data/published/pretraining.csv").open(encoding="utf-8") as stream:
        trained = {row["model"]: row for row in csv.DictReader(stream)}
    recipes = {
        file.parent.name: json.loads(file.read_bytes())
        for file in root.glob("data/models/micro-*/recipe.json")
    }
    policies = {name: it for name, it in recipes.items() if name in trained}
    assert len(policies) == 6
    for name, it in policies.items():
        recipe = it["recipe"]
        texts = sum(
            run["steps"] * run["batch_size"] for run in (recipe["optimisation"], *recipe["more"])
        )
        assert f"{texts:,} texts" in trained[name]["source"]
        assert int(trained[name]["parameters"]) == it["measured"]["n_parameters"]
        # Chains of 2 to 10 operations, with their prompts.
        assert 100 < float(trained[name]["training_tokens"]) / texts < 200


def test_printed_rows_are_recounted_with_prm_and_active_parameters(database: Path) -> None:
    row = next(r for r in records(tabulate("table_4", database)) if r["model"] == "DeepSeek-R1†")
    assert float(row["pretraining_flops_printed"]) == 5.96e25
    assert float(row["pretraining_active_flops"]) == pytest.approx(6 * 37e9 * 14.8e12)
    assert "2.22e17" in tabulate("table_4", database).markdown()


def test_no_prm_is_counted_where_the_paper_used_none(database: Path, tmp_path: Path) -> None:
    of_paper = with_the_papers_numbers(Path(shutil.copy(database, tmp_path)))
    rows = {row["model"]: row for row in records(tabulate("table_4", of_paper))}
    distilled, llama = rows["DeepSeek-R1-Distill-7B†"], rows["Llama-3.2-3B-Inst.†"]
    assert (distilled["prm"], llama["prm"]) == ("none", "not printed")
    assert distilled["inference_with_prm_flops"] == distilled["inference_flops_printed"]
    assert float(llama["inference_with_prm_flops"]) == pytest.approx(3.07e17 * (1 + 7 / 3))


def test_what_only_the_paper_ran_stands_below(database: Path) -> None:
    rows = records(tabulate("table_3", database))
    gpt = next(row for row in rows if row["model"] == "GPT-4o†")
    assert gpt["math500_percent_printed"] == "74.6"
    assert gpt["aime24_percent"] == ""
    assert gpt["note"].startswith("not printed: parameters, ")
    llama = [row for row in rows if row["model"] == "Llama-3.2-3B-Instruct"]
    assert [row["method"] for row in llama] == [
        "CoT", "compute-optimal TTS", "compute-optimal TTS, cross-fitted",
    ]  # fmt: skip
    assert [row["math500_percent_printed"] for row in llama] == [
        "", "75.6", "",
    ]  # fmt: skip
    both = [float(llama[1][f"{name}_percent"]) for name in ("math500", "aime24")]
    assert float(llama[1]["Avg_percent"]) == pytest.approx(sum(both) / 2)


# --- comparison with printed numbers ------------------------------------------------------------


def test_what_is_of_another_n_prm_or_other_problems_is_not_compared() -> None:
    assert unlike(500, 500, 256, "Skywork-PRM-7B or Qwen2.5-Math-PRM-7B") == unlike(30, 30) == ""
    assert unlike(74, 500) == "on 500 problems, not 74"
    assert unlike(500, 500, 16, "My-PRM") == "at N = 256, not 16, with PRMs of its own"
    cell = Compared(Estimate(50, 40, 60), Printed(55), unlike(74, 500))
    assert cell.difference is cell.inside is None
    table = Table("t", [Column("m", "m"), Column("x", "x", "compared")], [["model", cell]])
    assert "55.0 (on 500 problems, not 74)" in table.html()
    assert table.csv().splitlines()[1].split(",", 7)[4:] == [
        "55", "", "not comparable", '"on 500 problems, not 74: x_printed"',
    ]  # fmt: skip


@given(st.floats(0.001, 100), st.floats(-1e-14, 1e-14))
def test_what_rounding_leaves_of_a_difference_is_written_as_0(end: float, rest: float) -> None:
    column = Column("gain", "Gain (points)", "estimate")
    for estimate in (Estimate(rest * end, -end, end), Estimate(end, rest * end, 2 * end)):
        table = Table("t", [column], [[estimate]])
        (row,) = csv.DictReader(io.StringIO(table.csv()))
        written = [row["gain"], row["gain_low"], row["gain_high"]]
        true = (estimate.value, estimate.low, estimate.high)
        assert written == ["0" if one == rest * end else f"{one:.10g}" for one in true]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("26.0", Printed(26.0)),
        (">256.0", Printed(256.0, ">")),
        ("< 3", Printed(3.0, "<")),
        ("about 2", None),
        ("100-1000", None),
    ],
)
def test_printed_numbers_are_read(text: str, expected: Printed | None) -> None:
    assert Printed.parse(text) == expected


@pytest.mark.parametrize(
    ("estimate", "printed", "inside"),
    [
        (Estimate(50, 40, 60), Printed(60), True),
        (Estimate(50, 40, 60), Printed(60.1), False),
        (Estimate(50, 40, 60), Printed(39), False),
        (Estimate(50, 40, 60), Printed(64, ">"), False),
        (Estimate(50, 40, 70), Printed(64, ">"), True),
        (Estimate(64, 40, 64, ">", "=", ">"), Printed(64, ">"), True),
        (Estimate(64, 40, 64, ">", "=", ">"), Printed(300), True),
        (Estimate(0.5, 0.2, 3, "<", "<"), Printed(0.1), True),
        (Estimate(50), Printed(50), None),
        (None, Printed(50), None),
        (Estimate(50, 40, 60), None, None),
    ],
)
def test_an_interval_admits_a_printed_value(
    estimate: Estimate | None, printed: Printed | None, inside: bool | None
) -> None:
    assert Compared(estimate, printed).inside is inside


# --- text ---------------------------------------------------------------------------------------


@given(st.text(max_size=60))
def test_markdown_text_is_inert(text: str) -> None:
    escaped = escape_markdown(text)
    assert not set(escaped) & set("|<>`*[]{}$~^\\\n\r\x00")
    # An underscore that stays stands within a word, where it is no mark.
    assert not re.search(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", escaped)
    assert re.fullmatch(r"(?:[^&#]|&#\d+;)*", escaped)


@given(st.text(max_size=60))
def test_latex_text_is_inert(text: str) -> None:
    escaped = escape_latex(text)
    bare = re.sub(
        r"\\(?:text[a-z]+\{(?:\\dag)?\}|ldots\{\}|[&%$#_{}])|\$\\(?:times|geq|pm|infty)\$|\$-\$|^\{\}",
        "",
        escaped,
    )
    assert not set(bare) & set("\\{}$&#%_~^<>|\n\r\x00")
    assert not escaped.startswith(("[", "*"))


def test_latex_sets_every_sign_that_is_written_here() -> None:
    """Of infinity it had none, and LaTeX stops at what it does not know."""
    column = Column("gain", "Gain ≥ 2 ±", "estimate", suffix="×", bounds=True)
    rows = [[Estimate(math.inf, -1.5, math.inf)], [NOT_APPLICABLE], [Printed(3.0, ">")]]
    assert Table("a", [column], rows, ["− … †"]).latex().isascii()


@given(st.lists(st.text(max_size=20), min_size=2, max_size=2))
def test_a_row_keeps_its_cells(cells: list[str]) -> None:
    table = Table("t", [Column("a", "A"), Column("b", "B")], [cells])
    assert table.markdown().splitlines()[4].count("|") == 3
    (_, row) = csv.reader(io.StringIO(table.csv()))
    assert len(row) == 2
    line = table.latex().splitlines()[7]
    assert len(re.findall(r"(?<!\\)&", line)) == 1
    assert line.endswith(r" \\")


def test_hostile_names_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    study = SyntheticStudy(
        tasks=(("t", HOSTILE, 6),),
        policies=(("p", HOSTILE, "f", 10**9),),
        prms=(("r", HOSTILE, "f", 10**9),),
        budgets=(4,),
        rollouts=tuple(replace(rollouts, model=HOSTILE) for rollouts in ROLLOUTS),
    )
    path = study.write(tmp_path / "s.duckdb")
    written = {
        name: {suffix: tmp_path / f"{name}.{suffix}" for suffix in ("csv", "md", "tex")}
        for name in TABLES
    }
    with opened(path):
        for name, outputs in written.items():
            write_table(name, path, outputs)
    for name, outputs in written.items():
        markdown, latex = outputs["md"].read_text(), outputs["tex"].read_text()
        assert "<script" not in markdown
        assert r"\input" not in "\n".join(latex.splitlines()[2:])
        if item_named(name).scale == "study" and name not in NEITHER_RUN_NOR_CHECKED:
            assert "script" in markdown
            assert r"textbackslash{}input\{" in latex
        assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
        for text in (markdown, latex, outputs["csv"].read_text()):
            assert not set("\x00\u202e") & set(text)
        body = [line for line in markdown.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in body}) == 1


def test_long_tables_break_over_pages() -> None:
    rows = [[str(i)] for i in range(60)]
    assert r"\begin{longtable}" in Table("t", [Column("a", "A")], rows).latex()
    assert r"\begin{tabular}" in Table("t", [Column("a", "A")], rows[:3]).latex()


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.4278, 0.00177, 0.8803), "0.4 [0.002, 0.9]"),
        (Estimate(0.4, -0.02, 1.6), "0.4 [−0.02, 1.6]"),
        (Estimate(-0.8, -1.6, -0.04), "−0.8 [−1.6, −0.04]"),
        (Estimate(0.03, 0.012, 0.26), "0.03 [0.01, 0.3]"),
        # The number itself may be of either sign here, and says no more than its interval.
        (Estimate(0.002, -0.6, 0.6), "0.0 [−0.6, 0.6]"),
        (Estimate(0.5, 0.0, 1.0), "0.5 [0.0, 1.0]"),
        (Estimate(0.5, 1e-17, 1.0), "0.5 [0.0, 1.0]"),
    ],
)
def test_on_which_side_of_0_an_interval_ends_can_be_seen(estimate: Estimate, text: str) -> None:
    table = Table("A", [Column("x_points", "x", "estimate")], [[estimate]])
    assert f"| {text} |" in table.markdown()


@given(st.floats(1e-8, 1e4), st.floats(1e-8, 1e4), st.sampled_from([(-1, 1), (-1, -1), (1, 1)]))
def test_ends_are_on_the_side_of_0_that_they_are_written_on(
    one: float, other: float, signs: tuple[int, int]
) -> None:
    low, high = sorted((signs[0] * one, signs[1] * other))
    estimate = Estimate((low + high) / 2, low, high)
    table = Table("A", [Column("x_points", "x", "estimate")], [[estimate]])
    for text in (table.markdown(), signed_interval(estimate.value, low, high)):
        match = re.search(r"\[([^,]\S*), (\S+)\]", text)
        assert match is not None
        written = [float(end.replace(",", "").replace("−", "-")) for end in match.groups()]
        assert [math.copysign(1, end) for end in written if end] == [
            math.copysign(1, low), math.copysign(1, high)
        ]  # fmt: skip


def test_on_which_side_of_a_margin_an_interval_ends_can_be_seen() -> None:
    assert signed_interval(-1.9, -2.7, -1.04, -1, 1) == "−1.9 [−2.7, −1.04]"
    assert signed_interval(-1.9, -2.7, -1.0, -1, 1) == "−1.9 [−2.7, −1.0]"
    assert signed_interval(0.3, -0.96, 0.98, -1, 1) == "+0.3 [−0.96, +0.98]"
    assert signed_interval(0.04, 0.02, 2.5) == "+0.04 [+0.02, +2.5]"
    assert signed_interval(-0.003, -0.6, 0.0) == "0.0 [−0.6, 0.0]"
    assert (signed(-0.04, 0.0), signed(1e-12, 0.0), signed(-0.04)) == ("−0.04", "0.0", "0.0")


@given(st.integers(0, 400), st.permutations(range(8)), st.sampled_from((0, 1, 2)))
def test_a_number_is_written_the_same_however_it_was_added_up(
    k: int, order: list[int], digits: int
) -> None:
    """In eight parts, in any order, by the compensated sum of newer Pythons or not."""
    parts = [k / 400 * (i + 1) / 36 for i in range(8)]
    exact = math.fsum(parts)
    plain = 0.0
    for i in order:
        plain += parts[i]
    column = Column("x_percent", "x", "number", digits)
    texts = {Table("t", [column], [[100 * value]]).markdown() for value in (exact, plain, k / 400)}
    assert len(texts) == 1
    assert f"| {fixed(k / 4, digits)} |" in texts.pop()


def test_of_two_equally_near_numbers_the_one_further_from_0_is_written() -> None:
    halves = (83.25, 84.75, 84.75 - 1e-13, 0.05, 2.25, -83.25, -0.04)
    assert [fixed(value) for value in halves] == [
        "83.3", "84.8", "84.8", "0.1", "2.3", "-83.3", "0.0"
    ]  # fmt: skip
    assert (fixed(0.5, 0), fixed(1.5, 0), fixed(2.5, 0)) == ("1", "2", "3")
    assert (fixed(math.inf), fixed(1e30, 0)) == ("inf", f"{1e30:.0f}")


def test_a_p_value_shows_on_which_side_of_the_level_it_is() -> None:
    shown = [p_text(p, 0.05) for p in (0.04996, 0.0499, 0.05, 0.0501, 0.042, 1.4e-7, 1.0)]
    assert shown == ["0.04996", "0.0499", "0.05", "0.05", "0.042", "1.4e-07", "1"]
    assert p_text(0.0999, 0.1) == "0.0999"


def test_numbers_are_written_for_people_and_for_machines() -> None:
    columns = [Column("x_percent", "x", "estimate"), Column("n", "n", "number", digits=0)]
    table = Table("t", columns, [[Estimate(-1234.56, -2000, math.inf), 12345]])
    assert "| −1,234.6 [−2,000.0, ∞] | 12,345 |" in table.markdown()
    assert table.csv().splitlines()[1] == "-1234.56,-2000,inf,12345,"


def test_files_are_the_same_bytes_again(
    database: Path, tables: dict[str, Table], tmp_path: Path
) -> None:
    with opened(database):
        for name, table in tables.items():
            outputs = {suffix: tmp_path / f"{name}.{suffix}" for suffix in ("csv", "md", "tex")}
            write_table(name, database, outputs)
            contents = [outputs[suffix].read_bytes() for suffix in ("csv", "md", "tex")]
            made = table.csv(), table.markdown(), table.latex()
            assert contents == [text.encode() for text in made]


def test_wrong_requests_are_explained(database: Path) -> None:
    with pytest.raises(StudyError, match="is a figure"):
        tabulate("figure_4", database)
    with pytest.raises(StudyError, match="no figure or table"):
        tabulate("table_99", database)
    with pytest.raises(StudyError, match="no task called"):
        tabulate("table_5", database, task="absent")
    with pytest.raises(StudyError, match="unknown format"):
        write_table("table_5", database, {"xlsx": Path("x.xlsx")})


def test_table_3_gives_a_policys_larger_budget_a_line_beside_what_is_printed_for_it() -> None:
    policy = {
        "task": "math500", "task_title": "MATH-500", "task_rank": 1, "policy": "small",
        "policy_title": "Llama-3.2-1B-Instruct", "family": "Llama", "n_parameters": 1.2e9,
        "series": "in_sample", "prm_title": "Skywork-PRM-7B", "ci_low": 0.5, "ci_high": 0.9,
        "n_problems": 500, "n_problems_of_task": 500,
    }  # fmt: skip
    printed = {
        "task": "math500", "task_title": "MATH-500", "policy": "small", "series": "printed",
        "method": "compute-optimal TTS", "printed_prm": None,
    }  # fmt: skip
    table = against_large_models(
        [
            policy | {"budget": 256, "accuracy": 0.6, "is_beyond": False},
            policy | {"budget": 512, "accuracy": 0.7, "is_beyond": True},
            printed | {"model": "1B", "printed_budget": None, "printed": "66.2", "printed_rank": 1},
            printed
            | {"model": "1B (N=512)", "printed_budget": 512, "printed": "72.2", "printed_rank": 2},
        ],
        "Table 3",
    )
    names = [column.name for column in table.columns]
    n, shown = names.index("budget_samples"), names.index("math500_percent")
    shown_at = {row[n]: row[shown] for row in table.rows}
    assert set(shown_at) == {256, 512}
    for budget, value, paper in ((256, 60.0, 66.2), (512, 70.0, 72.2)):
        cell = shown_at[budget]
        assert isinstance(cell, Compared)
        assert cell.estimate is not None
        assert cell.printed is not None
        assert cell.estimate.value == pytest.approx(value)
        assert cell.printed.value == paper


def test_what_the_papers_own_lines_name_is_shown_as_printed(tmp_path: Path) -> None:
    """Sizes, N = 512 and "72B PRM" stand in the very names beside which there was "not printed"."""
    path = SyntheticStudy(policies=POLICIES[-1:], prms=PRMS[:1], budgets=(4,)).write(tmp_path / "s")
    with_the_papers_numbers(path)
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")][:5]
        for name in ("table_3", "table_6")
        for line in tabulate(name, path).markdown().splitlines()
        if "†" in line
    ]
    tts, none, unsaid = "compute-optimal TTS", "none", "not printed"
    for expected in (
        ["GPT-4o†", unsaid, "CoT", none, "1"],
        ["Llama-3.1-405B-Inst.†", "405B†", "CoT", none, "1"],
        ["DeepSeek-R1†", "671B†", "CoT", none, "1"],
        ["Llama-3.2-1B-Inst.†", "1B†", tts, unsaid, unsaid],
        ["Llama-3.2-1B-Inst. (N=512)†", "1B†", tts, unsaid, "512†"],
        # By majority voting, as Table 4 has it too.
        ["DeepSeek-R1-Distill-Qwen-7B†", "7B†", tts, none, unsaid],
        ["DeepSeek-R1-Distill-Qwen-7B†", "7B†", "CoT", none, "1"],
        ["Qwen2.5-7B-Inst. w/ 7B PRM (Ours)†", "7B†", tts, "7B PRM†", unsaid],
        ["Qwen2.5-7B-Inst. w/ 72B PRM (Ours)†", "7B†", tts, "72B PRM†", unsaid],
    ):
        assert expected in lines


def test_a_size_that_nobody_says_is_unknown_and_not_waiting_to_be_run(tmp_path: Path) -> None:
    """Of GPT-4o and others there was a "not run" where sizes stand."""
    columns = [
        Column("parameters", "Size", "number", form="parameters"),
        Column("n", "N", "number"),
    ]
    table = Table("a", columns, [[None, None], [1_240_000_000, 4]])
    assert "| unknown | not run |" in table.markdown()
    assert "unknown & not run" in table.latex()
    (closed, _) = csv.DictReader(io.StringIO(table.csv()))
    assert closed == {"parameters": "", "n": "", "note": "unknown: parameters; not run: n"}
    assert "| not run | not run |" in Table("a", columns, []).markdown()
    study = SyntheticStudy(policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,), rollouts=ROLLOUTS)
    path = study.write(tmp_path / "s.duckdb")
    with duckdb.connect(str(path)) as database:
        database.execute("UPDATE policies SET n_parameters = NULL")
    for item in ITEMS:
        shown = tabulate(item.name, path) if item.table else None
        for place, column in enumerate(shown.columns if shown and shown.rows else ()):
            if column.form == "parameters":
                lines = [x for x in shown.markdown().splitlines()[4:] if x.startswith("|")]
                texts = [line.split(" | ")[place] for line in lines]
                assert not any("not run" in text for text in texts), item.name
