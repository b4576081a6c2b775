"""Where the rows of a spec lie in the store, and what a spec says of them.

Who reads what is stored needs no study: a spec, as ``study.cells`` makes it, says all.
"""

from __future__ import annotations

from typing import Literal

from compute_optimal.store.partitions import Partition, Store, slug
from compute_optimal.study.spec import Spec

Kind = Literal["samples", "step_scores", "searches"]
"""What engines make: the table of the store that holds a cell's units is called so too."""


_KINDS: dict[str, Kind] = {"samples": "samples", "step_scores": "step_scores", "search": "searches"}
"""What the spec of units calls them -> the table. Searches are "search" in specs and directories,
which keep the name that they were first stored under."""


def kind_of(spec: Spec) -> Kind:
    """What the units of a spec of samples, scores or searches are: the name of their table."""
    return _KINDS[spec["kind"]]


def policy_of(spec: Spec) -> str:
    """The policy of a spec of samples, searches or draws."""
    return str(spec["policy"]["name"])


def prm_of(spec: Spec) -> str:
    """The PRM of a spec of scores or searches."""
    return str(spec["prm"]["name"])


def samples_of(spec: Spec) -> Spec:
    """The spec of the samples that a spec of scores is about."""
    samples: Spec = spec["samples"]
    return samples


def method_of(spec: Spec) -> str:
    """The method of a spec of searches: beam_search or dvts."""
    return str(spec["method"])


def budget_of(spec: Spec) -> int | None:
    """N of a beam search; None for DVTS, whose subtrees serve every N, and for samples."""
    budget: int | None = spec.get("budget")
    return budget


def unit_budget(spec: Spec) -> int:
    """What one unit of a cell makes up of the budget N: a sample or its scores 1, a subtree of DVTS
    M, a beam search all of it."""
    if kind_of(spec) != "searches":
        return 1
    return budget_of(spec) or int(spec["beam_width"])


def collection_of(spec: Spec) -> str | None:
    """The collection of a spec of adopted rollouts; None of one from an archive or the hub, whose
    specs do not name it."""
    collection: str | None = spec.get("collection")
    return collection


def partition(store: Store, spec: Spec) -> Partition:
    """Where the rows of a spec lie (of draws: ``draws_partition``); the directory's name says what
    it holds."""
    kind = spec["kind"]
    names: tuple[str, ...]
    if kind == "samples":
        names = (spec["task"], policy_of(spec), spec["pool"])
    elif kind == "step_scores":
        samples = samples_of(spec)
        names = (samples["task"], policy_of(samples), prm_of(spec))
    elif kind == "search":
        names = (spec["task"], policy_of(spec), prm_of(spec), method_of(spec))
        if budget := budget_of(spec):
            names = (*names, str(budget))
    elif kind == "problems":
        names = (spec["task"]["name"],)
    elif kind == "verdicts":
        names = (*_adopted_names(spec["adopted"]), spec["grader"])
    else:
        names = _adopted_names(spec)
    return store.partition(kind, slug(*names), spec)


def _adopted_names(spec: Spec) -> tuple[str, ...]:
    if collection := collection_of(spec):
        return spec["task"], collection
    return spec["task"], spec["policy"], spec["prm"]


def draws_partition(store: Store, draws: Spec, problem_hash: str) -> Partition:
    """Where the draws of one problem lie that searches have in common (``draws``: ``draw_spec``).

    Never shipped nor published: cells hold all that was said, and draws serve only to say the same
    again without an engine.
    """
    name = slug(draws["task"], policy_of(draws), problem_hash[:8])
    return store.own_partition("draws", name, {**draws, "problem_hash": problem_hash})
