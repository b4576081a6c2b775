"""Units are whole or absent and carry their own cost: at any kill, with two writers, when shared.

With engines that say something else each time, at every kind of point: two points are of one kind
where the same lines of the product lead there, such as the same step of writing another part.
"""

from __future__ import annotations

import itertools
import os
import shutil
import traceback
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from default_study import POLICIES, PRM, ROOT, TASK
from drawn_cases import ALL_CASES, drawn
from restless_study import (
    OTHER,
    VERBS,
    Restless,
    check,
    check_costs,
    give,
    is_complete,
    restless,
    study,
    unit_costs,
)

from compute_optimal.errors import StudyError
from compute_optimal.judge import answers as judge
from compute_optimal.store import partitions as store_module
from compute_optimal.store import places, units
from compute_optimal.store.sharing import fetch, publish
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.cells import all_partitions
from compute_optimal.study.config import Study, load_study

__all__ = ["restless"]

OPERATIONS: tuple[tuple[Any, str], ...] = (
    (os, "mkdir"),
    (os, "replace"),
    (os, "fsync"),
    (os, "unlink"),
)


COUNTED = "counted"
"""What an engine says up to some point of a command is what it said when the points were counted,
and nothing that it said before the command."""


class Killed(BaseException):
    """The process is gone: nothing of it happens any more, not even what tidies up."""


@contextmanager
def before_each(point: Callable[[], None], restless: Restless) -> Iterator[None]:
    """Call ``point`` before each thing that a command does to the disk or asks an engine."""

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **options: Any) -> Any:
            point()
            return real(*arguments, **options)

        return operation

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restless, "meanwhile", point)
        for module, name in OPERATIONS:
            patch.setattr(module, name, watched(getattr(module, name)))
        yield


@contextmanager
def interrupted(at: int, then: Callable[[], None], restless: Restless) -> Iterator[None]:
    """Call ``then`` at one of these points."""
    count = itertools.count()
    restless.dice.seed(COUNTED)
    busy = False

    def point() -> None:
        nonlocal busy
        if not busy and next(count) == at:
            busy = True
            then()
            busy = False

    with before_each(point, restless):
        yield


def points(command: Callable[[], None], restless: Restless) -> list[int]:
    """Run a command to its end; returns which of these points of it are to be looked at.

    What is on the disk before a point of some kind differs only in how many units are whole.
    """
    seen: list[Hashable] = []

    def point() -> None:
        lines = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_stack(None)]
        seen.append(tuple(line for line in lines if "workflow/compute_optimal" in line[0]))

    restless.dice.seed(COUNTED)
    with before_each(point, restless):
        command()
    assert len(seen) > 10
    return drawn(seen)


def dies(command: Callable[[], None], at: int, restless: Restless) -> bool:
    """Run a command, and kill it at one of these points; False where it ended before."""
    dead = False
    count = itertools.count()
    restless.dice.seed(COUNTED)

    def point() -> None:
        nonlocal dead
        dead = dead or next(count) == at
        if dead:
            raise Killed

    with before_each(point, restless):
        try:
            command()
        except Killed:
            return True
    return False


AFTER = {"samples": ("samples", "scores"), "scores": ("scores",), "searches": ("searches",)}
"""Each command, and what is given after it because it depends on it."""


def given_before(verb: str, folder: Path) -> Callable[[int], Study]:
    """Copies of a store in which what ``verb`` depends on was given; of the methods it serves."""
    searched = verb == "searches"
    methods = ["beam_search", "dvts"] if searched else ["majority", "best_of_n"]
    if verb == "scores":
        give(study(folder / "base"), "samples")
    elif searched:
        # What another PRM's searches have made the policy say is said again.
        give(study(folder / "base", methods=methods), "samples")
        give(study(folder / "base", methods=methods, prms=[OTHER]), verb)

    def copy(number: int) -> Study:
        if (folder / "base").exists():
            shutil.copytree(folder / "base", folder / str(number))
        return study(folder / str(number), methods=methods)

    return copy


