"""Cards, as the Hugging Face hub reads them, of the models and the store that ship in ``data/``.

Made of recipes, registry and manifest, so that they stay true; nothing is written by hand but the
templates beside this file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from compute_optimal.errors import StudyError
from compute_optimal.store.partitions import Root, atomic_write
from compute_optimal.study.config import LockEntry, Registry, Study, load_lock, load_registry

CARD = "README.md"
"""The name under which the hub looks for a card; no model file."""

_NOT_SHOWN = {"name", "loss", "adaptation_loss", "n_parameters"}


def write_cards(studies: Sequence[Study]) -> Iterator[str]:
    """Write the cards of what ships with ``studies``; yields their files."""
    first = studies[0]
    registry, lock = load_registry(first.registry), load_lock(first.lock_file)
    for path, content in cards(first.store.shipped.parent, registry, lock).items():
        with atomic_write(path) as file:
            file.write(content.encode())
        yield str(path)


def cards(data: Path, registry: Registry, lock: Mapping[str, LockEntry]) -> dict[Path, str]:
    """File -> content, for every model below ``data/models`` and for ``data/store``.

    Raises ``StudyError`` where a recipe cannot be read.
    """
    written = {
        folder / CARD: _model_card(folder, registry, lock)
        for folder in sorted((data / "models").glob("*"))
        if (folder / "recipe.json").is_file()
    }
    written[data / "store" / CARD] = _store_card(data / "store")
    return written


def _model_card(folder: Path, registry: Registry, lock: Mapping[str, LockEntry]) -> str:
    try:
        recipe = json.loads((folder / "recipe.json").read_bytes())
        made, measured = recipe["recipe"], recipe["measured"]
    except (OSError, ValueError, KeyError) as error:
        raise StudyError("a recipe cannot be read", where=str(folder / "recipe.json")) from error
    name = folder.name
    policy, prm = registry.policies.get(name), registry.prms.get(name)
    pinned = lock.get(name)
    return _filled(
        "model_card.md",
        name=name,
        policy=policy,
        prm=prm,
        licence=entry.licence if (entry := policy or prm) else "MIT",
        sha256=getattr(pinned, "sha256", None),
        base=made.get("base") or made.get("start"),
        n_parameters=measured["n_parameters"],
        made=list(_facts(made)),
        measured=list(_facts(measured)),
    )


def _facts(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if key in _NOT_SHOWN or value in (None, [], {}):
            continue
        if isinstance(value, Mapping):
            yield from _facts(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)


def _store_card(store: Path) -> str:
    manifest = Root(store, writable=False).manifest()
    rows: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    tables: dict[tuple[str, str], str] = {}
    for part, entry in manifest.items():
        kind, _, name = part.split("/")
        table = name.rpartition("-")[0]
        tables[kind, table] = f"{kind}/*/{table}-*.parquet"
        rows[table] += int(entry["rows"])
        sizes[table] += int(entry["bytes"])
    return _filled(
        "store_card.md",
        tables=[
            {"name": table, "files": pattern, "rows": rows[table], "bytes": sizes[table]}
            for (_, table), pattern in sorted(tables.items())
        ],
        n_parts=len(manifest),
        n_bytes=sum(sizes.values()),
    )


def _filled(template: str, **content: Any) -> str:
    # Markdown for the hub, which escapes it; all that goes in is our own.
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return templates.get_template(template).render(**content)
