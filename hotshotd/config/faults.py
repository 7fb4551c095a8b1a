"""What is wrong in a file, and where: one line for the operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Keys and list positions from a file's top to a value.
KeyPath = tuple[str | int, ...]

#: Shown for a fault that no key of the file is to blame for.
WHOLE_FILE = "(file)"

#: The longest part of a key that is printed.
_MAX_KEY_CHARS = 60


@dataclass(frozen=True, slots=True)
class Place:
    """A line (from 1) of a file. `inside` is the block of that file in which the keys stand, such as `bot_defaults`."""

    file: Path
    line: int
    inside: str = ""


#: Where each key of a tree was written.
Places = Mapping[KeyPath, Place]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to mend. As text: `FILE:LINE: key.path: what is wrong`, one line whatever the file holds.

    `key` is empty where no key is to blame; the text then has `(file)` in its place. Warnings are of this
    class too.
    """

    file: Path
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return _one_line(f"{self.file}:{self.line}: {self.key or WHOLE_FILE}: {self.message}")


def format_key(path: KeyPath) -> str:
    """Write a path as an operator would say it: `reply.fallbacks[0].backend`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{_short(part)}"
    return text.removeprefix(".")


def find_place(places: Places, path: KeyPath, *, default: Place) -> Place:
    """Give the line of a key, or of the nearest mapping around it that was written."""
    for end in range(len(path), -1, -1):
        place = places.get(path[:end])
        if place is not None:
            return place
    return default


def blame(places: Places, path: KeyPath, message: str, *, default: Place) -> Fault:
    """Make a fault of a key, at the line where it (or the nearest mapping around it) was written."""
    place = find_place(places, path, default=default)
    return Fault(place.file, place.line, format_key((place.inside, *path) if place.inside else path), message)


def unique(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Drop repeated faults (a fault in the main file may meet every bot); the order stays."""
    return tuple(dict.fromkeys(faults))


def _short(key: str) -> str:
    # `password:hunter2` without a blank is one key to YAML; what follows the colon may be a secret.
    shown = key.partition(":")[0] if key.partition(":")[2] else key
    return shown if len(shown) <= _MAX_KEY_CHARS else shown[:_MAX_KEY_CHARS] + "…"


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
