"""Each answer in every spelling of its kind is right and one vote; its neighbours are wrong."""

import json
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest

from compute_optimal.judge.grading import extract_answer, grade

OWN = [
    "0", "7", "-12", "58,500", r"10,\!080", r"11,\! 111,\! 111,\! 100", "2048", r"\$36",
    r"\$18.90", "1.25", ".0000672", "0.000001", ".35625", "-3.5", r"\frac{3}{56}", r"\frac43",
    r"\frac9{19}", r"\frac 59", r"-\frac{35}{9}", r"\dfrac{17}{50}", r"1\frac{4}{5}",
    r"137 \frac{1}{2}", r"2 \tfrac{3}{7}", r"-3\frac{1}{8}", r"145^\circ", r"90^{\circ}",
    r"\frac{270}7\text{ degrees}", r"5.4 \text{ cents}", r"15\mbox{ cm}^2",
    r"864 \mbox{ inches}^2", "6 - 5i", "6+9i", "-2 + 7i", "1 - 12i", "52_8", "4210_{5}",
    "2516_8", "1011_2", "(2,1)", r"\left( 3, \frac{\pi}{2} \right)", "(6,31,-1)",
    "(1,-16,-4,43)", "(3,4]", "[2,12)", r"\left(\frac{3}{5},\frac{8}{3}\right]", "[-2,7]",
    r"x \in [-2,7]", r"(5,\infty)", r"(-\infty, 0]", r"(-\infty, 2) \cup (3, \infty)",
    r"(2,12) \cup (12,102)", "1,-2", "3, 5, 7", r"\{2,9\}", r"1 \pm \sqrt{19}",
    r"3 \pm 2 \sqrt{2}", r"\sqrt{51}", r"3\sqrt{13}", r"11\sqrt2", r"\frac{\sqrt{3}}{3}",
    r"\frac{3\sqrt{3}}{4}", r"11 \sqrt{5} + 11", r"\pi", r"288 \pi", r"18+2\pi",
    r"\frac{20000}{\pi}", "p - q", "2k+2", "x^3+3x-6", "5r^5", "3R^2", "(a+5)(b+2)",
    r"\frac{11+9a}{20}", "x=5", "y = 2x + 3", "5x - 7y + 11z + 4 = 0", r"\cot x",
    r"\begin{pmatrix} -1/3 \\ 2/3 \\ 5/3 \end{pmatrix}",
    r"\begin{pmatrix} -1 & 0 \\ 0 & -1 \end{pmatrix}", r"\text{Evelyn}", r"\text{east}",
    r"\text{even}", r"\text{ellipse}", r"\text{(C)}",
]  # fmt: skip
"""An answer or two of each kind that MATH-500, AIME24 and AMC23 have, and some that they lack."""

FRACTION = re.compile(r"(-?)\\[dt]?frac ?(?:\{(\d+)\}|(\d))(?:\{(\d+)\}|(\d))")
MIXED = re.compile(r"(-?)(\d+) ?\\[dt]?frac\{(\d+)\}\{(\d+)\}")
DEGREES = re.compile(r"(\d+)\^\{?\\circ\}?")
NUMERAL = re.compile(r"(\d+)_\{?(\d)\}?")
COMPLEX = re.compile(r"(-?\d+) ?([+-]) ?(\d*)i")
PAIR = re.compile(r"(\(|\[)(-?(?:\d+|\\infty)), ?(-?(?:\d+|\\infty))(\)|\])")
BASES = {2: "two", 5: "five", 6: "six", 8: "eight", 9: "nine"}


def _magnitude(gold: str) -> str | None:
    if not re.fullmatch(r"-?(\d+|\d{1,3}(,(\\! ?)?\d{3})+)", gold):
        return None
    return re.sub(r"[^-\d]", "", gold)


