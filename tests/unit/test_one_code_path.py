"""The paper's models and the scale model's go the same way: they differ in registry entries only.

Every way in which the code treats one entry unlike another is listed here with the value that an
entry has for it. Each value that the paper's grid needs is run by a study that runs on a CPU, or
is named below as one that only GPUs can run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from compute_optimal.config import ModelEntry, PolicyEntry, PrmEntry, Study, load_study

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow/compute_optimal"
ON_A_CPU = ("config", "smollm2")

ONLY_ON_GPUS = {
    ("number format", "bfloat16"),  # engines.vllm_engine refuses half precision on a CPU
    ("number format", "float16"),
    ("split over GPUs", "yes"),
    ("device", "GPU"),
}
BY_OTHER_TESTS = {
    ("models from", "hub"): "test_models_lock.py",
    ("gated", "yes"): "test_models_lock.py",
    ("top_p", "below 1"): "test_search_sampling.py",
    ("CoT", "sampled"): "test_search_sampling.py",
    ("system prompt", "none"): "test_policies_prompts.py",
    ("user suffix", "yes"): "test_policies_prompts.py",
    ("template variables", "yes"): "test_policies_prompts.py",
}
"""Ways of the paper's grid that no CPU study goes, with the test file that does."""


def ways(study: Study) -> Iterator[tuple[str, str]]:
    """What the code decides upon, for each entry of a study."""
    for policy in map(study.policy, study.policies):
        yield from ways_of_model(policy)
        yield from ways_of_policy(study, policy)
    for prm in map(study.prm, study.prms):
        yield from ways_of_model(prm)
        yield from ways_of_prm(prm)


def ways_of_model(entry: ModelEntry) -> Iterator[tuple[str, str]]:
    yield "models from", "hub" if entry.hub_id else "folder"
    yield "number format", entry.dtype
    yield "device", "GPU" if entry.n_gpus else "CPU"
    yield "split over GPUs", yes(entry.n_gpus > 1)
    yield "gated", yes(entry.gated)


def ways_of_policy(study: Study, policy: PolicyEntry) -> Iterator[tuple[str, str]]:
    sampling, prompt = policy.sampling, study.prompt_family(policy.prompt)
    yield "CoT", "sampled" if sampling.cot_temperature else "greedy"
    yield "top_p", "below 1" if sampling.top_p < 1 else "off"
    yield "top_k", "off" if sampling.top_k == -1 else "on"
    yield "system prompt", "none" if prompt.system is None else "given"
    yield "user suffix", yes(bool(prompt.user_suffix))
    yield "template variables", yes(bool(prompt.template_arguments))


def ways_of_prm(prm: PrmEntry) -> Iterator[tuple[str, str]]:
    yield "PRM format", prm.format


def yes(value: bool) -> str:
    return "yes" if value else "no"


def named(name: str) -> Study:
    return load_study(ROOT / f"config/{name}.yaml", {"registry": str(ROOT / "config/registry")})


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_every_way_of_the_papers_grid_is_gone_on_a_cpu_or_named() -> None:
    gone = {name: set(ways(named(name))) for name in ON_A_CPU}
    needed = set(ways(named("paper"))) | set(ways(named("one-gpu")))
    left = needed - set().union(*gone.values()) - ONLY_ON_GPUS
    unknown = {way for way in left if way not in BY_OTHER_TESTS and way[0] != "PRM format"}
    assert unknown == set(), f"studies on a CPU go: {gone}"
    for way in left:
        if way[0] == "PRM format":
            assert f'"{way[1]}"' in (ROOT / "tests/e2e/test_engines_vllm.py").read_text(), way
    for way, file in BY_OTHER_TESTS.items():
        assert way in needed, f"the paper's grid no longer needs {way}: take it out"
        assert (ROOT / "tests/unit" / file).exists()


ROOMS = (
    *("cells.py", "coverage.py", "cost.py", "generate.py", "judge.py", "estimate.py", "storage.py"),
    *("engines", "grading", "policies", "prms", "search", "statistics", "tasks"),
)
"""Rooms that every study goes through, from problems to estimates."""


def test_no_room_on_the_way_knows_a_model_by_name() -> None:
    registry = named("paper")._registry
    models = [*registry.policies.values(), *registry.prms.values()]
    names = {*registry.prompts, *(entry.name for entry in models)}
    names |= {entry.hub_id for entry in models if entry.hub_id}
    paths = [PACKAGE / room for room in ROOMS]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    assert len(files) > len(ROOMS)
    known = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}: {node.value}"
        for file in sorted(files)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert known == []
