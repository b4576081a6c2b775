"""The rollout browser: one HTML file with solutions, search trees, step scores and votes.

What models wrote is data in it, never markup: it stands packed in a block of letters and digits,
the script shows it as text nodes only, and the page's Content-Security-Policy runs nothing but the
scripts and style that are part of the package.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, get_args

import polars as pl

from compute_optimal.analyse.answer_grid import SCORINGS, scores_of_solutions
from compute_optimal.judge.answers import scores_of, scores_of_adopted
from compute_optimal.policies.steps import split_steps
from compute_optimal.present.pages.page import json_block, number_script, packed, page
from compute_optimal.present.query import Row, opened, run_query
from compute_optimal.present.style import scales_of_evidence
from compute_optimal.search.records import Fate
from compute_optimal.store import places, units
from compute_optimal.store.partitions import atomic_write
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import Study
from compute_optimal.study.requests import AdoptedScores
from compute_optimal.study.spec import digest, seed_of_sample
from compute_optimal.tasks import step_checker

SIZE_LIMIT = 3_000_000
"""Bytes of the page's data, packed, beyond which fewer problems or smaller budgets are shown."""

_PROBLEMS, _BUDGET, _LEAST_BUDGET = 3, 16, 4
"""Problems of a kind that are shown at most, the largest budget, and the largest budget where one
problem of a kind at that would not fit."""

_FATES: tuple[Fate, ...] = get_args(Fate)
_FOLDER = Path(__file__).parent


def build_browser(study: Study, storage: Storage, database: Path, output: Path) -> None:
    """The rule ``build_browser``: write ``browser_page`` to ``output``, atomically."""
    with opened(database):
        content = browser_page(study, storage, database)
    with atomic_write(output) as file:
        file.write(content.encode())


def browser_page(study: Study, storage: Storage, database: Path) -> str:
    """The page; it states by which rule it shows what. Its data take about ``SIZE_LIMIT`` bytes at
    most, unless one problem of a kind at the least budget takes more.

    Texts come from the store; adopted rollouts have none, and their answers and scores are shown.
    """
    candidates = run_query("browser_problems", database)

    def content(n_problems: int, budget: int) -> str:
        data = _data(study, storage, database, candidates, n_problems, budget)
        return packed(json_block(data))

    # What one problem of each kind takes says how many fit: to find it out takes seconds.
    shown = content(1, _BUDGET)
    if len(shown) > SIZE_LIMIT:
        shown = content(1, _LEAST_BUDGET)
    elif _PROBLEMS * len(shown) <= SIZE_LIMIT:
        shown = content(_PROBLEMS, _BUDGET)
    return page(
        _FOLDER / "browser.html",
        title=f"Rollouts of the study {study.name}",
        styles=[(_FOLDER / "browser.css").read_text(encoding="utf-8")],
        scripts=[number_script(), (_FOLDER / "browser.js").read_text(encoding="utf-8")],
        data=shown,
    )


@dataclass
class _Texts:
    """Every different text once, by number: models repeat themselves."""

    all: list[str] = field(default_factory=list)
    _index: dict[str, int] = field(default_factory=dict)

    def of(self, text: str | None) -> int | None:
        if text is None:
            return None
        if text not in self._index:
            self._index[text] = len(self.all)
            self.all.append(text)
        return self._index[text]


def _data(
    study: Study,
    storage: Storage,
    database: Path,
    candidates: Sequence[Row],
    n_problems: int,
    budget: int,
) -> dict[str, Any]:
    budgets = [n for n in study.every_budget if n <= budget] or [min(study.every_budget)]
    texts, grid = _Texts(), cells.Grid(study)
    (settings,) = run_query("settings", database)
    origins = run_query("browser_origins", database)
    adopted = map(study.adopted_collection, study.adopted)
    names = dict.fromkeys([*study.prms, *(prm for entry in adopted for prm in entry.prms)])
    shown = [row for row in candidates if row["place"] <= n_problems]
    data_of_cells = []
    sizes: set[int] = set()
    for (task, policy), group in groupby(shown, key=lambda row: (row["task"], row["policy"])):
        rows = list(group)
        context = study, grid, storage, database, task, policy
        of_cell = [row for row in origins if (row["task"], row["policy"]) == (task, policy)]
        cell = _Cell(*context, rows, of_cell, budgets, list(names), texts)
        data_of_cells.append(cell.data())
        sizes |= cell.sizes
    return {
        "study": study.name,
        "scales": scales_of_evidence(is_miniature=settings["is_miniature"]),
        "problemsOfKind": n_problems,
        "budgets": budgets,
        # What there is, not what the study's own cells would have: adopted pools end where they do.
        "largest": max((n for n in sizes if n <= max(budgets)), default=0),
        "leftOut": max((n for n in sizes if n > max(budgets)), default=None),
        "beamWidth": study.beam_width,
        "methods": list(study.methods),
        "prms": [{"name": name, "title": study.prm_facts(name).title} for name in names],
        "scorings": SCORINGS,
        "fates": _FATES,
        "cells": data_of_cells,
        "texts": texts.all,
    }


