"""JSON Schema of both files, for editors: made of the models, so that it can't say anything else than the loader.

Where the two differ on purpose: nothing is required at the top (a key may come from `bot_defaults` or the main
file), and rules over several keys are the loader's alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from hotshotd.config import values
from hotshotd.config.descriptions import describe
from hotshotd.config.schedule import parse_schedule
from hotshotd.config.schema import BotConfig, Example, Fallback, MainConfig, Section

Json = dict[str, Any]

#: File name → model and title.
SCHEMAS: Mapping[str, tuple[type[Section], str]] = {
    "bot.schema.json": (BotConfig, "A bot's file of hotshotd"),
    "hotshotd.schema.json": (MainConfig, "hotshotd.yaml"),
}
#: The one that every editor knows.
DIALECT = "http://json-schema.org/draft-07/schema#"

_SPAN: Json = {
    "type": "string",
    "pattern": r"^\s*([0-9]{1,12}(\.[0-9]{1,12})?|\.[0-9]{1,12})\s*[smhd]\s*$",
    "description": "A number with s, m, h or d (fractions allowed), such as 30s or 1.5h.",
}
_DURATION: Json = {"anyOf": [_SPAN, {"const": 0}]}
_WORDS = {"type": "array", "items": {"anyOf": [{"type": "string", "pattern": r"\S"}, {"type": ["integer", "boolean"]}]}}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_FLAG_WORDS = [word for low in ("true", "false", "yes", "no", "on", "off") for word in (low, low.title(), low.upper())]
_TIMES = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "string", "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$"},
}
_DAYS = (
    "^(?:"
    + "|".join(
        f"[{day[0].upper()}{day[0]}]{day[1:3]}(?:{day[3:]})?"
        for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    )
    + ")$"
)
_SCHEDULE = {
    "anyOf": [
        {"type": "array", "items": _TIMES["items"], "minItems": 1, "description": "Times of day."},
        {
            "type": "object",
            "description": "A crontab line.",
            "properties": {"cron": {"type": "string"}},
            "required": ["cron"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "description": "This long after the bot's last own post.",
            "properties": {"every": _SPAN},
            "required": ["every"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "description": "Times by weekday.",
            "patternProperties": {_DAYS: _TIMES},
            "minProperties": 1,
            "additionalProperties": False,
        },
    ]
}

#: What a `parse_` function takes.
_FORMS: Mapping[Any, Json] = {
    values.parse_duration: _DURATION,
    values.parse_interval: _SPAN,
    values.parse_budget: {"anyOf": [{"type": "integer", "minimum": 0}, {"const": "unlimited"}]},
    values.parse_words: {"anyOf": [_WORDS, {"type": "null"}]},
    values.parse_flag: {"anyOf": [{"type": "boolean"}, {"enum": _FLAG_WORDS}]},
    values.parse_linkpost_only: {"anyOf": [{"type": "boolean"}, {"enum": ["force", *_FLAG_WORDS]}]},
    values.parse_thresholds: {
        "anyOf": [_SHARE, {"type": "object", "additionalProperties": _SHARE, "minProperties": 1}]
    },
    values.parse_env_name: {
        "anyOf": [{"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,127}$"}, {"type": "null"}]
    },
    values.parse_version: {"enum": ["4.0", "3.2", 4.0, 3.2, None]},
    parse_schedule: _SCHEDULE,
}
#: Models that stand in lists, which are not merged: there a missing key is missing for certain.
_WHOLE: tuple[type[Section], ...] = (Example, Fallback)
#: Values of which an editor should show nothing.
_DEFAULTS_ELSEWHERE = frozenset({"bots_dir", "state_dir", "runtime_dir", "backends", "services"})
_NONE_TO_SHOW = object()
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def make_schema(name: str) -> Json:
    """Make the schema of one of `SCHEMAS`."""
    model, title = SCHEMAS[name]
    schema = model.model_json_schema(mode="validation", schema_generator=_Generator)
    definitions: Json = schema.pop("$defs", {})
    if model is MainConfig:
        bot = BotConfig.model_json_schema(mode="validation", schema_generator=_Generator)
        definitions = {**definitions, **bot.pop("$defs", {})}
        bot["properties"].pop("name")
        bot["description"] = describe("MainConfig", "bot_defaults")
        schema["properties"]["bot_defaults"] = {"anyOf": [bot, {"type": "null"}], "description": bot["description"]}
    return {
        "$schema": DIALECT,
        **schema,
        "title": title,
        "$defs": dict(sorted(definitions.items())),
    }


def write_schemas(folder: Path) -> None:
    """Write all schemas into a folder."""
    for name in SCHEMAS:
        (folder / name).write_text(format_schema(name), encoding="utf-8")


def format_schema(name: str) -> str:
    """Give a schema as the text that is kept in the package."""
    return json.dumps(make_schema(name), indent=1, ensure_ascii=False) + "\n"


def find_schema(name: str) -> Path | None:
    """Give where the installed package keeps a schema, for an editor; None where it is no plain file."""
    found = files("hotshotd.config").joinpath("schemas", name)
    return found if isinstance(found, Path) else None


def write_duration(seconds: float) -> str:
    """Write seconds as a duration, in the largest unit that leaves no fraction."""
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds and seconds % size == 0), ("s", 1))
    return f"{seconds / size:g}{unit}"


def list_defaults(name: str) -> dict[str, Json]:
    """Give the defaults of each block as a file would have them: block's model → key → value."""
    schema = make_schema(name)
    blocks = {SCHEMAS[name][0].__name__: schema, **schema["$defs"]}
    return {
        block: {key: inner["default"] for key, inner in made.get("properties", {}).items() if "default" in inner}
        for block, made in blocks.items()
    }


