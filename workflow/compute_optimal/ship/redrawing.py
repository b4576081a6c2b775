"""A random slice of the shipped store, made anew by the study's own generate zone, and compared."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.generate import jobs
from compute_optimal.policies.steps import split_steps
from compute_optimal.ship.possible_units import histories, impossible, impossible_paths
from compute_optimal.store import units
from compute_optimal.store.partitions import Store
from compute_optimal.store.places import Kind, partition, samples_of
from compute_optimal.store.schemas import SCHEMAS
from compute_optimal.store.storage import Storage, shipped_store
from compute_optimal.study.cells import Cell, Grid, Job
from compute_optimal.study.config import Study
from compute_optimal.study.plan import StudyPlan
from compute_optimal.study.requests import SamplesRequest, SearchesRequest
from compute_optimal.study.spec import digest, text_hash

Key = tuple[str, int]
"""Problem hash, and the number of the unit: sample or subtree."""

Row = dict[str, Any]

MARGIN = 1e-4
"""Two margins may differ by this much: float32 in another order of summation."""

MARGIN_AT_MOST = 1e-2
"""ASSUME: no order of summation makes more of a margin in float32. Of 165,000 that were given anew
in other batches and on another kind of processor one was off by more than 1e-4 (by 1.4e-4), and
99.8% by nothing; scores of another PRM are off by far more."""

LOGPROB = 1e-2
"""Two sums of log-probabilities over a text may [nats]."""

_SAME: dict[Kind, tuple[str, ...]] = {
    "samples": (
        "problem_id", "text", "text_hash", "n_tokens", "n_prompt_tokens", "finish_reason",
        "sample_requests", "generated_tokens",
    ),
    "step_scores": ("problem_id", "text_hash", "status", "score_requests", "over_context"),
    "searches": (
        "problem_id", "sample_requests", "generated_tokens", "discarded_tokens", "score_requests",
        "over_context",
    ),
}  # fmt: skip
"""Columns that a unit made anew has the same, beside margins, nodes and paths."""

_SAME_IN_ALL: dict[Kind, tuple[tuple[str, str], ...]] = {
    "samples": (("prompt_tokens_computed", "prompt_tokens_cached"),),
    "step_scores": (("prm_tokens_computed", "prm_tokens_cached"),),
    "searches": (
        ("prompt_tokens_computed", "prompt_tokens_cached"),
        ("prm_tokens_computed", "prm_tokens_cached"),
    ),
}
"""Columns of which the sum is the same: how much of it a cache held depends on what ran before."""


@dataclass(frozen=True)
class ShippedCell:
    """All that ships of one cell: what an audit may ask for."""

    study: Study
    cell: Cell
    keys: tuple[Key, ...]


@dataclass(frozen=True)
class CellSlice:
    """Units of one cell that are to be made anew, in the order of their keys."""

    study: Study
    cell: Cell
    n_stored: int
    keys: tuple[Key, ...]
    n_extra: int = 0
    """How many of the units are here so that every model is asked, not by the share alone."""

    @property
    def name(self) -> str:
        """The folder of its partition, without what precedes it."""
        return partition(Store(Path()), self.cell.spec).directory


@dataclass(frozen=True)
class Difference:
    """A unit that is not what is drawn anew. Arithmetic may be the reason where what the policy
    said differs (``other_text``) and where scores hardly do (``close_scores``)."""

    key: Key
    what: str
    other_text: bool = False
    close_scores: bool = False

    @property
    def excusable(self) -> bool:
        """Whether another machine's arithmetic may be the reason."""
        return self.other_text or self.close_scores


@dataclass(frozen=True)
class Compared:
    """A slice of a cell beside what was drawn anew; ``failure`` says why nothing was."""

    slice: CellSlice
    stored: Mapping[Key, Row]
    fresh: Mapping[Key, Row]
    differences: tuple[Difference, ...]
    failure: str = ""


