"""How often intervals hold what they should, by simulation, with more repetitions than the tests.

    python benchmarks/coverage.py [REPETITIONS]

Nominal: 95%; sought: 93 to 97%. 2000 repetitions tell a coverage to half a point.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/unit"))

import test_adaptive_budgets as stopping
import test_predicted_difficulty as prediction
import test_statistics_generality as generality
import test_statistics_uncertain_buckets as buckets


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print("interval, setting, coverage")
    for setting in (
        (6, 1, 5.0), (6, 6, 4.0), (4, 3, 10.0), (3, 1, 5.0), (6, 2, 5.0), (6, 6, 0.0),
    ):  # fmt: skip
        share = generality.covered(*setting, repetitions)
        print(f"models in general, policies, PRMs, spread: {setting}, {share:.3f}", flush=True)
    share = prediction.simulated_coverage(repetitions)
    print(f"chosen by predicted difficulty, 120 problems, {share:.3f}", flush=True)
    coverage, off = buckets.covered(repetitions)
    for bucket, share in coverage.items():
        print(f"uncertain difficulty, {bucket} (off by {off[bucket]:+.2f} points), {share:.3f}")

    for rule, share in stopping.covered(repetitions).items():
        print(f"stopping early, {' '.join(rule)}, {share:.3f}")


if __name__ == "__main__":
    main()
