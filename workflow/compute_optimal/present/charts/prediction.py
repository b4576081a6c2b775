"""Difficulty that is predicted, and budgets that end early."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from compute_optimal.analyse.quantities import Estimate
from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row
from compute_optimal.present.tables.prediction import gaps

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AGAINST: Mapping[str, style.Look] = {
    "true_difficulty": style.Look("true difficulty", "", style.OTHER_COLOURS[1], "o"),
    "one_strategy": style.Look("one strategy for all problems", "", style.OTHER_COLOURS[0], "s"),
    "majority": style.METHODS["majority"]._replace(label="majority voting"),
}
_SPREAD = 0.22


def regret(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A panel per policy, a line per PRM, a mark with its interval per other way to choose.

    At one budget a policy, at which the most PRMs have the same methods to choose from.
    """
    shown = gaps([row for row in rows if row["prm"] and row["budget"] == row["figure_budget"]])
    prms = {
        row["prm"]: style.prm_label(row["prm_title"], row["prm_ability"], 1.5) for row, _ in shown
    }
    place = {prm: position for position, prm in enumerate(prms)}
    ends = [0.0, *(end for _, difference in shown for end in difference.ends)]
    margin = 0.04 * (max(ends) - min(ends) or 1.0)

    def prepare(axes: Axes) -> None:
        axes.set_xlim(min(ends) - margin, max(ends) + margin)
        axes.set_ylim(max(len(place), 1) - 0.45, -0.55)
        axes.set_yticks(range(len(place)), [*prms.values()])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        if not shown:
            axes.set_xticks([])

    panels = [
        _regret_panel(of_policy, [one for one in shown if one[0]["policy"] == policy], place)
        for policy, of_policy in _by_policy(rows)
    ]
    probes = {row["n_probes"] for row, _ in shown}
    details = [f"difficulty predicted from {n} samples" for n in sorted(probes)]
    return Grid(
        title,
        "; ".join([subtitle, *details]),
        "gain of predicted difficulty (points)",
        "",
        [Block("", panels, prepare)] if panels else [],
        [_mark(look) for look in AGAINST.values()],
        panel_height=0.25 + 0.42 * max(1, len(place)),
        left=1.6,
        columns=min(2, max(1, len(panels))),
    )


def _by_policy(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for policy, of_policy in groupby(rows, key=lambda row: row["policy"]):
        yield policy, [*of_policy]


def _regret_panel(
    rows: Sequence[Row],
    shown: Sequence[tuple[Row, Estimate]],
    place: Mapping[str, int],
) -> Panel:
    first = rows[0]

    def paint(axes: Axes) -> None:
        # Not where a panel only says why it has no results: the line would cross the words.
        axes.axvline(0, color=style.INK, linewidth=0.8)
        for row, difference in shown:
            look = AGAINST[row["against"]]
            y = place[row["prm"]] + _SPREAD * ([*AGAINST].index(row["against"]) - 1)
            axes.hlines(y, *difference.ends, color=look.colour, linewidth=1.1)
            axes.plot(
                difference.value,
                y,
                marker=look.marker,
                color=look.colour,
                linestyle="",
                markersize=4,
            )

    budgets = {row["budget"] for row, _ in shown}
    title = f"{first['policy_title']} ({style.parameters_text(first['n_parameters'])})"
    n_problems = style.counted(len(shown[0][0]["problem_ids"]) if shown else 0, "problem")
    note = "; ".join(f"N = {n:,}, {n_problems}" for n in budgets)
    absent = style.fit(first["reason"] or style.NOT_RUN, 1.7, style.SMALL, 4)
    return Panel(first["policy"], title, paint if shown else None, absent, note=note)


def _mark(look: style.Look) -> tuple[Any, str]:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.colour, marker=look.marker), f"against {look.label}"


_STOPPING: Mapping[tuple[str, str], style.Look] = {
    ("majority", "fixed"): style.METHODS["majority"]._replace(label="majority voting, all N"),
    ("majority", "certain"): style.Look("... until certain", "", style.OTHER_COLOURS[2], "v", "--"),
    ("majority", "confident"): style.Look(
        "... until one answer leads with 95%", "", style.OTHER_COLOURS[1], "<", ":"
    ),
    ("best_of_n", "fixed"): style.METHODS["best_of_n"]._replace(label="best-of-N, all N"),
    ("best_of_n", "threshold"): style.Look(
        "... until a score is high enough", "", style.OTHER_COLOURS[0], ">", "--"
    ),
}


def stopping(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A panel per policy: accuracy against the samples drawn on average, a line per rule."""
    shown = [row for row in rows if row["is_main"]]
    ends = [100 * row[name] for row in shown for name in ("ci_low", "ci_high")]
    drawn = [row["samples"] for row in shown]
    low, high = style.percent_limits(ends)
    prms = {row["prm_title"] for row in shown if row["prm"] is not None}

    def prepare(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        axes.set_xlim(max(min(drawn, default=1) * 0.8, 0.5), max(drawn, default=1) * 1.25)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylim(low, high)

    panels = []
    for policy, of_policy in _by_policy(shown):
        first = of_policy[0]
        title_ = f"{first['policy_title']} ({style.parameters_text(first['n_parameters'])})"
        panels.append(Panel(policy, title_, _paint_stopping(of_policy), note=_saved(of_policy)))
    return Grid(
        title,
        "; ".join([subtitle, *(f"PRM: {prm}" for prm in sorted(prms))]),
        "samples drawn per problem, on average",
        "accuracy (%)",
        [Block("", panels, prepare)] if panels else [],
        [_line(look) for look in _STOPPING.values()],
        columns=min(3, max(1, len(panels))),
    )


def _paint_stopping(rows: Sequence[Row]) -> Any:
    def paint(axes: Axes) -> None:
        for key, look in _STOPPING.items():
            points = [row for row in rows if (row["method"], row["rule"]) == key]
            if not points:
                continue
            x = [row["samples"] for row in points]
            y = [100 * row["accuracy"] for row in points]
            low, high = ([100 * row[end] for row in points] for end in ("ci_low", "ci_high"))
            axes.vlines(x, low, high, color=look.colour, alpha=0.3, linewidth=0.9)
            axes.plot(
                x, y, color=look.colour, linestyle=look.dash, marker=look.marker,
                markersize=3.5, linewidth=1.1,
            )  # fmt: skip

    return paint


def _saved(rows: Sequence[Row]) -> str:
    """What certainty saves of the largest budget, in words."""
    certain = [row for row in rows if row["rule"] == "certain"]
    if not certain:
        return ""
    row = max(certain, key=lambda row: row["budget"])
    saved, least, most = (
        style.rounded(100 * (1 - row[name] / row["budget"]), 0)
        for name in ("samples", "samples_high", "samples_low")
    )
    return f"certain: {saved:.0f}% [{least:.0f}, {most:.0f}] of {row['budget']} saved"


def _line(look: style.Look) -> tuple[Any, str]:
    from matplotlib.lines import Line2D

    handle = Line2D(
        [], [], color=look.colour, marker=look.marker, linestyle=look.dash, markersize=4
    )
    return handle, look.label
