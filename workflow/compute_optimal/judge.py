"""Answers: extracted, graded, and grouped into classes of equivalent answers.

One table for everything that ends in an answer, whoever wrote it: ``pool`` is set for samples;
``prm``, ``method``, ``budget`` and ``subtree`` for the paths of searches. Runs and adopted
rollouts differ only in where the answers come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from compute_optimal import units
from compute_optimal.cells import partition
from compute_optimal.errors import StudyError
from compute_optimal.grading import grade
from compute_optimal.grading.extraction import extract_answer
from compute_optimal.grading.official import grade_official, official_extract
from compute_optimal.grading.plain import grade_plainly
from compute_optimal.storage import Storage
from compute_optimal.store import read_table, write_result

Request = Mapping[str, Any]

ANSWERS: dict[str, pl.DataType] = {
    "pool": pl.String(),
    "prm": pl.String(),
    "method": pl.String(),
    "budget": pl.Int64(),
    "problem_id": pl.String(),
    "repetition": pl.Int64(),
    "subtree": pl.Int64(),
    "sample_index": pl.Int64(),
    "answer": pl.String(),
    "official_answer": pl.String(),
    "official_verdict": pl.Boolean(),
    "n_tokens": pl.Int64(),
    "n_tokens_tree": pl.Int64(),
    "finish_reason": pl.String(),
    "margins": pl.List(pl.Float32()),
}
"""Columns of an answer before it is graded.

``budget`` is null for DVTS, whose subtrees serve every N. ``repetition`` counts runs of the same
search, of which a study makes one; null for samples, which are all independent. ``sample_index``
counts samples of a pool, or paths of a subtree. ``official_answer``: what the official code
extracts from a sample of the evaluation pool, and ``official_verdict``: what that code itself
recorded of it; null where that is not known. ``n_tokens`` were generated for this solution,
``n_tokens_tree`` for its whole tree, discarded ones included. ``margins`` are the logits of a
path's steps.
"""

_POSITION = [
    "pool", "prm", "method", "budget", "problem_id", "repetition", "subtree", "sample_index",
]  # fmt: skip


def judge_answers(
    spec: Request, storage: Storage, problems: Path, workers: int, output: Path
) -> None:
    """The rule ``grade_answers``: the graded answers of one (task, policy), run or adopted."""
    facts = read_table(problems)
    if "adopted" in spec:
        answers = answers_of_adopted(spec, storage)
    else:
        answers = answers_of_run(spec, storage, facts)
    graded = grade_answers(facts, answers, seconds=spec["seconds"], workers=workers)
    write_result(of_cell(graded, spec["task"]["name"], spec["policy"]), output)


def of_cell(frame: pl.DataFrame, task: str, policy: str) -> pl.DataFrame:
    """``frame`` with the task and policy that all of it is about."""
    return frame.select(pl.lit(task).alias("task"), pl.lit(policy).alias("policy"), pl.all())


def answers_of_run(request: Request, storage: Storage, problems: pl.DataFrame) -> pl.DataFrame:
    """The answers of one (task, policy): its pools and all searches that it took part in.

    ``request``: pools {name: {spec, n}}, searches [{prm, method, budget, spec, subtrees}].
    Raises ``StudyError`` where the store has lost rows that were there when the job was planned.
    """
    known = problems["problem_hash"].implode()
    frames = []
    for name, pool in request["pools"].items():
        cell = partition(storage.store, pool["spec"])
        rows = cell.read("samples", ["text", "n_tokens", "finish_reason"])
        rows = (
            stored_rows(rows, cell.directory)
            .filter(pl.col("problem_hash").is_in(known), pl.col("sample_index") < pool["n"])
            .with_columns(pool=pl.lit(name))
        )
        frames.append(rows)
    for search in request["searches"]:
        directory = partition(storage.store, search["spec"]).directory
        columns = ["text", "n_tokens", "ended_by", "margins", "generated_tokens"]
        rows = stored_rows(units.paths(storage.store, search["spec"], columns), directory)
        rows = rows.filter(
            pl.col("problem_hash").is_in(known), pl.col("subtree") < search["subtrees"]
        )
        names = {
            "path": "sample_index",
            "ended_by": "finish_reason",
            "generated_tokens": "n_tokens_tree",
        }
        frames.append(
            rows.rename(names).with_columns(
                prm=pl.lit(search["prm"]),
                method=pl.lit(search["method"]),
                budget=pl.lit(search["spec"].get("budget"), dtype=pl.Int64),
                repetition=pl.lit(0),
            )
        )
    # Rows are keyed by the text's hash: problems that share a text share their samples.
    return (
        _with_answers(pl.concat(frames, how="diagonal_relaxed"))
        .join(problems.select("problem_id", "problem_hash"), on="problem_hash")
        .pipe(_conformed)
    )


def answers_of_adopted(request: Request, storage: Storage) -> pl.DataFrame:
    """The answers of one adopted collection. ``request``: adopted (its spec)."""
    spec = request["adopted"]
    cell = partition(storage.store, spec)
    frames = []
    if (samples := cell.read("adopted_samples")).height:
        # The study's CoT is one greedy sample; whatever else was drawn alone is the pool.
        greedy = pl.col("method") == "cot"
        samples = samples.filter(~greedy | (pl.col("sample_index") == 0))
        pool = pl.when(greedy).then(pl.lit("greedy")).otherwise(pl.lit("evaluation"))
        # A record's verdict is about its vote: about this answer, where there is no other.
        recorded = pl.when(n_answers=1).then(pl.col("official_correct"))
        samples = samples.with_columns(pool=pool, official_verdict=recorded)
        frames.append(samples.drop("method", "prm", "official_correct"))
    if (paths := cell.read("adopted_paths")).height:
        paths = paths.rename({"path": "sample_index"}).drop("official_answer", "official_correct")
        frames.append(paths.with_columns(prm=pl.lit(spec["prm"])))
    if not frames:
        raise StudyError(
            f"no rollouts of {spec['policy']} on {spec['task']} have been adopted",
            where=cell.directory,
            cure="adopt its collection (python -m compute_optimal adopt NAME; the names are in "
            "config/registry/adopted.yaml), or fetch a store that has it",
        )
    return _conformed(pl.concat(frames, how="diagonal_relaxed"))


def scores_of(
    request: Request, storage: Storage, problems: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Step scores of the evaluation pool by PRM: problem_id, sample_index, margins.

    ``request``: scores {prm: spec}, or adopted {prm, spec}.
    """
    if "adopted" in request:
        cell = partition(storage.store, request["adopted"]["spec"])
        rows = cell.read("adopted_samples", ["margins"])
        if rows.is_empty():
            return {}
        return {request["adopted"]["prm"]: rows.filter(method="best_of_n").drop("method")}
    return {prm: scores_of_pool(spec, storage, problems) for prm, spec in request["scores"].items()}


