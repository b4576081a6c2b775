"""Files of a collection: from a mirror, from before, or from their commit, whatever goes wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import polars as pl
import pytest
from drawn_cases import drawn

from compute_optimal.adopt import Adoption, collection, files, tokens
from compute_optimal.adopt.tokens import token_counter
from compute_optimal.analyse import database
from compute_optimal.errors import StudyError
from compute_optimal.judge import answers as judge
from compute_optimal.ship.expected import graded_anew
from compute_optimal.ship.verify import Check, verdicts_graded_anew
from compute_optimal.store import sharing
from compute_optimal.store.partitions import Store
from compute_optimal.store.places import partition
from compute_optimal.store.sharing import publish
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import (
    ADOPTED_TABLES,
    Collection,
    adopted_spec,
    collections,
    graders,
    task_spec,
)
from compute_optimal.study.config import AdoptedEntry, TaskEntry, load_study
from compute_optimal.study.coverage import not_adopted
from compute_optimal.study.requests import AdoptedScores, Graded
from compute_optimal.study.spec import verdicts_spec
from compute_optimal.tasks import Problem

COMMIT = "c" * 40
STEM = "owner--name-ccccccc"
NOWHERE = "http://127.0.0.1:9/{repository}/{commit}/{path}"
"""Nobody listens there."""
PROBLEMS = [
    Problem("sum", "What is $2+2$?", "4", 1, "Algebra"),
    Problem("power", "What is $2^3$?", "8", 3, "Number Theory"),
]


def line(number: int, *answers: str) -> bytes:
    texts = [f"Way {n}.\n\nSo \\boxed{{{answer}}}." for n, answer in enumerate(answers)]
    row = {
        "problem": PROBLEMS[number].problem,
        "completions": texts,
        "scores": [[0.25, 1.0], [0.5, 0.5], [0.5, 0.75]][: len(texts)],
        "completion_tokens": [10] * len(texts),
    }
    return json.dumps(row).encode() + b"\n"


CONTENTS = {
    "run/pool.jsonl": line(0, "4", "5", "4.0") + line(1, "8", "7", "2^3"),
    "run/one more.jsonl": line(0, "3", "3", "3") + line(1, "6", "6", "6"),
    "run/beam.jsonl": line(0, "4", "4", "5"),
}


def entry_of(
    contents: dict[str, bytes] = CONTENTS, *, address: str | None = None, **changes: Any
) -> AdoptedEntry:
    return AdoptedEntry.model_validate(
        {
            "name": "mine",
            "licence": "MIT",
            "task": "MATH-500",
            "policy": "tiny",
            "prm": "prm",
            "variant": "search-and-learn",
            "source": "https://github.com/owner/name",
            "commit": COMMIT,
            "address": address,
            "reader": "search_and_learn",
            "files": [
                {
                    "path": path,
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "method": "beam_search" if "beam" in path else "best_of_n",
                    "budget": 3,
                }
                for path, content in contents.items()
            ],
            **changes,
        }
    )


def archive(path: Path, contents: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:xz") as file:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, BytesIO(content))
    return path


class Repository:
    """A server of raw files that can be told to fail."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.contents = dict(CONTENTS)
        self.broken_after: int | None = None
        self.pause = 0.0
        self.ranges = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                _, _, _, commit, *parts = self.path.split("/")
                path = "/".join(parts).replace("%20", " ")
                asked = self.headers["Range"]
                outer.asked.append((path, asked))
                content = outer.contents.get(path)
                if commit != COMMIT or content is None:
                    self.send_error(404)
                    return
                start = int(asked[6:-1]) if asked and outer.ranges else 0
                if start and start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                if outer.broken_after is not None:
                    self.wfile.write(content[start : start + outer.broken_after])
                    self.wfile.flush()
                    outer.broken_after = None
                    self.close_connection = True
                    self.connection.close()
                    return
                for position in range(start, len(content), 50):
                    try:
                        self.wfile.write(content[position : position + 50])
                        self.wfile.flush()
                    except OSError:
                        return
                    time.sleep(outer.pause)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = (
            f"http://127.0.0.1:{self.server.server_port}/{{repository}}/{{commit}}/{{path}}"
        )
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setattr(files, "_PAUSE", 0.01)
    served = Repository()
    yield served
    served.server.shutdown()
    served.server.server_close()


def contents_of(given: list[files.GivenFile]) -> dict[str, bytes]:
    return {file.entry.path: file.content for file in given}