def shipped_cells(studies: Sequence[Study]) -> list[ShippedCell]:
    """Every cell that ships anything of the studies, with all of its units that ship: those that
    no study needs make up what a unit of it costs, too.

    A cell of several studies counts once, as the study has it that needs most of it.
    """
    largest: dict[str, tuple[Study, Cell]] = {}
    for study in studies:
        for cell in Grid(study):
            name = digest(cell.spec)
            if name not in largest or largest[name][1].n_units < cell.n_units:
                largest[name] = study, cell
    shipped: list[ShippedCell] = []
    for study, cell in largest.values():
        rows = units.stored(shipped_store(study), cell.spec)
        if rows.is_empty():
            continue
        number = units.NUMBERS[cell.kind]
        keys = sorted(rows.select("problem_hash", number).iter_rows())
        shipped.append(ShippedCell(study, cell, tuple(keys)))
    return shipped


def choose(
    shipped: Sequence[ShippedCell], share: float, rng: np.random.Generator, *, n_extra: int = 1
) -> list[CellSlice]:
    """A random slice of all that ships: of the units of each kind ``share``, one at least.

    They are drawn from all units of their kind at once, each as likely as any other and without
    return. So what is found follows from how many units were replaced, and not from which: a forger
    gains nothing by replacing whole cells, which a share of each cell would be short of. To these
    come units from groups (pool; PRM and method; policy) that have fewer than ``n_extra``, so that
    every model is asked.
    """
    chosen: list[set[int]] = [set() for _ in shipped]
    for kind in dict.fromkeys(one.cell.kind for one in shipped):
        places = [place for place, one in enumerate(shipped) if one.cell.kind == kind]
        ends = np.cumsum([len(shipped[place].keys) for place in places])
        n = max(1, round(share * int(ends[-1])))
        for unit in rng.choice(int(ends[-1]), size=n, replace=False).tolist():
            of = int(np.searchsorted(ends, unit, side="right"))
            chosen[places[of]].add(unit - int(ends[of - 1] if of else 0))
    n_random = [len(indices) for indices in chosen]
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, one in enumerate(shipped):
        cell = one.cell
        groups[cell.kind, cell.prm, cell.pool or cell.method].append(place)
        groups[cell.kind, cell.policy].append(place)
    for places in groups.values():
        lacking = n_extra - sum(len(chosen[place]) for place in places)
        for place in rng.choice(places, size=max(0, lacking)).tolist():
            chosen[place].add(int(rng.integers(len(shipped[place].keys))))
    return [
        CellSlice(
            one.study,
            one.cell,
            len(one.keys),
            tuple(one.keys[i] for i in sorted(indices)),
            len(indices) - random,
        )
        for one, indices, random in zip(shipped, chosen, n_random, strict=True)
        if indices
    ]


def compare(slices: Sequence[CellSlice], folder: Path) -> Iterator[Compared]:
    """Make each slice anew below ``folder``, job by job, and compare it with what ships.

    What cannot be made (a model that is not here, a dtype that this machine lacks) has its reason
    beside it.
    """
    by_job: dict[tuple[int, Job], list[CellSlice]] = defaultdict(list)
    for one in slices:
        by_job[id(one.study), one.cell.job].append(one)
    # Of all that needs one policy, or one PRM, together: models stay open.
    for (_, job), of_job in by_job.items():
        storage = _storage(of_job[0].study, folder / f"{job.kind}-{id(of_job[0].study)}")
        failure = ""
        try:
            _make(job, of_job, storage)
        except StudyError as error:
            failure = f"{error.what} ({error.where})" if error.where else error.what
        for one in of_job:
            stored = stored_rows(shipped_store(one.study), one)
            if failure:
                yield Compared(one, stored, {}, (), failure)
            else:
                yield beside(one, stored, stored_rows(storage.store, one))


def beside(one: CellSlice, stored: Mapping[Key, Row], fresh: Mapping[Key, Row]) -> Compared:
    """The units of a slice as they are stored, and as they were made anew."""
    return Compared(one, stored, fresh, tuple(_differences(one, stored, fresh)))


def _storage(study: Study, folder: Path) -> Storage:
    return replace(Storage.of(study, Store(folder)), generate="missing")


