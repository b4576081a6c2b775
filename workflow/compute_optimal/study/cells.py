"""Cells of a study: the grid of them, the spec of each, and where its rows lie in the store.

The grid task x policy x pool x PRM x search is walked here and nowhere else (``Grid``): what a
study needs, what it costs, which jobs make it, what is published and fetched, all iterate it.

A cell's spec holds all that decides its bytes and nothing that does not: no paths, no memory
sizes, no number of samples. What a job must ensure ("256 samples of this spec for these
problems") is a *request*: a spec with counts beside it. A request's canonical JSON is the one
parameter of its rule.

The task's content is part of the request, not of the spec: rows are keyed by the hash of the
problem's text, so a corrected problem reruns the job and costs only its own samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypedDict

from compute_optimal.judge.grading import GRADER
from compute_optimal.judge.grading.official import OFFICIAL_GRADER
from compute_optimal.judge.grading.plain import PLAIN_GRADER
from compute_optimal.prms import prm_format
from compute_optimal.store.partitions import Partition, Store, slug
from compute_optimal.study.config import AdoptedEntry, Study, TaskEntry
from compute_optimal.study.models import identity
from compute_optimal.study.spec import SAMPLE_VERSION, SEARCH_VERSION, Spec
from compute_optimal.tasks import task_identity

Pool = Literal["greedy", "evaluation", "difficulty"]

Kind = Literal["samples", "step_scores", "searches"]
"""What engines make: the table of the store that holds a cell's units is called so too."""

_KINDS: dict[str, Kind] = {"samples": "samples", "step_scores": "step_scores", "search": "searches"}
"""The spec of a search says "search", and so do its directories: they are what they were."""


def kind_of(spec: Spec) -> Kind:
    """What the units of a spec are, which is the name of their table."""
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
    """What one unit of a cell makes up of the budget N: a subtree of DVTS is M samples."""
    if kind_of(spec) != "searches":
        return 1
    return budget_of(spec) or int(spec["beam_width"])


def collection_of(spec: Spec) -> str | None:
    """The collection of a spec of adopted rollouts; None where only its archive is known."""
    collection: str | None = spec.get("collection")
    return collection


class Job(NamedTuple):
    """One job of the generate zone, which is one load of its models; no PRM draws samples."""

    kind: Kind
    task: str
    policy: str
    prm: str | None


@dataclass(frozen=True)
class Cell:
    """One cell of a study: the units of one spec that it needs of each problem of a task."""

    kind: Kind
    task: str
    policy: str
    prm: str | None
    method: str
    """As in the study's methods; that of the pool which decides on difficulty is "difficulty"."""
    budget: int
    """N: the size of a pool, the budget of a beam search, the largest one for DVTS."""
    n_units: int
    """Units a problem: samples, samples with scores, or trees. Beam search is one tree, DVTS are
    N / M independent subtrees."""
    spec: Spec
    pool: Pool | None = None

    @property
    def job(self) -> Job:
        """The job that makes this cell, and others."""
        return Job(self.kind, self.task, self.policy, self.prm)

    def partition(self, store: Store) -> Partition:
        """Where its rows lie."""
        return partition(store, self.spec)


class Grid:
    """All cells of a study, by task, policy, and then pools before PRMs; the searches of a PRM by
    rising budget, DVTS last. The one walk over it."""

    def __init__(self, study: Study) -> None:
        self._cells = tuple(_walk(study))

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells)

    def of(self, kind: Kind, task: str, policy: str) -> Sequence[Cell]:
        """Cells of one kind of a (task, policy), over all PRMs; none where a study has none."""
        return self._by_kind.get((kind, task, policy), ())

    def of_job(self, job: Job) -> Sequence[Cell]:
        """The cells that a job makes."""
        return [cell for cell in self.of(*job[:3]) if cell.prm == job.prm]

    def jobs(self, kind: Kind, task: str, policy: str) -> Sequence[Job]:
        """The jobs of one kind of a (task, policy), one for each PRM."""
        return list(dict.fromkeys(cell.job for cell in self.of(kind, task, policy)))

    @cached_property
    def _by_kind(self) -> dict[tuple[Kind, str, str], list[Cell]]:
        by_kind: dict[tuple[Kind, str, str], list[Cell]] = {}
        for cell in self:
            by_kind.setdefault((cell.kind, cell.task, cell.policy), []).append(cell)
        return by_kind


_METHODS = {"greedy": "cot", "evaluation": "majority", "difficulty": "difficulty"}
"""Pool -> the method that it alone serves."""


