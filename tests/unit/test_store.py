"""The store: append-only parts, verified on every read."""

import ast
import json
import multiprocessing
import os
from pathlib import Path

import polars as pl
import pytest

from compute_optimal.errors import StudyError
from compute_optimal.store import partitions as store_module
from compute_optimal.store.partitions import (
    MOST_PARTS,
    Partition,
    Store,
    atomic_write,
    each,
    verify,
)
from compute_optimal.store.sharing import fetch, publish

SPEC = {"kind": "samples", "seed": 0}


def rows(problem: str, indices: range, text: str = "x", run: str = "1") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "problem_hash": [problem] * len(indices),
            "sample_index": list(indices),
            "text": [f"{text}{i}" for i in indices],
            "run": [run] * len(indices),
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", [tmp_path / "shipped"])


@pytest.fixture
def cell(store: Store) -> Partition:
    return store.partition("samples", "task.policy", SPEC)


def ship(cell: Partition, folder: Path) -> None:
    publish([(cell, ["samples"])], str(folder / "shipped"))


def the_part(folder: Path, table: str = "samples") -> Path:
    (part,) = folder.rglob(f"{table}-*.parquet")
    return part


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_files_are_for_whoever_the_umask_lets_in(tmp_path: Path, mask: int, monkeypatch) -> None:
    before = os.umask(mask)
    try:
        with monkeypatch.context() as patched:
            # It is the whole process's: another thread would make its files without one meanwhile.
            patched.setattr(os, "umask", lambda _: pytest.fail("the umask was touched"))
            with atomic_write(tmp_path / "folder" / "file") as file:
                file.write(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "folder" / "file").stat().st_mode & 0o777 == 0o666 & ~mask
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]


