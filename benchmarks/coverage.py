"""How often intervals hold what they should, by simulation, with more repetitions than the tests.

    python benchmarks/coverage.py [REPETITIONS]

Nominal: 95%; sought: 93 to 97%. 2000 repetitions tell a coverage to half a point. One table of all
intervals for what is chosen, predicted, stopped early or said of models in general: what
``recommend`` and the figures of regret show are these.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/unit"))

import test_adaptive_budgets as stopping
import test_predicted_difficulty as prediction
import test_statistics_generality as generality
import test_statistics_uncertain_buckets as buckets

UNCHANGED = {("fixed", "samples"), ("fixed", "change"), ("certain", "change")}
"""Known without an interval, by how the rule is made."""


def coverages(repetitions: int) -> Iterator[tuple[str, str, float]]:
    """Interval, setting, coverage."""
    for policies, prms, spread in (
        (6, 1, 5.0), (6, 6, 4.0), (4, 3, 10.0), (3, 1, 5.0), (6, 2, 5.0), (6, 6, 0.0),
    ):  # fmt: skip
        share = generality.covered(policies, prms, spread, repetitions)
        yield "models in general", f"{policies} policies, {prms} PRMs, spread {spread:g}", share
    for n_problems in (40, 120, 200):
        for name, share in prediction.simulated_coverage(repetitions, n_problems).items():
            yield "chosen by predicted difficulty", f"{name}, {n_problems} problems", share
    for answers in (False, True):
        coverage, off = buckets.covered(repetitions, all_or_nothing=answers)
        outcome = "one answer a problem" if answers else "means of pools"
        for bucket, share in coverage.items():
            bias = f"off by {off[bucket]:+.2f} points"
            yield "uncertain difficulty", f"{bucket}, {outcome} ({bias})", share
    for (method, rule, measure), share in stopping.covered(repetitions).items():
        if (rule, measure) not in UNCHANGED:
            yield "stopping early", f"{method} {rule}, {measure}", share


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"{'interval':32}{'setting':62}{'coverage':>9}  93 to 97%")
    for interval, setting, share in coverages(repetitions):
        inside = "yes" if 0.93 <= share <= 0.97 else "no"
        print(f"{interval:32}{setting:62}{share:9.3f}  {inside}", flush=True)


if __name__ == "__main__":
    main()
