"""PRM inputs built the way the official code builds them: one text, tokenised as a whole.

Right for benign text only, and an independent truth there. ``mark`` is a special token that no text
contains; it stands in for a sign or a newline while the text is tokenised.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compute_optimal.prms import PrmInput

SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


def official_input(
    name: str, tokenizer: Any, question: str, steps: Sequence[str], *, mark: str
) -> PrmInput:
    """The whole input of a format, with what follows the last position."""

    def plain(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def chat(*turns: tuple[str, str]) -> list[int]:
        messages = [{"role": role, "content": content} for role, content in turns]
        return list(
            tokenizer.apply_chat_template(
                messages, tokenize=True, return_dict=False, date_string="26 Jul 2024"
            )
        )

    mark_id = tokenizer.convert_tokens_to_ids(mark)
    offset = 0
    if name == "math_shepherd":
        text = f"{question} " + "".join(f"{step} ки\n" for step in steps)
        ids = [tokenizer.bos_token_id, *plain(text)]
        mark_id = stand_in = plain("ки")[-1]
    elif name == "rlhflow":
        users = [f"{question} {steps[0]}", *steps[1:]]
        ids = chat(*(turn for user in users for turn in (("user", user), ("assistant", mark))))
        stand_in = plain("+")[-1]
        offset = -1
    elif name == "skywork":
        answer = "".join(step.replace("\n", " ") + mark for step in steps)
        ids = plain(f"{tokenizer.bos_token}{question}\n") + plain(answer)
        stand_in = plain("\n")[-1]
    else:
        answer = "".join(step + mark for step in steps)
        ids = chat(("system", SYSTEM), ("user", question), ("assistant", answer))
        stand_in = mark_id
    marks = [index for index, token in enumerate(ids) if token == mark_id]
    for index in marks:
        ids[index] = stand_in
    return PrmInput(tuple(ids), tuple(index + offset for index in marks))
