import itertools
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_optimal.judge.grading.equivalence import (
    canonical,
    equal_to_gold,
    equivalent,
    fingerprint,
    is_integer,
    may_equal,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("11{,}111", "11111"),
        (r"11,\! 111,\! 111,\! 100", "11111111100"),
        (r"58\,500", "58,500"),
        (r"\$32,\!348", "32348"),
        ("+007", "7"),
        ("-0", "0"),
        ("−5.", "-5"),
        ("\u200f5\x00", "5"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\dfrac{\pi}{2})"),
        (r"$x^2 + 1$", "x^2+1"),
        (r"12^{\text{th}}", "12"),
        (r"\{ 1, 2 \}", r"\{1,2\}"),
    ],
)
def test_one_form_for_many_spellings(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1, 234", "1,234"),
        ("1,2,3", "123"),
        ("3 1/2", "31/2"),
        (".5", "5"),
        ("-5", "5"),
        ("0,111", "0111"),
        ("1,2345", "12345"),
        (r"\left. x", "x"),
        ("a b", "ab"),
        (r"\leftarrow", "arrow"),
    ],
)
def test_different_answers_keep_different_forms(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


INTEGERS = st.integers(-(10**12), 10**12)


@settings(deadline=None)
@given(INTEGERS, st.sampled_from([",", "{,}", r",\!", r"\,", ""]))
def test_integers_in_any_style_have_one_form(number: int, separator: str) -> None:
    form = canonical(f"{number:,}".replace(",", separator))
    assert form == str(number)
    assert is_integer(form)


@settings(max_examples=60, deadline=None)
@given(st.integers(-99999, 99999), st.integers(-99999, 99999), st.sampled_from([",", "{,}", ""]))
def test_the_integer_rule_agrees_with_math_verify(one: int, other: int, separator: str) -> None:
    from math_verify import parse, verify

    def parsed(text: str) -> object:
        return parse(f"${text}$", parsing_timeout=None)

    for left, right in ((one, other), (one, one)):
        spelled = f"{right:,}".replace(",", separator)
        expected = verify(parsed(str(left)), parsed(spelled), timeout_seconds=None)
        assert (canonical(str(left)) == canonical(spelled)) == expected


EQUAL = [
    (r"\frac{11}{2}", "5.5"),
    (r"\frac43", "4/3"),
    (r"1\frac{4}{5}", r"\frac{9}{5}"),
    (r"\frac{1}{\sqrt{3}}", r"\frac{\sqrt{3}}{3}"),
    (r"\sqrt{16}", "4"),
    (r"\frac{8}{2}", "4"),
    ("x=5", "5"),
    ("y = 2x + 3", "2x+3"),
    ("y = 2x + 3", "y = 3 + 2x"),
    ("5x - 7y + 4 = 0", "-5x + 7y - 4 = 0"),
    ("(a+5)(b+2)", "(b+2)(a+5)"),
    ("(x+1)^2", "x^2+2x+1"),
    (r"\sin^2 x + \cos^2 x", "1"),
    ("3, 5, 7", r"\{7, 5, 3\}"),
    (r"1 \pm \sqrt{19}", r"1-\sqrt{19}, 1+\sqrt{19}"),
    (r"\text{Evelyn}", "Evelyn"),
    (r"\text{east}", "east"),
    (r"\text{(C)}", "C"),
    (r"90^\circ", "90"),
    (r"12\pi \text{ inches}", r"12 \pi"),
    (r"\begin{pmatrix} 1/2 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 0.5 \\ 2 \end{pmatrix}"),
    (r"(-\infty, 2) \cup (3, \infty)", r"(3,\infty)\cup(-\infty,2)"),
    (r"x \in [-2,7]", "[-2,7]"),
    ("1 + 2i", "2i + 1"),
    (r"10\%", "0.1"),
    ("10^3", "1000"),
]
UNEQUAL = [
    ("10", "0.1"),
    (r"\sqrt{2}", "1.41"),
    ("(1,2)", "(2,1)"),
    ("x^2", "x^3"),
    (r"\text{east}", r"\text{west}"),
    ("12", r"\text{between 3 and 12}"),
    ("29", r"\arccos(\frac{\|a\| 29^\circ}{2}"),
    (r"\frac{1}{0}", "5"),
    ("1,2,3", "123"),
    ("[1,2]", "(1,2)"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_answers(one: str, other: str) -> None:
    pair = canonical(one), canonical(other)
    assert equal_to_gold(pair)
    assert equivalent(pair)
    assert equivalent(pair[::-1])
    # What algebra finds equal must not be ruled out before.
    assert may_equal(*map(fingerprint, pair))
    assert may_equal(*map(fingerprint, pair[::-1]))


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_unequal_answers(one: str, other: str) -> None:
    pair = canonical(one), canonical(other)
    assert not equal_to_gold(pair)
    assert not equivalent(pair)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10^{-20000}", "10^{-20001}"),
        ("(10^{-20000}, 1)", "(10^{-20001}, 1)"),
        (r"e^{-50} + \sin 1", r"\sin 1"),
        (r"\sin x + 10^{-18}", r"\sin x"),
        (r"\begin{pmatrix} \sin 1 \\ 10^{-30} \end{pmatrix}",
         r"\begin{pmatrix} \sin 1 \\ 10^{-31} \end{pmatrix}"),
        (r"\sqrt{0.0000001}", r"\sqrt{0.0000002}"),
        (r"\sqrt{0.00000000000001}", "0"),
        (r"\sqrt{R}", r"\sqrt{r}"),
        (r"\tan A", r"\tan a"),
        ("x^N", "x^n"),
        ("N!", "n!"),
        (r"\frac{A}{B+C}", r"\frac{a}{b+c}"),
    ],
)  # fmt: skip
def test_neither_little_differences_nor_letters_of_another_case_are_equal(
    one: str, other: str
) -> None:
    pair = canonical(one), canonical(other)
    for each in (pair, pair[::-1]):
        assert not equal_to_gold(each)
        assert not equivalent(each)
    assert equal_to_gold((pair[0], pair[0]))


OPEN_FORMS = [r"\sin {0}", r"\sqrt{{{0}+1}}", r"\frac{{1}}{{1+{0}}}", r"|{0}|", r"({0})!"]


@settings(deadline=None)
@given(
    st.sampled_from(OPEN_FORMS),
    st.sampled_from("ABDNRT"),
    st.integers(1, 300),
    st.integers(1, 9),
)
def test_what_differs_in_case_or_by_anything_at_all_is_wrong(
    form: str, letter: str, places: int, digit: int
) -> None:
    gold = form.format(letter)
    assert not equal_to_gold((gold, form.format(letter.lower())))
    small = rf"{digit}*10^{{-{places}}}"
    assert equal_to_gold((gold, gold))
    assert not equal_to_gold((gold, f"{gold}+{small}"))
    assert not equal_to_gold((small, rf"{digit}*10^{{-{places + 1}}}"))


def test_the_percent_rule_holds_for_the_gold_only() -> None:
    assert equal_to_gold(("10", r"10\%"))
    assert not equivalent(("10", r"10\%"))
    assert equivalent((r"10\%", r"\frac{1}{10}"))


def test_intervals_and_inequalities_are_one_vote_in_either_order() -> None:
    for pair in (("1<x<2", "(1,2)"), ("(1,2)", "1<x<2")):
        assert equivalent(pair)
        assert may_equal(*map(fingerprint, pair))


def test_most_pairs_of_formulas_need_no_algebra() -> None:
    forms = [
        canonical(rf"{a} \sqrt{{{b}}} + x^{{{c}}}") for a in "123" for b in "235" for c in "23"
    ]
    forms += [canonical(rf"({a}, \frac{{{b}}}{{7}})") for a in "1234" for b in "1234"]
    forms += [f"y={a}x+{b}" for a in "23" for b in "2345"]
    prints = [fingerprint(form) for form in forms]
    assert not any(may_equal(*pair) for pair in itertools.combinations(prints, 2))


MIRROR = os.environ.get("MIRROR")


@pytest.mark.skipif(
    MIRROR is None or not (Path(MIRROR) / "test500.jsonl").exists(),
    reason="needs the environment variable MIRROR: a folder with test500.jsonl",
)
def test_the_canonical_form_means_what_the_gold_means() -> None:
    from math_verify import parse, verify

    assert MIRROR is not None
    lines = (Path(MIRROR) / "test500.jsonl").read_text().splitlines()
    golds = {json.loads(line)["answer"] for line in lines}
    formulas = sorted(gold for gold in golds if not is_integer(gold))
    assert len(formulas) > 150
    for gold in formulas:
        raw, form = (parse(f"${text}$", parsing_timeout=None) for text in (gold, canonical(gold)))
        assert verify(raw, form, timeout_seconds=None), gold
        assert canonical(canonical(gold)) == canonical(gold)
