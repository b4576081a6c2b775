"""Whether what ships is what it claims to be: for a reviewer without a GPU.

Tier 0 takes seconds: every shipped file has the sha256 that its manifest lists. Who changes a file
and mends its manifest passes it. Tier 1 takes about a minute: answers are graded and every table
and curve is computed anew from the shipped samples and scores, and compared with the shipped
results. Who also replaces those by what follows from changed samples passes both; only drawing the
samples anew, or the history of the repository, can tell.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compute_optimal.errors import StudyError, is_found_here
from compute_optimal.present.claims.page import CHECKED_ON
from compute_optimal.present.style import counted, signed_interval
from compute_optimal.ship.expected import (
    CLAIMS,
    Files,
    graded_anew,
    on_disk,
    read_expected,
    read_manifest,
    recompute,
)
from compute_optimal.ship.possible_units import LOOKED_AT, impossible
from compute_optimal.ship.report import hand_over, made, report_page
from compute_optimal.store import partitions, units
from compute_optimal.store.places import collection_of
from compute_optimal.store.storage import Storage, shipped_store
from compute_optimal.study.cells import Grid, all_partitions, collections
from compute_optimal.study.config import Study
from compute_optimal.study.models import model_folder
from compute_optimal.tasks.datasets import mirror_folder

KEYS = {
    "rows.csv": ("partition", "table"),
    "answers.csv": ("task", "policy", "pool", "prm", "method", "budget"),
    "curves.csv": ("task", "policy", "prm", "method", "scoring", "voting", "bucket", "budget"),
}
"""Columns that name a row; rows of other files are compared in their order."""

STANDARD_ERRORS = 4
"""Two Monte-Carlo estimates may lie this many standard errors of their difference apart."""

PLATFORM_DIFFERENCE = 1e-7
"""What another processor's order of summation may change of a number: this much of it, or of 1
where it is smaller. Counts are exact on every processor."""

_SAMPLED = ("accuracy", "ci_low", "ci_high")
_SHOWN = 5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. ``remarks`` say what was found, one sentence each."""

    tier: int
    subject: str
    passed: bool
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """All checks, and the shipped verdicts on the claims (header first; empty if none ship)."""

    study: str
    checks: tuple[Check, ...]
    claims: tuple[tuple[str, ...], ...] = ()

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def html(self) -> str:
        """The page for a reader."""
        header, *rows = self.claims or ((),)
        claims = [dict(zip(header, row, strict=False)) for row in rows]
        return report_page(
            "verify.html",
            title=f"Verification of the study {self.study}",
            verification=self,
            claims=[
                {
                    **claim,
                    "statement": claim.get("statement", ""),
                    "checked_on": _words_of(claim.get("scale", "")),
                    "measured": _measured(claim),
                }
                for claim in claims
            ],
            made=made(),
            standard_errors=STANDARD_ERRORS,
        )

    @property
    def text(self) -> str:
        """The same, short, for a terminal."""
        lines = []
        for check in self.checks:
            lines.append(f"{'ok  ' if check.passed else 'FAIL'} {check.subject}")
            if not check.passed:
                lines += [f"       {remark}" for remark in check.remarks]
        return "\n".join(lines)


def _words_of(scale: str) -> str:
    """What people read for a scale, from the file; what is none stands as it is."""
    return {str(name): words for name, words in CHECKED_ON.items()}.get(scale, scale)


def _measured(claim: Mapping[str, str]) -> str:
    """One decimal and the interval, from a row of the table of claims."""
    try:
        value, low, high = (
            float(claim[name]) for name in ("measured", "measured_low", "measured_high")
        )
    except (KeyError, ValueError):
        return "–"
    return f"{signed_interval(value, low, high)} {claim.get('unit', '')}"


def verify_study(
    study: Study, expected: Path, *, tier: int, cores: int, page: Path | None
) -> Iterator[str]:
    """The command ``verify``: checks in a line each, and the page of them.

    ``expected``: folder of shipped results; ``page``: by default beside the study's own. Raises
    ``StudyError`` where a check fails.
    """
    page = page or study.results / "verify.html"
    with tempfile.TemporaryDirectory() as folder:
        yield from hand_over(
            lambda: verify(study, expected, Path(folder), tier=tier, cores=cores),
            page,
            failure="what ships with this study is not what it claims to be",
            cure="restore data/ from version control; if the change was meant: make ship",
        )


