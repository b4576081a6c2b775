"""A made-up study in a database as the product makes it, for tests of what is read from one."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from compute_optimal.analyse import (
    accuracy,
    adaptive_budgets,
    adopted_pools,
    predicted_difficulty,
)
from compute_optimal.analyse.accuracy import OUTCOMES
from compute_optimal.analyse.choice_dependence import examine_dependence
from compute_optimal.analyse.database import TABLES, fill
from compute_optimal.analyse.prm_ability import MEASURES
from compute_optimal.analyse.prm_cases import DISAGREEMENT, FAILURES
from compute_optimal.analyse.prm_gains import GainSettings, examine_gains
from compute_optimal.analyse.reward_models import examine_solutions
from compute_optimal.analyse.score_quality import examine_scores
from compute_optimal.analyse.selection import select_strategies
from compute_optimal.store.schemas import COUNTS, SECONDS
from compute_optimal.study.requests import EstimateSettings
from compute_optimal.study.spec import canonical

TASKS = (("math500", "MATH-500", 40), ("aime24", "AIME24", 12))
OUTSIDE = ("outside", "Outside", 30)
"""A task that the study does not run: of it there are only rollouts of others."""

POLICIES = (
    ("llama-3.2-1b", "Llama-3.2-1B-Instruct", "Llama", 1_240_000_000),
    ("llama-3.2-3b", "Llama-3.2-3B-Instruct", "Llama", 3_210_000_000),
    ("llama-3.1-8b", "Llama-3.1-8B-Instruct", "Llama", 8_030_000_000),
    ("qwen2.5-0.5b", "Qwen2.5-0.5B-Instruct", "Qwen2.5", 490_000_000),
    ("qwen2.5-7b", "Qwen2.5-7B-Instruct", "Qwen2.5", 7_620_000_000),
    ("qwen2.5-72b", "Qwen2.5-72B-Instruct", "Qwen2.5", 72_700_000_000),
)
PRMS = (
    ("math-shepherd-7b", "Math-Shepherd-PRM-7B", "math_shepherd", 7_110_000_000),
    ("rlhflow-mistral-8b", "RLHFlow-PRM-Mistral-8B", "rlhflow", 8_030_000_000),
    ("skywork-1.5b", "Skywork-PRM-1.5B", "skywork", 1_540_000_000),
    ("qwen-math-7b", "Qwen2.5-Math-PRM-7B", "qwen_math", 7_080_000_000),
    ("qwen-math-72b", "Qwen2.5-Math-PRM-72B", "qwen_math", 72_000_000_000),
)
PUBLISHED = (
    ("Figure 1", "GPT-4o", "CoT", "", "MATH-500", "accuracy", "74.6"),
    ("Figure 1", "Llama-3.2-3B-Instruct", "TTS", "", "MATH-500", "accuracy", "78.2"),
    ("Figure 3", "Qwen2.5-72B-Instruct", "", "", "MATH-500", "share_above_80%", "76.2"),
    ("Table 2", "", "Majority Vote", "Qwen2.5-Math-PRM-7B", "MATH-500", "accuracy", "87.6"),
    ("Table 2", "", "PRM-Last-Max", "Qwen2.5-Math-PRM-7B", "MATH-500", "accuracy", "87.6"),
    ("Table 3", "Llama-3.2-1B-Inst.", "compute-optimal TTS", "", "AIME24", "accuracy", "16.7"),
    ("Table 3", "Llama-3.2-3B-Inst.", "compute-optimal TTS", "", "MATH-500", "accuracy", "75.6"),
    ("Table 5", "Llama-3.2-1B-Inst.", "CoT", "", "MATH-500", "accuracy", "26.0"),
    ("Table 5", "Llama-3.2-1B-Inst.", "Majority voting", "", "MATH-500", "accuracy", "39.0"),
    ("Table 5", "Llama-3.2-1B-Inst.", "compute-optimal TTS", "", "MATH-500", "accuracy", "66.2"),
    ("Table 5", "Llama-3.2-1B-Inst.", "compute-optimal TTS", "", "MATH-500",
     "performance_gain_over_CoT", "154.6"),
    ("Table 5", "Llama-3.2-1B-Inst.", "compute-optimal TTS", "", "MATH-500",
     "efficiency_gain_over_majority", ">256.0"),
    ("Table 5", "Llama-3.2-3B-Inst.", "compute-optimal TTS", "", "MATH-500", "accuracy", "78.2"),
    ("Table 1", "Mistral-PRM-Data", "", "RLHFlow-PRM-Mistral-8B", "PRM training data",
     "avg_tokens_per_response", "236.9"),
    ("Table 1", "Mistral-PRM-Data", "", "RLHFlow-PRM-Mistral-8B", "PRM training data",
     "avg_tokens_per_step", "46.6"),
    ("Table 3", "GPT-4o", "CoT", "", "MATH-500", "accuracy", "74.6"),
    ("Table 3", "GPT-4o", "CoT", "", "Avg", "accuracy", "42.0"),
    ("Table 4", "DeepSeek-R1", "CoT", "", "", "pretraining_FLOPS", "5.96e25"),
    ("Table 4", "DeepSeek-R1", "CoT", "", "", "inference_FLOPS", "4.03e18"),
    ("Table 6", "Qwen2.5-7B-Inst. w/ 72B PRM (Ours)", "compute-optimal TTS", "72B PRM", "MATH-500",
     "accuracy", "91.0"),
    ("Table 6", "Satori-Qwen-7B", "CoT", "", "MATH-500", "accuracy", "83.6"),
)  # fmt: skip
PRETRAINING = (
    ("Llama-3.2-3B-Instruct", 3e9, None, 9e12, "made up"),
    ("DeepSeek-R1", 671e9, 37e9, 14.8e12, "made up"),
)
AGGREGATIONS = tuple(
    (scoring, voting)
    for scoring in ("prm_min", "prm_last", "prm_avg")
    for voting in ("prm_max", "prm_vote")
)
SEARCHES = ("beam_search", "dvts")


def fill_frames(database: duckdb.DuckDBPyConnection, frames: Mapping[str, pl.DataFrame]) -> None:
    """Make the product's tables and views, with these rows."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for table, frame in frames.items():
            assert list(frame.columns) == list(TABLES[table]), table
            paths[table] = [f"{folder}/{table}.parquet"]
            frame.write_parquet(paths[table][0])
        fill(database, paths, Path(folder))


