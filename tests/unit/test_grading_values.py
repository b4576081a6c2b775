import cmath
import itertools
import time
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compute_optimal.judge.grading.exact import Sum, UnreadableError, letter, number, power
from compute_optimal.judge.grading.values import read, right


def _right(gold: str, answer: str) -> bool | None:
    one, other = read(gold), read(answer)
    assert one is not None, gold
    assert other is not None, answer
    return right(one, other)


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        # Numerals in a base.
        ("2516_8", "2516_9", False),
        ("52_8", "(52)_8", True),
        ("52_8", r"52_{\text{eight}}", True),
        ("52_8", "52", True),  # the question names the base
        ("52_8", "42", False),
        ("52_8", "52_{10}", False),
        ("52", "52_8", False),
        ("52", "52_{10}", True),
        # Tiny decimals, and decimals for numbers that have none.
        (".0000672", ".0000671", False),
        (".0000672", r"6.72 \cdot 10^{-5}", True),
        ("2^{-99}", "2^{-98}", False),
        ("1/2004!", "1/2006!", False),
        (r"\frac{1}{3}", "0.333333", True),
        (r"\frac{1}{3}", "0.3333", False),
        (r"\frac{1}{3}", "0.333334", False),
        (r"\frac{1}{3}", "0.33333333333333333333", True),
        (r"\sqrt{51}", "7.14142842854285", True),
        (r"\sqrt{51}", "7.14142843854285", False),
        (r"\frac{1}{3000000}", "0.000000", False),
        (r"\frac{20000}{\pi}", "6366.197724", True),
        (r"\frac{20000}{\pi}", "6366.20", False),
        ("16384", "16384.000001", False),
        # Intervals, tuples, lists and sets.
        ("(3,4]", r"3 < x \le 4", True),
        ("(3,4]", r"4 \ge x > 3", True),
        ("(3,4]", "(3,4)", False),
        ("(3,4]", "[3,4]", False),
        ("(3,4]", "3 < x < 4", False),
        (r"(-\infty, 0]", r"[-\infty, 0]", True),
        (r"(-\infty,2)\cup(3,\infty)", r"x<2 \text{ or } x>3", True),
        (r"(0,5)", r"(0,3] \cup (2,5)", True),
        (r"(0,5)", r"(0,3) \cup (3,5)", False),
        ("(2,1)", "(1,2)", False),
        ("(2,1)", "2,1", True),
        ("(2,1)", "1,2", False),
        ("(2,1)", r"\{2,1\}", False),
        ("(1,2)", r"\{1,2\}", False),
        ("(1,2)", "[1,2]", False),
        ("1,2", "2,1", True),
        ("1,2", r"\{2,1\}", True),
        ("1,2", "(1,2)", True),
        ("1,2", "(2,1)", False),
        (r"\{1,2\}", "[1,2]", False),
        ("(1,2,3)", "[1,2,3]", True),
        ("(8,-2)", "{(8,-2)}", True),
        ("(15,-29)", "(x, y) = (15, -29)", True),
        (r"\begin{pmatrix} 1 \\ 0 \\ -2 \end{pmatrix}", r"\mathbf{i} - 2\mathbf{k}", True),
        (r"\begin{pmatrix} 1 \\ 0 \\ -2 \end{pmatrix}", r"\mathbf{i} - 2\mathbf{j}", False),
        # Complex numbers; i and e are no units.
        ("6 - 5i", "6-5 i", True),
        ("6 - 5i", "6+5i", False),
        ("15", r"6+9\mathrm{i}", False),
        ("15", r"15\mathrm{e}", False),
        ("1+2i", r"\frac{-3+4i}{1+2i}", True),
        # Delimiters, thousands, mixed numbers, units, typography.
        ("58,500", r"\(58,500\)", True),
        ("58,500", "58, 500", False),
        (r"137 \frac{1}{2}", "137 1/2", True),
        (r"137 \frac{1}{2}", "137.5", True),
        (r"137 \frac{1}{2}", "69", False),
        ("69", "137 1/2", False),
        (r"145^\circ", "145°", True),
        (r"145^\circ", r"145\degree", True),
        (r"145^\circ", "145 radians", False),
        (r"\$36", "36 dollars", True),
        (r"\$36", "36 cents", False),
        (r"15\mbox{ cm}^2", "15", True),
        (r"15\mbox{ cm}^2", r"15 \text{ m}^2", True),  # m is a letter
        (r"15\mbox{ cm}^2", r"15 \text{ inches}^2", False),
        ("10", r"10\%", True),
        ("0.1", r"10\%", True),
        (r"10\%", "10", True),
        ("3000000", r"3 \text{ million}", True),
        ("6", r"\text{six}", True),
        # Letters have a case; words do not.
        ("3R^2", "3r^2", False),
        (r"\text{Evelyn}", "evelyn", True),
        (r"\text{(C)}", r"\textbf{(C)}\ 42", True),
        # A list of pairs may be a union of intervals.
        (r"(0,1)\cup(2,3)", r"(0,1) \text{ or } (2,3)", True),
        (r"(-\infty,2)\cup(3,\infty)", r"(-\infty,2), (3,\infty)", True),
        (r"[0,1]\cup[2,3]", "[0,1], [2,3]", True),
        (r"[0,1]\cup[2,3]", "[0,1], [2,4]", False),
        # Names of values, in whatever order.
        ("a=1,b=2", "b=2,a=1", True),
        ("a=1,b=2", "a=2,b=1", False),
        ("a=1,b=2", "1,2", True),
        ("a=1,b=2", "2,1", False),
        ("(1,2)", r"y=2 \text{ and } x=1", True),
        ("(1,2)", "x=2,y=1", False),
        ("1,2", "a=2,b=1", True),
        ("1,2", "x_1=2,x_2=1", True),
        ("1,2", "x=1,x=2", True),
        ("(1,2),(2,1)", r"x=1,y=2 \text{ or } x=2,y=1", True),
        ("(1,2),(2,1)", r"x=1,y=1 \text{ or } x=2,y=2", False),
        # What x is, and what y is; the name alone may be left out.
        ("x=5", "y=5", False),
        ("x=5", "5", True),
        ("x=5", "5=x", True),
        ("5", "5=x", True),
        ("x=y", "y=x", True),
        ("y=2x", r"x=\frac{y}{2}", True),
        ("y=2x", "x=2y", False),
        ("y=2x", "2x-y=0", True),
        ("y=2x", "f(x)=2x", True),
        # Periodic decimals.
        (r"\frac13", r"0.\overline{3}", True),
        (r"-\frac{7}{6}", r"-1.1\overline{6}", True),
        (r"\frac17", r".\overline{142857}", True),
        (r"\frac13", r"0.\overline{4}", False),
        (r"\frac13", r"0.3\overline{4}", False),
        # Rounded decimals: of percents, and of more digits than are asked for.
        (r"33\frac13\%", r"33.333333\%", True),
        (r"33\frac13\%", "33.333333", True),
        (r"33\frac13\%", r"33.33\%", False),
        (r"\frac13", r"33.333333\%", True),
        (r"\frac23", "0.66666666", True),
        (r"\frac23", "0.66666668", False),
        # Words for sets.
        (r"(-\infty,\infty)", r"\text{all real numbers}", True),
        (r"\mathbb{R}", "all real numbers", True),
        (r"\emptyset", r"\text{No solution}", True),
        # The same money.
        (r"\$0.50", r"50 \text{ cents}", True),
        (r"5.4 \text{ cents}", r"\$0.054", True),
        (r"\$0.50", r"5 \text{ cents}", False),
        # Left to algebra.
        (r"\cot x", r"\frac{\cos x}{\sin x}", None),
        (r"\cot x", "0", None),
        ("x^2 = 4", r"\{2, -2\}", None),
    ],
)
def test_verdicts(gold: str, answer: str, verdict: bool | None) -> None:
    assert _right(gold, answer) is verdict


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "x +", "(1", "1)", "]1,2[", r"\frac{1}", "2^10", "1 2", "3:4", "1/2x",
        r"\frac{1}{0}", "0^0", r"1\frac{5}{3}", "1, 2, ...", r"\ldots", "5 or x > 3", "2x > 4",
        r"|x|", "f'(x)", r"\sqrt{x}", r"\sqrt{1+\sqrt{2}}", "2+3=6", "5 feet 6 inches",
        "12 is not it", r"\text{between 3 and 12}", "the answer is 4", r"\tan 30^\circ", "🙂",
    ],
)  # fmt: skip
def test_what_is_not_certain_is_not_read(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize("infinity", [r"\infty", r"(\infty)", r"{\infty}", r"-\infty", "∞"])
@pytest.mark.parametrize(
    "form",
    [
        "{0}-{0}", "{0}+(-{0})", "-({0})+{0}", r"\frac{{{0}}}{{{0}}}", r"({0})/({0})", "0({0})",
        r"0 \cdot ({0})", r"({0}) \cdot 0", "({0})^0", "{{{0}}}^{{0}}", "1^{{{0}}}",
        r"\frac{{0}}{{0}} {0}", r"\pi ({0}) - \pi ({0})", r"(1, {0}-{0})", r"\{{{0}-{0}\}}",
        "x = {0}-{0}", r"\sqrt{{{0}}}-\sqrt{{{0}}}",
    ],
)  # fmt: skip
def test_what_is_undefined_in_the_extended_reals_has_no_value(form: str, infinity: str) -> None:
    assert read(form.format(infinity)) is None


@pytest.mark.parametrize(
    ("gold", "answer", "verdict"),
    [
        (r"\infty", r"+\infty", True),
        (r"-\infty", r"-(\infty)", True),
        (r"\infty", r"-\infty", False),
        (r"(-\infty, \infty)", r"\mathbb{R}", True),
        # An index is part of the name.
        ("a_n", "a_{n}", True),
        ("a_1", "a_{2}", False),
        ("x_i", "x_e", False),
        # Words that make another number of it.
        (r"3 \text{ trillion}", r"3 \cdot 10^{12}", True),
        (r"3 \text{ trillion}", "3", False),
        (r"3 \text{ dozen}", "36", True),
        # All elements may be equal.
        ("(1,1)", "1,1", True),
        ("1,1", "(1,1)", True),
        ("(1,1)", "1", False),
        ("(1,1)", "1,1,1", False),
    ],
)
def test_each_is_itself_only(gold: str, answer: str, verdict: bool) -> None:
    assert _right(gold, answer) is verdict


@pytest.mark.parametrize(
    "text",
    [
        "a_{n+1}", "a_{2n}", "x_{ij}", r"\text{5 factorial}", r"3 \text{ halves}", "3 squared",
        r"2 \text{ thousands}", "1.5e-3", "2E+5", r"(0, \pm 2)",
    ],
)  # fmt: skip
def test_what_may_be_another_value_is_left_to_algebra(text: str) -> None:
    assert read(text) is None


LETTERS = st.sampled_from("abcdnpqrstxyzABDMNRSTV")
WHOLE = st.integers(-50, 50)


@given(st.dictionaries(LETTERS, WHOLE, min_size=2, max_size=4), st.data())
def test_named_values_are_theirs_in_any_order(values: dict[str, int], data: st.DataObject) -> None:
    names = data.draw(st.permutations(sorted(values)))
    gold = ",".join(f"{name}={values[name]}" for name in sorted(values))
    assert _right(gold, ", ".join(f"{name} = {values[name]}" for name in names)) is True
    moved = dict(zip(names, [values[name] for name in [*names[1:], names[0]]], strict=True))
    answer = ",".join(f"{name}={moved[name]}" for name in names)
    assert _right(gold, answer) is (moved == values)
    assert _right(f"({','.join(str(values[name]) for name in sorted(values))})", answer) is (
        moved == values
    )


@given(st.integers(0, 30), st.text("0123456789", max_size=4), st.text("0123456789", min_size=1))
def test_a_periodic_decimal_is_a_fraction(whole: int, before: str, period: str) -> None:
    period = period[:9]
    value = Fraction(f"{whole}.{before or 0}") + Fraction(
        int(period), (10 ** len(period) - 1) * 10 ** len(before)
    )
    fraction = rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    assert _right(fraction, rf"{whole}.{before}\overline{{{period}}}") is True
    assert _right(fraction, rf"{whole + 1}.{before}\overline{{{period}}}") is False


@given(st.integers(1, 8), st.sampled_from([9, 11, 13, 17, 19]), st.integers(6, 11))
def test_a_decimal_may_be_rounded_in_percent_as_well(above: int, below: int, places: int) -> None:
    value = Fraction(above, below)
    assume(value >= Fraction(1, 10))
    gold = rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    for factor, sign in ((1, ""), (100, r"\%")):
        digits = str(round(factor * value * 10**places)).zfill(places + 1)
        for change, verdict in ((0, True), (2, False)):
            written = str(int(digits) + change).zfill(places + 1)
            answer = f"{written[:-places]}.{written[-places:]}{sign}"
            assert _right(gold, answer) is verdict, answer


LINEAR = st.integers(-9, 9).filter(bool)


@given(LINEAR, LINEAR, WHOLE)
def test_a_line_may_be_solved_for_either_letter(a: int, b: int, c: int) -> None:
    gold = rf"y = \frac{{{a}}}{{{b}}}x + {c}"
    solved = rf"x = \frac{{{b}}}{{{a}}}(y - {c})"
    assert _right(gold, solved) is True
    assert _right(gold, solved.replace("y", "z")) is False
    assert _right(gold, rf"x = \frac{{{b}}}{{{a}}}(y - {c + 1})") is False


RATIONALS = st.fractions(min_value=-99, max_value=99, max_denominator=99)


def _written(value: Fraction) -> st.SearchStrategy[str]:
    sign, above, below = "-" * (value < 0), abs(value.numerator), value.denominator
    return st.sampled_from(
        [
            rf"({sign}{above}/{below})",
            rf"\left(\frac{{{value.numerator}}}{{{below}}}\right)",
            rf"({sign}\dfrac{{{3 * above}}}{{{3 * below}}})",
        ]
    )


@settings(deadline=None)
@given(st.data(), RATIONALS, RATIONALS, RATIONALS)
def test_arithmetic(data: st.DataObject, a: Fraction, b: Fraction, c: Fraction) -> None:
    x, y, z = (data.draw(_written(value)) for value in (a, b, c))
    for text, value in ((f"{x}+{y}*{z}", a + b * c), (f"{x}-{y}{z}", a - b * c), (f"-{x}", -a)):
        parsed = read(text)
        assert parsed is not None
        assert parsed.sum is not None
        assert parsed.sum.rational == value


SMALL = st.integers(-9, 9)
SURDS = st.tuples(SMALL, SMALL, SMALL, st.sampled_from([2, 3, 5, 6, 12, -1, -3]))


def _surd(parts: tuple[int, int, int, int]) -> tuple[Sum, complex]:
    a, b, c, n = parts
    value = number(a) + number(b) * power(number(n), number(Fraction(1, 2)))
    value = value + number(c) * power(number(2), number(Fraction(1, 3)))
    return value, a + b * cmath.sqrt(n) + c * 2 ** (1 / 3)


def _approximate(value: Sum) -> complex:
    total = 0j
    for term, factor in value.terms.items():
        product = complex(factor)
        for generator, exponent in term:
            base = 1j if generator[0] == "i" else complex(generator[1])  # type: ignore[call-overload]
            product *= base ** float(exponent)
        total += product
    return total


@settings(deadline=None)
@given(SURDS, SURDS)
def test_roots_are_exact(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> None:
    (x, a), (y, b) = _surd(one), _surd((*other[:2], 0, other[3]))
    assert cmath.isclose(_approximate(x * y), a * b, rel_tol=1e-9, abs_tol=1e-6)
    assert x + -x == number(0)
    if y.terms:
        assert (x / y) * y == x
        assert cmath.isclose(_approximate(x / y), a / b, rel_tol=1e-6, abs_tol=1e-6)
    else:
        with pytest.raises(UnreadableError):
            x / y


def test_a_normal_form_is_one() -> None:
    root = number(Fraction(1, 2))
    assert power(number(8), root) == number(2) * power(number(2), root)
    assert power(number(Fraction(1, 3)), root) == power(number(3), root) / number(3)
    assert power(number(-8), number(Fraction(1, 3))) == number(-2)
    assert letter("i") * letter("i") == number(-1)
    assert power(letter("x") + number(1), number(2)) == (
        letter("x") * letter("x") + number(2) * letter("x") + number(1)
    )


PIECES = st.sampled_from(
    ["1", "23", ".5", ",", ", ", "(", ")", "[", "]", r"\{", r"\}", "{", "}", "x", "i", "+", "-",
     r"\frac", r"\sqrt", "^", "_", "2", "/", " ", r"\text{", "or", "cm", "%", r"\pm", r"\infty",
     "<", r"\le", "=", r"\cup", r"^\circ", r"\$", r"\,", r"\begin{pmatrix}", r"\end{pmatrix}",
     "&", r"\\", "!", r"\pi", "√", "½", "°", r"\text{eight}", "base", ".", "\u2009"]
)  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.lists(PIECES, max_size=12), st.lists(PIECES, max_size=12))
def test_any_text_is_read_or_not(one: list[str], other: list[str]) -> None:
    x, y = read("".join(one)), read("".join(other))
    if x is not None:
        assert right(x, x) is True
        assert hash(x.key) == hash(x.key)
    if x is not None and y is not None and x.key == y.key and x.unit == y.unit:
        assert right(x, y)
        assert right(y, x)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 10_000 + "5" + "}" * 10_000,
        "(" * 500 + "5" + ")" * 500,
        "{" * 499 + "x" + "}" * 499,
        "√" * 999,
        r"\sqrt" * 199 + "2",
        "9^{9^{9^{9^9}}}",
        "9^{9999999999}",
        "(a+b+c+d+e+f+g+h)^{12}" * 30,
        "(1+x)^{12}" * 90,
        "3000!+" * 150 + "1",
        "3000!" * 190,
        r"\sqrt{9999999967}+" * 50 + "1",
        "2^{39999}" * 100,
        r"\frac{1}{" * 90 + "2" + "}" * 90,
        "-" * 990 + "1",
        "1," * 490 + "1",
        r"\binom{3000}{1500}" * 50,
        r"(\sqrt{2}+\sqrt{3}+\sqrt{5}+\sqrt{7}+\sqrt{11})/(\sqrt{13}+\sqrt{17}+\sqrt{19}+1)" * 9,
        r"\," * 490,
        "1\\pm" * 200,
        "x" * 3 + "^{" * 300,
        "\x00" * 900 + "5",
        "9" * 1000,
        "." * 1000,
        "3000!",
        r"3000!\%",
        "0." + "4" * 991,
        "7." + "0" * 400 + "1",
        "10^{300}.000000001",
        r"10^{999} + \frac{1}{3}",
    ],
)
def test_hostile_text_is_bounded(text: str) -> None:
    began = time.process_time()
    value = read(text)
    others = ["7", "52_8", r"\frac{1}{3}", r"\pi", r"10\%", "(1,2)", "1,2", "x+1", r"\text{no}"]
    if value is not None:
        assert right(value, value)
        for other in map(read, others):
            assert other is not None
            assert right(value, other) in (False, None)
            assert right(other, value) in (False, None)
    assert time.process_time() - began < 3


def test_equality_is_an_equivalence() -> None:
    texts = [
        "1,2", "2,1", "(1,2)", "(2,1)", r"\{1,2\}", "[1,2]", "1<x<2", "10", r"10\%", "0.1", "x=10",
        "52_8", "52", "(52)_8", "52_9", r"\$52", "52 cents", "0.333333", r"\frac{1}{3}", "x>1",
    ]  # fmt: skip
    values = [value for text in texts if (value := read(text))]
    assert len(values) == len(texts)
    for x, y, z in itertools.product(values, repeat=3):
        assert (x.key == y.key) == (y.key == x.key)
        assert x.key != y.key or y.key != z.key or x.key == z.key
