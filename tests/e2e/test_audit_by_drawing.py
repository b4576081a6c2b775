"""Ways in which a store can be forged, each with its manifest and all that follows from it mended:
what an audit finds of them, and that an honest store passes.

Two tiers of the verification cannot see any of these; what follows from the samples is not looked
at here at all. All units are drawn anew once, by one start of the engines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from default_study import POLICIES, PRM, STUDY, TASK
from micro_study import POLICY, study

from compute_optimal.cli import main
from compute_optimal.generate import jobs
from compute_optimal.generate.loading import kept_open
from compute_optimal.ship.audit import Finding, findings_of
from compute_optimal.ship.plausibility import chance_to_find, too_many
from compute_optimal.ship.redrawing import (
    CellSlice,
    Compared,
    Key,
    Row,
    beside,
    choose,
    compare,
    shipped_cells,
)
from compute_optimal.store.partitions import KEYS, Store, write_json, write_part
from compute_optimal.store.places import partition
from compute_optimal.store.sharing import publish
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import Cell, Grid, all_partitions
from compute_optimal.study.config import Study
from compute_optimal.study.requests import PoolPart, SamplesRequest
from compute_optimal.study.spec import digest, seed_for, text_hash

pytest.importorskip("vllm", reason="no CPU engine in this environment: make engine")
pytestmark = pytest.mark.engine

N_PROBLEMS, N = 5, 16
OTHER_POLICY = next(name for name in POLICIES if name != POLICY)
OTHER_PRM = next(name for name in STUDY.prms if name != PRM)
SHIPPED = Store(Path("nothing"), [STUDY.store.shipped])


@pytest.fixture(scope="module")
def of(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A small study whose shipped store has the first units of the real one."""
    folder = tmp_path_factory.mktemp("audit")
    small = study(
        folder,
        problems=N_PROBLEMS,
        methods=["cot", "majority", "best_of_n", "beam_search", "dvts"],
        budgets=[4, N],
        search_budgets=[4, N],
        store={"writable": str(folder / "store"), "shipped": str(folder / "shipped")},
    )
    problems = Storage.of(STUDY).facts(small.task(TASK), N_PROBLEMS)["problem_hash"]
    own = Store(folder / "own")
    for cell in Grid(small):
        shipped = cell.partition(SHIPPED).read(cell.kind)
        number = KEYS[cell.kind][1]
        kept = shipped.filter(
            pl.col("problem_hash").is_in(problems.implode()), pl.col(number) < cell.n_units
        )
        cell.partition(own).append(cell.kind, kept)
    publish(all_partitions(small, own), str(folder / "shipped"))
    return small


@pytest.fixture(scope="module", autouse=True)
def _engines_stay_open() -> Iterator[None]:
    with kept_open():
        yield


@pytest.fixture(scope="module")
def honest(of: Study, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Compared]:
    """Every unit of the store beside what is drawn anew, by cell."""
    slices = choose(shipped_cells([of]), 1.0, np.random.default_rng(0))
    made = list(compare(slices, tmp_path_factory.mktemp("redrawn")))
    assert {one.slice.cell.kind for one in made} == {"samples", "step_scores", "searches"}
    return {digest(one.slice.cell.spec): one for one in made}


def failures(compared: Sequence[Compared]) -> list[Finding]:
    return [f for f in findings_of(compared, np.random.default_rng(0)) if not f.passed]


def test_an_honest_store_passes_to_the_token(honest: dict[str, Compared]) -> None:
    assert [d for one in honest.values() for d in one.differences] == []
    assert failures(list(honest.values())) == []


def test_and_with_another_number_of_threads(of: Study, tmp_path: Path) -> None:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        slices = choose(shipped_cells([of]), 0.3, np.random.default_rng(1))
        assert failures(list(compare(slices, tmp_path))) == []
    finally:
        torch.set_num_threads(before)


# --- forgeries ------------------------------------------------------------------------------------


def cell_of(of: Study, kind: str, method: str = "", pool: str | None = None) -> Cell:
    return next(
        cell
        for cell in Grid(of)
        if cell.kind == kind and method in ("", cell.method) and pool in (None, cell.pool)
    )


def rows(frame: pl.DataFrame, keys: Sequence[Key], number: str) -> dict[Key, Row]:
    """Rows under keys of the forger's choice, with the seeds that these should have."""
    by_key = {(row["problem_hash"], row[number]): row for row in frame.iter_rows(named=True)}
    return {key: by_key[key] for key in keys if key in by_key}


