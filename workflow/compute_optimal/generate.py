"""The generate zone: look into the store, make what is missing, write it in parts.

Each public function serves one rule. It opens an engine only if something is missing, so that a
full store costs a second and needs neither torch nor vLLM. Re-issuing the command is the only way
to resume: what was finished is found again by its keys.
"""

from __future__ import annotations

import math
import platform
import time
import uuid
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from compute_optimal import __version__
from compute_optimal.cells import draw_spec, draws_partition, partition
from compute_optimal.config import ModelEntry, PromptFamily, TaskEntry
from compute_optimal.cost import GPU_MEMORY_SHARE, gpu_memory_shares
from compute_optimal.engines import (
    engine_version,
    gpu_memory_gib,
    open_sampling_engine,
    open_scoring_engine,
    servable_folder,
)
from compute_optimal.engines.requests import SamplingEngine, ScoringEngine
from compute_optimal.errors import StudyError
from compute_optimal.models import identity, model_folder
from compute_optimal.parts import COUNTS, ENGINE_SECONDS, SCHEMAS
from compute_optimal.policies.prompts import load_tokenizer, prompt_ids
from compute_optimal.prms import prm_format
from compute_optimal.search.beam import beam_search
from compute_optimal.search.common_answers import CommonAnswers, Drawn, Place
from compute_optimal.search.driver import Search, run
from compute_optimal.search.dvts import dvts
from compute_optimal.search.records import (
    Encode,
    Ledger,
    PoolResult,
    SamplingSettings,
    ScoresResult,
    SearchResult,
    SearchSettings,
)
from compute_optimal.search.sampling import draw, score_samples
from compute_optimal.spec import Spec, digest, seed_for
from compute_optimal.storage import Storage
from compute_optimal.store import Partition
from compute_optimal.tasks import Problem

Request = Mapping[str, Any]
Receipt = dict[str, Any]

SCORE_BATCH = 32
"""Steps that a search lets the PRM score at once: it shares its device with the policy."""

MAX_IN_FLIGHT = 512
"""Requests that an engine holds at once: twice its 256 slots, so that it never runs dry."""


def draw_samples(request: Request, storage: Storage) -> Receipt:
    """Ensure the pools of one (task, policy).

    ``request``: task, problems (limit or None), pools {name: {spec, n}}; that of a shard, here as
    below, also shard {number, of}, numbered from 1. Raises ``StudyError`` where something is
    missing and may not be, or cannot be, generated.
    """
    task = storage.registry.task(request["task"]["name"])
    hashes = _problem_hashes(task, request, storage)
    pools = request["pools"].values()

    def job_of(pool: Mapping[str, Any]) -> _Job:
        return _Job.of(storage, pool["spec"], "samples", hashes, range(pool["n"]))

    jobs = [job_of(pool) for pool in pools]
    if _to_do(jobs, storage):
        problems = _texts(task, request, storage)
        with _open_policy(storage, jobs[0].spec) as policy:
            for pool in pools:
                # Looked up anew: another run may have filled it in the meantime.
                _draw_pool(job_of(pool), problems, policy, storage)
    return _receipt(jobs)


def _draw_pool(
    job: _Job, problems: Mapping[str, Problem], policy: _Policy, storage: Storage
) -> None:
    settings = SamplingSettings(**_sampling_settings(job.spec))
    searches = (
        draw(problems[key], policy.prompt_ids(problems[key]), indices, settings)
        for key, indices in job.missing.items()
    )
    with _Parts([job], storage.part_seconds, policy=policy.engine) as parts:
        run(
            searches,
            sampling=policy.engine,
            on_finished=lambda result: parts.keep(
                job, _pool_rows(result), len(result.samples), [result.ledger]
            ),
            max_in_flight=MAX_IN_FLIGHT,
        )


def score_steps(request: Request, storage: Storage) -> Receipt:
    """Ensure the step scores that one PRM gives the evaluation pool of one (task, policy).

    ``request``: task, problems, n (samples per problem), spec. Samples without steps and inputs
    over the PRM's context are stored with that status and no margins. Raises ``StudyError`` as
    ``draw_samples`` does, and where the samples themselves are not in the store.
    """
    task, spec = storage.registry.task(request["task"]["name"]), request["spec"]
    hashes = _problem_hashes(task, request, storage)
    job = _Job.of(storage, spec, "step_scores", hashes, range(request["n"]))
    if _to_do([job], storage):
        problems = _texts(task, request, storage)
        texts = _sample_texts(storage, spec["samples"], job)
        with _open_prm(storage, spec) as prm:
            searches = (
                score_samples(problems[key], texts[key], prm.encode, prm_context=prm.context)
                for key in job.missing
            )
            with _Parts([job], storage.part_seconds, prm=prm.engine) as parts:
                run(
                    searches,
                    scoring=prm.engine,
                    on_finished=lambda result: parts.keep(
                        job, _score_rows(result), len(result.scores), [result.ledger]
                    ),
                    max_in_flight=MAX_IN_FLIGHT,
                )
    return _receipt([job])


