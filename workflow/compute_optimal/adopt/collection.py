"""A registered collection of rollouts: from its archive into the store."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from compute_optimal.adopt import report
from compute_optimal.adopt.archives import archive_sha256
from compute_optimal.adopt.official import read_official_output
from compute_optimal.cells import adopted_spec, partition
from compute_optimal.config import AdoptedEntry, TaskEntry
from compute_optimal.errors import StudyError
from compute_optimal.storage import Storage


def adopt(entry: AdoptedEntry, task: TaskEntry, storage: Storage, source: Path | None) -> str:
    """Read the collection's archive and store its facts; returns a report for people.

    ``source`` is the archive or folder; by default the registered file in the mirror. Raises
    ``StudyError`` where the archive is missing or not the registered one, or holds nothing of the
    registered policy and PRM.
    """
    if source is None:
        if storage.mirror is None:
            raise StudyError(
                "where is the archive?",
                where=f"adopted collection {entry.name}",
                cure=f"give --source, or name a mirror folder that holds {entry.file}",
            )
        source = storage.mirror / entry.file
    if (actual := archive_sha256(source)) is not None and actual != entry.sha256:
        raise StudyError(
            f"this is not the registered archive: its sha256 is {actual}, the registry says "
            f"{entry.sha256}",
            where=str(source),
            cure="fetch the registered one, or register this one under a name of its own",
        )
    adoption = read_official_output(source, storage.problems(task, None))
    mine = pl.col("policy").eq(entry.policy) & pl.col("prm").eq(entry.prm)
    samples, paths = adoption.samples.filter(mine), adoption.paths.filter(mine)
    if samples.is_empty() and paths.is_empty():
        raise StudyError(
            f"no rollout of {entry.policy} with {entry.prm} was found",
            where=str(source),
            cure="compare the registry entry with the folders of the archive",
        )
    storage.facts(task, None)
    cell = partition(storage.store, adopted_spec(entry))
    for table, rows in (("adopted_samples", samples), ("adopted_paths", paths)):
        if rows.height:
            cell.append(table, rows)
    return report(adoption)
