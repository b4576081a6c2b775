"""Draws and scores that searches have in common: fewer tokens, the same trees."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter
from dataclasses import dataclass, field, replace

import fake_engines as fake
import pytest
from fake_engines import SETTINGS, coarse_margin, wild_respond
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from compute_optimal.engines.requests import FinishReason
from compute_optimal.search import (
    CommonAnswers,
    Drawn,
    Search,
    SearchResult,
    beam_search,
    dvts,
    run,
)
from compute_optimal.search.common_answers import Place

PROBLEMS = [fake.problem(i) for i in range(6)]
Key = tuple[str, str, int | None]


@dataclass
class Shelf:
    """Draws that outlive a run."""

    kept: dict[str, dict[Place, Drawn]] = field(default_factory=dict)

    def answers(self) -> CommonAnswers:
        def save(problem_hash: str, new) -> None:
            assert not new.keys() & self.kept.get(problem_hash, {}).keys()
            self.kept.setdefault(problem_hash, {}).update(new)

        return CommonAnswers(lambda key: tuple(self.kept.get(key, {}).items()), save)


def searches(problems=PROBLEMS) -> list[Search[SearchResult]]:
    queue: list[Search[SearchResult]] = []
    for p in problems:
        place = p, fake.prompt_ids(p)
        queue += [beam_search(*place, n, SETTINGS, fake.encode) for n in (4, 16, 32)]
        queue.append(dvts(*place, range(8), SETTINGS, fake.encode))
    return queue


def other_margin(steps: tuple[str, ...]) -> float:
    """Another PRM: it often agrees with ``coarse_margin``."""
    return coarse_margin(steps) + random.Random("".join(steps)).choice((0, 0, 0, 1.5))


def results_of(
    common: CommonAnswers | None,
    margin=coarse_margin,
    *,
    respond=wild_respond,
    queue=None,
    delays=None,
    max_in_flight=64,
    dies_after=float("inf"),
) -> tuple[dict[Key, SearchResult], fake.FakePolicy, fake.FakePrm]:
    policy = fake.FakePolicy(respond, delays, dies_after)
    prm = fake.FakePrm(margin, delays)
    results: list[SearchResult] = []
    with contextlib.suppress(ConnectionError):
        run(
            searches() if queue is None else queue,
            sampling=policy,
            scoring=prm,
            on_finished=results.append,
            max_in_flight=max_in_flight,
            common=common,
        )
    if common is not None:
        common.forget_all()
    return {(r.problem_id, r.method, r.budget): r for r in results}, policy, prm


def trees(results: dict[Key, SearchResult]) -> dict[Key, tuple]:
    """What must not depend on who has drawn first."""
    return {key: (result.nodes, result.paths) for key, result in results.items()}


def total(results: dict[Key, SearchResult], name: str) -> int:
    return sum(getattr(x, name) for result in results.values() for x in result.ledgers)


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    name=st.integers(0, 10**9),
    shape=st.sampled_from([(4, 4), (16, 4), (32, 4), (6, 2), (12, 1)]),
    variant=st.sampled_from(["paper", "search-and-learn"]),
    few_words=st.booleans(),
)
def test_no_search_asks_twice_for_one_sample(name, shape, variant, few_words) -> None:
    budget, width = shape
    settings = replace(SETTINGS, beam_width=width, variant=variant, max_steps=6)

    def terse(_: str, chance: random.Random, request) -> tuple[str, FinishReason]:
        """Says one of two things, or is cut, so that many paths have one history."""
        kind = chance.random()
        if not request.stop or kind < 0.1:
            return "a", "eos"
        return ("b", "length") if kind < 0.6 else (chance.choice("ab") + "\n\n", "stop")

    respond = terse if few_words else wild_respond
    for kind in ({"budgets": (budget,)}, {"subtrees": range(budget // width)}):
        _, policy, _ = fake.search(
            respond, coarse_margin, problems=[fake.problem(name)], settings=settings, **kind
        )
        identities = Counter(request.identity for request in policy.log)
        assert None not in identities
        assert set(identities.values()) == {1}
        assert len({request.seed for request in policy.log}) == len(policy.log)


@pytest.mark.parametrize("max_in_flight", [1, 50, 10_000])
def test_trees_are_those_of_searches_that_share_nothing(max_in_flight: int) -> None:
    alone, *_ = results_of(None)
    shuffled = searches()
    random.Random(max_in_flight).shuffle(shuffled)
    delays = random.Random(max_in_flight)
    shared, policy, prm = results_of(
        CommonAnswers(), queue=shuffled, delays=delays, max_in_flight=max_in_flight
    )
    assert trees(shared) == trees(alone)
    for name in ("generated_tokens", "discarded_tokens", "sample_requests", "score_requests"):
        assert total(shared, name) == total(alone, name)
    # What was not shared is what the engines did, to the token.
    made = total(shared, "generated_tokens") - total(shared, "shared_tokens")
    assert made == sum(len(policy._answer(request).token_ids) for request in policy.log)
    read = total(shared, "prm_tokens_computed") - total(shared, "prm_tokens_shared")
    assert read == sum(len(request.token_ids) - 1 for request in prm.log)
    assert made < 0.7 * total(alone, "generated_tokens")
    assert len({request.identity for request in policy.log}) == len(policy.log)


def test_the_next_prm_finds_what_was_drawn_and_its_trees_are_those_of_a_cold_run() -> None:
    shelf = Shelf()
    first, *_ = results_of(shelf.answers())
    warm, policy, _ = results_of(shelf.answers(), other_margin)
    cold, cold_policy, _ = results_of(CommonAnswers(), other_margin)
    assert trees(warm) == trees(cold) != trees(first)
    assert 0 < len(policy.log) < 0.8 * len(cold_policy.log)
    again, policy, _ = results_of(shelf.answers(), other_margin)
    assert trees(again) == trees(cold)
    assert not policy.log
    assert total(again, "shared_tokens") == total(again, "generated_tokens")


def test_a_run_that_died_leaves_its_draws_and_the_next_ends_in_the_same_trees() -> None:
    shelf = Shelf()
    expected, whole, _ = results_of(CommonAnswers())
    partial, *_ = results_of(shelf.answers(), dies_after=300, max_in_flight=16)
    assert len(partial) < len(expected)
    resumed, policy, _ = results_of(shelf.answers())
    assert trees(resumed) == trees(expected)
    # The step in which it died was lost.
    assert len(policy.log) <= len(whole.log) - 300 + 16


def test_the_first_answer_counts_where_the_engine_is_not_reproducible() -> None:
    numbers = itertools.count()

    def moody(so_far: str, _: random.Random, __) -> tuple[str, FinishReason]:
        return (f"{next(numbers)}", "eos") if len(so_far) > 12 else (f"{next(numbers)}\n\n", "stop")

    shelf = Shelf()
    first, *_ = results_of(shelf.answers(), respond=moody)
    for p in PROBLEMS:
        narrow = first[p.problem_id, "beam_search", 4]
        subtrees = first[p.problem_id, "dvts", None]
        assert narrow.paths == tuple(path for path in subtrees.paths if path.subtree == 0)
    second, policy, _ = results_of(shelf.answers(), respond=moody)
    assert trees(second) == trees(first)
    assert not policy.log


def test_what_was_forgotten_is_loaded_again_and_only_then() -> None:
    loads: list[str] = []

    def load(problem_hash: str) -> tuple:
        loads.append(problem_hash)
        return ()

    common = CommonAnswers(load)
    one = PROBLEMS[:1]
    for _ in range(2):
        run(
            searches(one),
            sampling=fake.FakePolicy(wild_respond),
            scoring=fake.FakePrm(coarse_margin),
            on_finished=fake.ignore,
            max_in_flight=64,
            common=common,
        )
        assert loads == [one[0].problem_hash]
    common.forget(one[0].problem_hash)
    results_of(common, queue=searches(one))
    assert loads == [one[0].problem_hash] * 2
