"""A study says exactly what is wrong with it, and what it says it is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from compute_optimal.analyse.statistics.combinatorics import MAX_POOL
from compute_optimal.errors import StudyError
from compute_optimal.study.config import Study, load_lock, load_registry, load_study, parse_study
from compute_optimal.study.config.registry import LARGEST_BUDGET
from compute_optimal.study.models import model_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def study(**keys: Any) -> dict[str, Any]:
    base = {
        "name": "try",
        "tasks": ["MATH-500"],
        "policies": ["Qwen2.5-7B-Instruct"],
        "prms": ["Qwen2.5-Math-PRM-7B"],
    }
    return base | keys


def message(content: dict[str, Any]) -> str:
    with pytest.raises(StudyError) as caught:
        parse_study(content, "my.yaml")
    assert "pydantic" not in str(caught.value)
    return str(caught.value)


def test_defaults_are_the_papers() -> None:
    result = parse_study(study())
    assert result.budgets == (4, 16, 64, 256)
    assert (result.beam_width, result.max_steps, result.generate) == (4, 40, "never")
    assert (result.difficulty.easy, result.difficulty.medium) == (0.5, 0.1)
    sampling = result.policy("Qwen2.5-7B-Instruct").sampling
    assert (sampling.temperature, sampling.cot_temperature) == (0.7, 0.0)
    assert (sampling.top_p, sampling.top_k) == (1.0, -1)
    assert (sampling.max_tokens, sampling.max_step_tokens) == (8192, 2048)


STUDIES = sorted(path for path in (ROOT / "config").glob("*.yaml") if path.stem != "claims")


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_shipped_studies_are_valid(path: Path) -> None:
    result = load_study(path)
    first_line = path.read_text().splitlines()[0]
    assert first_line == "# yaml-language-server: $schema=../workflow/schemas/study.schema.json"
    for name in result.policies:
        assert result.prompt_family(result.policy(name).prompt).source


def test_the_papers_grid_is_complete() -> None:
    paper = load_study("config/paper.yaml")
    assert (len(paper.policies), len(paper.prms), paper.generate) == (12, 7, "missing")
    assert len({paper.prm(name).format for name in paper.prms}) == 4
    assert load_study("config/config.yaml").generate == "never"


def test_overrides_are_merged_into_mappings() -> None:
    result = load_study("config/config.yaml", {"difficulty": {"easy": 0.6}, "seed": 5})
    assert (result.difficulty.easy, result.difficulty.medium, result.seed) == (0.6, 0.1, 5)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"bugdets": [4]}, ["my.yaml, key bugdets", "unknown key", "did you mean budgets?"]),
        ({"difficulty": {"eazy": 1}}, ["key difficulty.eazy", "did you mean easy?"]),
        ({"generate": "nver"}, ["key generate", '"nver"', "did you mean never?"]),
        ({"methods": ["cot", "dvst"]}, ["key methods[1]", '"dvst"', "did you mean dvts?"]),
        ({"budgets": [4, "16"]}, ["key budgets[1]", '"16"', "valid integer"]),
        ({"budgets": []}, ["key budgets", "at least 1 item"]),
        ({"seed": -1}, ["key seed", "-1", "greater than or equal to 0"]),
        ({"seed": True}, ["key seed", "true", "valid integer"]),
        ({"difficulty": {"easy": float("nan")}}, ["key difficulty.easy", "finite number"]),
        ({"tasks": "MATH-500"}, ["key tasks", '"MATH-500"', "valid array"]),
        ({"tasks": ["math500"]}, ["key tasks[0]", "math500", "did you mean MATH-500?"]),
        ({"policies": ["qwen2.5-7b"]}, ["key policies[0]", "did you mean Qwen2.5-7B-Instruct?"]),
        ({"prms": ["skywork-7b"]}, ["key prms[0]", "did you mean Skywork-PRM-7B?"]),
        ({"adopted": ["math-shepherd"]}, ["adopted[0]", "qwen2.5-1.5b-math-shepherd"]),
        ({"budgets": [4, 6]}, ["key budgets[1]", "6 is not divisible by beam_width 4", "use 4"]),
        ({"budgets": [16, 4]}, ["key budgets", "not ascending", "write [4, 16]"]),
        ({"budgets": [4, 4]}, ["key budgets", "repeats", "write [4]"]),
        ({"budgets": [0, 4]}, ["key budgets[0]", "greater than 0"]),
        ({"prms": []}, ["key prms", "best_of_n, beam_search, dvts need a PRM"]),
        ({"policies": ["Qwen2.5-7B-Instruct"] * 2}, ["key policies", "stands twice"]),
        ({"policies": [], "tasks": []}, ["key policies", "nothing is studied"]),
        ({"tasks": []}, ["key tasks", "need each other"]),
        ({"difficulty": {"easy": 0.1}}, ["difficulty.medium", "0.1 is not below easy 0.1"]),
        ({"name": "A b"}, ["key name", '"A b"', "lower case"]),
        ({"registry": "nowhere"}, ["my.yaml, key registry", "nowhere holds no policies.yaml"]),
    ],
)
def test_one_mistake_gives_one_clear_message(keys: dict[str, Any], expected: list[str]) -> None:
    text = message(study(**keys))
    for part in expected:
        assert part in text
    assert text.count("do:") == 1


def test_the_largest_budget_is_that_of_the_estimators() -> None:
    assert parse_study(study(budgets=[LARGEST_BUDGET])).budgets == (MAX_POOL,)
    assert f"less than or equal to {MAX_POOL}" in message(study(budgets=[MAX_POOL * 2]))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"seed": 2**70}, ["key seed", "2147483647"]),
        ({"methods": []}, ["key methods", "at least 1 item"]),
        ({"problems": 1_000_000}, ["key problems", "100000"]),
        ({"problems": 501}, ["key problems", "501 is more than the 500 problems of MATH-500"]),
        ({"mirror": "nowhere"}, ["key mirror", "nowhere is no folder"]),
        (
            {"lock_file": "nowhere.json"},
            ["key lock_file", "does not exist", "compute_optimal lock"],
        ),
        ({"hardware": "A1000"}, ["key hardware", "A1000 is not in", "did you mean A100-80GB?"]),
        ({"store": {"writable": "README.md"}}, ["key store.writable", "README.md is a file"]),
        ({"store": {"writable": "data/store"}}, ["store.writable", "is store.shipped too"]),
        ({"store": {"writable": "results/try"}}, ["store.writable", "is results too"]),
        ({"store": {"writable": "results/try/s"}}, ["store.writable", "lies in results"]),
        ({"results": "data/store/x"}, ["key results", "lies in store.shipped"]),
        ({"results": "."}, [" results: . is or holds the working directory"]),
        ({"results": "config"}, ["key results", "config is or holds registry"]),
        ({"results": "$SCRATCH/x"}, ["key results", "variables are not put in", "in full"]),
        ({"store": {"writable": "a/$USER"}}, ["key store.writable", "variables are not put in"]),
        ({"results": "-x"}, ["key results", "begins with '-'"]),
    ],
)
def test_what_was_accepted_once_and_fatal_later(keys: dict[str, Any], expected: list[str]) -> None:
    text = message(study(**keys))
    for part in ("my.yaml", *expected):
        assert part in text


def test_results_lie_in_a_folder_of_the_studys_name() -> None:
    assert parse_study(study()).results == Path("results/try")
    assert parse_study(study(results="results")).results == Path("results")
    assert load_study("config/config.yaml").results == Path("results")
    folders = [load_study(path).results for path in STUDIES]
    assert len({*folders}) == len(folders)


def test_entries_with_one_title_are_told_apart_or_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "config/registry", tmp_path / "registry")
    file = tmp_path / "registry/policies.yaml"
    content = yaml.safe_load(file.read_text())
    content["policies"]["Qwen2.5-3B-Instruct"]["title"] = " qwen2.5-7B-Instruct"
    file.write_text(yaml.safe_dump(content))
    both = ["Qwen2.5-7B-Instruct", "Qwen2.5-3B-Instruct"]
    text = message(study(policies=both, registry=str(tmp_path / "registry")))
    assert "key policies" in text
    assert "Qwen2.5-7B-Instruct and Qwen2.5-3B-Instruct have one title" in text
    assert str(file) in text


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"n_parameters": 133}, ["n_parameters is 133,", "describes about 133,376"]),
        ({"n_parameters": 133_696_000}, ["n_parameters is 133,696,000"]),
        ({"context": 1024, "native_context": 1024}, ["context is 1,024", "512 tokens"]),
    ],
)
def test_the_registry_agrees_with_the_models_own_file(
    keys: dict[str, int], expected: list[str], tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "config/registry", tmp_path / "registry")
    file = tmp_path / "registry/policies.yaml"
    content = yaml.safe_load(file.read_text())
    content["policies"]["micro-llama-0.1M"] |= keys
    file.write_text(yaml.safe_dump(content))
    name = "micro-llama-0.1M"
    error = message(
        study(policies=[name], prms=[], methods=["cot"], registry=str(tmp_path / "registry"))
    )
    for part in (*expected, str(file), f"{name}/config.json"):
        assert part in error
    lock = load_lock(Path("config/models.lock.json"))
    entry = load_registry(tmp_path / "registry").policy(name)
    with pytest.raises(StudyError, match=re.escape(expected[0])):
        model_folder(entry, lock)


def test_budgets_need_no_multiples_without_a_search() -> None:
    assert parse_study(study(methods=["majority"], prms=[], budgets=[1, 3])).budgets == (1, 3)


def test_all_mistakes_are_listed_at_once() -> None:
    text = message({"generate": "x", "bugdets": 3, "seed": -1, "hardware": "none", "prms": ["x"]})
    assert "7 things are wrong in my.yaml" in text
    for key in ("name", "generate", "seed", "bugdets", "prms[0]", "hardware", "policies"):
        assert f" {key}: " in text


@pytest.mark.parametrize(
    "secret",
    [
        {"name": "hf_abcdefghijklmnopqrstuvwxyz"},
        {"hf_token": "short"},
        {"store": {"writable": "https://me:pass@host/x"}},
        {"prms": ["ghp_0123456789abcdef0123456789abcdef0123"]},
    ],
)
def test_secrets_are_refused_and_not_repeated(secret: dict[str, Any]) -> None:
    text = message(study(**secret))
    assert "looks like a secret" in text
    assert "hf auth login" in text
    for hidden in ("abcdefghij", "short", "pass", "0123456789"):
        assert hidden not in text


def test_a_secret_in_the_registry_is_refused(tmp_path: Path) -> None:
    for path in (ROOT / "config/registry").glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    with (tmp_path / "prms.yaml").open("a") as file:
        file.write("  mine:\n    api_key: 123\n")
    assert "key prms.mine.api_key" in message(study(registry=str(tmp_path)))


def test_a_step_over_the_prms_context_is_an_error_and_a_solution_a_warning(tmp_path: Path) -> None:
    registry = {
        path.stem: yaml.safe_load(path.read_text())
        for path in (ROOT / "config/registry").glob("*.yaml")
    }

    def written(max_step_tokens: int) -> str:
        policy = registry["policies"]["policies"]["Qwen2.5-7B-Instruct"]
        policy["sampling"] = {"max_step_tokens": max_step_tokens}
        for stem, content in registry.items():
            (tmp_path / f"{stem}.yaml").write_text(yaml.safe_dump(content))
        return str(tmp_path)

    (warning,) = parse_study(study(registry=written(4096))).warnings
    assert "Qwen2.5-Math-PRM-7B reads 4096 tokens" in warning
    assert "Qwen2.5-7B-Instruct" in warning
    text = message(study(registry=written(4097)))
    assert "may have 4097 tokens, and Qwen2.5-Math-PRM-7B reads only 4096" in text
    # Nothing is scored step by step here, so a long step does no harm.
    assert parse_study(study(methods=["cot"], registry=written(4097))).warnings == ()


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"top_k": 1}])
def test_pools_that_would_draw_one_sample_over_and_over_are_told(sampling: dict[str, Any]) -> None:
    name = "Qwen2.5-7B-Instruct"
    before = parse_study(study(policies=[name])).warnings
    told = parse_study(study(policies=[name], overrides={name: {"sampling": sampling}})).warnings
    (warning,) = (text for text in told if text not in before)
    assert warning.startswith("all samples of a problem will be the same")
    assert warning.endswith(f": {name}")
    # One greedy answer is what CoT is.
    alone = {name: {"sampling": sampling, "methods": ["cot"]}}
    assert not [
        text
        for text in parse_study(study(policies=[name], overrides=alone)).warnings
        if "the same" in text
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: a\nname: b\n", ["'name' stands twice", "line 2, column 1"]),
        ("name: [a\n", ["not valid YAML", "line 2"]),
        ("- a\n", ["holds a list"]),
        ("name: !!python/object/apply:os.system [ls]\n", ["not valid YAML", "line 1"]),
        ("name: a\n2024-01-01: b\n", [". 2024-01-01: unknown key"]),
        ("name: a\n? [b, c]\n: d\n", ["not valid YAML", "unhashable key"]),
        (b"\xff\xfe", ["not UTF-8"]),
        (None, ["cannot read the file", "No such file"]),
        ("", ["name", "missing"]),
    ],
)
def test_unreadable_files(tmp_path: Path, text: str | bytes | None, expected: list[str]) -> None:
    path = tmp_path / "my.yaml"
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(StudyError) as caught:
        load_study(path)
    for part in ["my.yaml", *expected]:
        assert part in str(caught.value)


def test_a_study_cannot_be_changed() -> None:
    result = parse_study(study())
    with pytest.raises(ValueError, match="frozen"):
        result.seed = 3
    with pytest.raises(StudyError, match=r"no policy called Qwen2.5-7b[\s\S]*Qwen2.5-7B-Instruct"):
        result.policy("Qwen2.5-7b")


def test_paths_know_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "problems").mkdir()
    assert parse_study(study(mirror="~/problems")).mirror == tmp_path / "problems"
    assert isinstance(parse_study(study()), Study)