def verify(study: Study, shipped: Path, folder: Path, *, tier: int, cores: int) -> Verification:
    """Check what ships for ``study``: the store, the models, and the results in ``shipped``.

    ``folder``: a new one, for what tier 1 computes. A tier that cannot be computed is a check that
    fails; raises ``StudyError`` where no results ship for the study, or its mirror is no folder.
    """
    mirror_folder(study.mirror)
    expected = shipped / study.name
    checks = [*shipped_files(study, expected), engine_versions(study)]
    files = read_expected(expected)
    if tier >= 1:
        try:
            checks += compare(files, recompute(study, folder, cores=cores))
            checks += verdicts_graded_anew(study, folder)
            checks += facts_of_tasks(study, folder)
            checks.append(units_that_can_be(study))
        except StudyError as error:
            checks.append(
                Check(1, "recomputation from the shipped store", False, (str(error.what),))
            )
    claims = [tuple(row) for row in csv.reader(io.StringIO(files.get(CLAIMS, b"").decode()))]
    return Verification(study.name, tuple(checks), tuple(claims))


def shipped_files(study: Study, expected: Path) -> list[Check]:
    """Tier 0: every shipped file against what lists it."""
    root = study.store.shipped
    n_parts = len(partitions.Root(root, False).manifest())
    manifest = read_manifest(expected)
    listed = [
        (expected / name, str(entry.get("sha256"))) for name, entry in sorted(manifest.items())
    ]
    findings = [finding for path, sha256 in listed for finding in _damage(path, sha256)]
    findings += [
        f"{path} is not in the manifest"
        for path in on_disk(expected)
        if path.relative_to(expected).as_posix() not in manifest
    ]
    checks = [
        _check(
            0, f"{counted(n_parts, 'part')} of {root} against its manifest", partitions.verify(root)
        ),
        _check(0, f"{counted(len(manifest), 'file')} of {expected} against its manifest", findings),
        _models_against_lock(study),
    ]
    own = study.results / CLAIMS
    if own.exists() and (expected / CLAIMS).exists():
        same = own.read_bytes() == (expected / CLAIMS).read_bytes()
        finding = f"{own} has other verdicts than {expected / CLAIMS}: run make again"
        checks.append(
            _check(0, f"verdicts of {own} against the shipped ones", [finding] * (not same))
        )
    return checks


def engine_versions(study: Study) -> Check:
    """Tier 0: which cells hold units of more than one version of the engine.

    Allowed, for each unit says what made it, but whoever compares cells must know it.
    """
    shipped = shipped_store(study)
    remarks, n_cells = [], 0
    for cell in Grid(study):
        try:
            made = units.stored(shipped, cell.spec, ["engine"])
        except StudyError:
            # A part that cannot be read is a finding of its own (``shipped_files``).
            continue
        if made.is_empty():
            continue
        n_cells += 1
        counts = made.group_by("engine").len().sort("engine").rows()
        if len(counts) > 1:
            of = ", ".join(f"{n:,} units of {engine}" for engine, n in counts)
            remarks.append(f"{cell.partition(shipped).directory}: {of}")
    if not n_cells:
        nothing = "others drew what this study shows"
        return Check(0, "engines: none made a cell of this study", True, (nothing,))
    subject = f"engine of {counted(n_cells, 'cell')}: one version each"
    if remarks:
        hold = "holds" if len(remarks) == 1 else "hold"
        subject = (
            f"engine of {counted(n_cells, 'cell')}: {len(remarks)} {hold} units of more than one "
            "version"
        )
    return Check(0, subject, True, tuple(remarks) or ("as each unit says",))


def _damage(path: Path, sha256: str) -> list[str]:
    if not path.exists():
        return [f"{path} is missing"]
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    return [] if actual == sha256 else [f"{path} has sha256 {actual}, the manifest says {sha256}"]


def _models_against_lock(study: Study) -> Check:
    """Tier 0: shipped models against the lock file."""
    findings, n_models = [], 0
    for entry in (*map(study.policy, study.policies), *map(study.prm, study.prms)):
        if entry.path is None:
            continue
        n_models += 1
        try:
            model_folder(entry, study.lock)
        except StudyError as error:
            findings.append(error.what)
    if not n_models:
        return Check(0, "shipped models: this study has none", True, ("nothing to compare",))
    subject = f"{counted(n_models, 'shipped model')} against config/models.lock.json"
    return _check(0, subject, findings)


