"""Settings that a search needs, and the records it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from compute_optimal.engines.requests import FinishReason
from compute_optimal.prms import PrmInput

Encode = Callable[[str, Sequence[str]], PrmInput]
"""Question and steps to a PRM's input, one position a step. Pure."""

Fate = Literal["kept", "pruned", "duplicate", "truncated", "empty", "over_context"]
"""What became of a generated node.

kept: entered the beam; pruned: had a score and lost; duplicate: a sibling with its text stands for
it; truncated: cut at the token limit; empty: nothing but white space; over_context: the PRM's
context is too short to score it.
"""

EndedBy = Literal["eos", "boxed", "max_steps", "stuck", "length", "unfinished"]
"""Why a path is as long as it is.

eos: end-of-sequence token; boxed: a step with a boxed answer; max_steps: the limit on steps;
length: no tokens left, or a step cut at its limit that was taken all the same; stuck: no
usable continuation after all attempts, so the path counts as it stands; unfinished: a sibling of
its subtree's last step that had not ended (only search-and-learn's DVTS returns such).
"""


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How a policy is sampled. ``spec_digest`` ties every seed to the spec of the pool, or of the
    draws that searches have in common.

    ``max_tokens`` bounds the generated tokens of a whole solution, ``context`` those of prompt and
    solution together.
    """

    spec_digest: str
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    context: int


@dataclass(frozen=True, slots=True)
class SearchSettings(SamplingSettings):
    """How a policy is searched: also the beam width M, the limits on steps, and the PRM's context.

    ``max_step_tokens`` bounds the generated tokens of one step, ``max_steps`` the steps of a path.
    """

    max_step_tokens: int
    beam_width: int
    max_steps: int
    prm_context: int
    variant: Literal["paper", "search-and-learn"] = "paper"


@dataclass(frozen=True, slots=True)
class Node:
    """One sample that a search drew, used or not. Numbered within its subtree, parents first.

    ``parent`` is None for a first step. ``text`` is as generated, ``n_tokens`` generated for it
    (characters and tokens after the stop string: see ``Completion``). ``margin`` is the PRM's
    logit margin of its last step, None where it was not scored. ``finished``: the path ends here,
    or would have, had it been kept.
    """

    subtree: int
    depth: int
    node: int
    parent: int | None
    text: str
    margin: float | None
    n_tokens: int
    fate: Fate
    finished: bool
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True)
class Path:
    """One answer of a search, best understood as a solution with a margin for each of its steps.

    ``text`` is the stripped steps joined by the step delimiter: ``split_steps(text)`` has as many
    entries as ``margins``, both none if the search found no first step. ``leaf`` is the number of
    the last node (None then); ``n_tokens`` were generated along the path.
    """

    subtree: int
    path: int
    leaf: int | None
    text: str
    margins: tuple[float, ...]
    n_tokens: int
    ended_by: EndedBy


@dataclass(slots=True)
class Ledger:
    """What one unit cost, in tokens and requests: a sample, the scores of one, or a tree.

    ``discarded_tokens`` of the ``generated_tokens`` are in no answer. Prompt and PRM tokens are
    split into those computed and those read from a prefix cache; this split depends on what else
    the engine was serving, so it is a measurement and not part of the reproducible result.

    All counts are what this unit would cost on its own, but one: prompts of shared samples count
    as cached, though on its own a part of them would be computed (``engine_rates.sql`` reckons it).
    ``shared_tokens`` of the generated and ``prm_tokens_shared`` of the computed PRM tokens cost
    nothing, because another unit had asked for the same: which of two that is depends on the order
    of their requests.
    """

    subtree: int = 0
    sample_requests: int = 0
    generated_tokens: int = 0
    shared_tokens: int = 0
    discarded_tokens: int = 0
    prompt_tokens_computed: int = 0
    prompt_tokens_cached: int = 0
    score_requests: int = 0
    prm_tokens_computed: int = 0
    prm_tokens_cached: int = 0
    prm_tokens_shared: int = 0
    over_context: int = 0


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Everything a search of one problem leaves behind; one ledger for each subtree, in order.

    ``budget`` is None for DVTS, whose subtrees do not depend on N.
    """

    problem_id: str
    problem_hash: str
    method: str
    budget: int | None
    nodes: tuple[Node, ...]
    paths: tuple[Path, ...]
    ledgers: tuple[Ledger, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """One complete solution drawn independently of all others."""

    sample_index: int
    text: str
    text_hash: str
    n_tokens: int
    n_prompt_tokens: int
    finish_reason: FinishReason
    logprob_sum: float


@dataclass(frozen=True, slots=True)
class PoolResult:
    """Samples of one problem, in ascending order of their index, and what each cost."""

    problem_id: str
    problem_hash: str
    samples: tuple[Sample, ...]
    ledgers: tuple[Ledger, ...]


@dataclass(frozen=True, slots=True)
class StepScores:
    """Margins of one sample's steps; none unless ``status`` is "scored".

    ``text_hash`` says which text they are of (``spec.text_hash``). empty: the sample has no steps;
    over_context: the PRM's context is too short for it.
    """

    sample_index: int
    text_hash: str
    margins: tuple[float, ...]
    status: Literal["scored", "empty", "over_context"]


@dataclass(frozen=True, slots=True)
class ScoresResult:
    """Step scores of one problem's samples, in ascending order of index, and what each cost."""

    problem_id: str
    problem_hash: str
    scores: tuple[StepScores, ...]
    ledgers: tuple[Ledger, ...]