def test_rows_come_back_sorted_by_key_and_once(cell: Partition) -> None:
    cell.append("samples", rows("b", range(2)))
    cell.append("samples", rows("a", range(3)))
    cell.append("samples", rows("a", range(1, 4)))
    read = cell.read("samples")
    assert read.select("problem_hash", "sample_index").rows() == [
        ("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 0), ("b", 1),
    ]  # fmt: skip


def test_equal_rows_make_one_part_whoever_writes_them(cell: Partition) -> None:
    assert cell.append("samples", rows("a", range(5))) == cell.append(
        "samples", rows("a", range(5))
    )
    assert len(cell.parts("samples")) == 1


def test_an_empty_partition_reads_as_empty(cell: Partition) -> None:
    assert cell.read("samples").is_empty()
    assert cell.parts("samples") == []


@pytest.mark.parametrize(("run", "expected"), [("1", "own0"), ("3", "shipped0")])
def test_of_two_runs_of_a_unit_the_earliest_counts_wherever_it_lies(
    store: Store, tmp_path: Path, run: str, expected: str
) -> None:
    cell = store.partition("samples", "task.policy", SPEC)
    cell.append("samples", rows("a", range(2), "shipped", run="2"))
    ship(cell, tmp_path)
    the_part(tmp_path / "store").unlink()
    assert cell.read("samples")["text"].to_list() == ["shipped0", "shipped1"]
    cell.append("samples", rows("a", range(1), "own", run=run))
    assert cell.read("samples")["text"].to_list() == [expected, "shipped1"]
    assert cell.look("samples", ["text"])["text"].to_list() == [expected, "shipped1"]


def test_of_two_runs_in_one_store_the_earliest_counts_whatever_its_part_is_called(
    cell: Partition,
) -> None:
    for text in "abcdefgh":
        cell.append("samples", rows("a", range(3), text, run="2"))
        cell.append("samples", rows("b", range(3), text, run=text))
    cell.append("samples", rows("a", range(3), "first", run="1"))
    assert cell.read("samples")["text"].to_list() == [
        *(f"first{i}" for i in range(3)),
        *(f"a{i}" for i in range(3)),
    ]


@pytest.mark.parametrize("checked", [False, True])
def test_partitions_read_together_are_as_read_one_by_one(store: Store, checked: bool) -> None:
    cells = []
    for number in range(2 * store_module._TOGETHER + 1):
        cell = store.partition("samples", f"task.{number}", {**SPEC, "seed": number})
        for part in range(number % 4):  # none, one, or several of which rows are the same
            name = "ba"[part % 2]
            cell.append(
                "samples", rows(name, range(number % 3 + part + 1), f"{part}", run=f"{part}")
            )
        cells.append(cell)
    alone = [
        cell.read("samples", ["text"]) if checked else cell.look("samples", ["text"])
        for cell in cells
    ]
    together = [*each(cells, "samples", ["text"], checked=checked)]
    assert [frame.height for frame in alone].count(0) > 2
    for one, other in zip(alone, together, strict=True):
        assert one.equals(other)


@pytest.mark.parametrize("checked", [False, True])
def test_a_folder_whose_name_is_a_pattern_is_that_folder(tmp_path: Path, checked: bool) -> None:
    for name in ("store1 ab", "store[1] *?"):  # the second matches the first, and not itself
        cell = Store(tmp_path / name).partition("samples", "task.policy", SPEC)
        cell.append("samples", rows("a", range(2), name))
    expected = ["store[1] *?0", "store[1] *?1"]
    (found,) = each([cell], "samples", ["text"], checked=checked)
    assert found["text"].to_list() == expected
    assert cell.read("samples")["text"].to_list() == expected
    assert cell.look("samples", ["text"])["text"].to_list() == expected


def test_no_reader_takes_the_path_of_a_file_for_a_pattern() -> None:
    package = Path(store_module.__file__).parents[1]
    calls = [
        (path.name, node.lineno, {keyword.arg for keyword in node.keywords})
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "pl"
        and node.func.attr.startswith(("read_", "scan_"))
    ]
    assert len(calls) > 8
    assert [call for call in calls if "glob" not in call[2]] == []


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("harm", ["cut", "other type", "no run", "folder"])
def test_of_partitions_read_together_the_damaged_part_is_named(
    store: Store, harm: str, checked: bool
) -> None:
    cells = [
        store.partition("samples", f"task.{number}", {**SPEC, "seed": number})
        for number in range(3)
    ]
    parts = [cell.append("samples", rows("a", range(3))) for cell in cells]
    if harm == "cut":
        parts[1].write_bytes(parts[1].read_bytes()[:-9])
    elif harm == "folder":
        parts[1].unlink()
        parts[1].mkdir()
    else:
        parts[1].unlink()
        odd = rows("a", range(3))
        odd = odd.drop("run") if harm == "no run" else odd.cast({"sample_index": pl.Int32})
        parts[1] = parts[1].with_name("samples-0000000000000000.parquet")
        odd.write_parquet(parts[1])
    with pytest.raises(StudyError) as caught:
        [*each(cells, "samples", ["text"], checked=checked)]
    assert str(parts[1]) in str(caught.value)


def test_runs_sort_by_their_start(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for time in (1, 10**6, 10**9, 10**12, 1_800_000_000 * 10**9, 10**20):
        monkeypatch.setattr(store_module.time, "time_ns", lambda time=time: time)
        ids += [store_module.new_run(), store_module.new_run()]
    monkeypatch.undo()
    assert [run[:12] for run in ids] == sorted(run[:12] for run in ids)
    assert len(set(ids)) == len(ids)
    assert {len(run) for run in ids} == {20}


@pytest.mark.parametrize(
    ("table", "columns"),
    [("samples", ["run"]), ("ledger", []), ("nodes", []), ("paths", [])],
)
def test_a_store_of_another_layout_is_named_and_refused(
    cell: Partition, table: str, columns: list[str]
) -> None:
    part = cell.append("samples", rows("a", range(3)))
    frame = rows("a", range(3)).drop(columns)
    part.unlink()
    store_module.write_parquet(frame, part.parent / "staged")
    digits = store_module.sha256_of(part.parent / "staged")[:16]
    (part.parent / "staged").rename(part.parent / f"{table}-{digits}.parquet")
    for read in (cell.read, cell.look):
        with pytest.raises(StudyError, match="another layout") as caught:
            read("samples")
        assert cell.directory in str(caught.value)


def test_a_manifest_of_another_layout_is_named_and_refused(cell: Partition, tmp_path: Path) -> None:
    cell.append("samples", rows("a", range(3)))
    ship(cell, tmp_path)
    (manifest,) = (tmp_path / "shipped").glob("manifest*.json")
    parts = json.loads(manifest.read_bytes())["parts"]
    manifest.unlink()
    old = tmp_path / "shipped" / "manifest.json"
    old.write_text(json.dumps({"parts": parts}))
    address = str(tmp_path / "shipped")
    for ask in (
        lambda: cell.read("samples"),
        lambda: publish([(cell, ["samples"])], address),
        lambda: fetch([(cell, ["samples"])], address),
    ):
        with pytest.raises(StudyError, match="another layout") as caught:
            ask()
        assert str(old) in str(caught.value)
    assert json.loads(old.read_bytes()) == {"parts": parts}


def test_a_flipped_byte_is_named_and_refused(cell: Partition) -> None:
    part = cell.append("samples", rows("a", range(3)))
    flip_a_byte(part)
    with pytest.raises(StudyError, match="damaged") as caught:
        cell.read("samples")
    assert part.name in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 3, 100, -100, -9, -1])
def test_a_part_cut_short_is_named_and_refused_by_a_quick_look_too(
    cell: Partition, length: int
) -> None:
    part = cell.append("samples", rows("a", range(3)))
    part.write_bytes(part.read_bytes()[:length])
    for read in (cell.read, cell.look):
        with pytest.raises(StudyError, match="damaged") as caught:
            read("samples")
        assert part.name in str(caught.value)


