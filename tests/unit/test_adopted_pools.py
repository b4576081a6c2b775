"""What pools of others carry: halves that do not see each other, budgets, and held-out choices."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from statistics import fmean

import duckdb
import polars as pl
import pytest
from synthetic_study import (
    OUTSIDE,
    PRMS,
    ROLLOUTS,
    SETTINGS,
    Rollouts,
    SyntheticStudy,
    answers_of,
    scores_in,
)

from compute_optimal.analyse import accuracy, adopted_pools
from compute_optimal.analyse.estimates import analysed
from compute_optimal.analyse.statistics.estimators import trajectory_scores, weighted_vote_at_k
from compute_optimal.judge.answers import _margins
from compute_optimal.present.catalogue import ITEMS
from compute_optimal.present.claims import judge_claims
from compute_optimal.present.query import run_query
from compute_optimal.present.render import draw, tabulate
from compute_optimal.present.tables.model import Cell, Estimate
from compute_optimal.study.buckets import BUCKETS
from compute_optimal.study.config import Claim, ClaimRule
from compute_optimal.study.requests import (
    AdoptedEstimatesRequest,
    AdoptedPolicyPart,
    AdoptedScores,
)

IDS = [f"p{i}" for i in range(30)]
PRM = "m"
POOL = Rollouts("a", "A-1B-AWQ", 10**9, 0.4, 17, searched=20, n_runs=3)


def test_given_scores_that_add_up_to_the_same_tie() -> None:
    """Scores of few digits do so often: what is stored of them must not tell their sums apart."""
    scores = [[1.0], [0.9921875], [0.99609375], [0.99609375]]
    rows = pl.DataFrame({"step_scores": scores}, schema={"step_scores": pl.List(pl.Float32())})
    margins = rows.select(_margins()).to_series()
    weights = trajectory_scores(margins.explode(), [1] * 4, "prm_last").vote_weight
    means, _ = weighted_vote_at_k(
        [[0, 0, 1, 1]], [[1.0, 1.0, 0.0, 0.0]], weights[None, None], [4], 2, 0
    )
    assert means.item() == 0.5


def examined(
    answers: pl.DataFrame, ids: Sequence[str] = IDS, prm: str = PRM
) -> dict[str, pl.DataFrame]:
    return adopted_pools.examine_pools(answers, scores_in(answers, prm), ids, SETTINGS)


def pool_of(right: dict[str, list[bool]]) -> pl.DataFrame:
    """A pool of samples that are right or wrong as told, without scores that tell anything."""
    (like,) = [answers_of(replace(POOL, searched=0), [name], PRM) for name in list(right)[:1]]
    rows = [
        {
            **like.row(0, named=True),
            "problem_id": name,
            "sample_index": i,
            "correct": is_right,
            "answer": "1" if is_right else "2",
            "answer_class": 1 if is_right else 2,
        }
        for name, samples in right.items()
        for i, is_right in enumerate(samples)
    ]
    return pl.DataFrame(rows, schema=like.schema)


def test_halves_share_no_sample_and_leave_none_out() -> None:
    answers = answers_of(POOL, IDS, PRM)
    first, second = adopted_pools.halved(answers).values()
    keys = ["problem_id", "sample_index"]
    assert first.join(second, on=keys).is_empty()
    assert first.height + second.height == answers.filter(pool="evaluation").height
    assert first.group_by("problem_id").len()["len"].unique().to_list() == [8]


def test_difficulty_is_that_of_the_half_that_is_not_evaluated() -> None:
    # Lucky in one half and unlucky in the other: with the same samples for both, easy problems
    # would be all right and hard ones all wrong.
    answers = pool_of({name: [True] * 8 + [False] * 8 for name in IDS})
    outcomes = examined(answers)["pool_outcomes"].filter(method="majority", budget=1)
    by_part = {
        part: (set(rows["bucket"]), set(rows["accuracy"]))
        for (part,), rows in outcomes.group_by("part")
    }
    assert by_part == {
        "whole": ({None}, {0.5}),
        "first half": ({"hard"}, {1.0}),
        "second half": ({"easy"}, {0.0}),
    }
    curves = adopted_pools.curves_by_difficulty(
        examined(answers)["pool_outcomes"], {}, IDS, SETTINGS
    )
    # Neither way round has both kinds of problems, so there is no mean of both.
    assert curves.filter(bucket="easy").is_empty()


@pytest.mark.parametrize(("sizes", "is_split"), [([16] * 30, True), ([15] * 30, False)])
def test_a_pool_is_split_if_it_is_large(sizes: list[int], is_split: bool) -> None:
    answers = pool_of({name: [True] * n for name, n in zip(IDS, sizes, strict=True)})
    assert adopted_pools.is_split(answers) is is_split
    with_its_own = answers.with_columns(
        pool=pl.when(pl.col("sample_index") == 0).then(pl.lit("difficulty")).otherwise("pool")
    )
    assert not adopted_pools.is_split(with_its_own)


@pytest.mark.parametrize("n_samples", [3, 17])
def test_no_sample_says_both_how_hard_a_problem_is_and_how_well_it_is_solved(
    n_samples: int,
) -> None:
    """A pool that is not split has no accuracies by difficulty: by its own samples, problems that
    are hard are those that it does not solve."""
    answers = answers_of(replace(POOL, n_samples=n_samples), IDS, PRM)
    policy = AdoptedPolicyPart(
        policy="a", n_parameters=10**9, is_reasoning=False, adopted=AdoptedScores(prm=PRM, spec={})
    )
    request = AdoptedEstimatesRequest(
        answers="0", task="t", settings=SETTINGS, collections=(policy,)
    )
    problems = pl.DataFrame({"problem_id": IDS})
    tables = analysed(policy, request, problems, answers, scores_in(answers, PRM))
    is_split = n_samples >= adopted_pools.SPLIT_FROM
    assert set(tables["curves"]["bucket"]) == {"all", *BUCKETS[: 3 * is_split]}
    assert set(tables["outcomes"]["bucket"]) == {"unknown"}
    assert set(tables["choices"]["bucket"]) <= {"unknown"}
    # What the samples say of the problems stays.
    assert set(tables["difficulty"]["bucket"]) <= {*BUCKETS}


def test_budgets_are_what_the_pool_carries_and_few_problems_may_lack_them() -> None:
    # One of 30 has too few, which is under 5%: it is left out where it lacks samples.
    sizes = [8] + [17] * 29
    answers = pool_of({name: [True] * n for name, n in zip(IDS, sizes, strict=True)})
    outcomes = examined(answers)["pool_outcomes"].filter(method="majority")
    counts = {
        part: dict(rows.group_by("budget").len().sort("budget").iter_rows())
        for (part,), rows in outcomes.group_by("part")
    }
    assert counts["whole"] == {1: 30, 2: 30, 4: 30, 8: 30, 16: 29}
    assert counts["first half"] == counts["second half"] == {1: 29, 2: 29, 4: 29, 8: 29}
    # Two of 30 are more than 5%.
    fewer = pool_of({n: [True] * k for n, k in zip(IDS, [8, 8, *sizes[2:]], strict=True)})
    assert examined(fewer)["pool_outcomes"].filter(method="majority")["budget"].max() == 8


def test_accuracy_at_two_is_the_mean_over_all_pairs_of_samples() -> None:
    answers = answers_of(replace(POOL, n_samples=6, searched=0), IDS, PRM)
    outcomes = examined(answers)["pool_outcomes"]
    accuracies = dict(
        outcomes.filter(
            part="whole", method="best_of_n", scoring="prm_last", voting="prm_max", budget=2
        )
        .select("problem_id", "accuracy")
        .iter_rows()
    )
    for (name,), samples in answers.group_by("problem_id"):
        best = [
            max(pair, key=lambda sample: sample["margins"][-1])["correct"]
            for pair in combinations(samples.rows(named=True), 2)
        ]
        assert accuracies[name] == pytest.approx(fmean(best)), name


def test_curves_by_difficulty_are_means_of_both_ways_round() -> None:
    answers = answers_of(POOL, IDS, PRM)
    outcomes = examined(answers)["pool_outcomes"]
    tokens = accuracy.estimate(answers, scores_in(answers, PRM), {}, IDS, SETTINGS).tokens
    curves = adopted_pools.curves_by_difficulty(outcomes, tokens, IDS, SETTINGS)
    for bucket in ("easy", "medium", "hard"):
        ways = [
            outcomes.filter(
                part=half, bucket=bucket, method="best_of_n", scoring="prm_min", voting="prm_vote",
                budget=4,
            )["accuracy"]
            for half in adopted_pools.HALVES
        ]  # fmt: skip
        (row,) = curves.filter(
            bucket=bucket, method="best_of_n", scoring="prm_min", voting="prm_vote", budget=4
        ).iter_rows(named=True)
        assert row["accuracy"] == pytest.approx(fmean(way.mean() for way in ways))
        assert row["n_problems"] == min(len(way) for way in ways)
        assert row["ci_low"] <= row["accuracy"] <= row["ci_high"]
        assert row["tokens"] == 4 * 300


def test_what_is_chosen_for_both_halves_is_the_mean_of_both_ways_round() -> None:
    tables = examined(answers_of(POOL, IDS, PRM))
    candidates = tables["pool_outcomes"].filter(
        pl.col("method").is_in(["majority", "best_of_n"]), budget=4
    )
    ways = []
    for half in adopted_pools.HALVES:
        rows = candidates.filter(part=half)
        # The best strategy of each bucket on the same problems; the mean over all problems.
        strategy = ["method", "scoring", "voting"]
        of_bucket = rows.group_by("bucket", *strategy).agg(pl.sum("accuracy"))
        best = of_bucket.group_by("bucket").agg(pl.max("accuracy"))["accuracy"].sum()
        ways.append(best / rows["problem_id"].n_unique())
    (row,) = (
        tables["pool_selection"]
        .filter(part="both halves", problems="all", budget=4, rule="in_sample")
        .iter_rows(named=True)
    )
    assert row["accuracy"] == pytest.approx(fmean(ways))
    assert row["n_strategies"] == 7
    by_rule = dict(
        tables["pool_selection"]
        .filter(part="both halves", problems="all", budget=4)
        .select("rule", "accuracy")
        .iter_rows()
    )
    assert by_rule["cross_fitted"] <= by_rule["in_sample"] <= by_rule["oracle"]
    gap = by_rule["in_sample"] - by_rule["cross_fitted"]
    assert by_rule["optimism_gap"] == pytest.approx(gap)
    chosen = tables["pool_chosen"].filter(
        part="both halves", problems="all", budget=4, rule="cross_fitted"
    )
    assert chosen["accuracy"].mean() == pytest.approx(by_rule["cross_fitted"])
    shares = tables["pool_choices"].group_by("part", "problems", "budget", "rule", "bucket")
    assert all(total == pytest.approx(1) for total in shares.agg(pl.sum("share"))["share"])


def test_a_choice_on_other_problems_does_not_know_the_problem() -> None:
    # Two strategies that are equally good on average; which one is right is each problem's luck.
    scored = answers_of(replace(POOL, n_samples=4, searched=0, skill=0.5), IDS, PRM)
    selection = examined(scored)["pool_selection"].filter(part="whole", budget=4)
    by_rule = dict(selection.select("rule", "accuracy").iter_rows())
    assert by_rule["oracle"] > by_rule["in_sample"] >= by_rule["cross_fitted"]


def test_a_search_is_a_candidate_where_it_was_run() -> None:
    tables = examined(answers_of(POOL, IDS, PRM))
    selected = tables["pool_selection"].filter(rule="cross_fitted", budget=4)
    sizes = {
        (part, problems): (n_strategies, n)
        for part, problems, n_strategies, n in selected.select(
            "part", "problems", "n_strategies", "n_problems"
        ).iter_rows()
    }
    assert sizes["whole", "all"] == (7, 30)
    assert sizes["whole", "searched"] == (14, 20)
    assert sizes["both halves", "searched"] == (14, 20)


def test_repetitions_stand_apart_and_their_mean_is_the_search() -> None:
    outcomes = examined(answers_of(POOL, IDS, PRM))["pool_outcomes"].filter(
        method="beam_search", scoring="prm_last", voting="prm_max"
    )
    parts = {part: rows["accuracy"].mean() for (part,), rows in outcomes.group_by("part")}
    assert {part for part in parts if part.startswith("run")} == {"run 0", "run 1", "run 2"}
    assert parts["whole"] == pytest.approx(fmean(parts[f"run {i}"] for i in range(3)))


@pytest.mark.parametrize(
    "rollouts",
    [
        replace(POOL, n_samples=1, searched=0),
        replace(POOL, n_samples=0, searched=5, n_runs=1),
        replace(POOL, n_samples=0, searched=0, is_greedy=True),
        replace(POOL, n_tokens=None),
    ],
)
@pytest.mark.parametrize("n_problems", [1, 3])
def test_whatever_there_is_little_of_gives_tables(rollouts: Rollouts, n_problems: int) -> None:
    ids = IDS[:n_problems]
    answers = answers_of(rollouts, ids, PRM)
    tables = examined(answers, ids)
    assert {name: table.schema for name, table in tables.items()} == {
        name: pl.Schema(schema) for name, schema in adopted_pools.TABLES.items()
    }
    if adopted_pools.is_split(answers):
        tokens = accuracy.estimate(answers, scores_in(answers, PRM), {}, ids, SETTINGS).tokens
        curves = adopted_pools.curves_by_difficulty(tables["pool_outcomes"], tokens, ids, SETTINGS)
        assert curves["accuracy"].null_count() == 0


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SyntheticStudy(
        tasks=(("t", "Tiny", 12),),
        policies=(("own", "Own-1B", "Own", 10**9),),
        prms=PRMS[:1],
        budgets=(4,),
        rollouts=ROLLOUTS,
    ).write(tmp_path_factory.mktemp("rollouts") / "study.duckdb")


def public_claim(query: str, rule: ClaimRule | None = None, **parameters: str | float) -> Claim:
    return Claim(
        name="c", statement="s", where="w", scale="public", query=query, parameters=parameters,
        rule=rule or ClaimRule(),
    )  # fmt: skip


def outcomes_of(rollouts: Rollouts) -> dict[str, pl.DataFrame]:
    task, _, n_problems = OUTSIDE
    ids, prm = [f"{task}/{i:03d}" for i in range(n_problems)], PRMS[0][0]
    answers = answers_of(rollouts, ids, prm)
    return {"answers": answers, **examined(answers, ids, prm)}


def test_small_against_large_counts_missing_answers_both_ways_and_the_first_decides(
    database: Path,
) -> None:
    claim = public_claim(
        "public_small_against_large",
        ClaimRule(across="first"),
        model="Small-1B-AWQ",
        against="Large-.*",
    )
    (judged,) = judge_claims([claim], database)
    small, large = outcomes_of(ROLLOUTS[0]), outcomes_of(ROLLOUTS[3])
    value = dict(
        small["pool_chosen"]
        .filter(part="whole", problems="all", budget=16, rule="cross_fitted")
        .select("problem_id", "accuracy")
        .iter_rows()
    )
    greedy = large["answers"].filter(pool="greedy")
    reference = dict(greedy.select("problem_id", pl.col("correct").cast(float)).iter_rows())
    answered = greedy.filter(pl.col("answer").is_not_null())["problem_id"].to_list()
    assert 0 < len(answered) < len(reference)
    first, second = judged.cases
    for case, ids in ((first, [*value]), (second, answered)):
        assert case.n_problems == len(ids)
        assert case.value == pytest.approx(100 * fmean(value[i] for i in ids))
        assert case.reference == pytest.approx(100 * fmean(reference[i] for i in ids))
    assert judged.estimate == pytest.approx(first.difference)
    assert (judged.low, judged.high) == pytest.approx((first.low, first.high))
    row = next(
        row
        for row in run_query("small_against_large", database)
        if (row["policy"], row["large_policy"], row["budget"]) == ("small--a", "large", 16)
    )
    assert row["small_tokens"] == 16 * 300
    # The table and the verdict are one number with one interval.
    line = next(
        row
        for row in tabulate("small_against_large_numbers", database).rows
        if row[:3] == ["Small-1B-AWQ", 16, "Large-405B"]
    )
    assert (line[6].value, line[6].low, line[6].high) == pytest.approx(
        (first.difference, first.low, first.high)
    )
    assert (line[8].value, line[8].low, line[8].high) == pytest.approx(
        (second.difference, second.low, second.high)
    )


@pytest.mark.parametrize(
    ("table", "query", "parameters", "reads"),
    [
        (
            "public_methods_numbers", "public_methods", {"second": "majority"},
            lambda row: row[1] == "Best-of-N" and row[5] == "Majority voting",
        ),
        (
            "public_voting", "public_methods", {"second": "majority"},
            lambda row: row[3:5] == [16, "Last-Max"],
        ),
        (
            "public_predicted_difficulty_numbers", "predicted_difficulty",
            {"against": "true_difficulty"}, lambda row: row[7] == "true difficulty",
        ),
    ],
)  # fmt: skip
def test_a_difference_has_one_interval_in_a_table_and_in_a_verdict(
    database: Path, tmp_path: Path, table: str, query: str, parameters: dict[str, str],
    reads: Callable[[Sequence[Cell]], bool],
) -> None:  # fmt: skip
    """Also where the task has problems that are not compared, here ten more."""
    path = Path(shutil.copy(database, tmp_path / "study.duckdb"))
    with duckdb.connect(str(path)) as connection:
        for i in range(40):
            connection.execute(
                "INSERT INTO problems BY NAME SELECT ? AS task, ? AS problem_id",
                [OUTSIDE[0], f"{OUTSIDE[0]}/{i:03d}"],
            )
    of_query = {"models": "Small-1B-AWQ", "first": "best_of_n", "budget": 0}
    claim = public_claim(query, **(of_query if query == "public_methods" else {}), **parameters)
    (judged,) = judge_claims([claim], path)
    (case,) = judged.cases
    (line,) = [row for row in tabulate(table, path).rows if row[0] == "Small-1B-AWQ" and reads(row)]
    shown = [(cell.value, cell.low, cell.high) for cell in line if isinstance(cell, Estimate)]
    assert shown[-1] == pytest.approx((case.difference, case.low, case.high))


@pytest.mark.parametrize(("difficulty", "n_cases"), [(".*", 1), ("easy", 2), ("hard", 2)])
def test_methods_are_compared_on_what_both_have_by_the_other_halfs_difficulty(
    database: Path, difficulty: str, n_cases: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compute_optimal.present.claims.judge.MINIMUM_PROBLEMS", 1)
    claim = public_claim(
        "public_methods",
        models="Small-1B-AWQ", first="best_of_n", second="beam_search", budget=4,
        difficulty=difficulty,
    )  # fmt: skip
    (judged,) = judge_claims([claim], database)
    outcomes = outcomes_of(ROLLOUTS[0])["pool_outcomes"].filter(
        budget=4, scoring="prm_last", voting="prm_max"
    )
    expected = []
    for part in ("whole",) if n_cases == 1 else adopted_pools.HALVES:
        rows = outcomes.filter(part=part)
        if n_cases == 2:
            rows = rows.filter(bucket=difficulty)
        both = rows.filter(method="best_of_n").join(
            rows.filter(method="beam_search"), on="problem_id"
        )
        difference = 100 * (both["accuracy"].mean() - both["accuracy_right"].mean())  # type: ignore[operator]
        expected.append((both.height, pytest.approx(difference)))
    assert [(case.n_problems, case.difference) for case in judged.cases] == expected
    assert judged.estimate == pytest.approx(fmean(case.difference for case in judged.cases))


def test_the_papers_items_show_none_of_the_rollouts_where_the_study_runs_something(
    database: Path,
) -> None:
    outside = {rollouts.policy for rollouts in ROLLOUTS}
    parameters = {"task": "t", "scoring": "prm_last", "voting": "prm_max"}
    origin = {"study": "run", "public": "adopted"}
    shown = {scale: set[str]() for scale in origin}
    for item in ITEMS:
        wanted = origin.get(item.scale)
        if wanted is not None:
            shown[item.scale] |= {
                row["policy"]
                for row in run_query(item.query, database, parameters)
                if "policy" in row and row.get("origin", wanted) == wanted
            }
    assert not shown["study"] & outside
    assert not shown["public"] & {"own"}
    assert shown["public"] >= {"small--a", "smaller"}


def test_a_study_that_runs_nothing_shows_the_rollouts_everywhere(tmp_path: Path) -> None:
    database = SyntheticStudy(
        tasks=(), policies=(), prms=PRMS[:1], budgets=(4,), rollouts=ROLLOUTS[:1]
    ).write(tmp_path / "study.duckdb")
    parameters = {"task": OUTSIDE[0], "scoring": "prm_last", "voting": "prm_max"}
    assert {row["policy"] for row in run_query("figure_7", database, parameters)} == {"small--a"}


def test_the_policy_that_stands_for_a_family_has_something_over_n(tmp_path: Path) -> None:
    """One greedy answer of the model nearest to 8B stood for a family that had a pool."""
    near = replace(ROLLOUTS[2], policy="near", model="Near-8B", n_parameters=8_000_000_000)
    database = SyntheticStudy(
        tasks=(), policies=(), prms=PRMS[:1], budgets=(4,), rollouts=(*ROLLOUTS[:2], near)
    ).write(tmp_path / "study.duckdb")
    parameters = {"task": OUTSIDE[0], "scoring": "prm_last", "voting": "prm_max"}
    shown = {row["policy"] for row in run_query("figure_4", database, parameters)}
    assert shown
    assert shown <= {"small--a", "smaller"}


def test_what_is_not_known_is_said_and_is_never_0(database: Path) -> None:
    table = tabulate("small_against_large_numbers", database)
    names = [column.name for column in table.columns]
    for row in table.rows:
        line = dict(zip(names, row, strict=True))
        if line["small"] == "Smaller-0.5B":
            assert line["small_inference_flops"] == "unknown"
        else:
            assert line["small_inference_flops"] == 2 * 1e9 * 300 * line["budget_samples"]  # type: ignore[operator]
        known = line["large"] == "Large-405B"
        assert (line["large_inference_flops"] == "unknown") is not known
    for name in ("public_methods_numbers", "public_pools", "public_selection"):
        shown = tabulate(name, database)
        tokens = [i for i, column in enumerate(shown.columns) if "tokens" in column.name]
        assert shown.rows
        assert {row[i] for row in shown.rows for i in tokens} >= {"unknown"}
        assert 0 not in {row[i] for row in shown.rows for i in tokens}


def test_tokens_of_a_choice_are_of_the_problems_that_it_is_made_for(
    database: Path, tmp_path: Path
) -> None:
    """A problem with too few samples for a budget is left out, with what it would take."""
    copied = tmp_path / "study.duckdb"
    shutil.copyfile(database, copied)
    with duckdb.connect(str(copied)) as connection:
        (long,) = connection.execute(
            "SELECT min(problem_id) FROM pool_chosen WHERE policy = 'small--a'"
        ).fetchone() or ("",)
        of_long = f"policy = 'small--a' AND problem_id = '{long}'"
        connection.execute(f"UPDATE answers SET n_tokens = 30000 WHERE {of_long}")
        connection.execute(f"DELETE FROM pool_chosen WHERE {of_long} AND budget > 2")
    tokens = {
        row["budget"]: row["tokens"]
        for row in run_query("public_selection", copied)
        if (row["policy"], row["part"], row["problems"]) == ("small--a", "whole", "all")
    }
    assert tokens[2] > 2 * 300
    assert tokens[4] == pytest.approx(4 * 300)


@pytest.mark.parametrize("rollouts", [(), ROLLOUTS[:1], ROLLOUTS[3:4]])
def test_items_on_rollouts_say_something_whatever_was_adopted(
    rollouts: tuple[Rollouts, ...], tmp_path: Path
) -> None:
    database = SyntheticStudy(
        tasks=(("t", "Tiny", 3),), policies=(("own", "Own", "Own", 10**9),), prms=PRMS[:1],
        budgets=(4,), rollouts=rollouts,
    ).write(tmp_path / "study.duckdb")  # fmt: skip
    for item in ITEMS:
        if item.scale == "public" and item.kind == "table":
            assert tabulate(item.name, database).markdown()
        elif item.scale == "public":
            assert draw(item.name, database).sheet.axes


def test_what_nobody_means_to_run_has_no_row_that_says_not_run(tmp_path: Path) -> None:
    """Models that others asked once filled figures over N and of difficulty with empty panels."""
    study = SyntheticStudy(tasks=(), policies=(), prms=PRMS[:1], budgets=(4,), rollouts=ROLLOUTS)
    database = study.write(tmp_path / "study.duckdb")
    (task,) = {row["task"] for row in run_query("tasks", database)}
    known = {
        "figure_3": "bin",
        "figure_10": "budget",
        "run_to_run": "budget",
        "optimism_gap": "rule",
    }
    greedy = {rollouts.policy for rollouts in ROLLOUTS if rollouts.is_greedy}
    for name, column in known.items():
        asked = {"task": task, "scoring": "prm_last", "voting": "prm_max"}
        if name == "figure_3":
            asked = {"task": task}
        elif name == "run_to_run":
            del asked["voting"]
        rows = run_query(name, database, asked)
        assert not greedy & {row["policy"] for row in rows}, name
        by_policy: dict[str, set[bool]] = {}
        for row in rows:
            by_policy.setdefault(row["policy"], set()).add(row[column] is not None)
        assert all(True in is_known for is_known in by_policy.values()), name
        assert rows or name not in ("figure_10", "run_to_run")


def test_problems_of_searches_alone_are_counted(tmp_path: Path) -> None:
    """Of who has searches and no pool the overview said that no problem was run."""
    searched = replace(ROLLOUTS[0], n_samples=0)
    study = SyntheticStudy(tasks=(), policies=(), prms=PRMS[:1], budgets=(4,), rollouts=[searched])
    (row,) = run_query("overview", study.write(tmp_path / "study.duckdb"))
    assert (row["policy"], row["n_problems"]) == (searched.policy, searched.searched)
