"""The verdicts as people read them: a table in three forms, and the report's first page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import jinja2

from compute_optimal.present.claims.judge import Case, Judgement, Verdict
from compute_optimal.present.style import counted, one_line
from compute_optimal.present.tables import Column, Estimate, Table
from compute_optimal.study.config import ClaimScale

_SCALES: Mapping[ClaimScale, tuple[str, str]] = {
    "public": (
        "The paper's claims on real models, by public rollouts",
        "What others ran and published, judged and analysed here; the conditions stand in each "
        "sentence. The rules were written before any comparison of methods was computed.",
    ),
    "study": (
        "The paper's claims on this study's models",
        "General claims, tested on the policies and PRMs that this study runs.",
    ),
    "paper": (
        "The paper's claims on the paper's models",
        "Claims about models by name, as far as this study holds their results.",
    ),
    "printed": (
        "The paper against itself",
        "What follows from the printed numbers alone, without running anything.",
    ),
}
_HEADINGS = ("Case", "Value", "In-sample", "Reference", "Difference", "Problems", "Holds")
_MARKS: Mapping[Verdict, str] = {
    "reproduced": "✓",
    "not reproduced": "✗",
    "untested": "–",
    "consistent": "✓",
    "inconsistent": "✗",
}


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """One row a claim; estimates with their intervals, in the unit that the column "Unit" says."""
    columns = [
        Column("claim", "Claim"),
        Column("scale", "Checked on"),
        Column("verdict", "Verdict"),
        Column("reason", "Reason"),
        Column("rule", "Expected"),
        Column("measured", "Measured", "estimate"),
        Column("in_sample", "In-sample", "number"),
        Column("unit", "Unit"),
        Column("strict_verdict", "Stricter verdict"),
        Column("strict_reason", "Stricter reason"),
        Column("in_general", "With models resampled", "estimate"),
        Column("p", "p", "number", digits=4),
        Column("p_corrected", "p corrected (Holm)", "number", digits=4),
        Column("cases", "Cases", "number", digits=0),
        Column("problems", "Problems", "number", digits=0),
        Column("printed", "The paper prints"),
        Column("where", "Where"),
        Column("query", "Query"),
        Column("name", "Name"),
    ]
    scales: Mapping[ClaimScale, str] = {
        "public": "public",
        "printed": "printed numbers",
        "paper": "the paper's models",
        "study": "this study",
    }
    rows = [
        [
            judgement.claim.statement,
            scales[judgement.claim.scale],
            judgement.verdict,
            judgement.reason,
            _rule(judgement),
            "–"
            if judgement.estimate is None
            else Estimate(judgement.estimate, judgement.low, judgement.high),
            "–" if judgement.in_sample is None else judgement.in_sample,
            judgement.unit or "–",
            *_strict(judgement),
            len(judgement.cases),
            max((case.n_problems or 0 for case in judgement.cases), default=0) or "–",
            judgement.claim.printed or "–",
            judgement.claim.where,
            judgement.claim.query,
            judgement.claim.name,
        ]
        for judgement in judgements
    ]
    levels = {
        f"{100 * judgement.confidence:g}% " for judgement in judgements if judgement.confidence
    }
    return Table(
        "The paper's claims",
        columns,
        rows,
        [
            f"Reproduced: the whole {'or '.join(levels)}interval (over problems, paired) lies on "
            "the claim's side of its margin. Not reproduced: anything else; undecided where the "
            "interval holds the margin. Consistent and inconsistent speak of the paper's printed "
            "numbers alone. Points are percentage points. Compute-optimal TTS is judged on "
            "held-out problems: the strategy of a problem is chosen on others. In-sample: the same "
            "number if it is chosen on the very problems that it is scored on, as in the paper; "
            "the verdict does not use it. Stricter verdict: where a claim is about policies or "
            "PRMs in general, these are resampled together with the problems (limits of Student's "
            "t, for they are few), and p is corrected by Holm for the number of tested claims on "
            "the same scale."
        ],
    )


def claims_page(judgements: Sequence[Judgement]) -> str:
    """A fragment of HTML with a style of its own: counts, then each claim with its cases.

    All text is escaped; there are no scripts, and nothing is loaded.
    """
    counts = Counter(judgement.verdict for judgement in judgements)
    n_undecided = sum(judgement.is_undecided for judgement in judgements)
    remarks = {"not reproduced": f", {n_undecided} of them undecided"} if n_undecided else {}
    tally = [
        (verdict, f"{counts[verdict]} {verdict}{remarks.get(verdict, '')}")
        for verdict in get_args(Verdict)
    ]
    scales = []
    for scale, (heading, explained) in _SCALES.items():
        of_scale = [judgement for judgement in judgements if judgement.claim.scale == scale]
        untested = [_claim(judgement) for judgement in of_scale if judgement.verdict == "untested"]
        if of_scale:
            scales.append(
                {
                    "heading": heading,
                    "explained": explained,
                    "tested": [
                        _claim(judgement)
                        for judgement in of_scale
                        if judgement.verdict != "untested"
                    ],
                    "untested": untested,
                    "n_untested": counted(len(untested), "claim"),
                }
            )
    template = jinja2.Template(
        (Path(__file__).parent / "claims.html").read_text(encoding="utf-8"),
        autoescape=True,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    page: str = template.render(tally=tally, scales=scales, marks=_MARKS)
    return page


def write_claims(judgements: Sequence[Judgement], outputs: Mapping[str, Path]) -> None:
    """Write the verdicts to ``outputs``: format ("csv", "md", "tex", "html") to path."""
    table = claims_table(judgements)
    texts: dict[str, Callable[[], str]] = {
        "csv": table.csv,
        "md": table.markdown,
        "tex": table.latex,
        "html": lambda: claims_page(judgements),
    }
    for suffix, path in outputs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[suffix](), encoding="utf-8", newline="\n")


def _strict(judgement: Judgement) -> list[Any]:
    """Values of the columns on the stricter verdict."""
    strict = judgement.strict
    if strict is None:
        none = "untested" if judgement.verdict == "untested" else "–"
        return [none, "–", "–", "–", "–"]
    has_limits = judgement.estimate is not None and strict.low is not None
    return [
        strict.verdict,
        strict.reason,
        Estimate(judgement.estimate or 0.0, strict.low, strict.high) if has_limits else "–",
        "–" if strict.p is None else strict.p,
        "–" if strict.corrected is None else strict.corrected,
    ]


def _rule(judgement: Judgement) -> str:
    rule = judgement.claim.rule
    unit = " points" if judgement.claim.scale != "printed" else ""
    margin = f", margin {rule.margin:g}{unit}" if rule.margin else ""
    return rule.expect.replace("_", " ") + margin


def _claim(judgement: Judgement) -> Mapping[str, Any]:
    """What the page says of a claim, in lines of text."""
    claim = judgement.claim
    prints = [f"the paper prints {claim.printed}"] if claim.printed else []
    has_in_sample = any(case.in_sample is not None for case in judgement.cases)
    return {
        "verdict": judgement.verdict,
        "statement": one_line(claim.statement),
        "reason": one_line(judgement.reason),
        "measured": _measured(judgement),
        "where": one_line("; ".join([claim.where, *prints])),
        "n_cases": counted(len(judgement.cases), "case"),
        "headings": [name for name in _HEADINGS if has_in_sample or name != "In-sample"],
        "cases": [
            _case(case, has_in_sample) for case in sorted(judgement.cases, key=_failing_first)
        ],
    }


def _measured(judgement: Judgement) -> str:
    if judgement.estimate is None or judgement.low is None or judgement.high is None:
        return ""
    estimate, low, high = (
        f"{number:+.1f}".replace("-", "−")
        for number in (judgement.estimate, judgement.low, judgement.high)
    )
    text = f"{estimate} [{low}, {high}] {judgement.unit}"
    if judgement.in_sample is not None:
        text += f"; in-sample, as in the paper: {judgement.in_sample:+.1f}".replace(": -", ": −")
    return one_line(text)


def _failing_first(case: Case) -> int:
    return {False: 0, None: 1, True: 2}[case.holds]


def _case(case: Case, has_in_sample: bool) -> list[str]:
    difference = _number(case.difference, sign=True)
    if case.low is not None and case.high is not None:
        difference += f" [{_number(case.low, sign=True)}, {_number(case.high, sign=True)}]"
    return [
        one_line(case.name),
        _number(case.value),
        *(["" if case.in_sample is None else _number(case.in_sample)] if has_in_sample else []),
        _number(case.reference),
        difference,
        "" if case.n_problems is None else f"{case.n_problems:,}",
        {True: "yes", False: "no", None: "–"}[case.holds],
    ]


def _number(value: float, *, sign: bool = False) -> str:
    pattern = "+.4g" if sign else ".4g"
    return format(value, pattern).replace("-", "−")