def test_a_flipped_byte_in_a_shipped_part_is_found_by_read_and_by_verify(
    cell: Partition, tmp_path: Path
) -> None:
    cell.append("samples", rows("a", range(3)))
    ship(cell, tmp_path)
    assert verify(tmp_path / "shipped") == []
    the_part(tmp_path / "store").unlink()
    flip_a_byte(the_part(tmp_path / "shipped"))
    with pytest.raises(StudyError, match="damaged"):
        cell.read("samples")
    (finding,) = verify(tmp_path / "shipped")
    assert "has sha256" in finding


def test_a_part_that_was_replaced_and_renamed_does_not_pass(
    cell: Partition, tmp_path: Path
) -> None:
    cell.append("samples", rows("a", range(3)))
    ship(cell, tmp_path)
    shipped = the_part(tmp_path / "shipped")
    forged = cell.append("samples", rows("a", range(3), "forged"))
    forged.rename(shipped.parent / forged.name)
    shipped.unlink()
    with pytest.raises(StudyError, match="missing"):
        cell.read("samples")
    assert len(verify(tmp_path / "shipped")) == 2


def test_a_foreign_part_in_a_shipped_store_is_refused(cell: Partition, tmp_path: Path) -> None:
    cell.append("samples", rows("a", range(3)))
    ship(cell, tmp_path)
    added = cell.append("samples", rows("b", range(3)))
    added.rename(the_part(tmp_path / "shipped").parent / added.name)
    with pytest.raises(StudyError, match="not in the manifest"):
        cell.read("samples")


HOSTILE_ENTRIES: dict[str, dict[str, object]] = {
    "../../../etc/passwd": {},
    "/dev/zero": {},
    "samples/a\x00b.parquet": {},
    "samples/\ud800.parquet": {},
    "samples/../../out-382233c38aab/samples-29e0f017ed79b448.parquet": {},
    **{
        f"samples/task-382233c38aab/samples-{number:016x}.parquet": {name: value}
        for number, (name, value) in enumerate(
            [
                ("bytes", "12"), ("bytes", -5), ("bytes", None), ("bytes", True),
                ("bytes", float("nan")), ("sha256", "Z" * 64), ("sha256", ["a"] * 64),
                ("joins", 3), ("joins", [[1], {}]),
            ]
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE_ENTRIES)
def test_an_entry_of_a_manifest_that_is_none_of_a_part_is_named_and_refused(
    name: str, cell: Partition, tmp_path: Path
) -> None:
    cell.append("samples", rows("a", range(3)))
    ship(cell, tmp_path)
    (file,) = (tmp_path / "shipped").glob(store_module.MANIFESTS)
    manifest = json.loads(file.read_bytes())
    entry = {"sha256": "a" * 64, "bytes": 1, "rows": 1}
    manifest["parts"][name] = entry | HOSTILE_ENTRIES[name]
    file.unlink()
    (tmp_path / "shipped/manifest.json").write_text(json.dumps(manifest))
    other = Store(tmp_path / "other").like(cell)
    for use in (
        lambda: fetch([(other, ["samples"])], str(tmp_path / "shipped")),
        lambda: verify(tmp_path / "shipped"),
        lambda: cell.read("samples"),
    ):
        with pytest.raises(StudyError, match="is not that of a part") as caught:
            use()
        assert ascii(name)[1:-1] in str(caught.value)


@pytest.mark.parametrize("alone", [True, False])
def test_a_key_that_stands_twice_in_a_part_is_refused(alone: bool, cell: Partition) -> None:
    """Else who looks at one row sees the honest one, and who counts them counts both."""
    part = cell.append("samples", rows("a", range(3)))
    twice = pl.concat([rows("a", range(3)), rows("a", range(1), text="forged")])
    twice.write_parquet(part)
    forged = part.with_name(f"samples-{store_module.sha256_of(part)[:16]}.parquet")
    part.rename(forged)
    with pytest.raises(StudyError, match=r"a key \(problem_hash, sample_index\) occurs twice"):
        _ = cell.read("samples") if alone else [*each([cell], "samples", ["text"], checked=True)]


def test_a_spec_that_does_not_belong_is_refused(cell: Partition) -> None:
    part = cell.append("samples", rows("a", range(1)))
    (part.parent / "spec.json").write_text(json.dumps({**SPEC, "seed": 1}))
    with pytest.raises(StudyError, match=r"spec\.json"):
        cell.read("samples")


def test_a_full_disk_is_said_and_leaves_what_was_there(
    cell: Partition, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cell.append("samples", rows("a", range(2)))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module.os, "fsync", full)
    with pytest.raises(StudyError, match="No space left on device") as caught:
        cell.append("samples", rows("b", range(2)))
    assert "kept" in str(caught.value)
    monkeypatch.undo()
    assert cell.read("samples").height == 2
    assert not [p for p in (tmp_path / "store").rglob(".*") if p.is_file()]


def _write(folder: Path, first: int) -> None:
    cell = Store(folder).partition("samples", "task.policy", SPEC)
    for start in range(first, first + 40, 4):
        cell.append("samples", rows("a", range(start, start + 8)))


def test_two_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path, first)) for first in (0, 20)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    cell = Store(tmp_path).partition("samples", "task.policy", SPEC)
    assert cell.read("samples")["sample_index"].to_list() == list(range(64))


