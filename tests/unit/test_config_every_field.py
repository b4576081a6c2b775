"""Every field of every configuration model, with values nobody means: refused, or it works."""

from __future__ import annotations

import copy
import itertools
import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from default_study import POLICIES, PRM, ROOT, TASK
from drawn_cases import every_third
from pydantic import BaseModel

from compute_optimal.errors import StudyError
from compute_optimal.study.cells import Grid
from compute_optimal.study.config import Study, hardware_named, load_claims, load_study
from compute_optimal.study.config.claims import Claim, ClaimRule
from compute_optimal.study.config.hardware import HardwareEntry
from compute_optimal.study.config.registry import (
    AdoptedEntry,
    ChainParameters,
    HubRollouts,
    LockEntry,
    PolicyEntry,
    PrmEntry,
    PromptFamily,
    Sampling,
    TaskEntry,
)
from compute_optimal.study.config.study import Difficulty, Grading, Statistics, StoreFolders
from compute_optimal.study.config.variation import Part, PolicyOverride, SamplingOverride
from compute_optimal.study.cost import describe, plan
from compute_optimal.study.plan import StudyPlan

POLICY, ADOPTED, HUB = POLICIES[0], "qwen2.5-1.5b-math-shepherd", "search-and-learn-llama-3.2-1b"

NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2**31, 2**63, 2**70, 10**30, -(10**30), 0.5, -0.0, 1e308, 1e-300),
    *(math.nan, math.inf, -math.inf, True),
)
TEXTS: tuple[Any, ...] = (
    *("", " ", "x", "..", ".", "/", "../..", "/proc/self", "~", "~nobody-has-this-name/x", "-x"),
    *("a b", "é≤漢", "\u202eabc", "a\nb", "a\tb", "a\x00b", "{x}", "<results>", "$HOME", "'; ls"),
    *("1:30", "010", "yes", "*", "[", "a" * 300, "a" * 20_000, "a/" * 3000, "s3://", "http://x"),
)
HOSTILE = (*NUMBERS, *TEXTS, *(None, [], {}, [[]], {"x": 1}, {"": ""}, ["x"]))

LISTS = {"tasks", "policies", "prms", "methods", "adopted", "budgets", "search_budgets", "remotes"}


@dataclass(frozen=True)
class Place:
    """A mapping in one of a study's files, and the model that it is checked by."""

    file: str
    path: tuple[str | int, ...]
    model: type[BaseModel]


PLACES = (
    Place("study", (), Study),
    *(
        Place("study", (name,), model)
        for name, model in (
            *(("difficulty", Difficulty), ("statistics", Statistics), ("grading", Grading)),
            ("store", StoreFolders),
        )
    ),
    Place("study", ("overrides", POLICY), PolicyOverride),
    Place("study", ("overrides", POLICY, "sampling"), SamplingOverride),
    Place("study", ("needed_for", "Table 3", 0), Part),
    Place("registry/tasks", ("tasks", "MATH-500"), TaskEntry),
    Place("registry/tasks", ("tasks", TASK), TaskEntry),
    Place("registry/tasks", ("tasks", TASK, "parameters"), ChainParameters),
    Place("registry/policies", ("prompts", "micro-llama"), PromptFamily),
    Place("registry/policies", ("policies", POLICY), PolicyEntry),
    Place("registry/policies", ("policies", POLICY, "sampling"), Sampling),
    Place("registry/prms", ("prms", PRM), PrmEntry),
    Place("registry/adopted", ("adopted", ADOPTED), AdoptedEntry),
    Place("registry/adopted", ("adopted", HUB, "hub", 0), HubRollouts),
    Place("registry/hardware", ("hardware", "A100-80GB"), HardwareEntry),
    Place("lock", (POLICY,), LockEntry),
    Place("claims", ("claims", "small_beats_large"), Claim),
    Place("claims", ("claims", "gains_shrink_with_size", "rule"), ClaimRule),
)


def fields() -> Iterator[Any]:
    number = itertools.count()
    for place in PLACES:
        for field in place.model.model_fields:
            # An entry's name is its key: another name is another entry.
            if field != "name" or place.model is Study:
                name = f"{'.'.join(map(str, place.path))}.{field}"
                yield pytest.param(place, field, next(number), id=name)


