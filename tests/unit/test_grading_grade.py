import json
import os
import time
from pathlib import Path

import polars as pl
import pytest

from compute_optimal.errors import StudyError
from compute_optimal.judge.grading import GRADER, extract_answer, grade

Counts = dict[tuple[str, str | None], int]
SCHEMA = {"problem_id": pl.String(), "answer": pl.String(), "count": pl.Int64()}


def _answers(counts: Counts) -> pl.DataFrame:
    rows = [(problem, answer, count) for (problem, answer), count in counts.items()]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def _by_answer(graded: pl.DataFrame, column: str) -> dict[str | None, object]:
    return dict(zip(graded["answer"], graded[column], strict=True))


def test_verdicts_and_classes_of_one_problem() -> None:
    counts: dict[str | None, int] = {
        r"\frac{1}{2}": 3,
        "0.5": 5,
        r"\dfrac12": 1,
        r"50\%": 1,
        "50": 2,
        "2": 4,
        "x=2": 1,
        r"\sqrt{4}": 4,
        r"\text{half}": 1,
        None: 7,
        " ": 1,
        "\x00": 1,
    }
    graded = grade({"p": r"\frac{1}{2}"}, _answers({("p", a): n for a, n in counts.items()}))
    assert graded.columns == ["problem_id", "answer", "answer_class", "correct", "status"]
    right = {r"\frac{1}{2}", "0.5", r"\dfrac12", r"50\%"}
    assert _by_answer(graded, "correct") == {a: a in right for a in counts}
    blank: list[str | None] = [None, " ", "\x00"]
    classes: dict[str | None, object] = {
        **dict.fromkeys(right, "0.5"),
        "50": "50",
        # Of equally frequent forms the first one.
        **dict.fromkeys(["2", "x=2", r"\sqrt{4}"], "2"),
        r"\text{half}": r"\text{half}",
        **dict.fromkeys(blank),
    }
    assert _by_answer(graded, "answer_class") == classes
    assert _by_answer(graded, "status") == {
        a: "no_answer" if a in blank else "graded" for a in counts
    }


def test_the_gold_plays_no_part_in_the_classes() -> None:
    answers = ["10", r"10\%", "0.1", r"\frac{1}{10}", "x = 10", "(1,2)", "1<x<2", "12", "twelve"]
    golds = {"a": r"10\%", "c": "0.1", "d": "(1,2)", "e": "7"}
    graded = grade(golds, _answers({(p, a): 1 for p in golds for a in answers}))
    classes = {
        tuple(rows.sort("answer")["answer_class"]) for _, rows in graded.group_by("problem_id")
    }
    assert len(classes) == 1
    class_of = dict(zip(sorted(answers), classes.pop(), strict=True))
    assert class_of["10"] == class_of["x = 10"] != class_of[r"10\%"]
    assert class_of[r"10\%"] == class_of["0.1"] == class_of[r"\frac{1}{10}"]
    assert class_of["(1,2)"] == class_of["1<x<2"]


# fmt: off
CLASSES = [
    # Each value once; what is right comes first.
    (
        "(2,1)",
        [["(2,1)", r"\left( 2, 1\right)"], ["2,1"]],
        [["(1,2)", "1<x<2"], ["1,2"], ["[1,2]"]],
    ),
    ("10", [["10", "x=10", r"\frac{20}{2}"], [r"10\%"]], [["0.1", r"\frac{1}{10}"], ["10^{-1}0"]]),
    (".0000672", [[".0000672", "0.00006720", r"6.72 \times 10^{-5}"]], [[".0000671"], ["0"]]),
    ("52_8", [["52_8", "(52)_8", r"52_{\text{eight}}"], ["52"]], [["52_9"], ["42"], ["25_8"]]),
    (r"\$36", [["36", "36 dollars", r"\$36"]], [["36 cents"], ["37"]]),
    ("137.5", [["137 1/2", r"137\frac{1}{2}", r"\frac{275}{2}"]], [["137 1/3"], ["69"], ["68.5"]]),
    (r"\cot x", [[r"\cot x", r"\frac{\cos x}{\sin x}"]], [[r"\tan x", r"\frac{\sin x}{\cos x}"]]),
]
# fmt: on


@pytest.mark.parametrize(("gold", "right", "wrong"), CLASSES)
def test_no_class_holds_a_right_and_a_wrong_answer(
    gold: str, right: list[list[str]], wrong: list[list[str]]
) -> None:
    answers = [answer for part in (*right, *wrong) for answer in part]
    graded = grade({"p": gold}, _answers({("p", a): 1 + i for i, a in enumerate(answers)}))
    correct = _by_answer(graded, "correct")
    assert correct == {a: any(a in part for part in right) for a in answers}
    classes: dict[object, set[str | None]] = {}
    for answer, name in _by_answer(graded, "answer_class").items():
        classes.setdefault(name, set()).add(answer)
    assert sorted(map(sorted, classes.values())) == sorted(map(sorted, (*right, *wrong)))


def test_many_symbolic_answers_cost_little() -> None:
    """Each compared with each, they take a quarter of an hour."""
    answers = [rf"\sin x = {i} y^2 + {i * i}" for i in range(1, 159)]
    began = time.monotonic()
    graded = grade({"p": "5"}, _answers({("p", a): 1 for a in answers}), workers=1)
    assert time.monotonic() - began < 180
    assert graded["answer_class"].n_unique() == 158
    assert graded["correct"].sum() == 0


