"""Qwen2.5-Math-PRM (7B and 72B): one chat, the tag ``<extra_0>`` after each step.

System prompt, question, and an assistant turn ``step 1<extra_0>step 2<extra_0>...``; a two-class
head says at each tag whether the step is good (column 1). Source: the model card of
Qwen/Qwen2.5-Math-PRM-7B; official code rm_call.py:233-250, infer_fns.py:118-140.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compute_optimal.policies.prompts import Tokenizer, chat_ids, encode_texts, special_id
from compute_optimal.prms import PrmInput, stripped_steps

TAG = "<extra_0>"
SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


@dataclass(frozen=True, slots=True)
class QwenMath:
    """A tag spelt out in the question or a step stays text."""

    name: str = "qwen_math"
    version: int = 1

    def encode(self, tokenizer: Tokenizer, question: str, steps: Sequence[str]) -> PrmInput:
        """See ``PrmFormat.encode``."""
        tag_id = special_id(tokenizer, TAG)
        turns = [("system", SYSTEM), ("user", question), ("assistant", "")]
        ids, spans = chat_ids(tokenizer, turns, never=TAG)
        ids = ids[: spans[-1].start]
        positions = []
        for step in encode_texts(tokenizer, stripped_steps(steps), never=TAG):
            ids += [*step, tag_id]
            positions.append(len(ids) - 1)
        return PrmInput(tuple(ids), tuple(positions))

    def sign_ids(self, tokenizer: Tokenizer) -> None:
        """None: the PRM has a head of its own."""
