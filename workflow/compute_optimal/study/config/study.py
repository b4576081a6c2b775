"""A study: tasks x policies x PRMs x methods x budgets, checked against the registry."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from compute_optimal.errors import StudyError
from compute_optimal.study.config.hardware import HardwareEntry, load_hardware
from compute_optimal.study.config.model_config import contradictions
from compute_optimal.study.config.reading import (
    Finding,
    check_secrets,
    merged,
    nearest,
    read_mapping,
    refuse,
    suggestion,
    validated,
)
from compute_optimal.study.config.registry import (
    LARGEST_BUDGET,
    LARGEST_SEED,
    MOST_PROBLEMS,
    AdoptedEntry,
    Checked,
    Entry,
    Folder,
    Line,
    LockFile,
    ModelEntry,
    OutsidePolicy,
    OutsidePrm,
    PolicyEntry,
    PrmEntry,
    PromptFamily,
    Registry,
    TaskEntry,
    load_lock,
    load_registry,
)
from compute_optimal.study.config.variation import (
    SCORED_METHODS,
    SEARCH_METHODS,
    Budget,
    Method,
    Part,
    PolicyOverride,
)


class Difficulty(Checked):
    """Absolute difficulty of a problem for a policy (paper, section 3.2)."""

    n_samples: int = Field(
        default=64,
        gt=0,
        le=65_536,
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
        default=1000, ge=100, le=100_000, description="Resamplings behind each interval [count]"
    )
    vote_subsets: int = Field(
        default=100,
        ge=10,
        le=10_000,
        description="Subsets of a pool of more than 20 samples behind each prm_vote estimate "
        "[count]",
    )
    confidence: float = Field(
        default=0.95, gt=0.5, le=0.9999, description="Level of the intervals [fraction]"
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
    """Limits of the answer checker, whose input is what models wrote."""

    seconds: float = Field(
        default=10.0, ge=0.1, le=3600, description="Hard limit of one comparison [s]"
    )
    workers: int = Field(
        default=2, gt=0, le=1024, description="Processes that compare answers [count]"
    )


class StoreFolders(Checked):
    """Where intermediate results lie."""

    writable: Folder = Field(
        default=Path("store"), description="Folder that new results are added to"
    )
    shipped: Folder = Field(
        default=Path("data/store"), description="Read-only folder of shipped results"
    )
    remotes: tuple[Line, ...] = Field(
        default=(),
        description="Folders or addresses of published stores, such as s3://bucket/folder; when a "
        "run starts, what the two folders lack is fetched from the first that has it",
    )


class Study(Checked):
    """One configuration file. Paths are relative to the root of the repository."""

    name: str = Field(
        pattern="^[a-z0-9][a-z0-9-]*$",
        max_length=64,
        description="Name of the study: lower case, digits, hyphens",
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
        le=MOST_PROBLEMS,
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
        min_length=1,
        description="Test-time methods",
    )
    adopted: tuple[str, ...] = Field(
        default=(), description="Collections of others' rollouts, from registry/adopted.yaml"
    )
    budgets: tuple[Budget, ...] = Field(
        default=(4, 16, 64, 256),
        min_length=1,
        description="Budgets N, ascending; searches need multiples of beam_width [samples]",
    )
    search_budgets: tuple[Budget, ...] | None = Field(
        default=None,
        min_length=1,
        description="Those of the budgets that searches are run at; null is all of them [samples]",
    )
    prm_search_budgets: Mapping[str, tuple[Budget, ...]] = Field(
        default={},
        description="What stands in the place of search_budgets with single PRMs, by their names; "
        "of these budgets a policy is searched at those that it has, unless its override names "
        "search_budgets [samples]",
    )
    overrides: Mapping[str, PolicyOverride] = Field(
        default={}, description="What differs for single policies, by their names"
    )
    needed_for: Mapping[str, tuple[Part, ...]] = Field(
        default={},
        description="What a figure or table needs, as parts of the study, by its name; where any "
        "is named, the study is what they need together and nothing else",
    )
    items: str = Field(
        default="",
        max_length=500,
        description="Names under needed_for, separated by commas, that the study is narrowed to; "
        "empty is all of them",
    )
    beam_width: int = Field(
        default=4,
        gt=0,
        le=LARGEST_BUDGET,
        description="Continuations M of each kept path of a search [count]",
    )
    max_steps: int = Field(
        default=40, gt=0, le=10_000, description="A search path ends after this many steps [steps]"
    )
    search_variant: Literal["paper", "search-and-learn"] = Field(
        default="paper", description="Whose search rules to follow where the two differ"
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=LARGEST_SEED,
        description="Seed that every sample's own seed is derived from",
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
    verdicts: Literal["stored", "anew"] = Field(
        default="stored",
        description="Whether verdicts on the answers of adopted rollouts are taken as they are "
        "stored for this version of the grader, or all made again, as make verify does",
    )
    samples_per_job: int | None = Field(
        default=None,
        gt=0,
        le=10**9,
        description="Jobs of more samples than this (of all pools, or of all searches, that one "
        "makes) are split by problems; null splits none, but by price where there are several "
        "GPUs [samples]",
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
        default=Path("results/NAME"),
        description="Folder of figures, tables and the database; NAME is the study's name",
    )
    registry: Folder = Field(
        default=Path("config/registry"), description="Folder of the registry files"
    )
    lock_file: Folder = Field(
        default=Path("config/models.lock.json"),
        description="File that pins the content of each model",
    )

    _registry: Registry = PrivateAttr()
    _hardware: Mapping[str, HardwareEntry] = PrivateAttr()
    _lock: LockFile = PrivateAttr()
    _warnings: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _results_of_its_own(self) -> Self:
        # Two studies that leave it out must not write over each other's results.
        if "results" not in self.model_fields_set:
            object.__setattr__(self, "results", Path("results") / self.name)
        return self

    def read_registry(self) -> Registry:
        """The registry as its files are now. Raises ``StudyError`` for a bad one."""
        return load_registry(self.registry)

    def read_lock(self) -> LockFile:
        """The lock file as it is now. Raises ``StudyError`` for a bad one."""
        return load_lock(self.lock_file)

    @property
    def known_hardware(self) -> Mapping[str, HardwareEntry]:
        """GPUs of the registry, by name."""
        return self._hardware

    @property
    def budgets_of_searches(self) -> tuple[int, ...]:
        """Budgets of beam search and DVTS, ascending, but for policies and PRMs with their own."""
        return self.budgets if self.search_budgets is None else self.search_budgets

    def budgets_of(self, policy: str) -> tuple[int, ...]:
        """Budgets of one policy, ascending."""
        return self._override(policy).budgets or self.budgets

    def search_budgets_of(self, policy: str, prm: str | None) -> tuple[int, ...]:
        """Budgets of one policy's beam searches and DVTS with one PRM, ascending; ``prm`` None:
        with one that has no budgets of its own."""
        if (overriding := self._override(policy).search_budgets) is not None:
            return overriding
        budgets = self.budgets_of(policy)
        search_budgets = self.prm_search_budgets.get(prm or "", self.search_budgets)
        if search_budgets is None:
            return budgets
        return tuple(n for n in search_budgets if n in budgets)

    def tasks_of(self, policy: str) -> tuple[str, ...]:
        """Tasks that one policy is run on."""
        return self._override(policy).tasks or self.tasks

    def prms_of(self, policy: str) -> tuple[str, ...]:
        """PRMs that one policy is run with."""
        prms = self._override(policy).prms
        return self.prms if prms is None else prms

    def methods_of(self, policy: str) -> tuple[Method, ...]:
        """Methods that one policy is run with."""
        return self._override(policy).methods or self.methods

    @property
    def every_budget(self) -> tuple[int, ...]:
        """Budgets of the study and of any of its policies, ascending."""
        own = (budget for override in self.overrides.values() for budget in override.budgets or ())
        return tuple(sorted({*self.budgets, *own}))

    @property
    def selected_items(self) -> tuple[str, ...]:
        """Items that the study is made for, in the order of ``needed_for``."""
        named = _listed(self.items)
        return tuple(name for name in self.needed_for if not named or name in named)

    def _override(self, policy: str) -> PolicyOverride:
        return self.overrides.get(policy, _NO_OVERRIDE)

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
        """Registry entry of a policy, with the sampling that the study gives it."""
        entry = self._registry.policy(name)
        if name not in self.overrides:
            return entry
        sampling = self.overrides[name].sampling.over(entry.sampling)
        return entry.model_copy(update={"sampling": sampling})

    def prm(self, name: str) -> PrmEntry:
        """Registry entry of a PRM."""
        return self._registry.prm(name)

    def policy_facts(self, name: str) -> PolicyEntry | OutsidePolicy:
        """What is known of a policy, whether or not it can run here."""
        return self._registry.policy_facts(name)

    def prm_facts(self, name: str) -> PrmEntry | OutsidePrm:
        """What is known of a PRM, whether or not it can run here."""
        return self._registry.prm_facts(name)

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


_NO_OVERRIDE = PolicyOverride()


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def load_study(
    path: Path | str, overrides: Mapping[str, Any] | None = None, *, locking: bool = False
) -> Study:
    """Read and check one configuration file, with the registry and the lock file that it names;
    ``overrides`` are laid over its keys.

    Raises one ``StudyError`` that lists everything that is wrong with the first bad file.
    ``locking`` says that the lock file is about to be written, and may be absent.
    """
    content = merged(read_mapping(Path(path)), overrides or {})
    return parse_study(content, where=str(path), locking=locking)


def described_study(file: Path, registry: Path, lock_file: Path) -> Study:
    """The study that ``describe_study`` wrote, with the ``registry`` and ``lock_file`` given here.

    Raises ``StudyError`` as ``load_study`` does, and for a file that is not what was written.
    """
    places = {"registry": str(registry), "lock_file": str(lock_file)}
    try:
        described = {**json.loads(file.read_bytes())["study"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(
            "the description of the study cannot be read",
            where=str(file),
            cure="remove the file; make writes it again",
        ) from error
    return parse_study({**described, **places}, where=str(file))


def results_folder(study: Study) -> list[str]:
    """The command ``results-folder``: where a study's results lie, one line."""
    return [str(study.results)]


