"""A model runs only as it was locked, and what stands in the way is told."""

from __future__ import annotations

import hashlib
import json
import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants, errors

from compute_optimal.errors import StudyError
from compute_optimal.study import models
from compute_optimal.study.config import LockEntry, PolicyEntry, Study, load_lock, parse_study
from compute_optimal.study.models import (
    folder_sha256,
    identity,
    lock_models,
    model_folder,
)
from compute_optimal.study.plan import StudyPlan

ROOT = Path(__file__).parents[2]
COMMIT, OTHER_COMMIT = "a" * 40, "b" * 40
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
    "pytorch_model.bin": b"pickle",
    "modeling_own.py": b"code",
    "original/params.json": b"{}",
}


def policy(**keys: Any) -> PolicyEntry:
    fields: dict[str, Any] = {
        "name": "tiny",
        "family": "Tiny",
        "prompt": "qwen",
        "n_parameters": 1,
        "native_context": 8192,
        "licence": "MIT",
    }
    if "path" not in keys:
        fields["hub_id"] = "someone/tiny"
    return PolicyEntry.model_validate(fields | keys)


def write_model(folder: Path, **contents: bytes) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).write_bytes(contents.get(name.partition(".")[0], FILES[name]))
    return folder


class Hub:
    """The hub as one sees it through ``HfApi``, with the cache's own layout on disk."""

    def __init__(self, cache: Path, files: dict[str, bytes] | None = None) -> None:
        self.cache, self.files = cache, FILES if files is None else files
        self.error: Exception | None = None
        self.size_factor = 1
        self.downloads = 0

    @property
    def snapshot(self) -> Path:
        return self.cache / "models--someone--tiny/snapshots" / COMMIT

    def model_info(
        self, repo_id: str, *, revision: str | None = None, files_metadata: bool = False
    ) -> Any:
        assert (repo_id, revision) in {("someone/tiny", None), ("someone/tiny", COMMIT)}
        if self.error:
            raise self.error
        siblings = [
            SimpleNamespace(
                rfilename=name, size=len(data) * self.size_factor if files_metadata else None
            )
            for name, data in self.files.items()
        ]
        return SimpleNamespace(sha=COMMIT, siblings=siblings)

    def snapshot_download(
        self,
        repo_id: str,
        *,
        revision: str,
        allow_patterns: list[str],
        ignore_patterns: list[str],
        local_files_only: bool,
    ) -> Any:
        assert revision == COMMIT
        if not local_files_only:
            if self.error:
                raise self.error
            self.downloads += 1
            self.snapshot.mkdir(parents=True, exist_ok=True)
            for name, data in self.files.items():
                wanted = any(fnmatchcase(name, pattern) for pattern in allow_patterns)
                if wanted and not any(fnmatchcase(name, pattern) for pattern in ignore_patterns):
                    (self.snapshot / name).write_bytes(data)
        return huggingface_hub.snapshot_download(
            repo_id,
            revision=revision,
            allow_patterns=allow_patterns,
            ignore_patterns=ignore_patterns,
            local_files_only=True,
        )


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    cache = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    return Hub(cache)


LOCK = {"tiny": LockEntry(hub_id="someone/tiny", revision=COMMIT)}


def http_error(kind: type[errors.HfHubHTTPError], status: int) -> Exception:
    response: Any = SimpleNamespace(headers={}, request=None, status_code=status)
    return kind("no", response=response)


# What httpx raises, whichever of its versions the hub client uses.
_NO_NETWORK: Exception = errors.HTTPError("Name or service not known")  # type: ignore[attr-defined]


# --- hub models -----------------------------------------------------------------------------------


def test_a_hub_model_is_fetched_once_without_pickles_and_code(hub: Hub) -> None:
    folder = model_folder(policy(), LOCK, api=hub)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert model_folder(policy(), LOCK, api=hub) == folder == hub.snapshot
    assert hub.downloads == 1


