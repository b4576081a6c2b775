"""Test-time search: pools of samples, beam search and DVTS, as state machines of one problem each.

A search asks for samples and step scores and never touches an engine; ``run`` serves any mixture
of searches with a policy and a PRM::

    searches = (beam_search(p, prompt_ids(p), 16, settings, encode) for p in problems)
    run(searches, sampling=policy, scoring=prm, on_finished=write, max_in_flight=512)
"""

from compute_optimal.search.beam import beam_search, n_beams
from compute_optimal.search.common_answers import CommonAnswers, Drawn
from compute_optimal.search.driver import Search, run
from compute_optimal.search.dvts import dvts
from compute_optimal.search.records import (
    EndedBy,
    Fate,
    Ledger,
    Node,
    Path,
    PoolResult,
    Sample,
    SamplingSettings,
    ScoresResult,
    SearchResult,
    SearchSettings,
    StepScores,
)
from compute_optimal.search.sampling import draw, score_samples

__all__ = [
    "CommonAnswers",
    "Drawn",
    "EndedBy",
    "Fate",
    "Ledger",
    "Node",
    "Path",
    "PoolResult",
    "Sample",
    "SamplingSettings",
    "ScoresResult",
    "Search",
    "SearchResult",
    "SearchSettings",
    "StepScores",
    "beam_search",
    "draw",
    "dvts",
    "n_beams",
    "run",
    "score_samples",
]
