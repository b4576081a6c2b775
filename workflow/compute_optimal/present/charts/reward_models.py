"""Reward models on real solutions whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from compute_optimal.analyse.ability_trend import logarithmic_fit
from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_FOR_FIT = 4
"""PRMs that a line through their points needs at least."""

_LOOKS = {
    "prm_min": style.Look("lowest step", "", style.OTHER_COLOURS[0], "v"),
    "prm_last": style.Look("last step", "", style.OTHER_COLOURS[1], "o"),
    "prm_avg": style.Look("mean of steps", "", style.OTHER_COLOURS[2], "s"),
    None: style.Look("whole solution (outcome reward model)", "", style.OTHER_COLOURS[3], "D"),
}
_MEASURES = (
    ("discrimination", "right above wrong (pairs)", 0.5),
    ("ranked_first", "right one ranked first (problems)", None),
)


def discrimination(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Shares of pairs won and of first places, a line per reward model; a block per collection."""
    blocks = [
        _of_collection([*group]) for _, group in groupby(rows, key=lambda row: row["collection"])
    ]
    shown = [scoring for scoring in _LOOKS if any(row["scoring"] == scoring for row in rows)]
    return Grid(
        title,
        f"{subtitle}; grey: chance",
        "share (%)",
        "",
        blocks,
        [style.handle(_LOOKS[scoring], band=False) for scoring in shown],
        panel_height=0.35 + 0.27 * max((_n_models(rows, b.title) for b in blocks), default=1),
        left=2.1,
        columns=2,
    )


def _n_models(rows: Sequence[Row], title: str) -> int:
    return len({row["prm"] for row in rows if title.startswith(row["collection_title"])})


def _of_collection(rows: Sequence[Row]) -> Block:
    titles = {row["prm"]: row["prm_title"] for row in rows}
    places = {prm: len(titles) - 1 - number for number, prm in enumerate(titles)}
    labels = [style.fit(name, 2.0, style.TEXT, lines=1) for name in titles.values()]

    def prepare(axes: Axes) -> None:
        axes.set(ylim=(-0.6, len(places) - 0.4))
        axes.set_yticks([*places.values()], labels)

    def panel(measure: str, name: str, chance: float | None) -> Panel:
        mine = [row for row in rows if row["measure"] == measure]
        if chance is None:
            by_chance = {row["value"] for row in rows if row["measure"] == "first_by_chance"}
            chance = max(by_chance, default=None)

        def paint(axes: Axes) -> None:
            if chance is not None:
                axes.axvline(100 * chance, color=style.FAINT, linewidth=0.9, zorder=1)
            for row in mine:
                look = _LOOKS[row["scoring"]]
                of_model = [s for s in _LOOKS if any(
                    r["prm"] == row["prm"] and r["scoring"] == s for r in mine)]  # fmt: skip
                shift = 0.24 * ((len(of_model) - 1) / 2 - of_model.index(row["scoring"]))
                y = places[row["prm"]] + shift
                low, high = (100 * row[end] for end in ("ci_low", "ci_high"))
                axes.hlines(y, low, high, color=look.colour, alpha=0.5, linewidth=1.2)
                axes.plot(
                    100 * row["value"], y, color=look.colour, marker=look.marker,
                    linestyle="", markeredgecolor="white", markeredgewidth=0.4,
                    label=f"{row['prm']}|{row['scoring']}|{measure}",
                )  # fmt: skip
            ends = [100 * row[end] for row in mine for end in ("ci_low", "ci_high")]
            axes.set_xlim(
                style.percent_limits([*ends, *([] if chance is None else [100 * chance])])
            )

        counts = sorted({row["n_problems"] for row in mine})
        return Panel(
            f"{measure}|{rows[0]['collection']}",
            name,
            paint if mine else None,
            note=f"{_span(counts)} problems" if counts else "",
        )

    return Block(rows[0]["collection_title"], [panel(*measure) for measure in _MEASURES], prepare)


