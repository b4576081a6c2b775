"""Model folders that cannot be served as they are published, converted once and by themselves.

Skywork's PRMs have an architecture that vLLM does not know, and some models a tokenizer in an older
format than the one that this study reads.

What is read is the folder that the lock pins, so every check holds for what was published. What is
made of it lies in a folder of its own, whose name carries the digest of the model's revision and of
the conversions' versions, and holds a record of both. No torch: tensors are moved as bytes.
"""

from __future__ import annotations

import json
import shutil
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from compute_optimal.engines.checkpoints import (
    TensorNames,
    read_config,
    require_tensors,
    rewrite_tensors,
    tensor_files,
    tensor_names,
)
from compute_optimal.errors import StudyError
from compute_optimal.store.partitions import slug, write_json
from compute_optimal.study.hub import require_room
from compute_optimal.study.models import is_model_file
from compute_optimal.study.spec import digest

CONVERTED = Path("resources/converted")
"""Where converted models lie. They can be removed at any time, and are then made anew."""

RECORD = "conversion.json"
INDEX = "model.safetensors.index.json"

_HEAD = {"v_head.summary.weight": "score.weight", "v_head.summary.bias": "score.bias"}


@dataclass(frozen=True)
class Conversion:
    """What becomes of checkpoints of one architecture: other names of tensors, another config.

    ``needed``: tensors without which the checkpoint is not what it says. ``rename`` gives each
    tensor its name, or None for one that is left out. ``version`` is raised whenever the same
    checkpoint would become another.
    """

    name: str
    version: int
    needed: frozenset[str]
    rename: TensorNames
    configure: Callable[[dict[str, Any]], dict[str, Any]]


def _skywork_tensor(name: str) -> str | None:
    return None if name == "lm_head.weight" else _HEAD.get(name, name)


def _skywork_config(config: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if key != "auto_map"}
    return kept | {
        "architectures": ["Qwen2ForTokenClassification"],
        "id2label": {"0": "good"},
        "label2id": {"good": 0},
    }


CONVERSIONS = {
    # Skywork publishes a causal language model with a value head beside it, which its own loader
    # leaves random where it is not found. The same numbers are a token classifier of one label.
    "Qwen2ForPrmModel": Conversion(
        "skywork", 1, frozenset(_HEAD), _skywork_tensor, _skywork_config
    ),
}
"""Architectures that vLLM does not know, and what becomes of them."""

FAST_TOKENIZER_VERSION = 1

_AS_IT_IS = Conversion("none", 0, frozenset(), lambda name: name, lambda config: config)


def servable_folder(folder: Path, model: Mapping[str, Any], *, converted: Path = CONVERTED) -> Path:
    """The folder that an engine opens: ``folder`` itself, or what was made of it.

    ``model`` is the ``models.identity`` of a locked model: its revision, a commit or the hash of a
    folder's content, decides whether what lies below ``converted`` is of this model. Conversion
    takes the memory of one buffer and the disk space of the weights files that change; the others
    are links to the original. It appears when it is whole, whoever is killed or does the same
    meanwhile.

    Raises ``StudyError`` where the model is not whole, lacks a tensor that its architecture has,
    or the disk is too small for its conversion.
    """
    config = read_config(folder, fast_tokenizer=not _has_slow_tokenizer(folder))
    conversion = CONVERSIONS.get((config.get("architectures") or ["none"])[0])
    steps = {} if conversion is None else {conversion.name: conversion.version}
    if _has_slow_tokenizer(folder):
        steps["fast_tokenizer"] = FAST_TOKENIZER_VERSION
    if not steps:
        return folder
    assert model["revision"] is not None, "model_folder refuses what is not locked"
    origin = {"model": {"id": model["id"], "revision": model["revision"]}, "conversions": steps}
    # The same model under two names is converted once.
    name = slug((model["id"] or model["name"]).split("/")[-1])
    target = converted / f"{name}-{digest(origin)}"
    if _is_whole(target):
        return target
    try:
        converted.mkdir(parents=True, exist_ok=True)
        # For whoever comes second, to wait and not to convert as well; wholeness does not need it.
        with FileLock(converted / f".{target.name}.lock"):
            if not _is_whole(target):
                for left in converted.glob(f".{target.name}.*.partial"):
                    shutil.rmtree(left, ignore_errors=True)
                _convert(folder, target, conversion or _AS_IT_IS, {**origin, "name": model["name"]})
    except OSError as error:
        raise StudyError(
            f"The model cannot be converted: {error.strerror or error}",
            where=str(error.filename or target),
            cure="Free some space or mend the permissions, then give the same command again.",
        ) from error
    return target


