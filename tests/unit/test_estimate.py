"""Estimates of one (task, policy): arrays from tables, and tables from arrays."""

import dataclasses
import itertools
import math

import numpy as np
import polars as pl
import pytest

from compute_optimal.analyse.accuracy import difficulty, estimate
from compute_optimal.judge.answers import ANSWERS
from compute_optimal.study.requests import EstimateSettings

SETTINGS = EstimateSettings(
    budgets=[1, 2, 4],
    beam_width=2,
    easy=0.5,
    medium=0.1,
    bootstrap_replicates=200,
    vote_subsets=50,
    confidence=0.95,
    seed=0,
)
GRADED = {
    **ANSWERS,
    "answer_class": pl.String(),
    "correct": pl.Boolean(),
    "status": pl.String(),
}


def answers(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=GRADED)


def sample(problem: str, index: int, answer: str, gold: str, **other: object) -> dict[str, object]:
    return {
        "pool": "evaluation",
        "problem_id": problem,
        "sample_index": index,
        "answer": answer,
        "answer_class": answer,
        "correct": answer == gold,
        "status": "graded",
        "n_tokens": 10,
        **other,
    }


POOL = [
    *(sample("a", i, x, "1") for i, x in enumerate("1122")),
    *(sample("b", i, x, "7") for i, x in enumerate("5557")),
]
MARGINS = {("a", 0): 0.1, ("a", 1): 0.4, ("a", 2): 0.3, ("a", 3): 0.2, ("b", 3): 2.0}
SCORES = pl.DataFrame(
    {
        "problem_id": ["a"] * 4 + ["b"] * 4,
        "sample_index": [*range(4), *range(4)],
        "margins": [[9.0, MARGINS.get((p, i), -1.0 - i)] for p in "ab" for i in range(4)],
    }
)


def value(curves: pl.DataFrame, budget: int, **strategy: str | None) -> float:
    rows = curves.filter(
        pl.col("budget") == budget,
        pl.col("bucket") == "all",
        *(pl.col(k).eq_missing(pl.lit(v)) for k, v in strategy.items()),
    )
    assert rows.height == 1, rows
    return float(rows["accuracy"][0])


def by_enumeration(budget: int, pick: object) -> float:
    """Mean over problems and over all subsets of ``budget`` samples of ``pick(subset)``."""
    assert callable(pick)
    total = 0.0
    for problem in "ab":
        mine = [row for row in POOL if row["problem_id"] == problem]
        subsets = list(itertools.combinations(mine, budget))
        total += sum(pick(subset) for subset in subsets) / len(subsets) / 2
    return total


def test_curves_are_what_enumeration_of_subsets_gives() -> None:
    settings = dataclasses.replace(SETTINGS, budgets=(1, 3, 4))
    curves, *_ = estimate(answers(POOL), {"prm": SCORES}, {"a": "easy"}, ["a", "b"], settings)

    def best(subset: tuple[dict[str, object], ...]) -> float:
        def score(row: dict[str, object]) -> float:
            place = str(row["problem_id"]), int(str(row["sample_index"]))
            return MARGINS.get(place, -1.0 - place[1])

        return float(max(subset, key=score)["correct"] is True)

    def plurality(subset: tuple[dict[str, object], ...]) -> float:
        counts: dict[object, int] = {}
        for row in subset:
            counts[row["answer"]] = counts.get(row["answer"], 0) + 1
        tied = [x for x, n in counts.items() if n == max(counts.values())]
        right = {row["answer"] for row in subset if row["correct"]}
        return sum(x in right for x in tied) / len(tied)

    for budget in (1, 2, 3, 4):
        accuracy = value(curves, budget, method="best_of_n", scoring="prm_last", voting="prm_max")
        assert math.isclose(accuracy, by_enumeration(budget, best))
        accuracy = value(curves, budget, method="majority", voting="majority")
        assert math.isclose(accuracy, by_enumeration(budget, plurality))


def test_curves_have_powers_of_two_the_budgets_of_the_study_and_the_whole_pool() -> None:
    rows = [sample("a", i, "1", "1") for i in range(13)]
    margins = {"problem_id": "a", "sample_index": [*range(13)], "margins": [[1.0]] * 13}
    settings = dataclasses.replace(SETTINGS, budgets=(3, 6, 40))
    curves, *_ = estimate(answers(rows), {"prm": pl.DataFrame(margins)}, {}, ["a"], settings)
    for (method, voting), curve in curves.filter(bucket="all").group_by("method", "voting"):
        assert sorted(set(curve["budget"])) == [1, 2, 3, 4, 6, 8, 13], (method, voting)


