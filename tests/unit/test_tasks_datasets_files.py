"""Published problem sets: the intended bytes, read as they are meant, or a clear refusal."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pooch
import pytest
import requests

from compute_optimal.errors import NotAtHandError, StudyError
from compute_optimal.study.config import TaskEntry, load_study
from compute_optimal.tasks import (
    Problem,
    load_problems,
    task_identity,
)
from compute_optimal.tasks.datasets import load

ROOT = Path(__file__).parents[2]
MIRROR = os.environ.get("MIRROR")

AIME = [
    {
        "problem": "What is $1 + 1$?\u2028",
        "extracted_groundtruth": "002",
        "url": "https://example.org/wiki/index.php/2024_AIME_II_Problems/Problem_15",
    },
    {
        "problem": "What is $5^2$?",
        "extracted_groundtruth": "025",
        "url": "https://example.org/wiki/index.php/2024_AIME_I_Problems/Problem_2",
    },
]
MATH = [
    {
        "problem": "Find $x$.",
        "level": "Level 3",
        "subject": "Algebra",
        "unique_id": "test/algebra/1.json",
        "answer": r"\frac{1}{2}",
        "solution": "…",
    }
]
AMC = [
    {
        "problem": f"Number {answer}?",
        "extracted_groundtruth": answer,
        "url": f"https://example.org/2023_AMC_12A_Problems/Problem_{index}",
    }
    for index, answer in enumerate([27.0, "3159.0", 0.1, -10.0])
]


def content_of(rows: list[dict[str, Any]]) -> bytes:
    # As the published files have them: characters outside ASCII unescaped.
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def entry(kind: str, content: bytes, n_problems: int, **keys: Any) -> TaskEntry:
    fields: dict[str, Any] = {
        "name": "mine",
        "kind": kind,
        "n_problems": n_problems,
        "licence": "MIT",
        "file": "problems.jsonl",
        "sha256": hashlib.sha256(content).hexdigest(),
        "url": "https://example.invalid/commit/problems.jsonl",
    }
    return TaskEntry.model_validate(fields | keys)


@pytest.fixture(autouse=True)
def _no_mirror_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIRROR", raising=False)


def loaded(tmp_path: Path, kind: str, rows: list[dict[str, Any]], **keys: Any) -> list[Problem]:
    content = content_of(rows)
    (tmp_path / "problems.jsonl").write_bytes(content)
    task = entry(kind, content, keys.pop("n_problems", len(rows)), **keys)
    return load(task, mirror=tmp_path, downloads=tmp_path / "downloads")


def test_math500_keeps_id_answer_level_and_subject(tmp_path: Path) -> None:
    (problem,) = loaded(tmp_path, "math500", MATH)
    assert problem == Problem("test/algebra/1.json", "Find $x$.", r"\frac{1}{2}", 3, "Algebra")
    assert problem.problem_hash == hashlib.sha256(b"Find $x$.").hexdigest()[:16]


def test_problems_of_ones_own_have_neither_address_nor_level(tmp_path: Path) -> None:
    rows = [{"unique_id": "1", "problem": "Wieviel ist ½ 🙂?", "answer": r"\frac{1}{2}"}]
    (problem,) = loaded(tmp_path, "math500", rows, url=None)
    assert problem == Problem("1", rows[0]["problem"], rows[0]["answer"], None, None)
    mine = entry("math500", content_of(rows), 1, url=None)
    with pytest.raises(NotAtHandError, match="has no address") as caught:
        load(mine, mirror=None, downloads=tmp_path / "downloads")
    assert str(mine.sha256) in str(caught.value)
    (tmp_path / "problems.jsonl").write_text("another")
    with pytest.raises(StudyError, match="write its sha256 into the registry"):
        load(mine, mirror=tmp_path, downloads=tmp_path / "downloads")


@pytest.mark.parametrize(
    ("content", "n_problems", "expected"),
    [
        (b"", 1, "holds 0 problems"),
        (b"\n \n", 1, "holds 0 problems"),
        (
            b'{"unique_id": "1", "problem": "x", "answer": "1", "answer": "2"}\n',
            1,
            "key stands twice",
        ),
        (b'\n{"unique_id": "1", "problem": "x"}\n', 1, "line 2\n.*mend the line"),
    ],
)
def test_files_of_ones_own_with_nothing_or_too_much_in_them(
    content: bytes, n_problems: int, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "problems.jsonl").write_bytes(content)
    with pytest.raises(StudyError, match=expected):
        load(entry("math500", content, n_problems, url=None), mirror=tmp_path, downloads=tmp_path)


def test_blank_lines_are_no_problems(tmp_path: Path) -> None:
    content = b"\n".join([b"", content_of(MATH).strip(), b" ", b""])
    (tmp_path / "problems.jsonl").write_bytes(content)
    assert len(load(entry("math500", content, 1), mirror=tmp_path, downloads=tmp_path)) == 1


def test_aime_answers_lose_leading_zeros_and_text_stays_whole(tmp_path: Path) -> None:
    first, second = loaded(tmp_path, "aime", AIME)
    assert first == Problem("2024-AIME-II-15", "What is $1 + 1$?\u2028", "2", None, None)
    assert (second.problem_id, second.answer) == ("2024-AIME-I-2", "25")


def test_amc_answers_become_integers_where_they_are(tmp_path: Path) -> None:
    problems = loaded(tmp_path, "amc", AMC)
    assert [problem.answer for problem in problems] == ["27", "3159", "0.1", "-10"]
    assert problems[0].problem_id == "2023-AMC-12A-0"


@pytest.mark.parametrize(
    ("kind", "rows", "n_problems", "expected"),
    [
        ("aime", AIME, 3, ["holds 2 problems", "says 3"]),
        ("aime", [AIME[0], AIME[0]], 2, ["problem id 2024-AIME-II-15 stands 2 times"]),
        ("aime", [AIME[0], AIME[1] | {"problem": AIME[0]["problem"]}], 2, ["problem text", "2 t"]),
        ("aime", [AIME[0] | {"extracted_groundtruth": "x"}], 1, ["line 1", "ValueError"]),
        ("aime", [AIME[0] | {"url": "x"}], 1, ["line 1", "no contest in the address 'x'"]),
        ("math500", [MATH[0] | {"level": "Level ?"}], 1, ["line 1", "level 'Level ?'"]),
        ("math500", AIME, 2, ["line 1", "KeyError: 'unique_id'"]),
        ("math500", [MATH[0] | {"level": 3}], 1, ["line 1", "level 3, and not as in 'Level 3'"]),
        ("amc", [AMC[0] | {"extracted_groundtruth": "x"}], 1, ["line 1", "kind amc"]),
        ("amc", [AMC[0] | {"extracted_groundtruth": float("inf")}], 1, ["line 1", "Overflow"]),
        ("aime", [AIME[0] | {"extracted_groundtruth": 3.7}], 1, ["line 1", "ValueError"]),
        ("math500", [MATH[0] | {"answer": " "}], 1, ["line 1", "answer is blank"]),
        ("math500", [MATH[0] | {"answer": 12}], 1, ["line 1", "answer is blank or no text"]),
        ("math500", [MATH[0] | {"problem": None}], 1, ["line 1", "problem is blank or no text"]),
    ],
)
def test_files_that_are_not_what_the_registry_says(
    tmp_path: Path, kind: str, rows: list[dict[str, Any]], n_problems: int, expected: list[str]
) -> None:
    with pytest.raises(StudyError) as caught:
        loaded(tmp_path, kind, rows, n_problems=n_problems)
    for part in ["problems.jsonl", *expected]:
        assert part in str(caught.value)


def test_a_mirror_is_searched_by_content_under_any_name(tmp_path: Path) -> None:
    content = content_of(AIME)
    (tmp_path / "a.txt").write_bytes(b"other")
    (tmp_path / "folder").mkdir()
    (tmp_path / "z.jsonl").write_bytes(content)
    task = entry("aime", content, 2)
    assert len(load(task, mirror=tmp_path, downloads=tmp_path / "none")) == 2
    # A file of the right name and other content does not hide the right one.
    (tmp_path / "problems.jsonl").write_bytes(b"damaged")
    assert len(load(task, mirror=tmp_path, downloads=tmp_path / "none")) == 2


def test_a_mirror_file_with_another_hash_is_refused_with_both_hashes(tmp_path: Path) -> None:
    task = entry("aime", content_of(AIME), 2)
    (tmp_path / "problems.jsonl").write_bytes(content_of(AIME[:1]))
    with pytest.raises(StudyError) as caught:
        load(task, mirror=tmp_path, downloads=tmp_path / "none")
    text = str(caught.value)
    assert hashlib.sha256(content_of(AIME[:1])).hexdigest() in text
    assert str(task.sha256) in text
    assert str(tmp_path / "problems.jsonl") in text


def test_the_environment_variable_names_a_mirror_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(AIME)
    (tmp_path / "problems.jsonl").write_bytes(content)
    monkeypatch.setenv("MIRROR", str(tmp_path))
    assert len(load(entry("aime", content, 2), mirror=None, downloads=tmp_path / "none")) == 2
    monkeypatch.setenv("MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(StudyError, match=r"not a folder[\s\S]*nowhere"):
        load(entry("aime", content, 2), mirror=None, downloads=tmp_path / "none")


class Server:
    """In place of pooch's downloader: answers with bytes, after some failures."""

    def __init__(self, content: bytes, failures: int = 0) -> None:
        self.content, self.failures, self.calls = content, failures, 0

    def __call__(self, **_: Any) -> Any:
        def download(url: str, output_file: str, _: Any) -> None:
            assert url == "https://example.invalid/commit/problems.jsonl"
            self.calls += 1
            if self.calls <= self.failures:
                raise requests.exceptions.ConnectionError("no route")
            Path(output_file).write_bytes(self.content)

        return download


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.mark.usefixtures("_no_waiting")
def test_a_download_is_tried_again_checked_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(AIME)
    task = entry("aime", content, 2)
    server = Server(content, failures=2)
    monkeypatch.setattr(pooch, "HTTPDownloader", server)
    assert len(load(task, mirror=None, downloads=tmp_path)) == 2
    assert server.calls == 3
    assert len(load(task, mirror=None, downloads=tmp_path)) == 2
    assert server.calls == 3
    # A kept file that was damaged since is fetched again.
    (tmp_path / "problems.jsonl").write_bytes(b"damaged")
    assert len(load(task, mirror=None, downloads=tmp_path)) == 2
    assert server.calls == 4


