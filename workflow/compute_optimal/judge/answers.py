"""Answers: extracted, graded, and grouped into classes of equivalent answers.

One table for everything that ends in an answer, whoever wrote it: ``pool`` is set for samples;
``prm``, ``method``, ``budget`` and ``subtree`` for the paths of searches. Runs and adopted
rollouts differ only in where the answers come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.judge.grading import grade
from compute_optimal.judge.grading.extraction import extract_answer
from compute_optimal.judge.grading.official import grade_official, official_extract
from compute_optimal.judge.grading.plain import grade_plainly
from compute_optimal.store import units
from compute_optimal.store.columns import COUNT, TEXT, TRUTH, Column, Columns, common
from compute_optimal.store.partitions import KEYS, Partition, read_table, write_result
from compute_optimal.store.places import budget_of, partition
from compute_optimal.store.storage import Storage
from compute_optimal.study.requests import (
    AdoptedAnswersRequest,
    AdoptedScores,
    AnswersRequest,
    Graded,
    PoolPart,
    PrmSearchPart,
)
from compute_optimal.study.spec import Spec, verdicts_spec

ANSWERS = Columns(
    "Answers of samples and of searches' paths, one a row, before they are graded",
    {
        "pool": Column(TEXT, "Pool of the sample: evaluation, difficulty, greedy; null of a path"),
        "prm": Column(TEXT, "PRM that the search asked; null of a sample"),
        "method": Column(TEXT, "Search: beam_search or dvts; null of a sample"),
        "budget": Column(
            COUNT, "Budget N of beam search; null of a sample and of DVTS, which serve every N"
        ),
        **common("problem_id"),
        "repetition": Column(
            COUNT, "Number of the run of the same search, from 0; null of a sample"
        ),
        "subtree": Column(
            COUNT, "Number of the subtree of DVTS, from 0; 0 for beam search; null of a sample"
        ),
        "sample_index": Column(COUNT, "Number of the sample in its pool or path in its subtree"),
        "answer": Column(TEXT, "Answer as it is extracted; null where there is none"),
        "official_answer": Column(
            TEXT, "What the official code extracts, of the evaluation pool; null where not known"
        ),
        "official_verdict": Column(
            TRUTH, "What the official code recorded of its answer; null where not known"
        ),
        "n_tokens": Column(COUNT, "Tokens generated for this solution; null where unknown"),
        "n_tokens_tree": Column(
            COUNT, "Tokens generated for the whole tree, discarded ones included; null if unknown"
        ),
        "retokenised": Column(
            TRUTH, "Whether n_tokens was counted again from an adopted text; null of own runs"
        ),
        **common("finish_reason"),
        "margins": Column(
            pl.List(pl.Float32()), "PRM's logit margin for each step of a path; null of a sample"
        ),
    },
)
"""Columns of an answer before it is graded."""

_POSITION = [
    "pool", "prm", "method", "budget", "problem_id", "repetition", "subtree", "sample_index",
]  # fmt: skip


def judge_answers(
    request: AnswersRequest, storage: Storage, problems: Path, workers: int, output: Path
) -> None:
    """The rule ``grade_answers``: the graded answers of one run (task, policy), or of all that is
    adopted on a task.

    Raises ``StudyError`` where the store lacks what is to be graded, or an answer belongs to no
    problem.
    """
    facts, task = read_table(problems), request.task_name
    if isinstance(request, AdoptedAnswersRequest):
        graded = [
            of_cell(grade_adopted(adopted, request, storage, facts, workers=workers), task, policy)
            for policy, adopted in request.collections.items()
        ]
    else:
        answers = answers_of_run(request.pools, request.searches, storage, facts)
        judged = grade_answers(facts, answers, seconds=request.seconds, workers=workers)
        graded = [of_cell(judged, task, request.policy)]
    write_result(pl.concat(graded), output)


def of_cell(frame: pl.DataFrame, task: str, policy: str) -> pl.DataFrame:
    """``frame`` with the task and policy that all of it is about."""
    return frame.select(pl.lit(task).alias("task"), pl.lit(policy).alias("policy"), pl.all())


def answers_of_run(
    pools: Mapping[str, PoolPart],
    searches: Iterable[PrmSearchPart],
    storage: Storage,
    problems: pl.DataFrame,
) -> pl.DataFrame:
    """The answers of one (task, policy): its pools and all searches that it took part in.

    Raises ``StudyError`` where the store has lost rows that were there when the job was planned.
    """
    known = problems["problem_hash"].implode()
    frames = []
    for name, pool in pools.items():
        cell = partition(storage.store, pool.spec)
        rows = cell.read("samples", ["text", "n_tokens", "finish_reason"])
        rows = (
            stored_rows(rows, cell.directory)
            .filter(pl.col("problem_hash").is_in(known), pl.col("sample_index") < pool.n)
            .with_columns(pool=pl.lit(name))
        )
        frames.append(rows)
    for search in searches:
        directory = partition(storage.store, search.spec).directory
        columns = ["text", "n_tokens", "ended_by", "margins", "generated_tokens"]
        rows = stored_rows(units.paths(storage.store, search.spec, columns), directory)
        rows = rows.filter(pl.col("problem_hash").is_in(known), pl.col("subtree") < search.subtrees)
        names = {
            "path": "sample_index",
            "ended_by": "finish_reason",
            "generated_tokens": "n_tokens_tree",
        }
        frames.append(
            rows.rename(names).with_columns(
                prm=pl.lit(search.prm),
                method=pl.lit(search.method),
                budget=pl.lit(budget_of(search.spec), dtype=pl.Int64),
                repetition=pl.lit(0),
            )
        )
    # Rows are keyed by the text's hash: problems that share a text share their samples.
    return (
        _with_answers(pl.concat(frames, how="diagonal_relaxed"))
        .join(problems.select("problem_id", "problem_hash"), on="problem_hash")
        .pipe(_conformed)
    )


def answers_of_adopted(adopted: Spec, storage: Storage) -> pl.DataFrame:
    """The answers of the adopted collection with this spec.

    Raises ``StudyError`` where the store holds none of it.
    """
    cell = partition(storage.store, adopted)
    frames = []
    if (samples := cell.read("adopted_samples")).height:
        # The study's CoT is one greedy sample; whatever else was drawn alone is the pool.
        greedy = pl.col("method") == "cot"
        samples = _with_tokens(samples, cell, "samples")
        samples = samples.filter(~greedy | (pl.col("sample_index") == 0))
        pool = pl.when(greedy).then(pl.lit("greedy")).otherwise(pl.lit("evaluation"))
        # A record's verdict is about its vote: about this answer, where there is no other.
        recorded = pl.when(n_answers=1).then(pl.col("official_correct"))
        samples = samples.with_columns(pool=pool, official_verdict=recorded)
        frames.append(samples.drop("method", "prm", "official_correct"))
    if (paths := cell.read("adopted_paths")).height:
        paths = _with_tokens(paths, cell, "paths").with_columns(margins=_margins())
        paths = paths.rename({"path": "sample_index"}).drop("official_answer", "official_correct")
        frames.append(paths)
    if not frames:
        raise StudyError(
            f"no rollouts of {adopted['policy']} on {adopted['task']} have been adopted",
            where=cell.directory,
            cure="adopt the study's collections (make adopt CONFIG=...; their names are in "
            "config/registry/adopted.yaml), or fetch a store that has them",
        )
    return _conformed(pl.concat(frames, how="diagonal_relaxed"))


def _with_tokens(rows: pl.DataFrame, cell: Partition, kind: str) -> pl.DataFrame:
    """Tokens that the files do not say, where they were counted again."""
    counted = cell.read("adopted_tokens")
    if counted.is_empty():
        return rows.with_columns(retokenised=pl.lit(False))
    key = [name for name in KEYS[f"adopted_{kind}"] if name in rows.columns]
    again = counted.filter(kind=kind).select(*key, again="n_tokens")
    return rows.join(again, on=key, how="left", nulls_equal=True).with_columns(
        n_tokens=pl.coalesce("n_tokens", "again"),
        retokenised=pl.col("n_tokens").is_null() & pl.col("again").is_not_null(),
    )


def _margins() -> pl.Expr:
    """Logits of the step scores that others gave as probabilities; those of 0 and 1 are infinite.

    A score that was rounded to 1 is above every other: such scores tie, and are not lost. In 64
    bits: scores of few digits often add up to the same, which 32 bits of a logit would tell apart.
    """
    score = pl.element().cast(pl.Float64)
    return pl.col("step_scores").list.eval(score.log() - (-score).log1p())


def scores_of(
    scores: Mapping[str, Spec], storage: Storage, problems: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Step scores of the evaluation pool by PRM (``scores``: their specs): problem_id,
    sample_index, margins."""
    return {prm: scores_of_pool(spec, storage, problems) for prm, spec in scores.items()}


