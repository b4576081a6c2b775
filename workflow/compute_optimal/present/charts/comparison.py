"""Figure 1: small policies with compute-optimal test-time scaling beside larger ones with CoT."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row
from compute_optimal.present.tables.gains import Gains, gains_of
from compute_optimal.present.tables.model import MARK, Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SERIES = ("cot", "compute_optimal")
_BAR = 0.36
_LEFT, _LABEL = 2.35, 2.25
"""Inches left of the axes, and of a name there."""
_PAPER = style.LIGHT
_ALIKE: dict[str, Any] = {"marker": "d", "markersize": 5, "markeredgecolor": "black"}
_UNLIKE: dict[str, Any] = _ALIKE | {
    "marker": "X",
    "markeredgecolor": style.MUTED,
    "markeredgewidth": 0.8,
}
"""What is printed for a policy, where it is comparable and where it is not."""


def small_against_large(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A panel per task: two bars per policy, small ones first, and bars as printed in the paper.

    What is of a part of the problems says of how many. What others did not run is left out, as
    nobody means to run it.
    """
    blocks = []
    of_tasks: list[Sequence[Gains]] = []
    n_bars = 1
    for _, group in groupby(rows, key=lambda row: row["task"]):
        of_task = list(group)
        models = [row for row in of_task if row["series"] == "printed"]
        studied = [row for row in of_task if row["series"] != "printed"]
        policies = [
            gains_of(list(of_policy))
            for _, of_policy in groupby(studied, key=lambda row: row["policy"])
        ]
        policies = [
            gains
            for gains in policies
            if gains.cot or gains.compute_optimal or not gains.is_adopted
        ]
        n_bars = max(n_bars, len(policies) + len(models))
        of_tasks.append(policies)
        blocks.append(_block(of_task[0], policies, models))
    if any(gains.is_of_a_part for policies in of_tasks for gains in policies):
        subtitle = style.joined(subtitle, "n: problems, where not all")
    return Grid(
        title,
        subtitle,
        "accuracy (%)",
        "",
        blocks,
        _legend(
            any(row["series"] == "printed" or row["printed"] for row in rows),
            has_largest=any(_largest(policies) for policies in of_tasks),
        ),
        panel_height=0.1 + 0.32 * n_bars,
        left=_LEFT,
    )


def _block(task: Row, policies: Sequence[Gains], models: Sequence[Row]) -> Block:
    names = [_name(gains) for gains in policies] + [
        f"{row['policy_title']}{MARK}" for row in models
    ]

    def prepare(axes: Axes) -> None:
        axes.set_xlim(0, 122 if any(gains.is_of_a_part for gains in policies) else 109)
        axes.set_xticks(range(0, 101, 20))
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_yticks(
            range(len(names)), [style.fit(name, _LEFT, style.SMALL, 1, _LABEL) for name in names]
        )
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")

    def paint(axes: Axes) -> None:
        for place, gains in enumerate(policies):
            estimates = dict(zip(_SERIES, (gains.cot, gains.compute_optimal), strict=True))
            if gains.is_adopted:
                estimates = {series: one for series, one in estimates.items() if one is not None}
            middle = (len(estimates) - 1) / 2
            for i, (series, estimate) in enumerate(estimates.items()):
                _bar(axes, place + (i - middle) * _BAR, series, estimate, gains)
        for place, row in enumerate(models, start=len(policies)):
            value = row["printed_accuracy"]
            axes.barh(place, value, _BAR, color="white", edgecolor=_PAPER, hatch="////")
            _value(axes, place, value, style.fixed(value))
        if (largest := _largest(policies)) is not None:
            axes.axvline(largest.value, color=style.INK, linewidth=0.7, linestyle=(0, (4, 2)))

    ran = any(gains.cot or gains.compute_optimal for gains in policies)
    panel = Panel(str(task["task"]), "", paint if ran else None)
    return Block(str(task["task_title"]), [panel], prepare)


def _largest(policies: Sequence[Gains]) -> Estimate | None:
    """CoT of the largest policy that answered all problems; None if there is none, or no size is
    known."""
    whole = [g for g in policies if g.cot and g.n_parameters is not None and not g.is_of_a_part]
    return max(whole, key=lambda g: g.n_parameters or 0).cot if whole else None


def _bar(axes: Axes, place: float, series: str, estimate: Estimate | None, gains: Gains) -> None:
    if estimate is None:
        axes.text(1, place, style.NOT_RUN, va="center", fontsize=style.SMALL, style="italic")
        return
    axes.barh(place, estimate.value, _BAR, color=style.METHODS[series].colour, label=series)
    end = estimate.value
    if estimate.low is not None and estimate.high is not None:
        axes.hlines(place, estimate.low, estimate.high, color=style.INK, linewidth=0.8)
        end = estimate.high
    printed = gains.printed.get(series)
    part = f" (n = {gains.n_problems:,})" if gains.is_of_a_part else ""
    if printed is not None:
        axes.plot(
            printed.value,
            place,
            color="white",
            **(_UNLIKE if gains.unlike(series) else _ALIKE),
        )
        # The number stays with its own bar, unless the mark lies where it would be written.
        length = 22 if part else 9
        end = printed.value if end - 1 < printed.value < end + length else end
    _value(axes, place, end, f"{style.fixed(estimate.value)}{part}")


def _value(axes: Axes, place: float, end: float, text: str) -> None:
    """The number right of its bar and interval."""
    axes.annotate(
        text,
        (end, place),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=style.SMALL,
        bbox=style.HALO | {"pad": 0},
    )


def _name(gains: Gains) -> str:
    return f"{gains.policy_title} ({style.parameters_text(gains.n_parameters)})"


def _legend(has_printed: bool, *, has_largest: bool) -> list[tuple[Any, str]]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: list[tuple[Any, str]] = [
        (Patch(color=style.METHODS[series].colour), style.METHODS[series].label)
        for series in _SERIES
    ]
    if has_largest:
        line = Line2D([], [], color=style.INK, lw=0.7, ls=(0, (4, 2)))
        entries.append((line, "CoT of the largest"))
    if has_printed:
        for look, text in (
            (_ALIKE, "printed for this policy"),
            (_UNLIKE, "printed for it, of another N or PRM, or other problems"),
        ):
            entries.append((Line2D([], [], color="white", ls="", **look), text))
        hatched = Patch(facecolor="white", edgecolor=_PAPER, hatch="////")
        entries.append((hatched, f"{MARK} CoT, printed only"))
    return entries
