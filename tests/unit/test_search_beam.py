"""Beam search and DVTS against enumeration, a plain re-implementation, and hand-made traces."""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import fake_engines as fake
import pytest
from fake_engines import SETTINGS, coarse_margin, search, wild_respond
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from compute_optimal.engines.requests import FinishReason
from compute_optimal.errors import StudyError
from compute_optimal.policies.steps import split_steps
from compute_optimal.search import (
    CommonAnswers,
    SearchResult,
    SearchSettings,
    beam_search,
    n_beams,
    run,
)
from compute_optimal.study.spec import seed_for
from compute_optimal.tasks import Problem

# --- exact probabilities ----------------------------------------------------------------------
#
# A policy whose steps are letters with known probabilities: "c" is a boxed step, "#" is cut at the
# token limit, "_" is white space only, and the third step is always the last one.

N_TRIES = 600
LETTERS = {"a": 0.35, "b": 0.25, "c": 0.15, "#": 0.15, "_": 0.10}
TEXTS = {"a": "a", "b": "b", "c": "c \\boxed{1}"}
LETTER_OF = {text: letter for letter, text in TEXTS.items()}


def toy_respond(_: str, generator: random.Random, request) -> tuple[str, FinishReason]:
    letter = generator.choices(list(LETTERS), list(LETTERS.values()))[0]
    if letter == "_":
        return "\n\n", "stop"
    if letter == "#":
        return "cut", "length"
    last = request.key[-3].count(".") == 1  # below a second step
    return (TEXTS[letter], "eos") if last else (TEXTS[letter] + "\n\n", "stop")


def toy_margin(steps: tuple[str, ...]) -> float:
    """Different for every path, in no order that the letters suggest."""
    letters = "".join(LETTER_OF.get(step, "#") for step in steps)
    return random.Random(letters).uniform(-5, 5)


def ends(path: str) -> bool:
    return path.endswith(("c", "#")) or len(path) == 3


def score_of(path: str) -> float:
    return random.Random(path).uniform(-5, 5)


@cache
def children_distribution(path: str, n_samples: int, attempt: int = 0) -> dict:
    """Distribution of the set of candidates below a path; empty set = stuck."""
    chances: dict = defaultdict(float)
    for letters in itertools.product(LETTERS, repeat=n_samples):
        probability = math.prod(LETTERS[letter] for letter in letters)
        usable = "abc#" if not path and attempt else "abc"
        valid = tuple(sorted({path + letter for letter in letters if letter in usable}))
        if valid or attempt == 2:
            chances[valid] += probability
        else:
            for later, share in children_distribution(path, n_samples, attempt + 1).items():
                chances[later] += probability * share
    return dict(chances)


def answers_distribution(budget: int, beam_width: int) -> dict:
    """Distribution of the multiset of answers, by summing over everything that can happen."""
    slots, answers = budget // beam_width, defaultdict(float)

    def walk(parents: tuple[str, ...], done: tuple[str, ...], p: float, n_samples: int) -> None:
        if not parents:
            answers[tuple(sorted(done))] += p
            return
        options = [children_distribution(parent, n_samples).items() for parent in parents]
        for combination in itertools.product(*options):
            stuck = tuple(
                parent for parent, (c, _) in zip(parents, combination, strict=True) if not c
            )
            pool = sorted((c for children, _ in combination for c in children), key=score_of)[::-1]
            kept = pool[: slots - len(done) - len(stuck)]
            over = tuple(path for path in kept if ends(path))
            active = tuple(path for path in kept if not ends(path))
            share = math.prod(q for _, q in combination)
            walk(active, done + stuck + over, p * share, beam_width)

    walk(("",), (), 1.0, budget)
    return dict(answers)


def assert_matches(exact: dict, seen: Counter) -> None:
    """All outcomes within 5 standard errors; none that cannot happen."""
    n = seen.total()
    assert sum(exact.values()) == pytest.approx(1)
    assert set(seen) <= set(exact)
    for outcome, p in exact.items():
        assert abs(seen[outcome] / n - p) <= 5 * math.sqrt(p * (1 - p) / n) + 1 / n, outcome


def letters_of(path_text: str) -> str:
    return "".join(LETTER_OF.get(step, "#") for step in split_steps(path_text))


