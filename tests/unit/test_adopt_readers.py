"""Files of each schema, written here, become facts; every trap in them is found and named."""

from __future__ import annotations

import bz2
import gzip
import itertools
import json
import lzma
import math
import random
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import polars as pl
import pytest

from compute_optimal.adopt import SAMPLES, SOLUTIONS, Adoption, counted, report
from compute_optimal.adopt.collection import READERS
from compute_optimal.adopt.pools import (
    BATCH,
    SHARED_STEPS,
    placement,
    shared_beginnings,
    sources,
)
from compute_optimal.adopt.records import WRITERS, GivenFile
from compute_optimal.adopt.zeroeval import answer_of
from compute_optimal.errors import StudyError
from compute_optimal.store.partitions import KEYS
from compute_optimal.study.config import AdoptedEntry
from compute_optimal.tasks import Problem

PROBLEMS = [Problem(f"p{n}", f"What is ${n}+{n}$?", str(2 * n), 1, None) for n in range(60)]
HEADER = "<|start_header_id|>assistant<|end_header_id|>\n\n"
Row = dict[str, Any]


def entry(reader: str, *files: Row, **other: Any) -> AdoptedEntry:
    return AdoptedEntry.model_validate(
        {
            "name": "mine",
            "licence": "MIT",
            "task": "doubles",
            "policy": "tiny",
            "prm": "prm",
            "source": "https://github.com/owner/name",
            "commit": "a" * 40,
            "reader": reader,
            "files": [{"sha256": "0" * 64, "method": "best_of_n", **file} for file in files],
            **other,
        }
    )


def lines(*rows: Row | bytes) -> bytes:
    return b"".join(
        row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows
    )


def read(
    reader: Any,
    *contents: bytes,
    files: Sequence[Row] = ({},),
    problems: Sequence[Problem] = PROBLEMS,
    count_tokens: Callable[[str], int] | None = None,
    **other: Any,
) -> Adoption:
    named = [{"path": f"run/{n}.jsonl", **file} for n, file in enumerate(files)]
    mine = entry(reader, *named, **other)
    given = [GivenFile(f, content) for f, content in zip(mine.files, contents, strict=True)]
    return READERS[mine.reader](mine, given, problems, count_tokens)  # type: ignore[index]


def findings_of(adoption: Adoption) -> dict[tuple[str, str, bool], int]:
    return {
        (row["path"], row["reason"], row["adopted"]): row["n"]
        for row in counted(adoption.findings).iter_rows(named=True)
    }


def detail(adoption: Adoption, reason: str) -> str:
    return str(adoption.findings.filter(reason=reason)["detail"][0])


# --- search-and-learn -----------------------------------------------------------------------------


def solution(answer: int, start: str = "", steps: int = 2) -> str:
    body = [f"{start}Step {step} to {answer}." for step in range(1, steps)]
    return "\n\n".join([*body, f"So it is \\boxed{{{answer}}}."])


def learned(number: int, texts: Sequence[str], **other: Any) -> Row:
    return {
        "problem": PROBLEMS[number].problem,
        "answer": PROBLEMS[number].answer,
        "completions": list(texts),
        "scores": [[0.5] * len(text.split("\n\n")) for text in texts],
        "completion_tokens": [len(text) for text in texts],
        "pred": "ignored",
        **other,
    }


def test_samples_of_several_files_are_one_pool_of_facts() -> None:
    one = lines(learned(3, [solution(6, "a"), solution(7, "b")], scores=[[0.25, 1.0], [0.5, 0.0]]))
    two = lines(learned(3, [solution(6, "c"), solution(6, "a")]))
    adoption = read("search_and_learn", one, two, files=[{"budget": 2}] * 2)
    assert adoption.samples.schema == SAMPLES
    columns = ("problem_id", "sample_index", "answer", "n_steps", "step_scores", "member")
    assert adoption.samples.select(columns).rows() == [
        ("p3", 0, "6", 2, [0.25, 1.0], "run/0.jsonl, row 0"),
        ("p3", 1, "7", 2, [0.5, 0.0], "run/0.jsonl, row 0"),
        ("p3", 2, "6", 2, [0.5, 0.5], "run/1.jsonl, row 0"),
    ]
    # The second file repeats a text of the first, which is dropped.
    assert findings_of(adoption) == {("run/1.jsonl", "copy", False): 1}
    assert adoption.files.rows() == [
        ("run/0.jsonl", "0" * 64, 1, 1, 2, 2),
        ("run/1.jsonl", "0" * 64, 1, 1, 2, 1),
    ]
    assert "run/1.jsonl: 1 of 1 records, 1 of 2 answers" in report(adoption)


WITHOUT_A_BOX = [
    ("So it is \\boxed{6}.", "6", "6"),
    ("Then\n\nthe answer is 6", None, "6"),
    ("We add 2 and 4,000", None, "4000"),
    ("I do not know", None, ""),
]


@pytest.mark.parametrize("reader", ["search_and_learn", "openr", "qwen_math"])
def test_a_sample_keeps_what_the_official_code_takes_for_its_answer(reader: str) -> None:
    """Without a box that code finds one where this study sees none; the text is not kept."""
    texts = [text for text, _, _ in WITHOUT_A_BOX]
    scores = [[0.5] * len(text.split("\n\n")) for text in texts]
    tree = searched(3, *scores)
    for answer, text in zip(tree["output"], texts, strict=True):
        answer["text"] = text
    rows = {
        "search_and_learn": learned(3, texts, scores=scores),
        "openr": tree,
        "qwen_math": harness(3, *texts),
    }
    adoption = read(reader, lines(rows[reader]), files=[{"budget": len(texts)}])
    assert adoption.samples.select("answer", "official_answer").rows() == [
        (answer, official) for _, answer, official in WITHOUT_A_BOX
    ]