def reliability(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Share of right solutions over the score: a panel per PRM, a line per way to score."""
    top = max((100 * row["ci_high"] for row in rows), default=100.0)
    height = min(style.SHARES[1], max(20.0, 1.15 * top))

    def prepare(axes: Axes) -> None:
        axes.set(xlim=style.SHARES, ylim=(-0.02 * height, height), xticks=range(0, 101, 25))
        style.keep_labels_inside(axes)

    def panel(group: Sequence[Row]) -> Panel:
        def paint(axes: Axes) -> None:
            axes.plot([0, 100], [0, 100], color=style.FAINT, linewidth=0.8, zorder=1)
            for scoring, of_scoring in groupby(group, key=lambda row: row["scoring"]):
                points = [*of_scoring]
                style.draw_curve(
                    axes,
                    _LOOKS[scoring],
                    [100 * row["score"] for row in points],
                    [100 * row["value"] for row in points],
                    [style.percent(row["ci_low"]) for row in points],
                    [style.percent(row["ci_high"]) for row in points],
                    [True] * len(points),
                    scoring,
                    bars=True,
                )

        least = min(row["n_solutions"] for row in group)
        return Panel(
            f"{group[0]['prm']}|{group[0]['collection']}",
            group[0]["prm_title"],
            paint,
            note=f"{least:,} or more a bin",
        )

    blocks = []
    for _, of_collection in groupby(rows, key=lambda row: row["collection"]):
        mine = [*of_collection]
        panels = [panel([*group]) for _, group in groupby(mine, key=lambda row: row["prm"])]
        blocks.append(Block(mine[0]["collection_title"], panels, prepare))
    scorings = [scoring for scoring in _LOOKS if any(row["scoring"] == scoring for row in rows)]
    return Grid(
        title,
        f"{subtitle}; grey: a score that is the chance of being right",
        "score (%)",
        "solutions that are right (%)",
        blocks,
        [style.handle(_LOOKS[scoring], band=False) for scoring in scorings],
        panel_height=1.7,
    )


def ability(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Discrimination over the printed F1, a panel per set of solutions; the PRMs without a printed
    F1 stand in a strip of their own. A line through the points from ``LEAST_FOR_FIT`` PRMs on."""
    numbers = {_point(row): number for number, row in enumerate(rows, start=1)}
    ends = [100 * row[end] for row in rows for end in ("ci_low", "ci_high")]
    low, high = style.percent_limits([*ends, 50.0])

    def prepare(axes: Axes) -> None:
        axes.set(xlim=(-22, 100), ylim=(low, high + 0.05 * (high - low)))
        axes.set_xticks([-11, *range(0, 101, 25)], ["no F1", *map(str, range(0, 101, 25))])
        axes.get_xticklabels()[-1].set_horizontalalignment("right")
        axes.axvspan(-22, -1, color=style.EMPTY, zorder=0)
        axes.axhline(50, color=style.FAINT, linewidth=0.8, zorder=1)

    panels = [
        _ability_panel("solutions of known truth", _LOOKS["prm_last"], numbers,
                       [row for row in rows if row["policy"] is None]),
        _ability_panel("samples of a policy each", _LOOKS["prm_min"], numbers,
                       [row for row in rows if row["policy"] is not None]),
    ]  # fmt: skip
    sources = sorted({row["f1_source"] for row in rows if row["f1_source"]})
    return Grid(
        title,
        "; ".join([subtitle, *(f"F1 as printed: {source}" for source in sources)]),
        "F1 of the PRM on ProcessBench, subset MATH (%)",
        "right above wrong (% of pairs)",
        [Block("", panels, prepare)],
        [
            _numbered(number, row, _LOOKS["prm_last" if row["policy"] is None else "prm_min"])
            for number, row in enumerate(rows, start=1)
        ],
        panel_height=2.6,
        columns=2,
    )


def _span(counts: Sequence[int]) -> str:
    """The least and the largest of counts in order: "426 to 477"."""
    return " to ".join(f"{n:,}" for n in dict.fromkeys([*counts[:1], *counts[-1:]]))


def _point(row: Row) -> tuple[object, ...]:
    return row["collection"], row["prm"], row["policy"]


def _ability_panel(
    title: str, look: style.Look, numbers: dict[tuple[object, ...], int], rows: Sequence[Row]
) -> Panel:
    printed = [row for row in rows if row["f1"] is not None]
    n_prms = len({row["prm"] for row in printed})

    def paint(axes: Axes) -> None:
        without = [row for row in rows if row["f1"] is None]
        strip = np.linspace(-19, -4, len(without) + 2)[1:-1]
        x_of: dict[tuple[object, ...], float] = {_point(row): row["f1"] for row in printed}
        x_of |= {_point(row): float(x) for row, x in zip(without, strip, strict=True)}
        for _, group in groupby(
            sorted(printed, key=lambda row: row["f1"]), key=lambda row: row["f1"]
        ):
            # Several policies with one PRM stand side by side, about its F1.
            same = [*group]
            for row, shift in zip(same, 1.5 * (np.arange(len(same)) - (len(same) - 1) / 2),
                                  strict=True):  # fmt: skip
                x_of[_point(row)] += float(shift)
        for row in rows:
            x, y = x_of[_point(row)], 100 * row["value"]
            axes.vlines(x, 100 * row["ci_low"], 100 * row["ci_high"], color=look.colour, alpha=0.45)
            axes.plot(
                x, y, color=look.colour, marker=look.marker, linestyle="",
                markeredgecolor="white", markeredgewidth=0.4, label=row["prm"],
            )  # fmt: skip
            axes.annotate(
                str(numbers[_point(row)]), (x, 100 * row["ci_high"]), xytext=(0, 1),
                textcoords="offset points", ha="center", va="bottom",
            )  # fmt: skip
        if n_prms >= LEAST_FOR_FIT:
            f1 = [row["f1"] for row in printed]
            slope, intercept = logarithmic_fit(f1, [100 * row["value"] for row in printed])
            grid = np.linspace(min(f1), max(f1), 50)
            axes.plot(grid, slope * np.log(grid) + intercept, color=style.FAINT, linestyle="--")

    counts = sorted({row["n_problems"] for row in rows})
    note = f"{_span(counts)} problems"
    if n_prms < LEAST_FOR_FIT:
        note += f"; {style.counted(n_prms, 'PRM')} with a printed F1: too few for a line"
    return Panel(title, title, paint if rows else None, note=note if rows else "")


def _numbered(number: int, row: Row, look: style.Look) -> tuple[Any, str]:
    from matplotlib.lines import Line2D

    of = row["collection_title"] if row["policy"] is None else row["policy_title"]
    label = style.fit(f"{number}: {row['prm_title']}, {of}", 6.4, style.TEXT, lines=1)
    return Line2D([], [], color=look.colour, marker=look.marker, ls=""), label