def search_trees(request: Request, storage: Storage) -> Receipt:
    """Ensure all searches of one (task, policy, PRM): every method and budget in one run.

    ``request``: task, problems, searches [{spec, subtrees}]. Raises ``StudyError`` as
    ``draw_samples`` does.
    """
    task = storage.registry.task(request["task"]["name"])
    hashes = _problem_hashes(task, request, storage)
    jobs = [
        _Job.of(storage, search["spec"], "paths", hashes, range(search["subtrees"]))
        for search in request["searches"]
    ]
    if _to_do(jobs, storage):
        problems = _texts(task, request, storage)
        shares = _gpu_shares(storage, jobs[0].spec)
        with (
            _open_policy(storage, jobs[0].spec, shares["policy"]) as policy,
            _open_prm(storage, jobs[0].spec, shares["prm"]) as prm,
            _Parts(jobs, storage.part_seconds, policy=policy.engine, prm=prm.engine) as parts,
            _common_answers(storage, jobs[0].spec) as common,
        ):

            def searches() -> Iterator[Search[SearchResult]]:
                # Problem by problem over all methods and budgets: they have prompts and draws in
                # common, and a problem can be forgotten when its last search ends.
                for key in _in_turn(hashes, jobs[0].spec["prm"]["name"]):
                    for job in jobs:
                        if key in job.missing:
                            yield _search(job, problems[key], policy, prm)

            by_cell = {(job.spec["method"], job.spec.get("budget")): job for job in jobs}
            n_unfinished = Counter(key for job in jobs for key in job.missing)

            def keep(result: SearchResult) -> None:
                job = by_cell[result.method, result.budget]
                parts.keep(job, _search_rows(result), len(result.ledgers), result.ledgers)
                n_unfinished[result.problem_hash] -= 1
                if not n_unfinished[result.problem_hash]:
                    common.forget(result.problem_hash)

            run(
                searches(),
                sampling=policy.engine,
                scoring=prm.engine,
                on_finished=keep,
                max_in_flight=MAX_IN_FLIGHT,
                score_batch=SCORE_BATCH,
                common=common,
            )
    return _receipt(jobs)


def _in_turn(hashes: pl.Series, prm: str) -> list[str]:
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


def _search(job: _Job, problem: Problem, policy: _Policy, prm: _Prm) -> Search[SearchResult]:
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
    if spec["method"] == "beam_search":
        return beam_search(problem, ids, spec["budget"], settings, prm.encode)
    return dvts(problem, ids, job.missing[problem.problem_hash], settings, prm.encode)


# --- what is missing ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """One partition and the units of work (samples, subtrees) that it lacks, by problem hash."""

    spec: Spec
    partition: Partition
    missing: dict[str, list[int]]
    n_needed: int

    @classmethod
    def of(cls, storage: Storage, spec: Spec, table: str, hashes: pl.Series, units: range) -> _Job:
        found = partition(storage.store, spec)
        present = found.read(table, [])
        unit = "subtree" if table == "paths" else "sample_index"
        have = (
            set() if present.is_empty() else set(present.select("problem_hash", unit).iter_rows())
        )
        missing = {
            key: wanted
            for key in hashes.unique(maintain_order=True)
            if (wanted := [index for index in units if (key, index) not in have])
        }
        return cls(spec, found, missing, len(hashes) * len(units))

    @property
    def n_missing(self) -> int:
        return sum(map(len, self.missing.values()))


def _problem_hashes(task: TaskEntry, request: Request, storage: Storage) -> pl.Series:
    """The problems of a request; of a shard every so-manyth, so that shards take equally long."""
    hashes = storage.facts(task, request["problems"])["problem_hash"]
    if shard := request.get("shard"):
        hashes = hashes.gather_every(shard["of"], shard["number"] - 1)
    return hashes


