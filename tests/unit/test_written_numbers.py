"""What README.md and benchmarks/README.md say of plans and of what ships holds of them now."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import rankdata

from compute_optimal.study.config import hardware_named, load_study
from compute_optimal.study.cost import NEW_TOKENS, Plan, plan

ROOT = Path(__file__).parents[2]
STORE = ROOT / "data" / "store"


@pytest.fixture(autouse=True)
def _in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def words(name: str) -> str:
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


def planned(folder: Path, config: str, hardware: str | None = None) -> Plan:
    """Of a study of which nothing is stored, whatever was run in this repository."""
    stores = {"writable": str(folder / "store"), "shipped": str(folder / "none")}
    of = load_study(f"config/{config}.yaml", {"store": stores})
    return plan(of, *hardware_named(of, hardware), by_item=False)


def test_what_is_said_of_one_gpu(tmp_path: Path) -> None:
    of = {name: planned(tmp_path, "one-gpu", name) for name in ("RTX-4090-24GB", "A100-80GB")}
    small, large = (
        [f"{priced.cells[name].sum():.0f}" for name in ("gpu_hours", "hours_least", "hours_most")]
        for priced in of.values()
    )
    priced = of["A100-80GB"]
    results, models = priced.cells["disk_mb"].sum() / 1000, sum(priced.model_gb.values())
    row = (
        f"| 1 | {priced.cells['gpu_memory_gib'].max():.0f} GiB at least | {small[0]} (RTX 4090), "
        f"{large[0]} ({large[1]} to {large[2]}; A100, slow in the PRM's float32) | "
        f"{models:.0f} GB models, {results:.1f} GB results |"
    )
    assert row in words("README.md")


def test_what_is_said_of_a_pretrained_model_on_the_cpu(tmp_path: Path) -> None:
    cells = planned(tmp_path, "smollm2").cells
    likely, least, most = (
        60 * cells[name].sum() for name in ("hours", "hours_least", "hours_most")
    )
    assert f"Its run takes {('eight', 'nine', 'ten')[round(likely) - 8]} minutes" in words(
        "README.md"
    )
    assert least < 0.7 * likely
    assert most > 1.5 * likely


def test_what_is_said_of_the_papers_grid(tmp_path: Path) -> None:
    priced = planned(tmp_path, "paper")
    shares = {
        kind: f"{priced.full_tokens[kind] / priced.separate_tokens[kind]:.0%}"
        for kind in priced.full_tokens
    }
    text = words("README.md")
    assert f"generates {priced.token_share:.0%} of the tokens of one run per method" in text
    assert (
        f"sample pools {shares['pools']}, beam search {shares['beam_search']}, "
        f"DVTS {shares['dvts']}"
    ) in text
    hours = [
        f"{round(priced.cells[name].sum(), -2):,.0f}"
        for name in ("gpu_hours", "gpu_hours_least", "gpu_hours_most")
    ]
    results, models = priced.cells["disk_mb"].sum() / 1000, sum(priced.model_gb.values())
    row = (
        f"up to {priced.cells['gpu_memory_gib'].max():.0f} of 80 GiB | {hours[0]} ({hours[1]} to "
        f"{hours[2]}; A100) | {models:.0f} GB models, {results:.0f} GB results |"
    )
    assert row in text


def test_what_is_said_of_draws_in_common() -> None:
    """Of pools of 321 samples a problem and searches of seven PRMs to N = 256."""
    text = words("benchmarks/README.md")
    searches = 7 * (4 + 16 + 64 + 256 + 256)
    separate = 64 + 1 + (1 + 3 * 7) * (4 + 16 + 64 + 256)
    assert f"321 samples a problem to {searches:,} of searches, against {separate:,}" in text
    rows = re.findall(r"\| (0\.\d) \([^|]*\| (\d+)% \| (\d+)% \|", text)
    assert len(rows) == 3
    for _, new, share in rows:
        assert abs((321 + searches * int(new) / 100) / separate - int(share) / 100) < 0.01
    drawn = sum(n * sum(NEW_TOKENS["beam_search", n]) for n in (4, 16, 64, 256))
    drawn += 256 * sum(NEW_TOKENS["dvts", 256])
    assert f"| {drawn / searches:.0%} |" in text


def test_what_the_scale_models_searches_had_in_common() -> None:
    prms = load_study("config/config.yaml").prms
    generated = shared = simulated = 0.0
    for folder in sorted((STORE / "search").iterdir()):
        spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
        budget = spec.get("budget") or 64
        if budget > 64:
            continue
        columns = ["subtree", "generated_tokens", "shared_tokens"]
        units = pl.read_parquet(folder / "*.parquet", columns=columns)
        units = units.filter(pl.col("subtree") < budget // spec["beam_width"])
        of_prms = NEW_TOKENS[spec["method"], budget]
        rank = min(prms.index(spec["prm"]["name"]), len(of_prms) - 1)
        generated += units["generated_tokens"].sum()
        shared += units["shared_tokens"].sum()
        simulated += units["generated_tokens"].sum() * of_prms[rank]
    new, said = f"{1 - shared / generated:.0%}", f"{simulated / generated:.0%}"
    assert f"drew {new} were new, where it says {said}" in words("README.md")
    assert f"{new} are new, where `NEW_TOKENS` says {said}" in words("benchmarks/README.md")


def test_how_far_the_scale_models_prms_agree() -> None:
    """Rank correlations of two PRMs' last scores of the different solutions of a problem."""
    of_pools = []
    for policy in load_study("config/config.yaml").policies:
        name = policy.replace(".", "-")
        of_prms = [
            pl.read_parquet(folder / "*.parquet", columns=["problem_hash", "text_hash", "margins"])
            .unique(["problem_hash", "text_hash"])
            .sort("problem_hash", "text_hash")
            .with_columns(pl.col("margins").list.last())
            for folder in sorted((STORE / "step_scores").glob(f"arithmetic-chains.{name}.*"))
        ]
        assert len(of_prms) == 9
        scores = np.stack([one["margins"].to_numpy() for one in of_prms])
        of_problems = [
            np.corrcoef(rankdata(scores[:, rows["row"].to_numpy()], axis=1))
            for _, rows in of_prms[0].with_row_index("row").group_by("problem_hash")
            if rows.height > 2
        ]
        of_pools.append(np.nanmean(of_problems, axis=0)[np.triu_indices(9, 1)])
    means = [float(pairs.mean()) for pairs in of_pools]
    text = words("benchmarks/README.md")
    said = re.search(r"the correlation is ([0-9.]+) to ([0-9.]+) [(]mean over problems", text)
    by_pair = re.search(r"from ([0-9.]+) to ([0-9.]+) by pair", text)
    assert said is not None
    assert by_pair is not None
    ends = [min(means), max(means), np.min(of_pools), np.max(of_pools)]
    for number, value in zip((*said.groups(), *by_pair.groups()), ends, strict=True):
        assert abs(float(number) - value) <= 0.006


def test_what_is_said_of_buckets_and_abilities() -> None:
    tables = ROOT / "data" / "expected" / "micro" / "tables"
    overview = pl.read_csv(tables / "overview.csv").filter(task="arithmetic-chains")
    counts = overview.select("easy_problems", "medium_problems", "hard_problems").to_numpy()
    f1 = pl.read_csv(tables / "prm_ability.csv").filter(policy="all")["f1_percent"].to_numpy()
    text = words("README.md")
    assert f"by the study's own samples it holds {counts.min()} to {counts.max()}" in text
    assert f"with an F1 of {f1.min():.0f} to {f1.max():.0f} by causes" in text
