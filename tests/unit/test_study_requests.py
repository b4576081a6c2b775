"""What the shipped studies ask of each rule, and where their cells lie, stays what it is.

A changed digest asks for all behind it anew, and a changed directory loses what is stored there.
Where a study, or what it names, was changed on purpose, run this file: it writes the expected
digests anew, and the difference shows which rules of which studies the change touches.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import MISSING, fields
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import yaml

from compute_optimal.errors import StudyError
from compute_optimal.micro.recipe_kinds import PolicyRecipe, PrmRecipe
from compute_optimal.micro.recipes import RECIPES
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import Grid, all_partitions
from compute_optimal.study.config import Method, load_study
from compute_optimal.study.coverage import coverage
from compute_optimal.study.plan import StudyPlan
from compute_optimal.study.requests import parsed
from compute_optimal.study.spec import digest

ROOT = Path(__file__).parents[2]
EXPECTED = Path(__file__).with_name("expected_requests.json")
FILES = {
    file.stem: file
    for file in sorted((ROOT / "config").glob("*.yaml"))
    if file.stem not in {"claims"}
}


def places(plan: StudyPlan) -> Iterator[tuple[str, Any]]:
    """Every rule with a parameter, and the wildcards of each of its jobs."""
    study, none = plan.study, {"origin": "run", "prm": None}
    for task in plan.tasks:
        yield "problems", SimpleNamespace(task=task, **none)
    for task in study.tasks:
        yield "examination", SimpleNamespace(task=task, policy=None, **none)
        for policy in study.policies:
            place = {"task": task, "policy": policy, "origin": "run"}
            for rule in ("samples", "answers", "checks", "estimates"):
                yield rule, SimpleNamespace(**place, prm=None)
            yield "samples", SimpleNamespace(**place, prm=None, shard="2-of-3")
            for prm in study.prms_of(policy):
                for rule in ("scores", "searches"):
                    yield rule, SimpleNamespace(**place, prm=prm)
                    yield rule, SimpleNamespace(**place, prm=prm, shard="2-of-3")
    for task in dict.fromkeys(entry.task for entry in plan.collections if entry.policy):
        for rule in ("answers", "estimates"):
            place = {"task": task, "policy": "every-collection", "origin": "adopted", "prm": None}
            yield rule, SimpleNamespace(**place)


def digests(file: Path) -> dict[str, str]:
    """One digest a rule, over the parameters of all its jobs in the order of the study; and of the
    files that they make, the cells, and the directories of the store."""
    plan = StudyPlan(load_study(file))
    requests: dict[str, list[Any]] = {}
    drawn = any(cell.pool == "evaluation" for cell in Grid(plan.study))
    for rule, place in places(plan):
        if rule in {"checks", "examination"} and not drawn:
            continue
        requests.setdefault(rule, []).append(getattr(plan, rule)(place))
    requests["database"] = [plan.database()]
    requests["files"] = [
        plan.description, *plan.problem_tables, *plan.estimate_tables, *plan.ability_tables,
    ]  # fmt: skip
    storage = Storage.of(plan.study)
    requests["store"] = [
        [cell.directory, list(tables)] for cell, tables in all_partitions(plan.study, storage.store)
    ]
    cells = coverage(plan.study).select("task", "policy", "prm", "method", "budget", "n_needed")
    requests["cells"] = [list(row) for row in cells.iter_rows()]
    return {rule: digest({"all": texts}) for rule, texts in requests.items()}


METHODS = get_args(Method)
POLICY, PRM = "micro-llama-0.1M", "micro-skywork-x4-prm-0.9M"


@pytest.mark.parametrize(
    "methods", [m for n in range(1, len(METHODS) + 1) for m in combinations(METHODS, n)]
)
def test_any_methods_can_be_planned(
    methods: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each alone and any of them together: cells and jobs are each there once, and are asked."""
    monkeypatch.chdir(ROOT)
    keys = {"methods": list(methods), "adopted": [], "policies": [POLICY], "prms": [PRM]}
    study = load_study(ROOT / "config/config.yaml", keys)
    plan, grid = StudyPlan(study), Grid(study)
    directories = [cell.partition(Storage.of(study).store).directory for cell in grid]
    assert len(set(directories)) == len(directories)
    assert {cell.method for cell in grid} - {"difficulty", "majority"} == {*methods} - {"majority"}
    assert len(json.loads(plan.database())["tables"]) == len(
        {*plan.problem_tables, *plan.estimate_tables, *plan.ability_tables}
    )
    for job in {cell.job for cell in grid}:
        assert plan.request(job).task_name == job.task
        assert {cell.job for cell in grid.of_job(job)} == {job}


