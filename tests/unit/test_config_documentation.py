"""What is generated from the models agrees with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compute_optimal.errors import StudyError
from compute_optimal.study.config.documentation import COMMAND, documentation, write_documentation
from compute_optimal.study.config.registry import REGISTRY_FILES
from compute_optimal.study.config.study import Study

ROOT = Path(__file__).parents[2]


def test_generated_files_are_up_to_date() -> None:
    stale = [
        path.relative_to(ROOT).as_posix()
        for path, text in documentation(ROOT).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, f"{', '.join(stale)} lag behind the models; run: {COMMAND}"


@pytest.mark.parametrize("model", [Study, *REGISTRY_FILES.values()], ids=lambda m: m.__name__)
def test_every_key_is_described(model: type[Study]) -> None:
    schema = model.model_json_schema()
    for part in [schema, *schema.get("$defs", {}).values()]:
        for key, field in part["properties"].items():
            assert field.get("description"), f"{part['title']}.{key} has no description"


def test_writing_changes_only_what_is_stale(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    readme = tmp_path / "config/README.md"
    readme.write_text((ROOT / "config/README.md").read_text().replace("| `seed` |", "| `sed` |"))
    changed = write_documentation(tmp_path)
    assert readme in changed
    assert readme.read_text() == (ROOT / "config/README.md").read_text()
    assert write_documentation(tmp_path) == []
    schema = json.loads((tmp_path / "workflow/schemas/registry-prms.schema.json").read_text())
    assert "name" not in schema["$defs"]["PrmEntry"]["properties"]
    readme.write_text("no markers\n")
    with pytest.raises(StudyError, match="markers of the table of study keys are gone"):
        write_documentation(tmp_path)
