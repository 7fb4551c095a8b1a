"""Markdown that Reddit would read otherwise than it was meant: escaped, calmed, or closed by leaving it out.

Code is left alone throughout. An escape is the one thing in the cleaner that makes a text longer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hotshotd.brain.markup import hide_code
from hotshotd.brain.publishable import CleanRules

#: Where something is replaced, and by what.
_Edit = tuple[int, int, str]

#: `#tag` at the start of a line is a heading for Reddit's own Markdown; a keycap is none.
_TAG_LINE = re.compile(r"^ {0,3}(?=#{1,6}[^\s#\ufe0f\u20e3])", re.MULTILINE)
#: A year that begins a line would become the first point of a list.
_YEAR_LINE = re.compile(r"^ {0,3}\d{3,9}(?=\. )", re.MULTILINE)
#: A line of dashes or equals signs makes a heading of the line above it; list points, quotes and tables are no text.
_UNDERLINE = re.compile(r"^ {0,3}(?=(?:-+|=+)[ \t]*$)", re.MULTILINE)
_NO_TEXT = re.compile(r"\s*(?:[-*+>|#]|\d+\.|$)")
#: `>:(` is a face, not a quotation.
_FACE_LINE = re.compile(r"^(?=>(?:[:;=]['^o-]?[()\[\]{}3DPpOoc/\\|<>]|[._][<>]|[.x_]<)(?:\s|$))", re.MULTILINE)
_DEEP_QUOTE = re.compile(r"^((?:> ?){4})(?:> ?)+", re.MULTILINE)
#: Superscript within superscript, too small to read.
_TINY = re.compile(r"(?<!\\)\^(\^{2,})(?=[^\s^])")
_PARAGRAPH = re.compile(r"(?:(?!\n[ \t]*\n).)+", re.DOTALL)
#: Marks that come in pairs, neither escaped nor part of a longer run.
_PAIRED = tuple(
    re.compile(rf"(?<![\\{mark}]){re.escape(mark * count)}(?!{re.escape(mark)})")
    for mark, count in (("*", 2), ("~", 2), ("_", 2), ("`", 1))
)


def calm_markdown(text: str, _: CleanRules) -> str:
    """Escape what would become a heading, a list or a quotation by accident; flatten what is nested too deeply."""
    hidden = hide_code(text)
    ends = (match.end() for pattern in (_TAG_LINE, _YEAR_LINE, _FACE_LINE) for match in pattern.finditer(hidden))
    escapes = [(at, at, "\\") for at in (*ends, *_underlines(hidden))]
    deep = [(match.end(1), match.end(), "") for match in _DEEP_QUOTE.finditer(hidden)]
    tiny = [(*match.span(1), "") for match in _TINY.finditer(hidden)]
    return _apply(text, [*escapes, *deep, *tiny])


def drop_lone_marks(text: str, _: CleanRules) -> str:
    """Leave out a mark that opens bold, struck, code or a spoiler and is never closed: it was cut off."""
    hidden = hide_code(text)
    edits: list[_Edit] = []
    for paragraph in _PARAGRAPH.finditer(hidden):
        edits += _lone_marks(hidden, *paragraph.span())
        edits += _lone_spoilers(hidden, *paragraph.span())
    return _apply(text, edits)


def _underlines(text: str) -> Iterator[int]:
    """Give where lines begin that would make a heading of the line of text above them."""
    for match in _UNDERLINE.finditer(text):
        above = text[text.rfind("\n", 0, max(0, match.start() - 1)) + 1 : max(0, match.start() - 1)]
        if not _NO_TEXT.match(above) and "|" not in above:
            yield match.end()


def _lone_marks(text: str, start: int, end: int) -> Iterator[_Edit]:
    for pattern in _PAIRED:
        found = list(pattern.finditer(text, start, end))
        if len(found) % 2 and _opens(text, found[-1]):
            yield found[-1].start(), found[-1].end(), ""


def _opens(text: str, mark: re.Match[str]) -> bool:
    before, after = text[max(0, mark.start() - 1) : mark.start()], text[mark.end() : mark.end() + 1]
    return not before.isalnum() and bool(after) and not after.isspace()


def _lone_spoilers(text: str, start: int, end: int) -> Iterator[_Edit]:
    last = text.rfind("!<", start, end)
    at = text.find(">!", max(start, last), end)
    while at >= 0:
        yield at, at + 2, ""
        at = text.find(">!", at + 2, end)


def _apply(text: str, edits: list[_Edit]) -> str:
    parts, at = [], 0
    for start, end, instead in sorted(set(edits)):
        parts += [text[at:start], instead]
        at = end
    return "".join([*parts, text[at:]])
