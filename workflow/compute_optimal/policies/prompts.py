"""Prompts as token ids, built once through the tokenizer's own chat template.

The template is rendered with empty slots; what stands between the slots is structure and may become
special tokens, what goes into them is content and may not. So a problem or a model's output that
spells out ``<|im_end|>`` stays text and cannot close its turn. Rendered text is tokenised as a
whole only where nothing of the kind is in it and the tokenizer joins what stands on both sides of
a turn's border, as those of Mistral do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from compute_optimal.errors import StudyError

MAX_KNOWN_TEXTS = 4096
"""Encoded texts to remember: more than the steps of all paths that a search job has at hand."""


class Tokenizer(Protocol):
    """What this study uses of a tokenizer of the transformers library (the fast kind)."""

    name_or_path: str
    chat_template: str | dict[str, str] | None
    bos_token_id: int | None
    unk_token_id: int | None

    def __hash__(self) -> int: ...
    def __len__(self) -> int: ...
    def __call__(self, text: str | list[str], **options: Any) -> Mapping[str, Any]: ...
    def convert_tokens_to_ids(self, tokens: str) -> int | None: ...
    def convert_ids_to_tokens(self, ids: int) -> str | None: ...
    def get_chat_template(self) -> str: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **options: Any) -> Any: ...


class PromptFamily(Protocol):
    """How the policies of one family are asked (an entry of the registry).

    ``system`` None sends no system message; a template may then insert one of its own, as those
    of Qwen2.5 and Llama 3 do. ``user_suffix`` is appended to the problem as it stands.
    """

    @property
    def name(self) -> str: ...
    @property
    def system(self) -> str | None: ...
    @property
    def user_suffix(self) -> str: ...
    @property
    def template_arguments(self) -> Mapping[str, str | bool]: ...


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder: local files, no code from the folder.

    Raises ``StudyError`` when the folder is missing, has no ``tokenizer.json`` or cannot be read.
    """
    if not folder.is_dir():
        raise StudyError(
            "The model folder does not exist.", where=str(folder), cure="Fetch the model first."
        )
    if not (folder / "tokenizer.json").is_file():
        raise StudyError(
            "The model folder has no tokenizer.json.",
            where=str(folder),
            cure="Fetch the whole model repository, or save its tokenizer in the fast format.",
        )
    from transformers import AutoTokenizer

    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        raise StudyError(f"The tokenizer cannot be read: {error}", where=str(folder)) from error
    return tokenizer


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], *, never: str = "") -> list[list[int]]:
    """Ids of plain texts: nothing added, and special tokens spelt out in them stay text.

    ``never`` is one more token that must not come out, whether or not the tokenizer counts it as
    special: a text that spells it is encoded in parts that are cut inside the spelling.
    """
    pieces: list[str] = []
    counts: list[int] = []
    for text in texts:
        parts = text.split(never) if never else [text]
        parts[1:] = [never[1:] + part for part in parts[1:]]
        parts[:-1] = [part + never[:1] for part in parts[:-1]]
        pieces += parts
        counts.append(len(parts))
    # A search encodes the question and the steps of a path again with every step that it scores.
    known = _known_ids(tokenizer, len(tokenizer))
    if len(known) > MAX_KNOWN_TEXTS:
        known.clear()
    if new := [piece for piece in dict.fromkeys(pieces) if piece not in known]:
        ids = tokenizer(new, add_special_tokens=False, split_special_tokens=True, verbose=False)
        known.update(zip(new, map(tuple, ids["input_ids"]), strict=True))
    encoded = iter([known[piece] for piece in pieces])
    return [[token for part in islice(encoded, count) for token in part] for count in counts]


@lru_cache(maxsize=8)
def _known_ids(
    tokenizer: Tokenizer,  # noqa: ARG001
    n_tokens: int,  # noqa: ARG001 a tokenizer that was given more tokens encodes anew
) -> dict[str, tuple[int, ...]]:
    """Ids of the texts that a tokenizer has encoded last."""
    return {}


def single_id(tokenizer: Tokenizer, text: str) -> int:
    """The id of a text that must be one token, alone at the start of a text.

    Raises ``StudyError`` naming the model and the token.
    """
    (ids,) = encode_texts(tokenizer, [text])
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise missing_token(tokenizer, text)
    return ids[0]


