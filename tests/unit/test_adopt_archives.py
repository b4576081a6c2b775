"""Folders and archives of strangers: everything plain is read, everything else is named."""

import gzip
import io
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from compute_optimal.adopt.archives import Limits, Member, read_file, read_members
from compute_optimal.errors import StudyError

GOOD = [Member("a/one.jsonl", b"1\n"), Member("b.jsonl", b"22\n")]


def tar_of(path: Path, *entries: tuple[tarfile.TarInfo | str, bytes]) -> Path:
    with tarfile.open(path, "w:xz" if path.suffix == ".xz" else "w:gz") as archive:  # type: ignore[call-overload]
        for entry, content in entries:
            info = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def zip_of(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content)
    return path


def good_entries() -> list[tuple[str, bytes]]:
    return [(member.name, member.content or b"") for member in GOOD]


def refusals(path: Path, limits: Limits | None = None) -> dict[str, str | None]:
    return {m.name: m.refusal for m in read_members(path, limits) if m.content is None}


def test_all_containers_hold_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name, content in good_entries():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    sources = (
        folder,
        tar_of(tmp_path / "x.tgz", *good_entries()),
        tar_of(tmp_path / "x.tar.xz", *good_entries()),
        zip_of(tmp_path / "x.zip", *good_entries()),
    )
    for source in sources:
        assert sorted(read_members(source), key=lambda m: m.name) == GOOD
        assert list(read_members(source, only={"b.jsonl"})) == GOOD[1:]
    assert [read_file(folder, name) for name in ("b.jsonl", "c")] == [GOOD[1], None]
    (folder / "out").symlink_to(tmp_path)
    stray = read_file(folder, "out/x.zip")
    assert stray is not None
    assert stray.refusal == "a link"


