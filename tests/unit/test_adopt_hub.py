"""Completions in the schema of search-and-learn, written here, become facts; failures are named."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from huggingface_hub import constants, errors

from compute_optimal.adopt import PATHS, SAMPLES, Adoption, collection
from compute_optimal.adopt.search_and_learn import Run, read_search_and_learn
from compute_optimal.analyse.accuracy import estimate
from compute_optimal.errors import StudyError
from compute_optimal.judge import answers as judge
from compute_optimal.store.partitions import Store
from compute_optimal.store.places import partition
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import adopted_spec
from compute_optimal.study.config import AdoptedEntry, HubRollouts, TaskEntry
from compute_optimal.study.requests import AdoptedScores, EstimateSettings
from compute_optimal.tasks import Problem

PROBLEMS = [
    Problem("sum", "What is $2+2$?", "4", 1, "Algebra"),
    Problem("power", "What is $2^3$?", "8", 3, "Number Theory"),
]
COMMIT = "a" * 40
FOLDER = "run--n-4"


def text(answer: int, end: str = "") -> str:
    return f"## Step 1\n\nSo the answer is \\boxed{{{answer}}}.{end}"


def row(number: int = 0, answers: tuple[int, ...] = (4, 5, 4, 6), **other: Any) -> dict[str, Any]:
    return {
        "problem": PROBLEMS[number].problem,
        "solution": "because",
        "unique_id": f"test/{number}.json",
        "completions": [text(answer) for answer in answers],
        "scores": [[0.5, 0.1 * (1 + index)] for index in range(len(answers))],
        "completion_tokens": [10 + index for index in range(len(answers))],
        "pred": "\\boxed{4}",
        **other,
    }


def read(folder: Path, *rows: dict[str, Any], method: str = "best_of_n", **other: Any) -> Adoption:
    file = folder / "train-00000-of-00001.parquet"
    pl.DataFrame(list(rows), strict=False).write_parquet(file)
    fields = {"task": "MATH-500", "policy": "tiny", "prm": "prm", "budget": 4, "beam_width": 2}
    run = Run(**{**fields, **other}, method=method, files={"tiny/file": file})
    return read_search_and_learn([run], PROBLEMS)


def test_samples_are_facts_without_text(tmp_path: Path) -> None:
    adoption = read(tmp_path, row(), row(1, (8, 8, 8, 8)))
    assert adoption.samples.schema == SAMPLES
    assert (adoption.n_records, adoption.findings.height, adoption.paths.height) == (2, 0, 0)
    first = adoption.samples.row(1, named=True)
    assert {key: first[key] for key in ("method", "problem_id", "sample_index", "answer")} == {
        "method": "best_of_n",
        "problem_id": "sum",
        "sample_index": 1,
        "answer": "5",
    }
    assert first["official_answer"] == "5"
    assert (first["n_tokens"], first["n_steps"]) == (11, 2)
    assert first["step_scores"] == [0.5, pytest.approx(0.2)]
    assert first["member"] == "tiny/file, row 0"
    assert not any("Step" in str(value) for value in first.values())


def test_the_score_of_an_empty_piece_is_left_out(tmp_path: Path) -> None:
    ends = row(completions=[text(4, "\n\n")] * 4, scores=[[0.5, 0.25, 0.9]] * 4)
    assert read(tmp_path, ends).samples["step_scores"].to_list() == [[0.5, 0.25]] * 4


def test_beam_searches_keep_all_answers_and_have_no_cost(tmp_path: Path) -> None:
    # Searches fill the column of tokens with one number a row.
    adoption = read(tmp_path, row(completion_tokens=0), method="beam_search")
    assert adoption.paths.schema == PATHS
    keys = ("budget", "beam_width", "repetition", "subtree", "path", "answer", "n_tokens_tree")
    assert adoption.paths.select(keys).rows() == [
        (4, 2, 0, 0, path, answer, None) for path, answer in enumerate("4546")
    ]


def test_a_subtree_answers_with_all_siblings_of_its_last_step(tmp_path: Path) -> None:
    adoption = read(tmp_path, row(completion_tokens=-1), method="dvts", repetition=1)
    keys = ("budget", "repetition", "subtree", "path", "answer")
    assert adoption.paths.select(keys).rows() == [
        (None, 1, 0, 0, "4"),
        (None, 1, 0, 1, "5"),
        (None, 1, 1, 0, "4"),
        (None, 1, 1, 1, "6"),
    ]
    cells = adoption.cells().select("method", "budget", "n_runs", "n_repetitions", "n_rows")
    assert cells.rows() == [("dvts", 4, 2, 1, 4)]


@pytest.mark.parametrize(
    ("changes", "reason", "detail", "adopted"),
    [
        ({"problem": "Unheard of?"}, "unmatched", "column problem: its question", False),
        ({"problem": None}, "malformed", "column problem: null", False),
        ({"completions": None}, "malformed", "column completions: empty", False),
        ({"completions": [None] * 4}, "malformed", "column completions: empty, or", False),
        ({"scores": [[0.5, 0.5]]}, "malformed", "column scores: 1 for 4 completions", False),
        ({"completion_tokens": [1, 2, 3, -4]}, "tokens unknown", "tokens: -4 at 3", True),
        ({"completion_tokens": [1, 2, 3, 2**62]}, "tokens unknown", f"{2**62} at 3", True),
        ({"completion_tokens": [1, 2, 3, None]}, "tokens unknown", "tokens: with a null", True),
        ({"completion_tokens": [1, 2, 3]}, "tokens unknown", "tokens: 3 for 4 completions", True),
        ({"completion_tokens": None}, "tokens unknown", "column completion_tokens: empty", True),
        ({"completions": [text(4)] * 5, "scores": [[0.5, 0.5]] * 5, "completion_tokens": [1] * 5},
         "malformed", "column completions: 5, over 4", False),
        ({"completions": [text(4)], "scores": [[0.5, 0.5]], "completion_tokens": [1]},
         "answer count", "column completions: 1, expected 4", True),
        ({"scores": [[0.5]] + [[0.5, 0.5]] * 3},
         "step scores", "column scores: 1 for 2 pieces of completion 0", True),
        ({"scores": [[0.5, 1.5]] + [[0.5, 0.5]] * 3}, "step scores", "not probabilities", True),
    ],
)  # fmt: skip
def test_a_bad_row_is_named_with_its_column_and_the_others_are_adopted(
    tmp_path: Path, changes: dict[str, Any], reason: str, detail: str, adopted: bool
) -> None:
    adoption = read(tmp_path, row(1, (8, 8, 8, 8)), row(**changes))
    (finding,) = adoption.findings.rows(named=True)
    assert (finding["member"], finding["reason"]) == ("tiny/file, row 1", reason)
    assert detail in finding["detail"]
    assert finding["adopted"] == adopted
    assert adoption.n_records == 1 + adopted


@pytest.mark.parametrize("changes", [{}, {"completion_tokens": -1}])
def test_samples_without_counts_of_tokens_are_adopted_at_no_known_cost(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    rows = [{**row(number), **changes} for number in (0, 1)]
    if not changes:
        for each in rows:
            del each["completion_tokens"]
    adoption = read(tmp_path, *rows)
    assert adoption.n_records == 2
    assert adoption.samples["n_tokens"].to_list() == [None] * 8
    assert adoption.samples["answer"].to_list()[:4] == ["4", "5", "4", "6"]
    # One finding for the file, not one for each row.
    (finding,) = adoption.findings.rows(named=True)
    assert (finding["member"], finding["reason"]) == ("tiny/file", "tokens unknown")
    assert finding["detail"].startswith("column completion_tokens ")
    assert finding["adopted"]


def test_zero_tokens_are_unknown(tmp_path: Path) -> None:
    adoption = read(tmp_path, row(completion_tokens=[10, 0, 12, 13]), row(1, (8, 8, 8, 8)))
    assert adoption.samples["n_tokens"].to_list() == [None] * 4 + [10, 11, 12, 13]
    ((reason, text_of),) = adoption.findings.select("reason", "detail").rows()
    assert (reason, text_of) == ("tokens unknown", "column completion_tokens: 0 at 1")


def test_a_row_without_counts_of_tokens_leaves_the_others_theirs(tmp_path: Path) -> None:
    adoption = read(tmp_path, row(), row(1, completion_tokens=[1, 2, 3, -4]))
    assert adoption.samples["n_tokens"].to_list() == [10, 11, 12, 13, None, None, None, None]


def test_a_problem_that_comes_twice_is_kept_once(tmp_path: Path) -> None:
    adoption = read(tmp_path, row(), row(0, (5, 5, 5, 5)))
    assert adoption.findings["reason"].to_list() == ["duplicate"]
    assert adoption.samples.height == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"completions": "one text"}, r"column completions holds String, expected List\(String\)"),
        ({"scores": [0.5]}, "column scores holds"),
    ],
)
def test_a_file_of_another_schema_is_refused_by_file_and_column(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        read(tmp_path, row(**changes))
    assert caught.value.where == "tiny/file"
    without = {key: value for key, value in row().items() if key not in changes}
    with pytest.raises(StudyError, match=f"column {next(iter(changes))} is missing"):
        read(tmp_path, without)


def test_a_count_that_64_bits_with_a_sign_do_not_hold_is_unknown(tmp_path: Path) -> None:
    good = pl.DataFrame([row()], infer_schema_length=None)
    tokens = pl.Series([[2**63 + 5, 1, 1, 1]], dtype=pl.List(pl.UInt64))
    good.with_columns(completion_tokens=tokens).write_parquet(tmp_path / "large.parquet")
    run = Run("MATH-500", "tiny", "prm", "best_of_n", 4, 2, {"large": tmp_path / "large.parquet"})
    adoption = read_search_and_learn([run], PROBLEMS)
    assert adoption.samples["n_tokens"].to_list() == [None] * 4
    assert adoption.findings["detail"].to_list() == ["column completion_tokens: with a null"]


def test_a_file_of_several_models_is_refused(tmp_path: Path) -> None:
    rows = [row(0) | {"model": "A"}, row(1) | {"model": None}]
    assert read(tmp_path, *rows).n_records == 2
    rows[1]["model"] = "B"
    with pytest.raises(StudyError, match="by several models: model says") as caught:
        read(tmp_path, *rows)
    assert caught.value.where == "tiny/file"


@pytest.mark.parametrize("method", ["best_of_n", "beam_search", "dvts"])
def test_runs_of_several_models_are_refused_where_the_second_stands(
    tmp_path: Path, method: str
) -> None:
    """A collection is one policy's: pools, searches and repetitions alike."""
    runs = []
    for name, model in (("first", "A"), ("unnamed", None), ("second", "B")):
        file = tmp_path / f"{name}.parquet"
        pl.DataFrame([row(0) | {"model": model}]).write_parquet(file)
        of = method if name == "second" else "best_of_n"
        runs.append(Run("MATH-500", "tiny", "prm", of, 4, 2, {name: file}))
    assert read_search_and_learn(runs[:2], PROBLEMS).n_records == 2
    with pytest.raises(StudyError, match=r"several models: model says .* in first") as caught:
        read_search_and_learn(runs, PROBLEMS)
    assert caught.value.where == "second"


