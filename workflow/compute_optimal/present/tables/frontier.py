"""Tables 3 and 6: compute-optimal TTS of small policies beside CoT of large or long thinkers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import (
    MARK,
    TIES,
    Cell,
    Column,
    Compared,
    Estimate,
    Printed,
    Table,
    percent_of,
)
from compute_optimal.present.tables.printed import unlike

_SERIES = {
    "cot": "CoT",
    "in_sample": "compute-optimal TTS",
    "cross_fitted": "compute-optimal TTS, cross-fitted",
}
_PRINTED_AS = {"CoT": "cot", "compute-optimal TTS": "in_sample"}
_PAPER_TASKS = ("MATH-500", "AIME24", "Avg")

_Line = tuple[str | None, str | None, str | None, int | None]
"""Policy, PRM, series and, of a policy's own budget beyond the study's, that budget."""


def against_large_models(rows: Sequence[Row], title: str) -> Table:
    """Table 3: a line per policy and way to use it (CoT, compute-optimal TTS in-sample and
    cross-fitted; these two once more at an N of the policy's own beyond the study's), a column per
    task, then what the paper alone ran."""
    return _table(rows, title, by_prm=False)


def against_long_thinking(rows: Sequence[Row], title: str) -> Table:
    """Table 6: as ``against_large_models``, with a line for every PRM."""
    return _table(rows, title, by_prm=True)


def _table(rows: Sequence[Row], title: str, *, by_prm: bool) -> Table:
    studied = [row for row in rows if row["series"] != "printed"]
    printed = [row for row in rows if row["series"] == "printed"]
    by_rank = sorted(studied, key=lambda row: row["task_rank"])
    tasks = {row["task"]: row["task_title"] for row in by_rank}
    extra = [name for name in _PAPER_TASKS if name not in tasks.values()]
    columns = [
        Column("model", "Model"),
        Column("parameters", "Size", "number", form="parameters"),
        Column("method", "Method"),
        Column("prm", "PRM"),
        Column("budget_samples", "N", "number", digits=0),
        *(Column(f"{task}_percent", f"{name} (%)", "compared") for task, name in tasks.items()),
        *(Column(f"{name}_percent", f"{name} (%)", "compared") for name in extra),
    ]
    lines: dict[_Line, dict[str, Row]] = {}
    for row in studied:
        prm = row["prm"] if by_prm else None
        beyond = row["budget"] if row.get("is_beyond") else None
        lines.setdefault((row["policy"], prm, row["series"], beyond), {})[row["task"]] = row
    with_results = {line[0] for line in lines if line[2] is not None}
    body, matched = [], set()
    for (policy, prm, series, beyond), of_task in lines.items():
        # A policy that was run on one task only is not "not run" once more.
        if series is None and policy in with_results:
            continue
        of_budget = [row for row in printed if row.get("printed_budget") == beyond]
        printed_here = _printed_of(of_budget, policy, prm, series, by_prm=by_prm)
        matched |= {row["printed_rank"] for row in printed_here.values()}
        body.append(_line(series, of_task, printed_here, list(tasks), [*tasks.values()], extra))
    unmatched = [row for row in printed if row["printed_rank"] not in matched]
    names = [*tasks.values(), *extra]
    for model, method in dict.fromkeys((row["model"], row["method"]) for row in unmatched):
        printed_here = {
            row["task_title"]: row
            for row in unmatched
            if (row["model"], row["method"]) == (model, method)
        }
        setting = _printed_setting(next(iter(printed_here.values())))
        accuracies = [_only_printed(printed_here, name) for name in names]
        body.append([f"{model}{MARK}", *setting, *accuracies])
    notes = [
        "In brackets: intervals over problems. Compute-optimal TTS: for each difficulty the "
        "method that does best, chosen on the problems it is scored on (the paper's Equation 3), "
        "or cross-fitted, on other problems. "
        + (
            "The PRM is that of the line, and N the one at which it has the most methods to choose "
            "from."
            if by_prm
            else "N is the largest, and the PRM the one that does best, chosen in the same way."
        )
    ]
    if any(" or " in (row["prm_title"] or "") for row in studied):
        notes.append(TIES)
    if printed:
        notes.append(
            f"{MARK} as the paper prints it; beside numbers of this study with the difference and "
            "whether it lies inside the interval, unless N, the PRM or the problems differ. Avg is "
            "the mean of MATH-500 and AIME24."
        )
    return Table(title, columns, body, notes)


def _printed_of(
    printed: Sequence[Row], policy: str | None, prm: str | None, series: str | None, *, by_prm: bool
) -> dict[str, Row]:
    """What the paper prints for this line, by the title of the task."""

    def fits(row: Row) -> bool:
        if row["policy"] != policy or _PRINTED_AS.get(row["method"]) != series:
            return False
        if not by_prm or series == "cot":
            return True
        # Table 6 names its PRMs by size: only one PRM of the paper has 72B.
        return row["printed_prm"] == "72B PRM" and "72b" in (prm or "").lower()

    return {row["task_title"]: row for row in printed if policy is not None and fits(row)}


def _line(
    series: str | None,
    of_task: Mapping[str, Row],
    printed: Mapping[str, Row],
    tasks: Sequence[str],
    titles: Sequence[str],
    extra: Sequence[str],
) -> list[Cell]:
    first = next(iter(of_task.values()))
    prms = {row["prm_title"] for row in of_task.values()} - {None}
    budgets = {row["budget"] for row in of_task.values()} - {None}
    each = [f"{row['budget']:,} ({row['task_title']})" for row in of_task.values() if row["budget"]]
    cells: list[Cell] = [
        first["policy_title"],
        first["n_parameters"],
        None if series is None else _SERIES[series],
        "none" if series == "cot" else ", ".join(sorted(prms)) or None,
        ", ".join(each) if len(budgets) > 1 else next(iter(budgets), None),
    ]
    for task, title in zip(tasks, titles, strict=True):
        row, text = of_task.get(task), printed.get(title)
        estimate = None if row is None else percent_of(row)
        value = Printed.parse(text["printed"]) if text else None
        cells.append(Compared(estimate, value, _unlike(series, row)))
    of_title = dict(zip(titles, cells[-len(tasks) :], strict=True))
    mean = _mean([of_title.get(title) for title in ("MATH-500", "AIME24")])
    for name in extra:
        text = printed.get(name)
        value = Printed.parse(text["printed"]) if text else None
        differs = next(filter(None, (_unlike(series, row) for row in of_task.values())), "")
        cells.append(Compared(mean if name == "Avg" else None, value, differs))
    return cells


def _unlike(series: str | None, row: Row | None) -> str:
    if row is None or series is None:
        return ""
    scaled = (row["budget"], row["prm_title"]) if series != "cot" else ()
    return unlike(row["n_problems"], row["n_problems_of_task"], *scaled)


def _mean(cells: Sequence[Cell]) -> Estimate | None:
    """Mean of two tasks in %, whose problems are independent; None unless both were run."""
    known = [c.estimate for c in cells if isinstance(c, Compared) and c.estimate is not None]
    if len(known) < 2:
        return None
    value = math.fsum(estimate.value for estimate in known) / 2
    below, above = (
        math.fsum((estimate.value - end) ** 2 for estimate, end in ends if end is not None) ** 0.5
        / 2
        for ends in ([(e, e.low) for e in known], [(e, e.high) for e in known])
    )
    return Estimate(value, value - below, value + above)


def _printed_setting(row: Row) -> list[Cell]:
    """Size, method, PRM and N of a line of the paper's own, as far as it prints them."""
    size, budget, is_cot = row["printed_parameters"], row["printed_budget"], row["method"] == "CoT"
    prm = f"{row['printed_prm']}{MARK}" if row["printed_prm"] else "not printed"
    return [
        Printed(size) if size else "not printed",
        row["method"],
        prm if row["is_read_by_prm"] else "none",
        Printed(budget) if budget else 1 if is_cot else "not printed",
    ]


def _only_printed(printed: Mapping[str, Row], title: str) -> Cell:
    return Printed.parse(printed[title]["printed"]) if title in printed else "not printed"
