"""The paper's claims, each judged on the evidence that a study holds.

``judge_claims`` gives the judgements, ``write_claims`` their table and page.
"""

from collections.abc import Sequence
from pathlib import Path

from compute_optimal.analyse.descriptions import extend
from compute_optimal.present.claims.judge import Case, Judgement, Verdict, judge_claims
from compute_optimal.present.claims.page import claims_page, claims_table, write_claims
from compute_optimal.present.claims.price import prices
from compute_optimal.present.claims.records import records
from compute_optimal.present.query import opened, run_query
from compute_optimal.study.config.claims import load_claims


def write_verdicts(claims: Path, database: Path, priced_by: Path, outputs: Sequence[Path]) -> None:
    """The rule ``judge_claims``: the verdicts in the formats that the outputs end in, priced, where
    they are untested, by the study of the file ``priced_by``. An output that ends in duckdb becomes
    the database with the verdicts in it.

    Raises ``StudyError`` as ``judge_claims`` and ``prices`` do, and where a file cannot be read or
    written."""
    with opened(database):
        judgements = judge_claims(load_claims(claims), database)
        (evidence,) = run_query("evidence", database)
        makers = run_query("provenance", database)
    formats = {path.suffix[1:]: path for path in outputs}
    if finished := formats.pop("duckdb", None):
        extend(database, records(judgements), finished)
    write_claims(
        judgements,
        formats,
        evidence,
        makers,
        prices(judgements, priced_by),
    )


__all__ = [
    "Case",
    "Judgement",
    "Verdict",
    "claims_page",
    "claims_table",
    "judge_claims",
    "write_claims",
    "write_verdicts",
]
