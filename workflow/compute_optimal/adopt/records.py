"""What all readers of rollouts share: findings, how a record finds its problem, and the rows."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from compute_optimal.adopt import FILES, FINDINGS, PATHS, SAMPLES, SOLUTIONS, TOKENS, Adoption
from compute_optimal.errors import StudyError
from compute_optimal.judge.grading.official import official_extract
from compute_optimal.study.config import AdoptedEntry, RolloutFile
from compute_optimal.tasks import Problem
from compute_optimal.tasks.datasets import RepeatedKeyError, single_keys

Reason = Literal[
    "unsafe",  # a link, a path that leads out, too large
    "unrecognised",  # a file that is not part of the layout
    "unknown name",  # a task, policy or PRM that the caller has no name for
    "truncated",
    "malformed",
    "unmatched",  # the question is that of no problem, or of several
    "duplicate",  # a second record of one run on one problem, or a second greedy answer to it
    "step scores",  # do not fit the steps: adopted without them; of ``solutions``, left out
    "answer count",  # adopted with fewer answers than the folder name or the registry states
    "wrong problems",  # completions that lie under others' problems
    "beams",  # a pool whose samples are not independent
    "copy",  # the same text again: left out of search-and-learn's pools, whose code makes copies
    "tokens unknown",
    "interrupted",  # a run that holds some of the problems only
    "header",  # an assistant header that stands as a step
    "no answer",  # or none in the form that was asked for
]


Kind = Literal["samples", "paths", "solutions"]

TOO_MANY_TOKENS = 2**32
"""No count of tokens reaches this, so that sums stay in 64 bits."""

Count = Annotated[int, Field(ge=0, lt=TOO_MANY_TOKENS)]


def known_tokens(count: int) -> int | None:
    """A count of tokens as a file says it; None for 0, which stands where nothing was counted: an
    answer has its end token at least."""
    return count or None


LARGEST_SCORE = 3.4e38
"""No score is larger in size, so that its column of 32 bits holds it."""

Score = Annotated[float, Field(ge=-LARGEST_SCORE, le=LARGEST_SCORE)]

TokenCounter = Callable[[str], int]
"""Number of tokens of a text, its end token included."""


class RecordError(Exception):
    """A record that cannot be adopted; the detail never repeats what the file says."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class GivenFile:
    """A file of a collection: what the registry says of it, and its bytes."""

    entry: RolloutFile
    content: bytes


