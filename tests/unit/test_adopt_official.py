"""Output of the official code becomes facts; whatever does not is named with its reason."""

import hashlib
import io
import json
import math
import os
import statistics
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from compute_optimal.adopt import FINDINGS, PATHS, SAMPLES, Adoption, report
from compute_optimal.adopt.archives import archive_sha256, read_members
from compute_optimal.adopt.official import OFFICIAL_NAMES, Names, read_official_records
from compute_optimal.errors import StudyError
from compute_optimal.study.config.registry import load_registry
from compute_optimal.tasks import Problem

PROBLEMS = [
    Problem("sum", "What is $2+2$?", "4", 1, "Algebra"),
    Problem("product", "What is\n$2 \\cdot 3$?", "6", 2, "Algebra"),
    Problem("power", "What is $2^3$?", "8", 3, "Number Theory"),
]
MODELS = "Qwen2.5-1.5B-Instruct/math-shepherd-mistral-7b-prm"
SINGLE = f"MATH_best_of_n/{MODELS}/1_1_1"
BEAM = f"MATH_beam_search/{MODELS}/40_4_1"


def answer(**changes: Any) -> dict[str, Any]:
    return {
        "path_idx": 0,
        "text": "First $2+2$. ки\nSo \\boxed{4}. ки\n",
        "value": [0.75, 0.5],
        "extracted_answer": "4",
        "reward_history": [0.75, 0.5],
        "token_history": [7, 9],
        "prob_history": [0.9, 0.8],
        "model_history": ["Qwen2.5-1.5B-Instruct"] * 2,
        "completion_tokens": 40,
        "tree_completion_tokens": 30,
        **changes,
    }


def record(*answers: dict[str, Any], question: str = "What is $2+2$?", vote: int = 1) -> bytes:
    output = [{**a, "path_idx": index} for index, a in enumerate(answers or [answer()])]
    result = {
        "majority_vote": vote,
        "total_completion_tokens": sum(a["completion_tokens"] for a in output),
    }
    value = {"question": question, "groundtruth": "4", "result": result, "output": output}
    return json.dumps(value).encode() + b"\n"


def read_official_output(source: Path, problems: Sequence[Problem], **options: Any) -> Adoption:
    """Every record below ``source``: a folder, a .tar.gz, a .tar.xz or a .zip."""
    # A folder may itself lie inside the layout, so its own path counts.
    root = source.resolve().as_posix() if source.is_dir() else ""
    members, archive = read_members(source, options.pop("limits", None)), archive_sha256(source)
    return read_official_records(
        members, problems, str(source), root=root, archive=archive, **options
    )


def read(folder: Path, files: dict[str, bytes], **options: Any) -> Adoption:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return read_official_output(folder, PROBLEMS, **options)


def found(adoption: Adoption) -> dict[str, tuple[str, bool]]:
    assert adoption.findings.schema == FINDINGS
    rows = adoption.findings.iter_rows(named=True)
    return {row["member"]: (row["reason"], row["adopted"]) for row in rows}


def test_the_facts_of_a_search(tmp_path: Path) -> None:
    content = record()
    adoption = read(tmp_path, {f"{BEAM}/question_0/record_0.jsonl": content})
    assert adoption.samples.is_empty()
    assert adoption.samples.schema == SAMPLES
    assert adoption.findings.is_empty()
    assert adoption.paths.schema == PATHS
    assert adoption.paths.rows(named=True) == [
        {
            "task": "MATH-500",
            "policy": "Qwen2.5-1.5B-Instruct",
            "prm": "Math-Shepherd-PRM-7B",
            "method": "beam_search",
            "budget": 4,
            "beam_width": 4,
            "problem_id": "sum",
            "problem_hash": hashlib.sha256(b"What is $2+2$?").hexdigest()[:16],
            "repetition": 0,
            "subtree": 0,
            "path": 0,
            "answer": "4",
            "official_answer": "4",
            "official_correct": True,
            "n_answers": 1,
            "n_tokens": 16,
            "n_steps": 2,
            "step_scores": [0.75, 0.5],
            "source": None,
            "commit": None,
            "archive_sha256": None,
            "member": f"{BEAM}/question_0/record_0.jsonl",
            "record_sha256": hashlib.sha256(content).hexdigest(),
            "n_tokens_tree": 40,
        }
    ]


