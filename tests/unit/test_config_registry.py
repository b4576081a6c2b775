"""The registry's numbers agree with the architectures, and its mistakes are told."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from published_models import MODELS, PRM_ARCHITECTURES, tiny

from compute_optimal.errors import StudyError
from compute_optimal.micro.recipes import PROMPTING
from compute_optimal.prms import PRM_FORMATS
from compute_optimal.study.config.model_config import contradictions
from compute_optimal.study.config.registry import PrmFormatName, load_lock, load_registry

REGISTRY = Path(__file__).parents[2] / "config/registry"
N_CHAINS = load_registry(REGISTRY).tasks["arithmetic-chains"].n_problems


def n_parameters(
    hidden: int, layers: int, inner: int, heads: int, kv_heads: int, vocabulary: int,
    *, tied: bool = False, biased: bool = True, head_size: int | None = None,
) -> int:  # fmt: skip
    """Weights of a Llama-like transformer, counted from its shape; ``biased``: Qwen2's q, k, v."""
    size = head_size or hidden // heads
    attention = 2 * hidden * heads * size + 2 * hidden * kv_heads * size
    biases = (heads + 2 * kv_heads) * size if biased else 0
    block = attention + biases + 3 * hidden * inner + 2 * hidden
    return (1 if tied else 2) * vocabulary * hidden + layers * block + hidden


QWEN_7B = n_parameters(3584, 28, 18944, 28, 4, 152064)
QWEN_72B = n_parameters(8192, 80, 29568, 64, 8, 152064)
QWEN_1_5B = n_parameters(1536, 28, 8960, 12, 2, 151936, tied=True)
# Models beside the paper's. Shapes from each model's config.json.
OTHERS = {
    "Qwen2.5-Math-1.5B-Instruct": QWEN_1_5B,
    "Qwen2.5-Math-7B-Instruct": QWEN_7B,
    "Qwen2.5-Math-72B-Instruct": QWEN_72B,
    "SmolLM2-135M-Instruct": n_parameters(576, 30, 1536, 9, 3, 49152, tied=True, biased=False),
}


def test_parameter_counts_follow_from_the_architectures() -> None:
    registry = load_registry(REGISTRY)
    entries = {**registry.policies, **registry.prms}
    published = {name: entry.n_parameters for name, entry in entries.items() if entry.hub_id}
    papers = {name: model.n_parameters for name, model in MODELS.items()}
    assert published == papers | OTHERS


def test_the_papers_models_are_registered_as_they_are_published() -> None:
    registry = load_registry(REGISTRY)
    study = yaml.safe_load((REGISTRY.parent / "paper.yaml").read_text())
    assert MODELS.keys() == {*study["policies"], *study["prms"]}
    for name, model in MODELS.items():
        entry = registry.policies.get(name) or registry.prm(name)
        assert model.config["max_position_embeddings"] == entry.native_context, name
        if entry.dtype != "float32":
            assert entry.dtype in (model.config["torch_dtype"], "float16"), name
    formats = {name: registry.prm(name).format for name in study["prms"]}
    assert {name: PRM_ARCHITECTURES[form] for name, form in formats.items()} == {
        name: MODELS[name].architecture for name in formats
    }
    for name in study["policies"]:
        family = registry.policy(name).family
        assert MODELS[name].architecture == (
            "LlamaForCausalLM" if family == "Llama-3" else "Qwen2ForCausalLM"
        )


def test_parameter_counts_of_shipped_models_are_those_of_their_weights() -> None:
    registry = load_registry(REGISTRY)
    counted = 0
    for entry in [*registry.policies.values(), *registry.prms.values()]:
        weights = REGISTRY.parents[1] / (entry.path or "none") / "model.safetensors"
        if not weights.exists():
            continue
        with weights.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        tensors = [tensor["shape"] for name, tensor in header.items() if name != "__metadata__"]
        assert sum(map(math.prod, tensors)) == entry.n_parameters, entry.name
        counted += 1
    if not counted:
        pytest.skip("no model folder is here")


def test_parameters_are_counted_from_a_config_for_every_make_of_the_paper(tmp_path: Path) -> None:
    registry = load_registry(REGISTRY)
    for name, real in MODELS.items():
        entry = registry.policies.get(name) or registry.prm(name)
        for model in (real, tiny(real, real.vocabulary)):
            (tmp_path / "config.json").write_text(json.dumps(model.config_json()))
            right = entry.model_copy(update={"n_parameters": model.n_parameters})
            assert contradictions(right, tmp_path) == []
            wrong = entry.model_copy(update={"n_parameters": 1000 * model.n_parameters})
            assert len(contradictions(wrong, tmp_path)) == 1
            # As a model that reads pictures too says it.
            within = {"architectures": ["A"], "text_config": model.config_json()}
            (tmp_path / "config.json").write_text(json.dumps(within))
            assert contradictions(right, tmp_path) == []
            assert len(contradictions(wrong, tmp_path)) == 1


def test_addresses_are_pinned_and_models_of_4096_tokens_stay_within() -> None:
    registry = load_registry(REGISTRY)
    for task in registry.tasks.values():
        assert task.url is None or "/0ee2578af1f8d6cac445c9c4c72780528bb94556/" in task.url
    for entry in [*registry.policies.values(), *registry.prms.values()]:
        built_on_qwen_math = "Qwen2.5-Math" in f"{entry.hub_id} {getattr(entry, 'base', '')}"
        assert (entry.context == 4096) == built_on_qwen_math
    assert all(entry.gated == ("Llama" in name) for name, entry in registry.policies.items()
               if entry.hub_id)  # fmt: skip