def scores_of_pool(spec: Request, storage: Storage, problems: pl.DataFrame) -> pl.DataFrame:
    """Step scores of one PRM's cell: problem_id, sample_index, margins.

    Raises ``StudyError`` where the store has lost rows that were there when the job was planned,
    and where scores are of other texts than the samples'.
    """
    directory = partition(storage.store, spec).directory
    rows = stored_rows(units.scores(storage.store, spec), directory)
    return rows.join(problems.select("problem_id", "problem_hash"), on="problem_hash").select(
        "problem_id", "sample_index", "margins"
    )


def grade_answers(
    problems: pl.DataFrame, answers: pl.DataFrame, *, seconds: float, workers: int
) -> pl.DataFrame:
    """Grade ``ANSWERS``: ``answer_class``, ``correct``, ``status``, and what other graders say.

    Each different answer of a problem is graded once, in worker processes with a limit of
    ``seconds``. ``official_correct``: what the official code recorded of a sample of the evaluation
    pool, else what its rules say of the answer that it extracts; ``plain_correct``: what
    math-verify says as it comes. Both are null where they could not decide in time and for all
    other answers. Raises ``StudyError`` where an answer belongs to no problem.
    """
    if stray := sorted(set(answers["problem_id"]) - set(problems["problem_id"])):
        raise StudyError(
            f"{len(stray)} problems with answers are not in the task, such as {stray[0]}",
            where="grade-answers",
            cure="compare the task in the registry with what the answers were made for",
        )
    golds = dict(zip(problems["problem_id"], problems["answer"], strict=True))
    graded = grade(
        golds,
        answers.group_by("problem_id", "answer").agg(count=pl.len()).sort("problem_id", "answer"),
        seconds=seconds,
        workers=workers,
    )
    answers = answers.with_columns(
        official_answer=pl.when(pool="evaluation").then(pl.coalesce("official_answer", "answer"))
    )
    pool = answers.filter(pool="evaluation")
    unsaid = pool.filter(pl.col("official_verdict").is_null())
    official = grade_official(
        golds,
        unsaid.select("problem_id", answer="official_answer"),
        seconds=seconds,
        workers=workers,
    ).select("problem_id", pool=pl.lit("evaluation"), official_answer="answer", by_rules="correct")
    plain = grade_plainly(golds, pool, seconds=seconds, workers=workers).select(
        "problem_id", "answer", pool=pl.lit("evaluation"), plain_correct="correct"
    )
    key = ["problem_id", "answer"]
    return (
        answers.join(
            graded.select(*key, "answer_class", "correct", "status"),
            on=key,
            how="left",
            nulls_equal=True,
        )
        .join(plain, on=["pool", *key], how="left", nulls_equal=True)
        .join(
            official,
            on=["pool", "problem_id", "official_answer"],
            how="left",
            nulls_equal=True,
        )
        .with_columns(official_correct=pl.coalesce("official_verdict", "by_rules"))
        .drop("official_answer", "official_verdict", "by_rules")
        .sort(_POSITION)
    )


def stored_rows(rows: pl.DataFrame, where: str) -> pl.DataFrame:
    """Rows of a cell that was all stored. Raises ``StudyError`` where the store has lost them."""
    if rows.is_empty():
        raise StudyError(
            "the store holds no rows here, although all were stored",
            where=where,
            cure="the store was moved or emptied: give the command again with --forcerun "
            "draw_samples score_steps search_trees",
        )
    return rows


def _with_answers(texts: pl.DataFrame) -> pl.DataFrame:
    unique = texts.group_by("text").agg(
        is_sample=(pl.col("pool") == "evaluation").any(ignore_nulls=True)
        if "pool" in texts.columns
        else pl.lit(False)
    )
    found = [
        (text, extract_answer(text), official_extract(text) if is_sample else None)
        for text, is_sample in unique.iter_rows()
    ]
    schema = {"text": pl.String(), "answer": pl.String(), "official_answer": pl.String()}
    answers = pl.DataFrame(found, schema, orient="row")
    return texts.join(answers, on="text", how="left").drop("text")


def _conformed(rows: pl.DataFrame) -> pl.DataFrame:
    absent = {name: kind for name, kind in ANSWERS.items() if name not in rows.columns}
    return rows.with_columns(
        pl.lit(None, dtype=kind).alias(name) for name, kind in absent.items()
    ).select(pl.col(name).cast(kind) for name, kind in ANSWERS.items())
