"""What each model of the scale model is: a recipe determines its training entirely."""

from __future__ import annotations

from dataclasses import dataclass, replace

from compute_optimal.errors import StudyError
from compute_optimal.micro.recipe_kinds import (
    Architecture,
    BaseRecipe,
    Optimisation,
    PolicyRecipe,
    PrmRecipe,
    Recipe,
)
from compute_optimal.tasks.arithmetic_chains import Style


@dataclass(frozen=True, slots=True)
class Prompting:
    """How a family is asked and how it answers; training and inference must use the same."""

    system: str
    style: Style


PROMPTING: dict[str, Prompting] = {
    "micro-llama": Prompting(
        r"Solve in steps (## Step 1: ...) and put your final answer within \boxed{}.", "numbered"
    ),
    "micro-qwen": Prompting(
        r"Please reason step by step, and put your final answer within \boxed{}.", "plain"
    ),
}


_SMALL = Architecture(hidden_size=64, intermediate_size=192, n_layers=2)
_MEDIUM = Architecture(hidden_size=96, intermediate_size=256, n_layers=3)
_LARGE = Architecture(hidden_size=128, intermediate_size=384, n_layers=3)

# The large ones had learned too little after the first run: Pass@1 of 0.17 and 0.53.
_AGAIN = (Optimisation(4000, 16, learning_rate=2e-3),)

POLICIES: dict[str, PolicyRecipe] = {
    recipe.name: recipe
    for recipe in (
        PolicyRecipe("micro-llama-0.1M", "micro-llama", _SMALL, Optimisation(3000, 32), 2, 10, 1),
        PolicyRecipe("micro-llama-0.4M", "micro-llama", _MEDIUM, Optimisation(3000, 16), 2, 10, 2),
        PolicyRecipe(
            *("micro-llama-0.7M", "micro-llama", _LARGE, Optimisation(5000, 16), 2, 10, 6),
            more=_AGAIN,
        ),
        PolicyRecipe("micro-qwen-0.1M", "micro-qwen", _SMALL, Optimisation(4000, 16), 2, 10, 3),
        PolicyRecipe("micro-qwen-0.4M", "micro-qwen", _MEDIUM, Optimisation(5000, 16), 2, 10, 5),
        PolicyRecipe(
            *("micro-qwen-0.7M", "micro-qwen", _LARGE, Optimisation(6000, 16), 2, 10, 7),
            more=_AGAIN,
        ),
    )
}

BASES: dict[str, BaseRecipe] = {
    recipe.name: recipe
    for recipe in (
        BaseRecipe(
            name="micro-base-0.4M",
            start="micro-llama-0.4M",
            run=Optimisation(6000, 32, learning_rate=2e-3),
            stops=(16, 63, 250, 1000),
            more=(
                Optimisation(1000, 32, learning_rate=1e-3),
                Optimisation(250, 32, learning_rate=1e-4),
            ),
            seed=32,
        ),
        # The same training of a smaller policy.
        BaseRecipe(
            name="micro-base-0.1M",
            start="micro-llama-0.1M",
            run=Optimisation(6000, 32, learning_rate=2e-3),
            stops=(1000,),
            more=(
                Optimisation(1000, 32, learning_rate=1e-3),
                Optimisation(250, 32, learning_rate=1e-4),
            ),
            seed=33,
        ),
    )
}

_LLAMAS = tuple(name for name in POLICIES if name.startswith("micro-llama"))
_TAUGHT = Optimisation(130, 32, learning_rate=3e-4, warmup_steps=10)


def _stopped(times: int, stop: int) -> PrmRecipe:
    """A rung of the ladder: one recipe, its base's training stopped at so many times the steps."""
    return PrmRecipe(
        name=f"micro-skywork-x{times}-prm-0.9M",
        prm_format="skywork",
        base="micro-base-0.4M",
        stop=stop,
        rollout_policies=tuple(POLICIES),
        n_problems=700,
        labels="exact",
        optimisation=_TAUGHT,
        seed=41,
    )


_EXACT = PrmRecipe(
    name="micro-qwen-math-exact-prm-1.0M",
    prm_format="qwen_math",
    base="micro-base-0.4M",
    rollout_policies=tuple(POLICIES),
    n_problems=700,
    labels="exact",
    optimisation=_TAUGHT,
    seed=41,
)
"""What the others differ from, each in the cause that its name says."""


PRMS: dict[str, PrmRecipe] = {
    recipe.name: recipe
    for recipe in (
        # Amount of training: a base after 63, 250 and 1000 steps. After 16, which the ladder counts
        # from, the PRM was no better than a coin (data/README.md) and is not kept.
        _stopped(4, 63),
        _stopped(16, 250),
        _stopped(64, 1000),
        # From here on the whole base. Exact labels of solutions of all policies, in two formats.
        replace(_EXACT, name="micro-skywork-exact-prm-0.9M", prm_format="skywork"),
        _EXACT,
        # Size: the same, from the smaller base.
        replace(_EXACT, name="micro-qwen-math-small-prm-0.5M", base="micro-base-0.1M"),
        # Label noise: as exact, and three labels of ten flipped.
        PrmRecipe(
            name="micro-qwen-math-noisy-prm-1.0M",
            prm_format="qwen_math",
            base="micro-base-0.4M",
            rollout_policies=tuple(POLICIES),
            n_problems=700,
            labels="noisy",
            label_noise=0.3,
            optimisation=_TAUGHT,
            seed=41,
        ),
        # Whose solutions were seen: those of its own family alone.
        PrmRecipe(
            name="micro-rlhflow-llama-only-prm-0.9M",
            prm_format="rlhflow",
            base="micro-base-0.4M",
            rollout_policies=_LLAMAS,
            n_problems=700,
            labels="exact",
            optimisation=replace(_TAUGHT, steps=65),
            seed=41,
        ),
        # Label kind: from completions of the policy's own solutions.
        PrmRecipe(
            name="micro-math-shepherd-monte-carlo-prm-0.9M",
            prm_format="math_shepherd",
            base="micro-base-0.4M",
            rollout_policies=("micro-llama-0.1M",),
            n_problems=1000,
            labels="monte_carlo",
            n_completions=2,
            optimisation=replace(_TAUGHT, steps=30),
            seed=42,
        ),
    )
}


RECIPES: dict[str, Recipe] = {**POLICIES, **BASES, **PRMS}
"""Recipes of all models, by their names, in the order in which they can be trained."""


def base_of(recipe: PrmRecipe) -> BaseRecipe:
    """The recipe of a PRM's base. Raises ``StudyError`` where there is none of that name."""
    if recipe.base not in BASES:
        raise StudyError(
            f"there is no base called {recipe.base!r}",
            where=f"recipe {recipe.name}",
            cure=f"name one of {', '.join(BASES)} in the recipe, or add its own recipe",
        )
    return BASES[recipe.base]
