"""One loop that serves many searches, a policy and a PRM at once.

Requests of different problems, depths and budgets mix in the engines: a problem waits only for its
own rounds, never for another problem. Which requests run together never changes a result, because
each carries its own seed and a search decides only on complete rounds.

Searches that ask for the same get one answer, if the run is given the answers in common.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import count
from typing import Generic, Protocol, TypeVar

from compute_optimal.engines.requests import (
    Completion,
    SampleRequest,
    SamplingEngine,
    ScoreRequest,
    ScoreResult,
    ScoringEngine,
)
from compute_optimal.errors import StudyError
from compute_optimal.search.common_answers import CommonAnswers, Memory

Result = TypeVar("Result")
ResultCo = TypeVar("ResultCo", covariant=True)
RequestT = TypeVar("RequestT", bound=SampleRequest | ScoreRequest)
RequestContra = TypeVar("RequestContra", contravariant=True)
AnswerT = TypeVar("AnswerT", bound=Completion | ScoreResult)
AnswerCo = TypeVar("AnswerCo", covariant=True)

Requests = list[SampleRequest | ScoreRequest]


class Search(Protocol[ResultCo]):
    """A state machine for one problem: answers in, requests out.

    The keys of its requests are unique over all searches of a run; answers come in any order.
    """

    def start(self) -> Requests:
        """The first requests."""

    def accept(self, answer: Completion | ScoreResult) -> Requests:
        """Take an answer; the requests that it makes possible, often none."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to ask for."""

    def result(self) -> ResultCo:
        """What was found. Only to be asked once the search has finished."""


class _Engine(Protocol[RequestContra, AnswerCo]):
    def submit(self, request: RequestContra) -> None: ...
    def collect(self) -> Sequence[AnswerCo]: ...
    @property
    def unfinished(self) -> int: ...


class _Lane(Generic[RequestT, AnswerT, Result]):
    """One engine with the requests that wait for it, those of the earliest problem first."""

    def __init__(
        self,
        engine: _Engine[RequestT, AnswerT],
        bound: int,
        memory: Memory[RequestT, AnswerT] | None,
    ) -> None:
        self._engine, self._bound, self._memory = engine, bound, memory
        self._waiting: list[tuple[int, int, RequestT, Search[Result]]] = []
        self._numbers = count()
        self._owners: dict[Hashable, tuple[int, Search[Result], RequestT]] = {}
        self._twins: dict[Hashable, list[tuple[int, Search[Result], RequestT]]] = {}
        self._keys_of_twins: set[Hashable] = set()

    @property
    def in_flight(self) -> int:
        return len(self._owners)

    @property
    def live(self) -> int:
        return len(self._owners) + len(self._waiting)

    def put(self, order: int, request: RequestT, search: Search[Result]) -> None:
        heapq.heappush(self._waiting, (order, next(self._numbers), request, search))

    def fill(self) -> list[tuple[int, Search[Result], AnswerT]]:
        """Give the engine what it has room for; answers that are known without asking it."""
        known = []
        while self._waiting and len(self._owners) < self._bound:
            order, _, request, search = heapq.heappop(self._waiting)
            if request.key in self._owners or request.key in self._keys_of_twins:
                raise StudyError(
                    "The same search was started twice in one run.",
                    where=f"request {request.key!r}",
                    cure="Give each problem once: problems with the same text are one problem.",
                )
            identity = request.identity
            if self._memory is not None and identity is not None:
                if (twins := self._twins.get(identity)) is not None:
                    twins.append((order, search, request))
                    self._keys_of_twins.add(request.key)
                    continue
                if (answer := self._memory.recall(request)) is not None:
                    known.append((order, search, answer))
                    continue
                self._twins[identity] = []
            self._engine.submit(request)
            self._owners[request.key] = (order, search, request)
        return known

    def collect(self) -> list[tuple[int, Search[Result], AnswerT]]:
        answers = self._engine.collect()
        unknown = [answer.key for answer in answers if answer.key not in self._owners]
        if unknown:
            raise RuntimeError(f"the engine answered a request it was not given: {unknown[0]!r}")
        if not answers and self._owners and not self._engine.unfinished:
            raise RuntimeError(f"the engine lost {len(self._owners)} requests")
        taken = []
        for answer in answers:
            order, search, request = self._owners.pop(answer.key)
            taken.append((order, search, answer))
            if self._memory is not None and request.identity is not None:
                self._memory.remember(request, answer)
                for order_, search_, twin in self._twins.pop(request.identity):
                    self._keys_of_twins.remove(twin.key)
                    same = self._memory.recall(twin)
                    assert same is not None
                    taken.append((order_, search_, same))
        return taken