def hardware_named(study: Study, name: str | None = None) -> tuple[str, HardwareEntry]:
    """The GPU called ``name``, by default the one that the study names, else the first of the
    table: its name and its entry.

    Raises ``StudyError`` for an unknown name.
    """
    table = study.known_hardware
    name = name or study.hardware or next(iter(table))
    if name not in table:
        raise StudyError(
            f"there is no hardware called {name}",
            where=str(study.registry / "hardware.yaml"),
            cure=suggestion(name, table),
        )
    return name, table[name]


def parse_study(
    content: Mapping[str, Any], where: str = "the configuration", *, locking: bool = False
) -> Study:
    """Check a configuration that was read before from ``where``, as errors call it.

    Raises ``StudyError`` as ``load_study`` does, and for what looks like a secret.
    """
    check_secrets(content, where)
    wrong: set[str] = set()
    findings: list[Finding] = []
    study = validated(Study, content)
    if isinstance(study, list):
        findings = study
        # What is said between keys is said as far as these keys are right themselves.
        wrong = {finding.key.partition(".")[0].partition("[")[0] for finding in findings}
        wrong |= {meant for key in wrong if (meant := nearest(key, Study.model_fields))}
        rest = {key: value for key, value in content.items() if str(key) not in wrong}
        study = validated(Study, {"name": "unnamed", **rest})
        if isinstance(study, list) or "registry" in wrong:
            refuse(findings, where)
            raise AssertionError(findings)
    assert isinstance(study, Study)
    if not (study.registry / "policies.yaml").exists():
        absent = Finding(
            "registry", f"{study.registry} holds no policies.yaml", "name the registry's folder"
        )
        refuse([*findings, absent], where)
    study._registry = load_registry(study.registry)
    study._hardware = load_hardware(study.registry)
    for keys, check in _CHECKS:
        if not wrong.intersection(keys):
            findings += check(study)
    if "lock_file" not in wrong:
        findings += _unusable_lock(study, where, locking=locking)
    refuse(findings, where)
    study._lock = load_lock(study.lock_file)
    study._warnings = (*_unreadable_solutions(study), *_equal_samples(study))
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
    # Of the registry, not of the study: a study can be narrowed to other PRMs.
    findings += [
        Finding("prm_search_budgets", f"there is no PRM {name}", suggestion(name, registry.prms))
        for name in study.prm_search_budgets
        if name not in registry.prms
    ]
    if study.hardware is not None and study.hardware not in study.known_hardware:
        findings.append(
            Finding(
                "hardware",
                f"{study.hardware} is not in {study.registry}/hardware.yaml",
                suggestion(study.hardware, study.known_hardware),
            )
        )
    return findings