def mended(row: Row, spec: object, key: Key, **changes: object) -> Row:
    """A sample with all that tells it from another put in order."""
    changed = row | changes | {"problem_hash": key[0], "sample_index": key[1]}
    seed = seed_for(digest(spec), *key)  # type: ignore[arg-type]
    return changed | {"text_hash": text_hash(changed["text"]), "seed": seed}


def other_temperature(of: Study, one: CellSlice, folder: Path) -> dict[Key, Row]:
    hot = {**one.cell.spec, "temperature": 1.1}
    storage = replace(Storage.of(of), store=Store(folder), generate="missing")
    request = SamplesRequest(
        task=of_task(of), problems=N_PROBLEMS, pools={"hot": PoolPart(n=N, spec=hot)}
    )
    jobs.draw_samples(request, storage)
    drawn = rows(partition(storage.store, hot).read("samples"), one.keys, "sample_index")
    return {key: mended(row, one.cell.spec, key) for key, row in drawn.items()}


def of_task(of: Study) -> dict[str, object]:
    from compute_optimal.study.cells import task_spec

    return dict(task_spec(of.task(TASK))["task"])


def best_of_several(_: Study, one: CellSlice, __: Path) -> dict[Key, Row]:
    """Of four honest draws the likeliest is kept."""
    pool = one.cell.partition(SHIPPED).read("samples")
    everything = {(row["problem_hash"], row["sample_index"]): row for row in pool.to_dicts()}
    kept = {}
    for key in one.keys:
        draws = [everything[key[0], key[1] + i * N] for i in range(4)]
        best = max(draws, key=lambda row: row["logprob_sum"])
        kept[key] = mended(best, one.cell.spec, key)
    return kept


def edited_answers(of: Study, one: CellSlice, _: Path) -> dict[Key, Row]:
    pool = rows(one.cell.partition(SHIPPED).read("samples"), one.keys, "sample_index")
    right = dict(
        Storage.of(of).facts(of.task(TASK), None).select("problem_hash", "answer").iter_rows()
    )
    edited = {}
    for key, row in pool.items():
        before, _, rest = row["text"].rpartition("boxed{")
        text = f"{before}boxed{{{right[key[0]]}}}{rest.partition('}')[2]}"
        edited[key] = mended(row, one.cell.spec, key, text=text)
    return edited


def another_policy(_: Study, one: CellSlice, __: Path) -> dict[Key, Row]:
    spec = next(
        cell.spec
        for cell in Grid(STUDY)
        if cell.policy == OTHER_POLICY and cell.pool == one.cell.pool
    )
    pool = rows(partition(SHIPPED, spec).read("samples"), one.keys, "sample_index")
    return {key: mended(row, one.cell.spec, key) for key, row in pool.items()}


SAMPLES = [other_temperature, best_of_several, edited_answers, another_policy]


@pytest.mark.parametrize("forge", SAMPLES, ids=lambda forge: forge.__name__)
def test_replaced_samples_are_other_ones(
    forge: Callable[[Study, CellSlice, Path], dict[Key, Row]],
    of: Study,
    honest: dict[str, Compared],
    tmp_path: Path,
) -> None:
    """Each sample that says something else is found, so a slice that holds enough of them fails as
    often as the page says."""
    cell = cell_of(of, "samples", pool="evaluation")
    true = honest[digest(cell.spec)]
    forged = forge(of, true.slice, tmp_path)
    comparison = beside(true.slice, true.stored | forged, true.fresh)
    replaced = {key for key, row in forged.items() if row["text"] != true.stored[key]["text"]}
    assert {d.key for d in comparison.differences} >= replaced
    assert len(replaced) >= 4
    (finding,) = [f for f in failures([comparison]) if "evaluation" in f.subject]
    assert finding.n_different >= len(replaced)

    # Slices of 16 of the cell's units, by 400 seeds.
    keys, n, rng = list(true.slice.keys), 16, np.random.default_rng(2)
    count = too_many(n, 3)
    caught = [
        len(replaced & {keys[i] for i in rng.choice(len(keys), n, replace=False)}) >= count
        for _ in range(400)
    ]
    stated = chance_to_find(len(replaced), len(keys), n, count)
    assert np.mean(caught) > stated - 4 * np.sqrt(max(stated * (1 - stated), 0.01) / 400)


