"""What is set in a grown PRM: it keeps the policy, and knows how far a symbol was expected."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from compute_optimal.micro import growth
from compute_optimal.micro.process_reward_model import KINDS, ProcessRewardModel, base_policy
from compute_optimal.policies.prompts import single_id
from compute_optimal.prms import PRM_FORMATS, prm_format
from compute_optimal.tasks.arithmetic_chains import generate, solution_steps

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

MODELS = Path(__file__).parents[2] / "data" / "models"
BASES = {"micro-llama": "micro-llama-0.1M", "micro-qwen": "micro-qwen-0.1M"}
SURPRISE_LANE = -1


@cache
def grown(format_name: str) -> tuple[Any, ProcessRewardModel]:
    policy, tokenizer = base_policy(format_name, MODELS / BASES[KINDS[format_name].family])
    return policy, ProcessRewardModel.grow(format_name, policy, tokenizer)


def encoded(format_name: str, steps: list[str], problem: str) -> list[int]:
    tokenizer = grown(format_name)[1].tokenizer
    return list(prm_format(format_name).encode(tokenizer, problem, steps).token_ids)


def streams(body: Any, token_ids: list[int]) -> list[Any]:
    """The stream (tokens, lanes) after each layer."""
    found: list[Any] = []
    hooks = [
        layer.register_forward_hook(
            lambda _layer, _inputs, output: found.append(
                output[0] if output[0].ndim == 2 else output[0][0]
            )
        )
        for layer in body.layers
    ]
    with torch.inference_mode():
        body(torch.tensor([token_ids]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return found


PROBLEM = generate(1, 3, 6, 6)[0].problem
STEPS = solution_steps(PROBLEM, "plain")


@pytest.mark.parametrize("name", PRM_FORMATS)
def test_the_policy_is_kept_and_what_it_expects_is_brought_to_the_next_token(name: str) -> None:
    policy, prm = grown(name)
    size, n_layers = policy.config.hidden_size, policy.config.num_hidden_layers
    ids = encoded(name, STEPS, PROBLEM)
    stream = streams(prm.network["model"], ids)
    with torch.inference_mode():
        logits = policy(torch.tensor([ids])).logits[0]
        hidden = policy.model(torch.tensor([ids])).last_hidden_state[0]
    last = stream[n_layers - 1][:, :size]
    normed = policy.model.norm(last)
    assert torch.allclose(normed, hidden, atol=0.02)
    symbols = [single_id(prm.tokenizer, symbol) for symbol in growth.SYMBOLS]
    first = size + 1 + len(symbols)
    expected = stream[n_layers][1:, first : first + len(symbols)] / growth._LOGIT_SCALE
    assert torch.allclose(expected, logits[:-1, symbols], atol=0.05)


@pytest.mark.parametrize("name", PRM_FORMATS)
def test_surprise_follows_from_the_logits_of_the_policy(name: str) -> None:
    """None before the question ends or where no symbol stands; elsewhere it comes from
    sum max(0, logit(other) - logit(said))."""
    policy, prm = grown(name)
    ids = encoded(name, STEPS, PROBLEM)
    surprise = -streams(prm.network["model"], ids)[policy.config.num_hidden_layers][
        :, SURPRISE_LANE
    ]
    with torch.inference_mode():
        logits = policy(torch.tensor([ids])).logits[0]
    symbols = [single_id(prm.tokenizer, symbol) for symbol in growth.SYMBOLS]
    end = ids.index(single_id(prm.tokenizer, growth.QUESTION_END))
    for position in range(1, len(ids)):
        excess = (logits[position - 1, symbols] - logits[position - 1, ids[position]]).relu().sum()
        if position <= end or ids[position] not in symbols:
            assert abs(surprise[position]) < 0.03
        elif excess == 0:
            # SiLU is not quite a rectifier: close calls count as a little less than none.
            assert -0.3 < surprise[position] < 0.03
        elif excess > 10:
            assert surprise[position] > 0.3


def test_a_slip_is_what_surprises_most_and_the_next_layer_finds_it() -> None:
    """In a frame that the policy knows without adaptation: that of its own family's chat."""
    name = "qwen_math"
    policy, prm = grown(name)
    slip = re.sub(r"=(\d)", lambda digit: f"={(int(digit[1]) + 5) % 10}", STEPS[2])
    assert slip != STEPS[2]
    ids = encoded(name, [*STEPS[:2], slip], PROBLEM)
    right = encoded(name, STEPS[:3], PROBLEM)
    (differs,) = [i for i, (a, b) in enumerate(zip(ids, right, strict=True)) if a != b]
    stream = streams(prm.network["model"], ids)
    surprise = -stream[policy.config.num_hidden_layers][:, SURPRISE_LANE]
    assert surprise.argmax() == differs
    found = stream[-1][-1, SURPRISE_LANE]
    not_found = streams(prm.network["model"], right)[-1][-1, SURPRISE_LANE]
    assert found < not_found - 0.5


@pytest.mark.parametrize("name", PRM_FORMATS)
def test_training_moves_the_last_layer_the_norm_and_the_head_alone(name: str) -> None:
    _, prm = grown(name)
    body = prm.network["model"]
    last = f"layers.{len(body.layers) - 1}."
    learned = {key for key, weights in body.named_parameters() if weights.requires_grad}
    assert learned == {key for key, _ in body.named_parameters() if key.startswith(last)} | {
        "norm.weight"
    }
    prm.margins(torch.tensor([encoded(name, STEPS, PROBLEM)])).sum().backward()
    for projection in (body.layers[-1].self_attn.q_proj, body.layers[-1].self_attn.k_proj):
        assert not projection.weight.grad[:32].any()
        assert projection.weight.grad[32:].any()
    prm.network.zero_grad()


@pytest.mark.parametrize("name", PRM_FORMATS)
def test_16_bits_keep_what_is_set(name: str, tmp_path: Path) -> None:
    """Rounded as it ships, the head that looks back still looks back by one."""
    policy, prm = grown(name)
    prm.save(tmp_path)
    ids = encoded(name, STEPS, PROBLEM)
    n_layers = policy.config.num_hidden_layers
    read = ProcessRewardModel.load(name, tmp_path).network["model"]
    before = streams(prm.network["model"], ids)[n_layers][:, policy.config.hidden_size :]
    after = streams(read, ids)[n_layers][:, policy.config.hidden_size :]
    assert next(read.parameters()).dtype == torch.float32
    said, expected = slice(1, 16), slice(16, 31)
    assert torch.allclose(before[:, said], after[:, said], atol=1e-4)
    assert (before[:, expected] - after[:, expected]).abs().mean() < 0.05