def test_many_parts_become_one_with_the_same_rows(cell: Partition, tmp_path: Path) -> None:
    for i in range(MOST_PARTS):
        cell.append("samples", rows("a", range(i, i + 3), run=f"{i % 3}"), quickly=True)
    cell.join("samples")
    folder = tmp_path / "store" / cell.directory
    assert len([*folder.glob("samples-*")]) == MOST_PARTS  # not worth writing them anew
    cell.append("samples", rows("b", range(2)))
    before = cell.read("samples")
    parts = cell.parts("samples")
    cell.join("samples")
    assert cell.read("samples").equals(before)
    joined = the_part(folder)
    assert cell.joined_in(joined) == {part.stem.removeprefix("samples-") for part in parts}
    # What lies there beside parts is nobody's business.
    assert cell.parts("samples") == [joined]
    cell.join("samples")
    assert cell.parts("samples") == [joined]
    # A list of what was joined that is damaged is as none: parts are sent once more.
    for content in (b"", b"[", b"[]", b'{"a": 1}', b"\xff"):
        (folder / ".joined.json").write_bytes(content)
        assert cell.joined_in(joined) == set()
        assert cell.read("samples").equals(before)


def test_parts_of_a_shipped_store_stay_as_they_are(cell: Partition, tmp_path: Path) -> None:
    for i in range(MOST_PARTS + 1):
        cell.append("samples", rows("a", range(i, i + 1)))
        ship(cell, tmp_path)
    shipped = sorted((tmp_path / "shipped").rglob("*.parquet"))
    assert len(shipped) == MOST_PARTS + 1
    cell.join("samples")
    assert sorted((tmp_path / "shipped").rglob("*.parquet")) == shipped
    assert cell.read("samples")["sample_index"].to_list() == list(range(MOST_PARTS + 1))


def test_a_damaged_part_is_not_joined(cell: Partition) -> None:
    for i in range(MOST_PARTS + 1):
        part = cell.append("samples", rows("a", range(i, i + 1)))
    flip_a_byte(part)
    with pytest.raises(StudyError, match="damaged") as refused:
        cell.join("samples")
    assert part.name in str(refused.value)
    assert len(cell.parts("samples")) == MOST_PARTS + 1


def _join(folder: Path, problem: str) -> None:
    cell = Store(folder).partition("samples", "task.policy", SPEC)
    for _ in range(6):
        for start in range(MOST_PARTS + 1):
            cell.append("samples", rows(problem, range(start + 1), run=f"{start}"), quickly=True)
        cell.join("samples")


def test_whoever_reads_while_parts_are_joined_finds_each_row(tmp_path: Path) -> None:
    cell = Store(tmp_path).partition("samples", "task.policy", SPEC)
    first = rows("c", range(5))
    cell.append("samples", first)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_join, args=(tmp_path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    n_read = 0
    while any(writer.is_alive() for writer in writers):
        read = cell.read("samples")
        looked = cell.look("samples", ["text"])
        (together,) = each([cell], "samples", ["text"], checked=bool(n_read % 2))
        for found in (read, looked, together):
            assert found.filter(problem_hash="c").height == 5
        assert read.height <= looked.height
        cell.state("samples")
        n_read += 1
    assert n_read > 10
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(cell.parts("samples")) <= MOST_PARTS + 1
    assert cell.read("samples").select("problem_hash", "sample_index").rows() == [
        *((name, i) for name in "ab" for i in range(MOST_PARTS + 1)),
        *(("c", i) for i in range(5)),
    ]


def test_a_link_to_nothing_is_no_part_that_went(cell: Partition) -> None:
    part = cell.append("samples", rows("a", range(3)))
    part.rename(part.with_name("elsewhere"))
    part.symlink_to(part.with_name("nowhere"))
    for ask in (cell.read, cell.look, cell.state):
        with pytest.raises((StudyError, FileNotFoundError)):
            ask("samples")


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    cell = Store(tmp_path / "store").partition("samples", "task.policy", SPEC)
    with pytest.raises(StudyError, match="cannot write"):
        cell.append("samples", rows("a", range(1)))
