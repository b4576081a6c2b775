"""The default study's own names, for tests that run its models whatever its grid holds."""

from __future__ import annotations

from pathlib import Path

from compute_optimal.study.config import load_study

ROOT = Path(__file__).parents[1]
STUDY = load_study(
    ROOT / "config/config.yaml",
    {"registry": str(ROOT / "config/registry"), "lock_file": str(ROOT / "config/models.lock.json")},
)
TASK = STUDY.tasks[0]


def _smallest_of_each_family() -> list[str]:
    smallest: dict[str, str] = {}
    for name in sorted(STUDY.policies, key=lambda name: STUDY.policy(name).n_parameters):
        smallest.setdefault(STUDY.policy(name).family, name)
    return sorted(smallest.values())


POLICIES = _smallest_of_each_family()
PRM = next(name for name in STUDY.prms if STUDY.prm(name).format == "qwen_math")
