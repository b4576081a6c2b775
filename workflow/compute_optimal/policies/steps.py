"""Steps of a solution: the blocks between blank lines."""

from __future__ import annotations

STEP_DELIMITER = "\n\n"


def split_steps(text: str) -> list[str]:
    """Split a solution into its steps: cut at "\\n\\n", strip, drop what is empty.

    A blank line inside a display environment also cuts (official code: base_env.py:369-377).
    """
    return [step for block in text.split(STEP_DELIMITER) if (step := block.strip())]
