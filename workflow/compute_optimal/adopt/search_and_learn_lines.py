"""The JSON lines that search-and-learn's code writes by itself: a problem a line.

Keys that are read: ``problem``; ``completions`` (texts); ``scores``, for each of them the PRM's
score of every piece between blank lines; ``completion_tokens``, counts that only its best_of_n
fills. Its own votes (``pred`` and ``agg_scores``) are not read.

What is found from the contents alone:

- completions of best_of_n under the wrong problems (``pools.placement``): mended where the known
  permutation is proved by the share of right answers, else the file is refused, as is one that
  lacks rows or completions and whose answers agree across rows (``pools.agreement_of``). Their
  scores were computed with the wrong question and are left out;
- pools that are beams: with n below the beam width that code keeps all beams, so nothing is pruned,
  but open beams are copied when one ends. Its searches write no token counts, and samples share
  first steps. A file in which over a quarter of the pairs do is a search and no pool;
- an assistant header that stands as a piece of its own, with a score of its own: both left out;
- counts of 0 tokens for a text: unknown; the same text twice in a pool: kept once. Copies among the
  answers of a search are that code's own rule, and stay.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from compute_optimal.adopt import Adoption
from compute_optimal.adopt.pools import (
    A_SEARCH,
    BATCH,
    SHARED_STEPS,
    agreement_of,
    by_problem,
    placement,
    shared_beginnings,
    sources,
)
from compute_optimal.adopt.records import (
    TOO_MANY_TOKENS,
    Gathering,
    GivenFile,
    RecordError,
    Said,
    TokenCounter,
    records,
    with_problems,
)
from compute_optimal.judge.grading.extraction import extract_answer
from compute_optimal.policies.steps import STEP_DELIMITER
from compute_optimal.study.config import AdoptedEntry
from compute_optimal.tasks import Problem

_HEADER = re.compile(r"<\|start_header_id\|>assistant(?:<\|end_header_id\|>)?\s*")


# Not above 0: unknown.
_Count = Annotated[int, Field(lt=TOO_MANY_TOKENS)]


class _Record(Said):
    problem: str
    completions: Annotated[list[str], Field(min_length=1)]
    scores: list[list[float]]
    completion_tokens: list[_Count] | int | None = None


@dataclass(frozen=True)
class _Completion:
    """One text of a file without its header: where it stands, its step scores (None where they do
    not fit) and tokens (None where unknown)."""

    where: str
    sha256: str
    text: str
    scores: list[float] | None
    n_tokens: int | None


@dataclass(frozen=True)
class _Row:
    problem: Problem
    completions: list[_Completion]


def read(
    entry: AdoptedEntry,
    files: Sequence[GivenFile],
    problems: Sequence[Problem],
    count_tokens: TokenCounter | None = None,
) -> Adoption:
    """Raises ``StudyError`` where a file holds no such record at all; all else that is wrong is a
    finding."""
    gathering = Gathering(entry, problems, count_tokens)
    pool: list[tuple[GivenFile, _Row]] = []
    for file in files:
        rows = _rows(file, gathering)
        if file.entry.method == "best_of_n":
            pool += [(file, row) for row in _in_place(rows, file, gathering)]
        else:
            _add_answers(rows, file, gathering)
    _add_pool(pool, gathering)
    return gathering.adoption()


def _rows(file: GivenFile, gathering: Gathering) -> list[_Row]:
    """The rows of a file that can be used, each problem once; what is wrong becomes a finding."""
    path, rows = file.entry.path, list[_Row]()
    n_headers, unknown = 0, Counter[str]()
    for where, sha256, record, problem in with_problems(
        records(_Record, file, gathering),
        file,
        gathering,
        question=lambda record: record.problem,
        n_answers=lambda record: len(record.completions),
        check=partial(_require_completions, file.entry.budget),
    ):
        texts, tokens = record.completions, record.completion_tokens
        if len(texts) < file.entry.budget:
            gathering.doubt(
                where, "answer count", f"{len(texts)} of {file.entry.budget} completions"
            )
        completions = []
        counts = tokens if isinstance(tokens, list) else [None] * len(texts)
        missing = "none" if tokens is None else "one number a row"
        for text, scores, n_tokens in zip(texts, record.scores, counts, strict=True):
            body, kept, has_header = _without_header(text, scores)
            if (doubt := _misfit(body, kept)) is not None:
                gathering.doubt(where, "step scores", doubt)
                kept = None
            count = n_tokens if n_tokens is not None and n_tokens > 0 else None
            if count is None:
                unknown[missing if n_tokens is None else "less than 0" if n_tokens else "0"] += 1
            n_headers += has_header
            completions.append(_Completion(where, sha256, body, kept, count))
        rows.append(_Row(problem, completions))
    if n_headers:
        gathering.doubt(path, "header", f"of {n_headers} completions, left out with its score")
    if unknown:
        said = " or ".join(sorted(unknown))
        detail = f"of {unknown.total()} completions: the file says {said}"
        gathering.doubt(path, "tokens unknown", detail)
        if file.entry.method == "best_of_n":
            gathering.doubt(
                path,
                "beams",
                "no counts of tokens, as searches of that code leave them: beams that nothing "
                "pruned, of which the first to end were kept",
            )
    return rows


def _require_completions(budget: int, record: _Record) -> None:
    texts, tokens = record.completions, record.completion_tokens
    if len(texts) > budget or len(record.scores) != len(texts):
        raise RecordError(
            "malformed",
            f"{len(texts)} completions and {len(record.scores)} lists of scores, expected {budget}",
        )
    if isinstance(tokens, list) and len(tokens) != len(texts):
        raise RecordError(
            "malformed", f"{len(tokens)} counts of tokens for {len(texts)} completions"
        )


def _without_header(text: str, scores: list[float]) -> tuple[str, list[float] | None, bool]:
    first, delimiter, rest = text.partition(STEP_DELIMITER)
    if delimiter and _HEADER.fullmatch(first):
        return rest, scores[1:], True
    return text, scores, False


def _misfit(text: str, scores: list[float] | None) -> str | None:
    """Why the scores are not those of the text's pieces; None where they are."""
    n_pieces = len(text.split(STEP_DELIMITER))
    if scores is None or len(scores) != n_pieces:
        return f"{len(scores or ())} scores for {n_pieces} pieces"
    if not all(0 <= score <= 1 for score in scores):
        return "scores that are not probabilities"
    return None


