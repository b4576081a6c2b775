"""What searches and scorers say to an engine, and what an engine answers. No torch, no vLLM.

An engine is a stream: ``submit`` puts a request in and returns at once, ``collect`` advances the
engine by one scheduler step and hands over what finished in it. Nothing waits for the slowest
request, and results arrive in order of finishing: match them by ``key``.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

FinishReason = Literal["eos", "stop", "length"]


class DrawIdentity(NamedTuple):
    """Which sample of all that a policy could draw: two requests with one identity have one answer.

    ``draws``: digest of the spec of the draws; ``history``: digest of what was generated before, in
    hexadecimal; ``number``: the samples of one history and attempt are independent of each other.
    """

    draws: str
    problem_hash: str
    history: str
    attempt: int
    number: int


class ScoreIdentity(NamedTuple):
    """Which input of a PRM: ``content`` is a digest of its ids and positions."""

    problem_hash: str
    content: bytes


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """One continuation of ``prompt_ids``, drawn with its own seed.

    ``max_tokens`` counts generated tokens; ``top_k`` is -1 for off; ``temperature`` 0 is greedy.
    Generation also ends after the first of the ``stop`` strings, which the text then includes.
    ``wants_logprob`` asks for the sum of log-probabilities too: a tenth of a small model's time.
    ``identity`` is None where no other request can ask for the same.
    """

    key: Hashable
    prompt_ids: tuple[int, ...]
    seed: int
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    stop: tuple[str, ...] = ()
    wants_logprob: bool = False
    identity: DrawIdentity | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What was generated for one request.

    ``token_ids`` are the ids as generated, ``text`` ends with the stop string that ended it. The
    last id may carry characters beyond the stop string (143 ids of Qwen2.5 and as many of Llama 3
    begin with, or contain, a blank line and go on): the text is cut there, the ids are not, so
    that ``prompt_ids + token_ids`` continues exactly what the policy wrote. An end-of-sequence
    token is in ``token_ids``, never in ``text``.

    ``finish_reason``: "eos" is an end-of-sequence token, "stop" a stop string, "length" means that
    ``max_tokens`` or the context was reached. ``logprob_sum`` is the sum of the natural logarithms
    of the probabilities of ``token_ids`` under the policy's own distribution (temperature 1); None
    where it was not asked for. ``n_cached_tokens`` of the ``n_prompt_tokens`` were read from the
    prefix cache. ``shared``: the engine did nothing, because another request had asked for the
    same.
    """

    key: Hashable
    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    logprob_sum: float | None
    n_prompt_tokens: int
    n_cached_tokens: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Score ``token_ids`` with a PRM at ``positions`` (ascending indices into ``token_ids``).

    What follows the last position is not read. Ask only for positions that are not known yet: a
    request for one alone can read the prefix that earlier requests left in the cache. ``identity``
    as for samples.
    """

    key: Hashable
    token_ids: tuple[int, ...]
    positions: tuple[int, ...]
    identity: ScoreIdentity | None = None


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """One margin a position: logit(good) - logit(bad) in float32; its sigmoid is the probability.

    ``n_tokens`` is the length of the input up to the last position; ``n_cached_tokens`` of them
    were not computed anew. ``shared`` as for samples; the counts are those of the first request.
    """

    key: Hashable
    margins: tuple[float, ...]
    n_tokens: int
    n_cached_tokens: int
    shared: bool = False


class SamplingEngine(Protocol):
    """A policy that draws continuations."""

    def submit(self, request: SampleRequest) -> None:
        """Queue a request. Raises ``StudyError`` when it can never run (no prompt, parameters).

        A prompt that fills the context is answered with no tokens, for the reason "length".
        """

    def collect(self) -> list[Completion]:
        """Advance by one scheduler step; what finished in it, possibly nothing.

        Raises ``StudyError`` when the engine broke; what finished before has been handed over.
        """

    @property
    def unfinished(self) -> int:
        """Requests submitted and not yet collected."""

    @property
    def seconds(self) -> float:
        """Wall time spent inside ``submit`` and ``collect`` so far."""


class ScoringEngine(Protocol):
    """A PRM that scores steps."""

    def submit(self, request: ScoreRequest) -> None:
        """Queue a request. Raises ``StudyError`` when it can never run (length, positions)."""

    def collect(self) -> list[ScoreResult]:
        """Advance by one scheduler step; what finished in it, possibly nothing.

        Raises ``StudyError`` when the engine broke; what finished before has been handed over.
        """

    @property
    def unfinished(self) -> int:
        """Requests submitted and not yet collected."""

    @property
    def seconds(self) -> float:
        """Wall time spent inside ``submit`` and ``collect`` so far."""
