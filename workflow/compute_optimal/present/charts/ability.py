"""Figure 6: how test-time scaling depends on the ability of the PRM to find wrong steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compute_optimal.analyse.ability_trend import AbilityTrend, RankCorrelation, ability_trend
from compute_optimal.analyse.quantities import Estimate, mean_accuracy, resampling_of
from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOUR = style.MUTED
"""Of no method: a point is the mean over several."""
_KEY, _NAMES, _END = 103.0, 107.0, 146.0
"""Where on the axis of ability, which ends at 100, the key begins, its names do, and the panel
ends."""
_SHOULDER, _NUMBERS = 0.86, 0.95
"""Heights in the panel, of 1: where lines from points to their numbers turn, and of numbers."""
_APART = 3.2
"""Between numbers at least, on the axis of ability."""
_FIT: dict[str, Any] = {"color": style.FAINT, "linestyle": "--"}
_PRINTED: dict[str, Any] = {"color": style.OTHER_COLOURS[1], "linestyle": (0, (1, 1.2))}


def accuracy_by_ability(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """One point per PRM, its area larger the more parameters it has, and Y = a ln(X) + b.

    PRMs are numbered by ability. A number stands above its point, and in the key beside the name.

    The paper's own line stands beside it, as far as it is inside the axes. Intervals over problems:
    of the accuracy always, of the ability where it was measured.
    """
    points = [row for row in rows if row["ability"] and row["accuracy"] is not None]
    x = np.array([row["ability"] for row in points], dtype=np.float64)
    y = np.array([100 * row["accuracy"] for row in points], dtype=np.float64)
    accuracies = [mean_accuracy(row["accuracies"], resampling_of(row)) for row in points]
    abilities = [
        Estimate(row["ability"], row["ability_low"], row["ability_high"]) for row in points
    ]
    printed = _printed_line(rows) if points else None
    trend = ability_trend(x.tolist(), y.tolist())
    low, high = style.percent_limits([*y, *(end for one in accuracies for end in one.ends)])
    largest = max((row["prm_n_parameters"] or 0 for row in points), default=0) or 1

    def prepare(axes: Axes) -> None:
        axes.set_xlim(0, _END)
        axes.set_xticks(range(0, 101, 20))
        axes.set_ylim(low - 0.1 * (high - low), high + 0.25 * (high - low))

    def paint(axes: Axes) -> None:
        # Grid and axis end where the key begins.
        axes.spines["bottom"].set_bounds(0, 100)
        axes.axvspan(100.5, _END, color="white", linewidth=0, zorder=0.9)
        if trend is not None:
            grid = np.linspace(x.min(), x.max(), 100)
            axes.plot(grid, trend.slope * np.log(grid) + trend.intercept, label="fit", **_FIT)
        if printed is not None:
            # From where it is positive; without the axes' limits where nothing else is.
            grid = np.linspace(1, 100, 200)
            axes.plot(grid, printed[0] * np.log(grid) + printed[1], label="printed", **_PRINTED)
        for of_prm, with_it, ability, accuracy in zip(abilities, accuracies, x, y, strict=True):
            axes.hlines(accuracy, *of_prm.ends, color=_COLOUR, alpha=0.45, linewidth=1.0)
            axes.vlines(ability, *with_it.ends, color=_COLOUR, alpha=0.45, linewidth=1.0)
        order = np.argsort(x, kind="stable")
        bottom, top = axes.get_ylim()
        shoulder, above = (bottom + part * (top - bottom) for part in (_SHOULDER, _NUMBERS))
        # Names stand beside the axes, in the order of their numbers, so that none covers another.
        heights = np.linspace(top, bottom, len(points) + 2)[1:-1]
        for number, (i, place) in enumerate(zip(order, _apart(x[order]), strict=True), 1):
            row, ability, accuracy = points[i], x[i], y[i]
            axes.scatter(
                ability,
                accuracy,
                s=25 + 95 * (row["prm_n_parameters"] or 0) / largest,
                color=_COLOUR,
                alpha=0.7,
                edgecolor="white",
                label=row["prm"],
            )
            # Upright first, then aslant between two heights: in order at both, no two cross.
            axes.plot(
                [ability, ability, place],
                [accuracy, shoulder, above],
                color=style.FAINT,
                linewidth=0.5,
                zorder=1,
            )
            axes.text(
                place,
                above,
                str(number),
                ha="center",
                va="center",
                fontsize=style.SMALL,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
                zorder=3,
            )
            height = heights[number - 1]
            axes.text(_KEY, height, str(number), va="center", fontsize=style.SMALL)
            axes.text(
                _NAMES,
                height,
                style.fit(row["prm_title"], 1.7, style.SMALL, lines=2),
                va="center",
                fontsize=style.SMALL,
            )

    lacking = [row["prm_title"] for row in rows if row not in points]
    panel = Panel(
        "ability",
        "",
        paint if points else None,
        absent=style.NOT_RUN if points else _lacking(rows),
        note=f"{style.NOT_RUN} or not measured: {', '.join(lacking)}" if lacking and points else "",
    )
    sources = sorted({row["source"] for row in points if row["source"]})
    budgets = sorted({row["budget"] for row in points})
    details = [f"N = {budgets[0]:,}"] if budgets else []
    details += [f"ability: {', '.join(sources)}"] if sources else []
    return Grid(
        title,
        "; ".join([subtitle, *details, "areas grow with parameters"]),
        "ability of the PRM to find wrong steps: F1 (%)",
        "mean accuracy (%)",
        [Block("", [panel], prepare)],
        _legend(trend, len(x), printed),
    )


def _apart(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places of numbers for points at ``x``, which rises: ``_APART`` from each other or, where they
    are too many, as far as they can be; else as near to their points as they can be."""
    step = min(_APART, 100 / max(1, len(x)))
    # Groups that would overlap are set about the mean of their points: each with its sum and size.
    groups: list[tuple[float, int]] = []
    for rank, value in enumerate(x.tolist()):
        groups.append((value - step * rank, 1))
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] >= groups[-1][0] / groups[-1][1]:
            total, size = groups.pop()
            groups[-1] = (groups[-1][0] + total, groups[-1][1] + size)
    starts = np.concatenate([np.full(size, total / size) for total, size in groups] or [x])
    # Inside the axes, and left of the key.
    starts = np.clip(starts, 1.0, max(1.0, 99.0 - step * (len(x) - 1)))
    places: NDArray[np.float64] = starts + step * np.arange(len(x))
    return places


