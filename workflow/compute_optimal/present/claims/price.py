"""What it would cost to test a claim about the paper's models that this study cannot test."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compute_optimal.present.claims.judge import Judgement
from compute_optimal.study.config import Claim, load_study
from compute_optimal.study.config.hardware import hardware_named
from compute_optimal.study.cost import plan

_POOL = ("difficulty", "majority")
"""What every method rests on: how hard a problem is, and the samples."""


def prices(judgements: Sequence[Judgement], study_file: Path) -> Mapping[str, str]:
    """By the name of an untested claim about the paper's models: GPU-hours of its cells in the
    study of ``study_file``, as they are reckoned (``study.cost``)."""
    untested = [
        one.claim for one in judgements if one.verdict == "untested" and one.claim.scale == "paper"
    ]
    if not untested:
        return {}
    study = load_study(study_file)
    hardware, entry = hardware_named(study)
    cells = plan(study, hardware, entry).cells.to_dicts()
    formats = {name: study.prm(name).format for name in study.prms}
    whole = sum(cell["gpu_hours"] for cell in cells)

    def price(claim: Claim) -> str:
        hours = sum(cell["gpu_hours"] for cell in cells if _needed(claim, cell, formats))
        return (
            f"about {hours:,.0f} GPU-hours on {hardware}, reckoned and not measured; all of "
            f"{study_file.as_posix()}: {whole:,.0f}. It runs by: make run-gpu "
            f"CONFIG={study_file.as_posix()}"
        )

    return {claim.name: price(claim) for claim in untested}


def _needed(claim: Claim, cell: Mapping[str, Any], formats: Mapping[str, str]) -> bool:
    """Whether a claim needs a cell, by the patterns of its query."""
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
    if "first" not in wanted or cell["method"] in _POOL:
        return True
    return matches("first", cell["method"]) or matches("second", cell["method"])