def test_a_header_is_no_step_and_its_score_is_none() -> None:
    text = HEADER + solution(6)
    row = learned(3, [text], scores=[[0.9, 0.25, 0.75]])
    adoption = read("search_and_learn", lines(row))
    assert adoption.samples.select("n_steps", "step_scores").rows() == [(2, [0.25, 0.75])]
    assert findings_of(adoption) == {("run/0.jsonl", "header", True): 1}


def test_zero_tokens_are_unknown_and_betray_a_search() -> None:
    row = learned(3, [solution(6)], completion_tokens=[0])
    for tokens, said in (
        ([0], "0"), ([-1], "less than 0"), (0, "one number a row"), (7, "one number a row"),
        (None, "none"),
    ):  # fmt: skip
        adoption = read("search_and_learn", lines({**row, "completion_tokens": tokens}))
        assert adoption.samples["n_tokens"].to_list() == [None]
        assert detail(adoption, "tokens unknown") == f"of 1 completions: the file says {said}"
        assert findings_of(adoption) == {
            ("run/0.jsonl", "tokens unknown", True): 1,
            ("run/0.jsonl", "beams", True): 1,
        }
        assert adoption.tokens.is_empty()
    counted_again = read("search_and_learn", lines(row), count_tokens=len)
    assert counted_again.samples["n_tokens"].to_list() == [None]
    again = counted_again.tokens.select("kind", "method", "problem_id", "sample_index", "n_tokens")
    assert again.rows() == [("samples", "best_of_n", "p3", 0, len(solution(6)))]


def test_empty_pieces_have_scores_that_are_left_out() -> None:
    text = "First.\n\n\n\nSo \\boxed{6}.\n\n"
    row = learned(3, [text], scores=[[0.1, 0.2, 0.3, 0.4]])
    adoption = read("search_and_learn", lines(row))
    assert adoption.samples["step_scores"][0].to_list() == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize("scores", [[0.5], [0.5] * 3, [0.5, 1.5], [0.5, math.nan], []])
def test_scores_that_do_not_fit_are_left_out(scores: list[float]) -> None:
    adoption = read("search_and_learn", lines(learned(3, [solution(6)], scores=[scores])))
    assert adoption.samples.select("answer", "step_scores").rows() == [("6", None)]
    assert findings_of(adoption) == {("run/0.jsonl", "step scores", True): 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"problem": "Unheard of?"}, "unmatched"),
        ({"problem": PROBLEMS[5].problem}, "duplicate"),
        ({"completions": []}, "malformed"),
        ({"completions": [None]}, "malformed"),
        ({"completions": "text"}, "malformed"),
        ({"scores": None}, "malformed"),
        ({"scores": [[0.5, 0.5]] * 2}, "malformed"),
        ({"completion_tokens": [1, 2]}, "malformed"),
        ({"completions": [solution(6)] * 2, "scores": [[0.5, 0.5]] * 2}, "malformed"),
    ],
)
def test_a_bad_row_is_named_and_the_others_are_kept(changes: Row, reason: str) -> None:
    good = learned(5, [solution(10)])
    adoption = read("search_and_learn", lines(good, {**learned(3, [solution(6)]), **changes}))
    assert adoption.samples["problem_id"].to_list() == ["p5"]
    (finding,) = adoption.findings.rows(named=True)
    assert (finding["member"], finding["reason"]) == ("run/0.jsonl, row 1", reason)
    assert not finding["adopted"]
    assert adoption.files["n_records"].to_list() == [2]
    assert adoption.files["n_used"].to_list() == [1]


def test_every_cut_of_a_file_keeps_the_lines_before_it() -> None:
    first, second = lines(learned(3, [solution(6)])), lines(learned(4, [solution(8)]))
    for end in range(1, len(second)):
        adoption = read("search_and_learn", first + second[:end])
        whole = end >= len(second) - 1  # without its line break a line is still whole
        assert adoption.samples.height == 1 + whole
        assert set(adoption.findings["reason"]) == (set() if whole else {"truncated"})


@pytest.mark.parametrize(
    ("reader", "content"),
    [
        ("search_and_learn", b'{"question": "other"}\n'),
        ("search_and_learn", b"no JSON\n"),
        ("search_and_learn", b""),
        ("openr", lines(learned(3, [solution(6)]))),
        ("qwen_math", lines(learned(3, [solution(6)]))),
        ("zeroeval", b'{"problem": "x"}'),
        ("zeroeval", b'[{"problem": "x"}]'),
        ("zeroeval", b'[{"problem": "x", "output": ["y"]'),
        ("zeroeval", b"[" * 100_000),
        ("rewardmath", b"[]"),
    ],
)
def test_a_file_of_another_schema_is_refused_by_name(reader: str, content: bytes) -> None:
    with pytest.raises(StudyError, match="no record of the expected schema") as caught:
        read(reader, content)
    assert caught.value.where in ("run/0.jsonl", "run/0.jsonl, row 0")


# --- pools that are not what they seem ------------------------------------------------------------


def of_schema(reader: str, number: int = 3, **other: Any) -> Row:
    """A good record of a reader."""
    question, text = PROBLEMS[number].problem, solution(2 * number)
    answer = {"path_idx": 0, "text": text, "value": [0.5, 0.5], "completion_tokens": 5}
    rows: dict[str, Row] = {
        "search_and_learn": learned(number, [text]),
        "openr": {
            "question": question,
            "output": [answer],
            "result": {"majority_vote": 1, "total_completion_tokens": 5},
        },
        "zeroeval": {"problem": question, "output": ['{"answer": "6"}']},
        "qwen_math": {"question": question, "code": [text]},
        "rewardmath": {
            "problem": question, "solution_reference": ["a", "b"], "score": [[0.5], [0.1]],
        },
    }  # fmt: skip
    return rows[reader] | other


