"""The paper's models as the hub publishes them, and tiny ones of the same make.

A tiny model has everything of the real one but its size: architecture, configuration keys,
context, scaling of positions, tied embeddings, names of tensors, number format, files of weights
and of the tokenizer, in the layout of the hub's cache. Its weights are random, but for one channel
that makes a policy write little else than steps and boxed numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Tensors = dict[str, "np.ndarray[Any, np.dtype[np.float32]]"]


@dataclass(frozen=True)
class Published:
    """A model's config.json and files, as far as they matter here.

    ``files``: of weights. ``config``: keys beside those of the shape. ``tokenizer``: a name of
    ``published_tokenizers``.
    """

    architecture: str
    hidden: int
    layers: int
    inner: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    files: int
    tokenizer: str
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_qwen(self) -> bool:
        return self.config["model_type"] == "qwen2"

    @property
    def head_size(self) -> int:
        size: int = self.config.get("head_dim", self.hidden // self.heads)
        return size

    @property
    def n_parameters(self) -> int:
        """Weights, counted from the shape; tied embeddings once."""
        return sum(int(np.prod(shape)) for shape in self.shapes().values())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor, in the order in which the files hold them."""
        hidden, queries = self.hidden, self.heads * self.head_size
        keys = self.kv_heads * self.head_size
        shapes: dict[str, tuple[int, ...]] = {}
        if not self.tied and self.architecture not in ("Qwen2ForProcessRewardModel",):
            shapes["lm_head.weight"] = (self.vocabulary, hidden)
        shapes["model.embed_tokens.weight"] = (self.vocabulary, hidden)
        for layer in range(self.layers):
            block = f"model.layers.{layer}"
            shapes[f"{block}.input_layernorm.weight"] = (hidden,)
            shapes[f"{block}.mlp.down_proj.weight"] = (hidden, self.inner)
            shapes[f"{block}.mlp.gate_proj.weight"] = (self.inner, hidden)
            shapes[f"{block}.mlp.up_proj.weight"] = (self.inner, hidden)
            shapes[f"{block}.post_attention_layernorm.weight"] = (hidden,)
            for name, width in (("k", keys), ("q", queries), ("v", keys)):
                if self.is_qwen:
                    shapes[f"{block}.self_attn.{name}_proj.bias"] = (width,)
                shapes[f"{block}.self_attn.{name}_proj.weight"] = (width, hidden)
            shapes[f"{block}.self_attn.o_proj.weight"] = (hidden, queries)
        shapes["model.norm.weight"] = (hidden,)
        if self.architecture == "Qwen2ForPrmModel":
            shapes |= {"v_head.summary.weight": (1, hidden), "v_head.summary.bias": (1,)}
        if self.architecture == "Qwen2ForProcessRewardModel":
            shapes |= {"score.0.weight": (hidden, hidden), "score.0.bias": (hidden,)}
            shapes |= {"score.2.weight": (2, hidden), "score.2.bias": (2,)}
        return shapes

    def config_json(self) -> dict[str, Any]:
        """What config.json says."""
        return {
            "architectures": [self.architecture],
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "tie_word_embeddings": self.tied,
            "vocab_size": self.vocabulary,
            **self.config,
        }


def _common(dtype: str = "bfloat16") -> dict[str, Any]:
    return {
        "attention_dropout": 0.0,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "torch_dtype": dtype,
        "transformers_version": "4.43.1",
        "use_cache": True,
    }


def _qwen(window: int, *, context: int = 32768, theta: float = 1e6, **keys: Any) -> dict[str, Any]:
    return {
        **_common(),
        "model_type": "qwen2",
        "bos_token_id": 151643,
        "eos_token_id": 151645,
        "max_position_embeddings": context,
        "max_window_layers": 28,
        "rms_norm_eps": 1e-6,
        "rope_theta": theta,
        "sliding_window": window,
        "use_sliding_window": False,
        **keys,
    }


