"""Answers that searches have in common: what one has asked for, no other asks an engine again.

Searches of one policy on one problem ask for the same sample wherever they have said the same so
far (``tree.py``), whatever their PRM, method and budget; those of one PRM also have scores in
common. Here answers are remembered by the identity of their request: within a run, and, for
samples, beyond it, in whatever ``load`` and ``save`` stand for. The first answer counts. To forget
one costs time and, as far as the engine is reproducible, changes no result.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol, TypeVar

from compute_optimal.engines.requests import (
    Completion,
    FinishReason,
    SampleRequest,
    ScoreRequest,
    ScoreResult,
)

RequestContra = TypeVar("RequestContra", contravariant=True)
AnswerT = TypeVar("AnswerT")

Place = tuple[str, int, int]
"""History, attempt and number: which draw of a problem."""


class Drawn(NamedTuple):
    """One remembered sample. Ids are packed: thousands are held at once."""

    text: str
    token_ids: array[int]
    finish_reason: FinishReason


Load = Callable[[str], Iterable[tuple[Place, Drawn]]]
"""Problem hash to what was drawn in earlier runs."""

Save = Callable[[str, Mapping[Place, Drawn]], None]
"""Takes what a run has drawn of a problem (hash) and earlier ones had not."""


class Memory(Protocol[RequestContra, AnswerT]):
    """Answers by the identity of their requests, which must have one."""

    def recall(self, request: RequestContra) -> AnswerT | None:
        """The answer that an equal request got, as an answer to this one; None if none did."""

    def remember(self, request: RequestContra, answer: AnswerT) -> None:
        """Take an answer that an engine gave."""


class CommonAnswers:
    """The answers that the searches of one policy and PRM have in common.

    Holds those of a problem from its first request until it is forgotten.
    """

    def __init__(self, load: Load = lambda _: (), save: Save = lambda _, __: None) -> None:
        self._draws, self._scores = _Draws(load, save), _Scores()

    @property
    def draws(self) -> Memory[SampleRequest, Completion]:
        """Samples of the policy."""
        return self._draws

    @property
    def scores(self) -> Memory[ScoreRequest, ScoreResult]:
        """Scores of the PRM."""
        return self._scores

    def forget(self, problem_hash: str) -> None:
        """Save what was drawn of a problem that no search will ask about, and free its memory."""
        self._draws.forget(problem_hash)
        self._scores.forget(problem_hash)

    def forget_all(self) -> None:
        """Save what was drawn of problems that are not forgotten yet, and free their memory."""
        for problem_hash in self._draws.problems:
            self.forget(problem_hash)


class _Draws:
    def __init__(self, load: Load, save: Save) -> None:
        self._load, self._save = load, save
        self._known: dict[str, dict[Place, Drawn]] = {}
        self._new: dict[str, list[Place]] = {}

    @property
    def problems(self) -> list[str]:
        return list(self._known)

    def recall(self, request: SampleRequest) -> Completion | None:
        assert request.identity is not None
        drawn = self._of(request.identity.problem_hash).get(request.identity[2:])
        if drawn is None:
            return None
        n_prompt = len(request.prompt_ids)
        return Completion(
            key=request.key,
            text=drawn.text,
            token_ids=tuple(drawn.token_ids),
            finish_reason=drawn.finish_reason,
            logprob_sum=None,
            n_prompt_tokens=n_prompt,
            n_cached_tokens=n_prompt,
            shared=True,
        )

    def remember(self, request: SampleRequest, answer: Completion) -> None:
        assert request.identity is not None
        problem_hash, place = request.identity.problem_hash, request.identity[2:]
        drawn = Drawn(answer.text, array("I", answer.token_ids), answer.finish_reason)
        self._of(problem_hash)[place] = drawn
        self._new.setdefault(problem_hash, []).append(place)

    def forget(self, problem_hash: str) -> None:
        known = self._known.get(problem_hash, {})
        if new := self._new.get(problem_hash):
            self._save(problem_hash, {place: known[place] for place in new})
        self._known.pop(problem_hash, None)
        self._new.pop(problem_hash, None)

    def _of(self, problem_hash: str) -> dict[Place, Drawn]:
        if problem_hash not in self._known:
            self._known[problem_hash] = dict(self._load(problem_hash))
        return self._known[problem_hash]


class _Scores:
    def __init__(self) -> None:
        self._known: dict[str, dict[bytes, tuple[array[float], int, int]]] = {}

    def recall(self, request: ScoreRequest) -> ScoreResult | None:
        assert request.identity is not None
        problem_hash, content = request.identity
        kept = self._known.get(problem_hash, {}).get(content)
        if kept is None:
            return None
        margins, n_tokens, n_cached = kept
        return ScoreResult(request.key, tuple(margins), n_tokens, n_cached, shared=True)

    def remember(self, request: ScoreRequest, answer: ScoreResult) -> None:
        assert request.identity is not None
        problem_hash, content = request.identity
        kept = (array("d", answer.margins), answer.n_tokens, answer.n_cached_tokens)
        self._known.setdefault(problem_hash, {})[content] = kept

    def forget(self, problem_hash: str) -> None:
        self._known.pop(problem_hash, None)
