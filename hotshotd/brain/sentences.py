"""Whole sentences: where a text was cut off, where it turns in circles, where it ends when it is too long."""

from __future__ import annotations

import re
import unicodedata

from hotshotd.brain.publishable import CleanRules, Fault, Unpublishable

#: A text without any sentence end is whole up to this many characters, and a runaway beyond it.
_LONG_WITHOUT_END = 400
#: Lines up to this long without a mark at their ends are verse.
_VERSE_CHARS = 100
#: The least length of a circle worth cutting, and of a sentence that may not stand three times in a row.
_CIRCLE_CHARS = 60
_SENTENCE_CHARS = 12

_MARKS = r".!?\u2026\u203d\u061f\u06d4\u0964\u0965\u0589"
#: Marks of Chinese and Japanese: no space need follow.
_WIDE_MARKS = r"\u3002\uff01\uff1f\uff61"
_CLOSERS = r"\"'\u201d\u2019\u00bb)\]}*_~`\u300d\u300f\uff09\u3011"
_NO_END = "".join(rf"(?<!\b{word})" for word in ("[A-Z]", "Mr", "Ms", "Dr", "vs", "St", "Mrs", r"e\.g", r"i\.e"))
_SENTENCE_END = re.compile(rf"(?:{_NO_END}[{_MARKS}]+[{_CLOSERS}]*(?=\s|\Z))|[{_WIDE_MARKS}]+[{_CLOSERS}]*")
_ENDS_SENTENCE = re.compile(rf"[{_MARKS}{_WIDE_MARKS}][{_CLOSERS}]*\s*\Z")
#: Ends that need no mark: a closing one, an emoticon, a link.
_ENDS_WELL = re.compile(
    rf"(?:[{_CLOSERS}]|[:;=xX8]['\u2019]?-?[)(DPpOo/\\3|*]|<3|\^\^|[oO]_[oO]|/\u00af|https?://\S+)\s*\Z"
)
_FENCE = re.compile(r"^ {0,3}```", re.MULTILINE)
_LIST_LINE = re.compile(r"\s*(?:[-*+\u2022\u2013\u2014]\s|\d{1,3}[.)]\s|>|#{1,6}\s|\||[a-zA-Z][.)]\s)|\s{4}|\t")
_LIVELY = frozenset({"So", "Sk", "Me", "Cf"})
#: Thai, Lao, Burmese and Khmer end sentences with a space, if with anything.
_MARKLESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")

_LOOP = re.compile(r"(.{3,80}?)\1{5,}", re.DOTALL)
_CLOSING_MARKS = re.compile(rf"[{_MARKS}{_WIDE_MARKS}]{{1,3}}[{_CLOSERS}]{{0,3}}")
_RUN = re.compile(r"([^\W_]|[!?.,])\1{79,}")
_UNIT = re.compile(rf"[^{_MARKS}{_WIDE_MARKS}\n]+[{_MARKS}{_WIDE_MARKS}]*\s*|\n+")


def keep_whole_sentences(text: str, _: CleanRules) -> str:
    """Drop a cut-off tail: back to the last sentence end.

    Lists, verse, code and remarks without any mark are whole as they are. An open code fence goes with all
    that is in it.
    """
    fences = [match.start() for match in _FENCE.finditer(text)]
    if len(fences) % 2:
        text = text[: fences[-1]].rstrip()
    if not text or _looks_finished(text):
        return text
    end = _last_end(text)
    if end:
        return text[:end].rstrip()
    if len(text) > _LONG_WITHOUT_END and not _MARKLESS.search(text):
        raise Unpublishable(Fault.UNFINISHED)
    return text


def cut_within(text: str, limit: int) -> str:
    """Give a text of at most `limit` characters that ends with a sentence."""
    if len(text) <= limit:
        return text
    end = _last_end(text[:limit])
    if not end:
        raise Unpublishable(Fault.TOO_LONG)
    return text[:end].rstrip()


def cut_repetition(text: str, _: CleanRules) -> str:
    """End a text after the first time it says what it then repeats; refuse one that does nothing else."""
    loop = _first_loop(text)
    if loop is not None:
        start, end = loop
        if sum(char.isalnum() for char in text[:start]) < 3:
            raise Unpublishable(Fault.REPETITION)
        text = text[: _end_of_marks(text, end)]
    repeated = _repeated_sentence(text)
    return text if repeated is None else text[:repeated].rstrip()


def _first_loop(text: str) -> tuple[int, int] | None:
    """Give where the first circle begins, and where its first round ends."""
    loops = (match for match in _LOOP.finditer(text) if len(match[0]) >= _CIRCLE_CHARS and _has_words(match[1]))
    found = [match for match in (_RUN.search(text), next(loops, None)) if match is not None]
    first = min(found, key=lambda match: match.start(), default=None)
    return None if first is None else (first.start(), first.end(1))


def _end_of_marks(text: str, at: int) -> int:
    # A circle may be found from the middle of a sentence; the marks after its first round belong to it.
    match = _CLOSING_MARKS.match(text, at)
    return match.end() if match else at


def _has_words(unit: str) -> bool:
    return sum(char.isalnum() for char in unit) >= 3


def _repeated_sentence(text: str) -> int | None:
    """Give where the second of three equal sentences or lines in a row begins."""
    units = [(match.start(), match[0].strip().casefold()) for match in _UNIT.finditer(text) if match[0].strip()]
    for (_, first), (start, second), (_, third) in zip(units, units[1:], units[2:], strict=False):
        if first == second == third and len(first) >= _SENTENCE_CHARS:
            return start
    return None


def _last_end(text: str) -> int:
    return max((match.end() for match in _SENTENCE_END.finditer(text)), default=0)


def _looks_finished(text: str) -> bool:
    lines = text.split("\n")
    last = lines[-1]
    if _LIST_LINE.match(last) or _ENDS_SENTENCE.search(last) or _ENDS_WELL.search(last):
        return True
    if unicodedata.category(last.rstrip()[-1:] or " ") in _LIVELY:
        return True
    above = lines[-2].strip() if len(lines) > 1 else ""
    is_verse = bool(above) and not _ENDS_SENTENCE.search(above)
    return is_verse and max(len(above), len(last)) <= _VERSE_CHARS
