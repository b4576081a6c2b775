"""A registered collection of rollouts: from its files, its listing or the hub, into the store."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from compute_optimal.adopt import (
    Adoption,
    counted,
    openr,
    qwen_math,
    report,
    rewardmath,
    search_and_learn_lines,
    zeroeval,
)
from compute_optimal.adopt.archives import archive_sha256
from compute_optimal.adopt.files import listed_files, rollout_files
from compute_optimal.adopt.official import read_official_records
from compute_optimal.adopt.records import GivenFile, TokenCounter
from compute_optimal.adopt.search_and_learn import Run, read_search_and_learn
from compute_optimal.adopt.tokens import token_counter
from compute_optimal.errors import StudyError
from compute_optimal.store.partitions import KEYS
from compute_optimal.store.places import partition
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import adopted_spec
from compute_optimal.study.config import AdoptedEntry, HubRollouts, ReaderName, Study, TaskEntry
from compute_optimal.study.hub import Repository, ask, require_room
from compute_optimal.tasks import Problem
from compute_optimal.tasks.datasets import mirror_folder

Reader = Callable[
    [AdoptedEntry, Sequence[GivenFile], Sequence[Problem], TokenCounter | None], Adoption
]

READERS: dict[ReaderName, Reader] = {
    "search_and_learn": search_and_learn_lines.read,
    "openr": openr.read,
    "zeroeval": zeroeval.read,
    "qwen_math": qwen_math.read,
    "rewardmath": rewardmath.read,
}


def adopt_all(study: Study, collections: Sequence[str], source: Path | None) -> Iterator[str]:
    """Adopt ``collections`` by name, by default all of a study; yields a report for each.

    One that cannot be had does not hold up the others: a ``StudyError`` at the end names all that
    failed. Raises it at once where ``source`` is given for more than one collection, or is not
    there: the problems need not be had for that.
    """
    storage, failed = Storage.of(study), list[StudyError]()
    if source is not None and len(collections) != 1:
        raise StudyError(
            "which collection is in the archive?",
            where=f"--source {source}",
            cure="name one collection",
        )
    if source is not None and not source.exists():
        raise StudyError(
            "no such file or folder",
            where=f"--source {source}",
            cure="name the archive or folder that holds the collection",
        )
    for name in collections or study.adopted:
        entry = study.adopted_collection(name)
        try:
            yield adopt(entry, study.task(entry.task), storage, source)
        except StudyError as error:
            failed.append(_in_collection(name, error))
    if len(failed) == 1:
        raise failed[0]
    if failed:
        raise StudyError(
            f"{len(failed)} collections were not adopted:\n" + "\n".join(map(str, failed)),
            where="adopt",
            cure="see each of them; the others are stored",
        )


def _in_collection(name: str, error: StudyError) -> StudyError:
    """``error`` with the name of its collection: files of several may have one path."""
    if name in str(error):
        return error
    where = f"{name}: {error.where}" if error.where else name
    named = StudyError(error.what, where=where, cure=error.cure)
    named.__cause__ = error
    return named


def adopt(entry: AdoptedEntry, task: TaskEntry, storage: Storage, source: Path | None) -> str:
    """Read a collection and store its facts; returns a report for people.

    ``source`` is the archive or folder of a collection that is not on the hub; by default it is
    looked for in the mirror and then in its repository. Raises ``StudyError`` where the collection
    cannot be had, is not the registered one, or holds nothing of the registered policy and PRM.
    """
    problems = storage.problems(task, None)
    why_not_counted = ""
    if entry.hub:
        adoption = _from_hub(entry, source, problems)
    elif entry.files:
        adoption, why_not_counted = _from_files(
            entry, source, mirror_folder(storage.mirror), problems
        )
    else:
        adoption = _from_listing(entry, source, mirror_folder(storage.mirror), problems)
    of_entry = pl.lit(True)
    if not entry.files:
        of_entry = pl.col("policy").eq(entry.policy) & pl.col("prm").eq(entry.prm)
    origin = {
        name: pl.coalesce(name, pl.lit(value, pl.String))
        for name, value in (("source", entry.source), ("commit", entry.commit))
    }
    tables = {
        "adopted_samples": adoption.samples.filter(of_entry).with_columns(**origin),
        "adopted_paths": adoption.paths.filter(of_entry).with_columns(**origin),
        "adopted_solutions": adoption.solutions.with_columns(**origin),
    }
    if not any(rows.height for rows in tables.values()):
        raise StudyError(
            f"no rollout of {entry.policy} with {entry.prm} was found",
            where=f"adopted collection {entry.name}",
            cure="compare the registry entry with what the collection holds",
        )
    storage.facts(task, None)
    cell = partition(storage.store, adopted_spec(entry))
    tables |= {
        "adopted_tokens": adoption.tokens,
        "adopted_files": adoption.files,
        "adopted_findings": counted(adoption.findings),
    }
    # Samples without their searches, or what was found wrong, would pass for the collection.
    with cell.whole() as written:
        for table, rows in tables.items():
            if rows.height:
                written.append(table, rows.sort(KEYS[table], nulls_last=True))
    lines = [f"{entry.name}:"]
    if entry.variant != "paper":
        lines.append(f"Method variant: {entry.variant}.")
    if why_not_counted:
        lines.append(f"Tokens are not counted again: {why_not_counted}.")
    lines += [f"Left out, {path}: {why}" for path, why in entry.left_out.items()]
    return "\n".join([*lines, report(adoption)])


def _from_files(
    entry: AdoptedEntry, source: Path | None, mirror: Path | None, problems: list[Problem]
) -> tuple[Adoption, str]:
    """What the files hold, and why tokens could not be counted: "" where they were, and where no
    tokenizer is registered."""
    assert entry.reader is not None
    count, why_not = token_counter(entry.tokenizer, mirror)
    given = rollout_files(entry, mirror, source)
    adoption = READERS[entry.reader](entry, given, problems, count)
    return adoption, why_not if entry.tokenizer else ""


def _from_listing(
    entry: AdoptedEntry, source: Path | None, mirror: Path | None, problems: list[Problem]
) -> Adoption:
    members = listed_files(entry, mirror, source)
    where = f"{entry.source} at {entry.commit}"
    return read_official_records(members, problems, where, archive=entry.sha256)


def _from_hub(entry: AdoptedEntry, source: Path | None, problems: list[Problem]) -> Adoption:
    if source is not None:
        raise StudyError(
            f"{entry.name} is read from the hub, at the commits of the registry",
            where=f"--source {source}",
            cure="leave --source out; without a network, copy the hub's cache (HF_HOME) from a "
            "machine that has the data sets",
        )
    repetitions: Counter[tuple[str, int]] = Counter()
    runs = []
    for run in entry.hub:
        # Runs of dvts serve every N, whatever their own.
        search = run.method, run.budget if run.method == "beam_search" else 0
        runs.append(
            Run(
                entry.task,
                str(entry.policy),
                str(entry.prm),
                run.method,
                run.budget,
                entry.beam_width,
                _hub_files(entry.name, run),
                repetitions[search],
            )
        )
        repetitions[search] += 1
    return read_search_and_learn(runs, problems)


def _hub_files(name: str, run: HubRollouts, api: Any = None) -> dict[str, Path]:
    """The parquet files of a run, from the hub's cache or else the hub, by their shown names."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import LocalEntryNotFoundError

    hub = api or HfApi()
    repository = Repository(f"{name} ({run.hub_id})", run.hub_id, "dataset", run.revision)
    pattern = f"{run.folder}/*.parquet"

    def files(*, local: bool) -> list[Path]:
        snapshot = hub.snapshot_download(
            run.hub_id,
            repo_type="dataset",
            revision=run.revision,
            allow_patterns=[pattern],
            local_files_only=local,
        )
        shards = sorted((Path(snapshot) / run.folder).rglob("*.parquet"))
        # A shard's name says how many there are; an interrupted download has fewer.
        n_shards = {
            int(n) for path in shards for n in re.findall(r"-of-(\d+)\.parquet$", path.name)
        }
        return shards if n_shards <= {len(shards)} else []

    try:
        shards = files(local=True)
    except LocalEntryNotFoundError:
        shards = []
    if not shards:
        listed = ask(
            repository,
            lambda: list(
                hub.list_repo_tree(
                    run.hub_id,
                    run.folder,
                    recursive=True,
                    repo_type="dataset",
                    revision=run.revision,
                )
            ),
        )
        require_room(repository.name, sum(getattr(item, "size", 0) for item in listed))
        shards = ask(repository, lambda: files(local=False))
    if not shards:
        raise StudyError(
            f"there is no parquet file in {run.folder}",
            where=f"{repository.address}, revision {run.revision}",
            cure="correct folder or revision in the registry",
        )
    shown = f"{run.hub_id}@{run.revision[:7]}/{run.folder}"
    named = {f"{shown}/{path.name}": path for path in shards}
    for name_shown, path in named.items():
        _require_bytes_of_name(name_shown, path)
    return named


def _require_bytes_of_name(shown: str, file: Path) -> None:
    """Raises ``StudyError`` for a file of the hub's cache that is not what it was fetched as.

    The cache links to contents that are named after their sha256. A damaged one must not be read: a
    changed byte gives another score, or a size for which the library that reads it ends the process
    without a word. A file under another name, such as a copy in place of the link, says nothing.
    """
    expected = file.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", expected) is None:
        return
    if (actual := archive_sha256(file)) != expected:
        raise StudyError(
            f"a file of the hub's cache is damaged: its sha256 is {actual}, expected {expected}",
            where=f"{shown}, at {file}",
            cure="remove it from the hub's cache and adopt again, which fetches it anew",
        )
