"""What the Snakefile asks: targets, inputs, and the one parameter of each rule.

Reads configuration and the keys of the store only, so that a DAG is built in seconds and without
torch or vLLM. Methods that take ``wildcards`` are functions of rules: of their inputs, params,
threads or resources. Paths are relative to the repository's root. Whatever asks the store raises
``StudyError`` as ``coverage`` does.
"""

from __future__ import annotations

import math
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
from importlib.util import find_spec
from inspect import isroutine
from pathlib import Path
from typing import Any, Protocol, TypedDict

import polars as pl

from compute_optimal.commands import FUNCTIONS
from compute_optimal.errors import StudyError, in_words
from compute_optimal.micro.recipes import BASES, POLICIES, PRMS, RECIPES
from compute_optimal.present.catalogue import ITEMS, NOTEBOOKS, Item, item_named
from compute_optimal.store.places import Kind
from compute_optimal.store.refusals import forget
from compute_optimal.store.sharing import NothingPublishedError, fetch
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.cells import Cell, Collection, Grid, Job
from compute_optimal.study.config import (
    OutsidePolicy,
    PolicyEntry,
    Study,
    hardware_named,
    load_claims,
    parse_study,
)
from compute_optimal.study.config.reading import merged, read_mapping, read_overrides
from compute_optimal.study.cost import LONGEST_MINUTES, Plan, Resources, price, resources
from compute_optimal.study.cost import plan as plan_of
from compute_optimal.study.coverage import coverage, missing_cells, missing_collections
from compute_optimal.study.models import refuse_unlocked
from compute_optimal.study.requests import (
    AbilitySettings,
    AdoptedAnswersRequest,
    AdoptedEstimatesRequest,
    AdoptedPolicyPart,
    AdoptedScores,
    AnswersRequest,
    ChecksRequest,
    EstimateSettings,
    EstimatesRequest,
    ExaminationRequest,
    OfShards,
    PoolPart,
    PrmSearchPart,
    ProblemsRequest,
    Request,
    RunAnswersRequest,
    RunEstimatesRequest,
    SamplesRequest,
    ScoresRequest,
    SearchesRequest,
    SearchPart,
    Shard,
    StudyDescription,
    TrainingRequest,
)
from compute_optimal.study.schedule import shard_counts
from compute_optimal.study.sources import digest_of, sources_of
from compute_optimal.study.spec import Spec
from compute_optimal.tasks import step_checker

CLAIMS = Path("config/claims.yaml")

ESTIMATES = (
    "difficulty", "curves", "outcomes", "selection", "choices", "chosen_outcomes",
    "held_out_outcomes", "picks", "calibration", "score_quality", "run_to_run", "pool_outcomes",
    "pool_selection", "pool_choices", "pool_chosen", "predictions", "predicted_selection",
    "predicted_choices", "predicted_outcomes", "predicted_gaps", "unpredicted", "adaptive",
    "bucket_accuracy",
)  # fmt: skip

PUBLIC_CATEGORY = "1 Real models, public rollouts"
"""First in the report. Snakemake puts its parts in alphabetical order."""

MINIATURE = 10_000_000
"""Policies below this size are no evidence about large models [parameters]; is_miniature() of
workflow/sql/macros.sql says the same of a finished study."""

EVERY_COLLECTION = "every-collection"
"""Stands for the policy in names of files about all that is adopted on a task."""

_WHERE_TO_RUN = ("generate", "mirror", "store", "results", "registry", "lock_file")
_HOW_TO_RUN = ("samples_per_job", "hardware", "verdicts")
RUN_TIME_KEYS: dict[str, Any] = {
    **dict.fromkeys([*_WHERE_TO_RUN, *_HOW_TO_RUN], True),
    "grading": {"workers"},
}
"""Keys of a study that say where and how to run; no result depends on them."""

RUN_TIME_KEYS_OF_MODELS = {"slots", "tensor_parallel"}
"""Such keys of an entry of a model."""

RECEIPTS: dict[Kind, str] = {"samples": "samples", "step_scores": "scores", "searches": "searches"}
"""What a job's receipt is called; the one place where step scores are called otherwise."""


class Wildcards(Protocol):
    """Snakemake's wildcards of a job."""

    origin: str
    task: str
    policy: str
    prm: str
    micro_base: str
    micro_prm: str


