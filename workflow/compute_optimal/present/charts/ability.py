"""Figure 6: how test-time scaling depends on the ability of the PRM to find wrong steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from compute_optimal.analyse.statistics.estimators import FloatArray
from compute_optimal.analyse.statistics.intervals import bootstrap_weights, mean_interval
from compute_optimal.analyse.statistics.ranks import rank_correlation
from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEAST_FOR_FIT = 3
_COLOUR = style.METHODS["best_of_n"].colour


def accuracy_by_ability(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """One point per PRM, its area in proportion to its parameters, and Y = a ln(X) + b.

    The paper's own line stands beside it, as far as it is inside the axes; names stand at the
    points where they fit. Intervals over problems: of the accuracy always, of the ability where it
    was measured.
    """
    points = [row for row in rows if row["ability"] and row["accuracy"] is not None]
    x = np.array([row["ability"] for row in points], dtype=np.float64)
    y = np.array([100 * row["accuracy"] for row in points], dtype=np.float64)
    accuracies = [_accuracy_interval(row) for row in points]
    abilities = [
        (row["ability"] if row["ability_low"] is None else row["ability_low"],
         row["ability"] if row["ability_high"] is None else row["ability_high"])
        for row in points
    ]  # fmt: skip
    printed = _printed_line(rows)
    low, high = style.percent_limits([*y, *(end for ends in accuracies for end in ends)])
    largest = max((row["prm_n_parameters"] or 0 for row in points), default=0) or 1

    def prepare(axes: Axes) -> None:
        axes.set_xlim(0, 100)
        style.keep_labels_inside(axes)
        axes.set_ylim(low, high + 0.12 * (high - low))

    def paint(axes: Axes) -> None:
        if len({*x}) >= _LEAST_FOR_FIT:
            slope, intercept = np.polyfit(np.log(x), y, 1)
            grid = np.linspace(x.min(), x.max(), 100)
            axes.plot(
                grid,
                slope * np.log(grid) + intercept,
                color=style.FAINT,
                linestyle="--",
                label="fit",
            )
            axes.text(
                0.98,
                0.04,
                f"fit: {_line_text(slope, intercept)}" + _rank_text(x, y),
                transform=axes.transAxes,
                ha="right",
                color=style.MUTED,
            )
        if printed is not None:
            # From where it is positive; without the axes' limits where nothing else is.
            grid = np.linspace(1, 100, 200)
            axes.plot(
                grid,
                printed[0] * np.log(grid) + printed[1],
                color=style.METHODS["beam_search"].colour,
                linestyle=(0, (1, 1.2)),
                label="printed",
            )
        for (left, right), (bottom, top), ability, accuracy in zip(
            abilities, accuracies, x, y, strict=True
        ):
            axes.hlines(accuracy, left, right, color=_COLOUR, alpha=0.45, linewidth=1.0)
            axes.vlines(ability, bottom, top, color=_COLOUR, alpha=0.45, linewidth=1.0)
        for number, (row, ability, accuracy) in enumerate(zip(points, x, y, strict=True), start=1):
            area = 25 + 375 * (row["prm_n_parameters"] or 0) / largest
            axes.scatter(
                ability,
                accuracy,
                s=area,
                color=_COLOUR,
                alpha=0.7,
                edgecolor="white",
                label=row["prm"],
            )
            axes.annotate(
                str(number),
                (ability, accuracy),
                xytext=(0, area**0.5 / 2 + 1),
                textcoords="offset points",
                ha="center",
                va="bottom",
            )
        _name_points(axes, [row["prm_title"] for row in points], x, y)

    lacking = [row["prm_title"] for row in rows if row not in points]
    panel = Panel(
        "ability",
        "",
        paint if points else None,
        absent="not run: no PRM has both a measured ability and results",
        note=f"{style.NOT_RUN} or not measured: {', '.join(lacking)}" if lacking and points else "",
    )
    sources = sorted({row["source"] for row in points if row["source"]})
    budgets = sorted({row["budget"] for row in points})
    details = [f"N = {budgets[0]:,}"] if budgets else []
    details += [f"ability: {', '.join(sources)}"] if sources else []
    return Grid(
        title,
        "; ".join([subtitle, *details, "areas in proportion to parameters"]),
        "ability of the PRM to find wrong steps: F1 (%)",
        "mean accuracy (%)",
        [Block("", [panel], prepare)],
        [
            *(_legend_entry(number, row) for number, row in enumerate(points, start=1)),
            *_lines(printed if points else None),
        ],
    )


def _printed_line(rows: Sequence[Row]) -> tuple[float, float] | None:
    """Slope and intercept of the paper's line."""
    for row in rows:
        if row["printed_slope"] is not None and row["printed_intercept"] is not None:
            return row["printed_slope"], row["printed_intercept"]
    return None