VERBS = {
    "problems": "prepare-problems",
    "samples": "draw-samples",
    "scores": "score-steps",
    "searches": "search-trees",
    "answers": "grade-answers",
    "checks": "check-steps",
    "examination": "examine-prms",
    "estimates": "estimate-accuracy",
    "database": "describe-study",
    "recipes": "train-micro-model",
}


@pytest.fixture(scope="module")
def texts() -> dict[str, list[str]]:
    """All requests of the default study, by the command that reads them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        plan = StudyPlan(load_study(ROOT / "config/config.yaml"))
        requests = {"describe-study": [plan.database()]}
        requests["train-micro-model"] = [
            plan.micro_recipe(SimpleNamespace(micro_prm=name)) for name in RECIPES
        ]
        for rule, place in places(plan):
            requests.setdefault(VERBS[rule], []).append(getattr(plan, rule)(place))
    assert requests.keys() == set(VERBS.values())
    return requests


@pytest.mark.parametrize("verb", VERBS.values())
def test_a_command_reads_what_the_plan_wrote(verb: str, texts: dict[str, list[str]]) -> None:
    for text in texts[verb]:
        assert parsed(verb, text).text == text


OPTIONAL = {
    "shard",
    *(
        field.name
        for kind in (PolicyRecipe, PrmRecipe)
        for field in fields(kind)
        if field.default is not MISSING
    ),
}


def damaged(request: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Wrong requests, and the field that is wrong in each: absent, of no type that any field has,
    or one that nobody asked for."""
    for name in request:
        if name not in OPTIONAL:
            yield name, {key: value for key, value in request.items() if key != name}
        yield name, request | {name: {"no": []}}
    yield "stray", request | {"stray": 1}


@pytest.mark.parametrize("verb", VERBS.values())
def test_a_wrong_request_is_one_error_that_names_the_field(
    verb: str, texts: dict[str, list[str]]
) -> None:
    free = {"task", "spec", "samples", "study"}  # specs, which hold what they hold
    for text in dict.fromkeys((texts[verb][0], texts[verb][-1])):
        for name, wrong in damaged(json.loads(text)):
            if name in free and name in wrong:
                continue
            with pytest.raises(StudyError, match=f"this is no request of {verb}") as caught:
                parsed(verb, json.dumps(wrong))
            # Without what tells it from others, it reads as one of them: an adopted collection as
            # a run, the recipe of a policy as one of a PRM.
            assert name in str(caught.value) or name in {"collections", "architecture"}
    for text in ("", "[]", "null", '"text"', "{}"):
        with pytest.raises(StudyError, match="do:    let the workflow give the command"):
            parsed(verb, text)


@pytest.mark.parametrize("name", FILES)
def test_requests_and_directories_are_what_they_were(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert digests(FILES[name]) == json.loads(EXPECTED.read_text())[name]


@pytest.mark.parametrize(
    "changes",
    [
        {"samples_per_job": 100, "hardware": "H100-80GB"},
        {"grading": {"workers": 7}},
        {"verdicts": "anew", "generate": "missing"},
    ],
)
def test_no_request_depends_on_how_a_study_is_run(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    content = yaml.safe_load(FILES["one-gpu"].read_text())
    registry = tmp_path / "registry"
    shutil.copytree(ROOT / "config/registry", registry)
    for section in ("policies", "prms"):
        path = registry / f"{section}.yaml"
        entries = yaml.safe_load(path.read_text())
        for entry in entries[section].values():
            entry["slots"] = 7
            if entry.get("format") not in ("math_shepherd", "rlhflow"):
                entry["tensor_parallel"] = 2
        path.write_text(yaml.safe_dump(entries))
    path = tmp_path / "one-gpu.yaml"
    path.write_text(yaml.safe_dump(content | changes | {"registry": str(registry)}))
    assert digests(path) == digests(FILES["one-gpu"])


def write_expected() -> None:
    expected = {name: digests(file) for name, file in FILES.items()}
    EXPECTED.write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    write_expected()
