"""Letters that were read in the wrong encoding (`cafÃ©`, `itâ€™s`) made right again.

`ftfy` knows how, and is 7 MB of private memory in a worker that has to import it, half a megabyte where the parent
has: so it is imported when a text first looks like it, and `warm_up` is for the parent of many workers.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from hotshotd.brain.markup import outside_code
from hotshotd.brain.publishable import CleanRules

#: What Windows-1252 shows for the bytes 0x80 to 0xBF: whatever follows the first byte of a letter in UTF-8.
_CONTINUATIONS = (
    "\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013\u2014\u2018-\u201a"
    "\u201c-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122\ufffd"
)
#: UTF-8 read as Windows-1252 or Latin-1, as Windows-1251, as Mac Roman, as code page 437; and lost control characters.
_SUSPICIOUS = re.compile(
    rf"[\u00c2-\u00f4][{_CONTINUATIONS}]"
    r"|(?:[\u0420\u0421][\u0080-\u00bf\u0400-\u040f\u0450-\u045f\u0410-\u044f\u2010-\u2122]){3}"
    r"|\u201a\u00c4|\u221a[\u00a0-\u00ff\u2200-\u22ff]|\u251c[\u00a0-\u00ff\u2310\u2500-\u259f]"
    r"|[\u0080-\u009f]"
)


def mend_encoding(text: str, _: CleanRules) -> str:
    """Undo wrong decoding, and nothing else: curly quotes, ligatures and widths stay as they are."""
    if not _SUSPICIOUS.search(text):
        return text
    return outside_code(text, _mend)


def warm_up() -> None:
    """Import what mending takes (about 60 ms), so that forked workers share it."""
    _ftfy()


def _mend(part: str) -> str:
    return str(_ftfy().fix_encoding(part)) if _SUSPICIOUS.search(part) else part


def _ftfy() -> Any:
    return import_module("ftfy")