def _repetitions(study: Study) -> list[Finding]:
    findings = []
    for key in ("tasks", "policies", "prms", "methods", "adopted"):
        names = getattr(study, key)
        findings += [
            Finding(key, f"{name} stands twice", "name it once")
            for name in dict.fromkeys(names)
            if names.count(name) > 1
        ]
    return findings


def _nothing_to_do(study: Study) -> list[Finding]:
    findings = []
    if not study.policies and not study.adopted:
        findings.append(
            Finding("policies", "nothing is studied", "name policies, or adopted collections")
        )
    if bool(study.policies) != bool(study.tasks):
        findings.append(
            Finding("tasks", "tasks and policies need each other", "name at least one of each")
        )
    return findings


def _no_prms(study: Study) -> list[Finding]:
    lacking = {
        policy: scored
        for policy in study.policies
        if (scored := [method for method in study.methods_of(policy) if method in SCORED_METHODS])
        and not study.prms_of(policy)
    }
    if not lacking:
        return []
    policy, scored = next(iter(lacking.items()))
    key = f"overrides.{policy}.prms" if study.prms else "prms"
    return [
        Finding(
            key,
            f"{', '.join(scored)} need a PRM, and none is named",
            "name PRMs, or keep only the methods cot and majority",
        )
    ]


