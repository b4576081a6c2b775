"""Differences between two ways to answer the same problems: what their intervals rest on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compute_optimal.analyse.differences import Resampling, differences, limits, reaches

RESAMPLING = Resampling(400, 0.95, 0)
NAMES = [f"p{i:02d}" for i in range(40)]


def case_on(names: list[str]) -> dict[str, Any]:
    random = np.random.default_rng(len(names))
    value, reference = random.random((2, len(names))).tolist()
    return {
        "task": "t", "problems_of_task": NAMES, "problem_ids": names, "value": value,
        "reference": reference,
    }  # fmt: skip


@pytest.mark.parametrize("beside", [NAMES, NAMES[::-1], NAMES[5:20], NAMES[:31]])
def test_an_interval_does_not_depend_on_the_cases_beside_it(beside: list[str]) -> None:
    """Two policies rarely have the same problems of a task that others ran."""
    alone, other = case_on(NAMES[:30]), case_on(beside)
    ends = []
    for rows in ([alone], [alone, other], [other, alone]):
        means, replicates = differences(rows, RESAMPLING, relative=False)
        sizes = [len(row["problem_ids"]) for row in rows]
        low, high = limits(means, replicates, sizes, RESAMPLING.confidence)
        at = rows.index(alone)
        ends.append((float(means[at]), float(low[at]), float(high[at])))
    assert ends[1] == pytest.approx(ends[0])
    assert ends[2] == pytest.approx(ends[0])


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("right", [0.25, 0.5, 1.0])
def test_problems_that_no_resampling_tells_apart_leave_as_much_in_either_unit(
    relative: bool, right: float
) -> None:
    """Two that are right alike everywhere: what unseen problems leave of a difference is so many
    points, and in % of the reference as many more as that is smaller."""
    alike = {**case_on(NAMES), "value": [right] * 40, "reference": [right] * 40}
    means, replicates = differences([alike], RESAMPLING, relative=relative)
    reach = reaches([alike], relative=relative)
    low, high = limits(means, replicates, [40], RESAMPLING.confidence, reach=reach)
    unseen = 100 * (1 - 0.025 ** (1 / 40)) / (right if relative else 1)
    assert (low[0], high[0]) == pytest.approx((-unseen, unseen))


@pytest.mark.filterwarnings("error")
def test_a_difference_in_percent_of_nothing_has_no_end_that_is_no_number() -> None:
    of_nothing = {**case_on(NAMES), "value": [0.5] * 40, "reference": [0.0] * 40}
    means, replicates = differences([of_nothing], RESAMPLING, relative=True)
    reach = reaches([of_nothing], relative=True)
    low, high = limits(means, replicates, [40], RESAMPLING.confidence, reach=reach)
    assert (low[0], high[0]) == (np.inf, np.inf)
