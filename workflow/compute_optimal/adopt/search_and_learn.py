"""Completions that Hugging Face's search-and-learn published: parquet files, a row a problem.

Columns that are read: ``problem``; ``completions``, a list of texts; ``scores``, for each of them
a list with the PRM's score of every piece between blank lines, empty pieces included; and for
best_of_n ``completion_tokens``, a list of counts (searches fill it with 0 or -1). Without counts a
pool is adopted all the same, at no known cost.

Its methods differ from the paper's (temperature 0.8; N answers of a beam search, with copies; all
M siblings of each DVTS subtree's last step), which the collection's ``variant`` says. Scores of
empty pieces are left out, because a step is never empty here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from compute_optimal.adopt import FINDINGS, PATHS, SAMPLES, Adoption
from compute_optimal.adopt.archives import archive_sha256
from compute_optimal.adopt.records import (
    TOO_MANY_TOKENS,
    WRITERS,
    Reason,
    RecordError,
    Writers,
    problem_matcher,
)
from compute_optimal.errors import StudyError
from compute_optimal.judge.grading.extraction import extract_answer
from compute_optimal.judge.grading.official import official_extract
from compute_optimal.policies.steps import STEP_DELIMITER
from compute_optimal.store.partitions import UNREADABLE
from compute_optimal.tasks import Problem

_COLUMNS: dict[str, pl.DataType] = {
    "problem": pl.String(),
    "completions": pl.List(pl.String()),
    "scores": pl.List(pl.List(pl.Float64())),
}
_TOKENS = {"completion_tokens": pl.List(pl.Int64())}
_ROWS_AT_ONCE = 64
"""Rows in memory at a time: a row of 256 completions is long."""


@dataclass(frozen=True)
class Run:
    """One published run: what was run, and its files by the name they are reported under.

    ``repetition`` numbers runs of the same search from 0.
    """

    task: str
    policy: str
    prm: str
    method: str
    budget: int
    beam_width: int
    files: Mapping[str, Path]
    repetition: int = 0


def read_search_and_learn(runs: Sequence[Run], problems: Sequence[Problem]) -> Adoption:
    """Read every row of every run. Answers are extracted again, from the texts.

    Raises ``StudyError``, naming file and column, where a file is no parquet, or lacks a column
    other than ``completion_tokens`` or has another type in it. A row that cannot be used becomes a
    finding with its number and column.
    """
    find_problem = problem_matcher(problems)
    samples: list[dict[str, Any]] = []
    paths: list[dict[str, Any]] = []
    findings: list[tuple[str, Reason, str, bool]] = []
    n_records = 0
    writers = Writers()
    for run in runs:
        seen: dict[str, str] = {}
        rows = samples if run.method == "best_of_n" else paths
        for member, file in run.files.items():
            sha256 = archive_sha256(file)
            for number, row in enumerate(_rows(member, file, run, findings, writers)):
                where = f"{member}, row {number}"
                try:
                    problem = _find(find_problem, row)
                    if problem.problem_id in seen:
                        raise RecordError(
                            "duplicate", f"the problem of {seen[problem.problem_id]}, which is kept"
                        )
                    answers, doubts = _answers(row, run)
                except RecordError as error:
                    findings.append((where, error.reason, error.detail, False))
                    continue
                seen[problem.problem_id] = where
                n_records += 1
                findings += [(where, reason, detail, True) for reason, detail in doubts]
                origin = {
                    "task": run.task,
                    "policy": run.policy,
                    "prm": run.prm,
                    "method": run.method,
                    "problem_id": problem.problem_id,
                    "problem_hash": problem.problem_hash,
                    "archive_sha256": sha256,
                    "member": where,
                    "record_sha256": _sha256(row),
                }
                rows += [{**origin, **answer} for answer in _placed(answers, run)]
    return Adoption(
        samples=pl.DataFrame(samples, schema=SAMPLES, orient="row"),
        paths=pl.DataFrame(paths, schema=PATHS, orient="row"),
        findings=pl.DataFrame(findings, schema=FINDINGS, orient="row"),
        n_records=n_records,
        n_companions=0,
    )


def _rows(
    member: str,
    file: Path,
    run: Run,
    findings: list[tuple[str, Reason, str, bool]],
    writers: Writers,
) -> Iterator[dict[str, Any]]:
    wanted = {**_COLUMNS}
    try:
        schema = pl.scan_parquet(file, glob=False).collect_schema()
        n_rows = pl.scan_parquet(file, glob=False).select(pl.len()).collect().item()
        named = {k: _named(file, k) for k in WRITERS if schema.get(k) == pl.String}
    except UNREADABLE as error:
        raise _unreadable(member, error) from None
    for column, kind in wanted.items():
        actual = schema.get(column)
        if actual is None or not _alike(actual, kind):
            raise StudyError(
                f"column {column} is missing"
                if actual is None
                else f"column {column} holds {actual}, expected {kind}",
                where=member,
                cure="compare the folder in the registry with the data set: it must hold "
                "completions, not evaluations",
            )
    if run.method == "best_of_n":
        for column, kind in _TOKENS.items():
            actual = schema.get(column)
            if actual is not None and _alike(actual, kind):
                wanted[column] = kind
            else:
                detail = "is missing" if actual is None else f"holds {actual}, expected {kind}"
                findings.append((member, "tokens unknown", f"column {column} {detail}", True))
    for key, names in named.items():
        for name in names:
            writers.add(key, name, member)
    for start in range(0, n_rows, _ROWS_AT_ONCE):
        part = pl.scan_parquet(file, glob=False).select(list(wanted)).slice(start, _ROWS_AT_ONCE)
        try:
            # What no column of ours holds, such as a count of 2**63, is null.
            rows = part.collect().cast(dict(wanted), strict=False)  # type: ignore[arg-type]
        except UNREADABLE as error:
            raise _unreadable(f"{member}, row {start} or one of the next", error) from None
        yield from rows.iter_rows(named=True)


def _named(file: Path, key: str) -> list[str]:
    """The models that a column names."""
    column = pl.scan_parquet(file, glob=False).select(pl.col(key).drop_nulls().unique())
    return sorted(column.collect()[key])


def _unreadable(where: str, error: BaseException) -> StudyError:
    return StudyError(
        f"not a parquet file that can be read: {str(error).splitlines()[0]}",
        where=where,
        cure="remove it from the hub's cache and adopt again, which fetches it anew",
    )


def _alike(actual: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether the types nest alike; widths of numbers may differ."""
    if isinstance(wanted, pl.List) and isinstance(actual, pl.List):
        return _alike(actual.inner, wanted.inner)  # type: ignore[arg-type]
    if wanted.is_numeric():
        return actual.is_integer() if wanted.is_integer() else actual.is_numeric()
    return actual == wanted


