"""Figures are drawn again where what they show or what draws them has changed, and nowhere else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from synthetic_study import POLICIES, PRMS, SyntheticStudy

from compute_optimal.analyse import statements
from compute_optimal.present import render
from compute_optimal.present.catalogue import Item, item_named
from compute_optimal.present.render import draw_figures

FIGURES = ("figure_2", "figure_3", "figure_7", "figure_8")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 6),), policies=POLICIES[:2], prms=PRMS[:1], budgets=(4, 16)
    )
    return study.write(tmp_path_factory.mktemp("study") / "study.duckdb")


@pytest.fixture
def queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The queries of the study, to be changed."""
    folder = tmp_path / "sql"
    shutil.copytree(statements.SQL_FOLDER, folder)
    monkeypatch.setattr(statements, "SQL_FOLDER", folder)
    return folder


def outputs(folder: Path) -> list[Path]:
    return [folder / f"{name}.{suffix}" for name in FIGURES for suffix in ("svg", "pdf", "png")]


def redrawn(database: Path, folder: Path, workers: int = 1) -> set[str]:
    """Names of the figures that are drawn; as before a job of Snakemake, the outputs are gone."""
    before = {path: path.stat().st_mtime_ns for path in folder.glob(".drawn/*")}
    for path in outputs(folder):
        path.unlink(missing_ok=True)
    draw_figures(database, outputs(folder), workers=workers)
    after = {path: path.stat().st_mtime_ns for path in folder.glob(".drawn/*")}
    assert len(after) == len(outputs(folder)), "what is kept is what is shown"
    return {path.name.split("-")[0] for path in after if before.get(path) != after[path]}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in outputs(folder)}


def test_nothing_changed_and_nothing_is_drawn(database: Path, tmp_path: Path) -> None:
    assert redrawn(database, tmp_path, workers=2) == set(FIGURES)
    first = bytes_of(tmp_path)
    assert redrawn(database, tmp_path) == set()
    assert bytes_of(tmp_path) == first


def test_a_changed_query_redraws_its_figure_alone(
    database: Path, tmp_path: Path, queries: Path
) -> None:
    redrawn(database, tmp_path / "figures")
    before = bytes_of(tmp_path / "figures")
    changed = queries / "figure_7.sql"
    text = changed.read_text()
    changed.write_text(f"-- A remark changes nothing that is shown.\n{text}")
    assert redrawn(database, tmp_path / "figures") == set()
    changed.write_text(text.replace("ORDER BY", "AND method <> 'dvts'\nORDER BY"))
    assert redrawn(database, tmp_path / "figures") == {"figure_7"}
    after = bytes_of(tmp_path / "figures")
    assert {name.split(".")[0] for name in after if after[name] != before[name]} == {"figure_7"}
    # And they are the files that are drawn from nothing.
    redrawn(database, tmp_path / "anew")
    assert bytes_of(tmp_path / "anew") == after
    changed.write_text(text)
    redrawn(database, tmp_path / "figures")
    assert bytes_of(tmp_path / "figures") == before


def test_an_edited_figure_is_mended(database: Path, tmp_path: Path) -> None:
    redrawn(database, tmp_path)
    before = bytes_of(tmp_path)
    with (tmp_path / "figure_3.svg").open("r+b") as file:
        file.write(b"edited")
    assert redrawn(database, tmp_path) == set()
    assert bytes_of(tmp_path) == before


def test_a_drawing_that_was_cut_off_is_drawn(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfile

    def cut_off(source: Path, target: Path) -> None:
        copy(source, target)
        if "figure_7" in target.name and ".drawn" in target.parts:
            os.truncate(target, 10)
            raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "copyfile", cut_off)
    with pytest.raises(KeyboardInterrupt):
        redrawn(database, tmp_path / "figures")
    monkeypatch.undo()
    assert redrawn(database, tmp_path / "figures") == set(FIGURES) - {"figure_2", "figure_3"}
    redrawn(database, tmp_path / "anew")
    assert bytes_of(tmp_path / "anew") == bytes_of(tmp_path / "figures")


@pytest.mark.parametrize("part", ["rows", "subtitle", "title", "chart", "code"])
def test_all_that_a_figure_depends_on_is_in_its_digest(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = render._Contents("figure_14", ({"value": 0.1},), "of a task").digest
    contents = render._Contents("figure_14", ({"value": 0.1},), "of a task")
    assert contents.digest == before
    item = item_named("figure_14")
    if part == "rows":
        contents = render._Contents("figure_14", ({"value": 0.1 + 2**-56},), "of a task")
    elif part == "subtitle":
        contents = render._Contents("figure_14", ({"value": 0.1},), "of another task")
    elif part == "code":
        monkeypatch.setattr(render, "_drawn_by", lambda module: f"{module}, edited")
        contents = render._Contents("figure_14", ({"value": 0.1},), "of a task")
    else:
        # Of another function that the same one makes.
        chart = item_named("figure_13").chart
        changed = {"title": f"{item.title}!"} if part == "title" else {"chart": chart}
        other = Item(**vars(item) | changed)
        monkeypatch.setattr(render, "item_named", {"figure_14": other}.get)
        contents = render._Contents("figure_14", ({"value": 0.1},), "of a task")
    assert contents.digest != before
