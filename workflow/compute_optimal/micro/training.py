"""The command ``train-micro-model``: any model of the scale model, by the kind of its recipe."""

from __future__ import annotations

from pathlib import Path

from compute_optimal.micro.base_training import train_base
from compute_optimal.micro.policy_training import train_policy
from compute_optimal.micro.prm_training import train_prm
from compute_optimal.micro.recipe_kinds import BaseRecipe, PolicyRecipe, PrmRecipe
from compute_optimal.micro.recipes import base_of
from compute_optimal.study.requests import TrainingRequest


def train_model(request: TrainingRequest, output: Path) -> None:
    """Train the model of a recipe and save it in ``output``, beside the models that it needs.

    Raises ``StudyError`` where a PRM's base or its stop is missing or a base's policy is of another
    family, and ``OSError`` where a policy is missing.
    """
    models = output.parent
    match request.root:
        case PolicyRecipe() as recipe:
            train_policy(recipe, output)
        case BaseRecipe() as recipe:
            train_base(recipe, models, output)
        case PrmRecipe() as recipe:
            train_prm(recipe, base_of(recipe), models, output)
