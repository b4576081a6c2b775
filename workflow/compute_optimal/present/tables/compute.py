"""Table 4: floating-point operations, as the paper counts them and with what it leaves out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from compute_optimal.present import style
from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import (
    MARK,
    UNKNOWN,
    Cell,
    Column,
    Compared,
    Estimate,
    Printed,
    Table,
    product,
)

_PASS_OF_PRM = 7e9
"""Parameters of the PRM in the recount of printed rows; the paper's have 1.5B to 8B or 72B."""

_SERIES = {"cot": "CoT", "compute_optimal": "compute-optimal TTS"}


def flops(rows: Sequence[Row], title: str) -> Table:
    """Table 4, in FLOPs: a row per policy of the study and way to use it (CoT, compute-optimal
    TTS), then the paper's four models."""
    columns = [
        Column("model", "Model"),
        Column("method", "Method"),
        Column("prm", "PRM"),
        Column("budget_samples", "N", "number", digits=0),
        Column("problems", "Problems", "number", digits=0),
        _column("pretraining", "Pre-training, 6ND", "compared"),
        _column("pretraining_active", "with active parameters"),
        _column("inference", "Inference, 2ND of the policy", "compared"),
        _column("inference_with_prm", "with the PRM"),
        _column("inference_active", "with active parameters"),
        _column("inference_ledger", "all computed tokens"),
        _column("total", "Total", "compared"),
    ]
    printed = [row for row in rows if row["series"] == "printed"]
    body = [_of_study(row) for row in rows if row["series"] != "printed"]
    body += [_of_paper(row) for row in printed]
    notes = [
        "FLOPs over all problems. 6ND: six per parameter and training token. 2ND: two per "
        "parameter and generated token, which is all that the paper counts. With the PRM: two more "
        "for each of its parameters and tokens it computed, without what its cache held. All "
        "computed tokens: the policy's prompts too, without what its cache held. Attention, which "
        "grows with the length, is not counted. Total: pre-training and inference as the paper "
        "counts them. PRMs and methods that do equally well are all counted, each for its share of "
        "the problems."
    ]
    if printed:
        notes.append(
            f"{MARK} printed in Table 4, or derived from it: with the PRM, as if one of "
            f"{style.parameters_text(_PASS_OF_PRM)} had read each generated token once, but of "
            "R1-Distill, which was voted on without one; with active parameters, for a mixture of "
            "experts (DeepSeek-R1: 37B of 671B)."
        )
    return Table(title, columns, body, notes)


def _column(name: str, heading: str, kind: Literal["number", "compared"] = "number") -> Column:
    return Column(f"{name}_flops", heading, kind, digits=2, scientific=True, interval=False)


def _of_study(row: Row) -> list[Cell]:
    size = row["n_parameters"]
    is_cot = row["series"] == "cot"
    pretraining = _pretraining(row["pretraining_parameters"], row["training_tokens"])
    policy = product(2, size, row["generated_tokens"])
    of_prm = 0.0 if is_cot else product(2, row["prm_parameter_tokens"])
    ledger = product(2, size, row["policy_tokens_computed"])
    ledger_of_prm = 0.0 if is_cot else product(2, row["prm_parameter_tokens_computed"])
    # What a model was trained with is a fact, whatever has been run of it.
    trained = [
        _known(pretraining),
        _known(_pretraining(row["active_parameters"] or row["pretraining_parameters"],
                            row["training_tokens"])),
    ]  # fmt: skip
    if row["series"] is None:
        return [row["policy_title"], *[None] * 4, *trained, *[None] * 5]
    return [
        row["policy_title"],
        _SERIES[row["series"]],
        "none" if is_cot else row["prm_title"],
        row["budget"],
        row["n_problems"],
        *trained,
        _known(policy),
        _known(_sum(policy, of_prm)),
        _known(policy),
        _known(_sum(ledger, ledger_of_prm)),
        _known(_sum(pretraining, policy)),
    ]  # fmt: skip


def _of_paper(row: Row) -> list[Cell]:
    printed = {name: Printed.parse(text) for name, text in row["printed"].items()}
    inference = printed.get("inference_FLOPS")
    size, active = row["pretraining_parameters"], row["active_parameters"]
    pretraining = _pretraining(size, row["training_tokens"])
    derived: list[Cell] = [UNKNOWN, UNKNOWN]
    if inference is not None and size:
        with_prm = inference.value * (1 + _PASS_OF_PRM / size * row["is_read_by_prm"])
        derived = [Printed(with_prm), Printed(inference.value * (active or size) / size)]
    return [
        f"{row['model']}{MARK}",
        row["method"],
        "not printed" if row["is_read_by_prm"] else "none",
        1 if row["method"] == "CoT" else "not printed",
        "not printed",
        Compared(None if pretraining is None else Estimate(pretraining),
                 printed.get("pretraining_FLOPS")),
        _known(_pretraining(active or size, row["training_tokens"])),
        inference or "not printed",
        *derived,
        UNKNOWN,
        printed.get("total_FLOPS") or "not printed",
    ]  # fmt: skip


def _pretraining(parameters: float | None, tokens: float | None) -> float | None:
    return product(6, parameters, tokens)


def _sum(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None


def _known(value: float | None) -> Cell:
    return UNKNOWN if value is None else Estimate(value)