def _check(tier: int, subject: str, findings: Sequence[str]) -> Check:
    return Check(tier, subject, not findings, tuple(findings) or ("all as listed",))


def compare(shipped: Files, fresh: Files) -> list[Check]:
    """Tier 1: every shipped result against the one computed anew."""
    checks = []
    for name in sorted(shipped.keys() | fresh.keys()):
        subject = f"{name}, recomputed"
        if name not in fresh:
            checks.append(Check(1, subject, False, ("ships, but the study makes no such file",)))
        elif name not in shipped:
            checks.append(Check(1, subject, False, ("is made by the study, but does not ship",)))
        elif shipped[name] == fresh[name]:
            checks.append(Check(1, subject, True, ("identical, byte for byte",)))
        else:
            checks.append(_difference(name, subject, shipped[name], fresh[name]))
    return checks


def verdicts_graded_anew(study: Study, folder: Path) -> list[Check]:
    """Tier 1: every shipped verdict on an adopted answer against the one made anew.

    ``folder``: where the expected results were recomputed.
    """
    shipped = shipped_store(study)
    fresh = graded_anew(folder)
    checks = []
    for verdicts, tables in all_partitions(study, shipped):
        if tables != ("verdicts",):
            continue
        collection = collection_of(verdicts.spec["adopted"])
        subject = f"verdicts on {collection or verdicts.directory}, made anew"
        before, after = verdicts.read("verdicts"), fresh.like(verdicts).read("verdicts")
        if before.is_empty():
            grader = verdicts.spec["grader"]
            finding = f"none of this version of the grader ship ({grader}): make ship"
            checks.append(_check(1, subject, [finding]))
            continue
        lost = before.join(after, on=before.columns, how="anti", nulls_equal=True)
        findings = [
            f"{row['grader']} grader, {row['problem_id']}, {row['answer']!r}: {row['correct']} "
            f"({row['status']}) as shipped, and not so anew"
            for row in lost.iter_rows(named=True)
        ]
        if after.height != before.height:
            findings.append(f"{before.height} verdicts ship, and there are {after.height} answers")
        checks.append(_check(1, subject, findings[:_SHOWN]))
    return checks


def facts_of_tasks(study: Study, folder: Path) -> list[Check]:
    """Tier 1: the shipped facts about problems, right answers above all, against the tasks
    themselves: generated anew, or read from the file that the registry names by its sha256.

    All that is graded is graded by these facts, so that whoever changes an answer in them makes of
    it what policies say. ``folder``: any in which there is no store. A file that cannot be had
    proves nothing.
    """
    shipped = shipped_store(study)
    own = partitions.Store(folder / "tasks")
    checks = []
    tasks = [*study.tasks, *(collection.task for collection in collections(study))]
    for name in dict.fromkeys(tasks):
        task, subject = study.task(name), f"problems and right answers of {name}"
        facts = Storage.of(study, shipped).stored_facts(task, None)
        if facts is None:
            continue
        try:
            anew = Storage.of(study, own).facts(task, None)
        except StudyError as error:
            known = is_found_here(error)
            subject += "" if known else ": not compared"
            checks.append(Check(1, subject, not known, (error.what,)))
            continue
        before, after = (dict(zip(f["problem_hash"], f.rows(), strict=True)) for f in (facts, anew))
        findings = [
            f"{key}: {before.get(key, 'none')} ships, and the task has {after.get(key, 'none')}"
            for key in dict.fromkeys([*before, *after])
            if before.get(key) != after.get(key)
        ]
        if not findings and facts.rows() != anew.rows():
            findings = ["the same problems, but in another order or several times"]
        checks.append(_check(1, subject, findings[:_SHOWN]))
    return checks


