"""A PRM grown from a base judges by the largest surprise of its base before it has seen a label."""

from __future__ import annotations

import copy
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from compute_optimal.micro import surprise
from compute_optimal.micro.base_training import as_format, load_base
from compute_optimal.micro.policy_training import single_thread
from compute_optimal.micro.prm_training import exact_labels, grow_prm, sample
from compute_optimal.micro.process_reward_model import ProcessRewardModel, base_policy
from compute_optimal.micro.recipes import BASES
from compute_optimal.policies.prompts import single_id
from compute_optimal.policies.steps import split_steps
from compute_optimal.prms import PRM_FORMATS, PrmInput, prm_format
from compute_optimal.tasks.arithmetic_chains import STYLES, generate, solution_steps

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

MODELS = Path(__file__).parents[2] / "data" / "models"
SURPRISE_LANE = -2
each_format = pytest.mark.parametrize("name", PRM_FORMATS)


@cache
def small_base(loudness: float = 1.0) -> Any:
    """A policy of the scale model as a base; ``loudness`` multiplies its stream, and nothing that
    it says: what every layer adds to the stream is made louder, and the norms take it back."""
    network, _ = base_policy("math_shepherd", MODELS / "micro-llama-0.1M")
    network = copy.deepcopy(network)
    with torch.no_grad():
        network.get_input_embeddings().weight.mul_(loudness)
        network.model.norm.weight.div_(loudness)
        for layer in network.model.layers:
            layer.self_attn.o_proj.weight.mul_(loudness)
            layer.mlp.down_proj.weight.mul_(loudness)
    return network.eval()


@cache
def grown(name: str, loudness: float = 1.0) -> ProcessRewardModel:
    return grow_prm(name, small_base(loudness))


def solutions(name: str, n: int = 12) -> list[PrmInput]:
    """Of both styles, every other one with a slip, a digit too many or too few, or an early end."""
    draw, tokenizer, inputs = random.Random(7), grown(name).tokenizer, []
    for index, problem in enumerate(generate(n, 3, 2, 8, split="training")):
        steps = solution_steps(problem.problem, STYLES[index % 2])
        at = draw.randrange(len(steps) - 1)
        if index // 2 % 4 == 1:
            steps[at] = re.sub(r"\d$", lambda digit: str((int(digit[0]) + 3) % 10), steps[at])
        elif index // 2 % 4 == 2:
            steps[at] = steps[at] + "1"
        elif index // 2 % 4 == 3:
            del steps[at:-1]
        inputs.append(prm_format(name).encode(tokenizer, problem.problem, steps))
    return inputs


def surprises(name: str, base: Any, encoded: PrmInput) -> Any:
    """Per token, the sum over symbols mistaken for it of how much more they were expected."""
    network, tokenizer = as_format(name, base)
    symbols = surprise.symbol_ids(name, tokenizer)
    ids = encoded.token_ids
    with torch.inference_mode():
        logits = network(torch.tensor([ids])).logits[0][:, symbols]
    end = ids.index(single_id(tokenizer, "?"))
    surprise_at = torch.zeros(len(ids))
    for position in range(end + 1, len(ids)):
        if ids[position] in symbols:
            said = symbols.index(ids[position])
            before = logits[position - 1]
            surprise_at[position] = sum(
                max(0.0, float(before[other] - before[said]))
                for one, other in surprise.MISTAKABLE
                if one == said
            )
    return surprise_at


def lane(prm: ProcessRewardModel, encoded: PrmInput, layer: int, index: int) -> Any:
    """A lane (tokens) after a layer, in the units of the norm that reads it next."""
    body, hidden = prm.network["model"], []
    hook = body.layers[layer].register_forward_hook(
        lambda _layer, _inputs, output: hidden.append(
            output if isinstance(output, torch.Tensor) else output[0]
        )
    )
    with torch.inference_mode():
        body(torch.tensor([encoded.token_ids]), use_cache=False)
    hook.remove()
    return hidden[0].reshape(len(encoded.token_ids), -1)[:, index]


@each_format
def test_surprise_follows_from_what_the_base_expects(name: str) -> None:
    """In logits, at every token after the question, whatever the token."""
    n_layers = small_base().config.num_hidden_layers
    for encoded in solutions(name):
        expected = surprises(name, small_base(), encoded)
        measured = lane(grown(name), encoded, n_layers, SURPRISE_LANE) / (
            surprise._LOGIT_SCALE * surprise._FAINT
        )
        # SiLU is not quite a rectifier: a close call counts as a little less than nothing.
        assert torch.allclose(measured, expected, rtol=0.05, atol=0.5)


@each_format
def test_a_verdict_is_what_the_largest_surprise_so_far_leaves_of_the_opening(name: str) -> None:
    prm = grown(name)
    for encoded in solutions(name):
        expected = surprises(name, small_base(), encoded)
        for position, margin in zip(encoded.positions, prm.score(encoded), strict=True):
            largest = float(expected[: position + 1].max())
            if largest < 0.1 or largest > 4:
                assert margin == pytest.approx(surprise.OPENING - largest, rel=0.1, abs=0.7)


