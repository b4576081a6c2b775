"""What a job lacks: which units of its partitions are not stored, and the texts to make them of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.store import units
from compute_optimal.store.partitions import Partition
from compute_optimal.store.places import Kind, kind_of, partition
from compute_optimal.store.storage import Storage
from compute_optimal.study.config import TaskEntry
from compute_optimal.study.requests import OfShards
from compute_optimal.study.spec import Spec, digest
from compute_optimal.tasks import Problem

Only = Mapping[str, Mapping[str, Collection[int]]]
"""Units to be made of all that a request names: digest of their spec -> problem hash -> numbers."""


@dataclass(frozen=True)
class Work:
    """One partition and the numbers of the units that it lacks, by problem hash."""

    spec: Spec
    kind: Kind
    partition: Partition
    missing: dict[str, list[int]]
    n_needed: int

    @classmethod
    def of(
        cls,
        storage: Storage,
        spec: Spec,
        hashes: pl.Series,
        numbers: range,
        only: Only | None = None,
    ) -> Work:
        """What is missing of ``numbers`` for each problem; of these, those in ``only``."""
        kind = kind_of(spec)
        chosen = None if only is None else only.get(digest(spec), {})
        stored = units.stored(storage.store, spec)
        have: set[tuple[Any, ...]] = set()
        if not stored.is_empty():
            have = set(stored.select("problem_hash", units.NUMBERS[kind]).iter_rows())
        missing = {
            key: wanted
            for key in hashes.unique(maintain_order=True)
            if (
                wanted := [
                    number
                    for number in numbers
                    if (key, number) not in have
                    and (chosen is None or number in chosen.get(key, ()))
                ]
            )
        }
        cell = partition(storage.store, spec)
        return cls(spec, kind, cell, missing, len(hashes) * len(numbers))

    @property
    def n_missing(self) -> int:
        return sum(map(len, self.missing.values()))


def problem_hashes(task: TaskEntry, request: OfShards, storage: Storage) -> pl.Series:
    """The problems of a request; of a shard every so-manyth, so that shards take equally long."""
    hashes = storage.facts(task, request.problems)["problem_hash"]
    if shard := request.shard:
        hashes = hashes.gather_every(shard.of, shard.number - 1)
    return hashes


def something_to_do(jobs: Sequence[Work], storage: Storage) -> bool:
    """Whether any unit is missing. Raises ``StudyError`` where one is and may not be generated."""
    lacking = [work for work in jobs if work.missing]
    if lacking and storage.generate == "never":
        lines = [f"{j.partition.directory}: {j.n_missing:,} of {j.n_needed:,}" for j in lacking]
        raise StudyError(
            "rows are not in the store, and this study may not generate:\n    "
            + "\n    ".join(lines),
            where="generate: never",
            cure="set `generate: missing` and use an environment with an engine, or fetch a store",
        )
    return bool(lacking)


def problem_texts(task: TaskEntry, request: OfShards, storage: Storage) -> dict[str, Problem]:
    """The problems of a request with their texts, by problem hash."""
    return {p.problem_hash: p for p in storage.problems(task, request.problems)}


def sample_texts(storage: Storage, samples: Spec, work: Work) -> dict[str, dict[int, str]]:
    """Texts of the samples that lack scores, by problem hash and sample.

    Raises ``StudyError`` where the store has not all of them.
    """
    rows = partition(storage.store, samples).read("samples", ["text"])
    texts: dict[str, dict[int, str]] = {}
    if not rows.is_empty():
        wanted = {key: set(indices) for key, indices in work.missing.items()}
        for key, index, text in rows.select("problem_hash", "sample_index", "text").iter_rows():
            if index in wanted.get(key, ()):
                texts.setdefault(key, {})[index] = text
    if sum(map(len, texts.values())) < work.n_missing:
        raise StudyError(
            "the samples to be scored are not all in the store",
            where=partition(storage.store, samples).directory,
            cure="draw them first: give the command that you gave again",
        )
    return texts
