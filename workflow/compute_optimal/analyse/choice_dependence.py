"""On what the best method depends: policy, PRM and difficulty, each left out of the choice in turn.

That it depends on all three is the paper's first finding (abstract; sections 3 and 4). Here the
method is chosen for each policy, PRM and (true) difficulty, as compute-optimal scaling does, and
again by one who leaves one of the three out: one method for all policies with a PRM and a
difficulty, one for all PRMs, or one for all difficulties. All are chosen on some problems and
scored on others; by how much the full choice does better is how much depends on what was left out.

Compared are the pairs of policy and PRM that ran every method, at the largest of the budgets where
the most pairs did, on the problems that all of them have with a known difficulty. The difficulty of
a problem is each policy's own, by samples that nothing else uses.

The rules above, and those of the claims on them, were written before any result was seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from compute_optimal.analyse.selection import METHODS
from compute_optimal.analyse.statistics.choosing_anew import choice_deviations
from compute_optimal.analyse.statistics.estimators import FloatArray, IntArray
from compute_optimal.analyse.statistics.intervals import problem_weights
from compute_optimal.analyse.statistics.pooled_choice import choose_together
from compute_optimal.analyse.statistics.prediction import Splits
from compute_optimal.store.columns import REAL, TEXT, Column, Columns, common
from compute_optimal.study.buckets import BUCKETS

REPLICATES, FOLDS, REPEATS = 200, 5, 5
"""Of cross-fitting: resamplings that choose anew, folds, and repeats of the split."""

LEFT_OUT = ("policy", "prm", "difficulty")
"""What a choice may not know."""

_ACCURACIES = pl.List(pl.Float64())
CHOICE_DEPENDENCE = Columns(
    "What a choice of methods gives that knows policy, PRM and difficulty, and one that does not",
    {
        **common("task", "policy", "prm", "scoring", "voting", "budget"),
        "left_out": Column(TEXT, f"What the second choice does not know: {', '.join(LEFT_OUT)}"),
        "problem_ids": Column(pl.List(pl.String()), "Problems that are compared"),
        "informed": Column(
            _ACCURACIES, "Chance of a right answer by the first choice to each of them, 0 to 1"
        ),
        "uninformed": Column(
            _ACCURACIES, "Chance of a right answer by the second choice to each of them, 0 to 1"
        ),
        "difference": Column(REAL, "Mean of the first minus mean of the second, -1 to 1"),
        "choice_deviations": Column(
            _ACCURACIES,
            "How the difference moves where resampled problems choose again, -1 to 1, one a "
            "resampling, the same ones in every row of a task",
        ),
    },
)


class _Pair(NamedTuple):
    policy: str
    prm: str


class _Compared(NamedTuple):
    """Pairs at one budget. ``outcome`` [pairs, methods, problems], 0 to 1; ``difficulty`` [pairs,
    problems]: places in ``BUCKETS``; ``rows`` [problems]: places among the task's."""

    budget: int
    pairs: tuple[_Pair, ...]
    outcome: FloatArray
    difficulty: IntArray
    rows: IntArray


def examine_dependence(
    outcomes: pl.DataFrame,
    problems: pl.DataFrame,
    *,
    scoring: str,
    voting: str,
    seed: int,
) -> pl.DataFrame:
    """``CHOICE_DEPENDENCE`` of every task, by one way from step scores to an answer.

    ``outcomes``: as ``accuracy.OUTCOMES`` with task and policy, of the study's own policies;
    ``problems``: task, problem_id. What is left out has no row where there is but one of it.
    """
    rows: list[tuple[Any, ...]] = []
    of_methods = outcomes.filter(
        pl.col("method").is_in(METHODS),
        pl.col("budget") > 1,
        pl.col("bucket").is_in(BUCKETS),
        scoring=scoring,
        voting=voting,
    )
    for (task,), of_task in of_methods.group_by("task", maintain_order=True):
        ids = problems.filter(task=task)["problem_id"].to_list()
        compared = _compared(of_task, ids)
        if compared is None or len(compared.rows) < 2 * FOLDS:
            continue
        names = [ids[row] for row in compared.rows]
        nested = problem_weights(ids, REPLICATES, seed)[:, compared.rows]
        rows += [
            (task, *pair, scoring, voting, compared.budget, left_out, names, *values)
            for left_out, pair, values in _differences(compared, nested, seed)
        ]
    return pl.DataFrame(rows, schema=CHOICE_DEPENDENCE, orient="row")


