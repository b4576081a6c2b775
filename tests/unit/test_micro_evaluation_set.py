"""Problems are chosen so that every bucket of every policy is filled."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import yaml
from synthetic_study import POLICIES, SyntheticStudy

from compute_optimal import cli
from compute_optimal.errors import StudyError
from compute_optimal.micro.evaluation_set import choose_hard_problems, choose_problems
from compute_optimal.study.buckets import BUCKETS
from compute_optimal.tasks.arithmetic_chains import generate


def _candidates(n: int, *, weights: dict[str, tuple[int, int, int]]) -> dict[str, list[str]]:
    draw = random.Random(0)
    return {policy: draw.choices(BUCKETS, shares, k=n) for policy, shares in weights.items()}


WEIGHTS = {"small": (60, 25, 15), "large": (97, 2, 1)}


def test_every_bucket_of_every_policy_gets_its_number() -> None:
    candidates = _candidates(3000, weights=WEIGHTS)
    numbers = choose_problems(candidates, of_each_bucket=20, n_problems=200)
    assert len(numbers) == 200
    assert numbers == sorted(set(numbers))
    for buckets in candidates.values():
        assert min(Counter(buckets[number] for number in numbers).values()) >= 20


def test_the_first_candidates_that_fit_are_taken() -> None:
    candidates = {"a": ["easy", "easy", "easy", "hard", "easy", "hard"]}
    assert choose_problems(candidates, of_each_bucket=1, n_problems=2) == [0, 3]
    assert choose_problems(candidates, of_each_bucket=1, n_problems=4) == [0, 1, 2, 3]


def test_a_bucket_keeps_what_the_candidates_have() -> None:
    candidates = {"a": ["easy"] * 8 + ["hard"], "b": ["easy"] * 9}
    numbers = choose_problems(candidates, of_each_bucket=2, n_problems=4)
    assert numbers == [0, 1, 2, 8]


def test_policies_have_equal_say() -> None:
    candidates = {"a": ["hard", *["easy"] * 5], "b": [*["easy"] * 5, "hard"]}
    exchanged = {"a": candidates["b"], "b": candidates["a"]}
    chosen = choose_problems(candidates, of_each_bucket=1, n_problems=3)
    assert chosen == choose_problems(exchanged, of_each_bucket=1, n_problems=3) == [0, 1, 5]


def test_too_few_candidates_are_an_error() -> None:
    with pytest.raises(StudyError, match="there are 2 candidates"):
        choose_problems({"a": ["easy", "hard"]}, of_each_bucket=1, n_problems=3)


def test_more_than_fits_is_an_error() -> None:
    candidates = _candidates(3000, weights=WEIGHTS)
    with pytest.raises(StudyError, match="more than 50"):
        choose_problems(candidates, of_each_bucket=20, n_problems=50)


def test_hard_problems_are_those_that_fewest_policies_find_easy_and_not_hopeless() -> None:
    draw = random.Random(1)
    weights = {"small": (1, 5, 4), "large": (6, 3, 1), "other": (2, 5, 3)}
    candidates = _candidates(60, weights=weights)
    of = list(zip(*candidates.values(), strict=True))
    numbers = choose_hard_problems(candidates, n_problems=30)
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 30
    assert all("medium" in of[number] for number in numbers)
    most = max(of[number].count("easy") for number in numbers)
    last = max(number for number in numbers if of[number].count("easy") == most)
    # What is left out is hopeless, easy for more, or for as many and behind the last.
    for number in set(range(60)) - set(numbers):
        n_easy = of[number].count("easy")
        assert "medium" not in of[number] or n_easy > most or (n_easy == most and number > last)
    # No policy has more say than another.
    names = list(candidates)
    draw.shuffle(names)
    assert choose_hard_problems({n: candidates[n] for n in names}, n_problems=30) == numbers


def test_a_pilot_that_finds_too_few_hard_problems_is_an_error() -> None:
    pilot = {"a": ["easy", "medium", "hard"], "b": ["hard", "hard", "hard"]}
    assert choose_hard_problems(pilot, n_problems=1) == [1]
    with pytest.raises(StudyError, match="the pilot found 1 of 3 candidates") as error:
        choose_hard_problems(pilot, n_problems=2)
    assert "n_problems" in str(error.value.cure)


def test_the_pilots_of_the_two_tasks_share_no_problem() -> None:
    root = Path(__file__).parents[2]
    tasks = yaml.safe_load((root / "config/registry/tasks.yaml").read_text())["tasks"]
    texts = [
        {problem.problem for problem in generate(**tasks[name]["parameters"])}
        for name in ("arithmetic-chains-candidates", "arithmetic-marathon-candidates")
    ]
    assert not texts[0] & texts[1]


def test_the_command_prints_the_numbers_and_what_the_buckets_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(__file__).parents[2]
    content = yaml.safe_load((root / "config/candidates.yaml").read_text())
    study = tmp_path / "candidates.yaml"
    study.write_text(yaml.safe_dump(content | {"results": str(tmp_path)}))
    policies = POLICIES[:2]
    task = (content["tasks"][0], "candidates", 60)
    SyntheticStudy(tasks=(task,), policies=policies).write(tmp_path / "study.duckdb")
    monkeypatch.chdir(root)
    asked = ["--config", str(study), "--of-each-bucket", "3", "--n-problems", "20"]
    assert cli.main(["choose-problems", *asked]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert len(yaml.safe_load(first)["numbers"]) == 20
    assert [line.partition(":")[0] for line in rest] == [policy[0] for policy in policies]
    for line in rest:
        counts = [int(part.split()[0]) for part in line.partition(": ")[2].split(", ")]
        assert sum(counts) == 20
        assert min(counts) >= 3
    assert cli.main(["choose-problems", *asked[:2], "--hard", "--n-problems", "100"]) != 0
    assert "the pilot found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("buckets", "what"),
    [
        ({"a": ["easy", "hard"], "b": ["medium"]}, "not every policy .*: a 2, b 1"),
        ({}, "no policy has graded any"),
    ],
)
def test_a_pilot_that_is_not_whole_is_one_message(buckets: dict[str, list[str]], what: str) -> None:
    with pytest.raises(StudyError, match=what):
        choose_problems(buckets, of_each_bucket=1, n_problems=1)
    with pytest.raises(StudyError, match=what):
        choose_hard_problems(buckets, n_problems=1)
