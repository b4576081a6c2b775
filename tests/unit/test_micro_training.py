from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from compute_optimal.errors import StudyError
from compute_optimal.micro import policy_training, prm_training
from compute_optimal.micro.process_reward_model import base_policy
from compute_optimal.micro.recipe_kinds import (
    Architecture,
    Optimisation,
    PolicyRecipe,
    PrmRecipe,
)
from compute_optimal.micro.recipes import POLICIES
from compute_optimal.policies.steps import STEP_DELIMITER
from compute_optimal.tasks import Problem
from compute_optimal.tasks.arithmetic_chains import generate, solution_steps

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

TINY = Architecture(hidden_size=32, intermediate_size=32, n_layers=1)
SHORT = Optimisation(steps=30, batch_size=4, warmup_steps=5, learning_rate=1e-2)
QWEN = PolicyRecipe("micro-qwen-0.1M", "micro-qwen", TINY, SHORT, 2, 3, seed=0)
LLAMA = PolicyRecipe("micro-llama-0.1M", "micro-llama", TINY, SHORT, 2, 3, seed=0)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for recipe in (QWEN, LLAMA):
        policy_training.train_policy(recipe, folder / recipe.name)
    return folder


@pytest.mark.parametrize("recipe", [QWEN, LLAMA], ids=lambda recipe: recipe.family)
def test_training_lowers_the_loss_and_is_reproducible(
    recipe: PolicyRecipe, models: Path, tmp_path: Path
) -> None:
    written = json.loads((models / recipe.name / "recipe.json").read_text())
    (_, first), (_, last) = written["measured"]["loss"]
    assert first == pytest.approx(math.log(420), rel=0.2), "an untrained policy guesses"
    assert last < 0.7 * first
    assert written["recipe"]["architecture"]["n_layers"] == 1
    policy_training.train_policy(recipe, tmp_path)
    again = (tmp_path / "model.safetensors").read_bytes()
    assert again == (models / recipe.name / "model.safetensors").read_bytes()


def test_a_second_run_of_the_schedule_goes_on_from_the_end_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one go, and from the unrounded weights of the first run, it ends at the same weights."""
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(
        policy_training, "save_rounded", lambda network, folder: network.save_pretrained(folder)
    )
    recipe = replace(QWEN, more=(SHORT,))
    policy_training.train_policy(QWEN, tmp_path / "first")
    written = policy_training.train_policy(recipe, tmp_path / "both")
    (_, first), (_, middle), (_, again), (_, last) = written["measured"]["loss"]
    assert last < middle < first
    assert again < 0.7 * first

    network = AutoModelForCausalLM.from_pretrained(tmp_path / "first")
    tokenizer = policy_training.build_tokenizer(QWEN.family)
    with policy_training.single_thread(recipe.seed + 1000):
        batches = policy_training._batches(recipe, SHORT.batch_size, 1, tokenizer)
        losses = (
            policy_training.next_token_loss(network, batch, tokenizer.pad_token_id)
            for batch in batches
        )
        policy_training.optimise(network, SHORT, losses)
    in_one_go = AutoModelForCausalLM.from_pretrained(tmp_path / "both").state_dict()
    for name, weights in network.state_dict().items():
        assert torch.equal(weights, in_one_go[name]), name


@pytest.mark.parametrize("recipe", [QWEN, LLAMA], ids=lambda recipe: recipe.family)
def test_a_trained_folder_is_a_checkpoint_with_its_eos(recipe: PolicyRecipe, models: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(models / recipe.name)
    tokenizer = AutoTokenizer.from_pretrained(models / recipe.name)
    assert network.generation_config.eos_token_id == tokenizer.eos_token_id
    assert network.get_input_embeddings().weight.shape == (len(tokenizer), 32)


def test_padding_and_masking_do_not_change_the_loss(models: Path) -> None:
    """The loss of a padded batch is that of its solutions one by one, by the whole logits."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    network = AutoModelForCausalLM.from_pretrained(models / QWEN.name)
    tokenizer = AutoTokenizer.from_pretrained(models / QWEN.name)
    problems = [problem.problem for problem in generate(4, 0, 2, 6)]
    examples = policy_training._examples(problems, "micro-qwen", tokenizer)
    assert len({len(example.token_ids) for example in examples}) > 1
    total, n_tokens = 0.0, 0
    with torch.inference_mode():
        loss = policy_training.next_token_loss(network, examples, tokenizer.pad_token_id)
        for example in examples:
            ids = torch.tensor([example.token_ids])
            log_probabilities = network(input_ids=ids).logits[0].log_softmax(-1)
            for position in range(example.n_prompt, ids.shape[1]):
                total -= log_probabilities[position - 1, ids[0, position]].item()
                n_tokens += 1
    assert loss.item() == pytest.approx(total / n_tokens, rel=1e-4)


