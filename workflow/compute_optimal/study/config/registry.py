"""Registry entries: what is known of each task, policy, PRM and adopted collection.

Entries are data (``config/registry/*.yaml``), keyed by name. A study refers to them by name only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from compute_optimal.errors import StudyError
from compute_optimal.study.config.reading import (
    Finding,
    check_secrets,
    read_mapping,
    refuse,
    suggestion,
    validated,
)

SHA256 = r"^[0-9a-f]{64}$"
COMMIT = r"^[0-9a-f]{40}$"
NAME = r"^\w[\w.-]*$"
_HTTPS = r"^https://[!-~]+$"
_ADDRESS = r"^https?://[!-~]+$"
_GITHUB = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
_PATH = r"^[^/\\\x00-\x1f][^\\\x00-\x1f]*$"
_HUB_ID = r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$"

LARGEST_SEED = 2**31 - 1
MOST_PROBLEMS = 100_000
LONGEST_CONTEXT = 100_000_000
LONGEST_PROMPT = 100_000
LARGEST_BUDGET = 1024
"""Beyond it C(m, k) overflows (``analyse.statistics.combinatorics``), and other estimators would be
needed."""


def _one_line(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise ValueError(
            f"{text[:80]!r} is not one line of text || write a line without control characters"
        )
    return text.strip()


def _usable_path(path: Path) -> Path:
    text = str(path)
    if match := re.search(r"[{}<>\x00-\x1f\x7f]", text):
        raise ValueError(
            f"{text[:80]!r} holds {match[0]!r}, which names of files here cannot hold "
            "|| rename the folder"
        )
    if "$" in text:
        # Snakemake would put a variable in where it writes the report, and nowhere else.
        raise ValueError(
            f"{text[:80]!r} holds '$': variables are not put in here || write the path in full"
        )
    if text.startswith("-"):
        raise ValueError(
            f"{text[:80]!r} begins with '-', which commands take for an option || rename the "
            "folder, or write its path in full"
        )
    if max(len(part.encode()) for part in (*path.parts, "")) > 255 or len(text.encode()) > 1024:
        raise ValueError(f"{text[:40]}... is too long for a file system || shorten it")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(
            f"{path.parts[0]} is no home folder on this machine || write the path in full"
        ) from None


Folder = Annotated[Path, AfterValidator(_usable_path)]
Line = Annotated[str, Field(max_length=500), AfterValidator(_one_line)]
"""A text for people, on one line."""
Dtype = Literal["bfloat16", "float16", "float32"]
TaskKind = Literal["math500", "aime", "amc", "arithmetic_chains"]
ReaderName = Literal["official", "search_and_learn", "openr", "zeroeval", "qwen_math", "rewardmath"]
PrmFormatName = Literal["math_shepherd", "rlhflow", "skywork", "qwen_math"]


class Checked(BaseModel):
    """Base of every configuration model: immutable, no unknown keys, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def complaints(self) -> Iterator[str]:
        """What is wrong between keys, each of which is right by itself: "what || what to do", or
        what alone."""
        yield from ()

    @model_validator(mode="after")
    def _without_complaints(self) -> Self:
        if complaints := list(self.complaints()):
            raise ValueError("\n".join(complaints))
        return self


class Entry(Checked):
    """A named registry entry. The name is the entry's key in its file, which ``read_entries`` puts
    in."""

    name: str = Field(pattern=NAME, max_length=100, description="Key of the entry")
    title: str = Field(
        default="",
        max_length=200,
        description="Name in figures and tables; the key if left out",
    )
    licence: Line = Field(description="SPDX identifier, or the name the publisher gives it")

    @model_validator(mode="after")
    def _default_title(self) -> Self:
        # Not before validation: what such a validator has seen is Python, and strictly read Python
        # has no tuple where the file has a list.
        object.__setattr__(self, "title", self.title.strip() or self.name)
        return self

    def complaints(self) -> Iterator[str]:
        """A title of more than one line."""
        yield from super().complaints()
        if not self.title.isprintable():
            yield f"title {self.title!r} is not one line of text || take control characters out"


