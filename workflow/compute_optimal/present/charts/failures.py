"""What PRMs get wrong: how often, and an example of each failure (Figures 12 to 18)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, starmap
from typing import TYPE_CHECKING, Any

from compute_optimal.analyse.quantities import share
from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Paint, Panel, grid_without_results
from compute_optimal.present.query import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ABILITY = {
    "f1": "F1 of the two to the right",
    "error_accuracy": "Wrong solutions: first error found",
    "correct_accuracy": "Right solutions: nothing flagged",
}
RATES = {
    "over_criticism": "Over-criticism: right steps flagged",
    "error_neglect": "Error neglect: first errors not flagged",
    "localisation_bias": "Localisation bias: another step flagged first",
}
LENGTH = {"length_bias": "Length bias of right steps"}

_TRUTHS: dict[str, tuple[str, dict[str, Any]]] = {
    "right": ("right step", {"facecolor": style.LIGHT, "edgecolor": style.FAINT}),
    "wrong": ("first wrong step", {"facecolor": style.INK, "edgecolor": style.INK}),
    "after": (
        "step after the first error",
        {"facecolor": "white", "edgecolor": style.FAINT, "hatch": "/////"},
    ),
}
_STEP_WIDTH, _ROW_HEIGHT, _NO_ROWS = 2.9, 0.165, 0.5
"""Inches for the text of a step, for its bar, and for a panel without steps."""
_EXAMPLES = 4
"""Of each failure; more PRMs have one than a page holds."""
_MARGIN = 0.1
"""Rows above the first bar and below the last one."""

_PREFIXES = {
    "prefers_longer": "longer step preferred: ",
    "prefers_shorter": "shorter step preferred: ",
}

Chart = Callable[[Sequence[Row], str, str], Grid]


def failure_rates(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Each failure's rate, a row per PRM: all policies together, and each policy apart."""
    prms = {row["prm"]: row["prm_title"] for row in rows}
    labels = {
        row["prm"]: style.prm_label(row["prm_title"], row["prm_ability"], 1.55) for row in rows
    }
    policies = {row["policy"]: row for row in rows if row["policy"] is not None}
    looks = {
        policy: style.policy_look(row["policy_title"], row) for policy, row in policies.items()
    }

    def panel(measure: str, text: str) -> Panel:
        of_measure = [row for row in rows if row["measure"] == measure and row["value"] is not None]
        unknown = [
            name for prm, name in prms.items() if prm not in {row["prm"] for row in of_measure}
        ]
        scale = 1 if measure in LENGTH else 100

        def paint(axes: Axes) -> None:
            if measure in LENGTH:
                axes.axvline(0, color=style.FAINT, linewidth=0.8)
            for row in of_measure:
                place = float([*prms].index(row["prm"]))
                look = looks.get(row["policy"])
                if look is not None:
                    place += 0.16 + 0.44 * [*looks].index(row["policy"]) / len(looks)
                colour = style.INK if look is None else look.colour
                if row["ci_low"] is not None:
                    ends = scale * row["ci_low"], scale * row["ci_high"]
                    axes.hlines(place, *ends, color=colour, alpha=0.6, linewidth=1.0)
                axes.plot(
                    scale * row["value"],
                    place,
                    marker="D" if look is None else look.marker,
                    color=colour,
                    markersize=4.6 if look is None else 3,
                    linestyle="",
                    label=row["prm"] if look is None else f"{row['prm']}|{row['policy']}",
                )

        note = f"not measured: {', '.join(unknown)}" if unknown and of_measure else ""
        is_measured = any(row["measure"] == measure for row in rows)
        absent = "not defined" if is_measured else style.NOT_RUN
        return Panel(measure, text, paint if of_measure else None, absent, note)

    def prepared(low: float, high: float, ticks: Sequence[float]) -> Paint:
        def prepare(axes: Axes) -> None:
            axes.set_ylim(len(prms) - 0.3, -0.3)
            axes.set_yticks(range(len(prms)), [*labels.values()])
            axes.set_xlim(low, high)
            axes.set_xticks(ticks)
            style.keep_labels_inside(axes)

        return prepare

    from matplotlib.lines import Line2D

    shares = prepared(*style.SHARES, range(0, 101, 20))
    everything = Line2D([], [], color=style.INK, marker="D", ls="", markersize=4.6)
    measured = any(row["value"] is not None for row in rows)
    return Grid(
        title,
        subtitle,
        "share (%)",
        "",
        [
            Block("Score of ProcessBench", [*starmap(panel, ABILITY.items())], shares),
            Block("Failures", [*starmap(panel, RATES.items())], shares),
            Block(
                "",
                [*starmap(panel, LENGTH.items())],
                prepared(-1.04, 1.04, (-1, -0.5, 0, 0.5, 1)),
                "correlation of margin and length",
            ),
        ],
        [
            (everything, "all policies"),
            *(style.handle(look, band=False) for look in looks.values()),
        ]
        if measured
        else [],
        panel_height=max(0.8, (0.24 + 0.07 * len(policies)) * len(prms)),
        left=1.85,
        columns=3,
    )


