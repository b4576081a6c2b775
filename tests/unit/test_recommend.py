"""What to run for a budget or an accuracy: in words, for machines, and what cannot be answered."""

from __future__ import annotations

import json
import math
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest
from synthetic_study import POLICIES, PRMS, SyntheticStudy

from compute_optimal.cli import main
from compute_optimal.errors import StudyError
from compute_optimal.present.query import opened, run_query
from compute_optimal.present.recommend import UNITS, Asked, in_words, recommend

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = SyntheticStudy(policies=POLICIES[:2], prms=PRMS[:1], budgets=(4, 16))
    return study.write(tmp_path_factory.mktemp("study") / "study.duckdb")


def test_the_most_accurate_way_within_a_budget(database: Path) -> None:
    recommended = recommend(database, Asked(most=16))
    assert [one.task for one in recommended] == ["AIME24", "MATH-500"]
    for one in recommended:
        assert one.samples <= 16
        assert one.ci_low <= one.accuracy <= one.ci_high
        assert sum(one.methods.values()) == pytest.approx(1)
    for less, more in zip(recommend(database, Asked(most=1)), recommended, strict=True):
        assert less.accuracy <= more.accuracy


@pytest.mark.parametrize("unit", UNITS)
def test_the_cheapest_way_to_an_accuracy(database: Path, unit: str) -> None:
    (recommended,) = recommend(database, Asked(unit=unit, accuracy=0.3, task="MATH-500"))
    assert recommended.accuracy >= 0.3
    # No less of it would do: what costs less is less accurate, or not for sure.
    cost = recommended.cost(unit)
    assert cost is not None
    if recommended.ci_low >= 0.3:
        try:
            (cheaper,) = recommend(database, Asked(unit=unit, most=0.99 * cost, task="MATH-500"))
        except StudyError:
            return
        assert cheaper.ci_low < 0.3


def test_an_answer_says_of_how_many_ways_it_was_picked(database: Path) -> None:
    """It said that its problems had not chosen it, while the best of all ways is chosen on them."""
    with opened(database):
        (settings,) = run_query("settings", database)
        ways = run_query(
            "recommendations", database, {name: settings[name] for name in ("scoring", "voting")}
        )
    for one in recommend(database, Asked(most=4)):
        fitting = [
            way for way in ways
            if way["task_title"] == one.task and way["difficulty"] == "all" and way["samples"] <= 4
        ]  # fmt: skip
        assert one.n_ways == len(fitting) > 1
        assert one.accuracy == pytest.approx(max(way["accuracy"] for way in fitting))
        assert f"Picked from {one.n_ways} ways that fit" in in_words([one])
        assert "No other way fits." in in_words([replace(one, n_ways=1, as_good=0)])


def test_that_others_were_measured_on_more_problems_is_said(database: Path) -> None:
    (one,) = recommend(database, Asked(most=16, task="MATH-500"))
    assert one.most_problems == one.n_problems
    assert "Others were measured" not in in_words([one])
    few = replace(one, n_problems=30)
    assert (
        f"Others were measured on up to {one.n_problems:.0f} problems, which may be easier or "
        "harder than these 30." in in_words([few])
    )
    assert "Others were measured" not in in_words([replace(few, difficulty="hard")])


def test_voting_on_predicted_difficulty_pays_for_the_scores_of_its_probes(database: Path) -> None:
    aggregation = {"scoring": "prm_last", "voting": "prm_max"}
    ways = {
        (row["task"], row["policy"], row["prm"], row["way"], row["difficulty"]): row
        for row in run_query("recommendations", database, aggregation)
        if row["budget"] == 16
    }
    task, policy, prm = "math500", POLICIES[0][0], PRMS[0][0]
    with duckdb.connect(str(database), read_only=True) as connection:
        costs = {
            method: (tokens, prm_tokens or 0, seconds)
            for method, tokens, prm_tokens, seconds in connection.execute(
                "SELECT method, tokens, prm_tokens, seconds FROM main_curves "
                "WHERE task = ? AND policy = ? AND budget = 16 AND (prm = ? OR prm IS NULL)",
                [task, policy, prm],
            ).fetchall()
        }
    size, prm_size = POLICIES[0][3], PRMS[0][3]
    voted, scored = costs["majority"], costs["best_of_n"]
    # Half of the problems that are predicted medium are voted on, the PRM having read 4 samples.
    flops_of_scores = 2 * prm_size * scored[1]
    expected = 2 * size * (voted[0] + scored[0]) / 2 + flops_of_scores * (1 + 4 / 16) / 2
    predicted = ways[task, policy, prm, "predicted", "medium"]
    assert predicted["tokens"] == pytest.approx((voted[0] + scored[0]) / 2)
    assert predicted["flops"] == pytest.approx(expected)
    seconds = (voted[2] + scored[2] + (scored[2] - voted[2]) * 4 / 16) / 2
    assert predicted["seconds"] == pytest.approx(seconds)
    # Without a prediction nothing is looked at.
    alone = ways[task, policy, prm, "one_strategy", "all"]
    assert alone["flops"] == pytest.approx(expected - flops_of_scores * 4 / 16 / 2)


