"""From a database to files: the edge of the presentation zone.

The same database gives the same bytes: no dates, no random ids, no order that is left to chance.
"""

from __future__ import annotations

import gc
import hashlib
import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from compute_optimal.analyse.statements import statement
from compute_optimal.errors import StudyError
from compute_optimal.present import style
from compute_optimal.present.catalogue import ITEMS, Item, item_named
from compute_optimal.present.charts.grid import PAGE_HEIGHT, Grid, grid_without_results
from compute_optimal.present.query import Row, answering_once, opened, run_query
from compute_optimal.present.tables.model import Table
from compute_optimal.study.buckets import BUCKETS
from compute_optimal.study.imports import modules_behind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from compute_optimal.present.charts.grid import Sheet
    from compute_optimal.present.recording import Recording

SCREEN_WIDTH = 760
"""Width of a figure in a notebook [pixels]; its PNG is about twice as wide."""

_PUBLIC = "real models, public rollouts"
_MINIATURE = "scale model"
_NO_ROLLOUTS = "the study has no adopted rollouts"
_RUNS_NONE = "the study runs no models itself"
_RULES = {"prm_max": "best-scored answer", "prm_vote": "answers voted by score"}
_SCORES = {"prm_last": "last step", "prm_min": "lowest step", "prm_avg": "mean of steps"}


@dataclass(frozen=True)
class Drawing:
    """A figure that can be written to files and shown in a notebook."""

    title: str
    make_grid: Callable[[], Grid]
    picture: Path | None = None
    """Its PNG, where it has been drawn before."""

    @cached_property
    def grid(self) -> Grid:
        """What is drawn: panels and their contents."""
        return self.make_grid()

    def save(self, outputs: Mapping[str, Path]) -> None:
        """Write ``outputs``, format to path: "svg" and "png" as one sheet each, "pdf" as pages for
        print.

        Raises ``StudyError`` for another format.
        """
        _check_formats(outputs, ("svg", "pdf", "png"))
        for suffix, path in outputs.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.encoded(suffix))

    def encoded(self, suffix: str) -> bytes:
        """The contents of a file of the format ``suffix``: svg, pdf or png."""
        import matplotlib as mpl
        from matplotlib.backends.backend_pdf import PdfPages

        stream = io.BytesIO()
        metadata: dict[str, str | None] = {"Title": self.title}
        with mpl.rc_context(style.RC):
            if suffix == "png":
                return _of_few_colours(self._recording, self.title)
            if suffix == "pdf":
                metadata |= {"Creator": None, "Producer": None, "CreationDate": None}
                with _small_fonts(), PdfPages(stream, metadata=metadata) as pages:
                    for page in self.pages:
                        pages.savefig(page)
            else:
                metadata |= {"Date": None, "Creator": None}
                self._recording.sheet().savefig(stream, format="svg", metadata=metadata)
        return stream.getvalue()

    @property
    def sheet(self) -> Figure:
        """All panels on one sheet of any height."""
        return self._sheet.figure

    @cached_property
    def pages(self) -> Sequence[Figure]:
        """The panels on as many printed pages as they need."""
        if self.grid.height <= PAGE_HEIGHT:
            return [self._recording.sheet()]
        return self.grid.pages(self._sheet, self._recording, PAGE_HEIGHT)

    @cached_property
    def _sheet(self) -> Sheet:
        return self.grid.sheet()

    @cached_property
    def _recording(self) -> Recording:
        import matplotlib as mpl

        from compute_optimal.present.recording import Recording

        with mpl.rc_context(style.RC):
            return Recording(self.sheet, style.RC["savefig.dpi"])

    def _repr_png_(self) -> tuple[bytes, dict[str, object]]:
        content = self.encoded("png") if self.picture is None else self.picture.read_bytes()
        return content, {"alt": self.title, "width": SCREEN_WIDTH}