def scores_of_adopted(adopted: AdoptedScores, storage: Storage) -> dict[str, pl.DataFrame]:
    """The same of an adopted collection; none where no PRM scored it."""
    rows = partition(storage.store, adopted.spec).read("adopted_samples", ["step_scores"])
    if rows.is_empty() or adopted.prm is None:
        return {}
    rows = rows.filter(method="best_of_n").drop("method")
    if rows["step_scores"].null_count() == rows.height:
        return {}
    return {adopted.prm: rows.with_columns(margins=_margins()).drop("step_scores")}


def scores_of_pool(spec: Spec, storage: Storage, problems: pl.DataFrame) -> pl.DataFrame:
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
    return with_verdicts(answers, verdicts_on(problems, answers, seconds=seconds, workers=workers))


_GRADED = {
    "answer_class": Column(
        TEXT, "Class of equivalent answers to the problem, which votes count; null for no answer"
    ),
    "correct": Column(
        TRUTH, "Whether the answer is right; null if undecided in time, false for none"
    ),
    "status": Column(TEXT, "What became of grading: graded, timeout or no_answer"),
}
VERDICTS = Columns(
    "What each grader says of each different answer of a problem",
    {
        "grader": Column(TEXT, "Grader: own, official or plain"),
        **common("problem_id"),
        "answer": Column(TEXT, "Answer as it is extracted; null where there is none"),
        **_GRADED,
    },
)
"""What each grader (own, official, plain) says of each different answer of a problem.

``answer`` is null where there is none; that of the official rules is what the official code
extracts. Only the own grader makes classes and says a status.
"""


