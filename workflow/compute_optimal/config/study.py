"""A study: tasks x policies x PRMs x methods x budgets, checked against the registry."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr

from compute_optimal.config.reading import (
    Finding,
    check_secrets,
    merged,
    read_mapping,
    refuse,
    suggestion,
    validated,
)
from compute_optimal.config.registry import (
    AdoptedEntry,
    Checked,
    Folder,
    LockFile,
    PolicyEntry,
    PrmEntry,
    PromptFamily,
    Registry,
    TaskEntry,
    load_lock,
    load_registry,
)

Method = Literal["cot", "majority", "best_of_n", "beam_search", "dvts"]
SEARCH_METHODS: tuple[Method, ...] = ("beam_search", "dvts")
SCORED_METHODS: tuple[Method, ...] = ("best_of_n", *SEARCH_METHODS)


class Difficulty(Checked):
    """Absolute difficulty of a problem for a policy (paper, section 3.2)."""

    n_samples: int = Field(
        default=64,
        gt=0,
        description="Samples per problem that estimate Pass@1, drawn apart from those that are "
        "evaluated [count]",
    )
    easy: float = Field(
        default=0.5, gt=0, le=1, description="A problem is easy from this Pass@1 on [fraction]"
    )
    medium: float = Field(
        default=0.1, ge=0, lt=1, description="Medium from this Pass@1 on; hard below [fraction]"
    )


class Statistics(Checked):
    """How precisely estimates and their intervals are computed."""

    bootstrap_replicates: int = Field(
        default=1000, ge=100, description="Resamplings behind each interval [count]"
    )
    vote_subsets: int = Field(
        default=100, ge=10, description="Subsets of the pool behind each prm_vote estimate [count]"
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="Level of the intervals [fraction]"
    )


class Aggregation(Checked):
    """How figures, tables and verdicts turn step scores and votes into one answer."""

    # ASSUME: the paper does not say which it uses. Here it is the score of the last step, by which
    # beam search and DVTS also search, and the answer of the best trajectory.
    scoring: Literal["prm_min", "prm_last", "prm_avg"] = Field(
        default="prm_last", description="From the scores of steps to one of the trajectory"
    )
    voting: Literal["prm_max", "prm_vote"] = Field(
        default="prm_max", description="From trajectories to one answer"
    )


class Grading(Checked):
    """Limits of the answer checker, which runs on hostile text."""

    seconds: float = Field(default=10.0, gt=0, description="Hard limit of one comparison [s]")
    workers: int = Field(default=2, gt=0, description="Processes that compare answers [count]")


class StoreFolders(Checked):
    """Where intermediate results lie."""

    writable: Folder = Field(
        default=Path("store"), description="Folder that new results are added to"
    )
    shipped: Folder = Field(
        default=Path("data/store"), description="Read-only folder of shipped results"
    )
    remotes: tuple[str, ...] = Field(
        default=(),
        description="Folders or addresses of published stores, such as s3://bucket/folder; when a "
        "run starts, what the two folders lack is fetched from the first that has it",
    )


class Study(Checked):
    """One configuration file. Paths are relative to the root of the repository."""

    name: str = Field(
        pattern="^[a-z0-9][a-z0-9-]*$", description="Name of the study: lower case, digits, hyphens"
    )
    generate: Literal["never", "missing"] = Field(
        default="never",
        description="What to do about results that no store holds: stop and name them (never), "
        "or run the models (missing)",
    )
    tasks: tuple[str, ...] = Field(default=(), description="Problem sets, from registry/tasks.yaml")
    problems: int | None = Field(
        default=None,
        gt=0,
        description="Only the first this many problems of each task; null is all [count]",
    )
    policies: tuple[str, ...] = Field(
        default=(), description="Models that write solutions, from registry/policies.yaml"
    )
    prms: tuple[str, ...] = Field(
        default=(), description="Process reward models, from registry/prms.yaml"
    )
    methods: tuple[Method, ...] = Field(
        default=("cot", "majority", "best_of_n", "beam_search", "dvts"),
        description="Test-time methods",
    )
    adopted: tuple[str, ...] = Field(
        default=(), description="Collections of others' rollouts, from registry/adopted.yaml"
    )
    budgets: tuple[int, ...] = Field(
        default=(4, 16, 64, 256),
        min_length=1,
        description="Budgets N, ascending; searches need multiples of beam_width [samples]",
    )
    search_budgets: tuple[int, ...] | None = Field(
        default=None,
        min_length=1,
        description="Those of the budgets that searches are run at; null is all of them [samples]",
    )
    beam_width: int = Field(
        default=4, gt=0, description="Continuations M of each kept path of a search [count]"
    )
    max_steps: int = Field(
        default=40, gt=0, description="A search path ends after this many steps [steps]"
    )
    search_variant: Literal["paper", "search-and-learn"] = Field(
        default="paper", description="Whose search rules to follow where the two differ"
    )
    seed: int = Field(
        default=0, ge=0, description="Seed that every sample's own seed is derived from"
    )
    difficulty: Difficulty = Field(
        default=Difficulty(), description="When a problem is easy, medium or hard"
    )
    statistics: Statistics = Field(
        default=Statistics(), description="Precision of estimates and intervals"
    )
    aggregation: Aggregation = Field(
        default=Aggregation(),
        description="What figures, tables and verdicts show; all others are computed too",
    )
    grading: Grading = Field(default=Grading(), description="Limits of the answer checker")
    samples_per_job: int | None = Field(
        default=None,
        gt=0,
        description="Cells with more samples than this are split, by problems, into jobs of their "
        "own; null splits none [samples]",
    )
    hardware: str | None = Field(
        default=None,
        description="GPU of registry/hardware.yaml that plans, and what jobs ask of a cluster, are "
        "reckoned for; null is the first",
    )
    mirror: Folder | None = Field(
        default=None,
        description="Folder searched by sha256 for problem files before any download; null uses "
        "the environment variable MIRROR, if set",
    )
    store: StoreFolders = Field(
        default=StoreFolders(), description="Folders of intermediate results"
    )
    results: Folder = Field(
        default=Path("results"), description="Folder of figures, tables and the database"
    )
    registry: Folder = Field(
        default=Path("config/registry"), description="Folder of the registry files"
    )
    lock_file: Folder = Field(
        default=Path("config/models.lock.json"),
        description="File that pins the content of each model",
    )

    _registry: Registry = PrivateAttr()
    _lock: LockFile = PrivateAttr()
    _warnings: tuple[str, ...] = PrivateAttr(())

    @property
    def budgets_of_searches(self) -> tuple[int, ...]:
        """Budgets of beam search and DVTS, ascending."""
        return self.budgets if self.search_budgets is None else self.search_budgets

    @property
    def lock(self) -> LockFile:
        """What the lock file held when the study was read: model name -> what pins it."""
        return self._lock

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed but may surprise, one sentence each."""
        return self._warnings

    def task(self, name: str) -> TaskEntry:
        """Registry entry of a task; raises ``StudyError`` for an unknown name, as all these do."""
        return self._registry.task(name)

    def policy(self, name: str) -> PolicyEntry:
        """Registry entry of a policy."""
        return self._registry.policy(name)

    def prm(self, name: str) -> PrmEntry:
        """Registry entry of a PRM."""
        return self._registry.prm(name)

    def prompt_family(self, name: str) -> PromptFamily:
        """Prompt family of policies."""
        return self._registry.prompt_family(name)

    @property
    def prompts(self) -> tuple[PromptFamily, ...]:
        """Prompt families that the study's policies are asked with."""
        names = dict.fromkeys(self.policy(name).prompt for name in self.policies)
        return tuple(map(self.prompt_family, names))

    def adopted_collection(self, name: str) -> AdoptedEntry:
        """Registry entry of a collection of adopted rollouts."""
        return self._registry.adopted_collection(name)


