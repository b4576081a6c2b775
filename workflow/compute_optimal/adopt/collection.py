"""A registered collection of rollouts: from its archive, or the hub, into the store."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from compute_optimal.adopt import Adoption, report
from compute_optimal.adopt.archives import content_sha256
from compute_optimal.adopt.official import read_official_output
from compute_optimal.adopt.search_and_learn import Run, read_search_and_learn
from compute_optimal.cells import adopted_spec, partition
from compute_optimal.config import AdoptedEntry, HubRollouts, TaskEntry
from compute_optimal.errors import StudyError
from compute_optimal.hub import Repository, ask, require_room
from compute_optimal.storage import Storage
from compute_optimal.tasks import Problem
from compute_optimal.tasks.datasets import mirror_folder


def adopt(entry: AdoptedEntry, task: TaskEntry, storage: Storage, source: Path | None) -> str:
    """Read a collection and store its facts; returns a report for people.

    ``source`` is the archive, or the folder, of one that is not on the hub; by default the
    registered file in the mirror. Raises ``StudyError`` where the collection cannot be had, is not
    the registered one, or holds nothing of the registered policy and PRM.
    """
    problems = storage.problems(task, None)
    adoption = (
        _from_hub(entry, source, problems)
        if entry.hub
        else _from_archive(entry, source, storage.mirror, problems)
    )
    mine = pl.col("policy").eq(entry.policy) & pl.col("prm").eq(entry.prm)
    samples, paths = adoption.samples.filter(mine), adoption.paths.filter(mine)
    if samples.is_empty() and paths.is_empty():
        raise StudyError(
            f"no rollout of {entry.policy} with {entry.prm} was found",
            where=f"adopted collection {entry.name}",
            cure="compare the registry entry with what the collection holds",
        )
    storage.facts(task, None)
    cell = partition(storage.store, adopted_spec(entry))
    for table, rows in (("adopted_samples", samples), ("adopted_paths", paths)):
        if rows.height:
            cell.append(table, rows)
    variant = "" if entry.variant == "paper" else f"Method variant: {entry.variant}.\n"
    return variant + report(adoption)


def _from_archive(
    entry: AdoptedEntry, source: Path | None, mirror: Path | None, problems: list[Problem]
) -> Adoption:
    if source is None:
        if (folder := mirror_folder(mirror)) is None:
            raise StudyError(
                "where is the archive?",
                where=f"adopted collection {entry.name}",
                cure=f"give --source, or name a mirror folder that holds {entry.file}",
            )
        source = folder / str(entry.file)
    if (actual := content_sha256(source)) != entry.sha256:
        raise StudyError(
            f"this is not the registered collection: its sha256 is {actual}, the registry says "
            f"{entry.sha256}",
            where=str(source),
            cure="fetch the registered one, or register this one under a name of its own",
        )
    return read_official_output(source, problems)


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
                entry.policy,
                entry.prm,
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
        found = sorted((Path(snapshot) / run.folder).rglob("*.parquet"))
        # A shard's name says how many there are; an interrupted download has fewer.
        n_shards = {int(n) for path in found for n in re.findall(r"-of-(\d+)\.parquet$", path.name)}
        return found if n_shards <= {len(found)} else []

    try:
        found = files(local=True)
    except LocalEntryNotFoundError:
        found = []
    if not found:
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
        found = ask(repository, lambda: files(local=False))
    if not found:
        raise StudyError(
            f"there is no parquet file in {run.folder}",
            where=f"{repository.address}, revision {run.revision}",
            cure="correct folder or revision in the registry",
        )
    shown = f"{run.hub_id}@{run.revision[:7]}/{run.folder}"
    return {f"{shown}/{path.name}": path for path in found}