def _fraction(value: Fraction) -> Iterator[str]:
    sign, above, below = "-" * (value < 0), abs(value.numerator), value.denominator
    yield rf"{sign}\frac{{{above}}}{{{below}}}"
    yield rf"{sign}\dfrac{{{above}}}{{{below}}}"
    yield rf"{sign} \tfrac {{{above}}} {{{below}}}"
    yield rf"\frac{{{sign}{above}}}{{{below}}}"
    yield rf"\frac{{{2 * value.numerator}}}{{{2 * below}}}"
    yield f"{sign}{above}/{below}"
    yield f"{sign} {above} / {below}"
    yield rf"{sign}{above} \div {below}"
    yield f"{sign}{above}\u2044{below}"
    if above < 10 and below < 10:
        yield rf"{sign}\frac{above}{below}"
    whole, rest = divmod(above, below)
    if whole and rest:
        yield rf"{sign}{whole}\frac{{{rest}}}{{{below}}}"
        yield rf"{sign}{whole} \frac{{{rest}}}{{{below}}}"
        yield rf"{sign}{whole}\,\dfrac{{{rest}}}{{{below}}}"
        yield f"{sign}{whole} {rest}/{below}"
        yield rf"{sign}{whole}\ {rest}/{below}"
        yield rf"{sign}({whole} + \frac{{{rest}}}{{{below}}})"
        if (rest, below) == (1, 2):
            yield f"{sign}{whole}½"
    decimals = 0
    while decimals < 9 and (value * 10**decimals).denominator > 1:
        decimals += 1
    if decimals < 9:
        yield f"{float(value):.{decimals}f}"
        yield f"{float(value):.{decimals + 2}f}"
        yield rf"{float(value * 10**decimals):.0f} \times 10^{{{-decimals}}}"


