"""What cells and methods cost, from what each unit did."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from default_study import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_study import POLICIES, PRMS, TASKS, SyntheticStudy, fill_frames

from compute_optimal.analyse.database import DERIVED, LEDGER, TABLES
from compute_optimal.analyse.descriptions import FORMAT
from compute_optimal.analyse.statements import SQL_FOLDER, statement
from compute_optimal.present.query import run_query
from compute_optimal.store.columns import Column, Columns
from compute_optimal.store.schemas import COUNTS, SECONDS

RUNS = (
    # method, PRM, budget, of a unit, n_units, seconds, generated, prompt computed, PRM computed
    ("majority", None, None, 1, 400, 20.0, 8000, 400, 0),
    ("majority", None, None, 1, 240, 12.0, 4800, 880, 0),
    ("best_of_n", "r", None, 1, 640, 64.0, 0, 0, 64000),
    ("beam_search", "r", 4, 4, 10, 20.0, 4000, 40, 8000),
    ("beam_search", "r", 16, 16, 10, 40.0, 32000, 40, 48000),
    ("dvts", "r", None, 4, 30, 60.0, 12000, 30, 24000),
    ("dvts", "r", None, 4, 10, 20.0, 4000, 10, 8000),
)
COLUMNS = (
    "method", "prm", "budget", "unit_budget", "n_units", "seconds", "generated_tokens",
    "prompt_tokens_computed", "prm_tokens_computed",
)  # fmt: skip


def ask(query: str, runs: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The answer of a database that holds what runs spent."""
    zeros = dict.fromkeys((*COUNTS, *SECONDS), 0)
    whole = [{"task": "t", "policy": "p", **zeros, **run} for run in runs]
    with duckdb.connect() as database:
        fill_frames(database, {"ledger": pl.DataFrame(whole, schema=LEDGER)})
        return database.execute(query).fetchall()


@functools.cache
def empty_database() -> duckdb.DuckDBPyConnection:
    """All that a database has, without rows: one for all examples of a property."""
    database = duckdb.connect()
    fill_frames(database, {})
    return database


