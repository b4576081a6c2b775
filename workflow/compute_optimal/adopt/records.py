"""What all readers of rollouts share: kinds of findings, and how a record finds its problem."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from compute_optimal.tasks import Problem

Reason = Literal[
    "unsafe",  # a link, a path that leads out, too large
    "unrecognised",  # a file that is not part of the layout
    "unknown name",  # a task, policy or PRM that the caller has no name for
    "truncated",
    "malformed",
    "unmatched",  # the question is none of the problems
    "duplicate",
    "step scores",  # adopted without scores
    "answer count",  # adopted with fewer answers than the folder name states
    "tokens unknown",
]


class RecordError(Exception):
    """A record that cannot be adopted; the detail never repeats what the file says."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail


def problem_matcher(problems: Sequence[Problem]) -> Callable[[str], Problem]:
    """Question -> problem; raises ``RecordError`` where none or several would do."""
    exact: dict[str, list[Problem]] = {}
    normalised: dict[str, list[Problem]] = {}
    for problem in problems:
        exact.setdefault(problem.problem, []).append(problem)
        normalised.setdefault(" ".join(problem.problem.split()), []).append(problem)

    def find(question: str) -> Problem:
        found = exact.get(question) or normalised.get(" ".join(question.split()), [])
        if len(found) != 1:
            ids = ", ".join(problem.problem_id for problem in found)
            raise RecordError(
                "unmatched", f"its question is that of {ids}" if ids else "its question is unknown"
            )
        return found[0]

    return find


def logit(probability: float) -> float | None:
    """Log odds; None where they are infinite."""
    if not 0 < probability < 1:
        return None
    return math.log(probability) - math.log1p(-probability)