class ChainParameters(Checked):
    """Parameters of the generated task arithmetic-chains."""

    n_problems: int = Field(gt=0, le=MOST_PROBLEMS, description="Number of problems")
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED, description="Seed of the generator")
    min_operations: int = Field(
        default=2, ge=1, le=100, description="Fewest operations of a problem"
    )
    max_operations: int = Field(
        default=10, ge=1, le=100, description="Most operations of a problem"
    )
    numbers: tuple[Annotated[int, Field(ge=0, lt=MOST_PROBLEMS)], ...] | None = Field(
        default=None,
        description="Which of the generator's problems are taken, rising from 0; null is the "
        "first n_problems",
    )

    def complaints(self) -> Iterator[str]:
        """Operations or numbers out of order, and another count of numbers than of problems."""
        if self.min_operations > self.max_operations:
            yield (
                f"min_operations {self.min_operations} is over max_operations "
                f"{self.max_operations} || lower min_operations"
            )
        numbers = self.numbers
        if numbers is not None and list(numbers) != sorted(set(numbers)):
            yield "numbers do not rise || sort them, and give each once"
        if numbers is not None and len(numbers) != self.n_problems:
            yield (
                f"n_problems is {self.n_problems}, but there are {len(numbers)} numbers || "
                "correct n_problems"
            )


class TaskEntry(Entry):
    """A problem set. Fetched tasks have sha256 and file, and url unless the file is one's own;
    generated ones have parameters."""

    kind: TaskKind = Field(description="How the file is read, or the problems are generated")
    n_problems: int = Field(
        gt=0, le=MOST_PROBLEMS, description="Number of problems; another number is an error"
    )
    url: str | None = Field(
        default=None,
        pattern=_HTTPS,
        max_length=2000,
        description="Address of the file, pinned to a commit; null for one of your own, which is "
        "looked for in mirror alone",
    )
    sha256: str | None = Field(
        default=None, pattern=SHA256, description="sha256 of the file, hexadecimal"
    )
    file: str | None = Field(
        default=None,
        pattern=r"^\w[\w.-]*$",
        description="Name of the file in a mirror or download folder",
    )
    parameters: ChainParameters | None = Field(
        default=None, description="Parameters of a generated task; null for a fetched one"
    )

    def complaints(self) -> Iterator[str]:
        """A task that is neither generated nor fetched, or both."""
        yield from super().complaints()
        generated = self.kind == "arithmetic_chains"
        known_by = (self.sha256, self.file)
        if generated and (self.parameters is None or self.url or any(known_by)):
            yield "a generated task has parameters, but no url, sha256 or file"
        if generated and self.parameters and self.parameters.n_problems != self.n_problems:
            yield (
                f"n_problems is {self.n_problems}, but parameters.n_problems is "
                f"{self.parameters.n_problems} || give both the same number"
            )
        if not generated and (self.parameters is not None or not all(known_by)):
            yield (
                "a task that is not generated has sha256 and file (and url, unless the file is "
                "your own), and no parameters"
            )


class Sampling(Checked):
    """How solutions are drawn. The defaults are the paper's (section 4.1; scripts/run.sh:94-109 of
    the official code)."""

    temperature: float = Field(
        default=0.7, ge=0, le=10, description="Temperature of pools and searches"
    )
    cot_temperature: float = Field(
        default=0.0, ge=0, le=10, description="Temperature of the single CoT sample; 0 is greedy"
    )
    top_p: float = Field(default=1.0, gt=0, le=1, description="Nucleus size; 1 is off")
    top_k: int = Field(
        default=-1, ge=-1, le=1_000_000, description="Number of candidates kept; -1 is off [tokens]"
    )
    max_tokens: int = Field(
        default=8192,
        gt=0,
        le=LONGEST_CONTEXT,
        description="Longest solution; less where the context is reached first [tokens]",
    )
    max_step_tokens: int = Field(
        default=2048, gt=0, le=LONGEST_CONTEXT, description="Longest step of a search [tokens]"
    )


