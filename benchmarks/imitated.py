"""Engines without models, and a study's searches of one problem: for benchmarks of bookkeeping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar

from compute_optimal.engines.requests import SampleRequest, ScoreRequest
from compute_optimal.search import Search, SearchResult, SearchSettings, beam_search, dvts
from compute_optimal.tasks import Problem

RequestT = TypeVar("RequestT", SampleRequest, ScoreRequest)


class Imitation(Generic[RequestT]):
    """Holds requests until they are taken; a subclass answers them in ``collect``."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._pending: list[RequestT] = []

    @property
    def unfinished(self) -> int:
        return len(self._pending)

    def submit(self, request: RequestT) -> None:
        self._pending.append(request)

    def _take(self, n: int) -> list[RequestT]:
        taken, self._pending = self._pending[:n], self._pending[n:]
        return taken


def search_settings(spec_digest: str) -> SearchSettings:
    """The paper's, without a limit by the PRM's context."""
    return SearchSettings(spec_digest, 0.7, 1.0, -1, 8192, 8192, 2048, 4, 40, 10**6)


def searches_of(
    problem: Problem,
    prompt: tuple[int, ...],
    beams: Sequence[int],
    dvts_budget: int | None,
    settings: SearchSettings,
    encode: Any,
) -> Iterator[Search[SearchResult]]:
    """Beam search at each of the budgets ``beams``, then DVTS, if at all, at its largest."""
    for budget in beams:
        yield beam_search(problem, prompt, budget, settings, encode)
    if dvts_budget is not None:
        yield dvts(problem, prompt, range(dvts_budget // settings.beam_width), settings, encode)
