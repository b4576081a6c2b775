"""How well a PRM tells right steps from wrong ones, measured against the exact truth.

The score is that of ProcessBench (arXiv 2412.06559, section 3; its code/run_eval_prm_trl.py): a PRM
says that the first step with a score below 0.5 is the first error, or that there is none. On wrong
solutions it must name the first wrong step, on right ones it must name no step; F1 is the harmonic
mean of the two accuracies. The stored quantity is the logit margin, so the threshold is 0, for
every PRM: nothing is tuned. (ProcessBench gives Skywork's PRMs alone the threshold that is best on
its subset GSM8K, section 4.1.) What can go wrong is measured too, by the failures that the paper
names (section 4.2 and appendix C).

A right solution has right steps only and ends in an answer, a wrong one has a wrong step. A
solution whose steps are right but which states no answer is neither; such solutions are counted
and left out. Steps after the first error have no truth here and are left out too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from compute_optimal.analyse.statistics.estimators import FloatArray, IntArray
from compute_optimal.analyse.statistics.intervals import (
    bootstrap_weights,
    percentile_interval,
    unseen_limits,
)
from compute_optimal.errors import StudyError
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common, one_of
from compute_optimal.study.requests import AbilitySettings

THRESHOLD = 0.0
"""Margin below which a step is flagged as wrong: a score of 0.5."""

MEASURES: Mapping[str, str] = {
    "f1": "harmonic mean of error_accuracy and correct_accuracy",
    "error_accuracy": "share of wrong solutions whose first flagged step is the first wrong one",
    "correct_accuracy": "share of right solutions without a flagged step",
    "over_criticism": "share of flagged steps among right ones (up to the first error)",
    "error_neglect": "share of steps that are not flagged among the first wrong ones",
    "localisation_bias": "share of wrong solutions of which the first flagged step is another one",
    "flagged_early": "the part of localisation_bias that is before the first wrong step",
    "flagged_late": "the part of localisation_bias that is after the first wrong step",
    "unflagged": "share of wrong solutions without a flagged step",
    "length_bias": "correlation of margin and length of right steps of one policy and position",
}
"""All but ``length_bias`` (-1 to 1) are fractions. ``error_accuracy``, ``flagged_early``,
``flagged_late`` and ``unflagged`` are all that can happen to a wrong solution: they sum to 1."""

RATES = Columns(
    "What PRMs say about steps whose truth is known",
    {
        **common("task"),
        "prm": Column(TEXT, "PRM that scored the steps"),
        "policy": Column(TEXT, "Policy whose solutions were read; null for all together"),
        "measure": one_of(MEASURES),
        "value": Column(
            REAL, "Value of the measure: a fraction, or a correlation; null where nothing counts"
        ),
        **common("ci_low", "ci_high"),
        "n": Column(COUNT, "Number of solutions or steps, whichever the measure counts"),
        **common("n_problems"),
    },
)
"""Columns of the table of measures. ``value`` is null where there is nothing to count or no spread
to correlate. ``n`` of ``f1`` counts solutions."""

_COUNTS = (
    "wrong",
    "located",
    "early",
    "late",
    "unflagged",
    "right",
    "accepted",
    "right_steps",
    "flagged_right_steps",
    "passed_errors",
)
_RATIOS = {
    "error_accuracy": ("located", "wrong"),
    "correct_accuracy": ("accepted", "right"),
    "over_criticism": ("flagged_right_steps", "right_steps"),
    "error_neglect": ("passed_errors", "wrong"),
    "flagged_early": ("early", "wrong"),
    "flagged_late": ("late", "wrong"),
    "unflagged": ("unflagged", "wrong"),
}


@dataclass(frozen=True)
class Solutions:
    """The checked solutions of one policy, whichever PRM reads them.

    ``table``: ``step_truth.CHECKED``, one row a solution. Arrays [solutions, steps] are padded:
    ``correct`` with True, ``lengths`` (characters) with 0. ``problems`` [solutions] are indices of
    problems, ``n_steps`` [solutions] numbers of steps, ``finished`` [solutions] whether the last
    one states an answer.
    """

    table: pl.DataFrame
    problems: IntArray
    n_steps: IntArray
    correct: NDArray[np.bool_]
    lengths: IntArray
    finished: NDArray[np.bool_]

    @classmethod
    def of(cls, checked: pl.DataFrame, problem_ids: Sequence[str]) -> Solutions:
        """``checked``: as ``table``, perhaps of more problems than these."""
        index = pl.DataFrame({"problem_id": problem_ids}).with_row_index("problem_index")
        table = checked.join(index, on="problem_id").sort("problem_index", "sample_index")
        lengths = table["steps"].list.eval(pl.element().str.len_chars())
        return cls(
            table,
            table["problem_index"].to_numpy().astype(np.int64),
            table["steps"].list.len().to_numpy().astype(np.int64),
            _padded(table["correct"], True).astype(bool),
            _padded(lengths, 0).astype(np.int64),
            table["finished"].to_numpy().astype(bool),
        )

    def at(self, rows: IntArray) -> Solutions:
        """The solutions in ``rows``, in their order."""
        if len(rows) == len(self.problems) and (rows == np.arange(len(rows))).all():
            return self
        n_steps = self.n_steps[rows]
        width = int(n_steps.max(initial=0))
        return Solutions(
            self.table[rows],
            self.problems[rows],
            n_steps,
            self.correct[rows, :width],
            self.lengths[rows, :width],
            self.finished[rows],
        )

    @cached_property
    def first_error(self) -> IntArray:
        """Index of the first wrong step [solutions], -1 where there is none."""
        return _first(~self.correct)

    @cached_property
    def wrong(self) -> NDArray[np.bool_]:
        """Solutions with a wrong step."""
        return self.first_error >= 0

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Solutions of right steps that state an answer."""
        return ~self.wrong & self.finished

    @cached_property
    def steps_before_error(self) -> NDArray[np.bool_]:
        """Steps that are right and follow from right ones [solutions, steps].

        None of a solution that is neither right nor wrong.
        """
        exists = np.arange(self.correct.shape[1]) < self.n_steps[:, None]
        before = np.logical_and.accumulate(self.correct, axis=1) & exists
        judged: NDArray[np.bool_] = before & (self.wrong | self.right)[:, None]
        return judged

    @cached_property
    def comparable_steps(self) -> NDArray[np.bool_]:
        """Right steps whose length may be compared: the closing step has a form of its own."""
        closing = np.arange(self.correct.shape[1]) >= (self.n_steps - self.finished)[:, None]
        comparable: NDArray[np.bool_] = self.steps_before_error & ~closing
        return comparable


