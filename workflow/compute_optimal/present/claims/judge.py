"""From a claim and its query's rows to a verdict that respects the interval.

A query (``workflow/sql/claims``) gives one row a case. Common columns: ``case_name``, ``value`` and
``reference``. On printed numbers both are numbers. On measured ones both are lists of accuracies
(fractions) of the same problems, and ``task`` and ``problem_ids`` say which; where the value is
compute-optimal TTS, held out, ``in_sample`` is the mean accuracy (a fraction) as the paper reports
it, and ``widening`` how many times as far as its resampled means it spreads, for these keep what
was chosen; where both were, ``choice_deviations`` (fractions) are how their difference moves in
resamplings that choose again, the same of all rows of a task. Where the lists hold no accuracies,
``value_unit`` names what they hold, and the rule is relative. A query for a claim about models in
general has ``policy`` or ``prm``, whichever it is about; one for a rule of trend has ``x``,
``x_unit``, and ``trend``, which groups the cases that share a line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from compute_optimal.analyse.differences import (
    MOST_POINTS,
    ROUNDING,
    FloatArray,
    Resampling,
    are_equal,
    differences,
    limits,
    reaches,
)
from compute_optimal.analyse.generality import Uncertain, holm, in_general
from compute_optimal.analyse.quantities import mean_percent
from compute_optimal.analyse.statements import SQL_FOLDER
from compute_optimal.errors import StudyError
from compute_optimal.present.query import Row, opened, run_query
from compute_optimal.present.style import counted, p_text
from compute_optimal.study.config import Claim
from compute_optimal.study.config.reading import suggestion

Verdict = Literal["reproduced", "not reproduced", "untested", "consistent", "inconsistent"]

MINIMUM_PROBLEMS = 10
"""ASSUME: a case with fewer problems says nothing; its bootstrap interval is far too short."""

_UNDEFINED = "a relative difference from 0 is undefined"
_PATTERNS = dict.fromkeys(("ability", "difficulty", "policies", "prms", "tasks"), ".*")


@dataclass(frozen=True, slots=True)
class Case:
    """One comparison. ``holds`` is None where the interval does not decide.

    ``value`` and ``reference`` are printed numbers or means: of accuracies in %, of others in the
    unit that ``name`` ends with. ``difference`` is what the rule looks at, in points or, of a
    relative rule, in % of the reference, with its limits (None for printed numbers). ``in_sample``:
    what the value is, in %, if strategies are chosen on the problems that they are scored on.
    """

    name: str
    value: float
    reference: float
    difference: float
    low: float | None
    high: float | None
    holds: bool | None
    n_problems: int | None = None
    in_sample: float | None = None


class Reached:
    """A verdict, and why."""

    __slots__ = ()
    verdict: Verdict
    reason: str

    @property
    def is_undecided(self) -> bool:
        """Not reproduced for want of data, and not because the data say otherwise."""
        return self.reason.startswith("undecided")


@dataclass(frozen=True, slots=True)
class Strict(Reached):
    """The stricter verdict: models resampled with the problems where the claim is about models in
    general, and corrected for the number of claims on its scale (Holm).

    ``low`` and ``high``: the interval of the judged number with models resampled, not corrected;
    None where each case is judged. ``p``: two-sided, of the side that the number lies on;
    ``corrected`` by Holm. ``models``: what is resampled, in words; empty for problems alone.
    ``holds``: whether that side is the claim's. All None where one model says nothing in general.
    """

    verdict: Verdict
    reason: str
    low: float | None = None
    high: float | None = None
    p: float | None = None
    corrected: float | None = None
    models: str = ""
    holds: bool | None = None


@dataclass(frozen=True, slots=True)
class Judgement(Reached):
    """A claim with its verdict. ``estimate``: what was judged, in ``unit``, with its limits; None
    where each case is judged, of printed numbers, and of untested claims.

    ``in_sample``: the same from in-sample values, if the claim is on compute-optimal TTS.
    ``confidence`` (0 to 1) is that of all limits. ``strict``: the stricter verdict of a tested
    claim on measured numbers; else None.
    """

    claim: Claim
    verdict: Verdict
    reason: str
    cases: tuple[Case, ...] = ()
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    in_sample: float | None = None
    confidence: float | None = None
    strict: Strict | None = None


def judge_claims(claims: Sequence[Claim], database: Path) -> tuple[Judgement, ...]:
    """Every claim judged on the study's database, in their order, under its own aggregation.

    Raises ``StudyError`` for a claim whose query does not exist, before any is judged, lacks or has
    other parameters, or does not fit the database, and for a database that is missing.
    """
    known = {path.stem: path for path in (SQL_FOLDER / "claims").glob("*.sql")}
    for claim in claims:
        if claim.query not in known:
            raise StudyError(
                f"there is no query called {claim.query}",
                where=f"config/claims.yaml, key claims.{claim.name}.query",
                cure=suggestion(claim.query, known),
            )
    with opened(database):
        return _judged_together(claims, database, known)


def _judged_together(
    claims: Sequence[Claim], database: Path, queries: Mapping[str, Path]
) -> tuple[Judgement, ...]:
    (settings,) = run_query("settings", database)
    resampling = Resampling(*(settings[name] for name in Resampling._fields))
    aggregation = {name: settings[name] for name in ("scoring", "voting")}
    of_tasks = {row["task"]: row for row in run_query("problems_of_tasks", database)}
    judgements = []
    for claim in claims:
        of_claim = {**_PATTERNS, **aggregation, **claim.parameters, "scale": claim.scale}
        _check_parameters(claim, queries[claim.query].read_text(encoding="utf-8"), of_claim)
        found = run_query(f"claims/{claim.query}", database, of_claim)
        rows = [{**row, **of_tasks.get(row.get("task", ""), {})} for row in found]
        judgements.append(
            replace(_judged(claim, rows, resampling), confidence=resampling.confidence)
        )
    return _corrected(judgements)


def _corrected(judgements: Sequence[Judgement]) -> tuple[Judgement, ...]:
    """With Holm's correction over the tested claims of each scale."""
    corrected = [*judgements]
    for scale in {judgement.claim.scale for judgement in judgements}:
        of_scale = [
            (i, one.strict)
            for i, one in enumerate(judgements)
            if one.claim.scale == scale and one.strict and one.strict.p is not None
        ]
        corrected_p = holm([strict.p or 0.0 for _, strict in of_scale])
        for (i, strict), p in zip(of_scale, corrected_p.tolist(), strict=True):
            level = 1 - (judgements[i].confidence or 0.95)
            is_settled = p < level
            verdict: Verdict = "reproduced" if strict.holds and is_settled else "not reproduced"
            means = "on its side" if strict.holds else "contradicted"
            about = f", {strict.models} resampled too" if strict.models else ""
            reason = (
                f"{means if is_settled else 'undecided'}: p = {p_text(p, level)}, corrected for "
                f"{counted(len(of_scale), 'claim')}{about}"
            )
            decided = replace(strict, verdict=verdict, reason=reason, corrected=p)
            corrected[i] = replace(judgements[i], strict=decided)
    return tuple(corrected)