def _to_do(jobs: Sequence[_Job], storage: Storage) -> bool:
    lacking = [job for job in jobs if job.missing]
    if lacking and storage.generate == "never":
        lines = [f"{j.partition.directory}: {j.n_missing:,} of {j.n_needed:,}" for j in lacking]
        raise StudyError(
            "rows are not in the store, and this study may not generate:\n    "
            + "\n    ".join(lines),
            where="generate: never",
            cure="set `generate: missing` and use an environment with an engine, or fetch a store",
        )
    return bool(lacking)


def _texts(task: TaskEntry, request: Request, storage: Storage) -> dict[str, Problem]:
    return {p.problem_hash: p for p in storage.problems(task, request["problems"])}


def _sample_texts(storage: Storage, samples: Spec, job: _Job) -> dict[str, dict[int, str]]:
    rows = partition(storage.store, samples).read("samples", ["text"])
    texts: dict[str, dict[int, str]] = {}
    if not rows.is_empty():
        wanted = {key: set(indices) for key, indices in job.missing.items()}
        for key, index, text in rows.select("problem_hash", "sample_index", "text").iter_rows():
            if index in wanted.get(key, ()):
                texts.setdefault(key, {})[index] = text
    if sum(map(len, texts.values())) < job.n_missing:
        raise StudyError(
            "the samples to be scored are not all in the store",
            where=partition(storage.store, samples).directory,
            cure="draw them first: give the command that you gave again",
        )
    return texts


# --- engines --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Policy:
    engine: SamplingEngine
    tokenizer: Any
    prompt: PromptFamily

    def prompt_ids(self, problem: Problem) -> tuple[int, ...]:
        return prompt_ids(self.tokenizer, self.prompt, problem.problem)


@dataclass(frozen=True)
class _Prm:
    engine: ScoringEngine
    encode: Encode
    context: int


def _gpu_shares(storage: Storage, spec: Spec) -> dict[str, float]:
    """Shares of GPU memory for the policy and the PRM of a search, which run on the same GPUs."""
    policy = storage.registry.policy(spec["policy"]["name"])
    prm = storage.registry.prm(spec["prm"]["name"])
    shares = gpu_memory_shares(policy, prm, gpu_memory_gib() or math.inf)
    return dict(zip(("policy", "prm"), shares, strict=True))


def _folder(entry: ModelEntry, storage: Storage) -> Path:
    """The locked model as an engine opens it; fetched, and converted, where it has to be."""
    folder = model_folder(entry, storage.lock)
    return servable_folder(folder, identity(entry, storage.lock))


@contextmanager
def _open_policy(
    storage: Storage, spec: Spec, gpu_memory: float = GPU_MEMORY_SHARE
) -> Iterator[_Policy]:
    registry = storage.registry
    entry = registry.policy(spec["policy"]["name"])
    folder = _folder(entry, storage)
    with closing(
        open_sampling_engine(
            folder,
            context=entry.context,
            dtype=entry.dtype,
            tensor_parallel=max(1, entry.n_gpus),
            gpu_memory=gpu_memory,
        )
    ) as engine:
        yield _Policy(engine, load_tokenizer(folder), registry.prompt_family(entry.prompt))


@contextmanager
def _open_prm(storage: Storage, spec: Spec, gpu_memory: float = GPU_MEMORY_SHARE) -> Iterator[_Prm]:
    registry = storage.registry
    entry = registry.prm(spec["prm"]["name"])
    folder = _folder(entry, storage)
    tokenizer, form = load_tokenizer(folder), prm_format(entry.format)
    with closing(
        open_scoring_engine(
            folder,
            entry.format,
            context=entry.context,
            dtype=entry.dtype,
            tensor_parallel=max(1, entry.n_gpus),
            gpu_memory=gpu_memory,
        )
    ) as engine:
        yield _Prm(engine, partial(form.encode, tokenizer), entry.context)


def _sampling_settings(spec: Spec) -> dict[str, Any]:
    return {
        "spec_digest": digest(spec),
        **{key: spec[key] for key in ("temperature", "top_p", "top_k", "max_tokens", "context")},
    }


# --- rows and parts -------------------------------------------------------------------------------

Rows = dict[str, list[dict[str, Any]]]


def _row(record: Any) -> dict[str, Any]:
    # asdict() would copy every value of every node.
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _pool_rows(result: PoolResult) -> Rows:
    problem = {"problem_id": result.problem_id, "problem_hash": result.problem_hash}
    return {"samples": [problem | _row(sample) for sample in result.samples]}


