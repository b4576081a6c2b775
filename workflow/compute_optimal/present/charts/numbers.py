"""Numbers beside points of curves, where nothing else is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from compute_optimal.present import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path
    from matplotlib.transforms import Bbox, Transform

_DIGIT, _HEIGHT = 0.64, 0.74
"""Width and height of a digit of the font, as multiples of its size; a comma is narrower."""
_GAP, _MARKER, _LINE = 3.0, 2.2, 0.8
"""Points from the middle of a marker to a number, to the marker's edge, and from a line to its
edge."""
_SIDES = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
"""Right (1) or left (-1) and above (1) or below (-1) a point, in the order in which they are
tried."""


class Number(NamedTuple):
    """A number and the point, in data coordinates, that it belongs to."""

    x: float
    y: float
    text: str
    colour: str


def number_points(axes: Axes, numbers: Sequence[Number]) -> None:
    """Write numbers beside their points, those that matter most first.

    One that would lie over a line, a marker or another number is left out: none of them could be
    read. All lines must have been drawn, and limits must be final.
    """
    from matplotlib.transforms import Affine2D, Bbox

    figure = axes.get_figure(root=True)
    assert figure is not None
    points = Affine2D().scale(72 / figure.dpi)
    room = axes.bbox.transformed(points)
    lines = [*_lines(axes, points)]
    taken = [*_markers(axes, points)]
    for number in numbers:
        x, y = points.transform(axes.transData.transform((number.x, number.y)))
        width, height = _DIGIT * style.SMALL * len(number.text), _HEIGHT * style.SMALL
        for right, above in _SIDES:
            left = x + right * _GAP + (right - 1) / 2 * width
            bottom = y + above * _GAP + (above - 1) / 2 * height
            box = Bbox.from_bounds(left, bottom, width, height)
            inside = room.x0 <= box.x0 and box.x1 <= room.x1 and box.y1 <= room.y1
            if not inside or box.y0 < room.y0 or any(box.overlaps(other) for other in taken):
                continue
            if any(line.intersects_bbox(box.padded(_LINE), filled=False) for line in lines):
                continue
            taken.append(box)
            axes.annotate(
                number.text,
                (number.x, number.y),
                xytext=(left - x, bottom - y),
                textcoords="offset points",
                va="baseline",
                fontsize=style.SMALL,
                color=number.colour,
            )
            break


def _lines(axes: Axes, points: Transform) -> Iterator[Path]:
    """Lines and bars as they are drawn, in points of the sheet."""
    from matplotlib.cbook import STEP_LOOKUP_MAP
    from matplotlib.collections import LineCollection
    from matplotlib.path import Path

    for line in axes.get_lines():
        step: Any = STEP_LOOKUP_MAP[line.get_drawstyle()]
        vertices = np.column_stack(step(*np.asarray(line.get_xydata()).T))
        yield (line.get_transform() + points).transform_path(Path(vertices))
    for bars in axes.collections:
        if isinstance(bars, LineCollection):
            for path in bars.get_paths():
                yield (bars.get_transform() + points).transform_path(path)


def _markers(axes: Axes, points: Transform) -> Iterator[Bbox]:
    from matplotlib.transforms import Bbox

    for line in axes.get_lines():
        if line.get_marker() in ("None", None, ""):
            continue
        marked: Any = line.get_markevery()
        vertices = np.asarray(line.get_xydata())
        for x, y in vertices if marked is None else vertices[marked]:
            middle = (line.get_transform() + points).transform((x, y))
            yield Bbox([middle - _MARKER, middle + _MARKER])
