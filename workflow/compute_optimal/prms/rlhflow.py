"""RLHFlow (Llama 3.1 8B, trained on Mistral or Deepseek data): a chat, one user turn a step.

The first user turn is ``question + " " + step 1``, the next ones are the steps; each is answered
by an assistant turn "+". The verdict on a step is what the language-model head predicts in place
of the "+" that answers it, so the position is the one before the sign. Source: RLHFlow's
RLHF-Reward-Modeling; official code rm_call.py:251-267, infer_fns.py:56-114.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compute_optimal.policies.prompts import Tokenizer, chat_ids, missing_token, single_id
from compute_optimal.prms import PrmInput, stripped_steps

GOOD, BAD = "+", "-"
TEMPLATE_ARGUMENTS = {"date_string": "26 Jul 2024"}
"""The date that the template of Llama 3.1 prints when it is given none."""


@dataclass(frozen=True, slots=True)
class RlhFlow:
    """Earlier turns always answer "+", never the sign that was predicted for them."""

    # ASSUME: both RLHFlow PRMs get steps split at blank lines, as in the official code, although
    # the one on Mistral data was trained on steps split at "ки\n".

    name: str = "rlhflow"
    version: int = 1

    def encode(self, tokenizer: Tokenizer, question: str, steps: Sequence[str]) -> PrmInput:
        """See ``PrmFormat.encode``."""
        turns = []
        for index, step in enumerate(stripped_steps(steps)):
            turns += [("user", step if index else f"{question} {step}"), ("assistant", GOOD)]
        ids, spans = chat_ids(tokenizer, turns, arguments=TEMPLATE_ARGUMENTS)
        signs = spans[1::2]
        if any(len(sign) != 1 or ids[sign.start] == tokenizer.unk_token_id for sign in signs):
            raise missing_token(tokenizer, GOOD)
        positions = tuple(sign.start - 1 for sign in signs)
        return PrmInput(tuple(ids[: positions[-1] + 1]), positions)

    def sign_ids(self, tokenizer: Tokenizer) -> tuple[int, int]:
        """See ``PrmFormat.sign_ids``."""
        return single_id(tokenizer, GOOD), single_id(tokenizer, BAD)