def load_study(path: Path | str, overrides: Mapping[str, Any] | None = None) -> Study:
    """Read and check one configuration file; ``overrides`` are laid over its keys.

    Raises one ``StudyError`` that lists everything that is wrong with a file.
    """
    return parse_study(merged(read_mapping(Path(path)), overrides or {}), where=str(path))


def parse_study(content: Mapping[str, Any], where: str = "the configuration") -> Study:
    """Check a configuration that was read before, as by Snakemake. Raises ``StudyError``."""
    check_secrets(content, where)
    study = validated(Study, content)
    if isinstance(study, list):
        refuse(study, where)
    assert isinstance(study, Study)
    study._registry = load_registry(study.registry)
    study._lock = load_lock(study.lock_file)
    refuse([*_unknown_names(study), *_inconsistencies(study)], where)
    findings, warnings = _context_limits(study)
    refuse(findings, where)
    study._warnings = tuple(warnings)
    return study


def _unknown_names(study: Study) -> list[Finding]:
    registry = study._registry
    sections: dict[str, tuple[tuple[str, ...], Collection[str]]] = {
        "tasks": (study.tasks, registry.tasks),
        "policies": (study.policies, registry.policies),
        "prms": (study.prms, registry.prms),
        "adopted": (study.adopted, registry.adopted),
    }
    findings = [
        Finding(
            f"{key}[{index}]",
            f"{name} is not in {study.registry}/{key}.yaml",
            suggestion(name, known),
        )
        for key, (names, known) in sections.items()
        for index, name in enumerate(names)
        if name not in known
    ]
    for name in study.adopted:
        if (entry := registry.adopted.get(name)) is None:
            continue
        of_entry = {
            "task": (entry.task, registry.tasks),
            "policy": (entry.policy, registry.policies),
            "prm": (entry.prm, registry.prms),
        }
        findings += [
            Finding(f"adopted.{name}.{key}", f"{value} is not registered", suggestion(value, known))
            for key, (value, known) in of_entry.items()
            if value not in known
        ]
    return findings


