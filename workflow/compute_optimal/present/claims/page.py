"""The verdicts as people read them: a table in three forms, and the report's first page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from compute_optimal.analyse.statements import SQL_FOLDER
from compute_optimal.present.catalogue import ITEMS
from compute_optimal.present.claims.judge import Case, Judgement, Reached
from compute_optimal.present.pages.page import page
from compute_optimal.present.query import Row
from compute_optimal.present.style import (
    counted,
    decimals,
    fixed,
    one_line,
    parameters_text,
    signed,
    signed_interval,
)
from compute_optimal.present.tables import Column, Estimate, Named, Table
from compute_optimal.study.config import Claim, ClaimScale

CHECKED_ON: Mapping[ClaimScale, str] = {
    "public": "real models, public rollouts",
    "printed": "printed numbers",
    "paper": "the paper's models",
    "study": "this study",
}
"""What people read for a scale."""

_SCALES: Mapping[ClaimScale, tuple[str, str]] = {
    "public": (
        "The paper's claims on real models, by public rollouts",
        "Claims of the paper or, as nobody published runs of its models at its N, the nearest "
        "that public rollouts allow, judged and analysed here; the conditions stand below "
        "each sentence. Each rule was written before what it compares was computed for the first "
        "time. Some pools are beams of a search that pruned nothing, and no plain samples: the "
        "table of collections says of each what is known of it.",
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
_MINIATURES = (
    "They are miniatures, of fewer than ten million parameters: what holds of them is no evidence "
    "about large models by itself."
)
_HEADINGS = ("Case", "Value", "In-sample", "Reference", "Difference", "Problems", "Holds")
_MARKS = {
    "reproduced": "✓",
    "contradicted": "✗",
    "undecided": "?",
    "untested": "–",
    "consistent": "✓",
    "inconsistent": "✗",
}
"""Badges in the order of the tally: "not reproduced" is contradicted or undecided."""

_SENTENCES = (
    "The paper (arXiv 2502.06703) says that a small language model, given a budget of N samples, a "
    "process reward model (PRM) and the method that suits both, solves more problems than one a "
    "hundred times its size that answers at once.",
    "This study runs the paper's whole pipeline and asks of each of its statements whether the "
    "evidence carries it: a rule decides and, where anything was run, a confidence interval over "
    "problems.",
    "Every verdict below says on what it was reached (real models, this study's models, the "
    "paper's models, the printed numbers), and links to its figure, table, query and "
    "specifications.",
)


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """One row a claim; estimates with their intervals, in the unit that the column "Unit" says."""
    columns = [
        Column("statement", "Claim"),
        Column("conditions", "On what, and how"),
        Column("scale", "Checked on"),
        Column("verdict", "Verdict"),
        Column("reason", "Reason"),
        Column("rule", "Expected"),
        Column("measured", "Measured", "estimate"),
        Column("in_sample", "In-sample", "number"),
        Column("unit", "Unit"),
        Column("strict_verdict", "Stricter verdict"),
        Column("strict_reason", "Stricter reason"),
        Column("in_general", "Stricter interval", "estimate"),
        Column("p", "p", "number", digits=4),
        Column("p_corrected", "p corrected (Holm)", "number", digits=4),
        Column("cases", "Cases", "number", digits=0),
        Column("problems", "Problems", "number", digits=0),
        Column("printed", "The paper prints"),
        Column("made_in", "Where"),
        Column("query", "Query"),
        Column("claim", "Name"),
    ]
    rows = [
        [
            judgement.claim.statement,
            judgement.claim.conditions,
            Named(judgement.claim.scale, CHECKED_ON[judgement.claim.scale]),
            judgement.verdict,
            judgement.reason,
            _rule(judgement.claim),
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
            "held-out problems: the strategy of a problem is chosen on others of its (true) "
            "difficulty. In-sample: the same "
            "number if it is chosen on the very problems that it is scored on (Equation 3); "
            "the verdict does not use it. Stricter verdict: where a claim is about policies or "
            "PRMs in general, these are resampled together with the problems (limits of Student's "
            "t, for they are few), and p is corrected by Holm for the number of tested claims on "
            "the same scale. Problems: the most that a case has; cases of several tasks have "
            "problems of their own."
        ],
    )


def claims_page(
    judgements: Sequence[Judgement],
    evidence: Row | None = None,
    makers: Sequence[Row] = (),
    prices: Mapping[str, str] | None = None,
) -> str:
    """The HTML of the first page: what the study is, its evidence at three scales, every claim and
    its verdict.

    ``evidence`` is the row of the query ``evidence``, ``makers`` are those of ``provenance``;
    ``prices`` say by a claim's name what testing it would cost. All text is escaped; there are no
    scripts, and nothing is loaded.
    """
    has_rollouts = evidence is None or evidence["n_collections"] > 0
    names = [{row[key] for row in makers} - {None} for key in ("policy_title", "prm_title")]
    is_miniature = evidence is not None and evidence["is_miniature"]
    scales = []
    for scale, (heading, explained) in _SCALES.items():
        if scale == "study" and is_miniature:
            heading, explained = f"{heading}, the scale model", f"{explained} {_MINIATURES}"
        of_scale = [judgement for judgement in judgements if judgement.claim.scale == scale]
        reach = _reach(of_scale)
        nearest = fixed(reach, 0)
        if of_scale:
            scales.append(
                {
                    "name": scale,
                    "heading": heading,
                    "tally": _tally(of_scale),
                    "stricter": _stricter_tally(of_scale),
                    "explained": explained,
                    "axis": f"Differences in points are drawn to one scale, {nearest} on either "
                    "side of 0; others fill their own row. Dashed: the margin; shaded: the claim's "
                    "side."
                    if reach and scale != "printed"
                    else "",
                    "none": " ".join(
                        filter(None, (_stricter_in_words(of_scale), _untested(of_scale)))
                    ),
                    "claims": [
                        {
                            **_claim(judgement, names, has_rollouts=has_rollouts),
                            "price": (prices or {}).get(judgement.claim.name, ""),
                            "plot": _plot(judgement, reach),
                        }
                        for judgement in of_scale
                    ],
                }
            )
    return page(
        Path(__file__).parent / "index.html",
        title="Compute-optimal test-time scaling: what holds, and on what evidence",
        styles=[(Path(__file__).parent / "index.css").read_text(encoding="utf-8")],
        sentences=_SENTENCES,
        made=_made(makers),
        boxes=_boxes(evidence) if evidence else [],
        scales=scales,
        marks=_MARKS,
    )


def write_claims(
    judgements: Sequence[Judgement],
    outputs: Mapping[str, Path],
    evidence: Row | None = None,
    makers: Sequence[Row] = (),
    prices: Mapping[str, str] | None = None,
) -> None:
    """Write the verdicts to ``outputs``: format ("csv", "md", "tex", "html") to path.

    The others are for the page, as for ``claims_page``. Makes the folders of ``outputs``.
    """
    table = claims_table(judgements)
    texts: dict[str, Callable[[], str]] = {
        "csv": table.csv,
        "md": table.markdown,
        "tex": table.latex,
        "html": lambda: claims_page(judgements, evidence, makers, prices),
    }
    for suffix, path in outputs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[suffix](), encoding="utf-8", newline="\n")


def _strict(judgement: Judgement) -> list[Any]:
    """Values of the five columns on the stricter verdict."""
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


def _rule(claim: Claim) -> str:
    """What is expected, by how much, and of what."""
    rule = claim.rule
    margin = f", margin {_margin(claim)}" if rule.margin else ""
    judged = {"mean": "mean over the cases", "each": "each case", "first": "first case"}
    of = judged["each" if claim.scale == "printed" else rule.across]
    if rule.expect in ("rises", "falls"):
        of = "slope of a straight line"
    relative = ", relative" if rule.measure == "relative" else ""
    return f"{rule.expect.replace('_', ' ')}{margin}: {of}{relative}"


def _margin(claim: Claim) -> str:
    """The margin of a claim in its unit; of printed numbers, without one."""
    points = " point" if claim.rule.margin == 1 else " points"
    unit = " %" if claim.rule.measure == "relative" else points
    return f"{claim.rule.margin:g}{'' if claim.scale == 'printed' else unit}"


def _claim(
    judgement: Judgement, names: Sequence[Collection[str]], *, has_rollouts: bool
) -> Mapping[str, Any]:
    """What the page says of a claim, in lines of text. ``names``: of policies, and of PRMs.
    ``has_rollouts``: whether the study has adopted any, without which nothing shows them."""
    claim = judgement.claim
    prints = [f"the paper prints {claim.printed}"] if claim.printed else []
    has_in_sample = any(case.in_sample is not None for case in judgement.cases)
    measured = _measured(judgement)
    return {
        "name": claim.name,
        "badge": _badge(judgement),
        "statement": one_line(claim.statement),
        "conditions": one_line(claim.conditions),
        "reason": one_line(judgement.reason),
        "measured": measured,
        "effect": measured.partition(";")[0] or one_line(judgement.reason),
        "extent": _extent(judgement),
        "stricter": _stricter_badge(judgement),
        "where": one_line("; ".join([claim.where, *prints])),
        "rule": _rule_in_words(judgement),
        "strict": _strict_in_words(judgement),
        "strict_by": "Models resampled too, and corrected"
        if judgement.claim.rule.general
        else "Corrected",
        "query": claim.query,
        "parameters": one_line(
            "; ".join(f"{key} = {value}" for key, value in claim.parameters.items()) or "none"
        ),
        "sql": (SQL_FOLDER / "claims" / f"{claim.query}.sql").read_text(encoding="utf-8"),
        "links": _links(judgement, has_rollouts=has_rollouts),
        "n_cases": counted(len(judgement.cases), "case"),
        "headings": [name for name in _HEADINGS if has_in_sample or name != "In-sample"],
        "cases": [
            {
                "cells": _case(case, _margins(claim), has_in_sample),
                "made_by": _made_by(judgement, case, names),
            }
            for case in sorted(judgement.cases, key=_failing_first)
        ],
    }


def _badge(reached: Reached) -> str:
    if reached.verdict != "not reproduced":
        return reached.verdict
    return "undecided" if reached.is_undecided else "contradicted"


def _stricter_badge(judgement: Judgement) -> str:
    """The badge of the stricter verdict; empty where there is none."""
    return _badge(judgement.strict) if judgement.strict else ""


def _stricter_tally(judgements: Sequence[Judgement]) -> str:
    """How many claims of a scale have which stricter verdict; empty where each has its own."""
    if all(_stricter_badge(one) in ("", _badge(one)) for one in judgements):
        return ""
    counts = Counter(filter(None, map(_stricter_badge, judgements)))
    return ", ".join(f"{counts[badge]} {badge}" for badge in _MARKS if counts[badge])


def _stricter_in_words(judgements: Sequence[Judgement]) -> str:
    """What the stricter verdicts of a scale are; empty where it has none."""
    of_all = [one for one in judgements if one.strict]
    if not of_all:
        return ""
    is_general = any(one.claim.rule.general for one in of_all)
    resampled = "with policies and PRMs resampled too where a claim is general, and " * is_general
    return (
        f"Stricter: {resampled}corrected for the number of claims; where that changes a verdict, "
        "its row says so."
    )


def _extent(judgement: Judgement) -> str:
    """Of how many cases and problems a measured number is; empty for printed ones."""
    sizes = [case.n_problems for case in judgement.cases if case.n_problems is not None]
    if not sizes:
        return ""
    if judgement.claim.rule.across == "first":
        return counted(sizes[0], "problem")
    ends = " to ".join(dict.fromkeys(f"{size:,}" for size in (min(sizes), max(sizes))))
    of = f"{ends} problems" if max(sizes) > 1 else counted(max(sizes), "problem")
    return of if len(sizes) == 1 else f"{counted(len(sizes), 'case')} of {of}"


def _strict_in_words(judgement: Judgement) -> str:
    strict = judgement.strict
    if strict is None:
        return ""
    return one_line(f"{strict.verdict}: {strict.reason}.")


def _tally(judgements: Sequence[Judgement]) -> list[tuple[str, str]]:
    """Badges of the claims of one scale, each with how many have it; scales are never mixed."""
    counts = Counter(_badge(judgement) for judgement in judgements)
    return [(badge, f"{counts[badge]} {badge}") for badge in _MARKS if counts[badge]]


def _untested(judgements: Sequence[Judgement]) -> str:
    """What is said of claims of a scale that have no mark in its plot; empty if all have."""
    n_untested = sum(_badge(judgement) == "untested" for judgement in judgements)
    if not n_untested:
        return ""
    if n_untested == len(judgements):
        return "None of them is tested by this study; what each needs stands below."
    are = "is" if n_untested == 1 else "are"
    return f"{n_untested} more {are} untested; what each needs stands below."


def _rule_in_words(judgement: Judgement) -> str:
    rule = judgement.claim.rule
    printed = judgement.claim.scale == "printed"
    margin = f" by more than {_margin(judgement.claim)}" if rule.margin else ""
    relative = " (in % of the reference)" if rule.measure == "relative" else ""
    if rule.expect in ("rises", "falls"):
        per = judgement.unit.partition(" per ")[2]
        return (
            f"the straight line that fits the differences{relative} of all cases, each task (and "
            f"family of policies) at a level of its own, {rule.expect} with x"
            f"{f' ({per})' if per else ''}{margin}, and so does the whole interval of its slope "
            "over problems; not every step from one case to the next need do so."
        )
    expected = {
        "above": f"the value exceeds its reference{margin}",
        "at_least": f"the value is at least {_margin(judgement.claim)} above its reference"
        if rule.margin
        else "the value is at least its reference",
        "equal": f"value and reference differ by at most {_margin(judgement.claim)}",
    }[rule.expect]
    across = {
        "mean": "on the mean over the cases",
        "each": "in each case",
        "first": "in the first case, beside which the others are shown",
    }["each" if printed else rule.across]
    if printed:
        return f"{expected}, {across}; printed numbers, no interval."
    least = f"; at least {rule.least_cases} cases" if rule.least_cases > 1 else ""
    return f"{expected}{relative}, {across}, and so does the whole interval over problems{least}."


def _links(judgement: Judgement, *, has_rollouts: bool) -> list[dict[str, str]]:
    """Figures and tables that show a claim: those that it names of the paper's, and those that ask
    the same (on rollouts of others these alone); the rollouts; and how its numbers were made.
    A study that has adopted no rollouts has none of what shows them."""
    claim = judgement.claim
    public = claim.scale == "public"
    if public and not has_rollouts:
        return []
    own = claim.query.removeprefix("public_")
    numbers = _numbered(claim.where)
    shown = [
        item
        for item in ITEMS
        if (
            item.scale == "public" and item.query in (own, claim.query, "public_methods")
            if public
            else item.scale == "study"
            and (numbers & _numbered(item.reference) or item.query == claim.query)
        )
    ]
    if claim.scale == "printed":
        return [
            {
                "text": "its cases below, of data/published/paper.csv",
                "href": f"#claim-{claim.name}",
            }
        ]
    links = [
        {
            "text": f"{item.kind}: {item.heading}",
            "href": f"figures/{item.name}.svg"
            if item.kind == "figure"
            else f"tables/{item.name}.html",
        }
        for item in shown
    ]
    made, scale = ("public_sources", "public") if public else ("provenance", "study")
    return [
        *links,
        {"text": "explorer", "href": f"explorer.html#scale={scale}"},
        {"text": "rollouts", "href": f"browser.html#scale={scale}"},
        {"text": "how its numbers were made", "href": f"tables/{made}.html"},
    ]


def _numbered(text: str) -> set[str]:
    """Figures and tables of the paper that a text names: "Figures 7 to 9" are three."""
    items = set()
    for kind, first, joint, last in re.findall(r"(Figure|Table)s? (\d+)(?: (and|to) (\d+))?", text):
        ends = (int(first), int(last or first))
        items |= {f"{kind} {n}" for n in (range(ends[0], ends[1] + 1) if joint == "to" else ends)}
    return items


def _made_by(judgement: Judgement, case: Case, names: Sequence[Collection[str]]) -> str:
    """Where the specs stand that made a case: rows of a table that hold its models' names, of
    several policies or PRMs one of theirs, for no row has two."""
    if judgement.claim.scale == "printed":
        return ""
    if judgement.claim.scale == "public":
        return "tables/public_sources.html"
    words = []
    for of_kind in names:
        named = [name for name in sorted(of_kind) if name in case.name]
        words += ["|".join(name.split()[0] for name in named)] if len(named) > 1 else named
    return f"tables/provenance.html#rows={quote_plus(' '.join(words))}"


def _made(makers: Sequence[Row]) -> str:
    """By what the study's own numbers were made, in one sentence."""
    if not makers:
        return "Nothing was generated for this study."
    engines, packages, seeds = (
        ", ".join(sorted({str(row[key]) for row in makers if row[key] is not None}))
        for key in ("engines", "packages", "seed")
    )
    return (
        f"The study's own numbers come from {counted(len(makers), 'specification')}, made by "
        f"{engines or 'an engine that was not recorded'} and version {packages or 'unknown'} of "
        f"this package from seed {seeds}; each case links to its specifications with their "
        "digests, the models' revisions and the engine."
    )