def draw(
    name: str,
    database: Path | str,
    *,
    task: str | None = None,
    scoring: str | None = None,
    voting: str | None = None,
    drawn: Path | str | None = None,
) -> Drawing:
    """The figure ``name`` of the catalogue.

    ``task``: another task than the figure's own. ``scoring`` and ``voting`` turn step scores into
    answers; by default they are those of the study. ``drawn``: a folder with the PNG of this figure
    of this database, by these parameters, which a notebook then shows without asking the database.
    Raises ``StudyError`` for a name that is no figure, an unknown task, and a database that is
    missing or lacks tables.
    """
    item = item_named(name)
    if item.chart is None:
        raise StudyError(f"{name} is a table", cure="use tabulate")
    make_grid = partial(_grid, item, Path(database), task, scoring, voting)
    if drawn is not None:
        return Drawing(item.heading, make_grid, Path(drawn) / f"{name}.png")
    # At once, so that what cannot be drawn is an error here and not where it is shown.
    grid = make_grid()
    return Drawing(item.heading, lambda: grid)


def _grid(
    item: Item, database: Path, task: str | None, scoring: str | None, voting: str | None
) -> Grid:
    assert item.chart is not None
    with opened(database):
        return _grid_of(item, _shown(item, database, task, scoring, voting))


def _grid_of(item: Item, shown: _Shown) -> Grid:
    assert item.chart is not None
    rows, subtitle, absent = shown
    if rows:
        return item.chart(rows, item.heading, subtitle)
    if rows is not None and absent == style.NOT_RUN:
        subtitle = f"{subtitle}: nothing of this kind in the study"
    return grid_without_results(item.name, item.heading, subtitle, absent)


def tabulate(
    name: str,
    database: Path | str,
    *,
    task: str | None = None,
    scoring: str | None = None,
    voting: str | None = None,
) -> Table:
    """The table ``name`` of the catalogue; parameters and errors as for ``draw``."""
    item = item_named(name)
    if item.table is None:
        raise StudyError(f"{name} is a figure", cure="use draw")
    with opened(Path(database)):
        rows, subtitle, absent = _shown(item, Path(database), task, scoring, voting)
        (settings,) = run_query("settings", Path(database))
    table = item.table(rows or (), f"{item.heading} ({subtitle})")
    if absent != style.NOT_RUN:
        table = replace(table, absent=absent)
    if not table.has_intervals:
        return table
    return replace(table, title=f"{item.heading} ({subtitle}; {_level_text(settings)})")


def draw_figures(database: Path, outputs: Sequence[Path], *, workers: int) -> None:
    """Write figures, each to the outputs named after it with the format as suffix, in ``workers``
    processes.

    A figure is drawn only if what it shows or what draws it has changed: each drawing is kept in
    the folder ``.drawn`` beside the outputs, named by a digest of both, and copied from there.
    What no longer belongs to any of ``outputs`` is removed from that folder.
    """
    figures = _by_name(outputs)
    contents = {}
    with answering_once(database):
        for name in figures:
            item = item_named(name)
            if item.chart is None:
                raise StudyError(f"{name} is a table", cure="name figures, or use render-tables")
            contents[name] = _Contents(name, *_shown(item, database, None, None, None))
    missing = []
    for name, files in figures.items():
        if all(contents[name].kept(path).is_file() for path in files.values()):
            for path in files.values():
                shutil.copyfile(contents[name].kept(path), path)
        else:
            missing.append((contents[name], files))
    if min(workers, len(missing)) <= 1:
        for figure in missing:
            _draw_one(figure)
    else:
        # Not forked: the libraries at hand have threads of their own.
        with ProcessPoolExecutor(min(workers, len(missing)), get_context("spawn")) as pool:
            for _ in pool.map(_draw_one, missing):
                pass
    kept = {contents[path.stem].kept(path) for path in outputs}
    for folder in {drawing.parent for drawing in kept}:
        for drawing in set(folder.iterdir()) - kept:
            drawing.unlink()


