"""No number of the default study has two values, two intervals or two choices behind it."""

from __future__ import annotations

import itertools
import math
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from clones import Clone, fresh_clone
from default_study import ROOT, STUDY

from compute_optimal.present.catalogue import ITEMS
from compute_optimal.present.claims import judge_claims
from compute_optimal.present.query import opened, run_query
from compute_optimal.present.render import tabulate
from compute_optimal.present.tables.model import Compared, Estimate, Table
from compute_optimal.study.config import load_claims

CHOSEN = "chosen"
"""In the place of a PRM: it is chosen too."""
SCORING, VOTING = STUDY.aggregation.scoring, STUDY.aggregation.voting
PARAMETERS = {"scoring": SCORING, "voting": VOTING}
PARTS = ("part", "problems")
SERIES = {"compute_optimal": "in_sample", "PRM-Last-Max": "prm_max"}


@dataclass(frozen=True)
class Key:
    """What a number is about. ``series``: a method, or a rule of compute-optimal selection."""

    task: str
    policy: str
    series: str
    prm: str | None
    bucket: str
    budget: int
    scoring: str | None
    voting: str | None


@dataclass(frozen=True)
class Seen:
    """A number where it was seen: fractions; None for what is not told there."""

    where: str
    accuracy: float | None
    low: float | None = None
    high: float | None = None
    choice: str | None = None


Numbers = Iterator[tuple[Key, Seen]]


def key(row: Any, task: str | None, series: str, budget: int | None = None) -> Key:
    """The key of a row of any query, whatever columns it has."""
    rule, method = None, SERIES.get(series, series)
    selected = method in ("in_sample", "cross_fitted", "fixed_rule", "oracle", "optimism_gap")
    if row.get("rule") and not selected:
        rule = row["rule"].split(" ")
    aggregated = method in ("best_of_n", "beam_search", "dvts") or selected
    scoring, voting = (SCORING, VOTING) if aggregated else (None, None)
    if "scoring" in row and "voting" in row:
        scoring, voting = row["scoring"], row["voting"]
    if rule is not None:
        scoring, voting = rule if len(rule) == 2 else (None, rule[0])
    if method in ("majority", "pass_at_k", "cot"):
        scoring = voting = None
    # Of one sample it does not matter how it is chosen, but which PRM's score it has stays.
    prm = row.get("prm") if aggregated else None
    return Key(
        task=row.get("task") or str(task),
        policy=row["policy"],
        series=method,
        prm=prm or (CHOSEN if selected else None),
        # Of adopted pools also which samples, and which problems, it is about.
        bucket=", ".join([row.get("bucket") or "all", *filter(None, map(row.get, PARTS))]),
        budget=row["budget"] if budget is None else budget,
        scoring=scoring,
        voting=voting,
    )


def of_queries(database: Path) -> Numbers:
    """Every row of every query behind a figure or table that tells an accuracy."""
    tasks = [row["task"] for row in run_query("tasks", database)]
    for query in sorted({item.query for item in ITEMS if item.query != "prm_cases"}):
        for task in tasks:
            for row in run_query(query, database, {**PARAMETERS, "task": task}):
                yield from of_row(row, query, task)


def of_row(row: Any, query: str, task: str) -> Numbers:
    # A gain is a difference, and its interval one of differences.
    if row.get("policy") is None or row.get("series") == "printed" or "gain" in row:
        return
    for series, name, budget in (("cot", "greedy", 1), ("pass_at_k", "sampled", 1)):
        if row.get(name) is not None:
            ends = row[f"{name}_low"], row[f"{name}_high"]
            yield key(row, task, series, budget), Seen(query, row[name], *ends)
    series = row.get("series") or row.get("method") or row.get("rule")
    if query == "over_optimisation":
        series = "best_of_n"
    if series is None or row.get("budget") is None:
        return
    # Table 2 asks what the votes of best-of-N's own samples are: the pool's majority.
    if query == "table_2" and (series, row["rule"]) == ("best_of_n", "majority"):
        series = "majority"
    # Budgets that end early are another thing than the method at its budget, and told here alone.
    if query == "adaptive_budgets" and row["rule"] != "fixed":
        return
    accuracy = row.get("accuracy")
    if row.get("accuracies") and query in ("figure_1", "table_5"):
        accuracy = math.fsum(row["accuracies"]) / len(row["accuracies"])
    choice = row.get("prm_title") if SERIES.get(series, series) == "in_sample" else None
    if accuracy is not None or choice is not None:
        ends = row.get("ci_low"), row.get("ci_high")
        yield key(row, task, series), Seen(query, accuracy, *ends, choice)


