"""Weights that are set, not trained, in the body that a PRM grows from a base (``surprise``).

A network of this size knows which token it expects next, but where the next token stands that
knowledge is no longer at hand: trained layers on top of a policy took thousands of steps to find
it, and the PRMs they made told right from wrong within a problem no better than a coin. So the
comparison is set, not learned. The stream gets ``EXTRA`` lanes, faint beside the base's, so that
its norms do not feel them; two layers are added. The base, and what is set, stay as they are during
training: on the small gradients they get, an optimiser of Adam's kind would move them as fast as
anything else.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

QUESTION_END = "?"
"""The first such token ends the question. ASSUME: neither a format's preamble nor a question of
``arithmetic-chains`` has another."""

EXTRA = 32
"""Lanes added to the stream: one head's size, so that every layer gains one head."""

_HEAD = 32
_SLOWEST = _HEAD // 2 - 1
"""The rotary pair of a head that hardly turns: the same at any distance."""
_CONSTANT = 0

_FAINT = 0.01  # beside lanes of 0.1 (embeddings) and more
_LOUD = 30.0  # the norms' weight of the new lanes
_SHARPNESS = 1000.0


def set_base_layer(layer: Any, trained: Any, size: int) -> None:
    """Copy the base's layer ``trained``, of hidden size ``size``, into ``layer``; it neither reads
    nor writes the new lanes. Biases that the base does not have are zero."""
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
    lane ``ended``. ``embedding`` [lanes] is that token's, ``size`` the base's hidden size.

    Embeddings alone stand in the stream here, so what it reads at that token is known exactly.
    """
    reads = _LOUD * _FAINT / embedding.square().mean().sqrt()
    attention, head = layer.self_attn, size
    layer.input_layernorm.weight[size:] = _LOUD
    attention.q_proj.weight[head + _SLOWEST, size + _CONSTANT] = _SHARPNESS
    attention.k_proj.weight[head + _SLOWEST, ended] = _SHARPNESS
    attention.v_proj.weight[head, ended] = 1.0
    attention.o_proj.weight[ended, head] = _FAINT / reads


def look_back_by_one(attention: Any, constant: int, theta: float) -> None:
    """The first head attends to the token before, whatever else stands in the stream.

    ``constant``: the lane of the constant; ``theta``: the base of the rotary frequencies.

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
    """Factor by which the root mean square over the wider stream is smaller than the base's."""
    return math.sqrt(size / (size + EXTRA))