def _convert(folder: Path, target: Path, conversion: Conversion, origin: Mapping[str, Any]) -> None:
    config = read_config(folder, fast_tokenizer=False)
    require_tensors(folder, set(conversion.needed))
    files = tensor_files(folder)
    renamed = {path: {old: conversion.rename(old) for old in tensor_names(path)} for path in files}
    changed = {
        path for path, names in renamed.items() if any(old != new for old, new in names.items())
    }
    require_room(
        f"The conversion of {origin['name']}",
        sum(path.stat().st_size for path in changed),
        target.parent,
        cure="free some space, or make resources/converted a link to a folder on a larger disk",
    )
    print(f"converting {origin['name']}, once, to {target}", file=sys.stderr)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    partial.mkdir()
    try:
        weight_map: dict[str, str] = {}
        for path, names in renamed.items():
            if not any(names.values()):
                continue
            if path in changed:
                rewrite_tensors(path, partial / path.name, conversion.rename)
            else:
                (partial / path.name).symlink_to(path.resolve())
            weight_map |= {new: path.name for new in names.values() if new is not None}
        for path in folder.iterdir():
            if is_model_file(path.name) and path.suffix != ".safetensors":
                shutil.copyfile(path, partial / path.name)
        write_json(partial / "config.json", conversion.configure(config))
        write_json(partial / INDEX, {"metadata": {}, "weight_map": weight_map})
        if _has_slow_tokenizer(folder):
            _write_fast_tokenizer(partial)
        sizes = {path.name: path.stat().st_size for path in partial.iterdir()}
        write_json(partial / RECORD, {**origin, "source": str(folder), "files": sizes})
        _replace(partial, target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _has_slow_tokenizer(folder: Path) -> bool:
    """Whether a tokenizer is there, but not in the one format that this study reads."""
    return not (folder / "tokenizer.json").is_file() and any(
        (folder / name).is_file() for name in ("tokenizer.model", "vocab.json")
    )


def _write_fast_tokenizer(folder: Path) -> None:
    """Add tokenizer.json to a folder that has its tokenizer in another format.

    By the class that the tokenizer itself names. AutoTokenizer goes by the model's type, and makes
    of Mistral's tokenizer.model one that drops the mark of the first word (transformers 5.19).
    """
    try:
        import transformers

        named = json.loads((folder / "tokenizer_config.json").read_bytes())["tokenizer_class"]
        of_class = getattr(transformers, named.removesuffix("Fast"))
        if not issubclass(of_class, transformers.PreTrainedTokenizerBase):
            raise TypeError(f"{named} is no tokenizer")
        tokenizer = of_class.from_pretrained(str(folder), local_files_only=True)
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    except Exception as error:
        raise StudyError(
            f"The tokenizer cannot be read: {error}",
            where=str(folder),
            cure="Take a revision that has tokenizer.json, or save the tokenizer in that format.",
        ) from error


def _replace(partial: Path, target: Path) -> None:
    """Give a whole folder its name; what had it before was not whole, or is the same."""
    if not _is_whole(target):
        shutil.rmtree(target, ignore_errors=True)
    try:
        partial.rename(target)
    except OSError:
        # Another process was first, where locks do not work.
        if not _is_whole(target):
            raise
        shutil.rmtree(partial)


def _is_whole(target: Path) -> bool:
    """Whether all files of the record are there in their sizes, those behind links too."""
    try:
        files: dict[str, int] = json.loads((target / RECORD).read_bytes())["files"]
        return all((target / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