def test_archives_and_folders_of_the_mirror_are_read_without_a_network(tmp_path: Path) -> None:
    entry = entry_of(address=NOWHERE)
    stray = {"../out": b"x", **CONTENTS, "other": b"y"}
    packed, folder = tmp_path / "packed", tmp_path / "folder"
    archive(packed / "rollouts" / f"{STEM}.tar.xz", stray)
    for path, content in CONTENTS.items():
        (folder / STEM / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / STEM / path).write_bytes(content)
    for mirror in (packed, folder):
        assert contents_of(files.rollout_files(entry, mirror, None, tmp_path / "d")) == CONTENTS
    assert not (tmp_path / "d").exists()
    dotted = archive(tmp_path / "x.tar.xz", {f"./{path}": c for path, c in CONTENTS.items()})
    assert contents_of(files.rollout_files(entry, None, dotted)) == CONTENTS


def test_other_bytes_are_refused_and_named(tmp_path: Path) -> None:
    wrong = {**CONTENTS, "run/pool.jsonl": b"something else"}
    archive(tmp_path / f"{STEM}.tar.xz", wrong)
    entry = entry_of(address=NOWHERE)
    with pytest.raises(StudyError, match="1 of 3 files cannot be had") as caught:
        files.rollout_files(entry, tmp_path, None, tmp_path / "d")
    for part in (
        "run/pool.jsonl",
        hashlib.sha256(b"something else").hexdigest(),
        entry.files[0].sha256,
    ):
        assert part in str(caught.value)
    lacking = archive(tmp_path / "lacking.tar.xz", {"run/beam.jsonl": CONTENTS["run/beam.jsonl"]})
    with pytest.raises(StudyError, match="2 of 3 files"):
        files.rollout_files(entry, None, lacking)


def test_files_are_fetched_once_each(repository: Repository, tmp_path: Path) -> None:
    entry = entry_of(address=repository.address)
    for _ in range(2):
        given = files.rollout_files(entry, None, None, tmp_path)
        assert contents_of(given) == CONTENTS
    assert [path for path, _ in repository.asked] == list(CONTENTS)
    assert (tmp_path / STEM / "run" / "one more.jsonl").read_bytes() == CONTENTS[
        "run/one more.jsonl"
    ]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_cut_off_goes_on(
    repository: Repository, tmp_path: Path, ranges: bool
) -> None:
    repository.broken_after, repository.ranges = 60, ranges
    entry = entry_of(address=repository.address)
    assert contents_of(files.rollout_files(entry, None, None, tmp_path)) == CONTENTS
    first = [asked for path, asked in repository.asked if path == "run/pool.jsonl"]
    assert first == [None, "bytes=60-"]
    assert not list(tmp_path.rglob("*.part"))


def test_a_half_of_another_session_goes_on(repository: Repository, tmp_path: Path) -> None:
    half = tmp_path / STEM / "run" / "pool.jsonl.part"
    half.parent.mkdir(parents=True)
    for content in (CONTENTS["run/pool.jsonl"][:100], CONTENTS["run/pool.jsonl"]):
        half.write_bytes(content)
        half.with_name("pool.jsonl").unlink(missing_ok=True)
        given = files.rollout_files(entry_of(address=repository.address), None, None, tmp_path)
        assert contents_of(given) == CONTENTS
    assert ("run/pool.jsonl", "bytes=100-") in repository.asked


def test_a_half_of_something_else_is_thrown_away(repository: Repository, tmp_path: Path) -> None:
    half = tmp_path / STEM / "run" / "pool.jsonl.part"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"x" * 100)
    given = files.rollout_files(entry_of(address=repository.address), None, None, tmp_path)
    assert contents_of(given) == CONTENTS


def test_one_message_names_all_that_is_missing_and_the_rest_is_kept(
    repository: Repository, tmp_path: Path
) -> None:
    del repository.contents["run/pool.jsonl"]
    repository.contents["run/beam.jsonl"] = b"changed"
    entry = entry_of(address=repository.address)
    with pytest.raises(StudyError, match="2 of 3 files cannot be had") as caught:
        files.rollout_files(entry, None, None, tmp_path)
    assert "answers 404" in str(caught.value)
    assert hashlib.sha256(b"changed").hexdigest() in str(caught.value)
    # Neither is asked for in vain again and again.
    assert len(repository.asked) <= 4
    kept = [p.name for p in tmp_path.rglob("*") if p.is_file()]
    assert kept == ["one more.jsonl"]


