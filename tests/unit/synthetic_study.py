"""A made-up database of results, for tests of figures, tables and queries only."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from compute_optimal.adopt import FILES, SOLUTIONS
from compute_optimal.database import ADOPTED
from compute_optimal.estimate import OUTCOMES
from compute_optimal.prm_ability import MEASURES
from compute_optimal.prm_cases import DISAGREEMENT, FAILURES
from compute_optimal.reward_models import examine_solutions
from compute_optimal.selection import select_strategies
from compute_optimal.spec import canonical

SCHEMA = {
    "problems": "task VARCHAR, problem_id VARCHAR, problem_hash VARCHAR, answer VARCHAR,"
    " level INTEGER, subject VARCHAR",
    "pools": "task VARCHAR, policy VARCHAR, pool VARCHAR, problem_id VARCHAR,"
    " sample_index INTEGER, answer VARCHAR, answer_class INTEGER, correct BOOLEAN,"
    " official_correct BOOLEAN, plain_correct BOOLEAN, status VARCHAR, n_tokens INTEGER,"
    " finish_reason VARCHAR",
    "pass_at_1": "task VARCHAR, policy VARCHAR, pool VARCHAR, problem_id VARCHAR,"
    " n_samples INTEGER, n_correct INTEGER, pass_at_1 DOUBLE",
    "difficulty": "task VARCHAR, policy VARCHAR, problem_id VARCHAR, pass_at_1 DOUBLE,"
    " n_samples INTEGER, bucket VARCHAR, pool VARCHAR",
    "curves": "task VARCHAR, policy VARCHAR, prm VARCHAR, method VARCHAR, scoring VARCHAR,"
    " voting VARCHAR, bucket VARCHAR, budget INTEGER, accuracy DOUBLE, ci_low DOUBLE,"
    " ci_high DOUBLE, monte_carlo_error DOUBLE, n_problems INTEGER, tokens DOUBLE,"
    " prm_tokens DOUBLE, seconds DOUBLE",
    "outcomes": "task VARCHAR, policy VARCHAR, prm VARCHAR, method VARCHAR, scoring VARCHAR,"
    " voting VARCHAR, budget INTEGER, problem_id VARCHAR, bucket VARCHAR, accuracy DOUBLE",
    "selection": "task VARCHAR, policy VARCHAR, prm VARCHAR, scoring VARCHAR, voting VARCHAR,"
    " budget INTEGER, rule VARCHAR, accuracy DOUBLE, ci_low DOUBLE, ci_high DOUBLE,"
    " n_strategies INTEGER, n_problems INTEGER, widening DOUBLE",
    "choices": "task VARCHAR, policy VARCHAR, scoring VARCHAR, voting VARCHAR, budget INTEGER,"
    " rule VARCHAR, bucket VARCHAR, prm VARCHAR, method VARCHAR, share DOUBLE, n_problems INTEGER",
    "chosen_outcomes": "task VARCHAR, policy VARCHAR, scoring VARCHAR, voting VARCHAR,"
    " budget INTEGER, rule VARCHAR, problem_id VARCHAR, accuracy DOUBLE",
    "study_budgets": "budget INTEGER",
    "settings": "confidence DOUBLE, replicates INTEGER, vote_subsets INTEGER, seed INTEGER,"
    " beam_width INTEGER, scoring VARCHAR, voting VARCHAR",
    "policies": "policy VARCHAR, title VARCHAR, family VARCHAR, n_parameters BIGINT,"
    " is_reasoning BOOLEAN, origin VARCHAR, model VARCHAR, weights VARCHAR, collection VARCHAR",
    "collections": "collection VARCHAR, title VARCHAR, task VARCHAR, policy VARCHAR, prm VARCHAR,"
    " variant VARCHAR, source VARCHAR, commit VARCHAR, licence VARCHAR, caveats VARCHAR,"
    " files_left_out VARCHAR, file VARCHAR, sha256 VARCHAR",
    "ledger": "task VARCHAR, policy VARCHAR, prm VARCHAR, method VARCHAR, budget INTEGER,"
    " kind VARCHAR, n_units INTEGER, spec VARCHAR, engine VARCHAR, package VARCHAR,"
    " machine VARCHAR",
    "cell_costs": "task VARCHAR, policy VARCHAR, prm VARCHAR, method VARCHAR, budget INTEGER,"
    " kind VARCHAR,"
    " generated_tokens BIGINT, shared_tokens BIGINT, discarded_tokens BIGINT,"
    " prompt_tokens_computed BIGINT, prompt_tokens_cached BIGINT,"
    " prm_tokens_computed BIGINT, prm_tokens_cached BIGINT, prm_tokens_shared BIGINT,"
    " seconds DOUBLE, policy_seconds DOUBLE, prm_seconds DOUBLE",
    "prms": "prm VARCHAR, title VARCHAR, format VARCHAR, n_parameters BIGINT",
    "tasks": "task VARCHAR, title VARCHAR, n_problems INTEGER",
    "picks": "task VARCHAR, policy VARCHAR, prm VARCHAR, scoring VARCHAR, measure VARCHAR,"
    " budget INTEGER, value DOUBLE, ci_low DOUBLE, ci_high DOUBLE, n_problems INTEGER",
    "calibration": "task VARCHAR, policy VARCHAR, prm VARCHAR, scoring VARCHAR, bin INTEGER,"
    " n_samples INTEGER, score DOUBLE, value DOUBLE, ci_low DOUBLE, ci_high DOUBLE",
    "score_quality": "task VARCHAR, policy VARCHAR, prm VARCHAR, scoring VARCHAR, measure VARCHAR,"
    " value DOUBLE, ci_low DOUBLE, ci_high DOUBLE, n_problems INTEGER",
    "run_to_run": "task VARCHAR, policy VARCHAR, prm VARCHAR, method VARCHAR, scoring VARCHAR,"
    " voting VARCHAR, budget INTEGER, standard_error DOUBLE",
    "unit_costs": "task VARCHAR, policy VARCHAR, prm VARCHAR, method VARCHAR, budget INTEGER,"
    " seconds DOUBLE, generated_tokens DOUBLE, discarded_tokens DOUBLE,"
    " prompt_tokens_computed DOUBLE, prompt_tokens_cached DOUBLE, prm_tokens_computed DOUBLE,"
    " prm_tokens_cached DOUBLE",
    "pretraining": "model VARCHAR, parameters DOUBLE, active_parameters DOUBLE,"
    " training_tokens DOUBLE, source VARCHAR",
    "published": 'item VARCHAR, "group" VARCHAR, model VARCHAR, params VARCHAR, method VARCHAR,'
    " prm VARCHAR, budget VARCHAR, task VARCHAR, metric VARCHAR, value VARCHAR, unit VARCHAR,"
    " note VARCHAR, source VARCHAR",
    "cells": "task VARCHAR, policy VARCHAR, prm VARCHAR, method VARCHAR, budget INTEGER,"
    " status VARCHAR, n_stored INTEGER, n_needed INTEGER, tokens_needed BIGINT",
}

TASKS = (("math500", "MATH-500", 40), ("aime24", "AIME24", 12))
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
    adopted: Collection[str] = ()
    """Policies that others ran, each in a collection of its name; the first collection also has
    solutions of known truth."""
    processbench: Mapping[str, float] = field(default_factory=dict)
    _rows: dict[str, list[tuple[object, ...]]] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """Write the database to ``path``, which must not exist; returns the path."""
        self._rows.update({table: [] for table in SCHEMA})
        self._rows["tasks"] += self.tasks
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
        self._rows["prms"] += self.prms
        self._rows["pretraining"] += PRETRAINING
        self._rows["study_budgets"] += [(budget,) for budget in self.budgets]
        self._rows["settings"].append((0.95, 300, 100, 0, 4, "prm_last", "prm_max"))
        for item, model, method, prm, task, metric, value in self.published:
            unit = "x" if metric.startswith("efficiency") else "%"
            row = (item, None, model, None, method, prm, None, task, metric, value, unit, None, "")
            self._rows["published"].append(row)
        for number, (task, _, n_problems) in enumerate(self.tasks):
            ids = [f"{task}/{i:03d}" for i in range(n_problems)]
            self._rows["problems"] += [
                (task, problem, f"{i:016x}", str(i), 1 + i % 5, "Algebra")
                for i, problem in enumerate(ids)
            ]
            rng = np.random.default_rng((self.seed, number))
            hardness = rng.normal(2.0 * number, 2.2, n_problems)
            for policy, _, _, n_parameters in self.policies:
                ability = np.log10(n_parameters) - 9.7
                chance = 1 / (1 + np.exp(hardness - 1.2 * ability - rng.normal(0, 0.4, n_problems)))
                self._policy(rng, task, policy, ids, 0 * chance if self.all_wrong else chance)
                self._selection(task, policy, n_parameters, ids)
        return self._store(path)

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
                self._rows["difficulty"].append(
                    (task, policy, problem, c / 64, 64, bucket, "difficulty")
                )
                self._rows["pass_at_1"].append((task, policy, "difficulty", problem, 64, c, c / 64))
                for sample in range(4):
                    right = bool(rng.random() < c / 64)
                    self._rows["pools"].append(
                        (task, policy, "evaluation", problem, sample, str(right), 0, right,
                         # The official rules are laxer with one policy, in one problem.
                         right or (policy, problem) == (self.policies[0][0], ids[-1]), right,
                         "graded" if sample else "no_answer", 300 + sample,
                         "length" if problem == ids[0] else "eos")
                    )  # fmt: skip
        pools = ["cot", "majority", "pass_at_k"]
        cells = [(None, method, None) for method in pools] + [
            (prm[0], method, prm[3]) for prm in self.prms for method in ("best_of_n", *SEARCHES)
        ]
        for prm, method, prm_parameters in cells:
            missing = self._is_missing(policy, prm, method)
            if method in ("cot", "dvts") and not missing:
                searched = method == "dvts"
                budget, kind = None, "searches" if searched else "samples"
                searched_costs = (9000, 3000, 2000, 500, 4000, 700, 300, 70)
                row = searched_costs if searched else (900, 0, 0, 500, 0, 0, 0, 0)
                self._rows["cell_costs"].append(
                    (
                        task,
                        policy,
                        prm,
                        method,
                        budget,
                        kind,
                        *row,
                        9.0,
                        None if searched else 8.0,
                        0.5,
                    )
                )
                spec = {"policy": {"revision": f"sha256:{'a' * 64}"}, "seed": 7, "dtype": "float32"}
                spec |= {"prm": {"name": prm, "revision": "b" * 40}} if searched else {}
                text = canonical({**spec, "task": task, "method": method})
                self._rows["ledger"] += [
                    (task, policy, prm, method, budget, kind, 50, text, engine, "0.1.0", "a CPU")
                    for engine in ("vllm 1", "vllm 2", "vllm 1")
                ]
            budgets = (1,) if method == "cot" else self.budgets
            if method != "pass_at_k":
                self._rows["cells"] += [
                    (task, policy, prm, method, budget, "missing" if missing else "stored",
                     0 if missing else budget * len(ids), budget * len(ids),
                     320 * budget * len(ids) if missing else 0)
                    for budget in budgets
                ]  # fmt: skip
            if missing:
                continue
            if method != "pass_at_k":
                each = 320 if prm is None else 256
                self._rows["unit_costs"].append(
                    (task, policy, prm, method, None, 0.3, each, 10, 40, 40, each if prm else 0, 0)
                )
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
        masks = {"all": np.ones(len(ids), dtype=bool)}
        masks |= {
            name: np.array([b == name for b in buckets]) for name in ("easy", "medium", "hard")
        }
        for bucket, mask in masks.items():
            n = int(mask.sum())
            if not n:
                continue
            mean = float(accuracy[mask].mean())
            half = 1.96 * float(np.sqrt(mean * (1 - mean) / n))
            self._rows["curves"].append(
                (task, policy, prm, method, scoring, voting, bucket, budget, mean,
                 max(0.0, mean - half), min(1.0, mean + half), 0.0, n, tokens,
                 tokens if prm else None, tokens / 1000)
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

    def _selection(self, task: str, policy: str, n_parameters: int, ids: list[str]) -> None:
        """At two budgets and by the usual rule only: all of them would take minutes."""
        ends = sorted({min(self.budgets), max(self.budgets)})
        mine = [
            row[2:]
            for row in self._rows["outcomes"]
            if row[:2] == (task, policy) and row[4:6] == ("prm_last", "prm_max")
        ]
        selected = select_strategies(
            pl.DataFrame(mine, schema=OUTCOMES, orient="row"),
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

    def _store(self, path: Path) -> Path:
        with duckdb.connect(str(path)) as connection:
            if self.abilities:
                connection.execute(
                    "CREATE TABLE prm_ability (prm VARCHAR, ability DOUBLE, ci_low DOUBLE,"
                    " ci_high DOUBLE, source VARCHAR, task VARCHAR, policy VARCHAR)"
                )
                connection.executemany(
                    "INSERT INTO prm_ability VALUES (?, ?, ?, ?, 'made up', NULL, NULL)",
                    [(prm, value, value - 3, value + 4) for prm, value in self.abilities.items()],
                )
                self._checked_steps(connection)
            if self.adopted:
                self._rollouts(connection, path)
            for table, columns in SCHEMA.items():
                connection.execute(f"CREATE TABLE {table} ({columns})")
                rows = self._rows[table]
                if not rows:
                    continue
                if len(rows) < 100:
                    places = ", ".join("?" for _ in rows[0])
                    connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
                    continue
                source = path.with_suffix(f".{table}.csv")
                with source.open("w", encoding="utf-8", newline="") as stream:
                    csv.writer(stream).writerows(
                        [r"\N" if value is None else value for value in row] for row in rows
                    )
                options = "FORMAT csv, HEADER false, NULL '\\N', DELIMITER ',', QUOTE '\"'"
                connection.execute(f"COPY {table} FROM '{source}' ({options})")
                source.unlink()
        return path

    def _checked_steps(self, connection: duckdb.DuckDBPyConnection) -> None:
        """What PRMs with an ability say about checked steps; text of steps is hostile."""
        connection.execute(
            "CREATE TABLE prm_rates (task VARCHAR, prm VARCHAR, policy VARCHAR, measure VARCHAR,"
            " value DOUBLE, ci_low DOUBLE, ci_high DOUBLE, n BIGINT, n_problems BIGINT)"
        )
        connection.execute(
            "CREATE TABLE prm_cases (task VARCHAR, failure VARCHAR, prm VARCHAR, policy VARCHAR,"
            " problem_id VARCHAR, sample_index BIGINT, problem VARCHAR, gold VARCHAR,"
            " position BIGINT, step VARCHAR, truth VARCHAR, margin DOUBLE, mark VARCHAR)"
        )
        connection.execute(
            "CREATE TABLE prompts (prompt VARCHAR, policies VARCHAR, system VARCHAR,"
            " user_suffix VARCHAR, template_arguments VARCHAR, source VARCHAR)"
        )
        connection.execute(
            "INSERT INTO prompts VALUES ('a', 'one, two', ?, '', 'date = 1', 'b.py:3'),"
            " ('b', 'three', NULL, ?, '', 'c')",
            ["Solve:\n\n## Step 1: [a_b]\n$\\boxed{x}$ | <b> #1 100%", "\nuse \\boxed{}."],
        )
        task = self.tasks[0][0]
        connection.execute(
            "CREATE TABLE pruning (task VARCHAR, policy VARCHAR, prm VARCHAR, method VARCHAR,"
            " budget BIGINT, problem_id VARCHAR, outcome VARCHAR, depth BIGINT)"
        )
        first = self.prms[0][0]
        connection.executemany(
            "INSERT INTO pruning VALUES (?, ?, ?, 'dvts', ?, ?, ?, ?)",
            [
                (task, self.policies[0][0], first, budget, f"p{i}", outcome, depth)
                for budget in (4, 16)
                for i, (outcome, depth) in enumerate(
                    (("pruned", 1), ("pruned", 3), ("not_written", 2), ("found", 4))
                )
            ],
        )
        policies = [None, *(policy[0] for policy in self.policies)]
        for number, prm in enumerate(self.abilities):
            connection.executemany(
                "INSERT INTO prm_rates VALUES (?, ?, ?, ?, ?, ?, ?, 40, 20)",
                [
                    # All PRMs but the first give every step the same score.
                    (task, prm, policy, measure, *(
                        (None, None, None) if number and measure == "length_bias"
                        else (0.1 * number + 0.02 * i, 0.0, 0.5)
                    ))
                    for policy in policies
                    for i, measure in enumerate(MEASURES)
                ],
            )  # fmt: skip
            if number:
                continue
            steps = ["1+1=2", "$x^{2$ <script>\u202e_a & \\frac{", "2+2=5 " * 40, "end"]
            truths = ("right", "right", "wrong", "after")
            connection.executemany(
                "INSERT INTO prm_cases VALUES (?, ?, ?, ?, 'p1', 3, ?, '7', ?, ?, ?, ?, ?)",
                [
                    (task, failure, prm, self.policies[0][0], "Start $1 & <b>. " * 20, i + 1, step,
                     truth, i - 1.5, "first error" if truth == "wrong" else None)
                    for failure in (*FAILURES, DISAGREEMENT)
                    for i, (step, truth) in enumerate(zip(steps, truths, strict=True))
                ],
            )  # fmt: skip

    def _rollouts(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
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
        scored = pl.DataFrame(solutions, schema={"collection": pl.String(), **SOLUTIONS})
        tables = {
            "scored_solutions": scored,
            **examine_solutions(scored, 100, 0.95, 0),
            "adopted_files": pl.DataFrame(
                [(name, f"rollouts/{name}.jsonl", "f" * 64, 12, 10, 24, 20)
                 for name in self.adopted],
                schema={"collection": pl.String(), **FILES}, orient="row",
            ),
            "adopted_findings": pl.DataFrame(
                [
                    (name, f"rollouts/{name}.jsonl", reason, kept, n, "<script>")
                    for name in self.adopted
                    for reason, kept, n in (
                        ("unmatched", False, 2), ("copy", False, 4), ("header", True, 1)
                    )
                ],
                schema=ADOPTED["adopted_findings"], orient="row",
            ),
            "processbench": pl.DataFrame(
                [("made up", "MATH", f1, 1, prm, "a paper")
                 for prm, f1 in self.processbench.items()],
                schema={"prm": pl.String(), "subset": pl.String(), "f1": pl.Float64(),
                        "n_parameters": pl.Int64(), "registry_prm": pl.String(),
                        "source": pl.String()},
                orient="row",
            ),
            "optscale": pl.DataFrame(
                [
                    (task_title, title, prm, method, n, 0.5 + 0.02 * n, 100.0 * n, "a file")
                    for task_title in (self.tasks[0][1], "another task")
                    for _, title, *_ in self.policies[:1]
                    for method, prm in (
                        ("best_of_n", self.prms[0][1] if self.prms else "r"), ("majority", None)
                    )
                    for n in (1, 2, 3, 4, 8, 16)
                ],
                schema={"task": pl.String(), "policy": pl.String(), "prm": pl.String(),
                        "method": pl.String(), "budget": pl.Int64(), "accuracy": pl.Float64(),
                        "tokens": pl.Float64(), "source": pl.String()},
                orient="row",
            ),
        }  # fmt: skip
        for name, table in tables.items():
            file = path.with_suffix(f".{name}.parquet")
            table.write_parquet(file)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{file}')")
            file.unlink()
        connection.execute("CREATE TABLE answers (policy VARCHAR)")