def _own_spellings(gold: str) -> Iterator[str]:
    """Spellings that belong to the kind of ``gold``."""
    if (whole := _magnitude(gold)) is not None:
        number = int(whole)
        for separator in (",", "{,}", r",\!", r"\,", r"\ ", r"\;", "\u202f", "\u2009", "\u00a0"):
            yield f"{number:,}".replace(",", separator)
        yield f"{number}.0"
        yield rf"{number}.\text{{ }}"
        yield rf"\frac{{{3 * number}}}{{3}}"
        yield rf"\mathbf{{{number}}}"
        yield rf"\text{{{number}}}"
        yield f"**{number}**"
        if number > 0:
            yield f"+{number}"
            yield f"0{number}"
            yield rf"\sqrt{{{number**2}}}"
            yield from (f"{number} units", rf"{number} \text{{ apples}}", rf"{number}\%"[:-2])
    elif match := MIXED.fullmatch(gold):
        value = int(match[2]) + Fraction(int(match[3]), int(match[4]))
        yield from _fraction(-value if match[1] else value)
    elif match := FRACTION.fullmatch(gold):
        value = Fraction(int(match[2] or match[3]), int(match[4] or match[5]))
        yield from _fraction(-value if match[1] else value)
    elif re.fullmatch(r"-?\d*\.\d+", gold):
        yield from _fraction(Fraction(gold))
        yield f"{gold}00"
        yield gold.replace(".", "0.") if gold.startswith(".") else gold.lstrip("0")
    elif gold.startswith(r"\$"):
        bare = gold[2:]
        yield from (bare, f"{bare} dollars", rf"{bare} \text{{ dollars}}", f"${bare}")
        yield from (f"{bare} USD", rf"\${bare}.00" if "." not in bare else gold, rf"\$ {bare}")
        yield rf"\text{{\${bare}}}"
    elif match := DEGREES.fullmatch(gold):
        n = match[1]
        yield from (f"{n}°", f"{n} °", f"{n}º", rf"{n}\degree", rf"{n}^\degree", f"{n} degrees")
        yield from (rf"{n}^\circ", rf"{n}^{{\circ}}", rf"{n} ^ {{\circ}}", rf"{n}\,^\circ")
        yield from (rf"{n}\text{{ degrees}}", rf"\text{{{n} degrees}}", f"{n}.0°", n)
        yield rf"\angle ABC = {n}^\circ"
        yield rf"{n}\text{{°}}"
    elif match := NUMERAL.fullmatch(gold):
        n, base = match[1], int(match[2])
        yield from (
            f"{n}_{base}",
            f"{n}_{{{base}}}",
            f"({n})_{base}",
            rf"\left({n}\right)_{{{base}}}",
        )
        yield from (rf"{n}_{{\text{{{BASES[base]}}}}}", rf"{n}_\text{{{BASES[base]}}}")
        yield from (rf"{n}_{{({base})}}", f"{n} base {base}", rf"{n} \text{{ (base {base})}}")
        yield from (
            rf"{n}_{{\text{{base }}{base}}}",
            rf"\text{{{n}}}_{{{base}}}",
            f"{n} in base {base}",
        )
        yield from (
            f"0{n}_{base}",
            f"{n} _ {base}",
            n + "₀₁₂₃₄₅₆₇₈₉"[base],
            rf"\text{{{n}}}_{base}",
        )
    elif match := COMPLEX.fullmatch(gold):
        real, sign, factor = match[1], match[2], match[3]
        for unit in ("i", " i", r"\mathrm{i}", r"\text{i}", r"\cdot i", r"\, i", "*i", r"\imath"):
            yield f"{real}{sign}{factor or 1}{unit}"
            yield f"{real} {sign} {factor or 1}{unit}"
        yield f"{sign.strip('+')}{factor}i + {real}" if not real.startswith("-") else gold
        yield rf"({real}) {sign} {factor}i"
        yield rf"z = {real} {sign} {factor}i"
    elif match := PAIR.fullmatch(gold.removeprefix(r"x \in ")):
        opening, low, high, closing = match.groups()
        yield rf"\left{opening} {low}, {high} \right{closing}"
        yield rf"\bigl{opening}{low},\, {high}\bigr{closing}"
        yield f"{opening}{low} , {high}{closing}".replace(r"\infty", "∞")
        yield rf"x \in {opening}{low},{high}{closing}"
        below, above = (r"\le" if opening == "[" else "<"), (r"\leq" if closing == "]" else "<")
        back, up = (r"\ge" if closing == "]" else ">"), (r"\geqslant" if opening == "[" else ">")
        if "infty" not in gold:
            yield f"{low} {below} x {above} {high}"
            yield f"{high} {back} x {up} {low}"
            yield f"{low}{'≤' if opening == '[' else '<'}x{'≤' if closing == ']' else '<'}{high}"
        elif high == r"\infty":
            yield from (f"x {up} {low}", f"{low} {below} x", f"{opening}{low}, +\\infty)")
        else:
            yield from (f"x {above} {high}", f"{high} {back} x")
    elif re.fullmatch(r"\(-?\d+(, ?-?\d+)+\)", gold):
        yield from (gold.replace(",", ", "), gold.replace("(", r"\left(").replace(")", r"\right)"))
        yield gold.replace("(", r"\langle ").replace(")", r" \rangle")
        parts = gold.strip("()").split(",")
        yield r"\begin{pmatrix}" + r"\\".join(parts) + r"\end{pmatrix}"
    elif re.fullmatch(r"(\\\{)?-?\d+(, ?-?\d+)+(\\\})?", gold):
        parts = [part.strip() for part in re.sub(r"\\[{}]", "", gold).split(",")]
        for order in (parts, parts[::-1]):
            yield from (", ".join(order), ",".join(order), r",\ ".join(order), ";".join(order))
            yield r"\{" + ",".join(order) + r"\}"
            yield r"\left\{" + ", ".join(order) + r"\right\}"
            yield ", ".join(f"x = {part}" for part in order)
            yield ", ".join(order[:-1]) + " and " + order[-1]
            yield ", ".join(order[:-1]) + r" \text{ or } " + order[-1]
            yield ", ".join(order[:-1]) + r"\text{, and }" + order[-1]
    elif match := re.fullmatch(r"(\d+) \\pm (\d*) ?\\sqrt\{(\d+)\}", gold):
        a, b, n = match.groups()
        yield from (f"{a}±{b}√{n}", rf"{a}+{b}\sqrt{{{n}}}, {a}-{b}\sqrt{{{n}}}")
        yield rf"x = {a} \pm {b}\sqrt{n}" if len(n) == 1 else rf"x={a}\pm {b}\sqrt{{{n}}}"
        yield rf"\{{{a}-{b}\sqrt{{{n}}}, {a}+{b}\sqrt{{{n}}}\}}"
        yield rf"{a}+{b}\sqrt{{{n}}} \text{{ and }} {a}-{b}\sqrt{{{n}}}"
        yield rf"{a} \mp {b}\sqrt{{{n}}}"
    elif match := re.fullmatch(r"(\d*) ?\\sqrt\{?(\d+)\}?", gold):
        factor, n = match.groups()
        yield from (
            f"{factor}√{n}",
            f"{factor}√({n})",
            f"{factor}sqrt({n})",
            rf"{factor}\sqrt{{{n}}}",
        )
        yield from (rf"{factor or 1} \cdot \sqrt{{{n}}}", rf"{factor or 1}*{n}^{{1/2}}")
        yield rf"\sqrt{{{int(factor or 1) ** 2 * int(n)}}}"
        yield rf"\sqrt{{{n}}} \times {factor or 1}"
        yield rf"\frac{{{int(factor or 1) * int(n)}}}{{\sqrt{{{n}}}}}"
    elif match := re.fullmatch(r"(\d*) ?\\pi", gold):
        factor = match[1] or "1"
        yield from (f"{factor}π", rf"\pi \cdot {factor}", rf"{factor} \times \pi", f"{factor}pi")
    elif match := re.fullmatch(r"\\text\{\((\w)\)\}", gold):
        letter = match[1]
        yield from (letter, f"({letter})", rf"\textbf{{({letter})}}", rf"\text{{{letter}}}")
        yield from (rf"\mathrm{{({letter})}}", rf"\mathbf{{{letter}}}", rf"(\text{{{letter}}})")
    elif match := re.fullmatch(r"\\text\{(\w+)\}", gold):
        word = match[1]
        yield from (word, rf"\textbf{{{word}}}", rf"\mathrm{{{word}}}", rf"\text{{ {word} }}")
        yield from (rf"\text{{{word}.}}", word.title(), rf"\textit{{{word}}}", rf"\mbox{{{word}}}")
    elif "pmatrix" in gold:
        yield gold.replace("pmatrix", "bmatrix")
        yield gold.replace("pmatrix", "matrix").join([r"\left(", r"\right)"])
        yield re.sub(r"(-?)(\d+)/(\d+)", r"\1\\frac{\2}{\3}", gold)
        yield re.sub(r" ?(\\\\|&) ?", r"\1", gold)
    elif match := re.fullmatch(r"(\S+?) ?\\(?:text|mbox)\{ ([a-z]+)\}(\^2)?", gold):
        n, unit, square = match.groups()
        yield from (
            n,
            rf"{n}\ \text{{{unit}}}{square or ''}",
            rf"{n} \, \mathrm{{{unit}}}{square or ''}",
        )
        yield rf"{n} \text{{ {unit}}}{(square or '').replace('2', '{2}')}"
        if square:
            yield rf"{n} \text{{ square {unit}}}"