@dataclass(frozen=True)
class Verdicts:
    """What one PRM says about the solutions of one policy, beside the truth.

    ``margins`` [solutions, steps] are logits, padded with NaN.
    """

    solutions: Solutions
    margins: FloatArray

    @classmethod
    def of(cls, solutions: Solutions, scores: pl.DataFrame) -> Verdicts:
        """Join checked solutions with their margins.

        ``scores``: problem_id, sample_index, margins. Solutions without scores (too long for the
        PRM, or no steps) are left out. Raises ``StudyError`` where the numbers of steps differ.
        """
        key = ["problem_id", "sample_index"]
        scored = (
            solutions.table.select(key)
            .with_row_index("row")
            .join(scores, on=key)
            .filter(pl.col("margins").list.len() > 0)
            .sort("row")
        )
        of_these = solutions.at(scored["row"].to_numpy().astype(np.int64))
        differing = np.flatnonzero(scored["margins"].list.len().to_numpy() != of_these.n_steps)
        if len(differing):
            row = scored.row(int(differing[0]), named=True)
            raise StudyError(
                f"{of_these.n_steps[differing[0]]} steps, but {len(row['margins'])} scores",
                where=f"{row['problem_id']}, sample {row['sample_index']}",
                cure="the scores were made with other rules for steps: remove them and run again",
            )
        return cls(of_these, _padded(scored["margins"].cast(pl.List(pl.Float64)), np.nan))

    @cached_property
    def first_flagged(self) -> IntArray:
        """Index of the first step scored below 0.5 [solutions], -1 where there is none."""
        return _first(self.margins < THRESHOLD)

    @cached_property
    def margin_of_error(self) -> FloatArray:
        """Margin of the first wrong step [solutions], NaN where there is none."""
        of = self.solutions
        rows = np.arange(len(of.problems))
        margin: FloatArray = np.where(of.wrong, self.margins[rows, of.first_error], np.nan)
        return margin


def verdicts_of(
    checked: pl.DataFrame,
    scores: Mapping[str, Mapping[str, pl.DataFrame]],
    problem_ids: Sequence[str],
) -> dict[str, dict[str, Verdicts]]:
    """PRM -> policy -> verdicts.

    ``checked``: solutions of all policies (policy and ``step_truth.CHECKED``); ``scores``: PRM ->
    policy -> (problem_id, sample_index, margins). Raises ``StudyError`` where steps and scores
    differ.
    """
    names = dict.fromkeys(policy for of_policies in scores.values() for policy in of_policies)
    solutions = {
        policy: Solutions.of(checked.filter(policy=policy), problem_ids) for policy in names
    }
    return {
        prm: {
            policy: Verdicts.of(solutions[policy], margins)
            for policy, margins in of_policies.items()
        }
        for prm, of_policies in scores.items()
    }