def _compared(outcomes: pl.DataFrame, problem_ids: Sequence[str]) -> _Compared | None:
    """The pairs that are compared of one task; None if no method was chosen among there."""
    index = {name: row for row, name in enumerate(problem_ids)}
    values: dict[tuple[int, _Pair], dict[str, FloatArray]] = {}
    difficulty: dict[str, FloatArray] = {}
    grouped = outcomes.group_by("budget", "policy", "prm", "method", maintain_order=True)
    for (budget, policy, prm, method), part in grouped:
        places = [index[name] for name in part["problem_id"]]
        of_pair = values.setdefault((budget, _Pair(policy, prm)), {})
        of_pair[str(method)] = column = np.full(len(index), np.nan)
        column[places] = part["accuracy"].to_numpy()
        of_policy = difficulty.setdefault(str(policy), np.full(len(index), np.nan))
        of_policy[places] = [BUCKETS.index(bucket) for bucket in part["bucket"]]
    ran = [method for method in METHODS if any(method in of_pair for of_pair in values.values())]
    complete = {key: of for key, of in values.items() if len(of) == len(ran)}
    if len(ran) < 2 or not complete:
        return None
    counts = Counter(budget for budget, _ in complete)
    most = max(counts.values())
    budget = max(budget for budget, count in counts.items() if count == most)
    pairs = tuple(pair for at, pair in complete if at == budget)
    outcome = np.stack(
        [np.stack([complete[budget, pair][method] for method in ran]) for pair in pairs]
    )
    buckets = np.stack([difficulty[pair.policy] for pair in pairs])
    known = ~(np.isnan(outcome).any(axis=(0, 1)) | np.isnan(buckets).any(axis=0))
    return _Compared(
        budget, pairs, outcome[:, :, known], buckets[:, known].astype(np.int64),
        np.flatnonzero(known),
    )  # fmt: skip


def _differences(
    compared: _Compared, nested: FloatArray, seed: int
) -> Iterator[tuple[str, _Pair, tuple[list[float], list[float], float, list[float]]]]:
    """What is left out, the pair, and the row's columns from informed on."""
    splits = Splits.of(nested, FOLDS, REPEATS, seed)
    outcome, difficulty = compared.outcome, compared.difficulty
    alone = np.arange(len(compared.pairs))
    pools: Mapping[str, IntArray] = {
        # One who may not tell policies apart still knows the PRM, and so on.
        "policy": _numbered([pair.prm for pair in compared.pairs]),
        "prm": _numbered([pair.policy for pair in compared.pairs]),
        "difficulty": alone,
    }
    n_kinds = {
        "policy": len({pair.policy for pair in compared.pairs}),
        "prm": len({pair.prm for pair in compared.pairs}),
        "difficulty": len(np.unique(difficulty)),
    }
    informed = choose_together(outcome, difficulty, alone, splits)
    for left_out in LEFT_OUT:
        if n_kinds[left_out] < 2:
            continue
        groups = np.zeros_like(difficulty) if left_out == "difficulty" else difficulty
        other = choose_together(outcome, groups, pools[left_out], splits)
        difference = informed.accuracy - other.accuracy
        moves = choice_deviations(
            informed.replicates - other.replicates, informed.once - other.once, difference, nested
        )
        for i, pair in enumerate(compared.pairs):
            yield (
                left_out,
                pair,
                (
                    informed.accuracy[i].tolist(),
                    other.accuracy[i].tolist(),
                    float(difference[i].mean()),
                    moves[:, i].tolist(),
                ),
            )


def _numbered(names: Sequence[str]) -> IntArray:
    order = list(dict.fromkeys(names))
    return np.array([order.index(name) for name in names], dtype=np.int64)
