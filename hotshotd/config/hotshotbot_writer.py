"""Old keys become ours one by one, each with the line and the name by which an operator knows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hotshotd.config.document import Tree
from hotshotd.config.faults import KeyPath, Place, format_key
from hotshotd.config.hotshotbot_values import ABSENT, to_text


@dataclass(frozen=True, slots=True)
class Row:
    """An old key, where its value goes, and how it is read. A value of `ABSENT` goes nowhere."""

    old: str
    new: KeyPath
    read: Callable[[Any], Any] = to_text


class Writer:
    """Collects keys of ours, and remembers in which line and by which name each was written."""

    def __init__(self, places: Mapping[KeyPath, Place]) -> None:
        self.names: dict[str, str] = {}
        self._places = dict(places)
        self._data: dict[str, Any] = {}
        self._new_places: dict[KeyPath, Place] = {path: place for path, place in places.items() if not path}

    def read(self, row: Row, value: Any) -> None:
        made = row.read(value)
        rival = (*row.new[:-1], str(row.new[-1]).removesuffix("_env") + "_env")
        if made is ABSENT or self.has(*row.new) or self.has(*rival):
            return
        self.put(row.new, made)
        self.names[format_key(row.new)] = row.old
        self._new_places.update(
            {(*row.new, *path[1:]): place for path, place in self._places.items() if path[:1] == (row.old,)}
        )

    def put(self, path: KeyPath, value: Any) -> None:
        block = self._data
        for part in path[:-1]:
            block = block.setdefault(str(part), {})
        block[str(path[-1])] = value

    def copy(self, source: KeyPath, target: KeyPath) -> None:
        self.put(target, self.get(*map(str, source)))
        self.names[format_key(target)] = self.names[format_key(source)]
        self._new_places[target] = self._new_places[source]

    def get(self, *path: str) -> Any:
        value: Any = self._data
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def has(self, *path: str | int) -> bool:
        return self.get(*map(str, path)) is not None

    def drop(self, *path: str) -> None:
        block = self.get(*path[:-1]) if path[:-1] else self._data
        if isinstance(block, dict):
            block.pop(path[-1], None)

    def tree(self) -> Tree:
        return Tree(self._data, self._new_places)