def _walk(study: Study) -> Iterator[Cell]:
    for task in study.tasks:
        for policy in study.policies:
            for pool, size in pool_sizes(study).items():
                spec = sample_spec(study, task, policy, pool)
                method = _METHODS[pool]
                yield Cell("samples", task, policy, None, method, size, size, spec, pool)
            for prm in study.prms:
                if "best_of_n" in study.methods:
                    spec, top = score_spec(study, task, policy, prm), max(study.budgets)
                    scored = task, policy, prm, "best_of_n", top, top
                    yield Cell("step_scores", *scored, spec, "evaluation")
                yield from searches(study, task, policy, prm)


def pool_sizes(study: Study) -> dict[Pool, int]:
    """Samples per problem in each pool. Only what the study's methods need is drawn.

    ``greedy`` is the paper's CoT (temperature 0, one sample), ``evaluation`` serves majority
    voting and best-of-N at every N, ``difficulty`` is independent of both.
    """
    sizes: dict[Pool, int] = {"difficulty": study.difficulty.n_samples}
    if "cot" in study.methods:
        sizes["greedy"] = 1
    if {"majority", "best_of_n"} & set(study.methods):
        sizes["evaluation"] = max(study.budgets)
    return sizes


def _policy_part(study: Study, policy: str) -> dict[str, Any]:
    entry = study.policy(policy)
    family = study.prompt_family(entry.prompt)
    return {
        "policy": identity(entry, study.lock),
        "prompt": {
            "system": family.system,
            "user_suffix": family.user_suffix,
            "template_arguments": dict(family.template_arguments),
        },
        "context": entry.context,
        "dtype": entry.dtype,
        "seed": study.seed,
    }


def _prm_part(study: Study, prm: str) -> dict[str, Any]:
    entry = study.prm(prm)
    return {
        "prm": identity(entry, study.lock),
        "format": entry.format,
        "format_version": prm_format(entry.format).version,
        "prm_context": entry.context,
        "prm_dtype": entry.dtype,
    }


def sample_spec(study: Study, task: str, policy: str, pool: Pool) -> dict[str, Any]:
    """Spec of one pool of independent samples of (task, policy)."""
    sampling = study.policy(policy).sampling
    greedy = pool == "greedy"
    return {
        "kind": "samples",
        "task": task,
        "pool": pool,
        "temperature": sampling.cot_temperature if greedy else sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        **_policy_part(study, policy),
        "version": SAMPLE_VERSION,
    }


def score_spec(study: Study, task: str, policy: str, prm: str) -> dict[str, Any]:
    """Spec of the step scores that one PRM gives the evaluation pool of (task, policy)."""
    return {
        "kind": "step_scores",
        "samples": sample_spec(study, task, policy, "evaluation"),
        **_prm_part(study, prm),
    }


def search_spec(
    study: Study, task: str, policy: str, prm: str, method: str, budget: int
) -> dict[str, Any]:
    """Spec of a search. DVTS at N is N / M independent subtrees, so N is not part of its spec."""
    sampling = study.policy(policy).sampling
    return {
        "kind": "search",
        "task": task,
        "method": method,
        "variant": study.search_variant,
        "beam_width": study.beam_width,
        "max_steps": study.max_steps,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_tokens,
        "max_step_tokens": sampling.max_step_tokens,
        **({"budget": budget} if method == "beam_search" else {}),
        **_policy_part(study, policy),
        **_prm_part(study, prm),
        "version": SEARCH_VERSION,
    }


_DECIDES_NO_DRAW = {
    "kind", "method", "budget", "beam_width",
    "prm", "format", "format_version", "prm_context", "prm_dtype",
}  # fmt: skip


def draw_spec(spec: Spec) -> dict[str, Any]:
    """What of a search's spec decides which step follows a history, given the step's number.

    Everything but the PRM, the method and its budget and width: these decide which histories are
    continued, and how often. The searches of a (task, policy) have it in common.
    """
    kept = {key: value for key, value in spec.items() if key not in _DECIDES_NO_DRAW}
    return {**kept, "kind": "draws"}


