"""How a search tree grows: samples become scored candidates, candidates become a beam.

``Tree`` holds what every variant shares: expansion of the kept nodes, checks on samples, scoring,
rounds, records. ``Rules`` holds what sets the variants apart. ``TreeSearch`` makes one search, as
the driver wants it, of one tree (beam search) or of several independent ones (DVTS).

A sample depends on what was said before it and on its number: its seed is hashed from (draws,
problem, digest of the generated ids, attempt, number), and all decisions wait for complete rounds,
so a tree is the same for any batch composition, order of answers, shard and resume. PRM, method
and budget are not part of it: searches that have said the same so far ask for the same samples, and
can have them in common (``common_answers.py``).

Within one search no sample is asked for twice, so each search by itself draws independently:

- first steps are numbered through: a beam search takes 0 ... N - 1, subtree s of DVTS the M from
  s M on;
- below, a path takes the M numbers among which its first step was, so that subtrees which say the
  same stay apart, and a beam and a subtree that hold the same path draw the same. No two paths of
  one beam say the same: of equal siblings one is kept.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from compute_optimal.engines.requests import (
    Completion,
    DrawIdentity,
    FinishReason,
    SampleRequest,
    ScoreIdentity,
    ScoreRequest,
    ScoreResult,
)
from compute_optimal.errors import StudyError
from compute_optimal.policies.steps import STEP_DELIMITER, split_steps
from compute_optimal.prms import PrmInput
from compute_optimal.search.driver import Requests
from compute_optimal.search.records import (
    Encode,
    EndedBy,
    Fate,
    Ledger,
    Node,
    Path,
    SamplingSettings,
    SearchResult,
    SearchSettings,
)
from compute_optimal.study.spec import seed_for
from compute_optimal.tasks import Problem


@dataclass(slots=True, eq=False)
class Branch:
    """A node of a tree that is still growing; the root stands for the prompt.

    ``lineage`` is the child indices from the root ("3.0.2"). ``prompt_ids`` are all ids up to and
    with this node, there only while it is expanded; ``token_ids`` are its own, there until its
    fate is known. ``steps`` is one stripped step, none (white space only), or several where no
    stop string was set. ``n_path_tokens`` counts generated tokens from the root to here.
    ``history`` is a digest of these, there once the node is expanded, and ``first_draw`` the number
    from which on its children are drawn.
    """

    parent: Branch | None
    lineage: str
    child: int = 0
    depth: int = 0
    tie_break: int = 0
    text: str = ""
    steps: tuple[str, ...] = ()
    finish_reason: FinishReason = "stop"
    token_ids: tuple[int, ...] = ()
    n_tokens: int = 0
    n_path_tokens: int = 0
    prompt_ids: tuple[int, ...] = ()
    history: str = ""
    first_draw: int = 0
    margins: tuple[float, ...] = ()
    fate: Fate = "pruned"
    ended_by: EndedBy | None = None
    number: int | None = None

    @property
    def score(self) -> float:
        """prm_last: the margin of the last step of the path, minus infinity if it has none."""
        branch: Branch | None = self
        while branch is not None and not branch.margins:
            branch = branch.parent
        return -math.inf if branch is None else branch.margins[-1]

    def path(self) -> list[Branch]:
        """The nodes from the first step to this one."""
        nodes: list[Branch] = []
        branch = self
        while branch.parent is not None:
            nodes.append(branch)
            branch = branch.parent
        return nodes[::-1]

    def path_steps(self) -> list[str]:
        """The steps from the first one to this node's."""
        return [step for node in self.path() for step in node.steps]


def best(candidates: Iterable[Branch], k: int) -> list[Branch]:
    """The k candidates with the highest score, best first.

    Ties go to the lower of two numbers hashed as the candidates' seeds are: neither to the first
    seen nor to the leftmost, which would favour some subtrees, but always the same way.
    """
    return heapq.nsmallest(
        k, candidates, key=lambda branch: (-branch.score, branch.tie_break, branch.lineage)
    )


