"""Every key of both files in words, from the JSON Schemas: its form, its default, what it is for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hotshotd.config import schema as models
from hotshotd.config.json_schema import SCHEMAS, list_defaults, make_schema

Json = dict[str, Any]

#: A form that has a name, by the beginning of its pattern.
_PATTERNS = (
    (r"^\s*([0-9]{1,12}", "duration"),
    ("^[A-Za-z_][A-Za-z0-9_]{0,127}$", "name of a variable"),
    ("^([01]?[0-9]|2[0-3])", "time of day"),
)
_FLAGS = frozenset({"true", "false", "yes", "no", "on", "off"})
_FORMATS = {"path": "path", "password": "secret"}
_KINDS = {"string": "text", "boolean": "true or false", "null": "null", "object": "mapping"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key; `form` says what may be written there."""

    name: str
    form: str
    paragraphs: list[str]


def list_keys(name: str) -> Iterator[tuple[str, list[Key]]]:
    """Give the blocks of a file in their order, each with its own keys: path of the block → keys."""
    schema = make_schema(name)
    top = SCHEMAS[name][0].__name__
    yield from _walk("", top, {top: schema, **schema["$defs"]}, list_defaults(name))


def list_presets() -> list[tuple[str, str]]:
    """Give the servers that exist without being written, each as one sentence."""
    presets = {**models.BACKEND_PRESETS, **models.SERVICE_PRESETS}
    return [(name, ", ".join(f"{key}: {_write(value)}" for key, value in row.items())) for name, row in presets.items()]


def _walk(
    path: str, model: str, blocks: Mapping[str, Json], defaults: Mapping[str, Json]
) -> Iterator[tuple[str, list[Key]]]:
    keys, inner = [], []
    for key, schema in blocks[model]["properties"].items():
        block, ending = _find_block(schema, blocks)
        if block is not None:
            inner.append((f"{path}{key}{ending}", block, schema.get("description", "")))
        keys.append(_make_key(f"{path}{key}", model, key, schema, defaults[model]))
    yield path.rstrip("."), keys
    for place, block, _ in inner:
        yield from _walk(f"{place}.", block, blocks, defaults)


def _make_key(name: str, model: str, key: str, schema: Json, defaults: Json) -> Key:
    default = defaults.get(key, _find_mapping(model, key))
    told = schema.get("description", "")
    if default is None and "null" in told:
        shown = "Default: null."
    else:
        shown = "" if default is None else f"Default: {_write(default)}."
    return Key(name, _describe_form(schema) or "block", [f"{told} {shown}".strip()])


def _find_mapping(model: str, key: str) -> Any:
    """Give a default that is a mapping of values: the schema leaves those out, as it does blocks."""
    field = getattr(models, model).model_fields[key]
    default = field.get_default(call_default_factory=True, validated_data={})
    return default if isinstance(default, dict) and default and key.endswith("parameters") else None


def _find_block(schema: Json, blocks: Mapping[str, Json]) -> tuple[str | None, str]:
    """Give the model that stands at a key, and what its keys are written after: nothing, `.NAME` or `[]`."""
    for form in schema.get("anyOf", [schema]):
        for ending, inner in (
            ("", form),
            ("[]", form.get("items", {})),
            *((".NAME", named) for named in form.get("patternProperties", {}).values()),
        ):
            model = inner.get("$ref", "").rpartition("/")[2]
            if "properties" in blocks.get(model, {}):
                return model, ending
    return None, ""


def _describe_form(schema: Json) -> str:
    """Say what may be written; "" of a block, whose keys are told of themselves."""
    forms = [_describe_one(form) for form in schema.get("anyOf", [schema])]
    told = dict.fromkeys(form for form in forms if form and form != "null")
    # A flag is a boolean, or one of the words for it and maybe more.
    return " or ".join(form for form in told if not any(other.startswith(f"{form} or ") for other in told))


def _describe_one(schema: Json) -> str:
    if "anyOf" in schema:
        return _describe_form(schema)
    if "enum" in schema:
        return _describe_words(schema["enum"])
    if "const" in schema:
        return "" if schema["const"] == 0 else str(schema["const"])
    if "$ref" in schema:
        return _describe_reference(schema["$ref"])
    if schema.get("type") == "array":
        return f"list of {_describe_form(schema['items']) or 'blocks'}"
    if schema.get("type") in ("integer", "number"):
        return _describe_number(schema)
    named = next((word for start, word in _PATTERNS if schema.get("pattern", "").startswith(start)), None)
    kind = schema.get("type", "object")
    return named or _FORMATS.get(schema.get("format", "")) or (_KINDS.get(kind, "") if isinstance(kind, str) else "")


def _describe_words(words: list[Any]) -> str:
    # All spellings of yes and no are one to a reader.
    flags = "true or false" if "true" in words and "OFF" in words else ""
    others = [str(word) for word in words if word is not None and not (flags and str(word).lower() in _FLAGS)]
    texts = [word for place, word in enumerate(others) if word not in others[:place]]
    return " or ".join([*([flags] if flags else []), *([", ".join(texts)] if texts else [])])


def _describe_reference(reference: str) -> str:
    kind = getattr(models, reference.rpartition("/")[2], None)
    members = getattr(kind, "__members__", None)
    return ", ".join(str(member) for member in members.values()) if members else ""


def _describe_number(schema: Json) -> str:
    word = "whole number" if schema["type"] == "integer" else "number"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{word} from {low:g} to {high:g}"
    return f"{word}, at least {low:g}" if low is not None else word


def _write(value: Any) -> str:
    """Write a value as a file would have it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_write(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_write(inner) for inner in value) + "]"
    if isinstance(value, str) and value and value.replace("-", "").replace("_", "").isalnum() and value.isascii():
        return value
    return json.dumps(value) if not isinstance(value, str) or not value or value[0] in "?*&!%@" else value
