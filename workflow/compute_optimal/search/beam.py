"""Beam search: of N candidates a round the best N / M by prm_last go on, in M samples each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from compute_optimal.errors import StudyError
from compute_optimal.policies.steps import STEP_DELIMITER
from compute_optimal.search.records import Encode, EndedBy, Fate, SearchSettings
from compute_optimal.search.tree import Branch, Rules, Tree, TreeSearch, best
from compute_optimal.tasks import Problem


@dataclass(frozen=True, slots=True)
class PaperRules:
    """The paper's search, as its code runs it (base_env.py:166-349, tree.py:256-363), bugs aside.

    A sample is a candidate if it says something, in full, that no earlier sibling said; what is
    dropped is not replaced. Whether an end-of-sequence token or a blank line came after the text
    is no difference: the first sibling with a text decides whether the path ends. If nothing
    remains, the parent is asked for again, three times in all; then its path counts as it stands.
    At the root the second and third request take truncated steps too, as paths that end there, and
    of siblings with one text the last.

    All candidates of a round compete for the free slots. A finished path that wins one keeps it
    for good, so the number of samples falls as paths finish: M times the free slots.

    ASSUME: a sample of white space only, be it a blank line before the step or an end-of-sequence
    token after the last one, is no step: it is never scored and counts as unusable. The official
    code takes it as a step with a score of 0, and has no third request at the root, since there
    its second takes even these.
    """

    attempts: ClassVar[int] = 3
    drops_duplicates: ClassVar[bool] = True

    beam_width: int
    n_slots: int

    def stop(self, depth: int) -> tuple[str, ...]:  # noqa: ARG002
        return (STEP_DELIMITER,)

    def flaw(self, branch: Branch, forced: bool) -> Fate | None:
        if not branch.steps:
            return "empty"
        return "truncated" if branch.finish_reason == "length" and not forced else None

    def ended_by(self, branch: Branch) -> EndedBy | None:
        if branch.finish_reason != "stop":
            return branch.finish_reason
        return "boxed" if any("\\boxed" in step for step in branch.steps) else None

    def select(self, candidates: list[Branch], n_finished: int) -> list[Branch]:
        return best(candidates, self.n_slots - n_finished)

    def allot(self, n_survivors: int) -> list[int]:
        return [self.beam_width] * n_survivors

    def answers(self, finished: list[Branch], last_round: list[Branch]) -> list[Branch]:  # noqa: ARG002
        return finished


@dataclass(frozen=True, slots=True)
class SearchAndLearnRules:
    """search-and-learn's beam search (beam_search.py:32-197; ``filter_duplicates`` as its recipes).

    Paths end at an end-of-sequence token, a step cut at its limit, or a last round without stop
    string; a boxed answer does not end one. Finished paths leave without competing and use up
    nothing: the N / M best of the others are copied round-robin to N. The first N that finished
    are the answers, repeated if there are fewer.

    ASSUME: white space only adds no step; such a sample keeps the score of its parent.
    """

    attempts: ClassVar[int] = 1
    drops_duplicates: ClassVar[bool] = False

    beam_width: int
    budget: int
    max_steps: int

    def stop(self, depth: int) -> tuple[str, ...]:
        return () if depth == self.max_steps else (STEP_DELIMITER,)

    def flaw(self, branch: Branch, forced: bool) -> Fate | None:  # noqa: ARG002
        return None

    def ended_by(self, branch: Branch) -> EndedBy | None:
        return None if branch.finish_reason == "stop" else branch.finish_reason

    def select(self, candidates: list[Branch], n_finished: int) -> list[Branch]:  # noqa: ARG002
        # Copies stand round-robin, and finish in this order: first copies of all parents, ...
        in_order = sorted(candidates, key=lambda branch: branch.child)
        active: dict[str, Branch] = {}
        for branch in in_order:
            if not branch.ended_by:
                text = "".join(node.text for node in branch.path())
                if active.setdefault(text, branch) is not branch:
                    branch.fate = "duplicate"
        kept = set(map(id, best(active.values(), self.budget // self.beam_width)))
        return [branch for branch in in_order if branch.ended_by or id(branch) in kept]

    def allot(self, n_survivors: int) -> list[int]:
        copies, rest = divmod(self.budget, n_survivors)
        return [copies + (rank < rest) for rank in range(n_survivors)]

    def answers(self, finished: list[Branch], last_round: list[Branch]) -> list[Branch]:  # noqa: ARG002
        return [finished[rank % len(finished)] for rank in range(self.budget)]


def n_beams(budget: int, beam_width: int) -> int:
    """N / M: the slots of a beam search and the subtrees of DVTS.

    Raises ``StudyError`` where the beam width does not divide the budget.
    """
    if budget < 1 or beam_width < 1 or budget % beam_width:
        raise StudyError(
            f"The budget {budget} is not a multiple of the beam width {beam_width}.",
            where="budgets, beam_width",
            cure="Use budgets that the beam width divides, such as 4, 16, 64 and 256 for 4.",
        )
    return budget // beam_width


def beam_search(
    problem: Problem,
    prompt_ids: tuple[int, ...],
    budget: int,
    settings: SearchSettings,
    encode: Encode,
) -> TreeSearch:
    """Beam search of one problem at a budget N: N / M answers (paper), N (search-and-learn).

    Fewer where fewer paths came to an end: with N = 16, a policy that has one thing to say gives
    one path. Raises ``StudyError`` where M does not divide N or the prompt fills the context.
    """
    slots = n_beams(budget, settings.beam_width)
    rules: Rules
    if settings.variant == "paper":
        rules = PaperRules(beam_width=settings.beam_width, n_slots=slots)
    else:
        rules = SearchAndLearnRules(
            beam_width=settings.beam_width, budget=budget, max_steps=settings.max_steps
        )
    tree = Tree(
        problem,
        prompt_ids,
        settings,
        encode,
        rules,
        method="beam_search",
        label=budget,
        subtree=0,
        n_first_steps=budget,
    )
    return TreeSearch(problem, "beam_search", budget, {budget: tree})
