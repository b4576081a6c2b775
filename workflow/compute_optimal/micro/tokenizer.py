"""Tokenizers of the scale model: byte-level, so that any text round-trips, and small.

The vocabulary holds the 256 bytes, the words of the task, the beginnings they are merged from, and
the special tokens of a family. Every digit is one token, and so is "\\n\\n".

Tokenizers of one family share all ids: a PRM's has its own tokens after those of the policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CONTEXT = 512
"""Tokens that a model of the scale model can attend to; a prompt and its solution take some 250."""

_WORDS = (
    *(" Add", " Subtract", " Increase", " Decrease", " Multiply", " Divide", " Double", " Halve"),
    *("Start", " with", " by", " it", " What", " is", " the", " result"),
    *("##", " Step", "The", "Therefore", " final", " answer", " \\", " $\\", "}.", "}$."),
    *("Please", " reason", " step", " and", " put", " your", " within", "Solve", " in", " steps"),
    *(" (", "...)", "\n\n", "boxed", "system", "user", "assistant"),
)

# How Qwen2 cuts text before merging: digits stand alone, words keep the space before them.
_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class TokenizerFamily:
    """What distinguishes one family's tokenizer. ``bos`` is prepended to plain text if set."""

    special_tokens: tuple[str, ...]
    bos: str | None
    eos: str
    pad: str
    chat_template: str | None


# Both templates accept system, user and assistant turns; neither inserts a system turn or a date.
_LLAMA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_CHATML_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

FAMILIES: dict[str, TokenizerFamily] = {
    "micro-llama": TokenizerFamily(
        special_tokens=(
            *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>"),
            *("<|end_header_id|>", "<|eot_id|>"),
        ),
        bos="<|begin_of_text|>",
        eos="<|eot_id|>",
        pad="<|end_of_text|>",
        chat_template=_LLAMA_TEMPLATE,
    ),
    "micro-qwen": TokenizerFamily(
        special_tokens=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        bos=None,
        eos="<|im_end|>",
        pad="<|endoftext|>",
        chat_template=_CHATML_TEMPLATE,
    ),
}


def build_tokenizer(
    family: str,
    *,
    special_tokens: Sequence[str] = (),
    tags: Sequence[str] = (),
    bos: str | None = None,
) -> PreTrainedTokenizerFast:
    """The tokenizer of a family, with a PRM's own tokens at the end.

    ``special_tokens`` (such as ``<extra_0>``) cannot come from a text, ``tags`` (such as ``ки``)
    can. ``bos`` names another token of the family as its begin-of-sequence token, without having it
    prepended to text.
    Raises ``KeyError`` for a family that is not in ``FAMILIES``.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

    settings = FAMILIES[family]
    vocabulary, merges = _vocabulary()
    special_tokens = [*settings.special_tokens, *special_tokens]
    arguments = {
        "bos_token": bos or settings.bos,
        "eos_token": settings.eos,
        "pad_token": settings.pad,
        "unk_token": None,
        "additional_special_tokens": special_tokens,
        "chat_template": settings.chat_template,
        "clean_up_tokenization_spaces": False,
        "model_max_length": CONTEXT,
    }
    if family == "micro-qwen":
        # transformers 5 reads the tokenizer of a Qwen2 model with this class, whatever its files
        # say, so it has to be made with it; it brings the same pieces, and NFC normalisation.
        fast = Qwen2Tokenizer(vocab=vocabulary, merges=merges, **arguments)
        fast.add_tokens(list(tags))
        return fast
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in special_tokens]
    )
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in tags])
    if settings.bos is not None:
        tokenizer.post_processor = TemplateProcessing(
            single=f"{settings.bos} $A",
            pair=f"{settings.bos} $A {settings.bos} $B",
            special_tokens=[(settings.bos, tokenizer.token_to_id(settings.bos))],
        )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **arguments)


def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """All bytes, then each word letter by letter from its front.

    A word begins with a character that stands inside no other word, or it comes after all words
    that hold its beginning; hence every word is merged to its end whatever the rest.
    """
    from tokenizers import pre_tokenizers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokens = dict.fromkeys(sorted(byte_level.alphabet()))
    merges: dict[tuple[str, str], None] = {}
    for word in _WORDS:
        characters = byte_level.pre_tokenize_str(word)[0][0]
        for end in range(1, len(characters)):
            merges[characters[:end], characters[end]] = None
            tokens[characters[: end + 1]] = None
    return {token: index for index, token in enumerate(tokens)}, list(merges)