class ModelEntry(Entry):
    """What policies and PRMs have in common. Exactly one of hub_id and path is given."""

    hub_id: str | None = Field(
        default=None, pattern=_HUB_ID, description="Hugging Face id, owner/name"
    )
    path: Folder | None = Field(
        default=None,
        description="Folder of the model, relative to the repository, instead of hub_id",
    )
    revision: str | None = Field(
        default=None,
        pattern=r"^\w[\w./-]*$",
        max_length=255,
        description="Commit, branch or reference on the hub; null is the main branch. Whatever it "
        "is, config/models.lock.json pins the commit",
    )
    n_parameters: int = Field(
        gt=0,
        le=10**14,
        description="Parameters, tied embeddings counted once; sets the FLOPs [count]",
    )
    context: int = Field(
        default=8192,
        gt=0,
        le=LONGEST_CONTEXT,
        description="Longest sequence it is run with, prompt included [tokens]",
    )
    native_context: int = Field(
        gt=0,
        le=LONGEST_CONTEXT,
        description="Longest sequence it was built for (max_position_embeddings) [tokens]",
    )
    dtype: Dtype = Field(default="bfloat16", description="Number format of weights and activations")
    gated: bool = Field(
        default=False, description="Whether the hub wants an account that was granted access"
    )
    tensor_parallel: int | None = Field(
        default=None,
        gt=0,
        le=1024,
        description="GPUs that one copy is split over; null is the fewest of 80 GB, a power of "
        "two, of which its weights fill at most half, and none for a small model in float32; no "
        "part of any result [count]",
    )
    slots: int | None = Field(
        default=None,
        gt=0,
        le=100_000,
        description="Requests that run at once; null is what the memory for keys and values has "
        "room for; no part of any result [count]",
    )

    @property
    def weight_bytes(self) -> int:
        """Size of the weights in the number format they are run with [bytes]."""
        return self.n_parameters * (4 if self.dtype == "float32" else 2)

    @property
    def n_gpus(self) -> int:
        """GPUs that one copy is split over, a power of two unless ``tensor_parallel`` is given;
        0 for a model that runs as well on a CPU.

        ASSUME: that is one of under 200 million parameters in float32 (half precision needs a
        GPU). Half of the memory is left for the PRM of a search and for keys and values.
        """
        if self.tensor_parallel is not None:
            return self.tensor_parallel
        if self.dtype == "float32" and self.n_parameters < 200_000_000:
            return 0
        n_gpus = 1
        while self.weight_bytes > n_gpus * 40e9:
            n_gpus *= 2
        return n_gpus

    def complaints(self) -> Iterator[str]:
        """Two sources or none, and more context than it was built for."""
        yield from super().complaints()
        if (self.hub_id is None) == (self.path is None):
            yield "give either hub_id or path || keep one of the two"
        if self.path is not None and self.revision is not None:
            yield "a folder has no revision || take revision out; the lock hashes it"
        if self.context > self.native_context:
            yield (
                f"context {self.context} is over native_context {self.native_context} "
                "|| lower context; beyond what it was built for a model answers noise"
            )


