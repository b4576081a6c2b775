"""PRMs on vLLM: one pass over the ids, one logit margin a position."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from compute_optimal.engines.checkpoints import read_config, require_tensors
from compute_optimal.engines.requests import ScoreRequest, ScoreResult
from compute_optimal.engines.vllm_engine import VllmEngine
from compute_optimal.errors import StudyError
from compute_optimal.policies.prompts import load_tokenizer
from compute_optimal.prms import prm_format

CLASS_HEADS = {
    "qwen_math": (
        "Qwen2ForProcessRewardModel",
        {"score.0.weight", "score.0.bias", "score.2.weight", "score.2.bias"},
    ),
    "skywork": ("Qwen2ForTokenClassification", {"score.weight", "score.bias"}),
}
"""Architecture and head weights of the PRMs that do not answer with a language-model head."""


class VllmScoring(VllmEngine[ScoreRequest, ScoreResult]):
    """A ``ScoringEngine``. The head runs at every token, in float32, and we pick the rows.

    Language-model heads are reduced to one row, the difference of the rows of the two signs, so
    every head yields logits of which one or the difference of two is the margin.
    """

    def __init__(
        self, folder: Path, format_name: str, *, tensor_parallel: int, **settings: Any
    ) -> None:
        head = _head(folder, format_name, tensor_parallel)
        super().__init__(
            folder, runner="pooling", tensor_parallel=tensor_parallel, **head, **settings
        )

    def submit(self, request: ScoreRequest) -> None:
        """Queue a request. What follows the last position is not read: PRMs are causal.

        A request with one position reads the prefix cache; one with several is computed whole,
        because rows of cached tokens are not given again.

        Raises ``StudyError`` for an input beyond the context, positions that are not ascending
        indices into it, ids vLLM refuses, or a broken engine.
        """
        positions = request.positions
        if (
            not positions
            or positions[0] < 0
            or positions[-1] >= len(request.token_ids)
            or any(a >= b for a, b in pairwise(positions))
        ):
            raise StudyError(
                f"Positions must be ascending indices into {len(request.token_ids)} tokens.",
                where=f"request {request.key!r}: {positions}",
            )
        n_tokens = positions[-1] + 1
        if n_tokens > self.context:
            raise StudyError(
                f"The input has {n_tokens} tokens and the PRM's context {self.context}.",
                where=f"{self.folder}, request {request.key!r}",
                cure="Leave out solutions that are too long for the PRM, and count them.",
            )
        from vllm import PoolingParams

        parameters = PoolingParams(
            task="token_classify",
            use_activation=False,
            skip_reading_prefix_cache=len(positions) > 1,
        )
        self._add(request, list(request.token_ids[:n_tokens]), parameters)

    def _result(self, request: ScoreRequest, output: Any) -> ScoreResult:
        rows = output.outputs.data
        n_tokens = request.positions[-1] + 1
        n_cached = output.num_cached_tokens or 0
        if len(rows) != n_tokens - n_cached or n_cached > request.positions[0]:
            raise StudyError(
                f"The PRM returned {len(rows)} rows for {n_tokens} tokens, {n_cached} of them "
                f"cached, with {len(request.positions)} steps to score.",
                where=f"{self.folder}, request {request.key!r}",
            )
        logits = rows[[position - n_cached for position in request.positions]].float()
        margins = logits[:, -1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]
        return ScoreResult(request.key, tuple(margins.tolist()), n_tokens, n_cached)


def _head(folder: Path, format_name: str, tensor_parallel: int) -> dict[str, Any]:
    """Check the checkpoint against the format's head; the arguments that make vLLM build it.

    Raises ``StudyError`` for the wrong architecture or missing weights.
    """
    config = read_config(folder)
    architecture = (config.get("architectures") or ["none"])[0]
    if format_name in CLASS_HEADS:
        expected, needed = CLASS_HEADS[format_name]
        if architecture != expected:
            raise StudyError(
                f"A PRM of format {format_name} must be a {expected}; this is a {architecture}.",
                where=str(folder / "config.json"),
                cure="Check the format of the registry entry.",
            )
        require_tensors(folder, needed)
        return {}
    tokenizer = load_tokenizer(folder)
    signs = prm_format(format_name).sign_ids(tokenizer)
    assert signs is not None
    if not architecture.endswith("ForCausalLM"):
        raise StudyError(
            f"A PRM of format {format_name} must be a causal model; this is a {architecture}.",
            where=str(folder / "config.json"),
            cure="Check the format of the registry entry.",
        )
    if tensor_parallel > 1:
        # vLLM would pick the rows of the two signs from each GPU's own slice of the vocabulary.
        raise StudyError(
            f"A PRM of format {format_name} cannot be split over {tensor_parallel} GPUs.",
            where=str(folder),
            cure="Use one GPU for it.",
        )
    if not config.get("tie_word_embeddings", False):
        require_tensors(folder, {"lm_head.weight"})
    good, bad = (tokenizer.convert_ids_to_tokens(sign) for sign in signs)
    return {
        "convert": "classify",
        "hf_overrides": {"classifier_from_token": [bad, good], "method": "from_2_way_softmax"},
    }
