"""Which slice an audit takes, what differences prove, and what it says where it cannot draw."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from default_study import POLICIES, PRM, ROOT, STUDY, TASK
from drawn_cases import ALL_CASES

from compute_optimal.cli import main
from compute_optimal.engines import NO_ENGINE
from compute_optimal.engines.likelihood import Likelihood
from compute_optimal.errors import NotAtHandError, StudyError
from compute_optimal.ship import audit as auditing
from compute_optimal.ship.audit import (
    Audit,
    Finding,
    Power,
    audit,
    audit_studies,
    findings_of,
)
from compute_optimal.ship.plausibility import (
    ARITHMETIC,
    ERROR_RATE,
    at_least,
    chance_to_find,
    implausibility,
    joined,
    too_many,
)
from compute_optimal.ship.redrawing import (
    CellSlice,
    Compared,
    Key,
    Row,
    ShippedCell,
    _of_all,
    beside,
    choose,
    inconsistencies,
    shipped_cells,
    shipped_store,
    stored_rows,
)
from compute_optimal.ship.verify import verify
from compute_optimal.store.places import Kind
from compute_optimal.study.cells import Cell, Grid
from compute_optimal.study.config import Study, load_study
from compute_optimal.study.plan import StudyPlan

MIRROR = os.environ.get("MIRROR")


def small(folder: Path, **keys: object) -> Study:
    """A part of the default study, with its shipped store."""
    return load_study(
        ROOT / "config/config.yaml",
        {
            "tasks": [TASK],
            "policies": POLICIES,
            "prms": [PRM],
            "adopted": [],
            "budgets": [4, 16],
            "search_budgets": None,
            "registry": str(ROOT / "config/registry"),
            "lock_file": str(ROOT / "config/models.lock.json"),
            "store": {"writable": str(folder / "store"), "shipped": str(ROOT / "data/store")},
            "results": str(folder / "results"),
            **keys,
        },
    )


# --- the slice ------------------------------------------------------------------------------------


def test_a_slice_is_a_function_of_its_seed_and_holds_every_kind(tmp_path: Path) -> None:
    of = small(tmp_path)

    def slices(seed: int) -> dict[str, tuple[tuple[str, int], ...]]:
        return {
            one.name: one.keys
            for one in choose(shipped_cells([of]), 0.0005, np.random.default_rng(seed))
        }

    assert slices(1) == slices(1)
    assert slices(1) != slices(2)
    groups = Counter(
        (one.cell.kind, one.cell.pool or one.cell.method)
        for one in choose(shipped_cells([of]), 1e-9, np.random.default_rng(0))
    )
    assert groups.keys() >= {
        ("samples", "evaluation"), ("samples", "difficulty"), ("samples", "greedy"),
        ("step_scores", "evaluation"), ("searches", "beam_search"), ("searches", "dvts"),
    }  # fmt: skip


def test_every_unit_has_the_same_chance(tmp_path: Path) -> None:
    of, share = small(tmp_path), 0.01
    taken = stored = 0
    for seed in range(3):
        for one in choose(shipped_cells([of]), share, np.random.default_rng(seed)):
            taken += len(one.keys)
            stored += one.n_stored
            assert len(set(one.keys)) == len(one.keys)
    assert taken / stored == pytest.approx(share, rel=0.05)


def test_a_cell_of_two_studies_is_audited_once_as_the_larger_has_it(tmp_path: Path) -> None:
    few, many = small(tmp_path, budgets=[4]), small(tmp_path)
    one = choose(shipped_cells([few]), 1.0, np.random.default_rng(0))
    both = choose(shipped_cells([few, many]), 1.0, np.random.default_rng(0))
    names = [slice_.name for slice_ in both]
    assert len(set(names)) == len(names)
    assert sum(s.n_stored for s in both) > sum(s.n_stored for s in one)


def test_cells_that_do_not_ship_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes the bad news out of a store has nothing drawn that differs."""
    monkeypatch.setattr(auditing, "engine_version", lambda: NO_ENGINE)
    of = small(tmp_path)
    assert not any("not ship" in note for note in audit([of], tmp_path, share=1e-9, seed=0).notes)
    without = [cell for cell in shipped_cells([of]) if cell.cell.method != "dvts"]
    monkeypatch.setattr(auditing, "shipped_cells", lambda _: without)
    (note,) = (n for n in audit([of], tmp_path, share=1e-9, seed=0).notes if "not ship" in n)
    n_cells = sum(1 for _ in Grid(of))
    assert note.startswith(f"{n_cells - len(without)} cells of {n_cells} that the studies need do")
    assert "dvts" in note


