"""What Reddit's answers mean: HTTP statuses and API error types to the port's errors, as tables.

Pure: everything here takes an answer's parts and gives an error, it never raises one on its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from hotshotd.errors import AuthDead, Down, PlatformError, Refused, Retry
from hotshotd.log import excerpt

#: Seconds to wait where Reddit says "later" and not when.
DEFAULT_WAIT_SECONDS = 60.0

#: Limits of a wait that Reddit asks for, in seconds: less would hammer, more is a mistake.
MIN_WAIT_SECONDS, MAX_WAIT_SECONDS = 1.0, 86_400.0

#: HTTP status -> (stable word, whether the place refuses the account).
REFUSED_STATUS: dict[int, tuple[str, bool]] = {
    400: ("bad_request", False),
    403: ("forbidden", True),
    404: ("not_found", False),
    409: ("conflict", False),
    410: ("not_found", False),
    413: ("too_long", False),
    414: ("too_long", False),
    415: ("bad_request", False),
    451: ("legal", False),
}

#: API error types that pass by themselves -> seconds to wait when the answer names none.
PASSING_ERRORS: dict[str, float] = {
    "RATELIMIT": DEFAULT_WAIT_SECONDS,
    "SUBREDDIT_RATELIMIT": 600.0,
    "QUOTA_FILLED": 3600.0,
}

#: API error types by which a place refuses the account, as a 403 does.
BANNING_ERRORS = frozenset({"BANNED_FROM_SUBREDDIT", "SUBREDDIT_BANNED_USER", "SUBREDDIT_NOTALLOWED_BANNED"})

#: Error type -> what the operator can do; others are told by Reddit's own message.
_ADVICE = {
    "SUBREDDIT_NOEXIST": "no such subreddit: check reddit.subreddits and post.subreddit",
    "SUBREDDIT_NOTALLOWED": "the account may not post there: ask its moderators",
    "BAD_FLAIR_TEMPLATE_ID": "no such flair: check post.flair_id",
    "USER_REQUIRED": "the token belongs to no account: check the credentials",
}

_UNIT_SECONDS = {"ms": 0.001, "millisecond": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0}
_UNIT_SECONDS |= {"h": 3600.0, "hour": 3600.0, "day": 86_400.0}
_WAIT_TEXT = re.compile(
    r"(\d{1,6})\s*(milliseconds?|seconds?|minutes?|hours?|days?|ms|secs?|mins?|h|s)\b", re.IGNORECASE
)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def clamp_wait(seconds: float) -> float:
    """Bring a wait that came from outside into sane limits."""
    if not math.isfinite(seconds):
        return DEFAULT_WAIT_SECONDS
    return min(max(seconds, MIN_WAIT_SECONDS), MAX_WAIT_SECONDS)


def parse_retry_after(headers: Mapping[str, str], *, now: datetime) -> float:
    """Give the seconds that a 429 asks for: Retry-After (seconds or a date), else the rate window's end."""
    for name in ("retry-after", "x-ratelimit-reset"):
        seconds = _parse_moment(headers.get(name), now=now)
        if seconds is not None:
            return clamp_wait(seconds)
    return DEFAULT_WAIT_SECONDS


def _parse_moment(value: str | None, *, now: datetime) -> float | None:
    if not value:
        return None
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None


def parse_date(headers: Mapping[str, str]) -> datetime | None:
    """Give the server's time, to the second, from an answer's Date header; None where it tells none."""
    try:
        said = parsedate_to_datetime(headers["date"])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return said if said.tzinfo else said.replace(tzinfo=UTC)


def parse_wait_text(message: str) -> float | None:
    """Give the seconds in "Take a break for 9 minutes", or None where the text has none (another language)."""
    match = _WAIT_TEXT.search(message)
    if match is None:
        return None
    unit = match[2].lower()
    return int(match[1]) * (_UNIT_SECONDS.get(unit) or _UNIT_SECONDS[unit.removesuffix("s")])