def _lines(printed: tuple[float, float] | None) -> list[tuple[Any, str]]:
    from matplotlib.lines import Line2D

    if printed is None:
        return []
    line = Line2D([], [], color=style.METHODS["beam_search"].colour, linestyle=(0, (1, 1.2)))
    return [(line, f"the paper's line: {_line_text(*printed)}")]


def _line_text(slope: float, intercept: float) -> str:
    sign = "+" if intercept >= 0 else "−"
    return f"Y = {slope:.2f} ln(X) {sign} {abs(intercept):.2f}".replace("-", "−")


def _name_points(axes: Axes, names: Sequence[str], x: FloatArray, y: FloatArray) -> None:
    """Names beside their points where they meet neither another name, point nor edge."""
    box = axes.get_window_extent()
    # In points, as sizes of letters and marks are.
    scale = 72 / axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    width, height = box.width * scale, box.height * scale
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    places = np.stack(
        [(x - left) / (right - left) * width, (y - bottom) / (top - bottom) * height], axis=1
    )
    # Points, each with its number above it, and the words on the fit in the corner.
    taken = [(px - 9.0, py - 9.0, px + 9.0, py + 20.0) for px, py in places.tolist()]
    taken.append((0.5 * width, 0.0, width, 0.04 * height + 3 * style.TEXT))
    for name, (px, py) in zip(names, places.tolist(), strict=True):
        text = style.fit(name, style.WIDTH_OF_LABEL, style.SMALL, lines=1)
        length, line = 0.62 * style.SMALL * len(text), 1.3 * style.SMALL
        for start, below, across in (
            (px + 12, py - line / 2, "left"),
            (px - 12 - length, py - line / 2, "right"),
            (px - length / 2, py - 11 - line, "center"),
        ):
            mine = start, below, start + length, below + line
            inside = start >= 2 and mine[2] <= width - 2 and below >= 2 and mine[3] <= height - 2
            if inside and not any(_meet(mine, other) for other in taken):
                at = {"left": start, "right": mine[2], "center": px}[across]
                axes.annotate(
                    text,
                    (at / width, (below + line / 2) / height),
                    xycoords="axes fraction",
                    ha=across,
                    va="center",
                    fontsize=style.SMALL,
                    color=style.MUTED,
                    bbox=style.HALO,
                )
                taken.append(mine)
                break


def _meet(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _accuracy_interval(row: Row) -> tuple[float, float]:
    """Ends of the interval of a row's mean accuracy over problems, in %."""
    values = np.array(row["accuracies"], dtype=np.float64)[:, None]
    weights = bootstrap_weights(len(values), row["replicates"], row["seed"])
    interval = mean_interval(values, weights, row["confidence"])
    return 100 * float(interval.low[0]), 100 * float(interval.high[0])


def _rank_text(x: FloatArray, y: FloatArray) -> str:
    correlation = rank_correlation(x, y)
    if correlation is None:
        return ""
    rho = f"{correlation.rho:.2f}".replace("-", "−")
    return f"\nSpearman's ρ = {rho} ({style.counted(len(x), 'PRM')}, p = {correlation.p_value:.2g})"


def _legend_entry(number: int, row: Row) -> tuple[Any, str]:
    from matplotlib.lines import Line2D

    name = style.fit(row["prm_title"], 2.2, style.TEXT, lines=1)
    label = f"{number}: {name} ({style.parameters_text(row['prm_n_parameters'])})"
    return Line2D([], [], color=_COLOUR, marker="o", ls=""), label