Row = tuple[object, ...] | Mapping[str, object]
"""Values in the order of the table's columns, or by their names, the others null."""


@dataclass(frozen=True)
class Rollouts:
    """What others drew of one model: a pool with scores, beam searches, or one greedy answer.

    ``skill``: chance of a right answer, on average; ``searched``: problems that searches have.
    """

    policy: str
    model: str
    n_parameters: int | None
    skill: float
    n_samples: int = 0
    is_greedy: bool = False
    searched: int = 0
    n_runs: int = 1
    weights: str = "4 bits"
    n_tokens: int | None = 300


ROLLOUTS = (
    Rollouts("small--a", "Small-1B-AWQ", 1_000_000_000, 0.35, 17, searched=24, n_runs=3),
    Rollouts("smaller", "Smaller-0.5B", 500_000_000, 0.25, 3, n_tokens=None),
    Rollouts("small--b", "Small-1B", 1_000_000_000, 0.4, is_greedy=True, weights="16 bits"),
    Rollouts("large", "Large-405B", 405_000_000_000, 0.7, is_greedy=True, weights="16 bits"),
    Rollouts("closed", "Closed", None, 0.8, is_greedy=True, weights="unknown", n_tokens=None),
)
"""Pools that are split and that are not, of models with searches, repeated, and with CoT."""


