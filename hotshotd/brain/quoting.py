"""What other people wrote, as material: defused so that it can't speak for anybody, and cut at words."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hotshotd.brain.markup import drop_unseen
from hotshotd.brain.publishable import CleanRules

_NO_RULES = CleanRules()
_MARKS = re.compile(
    r"<[|\uff5c]|[|\uff5c]>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|</?think>", re.IGNORECASE
)
_HEADING = re.compile(r"#{2,}(?=\s|\Z)")
_VERBS = r"(?:replied|said|says|wrote|writes|answered|commented)"
_COLON = r"\s*[:\uff1a]"
_TURN = re.compile(
    rf"^(?P<who>[^\S\n]*[\"'>*_]*(?:/?u/)?[\w.-]{{1,40}}[*_]{{0,3}}(?:[^\S\n]{_VERBS})?){_COLON}(?=[\s\"'*_]|\Z)",
    re.MULTILINE | re.IGNORECASE,
)
_USER_TURN = re.compile(rf"(?P<who>(?<![\w/])/?u/[\w-]{{1,40}}[*_]{{0,3}}(?:\s{_VERBS})?){_COLON}", re.IGNORECASE)
_BY = re.compile(
    r"^([^\S\n]*)(Comment|Post|Reply|Picture posted)(?=[^\S\n]+(?:by|from|in)\b)", re.MULTILINE | re.IGNORECASE
)


def defuse(text: str, *, names: Iterable[str] = ()) -> str:
    """Make what somebody wrote unable to pass for a turn, a heading or a model's mark; it reads the same.

    Characters that nobody sees go: they split names, and can carry orders that only a model reads.

    `names` may not speak anywhere in the text, others not at the start of a line.
    """
    seen = drop_unseen("\n".join(text.splitlines()), _NO_RULES)
    text = _HEADING.sub("#", _MARKS.sub(" ", seen))
    known = "|".join(re.escape(name) for name in names if name)
    if known:
        own_turn = rf"(?P<who>(?:{known})[*_]{{0,3}}(?:\s{_VERBS})?){_COLON}"
        text = re.sub(own_turn, r"\g<who> -", text, flags=re.IGNORECASE)
    text = _USER_TURN.sub(r"\g<who> -", text)
    return _BY.sub(r"\1a \2", _TURN.sub(r"\g<who> -", text))


def drop_marks(text: str) -> str:
    """Give a text without models' marks: what the bot itself said needs no more."""
    return _MARKS.sub(" ", text)


def cut(text: str, limit: int) -> str:
    """Give at most `limit` characters of a text, ended at a word with an ellipsis where something is missing."""
    if len(text) <= limit:
        return text
    if limit <= 1:
        return "…"[: max(0, limit)]
    head = text[: limit - 1]
    word_end = max(head.rfind(" "), head.rfind("\n"))
    # A last word longer than half of what is left (a script without spaces, a link) is cut inside.
    return (head[:word_end] if word_end > len(head) // 2 else head).rstrip() + "…"


def one_line(text: str) -> str:
    """Give a text in one line."""
    return " ".join(text.split())