def of_tables(database: Path) -> Numbers:
    """Cells of rendered tables: what is worked out on the way from a query to a table."""
    policies = {
        row["policy_title"]: row["policy"]
        for query in ("overview", "public_graders")
        for row in run_query(query, database, PARAMETERS)
    }
    titles = {
        row[title]: row["task"]
        for query, title in (("tasks", "title"), ("public_graders", "task_title"))
        for row in run_query(query, database)
    }
    first, *_ = (row["task"] for row in run_query("tasks", database))

    def seen(table: Table, where: str, row: Any, name: str, about: Key) -> Numbers:
        cell = dict(zip((column.name for column in table.columns), row, strict=True))[name]
        estimate = cell.estimate if isinstance(cell, Compared) else cell
        if isinstance(estimate, Estimate):
            low, high = (None if x is None else x / 100 for x in (estimate.low, estimate.high))
            yield about, Seen(where, estimate.value / 100, low, high)

    def about(task: str, policy: str, series: str, budget: int) -> Key:
        return key({"task": task, "policy": policies[policy], "budget": budget}, None, series)

    for name in ("grader_sensitivity", "public_graders"):
        graders = tabulate(name, database)
        for row in graders.rows:
            row_key = about(titles[str(row[0])], str(row[1]), "pass_at_k", 1)
            yield from seen(graders, f"{name}.csv", row, "accuracy_percent", row_key)
    gains = tabulate("table_5", database)
    names = [column.name for column in gains.columns]
    for row in gains.rows:
        columns = dict(zip(names, row, strict=True))
        for series, budget in (
            ("cot", 1),
            ("majority", columns["majority_budget_samples"]),
            ("compute_optimal", columns["compute_optimal_budget_samples"]),
        ):
            if budget is not None:
                row_key = about(first, str(row[0]), series, int(budget))
                yield from seen(gains, "table_5.csv", row, f"{series}_percent", row_key)
    frontier = tabulate("table_3", database)
    methods = {
        "CoT": "cot",
        "compute-optimal TTS": "in_sample",
        "compute-optimal TTS, cross-fitted": "cross_fitted",
    }
    for row in frontier.rows:
        if str(row[0]) in policies and row[2] in methods and row[4] is not None:
            for task in titles.values():
                row_key = about(task, str(row[0]), methods[str(row[2])], int(str(row[4])))
                yield from seen(frontier, "table_3.csv", row, f"{task}_percent", row_key)


def of_claims(database: Path) -> Numbers:
    """Values, references and in-sample values of the verdicts on compute-optimal scaling."""
    policies = {
        row["policy_title"]: row["policy"] for row in run_query("overview", database, PARAMETERS)
    }
    titles = {row["title"]: row["task"] for row in run_query("tasks", database)}
    asked = [c for c in load_claims(ROOT / "config/claims.yaml") if c.query == "compute_optimal"]
    for judged in judge_claims(asked, database):
        against = str(judged.claim.parameters["against"])
        for case in judged.cases:
            policy, title, budget = case.name.split(", ")
            n = int(budget.removeprefix("N = "))
            at = {"task": titles[title], "policy": policies[policy]}
            assert case.in_sample is not None
            for series, value, size in (
                ("cross_fitted", case.value, n),
                ("in_sample", case.in_sample, n),
                (against, case.reference, 1 if against == "cot" else n),
            ):
                about = key({**at, "budget": size}, None, series)
                yield about, Seen(f"claim {judged.claim.name}", value / 100)


def contradictions(database: Path, shown: dict[Key, set[Seen]] | None = None) -> Iterator[str]:
    """Keys that are told in two ways, each as soon as it is. ``shown``: gets all that is told."""
    shown = defaultdict(set) if shown is None else shown
    with opened(database):
        for part in (of_queries, of_tables, of_claims):
            for about, seen in part(database):
                places = shown[about]
                places.add(seen)
                for name in ("accuracy", "low", "high", "choice"):
                    values = {getattr(place, name) for place in places} - {None}
                    if len(values) > 1 and (name == "choice" or max(values) - min(values) > 1e-9):
                        where = sorted(place.where for place in places)
                        yield f"{about}: {name} in {where}: {values}"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default study's, made from the shipped store; of what this repository has, only what is
    out of date by Snakemake's records."""
    clone: Clone = fresh_clone(tmp_path_factory.mktemp("default"))
    for part in (str(STUDY.results), ".snakemake/metadata"):
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, clone.folder / part)
    done = clone.run("snakemake", "--cores", "2", "analysis")
    assert done.returncode == 0, done.stdout + done.stderr
    return clone.folder / "results/run/analysis.duckdb"