def searches(study: Study, task: str, policy: str, prm: str) -> list[Cell]:
    """The searches of one (task, policy, PRM), by rising budget."""
    here = Job("searches", task, policy, prm)
    cells = []
    if "beam_search" in study.methods:
        for budget in study.budgets_of_searches:
            spec = search_spec(study, task, policy, prm, "beam_search", budget)
            cells.append(Cell(*here, "beam_search", budget, 1, spec))
    if "dvts" in study.methods:
        budget = max(study.budgets_of_searches)
        spec = search_spec(study, task, policy, prm, "dvts", budget)
        cells.append(Cell(*here, "dvts", budget, budget // study.beam_width, spec))
    return cells


def task_spec(task: TaskEntry) -> dict[str, Any]:
    """Spec of the facts about a task's problems (ids, hashes, answers)."""
    return {"kind": "problems", "task": task_identity(task)}


ADOPTED_VERSION = 3
"""Raised when a reader of adopted rollouts, or what is taken for the answer of a text, changes."""

ADOPTED_TABLES = (
    "adopted_samples", "adopted_paths", "adopted_solutions", "adopted_tokens", "adopted_files",
    "adopted_findings",
)  # fmt: skip


def adopted_spec(collection: AdoptedEntry) -> dict[str, Any]:
    """Spec of a collection of adopted rollouts: what they are, and the bytes they came from."""
    spec = {
        "kind": "adopted",
        "task": collection.task,
        "policy": collection.policy,
        "prm": collection.prm,
        "version": ADOPTED_VERSION,
    }
    if collection.files:
        return {
            **spec,
            "collection": collection.name,
            "variant": collection.variant,
            "beam_width": collection.beam_width,
            "reader": collection.reader,
            "tokenizer": collection.tokenizer,
            "source": collection.source,
            "commit": collection.commit,
            "files": [file.model_dump() for file in collection.files],
        }
    if collection.hub:
        return {
            **spec,
            "variant": collection.variant,
            "beam_width": collection.beam_width,
            "hub": [run.model_dump() for run in collection.hub],
        }
    return {**spec, "archive_sha256": collection.sha256}


@dataclass(frozen=True)
class Collection:
    """An adopted collection, as a study has it."""

    entry: AdoptedEntry
    policy: str | None
    """Its policy as the study names it; None where no policy wrote it."""
    spec: Spec

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def task(self) -> str:
        return self.entry.task


def collections(study: Study) -> list[Collection]:
    """The adopted collections of a study, in its order.

    Where a policy's answers to a task come from several sources, each is a policy of its own, for
    they were drawn in different ways: its name is followed by the collection's.
    """
    entries = [study.adopted_collection(name) for name in study.adopted]
    run = [(task, policy) for task in study.tasks for policy in study.policies]
    n_sources = Counter([*run, *((entry.task, entry.policy) for entry in entries)])

    def named(entry: AdoptedEntry) -> str | None:
        alone = entry.policy is None or n_sources[entry.task, entry.policy] == 1
        return entry.policy if alone else f"{entry.policy}--{entry.name}"

    return [Collection(entry, named(entry), adopted_spec(entry)) for entry in entries]


class Graders(TypedDict):
    """What verdicts depend on beside answers: part of requests and specs."""

    grader: str
    other_graders: tuple[str, ...]
    seconds: float
    """The limit of one comparison, over which an answer is undecided."""


def graders(study: Study) -> Graders:
    """The versions of all graders, and the limit of a comparison."""
    return {
        "grader": GRADER,
        "other_graders": (OFFICIAL_GRADER, PLAIN_GRADER),
        "seconds": study.grading.seconds,
    }


def verdicts_spec(
    adopted: Spec, task: Spec, *, grader: str, other_graders: Sequence[str], seconds: float
) -> dict[str, Any]:
    """Spec of what graders say of the answers of an adopted collection.

    ``seconds``: the limit of one comparison, over which an answer is undecided.
    """
    return {
        "kind": "verdicts",
        "adopted": adopted,
        "task": task,
        "grader": grader,
        "other_graders": list(other_graders),
        "seconds": float(seconds),
    }


def partition(store: Store, spec: Spec) -> Partition:
    """Where a spec's rows lie; the directory's name says what it holds."""
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


def all_partitions(study: Study, store: Store) -> Iterator[tuple[Partition, tuple[str, ...]]]:
    """Every partition that a study reads, with its tables."""
    adopted = collections(study)
    for task in dict.fromkeys([*study.tasks, *(collection.task for collection in adopted)]):
        yield partition(store, task_spec(study.task(task))), ("problems",)
    for collection in adopted:
        yield partition(store, collection.spec), ADOPTED_TABLES
        if collection.policy is not None:
            facts = task_spec(study.task(collection.task))["task"]
            verdicts = verdicts_spec(collection.spec, facts, **graders(study))
            yield partition(store, verdicts), ("verdicts",)
    for cell in Grid(study):
        yield cell.partition(store), (cell.kind,)