@each_format
def test_nothing_that_labels_teach_is_drowned(name: str) -> None:
    """What the last layer and the head read is of one size, so that no step on labels shouts."""
    body, largest = grown(name).network["model"], []
    last = body.layers[-1]
    hooks = [
        norm.register_forward_hook(
            lambda _norm, _inputs, output: largest.append(output.abs().max())
        )
        for norm in (last.input_layernorm, last.post_attention_layernorm)
    ]
    with torch.inference_mode():
        for encoded in solutions(name):
            body(torch.tensor([encoded.token_ids]), use_cache=False)
    for hook in hooks:
        hook.remove()
    assert 0.5 < max(largest) < 50


@each_format
def test_a_louder_base_that_says_the_same_makes_the_same_prm(name: str) -> None:
    for encoded in solutions(name, 6):
        assert grown(name, 16.0).score(encoded) == pytest.approx(
            grown(name).score(encoded), rel=0.05, abs=0.05
        )


@each_format
def test_16_bits_keep_what_is_set(name: str, tmp_path: Path) -> None:
    prm = grown(name)
    prm.save(tmp_path)
    read = ProcessRewardModel.load(name, tmp_path)
    assert next(read.network.parameters()).dtype == torch.float32
    for encoded in solutions(name):
        before, after = prm.score(encoded), read.score(encoded)
        assert [margin > 0 for margin in before] == [margin > 0 for margin in after]


@each_format
def test_labels_reach_the_last_layer_the_norm_and_the_head_alone(name: str) -> None:
    prm = grown(name)
    body = prm.network["model"]
    last = f"layers.{len(body.layers) - 1}."
    learned = {key for key, weights in body.named_parameters() if weights.requires_grad}
    assert learned == {key for key, _ in body.named_parameters() if key.startswith(last)} | {
        "norm.weight"
    }
    prm.margins(torch.tensor([solutions(name)[0].token_ids])).sum().backward()
    assert body.layers[-1].mlp.down_proj.weight.grad.any(), "what is silent can learn to speak"
    prm.network.zero_grad()


@cache
def judged_solutions() -> list[tuple[str, list[str], tuple[int, ...]]]:
    """Problem, steps and exact labels of solutions that policies sampled of training problems."""
    judged = []
    for policy in ("micro-qwen-0.1M", "micro-llama-0.1M"):
        problems = generate(90, 11, 2, 9, split="training")
        with single_thread(5):
            texts = sample(MODELS / policy, policy, [(problem, "") for problem in problems], 1.0)
        for problem, text in zip(problems, texts, strict=True):
            if steps := split_steps(text):
                judged.append((problem.problem, steps, exact_labels(problem, steps)))
    return judged


def f1(verdicts: list[list[float]], labels: list[tuple[int, ...]], opening: float) -> float:
    """ProcessBench's, in %, if a step is flagged whose surprise is over ``opening``."""
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for surprises_of_steps, good in zip(verdicts, labels, strict=True):
        flagged = [value > opening for value in surprises_of_steps]
        first = flagged.index(True) if any(flagged) else None
        hits[0 in good].append(first == (good.index(0) if 0 in good else None))
    wrong, right = (sum(judged) / len(judged) for judged in hits.values())
    return 100 * 2 * wrong * right / (wrong + right)


@each_format
def test_before_any_label_a_prm_is_as_able_as_its_base_s_likelihood(name: str) -> None:
    """Within 2 points, each at the best of six thresholds, judging by the largest deficit of a
    token against the likeliest one in the same frame."""
    recipe = BASES["micro-base-0.4M"]
    base = load_base(recipe, MODELS, None)
    network, tokenizer = as_format(name, base)
    prm = grow_prm(name, base)
    deficits, margins, labels = [], [], []
    for problem, steps, good in judged_solutions():
        encoded = prm_format(name).encode(tokenizer, problem, steps)
        ids = torch.tensor(encoded.token_ids)
        with torch.inference_mode():
            logits = network(ids[None]).logits[0]
        deficit = logits[:-1].amax(1) - logits[:-1].gather(1, ids[1:, None])[:, 0]
        starts = [encoded.token_ids.index(single_id(tokenizer, "?")), *encoded.positions]
        deficits.append(
            [
                float(deficit[start:end].max())
                for start, end in zip(starts, encoded.positions, strict=False)
            ]
        )
        margins.append([surprise.OPENING - margin for margin in prm.score(encoded)])
        labels.append(good)
    openings = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0)
    likelihood = max(f1(deficits, labels, opening) for opening in openings)
    grown_alone = max(f1(margins, labels, opening) for opening in openings)
    assert likelihood > 80
    assert grown_alone > likelihood - 2