def test_what_is_in_the_cache_needs_neither_network_nor_token(hub: Hub) -> None:
    write_model(hub.snapshot)
    hub.error = errors.OfflineModeIsEnabled("offline")
    assert model_folder(policy(gated=True), LOCK, api=hub) == hub.snapshot


def test_an_interrupted_download_is_completed(hub: Hub) -> None:
    write_model(hub.snapshot)
    (hub.snapshot / "model.safetensors").unlink()
    model_folder(policy(), LOCK, api=hub)
    assert hub.downloads == 1
    index = {"weight_map": {"w": "model-1.safetensors", "v": "model-2.safetensors"}}
    hub.files = FILES | {
        "model.safetensors.index.json": json.dumps(index).encode(),
        "model-1.safetensors": b"1",
    }
    (hub.snapshot / "model.safetensors.index.json").write_bytes(
        hub.files["model.safetensors.index.json"]
    )
    with pytest.raises(StudyError, match=r"no whole model: model-2.safetensors missing"):
        model_folder(policy(), LOCK, api=hub)


def test_the_hubs_own_cache_serves_offline_and_a_lost_blob_is_seen(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blobs by hash, links to them in the snapshot, and no stand-in for the hub's client."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StudyError, match="HF_HUB_OFFLINE forbids"):
        model_folder(policy(), LOCK)
    blobs = hub.snapshot.parents[1] / "blobs"
    blobs.mkdir(parents=True)
    hub.snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        blob = blobs / hashlib.sha256(name.encode()).hexdigest()
        blob.write_bytes(FILES[name])
        (hub.snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    assert model_folder(policy(), LOCK) == hub.snapshot
    (hub.snapshot / "model.safetensors").resolve().unlink()
    with pytest.raises(StudyError, match="HF_HUB_OFFLINE forbids") as caught:
        model_folder(policy(), LOCK)
    assert "copy the hub's cache" in str(caught.value)


@pytest.mark.parametrize("revision", [None, "refs/pr/5", OTHER_COMMIT])
def test_offline_the_caches_own_reference_is_locked(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, revision: str | None
) -> None:
    """A machine that was given the cache of another; a gated model in it needs no token."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    entry = policy(revision=revision, gated=True)
    with pytest.raises(StudyError, match="HF_HUB_OFFLINE forbids"):
        models._pin(entry, None)
    commit = OTHER_COMMIT if revision == OTHER_COMMIT else COMMIT
    snapshot = write_model(hub.snapshot.with_name(commit))
    if revision != OTHER_COMMIT:
        reference = hub.snapshot.parents[1] / "refs" / (revision or "main")
        reference.parent.mkdir(parents=True)
        reference.write_text(commit)
    assert models._pin(entry, None) == LockEntry(hub_id="someone/tiny", revision=commit)
    (snapshot / "tokenizer.json").unlink()
    with pytest.raises(StudyError, match=r"no whole model: tokenizer\.json missing"):
        models._pin(entry, None)
    (snapshot / "model.safetensors").unlink()
    with pytest.raises(StudyError, match="no safetensors weights"):
        models._pin(entry, None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (http_error(errors.GatedRepoError, 403), ["tiny is gated", "accept its licence"]),
        (http_error(errors.RepositoryNotFoundError, 404), ["no model someone/tiny", "hub_id"]),
        (http_error(errors.RevisionNotFoundError, 404), ["no such revision", "main"]),
        (http_error(errors.HfHubHTTPError, 503), ["cannot fetch tiny", "HfHubHTTPError"]),
        (errors.OfflineModeIsEnabled("offline"), ["HF_HUB_OFFLINE forbids"]),
        (_NO_NETWORK, ["cannot fetch tiny", "not known"]),
        (OSError(28, "No space left on device"), ["cannot fetch tiny", "No space left"]),
    ],
)  # fmt: skip
def test_what_the_hub_refuses_is_told(hub: Hub, error: Exception, expected: list[str]) -> None:
    hub.error = error
    with pytest.raises(StudyError) as caught:
        model_folder(policy(), LOCK, api=hub)
    for part in ["https://huggingface.co/someone/tiny", "do:", *expected]:
        assert part in str(caught.value)


def test_a_gated_model_without_token_is_told_before_asking(hub: Hub) -> None:
    hub.error = AssertionError("the hub was asked")
    with pytest.raises(StudyError, match=r"tiny is gated[\s\S]*hf auth login"):
        model_folder(policy(gated=True), LOCK, api=hub)


def test_disk_space_is_checked_before_the_download(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2 * 10**9))
    model_folder(policy(), LOCK, api=hub)
    shutil.rmtree(hub.snapshot)
    hub.size_factor = 10**8  # 11 bytes of model files become 1.1 GB; pickles do not count
    with pytest.raises(StudyError, match=r"needs 1.1 GB more, and 2.0 GB are free"):
        model_folder(policy(), LOCK, api=hub)
    assert hub.downloads == 1


def test_an_unlocked_model_does_not_run(hub: Hub, tmp_path: Path) -> None:
    for entry in (policy(), policy(path=write_model(tmp_path / "m"))):
        with pytest.raises(StudyError, match=r"tiny is not locked[\s\S]*lock the models"):
            model_folder(entry, {}, api=hub)
        assert identity(entry, {})["revision"] is None


def test_errors_name_the_lock_file_that_is_used(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    file = tmp_path / "own.json"
    for pins, message in (
        ({}, "is not locked"),
        ({"tiny": {"path": folder.as_posix(), "sha256": "c" * 64}}, "has changed"),
        ({"tiny": {"path": "elsewhere", "sha256": "c" * 64}}, "in the lock"),
    ):
        file.write_text(json.dumps(pins))
        with pytest.raises(StudyError, match=message) as caught:
            model_folder(policy(path=folder), load_lock(file))
        assert str(file) in str(caught.value)
        assert "models.lock.json" not in str(caught.value)


# --- identity and contradictions ------------------------------------------------------------------


def test_identity_is_name_id_and_pinned_content() -> None:
    assert identity(policy(), LOCK) == {"name": "tiny", "id": "someone/tiny", "revision": COMMIT}
    folder = {"tiny": LockEntry(path="m", sha256="c" * 64)}
    assert identity(policy(path="m"), folder) == {
        "name": "tiny",
        "id": None,
        "revision": f"sha256:{'c' * 64}",
    }


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (policy(hub_id="someone/else"), ["hub_id", "someone/else", "someone/tiny"]),
        (policy(revision=OTHER_COMMIT), ["revision", COMMIT, OTHER_COMMIT]),
        (policy(path="m"), ["hub_id", "None", "someone/tiny"]),
    ],
)
def test_a_registry_that_contradicts_the_lock_is_refused(
    entry: PolicyEntry, expected: list[str]
) -> None:
    for call in (identity, model_folder):
        with pytest.raises(StudyError) as caught:
            call(entry, LOCK)
        for part in expected:
            assert part in str(caught.value)
    # A branch or pull request may move; the lock holds the commit it was.
    assert identity(policy(revision="refs/pr/4"), LOCK)["revision"] == COMMIT


# --- folders --------------------------------------------------------------------------------------


def test_a_folders_hash_sees_model_files_only(tmp_path: Path) -> None:
    one = write_model(tmp_path / "one")
    before = folder_sha256(one)
    (one / "recipe.json").write_text("{}")
    (one / "README.md").write_text("text")
    assert folder_sha256(one) == before
    assert folder_sha256(write_model(tmp_path / "two")) == before
    assert folder_sha256(write_model(tmp_path / "three", model=b"other")) != before
    (one / "tokenizer_config.json").write_text("{}")
    assert folder_sha256(one) != before


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        ("config.json", "config.json"),
        ("model.safetensors", r"\*.safetensors"),
        ("tokenizer.json", "tokenizer.json"),
    ],
)
def test_a_folder_without_a_whole_model_is_told(tmp_path: Path, absent: str, message: str) -> None:
    folder = write_model(tmp_path / "m")
    (folder / absent).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(StudyError, match=f"no whole model: {message} missing"):
        folder_sha256(folder)
    with pytest.raises(StudyError, match="no whole model"):
        folder_sha256(tmp_path / "nowhere")


def test_a_tampered_folder_is_refused_with_both_hashes(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    entry = policy(path=folder)
    locked = folder_sha256(folder)
    lock = {"tiny": LockEntry(path=folder.as_posix(), sha256=locked)}
    assert model_folder(entry, lock) == folder
    (folder / "model.safetensors").write_bytes(b"Weights")
    with pytest.raises(StudyError) as caught:
        model_folder(entry, lock)
    for part in (locked, folder_sha256(folder), str(folder), "restore the folder"):
        assert part in str(caught.value)


# --- locking --------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """One hub policy, one policy in a folder, and a lock file of its own."""
    monkeypatch.chdir(ROOT)
    registry = tmp_path / "registry"
    shutil.copytree("config/registry", registry)
    write_model(tmp_path / "local")
    with (registry / "policies.yaml").open("a") as file:
        for name, source in (("tiny", "hub_id: someone/tiny"), ("own", f"path: {tmp_path}/local")):
            file.write(
                f"  {name}: {{family: Tiny, prompt: qwen, {source}, n_parameters: 1, "
                "native_context: 8192, licence: MIT}\n"
            )
    return parse_study(content_of(tmp_path), locking=True)


def content_of(folder: Path) -> dict[str, Any]:
    return {
        "name": "try",
        "tasks": ["AIME24"],
        "policies": ["tiny", "own"],
        "methods": ["majority"],
        "registry": str(folder / "registry"),
        "lock_file": str(folder / "lock.json"),
    }


def test_first_use_pins_and_later_uses_keep(study: Study, hub: Hub, tmp_path: Path) -> None:
    lock = lock_models(study, api=hub)
    written = json.loads((tmp_path / "lock.json").read_text())
    assert written == {
        "own": {"path": f"{tmp_path}/local", "sha256": folder_sha256(tmp_path / "local")},
        "tiny": {"hub_id": "someone/tiny", "revision": COMMIT},
    }
    assert list(written) == sorted(written)
    assert load_lock(study.lock_file) == lock
    # Pinned models are not asked for again, so a moved branch changes nothing.
    hub.error = AssertionError("the hub was asked")
    again = parse_study(content_of(tmp_path))
    assert again.lock == lock
    stamp = (tmp_path / "lock.json").stat().st_mtime_ns
    assert lock_models(again, api=hub) == lock
    assert (tmp_path / "lock.json").stat().st_mtime_ns == stamp
    (tmp_path / "local/config.json").write_text('{"changed": 1}')
    with pytest.raises(StudyError, match=r"the folder of own has changed"):
        lock_models(again, api=hub)


def test_what_was_pinned_before_an_error_is_kept(study: Study, hub: Hub, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "local")
    with pytest.raises(StudyError, match="no whole model"):
        lock_models(study, api=hub)
    assert list(load_lock(study.lock_file)) == ["tiny"]


def test_a_model_with_pickled_weights_only_is_not_locked(study: Study, hub: Hub) -> None:
    hub.files = {name: data for name, data in FILES.items() if "safetensors" not in name}
    with pytest.raises(StudyError, match=r"no safetensors weights[\s\S]*refs/pr/N"):
        lock_models(study, api=hub)
    assert not study.lock_file.exists()


def test_a_study_whose_models_are_not_all_locked_does_not_start(
    study: Study, hub: Hub, tmp_path: Path
) -> None:
    (tmp_path / "lock.json").write_text("{}")
    content = content_of(tmp_path) | {"generate": "missing"}
    with pytest.raises(StudyError, match=r"tiny, own are not locked(.|\n)*compute_optimal lock"):
        StudyPlan(parse_study(content)).announce(runs_here=False)
    lock_models(study, api=hub)
    StudyPlan(parse_study(content)).announce(runs_here=False)
