"""All that is estimated of a policy: what its tables have in common."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
from synthetic_study import SETTINGS, Rollouts, answers_of, scores_in

from compute_optimal.analyse.estimates import analysed
from compute_optimal.study.requests import RunEstimatesRequest

IDS = [f"p{i}" for i in range(30)]
PRM = "m"
POOL = Rollouts("a", "A-1B-AWQ", 10**9, 0.4, 16)


def test_every_table_knows_that_a_prm_read_a_part_of_the_pool() -> None:
    """A run's PRM that read 8 of 16 samples: what any table says of best-of-N is what it says where
    these 8 are all there are, and nothing is said beyond."""
    n_read = 8
    answers = answers_of(POOL, IDS, PRM)
    scores = {
        prm: of_prm.filter(pl.col("sample_index") < n_read)
        for prm, of_prm in scores_in(answers, PRM).items()
    }
    request = RunEstimatesRequest(
        answers="0",
        task="t",
        policy="a",
        n_parameters=10**9,
        is_reasoning=False,
        settings=replace(SETTINGS, budgets=(4, 8, 16)),
        scores={},
        scored={PRM: n_read},
    )
    problems = pl.DataFrame({"problem_id": IDS})
    tables = analysed(request, request, problems, answers, scores)
    read = answers.filter(pl.col("sample_index") < n_read)
    alone = analysed(request, request, problems, read, scores)
    about_pool = pl.col("method") == "best_of_n"
    for name in ("curves", "outcomes", "adaptive", "run_to_run", "bucket_accuracy"):
        found, expected = (each[name].filter(about_pool) for each in (tables, alone))
        keys = [column for column in found.columns if found[column].dtype != pl.Float64]
        # How difficult problems are, and what a sample takes on average, all samples tell.
        values = ["accuracy"] if name in ("curves", "outcomes", "adaptive") else []
        assert found.height > 0
        assert found.select(keys + values).equals(expected.select(keys + values)), name
    for name in ("picks", "score_quality", "calibration"):
        assert tables[name].equals(alone[name]), name