@dataclass(frozen=True)
class _Contents:
    """All that a figure shows; with the code that draws it, all that its files depend on."""

    name: str
    rows: tuple[Row, ...] | None
    subtitle: str
    absent: str = style.NOT_RUN

    def kept(self, output: Path) -> Path:
        """Path of the kept copy of the drawing that is written to ``output``."""
        return output.parent / ".drawn" / f"{self.name}-{self.digest[:16]}{output.suffix}"

    @cached_property
    def digest(self) -> str:
        """Digest of what is shown, of the sources that draw it, and of their libraries'
        versions."""
        item = item_named(self.name)
        assert item.chart is not None
        module, function = item.chart.__module__, item.chart.__qualname__
        # What a chart that another function has made was made with.
        made_with = [cell.cell_contents for cell in item.chart.__closure__ or ()]
        # By repr, which tells every float from every other.
        shown = repr((function, made_with, item.heading, self.subtitle, self.rows, self.absent))
        return hashlib.sha256(f"{shown}\n{_drawn_by(module)}".encode()).hexdigest()


@cache
def _drawn_by(module: str) -> str:
    """Digest of the sources of ``module`` and of this file, and the versions of the libraries."""
    sources = hashlib.sha256()
    modules = modules_behind([module, "compute_optimal.present.recording"])
    for file in (*(modules[name].file for name in sorted(modules)), Path(__file__)):
        sources.update(file.read_bytes())
    libraries = ("matplotlib", "numpy", "pillow", "fonttools")
    return " ".join([sources.hexdigest(), *map(version, libraries)])


def render_tables(database: Path, outputs: Sequence[Path]) -> None:
    """Write tables, each to the outputs named after it with the format as suffix."""
    with answering_once(database):
        for name, files in _by_name(outputs).items():
            write_table(name, database, files)


def _by_name(outputs: Sequence[Path]) -> dict[str, dict[str, Path]]:
    outputs_of: dict[str, dict[str, Path]] = {}
    for path in outputs:
        outputs_of.setdefault(path.stem, {})[path.suffix[1:]] = path
    return outputs_of


def _draw_one(figure: tuple[_Contents, Mapping[str, Path]]) -> None:
    contents, files = figure
    item = item_named(contents.name)
    # A figure is some hundred thousand objects that live until it is written: to look for garbage
    # among them over and over took an eighth of the time.
    gc.disable()
    try:
        grid = _grid_of(item, _Shown(contents.rows, contents.subtitle, contents.absent))
        Drawing(item.heading, lambda: grid).save(files)
    finally:
        gc.enable()
    for path in files.values():
        drawing = contents.kept(path)
        drawing.parent.mkdir(exist_ok=True)
        # Copied, not linked: who edits a figure must not edit what is kept. And whole or absent.
        unfinished = drawing.with_name(f"{drawing.name}.part")
        shutil.copyfile(path, unfinished)
        unfinished.replace(drawing)


def write_table(
    name: str, database: Path, outputs: Mapping[str, Path], *, task: str | None = None
) -> None:
    """Write the table ``name`` to ``outputs``: format ("csv", "md", "tex", "html") to path.

    Raises ``StudyError`` for another format, and as ``tabulate`` does.
    """
    table = tabulate(name, database, task=task)
    texts = {"csv": table.csv, "md": table.markdown, "tex": table.latex, "html": table.html}
    _check_formats(outputs, tuple(texts))
    for suffix, path in outputs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[suffix](), encoding="utf-8", newline="\n")


def rows_of(item: Item, database: Path) -> tuple[Row, ...]:
    """The rows that an item shows by itself; none where it cannot be shown."""
    return _shown(item, database, None, None, None).rows or ()