def ask_again(query: str, runs: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """As ``ask``, but of all that the product makes of runs only what follows from the ledger is
    made anew: the other tables and all descriptions take a hundred times as long."""
    zeros = dict.fromkeys((*COUNTS, *SECONDS), 0)
    whole = [{"task": "t", "policy": "p", **zeros, **run} for run in runs]
    derived = [file for file, origin in DERIVED.items() if origin in ("ledger", "bucket_costs")]
    database = empty_database()
    database.begin()
    try:
        with tempfile.TemporaryDirectory() as folder:
            pl.DataFrame(whole, schema=LEDGER).write_parquet(f"{folder}/ledger.parquet")
            database.read_parquet(f"{folder}/ledger.parquet").insert_into("ledger")
        for file in reversed(derived):
            made = re.search(r"^CREATE (TABLE|VIEW) (\w+)", statement(file), re.MULTILINE)
            assert made
            database.execute(f"DROP {made[1]} {made[2]}")
        for file in derived:
            database.execute(statement(file))
        return database.execute(query).fetchall()
    finally:
        database.rollback()


def unit_costs(
    runs: list[dict[str, Any]], asking: Callable[..., list[tuple[Any, ...]]] = ask
) -> dict[tuple[str, str, int | None], tuple[float, ...]]:
    """Seconds, generated tokens and computed PRM tokens by method, PRM and budget."""
    columns = "method, prm, budget, seconds, generated_tokens, prm_tokens_computed"
    rows = asking(f"SELECT {columns} FROM unit_costs", runs)
    return {(method, prm, budget): tuple(rest) for method, prm, budget, *rest in rows}


def test_rates_are_per_problem_and_unit_of_budget() -> None:
    rates_of = unit_costs([dict(zip(COLUMNS, run, strict=True)) for run in RUNS])
    rates = {(method, budget): costs for (method, _, budget), costs in rates_of.items()}
    # A sample is 20 tokens; scoring one reads 100 more.
    assert rates["majority", None] == pytest.approx((0.05, 20, 0))
    assert rates["best_of_n", None] == pytest.approx((0.15, 20, 100))
    # Searches: per problem and N. Those of beam search hold at their own budget only.
    assert rates["beam_search", 4] == pytest.approx((0.5, 100, 200))
    assert rates["beam_search", 16] == pytest.approx((0.25, 200, 300))
    assert rates["dvts", None] == pytest.approx((0.5, 100, 200))


def test_a_cell_that_shared_its_tokens_is_not_faster_than_it_would_be_on_its_own() -> None:
    cell = {"method": "dvts", "unit_budget": 4, "n_units": 10}
    counts = {"generated_tokens": 4000, "prm_tokens_computed": 8000}
    cells = [
        # 0.01 s a generated token, 0.0025 s a token that the first PRM read, 0.005 the second.
        # A twentieth of both went by beside the engines.
        {**cell, **counts, "prm": "first", "seconds": 63.0, "policy_seconds": 40.0,
         "prm_seconds": 20.0},
        {**cell, **counts, "prm": "second", "seconds": 21.84, "policy_seconds": 0.8,
         "prm_seconds": 20.0, "shared_tokens": 3920, "prm_tokens_shared": 4000},
        # All that it said others had said: a token takes what it took these.
        {**cell, **counts, "prm": "third", "seconds": 10.0, "prm_seconds": 9.0,
         "shared_tokens": 4000, "prm_tokens_shared": 4000},
        {**cell, **counts, "prm": "fourth", "seconds": 1.0, "prm_seconds": 0.5,
         "shared_tokens": 4000, "prm_tokens_shared": 8000},
    ]  # fmt: skip
    costs = unit_costs(cells)
    assert costs["dvts", "first", None] == pytest.approx((63 / 40, 100, 200))
    rest = 1.04 * 12000 / 4080
    assert costs["dvts", "second", None] == pytest.approx(((40 + 40 + rest) / 40, 100, 200))
    assert costs["dvts", "third", None] == pytest.approx(((40 + 18 + 3) / 40, 100, 200))
    assert costs["dvts", "fourth", None] == (None, 100, 200)
    # Equal samples were read once, which took no policy.
    scored = {"method": "best_of_n", "prm": "r", "unit_budget": 1, "n_units": 10}
    read = {"prm_tokens_computed": 1000, "prm_tokens_shared": 500}
    sampled = {"method": "majority", "unit_budget": 1, "n_units": 10, "seconds": 1.0}
    alone = unit_costs([{**scored, **read, "seconds": 6.0, "prm_seconds": 5.0}, sampled])
    assert alone["best_of_n", "r", None][0] == pytest.approx((12.0 + 1.0) / 10)
    # Without those who drew, it is not known; a few tokens say nothing of what many take.
    assert unit_costs(cells[:1])["dvts", "first", None] == costs["dvts", "first", None]
    for one in cells[1:]:
        assert unit_costs([one])["dvts", one["prm"], None] == (None, 100, 200)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5), st.data())
def test_what_shared_costs_what_alone_would(drawn: list[int], data: st.DataObject) -> None:
    """Of cells whose engines take the same time for each token, whoever drew it."""
    cells = []
    for number, own in enumerate(drawn):
        generated = data.draw(st.integers(max(own, 1), 2000))
        read = data.draw(st.integers(1, 5000))
        scored = data.draw(st.integers(read, 9000))
        cells.append(
            {"method": "beam_search", "budget": 4, "unit_budget": 4, "n_units": 1,
             "prm": f"prm {number}", "generated_tokens": generated,
             "shared_tokens": generated - own, "prm_tokens_computed": scored,
             "prm_tokens_shared": scored - read, "policy_seconds": 0.01 * own,
             "prm_seconds": 0.002 * read, "seconds": 0.011 * own + 0.003 * read}
        )  # fmt: skip
    costs = unit_costs(cells, ask_again)
    for cell in cells:
        seconds = costs["beam_search", cell["prm"], 4][0]
        if 10 * sum(drawn) < cell["generated_tokens"]:
            assert seconds is None
        elif seconds is not None:
            expected = 0.011 * cell["generated_tokens"] + 0.003 * cell["prm_tokens_computed"]
            assert seconds * 4 == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=5), st.data())
def test_the_policy_reads_as_much_of_its_prompts_whoever_drew_first(
    drawn: list[int], data: st.DataObject
) -> None:
    """Draws that others had made are asked for with prompts, too: these count as cached where it
    was spent, and are computed where a method is on its own."""
    cells, prompts = [], 3000
    for number, own in enumerate(drawn):
        generated = data.draw(st.integers(max(own, 1), 2000))
        cells.append(
            {"method": "dvts", "unit_budget": 4, "n_units": 1, "prm": f"prm {number}",
             "generated_tokens": generated, "shared_tokens": generated - own,
             "prompt_tokens_computed": own, "prompt_tokens_cached": prompts - own}
        )  # fmt: skip
    columns = "prm, 4 * prompt_tokens_computed, 4 * prompt_tokens_cached"
    costs = {
        prm: (computed, cached)
        for prm, computed, cached in ask_again(f"SELECT {columns} FROM unit_costs", cells)
    }
    for cell in cells:
        generated = cell["generated_tokens"]
        if 10 * sum(drawn) >= generated:
            expected = (generated, prompts - generated)
            assert costs[cell["prm"]] == pytest.approx(expected)
        else:
            assert costs[cell["prm"]] == (None, None)


