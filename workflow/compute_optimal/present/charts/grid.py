"""Panels in blocks: the one layout of all figures.

A figure is a list of blocks (a policy, say), a block a list of panels (its PRMs) that share their
axes. Panels wrap after a few columns, so that any number stays legible; for print the blocks are
dealt out to pages. A panel without results says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from compute_optimal.present import style

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from compute_optimal.present.recording import Recording

WIDTH, PAGE_HEIGHT = 7.2, 9.8
"""Inches: the text width of a page, and its height."""

_RIGHT, _GAP, _EDGE = 0.08, 0.14, 0.06
_LINE, _TICKS, _AXIS_TITLE, _BLOCK_TITLE, _ROW_GAP = 0.135, 0.2, 0.16, 0.26, 0.1
_PANEL_HEIGHTS = {1: 2.6, 2: 1.9, 3: 1.5, 4: 1.25, 5: 1.05, 6: 0.95}
_TALLEST, _LOWEST_PANEL = 24.9, 0.55
"""Inches: a sheet of more panels has lower ones, as far as they can be read."""
_MANY = 12
"""Panels beyond which a figure is set narrower, so that it does not grow without end."""

Paint = Callable[["Axes"], None]


@dataclass(frozen=True)
class Panel:
    """One pair of axes, labelled ``name``. ``paint`` None means that there is nothing to draw, of
    which ``absent`` says why."""

    name: str
    title: str
    paint: Paint | None
    absent: str = style.NOT_RUN
    note: str = ""
    height: float | None = None
    """Inches of the axes; None: as all others of the figure."""

    def __post_init__(self) -> None:
        if self.paint is None and not self.absent.strip():
            raise ValueError(f"the panel {self.name!r} shows nothing and gives no reason")


@dataclass(frozen=True)
class Block:
    """Panels that share their axes, which ``prepare`` sets (scales, limits, ticks).

    ``x_title`` replaces the figure's title of the x axis.
    """

    title: str
    panels: Sequence[Panel]
    prepare: Paint
    x_title: str | None = None


@dataclass(frozen=True)
class Grid:
    """A figure before it is laid out. ``legend`` is (handle, label) pairs; lengths are inches.

    ``left`` is the room for labels of the y axis; None stands for what the layout chooses.
    """

    title: str
    subtitle: str
    x_title: str
    y_title: str
    blocks: Sequence[Block]
    legend: Sequence[tuple[Any, str]] = ()
    panel_height: float | None = None
    left: float = 0.54
    columns: int | None = None

    def sheet(self) -> Sheet:
        """Everything on one sheet of whatever height it needs."""
        import matplotlib as mpl
        from matplotlib.figure import Figure

        bands = [band for block in self.blocks for band in self._bands(block)]
        height = self._height_of(bands)
        with mpl.rc_context(style.RC):
            figure = Figure(figsize=(WIDTH, height))
            self._draw_head(figure, height)
            known = {*figure.get_children()}
            sheet = Sheet(figure, known - {figure.patch}, [])
            for band, top in self._placed(bands, height):
                if band.title:
                    _draw_title(figure, band.title, top + _BLOCK_TITLE)
                self._draw_band(figure, band, top, height)
                sheet.rows.append((top, {*figure.get_children()} - known))
                known |= sheet.rows[-1][1]
        return sheet

    def pages(self, sheet: Sheet, recording: Recording, height: float) -> list[Figure]:
        """The rows of the sheet, as it was recorded, on pages of at most ``height`` inches.

        Blocks are kept whole where they fit on a page. A single row is never split.
        """
        import matplotlib as mpl

        pages = []
        rows = iter(sheet.rows)
        for bands in self._dealt(height):
            page_height = self._height_of(bands)
            lower = page_height - sheet.figure.get_figheight()
            shifts = dict.fromkeys(sheet.head, lower)
            continued = []
            # The rows last: there are as many of them as of bands on all pages.
            for (band, top), (top_on_sheet, artists) in zip(
                self._placed(bands, page_height), rows, strict=False
            ):
                shifts |= dict.fromkeys(artists, top - top_on_sheet)
                if band.title and not band.first:
                    continued.append((band.title, top + _BLOCK_TITLE))
            with mpl.rc_context(style.RC):
                page = recording.page(WIDTH, page_height, shifts)
                for title, top in continued:
                    _draw_title(page, title, top)
            pages.append(page)
        return pages

    def _dealt(self, height: float) -> list[list[_Band]]:
        """Rows of panels by the page, of at most ``height`` inches, on which they stand."""
        # Lengths are added by math.fsum: since Python 3.12 the built-in sum rounds otherwise.
        pages: list[list[_Band]] = [[]]
        room = height - self._head - _EDGE
        used = 0.0
        for block in self.blocks:
            bands = [*self._bands(block)]
            whole = math.fsum(self._band_height(band) for band in bands)
            for band in bands:
                needed = self._band_height(band)
                starts_whole = band.first and whole > room - used and whole <= room
                if pages[-1] and (starts_whole or needed > room - used):
                    pages.append([])
                    used = 0.0
                    if not band.first:
                        band = replace(band, title=f"{block.title} (continued)")
                pages[-1].append(band)
                used += self._band_height(band)
        return pages

    def _height_of(self, bands: Sequence[_Band]) -> float:
        return self._head + math.fsum(self._band_height(band) for band in bands) + _EDGE

    def _placed(self, bands: Sequence[_Band], height: float) -> Iterator[tuple[_Band, float]]:
        """Each row with the height in inches at which it begins below its block's title."""
        top = height - self._head
        for band in bands:
            yield band, top - (_BLOCK_TITLE if band.title else 0.0)
            top -= self._band_height(band)

    @property
    def height(self) -> float:
        """Inches that one sheet of everything needs."""
        return self._height_of([band for block in self.blocks for band in self._bands(block)])

    @cached_property
    def _columns(self) -> int:
        """As given; else a column per panel of the largest block up to four, and of more panels
        whichever of 4 and 3 columns, or of 6 and 5 in a figure of many panels, leaves fewer places
        empty."""
        if self.columns is not None:
            return self.columns
        n = max((len(block.panels) for block in self.blocks), default=1)
        many = sum(len(block.panels) for block in self.blocks) > _MANY
        choices = (6, 5) if many else (4, 3)
        return max(1, n) if n <= 4 else min(choices, key=lambda columns: -n % columns)

    @property
    def _panel_width(self) -> float:
        return (WIDTH - self.left - _RIGHT - _GAP * (self._columns - 1)) / self._columns

    @property
    def _legend_columns(self) -> int:
        """As many columns as fit; the legend fills them one after the other."""
        widths = [
            0.58 + max(0.062 * len(label), style.inches(label, style.TEXT))
            for _, label in self.legend
        ]
        for columns in range(len(widths), 1, -1):
            rows = math.ceil(len(widths) / columns)
            is_full = math.ceil(len(widths) / rows) == columns
            if (
                is_full
                and math.fsum(max(widths[i : i + rows]) for i in range(0, len(widths), rows))
                <= WIDTH
            ):
                return columns
        return 1

    @property
    def _head(self) -> float:
        """Height of the title, the subtitle and the legend."""
        rows = math.ceil(len(self.legend) / self._legend_columns) if self.legend else 0
        return 0.24 + 0.145 * len(self._subtitle_lines) + 0.17 * rows + 0.12

    @property
    def _subtitle_lines(self) -> list[str]:
        room = WIDTH - 2 * _EDGE
        return style.fit(self.subtitle, WIDTH * 1.1, style.TEXT, 3, room).split("\n")

    def _bands(self, block: Block) -> Iterator[_Band]:
        for start in range(0, len(block.panels), self._columns):
            panels = block.panels[start : start + self._columns]
            width = self._panel_width
            yield _Band(
                block=block,
                first=start == 0,
                title=block.title if start == 0 else "",
                panels=panels,
                titles=[style.fit(panel.title, width, style.TEXT, lines=3) for panel in panels],
                notes=[style.fit(panel.note, width, style.SMALL, lines=3) for panel in panels],
                # The axis title stands below each panel that has none below it.
                n_below=max(0, min(self._columns, len(block.panels) - start - self._columns)),
            )

    def _band_height(self, band: _Band, panel_height: float | None = None) -> float:
        return (
            (_BLOCK_TITLE if band.title else 0.0)
            + band.text_height
            + (self._panel_height(band) if panel_height is None else panel_height)
            + _TICKS
            + _AXIS_TITLE
            + _ROW_GAP
        )

    @property
    def _usual_height(self) -> float:
        return self.panel_height or _PANEL_HEIGHTS[self._columns]

    @cached_property
    def _lowered(self) -> float:
        """By how much panels are lower than usual, so that one sheet is no taller than _TALLEST."""
        bands = [band for block in self.blocks for band in self._bands(block)]
        around = math.fsum(self._band_height(band, 0.0) for band in bands)
        own = [panel.height for band in bands for panel in band.panels if panel.height is not None]
        excess = self._head + _EDGE + around + len(bands) * self._usual_height - _TALLEST
        if own or excess <= 0:
            return 0.0
        return max(0.0, min(excess / len(bands), self._usual_height - _LOWEST_PANEL))

    def _panel_height(self, band: _Band) -> float:
        usual = self._usual_height - self._lowered
        return max(usual if panel.height is None else panel.height for panel in band.panels)

    def _draw_head(self, figure: Figure, height: float) -> None:
        def write(text: str, top: float, **how: Any) -> None:
            figure.text(_EDGE / WIDTH, 1 - top / height, text, va="top", **how)

        write(self.title, 0.05, fontsize=style.TITLE, weight="bold")
        write("\n".join(self._subtitle_lines), 0.235, color=style.MUTED, linespacing=1.3)
        if self.legend:
            from matplotlib.legend_handler import HandlerTuple

            handles, labels = zip(*self.legend, strict=True)
            figure.legend(
                handles,
                labels,
                loc="upper left",
                bbox_to_anchor=(0.0, 1 - (0.255 + 0.145 * len(self._subtitle_lines)) / height),
                ncols=self._legend_columns,
                frameon=False,
                borderpad=0.2,
                borderaxespad=0.3,
                columnspacing=1.4,
                handlelength=2.6,
                handletextpad=0.5,
                labelspacing=0.25,
                handler_map={tuple: HandlerTuple(ndivide=1, pad=0)},
            )

    def _draw_band(self, figure: Figure, band: _Band, top: float, height: float) -> None:
        panel_height = self._panel_height(band)
        bottom = top - band.text_height - panel_height
        for column, panel in enumerate(band.panels):
            x = self.left + column * (self._panel_width + _GAP)
            axes = figure.add_axes(
                (x / WIDTH, bottom / height, self._panel_width / WIDTH, panel_height / height),
                label=panel.name,
            )
            band.block.prepare(axes)
            if panel.paint is None:
                axes.set_facecolor(style.EMPTY)
                axes.grid(visible=False)
                axes.text(
                    0.5,
                    0.5,
                    style.fit(panel.absent, self._panel_width, style.TEXT, lines=4),
                    transform=axes.transAxes,
                    ha="center",
                    va="center",
                    color=style.MUTED,
                    style="italic",
                )
            else:
                panel.paint(axes)
            figure.text(x / WIDTH, top / height, band.titles[column], va="top")
            figure.text(
                x / WIDTH,
                (top - _LINE * _n_lines(band.titles[column])) / height,
                band.notes[column],
                va="top",
                fontsize=style.SMALL,
                color=style.MUTED,
            )
            # Also where no title stands: else its place is looked for, beside the labels of ticks.
            axes.yaxis.set_label_coords(
                (0.17 - self.left) / self._panel_width, 0.5, transform=axes.transAxes
            )
            if column:
                axes.tick_params(labelleft=False)
            else:
                axes.set_ylabel(self.y_title)
            if column >= band.n_below:
                own = band.block.x_title
                axes.set_xlabel(self.x_title if own is None else own, labelpad=1.5)
            else:
                axes.xaxis.set_label_coords(0.5, 0.0)