class Rules(Protocol):
    """What sets the variants of a search apart.

    ``attempts``: requests for a node's children before the path is ended as it stands.
    ``drops_duplicates``: of siblings with one text one is dropped, however each of them ended.
    """

    attempts: ClassVar[int]
    drops_duplicates: ClassVar[bool]

    def stop(self, depth: int) -> tuple[str, ...]:
        """Stop strings for a sample at this depth (1 = first step)."""

    def flaw(self, branch: Branch, forced: bool) -> Fate | None:
        """Why a sample cannot be a candidate and is not worth a score; None if it can be one."""

    def ended_by(self, branch: Branch) -> EndedBy | None:
        """Whether a candidate ends its path by what it says (limits are the tree's business)."""

    def select(self, candidates: list[Branch], n_finished: int) -> list[Branch]:
        """The candidates of a round to keep, in the order in which they shall finish or go on.

        ``n_finished`` paths have finished in earlier rounds. May set the fate of those it does
        not keep to something other than "pruned".
        """

    def allot(self, n_survivors: int) -> list[int]:
        """How many samples each survivor of a round is expanded into."""

    def answers(self, finished: list[Branch], last_round: list[Branch]) -> list[Branch]:
        """The leaves of the returned paths: from those that finished and the last candidates."""


@dataclass(slots=True, eq=False)
class _Expansion:
    """The samples asked for below one parent, and the scores of their distinct texts.

    ``scores`` are None until they arrive, and stay None where the input is too long for the PRM.
    ``drawn`` are all samples, of earlier attempts too.
    """

    parent: Branch
    n_samples: int
    attempt: int = 0
    samples: dict[int, Branch] = field(default_factory=dict)
    scores: dict[tuple[str, ...], tuple[float, ...] | None] = field(default_factory=dict)
    n_awaited: int = 0
    drawn: list[Branch] = field(default_factory=list)
    candidates: list[Branch] = field(default_factory=list)

    @property
    def forced(self) -> bool:
        # A second request at the root takes whatever comes (official code: base_env.py:166-177).
        return self.parent.parent is None and self.attempt > 0


