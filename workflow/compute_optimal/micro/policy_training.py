"""Train a policy of the scale model from scratch: next-token loss on solutions, one thread."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compute_optimal.micro.recipe_kinds import Architecture, Optimisation, PolicyRecipe
from compute_optimal.micro.recipes import PROMPTING
from compute_optimal.micro.tokenizer import CONTEXT, FAMILIES, build_tokenizer
from compute_optimal.policies.steps import STEP_DELIMITER
from compute_optimal.study.spec import seed_for
from compute_optimal.tasks.arithmetic_chains import generate, solution_steps

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

_BATCHES_PER_CHUNK = 16


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of one prompt and solution; the loss is on the ids from ``n_prompt`` on."""

    token_ids: tuple[int, ...]
    n_prompt: int


def train_policy(recipe: PolicyRecipe, folder: Path) -> dict[str, Any]:
    """Train, save a Hugging Face folder with safetensors, and return what ``recipe.json`` holds.

    The same recipe gives the same weights on the same machine and torch version.
    """
    import torch

    tokenizer = build_tokenizer(recipe.family)
    measured = []
    for run, settings in enumerate((recipe.optimisation, *recipe.more)):
        with single_thread(recipe.seed + 1000 * run):
            if run == 0:
                network = _new_policy(recipe, tokenizer)
            batches = _batches(recipe, settings.batch_size, run, tokenizer)
            losses = (next_token_loss(network, batch, tokenizer.pad_token_id) for batch in batches)
            measured.append(optimise(network, settings, losses))
    save_rounded(network, folder)
    tokenizer.save_pretrained(folder)
    report = {
        "core_minutes": round(sum(run["core_minutes"] for run in measured), 2),
        "loss": [point for run in measured for point in run["loss"]],
        "n_parameters": sum(p.numel() for p in network.parameters()),
        "torch": torch.__version__,
    }
    return write_recipe(folder, recipe, report)


def save_rounded(network: Any, folder: Path) -> None:
    """Write a Hugging Face folder with weights as of ``write_weights``."""
    from safetensors.torch import load_file

    network.save_pretrained(folder)
    write_weights(folder, load_file(folder / "model.safetensors"))


def write_weights(folder: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write the weights of a folder in 16 bits each (bfloat16), so that more of them ship.

    They are computed with in 32 bits all the same, as the folder's ``config.json`` says.
    """
    from safetensors.torch import save_file

    rounded = {name: values.bfloat16() for name, values in weights.items()}
    save_file(rounded, folder / "model.safetensors", {"format": "pt"})


def prompt_text(tokenizer: PreTrainedTokenizerBase, family: str, problem: str) -> str:
    """The prompt of a problem as the family's chat template renders it, with its special tokens."""
    messages = [
        {"role": "system", "content": PROMPTING[family].system},
        {"role": "user", "content": problem},
    ]
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))


def network_settings(architecture: Architecture, tokenizer: PreTrainedTokenizerBase) -> Any:
    """The arguments that the Llama, Qwen2 and Mistral configurations of transformers share."""
    n_heads = architecture.hidden_size // 32
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": architecture.hidden_size,
        "intermediate_size": architecture.intermediate_size,
        "num_hidden_layers": architecture.n_layers,
        "num_attention_heads": n_heads,
        "num_key_value_heads": n_heads,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": True,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": 0.04,
        "dtype": "float32",
    }


@contextmanager
def single_thread(seed: int) -> Iterator[None]:
    """One thread and a fixed random state inside, both as before outside.

    Two trainings of two threads on two cores are far slower than two of one thread.
    """
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(n_threads)


def optimise(
    network: torch.nn.Module, settings: Optimisation, losses: Iterator[torch.Tensor]
) -> dict[str, Any]:
    """Take ``settings.steps`` steps down the losses, or as many as there are losses.

    Returns ``core_minutes`` of processor time and ``loss``, a (step, loss) of every 100th step
    and of step ``settings.steps`` - 1, where losses do not end before. Parameters that do not
    require a gradient stay as they are.
    """
    import torch

    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        betas=(0.9, 0.98),
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, settings))
    network.train()
    started, history = time.process_time(), []
    for step, loss in zip(range(settings.steps), losses, strict=False):
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == settings.steps - 1:
            history.append((step, round(loss.item(), 4)))
            logger.info("step %d: loss %.4f", *history[-1])
    network.eval()
    return {"core_minutes": round((time.process_time() - started) / 60, 2), "loss": history}