def test_a_repository_that_is_too_slow(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_TIMEOUT", 0.2)
    monkeypatch.setattr(files, "_ATTEMPTS", 2)
    repository.pause = 0.15
    entry = entry_of({"run/pool.jsonl": CONTENTS["run/pool.jsonl"]}, address=repository.address)
    with pytest.raises(StudyError, match="too slow"):
        files.rollout_files(entry, None, None, tmp_path)
    repository.pause = 5.0
    with pytest.raises(StudyError, match="bytes are kept"):
        files.rollout_files(entry, None, None, tmp_path)
    # What came is not lost: the next session asks for the rest only.
    monkeypatch.setattr(files, "_TIMEOUT", 10.0)
    repository.pause = 0
    files.rollout_files(entry, None, None, tmp_path)
    assert repository.asked[-1][1] is not None


def test_a_repository_that_nobody_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PAUSE", 0.0)
    with pytest.raises(StudyError, match="ConnectionError") as caught:
        files.rollout_files(entry_of(address=NOWHERE), None, None, tmp_path)
    assert f"{STEM}.tar.xz" in str(caught.value)


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "a/../../b", "a\\b"])
def test_paths_that_lead_out_are_no_paths_of_a_repository(path: str) -> None:
    with pytest.raises(ValueError, match=r"path|pattern"):
        entry_of({path: b"x"})


@pytest.mark.parametrize(
    "changes",
    [
        {"commit": None},
        {"reader": None},
        {"files": []},
        {"policy": None},
        {"file": "x.tar.gz", "sha256": "0" * 64},
        {"reader": "official"},
        {"files": [], "listing": "x.sha256", "sha256": "0" * 64},
        {"files": [], "listing": "x.sha256", "reader": "official"},
    ],
)
def test_an_entry_has_one_whole_origin(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"origin|whose"):
        entry_of(**changes)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"address": "https://example.org/{repository}/{commit}/{path}"}, None),
        ({"address": "https://example.org/owner/name/raw/{commit}/{path}?download=1"}, None),
        ({"address": f"https://example.org/owner/name/raw/{COMMIT}/{{path}}"}, None),
        ({"source": "https://www.github.com/owner/name.git"}, None),
        ({"address": "https://example.org/other/name/{commit}/{path}"}, "leads elsewhere"),
        ({"address": "https://example.org/{repository}/main/{path}"}, "leads elsewhere"),
        ({"address": f"https://example.org/{{repository}}/{'d' * 40}/{{path}}"}, "leads elsewhere"),
        ({"source": "https://example.org/owner/name"}, "source is not on GitHub"),
        ({"address": "https://example.org/{owner}/{commit}/{path}"}, "other names in braces"),
        ({"address": "https://example.org/{repository}/{commit}/{path}/{"}, "other names in br"),
        ({"address": "https://example.org/{repository}/{commit}/{path}{0}"}, "other names in br"),
        ({"address": "https://example.org/{path.x}/{commit}/{path}"}, "other names in braces"),
    ],
)
def test_files_are_fetched_from_the_origin_that_their_rows_name(
    changes: dict[str, Any], complaint: str | None
) -> None:
    if complaint is None:
        assert "/a%20b" in entry_of(**changes).address_of("a b")
        return
    with pytest.raises(ValueError, match=complaint):
        entry_of(**changes)


# --- many files, listed as sha256sum does ---------------------------------------------------------


def listed(folder: Path, contents: dict[str, bytes], **changes: Any) -> AdoptedEntry:
    """An entry whose files, below ``folder`` of its repository, are listed."""
    listing = folder / "mine.sha256"
    listing.write_text(
        "".join(f"{hashlib.sha256(c).hexdigest()}  ./{path}\n" for path, c in contents.items())
    )
    origin = {"reader": "official", "folder": "run", "listing": "x", "sha256": "0" * 64}
    entry = entry_of(**{**origin, "files": [], "variant": "paper", **changes})
    return entry.model_copy(update={"listing": str(listing)})


SHORT = {path.removeprefix("run/"): content for path, content in CONTENTS.items()}


def test_listed_files_are_had_like_all_others_under_the_names_of_the_listing(
    repository: Repository, tmp_path: Path
) -> None:
    entry = listed(tmp_path, SHORT, address=repository.address, file="kept elsewhere.tar.xz")
    expected = [(f"./{path}", content) for path, content in SHORT.items()]
    archive(tmp_path / "whole" / f"{STEM}.tar.xz", CONTENTS)
    archive(tmp_path / "from it" / "kept elsewhere.tar.xz", {f"./{k}": v for k, v in SHORT.items()})
    for path, content in CONTENTS.items():
        place = tmp_path / "folder" / "rollouts" / STEM / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    for mirror in ("whole", "from it", "folder"):
        had = files.listed_files(entry, tmp_path / mirror, None, tmp_path / "none")
        assert [(member.name, member.content) for member in had] == expected, mirror
    assert not repository.asked
    fetched = files.listed_files(entry, None, None, tmp_path / "downloads")
    assert [(member.name, member.content) for member in fetched] == expected
    assert sorted(path for path, _ in repository.asked) == sorted(CONTENTS)


