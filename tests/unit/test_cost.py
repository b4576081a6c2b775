"""Plans against numbers reckoned by hand, and against what stored units took."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from compute_optimal import cli
from compute_optimal.errors import StudyError
from compute_optimal.store import places
from compute_optimal.store.schemas import COUNTS_OF, SCHEMAS, SECONDS
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import Study, hardware_named, load_study
from compute_optimal.study.cost import (
    NEW_TOKENS,
    Plan,
    _count,
    describe,
    gpu_gib,
    gpu_memory_shares,
    plan,
)

ROOT = Path(__file__).parents[2]
POLICY, PRM = "Qwen2.5-0.5B-Instruct", "Skywork-PRM-1.5B"
POLICY_SIZE, PRM_SIZE = 494_032_768, 1_543_715_841


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def study(folder: Path, config: str = "one-gpu", **keys: Any) -> Study:
    stores = {"writable": str(folder / "store"), "shipped": str(folder / "none")}
    return load_study(ROOT / f"config/{config}.yaml", {"store": stores, **keys})


def small(folder: Path) -> Study:
    return study(folder, tasks=["AIME24"], policies=[POLICY], prms=[PRM], budgets=[4, 16])


def planned(of: Study, hardware: str | None = None) -> Plan:
    return plan(of, *hardware_named(of, hardware))


def cell(of: Plan, method: str, budget: int) -> dict[str, Any]:
    rows = of.cells.filter((pl.col("method") == method) & (pl.col("budget") == budget))
    return rows.row(0, named=True)


def test_tokens_flops_and_hours_are_those_reckoned_by_hand(tmp_path: Path) -> None:
    of = planned(small(tmp_path), "A100-80GB")
    # 30 problems, 400 tokens a solution; difficulty 64 samples, CoT 1, majority 16. Searches draw
    # what those before them have not.
    new = {cell: of_prms[0] for cell, of_prms in NEW_TOKENS.items()}
    assert of.full_tokens == {
        "pools": 30 * 400 * (64 + 1 + 16),
        "beam_search": 30 * 400 * (4 * new["beam_search", 4] + 16 * new["beam_search", 16]),
        "dvts": 30 * 400 * 16 * new["dvts", 16],
    }
    assert of.separate_tokens == {
        "pools": 30 * 400 * (64 + 1 + 2 * (4 + 16)),  # majority, and best-of-N with the one PRM
        "beam_search": 30 * 400 * (4 + 16),
        "dvts": 30 * 400 * (4 + 16),
    }
    beam = cell(of, "beam_search", 16)
    tokens = 30 * 400 * 16
    drawn = round(tokens * new["beam_search", 16])
    assert 0.5 * tokens < drawn < tokens
    assert (beam["generated_tokens"], beam["scored_tokens"]) == (drawn, drawn)
    assert beam["flops"] == pytest.approx(2 * drawn * (POLICY_SIZE + PRM_SIZE))
    # The scheduler's 12,000 tokens/s bound the small policy; 0.4 of 19.5 TFLOP/s its float32 PRM.
    seconds = drawn / 12_000 + 2 * PRM_SIZE * drawn / (0.4 * 19.5e12)
    assert beam["hours"] == pytest.approx(seconds / 3600)
    # A part holds a text once, in nodes; draws hold it and its ids.
    assert beam["disk_mb"] == pytest.approx((tokens + 2 * drawn) * 1.5 / 1e6)
    scored = cell(of, "best_of_n", 16)
    assert (scored["generated_tokens"], scored["scored_tokens"]) == (0, tokens)
    assert scored["flops"] == pytest.approx(2 * tokens * PRM_SIZE)


def unit(table: str, **values: Any) -> pl.DataFrame:
    """One unit that a GPU made."""
    nothing: dict[str, Any] = dict.fromkeys((*COUNTS_OF[table], *SECONDS), 0)
    made = {"problem_id": "1", "problem_hash": "a", "run": "1", "engine": "vllm 0.33.0"}
    return pl.DataFrame([{**nothing, **made, **values}], schema=SCHEMAS[table])


def test_what_units_took_replaces_the_reckoning(tmp_path: Path) -> None:
    of = small(tmp_path)
    before = planned(of)
    spec = cells.sample_spec(of, "AIME24", POLICY, "evaluation")
    pool = places.partition(Storage.of(of).store, spec)
    sample = unit("samples", sample_index=0, n_tokens=100, generated_tokens=100, seconds=50.0)
    pool.append("samples", sample)
    after = planned(of)
    majority = cell(after, "majority", 16)
    assert majority["status"] == "partial"
    assert majority["generated_tokens"] == (30 * 16 - 1) * 100
    assert majority["hours"] == pytest.approx(0.5 * (30 * 16 - 1) * 100 / 3600)
    # Cells without units: 100 tokens a solution, and slower by the ratio of this one's seconds.
    slower = 50.0 / (100 / 12_000)
    for method in ("beam_search", "dvts"):
        ratio = cell(after, method, 16)["hours"] / cell(before, method, 16)["hours"]
        assert ratio == pytest.approx(slower * 100 / 400, rel=1e-3)


def test_the_rest_of_scores_takes_as_long_a_sample_as_those_that_are_stored(tmp_path: Path) -> None:
    """However much a PRM reads beside the solution: its question, its frame, its own tokens."""
    of = small(tmp_path)
    store, text = Storage.of(of).store, {"problem_hash": "a", "text_hash": "t", "sample_index": 0}
    samples = cells.sample_spec(of, "AIME24", POLICY, "evaluation")
    drawn = unit("samples", n_tokens=100, generated_tokens=100, seconds=1.0, **text)
    places.partition(store, samples).append("samples", drawn)
    [scores] = [
        one.spec for one in cells.Grid(of) if one.kind == "step_scores" and one.budget == 16
    ]
    given = unit("step_scores", prm_tokens_computed=900, seconds=5.0, prm_seconds=5.0, **text)
    places.partition(store, scores).append("step_scores", given)
    rest = cell(planned(of), "best_of_n", 16)
    assert rest["status"] == "partial"
    assert rest["is_measured"]
    assert rest["scored_tokens"] == (30 * 16 - 1) * 100
    assert rest["hours"] == pytest.approx((30 * 16 - 1) * 5.0 / 3600)


def test_a_later_prm_draws_less_and_reads_as_much(tmp_path: Path) -> None:
    prms = [PRM, "Qwen2.5-Math-PRM-7B"]
    of = planned(study(tmp_path, tasks=["AIME24"], policies=[POLICY], prms=prms, budgets=[4, 16]))
    beams = of.cells.filter(pl.col("method") == "beam_search", pl.col("budget") == 16)
    first, second = (beams.filter(pl.col("prm") == prm).row(0, named=True) for prm in prms)
    assert second["generated_tokens"] < first["generated_tokens"]
    assert second["scored_tokens"] == first["scored_tokens"]
    assert first["tokens_needed"] == second["tokens_needed"] == 30 * 400 * 16


def test_seconds_of_a_search_that_shared_its_tokens_are_those_of_what_it_computed(
    tmp_path: Path,
) -> None:
    of = small(tmp_path)
    [spec] = [
        search.spec for search in cells.searches(of, "AIME24", POLICY, PRM) if search.budget == 4
    ]
    searched = places.partition(Storage.of(of).store, spec)
    # 98% shared: 100 tokens were generated and 900 read, in 10 s.
    counts = {"generated_tokens": 5000, "shared_tokens": 4900}
    counts |= {"prm_tokens_computed": 5000, "prm_tokens_shared": 4100}
    searched.append("searches", unit("searches", subtree=0, seconds=10.0, **counts))
    beam = cell(planned(of), "beam_search", 4)
    to_do = beam["generated_tokens"] + beam["scored_tokens"]
    assert beam["hours"] == pytest.approx(to_do * 10 / 1000 / 3600)


def test_what_stored_searches_had_in_common_replaces_the_simulation(tmp_path: Path) -> None:
    other = "Qwen2.5-Math-PRM-7B"
    of = study(tmp_path, tasks=["AIME24"], policies=[POLICY], prms=[PRM, other], budgets=[4, 16])
    simulated = planned(of)
    assert not simulated.cells["shared_as_stored"].any()
    assert "0 of 6 cells by what stored ones had in common" in describe(simulated, "job")
    [spec] = [
        found.spec
        for found in cells.searches(of, "AIME24", POLICY, PRM)
        if found.method == "beam_search" and found.budget == 4
    ]
    searched = places.partition(Storage.of(of).store, spec)
    # Simulated is that all are new and are read; here one in fifty is new, and one in ten read.
    counts = {"generated_tokens": 5000, "shared_tokens": 4900}
    counts |= {"prm_tokens_computed": 5000, "prm_tokens_shared": 4500}
    searched.append("searches", unit("searches", subtree=0, seconds=10.0, **counts))
    after = planned(of)
    is_search = pl.col("method").is_in(["beam_search", "dvts"])
    searches = [plan.cells.filter(is_search) for plan in (simulated, after)]
    assert searches[1]["shared_as_stored"].all()
    for before, row in zip(*(frame.iter_rows(named=True) for frame in searches), strict=True):
        for tokens, ratio in (("generated_tokens", 1 / 50), ("scored_tokens", 1 / 10)):
            new = row[tokens] / row["tokens_needed"]
            assert new == pytest.approx(before[tokens] / before["tokens_needed"] * ratio, rel=1e-2)
    pools = [
        plan.cells.filter(~is_search)["generated_tokens"].to_list() for plan in (simulated, after)
    ]
    assert pools[0] == pools[1]


def test_no_more_is_generated_than_is_drawn(tmp_path: Path) -> None:
    of = study(tmp_path, tasks=["AIME24"], policies=[POLICY], prms=[PRM], budgets=[4, 16])
    [spec] = [
        found.spec for found in cells.searches(of, "AIME24", POLICY, PRM) if found.method == "dvts"
    ]
    counts = {"generated_tokens": 5000, "prm_tokens_computed": 5000}
    searched = places.partition(Storage.of(of).store, spec)
    searched.append("searches", unit("searches", subtree=0, seconds=10.0, **counts))
    searches = planned(of).cells.filter(pl.col("method").is_in(["beam_search", "dvts"]))
    assert (searches["generated_tokens"] <= searches["tokens_needed"]).all()


def test_the_papers_grid_is_planned_in_seconds_and_says_what_it_needs(tmp_path: Path) -> None:
    of = study(tmp_path, "paper")
    start = time.process_time()
    text = describe(planned(of), "policy")
    assert time.process_time() - start < 5
    assert "gated:     Llama-3.2-1B-Instruct, Llama-3.2-3B-Instruct" in text
    assert "too large" not in text
    assert "too large" in describe(planned(of, "RTX-4090-24GB"), "job")
    fits = describe(planned(study(tmp_path), "RTX-4090-24GB"), "cell")
    assert "too large" not in fits


def test_models_are_split_by_size_and_share_a_gpu_within_its_memory(tmp_path: Path) -> None:
    of = study(tmp_path, "paper")
    split = {name: of.policy(name).n_gpus for name in of.policies}
    assert split["Qwen2.5-14B-Instruct"] == 1
    assert (split["Qwen2.5-32B-Instruct"], split["Qwen2.5-72B-Instruct"]) == (2, 4)
    default = load_study("config/config.yaml")
    assert {default.policy(name).n_gpus for name in default.policies} == {0}
    for policy in map(of.policy, of.policies):
        for prm in map(of.prm, of.prms):
            shares = gpu_memory_shares(policy, prm, 80)
            assert sum(shares) == pytest.approx(0.9)
            assert shares[0] * 80 >= gpu_gib(policy, policy.n_gpus)
            assert shares[1] * 80 >= gpu_gib(prm, prm.n_gpus)


def test_a_plan_says_which_adopted_collections_are_not_stored(tmp_path: Path) -> None:
    """No model makes them, so nothing else in a plan would."""
    shipped = load_study(Path("config/public.yaml"))
    n = len(shipped.adopted)
    assert f"adopted:   {n} of {n} collections are stored" in describe(planned(shipped), "policy")
    lacking = planned(study(tmp_path, "llama-rollouts"))
    text = describe(lacking, "policy")
    assert "adopted:   0 of 2 collections are stored" in text
    assert text.endswith("search-and-learn-llama-3.2-1b, search-and-learn-llama-3.2-3b")
    assert "adopted:" not in describe(planned(study(tmp_path)), "policy")


PROBLEM = {"unique_id": "1", "problem": "What is $1 + 1$?", "answer": "2"}


@pytest.mark.parametrize(
    ("content", "n_problems", "status", "said"),
    [
        (json.dumps(PROBLEM).encode(), 1, 0, ""),
        (None, 1, 0, "problems:  those of mine are needed: the file of mine is not at hand"),
        (json.dumps(PROBLEM).encode(), 2, 1, "the file holds 1 problems, the registry says 2"),
        (b'{"unique_id": "1"}', 1, 1, "a line cannot be read as a problem of kind math500"),
    ],
)
def test_a_plan_reads_the_problems_of_ones_own(
    content: bytes | None,
    n_problems: int,
    status: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Their file is at hand or it is not: a job on a GPU need not be waited for to find out."""
    registry = tmp_path / "registry"
    shutil.copytree(ROOT / "config/registry", registry)
    digest = hashlib.sha256(content or b"elsewhere").hexdigest()
    with (registry / "tasks.yaml").open("a") as file:
        file.write(
            f"\n  mine:\n    kind: math500\n    n_problems: {n_problems}\n"
            f'    file: mine.jsonl\n    sha256: "{digest}"\n    licence: my own\n'
        )
    (tmp_path / "mirror").mkdir()
    if content is not None:
        (tmp_path / "mirror/mine.jsonl").write_bytes(content)
    keys = {
        "name": "mine",
        "tasks": ["mine"],
        "policies": [POLICY],
        "prms": [PRM],
        "budgets": [4],
        "registry": str(registry),
        "mirror": str(tmp_path / "mirror"),
        "store": {"writable": str(tmp_path / "store"), "shipped": str(tmp_path / "none")},
    }
    (tmp_path / "study.yaml").write_text(json.dumps(keys))
    table = tmp_path / "cells.csv"
    command = ["plan", "--config", str(tmp_path / "study.yaml"), "--output", str(table)]
    assert cli.main(command) == status
    out, err = capsys.readouterr()
    # What the plan says is said in any case.
    assert "to do:" in out
    assert table.is_file()
    assert said in (err if status else out)
    assert ("problems:" in out) == (content is None)


def test_unknown_hardware_is_answered_with_the_known(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="A100-40GB") as caught:
        planned(small(tmp_path), "A100-40GB")
    assert "A100-80GB" in str(caught.value)


def test_no_count_is_a_thousand_of_a_unit() -> None:
    """999.96 million tokens were "1e+03 M"."""
    counts = [999.4, 999.6, 1240.0, 999.96e6, 1.5e13]
    assert [_count(n) for n in counts] == ["999", "1 k", "1.24 k", "1 G", "15 T"]
