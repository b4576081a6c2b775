import json
import os
import tarfile
import time
from pathlib import Path

import polars as pl
import pytest

from compute_optimal.judge.answers import ANSWERS, answers_of_adopted, grade_answers
from compute_optimal.judge.grading import grade
from compute_optimal.judge.grading.official import (
    grade_official,
    official_equal,
    official_extract,
    official_form,
)
from compute_optimal.judge.grading.plain import grade_plainly
from compute_optimal.store import places
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import load_study

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{2} and \boxed{3}", "3"),
        (r"so \boxed{\frac12}.", r"\frac{1}{2}"),
        (r"$\boxed 5$.", "5"),
        ("The answer is 12.", "12"),
        ("then 3 apples and 1,234 pears, roughly", "1234"),
        ("no idea", ""),
        (r"\boxed{\text{east}}", ""),
    ],
)
def test_official_extraction(text: str, answer: str) -> None:
    assert official_form(official_extract(text)) == answer


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("50", "0.5", True),
        ("200", "2", True),
        ("2.04", "204", True),
        ("20400", "204", True),
        ("1,2", "12", True),
        ("(1,2)", "[1,2]", True),
        ("16384", "16385", True),
        ("10000", "10001", True),
        ("a+b", "b", True),
        (r"\text{east}", r"\text{west}", True),
        (r"\sqrt{51}", "7.1414", True),
        (r"\frac{1}{2}", "1/2", True),
        ("x=5", "5", True),
        ("2x+3=y", "y-3=2x", True),
        (
            r"\begin{pmatrix} 1/2 \\ 2 \end{pmatrix}",
            r"\begin{pmatrix} 0.5 \\ 2 \end{pmatrix}",
            True,
        ),
        ("16384", "16387", False),
        (r"11{,}111", "11111", False),
        ("-2,1", "1,-2", False),
        (r"1\pm\sqrt{19}", r"1+\sqrt{19},1-\sqrt{19}", False),
        ("−5", "-5", False),
        (r"\sqrt{51}", "7.2", False),
        ("x^2", "x^3", False),
    ],
)
def test_official_verdicts(gold: str, answer: str, equal: bool) -> None:
    assert official_equal((official_form(gold), official_form(answer))) == equal


def test_official_table() -> None:
    answers = pl.DataFrame(
        {"problem_id": ["p"] * 4, "answer": ["0.5", r"\frac12", "", None], "count": [1, 2, 3, 4]}
    )
    graded = grade_official({"p": r"\frac{1}{2}"}, answers)
    assert graded.rows() == [
        ("p", None, None, False, "no_answer"),
        ("p", "", "", False, "graded"),
        ("p", "0.5", "0.5", True, "graded"),
        ("p", r"\frac12", r"\frac{1}{2}", True, "graded"),
    ]


def test_the_evaluation_pool_is_judged_by_two_other_graders_too() -> None:
    problems = pl.DataFrame({"problem_id": ["p", "q", "r"], "answer": ["50", "x+1", "52_8"]})
    rows = [
        ("evaluation", "p", "0.5", "0.5", None),
        ("evaluation", "p", None, "50", None),
        ("evaluation", "p", None, "", None),
        ("evaluation", "q", "1+x", "1+x", None),
        ("evaluation", "q", "x+1", "x+1", False),
        ("evaluation", "r", "52_9", None, None),
        ("greedy", "p", "0.5", None, None),
    ]
    columns = ["pool", "problem_id", "answer", "official_answer", "official_verdict"]
    answers = pl.DataFrame(rows, columns, orient="row")
    missing = [pl.lit(None, kind).alias(n) for n, kind in ANSWERS.items() if n not in answers]
    graded = grade_answers(problems, answers.with_columns(missing), seconds=10, workers=1)
    verdicts = graded.select(
        "pool", "problem_id", "answer", "correct", "official_correct", "plain_correct"
    )
    assert sorted(verdicts.rows(), key=str) == sorted(
        [
            ("evaluation", "p", "0.5", False, True, False),
            # The official code finds an answer outside of a box, or none.
            ("evaluation", "p", None, False, True, False),
            ("evaluation", "p", None, False, False, False),
            ("evaluation", "q", "1+x", True, True, True),
            # What that code recorded goes before what its rules say.
            ("evaluation", "q", "x+1", True, False, True),
            ("evaluation", "r", "52_9", False, False, True),
            ("greedy", "p", "0.5", False, None, None),
        ],
        key=str,
    )
    assert set(graded.columns).isdisjoint({"official_answer", "official_verdict"})


