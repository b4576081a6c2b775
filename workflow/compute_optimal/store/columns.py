"""Columns of tables: what type each has, and what it means, said once.

A table's definition is its schema, as polars takes one, and the text that its readers find beside
it: the database of results bears it as comments.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

TEXT, COUNT, REAL, TRUTH = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()


class Column(NamedTuple):
    """A type and a meaning: one line, with the unit of a quantity."""

    kind: pl.DataType
    meaning: str


class Columns(dict[str, pl.DataType]):
    """A table's schema: column -> type; ``about`` says what a row is, ``described`` its columns."""

    def __init__(self, about: str, described: Mapping[str, Column]) -> None:
        super().__init__({name: column.kind for name, column in described.items()})
        self.about = about
        self.described = dict(described)

    def of(self, *names: str) -> Columns:
        """The same table, each row of which says what it is about in columns of ``COMMON`` too."""
        return Columns(self.about, {**common(*names), **self.described})


def common(*names: str) -> dict[str, Column]:
    """The columns of ``COMMON`` that bear these names."""
    return {name: COMMON[name] for name in names}


def one_of(meanings: Mapping[str, str]) -> Column:
    """A column of names, each with what it means."""
    return Column(TEXT, "; ".join(f"{name}: {meaning}" for name, meaning in meanings.items()))


COMMON: Mapping[str, Column] = {
    "task": Column(TEXT, "Task (problem set), as the study names it"),
    "policy": Column(TEXT, "Policy: the language model that writes solutions"),
    "prm": Column(TEXT, "Process reward model; null where none takes part"),
    "method": Column(TEXT, "Method: cot, majority, best_of_n, beam_search, dvts or pass_at_k"),
    "scoring": Column(
        TEXT, "From step scores to one: prm_min, prm_last or prm_avg; null where none is used"
    ),
    "voting": Column(
        TEXT, "From solutions to one answer: majority, prm_max or prm_vote; null for one solution"
    ),
    "budget": Column(COUNT, "Budget N: solutions per problem"),
    "bucket": Column(TEXT, "Difficulty of the problem: easy, medium, hard or unknown"),
    "problem_id": Column(TEXT, "Problem, unique in its task"),
    "problem_hash": Column(TEXT, "Hash of the problem's content"),
    "pool": Column(TEXT, "Pool of independent samples: evaluation, difficulty or greedy"),
    "sample_index": Column(COUNT, "Number of the sample in its pool, from 0"),
    "subtree": Column(COUNT, "Number of the subtree of DVTS, from 0; 0 for beam search"),
    "accuracy": Column(REAL, "Accuracy: expected share of problems solved, 0 to 1"),
    "ci_low": Column(REAL, "Lower end of the interval over problems, as settings.confidence says"),
    "ci_high": Column(REAL, "Upper end of the interval over problems, as settings.confidence says"),
    "n_problems": Column(COUNT, "Number of problems behind the row"),
    "n_samples": Column(COUNT, "Number of samples behind the row"),
    "title": Column(TEXT, "Name as it is printed"),
    "n_parameters": Column(COUNT, "Number of parameters of the model; null where unknown"),
    "source": Column(TEXT, "Where this was taken from"),
    "commit": Column(TEXT, "Commit of the source"),
    "collection": Column(TEXT, "Collection of adopted rollouts, as the registry names it"),
    "finish_reason": Column(TEXT, "Why the solution ended; null where unknown"),
    "margins": Column(
        pl.List(pl.Float32()), "PRM's logit margin for each step; null where none scored"
    ),
    "n_units": Column(COUNT, "Number of units: samples, scored samples, subtrees or beam searches"),
    "kind": Column(TEXT, "Table of the units: samples, step_scores or searches"),
    "seconds": Column(REAL, "Wall time of the engines without loading, in seconds"),
    "policy_seconds": Column(REAL, "Part of seconds that the policy's engine took"),
    "prm_seconds": Column(REAL, "Part of seconds that the PRM's engine took"),
    "sample_requests": Column(COUNT, "Number of requests to the policy"),
    "generated_tokens": Column(COUNT, "Number of tokens that the policy generated"),
    "shared_tokens": Column(COUNT, "Generated tokens that other units had already generated"),
    "discarded_tokens": Column(COUNT, "Generated tokens that are in no answer"),
    "prompt_tokens_computed": Column(COUNT, "Tokens of prompts that the policy computed"),
    "prompt_tokens_cached": Column(COUNT, "Tokens of prompts that the policy had in its cache"),
    "score_requests": Column(COUNT, "Number of requests to the PRM"),
    "prm_tokens_computed": Column(COUNT, "Number of tokens that the PRM computed"),
    "prm_tokens_cached": Column(COUNT, "Number of tokens that the PRM had in its cache"),
    "prm_tokens_shared": Column(COUNT, "Computed tokens of the PRM that served other units too"),
    "over_context": Column(COUNT, "Number of requests longer than the PRM's context"),
    "engine": Column(TEXT, "Inference engine and its version"),
    "machine": Column(TEXT, "Kind of machine"),
    "package": Column(TEXT, "Version of this package"),
}
"""Columns that mean the same in every table which has them."""
