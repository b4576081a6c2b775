"""The borders of the house: who may import whom."""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from compute_optimal import cli
from compute_optimal.commands import FUNCTIONS, OTHER_FUNCTIONS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow" / "compute_optimal"

ZONES = ("generate", "judge", "analyse", "present", "ship")
"""The numbered folders, in the order in which data flow, and what is made of their results."""

COMPOSE = {"cli", "__main__", "commands", "study.plan", "study.sources"}
"""Modules that put the zones together: what a rule asks, and which command answers it."""


@cache
def modules() -> dict[str, Path]:
    """Module (below the package) -> its file."""
    files = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        files[".".join(parts).removesuffix(".__init__").removesuffix("__init__")] = path
    return files


@cache
def imports(path: Path) -> frozenset[str]:
    """All that a file imports, in functions too; names of this package begin with a dot."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(name.removeprefix("compute_optimal") for name in names)


def folder_of(name: str) -> str:
    return name.lstrip(".").split(".")[0]


@pytest.mark.parametrize("name", sorted(set(modules()) - COMPOSE))
def test_no_zone_imports_from_a_later_one(name: str) -> None:
    folder = folder_of(name)
    if folder not in ZONES:
        return
    later = ZONES[ZONES.index(folder) + 1 :]
    imported = {other for other in imports(modules()[name]) if other.startswith(".")}
    assert not {other for other in imported if folder_of(other) in later}


@pytest.mark.parametrize("name", sorted(set(modules()) - COMPOSE))
def test_only_engines_and_training_know_an_engine(name: str) -> None:
    if folder_of(name) in ("engines", "micro"):
        return
    roots = {other.split(".")[0] for other in imports(modules()[name])}
    assert not roots & {"vllm", "torch"}


def test_only_the_configuration_reads_yaml() -> None:
    readers = {name for name, path in modules().items() if "yaml" in imports(path)}
    assert all(name.startswith("study.config") for name in readers), readers


def test_charts_and_tables_import_each_other_one_way_at_most() -> None:
    directions = {
        (importing, imported)
        for importing, imported in (("charts", "tables"), ("tables", "charts"))
        for name, path in modules().items()
        if name.startswith(f"present.{importing}")
        and any(other.startswith(f".present.{imported}") for other in imports(path))
    }
    assert len(directions) <= 1, directions


@pytest.mark.parametrize("name", sorted(n for n in modules() if folder_of(n) == "present"))
def test_no_statistics_are_worked_out_where_they_are_shown(name: str) -> None:
    """Figures, tables and verdicts ask ``analyse`` for numbers with their intervals."""
    imported = imports(modules()[name])
    assert not {other for other in imported if other.startswith(".analyse.statistics")}
    assert not {other for other in imported if other.split(".")[0] in ("scipy", "statistics")}
    called = {
        node.attr
        for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert not called & {"default_rng", "multinomial", "percentile", "quantile", "polyfit", "std"}


def test_only_the_grid_makes_the_specs_of_cells() -> None:
    """Whoever needs a cell iterates ``Grid``: two walks over a study would have to agree."""
    makers = {"sample_spec", "score_spec", "search_spec", "searches"}
    imported = {
        (name, maker)
        for name, path in modules().items()
        for maker in makers
        if f".study.cells.{maker}" in imports(path) or f"cells.{maker}(" in path.read_text()
    }
    assert imported == set()


def test_no_module_lies_beside_the_folders() -> None:
    beside = {path.name for path in PACKAGE.glob("*.py")}
    assert beside == {"__init__.py", "__main__.py", "cli.py", "commands.py", "errors.py"}


def test_every_folder_of_the_picture_is_there() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    folders = {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}
    missing = {name for name in folders if f"`{name}/`" not in text}
    assert not missing, f"README.md does not say what is in {sorted(missing)}"


def test_every_verb_is_one_call_of_a_function_with_its_options() -> None:
    """``cli`` parses; what options name (a request, a store, a study) are arguments."""
    named = {"spec": "request", "config": "study", "configs": "studies", "store": "storage"}
    (verbs,) = (action for action in cli._parser()._actions if action.choices)
    functions = FUNCTIONS | OTHER_FUNCTIONS
    assert {*verbs.choices} == {*functions}
    for verb, parser in verbs.choices.items():
        module, _, name = functions[verb].partition(":")
        options = {action.dest for action in parser._actions} - {"help"}
        # Which items a study is narrowed to is part of naming it.
        arguments = {named.get(option, option) for option in options - {"items"}}
        if "store" in options:
            arguments -= {*cli._STORAGE, *cli._CONFIGURATION}
        function = getattr(import_module(module), name)
        assert arguments == {*signature(function).parameters}, verb
