"""What the analysis costs at the size of the paper: estimates, database, every query.

    PYTHONPATH=workflow python benchmarks/analysis.py --problems 500

12 policies, 7 PRMs (``config/paper.yaml``) and pools of 256 samples with about 8 steps each are
made up; making them is not timed, and neither are grading and reading the store. A second run with
a tenth of the problems gives the slope: the exponent with which the seconds grow.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import re
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from compute_optimal import database, estimate
from compute_optimal.charts.present import SCORING, VOTING
from compute_optimal.charts.query import SQL_FOLDER, run_query
from compute_optimal.config import Study, load_study
from compute_optimal.published import load_processbench
from compute_optimal.score_quality import examine_scores
from compute_optimal.selection import select_strategies
from compute_optimal.storage import Storage
from compute_optimal.store import write_json, write_parquet

TASK = "MATH-500"
TARGET_SECONDS, TARGET_GIGABYTES = 120, 8
PUBLISHED = Path("data/published")


@dataclass(frozen=True)
class Size:
    policies: int = 12
    problems: int = 500
    samples: int = 256
    prms: int = 7
    steps: int = 8


def problem_ids(size: Size) -> list[str]:
    return [f"problem-{i:04d}" for i in range(size.problems)]


def made_up(size: Size, prms: tuple[str, ...], seed: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Graded answers of one policy and, by PRM, margins that lean towards right answers."""
    rng = np.random.default_rng(seed)
    ids = problem_ids(size)
    chance = rng.beta(0.6, 0.8, size.problems)
    frames = []
    for pool, n in (("greedy", 1), ("difficulty", 64), ("evaluation", size.samples)):
        correct = rng.random((size.problems, n)) < chance[:, None]
        wrong = rng.integers(1, 12, (size.problems, n))
        frames.append(
            pl.DataFrame(
                {
                    "problem_id": np.repeat(ids, n),
                    "sample_index": np.tile(np.arange(n), size.problems),
                    "correct": correct.ravel(),
                    "answer_class": np.where(correct, 0, wrong).ravel(),
                    "n_tokens": rng.integers(200, 600, size.problems * n),
                }
            ).with_columns(pool=pl.lit(pool))
        )
    answers = pl.concat(frames).with_columns(
        answer=pl.col("answer_class").cast(pl.String),
        official_correct=pl.col("correct"),
        status=pl.lit("graded"),
        finish_reason=pl.lit("eos"),
        prm=pl.lit(None, pl.String),
        method=pl.lit(None, pl.String),
        budget=pl.lit(None, pl.Int64),
        subtree=pl.lit(None, pl.Int64),
        n_tokens_tree=pl.lit(None, pl.Int64),
        margins=pl.lit(None, pl.List(pl.Float32)),
    )
    keys = frames[-1].select("problem_id", "sample_index")
    right = frames[-1]["correct"].to_numpy()
    scores = {}
    for prm in prms:
        n_steps = rng.integers(size.steps - 3, size.steps + 4, keys.height)
        rows = np.repeat(np.arange(keys.height), n_steps)
        flat = rng.normal(right[rows] * 1.5, 2.0).astype(np.float32)
        lists = pl.DataFrame({"row": rows, "m": flat}).group_by("row", maintain_order=True)
        scores[prm] = keys.with_columns(margins=lists.agg("m")["m"])
    return answers, scores


