"""How much an engine does at once, from its model, context, memory and device.

No result depends on it: each request carries its own seed, and a search decides on whole rounds
only. It decides how busy the device is, and how much is lost to requests that do not fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compute_optimal.errors import StudyError
from compute_optimal.study.config.model_config import of_language_model

GIB = 1 << 30
CPU_KV_CACHE_GIB = 2.0
"""Memory for keys and values of an engine on a CPU [GiB]."""
GPU_BATCHED_TOKENS = 4096
"""Tokens of one step of an engine on GPUs at most; longer prompts are read in pieces.

vLLM's own choice is 16,384 on an H100, of which a 7B PRM in float32 keeps 3.9 GiB at once in its
widest layer: more than a plan allows an engine, so two that share a GPU would not open. A GPU is as
busy with a quarter of it.
"""

MOST_SLOTS_ON_CPU, MOST_SLOTS_ON_GPU = 256, 1024
"""Beyond these a step takes as much longer as it does more."""
FEWEST_SLOTS = 8
SHARE_OF_CONTEXT = 8
"""ASSUME: a request that runs holds, in the mean, an eighth of the context that it may fill."""


def kv_bytes_per_token(config: Mapping[str, Any], *, bytes_per_value: int) -> int:
    """Keys and values of one token [bytes], from a model's ``config.json``.

    Raises ``StudyError`` where it does not say how large the model is.
    """
    config = of_language_model(config)
    size = "head_dim" if config.get("head_dim") else "hidden_size"
    missing = [
        name for name in ("num_hidden_layers", "num_attention_heads", size) if not config.get(name)
    ]
    if missing:
        raise StudyError(
            f"the model's config.json does not say {', '.join(missing)}",
            cure="give the model a number of slots in the registry: slots: 64",
        )
    heads = config["num_attention_heads"]
    head_size = config.get("head_dim") or config["hidden_size"] // heads
    kv_heads = config.get("num_key_value_heads") or heads
    return int(2 * config["num_hidden_layers"] * kv_heads * head_size * bytes_per_value)


def kv_memory(
    *, weight_bytes: int, gpu_gib: float | None, gpu_share: float, n_gpus: int, overhead_gib: float
) -> float:
    """Memory for keys and values over all GPUs of an engine [bytes]; ``gpu_gib`` None: a CPU.

    ``overhead_gib``: what it takes of each GPU beyond weights, keys and values [GiB].
    """
    if gpu_gib is None:
        return CPU_KV_CACHE_GIB * GIB
    return max(0.0, n_gpus * (gpu_gib * gpu_share - overhead_gib) * GIB - weight_bytes)


def slots(kv_bytes: float, bytes_per_token: int, context: int, *, on_gpu: bool) -> int:
    """Requests that run at once: as many as keys and values have room for, in the mean.

    Where more of them are long than that, the engine lets some wait. At most what a step can do
    with profit, at least ``FEWEST_SLOTS``, and a multiple of that: engines have graphs for such.
    """
    each = bytes_per_token * max(1, context // SHARE_OF_CONTEXT)
    most = MOST_SLOTS_ON_GPU if on_gpu else MOST_SLOTS_ON_CPU
    room = int(kv_bytes // each)
    return min(most, max(FEWEST_SLOTS, room - room % FEWEST_SLOTS))


def in_flight(n_slots: int) -> int:
    """Requests that an engine holds at once: twice its slots, so that it never runs dry."""
    return 2 * n_slots


def score_batch(n_slots: int) -> int:
    """Steps that a search lets the PRM score at once: it shares its device with the policy.

    An eighth of the policy's ``n_slots``: a PRM step of a few tokens costs as much as one of many,
    and while more steps wait than that, too many of the policy's slots are empty.
    """
    return max(1, n_slots // 8)
