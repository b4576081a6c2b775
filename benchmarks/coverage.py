"""How often intervals hold what they should, by simulation, with more repetitions than the tests.

    python benchmarks/coverage.py [REPETITIONS]

Nominal: 95%; sought: 93 to 97%. 2000 repetitions tell a coverage to half a point. One table of all
intervals for what is chosen, predicted, stopped early or said of models in general: what
``recommend`` and the figures of regret show are these.

Of values that are nearly all equal no interval holds in 95% of the cases whatever the truth is;
what can be asked for is 95% on average over truths (Brown, Cai and DasGupta 2001; Agresti and Coull
1998). So the truth varies too, with a fifth of the repetitions each: mean, least and largest.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import binom

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/unit"))

import test_adaptive_budgets as stopping
import test_choice_dependence as dependence
import test_predicted_difficulty as prediction
import test_statistics_generality as generality
import test_statistics_selection as selection
import test_statistics_uncertain_buckets as buckets

DIFFER = (0.0, 0.06, 0.12, 0.2)
"""How much better the best strategy is than the next: as good, to 20 points."""

OTHERS = tuple(
    prediction.Truth(differ, *other)
    for differ in (0.0, 0.1, 0.25)
    for other in ((1.2, 0.0, 3, 8), (0.4, 0.7, 4, 1), (0.8, -0.5, 4, 8), (0.7, 0.3, 2, 1))
)
"""Truths that no rule was made by."""

SPREADS = (0.0, 0.01, 0.05)
"""How far methods differ by policy, PRM and difficulty: not at all, to 5 points."""

STARTS = (-5.0, -4.0, -3.0, -2.5, -2.0, -1.0, 0.0)
"""Log odds of a right answer where no sample was right: 0.7 to 50%."""

TRUTHS = tuple(
    stopping.Truth(*chances, skill, n_wrong)
    for chances in ((1.2, 1.0), (0.5, 1.0), (3.0, 0.6))
    for skill, n_wrong in ((0.7, 1), (1.5, 3), (3.0, 2))
)

UNCHANGED = {("fixed", "samples"), ("fixed", "change"), ("certain", "change")}
"""Known without an interval, by how the rule is made."""


def coverages(repetitions: int) -> Iterator[tuple[str, str, float]]:
    """Interval, setting, coverage."""
    for policies, prms, spread in (
        (6, 1, 5.0), (6, 6, 4.0), (4, 3, 10.0), (3, 1, 5.0), (6, 2, 5.0), (6, 6, 0.0),
    ):  # fmt: skip
        share = generality.covered(policies, prms, spread, repetitions)
        yield "models in general", f"{policies} policies, {prms} PRMs, spread {spread:g}", share
    for n_prms in (1, 3, 9):
        share = selection.covered(repetitions, 150, n_prms)["out"]
        yield "chosen by difficulty, held out", f"{n_prms} PRMs", share
    for n_problems in (40, 120, 200):
        for name, share in prediction.simulated_coverage(repetitions, n_problems).items():
            yield "chosen by predicted difficulty", f"{name}, {n_problems} problems", share
    for answers in (False, True):
        coverage, off = buckets.covered(repetitions, all_or_nothing=answers)
        outcome = "one answer a problem" if answers else "means of pools"
        for bucket, share in coverage.items():
            bias = f"off by {off[bucket]:+.2f} points"
            yield "uncertain difficulty", f"{bucket}, {outcome} ({bias})", share
    for n_problems in (10, 30, 200):
        for gain, share in selection.gains_covered(repetitions, n_problems).items():
            yield "a policy's gain over CoT (Table 5)", f"{gain}, {n_problems} problems", share
    for (method, rule, measure), share in stopping.covered(repetitions).items():
        if (rule, measure) not in UNCHANGED:
            yield "stopping early", f"{method} {rule}, {measure}", share


def over_truths(repetitions: int) -> Iterator[tuple[str, str, list[float]]]:
    """Interval, setting, coverage by truth."""
    found: dict[tuple[str, str], list[float]] = {}
    for n_problems in (30, 150, 200):
        for n_prms in (1, 3, 9):
            for times in (0.0, 1.0, 2.0):
                share = selection.covered(repetitions, n_problems, n_prms, times)["out"]
                key = "chosen by difficulty, held out", f"{n_prms} PRMs, {n_problems} problems"
                found.setdefault(key, []).append(share)
    for n_problems in (30, 200):
        for spread in SPREADS:
            for left_out, share in dependence.covered(repetitions, n_problems, spread).items():
                key = "what a choice depends on", f"{left_out}, {n_problems} problems"
                found.setdefault(key, []).append(share)
    for n_problems in (40, 120, 200):
        for differ in DIFFER:
            truth = prediction.Truth(differ)
            shares = prediction.simulated_coverage(repetitions, n_problems, truth)
            for name, share in shares.items():
                key = "chosen by predicted difficulty", f"{name}, {n_problems} problems"
                found.setdefault(key, []).append(share)
        for truth in OTHERS:
            shares = prediction.simulated_coverage(repetitions, n_problems, truth)
            for name, share in shares.items():
                key = "the same, of other truths", f"{name}, {n_problems} problems"
                found.setdefault(key, []).append(share)
    for start in STARTS:
        shares, _ = buckets.covered(repetitions, all_or_nothing=True, start=start)
        for bucket, share in shares.items():
            key = "uncertain difficulty", f"{bucket}, one answer a problem"
            found.setdefault(key, []).append(share)
    for n_problems in (40, 100, 300):
        for truth in TRUTHS:
            for rule, share in stopping.covered_changes(repetitions, truth, n_problems).items():
                key = "stopping early", f"{rule}, change, {n_problems} problems"
                found.setdefault(key, []).append(share)
    yield from ((*key, shares) for key, shares in found.items())


def attainable(n_answers: int, low: float, high: float) -> float:
    """Share of truths from ``low`` to ``high`` at which any interval holds in 93 to 97% of samples.

    Of ``n_answers`` that are right or wrong, each right by the same chance. Whatever the rule, if
    its limits grow with what is right, a truth is held where the number right is from one count to
    another. So no rule has more truths than those at which some range of counts has a chance of
    0.93 to 0.97, even if it knew the truth.
    """
    found = []
    for truth in np.linspace(low, high, 400):
        up_to = binom.cdf(np.arange(-1, n_answers + 1), n_answers, truth)
        held = up_to[None, 1:] - up_to[:-1, None]
        found.append(bool(((held >= 0.93) & (held <= 0.97)).any()))
    return float(np.mean(found))


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"{'interval':32}{'setting':62}{'coverage':>9}  93 to 97%")
    for interval, setting, share in coverages(repetitions):
        inside = "yes" if 0.93 <= share <= 0.97 else "no"
        print(f"{interval:32}{setting:62}{share:9.3f}  {inside}", flush=True)
    print(f"{'interval':32}{'setting':62}{'mean':>9}{'least':>9}{'largest':>9}  over truths")
    for interval, setting, shares in over_truths(repetitions // 5):
        mean = sum(shares) / len(shares)
        print(
            f"{interval:32}{setting:62}{mean:9.3f}{min(shares):9.3f}{max(shares):9.3f}", flush=True
        )
    print("share of truths at which any interval can hold 93 to 97%, answers right or wrong")
    for n_answers in (5, 8, 20, 40, 100):
        few, many = attainable(n_answers, 0.005, 0.15), attainable(n_answers, 0.15, 0.5)
        print(f"{n_answers:4} answers: 0.5 to 15% right {few:.2f}, 15 to 50% right {many:.2f}")


if __name__ == "__main__":
    main()