def holding(reader: str, *rows: Row) -> bytes:
    is_list = reader in ("zeroeval", "rewardmath")
    return json.dumps(rows).encode() if is_list else lines(*rows)


def n_read(adoption: Adoption) -> int:
    return adoption.samples.height + adoption.solutions.height


IN_THE_PLACE_OF_JSON: dict[str, Callable[[bytes], bytes]] = {
    "packed by gzip": gzip.compress,
    "packed by zstd": lambda _: b"\x28\xb5\x2f\xfd rest",
    "packed by xz": lzma.compress,
    "packed by bzip2": bz2.compress,
    "a zip archive": lambda _: b"PK\x03\x04 rest",
    "a parquet file": lambda _: b"PAR1 rest",
    "text in UTF-16": lambda content: content.decode().encode("utf-16"),
    "a pointer of Git LFS": lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
    "a page of HTML": lambda _: b"<!DOCTYPE html><html>",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", IN_THE_PLACE_OF_JSON)
def test_what_is_published_in_the_place_of_json_is_called_what_it_is(
    kind: str, reader: str
) -> None:
    content = IN_THE_PLACE_OF_JSON[kind](holding(reader, of_schema(reader)))
    with pytest.raises(StudyError, match=f"it is {kind}") as caught:
        read(reader, content)
    assert "run/0.jsonl" in str(caught.value)
    assert "put the JSON itself" in str(caught.value)


@pytest.mark.parametrize("reader", READERS)
def test_a_byte_order_mark_and_other_ends_of_lines_are_no_matter(reader: str) -> None:
    content = holding(reader, of_schema(reader, 3), of_schema(reader, 4))
    plain = read(reader, content)
    assert n_read(plain) >= 2
    for other in (b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\r\n")):
        assert n_read(read(reader, other)) == n_read(plain)


@pytest.mark.parametrize("key", WRITERS)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_of_several_models_is_refused_where_the_second_stands(reader: str, key: str) -> None:
    """Each problem once, so that nothing else tells."""
    models = ["A", None, {"no": "name"}, "A", "B"]
    rows = [of_schema(reader, n, **{key: model}) for n, model in enumerate(models)]
    assert n_read(read(reader, holding(reader, *rows[:-1]))) >= 4
    with pytest.raises(StudyError, match=f"by several models: {key} says another") as caught:
        read(reader, holding(reader, *rows))
    assert "run/0.jsonl, row 4" in str(caught.value)
    assert "than in run/0.jsonl, row 0" in str(caught.value)


@pytest.mark.parametrize("reader", READERS)
def test_a_collection_of_one_policy_holds_no_files_of_another(reader: str) -> None:
    """Where no policy is named, a file says whose scores it holds."""
    first, second = (holding(reader, of_schema(reader, n, model=m)) for n, m in enumerate("AB", 3))
    files = [{"repetition": n, "prm": f"prm {n}"} for n in range(2)]
    assert n_read(read(reader, first, first, files=files)) >= 1
    if reader == "rewardmath":
        assert n_read(read(reader, first, second, files=files, policy=None)) >= 2
    with pytest.raises(StudyError, match=r"model says another one here than in run/0") as caught:
        read(reader, first, second, files=files)
    assert caught.value.where == "run/1.jsonl, row 0"


@pytest.mark.parametrize("reader", READERS)
def test_a_record_in_which_a_key_stands_twice_is_refused(reader: str) -> None:
    """JSON readers take the last and say nothing."""
    key = next(iter(of_schema(reader)))
    good, other = (json.dumps(of_schema(reader, n)) for n in (3, 4))
    twice = f'{{"{key}": "another", {other[1:]}'
    for record in (twice, f'{{"unread": [{{"a": 1, "a": 1}}], {other[1:]}'):
        if reader in ("zeroeval", "rewardmath"):
            with pytest.raises(StudyError, match="a key stands twice in one object") as caught:
                read(reader, f"\n[{good}, {record}]".encode())
            assert caught.value.where == "run/0.jsonl, row 1"
            with pytest.raises(StudyError, match="a key stands twice in one object") as caught:
                read(reader, record.encode())
            assert caught.value.where == "run/0.jsonl"
            for encoded in (
                f"[{good}, {record}]".encode("utf-16-le"),
                f'[{good}, "\ud800é", {record}]'.encode(errors="surrogatepass"),
                f'[{good}, "\ud800é", {record}]'.encode("utf-16-be", errors="surrogatepass"),
            ):
                with pytest.raises(StudyError, match="a key stands twice in one object"):
                    read(reader, encoded)
            continue
        adoption = read(reader, f"{good}\n{record}\n".encode())
        assert findings_of(adoption)["run/0.jsonl", "malformed", False] == 1
        assert n_read(adoption) == 1


@pytest.mark.parametrize(
    ("reader", "content", "what"),
    [
        ("qwen_math", json.dumps([of_schema("qwen_math")]).encode(), "it is one JSON list"),
        ("qwen_math", json.dumps(of_schema("qwen_math"), indent=1).encode(), "several lines"),
        ("qwen_math", b'{"question": "\xe9"}', r"code point at column \d+\n.*row 0"),
        ("qwen_math", b"\n1\n", r"the record: Input should be an object\n.*row 1"),
        (
            "qwen_math",
            b'{"question": "q"}',
            r"code: Field required\n.*row 0\n.*needs question, code",
        ),
        ("search_and_learn", b'{"problem": "q", "completions": ["x"]}', "problem, completions, sc"),
        ("zeroeval", lines(*[of_schema("zeroeval")] * 2), "several JSON values"),
        ("zeroeval", b'["\xe9"]', "no text in UTF-8"),
        ("zeroeval", b"[" * 100_000, "too deeply"),
        ("zeroeval", b" \n", "it is empty"),
    ],
)
def test_json_of_another_shape_is_called_so_and_placed(
    reader: str, content: bytes, what: str
) -> None:
    with pytest.raises(StudyError, match=what):
        read(reader, content)


@pytest.mark.parametrize("reader", ["openr", "qwen_math"])
def test_copies_in_a_pool_are_counted(reader: str) -> None:
    """Two files of one greedy answer each are no pool of two."""
    content = holding(reader, of_schema(reader, 3), of_schema(reader, 4))
    adoption = read(reader, content, content, files=[{}, {}])
    (copies,) = adoption.findings.filter(reason="copy").rows(named=True)
    assert (copies["member"], copies["adopted"]) == ("run/1.jsonl", True)
    assert copies["detail"].startswith("2 of 2 texts of the pool stand before")
    assert adoption.samples.height == 4


def test_the_known_permutation_is_what_the_code_does() -> None:
    # The code: prompts * n, cut into blocks of n, batch by batch.
    for n_rows, n in ((1, 4), (7, 3), (25, 4), (60, 16), (53, 5)):
        lies: dict[tuple[int, int], int] = {}
        for start in range(0, n_rows, BATCH):
            batch = range(start, min(start + BATCH, n_rows))
            outputs = [row for _ in range(n) for row in batch]
            for number, row in enumerate(outputs):
                lies[start + number // n, number % n] = row
        places = sources(n_rows, n)
        assert [[lies[place] for place in of_row] for of_row in places] == [
            [row] * n for row in range(n_rows)
        ]
        assert sorted(place for of_row in places for place in of_row) == sorted(lies)


def answers_of(right: float, n: int = 4, seed: int = 0) -> list[list[int]]:
    draw = random.Random(seed)
    return [
        [2 * row if draw.random() < right else draw.randrange(1000, 9000) for _ in range(n)]
        for row in range(len(PROBLEMS))
    ]


def misplaced(answers: list[list[int]]) -> list[list[int]]:
    n = len(answers[0])
    wrong = [[0] * n for _ in answers]
    for row, places in enumerate(sources(len(answers), n)):
        for own, (r, j) in zip(answers[row], places, strict=True):
            wrong[r][j] = own
    return wrong


def file_of(answers: list[list[int]]) -> bytes:
    return lines(
        *(
            learned(row, [solution(a, f"{row}.{j} ") for j, a in enumerate(of_row)])
            for row, of_row in enumerate(answers)
        )
    )


@pytest.mark.parametrize("right", [0.2, 0.5, 1.0])
def test_completions_under_the_wrong_problems_are_put_in_order(right: float) -> None:
    answers = answers_of(right)
    budget = [{"budget": 4}]
    in_place = read("search_and_learn", file_of(answers), files=budget)
    mended = read("search_and_learn", file_of(misplaced(answers)), files=budget)
    key = ["problem_id", "sample_index"]
    assert mended.samples.select(*key, "answer").equals(in_place.samples.select(*key, "answer"))
    # Their scores were those of other questions.
    assert mended.samples["step_scores"].null_count() == mended.samples.height
    assert in_place.samples["step_scores"].null_count() == 0
    assert findings_of(mended) == {("run/0.jsonl", "wrong problems", True): 1}
    assert findings_of(in_place) == {}
    golds = dict(enumerate(problem.answer for problem in PROBLEMS))
    share = sum(str(a) == golds[r] for r, row in enumerate(answers) for a in row) / 240
    assert f"{share:.1%} in the known order" in detail(mended, "wrong problems")
    # Each row says where its text lies in the file.
    member = mended.samples.filter(problem_id="p1", sample_index=1)["member"].item()
    r, _ = sources(len(PROBLEMS), 4)[1][1]
    assert member == f"run/0.jsonl, row {r}"


def test_another_order_is_refused() -> None:
    answers = answers_of(0.6)
    random.Random(1).shuffle(answers)
    adoption = read("search_and_learn", file_of(answers), files=[{"budget": 4}])
    assert adoption.samples.is_empty()
    assert findings_of(adoption) == {("run/0.jsonl", "wrong problems", False): 1}


def test_a_poor_policy_is_no_permutation() -> None:
    golds = [problem.answer for problem in PROBLEMS]
    for right in (0.1, 0.2, 0.9):
        given = [[str(a) for a in row] for row in answers_of(right, n=8)]
        assert placement(golds, given).verdict == "as they stand"
    # Nothing is concluded from a handful, nor from single samples.
    assert placement(golds[:2], [["1", None], ["7", "9"]]).verdict == "as they stand"
    assert placement(golds, [["x"]] * len(golds)).verdict == "as they stand"


@pytest.mark.parametrize("right", [0.5, 1.0])
@pytest.mark.parametrize("lacking", ["row", "completion"])
def test_completions_under_the_wrong_problems_of_a_file_that_is_not_whole_are_refused(
    right: float, lacking: str
) -> None:
    # The order of its batches is lost with a row or a completion.
    def incomplete(answers: list[list[int]]) -> Adoption:
        if lacking == "completion":
            answers = [answers[0][:-1], *answers[1:]]
        content = file_of(answers) + (b"{}\n" if lacking == "row" else b"")
        return read("search_and_learn", content, files=[{"budget": 4}])

    adoption = incomplete(misplaced(answers_of(right)))
    assert adoption.samples.is_empty()
    assert findings_of(adoption)["run/0.jsonl", "wrong problems", False] == 1
    assert "25 places apart" in detail(adoption, "wrong problems")
    # Where they lie rightly, the others stay as they are.
    in_place = incomplete(answers_of(right))
    assert in_place.samples.height == 240 - (lacking == "completion")
    assert in_place.samples["step_scores"].null_count() == 0
    assert not any(reason == "wrong problems" for _, reason, _ in findings_of(in_place))


def test_single_samples_of_a_file_that_is_not_whole_stay() -> None:
    content = file_of([[2] for _ in PROBLEMS]) + b"{}\n"
    adoption = read("search_and_learn", content, files=[{"budget": 1}])
    assert adoption.samples.height == len(PROBLEMS)


def test_shared_beginnings_are_beams() -> None:
    def rows(n_shared: int, end: str = "") -> bytes:
        records = []
        for row, problem in enumerate(PROBLEMS[:40]):
            starts = ["", ""] if row < n_shared else ["One. ", "Two. "]
            texts = [
                f"{start}First.\n\nSecond.\n\nThird.\n\n{way} {end}\\boxed{{{problem.answer}}}"
                for start, way in zip(starts, ("So", "Thus"), strict=True)
            ]
            records.append(learned(row, texts))
        return lines(*records)

    distinct = read("search_and_learn", rows(0), files=[{"budget": 2}])
    assert findings_of(distinct) == {}
    some = read("search_and_learn", rows(4), files=[{"budget": 2}])
    assert findings_of(some) == {("run/0.jsonl", "beams", True): 1}
    assert detail(some, "beams") == "10.0% of 40 pairs share 3 or more first steps"
    assert some.samples.height == 80
    search = read("search_and_learn", rows(40), files=[{"budget": 2}])
    assert findings_of(search) == {("run/0.jsonl", "beams", False): 1}
    assert search.samples.is_empty()
    assert search.files["n_used"].to_list() == [0]
    # Between files: the same start in two of them.
    both = read(
        "search_and_learn", rows(4), rows(4).replace(b"So it", b"It"), files=[{"budget": 2}] * 2
    )
    assert ("between files", "beams", True) in findings_of(both)


def test_shared_beginnings_are_counted_as_by_every_pair() -> None:
    rng = random.Random(7)
    steps = ["One.", "Two."]
    texts = {
        problem: [
            (rng.choice("abc"), "\n\n".join(rng.choices(steps, k=rng.randint(1, 5))))
            for _ in range(40)
        ]
        for problem in "pq"
    }
    expected: dict[str | None, list[int]] = {}
    for samples in texts.values():
        for (file, text), (other, others) in itertools.combinations(samples, 2):
            of = expected.setdefault(file if file == other else None, [0, 0])
            first, second = (t.split("\n\n")[:SHARED_STEPS] for t in (text, others))
            of[0] += 1
            of[1] += first == second and len(first) == SHARED_STEPS
    within, between = shared_beginnings(texts)
    assert {file: [s.n_pairs, s.n_shared] for file, s in within.items()} == {
        file: counts for file, counts in expected.items() if file is not None
    }
    assert [between.n_pairs, between.n_shared] == expected[None]


def test_pools_of_many_samples_take_no_time_for_every_pair() -> None:
    pool = [(f"file {n % 3}", f"{n % 50}\n\nTwo.\n\nThree.") for n in range(20_000)]
    started = time.process_time()
    within, between = shared_beginnings({"p": pool})
    assert time.process_time() - started < 5
    n_pairs = sum(sharing.n_pairs for sharing in within.values()) + between.n_pairs
    assert n_pairs == math.comb(20_000, 2)


def test_searches_keep_their_copies_and_their_repetitions() -> None:
    texts = [solution(6, "a"), solution(6, "a"), solution(7, "b"), solution(6, "c")]
    files = [{"method": "beam_search", "budget": 4, "repetition": n} for n in (0, 1)]
    adoption = read("search_and_learn", *[lines(learned(3, texts))] * 2, files=files)
    assert adoption.samples.is_empty()
    keys = ("budget", "beam_width", "repetition", "subtree", "path", "answer")
    assert adoption.paths.select(keys).rows() == [
        (4, 4, repetition, 0, path, answer)
        for repetition in (0, 1)
        for path, answer in enumerate("6676")
    ]
    assert findings_of(adoption)[("run/0.jsonl", "copy", True)] == 1
    assert adoption.cells()["n_repetitions"].to_list() == [2]
    siblings = read(
        "search_and_learn",
        lines(learned(3, texts)),
        files=[{"method": "dvts", "budget": 4}],
        beam_width=2,
    )
    assert siblings.paths.select("budget", "subtree", "path").rows() == [
        (None, 0, 0), (None, 0, 1), (None, 1, 0), (None, 1, 1),
    ]  # fmt: skip


# --- OpenR ----------------------------------------------------------------------------------------


def searched(number: int, *values: list[float], **other: Any) -> Row:
    answer = PROBLEMS[number].answer
    output = [
        {
            "path_idx": index,
            "text": f"First.\n\nSo \\boxed{{{answer}}}.\n\n",
            "value": value,
            "completion_tokens": 40,
            "tree_completion_tokens": 30,
        }
        for index, value in enumerate(values)
    ]
    result = {"majority_vote": 1, "total_completion_tokens": 100}
    return {
        "question": PROBLEMS[number].problem,
        "groundtruth": "a whole solution",
        "result": result,
        "output": output,
        **other,
    }


def test_tree_searches_keep_their_name_and_their_cost() -> None:
    content = lines(*(searched(n, [0.5, 0.75], [0.25, 1.0]) for n in range(len(PROBLEMS))))
    adoption = read("openr", content, files=[{"method": "mcts (OpenR)", "budget": 2}])
    columns = ("method", "budget", "path", "answer", "n_tokens", "n_tokens_tree", "step_scores")
    assert adoption.paths.filter(problem_id="p3").select(columns).rows() == [
        ("mcts (OpenR)", 2, 0, "6", None, 100, [0.5, 0.75]),
        ("mcts (OpenR)", 2, 1, "6", None, 100, [0.25, 1.0]),
    ]
    assert findings_of(adoption) == {}


def test_a_value_of_zero_is_no_score_where_one_answer_was_drawn() -> None:
    rows = [searched(n, [0]) for n in range(len(PROBLEMS))]
    for method, table, spent in (
        ("cot", "samples", 40),
        ("beam_search", "paths", None),
    ):
        budget = 4 if method == "beam_search" else 1  # of which one beam is kept
        adoption = read("openr", lines(*rows), files=[{"method": method, "budget": budget}])
        frame = getattr(adoption, table)
        assert frame["step_scores"].null_count() == frame.height == len(PROBLEMS)
        assert set(frame["n_tokens"]) == {spent}
        assert findings_of(adoption) == {}


def test_zero_tokens_of_openr_are_unknown() -> None:
    row = searched(1, [0.5, 0.5])
    row["output"][0]["completion_tokens"] = 0
    sample = read("openr", lines(row), count_tokens=len)
    assert sample.samples["n_tokens"].to_list() == [None]
    assert sample.tokens["n_tokens"].to_list() == [len("First.\n\nSo \\boxed{2}.")]
    assert detail(sample, "tokens unknown") == "answer 0: the file says 0"
    row = searched(1, [0.5, 0.5], result={"majority_vote": 1, "total_completion_tokens": 0})
    search = read("openr", lines(row), files=[{"method": "beam_search", "budget": 4}])
    assert search.paths["n_tokens_tree"].to_list() == [None]
    assert detail(search, "tokens unknown") == "of the search: the file says 0"


def test_a_run_that_was_broken_off_says_so() -> None:
    adoption = read("openr", lines(searched(3, [0]), searched(4, [0])), files=[{"method": "cot"}])
    assert findings_of(adoption) == {("run/0.jsonl", "interrupted", True): 1}
    assert detail(adoption, "interrupted").startswith("2 of 60 problems")


@pytest.mark.parametrize(
    ("row", "reason", "adopted"),
    [
        (searched(3, [0.5]), "step scores", True),
        (searched(3, [0.5, 1.5]), "step scores", True),
        (searched(3, *[[0.5, 0.5]] * 3), "malformed", False),
        (searched(4, [0.5, 0.5]), "duplicate", False),
        (searched(3, [0.5, 0.5], question="Unheard of?"), "unmatched", False),
        (searched(3, [0.5, 0.5], result={"majority_vote": 2}), "malformed", False),
        (searched(3, [0.5, 0.5], output=[]), "malformed", False),
    ],
)
def test_records_of_openr_that_do_not_fit(row: Row, reason: str, adopted: bool) -> None:
    content = lines(searched(4, [0.5, 0.5], [0.5, 0.5]), row)
    adoption = read("openr", content, files=[{"method": "beam_search", "budget": 8}])
    rows = adoption.findings.filter(pl.col("member") == "run/0.jsonl, row 1")
    assert rows.select("reason", "adopted").rows()[-1] == (reason, adopted)
    assert adoption.paths.filter(problem_id="p4").height == 2


# --- ZeroEval -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer", "form"),
    [
        ('```json\n{"reasoning": "So.", "answer": "42"}\n```', "42", "json"),
        ('{"reasoning": "So.", "answer": 42}', "42", "json"),
        ('{"reasoning": "So.", "answer": "\\\\frac{1}{2}"}', r"\frac{1}{2}", "json"),
        # Backslashes that nobody doubled: JSON would read a form feed, a tab, a line break.
        (r'{"reasoning": "x", "answer": "\frac{1}{2}"}', r"\frac{1}{2}", "json"),
        (r'{"reasoning": "x", "answer": "\theta \neq \beta"}', r"\theta \neq \beta", "json"),
        (r'{"reasoning": "bad \( escape", "answer": "$\sqrt{3}$"}', r"\sqrt{3}", "json"),
        (r'{"answer": "\\(5\\)"}', "5", "json"),
        (r'{"answer": "The answer is \\boxed{7}"}', "7", "json"),
        (r'{"answer": "a \"quoted\" word"}', 'a "quoted" word', "json"),
        (r'{"answer": "$1$ and $2$"}', "$1$ and $2$", "json"),
        ('{"reasoning": "the \\"answer\\": \\"1\\" is wrong", "answer": "2"}', "2", "json"),
        (r"no JSON, but \boxed{9}", "9", "box"),
        (r'{"reasoning": "cut, after \\boxed{11}', "11", "box"),
        ('{"reasoning": "cut", "answer": "12', None, None),
        ('{"reasoning": "nothing", "answer": ""}', None, None),
        ('{"reasoning": "___", "answer": "___"}', None, None),
        ("", None, None),
    ],
)
def test_answers_in_json_or_a_box(text: str, answer: str | None, form: str | None) -> None:
    assert answer_of(text) == (answer, form)


def test_the_answer_of_a_huge_output_is_found_in_bounded_memory() -> None:
    output = '{"answer": "' + "x" * 1_000_000 + "\\\\" * 100_000 + '"}'
    tracemalloc.start()
    try:
        answer, form = answer_of(output)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (form, len(answer or "")) == ("json", 1_100_000)
    assert peak < 30 * len(output)


def test_outputs_without_an_answer_are_counted() -> None:
    outputs = ['{"answer": "0"}', r"\boxed{2}", "nothing"]
    rows: list[Any] = [
        {"problem": f"What\nis ${n}+{n}$ ?", "output": [text], "answer": "gold"}
        for n, text in enumerate(outputs)
    ]
    rows += [{"problem": "Not in the task?", "output": ["x"]}, {"problem": "x", "output": []}]
    adoption = read("zeroeval", json.dumps(rows).encode(), files=[{"method": "cot"}], prm=None)
    # Problems match by their text without white space.
    assert adoption.samples.select("problem_id", "method", "prm", "answer").rows() == [
        ("p0", "cot", None, "0"),
        ("p1", "cot", None, "2"),
        ("p2", "cot", None, None),
    ]
    assert findings_of(adoption) == {
        ("run/0.jsonl", "malformed", False): 1,
        ("run/0.jsonl", "no answer", True): 2,
        ("run/0.jsonl", "unmatched", False): 1,
    }
    assert adoption.files.select("n_records", "n_used").rows() == [(5, 3)]


# --- the Qwen2.5-Math harness ---------------------------------------------------------------------


def harness(number: int, *texts: str, **other: Any) -> Row:
    return {
        "idx": number,
        "question": PROBLEMS[number].problem,
        "gt": PROBLEMS[number].answer,
        "code": list(texts),
        "pred": ["6"] * len(texts),
        "score": [True] * len(texts),
        "report": [None],
        **other,
    }


def test_texts_of_the_harness_and_those_that_it_lost() -> None:
    content = lines(harness(3, solution(6)), harness(4, "", pred=[None], score=[False]))
    adoption = read("qwen_math", content, files=[{"method": "cot"}], prm=None, count_tokens=len)
    columns = ("problem_id", "answer", "official_answer", "official_correct", "n_tokens", "n_steps")
    assert adoption.samples.select(columns).rows() == [
        ("p3", "6", None, None, None, 2),
        ("p4", None, None, None, None, 0),
    ]
    assert findings_of(adoption) == {("run/0.jsonl", "no answer", True): 1}
    assert adoption.tokens["n_tokens"].to_list() == [len(solution(6)), 0]
    bad = lines(harness(3, solution(6)), harness(4))
    assert findings_of(read("qwen_math", bad)) == {("run/0.jsonl", "malformed", False): 1}


# --- RewardMATH -----------------------------------------------------------------------------------


def rated(scores: Sequence[Any], number: int = 3, **other: Any) -> bytes:
    row = {
        "problem": PROBLEMS[number].problem,
        "solution_reference": ["human", "other", "third"],
        "score": list(scores),
        **other,
    }
    return json.dumps([row]).encode()


def test_a_number_of_thousands_of_digits_is_no_score() -> None:
    """Python reads whole numbers of 4,300 digits at most; the file was called no JSON."""
    good, huge = (rated([0.5, 2, 3], n).decode()[1:-1] for n in (3, 4))
    adoption = read(
        "rewardmath", f"[{good}, {huge.replace('0.5', '1' * 5000)}]".encode(), policy=None
    )
    assert findings_of(adoption) == {("run/0.jsonl", "malformed", False): 1}
    assert adoption.solutions["outcome_score"].to_list() == [0.5, 2, 3]


def test_scores_of_steps_and_of_solutions_are_no_file_of_one_model() -> None:
    kinds = [json.loads(rated(scores, n)) for n, scores in ((3, [[0.5]] * 3), (4, [0.5] * 3))]
    for one, other in (kinds, kinds[::-1]):
        with pytest.raises(StudyError, match="given by several models") as caught:
            read("rewardmath", json.dumps([*one, *other]).encode(), policy=None)
        assert caught.value.where == "run/0.jsonl, row 1"
        assert "in run/0.jsonl, row 0" in str(caught.value)


def test_scores_of_solutions_whose_truth_is_known() -> None:
    steps = [[0.5, 0.75], [0.25], [0.125, 0.5]]
    files = [{"prm": "one"}, {"prm": "two"}, {"prm": "whole"}]
    other = [[0.5, 0.5], [0.5], [0.5, 0.5, 0.5]]
    adoption = read(
        "rewardmath",
        *(rated(steps), rated(other), rated([3.5, -1.0, 0.25])),
        files=[*files[:2], files[2]],
        policy=None,
        prm=None,
    )
    assert adoption.solutions.schema == SOLUTIONS
    columns = ("prm", "solution", "author", "correct", "step_scores", "outcome_score")
    assert adoption.solutions.select(columns).rows() == [
        ("one", 0, "human", True, [0.5, 0.75], None),
        ("one", 1, "other", False, [0.25], None),
        ("one", 2, "third", False, [0.125, 0.5], None),
        ("two", 0, "human", True, [0.5, 0.5], None),
        ("two", 1, "other", False, [0.5], None),
        ("whole", 0, "human", True, None, 3.5),
        ("whole", 1, "other", False, None, -1.0),
        ("whole", 2, "third", False, None, 0.25),
    ]
    # Two models disagree about the steps of the third solution; the first is taken.
    assert findings_of(adoption) == {("run/1.jsonl", "step scores", False): 1}
    assert detail(adoption, "step scores") == "solution 2: 3 scores, others 2"
    assert "8 solutions scored, by 3 reward models." in report(adoption)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (rated([[0.5]] * 2), "step scores"),
        (rated([[0.5]] * 3, problem="Unheard of?"), "unmatched"),
        (rated([[0.5], [0.5], [1.5]]), "step scores"),
    ],
)
def test_scores_that_belong_to_nothing(content: bytes, reason: str) -> None:
    adoption = read("rewardmath", content, policy=None)
    assert set(adoption.findings["reason"]) == {reason}