@pytest.mark.parametrize("method", ["best_of_n", "beam_search"])
@pytest.mark.parametrize("step", [0, 1])
def test_records_of_several_models_are_no_collection(
    tmp_path: Path, method: str, step: int
) -> None:
    """The folder names one policy, ``model_history`` the model of each step."""
    folder = f"MATH_{method}/{MODELS}/1_1_1"
    history = ["Qwen2.5-1.5B-Instruct"] * 2
    history[step] = "Qwen2.5-7B-Instruct"
    files = {
        f"{folder}/question_0/record_0.jsonl": record(),
        f"{folder}/question_1/record_0.jsonl": record(answer(model_history=history)),
    }
    with pytest.raises(StudyError, match="several models") as caught:
        read(tmp_path, files)
    assert "question_1/record_0" in str(caught.value)
    assert "question_0/record_0" in str(caught.value)


@pytest.mark.parametrize("history", [None, [], [None, 3], "", ["Qwen2.5-1.5B-Instruct"]])
def test_what_names_no_other_model_is_adopted(tmp_path: Path, history: Any) -> None:
    files = {
        f"{BEAM}/question_0/record_0.jsonl": record(),
        f"{BEAM}/question_1/record_0.jsonl": record(
            answer(model_history=history), question="What is $2^3$?"
        ),
    }
    assert read(tmp_path, files).n_records == 2


def test_each_policy_has_its_own_model(tmp_path: Path) -> None:
    other = answer(model_history=["Qwen2.5-7B-Instruct"] * 2)
    files = {
        f"{BEAM}/question_0/record_0.jsonl": record(),
        f"{BEAM.replace('1.5B', '7B')}/question_0/record_0.jsonl": record(other),
    }
    assert read(tmp_path, files).n_records == 2


def test_zero_tokens_are_unknown(tmp_path: Path) -> None:
    nothing = answer(token_history=[0, 0], completion_tokens=0)
    adoption = read(
        tmp_path,
        {
            f"{SINGLE}/question_0/record_0.jsonl": record(nothing),
            f"{BEAM}/question_0/record_0.jsonl": record(nothing),
        },
    )
    assert adoption.samples["n_tokens"].to_list() == [None]
    assert adoption.paths.select("n_tokens", "n_tokens_tree").rows() == [(None, None)]
    assert sorted(adoption.findings.select("reason", "detail", "adopted").rows()) == [
        ("tokens unknown", "answer 0: the file says 0", True),
        ("tokens unknown", "answer 0: the file says 0", True),
        ("tokens unknown", "of the search: the file says 0", True),
    ]


def test_samples_are_numbered_by_record(tmp_path: Path) -> None:
    whole = answer(token_history=[40])
    other = answer(token_history=23, extracted_answer="5")
    adoption = read(
        tmp_path,
        {
            f"{SINGLE}/question_0/record_0.jsonl": record(whole),
            f"{SINGLE}/question_0/record_10.jsonl": record(other, vote=0),
            f"{SINGLE}/question_0/record_2.jsonl": record(whole),
        },
    )
    columns = ("sample_index", "n_tokens", "official_answer", "official_correct")
    assert adoption.samples.select(columns).rows() == [
        (0, 40, "4", True),
        (2, 40, "4", True),
        (10, 23, "5", False),
    ]
    assert adoption.n_records == 3


def test_runs_of_several_samples_extend_the_pool(tmp_path: Path) -> None:
    wide = SINGLE.replace("1_1_1", "1_3_3")
    adoption = read(
        tmp_path,
        {
            f"{SINGLE}/question_0/record_0.jsonl": record(),
            f"{SINGLE}/question_0/record_1.jsonl": record(),
            f"{wide}/question_0/record_1.jsonl": record(*[answer()] * 3),
        },
    )
    # Two of the first folder, then three places for the record 0 that is missing.
    assert adoption.samples["sample_index"].to_list() == [0, 1, 5, 6, 7]
    assert adoption.samples["n_answers"].to_list() == [1, 1, 3, 3, 3]


