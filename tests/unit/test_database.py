"""What cells and methods cost, from the ledger of engine runs."""

from __future__ import annotations

from pathlib import Path

import duckdb
import polars as pl
import pytest
from synthetic_study import POLICIES, PRMS, TASKS, SyntheticStudy

from compute_optimal.charts.query import run_query
from compute_optimal.database import LEDGER, STEP_FILES, UNIT_COSTS, VIEWS

RUNS = (
    # method, prm, budget, n_units, n_problems, seconds, generated, prompt computed, PRM computed
    ("majority", None, None, 640, 10, 32.0, 6400, 640, 0),
    ("majority", None, None, 640, 10, 32.0, 6400, 640, 0),
    ("best_of_n", "r", None, 640, 10, 64.0, 0, 0, 64000),
    ("beam_search", "r", 4, 10, 10, 20.0, 4000, 40, 8000),
    ("beam_search", "r", 16, 40, 10, 40.0, 32000, 40, 48000),
    ("dvts", "r", 16, 40, 10, 80.0, 16000, 40, 32000),
)


def test_rates_are_per_problem_and_unit_of_budget() -> None:
    with duckdb.connect() as database:
        database.execute(
            "CREATE TABLE ledger AS SELECT 't' AS task, 'p' AS policy, method, prm, budget::BIGINT"
            " AS budget, n_units, n_problems, seconds, generated AS generated_tokens, 0 AS"
            " discarded_tokens, prompt AS prompt_tokens_computed, 0 AS prompt_tokens_cached, read"
            " AS prm_tokens_computed, 0 AS prm_tokens_cached FROM (VALUES "
            + ", ".join(str(row).replace("None", "NULL") for row in RUNS)
            + ") AS l (method, prm, budget, n_units, n_problems, seconds, generated, prompt, read)"
        )
        rows = database.execute(
            "SELECT method, budget, seconds, generated_tokens, prm_tokens_computed"
            f" FROM ({UNIT_COSTS})"
        ).fetchall()
    rates = {(method, budget): tuple(rest) for method, budget, *rest in rows}
    # 640 samples of 10 problems: a sample is 20 tokens; scoring one reads 100 more.
    assert rates["majority", None] == pytest.approx((0.1, 20, 0))
    assert rates["best_of_n", None] == pytest.approx((0.2, 20, 100))
    # Searches: per problem and N. Those of beam search hold at their own budget only.
    assert rates["beam_search", 4] == pytest.approx((0.5, 100, 200))
    assert rates["beam_search", 16] == pytest.approx((0.25, 200, 300))
    assert rates["dvts", None] == pytest.approx((0.5, 100, 200))


def test_costs_of_a_cell_add_up_over_runs_and_over_parts_that_lack_seconds_of_engines() -> None:
    counts = {name: 1 for name, kind in LEDGER.items() if kind == pl.Int64()}
    cell = {**counts, "task": "t", "policy": "p", "n_units": 8}
    sampled = {**cell, "method": "cot", "budget": None, "kind": "samples", "seconds": 5.0}
    searched = {**cell, "prm": "r", "method": "dvts", "budget": 4, "kind": "paths", "seconds": 5.0}
    measured = {"policy_seconds": 3.0, "prm_seconds": 1.0}
    ledger = pl.DataFrame(
        [
            {**sampled, "generated_tokens": 10},
            {**sampled, "generated_tokens": 20, "policy_seconds": 4.0, "prm_seconds": 0.0},
            {**searched, **measured},
            {**searched, **measured},
            {**searched, "budget": 8},
        ],
        schema=LEDGER,
    )
    with duckdb.connect() as database:
        places = ", ".join("?" for _ in LEDGER)
        types = {pl.String(): "VARCHAR", pl.Int64(): "BIGINT", pl.Float64(): "DOUBLE"}
        columns = ", ".join(f"{name} {types[kind]}" for name, kind in LEDGER.items())
        database.execute(f"CREATE TABLE ledger ({columns})")
        database.executemany(f"INSERT INTO ledger VALUES ({places})", ledger.rows())
        database.execute(f"CREATE VIEW cell_costs AS {VIEWS['cell_costs']}")
        rows = database.execute(
            "SELECT method, budget, n_units, generated_tokens, seconds, policy_seconds,"
            " prm_seconds FROM cell_costs ORDER BY ALL"
        ).fetchall()
    assert rows == [
        ("cot", None, 8, 30, 10.0, 9.0, 0.0),
        ("dvts", 4, 8, 2, 10.0, 6.0, 2.0),
        ("dvts", 8, 8, 1, 5.0, None, None),
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
