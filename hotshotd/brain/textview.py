"""Characters that hide or disguise text, and views of a text without them.

Shared by the keyword search (which wants everything hidden gone) and the cleaner (which must not
break an emoji or a Persian word).
"""

from __future__ import annotations

import re
import unicodedata
from itertools import product

#: Characters that show nothing: soft hyphen, joiners, marks of direction, fillers, tags.
INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff"
)


def is_pictograph(char: str) -> bool:
    """Tell whether a character is an emoji or another symbol, those younger than Python's tables too."""
    return unicodedata.category(char) == "So" or ("\U0001f000" <= char <= "\U0001faff")


_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"'})

#: What stands for a Latin letter: lookalikes of other alphabets, small capitals, and "leet".
_STANDS_FOR = {
    "a": "\u0430\u03b1\u0251\u1d004@",
    "b": "\u0432\u03b2\u0299",
    "c": "\u0441\u1d04",
    "d": "\u0501\u0111\u1d05",
    "e": "\u0435\u03b5\u1d073\u20ac",
    "g": "\u0261\u0262",
    "h": "\u04bb\u029c",
    "i": "\u0456\u03b9\u0131\u0269\u026a1!|",
    "j": "\u0458\u1d0a",
    "k": "\u043a\u03ba\u1d0b",
    "l": "\u0142\u029f",
    "m": "\u043c\u1d0d",
    "n": "\u0274",
    "o": "\u043e\u03bf\u00f8\u1d0f0",
    "p": "\u0440\u03c1\u1d18",
    "q": "\u051b",
    "r": "\u0280",
    "s": "\u0455\ua7315$",
    "t": "\u0442\u03c4\u1d1b7",
    "u": "\u03c5\u1d1c",
    "v": "\u03bd",
    "x": "\u0445\u03c7",
    "y": "\u0443",
}
_LOOKALIKES = str.maketrans({char: letter for letter, chars in _STANDS_FOR.items() for char in chars})
#: A mark that stands for a letter does so inside words only: `sh!p`, but not `ship!`.
_MARK_AT_END = re.compile(r"[!|]+(?![!|\w])")
#: Stretched letters of one word, of which each is read as one and as two.
_MOST_STRETCHED = 4
_REPEATED = re.compile(r"(\w)\1{2,}")
#: Letters and gaps have no character in common, so that a run of gaps is read in one way only.
_SPELLED = re.compile(r"(?<![^\W_])[^\W_](?:[ .\-_*]{1,2}[^\W_]){3,}(?![^\W_])")
_GAPS = re.compile(r"[ .\-_*]")


#: The same for letters alone, one for one: full-width forms, and lookalikes that are no ASCII.
_LATIN = {code: letter for code, letter in _LOOKALIKES.items() if code > 127} | {
    0xFF01 + offset: chr(0x21 + offset) for offset in range(94)
}


def latin_view(text: str) -> str:
    """Give the text with lookalikes and full-width forms turned into Latin ones, each where it stood."""
    return text if text.isascii() else text.translate(_LATIN)


def plain_view(text: str) -> str:
    """Give the text as a reader sees it: compatibility forms resolved, invisible characters gone, quotes straight."""
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).translate(_QUOTES)


def fold_view(text: str) -> str:
    """Give `text` (a plain view) with accents dropped and lookalikes turned into Latin letters, casefolded."""
    bare = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return bare.casefold().translate(_LOOKALIKES)


def disguise_views(text: str) -> tuple[str, ...]:
    """Give the readings of a plain view in which a disguised word would show.

    Letters stretched (`baaad`), spelled out (`b a d`, `b.a.d`) or swapped (`b4d`) are undone. Digits
    count as letters only inside words, so that plain numbers never spell anything.
    """
    folded = " ".join(_fold_word(word) for word in _MARK_AT_END.sub(" ", text).split())
    views = [folded]
    if _REPEATED.search(folded):
        views += [_REPEATED.sub(r"\1", folded), _REPEATED.sub(r"\1\1", folded)]
        views += _unstretch(folded)
    spelled = [_GAPS.sub("", match[0]) for match in _SPELLED.finditer(folded)]
    if spelled:
        # "a b a d" may be "a", and then "bad".
        views.append(" ".join(part for word in spelled for part in (word, word[1:], word[:-1], word[1:-1])))
    return tuple(views)


def _unstretch(folded: str) -> list[str]:
    """Give what words may be in which several letters are stretched, each of them single or double."""
    readings: list[str] = []
    for word in folded.split():
        # Every other piece is a stretched letter; a word with many is a scream.
        pieces = _REPEATED.split(word)
        if 2 <= len(pieces) // 2 <= _MOST_STRETCHED:
            readings += map(
                "".join, product(*((piece, piece * 2) if at % 2 else (piece,) for at, piece in enumerate(pieces)))
            )
    return [" ".join(readings)] if readings else []


def _fold_word(word: str) -> str:
    return fold_view(word) if any(char.isalpha() for char in word) else word