def test_greedy_answers_are_never_scored_and_their_text_is_plain(tmp_path: Path) -> None:
    greedy = record(
        answer(text="First.\n\n\n\nSo \\boxed{7}.\n\n", value=[0.0, 0.0], token_history=[8])
    )
    files = {
        f"MATH_cot/{models}/1_1_1/question_0/record_0.jsonl": greedy
        for models in ("Llama-3.1-8B-Instruct/dummy", MODELS)
    }
    adoption = read(tmp_path, files)
    columns = ("policy", "prm", "method", "answer", "n_steps", "step_scores")
    assert adoption.samples.select(columns).rows() == [
        ("Llama-3.1-8B-Instruct", None, "cot", "7", 2, None),
        ("Qwen2.5-1.5B-Instruct", "Math-Shepherd-PRM-7B", "cot", "7", 2, None),
    ]
    assert adoption.findings.is_empty()
    assert adoption.cells()["n_rows"].to_list() == [1, 1]


def test_width_and_number_of_sequences_define_the_budget(tmp_path: Path) -> None:
    wide = BEAM.replace("40_4_1", "40_16_4")
    files = {
        f"{wide}/question_0/record_{number}.jsonl": record(*[answer()] * 4) for number in range(2)
    }
    adoption = read(tmp_path, files)
    keys = ("method", "budget", "beam_width", "repetition", "subtree", "path", "n_tokens_tree")
    assert adoption.paths.select(keys).rows() == [
        ("beam_search", 16, 4, run, 0, path, 160) for run in range(2) for path in range(4)
    ]
    assert "2 repetitions of one search, not a larger budget" in report(adoption)


def test_repeated_searches_that_keep_one_beam_are_subtrees(tmp_path: Path) -> None:
    files = {f"{BEAM}/question_0/record_{number}.jsonl": record() for number in range(3)}
    files[f"{BEAM}/question_2/record_0.jsonl"] = record(question="What is $2^3$?")
    adoption = read(tmp_path, files)
    keys = ("method", "budget", "problem_id", "repetition", "subtree", "path")
    assert adoption.paths.select(keys).rows() == [
        ("beam_search", 4, "power", 0, 0, 0),
        ("beam_search", 4, "sum", 0, 0, 0),
        ("beam_search", 4, "sum", 1, 0, 0),
        ("beam_search", 4, "sum", 2, 0, 0),
        ("dvts", None, "power", 0, 0, 0),
        ("dvts", None, "sum", 0, 0, 0),
        ("dvts", None, "sum", 0, 1, 0),
        ("dvts", None, "sum", 0, 2, 0),
    ]
    counts = ("method", "budget", "n_problems", "n_complete", "n_runs", "n_repetitions", "n_rows")
    assert adoption.cells().select(counts).rows() == [
        ("beam_search", 4, 2, 1, 3, 3, 4),
        ("dvts", 12, 2, 1, 3, 1, 4),
    ]
    assert "incomplete: fewer subtrees of 1 problem" in report(adoption)


