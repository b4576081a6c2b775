"""YAML is read as a person means it, or refused with the place."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_optimal.errors import StudyError
from compute_optimal.study.config.reading import read_mapping, read_overrides


def read(text: str) -> Any:
    """The value of one key, as ``--config`` gives it."""
    return read_overrides([f"key={text}"])["key"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # What YAML 1.1 reads otherwise: no and off as false, 1:30 as 90, a date as no text.
        *((word, word) for word in ("no", "No", "off", "yes", "on", "y", "1:30", "2024-01-01")),
        *((word, word) for word in ("0x10", "0o10", "0b1", "=", "1.2.3", "_1", "12e")),
        *(("true", True), ("False", False), ("~", None), ("null", None), ("", None)),
        *(("0", 0), ("8", 8), ("-5", -5), ("+5", 5), ("1_000", 1000)),
        *(("1e3", 1000.0), ("1E-3", 0.001), (".5", 0.5), ("5.", 5.0), ("1_000.5", 1000.5)),
        *(("'010'", "010"), ('"no"', "no"), ("[4, 16]", [4, 16]), ("{easy: 0.6}", {"easy": 0.6})),
    ],
)
def test_plain_values_are_what_they_look_like(text: str, value: Any) -> None:
    parsed = read(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((number, "octal to some") for number in ("010", "00", "-07", "00.5", "0_1")),
        *((f"!!{tag} x", "constructor") for tag in ("binary", "set", "timestamp", "omap")),
        ("!!python/object/apply:os.system [ls]", "constructor"),
        ("!!bool maybe", "not valid YAML"),
        ("!!int x", "not valid YAML"),
        ("1" * 101, "101 digits"),
        ("{a: 1, a: 2}", "'a' stands twice"),
        ('"\\0"', "character"),
        ('"\\ud800"', "Unicode"),
        ("&a [*a]", "holds itself"),
        ("[" * 200_000 + "]" * 200_000, "levels"),
        ("- " * 200_000, "levels"),
        ("<<", "merge"),
    ],
)
def test_what_can_be_meant_in_two_ways_is_refused(text: str, message: str) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        read(text)
    assert "--config key" in str(caught.value.where)


def test_aliases_of_aliases_end(tmp_path: Path) -> None:
    rows = ["a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        rows.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    (tmp_path / "study.yaml").write_text("\n".join(rows))
    with pytest.raises(StudyError, match="more than 100,000 values"):
        read_mapping(tmp_path / "study.yaml")


@given(st.text(alphabet=string.printable + "é≤\u2028\ud800\x00", max_size=40))
def test_any_text_gives_a_value_or_one_error(text: str) -> None:
    try:
        read(text)
    except StudyError as error:
        said = error.where, error.cure
    else:
        said = ("it", "works")
    assert all(said)


@pytest.mark.parametrize("make", ["mkdir", "touch"])
def test_a_folder_or_nothing_in_the_place_of_a_file(tmp_path: Path, make: str) -> None:
    path = tmp_path / "study.yaml"
    getattr(path, make)()
    if make == "touch":
        assert read_mapping(path) == {}
    else:
        with pytest.raises(StudyError, match="cannot read the file: Is a directory"):
            read_mapping(path)


@pytest.mark.parametrize("assignment", ["budgets", "=3", ""])
def test_an_assignment_needs_a_key_and_a_value(assignment: str) -> None:
    with pytest.raises(StudyError, match="gives no key a value"):
        read_overrides([assignment])


def test_assignments_of_one_mapping_are_merged() -> None:
    given_ = ["difficulty={easy: 0.6}", "difficulty={medium: 0.2}"]
    assert read_overrides(given_) == {"difficulty": {"easy": 0.6, "medium": 0.2}}
