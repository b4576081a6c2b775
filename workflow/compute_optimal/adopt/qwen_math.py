"""Outputs of the Qwen2.5-Math evaluation harness: a problem a line, one text or more.

Keys that are read: ``question`` and ``code`` (texts, whatever the name says). What the harness
itself extracted and took for right is left: its grader is neither this study's nor the official
code's. It counts no tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from pydantic import Field

from compute_optimal.adopt import Adoption
from compute_optimal.adopt.records import (
    Gathering,
    GivenFile,
    Said,
    TokenCounter,
    records,
    require_answers,
    with_problems,
)
from compute_optimal.judge.grading.extraction import extract_answer
from compute_optimal.policies.steps import split_steps
from compute_optimal.study.config import AdoptedEntry
from compute_optimal.tasks import Problem


class _Record(Said):
    question: str
    code: Annotated[list[str], Field(min_length=1)]


def read(
    entry: AdoptedEntry,
    files: Sequence[GivenFile],
    problems: Sequence[Problem],
    count_tokens: TokenCounter | None = None,
) -> Adoption:
    """Raises ``StudyError`` where a file holds no such record at all; all else that is wrong is a
    finding."""
    gathering = Gathering(entry, problems, count_tokens)
    for file in files:
        empty, budget = 0, file.entry.budget
        for where, sha256, record, problem in with_problems(
            records(_Record, file, gathering),
            file,
            gathering,
            question=lambda record: record.question,
            n_answers=lambda record: len(record.code),
            check=partial(_require_texts, budget),
        ):
            gathering.count(file.entry.path)["n_used"] += 1
            if len(record.code) < budget:
                gathering.doubt(where, "answer count", f"{len(record.code)} of {budget} answers")
            for text in record.code:
                empty += not text.strip()
                gathering.add(
                    "samples", file.entry, where, problem, text=text,
                    sample_index=gathering.next_index(problem), answer=extract_answer(text),
                    n_answers=len(record.code), n_steps=len(split_steps(text)),
                    record_sha256=sha256,
                )  # fmt: skip
        if empty:
            detail = f"{empty} texts are empty: the harness has lost them, or nothing was said"
            gathering.doubt(file.entry.path, "no answer", detail)
    return gathering.adoption()


def _require_texts(budget: int, record: _Record) -> None:
    require_answers(len(record.code), budget)