def run(
    searches: Iterable[Search[Result]],
    *,
    sampling: SamplingEngine | None = None,
    scoring: ScoringEngine | None = None,
    on_finished: Callable[[Result], None],
    max_in_flight: int,
    score_batch: int = 1,
    common: CommonAnswers | None = None,
) -> None:
    """Serve searches to their end; ``on_finished`` gets each result the moment it is complete.

    ``searches`` is consumed lazily: the next one is started only while fewer than
    ``max_in_flight`` sample requests and as many score requests are live, that is, running or
    waiting; neither engine is ever given more than that at a time. Requests of the search started
    earliest go first, so that searches finish soon and free their memory.

    The PRM advances when it holds ``score_batch`` requests or the policy has nothing to do: more
    than one pays where both share a device, because a PRM step of a few tokens costs as much as
    one of many.

    With ``common``, a request that has the identity of an earlier one is answered as that was and
    reaches no engine; while the earlier one runs it waits, and is not counted as live.

    An exception of an engine or of ``on_finished`` passes through unchanged; all results complete
    by then have been delivered. Raises ``StudyError`` where a search needs an engine that was not
    given, where two searches are the same, and where ``max_in_flight`` is below 1.
    """
    if max_in_flight < 1:
        raise StudyError("The number of requests in flight must be at least 1.")
    policy: _Lane[SampleRequest, Completion, Result] | None = None
    prm: _Lane[ScoreRequest, ScoreResult, Result] | None = None
    if sampling is not None:
        policy = _Lane(sampling, max_in_flight, common.draws if common else None)
    if scoring is not None:
        prm = _Lane(scoring, max_in_flight, common.scores if common else None)
    lanes = [lane for lane in (policy, prm) if lane is not None]

    def put(order: int, search: Search[Result], requests: Requests) -> None:
        for request in requests:
            if isinstance(request, SampleRequest) and policy is not None:
                policy.put(order, request, search)
            elif isinstance(request, ScoreRequest) and prm is not None:
                prm.put(order, request, search)
            else:
                engine = "policy" if isinstance(request, SampleRequest) else "PRM"
                raise StudyError(f"This search needs a {engine}, and none was given.")
        if not requests and search.finished:
            on_finished(search.result())

    queue = enumerate(searches)
    exhausted = False
    while True:
        while not exhausted and all(lane.live < max_in_flight for lane in lanes):
            order_search = next(queue, None)
            if order_search is None:
                exhausted = True
            else:
                put(*order_search, order_search[1].start())
        if policy:
            while known := policy.fill():
                for order, search, completion in known:
                    put(order, search, search.accept(completion))
            if policy.in_flight:
                for order, search, completion in policy.collect():
                    put(order, search, search.accept(completion))
        if prm:
            while known_scores := prm.fill():
                for order, search, scores in known_scores:
                    put(order, search, search.accept(scores))
            starved = policy is None or not policy.in_flight
            if prm.in_flight and (starved or prm.in_flight >= min(score_batch, max_in_flight)):
                for order, search, scores in prm.collect():
                    put(order, search, search.accept(scores))
        if exhausted and not any(lane.live for lane in lanes):
            return