def pruned_paths(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Problems whose right path has been pruned, over steps: a panel per PRM and policy."""
    drawn = [row for row in rows if row["method"] is not None]
    if not drawn:
        return grid_without_results("none", title, "this takes beam search or DVTS")
    deepest = max(row["depth"] for row in drawn)
    searches = sorted({(row["method"], row["budget"]) for row in drawn})
    smallest, largest = dict(reversed(searches)), dict(searches)
    looks = {}
    for method, budget in searches:
        look = style.METHODS[method]
        if budget < largest[method]:
            look = look._replace(dash=(0, (1, 1.2)), marker="o")
            # Some PRMs have searches to a larger N than others: their largest is between.
            if budget == smallest[method]:
                look = look._replace(colour=style.lighter(look.colour))
        looks[method, budget] = look

    def curve(points: Sequence[Row]) -> tuple[list[float], list[float], list[float]]:
        shares = [share(row["n_pruned"], row["n_problems"], row["confidence"]) for row in points]
        low, high = zip(*(one.ends for one in shares), strict=True)
        return [one.value for one in shares], [*low], [*high]

    def panel(group: Sequence[Row]) -> Panel:
        curves = {
            key: [*points]
            for key, points in groupby(group, key=lambda row: (row["method"], row["budget"]))
            if key[0] is not None
        }

        def paint(axes: Axes) -> None:
            for key, points in curves.items():
                depths = [row["depth"] for row in points]
                marked = [True] * len(depths)
                label = f"{key[0]}|{key[1]}"
                style.draw_curve(axes, looks[key], depths, *curve(points), marked, label)

        # Of each method at the largest N that was searched with this PRM.
        last = {method: points[0] for (method, _), points in sorted(curves.items())}
        missed = [
            f"{style.METHODS[method].short} {style.fixed(share, 0)}%"
            for method, row in last.items()
            for share in [100 * row["n_not_written"] / row["n_problems"]]
        ]
        first = group[0]
        return Panel(
            f"{first['policy']}|{first['prm']}",
            first["prm_title"],
            paint if curves else None,
            note=style.joined(
                style.ability_text(first["prm_ability"]),
                f"not written: {', '.join(missed)}" if missed else "",
            ),
        )

    ends = [end for row in drawn for end in curve([row])[2]]
    top = style.percent_limits([0.0, *ends], least_span=2.0)[1]

    def prepare(axes: Axes) -> None:
        axes.set_xlim(0.6, deepest + 0.4)
        axes.set_xticks(style.thinned(range(1, deepest + 1)))
        axes.set_ylim(0, top)
        axes.locator_params(axis="y", nbins=5)

    def title_of(row: Row) -> str:
        return f"{row['policy_title']} ({style.parameters_text(row['n_parameters'])})"

    blocks = []
    for _, of_policy in groupby(rows, key=lambda row: row["policy"]):
        block = [*of_policy]
        panels = [panel([*group]) for _, group in groupby(block, key=lambda row: row["prm"])]
        blocks.append(Block(title_of(block[0]), panels, prepare))
    legend = [
        (style.handle(look)[0], f"{look.label}, N = {budget:,}")
        for (_, budget), look in looks.items()
    ]
    y_title = "right path pruned (%)"
    return Grid(title, subtitle, "depth (steps)", y_title, blocks, legend)


def examples(*failures: str) -> Chart:
    """The chart of one example per PRM and failure: its steps, their truth and their scores."""

    def chart(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
        shown = [row for row in rows if row["failure"] in failures]
        cases = [
            [*group] for _, group in groupby(shown, key=lambda row: (row["prm"], row["failure"]))
        ]
        seen = [steps for steps in cases if steps[0]["step"] is not None]
        kept = [
            steps
            for failure in failures
            for steps in [one for one in seen if one[0]["failure"] == failure][:_EXAMPLES]
        ]
        panels = [_example(steps) for steps in (kept if len(seen) > len(kept) else cases)]
        if len(seen) > len(kept):
            subtitle = (
                f"{subtitle}; {len(kept)} of {len(seen)} cases, of the smallest PRMs that have one"
            )
        if not panels:
            reason = f"{style.NOT_RUN}: this takes {'two PRMs' if rows else 'a PRM'}"
            if any(row["n_solutions"] for row in rows):
                reason = "no two PRMs chose differently from the same samples, one of them rightly"
            panels = [Panel("none", "", None, reason)]
        has_examples = any(panel.paint for panel in panels)
        return Grid(
            title,
            subtitle,
            "score of the step (%)",
            "",
            [Block("", panels, _prepare)],
            _legend() if has_examples else [],
            panel_height=_NO_ROWS,
            left=_STEP_WIDTH + 0.15,
            columns=1,
        )

    return chart


def _legend() -> list[tuple[Any, str]]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    bars: list[tuple[Any, str]] = [
        (Patch(linewidth=0.6, **look), label) for label, look in _TRUTHS.values()
    ]
    threshold = Line2D([], [], color=style.INK, linestyle="--", linewidth=0.8)
    return [*bars, (threshold, "below: flagged as wrong")]


def _prepare(axes: Axes) -> None:
    axes.set_xlim(0, 165)
    axes.set_xticks(range(0, 101, 25))
    axes.set_yticks([])
    axes.grid(visible=False, axis="y")


def _example(steps: Sequence[Row]) -> Panel:
    first = steps[0]
    name = f"{first['prm']}|{first['failure']}"
    label = f"{_PREFIXES.get(first['failure'], '')}{first['prm_title']}"
    if first["step"] is None:
        reason = (
            f"{style.NOT_RUN}: no steps of this PRM's were checked"
            if not first["n_solutions"]
            else f"no such case in {style.counted(first['n_solutions'], 'solution')}"
        )
        return Panel(name, label, None, reason)

    def paint(axes: Axes) -> None:
        axes.set_ylim(len(steps) - 0.5 + _MARGIN, -0.5 - _MARGIN)
        axes.set_yticks(
            range(len(steps)),
            [style.fit(row["step"], _STEP_WIDTH, style.TEXT, lines=1) for row in steps],
        )
        axes.tick_params(axis="y", length=0)
        axes.axvline(50, color=style.INK, linestyle="--", linewidth=0.8)
        for place, row in enumerate(steps):
            axes.barh(
                place,
                row["score"],
                height=0.7,
                linewidth=0.6,
                label=row["truth"],
                **_TRUTHS[row["truth"]][1],
            )
            mark = f"   ◄ {row['mark']}" if row["mark"] else ""
            score = style.fixed(row["score"], 0).rjust(3, "\N{FIGURE SPACE}")
            axes.text(102, place, score + mark, va="center", fontsize=style.SMALL)

    where = f"{first['problem_id']}, sample {first['sample_index']} of {first['policy_title']}"
    return Panel(
        name,
        f"{label}; {where}",
        paint,
        note=f"{first['problem']} Answer: {first['gold']}.",
        height=_ROW_HEIGHT * (len(steps) + 2 * _MARGIN),
    )
