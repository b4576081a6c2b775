"""What vLLM does not know is converted once, whoever is killed, comes second or has no room."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compute_optimal.engines import checkpoints, conversion
from compute_optimal.engines.conversion import servable_folder
from compute_optimal.errors import StudyError

MODEL = {"name": "Skywork-PRM-1.5B", "id": "Skywork/Skywork-PRM", "revision": "a" * 40}
SHARDS = {
    "model-00001-of-00002.safetensors": {"model.embed_tokens.weight": b"embedding", "n": b"12"},
    "model-00002-of-00002.safetensors": {
        "lm_head.weight": b"head of the language model",
        "model.norm.weight": b"norm",
        "v_head.summary.bias": b"b",
        "v_head.summary.weight": b"weights",
    },
}
CONVERTED = {
    "model.embed_tokens.weight": b"embedding",
    "n": b"12",
    "model.norm.weight": b"norm",
    "score.bias": b"b",
    "score.weight": b"weights",
}


def write_tensors(path: Path, tensors: dict[str, bytes]) -> None:
    """A safetensors file. Data lie in another order than names do, as they may."""
    header, data = {}, b""
    for name in reversed(tensors):
        end = len(data) + len(tensors[name])
        header[name] = {
            "dtype": "U8",
            "shape": [len(tensors[name])],
            "data_offsets": [len(data), end],
        }
        data += tensors[name]
    text = json.dumps({"__metadata__": {"format": "pt"}} | {n: header[n] for n in tensors}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def read_tensors(folder: Path) -> dict[str, bytes]:
    """All tensors of a folder, by its index."""
    contents = {}
    for path in {folder / name for name in index_of(folder).values()}:
        tensors, start = checkpoints._tensors(path)
        data = path.read_bytes()
        for name, entry in tensors.items():
            first, last = entry["data_offsets"]
            assert name not in contents
            assert (entry["dtype"], entry["shape"]) == ("U8", [last - first])
            contents[name] = data[start + first : start + last]
        assert start % 8 == 0 or path.is_symlink()
    return contents


def index_of(folder: Path) -> dict[str, str]:
    index: dict[str, str] = json.loads((folder / conversion.INDEX).read_text())["weight_map"]
    return index


@pytest.fixture
def skywork(tmp_path: Path) -> Path:
    """A checkpoint as Skywork publishes them, in two shards."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    for name, tensors in SHARDS.items():
        write_tensors(folder / name, tensors)
    weight_map = {tensor: name for name, tensors in SHARDS.items() for tensor in tensors}
    (folder / conversion.INDEX).write_text(json.dumps({"weight_map": weight_map}))
    # Not in the index, as some repositories have the same weights twice.
    write_tensors(folder / "consolidated.safetensors", {"tok_embeddings.weight": b"twice"})
    (folder / "config.json").write_text(
        '{"architectures": ["Qwen2ForPrmModel"], "auto_map": {"AutoModel": "code.py"}, "x": 1}'
    )
    for name in ("tokenizer.json", "tokenizer_config.json", "merges.txt", "code.py"):
        (folder / name).write_text("{}")
    return folder


@pytest.fixture
def convert(skywork: Path, tmp_path: Path) -> Callable[[], Path]:
    return lambda: servable_folder(skywork, MODEL, converted=tmp_path / "converted")


def is_right(folder: Path) -> bool:
    """Whether a converted folder is whole and holds what it must, and only that."""
    assert read_tensors(folder) == CONVERTED
    assert index_of(folder).keys() == CONVERTED.keys()
    assert json.loads((folder / "config.json").read_text()) == {
        "architectures": ["Qwen2ForTokenClassification"],
        "id2label": {"0": "good"},
        "label2id": {"good": 0},
        "x": 1,
    }
    assert {path.name for path in folder.iterdir()} == {
        *SHARDS,
        *("config.json", "tokenizer.json", "tokenizer_config.json", "merges.txt"),
        *(conversion.INDEX, conversion.RECORD),
    }
    return True


def leftovers(folder: Path) -> list[Path]:
    return list((folder.parent).glob(".*.partial"))


def test_a_skywork_checkpoint_becomes_a_token_classifier(
    convert: Callable[[], Path], skywork: Path
) -> None:
    before = {path.name: path.read_bytes() for path in skywork.iterdir()}
    folder = convert()
    assert is_right(folder)
    assert leftovers(folder) == []
    # A file in which nothing changes costs no disk space, and the original is as it was.
    linked, written = (folder / name for name in SHARDS)
    assert linked.readlink() == skywork / linked.name
    assert not written.is_symlink()
    assert {path.name: path.read_bytes() for path in skywork.iterdir()} == before


