"""Real models, by rollouts that others ran and published: differences with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from compute_optimal.analyse.quantities import compared, compared_both_ways
from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import Estimate
from compute_optimal.present.tables.public import method_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEFT = 3.4
_ROW = 0.3
_BESIDE = 0.14
"""From the point of the largest N to the hollow one below it, in heights of a line."""
_SEARCHES = 4
"""Places of the query ``public_methods`` from which on methods are searches."""


def small_against_large(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A block per small policy, a line per large one, a point per N; hollow, at the largest N: only
    problems that the large one answers."""
    from matplotlib.lines import Line2D

    budgets = sorted({row["budget"] for row in rows})
    looks = {
        budget: style.series_look(f"N = {budget}", place, len(budgets))
        for place, budget in enumerate(budgets)
    }
    parts_of_blocks = []
    for _, group in groupby(rows, key=lambda row: row["policy"]):
        of_policy = [*group]
        own = sorted({row["budget"] for row in of_policy})
        large = {row["large_policy"]: row for row in of_policy}
        order = sorted(large, key=lambda name: (_mean(large[name]["reference"]), name))
        labels = [_large(large[name]) for name in order]
        marks = []
        for row in of_policy:
            look = looks[row["budget"]]
            every, answered = compared_both_ways(row)
            place = order.index(row["large_policy"]) + _offset(own.index(row["budget"]), len(own))
            marks.append((place, every.difference, look.colour, look.marker, True))
            if row["budget"] == own[-1]:
                marks.append(
                    (place + _BESIDE, answered.difference, look.colour, look.marker, False)
                )
        parts_of_blocks.append((of_policy[0]["policy_title"], labels, marks, 0.8 + 0.15 * len(own)))
    ends = _ends([mark for _, _, marks, _ in parts_of_blocks for mark in marks])
    blocks = [_block(*parts, ends) for parts in parts_of_blocks]
    legend: list[tuple[Any, str]] = [
        (Line2D([], [], color=look.colour, marker=look.marker, ls="-"), f"N = {budget}")
        for budget, look in looks.items()
    ]
    hollow = Line2D([], [], color=style.MUTED, marker="o", mfc="white", ls="-")
    legend.append((hollow, "largest N, on the problems that the large one answers"))
    return _grid(title, subtitle, "small with TTS minus large with CoT (points)", blocks, legend)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _large(row: Row) -> str:
    size = f", {style.parameters_text(row['large_n_parameters'])}"
    n_problems = style.counted(len(row["problem_ids"]), "problem")
    accuracy = style.fixed(100 * _mean(row["reference"]))
    return f"{row['large_model']}{size}: {accuracy}% of {n_problems}"


def methods(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A block per model, a line per pair of ways to use it."""
    shown = [row for row in rows if row["place"] >= 3 or row["other_place"] == 0]
    blocks = []
    for base, group in groupby(shown, key=lambda row: row["base"]):
        of_base = [*group]
        labels = [_pair(row) for row in of_base]
        marks = [
            (place, compared(row).difference, _colour(row["method"]), _marker(row["method"]), True)
            for place, row in enumerate(of_base)
        ]
        blocks.append(_block(base, labels, marks, 1.0, _ends(marks)))
    names = dict.fromkeys(row["method"] for row in shown)
    from matplotlib.lines import Line2D

    legend: list[tuple[Any, str]] = [
        (Line2D([], [], color=_colour(name), marker=_marker(name), ls="-"), method_name(name))
        for name in names
    ]
    shown_as = f"{subtitle}; in brackets: problems that have both"
    return _grid(title, shown_as, "difference of accuracies (points)", blocks, legend)


Mark = tuple[float, Estimate | None, str, str, bool]
"""Place on the axis, difference, colour, marker, and whether the marker is filled."""


def _ends(marks: Sequence[Mark]) -> tuple[float, float]:
    """Limits of an axis that shows 0 and all intervals."""
    ends = [0.0]
    for _, difference, *_ in marks:
        if difference is not None:
            ends += difference.ends
    margin = 0.04 * (max(ends) - min(ends) or 1.0)
    return min(ends) - margin, max(ends) + margin


def _block(
    title: str,
    labels: Sequence[str],
    marks: Sequence[Mark],
    room: float,
    ends: tuple[float, float],
) -> Block:
    """``room``: height of a line, as a multiple of the usual."""

    def prepare(axes: Axes) -> None:
        axes.set_xlim(*ends)
        axes.set_ylim(len(labels) - 0.45, -0.55)
        axes.set_yticks(range(len(labels)), labels)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.axvline(0, color=style.INK, linewidth=0.8)

    def paint(axes: Axes) -> None:
        for place, difference, colour, marker, is_filled in marks:
            if difference is None:
                continue
            axes.hlines(place, *difference.ends, color=colour, linewidth=1.1)
            axes.plot(
                difference.value,
                place,
                marker=marker,
                color=colour,
                markerfacecolor=colour if is_filled else "white",
                markersize=4,
            )

    panel = Panel(title, "", paint if marks else None, height=_ROW * room * max(len(labels), 1))
    return Block(title, [panel], prepare)


def _offset(place: int, n: int) -> float:
    """Offset of one of ``n`` points on a line, in its heights: they and what stands beside the last
    lie about its middle, closer to each other than to those of the next line."""
    step = min(0.2, 0.5 / max(1, n - 1))
    return step * (place - (n - 1) / 2) - _BESIDE / 2


def _pair(row: Row) -> str:
    """What is compared, on two lines, and on how many problems."""
    lines = _way(row, ""), f"over {_way(row, 'other_')} ({len(row['problem_ids'])})"
    # Small letters are narrower than what is allowed for.
    return "\n".join(style.fit(line, 1.3 * _LEFT, style.SMALL, 1, _LEFT) for line in lines)


def _way(row: Row, prefix: str) -> str:
    """A method with what sets it apart from the other one's."""
    method = row[f"{prefix}method"]
    parts = [method_name(method)]
    if method not in ("cot", "one_sample"):
        parts.append(f"N = {row[f'{prefix}budget']}")
    if row[f"{prefix}place"] >= _SEARCHES:
        parts.append(row[f"{prefix}prm_title"] or "")
    if row["policy"] != row["other_policy"]:
        differing = [name for name in ("weights", "variant") if row[name] != row[f"other_{name}"]]
        parts += [row[f"{prefix}{name}"] or "" for name in differing[:1]]
    return ", ".join(filter(None, parts))


def _colour(method: str) -> str:
    return style.METHODS[method].colour if method in style.METHODS else style.MUTED


def _marker(method: str) -> str:
    own = {"one_sample": "."}
    return style.METHODS[method].marker if method in style.METHODS else own.get(method, "v")


def _grid(
    title: str,
    subtitle: str,
    x_title: str,
    blocks: Sequence[Block],
    legend: Sequence[tuple[Any, str]],
) -> Grid:
    return Grid(title, subtitle, x_title, "", blocks, legend, left=_LEFT + 0.1, columns=1)
