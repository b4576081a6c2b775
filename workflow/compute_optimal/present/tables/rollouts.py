"""Adopted rollouts: what was read, used and left out, and the files behind every number."""

from __future__ import annotations

from collections.abc import Sequence

from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import Cell, Column, Table


def collections(rows: Sequence[Row], title: str) -> Table:
    """A row per collection: what was read, used and left out."""
    columns = [
        Column("collection", "Collection"),
        Column("policy", "Policy"),
        Column("weights", "Weights"),
        Column("prm", "PRM"),
        Column("n_files", "Files", "number", 0),
        Column("n_records", "Records read", "number", 0),
        Column("n_records_used", "used", "number", 0),
        Column("n_answers", "Answers read", "number", 0),
        Column("n_answers_used", "used", "number", 0),
        Column("left_out", "Left out, by reason"),
        Column("kept_in_part", "Kept, with a remark"),
        Column("files_left_out", "Files not read"),
        Column("caveats", "Caveats"),
        Column("licence", "Licence"),
        Column("source", "Repository"),
        Column("commit", "Commit"),
    ]
    notes = [
        "A record is a line or entry of a file, as a rule a problem with one or several answers. "
        "Numbers after a reason count records or, where the remark is about a file as a whole, "
        "files. Of a collection that is one archive of single records, records are not counted by "
        "file; answers used are those in the study's tables."
    ]
    return Table(title, columns, [_collection(row) for row in rows], notes)


def _collection(row: Row) -> list[Cell]:
    counted = ("n_files", "n_records", "n_used", "n_answers")
    used = row["n_answers_used"] if row["n_rows"] is None or row["n_files"] else row["n_rows"]
    return [
        row["collection"],
        row["policy_title"] or "many authors",
        row["weights"] or "-",
        row["prm_title"] or ("none" if row["policy_title"] else "several reward models"),
        *("not counted" if row[name] is None else row[name] for name in counted),
        "not counted" if used is None else used,
        _reasons(row["left_out"]),
        _reasons(row["kept_in_part"]),
        _lines(row["files_left_out"]),
        _lines(row["caveats"]),
        row["licence"],
        row["source"],
        row["commit"],
    ]


def _reasons(findings: Sequence[Row] | None) -> str:
    return "; ".join(f"{one['reason']} {one['n']:,}" for one in findings or ()) or "nothing"


def _lines(text: str | None) -> str:
    return "; ".join(line.rstrip(".") for line in (text or "").splitlines()) or "none"


def sources(rows: Sequence[Row], title: str) -> Table:
    """A row per file of a collection."""
    columns = [
        Column("collection", "Collection"),
        Column("source", "Repository"),
        Column("commit", "Commit"),
        Column("file", "File"),
        Column("sha256", "sha256"),
        Column("n_records", "Records", "number", 0),
        Column("n_records_used", "used", "number", 0),
        Column("n_answers", "Answers", "number", 0),
        Column("n_answers_used", "used", "number", 0),
        Column("licence", "Licence"),
    ]
    counted = ("n_records", "n_used", "n_answers", "n_answers_used")
    body: list[list[Cell]] = [
        [
            row["collection"],
            row["source"],
            row["commit"],
            row["path"] or "folders that the registry names",
            row["sha256"] or "by commit",
            *("not counted" if row[name] is None else row[name] for name in counted),
            row["licence"],
        ]
        for row in rows
    ]
    notes = [
        "Tables on adopted rollouts name the collection of each row. Each stored answer also has "
        "the sha256 of its record and its row in the file (data/store/adopted)."
    ]
    return Table(title, columns, body, notes)