def pad(sequences: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Right-pad to one rectangle (sequences, tokens). Causal attention never looks at the padding
    from a real token, so that no mask is needed."""
    import torch

    longest = max(map(len, sequences))
    return torch.tensor([[*ids, *[value] * (longest - len(ids))] for ids in sequences])


def write_recipe(folder: Path, recipe: Any, report: dict[str, Any]) -> dict[str, Any]:
    """Write ``recipe.json``: the recipe, and what was measured while it was followed."""
    content = {"recipe": asdict(recipe), "measured": report}
    (folder / "recipe.json").write_text(json.dumps(content, indent=1) + "\n")
    return content


def _new_policy(recipe: PolicyRecipe, tokenizer: PreTrainedTokenizerBase) -> Any:
    from transformers import (
        GenerationConfig,
        LlamaConfig,
        LlamaForCausalLM,
        Qwen2Config,
        Qwen2ForCausalLM,
    )

    settings = network_settings(recipe.architecture, tokenizer)
    network: Any
    if recipe.family == "micro-llama":
        network = LlamaForCausalLM(LlamaConfig(**settings))
    else:
        network = Qwen2ForCausalLM(Qwen2Config(**settings))
    network.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return network


def _batches(
    recipe: PolicyRecipe, size: int, run: int, tokenizer: PreTrainedTokenizerBase
) -> Iterator[Sequence[Example]]:
    """Endless batches of fresh problems. Within a chunk, batches hold examples of like length."""
    import torch

    # Each run of the schedule sees problems of its own.
    runs = (run,) if run else ()
    for chunk in count():
        problems = generate(
            size * _BATCHES_PER_CHUNK,
            seed_for("policy-training", recipe.seed, *runs, chunk),
            recipe.min_operations,
            recipe.max_operations,
            split="training",
        )
        examples = sorted(
            _examples([problem.problem for problem in problems], recipe.family, tokenizer),
            key=lambda example: len(example.token_ids),
        )
        for index in torch.randperm(_BATCHES_PER_CHUNK).tolist():
            yield examples[index * size : (index + 1) * size]


def _examples(
    problems: Sequence[str], family: str, tokenizer: PreTrainedTokenizerBase
) -> list[Example]:
    prompts = [prompt_text(tokenizer, family, problem) for problem in problems]
    style = PROMPTING[family].style
    solutions = [
        STEP_DELIMITER.join(solution_steps(problem, style)) + FAMILIES[family].eos
        for problem in problems
    ]
    prompt_ids = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    solution_ids = tokenizer(solutions, add_special_tokens=False)["input_ids"]
    return [
        Example((*prompt, *solution), len(prompt))
        for prompt, solution in zip(prompt_ids, solution_ids, strict=True)
    ]


def next_token_loss(network: Any, batch: Sequence[Example], pad_id: int) -> torch.Tensor:
    """Mean cross-entropy over the solution tokens (nats); the head runs on these alone."""
    import torch

    token_ids = pad([example.token_ids for example in batch], pad_id)
    positions = torch.arange(token_ids.shape[1])
    n_prompt = torch.tensor([[example.n_prompt] for example in batch])
    n_tokens = torch.tensor([[len(example.token_ids)] for example in batch])
    predicts = (positions >= n_prompt - 1) & (positions < n_tokens - 1)
    hidden = network.model(input_ids=token_ids, use_cache=False).last_hidden_state
    logits = network.lm_head(hidden[predicts])
    return torch.nn.functional.cross_entropy(logits, token_ids[:, 1:][predicts[:, :-1]])


def _rate(step: int, settings: Optimisation) -> float:
    warmup = min(1.0, (step + 1) / settings.warmup_steps)
    progress = min(1.0, step / settings.steps)
    return warmup * (0.1 + 0.45 * (1 + math.cos(math.pi * progress)))