def _boxes(evidence: Row) -> list[dict[str, Any]]:
    """What there is at each scale: a heading, and in few words each what was run of it."""
    numbers = (
        f"{evidence['n_printed']:,} of {evidence['n_printed_items']} figures and tables of the "
        "paper, and of its text, held against each other"
    )
    printed = [
        ("Numbers", numbers if evidence["n_printed"] else "none: this study holds none"),
        ("Models", "none: nothing was run"),
    ]
    name = "The scale model" if evidence["is_miniature"] else "This study's models"
    boxes = [
        ("1 Printed", printed),
        ("2 Real models, public rollouts", _public_box(evidence)),
        (f"3 {name}", _own_box(evidence)),
    ]
    return [
        {"heading": heading, "lines": [(label, one_line(text)) for label, text in lines]}
        for heading, lines in boxes
    ]


def _public_box(evidence: Row) -> list[tuple[str, str]]:
    models = evidence["public_policies"] or []
    if not models:
        return [("Runs", "none: this study has adopted no rollouts of others")]
    scaled = [row["model"] for row in models if row["is_scaled"]]
    once = [row["model"] for row in models if row["is_cot"]]
    neither = [row["model"] for row in models if not row["is_scaled"] and not row["is_cot"]]
    largest = evidence["public_largest_budget"]
    budgets = [f"{largest} without a PRM"] if largest is not None else []
    budgets += [
        f"{row['budget'] or 'none'} with {row['title']}" for row in evidence["public_prms"] or []
    ]
    collections = counted(evidence["n_collections"], "collection")
    lines = [
        ("Runs", f"{collections} that others ran and published, judged here"),
        ("Problems", ", ".join(evidence["public_tasks"] or ["none"])),
        ("Largest N", ", ".join(budgets) or "none"),
        ("With TTS", f"{counted(len(scaled), 'model')}: {_by_family(scaled)}" if scaled else ""),
        ("One answer", f"{counted(len(once), 'model')}: {_by_family(once)}" if once else ""),
        ("Neither", _by_family(neither)),
    ]
    return [(label, text) for label, text in lines if text]


