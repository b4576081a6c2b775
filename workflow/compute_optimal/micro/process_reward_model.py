"""PRMs of the scale model as plain torch modules: for training, and as the reference forward.

Every kind of PRM comes down to one number per token, the logit margin good - bad; the format says
at which tokens it is a verdict. The state dict carries the names of the Hugging Face or vLLM class
that serves the PRM.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compute_optimal.errors import StudyError
from compute_optimal.micro.tokenizer import build_tokenizer
from compute_optimal.policies.steps import STEP_DELIMITER
from compute_optimal.prms import PrmInput

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class PrmKind:
    """What a PRM format needs of a model: its base family, own tokens, and serving class."""

    family: str
    extra_tokens: tuple[str, ...]
    served_as: str
    n_labels: int


KINDS: dict[str, PrmKind] = {
    "qwen_math": PrmKind("micro-qwen", ("<extra_0>",), "Qwen2ForProcessRewardModel", 2),
}


@dataclass(frozen=True)
class ProcessRewardModel:
    """A backbone ``model`` and its head ``score``, in one module so that their names are saved."""

    network: torch.nn.ModuleDict
    tokenizer: PreTrainedTokenizerBase
    format_name: str

    @classmethod
    def grow(cls, format_name: str, policy_folder: Path, n_new_layers: int) -> ProcessRewardModel:
        """A PRM with fresh layers and a fresh head on top of a trained policy of its family.

        What the policy expects next is ready at its last layer only; layers above it can compare
        that with what stands there. Raises ``StudyError`` if the policy is of another family.
        """
        from transformers import AutoConfig, AutoModel

        kind = KINDS[format_name]
        tokenizer = build_tokenizer(kind.family, kind.extra_tokens)
        policy: Any = AutoModel.from_pretrained(policy_folder)
        if policy.config.vocab_size + len(kind.extra_tokens) != len(tokenizer):
            raise StudyError(
                f"a {format_name} PRM grows from a {kind.family} policy",
                where=str(policy_folder),
                cure="name another base policy in the recipe",
            )
        policy.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        # The format's tags stand where the policy is used to see the step delimiter.
        (delimiter,) = tokenizer.encode(STEP_DELIMITER, add_special_tokens=False)
        embeddings = policy.get_input_embeddings().weight.data
        embeddings[-len(kind.extra_tokens) :] = embeddings[delimiter]
        config: Any = AutoConfig.from_pretrained(policy_folder)
        config.vocab_size = len(tokenizer)
        config.num_hidden_layers += n_new_layers
        config.layer_types = ["full_attention"] * config.num_hidden_layers
        body: Any = AutoModel.from_config(config)
        body.load_state_dict(policy.state_dict(), strict=False)
        return cls(_with_head(body, kind), tokenizer, format_name)

    @classmethod
    def load(cls, format_name: str, folder: Path) -> ProcessRewardModel:
        """The PRM that ``save`` wrote."""
        from safetensors.torch import load_file
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        kind = KINDS[format_name]
        body: Any = AutoModel.from_config(AutoConfig.from_pretrained(folder))
        network = _with_head(body, kind)
        network.load_state_dict(load_file(folder / "model.safetensors"))
        network.eval()
        return cls(network, AutoTokenizer.from_pretrained(folder), format_name)

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        kind = KINDS[self.format_name]
        folder.mkdir(parents=True, exist_ok=True)
        config: Any = self.network["model"].config
        config.architectures, config.num_labels = [kind.served_as], kind.n_labels
        config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        save_file(self.network.state_dict(), folder / "model.safetensors", {"format": "pt"})

    def logits(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Label logits (sequences, tokens, labels) of right-padded ids (sequences, tokens)."""
        body: Any = self.network["model"]
        hidden = body(input_ids=token_ids, use_cache=False).last_hidden_state
        logits: torch.Tensor = self.network["score"](hidden)
        return logits

    def margins(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Logit margins good - bad (sequences, tokens); label 1 is the good one."""
        logits = self.logits(token_ids)
        return logits[..., 1] - logits[..., 0]

    def score(self, encoded: PrmInput) -> tuple[float, ...]:
        """The logit margin of each step of one encoded solution."""
        import torch

        with torch.inference_mode():
            margins = self.margins(torch.tensor([encoded.token_ids]))[0]
        return tuple(margins[list(encoded.positions)].tolist())


def _with_head(body: torch.nn.Module, kind: PrmKind) -> torch.nn.ModuleDict:
    from torch import nn

    config: Any = body.config
    size = config.hidden_size
    head = nn.Sequential(nn.Linear(size, size), nn.ReLU(), nn.Linear(size, kind.n_labels))
    return nn.ModuleDict({"model": body, "score": head})