def _llama(factor: float, **keys: Any) -> dict[str, Any]:
    return {
        **_common(),
        "model_type": "llama",
        "attention_bias": False,
        "bos_token_id": 128000,
        "eos_token_id": [128001, 128008, 128009],
        "max_position_embeddings": 131072,
        "mlp_bias": False,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-5,
        "rope_scaling": {
            "factor": factor,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
        "rope_theta": 500000.0,
        **keys,
    }


def _qwen_policy(*shape: int, tied: bool = False, files: int, window: int = 131072) -> Published:
    hidden, layers, inner, heads, kv_heads, vocabulary = shape
    return Published(
        "Qwen2ForCausalLM", hidden, layers, inner, heads, kv_heads, vocabulary,
        tied, files, "qwen", _qwen(window),
    )  # fmt: skip


_R1 = {"bos_token_id": 151646, "eos_token_id": 151643, "use_mrope": False}
_CODE = {
    "AutoConfig": "configuration_qwen2_rm.Qwen2RMConfig",
    "AutoModel": "modeling_qwen2_rm.Qwen2ForProcessRewardModel",
}
_MATH = _qwen(4096, context=4096, theta=10000.0)

# Shapes and keys from each model's config.json.
# ASSUME: files of weights of the pull requests that add safetensors to the Skywork and the
# Math-Shepherd PRMs.
MODELS: dict[str, Published] = {
    "Llama-3.2-1B-Instruct": Published(
        "LlamaForCausalLM", 2048, 16, 8192, 32, 8, 128256, True, 1, "llama",
        _llama(32.0, head_dim=64),
    ),
    "Llama-3.2-3B-Instruct": Published(
        "LlamaForCausalLM", 3072, 28, 8192, 24, 8, 128256, True, 2, "llama",
        _llama(32.0, head_dim=128),
    ),
    "Llama-3.1-8B-Instruct": Published(
        "LlamaForCausalLM", 4096, 32, 14336, 32, 8, 128256, False, 4, "llama", _llama(8.0)
    ),
    "Qwen2.5-0.5B-Instruct": _qwen_policy(
        896, 24, 4864, 14, 2, 151936, tied=True, files=1, window=32768
    ),
    "Qwen2.5-1.5B-Instruct": _qwen_policy(
        1536, 28, 8960, 12, 2, 151936, tied=True, files=1, window=32768
    ),
    "Qwen2.5-3B-Instruct": _qwen_policy(
        2048, 36, 11008, 16, 2, 151936, tied=True, files=2, window=32768
    ),
    "Qwen2.5-7B-Instruct": _qwen_policy(3584, 28, 18944, 28, 4, 152064, files=4),
    "Qwen2.5-14B-Instruct": _qwen_policy(5120, 48, 13824, 40, 8, 152064, files=8),
    "Qwen2.5-32B-Instruct": _qwen_policy(5120, 64, 27648, 40, 8, 152064, files=17),
    "Qwen2.5-72B-Instruct": _qwen_policy(8192, 80, 29568, 64, 8, 152064, files=37),
    "DeepSeek-R1-Distill-Qwen-1.5B": Published(
        "Qwen2ForCausalLM", 1536, 28, 8960, 12, 2, 151936, False, 1, "r1",
        _qwen(4096, context=131072, theta=10000.0, **_R1),
    ),
    "DeepSeek-R1-Distill-Qwen-7B": Published(
        "Qwen2ForCausalLM", 3584, 28, 18944, 28, 4, 152064, False, 2, "r1",
        _qwen(4096, context=131072, theta=10000.0, **_R1),
    ),
    "Math-Shepherd-PRM-7B": Published(
        "MistralForCausalLM", 4096, 32, 14336, 32, 8, 32000, False, 2, "mistral",
        {
            **_common(),
            "model_type": "mistral",
            "bos_token_id": 1,
            "eos_token_id": 2,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "sliding_window": 4096,
        },
    ),
    "RLHFlow-PRM-Mistral-8B": Published(
        "LlamaForCausalLM", 4096, 32, 14336, 32, 8, 128256, False, 4, "llama", _llama(8.0)
    ),
    "RLHFlow-PRM-Deepseek-8B": Published(
        "LlamaForCausalLM", 4096, 32, 14336, 32, 8, 128256, False, 4, "llama", _llama(8.0)
    ),
    "Skywork-PRM-1.5B": Published(
        "Qwen2ForPrmModel", 1536, 28, 8960, 12, 2, 151936, True, 1, "skywork", _MATH
    ),
    "Skywork-PRM-7B": Published(
        "Qwen2ForPrmModel", 3584, 28, 18944, 28, 4, 152064, False, 4, "skywork", _MATH
    ),
    "Qwen2.5-Math-PRM-7B": Published(
        "Qwen2ForProcessRewardModel", 3584, 28, 18944, 28, 4, 152064, False, 4, "qwen_prm",
        {**_MATH, "auto_map": _CODE},
    ),
    "Qwen2.5-Math-PRM-72B": Published(
        "Qwen2ForProcessRewardModel", 8192, 80, 29568, 64, 8, 152064, False, 37, "qwen_prm",
        {**_MATH, "auto_map": _CODE},
    ),
}  # fmt: skip

PRM_ARCHITECTURES = {
    "math_shepherd": "MistralForCausalLM",
    "rlhflow": "LlamaForCausalLM",
    "skywork": "Qwen2ForPrmModel",
    "qwen_math": "Qwen2ForProcessRewardModel",
}
"""Architecture that the hub's PRMs of each format have."""

HEAD_SIZE = 32
"""The smallest that the CPU engine has."""

WRITTEN = "3 \\boxed{3}\n\n"
"""What a tiny policy writes the tokens of, in no order."""


def tiny(real: Published, vocabulary: int) -> Published:
    """The same make in a small size. Its vocabulary is as large as its tokenizer asks for."""
    heads = 2
    keys = dict(real.config) | ({"head_dim": HEAD_SIZE} if "head_dim" in real.config else {})
    return Published(
        **{
            **vars(real),
            "hidden": heads * HEAD_SIZE,
            "layers": 2,
            "inner": 64,
            "heads": heads,
            "kv_heads": 1,
            "vocabulary": vocabulary,
            "config": keys,
        }
    )


def tensors(model: Published, seed: int, likely: Mapping[int, float]) -> Tensors:
    """Random weights. ``likely``: ids that a policy writes -> how much less than the likeliest.

    With it, the first channel of the residual stream holds the same for every token, is left alone
    by the layers, and so is a bias of each token's logit.
    """
    rng = np.random.default_rng(seed)
    weights: Tensors = {}
    for name, shape in model.shapes().items():
        scale = {"down_proj": 0.2, "o_proj": 0.05}.get(name.split(".")[-2], 0.1)
        if "norm" in name:
            weights[name] = np.ones(shape, np.float32)
            continue
        values = rng.standard_normal(shape, np.float32) * np.float32(scale)
        if likely and name.endswith(("embed_tokens.weight", "lm_head.weight")):
            values[:, 0] = 3.0
            for token, less in likely.items():
                values[token, 0] = 24.0 - less
        elif likely and name.endswith(("down_proj.weight", "o_proj.weight")):
            values[0] = 0.0
        weights[name] = values
    return weights


def write_snapshot(
    cache: Path, hub_id: str, model: Published, weights: Tensors, tokenizer: Path, revision: str
) -> Path:
    """A model in the layout of the hub's cache, as the hub's client leaves it; its snapshot."""
    repository = cache / f"models--{hub_id.replace('/', '--')}"
    snapshot, blobs = repository / "snapshots" / revision, repository / "blobs"
    for folder in (snapshot, blobs):
        folder.mkdir(parents=True)

    def add(name: str, content: bytes) -> None:
        blob = blobs / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)

    add("config.json", json.dumps(model.config_json(), indent=2).encode())
    add("generation_config.json", json.dumps(_generation(model)).encode())
    for path in sorted(tokenizer.iterdir()):
        add(path.name, path.read_bytes())
    parts = list(_parts(weights, model.files))
    names = [
        f"model-{number:05d}-of-{len(parts):05d}.safetensors" for number in range(1, len(parts) + 1)
    ]
    if len(parts) == 1:
        names = ["model.safetensors"]
    else:
        weight_map = {key: name for name, part in zip(names, parts, strict=True) for key in part}
        total = sum(values.size for values in weights.values()) * 2
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        add("model.safetensors.index.json", json.dumps(index).encode())
    for name, part in zip(names, parts, strict=True):
        add(name, safetensors_bf16(part))
    return snapshot


def _generation(model: Published) -> dict[str, Any]:
    return {key: model.config[key] for key in ("bos_token_id", "eos_token_id")}


def _parts(weights: Tensors, files: int) -> Iterator[Tensors]:
    """Tensors divided among files, in their order."""
    names = list(weights)
    for chunk in np.array_split(np.arange(len(names)), min(files, len(names))):
        yield {names[index]: weights[names[index]] for index in chunk}


def safetensors_bf16(weights: Tensors) -> bytes:
    """A safetensors file of bfloat16 tensors: the upper halves of float32, rounded down."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data, end = [], 0
    for name, values in weights.items():
        halves = (np.ascontiguousarray(values).view(np.uint32) >> 16).astype("<u2").tobytes()
        offsets = [end, end + len(halves)]
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": offsets}
        data.append(halves)
        end += len(halves)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *data])
