"""The generate zone: look into the store, make what is missing, write it in parts.

Each public function serves one rule (``rules``). It opens an engine only if something is missing,
so that a full store costs a second and needs neither torch nor vLLM. Re-issuing the command is the
only way to resume: what was finished is found again by its keys.

``missing`` says what is not stored, ``loading`` opens the models, ``parts`` writes what they made.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import polars as pl

from compute_optimal.engines.sizes import in_flight, score_batch
from compute_optimal.generate.loading import (
    Policy,
    Prm,
    gpu_shares,
    gpus_of,
    open_policy,
    open_prm,
)
from compute_optimal.generate.missing import (
    Only,
    Work,
    problem_hashes,
    problem_texts,
    sample_texts,
    something_to_do,
)
from compute_optimal.generate.parts import Parts, pool_rows, score_rows, search_rows
from compute_optimal.search.beam import beam_search
from compute_optimal.search.common_answers import CommonAnswers, Drawn, Place
from compute_optimal.search.driver import Search, run
from compute_optimal.search.dvts import dvts
from compute_optimal.search.records import SamplingSettings, SearchResult, SearchSettings
from compute_optimal.search.sampling import draw, score_samples
from compute_optimal.store.places import budget_of, draws_partition, method_of, prm_of, samples_of
from compute_optimal.store.schemas import SCHEMAS
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import draw_spec
from compute_optimal.study.requests import (
    PoolPart,
    SamplesRequest,
    ScoresRequest,
    SearchesRequest,
)
from compute_optimal.study.spec import Spec, digest, seed_for
from compute_optimal.tasks import Problem

Receipt = dict[str, dict[str, int]]
"""What a job wrote down: partitions, and how many units of each it needs."""


def draw_samples(request: SamplesRequest, storage: Storage, only: Only | None = None) -> Receipt:
    """Ensure the pools of one (task, policy), or a shard of them, or those units in ``only``.

    Raises ``StudyError`` where something is missing and may not be, or cannot be, generated.
    """
    task = storage.registry.task(request.task_name)
    hashes = problem_hashes(task, request, storage)
    pools = request.pools.values()

    def job_of(pool: PoolPart) -> Work:
        return Work.of(storage, pool.spec, hashes, range(pool.n), only)

    jobs = [job_of(pool) for pool in pools]
    if something_to_do(jobs, storage):
        problems = problem_texts(task, request, storage)
        with _gpus(storage, jobs[0]), open_policy(storage, jobs[0].spec) as policy:
            for pool in pools:
                # Looked up anew: another run may have filled it in the meantime.
                _draw_pool(job_of(pool), problems, policy, storage)
    return _receipt(jobs)


def _gpus(storage: Storage, job: Work) -> AbstractContextManager[None]:
    return gpus_of(storage, job.spec, job.partition.directory)


def _draw_pool(
    job: Work, problems: Mapping[str, Problem], policy: Policy, storage: Storage
) -> None:
    settings = SamplingSettings(**_sampling_settings(job.spec))
    searches = (
        draw(problems[key], policy.prompt_ids(problems[key]), indices, settings)
        for key, indices in job.missing.items()
    )
    with Parts([job], storage.part_seconds, policy=policy.engine) as parts:
        run(
            searches,
            sampling=policy.engine,
            on_finished=lambda result: parts.keep(job, pool_rows(result), result.ledgers),
            max_in_flight=in_flight(policy.slots),
        )


def score_steps(request: ScoresRequest, storage: Storage, only: Only | None = None) -> Receipt:
    """Ensure the step scores that one PRM gives the evaluation pool of one (task, policy); of
    these, those in ``only``.

    Samples without steps and inputs over the PRM's context are stored with that status and no
    margins. Scores that were given for another text than the sample's are not there. Raises
    ``StudyError`` as ``draw_samples`` does, and where the samples are not in the store.
    """
    task, spec = storage.registry.task(request.task_name), request.spec
    hashes = problem_hashes(task, request, storage)
    job = Work.of(storage, spec, hashes, range(request.n), only)
    if something_to_do([job], storage):
        problems = problem_texts(task, request, storage)
        texts = sample_texts(storage, samples_of(spec), job)
        with _gpus(storage, job), open_prm(storage, spec) as prm:
            searches = (
                score_samples(problems[key], texts[key], prm.encode, prm_context=prm.context)
                for key in job.missing
            )
            with Parts([job], storage.part_seconds, prm=prm.engine) as parts:
                run(
                    searches,
                    scoring=prm.engine,
                    on_finished=lambda result: parts.keep(job, score_rows(result), result.ledgers),
                    max_in_flight=in_flight(prm.slots),
                )
    return _receipt([job])


def search_trees(request: SearchesRequest, storage: Storage, only: Only | None = None) -> Receipt:
    """Ensure all searches of one (task, policy, PRM), every method and budget in one run; of these,
    those in ``only``.

    Raises ``StudyError`` as ``draw_samples`` does.
    """
    task = storage.registry.task(request.task_name)
    hashes = problem_hashes(task, request, storage)
    jobs = [
        Work.of(storage, search.spec, hashes, range(search.subtrees), only)
        for search in request.searches
    ]
    if something_to_do(jobs, storage):
        problems = problem_texts(task, request, storage)
        with _gpus(storage, jobs[0]):
            _run_searches(jobs, hashes, problems, storage)
    return _receipt(jobs)


def _run_searches(
    jobs: Sequence[Work], hashes: pl.Series, problems: Mapping[str, Problem], storage: Storage
) -> None:
    shares = gpu_shares(storage, jobs[0].spec)
    with (
        open_policy(storage, jobs[0].spec, shares["policy"]) as policy,
        open_prm(storage, jobs[0].spec, shares["prm"]) as prm,
        Parts(jobs, storage.part_seconds, policy=policy.engine, prm=prm.engine) as parts,
        _common_answers(storage, jobs[0].spec) as common,
    ):

        def searches() -> Iterator[Search[SearchResult]]:
            # Problem by problem over all methods and budgets: they have prompts and draws in
            # common, and a problem can be forgotten when its last search ends.
            for key in _rotated(hashes, prm_of(jobs[0].spec)):
                for job in jobs:
                    if key in job.missing:
                        yield _search(job, problems[key], policy, prm)

        by_cell = {(method_of(job.spec), budget_of(job.spec)): job for job in jobs}
        n_unfinished = Counter(key for job in jobs for key in job.missing)

        def keep(result: SearchResult) -> None:
            job = by_cell[result.method, result.budget]
            parts.keep(job, search_rows(result), result.ledgers)
            n_unfinished[result.problem_hash] -= 1
            if not n_unfinished[result.problem_hash]:
                common.forget(result.problem_hash)

        run(
            searches(),
            sampling=policy.engine,
            scoring=prm.engine,
            on_finished=keep,
            max_in_flight=in_flight(policy.slots),
            score_batch=score_batch(policy.slots),
            common=common,
        )


def _rotated(hashes: pl.Series, prm: str) -> list[str]:
    """Problems from one on that depends on the PRM.

    Jobs of several PRMs that run at the same time are then at different problems, and each finds
    what the others have drawn.
    """
    keys = hashes.unique(maintain_order=True).to_list()
    first = seed_for(prm) % max(1, len(keys))
    return [*keys[first:], *keys[:first]]


@contextmanager
def _common_answers(storage: Storage, spec: Spec) -> Iterator[CommonAnswers]:
    """Answers in common with all searches of the same draws that the store knows of."""
    draws = draw_spec(spec)

    def load(problem_hash: str) -> Iterable[tuple[Place, Drawn]]:
        rows = draws_partition(storage.store, draws, problem_hash).read("draws")
        if rows.is_empty():
            return
        for history, attempt, number, text, ids, reason in rows.select(
            list(SCHEMAS["draws"])
        ).iter_rows():
            yield (history, attempt, number), Drawn(text, array("I", ids), reason)

    def save(problem_hash: str, new: Mapping[Place, Drawn]) -> None:
        rows = [
            (*place, drawn.text, drawn.token_ids.tolist(), drawn.finish_reason)
            for place, drawn in sorted(new.items())
        ]
        frame = pl.DataFrame(rows, schema=SCHEMAS["draws"], orient="row")
        draws_partition(storage.store, draws, problem_hash).append("draws", frame)

    common = CommonAnswers(load, save)
    try:
        yield common
    finally:
        common.forget_all()


def _search(job: Work, problem: Problem, policy: Policy, prm: Prm) -> Search[SearchResult]:
    spec = job.spec
    settings = SearchSettings(
        **_sampling_settings(draw_spec(spec)),
        max_step_tokens=spec["max_step_tokens"],
        beam_width=spec["beam_width"],
        max_steps=spec["max_steps"],
        prm_context=prm.context,
        variant=spec["variant"],
    )
    ids = policy.prompt_ids(problem)
    if budget := budget_of(spec):
        return beam_search(problem, ids, budget, settings, prm.encode)
    return dvts(problem, ids, job.missing[problem.problem_hash], settings, prm.encode)


def _sampling_settings(spec: Spec) -> dict[str, Any]:
    return {
        "spec_digest": digest(spec),
        **{key: spec[key] for key in ("temperature", "top_p", "top_k", "max_tokens", "context")},
    }


def _receipt(jobs: Sequence[Work]) -> Receipt:
    return {"partitions": {job.partition.directory: job.n_needed for job in jobs}}
