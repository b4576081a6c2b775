"""Policies on vLLM: ids in, ids and text out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compute_optimal.engines.requests import Completion, FinishReason, SampleRequest
from compute_optimal.engines.vllm_engine import VllmEngine
from compute_optimal.errors import StudyError


class VllmSampling(VllmEngine[SampleRequest, Completion]):
    """A ``SamplingEngine``. Draws depend on a request's own seed and ids, not on its company.

    (Exactly so in float32 on a CPU; half precision on a GPU is not batch-invariant, so there the
    unit of reproducibility is the stored sample.)
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        super().__init__(folder, runner="generate", logprobs_mode="raw_logprobs", **settings)

    def submit(self, request: SampleRequest) -> None:
        """Queue a request. A prompt that fills the context comes back at once, with no tokens.

        Raises ``StudyError`` for an empty prompt, parameters vLLM refuses, or a broken engine.
        """
        if not request.prompt_ids or request.max_tokens < 1:
            raise StudyError(
                "A sample request needs a prompt and room for one token.",
                where=f"request {request.key!r}",
            )
        room = self.context - len(request.prompt_ids)
        if room < 1:
            self._ready.append(
                Completion(
                    key=request.key,
                    text="",
                    token_ids=(),
                    finish_reason="length",
                    logprob_sum=0.0 if request.wants_logprob else None,
                    n_prompt_tokens=len(request.prompt_ids),
                    n_cached_tokens=0,
                )
            )
            return
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        try:
            parameters = SamplingParams(
                seed=request.seed,
                max_tokens=min(request.max_tokens, room),
                temperature=request.temperature,
                top_p=request.top_p,
                top_k=request.top_k,
                stop=list(request.stop),
                include_stop_str_in_output=True,
                logprobs=0 if request.wants_logprob else None,
                flat_logprobs=True,
                output_kind=RequestOutputKind.FINAL_ONLY,
                skip_clone=True,  # made for this request alone
            )
        except Exception as error:
            raise StudyError(
                f"vLLM refuses the sampling parameters: {error}", where=f"request {request.key!r}"
            ) from error
        inner = self._add(request, list(request.prompt_ids), parameters)
        if request.wants_logprob:
            # vLLM decodes the text of every log-probability, which costs more than all other work
            # on a token and which nobody reads.
            self._engine.output_processor.request_states[inner].logprobs_processor.tokenizer = None

    def _result(self, request: SampleRequest, output: Any) -> Completion:
        drawn = output.outputs[0]
        token_ids = tuple(drawn.token_ids)
        text: str = drawn.text
        reason: FinishReason
        if drawn.finish_reason == "length":
            reason = "length"
        elif drawn.finish_reason != "stop":
            raise StudyError(
                f"vLLM gave up on a request ({drawn.finish_reason}).",
                where=f"{self.folder}, request {request.key!r}",
            )
        elif isinstance(drawn.stop_reason, str):
            reason = "stop"
        else:
            reason = "eos"
            # Invisible if the tokenizer calls it special, as it should, but not all do.
            text = text.removesuffix(
                self._llm.get_tokenizer().decode(token_ids[-1:], skip_special_tokens=True)
            )
        return Completion(
            key=request.key,
            text=text,
            token_ids=token_ids,
            finish_reason=reason,
            logprob_sum=float(drawn.cumulative_logprob) if request.wants_logprob else None,
            n_prompt_tokens=len(request.prompt_ids),
            n_cached_tokens=output.num_cached_tokens or 0,
        )
