"""From an answer as written, in LaTeX, plain text or typographic characters, to tokens."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from compute_optimal.judge.grading.exact import UnreadableError


class Token(NamedTuple):
    """``kind``: "number", "letter", "word", "command", "space", or the character itself."""

    kind: str
    text: str


_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("−–—‐‑‒﹣－", "-"),
        **dict.fromkeys("×⋅·∙•∗", "*"),
        **dict.fromkeys("÷⁄∕", "/"),
        **dict.fromkeys("°º˚", r"\degree "),
        **dict.fromkeys("≤≦⩽", r"\le "),
        **dict.fromkeys("≥≧⩾", r"\ge "),
        **dict.fromkeys("≈≅≃", r"\approx "),
        **dict.fromkeys("∅⌀", r"\emptyset "),
        **dict.fromkeys("⟨〈", r"\langle "),
        **dict.fromkeys("⟩〉", r"\rangle "),
        "∞": r"\infty ", "√": r"\squareroot ", "π": r"\pi ", "±": r"\pm ", "∓": r"\mp ",
        "≠": r"\ne ", "∪": r"\cup ", "∈": r"\in ", "ℝ": r"\mathbb{R}", "’": "'", "，": ",",
    }
)  # fmt: skip
_RAISED = re.compile(r"[⁰¹²³⁴-⁹⁻]+")
_LOWERED = re.compile(r"[₀-₉]+")

_SAME = {
    **dict.fromkeys(["dfrac", "tfrac", "cfrac", "nicefrac", "sfrac"], "frac"),
    **dict.fromkeys(["dbinom", "tbinom"], "binom"),
    **dict.fromkeys(["le", "leq", "leqslant", "leqq"], "<="),
    **dict.fromkeys(["ge", "geq", "geqslant", "geqq"], ">="),
    **dict.fromkeys(["ne", "neq"], "!="),
    **dict.fromkeys(["approx", "simeq", "cong", "doteq"], "approx"),
    **dict.fromkeys(["cdot", "times", "ast"], "*"),
    **dict.fromkeys(["emptyset", "varnothing"], "emptyset"),
    **dict.fromkeys(["lor", "vee"], "or"),
    **dict.fromkeys(["land", "wedge"], "and"),
    **dict.fromkeys(["circ", "degree", "degrees"], "degree"),
    **dict.fromkeys(["lbrace", "{"], r"\{"),
    **dict.fromkeys(["rbrace", "}"], r"\}"),
    "lt": "<", "gt": ">", "div": "/", "lbrack": "[", "rbrack": "]", "langle": "<<",
    "rangle": ">>", "imath": "i", "inf": "infty", "infinity": "infty", "oo": "infty",
    "in": "element", "varphi": "phi", "vartheta": "theta", "varepsilon": "epsilon",
    "bar": "overline", "dot": "overline",
}  # fmt: skip
_PUNCTUATION = frozenset(["<=", ">=", "!=", "*", "/", "<", ">", "[", "]", "<<", ">>", r"\{", r"\}"])
_SPACES = frozenset([",", ";", ":", " ", ">", "quad", "qquad", "enspace", "thinspace", "space"])
_NOTHING = frozenset(
    ["!", "left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "biggl",
     "biggr", "Biggl", "Biggr", "displaystyle", "textstyle", "limits", "rm", "bf", "it",
     "boldsymbol", "bm", "mathstrut"]
)  # fmt: skip
_IN_WORDS = frozenset(
    ["text", "textbf", "textrm", "textit", "textsf", "texttt", "textnormal", "mbox", "hbox",
     "mathrm", "mathbf", "mathsf", "mathit", "mathtt", "operatorname", "emph", "vec", "hat"]
)  # fmt: skip
GREEK = frozenset(
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
     "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega", "Omega",
     "Phi", "Psi", "Sigma", "Delta", "Gamma", "Theta", "ell"]
)  # fmt: skip
FUNCTIONS = frozenset(
    ["sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh",
     "log", "ln", "exp"]
)  # fmt: skip

UNITS: dict[str, str] = {
    spelling: name
    for name, spellings in {
        "degree": "degree degrees deg",
        "dollar": "dollar dollars usd bucks",
        "cent": "cent cents",
        "inch": "inch inches in",
        "foot": "foot feet ft",
        "yard": "yard yards yd yds",
        "mile": "mile miles mi",
        "millimetre": "millimeter millimeters millimetre millimetres mm",
        "centimetre": "centimeter centimeters centimetre centimetres cm",
        "metre": "meter meters metre metres",
        "kilometre": "kilometer kilometers kilometre kilometres km",
        "gram": "gram grams gm",
        "kilogram": "kilogram kilograms kg",
        "pound": "pound pounds lb lbs",
        "ounce": "ounce ounces oz",
        "second": "second seconds sec secs",
        "minute": "minute minutes min mins",
        "hour": "hour hours hr hrs",
        "day": "day days",
        "week": "week weeks",
        "month": "month months",
        "year": "year years yr yrs",
        "mph": "mph",
        "kmph": "kmph kph",
        "radian": "radian radians rad",
        "": "unit units square sq cubic cu per th st nd rd pts",
    }.items()
    for spelling in spellings.split()
}
"""Spelling to unit; blank: says nothing about which."""

LONGEST_PRODUCT = 3
"""Letters in a row that are a product of variables; more are a word."""

_SHORT_WORDS = frozenset(
    ["or", "and", "yes", "no", "odd", "all", "one", "two", "six", "ten", "is", "not", "the", "for",
     "are", "if"]
)  # fmt: skip

_NUMBER = re.compile(r"[0-9]*\.[0-9]*(?=\\(?:overline|bar|dot))|[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
_SPACED_GROUPS = re.compile(r"[1-9][0-9]{0,2}(?:(?:\\[,;: ]|[ ~])[0-9]{3})+(?![0-9]|\s*/|\.?[0-9])")
_COMMA_GROUPS = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?")
_LETTERS = re.compile(r"[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]+(?:['-][A-Za-z]+)*")
_END = re.compile(r"(?:\\[,;:! ]|(?<!\\)[.,;]|\s)$")
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)


def tokens(text: str) -> list[Token]:
    """The tokens of an answer. Raises ``UnreadableError`` at what it has no token for. Linear."""
    text = _typeset(text)
    if ".." in text:
        raise UnreadableError
    grouped = _has_comma_groups(text)
    result: list[Token] = []
    modes = ["math"]
    depth = place = 0
    while place < len(text):
        sign = text[place]
        if (
            sign.isascii()
            and (sign.isdigit() or sign == ".")
            and (
                match := (depth == 0 and grouped and _COMMA_GROUPS.match(text, place))
                or _SPACED_GROUPS.match(text, place)
                or _NUMBER.match(text, place)
            )
        ):
            result.append(Token("number", re.sub(r"[^0-9.]", "", match[0])))
            place = match.end()
        elif sign == "\\":
            match = _COMMAND.match(text, place)
            if match is None:
                raise UnreadableError
            place = _command(match, text, result, modes)
        elif sign.isascii() and sign.isalpha():
            match = (_WORD if modes[-1] == "words" else _LETTERS).match(text, place)
            assert match is not None
            result += _run(match[0], result, in_words=modes[-1] == "words")
            place = match.end()
        elif sign in " \n\t~":
            result.append(Token("space", " "))
            place += 1
        elif sign in "{}":
            result.append(Token(sign, sign))
            if sign == "{":
                modes.append(modes[-1])
            elif len(modes) > 1:
                modes.pop()
            place += 1
        elif sign == "$":
            place += 1
        elif text.startswith(("<=", ">=", "!=", "**"), place):
            two = text[place : place + 2]
            result.append(Token(*("^^" if two == "**" else (two, two))))
            place += 2
        elif sign.isalpha() and (name := unicodedata.name(sign, "")).startswith("GREEK"):
            word = name.split()[-1]
            if word.lower() not in GREEK:
                raise UnreadableError
            result.append(Token("letter", word.lower() if "SMALL" in name else word.title()))
            place += 1
        elif sign in "+-*/^_=<>()[],;!%&|:'.":
            depth += (sign in "([") - (sign in ")]")
            result.append(Token(sign, sign))
            place += 1
        else:
            raise UnreadableError
        if len(result) > 1 and result[-1].kind in (r"\{", r"\}") and sign == "\\":
            depth += 1 if result[-1].kind == r"\{" else -1
    return result


def _typeset(text: str) -> str:
    if not text.isascii():
        text = _RAISED.sub(lambda m: f"^{{{unicodedata.normalize('NFKC', m[0])}}}", text)
        text = _LOWERED.sub(lambda m: f"_{{{unicodedata.normalize('NFKC', m[0])}}}", text)
        text = text.translate(_TYPOGRAPHY)
        text = "".join(_plain(sign) for sign in text)
    text = re.sub(r"\\\\|\\[()[\]]", lambda m: m[0] if m[0] == "\\\\" else " ", text)
    text = text.strip().strip("*").strip()
    text = re.sub(r"(?<=[0-9])(?:\{,\}|,\\!\s*|\\!,\s*|\\,\\!)(?=[0-9]{3})", "", text)
    text = re.sub(r"\\(left|right)\s*\.", "", text)
    while not text.endswith("..") and (end := _END.search(text)) is not None:
        text = text[: end.start()]
    return text


def _plain(sign: str) -> str:
    if sign.isascii():
        return sign
    kind = unicodedata.category(sign)
    if kind == "Zs":
        return " "
    same = unicodedata.normalize("NFKC", sign)
    if kind == "No" and "\u2044" in same:
        above, below = same.split("\u2044")
        return rf"\frac{{{above}}}{{{below}}}"
    return same if same.isascii() else sign


def _has_comma_groups(text: str) -> bool:
    """Whether all commas outside of brackets group digits: 58,500 is a number, 1,234,5 a list."""
    depth, n_commas = 0, 0
    for place, sign in enumerate(text):
        if sign in "([" or text.startswith(r"\{", place):
            depth += 1
        elif sign in ")]" or text.startswith(r"\}", place):
            depth -= 1
        elif sign == "," and depth <= 0 and text[place - 1 : place] != "\\":
            n_commas += 1
    return 0 < n_commas == sum(match[0].count(",") for match in _outside(text))


def _outside(text: str) -> list[re.Match[str]]:
    depth, place, matches = 0, 0, []
    while place < len(text):
        if text[place] in "([" or text.startswith(r"\{", place):
            depth += 1
        elif text[place] in ")]" or text.startswith(r"\}", place):
            depth -= 1
        elif (
            depth <= 0
            and not text[place - 1 : place].isdigit()
            and (match := _COMMA_GROUPS.match(text, place))
        ):
            matches.append(match)
            place = match.end()
            continue
        place += 1
    return matches


def _command(match: re.Match[str], text: str, result: list[Token], modes: list[str]) -> int:
    """Add the token of a LaTeX command and return the place after it."""
    name, place = match[1], match.end()
    if name in _NOTHING:
        return place
    if name in _SPACES:
        result.append(Token("space", " "))
    elif name in _IN_WORDS:
        opening = re.compile(r"\s*\{").match(text, place)
        if not opening:
            raise UnreadableError
        if name in ("mathbf", "vec", "hat") and (
            axis := re.compile(r"(?:\\[ij]math|[ijk])\s*\}").match(text, opening.end())
        ):
            result.append(Token("letter", "axis " + axis[0].strip(" \\}")[0]))
            return axis.end()
        result.append(Token("{", "{"))
        modes.append("words")
        return opening.end()
    elif name == "mathbb":
        number_set = re.compile(r"\s*\{?R\}?").match(text, place)
        if not number_set:
            raise UnreadableError
        result.append(Token("command", "reals"))
        return number_set.end()
    elif name in ("begin", "end"):
        environment = re.compile(r"\{(p|b|)matrix\}").match(text, place)
        if not environment:
            raise UnreadableError
        result.append(Token(name, name))
        return environment.end()
    elif name in ("$", "%", "\\", "_", "&"):
        result.append(Token({"$": "dollar", "\\": "row"}.get(name, name), name))
    else:
        name = _SAME.get(name, name)
        if name in _PUNCTUATION:
            result.append(Token(name, name))
        elif name in GREEK or name == "i":
            result.append(Token("letter", name))
        else:
            result.append(Token("command", name))
    return place


def _run(run: str, before: list[Token], *, in_words: bool) -> list[Token]:
    """A run of letters: a word, a function's name, or a product of letters."""
    low = run.lower()
    if low in ("infty", "infinity", "inf", "oo"):
        return [Token("command", "infty")]
    if in_words:
        return [Token("word", run)]
    if run in FUNCTIONS:
        return [Token("command", run)]
    if run in ("pi", "Pi"):
        return [Token("command", "pi")]
    if run == "sqrt":
        return [Token("command", "squareroot")]
    last = next((token for token in reversed(before) if token.kind != "space"), None)
    after_number = last is not None and last.kind in ("number", "}", ")", "^")
    if (
        len(run) > LONGEST_PRODUCT
        or low in _SHORT_WORDS
        or (len(run) > 1 and after_number and low in UNITS)
    ):
        return [Token("word", run)]
    return [Token("letter", sign) for sign in run]
