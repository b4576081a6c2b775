"""The Hugging Face hub: its errors in words of this study, and room for what comes from it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Literal, TypeVar

from compute_optimal.errors import NotAtHandError, StudyError

_SPARE = 2**30
"""Free disk space that a download must leave [bytes]."""

T = TypeVar("T")


@dataclass(frozen=True)
class Repository:
    """A model or data set on the hub; ``name`` is what this study calls it, ``revision`` None the
    main branch."""

    name: str
    hub_id: str
    kind: Literal["model", "dataset"] = "model"
    revision: str | None = None
    gated: bool = False

    @property
    def address(self) -> str:
        """The address of its page."""
        folder = "datasets/" if self.kind == "dataset" else ""
        return f"https://huggingface.co/{folder}{self.hub_id}"


def require_room(
    name: str, n_bytes: int, folder: Path | None = None, *, cure: str | None = None
) -> None:
    """Raise ``StudyError`` where the disk of a folder (by default the hub's cache) has less free
    than ``n_bytes`` and a GiB that stays free. ``name``: of what needs the room."""
    from huggingface_hub import constants

    place = folder or Path(constants.HF_HUB_CACHE)
    present = next(parent for parent in (place, *place.absolute().parents) if parent.exists())
    free = shutil.disk_usage(present).free
    if n_bytes + _SPARE > free:
        raise StudyError(
            f"{name} needs {n_bytes / 1e9:.1f} GB more, and {free / 1e9:.1f} GB are free "
            f"({_SPARE / 1e9:.1f} GB of them stay free)",
            where=str(place),
            cure=cure or "free some space, or set HF_HOME to a folder on a larger disk",
        )


def ask(repository: Repository, call: Callable[[], T]) -> T:
    """What ``call``, which asks the hub about ``repository``, returns.

    Raises ``StudyError`` where the hub refuses or cannot be reached, where the disk fails, and for
    a gated repository without a token before anything is asked.
    """
    from huggingface_hub import errors, get_token

    name, where = repository.name, repository.address
    grant = StudyError(
        f"{name} is gated, and the hub does not let you in",
        where=where,
        cure="accept its licence at that address, then give your token with `hf auth login` or "
        "the environment variable HF_TOKEN",
    )
    if repository.gated and get_token() is None:
        raise grant
    try:
        return call()
    except errors.GatedRepoError:
        raise grant from None
    except errors.RevisionNotFoundError:
        raise NotAtHandError(
            f"the hub has no such revision of {name}",
            where=f"{where}, revision {repository.revision or 'main'}",
            cure="correct revision in the registry; a commit that was removed cannot be had again",
        ) from None
    except errors.RepositoryNotFoundError:
        raise NotAtHandError(
            f"the hub has no {repository.kind} {repository.hub_id}, or hides it from you",
            where=where,
            cure=f"correct hub_id in the registry; for a private {repository.kind} give your token "
            "with `hf auth login`",
        ) from None
    except errors.OfflineModeIsEnabled:
        raise NotAtHandError(
            f"{name} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it",
            where=where,
            cure="unset HF_HUB_OFFLINE, or copy the hub's cache from a machine that has the "
            f"{repository.kind}",
        ) from None
    except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]
        reason = shorten(str(error), width=200)
        raise NotAtHandError(
            f"cannot fetch {name}: {type(error).__name__}: {reason}",
            where=where,
            cure="check the network and run again; what was fetched is kept. Without a network, "
            f"copy the hub's cache from a machine that has the {repository.kind}, and set "
            "HF_HUB_OFFLINE=1",
        ) from None