def _score_rows(result: ScoresResult) -> Rows:
    problem = {"problem_id": result.problem_id, "problem_hash": result.problem_hash}
    return {"step_scores": [problem | _row(score) for score in result.scores]}


def _search_rows(result: SearchResult) -> Rows:
    problem = {"problem_id": result.problem_id, "problem_hash": result.problem_hash}
    # Nodes first: a problem counts as done once its paths are there.
    return {
        "nodes": [problem | _row(node) for node in result.nodes],
        "paths": [problem | _row(path) for path in result.paths],
    }


class _Parts:
    """Buffers finished work and writes it as parts, every so many seconds and at the end.

    Also at the end that an engine's death makes: what was finished by then is kept.
    """

    def __init__(
        self,
        jobs: Sequence[_Job],
        seconds: float,
        *,
        policy: SamplingEngine | None = None,
        prm: ScoringEngine | None = None,
    ) -> None:
        self._seconds = seconds
        self._engines = (policy, prm)
        self._run = uuid.uuid4().hex[:12]
        self._number = 0
        self._buffers: dict[str, tuple[Partition, Rows, list[Ledger]]] = {
            digest(job.spec): (job.partition, {}, []) for job in jobs
        }
        self._written = time.monotonic()
        self._progress = tqdm(
            total=sum(job.n_missing for job in jobs),
            initial=0,
            unit="sample",
            desc=jobs[0].partition.directory,
            mininterval=2.0,
            ascii=True,
        )
        self._tokens = 0

    def __enter__(self) -> _Parts:
        self._started = self._written = time.monotonic()
        self._spent = self._engine_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._progress.close()

    def keep(self, job: _Job, rows: Rows, n_units: int, ledgers: Sequence[Ledger]) -> None:
        """Take the result of ``n_units`` units of a job."""
        _, buffered, costs = self._buffers[digest(job.spec)]
        for table, new in rows.items():
            buffered.setdefault(table, []).extend(new)
        costs.extend(ledgers)
        self._tokens += sum(
            x.generated_tokens - x.shared_tokens or x.prm_tokens_computed for x in ledgers
        )
        speed = self._tokens / max(1e-9, time.monotonic() - self._started)
        self._progress.set_postfix_str(f"{speed:,.0f} tokens/s", refresh=False)
        self._progress.update(n_units)
        if time.monotonic() - self._written >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered.

        Raises ``StudyError`` where the disk is full; what could not be written stays buffered, and
        is tried once more when the run ends.
        """
        now, spent = time.monotonic(), self._engine_seconds()
        since = {"seconds": now - self._written} | {
            name: spent[name] - self._spent[name] for name in ENGINE_SECONDS
        }
        busy = [buffer for buffer in self._buffers.values() if buffer[1] or buffer[2]]
        if not busy:
            return
        self._written, self._spent = now, spent
        work = [sum(map(_work, ledgers)) for _, _, ledgers in busy]
        for (where, rows, ledgers), done in zip(busy, work, strict=True):
            for table in list(rows):
                where.append(table, pl.DataFrame(rows[table], schema=SCHEMAS[table]))
                del rows[table]
            counts = {name: sum(getattr(x, name) for x in ledgers) for name in COUNTS}
            row = {
                "run": self._run,
                "part": self._number,
                # Cells of one run share its seconds by the tokens that were computed for them.
                **{name: value * done / sum(work) for name, value in since.items()},
                **counts,
                "engine": engine_version(),
                "machine": f"{platform.system()} {platform.machine()}",
                "package": __version__,
            }
            where.append("ledger", pl.DataFrame([row], schema=SCHEMAS["ledger"]))
            ledgers.clear()
            self._number += 1

    def _engine_seconds(self) -> dict[str, float]:
        clocks = (0.0 if engine is None else engine.seconds for engine in self._engines)
        return dict(zip(ENGINE_SECONDS, clocks, strict=True))


def _work(ledger: Ledger) -> int:
    """Tokens that both engines computed; at least 1, for a problem that needed none."""
    generated = ledger.generated_tokens - ledger.shared_tokens
    return max(1, generated + ledger.prm_tokens_computed - ledger.prm_tokens_shared)


def _receipt(jobs: Sequence[_Job]) -> Receipt:
    return {"partitions": {job.partition.directory: job.n_needed for job in jobs}}
