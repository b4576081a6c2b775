"""YAML and JSON in, checked models out; all that is wrong with one file in one ``StudyError``."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from compute_optimal.errors import StudyError

Model = TypeVar("Model", bound=BaseModel)

_SECRET_VALUE = re.compile(
    r"\bhf_\w{16,}|\bgh[pousr]_\w{16,}|\bgithub_pat_\w{16,}|\bsk-[\w-]{16,}|\bAKIA[0-9A-Z]{16}"
    r"|://[^/\s:@]+:[^/\s:@]+@|-----BEGIN [A-Z ]*PRIVATE KEY"
)
_SECRET_KEY = re.compile(r"(^|_)(token|password|passwd|secret|api_?key|credentials?)$", re.I)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a file: where in it, what, and what to do."""

    key: str
    what: str
    cure: str


def refuse(findings: Sequence[Finding], where: str) -> None:
    """Raise one ``StudyError`` that holds all findings of a file; return if there are none."""
    if not findings:
        return
    findings = [
        Finding(_cut(finding.key, 120), _cut(finding.what, 600), finding.cure)
        for finding in findings
    ]
    if len(findings) == 1:
        (finding,) = findings
        place = f"{where}, key {finding.key}" if finding.key else where
        raise StudyError(finding.what, where=place, cure=finding.cure)
    lines = [f"{len(findings)} things are wrong in {where}"]
    for number, finding in enumerate(findings, start=1):
        lines.append(f"  {number}. {finding.key}: {finding.what}")
        lines.append(f"     do: {finding.cure}")
    raise StudyError("\n".join(lines), where=where, cure="mend all of them, then run again")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that ``name`` was probably meant to be; None where none is like it."""
    by_lower = {option.lower(): option for option in known}
    if len(name) > 200:
        return None
    matches = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
    return by_lower[matches[0]] if matches else None


def suggestion(name: str, known: Collection[str]) -> str:
    """What to do about an unknown name."""
    names = ", ".join(_cut(name, 100) for name in sorted(known))
    if (meant := nearest(name, known)) is not None:
        return f"did you mean {meant}? Known: {names}"
    return f"use one of: {names}" if names else "take it out; none is known here"


if TYPE_CHECKING:
    from yaml import SafeLoader
else:
    # Parsing in C is ten times as fast, and every command reads the registry.
    SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(SafeLoader):
    """YAML as a person means it, or not at all.

    PyYAML keeps the last of two equal keys without a word, and reads by YAML 1.1: 010 is 8, 1:30 is
    90, no is false, 1e3 is text. Here two equal keys are an error, and a plain value is what it is
    in YAML 1.2: true and false, null, a decimal number (1_000 and 1e3 are such), or else text. A
    number that begins with 0 can be meant in two ways and is refused.
    """

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {}  # type: ignore[misc]
    # Nor is anything else made where a tag asks for it: dates, sets, bytes.
    yaml_constructors: ClassVar[dict[str | None, Any]] = {
        tag: construct
        for tag, construct in SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "seq", "map")
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)

    def number(self, node: yaml.ScalarNode) -> int | float:
        """A decimal number; raises ``yaml.MarkedYAMLError`` where it is not clear which, or is
        longer than any that is meant."""
        text = node.value.replace("_", "")
        if re.match(r"[-+]?0[0-9]", text):
            raise yaml.MarkedYAMLError(
                problem=f"{node.value} is octal to some and decimal to others; write it "
                "without the zeros in front, or in quotes if it is a text",
                problem_mark=node.start_mark,
            )
        if len(text) > _LONGEST_NUMBER:
            raise yaml.MarkedYAMLError(
                problem=f"a number of {len(text)} digits", problem_mark=node.start_mark
            )
        return int(text) if re.fullmatch(r"[-+]?[0-9]+", text) else float(text)

    def text(self, node: yaml.ScalarNode) -> str:
        """A text that can be written to a file; raises ``yaml.MarkedYAMLError`` for any other."""
        value = str(node.value)
        if match := re.search(r"[\x00\ud800-\udfff]", value):
            raise yaml.MarkedYAMLError(
                problem=f"a text holds the character {match[0]!r}", problem_mark=node.start_mark
            )
        return value


_LONGEST_NUMBER = 100
_MOST_VALUES = 100_000
_DEEPEST = 50
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
    ("int", r"[-+]?[0-9][0-9_]*", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.number)
_Loader.add_constructor("tag:yaml.org,2002:str", _Loader.text)


def _number_or_special(loader: _Loader, node: yaml.ScalarNode) -> float:
    special = node.value.lower().lstrip("+-.") in ("inf", "nan")
    return loader.construct_yaml_float(node) if special else loader.number(node)


_Loader.add_constructor("tag:yaml.org,2002:float", _number_or_special)


def _check_depth(text: str) -> None:
    """Raise ``yaml.MarkedYAMLError`` before the parser in C, which recurses, runs out of stack."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise yaml.MarkedYAMLError(
                problem=f"more than {_DEEPEST} levels",
                problem_mark=cast("yaml.Mark", event.start_mark),
            )