def _lacking(rows: Sequence[Row]) -> str:
    """Why there is no point, of PRMs of which none has one."""
    if not any(row["n_prms_run"] for row in rows):
        return style.NOT_RUN
    if all(row["accuracy"] is None for row in rows):
        return "no policy ran with every PRM by one method"
    return "no PRM has both a known ability and results"


def _printed_line(rows: Sequence[Row]) -> tuple[float, float] | None:
    """Slope and intercept of the paper's line."""
    for row in rows:
        if row["printed_slope"] is not None and row["printed_intercept"] is not None:
            return row["printed_slope"], row["printed_intercept"]
    return None


def _legend(
    trend: AbilityTrend | None, n_prms: int, printed: tuple[float, float] | None
) -> list[tuple[Any, str]]:
    """Both lines with their equations: inside the axes these would lie over lines and points."""
    from matplotlib.lines import Line2D

    entries: list[tuple[Any, str]] = []
    if trend is not None:
        text = f"fit: {_line_text(trend.slope, trend.intercept)}{_rank_text(trend.ranks, n_prms)}"
        entries.append((Line2D([], [], **_FIT), text))
    if printed is not None:
        entries.append((Line2D([], [], **_PRINTED), f"the paper's line: {_line_text(*printed)}"))
    return entries


def _line_text(slope: float, intercept: float) -> str:
    sign = "+" if intercept >= 0 else "−"
    rise = f"{style.rounded(slope, 2):z.2f}".replace("-", "−")
    return f"Y = {rise} ln(X) {sign} {style.fixed(abs(intercept), 2)}"


def _rank_text(ranks: RankCorrelation | None, n_prms: int) -> str:
    if ranks is None:
        return ""
    rho = f"{style.rounded(ranks.rho, 2):z.2f}".replace("-", "−")
    return f"; Spearman's ρ = {rho} ({style.counted(n_prms, 'PRM')}, p = {ranks.p_value:.2g})"
