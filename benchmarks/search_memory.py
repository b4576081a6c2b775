"""What the bookkeeping of a search costs, without engines: memory, and time for each request.

    PYTHONPATH=workflow python benchmarks/search_memory.py --problems 500 --budget 256

Engines are imitated: steps of about 40 tokens with fresh integers, as an engine hands them over,
answered in random order; the processor time that they take is measured and taken off. ``--keep``
holds all results until the end instead of dropping each as it is delivered. ``--method all`` is a
job of the study: beam search at 4, 16, ... N and DVTS at N, with answers in common.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import time
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

from imitated import Imitation, RequestT, search_settings, searches_of
from workbench import write_result

from compute_optimal.engines.requests import (
    Completion,
    FinishReason,
    SampleRequest,
    ScoreRequest,
    ScoreResult,
)
from compute_optimal.prms import PrmInput
from compute_optimal.search import CommonAnswers, Search, SearchResult, run
from compute_optimal.tasks import Problem


class Shuffled(Imitation[RequestT]):
    """Hands over a random tenth of its requests a step, and counts its own seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.n_requests, self.n_tokens = 0, 0
        self._random = random.Random(0)

    def _due(self) -> list[RequestT]:
        self._random.shuffle(self._pending)
        due = self._take(len(self._pending) // 10 + 1)
        self.n_requests += len(due)
        return due


class Policy(Shuffled[SampleRequest]):
    def __init__(self, n_prompt: int, n_steps: int) -> None:
        super().__init__()
        self._n_prompt, self._n_steps = n_prompt, n_steps

    def collect(self) -> list[Completion]:
        started = time.process_time()
        answers = []
        for request in self._due():
            n = self._random.randint(20, 60)
            ids = tuple(array("I", os.urandom(4 * n)))
            self.n_tokens += n
            text = os.urandom(2 * n).hex() + "\n\n"
            ends = len(request.prompt_ids) > self._n_prompt + 40 * (self._n_steps - 1)
            reason: FinishReason = "eos" if ends else "stop"
            n_prompt = len(request.prompt_ids)
            answers.append(Completion(request.key, text, ids, reason, 0.0, n_prompt, 0))
        self.seconds += time.process_time() - started
        return answers


class Prm(Shuffled[ScoreRequest]):
    def collect(self) -> list[ScoreResult]:
        started = time.process_time()
        answers = [
            ScoreResult(request.key, (self._random.gauss(0, 3),), len(request.token_ids), 0)
            for request in self._due()
        ]
        self.seconds += time.process_time() - started
        return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--budget", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--method", choices=("beam_search", "dvts", "all"), default="beam_search")
    parser.add_argument("--max-in-flight", type=int, default=1024)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()

    settings = search_settings("benchmark")
    rest = tuple(range(499))

    def encode(_: str, steps: Sequence[str]) -> PrmInput:
        # Another input for other steps: scores of equal inputs would be had in common.
        content = zlib.crc32("".join(steps).encode())
        return PrmInput((content, *rest), tuple(range(len(steps))))

    widths = [4**power for power in range(1, 10) if 4**power <= arguments.budget]
    budgets = {"all": widths, "beam_search": [arguments.budget], "dvts": []}[arguments.method]
    dvts_budget = None if arguments.method == "beam_search" else arguments.budget
    common, n_unfinished = CommonAnswers(), Counter[str]()

    def searches() -> Iterator[Search[SearchResult]]:
        for i in range(arguments.problems):
            problem = Problem(f"p{i}", f"Problem {i}?", "0", None, None)
            prompt = tuple(range(1000, 1150))
            for search in searches_of(problem, prompt, budgets, dvts_budget, settings, encode):
                n_unfinished[problem.problem_hash] += 1
                yield search

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results: list[SearchResult] = []
    n_nodes = 0

    def receive(result: SearchResult) -> None:
        nonlocal n_nodes
        n_nodes += len(result.nodes)
        n_unfinished[result.problem_hash] -= 1
        if not n_unfinished[result.problem_hash]:
            common.forget(result.problem_hash)
        if arguments.keep:
            results.append(result)

    policy, prm = Policy(150, arguments.steps), Prm()
    started = time.process_time()
    run(
        searches(),
        sampling=policy,
        scoring=prm,
        on_finished=receive,
        max_in_flight=arguments.max_in_flight,
        common=common,
    )
    seconds = time.process_time() - started - policy.seconds - prm.seconds
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    n_requests = policy.n_requests + prm.n_requests
    write_result(
        "search_memory",
        {
            **vars(arguments),
            "nodes": n_nodes,
            "generated_tokens": policy.n_tokens,
            "peak_megabytes": round(peak / 1024),
            "megabytes_more_than_at_start": round((peak - before) / 1024),
            "requests": n_requests,
            "microseconds_per_request": round(1e6 * seconds / n_requests, 1),
        },
    )


if __name__ == "__main__":
    main()
