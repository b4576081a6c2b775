"""Model folders on disk, checked before an engine spends minutes on them. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compute_optimal.errors import StudyError


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a model folder that is whole: config, tokenizer, safetensors weights.

    Raises ``StudyError`` naming what is missing; weights in pickle files are refused.
    """
    if not folder.is_dir():
        raise StudyError(
            "The model folder does not exist.", where=str(folder), cure="Fetch the model first."
        )
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise StudyError(
                f"The model folder has no {name}.",
                where=str(folder),
                cure="Fetch the whole model repository.",
            )
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(
            path.name for pattern in ("*.bin", "*.pt*") for path in folder.glob(pattern)
        )
        raise StudyError(
            f"The weights are pickle files ({pickles[0]}), which can run code and are never loaded."
            if pickles
            else "The model folder has no weights (*.safetensors).",
            where=str(folder),
            cure="Fetch a revision of the model in safetensors format, or convert it elsewhere."
            if pickles
            else "Fetch the whole model repository.",
        )
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise StudyError(
            f"The model's config.json is not JSON: {error}", where=str(folder)
        ) from error
    return config


def tensor_names(folder: Path) -> set[str]:
    """Names of all tensors in the safetensors files of a folder, read from their headers."""
    names: set[str] = set()
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            try:
                header = json.loads(file.read(min(length, 100_000_000)))
            except ValueError as error:
                raise StudyError(
                    "The weights file is damaged.", where=str(path), cure="Fetch it again."
                ) from error
        names |= header.keys() - {"__metadata__"}
    return names


def require_tensors(folder: Path, needed: set[str]) -> None:
    """Raises ``StudyError`` when the checkpoint lacks one of the ``needed`` tensors."""
    missing = sorted(needed - tensor_names(folder))
    if missing:
        raise StudyError(
            f"The checkpoint lacks the weights of the PRM's head: {', '.join(missing)}.",
            where=str(folder),
            cure="Fetch the PRM itself, not its base model; without its head it scores at random.",
        )
