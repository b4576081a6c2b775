"""Pools of samples and their scores."""

from __future__ import annotations

import random
from dataclasses import replace

import fake_engines as fake
import pytest
from fake_engines import SETTINGS

from compute_optimal.engines.requests import FinishReason
from compute_optimal.errors import StudyError
from compute_optimal.policies.steps import split_steps
from compute_optimal.search import PoolResult, ScoresResult, draw, run, score_samples
from compute_optimal.study.spec import seed_for, text_hash


def respond(_so_far: str, generator: random.Random, request) -> tuple[str, FinishReason]:
    n = generator.randint(0, 8)
    text = "\n\n".join(f"step {generator.randint(0, 2)}" for _ in range(n))
    if len(text) >= request.max_tokens:
        return text[: request.max_tokens], "length"
    return text, "eos"


def pool(indices, *, settings=SETTINGS, delays=None, problems=1) -> list[PoolResult]:
    results: list[PoolResult] = []
    run(
        (
            draw(p, fake.prompt_ids(p), indices, settings)
            for p in map(fake.problem, range(problems))
        ),
        sampling=fake.FakePolicy(respond, delays),
        on_finished=results.append,
        max_in_flight=10,
    )
    return results


def test_a_sample_is_what_its_index_says() -> None:
    [result] = pool(range(20), delays=random.Random(3))
    p = fake.problem(0)
    assert (result.problem_id, result.problem_hash) == ("p0", p.problem_hash)
    for index, sample in enumerate(result.samples):
        seed = seed_for("spec", p.problem_hash, index)
        request = fake.SampleRequest("", (), seed, 8180, 0.7, 1.0, -1)
        text, reason = respond("", random.Random(seed), request)
        assert sample.sample_index == index
        assert (sample.text, sample.finish_reason) == (text, reason)
        assert sample.n_tokens == len(text) + 1
        assert sample.n_prompt_tokens == len(fake.prompt_ids(p))
        assert sample.logprob_sum == -len(text)
    for sample, ledger in zip(result.samples, result.ledgers, strict=True):
        assert (ledger.sample_requests, ledger.generated_tokens) == (1, sample.n_tokens)
        read = ledger.prompt_tokens_computed + ledger.prompt_tokens_cached
        assert read == len(fake.prompt_ids(p))


def test_a_longer_pool_draws_only_the_extra_samples() -> None:
    [whole] = pool(range(16))
    [first] = pool(range(4))
    [rest] = pool([*range(15, 3, -1)], delays=random.Random(0))
    assert first.samples + rest.samples == whole.samples
    assert first.ledgers + rest.ledgers == whole.ledgers


def test_the_request_says_how_to_sample() -> None:
    policy = fake.FakePolicy(respond)
    p = fake.problem(0)
    settings = replace(SETTINGS, temperature=0.6, top_p=0.95, top_k=20, max_tokens=50, context=40)
    run(
        [draw(p, fake.prompt_ids(p), [0], settings)],
        sampling=policy,
        on_finished=fake.ignore,
        max_in_flight=1,
    )
    [request] = policy.log
    n_prompt = len(fake.prompt_ids(p))
    assert (request.temperature, request.top_p, request.top_k) == (0.6, 0.95, 20)
    assert (request.max_tokens, request.stop) == (40 - n_prompt, ())
    with pytest.raises(StudyError, match="p0"):
        draw(p, fake.prompt_ids(p), [0], replace(settings, context=n_prompt))


def margin(steps: tuple[str, ...]) -> float:
    return float(len(steps)) + random.Random("".join(steps)).random()


def scores_of(texts: dict[int, str], **options) -> tuple[ScoresResult, fake.FakePrm]:
    prm = fake.FakePrm(margin, random.Random(2))
    results: list[ScoresResult] = []
    options = {"prm_context": 10_000, **options}
    run(
        [score_samples(fake.problem(0), texts, fake.encode, **options)],
        scoring=prm,
        on_finished=results.append,
        max_in_flight=4,
    )
    return results[0], prm


def test_every_step_of_every_sample_is_scored_in_one_pass() -> None:
    [result] = pool(range(40))
    texts = {sample.sample_index: sample.text for sample in result.samples}
    scored, prm = scores_of(texts)
    assert [score.sample_index for score in scored.scores] == list(range(40))
    for score in scored.scores:
        steps = split_steps(texts[score.sample_index])
        assert score.margins == tuple(margin(tuple(steps[: i + 1])) for i in range(len(steps)))
        assert score.status == ("scored" if steps else "empty")
    # Equal samples share a pass.
    distinct = {tuple(split_steps(text)) for text in texts.values()} - {()}
    assert len(distinct) < sum(map(bool, texts.values()))
    assert len(prm.log) == len(distinct)
    # Each counts what it would cost on its own, and one of equals cost it.
    for score, cost in zip(scored.scores, scored.ledgers, strict=True):
        assert score.text_hash == text_hash(texts[score.sample_index])
        assert cost.score_requests == bool(score.margins)
    n_read = sum(len(request.token_ids) - 1 for request in prm.log)
    computed, shared = (
        sum(getattr(cost, f"prm_tokens_{name}") for cost in scored.ledgers)
        for name in ("computed", "shared")
    )
    assert computed - shared == n_read
    alone = [scores_of({index: text})[0].ledgers[0] for index, text in texts.items()]
    assert sum(cost.prm_tokens_computed for cost in alone) == computed


def test_samples_that_cannot_be_scored_say_why() -> None:
    scored, prm = scores_of(
        {3: "fine\n\nand so", 5: "\n\n \n\n", 7: "x" * 100_000, 9: "x" * 100_000},
        prm_context=1000,
    )
    assert [(score.sample_index, len(score.margins), score.status) for score in scored.scores] == [
        (3, 2, "scored"),
        (5, 0, "empty"),
        (7, 0, "over_context"),
        (9, 0, "over_context"),
    ]
    assert [cost.over_context for cost in scored.ledgers] == [0, 0, 1, 1]
    assert len(prm.log) == 1
    nothing, prm = scores_of({0: "", 1: "\n\n"})
    assert {score.status for score in nothing.scores} == {"empty"}
    assert not prm.log


def test_hostile_text_passes_through_unchanged() -> None:
    texts = ["\\boxed{" * 10_000, "a\0b\n\n\u202eright", "<script>\n\n\n\n\n</script>"]
    scored, _ = scores_of(dict(enumerate(texts)), prm_context=10**6)
    assert [len(score.margins) for score in scored.scores] == [1, 2, 2]
