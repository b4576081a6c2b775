"""What it would cost to test a claim about the paper's models that this study cannot test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compute_optimal.present.claims.judge import Judgement
from compute_optimal.study.config import Claim, Study, hardware_named, load_study
from compute_optimal.study.cost import Plan, plan

_POOL = ("difficulty", "majority")
"""What every method rests on: how hard a problem is, and the samples."""


def prices(judgements: Sequence[Judgement], study_file: Path) -> Mapping[str, str]:
    """What testing each untested claim about the paper's models would cost, in words, by its name.

    That is the GPU-hours of the cells that it needs among those of its items in the study of
    ``study_file``, as ``make plan`` reckons them. Raises ``StudyError`` where that study cannot be
    read or lacks an item.
    """
    claims = [
        one.claim for one in judgements if one.verdict == "untested" and one.claim.scale == "paper"
    ]
    plans = {items: _plan_of(study_file, items) for items in {claim.items for claim in claims}}
    return {claim.name: _price(claim, study_file, *plans[claim.items]) for claim in claims}


def _plan_of(study_file: Path, items: Sequence[str]) -> tuple[Study, Plan]:
    """The study narrowed to ``items``, all of it if there are none, and its plan."""
    study = load_study(study_file, {"items": ", ".join(items)})
    return study, plan(study, *hardware_named(study), by_item=False)


def _price(claim: Claim, study_file: Path, study: Study, planned: Plan) -> str:
    formats = {name: study.prm(name).format for name in study.prms}
    cells = planned.cells.to_dicts()
    hours = sum(cell["gpu_hours"] for cell in cells if _needed(claim, cell, formats))
    every = sum(cell["gpu_hours"] for cell in cells)
    file, items = study_file.as_posix(), ", ".join(claim.items)
    narrowed = f' ITEMS="{items}"' if items else ""
    return (
        f"about {hours:,.0f} GPU-hours on {planned.hardware}, reckoned and not measured, of the "
        f"{every:,.0f} of {items or 'all'} in {file}. "
        f"It runs by: make run-gpu CONFIG={file}{narrowed}"
    )


def _needed(claim: Claim, cell: Mapping[str, Any], formats: Mapping[str, str]) -> bool:
    """Whether a claim needs a cell (a row of ``Plan.cells``), by the parameters of its query."""
    wanted = claim.parameters

    def matches(key: str, *names: str) -> bool:
        return any(re.fullmatch(str(wanted.get(key, ".*")), name) for name in names)

    if not matches("policies", cell["policy"]) or not matches("model", cell["policy"]):
        return False
    if not matches("tasks", cell["task"]):
        return False
    prm = cell["prm"]
    if prm is not None and not matches("prms", prm, formats.get(prm, "")):
        return False
    series = wanted.get("series")
    if series in ("cot", "majority"):
        return bool(cell["method"] == series)
    if cell["method"] in _POOL:
        return True
    if "first" in wanted:
        return matches("first", cell["method"]) or matches("second", cell["method"])
    return matches("methods", cell["method"])