def test_examples_are_prompt_solution_and_eos(models: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models / LLAMA.name)
    problem = generate(1, 0, 2, 2)[0].problem
    (example,) = policy_training._examples([problem], "micro-llama", tokenizer)
    prompt = policy_training.prompt_text(tokenizer, "micro-llama", problem)
    solution = "\n\n".join(solution_steps(problem, "numbered"))
    assert tokenizer.decode(example.token_ids) == f"{prompt}{solution}<|eot_id|>"
    assert tokenizer.decode(example.token_ids[: example.n_prompt]) == prompt


PRM = PrmRecipe(
    name="prm",
    prm_format="qwen_math",
    base="base",
    rollout_policies=(QWEN.name,),
    n_problems=12,
    labels="exact",
    optimisation=SHORT,
    max_operations=4,
    seed=16,
)


@pytest.fixture
def slips_at_the_second_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampling that returns the reference solution, every other time with a wrong step 2; from a
    beginning on, it completes by the reference only if the beginning is right."""

    def sample(
        _folder: Path, _policy: str, starts: list[tuple[Problem, str]], _temperature: float
    ) -> list[str]:
        texts = []
        for index, (problem, beginning) in enumerate(starts):
            solution = STEP_DELIMITER.join(solution_steps(problem.problem, "plain"))
            if beginning:
                follows = solution.startswith(beginning)
                texts.append(solution.removeprefix(beginning) if follows else "1+1=3")
            elif index % 2:
                texts.append(solution)
            else:
                steps = solution_steps(problem.problem, "plain")
                texts.append(STEP_DELIMITER.join([steps[0], "1+1=3", *steps[2:]]))
        return texts

    monkeypatch.setattr(prm_training, "sample", sample)


def labels_of(recipe: PrmRecipe) -> list[tuple[int, ...]]:
    return [rollout.labels for rollout in prm_training.label_rollouts(recipe, Path())]


@pytest.mark.usefixtures("slips_at_the_second_step")
def test_exact_labels_are_good_up_to_the_slip() -> None:
    assert labels_of(PRM)[:4] == [(1, 0, 0), (1, 1, 1, 1), (1, 0, 0, 0, 0), (1, 1, 1)]


@pytest.mark.usefixtures("slips_at_the_second_step")
def test_noise_flips_its_share_of_the_exact_labels() -> None:
    recipe = replace(PRM, labels="noisy", n_problems=600, label_noise=0.2)
    exact = [label for labels in labels_of(replace(recipe, label_noise=0.0)) for label in labels]
    noisy = [label for labels in labels_of(recipe) for label in labels]
    flipped = sum(a != b for a, b in zip(exact, noisy, strict=True))
    # Five standard deviations of the binomial.
    assert abs(flipped / len(exact) - 0.2) < 5 * math.sqrt(0.16 / len(exact))


@pytest.mark.usefixtures("slips_at_the_second_step")
def test_monte_carlo_labels_are_whether_the_answer_is_still_reached() -> None:
    """A slip that does not reach the boxed answer spoils the steps after it, not the answer."""
    recipe = replace(PRM, labels="monte_carlo", n_completions=2)
    assert labels_of(recipe)[:2] == [(1, 0, 1), (1, 1, 1, 1)]


def test_sampling_continues_what_it_is_given(models: Path) -> None:
    """At a temperature near zero, one by one and in a batch of unequal prompts agree."""
    problems = generate(4, 0, 2, 5)
    starts = [(problem, "1+2=3\n\n" * (index % 2)) for index, problem in enumerate(problems)]
    alone = [
        prm_training.sample(models / QWEN.name, QWEN.name, [start], 1e-6, max_new_tokens=12)[0]
        for start in starts
    ]
    together = prm_training.sample(models / QWEN.name, QWEN.name, starts, 1e-6, max_new_tokens=12)
    assert together == alone
    assert all(together)


def test_a_prm_refuses_a_policy_of_another_family(models: Path) -> None:
    with pytest.raises(StudyError, match="starts from a micro-qwen policy"):
        base_policy("qwen_math", models / LLAMA.name)


def test_exact_labels_end_at_the_first_error() -> None:
    problem = generate(1, 0, 4, 4)[0]
    steps = solution_steps(problem.problem, "plain")
    assert prm_training.exact_labels(problem, steps) == (1, 1, 1, 1, 1)
    assert prm_training.exact_labels(problem, [*steps[:2], "1+1=2", *steps[3:]]) == (1, 1, 0, 0, 0)


def test_recipes_are_known_by_their_names() -> None:
    for name, recipe in POLICIES.items():
        assert recipe.name == name
