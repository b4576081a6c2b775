"""Configuration: pydantic models are the one source of truth, and the only reader of YAML.

The JSON schemas that editors complete from and the tables of ``config/README.md`` are generated
from the models by ``python -m compute_optimal.study.config``.
"""

from compute_optimal.study.config.claims import Claim, ClaimRule, ClaimScale, load_claims
from compute_optimal.study.config.hardware import HardwareEntry, hardware_named
from compute_optimal.study.config.registry import (
    AdoptedEntry,
    AdoptedMethod,
    ChainParameters,
    HubRollouts,
    LockEntry,
    LockFile,
    ModelEntry,
    OutsidePolicy,
    OutsidePrm,
    PolicyEntry,
    PrmEntry,
    PromptFamily,
    ReaderName,
    Registry,
    RolloutFile,
    Sampling,
    TaskEntry,
    load_lock,
    load_registry,
)
from compute_optimal.study.config.study import (
    Difficulty,
    Grading,
    Statistics,
    StoreFolders,
    Study,
    load_study,
    parse_study,
)
from compute_optimal.study.config.variation import (
    SCORED_METHODS,
    SEARCH_METHODS,
    Method,
    Part,
    PolicyOverride,
    SamplingOverride,
)

__all__ = [
    "SCORED_METHODS",
    "SEARCH_METHODS",
    "AdoptedEntry",
    "AdoptedMethod",
    "ChainParameters",
    "Claim",
    "ClaimRule",
    "ClaimScale",
    "Difficulty",
    "Grading",
    "HardwareEntry",
    "HubRollouts",
    "LockEntry",
    "LockFile",
    "Method",
    "ModelEntry",
    "OutsidePolicy",
    "OutsidePrm",
    "Part",
    "PolicyEntry",
    "PolicyOverride",
    "PrmEntry",
    "PromptFamily",
    "ReaderName",
    "Registry",
    "RolloutFile",
    "Sampling",
    "SamplingOverride",
    "Statistics",
    "StoreFolders",
    "Study",
    "TaskEntry",
    "hardware_named",
    "load_claims",
    "load_lock",
    "load_registry",
    "load_study",
    "parse_study",
]
