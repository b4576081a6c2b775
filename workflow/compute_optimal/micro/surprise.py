"""Grow a base into a PRM that keeps what surprises the base: nothing is lost before the labels.

What the base expects is brought to the token that stands there and compared by weights that are
set (``growth``). The end of a step and the words that begin and end an answer are symbols too, so
that a number cut short or an answer given early is a surprise. Surprise is counted in logits,
whatever the base and the token, and the verdict is set as well. So the grown PRM judges by the
largest surprise so far, as the base's likelihood would, before it has seen one label:

1. ``EXTRA`` lanes are added to the stream, faint beside the base's. They hold a constant, a code of
   which symbol a token is, whether it is the anchor, and whether the question has ended.
2. The first new layer brings to each token what the token before it expected, and, from the anchor,
   a loud constant. How loud a base's stream is differs several times from base to base and from
   token to token, and a norm would pass that on to all that it reads; beside the constant it no
   longer matters. Then the layer writes into the lane of surprise the sum, over symbols s' that may
   be mistaken for the one that stands there, of max(0, logit(s') - logit(said)).
3. The second new layer has a head that looks for the largest surprise so far, and writes
   ``OPENING`` less that surprise into the lane that the PRM's own head reads: the sign is the
   verdict.

The rest of the second new layer is silent at first. Labels teach it, the final norm and the head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from compute_optimal.micro import growth
from compute_optimal.micro.growth import EXTRA, QUESTION_END
from compute_optimal.policies.prompts import Tokenizer, single_id, special_id

if TYPE_CHECKING:
    import torch

_DIGITS, _SIGNS = "0123456789", "+-*/="
_BEGINNINGS = ("The", "Therefore", "##")
_ENDINGS = ("}.", "}$.")
STEP_END = {
    "math_shepherd": " ",
    "rlhflow": "<|eot_id|>",
    "skywork": "\n",
    "qwen_math": "<extra_0>",
}
"""The token after the last one of a step, by format."""

OPENING = 2.0
"""Surprise, in logits, up to which a step counts as good before labels say otherwise."""

_HEAD = 32
_SLOWEST = _HEAD // 2 - 1
_N_SYMBOLS = len(_DIGITS) + len(_SIGNS) + len(_BEGINNINGS) + len(_ENDINGS) + 1
_CODE_LENGTH = 5
_CONSTANT = 0
_CODE = slice(1, 1 + _CODE_LENGTH)
_EXPECTED = slice(_CODE.stop, _CODE.stop + _N_SYMBOLS)
_ANCHOR, _LOUD = EXTRA - 5, EXTRA - 4
_ENDED = EXTRA - 3
_SURPRISE = EXTRA - 2
_VERDICT = EXTRA - 1

_FAINT = 0.01  # beside lanes of 0.1 (embeddings) and more
_READ = 100.0  # the weight of the new lanes in the norm before the base is drowned
_DROWNED = 100.0  # how much louder than the base's stream the constant is
_SEARCH = 1000.0  # queries and keys of a head that is to look at one token alone
_LOGIT_SCALE = 0.01
_GATE = 4.0  # by how much a unit's gate opens for a difference of one logit
_SHARPNESS = 6.0  # of the search for the largest surprise: score for one logit
_CLOSING = 2.0**14  # a power of 2, so that 16 bits keep it; shut even if logits differ by 80


def grow(
    base: Any,
    tokenizer: Tokenizer,
    format_name: str,
    configure: Callable[..., Any],
    texts: Sequence[Sequence[int]],
) -> Any:
    """The grown body: a transformers base model of the configuration that ``configure`` makes.

    ``base`` is a causal language model (Llama or Qwen2 with tied embeddings) over the ids of
    ``tokenizer``. ``configure(hidden_size=..., ...)`` returns the configuration of the grown body
    from the sizes that change. ``texts`` are inputs as the base knows them, by which the loudness
    of its stream is measured. Which parameters are learned is marked by ``requires_grad``.
    """
    import torch
    from transformers import AutoModel

    size, n_layers = base.config.hidden_size, base.config.num_hidden_layers
    symbols = symbol_ids(format_name, tokenizer)
    anchor, at_anchor, usual = _loudness(base, texts)
    at_anchor, usual = (rms * growth.norm_scale(size) for rms in (at_anchor, usual))
    loudness = _DROWNED * usual
    body: Any = AutoModel.from_config(
        configure(
            hidden_size=size + EXTRA,
            intermediate_size=max(base.config.intermediate_size, len(MISTAKABLE)),
            num_hidden_layers=n_layers + 2,
            num_attention_heads=size // _HEAD + 1,
            num_key_value_heads=size // _HEAD + 1,
            head_dim=_HEAD,
        )
    )
    with torch.no_grad():
        _set_embeddings(body, base, tokenizer, symbols)
        body.embed_tokens.weight[anchor, size + _ANCHOR] = _FAINT
        for layer, trained in zip(body.layers, base.model.layers, strict=False):
            growth.set_base_layer(layer, trained, size)
        question_end = body.embed_tokens.weight[single_id(tokenizer, QUESTION_END)]
        growth.watch_for_question_end(body.layers[0], size, question_end, size + _ENDED)
        _compare_with_expectation(body.layers[n_layers], base, symbols, loudness)
        _drown(body.layers[n_layers], size, at_anchor, loudness)
        _look_for_surprise(body.layers[n_layers + 1], size, loudness)
        _read_all_but_the_constant(body.norm.weight, size, loudness)
    growth.freeze(body)
    return body


def _loudness(base: Any, texts: Sequence[Sequence[int]]) -> tuple[int, float, float]:
    """The anchor's id, and the root mean square of the base's stream after its last layer: at the
    anchor, and the mean over all tokens.

    The anchor is the first token that stands once in a text: what is before it is the same in all.
    """
    import torch

    anchor = next(token for token in texts[0] if texts[0].count(token) == 1)
    measured: list[torch.Tensor] = []
    hook = base.model.norm.register_forward_pre_hook(
        lambda _norm, inputs: measured.append(inputs[0][0].square().mean(-1).sqrt())
    )
    with torch.inference_mode():
        for ids in texts:
            base.model(torch.tensor([list(ids)]), use_cache=False)
    hook.remove()
    return anchor, float(measured[0][texts[0].index(anchor)]), float(torch.cat(measured).mean())


def _code(index: int) -> list[float]:
    """One of 32 corners of a cube: what a symbol is, in ``_CODE_LENGTH`` lanes of one loudness."""
    return [_FAINT if index >> place & 1 else -_FAINT for place in range(_CODE_LENGTH)]


def _set_embeddings(body: Any, base: Any, tokenizer: Tokenizer, symbols: Sequence[int]) -> None:
    import torch

    size = base.config.hidden_size
    weight = body.embed_tokens.weight
    weight.zero_()
    weight[:, :size] = base.get_input_embeddings().weight
    weight[:, size + _CONSTANT] = _FAINT
    for index, symbol in enumerate(symbols):
        weight[symbol, size + _CODE.start : size + _CODE.stop] = torch.tensor(_code(index))
    weight[single_id(tokenizer, QUESTION_END), size + _ENDED] = _FAINT


def _compare_with_expectation(
    layer: Any, base: Any, symbols: Sequence[int], loudness: float
) -> None:
    import torch

    size = base.config.hidden_size
    for parameter in layer.parameters():
        parameter.zero_()
    # As the base's own final norm and head would: the values are its logits.
    layer.input_layernorm.weight[:size] = base.model.norm.weight * growth.norm_scale(size)
    layer.input_layernorm.weight[size:] = _READ
    attention = layer.self_attn
    theta = base.config.rope_parameters["rope_theta"]
    growth.look_back_by_one(attention, size + _CONSTANT, theta)
    rows = base.get_input_embeddings().weight[list(symbols)]
    attention.v_proj.weight[:_N_SYMBOLS, :size] = _LOGIT_SCALE * rows
    expected = torch.arange(size + _EXPECTED.start, size + _EXPECTED.stop)
    attention.o_proj.weight[expected, torch.arange(_N_SYMBOLS)] = 1.0

    layer.post_attention_layernorm.weight[size:] = loudness
    # Open only where ``said`` stands: there its code and the constant cancel.
    for unit, (said, other) in enumerate(MISTAKABLE):
        gate = layer.mlp.gate_proj.weight[unit]
        gate[size + _EXPECTED.start + other] = _GATE / _LOGIT_SCALE
        gate[size + _EXPECTED.start + said] = -_GATE / _LOGIT_SCALE
        gate[size + _CONSTANT] = -_CODE_LENGTH * _CLOSING
        gate[size + _CODE.start : size + _CODE.stop] = _CLOSING * torch.tensor(_code(said)).sign()
        layer.mlp.up_proj.weight[unit, size + _ENDED] = 1.0 / _FAINT
        layer.mlp.down_proj.weight[size + _SURPRISE, unit] = _LOGIT_SCALE * _FAINT / _GATE


def _drown(layer: Any, size: int, at_anchor: float, loudness: float) -> None:
    """The second head looks at the anchor and writes a constant into a lane of its own.

    ``loudness`` is what the root mean square of the stream becomes.
    """
    attention, row = layer.self_attn, _HEAD + _SLOWEST
    attention.q_proj.weight[row, size + _CONSTANT] = _SEARCH
    attention.k_proj.weight[row, size + _ANCHOR] = _SEARCH
    attention.v_proj.weight[_HEAD, size + _CONSTANT] = at_anchor / (_READ * _FAINT)
    attention.o_proj.weight[size + _LOUD, _HEAD] = loudness * math.sqrt(size + EXTRA)


def _read_all_but_the_constant(norm: torch.Tensor, size: int, loudness: float) -> None:
    """Give the base's lanes and the new ones their own loudness back.

    What is learned must not read the loud constant: it would be thousands of times what the other
    lanes are, and the first steps on labels would undo all that is set.
    """
    norm[:size] = _DROWNED
    norm[size:] = loudness
    norm[size + _LOUD] = 0.0


def _look_for_surprise(layer: Any, size: int, loudness: float) -> None:
    """The first head finds the largest surprise, the sign of the verdict; the rest is silent."""
    attention = layer.self_attn
    one_logit = _LOGIT_SCALE * _FAINT  # in the lane of surprise
    for name, parameter in layer.named_parameters():
        if name.endswith("layernorm.weight"):
            _read_all_but_the_constant(parameter, size, loudness)
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        projection.weight[:_HEAD] = 0.0
        if projection.bias is not None:
            projection.bias.zero_()
    attention.q_proj.weight[_SLOWEST, size + _CONSTANT] = 1.0 / _FAINT
    attention.k_proj.weight[_SLOWEST, size + _SURPRISE] = _SHARPNESS * math.sqrt(_HEAD) / one_logit
    attention.v_proj.weight[0, size + _CONSTANT] = OPENING / _FAINT
    attention.v_proj.weight[0, size + _SURPRISE] = -1.0 / one_logit
    attention.o_proj.weight.zero_()
    layer.mlp.down_proj.weight.zero_()
    attention.o_proj.weight[size + _VERDICT, 0] = _FAINT


def speak(network: Any, signs: tuple[int, int] | None) -> None:
    """Set what the PRM's head says: the lane of the verdict, in logits.

    ``network`` holds the grown body ``model`` and, where the format has one, its head ``score``;
    ``signs`` as of ``ProcessRewardModel``.
    """
    import torch
    from torch import nn

    body = network["model"]
    lane = body.config.hidden_size - EXTRA + _VERDICT
    with torch.no_grad():
        if signs is not None:
            # The head's rows are those of the embeddings, which are what they are: all that the
            # base says there is left to the labels.
            for sign, value in zip(signs, (_FAINT, -_FAINT), strict=True):
                body.embed_tokens.weight[sign, lane] = value
            loudness = float(body.norm.weight[lane])
            body.norm.weight.zero_()
            body.norm.weight[lane] = loudness / (2 * _FAINT**2)
            return
        layers = [part for part in network["score"].modules() if isinstance(part, nn.Linear)]
        layers[-1].weight.zero_()
        layers[-1].bias.zero_()
        if len(layers) == 1:
            layers[0].weight[0, lane] = 1.0 / _FAINT
            return
        # A rectified unit for either sign.
        layers[0].weight[:2] = 0.0
        layers[0].bias[:2] = 0.0
        layers[0].weight[:2, lane] = torch.tensor([1.0, -1.0]) / _FAINT
        layers[1].weight[1, :2] = torch.tensor([1.0, -1.0])


def symbol_ids(format_name: str, tokenizer: Tokenizer) -> list[int]:
    """Ids of the symbols, the step's end of the format last.

    Raises ``StudyError`` where one is no single token of ``tokenizer``.
    """
    end = STEP_END[format_name]
    end_id = special_id if end.startswith("<") else single_id
    texts = (*_DIGITS, *_SIGNS, *_BEGINNINGS, *_ENDINGS)
    return [*(single_id(tokenizer, text) for text in texts), end_id(tokenizer, end)]


def _mistakable() -> list[tuple[int, int]]:
    """Pairs (said, expected) of symbols that are compared, by their places in ``symbol_ids``."""
    kinds = ["digit"] * len(_DIGITS) + ["sign"] * len(_SIGNS) + [*_BEGINNINGS]
    kinds += ["ending"] * len(_ENDINGS) + ["step end"]
    compared = [
        *({"digit"}, {"sign"}, {"digit", "sign"}, {"digit", "ending"}, {"digit", "step end"}),
        *({"digit", "The"}, {"Therefore", "##"}),
    ]
    return [
        (said, expected)
        for said, one in enumerate(kinds)
        for expected, other in enumerate(kinds)
        if said != expected and {one, other} in compared
    ]


MISTAKABLE = _mistakable()
"""Pairs of places in ``symbol_ids``, (said, expected), a unit of the first new layer each."""
