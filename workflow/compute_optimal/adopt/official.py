"""Rollouts in the output layout of the paper's official code.

Layout, below any folder (official code: evaluate.py:318-321)::

    <TASK>_<method>/<policy>/<PRM>/<depth>_<width>_<kept>/question_<i>/record_<j>.jsonl

Each record file holds one JSON object: one run of the method on one problem. ``width`` candidates
are drawn at the root and ``kept`` beams survive (the official ``num_sequence``), so of a search
N = width and M = width / kept. A run with one surviving beam is also one subtree of DVTS, which the
official code runs as repetitions.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from compute_optimal.adopt import FINDINGS, PATHS, SAMPLES, Adoption
from compute_optimal.adopt.archives import Member
from compute_optimal.adopt.records import (
    Count,
    Reason,
    RecordError,
    Writers,
    known_tokens,
    problem_matcher,
    require_single_keys,
)
from compute_optimal.errors import StudyError
from compute_optimal.judge.grading.extraction import extract_answer
from compute_optimal.policies.steps import STEP_DELIMITER, split_steps
from compute_optimal.tasks import Problem


@dataclass(frozen=True)
class Names:
    """Folder names of the official code -> registry names; None stands for "no PRM"."""

    tasks: Mapping[str, str]
    policies: Mapping[str, str]
    prms: Mapping[str, str | None]


# The official code names folders after the last part of a model's hub id (src/utils.py:24-32).
OFFICIAL_NAMES = Names(
    tasks={"MATH": "MATH-500", "AIME24": "AIME24", "AMC23": "AMC23"},
    policies={
        name: name
        for name in (
            "Llama-3.2-1B-Instruct",
            "Llama-3.2-3B-Instruct",
            "Llama-3.1-8B-Instruct",
            *(f"Qwen2.5-{size}B-Instruct" for size in ("0.5", "1.5", "3", "7", "14", "32", "72")),
            *(f"Qwen2.5-Math-{size}B-Instruct" for size in ("1.5", "7", "72")),
            "DeepSeek-R1-Distill-Qwen-1.5B",
            "DeepSeek-R1-Distill-Qwen-7B",
        )
    },
    prms={
        "dummy": None,
        "math-shepherd-mistral-7b-prm": "Math-Shepherd-PRM-7B",
        "Llama3.1-8B-PRM-Mistral-Data": "RLHFlow-PRM-Mistral-8B",
        "Llama3.1-8B-PRM-Deepseek-Data": "RLHFlow-PRM-Deepseek-8B",
        "Skywork-o1-Open-PRM-Qwen-2.5-1.5B": "Skywork-PRM-1.5B",
        "Skywork-o1-Open-PRM-Qwen-2.5-7B": "Skywork-PRM-7B",
        "Qwen2.5-Math-PRM-7B": "Qwen2.5-Math-PRM-7B",
        "Qwen2.5-Math-PRM-72B": "Qwen2.5-Math-PRM-72B",
    },
)

_RECORD = re.compile(
    r"(?:.*/)?(?P<task>[^/]+)_(?P<method>cot|best_of_n|beam_search)/(?P<policy>[^/]+)/(?P<prm>[^/]+)"
    r"/\d{1,6}_(?P<width>\d{1,6})_(?P<kept>\d{1,6})"
    r"/question_\d{1,9}/record_(?P<number>\d{1,9})\.jsonl",
    re.ASCII | re.DOTALL,
)
_COMPANION = re.compile(
    r"(?:.*/)?(?:config\.json|avg_result\.json|question_\d+_\d+\.lock)", re.ASCII | re.DOTALL
)
_STEP_TAG = " ки\n"  # ends each step of a best-of-N or searched text (base_env.py:369-382)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Trajectory(_Strict):
    path_idx: Count
    text: str
    value: list[FiniteFloat]
    extracted_answer: str
    token_history: list[Count] | Count
    model_history: Any = None

    @property
    def models(self) -> Sequence[str]:
        """The models that wrote its steps, as far as it names any."""
        named = self.model_history if isinstance(self.model_history, list) else ()
        return [name for name in named if name and isinstance(name, str)]


class _Result(_Strict):
    majority_vote: Literal[0, 1]
    total_completion_tokens: Count


class _Record(_Strict):
    question: str
    result: _Result
    output: Annotated[list[_Trajectory], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class _Cell:
    """What one settings folder holds; ``prm`` is None where none scored."""

    task: str
    policy: str
    prm: str | None
    method: str
    width: int
    kept: int


@dataclass(frozen=True, slots=True)
class _Run:
    """One record: its origin and the facts of each of its answers."""

    member: str
    sha256: str
    answers: list[dict[str, Any]]
    n_tokens: int | None


def read_official_records(
    members: Iterable[Member],
    problems: Sequence[Problem],
    where: str,
    *,
    names: Names = OFFICIAL_NAMES,
    root: str = "",
    archive: str | None = None,
) -> Adoption:
    """Read every record among ``members``, files of the official code's output.

    A record belongs to the problem whose text is its question, exactly or up to white space. Of
    two records of one run the first is kept. Answers are extracted again, from the texts.

    Several record files of a search are repetitions of beam_search at N = width. Where it keeps
    one beam they are the subtrees of dvts as well, which make up N = width x their number.

    ``where`` they come from, for messages; ``root``: a path before theirs; ``archive``: the rows'
    ``archive_sha256``. Raises ``StudyError`` where no file has a place in the layout, or where
    steps below one policy's folders were written by several models (``model_history``); whatever
    else is wrong with one file becomes a finding.
    """
    find_problem = problem_matcher(problems)
    findings: list[tuple[str, Reason, str, bool]] = []
    runs: dict[_Cell, dict[tuple[Problem, int], _Run]] = {}
    n_companions, found_layout = 0, False
    writers: dict[str, Writers] = defaultdict(Writers)
    for member in members:
        place = _RECORD.fullmatch(f"{root}/{member.name}")
        found_layout |= place is not None
        try:
            if member.content is None:
                raise RecordError("unsafe", member.refusal or "")
            if place is None:
                if not _COMPANION.fullmatch(member.name):
                    raise RecordError("unrecognised", "not a file of the official layout")
                n_companions += 1
                continue
            cell = _cell(place, names)
            record = _parse(member.content, cell.kept)
            key = find_problem(record.question), int(place["number"])
            for answer in record.output:
                for name in answer.models:
                    writers[cell.policy].add("model_history", name, member.name)
            sha256 = hashlib.sha256(member.content).hexdigest()
            if first := runs.get(cell, {}).get(key):
                what = "the same bytes" if first.sha256 == sha256 else "another result of the run"
                raise RecordError("duplicate", f"{what} in {first.member}, which is kept")
        except RecordError as error:
            findings.append((member.name, error.reason, error.detail, False))
            continue
        answers, doubts = _facts(record, cell)
        runs.setdefault(cell, {})[key] = _Run(
            member.name, sha256, answers, known_tokens(record.result.total_completion_tokens)
        )
        findings += [(member.name, reason, detail, True) for reason, detail in doubts]
    if not found_layout:
        raise StudyError(
            "no record of the official code was found",
            where=where,
            cure="give the folder or archive that holds "
            "<TASK>_<method>/<policy>/<PRM>/<depth>_<width>_<num_seq>/question_<i>/record_<j>.jsonl",
        )
    return Adoption(
        samples=_frame(_sample_rows(runs), SAMPLES, archive),
        paths=_frame(_path_rows(runs), PATHS, archive),
        findings=pl.DataFrame(findings, schema=FINDINGS, orient="row"),
        n_records=sum(map(len, runs.values())),
        n_companions=n_companions,
    )


def _cell(place: re.Match[str], names: Names) -> _Cell:
    known = {"task": names.tasks, "policy": names.policies, "prm": names.prms}
    for kind, mapping in known.items():
        if place[kind] not in mapping:
            raise RecordError("unknown name", f"{kind} {place[kind]!r} has no registry name")
    width, kept = int(place["width"]), int(place["kept"])
    if kept == 0 or width == 0 or width % kept:
        raise RecordError("malformed", f"its folder states {kept} of {width} beams")
    return _Cell(
        names.tasks[place["task"]],
        names.policies[place["policy"]],
        names.prms[place["prm"]],
        place["method"],
        width,
        kept,
    )


def _parse(content: bytes, n_answers: int) -> _Record:
    """Raises ``RecordError``; the detail never repeats what the file says."""
    try:
        record = _Record.model_validate_json(content)
        require_single_keys(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        if first["type"] != "json_invalid":
            where = ".".join(map(str, first["loc"]))
            raise RecordError("malformed", f"{where}: {first['msg']}") from None
        # The official code ends each file with a line break, after the object.
        cut = not content.endswith(b"\n")
        raise RecordError("truncated" if cut else "malformed", first["msg"]) from None
    if [answer.path_idx for answer in record.output] != list(range(len(record.output))):
        raise RecordError("malformed", "output: path_idx does not count from 0")
    if len(record.output) > n_answers:
        raise RecordError("malformed", f"{len(record.output)} answers, expected {n_answers}")
    return record


def _facts(record: _Record, cell: _Cell) -> tuple[list[dict[str, Any]], list[tuple[Reason, str]]]:
    """The facts of each answer, and what is doubtful about the record."""
    answers, doubts = [], list[tuple[Reason, str]]()
    if len(record.output) < cell.kept:
        doubts.append(("answer count", f"{len(record.output)} answers, expected {cell.kept}"))
    if cell.method == "beam_search" and not record.result.total_completion_tokens:
        doubts.append(("tokens unknown", "of the search: the file says 0"))
    for output in record.output:
        steps = split_steps(output.text.replace(_STEP_TAG, STEP_DELIMITER))
        scores: list[float] | None = output.value
        if cell.prm is None or cell.method == "cot":
            scores = None
        elif len(output.value) != len(steps):
            scores = None
            detail = f"answer {output.path_idx}: {len(output.value)} scores for {len(steps)} steps"
            doubts.append(("step scores", detail))
        elif not all(0 <= score <= 1 for score in output.value):
            scores = None
            doubts.append(("step scores", f"answer {output.path_idx}: not probabilities"))
        history = output.token_history
        n_tokens = known_tokens(history if isinstance(history, int) else sum(history))
        if n_tokens is None:
            doubts.append(("tokens unknown", f"answer {output.path_idx}: the file says 0"))
        answers.append(
            {
                "answer": extract_answer(STEP_DELIMITER.join(steps)),
                "official_answer": output.extracted_answer,
                "official_correct": record.result.majority_vote == 1,
                "n_answers": len(record.output),
                "n_tokens": n_tokens,
                "n_steps": len(steps),
                "step_scores": scores,
            }
        )
    return answers, doubts


_Rows = Iterator[dict[str, Any]]
_Runs = Mapping[_Cell, Mapping[tuple[Problem, int], _Run]]


def _sample_rows(runs: _Runs) -> _Rows:
    n_before: Counter[tuple[str | None, ...]] = Counter()
    for cell in sorted(runs, key=lambda cell: cell.width):
        if cell.method == "beam_search":
            continue
        # Runs of another width are further samples of the same pool.
        pool = (cell.task, cell.policy, cell.prm, cell.method)
        for (problem, number), run in runs[cell].items():
            for path, facts in enumerate(run.answers):
                index = n_before[pool] + number * cell.width + path
                yield _row(cell, problem, run, facts, method=cell.method, sample_index=index)
        n_before[pool] += cell.width * (1 + max(number for _, number in runs[cell]))


def _path_rows(runs: _Runs) -> _Rows:
    for cell, by_key in runs.items():
        if cell.method != "beam_search":
            continue
        numbers = {number for _, number in by_key}
        is_dvts = cell.kept == 1 and len(numbers) > 1
        for (problem, number), run in by_key.items():
            searches: list[tuple[str, int | None, int, int]] = [
                ("beam_search", cell.width, number, 0)
            ]
            if is_dvts:
                searches.append(("dvts", None, 0, number))
            for method, budget, repetition, subtree in searches:
                for path, facts in enumerate(run.answers):
                    yield _row(
                        cell,
                        problem,
                        run,
                        facts,
                        method=method,
                        budget=budget,
                        beam_width=cell.width // cell.kept,
                        repetition=repetition,
                        subtree=subtree,
                        path=path,
                        n_tokens_tree=run.n_tokens,
                    )


def _row(
    cell: _Cell, problem: Problem, run: _Run, facts: dict[str, Any], **place: str | int | None
) -> dict[str, Any]:
    return {
        "task": cell.task,
        "policy": cell.policy,
        "prm": cell.prm,
        "problem_id": problem.problem_id,
        "problem_hash": problem.problem_hash,
        "member": run.member,
        "record_sha256": run.sha256,
        **facts,
        **place,
    }


def _frame(rows: _Rows, schema: pl.Schema, archive: str | None) -> pl.DataFrame:
    keys = list(schema)[: list(schema).index("answer")]
    return (
        pl.DataFrame(
            [{name: row.get(name) for name in schema} for row in rows], schema=schema, orient="row"
        )
        .with_columns(archive_sha256=pl.lit(archive, pl.String))
        .sort(keys, nulls_last=True)
    )
