"""What the package imports is declared, in pyproject.toml and in the environments' requirements."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow/compute_optimal"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WITH_ENGINES = ("engines", "micro")
INSTALLED = importlib.metadata.packages_distributions()
NAMES = {"yaml": "pyyaml", "fontTools": "fonttools", "vllm": "vllm"}
"""Packages by the module that they install, where no metadata says or several would do."""


def distribution(name: str) -> str:
    """The name of a requirement as registries compare it, without extras and versions."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", name)[0]).lower()


def imports(file: Path) -> Iterator[str]:
    """Packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            modules = [node.module]
        for top in {module.split(".")[0] for module in modules}:
            if top not in sys.stdlib_module_names and top != PACKAGE.name:
                yield distribution(NAMES.get(top) or INSTALLED.get(top, [top])[0])


def imported(*, with_engines: bool) -> set[str]:
    return {
        name
        for file in PACKAGE.rglob("*.py")
        if (file.relative_to(PACKAGE).parts[0] in WITH_ENGINES) == with_engines
        for name in imports(file)
    }


DECLARED = {distribution(name) for name in PROJECT["dependencies"]}
OF_ENGINES = {distribution(name) for name in PROJECT["optional-dependencies"]["engine"]}


def test_what_the_package_imports_is_declared_and_nothing_else() -> None:
    core, engines = imported(with_engines=False), imported(with_engines=True)
    # Templates and tokenizers of checkpoints are read where they can be.
    assert core - {"tokenizers", "transformers"} <= DECLARED
    assert core | engines == DECLARED | OF_ENGINES


def test_what_is_declared_is_asked_for_and_locked() -> None:
    asked = (ROOT / "requirements/core.in").read_text().splitlines()
    locked = (ROOT / "requirements/core.lock").read_text()
    assert {distribution(line) for line in asked if line[:1] not in "#"} >= DECLARED
    assert set(re.findall(r"^([\w.-]+)==", locked, re.MULTILINE)) >= DECLARED
