from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_optimal.errors import StudyError
from compute_optimal.study.config import load_registry
from compute_optimal.tasks import arithmetic_chains, load_problems
from compute_optimal.tasks.arithmetic_chains import (
    MAX_VALUE,
    Style,
    check_steps,
    generate,
    parse,
    solution_steps,
    split_of,
    stated_answer,
)

REGISTRY = Path(__file__).parents[2] / "config/registry"
PROBLEM = "Start with 37. Add 48. Double it. Decrease by 5. Divide by 3. What is the result?"
# 37+48=85, * 2 = 170, - 5 = 165, / 3 = 55
STEPS = [
    "37+48=85",
    "85*2=170",
    "170-5=165",
    "165/3=55",
    r"The final answer is \boxed{55}.",
]


def test_the_problems_of_a_seed_never_change() -> None:
    """Published results name problems by hash; a changed generator would orphan them all."""
    text = "\n".join(f"{p.problem_id} {p.problem} {p.answer}" for p in generate(200, 0))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "b4cb37a2aa34b38f"


def test_a_smaller_set_is_the_beginning_of_a_larger() -> None:
    assert generate(30, 5) == generate(60, 5)[:30]


def test_levels_cycle_and_count_the_operations() -> None:
    problems = generate(18, 1, 2, 10)
    assert [problem.level for problem in problems] == [*range(2, 11)] * 2
    assert all(len(parse(p.problem).operations) == p.level for p in problems)


def test_answers_agree_with_plain_evaluation_of_the_sentences() -> None:
    for problem in generate(300, 2):
        value = None
        for sentence in problem.problem.split(". ")[:-1]:
            *_, last = words = sentence.split()
            match words[0]:
                case "Start":
                    value = int(last)
                case "Add" | "Increase":
                    value += int(last)
                case "Subtract" | "Decrease":
                    value -= int(last)
                case "Multiply":
                    value *= int(last)
                case "Double":
                    value *= 2
                case "Divide":
                    assert value % int(last) == 0
                    value //= int(last)
                case "Halve":
                    assert value % 2 == 0
                    value //= 2
            assert 0 <= value <= MAX_VALUE
        assert problem.answer == str(value)


def test_evaluation_and_training_problems_never_overlap() -> None:
    evaluation = generate(500, 0, 2, 3)
    training = generate(4000, 0, 2, 3, split="training")
    assert {split_of(p.problem) for p in evaluation} == {"evaluation"}
    assert {split_of(p.problem) for p in training} == {"training"}
    assert not {p.problem_hash for p in evaluation} & {p.problem_hash for p in training}


def test_problems_are_distinct_and_excluded_ones_stay_out() -> None:
    first = generate(400, 0, 2, 2)
    hashes = {problem.problem_hash for problem in first}
    assert len(hashes) == 400
    second = generate(400, 0, 2, 2, exclude=hashes)
    assert not hashes & {problem.problem_hash for problem in second}


@pytest.mark.parametrize("style", ["numbered", "plain"])
def test_reference_solutions_are_right(style: Style) -> None:
    for problem in generate(100, 3):
        steps = solution_steps(problem.problem, style)
        assert len(steps) == problem.level + 1
        check = check_steps(problem.problem, steps)
        assert all(check.correct)
        assert check.first_error is None
        assert stated_answer(steps[-1]) == problem.answer


def test_solution_steps_by_hand() -> None:
    assert solution_steps(PROBLEM, "plain") == STEPS
    assert solution_steps(PROBLEM, "numbered")[1] == "## Step 2: 85*2=170"
    assert check_steps(PROBLEM, STEPS).correct == (True,) * 5


