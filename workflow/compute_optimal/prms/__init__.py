"""PRM input formats: from a question and its steps to token ids and the positions to read.

One module per format, each pure: no engine, no model. A format knows which ids a PRM was trained
on and at which of them it gives its verdict on each step; an engine knows how to run the PRM.

Every input ends at its last position. PRMs are causal, so what would follow (a closing tag of the
turn, the sign of the last step) cannot change a score; and for the same reason the input of the
first k steps is a prefix of the input of all steps, which is what a prefix cache needs.

Line numbers of the official code, here and elsewhere, are those of its commit 0ee2578.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from compute_optimal.errors import StudyError
from compute_optimal.policies.prompts import Tokenizer


@dataclass(frozen=True, slots=True)
class PrmInput:
    """Input of one forward pass. ``positions[i]`` is the index whose output scores step i."""

    token_ids: tuple[int, ...]
    positions: tuple[int, ...]


class PrmFormat(Protocol):
    """How one family of PRMs wants a question and its steps.

    ``version`` is raised whenever ``encode`` changes what it returns for some input; it is part of
    the identity of stored scores.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...

    def encode(self, tokenizer: Tokenizer, question: str, steps: Sequence[str]) -> PrmInput:
        """Encode; exactly one position a step, ascending, the last one at the end of the input.

        Steps are stripped. Raises ``StudyError`` when there are no steps, a step is blank, or the
        tokenizer lacks a token of the format.
        """

    def sign_ids(self, tokenizer: Tokenizer) -> tuple[int, int] | None:
        """Ids of (good, bad) for a PRM that answers with its language-model head, else None.

        Raises ``StudyError`` when the tokenizer has no single token for one of them.
        """


PRM_FORMATS = ("math_shepherd", "rlhflow", "skywork", "qwen_math")


def prm_format(name: str) -> PrmFormat:
    """The format called ``name``, one of ``PRM_FORMATS``; ``StudyError`` for any other."""
    from compute_optimal.prms import math_shepherd, qwen_math, rlhflow, skywork

    formats: tuple[PrmFormat, ...] = (
        math_shepherd.MathShepherd(),
        rlhflow.RlhFlow(),
        skywork.Skywork(),
        qwen_math.QwenMath(),
    )
    for candidate in formats:
        if candidate.name == name:
            return candidate
    raise StudyError(
        f"There is no PRM format called {name!r}.",
        where="format",
        cure=f"Use one of: {', '.join(PRM_FORMATS)}.",
    )


def stripped_steps(steps: Sequence[str]) -> list[str]:
    """The steps without outer whitespace. Raises ``StudyError`` when one, or all, are missing."""
    if not steps:
        raise StudyError("There are no steps to score.", cure="Do not score an empty solution.")
    stripped = [step.strip() for step in steps]
    if not all(stripped):
        raise StudyError(
            f"Step {stripped.index('') + 1} of {len(steps)} is blank.",
            cure="Split solutions with policies.steps.split_steps, which drops blank steps.",
        )
    return stripped
