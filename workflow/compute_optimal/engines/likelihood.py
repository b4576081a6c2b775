"""How likely a policy was to say what it is said to have said, token by token.

The model is run by transformers, not by the engine that draws: what is to be checked is then not
checked by itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute_optimal.errors import StudyError

LOGITS_AT_ONCE = 1 << 24
"""Logits that are held at once: 64 MiB of float32."""

NEAR_TIE = 1e-3
"""Difference in logits below which two machines may order two tokens differently."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Ids of what was drawn (``ids``, at least one) after ``before``, which has the prompt."""

    before: tuple[int, ...]
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Of one text under one policy, sampled as its settings say.

    ``excess`` is the sum over tokens of log-probability plus entropy [nats]: of what the policy
    itself drew it has a mean of 0, whatever stops the drawing. ``rarest``: the least chance, over
    ``n_tokens``, that a token as unlikely as the one that stands there is drawn. ``impossible``:
    tokens that these settings never draw.
    """

    excess: float
    rarest: float
    n_tokens: int
    impossible: int


def likelihoods(
    folder: Path,
    texts: Sequence[Drawn],
    *,
    temperature: float,
    top_p: float,
    top_k: int,
) -> list[Likelihood]:
    """Likelihood of each text. ``top_k`` is -1 for off; ``temperature`` 0 is greedy.

    Greedy text has no randomness: what stands more than ``NEAR_TIE`` below the first choice is
    impossible, the rest certain. Raises ``StudyError`` where the model cannot be opened.
    """
    import torch

    model = _model(folder)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i].before) + len(texts[i].ids))
    by_text: dict[int, Likelihood] = {}
    with torch.inference_mode():
        for batch in _batches(order, texts, model.config.vocab_size):
            rows = [[*texts[i].before, *texts[i].ids] for i in batch]
            width = max(map(len, rows))
            # Models are causal: what pads a row on its right is not read.
            ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
            logits = model(input_ids=ids).logits.float()
            for i, row, of_row in zip(batch, rows, logits, strict=True):
                first = len(texts[i].before)
                by_text[i] = _of_row(
                    of_row[first - 1 : len(row) - 1],
                    torch.tensor(texts[i].ids),
                    temperature,
                    top_p,
                    top_k,
                )
    return [by_text[i] for i in range(len(texts))]


def _batches(
    order: Sequence[int], texts: Sequence[Drawn], vocabulary: int
) -> Iterator[Sequence[int]]:
    batch: list[int] = []
    for i in order:
        width = len(texts[i].before) + len(texts[i].ids)
        if batch and (len(batch) + 1) * width * vocabulary > LOGITS_AT_ONCE:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _of_row(logits: Any, ids: Any, temperature: float, top_p: float, top_k: int) -> Likelihood:
    """``logits``: [tokens, vocabulary], those that each of ``ids`` was drawn from."""
    import torch

    chosen = logits.gather(1, ids[:, None])[:, 0]
    if temperature == 0:
        behind = logits.max(dim=1).values - chosen
        return Likelihood(0.0, 1.0, len(ids), int((behind > NEAR_TIE).sum()))
    scaled = logits / temperature
    allowed = torch.ones_like(scaled, dtype=torch.bool)
    if top_k > 0:
        least = scaled.topk(min(top_k, scaled.shape[1]), dim=1).values[:, -1:]
        allowed &= scaled >= least - NEAR_TIE
    if top_p < 1:
        ranked, places = scaled.softmax(dim=1).sort(dim=1, descending=True)
        # The token that crosses the limit is still drawn.
        kept = ranked.cumsum(dim=1) - ranked < top_p + NEAR_TIE
        allowed &= torch.zeros_like(allowed).scatter(1, places, kept)
    terms = scaled.masked_fill(~allowed, -torch.inf).log_softmax(dim=1)
    weights = terms.exp()
    entropy = -(weights * terms.masked_fill(~allowed, 0.0)).sum(dim=1)
    drawn = terms.gather(1, ids[:, None])[:, 0]
    possible = drawn.isfinite()
    as_rare = (weights * (terms <= drawn[:, None] + NEAR_TIE)).sum(dim=1)
    return Likelihood(
        excess=float((drawn + entropy)[possible].sum()),
        rarest=float(as_rare[possible].min()) if possible.any() else 1.0,
        n_tokens=len(ids),
        impossible=int((~possible).sum()),
    )


def _model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype="float32", use_safetensors=True, trust_remote_code=False
            )
    except (OSError, ValueError) as error:
        raise StudyError(
            f"transformers cannot open the model: {str(error).splitlines()[0]}", where=str(folder)
        ) from error
    return model.eval()