@pytest.mark.parametrize(
    ("index", "step", "correct"),
    [
        # A slip: what follows from the stated value stays right, what used the true one is wrong.
        (0, "37+48=86", (False, False, True, True, True)),
        (3, "165/3=54", (True, True, True, False, False)),
        # The wrong operation, the wrong operand, the wrong left side.
        (2, "170+5=175", (True, True, False, False, True)),
        (2, "170-4=166", (True, True, False, False, True)),
        (1, "84*2=168", (True, False, False, True, True)),
        # Boxed before the end, boxed wrongly, unreadable, wrongly numbered.
        (3, r"The final answer is \boxed{165}.", (True, True, True, False, False)),
        (4, r"The final answer is \boxed{56}.", (True, True, True, True, False)),
        (1, "85*2 is 170", (True, False, False, True, True)),
        (1, "## Step 3: 85*2=170", (True, False, True, True, True)),
        (1, "85*2=" + "9" * 5000, (True, False, False, True, True)),
        (1, "85*2=١٧٠", (True, False, False, True, True)),
    ],
)
def test_corrupted_steps(index: int, step: str, correct: tuple[bool, ...]) -> None:
    check = check_steps(PROBLEM, [*STEPS[:index], step, *STEPS[index + 1 :]])
    assert check.correct == correct
    assert check.first_error == correct.index(False)


def test_a_skipped_and_a_surplus_step_are_errors() -> None:
    assert check_steps(PROBLEM, STEPS[:1] + STEPS[2:]).first_error == 1
    assert check_steps(PROBLEM, [*STEPS[:4], "55+1=56", STEPS[4]]).first_error == 4
    assert check_steps(PROBLEM, [*STEPS, STEPS[4]]).first_error == 5


def test_a_quotient_that_is_not_whole_has_no_right_step() -> None:
    text = "Start with 5. Add 2. Divide by 7. What is the result?"
    check = check_steps(text, ["5+2=8", "8/7=1", r"The final answer is \boxed{1}."])
    assert check.correct == (False, False, True)


@given(st.lists(st.text(), max_size=12))
def test_any_text_can_be_checked(steps: list[str]) -> None:
    assert len(check_steps(PROBLEM, steps).correct) == len(steps)


@given(st.text())
def test_foreign_problems_are_refused(text: str) -> None:
    with pytest.raises(StudyError, match="arithmetic-chains"):
        parse(text)


def test_numbers_pick_among_the_problems() -> None:
    problems = generate(60, 5)
    numbers = [0, 7, 31, 59]
    assert generate(len(numbers), 5, numbers=numbers) == [problems[n] for n in numbers]


@pytest.mark.parametrize("n_parts", [2, 9])
def test_every_problem_is_the_same_without_those_before_it(n_parts: int) -> None:
    """Of chains of two operations many are drawn twice, and the later one is drawn anew."""
    problems = generate(3000, 0, 2, 2)
    assert len({problem.problem for problem in problems}) == 3000
    for part in range(n_parts):
        numbers = range(part, 3000, n_parts)
        assert generate(len(numbers), 0, 2, 2, numbers=numbers) == problems[part::n_parts]


@pytest.mark.parametrize(("n_operations", "last"), [(10, 400), (2, 2999)])
def test_problems_are_the_same_where_their_hashes_are_known(n_operations: int, last: int) -> None:
    """Whether none of them was drawn before, as of ten operations, or some were; known or not."""
    numbers = [0, 7, *range(last - 100, last)]
    asked: dict[str, Any] = {
        "numbers": numbers,
        "min_operations": n_operations,
        "max_operations": n_operations,
    }
    problems = generate(len(numbers), 0, **asked)
    hashes = [problem.problem_hash for problem in problems]
    assert generate(len(numbers), 0, **asked, hashes=hashes) == problems
    assert generate(len(numbers), 0, **asked, hashes=hashes[::-1]) == problems
    assert generate(len(numbers), 0, **asked, hashes=hashes[:3]) == problems


def test_known_hashes_save_the_problems_before() -> None:
    problem = generate(1, 0, 10, 10, numbers=[300])[0]
    with mock.patch.object(arithmetic_chains, "_problems", side_effect=AssertionError):
        again = generate(1, 0, 10, 10, numbers=[300], hashes=[problem.problem_hash])
    assert again == [problem]


def test_the_evaluated_problems_are_candidates_of_the_registry() -> None:
    """Asked for alone, a problem has the text that it has among all candidates."""
    tasks = load_registry(REGISTRY).tasks
    chosen, candidates = (
        load_problems(tasks[name], mirror=None, downloads=Path())
        for name in ("arithmetic-chains", "arithmetic-chains-candidates")
    )
    assert set(chosen) <= set(candidates)


def test_an_empty_range_of_operations_is_refused() -> None:
    with pytest.raises(StudyError, match="min_operations"):
        generate(1, 0, 5, 4)