def test_searches_with_draws_in_common_each_have_the_enumerated_distribution() -> None:
    settings = replace(SETTINGS, beam_width=2)
    common = CommonAnswers()
    results, policy, _ = search(
        toy_respond,
        toy_margin,
        budgets=(2, 4),
        subtrees=range(2),
        problems=N_TRIES,
        settings=settings,
        common=common,
    )
    single = answers_distribution(2, 2)
    pairs = {(a, b): p * q for (a, p), (b, q) in itertools.product(single.items(), repeat=2)}
    exact = {2: single, 4: answers_distribution(4, 2), None: pairs}
    for budget, distribution in exact.items():
        answers = [[letters_of(p.text) for p in r.paths] for r in results if r.budget == budget]
        seen = (
            Counter(tuple((letters,) for letters in one) for one in answers)
            if budget is None
            else Counter(tuple(sorted(one)) for one in answers)
        )
        assert_matches(distribution, seen)
    asked = sum(ledger.sample_requests for result in results for ledger in result.ledgers)
    assert len(policy.log) < 0.7 * asked


@pytest.mark.parametrize(("budget", "beam_width"), [(2, 2), (4, 2), (3, 3)])
def test_beam_search_has_the_enumerated_distribution(budget: int, beam_width: int) -> None:
    settings = replace(SETTINGS, beam_width=beam_width)
    results, _, _ = search(
        toy_respond, toy_margin, budgets=(budget,), problems=N_TRIES, settings=settings
    )
    seen = Counter(tuple(sorted(letters_of(p.text) for p in r.paths)) for r in results)
    exact = answers_distribution(budget, beam_width)
    assert_matches(exact, seen)
    # The probability that some answer is right, where "right" is a quarter of all paths.
    right = {paths for paths in exact if any(score_of(path) > 2.5 for path in paths)}
    p = sum(exact[paths] for paths in right)
    rate = sum(seen[paths] for paths in right) / N_TRIES
    assert rate == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / N_TRIES))


def test_dvts_subtrees_are_independent_and_have_the_enumerated_distribution() -> None:
    settings = replace(SETTINGS, beam_width=2)
    results, _, _ = search(
        toy_respond, toy_margin, subtrees=range(2), problems=N_TRIES, settings=settings
    )
    single = answers_distribution(2, 2)
    pairs = {
        (first, second): p * q
        for (first, p), (second, q) in itertools.product(single.items(), repeat=2)
    }
    seen = Counter(tuple((letters_of(path.text),) for path in r.paths) for r in results)
    assert_matches(pairs, seen)


# --- the same trees as a plain loop -----------------------------------------------------------


def plain_beam_search(
    p: Problem, budget: int, first_number: int, settings: SearchSettings, respond, margin
) -> list[tuple[str, str]]:
    """(text, ended_by) of all answers: one request after the other, no engine, no state machine."""
    width = settings.beam_width
    slots = budget // width
    place = (settings.spec_digest, p.problem_hash)
    n_prompt = len(fake.prompt_ids(p))

    def room(tokens: int) -> int:
        total = min(settings.max_tokens, settings.context - n_prompt)
        return min(settings.max_step_tokens, total - tokens)

    beam, done = [("", "", (), 0, first_number)], []  # history, text, steps, tokens, first number
    for depth in itertools.count(1):
        candidates = []
        for history, text, steps, tokens, own in beam:
            valid = []
            for attempt in range(3):
                said, forced = set(), depth == 1 and attempt > 0
                numbers = range(own, own + (budget if depth == 1 else width))
                for number in reversed(numbers) if forced else numbers:
                    draw = (*place, history, attempt, number)
                    seed = seed_for(*draw)
                    request = fake.SampleRequest((), (), seed, room(tokens), 1.0, 1.0, -1)
                    new, reason = respond(text, random.Random(seed), request)
                    step = new.strip()
                    if not step or (reason == "length" and not forced) or step in said:
                        continue
                    said.add(step)
                    if len(fake.encode(p.problem, [*steps, step]).token_ids) > settings.prm_context:
                        continue
                    ids = (*fake.ids(new), *([fake.EOS] if reason == "eos" else []))
                    packed = b"".join(token.to_bytes(4, "little") for token in ids)
                    said_now = hashlib.sha256(bytes.fromhex(history) + packed).hexdigest()[:32]
                    below = number // width * width if depth == 1 else own
                    used = tokens + len(new) + (reason == "eos")
                    end = (
                        reason
                        if reason != "stop"
                        else "boxed"
                        if "\\boxed" in step
                        else "max_steps"
                        if depth == settings.max_steps
                        else "length"
                        if room(used) < 1
                        else None
                    )
                    tie = seed_for(*draw, "tie")
                    valid.append((said_now, text + new, (*steps, step), used, below, end, tie))
                if valid:
                    break
            candidates += valid
            if not valid:
                done.append((steps, "stuck"))
        candidates.sort(key=lambda c: (-margin(c[2]), c[-1]))
        kept = candidates[: slots - len(done)]
        done += [(c[2], c[5]) for c in kept if c[5]]
        beam = [c[:5] for c in kept if not c[5]]
        if not beam:
            return [("\n\n".join(steps), end) for steps, end in done]
    raise AssertionError