class PolicyEntry(ModelEntry):
    """A language model that writes solutions."""

    family: Line = Field(description="Model family, for grouping in figures")
    prompt: str = Field(description="Name of its prompt family")
    is_reasoning: bool = Field(
        default=False,
        description="Whether it thinks at length before it answers (DeepSeek-R1-Distill); the "
        "paper's rule then takes best-of-N, and Table 6 shows it",
    )
    sampling: Sampling = Field(default=Sampling(), description="How solutions are drawn")
    solution_tokens: int = Field(
        default=400,
        gt=0,
        le=LONGEST_CONTEXT,
        description="Tokens of a solution that a plan reckons with until some are stored [tokens]",
    )

    def complaints(self) -> Iterator[str]:
        """Steps longer than solutions, and solutions longer than the context."""
        yield from super().complaints()
        if self.sampling.max_tokens > self.context:
            yield (
                f"sampling.max_tokens {self.sampling.max_tokens} is over context {self.context} "
                "|| lower max_tokens or raise context; prompt and solution share the context"
            )
        if self.sampling.max_step_tokens > self.sampling.max_tokens:
            yield (
                f"sampling.max_step_tokens {self.sampling.max_step_tokens} is over "
                f"sampling.max_tokens {self.sampling.max_tokens} || lower max_step_tokens"
            )


class PrmEntry(ModelEntry):
    """A process reward model."""

    format: PrmFormatName = Field(description="Input format: how steps become token ids")
    base: Line = Field(description="Model it was trained from")
    family: Line | None = Field(
        default=None,
        description="Family of policies whose solutions alone it was taught on, as policies name "
        "it; null where several or unknown. No part of what is stored",
    )


class OutsidePolicy(Entry):
    """A policy that is known by what others drew from it; never run here."""

    family: Line = Field(description="Model family, for grouping in figures")
    n_parameters: int | None = Field(
        gt=0, description="Parameters of a dense model; null where unknown or not dense [count]"
    )
    weights: Line = Field(description="How it was served: number format, or by whom")
    is_reasoning: bool = Field(
        default=False, description="Whether it thinks at length before it answers"
    )
    hub_id: str | None = Field(default=None, pattern=_HUB_ID, description="Hugging Face id")


class OutsidePrm(Entry):
    """A reward model that is known by scores that others published; never run here."""

    n_parameters: int | None = Field(gt=0, description="Parameters; null where unknown [count]")
    kind: Literal["process", "outcome"] = Field(
        description="Whether it scores steps or whole solutions"
    )
    hub_id: str | None = Field(default=None, pattern=_HUB_ID, description="Hugging Face id")

    @property
    def format(self) -> str:
        """Stands where a PRM that runs here has its input format."""
        return self.kind

    @property
    def family(self) -> None:
        """Not known of PRMs that never run here."""
        return None


class PromptFamily(Checked):
    """How a problem is put to a policy, around its own chat template."""

    name: str = Field(pattern=NAME, max_length=100, description="Key of the prompt family")
    system: str | None = Field(
        max_length=LONGEST_PROMPT, description="System prompt; null for none"
    )
    user_suffix: str = Field(
        default="",
        max_length=LONGEST_PROMPT,
        description="Text that follows the problem in the user turn",
    )
    template_arguments: dict[str, str | bool] = Field(
        default_factory=dict,
        description="Values for variables of the chat template, such as a frozen date_string, or "
        "enable_thinking: false",
    )
    source: Line = Field(description="Where the wording comes from")


class HubRollouts(Checked):
    """One run of search-and-learn on the hub: a row a problem, with all its completions."""

    hub_id: str = Field(pattern=_HUB_ID, description="Data set on the hub, owner/name")
    revision: str = Field(pattern=COMMIT, description="Commit of the data set")
    folder: str = Field(
        pattern=r"^\w[\w.-]*$", description="Folder of the run; all its parquet files are read"
    )
    method: Literal["best_of_n", "beam_search", "dvts"] = Field(description="What was run")
    budget: int = Field(
        gt=0, le=LARGEST_BUDGET, description="Budget N: completions a problem [samples]"
    )


AdoptedMethod = Literal["cot", "best_of_n", "beam_search", "dvts", "mcts (OpenR)"]
"""What was run: the study's methods, and those of others that are none of the paper's."""


