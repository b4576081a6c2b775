"""Compute-optimal selection of a (task, policy): what is compared, and what the rows say."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest

from compute_optimal.analyse.accuracy import OUTCOMES
from compute_optimal.analyse.selection import RULES, TABLES, select_strategies

IDS = [f"p{i}" for i in range(40)]
EASY = dict.fromkeys(IDS[:20], "easy") | dict.fromkeys(IDS[20:], "hard")


def outcomes(chances: dict[tuple[str, str, int], dict[str, float]]) -> pl.DataFrame:
    """One row a problem; ``chances``: (prm, method, budget) -> accuracy by difficulty."""
    rows = [
        (prm, method, "prm_last", "prm_max", budget, name, bucket, chance[bucket])
        for (prm, method, budget), chance in chances.items()
        for name, bucket in EASY.items()
    ]
    return pl.DataFrame(rows, schema=OUTCOMES, orient="row")


def select(frame: pl.DataFrame, budgets: tuple[int, ...] = (4,)) -> pl.DataFrame:
    return selected(frame, budgets)["selection"]


def selected(frame: pl.DataFrame, budgets: tuple[int, ...] = (4,)) -> dict[str, pl.DataFrame]:
    return select_strategies(
        frame,
        IDS,
        task="MATH-500",
        n_parameters=3 * 10**9,
        is_reasoning=False,
        budgets=budgets,
        replicates=400,
        confidence=0.95,
        seed=0,
    )


def test_each_rule_picks_what_it_says() -> None:
    rows = select(
        outcomes(
            {
                ("r", "best_of_n", 4): {"easy": 0.9, "hard": 0.1},
                ("r", "beam_search", 4): {"easy": 0.5, "hard": 0.4},
                ("s", "best_of_n", 4): {"easy": 0.7, "hard": 0.6},
            }
        )
    )
    accuracies = {(row["prm"], row["rule"]): row["accuracy"] for row in rows.iter_rows(named=True)}
    assert accuracies["r", "in_sample"] == pytest.approx((0.9 + 0.4) / 2)
    assert accuracies["r", "cross_fitted"] == pytest.approx((0.9 + 0.4) / 2)
    # Below 7B the paper's rule takes beam search for everything; s was not run with it.
    assert accuracies["r", "fixed_rule"] == pytest.approx((0.5 + 0.4) / 2)
    assert ("s", "fixed_rule") not in accuracies
    # Choosing the PRM too: one PRM, not the best of each difficulty.
    assert accuracies[None, "in_sample"] == pytest.approx((0.9 + 0.4) / 2)
    assert rows.filter(pl.col("prm").is_null())["n_strategies"].to_list() == [3] * 4


def test_a_budget_of_one_prm_alone_decides_for_no_other() -> None:
    tables = selected(
        outcomes(
            {
                ("r", "best_of_n", 4): {"easy": 0.9, "hard": 0.4},
                ("s", "best_of_n", 4): {"easy": 0.5, "hard": 0.1},
                ("s", "best_of_n", 16): {"easy": 0.6, "hard": 0.2},
            }
        ),
        (4, 16),
    )
    chosen = tables["selection"].filter(pl.col("prm").is_null(), pl.col("rule") == "in_sample")
    by_budget = {row["budget"]: row for row in chosen.iter_rows(named=True)}
    assert by_budget[4]["accuracy"] == pytest.approx((0.9 + 0.4) / 2)
    assert by_budget[16]["accuracy"] == pytest.approx((0.6 + 0.2) / 2)
    assert (by_budget[4]["n_strategies"], by_budget[16]["n_strategies"]) == (2, 1)
    choices = tables["choices"].filter(pl.col("rule") == "in_sample")
    assert set(choices.select("budget", "prm").iter_rows()) == {(4, "r"), (16, "s")}


def test_the_prm_is_chosen_at_the_largest_budget_and_stays() -> None:
    tables = selected(
        outcomes(
            {
                ("r", "best_of_n", 4): {"easy": 0.9, "hard": 0.4},
                ("s", "best_of_n", 4): {"easy": 0.5, "hard": 0.1},
                ("r", "best_of_n", 16): {"easy": 0.6, "hard": 0.4},
                ("s", "best_of_n", 16): {"easy": 0.7, "hard": 0.2},
                ("s", "dvts", 16): {"easy": 0.1, "hard": 0.5},
            }
        ),
        (4, 16),
    )
    chosen = tables["choices"].filter(rule="in_sample").drop("scoring", "voting", "rule")
    assert chosen.rows() == [
        (4, "easy", "s", "best_of_n", 1.0, 20),
        (4, "hard", "s", "best_of_n", 1.0, 20),
        (16, "easy", "s", "best_of_n", 1.0, 20),
        (16, "hard", "s", "dvts", 1.0, 20),
    ]
    of_all = tables["selection"].filter(pl.col("prm").is_null(), rule="in_sample")
    assert dict(of_all.select("budget", "accuracy").iter_rows()) == pytest.approx({4: 0.3, 16: 0.6})


def test_ties_of_prms_and_methods_are_shared_and_shown() -> None:
    """Two PRMs that do equally well, one of them with two methods; a third does less well."""
    tables = selected(
        outcomes(
            {
                ("r", "best_of_n", 4): {"easy": 0.9, "hard": 0.1},
                ("r", "dvts", 4): {"easy": 0.9, "hard": 0.1},
                ("s", "best_of_n", 4): {"easy": 0.6, "hard": 0.4},
                ("t", "best_of_n", 4): {"easy": 0.6, "hard": 0.3},
            }
        )
    )
    chosen = tables["choices"].filter(rule="in_sample", bucket="easy")
    assert chosen.select("prm", "method", "share").rows() == [
        ("r", "best_of_n", 0.25),
        ("r", "dvts", 0.25),
        ("s", "best_of_n", 0.5),
    ]
    shares = tables["choices"].group_by("budget", "rule", "bucket").agg(pl.sum("share"))
    assert shares["share"].to_list() == pytest.approx([1.0] * shares.height)
    by_name = dict(
        tables["chosen_outcomes"]
        .filter(rule="in_sample")
        .select("problem_id", "accuracy")
        .iter_rows()
    )
    assert by_name == pytest.approx({n: 0.75 if EASY[n] == "easy" else 0.25 for n in IDS})


def test_every_choice_is_made_on_other_problems() -> None:
    """Whatever a problem's own outcomes are, the rule cross_fitted gives it the same strategies."""
    random = np.random.default_rng(3)
    chances = {(p, m, n): {"easy": 0.5, "hard": 0.5} for p in "rst" for m in ("best_of_n", "dvts")
               for n in (4, 16)}  # fmt: skip
    frame = outcomes(chances)
    frame = frame.with_columns(accuracy=pl.Series(random.random(frame.height)))

    def of_problem(table: pl.DataFrame) -> float:
        rows = table.filter(rule="cross_fitted", problem_id="p7", budget=16)
        return float(rows["accuracy"].item())

    def with_outcomes(prm: str, value: float) -> pl.DataFrame:
        mine = (pl.col("problem_id") == "p7") & (pl.col("prm") == prm)
        return frame.with_columns(accuracy=pl.when(mine).then(value).otherwise("accuracy"))

    # What it is given is linear in its own outcomes: their shares do not depend on them.
    # Below 0, as a chance ends at 1.
    base, once, far = (
        of_problem(selected(with_outcomes("r", value), (4, 16))["chosen_outcomes"])
        for value in (0.0, 1.0, -100.0)
    )
    assert far - base == pytest.approx(-100 * (once - base))
    assert 0 <= once - base <= 1


