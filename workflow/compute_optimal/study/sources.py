"""What a command of the workflow depends on: the code that it imports and the files beside it.

Found in the sources, without importing any: a rule runs again when one of these files changes, and
a graph is built in an environment without an engine.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from compute_optimal.commands import FUNCTIONS

_PACKAGE = Path(__file__).parents[1]
_ROOT = _PACKAGE.parent
_SQL = _ROOT / "sql"
_QUERIES = f"{_PACKAGE.name}.present.query"
"""The module that reads queries: who imports it means queries by their names."""
_ENGINES = f"{_PACKAGE.name}.engines"
"""Left out where it is imported in functions: no rule after the expensive zone opens an engine."""
_BESIDE = (".html", ".css", ".js")


def sources_of(verb: str, notebooks: Iterable[Path] = ()) -> list[Path]:
    """Files that the command ``verb`` depends on, and those behind the cells of ``notebooks``.

    Modules of this package that it may import, over any number of others, in functions too; and
    files that these name: pages, styles and scripts beside them, queries.
    """
    names = {FUNCTIONS[verb].partition(":")[0]}
    for notebook in notebooks:
        names |= _known(_imported(ast.parse(_code_of(notebook))))
    found: set[str] = set()
    while names:
        name = names.pop()
        # Packages on the way to a module are imported too.
        parts = name.split(".")
        every = {".".join(parts[: i + 1]) for i in range(len(parts))}
        new = every - found
        found |= new
        for module in new:
            names |= _module(module).imports - found
    files: set[Path] = set()
    for source in map(_module, found):
        files |= {source.file, *source.beside, *source.statements}
        if _QUERIES in found:
            files |= source.queries
    return sorted(files)


class _Module:
    """One source file: what it imports of this package, and the files that its texts name."""

    def __init__(self, name: str) -> None:
        path = _ROOT.joinpath(*name.split("."))
        self.file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        tree = ast.parse(self.file.read_bytes())
        texts = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        # Workers and lazy calls name modules in texts.
        self.imports = _known([*_imported(tree), *texts])
        short = {text for text in texts if 0 < len(text) < 80 and "\n" not in text}
        self.beside = {
            self.file.parent / text
            for text in short
            if text.endswith(_BESIDE) and (self.file.parent / text).is_file()
        }
        self.statements = {
            _SQL / text for text in short if text.endswith(".sql") and (_SQL / text).is_file()
        }
        self.queries = {file for text in short for file in _queries_named(text)}


@cache
def _module(name: str) -> _Module:
    return _Module(name)


def _queries_named(text: str) -> Iterator[Path]:
    """A query by its name, a file of the folder of queries, or all of one below it."""
    if text in _all_queries():
        yield _SQL / f"{text}.sql"
    elif text.endswith(".sql") and text.removesuffix(".sql") in _all_queries():
        yield _SQL / text
    else:
        yield from (_SQL / f"{name}.sql" for name in _all_queries() if name.startswith(f"{text}/"))


@cache
def _all_queries() -> frozenset[str]:
    return frozenset(
        path.relative_to(_SQL).with_suffix("").as_posix() for path in _SQL.rglob("*.sql")
    )


def _imported(tree: ast.AST, *, in_function: bool = False) -> Iterator[str]:
    """Every name that is imported, but for type checkers; attributes of a module among them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for other in node.orelse:
                yield from _imported(other, in_function=in_function)
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (n for n in names if not (in_function and n.startswith(_ENGINES)))
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from _imported(node, in_function=inside)


def _known(names: Iterable[str]) -> set[str]:
    """Those that are modules of this package."""
    return {name for name in names if name in _all_modules()}


@cache
def _all_modules() -> frozenset[str]:
    paths = (path.relative_to(_ROOT).with_suffix("") for path in _PACKAGE.rglob("*.py"))
    return frozenset(".".join(path.parts).removesuffix(".__init__") for path in paths)


def _code_of(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    # Lines of IPython are no Python.
    return "\n".join(line for text in code for line in text.splitlines() if line[:1] not in "%!")
