"""Publish and fetch: nothing is lost, nothing unchecked is kept, and both go on where they stopped.

Every case runs on a folder and in fsspec's memory, and on a local S3 server where the packages of
requirements/test.in are installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import polars as pl
import pytest
import yaml

from compute_optimal import cli
from compute_optimal.errors import StudyError
from compute_optimal.store import partitions as store
from compute_optimal.store import sharing
from compute_optimal.store.partitions import MOST_PARTS, Partition, Store, verify
from compute_optimal.store.sharing import Transfer, fetch, publish

ROOT = Path(__file__).parents[2]
SPECS = {name: {"kind": "samples", "name": name} for name in ("one", "two", "three")}
_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Address of a bucket on a server of this process."""
    absent = [m for m in ("s3fs", "moto", "flask_cors") if not importlib.util.find_spec(m)]
    if absent:
        pytest.skip(f"no local S3 server: {', '.join(absent)} not installed (make test-s3)")
    from moto.server import ThreadedMotoServer  # type: ignore[import-not-found,unused-ignore]

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(key, "test")
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
    server.stop()


@pytest.fixture(params=["folder", "memory", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place to publish to."""
    name = f"study{next(_numbers)}"
    if request.param == "folder":
        return str(tmp_path / "published" / name)
    if request.param == "memory":
        return f"memory://{name}/store"
    return f"{request.getfixturevalue('s3')}/{name}"


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], Store]:
    """Stores of several people, by name."""
    return lambda name: Store(tmp_path / name)


def cells_of(store: Store, *names: str) -> list[tuple[Partition, tuple[str, ...]]]:
    return [
        (store.partition("samples", name, SPECS[name]), ("samples",)) for name in names or SPECS
    ]


def draw(store: Store, name: str, indices: range) -> None:
    rows = pl.DataFrame(
        {
            "problem_hash": [name] * len(indices),
            "sample_index": list(indices),
            "text": [f"{name} {i}" for i in indices],
            "run": ["1"] * len(indices),
        }
    )
    cells_of(store, name)[0][0].append("samples", rows)


def drawn(store: Store, name: str) -> list[int]:
    rows = cells_of(store, name)[0][0].read("samples")
    return [] if rows.is_empty() else rows["sample_index"].to_list()


def files(address: str) -> dict[str, bytes]:
    """Everything at an address, by its name there."""
    fs, root = fsspec.core.url_to_fs(address)
    fs.invalidate_cache()
    return {path[len(root) + 1 :]: fs.cat_file(path) for path in fs.find(root)}


def parts(address: str) -> list[str]:
    return sorted(name for name in files(address) if name.endswith(".parquet"))


def change(address: str, name: str, content: bytes | None) -> None:
    fs, root = fsspec.core.url_to_fs(f"{address}/{name}")
    if content is None:
        fs.rm_file(root)
    else:
        fs.pipe_file(root, content)


def manifest(address: str) -> tuple[str, dict[str, Any]]:
    ((name, content),) = [f for f in files(address).items() if f[0].startswith("manifest")]
    return name, json.loads(content)["parts"]


def counts(transfer: Transfer) -> tuple[int, int]:
    return transfer.n_parts, transfer.n_present


Machines = Callable[[str], Store]


def test_what_one_publishes_another_fetches(address: str, machine: Machines) -> None:
    sender, receiver = machine("sender"), machine("receiver")
    draw(sender, "one", range(4))
    draw(sender, "one", range(2, 6))
    draw(sender, "two", range(3))
    sent = publish(cells_of(sender), address)
    # What is new of a table is one part, with each row once.
    assert counts(sent) == (2, 0)
    assert sorted(entry["rows"] for entry in manifest(address)[1].values()) == [3, 6]
    fetched = fetch(cells_of(receiver), address)
    assert counts(fetched) == (2, 0)
    assert [Path(name).name.rpartition("-")[0] for name in fetched.absent] == ["three"]
    assert [drawn(receiver, name) for name in SPECS] == [[0, 1, 2, 3, 4, 5], [0, 1, 2], []]
    # Neither moves anything twice, nor to where it came from.
    assert counts(fetch(cells_of(receiver), address)) == (0, 2)
    assert counts(fetch(cells_of(sender), address)) == (0, 2)
    before = files(address)
    assert counts(publish(cells_of(receiver), address)) == (0, 2)
    assert counts(publish(cells_of(sender), address)) == (0, 2)
    assert files(address) == before


def test_parts_that_a_run_has_joined_are_known_by_their_old_names(
    address: str, machine: Machines
) -> None:
    """On both sides: nothing is sent or fetched again for another name."""
    sender, receiver = machine("sender"), machine("receiver")
    for i in range(MOST_PARTS + 1):
        draw(sender, "one", range(i, i + 2))
        publish(cells_of(sender, "one"), address)
    before = files(address)
    assert counts(fetch(cells_of(receiver, "one"), address)) == (MOST_PARTS + 1, 0)
    for own in (sender, receiver):
        cells_of(own, "one")[0][0].join("samples")
        assert len(cells_of(own, "one")[0][0].parts("samples")) == 1
        assert counts(publish(cells_of(own, "one"), address)) == (0, MOST_PARTS + 1)
        assert counts(fetch(cells_of(own, "one"), address)) == (0, MOST_PARTS + 1)
    assert files(address) == before
    # What comes later is sent alone, and what was joined before it was sent is fetched by nobody
    # who has sent it.
    draw(sender, "one", range(MOST_PARTS + 5, MOST_PARTS + 6))
    for i in range(20, 20 + MOST_PARTS):
        draw(sender, "one", range(i, i + 1))
    cells_of(sender, "one")[0][0].join("samples")
    assert counts(publish(cells_of(sender, "one"), address))[0] == 1
    assert counts(fetch(cells_of(sender, "one"), address))[0] == 0
    assert counts(fetch(cells_of(receiver, "one"), address))[0] == 1
    assert drawn(receiver, "one") == drawn(sender, "one")


def test_only_new_rows_are_sent_and_only_the_studys_are_fetched(
    address: str, machine: Machines
) -> None:
    sender, receiver = machine("sender"), machine("receiver")
    draw(sender, "one", range(4))
    publish(cells_of(sender), address)
    draw(sender, "one", range(8))
    draw(sender, "two", range(2))
    assert counts(publish(cells_of(sender), address)) == (2, 1)
    assert counts(fetch(cells_of(receiver, "one"), address)) == (2, 0)
    assert (drawn(receiver, "one"), drawn(receiver, "two")) == (list(range(8)), [])


def test_cells_that_nobody_has_are_named_on_both_sides(address: str, machine: Machines) -> None:
    sender, other = machine("sender"), machine("other")
    draw(sender, "one", range(4))
    ((two, _),) = cells_of(sender, "two")
    sent = publish(cells_of(sender, "one", "two"), address)
    assert sent.absent == (two.directory,)
    assert f"  neither here nor there: {two.directory}" in sent.summary("sent").splitlines()
    received = fetch(cells_of(other, "two"), address)
    assert f"  not there: {two.directory}" in received.summary("fetched").splitlines()
    # What others have published is there.
    draw(other, "two", range(2))
    assert publish(cells_of(other, "two"), address).absent == ()
    assert publish(cells_of(sender, "one", "two"), address).absent == ()


def test_two_publishers_at_once_lose_nothing(
    address: str, machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = machine("one"), machine("other")
    draw(one, "one", range(2))
    publish(cells_of(one), address)
    draw(one, "one", range(2, 4))
    draw(other, "one", range(3, 6))
    draw(other, "two", range(2))
    listing = sharing._Remote.list_parts

    def overtaken(*arguments: Any) -> None:
        # The other begins and ends between this one's look at the manifests and its own.
        monkeypatch.setattr(sharing._Remote, "list_parts", listing)
        publish(cells_of(other), address)
        listing(*arguments)

    monkeypatch.setattr(sharing._Remote, "list_parts", overtaken)
    publish(cells_of(one), address)
    third = machine("third")
    fetch(cells_of(third), address)
    assert (drawn(third, "one"), drawn(third, "two")) == (list(range(6)), [0, 1])
    # The next publication leaves one manifest.
    publish(cells_of(third), address)
    manifest(address)


def test_an_interrupted_upload_goes_on(
    address: str, machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = machine("sender")
    for name in SPECS:
        draw(sender, name, range(3))
    sending = sharing._Remote.send
    sent: list[str] = []

    def cut(self: Any, name: str, file: Path) -> None:
        if len(sent) == 1:
            # Half a part, as a connection that dies leaves it on a file system.
            change(address, name, file.read_bytes()[:100])
            sent.append(name)
        if len(sent) > 1:
            raise StudyError("cannot write: the connection is gone")
        sent.append(name)
        sending(self, name, file)

    monkeypatch.setattr(sharing, "_N_TRANSFERS", 1)
    monkeypatch.setattr(sharing._Remote, "send", cut)
    with pytest.raises(StudyError, match="the connection is gone"):
        publish(cells_of(sender), address)
    with pytest.raises(StudyError, match="no store is published there"):
        fetch(cells_of(machine("receiver")), address)
    monkeypatch.undo()
    assert counts(publish(cells_of(sender), address)) == (2, 1)
    fetch(cells_of(machine("receiver")), address)
    assert [drawn(machine("receiver"), name) for name in SPECS] == [[0, 1, 2]] * 3


def test_an_interrupted_fetch_goes_on_and_keeps_no_half_part(
    address: str, machine: Machines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sender, receiver = machine("sender"), machine("receiver")
    for name in SPECS:
        draw(sender, name, range(3))
    publish(cells_of(sender), address)
    reading = sharing._Remote._chunks
    begun: list[str] = []

    def cut(self: Any, name: str) -> Iterator[bytes]:
        begun.append(name)
        for chunk in reading(self, name):
            if len(begun) > 1:
                yield chunk[:100]
                raise StudyError("cannot read: the connection is gone")
            yield chunk

    monkeypatch.setattr(sharing, "_N_TRANSFERS", 1)
    monkeypatch.setattr(sharing._Remote, "_chunks", cut)
    with pytest.raises(StudyError, match="the connection is gone"):
        fetch(cells_of(receiver), address)
    monkeypatch.undo()
    assert len(list((tmp_path / "receiver").rglob("*.parquet"))) == 1
    assert not [p for p in (tmp_path / "receiver").rglob(".*") if p.is_file()]
    assert counts(fetch(cells_of(receiver), address)) == (2, 1)
    assert [drawn(receiver, name) for name in SPECS] == [[0, 1, 2]] * 3


def test_a_changed_part_is_refused_by_name_with_both_hashes(
    address: str, machine: Machines, tmp_path: Path
) -> None:
    sender, receiver = machine("sender"), machine("receiver")
    draw(sender, "one", range(3))
    publish(cells_of(sender), address)
    ((name, entry),) = manifest(address)[1].items()
    content = files(address)[name]
    changed = content[:50] + bytes([content[50] ^ 1]) + content[51:]
    change(address, name, changed)
    with pytest.raises(StudyError, match="not what its manifest says") as caught:
        fetch(cells_of(receiver), address)
    (tmp_path / "changed").write_bytes(changed)
    for part in (entry["sha256"], store.sha256_of(tmp_path / "changed"), f"{address}/{name}"):
        assert part in str(caught.value)
    assert not list((tmp_path / "receiver").rglob("*.parquet"))


def test_a_part_without_end_is_refused_at_the_size_that_is_listed(
    address: str, machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, receiver = machine("sender"), machine("receiver")
    draw(sender, "one", range(3))
    publish(cells_of(sender), address)

    def endless(*_: object) -> Iterator[bytes]:
        while True:
            yield bytes(1 << 10)

    monkeypatch.setattr(sharing._Remote, "_chunks", endless)
    with pytest.raises(StudyError, match="larger than its manifest says"):
        fetch(cells_of(receiver), address)
    assert not [*(tmp_path / "receiver").rglob("*.parquet")]


def of_many_rows(file: Path) -> None:
    pl.DataFrame({"problem_hash": pl.repeat("x", 5000, eager=True)}).write_parquet(file)


def of_many_bytes(file: Path) -> None:
    pl.DataFrame({"text": ["0" * 2_000_000]}).write_parquet(file, compression="zstd")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (of_many_rows, "rows: 5,000"),
        (of_many_bytes, "2.0 MB when unpacked"),
        (lambda file: file.write_bytes(b"PAR1 and nothing else"), "no parquet file"),
    ],
    ids=["rows", "bytes", "neither"],
)
def test_what_would_fill_the_memory_of_its_readers_is_not_kept(
    made: Callable[[Path], object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes with the hash that their manifest says may unpack to any size."""
    monkeypatch.setattr(sharing, "_MOST_ROWS", 1000)
    monkeypatch.setattr(sharing, "_MOST_BYTES", 1_000_000)
    (cell, _), *_ = cells_of(Store(tmp_path / "sender"))
    folder = tmp_path / "published" / cell.directory
    folder.mkdir(parents=True)
    made(folder / "large")
    sha256 = store.sha256_of(folder / "large")
    part = (folder / "large").rename(folder / f"samples-{sha256[:16]}.parquet")
    name = part.relative_to(tmp_path / "published").as_posix()
    assert part.stat().st_size < 100_000
    entry = {"sha256": sha256, "bytes": part.stat().st_size, "rows": 1}
    listed = json.dumps({"layout": store.LAYOUT, "parts": {name: entry}})
    (tmp_path / "published/manifest-x.json").write_text(listed)
    with pytest.raises(StudyError, match="cannot be a study's") as caught:
        fetch(cells_of(Store(tmp_path / "receiver")), str(tmp_path / "published"))
    assert words in str(caught.value)
    assert not [*(tmp_path / "receiver").rglob("*.parquet")]


def test_a_manifest_that_lists_a_lost_part_is_told_and_mended(
    address: str, machine: Machines
) -> None:
    sender, receiver = machine("sender"), machine("receiver")
    draw(sender, "one", range(3))
    publish(cells_of(sender), address)
    (name,) = parts(address)
    change(address, name, None)
    with pytest.raises(StudyError, match="cannot read: FileNotFoundError") as caught:
        fetch(cells_of(receiver), address)
    assert name in str(caught.value)
    assert counts(publish(cells_of(sender), address)) == (1, 0)
    fetch(cells_of(receiver), address)
    assert drawn(receiver, "one") == [0, 1, 2]


def test_a_manifest_cut_short_is_told_and_replaced(address: str, machine: Machines) -> None:
    sender, receiver = machine("sender"), machine("receiver")
    draw(sender, "one", range(3))
    publish(cells_of(sender), address)
    name, _ = manifest(address)
    change(address, name, files(address)[name][:40])
    with pytest.raises(StudyError, match="manifest is damaged") as caught:
        fetch(cells_of(receiver), address)
    assert name in str(caught.value)
    publish(cells_of(sender), address)
    assert counts(fetch(cells_of(receiver), address)) == (1, 0)


def test_pruning_leaves_exactly_the_cells_and_no_other_file_is_touched(
    address: str, machine: Machines
) -> None:
    sender = machine("sender")
    for name in SPECS:
        draw(sender, name, range(3))
    publish(cells_of(sender), address)
    change(address, "README.md", b"ours")
    removed = publish(cells_of(sender, "two"), address, prune=True).removed
    assert len(removed) == 4
    _, listed = manifest(address)
    assert set(listed) == set(parts(address))
    assert [name.partition("/")[2].partition("-")[0] for name in listed] == ["two"]
    assert files(address)["README.md"] == b"ours"
    assert len(files(address)) == 4


def test_a_published_folder_serves_as_shipped_store(machine: Machines, tmp_path: Path) -> None:
    draw(machine("sender"), "one", range(3))
    folder = tmp_path / "shipped"
    publish(cells_of(machine("sender")), str(folder))
    assert verify(folder) == []
    both = Store(tmp_path / "empty", [folder])
    assert drawn(both, "one") == [0, 1, 2]
    # From a store into the folder behind it: an upload that broke off is no hindrance.
    draw(both, "one", range(2, 5))
    part, _ = cells_of(both, "one")[0]
    left = part.read("samples").filter(pl.col("sample_index") > 2)
    store.write_part(folder / part.directory, "samples", left)
    with pytest.raises(StudyError, match=r"publish to .* again"):
        drawn(both, "one")
    # The very part that was sent is found again, so it is only listed.
    assert counts(publish(cells_of(both), str(folder))) == (0, 2)
    assert verify(folder) == []
    assert drawn(Store(tmp_path / "none", [folder]), "one") == [0, 1, 2, 3, 4]


def test_what_a_killed_command_left_is_no_part_to_anybody(
    machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, folder = machine("own"), tmp_path / "own"
    draw(own, "one", range(3))
    staged_of, _ = cells_of(own, "two")[0]
    monkeypatch.setattr(store.shutil, "rmtree", lambda *_, **__: None)
    with contextlib.suppress(KeyboardInterrupt), staged_of.whole() as staged:
        staged.append("samples", cells_of(own, "one")[0][0].read("samples"))
        raise KeyboardInterrupt
    monkeypatch.undo()
    (left,) = folder.glob(".*/samples/two-*/samples-*.parquet")
    # In the folder of a part, the names that one has until it is whole.
    part = next(folder.glob("samples/one-*/samples-*.parquet"))
    for name in (".staged-1", ".staged-1-plain", ".part-1"):
        (part.parent / name).write_bytes(part.read_bytes()[:-1])
    assert counts(publish(cells_of(own), str(folder), prune=True)) == (0, 1)
    assert verify(folder) == []
    assert left.exists()
    both = Store(tmp_path / "empty", [folder])
    assert (drawn(both, "one"), drawn(both, "two")) == ([0, 1, 2], [])
    assert fetch(cells_of(machine("receiver")), str(folder)).n_parts == 1
    assert drawn(machine("receiver"), "one") == [0, 1, 2]
    # Under a name that is read, what nobody listed is found.
    (folder / "samples" / part.parent.name / "samples-0123456789abcdef.parquet").touch()
    (finding,) = verify(folder)
    assert finding.endswith("is not in the manifest")


def test_a_disk_without_room_is_told_before_anything_is_fetched(
    address: str, machine: Machines, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    draw(machine("sender"), "one", range(3))
    publish(cells_of(machine("sender")), address)
    usage = store.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(StudyError, match=r"are needed, and 0.0 MB are free"):
        fetch(cells_of(machine("receiver")), address)


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("nosuch://bucket/x", "cannot open: ValueError: Protocol not known: nosuch"),
        ("{folder}/file/store", "cannot (list|write): NotADirectoryError"),
        # Its driver comes with the engine.
        ("http://127.0.0.1:9/store", "cannot (list|write)|driver .* is not installed"),
    ],
)
def test_an_address_that_cannot_be_written_is_told(
    to: str, message: str, machine: Machines, tmp_path: Path
) -> None:
    draw(machine("sender"), "one", range(3))
    (tmp_path / "file").write_text("a file where a folder should be")
    where = to.format(folder=tmp_path)
    with pytest.raises(StudyError, match=message) as caught:
        publish(cells_of(machine("sender")), where)
    assert caught.value.where is not None
    assert caught.value.where.startswith(where)


@pytest.mark.parametrize("to", ["file", "file/store", "link/store"])
def test_nothing_is_packed_for_a_folder_that_cannot_be(
    to: str, machine: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packing a whole study takes minutes."""
    draw(machine("sender"), "one", range(3))
    (tmp_path / "file").write_text("a file where a folder should be")
    (tmp_path / "link").symlink_to("link")
    monkeypatch.setattr(sharing, "_new_part", lambda *_: pytest.fail("packed"))
    with pytest.raises(StudyError, match="cannot write"):
        publish(cells_of(machine("sender")), str(tmp_path / to))


def test_an_address_without_permission_is_told(
    address: str, machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(machine("sender"), "one", range(3))
    fs, _ = fsspec.core.url_to_fs(address)

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    # As root every folder can be written, so the driver is made to say it.
    for name in ("pipe_file", "put_file"):
        monkeypatch.setattr(fs, name, refuse)
    with pytest.raises(StudyError, match="cannot write: PermissionError") as caught:
        publish(cells_of(machine("sender")), address)
    assert "permissions" in str(caught.value)
    monkeypatch.undo()
    assert files(address) == {}


def test_the_commands_and_a_run_restore_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from compute_optimal.study.config import load_study
    from compute_optimal.study.coverage import coverage, missing_cells
    from compute_optimal.study.plan import StudyPlan

    monkeypatch.chdir(ROOT)
    published = str(tmp_path / "published")
    default = load_study("config/config.yaml")
    narrow = default.model_dump(mode="json") | {
        "policies": default.policies[:1],
        "prms": default.prms[:1],
        "prm_search_budgets": {},
        "adopted": default.adopted[:2],
    }
    (tmp_path / "shipped.yaml").write_text(json.dumps(narrow))
    assert cli.main(["publish", "--config", str(tmp_path / "shipped.yaml"), "--to", published]) == 0
    capsys.readouterr()
    config = json.dumps(
        narrow
        | {
            "store": {
                "writable": str(tmp_path / "mine"),
                "shipped": str(tmp_path / "none"),
                "remotes": [published],
            }
        }
    )
    (tmp_path / "study.yaml").write_text(config)
    study = load_study(tmp_path / "study.yaml")
    assert missing_cells(coverage(study)) is not None
    command = ["fetch", "--config", str(tmp_path / "study.yaml"), "--from"]
    assert cli.main([*command, str(tmp_path / "nowhere")]) == 1
    assert "no store is published there" in capsys.readouterr().err
    # Another address, to which nobody has published yet, is no hindrance.
    nowhere = str(tmp_path / "nowhere")
    content = json.loads(config)
    content["store"]["remotes"] = [nowhere, published]
    (tmp_path / "remotes.yaml").write_text(json.dumps(content))
    StudyPlan(load_study(tmp_path / "remotes.yaml")).announce()
    assert f"note: nothing is published at {nowhere} yet" in capsys.readouterr().err
    assert missing_cells(coverage(study)) is None
    assert cli.main([*command, published]) == 0
    assert " 0 parts fetched" in capsys.readouterr().out
    # Nor is it one to the command, whichever is named first.
    assert cli.main(["fetch", "--config", str(tmp_path / "remotes.yaml")]) == 0
    said = capsys.readouterr().out
    assert f"{published}: 0 parts fetched" in said
    assert f"note: nothing is published at {nowhere}" in said


def test_collections_that_no_store_holds_are_named_before_anything_runs(tmp_path: Path) -> None:
    """No model can make them: a study that may generate does not start either."""
    from compute_optimal.study.config import load_study
    from compute_optimal.study.plan import StudyPlan

    names = ["mert-cemri-llama-3.2-1b", "rewardmath"]
    held, content = {}, {"name": "t", "adopted": names, "generate": "missing"}
    for shipped in ("data/store", "none"):
        stores = {"writable": str(tmp_path / "mine"), "shipped": shipped}
        (tmp_path / "study.yaml").write_text(json.dumps(content | {"store": stores}))
        held[shipped] = load_study(tmp_path / "study.yaml")
    StudyPlan(held["data/store"]).announce()
    with pytest.raises(StudyError, match=f"{', '.join(names)}[\\s\\S]*make adopt"):
        StudyPlan(held["none"]).announce()


@pytest.mark.parametrize("key", ["writable", "shipped"])
@pytest.mark.parametrize(
    "named", ["{store}", "file://{store}", "{store}/../{name}/", "linked", "linked/inner/.."]
)
def test_nothing_is_published_into_a_store_that_the_study_reads(
    key: str,
    named: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With --prune it would lose what other studies have stored there."""
    settings = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    stores = {key: str(tmp_path / key) for key in ("writable", "shipped")}
    own = tmp_path / key
    of_others = own / "samples/others-0123456789ab/spec.json"
    of_others.parent.mkdir(parents=True)
    of_others.write_text("{}")
    (own / "inner").mkdir()
    (tmp_path / "linked").symlink_to(own)
    (tmp_path / "study.yaml").write_text(json.dumps(settings | {"store": stores}))
    monkeypatch.chdir(ROOT)
    to = named.format(store=own, name=key).replace("linked", str(tmp_path / "linked"))
    command = ["publish", "--prune", "--config", str(tmp_path / "study.yaml"), "--to", to]
    assert cli.main(command) == 1
    said = capsys.readouterr().err
    assert f"store.{key}" in said
    assert to in said
    assert "make ship" in said
    assert of_others.exists()
    assert not list(own.glob("manifest*"))