def test_equal_strategies_show_their_optimism() -> None:
    """Coin tosses: picking the best of six in-sample gains points that are not there."""
    random = np.random.default_rng(1)
    methods = ("best_of_n", "beam_search", "dvts")
    frame = outcomes({(p, m, 4): {"easy": 0, "hard": 0} for p, m in product("rs", methods)})
    frame = frame.with_columns(
        accuracy=pl.Series(random.integers(0, 2, frame.height).astype(float))
    )
    tables = selected(frame)
    selection = tables["selection"]
    held_out = tables["chosen_outcomes"].filter(rule="cross_fitted")
    rows = {row["rule"]: row for row in selection.iter_rows(named=True) if row["prm"] is None}
    assert rows["in_sample"]["accuracy"] > 0.55
    assert rows["cross_fitted"]["accuracy"] < rows["in_sample"]["accuracy"] - 0.05
    # The single problems behind the cross-fitted number are no better than a coin.
    assert held_out["problem_id"].to_list() == IDS
    assert held_out["accuracy"].mean() == pytest.approx(rows["cross_fitted"]["accuracy"])
    gap = rows["optimism_gap"]
    assert gap["accuracy"] == pytest.approx(
        rows["in_sample"]["accuracy"] - rows["cross_fitted"]["accuracy"]
    )
    assert gap["ci_low"] < gap["accuracy"] < gap["ci_high"]
    assert rows["oracle"]["accuracy"] > rows["in_sample"]["accuracy"]


def test_one_prm_is_also_the_choice_among_all() -> None:
    rows = select(outcomes({("r", "best_of_n", 4): {"easy": 1.0, "hard": 0.0}}))
    of_one, of_all = (rows.filter(pl.col("prm").eq_missing(p)).drop("prm") for p in ("r", None))
    assert of_one.equals(of_all)
    assert set(of_one["rule"]) == set(RULES) - {"fixed_rule"}


def test_a_method_that_lacks_problems_is_no_candidate_in_their_bucket() -> None:
    frame = outcomes(
        {
            ("r", "best_of_n", 4): {"easy": 0.4, "hard": 0.4},
            ("r", "dvts", 4): {"easy": 1.0, "hard": 1.0},
        }
    ).filter((pl.col("method") != "dvts") | (pl.col("problem_id") != "p3"))
    chosen = selected(frame)["choices"].filter(rule="in_sample")
    assert chosen.select("bucket", "method").rows() == [("easy", "best_of_n"), ("hard", "dvts")]


def test_a_budget_without_runs_has_no_rows() -> None:
    frame = outcomes({("r", "best_of_n", 4): {"easy": 1.0, "hard": 0.0}})
    assert set(select(frame, (4, 16))["budget"]) == {4}
    nothing = selected(frame.clear())
    assert {name: table.schema for name, table in nothing.items()} == {
        name: pl.Schema(schema) for name, schema in TABLES.items()
    }