@dataclass(frozen=True)
class StudyPlan:
    """One study, as its rules see it."""

    study: Study
    n_gpus: int = 1
    """GPUs that its jobs have at a time, where they run on this machine."""

    @classmethod
    def read(
        cls, files: Sequence[Path | str], assignments: Sequence[str] | None, n_gpus: int = 1
    ) -> StudyPlan:
        """The study of Snakemake's configuration files and its ``--config key=value``.

        Raises ``StudyError`` for all that is wrong with it.
        """
        content: dict[str, Any] = {}
        for file in files:
            content = merged(content, read_mapping(_shown(file)))
        overrides = read_overrides(assignments or ())
        where = ", ".join(map(str, map(_shown, files))) or "the configuration"
        if overrides:
            where += f" with --config {' '.join(overrides)}"
        return cls(parse_study(merged(content, overrides), where=where), n_gpus)

    @property
    def described(self) -> dict[str, Any]:
        """Every key of the study with its value, as JSON has it."""
        return self.study.model_dump(mode="json")

    @property
    def results(self) -> str:
        """Folder of all results."""
        return self.study.results.as_posix()

    @property
    def storage(self) -> str:
        """Options of the commands that say where things lie and what may be generated, as one text
        for the shell.

        Handed over as a resource, because a changed resource reruns nothing and a parameter would.
        """
        study = self.study
        options = [
            f"--store={study.store.writable}",
            f"--shipped={study.store.shipped}",
            f"--registry={study.registry}",
            f"--lock-file={study.lock_file}",
            f"--generate={study.generate}",
            f"--verdicts={study.verdicts}",
            *([f"--mirror={study.mirror}"] if study.mirror else []),
        ]
        return shlex.join(options)

    def storage_at(self, _: Wildcards, attempt: int) -> str:
        """Resource ``storage``: ``storage``, and which attempt at a job this is."""
        return f"{self.storage} --attempt={attempt}"

    def announce(self, *, runs_here: bool = True) -> None:
        """Say what is worth knowing before any job starts, or refuse to start.

        Errors that jobs of earlier runs left are forgotten (``store.refusals``). What is not stored
        is looked for in the study's remotes. Raises ``StudyError`` for
        claims that cannot be read, a remote that cannot be reached, adopted collections that no
        store holds, and a study that may not generate what it lacks, has no engine to (where
        ``runs_here`` says that jobs run in this environment), or whose models are not locked.
        """
        for warning in self.study.warnings:
            print(f"note: {warning}", file=sys.stderr)
        forget(self.study.store.writable)
        load_claims(CLAIMS)
        covered, store = self._covered, Storage.of(self.study).store
        for remote in self.study.store.remotes:
            if missing_cells(covered) or missing_collections(self.collections, store):
                partitions = cells.all_partitions(self.study, store)
                try:
                    fetched = fetch(partitions, remote)
                except NothingPublishedError:
                    # So it is before the first run of a study that a team shares.
                    print(f"note: nothing is published at {remote} yet", file=sys.stderr)
                    continue
                print(fetched.summary("fetched"), file=sys.stderr)
                covered = coverage(self.study, grid=self._grid)
        if unadopted := missing_collections(self.collections, store):
            raise unadopted
        missing = missing_cells(covered)
        if missing and self.study.generate == "never":
            raise missing
        if missing and runs_here and find_spec("vllm") is None:
            n_cells = covered.filter(pl.col("status") != "stored").height
            lines = price(self._planned).replace("\n", "\n    ")
            raise StudyError(
                f"{n_cells} cells are not in the store, and this environment has no engine to "
                f"generate them:\n    {lines}",
                where=f"generate: {self.study.generate}, in {sys.prefix}",
                cure="run with an engine: make run CONFIG=... on a CPU, make run-gpu CONFIG=... "
                "on NVIDIA GPUs; make plan CONFIG=... gives the price in detail",
            )
        if missing:
            used = {name for cell in self._grid for name in (cell.policy, cell.prm) if name}
            refuse_unlocked(self.study, used)

    # --- what is judged ------------------------------------------------------------------------

    @cached_property
    def _grid(self) -> Grid:
        return Grid(self.study)

    @cached_property
    def collections(self) -> list[Collection]:
        """The adopted collections."""
        return cells.collections(self.study)

    def _collections_on(self, task: str) -> list[tuple[str, Collection]]:
        """Adopted collections on one task that a policy wrote, each with that policy."""
        return [
            (collection.policy, collection)
            for collection in self.collections
            if collection.task == task and collection.policy is not None
        ]

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """All tasks: the study's own and those of adopted rollouts."""
        adopted = (collection.task for collection in self.collections)
        return tuple(dict.fromkeys([*self.study.tasks, *adopted]))

    @property
    def _judged(self) -> list[tuple[str, str, str]]:
        run = dict.fromkeys(("run", cell.task, cell.policy) for cell in self._grid)
        # All collections on a task are one job: each takes less than a job's start.
        tasks = dict.fromkeys(
            collection.task for collection in self.collections if collection.policy is not None
        )
        return [*run, *(("adopted", task, EVERY_COLLECTION) for task in tasks)]

    def _checkable(self, kind: Kind) -> dict[str, list[str]]:
        """Tasks whose steps can be checked -> policies with cells of a kind and a pool whose steps
        could be."""
        policies_of: dict[str, dict[str, None]] = {}
        for cell in self._grid:
            if cell.kind == kind and (cell.task, cell.policy) in self._pooled:
                policies_of.setdefault(cell.task, {})[cell.policy] = None
        return {
            task: list(policies)
            for task, policies in policies_of.items()
            if step_checker(self.study.task(task).kind)
        }

    @cached_property
    def _pooled(self) -> frozenset[tuple[str, str]]:
        """Every (task, policy) with a pool whose steps could be checked."""
        pools = (cell for cell in self._grid if cell.kind == "samples")
        return frozenset((cell.task, cell.policy) for cell in pools if cell.pool == "evaluation")

    def _checked(self, task: str) -> list[str]:
        """Policies with a pool on a task whose steps could be checked."""
        return [policy for policy in self.study.policies if (task, policy) in self._pooled]

    # --- targets and inputs --------------------------------------------------------------------

    @property
    def figures(self) -> list[str]:
        """Names of all figures."""
        return [item.name for item in self._items if item.kind == "figure"]

    @property
    def tables(self) -> list[str]:
        """Names of all tables."""
        return [item.name for item in self._items if item.kind == "table"]

    @property
    def _items(self) -> list[Item]:
        """What is shown: of real models only where rollouts of some are adopted."""
        return [item for item in ITEMS if item.scale != "public" or self.study.adopted]

    def category(self, name: str) -> str:
        """The part of the report that shows a figure or table."""
        return {
            "public": PUBLIC_CATEGORY,
            "study": self.own_category,
            "printed": "4 Printed by another paper",
        }[item_named(name).scale]

    def heading(self, name: str) -> str:
        """What a figure or table is called in the report."""
        return item_named(name).heading

    @property
    def own_category(self) -> str:
        """The part of the report about what this study itself is about."""
        sizes = [self.study.policy(name).n_parameters for name in self.study.policies]
        is_scale_model = 0 < max(sizes, default=0) < MINIATURE
        return "2 The scale model" if is_scale_model else "2 This study's models"

    def notebooks_as(self, ending: str) -> list[str]:
        """All executed notebooks in one format, in order."""
        return [f"{self.results}/notebooks/{name}.{ending}" for name in NOTEBOOKS]

    @property
    def notebook_sources(self) -> list[str]:
        """The notebooks as they are written, in order."""
        return [f"notebooks/{name}.ipynb" for name in NOTEBOOKS]

    @property
    def claims(self) -> list[str]:
        """The verdicts on the paper's claims, in all formats."""
        table = [f"{self.results}/claims.{end}" for end in ("csv", "md", "tex")]
        return [*table, f"{self.results}/index.html"]

    @property
    def explorer(self) -> str:
        """The page of all accuracies."""
        return f"{self.results}/explorer.html"

    @property
    def browser(self) -> str:
        """The rollout browser."""
        return f"{self.results}/browser.html"

    @property
    def problem_tables(self) -> list[str]:
        """Facts about the problems, one file a task."""
        return [self.problem_table(task) for task in self.tasks]

    def problem_table(self, task: str) -> str:
        """Facts about the problems of one task."""
        return self._named(f"problems/{task}", self._problems(task), "parquet")

    @cached_property
    def estimate_tables(self) -> list[str]:
        """Answers and estimates of every (task, policy); of adopted rollouts, of every task."""
        files = []
        for origin, task, policy in self._judged:
            folder, request = f"{origin}/{task}/{policy}", self._estimates(origin, task, policy)
            files.append(self._answer_table(origin, task, policy))
            files += [self._named(f"{folder}/{kind}", request, "parquet") for kind in ESTIMATES]
        return files

    @cached_property
    def ability_tables(self) -> list[str]:
        """What PRMs see and miss, and what searches lost, where steps can be checked."""
        examined = [
            self._named(f"run/{task}/{kind}", self._examination(task), "parquet")
            for task in self._checkable("step_scores")
            for kind in ("prm_rates", "prm_cases")
        ]
        searched = [
            self._named(f"run/{task}/{policy}/pruning", self._checks(task, policy), "parquet")
            for task, policies in self._checkable("searches").items()
            for policy in policies
        ]
        return [*examined, *searched]

    def step_tables(self, wildcards: Wildcards) -> list[str]:
        """The checked steps of all policies on a task."""
        return [
            self._named(
                f"run/{wildcards.task}/{policy}/steps",
                self._checks(wildcards.task, policy),
                "parquet",
            )
            for policy in self._checked(wildcards.task)
        ]

    def answer_table(self, wildcards: Wildcards) -> str:
        """The graded answers of a (task, policy)."""
        return self._answer_table(wildcards.origin, wildcards.task, wildcards.policy)

    def task_table(self, wildcards: Wildcards) -> str:
        """Facts about the problems of a job's task."""
        return self.problem_table(wildcards.task)

    def sample_receipt(self, wildcards: Wildcards) -> list[str]:
        """Receipt of the pools of a (task, policy)."""
        return self._receipts("samples", wildcards.task, wildcards.policy)

    def answer_receipts(self, wildcards: Wildcards) -> list[str]:
        """Receipts of all answers of a (task, policy)."""
        return [] if wildcards.origin == "adopted" else self.run_receipts(wildcards)

    def run_receipts(self, wildcards: Wildcards) -> list[str]:
        """Receipts of the pools and searches of a (task, policy)."""
        searched = self._receipts("searches", wildcards.task, wildcards.policy)
        return [*self.sample_receipt(wildcards), *searched]

    def score_receipts(self, wildcards: Wildcards) -> list[str]:
        """Receipts of all step scores of a (task, policy)."""
        if wildcards.origin == "adopted":
            return []
        return self._receipts("step_scores", wildcards.task, wildcards.policy)

    def task_score_receipts(self, wildcards: Wildcards) -> list[str]:
        """Receipts of all step scores of a task."""
        return [
            receipt
            for policy in self.study.policies
            for receipt in self._receipts("step_scores", wildcards.task, policy)
        ]

    @property
    def description(self) -> str:
        """The study as the database holds it. Its name changes with anything that goes in.

        It must be a target itself: Snakemake does not miss an input whose product exists, but it
        does miss a target.
        """
        return self._named("study", self._database, "json")

    def _receipts(self, kind: Kind, task: str, policy: str) -> list[str]:
        """The receipts that a job waits for; none where all rows were stored before any job ran.

        A receipt that exists stays an input: without it, what a job waits for would change as soon
        as its cell is stored, and everything behind a generated cell would be made twice.
        """
        receipts = []
        for job in self._grid.jobs(kind, task, policy):
            receipt = self._named(_receipt_stem(job), self.request(job), "json")
            if job in self._unstored or Path(receipt).exists():
                receipts.append(receipt)
        return receipts

    def _answer_table(self, origin: str, task: str, policy: str) -> str:
        request = self._answers(origin, task, policy)
        return self._named(f"{origin}/{task}/{policy}/answers", request, "parquet")

    def _named(self, stem: str, request: Request, ending: str) -> str:
        """A path that carries the digest of what made the file.

        So a changed request is a missing file, also where Snakemake's own records are gone.
        """
        return f"{self.results}/{stem}-{request.digest}.{ending}"

    # --- the scale model's training ------------------------------------------------------------

    @property
    def micro_models(self) -> list[str]:
        """Folders of all models of the scale model."""
        return [f"{self.results}/models/{name}" for name in RECIPES]

    @property
    def micro_policy_pattern(self) -> str:
        """Names of its policies, as a wildcard's pattern."""
        return "|".join(map(re.escape, POLICIES))

    @property
    def micro_base_pattern(self) -> str:
        """Names of the bases of its PRMs, as a wildcard's pattern."""
        return "|".join(map(re.escape, BASES))

    @property
    def micro_prm_pattern(self) -> str:
        """Names of its PRMs, as a wildcard's pattern."""
        return "|".join(map(re.escape, PRMS))

    def micro_base_inputs(self, wildcards: Wildcards) -> str:
        """The policy that a base starts from."""
        return f"{self.results}/models/{BASES[wildcards.micro_base].start}"

    def micro_prm_inputs(self, wildcards: Wildcards) -> list[str]:
        """The model that a PRM is trained from, and the policies whose solutions it is trained
        on."""
        recipe = PRMS[wildcards.micro_prm]
        names = dict.fromkeys((recipe.base, *recipe.rollout_policies))
        return [f"{self.results}/models/{name}" for name in names]

    def micro_recipe(self, wildcards: Wildcards) -> str:
        """Parameter of the training rules."""
        (name,) = (
            getattr(wildcards, key)
            for key in ("micro_policy", "micro_base", "micro_prm")
            if hasattr(wildcards, key)
        )
        return TrainingRequest(RECIPES[name]).text

    # --- parameters and resources --------------------------------------------------------------

    def problems(self, wildcards: Wildcards) -> str:
        """Parameter of ``prepare_problems``."""
        return self._problems(wildcards.task).text

    def samples(self, wildcards: Wildcards) -> str:
        """Parameter of ``draw_samples`` and of its shards."""
        return self._parameter("samples", wildcards)

    def scores(self, wildcards: Wildcards) -> str:
        """Parameter of ``score_steps`` and of its shards."""
        return self._parameter("step_scores", wildcards)

    def searches(self, wildcards: Wildcards) -> str:
        """Parameter of ``search_trees`` and of its shards."""
        return self._parameter("searches", wildcards)

    def answers(self, wildcards: Wildcards) -> str:
        """Parameter of ``grade_answers``."""
        return self._answers(wildcards.origin, wildcards.task, wildcards.policy).text

    def grading_threads(self, wildcards: Wildcards) -> int:
        """Threads of ``grade_answers``. Arithmetic ends in integers: nothing is left to workers."""
        generated = self.study.task(wildcards.task).parameters is not None
        return 1 if generated else self.study.grading.workers

    def checks(self, wildcards: Wildcards) -> str:
        """Parameter of ``check_steps``."""
        return self._checks(wildcards.task, wildcards.policy).text

    def examination(self, wildcards: Wildcards) -> str:
        """Parameter of ``examine_prms``."""
        return self._examination(wildcards.task).text

    def estimates(self, wildcards: Wildcards) -> str:
        """Parameter of ``estimate_accuracy``."""
        return self._estimates(wildcards.origin, wildcards.task, wildcards.policy).text

    def database(self, _: Wildcards | None = None) -> str:
        """Parameter of ``describe_study``; a function, for Snakemake expands braces in texts."""
        return self._database.text

    def engines(self, kind: Kind) -> Callable[[Wildcards], int]:
        """Resource ``engine``: 1 for a job that will open engines, 0 where all is stored."""
        return lambda wildcards: int(self._has_work(kind, wildcards))

    def gpus(self, kind: Kind) -> Callable[[Wildcards], int]:
        """Resource ``gpu``: GPUs of a job, by the size of its models; 0 where all is stored."""
        return lambda wildcards: self._resources(kind, wildcards).gpus

    def memory(self, kind: Kind) -> Callable[[Wildcards, int], int]:
        """Resource ``mem_mb``: memory of the machine for a job [MB], more with every attempt."""
        return lambda wildcards, attempt: attempt * self._resources(kind, wildcards).memory_mb

    def minutes(self, kind: Kind) -> Callable[[Wildcards, int], int]:
        """Resource ``runtime``: time limit of a job [min], later with every attempt, at most a
        day."""
        return lambda wildcards, attempt: min(
            LONGEST_MINUTES, attempt * self._resources(kind, wildcards).minutes
        )

    @cached_property
    def _planned(self) -> Plan:
        return plan_of(self.study, *hardware_named(self.study), by_item=False)

    @cached_property
    def _covered(self) -> pl.DataFrame:
        return coverage(self.study, grid=self._grid)

    @cached_property
    def _unstored(self) -> frozenset[Job]:
        """Jobs some of whose rows are not stored."""
        status = zip(self._grid, self._covered["status"], strict=True)
        return frozenset(cell.job for cell, of_cell in status if of_cell != "stored")

    @cached_property
    def _rows_of(self) -> dict[Job, list[int]]:
        """Numbers of the rows of the plan that a job fills; all shards of a job fill the same."""
        rows: dict[Job, list[int]] = {}
        for row, cell in enumerate(self._grid):
            rows.setdefault(cell.job, []).append(row)
        return rows

    def _has_work(self, kind: Kind, wildcards: Wildcards) -> bool:
        # A job that has shards finds everything stored when its turn comes.
        if not hasattr(wildcards, "shard") and self._n_shards(kind, wildcards) > 1:
            return False
        return _job(kind, wildcards) in self._unstored

    def _resources(self, kind: Kind, wildcards: Wildcards) -> Resources:
        names = {
            "samples": lambda: [wildcards.policy],
            "step_scores": lambda: [wildcards.prm],
            "searches": lambda: [wildcards.policy, wildcards.prm],
        }[kind]()
        rows = self._rows_of[_job(kind, wildcards)] if self._has_work(kind, wildcards) else []
        to_do = self._planned.cells[rows]
        return resources(self.study, names, self._n_shards(kind, wildcards), to_do)

    # --- shards of large cells -----------------------------------------------------------------

    def shards(self, kind: Kind) -> Callable[[Wildcards], list[str]]:
        """Input of the rules of this zone: receipts of the shards that a job is split into; none
        for a job that is not."""

        def receipts(wildcards: Wildcards) -> list[str]:
            n_shards = self._n_shards(kind, wildcards)
            if n_shards == 1 or hasattr(wildcards, "shard"):
                return []
            job = _job(kind, wildcards)
            stem, request = _receipt_stem(job), self.request(job)
            return [
                self._named(f"{stem}-{shard}-of-{n_shards}", request, "json")
                for shard in range(1, n_shards + 1)
            ]

        return receipts

    def _n_shards(self, kind: Kind, wildcards: Wildcards) -> int:
        """Jobs that a job's problems are split over: ``samples_per_job`` bounds each; without it
        the price does, where several GPUs are to have work.

        A function of the configuration and the number of GPUs alone, so that the graph stays the
        same while results come in.
        """
        if self.study.samples_per_job is None:
            return self._shards_by_price.get(_job(kind, wildcards), 1)
        n_problems = self.study.problems or self.study.task(wildcards.task).n_problems
        # DVTS holds its smaller N: its one run draws as many samples as its largest.
        per_problem = sum(cell.budget for cell in self._grid.of_job(_job(kind, wildcards)))
        shards = math.ceil(n_problems * per_problem / self.study.samples_per_job)
        return max(1, min(n_problems, shards))

    @cached_property
    def _shards_by_price(self) -> dict[Job, int]:
        return shard_counts(self.study, self.n_gpus) if self.n_gpus > 1 else {}

    def request(self, job: Job, **shard: Shard) -> OfShards:
        """What a job of the generate zone is asked for, or a ``shard`` of it."""
        problems = self._of_task(job.task)
        of_job = self._grid.of_job(job)
        match job.kind:
            case "samples":
                return SamplesRequest(**problems, pools=_pools(of_job), **shard)
            case "step_scores":
                (scored,) = of_job
                return ScoresRequest(**problems, n=scored.n_units, spec=scored.spec, **shard)
            case "searches":
                searches = tuple(SearchPart(**_search(cell)) for cell in of_job)
                return SearchesRequest(**problems, searches=searches, **shard)

    def _parameter(self, kind: Kind, wildcards: Wildcards) -> str:
        job = _job(kind, wildcards)
        if name := getattr(wildcards, "shard", None):
            number, n_shards = map(int, name.split("-of-"))
            return self.request(job, shard=Shard(number=number, of=n_shards)).text
        return self.request(job).text

    # --- requests ------------------------------------------------------------------------------

    def _of_task(self, task: str) -> OfTask:
        entry = self.study.task(task)
        limit = self.study.problems if task in self.study.tasks else None
        return {"task": cells.task_spec(entry)["task"], "problems": limit}

    def _problems(self, task: str) -> ProblemsRequest:
        return ProblemsRequest(**self._of_task(task))

    def _answers(self, origin: str, task: str, policy: str) -> AnswersRequest:
        problems, graders = self._of_task(task), cells.graders(self.study)
        if origin == "adopted":
            specs = {policy: collection.spec for policy, collection in self._collections_on(task)}
            return AdoptedAnswersRequest(**problems, **graders, collections=specs)
        return RunAnswersRequest(
            **problems,
            **graders,
            policy=policy,
            pools=_pools(self._grid.of("samples", task, policy)),
            searches=self._searches_of(task, policy),
        )

    def _searches_of(self, task: str, policy: str) -> tuple[PrmSearchPart, ...]:
        of_policy = self._grid.of("searches", task, policy)
        return tuple(PrmSearchPart(prm=str(cell.prm), **_search(cell)) for cell in of_policy)

    def _checks(self, task: str, policy: str) -> ChecksRequest:
        pool = _pools(self._grid.of("samples", task, policy))["evaluation"]
        return ChecksRequest(
            **self._of_task(task),
            policy=policy,
            n=pool.n,
            samples=pool.spec,
            searches=self._searches_of(task, policy),
        )

    def _examination(self, task: str) -> ExaminationRequest:
        study, policies = self.study, self._checked(task)
        scores: dict[str, dict[str, Spec]] = {}
        for policy in policies:
            for prm, spec in self._scores_of(task, policy).items():
                scores.setdefault(prm, {})[policy] = spec
        return ExaminationRequest(
            task=task,
            checks={policy: self._checks(task, policy).digest for policy in policies},
            scores=scores,
            settings=AbilitySettings(
                replicates=study.statistics.bootstrap_replicates,
                confidence=study.statistics.confidence,
                seed=study.seed,
            ),
        )

    def _estimates(self, origin: str, task: str, policy: str) -> EstimatesRequest:
        study = self.study
        answers = self._answers(origin, task, policy).digest
        settings = EstimateSettings(
            budgets=study.budgets if origin == "adopted" else study.budgets_of(policy),
            beam_width=study.beam_width,
            easy=study.difficulty.easy,
            medium=study.difficulty.medium,
            bootstrap_replicates=study.statistics.bootstrap_replicates,
            vote_subsets=study.statistics.vote_subsets,
            confidence=study.statistics.confidence,
            seed=study.seed,
        )
        if origin == "adopted":
            return AdoptedEstimatesRequest(
                answers=answers,
                task=task,
                settings=settings,
                collections=tuple(
                    AdoptedPolicyPart(
                        **_size(study.policy_facts(str(collection.entry.policy))),
                        policy=name,
                        adopted=AdoptedScores(prm=collection.entry.prm, spec=collection.spec),
                    )
                    for name, collection in self._collections_on(task)
                ),
            )
        return RunEstimatesRequest(
            answers=answers,
            task=task,
            settings=settings,
            **_size(study.policy(policy)),
            policy=policy,
            scores=self._scores_of(task, policy),
            **self._scored_in_part(task, policy),
        )

    def _scores_of(self, task: str, policy: str) -> dict[str, Spec]:
        of_policy = self._grid.of("step_scores", task, policy)
        return {str(cell.prm): cell.spec for cell in of_policy}

    def _scored_in_part(self, task: str, policy: str) -> _ScoredInPart:
        """Of PRMs that read less than the whole pool, how many samples a problem."""
        pools = self._grid.of("samples", task, policy)
        size = max((cell.n_units for cell in pools if cell.pool == "evaluation"), default=0)
        of_prms = self._grid.of("step_scores", task, policy)
        in_part = {str(cell.prm): cell.n_units for cell in of_prms if cell.n_units < size}
        return {"scored": in_part} if in_part else {}

    @cached_property
    def _database(self) -> StudyDescription:
        # Keys that are empty unless a study varies are left out where they are: the digests of
        # studies that do not vary stay as they were.
        varying = ("prm_search_budgets", "overrides", "needed_for", "items")
        empty = dict.fromkeys((key for key in varying if not getattr(self.study, key)), True)
        study = self.study.model_dump(mode="json", exclude=RUN_TIME_KEYS | empty)
        adopted = [collection.entry for collection in self.collections]
        entries = [
            *(self.study.task(name) for name in self.tasks),
            *map(self.study.policy, self.study.policies),
            *(self.study.prm(name) for name in self.study.prms),
            *self.study.prompts,
            *adopted,
            *(self.study.policy_facts(entry.policy) for entry in adopted if entry.policy),
            *(self.study.prm_facts(prm) for entry in adopted for prm in entry.prms),
        ]
        return StudyDescription(
            study=study,
            entries=[
                entry.model_dump(mode="json", exclude=RUN_TIME_KEYS_OF_MODELS) for entry in entries
            ],
            # Whatever else changes a result changes the name of a file that goes in.
            tables=[*self.problem_tables, *self.estimate_tables, *self.ability_tables],
        )

    @property
    def code_records(self) -> list[str]:
        """``code`` of every command in ``FUNCTIONS``. They must be targets themselves, as
        ``description`` is."""
        return [self.code(verb) for verb in FUNCTIONS]

    def code(self, verb: str) -> str:
        """The record of the code of a rule's command (a key of ``FUNCTIONS``), an input of that
        rule: changed code is a missing file, also where Snakemake's own records are gone. The files
        of the code as inputs would be read anew for every output.

        The rules of the generate zone have none on purpose: there, only the spec counts.
        """
        notebooks = map(Path, self.notebook_sources if verb == "run-notebooks" else ())
        return f"{self.results}/code/{verb}-{digest_of(sources_of(verb, notebooks))[:12]}"