def repetitive_respond(so_far: str, generator: random.Random, request) -> tuple[str, FinishReason]:
    """Two words that end in every way there is, and first steps that are rarely in full."""
    word = generator.choice("xy")[: request.max_tokens]
    if generator.random() < (0.4 if so_far else 0.8):
        return word, "length"
    return generator.choice([(word, "eos"), (f"{word}\n\n", "stop")])


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    name=st.integers(0, 10**9),
    shape=st.sampled_from([(4, 4), (8, 4), (16, 4), (6, 2), (16, 16), (12, 1)]),
    max_steps=st.integers(1, 6),
    max_tokens=st.integers(1, 60),
    prm_context=st.sampled_from([40, 100_000]),
    respond=st.sampled_from([wild_respond, repetitive_respond]),
)
def test_same_answers_as_a_plain_loop(
    name, shape, max_steps, max_tokens, prm_context, respond
) -> None:
    budget, beam_width = shape
    settings = replace(
        SETTINGS,
        beam_width=beam_width,
        max_steps=max_steps,
        max_tokens=max_tokens,
        prm_context=prm_context,
    )
    p = fake.problem(name)
    results, policy, _ = search(
        respond,
        coarse_margin,
        budgets=(budget,),
        subtrees=range(budget // beam_width),
        problems=[p],
        settings=settings,
    )
    by_method = {result.method: result for result in results}
    plain = (settings, respond, coarse_margin)
    assert [(path.text, path.ended_by) for path in by_method["beam_search"].paths] == (
        plain_beam_search(p, budget, 0, *plain)
    )
    assert [(path.text, path.ended_by) for path in by_method["dvts"].paths] == [
        answer
        for subtree in range(budget // beam_width)
        for answer in plain_beam_search(p, beam_width, subtree * beam_width, *plain)
    ]
    for result in results:
        check_records(result, policy)


def check_records(result: SearchResult, policy: fake.FakePolicy) -> None:
    """What must hold between nodes, paths, ledger and the requests that were really made."""
    nodes = {(node.subtree, node.node): node for node in result.nodes}
    assert len(nodes) == len(result.nodes)
    generated: Counter = Counter()
    for node in result.nodes:
        generated[node.subtree] += node.n_tokens
        if node.parent is None:
            assert node.depth == 1
        else:
            parent = nodes[node.subtree, node.parent]
            assert parent.fate == "kept"
            assert parent.node < node.node
            assert parent.depth == node.depth - 1
        assert (node.margin is None) == (node.fate not in ("kept", "pruned"))
    used: dict = defaultdict(set)
    for path in result.paths:
        assert len(split_steps(path.text)) == len(path.margins)
        chain, node = [], nodes.get((path.subtree, path.leaf))
        while node is not None:
            chain.append(node)
            node = nodes.get((path.subtree, node.parent))
        chain.reverse()
        used[path.subtree] |= {node.node for node in chain}
        assert path.n_tokens == sum(node.n_tokens for node in chain)
        assert [s for node in chain for s in split_steps(node.text)] == split_steps(path.text)
        assert [node.margin for node in chain if node.margin is not None][-1:] == list(
            path.margins[-1:]
        )
    for ledger in result.ledgers:
        assert ledger.generated_tokens == generated[ledger.subtree]
        assert ledger.discarded_tokens == generated[ledger.subtree] - sum(
            nodes[ledger.subtree, number].n_tokens for number in used[ledger.subtree]
        )
        assert ledger.sample_requests == sum(n.subtree == ledger.subtree for n in result.nodes)
    label = (result.problem_hash, result.method)
    asked = [request for request in policy.log if request.key[1:3] == label]
    assert len(asked) == len(result.nodes)
    assert sum(len(r.prompt_ids) for r in asked) == sum(
        ledger.prompt_tokens_computed + ledger.prompt_tokens_cached for ledger in result.ledgers
    )


# --- hand-made traces -------------------------------------------------------------------------


def scripted(script: dict[str, list[str]]) -> tuple[fake.Respond, Callable]:
    """Samples below a lineage, by attempt: "text:score", "$" at the end = end of sequence,
    "%" at the end = cut at the limit."""
    scores: dict[tuple[str, ...], float] = {}

    def respond(so_far: str, _: random.Random, request) -> tuple[str, FinishReason]:
        lineage, attempt, child = request.key[-3:]
        text, _, score = script[lineage][attempt].split()[child].rpartition(":")
        reason = {"$": "eos", "%": "length"}.get(text[-1:], "stop")
        step = text.rstrip("$%").replace("_", "")
        scores[(*split_steps(so_far), step)] = float(score)
        return step + ("\n\n" if reason == "stop" else ""), reason

    return respond, lambda steps: scores[steps]


def table(result: SearchResult) -> list[tuple[int, str, str]]:
    return [(node.depth, node.text.strip(), node.fate) for node in result.nodes]


def test_a_finished_path_keeps_its_slot_and_nothing_is_expanded_in_vain() -> None:
    """N = 8, M = 4, so two slots. The official code would, with its stale k, expand two nodes in
    round 3, and expand once more after the last slot has filled."""
    respond, margin = scripted(
        {
            "": ["a:1 b:9 c:2 d:8 e:3 f:4 g:5 h:6"],
            "1": ["i$:5 j:4 k:3 l:2"],
            "3": ["m:1 n:7 o:0 p:0.5"],
            # i$ is final, although all these beat it: one slot is left, not two.
            "3.1": ["q:9 r\\boxed:10 s:8 t:7"],
        }
    )
    [result], policy, prm = search(respond, margin, budgets=(8,))
    assert [request.key[-3] for request in policy.log] == [""] * 8 + ["1"] * 4 + ["3"] * 4 + [
        "3.1"
    ] * 4
    kept = [text for _, text, fate in table(result) if fate == "kept"]
    assert kept == ["b", "d", "i", "n", "r\\boxed"]
    assert [(path.text, path.margins, path.ended_by) for path in result.paths] == [
        ("b\n\ni", (9.0, 5.0), "eos"),
        ("d\n\nn\n\nr\\boxed", (8.0, 7.0, 10.0), "boxed"),
    ]
    # Only the new step is scored.
    assert all(len(request.positions) == 1 for request in prm.log)


def test_terminal_candidates_compete_once_and_may_lose() -> None:
    respond, margin = scripted(
        {
            "": ["a$:1 b:3 c:2 d\\boxed:0"],
            "1": ["e$:1 f:2 g:0 h:0.5"],
            "1.1": ["i$:1 j$:2 k:1.5 l:0"],
        }
    )
    [result], policy, _ = search(respond, margin, budgets=(4,))
    assert [path.text for path in result.paths] == ["b\n\nf\n\nj"]
    assert {(n.text.strip(), n.fate) for n in result.nodes if n.finished} == {
        ("a", "pruned"),
        ("d\\boxed", "pruned"),
        ("e", "pruned"),
        ("i", "pruned"),
        ("j", "kept"),
    }
    assert len(policy.log) == 12


def test_duplicates_and_cut_steps_are_dropped_and_not_replaced() -> None:
    respond, margin = scripted(
        {
            "": ["a:1 a:1 b%:9 _:9"],
            "0": ["b:2 b:2 d:1 c%:9"],
            "0.0": ["c$:1 c$:1 c$:1 c$:1"],
        }
    )
    [result], _, prm = search(respond, margin, budgets=(4,))
    assert [fate for depth, _, fate in table(result) if depth == 1] == [
        *("kept", "duplicate", "truncated", "empty")
    ]
    assert [fate for depth, _, fate in table(result) if depth == 2] == [
        *("kept", "duplicate", "pruned", "truncated")
    ]
    # One score for each distinct text below a parent.
    assert Counter(request.key[-3] for request in prm.log if request.key[-3] in ("", "0")) == {
        "": 1,
        "0": 2,
    }


@pytest.mark.parametrize(
    ("siblings", "answers"),
    [
        ("b$:2 b:2 c:1 d:1", [("a\n\nb", "eos")]),
        ("b:2 b$:2 c:1 d:1", [("a\n\nb\n\ne", "eos")]),
        ("c:1 b%:2 b:2 b$:2", [("a\n\nb\n\ne", "eos")]),  # a cut step stands for nothing
    ],
)
def test_the_first_sibling_with_a_text_decides_whether_the_path_ends(siblings, answers) -> None:
    """However a text ended, it takes one slot: the official code compares stripped texts."""
    below = ["e$:1 e$:1 e$:1 e$:1"]
    respond, margin = scripted(
        {"": ["a:9 x:0 y:0 z:0"], "0": [siblings], **{f"0.{child}": below for child in range(4)}}
    )
    [result], _, _ = search(respond, margin, budgets=(4,))
    assert [(path.text, path.ended_by) for path in result.paths] == answers
    [subtrees], _, _ = search(respond, margin, subtrees=range(1))
    assert [(path.text, path.ended_by) for path in subtrees.paths] == answers


def test_three_requests_then_the_path_counts_as_it_stands() -> None:
    nothing = "x%:1 _:1 _$:1 y%:1"
    respond, margin = scripted({"": ["a:1 b:0 c:0 d:0"], "0": [nothing] * 3})
    [result], policy, _ = search(respond, margin, budgets=(4,))
    [path] = result.paths
    assert (path.text, path.ended_by, path.margins) == ("a", "stuck", (1.0,))
    assert len({request.seed for request in policy.log}) == 4 + 12
    assert Counter(fate for _, _, fate in table(result)) == {
        "kept": 1,
        "pruned": 3,
        "truncated": 6,
        "empty": 6,
    }
    assert next(node for node in result.nodes if node.text == "a\n\n").finished


def test_the_third_request_may_still_save_a_path() -> None:
    nothing = "x%:1 _:1 _$:1 y%:1"
    respond, margin = scripted(
        {"": ["a:1 b:0 c:0 d:0"], "0": [nothing, nothing, "x%:1 e$:1 _:1 f$:2"]}
    )
    [result], _, _ = search(respond, margin, budgets=(4,))
    assert [(path.text, path.ended_by) for path in result.paths] == [("a\n\nf", "eos")]


def test_the_second_request_at_the_root_takes_cut_steps_which_end_their_path() -> None:
    respond, margin = scripted(
        {
            "": ["a%:1 a%:1 b%:0 _:1 c%:0 c%:0 c%:0 c%:0", "a%:2 a%:2 b:1 _:1 c:0 c%:0 c:0 c:0"],
            "2": ["d$:1 e$:0 f:0 g:0"],
        }
    )
    [result], policy, _ = search(respond, margin, budgets=(8,))
    assert [(path.text, path.margins, path.ended_by) for path in result.paths] == [
        ("a", (2.0,), "length"),
        ("b\n\nd", (1.0, 1.0), "eos"),
    ]
    assert [fate for depth, _, fate in table(result) if depth == 1] == [
        *("truncated", "truncated", "truncated", "empty"),
        *["truncated"] * 4,
        *("duplicate", "kept", "kept", "empty"),
        *("duplicate", "duplicate", "duplicate", "pruned"),
    ]
    assert len(policy.log) == 8 + 8 + 4


@pytest.mark.parametrize(
    ("taken", "ended_by"), [("a:1 a$:1", "eos"), ("a$:1 a%:1", "length"), ("a%:1 a:1", "stuck")]
)
def test_of_equal_first_steps_taken_by_force_the_last_stands(taken: str, ended_by: str) -> None:
    respond, margin = scripted({"": ["a%:1 a%:1", taken], "1": ["x%:0 x%:0"] * 3})
    settings = replace(SETTINGS, beam_width=2)
    # Force is used only where a first request gave nothing.
    [result], _, _ = search(respond, margin, budgets=(2,), settings=settings)
    assert [(path.text, path.ended_by) for path in result.paths] == [("a", ended_by)]
    assert [node.fate for node in result.nodes][:4] == [
        "truncated",
        "truncated",
        "duplicate",
        "kept",
    ]


def test_a_problem_that_gets_nowhere_still_has_an_answer() -> None:
    [result], _, prm = search(lambda *_: ("\n\n\n\n", "stop"), coarse_margin, budgets=(8,))
    [path] = result.paths
    assert (path.text, path.leaf, path.margins, path.ended_by) == ("", None, (), "stuck")
    assert len(result.nodes) == 24
    assert not prm.log
    [ledger] = result.ledgers
    assert ledger.discarded_tokens == ledger.generated_tokens == 24 * 4


def test_samples_per_round_at_n_256() -> None:
    """The shape that official-code simulations show, without their jumps upwards: 256 samples as
    long as nothing has finished, then M for each slot that is still free."""

    def respond(so_far: str, generator: random.Random, _: object) -> tuple[str, FinishReason]:
        ends_here = len(split_steps(so_far)) >= 3 and generator.random() < 0.3
        step = f"{generator.random():.12f}"
        return (step, "eos") if ends_here else (step + "\n\n", "stop")

    [result], _, _ = search(respond, lambda steps: float(steps[-1]), budgets=(256,))
    per_round = Counter(node.depth for node in result.nodes)
    finished = Counter(n.depth for n in result.nodes if n.finished and n.fate == "kept")
    assert [per_round[depth] for depth in (1, 2, 3, 4)] == [256] * 4
    for depth in range(2, max(per_round) + 1):
        free = 64 - sum(finished[earlier] for earlier in range(1, depth))
        assert per_round[depth] == 4 * free
    assert finished.total() == len(result.paths) == 64


def test_forty_steps_end_a_path() -> None:
    def respond(_so_far: str, generator: random.Random, _: object) -> tuple[str, FinishReason]:
        return f"{generator.random()}\n\n", "stop"

    [result], _, _ = search(respond, lambda steps: float(steps[-1]), budgets=(4,))
    [path] = result.paths
    assert (path.ended_by, len(path.margins)) == ("max_steps", 40)
    assert len(result.nodes) == 160


def test_ties_favour_no_child_and_are_decided_alike_every_time() -> None:
    def respond(_so_far: str, _: random.Random, request) -> tuple[str, FinishReason]:
        return f"step {request.key[-1]}", "eos"

    runs = [search(respond, lambda _: 0.0, budgets=(4,), problems=400)[0] for _ in range(2)]
    assert runs[0] == runs[1]
    winners = Counter(result.paths[0].text for result in runs[0])
    assert set(winners) == {f"step {child}" for child in range(4)}
    assert all(abs(n - 100) < 5 * math.sqrt(400 * 0.25 * 0.75) for n in winners.values())


# --- tokens -----------------------------------------------------------------------------------


def test_continuations_are_the_ids_as_generated() -> None:
    """Also where the last id of a step says more than its text."""
    policy = fake.FakePolicy(wild_respond, overshoot=True)
    prm = fake.FakePrm(coarse_margin)
    results: list[SearchResult] = []
    problems = [fake.problem(i) for i in range(10)]
    prompts = {p.problem_hash: fake.prompt_ids(p) for p in problems}
    run(
        [beam_search(p, fake.prompt_ids(p), 8, SETTINGS, fake.encode) for p in problems],
        sampling=policy,
        scoring=prm,
        on_finished=results.append,
        max_in_flight=64,
    )
    # Ids generated at each place of a tree; of several attempts the last one counts.
    generated = {}
    for request in policy.log:
        _, problem_hash, _, _, lineage, _, child = request.key
        place = f"{lineage}.{child}" if lineage else str(child)
        generated[problem_hash, place] = policy._answer(request).token_ids
    continued = 0
    for request in policy.log:
        _, problem_hash, _, _, lineage, _, _ = request.key
        expected = prompts[problem_hash]
        places = lineage.split(".") if lineage else []
        for depth in range(len(places)):
            expected += generated[problem_hash, ".".join(places[: depth + 1])]
            continued += expected[-1] == fake.OVERSHOOT
        assert request.prompt_ids == expected
    assert continued > 100


def test_a_path_never_exceeds_its_tokens() -> None:
    def respond(_so_far: str, generator: random.Random, request) -> tuple[str, FinishReason]:
        n = generator.randint(3, 12)
        if n > request.max_tokens:
            return "x" * request.max_tokens, "length"
        return f"{generator.randrange(10 ** (n - 2)):0{n - 2}d}\n\n", "stop"

    settings = replace(SETTINGS, max_tokens=50, max_step_tokens=10)
    results, policy, _ = search(
        respond, lambda steps: float(steps[-1]), budgets=(8,), problems=50, settings=settings
    )
    assert max(request.max_tokens for request in policy.log) == 10
    paths = [path for result in results for path in result.paths]
    assert all(path.n_tokens <= 50 for path in paths)
    assert {path.ended_by for path in paths} == {"length", "stuck"}
    assert all(path.n_tokens == 50 for path in paths if path.ended_by == "length")
    # The context bounds prompt and path together.
    short = replace(settings, context=len(fake.prompt_ids(fake.problem(0))) + 20)
    results, _, _ = search(respond, lambda s: float(s[-1]), budgets=(8,), settings=short)
    assert max(path.n_tokens for result in results for path in result.paths) <= 20


def test_over_long_prm_inputs_are_dropped_and_counted() -> None:
    def respond(_so_far: str, generator: random.Random, _: object) -> tuple[str, FinishReason]:
        return generator.choice(["short", "long" * 30]) + f"{generator.random()}\n\n", "stop"

    settings = replace(SETTINGS, prm_context=130)
    results, _, prm = search(respond, lambda _: 0.0, budgets=(8,), problems=20, settings=settings)
    assert max(len(request.token_ids) for request in prm.log) <= 130
    for result in results:
        over = [node for node in result.nodes if node.fate == "over_context"]
        assert result.ledgers[0].over_context == len(over) > 0
        assert all(node.margin is None for node in over)
        assert {path.ended_by for path in result.paths} == {"stuck"}


# --- search-and-learn -------------------------------------------------------------------------

OTHER = replace(SETTINGS, variant="search-and-learn", beam_width=2)


def test_search_and_learn_refills_the_active_set_and_returns_the_first_n() -> None:
    respond, margin = scripted(
        {
            "": ["a:4 b$:1 c:3 d:1"],  # b finishes, a and c go on, copied 0 1 0 1
            "0": ["e:1 f%:9"],
            "2": ["g$:0 h\\boxed:8"],  # h does not end; g and f do, in the order g, f
            "0.0": ["i$:0 j$:0"],  # survivors are e and h, four copies again
            "2.1": ["k$:0 l$:0"],
        }
    )
    [result], policy, _ = search(respond, margin, budgets=(4,), settings=OTHER)
    assert Counter(node.depth for node in result.nodes) == {1: 4, 2: 4, 3: 4}
    assert len(policy.log) == 12
    assert [(path.text, path.ended_by) for path in result.paths] == [
        ("b", "eos"),
        ("c\n\ng", "eos"),
        ("a\n\nf", "length"),
        ("a\n\ne\n\ni", "eos"),
    ]


def test_search_and_learn_spreads_its_copies_evenly() -> None:
    respond, margin = scripted(
        {
            "": ["a$:0 b:1 c$:0 d:3 e$:0 f:2 g$:0 h$:0"],
            **{lineage: ["x$:1 y$:1 z$:1"] for lineage in ("1", "3", "5")},
        }
    )
    [result], _, _ = search(respond, margin, budgets=(8,), settings=OTHER)
    below = Counter(node.parent for node in result.nodes if node.depth == 2)
    assert below == {1: 3, 3: 3, 5: 2}


def test_search_and_learn_repeats_answers_where_too_few_finished() -> None:
    respond, margin = scripted({"": ["a$:1 b:3 b:3 b:3"], "1": ["c$:1 c$:1 c$:1 c$:1"]})
    [result], _, _ = search(respond, margin, budgets=(4,), settings=OTHER)
    # Equal active texts are filtered, so one survivor gets all four copies.
    assert [fate for _, text, fate in table(result) if text == "b"] == [
        "kept",
        "duplicate",
        "duplicate",
    ]
    assert [path.text for path in result.paths] == ["a", "b\n\nc", "b\n\nc", "b\n\nc"]
    respond, margin = scripted({"": ["a$:1 b$:1 c:3 d:2"], "2": ["e$:1 e:1"], "3": ["f:1 f:1"]})
    settings = replace(OTHER, max_steps=2)
    [result], policy, _ = search(respond, margin, budgets=(4,), settings=settings)
    # In the last round nothing stops a sample but its end.
    assert {request.stop for request in policy.log if request.key[-3]} == {()}
    assert {request.stop for request in policy.log if not request.key[-3]} == {("\n\n",)}
    assert [path.ended_by for path in result.paths[:3]] == ["eos", "eos", "eos"]


def test_search_and_learn_last_round_may_write_several_steps() -> None:
    def respond(_so_far: str, generator: random.Random, request) -> tuple[str, FinishReason]:
        step = f"{generator.random()}"
        return (step + "\n\n", "stop") if request.stop else (f"{step}\n\n2\n\n3", "eos")

    settings = replace(OTHER, max_steps=3)
    results, _, prm = search(
        respond, lambda s: float(s[-1]), budgets=(8,), subtrees=range(2), settings=settings
    )
    for result in results:
        for path in result.paths:
            assert len(path.margins) == 5 == len(split_steps(path.text))
            assert path.margins[-1] == 3.0
    assert {len(request.positions) for request in prm.log} == {1, 3}


def test_search_and_learn_dvts_returns_all_siblings_of_the_last_step() -> None:
    respond, margin = scripted({"": ["a:4 b$:1 c:3 d:1"], "0": ["e:1 f%:0.5 g\\boxed{}:9 h$:0"]})
    settings = replace(OTHER, beam_width=4)
    [result], _, _ = search(respond, margin, subtrees=range(1), settings=settings)
    assert [(path.path, path.text, path.ended_by) for path in result.paths] == [
        (0, "a\n\ne", "unfinished"),
        (1, "a\n\nf", "length"),
        (2, "a\n\ng\\boxed{}", "boxed"),
        (3, "a\n\nh", "eos"),
    ]
    assert result.ledgers[0].discarded_tokens == len("b$c\n\nd\n\n")


def test_search_and_learn_takes_white_space_without_scoring_it() -> None:
    respond, margin = scripted({"": ["_:0 _:0"], "0": ["a$:1 _$:1"]})
    [result], _, prm = search(respond, margin, budgets=(2,), settings=OTHER)
    assert len(prm.log) == 1
    assert [(path.text, path.margins) for path in result.paths] == [("a", (1.0,)), ("", ())]


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(("budget", "width"), [(6, 4), (2, 4), (0, 4), (-4, 4), (4, 0)])
def test_a_budget_that_the_beam_width_does_not_divide_is_refused(budget: int, width: int) -> None:
    with pytest.raises(StudyError, match=f"budget {budget} .* beam width {width}"):
        n_beams(budget, width)
    p = fake.problem(0)
    settings = replace(SETTINGS, beam_width=width)
    with pytest.raises(StudyError):
        beam_search(p, fake.prompt_ids(p), budget, settings, fake.encode)


def test_a_prompt_that_fills_the_context_is_refused() -> None:
    with pytest.raises(StudyError, match="p0"):
        search(wild_respond, coarse_margin, budgets=(4,), settings=replace(SETTINGS, context=5))
    with pytest.raises(StudyError, match="p0"):
        search(
            wild_respond, coarse_margin, subtrees=range(1), settings=replace(SETTINGS, context=5)
        )


def test_a_hundred_thousand_characters_without_a_break() -> None:
    flood = "y" * 100_000
    [result], _, prm = search(lambda *_: (flood, "length"), coarse_margin, budgets=(4,))
    # Twice cut, and too long for the PRM even where the root takes cut steps.
    assert Counter(node.fate for node in result.nodes) == {
        "truncated": 4,
        "over_context": 2,
        "duplicate": 6,
    }
    assert result.paths[0].ended_by == "stuck"
    assert not prm.log
    [result], _, _ = search(
        lambda *_: (flood + "\n\n", "stop"),
        coarse_margin,
        budgets=(4,),
        settings=replace(SETTINGS, prm_context=10**6),
    )
    assert result.paths[0].ended_by == "length"


def test_empty_completions_are_never_scored() -> None:
    [result], _, prm = search(lambda *_: ("", "eos"), coarse_margin, budgets=(4,))
    assert {node.fate for node in result.nodes} == {"empty"}
    assert not prm.log


@pytest.mark.parametrize("margins", [(), (1.0, 2.0), (math.nan,)])
def test_a_prm_must_give_one_number_a_step(margins: tuple[float, ...]) -> None:
    class Prm(fake.FakePrm):
        def _answer(self, request):
            return replace(super()._answer(request), margins=margins)

    p = fake.problem(0)
    with pytest.raises(StudyError, match="score"):
        run(
            [beam_search(p, fake.prompt_ids(p), 4, SETTINGS, fake.encode)],
            sampling=fake.FakePolicy(toy_respond),
            scoring=Prm(toy_margin),
            on_finished=fake.ignore,
            max_in_flight=4,
        )


def test_a_format_must_give_one_position_a_step() -> None:
    p = fake.problem(0)
    with pytest.raises(StudyError, match="0 positions for 1 steps"):
        run(
            [
                beam_search(
                    p, fake.prompt_ids(p), 4, SETTINGS, lambda q, _: fake.PrmInput(fake.ids(q), ())
                )
            ],
            sampling=fake.FakePolicy(lambda *_: ("a\n\n", "stop")),
            scoring=fake.FakePrm(toy_margin),
            on_finished=fake.ignore,
            max_in_flight=4,
        )