@pytest.mark.usefixtures("_no_waiting")
def test_without_network_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = entry("aime", content_of(AIME), 2)
    server = Server(b"", failures=99)
    monkeypatch.setattr(pooch, "HTTPDownloader", server)
    with pytest.raises(StudyError) as caught:
        load(task, mirror=None, downloads=tmp_path)
    assert server.calls == 3
    for part in ("cannot download mine", str(task.url), "mirror", str(task.sha256)):
        assert part in str(caught.value)


@pytest.mark.usefixtures("_no_waiting")
def test_a_download_with_another_hash_is_refused_with_both_hashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = entry("aime", content_of(AIME), 2)
    monkeypatch.setattr(pooch, "HTTPDownloader", Server(b"a login page"))
    with pytest.raises(StudyError) as caught:
        load(task, mirror=None, downloads=tmp_path)
    assert hashlib.sha256(b"a login page").hexdigest() in str(caught.value)
    assert str(task.sha256) in str(caught.value)
    assert not (tmp_path / "problems.jsonl").exists()


def test_a_generated_task_needs_no_file_and_is_known_by_its_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    task = load_study("config/config.yaml").task("arithmetic-chains")
    assert task.parameters is not None
    other = task.model_copy(
        update={"parameters": task.parameters.model_copy(update={"seed": 1, "n_problems": 20})}
    )
    problems = load_problems(task, mirror=None, downloads=tmp_path)
    assert len({problem.problem_hash for problem in problems}) == task.n_problems
    assert load_problems(other, mirror=None, downloads=tmp_path) != problems[:20]
    assert task_identity(other) != task_identity(task)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(MIRROR is None, reason="MIRROR names no folder with the published files")
