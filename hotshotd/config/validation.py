"""pydantic's errors as faults an operator can mend: line, key, want, and the closest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from hotshotd.config.document import Tree
from hotshotd.config.faults import Fault, KeyPath, Place, blame
from hotshotd.config.schema import CROSS_CHECKS, Section
from hotshotd.config.values import Blame, FaultyValue

_PLAIN_WORDS: Mapping[str, str] = {
    "missing": "is required",
    "string_type": "must be text (put it in quotes)",
    "path_type": "must be the name of a file",
    "int_type": "must be a whole number, without quotes",
    "float_type": "must be a number, without quotes",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping (`key: value` lines)",
    "model_type": "must be a mapping (`key: value` lines)",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "too_short": "needs at least one entry",
    "string_too_short": "must not be empty",
    "string_too_long": "must not be longer than {max_length} characters",
    "string_pattern_mismatch": "must be of letters, digits, _ . and - (64 at most), the first a letter or digit",
}
#: The part pydantic adds where not a value but its key is wrong.
_KEY_MARK = "[key]"

S = TypeVar("S", bound=Section)


def validate(model: type[S], tree: Tree, *, default: Place) -> tuple[S | None, tuple[Fault, ...]]:
    """Make a model of a tree, or give its faults; `default` is blamed for what was written nowhere.

    What `schema.CROSS_CHECKS` names is left out: `hotshotd.config.rules` says it too, with the key, and even
    when something else in the section is wrong.
    """
    try:
        return model.model_validate(tree.data), ()
    except ValidationError as exc:
        blames = [entry for entry in _read_errors(model, exc.errors()) if entry[1] not in CROSS_CHECKS]
    return None, tuple(blame(tree.places, path, message, default=default) for path, message in blames)


def validate_part(model: type[Section], tree: Tree, *, default: Place) -> tuple[Fault, ...]:
    """Give the faults of a tree that need not be complete."""
    try:
        model.model_validate(tree.data)
    except ValidationError as exc:
        errors = [error for error in exc.errors() if error["type"] != "missing"]
        blames = [entry for entry in _read_errors(model, errors) if entry[1] not in CROSS_CHECKS]
        return tuple(blame(tree.places, path, message, default=default) for path, message in blames)
    return ()


def find_closest(word: str, known: Iterable[str]) -> str:
    """Give the known word that is most like `word`; an empty one where none is known."""
    folded = {name.casefold(): name for name in known}
    # Only the beginning of a monstrous key is compared: the comparison takes quadratic time.
    matches = difflib.get_close_matches(word[:80].casefold(), folded, n=1, cutoff=0.0)
    return folded[matches[0]] if matches else ""


def _read_errors(model: type[Section], errors: Iterable[ErrorDetails]) -> Iterator[Blame]:
    for error in errors:
        path: KeyPath = tuple(part for part in error["loc"] if part != _KEY_MARK)
        context = error.get("ctx", {})
        cause = context.get("error")
        if isinstance(cause, FaultyValue):
            yield from (((*path, *inner), message) for inner, message in cause.blames)
        elif error["type"] == "extra_forbidden":
            yield path, _describe_unknown(model, path)
        else:
            yield path, str(cause) if cause else _PLAIN_WORDS.get(error["type"], error["msg"]).format_map(context)


def _describe_unknown(model: type[Section], path: KeyPath) -> str:
    key = str(path[-1])
    if ":" in key:
        return "is not a known key: is there a blank missing after the colon?"
    home = _find_home(model, key, path)
    if home:
        return f"is not a known key here; did you mean {home}?"
    return (
        f"is not a known key; the closest known key is {find_closest(key, _section_at(model, path[:-1]).model_fields)}"
    )


def _find_home(model: type[Section], key: str, path: KeyPath) -> str:
    if key in model.model_fields:
        return f"{key} at the top level"
    if find_closest(key, _section_at(model, path[:-1]).model_fields).casefold() == key.casefold():
        return ""
    homes = (name for name, field in model.model_fields.items() if key in _fields_of(field.annotation))
    return ", or ".join(f"{name}.{key}" for name in homes)


def _fields_of(annotation: object) -> Iterable[str]:
    section = _find_section(annotation)
    return section.model_fields if section else ()


def _section_at(model: type[Section], path: KeyPath) -> type[Section]:
    section = model
    for part in path:
        # A name of a server, or a position in a list, is no field: its section is the one already found.
        field = section.model_fields.get(part) if isinstance(part, str) else None
        section = (_find_section(field.annotation) if field else None) or section
    return section


def _find_section(annotation: object) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _find_section(inner))), None)