def _check_parameters(claim: Claim, query: str, given: Mapping[str, str | float]) -> None:
    """Raise ``StudyError`` for a parameter of the query (its text) that is not given, and for one
    of the claim that the query does not take."""
    taken = set(re.findall(r"\$([a-z_]+)", query))
    problems = {
        "needs a value": taken - given.keys(),
        f"is no parameter of the query {claim.query}": claim.parameters.keys() - taken,
    }
    for problem, names in problems.items():
        if names:
            raise StudyError(
                f"{min(names)} {problem}",
                where=f"config/claims.yaml, key claims.{claim.name}.parameters",
                cure=f"the query takes {', '.join(sorted(taken)) or 'none'}",
            )


def _judged(claim: Claim, rows: Sequence[Row], resampling: Resampling) -> Judgement:
    if claim.scale == "printed":
        return _judged_on_print(claim, rows)
    tested = [row for row in rows if len(row["problem_ids"]) >= MINIMUM_PROBLEMS]
    if claim.rule.across == "first" and tested and tested[0] is not rows[0]:
        # Cases that are shown with the one that decides cannot decide in its place.
        tested = []
    if len(tested) < claim.rule.least_cases:
        lacking = "nothing of it has been run"
        if rows:
            of_least = f"{len(tested)} of {claim.rule.least_cases} cases"
            enough = f"{'have' if len(tested) > 1 else 'has'} {MINIMUM_PROBLEMS} problems or more"
            lacking = f"{of_least if tested else 'no case'} {enough}"
        return Judgement(claim, "untested", f"{lacking}; needs {_needed(claim)}")
    if claim.rule.expect in ("rises", "falls"):
        return _judged_by_trend(claim, tested, resampling)
    return _judged_by_difference(claim, tested, resampling)