def test_stopping_early_costs_what_the_problems_that_take_many_samples_cost(database: Path) -> None:
    with duckdb.connect(str(database), read_only=True) as connection:
        unit = {
            (task, policy, prm, method): rest
            for task, policy, prm, method, *rest in connection.execute(
                "SELECT task, policy, prm, method, tokens / 16, prm_tokens / 16, seconds / 16 "
                "FROM main_curves WHERE budget = 16 AND tokens IS NOT NULL"
            ).fetchall()
        }
        drawn = connection.execute(
            "SELECT task, policy, prm, method, rule, tokens, samples FROM adaptive "
            "WHERE budget = 16 AND rule <> 'fixed'"
        ).fetchall()
    ways = {
        (row["task"], row["policy"], row["prm"], row["way"]): row
        for row in run_query(
            "recommendations", database, {"scoring": "prm_last", "voting": "prm_max"}
        )
        if row["budget"] == 16
    }
    sizes = {policy[0]: policy[3] for policy in POLICIES}
    prm_sizes = {prm[0]: prm[3] for prm in PRMS}
    assert len({rule for *_, rule, _, _ in drawn}) > 1
    for task, policy, prm, method, rule, tokens, samples in drawn:
        way = ways[task, policy, prm, f"{method} {rule}"]
        of_sample, read, seconds = unit[task, policy, prm, method]
        # Long samples are drawn more often than the mean over problems says.
        assert way["samples"] == samples
        assert way["tokens"] == tokens
        assert tokens != pytest.approx(samples * of_sample)
        flops = 2 * sizes[policy] * tokens
        if prm is not None:
            flops += 2 * prm_sizes[prm] * read * tokens / of_sample
        assert way["flops"] == pytest.approx(flops)
        assert way["seconds"] == pytest.approx(seconds * tokens / of_sample)


def test_what_is_predicted_easy_costs_what_such_problems_take(
    database: Path, tmp_path: Path
) -> None:
    """Long answers are not evenly spread over difficulties."""

    def costs(path: Path) -> dict[tuple[str, ...], dict[str, float]]:
        rows = run_query("recommendations", path, {"scoring": "prm_last", "voting": "prm_max"})
        return {
            (row["task"], row["policy"], row["prm"], row["difficulty"]): {
                unit: row[unit] for unit in ("budget", "samples", "tokens", "flops", "seconds")
            }
            for row in rows
            if row["way"] == "predicted" and row["origin"] == "run"
        }

    shutil.copy(database, tmp_path / "study.duckdb")
    with duckdb.connect(str(tmp_path / "study.duckdb")) as connection:
        connection.execute(
            "UPDATE predicted_choices SET tokens = 3 * tokens, probe_tokens = 3 * probe_tokens "
            "WHERE bucket = 'easy'"
        )
    before, after = costs(database), costs(tmp_path / "study.duckdb")
    assert {key[-1] for key in before} == {"all", "easy", "medium"}
    for key, of_way in before.items():
        # Half of the easy problems are voted on; the other half's search pays for its probes too.
        if key[-1] == "easy":
            voted, searched = 320 * of_way["budget"], 0.8 * 320 * of_way["budget"] + 4 * 320
            assert of_way["tokens"] == pytest.approx((voted + searched) / 2)
            assert of_way["samples"] == of_way["budget"] + 4 / 2
        for unit in ("tokens", "flops", "seconds"):
            factor = 3 if key[-1] == "easy" else 1
            assert after[key][unit] == pytest.approx(factor * of_way[unit]), (key, unit)


@pytest.mark.parametrize(("least", "known"), [(9.9, False), (10, True)])
def test_nothing_is_recommended_for_a_few_problems_of_a_difficulty(
    least: float, known: bool, database: Path, tmp_path: Path
) -> None:
    """A hit or two of a problem or two would be the most accurate way of all."""
    shutil.copy(database, tmp_path / "study.duckdb")
    with duckdb.connect(str(tmp_path / "study.duckdb")) as connection:
        few, *_ = connection.execute(
            "SELECT min(n_problems) FROM predicted_selection WHERE bucket = 'easy'"
        ).fetchone() or (0,)
        connection.execute(
            "UPDATE predicted_selection SET n_problems = ?, accuracy = 1 "
            "WHERE bucket = 'easy' AND n_problems <= ?",
            [least, few],
        )
        connection.execute(
            "DELETE FROM predicted_selection WHERE bucket = 'easy' AND n_problems > ?", [few]
        )
    asked = Asked(most=1000, difficulty="easy")
    if known:
        assert recommend(tmp_path / "study.duckdb", asked)[0].n_problems == least
    else:
        with pytest.raises(StudyError, match=r"too few problems are predicted easy: 9\.9 at most"):
            recommend(tmp_path / "study.duckdb", asked)