def timed(seconds: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    try:
        return work()
    finally:
        seconds[name] = time.perf_counter() - started


def analyse(
    size: Size, study: Study, settings: estimate.Settings, policy: str, seed: int, folder: Path
) -> tuple[list[Path], dict[str, float]]:
    """One policy, as ``estimate-accuracy`` does it; its files and its seconds."""
    ids, prms = problem_ids(size), study.prms[: size.prms]
    answers, scores = made_up(size, prms, seed)
    seconds: dict[str, float] = {}

    def estimated() -> list[Path]:
        rated = estimate.difficulty(answers, ids, settings)
        buckets = dict(rated.select("problem_id", "bucket").unique().iter_rows())
        curves, outcomes = estimate.estimate(answers, scores, buckets, ids, settings)
        entry = study.policy(policy)
        chosen, held_out = timed(
            seconds,
            "selection",
            lambda: select_strategies(
                outcomes,
                ids,
                task=TASK,
                n_parameters=entry.n_parameters,
                is_reasoning=entry.is_reasoning,
                budgets=settings.budgets,
                confidence=settings.confidence,
                seed=settings.seed,
            ),
        )
        quality = timed(
            seconds, "score quality", lambda: examine_scores(answers, scores, ids, settings)
        )
        frames = {
            "answers": answers,
            "difficulty": rated,
            "curves": curves,
            "outcomes": outcomes,
            "selection": chosen,
            "held_out": held_out,
            **quality,
        }
        paths = []
        for kind, frame in frames.items():
            path = folder / policy / f"{kind}-0.parquet"
            of_cell = frame.select(pl.lit(TASK).alias("task"), pl.lit(policy).alias("policy"), "*")
            write_parquet(of_cell, path)
            paths.append(path)
        return paths

    paths = timed(seconds, "estimate", estimated)
    seconds["estimate"] -= seconds["selection"] + seconds["score quality"]
    return paths, seconds


def run(size: Size, workers: int) -> dict[str, Any]:
    """All analyses of one size; seconds of each part, and of each query."""
    study = load_study(
        "config/paper.yaml", {"tasks": [TASK], "methods": ["cot", "majority", "best_of_n"]}
    )
    policies = study.policies[: size.policies]
    settings = estimate.Settings(
        budgets=study.budgets,
        beam_width=study.beam_width,
        easy=study.difficulty.easy,
        medium=study.difficulty.medium,
        **study.statistics.model_dump(),
        seed=study.seed,
    )
    parts: dict[str, float] = {}
    queries: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        problems = folder / "problems" / "MATH-500-0.parquet"
        ids = problem_ids(size)
        facts = {"task": TASK, "problem_id": ids, "problem_hash": ids, "answer": "0", "level": 1}
        write_parquet(pl.DataFrame(facts).with_columns(subject=pl.lit("Algebra")), problems)
        # A fork would copy Polars' locks, but not the threads that hold them.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
            done = [
                pool.submit(analyse, size, study, settings, policy, seed, folder)
                for seed, policy in enumerate(policies)
            ]
            found = [job.result() for job in done]
        for part in ("estimate", "selection", "score quality"):
            parts[part] = sum(seconds[part] for _, seconds in found) / workers
        files = [problems, *(path for paths, _ in found for path in paths)]
        printed = {
            "published": pl.read_csv(PUBLISHED / "paper.csv"),
            "pretraining": pl.read_csv(PUBLISHED / "pretraining.csv"),
            "processbench": load_processbench(PUBLISHED / "processbench.csv"),
        }
        path = folder / "study.duckdb"
        timed(
            parts,
            "database",
            lambda: database.build(study, Storage.of(study), files, printed, path),
        )
        parameters = {"task": TASK, "scoring": SCORING, "voting": VOTING, "problems": "[]"}
        parameters["policy"] = policies[0]
        unused = {"macros", "settings"}
        failed = {}
        for query in sorted(file.stem for file in SQL_FOLDER.glob("*.sql")):
            if query in unused:
                continue
            try:
                timed(queries, query, lambda query=query: run_query(query, path, parameters))
            except Exception as error:
                failed[query] = re.sub(r"\s+", " ", str(error))[:200]
                del queries[query]
        parts["queries"] = sum(queries.values())
    kilobytes = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return {
        "size": asdict(size),
        "seconds": sum(parts.values()),
        "parts": parts,
        "queries": queries,
        "failed_queries": failed,
        # The largest worker, times their number, beside the parent: an upper bound.
        "gigabytes": (kilobytes[0] + workers * kilobytes[1]) / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--policies", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/analysis.json"))
    options = parser.parse_args()
    runs = [
        run(Size(policies=options.policies, problems=n), options.workers)
        for n in (options.problems // 10, options.problems)
    ]
    small, large = runs
    slopes = {
        part: math.log10(large["parts"][part] / small["parts"][part]) for part in large["parts"]
    }
    met = large["seconds"] <= TARGET_SECONDS and large["gigabytes"] <= TARGET_GIGABYTES
    write_json(options.output, {"runs": runs, "slopes": slopes, "target_met": met})
    for name, seconds in (large["parts"] | large["queries"]).items():
        print(
            f"{seconds:8.2f} s  {name}"
            + (f"  (slope {slopes[name]:.2f})" if name in slopes else "")
        )
    print(
        f"{large['seconds']:8.2f} s in all, {large['gigabytes']:.1f} GB at most; {options.output}"
    )
    for query, reason in large["failed_queries"].items():
        print(f"not run: {query}: {reason}")


if __name__ == "__main__":
    main()