class RolloutFile(Checked):
    """One file of a collection: where it lies in its repository, and what was run for it."""

    path: str = Field(
        pattern=_PATH, max_length=1000, description="Path of the file in the repository"
    )
    sha256: str = Field(pattern=SHA256, description="sha256 of the file, hexadecimal")
    method: AdoptedMethod = Field(description="What was run; best_of_n for a pool of samples")
    budget: int = Field(
        default=1,
        gt=0,
        le=LARGEST_BUDGET,
        description="Budget N of a search, else the number of answers a problem [samples]",
    )
    repetition: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Number of the run, where several files repeat one setting with other draws",
    )
    prm: str | None = Field(
        default=None, description="PRM whose scores it holds; null is the collection's"
    )

    def complaints(self) -> Iterator[str]:
        """A path that leads out of its repository, and several greedy answers."""
        yield from super().complaints()
        if ".." in self.path.split("/"):
            yield "the path leads out of the repository || write it from its root"
        if self.method == "cot" and self.budget > 1:
            yield (
                f"greedy answers are one a problem, not {self.budget} || leave budget out, or say "
                "method: best_of_n of a pool"
            )


class AdoptedEntry(Entry):
    """Rollouts that others made with their own code; judged here, never generated.

    They come from files of a repository (source, commit, and files or, of many, listing) or from
    the hub (hub).
    """

    task: str = Field(description="Task they solve")
    policy: str | None = Field(
        default=None, description="Policy that wrote them; null for solutions of many authors"
    )
    prm: str | None = Field(
        default=None, description="PRM that guided or scored them; null where none did"
    )
    variant: Literal["paper", "search-and-learn", "OpenR", "ZeroEval", "Qwen2.5-Math", "none"] = (
        Field(
            default="paper",
            description="Whose code ran: its method rules, prompts and sampling settings; none "
            "where nothing was drawn",
        )
    )
    source: str | None = Field(
        default=None,
        pattern=_ADDRESS,
        max_length=2000,
        description="Repository that they come from",
    )
    commit: str | None = Field(
        default=None, pattern=COMMIT, description="Commit of that repository"
    )
    address: str | None = Field(
        default=None,
        pattern=r"^https?://[!-~]*\{path\}",
        max_length=2000,
        description="Address of one file of source: with {path}, {commit} and {repository}, which "
        "is owner/name, the last two as they stand in source and commit or so written; null is "
        "GitHub's for raw files",
    )
    reader: ReaderName | None = Field(default=None, description="Schema of the files")
    files: list[RolloutFile] = Field(default_factory=list, description="The files, in order")
    left_out: dict[str, Line] = Field(
        default_factory=dict,
        description="Files of the repository that look alike and are not taken -> why",
    )
    caveats: list[Line] = Field(
        default_factory=list, description="What a reader of any number from it must know"
    )
    tokenizer: Literal["llama3_2", "qwen2_5"] | None = Field(
        default=None, description="Tokenizer that counts tokens where the files do not say them"
    )
    listing: str | None = Field(
        default=None,
        pattern=r"^\w[\w./-]*$",
        max_length=255,
        description="File beside this one that lists the files of a collection as sha256sum writes "
        "them, for the reader official: its records are files of their own",
    )
    folder: str | None = Field(
        default=None,
        pattern=_PATH,
        max_length=1000,
        description="Folder of the repository that the paths of the listing start from",
    )
    file: str | None = Field(
        default=None,
        pattern=r"^\w[\w. -]*$",
        max_length=255,
        description="Archive or folder of the mirror that holds the files of the listing, if not "
        "owner--repository-abc1234, with the first 7 digits of the commit",
    )
    sha256: str | None = Field(
        default=None,
        pattern=SHA256,
        description="What the stored rows of a listing are known by: sha256 of the listing, or of "
        "the archive that they were first adopted from",
    )
    beam_width: int = Field(
        default=4, gt=0, le=LARGEST_BUDGET, description="Beam width M of the searches"
    )
    hub: list[HubRollouts] = Field(
        default_factory=list,
        description="Runs of search-and-learn on the hub; several of one search are repetitions",
    )

    @property
    def repository(self) -> str:
        """owner/name of ``source``."""
        return "/".join(str(self.source).rstrip("/").removesuffix(".git").split("/")[-2:])

    def address_of(self, path: str) -> str:
        """The address of one file, by its path in the repository."""
        template = self.address or _GITHUB
        return template.format(repository=self.repository, commit=self.commit, path=quote(path))

    def complaints(self) -> Iterator[str]:
        """No origin or several, what an origin lacks, an address that is not of the origin, and one
        run that is named twice."""
        yield from super().complaints()
        if self.source and self.commit:
            yield from self._complaints_of_address()
        at_commit = self.source is not None and self.commit is not None
        listing = (self.listing, self.folder, self.file, self.sha256)
        is_listed = all((self.listing, self.sha256)) and self.reader == "official"
        is_of_files = bool(self.files) and self.reader not in (None, "official")
        kinds = [
            at_commit and is_listed and not self.files and not self.hub,
            at_commit and is_of_files and not any(listing) and not self.hub,
            bool(self.hub)
            and not any((self.source, self.commit, self.reader, *listing, *self.files)),
        ]
        if not any(kinds):
            yield (
                "give one origin: source, commit, reader and files; or source, commit, reader "
                "official, listing and sha256; or hub"
            )
        if self.hub and self.variant != "search-and-learn":
            yield "rollouts in hub follow search-and-learn || set variant to it"
        if (self.hub or self.listing) and not (self.policy and self.prm):
            yield "rollouts of a listing or of the hub need policy and prm"
        if len(set(self.hub)) < len(self.hub):
            yield "hub names one run twice || name each once"
        if sum(run.method == "best_of_n" for run in self.hub) > 1:
            yield "two runs of best_of_n in hub || name one, whose samples serve every N"
        paths = [file.path for file in self.files]
        if len(set(paths)) < len(paths):
            yield "a file stands twice in files || name it once"
        searches = [
            # Runs of dvts serve every N, whatever their own.
            (file.method, file.method == "dvts" or file.budget, file.repetition, file.prm)
            for file in self.files
            if file.method not in ("cot", "best_of_n")
        ]
        if len(set(searches)) < len(searches):
            yield "two files hold the same search || number them with repetition: 0, 1, ..."
        if self.reader != "rewardmath" and self.policy is None:
            yield "whose rollouts are they? || name the policy"

    def _complaints_of_address(self) -> Iterator[str]:
        """Rows say that they come from ``source``; from there they must be fetched."""
        host = str(urlsplit(str(self.source)).hostname).removeprefix("www.")
        if self.address is None:
            if host != "github.com":
                yield (
                    "source is not on GitHub, whose addresses are known || give address, that of "
                    "one file, such as https://.../{repository}/{commit}/{path}"
                )
            return
        try:
            address = self.address_of("a")
        except (LookupError, ValueError, AttributeError):
            yield (
                "address has other names in braces than {path}, {commit} and {repository} "
                "|| write these three alone"
            )
            return
        if self.repository not in address or str(self.commit) not in address:
            yield (
                "address leads elsewhere than source and commit, which every row would be said to "
                "come from || write {repository} and {commit} in address, or name as source the "
                "repository that address leads to; a copy elsewhere goes into the mirror folder"
            )

    @property
    def prms(self) -> tuple[str, ...]:
        """PRMs whose scores it holds."""
        named = [self.prm, *(file.prm for file in self.files)]
        return tuple(dict.fromkeys(name for name in named if name is not None))


