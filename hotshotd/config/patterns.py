"""Regular expressions that an operator writes: which are right, and end in bearable time."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

#: The longest pattern, in characters.
MAX_PATTERN_CHARS = 500


def find_pattern_fault(source: str) -> str | None:
    """Say what is wrong with a pattern (without its `re:`), or None: it may be used."""
    if not source.strip():
        return "the pattern is empty"
    if len(source) > MAX_PATTERN_CHARS:
        return f"the pattern is longer than {MAX_PATTERN_CHARS} characters; split it into several"
    if any(ord(char) < 32 for char in source):
        return r"the pattern holds a control character; in YAML write it in 'single quotes', so that \b stays \b"
    if _repeats_a_repeat(source):
        return "a repeated group repeats inside, as in (a+)+, and could take for ever; write it with one repeat"
    try:
        with warnings.catch_warnings():
            # Python warns of what it may read otherwise one day, such as [[.
            warnings.simplefilter("error", FutureWarning)
            re.compile(source, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError, FutureWarning) as exc:
        return f"is no valid pattern: {exc}"
    return None


_TOKEN = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?(?:[:=!>]|<[=!]|P?<\w+>|[aiLmsux-]+:?)|\{\d*,?\d*\}|.", re.DOTALL
)
_ENDLESS = re.compile(r"[*+]|\{\d*,\}|\{\d*,?\d{3,}\}")
_VARIABLE = re.compile(r"[*+]|\{\d*,\d*\}")
#: Tokens that may begin like any other alternative.
_WIDE = re.compile(r"[.\[]|\\[wWdDsS]")


@dataclass(slots=True)
class _Group:
    """What a scan has seen of an open group: a repeat inside, and how its alternatives begin."""

    varies: bool = False
    starts: list[str] | None = None
    fresh: bool = True

    def begin(self, piece: str) -> None:
        self.starts = [*(self.starts or []), piece]
        self.fresh = False

    def is_ambiguous(self) -> bool:
        starts = self.starts or []
        overlaps = len(set(starts)) < len(starts) or any(_WIDE.match(start) for start in starts)
        return self.varies or (len(starts) > 1 and overlaps)


def _repeats_a_repeat(source: str) -> bool:
    """Tell whether an endless repeat holds another one, or alternatives that begin alike: exponential in time."""
    tokens = _TOKEN.findall(source)
    groups = [_Group()]
    for piece, after in zip(tokens, [*tokens[1:], ""], strict=True):
        if piece == ")" and len(groups) > 1:
            group = groups.pop()
            if group.is_ambiguous() and _ENDLESS.fullmatch(after):
                return True
            groups[-1].varies = groups[-1].varies or group.varies or _VARIABLE.fullmatch(after) is not None
        else:
            _scan(piece, after, groups)
    return False


def _scan(piece: str, after: str, groups: list[_Group]) -> None:
    group = groups[-1]
    if piece == "|":
        group.fresh = True
        return
    if group.fresh:
        group.begin(piece)
    if piece.startswith("("):
        groups.append(_Group())
    elif _VARIABLE.fullmatch(after):
        group.varies = True
