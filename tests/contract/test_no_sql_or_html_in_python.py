"""Statements of SQL are files and pages are templates: none is written in Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "workflow").rglob("*.py"))

STATEMENT = re.compile(
    r"\bselect\b.+\bfrom\b"
    r"|\b(create|drop|alter)\s+(or\s+replace\s+)?(temp\w*\s+)?(table|view|macro|type|schema|index)\b"
    r"|\binsert\s+into\b|\bdelete\s+from\b|\bupdate\s+\w+\s+set\b|\bcomment\s+on\s+(table|column|view)"
    r"|\b(read_parquet|read_csv|unnest)\s*\(",
    re.IGNORECASE | re.DOTALL,
)
BEGINNING = re.compile(
    r"\s*(SELECT|WITH|FROM|INSERT|COPY|SET|RESET|PRAGMA|ATTACH|DETACH|USE|EXPLAIN|DESCRIBE|SUMMARIZE"
    r"|LOAD|INSTALL|CHECKPOINT|BEGIN|COMMIT|ROLLBACK|CALL|EXPORT|IMPORT|VALUES)\b"
)

MARKUP = re.compile(
    r"</(a|b|body|details|div|h[1-6]|head|html|i|li|p|pre|script|section|small|span|style|summary"
    r"|table|tbody|td|th|thead|tr|ul)>|<(br|img|link|meta)\b",
    re.IGNORECASE,
)


def texts(source: str) -> Iterator[tuple[int, str]]:
    """Every text of a module with its line, pieces put together; docstrings are left out."""
    tree = ast.parse(source)
    about: set[ast.AST] = set()
    parts: set[ast.AST] = set()
    for node in ast.walk(tree):
        # A text that is a statement of its own is a docstring, of an attribute too.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            about.add(node.value)
        if isinstance(node, ast.JoinedStr):
            parts |= {part for part in node.values if isinstance(part, ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            pieces = (part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
            yield node.lineno, "".join(map(str, pieces))
        elif isinstance(node, ast.Constant) and node not in about | parts:
            yield node.lineno, str(node.value)


def statements(source: str) -> list[str]:
    return [
        f"line {line}: {text[:60]}"
        for line, text in texts(source)
        if STATEMENT.search(text) or BEGINNING.match(text)
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_statement_is_written_in_python(path: Path) -> None:
    written = statements(path.read_text(encoding="utf-8"))
    assert written == [], "put it into workflow/sql, and read it with analyse.statements"


def test_no_page_is_written_in_python() -> None:
    markup = [
        f"{path.name}, line {line}: {text[:60]}"
        for path in SOURCES
        for line, text in texts(path.read_text(encoding="utf-8"))
        if MARKUP.search(text)
    ]
    assert markup == [], "put it into a template beside the module, and render it with jinja2"


def test_a_tag_would_be_seen() -> None:
    for source in ('print(f"<td>{cell}</td>")', 'X = "<style>" "p {}</style>"', 'Y = "<br>"'):
        assert any(MARKUP.search(text) for _, text in texts(source))


@pytest.mark.parametrize(
    "source",
    [
        'run("SELECT a FROM b")',
        'run("select a "\n    "from b")',
        'run(f"CREATE TABLE {name} AS {query}")',
        'X = """\n    WITH a AS (b) ..."""',
        'run("SET threads = 1")',
        'run("FROM x")',
        'run(f"insert into {table} values (?)")',
    ],
)
def test_a_statement_would_be_seen(source: str) -> None:
    assert statements(source)


@pytest.mark.parametrize(
    "source",
    [
        '"""SELECT a FROM b"""',
        'print("set the folder and run it again")',
        'print("with 3 of them from a file")',
    ],
)
def test_a_sentence_is_no_statement(source: str) -> None:
    assert not statements(source)