def without(key: str) -> bytes:
    value = json.loads(record())
    holder = value if key in value else value["result"] if key in value["result"] else None
    (value["output"][0] if holder is None else holder).pop(key)
    return json.dumps(value).encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (b'{"question": "What is $2+2$?", }\n', "malformed", "JSON"),
        (b"", "truncated", "JSON"),
        (b"\xff\xfe" + record(), "malformed", "JSON"),
        (record() + record(), "malformed", "JSON"),
        (b"[" * 100_000 + b"\n", "malformed", "JSON"),
        (record(answer(extracted_answer="\ud800")), "malformed", "JSON"),
        (b"[]\n", "malformed", "object"),
        (without("question"), "malformed", "question: Field required"),
        (without("majority_vote"), "malformed", "result.majority_vote: Field required"),
        (without("text"), "malformed", "output.0.text: Field required"),
        (record(answer(text=None)), "malformed", "output.0.text"),
        (record(answer(value=["0.5", "0.5"])), "malformed", "output.0.value.0"),
        (record(answer(value=[math.nan, 0.5])), "malformed", "output.0.value.0"),
        (record(answer(token_history=[7.5, 9])), "malformed", "output.0.token_history"),
        (record(answer(token_history=[True, 9])), "malformed", "output.0.token_history"),
        (record(answer(token_history=-1)), "malformed", "output.0.token_history"),
        (record(answer(completion_tokens=10**30)), "malformed", "result.total_completion_tokens"),
        (record(vote=2), "malformed", "result.majority_vote"),
        (record(answer(), answer()).replace(b'idx": 1', b'idx": 5'), "malformed", "path_idx"),
        (record(answer(), answer()), "malformed", "2 answers, expected 1"),
        (record(question="Unheard of?"), "unmatched", "its question is unknown"),
    ],
)
def test_a_bad_record_is_named_and_the_others_are_adopted(
    tmp_path: Path, content: bytes, reason: str, detail: str
) -> None:
    bad, good = (f"{SINGLE}/question_0/record_{number}.jsonl" for number in (0, 1))
    adoption = read(tmp_path, {bad: content, good: record()})
    assert adoption.samples["member"].to_list() == [good]
    (finding,) = adoption.findings.rows(named=True)
    assert (finding["member"], finding["reason"], finding["adopted"]) == (bad, reason, False)
    assert detail in finding["detail"]
    assert "Not adopted: 1 file." in report(adoption)
    assert f"{bad}: {finding['detail']}" in report(adoption)


def test_every_cut_of_a_record_is_seen(tmp_path: Path) -> None:
    whole = record()
    name = f"{SINGLE}/question_0/record_{{}}.jsonl"
    adoption = read(tmp_path, {name.format(end): whole[:end] for end in range(len(whole) + 1)})
    # Without its last byte, a line break, the object is still complete.
    assert adoption.samples["sample_index"].to_list() == [len(whole) - 1, len(whole)]
    assert set(found(adoption).values()) == {("truncated", False)}
    assert adoption.findings.height == len(whole) - 1


def test_questions_match_up_to_white_space_but_never_ambiguously(tmp_path: Path) -> None:
    twins = [Problem(name, f"Same{space}text", "1", None, None) for name, space in ("a ", "b\n")]
    twins.append(Problem("c", "Same text", "1", None, None))
    files = {
        f"{SINGLE}/question_0/record_0.jsonl": record(question="  What is $2 \\cdot\t3$?\n"),
        f"{SINGLE}/question_1/record_0.jsonl": record(question="Same\ttext"),
        f"{SINGLE}/question_2/record_0.jsonl": record(question="Same text"),
    }
    read(tmp_path, files)
    adoption = read_official_output(tmp_path, [*PROBLEMS, *twins[1:]])
    assert adoption.samples["problem_id"].to_list() == ["c", "product"]
    (finding,) = adoption.findings.rows(named=True)
    assert finding["member"] == f"{SINGLE}/question_1/record_0.jsonl"
    assert (finding["reason"], "b, c" in finding["detail"]) == ("unmatched", True)


def test_of_two_records_of_one_run_the_first_is_kept(tmp_path: Path) -> None:
    name = f"{BEAM}/question_0/record_0.jsonl"
    contents = [record(), record(answer(extracted_answer="5"), vote=0), record()]
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as archive:
        for member, content in zip([name, name, f"again/{name}"], contents, strict=True):
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo(f"{BEAM}/question_1/record_0.jsonl")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo(f"../{BEAM}/question_1/record_0.jsonl"))
    adoption = read_official_output(tmp_path / "x.tgz", PROBLEMS)
    assert adoption.paths["official_answer"].to_list() == ["4"]
    expected = hashlib.sha256((tmp_path / "x.tgz").read_bytes()).hexdigest()
    assert adoption.paths["archive_sha256"].to_list() == [expected]
    assert adoption.findings.select("reason", "detail", "adopted").rows() == [
        ("duplicate", f"another result of the run in {name}, which is kept", False),
        ("duplicate", f"the same bytes in {name}, which is kept", False),
        ("unsafe", "a link", False),
        ("unsafe", "its path leads out of the collection", False),
    ]