def spellings(gold: str) -> list[str]:
    """``gold`` in every spelling of its kind, and of all kinds, set in a box in every way."""
    bare = [gold, *_own_spellings(gold)]
    forms = [
        gold.replace("frac", "dfrac").replace("ddfrac", "dfrac").replace("tdfrac", "tfrac"),
        gold.replace("-", "−"), gold.replace("-", "–"), gold.replace(" ", ""), rf"{{{gold}}}",
        re.sub(r"(?<=[^\\ ]) ?([+=]) ?", r" \1 ", gold), gold.replace("(", r"\left(").replace(
            ")", r"\right)").replace(r"\left\left", r"\left").replace(r"\right\right", r"\right"),
        re.sub(r"\\sqrt(\d)(?!\d)", r"\\sqrt{\1}", gold), gold.replace(r"\pi", "π"),
        gold.replace(r"\infty", "∞"), gold.replace(r"\pm", "±"), gold.replace(r"\cup", "∪"),
    ]  # fmt: skip
    if r"\left" in gold or "pmatrix" in gold or r"\in" in gold or r"\cot" in gold:
        forms = [form for form in forms if r"\left\left" not in form and " " in form]
    forms = [form for form in forms if r"\left\{" not in form]
    whole = [
        f"${gold}$", rf"\({gold}\)", rf"\[{gold}\]", f"$${gold}$$", f" {gold} ", f"{gold}.",
        rf"\displaystyle {gold}", rf"\,{gold}\,", f"\u200b{gold}\u200f", f"{gold}\x00",
    ]  # fmt: skip
    return list(dict.fromkeys([*bare, *forms, *whole]))