def test_units_that_no_study_needs_are_audited_too_for_costs_are_means_over_all(
    tmp_path: Path,
) -> None:
    few, many = small(tmp_path, budgets=[4], problems=3), small(tmp_path)
    of_few, of_many = ({c.cell.spec["kind"]: c for c in shipped_cells([of])} for of in (few, many))
    for kind in ("samples", "step_scores"):
        assert of_few[kind].keys == of_many[kind].keys

    cell = of_few["step_scores"]
    request = StudyPlan(few).request(cell.cell.job)
    asked = _of_all(request, [CellSlice(few, cell.cell, len(cell.keys), cell.keys[-1:])])
    assert (request.n, request.problems) == (4, 3)  # type: ignore[attr-defined]
    assert (asked.n, asked.problems) == (cell.keys[-1][1] + 1, None)
    assert asked.spec == request.spec  # type: ignore[attr-defined]


def test_what_is_found_is_said_of_all_that_ships_not_of_the_cells_in_the_slice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "engine_version", lambda: NO_ENGINE)
    of = small(tmp_path)
    n_units: Counter[str] = Counter()
    for cell in shipped_cells([of]):
        n_units[auditing.KINDS[cell.cell.kind]] += len(cell.keys)
    audited = audit([of], tmp_path / "new", share=1e-9, seed=0)
    assert sum(finding.n_stored for finding in audited.findings) < sum(n_units.values())
    assert {power.what: power.n_stored for power in audited.powers} == n_units