GRADED = Columns(
    "Graded answers of samples and of searches' paths, one a row",
    {
        name: column
        for name, column in ANSWERS.described.items()
        if name not in ("official_answer", "official_verdict")
    }
    | _GRADED
    | {
        "plain_correct": Column(
            TRUTH, "What math-verify says as it comes, of the evaluation pool; null if in no time"
        ),
        "official_correct": Column(
            TRUTH, "What the official rules say, of the evaluation pool; null if in no time"
        ),
    },
)
"""Columns of what ``with_verdicts`` gives."""


def verdicts_on(
    problems: pl.DataFrame, answers: pl.DataFrame, *, seconds: float, workers: int
) -> pl.DataFrame:
    """``VERDICTS`` on all answers; the other graders are asked about the evaluation pool only."""
    if stray := sorted(set(answers["problem_id"]) - set(problems["problem_id"])):
        raise StudyError(
            f"{len(stray)} problems with answers are not in the task, such as {stray[0]}",
            where="grade-answers",
            cure="compare the task in the registry with what the answers were made for",
        )
    golds = dict(zip(problems["problem_id"], problems["answer"], strict=True))
    asked = _asked(answers)
    limits: Any = {"seconds": seconds, "workers": workers}
    graded = {
        "own": grade(golds, asked["own"], **limits),
        "official": grade_official(golds, asked["official"], **limits),
        "plain": grade_plainly(golds, asked["plain"], **limits),
    }
    frames = [frame.with_columns(grader=pl.lit(name)) for name, frame in graded.items()]
    schema = {name: pl.lit(None, dtype=kind) for name, kind in VERDICTS.items()}
    return pl.concat(
        [
            frame.with_columns(
                **{n: null for n, null in schema.items() if n not in frame.columns}
            ).select(pl.col(name).cast(kind) for name, kind in VERDICTS.items())
            for frame in frames
        ]
    ).sort(KEYS["verdicts"])


