"""The analyse zone's jobs: from answers and scores to the tables of a study's database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from compute_optimal import estimate, judge, prm_ability, prm_cases
from compute_optimal.score_quality import examine_scores
from compute_optimal.selection import select_strategies
from compute_optimal.spec import Spec
from compute_optimal.storage import Storage


def estimate_accuracy(
    spec: Spec, storage: Storage, problems: pl.DataFrame, answers: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Everything that is estimated of one (task, policy), by the name of its table.

    ``spec``: the rule's parameter; ``problems``: facts about the task's problems; ``answers``:
    graded answers. Raises ``StudyError`` where the store has lost scores.
    """
    settings = estimate.Settings(**spec["settings"])
    ids = problems["problem_id"].to_list()
    scores = judge.scores_of(spec, storage, problems)
    rated = estimate.difficulty(answers, ids, settings)
    buckets = dict(rated.select("problem_id", "bucket").unique().iter_rows())
    curves, outcomes, repeated = estimate.estimate(answers, scores, buckets, ids, settings)
    selected = select_strategies(
        outcomes,
        ids,
        task=spec["task"],
        n_parameters=spec["n_parameters"],
        is_reasoning=spec["is_reasoning"],
        # One sample is a budget too: where curves of compute-optimal scaling begin.
        budgets=sorted({1, *settings.budgets}),
        replicates=settings.bootstrap_replicates,
        confidence=settings.confidence,
        seed=settings.seed,
    )
    examined = examine_scores(answers, scores, ids, settings)
    examined["run_to_run"] = pl.concat([examined["run_to_run"], repeated])
    tables = {"difficulty": rated, "curves": curves, "outcomes": outcomes, **selected, **examined}
    return {
        name: table.select(
            pl.lit(spec["task"]).alias("task"), pl.lit(spec["policy"]).alias("policy"), pl.all()
        )
        for name, table in tables.items()
    }


def examine_prms(
    spec: Spec, storage: Storage, problems: pl.DataFrame, steps: Sequence[Path]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the PRMs say about checked steps of one task: rates and examples of failures.

    ``spec``: the rule's parameter; ``steps``: tables of checked steps, one a policy.
    """
    checked = pl.concat([pl.read_parquet(path) for path in steps])
    scores = {
        prm: {
            policy: judge.scores_of_pool(score, storage, problems)
            for policy, score in of_policies.items()
        }
        for prm, of_policies in spec["scores"].items()
    }
    settings = prm_ability.Settings(**spec["settings"])
    verdicts = prm_ability.verdicts_of(checked, scores, problems["problem_id"].to_list())
    task = str(problems["task"].first())
    return (
        prm_ability.examine(verdicts, task, problems.height, settings),
        prm_cases.choose(verdicts, task),
    )
