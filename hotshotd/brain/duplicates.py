"""Whether a text says again what was said before."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher

#: How alike two texts are when one counts as the other, said again.
DUPLICATE_RATIO = 0.95

#: Texts longer than this are compared word by word: by character it would take seconds.
_BY_CHAR_UP_TO = 1500


def is_near_duplicate(text: str, previous: Iterable[str], *, ratio: float = DUPLICATE_RATIO) -> bool:
    """Tell whether a text says again what one of `previous` said; case and spaces do not count."""
    mine = _essence(text)
    return any(_is_alike(mine, _essence(other), ratio) for other in previous)


def _essence(text: str) -> str:
    return " ".join(text.casefold().split())


def _is_alike(mine: str, other: str, ratio: float) -> bool:
    if mine == other:
        return True
    if 2 * min(len(mine), len(other)) < ratio * (len(mine) + len(other)):
        return False
    if max(len(mine), len(other)) <= _BY_CHAR_UP_TO:
        return _reaches(SequenceMatcher(None, mine, other, autojunk=False), ratio)
    return _reaches(SequenceMatcher(None, mine.split(), other.split(), autojunk=False), ratio)


def _reaches(matcher: SequenceMatcher[str], ratio: float) -> bool:
    return matcher.quick_ratio() >= ratio and matcher.ratio() >= ratio
