"""Small tokenizers of the two kinds that the models of the paper use, trained on the spot."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    f"Step {i}: {i} + {3 * i} = {4 * i} ки\nSo {4 * i} - {i} = {3 * i} ки\n\nIt is \\boxed{{{i}}}"
    for i in range(300)
]
CHAT = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_byte_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, as those of Llama 3 and Qwen2.5 are."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|bos|>", "<|im_start|>", "<|im_end|>", "<extra_0>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=special),
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token="<|im_end|>"
    )
    wrapped.chat_template = CHAT
    wrapped.save_pretrained(folder)
    return wrapped


def save_piece_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """A BPE tokenizer over words with a leading mark and byte fallback, as Mistral's is."""
    special = ["<unk>", "<s>", "</s>"]
    marks = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trained = Tokenizer(models.BPE())
    trained.normalizer = marks
    # No piece but the tag's is learnt across a newline, which is left to byte fallback.
    lines = [line for text in CORPUS for line in text.splitlines()]
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trained.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=200, special_tokens=special))
    state = json.loads(trained.to_str())["model"]
    # As in Mistral's, two spaces are a piece that is joined before any other.
    state["vocab"]["▁▁"] = len(state["vocab"])
    state["merges"].insert(0, ["▁", "▁"])
    for byte in range(256):
        state["vocab"][f"<0x{byte:02X}>"] = len(state["vocab"])
    tokenizer = Tokenizer(
        models.BPE(
            state["vocab"],
            [tuple(merge) for merge in state["merges"]],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    tokenizer.normalizer = marks
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens(special)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    wrapped.save_pretrained(folder)
    return wrapped


def save_stand_in(name: str, folder: Path) -> None:
    """A tiny tokenizer in the place of one of ``published_tokenizers``."""
    folder.mkdir(parents=True)
    if name == "mistral":
        save_piece_tokenizer(folder)
    else:
        save_byte_tokenizer(folder)
