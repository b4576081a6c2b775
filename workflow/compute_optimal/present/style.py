"""One look for all charts: colours, marks, sizes, words, and text that is safe to draw.

A method has the same colour, marker and dash in every figure. The colours are those of Okabe and
Ito (2008), which the common forms of colour blindness keep apart; markers and dashes carry the
same distinction in greyscale. Font sizes are points at the printed width of 7.2 inches.
"""

from __future__ import annotations

import math
import re
import textwrap
import unicodedata
import warnings
from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

NOT_RUN = "not run"
TOO_FEW = "too few problems"
UNCHECKED = "steps cannot be checked"
"""What figures and tables say of what the study means to run and has not, of what it has run on
fewer problems than it takes, and of what takes the truth about steps on a task that has no exact
check of them, whatever was run."""


class Look(NamedTuple):
    """How one method, or another series, is called and drawn."""

    label: str
    short: str
    colour: str
    marker: str
    dash: Any = "-"


METHODS: Mapping[str, Look] = {
    "cot": Look("CoT (greedy)", "CoT", "#56B4E9", "X", ":"),
    "majority": Look("Majority voting", "majority", "#E69F00", "o", (0, (5, 1.5))),
    "best_of_n": Look("Best-of-N", "best-of-N", "#0072B2", "s"),
    "beam_search": Look("Beam search", "beam search", "#D55E00", "^", (0, (3, 1, 1, 1))),
    "dvts": Look("DVTS", "DVTS", "#009E73", "D", (0, (6, 1, 1, 1, 1, 1))),
    "compute_optimal": Look("Compute-optimal TTS", "compute-optimal", "#CC79A7", "*"),
    "pass_at_k": Look("Pass@N (reference)", "Pass@N", "#666666", "", (0, (1, 1.2))),
}
OTHER_COLOURS = ("#332288", "#882255", "#999933", "#661100")
"""Colours of what is no method and no policy, such as ways to choose or to score."""
SHARES = (-2.5, 102.5)
"""Limits of an axis of all percentages: marks at 0 and 100 are whole."""
INK, MUTED, FAINT, LIGHT, EMPTY = "#222222", "#555555", "#8C8C8C", "#BDBDBD", "#EEEEEE"
HALO: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
"""Ground of a number that stands in the way of a line: the line ends there, as it must be read."""
SERIES_MARKERS = "osD^vP*Xhd<>p8"

TITLE, HEADING, TEXT, SMALL = 9.5, 8.0, 7.5, 7.0
WIDTH_OF_LABEL = 3.2
"""Inches of a label in a legend, beyond which it is cut."""

RC: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": TEXT,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.6,
    "pdf.fonttype": 42,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    # Element ids are hashed from this instead of at random: the same data gives the same bytes.
    "svg.hashsalt": "compute-optimal",
    "text.color": INK,
    # As in SVG and PDF, whose texts are placed by what the renderer of pixels measures.
    "text.hinting": "no_hinting",
    # Names and answers come from outside; "$" must not start a formula.
    "text.parse_math": False,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "xtick.major.size": 2,
    "xtick.major.width": 0.6,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "ytick.labelsize": SMALL,
    "ytick.major.size": 2,
    "ytick.major.width": 0.6,
}


def one_line(text: str) -> str:
    """Text on one line, with the replacement character for control characters and marks that
    reverse the reading direction.

    No-break spaces stay.
    """
    # Most texts need no more than this, which takes a tenth of the time.
    if text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    kept = (
        character if character.isprintable() or character.isspace() else "\N{REPLACEMENT CHARACTER}"
        for character in unicodedata.normalize("NFC", text)
    )
    return re.sub(r"[^\S\N{NO-BREAK SPACE}]+", " ", "".join(kept)).strip()


def fit(
    text: str,
    width: float,
    size: float,
    lines: int = 2,
    room: float | None = None,
    weight: str = "normal",
) -> str:
    """Text wrapped at spaces and hyphens, or within a longer word, to ``width`` inches at ``size``
    points.

    ``width`` counts characters of the usual width; no line is longer than ``room`` inches (by
    default as many), whatever its characters are. What does not fit into ``lines`` is cut and ends
    in an ellipsis.
    """
    # DejaVu Sans is about 0.6 em wide on average in names with digits and capitals.
    columns = max(4, int(width * 72 / (0.6 * size)))
    text = one_line(text)
    while True:
        wrapped = textwrap.wrap(text, columns, break_on_hyphens=True)
        if len(wrapped) > lines:
            last = wrapped[lines - 1][: columns - 1].rstrip()
            wrapped = [*wrapped[: lines - 1], f"{last}…"]
        widest = max((inches(line, size, weight) for line in wrapped), default=0.0)
        longest = width if room is None else room
        if widest <= longest or columns == 1:
            return "\n".join(wrapped)
        # As many as would fit if all were as wide as those of the widest line.
        columns = max(1, min(columns - 1, int(columns * longest / widest)))


def inches(text: str, size: float, weight: str = "normal") -> float:
    """Width of a line of text at ``size`` points, as it is drawn."""
    return math.fsum(_advance(character, weight) for character in text) * size / 72


