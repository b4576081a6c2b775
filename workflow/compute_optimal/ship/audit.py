"""Whether what ships was made as it says: the third tier of the verification.

A random slice of the store is drawn anew with the shipped models, and adopted rollouts are adopted
again. Who replaced samples together with all that follows from them passes the first two tiers;
here each replaced unit that the slice holds is another one. The slice is drawn by the reviewer's
seed, so nobody can know beforehand which units it holds.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compute_optimal.adopt.collection import adopt
from compute_optimal.adopt.tokens import tokenizer_or_reason
from compute_optimal.engines import NO_ENGINE, engine_version
from compute_optimal.engines.likelihood import Drawn, Likelihood, likelihoods
from compute_optimal.errors import StudyError, is_found_here
from compute_optimal.generate.loading import kept_open, policy_folder
from compute_optimal.policies.prompts import encode_texts, load_tokenizer, prompt_ids
from compute_optimal.present.style import counted
from compute_optimal.ship.plausibility import (
    ARITHMETIC,
    ERROR_RATE,
    chance_to_find,
    implausibility,
    joined,
    too_many,
)
from compute_optimal.ship.possible_units import histories
from compute_optimal.ship.redrawing import (
    CellSlice,
    Compared,
    Key,
    Row,
    ShippedCell,
    choose,
    compare,
    inconsistencies,
    shipped_cells,
    stored_rows,
)
from compute_optimal.ship.report import hand_over, made, report_page
from compute_optimal.store.partitions import Store
from compute_optimal.store.places import Kind, partition
from compute_optimal.store.storage import Storage, shipped_store
from compute_optimal.study.cells import ADOPTED_TABLES, Grid, collections
from compute_optimal.study.config import Study
from compute_optimal.study.spec import digest
from compute_optimal.tasks.datasets import mirror_folder

SHARE = 0.001
"""Share of the shipped units that is made anew unless another is named: about three minutes of
processor time for the scale model."""

REPLACED = (0.0001, 0.001, 0.01, 0.1)
"""Replaced shares for which a page says how likely they are to be found."""

KINDS: Mapping[Kind, str] = {
    "samples": "samples",
    "step_scores": "scores of samples",
    "searches": "searches and subtrees",
}

_COLLECTIONS = "adopted collections"

_SHOWN = 3
_MOST_JUDGED = 200


@dataclass(frozen=True)
class Finding:
    """What became of the slice of one cell, or of one adopted collection."""

    subject: str
    passed: bool
    n_stored: int
    n_drawn: int
    n_different: int
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Power:
    """What an audit of so many units finds; ``chances`` by the shares in ``REPLACED``, whichever
    units were replaced."""

    what: str
    n_stored: int
    n_out_of_reach: int
    """Units of cells that the slice asks of and that could not be made anew here."""
    n_drawn: int
    allowed: int
    chances: tuple[float, ...]


@dataclass(frozen=True)
class Audit:
    """What was drawn anew, what differed, and what would have been found."""

    studies: tuple[str, ...]
    seed: int
    share: float
    engine: str
    seconds: float
    findings: tuple[Finding, ...]
    powers: tuple[Power, ...]
    notes: tuple[str, ...]

    @property
    def drawn(self) -> bool:
        """Whether anything was drawn anew at all; of studies that only adopt, adopted again."""
        made_by_models = [power for power in self.powers if power.what != _COLLECTIONS]
        return any(power.n_drawn for power in made_by_models or self.powers)

    @property
    def undrawn(self) -> str:
        """In words, that nothing was drawn anew, and what was adopted again all the same."""
        n = sum(power.n_drawn for power in self.powers if power.what == _COLLECTIONS)
        if not n:
            return "nothing was drawn anew"
        again = f"{counted(n, 'adopted collection')} {'was' if n == 1 else 'were'} adopted again"
        return f"nothing that models made was drawn anew ({again})"

    @property
    def not_drawn(self) -> tuple[Finding, ...]:
        """What of the slice could not be made anew, and so is not known."""
        return tuple(finding for finding in self.findings if not finding.n_drawn)

    @property
    def passed(self) -> bool:
        return all(finding.passed for finding in self.findings)

    @property
    def html(self) -> str:
        """The page for a reader."""
        return report_page(
            "audit.html",
            title=f"Audit of {', '.join(self.studies)}",
            audit=self,
            made=made(),
            replaced=REPLACED,
            error_rate=ERROR_RATE,
            arithmetic=ARITHMETIC,
        )

    @property
    def text(self) -> str:
        """The same, short, for a terminal."""
        lines = [f"seed {self.seed}, a share of {self.share:g}; engine: {self.engine}"]
        for finding in self.findings:
            if not finding.passed or finding.n_different:
                lines.append(f"{'ok  ' if finding.passed else 'FAIL'} {finding.subject}")
                lines += [f"       {remark}" for remark in finding.remarks]
        for why, n in Counter(one.remarks[0] for one in self.not_drawn).most_common(_SHOWN):
            lines.append(f"{counted(n, 'cell or collection', 'cells or collections')}: {why}")
        for power in self.powers:
            chances = ", ".join(
                f"{share:.2%} with {chance:.0%}"
                for share, chance in zip(REPLACED, power.chances, strict=True)
            )
            unseen = f" ({power.n_out_of_reach:,} out of reach)" if power.n_out_of_reach else ""
            lines.append(
                f"{power.n_drawn:,} of {power.n_stored:,} {power.what}{unseen} made anew; "
                f"a replaced share, whichever it is, is found: {chances}"
            )
        return "\n".join([*lines, *self.notes])


def audit_studies(
    studies: Sequence[Study], share: float | None, seed: int | None, page: Path | None
) -> Iterator[str]:
    """Audit what ships of ``studies`` and write a page of it; yields what a person should read.

    ``seed``: by default the clock's; ``page``: by default beside the first study's results. Raises
    ``StudyError`` where the audit fails, and where nothing was drawn.
    """
    seed = time.time_ns() // 1_000_000_000 if seed is None else seed
    yield f"seed of this audit: {seed}"
    page = page or studies[0].results / "audit.html"
    share = SHARE if share is None else share
    with tempfile.TemporaryDirectory() as folder:
        audited = yield from hand_over(
            lambda: audit(studies, Path(folder), share=share, seed=seed),
            page,
            failure="what ships with these studies was not made as it says",
            cure="restore data/ from version control, or make it anew: make micro",
        )
    if not audited.drawn:
        reasons = [one.remarks[0] for one in audited.findings if not one.n_drawn]
        why = Counter(reasons).most_common(1)[0][0] if reasons else "there was nothing to draw"
        raise StudyError(
            f"{audited.undrawn}; of most cells: {why}",
            where=str(page),
            cure="see there of each; an engine comes with make audit, models with the repository, "
            "rollouts of others from their addresses or MIRROR=folder",
        )


def audit(studies: Sequence[Study], folder: Path, *, share: float, seed: int) -> Audit:
    """Draw a slice of what ships of ``studies`` anew and compare; ``folder`` is a new one.

    Raises ``StudyError`` for a share that is no share, a seed that is none, a mirror that is no
    folder, and where nothing ships of the studies.
    """
    if not 0 < share <= 1 or math.isnan(share):
        raise StudyError(
            f"a share of {share:g} is none of the store",
            where="--share (make audit SHARE=...)",
            cure="give a number above 0, and at most 1 for all of it",
        )
    if seed < 0:
        raise StudyError(
            f"a seed of {seed} is none",
            where="--seed (make audit SEED=...)",
            cure="give a whole number from 0 on, or leave it out for the clock's",
        )
    mirrors = [mirror_folder(study.mirror) for study in studies]
    started = time.monotonic()
    rng = np.random.default_rng(seed)
    shipped = shipped_cells(studies)
    slices = choose(shipped, share, rng)
    if not shipped and not any(study.adopted for study in studies):
        raise StudyError(
            "nothing that ships belongs to these studies",
            where=", ".join(sorted({str(study.store.shipped) for study in studies})),
            cure="fetch their store, or name studies whose results ship",
        )
    notes = list(_absent(studies, shipped))
    # A study may only adopt: then there is nothing that an engine would be needed for.
    if slices and engine_version() == NO_ENGINE:
        notes.append(
            "No engine is in this environment, so nothing that models made was drawn anew: the "
            "slice was only looked through for what cannot be so. make audit makes an environment "
            "with one."
        )
        compared = [_unmade(one, "there is no engine here") for one in slices]
    else:
        with kept_open():
            compared = list(compare(slices, folder / "redrawn"))
    findings = list(findings_of(compared, rng))
    adopted = [*_adopted_again(studies, share, folder, rng, notes, any(mirrors))]
    return Audit(
        tuple(study.name for study in studies),
        seed,
        share,
        engine_version(),
        time.monotonic() - started,
        (*findings, *adopted),
        (*_powers(shipped, compared), *_power_of_collections(studies, adopted)),
        tuple(notes),
    )


def _absent(studies: Sequence[Study], shipped: Sequence[ShippedCell]) -> Iterator[str]:
    """That cells do not ship, which no draw can show."""
    there = {digest(one.cell.spec) for one in shipped}
    needed = {digest(cell.spec): cell for study in studies for cell in Grid(study)}
    absent = [cell for name, cell in needed.items() if name not in there]
    if absent and there:
        yield (
            f"{counted(len(absent), 'cell')} of {len(needed):,} that the studies need "
            f"{'does' if len(absent) == 1 else 'do'} not ship, so nothing is known of "
            f"{'it' if len(absent) == 1 else 'them'}; the first: "
            f"{absent[0].partition(Store(Path())).directory}"
        )


def _unmade(one: CellSlice, why: str) -> Compared:
    return Compared(one, stored_rows(shipped_store(one.study), one), {}, (), why)


# --- what differences mean ------------------------------------------------------------------------


def findings_of(compared: Sequence[Compared], rng: np.random.Generator) -> Iterator[Finding]:
    """What the differences of all slices mean, a finding a cell."""
    made = [one for one in compared if not one.failure]
    excess = {kind: _too_many_of(made, kind) for kind in KINDS}
    suspect = [one for one in made if any(d.other_text for d in one.differences)]
    p_values = {id(one): _implausibility(one, rng) for one in suspect}
    limit = ERROR_RATE / 2 / max(1, len(suspect))
    for one in compared:
        wrong = list(inconsistencies(one.slice, one.stored))
        if one.failure:
            remarks = [f"not drawn anew: {one.failure}", *wrong[:_SHOWN]]
            # Models that are not here prove nothing; what cannot be so does.
            yield _finding(one, not wrong, remarks, 0)
            continue
        others = [d for d in one.differences if not d.excusable]
        excusable = [d for d in one.differences if d.excusable]
        texts = [d for d in one.differences if d.other_text]
        remarks = [f"{d.key[0]}, {d.key[1]}: {d.what}" for d in (*others, *excusable)]
        passed = not others and not wrong
        if excusable and (count := excess[one.slice.cell.kind]) is not None:
            passed = False
            remarks.append(
                f"{count} {KINDS[one.slice.cell.kind]} of all cells differ: more than another "
                "machine's arithmetic explains"
            )
        if texts:
            p = p_values[id(one)]
            passed = passed and p >= limit
            how = "no" if p < limit else "a"
            remarks.append(
                f"by their likelihood, the {len(texts)} differing texts are {how} likely draw of "
                f"this policy (p = {p:.2g}, limit {limit:.2g})"
            )
        yield _finding(one, passed, [*wrong, *remarks], len(one.differences))


def _finding(one: Compared, passed: bool, remarks: Sequence[str], n_different: int) -> Finding:
    n_drawn = 0 if one.failure else len(one.slice.keys)
    last = remarks[-2:] if len(remarks) > _SHOWN + 2 else remarks[_SHOWN:]
    return Finding(
        one.slice.name,
        passed,
        one.slice.n_stored,
        n_drawn,
        n_different,
        (*remarks[:_SHOWN], *last) or ("all as drawn anew",),
    )


def _too_many_of(made: Sequence[Compared], kind: Kind) -> int | None:
    """How many units of a kind differ as arithmetic may make them; None if not too many."""
    of_kind = [one for one in made if one.slice.cell.kind == kind]
    n = sum(len(one.slice.keys) for one in of_kind)
    count = sum(d.excusable for one in of_kind for d in one.differences)
    return count if n and count >= too_many(n, len(KINDS)) else None


def _implausibility(one: Compared, rng: np.random.Generator) -> float:
    """p-value of the likelihood of a cell's other texts: see ``plausibility``."""
    keys = [d.key for d in one.differences if d.other_text]
    if len(keys) > _MOST_JUDGED:
        keys = [keys[i] for i in sorted(rng.choice(len(keys), _MOST_JUDGED, replace=False))]
    # Both at once: the policy is opened once.
    texts = [list(_texts(one, key, rows[key])) for rows in (one.stored, one.fresh) for key in keys]
    of_units = _likelihoods(one, texts)
    stored, fresh = of_units[: len(keys)], of_units[len(keys) :]
    return implausibility(stored, fresh, len(one.slice.keys), rng)


