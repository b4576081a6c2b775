"""Expected results: small tables that ship beside the store, for others to recompute and compare.

Layout of one study's folder (``data/expected/<study>/``)::

    rows.csv        every table of the store: its number of rows and the sha256 of their content
    answers.csv     what grading found, in counts
    curves.csv.gz   every strategy's accuracy at the study's budgets
    tables/*.csv    the tables of the catalogue
    claims.csv      the verdicts, where the study has them
    manifest.json   sha256 and bytes of these files
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.present.query import run_query
from compute_optimal.store.partitions import Store, atomic_write, write_json
from compute_optimal.study.cells import all_partitions
from compute_optimal.study.config import Study
from compute_optimal.study.plan import StudyPlan

Files = Mapping[str, bytes]
"""Path within the folder of a study's expected results -> content."""

DATABASE = "study.duckdb"
MANIFEST = "manifest.json"
CLAIMS = "claims.csv"
_PACKED = ("curves.csv",)
"""Files that are stored by gzip: a tenth of their size, which is most of what ships here."""
_FILE = re.compile(r"(?:[\w-]+/)?[\w-]+\.csv(?:\.gz)?")
"""Name of a file of expected results."""
_QUERIES = ("answers", "curves")


def recompute(study: Study, folder: Path, *, cores: int) -> Files:
    """Every expected result of ``study``, from its shipped store alone, in the new ``folder``.

    The study's own workflow makes them: all answers are graded anew, adopted ones too, whose
    verdicts then lie in ``folder`` (``graded_anew``); nothing of earlier results or of the writable
    store is read, and no model runs. Raises ``StudyError`` with the workflow's own
    last words where a step fails, as it does on a damaged or incomplete store.
    """
    shipped = study.store.shipped
    content = study.model_dump(mode="json") | {
        "generate": "never",
        "verdicts": "anew",
        "results": str(folder / "results"),
        "store": {"writable": str(folder / "store"), "shipped": str(shipped)},
    }
    description = folder / "study.json"
    write_json(description, content)
    plan = StudyPlan.read([description], [])
    log = folder / "snakemake.log"
    with log.open("wb") as stream:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", "--configfile", str(description)),
                *("--cores", str(cores), "--drop-metadata"),
                *(plan.description, f"{plan.results}/{DATABASE}", *_tables(plan)),
            ],
            # The rules say `python`; they must mean the interpreter that runs this.
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise StudyError(
            "the workflow stopped: " + _reason(log.read_text(encoding="utf-8", errors="replace")),
            where=str(shipped),
            cure="restore the shipped store from version control",
        )
    store = Store(folder / "store", [shipped])
    return {"rows.csv": _rows(study, store), **_results(plan)}


def graded_anew(folder: Path) -> Store:
    """The store of what ``recompute`` made in ``folder``, without what ships."""
    return Store(folder / "store")


def _reason(log: str) -> str:
    """What a person should read of a failed workflow's log: its errors, else its end."""
    lines = log.strip().splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith("error: ")), None)
    if start is None:
        start = next((i for i, line in enumerate(lines) if "StudyError" in line), len(lines) - 12)
    return "\n".join(lines[max(0, start) : max(0, start) + 12])


def _results(plan: StudyPlan) -> dict[str, bytes]:
    results = Path(plan.results)
    contents = {
        f"{name}.csv": _csv(run_query(f"expected_{name}", results / DATABASE)) for name in _QUERIES
    }
    files = map(Path, _tables(plan))
    return contents | {file.relative_to(results).as_posix(): file.read_bytes() for file in files}


def _tables(plan: StudyPlan) -> list[str]:
    tables = [f"{plan.results}/tables/{name}.csv" for name in plan.tables]
    return [*tables, *(file for file in plan.claims if file.endswith(".csv"))]


def _rows(study: Study, store: Store) -> bytes:
    """The content of every part, whatever encoder wrote it."""
    rows = []
    for cell, tables in all_partitions(study, store):
        for table in tables:
            frame = cell.read(table)
            lines = frame.write_ndjson() if frame.height else ""
            rows.append(
                {
                    "partition": cell.directory,
                    "table": table,
                    "n_rows": frame.height,
                    "sha256": hashlib.sha256(lines.encode()).hexdigest(),
                }
            )
    return _csv(rows)


def _csv(rows: Iterable[Mapping[str, object]]) -> bytes:
    return pl.DataFrame(list(rows), infer_schema_length=None).write_csv().encode()


def write_expected(files: Files, folder: Path) -> list[Path]:
    """Put ``files`` in the place of what ``folder`` holds, with their manifest."""
    stored = dict(_stored(name, content) for name, content in files.items())
    for old in read_manifest(folder):
        if old not in stored:
            (folder / old).unlink(missing_ok=True)
    for name, content in stored.items():
        with atomic_write(folder / name) as file:
            file.write(content)
    listed = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in stored.items()
    }
    write_json(folder / MANIFEST, {"files": listed})
    return [folder / name for name in stored]


def _stored(name: str, content: bytes) -> tuple[str, bytes]:
    if name not in _PACKED:
        return name, content
    return f"{name}.gz", gzip.compress(content, mtime=0)


def _content(path: Path) -> bytes:
    """What a file says; nothing if a packed one is damaged, which its sha256 tells (``verify``,
    tier 0)."""
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return b""


def on_disk(folder: Path) -> list[Path]:
    """Every file of expected results in the folder."""
    return sorted([*folder.rglob("*.csv"), *folder.rglob("*.csv.gz")])


def read_manifest(folder: Path) -> dict[str, dict[str, object]]:
    """File -> bytes, sha256; empty where no results are shipped.

    Raises ``StudyError`` where the manifest is damaged.
    """
    file = folder / MANIFEST
    if not file.exists():
        return {}
    try:
        files = json.loads(file.read_bytes())["files"]
        manifest = {str(name): dict(entry) for name, entry in files.items()}
        # Files are read and removed by these names.
        if outside := [name for name in manifest if not _FILE.fullmatch(name)]:
            raise ValueError(outside)
        return manifest
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(
            "the manifest of the expected results is not readable",
            where=str(file),
            cure="restore it from version control",
        ) from error


def read_expected(folder: Path) -> Files:
    """Name -> content of every file of the folder. Raises ``StudyError`` if there is none."""
    files = {
        path.relative_to(folder).as_posix().removesuffix(".gz"): _content(path)
        for path in on_disk(folder)
    }
    if not files:
        raise StudyError(
            "no results are shipped for this study, so there is nothing to compare with",
            where=str(folder),
            cure="ship them: python -m compute_optimal ship --config CONFIG",
        )
    return files
