"""Who tells a bot to stop is never answered again (the platform's block list remembers it)."""

from __future__ import annotations

import re

#: What a whole answer must say; anything longer may be a sentence that happens to begin so.
_WORDS = frozenset(
    {
        "stop",
        "stop it",
        "stop bot",
        "please stop",
        "stop please",
        "stop replying",
        "stop replying to me",
        "dont reply",
        "dont reply to me",
        "opt out",
        "optout",
        "unsubscribe",
        "leave me alone",
        "go away",
    }
)
_NAME = re.compile(r"/?u/[\w-]+", re.IGNORECASE)
_MARKS = re.compile(r"[^\w\s]|_")


def wants_out(text: str) -> bool:
    """Tell whether a text says stop and nothing else; names, punctuation and case do not count."""
    return " ".join(_MARKS.sub("", _NAME.sub("", text)).casefold().split()) in _WORDS