@pytest.mark.parametrize("verb", VERBS)
def test_killed_at_any_point_and_given_again_units_are_whole_and_costs_are_theirs(
    verb: str, restless: Restless, tmp_path: Path
) -> None:
    copy = given_before(verb, tmp_path)

    def holds_after(of: Study) -> None:
        check(of)
        for again in AFTER[verb]:
            give(of, again)
        check(of)
        assert is_complete(of)
        check_costs(of)

    whole = copy(-1)
    at_each = points(lambda: give(whole, verb), restless)
    holds_after(whole)
    for at in at_each:
        of = copy(at)
        assert dies(lambda: give(of, verb), at, restless)  # noqa: B023
        holds_after(of)


@pytest.mark.parametrize("verb", VERBS)
def test_another_command_may_do_all_of_it_at_any_point(
    verb: str, restless: Restless, tmp_path: Path
) -> None:
    """Two writers; and an orphan that goes on after what came of its absence was made."""
    copy = given_before(verb, tmp_path)
    whole = copy(-1)
    for at in points(lambda: give(whole, verb), restless):
        of, happened = copy(at), []

        def rest(of: Study = of, happened: list[str] = happened) -> None:
            for each in AFTER[verb]:
                give(of, each)
                happened.append(each)

        with interrupted(at, rest, restless):
            give(of, verb)
        assert happened
        check(of)
        for again in AFTER[verb]:
            give(of, again)
        check(of)
        assert is_complete(of)
        check_costs(of)


def test_what_was_written_after_another_had_it_stays_out_of_the_store(
    restless: Restless, tmp_path: Path
) -> None:
    """An orphan, started earlier, does not displace a sample that scores were given for."""
    of = study(tmp_path)
    # Pools are looked up in turn; the first command is in the one that is scored.
    give(study(tmp_path, methods=["cot"]), "samples")
    at_first = iter([lambda: [give(of, verb) for verb in VERBS]])
    restless.meanwhile = lambda: (next(at_first, lambda: None)(), None)[1]
    give(of, "samples")
    pool = places.partition(
        Storage.of(of).store, cells.sample_spec(of, TASK, POLICIES[0], "evaluation")
    )
    assert pool.read("samples")["run"].n_unique() == 1
    assert is_complete(of)
    check(of)


Step = tuple[str, str]
"""Who does what: "a" or "b"; publish, fetch, or publish the samples only."""


@pytest.fixture
def people(restless: Restless, tmp_path: Path) -> Callable[[int], dict[str, Study]]:
    """Two people who ran one study apart; a fresh copy of both stores at each call."""
    assert not restless.opened
    for who in ("a", "b"):
        for verb in VERBS:
            give(study(tmp_path / "first" / who), verb)

    def copies(number: int) -> dict[str, Study]:
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "first", folder)
        return {who: study(folder / who) for who in ("a", "b")}

    return copies


def do(of: Study, what: str, address: str) -> None:
    partitions = [*all_partitions(of, Storage.of(of).store)]
    if what == "publish samples":
        publish([cell for cell in partitions if cell[0].kind == "samples"], address)
    elif what == "publish":
        publish(partitions, address)
    elif Path(address).exists():
        fetch(partitions, address)


def content(of: Study) -> list[Any]:
    """What a reader of the store sees, run by run."""
    return [
        cell.read(table).rows()
        for cell, tables in all_partitions(of, Storage.of(of).store)
        for table in tables
        if table in store_module.UNITS
    ]


def test_published_and_fetched_in_any_order_all_take_the_same_units_whole(
    people: Callable[[int], dict[str, Study]], tmp_path: Path
) -> None:
    steps = [*itertools.product("ab", ("publish", "fetch", "publish samples"))]
    orders = [*itertools.product(steps, steps)]
    # Each step comes first once, and second once.
    some = orders if ALL_CASES else [orders[6 * i + (i + 1) % 6] for i in range(6)]
    expected = None
    for number, order in enumerate(some):
        of, address = people(number), str(tmp_path / f"address{number}")
        for who, what in order:
            do(of[who], what, address)
            check(of[who])
        for who, what in itertools.product("ab", ("publish", "fetch")):
            do(of[who], what, address)
        do(of["a"], "fetch", address)
        for who in "ab":
            check(of[who])
            check_costs(of[who])
            assert is_complete(of[who])
        third = study(tmp_path / f"third{number}")
        do(third, "fetch", address)
        contents = [content(one) for one in (of["a"], of["b"], third)]
        expected = expected or contents[0]
        assert all(one == expected for one in contents), order
        costs = [unit_costs(one, tmp_path) for one in (of["a"], of["b"], third)]
        assert costs[0] == costs[1] == costs[2]


