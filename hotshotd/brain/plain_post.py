"""Posts that a large model writes in its own words: a title and a text, read out of what it said."""

from __future__ import annotations

import re
from dataclasses import dataclass

#: How many lines of small talk ("Sure, here is a post:") may stand before the title.
_PREAMBLE_LINES = 5

_DECORATION = r"[\s*_#>`\"]*"
_TITLE = re.compile(rf"^{_DECORATION}(?:post\s+)?title{_DECORATION}:[\s*_`]*(?P<title>.*?)[\s*_`]*$", re.IGNORECASE)
_BODY = re.compile(rf"\A{_DECORATION}(?:body|text|content|post)\b{_DECORATION}:[*_ \t]*\n?", re.IGNORECASE)
_HEADING = re.compile(r"\A(?:#+\s+|\*\*)(?P<title>.+?)[\s#*]*\Z")


@dataclass(frozen=True, slots=True)
class PlainPost:
    """A post as the model meant it, not yet cleaned. `text` may be empty."""

    title: str
    text: str


def parse_post(raw: str) -> PlainPost | None:
    """Read what a chat model was asked for: `Title: ...`, then the text. None where there is no title.

    A labelled title counts wherever it stands in the first lines; without one the first line is the title, where
    an empty line sets it off from the text.
    """
    lines = raw.replace("\r\n", "\n").strip().split("\n")
    for index, line in enumerate(lines[:_PREAMBLE_LINES]):
        match = _TITLE.match(line)
        if match and match["title"]:
            return PlainPost(_unquoted(match["title"]), _parse_body(lines[index + 1 :]))
    if len(lines) > 2 and lines[0].strip() and not lines[1].strip():
        heading = _HEADING.match(lines[0].strip())
        return PlainPost(heading["title"] if heading else lines[0].strip(), _parse_body(lines[1:]))
    return None


def parse_title(raw: str) -> str | None:
    """Read the title that a base model wrote after `Title:`: its first line with anything on it."""
    line = next((line.strip() for line in raw.splitlines() if line.strip()), "")
    match = _TITLE.match(line)
    return _unquoted(match["title"] if match else line) or None


def _parse_body(lines: list[str]) -> str:
    return _BODY.sub("", "\n".join(lines).strip(), count=1).strip()


def _unquoted(title: str) -> str:
    title = title.strip()
    whole = len(title) > 2 and title[0] == title[-1] == '"' and '"' not in title[1:-1]
    return title[1:-1].strip() if whole else title
