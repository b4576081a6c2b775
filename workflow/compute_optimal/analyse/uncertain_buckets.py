"""Accuracies by difficulty where nobody knows for certain how difficult a problem is.

Sorted by a few samples, some problems lie in the wrong bucket. Here each counts in every bucket by
its chance of being in it, given all samples that were drawn of it, whichever pool they are of.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from compute_optimal.analyse.statistics.difficulty import (
    bucket_probabilities,
    means_in_buckets,
)
from compute_optimal.store.columns import REAL, TEXT, Column, Columns, common
from compute_optimal.study.buckets import BUCKETS
from compute_optimal.study.requests import EstimateSettings

BUCKET_ACCURACY = Columns(
    "Accuracy of each strategy by difficulty, with that uncertain taken into account",
    {
        **common("prm", "method", "scoring", "voting"),
        "bucket": Column(TEXT, "Difficulty of the problems: easy, medium or hard"),
        **common("budget", "accuracy", "ci_low", "ci_high"),
        "n_expected": Column(REAL, "Number of problems that are expected to be of this difficulty"),
    },
)

_KEYS = ("prm", "method", "scoring", "voting", "budget")


def examine_buckets(
    answers: pl.DataFrame,
    outcomes: pl.DataFrame,
    problem_ids: Sequence[str],
    settings: EstimateSettings,
) -> pl.DataFrame:
    """``BUCKET_ACCURACY`` at the budgets of ``outcomes`` (``accuracy.OUTCOMES``); ``answers`` are
    graded."""
    rows = pl.DataFrame({"problem_id": problem_ids}).with_row_index("row")
    counts = (
        answers.filter(pl.col("pool").is_in(["evaluation", "difficulty"]))
        .group_by("problem_id")
        .agg(n_correct=pl.sum("correct"), n_samples=pl.len())
        .join(rows, on="problem_id")
    )
    keys = outcomes.select(_KEYS).unique(maintain_order=True).with_row_index("column")
    if not counts.height or not keys.height:
        return pl.DataFrame(schema=BUCKET_ACCURACY)
    chances = np.zeros((len(problem_ids), len(BUCKETS)))
    chances[counts["row"].to_numpy()] = bucket_probabilities(
        counts["n_correct"], counts["n_samples"], settings.easy, settings.medium
    )
    placed = outcomes.join(keys, on=_KEYS, nulls_equal=True).join(rows, on="problem_id")
    values = np.full((len(problem_ids), keys.height), np.nan)
    values[placed["row"].to_numpy(), placed["column"].to_numpy()] = placed["accuracy"].to_numpy()
    mean, low, high = means_in_buckets(values, chances, settings.confidence)
    expected = chances.T @ ~np.isnan(values)
    return (
        pl.concat(
            keys.select(
                *_KEYS,
                bucket=pl.lit(bucket),
                accuracy=pl.Series(mean[place]),
                ci_low=pl.Series(low[place]),
                ci_high=pl.Series(high[place]),
                n_expected=pl.Series(expected[place]),
            )
            for place, bucket in enumerate(BUCKETS)
        )
        .filter(pl.col("accuracy").is_not_nan())
        .select(pl.col(name).cast(kind) for name, kind in BUCKET_ACCURACY.items())
    )