@dataclass(frozen=True)
class _Text:
    """A text that was drawn after ``before``, texts that the policy had drawn itself."""

    problem_hash: str
    before: tuple[str, ...]
    text: str
    finish_reason: str


def _texts(one: Compared, key: Key, row: Row) -> Iterator[_Text]:
    """What of a unit the policy drew: a sample; of a tree each node, after its parents."""
    if one.slice.cell.kind == "samples":
        yield _Text(key[0], (), row["text"], row["finish_reason"])
    elif one.slice.cell.kind == "searches":
        for history, node in zip(histories(row), row["nodes"], strict=True):
            yield _Text(key[0], history[:-1], node["text"], node["finish_reason"])


def _likelihoods(one: Compared, units: Sequence[Sequence[_Text]]) -> list[Likelihood]:
    """The likelihood of each unit, which is made up of texts."""
    study, spec = one.slice.study, one.slice.cell.spec
    storage = Storage.of(study)
    folder = policy_folder(storage, spec)
    tokenizer = load_tokenizer(folder)
    family = study.prompt_family(study.policy(one.slice.cell.policy).prompt)
    problems = {
        problem.problem_hash: prompt_ids(tokenizer, family, problem.problem)
        for problem in storage.problems(study.task(one.slice.cell.task), None)
    }
    end: int | None = getattr(tokenizer, "eos_token_id", None)
    drawn, owners = [], []
    for owner, texts in enumerate(units):
        for text in texts:
            *before, ids = encode_texts(tokenizer, [*text.before, text.text])
            ended = [end] if text.finish_reason == "eos" and end is not None else []
            if ids or ended:
                prompt = problems[text.problem_hash]
                said = tuple(i for part in before for i in part)
                drawn.append(Drawn((*prompt, *said), (*ids, *ended)))
                owners.append(owner)
    settings = {name: spec[name] for name in ("temperature", "top_p", "top_k")}
    of_unit: list[list[Likelihood]] = [[] for _ in units]
    for owner, of_text in zip(owners, likelihoods(folder, drawn, **settings), strict=True):
        of_unit[owner].append(of_text)
    return [joined(texts) for texts in of_unit]