def test_problems_do_not_mix() -> None:
    graded = grade({"p": "1", "q": "2"}, _answers({("p", "2"): 1, ("q", "2"): 1}))
    assert graded.select("problem_id", "correct").rows() == [("p", False), ("q", True)]


def test_integers_need_no_process() -> None:
    counts: Counts = {("p", str(i)): 1 for i in range(2000)}
    answers = _answers({**counts, ("p", "1{,}999"): 3})
    graded = grade({"p": "1999"}, answers, workers=0)
    assert graded["correct"].sum() == 2
    assert graded["answer_class"].n_unique() == 2000
    assert _by_answer(graded, "answer_class")["1999"] == "1{,}999"


def test_an_answer_that_nobody_gave_may_be_graded_too() -> None:
    graded = grade({"p": "1"}, _answers({("p", "1"): 0, ("p", "+1"): 2}), workers=0)
    assert graded.rows() == [("p", "+1", "+1", True, "graded"), ("p", "1", "+1", True, "graded")]


def test_nothing_to_grade() -> None:
    graded = grade({}, _answers({}), workers=0)
    assert graded.rows() == []
    assert graded.schema["correct"] == pl.Boolean()


def test_an_answer_to_an_unknown_problem_is_an_error() -> None:
    with pytest.raises(StudyError, match="no gold answer, such as q"):
        grade({"p": "1"}, _answers({("q", "1"): 1}))


TOWER = "9^{9^{9^{9^9}}}"
HOSTILE = {
    TOWER: None,
    r"2^{2^{2^{2^{2^{2^{2}}}}}}!": None,
    "{" * 10_000 + "5" + "}" * 10_000: False,
    r"\sqrt{x+" * 20_000 + "1" + "}" * 20_000: False,
    r"\frac{1}{" * 100 + "5" + "}" * 100: False,
    r"\frac{1}{0}": False,
    r"\boxed{\boxed{": False,
    "}{": False,
    "\\": False,
    "$$$ $": False,
    "<script>alert('5')</script>": False,
    "5\x00": True,
    "\u202e5\u200f": True,
    "🙂": False,
}


def test_hostile_answers_are_graded_or_timed_out_and_nothing_else_is_lost() -> None:
    harmless = {r"\frac{10}{2}": True, r"\sqrt{26}": False, "5.0": True}
    expected = {**HOSTILE, **harmless}
    began = time.monotonic()
    graded = grade({"p": "5"}, _answers({("p", a): 1 for a in expected}), seconds=0.5, workers=2)
    assert time.monotonic() - began < 300  # left alone, they take for ever
    correct = _by_answer(graded, "correct")
    # With so short a limit a busy machine may not decide what it would decide in ten seconds.
    for answer, verdict in expected.items():
        if verdict is None:
            assert correct[answer] is None, answer
        else:
            assert correct[answer] == verdict, answer
    status = _by_answer(graded, "status")
    assert {a for a in expected if status[a] == "timeout"} == {
        a for a in expected if correct[a] is None
    }
    assert _by_answer(graded, "answer_class")[TOWER] == TOWER


def test_results_depend_on_neither_workers_nor_order() -> None:
    forms = [r"\frac{1}{2}", "0.5", "2/4", "x=1", "1", "(1,2)", "1,2", r"\{2,1\}", "1<x<2"]
    counts: Counts = {(p, a): i % 3 + 1 for p in "pq" for i, a in enumerate(forms)}
    answers = _answers({**counts, ("p", TOWER): 5})
    golds = {"p": "0.5", "q": "1,2"}
    one = grade(golds, answers, seconds=0.5, workers=1)
    assert one.equals(grade(golds, answers.reverse(), seconds=0.5, workers=2))
    split = answers.with_columns(count=pl.lit(1, dtype=pl.Int64)).vstack(
        answers.with_columns(pl.col("count") - 1)
    )
    assert one.equals(grade(golds, split, seconds=0.5, workers=2))


def test_the_version_names_the_library_in_use() -> None:
    from importlib.metadata import version

    assert GRADER.startswith(f"math-verify-{version('math-verify')}/")


MIRROR = os.environ.get("MIRROR")


@pytest.mark.skipif(
    MIRROR is None or not (Path(MIRROR) / "test500.jsonl").exists(),
    reason="needs the environment variable MIRROR: a folder with test500.jsonl",
)
def test_every_gold_of_math_500_is_right_when_it_is_the_answer() -> None:
    assert MIRROR is not None
    lines = (Path(MIRROR) / "test500.jsonl").read_text().splitlines()
    golds = {p["unique_id"]: p["answer"] for p in map(json.loads, lines)}
    assert len(golds) == 500
    boxed = {p: extract_answer(rf"So it is $\boxed{{{a}}}$.") for p, a in golds.items()}
    graded = grade(golds, _answers(dict.fromkeys(boxed.items(), 1)))
    assert graded.height == 500
    assert graded.filter(~pl.col("correct").fill_null(False))["answer"].to_list() == []
    assert graded["status"].unique().to_list() == ["graded"]