def _asked(answers: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """What each grader is asked about: problem_id, answer and, for the own, count."""
    key = ["problem_id", "answer"]
    pool = _with_official_answers(answers).filter(pool="evaluation")
    unsaid = pool.filter(pl.col("official_verdict").is_null())
    return {
        "own": answers.group_by(key).agg(count=pl.len()).sort(key),
        "official": unsaid.select("problem_id", answer="official_answer").unique().sort(key),
        "plain": pool.select(key).unique().sort(key),
    }


def _with_official_answers(answers: pl.DataFrame) -> pl.DataFrame:
    extracted = pl.coalesce("official_answer", "answer")
    return answers.with_columns(official_answer=pl.when(pool="evaluation").then(extracted))


def with_verdicts(answers: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """``ANSWERS`` with what was said of them."""
    of = {
        grader: verdicts.filter(grader=grader).drop("grader")
        for grader in ("own", "official", "plain")
    }
    key, pool = ["problem_id", "answer"], pl.lit("evaluation").alias("pool")
    official = of["official"].select(
        pool, "problem_id", official_answer="answer", by_rules="correct"
    )
    return (
        _with_official_answers(answers)
        .join(of["own"], on=key, how="left", nulls_equal=True)
        .join(
            of["plain"].select(pool, *key, plain_correct="correct"),
            on=["pool", *key],
            how="left",
            nulls_equal=True,
        )
        .join(official, on=["pool", "problem_id", "official_answer"], how="left", nulls_equal=True)
        .with_columns(official_correct=pl.coalesce("official_verdict", "by_rules"))
        .drop("official_answer", "official_verdict", "by_rules")
        .sort(_POSITION)
    )


def grade_adopted(
    adopted: Spec, request: Graded, storage: Storage, problems: pl.DataFrame, *, workers: int
) -> pl.DataFrame:
    """The graded answers of the collection with the spec ``adopted``."""
    answers = answers_of_adopted(adopted, storage)
    verdicts = stored_verdicts(adopted, request, storage, problems, answers, workers=workers)
    return with_verdicts(answers, verdicts)


def stored_verdicts(
    adopted: Spec,
    request: Graded,
    storage: Storage,
    problems: pl.DataFrame,
    answers: pl.DataFrame,
    *,
    workers: int,
) -> pl.DataFrame:
    """The verdicts on an adopted collection: as they are stored, else graded and stored.

    They are an intermediate result like rollouts: made once for each version of the graders, and
    shipped. Where ``storage.verdicts`` is anew, all are made again, whatever is stored. What is
    stored counts only if it is about exactly these answers. ``request`` says the task, and which
    graders.
    """
    spec = verdicts_spec(
        adopted,
        request.task,
        grader=request.grader,
        other_graders=request.other_graders,
        seconds=request.seconds,
    )
    cell = partition(storage.store, spec)
    if storage.verdicts == "stored":
        stored = cell.read("verdicts")
        if stored.height and _is_about(stored, answers):
            return stored.select(*VERDICTS)
    made = verdicts_on(problems, answers, seconds=request.seconds, workers=workers)
    cell.append("verdicts", made)
    return made


def _is_about(verdicts: pl.DataFrame, answers: pl.DataFrame) -> bool:
    """Whether these are the verdicts on exactly these answers."""
    key = ["problem_id", "answer"]
    return all(
        verdicts.filter(grader=grader).select(key).sort(key).equals(asked.select(key).sort(key))
        for grader, asked in _asked(answers).items()
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
    extracted = [
        (text, extract_answer(text), official_extract(text) if is_sample else None)
        for text, is_sample in unique.iter_rows()
    ]
    schema = {"text": pl.String(), "answer": pl.String(), "official_answer": pl.String()}
    answers = pl.DataFrame(extracted, schema, orient="row")
    return texts.join(answers, on="text", how="left").drop("text")


def _conformed(rows: pl.DataFrame) -> pl.DataFrame:
    absent = {name: kind for name, kind in ANSWERS.items() if name not in rows.columns}
    return rows.with_columns(
        pl.lit(None, dtype=kind).alias(name) for name, kind in absent.items()
    ).select(pl.col(name).cast(kind) for name, kind in ANSWERS.items())