def _powers(shipped: Sequence[ShippedCell], compared: Sequence[Compared]) -> Iterator[Power]:
    """What is found of each kind that ships.

    The slice is drawn from all units of a kind, so that which were replaced is no matter, but for
    those out of reach: a forger would replace these first. Units that came to the slice so that
    every model is asked may be replaced ones, too; no chance is reckoned from them.
    """
    made = [one for one in compared if not one.failure]
    failed = {one.slice.cell.job for one in compared if one.failure}
    opened = {model for one in made for model in (one.slice.cell.policy, one.slice.cell.prm)}
    for kind in dict.fromkeys(one.cell.kind for one in shipped):
        of_kind = [one for one in shipped if one.cell.kind == kind]
        unseen = [
            one
            for one in of_kind
            if one.cell.job in failed or not {one.cell.policy, one.cell.prm} <= opened | {None}
        ]
        slices = [one.slice for one in made if one.slice.cell.kind == kind]
        n = sum(len(one.keys) for one in slices)
        # Scores of another PRM are found by themselves; of texts, arithmetic excuses a few.
        count = 1 if kind == "step_scores" else too_many(n, len(KINDS))
        yield _power(
            KINDS[kind],
            sum(len(one.keys) for one in of_kind),
            sum(len(one.keys) for one in unseen),
            n,
            n - sum(one.n_extra for one in slices),
            count,
        )