class LockFile(dict[str, "LockEntry"]):
    """What pins each model, by name, and the file that says so."""

    def __init__(self, entries: Mapping[str, LockEntry], path: Path) -> None:
        super().__init__(entries)
        self.path = path


class LockEntry(Checked):
    """What pins one model: a commit of the hub, or the hash of a folder's content."""

    hub_id: str | None = Field(default=None, description="Hugging Face id")
    revision: str | None = Field(default=None, pattern=COMMIT, description="Commit on the hub")
    path: str | None = Field(default=None, max_length=1024, description="Folder of the model")
    sha256: str | None = Field(
        default=None, pattern=SHA256, description="sha256 of the folder's content"
    )

    def complaints(self) -> Iterator[str]:
        """A pin that is neither a commit nor a hash, or both."""
        hub, folder = (self.hub_id, self.revision), (self.path, self.sha256)
        if (all(hub), any(folder)) != (True, False) and (all(folder), any(hub)) != (True, False):
            yield "an entry holds hub_id and revision, or path and sha256"


class TasksFile(Checked):
    """Problem sets."""

    tasks: dict[str, TaskEntry] = Field(description="Tasks by name")


class PoliciesFile(Checked):
    """Policies, and the prompts they are asked with."""

    prompts: dict[str, PromptFamily] = Field(description="Prompt families by name")
    policies: dict[str, PolicyEntry] = Field(description="Policies by name")
    outside: dict[str, OutsidePolicy] = Field(
        default_factory=dict, description="Policies of adopted rollouts that never run here"
    )


