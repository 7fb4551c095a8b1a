"""Tokens of the local Reddit: grants, expiry, revocation, and the rate per app.

Times are monotonic seconds given by the caller. Safe from any thread.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands behind a token; `account` is empty for an app on its own."""

    account: str
    client_id: str
    expires_at: float


class Tokens:
    """The access tokens, refresh tokens and one-time codes that were given out."""

    def __init__(self, *, lifetime_seconds: float) -> None:
        self.lifetime_seconds = lifetime_seconds
        self._lock = threading.Lock()
        self._access: dict[str, Caller] = {}
        self._refresh: dict[str, tuple[str, str]] = {}
        self._codes: dict[str, tuple[str, str]] = {}

    def issue(self, account: str, client_id: str, *, now: float) -> str:
        """Make an access token."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._access[token] = Caller(account, client_id, now + self.lifetime_seconds)
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
            self._refresh = {t: pair for t, pair in self._refresh.items() if pair[0].casefold() != name}

    def add_refresh(self, account: str, client_id: str, token: str | None = None) -> str:
        """Make a refresh token for an account and an app."""
        token = token or secrets.token_urlsafe(24)
        with self._lock:
            self._refresh[token] = (account, client_id)
        return token

    def refresh_account(self, token: str, client_id: str) -> str | None:
        """Give the account of a refresh token, if this app may use it."""
        with self._lock:
            account, owner = self._refresh.get(token, ("", ""))
        return account if account and owner == client_id else None

    def add_code(self, account: str, client_id: str) -> str:
        """Make the one-time code that Reddit's consent page sends back."""
        code = secrets.token_urlsafe(16)
        with self._lock:
            self._codes[code] = (account, client_id)
        return code

    def spend_code(self, code: str, client_id: str) -> str | None:
        """Give the account of a code, once."""
        with self._lock:
            account, owner = self._codes.pop(code, ("", ""))
        return account if account and owner == client_id else None


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
