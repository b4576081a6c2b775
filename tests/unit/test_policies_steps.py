"""Steps of a solution."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compute_optimal.policies.steps import split_steps


def test_blocks_between_blank_lines_are_steps() -> None:
    text = "\n\n## Step 1: add\n 37 + 48\n\n\n\n  So 85. \n\n\\boxed{85}\n"
    assert split_steps(text) == ["## Step 1: add\n 37 + 48", "So 85.", "\\boxed{85}"]
    assert split_steps(" \n\n\t\n\n") == split_steps("") == []


@given(st.lists(st.text("ab \n\t", max_size=8), max_size=6))
def test_no_step_is_blank_or_lost(blocks: list[str]) -> None:
    text = "\n\n".join(blocks)
    steps = split_steps(text)
    assert all(step and step == step.strip() and "\n\n" not in step for step in steps)
    assert "".join("".join(steps).split()) == "".join(text.split())
