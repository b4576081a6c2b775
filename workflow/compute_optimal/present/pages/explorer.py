"""The explorer: one HTML page with every accuracy, its interval and its cost, drawn by choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path
from typing import Any

from compute_optimal.errors import StudyError
from compute_optimal.present import style
from compute_optimal.present.pages.page import (
    json_block,
    number_script,
    packed,
    page,
    sorting_script,
)
from compute_optimal.present.query import Row, opened, run_query
from compute_optimal.store.partitions import atomic_write

_FOLDER = Path(__file__).parent
_LIBRARIES = ("vega/vega.js", "vega-lite/vega-lite.js", "vega-embed/vega-embed.js")
"""Vega-Lite, as Snakemake ships it for its reports: no version of its own to be kept."""

_TEXTS = ("scale", "task", "policy", "prm", "method", "scoring", "voting", "bucket")

_SHOWN: Mapping[str, Callable[[float], Any]] = {
    **dict.fromkeys(("accuracy", "low", "high"), style.rounded),
    "tokens": lambda value: style.rounded(value, 0),
    "flops": lambda value: style.scientific(value, 2),
    "seconds": lambda value: style.significant(value, 3),
}
"""What the page writes of a number, by column."""


def build_explorer(database: Path, output: Path) -> None:
    """The rule ``build_explorer``: write ``explorer_page`` to ``output``, atomically."""
    content = explorer_page(database)
    with atomic_write(output) as file:
        file.write(content.encode())


def explorer_page(database: Path) -> str:
    """The page, with all of its data in it, packed.

    Raises ``StudyError`` where the database is missing or lacks tables, and where Snakemake comes
    without Vega-Lite.
    """
    with opened(database):
        rows = run_query("explorer", database)
        (settings,) = run_query("settings", database)
    data = {
        "columns": _columns(rows),
        "settings": {
            **{key: settings[key] for key in ("scoring", "voting", "confidence")},
            # Real models come first, as in the report, unless the study runs some of its own.
            "opens_on": "public" if settings["is_miniature"] else "study",
        },
        "scales": style.scales_of_evidence(is_miniature=settings["is_miniature"]),
        "methods": _methods(row["method"] for row in rows),
    }
    return page(
        _FOLDER / "explorer.html",
        title="Explorer: accuracy against N, tokens, FLOPs and seconds",
        styles=[(_FOLDER / "explorer.css").read_text(encoding="utf-8")],
        scripts=[
            *(_library(name) for name in _LIBRARIES),
            sorting_script(),
            number_script(),
            (_FOLDER / "explorer.js").read_text(encoding="utf-8"),
        ],
        data=packed(json_block(data)),
    )


def _methods(shown: Iterable[str]) -> dict[str, dict[str, str]]:
    """Label and colour of each method: adopted rollouts may be of one that the study does not have,
    which keeps its own name."""
    known = {
        name: {"label": look.label, "colour": look.colour} for name, look in style.METHODS.items()
    }
    others = sorted(set(shown) - known.keys())
    # The lightest first, which is seen on dark paper too.
    colours = cycle(sorted(style.OTHER_COLOURS, reverse=True))
    return known | {
        name: {"label": name, "colour": colour}
        for name, colour in zip(others, colours, strict=False)
    }


def _columns(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows by column, floats in few digits; of a column in ``_TEXTS`` the different texts and the
    index of each row's."""
    columns: dict[str, Any] = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if name in _TEXTS:
            texts = {text: i for i, text in enumerate(dict.fromkeys(values))}
            columns[name] = {"texts": [*texts], "index": [texts[value] for value in values]}
        else:
            columns[name] = [
                _short(value, _SHOWN[name]) if isinstance(value, float) else value
                for value in values
            ]
    return columns


def _short(value: float, shown: Callable[[float], Any]) -> float:
    """To five digits, or as many more as it takes to show the same: a number that is rounded twice
    is another in its last place."""
    shorter = (float(f"{value:.{digits}g}") for digits in (5, 7, 9))
    return next((short for short in shorter if shown(short) == shown(value)), value)


def _library(name: str) -> str:
    # Found without importing Snakemake, which takes longer than the page.
    spec = find_spec("snakemake")
    folders = spec.submodule_search_locations if spec else None
    file = Path(folders[0] if folders else "") / "assets" / "data" / name
    if not file.is_file():
        raise StudyError(
            f"Snakemake comes without {name}",
            where=str(file),
            cure="make the environment anew: rm -r .venv/core && make",
        )
    return file.read_text(encoding="utf-8")