@pytest.mark.parametrize("what", ["publish", "fetch"])
def test_killed_at_any_point_a_transfer_leaves_units_whole_and_goes_on(
    what: str, people: Callable[[int], dict[str, Study]], restless: Restless, tmp_path: Path
) -> None:
    def published(number: int) -> tuple[dict[str, Study], str]:
        of, address = people(number), str(tmp_path / f"address{number}")
        do(of["a"], "publish", address)
        return of, address

    def goes_on(of: dict[str, Study], address: str) -> None:
        check(of["b"])
        for who, again in (("b", "publish"), ("b", "fetch"), ("a", "fetch")):
            do(of[who], again, address)
        assert content(of["a"]) == content(of["b"])

    whole, address = published(-1)
    at_each = points(lambda: do(whole["b"], what, address), restless)
    goes_on(whole, address)
    for at in at_each:
        of, address = published(at)
        assert dies(lambda: do(of["b"], what, address), at, restless)  # noqa: B023
        goes_on(of, address)


def test_what_a_method_costs_does_not_depend_on_what_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A subtree of DVTS is M samples, however many of them a study uses."""
    monkeypatch.chdir(ROOT)
    costs: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    models = {"policies": POLICIES, "prms": [PRM, OTHER]}
    for budgets in ([4, 16, 64, 256], [4, 16], [16]):
        asked = {"budgets": budgets, "search_budgets": budgets[:2]}
        of = load_study("config/config.yaml", models | asked)
        for key, unit_cost in unit_costs(of, tmp_path).items():
            (seconds, *counts), (known, *others) = unit_cost, costs.setdefault(key, unit_cost)
            assert counts == others
            # Rates of several cells are sums in any order.
            assert seconds == (known and pytest.approx(known, rel=1e-12))
    for prm in of.prms:
        spec = cells.search_spec(of, TASK, POLICIES[0], prm, "dvts", 16)
        nodes = units.nodes(Storage.of(of).store, spec, ["n_tokens"])
        n_subtrees = nodes.select("problem_hash", "subtree").n_unique()
        generated = nodes["n_tokens"].sum() / (n_subtrees * of.beam_width)
        # After the seconds come the generated tokens.
        assert costs[TASK, POLICIES[0], prm, "dvts", None][1] == pytest.approx(generated)


def test_trees_of_some_problems_are_those_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    of = load_study("config/config.yaml")
    store = Storage.of(of).store
    columns = ["parent", "text", "margin"]
    for method in ("beam_search", "dvts"):
        spec = cells.search_spec(of, TASK, POLICIES[0], PRM, method, 16)
        every = units.nodes(store, spec, columns), units.paths(store, spec, ["leaf"])
        for problems in (every[0]["problem_hash"].unique().sort()[3:5].to_list(), ["none"]):
            trees = units.trees(store, spec, problems, columns)
            for some, of_all in zip(trees, every, strict=True):
                wanted = of_all.filter(pl.col("problem_hash").is_in(problems))
                assert some.rows() == wanted.rows()


def test_scores_of_another_text_do_not_count_and_are_given_anew(
    people: Callable[[int], dict[str, Study]], tmp_path: Path
) -> None:
    of, address = people(0), str(tmp_path / "address")
    # The first person's samples are the earlier ones; the second gets them, and not their scores.
    do(of["a"], "publish samples", address)
    do(of["b"], "fetch", address)
    check(of["b"])
    storage = Storage.of(of["b"])
    spec = cells.score_spec(of["b"], TASK, POLICIES[0], PRM)
    assert units.stored(storage.store, spec).height < of["b"].problems * max(of["b"].budgets)  # type: ignore[operator]
    assert not is_complete(of["b"])
    facts = storage.facts(of["b"].task(TASK), of["b"].problems)
    with pytest.raises(StudyError, match="scores, but of other texts") as caught:
        judge.scores_of_pool(spec, storage, facts)
    assert "--forcerun score_steps" in str(caught.value)
    give(of["b"], "scores")
    assert is_complete(of["b"])
    check(of["b"])
    scored = judge.scores_of_pool(spec, storage, facts)
    assert scored.height == of["b"].problems * max(of["b"].budgets)  # type: ignore[operator]
