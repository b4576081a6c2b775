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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, Literal, NamedTuple, TypedDict, get_args

from compute_optimal.judge.grading import GRADER
from compute_optimal.judge.grading.official import OFFICIAL_GRADER
from compute_optimal.judge.grading.plain import PLAIN_GRADER
from compute_optimal.prms import prm_format
from compute_optimal.store.partitions import Partition, Store
from compute_optimal.store.places import Kind, partition
from compute_optimal.study.config import (
    SEARCH_METHODS,
    AdoptedEntry,
    Method,
    Part,
    Study,
    TaskEntry,
)
from compute_optimal.study.models import identity
from compute_optimal.study.spec import (
    SAMPLE_VERSION,
    SEARCH_VERSION,
    Spec,
    problems_spec,
    verdicts_spec,
)
from compute_optimal.tasks import task_identity

Pool = Literal["greedy", "evaluation", "difficulty"]


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
    """N: the size of a pool, the samples of it that are scored, the budget of a beam search, the
    largest one of DVTS."""
    n_units: int
    """Units a problem: samples, samples with scores, or trees. Beam search is one tree, DVTS are
    N / M independent subtrees."""
    spec: Spec
    pool: Pool | None = None
    budgets: tuple[int, ...] = ()
    """The N at which its method reads it, ascending: of the evaluation pool those of majority
    voting, of scores those of best-of-N, of a beam search one, of DVTS all; none of the pool that
    decides on difficulty and of CoT."""
    items: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Items of the study that need it, each with the N that it needs of it, ascending: 1 of CoT, 0
    of the pool that decides on difficulty; of the evaluation pool also those of best-of-N."""

    @property
    def job(self) -> Job:
        """The job that makes this cell, and others."""
        return Job(self.kind, self.task, self.policy, self.prm)

    def partition(self, store: Store) -> Partition:
        """Where its rows lie in ``store``."""
        return partition(store, self.spec)


class Grid:
    """All cells of a study, by task, policy, and then pools before PRMs; the searches of a PRM by
    rising budget, DVTS last. The one walk over it: what single policies are not run with, or no
    item of the study needs, is not in it."""

    def __init__(self, study: Study, cells: Iterable[Cell] | None = None) -> None:
        """The study's grid, or some ``cells`` of it."""
        self._study = study
        self._cells = tuple(_walk(study) if cells is None else cells)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells)

    def of_item(self, item: str) -> Grid:
        """What one item of the study needs, were it alone: of shared cells its own units only.

        Empty for an unknown item.
        """
        kept = (cell for cell in self if item in cell.items)
        return Grid(self._study, (_narrowed(self._study, cell, item) for cell in kept))

    def of(self, kind: Kind, task: str, policy: str) -> Sequence[Cell]:
        """Cells of one kind of a (task, policy), over all PRMs; none where a study has none."""
        return self._by_kind.get((kind, task, policy), ())

    def of_job(self, job: Job) -> Sequence[Cell]:
        """The cells that a job makes."""
        return [cell for cell in self.of(*job[:3]) if cell.prm == job.prm]

    def jobs(self, kind: Kind, task: str, policy: str) -> Sequence[Job]:
        """The jobs of one kind of a (task, policy), one for each PRM; of samples one in all."""
        return list(dict.fromkeys(cell.job for cell in self.of(kind, task, policy)))

    @cached_property
    def _by_kind(self) -> dict[tuple[Kind, str, str], list[Cell]]:
        by_kind: dict[tuple[Kind, str, str], list[Cell]] = {}
        for cell in self:
            by_kind.setdefault((cell.kind, cell.task, cell.policy), []).append(cell)
        return by_kind


_METHODS = {"greedy": "cot", "evaluation": "majority", "difficulty": "difficulty"}
"""Pool -> the method that needs nothing but its samples, which its cell is named by."""

_Needs = dict[str, dict[int, list[str | None]]]
"""What is needed of a (task, policy, PRM): budgets by method, each with the items that need it,
None where a study has no items. PRMs matter to scored methods only."""