def _parsed(text: str, where: str) -> Any:
    """The content of a YAML text. Raises ``StudyError``."""
    try:
        _check_depth(text)
        # The loader is a SafeLoader: plain data only.
        content = yaml.load(text, _Loader)
        # Aliases of aliases make a short file as large as one likes.
        if sum(1 for _ in islice(_leaves(content), _MOST_VALUES + 1)) > _MOST_VALUES:
            raise ValueError(f"it holds more than {_MOST_VALUES:,} values")
        return content
    except RecursionError:
        raise StudyError(
            "a value holds itself", where=where, cure="take the alias (*) out"
        ) from None
    except (yaml.YAMLError, ValueError, KeyError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise StudyError(
            f"not valid YAML: {getattr(error, 'problem', None) or error}",
            where=f"{where}{line}",
            cure="mend the line; strings with a colon or a backslash need quotes",
        ) from None


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML (hence also a JSON) file that holds one mapping; of an empty file, one without keys.

    Raises ``StudyError`` where the file is missing, malformed or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, UnicodeDecodeError):
            raise StudyError(
                f"the file is not UTF-8 text ({error.reason})",
                where=str(path),
                cure="save it as UTF-8",
            ) from None
        raise StudyError(
            f"cannot read the file: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            cure="check the path; paths are relative to the working directory, "
            "which is the root of the repository",
        ) from None
    content = _parsed(text, str(path))
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise StudyError(
            f"the file holds a {type(content).__name__}, not keys with values",
            where=str(path),
            cure="write one `key: value` a line",
        )
    return content


