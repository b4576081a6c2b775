"""What the engine benchmarks share: the scale model's engines, arms in turn, a result file."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from compute_optimal.engines import engine_version, open_sampling_engine, open_scoring_engine
from compute_optimal.engines.requests import (
    Completion,
    SampleRequest,
    ScoreRequest,
    ScoreResult,
)
from compute_optimal.policies.prompts import load_tokenizer, prompt_ids
from compute_optimal.prms import prm_format
from compute_optimal.search import Search, SearchResult, SearchSettings, beam_search, dvts
from compute_optimal.store.storage import Storage
from compute_optimal.study.config import load_study
from compute_optimal.tasks import Problem

ROOT = Path(__file__).parents[1]
TASK, POLICY, PRM = "arithmetic-chains", "micro-llama-0.4M", "micro-qwen-math-exact-prm-1.0M"
Result = TypeVar("Result")


@dataclass(frozen=True)
class Bench:
    """A policy and a PRM of the scale model, and the first problems of its task."""

    policy: Any
    prm: Any
    problems: Sequence[Problem]
    prompts: Mapping[str, tuple[int, ...]]
    encode: Any
    prm_format: str
    settings: Mapping[str, Any]

    def search(self, method: str, problem: Problem, n: int, variant: str) -> Search[SearchResult]:
        """A beam search or DVTS of one problem."""
        settings = SearchSettings(**self.settings, variant=variant)  # type: ignore[arg-type]
        prompt = self.prompts[problem.problem_hash]
        if method == "beam_search":
            return beam_search(problem, prompt, n, settings, self.encode)
        return dvts(problem, prompt, range(n // settings.beam_width), settings, self.encode)

    def generate(self, prompts: Iterable[Sequence[int]], parameters: Any) -> list[Any]:
        """vLLM's own ``LLM.generate`` of the policy, without this study's engine around it.

        ``parameters`` are vLLM's ``SamplingParams``, one for all prompts or one for each.
        """
        inputs = [{"prompt_token_ids": list(ids)} for ids in prompts]
        outputs: list[Any] = self.policy._llm.generate(inputs, parameters, use_tqdm=False)
        return outputs

    def forget(self) -> None:
        """Empty both prefix caches, so that no arm profits from the one before."""
        for engine in (self.policy, self.prm):
            assert engine._engine.reset_prefix_cache()


@contextmanager
def open_bench(n_problems: int, policy_name: str = POLICY, prm_name: str = PRM) -> Iterator[Bench]:
    """Open both engines as the study does."""
    os.chdir(ROOT)
    study = load_study("config/config.yaml", {"tasks": [TASK]})
    policy, prm = study.policy(policy_name), study.prm(prm_name)
    folders = {name: ROOT / "data/models" / name for name in (policy_name, prm_name)}
    tokenizers = {name: load_tokenizer(folder) for name, folder in folders.items()}
    problems = Storage.of(study).problems(study.task(TASK), n_problems)
    family, form = study.prompt_family(policy.prompt), prm_format(prm.format)
    settings = {
        "spec_digest": "benchmark",
        **policy.sampling.model_dump(include={"temperature", "top_p", "top_k", "max_tokens"}),
        "context": policy.context,
        "max_step_tokens": policy.sampling.max_step_tokens,
        "beam_width": study.beam_width,
        "max_steps": study.max_steps,
        "prm_context": prm.context,
    }
    with (
        open_sampling_engine(
            folders[policy_name], context=policy.context, dtype=policy.dtype
        ) as first,
        open_scoring_engine(
            folders[prm_name], prm.format, context=prm.context, dtype=prm.dtype
        ) as second,
    ):
        yield Bench(
            first,
            second,
            problems,
            {
                p.problem_hash: prompt_ids(tokenizers[policy_name], family, p.problem)
                for p in problems
            },
            partial(form.encode, tokenizers[prm_name]),
            prm.format,
            settings,
        )


class Recorded:
    """An engine that keeps a list of its requests and of the tokens it generated."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.requests: list[Any] = []
        self.n_tokens = 0

    def submit(self, request: SampleRequest | ScoreRequest) -> None:
        self.requests.append(request)
        self._engine.submit(request)

    def collect(self) -> list[Any]:
        answers: list[Any] = self._engine.collect()
        self.n_tokens += sum(len(a.token_ids) for a in answers if isinstance(a, Completion))
        return answers

    @property
    def unfinished(self) -> int:
        n: int = self._engine.unfinished
        return n

    @property
    def seconds(self) -> float:
        s: float = self._engine.seconds
        return s


def drain(engine: Any, requests: Sequence[Any]) -> list[Completion | ScoreResult]:
    """Hand over all requests at once and wait for the last."""
    for request in requests:
        engine.submit(request)
    answers = []
    while engine.unfinished:
        answers += engine.collect()
    return answers


def take_turns(
    bench: Bench,
    arms: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each arm in each round, arms in turn with empty caches: load hits all alike.

    On a machine where it does not, ``time.process_time`` as ``clock`` counts what this process
    computed; with one thread that is its wall time on a core of its own.
    """
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, arm in arms.items():
            bench.forget()
            started = clock()
            arm()
            seconds[name].append(clock() - started)
    return seconds


def ratio(seconds: Mapping[str, Sequence[float]], slow: str, fast: str) -> float:
    """How many times faster one arm was: the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))


def write_result(name: str, figures: Mapping[str, Any]) -> None:
    """Print the figures and write them to ``benchmarks/results/NAME.json`` with their origin."""
    result = {
        "command": " ".join(["python", f"benchmarks/{name}.py", *sys.argv[1:]]),
        "engine": engine_version(),
        "cores": len(os.sched_getaffinity(0)),
        "machine": f"{platform.system()} {platform.machine()}",
        **figures,
    }
    text = json.dumps(result, indent=1)
    folder = ROOT / "benchmarks/results"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(text)
