"""What a practitioner asks of a study: what to run for a budget, or for an accuracy.

All accuracies are held out: of ways that nobody chose, or that other problems chose. Taking the
best of many is a choice once more, made by these accuracies: an answer says of how many, and that
less is to be expected; ways whose intervals hold its accuracy are said to be as good as it.
"""

from __future__ import annotations

import decimal
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from compute_optimal.errors import StudyError
from compute_optimal.present.claims.judge import MINIMUM_PROBLEMS
from compute_optimal.present.query import Row, opened, run_query
from compute_optimal.present.style import counted, fixed, scientific, significant
from compute_optimal.study.config import Study
from compute_optimal.study.config.reading import suggestion

UNITS = ("samples", "tokens", "flops", "seconds")
"""Units of a cost, per problem: samples (as N counts), tokens of the policy, FLOPs (2ND, with the
PRM), seconds of the engines."""

_EQUAL = 1e-9
"""Accuracies (0 to 1) and shares of a cost up to which two are the same: what two ways to one
number leave of it must not decide which way is the cheaper one."""

_WAYS: Mapping[str, str] = {
    "cot": "one greedy answer (CoT)",
    "majority": "majority voting",
    "one_strategy": "one strategy for all problems",
    "predicted": "a strategy for each predicted difficulty",
    "majority certain": "majority voting until the answer is certain",
    "majority confident": "majority voting until one answer leads with a chance of 95%",
    "best_of_n threshold": "best-of-N until a score is high enough",
}
_METHODS: Mapping[str, str] = {
    "cot": "CoT",
    "majority": "majority voting",
    "best_of_n": "best-of-N",
    "beam_search": "beam search",
    "dvts": "DVTS",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The question: at most ``most`` of ``unit`` (one of ``UNITS``) per problem, or ``accuracy`` (0
    to 1) at least; one of the two is None.

    ``policy``, ``prm``, ``task``: names or titles, None for any; ``difficulty``: easy, medium or
    hard, as predicted, or all.
    """

    unit: str = "samples"
    most: float | None = None
    accuracy: float | None = None
    policy: str | None = None
    prm: str | None = None
    task: str | None = None
    difficulty: str = "all"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A way to use a policy: accuracies are 0 to 1, costs per problem, None where unknown.

    Of a predicted difficulty they are of the problems that it was predicted for; FLOPs and seconds
    go by the tokens that these take.
    ``methods``: method -> the share of problems that it answers, 0 to 1.
    """

    task: str
    policy: str
    prm: str | None
    way: str
    methods: Mapping[str, float]
    budget: int
    difficulty: str
    accuracy: float
    ci_low: float
    ci_high: float
    samples: float
    tokens: float | None
    flops: float | None
    seconds: float | None
    n_problems: float
    n_ways: int
    """How many ways fit the question, this one among them: it was taken by their accuracies, on the
    problems that they were measured on, so its own is flattered where there are others."""
    as_good: int
    """How many other ways that fit the question have an interval that holds this accuracy."""
    most_problems: float
    """The most problems that a way which fits the question was measured on."""
    of_unknown_cost: int
    """How many ways of the task were left out, as their cost in the unit of the question is not
    known."""
    best_of_unknown_cost: float | None
    """The highest accuracy of these, 0 to 1; None where there are none."""

    def cost(self, unit: str) -> float | None:
        """The cost in one of ``UNITS``; None where unknown."""
        value: float | None = getattr(self, unit)
        return value


def answer(
    study: Study,
    database: Path | None = None,
    *,
    unit: str = "samples",
    most: float | None = None,
    accuracy: float | None = None,
    policy: str | None = None,
    prm: str | None = None,
    task: str | None = None,
    difficulty: str = "all",
    as_json: bool = False,
) -> list[str]:
    """The command ``recommend``: what ``recommend`` answers, in words or as JSON.

    ``database``: by default the study's; the rest as of ``Asked``. Raises ``StudyError`` as it
    does.
    """
    asked = Asked(unit, most, accuracy, policy, prm, task, difficulty)
    answers = _answers(database or study.results / "study.duckdb", asked)
    return [to_json(answers, asked) if as_json else in_words(*answers, unit)]


def recommend(database: Path, asked: Asked) -> list[Recommendation]:
    """The best answer for each task that has one, of adopted rollouts and own runs alike.

    The most accurate way within the budget (of equals the cheapest); or the cheapest whose interval
    lies wholly at the asked accuracy or above or, where there is none, whose estimate does. Of a
    predicted difficulty, ways count that as many problems were predicted for as a claim on a
    difficulty asks for. Raises ``StudyError`` for a question about neither or both, and for one
    without an answer, and says what there would be.
    """
    return _answers(database, asked).recommended


class _Answers(NamedTuple):
    """What is recommended, and of each task where nothing fits its title and what there would
    be."""

    recommended: list[Recommendation]
    lacking: dict[str, str]


def _answers(database: Path, asked: Asked) -> _Answers:
    if (asked.most is None) == (asked.accuracy is None):
        raise StudyError(
            "a question is about a budget or about an accuracy, and this is about "
            + ("neither" if asked.most is None else "both"),
            where="recommend",
            cure="give --budget NUMBER --unit samples, or --accuracy NUMBER",
        )
    if asked.most is not None and not 0 < asked.most < math.inf:
        raise StudyError(
            f"a budget of {asked.most:g} {asked.unit} cannot be",
            where="--budget",
            cure="give a number above 0, such as 16; for the most accurate way of all, a large one",
        )
    if asked.accuracy is not None and not 0 < asked.accuracy <= 1:
        raise StudyError(
            f"an accuracy of {asked.accuracy:g} cannot be",
            where="--accuracy",
            cure="give a share above 0 and at most 1, such as 0.8",
        )
    with opened(database):
        (settings,) = run_query("settings", database)
        aggregation = {name: settings[name] for name in ("scoring", "voting")}
        rows: Sequence[Row] = run_query("recommendations", database, aggregation)
    if not rows:
        raise StudyError(
            "the study holds nothing to choose from", where=str(database),
            cure="run a study with majority voting, or with a PRM and a budget above 4",
        )  # fmt: skip
    every = rows
    for key, value in (("task", asked.task), ("policy", asked.policy), ("prm", asked.prm)):
        rows = _named(rows, every, key, value)
    of_difficulty = [row for row in rows if row["difficulty"] == asked.difficulty]
    if not of_difficulty:
        raise StudyError(
            f"nothing is known of problems that are predicted {asked.difficulty}",
            where="--difficulty",
            cure=suggestion(asked.difficulty, {row["difficulty"]: None for row in rows}),
        )
    if asked.difficulty != "all":
        most_problems = max(row["n_problems"] for row in of_difficulty)
        of_difficulty = [row for row in of_difficulty if row["n_problems"] >= MINIMUM_PROBLEMS]
        if not of_difficulty:
            raise StudyError(
                f"too few problems are predicted {asked.difficulty}: "
                f"{fixed(most_problems)} at most",
                where="--difficulty",
                cure=f"ask about all problems, or run a task with {MINIMUM_PROBLEMS} such problems",
            )
    known = [row for row in of_difficulty if row[asked.unit] is not None]
    unknown = [row for row in of_difficulty if row[asked.unit] is None]
    if not known:
        raise StudyError(
            f"what these ways cost in {asked.unit} is not known",
            where="--unit",
            cure=f"ask in {', '.join(unit for unit in UNITS if unit != asked.unit)}",
        )
    answers = _Answers([], {})
    for task in dict.fromkeys(row["task_title"] for row in rows):
        of_task = [row for row in known if row["task_title"] == task]
        left_out = [row["accuracy"] for row in unknown if row["task_title"] == task]
        best = _best(of_task, left_out, asked)
        if best is not None:
            answers.recommended.append(best)
        elif of_task:
            error = _nothing_fits(of_task, left_out, asked)
            answers.lacking[task] = f"{error.what}; {error.cure}"
        elif any(row["task_title"] == task for row in of_difficulty):
            answers.lacking[task] = f"what its ways cost in {asked.unit} is not known"
        else:
            answers.lacking[task] = f"too few problems are predicted {asked.difficulty}"
    if not answers.recommended:
        raise _nothing_fits(known, [row["accuracy"] for row in unknown], asked)
    return answers


def _named(rows: Sequence[Row], every: Sequence[Row], key: str, value: str | None) -> Sequence[Row]:
    """Rows of one task, policy or PRM; ways without a PRM stay whichever PRM is asked for.

    ``every``: rows of whatever task, policy and PRM, which say what the study has.
    """
    if value is None:
        return rows
    what = "PRM" if key == "prm" else key
    if value not in _names(rows, key):
        elsewhere = value in _names(every, key)
        raise StudyError(
            f"nothing is known of the {what} {value} with what else is asked for"
            if elsewhere
            else f"the study has no {what} called {value}",
            where=f"--{key}",
            # What is a name is no misspelling of another.
            cure=suggestion(
                "" if elsewhere else value, {row[f"{key}_title"]: None for row in rows if row[key]}
            ),
        )
    return [
        row
        for row in rows
        if value in (row[key], row[f"{key}_title"]) or (key == "prm" and row[key] is None)
    ]


def _names(rows: Sequence[Row], key: str) -> set[str]:
    return {row[name] for row in rows for name in (key, f"{key}_title")} - {None}


def _best(rows: Sequence[Row], left_out: Sequence[float], asked: Asked) -> Recommendation | None:
    """``left_out``: accuracies (0 to 1) of the ways whose cost in the unit is not known."""
    unit = asked.unit
    if asked.most is not None:
        fitting = [row for row in rows if row[unit] <= asked.most * (1 + _EQUAL)]
        if not fitting:
            return None
        most = max(row["accuracy"] for row in fitting)
        best = [row for row in fitting if row["accuracy"] >= most - _EQUAL]
    else:
        least = (asked.accuracy or 0) - _EQUAL
        fitting = [row for row in rows if row["ci_low"] >= least]
        fitting = fitting or [row for row in rows if row["accuracy"] >= least]
        if not fitting:
            return None
        best = fitting
    cheapest = min(row[unit] for row in best)
    row = max(
        (row for row in best if row[unit] <= cheapest * (1 + _EQUAL)),
        key=lambda row: row["accuracy"],
    )
    as_good = sum(
        other is not row
        and other["ci_low"] - _EQUAL <= row["accuracy"] <= other["ci_high"] + _EQUAL
        for other in fitting
    )
    return Recommendation(
        task=row["task_title"],
        policy=row["policy_title"],
        prm=row["prm_title"],
        way=row["way"],
        methods={str(name): float(share) for name, share in dict(row["methods"]).items()},
        **{
            name: row[name]
            for name in (
                "budget", "difficulty", "accuracy", "ci_low", "ci_high", *UNITS, "n_problems",
            )
        },
        n_ways=len(fitting),
        as_good=as_good,
        most_problems=max(other["n_problems"] for other in fitting),
        of_unknown_cost=len(left_out),
        best_of_unknown_cost=max(left_out, default=None),
    )  # fmt: skip


def _nothing_fits(rows: Sequence[Row], left_out: Sequence[float], asked: Asked) -> StudyError:
    """``left_out`` as of ``_best``: what is said of the rest must not be read as said of them."""
    among = f" whose cost in {asked.unit} is known" if left_out else ""
    others = f" (others, up to {significant(max(left_out), 3)})" if left_out else ""
    if asked.most is not None:
        least = min(row[asked.unit] for row in rows)
        return StudyError(
            f"no way{among} costs so little as {asked.most:.12g} {_units(asked.unit, asked.most)} "
            "per problem",
            where="--budget",
            cure=f"the cheapest takes {_cost(_on_its_side(least, 4, decimal.ROUND_CEILING))}",
        )
    most = _on_its_side(max(row["accuracy"] for row in rows), 3, decimal.ROUND_FLOOR)
    return StudyError(
        f"no way{among} reaches an accuracy of {asked.accuracy:.12g}{others}",
        where="--accuracy",
        cure=f"the most accurate reaches {significant(most, 3)}",
    )


def _on_its_side(value: float, digits: int, rounding: str) -> float:
    """``value`` in so many leading digits, up or down: who asks for what an error names gets it."""
    exact = Decimal(f"{value:.11e}")
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - digits + 1), rounding))


