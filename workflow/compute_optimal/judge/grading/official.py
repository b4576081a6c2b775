"""The grader of the paper's official code, re-implemented from a description of what it does.

It shows how much results depend on the grader, and is not meant to be right: 50 is 0.5 (percent),
10000 is 10001 (relative tolerance), 1,2 is 12 (commas), east is west (unit words are deleted).
Where the original's symbolic comparison may hang, a pair times out here. Its list of unit words
and its parser of formulas are not copied: verdicts on rare answers may differ.
"""

from __future__ import annotations

import cmath
import functools
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from compute_optimal.judge.grading.equivalence import LONGEST_ANSWER
from compute_optimal.judge.grading.workers import WorkerPool

if TYPE_CHECKING:
    import polars as pl

OFFICIAL_GRADER = "official-rules/2"

RELATIVE_TOLERANCE = 1e-4

_NUMBER = re.compile(r"-?\d*\.?\d+")
_UNIT_WORDS = (
    r"[a-h] .|[acdghlmost]|degrees?|deg|mph|kmph|ft|feet|foot|inch(?:es)?|cm|mm|km|meters?|metres?"
    r"|miles?|yards?|seconds?|sec|minutes?|min|hours?|hr|days?|weeks?|months?|years?|points?|units?"
    r"|square|cubic|sq|cents?|dollars?|pounds?|lb|kg|gm|grams?|liters?|litres?|gallons?|east|west"
    r"|students?|people|men|women|apples?|coins?|tiles?|edges?|acres?|numbers?|integers?|rounds?"
    r"|prime|pm|am|th|st|less|more|per|way"
)
# What the original's parsers do not read, and this one does.
_UNREADABLE = re.compile(r"\{,\}|−")
# Each in turn, as one deletion can make room for the next.
_UNITS = [re.compile(rf"(^|\W)(?:{word})($|\W)") for word in _UNIT_WORDS.split("|")]
_BEFORE_UNITS, _AFTER_UNITS = (
    [(re.compile(pattern), replacement) for pattern, replacement in rules]
    for rules in (
        [
            (r"\\!|(?<!\\)\\ |\\left(?![a-z])|\\right(?![a-z])", ""),
            (r"[bvp]matrix|\{array\}(?:\{[^{}]*\})?", "pmatrix"),
            (r"\\[dt]frac", r"\\frac"),
            (r"\\([{}])", r"\1"),
            (r"(?<=\S)\s*\\(?:text|mbox)\{.*?\}$", ""),
        ],
        [
            (r"\^\s*\{?\\circ\}?", ""),
            (r"\\?\$|\\[()]|\\?%|\\?['\"]", ""),
            (r"\\(?:text|mathbf|textbf|mbox)\{([^{}]*)\}", r"\1"),
            (r"(?<![0-9])\.(?=[0-9])", "0."),
            (r"(?<=[0-9])\.0+(?![0-9])", ""),
            (r"\s*\b(?:and|or)\b", ""),
            (r"\\sqrt\s*([0-9A-Za-z])", r"\\sqrt{\1}"),
            (r"\s+", ""),
            (r"\\frac([0-9A-Za-z])", r"\\frac{\1}"),
            (r"(\\frac\{[^{}]*\})([0-9A-Za-z])", r"\1{\2}"),
            (r"^(-?[0-9]+)/([0-9]+)$", r"\\frac{\1}{\2}"),
            (r"^[({](\w+)[)}]$", r"\1"),
        ],
    )
)


def official_extract(text: str) -> str:
    """The official answer of a solution: from a box, after "he answer is", or the last number.

    Before ``official_form`` has it; blank if there is nothing: the official vote counts that as an
    answer.
    """
    _, box, after = text.rpartition("boxed")
    if box:
        return _braced(after) if after.startswith("{") else after.split("$", 1)[0].strip()
    if "he answer is" in text:
        return text.rpartition("he answer is")[2].strip().lstrip(":")
    numbers = _NUMBER.findall(text.replace(",", ""))
    return numbers[-1] if numbers else ""


def official_form(answer: str) -> str:
    """Normal form of an answer under the official rules; votes count equal forms."""
    if len(answer) > LONGEST_ANSWER:  # the rules are meant for short texts, and quadratic
        return answer.strip()
    form = re.sub(r"\n\s*", "", answer.strip()).lstrip(":").rstrip("./").strip()
    for pattern, replacement in _BEFORE_UNITS:
        form = pattern.sub(replacement, form)
    for unit in _UNITS * 2:
        form = unit.sub(r"\1\2", form) or form
    for pattern, replacement in _AFTER_UNITS:
        form = pattern.sub(replacement, form)
    name, equals, value = form.partition("=")
    return value if equals and len(name) <= 2 and "=" not in value else form