def _own_box(evidence: Row) -> list[tuple[str, str]]:
    if not evidence["n_policies"]:
        return [("Models", "none: this study runs no models of its own")]
    prms = evidence["own_prms"] or []
    sizes = _sizes(evidence["smallest"], evidence["largest"])
    of_prms = _sizes(evidence["smallest_prm"], evidence["largest_prm"])
    largest = evidence["largest_budget"]
    lines = [
        (
            "Models",
            f"{counted(evidence['n_policies'], 'policy', 'policies')} of {sizes} parameters",
        ),
        ("PRMs", f"{len(prms)} of {of_prms} parameters" if prms else "none"),
        ("Problems", ", ".join(evidence["own_tasks"] or ["none"])),
        ("Largest N", "none: nothing was run" if largest is None else f"{largest:,}"),
    ]
    if evidence["is_miniature"]:
        lines.append(("Evidence", "none about large models by itself: miniatures"))
    return lines


def _by_family(models: Sequence[str]) -> str:
    """Names of models, those that differ in their size alone in one: "Qwen2.5-Instruct 7B, 72B"."""
    families: dict[str, list[str]] = {}
    for model in models:
        match = re.fullmatch(r"(.+)-(\d+(?:\.\d+)?[BM])(-.+)?", model)
        family, size = (f"{match[1]}{match[3] or ''}", match[2]) if match else (model, "")
        families.setdefault(family, []).append(size)
    return "; ".join(
        f"{family} {', '.join(sizes)}".strip() for family, sizes in sorted(families.items())
    )