def units_that_can_be(study: Study) -> Check:
    """Tier 1: every shipped unit of the study is one that an engine could have made.

    All of them are looked at, where an audit looks at a few: what cannot be so whatever a model
    said needs no model.
    """
    shipped = shipped_store(study)
    findings, n_cells = [], 0
    of_task = {
        task: Storage.of(study, shipped).stored_facts(study.task(task), None)
        for task in study.tasks
    }
    for cell in Grid(study):
        rows = cell.partition(shipped).read(cell.kind, [*LOOKED_AT[cell.kind]])
        facts = of_task[cell.task]
        if rows.is_empty() or facts is None:
            continue
        n_cells += 1
        known = facts.select("problem_id", "problem_hash")
        strangers = rows.join(known, on=known.columns, how="anti")
        wrong = {"of no problem of the task": strangers} if strangers.height else {}
        number = units.NUMBERS[cell.kind]
        findings += [
            f"{cell.partition(shipped).directory}: {counted(those.height, 'unit')} {what}; "
            f"the first: {those['problem_hash'][0]}, {those[number][0]}"
            for what, those in (wrong | impossible(cell, rows)).items()
        ]
    subject = f"units of {counted(n_cells, 'cell')}: such as an engine can have made"
    return _check(1, subject, findings[:_SHOWN])


Row = dict[str, str]


def _difference(name: str, subject: str, shipped: bytes, fresh: bytes) -> Check:
    keys = KEYS.get(name, ())
    try:
        before, after = _keyed(shipped, keys), _keyed(fresh, keys)
    except (UnicodeDecodeError, csv.Error, KeyError):
        return Check(1, subject, False, ("the shipped file is not readable as a table",))
    remarks = [
        f"{_named(keys, key)}: ships, but is not found anew" for key in before.keys() - after
    ]
    remarks += [
        f"{_named(keys, key)}: found anew, but not shipped" for key in after.keys() - before
    ]
    tolerated = 0
    for key in before.keys() & after:
        differing = list(_cells(before[key], after[key]))
        tolerated += not differing and before[key] != after[key]
        remarks += [f"{_named(keys, key)}: {cell}" for cell in differing]
    if not remarks and tolerated:
        remark = (
            f"{tolerated} of {len(before)} rows differ, none by more than {PLATFORM_DIFFERENCE:g} "
            f"or, for prm_vote, {STANDARD_ERRORS} Monte-Carlo standard errors"
        )
        return Check(1, subject, True, (remark,))
    if not remarks:
        remarks = ["the same cells, written differently"]
    rest = [f"and {len(remarks) - _SHOWN} more"] if len(remarks) > _SHOWN else []
    return Check(1, subject, False, (*sorted(remarks)[:_SHOWN], *rest))


def _keyed(content: bytes, keys: Sequence[str]) -> dict[tuple[str, ...], Row]:
    rows = csv.DictReader(io.StringIO(content.decode()), strict=True)
    rows_by_key: dict[tuple[str, ...], Row] = {}
    for number, row in enumerate(rows, start=1):
        key = tuple(row[name] for name in keys) or (str(number),)
        rows_by_key[key if key not in rows_by_key else (*key, f"again, row {number}")] = row
    return rows_by_key


def _named(keys: Sequence[str], key: Sequence[str]) -> str:
    return ", ".join(filter(None, key)) if keys else f"row {key[0]}"


def _cells(shipped: Row, fresh: Row) -> Iterable[str]:
    if shipped.keys() != fresh.keys():
        yield f"columns {', '.join(map(str, shipped))} shipped, {', '.join(fresh)} found anew"
        return
    error = _number(fresh.get("monte_carlo_error", ""))
    for column, old in shipped.items():
        new = fresh[column]
        if old == new:
            continue
        a, b = _number(old), _number(new)
        if a is not None and b is not None and not (_counts(old) and _counts(new)):
            allowed = PLATFORM_DIFFERENCE * max(1.0, abs(b))
            if error and column in _SAMPLED:
                # The error found anew counts, not the one that ships and may have been edited.
                allowed += STANDARD_ERRORS * math.sqrt(2) * error
            elif error and column == "monte_carlo_error":
                allowed += error / 2
            if abs(a - b) <= allowed:
                continue
        yield f"{column} is {old or 'empty'} as shipped, {new or 'empty'} found anew"


def _counts(text: str) -> bool:
    return text.lstrip("-").isdecimal()


def _number(text: str) -> float | None:
    try:
        return value if math.isfinite(value := float(text)) else None
    except ValueError:
        return None