def test_a_file_that_is_damaged_behind_its_footer_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "damaged.parquet"
    pl.DataFrame([row(n) for n in range(2)], infer_schema_length=None).write_parquet(file)
    content = bytearray(file.read_bytes())
    content[4:400] = bytes(396)
    file.write_bytes(content)
    run = Run("MATH-500", "tiny", "prm", "best_of_n", 4, 2, {"damaged": file})
    with pytest.raises(StudyError, match="not a parquet file that can be read") as caught:
        read_search_and_learn([run], PROBLEMS)
    assert str(caught.value.where).startswith("damaged, row 0")


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "half.parquet").write_bytes(b"PAR1 and no more")
    run = Run("MATH-500", "tiny", "prm", "dvts", 4, 2, {"half": tmp_path / "half.parquet"})
    with pytest.raises(StudyError, match="not a parquet file") as caught:
        read_search_and_learn([run], PROBLEMS)
    assert caught.value.where == "half"


# --- from the hub's cache to curves ---------------------------------------------------------------

RUNS = (("best_of_n", "tiny/bon"), ("beam_search", "tiny/beam"), ("dvts", "tiny/dvts"))


@pytest.fixture
def entry() -> AdoptedEntry:
    return AdoptedEntry(
        name="tiny",
        licence="MIT",
        task="MATH-500",
        policy="tiny",
        prm="prm",
        variant="search-and-learn",
        beam_width=2,
        hub=tuple(
            HubRollouts(hub_id=name, revision=COMMIT, folder=FOLDER, method=method, budget=4)  # type: ignore[arg-type]
            for method, name in RUNS
        ),
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub; every question to the hub itself fails."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder


def fill(cache: Path, method: str, name: str) -> Path:
    place = f"datasets--{name.replace('/', '--')}/snapshots/{COMMIT}/{FOLDER}"
    (cache / place).mkdir(parents=True)
    tokens = {} if method == "best_of_n" else {"completion_tokens": -1}
    rows = [row(**tokens), row(1, (8, 7, 8, 8), **tokens)]
    for shard, one in enumerate(rows):
        pl.DataFrame([one]).write_parquet(cache / place / f"train-0000{shard}-of-00002.parquet")
    return cache / place


def storage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Storage:
    monkeypatch.setattr(Storage, "problems", lambda *_: PROBLEMS)
    registry: Any = SimpleNamespace()
    return Storage(Store(folder / "store"), lambda: registry, dict)


TASK = TaskEntry(
    name="MATH-500",
    licence="MIT",
    kind="math500",
    n_problems=2,
    url="https://example.org/x",
    sha256="0" * 64,
    file="x",
)


def test_a_cached_collection_gives_curves_without_a_network(
    entry: AdoptedEntry, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method, name in RUNS:
        fill(cache, method, name)
    machine = storage(tmp_path, monkeypatch)
    report = collection.adopt(entry, TASK, machine, None)
    assert report.startswith("tiny:\nMethod variant: search-and-learn.\n6 records adopted.")
    spec = adopted_spec(entry)
    assert spec["variant"] == "search-and-learn"
    facts = machine.facts(TASK, None)
    answers = judge.answers_of_adopted(spec, machine)
    graded = judge.grade_answers(facts, answers, seconds=10, workers=1)
    scores = judge.scores_of_adopted(AdoptedScores(prm="prm", spec=spec), machine)
    settings = EstimateSettings([2, 4], 2, 0.5, 0.1, 100, 20, 0.95, 0)
    curves, *_ = estimate(graded, scores, {}, facts["problem_id"].to_list(), settings)
    last = curves.filter(bucket="all", scoring="prm_last", voting="prm_max")
    # sum: of 4, 5, 4, 6 the last is scored best; power: of 8, 7, 8, 8 too.
    assert last.filter(budget=4).select("method", "accuracy").rows() == [
        ("best_of_n", 0.5),
        ("beam_search", 0.5),
        ("dvts", 0.5),
    ]
    tokens = dict(last.filter(budget=4).select("method", "tokens").iter_rows())
    assert tokens == {"best_of_n": 46.0, "beam_search": None, "dvts": None}
    again = partition(machine.store, spec).read("adopted_samples")
    collection.adopt(entry, TASK, machine, None)
    assert partition(machine.store, spec).read("adopted_samples").equals(again)


def test_runs_of_one_search_are_repetitions(
    entry: AdoptedEntry, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other seeds of one search, and DVTS at another N, whose subtrees serve every N."""
    again = [("beam_search", "tiny/beam-again"), ("dvts", "tiny/dvts-again")]
    for method, name in (*RUNS, *again):
        fill(cache, method, name)
    runs = [entry.hub[0].model_copy(update={"method": m, "hub_id": name}) for m, name in again]
    repeated = entry.model_copy(update={"hub": (*entry.hub, *runs)})
    machine = storage(tmp_path, monkeypatch)
    report = collection.adopt(repeated, TASK, machine, None)
    assert report.count("2 repetitions of one search, not a larger budget") == 2
    answers = judge.answers_of_adopted(adopted_spec(repeated), machine)
    keys = ("method", "repetition", "subtree", "sample_index")
    searches = answers.filter(pl.col("pool").is_null(), problem_id="sum")
    places = searches.select(keys).rows()
    expected = [("beam_search", run, 0, path) for run in range(2) for path in range(4)]
    expected += [
        ("dvts", run, subtree, path)
        for run in range(2)
        for subtree in range(2)
        for path in range(2)
    ]
    assert sorted(places) == expected
    facts = machine.facts(TASK, None)
    graded = judge.grade_answers(facts, answers, seconds=10, workers=1)
    settings = EstimateSettings([2, 4, 8, 16], 2, 0.5, 0.1, 100, 20, 0.95, 0)
    curves, _, spread, _ = estimate(graded, {}, {}, facts["problem_id"].to_list(), settings)
    searched = curves.filter(bucket="all", voting="majority").filter(pl.col("prm").is_not_null())
    assert sorted(searched.select("method", "budget").iter_rows()) == [
        ("beam_search", 4),
        ("dvts", 2),
        ("dvts", 4),
    ]
    # The runs say the same here, which says nothing of other seeds.
    assert set(spread["method"]) == {"beam_search", "dvts"}
    assert spread["standard_error"].null_count() == spread.height


def test_a_run_is_named_once_and_samples_come_from_one(entry: AdoptedEntry) -> None:
    for hub, words in (
        ([entry.hub[1], entry.hub[1]], "names one run twice"),
        ([entry.hub[0], entry.hub[0].model_copy(update={"hub_id": "a/b"})], "two runs of best_of"),
    ):
        with pytest.raises(ValueError, match=words):
            AdoptedEntry(**(entry.model_dump() | {"hub": hub}))


def test_what_is_not_in_the_cache_whole_is_asked_for(
    entry: AdoptedEntry, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = storage(tmp_path, monkeypatch)
    with pytest.raises(StudyError, match="HF_HUB_OFFLINE forbids") as caught:
        collection.adopt(entry, TASK, machine, None)
    assert "https://huggingface.co/datasets/tiny/bon" in str(caught.value)
    # An interrupted download: one shard of two.
    place = fill(cache, *RUNS[0])
    next(place.iterdir()).unlink()
    with pytest.raises(StudyError, match="HF_HUB_OFFLINE forbids"):
        collection.adopt(entry, TASK, machine, None)
    with pytest.raises(StudyError, match="is read from the hub"):
        collection.adopt(entry, TASK, machine, tmp_path)


def test_a_file_of_the_hubs_cache_with_other_bytes_than_its_name_says_is_refused(
    entry: AdoptedEntry, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed byte of a score is read as another score, and of a size ends the process."""
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    for method, name in RUNS:
        for shard in fill(cache, method, name).iterdir():
            blob = blobs / hashlib.sha256(shard.read_bytes()).hexdigest()
            shard.rename(blob)
            shard.symlink_to(blob)
    machine = storage(tmp_path, monkeypatch)
    assert "2 problems x 4 samples" in collection.adopt(entry, TASK, machine, None)
    content = bytearray(blob.read_bytes())
    content[40] ^= 1
    blob.write_bytes(content)
    with pytest.raises(StudyError, match="its sha256 is") as caught:
        collection.adopt(entry, TASK, storage(tmp_path / "other", monkeypatch), None)
    # Which run it is of is open: files of equal contents are one in the cache.
    assert f"@aaaaaaa/{FOLDER}/train-0000" in str(caught.value.where)
    assert "remove it from the hub's cache" in str(caught.value.cure)


def test_the_hub_is_asked_for_the_pinned_commit_and_the_disk_for_room(
    entry: AdoptedEntry, cache: Path
) -> None:
    asked: list[dict[str, Any]] = []

    class Hub:
        size = 1000

        def snapshot_download(self, hub_id: str, **options: Any) -> str:
            asked.append({"hub_id": hub_id, **options})
            if options["local_files_only"]:
                raise errors.LocalEntryNotFoundError("not here")
            return str(fill(cache, "best_of_n", hub_id).parent)

        def list_repo_tree(self, *_: Any, **__: Any) -> list[Any]:
            return [SimpleNamespace(size=self.size)]

    files = collection._hub_files("tiny", entry.hub[0], Hub())
    shards = [f"tiny/bon@aaaaaaa/{FOLDER}/train-0000{n}-of-00002.parquet" for n in (0, 1)]
    assert list(files) == shards
    assert {(call["hub_id"], call["revision"], *call["allow_patterns"]) for call in asked} == {
        ("tiny/bon", COMMIT, f"{FOLDER}/*.parquet")
    }
    Hub.size = 10**18
    with pytest.raises(StudyError, match="GB more"):
        collection._hub_files("tiny", entry.hub[1], Hub())


# --- collections in archives ----------------------------------------------------------------------


def test_greedy_rows_are_no_part_of_the_evaluation_pool(
    entry: AdoptedEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = storage(tmp_path, monkeypatch)
    samples = read(tmp_path, row()).samples
    greedy = samples.head(2).with_columns(
        method=pl.lit("cot"), step_scores=pl.lit(None, pl.List(pl.Float32))
    )
    spec = adopted_spec(entry)
    for rows in (samples, greedy):
        partition(machine.store, spec).append("adopted_samples", rows)
    answers = judge.answers_of_adopted(spec, machine)
    assert sorted(answers.select("pool", "sample_index").iter_rows()) == [
        *[("evaluation", index) for index in range(4)],
        ("greedy", 0),
    ]
    scores = judge.scores_of_adopted(AdoptedScores(prm="prm", spec=spec), machine)
    assert scores["prm"]["margins"].null_count() == 0
    with pytest.raises(StudyError, match="no rollouts of tiny on MATH-500 have been adopted"):
        judge.answers_of_adopted({**spec, "version": 0}, machine)