@cache
def _advance(character: str, weight: str) -> float:
    """Width of one character in em: of its own glyph, or of what is drawn where the font has
    none."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=RC["font.family"], size=1, weight=weight)
    with warnings.catch_warnings():
        # Of a glyph that is missing, as when it is drawn.
        warnings.simplefilter("ignore")
        width, _, _ = text_to_path.get_text_width_height_descent(character, font, ismath=False)
    return float(width)


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun: "1 problem", "2,000 problems"."""
    return f"{n:,} {noun if n == 1 else plural or f'{noun}s'}"


_MOST_DECIMALS = 9
"""Of a number that its sign needs; what is less still is rounding and 0."""
_WHOLE = 2.0**50
"""Numbers from here on have hardly a decimal."""


def rounded(value: float, digits: int = 1) -> float:
    """The number in so many decimals as it is shown, everywhere by one rule: of two that are
    equally near the one further from 0, and less than 1e-9 is no difference.

    Where answers tie, accuracies are means of halves, and one in twenty of them lies between two
    numbers; neither the order in which they were added up nor what shows them may decide then.
    ``fixed`` in pages/numbers.js is the same rule.
    """
    if not abs(value) < _WHOLE:
        return value
    exact = Decimal(f"{value:.{_MOST_DECIMALS}f}")
    return float(exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))


def fixed(value: float, digits: int = 1) -> str:
    """A number as it is ``rounded``: "62.3"; 0 has no sign."""
    return f"{rounded(value, digits):z.{digits}f}"


def leading(value: float, digits: int) -> Decimal:
    """The number in so many leading digits, by the rule of ``rounded``; what is less than 1e-11 of
    it is no difference. ``leading`` in pages/numbers.js is the same rule."""
    exact = Decimal(f"{value:.11e}")
    if not exact or not exact.is_finite():
        return exact.normalize()
    return exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), ROUND_HALF_UP)


def significant(value: float, digits: int) -> str:
    """A number in so many leading digits, without zeros at the end of a fraction and never with a
    power of ten: "1,200", "0.05"."""
    text = f"{leading(value, digits):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def p_text(p: float, level: float) -> str:
    """A p-value in two leading digits, or in as many more as show on which side of ``level`` it
    is: 0.0499 is not 0.05."""
    digits = 2
    while digits < _MOST_DECIMALS and (float(f"{p:.{digits}g}") < level) != (p < level):
        digits += 1
    return f"{p:.{digits}g}"


def scientific(value: float, digits: int) -> str:
    """A number with a power of ten, in so many digits after the first: "1.25e13"."""
    number = leading(value, digits + 1)
    # A decimal 0 has a power of ten of its own.
    return f"{number:.{digits}e}".replace("e+", "e") if number else f"{0:.{digits}f}e0"


def decimals(value: float, digits: int, *bounds: float) -> int:
    """How many decimals, ``digits`` or more, show on which side of each of ``bounds`` a number is.

    An end of an interval at -0.02 is below 0, and "0.0" would not say so. A number that differs
    from a bound by rounding alone is on neither side.
    """
    while digits < _MOST_DECIMALS and any(
        abs(value - bound) > 10.0**-_MOST_DECIMALS and rounded(value, digits) == bound
        for bound in bounds
    ):
        digits += 1
    return digits


def signed(value: float, *bounds: float, digits: int = 1) -> str:
    """A difference with its sign, "+1.2", and what rounds to 0 without one: "0.0". In as many
    decimals, ``digits`` or more, as show its side of ``bounds``."""
    digits = decimals(value, digits, *bounds)
    text = f"{rounded(value, digits):+,.{digits}f}".replace("-", "−")
    return text if text.strip("+−0.,") else text[1:]


def signed_interval(value: float, low: float, high: float, *bounds: float) -> str:
    """A difference with its interval: "−3.1 [−5.0, −1.3]". On which side of 0, and of ``bounds``,
    an end lies can be seen; the number itself is as exact where all of the interval is on one."""
    sides = (0.0, *bounds)
    told = [bound for bound in sides if low > bound or high < bound]
    return f"{signed(value, *told)} [{signed(low, *sides)}, {signed(high, *sides)}]"


def parameters_text(n: float | None) -> str:
    """A number of parameters as people write it: "0.5B", "1.2M", "850k"."""
    if n is None:
        return "size unknown"
    shown = float(leading(n, 3))
    for unit, scale in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if shown >= scale:
            return f"{significant(shown / scale, 3)}{unit}"
    return fixed(n, 0)


def scales_of_evidence(*, is_miniature: bool) -> dict[str, str]:
    """The scales that pages with a choice of them tell apart: what the study itself runs, and what
    others ran."""
    own = "This study's models"
    if is_miniature:
        own = "The scale model (no evidence about large models)"
    return {"study": own, "public": "Real models, public rollouts"}


def ability_text(ability: float | None) -> str:
    """A PRM's ability, in percent, as figures name it: "F1 95.9"; empty where it is unknown."""
    return "" if ability is None else f"F1 {fixed(ability)}"


