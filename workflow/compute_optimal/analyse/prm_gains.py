"""How good a PRM must be: what it gains over majority voting, over its measured ability.

A gain is a difference of accuracies on the same problems, with the paired interval over problems
that all numbers of a task share. A threshold is the ability at which gains begin: where a
non-decreasing fit (isotonic regression, every PRM the same weight, straight lines between PRMs) of
the gain over the ability passes 0. Its interval refits for every resampling of the problems, at
the abilities as they were measured.

The fit itself is not needed for that. Isotonic regression is the slope of the greatest convex
minorant of the cumulative sums (Barlow et al. 1972), so it is positive behind the last minimum of
the sums, and the steepest chords to both sides of the minimum are its values there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
import polars as pl

from compute_optimal.analyse.differences import LEAST_PROBLEMS, MOST_POINTS, ROUNDING, limits
from compute_optimal.analyse.selection import METHODS
from compute_optimal.analyse.statistics.estimators import FloatArray, IntArray
from compute_optimal.analyse.statistics.intervals import expanded_tail, problem_weights
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common, one_of
from compute_optimal.study.buckets import BUCKETS

LEAST_PRMS = 3
"""A threshold needs so many PRMs. ASSUME: two points show no threshold."""

AGAINST = {
    "majority": "majority voting at the same budget",
    "fewest": "the same method and PRM at the study's smallest budget",
}
ABILITIES = {
    "f1": "F1 of finding the first wrong step, over all policies, in percent",
    "discrimination": "chance that a right sample outscores a wrong one of its problem, on this "
    "policy, in percent",
}

_COMPARED = {
    **common("task"),
    "policy": Column(TEXT, "Policy; null for the mean over those that ran with every PRM"),
    "method": Column(TEXT, f"{', '.join(METHODS)}, or compute_optimal: held out, by difficulty"),
    **common("scoring", "voting", "budget"),
    "bucket": Column(TEXT, "Difficulty of the problems: all, easy, medium or hard"),
    "against": one_of(AGAINST),
}
GAINS = Columns(
    "What each PRM gains, beside its ability",
    {
        **_COMPARED,
        "prm": Column(TEXT, "PRM that scores or guides"),
        **{name: Column(REAL, f"{text}; null if unknown") for name, text in ABILITIES.items()},
        "gain": Column(REAL, "Difference of the accuracies, in percentage points"),
        **common("ci_low", "ci_high", "n_problems"),
        "n_policies": Column(COUNT, "Number of policies behind the row"),
    },
)
THRESHOLDS = Columns(
    "The ability at which gains begin, for a non-decreasing fit over the PRMs",
    {
        **_COMPARED,
        "ability": one_of(ABILITIES),
        "threshold": Column(
            REAL, "Ability where the fit passes 0; -infinity: every PRM gains; infinity: none does"
        ),
        # May be infinite, as the threshold.
        **common("ci_low", "ci_high"),
        "least": Column(REAL, "Ability of the poorest PRM"),
        "most": Column(REAL, "Ability of the ablest PRM"),
        "n_prms": Column(COUNT, "Number of PRMs"),
    },
)
TABLES: Mapping[str, Columns] = {"prm_gains": GAINS, "prm_thresholds": THRESHOLDS}


class GainSettings(NamedTuple):
    """The study's settings of intervals (``confidence`` 0 to 1), and its one way from step scores
    to an answer."""

    replicates: int
    confidence: float
    seed: int
    scoring: str
    voting: str


class _Key(NamedTuple):
    policy: str
    prm: str | None
    method: str
    budget: int


class _Series(NamedTuple):
    """What is compared across PRMs; ``policy`` None stands for the mean over policies."""

    policy: str | None
    method: str
    budget: int
    bucket: str
    against: str


class _Placed(NamedTuple):
    """PRMs in the order of their abilities: what is compared, and the columns of their gains."""

    key: tuple[object, ...]
    abilities: FloatArray
    columns: IntArray
    n_problems: int


@dataclass(frozen=True)
class _Difference:
    """Sums over policies [problems]: of differences and of the accuracies that are compared.

    ``count``: policies behind each. ``widening``: of ``selection.SELECTION``, 1 where nothing is
    chosen. ``policies``: those that are summed.
    """

    difference: FloatArray
    value: FloatArray
    count: FloatArray
    widening: float
    policies: tuple[str, ...]

    @property
    def n_problems(self) -> int:
        return int(np.count_nonzero(self.count))


def examine_gains(
    outcomes: pl.DataFrame,
    held_out: pl.DataFrame,
    widenings: pl.DataFrame,
    abilities: pl.DataFrame,
    discriminations: pl.DataFrame,
    problems: pl.DataFrame,
    settings: GainSettings,
) -> dict[str, pl.DataFrame]:
    """``TABLES`` for every task, of the study's own way from scores to an answer.

    ``outcomes``, ``held_out``: as ``accuracy.OUTCOMES`` and ``selection.HELD_OUT`` with task and
    policy; ``widenings``: task, policy, prm, budget, widening; ``abilities``: task, prm, F1 (%);
    ``discriminations``: task, policy, prm, discrimination (%), both null where unknown;
    ``problems``: task, problem_id.
    """
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in TABLES}
    for (task,), of_task in outcomes.group_by("task", maintain_order=True):
        ids = problems.filter(task=task)["problem_id"].to_list()
        f1 = dict(abilities.filter(task=task).drop_nulls("f1").select("prm", "f1").iter_rows())
        discrimination_of = {
            (policy, prm): value
            for policy, prm, value in discriminations.filter(task=task)
            .drop_nulls("discrimination")
            .select("policy", "prm", "discrimination")
            .iter_rows()
        }
        chosen = held_out.filter(task=task)
        widening = {
            (policy, prm, budget): value
            for policy, prm, budget, value in widenings.filter(task=task)
            .select("policy", "prm", "budget", "widening")
            .iter_rows()
        }
        table = _Outcomes.of(of_task, chosen, ids, settings)
        weights = problem_weights(ids, settings.replicates, settings.seed)
        compared = [
            (series, known)
            for series, of_prms in table.series(widening)
            if (known := {p: d for p, d in of_prms.items() if d.n_problems >= LEAST_PROBLEMS})
        ]
        if not compared:
            continue
        every = [one for _, known in compared for one in known.values()]
        gains = _resampled(every, weights)
        sizes = [one.n_problems for one in every]
        low, high = limits(gains[0], gains[1:], sizes, settings.confidence, MOST_POINTS)
        placed: list[_Placed] = []
        start = 0
        for series, known in compared:
            columns = np.arange(start, start + len(known))
            start += len(known)
            x = {
                "f1": np.array([f1.get(prm, np.nan) for prm in known]),
                "discrimination": np.array(
                    [
                        np.mean([discrimination_of.get((p, prm), np.nan) for p in one.policies])
                        for prm, one in known.items()
                    ]
                ),
            }
            key = (task, *series[:2], settings.scoring, settings.voting, *series[2:])
            rows["prm_gains"] += [
                (*key, prm, *(_known(x[name][i]) for name in ABILITIES), float(gains[0, column]),
                 float(low[column]), float(high[column]), one.n_problems, len(one.policies))
                for i, (column, (prm, one)) in enumerate(zip(columns, known.items(), strict=True))
            ]  # fmt: skip
            for ability, values in x.items():
                order = np.argsort(values, kind="stable")[: np.count_nonzero(~np.isnan(values))]
                if len(order) >= LEAST_PRMS:
                    n_problems = min(one.n_problems for one in known.values())
                    placed.append(
                        _Placed((*key, ability), values[order], columns[order], n_problems)
                    )
        rows["prm_thresholds"] += _threshold_rows(placed, gains, settings.confidence)
    return {
        name: pl.DataFrame(rows[name], schema=schema, orient="row")
        for name, schema in TABLES.items()
    }


def thresholds(abilities: FloatArray, gains: FloatArray) -> FloatArray:
    """Where the isotonic fit of each row of ``gains`` [rows, PRMs] passes 0: [rows].

    ``gains`` are points; sums of them that rounding alone tells apart are equal. ``abilities``
    [PRMs] or [rows, PRMs] rise. Minus infinity where the whole fit is above 0, infinity where none
    of it is, NaN where a gain is NaN.
    """
    n_prms = gains.shape[1]
    sums = np.concatenate([np.zeros((len(gains), 1)), np.cumsum(gains, axis=1)], axis=1)
    # The last of equal minima: where the fit is 0, nothing is gained.
    is_least = sums <= sums.min(axis=1, keepdims=True) + ROUNDING
    first = n_prms - np.argmax(is_least[:, ::-1], axis=1)
    rows = np.arange(len(gains))
    lowest = sums[rows, first]
    left, right = np.full(len(gains), -np.inf), np.full(len(gains), np.inf)
    for distance in range(1, n_prms + 1):
        back, ahead = first - distance, first + distance
        slope = (lowest - sums[rows, np.maximum(back, 0)]) / distance
        left = np.where(back >= 0, np.maximum(left, slope), left)
        slope = (sums[rows, np.minimum(ahead, n_prms)] - lowest) / distance
        right = np.where(ahead <= n_prms, np.minimum(right, slope), right)
    inside = (first > 0) & (first < n_prms)
    x = np.broadcast_to(abilities, gains.shape)
    below = x[rows, np.clip(first - 1, 0, n_prms - 1)]
    above = x[rows, np.clip(first, 0, n_prms - 1)]
    share = np.divide(-left, right - left, out=np.zeros(len(gains)), where=inside).clip(0, 1)
    ends = np.where(first == 0, -np.inf, np.inf)
    crossings: FloatArray = np.where(inside, below + share * (above - below), ends)
    crossings[np.isnan(gains).any(axis=1)] = np.nan
    return crossings


def _threshold_rows(
    placed: Sequence[_Placed], gains: FloatArray, confidence: float
) -> Iterator[tuple[object, ...]]:
    """Rows of ``THRESHOLDS`` from ``gains`` [1 + replicates, columns]; the first are the estimates.

    Ends of intervals are refits themselves, not interpolated: infinity has no middle.
    """
    of_size: dict[int, list[int]] = {}
    for i, one in enumerate(placed):
        of_size.setdefault(len(one.columns), []).append(i)
    crossings: dict[int, FloatArray] = {}
    for n_prms, which in of_size.items():
        x = np.stack([placed[i].abilities for i in which])
        y = np.stack([gains[:, placed[i].columns] for i in which])
        of_rows = thresholds(np.repeat(x, len(gains), axis=0), y.reshape(-1, n_prms))
        crossings |= zip(which, of_rows.reshape(len(which), -1), strict=True)
    for i, one in enumerate(placed):
        # NaN is sorted to the end.
        refitted = np.sort(crossings[i][1:])[: np.count_nonzero(~np.isnan(crossings[i][1:]))]
        tail = int(expanded_tail(one.n_problems, confidence) * (len(refitted) - 1))
        ends = refitted[[tail, -1 - tail]].tolist() if len(refitted) else (-np.inf, np.inf)
        least, *_, most = one.abilities.tolist()
        yield (*one.key, float(crossings[i][0]), *ends, least, most, len(one.columns))


class _Outcomes:
    """Accuracies (0 to 1) [problems] of one task by policy, PRM, method and budget; and for each
    policy the problems of each bucket, as 0 or 1 [problems]."""

    def __init__(
        self, values: Mapping[_Key, FloatArray], buckets: Mapping[str, Mapping[str, FloatArray]]
    ) -> None:
        self.values, self.buckets = values, buckets

    @classmethod
    def of(
        cls,
        outcomes: pl.DataFrame,
        held_out: pl.DataFrame,
        problem_ids: Sequence[str],
        settings: GainSettings,
    ) -> _Outcomes:
        index = {name: row for row, name in enumerate(problem_ids)}
        is_aggregation = (pl.col("scoring") == settings.scoring) & (
            pl.col("voting") == settings.voting
        )
        all_outcomes = pl.concat(
            [
                outcomes.filter(
                    # Majority over answers of a search stands with its PRM, and is none of these.
                    ((pl.col("method") == "majority") & pl.col("prm").is_null())
                    | (pl.col("method").is_in(METHODS) & is_aggregation),
                    pl.col("budget") > 1,
                ).select(*_Key._fields, "problem_id", "bucket", "accuracy"),
                held_out.filter(is_aggregation, pl.col("budget") > 1).select(
                    "policy", "prm", pl.lit("compute_optimal").alias("method"), "budget",
                    "problem_id", pl.lit(None, dtype=TEXT).alias("bucket"), "accuracy",
                ),
            ]
        )  # fmt: skip
        values: dict[_Key, FloatArray] = {}
        buckets: dict[str, dict[str, FloatArray]] = {}
        for key, part in all_outcomes.group_by(_Key._fields, maintain_order=True):
            rows = [index[name] for name in part["problem_id"]]
            values[_Key(*key)] = column = np.full(len(index), np.nan)
            column[rows] = part["accuracy"].to_numpy()
            of_policy = buckets.setdefault(str(key[0]), {"all": np.ones(len(index))})
            if part["bucket"].null_count() < part.height:
                labels = np.array(part["bucket"].to_list())
                for bucket in BUCKETS:
                    of_policy.setdefault(bucket, np.zeros(len(index)))[rows] = labels == bucket
        return cls(values, buckets)

    def series(
        self, widening: Mapping[tuple[str, str, int], float | None]
    ) -> Iterator[tuple[_Series, dict[str, _Difference]]]:
        """What is compared, each with PRM -> its differences; ``widening`` is by (policy, PRM,
        budget)."""
        policies = list(dict.fromkeys(key.policy for key in self.values))
        budgets = sorted({key.budget for key in self.values})
        methods = *METHODS, "compute_optimal"
        for method, budget, against in product(methods, budgets, AGAINST):
            if against == "fewest" and (method != "best_of_n" or budget == budgets[0]):
                continue
            pairs = {
                (key.policy, key.prm): (value, reference)
                for key, value in self.values.items()
                if (key.method, key.budget) == (method, budget)
                and key.prm is not None
                and (reference := self._reference(key, against, budgets[0])) is not None
            }
            if method == "compute_optimal":
                pairs = self._of_equal_choice(pairs, budget)
            prms = list(dict.fromkeys(prm for _, prm in pairs))
            # The PRMs are compared on equal terms: by policies that ran with each of them.
            shared = [p for p in policies if all((p, prm) in pairs for prm in prms)]
            groups: list[tuple[str | None, list[str]]] = [(p, [p]) for p in policies]
            if len(shared) > 1:
                groups.insert(0, (None, shared))
            for (name, group), bucket in product(groups, ("all", *BUCKETS)):
                sums = {
                    prm: self._summed(group, prm, bucket, pairs, budget, method, widening)
                    for prm in prms
                    if all((policy, prm) in pairs for policy in group)
                    and all(bucket in self.buckets[policy] for policy in group)
                }
                if sums:
                    yield _Series(name, method, budget, bucket, against), sums

    def _of_equal_choice(
        self, pairs: Mapping[tuple[str, str], tuple[FloatArray, FloatArray]], budget: int
    ) -> dict[tuple[str, str], tuple[FloatArray, FloatArray]]:
        """The pairs (policy, PRM) with every method that any PRM has for the policy at ``budget``.

        With a PRM that some searches were not run with, to a larger budget say, the choice is among
        fewer strategies: that is no difference between PRMs.
        """
        ran: dict[tuple[str, str | None], set[str]] = {}
        for key in self.values:
            if key.budget == budget and key.method in METHODS:
                ran.setdefault((key.policy, key.prm), set()).add(key.method)
        most: dict[str, set[str]] = {}
        for policy, prm in pairs:
            most.setdefault(policy, set()).update(ran.get((policy, prm), ()))
        return {
            (policy, prm): values
            for (policy, prm), values in pairs.items()
            if ran.get((policy, prm), set()) == most[policy]
        }

    def _reference(self, key: _Key, against: str, fewest: int) -> FloatArray | None:
        if against == "majority":
            return self.values.get(key._replace(prm=None, method="majority"))
        return self.values.get(key._replace(budget=fewest))

    def _summed(
        self,
        policies: Iterable[str],
        prm: str,
        bucket: str,
        pairs: Mapping[tuple[str, str], tuple[FloatArray, FloatArray]],
        budget: int,
        method: str,
        widening: Mapping[tuple[str, str, int], float | None],
    ) -> _Difference:
        names = [*policies]
        masks = np.stack([self.buckets[policy][bucket] for policy in names])
        values, references = (
            np.stack([pairs[policy, prm][side] for policy in names]) for side in (0, 1)
        )
        known = masks * ~(np.isnan(values) | np.isnan(references))
        value = np.where(known > 0, values, 0.0)
        reference = np.where(known > 0, references, 0.0)
        of_choice = [widening.get((policy, prm, budget)) or 1.0 for policy in names]
        return _Difference(
            (value - reference).sum(axis=0),
            value.sum(axis=0),
            known.sum(axis=0, dtype=np.float64),
            float(np.mean(of_choice)) if method == "compute_optimal" else 1.0,
            tuple(names),
        )


def _resampled(differences: Sequence[_Difference], weights: FloatArray) -> FloatArray:
    """Mean differences in points [1 + replicates, columns], the estimates first."""
    all_weights = np.vstack([np.ones((1, weights.shape[1])), weights])
    # Most columns count the same problems: each pattern is resampled once.
    patterns: dict[bytes, int] = {}
    place = [patterns.setdefault(one.count.tobytes(), len(patterns)) for one in differences]
    counts = all_weights @ np.stack([np.frombuffer(pattern) for pattern in patterns], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        points = all_weights @ np.stack([one.difference for one in differences], axis=1)
        points /= counts[:, place]
        # Other problems would have chosen otherwise (selection.SELECTION).
        for i, one in enumerate(differences):
            if one.widening > 1:
                values = all_weights @ one.value / counts[:, place[i]]
                points[:, i] += (one.widening - 1) * (values - values[0])
    points *= 100
    return points


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
