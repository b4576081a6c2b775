"""Beam search over many problems at once against one problem at a time in lockstep.

    PYTHONPATH=workflow python benchmarks/search_lockstep.py --problems 20 --budget 16

The lockstep arm is our own small version of the loop of search-and-learn (beam_search.py:32-197 at
6f81cac8): one step for each of N beams, wait for all, score all texts from their first token, keep
the best N / M, copy them to N. Both arms use the same engines and the search-and-learn variant, so
they do the same search; draws differ, and the tokens of both are reported.
"""

from __future__ import annotations

import argparse
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

from compute_optimal.engines.requests import Completion, SampleRequest, ScoreRequest, ScoreResult
from compute_optimal.generate import MAX_IN_FLIGHT, SCORE_BATCH
from compute_optimal.policies.steps import split_steps
from compute_optimal.search import run
from compute_optimal.spec import seed_for
from compute_optimal.tasks import Problem

Beam = tuple[tuple[int, ...], str]
"""Token ids with the prompt, and the text so far."""


def lockstep(bench: Bench, policy: Any, problem: Problem, budget: int) -> int:
    """Search one problem; the number of finished beams."""
    settings = bench.settings
    beams: list[Beam] = [(bench.prompts[problem.problem_hash], "")] * budget
    finished = 0
    for depth in range(1, settings["max_steps"] + 1):
        last = depth == settings["max_steps"]
        requests = [
            SampleRequest(
                key=index,
                prompt_ids=ids,
                seed=seed_for(problem.problem_hash, "lockstep", depth, index),
                max_tokens=min(settings["max_step_tokens"], settings["context"] - len(ids)),
                temperature=settings["temperature"],
                top_p=settings["top_p"],
                top_k=settings["top_k"],
                stop=() if last else ("\n\n",),
            )
            for index, (ids, _) in enumerate(beams)
        ]
        grown: dict[int, Beam] = {}
        active = []
        for answer in drain(policy, requests):
            assert isinstance(answer, Completion)
            assert isinstance(answer.key, int)
            ids, text = beams[answer.key]
            grown[answer.key] = (ids + answer.token_ids, text + answer.text)
            if answer.finish_reason == "stop" and len(grown[answer.key][0]) < settings["context"]:
                active.append(answer.key)
            else:
                finished += 1
        scores: dict[int, float] = {}
        inputs = {
            index: bench.encode(problem.problem, steps)
            for index, (_, text) in grown.items()
            if (steps := split_steps(text))
        }
        for scored in drain(
            bench.prm,
            [ScoreRequest(index, x.token_ids, x.positions) for index, x in inputs.items()],
        ):
            assert isinstance(scored, ScoreResult)
            assert isinstance(scored.key, int)
            scores[scored.key] = scored.margins[-1]
        distinct = {grown[index][1]: index for index in sorted(active, reverse=True)}
        best = sorted(distinct.values(), key=lambda index: -scores.get(index, 0.0))
        best = best[: budget // settings["beam_width"]]
        if not best:
            break
        beams = [grown[best[rank % len(best)]] for rank in range(budget)]
    return finished


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=20)
    parser.add_argument("--budget", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with open_bench(arguments.problems) as bench:

        def together(policy: Any) -> None:
            run(
                (
                    bench.search("beam_search", problem, arguments.budget, "search-and-learn")
                    for problem in bench.problems
                ),
                sampling=policy,
                scoring=bench.prm,
                on_finished=lambda _: None,
                max_in_flight=MAX_IN_FLIGHT,
                score_batch=SCORE_BATCH,
            )

        def one_by_one(policy: Any) -> None:
            for problem in bench.problems:
                lockstep(bench, policy, problem, arguments.budget)

        arms = {"together": together, "lockstep": one_by_one}
        tokens = {}
        for name, arm in arms.items():  # counts tokens and warms the engines up
            recorded = Recorded(bench.policy)
            arm(recorded)
            tokens[name] = recorded.n_tokens
        seconds = take_turns(
            bench,
            {name: lambda arm=arm: arm(bench.policy) for name, arm in arms.items()},
            arguments.rounds,
        )
        per_token = {name: [s / tokens[name] for s in seconds[name]] for name in arms}
        write_result(
            "search_lockstep",
            {
                "policy": POLICY,
                "prm": PRM,
                **vars(arguments),
                "generated_tokens": tokens,
                "times_faster": round(ratio(seconds, "lockstep", "together"), 2),
                "times_faster_per_token": round(ratio(per_token, "lockstep", "together"), 2),
                "seconds": seconds,
            },
        )


if __name__ == "__main__":
    main()
