"""PRMs of the scale model as plain torch modules: for training, and as the reference forward.

Every kind of PRM comes down to one number per token, the logit margin good - bad; the format says
at which tokens it is a verdict. The state dict carries the names of the Hugging Face or vLLM class
that serves the PRM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compute_optimal.errors import StudyError
from compute_optimal.micro import surprise
from compute_optimal.micro.policy_training import write_weights
from compute_optimal.micro.tokenizer import build_tokenizer
from compute_optimal.policies.prompts import single_id
from compute_optimal.policies.steps import STEP_DELIMITER
from compute_optimal.prms import PrmInput, math_shepherd, prm_format, qwen_math

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast


@dataclass(frozen=True, slots=True)
class PrmKind:
    """What a PRM format needs of a model: its base family, own tokens, and serving class.

    ``config_class`` is the configuration of transformers that ``served_as`` is built from.
    ``n_labels`` 0 stands for a language-model head that weighs the format's two signs.
    ``tags`` are ordinary tokens that the policy does not have, ``special_tokens`` special ones.
    """

    family: str
    served_as: str
    config_class: str
    n_labels: int
    special_tokens: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    bos: str | None = None

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokenizer of the base family, with the format's tokens at the end."""
        return build_tokenizer(
            self.family, special_tokens=self.special_tokens, tags=self.tags, bos=self.bos
        )


KINDS: dict[str, PrmKind] = {
    "math_shepherd": PrmKind(
        "micro-llama", "MistralForCausalLM", "MistralConfig", 0, tags=(math_shepherd.TAG,)
    ),
    "rlhflow": PrmKind("micro-llama", "LlamaForCausalLM", "LlamaConfig", 0),
    "skywork": PrmKind(
        "micro-qwen", "Qwen2ForTokenClassification", "Qwen2Config", 1, bos="<|endoftext|>"
    ),
    "qwen_math": PrmKind(
        *("micro-qwen", "Qwen2ForProcessRewardModel", "Qwen2Config", 2),
        special_tokens=(qwen_math.TAG,),
    ),
}


def base_policy(format_name: str, folder: Path) -> tuple[Any, PreTrainedTokenizerFast]:
    """The policy that a base starts from, with rows for the format's own tokens, and its tokenizer.

    Raises ``StudyError`` if the policy is of another family than the format's.
    """
    from transformers import AutoModelForCausalLM

    kind = KINDS[format_name]
    tokenizer = kind.tokenizer()
    policy: Any = AutoModelForCausalLM.from_pretrained(folder)
    n_new = len(kind.special_tokens) + len(kind.tags)
    if policy.config.vocab_size + n_new != len(tokenizer):
        raise StudyError(
            f"a base over the tokens of {format_name} starts from a {kind.family} policy",
            where=str(folder),
            cure="name another policy to start from in the recipe",
        )
    policy.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    if n_new:
        # The format's tags stand where the policy is used to see the step delimiter.
        embeddings = policy.get_input_embeddings().weight.data
        embeddings[-n_new:] = embeddings[single_id(tokenizer, STEP_DELIMITER)]
    return policy, tokenizer


@dataclass(frozen=True)
class ProcessRewardModel:
    """A backbone ``model`` and, if it has one, its head ``score``, in one module of those names.

    ``signs`` are the ids of (good, bad) of a PRM that answers with its language-model head, whose
    rows are those of the input embeddings; None for the others.
    """

    network: torch.nn.ModuleDict
    tokenizer: PreTrainedTokenizerBase
    format_name: str
    signs: tuple[int, int] | None

    @classmethod
    def grow(
        cls, format_name: str, base: Any, tokenizer: Any, texts: Sequence[Sequence[int]]
    ) -> ProcessRewardModel:
        """A PRM that judges by the largest surprise of its base so far (``surprise``).

        ``base`` is a causal language model over the ids of ``tokenizer`` that knows the format's
        frame, see ``base_training.as_format``; ``texts`` are inputs in that frame.
        """
        configure = partial(_grown_config, KINDS[format_name], base.config)
        body = surprise.grow(base, tokenizer, format_name, configure, texts)
        prm = cls._assemble(body, tokenizer, format_name)
        surprise.speak(prm.network, prm.signs)
        return prm

    @classmethod
    def load(cls, format_name: str, folder: Path) -> ProcessRewardModel:
        """The PRM that ``save`` wrote."""
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        body: Any = AutoModel.from_config(AutoConfig.from_pretrained(folder))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        prm = cls._assemble(body, tokenizer, format_name)
        prm.network.load_state_dict(load_file(folder / "model.safetensors"))
        prm.network.eval()
        return prm

    @classmethod
    def _assemble(
        cls, body: torch.nn.Module, tokenizer: Any, format_name: str
    ) -> ProcessRewardModel:
        from torch import nn

        size, n_labels = body.config.hidden_size, KINDS[format_name].n_labels
        parts: dict[str, nn.Module] = {"model": body}
        if n_labels == 1:
            parts["score"] = nn.Linear(size, 1)
        elif n_labels:
            parts["score"] = nn.Sequential(
                nn.Linear(size, size), nn.ReLU(), nn.Linear(size, n_labels)
            )
        signs = prm_format(format_name).sign_ids(tokenizer)
        return cls(nn.ModuleDict(parts), tokenizer, format_name, signs)

    def save(self, folder: Path) -> None:
        """Write a Hugging Face folder with weights as of ``write_weights``."""
        kind = KINDS[self.format_name]
        folder.mkdir(parents=True, exist_ok=True)
        config: Any = self.network["model"].config
        config.architectures = [kind.served_as]
        if kind.n_labels:
            config.num_labels = kind.n_labels
        config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_weights(folder, self.network.state_dict())

    def margins(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Logit margins good - bad (sequences, tokens) of right-padded ids (sequences, tokens)."""
        body: Any = self.network["model"]
        hidden: torch.Tensor = body(input_ids=token_ids, use_cache=False).last_hidden_state
        if self.signs is not None:
            good, bad = body.get_input_embeddings().weight[list(self.signs)]
            return hidden @ (good - bad)
        logits: torch.Tensor = self.network["score"](hidden)
        return logits[..., 1] - logits[..., 0] if logits.shape[-1] == 2 else logits[..., 0]

    def score(self, encoded: PrmInput) -> tuple[float, ...]:
        """The logit margin of each step of one encoded solution."""
        import torch

        with torch.inference_mode():
            margins = self.margins(torch.tensor([encoded.token_ids]))[0]
        return tuple(margins[list(encoded.positions)].tolist())


def _grown_config(kind: PrmKind, base: Any, **sizes: int) -> Any:
    """The configuration of a grown body, as the class that serves the format.

    Llama, Mistral and Qwen2 name the same weights alike, so that only the class changes.
    """
    import transformers

    shared = (
        *("vocab_size", "max_position_embeddings", "tie_word_embeddings", "rope_parameters"),
        *("initializer_range", "rms_norm_eps", "eos_token_id", "pad_token_id", "dtype"),
    )
    config: Any = getattr(transformers, kind.config_class)(
        **{name: getattr(base, name) for name in shared},
        **sizes,
        bos_token_id=base.bos_token_id,
    )
    if kind.config_class == "MistralConfig":
        config.sliding_window = None
    return config
