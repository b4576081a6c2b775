"""Curves that another paper prints, beside this study's own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DASHES = {True: (0, (4, 1.5)), False: "-"}
_WORDS = {True: "printed by another paper", False: "this study"}


def curves(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Accuracy over N: a panel per task, printed curves dashed, this study's own solid."""
    looks = {
        (row["series"], row["method"]): style.METHODS[row["method"]]._replace(
            label=f"{style.METHODS[row['method']].label}, {_WORDS[row['series'] == 'printed']}",
            dash=_DASHES[row["series"] == "printed"],
        )
        for row in rows
    }

    def prepare(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        axes.set_xticks([1, 4, 16, 64], ["1", "4", "16", "64"])
        axes.minorticks_off()
        axes.set_ylim(style.percent_limits([100 * row["accuracy"] for row in rows]))

    def panel(group: Sequence[Row]) -> Panel:
        def paint(axes: Axes) -> None:
            for key, of_series in groupby(group, key=lambda row: (row["method"], row["series"])):
                points = [*of_series]
                style.draw_curve(
                    axes,
                    looks[key[1], key[0]],
                    [row["budget"] for row in points],
                    [100 * row["accuracy"] for row in points],
                    [style.percent(row["ci_low"]) for row in points],
                    [style.percent(row["ci_high"]) for row in points],
                    [row["budget"] & (row["budget"] - 1) == 0 for row in points],
                    "|".join(key),
                )

        own = any(row["series"] != "printed" for row in group)
        note = "" if own else "this study: not run"
        return Panel(group[0]["task"], group[0]["task"], paint, note=note)

    panels = [panel([*group]) for _, group in groupby(rows, key=lambda row: row["task"])]
    policies, prms = (", ".join(sorted({row[name] for row in rows})) for name in ("policy", "prm"))
    said = [f"policy: {policies}", f"PRM: {prms}", "printed by OptScale (arXiv 2506.22376)"]
    said.append("one draw a printed point, without interval")
    return Grid(
        title,
        "; ".join([subtitle, *said]),
        "budget N (samples)",
        "accuracy (%)",
        [Block("", panels, prepare)] if panels else [],
        [style.handle(look, band=False) for look in looks.values()],
        panel_height=1.6,
        columns=3,
    )