def _sizes(smallest: float | None, largest: float | None) -> str:
    ends = dict.fromkeys((parameters_text(smallest), parameters_text(largest)))
    return " to ".join(ends)


_WIDTH, _HEIGHT = 200.0, 20.0
"""Of a row of the forest plot, in its own units; 0 is in the middle."""


def _reach(judgements: Sequence[Judgement]) -> float:
    """The largest absolute difference in points that a row of these claims shows, be it an end of
    an interval or a margin; 0 if there are none."""
    shown = [one for one in judgements if one.unit == "points" and _intervals(one)]
    return max((end for one in shown for end in _ends(one)), default=0.0)


def _ends(judgement: Judgement) -> list[float]:
    """Absolute values of all that a row of the forest plot shows."""
    numbers = [
        end
        for low, value, high in _intervals(judgement)
        for end in (low, value, high)
        if end is not None
    ]
    return [judgement.claim.rule.margin, *map(abs, numbers)]


def _intervals(judgement: Judgement) -> list[tuple[float | None, float, float | None]]:
    """What is judged: one number with its interval, or every case by itself."""
    if judgement.estimate is not None:
        return [(judgement.low, judgement.estimate, judgement.high)]
    return [(case.low, case.difference, case.high) for case in judgement.cases]


def _plot(judgement: Judgement, reach: float) -> Mapping[str, Any]:
    """A row of the forest plot: places of marks, margins and of the claim's side."""
    rule = judgement.claim.rule
    own = max(_ends(judgement)) or 1.0
    scale = _WIDTH / 2 / (reach if judgement.unit == "points" and reach else own) / 1.05

    def place(value: float) -> float:
        return round(min(_WIDTH, max(0.0, _WIDTH / 2 + scale * value)), 1)

    margins = _margins(judgement.claim)
    left = place(margins[0]) if rule.expect not in ("falls",) else 0.0
    right = _WIDTH if rule.expect not in ("equal", "falls") else place(margins[-1])
    intervals = _intervals(judgement)
    step = _HEIGHT / (len(intervals) + 1)
    return {
        "margins": [place(margin) for margin in margins],
        "sides": [(left, round(right - left, 1))],
        "marks": [
            {
                "low": place(value if low is None else low),
                "x": place(value),
                "high": place(value if high is None else high),
                "y": round(step * (i + 1), 1),
                "size": round(min(4.0, step / 2), 1),
            }
            for i, (low, value, high) in enumerate(intervals)
        ],
    }


