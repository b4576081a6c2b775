"""What a recipe of the scale model may say: it determines a model's training entirely.

Part of the requests of the training rules (``study.requests``), so that recipes themselves are not
behind every rule (``recipes``). Fields are part of the canonical JSON that determines a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, with_config

from compute_optimal.errors import StudyError

_checked = with_config(ConfigDict(extra="forbid", strict=True))
"""How a recipe is read from a request; one that is made in Python is held to its types by mypy."""


@_checked
@dataclass(frozen=True, slots=True)
class Architecture:
    """Heads have size 32; ``hidden_size`` must be a multiple of it."""

    hidden_size: int
    intermediate_size: int
    n_layers: int


@_checked
@dataclass(frozen=True, slots=True)
class Optimisation:
    """AdamW with linear warm-up and cosine decay to a tenth; batches are counted in examples."""

    steps: int
    batch_size: int = 64
    learning_rate: float = 3e-3
    warmup_steps: int = 50
    weight_decay: float = 0.01
    clip_norm: float = 1.0


@_checked
@dataclass(frozen=True, slots=True)
class PolicyRecipe:
    """A policy trained from scratch on reference solutions of chains of these lengths.

    ``more`` are further runs of the schedule, each from where the one before it ended.
    """

    name: str
    family: Literal["micro-llama", "micro-qwen"]
    architecture: Architecture
    optimisation: Optimisation
    min_operations: int
    max_operations: int
    seed: int
    more: tuple[Optimisation, ...] = ()


@_checked
@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRecipe:
    """What PRMs grow from: a policy trained on, in the frames of all PRM formats and both styles.

    ``run`` is left at the last of ``stops``, if there are any: its learning rate is meant for a
    longer one, so that what a stop holds is that training cut short. ``more`` are further runs of
    the schedule, each from where the one before it ended; the base is what the last one leaves.
    What the training was at each of ``stops`` (steps of ``run``, rising) is kept beside it. Raises
    ``StudyError`` where the stops do not rise or do not lie before the end of the run.
    """

    name: str
    start: str
    run: Optimisation
    stops: tuple[int, ...] = ()
    more: tuple[Optimisation, ...] = ()
    min_operations: int = 2
    max_operations: int = 10
    seed: int

    def __post_init__(self) -> None:
        if list(self.stops) != sorted({*self.stops}) or not all(
            0 < stop < self.run.steps for stop in self.stops
        ):
            raise StudyError(
                f"stops must rise and lie before the end of the run after {self.run.steps} steps",
                where=f"recipe {self.name}, stops {self.stops}",
                cure="name other stops, or a longer run",
            )


@_checked
@dataclass(frozen=True, slots=True, kw_only=True)
class PrmRecipe:
    """A PRM that keeps its base's surprise (``surprise``), taught on step labels of solutions.

    ``base`` is a base, ``stop`` the steps after which its training is cut short, if it is.
    ``n_problems`` is for each of the policies whose solutions it sees, each solution once. Recipes
    of one seed whose lists of policies begin alike see the same solutions of the policies that they
    share there. ``labels`` says where the labels come from: ``exact`` from the checker of the task;
    ``noisy`` are these, each flipped with probability ``label_noise``; ``monte_carlo`` calls a step
    good if any of ``n_completions`` completions from there reaches the answer (Math-Shepherd, arXiv
    2312.08935, hard estimation).
    """

    name: str
    prm_format: Literal["math_shepherd", "rlhflow", "skywork", "qwen_math"]
    base: str
    stop: int | None = None
    rollout_policies: tuple[str, ...]
    n_problems: int
    n_samples: int = 1
    temperature: float = 1.0
    labels: Literal["exact", "noisy", "monte_carlo"]
    optimisation: Optimisation
    min_operations: int = 2
    max_operations: int = 10
    seed: int
    label_noise: float = 0.0
    n_completions: int = 0


Recipe = PolicyRecipe | BaseRecipe | PrmRecipe
