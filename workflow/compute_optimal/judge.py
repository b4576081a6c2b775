"""Answers: extracted, graded, and grouped into classes of equivalent answers.

One table for everything that ends in an answer, whoever wrote it: ``pool`` is set for samples;
``prm``, ``method``, ``budget`` and ``subtree`` for the paths of searches. Runs and adopted
rollouts differ only in where the answers come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from compute_optimal import units
from compute_optimal.cells import partition
from compute_optimal.errors import StudyError
from compute_optimal.grading import grade
from compute_optimal.grading.extraction import extract_answer
from compute_optimal.grading.official import grade_official
from compute_optimal.storage import Storage

Request = Mapping[str, Any]

ANSWERS: dict[str, pl.DataType] = {
    "pool": pl.String(),
    "prm": pl.String(),
    "method": pl.String(),
    "budget": pl.Int64(),
    "problem_id": pl.String(),
    "subtree": pl.Int64(),
    "sample_index": pl.Int64(),
    "answer": pl.String(),
    "n_tokens": pl.Int64(),
    "n_tokens_tree": pl.Int64(),
    "finish_reason": pl.String(),
    "margins": pl.List(pl.Float32()),
}
"""Columns of an answer before it is graded.

``budget`` is null for DVTS, whose subtrees serve every N. ``sample_index`` counts samples of a
pool, or paths of a subtree. ``n_tokens`` were generated for this solution, ``n_tokens_tree`` for
its whole tree, discarded ones included. ``margins`` are the logits of a path's steps.
"""

_POSITION = ["pool", "prm", "method", "budget", "problem_id", "subtree", "sample_index"]


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
        frames.append(samples.with_columns(pool=pool).drop("method", "prm"))
    if (paths := cell.read("adopted_paths")).height:
        paths = paths.rename({"path": "sample_index"})
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
    """Add ``answer_class``, ``correct``, ``status`` and ``official_correct`` to ``ANSWERS``.

    Each different answer of a problem is graded once, in worker processes with a limit of
    ``seconds``. ``official_correct``: what the official rules say of an answer of the evaluation
    pool, null where they could not decide in time and for all other answers. Raises
    ``StudyError`` where an answer belongs to no problem.
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
    pool = answers.filter(pool="evaluation")
    again = grade_official(golds, pool, seconds=seconds, workers=workers).select(
        "problem_id", "answer", pool=pl.lit("evaluation"), official_correct="correct"
    )
    key = ["problem_id", "answer"]
    return (
        answers.join(
            graded.select(*key, "answer_class", "correct", "status"),
            on=key,
            how="left",
            nulls_equal=True,
        )
        .join(again, on=["pool", *key], how="left", nulls_equal=True)
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
    unique = texts.select(pl.col("text").unique())
    found = [extract_answer(text) for text in unique["text"]]
    unique = unique.with_columns(answer=pl.Series(found, dtype=pl.String))
    return texts.join(unique, on="text", how="left").drop("text")


def _conformed(rows: pl.DataFrame) -> pl.DataFrame:
    absent = {name: kind for name, kind in ANSWERS.items() if name not in rows.columns}
    return rows.with_columns(
        pl.lit(None, dtype=kind).alias(name) for name, kind in absent.items()
    ).select(pl.col(name).cast(kind) for name, kind in ANSWERS.items())
