from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_optimal.judge.grading import classes
from compute_optimal.judge.grading.classes import Merging, Outcome, Task, merged, timed
from compute_optimal.judge.grading.equivalence import Fingerprint, equivalent, fingerprint

UNKNOWN = Fingerprint("", None, None)


def _driven(
    merging: Merging, answer: Callable[[Task], Outcome]
) -> tuple[dict[str, str], int, list[Task]]:
    asked: list[Task] = []
    outcomes: list[Outcome] | None = None
    while True:
        try:
            tasks = next(merging) if outcomes is None else merging.send(outcomes)
        except StopIteration as finished:
            return (*finished.value, asked)
        asked += tasks
        outcomes = [answer(task) for task in tasks]


def _algebra(equal: Iterable[tuple[str, str]]) -> Callable[[Task], Outcome]:
    pairs = set(equal)

    def answer(task: Task) -> Outcome:
        function, item = task
        if function is fingerprint:
            return UNKNOWN, 0.0
        return item in pairs or item[::-1] in pairs, 0.0

    return answer


FORMS = [f"f{i}" for i in range(8)]


@settings(deadline=None)
@given(st.sets(st.tuples(st.sampled_from(FORMS), st.sampled_from(FORMS))), st.integers(0, 8))
def test_whatever_algebra_says_known_values_stay_apart(
    equal: set[tuple[str, str]], n_known: int
) -> None:
    known, unknown = FORMS[:n_known], FORMS[n_known:]
    class_of, left_apart, _ = _driven(
        merged(dict.fromkeys(known, 1), dict.fromkeys(unknown, 1), 10), _algebra(equal)
    )
    assert class_of.keys() == set(unknown)
    assert left_apart == 0
    for form, founder in class_of.items():
        # A founder is its own: classes are a partition.
        assert founder in known or class_of[founder] == founder
        assert form == founder or (form, founder) in equal or (founder, form) in equal


@pytest.mark.parametrize("seconds_of_each", [0.01, 0.25, None])
@pytest.mark.parametrize("n_known", [0, 1000])
def test_158_answers_that_nothing_tells_apart_cost_little(
    seconds_of_each: float | None, n_known: int
) -> None:
    """158 * 157 / 2 comparisons of a quarter of a second would take 50 minutes."""
    limit = 10.0
    spent = 0.0

    def slow(task: Task) -> Outcome:
        nonlocal spent
        if task[0] is fingerprint:
            return UNKNOWN, 0.0
        spent += limit if seconds_of_each is None else seconds_of_each
        return None if seconds_of_each is None else (False, seconds_of_each)

    unknown = {f"g{i:03}": 1 for i in range(158)}
    known = {f"f{i:04}": 1 for i in range(n_known)}
    class_of, left_apart, asked = _driven(merged(known, unknown, limit), slow)
    assert class_of == {form: form for form in unknown}
    assert left_apart > 0
    assert spent <= classes.PROBLEM_SECONDS + classes.MAX_FOUNDERS * limit
    compared = [task for task in asked if task[0] is equivalent]
    assert 0 < len(compared) <= classes.MAX_COMPARISONS + classes.MAX_FOUNDERS
    assert len(asked) - len(compared) <= 2 * classes.MAX_FORMS


def test_fingerprints_that_never_come_are_not_waited_for() -> None:
    unknown = {f"g{i:03}": 1 for i in range(158)}
    class_of, left_apart, asked = _driven(merged({}, unknown, 10.0), lambda _: None)
    assert class_of == {form: form for form in unknown}
    assert left_apart == 158
    assert 10.0 * len(asked) <= classes.PROBLEM_SECONDS + classes.BATCH * 10.0


def test_frequent_answers_come_first_and_found_classes() -> None:
    counts = {"a": 1, "b": 5, "c": 3}
    class_of, _, _ = _driven(merged({"k": 1}, counts, 10), _algebra([("a", "b"), ("a", "c")]))
    assert class_of == {"a": "b", "b": "b", "c": "c"}


def test_a_task_tells_its_time() -> None:
    value, seconds = timed((sum, range(100_000)))
    assert value == sum(range(100_000))
    assert 0 <= seconds < 5
