"""Where the model speaks instead of the character: disclaimers and refusals, and what it was told, recited.

Either spoils the whole text, so it is refused. The phrases stand in `data/ai_voice.txt`, by language.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files

from hotshotd.brain.prompt import PICTURE_INSTRUCTIONS, POST_INSTRUCTIONS, REPLY_INSTRUCTIONS
from hotshotd.brain.publishable import CleanRules, Fault, Unpublishable

#: What the placeholders of the data file stand for.
_SHORT = {
    "{cannot}": "i(?: (?:can(?:'t|not| not)|could(?:n't| not)|won't(?: be able to)?)|"
    "(?: am|'m) (?:not able|unable) to)",
    "{do}": "(?:assist|help(?: you)?(?= with|\\W*\\Z|[.,!?;])|"
    "comply|fulfill?|continue|create|generate|provide|engage|write|respond|discuss|participate|"
    "role-?play|produce)",
    "'": "['\u2019]",
    " ": r"\s+",
    # An optional space was made one that is optional.
    r"\s+*": r"\s*",
}

#: Words in a row that two texts of different origin do not share.
_LEAK_WORDS = 14
#: What stands in a template for what was to be filled in.
_BLANK = re.compile(
    r"\{\{\s*\w+\s*\}\}|\[(?:insert|your|bot'?s?) (?:\w+ ){0,4}?(?:name|username|here)[^\]\n]{0,40}\]", re.IGNORECASE
)
_WORD = re.compile(r"\w+")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_ROT13 = str.maketrans(_ALPHABET + _ALPHABET.upper(), "".join(a[13:] + a[:13] for a in (_ALPHABET, _ALPHABET.upper())))
#: Fourteen words are longer than this, encoded.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{40,}")
_URLSAFE = str.maketrans("+/", "-_")
_TOLD = (REPLY_INSTRUCTIONS, POST_INSTRUCTIONS, PICTURE_INSTRUCTIONS)


def refuse_ai_voice(text: str, _: CleanRules) -> str:
    """Refuse a text in which the model speaks instead of the character."""
    if any(pattern.search(text) for pattern in _patterns()):
        raise Unpublishable(Fault.SPEAKS_AS_AI)
    return text


def refuse_recital(text: str, rules: CleanRules) -> str:
    """Refuse a text that recites what the model was told: instructions, blanks to fill in, much of the backstory."""
    if _BLANK.search(text) or any(_is_recital(reading, rules) for reading in _readings(text)):
        raise Unpublishable(Fault.RECITES)
    return text


def parse_phrases(text: str) -> tuple[str, ...]:
    """Give the patterns of a data file, its placeholders filled in."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(_fill(line) for line in lines if line and not line.startswith(("#", "[")))


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    text = files("hotshotd.brain").joinpath("data", "ai_voice.txt").read_text(encoding="utf-8")
    return tuple(re.compile(phrase, re.IGNORECASE) for phrase in parse_phrases(text))


def _is_recital(text: str, rules: CleanRules) -> bool:
    said = _words(text)
    return any(_words(told) in said for told in _TOLD) or any(run in said for told in rules.told for run in _runs(told))


def _readings(text: str) -> Iterator[str]:
    """Give a text as it is, and what it says to one who undoes the codes that models know by heart."""
    yield text
    yield text[::-1]
    yield text.translate(_ROT13)
    for coded in _BASE64.findall(text.replace("\n", "")):
        # Whole groups of four; what was cut off is not missed.
        yield base64.urlsafe_b64decode(coded.translate(_URLSAFE)[: len(coded) // 4 * 4]).decode(errors="replace")


def _fill(line: str) -> str:
    for short, long in _SHORT.items():
        line = line.replace(short, long)
    return line


@lru_cache(maxsize=8)
def _runs(told: str) -> tuple[str, ...]:
    words = _words(told).split()
    return tuple(f" {' '.join(words[at : at + _LEAK_WORDS])} " for at in range(len(words) - _LEAK_WORDS + 1))


def _words(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.casefold()))} "
