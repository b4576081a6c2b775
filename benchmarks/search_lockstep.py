"""Beam search over many problems at once against one problem at a time in lockstep.

    PYTHONPATH=workflow python benchmarks/search_lockstep.py --problems 20 --budget 16

The lockstep arm is our own small version of the loop of search-and-learn at 6f81cac8
(search/beam_search.py:32-197 with the settings of its recipes, models/reward_models.py): one step
for each of N beams in one call of ``LLM.generate``, without seeds; wait for all; score all texts
from their first token with transformers, in its batches for this kind of PRM; drop active beams
that say the same; keep the best N / M and copy them to N. It uses the same engine for the policy
and is spared templates and tokenising: ids go in and out, as in our arm, so that both do the same
search (the search-and-learn variant). Draws differ; the tokens of both are reported.

So the figure is a lower bound. search-and-learn's own code also renders the chat template of every
beam, and tokenises it, at every step. As it is, on this study's engine and models, it took 29 times
as long a token in its beam search at N = 16, and 44 times in its DVTS.

In a third arm the PRM of the lockstep is our engine, all texts of a step in one batch.
search-and-learn has no such thing: the arm tells how much is due to the order of the work alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from workbench import (
    POLICY,
    PRM,
    ROOT,
    Bench,
    Recorded,
    drain,
    open_bench,
    ratio,
    take_turns,
    write_result,
)

from compute_optimal.engines.requests import ScoreRequest, ScoreResult
from compute_optimal.engines.sizes import MOST_SLOTS_ON_CPU, in_flight, score_batch
from compute_optimal.micro.process_reward_model import ProcessRewardModel
from compute_optimal.policies.steps import STEP_DELIMITER, split_steps
from compute_optimal.prms import PrmInput
from compute_optimal.search import run
from compute_optimal.tasks import Problem

Beam = tuple[tuple[int, ...], str]
"""Token ids with the prompt, and the text so far."""

Score = Callable[[Sequence[PrmInput]], list[float]]
"""Margins of the last steps of some solutions."""

PRM_BATCHES = {"rlhflow": 8, "math_shepherd": 4, "qwen_math": 1, "skywork": 1}
"""Solutions that search-and-learn scores at once in a beam search, by the kind of PRM."""


def lockstep(bench: Bench, score: Score, problem: Problem, budget: int) -> int:
    """Search one problem; the number of generated tokens."""
    from vllm import SamplingParams

    settings = bench.settings
    beams: list[Beam] = [(bench.prompts[problem.problem_hash], "")] * budget
    n_tokens = 0
    for depth in range(1, settings["max_steps"] + 1):
        parameters = SamplingParams(
            temperature=settings["temperature"],
            top_p=settings["top_p"],
            top_k=settings["top_k"],
            max_tokens=settings["max_step_tokens"],
            stop=[] if depth == settings["max_steps"] else [STEP_DELIMITER],
            include_stop_str_in_output=True,
        )
        outputs = bench.generate((ids for ids, _ in beams), parameters)
        drawn = [output.outputs[0] for output in outputs]
        n_tokens += sum(len(step.token_ids) for step in drawn)
        beams = [
            (ids + tuple(step.token_ids), text + step.text)
            for (ids, text), step in zip(beams, drawn, strict=True)
        ]
        steps = [split_steps(text) for _, text in beams]
        scored = [index for index, said in enumerate(steps) if said]
        inputs = [bench.encode(problem.problem, steps[index]) for index in scored]
        scores = dict(zip(scored, score(inputs), strict=True))
        active: dict[str, int] = {}
        for index, ((ids, text), step) in enumerate(zip(beams, drawn, strict=True)):
            # Whatever ends without stop string is complete there: an end of sequence or a limit.
            if step.stop_reason == STEP_DELIMITER and len(ids) < settings["context"]:
                active.setdefault(text, index)
        if not active:
            break
        ranked = sorted(active.values(), key=lambda index: -scores.get(index, 0.0))
        best = sorted(ranked[: budget // settings["beam_width"]])
        beams = [beams[best[rank % len(best)]] for rank in range(budget)]
    return n_tokens


def transformers_scorer(prm_name: str, format_name: str) -> Score:
    """The PRM as search-and-learn runs it, but without a second tokenising for RLHFlow's."""
    import torch

    prm = ProcessRewardModel.load(format_name, ROOT / "data/models" / prm_name)
    prm.network.float()
    size = PRM_BATCHES[format_name]

    def score(inputs: Sequence[PrmInput]) -> list[float]:
        margins: list[float] = []
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size]
            width = max(len(x.token_ids) for x in batch)
            ids = [[*x.token_ids, *[0] * (width - len(x.token_ids))] for x in batch]
            with torch.inference_mode():
                rows = prm.margins(torch.tensor(ids)).tolist()
            margins += [row[x.positions[-1]] for row, x in zip(rows, batch, strict=True)]
        return margins

    return score


def engine_scorer(engine: Any) -> Score:
    """The PRM in our engine, given all solutions at once."""

    def score(inputs: Sequence[PrmInput]) -> list[float]:
        requests = [ScoreRequest(i, x.token_ids, x.positions) for i, x in enumerate(inputs)]
        margins = [0.0] * len(inputs)
        for answer in drain(engine, requests):
            assert isinstance(answer, ScoreResult)
            assert isinstance(answer.key, int)
            margins[answer.key] = answer.margins[-1]
        return margins

    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=20)
    parser.add_argument("--budget", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--policy", default=POLICY)
    parser.add_argument("--prm", default=PRM)
    arguments = parser.parse_args()
    with open_bench(arguments.problems, arguments.policy, arguments.prm) as bench:

        def together() -> int:
            recorded = Recorded(bench.policy)
            run(
                (
                    bench.search("beam_search", problem, arguments.budget, "search-and-learn")
                    for problem in bench.problems
                ),
                sampling=recorded,
                scoring=bench.prm,
                on_finished=lambda _: None,
                max_in_flight=in_flight(MOST_SLOTS_ON_CPU),
                score_batch=score_batch(MOST_SLOTS_ON_CPU),
            )
            return recorded.n_tokens

        def one_by_one(score: Score) -> int:
            return sum(
                lockstep(bench, score, problem, arguments.budget) for problem in bench.problems
            )

        transformers_score = transformers_scorer(arguments.prm, bench.prm_format)
        arms = {
            "together": together,
            "lockstep": lambda: one_by_one(transformers_score),
            "lockstep, PRM in our engine": lambda: one_by_one(engine_scorer(bench.prm)),
        }
        tokens: dict[str, list[int]] = {name: [] for name in arms}
        for arm in arms.values():  # warms everything up
            arm()
        seconds = take_turns(
            bench,
            {name: lambda n=name: tokens[n].append(arms[n]()) for name in arms},
            arguments.rounds,
        )
        per_token = {
            name: [s / n for s, n in zip(seconds[name], tokens[name], strict=True)] for name in arms
        }
        others = [name for name in arms if name != "together"]
        write_result(
            "search_lockstep",
            {
                **vars(arguments),
                "generated_tokens": tokens,
                "times_faster": {
                    name: round(ratio(seconds, name, "together"), 2) for name in others
                },
                "times_faster_per_token": {
                    name: round(ratio(per_token, name, "together"), 2) for name in others
                },
                "seconds": seconds,
            },
        )


if __name__ == "__main__":
    main()
