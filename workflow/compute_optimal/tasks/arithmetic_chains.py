"""The generated task ``arithmetic-chains``: problems of which every step can be checked exactly.

A problem starts with a number and applies 2-10 operations to it, one sentence each; every value on
the way is a whole number in 0..99. A solution is one step per operation, ``37+48=85``, and a
last step that boxes the result. Policies write it in one of two styles, after the two model
families of the paper: ``numbered`` ("## Step 1: ...") and ``plain``.

Randomness comes from ``random.Random(seed).random()`` alone, the one method whose sequence Python
documents as stable across versions and platforms.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import Literal, get_args

from compute_optimal.errors import StudyError
from compute_optimal.study.spec import seed_for
from compute_optimal.tasks import Problem

Split = Literal["evaluation", "training"]
Style = Literal["numbered", "plain"]
STYLES: tuple[Style, ...] = get_args(Style)

MAX_VALUE = 99
_QUESTION = "What is the result?"
_EVALUATION_SHARE = 16
"""Of 256 problem texts, by the first byte of their hash, this many are for evaluation only."""

# Each sign has its wordings; "{}" stands for the operand, and a wording without it implies 2.
_WORDINGS: dict[str, tuple[str, ...]] = {
    "+": ("Add {}.", "Increase by {}."),
    "-": ("Subtract {}.", "Decrease by {}."),
    "*": ("Multiply by {}.", "Double it."),
    "/": ("Divide by {}.", "Halve it."),
}
_SENTENCES = tuple(
    (re.compile(re.escape(wording).replace(r"\{\}", r"(\d+)")), sign)
    for sign, wordings in _WORDINGS.items()
    for wording in wordings
)
_START = re.compile(r"Start with (\d+)\.")
# The lengths are bounded because the text is model output: int() of a long digit string is slow.
_EQUATION = re.compile(
    r"(?:## Step (\d{1,4}): )?(-?\d{1,9})([-+*/])(-?\d{1,9})=(-?\d{1,9})", re.ASCII
)
_FINAL = re.compile(
    r"(?:Therefore, the final answer is: \$\\boxed\{(-?\d{1,9})\}\$"
    r"|The final answer is \\boxed\{(-?\d{1,9})\})\.",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Chain:
    """The content of a problem: a start value, then (sign, operand) pairs."""

    start: int
    operations: tuple[tuple[str, int], ...]

    @property
    def values(self) -> tuple[int, ...]:
        """The value after each operation; the last one is the answer.

        Raises ``StudyError`` where one is not a whole number.
        """
        values = [self.start]
        for sign, operand in self.operations:
            value = _apply(values[-1], sign, operand)
            if value is None:
                raise StudyError(f"{values[-1]} / {operand} is not a whole number")
            values.append(value)
        return tuple(values[1:])


@dataclass(frozen=True, slots=True)
class StepCheck:
    """Which steps of a solution are right, and whether its last step states an answer.

    ``first_error`` is the index of the first wrong step.
    """

    correct: tuple[bool, ...]
    finished: bool

    @property
    def first_error(self) -> int | None:
        return self.correct.index(False) if False in self.correct else None


def split_of(problem_text: str) -> Split:
    """Where a problem belongs, by its text alone: what is trained on can never be evaluated."""
    first_byte = hashlib.sha256(problem_text.encode()).digest()[0]
    return "evaluation" if first_byte < _EVALUATION_SHARE else "training"


def generate(
    n_problems: int,
    seed: int,
    min_operations: int = 2,
    max_operations: int = 10,
    *,
    numbers: Sequence[int] | None = None,
    split: Split = "evaluation",
    exclude: Collection[str] = (),
    hashes: Sequence[str] | None = None,
) -> list[Problem]:
    """Distinct problems whose number of operations (their ``level``) cycles through the range.

    ``exclude`` holds problem hashes that must not occur. The problems of a smaller
    ``n_problems`` are the first ones of a larger; ``numbers`` are the ones to take instead of the
    first, counted from 0: each is the same whichever others are taken. ``hashes`` are those of the
    wanted problems, where they are known: it then takes a fraction of the time. Raises
    ``StudyError`` unless 1 <= ``min_operations`` <= ``max_operations``.
    """
    if not 1 <= min_operations <= max_operations:
        raise StudyError(
            "the number of operations must satisfy 1 <= min_operations <= max_operations",
            where=f"min_operations={min_operations}, max_operations={max_operations}",
        )
    wanted = range(n_problems) if numbers is None else numbers
    if hashes is not None:
        alone = [
            next(_candidates(seed, number, min_operations, max_operations, split))
            for number in wanted
        ]
        if [problem.problem_hash for problem in alone] == [*hashes]:
            return alone
    # A problem is another than all before it, so these are made too.
    every = islice(
        _problems(seed, min_operations, max_operations, split, exclude), max(wanted, default=-1) + 1
    )
    by_number = dict(enumerate(every))
    return [by_number[number] for number in wanted]


@lru_cache(maxsize=1024)
def parse(problem_text: str) -> Chain:
    """Read a problem text back. Raises ``StudyError`` if it is not one of this task."""
    sentences = re.findall(r"[^.?]+[.?]", problem_text)
    sentences = [sentence.strip() for sentence in sentences]
    start = _START.fullmatch(sentences[0]) if sentences else None
    operations = [_read_operation(sentence) for sentence in sentences[1:-1]]
    if start is None or sentences[-1] != _QUESTION or None in operations:
        raise StudyError("not a problem of arithmetic-chains", where=repr(problem_text[:200]))
    return Chain(int(start[1]), tuple(operation for operation in operations if operation))


def solution_steps(problem_text: str, style: Style) -> list[str]:
    """The reference solution: one step per operation and the boxed answer.

    Raises ``StudyError`` as ``parse`` does.
    """
    chain = parse(problem_text)
    steps, before = [], chain.start
    for number, ((sign, operand), after) in enumerate(
        zip(chain.operations, chain.values, strict=True), start=1
    ):
        prefix = f"## Step {number}: " if style == "numbered" else ""
        steps.append(f"{prefix}{before}{sign}{operand}={after}")
        before = after
    if style == "numbered":
        return [*steps, rf"Therefore, the final answer is: $\boxed{{{before}}}$."]
    return [*steps, rf"The final answer is \boxed{{{before}}}."]


def check_steps(problem_text: str, steps: Sequence[str]) -> StepCheck:
    """Check each step against the problem and the value that the step before it states.

    Step i is right if it applies the i-th operation of the problem to that value without a slip,
    and bears no other number than i; the last step is right if it boxes that value after all
    operations. Up to the first error the stated value is the true one, so the first wrong step is
    the earliest error of ProcessBench (arXiv 2412.06559, section 3); later steps count as right if
    they follow from what was stated. A step that cannot be read is wrong, and the value before it
    is kept. Raises ``StudyError`` as ``parse`` does.
    """
    chain = parse(problem_text)
    value, correct = chain.start, []
    for index, step in enumerate(steps):
        equation, boxed = _EQUATION.fullmatch(step), stated_answer(step)
        if equation is not None and index < len(chain.operations):
            number, left, sign, operand, right = equation.groups()
            correct.append(
                number in (None, str(index + 1))
                and int(left) == value
                and (sign, int(operand)) == chain.operations[index]
                and _apply(int(left), sign, int(operand)) == int(right)
            )
            value = int(right)
        elif boxed is not None:
            correct.append(index == len(chain.operations) and int(boxed) == value)
        else:
            correct.append(False)
    finished = bool(steps) and stated_answer(steps[-1]) is not None
    return StepCheck(tuple(correct), finished)


def stated_answer(step: str) -> str | None:
    """The number that a last step boxes, or None if the step is not one."""
    final = _FINAL.fullmatch(step)
    return (final[1] or final[2]) if final else None


def _problems(
    seed: int,
    min_operations: int,
    max_operations: int,
    split: Split,
    exclude: Collection[str],
) -> Iterator[Problem]:
    seen = set(exclude)
    for index in count():
        for problem in _candidates(seed, index, min_operations, max_operations, split):
            if problem.problem_hash not in seen:
                break
        seen.add(problem.problem_hash)
        yield problem


def _candidates(
    seed: int, index: int, min_operations: int, max_operations: int, split: Split
) -> Iterator[Problem]:
    """What the problem with this number may be: the first that no problem before it is."""
    n_operations = min_operations + index % (max_operations - min_operations + 1)
    draw = random.Random(seed_for("arithmetic-chains", seed, index))
    while True:
        text, answer = _draw_problem(draw, n_operations)
        if split_of(text) == split:
            yield Problem(f"chain-{index:05d}", text, answer, n_operations, "arithmetic")


def _draw_problem(draw: random.Random, n_operations: int) -> tuple[str, str]:
    value = _below(draw, 100)
    sentences = [f"Start with {value}."]
    for _ in range(n_operations):
        sign, operand, value = _draw_operation(draw, value)
        wordings = _WORDINGS[sign]
        wording = wordings[_below(draw, 2)] if operand == 2 or sign in "+-" else wordings[0]
        sentences.append(wording.format(operand))
    return " ".join([*sentences, _QUESTION]), str(value)


def _draw_operation(draw: random.Random, value: int) -> tuple[str, int, int]:
    """A sign, an operand and the value they lead to, which stays in 0..MAX_VALUE."""
    while True:
        sign = "+-*/"[_below(draw, 4)]
        operand = 1 + _below(draw, 99) if sign in "+-" else 2 + _below(draw, 8)
        after = _apply(value, sign, operand)
        # Zero is kept out of products and quotients, where it would end the arithmetic.
        if after is not None and 0 <= after <= MAX_VALUE and (value or sign in "+-"):
            return sign, operand, after


def _below(draw: random.Random, bound: int) -> int:
    return int(draw.random() * bound)


def _apply(value: int, sign: str, operand: int) -> int | None:
    """None where the result is not a whole number."""
    if sign == "/":
        quotient, remainder = divmod(value, operand) if operand else (0, 1)
        return None if remainder else quotient
    return {"+": value + operand, "-": value - operand, "*": value * operand}[sign]


def _read_operation(sentence: str) -> tuple[str, int] | None:
    for pattern, sign in _SENTENCES:
        if match := pattern.fullmatch(sentence):
            return sign, int(match[1]) if match.groups() else 2
    return None