class _Generator(GenerateJsonSchema):
    """pydantic's generator, told what our own parsers take."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> Json:
        form = _FORMS.get(schema["function"]["function"])
        return dict(form) if form is not None else super().function_before_schema(schema)

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> Json:
        form = _FORMS.get(schema["function"]["function"])
        return dict(form) if form is not None else super().function_plain_schema(schema)

    def model_schema(self, schema: core_schema.ModelSchema) -> Json:
        made = super().model_schema(schema)
        model = schema["cls"]
        if not issubclass(model, Section) or "properties" not in made:
            return made
        made.pop("title", None)
        for key, inner in made["properties"].items():
            made["properties"][key] = _finish(model, key, inner)
        if model not in _WHOLE:
            made.pop("required", None)
        return made


def _finish(model: type[BaseModel], key: str, schema: Json) -> Json:
    """Add what a key is for, let null stand for the default, and write the default as a file has it."""
    schema = {name: value for name, value in schema.items() if name != "title"}
    default = _write_default(schema)
    schema.pop("default", None)
    if not model.model_fields[key].is_required() and not _holds_null(model, key):
        schema = {"anyOf": [schema, {"type": "null"}]}
    text = describe(model.__name__, key)
    if default is not _NONE_TO_SHOW and key not in _DEFAULTS_ELSEWHERE:
        schema["default"] = default
    return {**schema, "description": text} if text else schema


def _holds_null(model: type[BaseModel], key: str) -> bool:
    """Tell whether null is a value of its own here, and not the default."""
    return type(None) in getattr(model.model_fields[key].annotation, "__args__", ())


def _write_default(schema: Json) -> Any:
    default = schema.get("default", _NONE_TO_SHOW)
    if _is_duration(schema):
        return write_duration(default) if isinstance(default, int | float) else default
    if isinstance(default, list) and _is_duration(schema.get("items")):
        return [write_duration(value) for value in default]
    # A block's default would repeat what its own keys say.
    return _NONE_TO_SHOW if isinstance(default, dict) else default


def _is_duration(schema: Any) -> bool:
    return isinstance(schema, dict) and (schema.get("anyOf") == _DURATION["anyOf"] or schema == {**schema, **_SPAN})
