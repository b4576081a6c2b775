"""Search throughput as a share of the engine's raw throughput on the same prompts and lengths.

    PYTHONPATH=workflow python benchmarks/search_throughput.py --problems 20 --budget 16

The raw arm is vLLM's own ``LLM.generate`` on all requests of the search at once, so that nothing
waits for anything; it draws the same tokens, because each request carries its seed. Once with a
scorer that costs nothing (the hash of the input), once with a real PRM on the same cores.

With a PRM no search can be faster than drawing and scoring apart: all requests of the search to the
policy at once, then all of those to the PRM at once, each in full batches and with nothing that
waits for the other. The share of that limit is the figure that says what searching itself costs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import Any

from workbench import (
    POLICY,
    PRM,
    Bench,
    Recorded,
    drain,
    open_bench,
    ratio,
    take_turns,
    write_result,
)

from compute_optimal.engines.requests import SampleRequest, ScoreRequest, ScoreResult
from compute_optimal.engines.sizes import MOST_SLOTS_ON_CPU, in_flight, score_batch
from compute_optimal.search import SearchResult, run
from compute_optimal.study.spec import seed_for

SCORERS = ("free scorer", "PRM")


class FreeScorer:
    """Answers at once with numbers hashed from the input."""

    seconds = 0.0

    def __init__(self) -> None:
        self._answers: list[ScoreResult] = []

    def submit(self, request: ScoreRequest) -> None:
        draws = [seed_for(*request.token_ids[-8:], position) for position in request.positions]
        margins = tuple((draw % 1000) / 100 - 5 for draw in draws)
        self._answers.append(ScoreResult(request.key, margins, len(request.token_ids), 0))

    def collect(self) -> list[ScoreResult]:
        answers, self._answers = self._answers, []
        return answers

    @property
    def unfinished(self) -> int:
        return len(self._answers)


def search(bench: Bench, policy: Any, scorer: Any, budget: int) -> list[SearchResult]:
    results: list[SearchResult] = []
    run(
        (
            bench.search(method, problem, budget, "paper")
            for problem in bench.problems
            for method in ("beam_search", "dvts")
        ),
        sampling=policy,
        scoring=scorer,
        on_finished=results.append,
        max_in_flight=in_flight(MOST_SLOTS_ON_CPU),
        score_batch=score_batch(MOST_SLOTS_ON_CPU),
    )
    return results


def generate(bench: Bench, requests: Sequence[SampleRequest]) -> None:
    """Draw what a search has drawn, without searching."""
    from vllm import SamplingParams

    settings = bench.settings
    parameters = [
        SamplingParams(
            seed=request.seed,
            max_tokens=min(request.max_tokens, settings["context"] - len(request.prompt_ids)),
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            stop=list(request.stop),
            include_stop_str_in_output=True,
        )
        for request in requests
    ]
    bench.generate((request.prompt_ids for request in requests), parameters)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=20)
    parser.add_argument("--budget", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--processor-time", action="store_true", help="on a busy machine, with OMP_NUM_THREADS=1"
    )
    parser.add_argument("--scorer", nargs="+", choices=SCORERS, default=SCORERS)
    parser.add_argument("--policy", default=POLICY)
    parser.add_argument("--prm", default=PRM)
    arguments = parser.parse_args()
    figures: dict[str, Any] = vars(arguments)
    with open_bench(arguments.problems, arguments.policy, arguments.prm) as bench:
        scorers = dict(zip(SCORERS, (FreeScorer(), bench.prm), strict=True))
        for name in arguments.scorer:
            scorer = scorers[name]
            recorded, scored = Recorded(bench.policy), Recorded(scorer)
            search(bench, recorded, scored, arguments.budget)  # also warms the engines up

            def separate(recorded: Recorded = recorded, scored: Recorded = scored) -> None:
                generate(bench, recorded.requests)
                drain(bench.prm, scored.requests)

            arms = {
                "search": lambda scorer=scorer: search(
                    bench, bench.policy, scorer, arguments.budget
                ),
                "raw": lambda recorded=recorded: generate(bench, recorded.requests),
            }
            if scorer is bench.prm:
                arms["separate"] = separate
            clock = time.process_time if arguments.processor_time else time.perf_counter
            seconds = take_turns(bench, arms, arguments.rounds, clock)
            figures[name] = {
                "requests": len(recorded.requests),
                "generated_tokens": recorded.n_tokens,
                "search_tokens_per_second": round(recorded.n_tokens / min(seconds["search"])),
                "raw_tokens_per_second": round(recorded.n_tokens / min(seconds["raw"])),
                "share_of_raw": round(ratio(seconds, "raw", "search"), 2),
                **(
                    {
                        "share_of_drawing_and_scoring_apart": round(
                            ratio(seconds, "separate", "search"), 2
                        )
                    }
                    if "separate" in arms
                    else {}
                ),
                "seconds": seconds,
            }
    write_result("search_throughput", figures)


if __name__ == "__main__":
    main()