class PrmsFile(Checked):
    """Process reward models."""

    prms: dict[str, PrmEntry] = Field(description="PRMs by name")
    outside: dict[str, OutsidePrm] = Field(
        default_factory=dict, description="Reward models of adopted scores that never run here"
    )


class AdoptedFile(Checked):
    """Rollouts that others made."""

    adopted: dict[str, AdoptedEntry] = Field(description="Adopted collections by name")


REGISTRY_FILES: dict[str, type[Checked]] = {
    "tasks": TasksFile,
    "policies": PoliciesFile,
    "prms": PrmsFile,
    "adopted": AdoptedFile,
}


@dataclass(frozen=True)
class Registry:
    """All entries of one registry folder, by name."""

    tasks: Mapping[str, TaskEntry]
    prompts: Mapping[str, PromptFamily]
    policies: Mapping[str, PolicyEntry]
    prms: Mapping[str, PrmEntry]
    adopted: Mapping[str, AdoptedEntry]
    outside_policies: Mapping[str, OutsidePolicy] = field(default_factory=dict)
    outside_prms: Mapping[str, OutsidePrm] = field(default_factory=dict)

    def task(self, name: str) -> TaskEntry:
        """The task called ``name``; raises ``StudyError`` for an unknown name, as all these do."""
        return _lookup(self.tasks, name, "task")

    def policy(self, name: str) -> PolicyEntry:
        """The policy called ``name``."""
        return _lookup(self.policies, name, "policy")

    def prm(self, name: str) -> PrmEntry:
        """The PRM called ``name``."""
        return _lookup(self.prms, name, "PRM")

    def policy_facts(self, name: str) -> PolicyEntry | OutsidePolicy:
        """What is known of the policy called ``name``, whether or not it can run here."""
        known: dict[str, PolicyEntry | OutsidePolicy] = {**self.outside_policies, **self.policies}
        return _lookup(known, name, "policy")

    def prm_facts(self, name: str) -> PrmEntry | OutsidePrm:
        """What is known of the PRM called ``name``, whether or not it can run here."""
        known: dict[str, PrmEntry | OutsidePrm] = {**self.outside_prms, **self.prms}
        return _lookup(known, name, "PRM")

    def prompt_family(self, name: str) -> PromptFamily:
        """The prompt family called ``name``."""
        return _lookup(self.prompts, name, "prompt family")

    def adopted_collection(self, name: str) -> AdoptedEntry:
        """The adopted collection called ``name``."""
        return _lookup(self.adopted, name, "adopted collection")


T = TypeVar("T")
File = TypeVar("File", bound=Checked)


