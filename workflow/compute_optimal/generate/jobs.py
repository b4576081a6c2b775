"""The generate zone: look into the store, make what is missing, write it in parts.

Each public function serves one rule. It opens an engine only if something is missing, so that a
full store costs a second and needs neither torch nor vLLM. Re-issuing the command is the only way
to resume: what was finished is found again by its keys.
"""

from __future__ import annotations

import math
import platform
import time
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
from compute_optimal.engines import (
    engine_version,
    gpu_memory_gib,
    open_sampling_engine,
    open_scoring_engine,
    servable_folder,
)
from compute_optimal.engines.requests import SamplingEngine, ScoringEngine
from compute_optimal.errors import StudyError
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
from compute_optimal.store import units
from compute_optimal.store.partitions import KEYS, Partition, new_run
from compute_optimal.store.schemas import COUNTS_OF, NODE, PATH, SCHEMAS, SECONDS
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import draw_spec, draws_partition, kind_of, partition
from compute_optimal.study.config import ModelEntry, PromptFamily, TaskEntry
from compute_optimal.study.cost import GPU_MEMORY_SHARE, gpu_memory_shares
from compute_optimal.study.models import identity, model_folder
from compute_optimal.study.spec import Spec, digest, seed_for
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
        return _Job.of(storage, pool["spec"], hashes, range(pool["n"]))

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
            on_finished=lambda result: parts.keep(job, _pool_rows(result), result.ledgers),
            max_in_flight=MAX_IN_FLIGHT,
        )


def score_steps(request: Request, storage: Storage) -> Receipt:
    """Ensure the step scores that one PRM gives the evaluation pool of one (task, policy).

    ``request``: task, problems, n (samples per problem), spec. Samples without steps and inputs
    over the PRM's context are stored with that status and no margins. Scores that were given for
    another text than the sample's are not there. Raises ``StudyError`` as ``draw_samples`` does,
    and where the samples themselves are not in the store.
    """
    task, spec = storage.registry.task(request["task"]["name"]), request["spec"]
    hashes = _problem_hashes(task, request, storage)
    job = _Job.of(storage, spec, hashes, range(request["n"]))
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
                    on_finished=lambda result: parts.keep(job, _score_rows(result), result.ledgers),
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
        _Job.of(storage, search["spec"], hashes, range(search["subtrees"]))
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
                parts.keep(job, _search_rows(result), result.ledgers)
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
    """One partition and the numbers of the units that it lacks, by problem hash."""

    spec: Spec
    table: str
    partition: Partition
    missing: dict[str, list[int]]
    n_needed: int

    @classmethod
    def of(cls, storage: Storage, spec: Spec, hashes: pl.Series, numbers: range) -> _Job:
        table = kind_of(spec)
        stored = units.stored(storage.store, spec)
        have: set[tuple[Any, ...]] = set()
        if not stored.is_empty():
            have = set(stored.select("problem_hash", units.NUMBERS[table]).iter_rows())
        missing = {
            key: wanted
            for key in hashes.unique(maintain_order=True)
            if (wanted := [number for number in numbers if (key, number) not in have])
        }
        found = partition(storage.store, spec)
        return cls(spec, table, found, missing, len(hashes) * len(numbers))

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

Row = dict[str, Any]


def _row(record: Any) -> Row:
    # asdict() would copy every value of every node.
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _problem(result: PoolResult | ScoresResult | SearchResult) -> Row:
    return {"problem_id": result.problem_id, "problem_hash": result.problem_hash}


def _pool_rows(result: PoolResult) -> list[Row]:
    return [_problem(result) | _row(sample) for sample in result.samples]


def _score_rows(result: ScoresResult) -> list[Row]:
    return [_problem(result) | _row(score) for score in result.scores]


def _search_rows(result: SearchResult) -> list[Row]:
    rows = {
        ledger.subtree: {**_problem(result), "subtree": ledger.subtree, "nodes": [], "paths": []}
        for ledger in result.ledgers
    }
    for node in result.nodes:
        rows[node.subtree]["nodes"].append({name: getattr(node, name) for name in NODE})
    for path in result.paths:
        rows[path.subtree]["paths"].append({name: getattr(path, name) for name in PATH})
    return list(rows.values())


