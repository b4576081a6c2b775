"""What the paper's studies differ in when their models are tiny and a CPU runs them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

SMALL: dict[str, Any] = {
    "problems": 2,
    "budgets": [4],
    "max_steps": 4,
    "difficulty": {"n_samples": 2},
    "statistics": {"bootstrap_replicates": 100},
}
"""Keys of a small study of the same models and methods."""

TINY_BUDGETS = {4: 4, 16: 4, 64: 4, 256: 4, 512: 8}
"""The paper's budgets, and what stands in their place: one beyond the others stays beyond them."""


def of_small_budgets(study: Mapping[str, Any]) -> dict[str, Any]:
    """A study's content with ``SMALL`` and its budgets made small wherever they stand."""

    def small(value: Any, key: str = "") -> Any:
        if isinstance(value, Mapping):
            return {name: small(below, str(name)) for name, below in value.items()}
        if isinstance(value, list) and key in ("budgets", "search_budgets"):
            return sorted({TINY_BUDGETS[budget] for budget in value})
        return [small(below) for below in value] if isinstance(value, list) else value

    content: dict[str, Any] = small(study)
    return content | SMALL


SAMPLING = {"max_tokens": 24, "max_step_tokens": 8}
"""Lengths of its solutions and steps [tokens]."""


def of_tiny_models(registry: Path, n_parameters: Mapping[str, int]) -> None:
    """Let a registry describe tiny models, by name and size, in the place of the real ones."""
    for section in ("policies", "prms"):
        path = registry / f"{section}.yaml"
        content = yaml.safe_load(path.read_text())
        for name, entry in content[section].items():
            if name in n_parameters:
                entry |= {"dtype": "float32", "n_parameters": n_parameters[name]}
                if section == "policies":
                    entry["sampling"] = entry.get("sampling", {}) | SAMPLING
        path.write_text(yaml.safe_dump(content))
