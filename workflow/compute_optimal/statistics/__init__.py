"""Numbers from outcomes: estimators over a pool, intervals, difficulty and strategy selection.

Pure functions of numpy arrays. Accuracies are fractions in 0..1; a row is a problem.
"""

from compute_optimal.statistics.difficulty import BUCKETS, bucket_of, bucket_probabilities
from compute_optimal.statistics.estimators import (
    TrajectoryScores,
    best_of_k,
    best_values,
    pass_at_k,
    plurality_at_k,
    trajectory_scores,
    weighted_vote_at_k,
)
from compute_optimal.statistics.intervals import (
    Interval,
    bootstrap_means,
    bootstrap_weights,
    difference_interval,
    mean_interval,
    percentile_interval,
    pool_standard_error,
    wilson_interval,
)
from compute_optimal.statistics.ranks import RankCorrelation, rank_correlation
from compute_optimal.statistics.selection import (
    EfficiencyGain,
    Estimate,
    Exclusion,
    Selection,
    SelectionReport,
    efficiency_gain,
    paper_rule,
    performance_gain,
    select_cross_fitted,
    select_fixed,
    select_in_sample,
    select_oracle,
    selection_report,
)

__all__ = [
    "BUCKETS",
    "EfficiencyGain",
    "Estimate",
    "Exclusion",
    "Interval",
    "RankCorrelation",
    "Selection",
    "SelectionReport",
    "TrajectoryScores",
    "best_of_k",
    "best_values",
    "bootstrap_means",
    "bootstrap_weights",
    "bucket_of",
    "bucket_probabilities",
    "difference_interval",
    "efficiency_gain",
    "mean_interval",
    "paper_rule",
    "pass_at_k",
    "percentile_interval",
    "performance_gain",
    "plurality_at_k",
    "pool_standard_error",
    "rank_correlation",
    "select_cross_fitted",
    "select_fixed",
    "select_in_sample",
    "select_oracle",
    "selection_report",
    "trajectory_scores",
    "weighted_vote_at_k",
    "wilson_interval",
]