class Tree:
    """One search tree of one problem. ``label`` is the budget or subtree in keys."""

    def __init__(
        self,
        problem: Problem,
        prompt_ids: tuple[int, ...],
        settings: SearchSettings,
        encode: Encode,
        rules: Rules,
        *,
        method: str,
        label: int,
        subtree: int,
        n_first_steps: int,
    ) -> None:
        check_context(problem, prompt_ids, settings)
        self._problem, self._settings, self._subtree = problem, settings, subtree
        self._encode, self._rules = encode, rules
        self._place = (settings.spec_digest, problem.problem_hash, method, label)
        self._n_prompt_tokens, self._n_first_steps = len(prompt_ids), n_first_steps
        first_draw = subtree * settings.beam_width
        self._root = Branch(parent=None, lineage="", prompt_ids=prompt_ids, first_draw=first_draw)
        self._round: list[_Expansion] = []
        self._live: dict[str, _Expansion] = {}
        self._nodes: list[Branch] = []
        self._ended: list[Branch] = []
        self._last_round: list[Branch] = []
        self._ledger = Ledger(subtree=subtree)
        self.finished = False

    def start(self) -> Requests:
        return self._open_round([self._root], [self._n_first_steps])

    def accept(self, lineage: str, child: int, answer: Completion | ScoreResult) -> Requests:
        """Take the answer for a child of the node with this lineage."""
        expansion = self._live[lineage]
        requests: Requests = []
        if isinstance(answer, Completion):
            requests += self._take_sample(expansion, child, answer)
        else:
            self._take_scores(expansion, child, answer)
        expansion.n_awaited -= 1
        if not expansion.n_awaited:
            requests += self._close_expansion(expansion)
        return requests

    def records(self) -> tuple[list[Node], list[Path], Ledger]:
        """Nodes in order of their number, paths in order of finishing, and the cost."""
        leaves = self._rules.answers(self._ended, self._last_round)
        used = {id(node): node.n_tokens for leaf in leaves for node in leaf.path()}
        self._ledger.discarded_tokens = self._ledger.generated_tokens - sum(used.values())
        return (
            [self._node(branch) for branch in self._nodes],
            [self._path(index, leaf) for index, leaf in enumerate(leaves)],
            self._ledger,
        )

    # --- from the tree to the engines ----------------------------------------------------------

    def _room(self, branch: Branch) -> int:
        """Tokens that a continuation of this node may have."""
        settings = self._settings
        return min(
            settings.max_step_tokens,
            settings.max_tokens - branch.n_path_tokens,
            settings.context - self._n_prompt_tokens - branch.n_path_tokens,
        )

    def _open_round(self, parents: list[Branch], n_samples: list[int]) -> Requests:
        self._round = [_Expansion(parent, n) for parent, n in zip(parents, n_samples, strict=True)]
        self._live = {expansion.parent.lineage: expansion for expansion in self._round}
        return [request for expansion in self._round for request in self._ask(expansion)]

    def _ask(self, expansion: _Expansion) -> Requests:
        settings, parent = self._settings, expansion.parent
        expansion.n_awaited = expansion.n_samples
        self._ledger.sample_requests += expansion.n_samples
        stop, room = self._rules.stop(parent.depth + 1), self._room(parent)
        identities = [self._identity(expansion, child) for child in range(expansion.n_samples)]
        return [
            SampleRequest(
                key=(*self._place, parent.lineage, expansion.attempt, child),
                prompt_ids=parent.prompt_ids,
                seed=seed_for(*identity),
                max_tokens=room,
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=settings.top_k,
                stop=stop,
                identity=identity,
            )
            for child, identity in enumerate(identities)
        ]

    def _identity(self, expansion: _Expansion, child: int) -> DrawIdentity:
        return DrawIdentity(
            self._settings.spec_digest,
            self._problem.problem_hash,
            expansion.parent.history,
            expansion.attempt,
            expansion.parent.first_draw + child,
        )

    # --- from the engines to the tree ----------------------------------------------------------

    def _take_sample(self, expansion: _Expansion, child: int, sample: Completion) -> Requests:
        parent, n_tokens = expansion.parent, len(sample.token_ids)
        lineage = f"{parent.lineage}.{child}" if parent.lineage else str(child)
        first_draw = parent.first_draw
        if parent.parent is None:
            first_draw += child - child % self._settings.beam_width
        branch = expansion.samples[child] = Branch(
            parent=parent,
            lineage=lineage,
            child=child,
            depth=parent.depth + 1,
            text=sample.text,
            steps=tuple(split_steps(sample.text)),
            finish_reason=sample.finish_reason,
            token_ids=sample.token_ids,
            n_tokens=n_tokens,
            n_path_tokens=parent.n_path_tokens + n_tokens,
            first_draw=first_draw,
        )
        ledger = self._ledger
        ledger.generated_tokens += n_tokens
        ledger.shared_tokens += n_tokens if sample.shared else 0
        ledger.prompt_tokens_computed += sample.n_prompt_tokens - sample.n_cached_tokens
        ledger.prompt_tokens_cached += sample.n_cached_tokens
        flaw = self._rules.flaw(branch, expansion.forced)
        if flaw is not None:
            branch.fate = flaw
            return []
        # Equal siblings share one score; which of them asks for it does not matter.
        if not branch.steps or branch.steps in expansion.scores:
            return []
        prm_input = encode_checked(self._encode, self._problem, branch.path_steps())
        # ASSUME: what the PRM cannot read is no candidate; the official code has no rule for it.
        expansion.scores[branch.steps] = None
        if len(prm_input.token_ids) > self._settings.prm_context:
            return []
        expansion.n_awaited += 1
        self._ledger.score_requests += 1
        positions = prm_input.positions[-len(branch.steps) :]
        return [
            ScoreRequest(
                key=(*self._place, parent.lineage, expansion.attempt, child),
                token_ids=prm_input.token_ids,
                positions=positions,
                identity=ScoreIdentity(
                    self._problem.problem_hash,
                    _digest(prm_input.token_ids[: positions[-1] + 1], positions)[:16],
                ),
            )
        ]

    def _take_scores(self, expansion: _Expansion, child: int, scores: ScoreResult) -> None:
        branch = expansion.samples[child]
        check_margins(scores.margins, len(branch.steps), self._problem)
        expansion.scores[branch.steps] = scores.margins
        n_computed = scores.n_tokens - scores.n_cached_tokens
        self._ledger.prm_tokens_computed += n_computed
        self._ledger.prm_tokens_shared += n_computed if scores.shared else 0
        self._ledger.prm_tokens_cached += scores.n_cached_tokens

    def _close_expansion(self, expansion: _Expansion) -> Requests:
        samples = [branch for _, branch in sorted(expansion.samples.items())]
        seen: set[tuple[str, ...]] = set()
        # Of equal siblings the first stands, whether it ends the path or not; where the root takes
        # whatever comes, the last (official code: base_env.py:303-319, tree.py:487-501).
        for branch in reversed(samples) if expansion.forced else samples:
            if branch.fate != "pruned":
                continue
            margins = expansion.scores.get(branch.steps, ())
            if self._rules.drops_duplicates and branch.steps in seen:
                branch.fate = "duplicate"
            elif margins is None:
                branch.fate = "over_context"
                self._ledger.over_context += 1
            else:
                branch.margins = margins
                branch.tie_break = seed_for(*self._identity(expansion, branch.child), "tie")
                branch.ended_by = self._rules.ended_by(branch) or self._limit(branch)
                expansion.candidates.append(branch)
            seen.add(branch.steps)
        expansion.drawn += samples
        if not expansion.candidates and expansion.attempt + 1 < self._rules.attempts:
            expansion.samples, expansion.scores = {}, {}
            expansion.attempt += 1
            return self._ask(expansion)
        del self._live[expansion.parent.lineage]
        return [] if self._live else self._close_round()

    def _limit(self, branch: Branch) -> EndedBy | None:
        if branch.depth == self._settings.max_steps:
            return "max_steps"
        return "length" if self._room(branch) < 1 else None

    def _close_round(self) -> Requests:
        candidates = []
        for expansion in self._round:
            for branch in expansion.drawn:
                branch.number = len(self._nodes)
                self._nodes.append(branch)
            candidates += expansion.candidates
            if not expansion.candidates:
                expansion.parent.ended_by = "stuck"
                self._ended.append(expansion.parent)
        kept = self._rules.select(candidates, len(self._ended))
        survivors = []
        for branch in kept:
            branch.fate = "kept"
            if branch.ended_by:
                self._ended.append(branch)
            else:
                assert branch.parent is not None
                branch.prompt_ids = branch.parent.prompt_ids + branch.token_ids
                # By nodes, so that it also says how many steps were drawn.
                before = bytes.fromhex(branch.parent.history)
                branch.history = _digest(before, branch.token_ids).hex()[:32]
                survivors.append(branch)
        for expansion in self._round:
            expansion.parent.prompt_ids = ()
            for branch in expansion.drawn:
                branch.token_ids = ()
        self._last_round = candidates
        if survivors:
            return self._open_round(survivors, self._rules.allot(len(survivors)))
        self.finished = True
        return []

    # --- records -------------------------------------------------------------------------------

    def _node(self, branch: Branch) -> Node:
        assert branch.parent is not None
        assert branch.number is not None
        return Node(
            subtree=self._subtree,
            depth=branch.depth,
            node=branch.number,
            parent=branch.parent.number,
            text=branch.text,
            margin=branch.margins[-1] if branch.margins else None,
            n_tokens=branch.n_tokens,
            fate=branch.fate,
            finished=branch.ended_by is not None,
            finish_reason=branch.finish_reason,
        )

    def _path(self, index: int, leaf: Branch) -> Path:
        return Path(
            subtree=self._subtree,
            path=index,
            leaf=leaf.number,
            text=STEP_DELIMITER.join(leaf.path_steps()),
            margins=tuple(margin for node in leaf.path() for margin in node.margins),
            n_tokens=leaf.n_path_tokens,
            ended_by=leaf.ended_by or "unfinished",
        )


