"""Teach a PRM that keeps its base's surprise what labels of sampled solutions add to it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compute_optimal.errors import StudyError
from compute_optimal.micro.base_training import as_format, load_base
from compute_optimal.micro.policy_training import (
    optimise,
    pad,
    prompt_text,
    single_thread,
    write_recipe,
)
from compute_optimal.micro.process_reward_model import ProcessRewardModel
from compute_optimal.micro.recipe_kinds import BaseRecipe, PrmRecipe
from compute_optimal.micro.recipes import POLICIES
from compute_optimal.policies.steps import STEP_DELIMITER, split_steps
from compute_optimal.prms import PrmInput, prm_format
from compute_optimal.study.spec import seed_for
from compute_optimal.tasks import Problem
from compute_optimal.tasks.arithmetic_chains import (
    STYLES,
    check_steps,
    generate,
    solution_steps,
    stated_answer,
)

if TYPE_CHECKING:
    import torch

Labelled = tuple[PrmInput, tuple[int, ...]]

_SAMPLING_BATCH = 256
_BATCHES_PER_CHUNK = 16
_N_TEXTS = 64


@dataclass(frozen=True, slots=True)
class LabelledRollout:
    """A sampled solution; ``labels[i]`` is 1 if the solution is good up to and with step i."""

    problem: Problem
    steps: tuple[str, ...]
    labels: tuple[int, ...]


def train_prm(recipe: PrmRecipe, base: BaseRecipe, models: Path, folder: Path) -> dict[str, Any]:
    """Sample solutions, label their steps, grow, train, save; returns what ``recipe.json`` holds.

    ``models`` holds the folders of the policies and of the base that the recipe names. Raises
    ``StudyError`` where the base or its stop is missing, and where the recipe asks for more steps
    than there are fresh solutions.
    """
    import torch

    started = time.process_time()
    with single_thread(recipe.seed):
        rollouts = label_rollouts(recipe, models)
    rollout_core_minutes = round((time.process_time() - started) / 60, 2)
    with single_thread(recipe.seed + 1):
        prm = grow_prm(recipe.prm_format, load_base(base, models, recipe.stop))
        batches = _batches(recipe, prm, rollouts)
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
    return ProcessRewardModel.grow(format_name, network, tokenizer, texts)


def label_rollouts(recipe: PrmRecipe, models: Path) -> list[LabelledRollout]:
    """Solutions of training problems by each rollout policy, with step labels."""
    noise = random.Random(recipe.seed)
    rollouts = []
    for policy in recipe.rollout_policies:
        problems = generate(
            recipe.n_problems,
            seed_for("prm-training", recipe.seed, policy),
            recipe.min_operations,
            recipe.max_operations,
            split="training",
        )
        starts = [(problem, "") for problem in problems for _ in range(recipe.n_samples)]
        texts = sample(models / policy, policy, starts, recipe.temperature)
        solutions = [
            (problem, tuple(steps))
            for (problem, _), text in zip(starts, texts, strict=True)
            if (steps := split_steps(text))
        ]
        if recipe.labels == "monte_carlo":
            rollouts += _label_by_completion(recipe, models / policy, policy, solutions)
        else:
            rollouts += [
                LabelledRollout(
                    problem,
                    steps,
                    tuple(
                        label ^ int(noise.random() < recipe.label_noise)
                        for label in exact_labels(problem, steps)
                    ),
                )
                for problem, steps in solutions
            ]
    return rollouts


def exact_labels(problem: Problem, steps: Sequence[str]) -> tuple[int, ...]:
    """A label a step: 1 up to the first wrong step, 0 from there on."""
    first_error = check_steps(problem.problem, steps).first_error
    n_good = len(steps) if first_error is None else first_error
    return (1,) * n_good + (0,) * (len(steps) - n_good)


def sample(
    policy_folder: Path,
    policy: str,
    starts: Sequence[tuple[Problem, str]],
    temperature: float,
    max_new_tokens: int = 256,
) -> list[str]:
    """Continue each (problem, beginning of a solution); returns the new text of each alone.

    ``temperature`` is above 0; all tokens are sampled from (no top_k, no top_p).
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(policy_folder, padding_side="left")
    network = AutoModelForCausalLM.from_pretrained(policy_folder)
    family = POLICIES[policy].family
    prompts = [
        prompt_text(tokenizer, family, problem.problem) + beginning for problem, beginning in starts
    ]
    texts = [""] * len(prompts)
    by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for first in range(0, len(by_length), _SAMPLING_BATCH):
        indices = by_length[first : first + _SAMPLING_BATCH]
        inputs = tokenizer(
            [prompts[index] for index in indices],
            add_special_tokens=False,
            padding=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            token_ids = network.generate(
                **inputs,
                do_sample=True,
                temperature=temperature,
                top_k=0,
                max_new_tokens=max_new_tokens,
            )
        new_ids = token_ids[:, inputs["input_ids"].shape[1] :]
        for index, text in zip(
            indices, tokenizer.batch_decode(new_ids, skip_special_tokens=True), strict=True
        ):
            texts[index] = text
    return texts


def _label_by_completion(
    recipe: PrmRecipe,
    policy_folder: Path,
    policy: str,
    solutions: Sequence[tuple[Problem, tuple[str, ...]]],
) -> list[LabelledRollout]:
    """A step is good if a completion from there reaches the answer; a last step if it is right."""
    starts = [
        (problem, STEP_DELIMITER.join([*steps[: index + 1], ""]))
        for problem, steps in solutions
        for index in range(len(steps) - 1)
        for _ in range(recipe.n_completions)
    ]
    texts = iter(sample(policy_folder, policy, starts, recipe.temperature))
    rollouts = []
    for problem, steps in solutions:
        labels = []
        for _ in steps[:-1]:
            completions = list(islice(texts, recipe.n_completions))
            labels.append(int(any(_reaches(text, problem) for text in completions)))
        labels.append(int(_reaches(steps[-1], problem)))
        rollouts.append(LabelledRollout(problem, steps, tuple(labels)))
    return rollouts


def _reaches(text: str, problem: Problem) -> bool:
    steps = split_steps(text)
    return bool(steps) and stated_answer(steps[-1]) == problem.answer


def _batches(
    recipe: PrmRecipe, prm: ProcessRewardModel, rollouts: Sequence[LabelledRollout]
) -> Iterator[list[Labelled]]:
    """Batches of which no two share a solution; within a chunk, of like length.

    Raises ``StudyError`` where there are fewer solutions than the optimisation takes.
    """
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


def step_loss(
    prm: ProcessRewardModel, batch: Sequence[tuple[PrmInput, tuple[int, ...]]]
) -> torch.Tensor:
    """Mean binary cross-entropy (nats) over the steps of a batch, from their margins."""
    import torch

    token_ids = pad([encoded.token_ids for encoded, _ in batch], 0)
    margins = prm.margins(token_ids)
    chosen = torch.cat(
        [margins[row, list(encoded.positions)] for row, (encoded, _) in enumerate(batch)]
    )
    labels = torch.tensor([float(label) for _, labels in batch for label in labels])
    return torch.nn.functional.binary_cross_entropy_with_logits(chosen, labels)