class _Shown(NamedTuple):
    """Rows of an item and what it shows, in words; None and the reason if it cannot be shown.

    ``absent``: what stands in place of results where there are no rows.
    """

    rows: tuple[Row, ...] | None
    subtitle: str
    absent: str = style.NOT_RUN


def _shown(
    item: Item, database: Path, task: str | None, scoring: str | None, voting: str | None
) -> _Shown:
    tasks = run_query("public_tasks" if item.scale == "public" else "tasks", database)
    (settings,) = run_query("settings", database)
    parameters = {
        "scoring": scoring or settings["scoring"],
        "voting": voting or settings["voting"],
    }
    shown: list[str] = []
    asked_tasks: Sequence[Row] = ()
    if task is not None or item.task_rank is not None:
        asked_tasks = (
            [row for row in tasks if row["task"] == task] if task else tasks[item.task_rank :][:1]
        )
        if not asked_tasks and task:
            raise StudyError(
                f"the study has no task called {task}",
                where=str(database),
                cure=f"take one of {', '.join(row['task'] for row in tasks)}",
            )
        if not asked_tasks:
            if item.scale == "public":
                return _Shown(None, _NO_ROLLOUTS)
            return _Shown(None, "the study has no second task")
        parameters["task"] = asked_tasks[0]["task"]
        shown.append(_task_text(asked_tasks[0]))
    elif item.scale == "printed":
        shown.append("numbers that another paper prints")
    elif not tasks:
        return _Shown(None, _NO_ROLLOUTS)
    elif item.scale == "study":
        shown += [_task_text(row) for row in tasks]
    if item.aggregated:
        shown.append(_aggregation_text(item, parameters))
    if item.chart is not None and item.intervals:
        shown.append(_level_text(settings))
    if item.checks_steps and not asked_tasks[0]["has_step_check"]:
        return _Shown(None, "; ".join(shown), style.UNCHECKED)
    rows, origin = _of_one_origin(item, run_query(item.query, database, parameters))
    if origin == "adopted" and (twin := _public_twin(item)):
        return _Shown(None, f"{_RUNS_NONE}; of real models: {twin}")
    if item.scale == "public" and item.task_rank is None:
        shown = [*dict.fromkeys(row["task_title"] for row in rows if "task_title" in row), *shown]
        shown = shown if rows else ["nothing of this kind is adopted", *shown]
    if item.scale == "public" or origin == "adopted":
        shown.insert(0, _PUBLIC)
    elif item.scale == "study" and settings["is_miniature"] and not _any_adopted(rows):
        shown.insert(0, _MINIATURE)
    if not rows and item.scale == "study" and not settings["runs_models"]:
        shown.append(_RUNS_NONE)
    absent = item.nothing
    if not rows and item.least_problems > 1:
        (ran,) = run_query("problems_run", database, {"task": parameters["task"]})
        if 0 < ran["n_problems"] < item.least_problems:
            absent = style.TOO_FEW
            shown.append(f"results are of {item.least_problems} problems at least")
    return _Shown(rows, "; ".join([*shown, *_doubtful_buckets(rows, database)]), absent)


def _aggregation_text(item: Item, asked: Mapping[str, str]) -> str:
    """How step scores became answers, in words, of what an item shows; ``asked``: the rules that
    are asked for. Much is about scores alone, and some always about the best-scored answer."""
    said = f"score: {_SCORES[asked['scoring']]}"
    takes_rule = "$voting" in statement(f"{item.query}.sql")
    voting = asked["voting"] if takes_rule else item.voting
    return said if voting is None else f"{said}; vote: {_RULES[voting]}"


def _level_text(settings: Row) -> str:
    """The level of the study's intervals, in words; ``settings``: the row of that query."""
    return f"{100 * settings['confidence']:.4g}% intervals"


OFTEN_WRONG = 0.2
"""ASSUME: buckets are doubtful where this share of the problems (0 to 1), or more, is expected in
the wrong one."""

