import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute_optimal.judge.grading.extraction import extract_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed{2} and \boxed{3}", "3"),
        (r"\fbox{7}", "7"),
        (r"\boxed {7}", "7"),
        (r"\boxed{\frac{\sqrt{1+\frac{1}{2}}}{3}}", r"\frac{\sqrt{1+\frac{1}{2}}}{3}"),
        (r"\boxed{\left\{ 1, 2 \right\}}", r"\left\{ 1, 2 \right\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed 5", "5"),
        (r"$\boxed -12$", "-12"),
        (r"\boxed5.", "5"),
        (r"the \boxed x$", "x"),
        ("\\boxed{\n1\n}", "1"),
        # A stray brace elsewhere does not matter; one in the box does.
        (r"f(x) = { \boxed{1}", "1"),
        (r"} \boxed{1}", "1"),
        (r"\boxed{1} then \boxed{\frac{1}{2}", "1"),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed{", None),
        (r"\boxed", None),
        (r"the \boxed answer", None),
        (r"put it in \boxed.", None),
        (r"\boxedx{3}", None),
        (r"\boxed{}", None),
        (r"\boxed{1} \boxed{ }", "1"),
        (r"\boxed{42} and \boxed{}, \boxed{\,{ }} and \fbox{\boxed{}}", "42"),
        (r"\boxed{\boxed{}}", None),
        ("\\boxed{\x00\u200f}", None),
        ("the answer is 5", None),
        ("", None),
    ],
)
def test_finds_the_last_balanced_box(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


def _last_box_by_definition(text: str) -> str | None:
    """Tries every box from the right and counts braces one by one; quadratic."""
    for start in range(len(text), -1, -1):
        for name in (r"\boxed{", r"\fbox{"):
            # An escaped backslash does not begin a command.
            n_before = len(text[:start]) - len(text[:start].rstrip("\\"))
            if not text.startswith(name, start) or n_before % 2:
                continue
            depth, i, inside = 1, start + len(name), start + len(name)
            while i < len(text):
                if text[i] == "\\":
                    i += 2
                    continue
                depth += {"{": 1, "}": -1}.get(text[i], 0)
                if depth == 0:
                    content = text[inside:i].strip()
                    if re.sub(r"\\(boxed|fbox)\{|[{} ]", "", content):
                        return content
                    break
                i += 1
    return None


@settings(deadline=None)
@given(st.lists(st.sampled_from([r"\boxed{", r"\fbox{", "{", "}", r"\{", r"\}", "\\\\", "5", " "])))
def test_agrees_with_the_definition(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert extract_answer(text) == _last_box_by_definition(text)


@settings(deadline=None)
@given(st.text())
def test_any_text_has_an_answer_or_none(text: str) -> None:
    assert extract_answer(text) != ""
    assert extract_answer(text + r"\boxed{17}") in ("17", extract_answer(text))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{" + "{" * 10_000 + "5" + "}" * 10_000 + "}", "{" * 10_000 + "5" + "}" * 10_000),
        (r"\boxed{" * 100_000, None),
        (r"\boxed{" * 50_000 + "5" + "}" * 50_000, "5"),
        (r"\boxed" + " " * 1_000_000, None),
        ("x" * 1_000_000, None),
        ("\\" * 1_000_000, None),
        ("{" * 100_000, None),
        (r"\boxed 5" * 100_000, "5"),
        ("\x00\u202e" * 100_000 + r"\boxed{1}", "1"),
    ],
    ids=[
        "nested",
        "open",
        "matryoshka",
        "blank",
        "no box",
        "backslashes",
        "braces",
        "bare",
        "marks",
    ],
)
def test_hostile_text_takes_linear_time(text: str, answer: str | None) -> None:
    began = time.process_time()
    assert extract_answer(text) == answer
    # A quadratic scan of these would take minutes.
    assert time.process_time() - began < 5