def test_a_repository_that_gives_nothing_is_not_asked_for_every_file(
    repository: Repository, tmp_path: Path
) -> None:
    entry = listed(tmp_path, {f"{i}.jsonl": b"{}" for i in range(40)}, address=repository.address)
    with pytest.raises(StudyError) as caught:
        list(files.listed_files(entry, None, None, tmp_path / "downloads"))
    message = str(caught.value)
    assert "40 of 40 files cannot be had" in message
    assert message.count("answers 404") == len(repository.asked) == 10
    assert "and 30 that were not asked for any more" in message


@pytest.mark.parametrize("line", ["", "0" * 64, "x  a.jsonl", f"{'0' * 64}  ../a.jsonl"])
def test_a_listing_that_is_none(tmp_path: Path, line: str) -> None:
    path = tmp_path / "x.sha256"
    path.write_text(f"{'1' * 64}  b.jsonl\n{line}\n")
    with pytest.raises(StudyError, match="line 2"):
        files.read_listing(path)
    with pytest.raises(StudyError, match="cannot read the listing"):
        files.read_listing(tmp_path / "y.sha256")


# --- into the store, and judged -------------------------------------------------------------------

TASK = TaskEntry(
    name="MATH-500", licence="MIT", kind="math500", n_problems=2, url="https://example.org/x",
    sha256="0" * 64, file="x",
)  # fmt: skip


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr(Storage, "problems", lambda *_: PROBLEMS)
    registry: Any = SimpleNamespace()
    archive(tmp_path / f"{STEM}.tar.xz", CONTENTS)
    return Storage(Store(tmp_path / "store"), lambda: registry, dict, mirror=tmp_path)


def test_every_row_says_where_it_comes_from_and_twice_gives_the_same_bytes(
    storage: Storage,
) -> None:
    entry = entry_of()
    report = collection.adopt(entry, TASK, storage, None)
    assert report.startswith("mine:\nMethod variant: search-and-learn.\n")
    cell = partition(storage.store, adopted_spec(entry))
    parts = {table: cell.parts(table) for table in ADOPTED_TABLES}
    assert {table for table, files in parts.items() if files} == {
        "adopted_samples", "adopted_paths", "adopted_files",
    }  # fmt: skip
    collection.adopt(entry, TASK, storage, None)
    assert {table: cell.parts(table) for table in ADOPTED_TABLES} == parts
    for table in ("adopted_samples", "adopted_paths"):
        rows = cell.read(table)
        assert set(rows["source"]) == {"https://github.com/owner/name"}
        assert set(rows["commit"]) == {COMMIT}
        assert rows["record_sha256"].str.len_chars().unique().to_list() == [64]
        assert not any(
            kind == pl.String and rows[name].str.contains("Way").any()
            for name, kind in rows.schema.items()
        )
    first = cell.read("adopted_samples").filter(problem_id="sum", sample_index=0).row(0, named=True)
    assert first["member"] == "run/pool.jsonl, row 0"
    raw = CONTENTS["run/pool.jsonl"].split(b"\n")[0]
    assert first["record_sha256"] == hashlib.sha256(raw).hexdigest()


def test_a_score_of_one_is_above_all_and_not_lost(storage: Storage) -> None:
    entry = entry_of()
    collection.adopt(entry, TASK, storage, None)
    spec = adopted_spec(entry)
    (scores,) = judge.scores_of_adopted(AdoptedScores(prm="prm", spec=spec), storage).values()
    margins = scores.filter(problem_id="sum")["margins"].to_list()
    assert margins[0] == [pytest.approx(-1.0986123), float("inf")]
    assert margins[1] == [0.0, 0.0]


