"""Tokens per second of sampling, for every policy of the scale model and, if imported, SmolLM2.

    PYTHONPATH=workflow python benchmarks/sampling.py

The pools that a study draws, of fewer problems: seeds, log-probabilities and bookkeeping included,
loading and writing not. SmolLM2 (README.md, "Run your own") samples MATH-500 from the
folder of problem files that MIRROR names, and is left out where either is missing.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from workbench import ROOT, write_result

from compute_optimal.engines import open_sampling_engine
from compute_optimal.engines.sizes import MOST_SLOTS_ON_CPU, in_flight
from compute_optimal.policies.prompts import load_tokenizer, prompt_ids
from compute_optimal.search import run
from compute_optimal.search.sampling import PoolResult, SamplingSettings, draw
from compute_optimal.store.storage import Storage
from compute_optimal.study.config import Study, load_study


def sample(study: Study, name: str, n_problems: int, n_samples: int) -> dict[str, Any]:
    """Draw the first samples of the first problems of the study's task; tokens and seconds."""
    entry = study.policy(name)
    assert entry.path is not None
    folder = ROOT / entry.path
    tokenizer, family = load_tokenizer(folder), study.prompt_family(entry.prompt)
    problems = Storage.of(study).problems(study.task(study.tasks[0]), n_problems)
    settings = SamplingSettings(
        spec_digest="benchmark",
        **entry.sampling.model_dump(include={"temperature", "top_p", "top_k", "max_tokens"}),
        context=entry.context,
    )
    results: list[PoolResult] = []
    with open_sampling_engine(folder, context=entry.context, dtype=entry.dtype) as engine:
        started = time.perf_counter()
        run(
            (
                draw(
                    problem,
                    prompt_ids(tokenizer, family, problem.problem),
                    range(n_samples),
                    settings,
                )
                for problem in problems
            ),
            sampling=engine,
            on_finished=results.append,
            max_in_flight=in_flight(MOST_SLOTS_ON_CPU),
        )
        seconds = time.perf_counter() - started
    n_tokens = sum(one.n_tokens for result in results for one in result.samples)
    return {
        "problems": n_problems,
        "samples": n_samples,
        "tokens": n_tokens,
        "seconds": round(seconds, 1),
        "tokens_per_second": round(n_tokens / seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--samples", type=int, default=32)
    arguments = parser.parse_args()
    os.chdir(ROOT)
    micro = load_study("config/config.yaml")
    figures: dict[str, Any] = {
        name: sample(micro, name, arguments.problems, arguments.samples) for name in micro.policies
    }
    pretrained = load_study("config/smollm2.yaml")
    (name,) = pretrained.policies
    if Path(pretrained.policy(name).path or "").is_dir() and os.environ.get("MIRROR"):
        figures[name] = sample(pretrained, name, 4, 8)
    write_result("sampling", figures)


if __name__ == "__main__":
    main()
