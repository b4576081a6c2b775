"""The paper's fixed rule: which method for which task, size of the policy and difficulty."""

from __future__ import annotations

from collections.abc import Mapping

from compute_optimal.study.buckets import BUCKETS


def methods_of_paper(
    task: str, n_parameters: int | None, *, is_reasoning: bool = False
) -> Mapping[str, str]:
    """Difficulty -> the method that the paper's fixed rule takes; empty for an unknown size."""
    if n_parameters is None:
        return {}
    # ASSUME: on tasks that the paper does not have, its rule for MATH-500 holds.
    known = task if task in ("MATH-500", "AIME24") else "MATH-500"
    return {
        bucket: paper_rule(known, n_parameters, bucket, is_reasoning=is_reasoning)
        for bucket in BUCKETS
    }


def paper_rule(task: str, n_parameters: float, bucket: str, *, is_reasoning: bool = False) -> str:
    """The method of the paper's fixed rule (the authors' answer in issue 4 of their repository).

    MATH-500: below 7B beam search; 7B to 32B DVTS, on hard problems beam search; above best-of-N.
    AIME24: below 14B DVTS, from there best-of-N. Reasoning models (R1-Distill): best-of-N
    (issues 1 and 3). Raises ``ValueError`` for other tasks: the rule says nothing about them.
    """
    if task not in ("MATH-500", "AIME24"):
        raise ValueError(f"the paper's rule covers MATH-500 and AIME24, not {task}")
    if is_reasoning:
        return "best_of_n"
    # ASSUME: the rule means the sizes in model names: Qwen2.5-32B (32.8e9) counts as 32.
    billions = int(n_parameters // 1e9)
    if task == "AIME24":
        return "dvts" if billions < 14 else "best_of_n"
    if billions < 7:
        return "beam_search"
    if billions > 32:
        return "best_of_n"
    return "beam_search" if bucket == "hard" else "dvts"