def _make(job: Job, slices: Sequence[CellSlice], storage: Storage) -> None:
    request = _of_all(StudyPlan(slices[0].study).request(job), slices)
    only: dict[str, dict[str, list[int]]] = {}
    for one in slices:
        wanted = only.setdefault(digest(one.cell.spec), {})
        for problem_hash, number in one.keys:
            wanted.setdefault(problem_hash, []).append(number)
        if job.kind == "step_scores":
            # Scores are given for what ships, be it what the policy says or not.
            samples = samples_of(one.cell.spec)
            texts = partition(shipped_store(one.study), samples).read("samples")
            keys = pl.DataFrame(one.keys, schema=_keys_of("sample_index"), orient="row")
            mine = texts.join(keys, on=keys.columns, how="semi")
            partition(storage.store, samples).append("samples", mine)
    make: Any = {
        "samples": jobs.draw_samples,
        "step_scores": jobs.score_steps,
        "searches": jobs.search_trees,
    }[job.kind]
    make(request, storage, only)


def _of_all(request: Any, slices: Sequence[CellSlice]) -> Any:
    """A request for as many units as the slices ask for, which may be more than the study needs."""
    most = {digest(one.cell.spec): 1 + max(number for _, number in one.keys) for one in slices}

    def of(part: Any, name: str) -> Any:
        n = max(getattr(part, name), most.get(digest(part.spec), 0))
        return part.model_copy(update={name: n})

    more: dict[str, Any] = {"problems": None}
    if isinstance(request, SamplesRequest):
        more["pools"] = {pool: of(part, "n") for pool, part in request.pools.items()}
    elif isinstance(request, SearchesRequest):
        more["searches"] = tuple(of(part, "subtrees") for part in request.searches)
    else:
        request = of(request, "n")
    return request.model_copy(update=more)


def _keys_of(number: str) -> dict[str, pl.DataType]:
    return {"problem_hash": pl.String(), number: pl.Int64()}


def stored_rows(store: Store, one: CellSlice) -> dict[Key, Row]:
    """The units of a slice that a store holds, as they count."""
    number = units.NUMBERS[one.cell.kind]
    rows = partition(store, one.cell.spec).read(one.cell.kind)
    if rows.is_empty():
        return {}
    keys = pl.DataFrame(one.keys, schema=_keys_of(number), orient="row")
    rows = rows.join(keys, on=keys.columns, how="semi")
    if one.cell.kind == "step_scores":
        # Scores of another text than the sample's do not count: see ``units.scores``.
        samples = partition(store, samples_of(one.cell.spec)).read("samples", ["text_hash"])
        own = ["problem_hash", "sample_index", "text_hash"]
        rows = rows.join(samples.select(own), on=own, how="semi")
    return {(row["problem_hash"], row[number]): row for row in rows.iter_rows(named=True)}


def _differences(
    one: CellSlice, stored: Mapping[Key, Row], fresh: Mapping[Key, Row]
) -> Iterator[Difference]:
    for key in one.keys:
        old, new = stored.get(key), fresh.get(key)
        if old is None or new is None:
            yield Difference(key, "is not a whole unit, drawn anew")
        elif (difference := _difference(key, one.cell.kind, old, new)) is not None:
            yield difference


