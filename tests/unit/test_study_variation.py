"""What differs for single policies, what items need, and the grid that follows."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from compute_optimal.errors import StudyError
from compute_optimal.present.catalogue import ITEMS
from compute_optimal.study.cells import Cell, Grid
from compute_optimal.study.config import (
    SEARCH_METHODS,
    Study,
    described_study,
    hardware_named,
    load_claims,
    load_study,
    parse_study,
)
from compute_optimal.study.cost import describe, plan
from compute_optimal.study.plan import MINIATURE, StudyPlan, Wildcards

ROOT = Path(__file__).parents[2]
BIG, SMALL = "Qwen2.5-7B-Instruct", "Qwen2.5-0.5B-Instruct"
FIRST, SECOND = "Skywork-PRM-1.5B", "Qwen2.5-Math-PRM-7B"


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def content(**keys: Any) -> dict[str, Any]:
    study = {
        "name": "varied",
        "generate": "missing",
        "tasks": ["MATH-500", "AIME24"],
        "policies": [BIG, SMALL],
        "prms": [FIRST, SECOND],
        "budgets": [4, 16],
        "store": {"writable": "results/none/store", "shipped": "results/none/shipped"},
    }
    return study | keys


def with_override(**keys: Any) -> Study:
    return parse_study(content(overrides={SMALL: keys}))


def of(study: Study, policy: str) -> list[Cell]:
    return [cell for cell in Grid(study) if cell.policy == policy]


def shape(cells: list[Cell]) -> list[tuple[Any, ...]]:
    return [(cell.spec, cell.n_units, cell.budget, cell.budgets) for cell in cells]


def message(**keys: Any) -> str:
    with pytest.raises(StudyError) as caught:
        parse_study(content(**keys), where="varied.yaml")
    return str(caught.value)


def test_an_override_takes_effect_for_its_policy_and_leaves_all_others_as_they_are() -> None:
    plain = parse_study(content())
    for keys in (
        {"tasks": ["AIME24"]},
        {"prms": [SECOND]},
        {"methods": ["majority", "best_of_n"]},
        {"budgets": [4, 16, 64]},
        {"search_budgets": [16]},
        {"sampling": {"temperature": 0.9}},
    ):
        varied = with_override(**keys)
        assert shape(of(varied, BIG)) == shape(of(plain, BIG))
        assert shape(of(varied, SMALL)) != shape(of(plain, SMALL)), keys
    assert {cell.task for cell in of(with_override(tasks=["AIME24"]), SMALL)} == {"AIME24"}
    assert {cell.prm for cell in of(with_override(prms=[SECOND]), SMALL)} == {None, SECOND}
    without = of(with_override(methods=["majority", "best_of_n"]), SMALL)
    assert {cell.method for cell in without} == {"difficulty", "majority", "best_of_n"}
    further = of(with_override(budgets=[4, 16, 64]), SMALL)
    beams = [cell.budget for cell in further if cell.method == "beam_search"]
    assert sorted(set(beams)) == [4, 16, 64]
    assert {cell.n_units for cell in further if cell.method in ("majority", "best_of_n")} == {64}
    assert {cell.n_units for cell in further if cell.method == "dvts"} == {16}
    searched = of(with_override(search_budgets=[16]), SMALL)
    assert {cell.budget for cell in searched if cell.kind == "searches"} == {16}
    warm = with_override(sampling={"temperature": 0.9})
    specs = [cell.spec for cell in of(warm, SMALL) if cell.kind != "step_scores"]
    assert {spec["temperature"] for spec in specs} == {0.0, 0.9}
    assert {spec["top_p"] for spec in specs} == {1.0}


def test_what_a_study_asks_of_rules_follows_the_grid() -> None:
    study = with_override(budgets=[4, 16, 64], tasks=["AIME24"], methods=["cot", "majority"])
    asked = StudyPlan(study)
    assert not [file for file in asked.estimate_tables if f"MATH-500/{SMALL}" in file]
    # Read back as the database's rule has it, the study has the same cells.
    described = parse_study({**asked._database.study, "store": content()["store"]})
    assert shape([*Grid(described)]) == shape([*Grid(study)])
    estimates = asked._estimates("run", "AIME24", SMALL)
    assert [*estimates.settings.budgets] == [4, 16, 64]
    # A study that varies nothing asks for what it always did.
    plain = StudyPlan(parse_study(content()))._database.study
    assert not {"prm_search_budgets", "overrides", "needed_for", "items"} & plain.keys()


@pytest.mark.parametrize(
    ("task", "policies", "category"),
    [
        ("arithmetic-chains", ["micro-qwen-0.4M"], "2 The scale model"),
        ("MATH-500", ["micro-qwen-0.4M"], "2 The scale model"),
        ("arithmetic-chains", ["micro-qwen-0.4M", SMALL], "2 This study's models"),
        ("arithmetic-chains", [SMALL], "2 This study's models"),
        ("MATH-500", [SMALL], "2 This study's models"),
    ],
)
def test_a_scale_model_is_one_by_its_models_and_not_by_their_task(
    task: str, policies: list[str], category: str
) -> None:
    """In the report's menu as on its pages."""
    study = parse_study(content(tasks=[task], policies=policies))
    assert StudyPlan(study).own_category == category
    assert f"< {MINIATURE:.0e}".replace("e+0", "e") in Path("workflow/sql/macros.sql").read_text()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"study": 3}', None])