def _walk(study: Study) -> Iterator[Cell]:
    for task, policy in product(study.tasks, study.policies):
        parts = list(_parts(study, task, policy))
        if not parts:
            continue
        pair = (task, policy)
        unscored = _needs(study, policy, parts, None)
        of_prms = {prm: _needs(study, policy, parts, prm) for prm in study.prms_of(policy)}
        majority, scored = unscored["majority"], [needs["best_of_n"] for needs in of_prms.values()]
        methods = [unscored["cot"], majority]
        methods += [of_method for needs in of_prms.values() for of_method in needs.values()]
        # Every accuracy is also given by difficulty.
        rated = [item for items in _united(methods).values() for item in items]
        rated += [item for item, part in parts if part.methods == ()]
        if not rated:
            continue
        yield _pool(study, *pair, "difficulty", study.difficulty.n_samples, {0: rated})
        if cot := unscored["cot"]:
            yield _pool(study, *pair, "greedy", 1, {1: cot[min(cot)]})
        drawn = _united([majority, *scored])
        if drawn:
            cell = _pool(study, *pair, "evaluation", max(drawn), drawn)
            yield replace(cell, budgets=tuple(sorted(majority)))
        for prm, needs in of_prms.items():
            if best_of_n := needs["best_of_n"]:
                spec, top = score_spec(study, task, policy, prm), max(best_of_n)
                yield Cell(
                    "step_scores", *pair, prm, "best_of_n", top, top, spec, "evaluation",
                    tuple(sorted(best_of_n)), _by_item(best_of_n),
                )  # fmt: skip
            yield from _searches(study, *pair, prm, needs)


def _parts(study: Study, task: str, policy: str) -> Iterator[tuple[str | None, Part]]:
    """The parts of the grid that are needed of a (task, policy), with the items that need them."""
    if task not in study.tasks_of(policy):
        return
    if not study.needed_for:
        yield None, Part()
    for item in study.selected_items:
        for part in study.needed_for[item]:
            if task in (part.tasks or (task,)) and policy in (part.policies or (policy,)):
                yield item, part


def _needs(
    study: Study, policy: str, parts: Iterable[tuple[str | None, Part]], prm: str | None
) -> _Needs:
    needs: _Needs = {method: {} for method in get_args(Method)}
    budgets_of = dict.fromkeys(needs, study.budgets_of(policy))
    budgets_of |= dict.fromkeys(SEARCH_METHODS, study.search_budgets_of(policy, prm))
    for item, part in parts:
        if prm is not None and prm not in (part.prms or (prm,)):
            continue
        for method in study.methods_of(policy):
            if part.methods is not None and method not in part.methods:
                continue
            for budget in budgets_of[method]:
                if budget in (part.budgets or (budget,)) or method == "cot":
                    items = needs[method].setdefault(budget, [])
                    items += [] if item in items else [item]
    return needs


def _united(needs: Iterable[Mapping[int, list[str | None]]]) -> dict[int, list[str | None]]:
    """Budgets of several needs, each with the items of all."""
    united: dict[int, list[str | None]] = {}
    for of_budget in needs:
        for budget, items in of_budget.items():
            united.setdefault(budget, []).extend(items)
    return united


def _by_item(needs: Mapping[int, list[str | None]]) -> dict[str, tuple[int, ...]]:
    """Items of a study, in the order of their first budgets, each with its budgets."""
    by_item: dict[str, list[int]] = {}
    for budget in sorted(needs):
        for item in dict.fromkeys(needs[budget]):
            if item is not None:
                by_item.setdefault(item, []).append(budget)
    return {item: tuple(budgets) for item, budgets in by_item.items()}


def _pool(
    study: Study,
    task: str,
    policy: str,
    pool: Pool,
    size: int,
    needs: Mapping[int, list[str | None]],
) -> Cell:
    spec = sample_spec(study, task, policy, pool)
    of_items = _by_item(needs)
    return Cell("samples", task, policy, None, _METHODS[pool], size, size, spec, pool, (), of_items)