def test_no_number_of_the_default_study_is_told_in_two_ways(database: Path) -> None:
    shown: dict[Key, set[Seen]] = defaultdict(set)
    disagreements = [*contradictions(database, shown)]
    assert not disagreements, "\n".join(disagreements)
    # Accuracies of six policies, six PRMs, four methods and three budgets meet in many places.
    assert sum(len({place.where for place in places}) > 1 for places in shown.values()) > 300


BOUNDED = ("percent", "points")
"""Units, as columns' names end in, of which nothing has more than 100, with either sign ..."""
RELATIVE = ("performance_gain_percent",)
"""... but for shares of something else than the whole."""


def beyond_what_can_be(database: Path) -> Iterator[str]:
    """Cells of tables whose value lies outside its interval, or either outside of what can be."""
    tasks = [row["task"] for row in run_query("tasks", database)]
    tables = (
        (item.name, tabulate(item.name, database, task=task))
        for item in ITEMS
        if item.table is not None
        for task in (tasks if item.task_rank == 0 and item.scale == "study" else [None])
    )
    for name, table in tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row, strict=True):
                estimate = cell.estimate if isinstance(cell, Compared) else cell
                if isinstance(estimate, Estimate):
                    numbers = [estimate.ends[0], estimate.value, estimate.ends[1]]
                elif isinstance(estimate, float):
                    numbers = [estimate]
                else:
                    continue
                bounded = column.name.endswith(BOUNDED) and column.name not in RELATIVE
                most = 100 if bounded else math.inf
                # Ends are percentiles of resampled sums, which round in another order.
                if any(a > b + 1e-9 for a, b in itertools.pairwise([-most, *numbers, most])):
                    yield f"{name}, {row[:2]}: {column.name} is {numbers}"


def test_no_number_is_beyond_what_it_can_be(database: Path, tmp_path: Path) -> None:
    with opened(database):
        assert [*beyond_what_can_be(database)] == []
    other = Path(shutil.copy(database, tmp_path / "study.duckdb"))
    with duckdb.connect(str(other)) as connection:
        connection.execute("UPDATE curve_points SET ci_high = 1.01 WHERE ci_high > 0.9")
    assert any(beyond_what_can_be(other))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE chosen_outcomes SET accuracy = 0.9 * accuracy WHERE rule = 'in_sample'",
        "UPDATE chosen_outcomes SET accuracy = 0.9 * accuracy WHERE rule = 'cross_fitted'",
        "UPDATE curve_points SET ci_low = ci_low - 0.01 WHERE method = 'pass_at_k' AND budget = 1",
        "UPDATE settings SET seed = 1",
    ],
)
def test_a_second_value_or_interval_is_found(database: Path, tmp_path: Path, change: str) -> None:
    other = Path(shutil.copy(database, tmp_path / "study.duckdb"))
    with duckdb.connect(str(other)) as connection:
        connection.execute(change)
    assert any(contradictions(other))


def test_what_is_chosen_is_what_the_accuracy_is_of(database: Path) -> None:
    """The in-sample accuracies follow from the choices and the outcomes of the strategies."""
    with duckdb.connect(str(database), read_only=True) as connection:
        differing = connection.execute(
            """
            WITH given AS (
                SELECT c.task, c.policy, c.scoring, c.voting, c.budget, o.problem_id,
                       sum(c.share * o.accuracy) AS accuracy
                FROM choices c
                -- Of rollouts without any sample the difficulty is unknown, and no bucket is said.
                JOIN (FROM outcomes SELECT * REPLACE (coalesce(bucket, 'unknown') AS bucket)) o
                USING (task, policy, prm, method, scoring, voting, budget, bucket)
                WHERE c.rule = 'in_sample'
                GROUP BY ALL
            )
            SELECT count(*), count(*) FILTER (abs(given.accuracy - chosen.accuracy) < 1e-9)
            FROM given
            FULL JOIN (FROM chosen_outcomes WHERE rule = 'in_sample') AS chosen
            USING (task, policy, scoring, voting, budget, problem_id)
            """
        ).fetchone()
        in_all = connection.execute(
            "SELECT max(abs(total - 1)) FROM (SELECT sum(share) AS total FROM choices"
            " GROUP BY task, policy, scoring, voting, budget, rule, bucket)"
        ).fetchone()
    assert differing is not None
    assert differing[0] == differing[1] > 1000
    assert in_all is not None
    assert in_all[0] < 1e-9
