"""What ships in ``data/`` and what is sent elsewhere: cells of studies, models, results."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from compute_optimal.errors import StudyError
from compute_optimal.micro.base_training import install_bases
from compute_optimal.ship.cards import write_cards
from compute_optimal.ship.expected import recompute, write_expected
from compute_optimal.store.sharing import (
    Cells,
    NothingPublishedError,
    fetch,
    folder_of,
    publish,
)
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import all_partitions
from compute_optimal.study.config import Study
from compute_optimal.study.models import install_models

MODELS = Path("data/models")


def install_trained(study: Study, folder: Path) -> Iterator[str]:
    """Replace the models of a study, and their bases, by those trained in ``folder``.

    Raises ``StudyError`` where it holds none of them.
    """
    installed = [*install_bases(folder, MODELS), *install_models(study, folder)]
    if not installed:
        raise StudyError(
            f"there is no model of {study.name} here, so none was replaced",
            where=str(folder),
            cure="name the folder that holds the folders of trained models: results/models",
        )
    yield from installed


def ship_studies(
    studies: Sequence[Study], expected: Path, *, prune: bool, cores: int
) -> Iterator[str]:
    """Make the cells of ``studies``, and what follows from them, what ships.

    Cells go into the shipped store of the first study, results below ``expected``.
    """
    yield _send(studies, str(studies[0].store.shipped), prune=prune)
    for study in studies:
        yield f"computing the expected results of {study.name} from what ships now"
        with tempfile.TemporaryDirectory() as folder:
            files = recompute(study, Path(folder), cores=cores)
        for path in write_expected(files, expected / study.name):
            yield f"{path} ({path.stat().st_size:,} bytes)"
    yield from write_cards(studies)


def publish_studies(studies: Sequence[Study], to: str | None, *, prune: bool) -> Iterator[str]:
    """Send the cells of ``studies`` to the address ``to``.

    Raises ``StudyError`` without one, and where it is a store that one of the studies reads: what
    is published is a copy, listed and pruned as such.
    """
    if not to or not to.strip():
        raise StudyError(
            "no address is given, so nothing was published",
            where="--to (make publish TO=...)",
            cure="name a folder or an address, such as s3://bucket/folder; to change what ships "
            "with this repository: make ship",
        )
    if (folder := folder_of(to)) is not None:
        for study in studies:
            for key, own in (("writable", study.store.writable), ("shipped", study.store.shipped)):
                if _one_folder(folder, own):
                    raise StudyError(
                        f"this is store.{key} of the study {study.name} itself, so nothing was "
                        "published",
                        where=f"{to}, which is {own}",
                        cure="name another folder or an address; to change what ships with this "
                        "repository: make ship",
                    )
    yield _send(studies, to, prune=prune)


def _one_folder(path: Path, other: Path) -> bool:
    """Whether both are one folder, also where names differ in nothing but their letters' size."""
    return path == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


def fetch_study(study: Study, source: Sequence[str] | None) -> Iterator[str]:
    """Bring what the store lacks of a study from the addresses ``source``, or its remotes.

    Raises ``StudyError`` where there are none, and where nobody has published to any of them.
    """
    addresses = source or study.store.remotes
    if not addresses or not all(address.strip() for address in addresses):
        raise StudyError(
            "no address is given, so nothing was fetched",
            where=f"--from (make fetch FROM=...), or store.remotes of the study {study.name}",
            cure="name the folder or address that was published to",
        )
    empty: list[NothingPublishedError] = []
    for address in addresses:
        try:
            fetched = fetch(_cells(study), address)
        except NothingPublishedError as error:
            # What is at the next one may be all that is needed.
            empty.append(error)
        else:
            yield fetched.summary("fetched")
    if len(empty) == len(addresses):
        raise empty[0]
    yield from (f"note: nothing is published at {error.where}" for error in empty)


def _send(studies: Sequence[Study], address: str, *, prune: bool) -> str:
    cells = {part.directory: (part, rows) for study in studies for part, rows in _cells(study)}
    return publish(cells.values(), address, prune=prune).summary("sent")


def _cells(study: Study) -> Cells:
    return all_partitions(study, Storage.of(study).store)