@pytest.fixture(scope="module")
def contents() -> dict[str, Any]:
    """The files of a study that touches every kind of entry, as data."""
    registry = ROOT / "config/registry"
    files = {f"registry/{path.stem}": path for path in registry.glob("*.yaml")}
    files |= {"lock": ROOT / "config/models.lock.json", "claims": ROOT / "config/claims.yaml"}
    study = {
        "name": "hostile",
        "tasks": [TASK],
        "problems": 3,
        "policies": [POLICY],
        "prms": [PRM],
        "methods": ["majority", "best_of_n", "beam_search", "dvts"],
        "adopted": [ADOPTED, HUB],
        "budgets": [4, 16],
        "overrides": {POLICY: {"budgets": [4, 16]}},
        "needed_for": {"Table 3": [{"tasks": [TASK]}]},
        "registry": "registry",
        "lock_file": "lock.yaml",
        "store": {"writable": "store", "shipped": "shipped"},
    }
    read = {name: yaml.load(path.read_text(), yaml.CSafeLoader) for name, path in files.items()}
    adopted = {name: read["registry/adopted"]["adopted"][name] for name in (ADOPTED, HUB)}
    # No more entries than are used: all files are read anew for each value.
    used = {
        ("registry/tasks", "tasks"): {TASK, "MATH-500"},
        ("registry/policies", "policies"): {POLICY, *(a["policy"] for a in adopted.values())},
        ("registry/prms", "prms"): {PRM, *(entry["prm"] for entry in adopted.values())},
        ("registry/adopted", "adopted"): adopted.keys(),
        ("registry/hardware", "hardware"): {"A100-80GB"},
        ("claims", "claims"): {"small_beats_large", "gains_shrink_with_size"},
    }
    for (file, section), names in used.items():
        entries = read[file][section]
        read[file][section] = {name: entries[name] for name in entries if name in names}
    read["registry/tasks"]["tasks"][TASK]["n_problems"] = 5
    read["registry/tasks"]["tasks"][TASK]["parameters"] |= {"n_problems": 5, "numbers": [*range(5)]}
    read["lock"] = {POLICY: read["lock"][POLICY]}
    return {"study": study, **read}


@pytest.fixture
def folder(tmp_path: Path, contents: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with these files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "registry").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/models").symlink_to(ROOT / "data/models")
    shutil.copytree(ROOT / "workflow/sql", tmp_path / "workflow/sql")
    for name, content in contents.items():
        written(name, content)
    return tmp_path


def written(name: str, content: Any) -> Path:
    path = Path(f"{name}.yaml")
    path.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper))
    return path


def dry_run() -> None:
    """All that Snakemake asks before any job runs, and what the study costs."""
    study = load_study("study.yaml")
    load_claims(Path("claims.yaml"))
    asked = StudyPlan(study)
    assert asked.described
    assert asked.storage
    for targets in (asked.problem_tables, asked.estimate_tables, asked.ability_tables):
        assert all(len(target) < 2000 for target in targets)
    assert asked.database()
    # Jobs as the grid has them: Snakemake asks for no other.
    for job in dict.fromkeys(cell.job for cell in Grid(study)):
        place: Any = SimpleNamespace(task=job.task, policy=job.policy, prm=job.prm, origin="run")
        asked.run_receipts(place)
        parameters = {
            "samples": asked.samples,
            "step_scores": asked.scores,
            "searches": asked.searches,
        }
        for parameter in (parameters[job.kind], asked.answers):
            assert parameter(place)
        for resource in (asked.engines, asked.gpus):
            assert resource(job.kind)(place) >= 0
        for of_attempt in (asked.memory, asked.minutes):
            assert of_attempt(job.kind)(place, 1) >= 0
    assert describe(plan(study, *hardware_named(study)), "cell")


@pytest.mark.usefixtures("folder")
def test_the_study_is_right_as_it_is() -> None:
    dry_run()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("place", "field", "number"), list(fields()))
def test_a_value_is_refused_in_one_message_or_works(
    place: Place, field: str, number: int, contents: dict[str, Any]
) -> None:
    content = copy.deepcopy(contents[place.file])
    mapping = content
    for part in place.path:
        mapping = mapping.setdefault(part, {}) if isinstance(part, str) else mapping[part]
    right = mapping.get(field)
    values = every_third(HOSTILE, number)
    lists = (Study, StoreFolders, PolicyOverride, Part)
    if isinstance(right, list) or (place.model in lists and field in LISTS):
        values += [[value] for value in every_third(HOSTILE, number)] + [(right or []) * 2]
    wrong = []
    for value in values:
        mapping[field] = value
        file = written(place.file, content)
        try:
            dry_run()
        except StudyError as error:
            message = str(error)
            # A character that no file may hold is told with its line.
            named = str(file) in message or (place.file != "study" and "registry" in message)
            if not (error.where and error.cure and named):
                wrong.append((str(value)[:40], "does not name the file", message[:200]))
            elif field not in message and ", line " not in message:
                wrong.append((str(value)[:40], "does not name the key", message[:200]))
            elif len(message) > 5000:
                wrong.append((str(value)[:40], "is too long", message[:200]))
        except Exception as error:  # a trace is what must not be
            wrong.append((str(value)[:40], type(error).__name__, str(error)[:200]))
    assert not wrong
