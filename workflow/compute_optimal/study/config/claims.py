"""The paper's claims: what each says, where its evidence comes from, and what decides it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from compute_optimal.study.config.registry import Checked, Line, read_entries

ClaimScale = Literal["public", "printed", "paper", "study"]


class ClaimRule(Checked):
    """What must hold between a value and its reference for the claim to hold."""

    expect: Literal["above", "at_least", "equal", "rises", "falls"] = Field(
        default="above",
        description="The value is above its reference, at least it, or equal to it; or the "
        "difference rises or falls with the query's x",
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        le=1_000_000,
        description="How far above the reference the value must be, for equal how far off it may "
        "be, for rises and falls how steep the trend [unit of printed values; percentage points of "
        "accuracies, % where measure is relative, for a trend per unit of x]",
    )
    across: Literal["mean", "each", "first"] = Field(
        default="mean",
        description="What is judged: the mean over the cases, each, or the first of the query's, "
        "beside which the others are shown; printed numbers always one by one",
    )
    measure: Literal["difference", "relative"] = Field(
        default="difference",
        description="Difference from the reference, or difference over the reference",
    )
    general: Sequence[Literal["policies", "prms"]] = Field(
        default=(),
        description="Models that the claim is about in general: in the stricter verdict they are "
        "resampled together with the problems",
    )
    least_cases: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="Fewer cases with results on 10 problems or more leave the claim untested: 2 "
        "for one about both benchmarks [count]",
    )


class Claim(Checked):
    """One claim of the paper. The name is the entry's key in its file."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", max_length=100, description="Key of the entry")
    statement: Line = Field(description="The claim in one short sentence")
    conditions: str = Field(
        default="",
        max_length=500,
        description="On what it is tested, and how: what a reader must know to hold the verdict "
        "against the paper, in one line below the sentence",
    )
    where: Line = Field(description="Where the paper makes it")
    scale: ClaimScale = Field(
        description="What it is checked on: models that others ran and published, numbers that "
        "the paper prints, the paper's models as far as the study holds them, or whatever models "
        "the study runs"
    )
    query: str = Field(
        pattern=r"^[a-z0-9_]+$", max_length=100, description="File in workflow/sql/claims"
    )
    parameters: Mapping[str, str | float] = Field(
        default={},
        description="Values of the query's $names. Patterns are regular expressions; policies, "
        "tasks, prms, ability and difficulty match everything where they are left out",
    )
    rule: ClaimRule = Field(default=ClaimRule(), description="What decides it")
    printed: str = Field(
        default="", max_length=500, description="What the paper prints for it, in short"
    )
    needs: str = Field(
        default="", max_length=500, description="What a study must run for it to be tested"
    )
    items: tuple[Line, ...] = Field(
        default=(),
        description="Those of config/paper.yaml's items that it needs, whose price make plan says",
    )

    def complaints(self) -> Iterator[str]:
        """Parameters that are no regular expressions, and a trend of printed numbers."""
        if self.scale == "printed" and self.rule.expect in ("rises", "falls"):
            yield (
                f"printed numbers have no trend, and rule.expect is {self.rule.expect} || "
                "expect above, at_least or equal"
            )
        for key, value in self.parameters.items():
            try:
                re.compile(str(value))
            except re.error as error:
                yield f"parameters.{key} is no pattern: {error} || mend the regular expression"


class ClaimsFile(Checked):
    """Claims of the paper, in the order in which they are reported."""

    claims: dict[str, Claim] = Field(description="Claims by name")


def load_claims(path: Path) -> tuple[Claim, ...]:
    """The claims of a file, in its order. Raises one ``StudyError`` for all that is wrong in it."""
    return tuple(read_entries(path, ClaimsFile).claims.values())
