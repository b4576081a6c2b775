"""Pools of independent samples, and the PRM's scores of their steps.

One pool serves greedy or sampled CoT, majority voting and best-of-N at every N; best-of-N scores
each sample once, all steps in one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from compute_optimal.engines.requests import Completion, SampleRequest, ScoreRequest, ScoreResult
from compute_optimal.policies.steps import split_steps
from compute_optimal.search.driver import Requests
from compute_optimal.search.records import (
    Encode,
    Ledger,
    PoolResult,
    Sample,
    SamplingSettings,
    ScoresResult,
    StepScores,
)
from compute_optimal.search.tree import check_context, check_margins, encode_checked
from compute_optimal.study.spec import seed_of_sample, text_hash
from compute_optimal.tasks import Problem


class PoolDraw:
    """Draws samples of one problem; see ``draw``."""

    def __init__(
        self,
        problem: Problem,
        prompt_ids: tuple[int, ...],
        sample_indices: Iterable[int],
        settings: SamplingSettings,
    ) -> None:
        self._problem, self._prompt_ids, self._settings = problem, prompt_ids, settings
        check_context(problem, prompt_ids, settings)
        self._room = min(settings.max_tokens, settings.context - len(prompt_ids))
        self._keys = {
            (settings.spec_digest, problem.problem_hash, index): index for index in sample_indices
        }
        self._samples: dict[int, tuple[Sample, Ledger]] = {}

    def start(self) -> Requests:
        settings = self._settings
        return [
            SampleRequest(
                key=key,
                prompt_ids=self._prompt_ids,
                seed=seed_of_sample(*key),
                max_tokens=self._room,
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=settings.top_k,
                wants_logprob=True,
            )
            for key in self._keys
        ]

    def accept(self, answer: Completion | ScoreResult) -> Requests:
        key = answer.key
        assert isinstance(answer, Completion)
        assert isinstance(key, tuple)
        assert answer.logprob_sum is not None
        index = self._keys[key]
        sample = Sample(
            sample_index=index,
            text=answer.text,
            text_hash=text_hash(answer.text),
            n_tokens=len(answer.token_ids),
            n_prompt_tokens=answer.n_prompt_tokens,
            finish_reason=answer.finish_reason,
            logprob_sum=answer.logprob_sum,
        )
        ledger = Ledger(
            sample_requests=1,
            generated_tokens=len(answer.token_ids),
            prompt_tokens_computed=answer.n_prompt_tokens - answer.n_cached_tokens,
            prompt_tokens_cached=answer.n_cached_tokens,
        )
        self._samples[index] = sample, ledger
        return []

    @property
    def finished(self) -> bool:
        return len(self._samples) == len(self._keys)

    def result(self) -> PoolResult:
        drawn = [self._samples[index] for index in sorted(self._samples)]
        return PoolResult(
            self._problem.problem_id,
            self._problem.problem_hash,
            tuple(sample for sample, _ in drawn),
            tuple(ledger for _, ledger in drawn),
        )


def draw(
    problem: Problem,
    prompt_ids: tuple[int, ...],
    sample_indices: Iterable[int],
    settings: SamplingSettings,
) -> PoolDraw:
    """Samples of one problem, one request each; a sample depends on its index only.

    A longer pool therefore costs the new indices, and a greedy answer is index 0 at temperature 0.
    Raises ``StudyError`` where the prompt fills the context.
    """
    return PoolDraw(problem, prompt_ids, sample_indices, settings)


class PoolScoring:
    """Scores samples of one problem; see ``score_samples``."""

    def __init__(
        self, problem: Problem, texts: Mapping[int, str], encode: Encode, *, prm_context: int
    ) -> None:
        self._problem, self._encode, self._prm_context = problem, encode, prm_context
        self._steps = {index: tuple(split_steps(text)) for index, text in sorted(texts.items())}
        self._hashes = {index: text_hash(text) for index, text in texts.items()}
        self._scores: dict[tuple[str, ...], ScoreResult] = {}
        self._n_awaited = 0

    def start(self) -> Requests:
        requests: Requests = []
        # Samples with the same steps share one pass.
        for steps, index in {steps: index for index, steps in self._steps.items()}.items():
            if not steps:
                continue
            prm_input = encode_checked(self._encode, self._problem, steps)
            if len(prm_input.token_ids) <= self._prm_context:
                key = (self._problem.problem_hash, "step_scores", index)
                requests.append(ScoreRequest(key, prm_input.token_ids, prm_input.positions))
        self._n_awaited = len(requests)
        return requests

    def accept(self, answer: Completion | ScoreResult) -> Requests:
        assert isinstance(answer, ScoreResult)
        assert isinstance(answer.key, tuple)
        steps = self._steps[answer.key[-1]]
        check_margins(answer.margins, len(steps), self._problem)
        self._scores[steps] = answer
        self._n_awaited -= 1
        return []

    @property
    def finished(self) -> bool:
        return not self._n_awaited

    def result(self) -> ScoresResult:
        scores, ledgers = [], []
        read: set[tuple[str, ...]] = set()
        for index, steps in self._steps.items():
            answer = self._scores.get(steps)
            status: Literal["scored", "empty", "over_context"] = "scored"
            if answer is None:
                status = "over_context" if steps else "empty"
            margins = answer.margins if answer else ()
            scores.append(StepScores(index, self._hashes[index], margins, status))
            ledgers.append(self._cost(answer, shared=steps in read, status=status))
            read.add(steps)
        return ScoresResult(
            self._problem.problem_id, self._problem.problem_hash, tuple(scores), tuple(ledgers)
        )

    @staticmethod
    def _cost(answer: ScoreResult | None, *, shared: bool, status: str) -> Ledger:
        if answer is None:
            return Ledger(over_context=int(status == "over_context"))
        n_computed = answer.n_tokens - answer.n_cached_tokens
        return Ledger(
            score_requests=1,
            prm_tokens_computed=n_computed,
            prm_tokens_cached=answer.n_cached_tokens,
            prm_tokens_shared=n_computed if shared else 0,
        )


def score_samples(
    problem: Problem, texts: Mapping[int, str], encode: Encode, *, prm_context: int
) -> PoolScoring:
    """Step scores of samples of one problem (index to text), each in one pass of the PRM.

    Samples without steps and samples longer than the PRM's context (in tokens) get no scores and
    a status that says so. Raises ``StudyError`` (while it runs) where the number of positions or
    scores is not the number of steps.
    """
    return PoolScoring(problem, texts, encode, prm_context=prm_context)