def test_tokens_that_were_counted_again_are_marked(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = {"run/beam.jsonl": CONTENTS["run/beam.jsonl"].replace(b"10, 10, 10", b"0, 0, 0")}
    archive(tmp_path / f"{STEM}.tar.xz", silent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    entry = entry_of(silent, tokenizer="llama3_2")
    report = collection.adopt(entry, TASK, storage, None)
    assert "Tokens are not counted again" in report
    spec = adopted_spec(entry)
    answers = judge.answers_of_adopted(spec, storage)
    assert answers.select("n_tokens", "retokenised").unique().rows() == [(None, False)]
    monkeypatch.setattr(collection, "token_counter", lambda *_: (len, ""))
    collection.adopt(entry, TASK, storage, None)
    answers = judge.answers_of_adopted(spec, storage)
    assert answers["retokenised"].to_list() == [True] * 3
    assert answers["n_tokens"].to_list() == [len("Way 0.\n\nSo \\boxed{4}.")] * 3


@pytest.mark.parametrize("place", ["mirror", "user", "hub"])
def test_a_tokenizer_is_found_by_its_content_wherever_it_lies(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b'{"model": {"type": "BPE"}}'
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setitem(tokens._FILES, "qwen2_5", hashlib.sha256(content).hexdigest())
    mirror = tmp_path / "mirror"
    at = {
        "mirror": mirror / "tokenizers/qwen2_5",
        "user": tmp_path / "user/compute-optimal/qwen2_5",
        "hub": tmp_path / "hub/models--Qwen--Qwen2.5-7B/snapshots/0a1b",
    }[place]
    at.mkdir(parents=True)
    (at / "tokenizer.json").write_bytes(b"{}")
    assert tokens.tokenizer_file("qwen2_5", mirror) is None
    if place == "hub":
        (at.parents[1] / "blobs").mkdir()
        blob = at.parents[1] / "blobs/c0"
        blob.write_bytes(content)
        (at / "tokenizer.json").unlink()
        (at / "tokenizer.json").symlink_to(blob)
    else:
        (at / "tokenizer.json").write_bytes(content)
    path = tokens.tokenizer_file("qwen2_5", mirror)
    assert path is not None
    assert path.read_bytes() == content


def request_of(grader: str = "grader/1") -> Graded:
    return Graded(
        task={"name": "MATH-500"},
        problems=None,
        grader=grader,
        other_graders=("official/1",),
        seconds=10,
    )


def test_verdicts_are_made_once_a_version_of_the_grader(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entry_of()
    collection.adopt(entry, TASK, storage, None)
    spec, request, facts = adopted_spec(entry), request_of(), storage.facts(TASK, None)
    answers = judge.answers_of_adopted(spec, storage)
    calls: list[int] = []
    real = judge.verdicts_on

    def counting(*args: Any, **options: Any) -> pl.DataFrame:
        calls.append(1)
        return real(*args, **options)

    monkeypatch.setattr(judge, "verdicts_on", counting)

    def verdicts(request: Graded, storage: Storage = storage) -> pl.DataFrame:
        return judge.stored_verdicts(spec, request, storage, facts, answers, workers=1)

    made = verdicts(request)
    assert verdicts(request).equals(made)
    assert len(calls) == 1
    graded = judge.with_verdicts(answers, made)
    assert graded.equals(judge.grade_answers(facts, answers, seconds=10, workers=1))
    assert graded.filter(pool="evaluation", answer="4.0")["correct"].to_list() == [True]
    # Another grader, other answers, or a reviewer who grades anew: all of it is graded.
    calls.clear()
    verdicts(request_of("grader/2"))
    fewer = answers.filter(pl.col("answer") != "5")
    judge.stored_verdicts(spec, request, storage, facts, fewer, workers=1)
    anew = Storage(storage.store, storage.read_registry, dict, verdicts="anew")
    verdicts(request, anew)
    assert len(calls) == 3


def test_an_edited_verdict_is_found(storage: Storage, tmp_path: Path) -> None:
    entry = entry_of()
    collection.adopt(entry, TASK, storage, None)
    facts = storage.facts(TASK, None)
    study: Any = SimpleNamespace(
        adopted=("mine",),
        adopted_collection=lambda _: entry,
        task=lambda _: TASK,
        tasks=(),
        policies=(),
        store=SimpleNamespace(writable=tmp_path / "own", shipped=tmp_path / "shipped"),
        grading=SimpleNamespace(seconds=10.0),
    )
    adopted = adopted_spec(entry)
    spec = verdicts_spec(adopted, task_spec(TASK)["task"], **graders(study))
    answers = judge.answers_of_adopted(adopted, storage)
    made = judge.verdicts_on(facts, answers, seconds=10, workers=1)

    def ship(verdicts: pl.DataFrame) -> list[Check]:
        shutil.rmtree(tmp_path / "shipped", ignore_errors=True)
        ready = Store(tmp_path / "ready")
        shutil.rmtree(tmp_path / "ready", ignore_errors=True)
        partition(ready, spec).append("verdicts", verdicts)
        publish([(partition(ready, spec), ("verdicts",))], str(tmp_path / "shipped"))
        return verdicts_graded_anew(study, tmp_path)

    partition(graded_anew(tmp_path), spec).append("verdicts", made)
    (good,) = ship(made)
    assert (good.passed, good.subject) == (True, "verdicts on mine, made anew")
    lie = pl.when(answer="5", grader="own").then(pl.lit(True)).otherwise("correct")
    (bad,) = ship(made.with_columns(correct=lie))
    assert not bad.passed
    assert bad.remarks == ("own grader, sum, '5': True (graded) as shipped, and not so anew",)
    (fewer,) = ship(made.head(2))
    assert "2 verdicts ship" in fewer.remarks[0]
    shutil.rmtree(tmp_path / "shipped")
    (none,) = verdicts_graded_anew(study, tmp_path)
    assert "make ship" in none.remarks[0]


def test_sources_of_one_policy_are_named_apart() -> None:
    study = load_study(
        "config/public.yaml",
        {"adopted": ["zeroeval-llama-3.1-8b", "henro25-llama-3.1-8b", "rewardmath"]},
    )
    assert [(entry.task, entry.policy, entry.name) for entry in collections(study)] == [
        ("MATH-500", "Llama-3.1-8B-Instruct--zeroeval-llama-3.1-8b", "zeroeval-llama-3.1-8b"),
        ("MATH-500", "Llama-3.1-8B-Instruct--henro25-llama-3.1-8b", "henro25-llama-3.1-8b"),
        ("MATH-500", None, "rewardmath"),
    ]
    alone = load_study("config/public.yaml", {"adopted": ["henro25-llama-3.1-8b"]})
    assert [entry.policy for entry in collections(alone)] == ["Llama-3.1-8B-Instruct"]


def test_one_collection_that_cannot_be_had_does_not_keep_the_others(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "DOWNLOADS", tmp_path / "downloads")
    good, bad = (
        entry_of(),
        entry_of(name="bad", commit="d" * 40, address=NOWHERE),
    )
    monkeypatch.setattr(files, "_PAUSE", 0.0)
    monkeypatch.setattr(Storage, "of", lambda *_: storage)
    study: Any = SimpleNamespace(
        adopted=("bad", "mine"),
        adopted_collection={"bad": bad, "mine": good}.__getitem__,
        task=lambda _: TASK,
    )
    reports = []
    with pytest.raises(StudyError, match="3 of 3 files cannot be had"):
        reports += collection.adopt_all(study, [], None)
    assert partition(storage.store, adopted_spec(good)).parts("adopted_samples")
    with pytest.raises(StudyError, match="which collection"):
        list(collection.adopt_all(study, [], Path("x")))


def test_a_source_that_is_not_there_is_said_before_problems_are_looked_for(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Storage, "of", lambda *_: storage)
    study: Any = SimpleNamespace(adopted=("mine",))
    with pytest.raises(StudyError, match="no such file or folder"):
        list(collection.adopt_all(study, ["mine"], tmp_path / "absent"))


def test_an_error_of_a_file_names_its_collection(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(entry: AdoptedEntry, *_: Any) -> str:
        where = "run/0.jsonl" if entry.name == "one" else f"collection {entry.name}"
        raise StudyError("no record of the expected schema", where=where, cure="correct it")

    monkeypatch.setattr(collection, "adopt", refused)
    monkeypatch.setattr(Storage, "of", lambda *_: storage)
    entries = {name: entry_of(name=name) for name in ("one", "other")}
    study: Any = SimpleNamespace(
        adopted=("one", "other"), adopted_collection=entries.__getitem__, task=lambda _: TASK
    )
    with pytest.raises(StudyError) as caught:
        list(collection.adopt_all(study, [], None))
    assert "  where: one: run/0.jsonl\n  do:    correct it" in str(caught.value)
    assert "  where: collection other\n" in str(caught.value)


KILLED = """
import os, signal, sys
from pathlib import Path
from compute_optimal.adopt import collection
from compute_optimal.store import partitions
from compute_optimal.store.partitions import Store
from compute_optimal.store.storage import Storage
sys.path[:0] = {tests!r}
from test_adopt_files import PROBLEMS, TASK, entry_of

Storage.problems = lambda *_: PROBLEMS
last, writing = int(sys.argv[2]), partitions.write_part
written = []

def killed(folder, table, *rest, **options):
    # Parts of the collection count; that of its problems is written before.
    if table.startswith("adopted") and len(written) == last:
        os.kill(os.getpid(), signal.SIGKILL)
    if table.startswith("adopted"):
        written.append(table)
    return writing(folder, table, *rest, **options)

partitions.write_part = killed
folder = Path(sys.argv[1])
storage = Storage(Store(folder / sys.argv[3]), lambda: None, dict, mirror=folder)
for name in sys.argv[4:]:
    collection.adopt(entry_of(name=name), TASK, storage, None)
"""


def adopting(folder: Path, store: str, *names: str, last: int = -1) -> subprocess.Popen[bytes]:
    """A process that adopts collections; it is killed before it writes part ``last`` of them."""
    program = KILLED.format(tests=[*map(str, Path(__file__).parents[:2])])
    arguments = [str(folder), str(last), store, *names]
    return subprocess.Popen([sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE)


def stored_files(store: Path) -> dict[str, bytes]:
    """Name -> content of all that a reader of the store finds there."""
    found = (path for path in store.rglob("*") if path.is_file())
    named = {path.relative_to(store).as_posix(): path.read_bytes() for path in found}
    return {name: content for name, content in named.items() if "/." not in f"/{name}"}


@pytest.mark.parametrize("last", range(3))
def test_a_collection_whose_adoption_was_killed_is_not_there(
    last: int, storage: Storage, tmp_path: Path
) -> None:
    """Its samples alone would be shown without its searches and without what was found wrong."""
    entry = entry_of()
    killed = adopting(tmp_path, "store", "mine", last=last)
    assert killed.wait() == -signal.SIGKILL, killed.communicate()
    mine = Collection(entry, entry.policy, adopted_spec(entry))
    assert not_adopted([mine], storage.store) == ("mine",)
    assert not [name for name in stored_files(tmp_path / "store") if name.startswith("adopted/")]
    again, alone = adopting(tmp_path, "store", "mine"), adopting(tmp_path, "alone", "mine")
    assert [again.wait(), alone.wait()] == [0, 0], again.communicate()
    assert not_adopted([mine], storage.store) == ()
    assert stored_files(tmp_path / "store") == stored_files(tmp_path / "alone")


@pytest.mark.usefixtures("storage")
def test_processes_that_adopt_at_once_leave_what_one_alone_leaves(tmp_path: Path) -> None:
    names = ["one", "two", "three"]
    alone = adopting(tmp_path, "alone", *names)
    assert alone.wait() == 0, alone.communicate()
    at_once = [
        adopting(tmp_path, "store", *names),
        adopting(tmp_path, "store", *names),
        adopting(tmp_path, "store", *reversed(names)),
        adopting(tmp_path, "store", "two", last=2),
    ]
    statuses = [process.wait() for process in at_once]
    assert statuses == [0, 0, 0, -signal.SIGKILL], [p.communicate() for p in at_once]
    assert stored_files(tmp_path / "store") == stored_files(tmp_path / "alone")


def test_a_collection_is_fetched_whole_or_not_at_all(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, receiver = entry_of(), Store(tmp_path / "receiver")
    collection.adopt(entry, TASK, storage, None)
    cell = partition(storage.store, adopted_spec(entry))
    publish([(cell, ADOPTED_TABLES)], str(tmp_path / "published"))
    reading, begun = sharing._Remote._chunks, list[str]()

    def cut(self: Any, name: str) -> Iterator[bytes]:
        begun.append(name)
        if len(begun) == 3:
            raise StudyError("cannot read: the connection is gone")
        return reading(self, name)

    monkeypatch.setattr(sharing._Remote, "_chunks", cut)
    there = [(receiver.like(cell), ADOPTED_TABLES)]
    with pytest.raises(StudyError, match="the connection is gone"):
        sharing.fetch(there, str(tmp_path / "published"))
    assert not list((tmp_path / "receiver").rglob("*.parquet"))
    monkeypatch.undo()
    assert sharing.fetch(there, str(tmp_path / "published")).n_parts == 3
    theirs = {path.name for path in (tmp_path / "store" / cell.directory).iterdir()}
    assert {path.name for path in (tmp_path / "receiver" / cell.directory).iterdir()} == theirs
    # Nor is what was left half, as an earlier version could leave it, in the way.
    lost = next((tmp_path / "receiver" / cell.directory).glob("adopted_files-*"))
    lost.unlink()
    assert sharing.fetch(there, str(tmp_path / "published")).n_parts == 1
    assert lost.exists()


# --- what ships -----------------------------------------------------------------------------------


def traces() -> list[str]:
    """The statements of README.md that go from a number to its records."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    text = readme.split("From a number to the records behind it")[1].split("```")[1]
    return [part for part in text.removeprefix("sql").split(";") if part.strip()]


def test_numbers_are_traced_to_records_by_the_statements_of_the_readme(tmp_path: Path) -> None:
    """On all that ships: every answer has one record, and the records are those of the store."""
    study = load_study(Path(__file__).parents[2] / "config" / "public.yaml")
    storage = Storage.of(study)
    tables = database._adopted(study, storage)
    answers = pl.concat(
        judge.answers_of_adopted(entry.spec, storage).with_columns(policy=pl.lit(entry.policy))
        for entry in collections(study)
        if entry.policy is not None
    ).with_columns(correct=pl.lit(None, pl.Boolean))
    with duckdb.connect() as connection:
        for name, rows in {**tables, "answers": answers}.items():
            rows.write_parquet(tmp_path / f"{name}.parquet")
            connection.read_parquet(str(tmp_path / f"{name}.parquet")).create(name)
        of_samples, of_paths, of_solutions = traces()
        mine = answers.filter(policy="Llama-3.1-8B-Instruct-AWQ-INT4--mert-cemri-llama-3.1-8b")
        for statement, asked in (
            (of_samples, mine.filter(pool="evaluation")),
            (of_paths, mine.filter(method="beam_search")),
        ):
            records = connection.execute(statement).fetchall()
            assert len(records) == asked.height > 0
            assert all(None not in row[3:] for row in records)
        solutions = connection.execute(of_solutions).fetchall()
        assert len(solutions) == tables["scored_solutions"].height > 0
        for key, kind in (("pool", "pool IS NOT NULL"), ("method", "pool IS NULL")):
            untraced = connection.execute(
                f"SELECT count(*) FROM answers ANTI JOIN adopted_records "
                f"USING (policy, {key}, problem_id, sample_index) WHERE {kind}"
            )
            assert untraced.fetchall() == [(0,)]
    listed = tables["adopted_records"].filter(collection="qwen2.5-1.5b-math-shepherd")
    entry = study.adopted_collection("qwen2.5-1.5b-math-shepherd")
    listing = files.read_listing(Path(str(entry.listing)))
    by_path = {f"{entry.folder}/{name.removeprefix('./')}": sha for name, sha in listing.items()}
    # A record that is a file has the file's hash.
    assert dict(listed.select("path", "record_sha256").iter_rows()) == by_path


# --- the same, from a mirror of the real files --------------------------------------------------

MIRROR = os.environ.get("MIRROR")
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not MIRROR, reason="MIRROR names no folder with the rollouts")
def test_the_mirror_gives_the_bytes_that_ship(tmp_path: Path) -> None:
    study = load_study(ROOT / "config" / "public.yaml", {"store": {"writable": str(tmp_path)}})
    storage = Storage.of(study)
    # Of each reader some. ALL_CASES=1 here, and `make audit SHARE=1`, adopt all of them again.
    entries = [*map(study.adopted_collection, study.adopted)]
    some = [entries[place] for place in drawn([entry.reader for entry in entries], every=4)]
    list(collection.adopt_all(study, [entry.name for entry in some], None))
    shipped = ROOT / "data" / "store"
    for entry in some:
        cell = partition(storage.store, adopted_spec(entry))
        mine, theirs = (
            {p.name for p in (r / cell.directory).iterdir()} for r in (tmp_path, shipped)
        )
        if token_counter(entry.tokenizer, Path(str(MIRROR)))[0] is None:
            theirs = {name for name in theirs if not name.startswith("adopted_tokens")}
        assert mine == theirs, entry.name


@pytest.mark.skipif(not MIRROR, reason="MIRROR names no folder with the rollouts")
def test_the_traps_of_the_real_files_are_found() -> None:
    study = load_study(ROOT / "config" / "public.yaml")
    problems = Storage.of(study).problems(study.task("MATH-500"), None)

    def adopted(name: str) -> Adoption:
        entry = study.adopted_collection(name)
        given = files.rollout_files(entry, Path(str(MIRROR)), None)
        assert entry.reader is not None
        return collection.READERS[entry.reader](entry, given, problems, None)

    pool = adopted("mert-cemri-llama-3.2-3b")
    sizes = pool.samples.group_by("problem_id").len()["len"]
    assert (len(sizes), sizes.min(), sizes.max()) == (500, 4, 6)
    assert set(pool.findings["reason"]) == {"beams", "copy", "header", "tokens unknown"}
    in_order = adopted("mert-cemri-llama-3.2-3b-in-order")
    (detail,) = in_order.findings.filter(reason="wrong problems")["detail"]
    assert "2.6% as they stand" in detail
    assert in_order.samples["step_scores"].null_count() == in_order.samples.height == 1600
    greedy = adopted("zeroeval-llama-3.1-405b")
    assert greedy.files.select("n_records", "n_used").rows() == [(721, 74)]
    # Speculative searches and trials are no part of any collection.
    paths = [f.path for name in study.adopted for f in study.adopted_collection(name).files]
    assert not any("speculative" in path or "_q4_" in path or "_q2_" in path for path in paths)
