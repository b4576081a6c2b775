"""What the plan asks of each command: the models of its parameter, the same on both sides.

The canonical JSON of a request is its rule's one parameter, and its digest is part of the names of
the files that the rule makes (but for models, whose folders are named by their recipes). Fields are
what they are called in that JSON: a new one that is set, or another name, makes all behind it anew.
The specs in it stay as ``cells`` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import pydantic
from pydantic import BaseModel, ConfigDict, Discriminator, RootModel, Tag, TypeAdapter

from compute_optimal.errors import StudyError
from compute_optimal.micro.recipe_kinds import (
    BaseRecipe,
    PolicyRecipe,
    PrmRecipe,
)
from compute_optimal.study.spec import Spec, canonical, digest


class _Part(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Asked(BaseModel):
    """Whatever is the one parameter of a rule."""

    @property
    def _content(self) -> Spec:
        # A field that was never named, such as the shard of a whole job, is no part of it.
        content: Spec = self.model_dump(exclude_unset=True)
        return content

    @property
    def text(self) -> str:
        """Its canonical JSON, which ``parsed`` reads."""
        return canonical(self._content)

    @cached_property
    def digest(self) -> str:
        """First 12 hexadecimal digits of the sha256 of its text, as names of files carry them."""
        return digest(self._content)


class Request(_Asked, _Part):
    """What one job is asked for, field by field."""


class OnTask(Request):
    """A request about the problems of one task."""

    task: Spec
    """What determines its problems (``tasks.task_identity``)."""
    problems: int | None
    """How many of them, from the first; None for all."""

    @property
    def task_name(self) -> str:
        return str(self.task["name"])


class ProblemsRequest(OnTask):
    """``prepare_problems``: facts about them."""


# --- generate -------------------------------------------------------------------------------------


class Shard(_Part):
    """Every ``of``-th problem of a job that is split; numbered from 1."""

    number: int
    of: int


class OfShards(OnTask):
    """A job of the generate zone, or a shard of one."""

    shard: Shard | None = None


class PoolPart(_Part):
    """A pool: its spec, and ``n`` samples a problem."""

    n: int
    spec: Spec


class SearchPart(_Part):
    """Searches of one spec: DVTS as its number of ``subtrees`` a problem, beam search as one.

    ``budget``: N of a beam search, the largest N for DVTS.
    """

    method: str
    budget: int
    subtrees: int
    spec: Spec


class SamplesRequest(OfShards):
    """``draw_samples``: the pools of one (task, policy), by their names."""

    pools: Mapping[str, PoolPart]


class ScoresRequest(OfShards):
    """``score_steps``: one PRM's scores of ``n`` samples a problem."""

    n: int
    spec: Spec


class SearchesRequest(OfShards):
    """``search_trees``: all searches of one (task, policy, PRM)."""

    searches: tuple[SearchPart, ...]


# --- judge ----------------------------------------------------------------------------------------


class PrmSearchPart(SearchPart):
    """Searches of one spec, and the PRM that led them."""

    prm: str


class Graded(OnTask):
    """Answers are graded by these versions of the graders, within ``seconds`` [s] a comparison."""

    grader: str
    other_graders: tuple[str, ...]
    seconds: float


class RunAnswersRequest(Graded):
    """``grade_answers`` of one run (task, policy): its pools and all searches of it."""

    policy: str
    pools: Mapping[str, PoolPart]
    searches: tuple[PrmSearchPart, ...]


class AdoptedAnswersRequest(Graded):
    """``grade_answers`` of all that is adopted on a task: specs of collections by policy, as the
    study names it."""

    collections: Mapping[str, Spec]


AnswersRequest = RunAnswersRequest | AdoptedAnswersRequest


class ChecksRequest(OnTask):
    """``check_steps``: the first ``n`` samples a problem of a policy's evaluation pool (its spec:
    ``samples``), and what its searches pruned."""

    policy: str
    n: int
    samples: Spec
    searches: tuple[PrmSearchPart, ...]


# --- analyse --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AbilitySettings:
    """How intervals are made; see ``config.Statistics``. ``confidence``: from 0 to 1."""

    replicates: int
    confidence: float
    seed: int


class ExaminationRequest(Request):
    """``examine_prms`` on one task: by policy the digest of the ``ChecksRequest`` that its steps
    were checked for, and the specs of the scores by PRM and policy."""

    task: str
    checks: Mapping[str, str]
    scores: Mapping[str, Mapping[str, Spec]]
    settings: AbilitySettings