def _disorder(study: Study) -> list[Finding]:
    findings = []
    if list(study.budgets) != sorted(set(study.budgets)):
        findings.append(
            Finding(
                "budgets",
                f"{list(study.budgets)} is not ascending, or repeats a budget",
                f"write {sorted(set(study.budgets))}",
            )
        )
    if unknown := sorted(set(study.budgets_of_searches) - set(study.budgets)):
        findings.append(
            Finding(
                "search_budgets", f"{unknown} are not among budgets", "take them out or add them"
            )
        )
    by_key = {"search_budgets": study.search_budgets or ()}
    by_key |= {f"prm_search_budgets.{prm}": own for prm, own in study.prm_search_budgets.items()}
    findings += [
        Finding(key, "not ascending", "sort them, each once")
        for key, budgets in by_key.items()
        if list(budgets) != sorted(set(budgets))
    ]
    return findings


def _indivisible(study: Study) -> list[Finding]:
    key = "budgets" if study.search_budgets is None else "search_budgets"
    searched = [(key, study.budgets_of_searches, study.methods)]
    for prm, budgets in study.prm_search_budgets.items():
        searched.append((f"prm_search_budgets.{prm}", budgets, study.methods))
    for name, override in study.overrides.items():
        # What is the study's own is said of the study.
        if override.budgets is not None or override.search_budgets is not None:
            key = "budgets" if override.search_budgets is None else "search_budgets"
            budgets = study.search_budgets_of(name, None)
            searched.append((f"overrides.{name}.{key}", budgets, study.methods_of(name)))
    return [
        Finding(
            f"{key}[{index}]",
            f"budget {budget} is not divisible by beam_width {study.beam_width}, "
            f"as {' and '.join(searches)} need",
            f"use {max(1, budget // study.beam_width) * study.beam_width}, or another beam_width",
        )
        for key, budgets, methods in searched
        if (searches := [method for method in methods if method in SEARCH_METHODS])
        for index, budget in enumerate(budgets)
        if budget % study.beam_width
    ]


