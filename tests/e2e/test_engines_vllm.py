"""The engines against plain forward passes, on tiny random models of the right architectures."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed here (make engine)")

import torch
from default_study import ROOT
from tiny_tokenizers import save_byte_tokenizer, save_piece_tokenizer
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
)

from compute_optimal.engines import open_sampling_engine, open_scoring_engine
from compute_optimal.engines.conversion import servable_folder
from compute_optimal.engines.requests import (
    Completion,
    SampleRequest,
    ScoreRequest,
    ScoreResult,
)
from compute_optimal.errors import StudyError
from compute_optimal.policies.prompts import load_tokenizer
from compute_optimal.prms import prm_format

pytestmark = pytest.mark.engine

CONTEXT = 512
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.2,
}
QUESTION = "Start with 37. Add 48. What is the result?"
STEPS = ["Step 1: 37 + 48 = 85", "We add.\nThen we check: 85 - 48 = 37", "So it is \\boxed{85}"]
ORDINARY_END = 300

Logits = Callable[[tuple[int, ...]], torch.Tensor]
"""Margins of a plain forward pass at every position of an input."""


def test_variables_of_the_engine_that_code_sets_or_messages_name_are_ones_that_it_reads() -> None:
    """Versions drop them, and pass over in silence what they do not know."""
    from vllm import envs

    named = {
        variable
        for path in (ROOT / "workflow").rglob("*.py")
        for variable in re.findall(r"\bVLLM_[A-Z0-9_]+\b", path.read_text(encoding="utf-8"))
    }
    assert named >= {"VLLM_LOGGING_LEVEL"}
    assert named <= envs.environment_variables.keys()


def make_policy(folder: Path) -> torch.nn.Module:
    tokenizer = save_byte_tokenizer(folder)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        **SIZES,
    )
    model = LlamaForCausalLM(config).eval()
    # A second end-of-sequence token that is ordinary text, as some families have.
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, ORDINARY_END]
    model.save_pretrained(folder)
    return model


def make_causal_prm(folder: Path, format_name: str) -> Logits:
    torch.manual_seed(2)
    if format_name == "math_shepherd":
        tokenizer = save_piece_tokenizer(folder)
        config = MistralConfig(vocab_size=len(tokenizer), tie_word_embeddings=False, **SIZES)
        model: Any = MistralForCausalLM(config).eval()
    else:
        tokenizer = save_byte_tokenizer(folder)
        model = LlamaForCausalLM(
            LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=True, **SIZES)
        ).eval()
    model.save_pretrained(folder)
    signs = prm_format(format_name).sign_ids(load_tokenizer(folder))
    assert signs is not None
    good, bad = signs

    def margins(ids: tuple[int, ...]) -> torch.Tensor:
        logits = model(torch.tensor([ids])).logits[0]
        return logits[:, good] - logits[:, bad]

    return margins


def make_skywork_prm(folder: Path) -> Logits:
    """A checkpoint as Skywork publishes it, and its own arithmetic."""
    tokenizer = save_byte_tokenizer(folder)
    torch.manual_seed(3)
    config = Qwen2Config(vocab_size=len(tokenizer), **SIZES)
    model = Qwen2ForCausalLM(config).eval()
    head = torch.nn.Linear(SIZES["hidden_size"], 1)
    torch.nn.init.normal_(head.bias)
    from safetensors.torch import save_file

    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    tensors |= {f"v_head.summary.{name}": tensor for name, tensor in head.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config.architectures = ["Qwen2ForPrmModel"]
    config.save_pretrained(folder)
    return lambda ids: head(model.model(torch.tensor([ids])).last_hidden_state[0])[:, 0]


def make_qwen_prm(folder: Path) -> Logits:
    tokenizer = save_byte_tokenizer(folder)
    torch.manual_seed(4)
    config = Qwen2Config(vocab_size=len(tokenizer), **SIZES)
    body = Qwen2Model(config).eval()
    width = SIZES["hidden_size"]
    head = torch.nn.Sequential(
        torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 2)
    )
    from safetensors.torch import save_file

    tensors = {f"model.{name}": tensor for name, tensor in body.state_dict().items()}
    tensors |= {f"score.{name}": tensor for name, tensor in head.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config.architectures = ["Qwen2ForProcessRewardModel"]
    config.save_pretrained(folder)

    def margins(ids: tuple[int, ...]) -> torch.Tensor:
        logits = head(body(torch.tensor([ids])).last_hidden_state[0])
        return logits[:, 1] - logits[:, 0]

    return margins


MAKERS: dict[str, Callable[[Path], Logits]] = {
    "math_shepherd": lambda folder: make_causal_prm(folder, "math_shepherd"),
    "rlhflow": lambda folder: make_causal_prm(folder, "rlhflow"),
    "skywork": make_skywork_prm,
    "qwen_math": make_qwen_prm,
}


class Policy(NamedTuple):
    """A tiny policy: its engine, tokenizer and plain forward pass."""

    folder: Path
    engine: Any
    tokenizer: Any
    model: Any

    def request(self, key: Hashable, prompt: tuple[int, ...], **changes: Any) -> SampleRequest:
        plain = SampleRequest(key, prompt, 0, 40, temperature=0.0, top_p=1.0, top_k=-1)
        return replace(plain, **changes)

    def ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def logprob(self, prompt: tuple[int, ...], drawn: tuple[int, ...]) -> float:
        with torch.no_grad():
            logits = self.model(torch.tensor([prompt + drawn])).logits[0, len(prompt) - 1 : -1]
        chosen = logits.log_softmax(-1).gather(1, torch.tensor(drawn)[:, None])
        return float(chosen.sum())


class Scorer(NamedTuple):
    """A tiny PRM: its engine and the margins of a plain forward pass."""

    name: str
    engine: Any
    tokenizer: Any
    margins: Logits


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Policy]:
    folder = tmp_path_factory.mktemp("policy")
    model = make_policy(folder)
    with open_sampling_engine(folder, context=CONTEXT, kv_cache_gib=0.1) as engine:
        yield Policy(folder, engine, load_tokenizer(folder), model)


@pytest.fixture(scope="module", params=sorted(MAKERS))
def scorer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scorer]:
    name = request.param
    folder = tmp_path_factory.mktemp(name) / "prm"
    margins = MAKERS[name](folder)
    model = {"name": name, "id": None, "revision": f"sha256:{'a' * 64}"}
    folder = servable_folder(folder, model, converted=folder.with_name("converted"))
    with open_scoring_engine(folder, name, context=CONTEXT, kv_cache_gib=0.1) as engine:
        yield Scorer(name, engine, load_tokenizer(folder), margins)


def drain(engine: Any) -> dict[Any, Any]:
    """Everything an engine still owes, by key."""
    results: dict[Any, Any] = {}
    while engine.unfinished:
        results |= {result.key: result for result in engine.collect()}
    return results


def test_scores_equal_a_plain_forward_pass(scorer: Scorer) -> None:
    inputs = {
        count: prm_format(scorer.name).encode(scorer.tokenizer, QUESTION, STEPS[:count])
        for count in range(1, len(STEPS) + 1)
    }
    for count, encoded in inputs.items():
        scorer.engine.submit(ScoreRequest(count, encoded.token_ids, encoded.positions))
    results = drain(scorer.engine)
    for count, encoded in inputs.items():
        with torch.no_grad():
            expected = scorer.margins(encoded.token_ids)[list(encoded.positions)]
        assert results[count].margins == pytest.approx(expected.tolist(), abs=1e-4)
        assert results[count].n_tokens == len(encoded.token_ids)
    assert len(set(results[len(STEPS)].margins)) == len(STEPS)


def test_scoring_step_by_step_reads_the_prefix_cache_and_changes_nothing(scorer: Scorer) -> None:
    steps = [f"Step {i}: {i} + {3 * i} = {4 * i}" for i in range(1, 9)]
    whole = prm_format(scorer.name).encode(scorer.tokenizer, "How many are there?", steps)
    scorer.engine.submit(ScoreRequest("whole", whole.token_ids, whole.positions))
    expected = drain(scorer.engine)["whole"]
    assert expected.n_cached_tokens == 0
    for index in range(len(steps)):
        part = prm_format(scorer.name).encode(
            scorer.tokenizer, "How many are there?", steps[: index + 1]
        )
        scorer.engine.submit(ScoreRequest(index, part.token_ids, part.positions[-1:]))
        result = drain(scorer.engine)[index]
        assert result.margins == pytest.approx(expected.margins[index : index + 1], abs=1e-4)
    assert result.n_cached_tokens > result.n_tokens / 2


def test_unusable_score_requests_are_refused(scorer: Scorer) -> None:
    for positions in ((), (0, 0), (2, 1), (-1,), (3,)):
        with pytest.raises(StudyError, match="ascending"):
            scorer.engine.submit(ScoreRequest("bad", (5, 6, 7), positions))
    with pytest.raises(StudyError, match=f"{CONTEXT + 1} tokens and the PRM's context {CONTEXT}"):
        scorer.engine.submit(ScoreRequest("long", (5,) * (CONTEXT + 1), (CONTEXT,)))
    too_few = SimpleNamespace(outputs=SimpleNamespace(data=torch.zeros(2, 1)), num_cached_tokens=0)
    with pytest.raises(StudyError, match=r"2 rows for 3 tokens(.|\n)*'few'"):
        scorer.engine._result(ScoreRequest("few", (5, 6, 7), (2,)), too_few)
    assert scorer.engine.unfinished == 0


def test_greedy_completion_is_the_argmax_of_a_plain_forward_pass(policy: Policy) -> None:
    prompt = policy.ids(QUESTION)
    policy.engine.submit(policy.request("greedy", prompt, wants_logprob=True))
    result = drain(policy.engine)["greedy"]
    ids = list(prompt)
    for _ in range(40):
        with torch.no_grad():
            ids.append(int(policy.model(torch.tensor([ids])).logits[0, -1].argmax()))
    assert result.token_ids == tuple(ids[len(prompt) :])
    # A character whose last byte is still to come is left out at the end of a text.
    text = policy.tokenizer.decode(result.token_ids, skip_special_tokens=True)
    assert result.text == text.rstrip("\ufffd")
    assert (result.finish_reason, result.n_prompt_tokens) == ("length", len(prompt))
    assert result.logprob_sum == pytest.approx(policy.logprob(prompt, result.token_ids), abs=1e-3)


def test_a_sample_depends_on_its_seed_and_not_on_its_company(policy: Policy) -> None:
    prompt = policy.ids("Step 1: ")
    requests = [
        policy.request(seed, prompt, seed=seed, temperature=0.7, max_tokens=30)
        for seed in range(12)
    ]
    for request in requests:
        policy.engine.submit(request)
    together = drain(policy.engine)
    assert len({result.token_ids for result in together.values()}) == len(requests)
    for request in requests[::5]:
        policy.engine.submit(replace(request, wants_logprob=True))
        alone = drain(policy.engine)[request.key]
        assert alone.token_ids == together[request.key].token_ids
        assert together[request.key].logprob_sum is None
        # At temperature 0.7 as well, the policy's own distribution is meant.
        expected = policy.logprob(prompt, alone.token_ids)
        assert alone.logprob_sum == pytest.approx(expected, abs=1e-3)


def test_end_of_sequence_is_told_from_the_length_limit(policy: Policy) -> None:
    prompt = policy.ids("Step 1: ")
    for seed in range(40):
        policy.engine.submit(
            policy.request(seed, prompt, seed=seed, temperature=2.0, max_tokens=250)
        )
    results = drain(policy.engine)
    ends = {policy.tokenizer.eos_token_id, ORDINARY_END}
    assert {result.finish_reason for result in results.values()} == {"eos", "length"}
    seen = set()
    for result in results.values():
        if result.finish_reason == "length":
            assert len(result.token_ids) == 250
            assert not ends & set(result.token_ids)
        else:
            seen.add(result.token_ids[-1])
            assert not ends & set(result.token_ids[:-1])
            text = policy.tokenizer.decode(result.token_ids[:-1], skip_special_tokens=True)
            assert result.text.rstrip("\ufffd") == text.rstrip("\ufffd")
    assert seen == ends


def test_text_is_cut_at_the_stop_string_and_ids_are_not(policy: Policy) -> None:
    prompt = policy.ids(QUESTION)
    policy.engine.submit(policy.request("free", prompt))
    free = drain(policy.engine)["free"]
    pieces = [policy.tokenizer.decode([token]) for token in free.token_ids]
    cut = next(
        index
        for index, piece in enumerate(pieces)
        if len(piece) > 1 and piece.isascii() and piece[0] not in "".join(pieces[:index])
    )
    stop = pieces[cut][0]
    policy.engine.submit(policy.request("stopped", prompt, stop=(stop,)))
    stopped = drain(policy.engine)["stopped"]
    assert stopped.finish_reason == "stop"
    assert stopped.text == "".join(pieces[:cut]) + stop
    assert stopped.token_ids == free.token_ids[: cut + 1]
    # Ids in, ids out: going on from them is as if there had been no stop.
    rest = policy.request(
        "rest", prompt + stopped.token_ids, max_tokens=40 - len(stopped.token_ids)
    )
    policy.engine.submit(rest)
    continued = drain(policy.engine)["rest"]
    assert stopped.token_ids + continued.token_ids == free.token_ids
    assert continued.n_cached_tokens > 0


def test_requests_stream_in_and_out(policy: Policy) -> None:
    prompt = policy.ids(QUESTION)
    policy.engine.submit(policy.request("long", prompt, max_tokens=60))
    order: list[Any] = []
    for index in range(10):
        policy.engine.submit(policy.request(index, prompt, max_tokens=3))
        assert policy.engine.unfinished == index + 2 - len(order)
        order += [result.key for result in policy.engine.collect()]
    while policy.engine.unfinished:
        order += [result.key for result in policy.engine.collect()]
    assert order == [*range(10), "long"]
    assert policy.engine.collect() == []


def test_the_context_ends_a_completion(policy: Policy) -> None:
    nearly = (7,) * (CONTEXT - 2)
    policy.engine.submit(policy.request("nearly", nearly))
    policy.engine.submit(policy.request("full", (7,) * CONTEXT))
    results = drain(policy.engine)
    assert len(results["nearly"].token_ids) == 2
    assert results["nearly"].finish_reason == "length"
    assert results["full"] == Completion("full", "", (), "length", None, CONTEXT, 0)


def test_unusable_sample_requests_are_refused(policy: Policy) -> None:
    for request in (
        policy.request("empty", ()),
        policy.request("mute", (5,), max_tokens=0),
        policy.request("top_p", (5,), top_p=2.0, temperature=1.0),
        policy.request("vocabulary", (999_999,)),
    ):
        with pytest.raises(StudyError, match=f"request '{request.key}'"):
            policy.engine.submit(request)
    assert policy.engine.unfinished == 0


def test_half_precision_needs_a_gpu(policy: Policy) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(StudyError, match="bfloat16, and this machine has no GPU"):
        open_sampling_engine(policy.folder, context=CONTEXT, dtype="bfloat16")


def test_a_broken_engine_says_why_after_handing_over_what_it_finished(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_sampling_engine(policy.folder, context=CONTEXT, kv_cache_gib=0.1) as engine:
        engine.submit(policy.request("short", (5, 6), max_tokens=1))
        engine.submit(policy.request("long", (5, 6), max_tokens=9))
        assert [result.key for result in engine.collect()] == ["short"]

        def die() -> None:
            raise RuntimeError("no memory left\nand a long trace")

        monkeypatch.setattr(engine._engine, "step", die)
        with pytest.raises(StudyError, match="1 requests unfinished: no memory left") as caught:
            engine.collect()
        assert isinstance(caught.value.__cause__, RuntimeError)
        with pytest.raises(StudyError, match="no memory left"):
            engine.submit(policy.request("more", (5, 6)))


def test_a_request_that_came_back_unusable_is_named_and_the_others_are_kept(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_sampling_engine(policy.folder, context=CONTEXT, kv_cache_gib=0.1) as engine:
        engine.submit(policy.request("bad", (5, 6), max_tokens=1))
        engine.submit(policy.request("good", (5, 6), max_tokens=1))
        step = engine._engine.step

        def step_with_an_abort() -> Any:
            outputs = step()
            outputs[0].outputs[0].finish_reason = "abort"
            return outputs

        monkeypatch.setattr(engine._engine, "step", step_with_an_abort)
        assert [result.key for result in engine.collect()] == ["good"]
        assert engine.unfinished == 1
        with pytest.raises(StudyError, match=r"abort(.|\n)*'bad'"):
            engine.collect()


def test_engines_live_side_by_side_and_close_in_any_order(tmp_path: Path) -> None:
    policy_folder, prm_folder = tmp_path / "policy", tmp_path / "prm"
    make_policy(policy_folder)
    make_causal_prm(prm_folder, "rlhflow")
    settings: dict[str, Any] = {"context": CONTEXT, "kv_cache_gib": 0.1}
    prompt = tuple(range(10, 20))

    def draw(engine: Any) -> tuple[int, ...]:
        engine.submit(SampleRequest("draw", prompt, 3, 20, 1.0, 1.0, -1))
        drawn: tuple[int, ...] = drain(engine)["draw"].token_ids
        return drawn

    sampling = open_sampling_engine(policy_folder, **settings)
    scoring = open_scoring_engine(prm_folder, "rlhflow", **settings)
    first = draw(sampling)
    sampling.submit(SampleRequest("meanwhile", prompt, 3, 20, 1.0, 1.0, -1))
    scoring.submit(ScoreRequest("score", prompt + first, (20,)))
    assert isinstance(drain(scoring)["score"], ScoreResult)
    assert drain(sampling)["meanwhile"].token_ids == first
    scoring.close()
    scoring.close()
    with pytest.raises(StudyError, match="closed"):
        scoring.submit(ScoreRequest("late", prompt, (3,)))
    assert draw(sampling) == first
    sampling.close()
    with open_sampling_engine(policy_folder, **settings) as again:
        assert draw(again) == first
