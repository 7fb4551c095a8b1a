"""Whole sentences: where a text was cut off, and where it ends when it is too long."""

from __future__ import annotations

import re
import unicodedata

from hotshotd.brain.publishable import CleanRules, Fault, Unpublishable
from hotshotd.brain.textview import is_pictograph

#: A text without any sentence end is whole up to this many characters, and a runaway beyond it.
_LONG_WITHOUT_END = 400
#: Lines up to this long without a mark at their ends are verse.
_VERSE_CHARS = 100

#: Latin, Arabic, Urdu, Hindi, Armenian, Ethiopic, Burmese, Khmer, Tibetan.
_MARKS = (
    r".!?\u2026\u203c\u203d\u2047-\u2049"
    r"\u061f\u06d4\u0964\u0965\u0589\u1362\u1367\u1368\u104a\u104b\u17d4\u17d5\u0f0d\u0f0e"
)
#: Marks of Chinese and Japanese: no space need follow.
_WIDE_MARKS = r"\u3002\uff01\uff1f\uff61\uff0e"
_CLOSERS = r"\"'\u201c\u201d\u2019\u00bb\u203a)\]}*_~`\u300d\u300f\uff09\u3011\u300b"
_NO_END = "".join(rf"(?<!\b{word})" for word in ("[A-Z]", "Mr", "Ms", "Dr", "vs", "St", "Mrs", r"e\.g", r"i\.e"))
#: "am 3. Mai", "No. 5": a short number with a dot, and more to come. A Greek question ends with a semicolon.
_ORDINAL = r"(?<!\s\d\.)(?<!\s\d\d\.)(?<!\A\d\.)"
_SENTENCE_END = re.compile(
    rf"(?:{_NO_END}[{_MARKS}]+{_ORDINAL}[{_CLOSERS}]*(?=\s|\Z))|[{_WIDE_MARKS}]+[{_CLOSERS}]*"
    r"|(?<=[\u0370-\u03ff\u1f00-\u1fff]);(?=\s|\Z)"
)
_ENDS_SENTENCE = re.compile(rf"[{_MARKS}{_WIDE_MARKS}][{_CLOSERS}]*\s*\Z")
#: Ends that need no mark: a closing one, an emoticon, a link.
_ENDS_WELL = re.compile(
    rf"(?:[{_CLOSERS}]|[:;=xX8]['\u2019]?-?[)(DPpOo/\\3|*]|<3|\^\^|[oO]_[oO]|/\u00af|https?://\S+)\s*\Z"
)
_FENCE = re.compile(r"^ {0,3}```", re.MULTILINE)
_LIST_LINE = re.compile(r"\s*(?:[-*+\u2022\u2013\u2014]\s|\d{1,3}[.)]\s|>|#{1,6}\s|\||[a-zA-Z][.)]\s)|\s{4}|\t")
_LIST_POINT = re.compile(r"\s*(?:[-*+\u2022]|\d{1,3}[.)])\s")
_STRAIGHT_QUOTE = re.compile(r"(?<!\d)\"")
#: Modifiers of emoji, enclosing marks and flags' tags.
_LIVELY = frozenset({"Sk", "Me", "Cf"})
#: Thai, Lao, Burmese and Khmer end sentences with a space, if with anything.
_MARKLESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")


def keep_whole_sentences(text: str, _: CleanRules) -> str:
    """Drop a cut-off tail: back to the last sentence end.

    Lists, verse, code and remarks without any mark are whole as they are. An open code fence goes with all
    that is in it.
    """
    fences = [match.start() for match in _FENCE.finditer(text)]
    if len(fences) % 2:
        text = text[: fences[-1]].rstrip()
    if not text or _looks_finished(text):
        return _drop_half_point(text)
    end = _last_end(text)
    above = text[: max(0, text.rfind("\n\n"))].rstrip()
    if end <= len(above) and above and _looks_finished(above):
        # A list or verse above the cut-off paragraph has no sentence end to go back to, and needs none.
        return above
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


def _last_end(text: str) -> int:
    """Give where the last whole sentence ends that leaves no quotation open; 0 where there is none."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return next((end for end in reversed(ends) if _closes_quotes(text, end)), ends[-1] if ends else 0)


def _closes_quotes(text: str, end: int) -> bool:
    paragraph = text[text.rfind("\n\n", 0, end) + 1 : end]
    return len(_STRAIGHT_QUOTE.findall(paragraph)) % 2 == 0 and paragraph.count("\u201c") <= paragraph.count("\u201d")


def _drop_half_point(text: str) -> str:
    """Drop the last point of a list that stops in the middle, where every point before it is a whole sentence."""
    *above, last = text.split("\n")
    points = [line for line in above if _LIST_POINT.match(line)]
    if not points or not _LIST_POINT.match(last) or _ends_well(last):
        return text
    if not all(_ENDS_SENTENCE.search(point) for point in points):
        return text
    return "\n".join(above).rstrip()


def _looks_finished(text: str) -> bool:
    lines = text.split("\n")
    last = lines[-1]
    if _LIST_LINE.match(last) or _ends_well(last):
        return True
    above = lines[-2].strip() if len(lines) > 1 else ""
    is_verse = bool(above) and not _ENDS_SENTENCE.search(above)
    return is_verse and max(len(above), len(last)) <= _VERSE_CHARS


def _ends_well(line: str) -> bool:
    if _ENDS_SENTENCE.search(line) or _ENDS_WELL.search(line):
        return True
    char = line.rstrip()[-1:] or " "
    return is_pictograph(char) or unicodedata.category(char) in _LIVELY