def test_a_record_says_what_was_converted(convert: Callable[[], Path], skywork: Path) -> None:
    folder = convert()
    record = json.loads((folder / conversion.RECORD).read_text())
    files = record.pop("files")
    assert record == {
        "name": MODEL["name"],
        "model": {"id": MODEL["id"], "revision": MODEL["revision"]},
        "conversions": {"skywork": 1},
        "source": str(skywork),
    }
    assert files == {
        path.name: path.stat().st_size
        for path in folder.iterdir()
        if path.name != conversion.RECORD
    }


def test_it_is_done_once_for_a_revision_and_a_version(
    convert: Callable[[], Path],
    skywork: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = convert()
    stamp = (folder / conversion.RECORD).stat()
    assert convert() == folder
    assert (folder / conversion.RECORD).stat() == stamp
    under = folder.parent
    # The same model under another name; a folder of one's own; another revision; a new version.
    assert servable_folder(skywork, {**MODEL, "name": "other"}, converted=under) == folder
    own = {"name": "own", "id": None, "revision": f"sha256:{'b' * 64}"}
    newer = {**MODEL, "revision": "b" * 40}
    others = [servable_folder(skywork, model, converted=under) for model in (own, newer)]
    monkeypatch.setitem(
        conversion.CONVERSIONS,
        "Qwen2ForPrmModel",
        conversion.Conversion(**{**vars(conversion.CONVERSIONS["Qwen2ForPrmModel"]), "version": 2}),
    )
    others.append(convert())
    assert len({folder, *others}) == 4
    assert all(map(is_right, others))
    assert capsys.readouterr().err.count("converting") == 4


def test_what_vllm_knows_is_left_alone(skywork: Path, tmp_path: Path) -> None:
    (skywork / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    assert servable_folder(skywork, MODEL, converted=tmp_path / "converted") == skywork
    assert not (tmp_path / "converted").exists()


def in_a_child(work: Callable[[], Any]) -> int:
    """Exit status of a process of its own that does ``work``."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


KILLED = 9


def killed_at(number: int, work: Callable[[], Any], below: Path) -> int:
    """Do ``work`` in a process that dies before its ``number``-th touch of a file ``below``."""
    left = number

    def hook(event: str, values: tuple[Any, ...]) -> None:
        nonlocal left
        if event.startswith(("open", "os.", "shutil.")) and any(
            str(below) in str(value) for value in values
        ):
            left -= 1
            if left < 0:
                os._exit(KILLED)

    def doomed() -> None:
        sys.addaudithook(hook)
        work()

    return in_a_child(doomed)


def test_a_kill_at_any_moment_leaves_nothing_that_is_taken_for_whole(
    convert: Callable[[], Path], tmp_path: Path
) -> None:
    under = tmp_path / "converted"
    kills = 0
    while (status := killed_at(kills, convert, under)) == KILLED:
        named = [path for path in under.glob("*") if not path.name.startswith(".")]
        assert all(map(is_right, named))
        if not named:
            # What the next one makes of what is left.
            folder = convert()
            assert is_right(folder)
            assert leftovers(folder) == []
        shutil.rmtree(under, ignore_errors=True)
        kills += 1
    assert status == 0
    assert kills > 15


def test_two_at_once_convert_once(convert: Callable[[], Path], tmp_path: Path) -> None:
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = 0 if is_right(convert()) else 2
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    assert len([p for p in (tmp_path / "converted").iterdir() if p.is_dir()]) == 1


def test_where_locks_do_not_work_the_first_one_stands(
    convert: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json = conversion.write_json

    def overtaken(path: Path, value: Any) -> None:
        write_json(path, value)
        if path.name == conversion.RECORD:
            monkeypatch.setattr(conversion, "write_json", write_json)
            shutil.copytree(
                path.parent, path.parents[1] / path.parent.name[1:].split(".")[0], symlinks=True
            )

    monkeypatch.setattr(conversion, "write_json", overtaken)
    folder = convert()
    assert is_right(folder)
    assert leftovers(folder) == []


def test_what_is_no_longer_whole_is_made_anew(convert: Callable[[], Path]) -> None:
    folder = convert()
    written = folder / list(SHARDS)[1]
    for damage in (
        lambda: written.write_bytes(written.read_bytes()[:-1]),
        (folder / "tokenizer.json").unlink,
        lambda: (folder / conversion.RECORD).write_text("[]"),
        lambda: (folder / conversion.RECORD).write_bytes(b"\xff"),
    ):
        damage()
        assert convert() == folder
        assert is_right(folder)


def test_a_cache_that_was_moved_is_no_loss(convert: Callable[[], Path], skywork: Path) -> None:
    folder = convert()
    elsewhere = skywork.rename(skywork.with_name("elsewhere"))
    assert not (folder / next(iter(SHARDS))).exists()
    assert servable_folder(elsewhere, MODEL, converted=folder.parent) == folder
    assert is_right(folder)


def test_memory_is_one_buffer_whatever_the_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_BUFFER", 1 << 16)
    source, target = tmp_path / "large.safetensors", tmp_path / "new.safetensors"
    kept = os.urandom(1 << 24)
    write_tensors(source, {"lm_head.weight": bytes(1 << 20), "w": kept})
    tracemalloc.start()
    checkpoints.rewrite_tensors(source, target, lambda name: "v" if name == "w" else None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20
    assert target.read_bytes().endswith(kept)
    assert checkpoints.tensor_names(target) == {"v"}


def test_disk_space_is_checked_before(
    convert: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    with pytest.raises(StudyError, match=r"Skywork-PRM-1.5B needs(.|\n)*do:.*larger disk"):
        convert()
    assert [p for p in (tmp_path / "converted").iterdir() if p.is_dir()] == []


def test_a_disk_that_fills_up_all_the_same_is_told(
    convert: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "rewrite_tensors", full)
    with pytest.raises(StudyError, match=r"cannot be converted: No space left(.|\n)*do:"):
        convert()
    monkeypatch.undo()
    folder = convert()
    assert is_right(folder)
    assert leftovers(folder) == []


def test_a_checkpoint_that_lacks_what_it_must_have_is_refused(
    convert: Callable[[], Path], skywork: Path
) -> None:
    second = skywork / list(SHARDS)[1]
    for breakage, message in (
        (lambda: write_tensors(second, {"model.norm.weight": b"n"}), r"v_head\.summary\.bias"),
        (lambda: second.write_bytes(second.read_bytes()[:-1]), "damaged"),
        (lambda: second.write_bytes(b"\xff" * 30), "damaged"),
        (second.unlink, "missing"),
        (lambda: (skywork / conversion.INDEX).write_text("[]"), "index"),
    ):
        breakage()
        with pytest.raises(StudyError, match=message) as caught:
            convert()
        assert str(skywork) in str(caught.value)


def test_a_tokenizer_of_an_older_format_becomes_a_fast_one(tmp_path: Path) -> None:
    """That of Math-Shepherd, where a revision has no more than the file of SentencePiece."""
    common: Any = pytest.importorskip("mistral_common", reason="mistral-common has the tokenizer")
    pytest.importorskip("transformers", reason="transformers comes with the engine (make engine)")
    from compute_optimal.engines import open_scoring_engine
    from compute_optimal.policies.prompts import load_tokenizer, single_id
    from compute_optimal.prms import prm_format

    folder = tmp_path / "snapshot"
    folder.mkdir()
    model = Path(common.__file__).parent / "data" / "tokenizer.model.v1"
    if not model.is_file():
        pytest.skip("this mistral-common does not carry tokenizer.model.v1")
    shutil.copyfile(model, folder / "tokenizer.model")
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", '
        '"unk_token": "<unk>", "add_bos_token": true, "add_eos_token": false}'
    )
    (folder / "config.json").write_text(
        '{"architectures": ["MistralForCausalLM"], "model_type": "mistral"}'
    )
    write_tensors(folder / "model.safetensors", {"model.norm.weight": b"norm"})
    with pytest.raises(StudyError, match=r"no tokenizer\.json"):
        open_scoring_engine(folder, "math_shepherd", context=8)
    converted = servable_folder(folder, MODEL, converted=tmp_path / "converted")
    assert (converted / "model.safetensors").readlink() == folder / "model.safetensors"
    assert not (folder / "tokenizer.json").exists()
    tokenizer = load_tokenizer(converted)
    assert prm_format("math_shepherd").sign_ids(tokenizer) == (648, 387)
    assert single_id(tokenizer, "ки") == 12902
    encoded = prm_format("math_shepherd").encode(tokenizer, "What is 1+1?", ["It is 2.", "So 2"])
    assert [encoded.token_ids[position] for position in encoded.positions] == [12902, 12902]
    (folder / "tokenizer.model").write_bytes(b"no model")
    with pytest.raises(StudyError, match="tokenizer cannot be read"):
        servable_folder(folder, {**MODEL, "revision": "c" * 40}, converted=tmp_path / "converted")
