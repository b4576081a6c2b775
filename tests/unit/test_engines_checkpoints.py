"""Model folders, checked before an engine opens them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compute_optimal.engines import (
    open_sampling_engine,
    open_scoring_engine,
    servable_folder,
    vllm_engine,
)
from compute_optimal.engines.checkpoints import read_config, require_tensors, tensor_names
from compute_optimal.errors import StudyError


def write_tensors(path: Path, *names: str) -> None:
    """A safetensors file of one-number tensors."""
    header = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * i, 4 * i + 4]}
        for i, name in enumerate(names)
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4 * len(names)))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that has all files of a model."""
    (tmp_path / "config.json").write_text('{"architectures": ["Qwen2ForProcessRewardModel"]}')
    (tmp_path / "tokenizer.json").write_text("{}")
    write_tensors(tmp_path / "model.safetensors", "model.embed_tokens.weight", "score.0.weight")
    return tmp_path


def without_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


def with_pickle(model: Path) -> None:
    without_weights(model)
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04.")


BREAKAGES: list[tuple[Callable[[Path], Any], str]] = [
    (lambda model: (model / "config.json").unlink(), r"no config\.json"),
    (lambda model: (model / "config.json").write_text("{"), "not JSON"),
    (lambda model: (model / "tokenizer.json").unlink(), r"no tokenizer\.json"),
    (without_weights, "no weights"),
    (with_pickle, r"pickle files \(pytorch_model\.bin\)"),
]


@pytest.mark.parametrize(("breakage", "message"), BREAKAGES)
def test_what_a_model_folder_lacks_is_said_before_anything_is_loaded(
    model: Path, breakage: Callable[[Path], Any], message: str
) -> None:
    assert read_config(model)["architectures"]
    breakage(model)
    for open_it in (
        lambda: open_sampling_engine(model, context=8),
        lambda: open_scoring_engine(model, "qwen_math", context=8),
        lambda: servable_folder(model, {"name": "m", "id": None, "revision": None}),
    ):
        with pytest.raises(StudyError, match=message) as caught:
            open_it()
        assert str(model) in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="does not exist"):
        open_sampling_engine(tmp_path / "absent", context=8)


def test_a_machine_without_an_engine_says_how_to_get_one(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(StudyError, match=r"No engine(.|\n)*make engine"):
        open_sampling_engine(model, context=8)


def test_a_prm_without_its_head_is_refused(model: Path) -> None:
    assert tensor_names(model) == {"model.embed_tokens.weight", "score.0.weight"}
    with pytest.raises(StudyError, match=r"lacks(.|\n)*score\.0\.bias, score\.2\.bias"):
        open_scoring_engine(model, "qwen_math", context=8)
    write_tensors(model / "second.safetensors", "score.0.bias", "score.2.weight", "score.2.bias")
    require_tensors(model, {"score.0.weight", "score.2.bias"})


def test_a_damaged_weights_file_is_named(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(StudyError, match="damaged"):
        tensor_names(model)


def test_a_prm_of_another_architecture_is_refused(model: Path) -> None:
    (model / "config.json").write_text('{"architectures": ["BertModel"]}')
    with pytest.raises(StudyError, match=r"BertModel(.|\n)*format"):
        open_scoring_engine(model, "skywork", context=8)


def test_a_causal_prm_needs_its_language_model_head_and_one_gpu(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers comes with the engine (make engine)")
    from tiny_tokenizers import save_byte_tokenizer

    save_byte_tokenizer(tmp_path)
    write_tensors(tmp_path / "model.safetensors", "model.embed_tokens.weight")

    def configure(**settings: Any) -> None:
        (tmp_path / "config.json").write_text(json.dumps(settings))

    configure(architectures=["LlamaForCausalLM"], tie_word_embeddings=False)
    with pytest.raises(StudyError, match=r"lacks(.|\n)*lm_head\.weight"):
        open_scoring_engine(tmp_path, "rlhflow", context=8)
    configure(architectures=["LlamaForCausalLM"], tie_word_embeddings=True)
    with pytest.raises(StudyError, match="split over 2 GPUs"):
        open_scoring_engine(tmp_path, "rlhflow", context=8, tensor_parallel=2)
    configure(architectures=["LlamaModel"])
    with pytest.raises(StudyError, match="must be a causal model"):
        open_scoring_engine(tmp_path, "rlhflow", context=8)


@pytest.mark.parametrize(
    ("message", "cured"),
    [
        ("No available memory for the cache blocks. Try increasing `gpu_memory_utilization`", True),
        ("To serve at least one request with the model's max seq len, 2 GiB KV cache is", True),
        ("CUDA out of memory. Tried to allocate 20.00 MiB", True),
        ("Unknown architecture Foo", False),
    ],
)
def test_too_little_memory_names_the_options_that_lower_it(message: str, cured: bool) -> None:
    cure = vllm_engine._cure(RuntimeError(message))
    assert (cure is not None) == cured
    assert cure is None or ("context" in cure and "tensor_parallel" in cure)