_Sample = tuple[str, str]
"""Text and seed; JavaScript would round the seed if it were a number."""

_ORIGIN = (
    "kind", "prm", "method", "budget", "digest", "seed", "temperature", "engine", "package",
    "source", "commit", "licence", "caveats",
)  # fmt: skip
"""Columns of the query ``browser_origins`` that the page shows."""

_Tree = tuple[str, str, int | None, str]
"""PRM, method, budget (None for DVTS), problem hash."""


@dataclass
class _Cell:
    """What the page holds of one (task, policy)."""

    study: Study
    grid: cells.Grid
    storage: Storage
    database: Path
    task: str
    policy: str
    rows: Sequence[Row]
    origins: Sequence[Row]
    budgets: Sequence[int]
    prms: Sequence[str]
    texts: _Texts
    sizes: set[int] = field(default_factory=set)
    """Budgets that its pools and searches have, on the page or not."""

    def data(self) -> dict[str, Any]:
        first = self.rows[0]
        ids = [row["problem_id"] for row in self.rows]
        parameters = {"task": self.task, "policy": self.policy, "problems": json.dumps(ids)}
        answers: dict[str, list[Row]] = {name: [] for name in ids}
        for row in run_query("browser_answers", self.database, parameters):
            answers[row["problem_id"]].append(row)
        self._adopted = first["origin"] == "adopted"
        self._statements = self._problem_texts()
        self._check = step_checker(self.study.task(self.task).kind) if self._statements else None
        self._samples, self._scores = self._pool()
        self._nodes, self._leaves = self._trees()
        return {
            "task": self.task,
            "taskTitle": first["task_title"],
            "policy": self.policy,
            "policyTitle": first["policy_title"],
            "adopted": self._adopted,
            "prompt": None if self._adopted else self._prompt(),
            "made": [
                {key: row[key] for key in _ORIGIN if row[key] is not None} for row in self.origins
            ],
            "problems": [self._problem(row, answers[row["problem_id"]]) for row in self.rows],
        }

    def _prompt(self) -> dict[str, str | None]:
        prompt = self.study.prompt_family(self.study.policy(self.policy).prompt)
        return {"system": prompt.system, "suffix": prompt.user_suffix}

    def _problem_texts(self) -> dict[str, str]:
        # Texts of outside tasks are no part of a study's results; fetching them would need a
        # network.
        entry = self.study.task(self.task)
        if entry.file is not None:
            return {}
        return {p.problem_hash: p.problem for p in self.storage.problems(entry, None)}

    def _pool(self) -> tuple[dict[tuple[str, int], _Sample], dict[str, dict[tuple[str, int], Any]]]:
        """Texts and seeds by (problem hash, sample), step margins by PRM and (problem id,
        sample)."""
        problems = pl.DataFrame(
            [(row["problem_id"], row["problem_hash"]) for row in self.rows],
            schema=["problem_id", "problem_hash"],
            orient="row",
        )
        if self._adopted:
            collection = next(
                collection
                for collection in cells.collections(self.study)
                if (collection.task, collection.policy) == (self.task, self.policy)
            )
            adopted = AdoptedScores(prm=collection.entry.prm, spec=collection.spec)
            scored = scores_of_adopted(adopted, self.storage)
        else:
            of_prms = self.grid.of("step_scores", self.task, self.policy)
            specs = {str(cell.prm): cell.spec for cell in of_prms}
            scored = scores_of(specs, self.storage, problems)
        texts: dict[tuple[str, int], _Sample] = {}
        for cell in self.grid.of("samples", self.task, self.policy):
            if cell.pool == "evaluation":
                texts = self._texts_of(cell.spec)
        scores = {
            prm: {
                (problem, sample): margins
                for problem, sample, margins in frame.filter(
                    pl.col("sample_index") < max(self.budgets)
                )
                .join(problems, on="problem_id", how="semi")
                .select("problem_id", "sample_index", "margins")
                .iter_rows()
            }
            for prm, frame in scored.items()
        }
        return texts, scores

    def _texts_of(self, spec: Mapping[str, Any]) -> dict[tuple[str, int], _Sample]:
        rows = places.partition(self.storage.store, spec).read("samples", ["text"])
        rows = rows.filter(
            pl.col("sample_index") < max(self.budgets),
            pl.col("problem_hash").is_in([row["problem_hash"] for row in self.rows]),
        )
        of_pool = digest(spec)
        return {
            (problem, index): (text, str(seed_of_sample(of_pool, problem, index)))
            for problem, index, text in rows.select("problem_hash", "sample_index", "text").rows()
        }

    def _trees(self) -> tuple[dict[_Tree, list[Any]], dict[tuple[_Tree, int, int], int]]:
        """Nodes by tree, and the last node of each path by tree, subtree and path."""
        nodes: dict[_Tree, list[Any]] = {}
        leaves: dict[tuple[_Tree, int, int], int] = {}
        hashes = [row["problem_hash"] for row in self.rows]
        for cell in self.grid.of("searches", self.task, self.policy):
            prm, budget = str(cell.prm), places.budget_of(cell.spec)
            if budget is None:
                shown = pl.col("subtree") < self._n_subtrees
            elif budget in self.budgets:
                shown = pl.lit(True)
            else:
                continue
            columns = ["depth", "parent", "text", "margin", "fate", "finished"]
            of_nodes, ends = units.trees(self.storage.store, cell.spec, hashes, columns)
            for row in of_nodes.filter(shown).iter_rows(named=True):
                tree = prm, cell.method, budget, row["problem_hash"]
                nodes.setdefault(tree, []).append(
                    [
                        row["subtree"],
                        row["depth"],
                        row["node"],
                        row["parent"],
                        self.texts.of(row["text"]),
                        _rounded(row["margin"]),
                        _FATES.index(row["fate"]),
                        row["finished"],
                    ]
                )
            for row in ends.filter(shown).iter_rows(named=True):
                tree = prm, cell.method, budget, row["problem_hash"]
                leaves[tree, row["subtree"], row["path"]] = row["leaf"]
        return nodes, leaves

    @property
    def _n_subtrees(self) -> int:
        return max(1, max(self.budgets) // self.study.beam_width)

    def _problem(self, row: Row, answers: Sequence[Row]) -> dict[str, Any]:
        key = row["problem_hash"]
        pool = [answer for answer in answers if answer["pool"] == "evaluation"]
        shown = [answer for answer in pool if answer["sample_index"] < max(self.budgets)]
        self._take_note(len(pool))
        places = [(row["problem_id"], answer["sample_index"]) for answer in shown]
        of_prms = [
            _scores([self._scores.get(prm, {}).get(place) for place in places]) for prm in self.prms
        ]
        samples = [
            {
                **self._judged(answer),
                **self._written(key, self._samples.get((key, answer["sample_index"]))),
                "scores": [of_prm[number] for of_prm in of_prms],
            }
            for number, answer in enumerate(shown)
        ]
        return {
            "id": row["problem_id"],
            "bucket": row["bucket"],
            "passAt1": _rounded(row["pass_at_1"], 9),
            "nRated": row["n_samples"],
            "kinds": row["kinds"],
            "gold": self.texts.of(row["gold"]),
            "text": self.texts.of(self._statements.get(key)),
            "nPool": len(pool),
            "samples": samples,
            "searches": list(self._searches(key, answers)),
        }

    def _searches(self, key: str, answers: Sequence[Row]) -> Iterable[dict[str, Any]]:
        def search(row: Row) -> tuple[str, str, int | None]:
            return row["prm"], row["method"], row["budget"]

        paths = [row for row in answers if row["method"] is not None]
        paths.sort(key=lambda row: (row["prm"], row["method"], row["budget"] or 0))
        for (prm, method, budget), of_search in groupby(paths, key=search):
            group = list(of_search)
            if budget is None:
                n_subtrees = 1 + max(row["subtree"] for row in group)
                self._take_note(n_subtrees * self.study.beam_width)
            else:
                self.sizes.add(budget)
            if budget is not None and budget not in self.budgets:
                continue
            tree = prm, method, budget, key
            shown = [
                row for row in group if budget is not None or row["subtree"] < self._n_subtrees
            ]
            scores = _scores([row["margins"] for row in shown])
            yield {
                "prm": self.prms.index(prm),
                "method": method,
                "budget": budget,
                "nodes": self._nodes.get(tree),
                "truths": self._truths(key, self._nodes.get(tree)),
                "paths": [
                    {
                        **self._judged(row),
                        "subtree": row["subtree"],
                        "leaf": self._leaves.get((tree, row["subtree"], row["sample_index"])),
                        "scores": of_row,
                    }
                    for row, of_row in zip(shown, scores, strict=True)
                ],
            }

    def _take_note(self, size: int) -> None:
        """Of a pool, or a search of as many subtrees, which holds all smaller budgets."""
        fitting = [n for n in self.study.every_budget if n <= size]
        self.sizes.update(fitting)
        # Adopted pools have sizes of their own.
        if size and (not fitting or size > max(self.study.every_budget)):
            self.sizes.add(size)

    def _judged(self, answer: Row) -> dict[str, Any]:
        return {
            "index": answer["sample_index"],
            "answer": self.texts.of(answer["answer"]),
            "group": answer["answer_class"],
            "correct": answer["correct"],
            "status": answer["status"],
            "nTokens": answer["n_tokens"],
            "ended": answer["finish_reason"],
        }

    def _written(self, key: str, sample: _Sample | None) -> dict[str, Any]:
        """Steps of a sample, the index of the first wrong one (None: none, or not checkable)."""
        if sample is None:
            return {"steps": None, "checked": False, "firstError": None, "seed": None}
        text, seed = sample
        steps = split_steps(text)
        check = self._check(self._statements[key], steps) if self._check else None
        return {
            "steps": [self.texts.of(step) for step in steps],
            "checked": check is not None,
            "firstError": None if check is None else check.first_error,
            "seed": seed,
        }

    def _truths(self, key: str, nodes: Sequence[Any] | None) -> list[bool] | None:
        """Of each node of a tree: is the path up to it right? None where that cannot be checked."""
        if self._check is None or nodes is None:
            return None
        placed = {(node[0], node[2]): node for node in nodes}
        steps: dict[tuple[int, int], tuple[str, ...]] = {}

        def path(node: Any) -> tuple[str, ...]:
            name = (node[0], node[2])
            if name not in steps:
                parent = None if node[3] is None else placed.get((node[0], node[3]))
                text = self.texts.all[node[4]] if node[4] is not None else ""
                steps[name] = (*(path(parent) if parent else ()), text.strip())
            return steps[name]

        statement = self._statements[key]
        return [_is_right(self._check, statement, path(node)) for node in nodes]


@lru_cache(maxsize=400_000)
def _is_right(check: Callable[..., Any], statement: str, steps: tuple[str, ...]) -> bool:
    """Whether no step is wrong. Cached, since searches of one policy have most of their steps in
    common; after a wrong step nothing more is checked."""
    if len(steps) > 1 and not _is_right(check, statement, steps[:-1]):
        return False
    return bool(check(statement, steps).first_error is None)


def _scores(solutions: Sequence[Sequence[float] | None]) -> list[dict[str, Any] | None]:
    """Of each solution the margins of its steps and, by scoring, its ranking score; None of one
    without margins. All in one call: a call for each spent most of its time on overhead."""
    scores = iter(scores_of_solutions([margins for margins in solutions if margins]))
    return [_rounded_scores(margins, next(scores)) if margins else None for margins in solutions]


def _rounded_scores(
    margins: Sequence[float], scores: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    # Margins are read, scores are compared: rounded ones would tie where the study's do not. The
    # weight of a vote is the probability of the ranking score.
    return {
        "margins": [_rounded(margin) for margin in margins],
        "ranking": [_finite(ranking) for ranking, _ in scores],
    }


def _rounded(value: float | None, digits: int = 4) -> float | None:
    """Rounded to ``digits`` places, and as ``_finite`` says."""
    finite = _finite(value)
    return None if finite is None else round(finite, digits)


def _finite(value: float | None) -> float | None:
    """Cut to +-1e6, None of NaN: JSON has no NaN and no infinities, which the mean of saturated
    scores gives."""
    if value is None or math.isnan(value):
        return None
    return value if abs(value) < 1e6 else math.copysign(1e6, value)