def prm_text(title: str, ability: float | None) -> str:
    """A PRM with its ability, where that is known: "Skywork-PRM-7B (F1 53.0)"."""
    return title if ability is None else f"{title} ({ability_text(ability)})"


def prm_label(title: str, ability: float | None, width: float) -> str:
    """A PRM beside an axis: its title in two lines of ``width`` inches, its ability below."""
    return "\n".join(filter(None, (fit(title, width, SMALL), ability_text(ability))))


def joined(*notes: str) -> str:
    """Notes of a panel in one line, without those that are empty."""
    return "; ".join(filter(None, notes))


def price_text(tokens: Iterable[int | None]) -> str:
    """What something that has not been run would take: " (about 1.2M tokens)"; empty if nothing."""
    total = sum(n or 0 for n in tokens)
    return f" (about {parameters_text(total)} tokens)" if total else ""


def power_of_ten(exponent: int) -> str:
    """10 to a whole power in characters that need no formula: "10¹²"."""
    return "10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def handle(look: Look, *, band: bool = True) -> tuple[Any, str]:
    """Entry of a legend for a method: its line, and its interval behind it."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    line = Line2D(
        [],
        [],
        color=look.colour,
        marker=look.marker or None,
        linestyle=look.dash,
        markeredgecolor="white",
        markeredgewidth=0.4,
    )
    return ((Patch(facecolor=look.colour, alpha=0.13), line) if band else line, look.label)


def draw_curve(
    axes: Axes,
    look: Look,
    x: Sequence[float],
    y: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float | None],
    marked: Sequence[bool],
    label: str,
    *,
    bars: bool = False,
) -> Line2D:
    """A line with its intervals as a band, or as bars if asked for or where it is a single point.

    ``low`` and ``high`` are None where there is no interval. ``marked`` says which points carry a
    marker. Points without an interval interrupt the band.
    """
    known = [bound is not None for bound in low]
    lows = [value if bound is None else bound for bound, value in zip(low, y, strict=True)]
    highs = [value if bound is None else bound for bound, value in zip(high, y, strict=True)]
    if bars or len(x) == 1:
        axes.vlines(x, lows, highs, color=look.colour, alpha=0.45, linewidth=1.0)
    elif any(known):
        axes.fill_between(
            x, lows, highs, where=known, color=look.colour, alpha=0.13, linewidth=0, label=label
        )
    (line,) = axes.plot(
        x,
        y,
        color=look.colour,
        marker=look.marker or ("." if len(x) == 1 else None),
        linestyle=look.dash,
        markevery=[i for i, is_marked in enumerate(marked) if is_marked],
        markeredgecolor="white",
        markeredgewidth=0.4,
        label=label,
    )
    return line


def lighter(colour: str) -> str:
    """Halfway between a colour and white: the second of two curves of one method."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = to_rgb(colour)
    return to_hex(((1 + red) / 2, (1 + green) / 2, (1 + blue) / 2))


def policy_look(label: str, row: Mapping[str, Any]) -> Look:
    """The look of a policy, the same in every figure: by its ``policy_place`` among the
    ``n_places`` policies of the study, smallest first."""
    return _ordered_look(label, row["policy_place"], row["n_places"], "viridis")


def series_look(label: str, position: int, n: int) -> Look:
    """The look of one of ``n`` series that have an order and are no policies, such as budgets."""
    return _ordered_look(label, position, n, "copper")


def _ordered_look(label: str, position: int, n: int, colours: str) -> Look:
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    colour = to_hex(mpl.colormaps[colours](0.85 * position / max(1, n - 1)))
    text = fit(label, WIDTH_OF_LABEL, TEXT, lines=1)
    return Look(text, text, colour, SERIES_MARKERS[position % len(SERIES_MARKERS)])


def percent(fraction: float | None) -> float | None:
    """A share of 0 to 1 in percent, None of None."""
    return None if fraction is None else 100 * fraction


def thinned(ticks: Sequence[int], most: int = 6) -> Sequence[int]:
    """At most ``most`` of the ticks, evenly spread, the last one included."""
    step = math.ceil(len(ticks) / most)
    return ticks[::-1][::step][::-1] if ticks else ticks


def decades(values: Iterable[float]) -> list[int]:
    """Exponents of the powers of ten from at or below the smallest value to at or above the
    largest; values are positive."""
    logs = [math.log10(value) for value in values] or [0.0]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    return list(range(low, max(high, low + 1) + 1))


def keep_labels_inside(axes: Axes) -> None:
    """Keep labels of ticks at both ends of the x axis, two or more, from meeting those of the next
    panel."""
    first, *_, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")


def percent_limits(values: Sequence[float], *, least_span: float = 10.0) -> tuple[float, float]:
    """Limits of a percentage axis around ``values`` (in %), with a margin, hardly beyond 0..100."""
    if not values:
        return (0.0, 100.0)
    low, high = min(values), max(values)
    spare = max(0.0, least_span - (high - low)) / 2 + 0.06 * (high - low)
    margin = 0.02 * max(high - low, least_span)
    return (max(-margin, low - spare), min(100 + margin, high + spare))
