"""Math-Shepherd (Mistral 7B): plain text in which each step ends with the tag " ки".

``{question} {step 1} ки\\n{step 2} ки\\n...``, no chat template, one begin-of-sequence token. At
the tag the language-model head weighs "+" against "-". Source: the model card of
peiyi9979/math-shepherd-mistral-7b-prm; official code rm_call.py:268-284, infer_fns.py:6-28.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compute_optimal.errors import StudyError
from compute_optimal.policies.prompts import Tokenizer, single_id
from compute_optimal.prms import PrmInput, stripped_steps

TAG, GOOD, BAD = "ки", "+", "-"
SPACES = " ▁"
"""Characters that are a space to a SentencePiece tokenizer, which writes "▁" for one."""


@dataclass(frozen=True, slots=True)
class MathShepherd:
    """Positions are those of the tags this format wrote, found by their place in the text.

    A tag inside the question or a step is an ordinary token of the vocabulary: it stays text and
    is not counted. The space before the tag matters: glued to a word it is another token, and so
    it is behind another space. A "▁" that ends a step is a space, and left out like all of them.
    """

    # ASSUME: as in the official code, steps get no "Step i:" prefix when the policy wrote none,
    # although the PRM was trained with them.

    name: str = "math_shepherd"
    version: int = 1

    def encode(self, tokenizer: Tokenizer, question: str, steps: Sequence[str]) -> PrmInput:
        """See ``PrmFormat.encode``."""
        tag_id = single_id(tokenizer, TAG)
        if tokenizer.bos_token_id is None:
            raise StudyError(
                "The tokenizer has no begin-of-sequence token.", where=tokenizer.name_or_path
            )
        text, tag_ends = f"{question} ", []
        for step in stripped_steps(steps):
            # The tokenizer puts a space of its own before the text.
            text = f"{text}{step}".rstrip(SPACES)
            text += f" {TAG}" if text else TAG
            tag_ends.append(len(text))
            text += "\n"
        encoded = tokenizer(
            text[:-1],
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            verbose=False,
        )
        ids = [tokenizer.bos_token_id, *encoded["input_ids"]]
        at_end = {end: index for index, (_, end) in enumerate(encoded["offset_mapping"], start=1)}
        positions = [at_end.get(end) for end in tag_ends]
        tags = tuple(index for index in positions if index is not None and ids[index] == tag_id)
        if len(tags) != len(tag_ends):
            raise StudyError(
                f"The tokenizer kept {len(tags)} of {len(tag_ends)} step tags {TAG!r} apart.",
                where=tokenizer.name_or_path,
                cure="Check that this is the tokenizer of a Math-Shepherd PRM.",
            )
        return PrmInput(tuple(ids[: tags[-1] + 1]), tags)

    def sign_ids(self, tokenizer: Tokenizer) -> tuple[int, int]:
        """See ``PrmFormat.sign_ids``."""
        return single_id(tokenizer, GOOD), single_id(tokenizer, BAD)