def _needed(claim: Claim) -> str:
    """What a study must run for the claim and, of the paper's models, the command that prices
    it."""
    needs = claim.needs or "results"
    if not claim.items:
        return needs
    items = ", ".join(claim.items)
    return f'{needs}; what it would cost: make plan CONFIG=config/paper.yaml ITEMS="{items}"'


def _judged_on_print(claim: Claim, rows: Sequence[Row]) -> Judgement:
    rule = claim.rule
    cases = []
    for row in rows:
        value, reference = float(row["value"]), float(row["reference"])
        difference = value - reference
        if rule.measure == "relative":
            if reference == 0:
                return Judgement(claim, "untested", f"{row['case_name']}: {_UNDEFINED}")
            difference *= 100 / reference
        holds = {
            "above": difference > rule.margin + ROUNDING,
            "at_least": difference >= rule.margin - ROUNDING,
            "equal": abs(difference) <= rule.margin + ROUNDING,
        }[rule.expect]
        cases.append(Case(row["case_name"], value, reference, difference, None, None, holds))
    if not cases:
        return Judgement(claim, "untested", "the printed numbers it needs are not in the database")
    failing = sum(not case.holds for case in cases)
    if failing:
        return Judgement(claim, "inconsistent", f"fails in {failing} of {len(cases)}", tuple(cases))
    return Judgement(claim, "consistent", _in_all(len(cases)), tuple(cases))


def _in_all(n_cases: int) -> str:
    return f"holds in all {n_cases}" if n_cases > 1 else "holds in the one case"


def _judged_by_difference(claim: Claim, rows: Sequence[Row], resampling: Resampling) -> Judgement:
    rule = claim.rule
    relative = rule.measure == "relative"
    estimates, replicates = differences(rows, resampling, relative=relative)
    cases = _measured_cases(claim, rows, estimates, replicates, resampling)
    unit = "%" if rule.measure == "relative" else "points"
    if not np.isfinite(estimates).all():
        return Judgement(claim, "untested", _UNDEFINED, cases)
    if rule.across == "each" and len(cases) > 1:
        verdict, reason = _verdict_on_each(cases)
        strict = _strict_on_each(claim, rows, estimates, replicates)
        return Judgement(claim, verdict, reason, cases, unit=unit, strict=strict)
    weights = np.full(len(cases), 1 / len(cases))
    if rule.across == "first":
        rows, weights = rows[:1], np.eye(len(cases))[0]
    return _by_interval(claim, cases, rows, weights, estimates, replicates, unit, resampling)


def _judged_by_trend(claim: Claim, rows: Sequence[Row], resampling: Resampling) -> Judgement:
    """Least-squares slope over x, with a level of its own for each trend."""
    x = np.array([row["x"] for row in rows], dtype=np.float64)
    trends = np.array([str(row["trend"]) for row in rows])
    for trend in set(trends):
        x[trends == trend] -= x[trends == trend].mean()
    spread = float((x**2).sum())
    relative = claim.rule.measure == "relative"
    estimates, replicates = differences(rows, resampling, relative=relative)
    cases = _measured_cases(claim, rows, estimates, replicates, resampling)
    if spread < ROUNDING:
        needs = _needed(claim) if claim.needs else "more models"
        return Judgement(claim, "untested", f"nothing to compare; needs {needs}", cases)
    if not np.isfinite(estimates).all():
        return Judgement(claim, "untested", _UNDEFINED, cases)
    # Deviations of x sum to 0 within a trend, so levels drop out.
    unit = f"{'%' if relative else 'points'} per {rows[0]['x_unit']}"
    return _by_interval(
        claim, cases, rows, x / spread, estimates, replicates, unit, resampling, x=x
    )


