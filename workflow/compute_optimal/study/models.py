"""Where model folders come from, and what pins their content.

Nothing runs on a model that is not locked: the lock file holds the commit of each hub model and
the hash of each local folder, and what it holds is part of every spec.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from compute_optimal.errors import StudyError
from compute_optimal.store.partitions import sha256_of, write_json
from compute_optimal.study.config import LockEntry, LockFile, ModelEntry, Study
from compute_optimal.study.config.model_config import contradictions
from compute_optimal.study.config.reading import Finding, refuse
from compute_optimal.study.config.registry import COMMIT
from compute_optimal.study.hub import Repository, ask, require_room

Lock = Mapping[str, LockEntry]

MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.json",
    "chat_template.jinja",
)
"""What a model consists of here. Pickled weights and code are neither fetched nor read."""


class HubApi(Protocol):
    """The two calls of ``huggingface_hub.HfApi`` that are used."""

    def model_info(
        self, repo_id: str, *, revision: str | None = None, files_metadata: bool = False
    ) -> Any: ...

    def snapshot_download(
        self,
        repo_id: str,
        *,
        revision: str,
        allow_patterns: list[str],
        ignore_patterns: list[str],
        local_files_only: bool,
    ) -> Any: ...


def identity(entry: ModelEntry, lock: Lock) -> dict[str, Any]:
    """What a spec says of a model: name, hub id (null for a folder) and revision.

    The revision is a commit (40 hexadecimal digits), ``sha256:<hex>`` of a folder, or null while
    the model is not locked. Raises ``StudyError`` where the lock contradicts the registry.
    """
    pinned = _pinned(entry, lock)
    revision = None
    if pinned is not None:
        revision = pinned.revision or f"sha256:{pinned.sha256}"
    return {"name": entry.name, "id": entry.hub_id, "revision": revision}


def model_folder(entry: ModelEntry, lock: Lock, *, api: HubApi | None = None) -> Path:
    """The folder of a locked model, downloaded first if it has to be.

    Raises ``StudyError`` where the model is not locked, a local folder has changed since it was,
    the registry says of it what its ``config.json`` denies, or a hub model cannot be had: no
    network, no permission, too little disk, pickled weights only.
    """
    pinned = _pinned(entry, lock)
    if pinned is None:
        raise StudyError(
            f"{entry.name} is not locked, so its results would not say what made them",
            where=_place(lock),
            cure="lock the models of the study first: python -m compute_optimal lock",
        )
    if pinned.revision is not None:
        folder = _hub_folder(entry, pinned.revision, api or _hub())
    else:
        assert entry.path is not None
        folder = entry.path
        _require_locked(entry, folder, pinned, lock)
    _require_agreement(entry, folder)
    return folder


def _require_agreement(entry: ModelEntry, folder: Path) -> None:
    denied = [Finding(entry.name, what, cure) for what, cure in contradictions(entry, folder)]
    refuse(denied, f"{folder / 'config.json'} and the registry")


def _require_locked(entry: ModelEntry, folder: Path, pinned: LockEntry, lock: Lock) -> None:
    if (actual := folder_sha256(folder)) != pinned.sha256:
        raise StudyError(
            f"the folder of {entry.name} has changed: its sha256 is {actual}, "
            f"the lock says {pinned.sha256}",
            where=str(folder),
            cure=f"restore the folder; or, to study it as it is now, take {entry.name} out of "
            f"{_place(lock)} and lock again: its results are then new ones",
        )


def lock_models(study: Study, *, api: HubApi | None = None) -> dict[str, LockEntry]:
    """Pin every model of ``study`` that is not pinned yet; returns the whole lock.

    Hub revisions are resolved to commits, folders are hashed, and the lock file is rewritten only
    if something was added. Models that are pinned keep their pin: a local folder is compared with
    it. Raises ``StudyError`` as ``model_folder`` does; what was pinned before the error is kept.
    """
    lock = LockFile(study.lock, study.lock_file)
    entries = [*map(study.policy, study.policies), *map(study.prm, study.prms)]
    try:
        for entry in entries:
            if _pinned(entry, lock) is None:
                lock[entry.name] = _pin(entry, api)
            elif entry.path is not None:
                model_folder(entry, lock)
    finally:
        if lock != study.lock:
            content = {name: pin.model_dump(exclude_none=True) for name, pin in lock.items()}
            write_json(study.lock_file, content)
    return lock


def lock_study(study: Study) -> list[str]:
    """The command ``lock``: ``lock_models``, and what it added. Raises ``StudyError`` as it
    does."""
    added = lock_models(study).keys() - study.lock.keys()
    return [f"{study.lock_file}: {', '.join(sorted(added)) or 'nothing'} added"]


def refuse_unlocked(study: Study, used: Collection[str]) -> None:
    """Raise ``StudyError`` naming every model of ``study``, of the names in ``used``, that nothing
    pins, or one whose lock contradicts the registry."""
    entries = [*map(study.policy, study.policies), *map(study.prm, study.prms)]
    missing = [
        entry.name for entry in entries if entry.name in used and _pinned(entry, study.lock) is None
    ]
    if missing:
        raise StudyError(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not locked, so results "
            "would not say what made them",
            where=str(study.lock_file),
            cure="lock the models of the study first: python -m compute_optimal lock --config FILE",
        )


def install_models(study: Study, trained: Path) -> list[str]:
    """Put freshly trained folders in the place of those that the registry names, and lock them.

    ``trained`` holds one folder a model, by name; models of the study without one, and those from
    the hub, are left alone. Returns one line a model: whether its content changed. What was stored
    for a model that changed stays in the store, but belongs to the old one. Raises ``StudyError``
    for a folder that holds no whole model.
    """
    lock, report = dict(study.lock), []
    entries = [*map(study.policy, study.policies), *map(study.prm, study.prms)]
    for entry in entries:
        source = trained / entry.name
        if entry.path is None or not source.is_dir():
            continue
        before, after = lock.get(entry.name), folder_sha256(source)
        same = before is not None and before.sha256 == after
        if not same:
            shutil.rmtree(entry.path, ignore_errors=True)
            shutil.copytree(source, entry.path)
        lock[entry.name] = LockEntry(path=entry.path.as_posix(), sha256=after)
        report.append(f"{entry.name}: {'the same weights' if same else f'new, sha256 {after}'}")
    content = {name: pin.model_dump(exclude_none=True) for name, pin in lock.items()}
    write_json(study.lock_file, content)
    return report


def folder_sha256(folder: Path) -> str:
    """Hexadecimal sha256 of the names and contents of the model files of a folder; other files do
    not count.

    Raises ``StudyError`` where the folder is missing or holds no whole model.
    """
    _require_whole(folder)
    files = [
        path for path in sorted(folder.glob("*")) if path.is_file() and is_model_file(path.name)
    ]
    rows = [(path.name, sha256_of(path)) for path in files]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def is_model_file(name: str) -> bool:
    """Whether a file (by its path in a model folder) is one that a model consists of here."""
    return "/" not in name and any(fnmatchcase(name, pattern) for pattern in MODEL_FILES)


def _place(lock: Lock) -> str:
    return str(lock.path) if isinstance(lock, LockFile) else "the lock file"


def _pinned(entry: ModelEntry, lock: Lock) -> LockEntry | None:
    pinned = lock.get(entry.name)
    if pinned is None:
        return None
    differences = {
        "hub_id": (entry.hub_id, pinned.hub_id),
        "path": (entry.path and entry.path.as_posix(), pinned.path),
    }
    if entry.revision is not None and re.fullmatch(COMMIT, entry.revision):
        differences["revision"] = (entry.revision, pinned.revision)
    for key, (registered, locked) in differences.items():
        if registered != locked:
            raise StudyError(
                f"the {key} of {entry.name} is {registered} in the registry and {locked} in the "
                "lock",
                where=f"{_place(lock)}, key {entry.name}",
                cure="undo the change in the registry, or register the other model under a name "
                "of its own",
            )
    return pinned


def _pin(entry: ModelEntry, api: HubApi | None) -> LockEntry:
    if entry.path is not None:
        return LockEntry(path=entry.path.as_posix(), sha256=folder_sha256(entry.path))
    from huggingface_hub import constants

    hub = api or _hub()
    if constants.HF_HUB_OFFLINE:
        return LockEntry(hub_id=entry.hub_id, revision=_cached_commit(entry, hub))
    info = ask(
        _repository(entry), lambda: hub.model_info(str(entry.hub_id), revision=entry.revision)
    )
    _require_weights(entry, [file.rfilename for file in info.siblings])
    return LockEntry(hub_id=entry.hub_id, revision=info.sha)


def _cached_commit(entry: ModelEntry, api: HubApi) -> str:
    """The commit that the hub's cache holds for the entry's revision, of a model that is whole."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    def look() -> Path:
        try:
            return _download(entry, entry.revision or "main", api, local=True)
        except LocalEntryNotFoundError as error:
            raise OfflineModeIsEnabled from error

    # What is in the cache needs no token.
    folder = ask(replace(_repository(entry), gated=False), look)
    _require_weights(entry, [path.name for path in folder.iterdir()])
    _require_whole(folder)
    return folder.name


