"""Grow a policy of the scale model into the body of a PRM: a wider residual stream and two layers.

A policy of this size knows which token it expects next, but where the next token stands that
knowledge is no longer at hand: trained layers on top of a policy took thousands of steps to find
it, and the PRMs they made told right from wrong within a problem no better than a coin. So the
comparison is set, not learned:

1. ``EXTRA`` lanes are added to the stream. They hold a constant, which of ``SYMBOLS`` a token is,
   and whether the question has ended. They are faint, so that the policy's norms do not feel them.
2. The first new layer brings to each token what the token before it expected (a head that looks
   back by one), and subtracts from a lane how far other symbols were expected before the one that
   stands there: sum over symbols s' of max(0, logit(s') - logit(said)).
3. The second new layer has a head that looks for the least expected symbol so far. Everything else
   in it is learned, and so are the final norm and the PRM's own head: from which surprise on a step
   is called bad, and what else counts.

The policy, and what is set, stay as they are during training: on the small gradients they get, an
optimiser of Adam's kind would move them as fast as anything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from compute_optimal.policies.prompts import Tokenizer, single_id

if TYPE_CHECKING:
    import torch

SYMBOLS = "0123456789+-*/="
"""What an equation is written with; each is one token."""

QUESTION_END = "?"
"""The first such token ends the question. ASSUME: neither a format's preamble nor a question of
``arithmetic-chains`` has another."""

EXTRA = 32
"""Lanes added to the stream: one head's size, so that every layer gains one head."""

MIN_UNITS = 256
"""Units a layer's MLP must have: a pair of symbols takes one, and there are 210."""

_HEAD = 32
_SLOWEST = _HEAD // 2 - 1
"""The rotary pair of a head that hardly turns: the same at any distance."""
_CONSTANT = 0
_SAID = slice(1, 1 + len(SYMBOLS))
_EXPECTED = slice(1 + len(SYMBOLS), 1 + 2 * len(SYMBOLS))
_ENDED = EXTRA - 1  # in the question 0, after it _FAINT, and in the end less the surprise

_FAINT = 0.01  # beside lanes of 0.1 (embeddings) and more
_LOUD = 30.0  # the norms' weight of the new lanes
_SHARPNESS = 1000.0
_LOGIT_SCALE = 0.1
_GATE = 20.0
_WEIGHT = 10.0


def grow(
    policy: Any,
    tokenizer: Tokenizer,
    configure: Callable[..., Any],
) -> Any:
    """The grown body: a transformers base model of the configuration that ``configure`` makes.

    ``policy`` is a causal language model (Llama or Qwen2 with tied embeddings) over the ids of
    ``tokenizer``. ``configure(hidden_size=..., ...)`` returns the configuration of the grown body
    from the sizes that change. Which parameters are learned is marked by ``requires_grad``.
    """
    import torch
    from transformers import AutoModel

    size, n_layers = policy.config.hidden_size, policy.config.num_hidden_layers
    body: Any = AutoModel.from_config(
        configure(
            hidden_size=size + EXTRA,
            intermediate_size=max(policy.config.intermediate_size, MIN_UNITS),
            num_hidden_layers=n_layers + 2,
            num_attention_heads=size // _HEAD + 1,
            num_key_value_heads=size // _HEAD + 1,
            head_dim=_HEAD,
        )
    )
    with torch.no_grad():
        _set_embeddings(body, policy, tokenizer)
        for layer, trained in zip(body.layers, policy.model.layers, strict=False):
            set_policy_layer(layer, trained, size)
        question_end = body.embed_tokens.weight[single_id(tokenizer, QUESTION_END)]
        watch_for_question_end(body.layers[0], size, question_end, size + _ENDED)
        _compare_with_expectation(body.layers[n_layers], policy, tokenizer)
        _look_for_surprise(body.layers[n_layers + 1], size)
        body.norm.weight.fill_(1.0)
    freeze(body)
    return body


def _set_embeddings(body: Any, policy: Any, tokenizer: Tokenizer) -> None:
    size = policy.config.hidden_size
    weight = body.embed_tokens.weight
    weight.zero_()
    weight[:, :size] = policy.get_input_embeddings().weight
    weight[:, size + _CONSTANT] = _FAINT
    for lane, symbol in enumerate(SYMBOLS, start=size + _SAID.start):
        weight[single_id(tokenizer, symbol), lane] = _FAINT
    weight[single_id(tokenizer, QUESTION_END), size + _ENDED] = _FAINT


def set_policy_layer(layer: Any, trained: Any, size: int) -> None:
    """The policy's own layer; it neither reads nor writes the new lanes. Biases that the policy
    does not have are zero."""
    known = dict(trained.named_parameters())
    for name, parameter in layer.named_parameters():
        parameter.zero_()
        if name not in known:
            continue
        weights = known[name]
        if name.endswith("layernorm.weight"):
            weights = weights * norm_scale(size)
        parameter[tuple(slice(length) for length in weights.shape)] = weights