def neighbours(gold: str) -> list[str]:
    """What differs from ``gold`` in a digit, a sign, a base, a bracket, the order or a letter."""
    wrong = []
    if r"\text{" not in gold or re.search(r"\d", gold):
        grouped = r"(?<![0-9,])\d{1,3}(?:,\\! ?\d{3})+|(?<![0-9,(\[ ])\d{1,3}(?:,\d{3})+(?!\d)|\d+"
        for match in re.finditer(grouped, gold):
            number = re.sub(r"\D", "", match[0])
            for other in {str(int(number) + 1), str(int(number) + 10), number + "1"}:
                zeros = len(number) - len(number.lstrip("0"))
                wrong.append(gold[: match.start()] + "0" * zeros + other + gold[match.end() :])
        for match in re.finditer(r"\d", gold):  # the last digits of 0.15, or of 11,111
            other = str((int(match[0]) + 1) % 10)
            changed = gold[: match.start()] + other + gold[match.end() :]
            wrong.append(changed)
    for match in re.finditer(r"(?<![_^])[+-]", gold):
        sign = {"+": "-", "-": "+"}[match[0]]
        wrong.append(gold[: match.start()] + sign + gold[match.end() :])
    if re.match(r"[\d.\\]", gold) and not re.match(r"\\(text|begin|\$|left|\{)|0$", gold):
        wrong.append(gold if r"\pm" in gold and gold.startswith("0") else f"-{gold}")
    if match := NUMERAL.fullmatch(gold):
        wrong += [f"{match[1]}_{base}" for base in range(2, 17) if base != int(match[2])]
        wrong.append(str(int(match[1], int(match[2]))))
    if match := COMPLEX.fullmatch(gold):
        wrong += [match[1], f"{match[3]}i", f"{match[3]}{match[2]}{match[1]}i"]
        wrong.append(str(int(match[1]) + int(match[2] + (match[3] or "1"))))
    if (match := PAIR.fullmatch(gold.removeprefix(r"x \in "))) and match[2] != match[3]:
        opening, low, high, closing = match.groups()
        wrong += [f"{opening}{high},{low}{closing}", low, high, rf"\{{{low},{high}\}}"]
        if "infty" not in low:
            wrong.append(f"{'(' if opening == '[' else '['}{low},{high}{closing}")
        if "infty" not in high:
            wrong.append(f"{opening}{low},{high}{')' if closing == ']' else ']'}")
    elif re.fullmatch(r"\(-?\d+(, ?-?\d+)+\)", gold):
        parts = [part.strip() for part in gold.strip("()").split(",")]
        wrong += [f"({','.join(order)})" for order in ([*parts[1:], parts[0]], parts[:-1])]
        wrong.append(rf"\{{{','.join(parts)}\}}")
        wrong.append(",".join([*parts[1:], parts[0]]))
    elif re.fullmatch(r"(\\\{)?-?\d+(, ?-?\d+)+(\\\})?", gold):
        parts = [part.strip() for part in re.sub(r"\\[{}]", "", gold).split(",")]
        wrong += [",".join(parts[:-1]), ",".join([*parts, "977"]), f"({','.join(parts[::-1])})"]
    if match := MIXED.fullmatch(gold):
        whole, above, below = (int(match[i]) for i in (2, 3, 4))
        wrong += [f"{whole * Fraction(above, below)}", f"{whole}", f"{whole + 1} {above}/{below}"]
    if match := re.fullmatch(r"\\text\{\(?(\w+)\)?\}", gold):
        words = ["east", "west", "even", "odd", "Evelyn", "Navin", "ellipse", "circle", "A", "D"]
        wrong += [rf"\text{{{word}}}" for word in words if word != match[1]]
        wrong.append("17")
    for match in re.finditer(r"(?<![\\a-zA-Z{])[a-zA-Z](?![a-zA-Z])", gold):
        # A letter of a formula; not a unit's, a word's, or the name of what is asked for.
        if re.search(r"text|mbox|\\in|^.{1,3}=", gold) or match[0] == "i":
            continue
        others = ["m" if match[0] != "m" else "n"]
        others += [match[0].swapcase()] if r"\cot" not in gold else []
        wrong += [gold[: match.start()] + other + gold[match.end() :] for other in others]
    if re.fullmatch(r"-?[\d.]+", gold) and float(gold):
        wrong += [rf"{gold}i", rf"{gold} + \mathrm{{i}}", rf"{gold}\mathrm{{e}}", f"{gold} x"]
        wrong += [rf"{gold}, {gold}1", f"({gold}, 1)", r"\text{none}", r"\infty", f"{gold}_7"]
    return [other for other in dict.fromkeys(wrong) if other != gold]


