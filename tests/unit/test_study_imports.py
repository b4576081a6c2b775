"""What is found in sources, and how it is kept from one process to the next."""

from __future__ import annotations

import ast
import json
import sys
import zlib
from pathlib import Path

import pytest

from compute_optimal.study import imports

SOURCE = b'import compute_optimal.errors\nfrom x import y\nPAGE = "page.html"\nLONG = """a\nb"""\n'
FOUND = (["compute_optimal.errors", "x", "x.y"], ["page.html"])


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(imports, "PACKAGE", tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path


def kept(package: Path) -> Path:
    (file,) = (package / "__pycache__").iterdir()
    return file


def refuse(*_: object) -> None:
    raise AssertionError("a source was parsed again")


def test_a_source_is_parsed_once_and_a_changed_one_again(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = imports._Read()
    assert read.of(SOURCE) == FOUND
    read.keep()
    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", refuse)
        again = imports._Read()
        assert again.of(SOURCE) == FOUND
        with pytest.raises(AssertionError, match="parsed again"):
            again.of(SOURCE.replace(b"errors", b"cli"))
    assert again.of(SOURCE.replace(b"errors", b"cli"))[0][0] == "compute_optimal.cli"
    assert b"page.html" not in kept(package).read_bytes()


@pytest.mark.parametrize(
    "content", [b"", b"{", *map(zlib.compress, [b"[]", b'{"a": 1}', b'{"a": ["b"]}', b"\xff"])]
)
def test_what_is_kept_and_damaged_is_found_anew(package: Path, content: bytes) -> None:
    read = imports._Read()
    read.of(SOURCE)
    read.keep()
    kept(package).write_bytes(content)
    anew = imports._Read()
    assert anew.of(SOURCE) == FOUND
    anew.keep()
    assert len(json.loads(zlib.decompress(kept(package).read_bytes()))) == 1


def test_nothing_is_written_where_python_keeps_no_bytecode(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    read = imports._Read()
    read.of(SOURCE)
    read.keep()
    assert not [*package.iterdir()]
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (package / "__pycache__").write_text("no folder")
    read.keep()
    assert read.of(SOURCE) == FOUND


def test_sources_of_long_ago_are_let_go(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_MOST_KEPT", 3)
    for number in range(5):
        read = imports._Read()
        read.of(b"PAGE = %d" % number)
        read.keep()
        assert len(json.loads(zlib.decompress(kept(package).read_bytes()))) <= 3
