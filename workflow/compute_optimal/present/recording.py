"""One drawing of a figure for all of its formats.

Most of the time of a drawing goes into layout: where ticks, labels, curves and texts lie. So a
figure is drawn once, as pixels, and what its renderer was told is kept; vector formats are told the
same at their own scale, and pages of a tall figure the same at another height.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Bbox, Transform, TransformedPath

_POINTS = 72
"""Units per inch of SVG and PDF."""


@dataclass(frozen=True, slots=True)
class _Call:
    """What a renderer was told while it drew ``artist``."""

    artist: Artist
    method: str
    gc: GraphicsContextBase | None
    arguments: tuple[Any, ...]


class Recording:
    """A figure as pixels, and all calls that drew it.

    ``pixels``: RGBA bytes, row by row from the top; ``size``: width and height in pixels.
    """

    def __init__(self, figure: Figure, dpi: float) -> None:
        self.dpi, self.inches = dpi, figure.get_size_inches()
        usual = figure.get_dpi()
        figure.set_dpi(dpi)
        width, height = (round(length) for length in figure.bbox.size)
        renderer = _Recorder(width, height, dpi)
        figure.patch.draw(renderer.agg)
        # As Figure.draw does where a figure has no layout engine.
        artists = [artist for artist in figure.get_children() if artist is not figure.patch]
        for artist in sorted(artists, key=Artist.get_zorder):
            renderer.artist = artist
            artist.draw(renderer)
        figure.set_dpi(usual)
        self.calls: Sequence[_Call] = renderer.calls
        self.size = width, height
        self.pixels = bytes(renderer.agg.buffer_rgba())

    def sheet(self) -> Figure:
        """The figure again, to be saved in a vector format."""
        width, height = self.inches
        return self.page(width, height, None)

    def page(self, width: float, height: float, shifts: Mapping[Artist, float] | None) -> Figure:
        """A page, in inches, of the artists in ``shifts``, each moved up by so many inches."""
        figure = Figure(figsize=(width, height))
        figure.add_artist(_Replay(self, shifts))
        return figure


class _Recorder(RendererBase):
    """Draws pixels and keeps the calls. What no chart uses (images, TeX) is not implemented."""

    def __init__(self, width: int, height: int, dpi: float) -> None:
        super().__init__()
        # matplotlib types none of its methods.
        self.agg: Any = RendererAgg(width, height, dpi)  # type: ignore[no-untyped-call]
        self.calls: list[_Call] = []
        self.artist: Artist
        for name in (
            "flipy", "get_canvas_width_height", "get_image_magnification", "new_gc",
            "get_text_width_height_descent", "option_image_nocomposite", "points_to_pixels",
        ):  # fmt: skip
            setattr(self, name, getattr(self.agg, name))

    def _keep(self, method: str, gc: GraphicsContextBase | None, *arguments: Any) -> None:
        # Artists may go on to change what they pass.
        if gc is not None:
            kept = GraphicsContextBase()
            kept.copy_properties(gc)
            if (rectangle := gc.get_clip_rectangle()) is not None:
                kept.set_clip_rectangle(rectangle.frozen())
            kept.set_clip_path(_clip(gc, Affine2D()))
            gc = kept
        frozen = (one.frozen() if isinstance(one, Transform) else one for one in arguments)
        self.calls.append(_Call(self.artist, method, gc, tuple(frozen)))

    def open_group(self, s: str, gid: str | None = None) -> None:
        self._keep("open_group", None, s, gid)

    def close_group(self, s: str) -> None:
        self._keep("close_group", None, s)

    def draw_path(self, gc: Any, path: Path, transform: Transform, face: Any = None) -> None:
        self._keep("draw_path", gc, path, transform, face)
        self.agg.draw_path(gc, path, transform, face)

    def draw_markers(
        self,
        gc: Any,
        marker_path: Path,
        marker_trans: Transform,
        path: Path,
        trans: Transform,
        face: Any = None,
    ) -> None:
        self._keep("draw_markers", gc, marker_path, marker_trans, path, trans, face)
        self.agg.draw_markers(gc, marker_path, marker_trans, path, trans, face)

    def draw_path_collection(
        self,
        gc: Any,
        master_transform: Transform,
        paths: Any,
        all_transforms: Any,
        offsets: Any,
        offset_trans: Transform,
        *looks: Any,
        hatchcolors: Any = None,
    ) -> None:
        arguments = (master_transform, paths, all_transforms, offsets, offset_trans, *looks)
        self._keep("draw_path_collection", gc, *arguments, hatchcolors)
        self.agg.draw_path_collection(gc, *arguments, hatchcolors=hatchcolors)

    def draw_text(
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: Any,
        angle: float,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        # Upwards, as all else is counted.
        self._keep("draw_text", gc, x, self.agg.height - y, s, prop, angle, ismath, mtext)
        self.agg.draw_text(gc, x, y, s, prop, angle, ismath, mtext)


class _Replay(Artist):
    """Tells a renderer what drew a figure; where ``shifts`` are given, only of their artists."""

    def __init__(self, recording: Recording, shifts: Mapping[Artist, float] | None) -> None:
        super().__init__()
        self._recording, self._shifts = recording, shifts

    def draw(self, renderer: RendererBase) -> None:
        scale = _POINTS / self._recording.dpi
        size = Affine2D().scale(scale)
        places: dict[float, Affine2D] = {}
        for call in self._recording.calls:
            shift = 0.0 if self._shifts is None else self._shifts.get(call.artist)
            if shift is None:
                continue
            if call.gc is None:
                getattr(renderer, call.method)(*call.arguments)
                continue
            if shift not in places:
                places[shift] = Affine2D().scale(scale).translate(0.0, shift * _POINTS)
            place = places[shift]
            gc = renderer.new_gc()
            gc.copy_properties(call.gc)
            if (rectangle := call.gc.get_clip_rectangle()) is not None:
                gc.set_clip_rectangle(Bbox(place.transform(rectangle.get_points())))
            gc.set_clip_path(_clip(call.gc, place))
            _tell(renderer, call, gc, size, place)
            gc.restore()


def _clip(gc: GraphicsContextBase, place: Affine2D) -> TransformedPath | None:
    """What drawing is kept inside of that is no rectangle, at another place, as it is now."""
    path: Any
    affine: Any
    path, affine = gc.get_clip_path()
    return None if path is None else TransformedPath(path, affine.frozen() + place)


def _tell(
    renderer: RendererBase, call: _Call, gc: GraphicsContextBase, size: Affine2D, place: Affine2D
) -> None:
    """Repeat one call at another scale and place."""

    def scaled(transform: Transform, by: Affine2D) -> Affine2D:
        return Affine2D(np.dot(by.get_matrix(), transform.get_matrix()))

    if call.method == "draw_path":
        path, transform, face = call.arguments
        renderer.draw_path(gc, path, scaled(transform, place), face)
    elif call.method == "draw_markers":
        marker, transform, path, offset, face = call.arguments
        renderer.draw_markers(
            gc, marker, scaled(transform, size), path, scaled(offset, place), face
        )
    elif call.method == "draw_path_collection":
        transform, paths, transforms, offsets, offset, *looks, hatchcolors = call.arguments
        renderer.draw_path_collection(
            gc, scaled(transform, size), paths, transforms, offsets, scaled(offset, place), *looks,
            hatchcolors=hatchcolors,
        )  # fmt: skip
    else:
        x, y, text, *how = call.arguments
        x, y = place.transform((x, y))
        if renderer.flipy():
            y = renderer.get_canvas_width_height()[1] - y
        renderer.draw_text(gc, x, y, text, *how)
