"""Why a PRM helps or does not: its scores against the truth, and what they pick."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from compute_optimal.analyse.differences import ROUNDING
from compute_optimal.analyse.quantities import margin
from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PICKED = style.METHODS["best_of_n"]._replace(
    label="accuracy of best-of-N: the answer that is scored best"
)
_SCORE = style.Look("the PRM's score of it", "", style.OTHER_COLOURS[3], "v", (0, (2, 1)))
_BUDGET = "budget N (samples)"
_LEAST_SAMPLES = 50
_WIDEST_INTERVAL = 0.4
"""ASSUME: a share of fewer samples, or one that is known to less than 40 points, is not drawn. An
able PRM's scores are near 0 or 1: the few between them are of few problems, and say nothing."""
_UNSCORED = f"{style.NOT_RUN}: no scores"


def over_optimisation(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Accuracy and score of best-of-N's pick over N: a block per policy, a panel per PRM; with one
    PRM for each policy, a panel per policy."""
    rows = _shortened(rows)
    prms = {(row["policy"], row["prm"]) for row in rows}
    several = len(prms) > len({policy for policy, _ in prms})
    n_prms = len({prm for _, prm in prms})
    blocks = []
    for policy, group in groupby(rows, key=lambda row: row["policy"] if several else None):
        of_block = [*group]
        panels = [
            _picked([*points], of_policy=not several, named=n_prms > 1)
            for _, points in groupby(of_block, key=lambda row: (row["policy"], row["prm"]))
        ]
        drawn = [row for row in of_block if row["budget"] is not None]
        columns = ("accuracy", "ci_low", "ci_high", "score", "score_low", "score_high")
        ends = [100 * row[c] for row in drawn for c in columns if row[c] is not None]
        block_title = _policy_title(of_block[0]) if policy is not None else ""
        blocks.append(Block(block_title, panels, _over_budgets(drawn, ends)))
    if n_prms == 1 and not several:
        subtitle = f"{subtitle}; PRM: {rows[0]['prm_title']}"
    legend = [style.handle(_PICKED), style.handle(_SCORE)]
    return Grid(title, subtitle, _BUDGET, "accuracy, score (%)", blocks, legend)


def _picked(rows: Sequence[Row], *, of_policy: bool, named: bool) -> Panel:
    points = [row for row in rows if row["budget"] is not None]

    def paint(axes: Axes) -> None:
        for look, columns in (
            (_PICKED, ("accuracy", "ci_low", "ci_high")),
            (_SCORE, ("score", "score_low", "score_high")),
        ):
            value, low, high = ([style.percent(row[c]) for row in points] for c in columns)
            style.draw_curve(
                axes,
                look,
                [row["budget"] for row in points],
                [v or 0.0 for v in value],
                low,
                high,
                [True] * len(points),
                columns[0],
            )

    first = rows[0]
    ability = first["prm_ability"]
    note = ""
    if points:
        most = max(row["accuracy"] for row in points)
        best = next(row for row in points if row["accuracy"] >= most - ROUNDING)
        lost = style.rounded(100 * (best["accuracy"] - points[-1]["accuracy"]))
        above = f", {lost:.1f} points above the last" if lost else ""
        prm = f"PRM: {style.prm_text(first['prm_title'], ability)}" if named else ""
        about = prm if of_policy else style.ability_text(ability)
        note = style.joined(about, f"best at N = {best['budget']:,}{above}")
    return Panel(
        f"{first['policy']}|{first['prm']}",
        _policy_title(first) if of_policy else first["prm_title"],
        paint if points else None,
        absent=_UNSCORED,
        note=note,
    )


def calibration(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Share of right samples over the score: a panel per PRM, a line per policy."""
    rows = _shortened(rows)
    policies = sorted(
        {row["policy"]: row for row in rows}.values(),
        key=lambda row: (row["n_parameters"] or 0, row["policy"]),
    )
    looks = {row["policy"]: style.policy_look(_policy_title(row), row) for row in policies}

    def prepare(axes: Axes) -> None:
        ticks = range(0, 101, 25)
        axes.set(xlim=style.SHARES, ylim=style.SHARES, xticks=ticks, yticks=ticks)
        style.keep_labels_inside(axes)

    def panel(group: Sequence[Row]) -> Panel:
        binned = [row for row in group if row["bin"] is not None]
        points = [
            row
            for row in binned
            if row["n_samples"] >= _LEAST_SAMPLES
            and row["ci_high"] - row["ci_low"] <= _WIDEST_INTERVAL
        ]
        most = max((row["n_samples"] for row in points), default=1)

        def paint(axes: Axes) -> None:
            axes.plot([0, 100], [0, 100], color=style.FAINT, linewidth=0.8, zorder=1)
            for policy, look in looks.items():
                mine = [row for row in points if row["policy"] == policy]
                if not mine:
                    continue
                x = [100 * row["score"] for row in mine]
                y = [100 * row["accuracy"] for row in mine]
                ends = [(100 * row["ci_low"], 100 * row["ci_high"]) for row in mine]
                axes.vlines(
                    x, *zip(*ends, strict=True), color=look.colour, alpha=0.25, linewidth=0.8
                )
                # No line over tenths that are left out.
                gaps = [
                    i
                    for i, (row, after) in enumerate(pairwise(mine), 1)
                    if after["bin"] > row["bin"] + 1
                ]
                for start, end in pairwise([0, *gaps, len(mine)]):
                    axes.plot(
                        x[start:end], y[start:end], color=look.colour, linewidth=0.7, label=policy
                    )
                areas = [3 + 45 * row["n_samples"] / most for row in mine]
                axes.scatter(x, y, s=areas, color=look.colour, marker=look.marker, linewidth=0)

        first = group[0]
        few = "no tenth of the score has samples enough"
        absent = few if binned else _UNSCORED
        return Panel(
            first["prm"],
            first["prm_title"],
            paint if points else None,
            absent=absent,
            note=style.ability_text(first["prm_ability"]),
        )

    panels = [panel([*group]) for _, group in groupby(rows, key=lambda row: row["prm"])]
    return Grid(
        title,
        f"{subtitle}; grey: a score that is the chance of being right; areas grow with "
        f"samples, those of fewer than {_LEAST_SAMPLES} or with intervals over "
        f"{100 * _WIDEST_INTERVAL:.0f} points left out",
        "score (%)",
        "samples that are right (%)",
        [Block("", panels, prepare)] if panels else [],
        [style.handle(look, band=False) for look in looks.values()],
        panel_height=1.9,
    )


def run_to_run(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Margins of an accuracy over N, by source of chance: a panel per policy."""
    drawn = [row for row in rows if row["budget"] is not None]

    def margins(row: Row) -> tuple[float | None, float | None]:
        again, half = row["run_to_run"], row["half_interval"]
        return (
            None if again is None else style.percent(margin(again, row["confidence"])),
            style.percent(half),
        )

    tops = [value for row in drawn for value in margins(row) if value is not None]
    prepare = _over_budgets(drawn, [0.0, *tops])

    def panel(group: Sequence[Row]) -> Panel:
        def paint(axes: Axes) -> None:
            for method, of_method in groupby(group, key=lambda row: row["method"]):
                points = [row for row in of_method if row["budget"] is not None]
                look = style.METHODS[method]
                for part, dash in ((0, "-"), (1, (0, (1, 1.2)))):
                    known = [(row["budget"], margins(row)[part]) for row in points]
                    known = [(n, margin) for n, margin in known if margin is not None]
                    if known:
                        axes.plot(
                            *zip(*known, strict=True),
                            color=look.colour,
                            marker=look.marker,
                            linestyle=dash,
                            label=f"{method}|{part}",
                        )

        known = any(row["budget"] is not None for row in group)
        first = group[0]
        note = _alike(group)
        return Panel(first["policy"], _policy_title(first), paint if known else None, note=note)

    panels = [panel([*group]) for _, group in groupby(rows, key=lambda row: row["policy"])]
    prms = sorted({row["prm_title"] for row in drawn} - {None})
    legend = [
        (handle[0], f"{style.METHODS[method].label}, {what}")
        for method in dict.fromkeys(["majority", "best_of_n", *(row["method"] for row in drawn)])
        for what, dash in (("other seeds", "-"), ("other problems", (0, (1, 1.2))))
        for handle in [style.handle(style.METHODS[method]._replace(dash=dash), band=False)]
    ]
    return Grid(
        title,
        "; ".join([subtitle, *(f"PRM: {prm}" for prm in prms)]),
        _BUDGET,
        "margin (± points)",
        [Block("", panels, prepare)] if panels else [],
        legend,
    )


def _alike(rows: Sequence[Row]) -> str:
    """Where other seeds have no margin, and on how few problems that rests; empty for nowhere."""
    alike = [row for row in rows if row["budget"] is not None and row["run_to_run"] is None]
    if not alike:
        return ""
    places = ", ".join(f"{style.METHODS[row['method']].short} {row['budget']:,}" for row in alike)
    n_problems = style.counted(max(row["n_problems"] or 0 for row in alike), "problem")
    return f"no two runs of {n_problems} differ: {places}"


def _over_budgets(rows: Sequence[Row], values: Sequence[float]) -> Callable[[Axes], Any]:
    low, high = style.percent_limits(values, least_span=2.0)
    budgets = sorted({row["budget"] for row in rows}) or [1, 256]
    ticks = style.thinned([n for n in budgets if n & (n - 1) == 0] or budgets)

    def prepare(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        axes.set_xlim(budgets[0] / 1.25, budgets[-1] * 1.25)
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set_ylim(low, high)
        axes.locator_params(axis="y", nbins=5)

    return prepare


def _policy_title(row: Row) -> str:
    return f"{row['policy_title']} ({style.parameters_text(row['n_parameters'])})"


def _shortened(rows: Sequence[Row]) -> list[Row]:
    """The rows with policies called by their model alone, where no other one here is of it."""
    policies = {row["policy"]: row.get("model_title") for row in rows}
    count = Counter(policies.values())
    return [
        {**row, "policy_title": row["model_title"]}
        if row.get("model_title") and count[row["model_title"]] == 1
        else row
        for row in rows
    ]