def _lookup(entries: Mapping[str, T], name: str, kind: str) -> T:
    if name not in entries:
        raise StudyError(
            f"there is no {kind} called {name}",
            where="the registry",
            cure=suggestion(name, entries),
        )
    return entries[name]


def load_registry(folder: Path) -> Registry:
    """Read every registry file of ``folder`` but ``hardware.yaml``.

    Raises ``StudyError`` for the first bad file, with all that is wrong in it.
    """
    policies = read_entries(folder / "policies.yaml", PoliciesFile)
    prms_file = read_entries(folder / "prms.yaml", PrmsFile)
    prms = prms_file.prms
    refuse(
        [
            Finding(
                f"policies.{policy.name}.prompt",
                f"unknown prompt family {policy.prompt}",
                suggestion(policy.prompt, policies.prompts),
            )
            for policy in policies.policies.values()
            if policy.prompt not in policies.prompts
        ]
        + [
            Finding(f"policies.{name}", "a PRM has this name too", "rename one of the two")
            for name in sorted(policies.policies.keys() & prms.keys())
        ]
        + [
            Finding(f"outside.{name}", "another model has this name", "rename one of the two")
            for name, count in Counter(
                [*policies.policies, *policies.outside, *prms, *prms_file.outside]
            ).items()
            if count > 1 and (name in policies.outside or name in prms_file.outside)
        ],
        str(folder / "policies.yaml"),
    )
    tasks = read_entries(folder / "tasks.yaml", TasksFile).tasks
    adopted = {
        name: entry.model_copy(update={"listing": str(folder / entry.listing)})
        if entry.listing
        else entry
        for name, entry in read_entries(folder / "adopted.yaml", AdoptedFile).adopted.items()
    }
    known: dict[str, Mapping[str, Entry]] = {
        "task": tasks,
        "policy": {**policies.outside, **policies.policies},
        "prm": {**prms_file.outside, **prms},
    }
    refuse(
        [
            Finding(
                f"adopted.{entry.name}.{key}",
                f"{value} is not registered",
                suggestion(value, entries),
            )
            for entry in adopted.values()
            for key, named in (
                ("task", (entry.task,)),
                ("policy", (entry.policy,) if entry.policy else ()),
                ("prm", entry.prms),
            )
            for entries in (known[key],)
            for value in named
            if value not in entries
        ],
        str(folder / "adopted.yaml"),
    )
    return Registry(
        tasks=tasks,
        prompts=policies.prompts,
        policies=policies.policies,
        prms=prms,
        adopted=adopted,
        outside_policies=policies.outside,
        outside_prms=prms_file.outside,
    )


def load_lock(path: Path) -> LockFile:
    """The lock file: model name -> what pins it. Empty if there is no file yet.

    Raises ``StudyError`` for a bad one, with all that is wrong in it.
    """
    content = read_mapping(path) if path.exists() else {}
    entries = {name: validated(LockEntry, entry, (name,)) for name, entry in content.items()}
    refuse([f for entry in entries.values() if isinstance(entry, list) for f in entry], str(path))
    pins = {name: entry for name, entry in entries.items() if isinstance(entry, LockEntry)}
    return LockFile(pins, path)


def read_entries(path: Path, model: type[File]) -> File:
    """A file of named entries, each with its key as its name.

    Raises ``StudyError`` for what cannot be read, a secret, and all that is wrong in it.
    """
    content = read_mapping(path)
    check_secrets(content, str(path))
    entries = [
        (f"{section}.{key}", entry)
        for section, body in content.items()
        if isinstance(body, dict)
        for key, entry in body.items()
        if isinstance(entry, dict)
    ]
    findings = [
        Finding(f"{key}.name", "unknown key", "take it out; the key of the entry is its name")
        for key, entry in entries
        if "name" in entry
    ]
    for key, entry in entries:
        entry["name"] = key.partition(".")[2]
    result = validated(model, content)
    refuse([*findings, *(result if isinstance(result, list) else [])], str(path))
    assert isinstance(result, model)
    return result