def _difference(key: Key, kind: Kind, old: Row, new: Row) -> Difference | None:
    """What differs between two runs of one unit."""
    off = 0.0
    if kind == "samples":
        if text_hash(old["text"]) != old["text_hash"]:
            return Difference(key, "the hash beside the text is of another text")
        if old["text"] != new["text"]:
            return Difference(key, _first_difference(old["text"], new["text"]), other_text=True)
    if kind == "searches":
        if (off := _off_on_common_paths(old, new)) > MARGIN_AT_MOST:
            return _of_scores(key, off)
        if _nodes(old, _DRAWN) == _nodes(new, _DRAWN) and _nodes(old, _OF_DRAWN) != _nodes(
            new, _OF_DRAWN
        ):
            return Difference(key, f"the same steps are drawn, but {' or '.join(_OF_DRAWN)} differ")
        if _said(old) != _said(new):
            return Difference(key, "another tree is drawn", other_text=True)
    for column in _SAME[kind]:
        if old[column] != new[column]:
            return Difference(key, f"{column} is {old[column]!r}, {new[column]!r} anew")
    for columns in _SAME_IN_ALL[kind]:
        was, now = (sum(row[column] for column in columns) for row in (old, new))
        if was != now:
            return Difference(key, f"{' and '.join(columns)} are {was}, {now} anew")
    if kind == "samples" and _off(old["logprob_sum"], new["logprob_sum"]) > LOGPROB:
        before, after = (f"{row['logprob_sum']:.3f}" for row in (old, new))
        return Difference(key, f"logprob_sum is {before}, {after} anew")
    for stored, given in _scored(kind, old, new):
        if len(stored) != len(given):
            return Difference(key, f"{len(stored)} scores are stored, {len(given)} given anew")
        off = max((off, *map(_off, stored, given)))
    return _of_scores(key, off) if off > MARGIN else None


def _of_scores(key: Key, off: float) -> Difference:
    what = "a margin is no number" if math.isinf(off) else f"a margin is off by {off:.2g}"
    return Difference(key, what, close_scores=off <= MARGIN_AT_MOST)


def _scored(kind: Kind, old: Row, new: Row) -> Iterator[tuple[Sequence[float], Sequence[float]]]:
    """The margins of each text of a unit, as stored and as given anew."""
    if kind == "step_scores":
        yield old["margins"], new["margins"]
    elif kind == "searches":
        for before, after in zip(old["paths"], new["paths"], strict=True):
            yield before["margins"], after["margins"]


def _off(old: float | None, new: float | None) -> float:
    """How far two numbers are apart; infinitely if one alone is none, or either is not finite."""
    if old is None or new is None:
        return 0.0 if old is new else math.inf
    return off if math.isfinite(off := abs(old - new)) else math.inf


def _first_difference(old: str, new: str) -> str:
    steps = zip(split_steps(old), split_steps(new), strict=False)
    step = next((i for i, (a, b) in enumerate(steps, start=1) if a != b), None)
    return f"another text is drawn, from step {step} on" if step else "another text is drawn"


_DRAWN = ("node", "parent", "text", "finish_reason")
_OF_DRAWN = ("n_tokens", "finished", "depth")
"""Columns of nodes that follow from ``_DRAWN``: no arithmetic makes other ones of these."""


def _nodes(tree: Row, columns: Sequence[str]) -> list[tuple[object, ...]]:
    return [tuple(node[column] for column in columns) for node in tree["nodes"]]


def _said(tree: Row) -> tuple[object, ...]:
    """All of a tree but its scores."""
    return (
        [
            {name: value for name, value in node.items() if name != "margin"}
            for node in tree["nodes"]
        ],
        [
            {name: value for name, value in path.items() if name != "margins"}
            for path in tree["paths"]
        ],
    )


def _off_on_common_paths(old: Row, new: Row) -> float:
    """How far apart the margins of steps are at most that both trees hold after the same ones."""
    known = {
        history: node["margin"]
        for history, node in zip(histories(new), new["nodes"], strict=True)
        if node["margin"] is not None
    }
    return max(
        (
            _off(node["margin"], known[history])
            for history, node in zip(histories(old), old["nodes"], strict=True)
            if node["margin"] is not None and history in known
        ),
        default=0.0,
    )


def inconsistencies(one: CellSlice, stored: Mapping[Key, Row]) -> Iterator[str]:
    """What of a slice cannot be so, whatever a model says: told without one."""
    kind = one.cell.kind
    rows = pl.DataFrame([*stored.values()], schema=SCHEMAS[kind], strict=False)
    for what, those in impossible(one.cell, rows).items():
        for key in those.select("problem_hash", units.NUMBERS[kind]).iter_rows():
            yield f"{_named(key)}: a unit {what}"
    if kind == "searches":
        for key, row in stored.items():
            yield from (f"{_named(key)}: {what}" for what in impossible_paths(row))


def _named(key: Key) -> str:
    return ", ".join(map(str, key))
