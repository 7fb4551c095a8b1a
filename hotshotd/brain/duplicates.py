"""Whether a text says again what was said before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
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
        return _reaches(mine, other, ratio)
    return _reaches(mine.split(), other.split(), ratio)


def _reaches(mine: Sequence[str], other: Sequence[str], ratio: float) -> bool:
    # First what is quick: how many parts they have in common in any order, which is no fewer.
    common = sum((Counter(mine) & Counter(other)).values())
    if 2 * common / (len(mine) + len(other)) < ratio:
        return False
    return SequenceMatcher(None, mine, other, autojunk=False).ratio() >= ratio
