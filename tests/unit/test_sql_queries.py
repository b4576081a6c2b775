"""The named queries against a made-up database, and against plain Python over its tables."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import duckdb
import pytest
from synthetic_study import POLICIES, PRMS, ROLLOUTS, SyntheticStudy

from compute_optimal.analyse.statements import SQL_FOLDER, statement
from compute_optimal.errors import StudyError
from compute_optimal.present import query
from compute_optimal.present.catalogue import ITEMS
from compute_optimal.present.query import run_query

TASKS = (("aime24", "AIME24", 9), ("math500", "MATH-500", 20))
PARAMETERS = {"task": "math500", "scoring": "prm_last", "voting": "prm_max"}
POINTS = {
    "policy", "policy_title", "family", "n_parameters", "prm", "prm_title", "prm_n_parameters",
    "prm_ability", "bucket", "n_expected", "method", "budget", "at_study_budget", "accuracy",
    "ci_low", "ci_high",
    "n_problems", "tokens", "prm_tokens", "seconds", "tokens_needed",
}  # fmt: skip
GAINS = {
    "task", "task_title", "task_rank", "policy", "policy_title", "family", "n_parameters", "series",
    "prm_title", "n_tied_prms", "budget", "problem_ids", "accuracies", "ci_low", "ci_high",
    "origin", "chosen", "printed", "replicates", "confidence", "seed", "n_problems_of_task",
}  # fmt: skip
FRONTIER = {
    "task", "task_title", "task_rank", "policy", "policy_title", "family", "n_parameters", "series",
    "prm_title", "budget", "accuracy", "ci_low", "ci_high", "model", "section", "printed", "method",
    "origin", "printed_prm", "printed_budget", "printed_rank", "printed_parameters",
    "is_read_by_prm", "n_problems", "n_problems_of_task",
}  # fmt: skip
PAIRS = {
    "policy", "policy_title", "family", "n_parameters", "origin", "collection", "model_title",
    "prm", "prm_title", "prm_n_parameters", "prm_ability", "policy_place", "n_places",
}  # fmt: skip
COLUMNS = {
    "accuracy_against_seconds": POINTS,
    "bucket_doubts": {"policy", "model_title", "of_halves", "n_samples", "wrong"},
    "wrong_buckets": {
        "task_title", "policy_title", "n_samples", "n_problems", "n_easy", "n_medium", "n_hard",
        "wrong", "wrong_easy", "wrong_medium", "wrong_hard",
    },
    "calibration": PAIRS | {"bin", "n_samples", "score", "accuracy", "ci_low", "ci_high"},
    "over_optimisation": PAIRS
    | {"budget", "accuracy", "ci_low", "ci_high", "score", "score_low", "score_high"},
    "prm_gains": {
        "policy_place", "n_places",
        "policy", "policy_title", "n_parameters", "method", "budget", "bucket", "against", "fewest",
        "prm", "prm_title", "prm_n_parameters", "f1", "discrimination", "gain", "ci_low", "ci_high",
        "n_problems", "n_policies",
    }
    | {
        f"{ability}_{column}"
        for ability in ("f1", "discrimination")
        for column in ("threshold", "low", "high", "least", "most")
    },
    "run_to_run": {
        "policy", "policy_title", "family", "n_parameters", "method", "budget", "run_to_run",
        "half_interval", "confidence", "prm_title", "n_problems",
    },
    "score_quality": PAIRS | {"measure", "value", "ci_low", "ci_high", "n_problems"},
    "evidence": {
        "n_printed", "n_printed_items", "n_policies", "smallest", "largest", "is_miniature",
        "own_tasks", "own_prms", "smallest_prm", "largest_prm", "largest_budget",
        "public_policies", "n_collections", "public_prms", "public_largest_budget",
        "public_tasks", "confidence", "scoring", "voting",
    },
    "explorer": {
        "scale", "task", "policy", "prm", "method", "scoring", "voting", "bucket", "budget",
        "accuracy", "low", "high", "n", "tokens", "flops", "seconds",
    },
    "table_1": PAIRS
    | {f"tokens_of_{kind}{end}" for kind in ("sample", "pick") for end in ("", "_low", "_high")}
    | {"steps_of_sample", "steps_of_pick", "budget", "per_response", "per_step"},
    "accuracy_against_flops": POINTS | {"policy_flops", "prm_flops", "flops"},
    "cost_ledger": {
        "task", "task_title", "policy", "policy_title", "kind", "method", "budget", "n_prms",
        "generated_tokens", "shared_tokens", "discarded_tokens", "prompt_tokens_computed",
        "prompt_tokens_cached", "prm_tokens_computed", "prm_tokens_cached", "prm_tokens_shared",
        "policy_seconds", "prm_seconds", "seconds",
    },
    "figure_1": GAINS | {"printed_accuracy"},
    "grader_sensitivity": {
        "task", "task_title", "policy", "policy_title", "grader", "grader_title", "n_pairs",
        "n_right_by_ours_only", "n_right_by_other_only", "accuracies", "other_accuracies",
        "replicates", "confidence", "seed",
    },
    "public_graders": {
        "task", "task_title", "policy", "policy_title", "grader", "grader_title", "n_pairs",
        "n_right_by_ours_only", "n_right_by_other_only", "accuracies", "other_accuracies",
        "replicates", "confidence", "seed",
    },
    "candidates": {"policy", "bucket"},
    "figure_2": {"budget", "beam_width"},
    "figure_3": {
        "policy", "policy_title", "bin", "n", "share", "n_problems", "n_expected", "n_samples",
        "n_easy", "n_medium", "n_hard", "published_share",
    },
    "figure_4": POINTS,
    "figure_9": POINTS,
    "figure_10": POINTS,
    "choice_dependence": {
        "left_out", "task", "problems_of_task", "policy", "policy_title", "family", "n_parameters",
        "policy_place", "n_places", "prm", "prm_title", "prm_ability", "budget", "problem_ids",
        "value", "reference", "choice_deviations", "replicates", "confidence", "seed",
    },
    "optimism_gap": {
        "policy", "policy_title", "family", "n_parameters", "prm", "prm_title", "prm_n_parameters",
        "prm_ability", "rule", "budget", "accuracy", "ci_low", "ci_high", "n_strategies",
        "n_problems",
    },
    "settings": {
        "confidence", "replicates", "vote_subsets", "seed", "beam_width", "easy", "medium",
        "scoring", "voting", "runs_models", "is_miniature",
    },
    "figure_6": {
        "prm", "prm_title", "prm_n_parameters", "ability", "ability_low", "ability_high", "source",
        "budget", "accuracy", "n_runs", "n_prms_run", "accuracies", "printed_slope",
        "printed_intercept", "replicates", "confidence", "seed",
    },
    "figure_7": POINTS,
    "figure_8": POINTS,
    "overview": {
        "task", "task_title", "policy", "policy_title", "n_parameters", "origin", "n_problems",
        "n_problems_of_task", "greedy", "greedy_low", "greedy_high", "sampled", "sampled_low",
        "sampled_high", "samples_per_problem", "n_easy", "n_medium", "n_hard", "tokens_per_sample",
        "cut_short", "without_answer", "timed_out", "easy_from", "medium_from",
    },
    "prm_cases": {
        "failure", "prm", "prm_title", "n_solutions", "policy_title", "problem_id", "sample_index",
        "problem", "gold", "position", "step", "truth", "mark", "score",
    },
    "prm_failures": {
        "prm", "prm_title", "prm_n_parameters", "prm_ability", "policy", "policy_title", "measure",
        "value", "ci_low", "ci_high", "n", "n_problems", "policy_place", "n_places",
    },
    "printed_optscale": {
        "series", "task", "policy", "prm", "method", "budget", "accuracy", "ci_low", "ci_high",
        "tokens", "source", "n_problems",
    },
    "public_ability": {
        "task_title", "collection", "collection_title", "policy", "policy_title", "n_parameters",
        "prm", "prm_title", "prm_n_parameters", "f1", "f1_source", "value", "ci_low", "ci_high",
        "n_problems",
    },
    "public_collections": {
        "collection", "title", "task", "policy", "prm", "variant", "source", "commit", "licence",
        "caveats", "files_left_out", "listing", "folder", "policy_title", "weights", "prm_title",
        "n_files", "n_records", "n_used", "n_answers", "n_answers_used", "n_rows", "left_out",
        "kept_in_part",
    },
    "public_reliability": {
        "collection", "task", "prm", "scoring", "bin", "n_solutions", "score", "value", "ci_low",
        "ci_high", "collection_title", "prm_title", "prm_n_parameters",
    },
    "public_reward_models": {
        "collection", "task", "prm", "scoring", "measure", "value", "ci_low", "ci_high",
        "n_problems", "n_solutions", "collection_title", "prm_title", "prm_n_parameters", "kind",
        "f1", "f1_source", "source", "commit", "path",
    },
    "public_sources": {
        "collection", "source", "commit", "licence", "path", "sha256", "n_records", "n_used",
        "n_answers", "n_answers_used",
    },
    "public_voting": {
        "task", "problems_of_task", "policy", "policy_title", "n_parameters", "collection", "prm",
        "prm_title", "budget", "method", "rule", "accuracy", "ci_low", "ci_high",
        "monte_carlo_error", "n_problems", "problem_ids", "value", "reference", "replicates",
        "confidence", "seed",
    },
    "pruning": PAIRS
    | {"method", "budget", "depth", "n_problems", "n_pruned", "n_not_written", "confidence"},
    "prompts": {
        "prompt", "policies", "system", "user_suffix", "template_arguments", "source",
    },
    "provenance": {
        "task", "task_title", "policy", "policy_title", "prm", "prm_title", "kind", "method",
        "budget", "n_units", "digest", "policy_revision", "prm_revision", "seed", "temperature",
        "dtype", "engines", "packages", "machines", "spec",
    },
    "public_methods": {
        "task", "task_title", "base", "n_parameters", "policy", "policy_title", "weights",
        "variant", "method", "prm_title", "budget", "place", "other_policy", "other_title",
        "other_weights",
        "other_variant", "other_method", "other_prm_title", "other_budget", "other_place",
        "problem_ids", "problems_of_task", "value", "reference", "tokens", "other_tokens",
        "is_retokenised",
        "other_is_retokenised", "run_accuracies", "replicates", "confidence", "seed",
    },
    "public_pools": {
        "task", "task_title", "policy", "policy_title", "n_parameters", "prm_title", "method",
        "scoring", "voting", "bucket", "budget", "accuracy", "ci_low", "ci_high", "n_problems",
        "tokens",
    },
    "public_selection": {
        "task", "task_title", "policy", "policy_title", "n_parameters", "part", "problems",
        "budget", "rule", "accuracy", "ci_low", "ci_high", "n_strategies", "n_problems", "chosen",
        "tokens",
    },
    "small_against_large": {
        "task", "task_title", "policy", "policy_title", "policy_model", "n_parameters",
        "prm_title", "prm_n_parameters", "budget", "large_policy", "large_title", "large_model",
        "large_n_parameters", "problem_ids", "problems_of_task", "value", "reference",
        "has_answer", "widening",
        "small_without_answer", "large_without_answer", "small_tokens", "large_tokens",
        "is_retokenised", "pretraining_parameters", "training_tokens",
        "large_pretraining_parameters", "large_training_tokens", "replicates", "confidence", "seed",
    },
    "table_2": {
        "policy", "policy_title", "family", "n_parameters", "prm", "prm_title", "prm_n_parameters",
        "method", "rule", "budget", "accuracy", "ci_low", "ci_high", "n_problems", "printed",
    },
    "table_3": FRONTIER | {"is_beyond"},
    "table_4": {
        "policy", "policy_title", "family", "n_parameters", "training_tokens",
        "pretraining_parameters", "active_parameters", "series", "prm_title", "budget",
        "n_problems", "generated_tokens", "prm_parameter_tokens", "policy_tokens_computed",
        "prm_parameter_tokens_computed", "model", "method", "is_read_by_prm", "printed",
        "printed_rank",
    },
    "predicted_difficulty": {
        "task", "problems_of_task", "policy", "policy_title", "family", "n_parameters", "origin",
        "prm", "prm_title", "prm_n_parameters", "prm_ability", "budget", "figure_budget",
        "n_probes", "samples", "other_samples", "against", "problem_ids", "value", "reference",
        "choice_deviations", "right_bucket", "right_without", "reason", "replicates",
        "confidence", "seed",
    },
    "adaptive_budgets": {
        "policy", "policy_title", "family", "n_parameters", "origin", "prm", "prm_title",
        "prm_n_parameters", "method", "rule", "budget", "accuracy", "ci_low", "ci_high", "samples",
        "samples_low", "samples_high", "chosen_low", "chosen_high", "change", "change_low",
        "change_high", "monte_carlo_error", "n_problems", "is_main",
    },
    "bucket_accuracy": {
        "task_title", "policy_title", "bucket", "method", "prm_title", "budget", "accuracy",
        "ci_low", "ci_high", "n_problems", "expected_accuracy", "expected_low", "expected_high",
        "n_expected",
    },
    "recommendations": {
        "task", "task_title", "policy", "policy_title", "origin", "prm", "prm_title", "way",
        "budget", "difficulty", "accuracy", "ci_low", "ci_high", "samples", "tokens", "flops",
        "seconds", "methods", "n_problems",
    },
    "table_5": GAINS,
    "table_6": FRONTIER | {"prm", "prm_n_parameters"},
    "public_tasks": {"task", "title", "n_problems"},
    "problems_of_tasks": {"task", "problems_of_task"},
    "problems_run": {"n_problems"},
    "tasks": {"task", "title", "n_problems", "has_step_check"},
}  # fmt: skip


SCORED_BY_OTHERS = {
    "public_ability", "public_collections", "public_reliability", "public_reward_models",
    "public_sources", "public_tasks", "public_voting", "printed_optscale",
}  # fmt: skip
"""Queries on solutions of known truth, files, printed curves and rules of voting."""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SyntheticStudy(
        tasks=TASKS,
        policies=(*POLICIES[:2], POLICIES[5]),
        prms=PRMS[:3],
        missing=[
            ("llama-3.2-1b", "skywork-1.5b", None),
            ("llama-3.2-3b", None, "dvts"),
            ("qwen2.5-72b", None, "pass_at_1"),
        ],
        abilities={"skywork-1.5b": 48.0, "math-shepherd-7b": 29.5},
        rollouts=ROLLOUTS,
    ).write(tmp_path_factory.mktemp("study") / "study.duckdb")


def select(database: Path, query: str) -> list[dict[str, Any]]:
    with duckdb.connect(str(database), read_only=True) as connection:
        result = connection.execute(query)
        columns = [column[0] for column in result.description]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


@pytest.fixture(scope="module")
def rollouts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SyntheticStudy(
        tasks=TASKS, policies=POLICIES[:2], prms=PRMS[:2], budgets=(4, 16),
        adopted=("llama-3.2-3b",), rollouts=ROLLOUTS,
    ).write(tmp_path_factory.mktemp("rollouts") / "study.duckdb")  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_a_query_returns_its_columns_and_the_same_rows_again_and_writes_nothing(
    database: Path, rollouts: Path, name: str
) -> None:
    if name in SCORED_BY_OTHERS:
        database = rollouts
    before = hashlib.sha256(database.read_bytes()).digest()
    rows = run_query(name, database, PARAMETERS)
    assert rows
    assert set(rows[0]) == COLUMNS[name]
    assert rows == run_query(name, database, PARAMETERS)
    assert hashlib.sha256(database.read_bytes()).digest() == before


def test_every_file_is_tested_and_used() -> None:
    # What `make verify` and the rollout browser ask is tested with them.
    elsewhere = {
        p.stem for kind in ("expected", "browser") for p in SQL_FOLDER.glob(f"{kind}_*.sql")
    }
    files = {path.stem for path in SQL_FOLDER.glob("*.sql")} - {"macros"} - elsewhere
    assert files == set(COLUMNS)
    assert files - {
        "bucket_doubts",
        "candidates",
        "evidence",
        "explorer",
        "problems_of_tasks",
        "problems_run",
        "public_tasks",
        "recommendations",
        "settings",
        "tasks",
        "wrong_buckets",
    } == {item.query for item in ITEMS}


def test_macros_stand_on_those_before_them_and_all_are_asked_for() -> None:
    """A query has those that it names, and what these stand on, in the order of their file."""
    text = statement("macros.sql")
    names = re.findall(r"MACRO (\w+)\(", text)
    assert [*query._macros()] == names
    for place, name in enumerate(names):
        _, definition = text.split(f"MACRO {name}(")
        body = definition.partition("\nCREATE ")[0]
        assert not [later for later in names[place:] if re.search(rf"\b{later}\(", body)], name
    asked = [statement(str(path.relative_to(SQL_FOLDER))) for path in SQL_FOLDER.rglob("*.sql")]
    queries = [one for one in asked if one != text]
    assert set(names) == set().union(*map(query._named_in, queries))


def test_a_query_has_what_its_macros_stand_on_and_a_connection_has_no_more(database: Path) -> None:
    with query.opened(database) as connection:
        run_query("settings", database)
        macros = query._OPEN[database].macros
        assert macros == {"is_miniature"}
        run_query("tasks", database)
        assert macros == {"is_miniature", "name_key", "shown_tasks", "ranked_tasks"}
        own = "SELECT function_name FROM duckdb_functions() WHERE NOT internal"
        named = {name for (name,) in connection.execute(own).fetchall()}
        assert named == macros
    assert database not in query._OPEN


def test_the_paper_decides_which_task_comes_first(database: Path) -> None:
    assert [row["task"] for row in run_query("tasks", database)] == ["math500", "aime24"]


def test_bins_of_pass_at_1_match_a_count_in_python(database: Path) -> None:
    shares = {
        (row["policy"], row["bin"]): (row["n"], row["share"] or 0.0)
        for row in run_query("figure_3", database, PARAMETERS)
        if row["bin"] is not None
    }
    counts: Counter[tuple[str, int]] = Counter()
    totals: Counter[str] = Counter()
    for row in select(database, "SELECT * FROM difficulty WHERE task = 'math500'"):
        upper_ends = [0.2, 0.4, 0.6, 0.8, 1.0]
        counts[
            row["policy"], next(i for i, end in enumerate(upper_ends) if row["pass_at_1"] <= end)
        ] += 1
        totals[row["policy"]] += 1
    assert len(shares) == 5 * len(totals)
    for (policy, bin_), (n, share) in shares.items():
        assert n == counts[policy, bin_]
        assert share == pytest.approx(n / totals[policy])


def test_exact_bin_ends_belong_below(tmp_path: Path) -> None:
    path = SyntheticStudy(tasks=TASKS[1:], policies=POLICIES[:1], prms=()).write(
        tmp_path / "s.duckdb"
    )
    with duckdb.connect(str(path)) as connection:
        connection.execute("DELETE FROM rated")
        for n_correct in range(6):
            connection.execute(
                "INSERT INTO rated VALUES ('math500', 'llama-3.2-1b', 'difficulty', ?, 5, ?, ?,"
                " 'easy', 0.25, 'difficulty')",
                [str(n_correct), n_correct, n_correct / 5],
            )
    rows = run_query("figure_3", path, PARAMETERS)
    assert [row["n"] for row in rows] == [2, 1, 1, 1, 1]


def test_curves_are_thinned_to_powers_of_two_and_study_budgets(database: Path) -> None:
    rows = run_query("figure_10", database, PARAMETERS)
    pool = {row["budget"] for row in rows if row["method"] == "majority"}
    assert pool == {1, 2, 4, 8, 16, 32, 64, 128, 256}
    marked = {row["budget"] for row in rows if row["at_study_budget"]}
    assert marked == {1, 4, 16, 64, 256}


def test_points_are_those_of_the_curves(database: Path) -> None:
    curves = {
        (row["policy"], row["prm"], row["method"], row["budget"]): row
        for row in select(
            database,
            "SELECT * FROM curves WHERE task = 'math500' AND bucket = 'all'"
            " AND (voting IS NULL OR voting = 'majority' AND prm IS NULL"
            " OR scoring = 'prm_last' AND voting = 'prm_max')",
        )
    }
    rows = [row for row in run_query("figure_10", database, PARAMETERS) if row["budget"]]
    for row in rows:
        prm = row["prm"] if row["method"] in ("best_of_n", "beam_search", "dvts") else None
        curve = curves[row["policy"], prm, row["method"], row["budget"]]
        for column in ("accuracy", "ci_low", "ci_high", "n_problems"):
            assert row[column] == curve[column]


def test_what_has_not_been_run_has_a_row_without_budget(database: Path) -> None:
    rows = run_query("figure_10", database, PARAMETERS)
    absent = {(row["policy"], row["prm"], row["method"]) for row in rows if row["budget"] is None}
    assert absent == {
        *(
            ("llama-3.2-1b", "skywork-1.5b", method)
            for method in ("best_of_n", "beam_search", "dvts")
        ),
        *(("llama-3.2-3b", prm[0], "dvts") for prm in PRMS[:3]),
    }


def test_buckets_know_their_sizes(database: Path) -> None:
    counts = Counter(
        (row["policy"], row["bucket"])
        for row in select(database, "SELECT * FROM difficulty WHERE task = 'math500'")
    )
    rows = [*run_query("figure_8", database, PARAMETERS)]
    rows += run_query("figure_9", database, PARAMETERS)
    assert {row["policy"] for row in rows} == {"llama-3.2-1b", "llama-3.2-3b", "qwen2.5-72b"}
    for row in rows:
        known = row["policy"] != "qwen2.5-72b"
        assert row["n_expected"] == (counts[row["policy"], row["bucket"]] if known else None)


def test_a_single_prm_is_the_one_run_most_then_the_largest(database: Path) -> None:
    assert {row["prm"] for row in run_query("figure_7", database, PARAMETERS)} == {
        "rlhflow-mistral-8b"
    }


def test_flops_are_two_per_parameter_and_token(database: Path) -> None:
    for row in run_query("accuracy_against_flops", database, PARAMETERS):
        if row["budget"] is None:
            continue
        expected = 2 * row["n_parameters"] * row["tokens"]
        if row["method"] not in ("cot", "majority"):
            expected += 2 * row["prm_n_parameters"] * row["prm_tokens"]
        assert row["flops"] == pytest.approx(expected)


def test_flops_are_of_tokens_that_were_computed(database: Path) -> None:
    """What a cache holds costs none, of the PRM as of the policy."""
    computed = {
        (row["policy"], row["prm"], row["method"], row["budget"]): row["prm_tokens_computed"]
        for row in select(database, "SELECT * FROM unit_costs WHERE task = 'math500'")
    }
    cached = select(database, "SELECT sum(prm_tokens_cached) AS n FROM unit_costs")
    assert cached[0]["n"] > 0
    rows = [
        row
        for row in run_query("accuracy_against_flops", database, PARAMETERS)
        if row["budget"] is not None and row["method"] not in ("cot", "majority")
    ]
    assert {row["method"] for row in rows} == {"best_of_n", "beam_search", "dvts"}
    for row in rows:
        budget = row["budget"] if row["method"] == "beam_search" else None
        of_unit = computed[row["policy"], row["prm"], row["method"], budget]
        expected = 2 * row["prm_n_parameters"] * row["budget"] * of_unit
        assert row["prm_flops"] == pytest.approx(expected)


def test_compute_optimal_is_the_best_method_of_each_bucket(database: Path) -> None:
    """Brute force over all strategies, PRMs and buckets in Python."""
    accuracies: dict[Any, dict[str, float]] = defaultdict(dict)
    for row in select(
        database,
        "SELECT * FROM outcomes WHERE task = 'math500' AND scoring = 'prm_last'"
        " AND voting = 'prm_max'",
    ):
        key = (row["policy"], row["prm"], row["budget"], row["bucket"], row["method"])
        accuracies[key][row["problem_id"]] = row["accuracy"]
    best: dict[Any, dict[str, float]] = {}
    for (policy, prm, budget, bucket, _), values in accuracies.items():
        key = (policy, prm, budget, bucket)
        if key not in best or sum(values.values()) > sum(best[key].values()):
            best[key] = values
    rows = [
        row
        for row in run_query("table_5", database, PARAMETERS)
        if row["series"] == "compute_optimal"
    ]
    # The synthetic study selects at its smallest and its largest budget only.
    assert {row["budget"] for row in rows} == {4, 256}
    prms = {row["title"]: row["prm"] for row in select(database, "SELECT title, prm FROM prms")}
    for row in rows:

        def total(prm: str, budget: int, policy: str = row["policy"]) -> dict[str, float]:
            parts = (values for key, values in best.items() if key[:3] == (policy, prm, budget))
            return {problem: value for part in parts for problem, value in part.items()}

        prm = prms[row["prm_title"]]
        by_problem = dict(zip(row["problem_ids"], row["accuracies"], strict=True))
        assert by_problem == pytest.approx(total(prm, row["budget"]))
        at_top = {prm[0]: sum(total(prm[0], 256).values()) for prm in PRMS[:3]}
        assert at_top[prm] == pytest.approx(max(at_top.values()))


def test_table_3_agrees_with_table_5(database: Path) -> None:
    optimal = {
        row["policy"]: (row["prm_title"], sum(row["accuracies"]) / len(row["accuracies"]))
        for row in run_query("table_5", database, PARAMETERS)
        if row["series"] == "compute_optimal" and row["budget"] == 256
    }
    selected = {
        row["policy"]: (row["prm_title"], row["accuracy"])
        for row in run_query("table_3", database, PARAMETERS)
        if row["series"] == "in_sample" and row["task"] == "math500"
    }
    assert {name: prm for name, (prm, _) in optimal.items()} == {
        name: prm for name, (prm, _) in selected.items()
    }
    for policy, (_, accuracy) in optimal.items():
        assert selected[policy][1] == pytest.approx(accuracy)


def test_compute_of_table_4_is_that_of_the_chosen_methods(database: Path) -> None:
    rows = run_query("table_4", database, PARAMETERS)
    prms = select(database, "SELECT title, n_parameters FROM prms")
    cot = next(row for row in rows if row["policy"] == "llama-3.2-1b" and row["series"] == "cot")
    assert cot["generated_tokens"] == 20 * 320
    assert cot["policy_tokens_computed"] == pytest.approx(20 * (320 + 40))
    for row in rows:
        if row["series"] == "compute_optimal":
            per_problem = {320.0 * 256, 0.8 * 320 * 256}
            low, high = 20 * min(per_problem), 20 * max(per_problem)
            assert low <= row["generated_tokens"] <= high
            # The PRM reads what is generated.
            sizes = {prm["title"]: prm["n_parameters"] for prm in prms}
            of_prm = row["generated_tokens"] * sizes[row["prm_title"]]
            # Nobody knows which problems are hard for a policy without samples for difficulty.
            expected = None if row["policy"] == "qwen2.5-72b" else pytest.approx(of_prm)
            assert row["prm_parameter_tokens"] == expected


def test_printed_values_find_their_policies_and_tasks(database: Path) -> None:
    of_policy = {
        row["policy"]: row["printed"] for row in run_query("table_5", database, PARAMETERS)
    }
    assert of_policy["llama-3.2-1b"] == {
        "cot": "26.0",
        "majority": "39.0",
        "compute_optimal": "66.2",
        "performance_gain": "154.6",
        "efficiency_gain": ">256.0",
    }
    # Table 3 prints 75.6 for the same cell; Table 5 goes first.
    assert of_policy["llama-3.2-3b"] == {"compute_optimal": "78.2"}
    aime = run_query("table_5", database, PARAMETERS | {"task": "aime24"})
    assert next(row["printed"] for row in aime) == {"compute_optimal": "16.7"}


def test_models_of_the_paper_that_the_study_lacks_are_listed_apart(database: Path) -> None:
    rows = run_query("figure_1", database, PARAMETERS)
    printed = [
        (row["policy"], row["printed_accuracy"]) for row in rows if row["series"] == "printed"
    ]
    assert printed == [("GPT-4o", 74.6)]


def test_prms_are_compared_on_the_runs_they_share(database: Path) -> None:
    rows = {row["prm"]: row for row in run_query("figure_6", database, PARAMETERS)}
    # llama-3.2-1b lacks one PRM and llama-3.2-3b lacks DVTS, so 2 + 3 runs are common to all.
    assert {row["n_runs"] for row in rows.values()} == {5}
    assert {row["budget"] for row in rows.values()} == {256}
    (mean,) = select(
        database,
        "SELECT avg(accuracy) AS accuracy FROM curves WHERE task = 'math500' AND bucket = 'all'"
        " AND prm = 'skywork-1.5b' AND scoring = 'prm_last' AND voting = 'prm_max'"
        " AND budget = 256",
    )
    assert rows["skywork-1.5b"]["accuracy"] == pytest.approx(mean["accuracy"])
    assert rows["rlhflow-mistral-8b"]["ability"] is None


def test_a_database_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no database"):
        run_query("overview", tmp_path / "absent.duckdb")
    empty = tmp_path / "empty.duckdb"
    duckdb.connect(str(empty)).close()
    with pytest.raises(StudyError, match="does not fit"):
        run_query("overview", empty)
    text = tmp_path / "text.duckdb"
    text.write_text("not a database")
    with pytest.raises(StudyError, match="does not fit"):
        run_query("overview", text)


def test_prms_are_shown_where_they_choose_among_the_same_methods(
    database: Path, tmp_path: Path
) -> None:
    """A PRM that searched to a larger N than others is shown at the largest that all have."""

    def shown(database: Path) -> set[int]:
        rows = run_query("predicted_difficulty", database, PARAMETERS)
        return {row["figure_budget"] for row in rows if row["prm"]}

    assert shown(database) == {256}
    other = tmp_path / "other.duckdb"
    shutil.copyfile(database, other)
    with duckdb.connect(str(other)) as connection:
        for table in ("predicted_outcomes", "predicted_selection", "predicted_gaps"):
            connection.execute(
                f"INSERT INTO {table} SELECT * REPLACE (16 AS budget) FROM {table} "
                "WHERE budget = 256"
            )
        connection.execute(
            "DELETE FROM curve_points WHERE budget = 256 AND method = 'beam_search' "
            "AND prm = 'math-shepherd-7b'"
        )
    assert shown(other) == {16}


def test_a_path_that_was_pruned_stays_pruned_at_later_depths(database: Path) -> None:
    rows = [row for row in run_query("pruning", database, {"task": TASKS[0][0]}) if row["method"]]
    assert {row["budget"] for row in rows} == {4, 16}
    of_largest = [row for row in rows if row["budget"] == 16]
    assert [row["n_pruned"] for row in of_largest] == [1, 1, 2, 2]
    assert {(row["n_problems"], row["n_not_written"]) for row in rows} == {(4, 1)}
