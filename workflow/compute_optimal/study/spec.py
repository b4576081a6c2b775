"""Identity: what determines the bytes of an intermediate result, and nothing else.

A spec is a JSON object. The digest of its canonical text (sorted keys, no spaces, no NaN) names the
partition of the store that holds the result, and it stands in the request that is the one parameter
of an expensive rule. Two specs are the same if and only if their canonical texts are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

Spec = Mapping[str, Any]

SAMPLE_VERSION = 1
"""Raised when the code that renders prompts or draws samples changes its output."""

SEARCH_VERSION = 2
"""Raised when the code that renders prompts or walks trees changes its output for what is stored.

Not raised where siblings with one text came to take one slot, and first steps taken by force to end
where they were cut: of the 234,800 shipped trees two held such siblings, one of them kept and one
pruned, which is now called a duplicate in both; no path, answer or cost is another.
"""

DIGEST_LENGTH = 12


def canonical(spec: Spec) -> str:
    """The one text of a spec. Numbers keep their type: 2 and 2.0 are different specs.

    Raises ``TypeError`` for values that JSON lacks and ``ValueError`` for NaN and infinities: bugs,
    not errors of a user.
    """
    return json.dumps(
        spec, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def digest(spec: Spec) -> str:
    """First 12 hexadecimal digits of the sha256 of the canonical text."""
    return hashlib.sha256(canonical(spec).encode()).hexdigest()[:DIGEST_LENGTH]


def text_hash(text: str) -> str:
    """First 12 hexadecimal digits of a text's sha256: what ties scores to what they were given."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def seed_for(*parts: str | int) -> int:
    """A seed in [0, 2**31) hashed from a key, so that shards and resumed runs agree.

    Neighbouring keys get unrelated seeds: vLLM gives the children of one request seed, seed + 1,
    ..., which would overlap between requests if seeds were base + index.
    """
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def seed_of_sample(spec_digest: str, problem_hash: str, sample_index: int) -> int:
    """The seed that a sample is drawn with: a function of its pool's spec, problem and index."""
    return seed_for(spec_digest, problem_hash, sample_index)


def verdicts_spec(
    adopted: Spec, task: Spec, *, grader: str, other_graders: Sequence[str], seconds: float
) -> dict[str, Any]:
    """Spec of what graders say of the answers of an adopted collection.

    ``task``: ``tasks.task_identity``. ``seconds``: the limit of one comparison [s], over which an
    answer is undecided.
    """
    return {
        "kind": "verdicts",
        "adopted": adopted,
        "task": task,
        "grader": grader,
        "other_graders": list(other_graders),
        "seconds": float(seconds),
    }


def problems_spec(task: Spec) -> dict[str, Any]:
    """Spec of the facts about a task's problems (``storage.FACTS``). ``task``:
    ``tasks.task_identity``."""
    return {"kind": "problems", "task": task}