class _Parts:
    """Buffers finished units and writes them as parts, every so many seconds and at the end.

    Also at the end that an engine's death makes: what was finished by then is kept. A unit is one
    row of one part, which is there whole or not at all, and says what it cost.
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
        self._run = new_run()
        self._buffers: dict[str, tuple[_Job, list[Row]]] = {
            digest(job.spec): (job, []) for job in jobs
        }
        self._unpaid: list[tuple[Row, Ledger]] = []
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
        self._spent = self._clocks()
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self._progress.close()

    def keep(self, job: _Job, rows: Sequence[Row], ledgers: Sequence[Ledger]) -> None:
        """Take finished units of a job, and what each cost."""
        _, buffered = self._buffers[digest(job.spec)]
        for row, ledger in zip(rows, ledgers, strict=True):
            row |= {name: getattr(ledger, name) for name in COUNTS_OF[job.table]}
            buffered.append(row)
            self._unpaid.append((row, ledger))
        self._tokens += sum(map(_n_computed, ledgers))
        speed = self._tokens / max(1e-9, time.monotonic() - self._started)
        self._progress.set_postfix_str(f"{speed:,.0f} tokens/s", refresh=False)
        self._progress.update(len(rows))
        if time.monotonic() - self._written >= self._seconds:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered.

        Raises ``StudyError`` where the disk is full; what could not be written stays buffered, and
        is tried once more when the run ends.
        """
        self._written = time.monotonic()
        if self._unpaid:
            self._share_seconds()
        origin = {
            "run": self._run,
            "engine": engine_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            "package": __version__,
        }
        for job, rows in self._buffers.values():
            if not rows:
                continue
            frame = pl.DataFrame(rows, schema=SCHEMAS[job.table]).with_columns(
                pl.lit(value).alias(name) for name, value in origin.items()
            )
            # What another run has stored meanwhile stays what it is: scores may have been given.
            there = job.partition.look(job.table)
            if not there.is_empty():
                frame = frame.join(there, on=KEYS[job.table], how="anti", maintain_order="left")
            if not frame.is_empty():
                job.partition.append(job.table, frame)
            rows.clear()

    def _share_seconds(self) -> None:
        """Give each unit its share of the seconds since the last time.

        Those of an engine are shared by the tokens that it computed, the rest by all of them.
        """
        clocks = self._clocks()
        passed = {name: clocks[name] - self._spent[name] for name in SECONDS}
        self._spent = clocks
        ledgers = [ledger for _, ledger in self._unpaid]
        both = _shares([max(1, _n_computed(ledger)) for ledger in ledgers])
        policy = _shares([*map(_n_generated, ledgers)]) or both
        prm = _shares([*map(_n_read, ledgers)]) or both
        rest = passed["seconds"] - passed["policy_seconds"] - passed["prm_seconds"]
        for (row, _), of_all, of_policy, of_prm in zip(
            self._unpaid, both, policy, prm, strict=True
        ):
            row["policy_seconds"] = passed["policy_seconds"] * of_policy
            row["prm_seconds"] = passed["prm_seconds"] * of_prm
            row["seconds"] = rest * of_all + row["policy_seconds"] + row["prm_seconds"]
        self._unpaid.clear()

    def _clocks(self) -> dict[str, float]:
        engines = (0.0 if engine is None else engine.seconds for engine in self._engines)
        return dict(zip(SECONDS, (time.monotonic(), *engines), strict=True))


def _n_generated(ledger: Ledger) -> int:
    return ledger.generated_tokens - ledger.shared_tokens


def _n_read(ledger: Ledger) -> int:
    return ledger.prm_tokens_computed - ledger.prm_tokens_shared


def _n_computed(ledger: Ledger) -> int:
    """Tokens that both engines computed for a unit."""
    return _n_generated(ledger) + _n_read(ledger)


def _shares(amounts: Sequence[int]) -> list[float]:
    """Each amount's share of all; none if all are 0."""
    total = sum(amounts)
    return [amount / total for amount in amounts] if total else []


def _receipt(jobs: Sequence[_Job]) -> Receipt:
    return {"partitions": {job.partition.directory: job.n_needed for job in jobs}}
