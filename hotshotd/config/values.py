"""What a YAML value must look like to become a duration, a budget, a list of words, and so on.

Each `parse_` function makes a value or raises ValueError (pydantic takes a TypeError for a bug) with a
message for the operator; the loader adds file, line and key. Nothing is guessed: text is no number, and
`true` is not 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Literal

from hotshotd.config.patterns import find_pattern_fault

#: Seconds of each unit a duration may be written in.
UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

#: The longest duration, in seconds (ten years): longer ones are slips, and overflow dates.
MAX_DURATION_SECONDS = 3650 * 86400.0

_DURATION = re.compile(r"\s*(\d{1,12}(?:\.\d{1,12})?|\.\d{1,12})\s*([smhd])\s*", re.ASCII)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
#: Beginnings of well-known keys. A key written where its variable's name belongs would be printed as that name.
_LOOKS_LIKE_A_KEY = re.compile(r"(hf_|gsk_|sk_|AIza)[A-Za-z0-9_]{16,}")
#: The words of YAML 1.1, which many people still write.
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

#: Where in a value a fault is (keys and list positions), and what is wrong.
Blame = tuple[tuple[str | int, ...], str]


class FaultyValue(ValueError):
    """Several things are wrong inside one value; `blames` says where and what."""

    def __init__(self, blames: Iterable[Blame]) -> None:
        self.blames = tuple(blames)
        super().__init__("; ".join(message for _, message in self.blames))


def parse_duration(value: object) -> float:
    """Make seconds of a number with a unit (`30s`, `1.5h`); a bare 0 needs none.

    Raises:
        ValueError: If it has no unit, is negative, no number, or longer than ten years.
    """
    if _is_number(value):
        if value == 0:
            return 0.0
        raise ValueError(f"{value} has no unit: write {value}s, {value}m, {value}h or {value}d")
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a duration: a number with s, m, h or d, such as 30s or 1.5h")
    seconds = float(match[1]) * UNIT_SECONDS[match[2]]
    if seconds > MAX_DURATION_SECONDS:
        raise ValueError("is longer than ten years")
    return seconds


def parse_interval(value: object) -> float:
    """Make seconds of a duration of at least one second.

    Raises:
        ValueError: As `parse_duration`, and when it is shorter than 1s.
    """
    seconds = parse_duration(value)
    if seconds < 1:
        raise ValueError("must be at least 1s")
    return seconds


def parse_budget(value: object) -> int | None:
    """Make characters a day; only the word `unlimited` gives None, which is no limit.

    Raises:
        ValueError: If it is neither a whole number of 0 or more nor that word; null is refused too.
    """
    if value == "unlimited":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("must be a whole number of characters a day (0 or more), or the word unlimited")


def parse_words(value: object) -> tuple[str, ...]:
    """Make a tuple of words of a list; null is an empty one.

    Whole numbers and true/false, which YAML takes from bare words, become their text again.

    Raises:
        ValueError: If it is no list, or an entry's text can't be told.
    """
    if value is None:
        return ()
    if isinstance(value, str):
        raise ValueError("must be a list: write it in brackets, or one entry a line after a dash")  # noqa: TRY004
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of words")  # noqa: TRY004
    texts = [_text(word) for word in value]
    raise_blames(((index,), "must be a word: put it in quotes") for index, text in enumerate(texts) if text is None)
    return tuple(text for text in texts if text is not None)


def parse_flag(value: object) -> bool:
    """Make a bool of true or false, or of YAML's older yes, no, on and off.

    Raises:
        ValueError: If it is anything else; 0 and 1 are refused.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.casefold() in _FLAGS:
        return _FLAGS[value.casefold()]
    raise ValueError("must be true or false")


def parse_linkpost_only(value: object) -> bool | Literal["force"]:
    """Make true, false or the word `force`.

    Raises:
        ValueError: If it is anything else.
    """
    if value == "force":
        return "force"
    try:
        return parse_flag(value)
    except ValueError:
        raise ValueError("must be true, false or force") from None


def parse_thresholds(value: object) -> float | dict[str, float]:
    """Make a score in 0..1, or one for each attribute named.

    Raises:
        ValueError: If a score is no number in 0..1, or no attribute is named (nothing would be refused).
    """
    if not isinstance(value, dict):
        if not _is_share(value):
            raise ValueError("must be a number from 0 to 1, or a mapping of attributes to such numbers")
        return float(value)  # type: ignore[arg-type]  # _is_share says it is a number
    if not value:
        raise ValueError("names no attribute: nothing would ever be refused")
    raise_blames(((name,), "must be a number from 0 to 1") for name, score in value.items() if not _is_share(score))
    return {str(name): float(score) for name, score in value.items()}


def parse_version(value: object) -> object:
    """Make text of a version that YAML took for a number (`4.0`); leave all else as it is."""
    return str(value) if isinstance(value, float) else value


def parse_env_name(value: object) -> object:
    """Pass on the name of an environment variable, or null.

    Raises:
        ValueError: If it can't be a name. What was written is not repeated: it may be the secret itself.
    """
    if value is None:
        return None
    if not isinstance(value, str) or not _ENV_NAME.fullmatch(value):
        raise ValueError("must be the name of an environment variable (letters, digits and _), not the value itself")
    if _LOOKS_LIKE_A_KEY.fullmatch(value):
        raise ValueError("looks like the key itself: write the name of the environment variable that holds it")
    return value


def parse_patterns(words: tuple[str, ...]) -> tuple[str, ...]:
    """Pass on keywords whose `re:` patterns are sound.

    Raises:
        ValueError: Naming each pattern that is none.
    """
    raise_blames(
        ((index,), f"is no regular expression: {error}")
        for index, word in enumerate(words)
        if word.startswith("re:") and (error := find_pattern_fault(word[3:]))
    )
    return words


def raise_blames(blames: Iterable[Blame]) -> None:
    """Raise FaultyValue when there is anything to blame."""
    found = tuple(blames)
    if found:
        raise FaultyValue(found)


def _text(word: object) -> str | None:
    if isinstance(word, bool):
        return "true" if word else "false"
    if isinstance(word, int):
        return str(word)
    return word if isinstance(word, str) and word.strip() else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: object) -> bool:
    return _is_number(value) and math.isfinite(value) and 0 <= value <= 1  # type: ignore[arg-type, operator]