def test_a_solution_without_any_score_of_its_steps_is_malformed() -> None:
    both = [*json.loads(rated([[0.5], [], [0.5]])), *json.loads(rated([[0.5]] * 3, 4))]
    adoption = read("rewardmath", json.dumps(both).encode(), policy=None)
    assert findings_of(adoption) == {("run/0.jsonl", "malformed", False): 1}
    assert set(adoption.solutions["problem_id"]) == {"p4"}


def test_scores_that_no_column_holds_are_malformed() -> None:
    contents = [rated([1.0, 2.0, 3.0]), rated([1.0, 1e39, 3.0])]
    files = [{"prm": "small"}, {"prm": "huge"}]
    with pytest.raises(StudyError, match="no record of the expected schema"):
        read("rewardmath", contents[1], policy=None)
    both = json.dumps([*json.loads(contents[1]), *json.loads(rated([-1e38, 0.5, 1.0], 4))])
    adoption = read("rewardmath", contents[0], both.encode(), files=files, policy=None)
    assert findings_of(adoption) == {("run/1.jsonl", "malformed", False): 1}
    assert all(map(math.isfinite, adoption.solutions["outcome_score"]))


def answered(reader: str, number: int, *answers: int) -> Row:
    """A record of a reader's schema with answers of its own."""
    texts = [solution(answer) for answer in answers]
    problem = PROBLEMS[number].problem
    return {
        "search_and_learn": learned(number, texts),
        "openr": searched(number, *[[0.5, 0.5]] * len(texts)),
        "zeroeval": {"problem": problem, "output": texts},
        "qwen_math": harness(number, *texts),
    }[reader]