def _margins(claim: Claim) -> list[float]:
    """Where the claim's side of a difference begins and ends."""
    margin = claim.rule.margin
    of_expectation = {"equal": [-margin, margin], "falls": [-margin]}
    return of_expectation.get(claim.rule.expect, [margin])


def _measured(judgement: Judgement) -> str:
    if judgement.estimate is None or judgement.low is None or judgement.high is None:
        return ""
    interval = signed_interval(
        judgement.estimate, judgement.low, judgement.high, *_margins(judgement.claim)
    )
    text = f"{interval} {judgement.unit}"
    if judgement.in_sample is not None:
        text += f"; in-sample (Equation 3): {signed(judgement.in_sample, 0.0)}"
    return one_line(text)


def _failing_first(case: Case) -> int:
    return {False: 0, None: 1, True: 2}[case.holds]


def _case(case: Case, margins: Sequence[float], has_in_sample: bool) -> list[str]:
    difference = _number(case.difference, signs=True)
    if case.low is not None and case.high is not None:
        difference = signed_interval(case.difference, case.low, case.high, *margins)
    return [
        one_line(case.name),
        _number(case.value),
        *(["" if case.in_sample is None else _number(case.in_sample)] if has_in_sample else []),
        _number(case.reference),
        difference,
        "" if case.n_problems is None else f"{case.n_problems:,}",
        {True: "yes", False: "no", None: "–"}[case.holds],
    ]


def _number(value: float, *, signs: bool = False) -> str:
    """One decimal, or as many as a number other than 0 needs; from a million on, such as FLOPs, in
    powers of ten. ``signs``: with a plus as well."""
    if abs(value) >= _LARGE:
        return format(value, "+.1e" if signs else ".1e").replace("-", "−")
    if signs:
        return signed(value, 0.0)
    return fixed(value, decimals(value, 1, 0.0)).replace("-", "−")


_LARGE = 1e6
"""From here on numbers are written in powers of ten."""