def test_what_is_made_anew_for_a_ledger_is_what_the_product_makes() -> None:
    runs = [dict(zip(COLUMNS, run, strict=True)) for run in RUNS]
    assert unit_costs(runs, ask_again) == unit_costs(runs) != unit_costs(runs[2:], ask_again)


def test_what_difficulty_costs_is_what_its_problems_cost() -> None:
    """Whatever other problems take; together the buckets make up the cell."""
    cells = [
        # of an easy and of a hard problem: generated, PRM computed, seconds of engines
        {"method": "majority", "of": ((100, 0, 1.0), (300, 0, 3.0))},
        {"method": "best_of_n", "prm": "r", "of": ((0, 50, 2.0), (0, 150, 8.0))},
        {"method": "dvts", "prm": "r", "of": ((200, 80, 4.0), (400, 320, 8.0)),
         "shared": 300, "prm_shared": 200},
    ]  # fmt: skip
    names = ("generated_tokens", "prm_tokens_computed", "seconds")
    zeros = dict.fromkeys((*COUNTS, *SECONDS), 0)
    ledger, by_problem = [], []
    for cell in cells:
        key = {"task": "t", "policy": "p", "prm": cell.get("prm"), "method": cell["method"]}
        key |= {"unit_budget": 4 if cell["method"] == "dvts" else 1}
        totals = dict(zip(names, map(sum, zip(*cell["of"], strict=True)), strict=True))
        shared = {"shared_tokens": cell.get("shared", 0)}
        shared |= {"prm_tokens_shared": cell.get("prm_shared", 0)}
        engines = {"policy_seconds": totals["seconds"] / 2, "prm_seconds": totals["seconds"] / 4}
        ledger.append({**zeros, **key, **totals, **shared, **engines, "n_units": 4})
        by_problem += [
            {
                **zeros,
                **key,
                **dict(zip(names, of, strict=True)),
                "problem_hash": name,
                "n_units": 2,
            }
            for name, of in zip("eh", cell["of"], strict=True)
        ]
    facts = [{"task": "t", "problem_id": f"id {name}", "problem_hash": name} for name in "eh"]
    rated = [
        {"task": "t", "policy": "p", "problem_id": f"id {name}", "pool": "x", "bucket_pool": "x",
         "bucket": bucket}
        for name, bucket in (("e", "easy"), ("h", "hard"))
    ]  # fmt: skip
    points = [
        {"task": "t", "policy": "p", "prm": cell.get("prm"), "method": cell["method"],
         "bucket": bucket, "budget": 8}
        for cell in cells
        for bucket in ("all", "easy", "hard")
    ]  # fmt: skip
    filled = {"ledger": ledger, "problem_costs": by_problem, "problems": facts, "rated": rated}
    filled["curve_points"] = points
    with duckdb.connect() as database:
        fill_frames(
            database, {name: pl.DataFrame(rows, TABLES[name]) for name, rows in filled.items()}
        )
        rows = database.execute(
            "SELECT method, bucket, prm_tokens, seconds FROM curves ORDER BY ALL"
        ).fetchall()
    costs = {(method, bucket): tuple(rest) for method, bucket, *rest in rows}
    # A budget of 8 is four times the two samples of a problem, and two subtrees of DVTS make it up.
    assert costs["best_of_n", "easy"] == pytest.approx((4 * 50, 4 * (1.0 + 2.0)))
    assert costs["best_of_n", "hard"] == pytest.approx((4 * 150, 4 * (3.0 + 8.0)))
    assert costs["dvts", "easy"][0] == pytest.approx(80)
    assert costs["dvts", "hard"][0] == pytest.approx(320)
    for method in ("best_of_n", "dvts"):
        of_all, *of_buckets = (costs[method, bucket] for bucket in ("all", "easy", "hard"))
        assert np.mean(of_buckets, axis=0) == pytest.approx(of_all)