@pytest.mark.parametrize("reader", ["search_and_learn", "openr", "zeroeval", "qwen_math"])
def test_greedy_answers_are_one_a_problem(reader: str) -> None:
    def content(*rows: Row) -> bytes:
        return json.dumps(rows).encode() if reader == "zeroeval" else lines(*rows)

    first = content(*(answered(reader, n, 2 * n) for n in range(3)))
    # The second file goes on, but holds one problem once more.
    second = content(*(answered(reader, n, 2 * n) for n in range(2, 5)))
    files = [{"method": "cot"}] * 2
    adoption = read(reader, first, second, files=files, prm=None)
    assert not adoption.paths.height
    assert adoption.samples.select("problem_id", "sample_index", "method").rows() == [
        (f"p{n}", 0, "cot") for n in range(5)
    ]
    refused = adoption.findings.filter(adopted=False)
    assert refused.select("member", "reason").rows() == [("run/1.jsonl, row 0", "duplicate")]
    assert adoption.files.select("n_records", "n_used").rows() == [(3, 3), (3, 2)]
    # Two answers of one file: the record says which, and none is taken for the greedy one.
    several = content(answered(reader, 0, 0, 1), answered(reader, 1, 2))
    adoption = read(reader, several, files=[{"method": "cot"}], prm=None)
    assert adoption.samples["problem_id"].to_list() == ["p1"]
    assert findings_of(adoption)["run/0.jsonl", "malformed", False] == 1