def _graded(golds: list[str]) -> pl.DataFrame:
    rows = [
        (gold, extract_answer(rf"So it is \boxed{{{answer}}}. Hence \boxed{{}}."), expected)
        for gold in golds
        for expected, answers in ((True, spellings(gold)), (False, neighbours(gold)))
        for answer in answers
    ]
    frame = pl.DataFrame(rows, ["problem_id", "answer", "expected"], orient="row")
    graded = grade(
        {gold: gold for gold in golds}, frame.drop("expected").with_columns(count=1), workers=1
    )
    return frame.join(graded, on=["problem_id", "answer"], nulls_equal=True)


def _check(graded: pl.DataFrame) -> None:
    wrong = graded.filter(pl.col("correct").ne_missing(pl.col("expected")))
    assert wrong.select("problem_id", "answer", "correct").rows() == []
    mixed = graded.group_by("problem_id", "answer_class").agg(pl.col("correct").n_unique())
    assert mixed["correct"].max() == 1
    votes = graded.filter("correct").group_by("problem_id").agg(pl.col("answer_class").unique())
    split = votes.filter(
        pl.col("answer_class").list.len() > 1, ~pl.col("problem_id").str.contains(NUMERAL.pattern)
    )
    assert split.rows() == []


@pytest.mark.parametrize("gold", OWN)
def test_there_are_spellings_and_neighbours_of_every_kind(gold: str) -> None:
    assert len(spellings(gold)) > 10
    assert len(neighbours(gold)) >= 1
    assert not set(spellings(gold)) & set(neighbours(gold))


def test_every_spelling_of_an_answer_is_right_and_its_neighbours_are_wrong() -> None:
    _check(_graded(OWN))


MIRROR = Path(os.environ.get("MIRROR", "/nowhere"))


@pytest.mark.skipif(
    not (MIRROR / "test500.jsonl").exists(),
    reason="needs the environment variable MIRROR: a folder with test500.jsonl, test_aime.jsonl, "
    "test_amc.jsonl",
)
def test_every_spelling_of_every_gold_of_three_tasks() -> None:
    golds = []
    for name, n in (("test500", 500), ("test_aime", 30), ("test_amc", 40)):
        records = [json.loads(line) for line in (MIRROR / f"{name}.jsonl").open()]
        assert len(records) == n
        given = [r.get("answer", r.get("extracted_groundtruth")) for r in records]
        golds += [f"{g:g}" if isinstance(g, float) else g for g in given]
    _check(_graded(sorted(set(golds))))