def _inconsistencies(study: Study) -> list[Finding]:
    findings = []
    for key in ("tasks", "policies", "prms", "methods", "adopted"):
        names = getattr(study, key)
        findings += [
            Finding(key, f"{name} stands twice", "name it once")
            for name in dict.fromkeys(names)
            if names.count(name) > 1
        ]
    if not study.policies and not study.adopted:
        findings.append(
            Finding("policies", "nothing is studied", "name policies, or adopted collections")
        )
    if bool(study.policies) != bool(study.tasks):
        findings.append(
            Finding("tasks", "tasks and policies need each other", "name at least one of each")
        )
    scored = [method for method in study.methods if method in SCORED_METHODS]
    if study.policies and scored and not study.prms:
        findings.append(
            Finding(
                "prms",
                f"{', '.join(scored)} need a PRM, and none is named",
                "name PRMs, or keep only the methods cot and majority",
            )
        )
    if list(study.budgets) != sorted(set(study.budgets)) or study.budgets[0] < 1:
        findings.append(
            Finding(
                "budgets",
                f"{list(study.budgets)} is not ascending, or repeats a budget, or has one below 1",
                f"write {sorted({n for n in study.budgets if n > 0})}",
            )
        )
    if strays := sorted(set(study.budgets_of_searches) - set(study.budgets)):
        findings.append(
            Finding(
                "search_budgets", f"{strays} are not among budgets", "take them out or add them"
            )
        )
    named = list(study.search_budgets or ())
    if named != sorted(set(named)):
        findings.append(Finding("search_budgets", "not ascending", "sort them, each once"))
    searches = [method for method in study.methods if method in SEARCH_METHODS]
    key = "budgets" if study.search_budgets is None else "search_budgets"
    findings += [
        Finding(
            f"{key}[{index}]",
            f"budget {budget} is not divisible by beam_width {study.beam_width}, "
            f"as {' and '.join(searches)} need",
            f"use {max(1, budget // study.beam_width) * study.beam_width}, or another beam_width",
        )
        for index, budget in enumerate(study.budgets_of_searches)
        if searches and budget % study.beam_width
    ]
    if study.difficulty.medium >= study.difficulty.easy:
        findings.append(
            Finding(
                "difficulty.medium",
                f"medium {study.difficulty.medium} is not below easy {study.difficulty.easy}",
                "give medium the lower Pass@1",
            )
        )
    return findings


def _context_limits(study: Study) -> tuple[list[Finding], list[str]]:
    """What PRMs cannot read: a step alone is an error, a whole solution a warning."""
    findings, warnings = [], []
    searching = any(method in SEARCH_METHODS for method in study.methods)
    scoring = any(method in SCORED_METHODS for method in study.methods)
    policies = [study.policy(name) for name in study.policies]
    for prm in map(study.prm, study.prms if scoring else ()):
        for policy in policies if searching else ():
            if (step := policy.sampling.max_step_tokens) > prm.context:
                findings.append(
                    Finding(
                        "prms",
                        f"one step of {policy.name} may have {step} tokens, and {prm.name} reads "
                        f"only {prm.context}",
                        f"lower sampling.max_step_tokens of {policy.name} in the registry, or "
                        "leave the pair out",
                    )
                )
        if longer := [policy.name for policy in policies if policy.context > prm.context]:
            warnings.append(
                f"{prm.name} reads {prm.context} tokens; longer solutions cannot be scored and are "
                f"reported. Policies that may write longer ones: {', '.join(longer)}"
            )
    return findings, warnings
