"""Cards of what ships say what recipes, registry and manifest say now."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import yaml
from default_study import ROOT, STUDY

from compute_optimal.ship.cards import cards
from compute_optimal.store.schemas import COUNTS
from compute_optimal.study.config import load_lock, load_registry
from compute_optimal.study.models import folder_sha256, is_model_file

FOUND = cards(
    ROOT / "data",
    load_registry(ROOT / "config/registry"),
    load_lock(ROOT / "config/models.lock.json"),
)


def test_the_shipped_cards_are_up_to_date() -> None:
    stale = [path for path, content in FOUND.items() if path.read_text("utf-8") != content]
    assert not stale, "python -m compute_optimal cards"


def test_every_model_and_the_store_has_a_card_with_a_header_that_the_hub_reads() -> None:
    shipped = {path.parent for path in (ROOT / "data/models").glob("*/model.safetensors")}
    assert {path.parent for path in FOUND} == shipped | {ROOT / "data/store"}
    for path, content in FOUND.items():
        header = yaml.safe_load(content.split("---\n")[1])
        assert header["license"] == "mit"
        if path.parent in shipped:
            assert header["library_name"] == "transformers"
            kind = header["pipeline_tag"]
            assert kind == (
                "token-classification" if path.parent.name in STUDY_PRMS else "text-generation"
            )
        else:
            assert {one["config_name"] for one in header["configs"]} >= {"samples", "step_scores"}


STUDY_PRMS = load_registry(ROOT / "config/registry").prms.keys()


def test_a_card_is_no_part_of_its_model() -> None:
    assert not is_model_file("README.md")
    name = STUDY.policies[0]
    pinned = json.loads((ROOT / "config/models.lock.json").read_bytes())[name]["sha256"]
    assert folder_sha256(ROOT / "data/models" / name) == pinned
    assert pinned in FOUND[ROOT / "data/models" / name / "README.md"]


def test_what_the_store_card_names_is_there() -> None:
    content = FOUND[ROOT / "data/store/README.md"]
    header = yaml.safe_load(content.split("---\n")[1])
    for one in header["configs"]:
        assert list(Path(ROOT / "data/store").glob(one["data_files"])), one


def test_the_store_card_names_where_every_column_is_described() -> None:
    content = FOUND[ROOT / "data/store/README.md"]
    header = yaml.safe_load(content.split("---\n")[1])
    named = re.findall(r"`(workflow/[\w/]+\.py)`", content)
    described = {word for file in named for word in re.findall(r"\w+", (ROOT / file).read_text())}
    # As a part holds them (``store.packing``), and counted together: said on the card, or by name.
    described |= {"ends", "n"}
    for one in header["configs"]:
        part = next(Path(ROOT / "data/store").glob(one["data_files"]))
        assert set(pl.read_parquet_schema(part)) <= described | {*COUNTS}, one
