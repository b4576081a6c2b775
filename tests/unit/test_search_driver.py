"""The driver: bounds, delivery, failures, and results that do not depend on the weather."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import asdict, replace

import fake_engines as fake
import pytest
from fake_engines import SETTINGS, coarse_margin, search, wild_respond

from compute_optimal.engines.requests import FinishReason
from compute_optimal.errors import StudyError
from compute_optimal.search import Search, SearchResult, beam_search, draw, dvts, run

PROBLEMS = [fake.problem(i) for i in range(12)]


def searches(problems=PROBLEMS) -> Iterator[Search[SearchResult]]:
    """All budgets of a cell and DVTS, in one queue."""
    for p in problems:
        for budget in (4, 16):
            yield beam_search(p, fake.prompt_ids(p), budget, SETTINGS, fake.encode)
        yield dvts(p, fake.prompt_ids(p), range(3), SETTINGS, fake.encode)


def results_of(**options) -> dict[tuple, SearchResult]:
    """Results without what may depend on the load: which prompt tokens were cached."""
    results: list[SearchResult] = []
    options = {"max_in_flight": 64, "queue": searches(), "delays": None, **options}
    delays = options.pop("delays")
    run(
        options.pop("queue"),
        sampling=fake.FakePolicy(wild_respond, delays),
        scoring=fake.FakePrm(coarse_margin, delays),
        on_finished=results.append,
        **options,
    )
    return {(r.problem_id, r.method, r.budget): r for r in results}


@pytest.mark.parametrize("max_in_flight", [1, 7, 64, 10_000])
@pytest.mark.parametrize("score_batch", [1, 16])
def test_the_order_and_size_of_batches_never_matter(max_in_flight: int, score_batch: int) -> None:
    expected = results_of()
    assert len(expected) == 3 * len(PROBLEMS)
    shuffled = list(searches())
    random.Random(1).shuffle(shuffled)
    results = results_of(
        queue=shuffled,
        delays=random.Random(max_in_flight),
        max_in_flight=max_in_flight,
        score_batch=score_batch,
    )
    assert results == expected


def test_shards_hold_what_the_whole_run_holds() -> None:
    shards = [results_of(queue=searches(PROBLEMS[i::5])) for i in range(5)]
    assert {key: result for shard in shards for key, result in shard.items()} == results_of()


def test_dvts_subtrees_do_not_depend_on_their_neighbours() -> None:
    """N = 32 holds N = 16 by whole subtrees, and a run that adds subtrees adds nothing else."""
    [whole], *_ = search(wild_respond, coarse_margin, subtrees=range(8))
    [first], *_ = search(wild_respond, coarse_margin, subtrees=range(4))
    [rest], *_ = search(wild_respond, coarse_margin, subtrees=range(4, 8))
    assert whole.nodes == first.nodes + rest.nodes
    assert whole.paths == first.paths + rest.paths
    assert whole.ledgers == first.ledgers + rest.ledgers


def test_at_width_n_a_beam_search_is_the_first_subtree_unless_the_draws_are_others() -> None:
    [beam], *_ = search(wild_respond, coarse_margin, budgets=(4,))
    [tree], *_ = search(wild_respond, coarse_margin, subtrees=range(1))
    assert (beam.nodes, beam.paths) == (tree.nodes, tree.paths)
    [second], *_ = search(wild_respond, coarse_margin, subtrees=range(1, 2))
    assert [node.text for node in second.nodes] != [node.text for node in tree.nodes]
    other, *_ = search(
        wild_respond, coarse_margin, budgets=(4,), settings=replace(SETTINGS, spec_digest="other")
    )
    assert other[0].nodes != beam.nodes


def test_a_killed_run_keeps_what_had_finished_and_resumes_to_the_same_trees() -> None:
    expected = results_of()
    stored: dict[tuple, SearchResult] = {}

    def keep(result: SearchResult) -> None:
        stored[result.problem_id, result.method, result.budget] = result

    n_runs = 0
    while len(stored) < len(expected):
        n_runs += 1
        before = len(stored)
        missing = [
            one for one, key in zip(searches(), expected_keys(), strict=True) if key not in stored
        ]
        policy = fake.FakePolicy(wild_respond, random.Random(n_runs), dies_after=900)
        with contextlib.suppress(ConnectionError):
            run(
                missing,
                sampling=policy,
                scoring=fake.FakePrm(coarse_margin),
                on_finished=keep,
                max_in_flight=40,
            )
        assert len(stored) > before  # delivered before the engine died
    assert n_runs > 2
    assert stored == expected


def expected_keys() -> list[tuple]:
    return [
        (p.problem_id, method, budget)
        for p in PROBLEMS
        for method, budget in (("beam_search", 4), ("beam_search", 16), ("dvts", None))
    ]


def test_results_are_handed_over_at_once() -> None:
    """A quick problem is delivered while a slow one, started before it, is still running."""
    slow, quick = fake.problem(0), fake.problem(1)

    def respond(_so_far: str, _: random.Random, request) -> tuple[str, FinishReason]:
        first = request.prompt_ids[: len(fake.prompt_ids(slow))] == fake.prompt_ids(slow)
        return (f"{request.key[-1]}\n\n", "stop") if first else ("done", "eos")

    policy = fake.FakePolicy(respond)
    delivered: list[tuple[str, int]] = []
    run(
        (beam_search(p, fake.prompt_ids(p), 4, SETTINGS, fake.encode) for p in (slow, quick)),
        sampling=policy,
        scoring=fake.FakePrm(coarse_margin),
        on_finished=lambda result: delivered.append((result.problem_id, policy.unfinished)),
        max_in_flight=8,
    )
    assert [name for name, _ in delivered] == ["p1", "p0"]
    assert len(policy.log) == 4 * 40 + 4


def test_the_search_started_first_is_served_first() -> None:
    def respond(so_far: str, _: random.Random, request) -> tuple[str, FinishReason]:
        return (f"{request.key[-1]}\n\n", "stop") if len(so_far) < 15 else ("done", "eos")

    order: list[str] = []
    run(
        (beam_search(p, fake.prompt_ids(p), 4, SETTINGS, fake.encode) for p in PROBLEMS),
        sampling=fake.FakePolicy(respond),
        scoring=fake.FakePrm(coarse_margin),
        on_finished=lambda result: order.append(result.problem_id),
        max_in_flight=10,
    )
    assert order == [p.problem_id for p in PROBLEMS]


@pytest.mark.parametrize("bound", [1, 5, 50])
def test_no_engine_holds_more_than_the_bound_and_problems_start_late(bound: int) -> None:
    policy = fake.FakePolicy(wild_respond, random.Random(0))
    prm = fake.FakePrm(coarse_margin, random.Random(1))
    started, finished, live = [], [], []

    def queue() -> Iterator[Search[SearchResult]]:
        for one in searches():
            live.append(len(started) - len(finished))
            started.append(one)
            yield one

    run(queue(), sampling=policy, scoring=prm, on_finished=finished.append, max_in_flight=bound)
    assert policy.peak <= bound
    assert prm.peak <= bound
    # Every live search has a live request in one of the two engines' queues.
    assert max(live) <= 2 * bound
    assert len(finished) == len(started) == 36


def test_the_engine_is_kept_full() -> None:
    """While problems remain, the policy is refilled to its bound before every step."""
    policy = fake.FakePolicy(wild_respond, random.Random(0))
    loads: list[int] = []
    collect, remaining = policy.collect, [True]

    def counted() -> list:
        if remaining[0]:
            loads.append(policy.unfinished)
        return collect()

    policy.collect = counted  # type: ignore[method-assign]

    def queue() -> Iterator[Search[SearchResult]]:
        yield from searches()
        remaining[0] = False

    run(
        queue(),
        sampling=policy,
        scoring=fake.FakePrm(coarse_margin),
        on_finished=fake.ignore,
        max_in_flight=32,
    )
    assert len(loads) > 50
    assert set(loads) == {32}


def test_the_prm_waits_for_a_batch_unless_the_policy_is_idle() -> None:
    policy = fake.FakePolicy(wild_respond, random.Random(0))
    prm = fake.FakePrm(coarse_margin)
    batches: list[tuple[int, int]] = []
    collect = prm.collect

    def counted() -> list:
        batches.append((prm.unfinished, policy.unfinished))
        return collect()

    prm.collect = counted  # type: ignore[method-assign]
    run(
        searches(),
        sampling=policy,
        scoring=prm,
        on_finished=fake.ignore,
        max_in_flight=32,
        score_batch=12,
    )
    assert all(n >= 12 or idle == 0 for n, idle in batches)
    assert sum(n >= 12 for n, _ in batches) > 50


def test_pools_and_searches_share_a_run() -> None:
    results = []
    p = PROBLEMS[0]
    run(
        [draw(p, fake.prompt_ids(p), range(8), SETTINGS), *searches([p])],
        sampling=fake.FakePolicy(wild_respond),
        scoring=fake.FakePrm(coarse_margin),
        on_finished=results.append,
        max_in_flight=16,
    )
    assert (
        sorted(type(result).__name__ for result in results) == ["PoolResult"] + ["SearchResult"] * 3
    )


def test_an_error_of_the_receiver_passes_through() -> None:
    def full_disk(_: SearchResult) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run(
            searches(),
            sampling=fake.FakePolicy(wild_respond),
            scoring=fake.FakePrm(coarse_margin),
            on_finished=full_disk,
            max_in_flight=16,
        )


def test_misuse_is_explained() -> None:
    engines = {"sampling": fake.FakePolicy(wild_respond), "scoring": fake.FakePrm(coarse_margin)}
    with pytest.raises(StudyError, match="at least 1"):
        run(searches(), **engines, on_finished=fake.ignore, max_in_flight=0)
    with pytest.raises(StudyError, match="started twice"):
        run(searches(PROBLEMS[:1] * 2), **engines, on_finished=fake.ignore, max_in_flight=64)
    with pytest.raises(StudyError, match="needs a PRM"):
        run(
            searches(),
            sampling=fake.FakePolicy(wild_respond),
            on_finished=fake.ignore,
            max_in_flight=64,
        )
    with pytest.raises(StudyError, match="needs a policy"):
        run(
            searches(),
            scoring=fake.FakePrm(coarse_margin),
            on_finished=fake.ignore,
            max_in_flight=64,
        )


def test_an_engine_that_loses_or_invents_requests_is_caught() -> None:
    class Forgetful(fake.FakePolicy):
        def collect(self) -> list:
            return super().collect()[:-1]

    class Inventive(fake.FakePolicy):
        def collect(self) -> list:
            return [replace(answer, key="invented") for answer in super().collect()]

    for policy, words in ((Forgetful, "lost"), (Inventive, "not given")):
        with pytest.raises(RuntimeError, match=words):
            run(
                searches(),
                sampling=policy(wild_respond),
                scoring=fake.FakePrm(coarse_margin),
                on_finished=fake.ignore,
                max_in_flight=64,
            )


def test_nothing_to_do_is_done_at_once() -> None:
    results: list[SearchResult] = []
    run([], on_finished=results.append, max_in_flight=1)
    p = PROBLEMS[0]
    run(
        [dvts(p, fake.prompt_ids(p), (), SETTINGS, fake.encode)],
        on_finished=results.append,
        max_in_flight=1,
    )
    [result] = results
    assert asdict(result)["nodes"] == ()