LIKELIHOOD_TELLS = [other_temperature, edited_answers, another_policy]


@pytest.mark.parametrize("forge", LIKELIHOOD_TELLS, ids=lambda forge: forge.__name__)
def test_the_likelihood_tells_where_arithmetic_differs(
    forge: Callable[[Study, CellSlice, Path], dict[Key, Row]],
    of: Study,
    honest: dict[str, Compared],
    tmp_path: Path,
) -> None:
    true = honest[digest(cell_of(of, "samples", pool="evaluation").spec)]
    forged = beside(true.slice, true.stored | forge(of, true.slice, tmp_path), true.fresh)
    (finding,) = findings_of([forged], np.random.default_rng(0))
    assert "are no likely draw of this policy" in " ".join(finding.remarks)


def test_other_honest_draws_are_likely(of: Study, honest: dict[str, Compared]) -> None:
    """What another machine may have drawn: samples of the same pool with other seeds."""
    true = honest[digest(cell_of(of, "samples", pool="evaluation").spec)]
    pool = true.slice.cell.partition(SHIPPED).read("samples")
    others = {(row["problem_hash"], row["sample_index"] - N): row for row in pool.to_dicts()}
    stored = {key: mended(others[key], true.slice.cell.spec, key) for key in true.slice.keys}
    (finding,) = findings_of([beside(true.slice, stored, true.fresh)], np.random.default_rng(0))
    assert "are a likely draw of this policy" in " ".join(finding.remarks)
    # So many fail all the same, as the page says: nothing else tells the best of several draws.
    assert not finding.passed


def test_scores_of_another_prm(of: Study, honest: dict[str, Compared]) -> None:
    cell = cell_of(of, "step_scores")
    true = honest[digest(cell.spec)]
    other = next(
        c.spec
        for c in Grid(STUDY)
        if (c.kind, c.policy, c.prm) == ("step_scores", POLICY, OTHER_PRM)
    )
    forged = rows(partition(SHIPPED, other).read("step_scores"), true.slice.keys, "sample_index")
    comparison = beside(true.slice, forged, true.fresh)
    assert len(comparison.differences) == len(true.slice.keys)
    assert failures([comparison])


@pytest.mark.parametrize("method", ["beam_search", "dvts"])
def test_searches_of_another_prm(method: str, of: Study, honest: dict[str, Compared]) -> None:
    """Found by the scores of what both trees hold, wherever the policy's draws are the same."""
    cell = cell_of(of, "searches", method)
    true = honest[digest(cell.spec)]
    other = next(
        c.spec
        for c in Grid(STUDY)
        if (c.kind, c.policy, c.prm, c.method) == ("searches", POLICY, OTHER_PRM, method)
        and c.spec.get("budget") == cell.spec.get("budget")
    )
    forged = rows(partition(SHIPPED, other).read("searches"), true.slice.keys, "subtree")
    comparison = beside(true.slice, forged, true.fresh)
    assert len(comparison.differences) == len(true.slice.keys)
    assert failures([comparison])


def test_a_forged_store_fails_by_the_command_and_its_page_says_where(
    of: Study,
    honest: dict[str, Compared],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    forged_root, cell = tmp_path / "shipped", cell_of(of, "samples", pool="evaluation")
    own, honest_store = Store(tmp_path / "own"), Store(Path("nothing"), [of.store.shipped])
    for one in Grid(of):
        frame = one.partition(honest_store).read(one.kind)
        if one.spec == cell.spec:
            true = honest[digest(cell.spec)]
            edited = list(edited_answers(of, true.slice, tmp_path).values())
            frame = pl.DataFrame(edited, schema=frame.schema)
        folder = own.roots[0].path / one.partition(own).directory
        write_json(folder / "spec.json", dict(one.spec))
        write_part(folder, one.kind, frame)
    publish(all_partitions(of, own), str(forged_root))
    described = of.model_dump(mode="json") | {
        "store": {"writable": str(tmp_path / "writable"), "shipped": str(forged_root)},
        "results": str(tmp_path / "results"),
    }
    write_json(tmp_path / "study.json", described)
    arguments = ["audit", "--config", str(tmp_path / "study.json"), "--share", "1", "--seed", "5"]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "seed of this audit: 5" in printed.out
    assert "was not made as it says" in printed.err
    page = (tmp_path / "results/audit.html").read_text()
    assert "evaluation" in page
    assert "make audit SEED=5 SHARE=1" in page