def test_costs_of_a_cell_add_up_over_runs() -> None:
    counts = dict.fromkeys(COUNTS, 1)
    sampled = {**counts, "method": "cot", "kind": "samples", "n_units": 8, "seconds": 5.0}
    searched = {**sampled, "prm": "r", "method": "beam_search", "kind": "searches", "budget": 4}
    searched |= {"policy_seconds": 3.0, "prm_seconds": 1.0}
    rows = ask(
        "SELECT method, budget, n_units, generated_tokens, seconds, policy_seconds, prm_seconds"
        " FROM cell_costs ORDER BY ALL",
        [
            {**sampled, "run": "1", "generated_tokens": 10},
            {**sampled, "run": "2", "generated_tokens": 20, "policy_seconds": 4.0},
            {**searched, "run": "1"},
            {**searched, "run": "2"},
            {**searched, "budget": 8},
        ],
    )
    assert rows == [
        ("beam_search", 4, 16, 2, 10.0, 6.0, 2.0),
        ("beam_search", 8, 8, 1, 5.0, 3.0, 1.0),
        ("cot", None, 16, 30, 10.0, 4.0, 0.0),
    ]


def test_without_checkable_steps_their_tables_are_empty_and_can_be_asked(tmp_path: Path) -> None:
    study = SyntheticStudy(tasks=TASKS[1:], policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,))
    path = study.write(tmp_path / "study.duckdb")
    measured = {"pruning": "n_pruned", "prm_cases": "score", "prm_failures": "value"}
    for query, column in measured.items():
        rows = run_query(query, path, {"task": TASKS[1][0]})
        assert all(row[column] is None for row in rows)


