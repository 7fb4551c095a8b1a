"""A YAML file as plain data that knows where each key was written.

YAML here is its plain part: mappings, lists and scalars. What is read differently from PyYAML: `no`, `on`,
`01:00`, `007` and dates stay the text that was written (YAML 1.2, in the main), and a value is a number only
if it looks like a decimal one. Refused: tags, merge keys, two documents, keys that are not text, keys
written twice; and everything that would need much time or memory.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hotshotd.config.faults import Fault, KeyPath, Place, format_key
from hotshotd.config.files import Unreadable, read_small_file

#: Larger files are refused: a bot's file has about 3 kB.
MAX_FILE_BYTES = 1024 * 1024
#: Values in one file, aliases counted as what they stand for ("billion laughs").
MAX_VALUES = 50_000
#: Mappings and lists inside each other.
MAX_DEPTH = 32

# libyaml where PyYAML was built with it: ten times as fast, and `reload` reads every file.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NEVER_IN_TEXT = re.compile("[\x00\ud800-\udfff]")
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,2}(_[0-9]{3})+|[1-9][0-9]{0,17})", re.ASCII)
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]+|\.[0-9]+|[0-9]+(?=[eE]))([eE][-+]?[0-9]{1,3})?", re.ASCII)
_TAG = "tag:yaml.org,2002:"
_SCALAR_TYPES: dict[str, tuple[type, ...]] = {
    _TAG + "str": (str,),
    _TAG + "int": (int,),
    _TAG + "float": (float, int),
    _TAG + "bool": (bool,),
    _TAG + "null": (type(None),),
}
#: Quoted parts of a parser's message; a password that was written without quotes may stand in one.
_QUOTED = re.compile(r"'[^']{2,}'|\"[^\"]{2,}\"")


@dataclass(frozen=True, slots=True)
class Tree:
    """Plain data and where each key of it was written. Several files may have gone into it."""

    data: dict[str, Any]
    places: dict[KeyPath, Place] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds, as far as it could be read; `faults` says what could not.

    `tree` is None when nothing of it can be used. `mode` holds the file's permission bits.
    """

    path: Path
    tree: Tree | None
    faults: tuple[Fault, ...]
    mode: int = 0


@dataclass(frozen=True, slots=True)
class _Node:
    """A scalar's value, a list's nodes, or a mapping's pairs; `line` is where it starts."""

    kind: type
    line: int
    value: Any


