"""Examples of what PRMs get wrong, chosen by rules, so that nobody's taste is in them.

Each rule gives every solution a severity, a margin or a difference of margins (logits); the most
severe solution of all policies is the example, and among equals the first by policy, problem and
sample. The paper's own examples (its Figures 12-18) were picked by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from compute_optimal.analyse.prm_ability import THRESHOLD, Verdicts
from compute_optimal.analyse.statistics.estimators import FloatArray, IntArray
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common

CASES = Columns(
    "Examples of what PRMs get wrong, one row a step",
    {
        **common("task"),
        "failure": Column(TEXT, "Kind of failure that the solution is an example of"),
        "prm": Column(TEXT, "PRM that scored the step"),
        **common("policy", "problem_id", "sample_index"),
        "problem": Column(TEXT, "Text of the problem"),
        "gold": Column(TEXT, "Right answer"),
        "position": Column(COUNT, "Number of the step, from 1"),
        "step": Column(TEXT, "Text of the step"),
        "truth": Column(TEXT, "right, wrong (the first error) or after (whatever follows it)"),
        "margin": Column(REAL, "PRM's logit margin for the step; below 0 it is flagged as wrong"),
        "mark": Column(TEXT, "Why the step is part of the example; null where it is context"),
    },
)

Severities = tuple[FloatArray, Mapping[str, IntArray]]
"""Severity of each solution, NaN where the failure is not seen, and marks: name -> step index."""


def choose(verdicts: Mapping[str, Mapping[str, Verdicts]], task: str) -> pl.DataFrame:
    """The examples of one task, a table of ``CASES``, from ``prm_ability.verdicts_of``."""
    rows: list[dict[str, Any]] = []
    for prm, of_policies in verdicts.items():
        for failure, rule in FAILURES.items():
            rows += _most_severe(failure, prm, of_policies, rule)
    rows += _disagreement(verdicts)
    return pl.DataFrame([{"task": task, **row} for row in rows], CASES)


def over_criticism(verdicts: Verdicts) -> Severities:
    """A right step scored as wrong: the lowest score that a step of a right solution gets."""
    margins = np.where(verdicts.solutions.right[:, None], verdicts.margins, np.nan)
    lowest = _argmin(margins)
    margin = _at(margins, lowest)
    return np.where(margin < THRESHOLD, -margin, np.nan), {"right, but scored low": lowest}


def error_neglect(verdicts: Verdicts) -> Severities:
    """A wrong step scored as right: the highest score of a first error, nothing being flagged."""
    neglected = verdicts.solutions.wrong & (verdicts.first_flagged < 0)
    severity = np.where(neglected, verdicts.margin_of_error, np.nan)
    return severity, {"first error, not flagged": verdicts.solutions.first_error}


def localisation_bias(verdicts: Verdicts) -> Severities:
    """Another step flagged instead: the largest gap between the first error and that step."""
    error, flagged = verdicts.solutions.first_error, verdicts.first_flagged
    misplaced = verdicts.solutions.wrong & (flagged >= 0) & (flagged != error)
    gap = verdicts.margin_of_error - _at(verdicts.margins, flagged)
    return np.where(misplaced, gap, np.nan), {"first error": error, "first flagged": flagged}


def prefers_longer(verdicts: Verdicts) -> Severities:
    """Of two right steps in a row the longer one scored higher, by the largest gap."""
    return _length_pair(verdicts, 1)


def prefers_shorter(verdicts: Verdicts) -> Severities:
    """Of two right steps in a row the shorter one scored higher, by the largest gap."""
    return _length_pair(verdicts, -1)


Rule = Callable[[Verdicts], Severities]
FAILURES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        over_criticism,
        error_neglect,
        localisation_bias,
        prefers_longer,
        prefers_shorter,
    )
}
_SAMPLE = ["problem_id", "sample_index"]
DISAGREEMENT = "disagreement"
"""Two PRMs that choose different samples of one pool: the counterpart of Figure 12."""


def _length_pair(verdicts: Verdicts, sign: int) -> Severities:
    solutions = verdicts.solutions
    n_solutions, n_pairs = len(solutions.problems), verdicts.margins.shape[1] - 1
    severity = np.full(n_solutions, np.nan)
    longer, shorter = np.zeros((2, n_solutions), dtype=np.int64)
    marks = {"longer": longer, "shorter": shorter}
    right = np.flatnonzero(solutions.right)
    if n_pairs < 1 or not len(right):
        return severity, marks
    usable = solutions.comparable_steps[right]
    higher = -np.diff(verdicts.margins[right], axis=1)
    # The step before is the longer one, or the one after.
    longer_by = -sign * np.diff(solutions.lengths[right], axis=1)
    longer_by[~(usable[:, :-1] & usable[:, 1:])] = 0
    gaps = np.full((len(right), 2 * n_pairs), -np.inf)
    np.copyto(gaps[:, :n_pairs], higher, where=(longer_by > 0) & (higher > 0))
    np.copyto(gaps[:, n_pairs:], -higher, where=(longer_by < 0) & (higher < 0))
    widest = gaps.argmax(axis=1)
    gap = _at(gaps, widest)
    has_pair = gap > 0
    rows, widest = right[has_pair], widest[has_pair]
    severity[rows] = gap[has_pair]
    first, is_before = widest % n_pairs, widest < n_pairs
    preferred, other = first + ~is_before, first + is_before
    longer[rows], shorter[rows] = (preferred, other) if sign > 0 else (other, preferred)
    return severity, marks


def _most_severe(
    failure: str, prm: str, verdicts: Mapping[str, Verdicts], rule: Rule
) -> list[dict[str, Any]]:
    best: tuple[float, str, int, dict[int, str]] | None = None
    for policy, of_policy in verdicts.items():
        # A PRM may have read none: all were too long for it, or blank.
        if not len(of_policy.solutions.problems):
            continue
        severity, marks = rule(of_policy)
        if np.isnan(severity).all():
            continue
        row = int(np.nanargmax(severity))
        if best is None or severity[row] > best[0]:
            marked = {int(steps[row]): mark for mark, steps in marks.items()}
            best = float(severity[row]), policy, row, marked
    if best is None:
        return []
    _, policy, row, marked = best
    return _steps(failure, prm, policy, verdicts[policy], row, marked)


def _disagreement(verdicts: Mapping[str, Mapping[str, Verdicts]]) -> list[dict[str, Any]]:
    """Two PRMs choose from the same samples by the last step's score: one rightly, one wrongly.

    The example is the one in which the wrong chooser ranks its choice highest above the other's.
    """
    best: tuple[float, str, str, str, int, int] | None = None
    for policy in next(iter(verdicts.values()), {}):
        last = {
            prm: _at(v[policy].margins, np.count_nonzero(~np.isnan(v[policy].margins), axis=1) - 1)
            for prm, v in verdicts.items()
        }
        # Two PRMs choose from the same samples only if they scored the same: where they did not,
        # those that scored what the one with the most samples did are compared.
        samples = {prm: v[policy].solutions.table.select(_SAMPLE) for prm, v in verdicts.items()}
        most = max(samples, key=lambda prm: samples[prm].height)
        full = [prm for prm, scored in samples.items() if scored.equals(samples[most])]
        one = verdicts[most][policy].solutions
        for rows in _groups(one.problems):
            chosen = {prm: int(rows[np.argmax(last[prm][rows])]) for prm in full}
            for good in full:
                for bad in full:
                    if one.right[chosen[good]] and one.wrong[chosen[bad]]:
                        gap = float(last[bad][chosen[bad]] - last[bad][chosen[good]])
                        if best is None or gap > best[0]:
                            best = gap, policy, good, bad, chosen[good], chosen[bad]
    if best is None:
        return []
    _, policy, good, bad, right, wrong = best
    return [
        step
        for prm, row, mark in ((good, right, "right choice"), (bad, wrong, "wrong choice"))
        for step in _steps(
            DISAGREEMENT,
            prm,
            policy,
            verdicts[prm][policy],
            row,
            {len(verdicts[prm][policy].solutions.table["steps"][row]) - 1: mark},
        )
    ]


def _steps(
    failure: str, prm: str, policy: str, verdicts: Verdicts, row: int, marks: Mapping[int, str]
) -> list[dict[str, Any]]:
    solution = verdicts.solutions.table.row(row, named=True)
    error = int(verdicts.solutions.first_error[row])

    def truth(position: int) -> str:
        if error < 0 or position < error:
            return "right"
        return "wrong" if position == error else "after"

    return [
        {
            "failure": failure,
            "prm": prm,
            "policy": policy,
            **{name: solution[name] for name in ("problem_id", "sample_index", "problem", "gold")},
            "position": position + 1,
            "step": step,
            "truth": truth(position),
            "margin": float(verdicts.margins[row, position]),
            "mark": marks.get(position),
        }
        for position, step in enumerate(solution["steps"])
    ]


def _groups(problems: IntArray) -> list[IntArray]:
    """Rows of each problem; rows are sorted by problem."""
    if not len(problems):
        return []
    return np.split(np.arange(len(problems)), np.flatnonzero(np.diff(problems)) + 1)


def _argmin(values: FloatArray) -> IntArray:
    smallest: IntArray = np.where(np.isnan(values), np.inf, values).argmin(axis=1)
    return smallest


def _at(values: FloatArray, steps: IntArray) -> FloatArray:
    values_at: FloatArray = values[np.arange(len(values)), steps]
    return values_at