def _narrowed(study: Study, cell: Cell, item: str) -> Cell:
    """A cell as it would be if one item alone needed it."""
    needed = cell.items[item]
    alone = replace(
        cell,
        budgets=tuple(budget for budget in cell.budgets if budget in needed),
        items={item: needed},
    )
    if cell.pool == "difficulty" or cell.method in ("cot", "beam_search"):
        return alone
    top = max(needed)
    units = top // study.beam_width if cell.kind == "searches" else top
    return replace(alone, budget=top, n_units=units)


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
    """Spec of the searches of ``method``, beam_search or dvts, at N = ``budget``.

    DVTS at N is N / M independent subtrees, so N is not part of its spec.
    """
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
    """The searches of one (task, policy, PRM) that the study needs: beam searches by rising budget,
    then DVTS."""
    parts = list(_parts(study, task, policy))
    return list(_searches(study, task, policy, prm, _needs(study, policy, parts, prm)))


def _searches(study: Study, task: str, policy: str, prm: str, needs: _Needs) -> Iterator[Cell]:
    job = Job("searches", task, policy, prm)
    beam, dvts = needs["beam_search"], needs["dvts"]
    for budget in sorted(beam):
        spec = search_spec(study, task, policy, prm, "beam_search", budget)
        items = _by_item({budget: beam[budget]})
        yield Cell(*job, "beam_search", budget, 1, spec, None, (budget,), items)
    if dvts:
        top, budgets = max(dvts), tuple(sorted(dvts))
        spec = search_spec(study, task, policy, prm, "dvts", top)
        yield Cell(*job, "dvts", top, top // study.beam_width, spec, None, budgets, _by_item(dvts))


def task_spec(task: TaskEntry) -> dict[str, Any]:
    """Spec of the facts about a task's problems (``storage.FACTS``)."""
    return problems_spec(task_identity(task))


ADOPTED_VERSION = 4
"""Raised when a reader of adopted rollouts, or what is taken for the answer of a text, changes."""

ADOPTED_TABLES = (
    "adopted_samples", "adopted_paths", "adopted_solutions", "adopted_tokens", "adopted_files",
    "adopted_findings",
)  # fmt: skip


def adopted_spec(collection: AdoptedEntry) -> dict[str, Any]:
    """Spec of a collection of adopted rollouts: what they are, and the bytes they came from (sha256
    of files or of an archive, commits of the hub)."""
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

    Where a policy's answers to a task come from several sources, those of each collection are a
    policy of their own, for they were drawn in different ways: POLICY--COLLECTION. Raises
    ``StudyError`` for a collection that is not registered.
    """
    entries = [study.adopted_collection(name) for name in study.adopted]
    run = [(t, p) for t, p in product(study.tasks, study.policies) if t in study.tasks_of(p)]
    n_sources = Counter([*run, *((entry.task, entry.policy) for entry in entries)])

    def named(entry: AdoptedEntry) -> str | None:
        alone = entry.policy is None or n_sources[entry.task, entry.policy] == 1
        return entry.policy if alone else f"{entry.policy}--{entry.name}"

    return [Collection(entry, named(entry), adopted_spec(entry)) for entry in entries]


class Graders(TypedDict):
    """What verdicts depend on besides answers: part of requests and specs."""

    grader: str
    other_graders: tuple[str, ...]
    seconds: float
    """The limit of one comparison [s], over which an answer is undecided."""


def graders(study: Study) -> Graders:
    """The versions of all graders, and the limit of a comparison."""
    return {
        "grader": GRADER,
        "other_graders": (OFFICIAL_GRADER, PLAIN_GRADER),
        "seconds": study.grading.seconds,
    }


def all_partitions(study: Study, store: Store) -> Iterator[tuple[Partition, tuple[str, ...]]]:
    """Every partition that a study reads, stored or not, with its tables: facts about problems,
    adopted rollouts with their verdicts, then the cells of its grid."""
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
