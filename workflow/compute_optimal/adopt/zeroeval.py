"""Outputs of ZeroEval: one greedy answer to each problem, in a JSON list.

Keys that are read: ``problem`` and ``output``, a list of one text. The prompt asked for JSON with
the keys reasoning and answer; many outputs are cut, ignore the format, or are no valid JSON, for
formulas are full of backslashes. The answer of the JSON counts; else the last boxed one; else there
is none, and how many have none is a finding, because a comparison is unfair to that extent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from compute_optimal.adopt import Adoption
from compute_optimal.adopt.records import (
    Gathering,
    GivenFile,
    Said,
    TokenCounter,
    json_list,
    with_problems,
)
from compute_optimal.judge.grading.extraction import extract_answer
from compute_optimal.policies.steps import split_steps
from compute_optimal.study.config import AdoptedEntry
from compute_optimal.tasks import Problem

_ANSWER = re.compile(
    # Possessive: no letter of a text of megabytes is kept to go back to.
    r'"answer"\s*:\s*(?:"(?P<text>(?:[^"\\]++|\\.)*+)"|(?P<bare>[^\s",{}\[\]]+)\s*[,}\n])',
    re.DOTALL,
)
# Escapes of JSON that are undone. \n, \r and \t before a letter begin a command of LaTeX whose
# backslash was not doubled, as \theta does; \b and \f always do, as in \binom and \frac.
_ESCAPE = re.compile(r'\\(?:(?P<itself>["\\/])|(?P<blank>[nrt])(?![A-Za-z]))')
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


class _Record(Said):
    problem: str
    output: Annotated[list[str], Field(min_length=1, max_length=1)]


def read(
    entry: AdoptedEntry,
    files: Sequence[GivenFile],
    problems: Sequence[Problem],
    count_tokens: TokenCounter | None = None,
) -> Adoption:
    """Raises ``StudyError`` where a file is no such list; all else that is wrong is a finding."""
    gathering = Gathering(entry, problems, count_tokens)
    for file in files:
        path, n_used, n_boxed, n_without = file.entry.path, 0, 0, 0
        for where, sha256, record, problem in with_problems(
            json_list(_Record, file, gathering),
            file,
            gathering,
            question=lambda record: record.problem,
            n_answers=lambda record: len(record.output),
        ):
            n_used += 1
            (text,) = record.output
            answer, form = answer_of(text)
            n_boxed += form == "box"
            n_without += form is None
            gathering.add(
                "samples", file.entry, where, problem, text=text, sample_index=0, answer=answer,
                n_answers=1, n_steps=len(split_steps(text)), record_sha256=sha256,
            )  # fmt: skip
        gathering.count(path)["n_used"] += n_used
        if n_boxed:
            gathering.doubt(path, "no answer", f"{n_boxed} of {n_used} without JSON, but boxed")
        if n_without:
            gathering.doubt(path, "no answer", f"{n_without} of {n_used} without any answer")
    return gathering.adoption()


def answer_of(text: str) -> tuple[str | None, str | None]:
    """The answer of an output, and the form it was found in: json, box, or None for no answer."""
    *_, last = (None, *_ANSWER.finditer(text))
    if last is not None:
        value = last["bare"] if last["text"] is None else _unescaped(last["text"])
        inner = extract_answer(value) or _undelimited(value.strip())
        if inner and inner not in ("null", "___"):
            return inner, "json"
    if (answer := extract_answer(text.replace("\\\\", "\\"))) is not None:
        return answer, "box"
    return None, None


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda escape: escape["itself"] or " ", text)


def _undelimited(text: str) -> str:
    for left, right in _DELIMITERS:
        inner = text[len(left) : -len(right)]
        if text.startswith(left) and text.endswith(right) and inner and left not in inner:
            return inner.strip()
    return text
