"""Exact arithmetic on what answers are made of: rationals, roots, pi, e, i and letters.

A ``Sum`` is in normal form: two of them are the same value exactly if they are equal as Python
objects. That holds because roots of different primes are independent over the rationals; of pi
and e it is assumed. Everything is bounded, so hostile input costs milliseconds: what is too large
or has no normal form here raises ``UnreadableError``, and is left to algebra.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

Generator = tuple[object, ...]
"""("root", prime), ("i",), ("constant", name), ("letter", name) or ("call", ...)."""

Term = frozenset[tuple[Generator, Fraction]]
"""A product of powers of generators. Roots have exponents between 0 and 1, i only 1."""

ONE: Final[Term] = frozenset()
_I: Final[Generator] = ("i",)

MAX_TERMS = 64
MAX_BITS = 40_000
"""Of a numerator or denominator: 3000! has 30,000."""

MAX_FACTORED = 10**10
MAX_EXPONENT = 50_000


class UnreadableError(Exception):
    """No normal form here. Says nothing about the answer."""


class Sum:
    """A sum of terms with rational coefficients, none of them 0. Immutable and hashable."""

    __slots__ = ("_key", "terms")

    def __init__(self, terms: Mapping[Term, Fraction]) -> None:
        self.terms = {term: factor for term, factor in terms.items() if factor}
        if len(self.terms) > MAX_TERMS or any(
            max(factor.numerator.bit_length(), factor.denominator.bit_length()) > MAX_BITS
            for factor in self.terms.values()
        ):
            raise UnreadableError
        self._key = frozenset(self.terms.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __add__(self, other: Sum) -> Sum:
        terms = dict(self.terms)
        for term, factor in other.terms.items():
            terms[term] = terms.get(term, Fraction()) + factor
        return Sum(terms)

    def __neg__(self) -> Sum:
        return Sum({term: -factor for term, factor in self.terms.items()})

    def __mul__(self, other: Sum) -> Sum:
        terms: dict[Term, Fraction] = {}
        for one, one_factor in self.terms.items():
            for two, two_factor in other.terms.items():
                term, factor = _product(one, two)
                terms[term] = terms.get(term, Fraction()) + factor * one_factor * two_factor
        return Sum(terms)

    def __truediv__(self, other: Sum) -> Sum:
        """Raises ``UnreadableError`` for 0, and a divisor that no conjugates make a single term."""
        if not other.terms:
            raise UnreadableError
        above, below = self, other
        # Each conjugate removes one root from the divisor.
        for _ in range(8):
            if len(below.terms) == 1:
                break
            conjugate = _conjugate(below)
            above, below = above * conjugate, below * conjugate
        if len(below.terms) != 1:
            raise UnreadableError
        ((term, factor),) = below.terms.items()
        inverse, more = _normal({generator: -power for generator, power in term})
        return above * Sum({inverse: more / factor})

    @property
    def rational(self) -> Fraction | None:
        if not self.terms:
            return Fraction()
        return self.terms.get(ONE) if len(self.terms) == 1 else None

    @property
    def is_closed(self) -> bool:
        """Whether no function is left unevaluated: only then do different forms differ in value."""
        return not any(generator[0] == "call" for term in self.terms for generator, _ in term)

    @property
    def letters(self) -> set[str]:
        return {
            str(generator[1])
            for term in self.terms
            for generator, _ in term
            if generator[0] == "letter"
        }

    @property
    def is_linear(self) -> bool:
        """Whether no term has more than one letter, and that to the power of 1."""
        return all(
            [power for generator, power in term if generator[0] == "letter"] in ([], [1])
            for term in self.terms
        )

    @property
    def constant(self) -> Sum:
        """The part without letters."""
        return Sum(
            {
                term: factor
                for term, factor in self.terms.items()
                if not any(generator[0] == "letter" for generator, _ in term)
            }
        )

    @property
    def real(self) -> float | None:
        """Its value, if it is a real number of a size that a float can hold."""
        total = 0.0
        try:
            for term, factor in self.terms.items():
                value = float(factor)
                for generator, power in term:
                    if generator[0] == "root" and isinstance(generator[1], int):
                        value *= generator[1] ** float(power)
                    elif generator[0] == "constant":
                        value *= _CONSTANTS[str(generator[1])] ** float(power)
                    else:
                        return None
                total += value
        except OverflowError:
            return None
        return total if math.isfinite(total) else None


_CONSTANTS = {"pi": math.pi, "e": math.e}


def number(value: Fraction | int) -> Sum:
    """A rational number."""
    return Sum({ONE: Fraction(value)})


def letter(name: str) -> Sum:
    """A variable; i is the imaginary unit and e the base of logarithms."""
    if name == "i":
        return Sum({frozenset({(_I, Fraction(1))}): Fraction(1)})
    return atom("constant" if name in _CONSTANTS else "letter", name)


def atom(*generator: object) -> Sum:
    """A single generator, such as ("letter", "x")."""
    return Sum({frozenset({(generator, Fraction(1))}): Fraction(1)})


def power(base: Sum, exponent: Sum) -> Sum:
    """Raises ``UnreadableError`` for what has no normal form, such as a root of a sum."""
    by = exponent.rational
    if by is None:
        if not base.terms or not exponent.terms:
            raise UnreadableError
        return atom("call", "power", base, exponent)
    if not base.terms:
        if by <= 0:
            raise UnreadableError
        return base
    if abs(by) > MAX_EXPONENT:
        raise UnreadableError
    if by.denominator != 1:
        return _root(base, by)
    n = abs(int(by))
    if len(base.terms) > 1 and n > 12:
        raise UnreadableError
    if max(_bits(factor) for factor in base.terms.values()) * n > MAX_BITS:
        raise UnreadableError
    if len(base.terms) == 1:
        ((term, factor),) = base.terms.items()
        raised, more = _normal({generator: each * n for generator, each in term})
        result = Sum({raised: more * factor**n})
    else:
        result = number(1)
        for _ in range(n):
            result = result * base
    return number(1) / result if by < 0 else result


def factorial(of: Sum) -> Sum:
    """Raises ``UnreadableError`` unless this is of a whole number in 0..3000."""
    n = of.rational
    if n is None or n.denominator != 1 or not 0 <= n <= 3000:
        raise UnreadableError
    return number(math.factorial(int(n)))


def binomial(n: Sum, k: Sum) -> Sum:
    """Raises ``UnreadableError`` unless these are whole numbers, 0 <= k <= n <= 3000."""
    upper, lower = n.rational, k.rational
    if upper is None or lower is None or upper.denominator != 1 or lower.denominator != 1:
        raise UnreadableError
    if not 0 <= lower <= upper <= 3000:
        raise UnreadableError
    return number(math.comb(int(upper), int(lower)))


def _bits(factor: Fraction) -> int:
    # The bits of 1 and -1 do not grow.
    size = max(abs(factor.numerator), factor.denominator)
    return 0 if size == 1 else size.bit_length()


def _product(one: Term, two: Term) -> tuple[Term, Fraction]:
    if not one or not two:
        return one or two, Fraction(1)
    powers = dict(one)
    for generator, exponent in two:
        powers[generator] = powers.get(generator, Fraction()) + exponent
    return _normal(powers)


def _normal(powers: Mapping[Generator, Fraction]) -> tuple[Term, Fraction]:
    kept, factor = {}, Fraction(1)
    for generator, exponent in powers.items():
        if generator[0] == "root" and isinstance(generator[1], int):
            whole = math.floor(exponent)
            if abs(whole) * generator[1].bit_length() > MAX_BITS:
                raise UnreadableError
            factor *= Fraction(generator[1]) ** whole
            exponent -= whole
        elif generator == _I:
            turns = int(exponent) % 4
            factor *= -1 if turns >= 2 else 1
            exponent = Fraction(turns % 2)
        if exponent:
            kept[generator] = exponent
    return frozenset(kept.items()), factor


def _conjugate(of: Sum) -> Sum:
    for generator in sorted({g for term in of.terms for g, _ in term}, key=repr):
        powers = {exponent for term in of.terms for g, exponent in term if g == generator}
        if generator == _I or (generator[0] == "root" and powers == {Fraction(1, 2)}):
            return Sum(
                {
                    term: -factor if any(g == generator for g, _ in term) else factor
                    for term, factor in of.terms.items()
                }
            )
    raise UnreadableError


def _root(base: Sum, by: Fraction) -> Sum:
    """The principal root, but the real one of a negative number where that is meant."""
    if len(base.terms) != 1 or by.denominator > 12:
        raise UnreadableError
    ((term, factor),) = base.terms.items()
    if any(generator[0] not in ("root", "constant") for generator, _ in term):
        raise UnreadableError
    result = number(1)
    if factor < 0:
        if by == Fraction(1, 2):
            result = letter("i")
        elif by.denominator % 2:
            result = number(-1 if by.numerator % 2 else 1)
        else:
            raise UnreadableError
    powers: dict[Generator, Fraction] = {}
    for value, sign in ((abs(factor.numerator), 1), (factor.denominator, -1)):
        if (exact := _exact_root(value, by.denominator)) is not None:
            result = result * power(number(exact), number(sign * by.numerator))
            continue
        for prime, times in _factors(value).items():
            powers[("root", prime)] = powers.get(("root", prime), Fraction()) + sign * times * by
    for generator, exponent in term:
        powers[generator] = powers.get(generator, Fraction()) + exponent * by
    root_term, more = _normal(powers)
    return result * Sum({root_term: more})


def _exact_root(value: int, index: int) -> int | None:
    if value.bit_length() > 1000:
        raise UnreadableError
    low, high = 0, 1 << (value.bit_length() // index + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**index <= value else (low, middle - 1)
    return low if low**index == value else None


def _factors(value: int) -> dict[int, int]:
    """Prime factors, by trial."""
    if value > MAX_FACTORED:
        raise UnreadableError
    powers: dict[int, int] = {}
    prime = 2
    while prime * prime <= value:
        while value % prime == 0:
            powers[prime] = powers.get(prime, 0) + 1
            value //= prime
        prime += 1 if prime == 2 else 2
    if value > 1:
        powers[value] = powers.get(value, 0) + 1
    return powers