def official_equal(pair: tuple[str, str]) -> bool:
    """Whether (gold, answer), two normal forms, are equal. To be run in a worker."""
    if (plain := _plainly_equal(pair)) is not None:
        return plain
    gold, answer = pair
    bare = [re.sub(r"[\[\](){}]", "", text).lower() for text in pair]
    if bare[0] == bare[1]:
        return True
    for parts in (_elements(gold), _elements(answer)), (_rows(gold), _rows(answer)):
        if parts[0] and parts[1]:
            return len(parts[0]) == len(parts[1]) and all(
                official_equal(each) for each in zip(*parts, strict=True)
            )
    sides = [text.split("=") for text in pair]
    if all(len(side) == 2 for side in sides):
        differences = [f"{left}-({right})" for left, right in sides]
        return _same_value(*differences) or _same_value(differences[0], f"-({differences[1]})")
    return _same_value(gold, answer)


def grade_official(
    gold_by_problem: Mapping[str, str],
    answers: pl.DataFrame,
    *,
    seconds: float = 10,
    workers: int = 2,
) -> pl.DataFrame:
    """As ``grade``, with ``answers`` from ``official_extract``: a class is a normal form.

    "no_answer" is left to null; a blank answer is a class like any other, as in the original.
    """
    import polars as pl

    forms = {answer: official_form(answer) for answer in answers["answer"].drop_nulls().unique()}
    golds = {problem: official_form(gold) for problem, gold in gold_by_problem.items()}
    keys = answers.select("problem_id", "answer").unique().sort("problem_id", "answer").rows()
    pairs = {(golds[p], forms[answer]) for p, answer in keys if answer is not None}
    decided = {pair: _plainly_equal(pair) for pair in pairs}
    open_pairs = sorted(pair for pair, verdict in decided.items() if verdict is None)
    with WorkerPool(workers=workers, seconds=seconds) as pool:
        for pair, verdict in zip(open_pairs, pool.map(official_equal, open_pairs), strict=True):
            decided[pair] = verdict.value if verdict else None
    rows: list[tuple[str, str | None, str | None, bool | None, str]] = []
    for problem, answer in keys:
        if answer is None:
            rows.append((problem, None, None, False, "no_answer"))
            continue
        correct = decided[golds[problem], forms[answer]]
        status = "timeout" if correct is None else "graded"
        rows.append((problem, answer, forms[answer], correct, status))
    text = pl.String()
    schema = {"problem_id": text, "answer": text, "answer_class": text}
    return pl.DataFrame(rows, {**schema, "correct": pl.Boolean(), "status": text}, orient="row")


def _plainly_equal(pair: tuple[str, str]) -> bool | None:
    """The verdict on (gold, answer) where it takes no algebra, which a worker is started for."""
    gold, answer = pair
    if gold.lower() == answer.lower():
        return True
    x, y = _decimal(gold), _decimal(answer)
    if x is not None and y is not None:
        return any(
            math.isclose(y, x * factor, rel_tol=RELATIVE_TOLERANCE) for factor in (1, 100, 0.01)
        )
    return None if answer else False


def _braced(text: str) -> str:
    """What stands in the braces that ``text`` begins with; all of it if they never close."""
    depth = 0
    for place, letter in enumerate(text):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth == 0:
            return text[1:place]
    return text[1:]


def _decimal(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _elements(text: str) -> list[str]:
    inside = re.fullmatch(r"[\[(](.+)[\])]", text)
    return inside[1].split(",") if inside else []


def _rows(text: str) -> list[str]:
    inside = re.fullmatch(r"\\begin\{pmatrix\}(.+)\\end\{pmatrix\}", text)
    return re.split(r"\\\\|&", inside[1]) if inside else []


@functools.lru_cache(maxsize=64)
def _formula(text: str) -> Any:
    """A formula in sympy's terms. Reading costs more than comparing, and answers share a gold."""
    from math_verify.parser import latex2sympy

    return latex2sympy(text)


def _same_value(gold: str, answer: str) -> bool:
    import sympy

    if any(len(text) > LONGEST_ANSWER or _UNREADABLE.search(text) for text in (gold, answer)):
        return False
    try:
        x, y = _formula(gold), _formula(answer)
        if not (isinstance(x, sympy.Expr) and isinstance(y, sympy.Expr)):
            return False
        if x.is_number and y.is_number:
            a, b = complex(sympy.N(x)), complex(sympy.N(y))
            return cmath.isclose(a, b, rel_tol=RELATIVE_TOLERANCE)
        return bool(x == y or sympy.simplify(x - y) == 0)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # the parser raises anything on what is not a formula
        return False