def _measured_cases(
    claim: Claim,
    rows: Sequence[Row],
    estimates: FloatArray,
    replicates: FloatArray,
    resampling: Resampling,
) -> tuple[Case, ...]:
    """The cases with their own intervals; a case alone says nothing about a trend."""
    sizes = [len(row["problem_ids"]) for row in rows]
    low, high = limits(
        estimates, replicates, sizes, resampling.confidence, _most(claim), _reaches(claim, rows)
    )
    is_trend = claim.rule.expect in ("rises", "falls")
    return tuple(
        Case(
            name=", ".join(filter(None, (row["case_name"], row.get("value_unit")))),
            value=_mean(row, "value"),
            reference=_mean(row, "reference"),
            difference=float(estimates[i]),
            low=float(low[i]),
            high=float(high[i]),
            holds=None if is_trend else _holds(claim, float(low[i]), float(high[i])),
            n_problems=sizes[i],
            in_sample=None if row.get("in_sample") is None else 100 * row["in_sample"],
        )
        for i, row in enumerate(rows)
    )


def _mean(row: Row, side: str) -> float:
    values: list[float] = row[side]
    return float(np.mean(values)) if row.get("value_unit") else mean_percent(values)


def _n_problems(
    rows: Sequence[Row], replicates: FloatArray, weights: FloatArray, reach: float
) -> int:
    """As many problems as the sum of cases with these ``weights`` [cases] rests on.

    ``replicates``: [replicates, cases]; ``reach``: of the sum. Of one task these are its problems.
    Of several, the part of a small one is known by its own few, however many the others have: the
    spread of the sum has as many degrees of freedom as Satterthwaite (1946) gives it, and where
    nothing spreads, the task whose problems count most may hide as many that were not seen.
    """
    names: dict[str, set[str]] = {}
    for row in rows:
        names.setdefault(row["task"], set()).update(row["problem_ids"])
    sizes = np.array([len(of_task) for of_task in names.values()])
    in_task = np.array([[row["task"] == task for row in rows] for task in names])
    parts = replicates[np.isfinite(replicates).all(axis=1)] @ (in_task * weights).T
    if len(parts) < 2 or are_equal(parts.sum(axis=1), reach):
        shares = in_task @ np.abs(weights)
        return int((sizes * shares.sum() / np.maximum(shares, ROUNDING)).min())
    variances = parts.var(axis=0, ddof=1)
    degrees = variances.sum() ** 2 / (variances**2 / np.maximum(sizes - 1, 1)).sum()
    return int(degrees + ROUNDING) + 1


def _holds(claim: Claim, low: float, high: float) -> bool | None:
    """Whether an interval lies wholly on the claim's side (True) or wholly on the other (False);
    None where it does neither. An end that is the margin, up to rounding, is on the claim's side
    where the rule says at least, or equal, and else on none."""
    margin = claim.rule.margin
    if claim.rule.expect == "equal":
        if -margin - ROUNDING <= low and high <= margin + ROUNDING:
            return True
        return False if low > margin + ROUNDING or high < -margin - ROUNDING else None
    if claim.rule.expect == "falls":
        low, high = -high, -low
    if low > margin + ROUNDING or (claim.rule.expect == "at_least" and low >= margin - ROUNDING):
        return True
    return False if high < margin - ROUNDING else None


def _verdict_on_each(cases: Sequence[Case]) -> tuple[Verdict, str]:
    against = sum(case.holds is False for case in cases)
    held = sum(case.holds is True for case in cases)
    if held == len(cases):
        return "reproduced", _in_all(held)
    if against:
        return "not reproduced", f"contradicted in {against} of {len(cases)}"
    return "not reproduced", f"undecided in {len(cases) - held} of {len(cases)}"


def _most(claim: Claim) -> float:
    """What no difference of the claim exceeds, in its unit."""
    return np.inf if claim.rule.measure == "relative" else MOST_POINTS


def _reaches(claim: Claim, rows: Sequence[Row]) -> FloatArray:
    """How far each case's difference moves with all problems [cases], in the claim's unit."""
    return reaches(rows, relative=claim.rule.measure == "relative")