def _unknown_in_overrides(study: Study) -> list[Finding]:
    """In overrides: names and budgets that the study has not, sampling that contradicts itself,
    budgets out of order."""
    findings = []
    own: dict[str, tuple[str, ...]] = {
        "tasks": study.tasks, "prms": study.prms, "methods": study.methods,
    }  # fmt: skip
    for name, override in study.overrides.items():
        place = f"overrides.{name}"
        if name not in study.policies:
            what = f"{name} is not among the policies of the study"
            findings.append(Finding(place, what, suggestion(name, study.policies)))
        for key, names in override.names():
            findings += _not_of_study(f"{place}.{key}", key, names, own[key])
        if name in study._registry.policies:
            for complaint in study.policy(name).complaints():
                what, _, cure = complaint.partition(" || ")
                findings.append(Finding(f"{place}.sampling", what, cure))
        for key, budgets, known in (
            ("budgets", override.budgets, None),
            ("search_budgets", override.search_budgets, override.budgets or study.budgets),
        ):
            if budgets is not None and list(budgets) != sorted(set(budgets)):
                what = f"{list(budgets)} is not ascending, or repeats a budget"
                cure = f"write {sorted(set(budgets))}"
                findings.append(Finding(f"{place}.{key}", what, cure))
            elif known and (unknown := sorted(set(budgets or ()) - set(known))):
                what = f"{unknown} are not among its budgets"
                findings.append(Finding(f"{place}.{key}", what, "take them out or add them"))
    return findings


def _unknown_in_items(study: Study) -> list[Finding]:
    """Items that are no names or unknown, and in the parts that they need names and budgets that
    the study has not."""
    findings = []
    own: dict[str, tuple[str, ...]] = {
        "tasks": study.tasks,
        "policies": study.policies,
        "prms": study.prms,
        "methods": study.methods,
    }
    for item, parts in study.needed_for.items():
        if not item.strip() or not item.isprintable() or "," in item or len(item) > 100:
            what = f"{item[:80]!r} is no name of an item"
            cure = "write one line of at most 100 characters without a comma, such as Table 3"
            findings.append(Finding("needed_for", what, cure))
        for index, part in enumerate(parts):
            place = f"needed_for.{item}[{index}]"
            for key, names in part.names():
                findings += _not_of_study(f"{place}.{key}", key, names, own[key])
            policies = [name for name in part.policies or study.policies if name in study.policies]
            known = {budget for policy in policies for budget in study.budgets_of(policy)}
            if unknown := sorted(set(part.budgets or ()) - known):
                what = f"{unknown} are not among the budgets of {', '.join(policies[:3])}"
                cure = (
                    f"use those of {sorted(known)}, or add them: budgets, or overrides of a policy"
                )
                findings.append(Finding(f"{place}.budgets", what, cure))
    for name in _listed(study.items):
        if name not in study.needed_for:
            what = f"there is no item {name[:80]!r} in this study"
            findings.append(Finding("items", what, suggestion(name, study.needed_for)))
    if study.items and not _listed(study.items):
        findings.append(Finding("items", f"{study.items!r} names no item", "name one, or none"))
    return findings


def _not_of_study(
    place: str, key: str, names: Sequence[str], known: Sequence[str]
) -> Iterator[Finding]:
    """Names that the study has not under ``key``, or that stand twice."""
    for name in dict.fromkeys(names):
        if name not in known:
            what = f"{name} is not among the {key} of the study"
            yield Finding(place, what, suggestion(name, known))
        elif names.count(name) > 1:
            yield Finding(place, f"{name} stands twice", "name it once")


def _inverted_thresholds(study: Study) -> list[Finding]:
    if study.difficulty.medium < study.difficulty.easy:
        return []
    return [
        Finding(
            "difficulty.medium",
            f"medium {study.difficulty.medium} is not below easy {study.difficulty.easy}",
            "give medium the lower Pass@1",
        )
    ]


