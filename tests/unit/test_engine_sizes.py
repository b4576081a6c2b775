"""How much an engine does at once follows from model, context, memory and device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from default_study import POLICIES, ROOT
from hypothesis import given
from hypothesis import strategies as st

from compute_optimal.engines.sizes import (
    FEWEST_SLOTS,
    GIB,
    MOST_SLOTS_ON_CPU,
    MOST_SLOTS_ON_GPU,
    in_flight,
    kv_bytes_per_token,
    kv_memory,
    score_batch,
    slots,
)
from compute_optimal.errors import StudyError
from compute_optimal.generate.loading import slots_of
from compute_optimal.study.config import PolicyEntry, load_study

LLAMA_8B = {
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "num_hidden_layers": 32,
}


def test_a_token_of_llama_8b_takes_128_kib() -> None:
    assert kv_bytes_per_token(LLAMA_8B, bytes_per_value=2) == 128 * 1024
    own_head_size = LLAMA_8B | {"head_dim": 64}
    assert kv_bytes_per_token(own_head_size, bytes_per_value=4) == 128 * 1024
    every_head = {key: value for key, value in LLAMA_8B.items() if key != "num_key_value_heads"}
    assert kv_bytes_per_token(every_head, bytes_per_value=2) == 512 * 1024


def test_a_model_that_reads_pictures_too_says_it_of_its_language_model() -> None:
    assert kv_bytes_per_token({"text_config": LLAMA_8B}, bytes_per_value=2) == 128 << 10


@pytest.mark.parametrize("config", [{}, {"text_config": {"num_attention_heads": 8}}])
def test_a_model_that_says_no_dimensions_is_an_error_with_a_way_round(
    config: dict[str, Any],
) -> None:
    with pytest.raises(StudyError, match="hidden_size") as refused:
        kv_bytes_per_token(config, bytes_per_value=2)
    assert "slots" in str(refused.value)


def test_memory_is_what_weights_leave_of_the_share_of_all_gpus() -> None:
    one = kv_memory(weight_bytes=16 * GIB, gpu_gib=80, gpu_share=0.9, n_gpus=1)
    assert one == pytest.approx((72 - 1.5 - 16) * GIB)
    two = kv_memory(weight_bytes=16 * GIB, gpu_gib=80, gpu_share=0.9, n_gpus=2)
    assert two == pytest.approx((2 * 70.5 - 16) * GIB)
    assert kv_memory(weight_bytes=90 * GIB, gpu_gib=80, gpu_share=0.9, n_gpus=1) == 0
    assert kv_memory(weight_bytes=GIB, gpu_gib=None, gpu_share=0.9, n_gpus=1) == 2 * GIB


@given(
    st.floats(0, 1e13), st.integers(1, 10**7), st.integers(1, 10**6), st.booleans(),
)  # fmt: skip
def test_slots_are_bounded_and_grow_with_memory_only(
    memory: float, each: int, context: int, on_gpu: bool
) -> None:
    n = slots(memory, each, context, on_gpu=on_gpu)
    assert FEWEST_SLOTS <= n <= (MOST_SLOTS_ON_GPU if on_gpu else MOST_SLOTS_ON_CPU)
    assert n % FEWEST_SLOTS == 0
    assert slots(2 * memory, each, context, on_gpu=on_gpu) >= n
    assert slots(memory, each, 2 * context, on_gpu=on_gpu) <= n
    assert in_flight(n) > n
    assert 1 <= score_batch(n) < n


def test_the_registry_overrides_what_follows_from_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    entry = load_study(ROOT / "config/one-gpu.yaml").policy("Qwen2.5-0.5B-Instruct")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_8B))
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    of_80_gb = slots_of(entry, tmp_path, 80.0, 0.9)
    of_24_gb = slots_of(entry, tmp_path, 24.0, 0.9)
    assert FEWEST_SLOTS < of_24_gb < of_80_gb < MOST_SLOTS_ON_GPU
    named = PolicyEntry.model_validate(entry.model_dump() | {"slots": 5})
    assert slots_of(named, tmp_path, 80.0, 0.9) == 5


def test_engines_of_the_scale_model_are_as_large_as_a_cpu_makes_sense_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    entry = load_study(ROOT / "config/config.yaml").policy(POLICIES[0])
    assert entry.path is not None
    assert slots_of(entry, ROOT / entry.path, None, 0.9) == MOST_SLOTS_ON_CPU