def _job(kind: Kind, wildcards: Wildcards) -> Job:
    prm = None if kind == "samples" else wildcards.prm
    return Job(kind, wildcards.task, wildcards.policy, prm)


class OfTask(TypedDict):
    """Fields of every request about the problems of a task."""

    task: Spec
    problems: int | None


class _ScoredInPart(TypedDict, total=False):
    scored: Mapping[str, int]


class _Size(TypedDict):
    n_parameters: int | None
    is_reasoning: bool


def _size(entry: PolicyEntry | OutsidePolicy) -> _Size:
    return {"n_parameters": entry.n_parameters, "is_reasoning": entry.is_reasoning}


def _pools(pools: Iterable[Cell]) -> dict[str, PoolPart]:
    return {str(cell.pool): PoolPart(n=cell.n_units, spec=cell.spec) for cell in pools}


class _Search(TypedDict):
    method: str
    budget: int
    subtrees: int
    spec: Spec


def _search(cell: Cell) -> _Search:
    return {
        "method": cell.method,
        "budget": cell.budget,
        "subtrees": cell.n_units,
        "spec": cell.spec,
    }


def _receipt_stem(job: Job) -> str:
    names = ("run", job.task, job.policy, job.prm, RECEIPTS[job.kind])
    return "/".join(name for name in names if name)