class Gathering:
    """What a reader has gathered of a collection so far."""

    def __init__(
        self,
        entry: AdoptedEntry,
        problems: Sequence[Problem],
        count_tokens: TokenCounter | None = None,
    ) -> None:
        self.find_problem = problem_matcher(problems)
        self.beam_width = entry.beam_width
        self._entry, self._count_tokens = entry, count_tokens
        self._writers = Writers()
        self._rows: dict[Kind, list[dict[str, Any]]] = {
            "samples": [], "paths": [], "solutions": [],
        }  # fmt: skip
        self._tokens: list[dict[str, Any]] = []
        self._findings: list[tuple[str, Reason, str, bool]] = []
        self._counts: dict[str, Counter[str]] = {}
        self._n_drawn: Counter[str] = Counter()
        self._greedy: set[str] = set()
        self._sha256: dict[str, str] = {}
        self._texts: set[tuple[str, bytes]] = set()
        self._pools: dict[str, Counter[str]] = {}

    def open(self, file: GivenFile) -> None:
        """Begin a file."""
        self._sha256[file.entry.path] = file.entry.sha256
        self._counts.setdefault(file.entry.path, Counter())

    def writers(self) -> Writers:
        """The models that the records before have named: of the whole collection where one policy
        wrote it, else of the file that is opened, whose scores are one PRM's."""
        if self._entry.policy is None:
            self._writers = Writers()
        return self._writers

    def answered(self, file: RolloutFile) -> set[str]:
        """Ids of problems of which a file may hold no further record, for the caller to fill: none,
        but of greedy answers those of the files before, for of these a problem has one."""
        return self._greedy if file.method == "cot" else set()

    def count(self, path: str) -> Counter[str]:
        """The counter of an opened file: ``n_records``, ``n_used`` and ``n_answers`` are the
        caller's to count, ``n_answers_used`` is counted by ``add``."""
        return self._counts[path]

    def next_index(self, problem: Problem) -> int:
        """The number of a problem's next sample, over all files of the collection."""
        self._n_drawn[problem.problem_id] += 1
        return self._n_drawn[problem.problem_id] - 1

    def refuse(self, where: str, error: RecordError) -> None:
        """Something that is left out."""
        self._findings.append((where, error.reason, error.detail, False))

    def doubt(self, where: str, reason: Reason, detail: str) -> None:
        """Something that is adopted all the same, without a part or with a caveat."""
        self._findings.append((where, reason, detail, True))

    def add(
        self,
        kind: Kind,
        file: RolloutFile,
        where: str,
        problem: Problem,
        *,
        text: str | None = None,
        place: int = 0,
        **facts: Any,
    ) -> None:
        """One more row, and where it comes from. The tokens of ``text`` are counted where ``facts``
        do not say ``n_tokens``, and what the official code would take for the answer of a pool's
        sample is kept. ``place``: of an answer of a search among its record's."""
        self._counts[file.path]["n_answers_used"] += 1
        row = {
            "task": self._entry.task,
            "policy": self._entry.policy,
            "prm": file.prm or self._entry.prm,
            "method": file.method,
            "problem_id": problem.problem_id,
            "problem_hash": problem.problem_hash,
            "member": where,
            **facts,
        }
        if kind == "samples" and file.method != "cot" and text is not None:
            row["official_answer"] = official_extract(text)
            said = problem.problem_id, hashlib.sha256(text.encode()).digest()
            self._pools.setdefault(file.path, Counter()).update(all=1, again=said in self._texts)
            self._texts.add(said)
        if kind == "paths":
            # DVTS of any budget serves every N: its answers are those of its subtrees.
            of_search: dict[str, Any] = {"budget": file.budget, "subtree": 0, "path": place}
            if file.method == "dvts":
                subtree, path = divmod(place, self.beam_width)
                of_search = {"budget": None, "subtree": subtree, "path": path}
            row |= {"beam_width": self.beam_width, "repetition": file.repetition, **of_search}
        self._rows[kind].append(row)
        if self._count_tokens and text is not None and row.get("n_tokens") is None:
            self._tokens.append({**row, "kind": kind, "n_tokens": self._count_tokens(text)})

    def adoption(self) -> Adoption:
        """All of it as tables, rows in the order in which they were added."""
        for path, n in self._pools.items():
            if n["again"]:
                detail = (
                    f"{n['again']} of {n['all']} texts of the pool stand before for their problem: "
                    "it has that many fewer independent samples, unless chance repeats itself"
                )
                self.doubt(path, "copy", detail)
        schemas = {"samples": SAMPLES, "paths": PATHS, "solutions": SOLUTIONS}
        frames = {kind: framed(rows, schemas[kind]) for kind, rows in self._rows.items()}
        counts = [
            {"path": path, "sha256": self._sha256[path], **{n: count[n] for n in [*FILES][2:]}}
            for path, count in self._counts.items()
        ]
        return Adoption(
            **frames,
            findings=pl.DataFrame(self._findings, schema=FINDINGS, orient="row"),
            files=pl.DataFrame(counts, schema=FILES, orient="row"),
            tokens=framed(self._tokens, TOKENS),
            n_records=sum(count["n_used"] for count in self._counts.values()),
            n_companions=0,
        )


