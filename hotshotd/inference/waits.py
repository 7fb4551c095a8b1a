"""How long a service asks to wait, in all the forms in which it says so. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

#: The longest wait that a service may ask for, in seconds: a rate limit, and anything else.
MAX_RATE_WAIT = 3600.0
MAX_WAIT = 60.0

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_UNIT = r"(?:(?:(ms|millisecond)|(d|day)|(h|hour|hr)|(m|min|minute)|(s|sec|second))s?(?![a-z]))"
_SPAN = re.compile(rf"({_NUMBER}) ?{_UNIT}?", re.IGNORECASE)

#: Seconds of a unit, in the order of the groups of `_UNIT`.
_UNIT_SECONDS = (0.001, 86_400.0, 3600.0, 60.0, 1.0)

#: "Please try again in 2m59.56s", "retry in 28.0s.", "wait 30 seconds".
_RETRY_IN = re.compile(
    r"(?:\b(?:retry|try again)(?: again)? (?:in|after)|\bwait(?: for)?)(?: about| at least)? "
    rf"((?:{_NUMBER} ?{_UNIT}?)+)",
    re.IGNORECASE,
)


def read_retry_after(status: int, body: Any, text: str, *, headers: Mapping[str, str], now: datetime) -> float | None:
    """Give the seconds that a service asks to wait, or None; at most an hour, a minute where it only loads."""
    headers = {**{name.lower(): value for name, value in headers.items()}, **_find_inner_headers(body)}
    found = (
        _read_wait(headers.get("retry-after", ""), now=now),
        _read_reset_headers(headers, now=now) if status == 429 else None,
        _read_ietf(headers.get("ratelimit", "")) if status == 429 else None,
        _read_estimate(body),
        _read_delay(body),
        _read_span(match[1]) if (match := _RETRY_IN.search(text)) else None,
    )
    wait = next((seconds for seconds in found if seconds is not None), None)
    if wait is None:
        return None
    return min(max(wait, 0.0), MAX_RATE_WAIT if status == 429 else MAX_WAIT)


def _find_inner_headers(body: Any) -> dict[str, str]:
    """Give the headers that OpenRouter puts into an error's `metadata`, for its errors may travel inside a 200."""
    found = body
    for step in ("error", "metadata", "headers"):
        found = found.get(step) if isinstance(found, dict) else None
    pairs = found.items() if isinstance(found, dict) else ()
    return {name.lower(): value for name, value in pairs if isinstance(name, str) and isinstance(value, str)}


def _read_wait(value: str, *, now: datetime) -> float | None:
    """Read seconds, a span ("2m59s"), an epoch in seconds or milliseconds, or an HTTP date."""
    span = _read_span(value)
    if span is not None:
        return _from_epoch(span, now=now)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()


def _from_epoch(seconds: float, *, now: datetime) -> float:
    if seconds > 1e11:
        return seconds / 1000 - now.timestamp()
    return seconds - now.timestamp() if seconds > 1e9 else seconds


def _read_span(value: str) -> float | None:
    value = value.strip()
    parts = list(_SPAN.finditer(value))
    if not parts or len(value) > 40 or _SPAN.sub("", value).strip(" ."):
        return None
    return sum(float(part[1]) * _find_unit(part) for part in parts)


def _find_unit(part: re.Match[str]) -> float:
    return next((seconds for unit, seconds in zip(part.groups()[1:], _UNIT_SECONDS, strict=True) if unit), 1.0)


def _read_reset_headers(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Read x-ratelimit-reset*: of several, that whose limit is used up, else the nearest."""
    waits: dict[bool, list[float]] = {True: [], False: []}
    for name, value in headers.items():
        wait = _read_wait(value, now=now) if "ratelimit-reset" in name else None
        if wait is not None:
            is_empty = headers.get(name.replace("reset", "remaining"), "").strip() in ("0", "0.0")
            waits[is_empty].append(wait)
    if waits[True]:
        return max(waits[True])
    return min(waits[False], default=None)


def _read_ietf(value: str) -> float | None:
    match = re.search(r"\bt=([0-9]+)", value)
    return float(match[1]) if match else None


def _read_estimate(body: Any) -> float | None:
    estimate = body.get("estimated_time") if isinstance(body, dict) else None
    return float(estimate) if isinstance(estimate, int | float) and not isinstance(estimate, bool) else None


def _read_delay(body: Any, depth: int = 5) -> float | None:
    """Find Google's `retryDelay`, which stands deep inside `error.details`."""
    if depth and isinstance(body, dict):
        delay = body.get("retryDelay")
        return _read_span(delay) if isinstance(delay, str) else _find_delay(body.values(), depth)
    return _find_delay(body[:20], depth) if depth and isinstance(body, list) else None


def _find_delay(parts: Iterable[Any], depth: int) -> float | None:
    found = (_read_delay(part, depth - 1) for part in parts)
    return next((seconds for seconds in found if seconds is not None), None)