def _hub() -> HubApi:
    from huggingface_hub import HfApi

    api: HubApi = HfApi()
    return api


def _repository(entry: ModelEntry) -> Repository:
    return Repository(entry.name, str(entry.hub_id), revision=entry.revision, gated=entry.gated)


def _download(entry: ModelEntry, revision: str, api: HubApi, *, local: bool) -> Path:
    return Path(
        api.snapshot_download(
            str(entry.hub_id),
            revision=revision,
            allow_patterns=list(MODEL_FILES),
            ignore_patterns=["*/*"],
            local_files_only=local,
        )
    )


def _hub_folder(entry: ModelEntry, revision: str, api: HubApi) -> Path:
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = _download(entry, revision, api, local=True)
        _require_whole(folder)
        return folder
    except (LocalEntryNotFoundError, StudyError):
        # Not in the hub's cache, or only in part, as an interrupted download leaves it.
        _check_room(entry, revision, api)
    folder = ask(_repository(entry), lambda: _download(entry, revision, api, local=False))
    _require_whole(folder)
    return folder


def _check_room(entry: ModelEntry, revision: str, api: HubApi) -> None:
    from huggingface_hub import try_to_load_from_cache

    info = ask(
        _repository(entry),
        lambda: api.model_info(str(entry.hub_id), revision=revision, files_metadata=True),
    )
    needed = sum(
        file.size or 0
        for file in info.siblings
        if is_model_file(file.rfilename)
        and not isinstance(
            try_to_load_from_cache(str(entry.hub_id), file.rfilename, revision=revision), str
        )
    )
    require_room(entry.name, needed)


def _require_weights(entry: ModelEntry, names: Iterable[str]) -> None:
    if not any(name.endswith(".safetensors") for name in names):
        raise StudyError(
            f"{entry.name} has no safetensors weights; pickled ones can run code and are refused",
            where=f"https://huggingface.co/{entry.hub_id}, revision {entry.revision or 'main'}",
            cure="name a revision that has them in the registry (often a pull request, refs/pr/N), "
            "or convert the weights and give their folder as path",
        )


def _require_whole(folder: Path) -> None:
    names = {path.name for path in folder.glob("*") if path.is_file()}
    wanted = {"config.json"}
    if (index := folder / "model.safetensors.index.json").is_file():
        try:
            wanted.update(json.loads(index.read_bytes())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            wanted.add("a readable model.safetensors.index.json")
    elif not any(name.endswith(".safetensors") for name in names):
        wanted.add("*.safetensors")
    if not names & {"tokenizer.json", "tokenizer.model", "vocab.json"}:
        wanted.add("tokenizer.json")
    if missing := sorted(wanted - names):
        raise StudyError(
            f"no whole model: {', '.join(missing)} missing",
            where=str(folder),
            cure="restore the folder, or correct path in the registry",
        )
