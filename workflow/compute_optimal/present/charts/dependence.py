"""On what the best method depends: policy, PRM and difficulty, each left out of the choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row
from compute_optimal.present.tables.dependence import LEFT_OUT, NOTHING, Gain, gains

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ALL = style.Look("all pairs", "", style.INK, "D")
_PRM = style.Look("a PRM", "", style.OTHER_COLOURS[1], "o")
_LEFT = 2.3
"""Inches for the names of models."""


def left_out(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """A panel per thing left out, a line for all pairs, each policy and each PRM, ablest last."""
    known = gains(rows)
    labels = {
        (gain.kind, gain.title): style.prm_label(gain.title, gain.row["prm_ability"], _LEFT - 0.1)
        if gain.kind == "prm"
        else gain.title
        for gain in known
    }
    place = {key: position for position, key in enumerate(labels)}
    ends = [0.0, *(end for gain in known for end in gain.difference.ends)]
    margin = 0.04 * (max(ends) - min(ends) or 1.0)

    def prepare(axes: Axes) -> None:
        axes.set_xlim(min(ends) - margin, max(ends) + margin)
        axes.set_ylim(max(len(place), 1) - 0.45, -0.55)
        axes.set_yticks(range(len(place)), [*labels.values()])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        if not known:
            axes.set_xticks([])

    panels = [
        _panel(name, words, [gain for gain in known if gain.left_out == name], place)
        for name, words in LEFT_OUT.items()
    ]
    budgets = sorted({gain.row["budget"] for gain in known})
    counts = [
        style.counted(n, "problem")
        for n in sorted({len(gain.row["problem_ids"]) for gain in known})
    ]
    details = [f"N = {budget:,}" for budget in budgets]
    details += [f"of these {text}" for text in counts if text not in subtitle]
    return Grid(
        title,
        "; ".join([subtitle, *details]),
        "gain of knowing it (points)",
        "",
        [Block("", panels, prepare)],
        panel_height=0.25 + 0.3 * max(2, len(place)),
        left=_LEFT,
        columns=3,
    )


def _panel(
    name: str, words: str, of_panel: Sequence[Gain], place: Mapping[tuple[str, str], int]
) -> Panel:
    def paint(axes: Axes) -> None:
        axes.axvline(0, color=style.INK, linewidth=0.8)
        for gain in of_panel:
            look = _look(gain)
            y = place[gain.kind, gain.title]
            axes.hlines(y, *gain.difference.ends, color=look.colour, linewidth=1.1)
            axes.plot(
                gain.difference.value,
                y,
                marker=look.marker,
                color=look.colour,
                linestyle="",
                markersize=4,
                label=f"{gain.kind}|{gain.title}",
            )

    absent = style.fit(NOTHING, 1.5, style.SMALL, 5)
    return Panel(name, f"knowing {words}", paint if of_panel else None, absent)


def _look(gain: Gain) -> style.Look:
    if gain.kind == "policy":
        return style.policy_look(gain.title, gain.row)
    return _ALL if gain.kind == "all" else _PRM
