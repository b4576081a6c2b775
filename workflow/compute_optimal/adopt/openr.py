"""Records of OpenR's code, from which the paper's official code descends: a problem a line.

Keys that are read: ``question``; of ``result`` ``majority_vote`` (the verdict) and
``total_completion_tokens``; of each answer of ``output`` ``path_idx``, ``text``, ``value`` (scores
of its steps), ``completion_tokens``. The code writes ``value`` [0] where it drew one answer and had
nothing to choose: no score. Of a search ``completion_tokens`` is what the search spent until the
answer was there, not its length, which is unknown; of CoT and best-of-N, which draw whole texts, it
is the length.

Its tree search is none of the paper's methods and is called ``mcts (OpenR)``; ``budget`` is the
number of its answers. An interrupted run holds the problems that ended first, which are the easy
ones: fewer records than the task has problems are a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from compute_optimal.adopt import Adoption
from compute_optimal.adopt.records import (
    Count,
    Gathering,
    GivenFile,
    RecordError,
    Said,
    TokenCounter,
    known_tokens,
    records,
    require_answers,
    with_problems,
)
from compute_optimal.judge.grading.extraction import extract_answer
from compute_optimal.policies.steps import STEP_DELIMITER, split_steps
from compute_optimal.study.config import AdoptedEntry
from compute_optimal.tasks import Problem

_STEP_TAG = " ки\n"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Answer(_Strict):
    path_idx: Count
    text: str
    value: list[FiniteFloat]
    completion_tokens: Count


class _Result(_Strict):
    majority_vote: Literal[0, 1]
    total_completion_tokens: Count


class _Record(Said):
    question: str
    result: _Result
    output: Annotated[list[_Answer], Field(min_length=1)]


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
        path, budget = file.entry.path, file.entry.budget
        is_search = file.entry.method not in ("cot", "best_of_n")
        # Its beam search answers with the beams that it keeps, N / M of them.
        n_answers = budget
        if file.entry.method == "beam_search":
            n_answers = max(1, budget // entry.beam_width)
        used = 0
        for where, sha256, record, problem in with_problems(
            records(_Record, file, gathering),
            file,
            gathering,
            question=lambda record: record.question,
            n_answers=lambda record: len(record.output),
            check=partial(_require_answers, n_answers),
        ):
            used += 1
            if len(record.output) < n_answers:
                detail = f"{len(record.output)} of {n_answers} answers"
                gathering.doubt(where, "answer count", detail)
            of_search = known_tokens(record.result.total_completion_tokens)
            if is_search and of_search is None:
                gathering.doubt(where, "tokens unknown", "of the search: the file says 0")
            for answer in record.output:
                steps = split_steps(answer.text.replace(_STEP_TAG, STEP_DELIMITER))
                scores: list[float] | None = answer.value
                if len(answer.value) != len(steps) or not all(0 <= v <= 1 for v in answer.value):
                    scores = None
                if answer.value == [0] and n_answers == 1:
                    scores = None  # its placeholder, also for an answer of one step
                elif scores is None:
                    gathering.doubt(
                        where,
                        "step scores",
                        f"answer {answer.path_idx}: {len(answer.value)} scores for "
                        f"{len(steps)} steps, or no probabilities",
                    )
                n_tokens = None if is_search else known_tokens(answer.completion_tokens)
                if not is_search and n_tokens is None:
                    detail = f"answer {answer.path_idx}: the file says 0"
                    gathering.doubt(where, "tokens unknown", detail)
                text = STEP_DELIMITER.join(steps)
                facts: dict[str, Any] = {
                    "answer": extract_answer(text),
                    "official_correct": record.result.majority_vote == 1,
                    "n_answers": len(record.output),
                    "n_tokens": n_tokens,
                    "n_steps": len(steps),
                    "step_scores": scores,
                    "record_sha256": sha256,
                }
                if is_search:
                    facts["n_tokens_tree"] = of_search
                    gathering.add(
                        "paths", file.entry, where, problem, text=text, place=answer.path_idx,
                        **facts,
                    )  # fmt: skip
                else:
                    index = gathering.next_index(problem)
                    gathering.add(
                        "samples", file.entry, where, problem, text=text, sample_index=index,
                        **facts,
                    )  # fmt: skip
        gathering.count(path)["n_used"] += used
        if 0 < used < len(problems):
            gathering.doubt(
                path,
                "interrupted",
                f"{used} of {len(problems)} problems: those that ended first, if it was broken off",
            )
    return gathering.adoption()


def _require_answers(n_answers: int, record: _Record) -> None:
    if [answer.path_idx for answer in record.output] != [*range(len(record.output))]:
        raise RecordError("malformed", "output: path_idx does not count from 0")
    require_answers(len(record.output), n_answers)
