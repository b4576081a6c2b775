"""Skywork-o1-Open-PRM (Qwen2.5 1.5B and 7B): steps on lines, a value head at each line's end.

Ids of ``bos + question + "\\n"``, then of each step, then the id of "\\n"; no chat template. The
sigmoid of the one-output value head at that id is the score. Source: skywork-o1-prm-inference
io_utils.py:4-21; official code rm_call.py:212-232, infer_fns.py:32-52.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compute_optimal.errors import StudyError
from compute_optimal.policies.prompts import Tokenizer, encode_texts, missing_token
from compute_optimal.prms import PrmInput, stripped_steps

TAG = "\n"


@dataclass(frozen=True, slots=True)
class Skywork:
    """Each step is tokenised alone: joined text would merge ".\\n" into one token and lose the tag.

    A step is a block between blank lines; newlines inside it become spaces, as in the official
    code. (Skywork's own code would make a step of every line.)
    """

    name: str = "skywork"
    version: int = 1

    def encode(self, tokenizer: Tokenizer, question: str, steps: Sequence[str]) -> PrmInput:
        """See ``PrmFormat.encode``."""
        if tokenizer.bos_token_id is None:
            raise StudyError(
                "The tokenizer has no begin-of-sequence token, which Skywork's input starts with.",
                where=tokenizer.name_or_path,
                cure="Use the tokenizer that came with the PRM, not that of its base model.",
            )
        lines = [step.replace("\n", " ") for step in stripped_steps(steps)]
        head, tag, *bodies = encode_texts(tokenizer, [question + TAG, TAG, *lines])
        if len(tag) != 1 or tag[0] == tokenizer.unk_token_id:
            raise missing_token(tokenizer, TAG)
        ids = [tokenizer.bos_token_id, *head]
        positions = []
        for body in bodies:
            ids += body + tag
            positions.append(len(ids) - 1)
        return PrmInput(tuple(ids), tuple(positions))

    def sign_ids(self, tokenizer: Tokenizer) -> None:
        """None: the value head gives the margin itself."""
