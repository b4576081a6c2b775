"""Finished units as rows, and the parts that they are written in, with what each cost."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from compute_optimal import __version__
from compute_optimal.engines import engine_version
from compute_optimal.engines.requests import SamplingEngine, ScoringEngine
from compute_optimal.generate.missing import Work
from compute_optimal.search.records import Ledger, PoolResult, ScoresResult, SearchResult
from compute_optimal.store.partitions import KEYS, new_run
from compute_optimal.store.schemas import COUNTS_OF, NODE, PATH, SCHEMAS, SECONDS
from compute_optimal.study.spec import digest

Row = dict[str, Any]


def _row(record: Any) -> Row:
    # asdict() would copy every value of every node.
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _problem(result: PoolResult | ScoresResult | SearchResult) -> Row:
    return {"problem_id": result.problem_id, "problem_hash": result.problem_hash}


def pool_rows(result: PoolResult) -> list[Row]:
    """The samples of one problem, a row each."""
    return [_problem(result) | _row(sample) for sample in result.samples]


def score_rows(result: ScoresResult) -> list[Row]:
    """The scored samples of one problem, a row each."""
    return [_problem(result) | _row(score) for score in result.scores]


def search_rows(result: SearchResult) -> list[Row]:
    """The trees of one problem, a row each, which holds its nodes and paths."""
    rows = {
        ledger.subtree: {**_problem(result), "subtree": ledger.subtree, "nodes": [], "paths": []}
        for ledger in result.ledgers
    }
    for node in result.nodes:
        rows[node.subtree]["nodes"].append({name: getattr(node, name) for name in NODE})
    for path in result.paths:
        rows[path.subtree]["paths"].append({name: getattr(path, name) for name in PATH})
    return list(rows.values())


@dataclass(frozen=True)
class _Buffer:
    """What a run has made of a job: ``rows`` that are not written yet, and its ``own`` parts."""

    job: Work
    rows: list[Row] = field(default_factory=list)
    own: set[Path] = field(default_factory=set)


class Parts:
    """Buffers finished units and writes them as parts, every so many seconds and at the end, and
    joins these when all went well.

    Also at the end that an engine's death makes: what was finished by then is kept. A unit is one
    row of one part, which is there whole or not at all, and says what it cost.
    """

    def __init__(
        self,
        jobs: Sequence[Work],
        seconds: float,
        *,
        policy: SamplingEngine | None = None,
        prm: ScoringEngine | None = None,
    ) -> None:
        self._seconds = seconds
        self._engines = (policy, prm)
        self._run = new_run()
        self._buffers = {digest(job.spec): _Buffer(job) for job in jobs}
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

    def __enter__(self) -> Parts:
        self._started = self._written = time.monotonic()
        self._spent = self._clocks()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.flush(quickly=False)
        self._progress.close()
        # Whoever was interrupted may have seconds left.
        if kind is None:
            for buffer in self._buffers.values():
                buffer.job.partition.join(buffer.job.kind)

    def keep(self, job: Work, rows: Sequence[Row], ledgers: Sequence[Ledger]) -> None:
        """Take finished units of a job, and what each cost."""
        buffered = self._buffers[digest(job.spec)].rows
        for row, ledger in zip(rows, ledgers, strict=True):
            row |= {name: getattr(ledger, name) for name in COUNTS_OF[job.kind]}
            buffered.append(row)
            self._unpaid.append((row, ledger))
        self._tokens += sum(map(_n_computed, ledgers))
        speed = self._tokens / max(1e-9, time.monotonic() - self._started)
        self._progress.set_postfix_str(f"{speed:,.0f} tokens/s", refresh=False)
        self._progress.update(len(rows))
        if time.monotonic() - self._written >= self._seconds:
            self.flush()

    def flush(self, *, quickly: bool = True) -> None:
        """Write what is buffered; ``quickly`` as for ``Partition.append``.

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
        for buffer in self._buffers.values():
            if not buffer.rows:
                continue
            job, kind = buffer.job, buffer.job.kind
            frame = pl.DataFrame(buffer.rows, schema=SCHEMAS[kind]).with_columns(
                pl.lit(value).alias(name) for name, value in origin.items()
            )
            # What another run has stored meanwhile stays what it is: scores may have been given.
            stored = job.partition.look(kind, besides=buffer.own)
            if not stored.is_empty():
                frame = frame.join(stored, on=KEYS[kind], how="anti", maintain_order="left")
            if not frame.is_empty():
                buffer.own.add(job.partition.append(kind, frame, quickly=quickly))
            buffer.rows.clear()

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