@pytest.mark.parametrize("unit", UNITS)
def test_of_equally_accurate_ways_the_cheapest_is_taken_however_they_were_added_up(
    unit: str, database: Path, tmp_path: Path
) -> None:
    """A way that stops early and one that does not may end with the same answers, and their means
    may differ in the last digit."""
    changed = tmp_path / "study.duckdb"
    shutil.copy(database, changed)
    with duckdb.connect(str(changed)) as connection:
        connection.execute(
            "UPDATE adaptive SET accuracy = if(rule = 'certain', 0.9, 0.9 + 1e-16), "
            "ci_low = 0.8, ci_high = 1.0, samples = if(rule = 'certain', 2, 4), "
            "tokens = if(rule = 'certain', 200, 400) WHERE method = 'majority' AND rule <> 'fixed'"
        )
        connection.execute("DELETE FROM predicted_choices")
        connection.execute("DELETE FROM adaptive WHERE method = 'best_of_n' OR budget < 16")
    asked = Asked(unit=unit, most=1e18, task="MATH-500", policy=POLICIES[0][0])
    (most_accurate,) = recommend(changed, asked)
    assert most_accurate.way == "majority certain"
    # What is reached but for rounding is reached.
    for accuracy in (0.9 + 1e-16, 0.8 + 1e-16):
        asked = Asked(unit=unit, accuracy=accuracy, task="MATH-500", policy=POLICIES[0][0])
        assert recommend(changed, asked)[0].way == "majority certain"


@pytest.mark.parametrize("unit", UNITS)
def test_what_the_cure_names_can_be_had(database: Path, unit: str) -> None:
    def named(asked: Asked) -> float:
        with pytest.raises(StudyError) as error:
            recommend(database, asked)
        return float(error.value.cure.split()[-1].replace(",", ""))

    for policy, *_ in POLICIES[:2]:
        least = named(Asked(unit=unit, most=1e-9, policy=policy))
        assert recommend(database, Asked(unit=unit, most=least, policy=policy))
        most = named(Asked(unit=unit, accuracy=1.0, policy=policy))
        assert recommend(database, Asked(unit=unit, accuracy=most, policy=policy))