def examine(
    verdicts: Mapping[str, Mapping[str, Verdicts]],
    task: str,
    n_problems: int,
    settings: AbilitySettings,
) -> pl.DataFrame:
    """``RATES`` of every PRM of one task, from what ``verdicts_of`` gives for ``n_problems``
    problems."""
    rows = [
        {"task": task, "prm": prm, **row}
        for prm, of_policies in verdicts.items()
        for row in measure(of_policies, n_problems, settings)
    ]
    return pl.DataFrame(rows, RATES)


def measure(
    verdicts: Mapping[str, Verdicts], n_problems: int, settings: AbilitySettings
) -> list[dict[str, Any]]:
    """All measures of one PRM, per policy and over all: rows of ``RATES`` without task and prm.

    ``verdicts``: policy to verdicts on the same problems. Intervals resample problems, with all
    of a problem's solutions by all policies: solutions of one problem are alike, and counting
    them as independent would make the intervals far too narrow.
    """
    weights = bootstrap_weights(n_problems, settings.replicates, settings.seed)
    counts = {policy: _counts(v, n_problems) for policy, v in verdicts.items()}
    lengths = {policy: _LengthMoments.of(v, n_problems, weights) for policy, v in verdicts.items()}
    rows: list[dict[str, Any]] = []
    for policy in [None, *verdicts]:
        chosen = [*verdicts] if policy is None else [policy]
        total = sum((counts[name] for name in chosen), np.zeros((n_problems, len(_COUNTS))))
        for row in [
            *_rates(total, weights, settings.confidence),
            _length_bias([lengths[name] for name in chosen], settings.confidence),
        ]:
            rows.append({"policy": policy, **row})
    return rows


def _padded(lists: pl.Series, fill: Any) -> NDArray[Any]:
    """Lists of unequal length as one array [lists, longest]."""
    n = lists.list.len().to_numpy()
    width = int(n.max(initial=0))
    padded = np.full((len(lists), width), fill)
    padded[np.arange(width) < n[:, None]] = lists.explode(
        empty_as_null=False, keep_nulls=False
    ).to_numpy()
    return padded


def _first(flags: NDArray[np.bool_]) -> IntArray:
    if not flags.shape[1]:
        return np.full(len(flags), -1)
    return np.where(flags.any(axis=1), flags.argmax(axis=1), -1)


def _counts(verdicts: Verdicts, n_problems: int) -> FloatArray:
    """The counts of ``_COUNTS`` by problem: [problems, counts]."""
    solutions, flagged = verdicts.solutions, verdicts.first_flagged
    error, wrong, right = solutions.first_error, solutions.wrong, solutions.right
    before = solutions.steps_before_error
    columns: dict[str, NDArray[Any]] = {
        "wrong": wrong,
        "located": wrong & (flagged == error),
        "early": wrong & (flagged >= 0) & (flagged < error),
        "late": wrong & (flagged > error),
        "unflagged": wrong & (flagged < 0),
        "right": right,
        "accepted": right & (flagged < 0),
        "right_steps": before.sum(axis=1),
        "flagged_right_steps": (before & (verdicts.margins < THRESHOLD)).sum(axis=1),
        "passed_errors": wrong & (verdicts.margin_of_error >= THRESHOLD),
    }
    return np.stack(
        [np.bincount(solutions.problems, columns[name], n_problems) for name in _COUNTS], axis=1
    )


def _ratios(sums: FloatArray) -> dict[str, FloatArray]:
    """Measures from counts [..., counts]; NaN where there is nothing to count."""
    of = {name: sums[..., i] for i, name in enumerate(_COUNTS)}

    def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
        return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)

    ratios = {name: ratio(of[part], of[whole]) for name, (part, whole) in _RATIOS.items()}
    ratios["localisation_bias"] = ratio(of["early"] + of["late"], of["wrong"])
    ratios["f1"] = harmonic_mean(ratios["error_accuracy"], ratios["correct_accuracy"])
    return ratios


def harmonic_mean(one: FloatArray, two: FloatArray) -> FloatArray:
    """2ab / (a + b), 0 where both are 0, NaN where either is."""
    total = one + two
    # A minimum keeps NaN; where the sum is 0, both are 0.
    mean: FloatArray = np.divide(
        2 * one * two, total, out=np.array(np.minimum(one, two)), where=total > 0
    )
    return mean