def refusal_of_status(status: int, *, body: object, path: str, location: str | None = None) -> PlatformError:
    """Say what a 3xx or 4xx answer to `path` means; nothing was done there.

    `body` is the decoded JSON, or None where it was none. Reddit's own reason ("private", a validation error) is kept.
    """
    if 300 <= status < 400:
        where = (location or "nowhere").split("?")[0]
        return Refused(f"Reddit redirects {path} to {where}: it does not exist", why="redirected")
    details = body if isinstance(body, dict) else {}
    reason = details.get("reason")
    if status == 400 and isinstance(reason, str) and reason:
        return error_of_api(reason, str(details.get("explanation") or ""), ratelimit=None)
    why, forbidden = REFUSED_STATUS.get(status, (f"http_{status}", False))
    detail = f" ({excerpt(reason, longest=60)})" if isinstance(reason, str) and reason else ""
    return Refused(f"Reddit answers {status}{detail} to {path}", why=why, forbidden=forbidden)


def error_of_api(error_type: str, message: str, *, ratelimit: object) -> PlatformError:
    """Say what one entry of `json.errors` means; nothing was written."""
    if error_type in PASSING_ERRORS:
        after = _ratelimit_seconds(ratelimit) or parse_wait_text(message) or PASSING_ERRORS[error_type]
        return Retry(f"Reddit wants a break: {excerpt(message, longest=200)}", after=clamp_wait(after))
    why = error_type.lower() if _WORD.fullmatch(error_type) else "refused"
    text = _ADVICE.get(error_type) or excerpt(message, longest=200) or "no reason given"
    return Refused(f"Reddit refuses ({why}): {text}", why=why, forbidden=error_type in BANNING_ERRORS)


def _ratelimit_seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 and math.isfinite(seconds) else None


def error_of_answer(answer: object) -> PlatformError | None:
    """Give the error that a 200 answer to a write carries in `json.errors`, or None.

    A rate limit among several errors wins, for the others may be gone after it.
    """
    inner = answer.get("json") if isinstance(answer, dict) else None
    if not isinstance(inner, dict) or not inner.get("errors"):
        return None
    entries = [_split_entry(entry) for entry in inner["errors"]] if isinstance(inner["errors"], list) else []
    entries.sort(key=lambda entry: entry[0] not in PASSING_ERRORS)
    error_type, message = entries[0] if entries else ("", "")
    return error_of_api(error_type, message, ratelimit=inner.get("ratelimit"))


def _split_entry(entry: Any) -> tuple[str, str]:
    parts = entry if isinstance(entry, list) else [entry]
    texts = [part if isinstance(part, str) else "" for part in [*parts, "", ""]]
    return texts[0], texts[1]


#: Why a token is refused -> what the operator can do about it.
_TOKEN_ADVICE = {
    "invalid_grant": "user name, password or refresh token are wrong, revoked, or need a second factor:"
    " check them, or get a token with `hotshotctl auth BOT`",
    "unauthorized_client": "the account is no developer of this app: add it on reddit.com/prefs/apps,"
    " or use `hotshotctl auth BOT`",
}


def error_of_token(error: str) -> AuthDead:
    """Say what an OAuth error word at the token means."""
    advice = _TOKEN_ADVICE.get(error, "check client id, client secret, user name and password")
    return AuthDead(f"Reddit refuses to sign in ({excerpt(error, longest=60)}): {advice}")


def error_of_token_status(status: int, *, body: object, headers: Mapping[str, str], now: datetime) -> PlatformError:
    """Say what an HTTP status other than 200 at the token means."""
    if status == 429:
        wait = parse_retry_after(headers, now=now)
        return Retry(f"Reddit limits sign-ins; next try in {wait:.0f} s", after=wait)
    if status in (400, 401):
        word = body.get("error") if isinstance(body, dict) else None
        if isinstance(word, str) and word in _TOKEN_ADVICE:
            return error_of_token(word)
        return AuthDead(f"Reddit refuses to sign in ({status}): client id or client secret are wrong or revoked")
    if 300 <= status < 400:
        return Down(f"Reddit redirects the sign-in ({status}), which is not followed: check reddit.reddit_url")
    return Down(f"Reddit answers {status} to the sign-in; it is tried again")
