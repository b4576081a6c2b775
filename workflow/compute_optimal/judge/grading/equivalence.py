"""When two answers are the same: math-verify, behind rules that need no algebra.

The functions that take pairs, and ``fingerprint``, run in workers (see ``workers``): they may hang
or exhaust memory on hostile input and must not be called in the process of the caller.
math-verify's own time limits are off; they would turn "not decided" into "wrong".
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from compute_optimal.judge.grading.extraction import visible
from compute_optimal.judge.grading.values import ROUNDED

LONGEST_ANSWER = 1000
"""Characters. # ASSUME: a longer answer is right only if it is the gold, character by character."""

_INTEGER = re.compile(r"([-+]?)([0-9]+|[1-9][0-9]{0,2}(?:(?:,|\\,)[0-9]{3})+)")
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\s+", " "),
        (r"\\?\$", ""),
        (r"\\!\s*", ""),
        (r"−", "-"),
        (r"\{,\}", ","),
        (r"\\[dtc]frac(?![A-Za-z])", r"\\frac"),
        (r"\\(?:left|right)(?=\s*(?:[()\[\]|]|\\[{}]))", ""),
        # 12^{\text{th}}
        (r"(?<=[0-9])\^\{?\\(?:text|mathrm)\{(?:st|nd|rd|th)\}\}?", ""),
        (r" ?([=+\-*/<>]) ?", r"\1"),
        (r"([(\[{]) ", r"\1"),
        (r" (\\?[)\]}]|,)", r"\1"),
        # "1, 234" is a list, "1,234" a number.
        (r", (?![0-9]{3}(?![0-9]))", ","),
    )
)


def canonical(answer: str) -> str:
    """The normal form of an answer: answers with one form are equal, whatever they mean.

    Undoes differences of typesetting only; integers lose their plus sign, leading zeros and
    thousands separators. May be blank, which is no answer. Linear time.
    """
    text = visible(answer)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = text.rstrip(" .;").lstrip(" ")
    if number := _INTEGER.fullmatch(text):
        digits = re.sub(r"[^0-9]", "", number[2]).lstrip("0") or "0"
        return "-" + digits if number[1] == "-" and digits != "0" else digits
    return text


def is_integer(form: str) -> bool:
    """Whether a canonical form is a plain integer: two of these are equal only if identical."""
    return form.removeprefix("-").isdigit() and form.isascii()


def equal_to_gold(pair: tuple[str, str]) -> bool:
    """Whether the answer equals the gold, for the canonical forms (gold, answer).

    math-verify's verdict, its percent rule (10% and 10 are both right) included.
    """
    gold, answer = (_parsed(form) for form in pair)
    with _exact_numbers():
        return bool(math_verify().verify(list(gold), list(answer), timeout_seconds=None))


def equivalent(pair: tuple[str, str]) -> bool:
    """Whether two answers are one vote, for their canonical forms.

    As ``equal_to_gold``, but in both orders, and 10% is 0.1, never 10.
    """
    import sympy

    percent = sympy.UnevaluatedExpr(sympy.Rational(1, 100))
    one, other = (
        [
            item.xreplace({percent: percent.args[0]}) if isinstance(item, sympy.Basic) else item
            for item in _parsed(form)
        ]
        for form in pair
    )
    verify = functools.partial(
        math_verify().verify, allow_set_relation_comp=True, timeout_seconds=None
    )
    with _exact_numbers():
        return bool(verify(one, other) and verify(other, one))


@contextlib.contextmanager
def _exact_numbers() -> Iterator[None]:
    """math-verify without its absolute tolerance, by which 10^{-16} is 0 and 10^{-20} + x is x.

    What it has for numbers inside of tuples, sets, matrices and equations, too, is one function.
    """
    grader = math_verify().grader
    equal = grader.sympy_numeric_eq

    def exactly_equal(one: Any, other: Any, *precision: int) -> bool:
        return bool(equal(one, other, *precision)) and not _apart(one, other)

    grader.sympy_numeric_eq = exactly_equal
    try:
        yield
    finally:
        grader.sympy_numeric_eq = equal


DECIMAL_TOLERANCE = 10.0**-ROUNDED
"""How far a decimal may be from what it stands for, relative to it."""


def _apart(one: Any, other: Any) -> bool:
    """Whether two expressions differ for certain, at values of their letters, however little."""
    import sympy

    if not (isinstance(one, sympy.Expr) and isinstance(other, sympy.Expr)):
        return False
    percent = sympy.UnevaluatedExpr
    if one.has(percent) != other.has(percent):  # 10% and 10
        return False
    with contextlib.suppress(Exception):  # sympy raises anything on expressions without a value
        at = {
            symbol: sympy.Rational(_value_of_name(symbol.name))
            for symbol in _symbols(one) + _symbols(other)
        }
        x, y = one.xreplace(at).doit(), other.xreplace(at).doit()
        if x.has(sympy.Float) or y.has(sympy.Float):
            return bool(abs((x - y).evalf(15)) > DECIMAL_TOLERANCE * max(abs(x), abs(y)))
        # Strict: digits that all cancel out are an error, and no difference.
        difference = (x - y).evalf(15, strict=True)
        return bool(difference.is_number and difference.is_finite and difference != 0)
    return False


class Numbers(NamedTuple):
    """Sums over the numbers in an answer; their order does not matter."""

    size: int
    real: float
    imaginary: float
    wave: float  # of the sines: tells (1, 6) from (2, 5)
    magnitude: float

    def may_equal(self, other: Numbers) -> bool:
        tolerance = self.tolerance(other)
        return self.size == other.size and all(
            a == b or abs(a - b) <= tolerance for a, b in zip(self[1:4], other[1:4], strict=True)
        )

    def tolerance(self, other: Numbers) -> float:
        """Wider than the rounding to 6 decimals that math-verify compares decimals by."""
        return 1e-5 * self.size + 1e-9 * min(self.magnitude, other.magnitude)