def _by_interval(
    claim: Claim,
    cases: tuple[Case, ...],
    rows: Sequence[Row],
    weights: FloatArray,
    estimates: FloatArray,
    replicates: FloatArray,
    unit: str,
    resampling: Resampling,
    x: FloatArray | None = None,
) -> Judgement:
    """The verdict on one number, the sum of the cases' differences times ``weights`` [cases].

    ``estimates``: [cases]; ``replicates``: [replicates, cases]. ``rows`` are those that decide.
    """
    estimate = estimates @ weights
    decisive = weights != 0 if claim.rule.across == "first" else np.ones(len(weights), dtype=bool)
    reach = float(_reaches(claim, rows) @ np.abs(weights[decisive]))
    n_problems = _n_problems(rows, replicates[:, decisive], weights[decisive], reach)
    ends = limits(
        estimate[None], (replicates @ weights)[:, None], [n_problems],
        resampling.confidence, _most(claim) if x is None else np.inf, reach,
    )  # fmt: skip
    low, high = (float(end[0]) for end in ends)
    optimistic = [
        _in_sample_difference(case, relative=claim.rule.measure == "relative") for case in cases
    ]
    in_sample = None if None in optimistic else float(np.array(optimistic) @ weights)
    holds = _holds(claim, low, high)
    verdict: Verdict = "reproduced" if holds else "not reproduced"
    sign = "±" if claim.rule.expect == "equal" else ""
    reason = {
        True: "the interval is on its side",
        False: "contradicted: the interval is on the other side",
        None: f"undecided: the interval holds {sign}{claim.rule.margin:g}",
    }[holds]
    strict = _strict(
        claim, rows, estimates[decisive], replicates[:, decisive],
        None if x is None else x[decisive], n_problems, resampling,
    )  # fmt: skip
    return Judgement(
        claim, verdict, reason, cases, float(estimate), low, high, unit, in_sample, strict=strict
    )


_KINDS: Mapping[str, str] = {"policies": "policy", "prms": "prm"}
"""Column of a case's model of each kind that a claim may be about in general."""


def _strict(
    claim: Claim,
    rows: Sequence[Row],
    estimates: FloatArray,
    replicates: FloatArray,
    x: FloatArray | None,
    n_problems: int,
    resampling: Resampling,
) -> Strict:
    """Of one number, not yet corrected. ``rows``, ``estimates`` [cases], ``replicates``
    [replicates, cases] and, of a trend, ``x`` [cases]: of its cases. ``n_problems``: that its
    spread over problems rests on."""
    factors: dict[str, list[str]] = {}
    for kind in claim.rule.general:
        models = [str(row.get(_KINDS[kind]) or "") for row in rows]
        if len({*models}) < 2:
            one, others = {"policies": ("policy", "policies"), "prms": ("PRM", "PRMs")}[kind]
            reason = f"one {one} says nothing about {others} in general"
            return Strict("untested", reason)
        factors[kind] = models
    uncertain = in_general(
        estimates, replicates, n_problems, factors, x,
        [str(row.get("trend")) for row in rows], resampling.seed, _reaches(claim, rows),
    )  # fmt: skip
    p, holds = _p_value(claim, uncertain)
    low, high = uncertain.limits(resampling.confidence)
    named = {"policies": "policies", "prms": "PRMs"}
    resampled = " and ".join(f"{len({*of})} {named[kind]}" for kind, of in factors.items())
    return Strict("untested", "", low, high, p, None, resampled, holds)


_SIDES: Mapping[str, Literal["above", "below", "within"]] = {"equal": "within", "falls": "below"}
"""Where what a rule expects lies; above its margin unless it is named here."""


def _p_value(claim: Claim, uncertain: Uncertain) -> tuple[float, bool]:
    """Two-sided p of the side that the estimate lies on, and whether that is the claim's."""
    side = _SIDES.get(claim.rule.expect, "above")
    return uncertain.p_of_its_side(side, claim.rule.margin)


def _strict_on_each(
    claim: Claim, rows: Sequence[Row], estimates: FloatArray, replicates: FloatArray
) -> Strict:
    """Of claims on each case: they all hold with the largest p of the cases, and one fails with the
    smallest p of those that fail, times the number of cases (Bonferroni)."""
    decided = []
    reach = _reaches(claim, rows)
    for i, row in enumerate(rows):
        one, n_problems = slice(i, i + 1), len(row["problem_ids"])
        alone = in_general(estimates[one], replicates[:, one], n_problems, {}, reach=reach[one])
        decided.append(_p_value(claim, alone))
    failing = [p for p, holds in decided if not holds]
    if failing:
        return Strict("untested", "", p=min(1.0, len(decided) * min(failing)), holds=False)
    return Strict("untested", "", p=max(p for p, _ in decided), holds=True)


def _in_sample_difference(case: Case, *, relative: bool) -> float | None:
    if case.in_sample is None:
        return None
    difference = case.in_sample - case.reference
    return 100 * difference / case.reference if relative else difference
