"""Shipped PRMs on vLLM give the scores of a plain forward pass, in all four formats."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn_cases import drawn

pytest.importorskip("vllm", reason="vLLM is not installed here (make engine)")

from compute_optimal.engines import open_scoring_engine
from compute_optimal.engines.requests import ScoreRequest
from compute_optimal.micro.process_reward_model import ProcessRewardModel
from compute_optimal.micro.recipes import PRMS
from compute_optimal.policies.prompts import load_tokenizer
from compute_optimal.prms import prm_format
from compute_optimal.tasks.arithmetic_chains import generate, solution_steps

pytestmark = pytest.mark.engine

MODELS = Path(__file__).parents[2] / "data" / "models"
CONTEXT = 512
SOME = [[*PRMS][place] for place in drawn([recipe.prm_format for recipe in PRMS.values()])]


@pytest.mark.parametrize("name", SOME)
def test_the_engine_agrees_with_a_plain_forward_pass(name: str) -> None:
    format_name = PRMS[name].prm_format
    tokenizer = load_tokenizer(MODELS / name)
    inputs = [
        prm_format(format_name).encode(
            tokenizer, problem.problem, solution_steps(problem.problem, "numbered")
        )
        for problem in generate(6, 5, 2, 10)
    ]
    plain = ProcessRewardModel.load(format_name, MODELS / name)
    with open_scoring_engine(
        MODELS / name, format_name, context=CONTEXT, dtype="float32", max_num_seqs=8
    ) as engine:
        for key, encoded in enumerate(inputs):
            engine.submit(ScoreRequest(key, encoded.token_ids, encoded.positions))
        results = {}
        while len(results) < len(inputs):
            results |= {result.key: result.margins for result in engine.collect()}
    for key, encoded in enumerate(inputs):
        assert results[key] == pytest.approx(plain.score(encoded), abs=1e-4)