def test_the_same_question_under_two_numbers_is_a_duplicate(tmp_path: Path) -> None:
    names = [f"{SINGLE}/question_{number}/record_0.jsonl" for number in (0, 1)]
    assert found(read(tmp_path, dict.fromkeys(names, record()))) == {names[1]: ("duplicate", False)}


def test_scores_that_do_not_fit_are_left_out_and_said(tmp_path: Path) -> None:
    wide = BEAM.replace("40_4_1", "40_16_4")
    adoption = read(
        tmp_path,
        {
            f"{SINGLE}/question_0/record_0.jsonl": record(answer(value=[0.5])),
            f"{SINGLE}/question_0/record_1.jsonl": record(answer(value=[0.5, 1.5])),
            f"{SINGLE}/question_0/record_2.jsonl": record(answer(value=[0.0, 1.0])),
            f"{wide}/question_0/record_0.jsonl": record(*[answer()] * 3),
        },
    )
    assert adoption.samples["step_scores"].to_list() == [None, None, [0.0, 1.0]]
    assert adoption.paths.height == 3
    assert adoption.findings.select("reason", "detail", "adopted").sort("detail").rows() == [
        ("answer count", "3 answers, expected 4", True),
        ("step scores", "answer 0: 1 scores for 2 steps", True),
        ("step scores", "answer 0: not probabilities", True),
    ]
    assert "Adopted in part: 3 files." in report(adoption)


def test_names_are_the_callers(tmp_path: Path) -> None:
    mine = "HARD_cot/my-policy/dummy/1_1_1/question_0/record_0.jsonl"
    theirs = f"{SINGLE}/question_0/record_0.jsonl"
    files = {mine: record(), theirs: record()}
    assert found(read(tmp_path, files)) == {mine: ("unknown name", False)}
    names = Names(tasks={"HARD": "hard"}, policies={"my-policy": "mine"}, prms={"dummy": None})
    adoption = read(tmp_path, files, names=names)
    assert found(adoption) == {theirs: ("unknown name", False)}
    assert adoption.samples.select("task", "policy", "prm").rows() == [("hard", "mine", None)]


def test_files_beside_the_records(tmp_path: Path) -> None:
    record_file = f"{SINGLE}/question_0/record_0.jsonl"
    strange = f"{SINGLE}/question_0/notes\x1b[2J.txt"
    adoption = read(
        tmp_path,
        {
            record_file: record(),
            f"{SINGLE}/config.json": b"{}",
            f"{SINGLE}/avg_result.json": b"[]",
            f"{SINGLE}/lock_dir/question_0_0.lock": b"",
            strange: b"",
            f"{SINGLE.replace('1_1_1', '1_4_3')}/question_0/record_0.jsonl": record(),
        },
    )
    assert adoption.n_companions == 3
    assert found(adoption) == {
        strange: ("unrecognised", False),
        f"{SINGLE.replace('1_1_1', '1_4_3')}/question_0/record_0.jsonl": ("malformed", False),
    }
    assert "notes\\x1b[2J.txt" in report(adoption)
    assert "\x1b" not in report(adoption)


def test_a_folder_inside_the_layout_is_understood(tmp_path: Path) -> None:
    read(tmp_path, {f"{BEAM}/question_0/record_0.jsonl": record()})
    inner = tmp_path / BEAM
    adoption = read_official_output(inner, PROBLEMS)
    assert adoption.paths["member"].to_list() == ["question_0/record_0.jsonl"]
    assert adoption.paths["budget"].to_list() == [4]


def test_a_place_without_records_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing here")
    with pytest.raises(StudyError, match="no record of the official code"):
        read_official_output(tmp_path, PROBLEMS)