def test_a_damaged_description_of_a_study_is_an_error(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "study.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(StudyError, match="cannot be read") as caught:
        described_study(file, Path("config/registry"), Path("config/models.lock.json"))
    assert caught.value.where == str(file)


def test_a_job_of_dvts_is_split_by_what_its_one_run_draws() -> None:
    job = cast("Wildcards", SimpleNamespace(task="MATH-500", policy=SMALL, prm=FIRST))
    asked = StudyPlan(parse_study(content(methods=["dvts"], samples_per_job=500 * 16)))
    assert asked.shards("searches")(job) == []
    asked = StudyPlan(parse_study(content(methods=["dvts"], samples_per_job=500 * 16 - 1)))
    assert len(asked.shards("searches")(job)) == 2


def test_single_prms_are_searched_with_at_budgets_of_their_own() -> None:
    asked = {FIRST: [4, 16], "Math-Shepherd-PRM-7B": [4]}
    study = parse_study(content(search_budgets=[4], prm_search_budgets=asked))
    searched = {
        prm: {cell.budget for cell in Grid(study) if cell.kind == "searches" and cell.prm == prm}
        for prm in study.prms
    }
    assert searched == {FIRST: {4, 16}, SECOND: {4}}
    # A study can be narrowed: of what is asked for, those count that a policy has.
    narrow = parse_study(content(budgets=[4], prm_search_budgets=asked))
    assert shape([*Grid(narrow)]) == shape([*Grid(parse_study(content(budgets=[4])))])
    override = {SMALL: {"search_budgets": [4]}}
    of_policy = parse_study(content(prm_search_budgets=asked, overrides=override))
    budgets = {cell.budget for cell in of(of_policy, SMALL) if cell.kind == "searches"}
    assert budgets == {4}


@pytest.mark.parametrize(
    ("keys", "parts"),
    [
        ({"overrides": {"Qwen2.5-0.5B": {}}}, ["overrides.Qwen2.5-0.5B", f"did you mean {SMALL}"]),
        (
            {"overrides": {SMALL: {"methods": ["dvt"]}}},
            [f"overrides.{SMALL}.methods[0]", "did you mean dvts"],
        ),
        ({"overrides": {SMALL: {"method": ["dvts"]}}}, ["unknown key", "did you mean methods"]),
        (
            {"overrides": {SMALL: {"prms": ["Skywork-PRM-7B"]}}},
            [f"overrides.{SMALL}.prms", "not among the prms of the study", f"did you mean {FIRST}"],
        ),
        ({"overrides": {SMALL: {"tasks": ["AIME"]}}}, ["did you mean AIME24"]),
        ({"overrides": {SMALL: {"prms": []}}}, [f"overrides.{SMALL}.prms", "need a PRM"]),
        ({"overrides": {SMALL: {"budgets": [16, 4]}}}, ["write [4, 16]"]),
        ({"overrides": {SMALL: {"budgets": [4, 18]}}}, [f"overrides.{SMALL}.budgets[1]", "16"]),
        ({"overrides": {SMALL: {"search_budgets": [8]}}}, ["not among its budgets"]),
        ({"prm_search_budgets": {"Skywork-PRM-1.5": [4]}}, ["no PRM", f"did you mean {FIRST}"]),
        ({"prm_search_budgets": {FIRST: [16, 4]}}, [f"prm_search_budgets.{FIRST}", "ascending"]),
        ({"prm_search_budgets": {FIRST: [4, 6]}}, [f"prm_search_budgets.{FIRST}[1]", "divisible"]),
        (
            {"overrides": {SMALL: {"sampling": {"max_tokens": 100}}}},
            [f"overrides.{SMALL}.sampling", "max_step_tokens"],
        ),
        ({"needed_for": {"Table 3": [{"policies": ["Qwen"]}]}}, ["needed_for.Table 3[0].policies"]),
        ({"needed_for": {"Table 3": [{"budgets": [64]}]}}, ["[64] are not among the budgets"]),
        ({"needed_for": {"Table 3": [{}]}, "items": "Tabel 3"}, ["did you mean Table 3"]),
        ({"items": "Table 3"}, ["there is no item 'Table 3'"]),
        ({"needed_for": {"Table 3": [{}]}, "items": " , "}, ["items"]),
        ({"needed_for": {"3, 4": [{}]}}, ["without a comma"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_a_cure(
    keys: dict[str, Any], parts: list[str]
) -> None:
    text = message(**keys)
    assert "varied.yaml" in text
    for part in parts:
        assert part in text


NEEDED = {
    "Figure 4": [{"tasks": ["MATH-500"], "methods": ["majority", "best_of_n", "dvts"]}],
    "Table 3": [
        {"policies": [SMALL], "prms": [SECOND], "methods": ["best_of_n", "beam_search", "dvts"]},
        {"policies": [BIG], "methods": ["majority"], "budgets": [4]},
    ],
    "Figure 3": [{"tasks": ["AIME24"], "policies": [BIG], "methods": []}],
}


def with_items(items: str = "") -> Study:
    of_small = {SMALL: {"budgets": [4, 16, 64]}}
    needed = {**NEEDED, "Figure 4": [NEEDED["Figure 4"][0] | {"budgets": [4, 16]}]}
    return parse_study(content(overrides=of_small, needed_for=needed, items=items))


def test_the_grid_is_what_its_items_need_together_and_each_cell_says_which() -> None:
    grid = Grid(with_items())
    assert all(cell.items for cell in grid)
    by_size = {
        (cell.task, cell.prm, cell.method): cell.n_units for cell in grid if cell.policy == SMALL
    }
    # 64 is asked for with one PRM only.
    assert by_size["MATH-500", FIRST, "best_of_n"] == 16
    assert by_size["MATH-500", SECOND, "best_of_n"] == 64
    assert by_size["MATH-500", None, "majority"] == 64
    assert (by_size["MATH-500", FIRST, "dvts"], by_size["MATH-500", SECOND, "dvts"]) == (4, 16)
    assert ("MATH-500", FIRST, "beam_search") not in by_size
    of_big = [cell.method for cell in grid if (cell.task, cell.policy) == ("AIME24", BIG)]
    assert of_big == ["difficulty", "majority"]
    [shared] = [
        cell
        for cell in grid
        if (cell.task, cell.policy, cell.prm, cell.method) == ("MATH-500", SMALL, SECOND, "dvts")
    ]
    assert shared.items == {"Figure 4": (4, 16), "Table 3": (4, 16, 64)}


@pytest.mark.parametrize("item", NEEDED)
def test_a_study_narrowed_to_an_item_is_that_items_part_of_the_whole(item: str) -> None:
    narrowed = Grid(with_items(item))
    part = Grid(with_items()).of_item(item)
    assert [row[:3] for row in shape([*narrowed])] == [row[:3] for row in shape([*part])]
    assert [cell.items for cell in narrowed] == [cell.items for cell in part]
    searched = [cell.budgets for cell in narrowed if cell.kind != "samples"]
    assert searched == [cell.budgets for cell in part if cell.kind != "samples"]


def test_items_are_priced_alone_together_and_by_what_they_share() -> None:
    study = with_items()
    priced = plan(study, *hardware_named(study))
    rows = {row["item"]: row for row in priced.items.iter_rows(named=True)}
    for item, row in rows.items():
        alone = with_items(item)
        narrowed = plan(alone, *hardware_named(alone))
        assert row["gpu_hours"] == pytest.approx(narrowed.cells["gpu_hours"].sum())
        assert row["n_cells"] == narrowed.cells.height
        assert row["gpu_hours_least"] < row["gpu_hours"] < row["gpu_hours_most"]
        assert 0 <= row["own_gpu_hours"] <= row["gpu_hours"] + 1e-9
    assert rows["Figure 3"]["own_gpu_hours"] == 0
    assert rows["Figure 3"]["shared"] == "Table 3 100%"
    together = priced.cells["gpu_hours"].sum()
    assert max(row["gpu_hours"] for row in rows.values()) < together
    assert together < sum(row["gpu_hours"] for row in rows.values())
    text = describe(priced, "policy")
    for part in ("shared with", "assumed:", "8% to 30%", "GPU-hours are each job's hours"):
        assert part in text


def test_the_papers_study_is_what_its_items_need_and_each_is_one_of_the_paper() -> None:
    study = load_study("config/paper.yaml")
    start = time.process_time()
    grid = [*Grid(study)]
    priced = plan(study, *hardware_named(study))
    assert time.process_time() - start < 5
    assert all(cell.items for cell in grid)
    assert set(study.needed_for) <= {item.reference for item in ITEMS}
    # DeepSeek-R1-Distill: no searches, one PRM.
    reasoning = [cell for cell in grid if study.policy(cell.policy).is_reasoning]
    assert {cell.kind for cell in reasoning} == {"samples", "step_scores"}
    assert len({cell.prm for cell in reasoning if cell.prm}) == 1
    # N = 512: one policy, one PRM, both tasks, every method, for one table.
    largest = [cell for cell in grid if cell.budget > 256]
    assert {cell.budget for cell in largest} == {512}
    assert {cell.policy for cell in largest} == {"Llama-3.2-1B-Instruct"}
    assert {cell.prm for cell in largest} == {None, "Qwen2.5-Math-PRM-7B"}
    assert {cell.task for cell in largest} == {"MATH-500", "AIME24"}
    assert {cell.method for cell in largest} == {"majority", "best_of_n", *SEARCH_METHODS}
    assert {item for cell in largest for item, n in cell.items.items() if 512 in n} == {"Table 3"}
    assert priced.token_share < 0.4
    assert priced.cells.filter(pl.col("gpu_hours") <= 0).is_empty()


def test_claims_name_items_of_the_papers_study() -> None:
    items = load_study("config/paper.yaml").needed_for
    claims = [claim for claim in load_claims(Path("config/claims.yaml")) if claim.scale == "paper"]
    assert claims
    for claim in claims:
        assert claim.items
        assert set(claim.items) <= set(items)
    [headline] = [claim for claim in claims if claim.name == "paper_1b_405b"]
    assert headline.parameters["least_budget"] == 512
    assert "512" in headline.statement
    assert "512" in headline.needs