def _draw_title(figure: Figure, title: str, top: float) -> None:
    figure.text(
        _EDGE / WIDTH,
        (top - 0.05) / figure.get_figheight(),
        style.fit(title, WIDTH, style.HEADING, 1, WIDTH - 2 * _EDGE, "bold"),
        va="top",
        fontsize=style.HEADING,
        weight="bold",
    )


def grid_without_results(name: str, title: str, reason: str, absent: str = style.NOT_RUN) -> Grid:
    """A figure that only says why it shows nothing: ``absent``, and of what or why."""

    def prepare(axes: Axes) -> None:
        axes.set(xticks=[], yticks=[])

    panel = Panel(name, "", None, absent=f"{absent}: {reason}")
    return Grid(title, "", "", "", [Block("", [panel], prepare)], panel_height=1.2)


@dataclass(frozen=True)
class Sheet:
    """A figure with everything, and what on it belongs together.

    ``head``: title, subtitle and legend; ``rows``: each row of panels with its texts, and the
    height in inches at which it begins below its block's title.
    """

    figure: Figure
    head: set[Artist]
    rows: list[tuple[float, set[Artist]]]


@dataclass(frozen=True)
class _Band:
    """One row of panels of a block, with its texts wrapped."""

    block: Block
    first: bool
    title: str
    panels: Sequence[Panel]
    titles: Sequence[str]
    notes: Sequence[str]
    n_below: int

    @property
    def text_height(self) -> float:
        """Height of the titles and notes above the axes, inches."""
        texts = zip(self.titles, self.notes, strict=True)
        return _LINE * max(_n_lines(title) + _n_lines(note) for title, note in texts) + 0.045


def _n_lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0
