"""What a model's own ``config.json`` says, against its registry entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compute_optimal.study.config.registry import ModelEntry

_FACTOR = 1.5
"""An entry may differ by this factor from what its dimensions imply: they leave out biases, norms
and the heads of PRMs."""

_HEADED = ("RewardModel", "ForTokenClassification", "ForSequenceClassification")
"""Endings of architectures that have a head of their own in the place of the output layer."""

_EXTENDING = ("yarn", "linear", "dynamic")
"""Kinds of ``rope_scaling`` whose factor comes on top of ``max_position_embeddings``."""


def contradictions(entry: ModelEntry, folder: Path) -> list[tuple[str, str]]:
    """What the entry says of the model in ``folder`` that its ``config.json`` denies: for each,
    what is wrong and what to do.

    Empty where there is no readable file, which whoever opens the model reports, or where it does
    not say.
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(config, dict):
        return []
    config = of_language_model(config)
    denied, file = [], folder / "config.json"
    implied = implied_parameters(config)
    if implied and not 1 / _FACTOR <= entry.n_parameters / implied <= _FACTOR:
        denied.append(
            (
                f"n_parameters is {entry.n_parameters:,}, but {file} describes about {implied:,}",
                "correct it in the registry: FLOPs, GPUs and hours follow from it",
            )
        )
    longest = longest_context(config)
    for key in ("context", "native_context"):
        if longest and (stated := getattr(entry, key)) > longest:
            denied.append(
                (
                    f"{key} is {stated:,}, but by {file} the model was built for {longest:,} "
                    "tokens",
                    f"lower {key} in the registry; beyond that a model answers noise",
                )
            )
    return denied


def of_language_model(config: Mapping[str, Any]) -> dict[str, Any]:
    """A ``config.json`` with the dimensions of its language model at the top, where those of models
    that read pictures too are one level below."""
    text = config.get("text_config")
    return {**config, **text} if isinstance(text, Mapping) else {**config}


def implied_parameters(config: Mapping[str, Any]) -> int | None:
    """Parameters of a dense decoder of the dimensions in a ``config.json``, up to biases and norms;
    None where a dimension is missing or there are experts.

    Embeddings, the output layer where there is one and it is not tied, and per layer four attention
    projections and the three of a gated MLP, as in Llama, Mistral and Qwen2.
    """
    names = ("hidden_size", "num_hidden_layers", "intermediate_size", "vocab_size")
    numbers = [config.get(name) for name in (*names, "num_attention_heads")]
    if any(type(number) is not int or number <= 0 for number in numbers):
        return None
    if any("expert" in key for key in config):
        return None
    hidden, layers, inner, vocabulary, heads = (int(number) for number in numbers if number)
    head = config.get("head_dim") or hidden // heads
    shared = config.get("num_key_value_heads") or heads
    if type(head) is not int or type(shared) is not int:
        return None
    attention = 2 * hidden * head * (heads + shared)
    has_layer = not config.get("tie_word_embeddings") and not _architecture(config).endswith(
        _HEADED
    )
    outputs = 2 if has_layer else 1
    return outputs * vocabulary * hidden + layers * (attention + 3 * hidden * inner)


def _architecture(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""


def longest_context(config: Mapping[str, Any]) -> int | None:
    """Tokens that the model was built for, extensions of its position encoding included; None where
    it does not say."""
    positions = config.get("max_position_embeddings")
    if type(positions) is not int or positions <= 0:
        return None
    scaling = config.get("rope_scaling") or config.get("rope_parameters")
    if isinstance(scaling, dict):
        kind = scaling.get("rope_type", scaling.get("type"))
        original = scaling.get("original_max_position_embeddings", positions)
        factor = scaling.get("factor", 1)
        if kind in _EXTENDING and isinstance(original, int) and isinstance(factor, int | float):
            return max(positions, int(original * factor))
    return positions