def watch_for_question_end(layer: Any, size: int, embedding: torch.Tensor, ended: int) -> None:
    """The first layer's new head finds the question's end, if there was one, and says so in the
    lane ``ended``.

    Embeddings alone stand in the stream here, so what it reads at that token is known exactly.
    """
    reads = _LOUD * _FAINT / embedding.square().mean().sqrt()
    attention, head = layer.self_attn, size
    layer.input_layernorm.weight[size:] = _LOUD
    attention.q_proj.weight[head + _SLOWEST, size + _CONSTANT] = _SHARPNESS
    attention.k_proj.weight[head + _SLOWEST, ended] = _SHARPNESS
    attention.v_proj.weight[head, ended] = 1.0
    attention.o_proj.weight[ended, head] = _FAINT / reads


def _compare_with_expectation(layer: Any, policy: Any, tokenizer: Tokenizer) -> None:
    size = policy.config.hidden_size
    for parameter in layer.parameters():
        parameter.zero_()
    # As the policy's own final norm and head would: the values are its logits.
    layer.input_layernorm.weight[:size] = policy.model.norm.weight * norm_scale(size)
    layer.input_layernorm.weight[size:] = _LOUD
    attention = layer.self_attn
    look_back_by_one(attention, size + _CONSTANT, policy.config.rope_parameters["rope_theta"])
    embeddings = policy.get_input_embeddings().weight
    for index, symbol in enumerate(SYMBOLS):
        row = embeddings[single_id(tokenizer, symbol)]
        attention.v_proj.weight[index, :size] = _LOGIT_SCALE * row
        attention.o_proj.weight[size + _EXPECTED.start + index, index] = 1.0

    layer.post_attention_layernorm.weight[size:] = _LOUD
    # Open only where ``said`` stands: there the constant and the symbol's lane cancel.
    # Logits differ by less than 50.
    closing = 50 * _LOGIT_SCALE * _GATE / _FAINT
    pairs = [(a, b) for a in range(len(SYMBOLS)) for b in range(len(SYMBOLS)) if a != b]
    for unit, (said, other) in enumerate(pairs):
        gate = layer.mlp.gate_proj.weight[unit]
        gate[size + _EXPECTED.start + other] = _GATE
        gate[size + _EXPECTED.start + said] = -_GATE
        gate[size + _CONSTANT] = -closing
        gate[size + _SAID.start + said] = closing
        layer.mlp.up_proj.weight[unit, size + _ENDED] = 1.0
        layer.mlp.down_proj.weight[size + _ENDED, unit] = -1.0


def look_back_by_one(attention: Any, constant: int, theta: float) -> None:
    """The first head attends to the token before, whatever else stands in the stream.

    Each rotary pair i contributes cos(f_i (distance - 1)); the slowest one, which hardly turns,
    takes their sum away again. So the score is about 0 at distance 1 and negative elsewhere, and
    the norm of a key, which differs from token to token, cannot make another one win.
    """
    import torch

    n_pairs = _HEAD // 2
    frequencies = theta ** (-torch.arange(n_pairs - 1) / n_pairs)
    query, key = attention.q_proj.weight[:, constant], attention.k_proj.weight[:, constant]
    query[: n_pairs - 1] = _SHARPNESS * frequencies.cos()
    query[n_pairs : 2 * n_pairs - 1] = -_SHARPNESS * frequencies.sin()
    # A little less than the sum, so that rounding to 16 bits leaves distance 1 above 0.
    query[_SLOWEST] = -_SHARPNESS * (n_pairs - 1 - 0.1)
    key[:n_pairs] = _SHARPNESS


def _look_for_surprise(layer: Any, size: int) -> None:
    attention = layer.self_attn
    for name, parameter in layer.named_parameters():
        if name.endswith("layernorm.weight"):
            parameter.fill_(1.0)
    layer.input_layernorm.weight[size + _CONSTANT] = _LOUD
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight[:_HEAD] = 0.0
        if projection.bias is not None:
            projection.bias[:_HEAD] = 0.0
    attention.q_proj.weight[_SLOWEST, size + _CONSTANT] = _SHARPNESS
    attention.k_proj.weight[_SLOWEST, size + _ENDED] = -_WEIGHT
    attention.v_proj.weight[0] = 0.0
    attention.v_proj.weight[0, size + _ENDED] = _WEIGHT
    attention.o_proj.weight[:, 0] = 0.0
    attention.o_proj.weight[size + _ENDED, 0] = 1.0


def freeze(body: Any) -> None:
    """Leave to training the last layer, but for its first head's queries and keys, and the norm."""
    body.requires_grad_(False)
    body.norm.requires_grad_(True)
    last = body.layers[-1]
    last.requires_grad_(True)
    for projection in (last.self_attn.q_proj, last.self_attn.k_proj):
        for parameter in projection.parameters():
            parameter.register_hook(_without_first_head)


def _without_first_head(gradient: torch.Tensor) -> torch.Tensor:
    gradient = gradient.clone()
    gradient[:_HEAD] = 0.0
    return gradient


def norm_scale(size: int) -> float:
    """A root mean square over the wider stream is smaller by this factor."""
    return math.sqrt(size / (size + EXTRA))
