"""PRM formats against the official way of building the same input, and against hostile text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="transformers comes with the engine (make engine)")

from official_prm_inputs import official_input
from tiny_tokenizers import save_byte_tokenizer, save_piece_tokenizer

from compute_optimal.errors import StudyError
from compute_optimal.policies.prompts import load_tokenizer
from compute_optimal.prms import PRM_FORMATS, PrmInput, prm_format

QUESTION = "Start with 37. Add 48. What is the result?"
STEPS = ["Step 1: 37 + 48 = 85.", "We check.\n85 - 48 = 37", "So it is \\boxed{85}"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pieces, bytes_ = tmp_path_factory.mktemp("pieces"), tmp_path_factory.mktemp("bytes")
    save_piece_tokenizer(pieces)
    save_byte_tokenizer(bytes_)
    return {name: pieces if name == "math_shepherd" else bytes_ for name in PRM_FORMATS}


@pytest.fixture(scope="module")
def tokenizers(folders: dict[str, Path]) -> dict[str, Any]:
    return {name: load_tokenizer(folder) for name, folder in folders.items()}


def encode(tokenizers: dict[str, Any], name: str, question: str, steps: Sequence[str]) -> PrmInput:
    return prm_format(name).encode(tokenizers[name], question, steps)


@pytest.mark.parametrize("name", PRM_FORMATS)
@pytest.mark.parametrize("question", [QUESTION, "Was ist 🙂?"])
def test_ids_and_positions_are_the_official_ones(
    tokenizers: dict[str, Any], name: str, question: str
) -> None:
    expected = official_input(name, tokenizers[name], question, STEPS, mark="<extra_0>")
    assert len(expected.positions) == len(STEPS)
    encoded = encode(tokenizers, name, question, STEPS)
    assert encoded.positions == expected.positions
    assert encoded.token_ids == expected.token_ids[: encoded.positions[-1] + 1]


# --- what must hold for any text --------------------------------------------------------------

# A tokenizer of pieces reads "▁" as a space.
MARKS = [
    "▁",
    "<extra_0>",
    "ки",
    " ки\n",
    "<|im_end|>",
    "<|im_start|>",
    "</s>",
    "<s>",
    "<|bos|>",
    "+",
]
TEXTS = st.lists(
    st.sampled_from([*MARKS, "<", "extra_0>", "a", " ", "\n", "é", "🙂", "1"]), max_size=9
)
CONTENT = TEXTS.map("".join)
STEP_LISTS = st.lists(CONTENT.filter(lambda text: text.strip() != ""), min_size=1, max_size=4)


@pytest.mark.parametrize("name", PRM_FORMATS)
@given(question=CONTENT, steps=STEP_LISTS)
def test_hostile_text_neither_adds_positions_nor_structure(
    tokenizers: dict[str, Any], name: str, question: str, steps: list[str]
) -> None:
    tokenizer = tokenizers[name]
    encoded = encode(tokenizers, name, question, steps)
    assert len(encoded.positions) == len(steps)
    assert encoded.positions[-1] == len(encoded.token_ids) - 1
    assert sorted(set(encoded.positions)) == list(encoded.positions)
    harmless = encode(tokenizers, name, "a", ["a"] * len(steps))
    special = set(tokenizer.all_special_ids)
    assert [i for i in encoded.token_ids if i in special] == [
        i for i in harmless.token_ids if i in special
    ]
    assert [encoded.token_ids[i] for i in encoded.positions] == [
        harmless.token_ids[i] for i in harmless.positions
    ]
    text = tokenizer.decode(encoded.token_ids)
    for step in map(str.strip, steps):
        shown = {"skywork": step.replace("\n", " "), "math_shepherd": step.replace("▁", " ")}
        assert shown.get(name, step).rstrip(" ") in text


@pytest.mark.parametrize("name", PRM_FORMATS)
@given(steps=STEP_LISTS)
def test_the_input_of_the_first_steps_is_a_prefix(
    tokenizers: dict[str, Any], name: str, steps: list[str]
) -> None:
    whole = encode(tokenizers, name, QUESTION, steps)
    for count in range(1, len(steps)):
        part = encode(tokenizers, name, QUESTION, steps[:count])
        assert part.positions == whole.positions[:count]
        assert part.token_ids == whole.token_ids[: len(part.token_ids)]


def test_the_tag_of_qwen_stays_text_even_if_the_tokenizer_calls_it_ordinary(
    tmp_path: Path,
) -> None:
    save_byte_tokenizer(tmp_path)
    state = json.loads((tmp_path / "tokenizer.json").read_text())
    (tag,) = [token for token in state["added_tokens"] if token["content"] == "<extra_0>"]
    tag["special"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    tokenizer: Any = load_tokenizer(tmp_path)
    tag_id = tag["id"]
    spelt = tokenizer("a<extra_0>b", add_special_tokens=False, split_special_tokens=True)
    assert tag_id in spelt["input_ids"]
    encoded = prm_format("qwen_math").encode(tokenizer, "q<extra_0>", ["a<extra_0>b<extra_0>", "c"])
    assert encoded.token_ids.count(tag_id) == len(encoded.positions) == 2
    assert "q<extra_0>" in tokenizer.decode(encoded.token_ids)


def test_spaces_that_end_a_step_of_math_shepherd_leave_its_tag_alone(
    tokenizers: dict[str, Any],
) -> None:
    plain = encode(tokenizers, "math_shepherd", QUESTION, STEPS)
    for marks in ("▁", "▁▁", "▁▁▁", " ▁", "▁ ▁"):
        steps = [step + marks for step in STEPS]
        assert encode(tokenizers, "math_shepherd", QUESTION, steps) == plain
    assert len(encode(tokenizers, "math_shepherd", QUESTION, ["▁", "a", "▁"]).positions) == 3


def test_earlier_turns_of_rlhflow_answer_plus(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["rlhflow"]
    encoded = encode(tokenizers, "rlhflow", QUESTION, STEPS)
    good, bad = prm_format("rlhflow").sign_ids(tokenizer) or (0, 0)
    assert (tokenizer.decode([good]), tokenizer.decode([bad])) == ("+", "-")
    assert [encoded.token_ids[i + 1] for i in encoded.positions[:-1]] == [good, good]


@pytest.mark.parametrize("name", PRM_FORMATS)
def test_blank_steps_are_refused(tokenizers: dict[str, Any], name: str) -> None:
    with pytest.raises(StudyError, match="no steps"):
        encode(tokenizers, name, QUESTION, [])
    with pytest.raises(StudyError, match="Step 2 of 3 is blank"):
        encode(tokenizers, name, QUESTION, ["a", " \n", "b"])


def test_a_tokenizer_without_the_formats_tokens_is_named(folders: dict[str, Path]) -> None:
    pieces = load_tokenizer(folders["math_shepherd"])
    bytes_ = load_tokenizer(folders["skywork"])
    no_bos: Any = load_tokenizer(folders["skywork"])
    no_bos.bos_token = None
    for name, tokenizer, message in (
        ("qwen_math", pieces, "'<extra_0>'"),
        ("math_shepherd", bytes_, "'ки'"),
        ("skywork", pieces, r"'\\n'"),
        ("skywork", no_bos, "begin-of-sequence"),
    ):
        with pytest.raises(StudyError, match=message) as caught:
            prm_format(name).encode(tokenizer, QUESTION, STEPS)
        assert tokenizer.name_or_path in str(caught.value)


def test_formats_are_found_by_name() -> None:
    assert [prm_format(name).name for name in PRM_FORMATS] == list(PRM_FORMATS)
    assert all(prm_format(name).version >= 1 for name in PRM_FORMATS)
    with pytest.raises(StudyError, match="'telepathy'"):
        prm_format("telepathy")