def answers_of(rollouts: Rollouts, ids: list[str], prm: str, seed: int = 0) -> pl.DataFrame:
    """Graded answers of one collection, as the judge gives them."""
    rng = np.random.default_rng((seed, len(rollouts.policy), rollouts.n_samples))
    chances = np.clip(rng.normal(rollouts.skill, 0.3, len(ids)), 0.02, 0.98)
    rows = []
    for place, (problem, chance) in enumerate(zip(ids, chances, strict=True)):
        kinds = [("evaluation", None, None, None, None, None, i) for i in range(rollouts.n_samples)]
        kinds += [("greedy", None, None, None, None, None, 0)] * rollouts.is_greedy
        if place < rollouts.searched:
            kinds += [
                (None, prm, "beam_search", 4, run, 0, path)
                for run in range(rollouts.n_runs)
                for path in range(4)
            ]
        for pool, scorer, method, budget, run, subtree, index in kinds:
            right = bool(rng.random() < chance)
            has_answer = right or bool(rng.random() < 0.9)
            answer = ("1" if right else str(rng.integers(2, 5))) if has_answer else None
            margins = rng.normal(1.0 if right else -1.0, 1.5, 3).tolist()
            rows.append(
                (pool, scorer, method, budget, problem, run, subtree, index, answer,
                 None if answer is None else int(answer), right, rollouts.n_tokens,
                 None, True, margins)
            )  # fmt: skip
    schema = {
        "pool": pl.String(), "prm": pl.String(), "method": pl.String(), "budget": pl.Int64(),
        "problem_id": pl.String(), "repetition": pl.Int64(), "subtree": pl.Int64(),
        "sample_index": pl.Int64(), "answer": pl.String(), "answer_class": pl.Int64(),
        "correct": pl.Boolean(), "n_tokens": pl.Int64(), "n_tokens_tree": pl.Int64(),
        "retokenised": pl.Boolean(), "margins": pl.List(pl.Float32()),
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def scores_in(answers: pl.DataFrame, prm: str) -> dict[str, pl.DataFrame]:
    """The step scores of a pool, as ``judge.scores_of`` gives them."""
    pool = answers.filter(pool="evaluation")
    return {prm: pool.select("problem_id", "sample_index", "margins")} if pool.height else {}


SETTINGS = EstimateSettings((4, 16), 4, 0.5, 0.1, 300, 50, 0.95, 0)


@dataclass(frozen=True)
class SyntheticStudy:
    """What to make up. ``missing``: (policy, prm, method) that were not run; None matches all."""

    seed: int = 0
    tasks: tuple[tuple[str, str, int], ...] = TASKS
    policies: tuple[tuple[str, str, str, int], ...] = POLICIES
    prms: tuple[tuple[str, str, str, int], ...] = PRMS
    budgets: tuple[int, ...] = (4, 16, 64, 256)
    missing: Collection[tuple[str | None, str | None, str | None]] = ()
    all_wrong: bool = False
    published: Collection[tuple[str, ...]] = PUBLISHED
    abilities: Mapping[str, float] = field(default_factory=dict)
    rollouts: tuple[Rollouts, ...] = ()
    adopted: Collection[str] = ()
    """Policies that others ran, each in a collection of its name; the first collection also has
    solutions of known truth."""
    processbench: Mapping[str, float] = field(default_factory=dict)
    families: Mapping[str, str] = field(default_factory=dict)
    """PRM -> family whose solutions alone it was taught on."""
    has_step_check: bool = True
    _rows: dict[str, list[Row]] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """Write the database to ``path``, which must not exist; returns the path."""
        self._rows.update({table: [] for table in TABLES})
        self._rows["tasks"] += [(*task, self.has_step_check) for task in self.tasks]
        self._rows["policies"] += [
            (
                *policy,
                False,
                "adopted" if policy[0] in self.adopted else "run",
                policy[0],
                "bfloat16",
                policy[0] if policy[0] in self.adopted else None,
            )
            for policy in self.policies
        ]
        self._rows["prms"] += [(*prm, self.families.get(prm[0])) for prm in self.prms]
        self._rows["pretraining"] += PRETRAINING
        self._rows["study_budgets"] += [(budget,) for budget in self.budgets]
        self._rows["settings"].append((0.95, 300, 100, 0, 4, 0.5, 0.1, "prm_last", "prm_max"))
        for item, model, method, prm, task, metric, value in self.published:
            unit = "x" if metric.startswith("efficiency") else "%"
            row = (item, None, model, None, method, prm, None, task, metric, value, unit, None, "")
            self._rows["published"].append(row)
        for number, (task, _, n_problems) in enumerate(self.tasks):
            ids = self._problems(task, n_problems)
            rng = np.random.default_rng((self.seed, number))
            hardness = rng.normal(2.0 * number, 2.2, n_problems)
            for policy, _, _, n_parameters in self.policies:
                ability = np.log10(n_parameters) - 9.7
                chance = 1 / (1 + np.exp(hardness - 1.2 * ability - rng.normal(0, 0.4, n_problems)))
                first = len(self._rows["outcomes"])
                self._policy(rng, task, policy, ids, 0 * chance if self.all_wrong else chance)
                outcomes = pl.DataFrame(
                    [row[2:] for row in self._rows["outcomes"][first:]],  # type: ignore[index]
                    schema=OUTCOMES,
                    orient="row",
                )
                self._selection(task, policy, n_parameters, ids, outcomes)
                self._predicted(task, policy, ids, outcomes)
        if self.rollouts:
            self._rows["tasks"].append((*OUTSIDE, False))
        for rollouts in self.rollouts:
            self._adopt(rollouts)
        self._gains()
        return self._store(path)

    def _gains(self) -> None:
        """By the product's own rule, with few replicates."""

        def rows_of(table: str) -> pl.DataFrame:
            return _frame(table, [row for row in self._rows[table] if isinstance(row, tuple)])

        if not self.tasks:
            return
        first = self.tasks[0][0]
        own = rows_of("outcomes").filter(~pl.col("policy").is_in([*self.adopted]))
        self._rows["choice_dependence"] += examine_dependence(
            own, rows_of("problems"), scoring="prm_last", voting="prm_max", seed=0
        ).rows()
        tables = examine_gains(
            own,
            rows_of("held_out_outcomes"),
            rows_of("selection").filter(pl.col("prm").is_not_null(), rule="cross_fitted"),
            pl.DataFrame(
                [(first, prm, f1) for prm, f1 in self.abilities.items()],
                schema={"task": pl.String(), "prm": pl.String(), "f1": pl.Float64()},
                orient="row",
            ),
            rows_of("score_quality")
            .filter(measure="discrimination")
            .with_columns(discrimination=100 * pl.col("value")),
            rows_of("problems"),
            GainSettings(100, 0.95, 0, "prm_last", "prm_max"),
        )
        for name, table in tables.items():
            self._rows[name] += table.rows()

    def _problems(self, task: str, n: int) -> list[str]:
        """The names of the ``n`` problems of a task, which the database then knows."""
        names = [f"{task}/{i:03d}" for i in range(n)]
        if not any(row[0] == task for row in self._rows["problems"]):
            self._rows["problems"] += [
                (task, name, f"{i:016x}", str(i), 1 + i % 5, "Algebra")
                for i, name in enumerate(names)
            ]
        return names

    def _adopt(self, rollouts: Rollouts) -> None:
        task, _, n_problems = OUTSIDE
        ids, prm = self._problems(task, n_problems), self.prms[0][0]
        name, title = rollouts.policy, rollouts.model
        self._rows["policies"].append(
            (name, title, "Other", rollouts.n_parameters, False, "adopted", rollouts.model,
             rollouts.weights, name)
        )  # fmt: skip
        self._rows["collections"].append(
            {
                "collection": name,
                "title": f"collection of {name}",
                "task": task,
                "policy": name,
                "variant": "OpenR" if rollouts.is_greedy else "search",
            }
        )
        answers = answers_of(rollouts, ids, prm, self.seed)
        self._rows["answers"] += [
            {"task": task, "policy": name, "status": "graded", **row}
            for row in answers.with_columns(pl.col("answer_class").cast(pl.String)).rows(named=True)
        ]
        tables = adopted_pools.examine_pools(answers, scores_in(answers, prm), ids, SETTINGS)
        tables |= examine_scores(answers, scores_in(answers, prm), ids, SETTINGS)
        ways = adopted_pools.ways_round(answers, tables["pool_outcomes"], ids, SETTINGS)
        scores = scores_in(answers, prm)
        estimated = accuracy.estimate(answers, scores, {}, ids, SETTINGS)
        tables |= predicted_difficulty.examine_predictions(
            ways, scores, estimated.tokens, ids, SETTINGS
        )
        tables["adaptive"] = adaptive_budgets.examine_stopping(answers, scores, ids, SETTINGS)
        for table, frame in tables.items():
            self._rows[table] += [(task, name, *row) for row in frame.rows()]
        curves = [estimated.curves]
        if adopted_pools.is_split(answers):
            outcomes = tables["pool_outcomes"]
            curves.append(
                adopted_pools.curves_by_difficulty(outcomes, estimated.tokens, ids, SETTINGS)
            )
        self._rows["curve_points"] += [(task, name, *row) for row in pl.concat(curves).iter_rows()]

    def _is_missing(self, policy: str, prm: str | None, method: str) -> bool:
        return any(
            all(
                pattern in (None, value)
                for pattern, value in zip(entry, (policy, prm, method), strict=True)
            )
            for entry in self.missing
        )

    def _policy(
        self, rng: np.random.Generator, task: str, policy: str, ids: list[str], chance: np.ndarray
    ) -> None:
        n_correct = rng.binomial(64, chance)
        measured = not self._is_missing(policy, None, "pass_at_1")
        buckets = ["easy" if c >= 32 else "medium" if c >= 6.4 else "hard" for c in n_correct]
        if measured:
            for problem, c, bucket in zip(ids, n_correct.tolist(), buckets, strict=True):
                rated = ("difficulty", problem, 64, c, c / 64, bucket, 0.125, "difficulty")
                self._rows["rated"].append((task, policy, *rated))
                for sample in range(4):
                    right = bool(rng.random() < c / 64)
                    self._rows["answers"].append(
                        {
                            "task": task,
                            "policy": policy,
                            "pool": "evaluation",
                            "problem_id": problem,
                            "sample_index": sample,
                            "answer": str(right),
                            "answer_class": str(right),
                            "correct": right,
                            # The official rules are laxer with one policy, in one problem.
                            "official_correct": right
                            or (policy, problem) == (self.policies[0][0], ids[-1]),
                            "plain_correct": right,
                            "status": "graded" if sample else "no_answer",
                            "n_tokens": 300 + sample,
                            "finish_reason": "length" if problem == ids[0] else "eos",
                        }
                    )
        pools = ["cot", "majority", "pass_at_k"]
        cells = [(None, method, None) for method in pools] + [
            (prm[0], method, prm[3]) for prm in self.prms for method in ("best_of_n", *SEARCHES)
        ]
        for prm, method, prm_parameters in cells:
            missing = self._is_missing(policy, prm, method)
            if not missing and method != "pass_at_k":
                self._costs(task, policy, prm, method, len(ids))
            budgets = (1,) if method == "cot" else self.budgets
            if method != "pass_at_k":
                self._rows["cells"] += [
                    (task, policy, prm, method, budget, "missing" if missing else "stored",
                     0 if missing else budget * len(ids), budget * len(ids), 320.0,
                     320 * budget * len(ids) if missing else 0)
                    for budget in budgets
                ]  # fmt: skip
            if missing:
                continue
            if method == "best_of_n":
                self._scores(rng, task, policy, prm, chance)
            if method in ("majority", "best_of_n"):
                rule = (None, "majority") if prm is None else ("prm_last", "prm_max")
                self._rows["run_to_run"] += [
                    (task, policy, prm, method, *rule, n, 0.3 / np.sqrt(len(ids)))
                    for n in self.budgets
                ]
            rules: list[tuple[str | None, str | None]] = [(None, None)] if prm is None else []
            if prm is not None:
                rules += AGGREGATIONS
            if method in SEARCHES:
                rules.append((None, "majority"))
            for scoring, voting in rules:
                gain = 0.0
                if prm:
                    skill = 0.2 * (np.log10(prm_parameters) - 8.6) + 0.05 * (method == "dvts")
                    gain = skill * (0.8 if voting == "prm_max" else 1.0)
                shift = rng.normal(0, 0.04)
                for budget in self._ks(method):
                    self._points(
                        task, policy, prm, method, scoring, voting, budget, ids, buckets,
                        self._accuracy(method, chance, budget, gain + shift * (budget > 1)),
                    )  # fmt: skip

    def _costs(self, task: str, policy: str, prm: str | None, method: str, n_problems: int) -> None:
        """Three runs by two engines made each cell, whose units cost 0.3 s a sample in all."""
        searched = method in SEARCHES
        kind = "searches" if searched else "step_scores" if prm else "samples"
        spec = {"policy": {"revision": f"sha256:{'a' * 64}"}, "seed": 7, "dtype": "float32"}
        spec |= {"prm": {"name": prm, "revision": "b" * 40}} if prm else {}
        each = 256 if searched else 320
        for budget in self.budgets if method == "beam_search" else (None,):
            unit = budget or (4 if method == "dvts" else 1)
            text = canonical({**spec, "task": task, "method": method, "budget": budget})
            n = n_problems * unit
            counts = dict.fromkeys(COUNTS, 0) | dict.fromkeys(SECONDS, 0.0)
            counts["seconds"] = 0.3 * n
            if kind != "step_scores":
                counts |= {"generated_tokens": each * n, "policy_seconds": 0.2 * n}
                counts |= {"prompt_tokens_computed": 40 * n, "prompt_tokens_cached": 30 * n}
                counts |= {"discarded_tokens": 10 * n if searched else 0, "sample_requests": n}
            if prm:
                counts |= {"prm_tokens_computed": each * n, "prm_seconds": 0.1 * n}
                counts |= {"score_requests": n, "prm_tokens_cached": 700 * n if searched else 0}
            self._rows["ledger"] += [
                {
                    "task": task,
                    "policy": policy,
                    "prm": prm,
                    "method": method,
                    "kind": kind,
                    "spec": text,
                    "budget": budget,
                    "unit_budget": unit,
                    "n_units": n_problems,
                    "run": str(run),
                    "engine": engine,
                    "machine": "a CPU",
                    "package": "0.1.0",
                    **counts,
                }
                for run, engine in enumerate(("vllm 1", "vllm 2", "vllm 1"))
            ]
            self._rows["problem_costs"] += [
                {
                    "task": task,
                    "policy": policy,
                    "prm": prm,
                    "method": method,
                    "budget": budget,
                    "unit_budget": unit,
                    "problem_hash": f"{i:016x}",
                    "n_units": 3,
                    **{name: 3 * count / n_problems for name, count in counts.items()},
                }
                for i in range(n_problems)
            ]

    def _ks(self, method: str) -> list[int]:
        if method == "cot":
            return [1]
        if method in SEARCHES:
            return list(self.budgets)
        top = max(self.budgets)
        return sorted(
            {k for k in (1, 2, 3, 4, 6, 8, 16, 32, 48, 64, 128, 256) if k <= top} | {*self.budgets}
        )

    @staticmethod
    def _accuracy(method: str, chance: np.ndarray, budget: int, gain: float) -> np.ndarray:
        if method == "pass_at_k":
            return 1 - (1 - chance) ** budget
        if method == "cot" or budget == 1:
            return chance
        rounds = np.log2(budget)
        odds = np.log(np.clip(chance, 1e-9, None) / np.clip(1 - chance, 1e-9, None))
        # A vote strengthens what is likely; a PRM lifts everything.
        lift = 0.2 * np.sign(odds + 0.4) * rounds if method == "majority" else gain * rounds
        lifted = 1 / (1 + np.exp(-(odds + lift)))
        return np.where(chance == 0, 0.0, lifted)

    def _points(
        self, task: str, policy: str, prm: str | None, method: str, scoring: str | None,
        voting: str | None, budget: int, ids: list[str], buckets: list[str], accuracy: np.ndarray,
    ) -> None:  # fmt: skip
        voting = "majority" if method == "majority" else voting
        tokens = 320.0 * budget * (0.8 if method in SEARCHES else 1.0)
        named = np.array(buckets)
        for bucket in ("all", "easy", "medium", "hard"):
            values = accuracy if bucket == "all" else accuracy[named == bucket]
            n = len(values)
            if not n:
                continue
            mean = float(values.mean())
            half = 1.96 * float(np.sqrt(mean * (1 - mean) / n))
            self._rows["curve_points"].append(
                (task, policy, prm, method, scoring, voting, bucket, budget, mean,
                 max(0.0, mean - half), min(1.0, mean + half), 0.0, n, tokens)
            )  # fmt: skip
        if method != "pass_at_k" and (budget in self.budgets or budget == 1):
            self._rows["outcomes"] += [
                (task, policy, prm, method, scoring, voting, budget, problem, bucket, value)
                for problem, bucket, value in zip(ids, buckets, accuracy.tolist(), strict=True)
            ]

    def _scores(
        self, rng: np.random.Generator, task: str, policy: str, prm: str | None, chance: np.ndarray
    ) -> None:
        key, n = (task, policy, prm, "prm_last"), len(chance)
        for budget in self._ks("best_of_n"):
            growth = np.log2(budget)
            for measure, value in (
                ("score", min(0.98, 0.4 + 0.06 * growth)),
                ("tokens", 320 + 8 * growth),
                ("steps", 8.0),
            ):
                ends = 0.95 * value, min(1.0, 1.05 * value) if measure == "score" else 1.05 * value
                self._rows["picks"].append((*key, measure, budget, value, *ends, n))
        for tenth in range(10):
            middle, right = (tenth + 0.5) / 10, float(np.mean(chance)) * (tenth + 1) / 10
            row = (*key, tenth, 100, middle, right, 0.9 * right, min(1.0, 1.1 * right))
            self._rows["calibration"].append(row)
        # No discrimination where nothing is right.
        measures = ["calibration_error", "tied_pairs", "unscored"]
        measures += ["discrimination"] if np.any(chance > 0) else []
        for measure in measures:
            value = float(rng.uniform(0.1, 0.8))
            self._rows["score_quality"].append((*key, measure, value, 0.9 * value, value, n))

    def _selection(
        self, task: str, policy: str, n_parameters: int, ids: list[str], outcomes: pl.DataFrame
    ) -> None:
        """At two budgets and by the usual rule only: all of them would take minutes."""
        ends = sorted({min(self.budgets), max(self.budgets)})
        selected = select_strategies(
            outcomes.filter(scoring="prm_last", voting="prm_max"),
            ids,
            task=task,
            n_parameters=n_parameters,
            is_reasoning=False,
            budgets=ends,
            replicates=400,
            confidence=0.95,
            seed=self.seed,
        )
        for name, table in selected.items():
            self._rows[name] += [(task, policy, *row) for row in table.iter_rows()]

    def _predicted(self, task: str, policy: str, ids: list[str], outcomes: pl.DataFrame) -> None:
        """Made up from the outcomes of best-of-N at the largest budget, and a little worse."""
        top = max(self.budgets)
        outcomes = outcomes.filter(budget=top)
        best = outcomes.filter(method="best_of_n", scoring="prm_last", voting="prm_max")
        majority = outcomes.filter(method="majority").sort("problem_id")["accuracy"]
        names = sorted(ids)
        for prm in [None, *best["prm"].unique(maintain_order=True)]:
            self._rows["predictions"] += [
                (task, policy, prm, name, 0.5, 0.4, 0.6, 4) for name in names
            ]
            if prm is None:
                continue
            values = best.filter(prm=prm).sort("problem_id")["accuracy"]
            cell = task, policy, prm, "prm_last", "prm_max", top
            for rule, factor in (
                ("predicted", 0.97),
                ("true_difficulty", 1),
                ("one_strategy", 0.98),
            ):
                accuracies = (factor * values).to_list()
                mean = float(np.mean(accuracies))
                probes = 4 * (rule == "predicted")
                for bucket in ("all", "easy", "medium"):
                    ends = max(mean - 0.05, 0), min(mean + 0.05, 1)
                    self._rows["predicted_selection"].append(
                        (*cell, rule, bucket, mean, *ends, 1.1, top + probes / 2, probes, len(ids))
                    )
                self._rows["predicted_outcomes"].append((*cell, rule, accuracies))
            self._rows["predicted_outcomes"].append((*cell, "majority", majority.to_list()))
            self._rows["predicted_choices"] += [
                (*cell, rule, bucket, method, 0.5,
                 320.0 * top * (0.8 if method in SEARCHES else 1.0), 4 * 320.0)
                for rule in ("predicted", "one_strategy")
                for bucket in ("all", "easy", "medium")
                for method in ("majority", "beam_search" if bucket == "easy" else "best_of_n")
            ]  # fmt: skip
            self._rows["predicted_gaps"] += [
                (*cell, against, -0.01, [0.004, -0.004])
                for against in ("true_difficulty", "one_strategy", "majority")
            ]
            for rule, share in (("fixed", 1.0), ("threshold", 0.6)):
                mean, drawn = float(values.mean()), share * top  # type: ignore[arg-type]
                change = 0.01 * (share - 1)
                again = (None, None) if rule == "fixed" else (0.3 * top, 0.9 * top)
                self._rows["adaptive"].append(
                    (task, policy, prm, "best_of_n", "prm_last", rule, top, mean, mean, mean, drawn,
                     0.9 * drawn, drawn, *again, 130.0 * drawn, change, change, change, 0.0,
                     len(ids))
                )  # fmt: skip
        if len(majority):
            mean = float(majority.mean())  # type: ignore[arg-type]
            self._rows["adaptive"] += [
                (task, policy, None, "majority", None, rule, top, mean, mean, mean, share * top,
                 share * top, share * top, None, None, 130.0 * share * top, 0.0, 0.0, 0.0, 0.0,
                 len(ids))
                for rule, share in (("fixed", 1.0), ("certain", 0.7), ("confident", 0.4))
            ]  # fmt: skip
        self._rows["bucket_accuracy"] += [
            (task, policy, *key, bucket, top, 0.5, 0.4, 0.6, len(ids) / 3)
            for bucket in ("easy", "medium", "hard")
            for key in outcomes.select("prm", "method", "scoring", "voting").unique().iter_rows()
        ]

    def _store(self, path: Path) -> Path:
        if self.abilities:
            self._checked_steps()
        if self.adopted:
            self._others()
        with duckdb.connect(str(path)) as database:
            fill_frames(database, {name: _frame(name, rows) for name, rows in self._rows.items()})
        return path

    def _checked_steps(self) -> None:
        """What PRMs with an ability say about checked steps; text of steps is hostile."""
        self._rows["prompts"] += [
            ("a", "one, two", "Solve:\n\n## Step 1: [a_b]\n$\\boxed{x}$ | <b> #1 100%", "",
             "date = 1", "b.py:3"),
            ("b", "three", None, "\nuse \\boxed{}.", "", "c"),
        ]  # fmt: skip
        task = self.tasks[0][0]
        self._rows["pruning"] += [
            (task, self.policies[0][0], self.prms[0][0], "dvts", budget, f"p{i}", outcome, depth)
            for budget in (4, 16)
            for i, (outcome, depth) in enumerate(
                (("pruned", 1), ("pruned", 3), ("not_written", 2), ("found", 4))
            )
        ]
        policies = [None, *(policy[0] for policy in self.policies)]
        for number, (prm, ability) in enumerate(self.abilities.items()):
            self._rows["prm_rates"] += [
                # All PRMs but the first give every step the same score.
                (task, prm, policy, measure, *(
                    (None, None, None) if number and measure == "length_bias"
                    else [(ability + end) / 100 for end in (0, -3, 4)] if measure == "f1"
                    else (0.1 * number + 0.02 * i, 0.0, 0.5)
                ), 40, 20)
                for policy in policies
                for i, measure in enumerate(MEASURES)
            ]  # fmt: skip
            if number:
                continue
            steps = ["1+1=2", "$x^{2$ <script>\u202e_a & \\frac{", "2+2=5 " * 40, "end"]
            truths = ("right", "right", "wrong", "after")
            self._rows["prm_cases"] += [
                (task, failure, prm, self.policies[0][0], "p1", 3, "Start $1 & <b>. " * 20, "7",
                 i + 1, step, truth, i - 1.5, "first error" if truth == "wrong" else None)
                for failure in (*FAILURES, DISAGREEMENT)
                for i, (step, truth) in enumerate(zip(steps, truths, strict=True))
            ]  # fmt: skip

    def _others(self) -> None:
        """What a database knows of adopted collections; reasons and caveats are hostile."""
        (task, *_), *_ = self.tasks
        self._rows["collections"] += [
            (name, f"collection of {name}", task, name, self.prms[0][0] if self.prms else None,
             "paper", "https://example.org/owner/repository", "c" * 40, "MIT", "<script>|caveat",
             "folder/*: no <script>", None, None)
            for name in self.adopted
        ]  # fmt: skip
        first, *_ = self.adopted
        rng = np.random.default_rng(self.seed)
        solutions = [
            {
                "collection": first, "task": task, "prm": prm, "problem_id": f"{task}/{i:03d}",
                "solution": solution, "correct": solution == 0, "author": "somebody", "n_steps": 2,
                "step_scores": rng.beta(2 + (solution == 0), 2, 2).tolist(),
                "source": "https://example.org/owner/repository", "commit": "c" * 40,
                "member": f"scores/{prm}.json, row {i + 1}",
            }
            for prm, *_ in self.prms
            for i in range(30)
            for solution in range(5)
        ]  # fmt: skip
        self._rows["scored_solutions"] += solutions
        scored = _frame("scored_solutions", solutions)
        for name, table in examine_solutions(scored, 100, 0.95, 0).items():
            self._rows[name] += table.rows()
        self._rows["adopted_files"] += [
            (name, f"rollouts/{name}.jsonl", "f" * 64, 12, 10, 24, 20) for name in self.adopted
        ]
        self._rows["adopted_findings"] += [
            (name, f"rollouts/{name}.jsonl", reason, kept, n, "<script>")
            for name in self.adopted
            for reason, kept, n in (
                ("unmatched", False, 2), ("copy", False, 4), ("header", True, 1)
            )
        ]  # fmt: skip
        self._rows["pool_outcomes"] += [
            (row[0], row[1], "whole", *row[2:])
            for row in self._rows["outcomes"]
            if isinstance(row, tuple) and row[1] in self.adopted
        ]
        self._rows["processbench"] += [
            {"prm": "made up", "subset": "MATH", "f1": f1, "n_parameters": 1,
             "registry_prm": prm, "source": "a paper"}
            for prm, f1 in self.processbench.items()
        ]  # fmt: skip
        self._rows["optscale"] += [
            {"task": task_title, "policy": title, "prm": prm, "method": method, "budget": n,
             "accuracy": 0.5 + 0.02 * n, "tokens": 100.0 * n, "source": "a file"}
            for task_title in (self.tasks[0][1], "another task")
            for _, title, *_ in self.policies[:1]
            for method, prm in (
                ("best_of_n", self.prms[0][1] if self.prms else "r"), ("majority", None)
            )
            for n in (1, 2, 3, 4, 8, 16)
        ]  # fmt: skip


def _frame(table: str, rows: Iterable[Row]) -> pl.DataFrame:
    columns = TABLES[table]
    # Rows of one kind stand together.
    return pl.concat(
        [pl.DataFrame(schema=columns)]
        + [pl.DataFrame([*kind], schema=columns, orient="row") for _, kind in groupby(rows, type)]
    )


def with_the_papers_numbers(path: Path) -> Path:
    """The database with all that the paper prints, and what its models were trained on."""
    folder = Path(__file__).parents[2] / "data/published"
    with duckdb.connect(str(path)) as connection:
        for table, name in (("published", "paper.csv"), ("pretraining", "pretraining.csv")):
            connection.execute(f"DELETE FROM {table}")
            connection.execute(
                f"INSERT INTO {table} SELECT * FROM read_csv(?, all_varchar = true)",
                [str(folder / name)],
            )
    return path
