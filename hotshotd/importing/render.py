"""A draft as YAML that people like to read: our order of keys, a comment behind each, long texts as blocks."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from hotshotd.config.descriptions import describe
from hotshotd.config.json_schema import find_schema, list_defaults
from hotshotd.config.schema import BotConfig, Section
from hotshotd.importing.draft import CHANGE_THIS, Draft, one_line

#: The longest line, and the longest list or mapping that stays on its line.
WIDTH = 118
_FLOW_WIDTH = 96
#: Texts up to this long stay on their line.
_SHORT_TEXT = 70

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*", re.ASCII)
_SPAN = re.compile(r"[0-9]+(\.[0-9]+)?[smhd]", re.ASCII)
#: Words that some YAML reader takes for something else.
_WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_READABLE = re.compile("[\t\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
#: Blocks that stay on one line where they fit.
_FLOW_KEYS = frozenset({"parameters", "generate_parameters", "inbox", "schedule", "rank", "poll", "toxicity_threshold"})
#: Keys that are no use as a proposal.
_NEVER_PROPOSED = re.compile(r"_file$|^(password|client_id|client_secret|refresh_token|unmoderated)$")


def render(draft: Draft, *, with_proposals: bool = False) -> str:
    """Write a draft as a file. `with_proposals` adds the keys that are not set, as comments with their default."""
    defaults = list_defaults("bot.schema.json") if with_proposals else {}
    lines = [*_head(draft), *_Writer(draft.notes, defaults).block(BotConfig, draft.data, ()), *_foot(draft)]
    return "\n".join(lines) + "\n"


def write_scalar(value: object) -> str:
    """Write a value that is no list and no mapping, on one line."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
    text = str(value)
    if _SPAN.fullmatch(text) or (_PLAIN.fullmatch(text) and text.casefold() not in _WORDS):
        return text
    return '"' + "".join(_escape(char) for char in text) + '"'


def write_flow(value: object) -> str:
    """Write any value on one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{write_scalar(key)}: {write_flow(inner)}" for key, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(write_flow(inner) for inner in value) + "]"
    return write_scalar(value)


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return char if _READABLE.fullmatch(char) else f"\\U{ord(char):08x}"


def _head(draft: Draft) -> Iterator[str]:
    schema = find_schema("bot.schema.json")
    if schema is not None:
        yield f"# yaml-language-server: $schema={schema}"
    yield from (f"# {line}" for line in textwrap.wrap(one_line(draft.title), WIDTH - 2))
    if any(note.startswith(CHANGE_THIS) for note in draft.notes.values()):
        yield f"# What is marked {CHANGE_THIS} needs your own words before the bot can run."
    yield ""


def _foot(draft: Draft) -> Iterator[str]:
    if draft.leftovers:
        yield "\n# Not taken over:"
        yield from (f"#   {leftover}" for leftover in draft.leftovers)


class _Writer:
    """Writes blocks; knows the comments of the draft and the defaults to propose."""

    def __init__(self, notes: Mapping[str, str], defaults: Mapping[str, Mapping[str, Any]]) -> None:
        self._notes = notes
        self._defaults = defaults
        self._after_block = False

    def block(self, model: type[Section] | None, data: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
        """Give the lines of a mapping's keys, in the model's order; strange keys last."""
        known = list(model.model_fields) if model else []
        for key in [*known, *(key for key in data if key not in known)]:
            if key in data:
                yield from self._entry(model, key, data[key], (*path, key))
            elif model is not None and self._defaults:
                yield from self._proposal(model, key, path)

    def _entry(self, model: type[Section] | None, key: str, value: Any, path: tuple[str, ...]) -> Iterator[str]:
        indent = "  " * (len(path) - 1)
        comment = self._notes.get(".".join(path)) or (describe(model.__name__, key) if model else "")
        head = f"{indent}{write_scalar(key)}:"
        if len(path) == 1 and (isinstance(value, dict) or self._after_block):
            yield ""
        if len(path) == 1:
            self._after_block = isinstance(value, dict) or (isinstance(value, str) and len(value) > _SHORT_TEXT)
        if isinstance(value, dict) and value and not self._is_flow(path, value):
            yield from _commented(head, comment, indent)
            yield from self.block(_section_of(model, key), value, path)
        elif isinstance(value, list) and len(write_flow(value)) > _FLOW_WIDTH:
            yield from _commented(head, comment, indent)
            yield from (f"{indent}  - {write_flow(item)}" for item in value)
        elif isinstance(value, str) and (len(value) > _SHORT_TEXT or "\n" in value):
            yield from _text_lines(head, value, comment, indent)
        else:
            yield from _commented(f"{head} {write_flow(value)}", comment, indent)

    def _is_flow(self, path: tuple[str, ...], value: Mapping[str, Any]) -> bool:
        noted = any(note.startswith(".".join(path) + ".") for note in self._notes)
        return path[-1] in _FLOW_KEYS and not noted and len(write_flow(value)) <= _FLOW_WIDTH

    def _proposal(self, model: type[Section], key: str, path: tuple[str, ...]) -> Iterator[str]:
        indent = "  " * len(path)
        section = _section_of(model, key)
        defaults = self._defaults.get(model.__name__, {})
        if _NEVER_PROPOSED.search(key) or (key not in defaults and section is None):
            return
        value = defaults.get(key)
        if key not in defaults and section is not None:
            value = {
                name: inner for name, inner in self._defaults.get(section.__name__, {}).items() if inner is not None
            }
        if value is not None or key in defaults:
            text = write_flow(value)
            if len(text) <= _FLOW_WIDTH:
                yield from _commented(f"{indent}# {key}: {text}", describe(model.__name__, key), indent)


def _commented(line: str, comment: str, indent: str) -> Iterator[str]:
    whole = f"{line:<38} # {comment}" if comment else line
    if len(whole) <= WIDTH:
        yield whole
        return
    yield from (f"{indent}# {part}" for part in textwrap.wrap(comment, WIDTH - len(indent) - 2))
    yield line


def _text_lines(head: str, text: str, comment: str, indent: str) -> Iterator[str]:
    """Write a long text as a block of lines, where it comes back just so; else in quotes."""
    body = _fold(text, indent) if "\n" not in text else _keep(text)
    mark = ">-" if "\n" not in text else "|-"
    if body is None:
        yield from _commented(f"{head} {write_scalar(text)}", comment, indent)
        return
    yield from _commented(f"{head} {mark}", comment, indent)
    yield from (f"{indent}  {line}" if line else "" for line in body)


def _fold(text: str, indent: str) -> list[str] | None:
    lines = textwrap.wrap(text, WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False)
    return lines if " ".join(lines) == text and _all_readable(text) else None


def _keep(text: str) -> list[str] | None:
    lines = text.split("\n")
    is_plain = not text.startswith((" ", "\t", "\n")) and not text.endswith("\n") and text.strip() == text
    return lines if is_plain and all(_all_readable(line) and line.rstrip() == line for line in lines) else None


def _all_readable(text: str) -> bool:
    return all(_READABLE.fullmatch(char) for char in text)


def _section_of(model: type[Section] | None, key: str) -> type[Section] | None:
    field = model.model_fields.get(key) if model else None
    return _find_section(field.annotation) if field else None


def _find_section(annotation: object) -> type[Section] | None:
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Section) else None
    args = get_args(annotation)
    # `dict[Name, Backend]` and lists hold sections, but are none.
    if getattr(annotation, "__origin__", None) in (dict, tuple):
        return None
    return next((found for inner in args if (found := _find_section(inner)) is not None), None)