def test_no_text_is_adopted(tmp_path: Path) -> None:
    marked = answer(text="A telltale thought. ки\nSo \\boxed{4}. ки\n")
    adoption = read(
        tmp_path,
        {
            f"{SINGLE}/question_0/record_0.jsonl": record(marked),
            f"{BEAM}/question_0/record_0.jsonl": record(marked),
            f"{BEAM}/question_0/record_1.jsonl": record(marked)[:-30],
        },
    )
    for frame in (adoption.samples, adoption.paths, adoption.findings):
        assert frame.height > 0
        assert "telltale" not in frame.write_json()
        assert "What is" not in frame.write_json()


def test_the_official_names_are_those_of_the_registry() -> None:
    """The official code names a folder after the last part of the model's path or hub id."""
    registry = load_registry(Path(__file__).parents[2] / "config" / "registry")
    for folders, entries in (
        (OFFICIAL_NAMES.policies, registry.policies),
        (OFFICIAL_NAMES.prms, registry.prms),
    ):
        of_hub = {e.hub_id.split("/")[-1]: name for name, e in entries.items() if e.hub_id}
        named = {folder: name for folder, name in folders.items() if name is not None}
        assert named.items() <= of_hub.items()
    assert set(OFFICIAL_NAMES.tasks.values()) <= set(registry.tasks)
    for collection in registry.adopted.values():
        if collection.file is None:
            continue
        assert collection.policy in OFFICIAL_NAMES.policies.values()
        assert collection.prm in OFFICIAL_NAMES.prms.values()


MIRROR = os.environ.get("MIRROR")
ARCHIVE = "rollouts-qwen2.5-1.5b-math-shepherd.tar.gz"


@pytest.mark.skipif(
    MIRROR is None or not (Path(MIRROR) / ARCHIVE).exists(),
    reason=f"needs the environment variable MIRROR: a folder with {ARCHIVE} and test500.jsonl",
)
def test_a_real_run_of_the_official_code() -> None:
    """All 1500 records are adopted, and the counts are those of a plain recount."""
    assert MIRROR is not None
    lines = (Path(MIRROR) / "test500.jsonl").read_text().splitlines()
    problems = [
        Problem(p["unique_id"], p["problem"], p["answer"], None, p["subject"])
        for p in map(json.loads, lines)
    ]
    adoption = read_official_output(Path(MIRROR) / ARCHIVE, problems)

    recount: dict[str, list[dict[str, Any]]] = {}
    with tarfile.open(Path(MIRROR) / ARCHIVE) as archive:
        for info in archive:
            file = archive.extractfile(info)
            if file is not None:
                method = info.name.removeprefix("./").split("/")[0]
                recount.setdefault(method, []).append(json.load(file))

    assert adoption.findings.is_empty()
    assert adoption.n_records == 1500
    counts = ("method", "budget", "n_problems", "n_complete", "n_runs", "n_rows")
    assert adoption.cells().select(counts).rows() == [
        ("best_of_n", None, 500, 500, 2, 1000),
        ("beam_search", 4, 500, 500, 1, 500),
    ]
    for frame, folder in (
        (adoption.samples, "MATH_best_of_n"),
        (adoption.paths, "MATH_beam_search"),
    ):
        raw = recount[folder]
        outputs = [o for r in raw for o in r["output"]]
        assert frame["official_correct"].mean() == pytest.approx(
            statistics.mean(r["result"]["majority_vote"] for r in raw)
        )
        assert frame["n_tokens"].sum() == sum(sum(o["token_history"]) for o in outputs)
        assert frame["n_steps"].sum() == sum(o["text"].count(" ки\n") for o in outputs)
        scores = frame["step_scores"].explode()
        assert sorted(scores) == sorted(s for o in outputs for s in o["reward_history"])
        assert sorted(frame["official_answer"]) == sorted(o["extracted_answer"] for o in outputs)
        assert frame["problem_id"].n_unique() == 500
        known = frame.drop("source", "commit")  # which the registry says
        assert known.null_count().sum_horizontal().item() == frame["answer"].null_count()
    totals = [r["result"]["total_completion_tokens"] for r in recount["MATH_beam_search"]]
    assert sorted(adoption.paths["n_tokens_tree"]) == sorted(totals)
