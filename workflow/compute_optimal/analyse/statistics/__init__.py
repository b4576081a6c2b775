"""Numbers from outcomes: estimators over a pool, intervals, difficulty and strategy selection.

Pure functions of numpy arrays. Accuracies are fractions in 0..1; a row is a problem.

Distributions and tests are SciPy's, imported where they are asked for: a dozen of the thirty
processes of ``make`` compute statistics, and each import takes 0.2 s (``scipy.special``) or 0.7 s
(``scipy.stats``). What SciPy has for one number alone stands here for arrays (Wilson's interval),
and what every process asks for as a formula (the quantile in ``expanded_tail``); the tests hold
both to SciPy's.
"""

from compute_optimal.analyse.statistics.difficulty import bucket_of, bucket_probabilities
from compute_optimal.analyse.statistics.estimators import (
    TrajectoryScores,
    best_of_k,
    best_of_k_units,
    best_values,
    pass_at_k,
    plurality_at_k,
    trajectory_scores,
    vote_of_k_units,
    weighted_vote_at_k,
)
from compute_optimal.analyse.statistics.intervals import (
    Interval,
    bootstrap_means,
    bootstrap_weights,
    difference_interval,
    mean_interval,
    percentile_interval,
    pool_standard_error,
    problem_weights,
    unseen_limits,
    wilson_interval,
)
from compute_optimal.analyse.statistics.ranks import RankCorrelation, rank_correlation
from compute_optimal.analyse.statistics.selection import (
    Choice,
    EfficiencyGain,
    Estimate,
    Exclusion,
    Fit,
    Selection,
    choose,
    efficiency_gain,
    fit,
    performance_gain,
    select_cross_fitted,
    select_fixed,
    select_in_sample,
    select_oracle,
)

__all__ = [
    "Choice",
    "EfficiencyGain",
    "Estimate",
    "Exclusion",
    "Fit",
    "Interval",
    "RankCorrelation",
    "Selection",
    "TrajectoryScores",
    "best_of_k",
    "best_of_k_units",
    "best_values",
    "bootstrap_means",
    "bootstrap_weights",
    "bucket_of",
    "bucket_probabilities",
    "choose",
    "difference_interval",
    "efficiency_gain",
    "fit",
    "mean_interval",
    "pass_at_k",
    "percentile_interval",
    "performance_gain",
    "plurality_at_k",
    "pool_standard_error",
    "problem_weights",
    "rank_correlation",
    "select_cross_fitted",
    "select_fixed",
    "select_in_sample",
    "select_oracle",
    "trajectory_scores",
    "unseen_limits",
    "vote_of_k_units",
    "weighted_vote_at_k",
    "wilson_interval",
]
