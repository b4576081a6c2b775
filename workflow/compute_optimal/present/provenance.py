"""How the results came about, for machines: a Workflow Run RO-Crate beside them.

Names the workflow, what went into it with its sha256 (cells of the store, problem sets, printed
numbers), models with revisions and licences, the locks of the environments, every figure and table
with the cells behind it, and who answers for it. https://w3id.org/ro/wfrun/workflow
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compute_optimal import __version__
from compute_optimal.present.catalogue import Item, item_named
from compute_optimal.present.query import Row, answering_once
from compute_optimal.present.render import rows_of
from compute_optimal.store.partitions import PART, Partition, sha256_of
from compute_optimal.store.places import partition
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import ADOPTED_TABLES, Cell, Grid, collections
from compute_optimal.study.config import ModelEntry, Study
from compute_optimal.study.models import identity
from compute_optimal.study.spec import digest

if TYPE_CHECKING:
    from rocrate.model.entity import Entity
    from rocrate.rocrate import ROCrate

WORKFLOW = Path("Snakefile")
ENVIRONMENTS = Path("requirements")
PUBLISHED = Path("data/published")
COPIES = "provenance"
"""Folder beside the crate with what of the workflow it names: a crate holds its own files."""

_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_LICENCE = "https://spdx.org/licenses/MIT"
_FORMATS = {
    ".svg": "image/svg+xml",
    ".csv": "text/csv",
    ".html": "text/html",
    ".duckdb": "application/vnd.duckdb",
    ".json": "application/json",
    ".lock": "text/plain",
}

_KINDS_OF_METHOD: Mapping[str, tuple[str, ...]] = {
    "cot": ("greedy",),
    "majority": ("evaluation",),
    "pass_at_k": ("evaluation",),
    "best_of_n": ("evaluation", "best_of_n"),
    "beam_search": ("beam_search",),
    "dvts": ("dvts",),
}
"""Method -> the pools and searches that it is made of."""


def write_crate(
    study: Study, storage: Storage, database: Path, results: Sequence[Path], output: Path
) -> None:
    """Write the crate of a finished study as ``output``, in the folder of its results.

    ``results``: files below that folder, those of items of the catalogue named by them. The same
    results give the same bytes but for dates, which are those of the files. Raises ``StudyError``
    for a figure or table that the catalogue does not have.
    """
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1", gen_preview=False)
    crate.metadata.extra_contexts.append(_TERMS)
    folder = output.parent
    dates = sorted(path.stat().st_mtime for path in results)

    def add_entity(place: str, kind: str | list[str], **properties: Any) -> Entity:
        """Add a thing that is no file of the crate, once."""
        known = crate.get(place)
        if known is not None:
            return known
        content = {"@type": kind} | {
            name: value[0] if isinstance(value, list) and len(value) == 1 else value
            for name, value in properties.items()
            if value not in (None, [], "")
        }
        return crate.add(ContextEntity(crate, place, properties=content))

    def add_file(path: Path, **properties: Any) -> Entity:
        """Add a file of the crate, with its size and hash."""
        content = {
            "name": properties.pop("name", path.name),
            "contentSize": str(path.stat().st_size),
            "sha256": sha256_of(path),
            "encodingFormat": _FORMATS.get(path.suffix, "application/octet-stream"),
            **properties,
        }
        return crate.add_file(path, path.relative_to(folder).as_posix(), properties=content)

    authors = add_entity("#authors", "Organization", name="The authors of this study")
    licence = add_entity(_LICENCE, "CreativeWork", name="MIT License", identifier=_LICENCE)
    profiles = [
        add_entity(address, ["CreativeWork", "Profile"], name=name, version=number)
        for address, (name, number) in _PROFILES.items()
    ]
    crate.name = f"Results of the study {study.name}"
    crate.description = (
        "Figures, tables and verdicts of a reproduction of compute-optimal test-time scaling "
        "(arXiv 2502.06703), from stored samples, scores and searches."
    )
    crate.license = licence
    crate.publisher = authors
    crate.root_dataset["author"] = authors
    crate.datePublished = _date(dates[-1])

    workflow = crate.add_workflow(
        _copied(WORKFLOW, folder),
        f"{COPIES}/{WORKFLOW.name}",
        main=True,
        lang="snakemake",
        lang_version=f">={version('snakemake')}",
        properties={
            "name": "A reference study of compute-optimal test-time scaling",
            "version": __version__,
            "sha256": sha256_of(WORKFLOW),
            "encodingFormat": "text/plain",
        },
    )
    # After the workflow, with which the crate is given a profile of its own.
    crate.root_dataset["conformsTo"] = profiles
    workflow["license"] = licence
    workflow["author"] = authors
    workflow["creator"] = authors
    locks = [add_file(_copied(path, folder)) for path in sorted(ENVIRONMENTS.glob("*.lock"))]
    locks.append(add_file(_copied(Path(study.lock_file), folder), name="pinned models"))
    engine = add_entity(
        "#snakemake",
        "SoftwareApplication",
        name="Snakemake",
        version=version("snakemake"),
        url="https://snakemake.github.io",
    )
    workflow["softwareRequirements"] = [engine, *locks]

    models = {
        entry.name: add_entity(
            f"#model-{entry.name}", "SoftwareApplication", **_model(entry, study)
        )
        for entry in (*map(study.policy, study.policies), *map(study.prm, study.prms))
    }
    tasks = {
        name: add_entity(
            f"#task-{name}",
            "CreativeWork",
            name=name,
            sha256=study.task(name).sha256,
            url=study.task(name).url,
            license=study.task(name).licence,
        )
        for name in dict.fromkeys([*study.tasks, *(one.task for one in collections(study))])
    }
    printed = [
        add_entity(f"#{path.as_posix()}", "CreativeWork", name=path.name, sha256=sha256_of(path))
        for path in sorted(PUBLISHED.glob("*.csv"))
    ]
    cells: dict[str, tuple[Cell, Entity]] = {}
    for cell in Grid(study):
        place = cell.partition(storage.store)
        about = [tasks[cell.task], models[cell.policy], *([models[cell.prm]] if cell.prm else [])]
        stored = _hashes(place, (cell.kind,))
        entity = add_entity(
            f"#{place.directory}", "CreativeWork", name=place.directory, sha256=stored, about=about
        )
        cells[place.directory] = cell, entity
    adopted = {
        one.name: add_entity(
            f"#adopted-{one.name}",
            "CreativeWork",
            name=one.entry.title or one.name,
            url=one.entry.source,
            version=one.entry.commit,
            license=one.entry.licence,
            sha256=_hashes(partition(storage.store, one.spec), ADOPTED_TABLES),
            about=[tasks[one.task]],
        )
        for one in collections(study)
    }

    def add_collection(parts: Sequence[Entity]) -> Entity:
        """Add one collection of inputs, which results with the same inputs share."""
        name = digest({"parts": [part.id for part in parts]})
        return add_entity(
            f"#cells-{name}", "Collection", name=f"{len(parts)} inputs", hasPart=parts
        )

    files = []
    with answering_once(database):
        for path in sorted(results):
            properties: dict[str, Any] = {}
            if path.parent.name in ("figures", "tables"):
                item = item_named(path.stem)
                rows = _subjects(rows_of(item, database))
                behind = {
                    "study": [entity for cell, entity in cells.values() if _is_behind(cell, rows)],
                    "public": list(adopted.values()),
                    "printed": [],
                }[item.scale]
                properties["name"] = item.title
                properties["description"] = _described(item)
                properties["isBasedOn"] = add_collection([*behind, *printed])
            files.append(add_file(path, **properties))

    run = add_entity(
        "#run",
        "CreateAction",
        name=f"Run of the study {study.name}",
        description="All figures, tables and verdicts, from what is stored.",
        startTime=_date(dates[0]),
        endTime=_date(dates[-1]),
        agent=authors,
        instrument=workflow,
        object=[*(entity for _, entity in cells.values()), *adopted.values(), *printed],
        result=files,
    )
    crate.root_dataset["mentions"] = run
    _write(crate, output)


_SUBJECT = ("task", "policy", "prm", "method")
"""Columns that say what a row is about."""


def _subjects(rows: Sequence[Row]) -> list[Row]:
    """The different combinations of ``_SUBJECT`` of rows: thousands of rows have some hundred."""
    named = {tuple((name, row[name]) for name in _SUBJECT if name in row) for row in rows}
    return [dict(pairs) for pairs in named]


def _is_behind(cell: Cell, rows: Sequence[Row]) -> bool:
    """Whether any row is about the task, policy, PRM and method of this cell; a column that a row
    lacks excludes none."""
    return any(
        row.get("task", cell.task) in (cell.task, None)
        and row.get("policy", cell.policy) in (cell.policy, None)
        and (cell.prm is None or row.get("prm", cell.prm) in (cell.prm, None))
        and (
            # Buckets are made of the pool of difficulty, whatever the method.
            cell.pool == "difficulty"
            or (cell.pool if cell.kind == "samples" else cell.method)
            in _KINDS_OF_METHOD.get(str(row.get("method")), ((cell.pool or cell.method),))
            or (cell.kind == "step_scores" and row.get("method") == "best_of_n")
        )
        for row in rows
    )


def _described(item: Item) -> str:
    number = f"{item.reference} of the paper; " if item.reference else ""
    return f"{number}query {item.query}; scale: {item.scale}"


def _model(entry: ModelEntry, study: Study) -> dict[str, Any]:
    known = identity(entry, study.lock)
    address = f"https://huggingface.co/{entry.hub_id}" if entry.hub_id else None
    return {
        "name": entry.name,
        "version": known["revision"],
        "license": entry.licence,
        "url": address,
    }


def _hashes(place: Partition, tables: Sequence[str]) -> list[str]:
    """The sha256 of every part, read anew: its name holds only the beginning of it."""
    parts = [path for table in tables for path in place.parts(table)]
    assert all(PART.match(path.name) for path in parts)
    return [sha256_of(path) for path in parts]


def _copied(path: Path, folder: Path) -> Path:
    copy = folder / COPIES / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    return copy


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def _write(crate: ROCrate, output: Path) -> None:
    content = crate.metadata.generate()
    content["@graph"] = sorted(content["@graph"], key=_by_name)
    output.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _by_name(entity: Mapping[str, Any]) -> tuple[bool, bool, str]:
    """Key of an order with the crate's own description and its root first."""
    name = str(entity["@id"])
    return name != "ro-crate-metadata.json", name != "./", name
