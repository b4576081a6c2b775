"""How much compute-optimal selection owes to being scored on the problems it was made on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RULES: Mapping[str, style.Look] = {
    "in_sample": style.METHODS["compute_optimal"]._replace(
        label="compute-optimal TTS, in-sample (Equation 3)"
    ),
    "cross_fitted": style.Look(
        "cross-fitted: chosen on other problems", "", style.OTHER_COLOURS[0], "o"
    ),
    "fixed_rule": style.Look("the paper's fixed rule by size", "", style.OTHER_COLOURS[1], "s"),
    "oracle": style.Look("oracle: best strategy of each problem", "", style.OTHER_COLOURS[2], "d"),
}
_SPREAD = 0.16
_ANY = "choosing the PRM too"


def selections(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A panel per policy, a line per PRM, ablest last, a mark and interval per way to select."""
    prms = {
        row["prm"]: _ANY
        if row["prm"] is None
        else style.prm_label(row["prm_title"], row["prm_ability"], 1.5)
        for row in rows
    }
    # Choosing among one PRM is no choice.
    names = [prm for prm in prms if prm is not None] if len(prms) <= 2 else [*prms]
    place = {prm: position for position, prm in enumerate(names)}
    shown = [row for row in rows if row["prm"] in place and row["rule"] in RULES]
    ends = [
        100 * row[column]
        for row in shown
        for column in ("accuracy", "ci_low", "ci_high")
        if row[column] is not None
    ]
    low, high = style.percent_limits(ends)

    def prepare(axes: Axes) -> None:
        axes.set_xlim(low, high)
        axes.locator_params(axis="x", nbins=6)
        axes.set_ylim(max(len(names), 1) - 0.45, -0.55)
        axes.set_yticks(range(len(names)), [prms[prm] for prm in names])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")

    panels = [_panel([*group], place) for _, group in groupby(rows, key=lambda row: row["policy"])]
    budgets = {row["budget"] for row in shown}
    details = [f"N = {budget:,}" for budget in sorted(budgets)]
    return Grid(
        title,
        "; ".join([subtitle, *details]),
        "accuracy (%)",
        "",
        [Block("", panels, prepare)] if panels else [],
        [_legend(look) for look in RULES.values()],
        panel_height=0.25 + 0.42 * max(1, len(names)),
        left=1.6,
        columns=min(2, max(1, len(panels))),
    )


def _panel(rows: Sequence[Row], place: Mapping[str | None, int]) -> Panel:
    first = rows[0]
    drawn = [row for row in rows if row["prm"] in place and row["rule"] in RULES]

    def paint(axes: Axes) -> None:
        offsets = {rule: _SPREAD * (i - 1.5) for i, rule in enumerate(RULES)}
        for row in drawn:
            look = RULES[row["rule"]]
            y = place[row["prm"]] + offsets[row["rule"]]
            if row["ci_low"] is not None:
                ends = 100 * row["ci_low"], 100 * row["ci_high"]
                axes.hlines(y, *ends, color=look.colour, alpha=0.45, linewidth=1.0)
            axes.plot(
                100 * row["accuracy"],
                y,
                marker=look.marker,
                color=look.colour,
                linestyle="",
                label=f"{row['rule']}|{row['prm']}",
            )
        for prm, y in place.items():
            if not any(row["prm"] == prm for row in drawn):
                text = f" {style.NOT_RUN}"
                axes.text(axes.get_xlim()[0], y, text, va="center", style="italic")

    title = f"{first['policy_title']} ({style.parameters_text(first['n_parameters'])})"
    return Panel(first["policy"], title, paint if drawn else None, note=_gap(rows, place))


def _gap(rows: Sequence[Row], place: Mapping[str | None, int]) -> str:
    """The optimism of the largest choice, the last line, in words; empty where it is unknown."""
    last = [*place][-1] if place else None
    for row in rows:
        if row["rule"] == "optimism_gap" and row["prm"] == last:
            value = 100 * row["accuracy"]
            low, high = style.percent(row["ci_low"]), style.percent(row["ci_high"])
            points = style.signed(value, 0.0)
            if low is not None and high is not None:
                points = style.signed_interval(value, low, high)
            of_all = f", {_ANY}" if last is None and len(place) > 1 else ""
            return (
                f"optimism{of_all}: {points} points, "
                f"{style.counted(row['n_strategies'], 'strategy', 'strategies')}"
            )
    return ""


def _legend(look: style.Look) -> tuple[Any, str]:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.colour, marker=look.marker, linestyle=""), look.label
