"""The rule ``examine_prms``: what PRMs say about steps whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from compute_optimal.analyse import prm_ability, prm_cases
from compute_optimal.judge.answers import scores_of_pool
from compute_optimal.store.partitions import read_table, write_result
from compute_optimal.store.storage import Storage
from compute_optimal.study.requests import ExaminationRequest


def examine_prms(
    request: ExaminationRequest,
    storage: Storage,
    problems: Path,
    steps: Sequence[Path],
    rates: Path,
    cases: Path,
) -> None:
    """Write ``prm_ability.RATES`` to ``rates`` and ``prm_cases.CASES`` to ``cases``, of one task;
    ``steps``: files of checked steps, one a policy.

    Raises ``StudyError`` where the store has lost scores, or they are of other steps.
    """
    facts = read_table(problems)
    checked = pl.concat([read_table(path) for path in steps])
    scores = {
        prm: {
            policy: scores_of_pool(score, storage, facts) for policy, score in of_policies.items()
        }
        for prm, of_policies in request.scores.items()
    }
    verdicts = prm_ability.verdicts_of(checked, scores, facts["problem_id"].to_list())
    task = str(facts["task"].first())
    write_result(prm_ability.examine(verdicts, task, facts.height, request.settings), rates)
    write_result(prm_cases.choose(verdicts, task), cases)