class _Flaw(Exception):
    """The file can't be read on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def load_document(path: Path) -> Document:
    """Read one YAML file whose top level is a mapping. Never raises for what a file holds, never waits."""
    try:
        content = read_small_file(path, limit_bytes=MAX_FILE_BYTES)
    except Unreadable as exc:
        return Document(path, None, (Fault(path, 1, "", str(exc)),))
    try:
        root = _compose(_decode(content.data))
        reader = _Reader(path)
        tree = reader.read(root)
    except _Flaw as exc:
        return Document(path, None, (Fault(path, exc.line, "", str(exc)),), content.mode)
    return Document(path, tree, tuple(reader.faults), content.mode)


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise _Flaw(data.count(b"\n", 0, exc.start) + 1, "is not UTF-8 text: save it as UTF-8") from exc
    bad = _UNPRINTABLE.search(text)
    if bad is not None:
        line = text.count("\n", 0, bad.start()) + 1
        raise _Flaw(line, f"holds a character that YAML does not allow (U+{ord(bad[0]):04X}): remove it")
    return text


def _compose(text: str) -> _Node:
    composer = _Composer()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        raise _Flaw(mark.line + 1 if mark else 1, _describe(exc)) from exc
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as exc:
        # ValueError: PyYAML's own scanner makes a character of any number behind \U.
        raise _Flaw(1, "is not YAML") from exc
    if composer.root is None or (composer.root.kind is str and composer.root.value is None):
        raise _Flaw(1, "is empty")
    return composer.root


def _describe(exc: yaml.MarkedYAMLError) -> str:
    if "nesting depth" in (exc.problem or ""):
        # Newer libyaml has a limit of its own, far above ours.
        return f"is nested deeper than {MAX_DEPTH} levels"
    parts = (part for part in (exc.context, exc.problem) if part)
    return "is not YAML: " + _QUOTED.sub("…", ", ".join(parts))


class _Composer:
    """Parser events in, a tree of nodes out. Keeps its own stack, so depth is a number and not a crash."""

    def __init__(self) -> None:
        self.root: _Node | None = None
        self._open: list[tuple[_Node, str | None]] = []
        self._anchors: dict[str, _Node] = {}
        self._count = 0

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        match event:
            case yaml.ScalarEvent():
                self._add(_Node(str, line, _resolve(event, line)), event.anchor)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._begin(event, line)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._add(*self._open.pop())
            case yaml.AliasEvent():
                self._add(self._find(event.anchor or "", line), None)
            case yaml.DocumentStartEvent() if self.root is not None:
                raise _Flaw(line, "holds a second document (---): one file is one bot")

    def _begin(self, event: Any, line: int) -> None:
        if event.tag not in (None, "!", _TAG + "map", _TAG + "seq"):
            raise _Flaw(line, "holds a tag (!...), which is not understood here: remove it, or put the text in quotes")
        if len(self._open) >= MAX_DEPTH:
            raise _Flaw(line, f"is nested deeper than {MAX_DEPTH} levels")
        kind = dict if isinstance(event, yaml.MappingStartEvent) else list
        self._open.append((_Node(kind, line, []), event.anchor))

    def _find(self, anchor: str, line: int) -> _Node:
        if anchor not in self._anchors:
            raise _Flaw(line, "refers (*) to an anchor (&) that is not there: put text that begins with * in quotes")
        return self._anchors[anchor]

    def _add(self, node: _Node, anchor: str | None) -> None:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _Flaw(node.line, f"holds more than {MAX_VALUES} values")
        # Known only once it is whole, so nothing can hold itself.
        if anchor is not None:
            self._anchors[anchor] = node
        if self._open:
            self._open[-1][0].value.append(node)
        else:
            self.root = node


def _resolve(event: Any, line: int) -> object:
    text: str = event.value
    if _NEVER_IN_TEXT.search(text):
        raise _Flaw(line, "holds an escape for a character that no text may hold: remove it")
    if event.tag is None and event.implicit[0]:
        if text == "<<":
            raise _Flaw(line, "holds a merge key (<<), which is not understood here: write the keys out")
        return _resolve_plain(text)
    if event.tag in (None, "!", _TAG + "str"):
        return text
    value = _resolve_plain(text)
    if not isinstance(value, _SCALAR_TYPES.get(event.tag, ())):
        raise _Flaw(line, "holds a tag (!...), which is not understood here: remove it, or put the text in quotes")
    return value


def _resolve_plain(text: str) -> object:
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


class _Reader:
    """Nodes in, plain data out, with the line of every key; collects what is wrong on the way."""

    def __init__(self, path: Path) -> None:
        self.faults: list[Fault] = []
        self._path = path
        self._places: dict[KeyPath, Place] = {}
        self._count = 0

    def read(self, root: _Node) -> Tree:
        if root.kind is not dict:
            raise _Flaw(root.line, "must be a mapping (`key: value` lines) at its top level")
        self._places[()] = Place(self._path, root.line)
        data: dict[str, Any] = self._read(root, ())
        return Tree(data, self._places)

    def _read(self, node: _Node, path: KeyPath) -> Any:
        self._count += 1
        # An alias is short to write and as long to read as what it stands for.
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise _Flaw(node.line, f"holds more than {MAX_VALUES} values, or {MAX_DEPTH} levels, once aliases are read")
        if node.kind is dict:
            return {key: self._read(value, (*path, key)) for key, value in self._pairs(node, path)}
        if node.kind is list:
            return [self._read_item(item, (*path, index)) for index, item in enumerate(node.value)]
        return node.value

    def _read_item(self, node: _Node, path: KeyPath) -> Any:
        self._placed(node, path)
        return self._read(node, path)

    def _pairs(self, node: _Node, path: KeyPath) -> Iterator[tuple[str, _Node]]:
        seen: dict[str, int] = {}
        for key_node, value in zip(node.value[::2], node.value[1::2], strict=True):
            key, line = key_node.value, key_node.line
            if key_node.kind is not str or not isinstance(key, str):
                self._blame(path, line, "has a key that is not text: put the key in quotes")
            elif key in seen:
                self._blame((*path, key), line, f"is written twice: first in line {seen[key]}")
            else:
                seen[key] = line
                self._placed(key_node, (*path, key))
                yield key, value

    def _placed(self, node: _Node, path: KeyPath) -> None:
        self._places[path] = Place(self._path, node.line)

    def _blame(self, path: KeyPath, line: int, message: str) -> None:
        self.faults.append(Fault(self._path, line, format_key(path), message))
