"""Make an event complete, plain and clean: JSON values only, no secrets, nobody's texts."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any

from structlog.processors import format_exc_info

from hotshotd.log.redaction import MASK, redact

Event = MutableMapping[str, Any]

#: The keys that come first in each line, for whoever reads it.
FIRST_KEYS = ("timestamp", "level", "event", "bot", "pid")

#: Values of these keys are people's texts, or what carries them: only their length is logged.
_TEXT_KEYS = frozenset({"prompt", "prompts", "body", "text", "texts", "messages", "payload", "headers", "backstory"})
#: Values of these keys are secrets, whatever they look like.
_SECRET_KEYS = re.compile(
    r"password|passwd|secret|authorization|api_?key|access_token|refresh_token|cookie", re.IGNORECASE
)

#: The longest value of one key, and the longest traceback, in characters.
_MAX_VALUE_CHARS = 2_000
_MAX_EXCEPTION_CHARS = 20_000
_MAX_DEPTH = 4
_MAX_MEMBERS = 100


def complete_event(event: Event, *, now: datetime) -> Event:
    """Give a new event with all the fixed keys, its exception as text, and every value cleaned."""
    whole = format_exc_info(None, "", {"pid": os.getpid(), **event})
    whole["timestamp"] = now.isoformat(timespec="microseconds").replace("+00:00", "Z")
    ordered = {key: whole[key] for key in FIRST_KEYS if key in whole} | dict(whole)
    return {str(key): _clean_member(str(key), value, depth=_MAX_DEPTH) for key, value in ordered.items()}


def _clean_member(key: str, value: Any, *, depth: int) -> Any:
    if key in _TEXT_KEYS:
        return f"({len(value)} long)" if hasattr(value, "__len__") else "(hidden)"
    if _SECRET_KEYS.search(key) and isinstance(value, str | bytes):
        return MASK
    return _clean(value, depth=depth, limit=_MAX_EXCEPTION_CHARS if key == "exception" else _MAX_VALUE_CHARS)


def _clean(value: Any, *, depth: int, limit: int) -> Any:
    """Make a redacted JSON value of anything."""
    # The very types: an IntEnum, or a str that is a secret's wrapper, prints as it likes.
    if value is None or type(value) in (bool, int, float):
        return value
    if depth > 0 and isinstance(value, Mapping):
        members = list(value.items())[:_MAX_MEMBERS]
        return {redact(str(key)): _clean_member(str(key), inner, depth=depth - 1) for key, inner in members}
    if depth > 0 and isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner, depth=depth - 1, limit=limit) for inner in list(value)[:_MAX_MEMBERS]]
    return _shorten(redact(_describe(value)), limit=limit)


def _describe(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - somebody else's __str__
        return f"<unprintable {type(value).__name__}>"


def _shorten(text: str, *, limit: int) -> str:
    """Keep both ends: a traceback names its cause at the end."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} ...({len(text) - 2 * half} more)... {text[-half:]}"