def described(path: Path) -> tuple[dict[str, str | None], dict[tuple[str, str], str | None]]:
    """What a reader finds about tables and columns, in a session of its own."""
    with duckdb.connect(str(path), read_only=True) as database:
        tables = database.execute(
            "SELECT table_name, comment FROM duckdb_tables() WHERE NOT internal"
            " UNION ALL SELECT view_name, comment FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        columns = database.execute(
            "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
    return dict(tables), {(table, column): text for table, column, text in columns}


def test_every_table_view_and_column_says_what_it_is(small: Path) -> None:
    tables, columns = described(small)
    assert set(tables) == {*TABLES, *(Path(file).stem for file in DERIVED)}
    silent = [*(name for name, text in tables.items() if not text)]
    silent += [".".join(name) for name, text in columns.items() if not text]
    assert silent == [], "say it where the column is defined, or beside the view in sql/database"
    # The unit of a quantity that a name does not give away.
    for (table, column), text in columns.items():
        assert text is not None
        words = {"ci_low": "settings.confidence", "seconds": "second", "accuracy": "0 to 1"}
        if table != "prm_ability" and column in words:
            assert words[column] in text, f"{table}.{column}: {text}"
    # What a method would take on its own is not measured where others had computed for it.
    for table in ("unit_costs", "bucket_costs", "curves"):
        assert "shared" in (columns[table, "seconds"] or "")
    for table in ("ledger", "cell_costs", "problem_costs"):
        assert "shared" not in (columns[table, "seconds"] or "")
    # Descriptions of a view are those of what it shows.
    assert columns["curves", "tokens"] == columns["curve_points", "tokens"]
    assert columns["search_paths", "path"] != columns["answers", "sample_index"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a study of one policy and one PRM."""
    study = SyntheticStudy(tasks=TASKS[1:], policies=POLICIES[:1], prms=PRMS[:1])
    return study.write(tmp_path_factory.mktemp("small") / "study.duckdb")


def test_the_recipes_of_readme_give_rows(small: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (recipes,) = re.findall(r"^```sql\n-- duckdb \S+\n(.*?)^```$", text, re.M | re.S)
    with duckdb.connect(str(small), read_only=True) as database:
        statements = database.extract_statements(recipes)
        assert len(statements) == 10
        for recipe in statements:
            assert database.execute(recipe).fetchall(), recipe.query


def test_main_curves_have_one_row_for_each_key(small: Path) -> None:
    with duckdb.connect(str(small), read_only=True) as database:
        keys = database.execute("SELECT task, policy, prm, method, budget FROM main_curves")
        key_rows = keys.fetchall()
        shown = database.execute(
            "SELECT DISTINCT task, policy, prm, method, budget FROM curves WHERE bucket = 'all'"
        )
        assert len(set(key_rows)) == len(key_rows)
        assert set(key_rows) == set(shown.fetchall())


def test_a_description_with_quotes_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "the problem's \"own\" number; $1 -- it's 100 %"
    hostile = Columns(text, {"task": Column(pl.String(), text)})
    monkeypatch.setitem(TABLES, "tasks", hostile)
    path = tmp_path / "study.duckdb"
    with duckdb.connect(str(path), config=FORMAT) as database:
        fill_frames(database, {})
    tables, columns = described(path)
    assert (tables["tasks"], columns["tasks", "task"]) == (text, text)


def test_derived_tables_are_the_files_of_their_folder() -> None:
    files = {f"database/{path.name}" for path in (SQL_FOLDER / "database").glob("*.sql")}
    assert files - set(DERIVED) == {"database/comments.sql", "database/inherited.sql"}
    assert set(DERIVED) <= files
    assert set(DERIVED.values()) <= {*TABLES, *(Path(file).stem for file in DERIVED)}


def test_a_cell_costs_all_that_a_unit_does() -> None:
    with duckdb.connect() as database:
        fill_frames(database, {})
        columns = {name for name, *_ in database.execute("DESCRIBE cell_costs").fetchall()}
    assert columns >= {*COUNTS, *SECONDS}


SPENT = """
import numpy as np, polars as pl
from pathlib import Path
from compute_optimal.analyse.database import _spent
from compute_optimal.store.schemas import COUNTS, ORIGIN, SECONDS
from compute_optimal.study.cells import Grid
from compute_optimal.study.config import load_study

study = load_study(Path("config/config.yaml"))
rng, n, cell = np.random.default_rng(0), 7_680, next(iter(Grid(study)))
costs = pl.DataFrame(
    {"run": "r", **dict.fromkeys(ORIGIN, "o"), "problem_hash": rng.integers(0, 30, n).astype(str)}
    | {name: rng.integers(0, 9, n) for name in COUNTS}
    | {name: rng.gamma(1, 0.01, n) for name in SECONDS}
)

class Stock:
    def costs(self, _):
        yield cell, costs

for table in _spent(study, Stock()).values():
    print(table.select(SECONDS).rows())
"""


def said_by(folder: Path, script: str, **environment: str) -> str:
    """What a Python of its own says to a script in a file: to one that is given as text, which it
    takes for a person's, DuckDB says how far a slow query is."""
    file = folder / "script.py"
    file.write_text(script)
    return subprocess.run(
        [sys.executable, file],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow")} | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_what_a_study_spent_is_the_same_to_the_bit_with_any_number_of_threads(
    tmp_path: Path,
) -> None:
    said = {said_by(tmp_path, SPENT, POLARS_MAX_THREADS=threads) for threads in ("1", "3", "7")}
    assert len(said) == 1
    assert len(said.pop()) > 1_000


MADE = """
import tempfile
import duckdb, numpy as np, polars as pl
from pathlib import Path
from compute_optimal.analyse.database import LEDGER, PROBLEM_COSTS, fill
from compute_optimal.analyse.statements import IN_ORDER
from compute_optimal.store.schemas import COUNTS, SECONDS

rng, n = np.random.default_rng(0), 500_000
numbers = {name: rng.integers(1, 9, n) for name in COUNTS}
numbers |= {name: rng.gamma(1, 0.01, n) for name in SECONDS}
cell = {
    "task": "t", "policy": rng.integers(0, 6, n).astype(str), "prm": None, "method": "dvts",
    "kind": "searches", "spec": "s", "budget": rng.integers(0, 100, n), "unit_budget": 1,
    "run": "r", "problem_hash": "h", "n_units": 1,
}
frame = pl.DataFrame({**cell, **numbers})
with tempfile.TemporaryDirectory() as folder, duckdb.connect(config=IN_ORDER) as database:
    paths = {}
    for name, columns in {"ledger": LEDGER, "problem_costs": PROBLEM_COSTS}.items():
        have = [pl.col(c) if c in frame.columns else pl.lit(None).alias(c) for c in columns]
        file = Path(folder) / f"{name}.parquet"
        frame.select(e.cast(k) for e, k in zip(have, columns.values())).write_parquet(
            file, row_group_size=50_000
        )
        paths[name] = [str(file)]
    fill(database, paths, Path(folder))
    for table in ("engine_rates", "bucket_costs"):
        print(database.execute(f"FROM {table} ORDER BY ALL").fetchall())
"""


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system keeps no process from a core"
)
def test_what_is_derived_is_the_same_to_the_bit_on_any_number_of_cores(tmp_path: Path) -> None:
    """Processors that a process may not use are none to it."""
    cores = sorted(os.sched_getaffinity(0))
    said = {
        said_by(tmp_path, f"import os; os.sched_setaffinity(0, {set(allowed)})\n{MADE}")
        for allowed in (cores[:1], cores)
    }
    assert len(said) == 1
    assert len(said.pop()) > 10_000
