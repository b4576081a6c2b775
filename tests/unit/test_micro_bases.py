"""Bases and the PRMs that are taught from them: training, stops, labels, errors."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compute_optimal.errors import StudyError
from compute_optimal.micro import base_training, prm_training
from compute_optimal.micro.policy_training import train_policy
from compute_optimal.micro.process_reward_model import ProcessRewardModel
from compute_optimal.micro.recipe_kinds import (
    Architecture,
    BaseRecipe,
    Optimisation,
    PolicyRecipe,
    PrmRecipe,
)
from compute_optimal.micro.recipes import BASES, POLICIES, PRMS, base_of
from compute_optimal.prms import PRM_FORMATS, PrmInput, prm_format
from compute_optimal.study.spec import seed_for
from compute_optimal.tasks.arithmetic_chains import STYLES, generate, solution_steps

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

SHORT = Optimisation(steps=12, batch_size=4, warmup_steps=2, learning_rate=5e-3)
POLICY = PolicyRecipe(
    *("micro-llama-0.1M", "micro-llama", Architecture(64, 32, 1), replace(SHORT, steps=20), 2, 3),
    seed=0,
)
BASE = BaseRecipe(
    name="base", start=POLICY.name, run=SHORT, stops=(3, 8), more=(SHORT,), max_operations=4, seed=1
)
PRM = PrmRecipe(
    name="prm",
    prm_format="skywork",
    base=BASE.name,
    rollout_policies=(POLICY.name,),
    n_problems=16,
    labels="exact",
    optimisation=replace(SHORT, steps=3),
    max_operations=4,
    seed=2,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    train_policy(POLICY, folder / POLICY.name)
    base_training.train_base(BASE, folder, folder / BASE.name)
    return folder


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_a_stop_is_the_training_cut_short_and_more_goes_on_from_the_last(
    models: Path, tmp_path: Path
) -> None:
    """What a recipe without the later parts leaves is what the stop holds."""
    folder = models / BASE.name
    for stops in ((3,), (3, 8)):
        cut = replace(BASE, stops=stops, more=())
        base_training.train_base(cut, models, tmp_path)
        at_stop = weights(base_training.stop_folder(folder, stops[-1]))
        for name, values in weights(tmp_path).items():
            assert torch.equal(values, at_stop[name]), name
    assert any(not torch.equal(values, at_stop[name]) for name, values in weights(folder).items())
    measured = json.loads((folder / "recipe.json").read_text())["measured"]
    assert set(measured["core_minutes"]) == {"3", "8", "all"}


@pytest.mark.parametrize("name", PRM_FORMATS)
@pytest.mark.parametrize("style", STYLES)
def test_a_format_s_own_base_says_of_its_ids_what_the_base_says_of_its_own(
    models: Path, name: str, style: Any
) -> None:
    base = base_training.load_base(BASE, models, None)
    problem = generate(1, 0, 3, 3, split="training")[0].problem
    example = base_training.reference(name, problem, style)
    network, tokenizer = base_training.as_format(name, base)
    encoded = prm_format(name).encode(tokenizer, problem, solution_steps(problem, style))
    assert tokenizer.decode(encoded.token_ids[: example.n_prompt]).endswith("result?")
    with torch.inference_mode():
        ours = base(torch.tensor([example.token_ids])).logits[0]
        theirs = network(torch.tensor([encoded.token_ids])).logits[0]
    expected = ours[:-1].gather(1, torch.tensor(example.token_ids[1:])[:, None])
    gathered = theirs[:-1].gather(1, torch.tensor(encoded.token_ids[1:])[:, None])
    assert torch.equal(expected, gathered)
    assert network.config.vocab_size == len(tokenizer)
    assert base.config.vocab_size == 421, "the base itself is left alone"


def test_a_base_reads_all_frames_and_both_styles() -> None:
    batches = base_training.reference_batches(BASE, 8, 0)
    examples = [example for _, batch in zip(range(16), batches, strict=False) for example in batch]
    problems = generate(400, seed_for("base-training", BASE.seed, 0, 0), 2, 4, split="training")
    known = {
        base_training.reference(name, problem.problem, style).token_ids: (name, style)
        for problem in problems[: len(examples)]
        for name in PRM_FORMATS
        for style in STYLES
    }
    counts = Counter(known[example.token_ids] for example in examples)
    assert len(counts) == len(PRM_FORMATS) * len(STYLES)
    assert min(counts.values()) > 4


@pytest.mark.parametrize("name", PRM_FORMATS)
def test_a_prm_of_each_format_is_taught_and_read_back(
    name: Any, models: Path, tmp_path: Path
) -> None:
    recipe = replace(PRM, prm_format=name)
    written = prm_training.train_prm(recipe, BASE, models, tmp_path)["measured"]
    assert written["n_rollouts"] == 16
    prm = ProcessRewardModel.load(name, tmp_path)
    problem = generate(1, 0, 3, 3)[0].problem
    encoded = prm_format(name).encode(prm.tokenizer, problem, solution_steps(problem, "plain"))
    margins = prm.score(encoded)
    assert len(margins) == 4
    # Causal: a prefix has the scores of the whole.
    prefix = PrmInput(encoded.token_ids[: encoded.positions[1] + 1], encoded.positions[:2])
    assert prm.score(prefix) == pytest.approx(margins[:2], abs=1e-4)


def test_training_is_reproducible_and_starts_from_the_named_stop(
    models: Path, tmp_path: Path
) -> None:
    for place, stop in (("one", 3), ("again", 3), ("other", 8)):
        recipe = replace(PRM, stop=stop)
        prm_training.train_prm(recipe, BASE, models, tmp_path / place)
    one, again, other = (weights(tmp_path / place) for place in ("one", "again", "other"))
    assert all(torch.equal(values, again[name]) for name, values in one.items())
    row = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(one[row], other[row])


def test_a_grown_prm_learns_from_labels(models: Path) -> None:
    """Its verdicts move towards the labels, though nothing of the base is touched."""
    prm = prm_training.grow_prm("skywork", base_training.load_base(BASE, models, None))
    problems = generate(48, 5, 2, 4, split="training")
    rollouts = []
    for index, problem in enumerate(problems):
        steps = solution_steps(problem.problem, "plain")
        if index % 2:
            steps[1] = "1+1=3"
        rollouts.append(
            prm_training.LabelledRollout(
                problem, tuple(steps), prm_training.exact_labels(problem, steps)
            )
        )
    recipe = replace(PRM, optimisation=Optimisation(40, 8, learning_rate=3e-3, warmup_steps=5))
    batches = list(
        prm_training._batches(
            replace(recipe, optimisation=replace(recipe.optimisation, steps=6)), prm, rollouts
        )
    )
    with torch.inference_mode():
        before = sum(float(prm_training.step_loss(prm, batch)) for batch in batches)
    prm_training.optimise(
        prm.network,
        recipe.optimisation,
        (prm_training.step_loss(prm, batches[step % 6]) for step in range(40)),
    )
    with torch.inference_mode():
        after = sum(float(prm_training.step_loss(prm, batch)) for batch in batches)
    assert after < 0.7 * before


def test_no_solution_is_seen_twice(models: Path) -> None:
    prm = prm_training.grow_prm("skywork", base_training.load_base(BASE, models, None))
    rollouts = [
        prm_training.LabelledRollout(problem, ("1+1=2",), (0,))
        for problem in generate(20, 5, 2, 4, split="training")
    ]
    batches = list(prm_training._batches(PRM, prm, rollouts))
    seen = [encoded.token_ids for batch in batches for encoded, _ in batch]
    assert len(seen) == len(set(seen)) == 20
    with pytest.raises(StudyError, match="more than the 8 that were sampled") as error:
        next(prm_training._batches(PRM, prm, rollouts[:8]))
    assert "n_problems" in str(error.value.cure)


def test_a_base_that_is_not_there_is_an_error_that_says_what_to_do(models: Path) -> None:
    with pytest.raises(StudyError, match="no base called 'micro-basis'") as error:
        base_of(replace(PRM, base="micro-basis"))
    assert all(name in str(error.value.cure) for name in BASES)
    with pytest.raises(StudyError, match="no stop after 4 steps") as error:
        base_training.load_base(BASE, models, 4)
    assert "stops" in str(error.value.cure)
    with pytest.raises(StudyError, match="is not there as of 3 steps"):
        base_training.load_base(replace(BASE, name="other"), models, 3)


@pytest.mark.parametrize("stops", [(8, 3), (0,), (12,), (13,), (3, 3)])
def test_stops_that_the_run_does_not_have_are_an_error(stops: tuple[int, ...]) -> None:
    with pytest.raises(StudyError, match="must rise"):
        replace(BASE, stops=stops)


def test_a_base_is_installed_without_its_stops(models: Path, tmp_path: Path) -> None:
    name = next(iter(BASES))
    shutil.copytree(models / BASE.name, tmp_path / "trained" / name)
    (tmp_path / "models" / name).mkdir(parents=True)
    (tmp_path / "models" / name / "old.json").touch()
    assert base_training.install_bases(tmp_path / "trained", tmp_path / "models") == [
        f"{name}: installed"
    ]
    installed = {path.name for path in (tmp_path / "models" / name).iterdir()}
    assert installed == {path.name for path in (models / BASE.name).iterdir()} - {"stops"}
    assert base_training.install_bases(tmp_path / "nothing", tmp_path / "models") == []


def test_recipes_are_known_by_their_names_and_refer_to_each_other() -> None:
    for name, recipe in {**BASES, **PRMS}.items():
        assert recipe.name == name
    for base in BASES.values():
        assert base.start in POLICIES
    for prm in PRMS.values():
        assert set(prm.rollout_policies) <= set(POLICIES)
        assert prm.stop is None or prm.stop in base_of(prm).stops