def _too_many_problems(study: Study) -> list[Finding]:
    known = study._registry.tasks
    return [
        Finding(
            "problems",
            f"{study.problems} is more than the {known[name].n_problems} problems of {name}",
            f"write at most {known[name].n_problems}, or take problems out to study all",
        )
        for name in study.tasks
        if name in known and (study.problems or 0) > known[name].n_problems
    ]


def _same_titles(study: Study) -> list[Finding]:
    """Entries of one title, which figures and tables would take for one."""
    registry = study._registry
    adopted = [registry.adopted[name] for name in study.adopted if name in registry.adopted]
    policies: dict[str, Entry] = {**registry.policies, **registry.outside_policies}
    prms: dict[str, Entry] = {**registry.prms, **registry.outside_prms}
    sections: dict[str, tuple[Iterable[str], Mapping[str, Entry]]] = {
        "tasks": ((*study.tasks, *(entry.task for entry in adopted)), registry.tasks),
        "policies": (
            (*study.policies, *(entry.policy for entry in adopted if entry.policy)),
            policies,
        ),
        "prms": ((*study.prms, *(prm for entry in adopted for prm in entry.prms)), prms),
    }
    findings = []
    for key, (names, known) in sections.items():
        by_title: dict[str, str] = {}
        for name in dict.fromkeys(name for name in names if name in known):
            title = known[name].title
            if (first := by_title.setdefault(title.casefold(), name)) != name:
                findings.append(
                    Finding(
                        key,
                        f"{first} and {name} have one title, {title!r}",
                        f"give one of them another in {study.registry}/{key}.yaml",
                    )
                )
    return findings


def _paths_in_each_other(study: Study) -> list[Finding]:
    """Folders of new results, shipped ones and figures that are files, hold one another, or hold
    what is read."""
    written = {"store.writable": study.store.writable, "results": study.results}
    kept_apart = {**written, "store.shipped": study.store.shipped}
    findings = [
        Finding(key, f"{path} is a file, and a folder is needed", "name a folder")
        for key, path in kept_apart.items()
        if _is_file(path)
    ]
    for (key, path), (other_key, other) in combinations(kept_apart.items(), 2):
        if path.absolute() == other.absolute() or path.resolve() == other.resolve():
            what = f"{path} is {other_key} too"
        elif _within(path, other):
            what = f"{path} lies in {other_key}, {other}"
        elif _within(other, path):
            what = f"{other_key}, {other}, lies in {path}"
        else:
            continue
        findings.append(Finding(key, what, "give each a folder of its own"))
    inputs = {"registry": study.registry, "lock_file": study.lock_file}
    if study.mirror is not None:
        inputs["mirror"] = study.mirror
    for key, path in written.items():
        endangered = next(
            (
                what
                for what, place in (
                    ("the working directory", Path.cwd()),
                    *((f"{name}, {place}", place) for name, place in inputs.items()),
                )
                if _within(place, path) or place.resolve() == path.resolve()
            ),
            None,
        )
        if endangered is not None:
            cure = "give it a folder of its own; what is in it is written over or removed"
            findings.append(Finding(key, f"{path} is or holds {endangered}", cure))
    return findings


def _absent_mirror(study: Study) -> list[Finding]:
    if study.mirror is None or study.mirror.is_dir():
        return []
    cure = "correct it, or take it out to use the environment variable MIRROR or to download"
    return [Finding("mirror", f"{study.mirror} is no folder", cure)]


def _unusable_lock(study: Study, where: str, *, locking: bool) -> list[Finding]:
    path = study.lock_file
    if path.exists() and not path.is_file():
        return [Finding("lock_file", f"{path} is no file", "name a file")]
    named = path != type(study).model_fields["lock_file"].default
    if not named or path.exists() or locking:
        return []
    return [
        Finding(
            "lock_file",
            f"{path} does not exist",
            f"correct it, or make it: python -m compute_optimal lock --config {where}",
        )
    ]


