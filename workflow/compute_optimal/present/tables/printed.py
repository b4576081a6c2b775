"""In what a number of this study is unlike the one that the paper prints for it."""

from __future__ import annotations

from compute_optimal.analyse.published import PRM_NAMES

PRINTED_BUDGET = 256
"""The paper's N for all test-time scaling; Table 3 names N = 512 where it took more."""


def is_part(n_problems: int | None, n_problems_of_task: int | None) -> bool:
    """Whether fewer problems were run than the task has; not where either is unknown."""
    return (
        n_problems is not None
        and n_problems_of_task is not None
        and n_problems < n_problems_of_task
    )


def unlike(
    n_problems: int | None,
    n_problems_of_task: int | None,
    budget: int | None = None,
    prm_title: str | None = None,
) -> str:
    """The differences in words; empty where both are of the same problems, N and PRMs, as far as
    the paper says.

    ``n_problems`` of ``n_problems_of_task`` were run, None where unknown. ``budget`` is None for
    CoT; only an N below the paper's differs. ``prm_title`` is None where no PRM takes part.
    """
    differences = []
    if budget is not None and budget < PRINTED_BUDGET:
        differences.append(f"at N = {PRINTED_BUDGET}, not {budget:,}")
    if is_part(n_problems, n_problems_of_task):
        differences.append(f"on {n_problems_of_task:,} problems, not {n_problems:,}")
    if prm_title is not None and not any(name in prm_title for name in PRM_NAMES.values()):
        differences.append("with PRMs of its own")
    return ", ".join(differences)
