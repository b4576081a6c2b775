from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from compute_optimal.errors import StudyError
from compute_optimal.micro import policy_training, prm_training
from compute_optimal.micro.process_reward_model import ProcessRewardModel
from compute_optimal.micro.recipes import (
    POLICIES,
    PRMS,
    Architecture,
    Optimisation,
    PolicyRecipe,
)
from compute_optimal.prms import PrmInput, prm_format
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
        batch_loss = policy_training._loss(network, examples, tokenizer.pad_token_id).item()
        for example in examples:
            ids = torch.tensor([example.token_ids])
            log_probabilities = network(input_ids=ids).logits[0].log_softmax(-1)
            for position in range(example.n_prompt, ids.shape[1]):
                total -= log_probabilities[position - 1, ids[0, position]].item()
                n_tokens += 1
    assert batch_loss == pytest.approx(total / n_tokens, rel=1e-4)


def test_examples_are_prompt_solution_and_eos(models: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models / LLAMA.name)
    problem = generate(1, 0, 2, 2)[0].problem
    (example,) = policy_training._examples([problem], "micro-llama", tokenizer)
    prompt = policy_training.prompt_text(tokenizer, "micro-llama", problem)
    solution = "\n\n".join(solution_steps(problem, "numbered"))
    assert tokenizer.decode(example.token_ids) == f"{prompt}{solution}<|eot_id|>"
    assert tokenizer.decode(example.token_ids[: example.n_prompt]) == prompt


PRM = replace(
    PRMS["micro-qwen-math-prm-0.4M"],
    base=QWEN.name,
    rollout_policies=(QWEN.name,),
    n_problems=8,
    n_samples=2,
    max_operations=3,
    optimisation=replace(SHORT, steps=20),
)


@pytest.mark.parametrize("labels", ["exact", "noisy", "monte_carlo"])
def test_a_prm_is_trained_and_read_back(labels: str, models: Path, tmp_path: Path) -> None:
    recipe = replace(PRM, labels=labels, label_noise=0.2 * (labels == "noisy"), n_completions=2)
    written = prm_training.train_prm(recipe, models, tmp_path)
    assert written["measured"]["loss"][-1][1] < written["measured"]["loss"][0][1]
    prm = ProcessRewardModel.load("qwen_math", tmp_path)
    problem = generate(1, 0, 3, 3)[0].problem
    steps = solution_steps(problem, "plain")
    encoded = prm_format("qwen_math").encode(prm.tokenizer, problem, steps)
    margins = prm.score(encoded)
    assert len(margins) == len(steps)
    # Causal: a prefix has the scores of the whole.
    cut = encoded.positions[1] + 1
    prefix = PrmInput(encoded.token_ids[:cut], encoded.positions[:2])
    assert prm.score(prefix) == pytest.approx(margins[:2], abs=1e-4)


def test_a_prm_starts_from_the_body_of_its_policy(models: Path) -> None:
    from transformers import AutoModelForCausalLM

    policy = AutoModelForCausalLM.from_pretrained(models / QWEN.name).state_dict()
    grown = ProcessRewardModel.grow("qwen_math", models / QWEN.name).network.state_dict()
    for name, weights in policy.items():
        if name != "lm_head.weight":
            assert torch.equal(grown[name][: len(weights)], weights), name
    assert {name for name in grown if name.startswith("score.")} == {
        *("score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias"),
    }


def test_a_prm_refuses_a_policy_of_another_family(models: Path) -> None:
    with pytest.raises(StudyError, match="grows from a micro-qwen policy"):
        ProcessRewardModel.grow("qwen_math", models / LLAMA.name)


def test_exact_labels_end_at_the_first_error() -> None:
    problem = generate(1, 0, 4, 4)[0]
    steps = solution_steps(problem.problem, "plain")
    assert prm_training.exact_labels(problem, steps) == (1, 1, 1, 1, 1)
    assert prm_training.exact_labels(problem, [*steps[:2], "1+1=2", *steps[3:]]) == (1, 1, 0, 0, 0)


def test_noise_flips_about_its_share_of_labels(models: Path) -> None:
    exact = prm_training.label_rollouts(replace(PRM, n_problems=16, n_samples=4), models)
    noisy = prm_training.label_rollouts(
        replace(PRM, n_problems=16, n_samples=4, labels="noisy", label_noise=1.0), models
    )
    flipped = [tuple(1 - label for label in rollout.labels) for rollout in noisy]
    if [r.steps for r in exact] == [r.steps for r in noisy]:
        assert flipped == [rollout.labels for rollout in exact]


def test_recipes_are_known_by_their_names_and_refer_to_each_other() -> None:
    for name, recipe in {**POLICIES, **PRMS}.items():
        assert recipe.name == name
    for recipe in PRMS.values():
        assert {recipe.base, *recipe.rollout_policies} <= set(POLICIES)