def _rates(counts: FloatArray, weights: FloatArray, confidence: float) -> list[dict[str, Any]]:
    """One row a measure, from counts [problems, counts] and weights [replicates, problems]."""
    totals = counts.sum(axis=0)
    values, replicates = _ratios(totals), _ratios(weights @ counts)
    names = list(values)
    wholes = {
        **{name: whole for name, (_, whole) in _RATIOS.items()},
        "localisation_bias": "wrong",
    }
    has = {name: counts[:, _COUNTS.index(whole)] > 0 for name, whole in wholes.items()}
    has["f1"] = has["error_accuracy"] | has["correct_accuracy"]
    n_problems = np.array([np.count_nonzero(has[name]) for name in names])
    low, high = percentile_interval(
        np.stack([replicates[name] for name in names], axis=1), n_problems, confidence
    )
    # Where hardly a solution differs the bootstrap knows nothing. Problems count, not solutions,
    # since the solutions of a problem are alike.
    shares = np.array([values[name] for name in names])
    least, most = unseen_limits(shares, n_problems, confidence)
    at = {name: i for i, name in enumerate(names)}
    parts = [at["error_accuracy"], at["correct_accuracy"]]
    for ends in (least, most):
        ends[at["f1"]] = harmonic_mean(*ends[parts])
    low, high = np.fmin(low, least), np.fmax(high, most)
    limits = {name: (float(low[i]), float(high[i])) for name, i in at.items()}
    sizes = {name: totals[_COUNTS.index(whole)] for name, whole in wholes.items()}
    sizes["f1"] = totals[_COUNTS.index("wrong")] + totals[_COUNTS.index("right")]
    return [
        {
            "measure": name,
            **_known(float(values[name]), *map(float, limits[name])),
            "n": int(sizes[name]),
            "n_problems": int(n_problems[i]),
        }
        for i, name in enumerate(names)
    ]


@dataclass(frozen=True)
class _LengthMoments:
    """Sums of squares within strata (one policy, one position): value and bootstrap replicates.

    Columns of ``own`` [3] and ``replicates`` [replicates, 3]: products of length and margin,
    squares of lengths, squares of margins, each about the means of its stratum. They add up over
    policies.
    """

    own: FloatArray
    replicates: FloatArray
    n_steps: int
    has_steps: NDArray[np.bool_]

    @classmethod
    def of(cls, verdicts: Verdicts, n_problems: int, weights: FloatArray) -> _LengthMoments:
        solutions = verdicts.solutions
        used = solutions.comparable_steps
        rows, positions = np.nonzero(used)
        length = solutions.lengths[used].astype(np.float64)
        margin = verdicts.margins[used]
        n_positions = used.shape[1]
        cell = solutions.problems[rows] * n_positions + positions
        shape = n_problems, n_positions
        sums = np.stack(
            [
                np.bincount(cell, values, n_problems * n_positions).reshape(shape)
                for values in (
                    np.ones_like(length),
                    length,
                    margin,
                    length * margin,
                    length**2,
                    margin**2,
                )
            ]
        )

        def within(totals: FloatArray) -> FloatArray:
            """From sums [6, ..., positions] to moments [..., 3]."""
            n, x, y, xy, xx, yy = totals
            n = np.maximum(n, 1)
            return np.stack(
                [(xy - x * y / n).sum(-1), (xx - x * x / n).sum(-1), (yy - y * y / n).sum(-1)],
                axis=-1,
            )

        has_steps = sums[0].sum(axis=1) > 0
        return cls(within(sums.sum(axis=1)), within(weights @ sums), len(length), has_steps)


def _length_bias(moments: Iterable[_LengthMoments], confidence: float) -> dict[str, Any]:
    parts = list(moments)
    n_steps = sum(part.n_steps for part in parts)
    row: dict[str, Any] = {"measure": "length_bias", "n": n_steps, "n_problems": 0}
    if not n_steps:
        return row | _known(np.nan, np.nan, np.nan)
    n_problems = np.count_nonzero(np.logical_or.reduce([part.has_steps for part in parts]))
    value = _correlation(np.sum([part.own for part in parts], axis=0))
    replicates = _correlation(np.sum([part.replicates for part in parts], axis=0))
    low, high = percentile_interval(replicates[:, None], n_problems, confidence)
    return row | _known(float(value), float(low[0]), float(high[0])) | {"n_problems": n_problems}


def _correlation(moments: FloatArray) -> FloatArray:
    """From moments [..., 3] about the means; NaN where either has no spread."""
    product, xx, yy = np.moveaxis(moments, -1, 0)
    # Differences of large sums: what is left of no spread is rounding.
    spread = (xx > 1e-9) & (yy > 1e-9)
    scale = np.sqrt(np.where(spread, xx * yy, np.nan))
    correlation: FloatArray = product / scale
    return correlation


def _known(value: float, low: float, high: float) -> dict[str, float | None]:
    if np.isnan(value):
        return {"value": None, "ci_low": None, "ci_high": None}
    return {
        "value": value,
        "ci_low": None if np.isnan(low) else low,
        "ci_high": None if np.isnan(high) else high,
    }
