"""Figures of accuracy: over the budget (Figures 4, 5, 7 to 11), FLOPs and seconds.

Rows come from ``accuracy_points`` in ``sql/macros.sql``: one per point, and one with a NULL budget
for each method that the study means to run and has not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from compute_optimal.analyse.differences import ROUNDING
from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.charts.numbers import Number, number_points
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
    """Accuracy over 2ND FLOPs per problem, of policy and PRM."""
    counted = f"{subtitle}; {_prm_text(rows)}; 2ND FLOPs of policy and PRM"
    absent = "no record of the tokens that the PRM read"
    return _against(rows, title, counted, "flops", "FLOPs per problem", absent)


def against_seconds(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Accuracy over seconds of the engines per problem."""
    counted = f"{subtitle}; {_prm_text(rows)}; by the rates measured where the cells were made"
    absent = "no record of the time it took"
    return _against(rows, title, counted, "seconds", "engine seconds per problem (s)", absent)


def _against(
    rows: Sequence[Row], title: str, subtitle: str, cost: str, cost_title: str, unpriced: str
) -> Grid:
    """A panel per policy, a line per method over what it costs, N at its points, and the front:
    what nothing that is cheaper reaches."""
    priced = [row for row in rows if row["budget"] is not None and row[cost]]
    drawn = [row for row in priced if row["at_study_budget"] or row["method"] == "cot"]
    low, high = style.percent_limits(_ends(drawn))
    exponents = style.decades(row[cost] for row in drawn)
    studied = {row["method"] for row in rows}
    methods = [method for method in ("cot", *_LINES) if method in studied - {"pass_at_k"}]

    def prepare(axes: Axes) -> None:
        axes.set_xscale("log")
        axes.set_xlim(10 ** (exponents[0]), 10 ** (exponents[-1]))
        ticks = style.thinned(exponents)
        axes.set_xticks([10.0**e for e in ticks], [style.power_of_ten(e) for e in ticks])
        style.keep_labels_inside(axes)
        axes.minorticks_off()
        axes.set_ylim(low, high)
        axes.locator_params(axis="y", nbins=6)

    def panel(of_policy: Sequence[Row]) -> Panel:
        mine = [row for row in drawn if row["policy"] == of_policy[0]["policy"]]
        ran = {row["method"] for row in of_policy if row["budget"] is not None}
        unknown = [method for method in methods if method in ran - {row["method"] for row in mine}]
        lost = ", ".join(style.METHODS[method].short for method in unknown)

        def paint(axes: Axes) -> None:
            for method in methods:
                points = [row for row in mine if row["method"] == method]
                if points:
                    _curve(axes, style.METHODS[method], points, cost, method, bars=True)
            front = _front(mine, cost)
            axes.step(
                [row[cost] for row in front],
                [100 * row["accuracy"] for row in front],
                where="post",
                color=style.INK,
                linewidth=0.8,
                linestyle=(0, (2, 1.5)),
                label="front",
            )
            number_points(axes, [_number(row, cost) for row in _ends_first(mine)])

        return Panel(
            of_policy[0]["policy"],
            _policy_title(of_policy[0]),
            paint if mine else None,
            absent=unpriced if ran else style.NOT_RUN,
            note=f"{unpriced}: {lost}" if lost and mine else "",
        )

    from matplotlib.lines import Line2D

    panels = [panel(of_policy) for of_policy in _groups(rows, "policy")]
    front = Line2D([], [], color=style.INK, linewidth=0.8, linestyle=(0, (2, 1.5)))
    return Grid(
        title,
        f"{subtitle}; numbers at points: N, where there is room",
        cost_title,
        _ACCURACY,
        [Block("", panels, prepare)] if panels else [],
        [
            *(style.handle(style.METHODS[method], band=False) for method in methods),
            (front, "Pareto front"),
        ],
        panel_height=1.9,
    )


def _ends_first(rows: Sequence[Row]) -> list[Row]:
    """Points in the order in which a reader needs their N: of each curve the last, then the first,
    then those between, which lie in order."""
    of_curve = [sorted(group, key=lambda row: row["budget"]) for group in _by_method(rows)]
    ranked = [
        (0 if row is curve[-1] else 1 if row is curve[0] else 2, place, row)
        for curve in of_curve
        for place, row in enumerate(curve)
    ]
    return [row for _, _, row in sorted(ranked, key=lambda one: one[:2])]


def _by_method(rows: Sequence[Row]) -> list[list[Row]]:
    methods = dict.fromkeys(row["method"] for row in rows)
    return [[row for row in rows if row["method"] == method] for method in methods]


def _number(row: Row, cost: str) -> Number:
    colour = style.METHODS[row["method"]].colour
    return Number(row[cost], 100 * row["accuracy"], f"{row['budget']:,}", colour)


def _front(rows: Sequence[Row], cost: str) -> list[Row]:
    """The points that are more accurate than all that cost less or as much, the cheapest first."""
    front: list[Row] = []
    for row in sorted(rows, key=lambda row: (row[cost], -row["accuracy"])):
        if not front or row["accuracy"] > front[-1]["accuracy"] + ROUNDING:
            front.append(row)
    return front


def _grid(rows: Sequence[Row], title: str, subtitle: str, blocks: Sequence[Block]) -> Grid:
    studied = {row["method"] for row in rows}
    legend = [style.handle(style.METHODS[method]) for method in _LINES if method in studied]
    return Grid(title, subtitle, _BUDGET, _ACCURACY, blocks, legend)


def _block(
    title: str, rows: Sequence[Row], key: str, panel_title: Callable[[Row], str | None]
) -> Block:
    panels = [
        _panel(
            f"{of_panel[0]['policy']}|{of_panel[0][key]}",
            panel_title(of_panel[0]),
            of_panel,
            style.ability_text(of_panel[0]["prm_ability"]) if key == "prm" else "",
        )
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


def _panel(name: str, title: str | None, rows: Sequence[Row], about: str) -> Panel:
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
        note=style.joined(about, "" if nothing else _gaps(curves, rows[0]["n_expected"], price)),
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
    named = [style.prm_text(title, ability) for title, ability in sorted(titles.items())]
    return f"PRM: {', '.join(named)}" if named else "no PRM"