def special_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a special token by its name. Raises ``StudyError`` naming model and token."""
    token_id = tokenizer.convert_tokens_to_ids(token)
    if token_id is None or tokenizer.convert_ids_to_tokens(token_id) != token:
        raise missing_token(tokenizer, token)
    return token_id


def missing_token(tokenizer: Tokenizer, token: str) -> StudyError:
    """The error for a tokenizer that cannot write a token of a format as one id."""
    return StudyError(
        f"The tokenizer has no single token for {token!r}.",
        where=tokenizer.name_or_path,
        cure="Check that the registry entry names the right format for this model.",
    )


def chat_ids(
    tokenizer: Tokenizer,
    turns: Sequence[tuple[str, str]],
    *,
    generation_prompt: bool = False,
    arguments: Mapping[str, str | bool] | None = None,
    never: str = "",
) -> tuple[list[int], list[range]]:
    """Ids of a conversation of (role, content) turns, and where each content lies in them.

    Contents are stripped, as the template of Llama 3 does and as leaves those of Qwen2.5
    unchanged for the tasks of this study. ``arguments`` go to the template (a frozen
    ``date_string``, for example), ``never`` to ``encode_texts``.

    Raises ``StudyError`` when the tokenizer has no chat template, when the template refuses the
    conversation, when it does not show every content exactly once and in order, or begins with two
    begin-of-sequence tokens.
    """
    structure = _structure_of(tokenizer, turns, generation_prompt, arguments or {})
    contents = encode_texts(tokenizer, [content.strip() for _, content in turns], never=never)
    ids: list[int] = []
    spans: list[range] = []
    for before, content in zip(structure, contents, strict=False):
        ids += before
        spans.append(range(len(ids), len(ids) + len(content)))
        ids += content
    ids += structure[-1]
    _refuse_two_beginnings(tokenizer, ids)
    return ids, spans


def _refuse_two_beginnings(tokenizer: Tokenizer, ids: Sequence[int]) -> None:
    bos = tokenizer.bos_token_id
    if bos is not None and list(ids[:2]) == [bos, bos]:
        raise StudyError(
            "The chat template yields two begin-of-sequence tokens.", where=tokenizer.name_or_path
        )


def _structure_of(
    tokenizer: Tokenizer,
    turns: Sequence[tuple[str, str]],
    generation_prompt: bool,
    arguments: Mapping[str, str | bool],
) -> list[list[int]]:
    roles = tuple(role for role, _ in turns)
    template = _template(tokenizer)
    return _structure(tokenizer, template, roles, generation_prompt, tuple(arguments.items()))


@lru_cache(maxsize=256)
def _structure(
    tokenizer: Tokenizer,
    template: str,  # noqa: ARG001 a tokenizer given another template renders anew
    roles: tuple[str, ...],
    generation_prompt: bool,
    arguments: tuple[tuple[str, str | bool], ...],
) -> list[list[int]]:
    """Ids before, between and after the contents of turns with these roles."""
    # Private-use characters: no template has them, and contents are not rendered.
    slots = [f"\ue000{index}\ue001" for index in range(len(roles))]
    turns = list(zip(roles, slots, strict=True))
    text = _rendered(tokenizer, turns, generation_prompt, dict(arguments))
    if re.findall("\ue000\\d+\ue001", text) != slots:
        raise StudyError(
            "The chat template does not show each turn exactly once and in order.",
            where=tokenizer.name_or_path,
            cure="Check the chat template that came with the model.",
        )
    parts = re.split("\ue000\\d+\ue001", text)
    ids: list[list[int]] = tokenizer(parts, add_special_tokens=False)["input_ids"]
    return ids


def _rendered(
    tokenizer: Tokenizer,
    turns: Sequence[tuple[str, str]],
    generation_prompt: bool,
    arguments: Mapping[str, str | bool],
) -> str:
    """A conversation as the template prints it. Raises ``StudyError`` where it refuses it."""
    from jinja2 import TemplateError

    messages = [{"role": role, "content": content} for role, content in turns]
    try:
        text: str = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=generation_prompt, **arguments
        )
    except TemplateError as error:
        raise StudyError(
            f"The chat template refuses the conversation: {error}", where=tokenizer.name_or_path
        ) from error
    return text


def prompt_ids(tokenizer: Tokenizer, family: PromptFamily, problem: str) -> tuple[int, ...]:
    """Prompt of one problem, up to and with the header of the policy's turn.

    Raises ``StudyError`` when the tokenizer has no chat template (naming the model folder), or when
    the template would print today's date because the family does not freeze it.
    """
    arguments = dict(family.template_arguments)
    if "strftime_now" in _template(tokenizer) and "date_string" not in arguments:
        raise StudyError(
            "The chat template prints today's date, so prompts would change from day to day.",
            where=f"prompt family {family.name}, {tokenizer.name_or_path}",
            cure='Give the family a fixed date: template_arguments: {date_string: "26 Jul 2024"}.',
        )
    turns = [("user", (problem + family.user_suffix).strip())]
    if family.system is not None:
        turns.insert(0, ("system", family.system.strip()))
    # What the model was taught: other ids only where content spells a special token, or where the
    # tokenizer joins text across the border of a turn.
    contents = [content for _, content in turns]
    as_text = encode_texts(tokenizer, contents)
    if as_text == tokenizer(contents, add_special_tokens=False)["input_ids"]:
        _structure_of(tokenizer, turns, True, arguments)  # refuses what shows turns otherwise
        text = _rendered(tokenizer, turns, True, arguments)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        _refuse_two_beginnings(tokenizer, ids)
    else:
        ids, _ = chat_ids(tokenizer, turns, generation_prompt=True, arguments=arguments)
    return tuple(ids)


def _template(tokenizer: Tokenizer) -> str:
    if not tokenizer.chat_template:
        raise StudyError(
            "The tokenizer has no chat template.",
            where=tokenizer.name_or_path,
            cure="Use an instruction-tuned model, or add chat_template.jinja to the model folder.",
        )
    return tokenizer.get_chat_template()
