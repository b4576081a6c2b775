"""Model folders on disk, checked before an engine spends minutes on them. No torch."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compute_optimal.errors import StudyError

TensorNames = Callable[[str], str | None]
"""A tensor's name -> the name it gets, or None for one that is left out."""

_BUFFER = 1 << 24


def read_config(folder: Path, *, fast_tokenizer: bool = True) -> dict[str, Any]:
    """``config.json`` of a model folder that is whole: config, tokenizer, safetensors weights.

    Raises ``StudyError`` naming what is missing or cannot be read; weights in pickle files are
    refused. Without ``fast_tokenizer`` a tokenizer may be of any kind, or absent.
    """
    if not folder.is_dir():
        raise StudyError(
            "The model folder does not exist.", where=str(folder), cure="Fetch the model first."
        )
    for name in ("config.json", *(("tokenizer.json",) if fast_tokenizer else ())):
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


def tensor_files(folder: Path) -> list[Path]:
    """Weights files of a folder: those that its index names, or all where it has none.

    Raises ``StudyError`` where the index is damaged.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return sorted(folder.glob("*.safetensors"))
    try:
        names = {Path(name).name for name in json.loads(index.read_bytes())["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(
            "The index of the weights files is damaged.", where=str(index), cure="Fetch it again."
        ) from error
    return [folder / name for name in sorted(names)]


def tensor_names(place: Path) -> set[str]:
    """Names of all tensors in a safetensors file or a model folder, read from the headers.

    Raises ``StudyError`` where a file is missing or damaged.
    """
    files = tensor_files(place) if place.is_dir() else [place]
    return {name for file in files for name in _tensors(file)[0]}


def rewrite_tensors(source: Path, target: Path, rename: TensorNames) -> None:
    """Copy a safetensors file under other names of tensors, without those renamed to None.

    Bytes are moved through one buffer, whatever the sizes. ``target`` is on disk at the end.
    Raises ``StudyError`` where the source is missing or damaged, ``OSError`` where it is cut short
    meanwhile.
    """
    tensors, start = _tensors(source)
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    kept: list[tuple[int, int]] = []
    end = 0
    for old, entry in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
        if (new := rename(old)) is not None:
            first, last = entry["data_offsets"]
            header[new] = {**entry, "data_offsets": [end, end + last - first]}
            kept.append((first, last - first))
            end += last - first
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with source.open("rb") as read, target.open("wb") as written:
        written.write(len(text).to_bytes(8, "little") + text)
        for first, size in kept:
            read.seek(start + first)
            while size:
                if not (block := read.read(min(size, _BUFFER))):
                    raise OSError(
                        errno.EIO, "the file became shorter while it was read", str(source)
                    )
                written.write(block)
                size -= len(block)
        written.flush()
        os.fsync(written.fileno())


def _tensors(path: Path) -> tuple[dict[str, Any], int]:
    """Tensors of a safetensors file by name, and where their bytes start."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, 100_000_000)))
            size = file.seek(0, os.SEEK_END)
        header.pop("__metadata__", None)
        tensors: dict[str, Any] = header
        if (
            max((entry["data_offsets"][1] for entry in tensors.values()), default=0) + 8 + length
            != size
        ):
            raise ValueError
    except FileNotFoundError as error:
        raise StudyError(
            "A weights file is missing.", where=str(path), cure="Fetch the model again."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise StudyError(
            "The weights file is damaged.", where=str(path), cure="Fetch it again."
        ) from error
    return tensors, 8 + length


def require_tensors(folder: Path, needed: set[str]) -> None:
    """Raises ``StudyError`` when the checkpoint lacks one of the ``needed`` tensors."""
    missing = sorted(needed - tensor_names(folder))
    if missing:
        raise StudyError(
            f"The checkpoint lacks the weights of the PRM's head: {', '.join(missing)}.",
            where=str(folder),
            cure="Fetch the PRM itself, not its base model; without its head it scores at random.",
        )
