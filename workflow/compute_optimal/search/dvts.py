"""Diverse verifier tree search: N / M independent subtrees, in each the best of M goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from compute_optimal.search.beam import PaperRules, SearchAndLearnRules, n_beams
from compute_optimal.search.records import Encode, EndedBy, SearchSettings
from compute_optimal.search.tree import Branch, Rules, Tree, TreeSearch, best
from compute_optimal.tasks import Problem


@dataclass(frozen=True, slots=True)
class SearchAndLearnSubtreeRules(SearchAndLearnRules):
    """One subtree of search-and-learn's DVTS (diverse_verifier_tree_search.py:33-159).

    A boxed answer ends a path too. Once the best of M ends, all M are answers, ended or not.
    """

    def ended_by(self, branch: Branch) -> EndedBy | None:
        if branch.finish_reason != "stop":
            return branch.finish_reason
        return "boxed" if any("boxed{" in step for step in branch.steps) else None

    def select(self, candidates: list[Branch], n_finished: int) -> list[Branch]:  # noqa: ARG002
        return best(candidates, 1)

    def answers(self, finished: list[Branch], last_round: list[Branch]) -> list[Branch]:
        return last_round or finished


def dvts(
    problem: Problem,
    prompt_ids: tuple[int, ...],
    subtrees: Iterable[int],
    settings: SearchSettings,
    encode: Encode,
) -> TreeSearch:
    """Some subtrees of one problem's DVTS: one answer each (paper) or M (search-and-learn).

    Subtree s asks for draws of its own, those from number s M on, and so is the same whichever
    others are drawn with it: DVTS at N is the subtrees ``range(n_beams(N, M))``, and a smaller N is
    the first of them. Raises ``StudyError`` where the prompt fills the context.
    """
    width = settings.beam_width
    rules: Rules = PaperRules(beam_width=width, n_slots=n_beams(width, width))
    if settings.variant == "search-and-learn":
        rules = SearchAndLearnSubtreeRules(
            beam_width=width, budget=width, max_steps=settings.max_steps
        )
    trees = {
        subtree: Tree(
            problem,
            prompt_ids,
            settings,
            encode,
            rules,
            method="dvts",
            label=subtree,
            subtree=subtree,
            n_first_steps=width,
        )
        for subtree in subtrees
    }
    return TreeSearch(problem, "dvts", None, trees)