def test_a_task_where_nothing_fits_is_named(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silence about a task would read as if the study did not have it."""
    changed = tmp_path / "study.duckdb"
    shutil.copy(database, changed)
    with duckdb.connect(str(changed)) as connection:
        connection.execute("UPDATE curve_points SET tokens = NULL WHERE task = 'aime24'")
        for table in ("predicted_choices", "adaptive"):
            connection.execute(f"UPDATE {table} SET tokens = NULL WHERE task = 'aime24'")
        connection.execute("DELETE FROM predicted_choices WHERE task = 'aime24'")

    def said(*arguments: str) -> str:
        assert main(["recommend", "--database", str(changed), *arguments]) == 0
        return capsys.readouterr().out

    most = max(one.accuracy for one in recommend(database, Asked(most=1e9)))
    asked = ["--accuracy", str(most)]
    assert "AIME24: no way reaches an accuracy of" in said(*asked)
    assert list(json.loads(said(*asked, "--json"))["lacking"]) == ["AIME24"]
    in_tokens = said("--budget", "1e9", "--unit", "tokens")
    assert "AIME24: what its ways cost in tokens is not known.\n" in in_tokens
    easy = said("--budget", "1e9", "--difficulty", "easy")
    assert "AIME24: too few problems are predicted easy.\n" in easy
    assert "AIME24: " not in said("--budget", "1e9", "--task", "MATH-500")


def test_ways_of_unknown_cost_are_said_to_be_left_out(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said that none reaches an accuracy, of those whose FLOPs are known alone."""
    changed = tmp_path / "study.duckdb"
    shutil.copy(database, changed)
    best = recommend(database, Asked(most=1e9, task="MATH-500"))[0]
    with duckdb.connect(str(changed)) as connection:
        connection.execute("UPDATE policies SET n_parameters = NULL WHERE title = ?", [best.policy])
    known = recommend(changed, Asked(unit="flops", most=1e30, task="MATH-500"))[0]
    assert known.accuracy < best.accuracy
    assert known.best_of_unknown_cost == best.accuracy
    reached = f"{100 * best.accuracy:.1f}%"
    words = in_words([known], unit="flops")
    assert f"ways whose cost in flops is not known; they reach up to {reached}." in words
    one = in_words([replace(known, of_unknown_cost=1)], unit="flops")
    assert f"Left out is 1 way whose cost in flops is not known; it reaches {reached}." in one
    between = (known.accuracy + best.accuracy) / 2
    asked = Asked(unit="flops", accuracy=between, task="MATH-500")
    with pytest.raises(StudyError, match="no way whose cost in flops is known reaches") as error:
        recommend(changed, asked)
    assert f"(others, up to {best.accuracy:.3g})" in error.value.what
    with pytest.raises(StudyError, match="no way whose cost in flops is known costs so little"):
        recommend(changed, replace(asked, most=1e-9, accuracy=None))
    arguments = ["--budget", "1e30", "--unit", "flops", "--task", "MATH-500"]
    assert main(["recommend", "--database", str(changed), *arguments]) == 0
    assert "Left out are " in capsys.readouterr().out
    assert "Left out" not in in_words(recommend(changed, Asked(most=16)))


def test_models_are_called_by_name_or_title(database: Path) -> None:
    by_name, by_title = (
        recommend(database, Asked(most=16, policy=name)) for name in POLICIES[0][:2]
    )
    assert by_name == by_title
    assert {one.policy for one in by_name} == {POLICIES[0][1]}


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (Asked(), "neither"),
        (Asked(most=4, accuracy=0.5), "both"),
        (Asked(accuracy=1.5), "cannot be"),
        (Asked(most=0.5), "no way costs so little"),
        (Asked(most=-4), "-4 samples cannot be"),
        (Asked(most=math.inf), "inf samples cannot be"),
        (Asked(most=math.nan, unit="tokens"), "nan tokens cannot be"),
        (Asked(accuracy=1.0, task="AIME24"), "no way reaches"),
        (Asked(most=4, policy="gpt"), "no policy called gpt"),
        (Asked(most=4, prm="gpt"), "no PRM called gpt"),
        (Asked(most=4, difficulty="hard"), "predicted hard"),
    ],
)
def test_what_cannot_be_answered_says_why(database: Path, asked: Asked, what: str) -> None:
    with pytest.raises(StudyError, match=what) as error:
        recommend(database, asked)
    assert error.value.cure


def test_a_model_that_is_known_elsewhere_is_not_said_to_be_unknown(
    database: Path, tmp_path: Path
) -> None:
    """Of one policy alone, or of one task, the study has a PRM as little as it has a policy."""
    (policy, title, *_), (prm, *_) = POLICIES[1], PRMS[0]
    changed = tmp_path / "study.duckdb"
    shutil.copy(database, changed)
    with duckdb.connect(str(changed)) as connection:
        for table in ("predicted_choices", "predicted_selection", "adaptive"):
            connection.execute(f"DELETE FROM {table} WHERE prm = ? AND policy = ?", [prm, policy])
        for table in ("predicted_choices", "predicted_selection", "adaptive", "curve_points"):
            connection.execute(
                f"DELETE FROM {table} WHERE task = 'aime24' AND policy = ?", [policy]
            )
    assert recommend(changed, Asked(most=16, prm=prm))
    assert recommend(changed, Asked(most=16, policy=policy))
    for asked in (
        Asked(most=16, policy=policy, prm=prm),
        Asked(most=16, policy=title, task="AIME24"),
    ):
        with pytest.raises(StudyError, match="with what else is asked for") as error:
            recommend(changed, asked)
        assert "did you mean" not in error.value.cure


def test_words_and_json_say_the_same(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["recommend", "--database", str(database), "--budget", "16"]
    assert main(arguments) == 0
    words = capsys.readouterr().out
    assert "on 1 problem; no strategy" in in_words(
        [replace(recommend(database, Asked(most=1))[0], n_problems=1.1)]
    )
    assert "1 samples" not in in_words(recommend(database, Asked(most=1)))
    voted = replace(recommend(database, Asked(most=1))[0], way="majority", methods={"majority": 1})
    assert "N = 1 - one sampled answer.\n" in in_words([replace(voted, budget=1)])
    assert "N = 4 - majority voting.\n" in in_words([replace(voted, budget=4)])
    assert main([*arguments, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["answers"]
    assert words.strip() == in_words(recommend(database, Asked(most=16))).strip()
    for answer in answers:
        assert f"Accuracy {100 * answer['accuracy']:.1f}%" in words
    assert main([*arguments, "--accuracy", "0.5"]) == 1
    assert "do:" in capsys.readouterr().err


def test_the_readmes_example_runs(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = [
        line
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("python -m compute_optimal recommend")
    ]
    arguments = shlex.split(line, comments=True)[3:]
    assert main([*arguments, "--database", str(database)]) == 0
    assert "Accuracy" in capsys.readouterr().out
