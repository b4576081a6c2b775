"""The checkpoints in data/models: safe files, small, and what their recipes say."""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from compute_optimal.micro.recipes import BASES, POLICIES, PRMS

MODELS = Path(__file__).parents[2] / "data" / "models"
RECIPES: dict[str, Any] = {**POLICIES, **BASES, **PRMS}
FILES = {"README.md", "config.json", "model.safetensors", "recipe.json", "tokenizer.json"} | {
    *("tokenizer_config.json", "chat_template.jinja", "generation_config.json"),
}
each = pytest.mark.parametrize("name", RECIPES)


def test_every_recipe_is_shipped_and_nothing_else() -> None:
    assert {path.name for path in MODELS.iterdir()} == set(RECIPES)


def test_all_that_ships_stays_small_together() -> None:
    files = (path for path in MODELS.parent.rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in files) < 64_000_000


@each
def test_little_but_weights_is_shipped(name: str) -> None:
    sizes = {path.name: path.stat().st_size for path in (MODELS / name).iterdir()}
    assert sum(sizes.values()) - sizes["model.safetensors"] < 50_000


@each
def test_only_safe_files_are_shipped(name: str) -> None:
    files = {path.name for path in (MODELS / name).iterdir()}
    assert files - FILES == set()
    assert {"config.json", "model.safetensors", "tokenizer.json", "recipe.json"} <= files
    assert "auto_map" not in (MODELS / name / "config.json").read_text()


@each
def test_weights_are_safetensors_of_the_stated_size(name: str) -> None:
    with (MODELS / name / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header.pop("__metadata__", None)
    assert {tensor["dtype"] for tensor in header.values()} == {"BF16"}
    n_bytes = max(tensor["data_offsets"][1] for tensor in header.values())
    recorded = json.loads((MODELS / name / "recipe.json").read_text())["measured"]["n_parameters"]
    assert n_bytes == 2 * recorded
    assert f"{recorded / 1e6:.1f}M" == name.rsplit("-", 1)[1]


@each
def test_the_recipe_that_made_it_is_the_recipe_in_the_code(name: str) -> None:
    recorded = json.loads((MODELS / name / "recipe.json").read_text())["recipe"]
    assert recorded == json.loads(json.dumps(asdict(RECIPES[name])))


@each
def test_the_shipped_tokenizer_is_the_one_the_code_builds(name: str) -> None:
    pytest.importorskip("transformers")
    from transformers import AutoTokenizer

    from compute_optimal.micro.base_training import BASE_FORMAT
    from compute_optimal.micro.process_reward_model import KINDS
    from compute_optimal.micro.tokenizer import build_tokenizer

    shipped = AutoTokenizer.from_pretrained(MODELS / name)
    if name in POLICIES:
        built = build_tokenizer(POLICIES[name].family)
    else:
        prm = PRMS.get(name)
        built = KINDS[prm.prm_format if prm else BASE_FORMAT].tokenizer()
    assert shipped.get_vocab() == built.get_vocab()
    assert shipped.chat_template == built.chat_template