_NAMED = 4
"""Policies with doubtful buckets that are named at most."""


def _doubtful_buckets(rows: Sequence[Row], database: Path) -> Iterator[str]:
    """In words, policies whose difficulty these rows show and few samples decide."""
    # Some rows are of several policies, or of none.
    of_policies = [row for row in rows if "policy" in row]
    counted = {row["policy"] for row in of_policies if "n_easy" in row}
    evaluated = {
        row["policy"]
        for row in of_policies
        if row.get("bucket") in BUCKETS or row.get("part") == "both halves"
    }
    doubts = run_query("bucket_doubts", database) if counted | evaluated else ()
    split = {row["policy"] for row in doubts if row["of_halves"]}
    shown = {(policy, policy in split) for policy in evaluated}
    shown |= {(policy, False) for policy in counted}
    doubtful = [
        row
        for row in doubts
        if (row["policy"], row["of_halves"]) in shown and row["wrong"] >= OFTEN_WRONG
    ]
    if doubtful:
        each = ", ".join(
            f"{style.fixed(100 * row['wrong'], 0)}% of {row['model_title']} "
            f"(of {row['n_samples']} samples)"
            for row in doubtful[:_NAMED]
        )
        n_more = len(doubtful) - _NAMED
        more = f" and {style.counted(n_more, 'policy', 'policies')} more" if n_more > 0 else ""
        yield f"problems expected in the wrong bucket: {each}{more}"


def _of_one_origin(item: Item, rows: Sequence[Row]) -> tuple[tuple[Row, ...], str | None]:
    """Rows of what the study itself runs or of what others ran, whichever an item of one task
    shows, and which that is; all, where the query does not tell."""
    # What is only printed has none.
    origins = {row["origin"] for row in rows if "origin" in row} - {None}
    if not origins or item.task_rank is None:
        return tuple(rows), None
    wanted = "adopted" if item.scale == "public" or "run" not in origins else "run"
    return tuple(row for row in rows if row["origin"] in (wanted, None)), wanted


def _any_adopted(rows: Sequence[Row]) -> bool:
    return any(row.get("origin") == "adopted" for row in rows)


def _public_twin(item: Item) -> str | None:
    """Name of the item that shows the same query of adopted rollouts, if ``item`` is the study's
    own."""
    alike = (other for other in ITEMS if other.scale == "public" and other.query == item.query)
    return next((other.name for other in alike if item.scale == "study"), None)


def _task_text(task: Row) -> str:
    return f"{task['title']}, {style.counted(task['n_problems'], 'problem')}"


def _of_few_colours(drawn: Recording, title: str) -> bytes:
    """A PNG in 256 colours.

    It is a third as large as in all colours: the report holds notebooks, and these the PNGs.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    image = Image.frombuffer("RGBA", drawn.size, drawn.pixels, "raw", "RGBA", 0, 1)
    few = image.convert("RGB").quantize(
        256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    described = PngInfo()
    described.add_text("Title", title)
    stream = io.BytesIO()
    few.save(stream, "png", pnginfo=described, dpi=(drawn.dpi, drawn.dpi), compress_level=6)
    return stream.getvalue()


@contextmanager
def _small_fonts() -> Iterator[None]:
    """Have fonts embedded without the tables that shape text.

    In a PDF, glyphs are placed one by one, so nothing reads these tables; to parse those of
    DejaVu Sans took longer than to draw the figure.
    """
    from fontTools.subset import Options

    kept = Options._drop_tables_default
    Options._drop_tables_default = [*kept, "GDEF", "GPOS", "GSUB", "MATH"]
    try:
        yield
    finally:
        Options._drop_tables_default = kept


def _check_formats(outputs: Mapping[str, Path], known: tuple[str, ...]) -> None:
    for suffix in outputs:
        if suffix not in known:
            raise StudyError(f"unknown format {suffix}", cure=f"take one of {', '.join(known)}")
