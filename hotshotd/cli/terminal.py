"""What a terminal can show: its size, colours, how wide a text is on it, and what must never reach it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from typing import TextIO

#: What a terminal would act on, marks that turn text around, and half surrogate pairs, which no encoding can write:
#: strangers on the internet can put them all into a text. Line feeds and tabs are well.
UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

#: What a terminal has that says nothing of its size.
_COLUMNS, _ROWS = 80, 24


@dataclass(frozen=True, slots=True)
class Screen:
    """Where an answer is shown. `width` is None in a pipe or file, where nothing is cut or coloured."""

    width: int | None = None
    height: int | None = None
    has_colours: bool = False
    ellipsis: str = "…"

    def cut(self, text: str, room: int) -> str:
        """Give a text that takes at most `room` cells, with an ellipsis where something is missing."""
        if cell_len(text) <= room:
            return text
        return _take(text, max(0, room - len(self.ellipsis))) + self.ellipsis if room >= len(self.ellipsis) else ""

    def cut_middle(self, text: str, room: int) -> str:
        """Do the same in the middle: names that belong together differ at their ends."""
        if cell_len(text) <= room:
            return text
        left = room - len(self.ellipsis)
        if left < 2:
            return self.cut(text, room)
        return f"{_take(text, left - left // 2)}{self.ellipsis}{_take(text[::-1], left // 2)[::-1]}"

    def wrap(self, text: str, *, indent: str = "", most: int = 4) -> list[str]:
        """Give a text as lines that fit, at most so many; as one line in a pipe."""
        if self.width is None:
            return [indent + text]
        room = max(1, self.width - len(indent))
        lines: list[str] = []
        rest = text
        while rest and len(lines) < most - 1 and cell_len(rest) > room:
            line = _break_line(rest, room)
            lines.append(indent + line)
            rest = rest[len(line) :].lstrip()
        return [*lines, indent + self.cut(rest, room)] if rest else lines


def find_screen(stream: TextIO | None = None) -> Screen:
    """Look at where a stream, standard output without one, leads."""
    out = sys.stdout if stream is None else stream
    ellipsis = "…" if is_unicode(out) else "..."
    if not _is_terminal(out):
        return Screen(ellipsis=ellipsis)
    columns, rows = _find_size(out)
    # https://no-color.org: set and not empty.
    has_colours = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    return Screen(width=columns, height=rows, has_colours=has_colours, ellipsis=ellipsis)


def is_unicode(stream: TextIO) -> bool:
    """Tell whether every character can be written there."""
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf")


def cell_len(text: str) -> int:
    """Give how many columns of a terminal a text takes: some characters take two, some none."""
    if text.isascii():
        return len(text)
    # Here, for most texts do without it.
    from rich.cells import cell_len as measure

    return measure(text)


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Fill a text up with blanks; `right` puts them in front."""
    blanks = " " * max(0, width - cell_len(text))
    return blanks + text if right else text + blanks


def to_safe(text: str) -> str:
    """Give a text that is safe on a terminal: it can neither move the cursor nor turn the words around."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def to_line(text: str) -> str:
    """Give a safe text as one line."""
    return to_safe(" ".join(text.split()))


def _take(text: str, room: int) -> str:
    """Give as much of the beginning as fits."""
    if text.isascii():
        return text[:room]
    taken = text[: max(0, room)]
    while cell_len(taken) > room:
        taken = taken[:-1]
    return taken


def _break_line(text: str, room: int) -> str:
    """Give the part that fits, whole words where there are any; at least one character."""
    taken = _take(text, room) or text[:1]
    if text[len(taken) : len(taken) + 1].isspace():
        return taken
    at_blank = taken.rpartition(" ")[0]
    return at_blank or taken


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _find_size(stream: TextIO) -> tuple[int, int]:
    def read(name: str) -> int:
        text = os.environ.get(name, "")
        return int(text) if text.isascii() and text.isdecimal() else 0

    try:
        size = os.get_terminal_size(stream.fileno())
        columns, rows = size.columns, size.lines
    except (OSError, ValueError, AttributeError):
        columns, rows = 0, 0
    return read("COLUMNS") or columns or _COLUMNS, read("LINES") or rows or _ROWS
