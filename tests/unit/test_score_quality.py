"""What scores are worth, against counting by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest

from compute_optimal.analyse.score_quality import MEASURES, SIGNED, TABLES, examine_scores
from compute_optimal.analyse.statistics.intervals import unseen_limits
from compute_optimal.study.requests import EstimateSettings

SETTINGS = EstimateSettings([2, 4], 4, 0.5, 0.1, 200, 20, 0.95, 0)
IDS = ["a", "b", "c"]
N = 6


def study(seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Three problems with six samples each; scores take few values, so they tie; one is missing."""
    random = np.random.default_rng(seed)
    n = len(IDS) * N
    correct = random.random(n) < 0.5
    answers = pl.DataFrame(
        {
            "pool": ["evaluation"] * n,
            "method": pl.Series([None] * n, dtype=pl.String),
            "problem_id": np.repeat(IDS, N),
            "sample_index": list(range(N)) * len(IDS),
            "answer_class": np.where(correct, "1", "2"),
            "correct": correct,
            "n_tokens": random.integers(10, 100, n),
        }
    )
    margins = [[float(m)] * int(k) for m, k in zip(
        random.integers(-2, 3, n) + correct, random.integers(1, 4, n), strict=True)]  # fmt: skip
    scores = answers.select("problem_id", "sample_index").with_columns(
        margins=pl.Series(margins, dtype=pl.List(pl.Float32))
    )
    return answers, scores.filter(~((pl.col("problem_id") == "b") & (pl.col("sample_index") == 3)))


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    answers, scores = study()
    return examine_scores(answers, {"r": scores}, IDS, SETTINGS)


def by_problem() -> dict[str, list[tuple[float, bool, int]]]:
    """(margin, right, tokens) of the scored samples."""
    answers, scores = study()
    rows = answers.join(scores, on=["problem_id", "sample_index"])
    samples: dict[str, list[tuple[float, bool, int]]] = {name: [] for name in IDS}
    for row in rows.iter_rows(named=True):
        samples[row["problem_id"]].append((row["margins"][-1], row["correct"], row["n_tokens"]))
    return samples


def measure(tables: dict[str, pl.DataFrame], name: str) -> dict[str, float]:
    return tables["score_quality"].row(
        by_predicate=(pl.col("measure") == name) & (pl.col("scoring") == "prm_last"), named=True
    )


def test_discrimination_and_ties_are_counts_of_pairs(tables: dict[str, pl.DataFrame]) -> None:
    won, tied = [], []
    for samples in by_problem().values():
        right = [m for m, is_right, _ in samples if is_right]
        wrong = [m for m, is_right, _ in samples if not is_right]
        if right and wrong:
            won.append(np.mean([(r > w) + 0.5 * (r == w) for r in right for w in wrong]))
        tied.append(np.mean([a[0] == b[0] for a, b in combinations(samples, 2)]))
    assert measure(tables, "discrimination")["value"] == pytest.approx(np.mean(won))
    assert measure(tables, "tied_pairs")["value"] == pytest.approx(np.mean(tied))
    assert measure(tables, "unscored")["value"] == pytest.approx(1 / 18)


def test_calibration_is_the_share_that_is_right(tables: dict[str, pl.DataFrame]) -> None:
    samples = [s for of_problem in by_problem().values() for s in of_problem]
    score = np.array([1 / (1 + np.exp(-margin)) for margin, _, _ in samples])
    right = np.array([is_right for _, is_right, _ in samples])
    error = 0.0
    for row in tables["calibration"].filter(scoring="prm_last").iter_rows(named=True):
        inside = (score * 10).astype(int) == row["bin"]
        assert row["n_samples"] == inside.sum()
        assert row["score"] == pytest.approx(score[inside].mean())
        assert row["value"] == pytest.approx(right[inside].mean())
        error += inside.mean() * abs(score[inside].mean() - right[inside].mean())
    assert measure(tables, "calibration_error")["value"] == pytest.approx(error)
    assert measure(tables, "overconfidence")["value"] == pytest.approx(score.mean() - right.mean())


def test_picks_rise_in_score_with_the_budget(tables: dict[str, pl.DataFrame]) -> None:
    picks = tables["picks"].filter(scoring="prm_last", measure="score").sort("budget")
    assert picks["budget"].to_list() == [1, 2, 4]
    assert picks["value"].is_sorted()
    tokens = tables["picks"].filter(scoring="prm_last", measure="tokens", budget=1)["value"].item()
    assert tokens == pytest.approx(study()[0]["n_tokens"].mean())


def test_length_correlation_ignores_what_explains_both() -> None:
    """Longer when wrong, and lower scores when wrong: no bias for length among equals."""
    answers, _ = study()
    lengths = pl.when("correct").then(20).otherwise(80) + pl.col("sample_index") % 2
    answers = answers.with_columns(n_tokens=lengths)
    flat = answers.select("problem_id", "sample_index", "correct").with_columns(
        margins=pl.concat_list(pl.when("correct").then(3.0).otherwise(-3.0).cast(pl.Float32))
    )
    none = examine_scores(answers, {"r": flat}, IDS, SETTINGS)
    assert "length_correlation" not in set(none["score_quality"]["measure"])
    biased = flat.with_columns(
        margins=pl.concat_list((pl.col("sample_index") % 2 * 2.0).cast(pl.Float32))
    )
    tables = examine_scores(answers, {"r": biased}, IDS, SETTINGS)
    assert measure(tables, "length_correlation")["value"] > 0.7