def inventory(of: Study, sizes: Mapping[Kind, Sequence[int]]) -> list[ShippedCell]:
    """A store of made-up cells, so many units each, of models that take turns."""
    shipped = []
    for kind, of_kind in sizes.items():
        for i, size in enumerate(of_kind):
            policy, prm = f"policy {i % 3}", None if kind == "samples" else f"prm {i % 4}"
            pool = None if kind == "searches" else "evaluation"
            cell = Cell(kind, "task", policy, prm, "method", i, size, {"number": i}, pool)  # type: ignore[arg-type]
            keys = tuple((f"problem {unit % 20}", unit // 20) for unit in range(size))
            shipped.append(ShippedCell(of, cell, keys))
    return shipped


UNEQUAL = [3000, *[333] * 80, *[30] * 122]
"""Each cell of 333 is a hundredth of all units, and a share of 0.006 of each cell would be two of
it at most, which are excused."""

Replaced = Mapping[int, Collection[int]]
"""Place of a cell -> numbers of its units."""


def spread(cells: Sequence[ShippedCell], n: int, rng: np.random.Generator) -> Replaced:
    units = [(place, i) for place, cell in enumerate(cells) for i in range(len(cell.keys))]
    replaced: dict[int, set[int]] = {}
    for unit in rng.choice(len(units), n, replace=False).tolist():
        replaced.setdefault(units[unit][0], set()).add(units[unit][1])
    return replaced


def whole_cells(cells: Sequence[ShippedCell], n: int, order: Sequence[int]) -> Replaced:
    """One cell after the other, the last as far as it is needed."""
    replaced = {}
    for place in order:
        take = min(n, len(cells[place].keys))
        n -= take
        if take:
            replaced[place] = range(take)
    return replaced


def largest(cells: Sequence[ShippedCell], n: int, _: object) -> Replaced:
    return whole_cells(cells, n, sorted(range(len(cells)), key=lambda i: -len(cells[i].keys)))


def smallest(cells: Sequence[ShippedCell], n: int, _: object) -> Replaced:
    return whole_cells(cells, n, sorted(range(len(cells)), key=lambda i: len(cells[i].keys)))


def one_cell(cells: Sequence[ShippedCell], n: int, _: object) -> Replaced:
    return whole_cells(cells, n, range(1, len(cells)))


def of_one_policy(cells: Sequence[ShippedCell], n: int, _: object) -> Replaced:
    return whole_cells(cells, n, sorted(range(len(cells)), key=lambda i: cells[i].cell.policy))


def of_some_problems(cells: Sequence[ShippedCell], n: int, _: object) -> Replaced:
    units = sorted(
        (key, place, i) for place, cell in enumerate(cells) for i, key in enumerate(cell.keys)
    )
    replaced: dict[int, set[int]] = {}
    for _key, place, i in units[:n]:
        replaced.setdefault(place, set()).add(i)
    return replaced


@pytest.mark.parametrize(
    "forge", [spread, largest, one_cell, smallest, of_one_policy, of_some_problems]
)
@pytest.mark.parametrize(
    ("kind", "share"),
    # Both kinds go the same way here, so each has some of the shares.
    [("samples", 0.0005), ("samples", 0.006), ("step_scores", 0.02)]
    + ([("step_scores", 0.0005), ("step_scores", 0.006), ("samples", 0.02)] if ALL_CASES else []),
)
def test_what_is_stated_to_be_found_is_found_whichever_units_are_replaced(
    kind: Kind,
    share: float,
    forge: Callable[[Sequence[ShippedCell], int, np.random.Generator], Replaced],
    tmp_path: Path,
) -> None:
    cells, rng = inventory(small(tmp_path), {kind: UNEQUAL}), np.random.default_rng(7)
    places = {id(cell.cell): place for place, cell in enumerate(cells)}
    bad = forge(cells, round(0.01 * sum(UNEQUAL)), rng)
    keys = {place: {cells[place].keys[i] for i in units} for place, units in bad.items()}
    assert sum(map(len, keys.values())) == round(0.01 * sum(UNEQUAL))
    stated, found = [], []
    for _ in range(300):
        slices = choose(cells, share, rng)
        (power,) = auditing._powers(cells, [Compared(one, {}, {}, ()) for one in slices])
        hits = sum(len(keys.get(places[id(o.cell)], set()) & {*o.keys}) for o in slices)
        stated.append(power.chances[auditing.REPLACED.index(0.01)])
        found.append(hits > power.allowed)
    error = math.sqrt(max(np.mean(stated) * (1 - np.mean(stated)), 1e-3) / len(found))
    assert np.mean(found) > np.mean(stated) - 4 * error
    # Without units that only come so that all models are asked, it is exact.
    assert share < 0.006 or np.mean(found) < np.mean(stated) + 4 * error


def test_what_cannot_be_made_anew_is_reckoned_to_be_replaced_first(tmp_path: Path) -> None:
    cells = inventory(small(tmp_path), {"samples": [100] * 30})
    slices = choose(cells, 0.1, np.random.default_rng(0))
    for broken, n_out in (("nothing", 0), ("policy 1", 1000)):
        made = [
            Compared(one, {}, {}, (), "no model" if one.cell.policy == broken else "")
            for one in slices
        ]
        (power,) = auditing._powers(cells, made)
        assert (power.n_stored, power.n_out_of_reach) == (3000, n_out)
        of = dict(zip(auditing.REPLACED, power.chances, strict=True))
        assert (of[0.1] > 0.99) is (n_out == 0)
        assert of[0.1] == 0.0 or n_out == 0
    # A cell of that policy that the slice does not ask of would not have been made either.
    (power,) = auditing._powers(cells, [replace(one, failure="no model") for one in made])
    assert power.chances == (0.0,) * len(auditing.REPLACED)
    asked = [one for one in made if not one.failure or one.slice.cell.spec["number"] == 1]
    (power,) = auditing._powers(cells, asked)
    assert power.n_out_of_reach == 1000


# --- what differences prove -----------------------------------------------------------------------


def test_the_chance_of_so_many_or_more_is_the_binomial_tail() -> None:
    # One minus no success of five, and one minus none and one.
    assert at_least(1, 5, 0.1) == pytest.approx(1 - 0.9**5)
    assert at_least(2, 5, 0.1) == pytest.approx(1 - 0.9**5 - 5 * 0.1 * 0.9**4)
    # None are always reached, more than there are never, and all where each is sure.
    assert [at_least(*of) for of in ((0, 5, 0.1), (6, 5, 0.9), (5, 5, 1.0), (1, 5, 0.0))] == [
        1.0, 0.0, 1.0, 0.0,
    ]  # fmt: skip


def test_the_chance_to_find_is_that_of_drawing_without_return() -> None:
    # One minus no replaced one of two drawn of ten, three of which are; then both.
    assert chance_to_find(3, 10, 2, 1) == pytest.approx(1 - 7 / 10 * 6 / 9)
    assert chance_to_find(3, 10, 2, 2) == pytest.approx(3 / 10 * 2 / 9)
    assert chance_to_find(10, 10, 3, 3) == 1.0
    assert chance_to_find(0, 10, 10, 1) == chance_to_find(2, 10, 10, 3) == 0.0


@pytest.mark.parametrize("n", [1, 20, 500, 5000])
def test_honest_differences_are_too_many_as_seldom_as_stated(n: int) -> None:
    count = too_many(n, 3)
    assert at_least(count, n, ARITHMETIC) <= ERROR_RATE / 6
    assert count == 1 or at_least(count - 1, n, ARITHMETIC) > ERROR_RATE / 6


def scored(folder: Path, kind: str) -> tuple[CellSlice, dict[Key, Row]]:
    """A slice of one cell and its units, with scores."""
    of = small(folder)
    cell = next(c for c in shipped_cells([of]) if c.cell.kind == kind)
    one = CellSlice(of, cell.cell, len(cell.keys), cell.keys[:200])
    rows = stored_rows(shipped_store(of), one)
    return one, {key: row for key, row in rows.items() if any(margins_of(row))}


def margins_of(row: Row) -> list[float]:
    paths = row.get("paths", [row])
    return [margin for path in paths for margin in path["margins"]]


def moved(row: Row, by: float) -> Row:
    """A unit whose first margin is another one."""

    def other(margins: list[float]) -> list[float]:
        return [margins[0] + by, *margins[1:]]

    if "paths" not in row:
        return row | {"margins": other(row["margins"])}
    first, *rest = row["paths"]
    return row | {"paths": [first | {"margins": other(first["margins"])}, *rest]}


@pytest.mark.parametrize("kind", ["step_scores", "searches"])
@pytest.mark.parametrize(
    ("by", "n", "passes"),
    [
        (0.9e-4, 200, True),  # within float32
        (2e-4, 1, True),  # another order of summation, once
        (2e-4, 20, False),  # too often for that
        (9e-3, 1, True),
        (1.1e-2, 1, False),  # too far for that
        (math.inf, 1, False),
        (math.nan, 1, False),
    ],
)
def test_scores_may_be_off_a_little_and_a_few_of_them_a_little_more(
    kind: str, by: float, n: int, passes: bool, tmp_path: Path
) -> None:
    one, rows = scored(tmp_path, kind)
    one = replace(one, keys=tuple(rows))
    stored = {key: moved(row, by) if i < n else row for i, (key, row) in enumerate(rows.items())}
    (finding,) = findings_of([beside(one, stored, rows)], np.random.default_rng(0))
    assert finding.passed is passes
    assert finding.n_different == (0 if by < 1e-4 else n)
    assert ("arithmetic explains" in " ".join(finding.remarks)) is (n == 20)


@pytest.mark.parametrize(
    ("kind", "column", "value", "said"),
    [
        ("samples", "problem_id", "chain-\u200b00287", "problem_id is"),
        ("samples", "n_tokens", 1, "n_tokens is 1"),
        ("samples", "finish_reason", "length", "finish_reason is 'length'"),
        ("samples", "prompt_tokens_computed", 10**9, "are 10000000"),
        ("samples", "prompt_tokens_cached", -1, "prompt_tokens_cached that are no cost"),
        ("samples", "seconds", math.nan, "with seconds that are no cost"),
        ("step_scores", "prm_tokens_computed", 1, "prm_tokens_computed and prm_tokens_cached are"),
        ("step_scores", "over_context", 7, "over_context is 7"),
        ("searches", "prm_tokens_cached", 0, "prm_tokens_computed and prm_tokens_cached are"),
        ("searches", "generated_tokens", 3, "generated_tokens is 3"),
        ("searches", "discarded_tokens", 0, "discarded_tokens is 0"),
        ("searches", "policy_seconds", -1.0, "policy_seconds that are no cost"),
    ],
)
def test_another_count_or_name_is_found_in_a_single_unit(
    kind: str, column: str, value: object, said: str, tmp_path: Path
) -> None:
    of = small(tmp_path)
    cell = next(c for c in shipped_cells([of]) if c.cell.kind == kind)
    one = CellSlice(of, cell.cell, len(cell.keys), cell.keys[:1])
    rows = stored_rows(shipped_store(of), one)
    stored = {key: row | {column: value} for key, row in rows.items()}
    (finding,) = findings_of([beside(one, stored, rows)], np.random.default_rng(0))
    assert not finding.passed
    assert said in " ".join(finding.remarks)


def test_tokens_of_a_step_that_was_drawn_are_no_matter_of_arithmetic(tmp_path: Path) -> None:
    one, rows = scored(tmp_path, "searches")
    key, row = next(iter(rows.items()))
    first, *rest = row["nodes"]
    other = row | {"nodes": [first | {"n_tokens": 1}, *rest]}
    one = replace(one, keys=(key,))
    (finding,) = findings_of([beside(one, {key: other}, {key: row})], np.random.default_rng(0))
    assert not finding.passed


def test_samples_of_a_problem_in_another_order_are_other_ones(tmp_path: Path) -> None:
    of = small(tmp_path)
    cell = next(c for c in shipped_cells([of]) if c.cell.kind == "samples")
    one = CellSlice(of, cell.cell, len(cell.keys), cell.keys[:8])
    rows = stored_rows(shipped_store(of), one)
    keys = [key for key in rows if key[0] == one.keys[0][0]]
    number = "sample_index"
    swapped = {
        key: rows[other] | {number: key[1]} for key, other in zip(keys, reversed(keys), strict=True)
    }
    differing = {d.key for d in beside(one, rows | swapped, rows).differences}
    assert differing == {key for key in keys if swapped[key]["text"] != rows[key]["text"]}
    assert len(differing) > 2


def test_scores_fail_that_are_missing_or_too_many(tmp_path: Path) -> None:
    one, rows = scored(tmp_path, "step_scores")
    key = next(iter(rows))
    for margins in ([], [*rows[key]["margins"], 1.0]):
        stored = rows | {key: rows[key] | {"margins": margins}}
        (finding,) = findings_of(
            [beside(replace(one, keys=(key,)), stored, rows)], np.random.default_rng(0)
        )
        assert not finding.passed


@pytest.mark.parametrize(
    ("by", "n_different"), [(0.005, 0), (0.02, 1), (math.nan, 1), (math.inf, 1)]
)
def test_a_sample_has_the_likelihood_that_its_text_has(
    by: float, n_different: int, tmp_path: Path
) -> None:
    of = small(tmp_path)
    cell = next(c for c in shipped_cells([of]) if c.cell.kind == "samples")
    one = CellSlice(of, cell.cell, len(cell.keys), cell.keys[:1])
    rows = stored_rows(shipped_store(of), one)
    stored = {key: row | {"logprob_sum": row["logprob_sum"] + by} for key, row in rows.items()}
    assert len(beside(one, stored, rows).differences) == n_different


def test_nodes_of_a_search_are_scored_as_its_paths_are(tmp_path: Path) -> None:
    one, rows = scored(tmp_path, "searches")
    key, row = next((key, row) for key, row in rows.items() if row["nodes"][0]["margin"])
    for by, passes in ((2e-4, True), (0.02, False), (math.nan, False)):
        first, *rest = row["nodes"]
        other = row | {"nodes": [first | {"margin": first["margin"] + by}, *rest]}
        (finding,) = findings_of(
            [beside(replace(one, keys=tuple(rows)), rows | {key: other}, rows)],
            np.random.default_rng(0),
        )
        assert (finding.passed, finding.n_different) == (passes, 1)


ODDS = np.array([0.7, 0.2, 0.08, 0.02])


def drawn(rng: np.random.Generator, n: int, *, power: float = 1.0) -> list[Likelihood]:
    """Texts of 60 tokens, each from a few, as a policy draws them; ``power`` over 1: colder."""
    said = ODDS**power / (ODDS**power).sum()
    terms, rarity = np.log(ODDS), np.array([ODDS[i:].sum() for i in range(len(ODDS))])
    entropy = -(ODDS * terms).sum()
    texts = rng.choice(len(ODDS), size=(n, 60), p=said)
    return [Likelihood((terms[t] + entropy).sum(), rarity[t].min(), 60, 0) for t in texts]


def test_honest_texts_are_implausible_as_seldom_as_the_p_value_says() -> None:
    rng = np.random.default_rng(0)
    p = np.array([implausibility(drawn(rng, 12), drawn(rng, 12), 500, rng) for _ in range(200)])
    assert (p < 0.1).mean() < 0.15
    assert (p < 0.01).mean() < 0.03


def test_and_so_are_those_that_differ_which_are_the_less_likely_ones() -> None:
    """Texts that two draws have in common are likely ones, and are not compared."""
    rng = np.random.default_rng(0)
    p = []
    for _ in range(200):
        pairs = zip(drawn(rng, 40), drawn(rng, 40), strict=True)
        differing = [(a, b) for a, b in pairs if min(a.excess, b.excess) < -2]
        stored, fresh = map(list, zip(*differing, strict=True))
        p.append(implausibility(stored, fresh, 500, rng))
    assert (np.array(p) < 0.1).mean() < 0.15


@pytest.mark.parametrize("power", [0.7, 1.6])
def test_another_temperature_is_implausible(power: float) -> None:
    rng = np.random.default_rng(0)
    assert implausibility(drawn(rng, 20, power=power), drawn(rng, 20), 500, rng) < 0.001


def test_tokens_that_are_never_or_hardly_ever_drawn_are_enough() -> None:
    rng = np.random.default_rng(0)
    honest, fresh = drawn(rng, 3), drawn(rng, 3)
    assert implausibility([Likelihood(0.0, 1.0, 60, 1)], fresh[:1], 500, rng) == 0.0
    one = [replace(honest[0], rarest=1e-9), *honest[1:]]
    assert implausibility(one, fresh, 500, rng) < 0.001
    many = [replace(text, rarest=1e-4) for text in drawn(rng, 20)]
    assert implausibility(many, drawn(rng, 20), 500, rng) < 0.001


def test_a_tree_is_as_rare_as_its_rarest_node() -> None:
    both = joined([Likelihood(1.0, 0.5, 10, 0), Likelihood(-3.0, 0.1, 5, 1)])
    assert both == Likelihood(-2.0, 0.1, 15, 1)


def test_moments_are_those_of_the_distribution_that_is_drawn_from() -> None:
    torch = pytest.importorskip("torch", reason="no engine in this environment")
    from compute_optimal.engines.likelihood import _of_row

    logits = torch.tensor([[2.0, 1.0, 0.0, -3.0]])
    for settings in [(0.7, 1.0, -1), (0.7, 0.9, -1), (1.0, 1.0, 2)]:
        each = [_of_row(logits, torch.tensor([i]), *settings) for i in range(4)]
        possible = [one for one in each if not one.impossible]
        assert len(possible) == (4 if settings[1:] == (1.0, -1) else 2)
        # The likeliest token is first, so what is as rare as it is everything.
        rarity = np.array([one.rarest for one in possible])
        odds = -np.diff([*rarity, 0.0])
        assert rarity[0] == pytest.approx(1.0, abs=1e-5)
        assert (odds * [one.excess for one in possible]).sum() == pytest.approx(0.0, abs=1e-4)
    greedy = [_of_row(logits, torch.tensor([i]), 0.0, 1.0, -1).impossible for i in range(4)]
    assert greedy == [0, 1, 1, 1]


def test_what_cannot_be_so_is_told_without_a_model(tmp_path: Path) -> None:
    for one in choose(shipped_cells([small(tmp_path)]), 0.0005, np.random.default_rng(3)):
        rows = stored_rows(shipped_store(one.study), one)
        assert list(inconsistencies(one, rows)) == []
        if one.cell.kind == "samples":
            key = one.keys[0]
            other = {key: rows[key] | {"text": "something else"}}
            assert "of another text" in next(inconsistencies(one, other))
        without_cost = {key: row | {"seconds": -1.0} for key, row in rows.items()}
        assert "with seconds that are no cost" in next(inconsistencies(one, without_cost))
        if one.cell.kind == "searches":
            key = one.keys[0]
            paths = [path | {"text": "never said"} for path in rows[key]["paths"]]
            other = {key: rows[key] | {"paths": paths}}
            assert "not what its nodes say" in next(inconsistencies(one, other))


# --- what it says ---------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="is none of the store"):
        audit([small(tmp_path)], tmp_path, share=share, seed=0)


@pytest.mark.parametrize("command", ["audit", "verify"])
def test_a_mirror_that_is_no_folder_is_the_readers_mistake_and_no_finding(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR", str(tmp_path / "mistyped"))
    of = small(tmp_path, adopted=STUDY.adopted[1:2])
    run = {
        "audit": lambda: audit([of], tmp_path / "new", share=0.1, seed=0),
        "verify": lambda: verify(of, ROOT / "data/expected", tmp_path, tier=1, cores=1),
    }
    with pytest.raises(StudyError, match="the mirror is not a folder"):
        run[command]()


def test_a_seed_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="a seed of -1 is none"):
        audit([small(tmp_path)], tmp_path, share=0.1, seed=-1)


def test_a_store_that_ships_nothing_is_named(tmp_path: Path) -> None:
    empty = small(tmp_path, store={"writable": str(tmp_path / "a"), "shipped": str(tmp_path / "b")})
    with pytest.raises(StudyError, match="nothing that ships"):
        audit([empty], tmp_path, share=0.1, seed=0)


def test_without_an_engine_it_says_what_it_did_and_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(auditing, "engine_version", lambda: NO_ENGINE)
    of = small(tmp_path).model_dump(mode="json")
    (tmp_path / "study.json").write_text(json.dumps(of))
    assert main(["audit", "--config", str(tmp_path / "study.json"), "--share", "0.0001"]) == 1
    printed = capsys.readouterr()
    assert "seed of this audit: " in printed.out
    assert "No engine is in this environment" in printed.out
    assert "nothing was drawn anew" in printed.err
    page = (tmp_path / "results/audit.html").read_text()
    assert "Nothing was drawn anew" in page
    assert "make audit makes an environment with one" in page


def test_models_that_are_not_here_are_said_and_nothing_passes_for_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "engine_version", lambda: "an engine")
    of = small(tmp_path, methods=["cot", "majority", "best_of_n"])
    monkeypatch.chdir(tmp_path)  # the registry's folders are relative
    audited = audit([of], tmp_path / "new", share=1e-6, seed=0)
    assert not audited.drawn
    remarks = {finding.remarks[0] for finding in audited.findings}
    assert all(remark.startswith("not drawn anew: ") for remark in remarks)
    assert any(name in " ".join(remarks) for name in POLICIES)
    monkeypatch.setattr(auditing, "audit", lambda *_, **__: audited)
    with pytest.raises(StudyError, match=r"drawn anew; of most cells: .*no whole model"):
        list(audit_studies([of], 1e-6, 0, tmp_path / "audit.html"))


@pytest.fixture
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIRROR", raising=False)
    monkeypatch.setattr(auditing, "choose", lambda *_: [])


def audited_where_adopting_ends_in(
    error: StudyError, of: Study, folder: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> Audit:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(auditing, "adopt", refuse)
    return audit([of], folder / "new", share=share, seed=0)


@pytest.mark.usefixtures("no_mirror")
def test_without_a_mirror_the_addresses_of_adopted_rollouts_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = small(tmp_path, adopted=STUDY.adopted[1:3])
    audited = audited_where_adopting_ends_in(
        NotAtHandError("no connection", where="an address", cure="check the network"),
        of, tmp_path, 0.5, monkeypatch,
    )  # fmt: skip
    assert any("fetched from their addresses" in note for note in audited.notes)
    (finding,) = audited.findings
    assert finding.subject.startswith("adopted: ")
    assert finding.remarks == ("not adopted again: no connection",)


@pytest.mark.usefixtures("no_mirror")
@pytest.mark.parametrize("error", [StudyError, NotAtHandError])
def test_files_that_are_others_than_the_registry_says_prove_something(
    error: type[StudyError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever changes adopted rows and the sha256 that they are said to come from."""
    of = small(tmp_path, adopted=STUDY.adopted[1:2])
    audited = audited_where_adopting_ends_in(
        error("1 of 1 files cannot be had: its sha256 is another", where="", cure=""),
        of, tmp_path, 1.0, monkeypatch,
    )  # fmt: skip
    (finding,) = audited.findings
    assert finding.passed is (error is NotAtHandError)
    assert audited.not_drawn == ((finding,) if finding.passed else ())
    of_collections = audited.powers[-1]
    assert (of_collections.what, of_collections.n_stored) == ("adopted collections", 1)
    assert of_collections.n_drawn == 1 - of_collections.n_out_of_reach == int(not finding.passed)
    if finding.passed:
        assert "1 cell or collection: not adopted again: 1 of 1 files" in audited.text
        assert "Nothing was drawn anew" in audited.html


def test_a_study_that_only_adopts_is_audited_without_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MIRROR", raising=False)
    monkeypatch.setattr(auditing, "engine_version", lambda: NO_ENGINE)
    monkeypatch.setattr(auditing, "adopt", lambda *_: None)
    only = {"tasks": [], "policies": [], "prms": [], "adopted": STUDY.adopted[1:2]}
    audited = audit([small(tmp_path, **only)], tmp_path / "new", share=1.0, seed=0)
    assert audited.drawn
    assert [power.what for power in audited.powers] == ["adopted collections"]
    (note,) = audited.notes
    assert note.startswith("No mirror is set")


def test_without_an_engine_what_was_adopted_again_is_said_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MIRROR", raising=False)
    monkeypatch.setattr(auditing, "engine_version", lambda: NO_ENGINE)
    monkeypatch.setattr(auditing, "adopt", lambda *_: None)
    of = small(tmp_path, methods=["cot"], adopted=STUDY.adopted[1:2])
    audited = audit([of], tmp_path / "new", share=1e-6, seed=0)
    assert not audited.drawn
    page = " ".join(audited.html.split())
    again = "othing that models made was drawn anew (1 adopted collection was adopted again)"
    assert f"N{again}, and 1 of {len(audited.findings)} cells and collections are not" in page
    # What is wrong with it is that it has other rows, which can be.
    assert "hold what cannot be so" not in page
    assert "othing was drawn anew" not in audited.text + page
    right = replace(audited, findings=tuple(one for one in audited.findings if one.passed))
    monkeypatch.setattr(auditing, "audit", lambda *_, **__: right)
    with pytest.raises(StudyError, match=re.escape(again)):
        list(audit_studies([of], 1e-6, 0, tmp_path / "audit.html"))


@pytest.mark.usefixtures("no_mirror")
def test_adopted_rows_that_the_files_do_not_give_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "adopt", lambda *_: None)
    of = small(tmp_path, adopted=STUDY.adopted[1:2])
    (finding,) = audit([of], tmp_path / "new", share=1.0, seed=0).findings
    assert not finding.passed
    assert "adopted_samples has other rows, adopted again" in finding.remarks


@pytest.mark.skipif(not MIRROR, reason="MIRROR names no folder with the rollouts")
def test_honest_adopted_rows_are_given_again_by_the_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "choose", lambda *_: [])
    of = small(tmp_path, adopted=STUDY.adopted[1:2], mirror=MIRROR)
    (finding,) = audit([of], tmp_path / "new", share=1.0, seed=0).findings
    assert finding.passed
    assert finding.remarks[0].startswith("the same rows, adopted again")


@pytest.mark.parametrize(("n_different", "said"), [(0, "ships."), (2, "ships, but for 2 of the")])
def test_the_page_does_not_call_the_same_what_was_excused(n_different: int, said: str) -> None:
    finding = Finding("a cell", True, 10, 5, n_different, ("as it is",))
    power = Power("samples", 10, 0, 5, 2, (0.0, 0.0, 0.0, 0.0))
    page = Audit(("micro",), 7, 0.5, "e", 1.0, (finding,), (power,), ()).html
    assert f"All that was drawn anew is what {said}" in page
    assert "nothing is known of them" not in page
    absent = Finding("another", True, 10, 0, 0, ("not drawn anew: no model",))
    audited = Audit(("micro",), 7, 0.5, "e", 1.0, (finding, absent), (power,), ())
    assert "1 of 2 cells and collections of the slice could not be made anew" in audited.html
    assert "1 cell or collection: not drawn anew: no model" in audited.text


def test_the_page_escapes_what_the_store_says() -> None:
    evil = "</td><script>alert(1)</script>"
    finding = Finding(evil, False, 10, 1, 1, (evil,))
    power = Power("samples", 10, 0, 1, 0, (0.0, 0.001, 0.01, 0.1))
    page = Audit(("micro",), 7, 0.5, evil, 1.0, (finding,), (power,), (evil,)).html
    assert "<script" not in page
    assert "1 of 1 cells and collections are not what they claim to be" in page
    assert "make audit SEED=7 SHARE=0.5" in page
    assert "with a chance of 1% at most, as long as" in page
    assert "arithmetic makes no more than 0.05% of the units others" in page
    assert "makes most texts others, an honest store fails too" in page
    assert re.search(r"Checked \d{4}-\d\d-\d\d \d\d:\d\d UTC at commit [0-9a-f]+", page)
