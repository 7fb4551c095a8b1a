"""Tokens of the local Reddit: grants, expiry, revocation, and the rate per app.

Times are monotonic seconds given by the caller. Safe from any thread.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

#: The scope that stands for all: what a password grants.
EVERYTHING = "*"

#: Beginning of an API path -> the scope that it needs; the first that fits. Known of Reddit's API documentation, but
#: for the upload of media, which it does not name.
_SCOPES = (
    ("/api/v1/me", "identity"),
    ("/api/comment", "submit"),
    ("/api/submit", "submit"),
    ("/api/media/asset.json", "submit"),
    ("/api/editusertext", "edit"),
    ("/api/del", "edit"),
    ("/api/read_", "privatemessages"),
    ("/api/block_user", "account"),
    ("/message/", "privatemessages"),
    ("/user/", "history"),
)


def needed_scope(path: str) -> str:
    """Give the scope that a request to `path` needs."""
    if path.rstrip("/").endswith("/about"):
        return "read"
    return next((scope for start, scope in _SCOPES if path.startswith(start)), "read")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands behind a token; `account` is empty for an app on its own."""

    account: str
    client_id: str
    expires_at: float
    scope: str = EVERYTHING

    def may(self, path: str) -> bool:
        """Tell whether the token's scopes, separated by blanks, reach for a request."""
        return self.scope == EVERYTHING or needed_scope(path) in self.scope.split()


@dataclass(frozen=True, slots=True)
class Leave:
    """What an account allowed an app: stands behind a refresh token or a code."""

    account: str
    client_id: str
    scope: str = EVERYTHING
    is_permanent: bool = True
    redirect_uri: str = ""


class Tokens:
    """The access tokens, refresh tokens and one-time codes that were given out."""

    def __init__(self, *, lifetime_seconds: float) -> None:
        self.lifetime_seconds = lifetime_seconds
        self._lock = threading.Lock()
        self._access: dict[str, Caller] = {}
        self._refresh: dict[str, Leave] = {}
        self._codes: dict[str, Leave] = {}

    def issue(self, account: str, client_id: str, *, now: float, scope: str = EVERYTHING) -> str:
        """Make an access token."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._access[token] = Caller(account, client_id, now + self.lifetime_seconds, scope)
        return token

    def find(self, token: str | None, *, now: float) -> Caller | None:
        """Tell who stands behind an access token; None once it has expired or was revoked."""
        with self._lock:
            caller = self._access.get(token or "")
            return caller if caller and now < caller.expires_at else None

    def revoke(self, token: str | None) -> None:
        """End an access or refresh token; harmless when repeated."""
        with self._lock:
            self._access.pop(token or "", None)
            self._refresh.pop(token or "", None)

    def revoke_account(self, account: str) -> None:
        """End every token of an account, as its owner can on Reddit's page of apps."""
        name = account.casefold()
        with self._lock:
            self._access = {t: caller for t, caller in self._access.items() if caller.account.casefold() != name}
            self._refresh = {t: leave for t, leave in self._refresh.items() if leave.account.casefold() != name}

    def add_refresh(self, account: str, client_id: str, token: str | None = None, *, scope: str = EVERYTHING) -> str:
        """Make a refresh token for an account and an app."""
        token = token or secrets.token_urlsafe(24)
        with self._lock:
            self._refresh[token] = Leave(account, client_id, scope)
        return token

    def find_refresh(self, token: str, client_id: str) -> Leave | None:
        """Give what stands behind a refresh token, if this app may use it."""
        with self._lock:
            leave = self._refresh.get(token)
        return leave if leave is not None and leave.client_id == client_id else None

    def refresh_account(self, token: str, client_id: str) -> str | None:
        """Give the account of a refresh token, if this app may use it."""
        leave = self.find_refresh(token, client_id)
        return leave.account if leave is not None else None

    def add_code(self, leave: Leave) -> str:
        """Make the one-time code that Reddit's consent page sends back."""
        code = secrets.token_urlsafe(16)
        with self._lock:
            self._codes[code] = leave
        return code

    def spend_code(self, code: str, client_id: str) -> Leave | None:
        """Give what stands behind a code, once."""
        with self._lock:
            leave = self._codes.pop(code, None)
        return leave if leave is not None and leave.client_id == client_id else None


@dataclass(slots=True)
class _Window:
    ends_at: float
    used: int = 0


class RateMeter:
    """Counts requests per app in windows, as Reddit's `x-ratelimit` headers tell it.

    With `is_enforced`, requests above the limit are to be answered with 429.
    """

    def __init__(self, *, limit: int = 1000, window_seconds: float = 600.0, is_enforced: bool = False) -> None:
        self.limit = limit
        self.window_seconds = window_seconds
        self.is_enforced = is_enforced
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}

    def count(self, client_id: str, *, now: float) -> tuple[bool, tuple[tuple[str, str], ...]]:
        """Count a request; tell whether it is within the limit, and what the headers say."""
        with self._lock:
            window = self._windows.get(client_id)
            if window is None or now >= window.ends_at:
                window = self._windows[client_id] = _Window(now + self.window_seconds)
            window.used += 1
            remaining, reset = max(0, self.limit - window.used), max(1, round(window.ends_at - now))
            headers = (
                ("x-ratelimit-remaining", f"{remaining}.0"),
                ("x-ratelimit-used", str(window.used)),
                ("x-ratelimit-reset", str(reset)),
            )
            return window.used <= self.limit or not self.is_enforced, headers
