"""Train the base that PRMs of all four formats grow from: abler than any policy they judge.

What a base expects is worth comparing with only where it knows the frame of the text and the style
of whoever wrote it. So it reads reference solutions in both styles and in the frames of all four
PRM formats, and is one network for them: the tokenizers of the families share their ids but for a
few special tokens, and what stands for the same in two families is one row (``ROLES``). A format's
own base is this network with the rows in the order of the format's tokenizer (``as_format``); the
biases that Qwen2 has and Llama has not are zero.
"""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compute_optimal.errors import StudyError
from compute_optimal.micro.growth import QUESTION_END
from compute_optimal.micro.policy_training import (
    Example,
    next_token_loss,
    optimise,
    save_rounded,
    single_thread,
    write_recipe,
)
from compute_optimal.micro.process_reward_model import KINDS, base_policy
from compute_optimal.micro.recipe_kinds import BaseRecipe, Optimisation
from compute_optimal.micro.recipes import BASES
from compute_optimal.policies.prompts import single_id
from compute_optimal.prms import PRM_FORMATS, math_shepherd, prm_format, qwen_math
from compute_optimal.study.spec import seed_for
from compute_optimal.tasks.arithmetic_chains import STYLES, Style, generate, solution_steps

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

BASE_FORMAT = "math_shepherd"
"""The format whose tokenizer numbers the base's rows: the family without biases, with a tag."""

ROLES = {
    "<|endoftext|>": "<|begin_of_text|>",
    "<|im_start|>": "<|start_header_id|>",
    "<|im_end|>": "<|eot_id|>",
    qwen_math.TAG: math_shepherd.TAG,
}
"""Tokens of the Qwen-like formats that the base's vocabulary lacks -> what stands for the same."""

STOPS = "stops"
"""Folder within a base's folder that holds what its training was at its stops."""

_BATCHES_PER_CHUNK = 16


def train_base(recipe: BaseRecipe, models: Path, folder: Path) -> dict[str, Any]:
    """Train, save a Hugging Face folder with safetensors, and return what ``recipe.json`` holds.

    ``models`` holds the folder of the policy that the recipe starts from. What the training was at
    a stop is written as another such folder inside (``stop_folder``). Raises ``StudyError`` where
    the policy is not of the family of ``BASE_FORMAT``.
    """
    import torch

    started = time.process_time()
    network, tokenizer = base_policy(BASE_FORMAT, models / recipe.start)
    report: dict[str, Any] = {"core_minutes": {}, "loss": []}

    def save(place: Path, steps: str) -> None:
        save_rounded(network, place)
        tokenizer.save_pretrained(place)
        report["core_minutes"][steps] = round((time.process_time() - started) / 60, 2)

    def losses(run: int, settings: Optimisation) -> Iterator[torch.Tensor]:
        stops = recipe.stops if run == 0 else ()
        for step, batch in enumerate(reference_batches(recipe, settings.batch_size, run)):
            if step in stops:
                save(stop_folder(folder, step), str(step))
            if stops and step == stops[-1]:
                return
            yield next_token_loss(network, batch, tokenizer.pad_token_id)

    for run, settings in enumerate((recipe.run, *recipe.more)):
        with single_thread(recipe.seed + 1000 * run):
            report["loss"] += optimise(network, settings, losses(run, settings))["loss"]
    save(folder, "all")
    report |= {
        "n_parameters": sum(p.numel() for p in network.parameters()),
        "torch": torch.__version__,
    }
    return write_recipe(folder, recipe, report)


def stop_folder(folder: Path, stop: int) -> Path:
    """Where the folder of a base holds what its training was after ``stop`` steps."""
    return folder / STOPS / str(stop)