@pytest.mark.parametrize("name", ["MATH-500", "AIME24", "AMC23"])
def test_the_published_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    task = load_study("config/config.yaml").task(name)
    problems = load_problems(task, mirror=Path(str(MIRROR)), downloads=tmp_path)
    assert len(problems) == {"MATH-500": 500, "AIME24": 30, "AMC23": 40}[name]
    by_id = {problem.problem_id: problem for problem in problems}
    if name == "MATH-500":
        levels = Counter(problem.level for problem in problems)
        assert levels == {1: 43, 2: 90, 3: 105, 4: 128, 5: 134}
        assert by_id["test/precalculus/807.json"].answer == r"\left( 3, \frac{\pi}{2} \right)"
    else:
        # Written as a solver writes them: no leading zeros, no ".0".
        assert all(problem.answer == str(int(problem.answer)) for problem in problems)
    if name == "AIME24":
        assert by_id["2024-AIME-I-2"].answer == "25"
        assert set(by_id) == {f"2024-AIME-{k}-{i}" for k in ("I", "II") for i in range(1, 16)}


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"[" * 100_000, "RecursionError"),
        (json.dumps(AIME[0] | {"problem": "half a character: \ud800"}).encode(), "UnicodeEncode"),
    ],
)
def test_lines_that_no_text_can_hold_are_named(tmp_path: Path, content: bytes, error: str) -> None:
    (tmp_path / "problems.jsonl").write_bytes(content)
    with pytest.raises(StudyError, match=f"{error}[\\s\\S]*line 1"):
        load(entry("aime", content, 1), mirror=tmp_path, downloads=tmp_path / "downloads")