def test_several_greedy_answers_a_problem_are_no_such_file() -> None:
    with pytest.raises(ValueError, match="greedy answers are one a problem, not 4"):
        entry("qwen_math", {"path": "a", "method": "cot", "budget": 4})


def test_a_pool_of_the_harness_has_as_many_texts_as_the_registry_states() -> None:
    content = lines(harness(1, solution(2)), harness(2, *map(solution, (4, 5))),
                    harness(3, *map(solution, (6, 7, 8))))  # fmt: skip
    adoption = read("qwen_math", content, files=[{"budget": 2}], prm=None)
    assert adoption.samples["problem_id"].to_list() == ["p1", "p2", "p2"]
    assert findings_of(adoption) == {
        ("run/0.jsonl", "answer count", True): 1,
        ("run/0.jsonl", "malformed", False): 1,
    }


@pytest.mark.parametrize("method", ["best_of_n", "beam_search"])
def test_counts_that_no_column_holds_are_malformed(method: str) -> None:
    rows = [learned(1, [solution(2)], completion_tokens=[10**30]), learned(2, [solution(4)])]
    adoption = read("search_and_learn", lines(*rows), files=[{"method": method}])
    assert findings_of(adoption)["run/0.jsonl", "malformed", False] == 1
    assert adoption.n_records == 1


@pytest.mark.parametrize(("method", "distinct"), [("dvts", False), ("beam_search", True)])
def test_budgets_tell_searches_apart_unless_one_run_serves_all(method: str, distinct: bool) -> None:
    files = [{"method": method, "budget": budget} for budget in (2, 4)]
    contents = [lines(learned(1, [solution(2), solution(3)]))] * 2

    def keys(**numbered: Any) -> pl.DataFrame:
        numbers = [{**file, **{k: n * v for k, v in numbered.items()}} for n, file in
                   enumerate(files)]  # fmt: skip
        paths = read("search_and_learn", *contents, files=numbers).paths
        return paths.select(KEYS["adopted_paths"])

    if distinct:
        assert keys().is_unique().all()
    else:
        with pytest.raises(ValueError, match="the same search"):
            keys()
    assert keys(repetition=1).is_unique().all()