def test_a_prm_that_read_less_than_the_pool_is_estimated_on_what_it_read() -> None:
    part = pl.col("sample_index") < 2
    scores = {"whole": SCORES, "part": SCORES.filter(part)}
    curves = estimate(answers(POOL), scores, {}, ["a", "b"], SETTINGS, {"part": 2}).curves
    alone = [row for row in POOL if int(str(row["sample_index"])) < 2]
    expected = estimate(answers(alone), {"part": SCORES}, {}, ["a", "b"], SETTINGS).curves
    of_part, of_whole = (curves.filter(prm=prm).drop("tokens") for prm in ("part", "whole"))
    assert of_part.equals(expected.filter(prm="part").drop("tokens"))
    assert of_part["budget"].max() == 2
    assert of_whole["budget"].max() == 4
    assert curves.filter(method="majority")["budget"].max() == 4


def test_order_of_rows_does_not_matter() -> None:
    one = estimate(answers(POOL), {"prm": SCORES}, {}, ["a", "b"], SETTINGS)
    shuffled = answers(POOL).sample(fraction=1, shuffle=True, seed=1)
    other = estimate(shuffled, {"prm": SCORES.reverse()}, {}, ["a", "b"], SETTINGS)
    assert one[0].equals(other[0])
    assert one[1].equals(other[1])


def test_a_bucket_holds_its_own_problems_only() -> None:
    curves, *_ = estimate(answers(POOL), {}, {"a": "easy", "b": "hard"}, ["a", "b"], SETTINGS)
    first = curves.filter(method="pass_at_k", budget=1)
    accuracies = dict(first.select("bucket", "accuracy").iter_rows())
    assert accuracies == {"all": 0.375, "easy": 0.5, "hard": 0.25}


def test_buckets_come_from_the_difficulty_pool() -> None:
    rows = [*POOL, *(sample("a", i, "2", "1", pool="difficulty") for i in range(5))]
    rows += [sample("b", i, "7", "7", pool="difficulty") for i in range(5)]
    rated = difficulty(answers(rows), ["a", "b"], SETTINGS)
    buckets = rated.filter(pool="difficulty").select("problem_id", "bucket", "bucket_pool").rows()
    assert buckets == [("a", "hard", "difficulty"), ("b", "easy", "difficulty")]
    assert rated.filter(pool="evaluation", problem_id="a")["bucket"].to_list() == ["hard"]


def search(
    problem: str, subtree: int, answer: str, gold: str, **other: object
) -> dict[str, object]:
    row = {"pool": None, "prm": "prm", "method": "dvts", "subtree": subtree, "n_tokens_tree": 40}
    return sample(problem, 0, answer, gold, margins=[0.5, float(subtree)], **(row | other))


def test_dvts_at_smaller_budgets_averages_over_sets_of_whole_subtrees() -> None:
    rows = [search("a", 0, "1", "1"), search("a", 1, "2", "1")]
    curves, outcomes, *_ = estimate(answers(rows), {}, {"a": "easy"}, ["a"], SETTINGS)
    # One subtree costs M = 2: at N = 2 either of them, at N = 4 both, and the second scores best.
    assert value(curves, 2, method="dvts", scoring="prm_last", voting="prm_max") == 0.5
    assert value(curves, 4, method="dvts", scoring="prm_last", voting="prm_max") == 0.0
    assert value(curves, 4, method="dvts", scoring=None, voting="majority") == 0.5
    tokens = curves.filter(method="dvts", voting="majority", bucket="all")
    assert dict(tokens.select("budget", "tokens").iter_rows()) == {2: 40.0, 4: 80.0}
    assert set(outcomes["budget"]) == {2, 4}


SIBLINGS = {0: "12", 1: "11", 2: "22", 3: "21"}
"""Answers of four subtrees with two siblings each; the second sibling of each is scored higher."""


def siblings() -> list[dict[str, object]]:
    return [
        search("a", subtree, answer, "1")
        | {"sample_index": path, "margins": [subtree + 10.0 * path]}
        for subtree, of_subtree in SIBLINGS.items()
        for path, answer in enumerate(of_subtree)
    ]