def _digest(*parts: bytes | tuple[int, ...]) -> bytes:
    """Digest of ids, the same on any machine."""
    content = hashlib.sha256()
    for part in parts:
        content.update(part if isinstance(part, bytes) else struct.pack(f"<{len(part)}I", *part))
    return content.digest()


def check_context(
    problem: Problem, prompt_ids: tuple[int, ...], settings: SamplingSettings
) -> None:
    """Raise ``StudyError`` unless the prompt leaves room for at least one token."""
    if len(prompt_ids) >= settings.context:
        raise StudyError(
            f"The prompt has {len(prompt_ids)} tokens and the policy's context only "
            f"{settings.context}.",
            where=f"problem {problem.problem_id}",
            cure="Leave the problem out, or use a policy with a longer context.",
        )


def encode_checked(encode: Encode, problem: Problem, steps: Sequence[str]) -> PrmInput:
    """The PRM's input; raises ``StudyError`` unless it has one position for each step."""
    prm_input = encode(problem.problem, steps)
    if len(prm_input.positions) != len(steps):
        raise StudyError(
            f"The PRM format gave {len(prm_input.positions)} positions for {len(steps)} steps.",
            where=f"problem {problem.problem_id}",
        )
    return prm_input


def check_margins(margins: Sequence[float], n_steps: int, problem: Problem) -> None:
    """Raise ``StudyError`` unless there is one margin for each step and all are numbers."""
    if len(margins) != n_steps:
        raise StudyError(
            f"The PRM gave {len(margins)} scores for {n_steps} steps.",
            where=f"problem {problem.problem_id}",
        )
    if any(math.isnan(margin) for margin in margins):
        raise StudyError(
            "The PRM gave a score that is not a number.",
            where=f"problem {problem.problem_id}",
            cure="Run the PRM in bfloat16 or float32: float16 overflows in some models.",
        )


class TreeSearch:
    """One problem's search as the driver serves it: one tree, or several independent ones."""

    def __init__(
        self, problem: Problem, method: str, budget: int | None, trees: dict[int, Tree]
    ) -> None:
        self._problem, self._method, self._budget = problem, method, budget
        self._trees, self._n_unfinished = trees, len(trees)

    def start(self) -> Requests:
        return [request for tree in self._trees.values() for request in tree.start()]

    def accept(self, answer: Completion | ScoreResult) -> Requests:
        key = answer.key
        assert isinstance(key, tuple)
        _, _, _, label, lineage, _, child = key
        tree = self._trees[label]
        requests = tree.accept(lineage, child, answer)
        self._n_unfinished -= tree.finished
        return requests

    @property
    def finished(self) -> bool:
        return not self._n_unfinished

    def result(self) -> SearchResult:
        records = [tree.records() for tree in self._trees.values()]
        return SearchResult(
            problem_id=self._problem.problem_id,
            problem_hash=self._problem.problem_hash,
            method=self._method,
            budget=self._budget,
            nodes=tuple(node for nodes, _, _ in records for node in nodes),
            paths=tuple(path for _, paths, _ in records for path in paths),
            ledgers=tuple(ledger for _, _, ledger in records),
        )
