"""What cells and methods cost, from what each unit did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from synthetic_study import POLICIES, PRMS, TASKS, SyntheticStudy

from compute_optimal.analyse.database import LEDGER, STEP_FILES, UNIT_COSTS, VIEWS
from compute_optimal.present.query import run_query
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
    types = {pl.String(): "VARCHAR", pl.Int64(): "BIGINT", pl.Float64(): "DOUBLE"}
    zeros = dict.fromkeys((*COUNTS, *SECONDS), 0)
    whole = [{"task": "t", "policy": "p", **zeros, **run} for run in runs]
    frame = pl.DataFrame(whole, schema=LEDGER)
    with duckdb.connect() as database:
        columns = ", ".join(f"{name} {types[kind]}" for name, kind in LEDGER.items())
        database.execute(f"CREATE TABLE ledger ({columns})")
        places = ", ".join("?" for _ in LEDGER)
        database.executemany(f"INSERT INTO ledger VALUES ({places})", frame.rows())
        database.execute(f"CREATE VIEW cell_costs AS {VIEWS['cell_costs']}")
        return database.execute(query).fetchall()


def unit_costs(runs: list[dict[str, Any]]) -> dict[tuple[str, str, int | None], tuple[float, ...]]:
    """Seconds, generated tokens and computed PRM tokens by method, PRM and budget."""
    columns = "method, prm, budget, seconds, generated_tokens, prm_tokens_computed"
    rows = ask(f"SELECT {columns} FROM ({UNIT_COSTS})", runs)
    return {(method, prm, budget): tuple(rest) for method, prm, budget, *rest in rows}


def test_rates_are_per_problem_and_unit_of_budget() -> None:
    found = unit_costs([dict(zip(COLUMNS, run, strict=True)) for run in RUNS])
    rates = {(method, budget): costs for (method, _, budget), costs in found.items()}
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
        # All that it said others had said: the rate of what it read is that of all.
        {**cell, **counts, "prm": "third", "seconds": 10.0, "prm_seconds": 9.0,
         "shared_tokens": 4000, "prm_tokens_shared": 4000},
        {**cell, **counts, "prm": "fourth", "seconds": 1.0, "prm_seconds": 0.5,
         "shared_tokens": 4000, "prm_tokens_shared": 8000},
    ]  # fmt: skip
    found = unit_costs(cells)
    assert found["dvts", "first", None] == pytest.approx((63 / 40, 100, 200))
    rest = 1.04 * 12000 / 4080
    assert found["dvts", "second", None] == pytest.approx(((40 + 40 + rest) / 40, 100, 200))
    assert found["dvts", "third", None] == pytest.approx((10.0 * 12000 / 4000 / 40, 100, 200))
    assert found["dvts", "fourth", None] == (None, 100, 200)
    # Equal samples were read once, which took no policy.
    scored = {"method": "best_of_n", "prm": "r", "unit_budget": 1, "n_units": 10}
    read = {"prm_tokens_computed": 1000, "prm_tokens_shared": 500}
    sampled = {"method": "majority", "unit_budget": 1, "n_units": 10, "seconds": 1.0}
    alone = unit_costs([{**scored, **read, "seconds": 6.0, "prm_seconds": 5.0}, sampled])
    assert alone["best_of_n", "r", None][0] == pytest.approx((12.0 + 1.0) / 10)
    # Which other cells a study asks about is all one.
    for one in cells:
        key = "dvts", one["prm"], None
        assert unit_costs([one])[key] == found[key]


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
    with duckdb.connect(str(path)) as database:
        for name, columns in STEP_FILES.items():
            pl.DataFrame(schema=columns).write_parquet(tmp_path / f"{name}.parquet")
            database.execute(
                f"CREATE TABLE {name} AS FROM read_parquet(?)", [str(tmp_path / f"{name}.parquet")]
            )
        ability = VIEWS["prm_ability"].split("UNION ALL")[0]
        database.execute(f"CREATE VIEW prm_ability AS {ability}")
    measured = {"pruning": "n_pruned", "prm_cases": "score", "prm_failures": "value"}
    for query, column in measured.items():
        rows = run_query(query, path, {"task": TASKS[1][0]})
        assert all(row[column] is None for row in rows)