def _find(find_problem: Any, row: Mapping[str, Any]) -> Problem:
    if row["problem"] is None:
        raise RecordError("malformed", "column problem: null")
    try:
        problem = find_problem(row["problem"])
    except RecordError as error:
        raise RecordError(error.reason, f"column problem: {error.detail}") from None
    assert isinstance(problem, Problem)
    return problem


def _answers(
    row: Mapping[str, Any], run: Run
) -> tuple[list[dict[str, Any]], list[tuple[Reason, str]]]:
    """The facts of each completion of a row, and what is doubtful about it."""
    completions, doubts = row["completions"], list[tuple[Reason, str]]()
    for name in ("completions", "scores"):
        if not row[name] or any(value is None for value in row[name]):
            raise RecordError("malformed", f"column {name}: empty, or with a null")
        if len(row[name]) != len(completions):
            raise RecordError(
                "malformed", f"column {name}: {len(row[name])} for {len(completions)} completions"
            )
    if len(completions) > run.budget:
        raise RecordError("malformed", f"column completions: {len(completions)}, over {run.budget}")
    if len(completions) < run.budget:
        doubts.append(
            ("answer count", f"column completions: {len(completions)}, expected {run.budget}")
        )
    tokens = row.get("completion_tokens", [None] * len(completions))
    if (wrong := _not_counts(tokens, len(completions))) is not None:
        doubts.append(("tokens unknown", f"column completion_tokens: {wrong}"))
        tokens = [None] * len(completions)
    answers = []
    for index, (text, scores, n_tokens) in enumerate(
        zip(completions, row["scores"], tokens, strict=True)
    ):
        pieces = [piece.strip() for piece in text.split(STEP_DELIMITER)]
        kept: list[float] | None = None
        if len(scores) != len(pieces):
            detail = f"column scores: {len(scores)} for {len(pieces)} pieces of completion {index}"
            doubts.append(("step scores", detail))
        elif not all(score is not None and 0 <= score <= 1 for score in scores):
            doubts.append(("step scores", f"column scores: not probabilities, at {index}"))
        else:
            kept = [score for score, piece in zip(scores, pieces, strict=True) if piece]
        answers.append(
            {
                "answer": extract_answer(text),
                "official_answer": official_extract(text) if run.method == "best_of_n" else None,
                "official_correct": None,
                "n_answers": len(completions),
                "n_tokens": n_tokens,
                "n_steps": sum(map(bool, pieces)),
                "step_scores": kept,
            }
        )
    return answers, doubts


def _not_counts(tokens: Sequence[int | None] | None, n_completions: int) -> str | None:
    """Why these are not the completions' numbers of tokens; None if they are, or all unknown."""
    if not tokens:
        return "empty"
    if len(tokens) != n_completions:
        return f"{len(tokens)} for {n_completions} completions"
    known = [(index, count) for index, count in enumerate(tokens) if count is not None]
    if known and len(known) < len(tokens):
        return "with a null"
    return next(
        (f"{count} at {index}" for index, count in known if not 0 < count < TOO_MANY_TOKENS), None
    )


def _placed(answers: list[dict[str, Any]], run: Run) -> Iterator[dict[str, Any]]:
    """The facts of a row's answers, with the columns that tell them apart."""
    if run.method == "best_of_n":
        for index, answer in enumerate(answers):
            yield {"sample_index": index, **answer}
        return
    place = {
        "beam_width": run.beam_width,
        "repetition": run.repetition,
        "n_tokens_tree": None,
    }
    for index, answer in enumerate(answers):
        if run.method == "beam_search":
            yield {**place, "budget": run.budget, "subtree": 0, "path": index, **answer}
        else:
            subtree, path = divmod(index, run.beam_width)
            yield {**place, "budget": None, "subtree": subtree, "path": path, **answer}


def _sha256(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, ensure_ascii=True, sort_keys=True).encode()).hexdigest()
