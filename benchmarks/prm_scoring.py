"""Scoring solutions with a PRM: all in the engine at once against one after the other.

    PYTHONPATH=workflow python benchmarks/prm_scoring.py --problems 20 --samples 16

The solutions are samples of the shipped store; both arms send the same requests.
"""

from __future__ import annotations

import argparse

from workbench import (
    POLICY,
    PRM,
    TASK,
    Recorded,
    drain,
    open_bench,
    ratio,
    take_turns,
    write_result,
)

from compute_optimal.engines.sizes import MOST_SLOTS_ON_CPU, in_flight
from compute_optimal.search import run, score_samples
from compute_optimal.store import places
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import load_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=20)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with open_bench(arguments.problems) as bench:
        study = load_study("config/config.yaml")
        spec = cells.sample_spec(study, TASK, POLICY, "evaluation")
        rows = places.partition(Storage.of(study).store, spec).read("samples", ["text"])
        texts: dict[str, dict[int, str]] = {}
        for key, index, text in rows.select("problem_hash", "sample_index", "text").iter_rows():
            if index < arguments.samples:
                texts.setdefault(key, {})[index] = text
        recorded = Recorded(bench.prm)

        def batched(engine: object = bench.prm) -> None:
            run(
                (
                    score_samples(
                        problem,
                        texts[problem.problem_hash],
                        bench.encode,
                        prm_context=bench.settings["prm_context"],
                    )
                    for problem in bench.problems
                ),
                scoring=engine,  # type: ignore[arg-type]
                on_finished=lambda _: None,
                max_in_flight=in_flight(MOST_SLOTS_ON_CPU),
            )

        def one_by_one() -> None:
            for request in recorded.requests:
                drain(bench.prm, [request])

        batched(recorded)
        seconds = take_turns(
            bench, {"batched": batched, "one by one": one_by_one}, arguments.rounds
        )
    write_result(
        "prm_scoring",
        {
            "prm": PRM,
            **vars(arguments),
            "requests": len(recorded.requests),
            "prm_tokens": sum(len(request.token_ids) for request in recorded.requests),
            "times_faster": round(ratio(seconds, "one by one", "batched"), 2),
            "seconds": seconds,
        },
    )


if __name__ == "__main__":
    main()
