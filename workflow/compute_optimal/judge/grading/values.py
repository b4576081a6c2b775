"""What an answer means, where that is certain: values of a few kinds, each in normal form.

``read`` knows numbers (fractions, mixed numbers, decimals, roots, pi, i), polynomials, numerals in
a base, tuples, intervals and inequalities, lists and sets, matrices, equations and words, in the
spellings that people and models use. Equal values have equal keys, so equality of keys is an
equivalence relation. What it cannot read for certain it leaves to algebra.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from compute_optimal.judge.grading import exact
from compute_optimal.judge.grading.exact import Sum, UnreadableError, number
from compute_optimal.judge.grading.notation import (
    FUNCTIONS,
    GREEK,
    LONGEST_PRODUCT,
    UNITS,
    Token,
    tokens,
)

LONGEST = 1000
"""Characters of an answer that is read."""

DEEPEST = 40
"""Brackets within brackets."""

ROUNDED = 6
"""Significant digits, and decimals, of a decimal that stands for a number that has no finite one.

# ASSUME: 0.333333 is right where the answer is 1/3, as math-verify has it; 0.3333 is not.
"""

Key = tuple[Hashable, ...]


@dataclass(frozen=True)
class Value:
    """A value and how it was written.

    ``key``: its kind and normal form. ``closed``: whether values with other keys differ from it;
    else a function in it is not evaluated. ``unit``: what it was measured in, blank if unsaid, with
    its power where that was said, as in "metre^2"; of a decimal numeral that says so, "base 10".
    ``percent``: whether it was written in percent (``key`` is the hundredth). ``order``: the
    elements of a list in the order given, or in that of their names. ``decimals``: those of a plain
    decimal. ``name``: the letter whose value it is, as in x = 5.
    """

    key: Key
    closed: bool = True
    unit: str = ""
    percent: bool = False
    order: tuple[Key, ...] = ()
    decimals: int = 0
    name: str = ""

    @property
    def kind(self) -> str:
        return str(self.key[0])

    @property
    def sum(self) -> Sum | None:
        """The number or polynomial that it is."""
        return self.key[1] if self.key[0] == "scalar" and isinstance(self.key[1], Sum) else None


_FLOAT_DIGITS = 15

_PLAIN = re.compile(r"-?[0-9]{1,18}")


@functools.lru_cache(maxsize=16384)
def read(answer: str) -> Value | None:
    """The value of an answer, or None where it is not certain. Bounded for any text."""
    if _PLAIN.fullmatch(answer):  # most answers are
        return _scalar(number(int(answer)))
    if len(answer) > LONGEST:
        return None
    try:
        return _answer(_unwrapped(tokens(answer)))
    except (UnreadableError, ZeroDivisionError, OverflowError, RecursionError):
        return None


def right(gold: Value, answer: Value) -> bool | None:
    """Whether the answer is right, None where only algebra can tell.

    Besides the same value in the same or no unit, right are: 10% for 10 as for 0.1; the digits of
    a numeral whose base the question names; the elements of a tuple in its order without
    brackets, and the reverse; a decimal of ``ROUNDED`` digits for a number that has none.
    """
    try:
        return _right(gold, answer)
    except UnreadableError:  # too large to compute with
        return None


def _right(gold: Value, answer: Value) -> bool | None:
    # ASSUME: a unit that the gold does not have, or the answer leaves out, is the one asked for.
    if _clash(gold.unit, answer.unit):
        return _in_dollars(gold) == _in_dollars(answer) is not None
    one, other = _as_equation(gold), _as_equation(answer)
    if one and other:
        if one == other:
            return True
        if _is_other_name(gold.name, answer.name):
            return False
    if gold.key == answer.key or _percent(gold, answer) or _rounded(gold, answer):
        return True
    if gold.kind == "numeral" and answer.kind == "scalar":
        value = answer.sum.rational if answer.sum else None
        return value == Fraction(str(gold.key[1])) and not answer.unit
    kinds = {gold.kind, answer.kind}
    if kinds & {"tuple", "assignment"} and _elements(gold) == _elements(answer) != ():
        return True
    if (gold.kind, answer.kind) == ("set", "assignment"):
        members = gold.key[1]
        assert isinstance(members, frozenset)
        return Counter(gold.order or members) == Counter(answer.order)
    if kinds == {"set", "union"} and _intervals(gold) == _intervals(answer) is not None:
        return True
    return False if _decided(gold, answer) and not _measured(gold, answer) else None


def _measured(gold: Value, answer: Value) -> bool:
    """Whether the answer may have a unit of one letter."""
    if gold.sum is None or answer.sum is None:
        return False
    if gold.sum.rational and answer.sum.rational is not None:
        return False  # such as 12 for 7: no letter in either
    return any(answer.sum == gold.sum * exact.letter(unit) for unit in ("m", "s", "h", "g"))


def _as_equation(value: Value) -> Key | None:
    if value.kind == "equation":
        return value.key
    if not value.name or value.sum is None or value.name in value.sum.letters:
        return None
    return _equation(_scalar(exact.atom("letter", value.name)), value).key


def _is_other_name(one: str, other: str) -> bool:
    """Whether two letters name different things; an index, or the case, may be left out."""
    one, other = (name.partition("_")[0].casefold() for name in (one, other))
    return bool(one and other) and one != other


def _in_dollars(value: Value) -> Sum | None:
    """An amount of money: 50 cents are 0.50 dollars. No other unit is converted."""
    if value.sum is None or value.unit not in ("dollar", "cent"):
        return None
    return value.sum / number(100) if value.unit == "cent" else value.sum


def _intervals(value: Value) -> Key | None:
    """The union that a list of intervals, (1,2), (3,4), may stand for."""
    if value.kind == "union":
        return value.key
    try:
        return _union([Value(key) for key in value.key[1]]).key  # type: ignore[attr-defined]
    except UnreadableError:
        return None


def _clash(one: str, other: str) -> bool:
    name, _, power = one.partition("^")
    other_name, _, other_power = other.partition("^")
    if not name or not other_name:
        return False
    return name != other_name or bool(power and other_power and power != other_power)


def _percent(gold: Value, answer: Value) -> bool:
    """10% for 10, and 10 for 10%."""
    if gold.percent == answer.percent or gold.sum is None or answer.sum is None:
        return False
    factor = number(100) if gold.percent else number(Fraction(1, 100))
    meant = replace(_scalar(gold.sum * factor), decimals=gold.decimals)
    return meant.key == answer.key or _rounded(meant, answer)


def _rounded(gold: Value, answer: Value) -> bool:
    if gold.sum is None or answer.sum is None or answer.decimals < ROUNDED or gold.decimals:
        return False
    true, given = gold.sum.real, answer.sum.real
    places = min(answer.decimals, _FLOAT_DIGITS)
    if not true or not given or abs(given) < 10.0 ** (ROUNDED - 1 - places):
        return False
    rational = gold.sum.rational
    if rational is not None and _strip(_strip(rational.denominator, 2), 5) == 1:
        return False
    if math.isclose(true, given, rel_tol=10.0**-_FLOAT_DIGITS):
        return True
    if places < answer.decimals:
        return False
    # Of more digits than are asked for the last may be cut off: 0.66666666 is nearer than 0.666667.
    cut = math.trunc(true * 10.0**places) / 10.0**places
    return given in (float(f"{true:.{places}f}"), cut if places > ROUNDED else None)


def _strip(value: int, prime: int) -> int:
    while value % prime == 0:
        value //= prime
    return value


def _elements(value: Value) -> tuple[Key, ...]:
    if value.kind == "tuple":
        elements = value.key[2]
        return elements if value.key[1] == "()" and isinstance(elements, tuple) else ()
    return value.order


def _decided(gold: Value, answer: Value) -> bool:
    if not (gold.closed and answer.closed):
        return False
    kinds = {gold.kind, answer.kind}
    if "equation" in kinds:  # may be solved or written otherwise
        return kinds == {"equation"} and _is_linear(gold) and _is_linear(answer)
    if kinds == {"word", "scalar"}:
        # A short word without a command is taken for a product of letters.
        word, scalar = (gold, answer) if gold.kind == "word" else (answer, gold)
        is_short = len(word.key) == 2 and 1 < len(str(word.key[1])) <= LONGEST_PRODUCT
        return not (is_short and scalar.sum and scalar.sum.letters)
    # A list of pairs may be one of open intervals.
    return kinds not in ({"matrix", "tuple"}, {"set", "union"})


def _is_linear(equation: Value) -> bool:
    value = equation.key[1]
    return isinstance(value, Sum) and value.is_linear


_RELATIONS = frozenset(["=", "<", ">", "<=", ">=", "!=", "approx", "element"])
_OPENING = {"(": ")", "[": "]", r"\{": r"\}", "<<": ">>", "{": "}", "begin": "end"}
_CLOSING = frozenset(_OPENING.values())
_NUMBER_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen",
)  # fmt: skip
_NUMERALS = {word: value for value, word in enumerate(_NUMBER_WORDS)}
_BASES = {**_NUMERALS, "binary": 2, "octal": 8, "decimal": 10, "hexadecimal": 16}
_MULTIPLES = {
    "dozen": 12, "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9,
    "trillion": 10**12,
}  # fmt: skip
_NO_UNITS = frozenset(
    ["a", "an", "and", "are", "as", "at", "base", "because", "but", "by", "each", "either",
     "else", "equals", "for", "from", "greater", "has", "have", "if", "is", "less", "mod",
     "modulo", "more", "most", "least", "minus", "neither", "no", "none", "nor", "not", "of",
     "off", "only", "or", "otherwise", "over", "plus", "remainder", "so", "such", "than",
     "that", "the", "then", "times", "to", "undefined", "unless", "when", "where", "which",
     "while", "with", "without",
     # Not what is counted, but another number.
     "squared", "cubed", "factorial", "half", "halves", "third", "thirds", "fourth", "fourths",
     "fifth", "fifths", "sixth", "sixths", "seventh", "sevenths", "eighth", "eighths", "ninth",
     "ninths", "tenth", "tenths", "hundredth", "hundredths", "thousandth", "thousandths",
     "dozens", "hundreds", "thousands", "millions", "billions", "trillions"]
)  # fmt: skip
_ARTICLES = frozenset(["a", "an", "the"])
_ALL_REALS = frozenset(["all real numbers", "all reals", "real numbers", "all real values"])
_NO_ELEMENT = frozenset(["no solution", "no solutions", "empty set", "no solution exists",
                         "no solutions exist"])  # fmt: skip

_INFINITE = exact.atom("infinity")

_BLANK = Token("space", " ")


_AXES = {f"axis {name}": place for place, name in enumerate("ijk")}


def _answer(span: Sequence[Token]) -> Value:
    """Like all functions below, raises ``UnreadableError`` for what it does not know."""
    if value := _words(span):
        return value
    if value := _choice(span):
        return value
    return _listed(span, 0)


def _choice(span: Sequence[Token]) -> Value | None:
    r"""The letter of \textbf{(C)}\ 42, which may be compared with letters only."""
    kinds = "".join(token.kind[0] for token in span)
    if not re.match(r"\{\(w\)\}.", kinds) or len(span[2].text) != 1:
        return None
    return replace(_scalar(exact.letter(span[2].text)), closed=False)


def _trimmed(span: Sequence[Token]) -> Sequence[Token]:
    start, end = 0, len(span)
    while start < end and span[start].kind == "space":
        start += 1
    while end > start and span[end - 1].kind in ("space", ".", "row"):
        end -= 1
    return span[start:end]


def _unwrapped(span: Sequence[Token]) -> Sequence[Token]:
    """Without braces around all of it."""
    span = _trimmed(span)
    while span and span[0].kind == "{" and _closing(span, 0) == len(span) - 1:
        span = _trimmed(span[1:-1])
    return span


def _closing(span: Sequence[Token], start: int) -> int:
    """The place of the bracket that closes the one at ``start``; half-open intervals included."""
    open_kinds = []
    for place in range(start, len(span)):
        kind = span[place].kind
        if kind in _OPENING:
            open_kinds.append(kind)
            if len(open_kinds) > DEEPEST:
                raise UnreadableError
        elif kind in _CLOSING:
            if not open_kinds:
                raise UnreadableError
            opened = open_kinds.pop()
            if kind != _OPENING[opened] and not {opened, kind} <= {"(", "[", ")", "]"}:
                raise UnreadableError
            if not open_kinds:
                return place
    raise UnreadableError


def _split(span: Sequence[Token], at: frozenset[str]) -> tuple[list[Sequence[Token]], list[str]]:
    """Parts between separators that stand outside of all brackets, and the separators."""
    parts, separators, start, place = [], [], 0, 0
    while place < len(span):
        token = span[place]
        name = token.kind
        if name in ("word", "command"):
            name = token.text.lower()
        if token.kind in _OPENING:
            end = _closing(span, place)
            # \text{ or }
            inside = [t.text.lower() for t in span[place + 1 : end] if t.kind != "space"]
            if token.kind != "{" or not inside or not at.issuperset(inside):
                place = end + 1
                continue
            name, following = inside[-1], end + 1
        else:
            following = place + 1
        if name in at:
            parts.append(_unwrapped(span[start:place]))
            separators.append(name)
            start = following
        place = following
    return [*parts, _unwrapped(span[start:])], separators


def _words(span: Sequence[Token]) -> Value | None:
    """A word or a few, such as east or (C), where there is nothing else."""
    flat = [token for token in span if token.kind not in ("{", "}", "space")]
    while len(flat) > 2 and flat[0].kind == "(" and flat[-1].kind == ")":
        flat = flat[1:-1]
    if not flat or any(token.kind != "word" for token in flat):
        return None
    words = [token.text.casefold() for token in flat]
    if len(flat) == 1 and len(words[0]) == 1:
        return _scalar(exact.letter(flat[0].text))
    if len(words) == 1 and words[0] in _NUMERALS:
        return _scalar(number(_NUMERALS[words[0]]))
    if {"or", "and"} & set(words[1:-1]):
        raise UnreadableError
    words = [word for word in words if word not in _ARTICLES] or words
    if (phrase := " ".join(words)) in _ALL_REALS:
        return _interval("(", -_INFINITE, _INFINITE, ")")
    if phrase in _NO_ELEMENT:
        return Value(("set", frozenset()))
    return Value(("word", *words))


def _scalar(value: Sum) -> Value:
    return Value(("scalar", value), closed=value.is_closed)


_SEPARATORS = frozenset([",", ";", "or", "and"])


def _listed(span: Sequence[Token], depth: int) -> Value:
    """One item, or several with commas or words between them, whose order does not matter."""
    parts, separators = _split(span, _SEPARATORS)
    items = [_item(part, depth) for part in parts if part or len(parts) == 1]
    # "1, 2, and 3"
    if len(items) < len(parts) - ("and" in separators or "or" in separators):
        raise UnreadableError
    if len(items) == 1:
        return items[0]
    if any(item.kind in ("interval", "union") for item in items) or any(
        token.kind in ("<", ">") for token in span
    ):
        # "x > 2, x < 5" may mean both at once; intervals with commas are those of a union.
        is_list = not any(token.kind in ("<", ">", "<=", ">=") for token in span)
        if set(separators) != {"or"} and not (is_list and set(separators) <= {",", "or", "and"}):
            raise UnreadableError
        return _union(items)
    return _collection(items)


def _collection(items: Sequence[Value]) -> Value:
    if len({item.name for item in items}) > 1 and all(item.name for item in items):
        return _assignment(items)
    flat: list[Value] = []
    ordered = True
    for item in items:
        if item.kind == "set":
            ordered = False
            flat += [Value(key, item.closed) for key in item.key[1]]  # type: ignore[attr-defined]
        elif item.kind in ("equation", "union"):
            raise UnreadableError
        else:
            flat.append(item)
    closed = all(item.closed for item in flat)
    keys = tuple(item.key for item in flat)
    if len(set(keys)) == 1:
        return replace(flat[0], order=keys if ordered and len(keys) > 1 else ())
    units = {item.unit for item in flat} - {""}
    return Value(
        ("set", frozenset(keys)),
        closed,
        unit=units.pop() if len(units) == 1 else "",
        order=keys if ordered else (),
    )


def _assignment(items: Sequence[Value]) -> Value:
    """Values of different letters, a = 1, b = 2: in the order of the alphabet, not of a text."""
    names = list(dict.fromkeys(item.name for item in items))
    if any(item.sum and item.sum.letters & {*names} for item in items):  # still to be inserted
        raise UnreadableError
    # Greek letters and indices have no order but that in which they are given.
    ordered = sorted(names) if all(len(name) == 1 for name in names) else names
    solutions = [
        {item.name: item for item in items[start : start + len(names)]}
        for start in range(0, len(items), len(names))
    ]
    if any(solution.keys() != {*names} for solution in solutions):
        raise UnreadableError
    if len(solutions) > 1:
        points = [_tuple("()", [solution[name] for name in ordered]) for solution in solutions]
        return replace(_collection(points), order=())
    return Value(
        ("assignment", frozenset((name, item.key) for name, item in solutions[0].items())),
        closed=all(item.closed for item in items),
        order=tuple(solutions[0][name].key for name in ordered),
    )


def _item(span: Sequence[Token], depth: int) -> Value:
    if depth > DEEPEST or not span:
        raise UnreadableError
    sides, relations = _split(span, _RELATIONS)
    if not relations:
        return _side(sides[0], depth)
    if relations == ["element"]:
        _letter(sides[0])
        return _side(sides[1], depth)
    if set(relations) <= {"<", "<="} or set(relations) <= {">", ">="}:
        return _inequality(sides, relations, depth)
    if set(relations) <= {"=", "approx"}:
        return _equality(sides, relations, depth)
    raise UnreadableError


def _letter(span: Sequence[Token]) -> str:
    if len(span) != 1 or span[0].kind != "letter" or span[0].text in ("e", "i"):
        raise UnreadableError
    return span[0].text


def _inequality(sides: Sequence[Sequence[Token]], relations: Sequence[str], depth: int) -> Value:
    if relations[0].startswith(">"):
        sides, relations = sides[::-1], [r.replace(">", "<") for r in reversed(relations)]
    brackets = {"<": "()", "<=": "[]"}
    if len(sides) == 3:
        _letter(sides[1])
        low, high = _end(sides[0], depth), _end(sides[2], depth)
        return _interval(brackets[relations[0]][0], low, high, brackets[relations[1]][1])
    if len(sides) != 2:
        raise UnreadableError
    if len(sides[0]) == 1 and sides[0][0].kind == "letter":
        _letter(sides[0])
        return _interval("(", -_INFINITE, _end(sides[1], depth), brackets[relations[0]][1])
    _letter(sides[1])
    return _interval(brackets[relations[0]][0], _end(sides[0], depth), _INFINITE, ")")


def _end(span: Sequence[Token], depth: int) -> Sum:
    value = _side(span, depth)
    if value.sum is None or value.sum.letters:
        raise UnreadableError
    return value.sum


def _interval(opening: str, low: Sum, high: Sum, closing: str) -> Value:
    # ASSUME: a bracket that includes infinity is a slip of the pen.
    opening = "(" if low == -_INFINITE else opening
    closing = ")" if high == _INFINITE else closing
    # An open interval and a pair look the same, and must be the same.
    if (opening, closing) == ("(", ")"):
        return _tuple("()", [_scalar(low), _scalar(high)])
    return Value(("interval", opening, low, high, closing), closed=low.is_closed and high.is_closed)


def _tuple(brackets: str, items: Sequence[Value]) -> Value:
    # A set among them, as of plus-minus, may stand for several tuples.
    if any(item.kind in ("equation", "union", "interval", "set") for item in items):
        raise UnreadableError
    return Value(
        ("tuple", brackets, tuple(item.key for item in items)),
        closed=all(item.closed for item in items),
    )


def _equality(sides: Sequence[Sequence[Token]], relations: Sequence[str], depth: int) -> Value:
    if len(sides) == 2 and _is_name(sides[1]) and not _is_name(sides[0]):
        value = _side(sides[0], depth)
        if value.sum is None or not value.sum.letters:  # 5 = x
            sides = sides[::-1]
    named = _is_name(sides[0])
    # What is about the same adds nothing, unless there is nothing else.
    kept = [sides[0]]
    for relation, side in zip(relations, sides[1:], strict=True):
        if relation == "approx" and not (named and len(kept) == 1):
            break
        kept.append(side)
    if named:
        values = [_side(side, depth) for side in kept[1:]]
        # Of f(x), the f.
        is_call = len(kept[0]) > 1 and kept[0][1].kind == "("
        own = {t.text for t in kept[0][: 1 if is_call else None] if t.kind == "letter"}
        if any(value.sum and value.sum.letters & own for value in values) and len(kept) == 2:
            return _equation(_side(kept[0], depth), values[0])
    else:
        values = [_side(side, depth) for side in kept]
        if len(values) == 2 and any(value.sum and value.sum.letters for value in values):
            return _equation(*values)
    if len({value.key for value in values}) != 1:
        raise UnreadableError
    return replace(values[-1], name=_variable_name(kept[0], depth) if named else "")


def _variable_name(span: Sequence[Token], depth: int) -> str:
    """The letter that this is, with its index, else blank: \\text{Area}, AB, f(x)."""
    try:
        value = _side(span, depth).sum
    except UnreadableError:
        return ""
    name = "".join(value.letters) if value else ""
    return name if value == exact.atom("letter", name) else ""


def _is_name(span: Sequence[Token]) -> bool:
    r"""Whether this names what is asked for: x, x_1, AB, f(x), (x, y), \angle ABC, \text{Area}."""
    shape = "".join(
        "x" if token.kind == "letter" and (token.text.islower() or token.text in GREEK)
        else "X" if token.kind == "letter"
        else "n" if token.kind == "number"
        else "w" if token.kind == "word"
        else "a" if token.text in ("angle", "triangle", "overline")
        else "" if token.kind in ("space", "{", "}")
        else token.kind
        for token in span
        if token.text != "degree"
    )  # fmt: skip
    return bool(
        re.fullmatch(
            r"[xX](?:_[nxX])?|X+|[xX]\([xXn](?:,[xXn])*\)|\([xX](?:,[xX])+\)|x?a[xX]+|(?:w|X)*w",
            shape,
        )
    )


def _equation(left: Value, right: Value) -> Value:
    if left.sum is None or right.sum is None:
        raise UnreadableError
    difference = left.sum + -right.sum
    if not difference.terms:
        raise UnreadableError
    first = min(
        difference.terms, key=lambda term: sorted((repr(g), str(power)) for g, power in term)
    )
    scaled = difference / number(difference.terms[first])
    return Value(("equation", scaled), closed=scaled.is_closed)


def _side(span: Sequence[Token], depth: int) -> Value:
    span = _unwrapped(span)
    if depth > DEEPEST or not span:
        raise UnreadableError
    if value := _words(span):
        return value
    parts, unions = _split(span, frozenset(["cup"]))
    if unions:
        return _union([_side(part, depth + 1) for part in parts])
    if len(span) == 1 and span[0].kind == "command":
        if span[0].text == "emptyset":
            return Value(("set", frozenset()))
        if span[0].text == "reals":
            return _interval("(", -_INFINITE, _INFINITE, ")")
    if numeral := _numeral(span):
        return numeral
    if span[0].kind in _OPENING and _closing(span, 0) == len(span) - 1:
        return _bracketed(span, depth + 1)
    if any(token.text in ("pm", "mp") for token in span):
        return _both_signs(span, depth)
    value = _Expression(span, depth).value()
    if value.sum is not None and value.sum.letters & _AXES.keys():
        return _vector(value.sum)
    return value


def _vector(total: Sum) -> Value:
    r"""3\mathbf{i} - \mathbf{k}, as (3, 0, -1)."""
    parts = []
    for name in _AXES:
        axis = exact.atom("letter", name)
        parts.append((total / axis).constant if name in total.letters else number(0))
        total = total + -(parts[-1] * axis)
    if total.terms:
        raise UnreadableError
    return _tuple("()", [_scalar(part) for part in parts])


def _bracketed(span: Sequence[Token], depth: int) -> Value:
    opening, closing, inside = span[0].kind, span[-1].kind, span[1:-1]
    if opening == "begin":
        return _matrix(inside, depth)
    parts, separators = _split(inside, frozenset([",", ";"]))
    if opening == r"\{":
        if not _trimmed(inside):
            return Value(("set", frozenset()))
        return replace(_collection([_item(part, depth) for part in parts]), order=())
    if not separators:
        if (opening, closing) == ("(", ")"):
            # (52)_8 has been read before; what is left is an expression, or a relation.
            return _item(_unwrapped(inside), depth)
        if opening == "<<" or len(_trimmed(inside)) == 0:
            raise UnreadableError
        if span[1].kind == "begin":
            return _side(inside, depth)
        raise UnreadableError
    items = [_side(part, depth) for part in parts]
    if opening == "<<" or (opening, closing) == ("(", ")"):
        return _tuple("()", items)
    if len(items) > 2 and (opening, closing) == ("[", "]"):
        return _tuple("()", items)
    if len(items) != 2 or items[0].sum is None or items[1].sum is None:
        raise UnreadableError
    return _interval(opening, items[0].sum, items[1].sum, closing)


def _matrix(inside: Sequence[Token], depth: int) -> Value:
    rows = [
        [_side(entry, depth) for entry in _split(row, frozenset(["&"]))[0]]
        for row in _split(_trimmed(inside), frozenset(["row"]))[0]
    ]
    if len({len(row) for row in rows}) != 1:
        raise UnreadableError
    if len(rows[0]) == 1 and len(rows) > 1:  # a column is a vector
        return _tuple("()", [row[0] for row in rows])
    return Value(
        ("matrix", tuple(tuple(entry.key for entry in row) for row in rows)),
        closed=all(entry.closed for row in rows for entry in row),
    )


def _union(items: Sequence[Value]) -> Value:
    """A union of intervals, joined where they overlap or touch."""
    spans: list[tuple[Any, ...]] = []
    for item in items:
        if item.kind == "union":
            spans += [tuple(key) for key in item.key[1]]  # type: ignore[attr-defined]
        elif item.kind == "interval":
            spans.append(item.key[1:])
        elif item.kind == "tuple" and item.key[1] == "()" and len(item.key[2]) == 2:  # type: ignore[arg-type]
            ends: Any = item.key[2]
            if any(end[0] != "scalar" for end in ends):
                raise UnreadableError
            spans.append(("(", ends[0][1], ends[1][1], ")"))
        else:
            raise UnreadableError
    placed = [(_real(span[1]), _real(span[2]), span) for span in spans]
    placed.sort(key=lambda each: (each[0], each[2][0] == "(", each[1]))
    joined = placed[:1]
    for low, high, span in placed[1:]:
        before_low, before_high, before = joined[-1]
        if low < before_high or (low == before_high and (span[0] == "[" or before[3] == "]")):
            if (high, span[3] == "]") > (before_high, before[3] == "]"):
                joined[-1] = (before_low, high, (before[0], before[1], span[2], span[3]))
        else:
            joined.append((low, high, span))
    if any(low > high for low, high, _ in joined):
        raise UnreadableError
    if len(joined) == 1:
        return _interval(*joined[0][2])
    return Value(
        ("union", tuple(span for _, _, span in joined)),
        closed=all(span[1].is_closed and span[2].is_closed for _, _, span in joined),
    )


def _real(end: object) -> float:
    if end == _INFINITE:
        return float("inf")
    if end == -_INFINITE:
        return float("-inf")
    value = end.real if isinstance(end, Sum) else None
    if value is None:
        raise UnreadableError
    return value


def _numeral(span: Sequence[Token]) -> Value | None:
    r"""A numeral in a base: 52_8, (52)_{8}, 52_{\text{eight}}, 52 base 8."""
    flat = [t for t in span if t.kind not in ("space", "{", "}") and t.text not in ("in", "the")]
    sign = "-" if flat and flat[0].kind == "-" else ""
    flat = flat[len(sign) :]
    while len(flat) > 3 and flat[0].kind == "(" and flat[2].kind == ")":
        flat = [flat[1], *flat[3:]]
    if len(flat) < 3 or flat[0].kind != "number":
        return None
    rest = [t for t in flat[1:] if t.kind not in ("_", "(", ")")]
    if flat[1].kind != "_" and not any(t.kind == "word" and t.text == "base" for t in rest):
        return None
    rest = [t for t in rest if t.text.lower() not in ("base", "radix")]
    if len(rest) != 1:
        raise UnreadableError
    name = rest[0].text.lower()
    base = int(name) if name.isdigit() and len(name) < 4 else _BASES.get(name)
    if base is None:
        raise UnreadableError
    digits = flat[0].text.lstrip("0") or "0"
    if base == 10:
        return replace(_scalar(number(Fraction(sign + digits))), unit="base 10")
    return Value(("numeral", sign + digits, base))


def _both_signs(span: Sequence[Token], depth: int) -> Value:
    if sum(token.text in ("pm", "mp") for token in span) > 1:
        raise UnreadableError
    values = []
    for sign, other in (("+", "-"), ("-", "+")):
        chosen = {"pm": Token(sign, sign), "mp": Token(other, other)}
        values.append(_side([chosen.get(token.text, token) for token in span], depth))
    return replace(_collection(values), order=())


class _Expression:
    """Sums and products of numbers and letters, and the unit that they are given in."""

    def __init__(self, span: Sequence[Token], depth: int) -> None:
        self._tokens, self._place, self._depth = span, 0, depth
        self._unit, self._percent = "", False

    def value(self) -> Value:
        total = self._sum()
        total = self._ending(total)
        if self._place < len(self._tokens):
            raise UnreadableError
        decimals = 0
        if self._is_plain(total):
            _, _, after = next(t.text for t in self._tokens if t.kind == "number").partition(".")
            decimals = len(after)
        if self._percent:
            total, decimals = total / number(100), decimals and decimals + 2
        return replace(_scalar(total), unit=self._unit, percent=self._percent, decimals=decimals)

    def _is_plain(self, total: Sum) -> bool:
        kinds = [token.kind for token in self._tokens]
        return kinds.count("number") == 1 and "/" not in kinds and total.rational is not None

    def _peek(self, *, over_space: bool = True) -> Token | None:
        place = self._place
        if over_space:
            while place < len(self._tokens) and self._tokens[place].kind == "space":
                place += 1
        return self._tokens[place] if place < len(self._tokens) else None

    def _next(self) -> Token:
        while self._tokens[self._place].kind == "space":
            self._place += 1
        self._place += 1
        return self._tokens[self._place - 1]

    def _sum(self) -> Sum:
        sign = self._sign()
        total = self._product()
        total = -total if sign < 0 else total
        while (token := self._peek()) and token.kind in ("+", "-"):
            sign = self._sign()
            term = self._product()
            total = total + (-term if sign < 0 else term)
        return total

    def _sign(self) -> int:
        sign = 1
        while (token := self._peek()) and token.kind in ("+", "-", "dollar"):
            if token.kind == "dollar":
                self._set_unit("dollar")
            elif token.kind == "-":
                sign = -sign
            self._next()
        return sign

    def _set_unit(self, name: str) -> None:
        if self._unit and name and self._unit != name:
            raise UnreadableError
        self._unit = self._unit or name

    def _product(self) -> Sum:
        total, divided = self._mixed() or self._factor(), False
        while token := self._peek():
            if token.kind in ("*", "/"):
                self._next()
                sign = self._sign()
                factor = self._mixed() or self._factor()
                factor = -factor if sign < 0 else factor
                total = total * factor if token.kind == "*" else total / factor
                divided = token.kind == "/"
            elif self._starts_factor(token):
                # 1/2x may be meant either way, and two numbers side by side are no product.
                if divided or token.kind == "number" or self._is_exponent_mark():
                    raise UnreadableError
                if token.text == "frac" and self._after_number():
                    raise UnreadableError
                total = total * self._factor()
            else:
                break
        return total

    def _is_exponent_mark(self) -> bool:
        """Whether the e here is that of 1.5e-3, a number as programs write it."""
        before, here, *after = [*self._tokens[self._place - 1 : self._place + 3], *[_BLANK] * 3][:4]
        return (
            (before.kind, here.text.lower()) == ("number", "e")
            and after[0].kind in ("+", "-")
            and after[1].kind == "number"
        )

    def _after_number(self) -> bool:
        place = self._place - 1
        while place >= 0 and self._tokens[place].kind == "space":
            place -= 1
        return place >= 0 and self._tokens[place].kind == "number" and self._has_plain_fraction()

    def _has_plain_fraction(self) -> bool:
        place = self._place
        while self._tokens[place].kind == "space":
            place += 1
        rest = [token for token in self._tokens[place + 1 : place + 7] if token.kind != "space"]
        return self._fraction_of(rest) is not None

    @staticmethod
    def _fraction_of(rest: Sequence[Token]) -> tuple[int, int] | None:
        kinds = "".join(token.kind[0] for token in rest)
        if kinds.startswith("{n}{n}"):
            parts = rest[1].text, rest[4].text
        elif kinds.startswith("{n}n"):
            parts = rest[1].text, rest[3].text
        elif kinds.startswith("n{n}"):
            parts = rest[0].text, rest[2].text
        elif kinds.startswith("nn"):
            parts = rest[0].text, rest[1].text
        elif kinds.startswith("n") and len(rest[0].text) == 2:
            parts = rest[0].text[0], rest[0].text[1]
        else:
            return None
        if not (parts[0].isdigit() and parts[1].isdigit()):
            return None
        return int(parts[0]), int(parts[1])

    def _mixed(self) -> Sum | None:
        r"""A mixed number, 137 \frac{1}{2} or 137 1/2, if one begins here."""
        whole = self._peek()
        if whole is None or whole.kind != "number" or not whole.text.isdigit():
            return None
        start = self._place
        self._next()
        token = self._peek()
        if token is not None and token.text == "frac" and self._has_plain_fraction():
            self._next()
            above, below = self._fraction()
        elif token is not None and token.kind == "number" and token.text.isdigit():
            self._next()
            slash = self._peek()
            if slash is None or slash.kind != "/":
                raise UnreadableError
            self._next()
            under = self._peek()
            if under is None or under.kind != "number" or not under.text.isdigit():
                raise UnreadableError
            self._next()
            above, below = number(int(token.text)), number(int(under.text))
        else:
            self._place = start
            return None
        part = (above / below).rational
        if part is None or not 0 < part < 1:
            raise UnreadableError
        return number(int(whole.text) + part)

    def _starts_factor(self, token: Token) -> bool:
        if token.kind in ("number", "letter", "(", "{"):
            return token.kind != "{" or not self._is_unit_group()
        return token.kind == "command" and (
            token.text in ("frac", "sqrt", "squareroot", "pi", "binom", "infty")
            or token.text in FUNCTIONS
        )

    def _is_unit_group(self) -> bool:
        place = self._place
        while self._tokens[place].kind == "space":
            place += 1
        inside = self._tokens[place + 1 : _closing(self._tokens, place)]
        if inside and all(token.text in ("degree", "%") for token in _trimmed(inside)):
            return True
        words = [token for token in inside if token.kind == "word"]
        return bool(words) and not (len(words) == 1 and words[0].text in ("i", "e"))

    def _factor(self) -> Sum:
        base, token = self._base(), self._peek()
        if token is not None and token.kind == "!":
            self._next()
            base, token = exact.factorial(base), self._peek()
        if token is None or token.kind != "^":
            return base
        self._next()
        token = self._peek()
        if token is None:
            raise UnreadableError
        if token.kind == "{":
            end = _closing(self._tokens, self._tokens.index(token, self._place))
            inside = _unwrapped(self._tokens[self._place : end + 1])
            if len(inside) == 1 and inside[0].text in ("degree", "st", "nd", "rd", "th"):
                self._place = end + 1
                self._set_unit("degree" if inside[0].text == "degree" else "")
                return base
        elif token.text == "degree":
            self._next()
            self._set_unit("degree")
            return base
        elif token.kind == "number" and len(token.text) > 1:
            raise UnreadableError
        result = exact.power(base, self._base())
        after = self._peek()
        if after is not None and after.kind in ("^", "!"):
            raise UnreadableError
        return result

    def _base(self) -> Sum:
        if self._peek() is None:
            raise UnreadableError
        token = self._next()
        if token.kind == "number":
            return number(Fraction(f"0{token.text}") + self._recurring(token.text))
        if token.kind == "letter":
            return self._variable(token.text)
        if token.kind == "word" and len(token.text) == 1:
            return self._variable(token.text)
        if token.kind in ("(", "{", "["):
            self._place -= 1
            end = _closing(self._tokens, self._place)
            inside, start = self._tokens[self._place + 1 : end], self._place
            self._place = end + 1
            if (token.kind, self._tokens[end].kind) not in (("(", ")"), ("{", "}"), ("[", "]")):
                raise UnreadableError
            result = self._inner(inside)
            if result in (_INFINITE, -_INFINITE):
                self._require_alone(start)
            return result
        if token.kind != "command":
            raise UnreadableError
        if token.text == "pi":
            return exact.letter("pi")
        if token.text == "infty":
            self._require_alone(self._place - 1)
            return _INFINITE
        if token.text == "frac":
            above, below = self._fraction()
            return above / below
        if token.text == "binom":
            return exact.binomial(self._argument(), self._argument())
        if token.text == "sqrt":
            return self._square_root()
        if token.text == "squareroot":
            return exact.power(self._base(), number(Fraction(1, 2)))
        if token.text in FUNCTIONS:
            return self._call(token.text)
        raise UnreadableError

    def _recurring(self, before: str) -> Fraction:
        r"""What 0.1\overline{6} has beyond its 0.1."""
        token = self._peek(over_space=False)
        if "." not in before or token is None or token.text != "overline":
            return Fraction()
        self._next()
        group = self._tokens[self._place : _closing(self._tokens, self._place) + 1]
        if [part.kind for part in group] != ["{", "number", "}"] or not group[1].text.isdigit():
            raise UnreadableError
        self._place += len(group)
        digits, places = group[1].text, len(before.partition(".")[2])
        return Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)

    def _require_alone(self, start: int) -> None:
        """Infinity, from ``start`` to here, has a sign at most: of what else is done to it much is
        undefined, such as its difference from itself, and the rest is no value of its own."""
        around = [*self._tokens[:start], *self._tokens[self._place :]]
        if any(token.kind not in ("-", "+", "space") for token in around):
            raise UnreadableError

    def _inner(self, inside: Sequence[Token]) -> Sum:
        inside = _unwrapped(inside)
        if not inside or self._depth + 1 > DEEPEST:
            raise UnreadableError
        value = _Expression(inside, self._depth + 1).value()
        if value.sum is None or value.percent:
            raise UnreadableError
        self._set_unit(value.unit)
        return value.sum

    def _variable(self, name: str) -> Sum:
        token = self._peek(over_space=False)
        if token is None or token.kind != "_":
            return exact.letter(name)
        self._next()
        token = self._peek()
        if token is None:
            raise UnreadableError
        start, end = self._place, self._place + 1
        if token.kind == "{":
            start = self._tokens.index(token, self._place)
            end = _closing(self._tokens, start) + 1
        index = [t for t in self._tokens[start:end] if t.kind not in ("{", "}", "space")]
        # Of an index that is an expression, such as n + 1, there is no normal form here.
        if len(index) != 1 or index[0].kind not in ("number", "letter", "word"):
            raise UnreadableError
        self._place = end
        return exact.atom("letter", f"{name}_{index[0].text}")

    def _argument(self) -> Sum:
        """What a command is applied to: a group, a letter or a number."""
        token = self._peek()
        if token is None or token.kind in ("-", "+"):
            raise UnreadableError
        # ASSUME: whoever leaves out the braces of \\sqrt21 means the root of 21.
        return self._base()

    def _fraction(self) -> tuple[Sum, Sum]:
        token = self._peek()
        if token is not None and token.kind == "number" and re.fullmatch("[0-9]{2}", token.text):
            self._next()
            return number(int(token.text[0])), number(int(token.text[1]))
        if token is not None and token.kind == "number" and len(token.text) > 1:
            raise UnreadableError
        return self._argument(), self._argument()

    def _square_root(self) -> Sum:
        index = number(2)
        token = self._peek()
        if token is not None and token.kind == "[":
            index = self._base()
        return exact.power(self._argument(), number(1) / index)

    def _call(self, name: str) -> Sum:
        token = self._peek()
        parameter: Sum | None = None
        if token is not None and token.kind == "_":
            self._next()
            parameter, token = self._base(), self._peek()
        if token is None or token.kind not in ("letter", "number", "{", "("):
            raise UnreadableError
        unit = self._unit
        argument = self._factor()
        following = self._peek()
        if self._unit != unit or (following is not None and self._starts_factor(following)):
            raise UnreadableError
        return exact.atom("call", name, parameter, argument)

    def _ending(self, total: Sum) -> Sum:
        """What follows a number: percent, degrees, a unit, or a word such as million."""
        words: list[str] = []
        power = before = ""
        while token := self._peek():
            text = token.text.lower()
            if token.kind == "%" or (token.kind == "word" and text == "percent"):
                self._percent = True
            elif token.text == "degree":
                self._set_unit("degree")
            elif token.kind == "word" and text in _MULTIPLES and not words:
                total = total * number(_MULTIPLES[text])
            elif token.kind == "word":
                words.append(text)
                power = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}.get(text, power)
            elif token.kind == "number" and before in ("^", "{") and words:
                power = text
            elif token.kind not in ("{", "}", "^", "/", "."):
                return total
            before = self._next().kind
        if len(words) > 4 or any(word in _NO_UNITS for word in words):
            raise UnreadableError
        names = {UNITS[word] for word in words if word in UNITS} - {""}
        if len(names) == 1 and all(word in UNITS for word in words):
            self._set_unit(names.pop() + (f"^{power}" if power else ""))
        return total
