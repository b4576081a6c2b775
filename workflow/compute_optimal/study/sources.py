"""What a command of the workflow depends on: the code that it imports and the files that it reads.

Found in the sources, without importing any: a rule runs again when one of these files changes, and
a graph is built in an environment without an engine.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from compute_optimal.commands import FUNCTIONS
from compute_optimal.study.imports import PACKAGE, imported_names, known, modules_behind

_QUERIES = f"{PACKAGE.name}.present.query"
"""The module that reads queries: who imports it means queries by their names."""


def sources_of(verb: str, notebooks: Iterable[Path] = ()) -> list[Path]:
    """Files that the command ``verb`` depends on, and those behind the cells of ``notebooks``,
    sorted.

    ``verb``: a key of ``commands.FUNCTIONS``. Modules of this package that it may import, over any
    number of others, in functions too (engines alone are left out there); and files that these
    name: pages, styles and scripts in their folders, queries.
    """
    names = {FUNCTIONS[verb].partition(":")[0]}
    for notebook in notebooks:
        names |= known(imported_names(ast.parse(_code_of(notebook))))
    modules = modules_behind(names)
    files: set[Path] = set()
    for source in modules.values():
        files |= {source.file, *source.assets, *source.statements}
        if _QUERIES in modules:
            files |= source.queries
    return sorted(files)


def digest_of(files: Iterable[Path]) -> str:
    """Hexadecimal sha256 of the names and the contents of ``files`` below ``workflow``, in their
    order; the same in every clone."""
    lines = (f"{file.relative_to(PACKAGE.parent).as_posix()} {_digest(file)}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@cache
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _code_of(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    # Lines of IPython are no Python.
    return "\n".join(line for text in code for line in text.splitlines() if line[:1] not in "%!")