def test_the_scale_models_prompts_are_those_it_was_trained_with() -> None:
    prompts = load_registry(REGISTRY).prompts
    assert {name: prompts[name].system for name in PROMPTING} == {
        name: prompting.system for name, prompting in PROMPTING.items()
    }


def test_reasoning_models_get_no_system_prompt_and_the_sentence_in_the_user_turn() -> None:
    registry = load_registry(REGISTRY)
    family = registry.prompts[registry.policies["DeepSeek-R1-Distill-Qwen-7B"].prompt]
    assert family.system is None
    assert family.user_suffix == "\n" + str(registry.prompts["qwen"].system)
    assert r"$\boxed{answer}$" in str(registry.prompts["llama"].system)


def changed(folder: Path, section: str, name: str, /, **keys: Any) -> Path:
    """A copy of the registry in which one entry has other keys; None takes a key out."""
    for path in REGISTRY.glob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        if section in content:
            entry = content[section].setdefault(name, {})
            entry.update(keys)
            for key in [key for key, value in keys.items() if value is None]:
                del entry[key]
        (folder / path.name).write_text(yaml.safe_dump(content))
    return folder


@pytest.mark.parametrize(
    ("section", "name", "keys", "expected"),
    [
        ("policies", "Qwen2.5-7B-Instruct", {"contxt": 1}, ["contxt", "did you mean context?"]),
        ("policies", "Qwen2.5-7B-Instruct", {"name": "x"}, ["policies.Qwen2.5-7B-Instruct.name"]),
        ("policies", "Qwen2.5-7B-Instruct", {"prompt": "qwn"}, ["qwn", "did you mean qwen?"]),
        ("policies", "Qwen2.5-7B-Instruct", {"context": 65536}, ["65536", "native_context 32768"]),
        ("policies", "Qwen2.5-7B-Instruct", {"context": 4096}, ["max_tokens 8192", "context 4096"]),
        ("policies", "Qwen2.5-7B-Instruct", {"path": "x"}, ["either hub_id or path"]),
        ("policies", "Qwen2.5-7B-Instruct", {"hub_id": None}, ["either hub_id or path"]),
        ("policies", "Qwen2.5-7B-Instruct", {"n_parameters": "7B"}, ['"7B"', "valid integer"]),
        ("policies", "Qwen2.5-7B-Instruct", {"licence": None}, ["licence", "missing", "SPDX"]),
        (
            "policies",
            "Qwen2.5-7B-Instruct",
            {"sampling": {"max_tokens": 64, "max_step_tokens": 65}},
            ["max_step_tokens 65 is over", "max_tokens 64"],
        ),
        ("policies", "micro-qwen-0.1M", {"revision": "main"}, ["a folder has no revision"]),
        ("policies", "Skywork-PRM-7B", {}, ["policies.Skywork-PRM-7B.family", "missing"]),
        ("prms", "Skywork-PRM-7B", {"format": "skywrk"}, ["skywrk", "did you mean skywork?"]),
        ("tasks", "AIME24", {"sha256": "12"}, ["AIME24.sha256", '"12"']),
        ("tasks", "AIME24", {"url": "http://x"}, ["AIME24.url"]),
        ("tasks", "AIME24", {"file": None}, ["AIME24", "has sha256 and file"]),
        ("tasks", "AIME24", {"file": "../x"}, ["AIME24.file"]),
        ("tasks", "arithmetic-chains", {"n_problems": 3}, ["n_problems is 3", f"is {N_CHAINS}"]),
        ("tasks", "arithmetic-chains", {"parameters": None}, ["a generated task has parameters"]),
        (
            *("tasks", "arithmetic-chains"),
            {"parameters": {"n_problems": N_CHAINS, "numbers": [2, 1]}},
            ["numbers do not rise", "chains.parameters", "sort them"],
        ),
        (
            *("tasks", "arithmetic-chains"),
            {"parameters": {"n_problems": N_CHAINS, "numbers": [1, 2]}},
            [f"n_problems is {N_CHAINS}, but there are 2 numbers"],
        ),
    ],
)  # fmt: skip
def test_mistakes_in_entries(
    tmp_path: Path, section: str, name: str, keys: dict[str, Any], expected: list[str]
) -> None:
    with pytest.raises(StudyError) as caught:
        load_registry(changed(tmp_path, section, name, **keys))
    for part in [".yaml", *expected]:
        assert part in str(caught.value)


def test_every_prm_format_can_be_registered() -> None:
    assert get_args(PrmFormatName) == PRM_FORMATS


def test_a_policy_and_a_prm_cannot_share_a_name(tmp_path: Path) -> None:
    entry = yaml.safe_load((REGISTRY / "policies.yaml").read_text())["policies"]
    folder = changed(tmp_path, "policies", "Skywork-PRM-7B", **entry["Qwen2.5-7B-Instruct"])
    with pytest.raises(StudyError, match="a PRM has this name too"):
        load_registry(folder)


def test_a_malformed_lock_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    assert load_lock(path) == {}
    path.write_text('{"m": {"hub_id": "a/b", "revision": "main"}}')
    with pytest.raises(StudyError, match=r"lock.json, key m.revision"):
        load_lock(path)
    path.write_text('{"m": {"hub_id": "a/b", "sha256": "%s"}}' % ("0" * 64))
    with pytest.raises(StudyError, match="hub_id and revision, or path and sha256"):
        load_lock(path)
