"""A policy and a PRM made of plain functions, standing exactly where real engines stand.

A text is its characters: token id = code point + 10. Ids below 10 are special. The toy policy sees
what a real one sees, prompt ids and a seed, so a search that continued the wrong ids would get the
wrong answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from compute_optimal.engines.requests import (
    Completion,
    FinishReason,
    SampleRequest,
    ScoreRequest,
    ScoreResult,
)
from compute_optimal.prms import PrmInput
from compute_optimal.search import (
    CommonAnswers,
    SearchResult,
    SearchSettings,
    beam_search,
    dvts,
    run,
)
from compute_optimal.tasks import Problem

EOS, STEP_END, OVERSHOOT = 0, 1, 2

Respond = Callable[[str, random.Random, SampleRequest], tuple[str, FinishReason]]
Request = TypeVar("Request", SampleRequest, ScoreRequest)


def problem(number: int) -> Problem:
    return Problem(f"p{number}", f"Problem {number}?", "0", None, None)


def ids(text: str) -> tuple[int, ...]:
    return tuple(ord(character) + 10 for character in text)


def text_of(token_ids: Sequence[int]) -> str:
    return "".join(chr(token - 10) for token in token_ids if token >= 10)


def prompt_ids(of: Problem) -> tuple[int, ...]:
    return ids(f"{of.problem}|")


def encode(question: str, steps: Sequence[str]) -> PrmInput:
    token_ids, positions = list(ids(question)), []
    for step in steps:
        token_ids += [*ids(step), STEP_END]
        positions.append(len(token_ids) - 1)
    return PrmInput(tuple(token_ids), tuple(positions))


def decode(question: str, token_ids: Sequence[int]) -> list[str]:
    """Inverse of ``encode``: the steps."""
    ends = [i for i, token in enumerate(token_ids) if token == STEP_END]
    starts = [len(question), *(end + 1 for end in ends)]
    return [text_of(token_ids[start:end]) for start, end in zip(starts, ends, strict=False)]


def _due(pending: list[Request], delays: random.Random | None) -> list[Request]:
    """Take out what finishes in this step: everything, or a random part in random order."""
    if delays is None:
        due = pending[:]
        pending.clear()
    else:
        now = [delays.random() < 0.3 for _ in pending]
        due = [request for request, done in zip(pending, now, strict=True) if done]
        pending[:] = [request for request, done in zip(pending, now, strict=True) if not done]
        delays.shuffle(due)
    return due


@dataclass
class FakePolicy:
    """Answers a request by ``respond(text so far, generator from its seed, request)``."""

    respond: Respond
    delays: random.Random | None = None
    dies_after: float = float("inf")
    overshoot: bool = False
    pending: list[SampleRequest] = field(default_factory=list)
    log: list[SampleRequest] = field(default_factory=list)
    peak: int = 0
    n_collected: int = 0
    seconds: float = 0.0

    def submit(self, request: SampleRequest) -> None:
        assert request.max_tokens >= 1
        self.pending.append(request)
        self.log.append(request)
        self.peak = max(self.peak, len(self.pending))

    @property
    def unfinished(self) -> int:
        return len(self.pending)

    def collect(self) -> list[Completion]:
        due = _due(self.pending, self.delays)
        answers = [self._answer(request) for request in due]
        self.n_collected += len(answers)
        if self.n_collected > self.dies_after:
            raise ConnectionError("the engine died")
        return answers

    def _answer(self, request: SampleRequest) -> Completion:
        so_far = text_of(request.prompt_ids).split("|", 1)[1]
        text, reason = self.respond(so_far, random.Random(request.seed), request)
        token_ids = ids(text)
        if reason == "eos":
            token_ids += (EOS,)
        elif reason == "stop" and self.overshoot:
            token_ids = (*token_ids[:-1], OVERSHOOT)
        return Completion(
            key=request.key,
            text=text,
            token_ids=token_ids,
            finish_reason=reason,
            logprob_sum=-float(len(text)) if request.wants_logprob else None,
            n_prompt_tokens=len(request.prompt_ids),
            n_cached_tokens=len(request.prompt_ids) // 2,
        )


@dataclass
class FakePrm:
    """Scores step i by ``margin(steps[: i + 1])``, read back from the ids."""

    margin: Callable[[tuple[str, ...]], float]
    delays: random.Random | None = None
    pending: list[ScoreRequest] = field(default_factory=list)
    log: list[ScoreRequest] = field(default_factory=list)
    peak: int = 0
    seconds: float = 0.0

    def submit(self, request: ScoreRequest) -> None:
        self.pending.append(request)
        self.log.append(request)
        self.peak = max(self.peak, len(self.pending))

    @property
    def unfinished(self) -> int:
        return len(self.pending)

    def collect(self) -> list[ScoreResult]:
        return [self._answer(request) for request in _due(self.pending, self.delays)]

    def _answer(self, request: ScoreRequest) -> ScoreResult:
        question = text_of(request.token_ids).split("?", 1)[0] + "?"
        margins = tuple(
            self.margin(tuple(decode(question, request.token_ids[: position + 1])))
            for position in request.positions
        )
        return ScoreResult(request.key, margins, len(request.token_ids), 1)


def wild_respond(
    _so_far: str, generator: random.Random, request: SampleRequest
) -> tuple[str, FinishReason]:
    """Everything that a policy may do, at random: end, repeat, run on, say nothing."""
    kind = generator.random()
    word = generator.choice("xyzw") * generator.randint(1, 3)
    if len(word) > request.max_tokens - 2:
        return word[: request.max_tokens], "length"
    if kind < 0.1:
        return "\n\n", "stop"
    if kind < 0.2:
        return word, "length"
    if kind < 0.23:
        return "", "eos"
    if kind < 0.35:
        return word, "eos"
    if kind < 0.4:
        return f" {word}\\boxed{{}}\n\n"[: request.max_tokens], "stop"
    return f"{word}\n\n", "stop"


def coarse_margin(steps: tuple[str, ...]) -> float:
    """Many ties."""
    return float(sum(map(len, steps)) % 3)


def ignore(_result: object) -> None:
    """Receive a result."""


SETTINGS = SearchSettings(
    spec_digest="spec",
    temperature=0.7,
    top_p=1.0,
    top_k=-1,
    max_tokens=8192,
    context=8192,
    max_step_tokens=2048,
    beam_width=4,
    max_steps=40,
    prm_context=100_000,
)


def search(
    respond: Respond,
    margin: Callable[[tuple[str, ...]], float],
    *,
    budgets: tuple[int, ...] = (),
    subtrees: range = range(0),
    problems: int | list[Problem] = 1,
    settings: SearchSettings = SETTINGS,
    common: CommonAnswers | None = None,
) -> tuple[list[SearchResult], FakePolicy, FakePrm]:
    policy, prm = FakePolicy(respond), FakePrm(margin)
    results: list[SearchResult] = []
    everyone = [problem(i) for i in range(problems)] if isinstance(problems, int) else problems
    searches = [
        beam_search(p, prompt_ids(p), budget, settings, encode)
        for p in everyone
        for budget in budgets
    ]
    if subtrees:
        searches += [dvts(p, prompt_ids(p), subtrees, settings, encode) for p in everyone]
    run(
        searches,
        sampling=policy,
        scoring=prm,
        on_finished=results.append,
        max_in_flight=10**6,
        common=common,
    )
    return results, policy, prm