def _shown(file: Path | str) -> Path:
    """A path as people write it: relative where it lies below the working directory."""
    path, folder = Path(file), Path.cwd()
    return path.relative_to(folder) if path.is_relative_to(folder) else path


class _WithErrorsInWords:
    """A plan whose every answer to Snakemake is an answer, or one message and the end."""

    def __init__(self, plan: StudyPlan) -> None:
        self._plan = plan

    def __getattr__(self, name: str) -> Any:
        return _with_errors_in_words(getattr)(self._plan, name)


def _with_errors_in_words(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, and each function that it returns, with errors in words as its end."""

    @wraps(function)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        try:
            result = function(*arguments, **named)
        except BaseException as error:
            if (problem := in_words(error)) is None:
                raise
            # Snakemake gives a stack trace for every exception but this one.
            sys.exit(f"error: {problem}")
        return _with_errors_in_words(result) if isroutine(result) else result

    return wrapped


class Workflow(Protocol):
    """What the Snakefile hands over of Snakemake's own."""

    configfiles: Sequence[Path | str]
    config_settings: Any
    global_resources: Mapping[str, Any]
    remote_exec: bool


def for_snakemake(workflow: Workflow) -> Any:
    """``StudyPlan.read`` for the Snakefile: an error ends Snakemake with its message alone."""
    # A job on another machine has a limit of its own, which says nothing of the whole run.
    limit = None if workflow.remote_exec else workflow.global_resources.get("gpu")
    n_gpus = limit.value if limit is not None and isinstance(limit.value, int) else 1
    return _WithErrorsInWords(
        _with_errors_in_words(StudyPlan.read)(
            workflow.configfiles, workflow.config_settings.config_args, n_gpus
        )
    )
