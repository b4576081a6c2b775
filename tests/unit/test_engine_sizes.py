"""How much an engine does at once follows from model, context, memory and device."""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
from default_study import POLICIES, ROOT
from hypothesis import given
from hypothesis import strategies as st
from published_models import MODELS, Published

from compute_optimal.engines import (
    open_sampling_engine,
    open_scoring_engine,
    vllm_engine,
)
from compute_optimal.engines.sizes import (
    FEWEST_SLOTS,
    GIB,
    GPU_BATCHED_TOKENS,
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
from compute_optimal.study.config import ModelEntry, PolicyEntry, load_study
from compute_optimal.study.cost import ENGINE_OVERHEAD_GIB, gpu_gib, gpu_memory_shares

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
    one = kv_memory(weight_bytes=16 * GIB, gpu_gib=80, gpu_share=0.9, n_gpus=1, overhead_gib=1.5)
    assert one == pytest.approx((72 - 1.5 - 16) * GIB)
    two = kv_memory(weight_bytes=16 * GIB, gpu_gib=80, gpu_share=0.9, n_gpus=2, overhead_gib=1.5)
    assert two == pytest.approx((2 * 70.5 - 16) * GIB)
    assert (
        kv_memory(weight_bytes=90 * GIB, gpu_gib=80, gpu_share=0.9, n_gpus=1, overhead_gib=1.5) == 0
    )
    assert (
        kv_memory(weight_bytes=GIB, gpu_gib=None, gpu_share=0.9, n_gpus=1, overhead_gib=1.5)
        == 2 * GIB
    )


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


GRAPHS_GIB = 0.35
"""CUDA graphs and what the driver keeps [GiB]."""


def step_gib(model: Published, entry: ModelEntry) -> float:
    """What a step of ``GPU_BATCHED_TOKENS`` holds at once in its widest layer, on each GPU [GiB]:
    gate, up and their product, and what goes in and out."""
    width = 3 * model.inner / max(1, entry.n_gpus) + 2 * model.hidden
    return GPU_BATCHED_TOKENS * width * (4 if entry.dtype == "float32" else 2) / GIB


def left_gib(entry: ModelEntry, share: float, memory_gib: float) -> float:
    """What weights and a step leave of a GPU for keys and values, less those of one text of full
    context [GiB]."""
    model, n_gpus = MODELS[entry.name], max(1, entry.n_gpus)
    each = kv_bytes_per_token(
        model.config_json(), bytes_per_value=4 if entry.dtype == "float32" else 2
    )
    needed = (entry.weight_bytes + each * entry.context) / n_gpus / GIB
    return memory_gib * share - needed - step_gib(model, entry) - GRAPHS_GIB


def test_every_pair_of_the_paper_has_room_on_gpus_of_80_gb(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the numbers of the models' own config.json."""
    monkeypatch.chdir(ROOT)
    study = load_study(ROOT / "config/paper.yaml")
    policies, prms = ([*map(of, names)] for of, names in (
        (study.policy, study.policies), (study.prm, study.prms)))  # fmt: skip
    for entry in (*policies, *prms):
        assert step_gib(MODELS[entry.name], entry) + GRAPHS_GIB <= ENGINE_OVERHEAD_GIB, entry.name
    tight = []
    for policy, prm in product(policies, prms):
        # Drivers keep some of what data sheets say: an H100 of 80 GB has 79.1 GiB for programs.
        shares = gpu_memory_shares(policy, prm, 79.65)
        for entry, share in zip((policy, prm), shares, strict=True):
            if left_gib(entry, share, 79.1) < 0:
                tight.append((policy.name, prm.name))
    assert tight == []


def test_every_model_of_the_paper_has_room_where_a_plan_says_that_it_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    study = load_study(ROOT / "config/paper.yaml")
    fits = 0
    for entry, memory in product(
        (*map(study.policy, study.policies), *map(study.prm, study.prms)), (24, 48, 80)
    ):
        if gpu_gib(entry, max(1, entry.n_gpus)) <= 0.9 * memory:
            fits += 1
            assert left_gib(entry, 0.9, memory) >= 0, (entry.name, memory)
    assert fits > 40


@pytest.mark.parametrize("kind", ["policy", "prm"])
def test_an_engine_on_gpus_is_told_how_much_a_step_is(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What vLLM would choose by itself depends on the name of the GPU."""
    given: dict[str, Any] = {}

    def llm(**arguments: Any) -> NoReturn:
        given.update(arguments)
        raise RuntimeError("stop here")

    stand_in, config = ModuleType("vllm"), ModuleType("vllm.config")
    stand_in.LLM = llm  # type: ignore[attr-defined]
    config.PoolerConfig = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", stand_in)
    monkeypatch.setitem(sys.modules, "vllm.config", config)
    monkeypatch.setattr(vllm_engine, "_prepare_process", lambda *_: True)
    monkeypatch.chdir(ROOT)
    study = load_study(ROOT / "config/config.yaml")
    settings: dict[str, Any] = {"context": 512, "gpu_memory": 0.4, "max_num_seqs": 64}
    policy, prm = study.policy(POLICIES[0]), study.prm(study.prms[0])
    assert policy.path is not None
    assert prm.path is not None
    with pytest.raises(StudyError, match="stop here"):
        _ = (
            open_sampling_engine(ROOT / policy.path, **settings)
            if kind == "policy"
            else open_scoring_engine(ROOT / prm.path, prm.format, **settings)
        )
    assert given["max_num_batched_tokens"] == GPU_BATCHED_TOKENS
    assert given["max_num_seqs"] == 64
    # Prompts longer than a step are read in pieces, which is vLLM's choice where nothing is said.
    assert "enable_chunked_prefill" not in given
