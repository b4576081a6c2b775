"""What the analysis costs at the size of the paper: estimates, database, every query.

    PYTHONPATH=workflow python benchmarks/analysis.py --problems 500

12 policies, 7 PRMs (``config/paper.yaml``) and pools of 256 samples with about 8 steps each are
made up; making them is not timed, and neither are grading, reading the store and searches. A run
with a tenth of the problems gives the slope: the exponent with which the seconds grow. Processor
time is the sum over processes; wall time of the parts by policy is their sum over the workers.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl

from compute_optimal.analyse import accuracy, database, estimates, predicted_difficulty
from compute_optimal.analyse.published import load_processbench
from compute_optimal.analyse.statements import SQL_FOLDER
from compute_optimal.judge.answers import of_cell
from compute_optimal.present.claims import judge_claims
from compute_optimal.present.query import opened, run_query
from compute_optimal.store.partitions import write_json, write_parquet
from compute_optimal.store.storage import Storage
from compute_optimal.study.config import Study, load_claims
from compute_optimal.study.config.reading import read_mapping
from compute_optimal.study.config.study import parse_study
from compute_optimal.study.requests import EstimateSettings, RunEstimatesRequest

TASK = "MATH-500"
TARGET_SECONDS, TARGET_GIGABYTES = 40, 8
PUBLISHED = Path("data/published")
PAPER = Path("config/paper.yaml")


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
        plain_correct=pl.col("correct"),
        status=pl.lit("graded"),
        finish_reason=pl.lit("eos"),
        prm=pl.lit(None, pl.String),
        method=pl.lit(None, pl.String),
        budget=pl.lit(None, pl.Int64),
        repetition=pl.lit(None, pl.Int64),
        subtree=pl.lit(None, pl.Int64),
        n_tokens_tree=pl.lit(None, pl.Int64),
        retokenised=pl.lit(None, pl.Boolean),
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


Costs = dict[str, tuple[float, float]]
"""Name of a part or query -> seconds of wall and of processor time."""


PARTS = {
    "difficulty": (accuracy, "difficulty"),
    "curves": (accuracy, "estimate"),
    "selection": (estimates, "select_strategies"),
    "score quality": (estimates, "examine_scores"),
    "predicted difficulty": (predicted_difficulty, "examine_predictions"),
    "stopping early": (estimates, "examine_stopping"),
    "uncertain difficulty": (estimates, "examine_buckets"),
}
"""Parts of ``estimates.analysed`` by the functions that it calls."""


def timed(costs: Costs, name: str, work: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """What ``work`` returns; what it costs is added to ``costs``."""
    wall, processor = time.perf_counter(), time.process_time()
    try:
        return work(*given, **named)
    finally:
        before = costs.get(name, (0.0, 0.0))
        costs[name] = (
            before[0] + time.perf_counter() - wall,
            before[1] + time.process_time() - processor,
        )


def analyse(
    size: Size, study: Study, settings: EstimateSettings, policy: str, seed: int, folder: Path
) -> tuple[list[Path], Costs]:
    """One policy, as ``estimate-accuracy`` does it; its files and what they cost."""
    ids, prms = problem_ids(size), study.prms[: size.prms]
    answers, scores = made_up(size, prms, seed)
    costs: Costs = {}
    entry = study.policy(policy)
    request = RunEstimatesRequest(
        policy=policy,
        n_parameters=entry.n_parameters,
        is_reasoning=entry.is_reasoning,
        answers="made up",
        task=TASK,
        settings=settings,
        scores={prm: {} for prm in prms},
    )
    problems = pl.DataFrame({"problem_id": ids})
    with ExitStack() as parts:
        for part, (module, function) in PARTS.items():
            of_part = partial(timed, costs, part, getattr(module, function))
            parts.enter_context(patch.object(module, function, of_part))
        tables = timed(
            costs, "all", estimates.analysed, request, request, problems, answers, scores
        )
    # What is no part of its own: samples put in the order of the answers.
    wall, processor = costs.pop("all")
    costs["rest"] = (
        wall - sum(part[0] for part in costs.values()),
        processor - sum(part[1] for part in costs.values()),
    )
    frames = tables | {"answers": of_cell(answers, TASK, policy)}
    paths = {kind: folder / policy / f"{kind}-0.parquet" for kind in frames}

    def write() -> None:
        for kind, frame in frames.items():
            write_parquet(frame, paths[kind])

    timed(costs, "files", write)
    return [*paths.values()], costs


def run(size: Size, workers: int) -> dict[str, Any]:
    """All analyses of one size: what each part and each query costs."""
    # What the paper's items need are searches and other tasks too.
    keys = {key: value for key, value in read_mapping(PAPER).items() if key != "needed_for"}
    keys |= {"tasks": [TASK], "methods": ["cot", "majority", "best_of_n"]}
    study = parse_study(keys, where=str(PAPER))
    policies = study.policies[: size.policies]
    settings = EstimateSettings(
        budgets=study.budgets,
        beam_width=study.beam_width,
        easy=study.difficulty.easy,
        medium=study.difficulty.medium,
        **study.statistics.model_dump(),
        seed=study.seed,
    )
    parts: Costs = {}
    queries: Costs = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        problems = folder / "problems" / "MATH-500-0.parquet"
        ids = problem_ids(size)
        facts = {"task": TASK, "problem_id": ids, "problem_hash": ids, "answer": "0", "level": 1}
        write_parquet(pl.DataFrame(facts).with_columns(subject=pl.lit("Algebra")), problems)
        # One thread a worker, as Snakemake gives the study's jobs: with a thread a core for each,
        # workers on all cores spend more time waiting for one another than on linear algebra.
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        # A fork would copy Polars' locks, but not the threads that hold them.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
            done = [
                pool.submit(analyse, size, study, settings, policy, seed, folder)
                for seed, policy in enumerate(policies)
            ]
            of_policies = [job.result() for job in done]
        for part in of_policies[0][1]:
            wall, processor = np.sum([costs[part] for _, costs in of_policies], axis=0).tolist()
            parts[part] = wall / workers, processor
        files = [problems, *(path for paths, _ in of_policies for path in paths)]
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
        timed(
            parts,
            "claims",
            lambda: judge_claims(load_claims(Path("config/claims.yaml")), path),
        )
        common = study.aggregation.model_dump()
        parameters = {"task": TASK, **common, "problems": "[]", "policy": policies[0]}
        with opened(path):
            for query in sorted(file.stem for file in SQL_FOLDER.glob("*.sql")):
                if query != "macros":
                    timed(queries, query, run_query, query, path, parameters)
        parts["queries"] = tuple(np.sum([*queries.values()], axis=0).tolist())
    kilobytes = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return {
        "size": asdict(size),
        "workers": workers,
        "seconds": sum(wall for wall, _ in parts.values()),
        "processor_seconds": sum(processor for _, processor in parts.values()),
        "parts": parts,
        "queries": queries,
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
    small, large = (
        run(Size(policies=options.policies, problems=n), options.workers)
        for n in (options.problems // 10, options.problems)
    )
    before, after = (measured["parts"] | measured["queries"] for measured in (small, large))
    # By processor time: whatever else the machine does is in it too, but less.
    slopes = {name: math.log10(after[name][1] / max(before[name][1], 1e-3)) for name in after}
    met = large["seconds"] <= TARGET_SECONDS and large["gigabytes"] <= TARGET_GIGABYTES
    runs = {"small": small, "large": large, "slopes": slopes, "target_met": met}
    write_json(options.output, runs)
    print("    wall  processor  slope  part; the queries follow")
    for name, (wall, processor) in after.items():
        print(f"{wall:8.2f} {processor:10.2f} {slopes[name]:6.2f}  {name}")
    print(
        f"{large['seconds']:8.2f} {large['processor_seconds']:10.2f} s in all; "
        f"{large['gigabytes']:.1f} GB at most; {options.output}"
    )


if __name__ == "__main__":
    main()
