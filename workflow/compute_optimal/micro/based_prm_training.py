"""Teach a PRM that keeps its base's surprise what the labels of solutions add to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from compute_optimal.errors import StudyError
from compute_optimal.micro.base_training import as_format, load_base
from compute_optimal.micro.policy_training import optimise, single_thread, write_recipe
from compute_optimal.micro.prm_training import LabelledRollout, label_rollouts, step_loss
from compute_optimal.micro.process_reward_model import ProcessRewardModel
from compute_optimal.micro.recipe_kinds import BasedPrmRecipe, BaseRecipe
from compute_optimal.prms import PrmInput, prm_format
from compute_optimal.tasks.arithmetic_chains import STYLES, generate, solution_steps

Labelled = tuple[PrmInput, tuple[int, ...]]

_BATCHES_PER_CHUNK = 16
_N_TEXTS = 64


def train_based_prm(
    recipe: BasedPrmRecipe, base: BaseRecipe, models: Path, folder: Path
) -> dict[str, Any]:
    """Sample solutions, label their steps, grow, train, save; returns what ``recipe.json`` holds.

    ``models`` holds the folders of the policies and of the base that the recipe names. Raises
    ``StudyError`` where the recipe asks for more steps than there are fresh solutions.
    """
    import torch

    started = time.process_time()
    with single_thread(recipe.seed):
        rollouts = label_rollouts(recipe, models)
    rollout_core_minutes = round((time.process_time() - started) / 60, 2)
    with single_thread(recipe.seed + 1):
        prm = grow_prm(recipe.prm_format, load_base(base, models, recipe.stop))
        batches = _once(recipe, prm, rollouts)
        report = optimise(
            prm.network, recipe.optimisation, (step_loss(prm, batch) for batch in batches)
        )
    prm.save(folder)
    labels = [label for rollout in rollouts for label in rollout.labels]
    report |= {
        "rollout_core_minutes": rollout_core_minutes,
        "n_rollouts": len(rollouts),
        "n_steps": len(labels),
        "share_good": round(sum(labels) / len(labels), 4),
        "n_parameters": sum(p.numel() for p in prm.network.parameters()),
        "torch": torch.__version__,
    }
    return write_recipe(folder, recipe, report)


def grow_prm(format_name: str, base: Any) -> ProcessRewardModel:
    """The PRM of a base before any label is seen."""
    network, tokenizer = as_format(format_name, base)
    problems = generate(_N_TEXTS, 0, split="training")
    texts = [
        prm_format(format_name)
        .encode(tokenizer, problem.problem, solution_steps(problem.problem, style))
        .token_ids
        for problem, style in zip(problems, STYLES * _N_TEXTS, strict=False)
    ]
    return ProcessRewardModel.grow_from_base(format_name, network, tokenizer, texts)


def _once(
    recipe: BasedPrmRecipe, prm: ProcessRewardModel, rollouts: Sequence[LabelledRollout]
) -> Iterator[list[Labelled]]:
    """Batches of which no two share a solution; within a chunk, of like length."""
    import torch

    size, encode = recipe.optimisation.batch_size, prm_format(recipe.prm_format).encode
    if recipe.optimisation.steps * size > len(rollouts):
        raise StudyError(
            f"{recipe.optimisation.steps} steps of {size} solutions each need more than the "
            f"{len(rollouts)} that were sampled",
            where=f"recipe {recipe.name}",
            cure="raise n_problems, or lower optimisation.steps: no solution is seen twice",
        )
    order = torch.randperm(len(rollouts)).tolist()
    examples = [
        (encode(prm.tokenizer, rollout.problem.problem, rollout.steps), rollout.labels)
        for rollout in (rollouts[index] for index in order)
    ]
    for first in range(0, len(examples), size * _BATCHES_PER_CHUNK):
        chunk = examples[first : first + size * _BATCHES_PER_CHUNK]
        chunk.sort(key=lambda example: len(example[0].token_ids))
        for index in torch.randperm(-(-len(chunk) // size)).tolist():
            yield chunk[index * size : (index + 1) * size]