class Fingerprint(NamedTuple):
    """What can be compared without algebra.

    ``numbers`` is None where there is nothing to go by. ``relation`` is None for what is none, the
    left side of an equation, blank for other relations.
    """

    text: str
    numbers: Numbers | None
    relation: str | None


def may_equal(one: Fingerprint, other: Fingerprint) -> bool:
    """Whether only algebra can tell; false only where math-verify would not find them equal."""
    if one.text == other.text or one.numbers is None or other.numbers is None:
        return True
    if (
        one.relation is not None
        and other.relation is not None
        and (not one.relation or one.relation != other.relation)
    ):
        # Equations with one left side differ if their right sides do; the rest is to be solved.
        return True
    return one.numbers.size > 0 and one.numbers.may_equal(other.numbers)


def fingerprint(form: str) -> Fingerprint:
    """The fingerprint of a canonical form; variables have fixed values that their names imply.

    # ASSUME: an identity holds at real values between 1/2 and 3/2 of its variables.
    """
    import sympy
    from sympy.core.relational import Relational

    if is_integer(form):
        return Fingerprint(form, _numbers([_bounded(float(form))]), None)
    parsed = _parsed(form)
    text = parsed[-1] if parsed and isinstance(parsed[-1], str) else form
    if not parsed or isinstance(parsed[0], str):
        return Fingerprint(text, _numbers([]), None)
    expression = parsed[0]
    relation = None
    if isinstance(expression, sympy.Eq):
        relation = str(expression.lhs)
    elif isinstance(expression, Relational) or _is_chain(expression):
        relation = ""
    try:
        numbers = _numbers(list(_values(expression)))
    except Exception:  # sympy raises anything on expressions that have no value
        numbers = None
    return Fingerprint(text, numbers, relation)


def _numbers(values: list[complex | float]) -> Numbers:
    points = [complex(v) for v in values]
    return Numbers(
        size=len(points),
        real=sum(v.real for v in points),
        imaginary=sum(v.imag for v in points),
        wave=sum(math.sin(v.real) + math.sin(v.imag + 1) for v in points),
        magnitude=sum(abs(v) for v in points),
    )


def _bounded(value: float) -> float:
    # Numbers this large need not be told apart, and sums of them stay finite.
    return max(-1e99, min(1e99, value))


def _values(expression: Any) -> Iterator[complex]:
    """All finite numbers in an expression; raises where they cannot be told."""
    import sympy

    if _is_chain(expression):
        expression = expression.args[-1]
    if isinstance(expression, sympy.Eq):
        yield from _values(expression.rhs)
    elif isinstance(expression, sympy.Interval):
        yield from _values(expression.start)
        yield from _values(expression.end)
    elif isinstance(expression, sympy.MatrixBase | sympy.Tuple | sympy.Set):
        is_matrix = isinstance(expression, sympy.MatrixBase)
        for part in expression.flat() if is_matrix else expression.args:
            yield from _values(part)
    elif isinstance(expression, sympy.MatrixExpr):
        evaluated = expression.doit()
        if evaluated == expression:
            raise ValueError("a matrix without elements")
        yield from _values(evaluated)
    elif isinstance(expression, sympy.Expr):
        at = {symbol: sympy.Float(_value_of_name(symbol.name)) for symbol in _symbols(expression)}
        value = expression.xreplace(at).evalf(15)
        if not value.is_number:
            value = value.doit().evalf(15)
        if value.is_finite is not False and value is not sympy.nan:
            real, imaginary = (float(part) for part in value.as_real_imag())
            yield complex(_bounded(real), _bounded(imaginary))
    else:
        raise ValueError("no numbers")


def _symbols(expression: Any) -> list[Any]:
    return [symbol for symbol in expression.free_symbols if symbol.is_Symbol]


def _value_of_name(name: str) -> float:
    # math-verify takes the word abc for a * b * c, and the letter e for the constant.
    return math.prod(
        math.e if letter == "e" else 0.5 + ord(letter) * 0.6180339887498949 % 1
        for letter in name.lower()
        if letter.isalnum()
    )


def _is_chain(expression: Any) -> bool:
    """Whether this is a chain such as 1 < x < 2 or a = b = c, or relations joined by commas."""
    return type(expression).__name__ == "And"


@functools.lru_cache(maxsize=2048)
def _parsed(form: str) -> tuple[Any, ...]:
    """math-verify's reading of a canonical form: an expression and a text, or only the latter.

    Only as LaTeX: with its other reader math-verify would take any number out of a formula that
    it cannot parse. Not by its own ``parse``, to which R and r are one letter.
    """
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig, latex2sympy

    library = math_verify()
    rules = library.LatexExtractionConfig().normalization_config
    text = library.parser.normalize_latex(form, rules)
    for part in dict.fromkeys([text, library.parser.get_last_eq(text)]):
        with contextlib.suppress(Exception):  # what is no formula to it
            expression = latex2sympy(
                part,
                is_real=not library.parser.should_treat_as_complex(part),
                normalization_config=None,
                conversion_config=ConversionConfig(lowercase_symbols=False),
            )
            return expression, text
    return (text,) if text else ()


@functools.cache
def math_verify() -> Any:
    """The library: its import takes a second."""
    import math_verify as library

    # It warns that its time limits are off, once in every worker.
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    return library