def _units(unit: str, value: float) -> str:
    return unit.removesuffix("s") if value == 1 else unit


def _cost(value: float) -> str:
    """Tokens and seconds in full, FLOPs with a power of ten."""
    return significant(value, 4) if value < 1e9 else scientific(value, 2)


def _left_out_in_words(one: Recommendation, unit: str) -> str:
    if one.best_of_unknown_cost is None:
        return ""
    ways = counted(one.of_unknown_cost, "way")
    is_one = one.of_unknown_cost == 1
    reach = f"{'it reaches' if is_one else 'they reach up to'} "
    return (
        f" Left out {'is' if is_one else 'are'} {ways} whose cost in {unit} is not known; {reach}"
        f"{fixed(100 * one.best_of_unknown_cost)}%."
    )


def in_words(
    recommendations: Sequence[Recommendation],
    lacking: Mapping[str, str] = MappingProxyType({}),
    unit: str = "samples",
) -> str:
    """The answers as sentences, one paragraph a task. ``lacking``: title of a task where nothing
    fits -> what there would be; ``unit``: that of the question, one of ``UNITS``."""
    paragraphs = []
    for one in recommendations:
        methods = " or ".join(
            f"{_METHODS.get(name, name)}"
            + (f" ({fixed(100 * share, 0)}%)" if share < 0.995 else "")
            for name, share in sorted(one.methods.items(), key=lambda item: -item[1])
        )
        # One sample has nobody to vote with.
        is_alone = one.way == "majority" and one.budget == 1
        way = "one sampled answer" if is_alone else _WAYS.get(one.way, one.way)
        what = way if one.way not in ("one_strategy", "predicted") else f"{way}: {methods}"
        prm = f" with {one.prm}" if one.prm else ""
        problems = "" if one.difficulty == "all" else f" that are predicted {one.difficulty}"
        costs = [
            f"{_cost(value)} {_units(unit, value)}"
            for unit in UNITS
            if (value := one.cost(unit)) is not None
        ]
        others = {0: "none of the others is", 1: "1 other is"}.get(
            one.as_good, f"{one.as_good} others are"
        )
        picked = (
            f"Picked from {one.n_ways} ways that fit by these very accuracies, so expect a little "
            f"less; {others} as good as far as the intervals tell."
            if one.n_ways > 1
            else "No other way fits."
        )
        # A few less make no difference, and of a predicted difficulty each way has its own.
        more = (
            f" Others were measured on up to {one.most_problems:.0f} problems, which may be easier "
            f"or harder than these {one.n_problems:.0f}."
            if one.difficulty == "all" and one.most_problems > 1.1 * one.n_problems
            else ""
        )
        paragraphs.append(
            f"{one.task}{problems}: {one.policy}{prm}, N = {one.budget} - {what}.\n"
            f"  Accuracy {fixed(100 * one.accuracy)}% [{fixed(100 * one.ci_low)}, "
            f"{fixed(100 * one.ci_high)}] on {counted(round(one.n_problems), 'problem')}; no "
            "strategy was chosen on these.\n"
            f"  Cost per problem, on average: {'; '.join(costs)}.\n"
            f"  {picked}{more}"
            f"{_left_out_in_words(one, unit)}"
        )
    paragraphs += [f"{task}: {what}." for task, what in lacking.items()]
    return "\n".join(paragraphs)


def to_json(answers: _Answers, asked: Asked) -> str:
    """Question and answers for machines, and by its title each task where nothing fits."""
    content: dict[str, Any] = {
        "asked": asdict(asked),
        "answers": [asdict(one) for one in answers.recommended],
        "lacking": answers.lacking,
    }
    return json.dumps(content, indent=2, allow_nan=False)
