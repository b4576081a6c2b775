"""Figure 2: best-of-N, beam search and DVTS side by side, drawn small."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _N = 2, 4
"""M and N of the drawing: small enough to see every step."""

_DEPTHS = 3
_BEAM = ((0, 1, 0, 1), (1, 0, 0, 1), (0, 0, 1, 1))
"""Which of the N candidates of each depth the drawn beam keeps: any N / M of them."""

_DVTS = ((0, 1, 1, 0), (1, 0, 1, 0), (0, 1, 0, 1))
"""The same for DVTS: one of each subtree's M."""


class _Node(NamedTuple):
    x: float
    y: float
    kept: bool
    parent: tuple[float, float]


def methods(rows: Sequence[Row], title: str, _subtitle: str) -> Grid:
    """A panel per method; ``rows``: the study's beam width and budgets."""
    drawers: Sequence[tuple[str, str, Callable[[], Iterator[_Node]]]] = (
        ("best_of_n", "N solutions, scored once", _samples),
        ("beam_search", "best N/M of all steps go on", lambda: _tree(_BEAM)),
        ("dvts", "best of each of N/M subtrees", lambda: _tree(_DVTS)),
    )
    panels = [_panel(method, note, nodes) for method, note, nodes in drawers]

    def prepare(axes: Axes) -> None:
        axes.set(xlim=(-0.6, _N - 0.4), ylim=(-_DEPTHS - 0.75, 0.35), xticks=[], yticks=[])
        axes.grid(visible=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)

    study = ", ".join(f"{row['budget']:,}" for row in rows)
    detail = f"drawn for N = {_N} and M = {_WIDTH}"
    if rows:
        detail += f"; this study: M = {rows[0]['beam_width']}, N = {study}"
    return Grid(
        title,
        detail,
        "",
        "",
        [Block("", panels, prepare)],
        _legend(),
        panel_height=1.8,
        left=0.1,
    )


def _samples() -> Iterator[_Node]:
    """Whole solutions: no step is judged on the way."""
    for column in range(_N):
        for depth in range(1, _DEPTHS + 1):
            above = ((_N - 1) / 2, 0.0) if depth == 1 else (float(column), 1.0 - depth)
            yield _Node(column, -depth, True, above)


def _tree(kept: Sequence[Sequence[int]]) -> Iterator[_Node]:
    parents = [((_N - 1) / 2, 0.0)] * _N
    for depth, row in enumerate(kept, start=1):
        for column, is_kept in enumerate(row):
            yield _Node(column, -depth, bool(is_kept), parents[column])
        places = [(float(column), -float(depth)) for column, is_kept in enumerate(row) if is_kept]
        # M continuations of each kept step, drawn in its order: a subtree stays in its columns.
        parents = [place for place in places for _ in range(_WIDTH)]


def _panel(method: str, note: str, nodes: Callable[[], Iterator[_Node]]) -> Panel:
    look = style.METHODS[method]

    def paint(axes: Axes) -> None:
        axes.text((_N - 1) / 2, 0.0, "problem", ha="center", va="center", bbox=_BOX, zorder=4)
        for node in nodes():
            colour = look.colour if node.kept else style.FAINT
            ends = (node.parent[0], node.x), (node.parent[1], node.y)
            axes.plot(*ends, color=colour, linewidth=1.2 if node.kept else 0.7, zorder=1)
            axes.plot(
                node.x,
                node.y,
                marker="o",
                markersize=8,
                color=colour if node.kept else "white",
                markeredgecolor=colour,
                zorder=3,
                label="kept" if node.kept else "pruned",
            )
        axes.text((_N - 1) / 2, -_DEPTHS - 0.5, "one answer by score and vote", ha="center")

    return Panel(method, look.label, paint, note=note)


_BOX = {"facecolor": "white", "edgecolor": style.FAINT, "boxstyle": "round,pad=0.25"}


def _legend() -> list[tuple[Any, str]]:
    from matplotlib.lines import Line2D

    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 6}
    return [
        (Line2D([], [], color=style.INK, **dot), "step that goes on"),
        (
            Line2D([], [], color="white", markeredgecolor=style.FAINT, **dot),
            "step that the PRM's score prunes",
        ),
    ]