def test_an_adopted_run_keeps_the_verdicts_that_the_official_code_recorded() -> None:
    study = load_study(ROOT / "config/config.yaml")
    storage = Storage.of(study)
    entry = study.adopted_collection("qwen2.5-1.5b-math-shepherd")
    spec = cells.adopted_spec(entry)
    answers = answers_of_adopted(spec, storage)
    stored = places.partition(storage.store, spec).read("adopted_samples", ["official_correct"])
    problems = storage.facts(study.task(entry.task), None)
    graded = grade_answers(problems, answers, seconds=10, workers=1)
    pool = graded.filter(pool="evaluation")
    assert pool.height == stored.height == 1000
    assert pool["official_correct"].mean() == stored["official_correct"].mean() == 0.495


@pytest.mark.parametrize(
    "text",
    [r"\text{" * 50_000, "boxed{" * 50_000, "{" * 200_000, "1" * 300_000, "he answer is " * 9_000],
)
def test_official_extraction_is_linear(text: str) -> None:
    began = time.process_time()
    official_form(official_extract(text))
    assert time.process_time() - began < 3


MIRROR = os.environ.get("MIRROR")
ARCHIVE = "rollouts-qwen2.5-1.5b-math-shepherd.tar.gz"


@pytest.mark.skipif(
    MIRROR is None or not (Path(MIRROR) / ARCHIVE).exists(),
    reason=f"needs the environment variable MIRROR: a folder with {ARCHIVE} and test500.jsonl",
)
def test_agrees_with_the_verdicts_that_the_official_code_stored() -> None:
    """Rollouts of the official code, each with the answer it found and whether it was right."""
    assert MIRROR is not None
    lines = (Path(MIRROR) / "test500.jsonl").read_text().splitlines()
    golds = {p["problem"]: p["answer"] for p in map(json.loads, lines)}
    rows = []
    with tarfile.open(Path(MIRROR) / ARCHIVE) as archive:
        members = sorted(m.name for m in archive.getmembers() if m.name.endswith(".jsonl"))
        # A fifth of the problems is enough, and quick.
        for name in (name for name in members if name.split("question_")[1].startswith("1")):
            member = archive.extractfile(name)
            assert member is not None
            record = json.loads(member.read())
            if len(record["output"]) == 1:
                output = record["output"][0]
                text = output["text"].replace(" ки", "")
                right = bool(record["result"]["majority_vote"])
                rows.append((record["question"], text, output["extracted_answer"], right))
    assert len(rows) > 300
    n_found = sum(official_form(official_extract(text)) == stored for _, text, stored, _ in rows)
    assert n_found >= 0.99 * len(rows)
    answers = pl.DataFrame(
        {"problem_id": [row[0] for row in rows], "answer": [row[2] for row in rows]}
    )
    graded = grade_official(golds, answers)
    correct = {(p, a): c for p, a, _, c, _ in graded.iter_rows()}
    n_agreed = sum(correct[question, stored] == right for question, _, stored, right in rows)
    assert n_agreed >= 0.99 * len(rows)


def test_digits_without_end_are_compared_by_every_grader() -> None:
    """A model in a loop writes more digits than Python makes a number of."""
    many = "7" * 5000
    golds = {"few": "7", "many": f"0{many}"}
    answers = [("few", many), ("few", "07"), ("many", many), ("many", "7"), ("many", f"-{many}")]
    table = pl.DataFrame(answers, schema=["problem_id", "answer"], orient="row")
    for name, graded in (
        ("plain", grade_plainly(golds, table)),
        ("official", grade_official(golds, table)),
        ("own", grade(golds, table.with_columns(count=1))),
    ):
        right = set(graded.filter("correct").select("problem_id", "answer").rows())
        assert right == {("few", "07"), ("many", many)}, name
