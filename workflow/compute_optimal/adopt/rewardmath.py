"""Scores that reward models gave the solutions of RewardMATH: ten a problem, the first right.

A JSON list; keys that are read: ``problem``, ``solution_reference`` (who wrote each solution) and
``score``: of a process reward model a list of step scores for each solution, of an outcome reward
model a number. The texts are not in these files, so that scores fit their steps shows only between
process reward models: where they disagree about the number of steps, that of most is taken for the
truth and the others' rows of the solution are left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from compute_optimal.adopt import Adoption
from compute_optimal.adopt.records import (
    Gathering,
    GivenFile,
    RecordError,
    Said,
    Score,
    TokenCounter,
    json_list,
    with_problems,
)
from compute_optimal.errors import StudyError
from compute_optimal.study.config import AdoptedEntry, RolloutFile
from compute_optimal.tasks import Problem

# A solution has a step at least.
_StepScores = Annotated[list[Score], Field(min_length=1)]


class _Record(Said):
    problem: str
    solution_reference: Annotated[list[str], Field(min_length=2)]
    score: list[_StepScores] | list[Score]


def read(
    entry: AdoptedEntry,
    files: Sequence[GivenFile],
    problems: Sequence[Problem],
    count_tokens: TokenCounter | None = None,
) -> Adoption:
    """Raises ``StudyError`` where a file is no such list, or holds scores of steps and of whole
    solutions; all else that is wrong is a finding."""
    gathering = Gathering(entry, problems, count_tokens)
    rows: list[tuple[RolloutFile, str, Problem, dict[str, Any]]] = []
    for file in files:
        first: dict[str, str] = {}
        for where, sha256, record, problem in with_problems(
            json_list(_Record, file, gathering),
            file,
            gathering,
            question=lambda record: record.problem,
            n_answers=lambda record: len(record.solution_reference),
            check=_require_equal_lengths,
        ):
            gathering.count(file.entry.path)["n_used"] += 1
            first.setdefault("steps" if isinstance(record.score[0], list) else "solutions", where)
            _require_one_kind(first)
            for index, (author, score) in enumerate(
                zip(record.solution_reference, record.score, strict=True)
            ):
                facts: dict[str, Any] = {
                    "solution": index,
                    "author": author,
                    "correct": index == 0,
                    "record_sha256": sha256,
                }
                if isinstance(score, list):
                    facts |= {"step_scores": score, "n_steps": len(score)}
                else:
                    facts["outcome_score"] = score
                rows.append((file.entry, where, problem, facts))
    n_steps = _agreed(rows)
    for of_file, where, problem, facts in rows:
        scores, expected = facts.get("step_scores"), n_steps.get((problem, facts["solution"]))
        if scores is not None and (len(scores) != expected or not all(0 <= s <= 1 for s in scores)):
            detail = f"solution {facts['solution']}: {len(scores)} scores, others {expected}"
            if len(scores) == expected:
                detail = f"solution {facts['solution']}: scores that are not probabilities"
            gathering.refuse(where, RecordError("step scores", detail))
            continue
        gathering.add("solutions", of_file, where, problem, **facts)
    return gathering.adoption()


def _require_one_kind(first: Mapping[str, str]) -> None:
    """Raises ``StudyError`` where scores of steps and of whole solutions both have a ``first``
    record in a file: no reward model gives both."""
    if len(first) < 2:
        return
    (before, place), (here, where) = first.items()
    raise StudyError(
        f"its scores were given by several models: of {here} here, of {before} in {place}",
        where=where,
        cure="a file holds what one reward model gave: put each one's records in a file of its "
        "own, where the collection is fetched from, and register these",
    )


def _require_equal_lengths(record: _Record) -> None:
    if len(record.score) != len(record.solution_reference):
        raise RecordError(
            "step scores",
            f"scores of {len(record.score)} solutions, and "
            f"{len(record.solution_reference)} authors",
        )


def _agreed(
    rows: Sequence[tuple[RolloutFile, str, Problem, dict[str, Any]]],
) -> dict[tuple[Problem, int], int]:
    """(problem, solution) -> the number of steps that most models scored; of equals, the first."""
    counts: dict[tuple[Problem, int], Counter[int]] = defaultdict(Counter)
    for _, _, problem, facts in rows:
        if "n_steps" in facts:
            counts[problem, facts["solution"]][facts["n_steps"]] += 1
    return {key: votes.most_common(1)[0][0] for key, votes in counts.items()}
