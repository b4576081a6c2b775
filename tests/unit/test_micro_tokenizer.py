from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_optimal.micro.recipes import PROMPTING
from compute_optimal.micro.tokenizer import FAMILIES, build_tokenizer
from compute_optimal.tasks.arithmetic_chains import generate, solution_steps

pytest.importorskip("transformers")

TOKENIZERS: dict[str, Any] = {family: build_tokenizer(family) for family in FAMILIES}
both = pytest.mark.parametrize("family", FAMILIES)
HOSTILE = [
    "a\n\n\nb \r\n\r\n  \t",
    "é😀\x00\u202eabc\u200f",
    "x<|im_end|><|eot_id|><extra_0>y",
    "{" * 500 + r"\boxed{\boxed{",
    "٣ + ५",
]


def pieces(family: str, text: str) -> list[str]:
    tokenizer = TOKENIZERS[family]
    return [tokenizer.decode([i]) for i in tokenizer.encode(text, add_special_tokens=False)]


def assert_round_trip(family: str, text: str) -> None:
    tokenizer = TOKENIZERS[family]
    decoded = tokenizer.decode(tokenizer.encode(text, add_special_tokens=False))
    # Qwen2 tokenizers normalise their input; what comes out is exact for normalised text.
    assert decoded == (unicodedata.normalize("NFC", text) if family == "micro-qwen" else text)


@both
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_round_trips(family: str, text: str) -> None:
    assert_round_trip(family, text)


@both
@given(text=st.text())
def test_any_text_round_trips(family: str, text: str) -> None:
    assert_round_trip(family, text)


@both
@given(number=st.integers(0, 10**12))
def test_every_digit_is_one_token(family: str, number: int) -> None:
    assert pieces(family, str(number)) == list(str(number))


@both
@pytest.mark.parametrize("before", ["5", "}.", "}$.", "word"])
@pytest.mark.parametrize("after", ["7", "##", "The", r"\boxed"])
def test_the_step_delimiter_is_one_token_wherever_it_stands(
    family: str, before: str, after: str
) -> None:
    separate = [*pieces(family, before), "\n\n", *pieces(family, after)]
    assert pieces(family, f"{before}\n\n{after}") == separate


@both
def test_solutions_take_a_token_a_word(family: str) -> None:
    problem = generate(1, 0, 3, 3)[0].problem
    steps = solution_steps(problem, PROMPTING[family].style)
    single_letters = [p for step in steps for p in pieces(family, step) if len(p) == 1]
    assert not [piece for piece in single_letters if piece.isalpha()]
    assert pieces(family, r"The final answer is \boxed{12}.") == [
        *("The", " final", " answer", " is", " \\", "boxed", "{", "1", "2", "}."),
    ]


def test_llama_template_has_the_structure_of_llama_3() -> None:
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": " U\n"},
        {"role": "assistant", "content": "A"},
    ]
    tokenizer = TOKENIZERS["micro-llama"]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>"
    )
    prompt = tokenizer.apply_chat_template(messages[1:2], add_generation_prompt=True)["input_ids"]
    tail = [
        *("<|start_header_id|>", "assistant", "<|end_header_id|>", "\n\n"),
    ]
    assert tokenizer.convert_ids_to_tokens(prompt)[-4:-1] == tail[:3]
    assert tokenizer.decode(prompt[-1:]) == tail[3]
    assert prompt.count(tokenizer.bos_token_id) == 1


def test_plain_text_gets_a_bos_from_llama_only() -> None:
    """As with the real models: the trap of the doubled BOS exists at this scale, too."""
    assert TOKENIZERS["micro-llama"].encode("1")[0] == TOKENIZERS["micro-llama"].bos_token_id
    assert TOKENIZERS["micro-qwen"].bos_token_id is None
    assert len(TOKENIZERS["micro-qwen"].encode("1")) == 1


def test_qwen_template_is_chatml_without_a_default_system_turn() -> None:
    messages = [{"role": "user", "content": "U"}]
    tokenizer = TOKENIZERS["micro-qwen"]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"


def test_special_tokens_come_after_the_ids_of_the_family() -> None:
    base, extended = (
        TOKENIZERS["micro-qwen"],
        build_tokenizer("micro-qwen", special_tokens=["<extra_0>"]),
    )
    assert extended.convert_tokens_to_ids("<extra_0>") == len(base)
    assert {**base.get_vocab(), "<extra_0>": len(base)} == extended.get_vocab()


@both
def test_a_saved_tokenizer_is_read_back_the_same_beside_a_model(
    family: str, tmp_path: Path
) -> None:
    """transformers may pick another class by the model's type; the ids must not change."""
    from transformers import AutoTokenizer, LlamaConfig, Qwen2Config

    config = LlamaConfig() if family == "micro-llama" else Qwen2Config()
    config.save_pretrained(tmp_path)
    built = TOKENIZERS[family]
    built.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    texts = [*HOSTILE, *(problem.problem for problem in generate(9, 0))]
    assert loaded(texts)["input_ids"] == built(texts)["input_ids"]
    assert loaded.chat_template == built.chat_template
    special = (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id)
    assert special == (built.bos_token_id, built.eos_token_id, built.pad_token_id)
    assert loaded.get_vocab() == built.get_vocab()