def _denied_by_models(study: Study) -> list[Finding]:
    """What the registry says of a model in a folder, and its ``config.json`` denies."""
    registry = study._registry
    sections: dict[str, tuple[tuple[str, ...], Mapping[str, ModelEntry]]] = {
        "policies": (study.policies, registry.policies),
        "prms": (study.prms, registry.prms),
    }
    findings = []
    for key, (names, known) in sections.items():
        for index, name in enumerate(names):
            folder = known[name].path if name in known else None
            for denied, cure in contradictions(known[name], folder) if folder else ():
                what = f"{study.registry}/{key}.yaml, {key}.{name}: {denied}"
                findings.append(Finding(f"{key}[{index}]", what, cure))
    return findings


def _is_file(path: Path) -> bool:
    return path.exists() and not path.is_dir()


def _within(path: Path, folder: Path) -> bool:
    inner, outer = path.resolve(), folder.resolve()
    return inner != outer and inner.is_relative_to(outer)


def _unreadable_steps(study: Study) -> list[Finding]:
    """Steps that a PRM cannot read at all."""
    registry = study._registry
    pairs = [
        (registry.prms[prm], study.policy(name))
        for prm in study.prms
        if prm in registry.prms
        for name in study.policies
        if name in registry.policies
        and prm in study.prms_of(name)
        and any(method in SEARCH_METHODS for method in study.methods_of(name))
    ]
    return [
        Finding(
            "prms",
            f"one step of {policy.name} may have {policy.sampling.max_step_tokens} tokens, and "
            f"{prm.name} reads only {prm.context}, its context",
            f"lower sampling.max_step_tokens of {policy.name} in the registry, or leave the pair "
            "out",
        )
        for prm, policy in pairs
        if policy.sampling.max_step_tokens > prm.context
    ]


def _unreadable_solutions(study: Study) -> Iterator[str]:
    """A sentence for each PRM that reads less than a policy may write."""
    scored = [
        name
        for name in study.policies
        if any(method in SCORED_METHODS for method in study.methods_of(name))
    ]
    for prm in map(study.prm, study.prms):
        policies = [study.policy(name) for name in scored if prm.name in study.prms_of(name)]
        if longer := [policy.name for policy in policies if policy.context > prm.context]:
            yield (
                f"{prm.name} reads {prm.context} tokens; longer solutions cannot be scored and are "
                f"reported. Policies that may write longer ones: {', '.join(longer)}"
            )


def _equal_samples(study: Study) -> Iterator[str]:
    """A sentence on policies whose pools and searches would draw one sample over and over."""
    drawing = [name for name in study.policies if set(study.methods_of(name)) != {"cot"}]
    of_each = {name: study.policy(name).sampling for name in drawing}
    if greedy := [name for name, s in of_each.items() if s.temperature == 0 or s.top_k == 1]:
        yield (
            "all samples of a problem will be the same, drawn greedily (temperature 0 or top_k 1): "
            f"{', '.join(greedy)}"
        )


_CHECKS: tuple[tuple[tuple[str, ...], Callable[[Study], list[Finding]]], ...] = (
    (
        ("tasks", "policies", "prms", "prm_search_budgets", "adopted", "hardware"),
        _unknown_names,
    ),
    (("tasks", "policies", "prms", "methods", "adopted"), _repetitions),
    (("tasks", "policies", "adopted"), _nothing_to_do),
    (("policies", "prms", "methods", "overrides"), _no_prms),
    (("budgets", "search_budgets", "prm_search_budgets"), _disorder),
    (
        ("budgets", "search_budgets", "prm_search_budgets", "methods", "beam_width", "overrides"),
        _indivisible,
    ),
    (("tasks", "policies", "prms", "methods", "budgets", "overrides"), _unknown_in_overrides),
    (
        ("tasks", "policies", "prms", "methods", "budgets", "overrides", "needed_for", "items"),
        _unknown_in_items,
    ),
    (("difficulty",), _inverted_thresholds),
    (("tasks", "problems"), _too_many_problems),
    (("tasks", "policies", "prms", "adopted"), _same_titles),
    (("store", "results", "lock_file", "mirror", "registry"), _paths_in_each_other),
    (("mirror",), _absent_mirror),
    (("policies", "prms"), _denied_by_models),
    (("policies", "prms", "methods", "overrides"), _unreadable_steps),
)
"""What must hold between keys: the keys that each check reads, and the check."""
