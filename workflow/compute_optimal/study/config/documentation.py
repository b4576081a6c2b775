"""JSON schemas for editors and the key tables of config/README.md, from the models."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic import BaseModel

from compute_optimal.errors import StudyError
from compute_optimal.study.config.claims import Claim, ClaimsFile
from compute_optimal.study.config.reading import model_in
from compute_optimal.study.config.registry import (
    REGISTRY_FILES,
    AdoptedEntry,
    PolicyEntry,
    PrmEntry,
    PromptFamily,
    TaskEntry,
)
from compute_optimal.study.config.study import Study

COMMAND = "python -m compute_optimal.study.config"

_README = Path("config/README.md")
_SCHEMAS = Path("workflow/schemas")
_TABLES: dict[str, type[BaseModel]] = {
    "study": Study,
    "task": TaskEntry,
    "policy": PolicyEntry,
    "prompt": PromptFamily,
    "prm": PrmEntry,
    "adopted": AdoptedEntry,
    "claim": Claim,
}


def documentation(root: Path) -> dict[Path, str]:
    """The schemas and config/README.md of the repository at ``root``: path -> the text it should
    have.

    Raises ``StudyError`` where config/README.md lacks the markers of a table.
    """
    schemas: dict[str, type[BaseModel]] = {"study": Study, "claims": ClaimsFile}
    schemas |= {f"registry-{name}": model for name, model in REGISTRY_FILES.items()}
    files = {root / _SCHEMAS / f"{k}.schema.json": _schema(v) for k, v in schemas.items()}
    readme = root / _README
    text = readme.read_text(encoding="utf-8")
    for name, model in _TABLES.items():
        begin, end = f"<!-- keys: {name} -->", "<!-- end of keys -->"
        before, opened, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (opened and closed):
            raise StudyError(
                f"the markers of the table of {name} keys are gone",
                where=str(readme),
                cure=f"put a line {begin} and a line {end} where the table belongs",
            )
        text = f"{before}{begin}\n{_table(model)}\n{end}{after}"
    return {**files, readme: text}


def write_documentation(root: Path) -> list[Path]:
    """Bring the files of ``documentation`` up to date; returns those that changed. Raises
    ``StudyError`` as it does."""
    changed = []
    for path, text in documentation(root).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def _schema(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    for definition in schema.get("$defs", {}).values():
        # The name of an entry is its key; the loader puts it in.
        if "name" in definition.get("properties", {}):
            del definition["properties"]["name"]
            definition["required"].remove("name")
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def _table(model: type[BaseModel]) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{key}` | {kind} | {default} | {text} |" for key, kind, default, text in _rows(model)
    ]
    return "\n".join(rows)


def _rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    schema = model.model_json_schema()
    for key, field in model.model_fields.items():
        if not prefix and key == "name" and model is not Study:
            continue
        nested = model_in(field.annotation)
        by_name = get_origin(field.annotation) is Mapping
        if nested is not None and not field.is_required() and not by_name:
            yield from _rows(nested, f"{prefix}{key}.")
            continue
        default = "required"
        if not field.is_required():
            default = f"`{json.dumps(field.get_default(call_default_factory=True), default=str)}`"
        yield prefix + key, _kind(schema["properties"][key]), default, field.description or ""
        if nested is not None and by_name:
            yield from _rows(nested, f"{prefix}{key}.NAME.")


def _kind(schema: dict[str, Any]) -> str:
    """What values a key takes, in words."""
    if "$ref" in schema:
        return "mapping"
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    if schema.get("format") == "path":
        return "path"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[bound]}" for bound, sign in signs.items() if bound in schema]
    names = {"object": "mapping", "string": "text", "null": "null"}
    return " ".join([names.get(schema["type"], schema["type"]), *bounds])
