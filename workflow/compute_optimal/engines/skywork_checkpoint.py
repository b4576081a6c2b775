"""Skywork PRMs as checkpoints that need no code of their own.

Skywork ships a causal language model with a value head, ``v_head.summary``, which its own loader
leaves random when it is not found. The same numbers are a token classifier with one label.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from compute_optimal.engines.checkpoints import read_config, require_tensors
from compute_optimal.errors import StudyError

HEAD = {"v_head.summary.weight": "score.weight", "v_head.summary.bias": "score.bias"}


def convert_skywork(source: Path, target: Path) -> None:
    """Write ``target`` as ``Qwen2ForTokenClassification`` with one label and a bias.

    The value head becomes ``score``, the unused language-model head is left out, every other
    tensor and the tokenizer are copied as they are. ``target`` appears only when it is whole.

    Raises ``StudyError`` when the source is not a whole safetensors model, its value head is
    missing, or the target exists.
    """
    config = read_config(source)
    require_tensors(source, set(HEAD))
    if target.exists():
        raise StudyError(
            "The target folder exists.", where=str(target), cure="Remove it to convert again."
        )
    from safetensors.torch import load_file, save_file

    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    weight_map: dict[str, str] = {}
    for path in sorted(source.glob("*.safetensors")):
        tensors = {
            HEAD.get(name, name): tensor
            for name, tensor in load_file(path).items()
            if name != "lm_head.weight"
        }
        if tensors:
            save_file(tensors, partial / path.name, metadata={"format": "pt"})
            weight_map |= dict.fromkeys(tensors, path.name)
    index = {"metadata": {}, "weight_map": weight_map}
    (partial / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    config.pop("auto_map", None)
    config |= {
        "architectures": ["Qwen2ForTokenClassification"],
        "id2label": {"0": "good"},
        "label2id": {"good": 0},
    }
    (partial / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    for pattern in ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*"):
        for path in source.glob(pattern):
            shutil.copyfile(path, partial / path.name)
    partial.rename(target)
