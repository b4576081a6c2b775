"""Figure 3: the distribution of Pass@1 over problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row
from compute_optimal.study.buckets import BUCKETS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

THRESHOLDS = (10, 50)
"""Absolute difficulty, %: hard below the first, easy from the second up (paper, section 3.2)."""

_BIN = 20


def pass_at_1(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A histogram per policy: five bins, the thresholds of difficulty, counts and shares."""
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row["policy"])]
    # Room for two lines of text above the highest bar.
    top = 1.22 * max((100 * (row["share"] or 0) for row in rows), default=0) or 100

    def prepare(axes: Axes) -> None:
        axes.set_xlim(0, 100)
        axes.set_xticks(range(0, 101, _BIN))
        style.keep_labels_inside(axes)
        axes.set_ylim(0, top)
        axes.set_yticks([tick for tick in range(0, 101, 20) if tick <= top])
        axes.grid(visible=False, axis="x")

    samples = sorted({row["n_samples"] for row in rows if row["n_samples"] is not None})
    counted = f"; Pass@1 from {' or '.join(f'{n:,}' for n in samples)} samples" if samples else ""
    low, high = THRESHOLDS
    # In no-break spaces, so that no line ends within it.
    buckets = f"hard < {low}% ≤ medium < {high}% ≤ easy".replace(" ", "\N{NO-BREAK SPACE}")
    panels = [_panel(group, top) for group in groups]
    return Grid(
        title,
        f"{subtitle}{counted}; above each bar: its problems; "
        f"dashed: thresholds of difficulty ({buckets})",
        "Pass@1 of the problem (%)",
        "share of problems (%)",
        [Block("", panels, prepare)] if panels else [],
        panel_height=1.55,
    )


def _panel(rows: Sequence[Row], top: float) -> Panel:
    first = rows[0]
    if first["bin"] is None:
        return Panel(first["policy"], first["policy_title"], None)

    def paint(axes: Axes) -> None:
        axes.bar(
            [_BIN * (row["bin"] + 0.5) for row in rows],
            [100 * (row["share"] or 0) for row in rows],
            width=0.86 * _BIN,
            color=style.OTHER_COLOURS[0],
        )
        for threshold in THRESHOLDS:
            axes.axvline(threshold, color=style.INK, linewidth=0.8, linestyle=(0, (4, 2)))
        for row in rows:
            share = 100 * (row["share"] or 0)
            axes.text(
                _BIN * (row["bin"] + 0.5),
                share + 0.02 * top,
                f"{row['n']:,}\n{style.fixed(share, 0)}%" if row["n"] else "0",
                ha="center",
                va="bottom",
                fontsize=style.SMALL,
                linespacing=1.0,
                bbox=style.HALO,
            )

    note = ", ".join(f"{name} {first[f'n_{name}']:,}" for name in BUCKETS)
    if first["n_problems"] < first["n_expected"]:
        note += f"; {first['n_problems']:,} of {first['n_expected']:,} problems"
    if first["published_share"] is not None:
        above = 100 * math.fsum(row["share"] or 0 for row in rows if row["bin"] == 4)
        printed = style.fixed(first["published_share"])
        note += f"; above 80%: {style.fixed(above)}%, paper {printed}%"
    return Panel(first["policy"], first["policy_title"], paint, note=note)