def load_base(recipe: BaseRecipe, models: Path, stop: int | None) -> Any:
    """The base in ``models``, or what its training was after ``stop`` steps.

    Raises ``StudyError`` where the recipe has no such stop, or the folder does not hold it.
    """
    from transformers import AutoModelForCausalLM

    folder = models / recipe.name
    if stop is not None:
        if stop not in recipe.stops:
            raise StudyError(
                f"the training of {recipe.name} has no stop after {stop} steps",
                where=f"recipe {recipe.name}, stops {recipe.stops}",
                cure=f"add {stop} to its stops, or name one of them",
            )
        folder = stop_folder(folder, stop)
    if not (folder / "model.safetensors").is_file():
        raise StudyError(
            f"{recipe.name} is not there" + ("" if stop is None else f" as of {stop} steps"),
            where=str(folder),
            cure="train the base first: snakemake --cores 1 train_micro_models",
        )
    return AutoModelForCausalLM.from_pretrained(folder)


def reference_batches(recipe: BaseRecipe, size: int, run: int) -> Iterator[list[Example]]:
    """Endless batches of reference solutions in all frames and both styles, in the base's ids.

    Within a chunk, batches hold examples of like length.
    """
    import torch

    for chunk in count():
        problems = generate(
            size * _BATCHES_PER_CHUNK,
            seed_for("base-training", recipe.seed, run, chunk),
            recipe.min_operations,
            recipe.max_operations,
            split="training",
        )
        # A pair of a format and a style each, drawn at random: taken in turn, each pair would get
        # some lengths of problems only, for the number of pairs and that of lengths share divisors.
        turns = torch.randint(len(PRM_FORMATS) * len(STYLES), (len(problems),)).tolist()
        examples = [
            reference(
                PRM_FORMATS[turn % len(PRM_FORMATS)],
                problem.problem,
                STYLES[turn // len(PRM_FORMATS)],
            )
            for problem, turn in zip(problems, turns, strict=True)
        ]
        examples.sort(key=lambda example: len(example.token_ids))
        for index in torch.randperm(_BATCHES_PER_CHUNK).tolist():
            yield examples[index * size : (index + 1) * size]


def reference(format_name: str, problem: str, style: Style) -> Example:
    """The reference solution as a format has it, in the base's ids; the question is its prompt."""
    tokenizer, to_base = _vocabulary(format_name)
    encoded = prm_format(format_name).encode(tokenizer, problem, solution_steps(problem, style))
    question_end = encoded.token_ids.index(single_id(tokenizer, QUESTION_END))
    return Example(tuple(to_base[token] for token in encoded.token_ids), question_end + 1)


@cache
def _vocabulary(format_name: str) -> tuple[PreTrainedTokenizerBase, tuple[int, ...]]:
    """A format's tokenizer, and the base's row of each of its ids."""
    tokenizer = KINDS[format_name].tokenizer()
    rows = KINDS[BASE_FORMAT].tokenizer().get_vocab()
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    return tokenizer, tuple(rows[ROLES.get(token, token)] for token in tokens)


def as_format(format_name: str, base: Any) -> tuple[Any, PreTrainedTokenizerBase]:
    """The base over the ids of a format's tokenizer, and that tokenizer; ``base`` is left alone."""
    import torch

    tokenizer, to_base = _vocabulary(format_name)
    network = copy.deepcopy(base)
    rows = base.get_input_embeddings().weight.detach()[list(to_base)]
    network.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        network.get_input_embeddings().weight.copy_(rows)
    network.config.bos_token_id = tokenizer.bos_token_id
    network.config.eos_token_id = tokenizer.eos_token_id
    network.config.pad_token_id = tokenizer.pad_token_id
    return network, tokenizer


def install_bases(trained: Path, models: Path) -> list[str]:
    """Copy the bases that were trained in ``trained`` to ``models``, without their stops.

    Returns one line a base. A base is no model of a study, so that no lock names it.
    """
    report = []
    for name in BASES:
        if (trained / name).is_dir():
            shutil.rmtree(models / name, ignore_errors=True)
            shutil.copytree(trained / name, models / name, ignore=shutil.ignore_patterns(STOPS))
            report.append(f"{name}: installed")
    return report
