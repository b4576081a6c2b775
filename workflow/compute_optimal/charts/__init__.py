"""Figures and tables of a study, from its database: the presentation zone's face.

``draw_figure`` and ``render_table`` write files; ``draw`` and ``tabulate`` give the same to a
notebook. ``ITEMS`` says what there is.
"""

from compute_optimal.charts.items import ITEMS, NOTEBOOKS, Item
from compute_optimal.charts.present import Drawing, draw, draw_figure, render_table, tabulate

__all__ = [
    "ITEMS",
    "NOTEBOOKS",
    "Drawing",
    "Item",
    "draw",
    "draw_figure",
    "render_table",
    "tabulate",
]