def test_subtrees_with_several_answers_are_taken_whole_and_make_no_larger_budget() -> None:
    settings = dataclasses.replace(SETTINGS, budgets=[2, 4, 8, 16])
    curves, outcomes, *_ = estimate(answers(siblings()), {}, {"a": "easy"}, ["a"], settings)
    assert set(outcomes["budget"]) == {2, 4, 8}

    def mean_over_sets(n: int, pick: object) -> float:
        assert callable(pick)
        sets = list(itertools.combinations(SIBLINGS, n))
        return sum(pick(some) for some in sets) / len(sets)

    def vote(some: tuple[int, ...]) -> float:
        n_right = sum(SIBLINGS[subtree].count("1") for subtree in some)
        return 0.5 if n_right == len(some) else float(n_right > len(some))

    def best(some: tuple[int, ...]) -> float:
        return float(SIBLINGS[max(some)][1] == "1")

    for budget, n in ((2, 1), (4, 2), (8, 4)):
        accuracy = value(curves, budget, method="dvts", scoring=None, voting="majority")
        assert accuracy == pytest.approx(mean_over_sets(n, vote))
        accuracy = value(curves, budget, method="dvts", scoring="prm_last", voting="prm_max")
        assert accuracy == pytest.approx(mean_over_sets(n, best))
    tokens = curves.filter(method="dvts", voting="majority", bucket="all")
    assert dict(tokens.select("budget", "tokens").iter_rows()) == {2: 40.0, 4: 80.0, 8: 160.0}


@pytest.mark.parametrize("method", ["beam_search", "dvts"])
def test_repetitions_are_averaged_and_show_their_spread(method: str) -> None:
    """Three runs that give one right answer: a third, and never the vote or best of all of them."""
    budget = 4 if method == "beam_search" else None
    rows = [
        search(problem, subtree, answer, "1", method=method, budget=budget, repetition=run)
        for problem in "ab"
        for run, answer in enumerate("122")
        for subtree in (range(1) if budget else range(2))
    ]
    curves, outcomes, spread, _ = estimate(answers(rows), {}, {}, ["a", "b"], SETTINGS)
    assert set(outcomes["budget"]) == ({4} if budget else {2, 4})
    for voting, scoring in (("majority", None), ("prm_max", "prm_last"), ("prm_vote", "prm_min")):
        accuracy = value(curves, 4, method=method, voting=voting, scoring=scoring)
        assert accuracy == pytest.approx(1 / 3)
    # The mean of three values 1, 0, 0 has a standard error of 1/3; of two problems, over root 2.
    at_four = spread.filter(budget=4)
    assert at_four.height == 7
    assert at_four["standard_error"].to_list() == pytest.approx([1 / 3 / 2**0.5] * 7)


def test_a_problem_that_lacks_a_repetition_is_averaged_over_the_others() -> None:
    rows = [
        search("a", 0, answer, "1", method="beam_search", budget=4, repetition=run)
        for run, answer in enumerate("12")
    ]
    rows.append(search("b", 0, "7", "7", method="beam_search", budget=4, repetition=1))
    curves, _, spread, _ = estimate(answers(rows), {}, {}, ["a", "b"], SETTINGS)
    assert value(curves, 4, method="beam_search", scoring=None, voting="majority") == 0.75
    # Of the two problems only one shows how far runs differ.
    assert spread["standard_error"].to_list() == pytest.approx([0.5 / 2**0.5] * 7)


def test_beam_search_votes_over_the_paths_it_found_however_many() -> None:
    rows = [
        search("a", 0, x, "1", method="beam_search", budget=4, sample_index=i)
        for i, x in enumerate("211")
    ]
    rows.append(search("b", 0, "7", "7", method="beam_search", budget=4))
    curves, *_ = estimate(answers(rows), {}, {}, ["a", "b"], SETTINGS)
    assert value(curves, 4, method="beam_search", scoring=None, voting="majority") == 1.0


@pytest.mark.parametrize(
    "rows",
    [
        [sample("a", 0, "1", "1")],
        [sample("a", i, "2", "1") for i in range(4)],
        [
            {**sample("a", i, "", "1"), "answer": None, "answer_class": None, "status": "no_answer"}
            for i in range(4)
        ],
        [
            {**sample("a", i, "x", "1"), "correct": None, "status": "timeout"}
            for i in range(2)
        ],
    ],
    ids=["one sample", "all wrong", "no answers", "only timeouts"],
)  # fmt: skip
def test_degenerate_pools_give_numbers(rows: list[dict[str, object]]) -> None:
    equal = pl.DataFrame(
        {"problem_id": ["a"] * 4, "sample_index": [0, 1, 2, 3], "margins": [[1.0]] * 4}
    )
    curves, *_ = estimate(answers(rows), {"prm": equal}, {"a": "hard"}, ["a"], SETTINGS)
    assert curves.height
    assert np.isfinite(curves["accuracy"].to_numpy()).all()
    assert (curves["ci_low"] <= curves["ci_high"]).all()