def read_overrides(assignments: Iterable[str]) -> dict[str, Any]:
    """Keys that are given as ``key=value``, the value in YAML. Raises ``StudyError``."""
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not (equals and key.strip()):
            raise StudyError(
                f"{assignment!r} gives no key a value",
                where="--config",
                cure="write key=value, such as --config budgets='[4, 16]'",
            )
        overrides = merged(overrides, {key.strip(): _parsed(value, f"--config {key.strip()}")})
    return overrides


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``overrides`` laid over it, mappings within mappings merged."""
    result = dict(base)
    for key, value in overrides.items():
        present = result.get(key)
        both = isinstance(present, Mapping) and isinstance(value, Mapping)
        result[key] = merged(present, value) if both else value  # type: ignore[arg-type]
    return result


def check_secrets(content: Mapping[str, Any], where: str) -> None:
    """Raise ``StudyError`` for a file that holds what looks like a credential, whose value is never
    repeated."""
    refuse(
        [
            Finding(
                key,
                "this looks like a secret; configuration is committed and copied into results",
                "remove it here and revoke it if the file was shared; give a Hugging Face token "
                "with `hf auth login` or the environment variable HF_TOKEN",
            )
            for key, name, value in _leaves(content)
            if _SECRET_KEY.search(name) or (isinstance(value, str) and _SECRET_VALUE.search(value))
        ],
        where,
    )


def _leaves(content: Any, path: str = "", name: str = "") -> Iterator[tuple[str, str, Any]]:
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key), str(key))
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from _leaves(value, f"{path}[{index}]", name)
    else:
        yield path, name, content


def validated(
    model: type[Model], content: Mapping[str, Any], prefix: tuple[str, ...] = ()
) -> Model | list[Finding]:
    """``content`` as a model, or everything that is wrong with it, below keys that ``prefix`` leads
    to.

    Values are checked strictly: "4" is no integer, 1 is no boolean.
    """
    try:
        text = json.dumps(_with_text_keys(content), default=str)
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        wrong = {details["loc"] for details in errors}
        # Of a list whose items are wrong pydantic also says that it is too short without them.
        reported = [
            details
            for details in errors
            if details["type"] != "too_short"
            or not any(loc[:-1] == details["loc"] and loc != details["loc"] for loc in wrong)
        ]
        return [finding for details in reported for finding in _findings(model, details, prefix)]


def _with_text_keys(content: Any) -> Any:
    # YAML allows numbers as keys; no key of ours is one, so they are reported as unknown.
    if isinstance(content, Mapping):
        return {str(key): _with_text_keys(value) for key, value in content.items()}
    return content


def _findings(
    model: type[BaseModel], details: ErrorDetails, prefix: tuple[str, ...]
) -> list[Finding]:
    if details["type"] != "value_error":
        return [_finding(model, details, prefix)]
    # One line a finding: what, two bars, what to do.
    key, parts = _path((*prefix, *details["loc"])), str(details["ctx"]["error"]).splitlines()
    complaints = [part.partition(" || ") for part in parts]
    return [Finding(key, what, cure or "mend the value") for what, _, cure in complaints]


def _finding(model: type[BaseModel], details: ErrorDetails, prefix: tuple[str, ...]) -> Finding:
    *parents, last = details["loc"] or ("",)
    key = _path((*prefix, *details["loc"]))
    shown = _shown(details["input"])
    if details["type"] == "extra_forbidden":
        return Finding(key, "unknown key", suggestion(str(last), _fields_at(model, parents)))
    if details["type"] == "missing":
        return Finding(key, "this key is missing", f"add it: {_description(model, details['loc'])}")
    if details["type"] == "literal_error":
        allowed = details["ctx"]["expected"]
        names = re.findall(r"'([^']*)'", allowed)
        return Finding(
            key, f"{shown} is not allowed here", suggestion(str(details["input"]), names)
        )
    message = details["msg"].replace("Input should be", "it must be")
    if details["type"] == "bool_type" and str(details["input"]).lower() in _NEARLY_BOOLEAN:
        return Finding(key, f"{shown} is not valid: {message}", "write true or false")
    described = _description(model, details["loc"])
    return Finding(key, f"{shown} is not valid: {message}", f"what the key means: {described}")


_NEARLY_BOOLEAN = ("yes", "no", "on", "off", "y", "n")


def _path(location: Iterable[str | int]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _shown(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=str), 80)


def _model_at(model: type[BaseModel], location: Iterable[str | int]) -> type[BaseModel]:
    for part in location:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        model = model_in(field.annotation) or model
    return model


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model that a type mentions: itself, of a union, or of items of a list or mapping;
    None without one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    models = (model_in(argument) for argument in get_args(annotation))
    return next((model for model in models if model is not None), None)


def _fields_at(model: type[BaseModel], location: Iterable[str | int]) -> list[str]:
    return list(_model_at(model, location).model_fields)


def _description(model: type[BaseModel], location: Sequence[str | int]) -> str:
    names = [part for part in location if isinstance(part, str)]
    field = _model_at(model, names[:-1]).model_fields.get(names[-1]) if names else None
    return (field and field.description) or "see config/README.md"
