"""Figures of accuracy: over the budget (Figures 4, 5, 7 to 11), FLOPs and seconds.

Rows come from ``accuracy_points`` in ``sql/macros.sql``: one per point, and one with a NULL budget
for each method that the study means to run and has not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_LINES = ("pass_at_k", "majority", "best_of_n", "beam_search", "dvts")
_NEEDS_PRM = ("best_of_n", "beam_search", "dvts")
_ACCURACY, _BUDGET = "accuracy (%)", "budget N (samples)"


def by_prm(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A block per policy and a panel per PRM; with one PRM or none, a panel per policy."""
    if len({row["prm"] for row in rows}) > 1:
        blocks = [
            _block(_policy_title(of_policy[0]), of_policy, "prm", lambda row: row["prm_title"])
            for of_policy in _groups(rows, "policy")
        ]
        return _grid(rows, title, subtitle, blocks)
    return by_policy(rows, title, subtitle)


def by_policy(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A panel per policy, with the one PRM of the rows."""
    blocks = [_block("", rows, "policy", _policy_title)] if rows else []
    return _grid(rows, title, f"{subtitle}; {_prm_text(rows)}", blocks)


def by_difficulty(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A block per policy and a panel per difficulty, with the one PRM of the rows."""

    def panel_title(row: Row) -> str:
        n = row["n_expected"]
        return str(row["bucket"]) if n is None else f"{row['bucket']} (n = {n:,})"

    blocks = [
        _block(_policy_title(of_policy[0]), of_policy, "bucket", panel_title)
        for of_policy in _groups(rows, "policy")
    ]
    return _grid(rows, title, f"{subtitle}; {_prm_text(rows)}", blocks)


def against_flops(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Accuracy over 2ND FLOPs per problem."""
    counted = f"{subtitle}; {_prm_text(rows)}; 2ND FLOPs of policy and PRM"
    absent = "no record of the tokens that the PRM read"
    return _against(rows, title, counted, "flops", "FLOPs per problem", absent)


def against_seconds(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Accuracy over measured seconds per problem."""
    counted = f"{subtitle}; {_prm_text(rows)}; as measured where the cells were made"
    absent = "no record of the time it took"
    return _against(rows, title, counted, "seconds", "engine seconds per problem (s)", absent)


def _against(
    rows: Sequence[Row], title: str, subtitle: str, cost: str, cost_title: str, unpriced: str
) -> Grid:
    """A panel per method, a line per policy over what it costs, CoT as single points."""
    policies = [of_policy[0] for of_policy in _groups(rows, "policy")]
    by_size = sorted(policies, key=lambda row: (row["n_parameters"] or 0, row["policy"]))
    looks = {
        row["policy"]: style.series_look(_policy_title(row), position, len(by_size))
        for position, row in enumerate(by_size)
    }
    drawn = [row for row in rows if row["budget"] is not None and row[cost]]
    low, high = style.percent_limits(_ends(drawn))
    exponents = style.decades(row[cost] for row in drawn)

    def prepare(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_xlim(10 ** (exponents[0]), 10 ** (exponents[-1]))
        ticks = style.thinned(exponents)
        axes.set_xticks([10.0**e for e in ticks], [style.power_of_ten(e) for e in ticks])
        style.keep_labels_inside(axes)
        axes.minorticks_off()
        axes.set_ylim(low, high)
        axes.locator_params(axis="y", nbins=6)

    greedy = [row for row in drawn if row["method"] == "cot"]

    def panel(method: str) -> Panel:
        of_method = [row for row in drawn if row["method"] == method and row["at_study_budget"]]
        ran = any(row["method"] == method and row["budget"] is not None for row in rows)

        def paint(axes: Axes) -> None:
            for policy, look in looks.items():
                for points, hollow in ((of_method, False), (greedy, True)):
                    mine = [row for row in points if row["policy"] == policy]
                    if mine:
                        line = _curve(axes, look, mine, cost, policy, bars=True)
                        if hollow:
                            line.set(markerfacecolor="white", markeredgecolor=look.colour)

        return Panel(
            method,
            style.METHODS[method].label,
            paint if of_method else None,
            absent=unpriced if ran else style.NOT_RUN,
        )

    studied = {row["method"] for row in rows}
    panels = [panel(method) for method in _LINES if method in studied and method != "pass_at_k"]
    return Grid(
        title,
        f"{subtitle}; hollow: CoT",
        cost_title,
        _ACCURACY,
        [Block("", panels, prepare)] if panels else [],
        [style.handle(look, band=False) for look in looks.values()],
        panel_height=2.3,
        columns=2,
    )


def _grid(rows: Sequence[Row], title: str, subtitle: str, blocks: Sequence[Block]) -> Grid:
    studied = {row["method"] for row in rows}
    legend = [style.handle(style.METHODS[method]) for method in _LINES if method in studied]
    return Grid(title, subtitle, _BUDGET, _ACCURACY, blocks, legend)


def _block(
    title: str, rows: Sequence[Row], key: str, panel_title: Callable[[Row], str | None]
) -> Block:
    panels = [
        _panel(f"{of_panel[0]['policy']}|{of_panel[0][key]}", panel_title(of_panel[0]), of_panel)
        for of_panel in _groups(rows, key)
    ]
    drawn = [row for row in rows if row["budget"] is not None and row["method"] in _LINES]
    low, high = style.percent_limits(_ends(drawn))
    budgets = sorted({row["budget"] for row in drawn})
    ends: dict[tuple[object, ...], int] = {}
    for row in drawn:
        curve = row["policy"], row[key], row["method"]
        ends[curve] = max(row["budget"], ends.get(curve, 0))
    # A pool may end before the study's next budget.
    marked = {row["budget"] for row in drawn if row["at_study_budget"]} | {*ends.values()}
    ticks = style.thinned(sorted(marked))

    def prepare(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        axes.set_xlim((budgets or [1])[0] / 1.25, (budgets or [256])[-1] * 1.25)
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(low, high)
        axes.locator_params(axis="y", nbins=5)

    return Block(title, panels, prepare)


def _panel(name: str, title: str | None, rows: Sequence[Row]) -> Panel:
    curves = {
        method: [row for row in rows if row["method"] == method and row["budget"] is not None]
        for method in _LINES
        if any(row["method"] == method for row in rows)
    }
    of_prm = [method for method in curves if method in _NEEDS_PRM]
    has_prm = any(row["prm"] is not None for row in rows)
    # Majority voting and Pass@N need no PRM: they alone do not make a panel of one.
    essential = of_prm if has_prm and of_prm else curves
    nothing = not any(curves[method] for method in essential)

    def paint(axes: Axes) -> None:
        for method, points in curves.items():
            if points:
                _curve(axes, style.METHODS[method], points, "budget", method)

    empty_bucket = rows[0]["n_expected"] == 0
    price = style.price_text(_prices(rows).values())
    return Panel(
        name,
        title or "no PRM",
        None if nothing else paint,
        absent="no problems in this bucket" if empty_bucket else f"{style.NOT_RUN}{price}",
        note="" if nothing else _gaps(curves, rows[0]["n_expected"], price),
    )


def _prices(rows: Sequence[Row]) -> dict[str, int | None]:
    """Tokens that the methods without results would take."""
    return {row["method"]: row["tokens_needed"] for row in rows if row["budget"] is None}


def _gaps(curves: Mapping[str, Sequence[Row]], n_expected: int | None, price: str) -> str:
    """What is missing of a panel: methods, and problems that the others lack."""
    missing = [style.METHODS[method].short for method, points in curves.items() if not points]
    notes = [f"{style.NOT_RUN}: {', '.join(missing)}{price}"] if missing else []
    fewest = min(row["n_problems"] for points in curves.values() for row in points)
    if n_expected is not None and fewest < n_expected:
        notes.append(f"on {fewest:,} of {n_expected:,} problems")
    return "; ".join(notes)


def _curve(
    axes: Axes, look: style.Look, rows: Sequence[Row], x: str, label: str, *, bars: bool = False
) -> Line2D:
    ordered = sorted(rows, key=lambda row: row["budget"])
    return style.draw_curve(
        axes,
        look,
        [row[x] for row in ordered],
        [100 * row["accuracy"] for row in ordered],
        [style.percent(row["ci_low"]) for row in ordered],
        [style.percent(row["ci_high"]) for row in ordered],
        [row["at_study_budget"] or row is ordered[-1] for row in ordered],
        label,
        bars=bars,
    )


def _ends(rows: Iterable[Row]) -> list[float]:
    """Accuracies and their interval ends, in %."""
    return [
        100 * row[column]
        for row in rows
        for column in ("accuracy", "ci_low", "ci_high")
        if row[column] is not None
    ]


def _groups(rows: Sequence[Row], key: str) -> list[list[Row]]:
    """Rows split where ``key`` changes; the queries order them by it."""
    return [list(group) for _, group in groupby(rows, key=lambda row: row[key])]


def _policy_title(row: Row) -> str:
    return f"{row['policy_title']} ({style.parameters_text(row['n_parameters'])})"


def _prm_text(rows: Sequence[Row]) -> str:
    titles = {
        row["prm_title"]: row.get("prm_ability") for row in rows if row["prm_title"] is not None
    }
    named = [
        title if ability is None else f"{title} (F1 {ability:.1f})"
        for title, ability in sorted(titles.items())
    ]
    return f"PRM: {', '.join(named)}" if named else "no PRM"