def _power(
    what: str, n_shipped: int, n_out_of_reach: int, n_drawn: int, n_random: int, count: int
) -> Power:
    """``n_random`` of the ``n_drawn`` units were drawn by chance; ``count`` replaced ones are
    found. Of a replaced share those that are out of reach are never found."""
    chances = []
    for share in REPLACED:
        replaced = math.ceil(round(share * n_shipped, 6))
        within, n = max(0, replaced - n_out_of_reach), n_shipped - n_out_of_reach
        chances.append(chance_to_find(within, n, n_random, count) if within else 0.0)
    return Power(what, n_shipped, n_out_of_reach, n_drawn, count - 1, tuple(chances))


def _power_of_collections(studies: Sequence[Study], adopted: Sequence[Finding]) -> Iterator[Power]:
    """The same of adopted collections, of which one that has other rows is found by itself."""
    n_shipped = len({one.name for study in studies for one in collections(study)})
    n_failed = sum(not finding.n_drawn for finding in adopted)
    n_drawn = len(adopted) - n_failed
    if n_shipped:
        yield _power(_COLLECTIONS, n_shipped, n_failed, n_drawn, n_drawn, 1)


# --- adopted rollouts -----------------------------------------------------------------------------


def _adopted_again(
    studies: Sequence[Study],
    share: float,
    folder: Path,
    rng: np.random.Generator,
    notes: list[str],
    has_mirror: bool,
) -> Iterator[Finding]:
    """Adopted collections, adopted again and compared row by row.

    All of them where a mirror is set that holds their files, else some, from their addresses. What
    cannot be had proves nothing; files with other bytes, or with no such rollouts in them, do.
    """
    by_name = {one.name: (study, one) for study in studies for one in collections(study)}
    if not by_name:
        return
    names = sorted(by_name)
    n = len(names)  # all of them take less time than to open the models
    if not has_mirror:
        n = math.ceil(share * n)
        notes.append(
            "No mirror is set, so the files of adopted collections are fetched from their "
            "addresses, and only as many as the share says; all of them, and without a network: "
            "MIRROR=/path/to/folder make audit."
        )
    for place in sorted(rng.choice(len(names), size=n, replace=False).tolist()):
        study, one = by_name[names[place]]
        storage = Storage.of(study, Store(folder / "adopted"))
        try:
            adopt(one.entry, study.task(one.task), storage, None)
        except StudyError as error:
            wrong = is_found_here(error)
            if wrong:
                remark = f"cannot be adopted again: {error.what}"
            else:
                remark = f"not adopted again: {error.what}"
            yield Finding(f"adopted: {one.name}", not wrong, 1, int(wrong), int(wrong), (remark,))
            continue
        before, after = (
            partition(store, one.spec) for store in (shipped_store(study), storage.store)
        )
        tokenizer = tokenizer_or_reason(one.entry.tokenizer, storage.mirror)
        # Tokens that were counted where the tokenizer was at hand cannot be counted again here.
        counted = one.entry.tokenizer is None or isinstance(tokenizer, Path)
        left_out = "" if counted else f", but for counts of tokens: {tokenizer}"
        other = [
            table
            for table in ADOPTED_TABLES
            if (counted or table != "adopted_tokens")
            and not before.read(table).equals(after.read(table), null_equal=True)
        ]
        yield Finding(
            f"adopted: {one.name}",
            not other,
            1,
            1,
            len(other),
            tuple(f"{table} has other rows, adopted again" for table in other)
            or (f"the same rows, adopted again{left_out}",),
        )
