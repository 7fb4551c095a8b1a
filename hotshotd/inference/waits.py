"""How long a service asks to wait, in all the forms in which it says so. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

#: The longest wait that a service may ask for, in seconds: a rate limit, and anything else.
MAX_RATE_WAIT = 3600.0
MAX_WAIT = 60.0

_RETRY_IN = re.compile(r"(?:retry|try again) (?:in|after) ([0-9.]+ ?(?:ms|s|m|h)?(?:[0-9.]+s)?)", re.IGNORECASE)
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|d|h|m|s)?")
_SPAN_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def read_retry_after(status: int, body: Any, text: str, *, headers: Mapping[str, str], now: datetime) -> float | None:
    """Give the seconds that a service asks to wait, or None; at most an hour, a minute where it only loads."""
    found = (
        _read_wait(headers.get("retry-after", ""), now=now),
        _read_reset_headers(headers, now=now) if status == 429 else None,
        _read_ietf(headers.get("ratelimit", "")) if status == 429 else None,
        _read_estimate(body),
        _read_span(match[1]) if (match := _RETRY_IN.search(text)) else None,
    )
    wait = next((seconds for seconds in found if seconds is not None), None)
    if wait is None:
        return None
    return min(max(wait, 0.0), MAX_RATE_WAIT if status == 429 else MAX_WAIT)


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
    return sum(float(part[1]) * _SPAN_SECONDS[part[2] or ""] for part in parts)


def _read_reset_headers(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Read x-ratelimit-reset*: of several, that whose limit is used up, else the nearest."""
    waits: dict[bool, list[float]] = {True: [], False: []}
    for name, value in headers.items():
        lowered = name.lower()
        wait = _read_wait(value, now=now) if "ratelimit-reset" in lowered else None
        if wait is not None:
            is_empty = headers.get(lowered.replace("reset", "remaining"), "").strip() in ("0", "0.0")
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
