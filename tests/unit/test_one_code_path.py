"""The paper's models and the scale model's go the same way: they differ in registry entries only.

Every way in which the code treats one entry unlike another is listed here with the value that an
entry has for it. Each value that the paper's grid needs is one of the paper's own studies with tiny
models, which ``e2e/test_paper_models.py`` runs on a CPU, or is named below as one for GPUs only.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from published_models import MODELS, tiny
from tiny_paper import of_small_budgets, of_tiny_models

from compute_optimal.study.config import (
    ModelEntry,
    PolicyEntry,
    PrmEntry,
    Study,
    load_study,
    parse_study,
)

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow/compute_optimal"
ONLY_ON_GPUS = {
    ("number format", "bfloat16"),  # engines.vllm_engine refuses half precision on a CPU
    ("number format", "float16"),
    ("split over GPUs", "yes"),
    ("device", "GPU"),
}


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


def named(name: str, registry: Path = ROOT / "config/registry", **keys: Any) -> Study:
    return load_study(ROOT / f"config/{name}.yaml", {"registry": str(registry), **keys})


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name", ["paper", "one-gpu"])
def test_a_study_of_tiny_models_goes_every_way_that_is_not_for_gpus(
    name: str, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "config/registry", tmp_path / "registry")
    sizes = {name: tiny(real, real.vocabulary).n_parameters for name, real in MODELS.items()}
    of_tiny_models(tmp_path / "registry", sizes)
    real = named(name)
    content = of_small_budgets(yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
    small = parse_study(content | {"registry": str(tmp_path / "registry")})
    assert (small.tasks, small.policies, small.prms) == (real.tasks, real.policies, real.prms)
    assert small.methods == real.methods
    needed, gone = set(ways(real)), set(ways(small))
    assert needed - gone <= ONLY_ON_GPUS
    assert gone - needed <= {("number format", "float32"), ("device", "CPU")}
    if name == "paper":
        assert needed - gone == ONLY_ON_GPUS


def test_the_scale_model_goes_no_way_of_its_own() -> None:
    needed = set(ways(named("paper"))) | {("number format", "float32")}
    assert set(ways(named("config"))) - needed == {
        ("models from", "folder"),
        ("device", "CPU"),
    }


ROOMS = (
    *(f"study/{name}.py" for name in ("cells", "coverage", "cost", "plan")),
    *(f"analyse/{name}.py" for name in ("accuracy", "estimates", "selection", "score_quality")),
    *("engines", "policies", "prms", "search", "store", "tasks", "generate", "judge"),
    "analyse/statistics",
)
"""Rooms that every study goes through, from problems to estimates."""


def test_no_room_on_the_way_knows_a_model_by_name() -> None:
    registry = named("paper")._registry
    models = [*registry.policies.values(), *registry.prms.values()]
    names = {*registry.prompts, *(entry.name for entry in models)}
    names |= {entry.hub_id for entry in models if entry.hub_id}
    paths = [PACKAGE / room for room in ROOMS]
    assert all(path.exists() for path in paths)
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    known = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}: {node.value}"
        for file in sorted(files)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert known == []
