"""The paper's claims, each judged on the evidence that a study holds.

``judge_claims`` gives the judgements, ``write_claims`` their table and page.
"""

from compute_optimal.claims.judge import Case, Judgement, Verdict, judge_claims
from compute_optimal.claims.page import claims_page, claims_table, write_claims

__all__ = [
    "Case",
    "Judgement",
    "Verdict",
    "claims_page",
    "claims_table",
    "judge_claims",
    "write_claims",
]
