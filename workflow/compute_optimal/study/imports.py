"""What modules of this package import and name, found in their sources without importing any."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
_ROOT = PACKAGE.parent
_SQL = _ROOT / "sql"
_ENGINES = f"{PACKAGE.name}.engines"
"""Left out where it is imported in functions: no rule after the expensive zone opens an engine."""
_ASSETS = (".html", ".css", ".js")
"""Endings of files that a module reads from its own folder."""


def modules_behind(names: Iterable[str]) -> dict[str, SourceFile]:
    """The modules ``names`` and all of this package that these may import, in functions too, by
    name. ``names``: of modules of this package, in full."""
    modules: dict[str, SourceFile] = {}
    waiting = set(names)
    while waiting:
        # Packages on the way to a module are imported too.
        parts = waiting.pop().split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name not in modules:
                modules[name] = source_file(name)
                waiting |= modules[name].imports - modules.keys()
    _read().keep()
    return modules


class SourceFile:
    """One module: what it imports of this package, and the files that its texts name.

    ``file``: its source. ``imports``: names of modules. ``assets``: pages, styles and scripts in
    its folder. ``statements``: files of ``workflow/sql`` that it names with their suffix.
    ``queries``: those that it names as queries are.
    """

    def __init__(self, name: str) -> None:
        path = _ROOT.joinpath(*name.split("."))
        self.file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        imported, texts = _read().of(self.file.read_bytes())
        # Workers and lazy calls name modules in texts.
        self.imports = known([*imported, *texts])
        self.assets = {
            self.file.parent / text
            for text in texts
            if text.endswith(_ASSETS) and (self.file.parent / text).is_file()
        }
        self.statements = {
            _SQL / text for text in texts if text.endswith(".sql") and (_SQL / text).is_file()
        }
        self.queries = {file for text in texts for file in _queries_named(text)}


_MOST_KEPT = 2000
"""Sources of which is kept what was found; then all begins anew, so that old ones go."""


class _Read:
    """What sources import, and their short texts, by the sha256 of each source.

    To parse all of them took 0.7 s at every start of Snakemake, so what was found is kept beside
    the package's bytecode, where nothing is lost with it.
    """

    def __init__(self) -> None:
        own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
        self._file = PACKAGE / "__pycache__" / f"imports-{own}.json.zlib"
        self._found: dict[str, tuple[list[str], list[str]]] = {}
        self._is_kept = True
        with suppress(OSError, ValueError, TypeError, AttributeError, zlib.error):
            kept = json.loads(zlib.decompress(self._file.read_bytes()))
            if len(kept) < _MOST_KEPT:
                self._found = {source: (names, texts) for source, (names, texts) in kept.items()}

    def of(self, source: bytes) -> tuple[list[str], list[str]]:
        """Names that a source imports, and its texts that may name a file or a module."""
        sha256 = hashlib.sha256(source).hexdigest()
        if sha256 not in self._found:
            tree = ast.parse(source)
            short = {text for text in _texts(tree) if 0 < len(text) < 80 and "\n" not in text}
            self._found[sha256] = sorted({*imported_names(tree)}), sorted(short)
            self._is_kept = False
        return self._found[sha256]

    def keep(self) -> None:
        """Write what was found to where the next process looks, if that can be written."""
        if self._is_kept or sys.dont_write_bytecode:
            return
        unfinished = self._file.with_name(f"{self._file.name}.{uuid.uuid4().hex}")
        with suppress(OSError):
            self._file.parent.mkdir(exist_ok=True)
            # Packed, as bytecode is: who searches the sources for a text finds them alone.
            unfinished.write_bytes(zlib.compress(json.dumps(self._found).encode()))
            unfinished.replace(self._file)
            self._is_kept = True


@cache
def _read() -> _Read:
    """What is known of sources in this process; most that import this module ask for none."""
    return _Read()


def _texts(tree: ast.AST) -> set[str]:
    """All constants in a tree that are texts. Run at every start of Snakemake; ``ast.walk`` is
    slower."""
    texts = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                texts.add(node.value)
            continue
        for child in vars(node).values():
            if isinstance(child, ast.AST):
                waiting.append(child)
            elif isinstance(child, list):
                waiting += [one for one in child if isinstance(one, ast.AST)]
    return texts


@cache
def source_file(name: str) -> SourceFile:
    """The module of this name, read once."""
    return SourceFile(name)


def _queries_named(text: str) -> Iterator[Path]:
    """The files of queries that a text names: a query, with or without its suffix, or all of a
    folder of queries ("claims/")."""
    if text in _all_queries():
        yield _SQL / f"{text}.sql"
    elif text.endswith(".sql") and text.removesuffix(".sql") in _all_queries():
        yield _SQL / text
    elif text.endswith("/"):
        yield from (_SQL / f"{name}.sql" for name in _all_queries() if name.startswith(text))


@cache
def _all_queries() -> frozenset[str]:
    return frozenset(
        path.relative_to(_SQL).with_suffix("").as_posix() for path in _SQL.rglob("*.sql")
    )


def imported_names(tree: ast.AST, *, in_function: bool = False) -> Iterator[str]:
    """Every name that is imported, attributes of a module among them; not what type checkers alone
    import, nor engines in functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):
            # Most of a tree, and nothing is imported in an expression.
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            for other in node.orelse:
                yield from imported_names(other, in_function=in_function)
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (n for n in names if not (in_function and n.startswith(_ENGINES)))
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from imported_names(node, in_function=inside)


def known(names: Iterable[str]) -> set[str]:
    """Those of ``names`` that are modules of this package."""
    return {name for name in names if name in _all_modules()}


@cache
def _all_modules() -> frozenset[str]:
    paths = (path.relative_to(_ROOT).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return frozenset(".".join(path.parts).removesuffix(".__init__") for path in paths)