def framed(rows: Iterable[Mapping[str, Any]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """A table of ``rows``, null where one lacks a column; what is no column is left out."""
    return pl.DataFrame(
        [{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row"
    )


class Said(BaseModel):
    """What a record of any schema may say of its origin, under the names that harnesses use."""

    model_config = ConfigDict(strict=True, frozen=True, protected_namespaces=())

    model: Any = None
    model_name: Any = None
    generator: Any = None

    @property
    def writers(self) -> tuple[str | None, ...]:
        """The models that it names, one for each of ``WRITERS``; what is no name is none."""
        named = (getattr(self, key) for key in WRITERS)
        return tuple(name if isinstance(name, str) else None for name in named)


WRITERS = ("model", "model_name", "generator")

Model = TypeVar("Model", bound=Said)


class Writers:
    """The models that records say they were written by: one under each of ``WRITERS``."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, str]] = {}

    def add(self, key: str, name: str, where: str) -> None:
        """Raises ``StudyError`` for another name than stood under ``key`` before."""
        first, place = self._first.setdefault(key, (name, where))
        if name == first:
            return
        raise StudyError(
            f"its records were written by several models: {key} says another one here than in "
            f"{place}",
            where=where,
            cure="a collection holds what one policy wrote: put what each wrote in files of its "
            "own, where the collection is fetched from, and register each policy's as a "
            "collection",
        )


def json_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(number from 0, line) of the lines of a file; blank ones are counted but left out."""
    # Not splitlines(), which also cuts at characters that JSON strings may hold as they are.
    for number, line in enumerate(content.split(b"\n")):
        if line.strip():
            yield number, line


def parsed(model: type[Model], line: bytes, *, last_of_cut_file: bool = False) -> Model:
    """One record. Raises ``RecordError`` (malformed, or truncated), whose detail never repeats what
    the file says."""
    try:
        record = model.model_validate_json(line)
        require_single_keys(line)
        return record
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] != "json_invalid":
            where = ".".join(map(str, first["loc"])) or "the record"
            raise RecordError("malformed", f"{where}: {first['msg']}") from None
        reason: Reason = "truncated" if last_of_cut_file else "malformed"
        # A record is one line: where that stands in the file, the caller says.
        raise RecordError(reason, first["msg"].replace("at line 1 column", "at column")) from None


def require_single_keys(text: bytes) -> None:
    """Raises ``RecordError`` for JSON, known to be such, in which an object has a key twice."""
    try:
        json.loads(text.decode(), **_AS_WE_READ)
    except RepeatedKeyError as error:
        raise RecordError("malformed", str(error)) from None


def records(
    model: type[Model], file: GivenFile, gathering: Gathering
) -> Iterator[tuple[str, str, Model]]:
    """The records of a file of JSON lines: where each stands, its sha256, and what it says.

    A line that is no record becomes a finding. Raises ``StudyError`` at the end of a file that
    holds no record at all: then it is of another schema.
    """
    gathering.open(file)
    _require_text(file)
    content = file.content.removeprefix(_MARK)
    lines = list(json_lines(content))
    cut = not content.endswith(b"\n")
    if lines and lines[0][1].lstrip().startswith(b"["):
        raise other_schema(file.entry, "it is one JSON list, and a record a line is expected")
    if lines and lines[0][1].strip() == b"{":
        raise other_schema(file.entry, "its JSON goes over several lines, not a record a line")
    return _readable(model, file, gathering, lines, cut=cut)


def json_list(
    model: type[Model], file: GivenFile, gathering: Gathering
) -> Iterator[tuple[str, str, Model]]:
    """The records of a file that is one JSON list, or ``StudyError``; else as ``records``.

    The sha256 is that of the record as JSON with sorted keys, not of its bytes in the file.
    """
    gathering.open(file)
    _require_text(file)
    content = file.content.removeprefix(_MARK)
    try:
        rows = json.loads(content, **_AS_WE_READ)
    except RepeatedKeyError as error:
        where = f"{file.entry.path}{_row_with_a_repeated_key(content)}"
        raise other_schema(file.entry, str(error), where=where) from None
    except (ValueError, RecursionError) as error:
        cut = getattr(error, "pos", 0) >= len(file.content.decode(errors="replace").rstrip())
        what = "it is cut short" if cut else "it is no JSON"
        if not file.content.strip():
            what = "it is empty"
        elif isinstance(error, UnicodeDecodeError):
            what = "it is no text in UTF-8"
        elif isinstance(error, RecursionError):
            what = "its JSON nests too deeply"
        elif getattr(error, "msg", "") == "Extra data":
            what = "it holds several JSON values, as lines of JSON do, and one list is expected"
        raise other_schema(file.entry, what) from None
    if not isinstance(rows, list):
        raise other_schema(file.entry, "it is no list")
    lines = [(n, json.dumps(row, sort_keys=True).encode()) for n, row in enumerate(rows)]
    return _readable(model, file, gathering, lines, cut=False)


def _number(digits: str) -> int | float:
    """A whole number of JSON; of more digits than Python reads as one, infinity, which is out of
    the range of everything that is read."""
    return int(digits) if len(digits) < _MOST_DIGITS else math.inf


_MOST_DIGITS = 4000
"""Of a whole number: Python refuses to read more than 4,300."""

_AS_WE_READ: Mapping[str, Any] = {"object_pairs_hook": single_keys, "parse_int": _number}
"""How JSON of others is read: no key twice in an object, and numbers of any length."""


def _row_with_a_repeated_key(content: bytes) -> str:
    """Which record of a JSON list has an object with a key twice, to be put behind the file's name;
    nothing where it is no list, or a record before is no JSON."""
    # Python reads JSON in other encodings, and halves of surrogate pairs, which do not matter here.
    text = content.decode(errors="replace").lstrip()
    decoder = json.JSONDecoder(**_AS_WE_READ)
    place = 1
    for row in itertools.count() if text.startswith("[") else ():
        between = _BETWEEN_RECORDS.match(text, place)
        assert between is not None  # it matches nothing as well
        try:
            _, place = decoder.raw_decode(text, between.end())
        except RepeatedKeyError:
            return f", row {row}"
        except (ValueError, RecursionError):
            break
    return ""


_BETWEEN_RECORDS = re.compile(r"[ \t\r\n,]*")


def _readable(
    model: type[Model],
    file: GivenFile,
    gathering: Gathering,
    lines: Sequence[tuple[int, bytes]],
    *,
    cut: bool,
) -> Iterator[tuple[str, str, Model]]:
    """The numbered ``lines`` that are records; ``cut``: the last line may be part of one."""
    count = gathering.count(file.entry.path)
    first_error: tuple[str, RecordError] | None = None
    n_good, writers = 0, gathering.writers()
    for number, line in lines:
        where = f"{file.entry.path}, row {number}"
        count["n_records"] += 1
        try:
            record = parsed(model, line, last_of_cut_file=cut and number == lines[-1][0])
        except RecordError as error:
            first_error = first_error or (where, error)
            gathering.refuse(where, error)
            continue
        n_good += 1
        for key, name in zip(WRITERS, record.writers, strict=True):
            if name is not None:
                writers.add(key, name, where)
        yield where, hashlib.sha256(line).hexdigest(), record
    if first_error and not n_good:
        keys = [key for key, of in model.model_fields.items() if of.is_required()]
        raise other_schema(file.entry, first_error[1].detail, where=first_error[0], keys=keys)
    if not n_good:
        raise other_schema(file.entry, "it is empty")


def with_problems(
    readable: Iterable[tuple[str, str, Model]],
    file: GivenFile,
    gathering: Gathering,
    *,
    question: Callable[[Model], str],
    n_answers: Callable[[Model], int],
    check: Callable[[Model], None] = lambda _: None,
) -> Iterator[tuple[str, str, Model, Problem]]:
    """``records`` or a ``json_list``, each record with its problem; a problem counts once a file,
    and once a collection where its answers are greedy.

    All their answers are counted. A record without a problem of its own, or of which ``check``
    raises ``RecordError``, becomes a finding.
    """
    seen = gathering.answered(file.entry)
    for where, sha256, record in readable:
        gathering.count(file.entry.path)["n_answers"] += n_answers(record)
        try:
            problem = gathering.find_problem(question(record))
            if problem.problem_id in seen:
                raise RecordError("duplicate", "its problem stands before")
            check(record)
        except RecordError as error:
            gathering.refuse(where, error)
            continue
        seen.add(problem.problem_id)
        yield where, sha256, record, problem


def require_answers(n_answers: int, expected: int) -> None:
    """Raises ``RecordError`` where a record has more answers than the registry states."""
    if n_answers > expected:
        raise RecordError("malformed", f"{n_answers} answers, not {expected}")


_MARK = b"\xef\xbb\xbf"
"""A byte order mark, which some editors and languages begin UTF-8 with."""

_KINDS: Mapping[bytes, str] = {
    b"\x1f\x8b": "packed by gzip",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
    b"\xfd7zXZ\x00": "packed by xz",
    b"BZh": "packed by bzip2",
    b"PK\x03\x04": "a zip archive",
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"version https://git-lfs": "a pointer of Git LFS, not the file",
    b"<": "a page of HTML or XML",
}
"""How files begin that are published in the place of JSON."""


def _require_text(file: GivenFile) -> None:
    """Raises ``StudyError`` for a file that is no JSON whatever its name says, and says what it
    is."""
    begin = file.content[:64].lstrip()
    if (kind := next((k for start, k in _KINDS.items() if begin.startswith(start)), None)) is None:
        return
    raise StudyError(
        f"no record of the expected schema: it is {kind}, and JSON in UTF-8 is expected",
        where=file.entry.path,
        cure="put the JSON itself where the collection is fetched from, such as a repository or a "
        "mirror folder of your own, and register that file with its sha256; data sets of "
        "search-and-learn are read from the hub as they are (key hub)",
    )


def other_schema(
    file: RolloutFile, what: str, where: str | None = None, keys: Sequence[str] = ()
) -> StudyError:
    """The error for a file that holds no record of its reader's schema, which has these ``keys`` at
    least; ``where`` is by default the file."""
    needed = f", which needs {', '.join(keys)} in each record" if keys else ""
    return StudyError(
        f"no record of the expected schema: {what}",
        where=where or file.path,
        cure=f"correct reader{needed}, or files of the collection in the registry",
    )


def problem_matcher(problems: Sequence[Problem]) -> Callable[[str], Problem]:
    """Question -> problem: by its exact text, else with all white space alike, else without any.

    What is returned raises ``RecordError`` where no problem matches, or several do.
    """
    exact: dict[str, list[Problem]] = {}
    spaced: dict[str, list[Problem]] = {}
    unspaced: dict[str, list[Problem]] = {}
    for problem in problems:
        exact.setdefault(problem.problem, []).append(problem)
        spaced.setdefault(" ".join(problem.problem.split()), []).append(problem)
        unspaced.setdefault("".join(problem.problem.split()), []).append(problem)

    def find(question: str) -> Problem:
        matches = (
            exact.get(question)
            or spaced.get(" ".join(question.split()))
            or unspaced.get("".join(question.split()), [])
        )
        if len(matches) != 1:
            ids = ", ".join(problem.problem_id for problem in matches)
            raise RecordError(
                "unmatched", f"its question is that of {ids}" if ids else "its question is unknown"
            )
        return matches[0]

    return find
