"""Runaway repetition: where a text turns in circles it ends after the first round, or is refused."""

from __future__ import annotations

import re
import zlib

from hotshotd.brain.publishable import CleanRules, Fault, Unpublishable
from hotshotd.brain.textview import is_pictograph

#: The least length of a circle worth cutting, and of a sentence that may not stand three times in a row.
_CIRCLE_CHARS = 60
_SENTENCE_CHARS = 12
#: The most sentences or lines that a circle has, when each round stands three times.
_CIRCLE_UNITS = 6
#: From this length on, a text that packs to so small a part of itself says next to nothing.
_DENSE_FROM_CHARS = 1500
_LEAST_DENSITY = 0.06

_LOOP = re.compile(r"(.{3,80}?)\1{5,}", re.DOTALL)
_CLOSING_MARKS = re.compile(
    "[.!?\u2026\u061f\u06d4\u0964\u0965\u0589\u3002\uff01\uff1f\uff61]{1,3}[\"'\u201d\u2019\u00bb)\\]}*_~`\u300d\u300f\uff09\u3011]{0,3}"
)
_RUN = re.compile(r"([^\s\-=_*#|.])\1{79,}|([.])\2{79,}")
_SHORT_RUN = re.compile(r"([^\x00-\u2000])\1{24,}")
_UNIT = re.compile(
    "[^.!?\u2026\u061f\u06d4\u0964\u0965\u0589\u3002\uff01\uff1f\uff61\n]+[.!?\u2026\u061f\u06d4\u0964\u0965\u0589\u3002\uff01\uff1f\uff61]*\\s*|\\n+"
)


def cut_repetition(text: str, _: CleanRules) -> str:
    """End a text after the first time it says what it then repeats; refuse one that does nothing else."""
    loop = _first_loop(text)
    if loop is not None:
        start, end = loop
        if sum(char.isalnum() for char in text[:start]) < 3:
            raise Unpublishable(Fault.REPETITION)
        text = text[: _end_of_marks(text, end)]
    repeated = _repeated_sentences(text)
    text = text if repeated is None else text[:repeated].rstrip()
    if _says_little(text):
        raise Unpublishable(Fault.REPETITION)
    return text


def _first_loop(text: str) -> tuple[int, int] | None:
    """Give where the first circle begins, and where its first round ends."""
    loops = (match for match in _LOOP.finditer(text) if len(match[0]) >= _CIRCLE_CHARS and _has_words(match[1]))
    runs = [(match.start(), match.start() + 1) for match in (_RUN.search(text), _SHORT_RUN.search(text)) if match]
    first = next(loops, None)
    return min([*runs, *([(first.start(), first.end(1))] if first else [])], default=None)


def _end_of_marks(text: str, at: int) -> int:
    # A circle may be found from the middle of a sentence; the marks after its first round belong to it.
    match = _CLOSING_MARKS.match(text, at)
    return match.end() if match else at


def _has_words(unit: str) -> bool:
    return sum(char.isalnum() for char in unit) >= 2 or any(is_pictograph(char) for char in unit)


def _repeated_sentences(text: str) -> int | None:
    """Give where the second of three equal rounds of sentences or lines begins."""
    units = [(match.start(), match[0].strip().casefold()) for match in _UNIT.finditer(text) if match[0].strip()]
    said = [unit for _, unit in units]
    for length in range(1, _CIRCLE_UNITS + 1):
        for at in range(len(said) - 3 * length + 1):
            first = said[at : at + length]
            again = first == said[at + length : at + 2 * length] == said[at + 2 * length : at + 3 * length]
            if again and sum(map(len, first)) >= _SENTENCE_CHARS:
                return units[at + length][0]
    return None


def _says_little(text: str) -> bool:
    if len(text) < _DENSE_FROM_CHARS:
        return False
    packed = text.encode("utf-8", "surrogatepass")
    return len(zlib.compress(packed)) < _LEAST_DENSITY * len(packed)