@pytest.mark.parametrize("length", [9, 60, 999])
@pytest.mark.parametrize("size", [3, 7, 100, 256])
def test_equal_lengths_and_equal_scores_have_no_spread(size: int, length: int) -> None:
    """However many they are: a mean of logarithms is not always that of each."""
    rng = np.random.default_rng(size)
    # Of the first problem all is equal; of the others the lengths, the scores, and neither.
    varying = rng.integers(10, 100, (4, size)), rng.integers(-3, 4, (4, size))
    lengths = np.where([[0], [0], [1], [1]], varying[0], length)
    heights = np.where([[0], [1], [0], [1]], varying[1], 0.3)
    samples = pl.DataFrame(
        {
            "problem_id": np.repeat(["a", "b", "c", "d"], size),
            "sample_index": np.tile(np.arange(size), 4),
            "n_tokens": lengths.ravel(),
            "margins": heights.reshape(-1, 1).tolist(),
        }
    )
    answers = samples.drop("margins").with_columns(
        pool=pl.lit("evaluation"),
        method=pl.lit(None, dtype=pl.String),
        answer_class=pl.lit("1"),
        correct=pl.lit(value=True),
    )
    of_prm = {"r": samples.select("problem_id", "sample_index", "margins")}

    def found(ids: list[str]) -> list[tuple[float, int]]:
        known = pl.col("problem_id").is_in(ids)
        given = {"r": of_prm["r"].filter(known)}
        quality = examine_scores(answers.filter(known), given, ids, SETTINGS)["score_quality"]
        rows = quality.filter(measure="length_correlation", scoring="prm_last")
        return rows.select("value", "n_problems").rows()

    assert found(["a"]) == found(["a", "b"]) == found(["a", "c"]) == []
    ((value, n_problems),) = found(["a", "b", "c", "d"])
    assert n_problems == 2
    x, y = np.log(lengths + 1), heights.astype(float)
    dx, dy = (v - v.mean(axis=1, keepdims=True) for v in (x, y))
    assert value == pytest.approx((dx * dy).sum() / np.sqrt((dx**2).sum() * (dy**2).sum()))


@pytest.mark.parametrize("n_problems", [1, 2, 3])
def test_few_problems_are_no_certainty(n_problems: int) -> None:
    """Also where a measure is the same on all: nothing unscored, one score for all samples."""
    answers, scores = study()
    equal = scores.with_columns(margins=pl.lit([1.0]))
    ids = IDS[:n_problems]
    known = pl.col("problem_id").is_in(ids)
    of_prms = {"a": scores.filter(known), "b": equal.filter(known)}
    quality = examine_scores(answers.filter(known), of_prms, ids, SETTINGS)["score_quality"]
    assert set(quality["measure"]) == set(MEASURES)
    for row in quality.filter(pl.col("measure") != "calibration_error").iter_rows(named=True):
        least = -1 if row["measure"] in SIGNED else 0
        ends = unseen_limits((row["value"] - least) / (1 - least), row["n_problems"])
        low, high = (least + (1 - least) * end for end in ends)
        assert least <= row["ci_low"] <= low + 1e-12 <= high <= row["ci_high"] + 1e-12 <= 1 + 1e-12


@pytest.mark.parametrize("n_problems", [1, 3])
def test_equal_picks_and_equal_halves_are_no_certainty(n_problems: int) -> None:
    """All right, all scored alike, all as long: other problems and other samples may differ."""
    answers, _ = study()
    ids = IDS[:n_problems]
    known = pl.col("problem_id").is_in(ids)
    answers = answers.filter(known).with_columns(
        correct=True, answer_class=pl.lit("1"), n_tokens=pl.lit(50)
    )
    equal = answers.select("problem_id", "sample_index", margins=pl.lit([1.0]))
    tables = examine_scores(answers, {"r": equal}, ids, SETTINGS)
    for row in tables["picks"].iter_rows(named=True):
        assert row["n_problems"] == n_problems
        if row["measure"] == "score":
            low, high = unseen_limits(row["value"], n_problems)
            assert (row["ci_low"], row["ci_high"]) == (pytest.approx(low), pytest.approx(high))
        else:
            assert (row["ci_low"], row["ci_high"]) == (None, None)
    assert tables["run_to_run"].height
    assert tables["run_to_run"]["standard_error"].to_list() == [None] * tables["run_to_run"].height


def test_picks_that_differ_have_the_intervals_that_they_had(
    tables: dict[str, pl.DataFrame],
) -> None:
    for row in tables["picks"].iter_rows(named=True):
        assert row["ci_low"] < row["value"] < row["ci_high"]
        if row["measure"] == "score":
            low, high = unseen_limits(row["value"], row["n_problems"])
            assert row["ci_low"] <= low < high <= row["ci_high"]
    assert (tables["run_to_run"]["standard_error"] > 0).all()


def test_nothing_to_examine_gives_empty_tables() -> None:
    answers, scores = study()
    for tables in (
        examine_scores(answers.clear(), {}, IDS, SETTINGS),
        examine_scores(answers, {"r": scores.clear()}, IDS, SETTINGS),
        examine_scores(answers.filter(pl.col("sample_index") < 1), {"r": scores}, IDS, SETTINGS),
    ):
        assert {name: frame.schema for name, frame in tables.items()} == {
            name: pl.Schema(columns) for name, columns in TABLES.items()
        }
