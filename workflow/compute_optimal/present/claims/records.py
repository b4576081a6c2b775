"""Verdicts as tables of the database: ``claims``, and ``claim_cases``, what each was judged on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from compute_optimal.present.claims.judge import Judgement
from compute_optimal.store.columns import COUNT, REAL, TEXT, TRUTH, Column, Columns

_CLAIM = Column(TEXT, "Name of the claim, as in config/claims.yaml")

CLAIMS = Columns(
    "The paper's claims and their verdicts, a row each",
    {
        "claim": _CLAIM,
        "statement": Column(TEXT, "The claim in one short sentence"),
        "conditions": Column(TEXT, "On what it is tested, and how; empty where nothing is to add"),
        "made_in": Column(TEXT, "Where the paper makes it"),
        "scale": Column(TEXT, "What it is checked on: public, printed, paper or study"),
        "expected": Column(TEXT, "The rule that decides it"),
        "margin": Column(REAL, "By how much at least, for equal at most, in unit"),
        "query": Column(TEXT, "File of workflow/sql/claims that finds its cases"),
        "verdict": Column(
            TEXT, "reproduced, not reproduced or untested; consistent, inconsistent: printed"
        ),
        "reason": Column(TEXT, "Why, in words"),
        "estimate": Column(REAL, "What was judged, in unit; null where it is no number"),
        "ci_low": Column(REAL, "Lower end of its interval over problems, in unit"),
        "ci_high": Column(REAL, "Upper end of its interval over problems, in unit"),
        "confidence": Column(REAL, "Confidence of the intervals, 0 to 1"),
        "unit": Column(TEXT, "Unit of estimate, intervals and margin; null of printed numbers"),
        "in_sample": Column(
            REAL, "The same, chosen on the problems that it is scored on, in unit; null elsewhere"
        ),
        "strict_verdict": Column(
            TEXT, "Verdict with models resampled where the claim is general, corrected (Holm)"
        ),
        "strict_reason": Column(TEXT, "Why, in words"),
        "strict_low": Column(
            REAL, "Lower end, with models resampled where the claim is general, in unit"
        ),
        "strict_high": Column(
            REAL, "Upper end, with models resampled where the claim is general, in unit"
        ),
        "p": Column(REAL, "Two-sided p, 0 to 1"),
        "p_corrected": Column(REAL, "The same, corrected for the claims of the scale (Holm)"),
        "n_cases": Column(COUNT, "Number of cases in claim_cases"),
    },
)

CLAIM_CASES = Columns(
    "What each claim was judged on: one comparison a row",
    {
        "claim": _CLAIM,
        "case_name": Column(TEXT, "What is compared, in words"),
        "value": Column(
            REAL,
            "Mean accuracy in %, another mean, in the unit of case_name, or a printed number",
        ),
        "reference": Column(REAL, "What it is compared with, in the same unit"),
        "difference": Column(
            REAL, "Value minus reference: in points, in % of it where relative, or as printed"
        ),
        "ci_low": Column(REAL, "Lower end of the difference's interval; null of printed numbers"),
        "ci_high": Column(REAL, "Upper end of the difference's interval; null of printed numbers"),
        "holds": Column(TRUTH, "Whether the case supports the claim; null: undecided"),
        "n_problems": Column(COUNT, "Number of problems behind the row"),
        "in_sample": Column(
            REAL, "The value, chosen on the problems that it is scored on, in %; null elsewhere"
        ),
    },
)


def records(judgements: Sequence[Judgement]) -> dict[str, tuple[Columns, pl.DataFrame]]:
    """The tables by name, each with its definition."""
    cases = [
        (
            *(judgement.claim.name, case.name, case.value, case.reference, case.difference),
            *(case.low, case.high, case.holds, case.n_problems, case.in_sample),
        )
        for judgement in judgements
        for case in judgement.cases
    ]
    return {
        "claims": (CLAIMS, _frame(CLAIMS, [_claim(judgement) for judgement in judgements])),
        "claim_cases": (CLAIM_CASES, _frame(CLAIM_CASES, cases)),
    }


def _claim(judgement: Judgement) -> tuple[Any, ...]:
    claim, strict = judgement.claim, judgement.strict
    of_strict: tuple[Any, ...] = (None,) * 6
    if strict is not None:
        of_strict = (
            *(strict.verdict, strict.reason, strict.low, strict.high),
            *(strict.p, strict.corrected),
        )
    return (
        *(claim.name, claim.statement, claim.conditions, claim.where, claim.scale),
        *(claim.rule.expect, claim.rule.margin, claim.query),
        *(judgement.verdict, judgement.reason, judgement.estimate),
        *(judgement.low, judgement.high, judgement.confidence),
        *(judgement.unit or None, judgement.in_sample),
        *of_strict,
        len(judgement.cases),
    )


def _frame(columns: Columns, rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=columns, orient="row")
