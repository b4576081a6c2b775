"""What differs for single policies of a study, and what its items need of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from compute_optimal.study.config.registry import (
    LARGEST_BUDGET,
    LONGEST_CONTEXT,
    Checked,
    Sampling,
)

Budget = Annotated[int, Field(gt=0, le=LARGEST_BUDGET)]
Method = Literal["cot", "majority", "best_of_n", "beam_search", "dvts"]
SEARCH_METHODS: tuple[Method, ...] = ("beam_search", "dvts")
SCORED_METHODS: tuple[Method, ...] = ("best_of_n", *SEARCH_METHODS)


class SamplingOverride(Checked):
    """How one policy of a study draws its solutions, where not as its registry entry says."""

    temperature: float | None = Field(
        default=None, ge=0, le=10, description="Temperature of pools and searches"
    )
    cot_temperature: float | None = Field(
        default=None, ge=0, le=10, description="Temperature of the single CoT sample"
    )
    top_p: float | None = Field(default=None, gt=0, le=1, description="Nucleus size")
    top_k: int | None = Field(
        default=None, ge=-1, le=1_000_000, description="Number of candidates kept [tokens]"
    )
    max_tokens: int | None = Field(
        default=None, gt=0, le=LONGEST_CONTEXT, description="Longest solution [tokens]"
    )
    max_step_tokens: int | None = Field(
        default=None, gt=0, le=LONGEST_CONTEXT, description="Longest step of a search [tokens]"
    )

    def over(self, sampling: Sampling) -> Sampling:
        """``sampling`` with the values that are given here; not checked against each other."""
        return sampling.model_copy(update=self.model_dump(exclude_none=True))


class PolicyOverride(Checked):
    """What differs for one policy; a key that is left out is the study's."""

    tasks: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Those of the study's tasks that it is run on"
    )
    prms: tuple[str, ...] | None = Field(
        default=None, description="Those of the study's PRMs that it is run with"
    )
    methods: tuple[Method, ...] | None = Field(
        default=None, min_length=1, description="Those of the study's methods that it is run with"
    )
    budgets: tuple[Budget, ...] | None = Field(
        default=None,
        min_length=1,
        description="Its budgets N, ascending; any, not only the study's [samples]",
    )
    search_budgets: tuple[Budget, ...] | None = Field(
        default=None,
        min_length=1,
        description="Those of its budgets that searches are run at; null is the study's "
        "search_budgets as far as they are among its budgets, or all [samples]",
    )
    sampling: SamplingOverride = Field(
        default=SamplingOverride(), description="How it draws, where not as in the registry"
    )

    def names(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Its keys that hold names, with these."""
        yield "tasks", self.tasks or ()
        yield "prms", self.prms or ()
        yield "methods", self.methods or ()


class Part(Checked):
    """A part of a study's grid, of which each key that is left out is whole."""

    tasks: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Those of the study's tasks"
    )
    policies: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Those of the study's policies"
    )
    prms: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Those of the PRMs that each policy is run with"
    )
    methods: tuple[Method, ...] | None = Field(
        default=None,
        description="Those of each policy's methods; an empty list asks for the samples alone that "
        "decide on difficulty, which all others bring along",
    )
    budgets: tuple[Budget, ...] | None = Field(
        default=None, min_length=1, description="Those of each policy's budgets [samples]"
    )

    def names(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Its keys that hold names, with these."""
        yield "tasks", self.tasks or ()
        yield "policies", self.policies or ()
        yield "prms", self.prms or ()
        yield "methods", self.methods or ()