@dataclass(frozen=True)
class EstimateSettings:
    """The settings that estimates depend on; see the keys of ``config.Study``.

    ``easy`` and ``medium`` are Pass@1 from 0 to 1, ``confidence`` a level from 0 to 1.
    """

    budgets: Sequence[int]
    beam_width: int
    easy: float
    medium: float
    bootstrap_replicates: int
    vote_subsets: int
    confidence: float
    seed: int


class PolicyPart(_Part):
    """What estimates ask about a policy, which is called as the study names it."""

    policy: str
    n_parameters: int | None
    is_reasoning: bool


class AdoptedScores(_Part):
    """The spec of an adopted collection and the PRM that guided or scored it; None where none
    did."""

    prm: str | None
    spec: Spec


class AdoptedPolicyPart(PolicyPart):
    """A policy whose rollouts are adopted."""

    adopted: AdoptedScores


class Estimated(Request):
    """Estimates from the answers of the request with the digest ``answers``."""

    answers: str
    task: str
    settings: EstimateSettings


class RunEstimatesRequest(Estimated, PolicyPart):
    """``estimate_accuracy`` of one run (task, policy): specs of its scores by PRM, and of PRMs that
    read less than the whole pool how many samples a problem."""

    scores: Mapping[str, Spec]
    scored: Mapping[str, int] = {}


class AdoptedEstimatesRequest(Estimated):
    """``estimate_accuracy`` of all that is adopted on a task."""

    collections: tuple[AdoptedPolicyPart, ...]


EstimatesRequest = RunEstimatesRequest | AdoptedEstimatesRequest


class StudyDescription(Request):
    """``describe_study``: the study, the registry entries that it names, and the paths of the
    tables in its database, which change with anything else that goes into it."""

    study: Mapping[str, Any]
    entries: Sequence[Mapping[str, Any]]
    tables: Sequence[str]


# --- the scale model ------------------------------------------------------------------------------


def _recipe_kind(recipe: Any) -> str:
    if not isinstance(recipe, Mapping):
        return type(recipe).__name__
    own_fields = {"architecture": PolicyRecipe, "start": BaseRecipe}
    kinds = [kind for field, kind in own_fields.items() if field in recipe]
    return (kinds or [PrmRecipe])[0].__name__


class TrainingRequest(
    _Asked,
    RootModel[
        Annotated[
            Annotated[PolicyRecipe, Tag("PolicyRecipe")]
            | Annotated[BaseRecipe, Tag("BaseRecipe")]
            | Annotated[PrmRecipe, Tag("PrmRecipe")],
            Discriminator(_recipe_kind),
        ]
    ],
):
    """``train_micro_policy``, ``_base`` and ``_prm``: the recipe, which determines the model."""


# --- commands -------------------------------------------------------------------------------------


def _origin(request: Any) -> str:
    return "adopted" if isinstance(request, Mapping) and "collections" in request else "run"


_OF_VERB: dict[str, Any] = {
    "prepare-problems": ProblemsRequest,
    "draw-samples": SamplesRequest,
    "score-steps": ScoresRequest,
    "search-trees": SearchesRequest,
    "grade-answers": Annotated[
        Annotated[RunAnswersRequest, Tag("run")] | Annotated[AdoptedAnswersRequest, Tag("adopted")],
        Discriminator(_origin),
    ],
    "check-steps": ChecksRequest,
    "examine-prms": ExaminationRequest,
    "estimate-accuracy": Annotated[
        Annotated[RunEstimatesRequest, Tag("run")]
        | Annotated[AdoptedEstimatesRequest, Tag("adopted")],
        Discriminator(_origin),
    ],
    "describe-study": StudyDescription,
    "train-micro-model": TrainingRequest,
}


def parsed(verb: str, text: str) -> Any:
    """The request of a command that takes one (``verb``), from its JSON.

    Raises ``StudyError`` for a text that is no request of it.
    """
    try:
        return TypeAdapter(_OF_VERB[verb]).validate_json(text)
    except pydantic.ValidationError as error:
        complaints = [
            f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}"
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise StudyError(
            f"this is no request of {verb}:\n    " + "\n    ".join(complaints[:5]),
            where=f"--spec of {verb}",
            cure="let the workflow give the command (make run CONFIG=...): it writes the request",
        ) from None
