"""Prompts and PRM inputs with the tokenizers of Qwen2.5, Llama 3.2 and Mistral 7B, to the id.

The files come from public packages, are kept in a cache folder of the user's and never in this
repository; where they cannot be had the tests are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

pytest.importorskip("transformers", reason="transformers comes with the engine (make engine)")

from official_prm_inputs import official_input
from published_tokenizers import UnavailableError, published_tokenizer

from compute_optimal.policies.prompts import load_tokenizer, prompt_ids
from compute_optimal.prms import prm_format

pytestmark = pytest.mark.conformance

SYSTEM = "Please reason step by step, and put your final answer within \\boxed{}."


@dataclass(frozen=True)
class Family:
    name: str = "conformance"
    system: str | None = SYSTEM
    user_suffix: str = ""
    template_arguments: dict[str, str] = field(
        default_factory=lambda: {"date_string": "26 Jul 2024"}
    )


def published(name: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(name)
    try:
        published_tokenizer(name, folder)
    except UnavailableError as error:
        pytest.skip(str(error))
    return load_tokenizer(folder)


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return published("qwen", tmp_path_factory)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return published("llama", tmp_path_factory)


@pytest.fixture(scope="session")
def qwen_prm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return published("qwen_prm", tmp_path_factory)


@pytest.fixture(scope="session")
def skywork_prm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return published("skywork", tmp_path_factory)


@pytest.fixture(scope="session")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return published("mistral", tmp_path_factory)


def plain(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


QUESTION = "Compute $\\frac{3}{4} + 0.25$, where $x^2 \\ge 1$."
STEPS = [
    "## Step 1: Rewrite\n$0.25 = \\frac{1}{4}$.",
    "So the sum is\n\\[ \\frac{3}{4} + \\frac{1}{4} = 1 \\]",
    "The answer is $\\boxed{1}$.",
]


def test_ids_that_the_formats_rest_on(qwen: Any, llama: Any, mistral: Any, qwen_prm: Any) -> None:
    assert prm_format("math_shepherd").sign_ids(mistral) == (648, 387)
    assert plain(mistral, "ки") == plain(mistral, "a ки")[1:] == [12902]
    assert 12902 not in plain(mistral, "5.ки") + plain(mistral, "5\nки")
    assert prm_format("rlhflow").sign_ids(llama) == (10, 12)
    assert qwen_prm.convert_tokens_to_ids("<extra_0>") == 151651
    assert plain(qwen, "\n") == [198]
    # Why Skywork's steps are tokenised one by one: joined, the tag would vanish.
    assert 198 not in plain(qwen, "a.\nb") + plain(qwen, "a\n\nb")


@pytest.mark.parametrize(
    ("name", "tokenizer_name", "mark", "before", "at"),
    [
        ("math_shepherd", "mistral", "", None, 12902),
        ("rlhflow", "llama", "<|reserved_special_token_0|>", 128007, 271),
        ("skywork", "skywork_prm", "<|vision_start|>", None, 198),
        ("qwen_math", "qwen_prm", "<extra_0>", None, 151651),
    ],
)
def test_prm_inputs_are_the_official_ones(
    request: pytest.FixtureRequest,
    name: str,
    tokenizer_name: str,
    mark: str,
    before: int | None,
    at: int,
) -> None:
    tokenizer = request.getfixturevalue(tokenizer_name)
    expected = official_input(name, tokenizer, QUESTION, STEPS, mark=mark)
    encoded = prm_format(name).encode(tokenizer, QUESTION, STEPS)
    assert encoded.positions == expected.positions
    assert encoded.token_ids == expected.token_ids[: encoded.positions[-1] + 1]
    assert {encoded.token_ids[position] for position in encoded.positions} == {at}
    if before is not None:
        assert {encoded.token_ids[position - 1] for position in encoded.positions} == {before}


def test_spaces_that_end_a_step_of_math_shepherd_leave_its_tag_alone(mistral: Any) -> None:
    encode = prm_format("math_shepherd").encode
    plain_input = encode(mistral, QUESTION, STEPS)
    for count in range(1, 20):
        assert encode(mistral, QUESTION, [step + "▁" * count for step in STEPS]) == plain_input
    assert len(encode(mistral, QUESTION, ["▁", "a", "▁▁"]).positions) == 3


# Ids of the prompts written out by hand, from the tokenizers library alone.
# fmt: off
GOLDEN: dict[str, list[int]] = {
    "qwen": [
        151644, 8948, 198, 5501, 2874, 3019, 553, 3019, 11, 323, 2182, 697, 1590, 4226,
        2878, 1124, 79075, 46391, 151645, 198, 151644, 872, 198, 3838, 374, 220, 18, 22, 10,
        19, 23, 30, 151645, 198, 151644, 77091, 198,
    ],
    "llama": [
        128000, 128006, 9125, 128007, 271, 38766, 1303, 33025, 2696, 25, 6790, 220, 2366,
        18, 198, 15724, 2696, 25, 220, 1627, 10263, 220, 2366, 19, 271, 5618, 2944, 3094,
        555, 3094, 11, 323, 2231, 701, 1620, 4320, 2949, 1144, 80175, 47491, 128009, 128006,
        882, 128007, 271, 3923, 374, 220, 1806, 10, 2166, 30, 128009, 128006, 78191, 128007,
        271,
    ],
}
# fmt: on


@pytest.mark.parametrize("name", GOLDEN)
def test_prompts_to_the_id(request: pytest.FixtureRequest, name: str) -> None:
    tokenizer = request.getfixturevalue(name)
    assert prompt_ids(tokenizer, Family(), "What is 37+48?") == tuple(GOLDEN[name])


@pytest.mark.parametrize("name", GOLDEN)
def test_prompts_are_what_the_template_renders(request: pytest.FixtureRequest, name: str) -> None:
    tokenizer = request.getfixturevalue(name)
    for problem in (QUESTION, "Let $a\\ne0$.\n\nFind $a$.", "[asy]\ndraw((0,0)--(1,1));\n[/asy]"):
        text = tokenizer.apply_chat_template(
            [{"role": "system", "content": SYSTEM}, {"role": "user", "content": problem}],
            tokenize=False,
            add_generation_prompt=True,
            date_string="26 Jul 2024",
        )
        assert prompt_ids(tokenizer, Family(), problem) == tuple(plain(tokenizer, text))


@pytest.mark.parametrize("name", GOLDEN)
def test_tokens_that_overshoot_a_blank_line(request: pytest.FixtureRequest, name: str) -> None:
    """The figure that the documentation of ``Completion`` gives."""
    tokenizer = request.getfixturevalue(name)
    texts = (tokenizer.decode([token]) for token in range(len(tokenizer)))
    assert sum(text.partition("\n\n")[2] != "" for text in texts) == 143