@pytest.mark.parametrize("name", ["../x.jsonl", "a/../../x", "/etc/x", "..\\x", "C:/x", "C:\\x"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    for source in (
        tar_of(tmp_path / "x.tar.gz", (name, b"bad"), *good_entries()),
        zip_of(tmp_path / "x.zip", (name, b"bad"), *good_entries()),
    ):
        assert refusals(source) == {name: "its path leads out of the collection"}
        assert [m for m in read_members(source) if m.content is not None] == GOOD
    assert [p.name for p in tmp_path.iterdir() if p.suffix not in {".gz", ".zip"}] == []


def test_what_is_not_a_plain_file_is_refused(tmp_path: Path) -> None:
    source = tar_of(
        tmp_path / "x.tar.gz",
        special("symbolic", tarfile.SYMTYPE, "/etc/passwd"),
        special("hard", tarfile.LNKTYPE, "b.jsonl"),
        special("pipe", tarfile.FIFOTYPE),
        special("device", tarfile.CHRTYPE),
        special("folder", tarfile.DIRTYPE),
        *good_entries(),
    )
    assert refusals(source) == {
        "symbolic": "a link",
        "hard": "a link",
        "pipe": "not a regular file",
        "device": "not a regular file",
    }
    link = zipfile.ZipInfo("symbolic")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    source = zip_of(tmp_path / "x.zip", (link, b"/etc/passwd"), *good_entries())
    assert refusals(source) == {"symbolic": "a link"}


def test_links_in_a_folder_are_refused(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    folder.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (folder / "file").symlink_to(outside / "secret")
    (folder / "subfolder").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    (folder / "plain").write_bytes(b"plain")
    assert refusals(folder) == {
        "file": "a link",
        "subfolder": "a link",
        "pipe": "not a regular file",
    }
    assert [m for m in read_members(folder) if m.content] == [Member("plain", b"plain")]


def test_sizes_are_bounded(tmp_path: Path) -> None:
    entries = [("bomb", bytes(100_000)), *good_entries()]
    small = Limits(file_bytes=1000)
    for source in (
        tar_of(tmp_path / "x.tgz", *entries),
        tar_of(tmp_path / "x.tar.xz", *entries),
        zip_of(tmp_path / "x.zip", *entries),
    ):
        assert refusals(source, small) == {"bomb": "larger than 1000 bytes"}
        assert [m for m in read_members(source, small) if m.content is not None] == GOOD
        for limits in (Limits(total_bytes=50_000), Limits(files=2)):
            with pytest.raises(StudyError, match="larger than"):
                list(read_members(source, limits))


@pytest.mark.parametrize("name", ["x.tgz", "x.tar.xz"])
def test_a_cut_or_changed_archive_is_an_error_and_never_a_shorter_one(
    tmp_path: Path, name: str
) -> None:
    noise = [(f"n{i}", os.urandom(700)) for i in range(20)]
    whole = tar_of(tmp_path / name, *noise).read_bytes()
    for end in range(0, len(whole), 97):
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(StudyError):
            list(read_members(tmp_path / "cut"))
    for position in range(20, len(whole), 997):
        changed = bytearray(whole)
        changed[position] ^= 0x40
        (tmp_path / "changed").write_bytes(changed)
        with pytest.raises(StudyError):
            list(read_members(tmp_path / "changed"))


def test_a_broken_header_is_not_the_end_of_the_archive(tmp_path: Path) -> None:
    plain = gzip.decompress(tar_of(tmp_path / "x.tgz", ("a", b"1"), ("b", b"2")).read_bytes())
    broken = bytearray(plain)
    broken[1024 + 150] ^= 0xFF  # in the checksum of the second header
    for content in (broken, plain[:1024], plain[:1500]):
        (tmp_path / "broken").write_bytes(gzip.compress(content))
        with pytest.raises(StudyError, match="damaged or cut short"):
            list(read_members(tmp_path / "broken"))


def test_an_archive_that_would_take_gigabytes_to_unpack(tmp_path: Path) -> None:
    huge = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    stream = lzma.LZMACompressor(lzma.FORMAT_XZ, filters=huge)
    (tmp_path / "huge.tar.xz").write_bytes(stream.compress(bytes(10_000)) + stream.flush())
    with pytest.raises(StudyError, match="damaged or cut short: Memory"):
        list(read_members(tmp_path / "huge.tar.xz"))


def test_every_stream_of_an_archive_is_bounded(tmp_path: Path) -> None:
    packed = lzma.decompress(tar_of(tmp_path / "x.tar.xz", *good_entries()).read_bytes())
    first, rest = packed[:512], packed[512:]
    huge = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28, "mf": lzma.MF_HC3}]
    (tmp_path / "huge.tar.xz").write_bytes(lzma.compress(first) + lzma.compress(rest, filters=huge))
    with pytest.raises(StudyError, match="damaged or cut short: Memory usage"):
        list(read_members(tmp_path / "huge.tar.xz"))


@pytest.mark.parametrize("between", [b"", bytes(4), bytes(1 << 15)])
def test_streams_one_after_another_are_one_archive(tmp_path: Path, between: bytes) -> None:
    whole = tar_of(tmp_path / "x.tar.xz", *good_entries())
    packed = lzma.decompress(whole.read_bytes())
    parts = [lzma.compress(packed[:700]), lzma.compress(packed[700:])]
    (tmp_path / "two.tar.xz").write_bytes(between.join(parts) + between)
    assert list(read_members(tmp_path / "two.tar.xz")) == list(read_members(whole))
    (tmp_path / "cut.tar.xz").write_bytes(between.join(parts)[:-20])
    with pytest.raises(StudyError, match="damaged or cut short"):
        list(read_members(tmp_path / "cut.tar.xz"))


def test_headers_that_state_absurd_sizes(tmp_path: Path) -> None:
    long_header = tarfile.TarInfo("PaxHeaders/x")
    long_header.type = tarfile.XHDTYPE
    for name in ("long.tgz", "long.tar.xz"):
        source = tar_of(tmp_path / name, (long_header, b"1" * 1_000_000), *good_entries())
        with pytest.raises(StudyError, match="a header states"):
            list(read_members(source))

    backwards = tarfile.TarInfo("backwards")
    backwards.size = -1024
    content = backwards.tobuf(tarfile.GNU_FORMAT) + bytes(10 * 512)
    (tmp_path / "backwards.tgz").write_bytes(gzip.compress(content))
    with pytest.raises(StudyError, match="negative size"):
        list(read_members(tmp_path / "backwards.tgz"))


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    source = tar_of(tmp_path / "x.tgz", (os.fsdecode(b"caf\xe9.jsonl"), b"1"))
    assert list(read_members(source)) == [Member("caf\\udce9.jsonl", b"1")]


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    content = bytearray(zip_of(tmp_path / "x.zip", *good_entries()).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(content)
    assert refusals(tmp_path / "x.zip") == {"a/one.jsonl": "encrypted"}


@pytest.mark.parametrize(
    ("mark", "offset", "damage"),
    [
        (b"PK\x01\x02", 6, b"\xff"),  # a version of the format that nobody has
        (b"PK\x01\x02", 28, b"\x00"),  # a name of no length, with what comes after it amiss
        (b"PK\x01\x02", 46, b"\x00"),  # a name that begins with its end
    ],
)
def test_every_damage_of_an_index_is_one_message(
    tmp_path: Path, mark: bytes, offset: int, damage: bytes
) -> None:
    content = bytearray(zip_of(tmp_path / "x.zip", *good_entries()).read_bytes())
    content[content.index(mark) + offset] = damage[0]
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(StudyError, match="damaged or cut short"):
        list(read_members(tmp_path / "x.zip"))


def test_what_is_no_collection(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "zip").write_bytes(b"PK\x03\x04 and no more")
    os.mkfifo(tmp_path / "pipe")
    for name in ("text", "zip", "absent", "pipe"):
        with pytest.raises(StudyError):
            list(read_members(tmp_path / name))