def _in_place(rows: list[_Row], file: GivenFile, gathering: Gathering) -> list[_Row]:
    """The rows with their own completions; none where these cannot be told."""
    count = gathering.count(file.entry.path)
    counts = {len(row.completions) for row in rows}
    answers = [[extract_answer(c.text) for c in row.completions] for row in rows]
    if len(counts) != 1 or len(rows) != count["n_records"]:
        # Short of a row or a completion, the order of the batch is lost: there is no mending.
        agreement = agreement_of(answers)
        if not agreement.is_across_rows:
            return rows
        detail = (
            f"equal: {agreement.share_in_row:.1%} of the pairs of answers in a row, "
            f"{agreement.share_across:.1%} of those {BATCH} places apart in the file, which lacks "
            "rows or completions and cannot be put in order"
        )
        gathering.refuse(file.entry.path, RecordError("wrong problems", detail))
        return []
    placed = placement([row.problem.answer for row in rows], answers)
    if placed.verdict == "as they stand":
        return rows
    shares = (
        f"right: {placed.share_right:.1%} as they stand, {placed.share_elsewhere:.1%} under any "
        f"other problem, {placed.share_mended:.1%} in the known order of batches"
    )
    if placed.verdict == "foreign":
        gathering.refuse(file.entry.path, RecordError("wrong problems", shares))
        return []
    gathering.doubt(file.entry.path, "wrong problems", f"put in order, without scores; {shares}")
    return [
        _Row(row.problem, [_unscored(rows[r].completions[j]) for r, j in places])
        for row, places in zip(rows, sources(len(rows), counts.pop()), strict=True)
    ]


def _unscored(completion: _Completion) -> _Completion:
    return _Completion(
        completion.where, completion.sha256, completion.text, None, completion.n_tokens
    )


def _add_pool(pool: Sequence[tuple[GivenFile, _Row]], gathering: Gathering) -> None:
    """Add the samples of all files as one pool: numbered through, copies once, searches left
    out."""
    texts = by_problem(
        (row.problem.problem_id, file.entry.path, completion.text)
        for file, row in pool
        for completion in row.completions
    )
    within, between = shared_beginnings(texts)
    searches = {path for path, sharing in within.items() if sharing.share > A_SEARCH}
    for path, sharing in within.items():
        detail = (
            f"{sharing.share:.1%} of {sharing.n_pairs} pairs share {SHARED_STEPS} or more first "
            "steps"
        )
        if path in searches:
            gathering.refuse(path, RecordError("beams", f"{detail}: a search, and no pool"))
        elif sharing.n_shared:
            gathering.doubt(path, "beams", detail)
    if between.n_shared:
        gathering.doubt(
            "between files",
            "beams",
            f"{between.share:.2%} of {between.n_pairs} pairs share {SHARED_STEPS} or more first "
            "steps",
        )
    seen: dict[str, dict[str, str]] = {}
    for file, row in pool:
        if file.entry.path in searches:
            continue
        kept = seen.setdefault(row.problem.problem_id, {})
        for completion in row.completions:
            if (first := kept.get(completion.text)) is not None:
                error = RecordError("copy", f"the text of {first}, which is kept")
                gathering.refuse(completion.where, error)
                continue
            kept[completion.text] = completion.where
            gathering.add(
                "samples", file.entry, completion.where, row.problem, text=completion.text,
                sample_index=len(kept) - 1, **_facts(completion, len(row.completions)),
            )  # fmt: skip
    for path, n_used in Counter(f.entry.path for f, _ in pool).items():
        gathering.count(path)["n_used"] = 0 if path in searches else n_used


def _add_answers(rows: Sequence[_Row], file: GivenFile, gathering: Gathering) -> None:
    """Add the answers of a search, or the greedy ones, as they stand."""
    n_copies = 0
    for row in rows:
        gathering.count(file.entry.path)["n_used"] += 1
        n_copies += len(row.completions) - len({c.text for c in row.completions})
        for index, completion in enumerate(row.completions):
            facts = _facts(completion, len(row.completions))
            if file.entry.method == "cot":
                gathering.add(
                    "samples", file.entry, completion.where, row.problem, text=completion.text,
                    sample_index=0, **facts,
                )  # fmt: skip
            else:
                gathering.add(
                    "paths", file.entry, completion.where, row.problem, text=completion.text,
                    place=index, **facts,
                )  # fmt: skip
    if n_copies:
        gathering.doubt(
            file.entry.path, "copy", f"{n_copies} answers are copies, as that code fills N"
        )


def _facts(completion: _Completion, n_answers: int) -> dict[str, Any]:
    pieces = [piece.strip() for piece in completion.text.split(STEP_DELIMITER)]
    scores = completion.scores
    if scores is not None:
        scores = [score for score, piece in zip(scores, pieces, strict=True) if piece]
    return {
        "answer": extract_answer(completion.text),
        "n_answers": n_answers,
        "n_tokens": completion.n_tokens,
        "n_steps": sum(map(bool, pieces)),
        "step_scores": scores,
        "record_sha256": completion.sha256,
    }
